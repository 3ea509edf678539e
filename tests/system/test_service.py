"""qps-reporter.service under a booted systemd: readiness, status, journal, reload, watchdog, stop.

Each test begins without log, state or journal entries of the ones before.
"""

import json
from collections.abc import Callable, Container, Iterator, Mapping

import pytest

from qps_service.notices import kinds
from tests.system import faults
from tests.system.checks import check_report
from tests.system.debians import on_one
from tests.system.image import GuestError
from tests.system.journal import JournalStream
from tests.system.service import (
    LEDGER,
    LOG,
    NEVER,
    PAGE,
    UNIT,
    Service,
    await_requests,
    configuration,
    ended_by,
    is_report,
    lines,
    rows,
    says,
)

pytestmark = pytest.mark.system


def check_ready(service: Service) -> None:
    """The log is open and its directory is watched."""
    script = 'readlink /proc/"$0"/fd/*; cat /proc/"$0"/fdinfo/*'
    held = service.guest.run("sh", "-c", script, service.show("MainPID")).stdout
    assert LOG in held.splitlines()
    assert f" ino:{service.log().parent.stat().st_ino:x} " in held


def test_start_returns_when_the_service_is_ready(service: Service) -> None:
    service.begin(NEVER, lines(3))
    check_ready(service)


@pytest.mark.twin
@on_one
def test_a_service_that_is_ready_too_early_is_noticed(service: Service) -> None:
    service.inject(faults.say_ready_at_once)
    service.begin(NEVER, lines(3))
    with pytest.raises(AssertionError):
        check_ready(service)


def test_it_is_not_ready_before_the_first_read_is_done(service: Service) -> None:
    service.inject(faults.read_hangs, TimeoutStartSec="2s", TimeoutStopSec="1s", Restart="no")
    service.configure(configuration(interval=NEVER))
    service.append(lines(3))
    service.trigger()
    with pytest.raises(GuestError):
        service.start()
    assert service.show("Result") == "timeout"


def test_stop_ends_with_a_last_report_which_is_one_whole_journal_entry_with_fields(service: Service) -> None:
    service.begin(NEVER, lines(3))
    many = [f"/{number:04}/{'x' * 100}" for number in range(498)]  # with the others, as many as get a name
    service.append(lines(8) + lines(2, status=500) + lines(1, "/a\x1b[31m\\b"))
    service.append("".join(lines(1, route) for route in many))
    service.stop()
    (report,) = service.reports()
    check_report(report)
    assert (report["QPS_LOG"], report["QPS_REQUESTS"], report["QPS_SEQUENCE"]) == ("access", "509", "1")
    assert report["_SYSTEMD_UNIT"] == UNIT
    few = {("GET", "/", 200): 8, ("GET", "/", 500): 2, ("GET", r"/a\x1b[31m\\b", 200): 1}
    counted = {(row["method"], row["route"], row["status"]): row["requests"] for row in rows(report)}
    assert counted == few | {("GET", route, 200): 1 for route in many}
    assert (service.show("Result"), service.show("ExecMainStatus")) == ("success", "0")


OTHER = "/var/log/other.log"


@pytest.fixture
def beside(service: Service) -> Iterator[Service]:
    """The service, with one log more, whose reports tell that windows pass."""
    service.configure(f'{configuration()}[log.other]\npath = "{OTHER}"\n')
    service.guest.write(OTHER, "")
    yield service
    service.guest.path(OTHER).unlink()


@on_one
def test_an_unreadable_log_is_said_once_and_picked_up_when_readable(beside: Service) -> None:
    service = beside
    service.append(lines(4))
    service.log().chmod(0o600)
    service.start()
    with service.follow() as journal:
        said = journal.until(says(kinds.UNREADABLE))
        assert LOG in said["MESSAGE"]
        assert "_qps-reporter" in said["MESSAGE"]
        assert "-rw-------" in said["MESSAGE"] or "0600" in said["MESSAGE"]
        for _ in range(3):  # two whole windows pass
            journal.until(lambda entry: is_report(entry) and entry["QPS_LOG"] == "other")
        service.log().chmod(0o640)
        journal.until(says(kinds.FOLLOWING))
        # After the first read, which no window has: it was out of reach for longer.
        journal.until(lambda entry: is_report(entry) and entry["QPS_LOG"] == "access")
        service.append(lines(5))
        await_requests(journal, 5)
    assert len(service.said(kinds.UNREADABLE)) == 1
    assert service.requests() == 5
    assert service.show("StatusText").endswith("; 9 requests in total")


