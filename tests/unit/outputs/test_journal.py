"""The journal's entries, field by field, and where notices go."""

import errno
import json
import os
import select
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

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
from qps_service.values.entries import PossibleLoss
from qps_service.values.reports import Report, Row, Window
from tests.limits import Doubled
from tests.promised import Promise, promises, says_each, twin
from tests.unit.handed_over import emit

SECOND = 10**9

COUNTS = {
    Key(b"POST", b"/\xff", 200): Counts(3, 2**64),
    Key(b"GET", b"/a", 200): Counts(1, 5),
    Key(b"GET", b"/a", 99): Counts(2, 0),
}
REPORT = make_report(Window("access", 0, 3 * SECOND, COUNTS, {"fields": 4}), sequence=7, at=0, named=True)


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
        "QPS_SECONDS": "3.0",
        "QPS_REQUESTS": "6",
        "QPS_TOTAL": "2.0",
        "QPS_REJECTED": "4",
    }
    assert rows == [
        {"method": "GET", "route": "/a", "status": 99, "requests": 2, "bytes": 0, "rate": 2 / 3},
        {"method": "GET", "route": "/a", "status": 200, "requests": 1, "bytes": 5, "rate": 1 / 3},
        {"method": "POST", "route": r"/\xff", "status": 200, "requests": 3, "bytes": 2**64, "rate": 1.0},
    ]


def test_rates_survive_exactly() -> None:
    report = make_report(Window("a", 0, 7 * SECOND + 1, COUNTS, {}), sequence=1, at=0, named=False)
    fields = report_fields(report)
    assert float(fields["QPS_SECONDS"]) == 7.000000001
    assert float(fields["QPS_TOTAL"]) == 6 / 7.000000001


def test_a_hostile_route_adds_no_field() -> None:
    counts = {Key(b"GET", b"/\nPRIORITY=0\n", 200): Counts(1, 0)}
    fields = report_fields(make_report(Window("a", 0, SECOND, counts, {}), sequence=1, at=0, named=False))
    assert "\n" not in fields["QPS_ROWS"]
    assert r"/\x0aPRIORITY=0\x0a" in fields["MESSAGE"]


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
    assert journal.entries == [tuple(f"{name}={value}" for name, value in report_fields(REPORT).items())] * 2


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


def of_rows(change: Callable[[Row], Row]) -> Callable[[Report], dict[str, str]]:
    return lambda report: report_fields(report._replace(rows=tuple(map(change, report.rows))))


rounded = of_rows(lambda row: row._replace(rate=round(row.rate, 2)))
unescaped = of_rows(lambda row: row._replace(route=row.route.decode(errors="replace").encode()))


def taken_for(bytes_: str) -> Callable[[Notice], dict[str, str]]:
    """Nothing for unknown, or the other way round."""
    return lambda notice: (
        notice_fields(notice) | ({} if notice.loss and notice.loss.bytes else {"QPS_LOSS_BYTES": bytes_})
    )


def say_the_first_alone(output: JournalOutput, *arguments: Any) -> None:
    """A second failure, a week later, is never said."""
    failing = output.trouble._is_failing
    JournalOutput.emit(output, *arguments)
    output.trouble._is_failing |= failing


def write(board: NoticeBoard, notice: Notice) -> None:
    assert board._stderr is not None
    assert os.write(board._stderr, f"{notice.text}\n".encode())


test_promise, test_twin = promises(
    Promise(large_fields_have_no_rows, None, [Doubled("outputs.journal:LARGE")]),
    Promise(a_reports_fields, report_fields, {"rounded": rounded, "unescaped": unescaped}),
    Promise(
        a_possible_losss_fields,
        notice_fields,
        {"0 for unknown": taken_for("0"), "unknown for 0": taken_for("unknown")},
    ),
    Promise(
        failures_are_said_once_a_change,
        JournalOutput,
        [
            says_each(JournalOutput, "emit"),
            twin(JournalOutput, "the first alone", "emit", instead=say_the_first_alone),
        ],
    ),
    Promise(
        a_stderr_that_nobody_reads_blocks_nothing,
        NoticeBoard,
        [twin(NoticeBoard, "waits", "notify", instead=write)],
        caught=(BlockingIOError,),
    ),
)
