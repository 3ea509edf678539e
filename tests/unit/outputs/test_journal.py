"""The journal's entries, field by field, and where notices go."""

import errno
import json
import os
import select
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from qps_service.configuration.types import JournalConfig
from qps_service.notices.kinds import (
    OUTPUT_FAILED,
    OUTPUT_RESUMED,
    POSSIBLE_LOSS,
    REPORT_MESSAGE_ID,
    ROTATED,
    UNREADABLE,
    Notice,
)
from qps_service.outputs import journal
from qps_service.outputs.journal import (
    JournalOutput,
    NoticeBoard,
    is_journal,
    notice_fields,
    report_fields,
)
from qps_service.reporting.report import make_report
from qps_service.reporting.text import render_text
from qps_service.values.counts import Counts, Key
from qps_service.values.entries import Loss, PossibleLoss
from qps_service.values.latency import LatencyKey
from qps_service.values.reports import Report, Window
from tests.durations import DISTRIBUTIONS, latency_object, told
from tests.limits import Doubled
from tests.promised import Patches, Promise, promises, says_each, twin
from tests.unit.handed_over import OVERVIEW as NOBODY
from tests.unit.handed_over import STANDING, emit, overview

SECOND = 10**9

COUNTS = {
    Key(b"POST", b"/\xff\nPRIORITY=0\n", 200): Counts(3, 2**64),
    Key(b"GET", b"/a", 200): Counts(1, 5),
    Key(b"GET", b"/a", 99): Counts(2, 0),
}
TOOK = 3.000000001  # seconds
SHOWN = r"/\xff\x0aPRIORITY=0\x0a"  # which adds no field
REPORT = make_report(Window("access", 0, 3 * SECOND + 1, COUNTS, {"fields": 4}), sequence=7, at=0, named=True)


# --- a report's entry


def large_fields_have_no_rows() -> None:
    """Of 4 Mi characters, and of a little more."""
    keys = (Key(b"GET", b"/%04d" % number + b"x" * 1019, 200) for number in range(4096))
    counts = dict.fromkeys(keys, Counts(1, 1))
    large = make_report(Window("access", 0, SECOND, counts, {}), sequence=1, at=0, named=False)
    small = large._replace(rows=large.rows[:3600])
    assert len(report_fields(small)["QPS_ROWS"]) > 3_900_000
    assert report_fields(large)["QPS_ROWS"] == ""


