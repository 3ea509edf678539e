"""Histories that random runs (tests/model) and trials found, as short as they can be: copies of logs, put
where the log or its rotated files are, what was let go under names like no rotation's, what systemd held."""

import errno
import gzip
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from qps_service.files.kernel import Files, Seen
from tests.fault.devices import ReusedNumbers
from tests.fault.restarts import begun, pack
from tests.fault.scenarios import Make, followed
from tests.following import LINE_SIZE, SECOND, BlindFiles, NoInotify, Rig, WallClock
from tests.model.toy_disk import STRANGER, ToyFiles

EQUAL = b"GET /health 200\n"


def mirror(rig: Rig, count: int = 0) -> None:
    """A file with the log's text, and more lines, takes the log's place by a rename."""
    copy = rig.beside(".access.log.Xa3f9Q")
    shutil.copy(rig.path, copy)
    rig.writer(copy).lines(count)
    copy.rename(rig.path)


def mirrored_without_a_hint(make: Make) -> None:
    """Of lines without times nothing proves that it is the same text: they count, and that is said."""
    rig, writer = begun(make, watcher=NoInotify)
    rig.renew()
    rig.look()
    writer = rig.writer()
    writer.raw(EQUAL * 3)
    rig.expected[EQUAL.rstrip()] += 3
    rig.look()
    mirror(rig)
    rig.look()
    assert rig.seen[EQUAL.rstrip()] == 6
    assert any("3 lines at most" in text for text in rig.said("possible_duplicate"))


def backup_of_another_generation_written_over_the_log(make: Make) -> None:
    """Its lines are known, though they were read in a file that was rotated since."""
    for lets_go in (False, True):
        rig, old = begun(make)
        backup = rig.root / "backup"
        shutil.copy(rig.path, backup)
        rig.renew(3, closing=old if lets_go else None)
        rig.look_often(2)
        rig.path.write_bytes(backup.read_bytes())
        rig.look()
        rig.writer().lines(2)
        rig.check()


def backup_without_times_written_over_the_log(make: Make) -> None:
    """Nothing proves that it is one: its lines count again, and that is said."""
    rig, _ = begun(make)
    writer = rig.renew()
    writer.raw(b"one\ntwo\n")
    rig.look()
    shutil.copy(rig.path, rig.root / "backup")
    rig.renew(3)
    rig.look()
    rig.path.write_bytes(b"one\ntwo\n")
    rig.look()
    assert rig.seen[b"one"] == 2
    assert any("2 lines at most" in text for text in rig.said("possible_duplicate"))


def backup_written_over_the_log_and_written_to(make: Make) -> None:
    """The next line has the place and the length of the one that the backup lacks."""
    rig, writer = begun(make)
    text = rig.path.read_bytes()
    writer.lines(1)
    rig.look()
    rig.path.write_bytes(text)
    rig.look()
    rig.look()
    writer.lines(1)
    rig.check()


def copy_of_a_mirror(make: Make) -> None:
    """The file that the mirror replaced ended earlier: what came after that was read in the mirror."""
    for stops in (False, True):
        rig, _ = begun(make)
        mirror(rig, 1)
        rig.look()
        if stops:
            rig.stop()
            shutil.copy(rig.path, rig.beside("access.log.bak"))
            rig.start()
        else:
            rig.copytruncate()
        rig.check()


def copy_of_a_mirror_that_was_not_committed(make: Make) -> None:
    """Log and copy go on where the ledger is."""
    rig, old = begun(make)
    mirror(rig)
    old.close()
    rig.look()
    rig.writer().lines(5)
    rig.look(commit=False)
    rig.kill()
    shutil.copy(rig.path, rig.beside("access.log.bak"))
    rig.start()
    rig.check()


def rotated_mirror_of_a_mirror(make: Make) -> None:
    """It goes on where two files did that are gone: it is read once."""
    rig, _ = begun(make)
    mirror(rig)
    rig.look()
    rig.stop()
    mirror(rig, 5)
    rig.renew()
    rig.start()
    rig.check()


def mirror_beside_what_it_replaced(make: Make) -> None:
    """systemd keeps the file that was replaced while nobody ran; it goes on, as the mirror does."""
    rig, old = begun(make, store=True)
    rig.stop()
    mirror(rig)
    rig.writer().lines(1)
    old.lines(1)
    rig.renew()
    rig.start()
    rig.check()


def late_line_under_another_name(make: Make) -> None:
    """The kernel tells of no writers: the file was quiet, and was let go."""
    rig, old = begun(make, files=BlindFiles())
    for name in ("app-29Nov", "yesterday/app"):
        target = rig.path.parent / name
        target.parent.mkdir(exist_ok=True)
        rig.path.rename(target)
        new = rig.writer()
        new.lines(1)
        rig.look_often(3, 61)
        assert rig.files_open == 1
        old.lines(1)
        old = new
        rig.look_often(2, 61)
        assert rig.seen == rig.expected


def volume_away_for_a_whole_process(make: Make) -> None:
    """What is awaited stays so until a process sees the log."""
    rig, old = begun(make)
    rig.stop()
    here, away = rig.path.parent, rig.root.parent / f"{rig.root.name}-unmounted"
    here.rename(away)
    here.mkdir()
    rig.start()
    rig.look()
    rig.stop()
    here.rmdir()
    away.rename(here)
    old.lines(1)
    rig.start()
    rig.check(losses=[])


def backup_that_was_put_back_before(make: Make) -> None:
    """It goes on as one file does that was read, and what comes then was read in another."""
    rig, _ = begun(make)
    mirror(rig)
    rig.look()
    rig.writer().lines(20)
    rig.look()
    shutil.copy(rig.path, backup := rig.root / "backup")
    rig.writer().lines(2)
    rig.look()
    for _ in range(2):
        shutil.copy(backup, rig.beside("new"))
        rig.beside("new").rename(rig.path)
        rig.writer().lines(3)
        rig.stop()
        rig.start()
        rig.look()
    rig.check()


def copytruncate_after_the_clock_went_back(make: Make) -> None:
    """The copy is older than the log was when it was read last, and has lines that nobody read."""
    clock = WallClock()
    rig, writer = begun(make, files=ToyFiles(clock))
    for number in range(1, 3):
        clock.jump(-3600 * SECOND)
        writer.lines(5)
        rig.copytruncate(f"access.log.{number}")
        rig.look()
        writer.lines(20)
        rig.look()
    rig.check(losses=[])


