"""The time that a log line states, in the ways that servers write it.

    24/Nov/2026:14:50:08 +0000     the Common Log Format, with or without brackets
    2026-11-24T14:50:08.123+01:00  RFC 3339 (ISO 8601); a blank may stand for the T, `Z` for the zone
    1795531808.123                 Unix time in seconds; in milli-, micro- or nanoseconds by its digits

A time without a zone is taken as UTC. Fractions are cut off, so that every part of a second is in it.
"""

import re

_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_CLF = re.compile(
    rb"\[?([0-9]{2})/([A-Z][a-z]{2})/([0-9]{4}):([0-9]{2}):([0-9]{2}):([0-9]{2})"
    rb"(?: ([-+])([0-9]{2})([0-9]{2}))?\]?"
)
_ISO = re.compile(
    rb"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,][0-9]+)?"
    rb"(?:Z|([-+])([0-9]{2}):?([0-9]{2}))?"
)
_UNIX = re.compile(rb"([0-9]{1,19})(?:\.[0-9]*)?")
# A number of so many digits or more counts in a smaller unit: seconds have 10 until the year 2286.
_UNITS = ((18, 1_000_000_000), (15, 1_000_000), (12, 1_000))


def seconds_of(text: bytes) -> int | None:
    """Unix seconds; None for what is no time."""
    if match := _UNIX.fullmatch(text):
        unit = next((unit for digits, unit in _UNITS if len(match[1]) >= digits), 1)
        return int(match[1]) // unit
    if match := _CLF.fullmatch(text):
        day, name, year, *rest = match.groups()
        if name not in _MONTHS:
            return None
        return _seconds(int(year), _MONTHS.index(name) + 1, int(day), rest)
    if match := _ISO.fullmatch(text):
        year, month, day, *rest = match.groups()
        return _seconds(int(year), int(month), int(day), rest)
    return None


def _seconds(year: int, month: int, day: int, rest: list[bytes | None]) -> int | None:
    hour, minute, second = (int(part or 0) for part in rest[:3])
    sign, hours, minutes = rest[3:]
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31):
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    from calendar import timegm  # 0.7 MB that a service does without

    offset = (int(hours or 0) * 60 + int(minutes or 0)) * (-60 if sign == b"-" else 60)
    return timegm((year, month, day, hour, minute, second)) - offset