def hang_until_killed(service: Service, journal: JournalStream, timeout: float) -> None:
    """Start, see a report, make the next read hang; returns when the watchdog has struck."""
    service.begin()
    service.append(lines(10))
    await_requests(journal, 10)
    service.trigger()
    service.append(lines(5))
    journal.until(ended_by("watchdog"), timeout)


def test_the_watchdog_kills_a_hung_read_and_the_service_goes_on(service: Service) -> None:
    service.inject(faults.read_hangs, WatchdogSec="2s", LimitCORE="0")
    with service.follow() as journal:
        hang_until_killed(service, journal, timeout=60)
        journal.until(says(kinds.FOLLOWING))
        service.append(lines(7))
        await_requests(journal, 17)
    assert (service.show("NRestarts"), service.show("ActiveState")) == ("1", "active")
    # Where it hung stands in the journal.
    assert any(" in hanging_pread" in entry["MESSAGE"] for entry in service.entries())


@pytest.mark.twin
@on_one
def test_a_watchdog_ping_from_a_thread_is_noticed(service: Service) -> None:
    service.inject(
        faults.read_hangs, faults.feed_the_watchdog_from_a_thread, WatchdogSec="2s", TimeoutStopSec="1s"
    )
    with service.follow() as journal, pytest.raises(GuestError):
        hang_until_killed(service, journal, timeout=6)


# --- what the kernel and systemd hold it to

HELD = {"files": {4096}, "tasks": {64}, "memory": range(200, 257)}  # MiB, beside those that it had before
PAGE_HELD = {"tasks": {16}, "memory": range(200, 257)}
MENDED = "/run/faults/mended"
EXITED = "98e322203f7a4ed290d09fe03c09fe15"  # SD_MESSAGE_UNIT_PROCESS_EXIT


def beyond(held: Service, begin: Callable[[], object], **settings: str) -> dict[str, int]:
    """How much of each a unit's process has when it gets no more: of memory, when it is killed."""
    held.inject(faults.take_all, LimitCORE="0", MemorySwapMax="0", RestartSec="0", **settings)
    held.guest.run("mkfifo", "--mode=666", faults.GATE)
    before = held.guest.journal_cursor()
    begin()
    held.guest.hold(held.unit)
    with held.guest.follow(f"--unit={held.unit}", after=before) as journal:
        held.guest.run("sh", "-c", f"echo >{faults.GATE}")
        journal.until(lambda entry: "UNIT_RESULT" in entry)
    told = held.guest.path(faults.REACHED).read_text().splitlines()
    return {name: int(figure) for name, figure in map(str.split, told)}


def unheld(found: dict[str, int], held: Mapping[str, Container[int]]) -> list[str]:
    """What is another figure."""
    return [name for name, figures in held.items() if found[name] not in figures]


@on_one
def test_no_more_files_tasks_or_memory_than_its_unit_says_and_it_counts_on(service: Service) -> None:
    found = beyond(service, service.begin)
    assert unheld(found, HELD) == []
    with service.follow() as journal:
        service.append(lines(7))
        await_requests(journal, 7)
    assert (service.show("NRestarts"), service.show("ActiveState")) == ("1", "active")


@pytest.mark.twin
@on_one
def test_twice_as_many_files_tasks_and_memory_are_noticed(service: Service) -> None:
    found = beyond(service, service.begin, LimitNOFILE="8192", TasksMax="128", MemoryMax="512M")
    assert unheld(found, HELD) == ["files", "tasks", "memory"]


def failed_starts(service: Service, **settings: str) -> int:
    """Of a service that cannot start, until systemd gives up."""
    service.override(ExecStartPre=f"\nExecStartPre=+/usr/bin/test -e {MENDED}", RestartSec="0", **settings)
    with service.follow() as journal:
        with pytest.raises(GuestError):
            service.start()
        journal.until(lambda entry: "Start request repeated too quickly" in entry["MESSAGE"])
    return sum(entry.get("MESSAGE_ID") == EXITED for entry in service.entries())


@on_one
def test_systemd_gives_up_after_ten_starts_until_the_failures_are_reset(service: Service) -> None:
    assert failed_starts(service) == 10
    service.guest.write(MENDED, "")
    with pytest.raises(GuestError):
        service.begin()
    service.guest.systemctl("reset-failed", UNIT)
    service.start()


