"""The ledger's file: who may read it and when, what is refused, what is noticed under way."""

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest

from qps_service.ledger import database
from qps_service.ledger.database import (
    BUSY,
    COMPANIONS,
    WAL_LIMIT,
    Database,
    LedgerDamaged,
    LedgerError,
    LedgerForeign,
    LedgerMissing,
    LedgerTooNew,
    LedgerUnavailable,
    LedgerVanished,
)
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.schema import APPLICATION_ID, VERSION
from qps_service.values.entries import Loss
from tests.ledgers import BOOT, entry, opened, requests_seen_by_nobody, rows, writing
from tests.limits import Doubled
from tests.promised import Patches, Promise, nothing, promises

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can look as another user")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that the group may read, with nothing in it."""
    tmp_path.chmod(0o750)
    return tmp_path


@pytest.fixture
def path(place: Path) -> Path:
    return place / "ledger.db"


# --- its names and modes
def test_its_mode_leaves_others_out(place: Path, path: Path) -> None:
    ledger = opened(path)
    ledger.commit([entry([1])], sequence=1)
    assert {stat.S_IMODE(os.stat(each).st_mode) & ~0o640 for each in place.iterdir()} == {0}
    assert len(list(place.iterdir())) == 3
    ledger.close()
    assert list(place.iterdir()) == [path]


def test_a_stricter_umask_is_heeded(path: Path) -> None:
    before = os.umask(0o077)
    try:
        opened(path).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


@pytest.mark.parametrize("name", ["a?mode=memory", "a%20b", "a#b", "ü", "\udcff"])
def test_any_path_will_do(name: str, place: Path) -> None:
    directory = place / name
    directory.mkdir()
    ledger = opened(directory / "ledger.db")
    ledger.commit([entry([1])], sequence=1)
    ledger.close()
    assert os.listdir(directory) == ["ledger.db"]
    ledger.open(writable=False)
    assert ledger.sequence == 1
    ledger.close()


def test_it_is_synced_at_each_commit(ledger: Ledger) -> None:
    assert ledger.database.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger.database.connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def check_write_ahead_log_is_cut(ledger: Ledger, path: Path) -> None:
    """It grew with one large commit; the next but one finds it copied, and writes at its start."""
    large = Loss(1, "x" * 3 * WAL_LIMIT, "/n", None)
    ledger.commit([entry([])._replace(losses=(large,))], sequence=1)
    assert os.stat(f"{path}-wal").st_size > 2 * WAL_LIMIT
    for number in (2, 3):
        ledger.commit([entry([1], sequence=number)], sequence=number)
    assert os.stat(f"{path}-wal").st_size == WAL_LIMIT


