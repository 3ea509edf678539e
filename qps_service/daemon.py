"""The service's loop: wait, read, count, commit, report, tell systemd. The only place that knows every part.

It wakes for hints about the log's directory, for signals, once a second to read, at each window's end
and for the watchdog: never for a write to the log. Everything runs in one thread, so whatever hangs
is seen by the watchdog.

A window is committed first and reported then: what is in the ledger was counted exactly once, and a
report that a crash kept from being printed leaves a gap in the sequence numbers. No file is let go
before the ledger has what was in it.
"""

import signal
from collections.abc import Callable, Iterable, Sequence

from qps_service import notices
from qps_service.books import Books
from qps_service.config import Config, LogConfig
from qps_service.errors import EXIT_OK, EXIT_PROBLEM, ConfigError, QpsError
from qps_service.escape import show_path
from qps_service.grid import Grid
from qps_service.notices import Notice, Say
from qps_service.outputs import Output, OutputClosed
from qps_service.process import Clock, Waker
from qps_service.report import format_rate, make_report
from qps_service.systemd import Supervisor
from qps_service.tail import Tail
from qps_service.units import SECOND

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
        books: Books,
        reload: Callable[[], Config],
        make_tail: Callable[..., Tail],
        outputs: Sequence[Output],
        clock: Clock,
        waker: Waker,
        supervisor: Supervisor,
        say: Say,
    ) -> None:
        """`reload` reads the configuration anew; `make_tail(log_config, now, say, restored=…, at=…)` follows
        one log, with what the ledger knows of it."""
        self._config = config
        self._books = books
        self._reload_config = reload
        self._make_tail = make_tail
        self._outputs = outputs
        self._clock = clock
        self._waker = waker
        self._supervisor = supervisor
        self._say = say
        self._tails: list[Tail] = []
        self._committed = 0  # nanoseconds, when the ledger was last told
        self._requests_gone = 0  # of logs that a reload took away
        self._rejected_gone = 0
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
                if self._reload_wanted:
                    self._reload()
                elif now >= self._grid.deadline and not self._stopping:
                    self._rate = self._report(self._tails, now)
                    self._grid.advance(now)
                    self._supervisor.status(self.status())
            for tail in self._tails:
                tail.sweep()
            self._report(self._tails, self._catch_up())
            self._say_totals()
            for output in self._outputs:
                output.close()
        except OutputClosed:
            pass
        finally:
            for tail in self._tails:
                tail.close()

    def run_once(self) -> int:
        """Read from where the ledger ends to the end of the logs, and report once; the exit status. What
        the ledger does not take is not reported: the next run would report it again."""
        try:
            self._start()
            if not self._books.is_written:
                return EXIT_PROBLEM
            self._report(self._tails, self._clock.now())
            for output in self._outputs:
                output.close()
        except OutputClosed:
            pass
        finally:
            for tail in self._tails:
                tail.close()
        return EXIT_OK

    def status(self) -> str:
        """One line: the current total, the routes, what is followed or waited for, all requests so far."""
        waiting = [tail.waiting for tail in self._tails if tail.waiting]
        if len(waiting) == len(self._tails):
            source = f"; set path in {show_path(self._config.source)}" if self._config.source else ""
            return "; ".join(waiting) + source
        routes = sum(tail.aggregator.routes for tail in self._tails)
        followed = ", ".join(show_path(tail.config.path) for tail in self._tails if not tail.waiting)
        return "; ".join(
            [
                f"{format_rate(self._rate)} requests/s, {routes} routes, {followed}",
                *waiting,
                f"{self._requests} requests in total",
            ]
        )

    @property
    def _requests(self) -> int:
        return self._requests_gone + sum(tail.aggregator.total_requests for tail in self._tails)

    def _say_totals(self) -> None:
        rejected = self._rejected_gone + sum(tail.aggregator.total_rejected for tail in self._tails)
        text = f"stopped; {self._requests} requests counted and {rejected} lines rejected in total"
        self._say(Notice(notices.STOPPED, text))

    def _start(self) -> None:
        """Ready only when the watches stand, the ledger is open and everything that was there has been read.

        What the first read of a new log finds enters the totals but no rate: it was written before our
        time. A log that the ledger knows goes on in the window that was open there.
        """
        self._books.open()
        self._tails = [self._follow(log) for log in self._config.logs]
        now = self._catch_up()
        self._commit(self._tails, now)
        self._begin_windows(self._tails)
        self._grid = Grid(self._clock.now(), self._config.interval)

    def _follow(self, log: LogConfig) -> Tail:
        now, at = self._clock.now(), self._clock.unix()
        restored = self._books.restore(log.name, now=now, at=at)
        if restored:
            past = max(0, now - restored.started) // SECOND
            place = f"going on with {show_path(log.path)} where the ledger ends"
            text = f"{place}, {past} s after the last report"
            self._say(Notice(notices.RESTORED, text, log.name))
        return self._make_tail(log, now, self._say, restored=restored, at=at)

    def _begin_windows(self, tails: Iterable[Tail]) -> None:
        now = self._clock.now()
        for tail in tails:
            if not tail.is_counting:
                tail.close_window(now)

    def _wait(self) -> None:
        """Sleep until a look is due: by the clock, by a signal, or at once when the log's files moved."""
        if any(tail.is_behind for tail in self._tails):
            return
        feed_due = self._supervisor.feed_due(self._clock.now())
        until = min(self._grid.deadline, self._looked + TICK)
        until = until if feed_due is None else min(until, feed_due)
        descriptors = [number for tail in self._tails if (number := tail.fileno()) is not None]
        while self._waker.wait(descriptors, max(0, until - self._clock.now())):
            if any(tail.is_hinted() for tail in self._tails):
                return
            self._waker.wait((), HINTS_APART)
            if self._clock.now() >= until:
                return

    def _look(self) -> int:
        """Read every log, a large backlog in parts. Returns when it began: the time that the counts
        stand for."""
        self._heed_signals()
        now = self._clock.now()
        for tail in self._tails:
            self._read(tail, now)
        for output in self._outputs:
            output.flush()
        self._looked = self._clock.now()
        self._supervisor.alive(self._looked)
        self._checkpoint(now)
        return now

    def _catch_up(self) -> int:
        """Look until everything is read that was there at the last look."""
        now = self._look()
        while any(tail.is_behind for tail in self._tails):
            now = self._look()
        return now

    def _commit(self, tails: Sequence[Tail], now: int, *, report: int | None = None) -> bool:
        """Tell the ledger all that was counted, and let go of what was kept for that; whether it has it.
        `report` is the number of the report that ends the windows with this."""
        sequence, at = self._books.sequence + 1, self._clock.unix()
        committed = self._books.commit(
            [tail.entry(sequence, now, at) for tail in tails],
            sequence=report,
            whole=lambda: [tail.everything(now, at) for tail in self._tails],
        )
        for tail in tails:
            tail.release(committed=committed)
        self._committed = now
        return committed

    def _checkpoint(self, now: int) -> None:
        """Commit within a window where files wait to be let go, or a backlog takes long."""
        waiting = any(tail.finished or tail.is_behind for tail in self._tails)
        due = waiting and now - self._committed >= CHECKPOINT
        if due or any(tail.is_crowded for tail in self._tails):
            self._commit(self._tails, now)

    def _read(self, tail: Tail, now: int) -> None:
        for _ in tail.read(now):
            self._supervisor.alive(self._clock.now())
            self._heed_signals()

    def _report(self, tails: Sequence[Tail], now: int) -> float:
        """Commit and report the windows that end at `now`; the requests per second of all of them."""
        sequence, at = self._books.sequence + 1, self._clock.unix()
        self._commit(tails, now, report=sequence)
        named = len(self._config.logs) > 1
        rates = []
        for tail in tails:
            window, losses = tail.close_window(now), tail.losses(at)
            report = make_report(window, sequence=sequence, at=at // SECOND, named=named, losses=losses)
            rates.append(report.rate)
            for output in self._outputs:
                output.emit(report)
        return sum(rates)

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
            text = "; ".join(str(error).splitlines())
            self._say(Notice(notices.RELOAD_REFUSED, f"reload refused, going on as before: {text}"))
        else:
            self._say(Notice(notices.RELOADED, "configuration reloaded"))
        self._supervisor.ready(self.status())

    def _apply(self, config: Config) -> None:
        """Go on with `config`: logs that stay keep their place and counts, those that go report once more."""
        now = self._look()
        staying = {(tail.config.name, tail.config.path): tail for tail in self._tails}
        tails = []
        for log in config.logs:
            tail = staying.pop((log.name, log.path), None)
            if tail:
                tail.reconfigure(log)
            else:
                tail = self._follow(log)
                self._read(tail, now)
                while tail.is_behind:
                    self._read(tail, now)
                self._commit([tail], now)
                self._begin_windows([tail])
            tails.append(tail)
        if staying:
            self._report(self._tails, now)
        for tail in staying.values():
            self._requests_gone += tail.aggregator.total_requests
            self._rejected_gone += tail.aggregator.total_rejected
            tail.close()
        if config.interval != self._config.interval:
            self._grid = Grid(now, config.interval)
        self._books.reconfigure(config.history)
        self._config, self._tails = config, tails
