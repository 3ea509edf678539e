"""Hostile logs through the whole reader, from the file to the counts, in a process of their own.

    python -m tests.fuzz.hostile line BYTES FIRST    one line of so many bytes that begins with FIRST
    python -m tests.fuzz.hostile routes NUMBER       as many lines, nine of ten for a route of their own
    python -m tests.fuzz.hostile admit NUMBER        the same with a place for each of them

Prints as JSON what was counted, and `peak`, the most kibibytes of memory that it had.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from qps_service.configuration.loader import Flags, load
from qps_service.service.pipeline import LogPipeline

SECOND = 10**9
GOOD = b"1.2.3.4\tGET /\t200\t5\n"
KNOWN = 100  # routes that come again and again
PART = 20_000  # lines that are written before they are read


class Reading:
    """A log and what reads it, from its start."""

    def __init__(self, path: Path, places: int = 1000) -> None:
        self._now = 1000 * SECOND
        config = load(Flags(log=str(path)), {}).logs[0]._replace(start=True, max_routes=places)
        if places > config.max_rows:
            config = config._replace(max_rows=100 * places)
        self.tail = LogPipeline(config, self._now, lambda notice: None)

    def read(self) -> None:
        """All that is there."""
        while True:
            self._now += SECOND
            for _ in self.tail.read(self._now):
                pass
            if not self.tail.state.is_behind:
                break
        self.tail.entries(1, self._now, 0)

    def found(self) -> dict[str, object]:
        """What was counted."""
        window = self.tail.close_window()
        requests: dict[str, int] = {}
        for key, counts in window.counts.items():
            requests[key.route.decode()] = requests.get(key.route.decode(), 0) + counts.requests
        return {"requests": requests, "rejects": dict(window.rejects)}


def one_line(path: Path, size: int, first: bytes) -> dict[str, object]:
    """A line of so many bytes, of which the disk has but a few, and a good one behind it."""
    with path.open("wb") as file:
        file.write(first)
        file.seek(size)
        file.write(b"\n" * bool(first) + GOOD)
    reading = Reading(path)
    reading.read()
    return reading.found()


def many_routes(path: Path, number: int, places: int) -> dict[str, object]:
    """Every tenth line is for one of KNOWN routes."""
    path.touch()
    reading = Reading(path, places)
    with path.open("ab", buffering=0) as file:
        for start in range(0, number, PART):
            file.write(b"".join(map(_route_line, range(start, min(start + PART, number)))))
            reading.read()
    return reading.found()


def _route_line(number: int) -> bytes:
    route = (
        b"known/%d" % (number // 10 % KNOWN) if number % 10 == 0 else b"%x" % (number * 2654435761 % 2**40)
    )
    return b"1.2.3.4\tGET /%b\t200\t5\n" % route


def _peak() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


if __name__ == "__main__":
    what, number = sys.argv[1], int(sys.argv[2])
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "access.log"
        if what == "line":
            found = one_line(log, number, os.fsencode(sys.argv[3]))
        else:
            found = many_routes(log, number, number if what == "admit" else 1000)
    json.dump(found | {"peak": _peak(), "seconds": round(time.monotonic() - begun, 1)}, sys.stdout)
