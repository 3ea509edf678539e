"""Where rotated files go, and what else is beside them: names that no pattern knows, other directories, files
of other owners, clocks that were set back."""

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from qps_service.files.kernel import Files, Seen
from qps_service.following.watcher import Watcher
from tests.fault.restarts import begun, pack
from tests.fault.scenarios import Make
from tests.following import SECOND, BlindFiles, NoInotify, RetoldFiles, Rig, Writer

WEB_SERVER, NOBODY = 33, 65534  # uids
FOREIGN = b"".join(b"forged %d [29/Nov/2026:09:00:%02d]\n" % (each, each) for each in range(60))


# --- rotated while nobody reads


def renamed(rig: Rig, name: str) -> Path:
    """To this name, in a directory that may be new."""
    rotated = rig.beside(name)
    rotated.parent.mkdir(parents=True, exist_ok=True)
    return rig.path.rename(rotated)


def linked(rig: Rig, name: str) -> Path:
    """By a hard link, after which the log's own name goes."""
    rotated = rig.beside(name)
    os.link(rig.path, rotated)
    rig.path.unlink()
    return rotated


def moved_with_its_directory(rig: Rig, name: str) -> Path:
    """The whole directory gets this name, and a new one is made."""
    moved = rig.root / name
    rig.path.parent.rename(moved)
    rig.path.parent.mkdir()
    return moved / rig.path.name


Rotate = Callable[[Rig, str], Path]


def read_by_turns(rig: Rig, old: Writer, rotate: Callable[[], Path], *, packs: bool, killed: bool) -> None:
    """Unread lines, the rotation, and new lines, while nobody reads."""
    rig.kill() if killed else rig.stop()
    old.lines(200)
    rotated = rotate()
    old.lines(0 if packs else 5)
    old.close()
    if packs:
        pack(rotated)
    rig.writer().lines(50)
    rig.start()
    rig.look()
    rig.writer().lines(3)
    rig.check(losses=[])


def rotated_elsewhere(
    make: Make,
    *,
    name: str,
    log: str = "access.log",
    rotate: Rotate = renamed,
    packs: bool = False,
    killed: bool = False,
) -> None:
    rig, old = begun(make, log=log)
    read_by_turns(rig, old, lambda: rotate(rig, name), packs=packs, killed=killed)


def link_set_anew(
    make: Make, *, former: str, latter: str, link: str, packs: bool = False, killed: bool = False
) -> None:
    """The log is a link; its file stays where it is, and the link leads to the next one."""
    rig = make(log=link)
    for name in (former, latter):
        rig.beside(name).parent.mkdir(parents=True, exist_ok=True)
    old = rig.writer(rig.beside(former))

    def point(target: str) -> None:
        temporary = rig.beside("link.new")
        temporary.symlink_to(target)
        temporary.rename(rig.path)

    def rotate() -> Path:
        point(latter)
        return rig.beside(former)

    point(former)
    rig.look()
    old.lines(100)
    rig.look()
    read_by_turns(rig, old, rotate, packs=packs, killed=killed)


def beside_another_log(make: Make, *, one: str, other: str, rotated: str) -> None:
    """Each of two logs is rotated while nobody reads, to names that differ in a number: its own alone."""
    rig, old = begun(make, log=one)
    root = rig.root / "logs"
    (root / other).parent.mkdir(parents=True, exist_ok=True)
    rig.stop()
    old.lines(20)
    for log in (one, other):
        path = root / log
        target = path.parent / rotated.format(path.name)
        target.parent.mkdir(exist_ok=True)
        if log == other:
            path.write_bytes(FOREIGN)
        path.rename(target)
        path.touch()
    old.close()
    rig.writer().lines(5)
    rig.start()
    rig.look()
    rig.check(losses=[])


# --- copies, while running


def copied_and_truncated(make: Make, *, name: str, packs: bool = False) -> None:
    """copytruncate, with lines that only the copy has; time and again."""
    rig, writer = begun(make)
    for number in range(3):
        writer.lines(150)
        copy = rig.beside(f"{name}{number}")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(rig.path, copy)
        os.truncate(rig.path, 0)
        if packs:
            pack(copy)
        writer.lines(40)
        rig.look()
    rig.check(losses=[])


# --- compressed while running, and a restart


def compressed_while_running(
    make: Make, *, looks: int, more: int = 0, store: bool = False, suffix: str = ".gz"
) -> None:
    """logrotate without delaycompress, a service that gets no leases, a stop and a start."""
    rig, old = begun(make, files=BlindFiles(), store=store)
    for _ in range(2):
        rotated = rig.rotate()
        old.close()
        old = rig.writer()
        pack(rotated, suffix)
        rig.look_often(looks)
        rig.stop()
        old.lines(more)
        rig.start()
        rig.look_often(3)
    rig.check(losses=[])


def deleted_once_it_was_read(make: Make, *, blind: bool) -> None:
    """Read to its end, with no writer left: no loss, whatever becomes of it."""
    rig, old = begun(make, files=BlindFiles() if blind else Files())
    for _ in range(2):
        rotated = rig.rotate()
        old.close()
        old = rig.writer()
        old.lines(2)
        rig.look_often(3, 61)
        rig.stop()
        rotated.unlink()
        rig.start()
        rig.look()
    rig.check(losses=[])


