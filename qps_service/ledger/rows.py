"""Values as rows of the ledger's tables (schema.py), and back. Every write here adds; nothing commits.

What came from a log or the file system may be no UTF-8: it is written as bytes.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from qps_service.ledger.durations import decode, encode
from qps_service.text.escape import show
from qps_service.values.counts import NOTHING_BESIDE, Beside, Counts, Key
from qps_service.values.entries import (
    ALL_EVENTS_LIMIT,
    EVENT_TEXT_LIMIT,
    EVENTS_LIMIT,
    LOSSES_LIMIT,
    Event,
    Loss,
)
from qps_service.values.latency import Latency, LatencyKey, sum_of
from qps_service.values.positions import Identity, IgnoredFile, Position

# SQLite's largest integer: sums of bytes stop there, rather than become inexact or fail.
LARGEST = (1 << 63) - 1

OTHER_CLASS = 6  # of statuses that are not 100 to 599

# What an INSERT ends with so that a row whose key is there already is added to it.
ADD_COUNTS = f"""ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, bytes =
    CASE WHEN bytes > {LARGEST} - excluded.bytes THEN {LARGEST} ELSE bytes + excluded.bytes END"""
ADD_LINES = "ON CONFLICT DO UPDATE SET lines = lines + excluded.lines"
ADD_DURATIONS = "ON CONFLICT DO UPDATE SET durations = add_durations(durations, excluded.durations)"

# Columns in the order of the values' fields.
_IDENTITY = "device, inode, version"
_POSITION = (
    "name, offset, prefix, marker, oversize, marks, number, begun, lines, rejected, modified, unended, "
    "tail, owner, directives, directive"
)
_PLACE = f"held, {_IDENTITY}, {_POSITION}"
_SAID = ", ".join(f"excluded.{column}" for column in _PLACE.split(", "))
_IGNORED = f"{_IDENTITY}, changed, size, modified, digest"


def add_keys(writing: sqlite3.Connection, counts: Iterable[Key], latencies: Iterable[LatencyKey]) -> None:
    """Know what counts and durations stand under, before these are added."""
    writing.executemany(
        "INSERT OR IGNORE INTO key (method, route, status, shown_method, shown_route) VALUES (?, ?, ?, ?, ?)",
        ((*key, show(key.method), show(key.route)) for key in counts),
    )
    writing.executemany(
        "INSERT OR IGNORE INTO latency_key (route, class, shown_route) VALUES (?, ?, ?)",
        ((*key, show(key.route)) for key in latencies),
    )


def add_counts(writing: sqlite3.Connection, table: str, owner: int, counts: Mapping[Key, Counts]) -> None:
    """Add to `total` of a log, or to `count` of a period."""
    writing.executemany(
        f"INSERT INTO {table} SELECT ?, id, ?, ? FROM key "  # noqa: S608 - the name is our own
        f"WHERE method = ? AND route = ? AND status = ? {ADD_COUNTS}",
        ((owner, each.requests, min(each.bytes, LARGEST), *key) for key, each in counts.items()),
    )


def add_classes(writing: sqlite3.Connection, period: int, counts: Mapping[Key, Counts]) -> None:
    """Add to the sums of a period by the class of the status."""
    classes: dict[int, Counts] = {}
    for key, each in counts.items():
        number = key.status // 100 if 100 <= key.status <= 599 else OTHER_CLASS
        before = classes.get(number)
        classes[number] = before.plus(each) if before else each
    writing.executemany(
        f"INSERT INTO period_class VALUES (?, ?, ?, ?) {ADD_COUNTS}",  # noqa: S608 - likewise
        ((period, number, each.requests, min(each.bytes, LARGEST)) for number, each in classes.items()),
    )


def add_latencies(
    writing: sqlite3.Connection, table: str, owner: int, latencies: Mapping[LatencyKey, Latency]
) -> None:
    """Add to `total_latency` of a log, or to `latency` of a period."""
    writing.executemany(
        f"INSERT INTO {table} SELECT ?, id, ? FROM latency_key "  # noqa: S608 - the name is our own
        f"WHERE route = ? AND class = ? {ADD_DURATIONS}",
        ((owner, encode(each), *key) for key, each in latencies.items() if each.bins),
    )


def add_whole_latency(
    writing: sqlite3.Connection, period: int, latencies: Mapping[LatencyKey, Latency]
) -> None:
    """Add to a period's durations of all routes."""
    if latencies:
        whole = encode(sum_of(latencies.values()))
        writing.execute(
            "UPDATE period SET durations = add_durations(durations, ?) WHERE id = ?", (whole, period)
        )


