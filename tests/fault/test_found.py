"""Found while the pages were checked, and failing: what a log's files may go through, every line once."""

import os
import shutil
from pathlib import Path

import pytest

from tests.fault.restarts import begun
from tests.fault.scenarios import Make, followed
from tests.following import Rig


def put(rig: Rig, text: bytes, name: str = "access.log") -> None:
    """Rename a file with this text onto the name, as rsync does."""
    copy = rig.path.with_name(f".{name}.x1")
    copy.write_bytes(text)
    copy.rename(rig.beside(name))


def two_rotations_into_olddir_while_stopped(make: Make) -> None:
    """Both files are in a directory where nothing was before."""
    rig, old = begun(make)
    rig.stop()
    old.lines(5)
    aside = rig.path.parent / "old"
    aside.mkdir()
    for number in (2, 1):
        rig.path.rename(aside / f"access.log.{number}")
        old.close()
        old = rig.writer()
        old.lines(7)
    rig.start()
    rig.check(losses=[])


def link_set_anew_twice_while_stopped(make: Make) -> None:
    """Of three days' files the second was made and left while nobody ran."""

    def day(number: int) -> Path:
        return rig.beside(f"app-2026112{number}.log")

    rig = make()
    first = rig.writer(day(7))
    rig.path.symlink_to(day(7).name)
    rig.look()
    first.lines(4)
    rig.look()
    rig.stop()
    first.lines(3)
    for number in (8, 9):
        writer = rig.writer(day(number))
        rig.path.unlink()
        rig.path.symlink_to(day(number).name)
        writer.lines(5)
    rig.start()
    rig.check(losses=[])


def mirror_of_a_log_that_rotates(make: Make) -> None:
    """Lines that the mirror gets in the rotated file only."""
    rig, _ = followed(make)
    source = rig.root / "source"
    writer = rig.writer(source)
    writer.lines(100)
    put(rig, source.read_bytes())
    rig.look()
    writer.lines(50)
    rotated = source.read_bytes()
    source.unlink()
    rig.writer(source).lines(20)
    put(rig, source.read_bytes())
    put(rig, rotated, "access.log.1")
    rig.look()
    rig.check(losses=[])


def copy_created_under_the_name(make: Make) -> None:
    """As some editors save, and as `rm` and `cp` put a backup back: it has the times of what was read."""
    rig, old = followed(make)
    old.lines(100)
    rig.look()
    backup = rig.root / "backup"
    shutil.copy2(rig.path, backup)
    rig.path.unlink()
    shutil.copyfile(backup, rig.path)
    rig.look()
    rig.writer().lines(10)
    rig.check()


def copy_written_in_place_slowly(make: Make) -> None:
    """A look comes while the log is empty."""
    rig, old = followed(make)
    old.lines(100)
    rig.look()
    text = rig.path.read_bytes()
    os.truncate(rig.path, 0)
    rig.look()
    old.raw(text)
    old.lines(10)
    rig.check()


@pytest.mark.parametrize(
    "check",
    [
        two_rotations_into_olddir_while_stopped,
        link_set_anew_twice_while_stopped,
        mirror_of_a_log_that_rotates,
        copy_created_under_the_name,
        copy_written_in_place_slowly,
    ],
)
def test_every_line_once(check: object, make: Make) -> None:
    check(make)  # type: ignore[operator]
