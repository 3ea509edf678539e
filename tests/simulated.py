"""What the simulator's tests share: a clock that only pauses move, a log in memory, a log on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from qps_service.formats.presets import compile_format
from qps_service.simulation.log_file import LogFile
from qps_service.simulation.simulator import FOREVER, Log, Pace, Simulator, SteadyPace
from qps_service.simulation.traffic import Traffic
from qps_service.text.units import SECOND

DEFAULT = compile_format("default")
NOW = 1_800_000_000  # Unix seconds


class Clock:
    """Time that passes only in pauses, each `late` (a function, in nanoseconds) longer than asked for."""

    def __init__(self, late: Callable[[], int] = lambda: 0, stop_at: int = FOREVER) -> None:
        self.now = 5 * SECOND  # any start will do
        self.stop_at = self.now + stop_at
        self._late = late

    def __call__(self) -> int:
        return self.now

    def pause(self, seconds: float) -> bool:
        self.now += round(seconds * SECOND) + self._late()
        return self.now >= self.stop_at


class Memory:
    """A log in memory."""

    def __init__(self) -> None:
        self.lines = 0
        self.rotations = 0
        self.written: list[bytes] = []
        self.moments: list[int] = []  # of each line
        self.rotated: list[int] = []  # of each rotation

    def write(self, lines: Sequence[bytes], now: int) -> None:
        self.written += lines
        self.moments += [now] * len(lines)
        self.lines += len(lines)

    def rotate(self, now: int) -> None:
        self.rotated.append(now)
        self.rotations += 1


def simulator(
    log: Log,
    *,
    pace: Pace | None = None,
    clock: Clock | None = None,
    seed: int = 1,
    interval: float = 0,
    duration: float = 1,
) -> Simulator:
    """Seconds; an interval or duration of 0 is endless."""
    clock = clock or Clock()
    return Simulator(
        Traffic(DEFAULT, Random(seed)),
        pace or SteadyPace(1000),
        log,
        interval=round(interval * SECOND) or FOREVER,
        duration=round(duration * SECOND) or FOREVER,
        clock=clock,
        pause=clock.pause,
    )


def simulate(**options: Any) -> tuple[Simulator, Memory]:
    """To the end."""
    simulation = simulator(log := Memory(), **options)
    simulation.run()
    return simulation, log


def make(path: Path, of: type[LogFile] = LogFile, **options: Any) -> LogFile:
    """A log file that is open; where no clock is given, all happens in one second."""
    defaults: dict[str, Any] = {
        "copytruncate": False,
        "batch": False,
        "keep": None,
        "late": 0,
        "unix_time": lambda: NOW + 0.75,
        "random": Random(1),
    }
    log = of(str(path), **{**defaults, **options})
    log.open()
    return log


def numbered(first: int, last: int) -> list[bytes]:
    return [b"line %d\n" % number for number in range(first, last)]


def on_disk(path: Path) -> dict[str, list[bytes]]:
    """The lines of the log and of all files made of it, by name."""
    return {file.name: file.read_bytes().splitlines(keepends=True) for file in path.parent.iterdir()}
