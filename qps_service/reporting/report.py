"""A window becomes a report: rows, and rates by the time that really passed."""

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from qps_service.text.escape import show
from qps_service.values.counts import Counts
from qps_service.values.entries import Loss
from qps_service.values.reports import Report, Row, Window


def make_report(
    window: Window, *, sequence: int, at: int, named: bool, losses: tuple[Loss, ...] = ()
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
        latencies=window.latencies,
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


def _dumped(row: object) -> str:
    return json.dumps(row, separators=(",", ":"))


def _rate(requests: int, seconds: float) -> float:
    return requests / seconds if seconds > 0 else 0.0
