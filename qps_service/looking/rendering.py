"""A table of the history as text for people, as JSON and as CSV.

Routes, methods and statuses come from the ledger as reports show them; what stands in events is made visible
once more. A line is not wider than the terminal, if that can be: only routes are cut, and only there.
"""

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import Any

from qps_service.looking.moments import HOUR, MINUTE, STEPS, iso, offsets, spell, spell_length
from qps_service.looking.table import Row, Table
from qps_service.reporting.documents import as_csv, as_json
from qps_service.reporting.text import format_rate
from qps_service.text.escape import escape, is_visible, show
from qps_service.text.units import SECOND, format_latency
from qps_service.text.width import fit, widest
from qps_service.values.entries import Event
from qps_service.values.latency import BEYOND
from qps_service.values.past import CLASSES, QUANTILES

BAR = 20  # characters of the largest
NO_LATENCY_SO = (
    "p50, p95 and p99: durations are kept by route and class of status, not by method or a whole status"
)
NARROWEST = 20  # characters of a route that are shown in any case
_EIGHTHS = " ▏▎▍▌▋▊▉"
_GRAINS = {MINUTE: "minute", HOUR: "hour"}


def render_table(
    table: Table,
    place: tzinfo | None,
    *,
    width: int | None = None,
    ascii_only: bool = False,
    compared: str | None = None,
    events: bool = False,
) -> str:
    """For people. `width` is that of the terminal, None for any; `compared` says with what it is compared."""
    lines = [_heading(table, place)]
    heads, texts, total = _texts(table, place, compared)
    widths = [widest(column) for column in zip(heads, *texts, *total, strict=True)]
    longest = BAR
    if width is not None:
        room = width - sum(widths[1:]) - 2 * len(widths)
        widths[0] = min(widths[0], max(NARROWEST, room - BAR))
        longest = max(0, min(BAR, room - widths[0]))
    largest = max((row.rate for row in table.rows), default=0.0)
    lines.append(_line(heads, widths, ""))
    zoned = _is_zoned(table, place)
    gaps = [
        (end, f"{spell(begin, place, zone=zoned)}  no data for {spell_length(end - begin)}")
        for begin, end in (() if table.by else table.gaps)
    ]
    is_by_time = table.rows == tuple(sorted(table.rows, key=_started))
    for each, row in zip(texts, table.rows, strict=True):
        while is_by_time and gaps and row.started >= gaps[0][0]:
            lines.append(gaps.pop(0)[1])
        mark = " *" if row.covers_stop and not table.by else ""
        lines.append(_line(each, widths, bar(row.rate, largest, longest, ascii_only=ascii_only) + mark))
    lines += (text for _, text in gaps)  # within the last row, or of rows in another order
    if table.left_out:
        lines.append(f"and {table.left_out} more")
    lines += [_line(each, widths, "") for each in total]
    lines += notes(table, place)
    if events:
        lines += (
            ["", *(event_line(event, place) for event in table.events)] if table.events else ["", "no events"]
        )
    return "".join(f"{line}\n" for line in lines)


def _texts(
    table: Table, place: tzinfo | None, compared: str | None
) -> tuple[list[str], list[list[str]], list[list[str]]]:
    """Of all cells: the heads, the rows, and the total if there is one."""
    classes = [
        number
        for number, name in enumerate(CLASSES)
        if name not in ("1xx", "other") or any(row.tally.classes[number] for row in table.rows)
    ]
    zoned = _is_zoned(table, place)
    seconds = table.step < MINUTE or any(row.begin % MINUTE for row in table.rows)
    is_timed = bool(table.total and table.total.tally.latency.bins)
    heads = [table.by or "time", "seconds", "req/s", *(CLASSES[number] for number in classes), "errors"]
    heads += [*(QUANTILES if is_timed else ()), "bytes/s"]
    if compared:
        heads += [f"{compared} ago", "change"]

    def cells(row: Row, name: str) -> list[str]:
        found = [name, f"{row.seconds:.1f}", format_rate(row.rate)]
        found += [format_rate(row.class_rates[number]) for number in classes]
        found.append(share(row.error_share))
        found += map(format_latency, row.quantiles.values()) if is_timed else ()
        found.append(size_of(row.byte_rate))
        return found + ([_rate(row.before), _change(row.change)] if compared else [])

    rows = [
        cells(row, row.name or spell(row.begin, place, seconds=seconds, zone=zoned)) for row in table.rows
    ]
    total = [cells(table.total, "total")] if table.total else []
    if table.by:  # all rows have the same length, which stands in the heading
        return _without(heads, 1), [_without(each, 1) for each in rows], [_without(each, 1) for each in total]
    return heads, rows, total