def backup_beside_what_is_awaited(make: Make) -> None:
    """It was there before the end, and has what was read; what is awaited has more, and is compressed."""
    rig, old = begun(make)
    shutil.copy(rig.path, rig.beside("access.log.bak"))
    rig.look()
    rig.stop()
    old.lines(2)
    archive = rig.path.parent / "archive"
    archive.mkdir()
    rig.path.rename(archive / "access.log.1")
    pack(archive / "access.log.1")
    os.utime(rig.beside("access.log.bak"), (time.time() + 9,) * 2)
    rig.writer()
    rig.start()
    rig.check(losses=[])


def backup_made_meanwhile_beside_what_is_awaited(make: Make) -> None:
    """It is made while nobody runs, and has what was read; what is awaited has more, and is compressed."""
    rig, old = begun(make)
    rig.look()
    rig.stop()
    shutil.copy(rig.path, rig.beside("access.log.bak"))
    old.lines(2)
    archive = rig.path.parent / "archive"
    archive.mkdir()
    rig.path.rename(archive / "access.log.1")
    pack(archive / "access.log.1")
    rig.writer()
    rig.start()
    rig.check(losses=[])


def backups_made_one_after_the_other(make: Make) -> None:
    """Each has more than the one before, and the log most of all, which is called like none of its rotations
    then, and is compressed."""
    rig, old = begun(make)
    rig.look()
    rig.stop()
    for number in range(3):
        old.lines(1)
        shutil.copy(rig.path, rig.beside(f"access.log.bak{number or ''}"))
    old.lines(1)
    rig.path.rename(rig.beside("app-1Nov"))
    pack(rig.beside("app-1Nov"), ".bz2")
    rig.writer()
    rig.start()
    rig.check(losses=[])


def empty_under_another_name(make: Make) -> None:
    """Nothing was read of it, and inodes have no versions; it is where it was, and has a line."""
    rig, _ = begun(make, files=ToyFiles(WallClock(), has_versions=False))
    late = rig.renew()
    rig.look()
    rig.path.rename(rig.beside("app-29Nov"))
    rig.look()
    rig.stop()
    late.lines(1)
    rig.start()
    rig.writer()
    rig.check()


def compressed_after_the_clock_went_back(make: Make) -> None:
    """Written to once more, and compressed under another name, while nobody ran."""
    clock = WallClock()
    rig, old = begun(make, files=ToyFiles(clock), wall=clock.now)
    rig.stop()
    clock.jump(-3600 * SECOND)
    old.lines(5)
    target = rig.beside("yesterday")
    rig.path.rename(target)
    pack(target)
    rig.start()
    rig.writer()
    rig.check(losses=[])


def mirror_that_is_rotated_at_once(make: Make) -> None:
    """A mirror takes the log's place and is rotated before anybody looked; it has nothing more."""
    rig, old = begun(make)
    old.lines(20)
    rig.look()
    old.close()
    copy = rig.root / "copy"
    shutil.copy(rig.path, copy)
    copy.rename(rig.path)
    rig.rotate()
    rig.writer().lines(1)
    rig.look()
    rig.check(losses=[])


def mirror_that_is_rotated_and_compressed(make: Make) -> None:
    """While nobody runs a mirror with a later line takes the log's place; systemd holds what it replaced."""
    rig, _ = begun(make, store=True)
    rig.stop()
    mirror(rig, 1)
    rig.rotate()
    pack(rig.beside("access.log.1"))
    rig.writer()
    rig.start()
    rig.check(losses=[])


def copy_of_what_is_rotated_at_once(make: Make) -> None:
    """Of what nobody has read yet, after a rotation into another directory that is looked for."""
    rig, old = begun(make)
    archive = rig.root / "archive"
    archive.mkdir()
    for number in range(2):
        old.lines(1)
        rig.look()
        rig.path.rename(archive / f"access.log.{number}")
        old = rig.writer()
    old.lines(1)
    shutil.copy(rig.path, rig.beside("access.log.bak"))
    rig.rotate()
    rig.look()
    rig.writer().lines(1)
    rig.check(losses=[])


def rotated_and_compressed_after_the_link_was_away(make: Make) -> None:
    """The volume with the log's link was away in one look; the file that is read stays the same."""
    rig = make()
    (day := rig.root / "day").mkdir()
    rig.path.symlink_to(log := day / "access.log")
    rig.look()
    rig.writer().lines(1)
    rig.look()
    here, away = rig.path.parent, rig.root.parent / f"{rig.root.name}-unmounted"
    here.rename(away)
    here.mkdir()
    rig.look()
    here.rmdir()
    away.rename(here)
    rig.look()
    log.rename(day / "access.log.1")
    rig.writer()
    pack(day / "access.log.1")
    rig.look()
    rig.check(losses=[])


def moved_below_while_the_link_is_away(make: Make) -> None:
    """A backup has all that was read; the log itself is one level below, and has one line more."""
    rig = make()
    day = rig.root / "day"
    (day / "archive").mkdir(parents=True)
    rig.path.symlink_to(log := day / "access.log")
    writer = rig.writer()
    rig.look()
    writer.lines(5)
    rig.look()
    rig.stop()
    shutil.copy(log, day / "access.log.bak")
    log.rename(day / "archive/access.log.1")
    writer.lines(1)
    rig.path.unlink()
    rig.start()
    rig.look()
    rig.path.symlink_to(log)
    rig.writer().lines(1)
    rig.check(losses=[])


def rotated_file_whose_first_line_is_the_logs(make: Make) -> None:
    """Lines have no time. While nobody ran, two files began with a health check: that is no proof that the
    rotated one is known, however many other lines it has."""
    rig, _ = begun(make)
    rig.stop()
    for count in (20, 0):
        rig.rotate()
        writer = rig.writer()
        for line in (EQUAL, *(b"GET /%d 200\n" % number for number in range(count))):
            writer.raw(line, line.rstrip())
    rig.start()
    rig.check(losses=[])
    assert rig.said("possible_duplicate")


def different_lines(rig: Rig, count: int, path: Path | None = None) -> None:
    """Lines without a time, none of which is like another."""
    writer, first = rig.writer(path), len(rig.expected)
    for number in range(first, first + count):
        line = b"GET /%d 200" % number
        writer.raw(line + b"\n", line)
    writer.close()


