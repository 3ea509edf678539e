"""`qps-reporter history` and `qps-reporter status`, as they are called: what they print, and how they end."""

import errno
import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qps_service.cli import main
from qps_service.commands import history, status
from qps_service.commands import reading as commands_reading
from qps_service.errors import EXIT_OK, EXIT_PROBLEM, EXIT_USAGE
from qps_service.files.kernel import group_name
from qps_service.ledger import queries
from qps_service.looking import state as screen
from qps_service.looking.table import SORTS
from qps_service.reporting.selection import Selection
from qps_service.service.state_directory import StateDirectory
from qps_service.values.entries import STARTED, STOPPED, Event, Loss
from qps_service.values.latency import LatencyKey
from tests.durations import told as durations_told
from tests.ledgers import entry, latencies_of, opened
from tests.promised import Patches, Promise, answers, promises

SECOND = 10**9
NOON = 1_795_867_200 * SECOND  # 2026-11-28 12:00 UTC
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state directory; it is noon, and summer time is a thing of others."""
    monkeypatch.setattr(time, "time_ns", lambda: NOON)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield tmp_path
    monkeypatch.undo()
    time.tzset()


def live(place: Path, *windows: tuple[int, int], events: tuple[Event, ...] = (), lost: bool = False) -> None:
    """A log with so many requests in windows of 10 s that ended so many seconds before noon."""
    ledger = opened(place / "ledger.db")
    for number, (seconds, requests) in enumerate(windows, 1):
        told = entry(range(requests), sequence=number, started=0, ended=10 * SECOND, rejected=number)
        at = NOON - seconds * SECOND
        losses = (Loss(at, "was truncated", "/x", 7),) if lost else ()
        ledger.commit([told._replace(at=at, events=events, losses=losses)], sequence=number)
        events = ()
    ledger.close()


def called(capsys: Captured, *arguments: str, exits: int = EXIT_OK) -> str:
    assert main([*arguments]) == exits
    out, err = capsys.readouterr()
    return out if exits == EXIT_OK else out + err


def check_one_question(place: Path, capsys: Captured) -> None:
    """What was the rate of one route at a time."""
    live(place, (125, 40), (115, 20), (60, 10), (5, 5))
    where = ("history", "--state", str(place))
    text = called(capsys, *where, "--route", "/7", "-S", "11:57", "-U", "11:58")
    assert text.splitlines()[:3] == [
        "log access: 2026-11-28 11:57:45 to 2026-11-28 11:57:55, by 10s",
        "time                 seconds  req/s  2xx  3xx  4xx  5xx  errors  bytes/s",
        "2026-11-28 11:57:50     10.0    0.1  0.1    0    0    0       0      0.7  ████████████████████",
    ]
    found = json.loads(called(capsys, *where, "--by", "1m", "--output", "json"))
    assert [(row["time"], row["requests"], row["seconds"]) for row in found["rows"]] == [
        ("2026-11-28T11:57:00Z", 40, 10.0),
        ("2026-11-28T11:58:00Z", 30, 20.0),
        ("2026-11-28T11:59:00Z", 5, 10.0),
    ]
    assert found["rejected"] == 10
    top = called(capsys, *where, "--by", "route", "--top", "2", "--sort", "requests", "--output", "csv")
    assert [line.split(",")[0] for line in top.splitlines()] == ["route", "/0", "/1"]
    compared = (*where, "--compare", "1d", "--sort")
    sorts = [sort for sort in SORTS if "no durations" in called(capsys, *compared, sort)]
    assert sorts == ["p50", "p95", "p99"]
    assert "history begins at 2026-11-28 11:57:45\n" in called(capsys, *compared, "rate")
    assert "history begins" not in called(capsys, *where)
    (place / "told").mkdir()
    ledger = opened(place / "told" / "ledger.db")
    told = entry(range(5), started=0, ended=10 * SECOND)._replace(latencies=latencies_of(range(5)))
    ledger.commit([told._replace(at=NOON - 5 * SECOND)], sequence=1)
    ledger.close()
    assert "no durations" not in called(capsys, *where[:2], str(place / "told"), "--sort", "p95")


def check_nothing(place: Path, capsys: Captured) -> None:
    """There is nothing in the span, or nothing to look at: 1; the question is wrong: 2."""
    live(place, (125, 40), (5, 5))
    where = ("history", "--state", str(place))
    text = called(capsys, *where, "-U", "11:00", exits=EXIT_PROBLEM)
    assert text == (
        "qps-reporter: nothing between 2026-11-28 10:00:00 and 2026-11-28 11:00:00: "
        "history is from 2026-11-28 11:57:45 to 2026-11-28 11:59:55\n"
    )
    none = "none of the 5 requests between 2026-11-28 11:59:00 and 2026-11-28 12:00:00 fits "
    for words, fits in (
        ("--route /nope", "--route /nope"),
        ("--route /n* --route '/\x1b[2J' --by route", "--route /n* --route /\\x1b[2J"),
        ("--status 404 --route /1 --by status --output json", "--status 404"),
        ("--status 5xx --method PUT", "--status 5xx --method PUT"),
        ("--compare 1d --method PUT", "--method PUT"),
        ("--by route --route /30", "--route /30"),
    ):
        text = called(capsys, *where, "-S", "11:59", *shlex.split(words), exits=EXIT_PROBLEM)
        assert text == f"qps-reporter: {none}{fits}\n"
    for words in ("", "--status 200", "--status 2xx --method GET --route /*"):
        assert "  0.5  " in called(capsys, *where, "-S", "11:59", "--by", "1m", *words.split())
    for wrong in ("--log none", "-S 12:00", "-S 11:00 -U 10:00", "--sort change"):
        with pytest.MonkeyPatch.context():
            assert "--" in called(capsys, *where, *wrong.split(), exits=EXIT_USAGE)
    late = called(capsys, *where, "-S", "14:05", "-U", "14:06", exits=EXIT_USAGE)
    assert late == "qps-reporter: --since: expected a time before now, got 2026-11-28 14:05:00\n"
    missing = called(capsys, "history", "--state", str(place / "none"), exits=EXIT_PROBLEM)
    assert "cannot read the ledger" in missing


def check_one_screen(place: Path, capsys: Captured) -> None:
    """However long the routes are that clients ask for."""
    ledger = opened(place / "ledger.db")
    timed = {LatencyKey(b"/" + b"%d" % number * 5000, 2): durations_told([SECOND]) for number in range(4)}
    told = entry(range(5), started=0, ended=10 * SECOND)._replace(latencies=timed)
    ledger.commit([told._replace(at=NOON - 5 * SECOND)], sequence=1)
    ledger.close()
    lines = called(capsys, "status", "--state", str(place)).splitlines()
    (line,) = (line for line in lines if line.startswith("  slowest"))
    assert line.count("... 1s") == 3
    assert len(line) < 200


STARTS = (Event(NOON - 200 * SECOND, STARTED, "started"),)
STOPS = (*STARTS, Event(NOON - 4 * SECOND, STOPPED, "stopped"))
FIRST_LINES: dict[str, tuple[tuple[tuple[int, int], ...], tuple[Event, ...], int, str]] = {
    "counting": (
        *(((15, 40), (5, 5)), STARTS, 0),
        "counting: since 2026-11-28 11:56:40, last commit 5s ago, by no process that is seen\n",
    ),
    "hangs": (((915, 40), (905, 5)), STARTS, 1, "NOT COUNTING: last commit 15m 5s ago; no process is seen"),
    "stopped": (((15, 40), (5, 5)), STOPS, 1, "NOT COUNTING: stopped at 2026-11-28 11:59:56, last commit 5s"),
}


def check_status(how: str, place: Path, capsys: Captured) -> None:
    windows, events, exits, expected = FIRST_LINES[how]
    live(place, *windows, events=events, lost=True)
    text = called(capsys, "status", "--state", str(place), exits=exits)
    assert text.startswith(expected)
    assert "\n  last window  0.5 req/s, 4xx 0, 5xx 0, errors 0 (" in text
    assert "\n  last hour    2.25 req/s, 4xx 0, 5xx 0, errors 0 (" in text
    assert "\n  in total     45 requests, 3 rejected lines\n" in text
    assert "\n  LOSSES       2 possible ones, the last " in text
    assert "  2026-11-28 11:56:40  started  started\n" in text


def check_screen(place: Path, capsys: Captured) -> None:
    """Events stand in the order in which they happened. A log that never had anything is on the screen for as
    long as it is waited for, one that had a request or a rejected line for good."""
    ledger = opened(place / "ledger.db")
    for number, (log, seconds, requests, rejected) in enumerate(
        (("ghost", 99, 0, 0), ("odd", 99, 0, 1), ("old", 99, 1, 0), ("waits", 15, 0, 0), ("web", 5, 5, 0)), 1
    ):
        told = entry(range(requests), log=log, sequence=number, rejected=rejected)
        at = NOON - seconds * SECOND
        events = (Event(at + 4 * SECOND, STARTED, f"{log} later"), Event(at, STARTED, f"{log} first"))
        ledger.commit([told._replace(at=at, events=events if log == "web" else ())], sequence=number)
    ledger.close()
    text = called(capsys, "status", "--state", str(place))
    assert [line.split()[1] for line in text.splitlines() if line.startswith("log ")] == [
        *("odd:", "old:", "waits:", "web:")
    ]
    assert [line.split()[-1] for line in text.splitlines()[-2:]] == ["first", "later"]


def check_refused(place: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not read the ledger is told who may."""
    live(place, (5, 5))
    group = group_name(place.stat().st_gid)
    for error, told in ((errno.EACCES, f"; root may, and members of the group {group}"), (errno.EIO, "")):

        def fail(*_: object, error: int = error) -> Any:
            raise OSError(error, os.strerror(error))

        monkeypatch.setattr(os, "open", fail)
        text = called(capsys, "status", "--state", str(place), exits=EXIT_PROBLEM)
        monkeypatch.undo()
        assert text == f"qps-reporter: cannot read the ledger {place}/ledger.db: {os.strerror(error)}{told}\n"


