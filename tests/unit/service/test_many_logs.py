"""Many logs in one loop: a hint may come with another one's, and each gets its turn however long looks take.

In simulated time, each promise with a broken twin of the loop.
"""

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from qps_service.files.kernel import Files, Seen
from qps_service.following.follower import FollowState
from qps_service.following.hints import Lost
from qps_service.service import pipeline
from qps_service.service.daemon import Daemon
from qps_service.service.pipeline import LogPipeline
from tests.limits import Doubled
from tests.promised import Patches, nothing, promises, twin
from tests.unit.daemons import LINE, SECOND, START, Service, SlowFiles, served_by
from tests.unit.service.test_answers import Asked

LOGS = 20


class LongLooks(SlowFiles):
    """A look at a log takes so long, and a read no time."""

    def __init__(self, seconds: float, start: float, end: float) -> None:
        super().__init__(seconds, start=start, end=end, least=1 << 62)
        self.looked: list[str] = []  # names of logs

    def stat(self, path: str) -> Seen:
        name = os.path.basename(path)
        if name.endswith(".log") and self.looked[-1:] != [name]:
            self.looked.append(name)
            if self._start <= self.world.seconds < self._end:
                self.world.elapse(self._duration)
        return super().stat(path)


class Farm:
    """A service that follows many logs in one directory, each with a line."""

    def __init__(self, root: Path, files: Files | None = None, **given: Any) -> None:
        self.logs = [root / f"site{number:02}.log" for number in range(LOGS)]
        for log in self.logs:
            log.write_bytes(LINE)
        tables = "".join(f'[log.{log.stem}]\npath = "{log}"\n' for log in self.logs)
        self.service = Service(root, tables, files=files, **given)

    def write_at(self, seconds: float, *logs: Path) -> None:
        for log in logs:
            self.service.write_at(seconds, 1, path=log)


# --- one inotify instance


def a_hint_that_came_with_another_log_is_not_late(tmp_path: Path) -> None:
    """The first log is rotated before the last one is looked at, whose reading takes the hint out of the
    kernel's queue."""

    class Rotates(Files):
        done = False

        def stat(self, path: str) -> Seen:
            if path == str(farm.logs[-2]) and farm.service.world.seconds == 2 and not self.done:
                self.done = True
                farm.logs[0].rename(tmp_path / "site00.log.1")
            return super().stat(path)

    farm = Farm(tmp_path, Rotates())
    looks = farm.service.looks()
    farm.service.run(4.5)
    assert [begun for begun, _ in looks if 1 < begun < 4] == [2, 2, 3]


def others_that_come_with_it_wait(tmp_path: Path) -> None:
    """What is about no log is no reason for a look."""

    class Touches(Files):
        def stat(self, path: str) -> Seen:
            if path == str(farm.logs[-2]):
                (tmp_path / f"other{farm.service.world.time}").touch()
            return super().stat(path)

    farm = Farm(tmp_path, Touches())
    looks = farm.service.looks()
    farm.service.run(4.5)
    assert [begun for begun, _ in looks if 1 <= begun < 4] == [1, 2, 3]


# --- in turns


def lives_while_all_look(tmp_path: Path) -> None:
    """inotify's queue overflows, and the look through the directory takes three seconds for each log."""
    files = LongLooks(3, start=12, end=70)
    farm = Farm(tmp_path, files, watchdog=10 * SECOND)
    service = farm.service

    def overflow() -> None:
        for watcher in service.watches._watchers:
            watcher.put(Lost())

    service.world.hint(12, overflow)
    farm.write_at(11.5, *farm.logs)
    service.run(100)
    fed = service.moments("WATCHDOG=1")
    assert max(later - earlier for earlier, later in pairwise(fed)) < 10
    assert sum(service.requests) == LOGS


