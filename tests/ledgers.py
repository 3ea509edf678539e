"""What tests of the ledger share: entries of numbered lines, books over them, a look by somebody else."""

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from qps_service.ledger import database, retention, schema
from qps_service.ledger.database import Database, LedgerError
from qps_service.ledger.durations import decode
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.writer import LedgerWriter
from qps_service.notices.kinds import Kind, Notice
from qps_service.values.counts import NOTHING_BESIDE, Beside, Counts, Key
from qps_service.values.entries import Entry, Restored
from qps_service.values.history import History
from qps_service.values.latency import NO_LATENCY, Latency, LatencyKey
from qps_service.values.positions import Identity, Position
from tests.durations import MILLI
from tests.durations import told as durations_told
from tests.samples import load, sample_of

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


def known(ledger: Ledger, *, now: int = 0, at: int = 0) -> Restored:
    """What a ledger knows of the log."""
    restored = ledger.restore("access", now=now, at=at)
    assert restored is not None
    return restored


def key(number: int) -> Key:
    """The key of a numbered line."""
    return Key(b"GET", b"/%d" % number, 200)


def position(number: int, lines: int, rejected: int = 0, directives: int = 0) -> Position:
    """A generation of which so many lines were read."""
    identity = Identity(1, 2**64 - number, None)
    name, offset = f"/log.{number}", lines * 10
    read = Position(identity, name, offset, b"p", b"m", False, number=number, lines=lines, rejected=rejected)
    return read._replace(tail=b"t" * 8, directives=directives, directive=b"#Fields: a" * bool(directives))


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
    beside: Beside = NOTHING_BESIDE,
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
        beside=beside,
    )


def latencies_of(numbers: Iterable[int]) -> dict[LatencyKey, Latency]:
    """How long numbered lines took, all under one key: as many milliseconds."""
    latency = durations_told(number * MILLI for number in numbers)
    return {LatencyKey(b"/", 2): latency} if latency.bins else {}


class Keeper:
    """Books over a log of numbered lines in one file, and all that they said."""

    def __init__(
        self,
        path: Path | None,
        *,
        make: Callable[..., LedgerWriter] = LedgerWriter,
        history: History = History(keep=3650 * 86400 * SECOND, max_size=1 << 30),  # noqa: B008 - frozen
    ) -> None:
        self.said: list[Notice] = []
        self.writer = make(
            path and str(path), boot=BOOT, notify=self.said.append, history=history, unix=lambda: EPOCH
        )
        self._lines = 0  # told so far
        self._now = self._started = 0  # CLOCK_BOOTTIME nanoseconds
        self.writer.open()

    @property
    def ledger(self) -> Ledger:
        """What is behind the books."""
        assert self.writer._ledger is not None
        return self.writer._ledger

    def tell_from(self, lines: int) -> None:
        """Go on with numbers where an earlier process ended."""
        self._lines = lines

    def commit(self, lines: int, *, seconds: int = 10, report: int | None = None) -> bool:
        """So many new lines, so long after the last."""
        numbers = range(self._lines, self._lines + lines)
        self._lines += lines
        self._now += seconds * SECOND
        told = self._entry(numbers, self.writer.sequence + 1)
        whole = self._entry(range(self._lines), 0)
        return self.writer.commit([told], sequence=report, whole=lambda: [whole])

    def window(self, lines: int, *, seconds: int = 10) -> bool:
        """The same, with the report that ends the window."""
        written = self.commit(lines, seconds=seconds, report=self.writer.sequence + 1)
        self._started = self._now
        return written

    def restored(self) -> Restored | None:
        """What the books know of the log."""
        return self.writer.restore("access", now=10**6 * SECOND, at=EPOCH + 10**6 * SECOND)

    def kinds(self) -> list[Kind]:
        """Of all that was said."""
        return [notice.kind for notice in self.said]

    def close(self) -> None:
        self.writer.close()

    def _entry(self, numbers: range, sequence: int) -> Entry:
        held = (position(1, self._lines),)
        told = entry(numbers, sequence=sequence, started=self._started, ended=self._now, held=held)
        return told._replace(latencies=latencies_of(numbers))


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
        assert restored.latencies == latencies_of(range(lines))
        assert [each.lines for each in restored.held] == [lines]
        assert sum(ledger.forgotten("access")) == 0
    finally:
        ledger.close()


def check_spans(ledger: Ledger) -> None:
    """Each has what its parts have, of which it knows the number; and nothing stands under a number that no
    period and no span has."""
    reading = ledger.database.connection
    parts: dict[int | None, list[int]] = {}
    for part, span in reading.execute("SELECT id, span FROM period UNION ALL SELECT -id, span FROM span"):
        parts.setdefault(span, []).append(part)
    known = {part for each in parts.values() for part in each}
    for table in ("count", "latency"):
        assert {owner for (owner,) in reading.execute(f"SELECT period FROM {table}")} <= known  # noqa: S608
    spans = reading.execute("SELECT id, parts FROM span").fetchall()
    assert {span for span in parts if span} == {span for span, _ in spans}
    for span, number in spans:
        assert number == len(parts[span])
        assert _sums_of(reading, [-span]) == _sums_of(reading, parts[span])