def came_and_went_elsewhere(make: Make, *, name: str, packs: bool, store: bool) -> None:
    """Where the file went to that was read, the next one did, too, be it one that systemd held."""
    rig, old = begun(make, store=store)
    rig.stop()
    for day in (28, 29):
        old.lines(5)
        target = rig.beside(name % day)
        target.parent.mkdir(parents=True, exist_ok=True)
        rig.path.rename(target)
        if packs:
            pack(target)
        old = rig.writer()
    rig.start()
    rig.look(commit=False)
    assert rig.seen == rig.expected  # a kill, and a directory that is known then, make the second look old
    rig.check(losses=[])


def truncated_twice_while_systemd_held_the_log(make: Make) -> None:
    """The second copy is no copy of what was read."""
    rig, log = begun(make, store=True)
    rig.stop()
    for name in ("access.log.2", "access.log.1"):
        log.lines(5)
        rig.copytruncate(name)
    log.lines(1)
    rig.start()
    rig.check(losses=[])


def compressed_while_systemd_held_the_log(make: Make) -> None:
    """Lines without a time prove nothing, but the archive has the time of the last of them."""
    rig, old = begun(make, store=True)
    new = rig.renew(closing=old)
    rig.look_often(2)
    rig.stop()
    for _ in range(3):
        new.raw(EQUAL, EQUAL.rstrip())
    new.close()
    pack(rig.rotate())
    rig.writer()
    rig.start()
    rig.check(losses=[])
    assert not rig.said("possible_duplicate")


def cut_at_its_beginning(make: Make) -> None:
    """Somebody keeps a log's last lines alone, among them the last that was read: nothing is missing."""
    for in_place in (False, True):
        for stops in (False, True):
            rig, writer = begun(make)
            writer.close()
            if stops:
                rig.stop()
            rig.writer().lines(2)
            kept = b"".join(rig.path.read_bytes().splitlines(keepends=True)[-30:])
            target = rig.path if in_place else rig.beside("kept")
            target.write_bytes(kept)
            target.rename(rig.path)
            if stops:
                rig.start()
            rig.look()
            rig.writer().lines(1)
            rig.check(losses=[])
            assert rig.said("recognised")
            assert not rig.said("truncated")


def cut_at_its_end(make: Make) -> None:
    """While nobody runs, by somebody else than the server, who writes on. Neither an inode's version nor a
    time tells that it is the same file; most of its lines do."""
    rig, writer = begun(make, files=ToyFiles(WallClock(), has_versions=False))
    rig.renew(closing=writer)
    different_lines(rig, 100)
    rig.look_often(2)
    rig.stop()
    os.truncate(rig.path, rig.path.stat().st_size - 20 * len(b"GET /149 200\n"))
    different_lines(rig, 5)
    rig.start()
    rig.check()


def moved_to_another_disk_and_kept(make: Make) -> None:
    """A link leads to the copy of the log's directory, which goes on; the directory stays beside it."""
    rig, old = begun(make)
    rig.stop()
    old.lines(3)
    old.close()
    shutil.copytree(rig.path.parent, rig.root / "disk")
    rig.path.parent.rename(rig.root / "logs.old")
    rig.path.parent.symlink_to("disk")
    rig.writer().lines(3)
    rig.start()
    rig.check(losses=[])


def in_a_directory_that_is_new_within_a_second(make: Make) -> None:
    """bzip2 knows whole seconds only: the archive is older than the log was when it was read last."""
    rig, old = begun(make)
    second = time.time_ns() // SECOND * SECOND
    os.utime(rig.path, ns=(second, second + 100))
    rig.look()
    rig.stop()
    rig.beside("old").mkdir()
    for number in (2, 1):
        old.lines(5)
        os.utime(rig.path, ns=(second, second + 200))
        rig.path.rename(rig.beside(f"old/access.log.{number}"))
        pack(rig.beside(f"old/access.log.{number}"), ".bz2")
        old = rig.writer()
    rig.start()
    rig.check(losses=[])


def mirror_of_an_archive(make: Make) -> None:
    """What a log had at last comes in its archive, which somebody mirrors with the next log."""
    rig, writer = begun(make)
    writer.close()
    source = rig.root / "source.log"
    shutil.copy2(rig.path, source)
    rig.writer(source).lines(20)
    pack(source).rename(rig.beside("access.log.1.gz"))
    rig.writer(source).lines(3)
    source.rename(rig.path)
    rig.look()
    rig.check(losses=[])


def inode_number_of_a_file_that_is_old(make: Make) -> None:
    """A file that is older than our time is compressed, and the next log gets its inode's number."""
    rig = make()
    old = rig.beside("access.log.1")
    old.write_bytes(b"".join(b"GET /old/%d 200\n" % number for number in range(30)))
    rig.look()
    rig.writer().lines(50)
    rig.look()
    ours = rig.paper.ignored
    rig.stop()
    key = old.stat().st_dev, old.stat().st_ino
    pack(old)
    rig.rotate().rename(rig.beside("access.log.2"))
    rig.writer().lines(3)
    new = rig.path.stat()
    # Not all file systems give it to the next one.
    rig.paper.ignored = tuple(
        each._replace(device=new.st_dev, inode=new.st_ino) if each[:2] == key else each for each in ours
    )
    os.utime(rig.beside("access.log.1.gz"), (time.time() + 9,) * 2)
    rig.start()
    rig.check(losses=[])


def backup_written_over_the_log_and_truncated(make: Make) -> None:
    """While nobody runs. What was read of the log does not stand in it any longer, and tells all the same how
    much of the copy is known."""
    rig, old = begun(make)
    shutil.copy(rig.path, rig.root / "backup")
    old.lines(1)
    rig.look()
    rig.stop()
    shutil.copyfile(rig.root / "backup", rig.path)
    old.lines(1)
    rig.copytruncate()
    rig.start()
    rig.check()


def copy_of_a_backup_that_goes_on(make: Make) -> None:
    """Of what the backup took the place of more was read; its next lines stand in no earlier file, though the
    copy ends before that can be told."""
    rig, old = begun(make)
    rig.stop()  # up to the next place where texts are compared there are some lines
    rig.start()
    shutil.copy(rig.path, rig.root / "backup")
    old.lines(5)
    rig.look()
    (rig.root / "backup").rename(rig.path)
    rig.look()
    log = rig.writer()
    log.lines(1)
    rig.look()
    log.lines(2)
    rig.copytruncate("the copy")
    rig.check(losses=[])


