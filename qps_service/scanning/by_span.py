"""A scanner that tells how long requests took in each span of time.

Promise: it counts what the scanner that it is made of counts. Blocks are halved until all requests of a part
were in one span: logs are in the order of time, but for a few lines, so most blocks are one part.
"""

from collections.abc import Callable

from qps_service.scanning.options import ScanOptions, Spill
from qps_service.scanning.scanner import Scanner, ScannerAround, make_scanner
from qps_service.scanning.selecting import half
from qps_service.values.counts import Scanned
from qps_service.values.latency import Latency

Make = Callable[[ScanOptions, Spill], Scanner]
Tell = Callable[[int | None, Latency], None]  # a span's begin, Unix seconds, and some of what was found of it


class SpanScanner(ScannerAround):
    """Has what `Scanner` has; what is counted is spilled at once."""

    def __init__(self, options: ScanOptions, spill: Spill, tell: Tell, make: Make = make_scanner) -> None:
        """`options` have a span; `make` makes the scanner of parts."""
        self._found: list[Scanned] = []
        super().__init__(make(options, self._found.append))
        self._spill = spill
        self._tell = tell

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
                for latency in filter(None, each.latencies):
                    self._tell(next(iter(spans)), Latency(*latency))
                self._spill(each)
        return lines, rejected

    def _taken(self) -> list[Scanned]:
        found = [*self._found, self._scanner.take()]
        self._found.clear()
        return found
