"""Logs that come, go and change their paths with a reload: each line once, whatever the ledger does."""

import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from qps_service.configuration.types import LogConfig
from qps_service.errors import LedgerUnreadableError
from qps_service.files.kernel import Files
from qps_service.following import generation
from qps_service.ledger.database import LedgerUnavailable
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.writer import LedgerWriter
from qps_service.service import daemon as daemon_module
from qps_service.service.daemon import Daemon
from qps_service.service.pipeline import LogPipeline
from qps_service.service.pipelines import Pipelines
from qps_service.values.entries import Restored
from tests.unit.daemons import LINE, SECOND, Service

Patch = pytest.MonkeyPatch
Check = Callable[[Path, Patch], None]


def toml(*logs: tuple[str, Path], interval: str = "1h", **options: str) -> str:
    lines = [f'interval = "{interval}"']
    for name, path in logs:
        lines += [f"[log.{name}]", f'path = "{path}"', 'start = "start"']
        lines += [f"{option} = {value}" for option, value in options.items()]
    return "\n".join(lines) + "\n"


def served(root: Path, text: str, **options: Any) -> Service:
    return Service(root, text, ledger=str(root / "ledger.db"), **options)


def reload_at(service: Service, seconds: float, text: str) -> None:
    service.world.at(seconds, lambda: service.configure(text))
    service.world.signal(seconds, signal.SIGHUP)


def stop(service: Service, seconds: float) -> None:
    service.world.signal(seconds, signal.SIGTERM)
    service.daemon.run()
    service.writer.close()


def known(root: Path, log: str) -> tuple[int, int, str]:
    """What the ledger has of a log: requests in all, lines read by its generations' count, its path."""
    ledger = Ledger(str(root / "ledger.db"), boot="this")
    ledger.open(writable=False)
    try:
        restored = ledger.restore(log, now=10**6 * SECOND, at=10**6 * SECOND)
        if restored is None:
            return 0, 0, ""
        lines, _ = ledger.forgotten(log)
        lines += sum(position.lines for position in (*restored.held, *restored.retired))
        return sum(counts.requests for counts in restored.totals.values()), lines, restored.path
    finally:
        ledger.close()


def requests_of(service: Service) -> list[tuple[int, str, int]]:
    return [(report.sequence, report.log, report.requests) for report in service.reports]


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


class Slow(Files):
    """Half a second for each block."""

    service: Service

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        if size > 1 << 10:
            self.service.world.elapse(SECOND // 2)
        return super().read(descriptor, size, offset)


def slowly(root: Path, text: str, patch: Patch, *, ledger: bool = True) -> Service:
    """A service that takes half a second for each 64 KiB, and looks at the clock after each."""
    patch.setattr(generation, "PART", 1)
    files = Slow()
    files.service = service = Service(root, text, files=files, ledger=str(root / "ledger.db") * ledger)
    return service


BACKLOG = 100_000  # lines, 2.3 MB: 18 seconds


# --- what a log's end and another's beginning have to do with each other


def a_log_may_move(root: Path, _: Patch) -> None:
    """The same file by another path, with lines that were read and not committed yet."""
    log, link = root / "access.log", root / "current.log"
    service = served(root, toml(("access", log)))
    link.symlink_to(log)
    service.write(3)
    service.write_at(2, 5)
    reload_at(service, 5, toml(("access", link)))
    service.write_at(6, 1)
    stop(service, 8)
    assert known(root, "access") == (9, 9, str(link))
    now = f"log access is now {link}, and was {log}: its counts go on"
    assert service.said("restored") == [f"{now}, 0 s after the last report"]
    assert requests_of(service) == [(1, "access", 5), (2, "access", 1)]
    assert service.said("stopped") == ["stopped; 9 requests counted and 0 lines rejected in total"]


def two_logs_may_swap(root: Path, _: Patch) -> None:
    one, other = root / "access.log", root / "other.log"
    service = served(root, toml(("a", one), ("b", other)))
    service.write(1)
    service.write(1, path=other)
    service.write_at(2, 3)
    service.write_at(2, 4, path=other)
    reload_at(service, 5, toml(("a", other), ("b", one)))
    service.write_at(6, 10)
    service.write_at(6, 20, path=other)
    stop(service, 8)
    # Each name begins anew in the other's file: it was not followed by it before.
    assert known(root, "a") == (1 + 3 + 25, 1 + 3 + 25, str(other))
    assert known(root, "b") == (1 + 4 + 14, 1 + 4 + 14, str(one))
    assert [report[:2] for report in requests_of(service)] == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]


