"""An answer of the ledger's history as rows: by time, or by route, status or method.

A period is in the step in which it ends, and one that is longer than a step and a half is a row of its own
length: a merged one is in its minute or hour with what ended there, and one that covers a stop stands alone.
Nothing is spread over time that was counted together.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from typing import NamedTuple

from qps_service.looking.moments import begin_of
from qps_service.text.units import SECOND
from qps_service.values.entries import STARTED, Event
from qps_service.values.past import CLASSES, QUANTILES, Past, Period, Tally

# Clocks are slewed; what is shorter is no gap.
GAP = SECOND


class Row(NamedTuple):
    """Requests of one step, or of one route, status or method."""

    name: str | None  # None in a row of time
    begin: int  # of the step; where a row stands for more, when its first period began
    started: int  # of the first of its periods
    ended: int  # of the last one
    grain: int  # the coarsest of its periods', nanoseconds; 0 where none was merged
    seconds: float  # that its periods really took; of several logs the longest
    tally: Tally
    rate: float  # requests per second, the sum of all logs
    class_rates: tuple[float, ...]  # the same by class of status (CLASSES)
    byte_rate: float
    covers_stop: bool  # whether the service was started within
    before: float | None = None  # the rate of what it is compared with

    @property
    def error_share(self) -> float:
        """The part of the requests that the server failed."""
        return self.tally.errors / self.tally.requests if self.tally.requests else 0.0

    @property
    def quantiles(self) -> dict[str, int | None]:
        """How long requests took at most, by name (QUANTILES): nanoseconds, or BEYOND; None if none tells."""
        return dict(zip(QUANTILES, self.tally.latency.quantiles(*QUANTILES.values()), strict=True))

    @property
    def change(self) -> float | None:
        """What the rate gained, as a part of what it was before; None where there was nothing."""
        return self.rate / self.before - 1 if self.before else None


class Table(NamedTuple):
    """Rows, and what is to be said of them."""

    by: str | None  # as in Question
    step: int
    logs: tuple[str, ...]
    rows: tuple[Row, ...]
    total: Row | None  # of all rows, those left out included; None where there is nothing
    left_out: int  # rows
    gaps: tuple[tuple[int, int], ...]  # from when to when there is nothing
    rejected: int  # lines, of all kinds of requests
    unmeasured: int  # requests whose size the log does not tell, likewise
    events: tuple[Event, ...]
    begins: int | None  # when the history begins
    ends: int | None  # when its last window ended
    merged: int  # the coarsest grain of all, nanoseconds; 0 where nothing was merged
    lacks_latency: bool  # as in Past
    merged_before: int = 0  # as `merged`, of what it is compared with
    last: int = 0  # how long the newest period was, nanoseconds


def _slowest_first(part: int, row: Row) -> tuple[float, float]:
    return -(row.tally.latency.quantile(part) or 0), -row.rate


SORTS: dict[str, Callable[[Row], tuple[float, float]]] = {
    "time": lambda row: (row.started, 0),
    "rate": lambda row: (-row.rate, 0),
    "requests": lambda row: (-row.tally.requests, 0),
    "errors": lambda row: (-row.tally.errors, -row.rate),
    "bytes": lambda row: (-row.byte_rate, 0),
    "change": lambda row: (-abs(row.rate - (row.before or 0)), 0),
    **{name: partial(_slowest_first, part) for name, part in QUANTILES.items()},
}


def table_of(
    past: Past,
    step: int,
    place: tzinfo | None,
    *,
    by: str | None = None,
    sort: str | None = None,
    top: int | None = None,
    before: Past | None = None,
    earlier: Callable[[int], int] = lambda at: at,
) -> Table:
    """The table. `before` is what it is compared with, and `earlier` tells which moment of that a moment is
    compared with."""
    total = _total(past)
    rows = _by_name(past) if by else list(_by_time(past, step, place))
    if before is not None:
        then = _total(before)
        total = total and total._replace(before=then and then.rate)
        if by:
            rows = _compared_by_name(rows, _by_name(before), total) if then else rows
        else:
            rows = _compared(rows, list(_by_time(before, step, place)), earlier)
    rows.sort(key=lambda row: (SORTS[sort or ("rate" if by else "time")](row), row.name or "", row.started))
    return Table(
        *(by, step, past.logs, tuple(rows[:top]), total, len(rows) - len(rows[:top])),
        gaps=tuple(_gaps(past.periods)),
        rejected=sum(period.rejected for period in past.periods),
        unmeasured=sum(period.unmeasured for period in past.periods),
        events=past.events,
        begins=past.begins,
        ends=past.ends,
        merged=_coarsest(past),
        lacks_latency=past.lacks_latency,
        merged_before=_coarsest(before),
        last=max(past.periods, key=lambda period: period.ended).length if past.periods else 0,
    )


def _coarsest(past: Past | None) -> int:
    return max((period.grain for period in past.periods), default=0) if past else 0


def _by_time(past: Past, step: int, place: tzinfo | None) -> Iterable[Row]:
    steps: dict[tuple[int, ...], list[Period]] = {}
    for period in past.periods:
        unit = max(step, period.grain)
        begin = begin_of(period.ended - 1, unit, place)
        alone = [] if 2 * period.length <= 3 * unit else [period.sequence]
        steps.setdefault((unit, begin, *alone), []).append(period)
    starts = _starts(past)
    for (_, begin, *alone), periods in steps.items():
        row = _span_of(periods, starts)
        row = _filled(row, _lengths(periods), ((period.log, period.tally) for period in periods))
        yield row if alone else row._replace(begin=begin)


def _by_name(past: Past) -> list[Row]:
    if not past.periods:
        return []
    span, lengths = _span_of(past.periods, _starts(past)), _lengths(past.periods)
    names = dict.fromkeys(name for tallies in past.names.values() for name in tallies)
    return [
        _filled(
            span, lengths, ((log, tallies[name]) for log, tallies in past.names.items() if name in tallies)
        )._replace(name=name)
        for name in names
    ]


def _total(past: Past) -> Row | None:
    if not past.periods:
        return None
    named = [(log, tally) for log, tallies in past.names.items() for tally in tallies.values()]
    tallies = named or [(period.log, period.tally) for period in past.periods]
    return _filled(_span_of(past.periods, _starts(past)), _lengths(past.periods), tallies)


def _starts(past: Past) -> list[int]:
    """When the service was started."""
    return sorted(event.at for event in past.events if event.kind == STARTED)


def _lengths(periods: Iterable[Period]) -> dict[str, int]:
    """How long they were in all, by log; nanoseconds."""
    lengths: dict[str, int] = {}
    for period in periods:
        lengths[period.log] = lengths.get(period.log, 0) + period.length
    return lengths


def _span_of(periods: Sequence[Period], starts: Sequence[int]) -> Row:
    """A row of these periods, without requests."""
    started = min(period.started for period in periods)
    return Row(
        name=None,
        begin=started,
        started=started,
        ended=max(period.ended for period in periods),
        grain=max(period.grain for period in periods),
        seconds=max(_lengths(periods).values()) / SECOND,
        tally=Tally(),
        rate=0.0,
        class_rates=(0.0,) * len(CLASSES),
        byte_rate=0.0,
        covers_stop=any(
            bisect_right(starts, period.started) < bisect_right(starts, period.ended) for period in periods
        ),
    )


def _filled(row: Row, lengths: Mapping[str, int], tallies: Iterable[tuple[str, Tally]]) -> Row:
    """Each log's requests by the length of its own periods, which is in nanoseconds."""
    by_log: dict[str, list[Tally]] = {}
    for log, tally in tallies:
        by_log.setdefault(log, []).append(tally)
    sums = {log: Tally().plus(*each) for log, each in by_log.items()}
    timed = [(tally, lengths[log]) for log, tally in sums.items() if lengths.get(log)]
    return row._replace(
        tally=Tally().plus(*sums.values()),
        rate=sum(tally.requests * SECOND / length for tally, length in timed),
        class_rates=tuple(
            sum(tally.classes[number] * SECOND / length for tally, length in timed)
            for number in range(len(CLASSES))
        ),
        byte_rate=sum(tally.bytes * SECOND / length for tally, length in timed),
    )


