"""What happened stands in the ledger beside the numbers: in the commit's transaction, and within bounds."""

import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from qps_service.ledger import database, outbox, retention, rows
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.retention import Pruner
from qps_service.notices import kinds
from qps_service.notices.kinds import Kind, Notice
from qps_service.service import events as module
from qps_service.service.events import EventBook
from qps_service.values.entries import ALL_EVENTS_LIMIT, EVENT_TEXT_LIMIT, EVENTS_LIMIT, Event, PossibleLoss
from qps_service.values.history import History
from tests.ledgers import SECOND, Keeper, entry, opened
from tests.limits import Doubled
from tests.promised import Patches, answers, nothing, promises
from tests.unit.daemons import START, Service, read


def kept(root: Path) -> list[tuple[int, str, str]]:
    """What the ledger has: seconds since the start of the machine, kind and log."""
    query = """SELECT event.at, kind, coalesce(name, '-') FROM event LEFT JOIN log ON log.id = event.log
               ORDER BY event.id"""
    with read(root) as ledger:
        return ledger.database.connection.execute(query).fetchall()


def check_life(tmp_path: Path) -> None:
    """A start, a format that was chosen, a rotation, a reload, a truncation, a stop: each with its time."""
    log = tmp_path / "access.log"
    service = Service(tmp_path, f'[log.web]\npath = "{log}"\n', ledger=str(tmp_path / "ledger.db"))
    service.write(3)
    world = service.world
    world.at(5, lambda: service.write(20))
    world.hint(21, lambda: log.rename(tmp_path / "access.log.1"))
    world.hint(21, lambda: service.write(1))
    world.signal(33, signal.SIGHUP)
    world.at(41, lambda: os.truncate(log, 0))
    world.signal(55, signal.SIGTERM)
    service.daemon.run()
    service.writer.close()
    found = [((at - START) // SECOND, *rest) for at, *rest in kept(tmp_path)]
    assert found == [
        (0, "started", "-"),
        (5, "format_chosen", "web"),
        (21, "rotated", "web"),
        (33, "reloaded", "-"),
        (42, "truncated", "web"),
        (42, "possible_loss", "web"),
        (55, "stopped", "-"),
    ]


def check_waiting(tmp_path: Path) -> None:
    """What the ledger does not take waits with the counts, and is written once."""
    keeper = Keeper(tmp_path / "ledger.db")
    told = entry([1])._replace(events=(Event(1, "rotated", "x", "access"),))
    writing = keeper.ledger.commit
    keeper.ledger.commit = failing  # type: ignore[method-assign]
    for sequence in range(1, 300):
        keeper.writer.commit([told._replace(sequence=sequence)], sequence=sequence, whole=list)
    keeper.ledger.commit = writing  # type: ignore[method-assign]
    assert keeper.writer.commit([entry([2], sequence=300)], sequence=300, whole=list)
    assert keeper.writer.commit([entry([3], sequence=301)], sequence=301, whole=list)
    keeper.close()
    assert len(kept(tmp_path)) == 299


def failing(*_: object, **__: object) -> None:
    raise database.LedgerUnavailable("full")


def check_bounds(path: Path) -> None:
    """So many of each log, of the service, and in all; none is longer than that."""
    ledger = opened(path)
    names = [f"log{number}" for number in range(10)]
    long = "ü" * 2 * EVENT_TEXT_LIMIT
    many = [Event(1, "rotated", long, name) for name in [*names, None] for _ in range(2 * EVENTS_LIMIT)]
    told = [entry([1], log=name) for name in names]
    told[0] = told[0]._replace(events=tuple(many))
    ledger.commit(told, sequence=1)
    counts = dict(ledger.database.connection.execute("SELECT log, count(*) FROM event GROUP BY log"))
    assert sum(counts.values()) == ALL_EVENTS_LIMIT
    assert max(counts.values()) == EVENTS_LIMIT
    assert counts[0]
    longest = ledger.database.connection.execute("SELECT max(length(text)) FROM event").fetchone()
    assert longest == (2 * EVENT_TEXT_LIMIT,)
    ledger.close()


def check_waiting_is_bounded() -> None:
    said: list[Notice] = []
    book = EventBook(said.append, lambda: 7)
    for number in range(2 * EVENTS_LIMIT):
        book.notify(Notice(kinds.POSSIBLE_LOSS, str(number), "web", PossibleLoss("x", "/n")))
        book.notify(Notice(kinds.FOLLOWING, "no event", "web"))
    assert len(said) == 4 * EVENTS_LIMIT
    events = book.take()
    assert [int(event.text) for event in events] == [*range(EVENTS_LIMIT, 2 * EVENTS_LIMIT)]
    assert events[0] == Event(7, "possible_loss", str(EVENTS_LIMIT), "web")
    assert book.take() == ()


def check_pruned(path: Path) -> None:
    """They go with the windows that they stand beside."""
    ledger = opened(path)
    for number in range(1, 11):
        told = entry(
            [number], sequence=number, started=(number - 1) * 10 * SECOND, ended=number * 10 * SECOND
        )
        event = Event(told.at, "rotated", "", "access")
        ledger.commit([told._replace(events=(event,))], sequence=number)
    Pruner(History(50 * SECOND, 1 << 30)).prune(ledger, ledger.clock(100 * SECOND))
    assert ledger.database.connection.execute("SELECT count(*) FROM event").fetchone() == (5,)
    assert ledger.database.connection.execute("SELECT count(*) FROM period").fetchone() == (5,)
    ledger.close()


def check_group(path: Path) -> None:
    """What an earlier version made with another umask becomes readable for the group, where ours lets it."""
    ledger = opened(path)
    ledger.commit([entry([1])], sequence=1)
    ledger.close()
    for umask, mode in ((0o077, 0o600), (0o027, 0o640)):
        os.chmod(path, 0o600)
        before = os.umask(umask)
        try:
            ledger.open()
            ledger.commit([entry([1], sequence=2)], sequence=2)
            modes = {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
            assert modes == {mode}
            assert len(list(path.parent.iterdir())) == 3
        finally:
            os.umask(before)
            ledger.close()


def check_no_scan(path: Path) -> None:
    """Who looks at a large ledger does not wait until all of it was read; who writes does."""
    ledger = opened(path)
    ledger.commit([entry(range(3000))], sequence=1)
    ledger.close()
    asked: list[str] = []

    class Traced(database.Database):
        def _value(self, query: str) -> Any:
            asked.append(query)
            return super()._value(query)

    for writable, scan in ((False, False), (False, True), (True, True)):
        asked.clear()
        looking = Traced(str(path))
        looking.open(writable=writable, scan=scan)
        looking.close()
        assert ("PRAGMA quick_check(1)" in asked) == scan


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def merges_without(earlier: Any, later: Any) -> Any:
    return MERGE(earlier, later)._replace(events=later.events)


def keeps_all(self: EventBook, kind: str, text: str, log: str | None = None) -> None:
    self._waiting = [*self._waiting, Event(self._unix(), kind, text, log)]  # type: ignore[assignment]


MERGE = outbox.merge
OPEN = database.Database.open
EVERY: set[Kind] = {*kinds.KINDS}

test_promise, test_twin = promises(
    {
        check_life: {
            "keeps none": answers(EventBook, "add"),
            "keeps what is no event": Patches((module, "KEPT", EVERY)),
            "writes none": Patches((rows, "add_events", nothing), (Ledger, "_add_events", nothing)),
        },
        check_waiting: {"of the last only": Patches((outbox, "merge", merges_without))},
        check_bounds: [
            Doubled("ledger.rows:EVENTS_LIMIT"),
            Doubled("ledger.rows:ALL_EVENTS_LIMIT"),
            Doubled("ledger.rows:EVENT_TEXT_LIMIT"),
        ],
        check_waiting_is_bounded: {"keeps all": Patches((EventBook, "add", keeps_all))},
        check_pruned: {"for good": answers(retention._Work, "drop")},
        check_group: {"as they were": answers(database, "_let_group_read")},
        check_no_scan: {
            "scans": Patches(
                (database.Database, "open", lambda self, writable, **_: OPEN(self, writable=writable))
            )
        },
    }
)