def _sums_of(reading: sqlite3.Connection, periods: list[int]) -> tuple[Counter[Any], dict[int, Latency]]:
    counts: Counter[Any] = Counter()
    latencies: dict[int, Latency] = {}
    for period in periods:
        for row in reading.execute("SELECT key, requests, bytes FROM count WHERE period = ?", (period,)):
            counts[row[0], "requests"] += row[1]
            counts[row[0], "bytes"] += row[2]
        for row in reading.execute("SELECT key, durations FROM latency WHERE period = ?", (period,)):
            latencies[row[0]] = latencies.get(row[0], NO_LATENCY).plus(decode(row[1]))
    return counts, latencies


def rows(database: Database, view: str) -> list[tuple[Any, ...]]:
    """All rows of a view, sorted."""
    return sorted(database.connection.execute(f"SELECT * FROM {view}"))  # noqa: S608 - one of three names


def take_each_by_itself(connection: sqlite3.Connection, version: int) -> None:
    """As no program may: a transaction for each statement."""
    for statement in "".join(schema.STEPS[version:]).split(";")[:-1]:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {schema.VERSION}")


# --- other processes: python -m tests.ledgers WHAT LEDGER ...


def _lock(path: str, how: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    if how == "EXCLUSIVE":
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute(f"BEGIN {how}")
    print("ready", flush=True)  # noqa: T201 - to the test
    sys.stdin.read()


def _write(path: str) -> None:
    ledger = opened(Path(path))
    ledger.commit([entry(range(1000))], sequence=1)
    print("ready", flush=True)  # noqa: T201 - to the test
    sys.stdin.read()
    ledger.commit([entry(range(1000), sequence=2)], sequence=2)


def _die(path: str, lines: str) -> None:
    Keeper(Path(path)).window(int(lines))
    os.kill(os.getpid(), signal.SIGKILL)


def _die_in_each_step(directory: str, how: str) -> None:
    """Forks: where each was killed stays under the number of the statement, the last of them came through."""
    take = _HOW_TO_TAKE_STEPS[how]
    for number in itertools.count():
        load(sample_of(1), place := Path(directory, str(number)))
        if not (child := os.fork()):
            _die_in_a_step(place, number, take)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL)
        if not status:
            return


def _die_in_a_step(path: Path, statement: int, take: Callable[[sqlite3.Connection, int], None]) -> None:
    """Open a ledger of an older schema, and be killed before this statement of the steps."""

    def take_some(connection: sqlite3.Connection, version: int) -> None:
        statements = itertools.count()

        def watch(_: str) -> None:
            if next(statements) == statement:
                os.kill(os.getpid(), signal.SIGKILL)

        connection.set_trace_callback(watch)
        take(connection, version)
        connection.set_trace_callback(None)

    vars(database)["advance"] = take_some  # for the rest of this process
    opened(path).close()


_HOW_TO_TAKE_STEPS = {"at once": schema.advance, "each by itself": take_each_by_itself}


def _look(path: str) -> None:
    ledger = Ledger(path, boot="")
    try:
        ledger.open(writable=False)
        answer: int | str = sum(counts.requests for counts in known(ledger).totals.values())
        ledger.close()
    except LedgerError as error:
        answer = f"{type(error).__name__}: {error}"
    print(json.dumps(answer))  # noqa: T201 - to the test


_COMMAND = (sys.executable, "-m", "tests.ledgers")


@contextmanager
def _busy(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that holds a ledger until its input ends."""
    with subprocess.Popen(
        [*_COMMAND, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.communicate()


@contextmanager
def locked(path: Path, how: str) -> Iterator[None]:
    """Another process has the ledger: IMMEDIATE leaves it readable, EXCLUSIVE does not."""
    with _busy("lock", str(path), how) as process:
        try:
            yield
        finally:
            process.kill()


def writing(path: Path) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    """A process with the ledger open after a commit of 1000 requests; where it is not killed, it commits as
    many again in the end."""
    return _busy("write", str(path))


def die(path: Path, lines: int) -> None:
    """A service commits these lines, and is killed."""
    process = subprocess.run([*_COMMAND, "die", path, str(lines)], cwd=ROOT)
    assert process.returncode == -signal.SIGKILL


def die_in_each_step(directory: Path, how: str) -> list[Path]:
    """Processes take the steps that a ledger of the first schema lacks, each killed before another statement
    of them: their ledgers, and last the one of the process that came through."""
    subprocess.run([*_COMMAND, "die_in_each_step", directory, how], cwd=ROOT, check=True)
    return [
        directory / str(number) for number in range(sum(each.name.isdigit() for each in directory.iterdir()))
    ]


def requests_seen_by_nobody(path: Path) -> int | str:
    """What an unprivileged process in the files' group finds in the ledger: all requests, or the error.
    For root only."""
    result = subprocess.run(
        [*_COMMAND, "look", str(path)],
        cwd=ROOT,
        user=NOBODY,
        group=0,
        extra_groups=[],
        check=True,
        capture_output=True,
    )
    answer: int | str = json.loads(result.stdout)
    return answer


if __name__ == "__main__":
    _ACTIONS: dict[str, Callable[..., None]] = {
        "lock": _lock,
        "write": _write,
        "die": _die,
        "die_in_each_step": _die_in_each_step,
        "look": _look,
    }
    _ACTIONS[sys.argv[1]](*sys.argv[2:])


def merged_otherwise(table: str, adding: str) -> tuple[object, str, object]:
    """What makes a twin of what merges windows: rows of this table are added so."""
    merged = tuple(
        (name, columns, adding if name == table else right) for name, columns, right in retention._MERGED
    )
    return retention, "_MERGED", merged
