"""Logs that come, go and change their paths with a reload: each line once, whatever the ledger does."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from qps_service.configuration.types import LogConfig
from qps_service.errors import LedgerUnreadableError
from qps_service.files.kernel import Files
from qps_service.following import generation
from qps_service.following.log_places import LogPlaces
from qps_service.following.resume import Resume
from qps_service.ledger.database import LedgerUnavailable
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.writer import LedgerWriter
from qps_service.service import pipeline as module
from qps_service.service.daemon import Daemon
from qps_service.service.pipeline import LogPipeline
from qps_service.service.pipelines import Pipelines
from qps_service.values.entries import Entry, Restored
from tests.promised import Patches, answers, promises, twin
from tests.unit import daemons
from tests.unit.daemons import LINE, Service, SlowFiles, read, requests_of, restored, served_by

Patch = pytest.MonkeyPatch


def toml(root: Path, *logs: str, interval: str = "1h") -> str:
    """Logs that are called as their files, or NAME=PATH."""
    lines = [f'interval = "{interval}"']
    for name, _, path in (log.partition("=") for log in logs):
        lines += [f"[log.{name}]", f'path = "{root / (path or f"{name}.log")}"', 'start = "start"']
    return "\n".join(lines) + "\n"


def served(root: Path, text: str, *, ledger: bool = True, files: Files | None = None) -> Service:
    return Service(root, text, files=files, ledger=str(root / "ledger.db") if ledger else "")


def reported(service: Service) -> list[tuple[int, str, int]]:
    return [(report.sequence, report.log, report.requests) for report in service.reports]


def known(root: Path, log: str) -> tuple[int, int, str]:
    """What the ledger has of a log: requests in all, lines read by its generations' count, its path."""
    with read(root) as ledger:
        if log not in ledger.logs():
            return 0, 0, ""
        found, (lines, *_) = restored(ledger, log), ledger.forgotten(log)
        lines += sum(position.lines for position in (*found.held, *found.retired))
        return requests_of(found), lines, found.path


def counted(root: Path, *logs: str) -> list[int]:
    """How many lines of each; requests and lines read must agree."""
    found = [known(root, log)[:2] for log in logs]
    assert all(requests == lines for requests, lines in found), found
    return [requests for requests, _ in found]


class Sick:
    """Ledgers that take nothing after so many commits more, or none if that is None."""

    def __init__(self, patch: Patch) -> None:
        self.after: int | None = None
        commit = Ledger.commit

        def failing(ledger: Ledger, *arguments: Any, **keywords: Any) -> None:
            if self.after is not None:
                self.after -= 1
                if self.after < 0:
                    raise LedgerUnavailable("database or disk is full")
            commit(ledger, *arguments, **keywords)

        patch.setattr(Ledger, "commit", failing)

    def fail(self, after: int = 0) -> None:
        self.after = after

    def heal(self) -> None:
        self.after = None


def slowly(root: Path, text: str, patch: Patch, *, ledger: bool = True) -> Service:
    """A service that takes half a second for each 64 KiB, and looks at the clock after each."""
    patch.setattr(generation, "PART", 1)
    return served(root, text, ledger=ledger, files=SlowFiles(0.5, least=1 << 10))


BACKLOG = 100_000  # lines, 2.3 MB: 18 seconds


# --- what a log's end and another's beginning have to do with each other


def a_log_may_move(tmp_path: Path) -> None:
    """The same file by another path, with lines that were read and not committed yet."""
    log, link = tmp_path / "access.log", tmp_path / "current.log"
    service = served(tmp_path, toml(tmp_path, "access"))
    link.symlink_to(log)
    service.write(3)
    service.write_at(2, 5)
    service.reload_at(5, toml(tmp_path, "access=current.log"))
    service.write_at(6, 1)
    service.run(8)
    assert known(tmp_path, "access") == (9, 9, str(link))
    now = f"log access is now {link}, and was {log}: its counts go on"
    assert service.said("restored") == [f"{now}, 0 s after the last report"]
    assert reported(service) == [(1, "access", 5), (2, "access", 1)]
    assert service.said("stopped") == ["stopped; 9 requests counted and 0 lines rejected in total"]


