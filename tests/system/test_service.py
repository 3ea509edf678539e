"""qps-reporter.service under a booted systemd: readiness, status, journal, reload, watchdog, stop.

Each test begins without log, state or journal entries of the ones before.
"""

import re

import pytest

from qps_service.notices import kinds
from tests.system import faults
from tests.system.checks import check_nothing_twice, check_report
from tests.system.debians import on_one
from tests.system.image import GuestError
from tests.system.journal import Entry, JournalStream
from tests.system.service import (
    LOG,
    NEVER,
    UNIT,
    Service,
    await_requests,
    configuration,
    is_report,
    lines,
    requests,
    rows,
)

pytestmark = pytest.mark.system


def is_notice(kind: kinds.Kind, entry: Entry) -> bool:
    return entry.get("MESSAGE_ID") == kind.message_id


def ended_by(result: str, entry: Entry) -> bool:
    """Whether this is systemd's word that the service failed with `result`."""
    return entry.get("UNIT_RESULT") == result


def check_ready(service: Service) -> None:
    """The log is open and its directory is watched."""
    script = 'readlink /proc/"$0"/fd/*; cat /proc/"$0"/fdinfo/*'
    held = service.guest.run("sh", "-c", script, service.show("MainPID")).stdout
    assert LOG in held.splitlines()
    assert f" ino:{service.log().parent.stat().st_ino:x} " in held


def test_start_returns_when_the_service_is_ready(service: Service) -> None:
    service.configure(configuration(interval=NEVER))
    service.append(lines(3))
    service.start()
    check_ready(service)


@pytest.mark.twin
@on_one
def test_a_service_that_is_ready_too_early_is_noticed(service: Service) -> None:
    service.inject(faults.READY_AT_ONCE)
    service.configure(configuration(interval=NEVER))
    service.append(lines(3))
    service.start()
    with pytest.raises(AssertionError):
        check_ready(service)


def test_it_is_not_ready_before_the_first_read_is_done(service: Service) -> None:
    service.inject(faults.READ_HANGS, TimeoutStartSec="2s", TimeoutStopSec="1s", Restart="no")
    service.configure(configuration(interval=NEVER))
    service.append(lines(3))
    service.trigger()
    with pytest.raises(GuestError):
        service.start()
    assert service.show("Result") == "timeout"


@on_one
def test_the_status_line_tells_rate_routes_log_and_total(service: Service) -> None:
    service.configure(configuration())
    service.append("")
    service.start()
    service.append(lines(12) + lines(3, "/help", 404))
    with service.follow() as journal:
        await_requests(journal, 15)
        journal.until(is_report)
    status = service.show("StatusText")
    rate, routes, log, total = re.split("[,;] ", status)
    assert re.fullmatch(r"[0-9.]+ requests/s", rate)
    assert re.fullmatch(r"\d+ routes?", routes)
    assert (log, total) == (LOG, "15 requests in total")


@on_one
def test_a_report_is_one_journal_entry_with_fields(service: Service) -> None:
    service.configure(configuration(interval=NEVER))
    service.append("")
    service.start()
    service.append(lines(8) + lines(2, status=500) + lines(1, "/a\x1b[31m\\b"))
    service.stop()
    (report,) = service.reports()
    check_report(report)
    assert (report["QPS_LOG"], report["QPS_REQUESTS"], report["QPS_SEQUENCE"]) == ("access", "11", "1")
    assert report["_SYSTEMD_UNIT"] == "qps-reporter.service"
    counted = {(row["method"], row["route"], row["status"]): row["requests"] for row in rows(report)}
    assert counted == {("GET", "/", 200): 8, ("GET", "/", 500): 2, ("GET", r"/a\x1b[31m\\b", 200): 1}


@on_one
def test_a_report_with_many_routes_is_whole(service: Service) -> None:
    service.configure(configuration(interval=NEVER))
    service.append("")
    service.start()
    service.append("".join(lines(1, f"/{number:04}/{'x' * 100}") for number in range(500)))
    service.stop()
    (report,) = service.reports()
    check_report(report)
    assert len(rows(report)) == 500