def lines_in_an_archive_of_what_was_let_go(make: Make) -> None:
    """They have no time. The archive is named after the file that it is made of."""
    rig, _ = begun(make, files=BlindFiles())
    new = rig.renew()
    new.raw(EQUAL * 3)
    rig.look()
    rotated = rig.rotate()
    rig.writer().lines(1)
    rig.look_often(2, 61)
    rig.expected[EQUAL.rstrip()] += 5
    new.raw(EQUAL * 2)
    pack(rotated)
    rig.check(losses=[])


def first_line_of_a_deleted_log_in_the_same_moment(make: Make) -> None:
    """Lines have no time. While nobody ran, a new log got one and was rotated within the tick of the kernel's
    clock in which the last line came to the old one, which systemd holds; or nobody does."""
    for store in (True, False):
        rig, old = begun(make, store=store)
        log = rig.renew(closing=old)
        log.raw(EQUAL * 3)
        rig.look()
        rig.stop()
        rig.path.unlink()
        if store:
            log.raw(EQUAL, EQUAL.rstrip())
        new = rig.writer()
        new.raw(EQUAL, EQUAL.rstrip())
        rig.expected[EQUAL.rstrip()] += 3
        modified = os.fstat(log.descriptor).st_mtime_ns
        os.utime(rig.path, ns=(modified, modified))
        rig.rotate()
        rig.writer()
        rig.start()
        rig.check()
        assert len(rig.losses()) == (not store)
        assert rig.said("possible_duplicate")


class BlindNumbers(ReusedNumbers, BlindFiles):
    """A kernel that won't tell of writers, either."""


def archive_of_a_file_that_left_its_inode_number(make: Make) -> None:
    """To the one that has its name by now."""
    files = BlindNumbers()
    rig, old = begun(make, files=files)
    rig.rotate()
    rig.writer().lines(1)
    rig.look_often(2, 61)
    old.lines(2)
    pack(rig.beside("access.log.1")).rename(rig.beside("access.log.2.gz"))
    rig.path.rename(rig.beside("access.log.1"))
    log = rig.writer()
    files.reused = {os.fstat(log.descriptor).st_ino: os.fstat(old.descriptor).st_ino}
    log.lines(1)
    log.close()
    rig.path.rename(rig.beside("access.log.1"))
    rig.writer()
    rig.check(losses=[])


def copy_that_has_an_inode_number_of_the_logs(make: Make) -> None:
    """Of an earlier file, which is gone. So it is looked at before the log that it was made of, and which a
    device has that was numbered anew."""
    files = BlindNumbers()
    rig, old = begun(make, files=files)
    log = rig.renew(3, closing=old)
    rig.look_often(2, 61)
    first = rig.beside("access.log.1").stat().st_ino
    rig.stop()
    log.lines(8)
    copy = rig.beside("access.log-20261123")
    shutil.copy(rig.path, copy)
    files.reused, files.shift = {copy.stat().st_ino: first}, 1
    gone = rig.beside("access.log.1").open()  # so that nobody else has its number
    rig.beside("access.log.1").unlink()
    (rig.root / "archive").mkdir()
    rig.path.rename(rig.root / "archive/app-1Nov")
    rig.writer()
    gone.close()
    rig.start()
    rig.check(losses=[])


def lines_beside_an_archive(make: Make) -> None:
    """They have no time. An archive of another file that is open begins like the log that is truncated, and
    is longer than the copy."""
    rig, _ = begun(make)
    new = rig.renew()
    new.raw(EQUAL * 9)
    rig.expected[EQUAL.rstrip()] += 10
    rotated = rig.rotate()
    log = rig.writer()
    rig.look()
    pack(rotated)
    log.raw(EQUAL)
    rig.look()
    log.lines(1)
    rig.copytruncate("the copy")
    rig.check(losses=[])


def backup_with_many_lines_written_over_the_log(make: Make) -> None:
    """They have no time, but are different; the file that they were read in is still there, so that the
    server may have written them again: they count, and that is said."""
    rig, old = begun(make)
    old.close()
    rig.renew()
    different_lines(rig, 40)
    rig.look()
    text = rig.path.read_bytes()
    log = rig.renew()
    log.raw(EQUAL, EQUAL.rstrip())
    rig.look()
    rig.path.write_bytes(text)
    rig.look()
    assert sum(rig.seen.values()) == sum(rig.expected.values()) + 40
    assert any("40 lines at most" in each for each in rig.said("possible_duplicate"))


def two_that_begin_like_a_truncated_log(make: Make) -> None:
    """Lines have no time: the longer one may be the next log, whose first line is left out then. This is
    said."""
    rig, old = begun(make, store=True)
    log = rig.renew(closing=old)
    log.raw(EQUAL, EQUAL.rstrip())
    rig.look()
    rig.stop()
    rig.copytruncate("access.log.6")
    rig.path.rename(rig.beside("access.log.5"))
    new = rig.writer()
    new.raw(EQUAL, EQUAL.rstrip())
    new.lines(5)
    rig.path.rename(rig.beside("access.log.4"))
    rig.writer()
    rig.start()
    rig.settle()
    assert rig.expected - rig.seen == {EQUAL.rstrip(): 1}
    assert rig.losses()


def edited_copy_without_times(make: Make, *, created: bool, step: int) -> None:
    """Without its first lines, while the whole text is beside it, as a backup or since the log was renamed:
    it counts, and that is said. It is not said where the same lines come in another order, each so many
    lines after the one before."""
    rig, old = begun(make)
    rig.renew(closing=old).close()
    different_lines(rig, 60)
    rig.look()
    lines = rig.path.read_bytes().splitlines(keepends=True)[-50:][::step]
    shutil.copy(rig.path, rig.beside("log~"))
    if created:
        rig.path.rename(rig.beside("log~"))
    rig.path.write_bytes(b"".join(lines))
    rig.look()
    assert sum(rig.seen.values()) == sum(rig.expected.values()) + 50
    said = rig.said("possible_duplicate")
    assert ["50 lines at most" in each for each in said] == [True] * (step == 1)


