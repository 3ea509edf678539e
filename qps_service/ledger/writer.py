"""The books: what is committed together, kept in memory while the ledger can't take it.

Promises: the counting goes on whatever happens to the ledger; the trouble is said once a change of
state, and so is its end; what could not be written is written later, exactly once; a ledger that is
damaged, of a later version or not ours is set aside under a new name, never overwritten.

While this object has the ledger, memory knows all totals and positions. So a ledger that is lost under
way is begun anew from there: its history is gone, its totals are not.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from qps_service.errors import LedgerUnreadableError
from qps_service.ledger.database import (
    COMPANIONS,
    LedgerDamaged,
    LedgerError,
    LedgerForeign,
    LedgerMissing,
    LedgerTooNew,
    LedgerUnavailable,
    LedgerVanished,
)
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.outbox import Outbox
from qps_service.ledger.retention import Pruner
from qps_service.notices import kinds
from qps_service.notices.kinds import Notice, Notify
from qps_service.notices.throttle import Throttle
from qps_service.text.escape import show_path
from qps_service.text.units import SECOND
from qps_service.values.entries import Entry, KnownLog, Restored
from qps_service.values.history import History

# A connection is made anew, after trouble, so often: the whole file is checked each time.
REOPEN = 10 * SECOND

# What is too much for max_size goes on to be dropped.
DROPPED_SAID_EVERY = 86_400 * SECOND

Whole = Callable[[], Sequence[Entry]]  # entries with all totals, positions and ignored files, sequence 0


class LedgerWriter:
    """Without a path there is no ledger: nothing is kept, and everything counts as committed."""

    def __init__(
        self,
        path: str | None,
        *,
        boot: str,
        notify: Notify,
        history: History,
        is_ours: Callable[[], bool] = lambda: True,
        unix: Callable[[], int] = time.time_ns,
    ) -> None:
        """`boot` is the kernel's boot id; `is_ours` tells whether nobody else may use the directory that is
        there now; `unix` tells Unix nanoseconds, to name what is set aside."""
        self.commits = self.failures = 0  # of commits to the ledger, so far
        self._ledger = Ledger(path, boot=boot) if path else None
        self._notify = notify
        self._pruner = Pruner(history)
        self._is_ours = is_ours
        self._unix = unix
        self._sequence = 0  # of the last report
        self._pending = Outbox()
        self._has_begun = False  # whether there is a ledger that knows more than what waits
        self._is_empty = False  # whether the ledger was begun anew, and is still to get all that is known
        self._failing = False  # whether it was said that the ledger takes nothing
        self._reopening = Throttle(REOPEN)
        self._dropping = Throttle(DROPPED_SAID_EVERY)

    @property
    def sequence(self) -> int:
        """Number of the last report; 0 before the first."""
        return self._sequence

    @property
    def is_written(self) -> bool:
        """Whether everything committed is in the ledger."""
        return not self._pending.entries and not self._failing

    @property
    def takes_commits(self) -> bool:
        """Whether there is a ledger, with everything committed in it."""
        return self._ledger is not None and self.is_written

    def open(self) -> None:
        """Open the ledger, or begin one. Raises LedgerUnreadableError where there is one that can't be read,
        or that somebody else may have put there: the places in it must not be guessed."""
        if self._ledger is None:
            return
        try:
            try:
                self._open_to_write(self._ledger)
            except (LedgerDamaged, LedgerTooNew) as error:
                self._set_aside(self._ledger, error, "and totals begin at 0")
                self._open_to_write(self._ledger)
        except LedgerForeign as error:
            raise LedgerUnreadableError(self._ledger.path, str(error)) from error
        except LedgerUnavailable as error:
            self._say_failing(self._ledger, error)
            self._open_to_read(self._ledger)
        self._has_begun = self._ledger.is_open
        self._sequence = self._ledger.sequence
        self._pending = Outbox(self._ledger.number)

    def known_logs(self) -> dict[str, KnownLog]:
        """All logs that the ledger has, by name. Raises LedgerUnreadableError where that can't be told."""
        if self._ledger is None or not self._has_begun:
            return {}
        try:
            return self._ledger.known_logs()
        except LedgerError as error:
            raise LedgerUnreadableError(self._ledger.path, str(error)) from error

    def restore(self, log: str, *, now: int, at: int, was: str | None = None) -> Restored | None:
        """What the ledger knows of a log, or of the one named `was` if there is none of this name; None if
        nothing. `now` is CLOCK_BOOTTIME, `at` Unix time, both in nanoseconds. Raises LedgerUnreadableError
        where that can't be told."""
        if self._ledger is None or not self._has_begun:
            return None
        for entry in self._pending.entries:
            if entry.log in (log, was):
                raise LedgerUnreadableError(
                    self._ledger.path, f"it lacks what was counted of {entry.log} since"
                )
        try:
            restored = self._ledger.restore(log, now=now, at=at)
            if restored is None and was is not None:
                former = self._ledger.restore(was, now=now, at=at)
                restored = former and former._replace(was=was)
        except LedgerError as error:
            raise LedgerUnreadableError(self._ledger.path, str(error)) from error
        if restored:
            self._pending.knows(log, restored.next_number)
        return restored

    def commit(self, entries: Sequence[Entry], *, sequence: int | None, whole: Whole) -> bool:
        """Write the entries, and those that still wait, at once; whether all are in the ledger now. With
        `sequence`, that report is made. Never raises for the ledger's troubles."""
        if sequence is not None:
            self._sequence = sequence
        if self._ledger is None:
            return True
        self._pending.add(entries, self._sequence)
        try:
            self._write(self._ledger, whole, entries)
        except LedgerUnavailable as error:
            self.failures += 1
            self._say_failing(self._ledger, error)
            return False
        self.commits += 1
        if self._failing:
            self._failing = False
            text = f"the ledger {show_path(self._ledger.path)} is written again; it has all that was counted"
            self._notify(Notice(kinds.LEDGER_RESUMED, text))
        return True

    def reconfigure(self, history: History) -> None:
        """Prune by other bounds from now on."""
        self._pruner = Pruner(history)

    def close(self) -> None:
        """Close the ledger; what still waits is lost."""
        if self._ledger is not None:
            self._ledger.close()

    def _open_to_write(self, ledger: Ledger) -> None:
        self._require_ours(ledger)
        ledger.open()

    def _require_ours(self, ledger: Ledger) -> None:
        """In a directory that another process has taken meanwhile, its ledger must not be touched."""
        if not self._is_ours():
            directory = show_path(os.path.dirname(ledger.path))
            raise LedgerUnavailable(f"{directory} is gone, or another process uses what is there now")

    def _open_to_read(self, ledger: Ledger) -> None:
        """What was counted before is known from it, though it takes nothing now."""
        try:
            ledger.open(writable=False)
        except (LedgerMissing, LedgerDamaged, LedgerTooNew):
            pass
        except LedgerUnavailable as error:
            raise LedgerUnreadableError(ledger.path, str(error)) from error

    def _write(self, ledger: Ledger, whole: Whole, entries: Sequence[Entry]) -> None:
        try:
            try:
                self._commit(ledger, whole)
            except LedgerUnavailable:
                now = max((entry.ended for entry in entries), default=0)
                if not (self._failing and self._reopening.allows(now)):
                    raise
                self._reopen(ledger)
                self._commit(ledger, whole)
            if entries:
                at = ledger.clock(max(entry.ended for entry in entries))
                with suppress(LedgerUnavailable):
                    self._pruner.prune(ledger, at)
                self._say_dropped(ledger, at)
        except (LedgerDamaged, LedgerTooNew, LedgerVanished) as error:
            self._set_aside(ledger, error, "with all totals, without the history")
            self._open_to_write(ledger)
            self._is_empty = True
            self._commit(ledger, whole)

    def _commit(self, ledger: Ledger, whole: Whole) -> None:
        entries, number = self._pending.entries, self._pending.number
        if self._is_empty:
            ledger.begin(whole(), entries, sequence=self._sequence, number=number)
        else:
            ledger.commit(entries, sequence=self._sequence, number=number)
        self._pending.written(number)
        self._is_empty, self._has_begun = False, True

    def _reopen(self, ledger: Ledger) -> None:
        """A connection to what was read-only, or on a disk that was taken away, does not recover."""
        self._require_ours(ledger)
        ledger.close()
        try:
            self._open_to_write(ledger)
        except LedgerUnavailable:
            with suppress(LedgerError):
                ledger.open(writable=False)
            raise
        if not self._pending.written(ledger.number):
            if ledger.number:
                raise LedgerVanished(f"expected commit {self._pending.number}, got {ledger.number}")
            self._is_empty = True
        elif ledger.number:  # one that was begun anew has all, though that seemed to have failed
            self._is_empty = False

    def _set_aside(self, ledger: Ledger, error: LedgerError, remark: str) -> None:
        """Give the files at the ledger's path another name. Raises LedgerUnavailable if that can't be."""
        self._require_ours(ledger)
        moved = _move(ledger.path, f"{_label(error)}-{_stamp(self._unix())}", error)
        # Not before: the last to close a ledger copies its write-ahead log into it.
        ledger.close()
        kind = kinds.LEDGER_VANISHED if isinstance(error, LedgerVanished) else kinds.LEDGER_SET_ASIDE
        aside = f"what is there is kept as {show_path(moved)}; " if moved else ""
        text = f"the ledger {show_path(ledger.path)} cannot be used: {error}; {aside}"
        self._notify(Notice(kind, f"{text}a new one is begun, {remark}"))

    def _say_dropped(self, ledger: Ledger, at: int) -> None:
        until = self._pruner.dropped_until
        if until is not None and self._dropping.allows(at):
            self._pruner.dropped_until = None
            text = f"the history in {show_path(ledger.path)} is as large as history.max_size lets it be"
            text += f"; windows up to {_stamp(until)} are dropped, which history.keep would keep; totals stay"
            self._notify(Notice(kinds.HISTORY_DROPPED, text))

    def _say_failing(self, ledger: Ledger, error: LedgerError) -> None:
        if not self._failing:
            self._failing = True
            text = f"cannot write the ledger {show_path(ledger.path)}: {error}; counting goes on in memory"
            self._notify(Notice(kinds.LEDGER_UNAVAILABLE, text))


def _label(error: LedgerError) -> str:
    if isinstance(error, LedgerTooNew):
        return f"newer-{error.version}"
    return "replaced" if isinstance(error, LedgerVanished) else "damaged"


def _stamp(at: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at // SECOND))


def _move(path: str, label: str, reason: LedgerError) -> str | None:
    """Rename the ledger and its companions; the new name, or None if there was nothing."""
    number = 0
    while any(map(os.path.lexists, _family(name := f"{path}.{label}{f'.{number}' if number else ''}"))):
        number += 1
    moved = None
    try:
        for old, new in zip(_family(path), _family(name), strict=True):
            if os.path.lexists(old):
                os.rename(old, new)
                moved = name
    except OSError as error:
        raise LedgerUnavailable(f"{reason}; it cannot be set aside: {error.strerror}") from error
    return moved


def _family(path: str) -> list[str]:
    return [path + suffix for suffix in ("", *COMPANIONS)]
