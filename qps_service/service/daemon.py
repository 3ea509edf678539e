"""The service's loop: wait, read, count, commit, report, tell systemd. Its parts come from assembly.py.

It wakes for hints about the log's directory, for signals, once a second to read, at each window's end
and for the watchdog: never for a write to the log. Everything runs in one thread, so whatever hangs
is seen by the watchdog.

A report is due by the clock, and waits for no log: where a look at all of them takes long, a log's window
ends with the last look at that log, and its next one begins there. One that was not looked at since its last
report is in the next one.

A window is committed first and reported then: what is in the ledger was counted exactly once, and a
report that a crash kept from being printed leaves a gap in the sequence numbers. No file is let go
before the ledger has what was in it. From the last commit on no signal is heard: what is left takes a second
or two, and ends with status 0.
"""

import signal
from collections.abc import Callable, Sequence

from qps_service import __version__
from qps_service.configuration.types import Config
from qps_service.errors import EXIT_OK, EXIT_PROBLEM, ConfigError, LedgerUnreadableError, QpsError
from qps_service.files.kernel import Files
from qps_service.ledger.writer import LedgerWriter
from qps_service.notices import kinds
from qps_service.notices.kinds import Notice
from qps_service.outputs.base import OutputClosed
from qps_service.outputs.group import OutputGroup
from qps_service.reporting.report import make_report
from qps_service.reporting.schedule import Schedule
from qps_service.service.events import EventBook
from qps_service.service.patterns import Chosen, Patterns
from qps_service.service.pipeline import LogPipeline
from qps_service.service.pipelines import MakePipeline, Pipelines
from qps_service.service.process import Clock, Waker, unix_at
from qps_service.service.status import Status, status_line
from qps_service.service.systemd import Supervisor
from qps_service.text.escape import show_path
from qps_service.text.units import MILLISECOND, SECOND
from qps_service.values.entries import STARTED, STOPPED
from qps_service.values.reports import Overview

# How long a line may wait to be read. Shorter wakes more often, longer holds more unread at a rotation.
TICK = SECOND  # nanoseconds
# Other files may come and go beside the log all the time: their hints are taken in this far apart.
HINTS_APART = 20 * MILLISECOND  # nanoseconds
# How much longer than the last time nothing is done for clients that are not to be answered.
REST = 4
# How long a look goes on to one more log; those that are left are the next look's, at once. After an overflow
# of inotify's queue each of hundreds of logs has to look through its directory.
TURN = SECOND  # nanoseconds
# How long a finished file may stay open, and how much of a backlog a crash may have read again. A commit
# costs an fsync: one each look would be felt under ten rotations a second.
CHECKPOINT = 10 * SECOND  # nanoseconds