@on_one
def test_nothing_is_in_the_journal_twice(service: Service) -> None:
    service.configure(configuration())
    service.append("")
    service.start()
    with service.follow() as journal:
        service.append(lines(5))
        await_requests(journal, 5)
        journal.until(is_report)
    service.stop()
    entries = service.entries()
    check_nothing_twice(entries)

    report = next(filter(is_report, entries))
    with pytest.raises(AssertionError):
        check_nothing_twice([*entries, report])
    copy = {"MESSAGE": report["MESSAGE"], "SYSLOG_IDENTIFIER": "qps-reporter", "_TRANSPORT": "stdout"}
    with pytest.raises(AssertionError):
        check_nothing_twice([*entries, copy])


@on_one
def test_a_missing_log_is_waited_for_and_picked_up(service: Service) -> None:
    service.configure(configuration())
    service.start()
    assert service.show("ActiveState") == "active"
    assert f"waiting for {LOG}" in service.show("StatusText")
    with service.follow() as journal:
        journal.until(is_report)
        journal.until(is_report)
        service.append(lines(7))
        await_requests(journal, 7)
        service.append(lines(2))
        await_requests(journal, 9)
    said = [entry for entry in service.entries() if is_notice(kinds.WAITING, entry)]
    assert [entry["PRIORITY"] for entry in said] == [str(kinds.WAITING.priority)]
    assert LOG in said[0]["MESSAGE"]
    assert "waiting" not in service.show("StatusText")


@on_one
def test_an_unreadable_log_is_said_once_and_picked_up_when_readable(service: Service) -> None:
    service.configure(configuration())
    service.append(lines(4))
    service.log().chmod(0o600)
    service.start()
    with service.follow() as journal:
        said = journal.until(lambda entry: is_notice(kinds.UNREADABLE, entry))
        assert LOG in said["MESSAGE"]
        assert "_qps-reporter" in said["MESSAGE"]
        assert "-rw-------" in said["MESSAGE"] or "0600" in said["MESSAGE"]
        journal.until(is_report)
        journal.until(is_report)
        service.log().chmod(0o640)
        journal.until(lambda entry: is_notice(kinds.FOLLOWING, entry))
        service.append(lines(5))
        await_requests(journal, 5)
    assert sum(is_notice(kinds.UNREADABLE, entry) for entry in service.entries()) == 1


def test_reload_takes_the_new_configuration_and_keeps_the_counts(service: Service) -> None:
    service.configure(configuration(interval=NEVER))
    service.append("")
    service.start()
    service.append(lines(10))
    process = service.show("MainPID")
    service.configure(configuration(interval="1s"))
    service.reload()
    with service.follow() as journal:
        journal.until(lambda entry: is_notice(kinds.RELOADED, entry))
        service.append(lines(5))
        await_requests(journal, 15)
        journal.until(is_report)
    assert service.show("StatusText").endswith("; 15 requests in total")
    assert (service.show("MainPID"), service.show("ActiveState")) == (process, "active")
    service.stop()
    assert sum(map(requests, service.entries())) == 15


@on_one
@pytest.mark.parametrize(
    "bad",
    ["interval = 'often'\n", "[log.access\n", configuration() + "colour = 'red'\n", None],
    ids=["value", "syntax", "unknown key", "missing file"],
)
@pytest.mark.parametrize("way", ["reload", "signal"])
def test_a_bad_configuration_is_refused_and_the_service_goes_on_with_the_old(
    service: Service, bad: str | None, way: str
) -> None:
    service.configure(configuration())
    service.append("")
    service.start()
    process = service.show("MainPID")
    with service.follow() as journal:
        service.append(lines(10))
        await_requests(journal, 10)
        if bad is None:
            service.remove_configuration()
        else:
            service.configure(bad)
        if way == "reload":
            with pytest.raises(GuestError, match=r"qps-reporter\.toml: "):
                service.reload()
        else:
            # From who doesn't know of the check in the unit's ExecReload=.
            service.guest.systemctl("kill", "--signal=HUP", UNIT)
            refused = journal.until(lambda entry: is_notice(kinds.RELOAD_REFUSED, entry))
            assert int(refused["PRIORITY"]) <= 3
            assert "qps-reporter.toml" in refused["MESSAGE"]
        service.append(lines(5))
        await_requests(journal, 15)
        journal.until(is_report)
    assert service.show("StatusText").endswith("; 15 requests in total")
    assert (service.show("MainPID"), service.show("ActiveState")) == (process, "active")
    service.stop()
    assert sum(map(requests, service.entries())) == 15