def the_ledger_knows_where_a_log_begins(root: Path, _: Patch) -> None:
    """A crash right after the reload must not make the next process begin at the end."""
    log, other = root / "access.log", root / "other.log"
    text = toml(("access", log)).replace('"start"', '"end"')
    service = served(root, text)
    service.write(3)
    other.touch()
    reload_at(service, 5, text.replace(str(log), str(other)))
    paths: list[str] = []
    service.world.at(5.5, lambda: paths.append(known(root, "access")[2]))
    stop(service, 8)
    assert paths == [str(other)]


def counts_enter_a_window_that_is_reported(root: Path, _: Patch) -> None:
    """One log comes back and another goes, at once."""
    log, other = root / "access.log", root / "other.log"
    both = toml(("access", log), ("other", other))
    service = served(root, both)
    service.write(1)
    service.write(1, path=other)
    reload_at(service, 5, toml(("access", log)))
    service.write_at(6, 4, path=other)
    service.write_at(7, 2)
    reload_at(service, 10, toml(("other", other)))
    stop(service, 15)
    reports = requests_of(service)
    assert reports == [(1, "access", 0), (1, "other", 0), (2, "access", 2), (3, "other", 4)]
    ledger = Ledger(str(root / "ledger.db"), boot="this")
    ledger.open(writable=False)
    rows = ledger.database.connection.execute("SELECT sequence, log, requests FROM windows").fetchall()
    ledger.close()
    assert sorted(rows) == [(2, "access", 2), (3, "other", 4)]


def what_systemd_keeps_goes_with_its_log(root: Path, _: Patch) -> None:
    """Once the ledger has it all."""
    log, other = root / "access.log", root / "other.log"
    service = served(root, toml(("access", log), ("other", other)))
    service.write_at(2, 7, path=other)
    found: list[tuple[str, int]] = []
    service.daemon._pipelines._drop_kept = lambda name: found.append((name, known(root, name)[0]))
    reload_at(service, 5, toml(("access", log)))
    stop(service, 8)
    assert found == [("other", 7)]


class LooksUpFirst(Pipelines):
    """Asks the ledger where to begin before it has what was read until now."""

    _early: dict[str, Restored | None]

    def leaving(self, logs: Iterable[LogConfig]) -> list[LogPipeline]:
        if self.followed and not hasattr(self, "_early"):
            self._early = {log.name: self._writer.restore(log.name, now=0, at=0) for log in logs}
        return super().leaving(logs)

    def _join(self, log: LogConfig, restored: Restored | None, now: int, at: int) -> LogPipeline:
        return super()._join(log, getattr(self, "_early", {log.name: restored})[log.name], now, at)


class TellsLater(Pipelines):
    """The first commit after a log came is left out."""

    def follow(self, *arguments: Any) -> None:
        super().follow(*arguments)
        self._skips = True

    def commit(self, *arguments: Any, **keywords: Any) -> bool:
        skips, self._skips = getattr(self, "_skips", False), False
        return skips or super().commit(*arguments, **keywords)


class LeavesNothing(Pipelines):
    """What systemd keeps stays there."""

    def _leave(self, tail: LogPipeline, *arguments: Any) -> None:
        tail.close()


