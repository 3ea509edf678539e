"""The pruning of the ledger's history: old windows are merged, then dropped; totals never change.

Windows older than MINUTES_AFTER become minutes, older than HOURS_AFTER hours, older than `keep` nothing.
Where the file would outgrow `max_size`, younger ones are merged, and then the oldest dropped, until it
fits. Merging conserves every sum exactly, and the sum of lengths. A window that was not reported yet is
never touched. Ages are told by the ledger's clock (ledger.py), which nobody can set: the wall clock may be a
year ahead for one commit, or go back. It tells but in which minute or hour a window ended.

`max_size` bounds the file. The write-ahead log beside it is copied into it at every megabyte
(database.py), and is larger only while somebody else's query goes on for long. What is not history
(totals, positions) is kept whatever its size.
"""

import sqlite3
from collections.abc import Iterator

from qps_service.ledger.ledger import Ledger
from qps_service.ledger.rows import ADD_COUNTS, ADD_DURATIONS, ADD_LINES
from qps_service.text.units import SECOND
from qps_service.values.history import History

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
MINUTES_AFTER, HOURS_AFTER = 6 * HOUR, 48 * HOUR
GRAINS = ((MINUTE, MINUTES_AFTER), (HOUR, HOURS_AFTER))
SPANS = (5 * MINUTE, HOUR, 24 * HOUR)  # what is summed for who looks at long spans, all the same how old
EVERY = MINUTE  # between two rounds, when nothing presses
# Under pressure the ages are halved so often: two days become less than a second.
HALVINGS = 20
# Rows merged or dropped at once: some 50 ms, so that no look at the logs is late for it. Where a commit wrote
# much, it is more for each row that it wrote, or merging would fall behind: a window that is merged into a
# minute, that into an hour, and both into spans costs some eight for each. There is an end to that, too.
ROWS_AT_ONCE = 20_000
ROWS_FOR_EACH, ROWS_AT_MOST = 10, 10 * ROWS_AT_ONCE
WINDOW_COST = 10  # rows that a window without rows counts for
LATENCY_COST = 20  # rows that durations count for where they are merged into others
SUM_COST = 5  # likewise, where many are summed at once
# What two windows have that become one: table, columns beside the window's, and how rows are added.
_MERGED = (
    ("count", "key, requests, bytes", ADD_COUNTS),
    ("period_class", "class, requests, bytes", ADD_COUNTS),
    ("period_reject", "reason, lines", ADD_LINES),
    ("latency", "key, durations", ADD_DURATIONS),
)
PAGES_AT_ONCE = 256  # 1 MiB given back to the file system


class Pruner:
    """Keeps a ledger's history within bounds, a bounded piece of work at a time."""

    def __init__(self, bounds: History) -> None:
        self._bounds = bounds
        self._done: int | None = None  # when nothing was left to do, nanoseconds of the ledger's clock
        self._changes = 0  # rows that the connection had written after the last call
        # Up to when windows were dropped that `keep` would have kept, Unix nanoseconds; None if none was.
        self.dropped_until: int | None = None

    def prune(self, ledger: Ledger, at: int) -> None:
        """Do what is due at this time of the ledger's clock, in nanoseconds; to be called after each commit.
        Raises LedgerError; then nothing has changed."""
        written = ledger.database.connection.total_changes - self._changes
        self._changes += written
        # Some room for what comes until the next call.
        is_large = _used(ledger.database.connection) > self._bounds.max_size * 7 // 8
        is_done = self._done is not None and 0 <= at - self._done < EVERY
        if is_done and not is_large and self._bounds.keep:
            return
        self._done = None
        with ledger.database.transaction() as writing:
            work = _Work(writing, ledger.sequence, _rows_for(written))
            work.drop(at - self._bounds.keep)
            work.merge(at, 0)
            work.sum_up()
            if is_large:
                self._shrink(work, at)
            work.give_back()
        self._changes = writing.total_changes
        if not work.is_over:
            self._done = at

    def _shrink(self, work: "_Work", at: int) -> None:
        """Down to less than was the reason to begin, so that it is not to be done after each commit."""
        enough = self._bounds.max_size * 3 // 4
        for halvings in range(1, HALVINGS):
            if work.used <= enough:
                return
            work.merge(at, halvings)
        # Merging may take several rounds, but only where there is room to wait for it.
        room = self._bounds.max_size * 15 // 16
        while work.used > (room if work.is_over else enough) and (ended := work.drop_oldest()) is not None:
            self.dropped_until = max(ended, self.dropped_until or 0)


