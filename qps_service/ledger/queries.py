"""Questions to the ledger's history, for people who look at it.

Promise: an answer is read in one short transaction, so it is of one commit, and neither holds up the service
nor is held up by it. Sums are exact. The window that is still open is in no answer.

A period belongs to the span in which it ends, as the pruning merges it (retention.py). One that is longer
than a step is in the answer wherever it touches the span: then the answer is wider than the question.
"""

import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import nlargest
from typing import Any

from qps_service.errors import UsageError
from qps_service.ledger.durations import summed, undecoded
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.retention import MINUTE, SPANS
from qps_service.ledger.rows import OTHER_CLASS
from qps_service.text.escape import show
from qps_service.text.units import SECOND
from qps_service.values.counts import Key
from qps_service.values.entries import STARTED, STOPPED, Event
from qps_service.values.latency import Latency, LatencyKey
from qps_service.values.past import (
    NO_REQUESTS,
    QUANTILES,
    LogStanding,
    Past,
    Period,
    Question,
    Standing,
    Tally,
)

# A key's requests are looked up in each period where there are few keys; else all are read.
FEW_KEYS = 64
SLOWEST = 3  # routes of which the standing tells
LEFT = 30 * SECOND  # a log whose last commit is so much older than the last one is not followed any longer

_NAME = {"route": "shown_route", "status": "printf('%03d', status)", "method": "shown_method"}
_CLASS = f"CASE WHEN status BETWEEN 100 AND 599 THEN status / 100 ELSE {OTHER_CLASS} END"


Spans = Mapping[int, tuple[int, int | None]]  # number -> how many parts it has, and what it is a part of
Rows = Iterable[tuple[Any, ...]]  # of what, requests, and the upper and lower 32 bits of bytes


def past(ledger: Ledger, question: Question) -> Past:
    """The answer. Raises LedgerError, and UsageError for a log that there is not."""
    with ledger.snapshot() as reading:
        logs = _logs(reading, question.takes_log)
        ids = json.dumps(list(logs))
        periods = _periods(reading, ids, question)
        keys = _keys(reading, question.takes)
        tallies: dict[int, Tally] = {}
        names: dict[str, dict[str, Tally]] = {}
        trends: dict[str, dict[str, tuple[int, ...]]] = {}
        if question.by is None:
            numbers = [row[0] for row in periods]
            tallies = _by_period(reading, numbers, keys)
            _add_latency(tallies, _latency_by_period(reading, numbers, question))
        else:
            spans = _spans(reading)
            for log, name in logs.items():
                own = {row[0]: row[-1] for row in periods if row[1] == log}
                parts: list[dict[int, int | None]] = [{} for _ in range(max(1, question.parts))]
                for row in periods:
                    if row[1] == log:
                        parts[part_of(row[4], question)][row[0]] = row[-1]
                names[name], trends[name] = _by_name(
                    *(reading, [_summed_up(spans, part) for part in parts], keys, _NAME[question.by])
                )
                _add_latency(names[name], _latency_by_route(reading, _summed_up(spans, own), question))
        found = tuple(
            Period(
                logs[log], sequence, started, ended, grain, rejected, unmeasured, tallies.get(period, Tally())
            )
            for period, log, sequence, started, ended, grain, rejected, unmeasured, _ in periods
        )
        since = min([question.since, *(each.started for each in found)])
        until = max([question.until, *(each.ended for each in found)])
        begins, ends = reading.execute(
            f"SELECT min(started), max(ended) FROM period WHERE {_REPORTED}",  # noqa: S608 - all our own
            {"logs": ids},
        ).fetchone()
        return Past(
            tuple(logs.values()),
            found,
            names,
            tuple(_events(reading, ids, since, until)),
            begins,
            ends,
            not question.has_latency and _has_durations(reading, ids),
            trends if question.parts else {},
        )


