"""A followed log that tells its own format: whatever happens to its file, and to whoever follows it, each row
is read by the #Fields that stands above it in its own file, and the books balance."""

import gzip
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from qps_service.auditing.audit import audit
from qps_service.configuration.loader import Flags, load
from qps_service.configuration.types import LogConfig
from qps_service.files.kernel import Files
from qps_service.following.generation import Generation
from qps_service.following.resume import InheritedFile
from qps_service.formats import w3c
from qps_service.ledger import ledger as ledger_module
from qps_service.ledger import rows
from qps_service.scanning.w3c import W3cScanner
from qps_service.service import pipeline
from tests.ledgers import known
from tests.promised import Patches, Promise, promises
from tests.unit.followed import FollowedLog
from tests.unit.scanning.test_as_written import CRI

SECOND = 10**9
Monkey = pytest.MonkeyPatch
A = b"#Fields: date time cs-method cs-uri-stem sc-status sc-bytes\r\n"
B = b"#Fields: sc-status cs-uri-stem cs-method time-taken\r\n"
ROWS = {A: b"2026-11-24 10:00:00 GET /%d 200 7\r\n", B: b"200 /%d GET 3\r\n"}
# Rows of the one below the other's fields count as something else, or not at all.


class Log(FollowedLog):
    """What is written to it, and what must be counted of that."""

    def __init__(self, root: Path, before: bytes = b"") -> None:
        """`before` is what the log holds at the first look."""
        (root / "u_ex.log").write_bytes(before)
        self._format, self._around = "w3c", CRI if before.startswith(CRI) else b""
        self._written = self._directives = 0
        super().__init__(root / "u_ex.log")
        self.look()

    def config(self) -> LogConfig:
        flags = Flags(log=str(self.path), format=self._format, name="access")
        return load(flags, {}).logs[0]._replace(quiet=SECOND, max_line=4096)

    def fields(self, fields: bytes, path: Path | None = None) -> None:
        """A directive comes."""
        self._directives += 1
        self.write(fields, path)

    def rows(self, fields: bytes, path: Path | None = None) -> None:
        """Three rows come, as these fields are."""
        for _ in range(3):
            self.write(ROWS[fields] % self._written, path)
            self._written += 1

    def write(self, text: bytes, path: Path | None = None) -> None:
        super().write(self._around + text, path)

    def play(self, script: str) -> None:
        """`A` and `B`: these fields come; `a` and `b`: rows as they are; `.`: a look; `,`: only a read; `!`:
        a restart; `0`: the file is truncated; `^`: from here on a container's runtime writes it."""
        steps: dict[str, Callable[[], object]] = {
            "A": lambda: self.fields(A),
            "a": lambda: self.rows(A),
            "B": lambda: self.fields(B),
            "b": lambda: self.rows(B),
            ".": self.look,
            ",": self.read,
            "!": self.restart,
            "0": lambda: os.truncate(self.path, 0),
            "^": lambda: setattr(self, "_around", CRI),
        }
        for step in script.split():
            steps[step]()

    def reload(self, log_format: str) -> None:
        self._format = log_format
        self.pipeline.reconfigure(self.config())

    def counted(self) -> tuple[int, Mapping[str, int]]:
        """Requests in the ledger, and rejected lines by their reasons."""
        restored = known(self.ledger)
        assert restored.beside.directives == self._directives
        return sum(each.requests for each in restored.totals.values()), restored.rejects

    def check(self, *, rejected: int = 0) -> None:
        """Each row that was written counts once, but for so many that have no fields above them."""
        self.look()
        self.look()
        restored = known(self.ledger)
        counts = Counter({(key.method, key.route): each.requests for key, each in restored.totals.items()})
        assert counts == Counter({(b"GET", b"/%d" % row): 1 for row in range(rejected, self._written)})
        assert restored.rejects == ({"fields": rejected} if rejected else {})
        assert restored.beside.directives == self._directives
        audited = audit(self.ledger, "access", Files())
        assert audited.balances
        assert audited.lines == self._written + self._directives


def played(script: str, rejected: int = 0) -> Callable[[Log], None]:
    """A history as `Log.play` reads it."""

    def history(log: Log) -> None:
        log.play(script)
        log.check(rejected=rejected)

    return history


def handed_over(log: Log) -> None:
    """The file was rotated and deleted while nobody ran, but for systemd, which held it."""
    log.play("A a . a")
    descriptor = os.open(log.path, os.O_RDONLY)
    log.stop()
    log.path.unlink()
    log.play("B b")
    log.start(InheritedFile(descriptor, 0))
    log.play(". .")
    assert log.counted() == (9, {})


def of_an_older_ledger(log: Log) -> None:
    """It knows of no directive."""
    log.play("A a .")
    log.ledger.database.connection.execute("UPDATE position SET directive = NULL")
    log.play("! a")
    log.check()


