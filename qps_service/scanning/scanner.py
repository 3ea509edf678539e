"""Picks the scanner: blocks of whole lines in, counts out.

The native one where it was built, unless QPS_REPORTER_PURE=1 asks for the pure one: then nothing of the
native one is loaded. Both give the same results.
"""

import os
from typing import Protocol

from qps_service.scanning.built import is_native
from qps_service.scanning.native import NativeScanner
from qps_service.scanning.options import ScanOptions, Spill
from qps_service.values.counts import Scanned
from qps_service.values.positions import Directives


class Scanner(Protocol):
    """Counts lines. `lines` taken = requests + rejects + directives, always."""

    name: str
    directives: Directives  # of the text that comes next, up to there; after a scan, those of its block, too

    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        """Count each line of `block`; how many lines there were, and how many of these were rejected."""

    def reject_oversize(self, start: bytes) -> None:
        """Count one line that was too long to be handed over."""

    def take(self) -> Scanned:
        """What was found since the last call."""

    @property
    def held(self) -> int:
        """Bytes of memory, about, that this takes so far."""


class ScannerAround:
    """Has what a scanner has, by one that it hands lines on to."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self.name = scanner.name

    @property
    def directives(self) -> Directives:
        """Those in force."""
        return self._scanner.directives

    @directives.setter
    def directives(self, directives: Directives) -> None:
        self._scanner.directives = directives

    def reject_oversize(self, start: bytes) -> None:
        """Count a line that was too long to be handed over."""
        self._scanner.reject_oversize(start)

    def take(self) -> Scanned:
        """What was found since the last call, and was not spilled."""
        return self._scanner.take()

    @property
    def held(self) -> int:
        """Bytes of memory, about, that what was found takes so far."""
        return self._scanner.held


def make_scanner(options: ScanOptions, spill: Spill) -> Scanner:
    """The scanner that is used here."""
    if options.log_format.is_w3c:
        from qps_service.scanning.w3c import W3cScanner  # few logs have directives

        return W3cScanner(options, spill, make_scanner)
    if is_native(os.environ):
        return NativeScanner(options, spill)
    from qps_service.scanning.pure import PureScanner  # 1 MB that is not needed beside the native one

    return PureScanner(options, spill)
