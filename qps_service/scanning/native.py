"""The scanner in C, as Python sees it: a format becomes its program, what it took becomes values."""

import os
from collections.abc import Callable
from typing import Any

from qps_service.formats.durations import UNITS
from qps_service.formats.log_format import ends_in_list, is_quoted
from qps_service.formats.presets import Field, LogFormat
from qps_service.scanning.built import load
from qps_service.scanning.options import ScanOptions, Spill
from qps_service.values.counts import Sample, Scanned
from qps_service.values.positions import Directives

_ROLES = (
    None,
    "method",
    "route",
    "request",
    "status",
    "bytes",
    "time",
    "duration",
    "logger",
    "sign",
    "host",
)  # numbered as `enum role` in C is


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
        native = load()
        self.directives = Directives()
        self._native = native.Scanner(
            programs=tuple(map(_program, options.counted.listed)),
            max_line=options.max_line,
            spill=lambda taken: spill(_scanned(taken)),
            keep_query=options.keep_query,
            span=options.span,
            keep_host=options.keep_host,
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

    @property
    def held(self) -> int:
        """Bytes of memory that what was found takes so far."""
        held: int = self._native.held
        return held

    def take(self) -> Scanned:
        """What was found since the last call."""
        return _scanned(self._native.take())


def _program(log_format: LogFormat) -> tuple[object, ...]:
    """What a line begins with; each field: its role, whether it is quoted, or a list, and what follows; each
    member: its role, its path, the zeros of its unit, and the numbers of those beside it; the zeros of the
    fields' unit; whether blanks will do, and whether it is the combined family, or LTSV."""
    pieces = log_format.pieces
    head = pieces[0] if pieces and isinstance(pieces[0], bytes) else b""
    fields = []
    for before, piece, following in zip((b"", *pieces), pieces, (*pieces[1:], b""), strict=False):
        if isinstance(piece, Field) and isinstance(following, bytes):
            how = is_quoted(before, following), ends_in_list(piece, following)
            fields.append((_ROLES.index(piece.role), *how, following))
    paths = [member.path for member in log_format.members]
    members = tuple(
        (_ROLES.index(role), path, UNITS[unit or "ns"], tuple(map(paths.index, beside)))
        for role, path, unit, beside in (
            (member.role, member.path, member.unit, member.beside) for member in log_format.members
        )
    )
    units = [piece.unit for piece in pieces if isinstance(piece, Field) and piece.unit]
    zeros = UNITS[units[0]] if units else 0
    flags = (log_format.is_lenient, log_format.is_combined, log_format.is_ltsv)
    return (head, tuple(fields), members, zeros, *flags)


def _scanned(taken: tuple[Any, ...]) -> Scanned:
    lines, rows, rejects, sample, times, unmeasured, latencies = taken
    found = lines, rows, rejects, sample and Sample(*sample), times, unmeasured
    return Scanned(*found, latencies=latencies)
