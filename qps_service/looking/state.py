"""How the service stands, on one screen, for who was woken: whether it counts, how many, what went wrong."""

from collections.abc import Iterator, Mapping
from datetime import tzinfo

from qps_service.looking.moments import MINUTE, spell, spell_length
from qps_service.looking.rendering import event_line, share, visible
from qps_service.looking.table import Row, table_of
from qps_service.reporting.text import format_rate
from qps_service.text.escape import show, show_path
from qps_service.text.units import SECOND, format_latency
from qps_service.text.width import clip
from qps_service.values.latency import Latency
from qps_service.values.past import QUANTILES, LogStanding, Past, Standing

# How old the last commit may be: three windows, and at least so much.
LATE = 30 * SECOND
WINDOWS_LATE = 3
LONGEST = 40  # columns of a route: clients choose how long one is, and this is one screen


def is_counting(standing: Standing, now: int, pid: int, unit: Mapping[str, str]) -> bool:
    """Whether the last commit is recent enough, and was not the last before a stop, nor before an end that
    only systemd knows of. `pid` and `unit` as in `lines`."""
    if not standing.logs or _is_stopped(standing) or _is_down(pid, unit):
        return False
    if pid and not standing.past.periods:
        return (
            True  # the first window, or one of more than an hour: nothing tells when the next commit is due
        )
    return now - _committed(standing) <= _late(standing)


def lines(
    standing: Standing, now: int, place: tzinfo | None, *, pid: int, unit: Mapping[str, str]
) -> Iterator[str]:
    """The screen. `pid` is that of who holds the ledger, 0 where nobody is seen; `unit` has properties of
    the unit as systemd tells them, if it does."""
    yield _verdict(standing, now, place, pid, unit)
    if unit:
        yield _unit(unit)
    for log in standing.logs:
        yield ""
        yield from _log(log, standing.past, now, place)
    yield ""
    yield "last events" if standing.events else "no events"
    yield from (f"  {event_line(event, place)}" for event in standing.events)


def _is_stopped(standing: Standing) -> bool:
    return standing.stopped is not None and standing.stopped >= (standing.started or 0)


def _committed(standing: Standing) -> int:
    return max(log.at for log in standing.logs)


def _late(standing: Standing) -> int:
    """How old the last commit may be."""
    windows = [(period.started, period.ended) for period in standing.past.periods[-1:]]
    return max(LATE, *(WINDOWS_LATE * due(*window, standing.started) for window in windows), 0)


def due(began: int, ended: int, started: int | None) -> int:
    """How long after a window's end the next one ends: that part of it in which the service ran, which was
    started last at `started`. The window after a stop is as long as the stop, too."""
    return ended - (started if started is not None and began < started < ended else began)


def _is_down(pid: int, unit: Mapping[str, str]) -> bool:
    """A unit that is down may have a process that was started by hand in its place."""
    return not pid and unit.get("ActiveState") in ("inactive", "failed")


def _verdict(standing: Standing, now: int, place: tzinfo | None, pid: int, unit: Mapping[str, str]) -> str:
    if not standing.logs:
        return "NOT COUNTING: the ledger knows no log yet"
    age = spell_length(max(0, now - _committed(standing)))
    if is_counting(standing, now, pid, unit):
        since = f"since {spell(standing.started, place)}, " if standing.started else ""
        holder = f"PID {pid}" if pid else "by no process that is seen"
        return f"counting: {since}last commit {age} ago, {holder}"
    if _is_stopped(standing) and standing.stopped:
        return f"NOT COUNTING: stopped at {spell(standing.stopped, place)}, last commit {age} ago"
    holder = f"PID {pid} holds the ledger" if pid else "no process is seen that holds the ledger"
    return f"NOT COUNTING: last commit {age} ago; {holder}"


def _unit(unit: Mapping[str, str]) -> str:
    text = f"unit {unit.get('Id', '')}: {unit.get('ActiveState', '')} ({unit.get('SubState', '')})"
    if since := unit.get("StateChangeTimestamp"):
        text += f" since {since}"
    if unit.get("Result", "success") != "success":
        text += f", result {unit['Result']}"
    text += f", {unit.get('NRestarts', '?')} restarts"
    if status := unit.get("StatusText"):
        text += f"\n  {status}"
    return "\n".join(visible(line) for line in text.split("\n"))


def _log(log: LogStanding, past: Past, now: int, place: tzinfo | None) -> Iterator[str]:
    chosen = f", format {show(log.format.encode())}" if log.format else ""
    yield f"log {show(log.name.encode())}: {show_path(log.path)}{chosen}"
    own = past._replace(periods=tuple(period for period in past.periods if period.log == log.name))
    for name, periods in (("last window", own.periods[-1:]), ("last hour", own.periods)):
        total = table_of(own._replace(periods=periods), MINUTE, place).total
        yield f"  {name:12} {_numbers(total, place) if total else 'nothing'}"
    if log.slowest:
        slowest = (f"{clip(route, LONGEST)} {_latency(latency)}" for route, latency in log.slowest)
        yield f"  slowest      {', '.join(slowest)} (last hour, p95)"
    yield f"  in total     {log.requests} requests, {log.rejected} rejected lines"
    if log.lost_at is not None:
        ago = spell_length(max(0, now - log.lost_at))
        yield f"  LOSSES       {log.losses} possible ones, the last {ago} ago: qps-reporter audit lists them"
    else:
        yield "  losses       none"


def _numbers(row: Row, place: tzinfo | None) -> str:
    begin, end = spell(row.started, place), spell(row.ended, place)
    classes = f"4xx {format_rate(row.class_rates[3])}, 5xx {format_rate(row.class_rates[4])}"
    stop = ", a stop within" if row.covers_stop else ""
    rate = f"{format_rate(row.rate)} req/s, {classes}, errors {share(row.error_share)}"
    if row.tally.latency.bins:
        rate += f", p95 {_latency(row.tally.latency)}"
    return f"{rate} ({begin} to {end[11:] if begin[:10] == end[:10] else end}{stop})"


def _latency(latency: Latency) -> str:
    return format_latency(latency.quantile(QUANTILES["p95"]))
