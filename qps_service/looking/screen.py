"""The screen of `qps-reporter top` as lines: pure functions of numbers, what is chosen, width and height.

Promise: no line is wider than the screen, and there are no more than it has; whatever a route is called has
no effect but to be shown. What is coloured is told by a word or a mark as well. The narrower the screen, the
fewer columns: the route, req/s and 5xx stay longest.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import NamedTuple

from qps_service.looking.recent import BINS, SPAN, Figures, Numbers
from qps_service.looking.rendering import share, visible
from qps_service.looking.view import HELP, View
from qps_service.reporting.text import format_rate
from qps_service.text.escape import escape
from qps_service.text.units import SECOND, format_latency
from qps_service.text.width import clip, columns, fit
from qps_service.values.past import CLASSES, QUANTILES

# What spans of text look like, where the terminal can.
PLAIN, STRONG, ERROR, WARNING, HEAD = "", "strong", "error", "warning", "head"

_BARS, _ASCII_BARS = "▁▂▃▄▅▆▇█", "_.:-=+*#"  # the first for none
# Columns that are left to charts and names, if that can be; to names beside two numbers or one, fewer.
_SHORTEST_SPARK, _SHORTEST_NAME, _LONGEST_NAME, _CRAMPED_NAME = 10, 16, 48, 6
_LONGEST_TITLE = 32
ANY_WIDTH = 1 << 30  # of a pipe
_CHART = "5 minutes"
# Columns at least, so that they stay when numbers change; those of whole logs may take more.
_LEAST = {"req/s": 8, "4xx": 6, "5xx": 6, "errors": 6, "p50": 5, "p95": 5, "p99": 5, _CHART: 0}
# What goes first where there is no room.
_LEAVES = ("p50", "4xx", "p99", _CHART, "errors", "p95", "5xx", "req/s")
_WEIGHTS = {"2xx": 3, "4xx": 4, "5xx": 7}
_STYLES = {"5xx": ERROR, "4xx": WARNING}  # of what is not 0
_BY = {"rate": "req/s"}  # what rows are sorted by, where its column is called otherwise


class Span(NamedTuple):
    """A part of a line."""

    text: str
    style: str = PLAIN


Line = tuple[Span, ...]


class Shown(NamedTuple):
    """A table and what is told beside it."""

    title: str  # of the log, or of all
    of: str  # what a row is: a route or a log
    numbers: Numbers
    rows: Sequence[Figures]  # in their order, those that pass the filter
    rejected: int  # lines
    losses: int  # possible ones
    said: str | None = None  # why the log is not followed, or what else there is to say
    others: int = 0  # tables that there are besides


def screen(shown: Shown, view: View, width: int, height: int, *, ascii_only: bool = False) -> list[Line]:
    """All of it."""
    bars = _ASCII_BARS if ascii_only else _BARS
    state = _joined(_state(shown, bars), width)
    if view.is_helping:
        lines = [state, *((Span(text),) for text in help_lines())]
    else:
        first = min(view.top, max(0, len(shown.rows) - page_of(height)))
        rows = shown.rows[first : first + page_of(height)]
        lines = [state, *(_table(shown, rows, view, width, bars) if height > 3 else ())]
        lines += [()] * (height - 1 - len(lines))
        lines = lines[: max(1, height - 1)]
        lines.append(_foot(shown, view, first, len(rows), width))
    return [cut(line, width, ascii_only=ascii_only) for line in lines[:height]]


def page_of(height: int) -> int:
    """How many rows a screen of this height has: what state, heads and foot leave."""
    return max(0, height - 3)


def plain(shown: Shown, view: View, width: int | None, *, ascii_only: bool = False) -> str:
    """The same for a pipe, or a terminal that can't move its cursor: all rows, one below the other."""
    width = width or ANY_WIDTH
    bars = _ASCII_BARS if ascii_only else _BARS
    lines = [_joined(_state(shown, bars), width), *_table(shown, shown.rows, view, width, bars)]
    if shown.said:
        lines.append((Span(shown.said),))
    cuts = (cut(line, width, ascii_only=ascii_only) for line in lines)
    return "".join("".join(span.text for span in line).rstrip() + "\n" for line in cuts) + "\n"


def help_lines() -> Iterable[str]:
    """What keys do and what numbers mean."""
    longest = max(len(keys) for keys, _ in HELP)
    yield ""
    yield from (f"{keys:<{longest}}  {what}" for keys, what in HELP)
    yield ""
    yield f"Numbers are of the last {SPAN // SECOND} s, by the time that really passed, charts of 5 minutes."
    yield "! and errors: requests that the server failed, 5xx. p95: what 95 of 100 requests took at most."
    yield "rejected, losses: lines that are no request, possible losses, since this program began."


def cut(line: Line, width: int, *, ascii_only: bool) -> Line:
    """As much of it as fits."""
    found: list[Span] = []
    for text, style in line:
        text = visible(text)
        if ascii_only and not text.isascii():
            text = "".join(each if each.isascii() else escape(each) for each in text)
        text = clip(text, width)
        width -= columns(text)
        if text:
            found.append(Span(text, style))
    return tuple(found)


def sparkline(rates: Sequence[float | None], bars: str) -> str:
    """A character for each, the highest for the largest; a blank where nothing is known."""
    largest = max((rate for rate in rates if rate), default=0.0)
    steps = len(bars) - 1

    def bar(rate: float | None) -> str:
        if rate is None:
            return " "
        return bars[min(steps, ceil(steps * rate / largest))] if rate else bars[0]

    return "".join(map(bar, rates))


