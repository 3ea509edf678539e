"""The page's own JSON, made of what the ledger answered: pure functions, bounded whatever the ledger has.

Times are Unix seconds. Requests and rates are lists by class of status (CLASSES). Names of logs and routes
are text as reports show it, to be put into text nodes. A program that wants numbers asks `history --output
json`: these change with the page.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from qps_service.looking.moments import spell_length
from qps_service.looking.rendering import notes, visible
from qps_service.looking.state import LATE, WINDOWS_LATE, due, is_counting
from qps_service.looking.table import Row, Table, table_of
from qps_service.text.escape import show
from qps_service.text.units import SECOND
from qps_service.values.latency import BEYOND
from qps_service.values.past import Past, Standing
from qps_service.web.view import POINTS, STEPS, View

ROUTES = 50  # rows; the others are one
PARTS = 24  # of the span, for the small chart of each route
EVENTS = 200  # the last ones
LOGS = 200
EVERY = 60.0  # seconds between two questions at most: the window after a stop is as long as the stop


def is_late(report: tuple[int, int], started: int | None, now: int) -> bool:
    """Whether the report after this one, by its window, should have been there; `started` as in `due`."""
    return now - report[1] > max(LATE, WINDOWS_LATE * due(*report, started))


def state(standing: Standing, view: View, now: int, pid: int) -> dict[str, Any]:
    """The line above all: how it stands at this moment, with the numbers of the last report."""
    logs = [log for log in standing.logs if view.log in (None, show(log.name.encode()))]
    names = {log.name for log in logs}
    last = {period.log: period for period in standing.past.periods if period.log in names}
    newest = max((period.sequence for period in last.values()), default=0)
    periods = tuple(period for period in last.values() if period.sequence == newest)
    row = table_of(standing.past._replace(periods=periods), SECOND, None).total
    counting = is_counting(standing, now, pid, {})
    lost = [log.lost_at for log in logs if log.lost_at is not None]
    return {
        "counting": counting,
        "sentence": _health(standing, now, counting=counting),
        "every": min(EVERY, max(1.0, *(each.length / SECOND for each in periods))) if periods else 10.0,
        "logs": [show(log.name.encode()) for log in standing.logs[:LOGS]],
        "last": row and _members(row),
        "requests": sum(log.requests for log in logs),
        "rejected": sum(log.rejected for log in logs),
        "losses": sum(log.losses for log in logs),
        "lost_ago": spell_length(max(0, now - max(lost))) if lost else None,
    }


def series(past: Past, step: int, since: int, until: int) -> dict[str, Any]:
    """Everything over time, in at most POINTS rows."""
    table = table_of(past, step, None)
    for coarser in STEPS:
        if len(table.rows) > POINTS and coarser > step:
            table = table_of(past, coarser, None)
    return {
        "since": since / SECOND,
        "until": until / SECOND,
        "step": table.step / SECOND,
        "begins": None if past.begins is None else past.begins / SECOND,
        "rows": [_members(row) for row in table.rows[-POINTS:]],
        "total": table.total and _members(table.total),
        "gaps": [[begin / SECOND, end / SECOND] for begin, end in table.gaps],
        "notes": list(notes(table, None)),
        "events": [
            {
                "at": event.at / SECOND,
                "kind": event.kind,
                "log": show(event.log.encode()) if event.log else None,
                "text": visible(event.text),
            }
            for event in past.events[-EVENTS:]
        ],
        "events_left_out": max(0, len(past.events) - EVENTS),
    }


def statuses(past: Past, step: int) -> dict[str, Any]:
    """Requests by status: of one route, where that was asked for."""
    table = table_of(past, step, None, by="status", top=ROUTES)
    return {"statuses": [_members(row) for row in table.rows]}


def routes(past: Past, step: int, view: View) -> dict[str, Any]:
    """The routes, those to look at first, with a small chart of each; the others as one row."""
    if view.filter:
        wanted = view.filter.lower()
        names = {
            log: {name: tally for name, tally in tallies.items() if wanted in name.lower()}
            for log, tallies in past.names.items()
        }
        past = past._replace(names=names)
    table = table_of(past, step, None, by="route", sort=view.sort, top=ROUTES)
    return {
        "routes": [{**_members(row), "trend": _trend(past.trends, row.name or "")} for row in table.rows],
        "rest": _rest(past, table),
        "left_out": table.left_out,
        "seconds": table.total.seconds if table.total else 0,
    }


def _rest(past: Past, table: Table) -> dict[str, Any] | None:
    if not table.left_out:
        return None
    shown = {row.name for row in table.rows}
    names = {
        log: {name: tally for name, tally in tallies.items() if name not in shown}
        for log, tallies in past.names.items()
    }
    rest = table_of(past._replace(names=names), table.step, None, by="route").total
    return rest and _members(rest)


def _trend(trends: Mapping[str, Mapping[str, tuple[int, ...]]], name: str) -> list[int]:
    """Requests of a route in each part of the span, of all logs together."""
    own: Iterable[tuple[int, ...]] = (routes[name] for routes in trends.values() if name in routes)
    return [sum(each) for each in zip(*own, strict=True)]


def _members(row: Row) -> dict[str, Any]:
    named = {} if row.name is None else {"name": row.name}
    return {
        **named,
        "from": row.started / SECOND,
        "until": row.ended / SECOND,
        "seconds": row.seconds,
        "requests": list(row.tally.classes),
        "rate": row.rate,
        "rates": list(row.class_rates),
        "share": row.error_share,
        "byte_rate": row.byte_rate,
        "latency": [_seconds(each) for each in row.quantiles.values()] if row.tally.latency.bins else None,
        "stop": row.covers_stop,
    }


def _seconds(latency: int | None) -> float | None:
    """-1 for what is longer than the bins reach."""
    return -1 if latency == BEYOND else latency and latency / SECOND


def _health(standing: Standing, now: int, *, counting: bool) -> str:
    if not standing.logs:
        return "NOT COUNTING: the ledger knows no log yet. Is the service configured and running?"
    age = spell_length(max(0, now - max(log.at for log in standing.logs)))
    if counting:
        return f"Counting. Last commit {age} ago."
    stopped, started = standing.stopped, standing.started or 0
    if stopped is not None and stopped >= started:
        return f"NOT COUNTING: the service was stopped {spell_length(max(0, now - stopped))} ago."
    return f"NOT COUNTING: last commit {age} ago. Ask: systemctl status qps-reporter"
