"""The ledger on a real kernel's bad days: disk full, read-only, locked, damaged page by page, and killed at
every step of a commit. Missing, moved and replaced files are in tests/unit/test_books.py."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from qps_service import notices
from qps_service.books import REOPEN, Books
from qps_service.database import LedgerError
from qps_service.errors import LedgerUnreadableError
from tests.broken_books import Drops, Repeats, SaysEach
from tests.ledgers import ROOT, SECOND, Keeper, check_exact, locked, opened, rows

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
LATER = REOPEN // SECOND  # seconds after which a connection is made anew
OUTAGE = [notices.LEDGER_UNAVAILABLE, notices.LEDGER_RESUMED]


class Mount:
    """A file system of its own, until the test ends."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        directory.mkdir()
        subprocess.run(["mount", *arguments, str(directory)], check=True)

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.directory)], check=True)

    def fill(self) -> None:
        """Until not a byte is left."""
        with (self.directory / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(b"\0" * 4096)

    def make_room(self) -> None:
        (self.directory / "filler").unlink()

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.directory)], check=True)


MakeMount = Callable[..., Mount]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[MakeMount]:
    mounts: list[Mount] = []

    def make(name: str, *arguments: str) -> Mount:
        mounts.append(Mount(tmp_path / name, *arguments))
        return mounts[-1]

    yield make
    for each in mounts:
        each.close()


SMALL = ("-t", "tmpfs", "-o", "size=2m", "none")


# --- a full disk


def check_full_disk(disk: Mount, make: type[Books] = Books) -> None:
    """Five windows without a byte of space, then space again: all of them are there, and it was said once."""
    path = disk.directory / "ledger.db"
    keeper = Keeper(path, make=make)
    assert keeper.window(10)
    disk.fill()
    for _ in range(5):
        assert not keeper.window(1000)
        assert not keeper.books.is_written
    disk.make_room()
    assert keeper.window(10)
    assert keeper.kinds() == OUTAGE
    assert [row[0] for row in rows(keeper.ledger.database, "windows")][::1000] == [1, 2, 3, 4, 5, 6]
    assert {row[0] for row in rows(keeper.ledger.database, "windows")} == set(range(1, 8))
    keeper.close()
    check_exact(path, 5020)


@needs_root
def test_a_full_disk(mount: MakeMount) -> None:
    check_full_disk(mount("sound", *SMALL))
    for twin in (Drops, Repeats, SaysEach):
        with pytest.raises(AssertionError):
            check_full_disk(mount(twin.__name__, *SMALL), twin)


def die(path: Path, lines: int) -> None:
    """A service that committed these lines, and was killed."""
    script = (
        "import os, sys; from pathlib import Path; from tests.ledgers import Keeper;"
        "Keeper(Path(sys.argv[1])).window(int(sys.argv[2])); os.kill(os.getpid(), 9)"
    )
    process = subprocess.run([sys.executable, "-c", script, str(path), str(lines)], cwd=ROOT)
    assert process.returncode == -9


def stop(path: Path, lines: int) -> None:
    """A service that committed these lines, and was stopped."""
    keeper = Keeper(path)
    keeper.window(lines)
    keeper.close()


@needs_root
@pytest.mark.parametrize("end", [die, stop])
def test_a_disk_that_is_full_at_the_start(end: Callable[[Path, int], None], mount: MakeMount) -> None:
    """Places and totals are known; what is counted waits for space."""
    disk = mount("disk", *SMALL)
    path = disk.directory / "ledger.db"
    end(path, 10)
    disk.fill()
    keeper = Keeper(path)
    restored = keeper.restored()
    assert restored is not None
    assert [each.lines for each in restored.held] == [10]
    keeper.tell_from(10)
    assert not keeper.window(1000)
    assert not keeper.window(1000, seconds=LATER)
    disk.make_room()
    assert keeper.window(10, seconds=LATER)
    assert keeper.kinds() == OUTAGE
    keeper.close()
    check_exact(path, 2020)


@needs_root
def test_a_ledger_that_cannot_be_begun_on_a_full_disk(mount: MakeMount) -> None:
    disk = mount("disk", *SMALL)
    disk.fill()
    path = disk.directory / "ledger.db"
    keeper = Keeper(path)
    assert keeper.restored() is None
    assert not keeper.window(10)
    disk.make_room()
    assert keeper.window(10, seconds=LATER)
    assert keeper.kinds() == OUTAGE
    keeper.close()
    check_exact(path, 20)


# --- read-only


