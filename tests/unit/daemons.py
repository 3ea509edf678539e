"""A daemon in simulated time: the clock moves only when the loop sleeps, and what happens meanwhile is
scripted. Logs are real files."""

import heapq
import itertools
import math
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qps_service.configuration.loader import Flags, load
from qps_service.configuration.types import Config, LogConfig
from qps_service.files.kernel import Files
from qps_service.following.resume import Resume
from qps_service.following.watcher import Watches
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.writer import LedgerWriter
from qps_service.notices.kinds import Notice
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import OutputClosed, TakesReports
from qps_service.outputs.group import OutputGroup
from qps_service.service import daemon
from qps_service.service.daemon import Daemon
from qps_service.service.events import EventBook
from qps_service.service.patterns import Patterns
from qps_service.service.pipeline import LogPipeline
from qps_service.service.pipelines import Pipelines
from qps_service.service.systemd import Supervisor
from qps_service.values.entries import Restored
from qps_service.values.reports import Overview, Report
from tests.promised import Patches

SECOND = 1_000_000_000
START = 5000 * SECOND
LINE = b"10.0.0.1\tGET /a\t200\t10\n"


class World:
    """Time, and what happens in it. It is the daemon's clock and its waker."""

    def __init__(self) -> None:
        self.time = START
        self.ahead = 0  # of the wall clock, which may be set: nanoseconds before `time`
        self.wakes = 0
        self.hears = True  # whether a signal would be heard
        self._order = itertools.count()
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._signals: list[int] = []
        self._hinted = False
        self._listening = False  # whether the loop sleeps on descriptors too
        self.lateness: Callable[[], int] = lambda: 0  # how much later than asked a sleep ends

    def at(self, seconds: float, event: Callable[[], object]) -> None:
        """Let something happen so long after the start."""
        heapq.heappush(self._events, (START + round(seconds * SECOND), next(self._order), event))

    def hint(self, seconds: float, event: Callable[[], object]) -> None:
        """Let something happen of which inotify tells."""

        def happen() -> None:
            event()
            self._hinted = True

        self.at(seconds, happen)

    def set_clock(self, seconds: float, ahead: float) -> None:
        """Set the wall clock so long after the start: so many seconds ahead of `time`."""

        self.at(seconds, lambda: vars(self).update(ahead=round(ahead * SECOND)))

    def signal(self, seconds: float, number: int) -> None:
        """Send a signal so long after the start."""
        self.at(seconds, lambda: self._signals.append(number))

    @property
    def seconds(self) -> float:
        """Since the start."""
        return (self.time - START) / SECOND

    def now(self) -> int:
        return self.time

    def unix(self) -> int:
        return self.time + self.ahead

    def monotonic(self) -> int:
        return self.time // 1000

    def spent(self) -> int:
        return self.time  # it never waits

    def wait(self, descriptors: Iterable[int], timeout: int) -> bool:
        assert timeout >= 0
        self.wakes += 1
        self._listening = bool(list(descriptors))
        self.elapse(timeout + self.lateness())
        hinted, self._listening = self._hinted and self._listening, False
        self._hinted = self._hinted and not hinted
        return hinted

    def elapse(self, duration: int) -> None:
        """Let nanoseconds pass, with what happens in them; a signal interrupts, or a hint waited for."""
        until = self.time + duration
        while self._events and self._events[0][0] <= until and not self._is_interrupted:
            when, _, event = heapq.heappop(self._events)
            self.time = max(self.time, when)
            event()
        if not self._is_interrupted:
            self.time = max(self.time, until)

    @property
    def _is_interrupted(self) -> bool:
        return bool(self._signals) or (self._hinted and self._listening)

    def signals(self) -> list[int]:
        taken, self._signals = self._signals, []
        return taken

    def hold_back(self) -> None:
        self.hears = False


class Recorder(TakesReports):
    """An output that keeps the reports."""

    name = "recorder"

    def __init__(self, told: list[str]) -> None:
        self.trouble = Trouble(lambda notice: None, "")
        self.overviews: list[Overview] = []
        self.reports: list[Report] = []
        self.moments: list[int] = []  # how much systemd had been told when each report came
        self.closed = False
        self.close_after: int | None = None  # reports, then the reader is gone
        self._told = told

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        self.overviews.append(overview)
        for report in reports:
            if len(self.reports) == self.close_after:
                raise OutputClosed
            self.moments.append(len(self._told))
            self.reports.append(report)

    def close(self, *, wait: bool = True) -> None:
        self.closed = True


class SlowFiles(Files):
    """Each read takes `seconds` of the world's time while it is between `start` and `end`, but for those of
    less than `least` bytes."""

    world: World

    def __init__(self, seconds: float, *, start: float = 0, end: float = math.inf, least: int = 0) -> None:
        super().__init__()
        self._duration, self._start, self._end, self._least = round(seconds * SECOND), start, end, least

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        if size >= self._least and self._start <= self.world.seconds < self._end:
            self.world.elapse(self._duration)
        return super().read(descriptor, size, offset)


