"""The ledger: what was counted, and how far each file was read, in one transaction.

Promises: an entry is in the ledger whole or not at all, counts and positions together, so that a
crash rolls both back and the log is read again from there. Totals only grow. What is committed
survives the loss of power (database.py says why). A ledger that was moved, replaced or written by
somebody else meanwhile is not written to.

Many commits may add to one window before its report: they carry the sequence number that the report
will have, and the commit that is made with this number ends the window.

Dates are what the wall clock showed, and anybody may set that. How old something is tells the ledger's own
clock (`passed` in its tables): it begins as Unix time, and goes on by CLOCK_BOOTTIME. Over a start of the
machine it goes on by the least that must have passed.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from qps_service.ledger.database import Database, LedgerVanished
from qps_service.ledger.rows import (
    add_beside,
    add_classes,
    add_counts,
    add_events,
    add_keys,
    add_latencies,
    add_losses,
    add_rejects,
    add_whole_latency,
    forget_positions,
    ignored_of,
    losses_of,
    positions_of,
    put_ignored,
    put_positions,
    total_latencies_of,
    totals_of,
    window_latencies_of,
    window_of,
)
from qps_service.values.counts import NOTHING_BESIDE, Counts, Key
from qps_service.values.entries import Entry, KnownLog, Loss, Restored
from qps_service.values.latency import NO_LATENCIES
from qps_service.values.positions import Position


class Ledger:
    """One file. Its methods raise LedgerError (database.py); then nothing has changed."""

    def __init__(self, path: str, *, boot: str) -> None:
        """`boot` is the kernel's boot id: CLOCK_BOOTTIME is comparable within one boot only."""
        self.path = path
        self.sequence = 0  # of the last report committed
        self.number = 0  # of the last commit
        self.database = Database(path)
        self._boot = boot
        self._epoch: int | None = None  # the ledger's clock where CLOCK_BOOTTIME is 0, since the first commit

    def open(self, writable: bool = True, *, scan: bool = True, copies: bool = True) -> None:
        """Open it, and create it if it is to be written and there is none. Who only looks leaves out the
        `scan` of the whole file for damage, and may leave out copies of an older schema's."""
        self.database.open(writable=writable, scan=scan, copies=copies)
        self._epoch = None
        with self.database.snapshot() as reading:
            self.sequence, self.number = _meta(reading, "sequence"), _meta(reading, "number")

    def close(self) -> None:
        """Close it; every commit stays."""
        self.database.close()

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return self.database.is_open

    def commit(self, entries: Sequence[Entry], *, sequence: int | None, number: int | None = None) -> None:
        """Add the entries. With `sequence`, that report is made: its window ends. `number` is the commit's
        own, higher than the one before; by default the next."""
        with self._writing(sequence, number) as writing:
            for entry in entries:
                passed = self._clock(writing, entry)
                log = self._add_log(writing, entry, passed)
                _add_totals(writing, log, entry)
                _add_window(writing, log, entry, passed)
                _add_positions(writing, log, entry)
                add_losses(writing, log, entry.losses, passed)
            self._add_events(writing, entries)

    def begin(
        self, whole: Sequence[Entry], windows: Sequence[Entry], *, sequence: int | None, number: int
    ) -> None:
        """Fill a new ledger: totals and positions are those of `whole`; `windows`, which are part of them,
        enter the history only."""
        with self._writing(sequence, number) as writing:
            for entry in whole:
                log = self._add_log(writing, entry, self._clock(writing, entry))
                _add_totals(writing, log, entry)
                _add_positions(writing, log, entry)
                _balance(writing, log, entry)
            for entry in windows:
                passed = self._clock(writing, entry)
                log = self._add_log(writing, entry, passed)
                _add_window(writing, log, entry, passed)
                add_losses(writing, log, entry.losses, passed)
            self._add_events(writing, windows)

    def restore(self, log: str, *, now: int, at: int) -> Restored | None:
        """What is known of the log; None if nothing. `now` is CLOCK_BOOTTIME, `at` the same moment in Unix
        time, both in nanoseconds."""
        with self.database.snapshot() as reading:
            row = reading.execute(
                """SELECT id, path, boot, started, ended, at, passed, sequence, next_number, format
                   FROM log WHERE name = ?""",
                (log,),
            ).fetchone()
            if row is None:
                return None
            known, path, boot, started, ended, committed, clock, sequence, next_number, chosen = row
            window: dict[Key, Counts] = {}
            window_rejects: dict[str, int] = {}
            window_beside, window_latencies = NOTHING_BESIDE, NO_LATENCIES
            if sequence > _meta(reading, "sequence"):
                window, window_rejects, window_beside = window_of(reading, known, sequence)
                window_latencies = window_latencies_of(reading, known, sequence)
            else:
                started = ended
            rebooted = boot != self._boot
            passed = _passed(now - ended, at - committed, now, rebooted=rebooted)
            positions = list(positions_of(reading, known))
            totals, rejects, beside = totals_of(reading, known)
            losses = list(losses_of(reading, known))
            return Restored(
                path=os.fsdecode(path),
                held=tuple(position for position, held in positions if held),
                retired=tuple(position for position, held in positions if not held),
                next_number=next_number,
                ignored=tuple(ignored_of(reading, known)),
                totals=totals,
                rejects=rejects,
                window=window,
                window_rejects=window_rejects,
                started=now - passed - max(0, ended - started),
                at=committed,
                rebooted=rebooted,
                losses=tuple(loss for _, loss in losses),
                lost_at=tuple(now - passed - (clock - lost) for lost, _ in losses),
                ended=ended,
                beside=beside,
                window_beside=window_beside,
                format=chosen,
                latencies=total_latencies_of(reading, known),
                window_latencies=window_latencies,
            )

    def snapshot(self) -> AbstractContextManager[sqlite3.Connection]:
        """All that is read within is of one commit, whatever is committed meanwhile."""
        return self.database.snapshot()

    def logs(self) -> list[str]:
        """The names of all logs that were ever followed."""
        with self.database.snapshot() as reading:
            return [name for (name,) in reading.execute("SELECT name FROM log ORDER BY name")]

    def known_logs(self) -> dict[str, KnownLog]:
        """All logs that were ever followed, by name."""
        with self.database.snapshot() as reading:
            rows = reading.execute(
                """SELECT name, path, at, EXISTS (SELECT 1 FROM position WHERE log = log.id AND held)
                   FROM log"""
            )
            return {name: KnownLog(os.fsdecode(path), at, bool(held)) for name, path, at, held in rows}

    def generations(self, log: str) -> list[tuple[Position, bool]]:
        """Every generation that is remembered, oldest first, and whether it was open at the last commit."""
        with self.database.snapshot() as reading:
            return list(positions_of(reading, _number_of(reading, log)))

    def forgotten(self, log: str) -> tuple[int, int, int]:
        """Lines read, and how many of them were rejected and directives, of generations that are not
        remembered."""
        with self.database.snapshot() as reading:
            row: tuple[int, int, int] | None = reading.execute(
                "SELECT forgotten_lines, forgotten_rejected, forgotten_directives FROM log WHERE name = ?",
                (log,),
            ).fetchone()
            return row or (0, 0, 0)

    def losses(self, log: str) -> list[Loss]:
        """The last LOSSES_LIMIT possible losses, oldest first."""
        with self.database.snapshot() as reading:
            return [loss for _, loss in losses_of(reading, _number_of(reading, log))]

    def clock(self, now: int) -> int:
        """What the ledger's clock shows at `now`, CLOCK_BOOTTIME nanoseconds; to be asked after a commit."""
        return (self._epoch or 0) + now

    @contextmanager
    def _writing(self, sequence: int | None, number: int | None) -> Iterator[sqlite3.Connection]:
        sequence = self.sequence if sequence is None else sequence
        number = self.number + 1 if number is None else number
        with self.database.transaction() as writing:
            self._check_number(writing)
            yield writing
            rows = [(sequence, "sequence"), (number, "number")]
            writing.executemany("UPDATE meta SET value = ? WHERE name = ?", rows)
        self.sequence, self.number = sequence, number

    def _check_number(self, writing: sqlite3.Connection) -> None:
        number = _meta(writing, "number")
        if number != self.number:
            raise LedgerVanished(f"expected commit {self.number} to be its last, got {number}")

    def _clock(self, writing: sqlite3.Connection, entry: Entry) -> int:
        """What the ledger's clock shows at an entry's end."""
        if self._epoch is None:
            last = writing.execute(
                "SELECT boot, ended, at, passed FROM log ORDER BY passed DESC, sequence DESC LIMIT 1"
            ).fetchone()
            if last:
                boot, ended, at, passed = last
                by_boottime, by_date = entry.ended - ended, entry.at - at
                passed += _surely_passed(by_boottime, by_date, entry.ended, rebooted=boot != self._boot)
            else:
                passed = entry.at
            self._epoch = passed - entry.ended
        return self._epoch + entry.ended

    def _add_events(self, writing: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        """After the logs that they name."""
        for entry in entries:
            add_events(writing, entry.events, self._clock(writing, entry))

    def _add_log(self, writing: sqlite3.Connection, entry: Entry, passed: int) -> int:
        """The log's number, and keys for all that the entry has."""
        add_keys(writing, entry.counts, entry.latencies)
        numbers = [position.number for position in (*entry.held, *entry.retired)]
        if entry.was:
            writing.execute(
                """UPDATE log SET name = ?1 WHERE name = ?2
                   AND NOT EXISTS (SELECT 1 FROM log WHERE name = ?1)""",
                (entry.log, entry.was),
            )
        (log,) = writing.execute(
            """INSERT INTO log (name, path, boot, started, ended, at, passed, sequence, next_number, format)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT DO UPDATE SET path = excluded.path, boot = excluded.boot,
                   started = CASE excluded.sequence WHEN 0 THEN started ELSE excluded.started END,
                   ended = excluded.ended, at = excluded.at, passed = excluded.passed,
                   sequence = max(sequence, excluded.sequence),
                   next_number = max(next_number, excluded.next_number), format = excluded.format
               RETURNING id""",
            (
                *(entry.log, os.fsencode(entry.path), self._boot),
                *(entry.started, entry.ended, entry.at, passed),
                *(entry.sequence, max(numbers, default=0) + 1, entry.format),
            ),
        ).fetchone()
        return int(log)


def _passed(by_boottime: int, by_date: int, now: int, *, rebooted: bool) -> int:
    """How long ago the last commit was, never below 0: by CLOCK_BOOTTIME, which is `now`, or by the dates.

    CLOCK_BOOTTIME is exact within one boot. Another boot id tells little of it: a machine that was started
    anew began at 0 again, a container's goes on under a new id, and where a container or a ledger was moved
    it is another machine's, perhaps years ahead. The dates are right in all three, so they are taken
    wherever they went forward: no window is longer than what they tell, or overlaps the one before.
    Dates that went back tell nothing. Then a clock that is ahead of the last commit is a container's, and one
    that is not is a machine's that was started since: `now` is the least that passed.
    Nothing tells that the date was set ahead while the boot id changed: such a window is too long."""
    if not rebooted and by_boottime >= 0:
        return by_boottime
    if by_date > 0:
        return by_date
    if by_boottime >= 0:
        return by_boottime
    return now if rebooted else 0  # else: CLOCK_BOOTTIME of another time namespace


def _surely_passed(by_boottime: int, by_date: int, now: int, *, rebooted: bool) -> int:
    """Likewise, but never more than what passed, if one of the two clocks is right: what is kept for so long
    must not go earlier. It may stay longer."""
    if not rebooted:
        return max(0, by_boottime)
    return max(0, min(by_date, by_boottime if by_boottime >= 0 else now))


def _meta(reading: sqlite3.Connection, name: str) -> int:
    return int(reading.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0])


