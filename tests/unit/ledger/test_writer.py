"""The writer: the counting goes on, trouble is said once, no ledger is overwritten, and sums stay exact."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from qps_service.errors import LedgerUnreadableError
from qps_service.ledger import database, writer
from qps_service.ledger.database import COMPANIONS, Database, LedgerError, LedgerUnavailable
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.outbox import WAITING_LIMIT, Outbox
from qps_service.ledger.writer import REOPEN, LedgerWriter
from qps_service.notices import kinds
from qps_service.notices.kinds import Kind, Notice
from qps_service.service.state_directory import StateDirectory
from qps_service.values.counts import Beside, Counts
from qps_service.values.history import History
from tests import broken_writers as broken
from tests.ledgers import (
    EPOCH,
    SECOND,
    Keeper,
    check_exact,
    entry,
    key,
    known,
    locked,
    opened,
    position,
    rows,
)
from tests.limits import Doubled
from tests.promised import Patches, Promise, nothing, promises, sets, twin

STAMP = "20260921T141320Z"  # of EPOCH


# --- the usual
def test_without_a_path_nothing_is_kept() -> None:
    keeper = Keeper(None)
    assert keeper.writer.sequence == 0
    assert keeper.window(3)
    assert keeper.writer.is_written
    assert keeper.writer.sequence == 1
    assert keeper.restored() is None
    assert keeper.said == []
    keeper.close()


def test_the_history_is_pruned(path: Path) -> None:
    keeper = Keeper(path, history=History(0, 1 << 20))
    keeper.window(1)
    assert rows(keeper.ledger.database, "windows") == []
    keeper.writer.reconfigure(History(3600 * SECOND, 1 << 20))
    keeper.window(1)
    assert len(rows(keeper.ledger.database, "windows")) == 1
    keeper.close()


# --- a ledger that takes nothing for a while
def check_what_is_dropped_is_said_once_a_day(path: Path) -> None:
    keeper = Keeper(path)
    for hour in range(30):
        keeper.writer._pruner.dropped_until = EPOCH + hour * 3600 * SECOND
        keeper.window(1, seconds=3600)
    assert keeper.said == [
        Notice(
            kinds.HISTORY_DROPPED,
            f"the history in {path} is as large as history.max_size lets it be; windows up to {until} are "
            "dropped, which history.keep would keep; totals stay",
        )
        for until in ("20260921T141320Z", "20260922T141320Z")
    ]


class Sick:
    """Makes the ledger's commits fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception | None = None
        self.lands = False  # whether the disk has it all the same
        commit = Ledger.commit

        def failing(ledger: Ledger, *arguments: Any, **keywords: Any) -> None:
            before = ledger.number
            if self.error is None or self.lands:
                commit(ledger, *arguments, **keywords)
            if self.error is not None:
                ledger.number = before
                raise self.error

        monkeypatch.setattr(Ledger, "commit", failing)


@pytest.fixture
def sick(monkeypatch: pytest.MonkeyPatch) -> Sick:
    return Sick(monkeypatch)


UNAVAILABLE = LedgerUnavailable("database or disk is full")
MakeWriter = Callable[..., LedgerWriter]


def check_outage(make: MakeWriter, path: Path, sick: Sick, windows: int = 5) -> None:
    """Windows while nothing can be written, then space again: all are there, and it was said once."""
    keeper = Keeper(path, make=make)
    keeper.window(2)
    sick.error = UNAVAILABLE
    for _ in range(windows):
        assert not keeper.window(1)
        assert not keeper.writer.is_written
    assert keeper.writer.sequence == windows + 1
    sick.error = None
    assert keeper.window(1)
    assert keeper.writer.is_written
    failing = f"cannot write the ledger {path}: {UNAVAILABLE}; counting goes on in memory"
    resumed = f"the ledger {path} is written again; it has all that was counted"
    told = [(kinds.LEDGER_UNAVAILABLE, failing), (kinds.LEDGER_RESUMED, resumed)]
    assert [(notice.kind, notice.text) for notice in keeper.said] == told
    keeper.close()
    check_exact(path, 3 + windows)
    ledger = opened(path)
    history = [(row[0], row[7]) for row in rows(ledger.database, "windows")]
    ledger.close()
    if windows + 1 <= WAITING_LIMIT:
        assert [sequence for sequence, _ in history] == [1, *range(1, windows + 3)]
    assert sum(requests for _, requests in history) == 3 + windows
    sick.error = UNAVAILABLE
    keeper = Keeper(path, make=make)
    keeper.tell_from(3 + windows)
    assert not keeper.window(1)
    assert [notice.kind for notice in keeper.said] == [kinds.LEDGER_UNAVAILABLE]
    sick.error = None
    keeper.close()


