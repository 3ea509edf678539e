"""A web server's access log, made up: its pace, and the truth about what was written.

Promises:
- The truth holds exactly the lines that the log took, also when it fails in the middle of a write.
- The pace does not drift: after n seconds, n seconds' worth of lines are due, counted from the start.

Clock, pause, randomness and the log are handed in (`log_file` is the one on disk). Times are
nanoseconds of one monotonic clock, as integers.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from qps_service.reporting.report import latencies_json
from qps_service.reporting.schedule import Schedule
from qps_service.simulation.traffic import KINDS, Block, Traffic
from qps_service.text.units import MILLISECOND, SECOND
from qps_service.values.counts import Counts, Key
from qps_service.values.latency import NO_LATENCY, Latency, LatencyKey, bin_of

FOREVER = 2**62  # nanoseconds; 146 years
GAPS = (10 * MILLISECOND, 100 * MILLISECOND)  # nanoseconds between two lines where no rate is asked for
# The shortest pause, in nanoseconds: it bounds the wake-ups to a thousand a second, and what a high
# rate writes in one go to a thousandth of a second's lines.
SLICE = MILLISECOND


class Pace(Protocol):
    """When lines are due; times count from the start."""

    next_due: int  # the first line not due yet

    def due(self, elapsed: int) -> int:
        """How many lines should be written by `elapsed`, which never goes back."""


class SteadyPace:
    """`rate` lines a second, evenly."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.due(0)

    def due(self, elapsed: int) -> int:
        """The whole lines that the rate has earned by `elapsed`."""
        lines = elapsed * self._rate // SECOND
        self.next_due = -(-(lines + 1) * SECOND // self._rate)
        return lines


class IrregularPace:
    """Each line a random time of GAPS after the one before."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._lines = 0
        self.next_due = random.randint(*GAPS)

    def due(self, elapsed: int) -> int:
        """The lines whose gaps have passed by `elapsed`."""
        while self.next_due <= elapsed:
            self._lines += 1
            self.next_due += self._random.randint(*GAPS)
        return self._lines


class Log(Protocol):
    """Where the lines go. Whatever fails raises OSError."""

    lines: int  # written whole so far
    rotations: int

    def write(self, lines: Sequence[bytes], now: int) -> None:
        """Append `lines`."""

    def rotate(self, now: int) -> None:
        """Go on with an empty file."""


class Simulator:
    """Writes the traffic at its pace until the time is over or `pause` tells it to stop."""

    def __init__(
        self,
        traffic: Traffic,
        pace: Pace,
        log: Log,
        *,
        interval: int,  # nanoseconds between rotations
        duration: int,  # nanoseconds; the lines due by then are all written, however late
        clock: Callable[[], int],
        pause: Callable[[float], bool],  # waits for that many seconds; True ends the simulation
    ) -> None:
        self._traffic = traffic
        self._pace = pace
        self._log = log
        self._interval = interval
        self._duration = duration
        self._clock = clock
        self._pause = pause
        self._block = Block([], [], [])
        self._next = 0  # the first line of the block that is still to be written
        self._requests = [0] * len(KINDS)
        self._bytes = [0] * len(KINDS)
        self._bins: list[Counter[int]] = [Counter() for _ in KINDS]  # of durations
        self._took = [0] * len(KINDS)  # nanoseconds in all
        self._longest = [0] * len(KINDS)

    def run(self) -> None:
        """The whole simulation. Raises OSError where the log cannot be written; the truth still holds."""
        started = self._clock()
        end = started + self._duration
        rotations = Schedule(started, self._interval)
        written = 0
        while True:
            now = self._clock()
            if rotations.deadline <= now < end:
                self._log.rotate(now)
                rotations.advance(now)
            due = self._pace.due(min(now, end) - started)
            wait = 0
            if written < due:
                written += self._write(due - written, now)
            elif now >= end:
                return
            else:
                wait = max(SLICE, min(started + self._pace.next_due, rotations.deadline, end) - now)
            if self._pause(wait / SECOND):
                return

    @property
    def counts(self) -> dict[Key, Counts]:
        """What has been written whole, by kind."""
        tallies = zip(KINDS, self._requests, self._bytes, strict=True)
        return {kind: Counts(requests, size) for kind, requests, size in tallies if requests}

    @property
    def latencies(self) -> dict[LatencyKey, Latency]:
        """How long these took, if their format tells it."""
        found: dict[LatencyKey, Latency] = {}
        for kind, bins, took, longest in zip(KINDS, self._bins, self._took, self._longest, strict=True):
            latency = Latency(bins, took, longest)
            if bins:
                key = LatencyKey(kind.route, kind.status // 100)
                found[key] = found.get(key, NO_LATENCY).plus(latency)
        return dict(sorted(found.items()))

    def truth(self) -> str:
        """The counts as JSON: rows sorted by method, route and status, and their sum; and durations."""
        rows = [
            {
                "method": kind.method.decode(),
                "route": kind.route.decode(),
                "status": kind.status,
                "requests": counts.requests,
                "bytes": counts.bytes,
            }
            for kind, counts in sorted(self.counts.items())
        ]
        summary = {"lines": sum(self._requests), "rotations": self._log.rotations, "rows": rows}
        if latencies := self.latencies:
            summary["latencies"] = json.loads("".join(latencies_json(latencies, bins=True)))
        return json.dumps(summary, indent=1) + "\n"

    def _write(self, limit: int, now: int) -> int:
        """Write up to `limit` lines, no further than the block goes; how many it were."""
        if self._next == len(self._block.lines):
            self._block, self._next = self._traffic.block(), 0
        first = self._next
        lines = self._block.lines[first : first + limit]
        before = self._log.lines
        try:
            self._log.write(lines, now)
        finally:
            self._next += self._log.lines - before
            kinds, sizes = self._block.kinds, self._block.sizes
            for kind, size in zip(kinds[first : self._next], sizes[first : self._next], strict=True):
                self._requests[kind] += 1
                self._bytes[kind] += size
            durations = self._block.durations[first : self._next]
            for kind, duration in zip(kinds[first : self._next], durations, strict=False):
                self._bins[kind][bin_of(duration)] += 1
                self._took[kind] += duration
                self._longest[kind] = max(self._longest[kind], duration)
        return len(lines)