def add_rejects(writing: sqlite3.Connection, table: str, owner: int, rejects: Mapping[str, int]) -> None:
    """Add to `reject` of a log, or to `period_reject` of a period."""
    writing.executemany(
        f"INSERT INTO {table} VALUES (?, ?, ?) {ADD_LINES}",  # noqa: S608 - likewise
        ((owner, reason, lines) for reason, lines in rejects.items()),
    )


def add_beside(writing: sqlite3.Connection, table: str, row: int, beside: Beside) -> None:
    """Add to a `log`, or to a `period`."""
    if beside != NOTHING_BESIDE:
        writing.execute(
            f"UPDATE {table} SET unmeasured = unmeasured + ?, "  # noqa: S608 - likewise
            "directives = directives + ? WHERE id = ?",
            (*beside, row),
        )


def put_positions(
    writing: sqlite3.Connection, log: int, held: Sequence[Position], retired: Sequence[Position]
) -> None:
    """Write where each of these generations stands now: nothing where one stands as before, as most files do
    at a commit of many logs."""
    values = ", ".join("?" * (2 + _PLACE.count(",")))
    writing.executemany(
        f"INSERT INTO position (log, {_PLACE}) VALUES ({values}) "  # noqa: S608 - likewise
        f"ON CONFLICT DO UPDATE SET ({_PLACE}) = ({_SAID}) WHERE ({_PLACE}) IS NOT ({_SAID})",
        [
            (log, is_held, str(device), str(inode), version, os.fsencode(name), *rest)
            for is_held, positions in ((1, held), (0, retired))
            for (device, inode, version), name, *rest in positions
        ],
    )


def forget_positions(writing: sqlite3.Connection, log: int, numbers: Sequence[int]) -> None:
    """Delete these generations; what was read of them goes into the log's sums."""
    gone = [(log, number) for number in numbers]
    writing.executemany(
        """UPDATE log SET forgotten_lines = forgotten_lines + position.lines,
                          forgotten_rejected = forgotten_rejected + position.rejected,
                          forgotten_directives = forgotten_directives + position.directives
           FROM position WHERE log.id = position.log AND position.log = ? AND position.number = ?""",
        gone,
    )
    writing.executemany("DELETE FROM position WHERE log = ? AND number = ?", gone)


def put_ignored(writing: sqlite3.Connection, log: int, ignored: Sequence[IgnoredFile]) -> None:
    """Write all there are."""
    writing.execute("DELETE FROM stranger WHERE log = ?", (log,))
    writing.executemany(
        f"INSERT INTO stranger (log, {_IGNORED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - likewise
        ((log, str(device), str(inode), *rest) for device, inode, *rest in ignored),
    )


def add_losses(writing: sqlite3.Connection, log: int, losses: Sequence[Loss], passed: int) -> None:
    """Add them, of this moment by the ledger's clock; the newest LOSSES_LIMIT stay."""
    writing.executemany(
        "INSERT INTO loss (log, at, what, name, bytes, passed) VALUES (?, ?, ?, ?, ?, ?)",
        ((log, at, os.fsencode(what), os.fsencode(name), most, passed) for at, what, name, most in losses),
    )
    writing.execute(
        """DELETE FROM loss WHERE log = ?1 AND id <=
           (SELECT id FROM loss WHERE log = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)""",
        (log, LOSSES_LIMIT),
    )


def add_events(writing: sqlite3.Connection, events: Sequence[Event], passed: int) -> None:
    """Add them, of this moment by the ledger's clock. The newest EVENTS_LIMIT of each log and of the service
    stay, and of these the newest ALL_EVENTS_LIMIT."""
    for log in {event.log for event in events}:
        row = writing.execute("SELECT id FROM log WHERE name = ?", (log,)).fetchone()
        owner = row[0] if row else 0
        writing.executemany(
            "INSERT INTO event (log, at, passed, kind, text) VALUES (?, ?, ?, ?, ?)",
            (
                (owner, event.at, passed, event.kind, os.fsencode(event.text[:EVENT_TEXT_LIMIT]))
                for event in events
                if event.log == log
            ),
        )
        writing.execute(
            """DELETE FROM event WHERE log = ?1 AND id <=
               (SELECT id FROM event WHERE log = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)""",
            (owner, EVENTS_LIMIT),
        )
    if events:
        writing.execute(
            "DELETE FROM event WHERE id <= (SELECT id FROM event ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (ALL_EVENTS_LIMIT,),
        )