def image(tmp_path: Path) -> str:
    """A new ext4."""
    path = tmp_path / "image"
    path.touch()
    os.truncate(path, 8 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(path)], check=True)
    return str(path)


@needs_root
@pytest.mark.parametrize("end", [die, stop])
def test_a_disk_that_is_read_only_at_the_start(
    end: Callable[[Path, int], None], tmp_path: Path, mount: MakeMount
) -> None:
    disk = mount("disk", "-o", "loop", image(tmp_path))
    path = disk.directory / "ledger.db"
    end(path, 10)
    disk.remount("ro")
    keeper = Keeper(path)
    assert keeper.books.sequence == 1
    restored = keeper.restored()
    assert restored is not None
    assert [each.lines for each in restored.held] == [10]
    keeper.tell_from(10)
    assert not keeper.window(1)
    assert not keeper.window(1, seconds=LATER)
    disk.remount("rw")
    assert keeper.window(1, seconds=LATER)
    assert keeper.kinds() == OUTAGE
    keeper.close()
    check_exact(path, 13)


@needs_root
def test_a_damaged_ledger_on_a_read_only_disk(tmp_path: Path, mount: MakeMount) -> None:
    """It can't be set aside, and is left as it is."""
    disk = mount("disk", "-o", "loop", image(tmp_path))
    path = disk.directory / "ledger.db"
    path.write_bytes(b"no ledger" * 1000)
    disk.remount("ro")
    keeper = Keeper(path)
    assert keeper.kinds() == [notices.LEDGER_UNAVAILABLE]
    assert keeper.restored() is None
    assert not keeper.window(1)
    disk.remount("rw")
    assert keeper.window(1, seconds=LATER)
    assert keeper.kinds() == [notices.LEDGER_UNAVAILABLE, notices.LEDGER_SET_ASIDE, notices.LEDGER_RESUMED]
    keeper.close()
    check_exact(path, 2)


@needs_root
def test_a_disk_that_becomes_read_only_by_an_error(tmp_path: Path, mount: MakeMount) -> None:
    """The kernel lets nothing through until it is mounted again: the ledger is at its last commit."""
    source = image(tmp_path)
    disk = mount("disk", "-o", "loop", source)
    path = disk.directory / "ledger.db"
    keeper = Keeper(path)
    keeper.window(10)
    disk.remount("abort")
    for _ in range(5):
        assert not keeper.window(1, seconds=LATER)
    assert keeper.books.sequence == 6
    assert keeper.kinds() == [notices.LEDGER_UNAVAILABLE]
    keeper.close()
    disk.close()
    subprocess.run(["mount", "-o", "loop", source, str(disk.directory)], check=True)
    check_exact(path, 10)
    keeper = Keeper(path)
    keeper.tell_from(10)
    assert keeper.window(5)
    keeper.close()
    check_exact(path, 15)


# --- locked


def check_lock(path: Path, make: type[Books] = Books) -> None:
    """Another program writes for long: windows wait."""
    keeper = Keeper(path, make=make)
    keeper.window(1)
    with locked(path, "IMMEDIATE"):
        for _ in range(3):
            assert not keeper.window(1, seconds=LATER)
    assert keeper.window(1)
    assert keeper.kinds() == OUTAGE
    keeper.close()
    check_exact(path, 5)


def test_a_lock_under_way(tmp_path: Path) -> None:
    check_lock(tmp_path / "ledger.db")
    for twin in (Drops, Repeats, SaysEach):
        with pytest.raises(AssertionError):
            check_lock(tmp_path / twin.__name__, twin)


def test_a_lock_at_the_start(tmp_path: Path) -> None:
    """What can be read is read; where not even that is allowed, the places are not guessed."""
    path = tmp_path / "ledger.db"
    stop(path, 10)
    with locked(path, "EXCLUSIVE"), pytest.raises(LedgerUnreadableError, match=r": database is locked$"):
        Keeper(path)
    with locked(path, "IMMEDIATE"):
        keeper = Keeper(path)
        assert keeper.restored() is not None
        keeper.tell_from(10)
        assert not keeper.window(1)
    assert keeper.window(1, seconds=LATER)
    assert keeper.kinds() == OUTAGE
    keeper.close()
    check_exact(path, 12)


# --- damaged, page by page


PAGE = 4096


def damages(text: bytes) -> Iterator[bytes]:
    """The file with each page overwritten, or cut off before it."""
    for start in range(0, len(text), PAGE):
        for garbage in (b"\xff" * PAGE, b"\0" * PAGE, b"SELECT 1;".ljust(PAGE, b"\x0a")):
            yield text[:start] + garbage + text[start + PAGE :]
        yield text[:start]


