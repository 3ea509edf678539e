"""Picks the scanner: blocks of whole lines in, counts out.

The native one where it was built, unless QPS_REPORTER_PURE=1 asks for the pure one: then nothing of the
native one is loaded. Both give the same results.
"""

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol

from qps_service.layout import is_quoted
from qps_service.logformat import Field, LogFormat
from qps_service.model import Sample, Scanned

PURE_VARIABLE = "QPS_REPORTER_PURE"

_ROLES = (None, "method", "route", "request", "status", "bytes", "time")  # numbered as `enum role` in C is


class Scanner(Protocol):
    """Counts lines. `lines` taken = requests + rejects, always."""

    name: str

    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        """Count each line of `block`; how many lines there were, and how many of these were rejected."""

    def reject_oversize(self, start: bytes) -> None:
        """Count one line that was too long to be handed over."""

    def take(self) -> Scanned:
        """What was found since the last call."""


class NativeScanner:
    """The scanner in C."""

    name = "c"

    def __init__(
        self,
        log_format: LogFormat,
        max_line: int,
        spill: Callable[[Scanned], None],
        *,
        keep_query: bool = False,
        span: int = 0,
        level: str | None = None,
        seed: bytes | None = None,
    ) -> None:
        """As make_scanner; `level` is one of LEVELS, the best if None; `seed` is random if None."""
        native = _load()
        head, fields = _program(log_format)
        self._native = native.Scanner(
            head=head,
            fields=fields,
            members=tuple((_ROLES.index(member.role), member.path) for member in log_format.members),
            is_lenient=log_format.is_lenient,
            max_line=max_line,
            spill=lambda taken: spill(_scanned(taken)),
            keep_query=keep_query,
            span=span,
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


def make_scanner(
    log_format: LogFormat,
    max_line: int,
    spill: Callable[[Scanned], None],
    *,
    keep_query: bool = False,
    span: int = 0,
) -> Scanner:
    """A scanner for `log_format` whose lines have at most `max_line` bytes without their end. `spill` takes
    over what was counted whenever it becomes too much to keep. `span`: seconds that are counted together,
    where the times of requests are wanted; 0 where not."""
    if is_native(os.environ):
        return NativeScanner(log_format, max_line, spill, keep_query=keep_query, span=span)
    from qps_service._scan_py import PureScanner  # 1 MB that is not needed beside the native one

    return PureScanner(log_format, max_line, spill, keep_query=keep_query, span=span)


def is_native(environment: Mapping[str, str]) -> bool:
    """Whether the native scanner is wanted, and there."""
    return why_pure(environment) is None


def describe(environment: Mapping[str, str]) -> str:
    """Which scanner is used, for people."""
    reason = why_pure(environment)
    return f"native scanner, {_load().LEVELS[0]}" if reason is None else f"pure scanner, {reason}"


def why_pure(environment: Mapping[str, str]) -> str | None:
    """Why the pure scanner is used, for people; None if it isn't."""
    if environment.get(PURE_VARIABLE, "0") not in ("", "0"):
        return f"{PURE_VARIABLE} is set"
    try:
        _load()
    except ModuleNotFoundError:  # there was no compiler
        return "the native one was not built"
    except ImportError as error:
        return f"the native one can't be loaded: {error}"
    return None


def _load() -> ModuleType:
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
    lines, rows, rejects, sample, times = taken
    return Scanned(lines, rows, rejects, sample and Sample(*sample), times)
