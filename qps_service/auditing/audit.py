"""Checks the ledger against itself and against the logs that still exist.

For each generation: its lines are counted again where its text still is (`recount`). For each log: the
lines of all generations must be the requests, rejected lines and directives in the totals. Nothing is
written.
"""

from typing import NamedTuple

from qps_service.auditing.recount import Candidates, Checked, Unread
from qps_service.files.kernel import Files
from qps_service.ledger.database import LedgerDamaged
from qps_service.ledger.ledger import Ledger
from qps_service.values.entries import Loss


class Audit(NamedTuple):
    """One log's books."""

    log: str
    path: str
    at: int  # the last commit, Unix nanoseconds
    generations: list[Checked]
    forgotten: int  # lines of generations that the ledger remembers no more
    forgotten_rejected: int  # how many of them were rejected
    forgotten_directives: int  # and directives
    requests: int
    rejected: int
    directives: int
    losses: list[Loss]

    @property
    def lines(self) -> int:
        """Read of all generations."""
        return self.forgotten + sum(each.position.lines for each in self.generations)

    @property
    def lines_balance(self) -> bool:
        """Whether nothing is counted that was not read, and the other way round; rejected lines and
        directives likewise."""
        rejected = self.forgotten_rejected + sum(each.position.rejected for each in self.generations)
        directives = self.forgotten_directives + sum(each.position.directives for each in self.generations)
        read = self.lines, rejected, directives
        return read == (self.requests + self.rejected + self.directives, self.rejected, self.directives)

    @property
    def unread(self) -> list[Unread]:
        """The generations' files that could not be read, each once."""
        return list(dict.fromkeys(each.unread for each in self.generations if each.unread))

    @property
    def balances(self) -> bool:
        """Whether the sums agree, and each file with what was read of it."""
        return self.lines_balance and all(each.balances for each in self.generations)


def audit(ledger: Ledger, log: str, files: Files) -> Audit:
    """Check one log. Raises LedgerError."""
    with ledger.snapshot():
        restored = ledger.restore(log, now=0, at=0)
        generations, losses = ledger.generations(log), ledger.losses(log)
        forgotten, forgotten_rejected, forgotten_directives = ledger.forgotten(log)
    if restored is None:
        raise LedgerDamaged(f"it knows no log named {log}")
    candidates = Candidates(files, restored.path, [position for position, _ in generations])
    return Audit(
        log=log,
        path=restored.path,
        at=restored.at,
        generations=[candidates.check(position, held=held) for position, held in generations],
        forgotten=forgotten,
        forgotten_rejected=forgotten_rejected,
        forgotten_directives=forgotten_directives,
        requests=sum(counts.requests for counts in restored.totals.values()),
        rejected=sum(restored.rejects.values()),
        directives=restored.beside.directives,
        losses=losses,
    )
