"""A window becomes a report: rows, and rates by the time that really passed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from qps_service.text.escape import show
from qps_service.values.counts import Counts
from qps_service.values.entries import Loss
from qps_service.values.latency import BEYOND, BOUNDS, Latency, LatencyKey, sum_of
from qps_service.values.reports import Report, Row, Window

K = TypeVar("K")
PER_MILLE = (500, 900, 950, 990)  # the quantiles that programs are told
TOLD_QUANTILES = (500, 950, 990)  # those that monitoring systems are told, of a log


def make_report(
    window: Window,
    *,
    sequence: int,
    at: int,
    named: bool,
    losses: tuple[Loss, ...] = (),
) -> Report:
    """The report of `window`; `at` is the Unix time to date it with, in seconds."""
    seconds = window.seconds
    rows = tuple(
        Row(key.method, key.route, key.status, counts.requests, counts.bytes, _rate(counts.requests, seconds))
        for key, counts in sorted(window.counts.items(), key=lambda item: (item[0][1:], item[0].method))
    )
    requests = sum(row.requests for row in rows)
    return Report(
        log=window.log,
        named=named,
        sequence=sequence,
        at=at,
        seconds=seconds,
        requests=requests,
        rate=_rate(requests, seconds),
        rejected=sum(window.rejects.values()),
        rows=rows,
        losses=losses,
        beside=window.beside,
        latencies=dict(sorted(window.latencies.items())),
    )


class Rest(NamedTuple):
    """What the rows that are not shown have together."""

    rows: int
    requests: int
    bytes: int
    rate: float


def summed(report: Report) -> list[Row]:
    """The rows with methods summed out, in their order; they have none."""
    found: dict[tuple[bytes, int], Counts] = {}
    for row in report.rows:
        before = found.get((row.route, row.status), Counts(0, 0))
        found[row.route, row.status] = before.plus(Counts(row.requests, row.bytes))
    return [
        Row(b"", route, status, *counts, _rate(counts.requests, report.seconds))
        for (route, status), counts in found.items()
    ]


def foremost(rows: Sequence[Row], most: int, seconds: float) -> tuple[list[Row], Rest | None]:
    """The rows to look at first, `most` at most: with a 5xx, then those with the most requests. And the sum
    of the others, if there are any; `seconds` is the window's length."""
    order = sorted(rows, key=lambda row: (not 500 <= row.status <= 599, -row.requests))
    others = order[most:]
    requests = sum(row.requests for row in others)
    rest = Rest(len(others), requests, sum(row.bytes for row in others), _rate(requests, seconds))
    return order[:most], rest if others else None


def rows_json(report: Report, most: int | None = None) -> Iterator[str]:
    """The rows for programs, as an array of JSON in pieces: methods apart, numbers as they were counted. With
    `most`, those to look at first; then the last object may be the rest's, whose `rows` says of how many."""
    rows, rest = (report.rows, None) if most is None else foremost(report.rows, most, report.seconds)
    separator = "["
    for row in rows:
        yield separator + _dumped(row._asdict() | {"method": show(row.method), "route": show(row.route)})
        separator = ","
    if rest:
        yield separator + _dumped({"method": None, "route": None, "status": None, **rest._asdict()})
    yield "]" if report.rows else "[]"


def latencies_json(latencies: Mapping[LatencyKey, Latency], *, bins: bool) -> Iterator[str]:
    """How slow requests were, for programs: an array of JSON in pieces, by route and class of status; what is
    null is longer than the bins reach. With `bins`, the upper bound of each and its requests."""
    separator = "["
    for key, latency in latencies.items():
        told = {"route": show(key.route), "class": f"{key.status_class}xx", **numbers_of(latency, bins=bins)}
        yield separator + _dumped(told)
        separator = ","
    yield "]" if latencies else "[]"


def by_route(report: Report) -> dict[bytes, Latency]:
    """How slow the requests of each route were, whatever their status, where the log tells."""
    found: dict[bytes, Latency] = {}
    for (route, _), latency in report.latencies.items():
        found[route] = found[route].plus(latency) if route in found else latency
    return found


def slowest(latencies: Mapping[K, Latency], most: int | None) -> Mapping[K, Latency]:
    """All of them, or as many with the highest p95, the slowest first."""
    if most is None:
        return latencies
    return dict(sorted(latencies.items(), key=lambda item: -(item[1].quantile(950) or 0))[:most])


def quantiles(report: Report) -> dict[int, float]:
    """Seconds that so many of a thousand of the log's requests took at most; nothing where none was
    measured."""
    latency = whole(report.latencies)
    found = zip(TOLD_QUANTILES, latency.quantiles(*TOLD_QUANTILES), strict=True)
    return {part: value / 10**9 for part, value in found if value is not None}


def whole(latencies: Mapping[LatencyKey, Latency]) -> Latency:
    """All of them together."""
    return sum_of(latencies.values())


def numbers_of(latency: Latency, *, bins: bool) -> dict[str, object]:
    """How long requests took, in nanoseconds; None stands for what is longer than the bins reach. With
    `bins`, the upper bound of each and its requests."""
    quantiles = zip(PER_MILLE, latency.quantiles(*PER_MILLE), strict=True)
    found = [[_bound(index), requests] for index, requests in sorted(latency.bins.items())]
    return {
        "measured": latency.measured,
        "sum_ns": latency.total,
        "max_ns": latency.longest,
        **{f"p{part // 10}_ns": None if value == BEYOND else value for part, value in quantiles},
        **({"bins": found} if bins else {}),
    }


def _bound(index: int) -> int | None:
    return BOUNDS[index] if index < len(BOUNDS) else None


def _dumped(row: object) -> str:
    import json  # for whoever wants JSON

    return json.dumps(row, separators=(",", ":"))


def _rate(requests: int, seconds: float) -> float:
    return requests / seconds if seconds > 0 else 0.0