def moved_with_the_directory_after_a_rotation(make: Make) -> None:
    """What came and went there is called as the log was."""
    rig, old = begun(make)
    rig.stop()
    old.lines(2)
    rig.rotate()
    rig.writer().lines(3)
    rig.path.parent.rename(rig.root / "logs-29Nov")
    rig.path.parent.mkdir()
    rig.writer().lines(1)
    rig.start()
    rig.check(losses=[])


def put_back(rig: Rig, *, kills: bool = False) -> None:
    """A backup is made of the log, takes its place while nobody runs, and is written to."""
    shutil.copy(rig.path, backup := rig.root / "backup")
    rig.writer().lines(7)
    rig.look()
    rig.kill() if kills else rig.stop()
    backup.rename(rig.path)
    log = rig.writer()
    log.lines(3)
    log.close()


def rotated_backup(
    make: Make, name: str, *, store: bool = False, before: int = 0, mirrored: bool = True
) -> None:
    """A log of which a backup was made, that takes its place while nobody runs, is written to, and gets this
    name. Only the last lines that were read tell where it parts from the log."""
    rig, _ = begun(make, store=store)
    rig.writer().lines(before)
    rig.look()
    if mirrored:
        mirror(rig, 3)  # the text that ends here is all in the backup, and not all that was read of it
        rig.look()
    put_back(rig)
    target = rig.beside(name)
    target.parent.mkdir(exist_ok=True)
    rig.path.rename(plain := target.with_suffix("") if target.suffix == ".gz" else target)
    if plain != target:
        pack(plain)
    rig.writer()
    rig.start()
    rig.look()
    assert rig.said("recognised")
    rig.check()


def backup_of_a_mirror_that_is_rotated(make: Make) -> None:
    """Be it where the file is looked for that the mirror replaced."""
    for store in (False, True):
        rotated_backup(make, "access.log.1", store=store)
    rotated_backup(make, "archive/app")


def backup_that_is_rotated(make: Make) -> None:
    """It is as long as what was read of the log, but for less than the samples tell."""
    for store in (False, True):
        rotated_backup(make, "access.log.1", store=store, before=3000, mirrored=False)


def backup_that_is_rotated_and_compressed(make: Make) -> None:
    """The archive's text is looked at line by line, too."""
    rotated_backup(make, "access.log.1.gz")
    rotated_backup(make, "access.log.1.gz", mirrored=False)


def backup_written_over_the_log_and_mirrored(make: Make) -> None:
    """The mirror has what was written to the backup, as the file has that is still open."""
    for stops in (False, True):
        rig, old = begun(make, store=True)
        shutil.copy(rig.path, rig.root / "backup")
        old.lines(1)
        rig.look()
        if stops:
            rig.stop()
        shutil.copyfile(rig.root / "backup", rig.path)
        old.lines(5)
        mirror(rig, 3)
        if stops:
            rig.start()
        rig.check()


def backup_of_what_is_older_than_our_time(make: Make) -> None:
    """It is written over the log that was truncated; the copy is open, and nothing of it was counted."""
    rig = make(files=BlindFiles(), from_start=False)
    log = rig.writer()
    log.lines(2)
    rig.expected.clear()
    rig.look()
    shutil.copy(rig.path, rig.root / "backup")
    rig.copytruncate()
    log.lines(1)
    rig.look()
    shutil.copyfile(rig.root / "backup", rig.path)
    rig.look()
    log.lines(2)
    rig.check()


def mirror_written_in_the_same_moment(make: Make) -> None:
    """As the file that it replaced, which systemd holds; each has lines of its own. It is compressed."""
    rig, old = begun(make, store=True)
    rig.stop()
    mirror(rig, 5)
    old.lines(4)
    modified = os.fstat(old.descriptor).st_mtime_ns
    os.utime(rig.path, ns=(modified, modified))
    pack(rig.rotate())
    rig.writer()
    rig.start()
    rig.check(losses=[])


def lines_that_an_earlier_text_has_too(make: Make) -> None:
    """They have no time. What is written to a backup in the log's place stands by chance in the text that it
    replaced, of which there is a copy; the log is truncated while nobody runs."""
    rig, old = begun(make)
    rig.renew(closing=old).close()
    different_lines(rig, 60)
    rig.look()
    shutil.copy(rig.path, rig.root / "backup")
    log = rig.writer()
    log.raw(EQUAL, EQUAL.rstrip())
    log.lines(20)
    log.close()
    rig.look()
    shutil.copy(rig.path, rig.beside("the copy"))
    (rig.root / "backup").rename(rig.path)
    rig.look()
    rig.writer().raw(EQUAL, EQUAL.rstrip())
    rig.look()
    rig.stop()
    os.utime(rig.beside("the copy"), (time.time() + 9,) * 2)
    rig.copytruncate()
    rig.start()
    rig.check(losses=[])


def ended_behind_a_link(make: Make, *places: str) -> tuple[Rig, Path]:
    """A log at the end of a link, the first of these, and a process that read it and ended."""
    rig = make()
    for place in places:
        (rig.root / place).parent.mkdir(exist_ok=True)
    there = rig.root / places[0]
    rig.path.symlink_to(there)
    log = rig.writer()
    rig.look()
    log.lines(2)
    rig.look()
    rig.stop()
    log.close()
    return rig, there


def rotated_where_a_link_leads_that_is_away(make: Make) -> None:
    """The link was set anew while nobody ran, and is on a volume that comes after the start."""
    rig, there = ended_behind_a_link(make, "days/access-28.log")
    rig.path.unlink()
    rig.path.symlink_to(there.with_name("access-29.log"))
    rig.writer().lines(9)
    rig.path.resolve().rename(there.with_name("access-29.log.1"))
    rig.writer().lines(1)
    here, away = rig.path.parent, rig.root.parent / f"{rig.root.name}-unmounted"
    here.rename(away)
    here.mkdir()
    rig.start()
    rig.look()
    here.rmdir()
    away.rename(here)
    rig.check(losses=[])


def empty_where_the_link_led_before(make: Make) -> None:
    """Nobody has read anything of it, and the link leads elsewhere when it gets its first line."""
    rig, there = ended_behind_a_link(make, "28/access.log", "29/access.log")
    there.rename(there.with_name("access.log.2"))
    late = rig.writer()
    there.rename(there.with_name("access.log.1"))
    rig.writer()
    rig.start()
    rig.look()
    rig.path.unlink()
    rig.path.symlink_to(rig.root / "29/access.log")
    rig.writer()
    rig.look_often(2, 61)
    late.lines(1)
    rig.check(losses=[])


