"""Durations and sizes as people write them in a configuration."""

from functools import lru_cache

from qps_service.text.regex import regex

SECOND = 1_000_000_000  # nanoseconds
MILLISECOND = SECOND // 1000

_DURATIONS = {
    "ms": MILLISECOND,
    "s": SECOND,
    "m": 60 * SECOND,
    "min": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 86400 * SECOND,
}
_LATENCY_UNITS = (("s", SECOND), ("ms", MILLISECOND), ("us", 1000))
_SIZES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_NUMBER_AND_UNIT = regex(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)")


def parse_duration(text: str) -> int:
    """Nanoseconds of `10s`, `500ms`, `1.5m`, `2h`, `7d`; a bare number is seconds. Raises ValueError."""
    number, unit = _split(text, "a duration such as 10s, 500ms or 2h", _DURATIONS, "s")
    return round(float(number) * _DURATIONS[unit])


def parse_latency(text: str) -> int:
    """Nanoseconds of `250ms`, `1.5s`, `20us`; no bare number but 0. Raises ValueError."""
    number, unit = _split(text, "a time such as 250ms, 1.5s or 20us", _DURATIONS | {"us": 1000, "": 0}, "")
    whole, _, fraction = number.partition(".")
    amount: int = int(whole + fraction) * ({"us": 1000, "": 0} | _DURATIONS)[unit]
    nanoseconds, rest = divmod(amount, int("1" + "0" * len(fraction)))
    if rest or (not unit and int(whole + fraction)):
        raise ValueError("expected a time such as 250ms, 1.5s or 20us")
    return nanoseconds


def parse_size(text: str) -> int:
    """Bytes of `64KiB`, `1MiB`; a bare number is bytes. Raises ValueError."""
    number, unit = _split(text, "a size such as 65536, 64KiB or 1MiB", _SIZES, "")
    return round(float(number) * _SIZES[unit])


def format_duration(nanoseconds: int) -> str:
    """The shortest exact way to write it, for messages."""
    for unit in ("d", "h", "m", "s", "ms") if nanoseconds else ("s",):
        if nanoseconds % _DURATIONS[unit] == 0:
            return f"{nanoseconds // _DURATIONS[unit]}{unit}"
    return f"{nanoseconds // SECOND}.{nanoseconds % SECOND:09d}".rstrip("0") + "s"


@lru_cache(1024)  # the bounds of all bins, and more
def format_latency(nanoseconds: int | None) -> str:
    """How long requests took, for people, in two digits; `-` for None. What is longer than the bins reach
    is shown as that, and what has more digits is rounded up, as quantiles are."""
    if nanoseconds is None:
        return "-"
    if not nanoseconds:
        return "0"
    if nanoseconds > 1000 * SECOND:
        return ">1000s"
    digit = 10 ** max(2, len(str(nanoseconds)) - 2)
    shown = max(1000, -(-nanoseconds // digit) * digit)
    unit, size = next(each for each in _LATENCY_UNITS if shown >= each[1])
    return f"{shown // size}{unit}" if shown >= 100 * size else f"{shown / size:.2g}{unit}"


def format_size(size: int) -> str:
    """The shortest exact way to write a number of bytes, for messages."""
    whole = (unit for unit in ("TiB", "GiB", "MiB", "KiB") if size % _SIZES[unit] == 0)
    unit = next(whole, "") if size else ""
    return f"{size // _SIZES[unit]}{unit}"


def _split(text: str, expected: str, units: dict[str, int], bare: str) -> tuple[str, str]:
    match = _NUMBER_AND_UNIT.fullmatch(text.strip())
    unit = (match[2] or bare) if match else ""
    if match is None or unit not in units:
        raise ValueError(f"expected {expected}")
    return match[1], unit
