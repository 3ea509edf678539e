"""The service's loop: wait, read, count, commit, report, tell systemd. The only place that knows every part.

It wakes for hints about the log's directory, for signals, once a second to read, at each window's end
and for the watchdog: never for a write to the log. Everything runs in one thread, so whatever hangs
is seen by the watchdog.

A window is committed first and reported then: what is in the ledger was counted exactly once, and a
report that a crash kept from being printed leaves a gap in the sequence numbers. No file is let go
before the ledger has what was in it.
"""

import signal
from collections.abc import Callable, Sequence

from qps_service import __version__
from qps_service.configuration.types import Config
from qps_service.errors import EXIT_OK, EXIT_PROBLEM, ConfigError, QpsError
from qps_service.ledger.writer import LedgerWriter
from qps_service.notices import kinds
from qps_service.notices.kinds import Notice, Notify
from qps_service.outputs.base import OutputClosed
from qps_service.outputs.group import OutputGroup
from qps_service.reporting.report import make_report
from qps_service.reporting.schedule import Schedule
from qps_service.service.pipeline import LogPipeline
from qps_service.service.pipelines import Pipelines
from qps_service.service.process import Clock, Waker
from qps_service.service.systemd import Supervisor
from qps_service.text.units import SECOND
from qps_service.values.reports import Overview

# How long a line may wait to be read. Shorter wakes more often, longer holds more unread at a rotation.
TICK = 1_000_000_000  # nanoseconds
# Other files may come and go beside the log all the time: their hints are taken in this far apart.
HINTS_APART = 20_000_000  # nanoseconds
# How long a finished file may stay open, and how much of a backlog a crash may have read again. A commit
# costs an fsync: one each look would be felt under ten rotations a second.
CHECKPOINT = 10_000_000_000  # nanoseconds