def two_logs_may_swap(tmp_path: Path) -> None:
    service = served(tmp_path, toml(tmp_path, "a=access.log", "b=other.log"))
    service.write(1)
    service.write(1, path=service.other)
    service.write_at(2, 3)
    service.write_at(2, 4, path=service.other)
    service.reload_at(5, toml(tmp_path, "a=other.log", "b=access.log"))
    service.write_at(6, 10)
    service.write_at(6, 20, path=service.other)
    service.run(8)
    # Each name begins anew in the other's file: it was not followed by it before.
    assert known(tmp_path, "a") == (1 + 3 + 25, 1 + 3 + 25, str(service.other))
    assert known(tmp_path, "b") == (1 + 4 + 14, 1 + 4 + 14, str(service.log))
    assert [report[:2] for report in reported(service)] == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]


def the_ledger_knows_where_a_log_begins(tmp_path: Path) -> None:
    """A crash right after the reload must not make the next process begin at the end."""
    text = toml(tmp_path, "access").replace('"start"', '"end"')
    service = served(tmp_path, text)
    service.write(3)
    service.other.touch()
    service.reload_at(5, text.replace("access.log", "other.log"))
    paths: list[str] = []
    service.world.at(5.5, lambda: paths.append(known(tmp_path, "access")[2]))
    service.run(8)
    assert paths == [str(service.other)]


def counts_enter_a_window_that_is_reported(tmp_path: Path) -> None:
    """One log comes back and another goes, at once."""
    both = toml(tmp_path, "access", "other")
    service = served(tmp_path, both)
    service.write(1)
    service.write(1, path=service.other)
    service.reload_at(5, toml(tmp_path, "access"))
    service.write_at(6, 4, path=service.other)
    service.write_at(7, 2)
    service.reload_at(10, toml(tmp_path, "other"))
    service.run(15)
    reports = reported(service)
    assert reports == [(1, "access", 0), (1, "other", 0), (2, "access", 2), (3, "other", 4)]
    assert [report.named for report in service.reports] == [True, True, False, False]
    with read(tmp_path) as ledger:
        rows = ledger.database.connection.execute("SELECT sequence, log, requests FROM windows").fetchall()
    assert sorted(rows) == [(2, "access", 2), (3, "other", 4)]


def what_systemd_keeps_goes_with_its_log(tmp_path: Path) -> None:
    """Once the ledger has it all."""
    service = served(tmp_path, toml(tmp_path, "access", "other"))
    service.write_at(2, 7, path=service.other)
    found: list[tuple[str, int]] = []
    service.daemon._pipelines._drop_kept = lambda name: found.append((name, known(tmp_path, name)[0]))
    service.reload_at(5, toml(tmp_path, "access"))
    service.run(8)
    assert found == [("other", 7)]


class LooksUpFirst(Pipelines):
    """Asks the ledger where to begin before it has what was read until now."""

    _early: dict[str, Restored | None]

    def leaving(self, logs: Iterable[LogConfig]) -> list[LogPipeline]:
        if self.followed and not hasattr(self, "_early"):
            self._early = {log.name: self._writer.restore(log.name, now=0, at=0) for log in logs}
        return super().leaving(logs)

    def _join(self, log: LogConfig, resume: Resume, now: int) -> LogPipeline:
        early = getattr(self, "_early", {log.name: resume.restored})
        return super()._join(log, resume._replace(restored=early[log.name]), now)


class TellsLater(Pipelines):
    """The first commit after a log came is left out."""

    def follow(self, *arguments: Any) -> None:
        super().follow(*arguments)
        self._skips = True

    def commit(self, *arguments: Any, **keywords: Any) -> bool:
        skips, self._skips = getattr(self, "_skips", False), False
        return skips or super().commit(*arguments, **keywords)