def test_rows_that_are_too_many_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a field that would be longer than LARGE; the sums are always there."""
    whole = report_fields(REPORT)
    longest = len(whole["QPS_ROWS"])
    assert len(whole["MESSAGE"]) < longest
    monkeypatch.setattr(journal, "LARGE", longest)
    assert report_fields(REPORT) == whole
    monkeypatch.setattr(journal, "LARGE", longest - 1)
    assert report_fields(REPORT) == whole | {"QPS_ROWS": ""}
    monkeypatch.setattr(journal, "LARGE", len(whole["MESSAGE"]) - 1)
    short = render_text(REPORT._replace(rows=()))
    assert report_fields(REPORT) == whole | {"QPS_ROWS": "", "MESSAGE": short}
    assert short.splitlines()[-2].startswith("total\t")


def a_reports_fields(fields_of: Callable[[Report], Mapping[str, str]]) -> None:
    """The numbers are those that were counted, not those rounded for people."""
    assert REPORT_MESSAGE_ID == "c06d9b30cc7b47849d384a0dfa9edfde"
    fields = dict(fields_of(REPORT))
    rows = json.loads(fields.pop("QPS_ROWS"))
    assert fields == {
        "MESSAGE": render_text(REPORT),
        "MESSAGE_ID": "c06d9b30cc7b47849d384a0dfa9edfde",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "qps-reporter",
        "QPS_LOG": "access",
        "QPS_SEQUENCE": "7",
        "QPS_SECONDS": "3.000000001",
        "QPS_REQUESTS": "6",
        "QPS_TOTAL": str(6 / TOOK),
        "QPS_REJECTED": "4",
    }
    key, durations = LatencyKey(b"/\xff\nPRIORITY=0\n", 2), DISTRIBUTIONS["two peaks"]
    latencies = {LatencyKey(b"/fast", 2): told([1]), key: told(durations)}
    told_of = json.loads(fields_of(REPORT._replace(latencies=latencies)).get("QPS_LATENCY", "[]"))
    assert told_of == [
        {"route": "/fast", "class": "2xx", **latency_object([1])},
        {"route": SHOWN, "class": "2xx", **latency_object(durations)},
    ]
    slowest = json.loads(report_fields(REPORT._replace(latencies=latencies), 1)["QPS_LATENCY"])
    assert slowest == told_of[1:]
    assert rows == [
        {"method": "GET", "route": "/a", "status": 99, "requests": 2, "bytes": 0, "rate": 2 / TOOK},
        {"method": "GET", "route": "/a", "status": 200, "requests": 1, "bytes": 5, "rate": 1 / TOOK},
        {"method": "POST", "route": SHOWN, "status": 200, "requests": 3, "bytes": 2**64, "rate": 3 / TOOK},
    ]


# --- a notice's entry


def test_a_notices_fields() -> None:
    fields = {
        "MESSAGE": "log rotated",
        "MESSAGE_ID": "8ef58764d06f4886852f36e616312c51",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "qps-reporter",
    }
    assert notice_fields(Notice(ROTATED, "log rotated")) == fields
    assert notice_fields(Notice(ROTATED, "log rotated", "access")) == fields | {"QPS_LOG": "access"}
    assert notice_fields(Notice(UNREADABLE, "x"))["PRIORITY"] == "3"
    assert notice_fields(Notice(ROTATED, "\udcff"))["MESSAGE"] == r"\udcff"  # of a path that is no UTF-8


def a_possible_losss_fields(fields_of: Callable[[Notice], Mapping[str, str]]) -> None:
    """How many bytes at most, and of which file; what is not known is not a number."""
    for most, expected in ((17, "17"), (0, "0"), (2**64, str(2**64)), (None, "unknown")):
        loss = PossibleLoss(what="truncated", name="/var/log/a.\udcff", bytes=most)
        fields = fields_of(Notice(POSSIBLE_LOSS, "possible loss", "access", loss))
        assert fields == {
            "MESSAGE": "possible loss",
            "MESSAGE_ID": "bedd2003aefd447149e69f9d23a06b25",
            "PRIORITY": "4",
            "SYSLOG_IDENTIFIER": "qps-reporter",
            "QPS_LOG": "access",
            "QPS_LOSS_BYTES": expected,
            "QPS_LOSS_FILE": r"/var/log/a.\udcff",
        }


# --- whether a stream is the journal


def test_what_is_the_journal(tmp_path: Path) -> None:
    (tmp_path / "stream").touch()
    status = (tmp_path / "stream").stat()
    with (tmp_path / "stream").open() as stream, (tmp_path / "other").open("w") as other:
        for value, expected in (
            (f"{status.st_dev}:{status.st_ino}", True),
            (f"{status.st_dev}:{status.st_ino + 1}", False),
            (f"{status.st_dev + 1}:{status.st_ino}", False),
            ("", False),
        ):
            assert is_journal(stream.fileno(), {"JOURNAL_STREAM": value}) is expected
        assert not is_journal(other.fileno(), {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        assert not is_journal(stream.fileno(), {})
    assert not is_journal(-1, {"JOURNAL_STREAM": ""})


# --- what goes into a journal that all services share


def many(numbers: Mapping[tuple[bytes, bytes, int], int]) -> Report:
    counts = {Key(*key): Counts(requests, 2 * requests) for key, requests in numbers.items()}
    return make_report(Window("access", 0, SECOND, counts, {}), sequence=1, at=0, named=False)


BUSY = many(
    {
        (b"GET", b"/a", 200): 50,
        (b"GET", b"/b", 500): 1,
        (b"GET", b"/c", 200): 20,
        (b"POST", b"/c", 200): 31,
        (b"GET", b"/d", 599): 2,
        (b"GET", b"/e", 600): 7,
        (b"GET", b"rest", 400): 6,
    }
)


def the_rows_to_look_at_come_first(fields_of: Callable[..., Mapping[str, str]]) -> None:
    """Those with a 5xx, then those with the most requests; the rest is summed, so that all add up."""
    head, total = f"{time.ctime(0)}\n{'=' * 29}\n", "total\t-\t117\n\n"
    ordered = ["/d\t599\t2", "/b\t500\t1", "/c\t200\t51", "/a\t200\t50", "/e\t600\t7", "\\x72est\t400\t6"]
    for most, rest in ((0, 117), (1, 115), (3, 63), (5, 6), (6, 0), (20, 0)):
        fields = fields_of(BUSY, most)
        rows = [*ordered[:most], *([f"rest\t-\t{rest}"] if rest else [])]
        assert fields["MESSAGE"] == head + "".join(f"{row}\n" for row in rows) + total
        decoded = json.loads(fields["QPS_ROWS"])
        assert len(decoded) == min(most + 1, 7)
        assert sum(row["requests"] for row in decoded) == int(fields["QPS_REQUESTS"]) == 117
        assert sum(row["bytes"] for row in decoded) == 234
    assert json.loads(fields_of(BUSY, 4)["QPS_ROWS"])[2:] == [
        {"method": "GET", "route": "/a", "status": 200, "requests": 50, "bytes": 100, "rate": 50.0},
        {"method": "POST", "route": "/c", "status": 200, "requests": 31, "bytes": 62, "rate": 31.0},
        {"method": None, "route": None, "status": None, "rows": 3, "requests": 33, "bytes": 66, "rate": 33.0},
    ]


HOUR = 3600 * SECOND


def says_nothing(notice: Notice) -> None:
    pytest.fail(notice.text)


OVERVIEW = NOBODY._replace(logs=(STANDING,))
EMPTY = many({})
MISSING = EMPTY._replace(waiting="waiting for /var/log/access.log")
LOSS = Loss(0, "truncated", "/var/log/access.log", 17)


def idle_logs_are_quiet(make: type[JournalOutput]) -> None:
    """Nothing but a line an hour, or as often as it is set; what a log says is told at once."""
    hourly = [10, 3610, 3630, 7230]
    for idle, expected in (
        (HOUR, hourly),
        (None, [3630]),
        (0, [*range(10, 7261, 10)]),
        (2 * HOUR, [10, 3630]),
    ):
        journal = Journal()
        output = make(journal.send, says_nothing, JournalConfig(20, idle))
        told, entries = [], 0
        for second in range(10, 7261, 10):
            report = REPORT if second == 3630 else EMPTY
            output.emit([report._replace(log="access")], OVERVIEW, second * SECOND)
            if len(journal.entries) > entries:
                told.append(second)
            entries = len(journal.entries)
        assert told == expected
        if idle == HOUR:
            lines = [f"MESSAGE=access: no requests for {span}\n" for span in ("1s", "1h", "1h")]
            assert [entry[0] for entry in journal.entries if entry[0].count("\n") == 1] == lines
            assert [entry[6] for entry in journal.entries] == [
                f"QPS_SECONDS={seconds}" for seconds in ("1.0", "3600.0", "3.000000001", "3600.0")
            ]


def what_is_no_silence_is_told(make: type[JournalOutput]) -> None:
    """Rejected lines and losses are; a log that is missing is not said to have no requests."""
    for change, entries in (
        (EMPTY, 1),
        (EMPTY._replace(rejected=1), 3),
        (EMPTY._replace(losses=(LOSS,)), 3),
        (MISSING, 0),
        (MISSING._replace(rejected=1), 3),
        (REPORT._replace(waiting=MISSING.waiting), 3),
    ):
        journal = Journal()
        output = make(journal.send, says_nothing)
        for second in range(3):
            output.emit([change], OVERVIEW, second * SECOND)
        assert len(journal.entries) == entries


JOURNALD = 1500  # bytes that journald adds to an entry, at most, before it compresses


def a_day_is_below_50_mb(config: JournalConfig) -> None:
    """Of a log with 1,000 routes in each window of 10 seconds, and of five that are idle."""
    routes = (b"/api/v1/customers/%04d/details" % number for number in range(1000))
    busy = many({(b"GET", route, 200 + 100 * (number % 4)): 97 for number, route in enumerate(routes)})
    idle = [EMPTY._replace(log=f"log{number}") for number in range(5)]
    journal = Journal()
    output = JournalOutput(journal.send, says_nothing, config)
    followed = NOBODY._replace(logs=tuple(STANDING._replace(log=each.log) for each in (busy, *idle)))
    windows = 400  # more than an hour of them
    for number in range(windows):
        output.emit([busy, *idle] if number % 100 == 0 else idle, followed, number * 10 * SECOND)
    of_busy = [entry for entry in journal.entries if "QPS_LOG=access" in entry]
    others = [entry for entry in journal.entries if "QPS_LOG=access" not in entry]
    assert len(of_busy) == windows // 100
    weight = sum(100 * size_of(entry) for entry in of_busy) + sum(map(size_of, others))
    assert weight * 8640 / windows < 50_000_000


def size_of(entry: tuple[str, ...]) -> int:
    return sum(map(len, entry)) + JOURNALD


def test_logs_are_told_apart_and_forgotten_when_they_go() -> None:
    journal = Journal()
    output = JournalOutput(journal.send, says_nothing)
    others = [EMPTY._replace(log=f"log{number}") for number in range(3)]
    followed = overview(*(STANDING._replace(log=each.log) for each in others))
    for now in (0, SECOND):
        output.emit(others, followed, now)
    assert len(journal.entries) == 3
    output.emit([], overview(), 2 * SECOND)
    assert not output._told


# --- a journal that takes nothing


class Journal:
    """Takes entries, or fails."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, ...]] = []
        self.fails = False

    def send(self, *fields: str) -> None:
        if self.fails:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        self.entries.append(fields)