def check_few_windows_wait(keeper: Keeper, sick: Sick) -> None:
    sick.error = UNAVAILABLE
    most = 0
    for _ in range(WAITING_LIMIT + 1):
        assert not keeper.window(1, seconds=1)
        most = max(most, len(keeper.writer._pending.entries))
    assert most == WAITING_LIMIT


def check_tries_are_apart(keeper: Keeper, sick: Sick, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection is made anew every ten seconds, however often something is to be written."""
    sick.error = UNAVAILABLE
    second, tried = 0, list[int]()
    reopen = LedgerWriter._reopen

    def recorded(writer: LedgerWriter, ledger: Ledger) -> None:
        tried.append(second)
        reopen(writer, ledger)

    monkeypatch.setattr(LedgerWriter, "_reopen", recorded)
    for second in range(25):  # noqa: B007  `recorded` looks at it
        assert not keeper.window(1, seconds=1)
    assert tried == [1, 11, 21]


def check_landed(make: MakeWriter, path: Path, sick: Sick) -> None:
    """The disk has a commit that was said to have failed, as an fsync may. It is not written twice."""
    keeper = Keeper(path, make=make)
    keeper.window(1)
    sick.error, sick.lands = UNAVAILABLE, True
    assert not keeper.window(1)
    sick.lands = False
    assert not keeper.window(1)
    sick.error = None
    keeper.ledger.close()  # as where the disk was taken away, and put back
    assert keeper.window(1, seconds=REOPEN // SECOND)
    assert keeper.kinds() == [kinds.LEDGER_UNAVAILABLE, kinds.LEDGER_RESUMED]
    keeper.close()
    check_exact(path, 4)


def check_books_balance(make: MakeWriter, path: Path, sick: Sick) -> None:
    """A rotation in each of many commits that wait: of each line it is known which file it was in, or that
    this file is forgotten. Some were in the ledger before, and one of them was read on."""
    ledger = opened(path)
    ledger.commit([entry([1] * 40, retired=tuple(position(number, 10) for number in range(4)))], sequence=1)
    ledger.close()
    keeper = Keeper(path, make=make)
    assert keeper.restored() is not None
    sick.error = UNAVAILABLE
    read_on, commits = entry([1] * 5, retired=(position(3, 15),)), 3 * WAITING_LIMIT
    keeper.writer.commit([read_on], sequence=2, whole=list)
    for number in range(4, 4 + commits):
        told = entry([2] * 10, sequence=number, retired=(position(number, 10),), forgotten=(number - 4,))
        keeper.writer.commit([told], sequence=number, whole=list)
    sick.error = None
    assert keeper.writer.commit([entry([2])._replace(held=(position(1000, 1),))], sequence=1000, whole=list)
    lines = 40 + 5 + 10 * commits
    requests = sum(row[4] for row in rows(keeper.ledger.database, "totals"))
    known = [each.lines for each, _ in keeper.ledger.generations("access")]
    assert requests == lines + 1
    assert known == [10] * 4 + [1]
    assert keeper.ledger.forgotten("access") == (lines - 40, 0, 0)
    keeper.close()


# --- at the start
def test_a_ledger_that_can_only_be_read_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions and totals come from it; what is counted is written when that works again."""
    keeper = Keeper(path)
    keeper.window(3)
    keeper.close()

    def refuse(_: Database) -> None:
        raise LedgerUnavailable("Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "_open_writable", refuse)
        keeper = Keeper(path)
        assert keeper.kinds() == [kinds.LEDGER_UNAVAILABLE]
        assert not keeper.writer.is_written
        assert keeper.writer.sequence == 1
        restored = known(keeper.ledger)
        assert sum(counts.requests for counts in restored.totals.values()) == 3
        keeper.tell_from(3)
        assert not keeper.window(1)
        assert not keeper.window(1, seconds=REOPEN // SECOND)
        with pytest.raises(LedgerUnreadableError, match=r"it lacks what was counted of access since$"):
            keeper.restored()
        assert keeper.writer.restore("other", now=0, at=0) is None
    assert keeper.window(1, seconds=REOPEN // SECOND)
    assert keeper.kinds() == [kinds.LEDGER_UNAVAILABLE, kinds.LEDGER_RESUMED]
    keeper.close()
    check_exact(path, 6)


@contextmanager
def led_elsewhere(path: Path) -> Iterator[None]:
    """What stands there may be anybody's."""
    path.rename(other := path.with_name("other"))
    path.symlink_to(other)
    yield


def check_a_start_without_reading(path: Path, reason: str) -> None:
    """Whoever guessed where the reading ended would lose lines or repeat them."""
    keeper = Keeper(path)
    keeper.window(3)
    keeper.close()
    kept_away = led_elsewhere(path) if "link" in reason else locked(path, "EXCLUSIVE")
    with kept_away, pytest.raises(LedgerUnreadableError) as caught:
        Keeper(path)
    assert str(caught.value) == f"cannot read the ledger {path}: {reason}"
    assert caught.value.exit_code == 1


# --- what is set aside
def test_what_is_damaged_or_newer_is_set_aside(path: Path) -> None:
    contents = []
    for number in range(3):
        contents.append(b"no ledger %d" % number * 100)
        path.write_bytes(contents[-1])
        for companion in ("-wal", "-shm"):
            Path(f"{path}{companion}").write_bytes(contents[-1])
        keeper = Keeper(path)
        assert keeper.restored() is None
        assert keeper.writer.is_written
        suffix = f".{number}" if number else ""
        text = (
            f"the ledger {path} cannot be used: file is not a database; what is there is kept as "
            f"{path}.damaged-{STAMP}{suffix}; a new one is begun, and totals begin at 0"
        )
        assert [(notice.kind, notice.text) for notice in keeper.said] == [(kinds.LEDGER_SET_ASIDE, text)]
        assert keeper.window(2)
        keeper.close()
        check_exact(path, 2)
    kept = [f"{path}.damaged-{STAMP}{suffix}" for suffix in ("", ".1", ".2")]
    assert all(os.path.exists(f"{name}-shm") for name in kept)
    for suffix in ("", "-wal"):
        assert [Path(f"{name}{suffix}").read_bytes() for name in kept] == contents
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    newer = path.read_bytes()
    keeper = Keeper(path)
    assert keeper.kinds() == [kinds.LEDGER_SET_ASIDE]
    keeper.close()
    assert Path(f"{path}.newer-9-{STAMP}").read_bytes() == newer


def test_what_cannot_be_moved_is_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"no ledger" * 1000)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        keeper = Keeper(path)
        (notice,) = keeper.said
        assert notice.text == (
            f"cannot write the ledger {path}: file is not a database; it cannot be set aside: "
            "Permission denied; counting goes on in memory"
        )
        assert keeper.restored() is None
        assert not keeper.window(1)
        assert not keeper.window(1, seconds=REOPEN // SECOND)
        assert path.read_bytes() == b"no ledger" * 1000
    assert keeper.window(1, seconds=REOPEN // SECOND)
    assert keeper.kinds() == [kinds.LEDGER_UNAVAILABLE, kinds.LEDGER_SET_ASIDE, kinds.LEDGER_RESUMED]
    keeper.close()
    check_exact(path, 3)


# --- what is lost under way
def restore_a_backup(path: Path) -> None:
    """Over the file itself, as cp does."""
    backup = sqlite3.connect(path.with_name("backup"))
    with sqlite3.connect(path) as ledger:
        backup.backup(ledger)
    ledger.close()
    backup.close()


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(8192))


LOSSES: dict[Callable[[Path], object], Kind] = {
    Path.unlink: kinds.LEDGER_VANISHED,
    restore_a_backup: kinds.LEDGER_VANISHED,
    overwrite: kinds.LEDGER_SET_ASIDE,
}


def check_lost(make: MakeWriter, path: Path, lose: Callable[[Path], object]) -> None:
    """Totals and positions are all in the new ledger, and what was not written yet is in its history."""
    keeper = Keeper(path, make=make)
    keeper.window(3)
    with sqlite3.connect(path) as ledger, sqlite3.connect(path.with_name("backup")) as backup:
        ledger.backup(backup)
    ledger.close()
    backup.close()
    keeper.window(2)
    lose(path)
    before = {each: each.read_bytes() for each in path.parent.iterdir() if each == path}
    assert keeper.window(2)
    assert keeper.commit(1)
    assert keeper.kinds() == [LOSSES[lose]]
    assert keeper.writer.is_written
    aside = [each for each in path.parent.glob("ledger.db.*") if not each.name.endswith(COMPANIONS)]
    assert [each.read_bytes() for each in aside] == list(before.values())
    keeper.close()
    check_exact(path, 8)
    keeper = Keeper(path)
    assert keeper.writer.sequence == 3
    restored = known(keeper.ledger)
    assert restored.window == {key(7): Counts(1, 7)}
    assert [(row[0], row[7]) for row in rows(keeper.ledger.database, "windows")] == [(3, 1), (3, 1)]
    keeper.close()


def move_back(directory: Path) -> None:
    directory.with_name("elsewhere").rename(directory)


@pytest.mark.parametrize(
    ("there", "regain", "history"),
    [(True, move_back, [1, 2, 3, 4]), (True, Path.mkdir, [2, 3, 4]), (False, Path.mkdir, [1, 2, 3])],
)
def test_a_directory_that_is_not_there_for_a_while(
    there: bool, regain: Callable[[Path], object], history: list[int], tmp_path: Path
) -> None:
    """It is moved away and back, or made anew; or there is none yet."""
    path = tmp_path / "state" / "ledger.db"
    if there:
        path.parent.mkdir()
    keeper = Keeper(path)
    if there:
        keeper.window(1)
        path.parent.rename(tmp_path / "elsewhere")
    else:
        assert keeper.restored() is None
    assert not keeper.window(1)
    assert not keeper.window(1)
    assert not keeper.writer.is_written
    regain(path.parent)
    assert keeper.window(1, seconds=REOPEN // SECOND)
    outage = [kinds.LEDGER_UNAVAILABLE, kinds.LEDGER_RESUMED]
    assert keeper.kinds() == ([kinds.LEDGER_VANISHED, *outage] if there else outage)
    assert [row[0] for row in rows(keeper.ledger.database, "windows")] == history
    assert sorted(os.listdir(path.parent)) == ["ledger.db", "ledger.db-shm", "ledger.db-wal"]
    keeper.close()
    check_exact(path, 3 + there)


def check_two_services(make: MakeWriter, tmp_path: Path, connected: bool) -> None:
    """The directory of one is moved away, and another begins in a new one: neither touches the other's."""
    path = tmp_path / "state" / "ledger.db"
    keepers, directories = [], []
    for number in range(2):
        directories.append(StateDirectory(str(path.parent)))
        directories[-1].acquire()
        keepers.append(Keeper(path, make=partial(make, is_ours=directories[-1].is_held)))
        assert keepers[-1].window(1)
        if number == 0:
            path.parent.rename(tmp_path / "elsewhere")
    first, second = keepers
    if not connected:  # as after other trouble
        first.ledger.close()
    try:
        for _ in range(5):
            assert not first.window(1, seconds=REOPEN // SECOND)
            assert second.window(1)
        reason = f"{path.parent} is gone, or another process uses what is there now"
        reason = reason if connected else "it is not open"
        text = f"cannot write the ledger {path}: {reason}; counting goes on in memory"
        assert [notice.text for notice in first.said] == [text]
        assert first.ledger.is_open == connected
        assert second.said == []
        assert sorted(os.listdir(path.parent)) == ["ledger.db", "ledger.db-shm", "ledger.db-wal"]
    finally:
        for keeper, directory in zip(keepers, directories, strict=True):
            keeper.close()
            directory.release()
    check_exact(path, 6)


def check_begins_nothing(make: MakeWriter, path: Path) -> None:
    """The directory was lost between the lock and the opening."""
    keeper = Keeper(path, make=partial(make, is_ours=lambda: False))
    assert keeper.kinds() == [kinds.LEDGER_UNAVAILABLE]
    keeper.close()
    assert not path.exists()


def check_a_new_ledger_is_begun_once(make: MakeWriter, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has all, though the disk said no; and at the next try the connection is no more."""
    keeper = Keeper(path, make=make)
    keeper.window(2)
    path.unlink()
    begin = Ledger.begin

    def land(ledger: Ledger, *arguments: Any, **keywords: Any) -> None:
        begin(ledger, *arguments, **keywords)
        ledger.number = 0
        monkeypatch.setattr(Ledger, "begin", refuse)
        raise UNAVAILABLE

    def refuse(*_: object, **__: object) -> None:
        monkeypatch.setattr(Ledger, "begin", begin)
        raise UNAVAILABLE

    monkeypatch.setattr(Ledger, "begin", land)
    assert not keeper.window(1)
    assert keeper.window(1, seconds=REOPEN // SECOND)
    assert keeper.kinds() == [kinds.LEDGER_VANISHED, kinds.LEDGER_UNAVAILABLE, kinds.LEDGER_RESUMED]
    keeper.close()
    check_exact(path, 4)


def test_the_balance_of_a_new_ledger(keeper: Keeper, path: Path) -> None:
    """Lines of generations that were forgotten before are still accounted for."""
    keeper.window(2)
    path.unlink()
    told = entry([9], sequence=2)
    whole = entry([1, 2, 3, 9], sequence=0, rejected=2, beside=Beside(directives=3))
    assert keeper.writer.commit([told], sequence=2, whole=lambda: [whole])
    assert keeper.ledger.forgotten("access") == (9, 2, 3)


test_promise, test_twin = promises(
    Promise(check_outage, LedgerWriter, [broken.Drops, broken.Repeats, broken.SaysEach]),
    Promise(check_outage, LedgerWriter, [], windows=3 * WAITING_LIMIT),
    Promise(
        check_few_windows_wait,
        None,
        [
            Doubled(
                "ledger.outbox:WAITING_LIMIT",
                by=Patches((writer, "Outbox", partial(Outbox, limit=2 * WAITING_LIMIT))),
            )
        ],
    ),
    Promise(check_tries_are_apart, None, [Doubled("ledger.writer:REOPEN")]),
    Promise(check_landed, LedgerWriter, [broken.ForgetsTheNumber]),
    Promise(
        check_a_new_ledger_is_begun_once,
        LedgerWriter,
        [twin(LedgerWriter, "begins again", "_reopen", then=sets(_is_empty=True))],
    ),
    Promise(check_books_balance, LedgerWriter, [broken.ForgetsWhatItRestored]),
    *(Promise(check_lost, LedgerWriter, [broken.Doubles, broken.Overwrites], lose=lose) for lose in LOSSES),
    Promise(check_two_services, LedgerWriter, [broken.TakesAnyDirectory], connected=True),
    Promise(check_two_services, LedgerWriter, [broken.TakesAnyDirectory], connected=False),
    Promise(check_begins_nothing, LedgerWriter, [broken.TakesAnyDirectory]),
    Promise(check_what_is_dropped_is_said_once_a_day, None, [Doubled("ledger.writer:DROPPED_SAID_EVERY")]),
    Promise(check_a_start_without_reading, None, {}, reason="database is locked"),
    Promise(
        check_a_start_without_reading,
        None,
        {"takes it": Patches((database, "_require_own_files", nothing), (database, "_FLAGS", os.O_CLOEXEC))},
        caught=(LedgerError,),
        reason="ledger.db is a symbolic link",
    ),
)
