"""Every setting, once: its key in the file, its flag, its environment variable, its default, its words.

The command line, the environment and the configuration file are read by this one table, so that
they can't differ in what they accept.
"""

import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from qps_service.errors import FormatError
from qps_service.logformat import PRESETS, compile_format
from qps_service.units import SECOND, format_duration, parse_duration, parse_size

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Setting(NamedTuple):
    """One thing that can be set. `parse` turns text into the value; it raises ValueError with what
    was expected."""

    key: str
    parse: Callable[[str], Any]
    default: str | None
    metavar: str
    help: str
    flag: bool = False  # whether `--KEY` and `QPS_REPORTER_KEY` exist

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"QPS_REPORTER_{self.key.upper()}"


def _duration(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = parse_duration(text)
        if not low <= value <= high:
            raise ValueError(f"expected from {format_duration(low)} to {format_duration(high)}")
        return value

    return parse


def _number(low: int, high: int, read: Callable[[str], int] = int, unit: str = "") -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = read(text)
        except ValueError as error:
            expected = str(error) if str(error).startswith("expected") else "expected a whole number"
            raise ValueError(expected) from None
        if not low <= value <= high:
            raise ValueError(f"expected from {low} to {high}{unit}")
        return value

    return parse


def _format(text: str) -> Any:
    try:
        return compile_format(text)
    except FormatError as error:
        raise ValueError(f"{error.reason} (character {error.position + 1})") from error


def _from_start(text: str) -> bool:
    if text not in ("start", "end"):
        raise ValueError("expected start or end")
    return text == "start"


def _path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("expected a path")
    return os.path.abspath(text)


def parse_name(text: str) -> str:
    """A log's name: it goes into journal fields and reports. Raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError("expected up to 64 letters, digits, and _ . - after the first")
    return text


SERVICE = (
    Setting(
        "interval",
        _duration(SECOND // 10, 86400 * SECOND),
        "10s",
        "TIME",
        "time between two reports, as 10s, 500ms, 1m",
        flag=True,
    ),
    Setting(
        "state",
        _path,
        None,
        "DIR",
        "directory that belongs to this service alone; under systemd, $STATE_DIRECTORY is the default",
        flag=True,
    ),
)

HISTORY = (
    Setting(
        "keep",
        _duration(0, 3650 * 86400 * SECOND),
        "7d",
        "TIME",
        "how long the ledger keeps windows; totals are kept for good",
    ),
    Setting(
        "max_size",
        _number(1 << 20, 1 << 40, parse_size, " bytes"),
        "64MiB",
        "SIZE",
        "how large the ledger may become; the oldest windows are merged or dropped for it",
    ),
)

LOG = (
    Setting("path", _path, None, "LOG", "the log to follow"),
    Setting(
        "format",
        _format,
        "default",
        "FORMAT",
        f"the log's line format: {', '.join(PRESETS)}, or text with $names, as nginx's log_format",
        flag=True,
    ),
    Setting(
        "start",
        _from_start,
        "end",
        "WHERE",
        "where to begin in a log that already exists: end, or start (counted in totals, not in a rate)",
        flag=True,
    ),
    Setting("max_routes", _number(1, 1_000_000), "1000", "N", "routes told apart; further ones are `other`"),
    Setting(
        "max_route",
        _number(16, 1 << 16, parse_size, " bytes"),
        "1KiB",
        "SIZE",
        "longest route that is told apart; longer ones are `other`",
    ),
    Setting(
        "max_line",
        _number(256, 1 << 20, parse_size, " bytes"),
        "64KiB",
        "SIZE",
        "longest line that is read; longer ones are rejected as too_long",
    ),
    Setting(
        "quiet",
        _duration(SECOND, 86400 * SECOND),
        "60s",
        "TIME",
        "how long a rotated file must be quiet before it is let go, where its writers cannot be seen",
    ),
    Setting(
        "open_generations",
        _number(2, 100_000),
        "512",
        "N",
        "rotated files kept open at most, while they may still be written to",
    ),
)

BY_KEY = {setting.key: setting for setting in (*SERVICE, *HISTORY, *LOG)}
