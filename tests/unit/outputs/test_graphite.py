"""Graphite's lines: totals and rates, without gaps. What holds for every output: test_conformance.py."""

from qps_service.outputs.graphite import render
from qps_service.values.counts import Counts, Key
from qps_service.values.reports import Overview, Report
from tests.unit.handed_over import AT, overview, report, standing

HELP = Key(b"GET", b"/help", 200)
OLD = Key(b"POST", b"/old", 99)


def lines_of(window: Report, overview: Overview) -> list[str]:
    return b"".join(render([window], overview, "qps")).decode().splitlines()


def test_lines() -> None:
    """Rates are the window's, counters the totals; what the window lacks is there too, so that no graph has
    a gap."""
    window = report({HELP: Counts(32, 16384)}, rejected=1)
    total = {HELP: Counts(500, 9000), OLD: Counts(7, 70)}
    assert lines_of(window, overview(standing(total, rejected=3))) == [
        f"qps.access.GET._help.200.requests 500 {AT}",
        f"qps.access.GET._help.200.bytes 9000 {AT}",
        f"qps.access.GET._help.200.rate 3.2 {AT}",
        f"qps.access.POST._old.099.requests 7 {AT}",
        f"qps.access.POST._old.099.bytes 70 {AT}",
        f"qps.access.POST._old.099.rate 0.0 {AT}",
        f"qps.access.requests 507 {AT}",
        f"qps.access.bytes 9070 {AT}",
        f"qps.access.rate 3.2 {AT}",
        f"qps.access.rejected 3 {AT}",
    ]


def test_a_log_without_a_report_has_no_lines() -> None:
    total = {HELP: Counts(1, 1)}
    lines = lines_of(report(total), overview(standing(total), standing(total, log="shop")))
    assert {line.split(".")[1] for line in lines} == {"access"}
