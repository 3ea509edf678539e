"""`audit`: it finds what is counted wrongly, and nothing where all is well; and it writes nothing."""

import gzip
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from qps_service.values.entries import Loss
from tests.fault import broken
from tests.fault.program import MakeSite, Site, Writer, line, run_program
from tests.ledgers import NOBODY, SECOND, entry, opened, position
from tests.promised import MadePromise, promises

pytestmark = pytest.mark.real_time

Result = subprocess.CompletedProcess[str]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory that anybody may enter."""
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)  # noqa: S103 - what is tested is also who may read
        yield Path(root)


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
    user: dict[str, Any] = {"user": NOBODY, "group": 0, "extra_groups": []} if nobody else {}
    arguments = () if by_variable else ("--state", site.state)
    variable = {"QPS_REPORTER_STATE": str(site.state if by_variable else site.root / "another")}
    result = run_program("audit", *arguments, twins=site.twins, env=os.environ | variable, **user)
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


def check_balance(site: Site, *rows: Row, unread: tuple[str, ...] = (), **keywords: bool) -> None:
    """The books balance, without a loss, with these rows and files that can't be read."""
    result = audit(site, **keywords)
    assert (result.returncode, result.stderr) == (0, "")
    found, lines_after = rows_of(result.stdout)
    assert found == list(rows)
    assert lines_after[: len(unread)] == [f"  cannot read {each}" for each in unread]
    sums, possible, empty, last = lines_after[len(unread) :]
    lines, rejected = (sum(column) for column in zip(*(row[2:4] for row in rows), strict=True))
    assert sums == (
        f"  read {lines} lines, counted {lines - rejected} requests + {rejected} rejected = {lines}"
    )
    assert possible == "  possible losses: none"
    assert (empty, last) == ("", f"the books balance{', as far as files could be read' if unread else ''}")


def size(first: int, end: int) -> int:
    """Bytes of these numbered lines."""
    return sum(len(line(number)) for number in range(first, end))


# --- books that balance

PACKERS = {".gz": ("gzip",), ".xz": ("xz",), ".bz2": ("bzip2",), ".zst": ("zstd", "--rm", "--quiet")}


def begun(make_site: MakeSite) -> tuple[Site, Writer]:
    """A log of 20 lines that were read."""
    site = make_site()
    writer = site.writer()
    writer.lines(20)
    site.once()
    return site, writer


OLD = Row("closed", size(0, 20), 20, file="access.log.1")
NEW = Row("open", size(20, 23), 3)


def rotate(site: Site, writer: Writer) -> Path:
    """Three lines are read of the new log."""
    rotated = site.rotate()
    writer.close()
    site.writer().lines(3)
    site.once()
    return rotated


def after_a_rotation(make_site: MakeSite, change: tuple[str, ...], old: Row) -> None:
    """The rotated file is as `change`, a command, leaves it."""
    site, writer = begun(make_site)
    rotated = rotate(site, writer)
    subprocess.run([*change, rotated], check=True)
    check_balance(site, old, NEW)


def after_copytruncate(make_site: MakeSite) -> None:
    """The old text is in the copy, and there it is counted again."""
    site, writer = begun(make_site)
    writer.lines(2)
    shutil.copy(site.log, f"{site.log}.1")
    os.truncate(site.log, 0)
    writer.lines(3)
    site.once()
    check_balance(site, OLD._replace(bytes=size(0, 22), lines=22), NEW._replace(bytes=size(22, 25)))


def with_nothing_new(make_site: MakeSite) -> None:
    """The new log is empty, and then has half a line: it is there."""
    site, old = begun(make_site)
    site.rotate()
    old.close()
    new = site.writer()
    for text in (b"", b"10.0.0.1"):
        os.write(new.descriptor, text)
        site.once()
        check_balance(site, OLD, Row("open", 0, 0, pending=str(len(text))))


def with_nothing_read_of_a_copy(make_site: MakeSite) -> None:
    """The log is another file than before, and nothing had been read of it: its path tells."""
    site = make_site()
    site.writer()
    site.once()
    copy = site.log.with_name("copy")
    copy.write_bytes(line(0))
    copy.rename(site.log)
    check_balance(site, Row("open", 0, 0, pending=str(size(0, 1))))


def with_a_log_of_others(make_site: MakeSite) -> None:
    """It is there, and nobody may read it."""
    if os.geteuid():
        pytest.skip("only root can become another user")
    site, _ = begun(make_site)
    site.log.chmod(0o600)
    row = Row("open", size(0, 20), 20, pending="-", recount="unreadable")
    check_balance(site, row, unread=(f"{site.log}: Permission denied",), nobody=True)