class ReportsAfterwards(Daemon):
    """The windows of those that go end when others have come."""

    def _apply(self, config: Any) -> None:
        report, self._report = self._report, lambda now: 0  # type: ignore[method-assign]
        super()._apply(config)
        self._report = report  # type: ignore[method-assign]


# --- refusals


def nothing_changes_while_the_ledger_takes_nothing(root: Path, patch: Patch) -> None:
    log, other, third = root / "access.log", root / "other.log", root / "third.log"
    sick = Sick(patch)
    both = toml(("access", log), ("other", other))
    service = served(root, both)
    service.write(1)
    service.write_at(2, 4, path=other)
    service.world.at(4, sick.fail)
    followed: list[list[LogPipeline]] = []
    for second in (5, 6, 7):
        service.world.at(second, lambda: followed.append(list(service.daemon._pipelines.followed)))
    reload_at(service, 5, toml(("access", log), ("third", third)))
    reload_at(service, 6, toml(("access", log)))
    service.write_at(7, 5, path=other)
    service.world.at(20, sick.heal)
    reload_at(service, 21, toml(("access", log), ("third", third)))
    service.write_at(22, 2, path=third)
    stop(service, 25)
    assert followed[0] == followed[1] == followed[2]
    refused = "reload refused, going on as before: no log can come or go while the ledger takes nothing"
    assert service.said("reload_refused") == [refused] * 2
    assert service.said("reloaded") == ["configuration reloaded"]
    assert [known(root, name)[:2] for name in ("access", "other", "third")] == [(1, 1), (9, 9), (2, 2)]


def a_last_report_that_fails_changes_nothing(root: Path, patch: Patch) -> None:
    log, other = root / "access.log", root / "other.log"
    sick = Sick(patch)
    service = served(root, toml(("access", log), ("other", other)))
    service.write_at(2, 4, path=other)
    service.world.at(4, lambda: sick.fail(after=1))
    reload_at(service, 5, toml(("access", log)))
    service.write_at(7, 5, path=other)
    service.world.at(20, sick.heal)
    stop(service, 25)
    assert len(service.said("reload_refused")) == 1
    assert service.dropped == []
    assert [report for report in requests_of(service) if report[1] == "other"] == [
        (1, "other", 4),
        (2, "other", 5),
    ]
    assert known(root, "other")[:2] == (9, 9)


def a_place_that_cannot_be_read_changes_nothing(root: Path, patch: Patch) -> None:
    log, other = root / "access.log", root / "other.log"
    service = served(root, toml(("access", log)))
    service.write_at(2, 4)

    def refuse(*_: object, **__: object) -> None:
        raise LedgerUnreadableError("/l", "database is locked")

    service.world.at(4, lambda: patch.setattr(LedgerWriter, "restore", refuse))
    reload_at(service, 5, toml(("other", other)))
    service.write_at(7, 5)
    stop(service, 25)
    assert len(service.said("reload_refused")) == 1
    assert service.dropped == []
    assert known(root, "access")[:2] == (9, 9)


class GoesOn(Daemon):
    """Whatever the ledger has, logs come and go."""

    def _require(self, committed: bool) -> None:
        pass


class LeavesFirst(Pipelines):
    """Those that go are gone before it is known whether others can come."""

    def follow(self, logs: Any, now: int) -> None:
        for tail in self.leaving(logs):
            self._leave(tail, now, now)
        super().follow(logs, now)


# --- a ledger that has to be written anew, and totals


def unlink(root: Path) -> None:
    (root / "ledger.db").unlink()


