"""The scanner for logs that tell their own format (formats/w3c.py): blocks are cut at directives, and rows
are scanned in the format that the last `#Fields` tells.

What a directive said is the text's own, be it one of two generations that are read in turn: whoever has
blocks scanned sets `directives` before, and takes them along after. Rows without one are rejected, as is a
`#Fields` that can't be kept.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from qps_service.formats.w3c import (
    DIRECTIVE_LIMIT,
    Rows,
    by_separator,
    directives_in,
    has_directives,
    is_directive,
    is_fields,
    lines_of,
    may_be_wrapped,
    rows_of,
    taken_in,
    unwrapped,
)
from qps_service.scanning.options import ScanOptions, Spill
from qps_service.values.counts import FIELDS, SAMPLE_LIMIT, TOO_LONG, Sample, Scanned
from qps_service.values.positions import Directives


class RowScanner(Protocol):
    """What counts rows: a Scanner (scanner.py)."""

    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        """Count each line; how many there were, and how many of these were rejected."""

    def take(self) -> Scanned:
        """What was found since the last call."""

    @property
    def held(self) -> int:
        """Bytes of memory, about, that this takes so far."""


class W3cScanner:
    """Counts rows by a scanner of text; `take` hands the counts over and starts anew."""

    name = "w3c"

    def __init__(
        self, options: ScanOptions, spill: Spill, make: Callable[[ScanOptions, Spill], RowScanner]
    ) -> None:
        """`make` makes the scanner of rows."""
        self.directives = Directives()
        self._options = options
        self._spill = spill
        self._make = make
        self._by: tuple[bytes, bytes] | None = None  # the `#Fields` and the separator of what follows
        self._rows: Rows | None = None
        self._scanner: RowScanner | None = None
        self._number = 0  # of directives, since the last `take`

    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        """Count each line of `block`; how many lines there were, and how many of these were rejected."""
        block = bytes(block)
        if may_be_wrapped(block, self.directives.last):
            return self._scan_wrapped(block)
        if not has_directives(block):
            return self._scan_rows(block)
        lines = rejected = place = 0
        for begin, end in (*directives_in(block), (len(block), len(block))):
            for found in (self._scan_rows(block[place:begin]), self._take_in(block[begin:end])):
                lines, rejected = lines + found[0], rejected + found[1]
            place = end
        return lines, rejected

    def reject_oversize(self, start: bytes) -> None:
        """Count a line that was too long to be handed over; `start` is its beginning."""
        self._reject_directive(TOO_LONG, start)

    def take(self) -> Scanned:
        """What was found since the last call."""
        taken = self._scanner.take() if self._scanner else Scanned(0, (), {}, None)
        number, self._number = self._number, 0
        return taken._replace(lines=taken.lines + number, directives=number)

    @property
    def held(self) -> int:
        """Bytes of memory, about, that what was counted takes so far."""
        return self._scanner.held if self._scanner else 0

    def _scan_wrapped(self, block: bytes) -> tuple[int, int]:
        """Likewise, of lines that may have something around them."""
        lines = rejected = 0
        rows: list[bytes] = []
        for line in (*lines_of(block), b""):
            text = unwrapped(line, self.directives.last).line
            if line and not is_directive(text):
                is_long = self._reason(line.rstrip(b"\r\n")) == TOO_LONG
                rows.append(line if is_long else text.rstrip(b"\n") + b"\n")
                continue
            for found in (self._scan_rows(b"".join(rows)), self._take_in(line)):
                lines, rejected = lines + found[0], rejected + found[1]
            rows.clear()
        return lines, rejected

    def _take_in(self, line: bytes) -> tuple[int, int]:
        """A directive, or nothing."""
        if not line:
            return 0, 0
        whole = line.removesuffix(b"\n").removesuffix(b"\r")
        lines, last = self.directives
        if len(whole) > self._options.max_line or len(unwrapped(whole, last).line) > DIRECTIVE_LIMIT:
            return self._reject_directive(self._reason(whole), whole)
        self.directives = Directives(lines + 1, taken_in(whole, last))
        self._number += 1
        return 1, 0

    def _reject_directive(self, reason: str, line: bytes) -> tuple[int, int]:
        """One that can't be kept is not read by, and the one before it is not in force any longer."""
        if is_fields(unwrapped(line, self.directives.last).line):
            self.directives = self.directives._replace(last=b"")
        return self._reject([(reason, line)])

    def _scan_rows(self, rows: bytes) -> tuple[int, int]:
        lines = rejected = 0
        for separator, part in by_separator(rows):
            by = (self.directives.last or b"", separator)
            if by != self._by:
                self._read_by(by)
            if self._rows and self._scanner:
                found = self._scanner.scan(self._rows.plain(part))
            else:
                found = self._reject_all(part)
            lines, rejected = lines + found[0], rejected + found[1]
        return lines, rejected

    def _read_by(self, by: tuple[bytes, bytes]) -> None:
        self._spill(self.take())
        options = self._options
        self._by = by
        self._rows = rows_of(
            *by, keep_query=options.keep_query, wants_time=options.span > 0, keep_host=options.keep_host
        )
        self._scanner = None
        if self._rows:
            self._scanner = self._make(options._replace(log_format=self._rows.log_format), self._spill)

    def _reject_all(self, rows: bytes) -> tuple[int, int]:
        lines = [line.removesuffix(b"\n").removesuffix(b"\r") for line in lines_of(rows)]
        return self._reject([(self._reason(line), line) for line in lines])

    def _reason(self, line: bytes) -> str:
        return TOO_LONG if len(line) > self._options.max_line else FIELDS

    def _reject(self, rejects: Sequence[tuple[str, bytes]]) -> tuple[int, int]:
        """Reject these lines, each for its reason."""
        self._spill(self.take())  # what was rejected before is the sample
        (reason, line), number = rejects[0], len(rejects)
        reasons = Counter(reason for reason, _ in rejects)
        self._spill(Scanned(number, (), reasons, Sample(reason, line[:SAMPLE_LIMIT])))
        return number, number
