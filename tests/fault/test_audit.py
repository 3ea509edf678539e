"""`audit`: it finds what is counted wrongly, and nothing where all is well; and it writes nothing."""

import gzip
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from qps_service.files.fingerprint import SAMPLE_OFFSETS
from qps_service.ledger.schema import VERSION
from qps_service.values.entries import Loss
from qps_service.values.positions import MARKER_LIMIT, PREFIX_LIMIT
from tests.fault.mounts import needs_root
from tests.fault.program import GUARD, ROOT, Site, Writer, line
from tests.fault.test_stopped import PACKERS
from tests.ledgers import NOBODY, SECOND, entry, opened, position

pytestmark = pytest.mark.real_time

Make = Callable[..., Site]
Check = Callable[[Make], None]
Result = subprocess.CompletedProcess[str]


@pytest.fixture
def make() -> Iterator[Make]:
    """Builds sites, each in a directory of its own that anybody may enter."""
    sites: list[Site] = []
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)  # noqa: S103 - what is tested is also who may read

        def build(twin: str = "") -> Site:
            sites.append(Site(Path(root) / str(len(sites)), twin=twin))
            return sites[-1]

        yield build
        for site in sites:
            site.close()


class Row(NamedTuple):
    """One generation, as it is printed."""

    state: str
    bytes: int
    lines: int
    rejected: int = 0
    pending: str = "0"
    recount: str = "same"
    file: str = "access.log"  # its name


def contents(directory: Path) -> dict[str, bytes]:
    """Each file, but for what is in SQLite's shared memory: readers leave their marks there."""
    paths = directory.iterdir() if directory.exists() else ()
    return {path.name: b"" if path.name.endswith("-shm") else path.read_bytes() for path in paths}


def audit(site: Site, *, by_variable: bool = False, nobody: bool = False) -> Result:
    """Run the program. Whatever it finds, the ledger's directory is as before."""
    before = site.state.exists(), contents(site.state)
    result = subprocess.run(
        [sys.executable, "-m", "qps_service", "audit"]
        + ([] if by_variable else ["--state", str(site.state)]),
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": f"{site.root}:{ROOT}",
            "QPS_REPORTER_STATE": str(site.state if by_variable else site.root / "another"),
        },
        user=NOBODY if nobody else None,
        group=0 if nobody else None,
        extra_groups=[] if nobody else None,
        capture_output=True,
        text=True,
        timeout=GUARD,
    )
    assert (site.state.exists(), contents(site.state)) == before
    return result


def rows_of(text: str) -> tuple[list[Row], list[str]]:
    """Each generation of the only log, and the lines that come after them."""
    heading, columns, *lines = text.splitlines()
    assert heading.startswith("log access: /")
    assert columns.endswith("  file")
    end = next(at for at, line in enumerate(lines) if line.startswith(("  read ", "  cannot read ")))
    rows = []
    for text in lines[:end]:
        _, state, read, counted, rejected, pending, rest = text.split(maxsplit=6)
        recount, path = rest.split("  ")
        rows.append(
            Row(state, int(read), int(counted), int(rejected), pending, recount, os.path.basename(path))
        )
    return rows, lines[end:]


def check_balance(
    site: Site, *rows: Row, losses: int = 0, unread: tuple[str, ...] = (), **keywords: bool
) -> list[str]:
    """The books balance, with these rows and files that can't be read; the lines about losses."""
    result = audit(site, **keywords)
    assert (result.returncode, result.stderr) == (0, "")
    found, lines_after = rows_of(result.stdout)
    assert found == list(rows)
    assert lines_after[: len(unread)] == [f"  cannot read {each}" for each in unread]
    sums, possible, *more, empty, last = lines_after[len(unread) :]
    lines, rejected = (sum(column) for column in zip(*(row[2:4] for row in rows), strict=True))
    assert sums == (
        f"  read {lines} lines, counted {lines - rejected} requests + {rejected} rejected = {lines}"
    )
    assert possible == f"  possible losses: {losses or 'none'}"
    assert len(more) == losses
    assert (empty, last) == ("", f"the books balance{', as far as files could be read' if unread else ''}")
    return more


def size(first: int, end: int) -> int:
    """Bytes of these numbered lines."""
    return sum(len(line(number)) for number in range(first, end))


