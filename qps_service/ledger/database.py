"""The ledger's file as SQLite sees it: opened, checked, written in whole transactions, closed.

The write-ahead log (journal_mode=WAL) is used because a reader never holds up the writer, nor the
writer a reader: `qps-reporter audit` and users' queries work while the service runs, also without any
right to write (https://sqlite.org/wal.html). The price: `-wal` and `-shm` stand beside the file while
it is open, and it must be on a local file system.

synchronous=FULL has the write-ahead log synced at each commit, so that a commit which was reported
survives the loss of power. With NORMAL the file would be as sound, but the last commits could be
gone and totals go backwards (https://sqlite.org/pragma.html#pragma_synchronous). One fdatasync in ten
seconds is cheap. SQLite also syncs the directory when it creates the write-ahead log, after the file.

Only one connection writes, so that none of SQLite's trouble with several writers concerns us.
"""

import errno
import fcntl
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from qps_service.ledger.durations import Sum, add_durations, decode
from qps_service.ledger.schema import APPLICATION_ID, DURATIONS_SINCE, VERSION, advance, tables, tables_of

# How long to wait for another program's lock: a transaction of a user's shell is over by then, and
# neither the reading of logs nor the watchdog (30 s) notices.
BUSY = 0.25  # seconds
# The write-ahead log is copied into the file when it has so many pages of 4 KiB: small enough for the
# smallest limit on the ledger's size, large enough to sync the file only every dozen commits.
CHECKPOINT = 256  # pages
WAL_LIMIT = 1 << 20  # bytes; what it is cut to after it had to grow beyond that
# What a reader copies at most: half of what the unit may use.
COPY_LIMIT = 128 << 20  # bytes
INSTRUCTIONS = 20_000  # of SQLite's machine between two looks at whether it is too late: a millisecond's
MAGIC = b"SQLite format 3\0"
COMPANIONS = ("-wal", "-shm", "-journal")
# SQLite opens the companions without following links, too, but the ledger itself through them (robust_open
# and unixFullPathname in https://sqlite.org/src/file/src/os_unix.c), and Python can't ask it for
# SQLITE_OPEN_NOFOLLOW. Nobody is waited for at the other end of a FIFO.
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# It names the file, and no lock ends when it is closed (open(2)).
_NAMED = os.O_PATH | _FLAGS
# The bytes that SQLite's readers lock (https://sqlite.org/src/file/src/os.h: SHARED_FIRST, SHARED_SIZE).
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510

# What a start reads of them; others are decoded where they are merged or asked for.
_DURATIONS_TO_GO_ON_WITH = """SELECT durations FROM total_latency UNION ALL
    SELECT latency.durations FROM latency JOIN period ON period.id = latency.period
    WHERE sequence > (SELECT value FROM meta WHERE name = 'sequence')"""

# The first byte of SQLite's result codes (https://sqlite.org/rescode.html).
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT}


class LedgerError(Exception):
    """Root of what can be wrong with a ledger; its text is the reason, for people."""


class LedgerUnavailable(LedgerError):  # noqa: N818 - it is a state, and may pass
    """It can't be opened, read or written now: locked, read-only, full, no permission, I/O error."""


class LedgerMissing(LedgerUnavailable):
    """There is none, or nothing in it yet, and none can be begun."""


class LedgerSlow(LedgerUnavailable):
    """A question was given up, since it took too long (`give_up_when`)."""


class LedgerForeign(LedgerUnavailable):
    """Somebody else may have put it there: it leads elsewhere, or is neither ours nor root's."""


class LedgerDamaged(LedgerError):  # noqa: N818 - likewise
    """What is there is no ledger, or no longer a sound one."""


