"""Broken twins of the ledger's writer: each breaks one promise, which the tests of it must notice."""

from pathlib import Path
from typing import Any

from qps_service.ledger.ledger import Ledger
from qps_service.ledger.outbox import Outbox
from qps_service.ledger.writer import LedgerWriter
from qps_service.values.entries import Restored
from tests.promised import nothing, twin


class Drops(LedgerWriter):  # what could not be written is forgotten
    def commit(self, *arguments: Any, **keywords: Any) -> bool:
        written = super().commit(*arguments, **keywords)
        self._pending = Outbox(self._ledger.number if self._ledger else 0)
        return written


class Repeats(LedgerWriter):  # what was written waits all the same
    def _commit(self, ledger: Ledger, whole: Any) -> None:
        waiting = list(self._pending._waiting)
        super()._commit(ledger, whole)
        self._pending._waiting = waiting


class SaysEach(LedgerWriter):  # says it with each window
    def _say_failing(self, *arguments: Any) -> None:
        self._failing = False
        super()._say_failing(*arguments)


class ForgetsTheNumber(LedgerWriter):  # writes all that waits, whatever the ledger has
    def _reopen(self, ledger: Ledger) -> None:
        ledger.close()
        ledger.open()


class Doubles(LedgerWriter):  # adds what waits to totals that have it already
    def _commit(self, ledger: Ledger, whole: Any) -> None:
        if self._is_empty:
            ledger.commit(whole(), sequence=None)
            self._is_empty = False
        super()._commit(ledger, whole)


class Overwrites(LedgerWriter):  # what is there does not matter
    def _set_aside(self, ledger: Ledger, *arguments: Any) -> None:
        ledger.close()
        for suffix in ("", "-wal", "-shm"):
            Path(ledger.path + suffix).unlink(missing_ok=True)


TakesAnyDirectory = twin(LedgerWriter, "takes any directory", "_require_ours", instead=nothing)


class ForgetsWhatItRestored(LedgerWriter):  # takes each generation for one that the ledger does not have
    def restore(self, *arguments: Any, **keywords: Any) -> Restored | None:
        restored = super().restore(*arguments, **keywords)
        self._pending._numbers.clear()
        return restored