def a_new_ledger_knows_the_log_that_just_came(root: Path, _: Patch) -> None:
    log, other = root / "access.log", root / "other.log"
    service = served(root, toml(("access", log)))
    service.write(3)
    service.write(4, path=other)
    make = service.daemon._pipelines._make_pipeline

    def make_late(log: LogConfig, *arguments: Any, **keywords: Any) -> LogPipeline:
        if log.name == "other":
            unlink(root)
        return make(log, *arguments, **keywords)

    service.daemon._pipelines._make_pipeline = make_late
    reload_at(service, 5, toml(("access", log), ("other", other)))
    stop(service, 8)
    assert len(service.said("ledger_vanished")) == 1
    assert [known(root, name)[:2] for name in ("access", "other")] == [(3, 3), (4, 4)]


def a_new_ledger_knows_the_log_that_went(root: Path, _: Patch) -> None:
    """Also what it was told while the log was away, and when it is back."""
    log, other = root / "access.log", root / "other.log"
    both = toml(("access", log), ("other", other))
    service = served(root, both)
    service.write(3)
    service.write(4, path=other)
    reload_at(service, 5, toml(("access", log)))
    for second in (7, 17):
        service.world.at(second, lambda: unlink(root))
    reload_at(service, 10, both)
    service.write_at(12, 1, path=other)
    reload_at(service, 15, toml(("access", log)))
    stop(service, 20)
    assert len(service.said("ledger_vanished")) == 2
    assert [known(root, name)[:2] for name in ("access", "other")] == [(3, 3), (5, 5)]


def a_new_ledger_knows_what_is_still_to_be_found(root: Path, _: Patch) -> None:
    """The log's disk is not mounted when its ledger is lost."""
    logs, elsewhere = root / "logs", root / "elsewhere"
    logs.mkdir()
    (logs / "access.log").write_bytes(LINE * 3)
    text = toml(("access", logs / "access.log"))
    stop(served(root, text), 2)
    logs.rename(elsewhere)
    service = served(root, text)
    service.world.at(4, lambda: unlink(root))
    stop(service, 8)
    assert len(service.said("ledger_vanished")) == 1
    elsewhere.rename(logs)
    (logs / "access.log").write_bytes(b"")  # truncated meanwhile, as only who had it open notices
    service = served(root, text)
    stop(service, 2)
    assert len(service.said("possible_loss")) == 1
    assert known(root, "access")[:2] == (3, 3)


def totals_are_said_right(root: Path, _: Patch) -> None:
    log, other = root / "access.log", root / "other.log"
    both = toml(("access", log), ("other", other))
    for ledger in ("", str(root / "ledger.db")):
        log.write_bytes(LINE * 3)
        other.write_bytes(LINE * 4 + b"?\n")
        service = Service(root, both, ledger=ledger)
        for number in range(1, 5):
            reload_at(service, 10 * number, toml(("access", log)) if number % 2 else both)
        stop(service, 60)
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


class ForgetsTheGone(Pipelines):
    def _leave(self, *arguments: Any) -> None:
        super()._leave(*arguments)
        self._gone.clear()


class GivesUp(Pipelines):
    """What was not found at once is of the past."""

    def commit(self, *arguments: Any, **keywords: Any) -> bool:
        for tail in self.followed:
            tail._expected.clear()
        return super().commit(*arguments, **keywords)


class AddsTheGone(Pipelines):
    """Also when they are back."""

    def _join(self, *arguments: Any) -> LogPipeline:
        gone = dict(self._gone)
        tail = super()._join(*arguments)
        self._gone = gone
        return tail


# --- backlogs


def a_backlog_keeps_nobody_waiting(root: Path, patch: Patch) -> None:
    """A log that comes with a large one is read in parts. It has no window before that is over."""
    log, big = root / "access.log", root / "big.log"
    service = slowly(root, toml(("access", log), interval="5s"), patch)
    service.write(1)
    service.write(BACKLOG, path=big)
    reload_at(service, 6, toml(("access", log), ("big", big), interval="5s"))
    for second in range(7, 40):
        service.write_at(second, 1)
    service.write_at(39, 3, path=big)
    stop(service, 45)
    ready = [when for when, text in service.told_at if text.startswith("READY=1")]
    assert ready[1] < 10
    mine = [report for report in service.reports if report.log == "access"]
    assert all(report.seconds < 8 for report in mine)
    assert all(report.seconds >= 0 for report in service.reports)
    assert sum(report.requests for report in mine) == 33
    others = [report.requests for report in service.reports if report.log == "big"]
    assert sum(others) == 3
    assert 1 < len(others) < len(mine) - 2
    assert known(root, "big")[:2] == (BACKLOG + 3, BACKLOG + 3)