def check_damage(path: Path, content: bytes, make: type[Books] = Books) -> None:
    """Either it is sound enough to have everything, or it is set aside as it was."""
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    path.write_bytes(content)
    keeper = Keeper(path, make=make)
    restored = keeper.restored()
    if keeper.said or restored is None:
        assert restored is None
        assert keeper.kinds() == ([notices.LEDGER_SET_ASIDE] if content else [])
        (aside,) = path.parent.glob("ledger.db.damaged-*") if content else [path]
        assert not content or aside.read_bytes() == content
    else:
        assert sum(counts.requests for counts in restored.totals.values()) == 300
        assert [each.lines for each in restored.held] == [300]
        keeper.tell_from(300)
    assert keeper.window(10)
    keeper.close()
    check_exact(path, 310 if restored else 10)


def test_every_page_damaged_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state" / "ledger.db"
    path.parent.mkdir()
    stop(path, 300)
    variants = list(damages(path.read_bytes()))
    assert len(variants) > 40
    for content in variants:
        check_damage(path, content)
    monkeypatch.setattr("qps_service.database.Database._check", lambda _: None)
    failed = 0
    for content in variants:
        try:
            check_damage(path, content)
        except (AssertionError, LedgerError, LedgerUnreadableError):
            failed += 1
    assert failed > len(variants) // 2


def test_every_page_damaged_under_way(tmp_path: Path) -> None:
    """What is read afterwards is right or refused, never wrong."""
    source = tmp_path / "source.db"
    stop(source, 300)
    text = source.read_bytes()
    for number, start in enumerate(range(0, len(text), PAGE)):
        path = tmp_path / str(number) / "ledger.db"
        path.parent.mkdir()
        path.write_bytes(text)
        keeper = Keeper(path)
        keeper.tell_from(300)
        assert keeper.window(10)
        with path.open("r+b") as file:
            file.seek(start)
            file.write(b"\xff" * PAGE)
        assert keeper.window(300)
        assert keeper.window(10)
        assert set(keeper.kinds()) <= {notices.LEDGER_SET_ASIDE}
        keeper.close()
        keeper = Keeper(path)
        if not keeper.said:
            check_exact(path, 620)
        keeper.close()


# --- killed at every step


COMMITS = """
import sys
from pathlib import Path
from tests.ledgers import Keeper
keeper = Keeper(Path(sys.argv[1]))
for number in range(1, 4):
    assert keeper.window(20)
    print(number, flush=True)
keeper.close()
print("closed", flush=True)
"""

# Counts in one transaction, positions in the next.
BROKEN = """
from qps_service import ledger
def twice(writing, log, entry, add=ledger._add_positions):
    writing.execute("COMMIT")
    writing.execute("BEGIN IMMEDIATE")
    add(writing, log, entry)
ledger._add_positions = twice
"""

# All that SQLite and we do to the disk, but for opening files and mapping memory.
STEPS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "fallocate", "unlink", "fchmod")


def killed_at(path: Path, call: str, number: int, script: str) -> list[str] | None:
    """The child's lines until it is killed at that call; None if it makes fewer of them."""
    inject = f"inject={call}:signal=SIGKILL:when={number}"
    strace = ("strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject)
    result = subprocess.run(
        [*strace, sys.executable, "-S", "-c", script, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    lines = result.stdout.split()
    if "closed" in lines:
        return None
    assert result.returncode == -9, result.stderr
    return lines


def check_kills(directory: Path, script: str) -> dict[str, int]:
    """After each kill the ledger opens, at the last commit that was told or the one under way, and counts
    and positions belong together. How many kills there were, by call."""
    kills = {}
    for call in STEPS:
        for number in range(1, 1000):
            path = directory / f"{call}-{number}" / "ledger.db"
            path.parent.mkdir(parents=True)
            told = killed_at(path, call, number, script)
            if told is None:
                break
            kills[call] = number
            ledger = opened(path)
            done = ledger.number
            assert done in (len(told), len(told) + 1)
            assert ledger.sequence == done
            ledger.close()
            check_exact(path, 20 * done)
            shutil.rmtree(path.parent)
    return kills


def test_killed_at_every_step_of_a_commit(tmp_path: Path) -> None:
    kills = check_kills(tmp_path / "sound", COMMITS)
    assert kills["pwrite64"] > 20
    assert kills["fdatasync"] >= 3
    assert kills["unlink"] >= 1


def test_positions_in_a_transaction_of_their_own_are_caught(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check_kills(tmp_path, BROKEN + COMMITS)
