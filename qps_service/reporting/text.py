"""A report as text.

The text, with tabs where <TAB> stands:

    Fri Sep  9 11:43:14 2016
    =============================
    /<TAB>200<TAB>10.3
    /<TAB>500<TAB>0.1
    total<TAB>-<TAB>10.4
    (empty line)

Where the log tells durations, a terminal, and on request others, get a line for each route that was measured,
between the total and the empty line: how long its requests took, whatever their status.

    latency<TAB>/<TAB>12ms<TAB>45ms<TAB>120ms<TAB>1.3s           p50, p95, p99 and the longest

Of many rows the journal has those to look at first, with a 5xx or the most requests, and then `rest`, the
sum of the others. While a loss is recent, a line for each stands after the total: `possible loss`, the number
of bytes at most or `unknown`, and what happened. A route that is called as these lines are has its first
letter escaped.
"""

import time
from collections.abc import Iterator

from qps_service.reporting.report import by_route, foremost, slowest, summed
from qps_service.text.escape import show, show_path
from qps_service.text.units import format_latency
from qps_service.values.entries import Loss
from qps_service.values.latency import Latency
from qps_service.values.reports import Report

RULE = "=" * 29
_OURS = {b"total": "\\x74otal", b"possible loss": "\\x70ossible loss"}
_OURS_IN_PART = _OURS | {b"rest": "\\x72est"}
_OURS_TIMED = {b"latency": "\\x6catency"}


def text_lines(report: Report, most: int | None = None, *, shows_latency: bool = False) -> Iterator[str]:
    """The report for people, by its lines: local time as C's ctime() writes it, methods summed out. With
    `most`, the rows to look at first, and one for the rest; likewise the slowest routes. Nothing for a log
    that could not be read. `shows_latency`: also where the report does not ask for it."""
    if report.waiting and report.is_empty:
        return  # nobody knows whether there were requests
    date = time.ctime(report.at)
    ours = _OURS if most is None else _OURS_IN_PART
    times = by_route(report) if shows_latency or report.shows_latency else {}
    if times:
        ours = ours | _OURS_TIMED
    rows, rest = summed(report), None
    if most is not None:
        rows, rest = foremost(rows, most, report.seconds)
    yield f"{date} {show(report.log.encode())}\n{RULE}\n" if report.named else f"{date}\n{RULE}\n"
    for row in rows:
        yield f"{ours.get(row.route) or show(row.route)}\t{row.status:03d}\t{format_rate(row.rate)}\n"
    if rest:
        yield f"rest\t-\t{format_rate(rest.rate)}\n"
    yield f"total\t-\t{format_rate(report.rate)}\n"
    for route, latency in slowest(times, most).items():
        yield f"latency\t{ours.get(route) or show(route)}\t{_durations(latency)}\n"
    for loss in report.losses:
        yield f"{_render_loss(loss)}\n"
    yield "\n"


def render_text(report: Report) -> str:
    """All of it."""
    return "".join(text_lines(report))


def _durations(latency: Latency) -> str:
    told = (*map(latency.quantile, (500, 950, 990)), latency.longest)
    return "\t".join(map(format_latency, told))


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