def check_holder(place: Path, capsys: Captured) -> None:
    """Who has the directory is named, and a first window that is long is no trouble."""
    state = StateDirectory(str(place))
    state.acquire()
    try:
        live(place, (7200, 40), events=STARTS)
        text = called(capsys, "status", "--state", str(place))
    finally:
        state.release()
    assert text.startswith(f"counting: since 2026-11-28 11:56:40, last commit 2h ago, PID {os.getpid()}\n")


def check_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the unit that the directory belongs to; where systemd says nothing, nothing is said."""
    assert status.unit_of("/var/lib/qps-reporter") == "qps-reporter.service"
    assert status.unit_of("/var/lib/qps-reporter/shop") == "qps-reporter@shop.service"
    assert status.unit_of("/srv/counts") is None
    answers: list[Any] = [
        "Id=a.service\nActiveState=failed\nSubState=failed\nResult=watchdog\nNRestarts=3\nStatusText=\x1b[2J\n",
        FileNotFoundError(),
        subprocess.TimeoutExpired("systemctl", 2),
    ]

    def run(command: list[str], **_: object) -> Any:
        assert command[:2] == ["systemctl", "show"]
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return subprocess.CompletedProcess(command, 0, answer, "")

    monkeypatch.setattr(subprocess, "run", run)
    told = status.properties("a.service")
    line = "unit a.service: failed (failed), result watchdog, 3 restarts\n  \\x1b[2J"
    assert screen._unit(told) == line
    assert status.properties("a.service") == status.properties("a.service") == {}


def check_killed_unit(place: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, however short ago the last commit was; but not while somebody else counts there."""
    live(place, (15, 40), (5, 5), events=STARTS)
    monkeypatch.setattr(status, "properties", lambda _: {"ActiveState": "failed"})
    text = called(capsys, "status", "--state", str(place), exits=EXIT_PROBLEM)
    assert text.startswith("NOT COUNTING: last commit 5s ago; no process is seen that holds the ledger\n")
    monkeypatch.setattr(status, "holder_of", lambda _: 4711)
    assert called(capsys, "status", "--state", str(place)).startswith("counting: ")


