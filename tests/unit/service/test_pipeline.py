"""One log on its way from bytes to counts, over a real file; what is rejected is said, but not often."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qps_service.configuration.loader import Flags, load
from qps_service.configuration.types import LogConfig
from qps_service.counting.rules import apply_all, compile_match, make_rule
from qps_service.files import recognition
from qps_service.files.kernel import Files
from qps_service.files.recognition import TAIL_LIMIT, TAIL_LINES, TextEnd
from qps_service.following import resume
from qps_service.following.open_files import Changes, OpenFiles
from qps_service.notices import kinds
from qps_service.notices.kinds import REJECTED, Notice
from qps_service.notices.throttle import Throttle
from qps_service.service.pipeline import LOSS_RECENT, LOSSES_TOLD, LogPipeline
from qps_service.values.counts import Counts, Key
from qps_service.values.entries import Entry, PossibleLoss, Restored
from qps_service.values.positions import Identity, Position
from qps_service.values.reports import Window
from tests.following import Paper
from tests.limits import Doubled
from tests.promised import MadePromise, Patches, Promise, nothing, promises, sets, twin

SECOND = 10**9
GOOD = b"1.2.3.4\tGET /\t200\t5\n"
LONG = b"x" * 300 + b"\n"  # over max_line
TO_ONE = (make_rule(compile_match("^/"), "/one"),)


class Log:
    """A log, its pipeline, and what that says about rejected lines."""

    def __init__(self, root: Path, name: str, pipeline: type[LogPipeline]) -> None:
        self.path = root / name
        self.path.touch()
        self.now = 1000 * SECOND
        self._notices: list[Notice] = []
        self.pipeline = pipeline(self.config(), self.now, self._notices.append)

    def config(self, **changes: object) -> LogConfig:
        return load(Flags(log=str(self.path), format="default"), {}).logs[0]._replace(max_line=256, **changes)  # type: ignore[arg-type]

    def write(self, text: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(text)

    def read(self, seconds: float = 1) -> int:
        """Let time pass, read; how many blocks it were."""
        self.now += int(seconds * SECOND)
        return sum(1 for _ in self.pipeline.read(self.now))

    def window(self) -> Window:
        """Commit, and end the window."""
        self.pipeline.entries(1, self.now, 0)
        return self.pipeline.close_window()

    def said(self) -> list[str]:
        """Since the last call."""
        texts = [notice.text for notice in self._notices if notice.kind is REJECTED]
        assert {notice.log for notice in self._notices} <= {self.pipeline.config.name}
        self._notices.clear()
        return texts


Begin = Callable[..., Log]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Makes logs that were looked at once."""
    logs: list[Log] = []

    def make(pipeline: type[LogPipeline] = LogPipeline, name: str = "access.log") -> Log:
        logs.append(Log(tmp_path, name, pipeline))
        logs[-1].read()
        return logs[-1]

    yield make
    for log in logs:
        log.pipeline.close()


@pytest.fixture
def log(begin: Begin) -> Log:
    return begin()


def test_every_line_is_counted_or_rejected(log: Log) -> None:
    log.write(GOOD * 3 + b"?\n" + LONG + GOOD[:5])
    assert log.read() >= 1
    log.write(GOOD[5:] + b"x" * 400)  # begun, and already too long
    log.read()
    log.write(b"x" * 400 + b"\n" + GOOD)
    log.read()
    window = log.window()
    assert dict(window.counts) == {Key(b"GET", b"/", 200): Counts(5, 25)}
    assert dict(window.rejects) == {"fields": 1, "too_long": 2}
    assert (window.log, window.started, window.ended) == ("access", 1000 * SECOND, 1004 * SECOND)


def test_other_settings_leave_the_counts_alone(log: Log) -> None:
    """A line that is longer than a block is one, too, of the file that is open."""
    long = b"1.2.3.4\tGET /%b\t200\t5\n" % (b"a" * 300_000)
    log.write(GOOD + long)
    log.read()
    log.pipeline.reconfigure(log.config()._replace(max_line=1 << 20))
    log.write(long)
    log.read()
    window = log.window()
    assert sum(counts.requests for counts in window.counts.values()) == 2
    assert dict(window.rejects) == {"too_long": 1}
    assert log.pipeline.config.max_line == 1 << 20


