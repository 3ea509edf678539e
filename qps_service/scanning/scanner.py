"""Picks the scanner: blocks of whole lines in, counts out.

The native one where it was built, unless QPS_REPORTER_PURE=1 asks for the pure one: then nothing of the
native one is loaded. Both give the same results.
"""

import os
from collections.abc import Callable, Mapping
from typing import Protocol

from qps_service.formats.presets import LogFormat
from qps_service.scanning.native import NativeScanner, load
from qps_service.values.counts import Scanned

PURE_VARIABLE = "QPS_REPORTER_PURE"


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
    """A scanner for `log_format` whose lines have at most `max_line` bytes without their end. `spill` takes
    over what was counted whenever it becomes too much to keep. `span`: seconds that are counted together,
    where the times of requests are wanted; 0 where not."""
    if is_native(os.environ):
        return NativeScanner(log_format, max_line, spill, keep_query=keep_query, span=span)
    from qps_service.scanning.pure import PureScanner  # 1 MB that is not needed beside the native one

    return PureScanner(log_format, max_line, spill, keep_query=keep_query, span=span)


def is_native(environment: Mapping[str, str]) -> bool:
    """Whether the native scanner is wanted, and there."""
    return why_pure(environment) is None


def describe(environment: Mapping[str, str]) -> str:
    """Which scanner is used, for people."""
    reason = why_pure(environment)
    return f"native scanner, {load().LEVELS[0]}" if reason is None else f"pure scanner, {reason}"


def why_pure(environment: Mapping[str, str]) -> str | None:
    """Why the pure scanner is used, for people; None if it isn't."""
    if environment.get(PURE_VARIABLE, "0") not in ("", "0"):
        return f"{PURE_VARIABLE} is set"
    try:
        load()
    except ModuleNotFoundError:  # there was no compiler
        return "the native one was not built"
    except ImportError as error:
        return f"the native one can't be loaded: {error}"
    return None
