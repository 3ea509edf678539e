"""Picks the scanner. The pure one is the only one so far; the rest of the program asks here."""

from typing import Protocol

from qps_service._scan_py import PureScanner
from qps_service.logformat import LogFormat
from qps_service.model import Scanned


class Scanner(Protocol):
    """Blocks of whole lines in, counts out. `lines` taken = requests + rejects, always."""

    name: str

    def scan(self, block: bytes) -> None:
        """Count each line of `block`."""

    def reject_oversize(self, start: bytes) -> None:
        """Count one line that was too long to be handed over."""

    def take(self) -> Scanned:
        """What was found since the last call."""


def make_scanner(log_format: LogFormat, max_line: int) -> Scanner:
    """A scanner for `log_format` whose lines have at most `max_line` bytes."""
    return PureScanner(log_format, max_line)