def other_rules_are_for_what_is_read_from_then_on(begin: Begin) -> None:
    """They are for what is read from then on; what was counted does not move."""
    log = begin()
    log.write(b"1.2.3.4\tGET /a/1\t200\t5\n" * 2)
    log.read()
    log.pipeline.reconfigure(log.config(collapse=("numeric",)))
    log.write(b"1.2.3.4\tGET /a/1\t200\t5\n" * 3)
    log.read()
    log.pipeline.reconfigure(log.config(rules=TO_ONE))
    log.write(b"1.2.3.4\tGET /a/1\t200\t5\n" * 4)
    log.read()
    log.pipeline.reconfigure(log.config(keep_host=True))
    log.write(b"1.2.3.4\tGET http://Shop.example/a/1\t200\t5\n" * 5)
    log.read()
    log.pipeline.reconfigure(log.config())
    log.write(b"1.2.3.4\tGET http://Shop.example/a/1\t200\t5\n" * 6)
    log.read()
    assert {key.route: each.requests for key, each in log.window().counts.items()} == {
        b"/a/1": 2 + 6,
        b"/a/:id": 3,
        b"/one": 4,
        b"shop.example/a/1": 5,
    }


# Routes stay as they were at the start.
KeepsItsRules = twin(LogPipeline, "KeepsItsRules", "reconfigure", instead=nothing)


def the_rules_of_a_log_keep_to_their_time(begin: Begin) -> None:
    """To that of the process, whatever the configuration is."""
    log, asked = begin(), []

    def limited(rules: object, route: bytes, max_route: int) -> None:
        asked.append(route)

    pipeline = type(log.pipeline)(log.config(rules=TO_ONE), log.now, print, limited=limited)
    log.pipeline.close()
    log.pipeline = pipeline
    log.read()
    for rules in (TO_ONE, 2 * TO_ONE):
        log.pipeline.reconfigure(log.config(rules=rules))
        log.write(b"1.2.3.4\tGET /a\t200\t5\n")
        log.read()
        assert [key.route for key in log.window().counts] == [b"other"]
    assert asked == [b"/a", b"/a"]


# Other rules have no limit.
TakesItsTime = twin(LogPipeline, "TakesItsTime", "reconfigure", first=sets(_limited=apply_all))


# --- what is said about rejected lines


def rejects_are_said_at_most_once_a_minute(begin: Begin) -> None:
    """The first at once; what comes then is summed up a minute later, even where nothing more comes."""
    log = begin()
    said = f"rejected {{}} lines of {log.path} ({{}}), for example ({{}}): "
    log.write(b"first\n")
    log.read()
    assert log.said() == [said.format(1, "fields 1", "fields") + '"first"']
    for second in range(58):
        log.write(GOOD.replace(b"200", b"%02d" % second) + LONG)
        log.read()
        assert log.said() == []
    log.read(1.999)
    assert log.said() == []
    log.read(0.001)
    assert log.said() == [
        said.format(116, "status 58, too_long 58", "status") + r'"1.2.3.4\x09GET /\x0900\x095"'
    ]
    log.read(1000)
    assert log.said() == []


# Nothing holds it back.
SaysEach = twin(LogPipeline, "SaysEach", "read", first=sets(_rejects_said=Throttle(0)))


def the_latest_losses_are_told_for_a_while(begin: Begin) -> None:
    """In each report."""
    log = begin()
    for number in range(LOSSES_TOLD + 5):
        log.pipeline._follower._announcer.possible_loss(PossibleLoss("went away", f"/{number}", 1))
    log.pipeline.entries(1, log.now, 0)
    told = [f"/{number}" for number in range(5, LOSSES_TOLD + 5)]
    assert [loss.name for loss in log.pipeline.losses(log.now + LOSS_RECENT)] == told
    assert log.pipeline.losses(log.now + LOSS_RECENT + 1) == ()


def test_what_is_said_is_escaped(begin: Begin, tmp_path: Path) -> None:
    log = begin(name=os.fsdecode(b"\xff\n.log"))
    log.write(b"\x1b[2J\0\xfe" + b"a" * 1000 + b"\n")
    log.read()
    sample = r"\x1b[2J\x00\xfe" + "a" * 250
    shown = rf"{tmp_path}/\xff\x0a.log"
    assert log.said() == [f'rejected 1 lines of {shown} (too_long 1), for example (too_long): "{sample}"']