def no_number_is_used_up(root: Path, patch: Patch) -> None:
    """While no log has a window."""
    log, big = root / "access.log", root / "big.log"
    service = slowly(root, toml(("access", log), interval="5s"), patch)
    service.write(1)
    service.write(BACKLOG, path=big)
    reload_at(service, 6, toml(("big", big), interval="5s"))
    stop(service, 45)
    numbers = [report.sequence for report in service.reports]
    assert numbers == list(range(1, len(numbers) + 1))


def a_stop_leaves_a_backlog(root: Path, patch: Patch) -> None:
    """At the start, in a reload, at the end: what was read is in the ledger, and the next one goes on."""
    log, big = root / "access.log", root / "big.log"
    service = slowly(root, toml(("access", log)), patch)
    service.write(BACKLOG)
    stop(service, 2)
    assert service.world.seconds < 5
    assert not [text for text in service.told if "READY" in text]
    assert 0 < known(root, "access")[0] < BACKLOG
    service = slowly(root, toml(("access", log)), patch)
    service.write_at(25, BACKLOG)
    stop(service, 27)
    assert service.world.seconds < 30
    assert BACKLOG < known(root, "access")[0] < 2 * BACKLOG
    service = slowly(root, toml(("access", log)), patch)
    service.write_at(25, BACKLOG)
    big.touch()
    reload_at(service, 26, toml(("big", big)))
    stop(service, 28)
    assert service.world.seconds < 31
    assert 2 * BACKLOG < known(root, "access")[0] < 3 * BACKLOG
    assert len([text for text in service.told if text.startswith("READY=1")]) == 1
    service = served(root, toml(("access", log)))
    stop(service, 2)
    assert known(root, "access")[:2] == (3 * BACKLOG, 3 * BACKLOG)


def a_stop_reads_to_the_end_where_places_are_not_kept(root: Path, patch: Patch) -> None:
    sick = Sick(patch)
    log = root / "access.log"
    for ledger in (False, True):
        log.write_bytes(b"")
        service = slowly(root, toml(("access", log)), patch, ledger=ledger)
        service.write(1)
        service.world.at(1, sick.fail)
        service.write_at(2, BACKLOG)
        service.world.at(19, sick.heal)
        stop(service, 4)
        assert service.said("stopped") == [
            f"stopped; {BACKLOG + 1} requests counted and 0 lines rejected in total"
        ]


def a_stop_reads_what_nobody_will_find(root: Path, patch: Patch) -> None:
    """The file has been deleted: with this process its text is gone."""
    service = slowly(root, toml(("access", root / "access.log")), patch)
    service.write(1)
    service.write_at(2, BACKLOG)
    service.world.at(4, service.log.unlink)
    stop(service, 6)
    assert known(root, "access")[:2] == (BACKLOG + 1, BACKLOG + 1)


class CatchesUp(Daemon):
    """Nobody gets a report before all is read."""

    def _apply(self, config: Any) -> None:
        super()._apply(config)
        self._catch_up(self._pipelines.followed)


class BeginsAtOnce(Pipelines):
    """What was there before our time becomes a rate."""

    def begin_windows(self, now: int) -> None:
        for tail in self.followed:
            if not tail.is_counting:
                self.commit(now)
                tail.close_window(now)


class NumbersEach(Pipelines):
    def commit(self, now: int, *, report: bool = False) -> bool:
        if report and not any(tail.is_counting for tail in self.followed):
            self._writer._sequence += 1
        return super().commit(now, report=report)


