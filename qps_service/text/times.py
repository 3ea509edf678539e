"""Moments as people type them, in the words that journalctl takes (systemd.time(7)).

    now, today, yesterday, tomorrow        the last three at 00:00
    -2h, +10min, 1h 30min ago             before now, or after it
    14:00, 14:00:30                        today
    2026-11-29, 2026-11-29 14:00           with `T` between them, too; a weekday may stand before it
    2026-11-29 14:00 UTC, …Z, …+02:00      elsewhere than in the time zone of whoever asks
    @1764424800                            Unix time

Fractions of a second are read to the nanosecond. Local time is what $TZ or /etc/localtime says.
"""

import calendar
import re
import time

from qps_service.text.units import SECOND

EXPECTED = "a time such as -2h, 14:00, 2026-11-29 14:00, @1764424800, today or yesterday"
LATEST = 1 << 62  # Unix nanoseconds, in the year 2116: ledgers hold no larger ones

_MINUTE, _HOUR, _DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND
_UNITS = {
    unit: nanoseconds
    for units, nanoseconds in (
        ("us usec", SECOND // 10**6),
        ("ms msec", SECOND // 1000),
        ("s sec second seconds", SECOND),
        ("m min minute minutes", _MINUTE),
        ("h hr hour hours", _HOUR),
        ("d day days", _DAY),
        ("w week weeks", 7 * _DAY),
        ("M month months", 2629800 * SECOND),  # systemd's: a twelfth of a year
        ("y year years", 31557600 * SECOND),  # of 365.25 days
    )
    for unit in units.split()
}
_NUMBER = r"([0-9]{1,12})(?:\.([0-9]{1,9}))?"
_PART = re.compile(rf"{_NUMBER}\s*([A-Za-z]*)", re.ASCII)
_SPAN = re.compile(rf"(?:\s*{_NUMBER}\s*[A-Za-z]+)*(?:\s*{_NUMBER})?", re.ASCII)
_UNIX = re.compile(f"@{_NUMBER}", re.ASCII)
_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1}
_DATE = re.compile(
    r"(?:(?P<weekday>Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?"
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})?(?:(?:(?<=[0-9])T|\s+|^)"
    r"(?P<time>[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?)(?:\.(?P<fraction>[0-9]{1,9}))?)?"
    r"\s*(?P<zone>Z|UTC|[-+](?:0[0-9]|1[0-4]):?[0-5][0-9])?",
    re.ASCII | re.IGNORECASE,
)


def parse_time(text: str, now: int) -> int:
    """Unix nanoseconds of what `text` says at `now`, Unix nanoseconds; what is before 1970 is its beginning.
    Raises ValueError."""
    text = text.strip()
    try:
        at = _at(text, now)
    except (ValueError, OverflowError, OSError):  # 2026-02-30, or a year that no clock shows
        at = None
    if at is None or at > LATEST:
        raise ValueError(f"expected {EXPECTED}")
    return max(0, at)


def _at(text: str, now: int) -> int | None:
    if text == "now":
        return now
    if text in _DAYS:
        return _unix(_today(now, None), None, days=_DAYS[text])
    if unix := _UNIX.fullmatch(text):
        return int(unix[1]) * SECOND + _fraction(unix[2], SECOND)
    if text[:1] == "+":
        return now + _span(text[1:])
    if text[:1] == "-":
        return now - _span(text[1:])
    if text.endswith(" ago"):
        return now - _span(text.removesuffix(" ago"))
    return _on_the_clock(text, now)


def _span(text: str) -> int:
    """Nanoseconds of `1h 30min`; a bare number is seconds. Raises ValueError."""
    parts = _PART.findall(text)
    if (
        not parts
        or not _SPAN.fullmatch(text.strip())
        or any(unit and unit not in _UNITS for *_, unit in parts)
    ):
        raise ValueError(text)
    return sum(
        int(whole) * _UNITS[unit or "s"] + _fraction(fraction, _UNITS[unit or "s"])
        for whole, fraction, unit in parts
    )


def _on_the_clock(text: str, now: int) -> int | None:
    match = _DATE.fullmatch(text)
    if match is None or not (match["date"] or match["time"]):
        return None
    offset = _offset(match["zone"])
    hour, minute, second = (*map(int, (match["time"] or "0:0").split(":")), 0)[:3]
    date = match["date"] or time.strftime("%Y-%m-%d", _today(now, offset))
    moment = time.strptime(f"{date} {hour}:{minute}:{second}", "%Y-%m-%d %H:%M:%S")
    if match["weekday"] and calendar.day_abbr[moment.tm_wday].lower() != match["weekday"].lower():
        return None
    return _unix(moment, offset) + _fraction(match["fraction"], SECOND)


def _offset(text: str | None) -> int | None:
    """Seconds from UTC, towards the east; None for local time."""
    if text is None or text.upper() in ("Z", "UTC"):
        return None if text is None else 0
    seconds = int(text[1:3]) * 3600 + int(text[-2:]) * 60
    return -seconds if text[0] == "-" else seconds


def _today(now: int, offset: int | None) -> time.struct_time:
    """What the clocks show there at `now`."""
    return time.localtime(now // SECOND) if offset is None else time.gmtime(now // SECOND + offset)


def _unix(shown: time.struct_time, offset: int | None, *, days: int | None = None) -> int:
    """Unix nanoseconds of when clocks show that; with `days`, of the beginning of the day so much later."""
    moment = (*shown[:6], 0, 0, -1)
    if days is not None:
        moment = (*shown[:2], shown[2] + days, 0, 0, 0, 0, 0, -1)
    return (int(time.mktime(moment)) if offset is None else calendar.timegm(moment) - offset) * SECOND


def _fraction(digits: str | None, of: int) -> int:
    return int(digits) * of // int(10 ** len(digits)) if digits else 0