class ReportsAfterwards(Daemon):
    """The windows of those that go end when others have come."""

    def _apply(self, config: Any) -> None:
        report, self._report = self._report, lambda now: 0  # type: ignore[method-assign]
        super()._apply(config)
        self._report = report  # type: ignore[method-assign]


# --- a log that gets another name


def renamed(root: Path, file: str = "access") -> str:
    return f'{toml(root, f"shop={file}.log")}was = "access"\n'


def a_name_takes_its_totals_along(tmp_path: Path) -> None:
    """At a reload, with what is in a file that is deleted and still written to; and the ledger that is begun
    anew behind it has them under the new name alone."""
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    service = served(tmp_path, toml(tmp_path, "access"))
    service.write(3)
    writer = log.open("ab", buffering=0)
    service.world.at(2, lambda: log.rename(old))
    service.world.at(3, lambda: service.write(1))
    service.world.at(4, old.unlink)
    service.reload_at(5, renamed(tmp_path))
    service.world.at(6, lambda: writer.write(LINE * 4))
    service.world.at(8, lambda: unlink(tmp_path))
    service.reload_at(10, renamed(tmp_path))  # and not again
    service.write_at(12, 2)
    service.run(15)
    writer.close()
    assert counted(tmp_path, "shop", "access") == [10, 0]
    assert service.said("possible_loss") == []
    [said] = service.said("restored")
    assert said.startswith("log shop was access, whose totals go on; ")


def a_name_takes_its_totals_along_at_a_start(tmp_path: Path) -> None:
    """Also where the next commit takes long to come; history and losses are of the same log."""
    service = served(tmp_path, toml(tmp_path, "access", interval="1s"))
    service.write_at(1.5, 3)
    service.run(4)
    service = served(tmp_path, renamed(tmp_path))
    service.write(2)
    service.run(2)
    served(tmp_path, renamed(tmp_path)).run(2)
    assert counted(tmp_path, "shop", "access") == [5, 0]
    with read(tmp_path) as ledger:
        assert ledger.logs() == ["shop"]
        windows = ledger.database.connection.execute("SELECT log, sum(requests) FROM windows GROUP BY log")
        assert windows.fetchall() == [("shop", 5)]


def a_name_that_is_known_goes_on_with_its_own(tmp_path: Path) -> None:
    """Two logs do not become one."""
    service = served(tmp_path, toml(tmp_path, "access", "shop=other.log"))
    service.write(3)
    service.write(4, path=service.other)
    service.reload_at(5, renamed(tmp_path, "other"))
    service.write_at(6, 1, path=service.other)
    service.run(8)
    assert counted(tmp_path, "access", "shop") == [3, 5]


class ForgetsNames(LedgerWriter):
    def restore(self, log: str, *, was: str | None = None, **when: int) -> Restored | None:
        return super().restore(log, was=None if was else was, **when)


class AddsTheGone(Pipelines):
    """Also when they are back, or have another name."""

    def _join(self, *arguments: Any) -> LogPipeline:
        gone = dict(self._gone)
        pipeline = super()._join(*arguments)
        self._gone = gone
        return pipeline


restore = Ledger.restore
FORGETS = Patches((daemons, "LedgerWriter", ForgetsNames))
TAKES_OVER = Patches(
    (Ledger, "restore", lambda self, log, **when: None if log == "shop" else restore(self, log, **when))
)
LETS_GO = answers(LogPipeline, "hand_over", ())
ADDS = Patches((module, "Entry", lambda **fields: Entry(**{**fields, "was": None})))


# --- refusals