# --- twins


def twin(code: str) -> str:
    """Breaks the audit in one place."""
    return (
        "from qps_service.auditing import recount\n"
        "from qps_service.auditing.audit import Audit\n"
        "from qps_service.files.fingerprint import Match\n"
        "from qps_service.commands import audit as command\n"
        "count, likely, render = recount._count, recount.Candidates._likely, command.render\n"
        f"{code}\n"
    )


LOOKS_AT_THE_LOG_ONLY = twin(
    "recount.Candidates._likely = lambda self, position: [\n"
    "    path for path in likely(self, position) if path.endswith('.log')]"
)
TAKES_ANY_TEXT = twin("recount.compare = lambda *_: Match.FULL")
TRUSTS_THE_LEDGER = twin("recount._count = lambda position, source: position.lines")
TO_THE_END = twin("recount._count = lambda at, source: count(at._replace(offset=source.seen().size), source)")
FROM_THE_START = twin("recount._count = lambda at, source: count(at._replace(begun=0), source)")
NEWLINES_ONLY = twin("recount._count = lambda at, source: source.read(at.offset, 0).count(b'\\n')")
IGNORES_THE_REJECTED = twin("Audit.balances = property(lambda self: self.lines == self.requests)")
IGNORES_LOSSES = twin("command.render = lambda each: render(each._replace(losses=[]))")
IGNORES_TOTALS = twin("Audit.requests = property(lambda self: self.lines - self.rejected)")
IGNORES_FILES = twin("Audit.balances = property(lambda self: self.lines == self.requests + self.rejected)")
IGNORES_REJECTED = twin(
    "Audit.lines_balance = property(lambda self: self.lines == self.requests + self.rejected)"
)
BY_TEXT_ONLY = twin("recount.Candidates._is_unbegun = lambda *_, **__: False")
BY_IDENTITY_ONLY = twin(
    "recount.Candidates._is_unbegun = lambda self, position, path, key, held: key == position.identity[:2]"
)
SAYS_GONE = twin("recount.Candidates._is_own = lambda *_: False")
TAKES_ANY_FILE = twin("recount.Candidates._is_own = lambda *_: True")
WRITES = twin("opens = command.Ledger.open\ncommand.Ledger.open = lambda self, writable: opens(self)")


# --- books that balance


def begun(make: Make) -> tuple[Site, Writer]:
    """A log of 20 lines that were read."""
    site = make()
    writer = site.writer()
    writer.lines(20)
    site.once()
    return site, writer


OLD = Row("closed", size(0, 20), 20, file="access.log.1")
NEW = Row("open", size(20, 23), 3)


def after_a_rotation(make: Make, change: tuple[str, ...], old: Row) -> None:
    """Three lines in the new log, and the rotated one as `change`, a command, leaves it."""
    site, writer = begun(make)
    rotated = site.rotate()
    writer.close()
    site.writer().lines(3)
    site.once()
    subprocess.run([*change, rotated], check=True)
    check_balance(site, old, NEW)


def with_more_behind(make: Make) -> None:
    site, writer = begun(make)
    writer.lines(4)
    check_balance(site, Row("open", size(0, 20), 20, pending=str(size(20, 24))))


def from_the_end_on(make: Make) -> None:
    """What was there before our time is in no column."""
    site = make()
    site.config.write_text(site.config.read_text().replace('start = "start"', 'start = "end"'))
    writer = site.writer()
    writer.lines(20)
    site.once()
    writer.lines(5)
    site.once()
    check_balance(site, Row("open", size(20, 25), 5))


def with_rejected_lines(make: Make, tail: bytes) -> None:
    """Two of them are no requests; `tail` belongs to one over the limit, which may still be written."""
    site = make()
    with site.config.open("a") as config:
        config.write("max_line = 256\n")
    writer = site.writer()
    writer.lines(3)
    os.write(writer.descriptor, b"nonsense\n" + b"x" * 1000 + tail)
    site.once()
    check_balance(site, Row("open", size(0, 3) + 1009 + len(tail), 5, rejected=2))


