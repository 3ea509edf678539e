"""A scanner that tells how long requests took in each span of time.

Promise: it counts what the scanner that it is made of counts. Blocks are halved until all requests of a part
were in one span: logs are in the order of time, but for a few lines, so most blocks are one part.
"""

from collections.abc import Callable

from qps_service.scanning.options import ScanOptions, Spill
from qps_service.scanning.scanner import Scanner, make_scanner
from qps_service.scanning.selecting import half
from qps_service.values.counts import Scanned
from qps_service.values.latency import Latency
from qps_service.values.positions import Directives

Make = Callable[[ScanOptions, Spill], Scanner]
Tell = Callable[[int | None, Latency], None]  # a span's begin, Unix seconds, and some of what was found of it


class SpanScanner:
    """Has what `Scanner` has; what is counted is spilled at once."""

    def __init__(self, options: ScanOptions, spill: Spill, tell: Tell, make: Make = make_scanner) -> None:
        """`options` have a span; `make` makes the scanner of parts."""
        self._found: list[Scanned] = []
        self._scanner = make(options, self._found.append)
        self.name = self._scanner.name
        self._spill = spill
        self._tell = tell

    @property
    def directives(self) -> Directives:
        """Those in force."""
        return self._scanner.directives

    @directives.setter
    def directives(self, directives: Directives) -> None:
        self._scanner.directives = directives

    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        """Count each line of `block`. How many lines there were, and how many of these were rejected."""
        lines = rejected = 0
        parts = [bytes(block)]
        while parts:
            part = parts.pop()
            before = self._scanner.directives
            counted = self._scanner.scan(part)
            found = self._taken()
            spans = {begin for each in found for begin in each.times}
            if len(spans) > 1 and any(each.latencies for each in found) and (middle := half(part)):
                self._scanner.directives = before
                parts += [part[middle:], part[:middle]]
                continue
            lines, rejected = lines + counted[0], rejected + counted[1]
            for each in found:
                for latency in each.durations.values():
                    self._tell(next(iter(spans)), latency)
                self._spill(each)
        return lines, rejected

    def reject_oversize(self, start: bytes) -> None:
        """Count a line that was too long to be handed over."""
        self._scanner.reject_oversize(start)

    def take(self) -> Scanned:
        """What was found since the last call, and was not spilled."""
        return self._scanner.take()

    @property
    def held(self) -> int:
        """Bytes of memory, about, that this takes so far."""
        return self._scanner.held

    def _taken(self) -> list[Scanned]:
        found = [*self._found, self._scanner.take()]
        self._found.clear()
        return found