def nothing_changes_while_the_ledger_takes_nothing(tmp_path: Path, monkeypatch: Patch) -> None:
    sick = Sick(monkeypatch)
    service = served(tmp_path, toml(tmp_path, "access", "other"))
    service.write(1)
    service.write_at(2, 4, path=service.other)
    service.world.at(4, sick.fail)
    followed: list[list[LogPipeline]] = []
    for second in (5, 6, 7):
        service.world.at(second, lambda: followed.append(list(service.daemon._pipelines.followed)))
    service.reload_at(5, toml(tmp_path, "access", "third"))
    service.reload_at(6, toml(tmp_path, "access"))
    service.write_at(7, 5, path=service.other)
    service.world.at(20, sick.heal)
    service.reload_at(21, toml(tmp_path, "access", "third"))
    service.write_at(22, 2, path=tmp_path / "third.log")
    service.run(25)
    assert followed[0] == followed[1] == followed[2]
    refused = "reload refused, going on as before: no log can come or go while the ledger takes nothing"
    assert service.said("reload_refused") == [refused] * 2
    assert service.said("reloaded") == ["configuration reloaded"]
    assert counted(tmp_path, "access", "other", "third") == [1, 9, 2]


def a_last_report_that_fails_changes_nothing(tmp_path: Path, monkeypatch: Patch) -> None:
    sick = Sick(monkeypatch)
    service = served(tmp_path, toml(tmp_path, "access", "other"))
    service.write_at(2, 4, path=service.other)
    service.world.at(4, lambda: sick.fail(after=1))
    service.reload_at(5, toml(tmp_path, "access"))
    service.write_at(7, 5, path=service.other)
    service.world.at(20, sick.heal)
    service.run(25)
    assert len(service.said("reload_refused")) == 1
    assert service.dropped == []
    others = [report for report in reported(service) if report[1] == "other"]
    assert others == [(1, "other", 4), (2, "other", 5)]
    assert counted(tmp_path, "other") == [9]


def a_position_that_cannot_be_read_changes_nothing(tmp_path: Path, monkeypatch: Patch) -> None:
    service = served(tmp_path, toml(tmp_path, "access"))
    service.write_at(2, 4)

    def refuse(*_: object, **__: object) -> None:
        raise LedgerUnreadableError("/l", "database is locked")

    service.world.at(4, lambda: monkeypatch.setattr(LedgerWriter, "restore", refuse))
    service.reload_at(5, toml(tmp_path, "other"))
    service.write_at(7, 5)
    service.run(25)
    assert len(service.said("reload_refused")) == 1
    assert service.dropped == []
    assert counted(tmp_path, "access") == [9]


class LeavesFirst(Pipelines):
    """Those that go are gone before it is known whether others can come."""

    def follow(self, logs: Any, now: int) -> None:
        for pipeline in self.leaving(logs):
            self._leave(pipeline, now, now)
        super().follow(logs, now)


# --- a ledger that has to be written anew, and totals


def unlink(root: Path) -> None:
    (root / "ledger.db").unlink()


def a_new_ledger_knows_the_log_that_just_came(tmp_path: Path) -> None:
    service = served(tmp_path, toml(tmp_path, "access"))
    service.write(3)
    service.write(4, path=service.other)
    make = service.daemon._pipelines._make_pipeline

    def make_late(log: LogConfig, *arguments: Any, **keywords: Any) -> LogPipeline:
        if log.name == "other":
            unlink(tmp_path)
        return make(log, *arguments, **keywords)

    service.daemon._pipelines._make_pipeline = make_late
    service.reload_at(5, toml(tmp_path, "access", "other"))
    service.run(8)
    assert len(service.said("ledger_vanished")) == 1
    assert counted(tmp_path, "access", "other") == [3, 4]