def empty_when_it_was_let_go(make: Make) -> None:
    """It gets its first lines, and is compressed before anybody looks again. What somebody unpacked and
    compressed in its place is older, and has none."""
    for is_older in (False, True):
        rig, _ = begun(make, files=BlindFiles())
        late = rig.renew()
        empty = rig.rotate()
        rig.look_often(2, 61)
        if is_older:
            empty.unlink()
            empty.write_bytes(b"a line of last year\n")
            os.utime(empty, (0, 0))
        else:
            late.lines(2)
        pack(empty)
        rig.check(losses=[])


def compressed_with_one_more_line_without_a_time(make: Make) -> None:
    """Its first line proves nothing, but it has the name of a file of which so much was read, and is gone."""
    rig, writer = followed(make, files=BlindFiles())
    writer.raw(b"one\n")
    rig.look()
    rotated = rig.rotate()
    rig.writer().raw(b"another\n")
    rig.look_often(2, 61)
    rig.stop()
    writer.raw(b"two\n")
    pack(rotated)
    rig.start()
    rig.settle()
    assert rig.seen == {b"one": 1, b"two": 1, b"another": 1}


def late_line_in_the_second_of_another_archive(make: Make) -> None:
    """bzip2 keeps whole seconds of a file's time. Two files that were let go get a line in the same."""
    rig, first = begun(make, files=BlindFiles())
    second = rig.renew(3)
    rig.renew(3)
    rig.look_often(2, 61)
    for number, late in enumerate((first, second), 1):
        late.lines(1)
        path = rig.beside(f"access.log.{number}")
        os.utime(path, (2_000_000_000, 2_000_000_000.5))
        pack(path, ".bz2")
        rig.look()
    rig.check(losses=[])


def compressed_beside_an_archive_with_its_line(make: Make) -> None:
    """It has a name like no rotation's, and its time. The next log begins with the same line, which has no
    time of its own."""
    rig, old = begun(make)
    new = rig.renew(closing=old)
    new.raw(EQUAL, EQUAL.rstrip())
    rig.look_often(2)
    rig.stop()
    new.close()
    rig.path.rename(rig.beside("app-2Nov"))
    pack(rig.beside("app-2Nov"))
    for _ in range(2):
        rig.writer().raw(EQUAL, EQUAL.rstrip())
    os.utime(rig.path, (2_000_000_000, 2_000_000_000))
    pack(rig.rotate())
    rig.start()
    rig.check(losses=[])


def backup_put_back_again_and_rotated(make: Make) -> None:
    """It is no beginning of the log that it is of: that has other lines where the backup was written to."""
    rig, old = begun(make)
    backup = rig.root / "backup"
    shutil.copy(rig.path, backup)
    old.lines(6)  # to beyond the next sample
    for stops in (False, True):
        rig.look()
        if stops:
            rig.stop()
        shutil.copy(backup, rig.beside(".access.log.swp"))
        rig.beside(".access.log.swp").rename(rig.path)
    rig.writer().lines(1)
    rig.rotate()
    rig.writer()
    rig.start()
    rig.check()


def refused_after_it_was_let_go(make: Make) -> None:
    """It got more lines, and cannot be opened at the look for which it was renamed."""
    files = ToyFiles(WallClock(), blind=True)
    rig, late = begun(make, files=files)
    rig.renew(3)
    rig.look_often(2, 61)
    late.lines(2)
    rig.renew(3)
    files.denied = True
    rig.beside("access.log.1").rename(rig.beside("access.log.3"))
    rig.look()
    files.denied = False
    rig.check()


def archive_of_what_was_let_go(make: Make, *, becomes: str) -> None:
    """It begins with a line of another log, which has no time. That log is cut, or compressed or deleted
    while nobody runs: the archive is no copy of it, nor what became of it."""
    rig, first = followed(make, files=BlindFiles())
    for line in (EQUAL, b"one\n", b"two\n"):
        first.raw(line, line.rstrip())
    os.utime(rig.path, (2_000_000_000, 2_000_000_000))
    rig.look()
    log = rig.renew(closing=first)
    log.raw(EQUAL, EQUAL.rstrip())
    rig.look_often(2, 61)
    pack(rig.beside("access.log.1"))
    rig.look()
    if becomes == "truncated":
        os.truncate(rig.path, 0)
    else:
        rotated, current = rig.rotate(), rig.writer()
        for line in (EQUAL, b"three\n"):
            current.raw(line, line.rstrip())
        rig.look()
        rig.stop()
        pack(rotated) if becomes == "compressed" else rotated.unlink()
        rig.start()
    rig.check(losses=[] if becomes == "compressed" else None)


def compressed_while_systemd_held_it_beside_a_log(make: Make) -> None:
    """It was rotated before the stop. logrotate gives an archive the time that the log had when logrotate
    began; few lines without a time prove nothing. It is no copy of a log that was truncated."""
    rig, log = followed(make, store=True, files=BlindFiles())
    log.raw(EQUAL, EQUAL.rstrip())
    rig.look()
    rig.renew()
    rig.look()
    rig.stop()
    log.close()
    os.utime(pack(rig.beside("access.log.1")), (1, 1))
    rig.start()
    rig.check(losses=[])


def rotated_before_a_process_that_saw_no_log(make: Make) -> None:
    """The log's link was away for all of its time. What was rotated behind it is older than what that process
    read; what was rotated beside another log is not looked at."""
    rig, there = ended_behind_a_link(make, "app-1/access.log", "app-2/access.log")
    here, away = rig.path.parent, rig.root.parent / f"{rig.root.name}-unmounted"
    for name in ("app-29Nov", "access.log.1"):
        there.rename(there.with_name(name))
        rig.writer().lines(3)
    (rig.root / "app-2/access.log.1").write_bytes(b"another log's\n")
    here.rename(away)
    here.mkdir()
    rig.start()
    rig.follower.reconfigure(rig._limits, {str(rig.root / "app-2/access.log")})
    rig.look()
    rig.stop()
    here.rmdir()
    away.rename(here)
    rig.start()
    rig.check(losses=[])