def with_a_damaged_archive(make_site: MakeSite, number: int, recount: str) -> None:
    """The rotated file is deleted, and there is an archive that can't be unpacked, with this number: where
    that is the file's, nobody knows whether its text is gone."""
    site, writer = begun(make_site)
    rotated = rotate(site, writer)
    archive = site.log.with_name(f"access.log.{number}.gz")
    archive.write_bytes(gzip.compress(b"".join(map(line, range(20))))[:20])
    rotated.unlink()  # afterwards, or the archive may get its inode
    is_its = recount == "unreadable"
    old = OLD._replace(pending="-", recount=recount, file=archive.name if is_its else rotated.name)
    check_balance(site, old, NEW, unread=(f"{archive}: its end is missing",) if is_its else ())


def rotated(suffix: str, *command: str) -> MadePromise:
    old = OLD._replace(file=f"access.log.1{suffix}")
    return MadePromise(after_a_rotation, broken.audits_the_log_only, label=suffix, change=command, old=old)


test_the_books_balance, test_the_check_catches_its_twin = promises(
    rotated("", "touch"),
    *(rotated(suffix, *command) for suffix, command in PACKERS.items()),
    MadePromise(with_nothing_new, broken.goes_by_the_text_only),
    MadePromise(with_nothing_read_of_a_copy, broken.goes_by_the_identity_only),
    MadePromise(with_a_damaged_archive, broken.takes_all_for_gone, number=1, recount="unreadable"),
    MadePromise(with_a_damaged_archive, broken.takes_any_file_for_its_own, number=7, recount="gone"),
    MadePromise(after_copytruncate, broken.audits_the_log_only),
    MadePromise(with_a_log_of_others, broken.takes_all_for_gone),
)


def losses_and_forgotten_generations(make_site: MakeSite) -> None:
    """Each loss with its date and how much it may be; what is forgotten is in the sum."""
    site = make_site()
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


test_the_last_lines, test_last_lines_that_are_wrong_are_noticed = promises(
    MadePromise(losses_and_forgotten_generations, broken.expects_no_rejected_lines, broken.shows_no_losses)
)


# --- books that do not


def what_is_wrong_is_said(make_site: MakeSite, statements: list[str], recount: str, in_sum: bool) -> None:
    """Whoever wrote to the ledger: of each line that shows it, and by the exit status."""
    site, _ = begun(make_site)
    with closing(sqlite3.connect(site.state / "ledger.db")) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount == 1
    result = audit(site)
    assert (result.returncode, result.stderr) == (1, "")
    [row], (sums, _, _, last) = rows_of(result.stdout)
    assert row.recount == recount
    assert sums.endswith("  <-- problem") == in_sum
    assert last == "the books DO NOT BALANCE"


LINES, TOTAL = (
    "UPDATE position SET lines = lines - 1",
    "UPDATE total SET requests = requests {} 1 WHERE key = 1",
)
test_what_is_wrong_is_found, test_what_is_wrong_and_not_found_is_noticed = promises(
    *(
        MadePromise(
            what_is_wrong_is_said, twin, label=label, statements=statements, recount=recount, in_sum=in_sum
        )
        for label, twin, statements, recount, in_sum in (
            ("a total", broken.ignores_totals, [TOTAL.format("+")], "same", True),
            ("the lines of a generation", broken.trusts_the_ledger, [LINES], "20, a problem", True),
            # The ledger agrees with itself, but not with the log.
            ("both alike", broken.ignores_files, [LINES, TOTAL.format("-")], "20, a problem", False),
            (
                *("rejected lines", broken.ignores_rejected_lines),
                *(["UPDATE position SET rejected = 1"], "same", True),
            ),
        )
    )
)


# --- ledgers that cannot be read


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no directory": (lambda path: path.parent.rmdir(), "No such file or directory"),
    "missing": (lambda path: None, "No such file or directory"),
    "empty": (lambda path: path.touch(), "there is nothing in it yet"),
    "damaged": (lambda path: path.write_text("no ledger\n" * 1000), "file is not a database"),
}


def what_cannot_be_read_is_said_and_left_alone(make_site: MakeSite, name: str) -> None:
    prepare, message = UNREADABLE[name]
    site = make_site()
    site.state.mkdir()
    path = site.state / "ledger.db"
    prepare(path)
    result = audit(site)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"qps-reporter: cannot read the ledger {path}: {message}\n"


test_what_cannot_be_read, test_a_writing_audit_is_caught = promises(
    *(
        MadePromise(what_cannot_be_read_is_said_and_left_alone, *twins, name=name)
        for name, twins in {
            **dict.fromkeys(UNREADABLE, ()),
            "missing": (broken.audits_with_the_right_to_write,),
        }.items()
    )
)


def test_the_directory_may_be_named_by_a_variable(make_site: MakeSite) -> None:
    """The flag, where there is one, wins over it."""
    site, _ = begun(make_site)
    check_balance(site, Row("open", size(0, 20), 20), by_variable=True)
