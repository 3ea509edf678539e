"""What a browser asks for, as the page's address spells it: which part of the history, of what, in which
order.

The page keeps its view in its own address, and asks with the same words: who pastes that address shows others
the same.
"""

from typing import NamedTuple
from urllib.parse import parse_qsl

from qps_service.looking.moments import DAY, HOUR, MINUTE
from qps_service.looking.table import SORTS
from qps_service.text.times import LATEST
from qps_service.text.units import SECOND

RANGES = {
    "15m": 15 * MINUTE, "1h": HOUR, "3h": 3 * HOUR, "6h": 6 * HOUR,
    "12h": 12 * HOUR, "1d": DAY, "2d": 2 * DAY, "7d": 7 * DAY,
}  # fmt: skip
LONGEST = 7 * DAY
# A step is the first that makes no more points than that of the span.
POINTS = 360
STEPS = (10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE)
ORDERS = tuple(name for name in SORTS if name not in ("time", "change"))
TEXT_LIMIT = 4000  # characters of a value
KEYS = ("range", "since", "until", "log", "route", "sort", "filter")


class View(NamedTuple):
    """What is asked for."""

    length: int = HOUR  # nanoseconds before the end
    since: int | None = None  # Unix nanoseconds; with `until`, in place of `length`
    until: int | None = None
    log: str | None = None  # one log's name, as it is shown; None for all
    route: str | None = None  # likewise
    sort: str = "errors"
    filter: str = ""  # a part of the routes' names

    def span(self, end: int) -> tuple[int, int]:
        """From when to when, where the newest that there is ends then."""
        if self.since is not None and self.until is not None:
            return self.since, self.until
        return end - self.length, end


def view_of(query: str) -> View:
    """The view of an address' query. Raises ValueError for what is none; its text is for people."""
    given = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=len(KEYS)))
    for key, value in given.items():
        if key not in KEYS:
            raise ValueError(f"expected one of {', '.join(KEYS)}")
        if len(value) > TEXT_LIMIT:
            raise ValueError(f"{key}: expected at most {TEXT_LIMIT} characters")
    since, until = (_moment(given[key]) if given.get(key) else None for key in ("since", "until"))
    if (since is None) != (until is None):
        raise ValueError("expected both since and until, or neither")
    if since is not None and until is not None and not 0 < until - since <= LONGEST:
        raise ValueError("expected until to be later than since, by 7 days at most")
    return View(
        RANGES[_one_of(given, "range", tuple(RANGES), "1h")],
        *(since, until, given.get("log") or None, given.get("route")),
        _one_of(given, "sort", ORDERS, "errors"),
        given.get("filter", ""),
    )


def step_for(span: int) -> int:
    """How long a step of the span is, nanoseconds."""
    return next((step for step in STEPS if span <= POINTS * step), STEPS[-1])


def _one_of(given: dict[str, str], key: str, known: tuple[str, ...], default: str) -> str:
    value = given.get(key) or default
    if value not in known:
        raise ValueError(f"{key}: expected one of {', '.join(known)}")
    return value


def _moment(text: str) -> int:
    """Unix seconds, as nanoseconds."""
    if text.isascii() and text.isdecimal() and len(text) <= 10 and (at := int(text) * SECOND) <= LATEST:
        return at
    raise ValueError("since, until: expected Unix seconds")