def _compared(rows: list[Row], before: list[Row], earlier: Callable[[int], int]) -> list[Row]:
    """Each with the rate of the earlier row that its middle falls into."""
    before.sort(key=lambda row: row.started)
    starts = [row.started for row in before]

    def rate_at(row: Row) -> float | None:
        at = earlier((row.started + row.ended) // 2)
        found = bisect_right(starts, at) - 1
        return before[found].rate if found >= 0 and at < before[found].ended else None

    return [row._replace(before=rate_at(row)) for row in rows]


def _compared_by_name(rows: list[Row], before: list[Row], span: Row | None) -> list[Row]:
    """Each with its rate then; what came no more has a row, too."""
    rates = {row.name: row.rate for row in before}
    compared = [row._replace(before=rates.pop(row.name, 0.0)) for row in rows]
    if span is None:
        return compared
    nothing = _filled(span, {}, ())
    return compared + [nothing._replace(name=name, before=rate) for name, rate in rates.items()]


def _gaps(periods: Iterable[Period]) -> Iterable[tuple[int, int]]:
    """From when to when no log has a period."""
    covered: int | None = None
    for period in sorted(periods, key=lambda period: period.started):
        if covered is not None and period.started - covered > GAP:
            yield covered, period.started
        covered = max(covered or 0, period.ended)
