"""A window -> Report -> text. Pure.

The text, with tabs where <TAB> stands:

    Fri Sep  9 11:43:14 2016
    =============================
    /<TAB>200<TAB>10.3
    /<TAB>500<TAB>0.1
    total<TAB>-<TAB>10.4
    (empty line)

While a loss is recent, a line for each stands after the total: `possible loss`, the number of bytes at
most or `unknown`, and what happened.
"""

import time
from collections import Counter
from typing import Any

from qps_service.text.escape import show, show_path
from qps_service.values.entries import Loss
from qps_service.values.reports import Report, Row, Window

RULE = "=" * 29


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
    )


def rates(report: Report) -> dict[tuple[bytes, int], float]:
    """Requests per second by route and status, methods summed out, in order."""
    requests: Counter[tuple[bytes, int]] = Counter()
    for row in report.rows:
        requests[row.route, row.status] += row.requests
    return {key: _rate(count, report.seconds) for key, count in requests.items()}


def render_text(report: Report) -> str:
    """The report for people: local time as C's ctime() writes it, methods summed out."""
    date = time.ctime(report.at)
    lines = [f"{date} {show(report.log.encode())}" if report.named else date, RULE]
    lines += [
        f"{show(route)}\t{status:03d}\t{format_rate(rate)}" for (route, status), rate in rates(report).items()
    ]
    lines += [f"total\t-\t{format_rate(report.rate)}", *map(_render_loss, report.losses), "", ""]
    return "\n".join(lines)


def row_objects(report: Report) -> list[dict[str, Any]]:
    """The rows for programs, as objects of JSON: methods apart, numbers as they were counted."""
    return [
        {
            "method": show(row.method),
            "route": show(row.route),
            "status": row.status,
            "requests": row.requests,
            "bytes": row.bytes,
            "rate": row.rate,
        }
        for row in report.rows
    ]


def _render_loss(loss: Loss) -> str:
    most = "unknown" if loss.bytes is None else str(loss.bytes)
    return f"possible loss\t{most}\t{show_path(loss.name)} {loss.what} ({time.ctime(loss.at // 10**9)})"


def format_rate(rate: float) -> str:
    """Two decimals, or more where two significant digits need them; no trailing zeros, no exponent."""
    if rate == 0:
        return "0"
    exponent = int(f"{rate:.1e}".partition("e")[2])
    digits = f"{rate:.{max(2, 1 - exponent)}f}"
    return digits.rstrip("0").rstrip(".")


def _rate(requests: int, seconds: float) -> float:
    return requests / seconds if seconds > 0 else 0.0