NEVER_DOWN = answers(screen, "_is_down", False)
NEVER_STOPPED = answers(screen, "_is_stopped", False)
test_promise, test_twin = promises(
    {
        check_killed_unit: {"by the ledger alone": NEVER_DOWN},
        check_one_question: {
            "all routes": Patches((Selection, "is_all", True)),
            "never says why": Patches((history, "NO_DURATIONS", "")),
            "as if it had been nothing": answers(history, "begins"),
            "says it of any order": Patches((history, "QUANTILES", SORTS)),
        },
        check_nothing: {
            "nothing is fine": Patches((history, "EXIT_PROBLEM", EXIT_OK)),
            "no filter": Patches((Selection, "is_all", True)),
        },
        check_one_screen: {"whole": Patches((screen, "clip", lambda route, _: route))},
        check_screen: {
            "all that ever was": Patches((queries, "LEFT", 10**15)),
            "what reports alone": Patches((queries, "LEFT", SECOND)),
        },
        check_refused: {"says no more": answers(commands_reading, "who_may", "")},
        check_holder: {"nobody": answers(status, "holder_of", 0)},
        check_unit: {"as told": Patches((screen, "visible", str))},
    },
    Promise(check_status, None, {}, how="counting"),
    Promise(check_status, None, {"for good": Patches((screen, "LATE", 10**15))}, how="hangs"),
    Promise(check_status, None, {"never stopped": NEVER_STOPPED}, how="stopped"),
)