def a_new_ledger_knows_the_log_that_went(tmp_path: Path) -> None:
    """Also what it was told while the log was away, and when it is back."""
    both = toml(tmp_path, "access", "other")
    service = served(tmp_path, both)
    service.write(3)
    service.write(4, path=service.other)
    service.reload_at(5, toml(tmp_path, "access"))
    for second in (7, 17):
        service.world.at(second, lambda: unlink(tmp_path))
    service.reload_at(10, both)
    service.write_at(12, 1, path=service.other)
    service.reload_at(15, toml(tmp_path, "access"))
    service.run(20)
    assert len(service.said("ledger_vanished")) == 2
    assert counted(tmp_path, "access", "other") == [3, 5]


def a_new_ledger_knows_what_is_still_to_be_found(tmp_path: Path) -> None:
    """The log's disk is not mounted when its ledger is lost."""
    logs, elsewhere = tmp_path / "logs", tmp_path / "on" / "no" / "disk"
    logs.mkdir()
    elsewhere.parent.mkdir(parents=True)
    (logs / "access.log").write_bytes(LINE * 3)
    text = toml(logs, "access")
    served(tmp_path, text).run(2)
    logs.rename(elsewhere)
    service = served(tmp_path, text)
    service.world.at(4, lambda: unlink(tmp_path))
    service.run(8)
    assert len(service.said("ledger_vanished")) == 1
    elsewhere.rename(logs)
    (logs / "access.log").write_bytes(b"")  # truncated meanwhile, as only who had it open notices
    service = served(tmp_path, text)
    service.run(2)
    assert len(service.said("possible_loss")) == 1
    assert counted(tmp_path, "access") == [3]


def totals_are_said_right(tmp_path: Path) -> None:
    both = toml(tmp_path, "access", "other")
    for ledger in ("", str(tmp_path / "ledger.db")):
        service = Service(tmp_path, both, ledger=ledger)
        service.log.write_bytes(LINE * 3)
        service.other.write_bytes(LINE * 4 + b"?\n")
        for number in range(1, 5):
            service.reload_at(10 * number, toml(tmp_path, "access") if number % 2 else both)
        service.run(60)
        # Without a ledger what is there is read again.
        again = 1 if ledger else 3
        said = f"stopped; {3 + 4 * again} requests counted and {again} lines rejected in total"
        assert service.said("stopped") == [said]


class KnowsTheOld(Pipelines):
    """A ledger that is begun anew gets the first log alone."""

    def __init__(self, writer: LedgerWriter, *arguments: Any) -> None:
        super().__init__(writer, *arguments)
        commit = writer.commit

        def first(entries: Any, *, sequence: int | None, whole: Any) -> bool:
            return commit(entries, sequence=sequence, whole=lambda: whole()[:1])

        setattr(writer, "commit", first)  # noqa: B010 - mypy minds a method


ForgetsTheGone = twin(Pipelines, "ForgetsTheGone", "_leave", then=lambda self: self._gone.clear())


# What was not found at once is of the past.
GivesUp = twin(
    Pipelines, "GivesUp", "commit", first=lambda self: [each._expected.clear() for each in self.followed]
)


# --- backlogs


def a_backlog_keeps_nobody_waiting(tmp_path: Path, monkeypatch: Patch) -> None:
    """A log that comes with a large one is read in parts. It has no window before that is over."""
    service = slowly(tmp_path, toml(tmp_path, "access", interval="5s"), monkeypatch)
    service.write(1)
    service.write(BACKLOG, path=tmp_path / "big.log")
    service.reload_at(6, toml(tmp_path, "access", "big", interval="5s"))
    for second in range(7, 40):
        service.write_at(second, 1)
    service.write_at(39, 3, path=tmp_path / "big.log")
    service.run(45)
    ready = service.moments("READY=1")
    assert ready[1] < 10
    mine = [report for report in service.reports if report.log == "access"]
    assert all(report.seconds < 8 for report in mine)
    assert all(report.seconds >= 0 for report in service.reports)
    assert sum(report.requests for report in mine) == 33
    others = [report.requests for report in service.reports if report.log == "big"]
    assert sum(others) == 3
    assert 1 < len(others) < len(mine) - 2
    assert counted(tmp_path, "big") == [BACKLOG + 3]


