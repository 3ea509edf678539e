"""Unix time and the calendar of a place, where days have 23 to 25 hours.

A place is a tzinfo, or None for the machine's own. Times are Unix nanoseconds.
"""

from datetime import UTC, datetime, timedelta, tzinfo

from qps_service.text.units import SECOND

MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND
STEPS = {"10s": 10 * SECOND, "1m": MINUTE, "1h": HOUR, "1d": DAY}
# Up to how long a span each step is for, if nothing else is asked for: some 60 to 180 rows.
_AUTO = (("10s", 10 * MINUTE), ("1m", 3 * HOUR), ("1h", 4 * DAY))


def step_for(span: int) -> str:
    """One of STEPS."""
    return next((step for step, longest in _AUTO if span <= longest), "1d")


def local(at: int, place: tzinfo | None) -> datetime:
    """What the clocks of the place showed."""
    return datetime.fromtimestamp(at // SECOND, UTC).astimezone(place)


def begin_of(at: int, step: int, place: tzinfo | None) -> int:
    """When the step began that this moment is in. Hours and days are those of the place."""
    if step < HOUR:
        return at // step * step
    moment = local(at, place)
    if step == HOUR:  # by what has passed of it: in autumn one hour comes twice
        begin = (at // SECOND - moment.minute * 60 - moment.second) * SECOND
        # On Lord Howe clocks are put by half an hour: where that is within it, the hour begins there.
        minutes = (begin + MINUTE * passed for passed in range(60))
        offset = moment.utcoffset()
        return next((each for each in minutes if local(each, place).utcoffset() == offset), begin)
    return midnight(moment, place)


def midnight(moment: datetime, place: tzinfo | None) -> int:
    """When the day began; where the clocks skipped midnight, when they would have shown it."""
    return unix_of(datetime(moment.year, moment.month, moment.day), place)


def unix_of(shown: datetime, place: tzinfo | None) -> int:
    """When the clocks of the place show this, the first time if twice."""
    return int(shown.replace(tzinfo=place).timestamp()) * SECOND


def days_before(at: int, days: int, place: tzinfo | None) -> int:
    """When the clocks of the place showed the same, so many days earlier."""
    shown = local(at, place).replace(tzinfo=None) - timedelta(days=days)
    return unix_of(shown, place) + at % SECOND


def span_before(since: int, until: int, days: int, place: tzinfo | None) -> tuple[int, int]:
    """The span of the same times by these clocks; as long a one, where they were put back and leave none."""
    begin, end = (days_before(at, days, place) for at in (since, until))
    return begin, end if end > begin else begin + until - since


def spell(at: int, place: tzinfo | None, *, seconds: bool = True, zone: bool = False) -> str:
    """Date and time as people write them; `zone` adds how far it is from UTC."""
    moment = local(at, place)
    text = moment.strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")
    return f"{text}{_offset(moment)}" if zone else text


def iso(at: int, place: tzinfo | None) -> str:
    """RFC 3339, to the second."""
    moment = local(at, place)
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S')}{_offset(moment)}"


def offsets(moments: list[int], place: tzinfo | None) -> int:
    """How many distances from UTC there are among these moments."""
    return len({local(at, place).utcoffset() for at in moments})


def spell_length(length: int) -> str:
    """A length of time for people, in its two largest units."""
    if length < MINUTE:
        return f"{length / SECOND:.3g}s"
    left = round(length / SECOND)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number and len(parts) < 2:
            parts.append(f"{number}{unit}")
        elif parts:
            break
    return " ".join(parts)


def _offset(moment: datetime) -> str:
    text = moment.strftime("%z")
    return "Z" if text == "+0000" else f"{text[:3]}:{text[3:5]}"
