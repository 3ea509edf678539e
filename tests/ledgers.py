"""What tests of the ledger share: entries to commit, a toy ledger as the oracle, a look by somebody else."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from qps_service.database import Database
from qps_service.ledger import Ledger
from qps_service.model import Counts, Entry, Identity, Key, Position

SECOND = 10**9
EPOCH = 1_790_000_000 * SECOND  # Unix nanoseconds where CLOCK_BOOTTIME is 0
BOOT = "3f1c"
NOBODY = 65534
ROOT = Path(__file__).parents[1]

MakeLedger = Callable[..., Ledger]


def opened(path: Path, make: MakeLedger = Ledger, boot: str = BOOT) -> Ledger:
    """A ledger at the path, to be written."""
    ledger = make(str(path), boot=boot)
    ledger.open()
    return ledger


def key(number: int) -> Key:
    """The key of a numbered line."""
    return Key(b"GET", b"/%d" % number, 200)


def position(number: int, lines: int, rejected: int = 0) -> Position:
    """A generation of which so many lines were read."""
    identity = Identity(1, 2**64 - number, None)
    name, offset = f"/log.{number}", lines * 10
    return Position(identity, name, offset, b"p", b"m", False, number=number, lines=lines, rejected=rejected)


def entry(
    lines: Iterable[int],
    *,
    sequence: int = 1,
    started: int = 0,
    ended: int = 10 * SECOND,
    log: str = "access",
    held: tuple[Position, ...] = (),
    retired: tuple[Position, ...] = (),
    forgotten: tuple[int, ...] = (),
    rejected: int = 0,
) -> Entry:
    """An entry with these numbered lines, each 7 bytes, and so many rejected ones."""
    return Entry(
        log=log,
        path=f"/var/log/{log}.log",
        sequence=sequence,
        started=started,
        ended=ended,
        at=EPOCH + ended,
        counts={key(number): Counts(requests, 7 * requests) for number, requests in Counter(lines).items()},
        rejects={"fields": rejected} if rejected else {},
        held=held,
        retired=retired,
        forgotten=forgotten,
    )


class Teller:
    """A log of numbered lines in one file: entries that follow from one another, and all that was told."""

    def __init__(self, sequence: int = 1) -> None:
        self.sequence = sequence
        self.lines = 0  # told so far
        self._now = 0  # CLOCK_BOOTTIME nanoseconds
        self._started = 0

    def tell(self, lines: int = 1, *, seconds: int = 10) -> list[Entry]:
        """So many new lines."""
        numbers = range(self.lines, self.lines + lines)
        self.lines += lines
        self._now += seconds * SECOND
        return [self._entry(numbers, self.sequence)]

    def end_window(self) -> int:
        """The number of the report that ends the window."""
        self.sequence += 1
        self._started = self._now
        return self.sequence - 1

    def whole(self) -> list[Entry]:
        """Everything, for a ledger that is begun anew."""
        return [self._entry(range(self.lines), 0)]

    def _entry(self, numbers: range, sequence: int) -> Entry:
        held = (position(1, self.lines),)
        return entry(numbers, sequence=sequence, started=self._started, ended=self._now, held=held)


def check_exact(path: Path | str, lines: int) -> None:
    """The ledger has each of these numbered lines once, and the position behind the last."""
    ledger = Ledger(str(path), boot=BOOT)
    ledger.open(writable=False)
    try:
        restored = ledger.restore("access", now=10**6 * SECOND, at=EPOCH + 10**6 * SECOND)
        if not lines:
            assert restored is None or not restored.totals
            return
        assert restored is not None
        assert restored.totals == {key(number): Counts(1, 7) for number in range(lines)}
        assert [each.lines for each in restored.held] == [lines]
        assert sum(ledger.forgotten("access")) == 0
    finally:
        ledger.close()


def rows(database: Database, view: str) -> list[tuple[object, ...]]:
    """All rows of a view, sorted."""
    return sorted(database.connection.execute(f"SELECT * FROM {view}"))  # noqa: S608 - one of three names


LOOK = """
import json, sys
from qps_service.database import LedgerError
from qps_service.ledger import Ledger
ledger = Ledger(sys.argv[1], boot="")
try:
    ledger.open(writable=False)
    restored = ledger.restore("access", now=0, at=0)
    answer = sum(counts.requests for counts in restored.totals.values())
    ledger.close()
except LedgerError as error:
    answer = f"{type(error).__name__}: {error}"
print(json.dumps(answer))
"""


def requests_seen_by_nobody(path: Path) -> int | str:
    """What an unprivileged process in the files' group finds in the ledger: all requests, or the error.
    For root only."""
    result = subprocess.run(
        [sys.executable, "-c", LOOK, str(path)],
        cwd=ROOT,
        user=NOBODY,
        group=0,
        extra_groups=[],
        check=True,
        capture_output=True,
    )
    answer: int | str = json.loads(result.stdout)
    return answer
