"""All that one look at whole logs found, as a table, as JSON and as CSV.

What came from the logs is shown as qps_service.text.escape does it, so that a terminal and a spreadsheet get
printable text, and distinct routes stay distinct.
"""

import io
import time
from collections.abc import Iterable, Mapping, Sequence, Sized
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from qps_service.reporting.documents import as_json, harmless
from qps_service.reporting.report import numbers_of, whole
from qps_service.reporting.text import format_rate
from qps_service.text.escape import show
from qps_service.text.units import format_latency
from qps_service.text.width import fit, widest
from qps_service.values.counts import NOTHING_BESIDE, Beside, Counts, Key
from qps_service.values.latency import NO_LATENCIES, Latency, LatencyKey

K = TypeVar("K")
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


class Summary(NamedTuple):
    """What was read: requests, rejected lines and directives."""

    totals: Mapping[Key, Counts]
    rejects: Mapping[str, int]  # reason -> lines
    # Where they were asked for: requests by the first digit of their status, by the Unix second in which the
    # span began; None for requests whose time can't be read.
    times: Mapping[int | None, Sequence[int]]
    span: int  # seconds of each; 0 where times were not asked for
    top: int | None = None  # how many rows to show at most; sums are always those of all
    beside: Beside = NOTHING_BESIDE
    latencies: Mapping[LatencyKey, Latency] = NO_LATENCIES  # where the logs tell them
    slower: int | None = None  # nanoseconds: how many took longer is asked for; one of BOUNDS
    latencies_by_time: Mapping[int | None, Latency] = MappingProxyType({})  # by the begin of the span

    @property
    def requests(self) -> int:
        """Lines that counted."""
        return sum(counts.requests for counts in self.totals.values())

    @property
    def rejected(self) -> int:
        """Lines that did not."""
        return sum(self.rejects.values())

    @property
    def bytes(self) -> int:
        """Sum of the response sizes."""
        return sum(counts.bytes for counts in self.totals.values())


def render_table(summary: Summary) -> str:
    """For people: the most frequent first, then the total, rejected lines, and rates over time."""
    total = summary.requests
    rows = [
        (show(key.method), show(key.route), f"{key.status:03d}", *_numbers(counts, total))
        for key, counts in _sorted(summary)
    ]
    whole = Counts(total, summary.bytes)
    heads = ("method", "route", "status", "requests", "share", "bytes")
    parts = [align(heads, [*rows, ("total", "", "", *_numbers(whole, total))], left=3)]
    if summary.latencies:
        parts.append(_durations(summary))
    elif summary.slower is not None:
        parts.append("no request has a duration that can be read\n")
    if summary.beside.unmeasured:
        parts.append(f"bytes unknown: {summary.beside.unmeasured} of {total} requests\n")
    if summary.beside.directives:
        parts.append(f"directives: {summary.beside.directives} lines\n")
    if summary.rejects:
        rejects = [(reason, str(lines)) for reason, lines in sorted(summary.rejects.items())]
        parts.append(align(("rejected", "lines"), [*rejects, ("total", str(summary.rejected))], left=1))
    if summary.span:
        times = [
            (begin, str(requests), rate, *map(str, classes))
            for begin, requests, rate, classes in _times(summary)
        ]
        parts.append(align(("from", "requests", "per second", *CLASSES, "other"), times, left=1))
    if summary.latencies_by_time:
        spans = [(begin, *_of_latency(each, summary.slower)) for begin, each in _spans(summary)]
        parts.append(align(("from", *_heads(summary)), spans, left=1))
    return "\n".join(parts)


def _durations(summary: Summary) -> str:
    """The table of how long requests took: those of the most measured requests first."""
    heads = ("route", "class", *_heads(summary))
    rows = [
        (show(key.route), f"{key.status_class}xx", *_of_latency(latency, summary.slower))
        for key, latency in _by_measured(summary)
    ]
    total = whole(summary.latencies)
    return align(heads, [*rows, ("total", "", *_of_latency(total, summary.slower))], left=2)


def _heads(summary: Summary) -> Iterable[str]:
    yield from ("measured", "p50", "p95", "p99", "max")
    if summary.slower is not None:
        yield from (f"> {format_latency(summary.slower)}", "share")


def _spans(summary: Summary) -> Iterable[tuple[str, Latency]]:
    """In their order, the one for unreadable times last."""
    found = summary.latencies_by_time
    for begin in sorted(found, key=lambda each: (each is None, each)):
        yield "unknown" if begin is None else _moment(begin), found[begin]


def _of_latency(latency: Latency, slower: int | None) -> Iterable[str]:
    yield str(latency.measured)
    yield from map(format_latency, latency.quantiles(500, 950, 990))
    yield format_latency(latency.longest)
    if slower is not None:
        number = latency.measured - latency.within(slower)
        yield from (str(number), f"{100 * number / latency.measured:.2f}%")


def _by_measured(summary: Summary) -> list[tuple[LatencyKey, Latency]]:
    def place(item: tuple[LatencyKey, Latency]) -> tuple[int, LatencyKey]:
        return -item[1].measured, item[0]

    return sorted(summary.latencies.items(), key=place)[: summary.top]


