"""Against the simulator, in a booted guest: what the service reports is what was written."""

import json
from typing import Any

import pytest

from tests.system.checks import check_conservation, check_elapsed, check_nothing_twice
from tests.system.journal import Entry
from tests.system.service import LOG, Service, configuration, is_report

Truth = dict[str, Any]

pytestmark = [pytest.mark.system, pytest.mark.parametrize("image", ["bookworm"], indirect=True)]


def simulated(service: Service, options: str, interval: str) -> tuple[Truth, list[Entry]]:
    """The truth about what a simulator with these options wrote, and the service's entries about it."""
    service.configure(configuration(interval))
    service.start()
    simulator = service.guest.start(
        "qps-reporter", "simulate", "-o", LOG, *options.split(), "--truth", "/truth.json"
    )
    printed, _ = simulator.communicate(timeout=300)
    assert simulator.returncode == 0, printed
    service.stop()
    return json.loads(service.guest.path("/truth.json").read_text()), service.entries()


def check(entries: list[Entry], truth: Truth) -> None:
    check_conservation(entries, truth)
    check_nothing_twice(entries)
    check_elapsed(entries)


@pytest.mark.parametrize(
    ("options", "interval", "lines", "rotations"),
    [
        pytest.param("-r 2 --rate 2000 --duration 60", "10s", 120_000, 29, id="a minute"),
        # Ten rotations a second, and workers that write to the renamed file for 3 seconds more.
        pytest.param("-r 0.1 --rate 10000 --late-writer 3 --duration 20", "2s", 200_000, 190, id="a storm"),
    ],
)
def test_the_reports_add_up_to_the_truth(
    service: Service, options: str, interval: str, lines: int, rotations: int
) -> None:
    truth, entries = simulated(service, options, interval)
    assert truth["lines"] == lines
    assert truth["rotations"] >= rotations
    check(entries, truth)


@pytest.mark.twin
def test_a_report_too_few_or_too_many_is_noticed(service: Service) -> None:
    truth, entries = simulated(
        service, "-r 0.5 --rate 500 --duration 12", "3s"
    )  # well above check_elapsed's slack
    check(entries, truth)
    reports = [entry for entry in entries if is_report(entry)]
    busiest = max(reports, key=lambda report: int(report["QPS_REQUESTS"]))
    with pytest.raises(AssertionError):
        check_conservation([entry for entry in reports if entry is not busiest], truth)
    with pytest.raises(AssertionError):
        check_conservation([*reports, busiest], truth)
    copy = {"MESSAGE": busiest["MESSAGE"], "SYSLOG_IDENTIFIER": "qps-reporter", "_TRANSPORT": "stdout"}
    for wrong in (reports[1:], [*entries, copy]):
        with pytest.raises(AssertionError):
            check_nothing_twice(wrong)
    with pytest.raises(AssertionError):
        check_elapsed([entry for entry in reports if entry is not reports[2]])
