"""How long a request took, as logs write it: a number in the unit of its field.

    0.123, 12, 1.5e-05     in the field's unit
    12ms, 1m2.5s, 350µs    in a unit of its own, as Go writes durations
    0.1, 0.2 : 0.3         of each upstream, as nginx writes them: they are added up, and `-` is none of them

The unit belongs to a format's field: no value without one tells by itself what it counts. Digits decide, and
nothing is a float: nanoseconds are rounded up as soon as any digit is left beyond them, so that nothing looks
faster than it was. What is anything else, empty, `-`, signed or longer than LONGEST, is no duration.
"""

from qps_service.text.regex import regex
from qps_service.values.latency import LONGEST

UNITS = {"s": 9, "ms": 6, "us": 3, "ns": 0}  # nanoseconds have so many zeros in it

_WORDS = {**{name.encode(): (zeros, 1) for name, zeros in UNITS.items()}, b"m": (9, 60), b"h": (9, 3600)}
_WORDS.update(dict.fromkeys(("µs".encode(), "μs".encode()), (3, 1)))  # the micro sign, and the letter
_NUMBER = rb"([0-9]++)(?:\.([0-9]++))?(?:[eE]([-+]?[0-9]++))?"
_SINGLE = regex(_NUMBER)
_PART = regex(_NUMBER + b"(" + b"|".join(sorted(_WORDS, reverse=True)) + b")")
_BETWEEN = regex(rb", | : ")
_EXPONENT_LIMIT = 10**9  # no line has so many digits that a larger one would be another
_DIGITS_LIMIT = len(str(LONGEST))


def nanoseconds_of(text: bytes, unit: str) -> int | None:
    """The duration that a field says whose unit is one of UNITS; None where it tells none."""
    total = None
    for part in _BETWEEN.split(text):
        if part == b"-":
            continue
        duration = _duration(part, UNITS[unit])
        if duration is None:
            return None
        total = (total or 0) + duration
    return total if total is None or total <= LONGEST else None


def _duration(text: bytes, zeros: int) -> int | None:
    if single := _SINGLE.fullmatch(text):
        return _rounded_up(single[1], single[2], single[3], zeros)
    total = place = 0
    while place < len(text):
        part = _PART.match(text, place)
        if part is None:
            return None
        zeros, times = _WORDS[part[4]]
        amount = _rounded_up(part[1], part[2], part[3], zeros)
        if amount is None:
            return None
        total += amount * times
        place = part.end()
    return total if text else None


def _rounded_up(whole: bytes, fraction: bytes | None, exponent: bytes | None, zeros: int) -> int | None:
    """The number with so many zeros behind it; None for more than LONGEST."""
    digits = (whole + (fraction or b"")).lstrip(b"0")
    if not digits:
        return 0
    point = len(digits) + zeros - len(fraction or b"") + _exponent(exponent)  # digits that stand before it
    if point > _DIGITS_LIMIT:
        return None
    kept = digits[: max(point, 0)]
    rounded = int(kept or b"0") * 10 ** (max(point, 0) - len(kept)) + bool(digits[len(kept) :].strip(b"0"))
    return rounded if rounded <= LONGEST else None


def _exponent(text: bytes | None) -> int:
    digits = (text or b"").lstrip(b"+-").lstrip(b"0")
    value = int(digits or b"0") if len(digits) < 10 else _EXPONENT_LIMIT
    return -value if text and text.startswith(b"-") else value