def positions_of(reading: sqlite3.Connection, log: int) -> Iterator[tuple[Position, bool]]:
    """Every generation, oldest first, and whether it was open at the last commit."""
    rows: Iterator[Any] = reading.execute(
        f"SELECT held, {_IDENTITY}, {_POSITION} FROM position "  # noqa: S608 - likewise
        "WHERE log = ? ORDER BY number",
        (log,),
    )
    for held, device, inode, version, name, offset, prefix, marker, oversize, *rest in rows:
        identity = Identity(int(device), int(inode), version)
        yield Position(identity, os.fsdecode(name), offset, prefix, marker, bool(oversize), *rest), bool(held)


def ignored_of(reading: sqlite3.Connection, log: int) -> Iterator[IgnoredFile]:
    """All of them."""
    rows: Iterator[Any] = reading.execute(
        f"SELECT {_IGNORED} FROM stranger WHERE log = ? ORDER BY rowid",  # noqa: S608 - likewise
        (log,),
    )
    for device, inode, *rest in rows:
        yield IgnoredFile(int(device), int(inode), *rest)


def losses_of(reading: sqlite3.Connection, log: int) -> Iterator[tuple[int, Loss]]:
    """Those that were kept, oldest first, each with its moment by the ledger's clock."""
    for passed, at, what, name, most in reading.execute(
        "SELECT passed, at, what, name, bytes FROM loss WHERE log = ? ORDER BY id", (log,)
    ):
        yield passed, Loss(at, os.fsdecode(what), os.fsdecode(name), most)


def totals_of(reading: sqlite3.Connection, log: int) -> tuple[dict[Key, Counts], dict[str, int], Beside]:
    """What was counted and rejected in all, and beside."""
    counts = reading.execute(
        "SELECT method, route, status, requests, bytes FROM total JOIN key ON id = key WHERE log = ?", (log,)
    )
    rejects = reading.execute("SELECT reason, lines FROM reject WHERE log = ?", (log,))
    beside = reading.execute("SELECT unmeasured, directives FROM log WHERE id = ?", (log,))
    return _table(counts), dict(rejects.fetchall()), Beside(*beside.fetchone())


def window_of(
    reading: sqlite3.Connection, log: int, sequence: int
) -> tuple[dict[Key, Counts], dict[str, int], Beside]:
    """What was counted and rejected for that report, and beside."""
    counts = reading.execute(
        """SELECT method, route, status, requests, bytes FROM count JOIN key ON key.id = key
           JOIN period ON period.id = period WHERE log = ? AND sequence = ?""",
        (log, sequence),
    )
    rejects = reading.execute(
        "SELECT reason, lines FROM period_reject JOIN period ON id = period WHERE log = ? AND sequence = ?",
        (log, sequence),
    )
    beside = reading.execute(
        "SELECT unmeasured, directives FROM period WHERE log = ? AND sequence = ?", (log, sequence)
    )
    return _table(counts), dict(rejects.fetchall()), Beside(*beside.fetchone() or ())


def total_latencies_of(reading: sqlite3.Connection, log: int) -> dict[LatencyKey, Latency]:
    """Durations of all requests that were counted."""
    return _latencies(
        reading.execute(
            "SELECT route, class, durations FROM total_latency JOIN latency_key ON id = key WHERE log = ?",
            (log,),
        )
    )


def window_latencies_of(reading: sqlite3.Connection, log: int, sequence: int) -> dict[LatencyKey, Latency]:
    """Those of the requests for that report."""
    return _latencies(
        reading.execute(
            """SELECT route, class, latency.durations FROM latency JOIN latency_key ON latency_key.id = key
               JOIN period ON period.id = period WHERE log = ? AND sequence = ?""",
            (log, sequence),
        )
    )


def _latencies(rows: Iterator[Any]) -> dict[LatencyKey, Latency]:
    return {LatencyKey(route, number): decode(durations) for route, number, durations in rows}


def _table(rows: Iterator[Any]) -> dict[Key, Counts]:
    names: dict[bytes, bytes] = {}  # one object for each: a route may be long, and is in many rows
    return {
        Key(names.setdefault(method, method), names.setdefault(route, route), status): Counts(*rest)
        for method, route, status, *rest in rows
    }