# --- a log that is a mount of its own


class Mounted(Files):
    """Each file is one; counts how often that was asked."""

    asked = 0

    def is_mounted_alone(self, path: str) -> bool:
        self.asked += 1
        return True


def check_mount_is_said(make: type[LogPipeline], tmp_path: Path) -> None:
    """Once when the log is found, however often it goes and comes, and once more after a reload; the kernel
    is not asked at each look."""
    path, files, said = tmp_path / "access.log", Mounted(), list[Notice]()
    config = load(Flags(log=str(path)), {}).logs[0]
    now = 1000 * SECOND

    def read() -> list[str]:
        nonlocal now
        now += 5 * SECOND
        said.clear()
        for _ in pipeline.read(now):
            pass
        return [f"{each.log}: {each.text}" for each in said if each.kind is kinds.MOUNTED_ALONE]

    pipeline = make(config, now, said.append, files)
    text = (
        f"access: {path} is mounted as a single file: after the next rotation outside it stays the old file"
    )
    wanted = [f"{text}, and the new one cannot be seen here; mount its directory"]
    try:
        assert read() == []
        path.touch()
        assert read() == wanted
        assert [read() for _ in range(3)] == [[]] * 3
        path.unlink()
        assert [read() for _ in range(3)] == [[]] * 3
        path.touch()
        assert read() == []
        assert files.asked == 1
        pipeline.reconfigure(config)
        assert [read() for _ in range(3)] == [wanted, [], []]
        assert files.asked == 2
    finally:
        pipeline.close()


SaysItAgain = twin(LogPipeline, "SaysItAgain", "_look_at_mount", first=sets(_mount_is_said=False))


class AsksAtEachLook(LogPipeline):
    def read(self, now: int) -> Iterator[None]:
        yield from super().read(now)
        self._files.is_mounted_alone(self.config.path)


class SaysItOnce(LogPipeline):
    def reconfigure(self, config: LogConfig) -> None:
        before = self._is_found, self._mount_is_said
        super().reconfigure(config)
        self._is_found, self._mount_is_said = before


# --- many logs


def check_many_logs_share_what_is_counted(make: type[LogPipeline], begin: Begin) -> None:
    """Between two looks the scanners of hundreds of logs keep no more together than that of one may, and
    nothing is counted twice for it."""
    log, targets = begin(make), 1100
    log.pipeline.reconfigure(log.config(logs=frozenset(map(str, range(256)))))
    for _ in range(3):
        log.write(b"".join(b"1.2.3.4\tGET /%d\t200\t5\n" % number for number in range(targets)))
        log.read()
        assert log.pipeline._scanner.held <= 16 * 1024 * 1024 // 256
    assert sum(counts.requests for counts in log.window().counts.values()) == 3 * targets


# --- windows of what is not read


def check_unread(make: type[LogPipeline], begin: Begin) -> None:
    """What is committed of a log before it is read once more belongs to no window, and its window has no
    length; but for one that an earlier process began, which goes on from there."""
    log = begin(make)
    log.pipeline.begin_window(log.now)
    log.write(GOOD)
    log.read()
    [entry] = log.pipeline.entries(7, log.now + 5 * SECOND, 100 * SECOND)
    assert (entry.sequence, entry.ended, entry.at) == (7, log.now, 95 * SECOND)
    assert log.pipeline.close_window().seconds == 1
    [entry] = log.pipeline.entries(8, log.now + 9 * SECOND, 104 * SECOND)
    assert (entry.sequence, entry.started, entry.ended) == (0, log.now, log.now)
    assert not log.pipeline.has_window
    began = Restored(str(log.path), (), (), 1, (), {}, {}, {}, {}, log.now, 0, False, ())
    known = resume.Resume.at(began, log.now + 3 * SECOND, 0)
    other = make(log.config(), log.now + 3 * SECOND, lambda _: None, resume=known)
    [entry] = other.entries(7, log.now + 4 * SECOND, 0)
    assert (entry.sequence, entry.ended - entry.started) == (7, 3 * SECOND)
    other.close()


class EndsNow(LogPipeline):  # whenever it was read
    def entries(self, sequence: int, now: int, at: int) -> list[Entry]:
        self._read_at, self._is_read = now, True
        return super().entries(sequence, now, at)