@on_one
def test_a_bad_configuration_is_refused_at_the_start_and_said(service: Service) -> None:
    service.configure("interval = 'often'\n")
    with pytest.raises(GuestError, match="interval: expected a duration"):
        service.start()
    assert service.show("MainPID") == "0"


def hang_until_killed(service: Service, journal: JournalStream, timeout: float) -> None:
    """Start, see a report, make the next read hang; returns when the watchdog has struck."""
    service.configure(configuration())
    service.append("")
    service.start()
    service.append(lines(10))
    await_requests(journal, 10)
    service.trigger()
    service.append(lines(5))
    journal.until(lambda entry: ended_by("watchdog", entry), timeout)


def test_the_watchdog_kills_a_hung_read_and_the_service_goes_on(service: Service) -> None:
    service.inject(faults.READ_HANGS, WatchdogSec="2s", LimitCORE="0")
    with service.follow() as journal:
        hang_until_killed(service, journal, timeout=60)
        journal.until(lambda entry: is_notice(kinds.FOLLOWING, entry))
        service.append(lines(7))
        await_requests(journal, 17)
    assert (service.show("NRestarts"), service.show("ActiveState")) == ("1", "active")
    # Where it hung stands in the journal.
    assert any(" in hanging_pread" in entry["MESSAGE"] for entry in service.entries())


@pytest.mark.twin
@on_one
def test_a_watchdog_ping_from_a_thread_is_noticed(service: Service) -> None:
    service.inject(faults.READ_HANGS + faults.WATCHDOG_FROM_A_THREAD, WatchdogSec="2s", TimeoutStopSec="1s")
    with service.follow() as journal, pytest.raises(GuestError):
        hang_until_killed(service, journal, timeout=6)


def test_stop_ends_with_a_last_report(service: Service) -> None:
    service.configure(configuration(interval=NEVER))
    service.append(lines(3))
    service.start()
    service.append(lines(10))
    service.stop()
    (report,) = service.reports()
    check_report(report)
    assert report["QPS_REQUESTS"] == "10"
    assert (service.show("Result"), service.show("ExecMainStatus")) == ("success", "0")


def stop_unasked(service: Service, journal: JournalStream, timeout: float) -> None:
    """Have the service stop by a signal of which systemd doesn't know; only a service that has said
    STOPPING=1 is then held to TimeoutStopSec."""
    service.configure(configuration(interval=NEVER))
    service.append("")
    service.start()
    service.guest.systemctl("kill", "--signal=TERM", UNIT)
    journal.until(lambda entry: ended_by("timeout", entry), timeout)


def test_systemd_is_told_of_a_stop(service: Service) -> None:
    service.inject(faults.STOP_HANGS, TimeoutStopSec="1s", Restart="no")
    with service.follow() as journal:
        stop_unasked(service, journal, timeout=60)


@pytest.mark.twin
@on_one
def test_a_stop_that_is_not_told_is_noticed(service: Service) -> None:
    service.inject(faults.STOP_HANGS_UNTOLD, TimeoutStopSec="1s", Restart="no")
    with service.follow() as journal, pytest.raises(GuestError):
        stop_unasked(service, journal, timeout=4)


@on_one
def test_logrotate_loses_nothing(service: Service) -> None:
    service.configure(configuration())
    service.append("")
    service.guest.write(
        "/etc/logrotate.d/access",
        f"{LOG} {{\n rotate 5\n compress\n delaycompress\n create 0640 root adm\n}}\n",
    )
    service.start()
    with service.follow() as journal:
        for rotated in range(1, 4):
            service.append(lines(100))
            service.guest.run("logrotate", "--force", "/etc/logrotate.d/access")
            await_requests(journal, 100 * rotated)
    service.append(lines(100))
    service.stop()
    assert service.log(".2.gz").exists()
    assert sum(map(requests, service.entries())) == 400


@on_one
def test_check_tells_whether_the_service_user_can_read_the_log(service: Service) -> None:
    service.configure(configuration())
    service.append(lines(1))
    command = ("qps-reporter", "check", "--config", "/etc/qps-reporter/qps-reporter.toml")
    readable = service.guest.run(*command, check=False)
    assert readable.returncode == 0, readable.stdout + readable.stderr
    service.log().chmod(0o600)
    unreadable = service.guest.run(*command, check=False)
    assert unreadable.returncode == 1, unreadable.stdout + unreadable.stderr
    assert LOG in unreadable.stdout + unreadable.stderr