def no_number_is_used_up(tmp_path: Path, monkeypatch: Patch) -> None:
    """While no log has a window."""
    service = slowly(tmp_path, toml(tmp_path, "access", interval="5s"), monkeypatch)
    service.write(1)
    service.write(BACKLOG, path=tmp_path / "big.log")
    service.reload_at(6, toml(tmp_path, "big", interval="5s"))
    service.run(45)
    numbers = [report.sequence for report in service.reports]
    assert numbers == list(range(1, len(numbers) + 1))


def a_stop_leaves_a_backlog(tmp_path: Path, monkeypatch: Patch) -> None:
    """At the start, in a reload, at the end: what was read is in the ledger, and the next one goes on."""
    service = slowly(tmp_path, toml(tmp_path, "access"), monkeypatch)
    service.write(BACKLOG)
    service.run(2)
    assert service.world.seconds < 5
    assert not service.told_of("READY")
    assert 0 < known(tmp_path, "access")[0] < BACKLOG
    service = slowly(tmp_path, toml(tmp_path, "access"), monkeypatch)
    service.write_at(25, BACKLOG)
    service.run(27)
    assert service.world.seconds < 30
    assert BACKLOG < known(tmp_path, "access")[0] < 2 * BACKLOG
    service = slowly(tmp_path, toml(tmp_path, "access"), monkeypatch)
    service.write_at(25, BACKLOG)
    (tmp_path / "big.log").touch()
    service.reload_at(26, toml(tmp_path, "big"))
    service.run(28)
    assert service.world.seconds < 31
    assert 2 * BACKLOG < known(tmp_path, "access")[0] < 3 * BACKLOG
    assert len(service.told_of("READY=1")) == 1
    service = served(tmp_path, toml(tmp_path, "access"))
    service.run(2)
    assert counted(tmp_path, "access") == [3 * BACKLOG]


def a_stop_reads_to_the_end_where_positions_are_not_kept(tmp_path: Path, monkeypatch: Patch) -> None:
    sick = Sick(monkeypatch)
    log = tmp_path / "access.log"
    for ledger in (False, True):
        log.write_bytes(b"")
        service = slowly(tmp_path, toml(tmp_path, "access"), monkeypatch, ledger=ledger)
        service.write(1)
        service.world.at(1, sick.fail)
        service.write_at(2, BACKLOG)
        service.world.at(19, sick.heal)
        service.run(4)
        assert service.said("stopped") == [
            f"stopped; {BACKLOG + 1} requests counted and 0 lines rejected in total"
        ]


def a_stop_reads_what_nobody_will_find(tmp_path: Path, monkeypatch: Patch) -> None:
    """The file has been deleted: with this process its text is gone."""
    service = slowly(tmp_path, toml(tmp_path, "access"), monkeypatch)
    service.write(1)
    service.write_at(2, BACKLOG)
    service.world.at(4, service.log.unlink)
    service.run(6)
    assert counted(tmp_path, "access") == [BACKLOG + 1]


# Nobody gets a report before all is read.
CatchesUp = twin(Daemon, "CatchesUp", "_apply", then=lambda self: self._catch_up(self._pipelines.followed))


class BeginsAtOnce(Pipelines):
    """What was there before our time becomes a rate."""

    def begin_windows(self, now: int) -> None:
        for pipeline in self.followed:
            if not pipeline.is_counting:
                self.commit(now)
                pipeline.begin_window(now)


class NumbersEach(Pipelines):
    def commit(self, now: int, *, report: bool = False) -> bool:
        if report and not any(pipeline.has_window for pipeline in self.followed):
            self._writer._sequence += 1
        return super().commit(now, report=report)


# What systemd is told after `stopping` ends the time that a long last read asks for.
ReadyWhileStopping = twin(
    Daemon, "ReadyWhileStopping", "_reload", then=lambda self: self._supervisor.ready(self.status())
)