ForgetsTheBeginning = twin(LogPipeline, "ForgetsTheBeginning", "__init__", then=sets(_is_read=False))


# --- what was there before the process ended


# Seconds: the log's last write, time since boot, date; whether rebooted. The last commit was at 100, at 50
# since boot.
CLOCKS = {
    "steady": (90, 60, 110, False, 90),
    "a file server that is ahead": (130, 60, 110, False, 100),
    "set back before the last commit": (200, 60, 110, False, 0),
    "set back by 40 s": (90, 60, 70, False, 50),
    "set forward": (90, 60, 500, False, 90),
    "another boot": (90, 5, 110, True, 90),
    "another boot, and a date that was before": (90, 5, 99, True, 0),
}


def check_clock(last_written: Callable[[Restored, int, int], int], clock: str) -> None:
    modified, now, at, rebooted, expected = CLOCKS[clock]
    held = Position(Identity(1, 2, 3), "/log", 9, b"p", b"m", False, number=1, modified=modified * SECOND)
    paper = Paper()
    paper.held = {1: held}
    restored = paper.restored("/log", rebooted=rebooted)._replace(at=100 * SECOND, ended=50 * SECOND)
    assert last_written(restored, now * SECOND, at * SECOND) == expected * SECOND


def trusted(restored: Restored, now: int, at: int) -> int:
    """Whatever the clock says now."""
    return restored.held[0].modified


# --- what a look costs


def no_line_is_noted(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """To note the last lines of a busy log one by one takes longer than a look does. Who asks for them is a
    stop, or a file that was cut or is compared with others: no look, and no commit."""
    log, noted = begin(), _Noted()
    monkeypatch.setattr(recognition, "_noted", noted)
    for _ in range(3):
        log.write(GOOD * (TAIL_LIMIT // len(GOOD) + 1))
        log.read()
        log.window()
        assert noted.lines == 0
    log.pipeline.sweep()
    log.read()  # the last one
    (entry,) = log.pipeline.entries(1, log.now, 0)
    assert 0 < noted.lines <= TAIL_LIMIT // len(GOOD)
    assert len(entry.held[0].tail) == TAIL_LINES * 12


class _Noted:
    """Counts lines that are noted."""

    def __init__(self) -> None:
        self.lines = 0
        self._note = recognition._noted

    def __call__(self, text: bytes, most: int) -> bytes:
        self.lines += text.count(b"\n")
        return self._note(text, most)


def notes_at_once(end: TextEnd, *grown: Any, grow: Any = TextEnd.grow) -> None:
    grow(end, *grown)
    end.note()


def tells_them_each_time(files: OpenFiles, *, last: bool, changes: Any = OpenFiles.changes) -> Changes:
    return changes(files, last=True)  # type: ignore[no-any-return]


TRUSTED = {clock: {"trusted": trusted} for clock in ("a file server that is ahead", "set back by 40 s")}
test_promise, test_twin = promises(
    MadePromise(other_rules_are_for_what_is_read_from_then_on, KeepsItsRules, by="begin"),
    MadePromise(the_rules_of_a_log_keep_to_their_time, TakesItsTime, by="begin"),
    MadePromise(rejects_are_said_at_most_once_a_minute, SaysEach, by="begin"),
    {
        rejects_are_said_at_most_once_a_minute: [Doubled("service.pipeline:REJECTS_SAID_EVERY")],
        the_latest_losses_are_told_for_a_while: [
            Doubled("service.pipeline:LOSSES_TOLD"),
            Doubled("service.pipeline:LOSS_RECENT"),
        ],
    },
    Promise(check_mount_is_said, LogPipeline, [SaysItAgain, AsksAtEachLook, SaysItOnce]),
    Promise(check_many_logs_share_what_is_counted, LogPipeline, [Doubled("service.pipeline:COUNTED_LIMIT")]),
    {
        no_line_is_noted: [
            Patches((TextEnd, "grow", notes_at_once)),
            Patches((OpenFiles, "changes", tells_them_each_time)),
        ]
    },
    Promise(check_unread, LogPipeline, [EndsNow, ForgetsTheBeginning]),
    *(Promise(check_clock, resume._last_written, TRUSTED.get(clock, {}), clock=clock) for clock in CLOCKS),
)
