"""A scanner of some requests alone: those that are wanted, by what they count under and when they were.

Promise: it counts what the scanner that it is made of would count of a log that has no other requests. Lines
that are none are counted all the same; a request whose time can't be read is at no time.

Whether a request is wanted is known once it was read, so each block is read by a first scanner, whose counts
tell: where all or none are wanted, that is the answer for all lines; else the block is halved. Logs are in
the order of time, but for a few lines: most blocks are answered as a whole where a span of time is wanted.
"""

from collections.abc import Callable
from typing import NamedTuple

from qps_service.scanning.options import ScanOptions, Spill
from qps_service.scanning.scanner import ScannerAround, make_scanner
from qps_service.values.counts import Key, Scanned


class Wanted(NamedTuple):
    """What is wanted."""

    takes: Callable[[Key], bool] | None = None  # of a method, a target and a status; None for all
    since: int | None = None  # Unix seconds, the first one
    until: int | None = None  # Unix seconds, the first that is not wanted any longer

    @property
    def is_timed(self) -> bool:
        """Whether it matters when a request was."""
        return self.since is not None or self.until is not None

    def has(self, second: int | None) -> bool:
        """Whether what was then may be wanted."""
        if second is None:
            return False
        return (self.since is None or second >= self.since) and (self.until is None or second < self.until)


class SelectingScanner(ScannerAround):
    """Has what `Scanner` has."""

    def __init__(self, options: ScanOptions, spill: Spill, wanted: Wanted) -> None:
        super().__init__(make_scanner(options, spill))
        self._spilled: list[Scanned] = []
        self._first = make_scanner(options._replace(span=int(wanted.is_timed)), self._spilled.append)
        self._wanted = wanted

    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        """Count each line of `block` that is wanted. How many lines there were in all, and how many of these
        were rejected."""
        block = bytes(block)
        self._first.directives = self._scanner.directives
        lines = block.count(b"\n") + (block[-1:] not in (b"", b"\n"))
        _, rejected = self._scanner.scan(b"".join(self._selected(block)))
        return lines, rejected

    def _selected(self, block: bytes) -> list[bytes]:
        """The lines that are wanted or no requests, in pieces."""
        pieces, parts = [], [block]
        while parts:
            part = parts.pop()
            before = self._first.directives
            answers, is_pure = self._answers(part)
            if False not in answers:
                pieces.append(part)
            elif (True in answers or not is_pure) and (middle := half(part)):
                self._first.directives = before
                parts += [part[middle:], part[:middle]]
        return pieces

    def _answers(self, part: bytes) -> tuple[set[bool], bool]:
        """Whether its requests are wanted, as far as their counts tell; whether it has nothing else."""
        self._first.scan(part)
        found = [*self._spilled, self._first.take()]
        self._spilled.clear()
        wanted = self._wanted
        keys = {Key(*row[:3]) for each in found for row in each.rows}
        by_key = {True} if wanted.takes is None else set(map(wanted.takes, keys))
        by_time = (
            {wanted.has(second) for each in found for second in each.times} if wanted.is_timed else {True}
        )
        is_pure = not any(each.rejects or each.directives for each in found)
        if not keys:
            return set(), is_pure
        if len(by_key) == 1 or len(by_time) == 1:
            return {key and time for key in by_key for time in by_time}, is_pure
        return {True, False}, is_pure


def half(part: bytes) -> int:
    """Where a line begins near its middle; 0 for a line that is alone."""
    middle = len(part) // 2
    return part.find(b"\n", middle, -1) + 1 or part.rfind(b"\n", 0, middle) + 1
