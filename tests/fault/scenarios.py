"""What happens to logs: each scenario drives a rig over real files and ends in `rig.check()`."""

import os
import shutil
from collections.abc import Callable
from typing import Any

from tests.following import BlindFiles, Rig, Writer, overflow_queue
from tests.promised import MadePromise, Promise

Make = Callable[..., Rig]


def row(check: Any, *broken: Any, **given: Any) -> Promise:
    """One promise, by what its rig makes."""
    return MadePromise(check, *broken, by="make", caught=(OSError, ValueError), **given)


def followed(make: Make, **keywords: object) -> tuple[Rig, Writer]:
    """A log that was looked at once, empty."""
    rig = make(**keywords)
    writer = rig.writer()
    rig.look()
    return rig, writer


def backlog_at_rename(make: Make) -> None:
    rig, old = followed(make)
    old.lines(5)
    rig.look()
    old.lines(1000)
    rig.renew(10)
    rig.check()


def late_writes_with_pauses(make: Make) -> None:
    """A writer that is silent for 50 s between lines, where the kernel does not tell of writers."""
    rig, old = followed(make, files=BlindFiles())
    new = rig.renew()
    for _ in range(5):
        new.lines(1)
        old.lines(1)
        rig.look_often(50)
    rig.check()


def bursts_of_rotations(make: Make) -> None:
    """Several generations between two looks."""
    rig = make()
    rig.writer().lines(2)
    rig.look()
    rig.expected.clear()
    for _ in range(5):
        for _ in range(3):
            rig.renew(7)
        rig.look(0.1)
    rig.check()


def copytruncate(make: Make) -> None:
    """The copy is not read again, and the log is read from its start, though it regrows past the offset."""
    rig, writer = followed(make)
    writer.lines(20)
    rig.look()
    rig.copytruncate()
    writer.lines(40)
    rig.look()
    assert len(rig.said("truncated")) == 1
    rig.check()


def copytruncate_before_it_was_read(make: Make) -> None:
    """Only the copy has the last lines, and after that the log regrows past the old offset."""
    rig, writer = followed(make)
    writer.lines(20)
    for number in range(1, 5):
        rig.look()
        writer.lines(30)
        rig.copytruncate(f"access.log.{number}")
        writer.lines(60)
    rig.check()
    assert all("is read from its copy" in text for text in rig.said("truncated"))


def copytruncate_of_lines_all_alike(make: Make) -> None:
    """Older copies hold the same lines, and more of them: they are not the copy."""
    rig = make()
    line = b"always the same\n"
    older = rig.beside("access.log.1")
    older.write_bytes(line * 500)
    os.utime(older, (1, 1))
    writer = rig.writer()
    rig.look()
    writer.raw(line * 20)
    rig.look()
    older.rename(rig.beside("access.log.2"))
    writer.raw(line * 5)
    rig.copytruncate()
    writer.raw(line * 3)
    rig.expected[line.rstrip()] = 28
    rig.check()


def inode_reused(make: Make) -> None:
    """Unlinked and created at once: file systems such as ext4 give the same inode number again."""
    rig = make()
    for _ in range(10):
        writer = rig.writer()
        rig.look()
        writer.lines(20)
        rig.look()
        writer.close()
        rig.path.unlink()
    rig.writer().lines(3)
    rig.check()


def partial_lines(make: Make) -> None:
    """A partial line waits; it counts once its newline comes, or when its generation is over."""
    rig, old = followed(make)
    old.raw(b"first half ")
    rig.look()
    assert not rig.seen
    old.raw(b"second half\n", expect=b"first half second half")
    rig.look()
    assert rig.seen == rig.expected
    old.raw(b"never finished", expect=b"never finished")
    rig.look()
    rig.renew(1)
    rig.check()


def partial_line_truncated(make: Make) -> None:
    """A partial line that the truncation took with it does not come back."""
    rig, writer = followed(make)
    writer.lines(3)
    writer.raw(b"never finished")
    rig.look()
    os.truncate(rig.path, 0)
    writer.lines(2)
    rig.check()