@pytest.mark.twin
@on_one
def test_twice_as_many_starts_are_noticed(service: Service) -> None:
    assert failed_starts(service, StartLimitBurst="20") == 20


# --- who looks at it


READER = ("setpriv", "--reuid=reader", "--regid=reader", "--init-groups", "--")


@pytest.fixture
def reader(service: Service) -> Iterator[Service]:
    """The service, with a user who is in its group and has no other rights, and with the page."""
    service.guest.install("curl", "python3-waitress", "libjs-dygraphs")
    service.guest.run("useradd", "--groups=_qps-reporter", "reader")
    service.guest.systemctl("start", "qps-reporter-web.socket")
    yield service
    service.guest.systemctl("stop", "qps-reporter-web.socket", "qps-reporter-web.service")
    service.guest.run("userdel", "reader")


def seen(service: Service) -> tuple[int, int, str]:
    """By this user: the requests of the history, and what `status` ends with and says first."""
    told = service.guest.run(*READER, "qps-reporter", "history", "--output=json").stdout
    shown = service.guest.run(*READER, "qps-reporter", "status", check=False)
    return json.loads(told)["total"]["requests"], shown.returncode, shown.stdout.partition(":")[0]


def seen_in_the_page(service: Service) -> tuple[int, bool, bool]:
    """As the page tells it, by a process of nobody's that systemd starts: requests, whether they are counted,
    and whether there are charts."""
    told = service.guest.run("curl", "--silent", "--show-error", "http://127.0.0.1:9146/state.json").stdout
    state = json.loads(told)
    return state["requests"], state["counting"], state["charts"]


def is_read_beside(service: Service, **settings: str) -> None:
    """The running service, the stopped one, and the killed one, that left what is in no file but the -wal."""
    service.override(Restart="no", **settings)
    service.begin()
    with service.follow() as journal:
        service.append(lines(3))
        await_requests(journal, 3)
        modes = [service.guest.run("stat", "--format=%a %U:%G", each).stdout for each in OF_THE_LEDGER]
        assert modes == [f"{mode} _qps-reporter:_qps-reporter\n" for mode in (750, 640, 640, 640)]
        assert seen(service) == (3, 0, "counting")
        assert seen_in_the_page(service) == (3, True, True)
        service.stop()
        assert seen(service) == (3, 1, "NOT COUNTING")
        assert seen_in_the_page(service) == (3, False, True)
        service.start()
        service.append(lines(4))
        await_requests(journal, 7)
        service.guest.systemctl("kill", "--signal=KILL", UNIT)
        journal.until(ended_by("signal"))
    assert service.guest.path(f"{LEDGER}-wal").stat().st_size
    assert seen(service) == (7, 1, "NOT COUNTING")
    # The page sees the ledger alone: a report that does not come tells it, some windows later.
    assert seen_in_the_page(service)[0] == 7


OF_THE_LEDGER = ("/var/lib/qps-reporter", LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm")


def test_whoever_is_in_its_group_reads_the_ledger_whatever_became_of_the_service(reader: Service) -> None:
    assert reader.show("UMask") == "0027"
    is_read_beside(reader)


@pytest.fixture
def page(reader: Service) -> Service:
    """The page's process, which systemd starts for whoever asks."""
    return Service(reader.guest, PAGE)


@on_one
def test_no_more_tasks_or_memory_than_the_pages_unit_says_and_it_is_there_again(
    reader: Service, page: Service
) -> None:
    reader.begin()
    assert unheld(beyond(page, lambda: seen_in_the_page(reader)), PAGE_HELD) == []
    assert seen_in_the_page(reader)[1:] == (True, True)
    assert (reader.show("NRestarts"), reader.show("ActiveState")) == ("0", "active")


@pytest.mark.twin
@on_one
def test_twice_as_many_tasks_and_memory_of_the_page_are_noticed(reader: Service, page: Service) -> None:
    reader.begin()
    found = beyond(page, lambda: seen_in_the_page(reader), TasksMax="32", MemoryMax="512M")
    assert unheld(found, PAGE_HELD) == ["tasks", "memory"]


@pytest.mark.twin
@on_one
def test_a_ledger_that_its_group_cannot_read_is_noticed(reader: Service) -> None:
    with pytest.raises(AssertionError):
        is_read_beside(reader, UMask="0077")
