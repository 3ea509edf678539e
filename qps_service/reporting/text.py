"""A report as text.

The text, with tabs where <TAB> stands:

    Fri Sep  9 11:43:14 2016
    =============================
    /<TAB>200<TAB>10.3
    /<TAB>500<TAB>0.1
    total<TAB>-<TAB>10.4
    (empty line)

While a loss is recent, a line for each stands after the total: `possible loss`, the number of bytes at
most or `unknown`, and what happened. A route that is called as these lines are has its first letter escaped.
"""

import time
from collections.abc import Iterator

from qps_service.reporting.report import rates
from qps_service.text.escape import show, show_path
from qps_service.values.entries import Loss
from qps_service.values.reports import Report

RULE = "=" * 29
_OURS = {b"total": "\\x74otal", b"possible loss": "\\x70ossible loss"}


def text_lines(report: Report) -> Iterator[str]:
    """The report for people, by its lines: local time as C's ctime() writes it, methods summed out."""
    date = time.ctime(report.at)
    yield f"{date} {show(report.log.encode())}\n{RULE}\n" if report.named else f"{date}\n{RULE}\n"
    for (route, status), rate in rates(report).items():
        yield f"{_OURS.get(route) or show(route)}\t{status:03d}\t{format_rate(rate)}\n"
    yield f"total\t-\t{format_rate(report.rate)}\n"
    for loss in report.losses:
        yield f"{_render_loss(loss)}\n"
    yield "\n"


def render_text(report: Report) -> str:
    """All of it."""
    return "".join(text_lines(report))


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
