"""Picks the scanner: blocks of whole lines in, counts out."""

from collections.abc import Callable
from typing import Protocol

from qps_service._scan_py import PureScanner
from qps_service.logformat import LogFormat
from qps_service.model import Scanned


class Scanner(Protocol):
    """Counts lines. `lines` taken = requests + rejects, always."""

    name: str

    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        """Count each line of `block`; how many lines there were, and how many of these were rejected."""

    def reject_oversize(self, start: bytes) -> None:
        """Count one line that was too long to be handed over."""

    def take(self) -> Scanned:
        """What was found since the last call."""


def make_scanner(
    log_format: LogFormat,
    max_line: int,
    spill: Callable[[Scanned], None],
    *,
    keep_query: bool = False,
    span: int = 0,
) -> Scanner:
    """A scanner for `log_format` whose lines have at most `max_line` bytes. `spill` takes over what was
    counted whenever it becomes too much to keep. `span`: seconds that are counted together, where the times
    of requests are wanted; 0 where not."""
    return PureScanner(log_format, max_line, spill, keep_query=keep_query, span=span)