def _is_zoned(table: Table, place: tzinfo | None) -> bool:
    """Whether times need their zone: it changed in between."""
    return offsets([row.begin for row in table.rows], place) > 1


def notes(table: Table, place: tzinfo | None) -> Iterable[str]:
    """What has to be known of the numbers."""
    if any(row.covers_stop for row in table.rows) and not table.by:
        yield "* covers a stop: what was written meanwhile is in it, and so is the time"
    if table.by and table.total and table.total.covers_stop:
        yield "the service was stopped within; the time of that counts"
    if word := _widened_to(table, table.merged):
        yield f"the oldest of it is kept by the {word}: it is shown so, and the span is widened to whole ones"
    if word := _widened_to(table, table.merged_before):
        yield f"what it is compared with is kept by the {word}: that span is widened to whole ones"
    if table.by:
        for begin, end in table.gaps:
            yield f"no data for {spell_length(end - begin)} from {spell(begin, place)}"
    if table.lacks_latency:
        yield NO_LATENCY_SO
    if table.rejected:
        yield f"rejected lines: {table.rejected}"
    if table.unmeasured:
        yield f"bytes unknown: {table.unmeasured} requests"


def _widened_to(table: Table, merged: int) -> str | None:
    """What the span is whole ones of, where more was merged than the table tells apart."""
    return _GRAINS.get(merged, spell_length(merged)) if merged > (0 if table.by else table.step) else None


def begins(table: Table, since: int, place: tzinfo | None) -> str | None:
    """That there is no history of so long ago, if that is so."""
    if table.begins is None or since >= table.begins:
        return None
    return f"history begins at {spell(table.begins, place)}"


def ends(table: Table, until: int, place: tzinfo | None) -> str | None:
    """That nothing was counted in the last part of the span: for longer than three of the last windows."""
    if table.total is None or until - table.total.ended <= 3 * max(MINUTE, table.last):
        return None
    missing = spell_length(until - table.total.ended)
    return f"no data for {missing} since {spell(table.total.ended, place)}: qps-reporter status tells why"


def render_json(table: Table, place: tzinfo | None, *, events: bool = False) -> str:
    """For programs: one object. Times are RFC 3339, and Unix seconds beside them."""
    document: dict[str, object] = {
        "logs": list(table.logs),
        "by": table.by or "time",
        "step_seconds": table.step // SECOND,
        "kept_by_seconds": table.merged // SECOND,
        "history_begins": None if table.begins is None else iso(table.begins, place),
        "rows": [_members(row, table, place) for row in table.rows],
        "left_out": table.left_out,
        "total": table.total and _members(table.total, table, place),
        "gaps": [{"from": iso(begin, place), "until": iso(end, place)} for begin, end in table.gaps],
        "rejected": table.rejected,
        "bytes_unknown": table.unmeasured,
    }
    if events:
        document["events"] = [
            {"time": iso(event.at, place), "unix": event.at / SECOND, "log": event.log, "kind": event.kind}
            | {"text": visible(event.text)}
            for event in table.events
        ]
    return as_json(document)


def render_csv(table: Table, place: tzinfo | None, *, events: bool = False) -> str:
    """For spreadsheets (RFC 4180): a line for each row; with `events`, for each of these instead."""
    if events:
        told = [
            {
                "time": iso(event.at, place),
                "log": event.log or "",
                "kind": event.kind,
                "text": visible(event.text),
            }
            for event in table.events
        ]
        return as_csv(("time", "log", "kind", "text"), told)
    rows = [_flat(row, table, place) for row in table.rows]
    return as_csv(list(rows[0] if rows else _flat(table.total, table, place)), rows) if table.total else ""