def failures_are_said_once_a_change(make: type[JournalOutput]) -> None:
    """Once when it begins to fail, and again only after it has worked."""
    journal = Journal()
    said: list[Notice] = []
    output = make(journal.send, said.append)
    failed = Notice(OUTPUT_FAILED, "cannot write to the journal: No such file or directory")
    resumed = Notice(OUTPUT_RESUMED, "the journal takes reports again")
    for fails, expected in ((0, 0), (1, 1), (1, 1), (0, 2), (1, 3), (1, 3)):
        journal.fails = bool(fails)
        emit(output, REPORT)
        assert said == [failed, resumed, failed][:expected]
    output.close()
    entry = tuple(f"{name}={value}" for name, value in report_fields(REPORT, 20).items())
    assert journal.entries == [entry] * 2


# --- where notices go


@pytest.mark.parametrize("to_stderr", [True, False])
@pytest.mark.parametrize("journal", ["works", "fails", "is missing"])
def test_notices_go_to_the_journal_and_to_a_stderr_that_is_not_it(journal: str, to_stderr: bool) -> None:
    notice = Notice(ROTATED, "größer \udcff", "access")
    there = Journal()
    there.fails = journal == "fails"
    read_end, write_end = os.pipe()
    board = NoticeBoard(None if journal == "is missing" else there.send, write_end if to_stderr else None)
    board.notify(notice)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        assert pipe.read() == ("qps-reporter: größer \\udcff\n".encode() if to_stderr else b"")
    entry = tuple(f"{name}={value}" for name, value in notice_fields(notice).items())
    assert there.entries == ([entry] if journal == "works" else [])


