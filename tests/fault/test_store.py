"""The ledger on a real kernel's bad days: disk full, read-only, locked, damaged page by page. Kills are in
test_kills.py, the loss of power in test_power_loss.py; missing, moved and replaced files in
tests/unit/ledger/test_writer.py."""

import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qps_service.errors import LedgerUnreadableError
from qps_service.ledger.database import COMPANIONS, Database, LedgerError
from qps_service.ledger.writer import REOPEN, LedgerWriter
from qps_service.notices import kinds
from tests.broken_writers import Repeats
from tests.fault.mounts import MakeMount, image, needs_root
from tests.ledgers import SECOND, Keeper, check_exact, die, rows
from tests.promised import Patches, Promise, promises

LATER = REOPEN // SECOND  # seconds after which a connection is made anew
OUTAGE = [kinds.LEDGER_UNAVAILABLE, kinds.LEDGER_RESUMED]
SMALL = ("-t", "tmpfs", "-o", "size=2m", "none")


# --- a full disk


def check_full_disk(make: type[LedgerWriter], mount: MakeMount) -> None:
    """Five windows without a byte of space, then space again: all of them are there, and it was said once."""
    disk = mount("disk", *SMALL)
    path = disk.directory / "ledger.db"
    keeper = Keeper(path, make=make)
    assert keeper.window(10)
    disk.fill()
    for _ in range(5):
        assert not keeper.window(1000)
        assert not keeper.writer.is_written
    disk.make_room()
    assert keeper.window(10)
    assert keeper.window(10)
    assert keeper.kinds() == OUTAGE
    sequences = Counter(row[0] for row in rows(keeper.ledger.database, "windows"))
    assert sequences == {1: 10, **dict.fromkeys(range(2, 7), 1000), 7: 10, 8: 10}
    keeper.close()
    check_exact(path, 5030)


test_a_full_disk, test_a_full_disk_catches_its_twin = map(
    needs_root, promises(Promise(check_full_disk, LedgerWriter, [Repeats]))
)


def stop(path: Path, lines: int) -> None:
    """A service that committed these lines, and was stopped."""
    keeper = Keeper(path)
    keeper.window(lines)
    keeper.close()


@needs_root
@pytest.mark.parametrize("end", [die, stop])
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_disk_that_takes_nothing_at_the_start(
    trouble: str, end: Callable[[Path, int], None], tmp_path: Path, mount: MakeMount
) -> None:
    """Places and totals are known; what is counted waits."""
    is_full = trouble == "full"
    disk = mount("disk", *(SMALL if is_full else ("-o", "loop", image(tmp_path))))
    path = disk.directory / "ledger.db"
    end(path, 10)
    disk.fill() if is_full else disk.remount("ro")
    keeper = Keeper(path)
    assert keeper.writer.sequence == 1
    restored = keeper.restored()
    assert restored is not None
    assert [each.lines for each in restored.held] == [10]
    keeper.tell_from(10)
    assert not keeper.window(1000)
    assert not keeper.window(1000, seconds=LATER)
    disk.make_room() if is_full else disk.remount("rw")
    assert keeper.window(10, seconds=LATER)
    assert keeper.kinds() == OUTAGE
    keeper.close()
    check_exact(path, 2020)


# --- damaged, page by page


PAGE = 4096


def damages(text: bytes) -> Iterator[bytes]:
    """The file with each page overwritten, by one kind of garbage after the other, or cut off before it."""
    garbage = itertools.cycle((b"\xff" * PAGE, b"\0" * PAGE, b"SELECT 1;".ljust(PAGE, b"\x0a")))
    for start in range(0, len(text), PAGE):
        yield text[:start] + next(garbage) + text[start + PAGE :]
        yield text[:start]


def check_damage(path: Path, content: bytes) -> None:
    """Either it is sound enough to have everything, or it is set aside as it was."""
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    path.write_bytes(content)
    keeper = Keeper(path)
    restored = keeper.restored()
    if keeper.said or restored is None:
        assert restored is None
        assert keeper.kinds() == ([kinds.LEDGER_SET_ASIDE] if content else [])
        kept = [each for each in path.parent.glob("ledger.db.*") if not each.name.endswith(COMPANIONS)]
        assert [each.read_bytes() for each in kept] == ([content] if content else [])
    else:
        assert sum(counts.requests for counts in restored.totals.values()) == 300
        assert [each.lines for each in restored.held] == [300]
        keeper.tell_from(300)
    assert keeper.window(10)
    keeper.close()
    check_exact(path, 310 if restored else 10)


@pytest.fixture
def variants(tmp_path: Path) -> list[bytes]:
    """Of the ledger of a service that was stopped."""
    stop(tmp_path / "source.db", 300)
    made = list(damages((tmp_path / "source.db").read_bytes()))
    assert len(made) > 20
    return made


def check_all(variants: list[bytes], tmp_path: Path) -> None:
    for content in variants:
        check_damage(tmp_path / "state" / "ledger.db", content)


UNCHECKED = Patches((Database, "_check", lambda _: None))
test_every_page_damaged_at_the_start, test_damage_that_is_not_looked_for_is_noticed = promises(
    Promise(check_all, None, [UNCHECKED], (LedgerError, LedgerUnreadableError))
)