def with_an_unended_last_line(make: Make) -> None:
    """It is counted when nobody writes to its file any more."""
    site, writer = begun(make)
    os.write(writer.descriptor, line(7).rstrip())
    site.once()
    site.rotate()
    writer.close()
    site.writer().lines(3)
    site.once()
    check_balance(
        site, OLD._replace(bytes=size(0, 20) + len(line(7)) - 1, lines=21), NEW._replace(bytes=size(20, 23))
    )


def after_copytruncate(make: Make) -> None:
    """The old text is in the copy, and there it is counted again."""
    site, writer = begun(make)
    writer.lines(2)
    shutil.copy(site.log, f"{site.log}.1")
    os.truncate(site.log, 0)
    writer.lines(3)
    site.once()
    check_balance(site, OLD._replace(bytes=size(0, 22), lines=22), NEW._replace(bytes=size(22, 25)))


def with_nothing_new(make: Make) -> None:
    """The new log is empty, and then has half a line: it is there."""
    site, old = begun(make)
    site.rotate()
    old.close()
    new = site.writer()
    for text in (b"", b"10.0.0.1"):
        os.write(new.descriptor, text)
        site.once()
        check_balance(site, OLD, Row("open", 0, 0, pending=str(len(text))))


def with_nothing_read_of_a_copy(make: Make) -> None:
    """The log is another file than before, and nothing had been read of it: its path tells."""
    site = make()
    site.writer()
    site.once()
    copy = site.log.with_name("copy")
    copy.write_bytes(line(0))
    copy.rename(site.log)
    check_balance(site, Row("open", 0, 0, pending=str(size(0, 1))))


def with_a_log_of_others(make: Make) -> None:
    """It is there, and nobody may read it."""
    site, _ = begun(make)
    site.log.chmod(0o600)
    row = Row("open", size(0, 20), 20, pending="-", recount="unreadable")
    check_balance(site, row, unread=(f"{site.log}: Permission denied",), nobody=True)


def with_a_damaged_archive(make: Make, number: int, recount: str) -> None:
    """The rotated file is deleted, and there is an archive that can't be unpacked, with this number: where
    that is the file's, nobody knows whether its text is gone."""
    site, writer = begun(make)
    rotated = site.rotate()
    writer.close()
    site.writer().lines(3)
    site.once()
    archive = site.log.with_name(f"access.log.{number}.gz")
    archive.write_bytes(gzip.compress(b"".join(map(line, range(20))))[:20])
    rotated.unlink()  # afterwards, or the archive may get its inode
    is_its = recount == "unreadable"
    old = OLD._replace(pending="-", recount=recount, file=archive.name if is_its else rotated.name)
    check_balance(site, old, NEW, unread=(f"{archive}: its end is missing",) if is_its else ())


def with_a_hole(make: Make) -> None:
    """A writer without O_APPEND goes on where it was when its log was truncated; before that stand zeros."""
    site = make()
    with site.log.open("wb", buffering=0) as log:
        log.writelines(map(line, range(20)))
        site.once()
        os.truncate(site.log, 0)
        log.writelines(map(line, range(20, 23)))
        site.once()
    gone = Row("closed", size(0, 20), 20, pending="-", recount="gone")
    [loss] = check_balance(site, gone, Row("open", size(0, 23), 3), losses=1)
    date, _, rest = loss.partition(", unknown bytes: ")
    assert time.strptime(date.strip())
    assert rest == f"{site.log} was truncated after it had been read up to byte {size(0, 20)}"


BALANCE: dict[str, tuple[Check, str]] = {
    "rotated": (partial(after_a_rotation, change=("touch",), old=OLD), LOOKS_AT_THE_LOG_ONLY),
    **{
        packer: (
            partial(after_a_rotation, change=PACKERS[packer], old=OLD._replace(file=f"access.log.1{suffix}")),
            LOOKS_AT_THE_LOG_ONLY,
        )
        for packer, suffix in {"gzip": ".gz", "xz": ".xz", "bzip2": ".bz2", "zstd": ".zst"}.items()
    },
    "nothing new": (with_nothing_new, BY_TEXT_ONLY),
    "nothing read of a copy": (with_nothing_read_of_a_copy, BY_IDENTITY_ONLY),
    "damaged archive": (partial(with_a_damaged_archive, number=1, recount="unreadable"), SAYS_GONE),
    "another's damaged archive": (partial(with_a_damaged_archive, number=7, recount="gone"), TAKES_ANY_FILE),
    "deleted": (
        partial(after_a_rotation, change=("rm",), old=OLD._replace(pending="-", recount="gone")),
        TAKES_ANY_TEXT,
    ),
    "grown": (with_more_behind, TO_THE_END),
    "from the end on": (from_the_end_on, FROM_THE_START),
    "rejected": (partial(with_rejected_lines, tail=b"\n"), IGNORES_THE_REJECTED),
    "too long so far": (partial(with_rejected_lines, tail=b""), NEWLINES_ONLY),
    "unended": (with_an_unended_last_line, NEWLINES_ONLY),
    "copytruncate": (after_copytruncate, LOOKS_AT_THE_LOG_ONLY),
    "hole": (with_a_hole, IGNORES_LOSSES),
}


