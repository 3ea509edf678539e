"""Where rows stand on a screen that is renewed all the time: they do not jump.

A row moves when its number differs from the one that it stands by for more than chance. Requests come by
chance, so the number of them in a span differs from another span's by some roots of it, with nothing
changed; a quantile is of a few requests at times. Until the first span is full each number is better than
the one before, and rows move.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from qps_service.looking.recent import SPAN, Figures
from qps_service.text.units import SECOND

# Standard deviations of the difference of two counts (Poisson's: the root of their sum). With 3 one row in
# some hundred would move each span, with 5 twice as much traffic would be seen late.
CHANCE = 4
QUANTILE_CHANGE = 1.5  # a quantile has to be so many times another


class Sort(NamedTuple):
    """What rows can be sorted by, the largest first."""

    value: Callable[[Figures], float]
    differs: Callable[[float, float], bool]  # for more than chance


def counts_differ(before: float, now: float) -> bool:
    """Whether two counts of one span each do."""
    difference: float = (now - before) ** 2
    return difference > CHANCE**2 * (before + now)


def quantiles_differ(before: float, now: float) -> bool:
    """Whether two quantiles do."""
    return now > QUANTILE_CHANGE * before or before > QUANTILE_CHANGE * now


def _count(number: int) -> Callable[[Figures], float]:
    return lambda row: row.classes[number] * SPAN / SECOND


SORTS = {
    "rate": Sort(lambda row: row.rate * SPAN / SECOND, counts_differ),
    "5xx": Sort(_count(4), counts_differ),
    "4xx": Sort(_count(3), counts_differ),
    "p95": Sort(lambda row: row.quantile(950) or 0, quantiles_differ),
    "name": Sort(lambda _: 0, counts_differ),
}


class Order:
    """Keeps where the rows of one table stand."""

    def __init__(self) -> None:
        self._by = ""
        self._held: dict[str, float] = {}  # name -> what its row stands by

    def arrange(
        self, rows: Iterable[Figures], by: str, *, errors_first: bool, is_full: bool
    ) -> list[Figures]:
        """The rows in order. With `errors_first` those lead that had a 5xx in the last minutes; `is_full`,
        once the numbers are of a whole span."""
        sort, before = SORTS[by], self._held if by == self._by else {}
        self._by, self._held = by, {}
        rows = list(rows)
        for row in rows:
            now = sort.value(row)
            held = before.get(row.name, now)
            self._held[row.name] = now if not is_full or sort.differs(held, now) else held
        return sorted(
            rows, key=lambda row: (errors_first and not row.failed, -self._held[row.name], row.name)
        )
