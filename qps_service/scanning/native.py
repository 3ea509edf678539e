"""The scanner in C, as Python sees it: a format becomes its program, what it took becomes values."""

import os
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from qps_service.formats.log_format import is_quoted
from qps_service.formats.presets import Field, LogFormat
from qps_service.scanning.options import ScanOptions, Spill
from qps_service.values.counts import Sample, Scanned

_ROLES = (None, "method", "route", "request", "status", "bytes", "time")  # numbered as `enum role` in C is


class NativeScanner:
    """The scanner in C."""

    name = "c"

    def __init__(
        self,
        options: ScanOptions,
        spill: Spill,
        *,
        level: str | None = None,
        seed: bytes | None = None,
    ) -> None:
        """`level` is one of LEVELS, the best if None; `seed` is random if None."""
        native, log_format = load(), options.log_format
        head, fields = _program(log_format)
        self._native = native.Scanner(
            head=head,
            fields=fields,
            members=tuple((_ROLES.index(member.role), member.path) for member in log_format.members),
            is_lenient=log_format.is_lenient,
            is_ltsv=log_format.is_ltsv,
            max_line=options.max_line,
            spill=lambda taken: spill(_scanned(taken)),
            keep_query=options.keep_query,
            span=options.span,
            seed=os.urandom(native.SEED_BYTES) if seed is None else seed,
            level=level,
        )
        self.scan: Callable[[bytes | memoryview], tuple[int, int]] = self._native.scan
        self.reject_oversize: Callable[[bytes], None] = self._native.reject_oversize

    @property
    def probes(self) -> int:
        """Keys that were compared in vain, since another one has their place in the table."""
        probes: int = self._native.probes
        return probes

    def take(self) -> Scanned:
        """What was found since the last call."""
        return _scanned(self._native.take())


def load() -> ModuleType:
    """The compiled module. Raises ImportError."""
    return import_module("qps_service.scanning._scan")


def _program(log_format: LogFormat) -> tuple[bytes, tuple[tuple[int, bool, bytes], ...]]:
    """What a line begins with, and each field: its role, whether it is quoted, and what follows."""
    pieces = log_format.pieces
    head = pieces[0] if pieces and isinstance(pieces[0], bytes) else b""
    fields = []
    for before, piece, following in zip((b"", *pieces), pieces, (*pieces[1:], b""), strict=False):
        if isinstance(piece, Field) and isinstance(following, bytes):
            fields.append((_ROLES.index(piece.role), is_quoted(before, following), following))
    return head, tuple(fields)


def _scanned(taken: tuple[Any, ...]) -> Scanned:
    lines, rows, rejects, sample, times, unmeasured = taken
    return Scanned(lines, rows, rejects, sample and Sample(*sample), times, unmeasured)