def copied_before_it_was_seen(make: Make) -> None:
    """A process started where no log is, and hears how one comes, is copied, and perhaps goes to another
    name. Its lines have no time: hints tell what is a copy."""
    for name in ("", "access.log.2", "access__1.log", "access.log.2.gz"):
        for comes in ("written", "through a link", *["by a rename"] * (name != "")):
            rig, old = begun(make)
            rig.renew(closing=old)
            rig.stop()
            rig.rotate()
            if comes == "through a link":
                (rig.root / "day").mkdir()
                rig.path.symlink_to(rig.root / "day/access.log")
            rig.start()
            rig.look()
            if comes == "by a rename":
                different_lines(rig, 3, new := rig.root / "new")
                new.rename(rig.path)
            else:
                different_lines(rig, 3)
            log = rig.path.resolve()
            for copy in ("access.log-20261123", "access.log.bak"):
                shutil.copy(log, log.with_name(copy))
            if name:
                log.rename(plain := log.with_name(name.removesuffix(".gz")))
            if name.endswith(".gz"):
                pack(plain)
            different_lines(rig, 4)
            rig.check(losses=[])
            assert not rig.said("possible_duplicate")


def mirrored_before_it_was_seen(make: Make) -> None:
    """Likewise, but the copy came by a rename, as rsync makes it: so did rotated logs. It counts, and that is
    said, whichever of the two is looked at first."""
    for later in (-1, 1):
        for name in ("access.log.2", "access__1.log"):
            rig, old = begun(make)
            rig.stop()
            rig.rotate()
            old.close()
            rig.start()
            rig.look()
            different_lines(rig, 3)
            shutil.copy(rig.path, copy := rig.beside(".access.log-20261123.Xa3f9Q"))
            os.utime(copy, ns=(rig.path.stat().st_mtime_ns + later,) * 2)
            copy.rename(rig.beside("access.log-20261123"))
            rig.path.rename(rig.beside(name))
            rig.settle()
            assert sum((rig.seen - rig.expected).values()) == 3
            assert not rig.expected - rig.seen
            assert ["3 lines at most" in each for each in rig.said("possible_duplicate")] == [True]


def copied_and_rotated_while_nobody_ran(make: Make) -> None:
    """Of two files with the same lines, which have no time, either may be the copy. It counts, and that is
    said, once."""
    rig, old = begun(make)
    rig.stop()
    rig.renew(closing=old).close()
    different_lines(rig, 3)
    shutil.copy(rig.path, rig.beside("access.log-20261123"))
    rig.rotate()
    rig.writer()
    rig.start()
    rig.settle()
    assert sum((rig.seen - rig.expected).values()) == 3
    assert not rig.expected - rig.seen
    assert ["3 lines at most" in each for each in rig.said("possible_duplicate")] == [True]


def rotated_twice_before_it_was_seen(make: Make) -> None:
    """By the hints both files were the log, though they hold the same lines. So does one that was let go, and
    gets a late line."""
    rig = make()
    rig.look()

    def write(path: Path, count: int) -> None:
        log = rig.writer(path)
        for _ in range(count):
            log.raw(EQUAL, EQUAL.rstrip())
        log.close()

    write(rig.path, 2)
    rig.look()
    let_go = rig.rotate()
    rig.writer().close()
    rig.look_often(3, 61)
    rig.stop()
    rig.rotate()
    rig.start()
    rig.look()
    write(let_go, 1)
    for _ in range(2):
        write(rig.path, 3)
        rig.rotate()
    rig.writer()
    rig.check(losses=[])
    assert not rig.said("possible_duplicate")


class OneClosed(ReusedNumbers):
    """One file can't be opened."""

    closed, owner = "", 0  # its name; whose it is

    def open(self, path: str) -> int:
        if self.closed and path.endswith(self.closed):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return super().open(path)

    def lstat(self, path: str) -> Seen:
        seen = super().lstat(path)
        return seen._replace(owner=self.owner) if self.closed and path.endswith(self.closed) else seen

    def entries(self, directory: str) -> Iterator[tuple[str, int, bool]]:
        for name, inode, is_file in super().entries(directory):
            yield name, self.reused.get(inode, inode), is_file


def inode_number_of_a_file_that_is_gone(make: Make, *, mine: bool) -> None:
    """A file that can't be opened has it. Where it is somebody else's, no loss is told but that of the file
    which is gone; unless it has the name, too, that this had. Its lines are none of the log's."""
    files = OneClosed()
    rig, old = begun(make, files=files)
    gone = os.fstat(old.descriptor).st_ino
    rig.stop()
    rig.path.unlink()
    (rig.root / "other").mkdir()
    (closed := rig.root / "other" / "closed").write_bytes(b"what nobody may read\n")
    files.reused = {closed.stat().st_ino: gone}
    files.closed, files.owner = closed.name, os.geteuid() if mine else STRANGER
    rig.writer().lines(1)
    rig.start()
    rig.check()
    told = [loss.name for loss in rig.paper.losses]
    assert told == [str(rig.path), *[str(closed)] * mine]
    files.closed = ""  # it can be opened from now on
    rig.check()


def given_to_somebody_else(make: Make) -> None:
    """A file of the log that has a name like no rotation's, and can't be opened since. It has more."""
    files = OneClosed()
    rig, old = begun(make, files=files)
    rig.path.rename(rig.beside("app-29Nov"))
    rig.writer().lines(1)
    rig.look()
    rig.stop()
    old.lines(1)
    files.closed, files.owner = "app-29Nov", STRANGER
    rig.renew()
    rig.start()
    rig.look()
    assert any("app-29Nov cannot be opened" in each for each in rig.losses())


def copied_after_a_backup_was_put_back_twice(make: Make) -> None:
    """The process is killed before it commits what was written to the second. What was written to the first
    stands in the copy's way, but not where the log went."""
    rig, _ = begun(make)
    shutil.copy(rig.path, rig.root / "backup")
    for count in (1, 0):
        shutil.copy(rig.root / "backup", copy := rig.beside(".access.log.swp"))
        copy.rename(rig.path)
        rig.writer().lines(count)
        rig.look()
    rig.writer().lines(2)
    rig.kill()
    shutil.copy(rig.path, rig.beside("access.log.bak"))
    (rig.root / "archive").mkdir()
    rig.path.rename(rig.root / "archive/access.log.1")
    rig.start()
    rig.writer()
    rig.check()