class _Work:
    """One transaction's work on the windows that were reported."""

    def __init__(self, writing: sqlite3.Connection, sequence: int, rows: int) -> None:
        """`rows`: how many are enough for once."""
        self._writing = writing
        self._sequence = sequence  # of the last report
        self._left = rows

    @property
    def is_over(self) -> bool:
        """Whether it was enough for once."""
        return self._left <= 0

    @property
    def used(self) -> int:
        """Bytes of the file that hold something."""
        return _used(self._writing)

    def drop(self, until: int) -> None:
        """Drop what ended by this time of the ledger's clock, in nanoseconds, and the events up to then."""
        self._writing.execute("DELETE FROM event WHERE passed <= ?", (until,))
        query = "SELECT id FROM period WHERE sequence <= ? AND passed <= ? ORDER BY sequence"
        for (period,) in self._rows(query, until):
            self._delete(period)

    def drop_oldest(self) -> int | None:
        """Drop one window, or all that were merged into it; when it ended, None if there is none."""
        row = self._writing.execute(
            "SELECT id, ended, passed FROM period WHERE sequence <= ? ORDER BY sequence LIMIT 1",
            (self._sequence,),
        ).fetchone()
        if row is None:
            return None
        self._delete(row[0])
        self._writing.execute("DELETE FROM event WHERE passed <= ?", (row[2],))
        return int(row[1])

    def merge(self, at: int, halvings: int) -> None:
        """Merge what is old enough into minutes and hours; `halvings` make younger ones old enough."""
        for grain, age in GRAINS:
            rows = self._rows(
                """SELECT id, log, sequence, started, ended, passed, span FROM period
                   WHERE sequence <= ? AND grain < ? AND passed <= ? ORDER BY sequence""",
                grain,
                (at - (age >> halvings)) // grain * grain,
            )
            for row in rows:
                self._merge(grain, *row)

    def give_back(self) -> None:
        """Return some of the empty pages to the file system, if they are more than are soon used again."""
        pages, free, _ = _pages(self._writing)
        if free > max(PAGES_AT_ONCE, pages // 8):
            for _ in range(PAGES_AT_ONCE):
                # Python's sqlite3 takes one step of it, which frees one page, whatever the number.
                self._writing.execute("PRAGMA incremental_vacuum(1)")
            self._left = 0

    def _rows(self, query: str, *values: int) -> Iterator[tuple[int, ...]]:
        """The query's rows, until it is enough for once."""
        limit = ROWS_AT_ONCE // WINDOW_COST
        for row in self._writing.execute(f"{query} LIMIT {limit}", (self._sequence, *values)).fetchall():
            if self.is_over:
                return
            yield row

    def _merge(
        self,
        grain: int,
        period: int,
        log: int,
        sequence: int,
        started: int,
        ended: int,
        passed: int,
        span: int,
    ) -> None:
        """Into the window before it, if that ended in the same minute or hour of the wall clock, as it stands
        at the end of this one: it may have been set in between. One that ends on the border belongs to what
        it ends."""
        found = self._writing.execute(
            """SELECT id, span FROM (SELECT id, grain, passed, span FROM period
                                     WHERE log = ? AND sequence < ? ORDER BY sequence DESC LIMIT 1)
               WHERE grain = ? AND (? + passed - 1) / grain = (? - 1) / grain""",
            (log, sequence, grain, ended - passed, ended),
        ).fetchone()
        if found is None:
            self._writing.execute("UPDATE period SET grain = ? WHERE id = ?", (grain, period))
            self._left -= WINDOW_COST
            return
        *before, span_before = found
        if span is not None and span == span_before:
            self._writing.execute("UPDATE span SET parts = parts - 1 WHERE id = ?", (span,))
            self._writing.execute("UPDATE period SET span = NULL WHERE id = ?", (period,))
        else:
            self._drop_spans(span_before)
        for table, columns, adding in _MERGED:
            merged = self._writing.execute(
                f"INSERT INTO {table} SELECT ?, {columns} FROM {table} "  # noqa: S608 - those above
                f"WHERE period = ? {adding}",
                (*before, period),
            )
        self._left -= LATENCY_COST * merged.rowcount  # of the last, which are durations
        self._writing.execute(
            """UPDATE period SET unmeasured = period.unmeasured + merged.unmeasured,
                                 directives = period.directives + merged.directives,
                                 durations = add_durations(period.durations, merged.durations)
               FROM period AS merged WHERE merged.id = ? AND period.id = ?""",
            (period, *before),
        )
        self._delete(period)
        self._writing.execute(
            """UPDATE period SET sequence = ?, started = ? - (ended - started), ended = ?, passed = ?
               WHERE id = ?""",
            (sequence, started, ended, passed, *before),
        )

    def sum_up(self) -> None:
        """Make spans of what ended in the same step of the wall clock, once that is over. One of many rows
        gets its parts in several rounds: each time it is the sum of those that it has."""
        for grain in SPANS:
            rows = self._writing.execute(
                """SELECT log, max(alone.ended), min(part) FILTER (WHERE grain = :grain) AS begun,
                          json_group_array(part) FILTER (WHERE grain < :grain) FROM (
                       SELECT id AS part, log, ended, grain FROM period
                       WHERE span IS NULL AND sequence <= :sequence
                       UNION ALL SELECT -id, log, ended, grain FROM span WHERE span IS NULL
                   ) AS alone JOIN log ON log.id = log
                   WHERE (grain < :grain OR grain = :grain AND part < 0)
                     AND (alone.ended - 1) / :grain < (at - 1) / :grain
                   GROUP BY log, (alone.ended - 1) / :grain
                   HAVING sum(grain < :grain) > (begun IS NULL) ORDER BY 2""",
                {"sequence": self._sequence, "grain": grain},
            ).fetchall()
            for log, ended, begun, parts in rows:
                if self.is_over:
                    return
                if begun is None:
                    insert = "INSERT INTO span (log, ended, grain, parts) VALUES (?, ?, ?, 0) RETURNING id"
                    (span,) = self._writing.execute(insert, (log, ended, grain)).fetchone()
                    begun = -span
                self._sum(-begun, ended, parts)

    def _sum(self, span: int, ended: int, parts: str) -> None:
        """Add these, a JSON array, to a span, or as many of them as are enough for once."""
        import json  # not before a step of the clock is over

        taken = []
        for part in json.loads(parts):
            if self.is_over:
                break
            taken.append(part)
            counts = self._writing.execute(
                f"INSERT INTO count SELECT ?, key, requests, bytes FROM count "  # noqa: S608 - likewise
                f"WHERE period = ? {ADD_COUNTS}",
                (-span, part),
            )
            query = "SELECT count(*) FROM latency WHERE period = ?"
            (latencies,) = self._writing.execute(query, (part,)).fetchone()
            self._left -= WINDOW_COST + counts.rowcount + SUM_COST * latencies
        told = (json.dumps(taken),)
        these = "IN (SELECT value FROM json_each(?))"
        self._writing.execute(f"UPDATE period SET span = {span} WHERE id {these}", told)  # noqa: S608
        self._writing.execute(f"UPDATE span SET span = {span} WHERE -id {these}", told)  # noqa: S608
        self._writing.execute(
            "UPDATE span SET parts = parts + ?, ended = max(ended, ?) WHERE id = ?", (len(taken), ended, span)
        )
        merged = self._writing.execute(
            f"INSERT INTO latency SELECT {-span}, key, sum_durations(durations) FROM latency "  # noqa: S608
            f"WHERE period {these} GROUP BY key {ADD_DURATIONS}",
            told,
        )
        if len(taken) < len(parts):
            self._left -= LATENCY_COST * merged.rowcount

    def _drop_spans(self, span: int | None) -> None:
        """Of which a part changes, and those that they are parts of; the other parts have none then."""
        while span is not None:
            (above,) = self._writing.execute("SELECT span FROM span WHERE id = ?", (span,)).fetchone()
            for table in ("count", "latency"):
                gone = self._writing.execute(f"DELETE FROM {table} WHERE period = ?", (-span,))  # noqa: S608
                self._left -= gone.rowcount
            self._writing.execute("UPDATE period SET span = NULL WHERE span = ?", (span,))
            self._writing.execute("UPDATE span SET span = NULL WHERE span = ?", (span,))
            self._writing.execute("DELETE FROM span WHERE id = ?", (span,))
            span = above

    def _delete(self, period: int) -> None:
        (span,) = self._writing.execute("SELECT span FROM period WHERE id = ?", (period,)).fetchone()
        self._drop_spans(span)
        rows = self._writing.execute("DELETE FROM count WHERE period = ?", (period,)).rowcount
        rows += self._writing.execute("DELETE FROM period_reject WHERE period = ?", (period,)).rowcount
        rows += self._writing.execute("DELETE FROM latency WHERE period = ?", (period,)).rowcount
        self._writing.execute("DELETE FROM period_class WHERE period = ?", (period,))
        self._writing.execute("DELETE FROM period WHERE id = ?", (period,))
        self._left -= rows + WINDOW_COST


def _rows_for(written: int) -> int:
    """How many are enough for once, after so many were written."""
    return min(max(ROWS_AT_ONCE, ROWS_FOR_EACH * written), ROWS_AT_MOST)


def _pages(reading: sqlite3.Connection) -> tuple[int, int, int]:
    """How many there are, how many of them are empty, and the size of one in bytes."""
    pages, free, size = (
        int(reading.execute(f"PRAGMA {what}").fetchone()[0])
        for what in ("page_count", "freelist_count", "page_size")
    )
    return pages, free, size


def _used(reading: sqlite3.Connection) -> int:
    pages, free, size = _pages(reading)
    return (pages - free) * size