class LedgerTooNew(LedgerError):  # noqa: N818 - likewise
    """It was written by a later version of this program."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(f"it has schema {version}, this program knows schemas up to {VERSION}")


class LedgerVanished(LedgerError):  # noqa: N818 - likewise
    """The file at the path is not the one that was opened, or not as it was left."""


class Database:
    """One connection. Every method raises LedgerError where SQLite or the kernel would fail otherwise."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        # Held from before the connection until after it: closing a descriptor of the file ends all locks that
        # the process has on it (fcntl(2)), also those of readers in other threads. Theirs are no such
        # descriptors (_NAMED).
        self._file: int | None = None
        self._scans = True  # whether the whole file is looked through for damage where it is opened
        self._copies = True  # whether one of an older schema is copied, to be read
        self._places: dict[str, tuple[int, int] | None] = {}  # path -> device, inode when it was opened

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection, for reading."""
        if self._connection is None:
            raise LedgerUnavailable("it is not open")
        return self._connection

    def open(self, *, writable: bool, scan: bool = True, copies: bool = True) -> None:
        """Open it and check that it is sound, without `scan` only that it is a ledger: a page that is damaged
        is noticed where it is read. Writable, it is created if it is missing or empty, with mode
        0640 less the umask, and brought to this program's schema. Else nothing is written, not even beside
        it; one of an older schema is seen as it is at this moment, and without `copies` refused."""
        self._scans, self._copies = scan, copies
        try:
            with translated():
                if writable:
                    self._open_writable()
                else:
                    self._open_readable()
                    self._read_through()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close it; the last to do so leaves one file, with the write-ahead log copied into it."""
        self._places = {}
        self._disconnect()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is executed within is written, or nothing."""
        with translated():
            self._check_place()
            connection = self.connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """All that is read within is of one commit; within another, of that one's."""
        with translated():
            connection = self.connection
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def give_up_when(self, is_late: Callable[[], bool]) -> None:
        """From now on what is asked ends with LedgerSlow as soon as this says so."""
        self.connection.set_progress_handler(is_late, INSTRUCTIONS)

    def _open_writable(self) -> None:
        _require_own_files(self.path, writable=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o640)
        # Of a process that was killed while it began the ledger: only who may write can undo that.
        is_unfinished = bool(_size(self.path + "-journal"))
        if os.fstat(self._file).st_size and not is_unfinished:
            # First without the right to write: it would copy the write-ahead log into what may be damaged.
            self._connect("mode=ro")
            with suppress(LedgerMissing):
                self._check()
            self._disconnect()
        elif _size(self.path + "-wal") and not is_unfinished:
            raise LedgerDamaged("the file is empty, but not its write-ahead log")
        connection = self._connect("mode=rw")
        if is_unfinished:
            with suppress(LedgerMissing):
                self._check()
        # Deleted rows are no secrets; overwriting them would double what pruning writes.
        connection.execute("PRAGMA secure_delete = OFF")
        if self._is_new():
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        if (mode := self._value("PRAGMA journal_mode = WAL")) != "wal":
            raise LedgerUnavailable(f"its journal mode is {mode}, and can't be made wal")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        self._advance(connection)
        self._places = {path: _place(path) for path in (self.path, f"{self.path}-wal", f"{self.path}-shm")}
        _let_group_read(self._places)

    def _open_readable(self) -> None:
        """SQLite reads beside a writer by way of the shared memory `-shm`, which must be there. Where it is
        not, no service has the file open; it is whole if there is no write-ahead log either."""
        _require_own_files(self.path, writable=False)
        self._file = os.open(self.path, _NAMED)
        if not os.access(self.path, os.R_OK):  # SQLite would not say why
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if not os.fstat(self._file).st_size:
            raise LedgerMissing("there is nothing in it yet")
        if os.path.exists(self.path + "-shm") or _size(self.path + "-wal"):
            try:
                self._connect("mode=ro")
                self._check()
            except sqlite3.OperationalError:
                if _size(self.path + "-wal"):
                    # Without the log the file would be as it was some commits ago.
                    raise
            else:
                return
            self._disconnect()
        # SQLite itself will take no locks now; somebody may have it to himself (locking_mode=EXCLUSIVE).
        os.close(self._file)
        self._file = os.open(self.path, os.O_RDONLY | _FLAGS)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        except BlockingIOError:
            raise LedgerUnavailable("database is locked") from None
        self._connect("immutable=1")
        self._check()

    def _read_through(self) -> None:
        """Who reads an older schema writes nothing to it: a copy in memory takes the steps."""
        if (version := self._value("PRAGMA user_version")) == VERSION:
            return
        limit = COPY_LIMIT if self._copies else 0
        if self._value("PRAGMA page_count") * self._value("PRAGMA page_size") > limit:
            raise LedgerUnavailable(
                f"it has schema {version}, and the service brings it to {VERSION} at its next start"
            )
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        try:
            self.connection.backup(copy)
            self._advance(copy)
            copy.execute("PRAGMA query_only = ON")
        except BaseException:
            copy.close()
            raise
        self._disconnect()
        self._connection = copy

    def _advance(self, connection: sqlite3.Connection) -> None:
        """Take the steps that are missing. That a sound ledger refuses one does not make it a damaged one."""
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == VERSION:
            return
        try:
            advance(connection, version)
        except (sqlite3.OperationalError, sqlite3.IntegrityError) as error:
            if not version:
                raise
            text = f"it has schema {version}, and can't be brought to {VERSION}: {error}"
            raise LedgerUnavailable(text) from error

    def _connect(self, how: str) -> sqlite3.Connection:
        name = self.path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        self._connection = sqlite3.connect(
            f"file:{name}?{how}", uri=True, isolation_level=None, timeout=BUSY, check_same_thread=False
        )
        self._connection.create_function("add_durations", 2, add_durations, deterministic=True)
        self._connection.create_aggregate("sum_durations", 1, Sum)  # type: ignore[arg-type]
        # Sorting must not need space on a disk that may be full.
        self._connection.execute("PRAGMA temp_store = MEMORY")
        ((opened,),) = self._connection.execute("SELECT CAST(file AS BLOB) FROM pragma_database_list")
        if self._file is not None and not os.path.samestat(os.stat(opened), os.fstat(self._file)):
            raise LedgerForeign("another file came into its place meanwhile")
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _is_new(self) -> bool:
        tables = "SELECT count(*) FROM sqlite_master"
        return not any(map(self._value, ("PRAGMA application_id", "PRAGMA user_version", tables)))

    def _check(self) -> None:
        if self._is_new():
            raise LedgerMissing("there is nothing in it yet")
        if self._value("PRAGMA application_id") != APPLICATION_ID:
            raise LedgerDamaged("it is another program's database")
        version = self._value("PRAGMA user_version")
        if version > VERSION:
            raise LedgerTooNew(version)
        if version < 1:
            raise LedgerDamaged(f"it has schema {version}, which there is not")
        if self._scans and (found := self._value("PRAGMA quick_check(1)")) != "ok":
            raise LedgerDamaged(found.splitlines()[-1])
        if missing := tables(version).difference(tables_of(self.connection)):
            raise LedgerDamaged(f"it lacks {', '.join(sorted(missing))}")
        if self._scans and version >= DURATIONS_SINCE:
            for (durations,) in self.connection.execute(_DURATIONS_TO_GO_ON_WITH):
                decode(durations)

    def _value(self, query: str) -> Any:
        return self.connection.execute(query).fetchone()[0]

    def _check_place(self) -> None:
        """What is written to a file without a name would be lost."""
        for path, place in self._places.items():
            if _place(path) != place:
                state = "was replaced" if os.path.exists(path) else "is gone"
                raise LedgerVanished(f"{os.path.basename(path)} {state}")
        if self._file is not None and os.pread(self._file, len(MAGIC), 0) != MAGIC:
            raise LedgerDamaged("it does not begin like a database any longer")