# --- what is no ledger, or not now
def check_refusals(path: Path) -> None:
    """Each with its own error, and untouched."""
    sound = path.with_name("sound")
    ledger = opened(sound)
    ledger.commit([entry(range(2000))], sequence=1)
    ledger.close()
    text = sound.read_bytes()

    def changed(*statements: str) -> bytes:
        path.write_bytes(text)
        with sqlite3.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.close()
        return path.read_bytes()

    def foreign() -> bytes:
        path.unlink(missing_ok=True)
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE recipe (name)")
        connection.close()
        return path.read_bytes()

    for content, error, reason in (
        (b"not a database" * 100, LedgerDamaged, "file is not a database"),
        (text[:4096] + os.urandom(len(text) - 4096), LedgerDamaged, None),
        (text[: len(text) // 2], LedgerDamaged, None),
        (text[: len(text) - 4096 * 3] + b"\xff" * 4096 * 3, LedgerDamaged, None),
        (foreign(), LedgerDamaged, "it is another program's database"),
        (changed("DROP TABLE total"), LedgerDamaged, "it lacks total"),
        (
            changed(f"PRAGMA user_version = {VERSION + 1}"),
            LedgerTooNew,
            f"it has schema {VERSION + 1}, this program knows schemas up to {VERSION}",
        ),
        (changed("PRAGMA user_version = 0"), LedgerDamaged, "it has schema 0, which there is not"),
        (changed("PRAGMA application_id = 7"), LedgerDamaged, "it is another program's database"),
    ):
        for writable in (True, False):
            path.write_bytes(content)
            ledger = Ledger(str(path), boot=BOOT)
            with pytest.raises(error) as caught:
                ledger.open(writable=writable)
            assert type(caught.value) is error
            assert reason is None or str(caught.value) == reason
            assert path.read_bytes() == content
            assert not ledger.is_open


def test_an_empty_file_with_a_write_ahead_log_is_damaged(path: Path) -> None:
    ledger = opened(path)
    ledger.commit([entry([1])], sequence=1)
    log = path.with_name("ledger.db-wal").read_bytes()
    ledger.close()
    path.write_bytes(b"")
    path.with_name("ledger.db-wal").write_bytes(log)
    with pytest.raises(LedgerDamaged, match=r"^the file is empty, but not its write-ahead log$"):
        ledger.open()
    assert path.with_name("ledger.db-wal").read_bytes() == log


def test_a_rollback_journal_beside_it_hides_no_newer_schema(path: Path) -> None:
    """Somebody changed its journal mode, and was killed in a transaction: only a writer can undo that."""
    origin = path.with_name("origin")
    opened(origin).close()
    connection = sqlite3.connect(origin, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE meta SET value = 7")
    for suffix in ("", "-journal"):
        path.with_name(f"ledger.db{suffix}").write_bytes(origin.with_name(f"origin{suffix}").read_bytes())
    connection.close()
    assert path.with_name("ledger.db-journal").stat().st_size
    with pytest.raises(LedgerTooNew):
        opened(path)


@pytest.mark.parametrize("content", [None, b""])
def test_what_is_not_there_is_begun_only_to_be_written(
    content: bytes | None, place: Path, path: Path
) -> None:
    if content is not None:
        path.write_bytes(content)
    ledger = Ledger(str(path), boot=BOOT)
    with pytest.raises(LedgerMissing):
        ledger.open(writable=False)
    assert os.listdir(place) == ([] if content is None else ["ledger.db"])
    ledger.open()
    assert (ledger.sequence, ledger.number, ledger.logs()) == (0, 0, [])
    ledger.close()
    ledger.open(writable=False)
    ledger.close()


# --- the file under way
def replace(path: Path) -> None:
    other = path.with_name("other")
    opened(other).close()
    other.rename(path)


def write_by_hand(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = 7 WHERE name = 'number'")
    connection.close()


VANISHINGS: dict[str, Callable[[Path], object]] = {
    "unlinked": Path.unlink,
    "moved": lambda path: path.rename(path.with_name("moved")),
    "replaced": replace,
    "the write-ahead log unlinked": lambda path: path.with_name("ledger.db-wal").unlink(),
    "the shared memory unlinked": lambda path: path.with_name("ledger.db-shm").unlink(),
    "the directory moved": lambda path: path.parent.rename(f"{path.parent} elsewhere"),
    "written by somebody else": write_by_hand,
}


def check_vanished(tmp_path: Path, how: str) -> None:
    """Nothing is written to another file."""
    path = tmp_path / "state" / "ledger.db"
    path.parent.mkdir()
    ledger = opened(path)
    ledger.commit([entry([1])], sequence=1)
    VANISHINGS[how](path)
    with pytest.raises(LedgerVanished):
        ledger.commit([entry([2], sequence=2)], sequence=2)
    ledger.close()


def test_an_overwritten_beginning_is_seen(ledger: Ledger, path: Path) -> None:
    ledger.commit([entry([1])], sequence=1)
    os.truncate(path, 0)
    with pytest.raises(LedgerDamaged):
        ledger.commit([entry([2], sequence=2)], sequence=2)


# --- files that lead elsewhere, or are somebody else's
def family(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + suffix) for suffix in COMPANIONS)]


def lay(path: Path, to: Path) -> None:
    """Put a symbolic link there."""
    path.unlink(missing_ok=True)
    path.symlink_to(to)


def check_links(path: Path) -> None:
    """Neither the writer nor a reader goes where a link says that lies in the place of one of its files:
    nothing is made there, and nothing that is there is changed."""
    ledger = opened(path)
    ledger.commit([entry([1])], sequence=1)
    ledger.close()
    sound = path.read_bytes()
    for each in family(path):
        for content in (None, b"", sound, sound * 2):
            there = path.with_name("there")
            there.unlink(missing_ok=True)
            if content is not None:
                there.write_bytes(content)
            lay(each, there)
            for writable in (True, False):
                with pytest.raises(LedgerForeign, match=rf"^{each.name} is a symbolic link$"):
                    Ledger(str(path), boot=BOOT).open(writable=writable)
            assert there.exists() == (content is not None)
            assert content is None or there.read_bytes() == content
        each.unlink()
        path.write_bytes(sound)


def check_pipes(path: Path) -> None:
    """Nobody is waited for at the other end."""
    for each in family(path):
        os.mkfifo(each)
        for writable in (True, False):
            with pytest.raises(LedgerForeign, match=rf"^{each.name} is no regular file$"):
                Ledger(str(path), boot=BOOT).open(writable=writable)
        each.unlink()


def check_other_names(path: Path) -> None:
    """Where others may write, what has another name may be anybody's; else it is the administrator's."""
    opened(path).close()
    path.with_name("copy").hardlink_to(path)
    opened(path).close()
    for mode in (0o770, 0o777, 0o1777):
        path.parent.chmod(mode)
        with pytest.raises(
            LedgerForeign, match=r"^ledger.db is a file with another name, in a directory that"
        ):
            opened(path)
        shared = path.with_name("ledger.db-shm")
        shared.hardlink_to(path)
        with pytest.raises(
            LedgerForeign, match=r"^ledger.db-shm is a file with another name, in a directory"
        ):
            Ledger(str(path), boot=BOOT).open(writable=False)
        shared.unlink()


def check_owners(path: Path) -> None:
    """Who writes takes root's and its own; who reads takes anybody's."""
    for number, each in enumerate(family(path)):
        opened(path).close()
        each.touch()
        os.chown(each, 4711, -1)
        with pytest.raises(LedgerForeign, match=rf"^{each.name} is a file of user 4711$"):
            opened(path)
        if number == 0:
            reader = Ledger(str(path), boot=BOOT)
            reader.open(writable=False)
            reader.close()
        each.unlink()


def check_replaced_in_the_act(path: Path) -> None:
    """SQLite opens the file that was looked at, or none."""
    other = path.with_name("other")
    opened(other).close()
    before, connect = other.read_bytes(), sqlite3.connect

    def late(*arguments: Any, **named: Any) -> Any:
        lay(path, other)
        return connect(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", late)
        for writable in (True, False):
            path.unlink(missing_ok=True)
            path.write_bytes(before)
            with pytest.raises(LedgerForeign):
                Ledger(str(path), boot=BOOT).open(writable=writable)
    assert other.read_bytes() == before


OWN_FILES = "_require_own_files"
FOLLOWS = Patches((database, OWN_FILES, nothing), (database, "_FLAGS", os.O_CLOEXEC))
WAITS_NOT = Patches((database, OWN_FILES, nothing), (database, "_FLAGS", os.O_NONBLOCK))
ROOT_ONLY = Patches((os, "geteuid", lambda: 4711))


def reader_takes_links(path: str, *, writable: bool) -> None:
    if writable:
        real(path, writable=True)


real = database._require_own_files

test_foreign_files, test_foreign_files_twin = promises(
    Promise(
        check_links,
        None,
        {"follows": FOLLOWS, "reader follows": Patches((database, OWN_FILES, reader_takes_links))},
        caught=(LedgerError,),
    ),
    Promise(check_pipes, None, {"opens": WAITS_NOT}, caught=(LedgerError,)),
    {
        check_other_names: {"takes any": FOLLOWS},
        check_replaced_in_the_act: {"never alike": Patches((os.path, "samestat", lambda *_: True))},
    },
)
test_foreign_owners, test_foreign_owners_twin = map(
    needs_root, promises(Promise(check_owners, None, {"any owner": FOLLOWS, "as that user": ROOT_ONLY}))
)


# --- other readers
@needs_root
def test_an_unprivileged_reader(place: Path, path: Path) -> None:
    """While the service runs, after it was killed, and after a clean stop: always the last commit."""
    with writing(path) as service:
        assert requests_seen_by_nobody(path) == 1000
        service.kill()
    assert set(os.listdir(place)) == {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
    assert requests_seen_by_nobody(path) == 1000
    with writing(path):
        pass
    assert os.listdir(place) == ["ledger.db"]
    assert requests_seen_by_nobody(path) == 3000
    assert os.listdir(place) == ["ledger.db"]


@needs_root
def test_a_reader_is_never_shown_an_old_state(path: Path) -> None:
    """The write-ahead log is there, but what it takes to read it is not and can't be made: the file alone
    would be as it was before the last commits."""
    with writing(path) as service:
        service.kill()
    path.with_name("ledger.db-shm").unlink()
    answer = requests_seen_by_nobody(path)
    assert answer == "LedgerUnavailable: unable to open database file"
    opened(path).close()
    assert requests_seen_by_nobody(path) == 1000


@needs_root
def test_a_reader_without_permission_is_told(path: Path) -> None:
    opened(path).close()
    os.chmod(path, 0o600)
    assert requests_seen_by_nobody(path) == "LedgerUnavailable: Permission denied"


def check_reader_and_writer(ledger: Ledger, path: Path) -> None:
    """Neither waits for the other, and the reader sees one commit throughout."""
    ledger.commit([entry([1])], sequence=1)
    reader = Ledger(str(path), boot=BOOT)
    reader.open(writable=False)
    with reader.snapshot():
        before = reader.restore("access", now=0, at=0)
        ledger.commit([entry([1], sequence=2)], sequence=2)
        assert reader.restore("access", now=0, at=0) == before
        assert reader.generations("access") == []
    assert reader.restore("access", now=0, at=0) != before
    reader.close()
    ledger.commit([entry([1], sequence=3)], sequence=3)


def check_who_writes_is_alone(ledger: Ledger, path: Path) -> None:
    """From the start on, before anything is written: what was read then is what stands there."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
        with ledger.database.transaction(), pytest.raises(sqlite3.OperationalError, match="is locked"):
            other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")


def check_readers_apart(path: Path) -> None:
    """Another reader in the same process comes and goes, and the writer ends: a snapshot stays as it was."""
    first, second = (Ledger(str(path), boot=BOOT) for _ in range(2))
    with writing(path) as service:
        first.open(writable=False)
        with first.snapshot():
            before = first.restore("access", now=0, at=0)
            second.open(writable=False)
            second.close()
            service.communicate()
            assert path.with_name("ledger.db-wal").exists(), "it was copied into the file beneath the reader"
            assert first.restore("access", now=0, at=0) == before
        first.close()


def with_a_rollback_journal(database: Database) -> None:
    """It would be as safe, but for this."""
    open_writable(database)
    database.connection.execute("PRAGMA journal_mode = DELETE")
    database._places = {}


open_writable = Database._open_writable
ROLLBACK_JOURNAL = Patches(
    (Database, "_open_writable", with_a_rollback_journal),
    (Database, "_open_readable", lambda database: database._connect("mode=ro")),
)


def check_a_lock_is_waited_for_a_moment(ledger: Ledger) -> None:
    """SQLite is told for how long, in milliseconds."""
    assert ledger.database.connection.execute("PRAGMA busy_timeout").fetchone() == (BUSY * 1000,)


def test_the_file_names_itself(path: Path) -> None:
    opened(path).close()
    header = (path).read_bytes()[:100]
    assert header[68:72] == APPLICATION_ID.to_bytes(4, "big") == b"QPSR"
    assert header[60:64] == VERSION.to_bytes(4, "big")


# --- values that SQLite has no room for
def check_large_numbers(ledger: Ledger) -> None:
    """A number of more than 64 bits costs a commit, not the service; the ledger stays as it was."""
    ledger.commit([entry([1])], sequence=1)
    with pytest.raises(LedgerUnavailable, match="too large"):
        ledger.commit([entry([2], ended=1 << 70)], sequence=2)
    ledger.commit([entry([3])], sequence=2)
    ledger.close()
    ledger.open(writable=False)
    assert len(rows(ledger.database, "totals")) == 2


NOBODY_LOOKS = Patches((Database, "_check_place", lambda _: None), (Ledger, "_check_number", lambda *_: None))

test_promise, test_twin = promises(
    Promise(
        check_refusals, None, [Patches((Database, "_check", lambda _: None))], (sqlite3.Error, LedgerError)
    ),
    *(
        Promise(check_vanished, None, [NOBODY_LOOKS], (LedgerDamaged, LedgerUnavailable), how=how)
        for how in VANISHINGS
    ),
    {
        check_write_ahead_log_is_cut: [Doubled("ledger.database:WAL_LIMIT")],
        check_a_lock_is_waited_for_a_moment: [Doubled("ledger.database:BUSY")],
        check_who_writes_is_alone: {"as a reader": Patches((Database, "transaction", Database.snapshot))},
        check_readers_apart: {
            "closes the file": Patches((database, "_NAMED", os.O_RDONLY | database._FLAGS))
        },
    },
    Promise(
        check_reader_and_writer, None, {"rollback journal": ROLLBACK_JOURNAL}, caught=(LedgerUnavailable,)
    ),
    Promise(check_large_numbers, None, [Patches((database, "translated", nullcontext))], (OverflowError,)),
)