class Daemon:
    """The life of the service: `run` starts, loops and stops."""

    def __init__(
        self,
        config: Config,
        *,
        writer: LedgerWriter,
        reload: Callable[[], Config],
        make_tail: Callable[..., LogPipeline],
        drop_kept: Callable[[str], object],
        outputs: OutputGroup,
        clock: Clock,
        waker: Waker,
        supervisor: Supervisor,
        notify: Notify,
        scanner: str = "",
    ) -> None:
        """`reload` reads the configuration anew; `make_tail(log_config, now, say, restored=…, at=…)` follows
        one log, with what the ledger knows of it; `drop_kept(name)` lets go of what systemd keeps of one;
        `scanner` is what `--version` calls it."""
        self._config = config
        self._writer = writer
        self._reload_config = reload
        self._outputs = outputs
        self._clock = clock
        self._waker = waker
        self._supervisor = supervisor
        self._notify = notify
        self._logs = Pipelines(writer, make_tail, drop_kept, clock, notify)
        self._scanner = scanner
        self._rate = 0.0  # requests per second of the last report, all logs
        self._looked = 0  # nanoseconds, when the logs were last looked at
        self._stopping = False
        self._reload_wanted = False

    def run(self) -> None:
        """Return after SIGTERM or SIGINT and the last report, or quietly when stdout's reader is gone."""
        try:
            self._start()
            if not self._stopping:
                self._supervisor.ready(self.status())
            while not self._stopping:
                self._wait()
                now = self._look()
                self._answer(now)
                if self._reload_wanted:
                    self._reload()
                    continue
                if now >= self._grid.deadline and not self._stopping:
                    self._logs.commit(now, report=True)
                    self._rate = self._report(now)
                    self._grid.advance(now)
                    self._supervisor.status(self.status())
                self._logs.begin_windows(now)
            for tail in self._logs.tails:
                tail.sweep()
            now = self._catch_up(self._logs.tails)
            self._logs.commit(now, report=True)
            self._report(now)
            self._say_totals()
            self._outputs.close()
        except OutputClosed:
            pass
        finally:
            self._logs.close()

    def run_once(self) -> int:
        """Read from where the ledger ends to the end of the logs, and report once; the exit status. What
        the ledger does not take is not reported: the next run would report it again."""
        try:
            self._start()
            now = self._clock.now()
            if not self._writer.is_written or not self._logs.commit(now, report=True):
                return EXIT_PROBLEM
            self._report(now)
            self._outputs.close()
        except OutputClosed:
            pass
        finally:
            self._logs.close()
        return EXIT_OK

    def alive(self) -> None:
        """Work goes on: systemd is told, and asked for more time if it has told us to stop meanwhile."""
        self._supervisor.alive(self._clock.now())
        self._heed_signals()

    def status(self) -> str:
        """One line: the current total, the routes, what is followed or waited for, all requests so far."""
        return self._logs.status(self._rate, self._config.source)

    def _say_totals(self) -> None:
        requests, rejected = self._logs.requests, self._logs.rejected
        text = f"stopped; {requests} requests counted and {rejected} lines rejected in total"
        self._notify(Notice(kinds.STOPPED, text))

    def _start(self) -> None:
        """Ready only when the watches stand, the ledger is open and everything that was there has been read.
        A log that the ledger knows goes on in the window that was open there."""
        self._writer.open()
        self._outputs.reconfigure(self._config.outputs)
        self._logs.follow(self._config.logs, self._clock.now())
        now = self._catch_up(self._logs.tails)
        self._logs.commit(now)
        self._logs.begin_windows(now)
        self._grid = Schedule(self._clock.now(), self._config.interval)

    def _wait(self) -> None:
        """Sleep until a look is due: by the clock, by a signal, or at once when the log's files moved."""
        if any(tail.is_behind for tail in self._logs.tails):
            return
        feed_due = self._supervisor.feed_due(self._clock.now())
        until = min(self._grid.deadline, self._looked + TICK, *self._outputs.due())
        until = until if feed_due is None else min(until, feed_due)
        descriptors = [number for tail in self._logs.tails if (number := tail.fileno()) is not None]
        descriptors += self._outputs.filenos()
        while self._waker.wait(descriptors, max(0, until - self._clock.now())):
            if any(tail.is_hinted() for tail in self._logs.tails):
                return
            self._waker.wait((), HINTS_APART)
            if self._clock.now() >= until or self._outputs.is_ready():
                return

    def _look(self) -> int:
        """Read every log, a large backlog in parts. Returns when it began: the time that the counts
        stand for."""
        self._heed_signals()
        now = self._clock.now()
        self._outputs.flush(now)
        for tail in self._logs.tails:
            self._read(tail, now)
        self._looked = self._clock.now()
        self._supervisor.alive(self._looked)
        self._checkpoint(now)
        return now

    def _catch_up(self, tails: Sequence[LogPipeline]) -> int:
        """Look until everything is read of these that was there at the last look. A stop does not wait for
        that where the ledger has what was read: the next process goes on there."""
        now = self._look()
        while any(tail.is_behind for tail in tails):
            if self._stopping and self._can_wait() and self._logs.commit(now):
                break
            now = self._look()
        return now

    def _can_wait(self) -> bool:
        """Whether the next process can go on where this one ends."""
        return self._writer.takes_commits and all(tail.is_findable for tail in self._logs.tails)

    def _checkpoint(self, now: int) -> None:
        """Commit within a window where files wait to be let go, or a backlog takes long."""
        waiting = any(tail.finished or tail.is_behind for tail in self._logs.tails)
        due = waiting and now - self._logs.committed_at >= CHECKPOINT
        if due or any(tail.is_crowded for tail in self._logs.tails):
            self._logs.commit(now)

    def _read(self, tail: LogPipeline, now: int) -> None:
        for _ in tail.read(now):
            self.alive()

    def _answer(self, now: int) -> None:
        """Answer those who asked before the last look. What they are told is in the ledger first, if it takes
        anything: a crash must not take it back."""
        is_behind = any(tail.is_behind for tail in self._logs.tails)
        asked = self._outputs.asked(now, is_behind=is_behind)
        if asked:
            self._logs.commit(now)
            self._outputs.answer(asked, self._overview(now), now)

    def _overview(self, now: int) -> Overview:
        return Overview(
            logs=tuple(tail.standing(now) for tail in self._logs.tails),
            commits=self._writer.commits,
            commit_failures=self._writer.failures,
            output_failures=self._outputs.failures(),
            version=__version__,
            scanner=self._scanner,
            is_written=self._writer.is_written,
        )

    def _report(self, now: int) -> float:
        """Report the windows that a commit has ended at `now`; the requests per second of all of them."""
        sequence, at = self._writer.sequence, self._clock.unix()
        named = len(self._config.logs) > 1
        reports = []
        for tail in self._logs.tails:
            if not tail.is_counting:
                continue
            window, losses = tail.close_window(now), tail.losses(at)
            report = make_report(window, sequence=sequence, at=at // SECOND, named=named, losses=losses)
            reports.append(report)
        self._outputs.emit(reports, self._overview(now), now)
        return sum(report.rate for report in reports)

    def _heed_signals(self) -> None:
        for number in self._waker.signals():
            if number == signal.SIGHUP:
                self._reload_wanted = True
            elif number in (signal.SIGTERM, signal.SIGINT) and not self._stopping:
                self._stopping = True
                self._supervisor.stopping()

    def _reload(self) -> None:
        self._reload_wanted = False
        self._supervisor.reloading(self._clock.monotonic())
        try:
            config = self._reload_config()
            if config.state != self._config.state:
                raise ConfigError([f"state: cannot change from {self._config.state} while running"])
            self._apply(config)
        except (QpsError, OSError) as error:
            text = error.brief if isinstance(error, QpsError) else str(error)
            self._notify(Notice(kinds.RELOAD_REFUSED, f"reload refused, going on as before: {text}"))
        else:
            self._notify(Notice(kinds.RELOADED, "configuration reloaded"))
        if not self._stopping:
            self._supervisor.ready(self.status())

    def _apply(self, config: Config) -> None:
        """Go on with `config`: logs that stay keep their place and counts, those that go report once more,
        and their end is in the ledger before anything is read for those that come."""
        leaving, arriving = self._logs.leaving(config.logs), self._logs.arriving(config.logs)
        for tail in leaving:
            tail.sweep()
        now = self._look()
        if leaving or arriving:
            self._require(self._logs.commit(now))
        if leaving:
            now = self._catch_up(leaving)
            committed = self._logs.commit(now, report=True)
            self._report(now)
            self._require(committed)
        self._logs.follow(config.logs, now)
        if config.interval != self._config.interval:
            self._grid = Schedule(now, config.interval)
        self._writer.reconfigure(config.history)
        self._outputs.reconfigure(config.outputs)
        self._config = config
        if arriving:
            now = self._look()
            self._logs.commit(now)  # where they begin
            self._logs.begin_windows(now)

    def _require(self, committed: bool) -> None:
        """Where a log's end is not in the ledger, whoever takes over from it would guess its place."""
        if not committed:
            raise QpsError("no log can come or go while the ledger takes nothing")
