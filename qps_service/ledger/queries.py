"""Questions to the ledger's history, for people who look at it.

Promise: an answer is read in one short transaction, so it is of one commit, and neither holds up the service
nor is held up by it. Sums are exact. The window that is still open is in no answer.

A period belongs to the span in which it ends, as the pruning merges it (retention.py). One that is longer than
a step is in the answer wherever it touches the span: then the answer is wider than the question.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from qps_service.errors import UsageError
from qps_service.ledger.ledger import Ledger
from qps_service.values.entries import Event
from qps_service.values.past import CLASSES, NO_REQUESTS, Filter, Past, Period, Question, Tally

# A key's requests are looked up in each period where there are few keys; else all are read.
FEW_KEYS = 64

_NAME = {"route": "shown_route", "status": "printf('%03d', status)", "method": "shown_method"}
_CLASS = f"CASE WHEN status BETWEEN 100 AND 599 THEN status / 100 ELSE {len(CLASSES)} END"


# Sums of what may have 63 bits, without an overflow.
_BYTES = "sum(bytes >> 32) AS high, sum(bytes & 4294967295) AS low"


def past(ledger: Ledger, question: Question) -> Past:
    """The answer. Raises LedgerError, and UsageError for a log that there is not."""
    with ledger.snapshot() as reading:
        logs = _logs(reading, question.logs)
        ids = json.dumps(list(logs))
        periods = _periods(reading, ids, question)
        keys = _keys(reading, question.only)
        tallies: dict[int, Tally] = {}
        names: dict[str, dict[str, Tally]] = {}
        if question.by is None:
            tallies = _by_period(reading, [row[0] for row in periods], keys)
        else:
            for log, name in logs.items():
                own = [row[0] for row in periods if row[1] == log]
                names[name] = _by_name(reading, own, keys, _NAME[question.by])
        found = tuple(
            Period(logs[log], *rest, tallies.get(period, Tally())) for period, log, *rest in periods
        )
        since = min((each.started for each in found), default=question.since)
        begins, ends = reading.execute(
            f"SELECT min(started), max(ended) FROM period WHERE {_REPORTED}", (ids,)
        ).fetchone()
        return Past(
            tuple(logs.values()),
            found,
            names,
            tuple(_events(reading, ids, min(since, question.since), question.until)),
            begins,
            ends,
        )


_REPORTED = """log IN (SELECT value FROM json_each(?1))
    AND sequence <= (SELECT value FROM meta WHERE name = 'sequence')"""


def _logs(reading: sqlite3.Connection, names: Sequence[str]) -> dict[int, str]:
    known = dict(reading.execute("SELECT name, id FROM log ORDER BY name"))
    if missing := [name for name in names if name not in known]:
        raise UsageError(f"--log: expected one of {', '.join(known) or 'none'}, got {missing[0]}")
    return {known[name]: name for name in dict.fromkeys(names or known)}


def _periods(reading: sqlite3.Connection, ids: str, question: Question) -> list[tuple[Any, ...]]:
    def select(condition: str) -> list[tuple[Any, ...]]:
        return reading.execute(
            f"""SELECT id, log, started, ended, grain,
                       coalesce((SELECT sum(lines) FROM period_reject WHERE period = id), 0), unmeasured
                FROM period WHERE {_REPORTED} AND ended > ?2 AND ({condition}) ORDER BY ended, sequence""",
            (ids, question.since, question.until, question.step),
        ).fetchall()

    return (
        select("ended <= ?3 OR (started < ?3 AND (grain > ?4 OR 2 * (ended - started) > 3 * ?4))")
        or select("ended <= ?3 OR started < ?3")
    )  # fmt: skip


def _keys(reading: sqlite3.Connection, only: Filter) -> str | None:
    """The numbers of the keys that count; None where all do."""
    conditions: list[tuple[str, Iterable[tuple[Any, ...]]]] = [
        ("shown_route GLOB ?", [(route,) for route in only.routes]),
        ("status BETWEEN ? AND ?", only.statuses),
        ("shown_method = ?", [(method,) for method in only.methods]),
    ]
    wanted = [(text, list(values)) for text, values in conditions]
    if not any(values for _, values in wanted):
        return None
    query = " AND ".join(f"({' OR '.join([text] * len(values))})" for text, values in wanted if values)
    parameters = [value for _, values in wanted for row in values for value in row]
    found = reading.execute(f"SELECT id FROM key WHERE {query}", parameters)  # noqa: S608 - all our own
    return json.dumps([key for (key,) in found])


def _from(keys: str | None) -> str:
    """What to read: ?1 are numbers of periods, ?2 those of keys."""
    each = "json_each(?1) AS p CROSS JOIN"
    if keys is None:
        return f"{each} count ON count.period = p.value"
    if keys.count(",") < FEW_KEYS:
        both = "count.period = p.value AND count.key = k.value"
        return f"{each} json_each(?2) AS k CROSS JOIN count ON {both}"
    return f"{each} count ON count.period = p.value AND +count.key IN (SELECT value FROM json_each(?2))"


def _by_period(reading: sqlite3.Connection, periods: list[int], keys: str | None) -> dict[int, Tally]:
    rows = reading.execute(
        f"""SELECT period, {_CLASS} AS class, sum(requests), {_BYTES}
            FROM {_from(keys)} CROSS JOIN key ON key.id = count.key
            GROUP BY period, class""",  # noqa: S608 - all our own
        (json.dumps(periods), keys or "[]"),
    )
    return _tallies(rows)


def _by_name(
    reading: sqlite3.Connection, periods: list[int], keys: str | None, name: str
) -> dict[str, Tally]:
    rows = reading.execute(
        f"""SELECT {name}, {_CLASS} AS class, sum(requests), sum(high), sum(low) FROM (
                SELECT key, sum(requests) AS requests, {_BYTES}
                FROM {_from(keys)} GROUP BY key
            ) JOIN key ON key.id = key GROUP BY 1, class""",  # noqa: S608 - all our own
        (json.dumps(periods), keys or "[]"),
    )
    return _tallies(rows)


def _tallies(rows: Iterable[tuple[Any, int, int, int, int]]) -> dict[Any, Tally]:
    found: dict[Any, Tally] = {}
    for name, number, requests, high, low in rows:
        classes = [*NO_REQUESTS]
        classes[number - 1] = requests
        found[name] = found.get(name, Tally()).plus(Tally(tuple(classes), (high << 32) + low))
    return found


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