def rotated_behind_fields(log: Log) -> None:
    """The server changed its fields, and was rotated at once; two workers write on, each its own."""
    log.play("A a . B .")
    old = log.path.with_name("u_ex.log.1")
    log.path.rename(old)
    log.path.touch()
    log.fields(A)
    for then in (".", "!", ""):
        log.rows(B, old)
        log.play(f"a {then}")
    log.check()


def rotated_while_nobody_ran(log: Log) -> None:
    """The rest of the old file is packed by then."""
    log.play("B b .")
    log.stop()
    log.rows(B)
    with gzip.open(log.path.with_name("u_ex.log.1.gz"), "wb") as packed:
        packed.write(log.path.read_bytes())
    log.path.unlink()
    log.play("A a")
    log.start()
    log.check()


def truncated_without_fields(log: Log) -> None:
    """What is written then is not read by those of the old text."""
    log.play("a A . !")
    os.truncate(log.path, 0)
    log.play("a .")
    assert log.counted() == (0, {"fields": 6})


def reloaded(log: Log) -> None:
    """The format that was wrong is set right, and the other way round, in the middle of a file."""
    log.play("A a .")
    log.reload("combined")
    log.write(B)
    log.look()
    log.reload("w3c")
    log.play("b . .")
    assert log.counted() == (6, {"fields": 1})


def fails_once(monkeypatch: Monkey) -> None:
    failures = [OSError(5, "Input/output error")]

    def find(read: w3c.Read, place: int) -> bytes:
        if place and failures:
            raise failures.pop()
        return w3c.fields_before(read, place)

    monkeypatch.setattr(pipeline, "fields_before", find)


def check_history(
    history: Callable[[Log], None], tmp_path: Path, monkeypatch: Monkey, before: bytes | None, fails: bool
) -> None:
    if before is None:
        monkeypatch.setattr(w3c, "LOOK_BACK", 1)
    if fails:
        fails_once(monkeypatch)
    KeepsItsOwn._last = b""
    log = Log(tmp_path, before or b"")
    try:
        history(log)
    finally:
        log.stop()


# --- broken twins


PUT = rows.put_positions
FIND = Generation._look_for_directive
RESTART = Generation._restart


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
LOOK = "_look_for_directive"
NONE_FOUND = Patches((Generation, LOOK, looks_for_none))
UNCOUNTED = Patches((W3cScanner, "_take_in", uncounted))
GOES_ON = Patches((Generation, "_restart", goes_on))
SUPPRESSED = Patches((Generation, LOOK, suppresses))
ONE_FOR_ALL = Patches(
    *((W3cScanner, name, getattr(KeepsItsOwn, name)) for name in ("_take_in", "_scan_rows"))
)
# What the log holds at first, what happens, and twins. Where it is None the log is empty, and nothing is
# looked for above: what is remembered tells all.
HISTORIES: dict[str, tuple[bytes | None, Callable[[Log], None], dict[str, Patches]]] = {
    "restarted in the middle": (None, played("A a . ! a . B b . ! b"), {"none kept": NONE_KEPT}),
    # After new fields were read, and before they were committed.
    "killed": (None, played("A a . a B b , !"), {"one for all": ONE_FOR_ALL}),
    "killed right behind fields": (None, played("A a B . b , ! b"), {"none kept": NONE_KEPT}),
    "handed over": (None, handed_over, {"none kept": NONE_KEPT}),
    "rotated behind fields": (None, rotated_behind_fields, {"one for all": ONE_FOR_ALL}),
    "rotated while nobody ran": (None, rotated_while_nobody_ran, {"none kept": NONE_KEPT}),
    # What is written then has fields of its own, and has to.
    "truncated": (None, played("a . A a . 0 . B b . ! b", rejected=3), {"uncounted": UNCOUNTED}),
    "truncated without fields": (None, truncated_without_fields, {"goes on": GOES_ON}),
    # What was there at the first look is not counted, and read by all the same.
    "begun at the end": (A + ROWS[A] % 99, played("a . B b"), {"none found": NONE_FOUND}),
    # What containers put around a line is around a directive, too.
    "around all lines": (None, played("^ A a . ! a . B b , ! b"), {"none kept": NONE_KEPT}),
    "around all lines, begun at the end": (
        CRI + A + CRI + ROWS[A] % 99,
        played("a . B b"),
        {"none found": NONE_FOUND},
    ),
    "of an older ledger": (b"", of_an_older_ledger, {"none found": NONE_FOUND}),
    "reloaded": (b"", reloaded, {"takes no notice": Patches((Generation, LOOK, takes_no_notice))}),
    # The disk fails when what stands above is to be looked for: that is tried again, and nothing is lost.
    "unreadable at first": (A + ROWS[A] % 99, played("a"), {"suppressed": SUPPRESSED}),
}
test_promise, test_twin = promises(
    *(
        Promise(check_history, part, twins, label=name, before=before, fails="unreadable" in name)
        for name, (before, part, twins) in HISTORIES.items()
    )
)