def lives_while_all_take_hints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has thousands of them, about other files."""
    farm = Farm(tmp_path, watchdog=10 * SECOND)
    world, is_hinted = farm.service.world, LogPipeline.is_hinted

    def slowly(self: LogPipeline) -> bool:
        world.elapse(2 * SECOND)
        return is_hinted(self)

    monkeypatch.setattr(LogPipeline, "is_hinted", slowly)
    world.hint(12, (tmp_path / "other").touch)
    farm.service.run(100)
    fed = farm.service.moments("WATCHDOG=1")
    assert fed[-1] > 50
    assert max(later - earlier for earlier, later in pairwise(fed)) < 10


def goes_on_with_its_work_between(tmp_path: Path) -> None:
    """A look ends after a second and one more log; each log gets its turn before any gets another."""
    files = LongLooks(0.3, start=1, end=30)
    farm = Farm(tmp_path, files)
    looks = farm.service.looks()
    farm.service.run(32)
    long = [(begun, ended) for begun, ended in looks if begun > 1 and ended < 29]
    assert len(long) > 15
    assert all(ended - begun <= 1.3 for begun, ended in long)
    turns = files.looked[: len(files.looked) // LOGS * LOGS]
    names = [log.name for log in farm.logs]
    assert turns == names * (len(turns) // LOGS)


def reports_in_time(tmp_path: Path) -> None:
    """However long a look at all logs takes: a window of a log ends with the last look at it, so that its
    rate is that of the writer, and one that was not looked at is in the next report."""
    for took in (0.3, 1.5):  # that is 6 s for all of them, and 30 s
        root = tmp_path / str(took)
        root.mkdir()
        farm = Farm(root, LongLooks(took, start=1, end=80))
        for second in range(1, 80):
            farm.write_at(second, *farm.logs)
        farm.service.run(100)
        at = sorted({report.at - START // SECOND for report in farm.service.reports})
        assert [seconds // 10 for seconds in at[:7]] == [1, 2, 3, 4, 5, 6, 7]
        assert all(seconds % 10 <= 1 + took for seconds in at[:7])
        for log in farm.logs:
            reports = [report for report in farm.service.reports if report.log == log.stem]
            assert sum(report.requests for report in reports) == 79
            assert all(abs(each.requests - each.seconds) < 2 + 2 * took for each in reports if each.at < 5075)
        assert len(farm.service.reports) < len(at) * LOGS or took < 1


def answers_who_asks_in_a_turn_after_it(tmp_path: Path) -> None:
    """The first logs were looked at before: an answer at its end would leave out their latest lines."""
    output = Asked()
    ledger = str(tmp_path / "ledger.db")
    farm = Farm(tmp_path, LongLooks(0.3, start=2, end=9), outputs=[output], ledger=ledger)
    output.service = farm.service
    farm.write_at(5, *farm.logs)
    farm.service.world.at(5.1, output.send)
    farm.service.run(12)
    assert [lines for _, lines, _ in output.answers] == [LOGS]


def a_stop_in_a_turn_reads_all_logs(tmp_path: Path) -> None:
    farm = Farm(tmp_path, LongLooks(0.3, start=1, end=60))
    farm.write_at(4.9, *farm.logs)
    farm.service.run(5)
    assert sum(farm.service.requests) == LOGS


def windows_begin_with_the_first_look(tmp_path: Path) -> None:
    """Logs that a reload brings are looked at in turns, too: what they held before enters no rate."""
    farm = Farm(tmp_path, LongLooks(0.3, start=5, end=60))
    service = farm.service
    tables = service.file.read_text()
    service.configure(f'[log.site00]\npath = "{farm.logs[0]}"\n')
    service.daemon._config = service.load()
    service.reload_at(5, tables.replace("]\n", ']\nstart = "start"\n'))
    service.run(30)
    assert sum(service.requests) == 0
    assert f"{LOGS - 1} requests counted" in service.said("stopped")[0]


class LooksAtAll(Daemon):
    """No sign of life but at the end."""

    def _look(self) -> int:
        alive, self._supervisor.alive = self._supervisor.alive, nothing  # type: ignore[method-assign]
        now = super()._look()
        while self._unread:
            super()._look()
        self._supervisor.alive = alive  # type: ignore[method-assign]
        self._supervisor.alive(self._clock.now())
        return now


# No sign of life meanwhile.
TakesAllHints = twin(
    Daemon,
    "TakesAllHints",
    "_is_hinted",
    instead=lambda self: any(each.is_hinted() for each in self._pipelines.followed),
)


# Each look begins with the first log.
BeginsAnew = twin(Daemon, "BeginsAnew", "_look", first=lambda self: self._unread.clear())


class EndsAllWindows(Daemon):
    """Whenever their logs were looked at."""

    def _look(self) -> int:
        now = super()._look()
        for each in self._pipelines.followed:
            each._read_at, each._is_read = now, True
        return now


AnswersAtTheEndOfATurn = twin(
    Daemon,
    "AnswersAtTheEndOfATurn",
    "_answer",
    first=lambda self: vars(self).update(_is_whole=not self._unread),
)


class StopsWithTheTurn(Daemon):
    """What was looked at in it before the stop is not looked at again."""

    def _catch_up(self, pipelines: Any) -> int:
        unread = self._unread
        now = self._look() if unread else super()._catch_up(pipelines)
        while self._unread:
            now = self._look()
        return now


class LooksForAnything(Daemon):
    """Whatever the hint is about."""

    def _wait(self) -> None:
        if not any(pipeline.has_hints for pipeline in self._pipelines.followed):
            super()._wait()


test_promise, test_twin = promises(
    {
        a_hint_that_came_with_another_log_is_not_late: {
            "polls only": Patches((LogPipeline, "has_hints", False))
        },
        others_that_come_with_it_wait: {
            **served_by(LooksForAnything),
            "doubled": Doubled("service.daemon:TICK"),
        },
        lives_while_all_look: served_by(LooksAtAll),
        lives_while_all_take_hints: served_by(TakesAllHints),
        goes_on_with_its_work_between: {**served_by(BeginsAnew), "doubled": Doubled("service.daemon:TURN")},
        reports_in_time: served_by(EndsAllWindows),
        answers_who_asks_in_a_turn_after_it: served_by(AnswersAtTheEndOfATurn),
        a_stop_in_a_turn_reads_all_logs: served_by(StopsWithTheTurn),
        windows_begin_with_the_first_look: {"not behind": Patches((pipeline, "UNREAD", FollowState()))},
    }
)