def part_of(ended: int, question: Question) -> int:
    """The part of the span in which a period ended. Long parts begin and end as what is summed up does
    (retention.py), so that few rows answer; what the first one lacks by that belongs to it."""
    parts = max(1, question.parts)
    width = -(-(question.until - question.since) // parts)
    unit = max((each for each in SPANS if each <= width), default=1)
    width = -(-width // unit) * unit
    end = -(-question.until // unit) * unit
    return min(parts - 1, max(0, parts - 1 - (end - ended) // width))


_REPORTED = """log IN (SELECT value FROM json_each(:logs))
    AND sequence <= (SELECT value FROM meta WHERE name = 'sequence')"""


def _logs(reading: sqlite3.Connection, takes: Callable[[str], bool]) -> dict[int, str]:
    known = reading.execute("SELECT id, name FROM log ORDER BY name").fetchall()
    logs = {number: name for number, name in known if takes(name)}
    if known and not logs:
        names = ", ".join(show(name.encode()) for _, name in known)
        raise UsageError(f"--log: the ledger has no such log, but {names}")
    return logs


def _periods(reading: sqlite3.Connection, ids: str, question: Question) -> list[tuple[Any, ...]]:
    """Those that end in the span, and long ones that its end cuts; if there is neither, what covers it."""

    def select(condition: str) -> list[tuple[Any, ...]]:
        return reading.execute(
            f"""SELECT id, log, sequence, started, ended, grain,
                       coalesce((SELECT sum(lines) FROM period_reject WHERE period = id), 0), unmeasured,
                       span
                FROM period WHERE {_REPORTED} AND ended > :since AND started < :until AND ({condition})
                ORDER BY ended, sequence""",  # noqa: S608 - all our own
            {"logs": ids, **question._asdict()},
        ).fetchall()

    return select("ended <= :until OR grain > :step OR 2 * (ended - started) > 3 * :step") or select("TRUE")


def _spans(reading: sqlite3.Connection) -> Spans:
    rows = reading.execute("SELECT id, parts, span FROM span")
    return {number: (parts, above) for number, parts, above in rows}


def _summed_up(spans: Spans, periods: Mapping[int, int | None]) -> list[int]:
    """Fewer numbers whose rows add up to the same: a span's where all its parts are wanted. Each period comes
    with its span."""
    wanted, found = dict(periods), []
    while wanted:
        parts = defaultdict(list)
        for number, span in wanted.items():
            parts[span].append(number)
        wanted = {}
        for span, numbers in parts.items():
            if span is None or len(numbers) < spans[span][0]:
                found += numbers
            else:
                wanted[-span] = spans[span][1]
    return found


def _keys(reading: sqlite3.Connection, takes: Callable[[Key], bool] | None) -> str | None:
    """The numbers of the keys that count; None where all do."""
    if takes is None:
        return None
    rows = reading.execute("SELECT id, method, route, status FROM key")
    return json.dumps([number for number, *key in rows if takes(Key(*key))])


def _rows(reading: sqlite3.Connection, what: str, periods: list[int], keys: str | None, end: str) -> Rows:
    """What is to be selected of the counts of these periods and keys."""
    source = "json_each(:periods) AS p CROSS JOIN"
    if keys is None:
        source += " count ON count.period = p.value"
    elif keys.count(",") < FEW_KEYS:
        source += " json_each(:keys) AS k CROSS JOIN count ON count.period = p.value AND count.key = k.value"
    else:
        source += " count ON count.period = p.value AND +count.key IN (SELECT value FROM json_each(:keys))"
    query = f"SELECT {what}, sum(requests), sum(bytes >> 32), sum(bytes & 4294967295) FROM {source} {end}"  # noqa: S608 - all our own
    return reading.execute(query, {"periods": json.dumps(periods), "keys": keys})


def _by_period(reading: sqlite3.Connection, periods: list[int], keys: str | None) -> dict[int, Tally]:
    if keys is None:
        rows = reading.execute(
            """SELECT period, class, requests, bytes >> 32, bytes & 4294967295
               FROM json_each(?) AS p CROSS JOIN period_class ON period = p.value""",
            (json.dumps(periods),),
        )
        return _tallies(rows)
    end = "CROSS JOIN key ON key.id = count.key GROUP BY period, class"
    return _tallies(_rows(reading, f"period, {_CLASS} AS class", periods, keys, end))


def _by_name(
    reading: sqlite3.Connection, parts: list[list[int]], keys: str | None, name: str
) -> tuple[dict[str, Tally], dict[str, tuple[int, ...]]]:
    """The requests of all parts together, and how many there were in each."""
    known = {row[0]: row[1:] for row in reading.execute(f"SELECT id, {name}, {_CLASS} FROM key")}  # noqa: S608
    rows: list[tuple[Any, ...]] = []
    trends: dict[str, list[int]] = {}
    for number, periods in enumerate(parts):
        for key, *rest in _rows(reading, "count.key", periods, keys, "GROUP BY count.key"):
            rows.append((*known[key], *rest))
            trends.setdefault(known[key][0], [0] * len(parts))[number] += rest[0]
    return _tallies(rows), {each: tuple(trend) for each, trend in trends.items()}


def _tallies(rows: Rows) -> dict[Any, Tally]:
    """By name; a row has the class of its status behind that. Sums of bytes may have more than 63 bits."""
    sums: defaultdict[Any, list[int]] = defaultdict(lambda: [*NO_REQUESTS, 0])
    for name, number, requests, high, low in rows:
        found = sums[name]
        found[number - 1] += requests
        found[-1] += (high << 32) + low
    return {name: Tally(tuple(classes), size) for name, (*classes, size) in sums.items()}


def _has_durations(reading: sqlite3.Connection, ids: str) -> bool:
    query = "SELECT EXISTS (SELECT 1 FROM total_latency WHERE log IN (SELECT value FROM json_each(?)))"
    return bool(reading.execute(query, (ids,)).fetchone()[0])


def _add_latency(tallies: dict[Any, Tally], latencies: Iterable[tuple[Any, Latency]]) -> None:
    for name, latency in latencies:
        tallies[name] = tallies.get(name, Tally())._replace(latency=latency)


def _latency_by_period(
    reading: sqlite3.Connection, periods: list[int], question: Question
) -> Iterable[tuple[int, Latency]]:
    if not question.has_latency:
        return ()
    if question.takes is None:
        rows = reading.execute(
            "SELECT period.id, durations FROM json_each(?) AS p CROSS JOIN period ON period.id = p.value "
            "WHERE durations NOT NULL",
            (json.dumps(periods),),
        )
        return ((period, undecoded((durations,))) for period, durations in rows)
    latencies = _latencies(reading, periods, question, by_route=False)
    return ((period, undecoded(each)) for period, each in latencies)


def _latency_by_route(
    reading: sqlite3.Connection, periods: list[int], question: Question
) -> Iterable[tuple[str, Latency]]:
    if not question.has_latency:
        return ()
    return ((route, summed(each)) for route, each in _latencies(reading, periods, question, by_route=True))


def _latencies(
    reading: sqlite3.Connection, periods: list[int], question: Question, *, by_route: bool
) -> Iterator[tuple[Any, list[bytes]]]:
    """Durations in these periods of the routes and classes that count, by period or by route."""
    keys = {
        number: shown
        for number, shown, *key in reading.execute("SELECT id, shown_route, route, class FROM latency_key")
        if question.takes_latency is not None and question.takes_latency(LatencyKey(*key))
    }
    source = "json_each(:periods) AS p CROSS JOIN"
    if len(keys) < FEW_KEYS:
        source += " json_each(:keys) AS k CROSS JOIN latency ON period = p.value AND latency.key = k.value"
    else:
        source += " latency ON period = p.value AND +latency.key IN (SELECT value FROM json_each(:keys))"
    rows = reading.execute(
        f"SELECT period, latency.key, durations FROM {source}",  # noqa: S608 - all our own
        {"periods": json.dumps(periods), "keys": json.dumps([*keys])},
    )
    found: defaultdict[Any, list[bytes]] = defaultdict(list)
    for period, key, durations in rows:
        found[keys[key] if by_route else period].append(durations)
    return ((name, found.pop(name)) for name in [*found])


def _events(reading: sqlite3.Connection, ids: str, since: int, until: int) -> Iterable[Event]:
    rows = reading.execute(
        """SELECT event.at, kind, text, log.name FROM event LEFT JOIN log ON log.id = event.log
           WHERE event.at BETWEEN ?2 AND ?3
             AND (event.log = 0 OR event.log IN (SELECT value FROM json_each(?1)))
           ORDER BY event.at, event.id""",
        (ids, since, until),
    )
    for at, kind, text, log in rows:
        yield Event(at, kind, os.fsdecode(text), log)


def standing(ledger: Ledger, since: int, now: int, events: int, *, slowest: bool = True) -> Standing:
    """How everything stands, with the numbers since then, Unix nanoseconds, the last events, and each log's
    slowest routes where they are wanted. A log that never had anything and is not followed any longer, as
    the one that a service waits for until another is named, is left out."""
    with ledger.snapshot() as reading:
        logs = reading.execute(
            """SELECT id, name, path, format, at,
                      (SELECT coalesce(sum(requests), 0) FROM total WHERE log = log.id),
                      (SELECT coalesce(sum(lines), 0) FROM reject WHERE log = log.id),
                      (SELECT count(*) FROM loss WHERE log = log.id),
                      (SELECT max(at) FROM loss WHERE log = log.id)
               FROM log
               WHERE at > (SELECT max(at) FROM log) - ?
                  OR EXISTS (SELECT 1 FROM total WHERE log = log.id)
                  OR EXISTS (SELECT 1 FROM reject WHERE log = log.id)
                  OR EXISTS (SELECT 1 FROM loss WHERE log = log.id)
               ORDER BY name""",
            (LEFT,),
        )
        turns = dict(
            reading.execute(
                "SELECT kind, max(at) FROM event WHERE kind IN (?, ?) GROUP BY kind", (STARTED, STOPPED)
            ).fetchall()
        )
        last = reading.execute(
            """SELECT event.at, kind, text, name
               FROM (SELECT * FROM event ORDER BY id DESC LIMIT ?) event LEFT JOIN log ON log.id = event.log
               ORDER BY event.at, event.id""",
            (events,),
        )
        recent = Question(since, now, MINUTE)
        known = logs.fetchall()
        slow = _slowest(reading, [log for log, *_ in known], recent) if slowest else {}
        return Standing(
            logs=tuple(
                LogStanding(name, os.fsdecode(path), *rest)._replace(slowest=slow.get(log, ()))
                for log, name, path, *rest in known
            ),
            started=turns.get(STARTED),
            stopped=turns.get(STOPPED),
            past=past(ledger, recent),
            events=tuple(Event(at, kind, os.fsdecode(text), log) for at, kind, text, log in last),
        )


def _slowest(
    reading: sqlite3.Connection, logs: list[int], question: Question
) -> dict[int, tuple[tuple[str, Latency], ...]]:
    """By log. Periods and spans of all logs are read once."""
    periods: defaultdict[int, dict[int, int | None]] = defaultdict(dict)
    for number, log, *_, span in _periods(reading, json.dumps(logs), question):
        periods[log][number] = span
    spans = _spans(reading)
    return {
        log: tuple(
            nlargest(
                SLOWEST,
                _latency_by_route(reading, _summed_up(spans, own), question),
                key=lambda each: each[1].quantile(QUANTILES["p95"]) or 0,
            )
        )
        for log, own in periods.items()
    }


def last_report(ledger: Ledger) -> tuple[int, int] | None:
    """When the window of the last report began and ended, Unix nanoseconds; None if there was none yet."""
    with ledger.snapshot() as reading:
        began, ended = reading.execute(
            """SELECT min(started), max(ended) FROM period
               WHERE sequence = (SELECT value FROM meta WHERE name = 'sequence')"""
        ).fetchone()
        return None if ended is None else (began, ended)


def last_start(ledger: Ledger) -> int | None:
    """When the service was started last, Unix nanoseconds."""
    with ledger.snapshot() as reading:
        (at,) = reading.execute("SELECT max(at) FROM event WHERE kind = ?", (STARTED,)).fetchone()
        return None if at is None else int(at)
