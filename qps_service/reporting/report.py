"""A window becomes a report: rows, and rates by the time that really passed."""

import json
from collections import Counter
from collections.abc import Iterator

from qps_service.text.escape import show
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
    )


def rates(report: Report) -> dict[tuple[bytes, int], float]:
    """Requests per second by route and status, methods summed out, in order."""
    requests: Counter[tuple[bytes, int]] = Counter()
    for row in report.rows:
        requests[row.route, row.status] += row.requests
    return {key: _rate(count, report.seconds) for key, count in requests.items()}


def rows_json(report: Report) -> Iterator[str]:
    """The rows for programs, as an array of JSON in pieces: methods apart, numbers as they were counted."""
    separator = "["
    for row in report.rows:
        document = {
            "method": show(row.method),
            "route": show(row.route),
            "status": row.status,
            "requests": row.requests,
            "bytes": row.bytes,
            "rate": row.rate,
        }
        yield separator + json.dumps(document, separators=(",", ":"))
        separator = ","
    yield "]" if report.rows else "[]"


def _rate(requests: int, seconds: float) -> float:
    return requests / seconds if seconds > 0 else 0.0
