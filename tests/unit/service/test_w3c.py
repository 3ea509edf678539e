"""A followed log that tells its own format: whatever happens to its file, and to whoever follows it, each row
is read by the #Fields that stands above it in its own file, and the books balance."""

import gzip
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qps_service.auditing.audit import audit
from qps_service.configuration.loader import Flags, load
from qps_service.configuration.types import LogConfig
from qps_service.files.kernel import Files
from qps_service.following.generation import Generation
from qps_service.following.resume import InheritedFile, Resume
from qps_service.formats import w3c
from qps_service.ledger import ledger as ledger_module
from qps_service.ledger import rows
from qps_service.ledger.ledger import Ledger
from qps_service.scanning.w3c import W3cScanner
from qps_service.service import pipeline
from qps_service.service.pipeline import LogPipeline
from tests.promised import Patches, Promise, promises

SECOND = 10**9
A = b"#Fields: date time cs-method cs-uri-stem sc-status sc-bytes\r\n"
B = b"#Fields: sc-status cs-uri-stem cs-method time-taken\r\n"
ROWS = {A: b"2026-11-24 10:00:00 GET /%d 200 7\r\n", B: b"200 /%d GET 3\r\n"}
# Rows of the one below the other's fields count as something else, or not at all.


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On a disk: the twin that goes on in a truncated file is caught there alone, not on a tmpfs."""
    return tmp_path_factory.mktemp("w3c")


class Log:
    """A log, whoever follows it, and the ledger."""

    def __init__(self, root: Path, before: bytes = b"") -> None:
        """`before` is what the log holds at the first look."""
        self.path = root / "u_ex.log"
        self.path.write_bytes(before)
        self.files = Files()
        self._ledger = root / "ledger.db"
        self._format = "w3c"
        self._now = 1000 * SECOND
        self._written = self._directives = self._lost = 0
        self._start()
        self.look()

    def _config(self) -> LogConfig:
        flags = Flags(log=str(self.path), format=self._format, name="access")
        return load(flags, {}).logs[0]._replace(quiet=SECOND, max_line=4096)

    def _start(self, handed: tuple[InheritedFile, ...] = ()) -> None:
        self.ledger = Ledger(str(self._ledger), boot="boot")
        self.ledger.open()
        restored = self.ledger.restore("access", now=self._now, at=self._now)
        resume = Resume.at(restored, self._now, self._now)._replace(handed=handed)
        self._tail = LogPipeline(self._config(), self._now, lambda _: None, self.files, resume=resume)

    def fields(self, fields: bytes, path: Path | None = None) -> None:
        """A directive comes."""
        self._directives += 1
        self.write(fields, path)

    def rows(self, fields: bytes, number: int = 3, path: Path | None = None) -> None:
        """So many rows come, as these fields are."""
        for _ in range(number):
            self.write(ROWS[fields] % self._written, path)
            self._written += 1

    def write(self, text: bytes, path: Path | None = None) -> None:
        with (path or self.path).open("ab") as file:
            file.write(text)

    def read(self) -> None:
        """Let a minute pass and read everything, of which the ledger hears nothing yet."""
        self._now += 61 * SECOND
        for _ in self._tail.read(self._now):
            pass

    def look(self) -> None:
        """Likewise, and commit it; then files may be let go."""
        self.read()
        self.ledger.commit(self._tail.entries(0, self._now, self._now), sequence=None)
        self._tail.release(committed=True)

    def stop(self) -> None:
        """Right behind the last commit, or at a kill: what was read since then is read again."""
        self._tail.close()
        self.ledger.close()

    def start(self, *handed: InheritedFile) -> None:
        self._start(handed)

    def restart(self) -> None:
        self.stop()
        self.start()

    def reload(self, log_format: str) -> None:
        self._format = log_format
        self._tail.reconfigure(self._config())

    def check(self, *, rejected: int = 0) -> None:
        """Each row that was written counts once, but for so many that have no fields above them."""
        self.look()
        self.look()
        restored = self.ledger.restore("access", now=self._now, at=self._now)
        assert restored is not None
        counts = Counter({(key.method, key.route): each.requests for key, each in restored.totals.items()})
        assert counts == Counter({(b"GET", b"/%d" % row): 1 for row in range(rejected, self._written)})
        assert restored.rejects == ({"fields": rejected} if rejected else {})
        assert restored.beside.directives == self._directives
        audited = audit(self.ledger, "access", Files())
        assert audited.balances
        assert audited.lines == self._written + self._directives


def restarted(log: Log) -> None:
    """In the middle of a file, far behind its fields."""
    log.fields(A)
    log.rows(A)
    log.look()
    log.restart()
    log.rows(A)
    log.look()
    log.fields(B)
    log.rows(B)
    log.look()
    log.restart()
    log.rows(B)
    log.check()


def killed(log: Log) -> None:
    """After new fields were read, and before they were committed."""
    log.fields(A)
    log.rows(A)
    log.look()
    log.rows(A)
    log.fields(B)
    log.rows(B)
    log.read()
    log.restart()
    log.check()


def killed_right_behind_fields(log: Log) -> None:
    log.fields(A)
    log.rows(A)
    log.fields(B)
    log.look()
    log.rows(B)
    log.read()
    log.restart()
    log.rows(B)
    log.check()


def handed_over(log: Log) -> None:
    """The file was rotated and deleted while nobody ran, but for systemd, which held it."""
    log.fields(A)
    log.rows(A)
    log.look()
    log.rows(A)
    descriptor = os.open(log.path, os.O_RDONLY)
    log.stop()
    log.path.unlink()
    log.fields(B)
    log.rows(B)
    log.start(InheritedFile(descriptor, 0))
    log.look()
    log.look()
    restored = log.ledger.restore("access", now=0, at=0)
    assert restored is not None
    assert sum(each.requests for each in restored.totals.values()) == 9
    assert not restored.rejects


def begun_at_the_end(log: Log) -> None:
    """What was there at the first look is not counted, and read by all the same."""
    log.rows(A)
    log.look()
    log.fields(B)
    log.rows(B)
    log.check()


def of_an_older_ledger(log: Log) -> None:
    """It knows of no directive."""
    log.fields(A)
    log.rows(A)
    log.look()
    log.ledger.database.connection.execute("UPDATE position SET directive = NULL")
    log.restart()
    log.rows(A)
    log.check()


def rotated_behind_fields(log: Log) -> None:
    """The server changed its fields, and was rotated at once; two workers write on, each its own."""
    log.fields(A)
    log.rows(A)
    log.look()
    log.fields(B)
    log.look()
    old = log.path.with_name("u_ex.log.1")
    log.path.rename(old)
    log.path.touch()
    log.fields(A)
    log.rows(B, path=old)
    log.rows(A)
    log.look()
    log.rows(B, path=old)
    log.rows(A)
    log.restart()
    log.rows(A)
    log.rows(B, path=old)
    log.check()


def rotated_while_nobody_ran(log: Log) -> None:
    """The rest of the old file is packed by then."""
    log.fields(B)
    log.rows(B)
    log.look()
    log.stop()
    log.rows(B)
    with gzip.open(log.path.with_name("u_ex.log.1.gz"), "wb") as packed:
        packed.write(log.path.read_bytes())
    log.path.unlink()
    log.fields(A)
    log.rows(A)
    log.start()
    log.check()


def truncated(log: Log) -> None:
    """What is written then has fields of its own, and has to."""
    log.rows(A, 2)
    log.look()
    log.fields(A)
    log.rows(A)
    log.look()
    os.truncate(log.path, 0)
    log.look()
    log.fields(B)
    log.rows(B)
    log.look()
    log.restart()
    log.rows(B)
    log.check(rejected=2)


def truncated_without_fields(log: Log) -> None:
    """What is written then is not read by those of the old text."""
    log.rows(A, 1)
    log.fields(A)
    log.look()
    log.restart()
    os.truncate(log.path, 0)
    log.write(ROWS[A] % 77)
    log.look()
    restored = log.ledger.restore("access", now=0, at=0)
    assert restored is not None
    assert (restored.totals, restored.rejects) == ({}, {"fields": 2})


def reloaded(log: Log) -> None:
    """The format that was wrong is set right, and the other way round, in the middle of a file."""
    log.fields(A)
    log.rows(A)
    log.look()
    log.reload("combined")
    log.write(B)
    log.look()
    log.reload("w3c")
    log.rows(B)
    log.look()
    log.look()
    restored = log.ledger.restore("access", now=0, at=0)
    assert restored is not None
    assert sum(each.requests for each in restored.totals.values()) == 6
    assert restored.rejects == {"fields": 1}
    assert restored.beside.directives == 1


def unreadable_for_a_moment(log: Log) -> None:
    """The disk fails when what stands above is to be looked for: that is tried again, and nothing is lost."""
    log.rows(A)
    log.check()


def fails_once(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [OSError(5, "Input/output error")]

    def find(read: w3c.Read, place: int) -> bytes:
        if place and failures:
            raise failures.pop()
        return w3c.fields_before(read, place)

    monkeypatch.setattr(pipeline, "fields_before", find)


def check_history(
    history: Callable[[Log], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: bytes = b"",
    look_back: int = 1,
) -> None:
    """`look_back`: mostly so little that nothing but what is remembered tells."""
    monkeypatch.setattr(w3c, "LOOK_BACK", look_back)
    if history is unreadable_for_a_moment:
        fails_once(monkeypatch)
    KeepsItsOwn._last = b""
    log = Log(tmp_path, before)
    try:
        history(log)
    finally:
        log.stop()


# --- broken twins


PUT = rows.put_positions
FIND = Generation._look_for_directive
RESTART = Generation._restart
COUNTED = Generation.counted


def keeps_none(writing: Any, log: int, *positions: Any) -> None:
    """The ledger has no directives."""
    PUT(writing, log, *([each._replace(directive=None) for each in some] for some in positions))


def looks_for_none(self: Generation) -> None:
    """What stands above is not looked for."""
    if self.directives.last is None:
        self.directives = self.directives._replace(last=b"")


def goes_on(self: Generation) -> None:
    """A text that was cut is read by the fields of the one before it."""
    before = self.directives.last
    RESTART(self)
    self.directives = self.directives._replace(last=before)


def takes_no_notice(self: Generation) -> None:
    """Fields are kept while another format is read."""
    if self._directive_before is not None:
        FIND(self)


def suppresses(self: Generation) -> None:
    """A disk that fails has no fields."""
    try:
        FIND(self)
    except OSError:
        self.directives = self.directives._replace(last=b"")


class KeepsItsOwn(W3cScanner):
    """One #Fields for all files of a log, and for whoever comes next."""

    _last = b""

    def _take_in(self, line: bytes) -> tuple[int, int]:
        told = TAKE_IN(self, line)
        KeepsItsOwn._last = self.directives.last or b""
        return told

    def _scan_rows(self, rows: bytes) -> tuple[int, int]:
        self.directives = self.directives._replace(last=KeepsItsOwn._last)
        return SCAN_ROWS(self, rows)