def served_by(*twins: type[Daemon] | type[Pipelines]) -> dict[str, Patches]:
    """Services that have one of these in the place of the real one."""
    here = sys.modules[__name__]
    return {
        twin.__name__: Patches(
            (daemon, "Pipelines", twin) if issubclass(twin, Pipelines) else (here, "Daemon", twin)
        )
        for twin in twins
    }


@contextmanager
def read(root: Path) -> Iterator[Ledger]:
    """The ledger in `root`, as it is."""
    ledger = Ledger(str(root / "ledger.db"), boot="this")
    ledger.open(writable=False)
    try:
        yield ledger
    finally:
        ledger.close()


def restored(ledger: Ledger, log: str) -> Restored:
    """All that it has of a log, whatever time it is."""
    found = ledger.restore(log, now=10**6 * SECOND, at=10**6 * SECOND)
    assert found is not None
    return found


def requests_of(found: Restored) -> int:
    return sum(counts.requests for counts in found.totals.values())


class Service:
    """A daemon with everything around it recorded; `toml` is its configuration file's text."""

    def __init__(
        self,
        root: Path,
        toml: str = "",
        *,
        files: Files | None = None,
        watchdog: int | None = None,
        outputs: list[Any] | None = None,
        ledger: str | None = None,
    ) -> None:
        self.world = World()
        self.log, self.other = root / "access.log", root / "other.log"
        self.file = root / "qps-reporter.toml"
        self.configure(toml or f'[log.access]\npath = "{self.log}"\n')
        self.told: list[str] = []  # what systemd was told
        self.told_at: list[tuple[float, str]] = []  # the same, with seconds since the start
        self.notices: list[Notice] = []
        self.dropped: list[str] = []  # logs of which systemd is to keep nothing
        self.recorder = Recorder(self.told)
        self.watches = Watches(self.notices.append)
        self.files = files
        if isinstance(files, SlowFiles):
            files.world = self.world
        config = self.load()
        self.events = EventBook(self.notices.append, self.world.unix)
        self.writer = LedgerWriter(ledger, boot="this", notify=self.events.notify, history=config.history)
        self.daemon = Daemon(
            config,
            writer=self.writer,
            reload=self.load,
            make_pipeline=self._make_pipeline,
            drop_kept=self.dropped.append,
            outputs=OutputGroup([self.recorder, *(outputs or [])]),
            clock=self.world,
            waker=self.world,
            supervisor=Supervisor(self._tell, watchdog),
            events=self.events,
            patterns=Patterns(files or Files(), self.watches, self.notices.append, self.writer.known_logs),
        )

    def _make_pipeline(
        self, log: LogConfig, now: int, resume: Resume, working: Callable[[], None]
    ) -> LogPipeline:
        files = self.files or Files(working)
        return LogPipeline(log, now, self.events.notify, files, watches=self.watches, resume=resume)

    def _tell(self, text: str, _descriptors: Sequence[int]) -> None:
        self.told.append(text)
        self.told_at.append((self.world.seconds, text))

    def configure(self, toml: str) -> None:
        self.file.write_text(toml)

    def load(self) -> Config:
        environment: Mapping[str, str] = {}
        return load(Flags(config=str(self.file)), environment)

    def write(self, count: int, line: bytes = LINE, path: Path | None = None) -> None:
        with open(path or self.log, "ab") as file:
            file.write(line * count)

    def write_at(self, seconds: float, count: int, line: bytes = LINE, path: Path | None = None) -> None:
        self.world.at(seconds, lambda: self.write(count, line, path))

    def run(self, seconds: float) -> "Service":
        """Until SIGTERM comes so long after the start, and what is left after that is done."""
        self.world.signal(seconds, signal.SIGTERM)
        self.daemon.run()
        self.writer.close()
        return self

    def reload_at(self, seconds: float, toml: str) -> None:
        self.world.at(seconds, lambda: self.configure(toml))
        self.world.signal(seconds, signal.SIGHUP)

    def looks(self) -> list[tuple[float, float]]:
        """When each look at the logs begins and ends, of those to come; seconds since the start."""
        looks: list[tuple[float, float]] = []
        look = self.daemon._look

        def recorded() -> int:
            begun = self.world.seconds
            began_at = look()
            looks.append((begun, self.world.seconds))
            return began_at

        self.daemon._look = recorded  # type: ignore[method-assign]
        return looks

    def told_of(self, begin: str) -> list[str]:
        """What systemd was told that begins so."""
        return [text for text in self.told if text.startswith(begin)]

    def moments(self, begin: str) -> list[float]:
        """When; seconds since the start."""
        return [when for when, text in self.told_at if text.startswith(begin)]

    @property
    def requests(self) -> list[int]:
        """Those of each report."""
        return [report.requests for report in self.reports]

    @property
    def reports(self) -> list[Report]:
        return self.recorder.reports

    def said(self, kind: str) -> list[str]:
        return [notice.text for notice in self.notices if notice.kind.name == kind]