def _state(shown: Shown, bars: str) -> list[tuple[int, Span]]:
    """What is told of the table, each with its weight: the least goes first where there is no room."""
    whole, seconds = shown.numbers.whole, shown.numbers.seconds
    parts = [(9, Span(clip(shown.title, _LONGEST_TITLE), STRONG))]
    parts.append((2, Span(f"last {seconds:.3g} s" if seconds else "no window yet")))
    parts.append((8, Span(f"{format_rate(whole.rate)} req/s", STRONG)))
    for number, (name, rate) in enumerate(zip(CLASSES, whole.classes, strict=True)):
        if rate or number in (1, 2, 3, 4):
            style = ERROR if number == 4 and rate else PLAIN
            parts.append((_WEIGHTS.get(name, 2), Span(f"{name} {format_rate(rate)}", style)))
    mark = "! " if whole.errors else ""
    parts.append((6, Span(f"{mark}errors {share(whole.error_share)}", ERROR if whole.errors else PLAIN)))
    if shown.numbers.is_measured:
        for name, per_mille in QUANTILES.items():
            weight = 6 if name == "p95" else 4
            parts.append((weight, Span(f"{name} {format_latency(whole.quantile(per_mille))}")))
    for name, number in (("rejected", shown.rejected), ("losses", shown.losses)):
        weight, mark, style = (7, "! ", WARNING) if number else (1, "", PLAIN)
        parts.append((weight, Span(f"{mark}{name} {number}", style)))
    return [*parts, (5, Span(sparkline(whole.spark, bars).lstrip()))]


def _joined(parts: list[tuple[int, Span]], width: int) -> Line:
    """In their order, with blanks between; of the chart, the last, the newest as far as there is room."""
    chart = parts[-1]

    def room() -> int:
        """What all but the chart leave."""
        return width - sum(columns(part[1].text) + 2 for part in parts if part is not chart)

    while len(parts) > 1 and room() < (_SHORTEST_SPARK if chart in parts else -2):
        parts.remove(min(parts[::-1], key=lambda part: part[0]))
    texts = (span._replace(text=span.text[-room() :]) if (_, span) == chart else span for _, span in parts)
    return tuple(each for span in texts for each in (Span("  "), span))[1:]


def _table(shown: Shown, rows: Sequence[Figures], view: View, width: int, bars: str) -> Iterable[Line]:
    """Heads and rows."""
    wanted = ["req/s", "4xx", "5xx", "errors"]
    wanted += [*QUANTILES] if shown.numbers.is_measured else []
    wanted.append(_CHART)
    heads = {name: name + ("*" if name == _BY.get(view.by, view.by) else "") for name in wanted}
    cells = [_cells(row, bars) for row in rows]
    widths = {
        name: max(_LEAST[name], len(heads[name]), *(len(each[name]) for each in cells), 0) for name in wanted
    }
    widths[_CHART] = _SHORTEST_SPARK
    names = [visible(row.name)[view.left :] for row in rows]
    for name in _LEAVES:
        least = _CRAMPED_NAME if name in _LEAVES[-2:] else _SHORTEST_NAME
        if _left(wanted, widths, width) >= least:
            break
        if name in wanted:
            wanted.remove(name)
    longest = max(_SHORTEST_NAME, *map(columns, names), 0)
    more = _left(wanted, widths, width) - min(longest, _LONGEST_NAME)
    widths[_CHART] = min(BINS, max(_SHORTEST_SPARK, _SHORTEST_SPARK + more))
    title = f"{shown.of}{'*' if view.by == 'name' else ''}"
    head = " ".join([" ", *(heads[name][: widths[name]].rjust(widths[name]) for name in wanted), title])
    yield (Span(fit(head, width) if width < ANY_WIDTH else head, HEAD),)
    for row, each, name in zip(rows, cells, names, strict=True):
        found = [Span("!", ERROR) if row.errors else Span(" ")]
        for column in wanted:
            style = _STYLES.get(column, PLAIN) if each[column] != "0" else PLAIN
            found.append(Span(" " + each[column][-widths[column] :].rjust(widths[column]), style))
        yield (*found, Span(f" {name}"))


def _left(wanted: Sequence[str], widths: Mapping[str, int], width: int) -> int:
    """Columns that the mark and these leave to names."""
    return width - 2 - sum(widths[name] + 1 for name in wanted)


def _cells(row: Figures, bars: str) -> dict[str, str]:
    return {
        "req/s": format_rate(row.rate),
        "4xx": format_rate(row.classes[3]),
        "5xx": format_rate(row.classes[4]),
        "errors": share(row.error_share),
        **{name: format_latency(row.quantile(per_mille)) for name, per_mille in QUANTILES.items()},
        _CHART: sparkline(row.spark, bars),
    }


def _foot(shown: Shown, view: View, first: int, rows: int, width: int) -> Line:
    """What is chosen, what is said, and which rows are seen."""
    found: list[Span] = []
    if view.is_paused:
        found.append(Span("PAUSED ", STRONG))
    if view.is_typing or view.filter:
        found.append(Span(f"/{view.filter}{'_' if view.is_typing else ''} ", STRONG))
    if view.errors_first:
        found.append(Span("errors first ", STRONG))
    if shown.said:
        found.append(Span(f"! {shown.said}", WARNING))
    else:
        found.append(Span("? help  q end" + ("  tab next log" if shown.others else "")))
    count = f"{first + 1 if rows else 0}-{first + rows} of {len(shown.rows)}"
    left = cut(tuple(found), max(0, width - len(count) - 2), ascii_only=False)
    taken = sum(columns(span.text) for span in left)
    return (*left, Span(" " * max(0, width - taken - len(count))), Span(count))