def _number_of(reading: sqlite3.Connection, log: str) -> int:
    row = reading.execute("SELECT id FROM log WHERE name = ?", (log,)).fetchone()
    return int(row[0]) if row else 0


def _add_totals(writing: sqlite3.Connection, log: int, entry: Entry) -> None:
    add_counts(writing, "total", log, entry.counts)
    add_rejects(writing, "reject", log, entry.rejects)
    add_beside(writing, "log", log, entry.beside)
    add_latencies(writing, "total_latency", log, entry.latencies)


def _add_window(writing: sqlite3.Connection, log: int, entry: Entry, passed: int) -> None:
    if not entry.sequence:
        return
    length = max(0, entry.ended - entry.started)
    (period,) = writing.execute(
        """INSERT INTO period (sequence, log, started, ended, passed) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET started = excluded.started, ended = excluded.ended,
               passed = excluded.passed
           RETURNING id""",
        (entry.sequence, log, entry.at - length, entry.at, passed),
    ).fetchone()
    add_counts(writing, "count", period, entry.counts)
    add_classes(writing, period, entry.counts)
    add_rejects(writing, "period_reject", period, entry.rejects)
    add_beside(writing, "period", period, entry.beside)
    add_latencies(writing, "latency", period, entry.latencies)
    add_whole_latency(writing, period, entry.latencies)


def _add_positions(writing: sqlite3.Connection, log: int, entry: Entry) -> None:
    put_positions(writing, log, entry.held, entry.retired)
    forget_positions(writing, log, entry.forgotten)
    if entry.ignored is not None:
        put_ignored(writing, log, entry.ignored)


def _balance(writing: sqlite3.Connection, log: int, entry: Entry) -> None:
    """What was counted, but is of no generation that is known, was of forgotten ones."""
    rejected, directives = sum(entry.rejects.values()), entry.beside.directives
    lines = rejected + directives + sum(counts.requests for counts in entry.counts.values())
    known = [*entry.held, *entry.retired]
    writing.execute(
        """UPDATE log SET forgotten_lines = ?, forgotten_rejected = ?, forgotten_directives = ?
           WHERE id = ?""",
        (
            lines - sum(position.lines for position in known),
            rejected - sum(position.rejected for position in known),
            directives - sum(position.directives for position in known),
            log,
        ),
    )