# --- files that are not the log's


def foreign_file_beside_a_log(make: Make, *, hints: bool) -> None:
    """Named like a rotation, while the log was not rotated: not counted, with inotify or without."""
    rig, writer = begun(make, watcher=Watcher if hints else NoInotify)
    for name in ("access.log.7", "access.log-20261128", "access.log.old"):
        rig.beside(name).write_bytes(FOREIGN.replace(b"forged", name.encode()))
        writer.lines(5)
        rig.look()
    writer.lines(5)
    rig.look_often(2, 61)
    rig.stop()
    rig.beside("access.log.8").write_bytes(FOREIGN)
    writer.lines(5)
    rig.start()
    rig.look()
    rig.check(losses=[])


def forged_by_another_user(make: Make, *, mode: int, packs: bool = False) -> None:
    """Others may write to the directory: what one put there while it was rotated is named, not counted."""
    rig, old = begun(make)
    rig.path.parent.chmod(mode)
    rig.stop()
    old.lines(5)
    rig.renew(5)
    forged = rig.beside("access.log.7")
    forged.write_bytes(FOREIGN)
    if packs:
        forged = pack(forged)
    os.chown(forged, NOBODY, NOBODY)
    rig.start()
    rig.look()
    rig.writer().lines(2)
    rig.check(losses=[])
    (text,) = rig.said("foreign_file")
    assert str(forged) in text
    assert "nobody" in text


def damaged_by_another_user(make: Make) -> None:
    """What another user put there is not looked into: that it is damaged, or can't be read, is no loss."""
    rig, old = begun(make)
    rig.path.parent.chmod(0o1777)
    for number, text in enumerate((b"no gzip", gzip.compress(FOREIGN)[:-9])):
        put = rig.beside(f"access.log.{number + 7}.gz")
        put.write_bytes(text)
        os.chown(put, NOBODY, NOBODY)
        old.lines(5)
        rig.look_often(2)
    rig.stop()
    old = rig.renew(5, closing=old)
    put = rig.beside("access.log.9.gz")
    put.write_bytes(b"no gzip")
    os.chown(put, NOBODY, NOBODY)
    rig.start()
    old.lines(2)
    rig.check(losses=[])


def copied_by_another_user(make: Make) -> None:
    """With lines of his own behind the log's, which is cut then: the rotation's copy is read, not his."""
    rig, old = begun(make)
    rig.path.parent.chmod(0o1777)
    old.lines(5)
    copy, forged = rig.beside("access.log.1"), rig.beside("access.log.7")
    shutil.copy(rig.path, copy)
    forged.write_bytes(rig.path.read_bytes() + FOREIGN)
    os.chown(forged, NOBODY, NOBODY)
    os.truncate(rig.path, 0)
    old.lines(2)
    rig.check(losses=[])


def opened_by_two_owners(make: Make, *, mode: int) -> None:
    """nginx's master opens a new log as root, logrotate's `create` makes the next one the web server's: both
    are the log's, and all that is rotated of them while nobody reads."""
    rig, writer = begun(make)
    rig.path.parent.chmod(mode)
    writer = rig.renew(3, closing=writer)
    os.chown(rig.path, WEB_SERVER, WEB_SERVER)
    rig.look()
    for turn in range(4):
        rig.stop()
        for owner in (WEB_SERVER, 0):
            writer.lines(3)
            writer = rig.renew(3, closing=writer)
            os.chown(rig.path, owner, owner)
        writer.lines(1)
        if turn % 2:
            pack(rig.beside(f"access.log.{2 * turn + 2}"))
        rig.start()
        rig.look()
    rig.check(losses=[])
    assert rig.said("foreign_file") == []


# --- clocks


class SetBack(RetoldFiles):
    """The clock was set back an hour: what was written since has earlier times."""

    def __init__(self) -> None:
        super().__init__()
        self.since: int | None = None  # nanoseconds, by the clock as it was

    def retell(self, seen: Seen) -> Seen:
        if self.since is None or seen.modified < self.since:
            return seen
        return seen._replace(modified=seen.modified - 3600 * SECOND, changed=seen.changed - 3600 * SECOND)


def clock_set_back(make: Make, *, packs: bool) -> None:
    """While nobody reads, and the log is rotated twice: all is counted."""
    files = SetBack()
    rig, old = begun(make, files=files)
    rig.stop()
    files.since = rig.path.stat().st_mtime_ns + SECOND
    for turn in range(2, 4):
        old.lines(50)
        os.utime(rig.path, ns=(files.since + turn * SECOND,) * 2)
        rotated = rig.rotate()
        old.close()
        if packs:
            pack(rotated)
        old = rig.writer()
    old.lines(70)
    os.utime(rig.path, ns=(files.since + 10 * SECOND,) * 2)
    rig.start()
    rig.look()
    rig.check(losses=[])
