"""Moments as people type them, in the words that journalctl takes (systemd.time(7)).

    now, today, yesterday, tomorrow        the last three at 00:00
    -2h, +10min, 1h 30min ago             before now, or after it
    14:00, 14:00:30                        today
    2026-11-29, 2026-11-29 14:00           with `T` between them, too; a weekday may stand before it
    2026-11-29 14:00 UTC, …Z, …+02:00      elsewhere than in the time zone of whoever asks
    2026-11-29 14:00 Europe/Berlin, … CET  there, or as systemctl writes local time
    @1764424800                            Unix time

Fractions of a second are read to the nanosecond. Local time is what $TZ or /etc/localtime says. What clocks
show twice is the first time, unless the zone's name tells; what they skip is as if they had not been put yet.
"""

import calendar
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from qps_service.text.regex import regex
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
_PART = regex(rf"{_NUMBER}\s*([A-Za-z]*)", re.ASCII)
_SPAN = regex(rf"(?:\s*{_NUMBER}\s*[A-Za-z]+)*(?:\s*{_NUMBER})?", re.ASCII)
_UNIX = regex(f"@{_NUMBER}", re.ASCII)
_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1}
_DATE = regex(
    r"(?:(?P<weekday>Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?"
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})?(?:(?:(?<=[0-9])T|\s+|^)"
    r"(?P<time>[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?)(?:\.(?P<fraction>[0-9]{1,9}))?)?"
    r"(?:\s*(?P<zone>Z|UTC|[-+](?:0[0-9]|1[0-4]):?[0-5][0-9])|\s+(?P<name>[A-Za-z][A-Za-z0-9_+/-]+))?",
    re.ASCII | re.IGNORECASE,
)


def parse_time(text: str, now: int) -> int:
    """Unix nanoseconds of what `text` says at `now`, Unix nanoseconds; what is before 1970 is its beginning.
    Raises ValueError."""
    text = text.strip()
    try:
        at = _at(text, now)
    except (ValueError, LookupError, OverflowError, OSError):  # 2026-02-30, or Europe/Berln
        at = None
    if at is None or at > LATEST:
        raise ValueError(f"expected {EXPECTED}")
    return max(0, at)


def _at(text: str, now: int) -> int | None:
    if text == "now":
        return now
    if text in _DAYS:
        return _unix(_midnight(now, None) + timedelta(days=_DAYS[text]), None)
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
    place = _zone(match["zone"])
    shown = _shown(match, now, place)
    if name := match["name"]:
        # Local time's abbreviation, which tells one of two, or a name of IANA's.
        local = [each for fold in (0, 1) if _abbreviation(each := shown.replace(fold=fold)) == name.upper()]
        place = None if local else ZoneInfo(name)
        shown = local[0] if local else _shown(match, now, place)
    if match["weekday"] and calendar.day_abbr[shown.weekday()].lower() != match["weekday"].lower():
        return None
    return _unix(shown, place) + _fraction(match["fraction"], SECOND)


def _shown(match: re.Match[str], now: int, place: tzinfo | None) -> datetime:
    """What clocks show then; raises ValueError."""
    day = datetime.fromisoformat(match["date"]) if match["date"] else _midnight(now, place)
    hour, minute, second = (*map(int, (match["time"] or "0:0").split(":")), 0)[:3]
    return day.replace(hour=hour, minute=minute, second=second)


def _abbreviation(shown: datetime) -> str | None:
    """Of local time when clocks show that."""
    return shown.astimezone().tzname()


def _zone(text: str | None) -> tzinfo | None:
    """None for local time."""
    if text is None or text.upper() in ("Z", "UTC"):
        return None if text is None else UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _midnight(now: int, place: tzinfo | None) -> datetime:
    """When the day began that clocks show there at `now`."""
    today = datetime.fromtimestamp(now // SECOND, UTC).astimezone(place)
    return datetime(today.year, today.month, today.day)


def _unix(shown: datetime, place: tzinfo | None) -> int:
    """Unix nanoseconds of when clocks show that."""
    return int(shown.replace(tzinfo=place).timestamp()) * SECOND


def _fraction(digits: str | None, of: int) -> int:
    return int(digits) * of // int(10 ** len(digits)) if digits else 0