def bar(value: float, largest: float, longest: int = BAR, *, ascii_only: bool = False) -> str:
    """As long as the value is large, in `longest` characters; something for all but 0."""
    if not value or not largest or not longest:
        return ""
    eighths = max(1, round(8 * longest * value / largest))
    if ascii_only:
        return "#" * max(1, eighths // 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def visible(text: str) -> str:
    """Without effect on a terminal; a text that was made for people stays as it is."""
    return "".join(each if is_visible(each) else escape(each) for each in text)


def _heading(table: Table, place: tzinfo | None) -> str:
    logs = ", ".join(show(log.encode()) for log in table.logs)
    what = f"log {logs}" if len(table.logs) == 1 else f"logs {logs}"
    if table.total is None:
        return what
    zone = offsets([table.total.started, table.total.ended], place) > 1
    begin, end = (spell(at, place, zone=zone) for at in (table.total.started, table.total.ended))
    step = next((name for name, step in STEPS.items() if step == table.step), spell_length(table.step))
    took = f"{table.total.seconds:.1f} s" if table.by else f"by {step}"
    return f"{what}: {begin} to {end}, {took}"


def _line(cells: Sequence[str], widths: Sequence[int], after: str) -> str:
    """The first to the left, the others to the right."""
    rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([fit(cells[0], widths[0]), *rest, after]).rstrip()


def _without(cells: list[str], number: int) -> list[str]:
    return cells[:number] + cells[number + 1 :]


def _started(row: Row) -> int:
    return row.started


def share(share: float) -> str:
    return f"{format_rate(100 * share)}%" if share else "0"


def _rate(rate: float | None) -> str:
    return "-" if rate is None else format_rate(rate)


def _change(change: float | None) -> str:
    return "-" if change is None else f"{100 * change:+.0f}%"


def size_of(size: float) -> str:
    """Bytes in the largest unit of 1000 of which there is one."""
    for unit in ("", "k", "M", "G", "T"):
        if size < 999.5 or unit == "T":
            return f"{size:.3g}{unit}" if unit != "T" else f"{size:.0f}{unit}"
        size /= 1000
    raise AssertionError


def _members(row: Row, table: Table, place: tzinfo | None) -> dict[str, Any]:
    """A row for programs."""
    what = {} if row.name is None else {table.by or "name": row.name}
    before = {} if row.before is None else {"rate_before": row.before, "change": row.change}
    return {
        **what,
        "time": iso(row.begin, place),
        "from": iso(row.started, place),
        "until": iso(row.ended, place),
        "seconds": row.seconds,
        "kept_by_seconds": row.grain // SECOND,
        "covers_stop": row.covers_stop,
        "requests": row.tally.requests,
        "rate": row.rate,
        "classes": dict(zip(CLASSES, row.tally.classes, strict=True)),
        "errors": row.tally.errors,
        "error_share": row.error_share,
        "bytes": row.tally.bytes,
        "bytes_per_second": row.byte_rate,
        "measured": row.tally.latency.measured,
        **{f"{name}_seconds": _seconds(value) for name, value in row.quantiles.items()},
        **before,
    }


def _seconds(latency: int | None) -> float | None:
    """None, too, for what is longer than the bins reach."""
    return None if latency is None or latency == BEYOND else latency / SECOND


def _flat(row: Row, table: Table, place: tzinfo | None) -> dict[str, Any]:
    """The same, with the classes among the others."""
    members = _members(row, table, place)
    members |= members.pop("classes")
    for each in ("rate_before", "change"):
        members.setdefault(each, "")
    return members


def event_line(event: Event, place: tzinfo | None) -> str:
    log = f"{show(event.log.encode())}: " if event.log else ""
    return f"{spell(event.at, place)}  {event.kind}  {log}{visible(event.text)}"