class ReadyWhileStopping(Daemon):
    """What systemd is told after `stopping` ends the time that a long last read asks for."""

    def _reload(self) -> None:
        super()._reload()
        self._supervisor.ready(self.status())


class ReadsOn(Daemon):
    """Whatever systemd wants."""

    def _catch_up(self, tails: Any) -> int:
        now = self._look()
        while any(tail.state.is_behind for tail in tails):
            now = self._look()
        return now


class EndsAnyway(Daemon):
    """As if places were always kept."""

    def _catch_up(self, tails: Any) -> int:
        now = self._look()
        while any(tail.state.is_behind for tail in tails) and not self._stopping:
            now = self._look()
        return now


# --- --once


def what_is_not_in_the_ledger_is_not_printed(root: Path, patch: Patch) -> None:
    sick = Sick(patch)
    text = toml(("access", root / "access.log"))

    def once() -> tuple[int, list[int]]:
        service = served(root, text)
        status = service.daemon.run_once()
        service.writer.close()
        return status, [report.requests for report in service.reports]

    (root / "access.log").write_bytes(LINE)
    assert once() == (0, [0])
    (root / "access.log").write_bytes(LINE * 4)
    sick.fail(after=1)
    assert once() == (1, [])
    sick.heal()
    assert once() == (0, [3])


class PrintsAnyway(Daemon):
    def run_once(self) -> int:
        self._start()
        self._pipelines.commit(self._clock.now(), report=True)
        self._report(self._clock.now())
        self._pipelines.close()
        return 0


# --- each with its twins

Twin = type[Pipelines] | type[Daemon]
CHECKS: dict[Check, list[Twin]] = {
    a_log_may_move: [LooksUpFirst],
    two_logs_may_swap: [LooksUpFirst],
    the_ledger_knows_where_a_log_begins: [TellsLater],
    counts_enter_a_window_that_is_reported: [ReportsAfterwards],
    what_systemd_keeps_goes_with_its_log: [LeavesNothing],
    nothing_changes_while_the_ledger_takes_nothing: [GoesOn],
    a_last_report_that_fails_changes_nothing: [GoesOn],
    a_place_that_cannot_be_read_changes_nothing: [LeavesFirst],
    a_new_ledger_knows_the_log_that_just_came: [KnowsTheOld],
    a_new_ledger_knows_the_log_that_went: [ForgetsTheGone],
    a_new_ledger_knows_what_is_still_to_be_found: [GivesUp],
    totals_are_said_right: [ForgetsTheGone, AddsTheGone],
    a_backlog_keeps_nobody_waiting: [CatchesUp, BeginsAtOnce],
    no_number_is_used_up: [NumbersEach],
    a_stop_leaves_a_backlog: [ReadsOn, ReadyWhileStopping],
    a_stop_reads_to_the_end_where_places_are_not_kept: [EndsAnyway],
    a_stop_reads_what_nobody_will_find: [EndsAnyway],
    what_is_not_in_the_ledger_is_not_printed: [PrintsAnyway],
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_promise(check: Check, tmp_path: Path, monkeypatch: Patch) -> None:
    check(tmp_path, monkeypatch)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("check", "twin"),
    [(check, twin) for check, twins in CHECKS.items() for twin in twins],
    ids=lambda each: each.__name__,
)
def test_the_check_catches_its_twin(check: Check, twin: Twin, tmp_path: Path, monkeypatch: Patch) -> None:
    if issubclass(twin, Pipelines):
        monkeypatch.setattr(daemon_module, "Pipelines", twin)
    else:
        monkeypatch.setattr(Service.__init__, "__kwdefaults__", {**_defaults(), "daemon": twin})
    with pytest.raises(AssertionError):
        check(tmp_path, monkeypatch)


def _defaults() -> dict[str, Any]:
    return dict(Service.__init__.__kwdefaults__ or {})