@pytest.mark.parametrize("name", BALANCE)
def test_the_books_balance(name: str, make: Make) -> None:
    BALANCE[name][0](make)


@pytest.mark.twin
@pytest.mark.parametrize("name", BALANCE)
def test_the_check_catches_its_twin(name: str, make: Make) -> None:
    check, twin = BALANCE[name]
    with pytest.raises(AssertionError):
        check(partial(make, twin))


@needs_root
def test_a_log_of_others_is_not_said_to_be_gone(make: Make) -> None:
    with_a_log_of_others(make)


@pytest.mark.twin
@needs_root
def test_a_log_of_others_is_not_said_to_be_gone_catches_its_twin(make: Make) -> None:
    with pytest.raises(AssertionError):
        with_a_log_of_others(partial(make, SAYS_GONE))


def test_losses_and_forgotten_generations(make: Make) -> None:
    """Each loss with its date and how much it may be; what is forgotten is in the sum."""
    site = make()
    site.state.mkdir()
    ledger = opened(site.state / "ledger.db")
    losses = (Loss(SECOND, "is gone", "/log.1", 123), Loss(86400 * SECOND, "is cut", "/log.\n", None))
    first = entry(range(3), held=(position(1, 4, 1),), rejected=1)._replace(path=str(site.log), losses=losses)
    ledger.commit([first], sequence=1)
    second = entry(range(2), sequence=2, held=(position(2, 2),), forgotten=(1,))
    ledger.commit([second._replace(path=str(site.log))], sequence=2)
    ledger.close()
    result = audit(site)
    assert result.returncode == 0
    assert rows_of(result.stdout) == (
        [Row("open", 20, 2, pending="-", recount="gone", file="log.2")],
        [
            "  read 6 lines (4 of them in generations that are forgotten), "
            "counted 5 requests + 1 rejected = 6",
            "  possible losses: 2",
            f"    {time.ctime(1)}, 123 bytes at most: /log.1 is gone",
            f"    {time.ctime(86400)}, unknown bytes: /log.\\x0a is cut",
            "",
            "the books balance",
        ],
    )


# --- books that do not


def tamper(site: Site, *statements: str) -> None:
    """Write to the ledger behind the program's back."""
    with closing(sqlite3.connect(site.state / "ledger.db")) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount == 1


def check_imbalance(site: Site, recount: str, *, sum_is_wrong: bool) -> None:
    """It is said of each line that shows it, and by the exit status."""
    result = audit(site)
    assert (result.returncode, result.stderr) == (1, "")
    [row], (sums, _, _, last) = rows_of(result.stdout)
    assert row.recount == recount
    assert sums.endswith("  <-- problem") == sum_is_wrong
    assert last == "the books DO NOT BALANCE"


def a_total(make: Make) -> None:
    site, _ = begun(make)
    tamper(site, "UPDATE total SET requests = requests + 1 WHERE key = 1")
    check_imbalance(site, "same", sum_is_wrong=True)


def the_lines_of_a_generation(make: Make) -> None:
    site, _ = begun(make)
    tamper(site, "UPDATE position SET lines = lines - 1")
    check_imbalance(site, "20, a problem", sum_is_wrong=True)


def the_rejected_lines(make: Make) -> None:
    site, _ = begun(make)
    tamper(site, "UPDATE position SET rejected = 1")
    check_imbalance(site, "same", sum_is_wrong=True)