class Daemon:
    """The life of the service: `run` starts, loops and stops."""

    def __init__(
        self,
        config: Config,
        *,
        writer: LedgerWriter,
        reload: Callable[[], Config],
        make_pipeline: MakePipeline,
        drop_kept: Callable[[str], object],
        outputs: OutputGroup,
        clock: Clock,
        waker: Waker,
        supervisor: Supervisor,
        events: EventBook,
        patterns: Patterns | None = None,
        scanner: str = "",
    ) -> None:
        """`reload` reads the configuration anew; `drop_kept(name)` lets go of what systemd keeps of a log;
        `scanner` is what `--version` calls it."""
        self._config = config
        self._writer = writer
        self._reload_config = reload
        self._outputs = outputs
        self._clock = clock
        self._waker = waker
        self._supervisor = supervisor
        self._events = events
        self._notify = events.notify
        self._pipelines = Pipelines(writer, make_pipeline, drop_kept, clock, events, self.alive)
        self._patterns = patterns or Patterns(Files(self.alive), None, events.notify, writer.known_logs)
        self._scanner = scanner
        self._rate = 0.0  # requests per second of the last report, all logs
        self._looked = 0  # nanoseconds, when the logs were last looked at
        self._spent_before = 0  # what was `spent` when that look began
        self._unread: list[LogPipeline] = []  # those that the last look did not come to, the next one last
        self._is_whole = True  # whether the last look came to all logs
        self._stopping = False
        self._reload_wanted = False
        self.is_reporting = False  # whether the start is over, so that windows end

    def run(self, *, once: bool = False) -> int:
        """Return after SIGTERM or SIGINT or the end of all input, and the last report, or when stdout's
        reader is gone; the exit status.

        With `once`, read from where the ledger ends to the end of the logs, that of a pipe when nobody writes
        to it any more, and report once. What the ledger does not take is not reported: the next run would
        report it again."""
        try:
            return self._count_once() if once else self._serve()
        except OutputClosed as closed:
            return closed.status
        finally:
            self._waker.hold_back()
            self._pipelines.close()
            self._patterns.close()

    def _serve(self) -> int:
        self._events.add(STARTED, f"qps-reporter {__version__} started")
        self._start()
        if not self._stopping:
            self._supervisor.ready(self.status())
        while not self._stopping and not self._pipelines.is_over:
            self._wait()
            now = self._look()
            self._answer(now)
            if self._reload_wanted:
                self._reload()
                continue
            due = now if self._is_whole else self._looked
            if due >= self._schedule.deadline and not self._stopping:
                self._pipelines.commit(due, report=True)
                self._rate = self._report(due)
                self._schedule.advance(due)
                self._part_with_ended(due)
                self._supervisor.status(self.status())
            self._pipelines.begin_windows(now)
        self._stop()
        for pipeline in self._pipelines.followed:
            pipeline.sweep()
        now = self._catch_up(self._pipelines.followed)
        self._events.add(STOPPED, f"qps-reporter {__version__} stopped")
        self._pipelines.commit(now, report=True)
        self._waker.hold_back()
        self._report(now)
        self._say_totals()
        self._outputs.close()
        return EXIT_OK

    def _count_once(self) -> int:
        self._start()
        now = self._clock.now()
        while self._pipelines.is_open and not self._stopping:
            self._wait()
            now = self._look()
            self._schedule.advance(now)
        for pipeline in self._pipelines.followed:
            pipeline.sweep()
        if not self._pipelines.commit(now, report=True):
            return EXIT_PROBLEM
        self._waker.hold_back()
        self._report(now)
        self._outputs.close()
        return EXIT_OK

    def alive(self) -> None:
        """Work goes on: systemd is told, and asked for more time if it has told us to stop meanwhile."""
        self._supervisor.alive(self._clock.now())
        self._heed_signals()

    def status(self) -> str:
        """One line: trouble, the current rate, what is followed, all requests so far."""
        followed, now = self._pipelines.followed, self._clock.now()
        status = Status(
            rate=self._rate,
            routes=sum(pipeline.aggregator.routes for pipeline in followed),
            logs=len(followed),
            requests=self._pipelines.requests,
            is_written=self._writer.is_written,
            failing=self._outputs.failing(),
            losses=sum(len(pipeline.losses(now)) for pipeline in followed),
            waiting=[pipeline.state.waiting for pipeline in followed if pipeline.state.waiting],
            unmatched=self._patterns.waiting(),
            source=self._config.source,
        )
        return status_line(status)

    def _say_totals(self) -> None:
        requests, rejected = self._pipelines.requests, self._pipelines.rejected
        text = f"stopped; {requests} requests counted and {rejected} lines rejected in total"
        self._notify(Notice(kinds.STOPPED, text))

    def _start(self) -> None:
        """Ready only when the watches stand, the ledger is open and everything that was there has been read.
        A log that the ledger knows goes on in the window that was open there."""
        self._writer.open()
        self._outputs.reconfigure(self._config.outputs, self._config.journal)
        has_more = True
        while has_more:
            now = self._clock.now()
            self._pipelines.follow(self._chosen(self._config, now).logs, now)
            has_more = self._patterns.settle(done=True)
        if self._patterns.patterns:
            self._pipelines.drop_others()
        now = self._catch_up(self._pipelines.followed)
        self._pipelines.commit(now)
        self._pipelines.begin_windows(now)
        self._schedule = Schedule(self._clock.now(), self._config.interval)
        self.is_reporting = True

    def _wait(self) -> None:
        """Sleep until a look is due: by the clock, by a signal, at once when the log's files moved, or when
        somebody is to be answered. What outputs have to do meanwhile is no reason for one: who connects, or
        sends a byte, costs less, and all of them together a fifth of the time."""
        if self._is_behind:
            return
        feed_due = self._supervisor.feed_due(self._clock.now())
        until = min(self._schedule.deadline, self._looked + TICK)
        until = until if feed_due is None else min(until, feed_due)
        followed = self._pipelines.followed
        # One for all logs: what one of them reads there may be for another, and then no poll tells of it.
        watching: list[LogPipeline | Patterns] = [*followed, self._patterns]
        descriptors = {number for each in watching if (number := each.fileno()) is not None}
        descriptors.update(self._outputs.filenos())
        took = 0
        while True:
            wanted, now = self._outputs.wanted(), self._clock.now()
            due = until if wanted is None else min(until, wanted)
            if now >= due:
                return
            pause = max(0, min([due, *self._outputs.due()]) - now)
            if any(each.has_hints for each in watching) or self._waker.wait(descriptors, pause):
                if self._is_hinted():
                    return
                rest = min(REST * took, due - self._clock.now())
                self._waker.wait((), max(HINTS_APART, rest))
            elif self._clock.now() < now + pause:
                return  # a signal
            if (began := self._clock.now()) >= due:
                return
            self._outputs.flush(began)
            took = self._clock.now() - began

    def _is_hinted(self) -> bool:
        """Take in the hints of one log after the other, until one is a reason to look."""
        for pipeline in self._pipelines.followed:
            if pipeline.is_hinted():
                return True
            self._supervisor.alive(self._clock.now())  # each may have thousands
        return self._patterns.take_hints(self._paths())

    def _look(self) -> int:
        """Read every log, a large backlog in parts, and where all of them take long, the rest in the next
        look. Returns when it began: the time that the counts stand for."""
        self._heed_signals()
        before, now = self._looked, self._clock.now()
        self._looked, self._spent_before = now, self._clock.spent()
        self._outputs.flush(now)
        begins = not self._unread
        if begins and self.is_reporting and self._patterns.is_due(now, self._paths()):
            self._take_in_matches(before, now)
        self._unread = self._unread or self._pipelines.followed[::-1]
        while self._unread and self._looked - now < TURN:
            self._read(self._unread.pop(), now)
            self._looked = self._clock.now()
            self._supervisor.alive(self._looked)
        self._is_whole = begins and not self._unread
        self._checkpoint(now)
        return now

    def _paths(self) -> set[str]:
        return {pipeline.config.path for pipeline in self._pipelines.followed}

    def _chosen(self, config: Config, now: int) -> Chosen:
        """The logs of a configuration, as its patterns match now."""
        return self._patterns.look(config, self._pipelines.followed, now, unix_at(self._clock, now))

    def _take_in_matches(self, before: int, now: int) -> None:
        """Follow what came under a pattern, as hints told since the look at `before`. What is written to it
        is of its first window, which begins when nothing was there."""
        try:
            chosen = self._chosen(self._config, now)
            arriving = self._pipelines.arriving(chosen.logs)
            if arriving:
                self._pipelines.follow(chosen.logs, now)
        except LedgerUnreadableError:
            self._patterns.settle(done=False)
            return
        names = {log.name for log in arriving}
        for pipeline in self._pipelines.followed:
            if pipeline.config.name in names:
                since = self._patterns.came_after(pipeline.config.path, before, now)
                # It may have come in that look, and how old it is is told later than this one began.
                pipeline.begin_window(since, since - 2 * TURN)
        self._patterns.settle(done=True)

    def _part_with_ended(self, now: int) -> None:
        """Follow logs no longer that vanished, and are reported."""
        for pipeline in self._pipelines.take_ended(now):
            text = f"{show_path(pipeline.config.path)} is gone, and was read to its end: it is followed no"
            text += " longer, and its totals stay in the ledger"
            self._notify(Notice(kinds.LOG_LEFT, text, pipeline.config.name))

    @property
    def _is_behind(self) -> bool:
        """Whether the last look left something, so that the next is due at once."""
        return bool(self._unread) or self._pipelines.is_behind

    def _catch_up(self, pipelines: Sequence[LogPipeline]) -> int:
        """Look until everything is read of these that was there at the last look. A stop does not wait for
        that where the ledger has what was read: the next process goes on there."""
        self._unread.clear()  # a look that began before knows nothing of what came since
        now = self._look()
        while self._unread or any(pipeline.state.is_behind for pipeline in pipelines):
            if not self._unread and self._stopping and self._can_wait() and self._pipelines.commit(now):
                break
            now = self._look()
        return now

    def _can_wait(self) -> bool:
        """Whether the next process can go on where this one ends."""
        return self._writer.takes_commits and all(
            pipeline.is_findable() for pipeline in self._pipelines.followed
        )

    def _checkpoint(self, now: int) -> None:
        """Commit within a window where files wait to be let go, or a backlog takes long."""
        waiting = any(
            pipeline.state.finished or pipeline.state.is_behind for pipeline in self._pipelines.followed
        )
        due = waiting and now - self._pipelines.committed_at >= CHECKPOINT
        if due or any(pipeline.state.is_crowded for pipeline in self._pipelines.followed):
            self._pipelines.commit(now)

    def _read(self, pipeline: LogPipeline, now: int) -> None:
        for _ in pipeline.read(now):
            self.alive()

    def _answer(self, now: int) -> None:
        """Answer those who asked before the last look, if that came to all logs. What they are told is in the
        ledger first, if it takes anything: a crash must not take it back. To count may take long, by rules
        for routes, and would be done without them."""
        asked = self._outputs.asked(now, is_behind=not self._is_whole or self._pipelines.is_behind)
        if asked:
            self._pipelines.count()
            committed = self._clock.spent()
            self._pipelines.commit(now)
            overview, looked = self._overview(now), self._spent_before
            self._outputs.answer(asked, overview, now, looked=looked, committed=committed)

    def _overview(self, now: int) -> Overview:
        return Overview(
            logs=tuple(pipeline.standing(now) for pipeline in self._pipelines.followed),
            commits=self._writer.commits,
            commit_failures=self._writer.failures,
            output_failures=self._outputs.failures(),
            version=__version__,
            scanner=self._scanner,
            is_written=self._writer.is_written,
        )

    def _report(self, now: int) -> float:
        """Report the windows that a commit has ended at `now`; the requests per second of all of them."""
        sequence, at = self._writer.sequence, unix_at(self._clock, now)
        named = len(self._config.logs) > 1 or any(log.is_pattern for log in self._config.logs)
        reports = []
        for pipeline in self._pipelines.followed:
            if not pipeline.has_window:
                continue
            window, losses = pipeline.close_window(), pipeline.losses(now)
            dated = make_report(window, sequence=sequence, at=at // SECOND, named=named, losses=losses)
            shows = self._config.shows_latency
            reports.append(dated._replace(waiting=pipeline.state.waiting, shows_latency=shows))
        self._outputs.emit(reports, self._overview(now), now)
        return sum(report.rate for report in reports)

    def _heed_signals(self) -> None:
        for number in self._waker.signals():
            if number == signal.SIGHUP:
                self._reload_wanted = True
            elif number in (signal.SIGTERM, signal.SIGINT):
                self._stop()

    def _stop(self) -> None:
        if not self._stopping:
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
        """Go on with `config`: logs that stay keep their position and counts, those that go report once more,
        and their end is in the ledger before anything is read for those that come."""
        chosen = self._chosen(config, self._clock.now())
        try:
            self._change_to(config, chosen)
        except (QpsError, OSError):
            self._patterns.settle(done=False)
            raise

    def _change_to(self, config: Config, chosen: Chosen) -> None:
        logs = chosen.logs
        leaving, arriving = self._pipelines.leaving(logs), self._pipelines.arriving(logs)
        for pipeline in leaving:
            pipeline.sweep()
        now = self._look()
        if leaving or arriving:
            self._require(self._pipelines.commit(now))
        if leaving:
            now = self._catch_up(leaving)
            committed = self._pipelines.commit(now, report=True)
            self._report(now)
            self._require(committed)
        self._pipelines.follow(logs, now)
        self._patterns.settle(done=True)
        if config.interval != self._config.interval:
            self._schedule = Schedule(now, config.interval)
        self._writer.reconfigure(config.history)
        self._outputs.reconfigure(config.outputs, config.journal)
        self._config = config
        if arriving:
            now = self._look()
            self._pipelines.commit(now)  # where they begin
            self._pipelines.begin_windows(now)

    def _require(self, committed: bool) -> None:
        """Where a log's end is not in the ledger, whoever takes over from it would guess its position."""
        if not committed:
            raise QpsError("no log can come or go while the ledger takes nothing")