def test_a_stderr_that_is_closed_ends_nothing() -> None:
    read_end, write_end = os.pipe()
    board = NoticeBoard(None, write_end)
    os.close(read_end)
    board.notify(Notice(ROTATED, "x"))
    os.close(write_end)
    board.notify(Notice(ROTATED, "x"))


def a_stderr_that_nobody_reads_blocks_nothing(make: type[NoticeBoard]) -> None:
    """Notices to a stderr that nobody reads are dropped; the pipe is full, so a plain write would wait."""
    read_end, write_end = os.pipe()
    board = make(None, write_end)
    os.set_blocking(write_end, False)  # so that a twin fails instead of waiting for ever
    for _ in range(100):
        board.notify(Notice(ROTATED, "x" * 5000))
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        lines = pipe.read().splitlines()
    assert len(lines) > 1
    assert set(lines) == {b"qps-reporter: ".ljust(select.PIPE_BUF - 1, b"x")}


# --- the promises


def rounded(report: Report) -> dict[str, str]:
    return report_fields(
        report._replace(rows=tuple(row._replace(rate=round(row.rate, 2)) for row in report.rows))
    )


def write(board: NoticeBoard, notice: Notice) -> None:
    assert board._stderr is not None
    assert os.write(board._stderr, f"{notice.text}\n".encode())


NEVER = twin(JournalOutput, "never", "_fields", first=lambda self: self._told.update(access=1 << 62))
ALWAYS = twin(JournalOutput, "always", "_fields", first=lambda self: self._told.clear())
SILENT = {
    "missing": Patches((Report, "waiting", None)),
    "rejected": Patches((Report, "is_empty", property(lambda self: not self.requests))),
    "all": Patches((Report, "is_empty", True)),
}
IN_THEIR_ORDER = {"all": lambda report, most: report_fields(report._replace(rows=report.rows[:most]))}
UNKNOWN_FOR_0 = {"unknown": lambda notice: notice_fields(notice) | {"QPS_LOSS_BYTES": "unknown"}}
WAITS = twin(NoticeBoard, "waits", "notify", instead=write)
test_promise, test_twin = promises(
    Promise(large_fields_have_no_rows, None, [Doubled("outputs.journal:LARGE")]),
    Promise(the_rows_to_look_at_come_first, report_fields, IN_THEIR_ORDER),
    Promise(a_day_is_below_50_mb, JournalConfig(), {"100 rows": JournalConfig(rows=100)}),
    Promise(idle_logs_are_quiet, JournalOutput, [NEVER, ALWAYS]),
    Promise(what_is_no_silence_is_told, JournalOutput, SILENT),
    Promise(a_reports_fields, report_fields, [rounded]),
    Promise(a_possible_losss_fields, notice_fields, UNKNOWN_FOR_0),
    Promise(failures_are_said_once_a_change, JournalOutput, [says_each(JournalOutput, "emit")]),
    Promise(a_stderr_that_nobody_reads_blocks_nothing, NoticeBoard, [WAITS], caught=(BlockingIOError,)),
)