def reading_on(name: str, until: Callable[[Any], bool]) -> type[Daemon]:
    """Whatever systemd wants, and whether positions are kept or not."""

    def catch_up(self: Any, pipelines: Any) -> int:
        now: int = self._look()
        while any(pipeline.state.is_behind for pipeline in pipelines) and not until(self):
            now = self._look()
        return now

    return twin(Daemon, name, "_catch_up", instead=catch_up)


ReadsOn = reading_on("ReadsOn", lambda _: False)
EndsAnyway = reading_on("EndsAnyway", lambda self: self._stopping)


# --- each with its twins

# What systemd keeps stays there.
LeavesNothing = twin(
    Pipelines, "LeavesNothing", "_leave", instead=lambda self, pipeline, *_: pipeline.close()
)
# Whatever the ledger has, logs come and go.
GoesOn = twin(Daemon, "GoesOn", "_require", instead=lambda self, committed: None)


def logs_named_like_rotated_ones_are_left_alone(tmp_path: Path) -> None:
    """The name of one is what a rotation may make of the other's; both are rotated while nobody runs."""
    for number, names in enumerate(
        (("access.log", "access-2.log"), ("a", "a.1"), ("link.log", "link.log.1"))
    ):
        root = tmp_path / str(number)
        (root / "logs").mkdir(parents=True)
        (root / "link").symlink_to(root / "logs")
        logs = [root / "logs" / name for name in names]
        both = toml(root, f"one=link/{names[0]}", f"other={logs[1]}")
        for log in logs:
            log.write_bytes(LINE * 3)
        served(root, both).run(2)
        for size, log in enumerate(logs, start=4):
            log.rename(root / "logs" / f"before-{log.name}")
            log.write_bytes(
                b"".join(LINE.replace(b"/a", b"/%d/%d" % (size, each)) for each in range(size * 10))
            )
        served(root, both).run(4)
        assert counted(root, "one", "other") == [43, 53]


test_promise, test_twin = promises(
    {
        logs_named_like_rotated_ones_are_left_alone: [answers(LogPlaces, "others", set())],
        a_log_may_move: served_by(LooksUpFirst),
        two_logs_may_swap: served_by(LooksUpFirst),
        the_ledger_knows_where_a_log_begins: served_by(TellsLater),
        counts_enter_a_window_that_is_reported: served_by(ReportsAfterwards),
        a_name_takes_its_totals_along: {"forgets": FORGETS, "lets go": LETS_GO, **served_by(AddsTheGone)},
        a_name_takes_its_totals_along_at_a_start: {"forgets": FORGETS, "adds another": ADDS},
        a_name_that_is_known_goes_on_with_its_own: {"takes over": TAKES_OVER},
        what_systemd_keeps_goes_with_its_log: served_by(LeavesNothing),
        nothing_changes_while_the_ledger_takes_nothing: served_by(GoesOn),
        a_last_report_that_fails_changes_nothing: served_by(GoesOn),
        a_position_that_cannot_be_read_changes_nothing: served_by(LeavesFirst),
        a_new_ledger_knows_the_log_that_just_came: served_by(KnowsTheOld),
        a_new_ledger_knows_the_log_that_went: served_by(ForgetsTheGone),
        a_new_ledger_knows_what_is_still_to_be_found: served_by(GivesUp),
        totals_are_said_right: served_by(ForgetsTheGone, AddsTheGone),
        a_backlog_keeps_nobody_waiting: served_by(CatchesUp, BeginsAtOnce),
        no_number_is_used_up: served_by(NumbersEach),
        a_stop_leaves_a_backlog: served_by(ReadsOn, ReadyWhileStopping),
        a_stop_reads_to_the_end_where_positions_are_not_kept: served_by(EndsAnyway),
        a_stop_reads_what_nobody_will_find: served_by(EndsAnyway),
    }
)