def both_alike(make: Make) -> None:
    """The ledger agrees with itself, but not with the log."""
    site, _ = begun(make)
    tamper(
        site,
        "UPDATE position SET lines = lines - 1",
        "UPDATE total SET requests = requests - 1 WHERE key = 1",
    )
    check_imbalance(site, "20, a problem", sum_is_wrong=False)


def a_line_in_the_log(make: Make) -> None:
    """A newline is overwritten where neither the file's beginning nor a mark shows it."""
    site = make()
    site.writer().lines(200)
    site.once()
    text = bytearray(site.log.read_bytes())
    known = [range(PREFIX_LIMIT), *(range(end - MARKER_LIMIT, end) for end in (*SAMPLE_OFFSETS, len(text)))]
    at = next(
        at for at, byte in enumerate(text) if byte == ord("\n") and not any(at in each for each in known)
    )
    text[at] = ord(" ")
    site.log.write_bytes(text)
    check_imbalance(site, "199, a problem", sum_is_wrong=False)


IMBALANCE: dict[Check, str] = {
    a_total: IGNORES_TOTALS,
    the_lines_of_a_generation: TRUSTS_THE_LEDGER,
    both_alike: IGNORES_FILES,
    the_rejected_lines: IGNORES_REJECTED,
    a_line_in_the_log: TRUSTS_THE_LEDGER,
}


@pytest.mark.parametrize("check", IMBALANCE)
def test_what_is_wrong_is_found(check: Check, make: Make) -> None:
    check(make)
    with pytest.raises(AssertionError):
        check(partial(make, IMBALANCE[check]))


@pytest.mark.parametrize("status", [0, 1])
def test_a_reader_that_is_gone_costs_no_status(status: int, make: Make) -> None:
    site, _ = begun(make)
    if status:
        tamper(site, "UPDATE position SET rejected = 1")
    reader, stdout = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "qps_service", "audit", "--state", site.state],
        cwd=ROOT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(stdout)
    assert (result.returncode, result.stderr) == (status, b"")


# --- ledgers that cannot be read


def a_database(path: Path, *statements: str) -> None:
    opened(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no directory": (lambda path: path.parent.rmdir(), "No such file or directory"),
    "missing": (lambda path: None, "No such file or directory"),
    "empty": (lambda path: path.touch(), "there is nothing in it yet"),
    "damaged": (lambda path: path.write_text("no ledger\n" * 1000), "file is not a database"),
    "cut": (lambda path: a_database(path, "DROP TABLE loss"), "it lacks loss"),
    "another program's": (
        lambda path: a_database(path, "PRAGMA application_id = 1"),
        "it is another program's database",
    ),
    "newer": (
        lambda path: a_database(path, f"PRAGMA user_version = {VERSION + 1}"),
        f"it has schema {VERSION + 1}, this program knows schemas up to {VERSION}",
    ),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_said_and_left_alone(name: str, make: Make) -> None:
    prepare, message = UNREADABLE[name]
    site = make()
    site.state.mkdir()
    path = site.state / "ledger.db"
    prepare(path)
    result = audit(site)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"qps-reporter: cannot read the ledger {path}: {message}\n"


@pytest.mark.twin
def test_a_writing_audit_is_caught(make: Make) -> None:
    site = make(WRITES)
    site.state.mkdir()
    with pytest.raises(AssertionError):
        audit(site)


# --- beside the service


@pytest.mark.parametrize("nobody", [False, pytest.param(True, marks=needs_root)], ids=["owner", "nobody"])
def test_the_service_may_run(nobody: bool, make: Make) -> None:
    """Its last commit is seen while it runs, after it was killed and after it was stopped, also by who
    may not write."""
    site = make()
    writer = site.writer()
    writer.lines(20)
    process = site.start()
    process.told("READY=1")
    writer.lines(3)
    committed = Row("open", size(0, 20), 20, pending=str(size(20, 23)))
    check_balance(site, committed, nobody=nobody)
    process.process.kill()
    process.end()
    check_balance(site, committed, nobody=nobody)
    site.run()
    check_balance(site, Row("open", size(0, 23), 23), nobody=nobody)


def test_the_directory_may_be_named_by_a_variable(make: Make) -> None:
    """The flag, where there is one, wins over it."""
    site, _ = begun(make)
    check_balance(site, Row("open", size(0, 20), 20), by_variable=True)