def backup_of_a_mirror_after_a_kill(make: Make, *, rotates: bool) -> None:
    """No line is known by itself then. What the mirror had of its own is not counted again; nothing tells it
    from what was written to the backup, and so much may be lost."""
    rig, _ = begun(make)
    mirror(rig, 3)
    rig.look()
    put_back(rig, kills=True)
    if rotates:
        rig.renew()
    rig.start()
    rig.settle()
    assert not rig.seen - rig.expected
    assert [loss.bytes for loss in rig.paper.losses if "may be new" in loss.what] == [6 * LINE_SIZE]


def truncated_before_anything_was_read_of_it(make: Make) -> None:
    """It was empty at the end of the last process: that it was cut since, only its time tells."""
    for store in (False, True):
        rig, log = begun(make, store=store)
        rig.copytruncate("access.log.2")
        os.utime(rig.path, (time.time() - 9,) * 2)  # another tick of the kernel's clock than the next
        rig.look_often(2)
        rig.stop()
        log.lines(3)
        rig.copytruncate()
        log.lines(1)
        rig.start()
        rig.check(losses=[])


def backup_put_into_an_empty_log(make: Make) -> None:
    """Which a rotation created, and which was looked at before. A server may write a line again within a
    second: that is no backup."""
    for stops in (False, True):
        rig, _ = begun(make)
        shutil.copy(rig.path, backup := rig.root / "backup")
        rig.renew()
        rig.look()
        if stops:
            rig.stop()
        shutil.copyfile(backup, rig.path)
        rig.writer().lines(2)
        if stops:
            rig.start()
        rig.check(losses=[])
        log = rig.renew()
        rig.look()
        first = backup.read_bytes().splitlines()[0]
        log.raw(first + b"\n", first)
        rig.check(losses=[])


def copy_to_which_the_next_log_is_added(make: Make) -> None:
    """`cat access.log >>access.log.old && : >access.log`: what was read of both is not read again there, and
    what was not, is."""
    for unread in (0, 2):
        rig, log = begun(make)
        copy = rig.copytruncate("access.log.old")
        rig.look_often(2)
        log.lines(3)
        rig.look()
        rig.stop()
        log.lines(unread)
        with copy.open("ab") as end:
            end.write(rig.path.read_bytes())
        os.truncate(rig.path, 0)
        log.lines(1)
        rig.start()
        rig.check()
        log = rig.writer()
        for lines in (3, 4):
            log.lines(lines)
            rig.look()
            with copy.open("ab") as end:
                end.write(rig.path.read_bytes())
            os.truncate(rig.path, 0)
        rig.check()


def rotated_files_made_one(make: Make) -> None:
    """Somebody makes one file of several, and removes them; of an archive of it, too."""
    for packs in (False, True):
        for lets_go in (True, False):
            rig, old = begun(make, files=Files() if lets_go else BlindFiles())
            for _ in range(2):
                old = rig.renew(4, closing=old)
                rig.look_often(2)
            parts = [rig.beside(f"access.log.{number}") for number in (1, 2)]
            one = rig.beside("access.log.3")
            one.write_bytes(b"".join(part.read_bytes() for part in parts))
            for part in parts:
                part.unlink()
            if packs:
                pack(one)
            rig.check(losses=[])


def rotated_files_in_the_logs_place(make: Make) -> None:
    """Somebody puts all lines together again, and writes them over the log, which is empty or not; or renames
    that file onto the log."""
    for lines, in_place in ((0, True), (4, True), (4, False)):
        rig, old = begun(make)
        for count in (3, lines):
            old = rig.renew(count, closing=old)
            rig.look_often(2)
        parts = [rig.beside(f"access.log.{number}") for number in (1, 2)]
        target = rig.path if in_place else rig.beside("new")
        target.write_bytes(b"".join(part.read_bytes() for part in (*parts, rig.path)))
        target.rename(rig.path)
        rig.look()
        rig.writer().lines(2)
        rig.check()


def log_added_to_what_was_open(make: Make) -> None:
    """While nobody ran: to the log before it, which had a writer still. In no later process either is
    anything read twice."""
    rig, old = begun(make)
    log = rig.renew(4)
    rig.look()
    rig.stop()
    log.lines(1)
    with rig.beside("access.log.1").open("ab") as end:
        end.write(rig.path.read_bytes())
    os.truncate(rig.path, 0)
    log.lines(2)
    rig.start()
    rig.look()
    old.close()
    rig.look_often(2, 61)
    rig.stop()
    rig.start()
    rig.check()


def late_line_that_begins_the_next_log(make: Make) -> None:
    """Two workers of a server write the same line within a second, one of them to the file that was rotated,
    and was let go."""
    rig, old = begun(make, files=BlindFiles())
    line = b"GET /health [29/Nov/2026:11:00:00]"
    rig.renew().raw(line + b"\n", line)
    rig.look_often(2, 61)
    old.raw(line + b"\n", line)
    rig.check(losses=[])


def compression_that_was_interrupted(make: Make) -> None:
    """logrotate is killed, and leaves half an archive beside the file, all of which was read. The next one
    renames the archive, and another file onto that one. Of what begins like nothing that was read, a loss
    is told."""
    for lets_go in (True, False):
        rig, old = begun(make, files=Files() if lets_go else BlindFiles())
        log = rig.renew(3, closing=old)
        rig.look_often(2)
        plain = rig.beside("access.log.1")
        half = gzip.compress(plain.read_bytes())[:-40]
        plain.with_name("access.log.1.gz").write_bytes(half)
        rig.look()
        plain.with_name("access.log.1.gz").rename(rig.beside("access.log.2.gz"))
        rig.path.rename(plain)
        log.close()
        rig.writer().lines(1)
        rig.look()
        rig.check(losses=[])
        rig.stop()
        rig.beside("access.log.3.gz").write_bytes(half[:12])
        rig.renew(1)
        rig.start()
        rig.check(losses=[f"{rig.beside('access.log.3.gz')} cannot be unpacked: its end is missing"])


def edited_and_compressed(make: Make) -> None:
    """Somebody keeps a log's last lines alone, and that is rotated and compressed before anybody looks."""
    for stops in (False, True):
        rig, old = begun(make)
        old.close()
        if stops:
            rig.stop()
        rig.writer().lines(2)
        (kept := rig.beside("kept")).write_bytes(
            b"".join(rig.path.read_bytes().splitlines(keepends=True)[-30:])
        )
        kept.rename(rig.path)
        pack(rig.rotate())
        rig.writer().lines(1)
        if stops:
            rig.start()
        rig.check(losses=[])
        assert rig.said("recognised")