@contextmanager
def translated() -> Iterator[None]:
    """SQLite's and the kernel's errors as LedgerError."""
    try:
        yield
    except FileNotFoundError as error:
        raise LedgerMissing(str(error.strerror)) from error
    except OSError as error:
        raise LedgerUnavailable(str(error.strerror)) from error
    except OverflowError as error:  # a number of more than 64 bits
        raise LedgerUnavailable(str(error)) from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_INTERRUPT:
            raise LedgerSlow("the answer would take too long") from error
        raise (LedgerDamaged if code in _DAMAGED else LedgerUnavailable)(str(error)) from error


def _require_own_files(path: str, *, writable: bool) -> None:
    """Raises LedgerForeign where one of the ledger's files leads elsewhere, or was put there by somebody who
    is neither root nor us. Who only reads takes anybody's files."""
    ours = (0, os.geteuid())
    directory = os.stat(os.path.dirname(path))
    is_shared = directory.st_uid not in ours or directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    for suffix in ("", *COMPANIONS):
        try:
            status = os.lstat(path + suffix)
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode):
            what = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "no regular file"
        elif status.st_nlink > 1 and is_shared and (writable or suffix == "-shm"):  # readers write to that
            what = "a file with another name, in a directory that others may write to"
        elif writable and status.st_uid not in ours:
            what = f"a file of user {status.st_uid}"
        else:
            continue
        raise LedgerForeign(f"{os.path.basename(path)}{suffix} is {what}")


def _let_group_read(paths: Iterable[str]) -> None:
    """Ledgers of before were made with another umask; this process's decides. What was not there has its
    mode from the ledger, as SQLite does it."""
    umask = os.umask(0o077)
    os.umask(umask)
    for path in paths:
        with suppress(OSError):  # it is not there yet, or root's
            mode = stat.S_IMODE(os.stat(path).st_mode)
            if not (umask | mode) & stat.S_IRGRP:
                os.chmod(path, mode | stat.S_IRGRP)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _place(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