def started_within_a_line(make: Make) -> None:
    """What was there is not counted, but the line that was being written is."""
    rig = make()
    writer = rig.writer()
    writer.raw(b"before our time\nbegun before ")
    rig.look()
    writer.raw(b"and finished after\n", expect=b"begun before and finished after")
    writer.lines(1)
    rig.check()


def symlink_swapped(make: Make) -> None:
    """The log is a link; its target rotates in another directory, then the link is set to a new one."""
    rig = make()
    real = rig.root / "real"
    real.mkdir()
    first = rig.writer(real / "access-1.log")
    rig.path.symlink_to(real / "access-1.log")
    rig.look()
    first.lines(3)
    for turn in range(2, 5):
        writer = rig.writer(real / f"access-{turn}.log")
        writer.lines(2)
        link = rig.beside("new-link")
        link.symlink_to(real / f"access-{turn}.log")
        link.rename(rig.path)
        first.lines(1)
        rig.look()
    rig.check()


def symlink_target_rotated(make: Make) -> None:
    """Several rotations of the target between two looks, in a directory that is not the link's."""
    rig = make()
    real = rig.root / "real"
    real.mkdir()
    rig.writer(real / "access.log").lines(1)
    rig.path.symlink_to(real / "access.log")
    rig.look()
    rig.expected.clear()
    for turn in range(3):
        (real / "access.log").rename(real / f"access.log.{turn}")
        rig.writer(real / "access.log").lines(4)
    rig.check()


def symlink_beside_its_targets(make: Make) -> None:
    """Link and targets share a directory, in which older ones lie already."""
    rig = make()
    rig.beside("access-20261122.log").write_bytes(b"from before our time\n")
    rig.beside("access-20261123.1.log").write_bytes(b"from before our time, too\n")
    rig.writer(rig.beside("access-20261123.log"))
    rig.path.symlink_to("access-20261123.log")
    rig.look()
    for day in (124, 125, 126):
        rig.writer().lines(2)
        rig.path.unlink()
        writer = rig.writer(rig.beside(f"access-20261{day}.log"))
        rig.path.symlink_to(f"access-20261{day}.log")
        writer.lines(2)
        rig.look()
    rig.check()


def directory_replaced(make: Make) -> None:
    """The directory is renamed and made anew, then removed and made anew."""
    rig, old = followed(make)
    old.lines(2)
    rig.path.parent.rename(rig.root / "moved")
    old.lines(2)
    rig.path.parent.mkdir()
    rig.writer().lines(3)
    rig.look()
    shutil.rmtree(rig.path.parent)
    rig.look()
    rig.look()
    rig.path.parent.mkdir()
    new = rig.writer()
    new.lines(3)
    rig.look()
    for _ in range(2):  # the watch stands on the new directory: bursts are found there, too
        rig.renew(3)
    rig.check()


def queue_overflow(make: Make) -> None:
    """More events than the kernel keeps: what came and went in between is found by content."""
    rig = make()
    rig.beside("access.log.900").write_bytes(b"from before our time\n")
    rig.writer().lines(1)
    rig.look()
    rig.expected.clear()
    rig.expected.update(rig.seen)
    overflow_queue(rig.path.parent)
    for _ in range(3):
        rig.renew(5)
    shutil.copy(rig.beside("access.log.1"), rig.beside("access.log.901"))
    rig.look()
    for _ in range(3):
        rig.renew(5)
    rig.check()


def many_generations(make: Make) -> None:
    """The limit on open files closes early, and takes up again what grows."""
    rig, old = followed(make, open_generations=4)
    for _ in range(10):
        rig.renew(2)
        rig.look()
        assert rig.files_open <= 4
    assert len(rig.said("let_go")) == 1
    assert "for the limit of 4" in rig.said("let_go")[0]
    old.lines(5)
    rig.check()