def render_json(summary: Summary) -> str:
    """For programs: one object."""
    document: dict[str, object] = {
        "lines": summary.requests + summary.rejected + summary.beside.directives,
        "requests": summary.requests,
        "bytes": summary.bytes,
        "bytes_unknown": summary.beside.unmeasured,
        "rejected": dict(sorted(summary.rejects.items())),
        "directives": summary.beside.directives,
        "rows": [
            {"method": show(key.method), "route": show(key.route), "status": key.status, **counts._asdict()}
            for key, counts in _sorted(summary)
        ],
    }
    if summary.latencies:
        document["latencies"] = [
            {
                "route": show(key.route),
                "class": f"{key.status_class}xx",
                **_numbers_of(latency, summary.slower),
            }
            for key, latency in _by_measured(summary)
        ]
    if summary.latencies_by_time:
        document["latencies_by_time"] = [
            {"from": begin, **_numbers_of(latency, summary.slower)} for begin, latency in _spans(summary)
        ]
    if summary.span:
        document["span"] = summary.span
        document["times"] = [
            {
                "from": begin,
                "requests": requests,
                "rate": float(rate) if rate else None,
                "classes": dict(zip((*CLASSES, "other"), classes, strict=True)),
            }
            for begin, requests, rate, classes in _times(summary)
        ]
    return as_json(document)


def _numbers_of(latency: Latency, slower: int | None) -> dict[str, object]:
    """For programs: in nanoseconds; None stands for what is longer than the bins reach."""
    told = numbers_of(latency, bins=True)
    if slower is not None:
        told |= {"slower_than_ns": slower, "slower": latency.measured - latency.within(slower)}
    return told


def render_csv(summary: Summary) -> str:
    """For spreadsheets (RFC 4180): a line for each method, route and status, or for each span of time. How
    long requests took, in nanoseconds, is that of the route and the class of status, whatever the method."""
    import csv

    text = io.StringIO()
    writer = csv.writer(text)
    if summary.span:
        more = dict(_spans(summary))
        writer.writerow(("from", "requests", "per second", *CLASSES, "other", *_columns(summary, more)))
        writer.writerows(
            (begin, requests, rate, *each, *_cells(summary, more, begin))
            for begin, requests, rate, each in _times(summary)
        )
    else:
        found = summary.latencies
        writer.writerow(("method", "route", "status", "requests", "bytes", *_columns(summary, found)))
        writer.writerows(
            (
                *(harmless(show(key.method)), harmless(show(key.route)), f"{key.status:03d}", *counts),
                *_cells(summary, found, LatencyKey(key.route, key.status // 100)),
            )
            for key, counts in _sorted(summary)
        )
    return text.getvalue()


def _columns(summary: Summary, latencies: Sized) -> Iterable[str]:
    if latencies:
        yield from ("measured", "p50_ns", "p95_ns", "p99_ns", "max_ns")
        yield from () if summary.slower is None else ("slower",)


def _cells(summary: Summary, latencies: Mapping[K, Latency], key: K) -> Iterable[object]:
    """What stands in these columns; nothing where nothing was measured, or it is beyond the bins."""
    if latencies:
        told = _numbers_of(latencies[key], summary.slower) if key in latencies else {}
        names = ("measured", "p50_ns", "p95_ns", "p99_ns", "max_ns", "slower")
        yield from (told.get(name) for name in names[: None if summary.slower is not None else -1])


RENDERERS = {"table": render_table, "json": render_json, "csv": render_csv}


def _sorted(summary: Summary) -> list[tuple[Key, Counts]]:
    return sorted(summary.totals.items(), key=lambda item: (-item[1].requests, item[0]))[: summary.top]


def _numbers(counts: Counts, total: int) -> tuple[str, str, str]:
    return str(counts.requests), f"{100 * counts.requests / total if total else 0:.1f}%", str(counts.bytes)


def _times(summary: Summary) -> Iterable[tuple[str, int, str, Sequence[int]]]:
    """When it began, requests, rate and requests by class of each span; the last one for unreadable times."""
    known = sorted(begin for begin in summary.times if begin is not None)
    for begin in (*known, *({None} & summary.times.keys())):
        by_digit = summary.times[begin]
        requests = sum(by_digit)
        classes = (*by_digit[1:6], requests - sum(by_digit[1:6]))
        if begin is None:
            yield "unknown", requests, "", classes
        else:
            yield _moment(begin), requests, format_rate(requests / summary.span), classes


def _moment(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


def align(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> str:
    """Columns with two blanks between; the first `left` ones hold text, the others numbers."""
    widths = [widest(column) for column in zip(heads, *rows, strict=True)]
    signs = ("-" if number < left else "" for number in range(len(heads)))
    plain = "  ".join(f"%{sign}{width}s" for sign, width in zip(signs, widths, strict=True))
    lines = []
    for row in (heads, *rows):
        if "".join(row).isascii():
            line = plain % (*row,)
        else:
            line = "  ".join(
                fit(cell, width) if number < left else cell.rjust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        lines.append(line.rstrip() + "\n")
    return "".join(lines)
