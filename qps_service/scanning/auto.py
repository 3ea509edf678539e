"""Format `auto`: the scanner for a log is made when its first lines tell which format they have.

As long as no preset fits any line, lines are rejected as the fallback's scanner rejects them, and each block
is a new chance. No line is scanned twice: the block that tells is scanned in the format that it tells.
"""

from collections.abc import Callable

from qps_service.formats.presets import LogFormat, compile_format
from qps_service.scanning.options import ScanOptions, Spill
from qps_service.scanning.scanner import Scanner, make_scanner
from qps_service.values.counts import Scanned

FALLBACK = "combined"  # what most web servers write; lines that don't fit it are rejected as `fields`


class ChoosingScanner:
    """A scanner that finds its format by itself."""

    def __init__(
        self,
        options: ScanOptions,
        spill: Spill,
        say: Callable[[str, str], None],
        make: Callable[[ScanOptions, Spill], Scanner] = make_scanner,
    ) -> None:
        """`options` but for the format; `say` is told the chosen format's name and why; `make` makes the
        scanner for it."""
        self._options = options
        self._spill = spill
        self._say = say
        self._make = make
        self._is_chosen = False
        self._scanner = self._scanner_for(compile_format(FALLBACK))
        self.name = self._scanner.name

    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        """Count each line of `block`; how many lines there were, and how many of these were rejected."""
        if not self._is_chosen:
            self._choose(bytes(block))
        return self._scanner.scan(block)

    def reject_oversize(self, start: bytes) -> None:
        """Count one line that was too long to be handed over."""
        self._scanner.reject_oversize(start)

    def take(self) -> Scanned:
        """What was found since the last call."""
        return self._scanner.take()

    @property
    def held(self) -> int:
        """Bytes of memory, about, that this takes so far."""
        return self._scanner.held

    def _choose(self, block: bytes) -> None:
        from qps_service.formats.detection import choose, first_lines  # most logs are told their format

        choice = choose(first_lines(block))
        if choice.format is not None:
            self._spill(self._scanner.take())
            self._scanner = self._scanner_for(choice.format)
            self._is_chosen = True
            self._say(choice.format.text, choice.reason)

    def _scanner_for(self, log_format: LogFormat) -> Scanner:
        return self._make(self._options._replace(log_format=log_format), self._spill)
