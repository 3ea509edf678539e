"""The time that a log line states, in the ways that servers write it.

    24/Nov/2026:14:50:08 +0000     the Common Log Format
    24/Nov/2026 14:50:08           Django, Python's http.server; also `24-Nov-2026` and `Tue, 24 Nov 2026`
    2026-11-24T14:50:08.123+01:00  RFC 3339 (ISO 8601); a blank or a tab may stand for the T
    Tue Nov 24 14:50:08 2026       uWSGI, as asctime(3) writes it
    1795531808.123                 Unix time in seconds; in milli-, micro- or nanoseconds by its digits

With or without brackets. A month is written in any case, and seconds may have a fraction, which is cut off,
so that every part of a second is in it. A zone is `+0100`, `+01:00`, `+01`, `Z`, `UTC` or `GMT`, in any case,
with or without a blank before it. A time without a zone is taken as UTC.
"""

import re
from collections.abc import Mapping

from qps_service.text.regex import regex

_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
_CLOCK = rb"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:[.,][0-9]+)?"
_ZONE = rb"(?: ?(?:Z|UTC|GMT|(?P<sign>[-+])(?P<hours>[0-9]{2})(?::?(?P<minutes>[0-9]{2}))?))?"
_MONTH = rb"(?P<month>[a-z]{3})"
_YEAR = rb"(?P<year>[0-9]{4})"
_TIMES = [
    regex(form.replace(b"CLOCK", _CLOCK).replace(b"ZONE", _ZONE), re.IGNORECASE)
    for form in (
        rb"(?:[a-z]{3},? )?(?P<day>[0-9]{2})(?P<by>[-/ ])%b(?P=by)%b[: ]CLOCKZONE" % (_MONTH, _YEAR),
        rb"%b(?P<by>[-/])(?P<month>[0-9]{2})(?P=by)(?P<day>[0-9]{2})[T \t]CLOCKZONE" % _YEAR,
        rb"[a-z]{3} %b (?P<day>[ 0-9][0-9]) CLOCKZONE %b" % (_MONTH, _YEAR),
    )
]
_UNIX = regex(rb"([0-9]{1,19})(?:\.[0-9]*)?")
# A number of so many digits or more counts in a smaller unit: seconds have 10 until the year 2286.
_UNITS = ((18, 1_000_000_000), (15, 1_000_000), (12, 1_000))


def seconds_of(text: bytes) -> int | None:
    """Unix seconds; None for what is no time."""
    text = text.removeprefix(b"[").removesuffix(b"]")
    if match := _UNIX.fullmatch(text):
        unit = next((unit for digits, unit in _UNITS if len(match[1]) >= digits), 1)
        return int(match[1]) // unit
    found = next((match for form in _TIMES if (match := form.fullmatch(text))), None)
    return _seconds(found.groupdict()) if found else None


def _seconds(parts: Mapping[str, bytes | None]) -> int | None:
    name = (parts["month"] or b"").lower()
    month = _MONTHS.index(name) + 1 if name in _MONTHS else int(name) if name.isdigit() else 0
    year, day, hour, minute, second, hours, minutes = (
        int(parts[name] or 0) for name in ("year", "day", "hour", "minute", "second", "hours", "minutes")
    )
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31):
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    from calendar import timegm  # 0.7 MB that a service does without

    offset = (hours * 60 + minutes) * (-60 if parts["sign"] == b"-" else 60)
    return timegm((year, month, day, hour, minute, second)) - offset