def uncounted(self: W3cScanner, line: bytes) -> tuple[int, int]:
    """Directives are no lines."""
    lines, rejected = TAKE_IN(self, line)
    return (lines, rejected) if rejected else (0, 0)


TAKE_IN, SCAN_ROWS = W3cScanner._take_in, W3cScanner._scan_rows
NONE_KEPT = Patches((ledger_module, "put_positions", keeps_none))
NONE_FOUND = Patches((Generation, "_look_for_directive", looks_for_none))
ONE_FOR_ALL = Patches(
    *((W3cScanner, name, getattr(KeepsItsOwn, name)) for name in ("_take_in", "_scan_rows"))
)
HISTORIES: dict[Callable[[Log], None], dict[str, Patches]] = {
    restarted: {"none kept": NONE_KEPT},
    killed: {"one for all": ONE_FOR_ALL},
    killed_right_behind_fields: {"none kept": NONE_KEPT},
    handed_over: {"none kept": NONE_KEPT},
    rotated_behind_fields: {"one for all": ONE_FOR_ALL, "none kept": NONE_KEPT},
    rotated_while_nobody_ran: {"none kept": NONE_KEPT},
    truncated: {"uncounted": Patches((W3cScanner, "_take_in", uncounted))},
    truncated_without_fields: {"goes on": Patches((Generation, "_restart", goes_on))},
}
FOUND: dict[Callable[[Log], None], tuple[bytes, dict[str, Patches]]] = {
    begun_at_the_end: (A + ROWS[A] % 99, {"none found": NONE_FOUND}),
    of_an_older_ledger: (b"", {"none found": NONE_FOUND}),
    reloaded: (b"", {"takes no notice": Patches((Generation, "_look_for_directive", takes_no_notice))}),
    unreadable_for_a_moment: (
        A + ROWS[A] % 99,
        {"suppressed": Patches((Generation, "_look_for_directive", suppresses))},
    ),
}
test_promise, test_twin = promises(
    *(Promise(check_history, part, twins, label=part.__name__) for part, twins in HISTORIES.items()),
    *(
        Promise(check_history, part, twins, label=part.__name__, before=before, look_back=w3c.LOOK_BACK)
        for part, (before, twins) in FOUND.items()
    ),
)
