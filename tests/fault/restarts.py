"""What happens to logs while nobody reads them, and around the end of a process."""

import bz2
import errno
import gzip
import lzma
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import zstandard

from qps_service.files.kernel import Files
from tests.fault.scenarios import Make, followed
from tests.following import LINE_SIZE, BlindFiles, NoInotify, Rig, Writer

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def pack(path: Path, suffix: str = ".gz") -> Path:
    """Compress a file as gzip(1) and its like do: with its times, and away with the plain one."""
    packed = path.with_name(path.name + suffix)
    status = path.stat()
    packed.write_bytes(PACKERS[suffix](path.read_bytes()))
    # bzip2 knows whole seconds only.
    grain = 10**9 if suffix == ".bz2" else 1
    os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns // grain * grain))
    path.unlink()
    return packed


def begun(make: Make, **keywords: object) -> tuple[Rig, Writer]:
    """A log that has been followed for a while."""
    rig, writer = followed(make, **keywords)
    writer.lines(50)
    rig.look()
    return rig, writer


def compressed_while_stopped(make: Make) -> None:
    """The log that was being read, and ones that nobody ever saw."""
    for suffix in PACKERS:
        rig, old = begun(make)
        rig.stop()
        for _ in range(3):
            old.lines(3000)
            pack(rig.rotate(), suffix)
            old = rig.writer()
        old.lines(9)
        rig.start()
        rig.check(losses=[])


def compressed_between_two_looks(make: Make) -> None:
    """Renamed, compressed and unlinked before anybody looked, several times."""
    rig, old = begun(make)
    for _ in range(3):
        for _ in range(3):
            old.lines(10)
            pack(rig.rotate())
            old = rig.writer()
        rig.look()
    old.lines(1)
    rig.check(losses=[])


def killed_before_it_committed_a_rotation(make: Make) -> None:
    """systemd has the new log; that another was there before, and was compressed, no commit says."""
    rig = make(store=True)
    rig.look()
    rig.stop()
    writer = rig.writer()
    writer.lines(3)
    pack(rig.rotate())
    writer.close()
    rig.writer()
    rig.start()
    rig.look(commit=False)
    rig.kill()
    rig.start()
    rig.check(losses=[])


def alike_where_the_log_was_deleted(make: Make) -> None:
    """A log is deleted, and the process killed. One line is the same in a file that nobody saw, which proves
    nothing: it is counted, and this is said."""
    rig, old = followed(make)
    old.raw(b"GET /health\n")
    rig.look()
    rig.path.unlink()
    rig.kill()
    old.close()
    rig.writer().raw(b"GET /health\n")
    rig.rotate()
    rig.writer()
    rig.start()
    rig.settle()
    assert rig.seen == Counter({b"GET /health": 2})
    assert rig.said("possible_duplicate")


def kept_by_systemd(make: Make) -> None:
    """Rotated, written to late, compressed and unlinked while nobody ran: only the descriptor is left."""
    rig, old = begun(make, store=True)
    for _ in range(3):
        old.lines(10)
        rig.look(commit=False)
        rig.kill()
        old.lines(10)
        rotated = rig.rotate()
        new = rig.writer()
        new.lines(3)
        rotated.unlink()
        old.lines(10)
        old = new
        rig.start()
        rig.look()
    rig.check(losses=[])


class Shut(Files):
    """Refuses to open some files for a while, whoever asks: root may read everything otherwise."""

    def __init__(self, refused: str | None = None) -> None:
        super().__init__()
        self.refused = refused  # the end of their names

    def open(self, path: str) -> int:
        if self.refused is not None and path.endswith(self.refused):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return super().open(path)


def unreadable_at_the_first_look(make: Make) -> None:
    """It came while nobody ran, can't be opened while the log is read and grows, and can later."""
    files = Shut()
    rig, old = begun(make, files=files)
    rig.stop()
    for _ in range(2):
        old.lines(5)
        old = rig.renew()
    files.refused = "access.log.2"
    rig.start()
    for _ in range(3):
        old.lines(2)
        rig.look()
    (loss,) = rig.losses()
    assert loss.startswith(f"{rig.path}.2 cannot be opened: Permission denied")
    files.refused = None
    rig.check()


def more_than_there_is_room_for(make: Make) -> None:
    """Rotated files in masses, while nobody ran: they are taken up in parts, and none twice."""
    with patch("qps_service.following.known_files.RETIRED_LIMIT", 10):
        rig, old = begun(make, open_generations=3)
        rig.stop()
        for _ in range(100):
            old.lines(3)
            old = rig.renew(closing=old)
        rig.start()
        for _ in range(20):
            rig.look()
            old.lines(1)
            assert rig.files_open <= 3
        rig.check(losses=[])


def compressing_ends_within_a_look(make: Make) -> None:
    """The archive was still in the making when it was looked at, the plain file gone when it was its turn."""

    class Racing(Files):
        def close(self, descriptor: int) -> None:
            ended = str(self.path_of(descriptor)).endswith(".gz") and plain.exists()
            super().close(descriptor)
            if ended:
                plain.unlink()

    rig, old = begun(make, files=Racing())
    plain = rig.beside("access.log.2")
    rig.stop()
    for _ in range(2):
        old.lines(5)
        old = rig.renew(closing=old)
    packed = plain.with_name("access.log.2.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    rig.start()
    rig.look()
    assert not plain.exists()
    rig.check()


def empty_until_it_is_compressed(make: Make) -> None:
    """It came while nobody ran and had nothing in it; then a late line, and it is compressed."""
    rig, _ = begun(make)
    rig.stop()
    late = rig.renew()
    rig.renew()
    rig.start()
    rig.look()
    late.lines(1)
    late.close()
    pack(rig.beside("access.log.2"))
    rig.look()
    rig.check()


def written_to_after_it_was_let_go(make: Make) -> None:
    """A late line, and the file is compressed before anybody looks at it again."""
    for suffix in PACKERS:
        rig, old = begun(make, files=BlindFiles())
        rig.renew(1)
        rig.look_often(3, 61)
        old.lines(2)
        old.close()
        pack(rig.beside("access.log.1"), suffix)
        rig.check()


def quiet_while_stopped(make: Make) -> None:
    """Where the kernel doesn't tell of writers, a file that was quiet for long is let go by a pass of cron's,
    with its last line; that it is deleted then is no loss."""
    rig, old = begun(make, files=BlindFiles(), knows_times=True)
    for _ in range(3):
        rig.stop()
        old.raw(line := b"without end %d" % len(rig.expected))
        rig.expected[line] += 1
        rotated = rig.rotate()
        old.close()
        os.utime(rotated, (time.time() - 90,) * 2)
        old = rig.writer()
        old.lines(2)
        rig.start()
        rig.look()
        rotated.unlink()
    rig.check(losses=[])


def set_ahead_while_stopped(make: Make) -> None:
    """Likewise, where the wall clock was set ahead meanwhile: by that every file was quiet for long. But one
    that was rotated a moment ago has a writer, which goes on after it is deleted."""
    ahead = 0
    rig, old = begun(make, files=BlindFiles(), wall=lambda: time.time_ns() + ahead)
    rig.stop()
    rotated = rig.rotate()
    rig.writer().lines(2)
    ahead = 365 * 86_400 * 10**9
    rig.start()
    rig.look_often(3, 1)
    rotated.unlink()
    old.lines(3)
    rig.check(losses=[])


def deleted_while_stopped(make: Make) -> None:
    """Without a descriptor nothing can be done but to say so."""
    rig, old = begun(make)
    rig.stop()
    old.raw(b"nobody will ever read this\n")
    old.close()
    rig.path.unlink()
    rig.writer().lines(3)
    rig.start()
    rig.check()
    where = f"it had been read up to byte {50 * LINE_SIZE}"
    assert rig.losses() == [f"{rig.path} went away while nobody was reading it; {where}"]


def backups_restored(make: Make) -> None:
    """Copies of what was read, put back under names that rotations make: as they were, cut, compressed. The
    log was rotated meanwhile, so that any of them may have been it."""
    rig, old = begun(make)
    old.lines(200)
    rig.look()
    text = rig.path.read_bytes()
    rotated = rig.rotate()
    old.close()
    writer = rig.writer()
    writer.lines(3)
    rig.look()
    rig.look(61)
    rotated.unlink()
    rig.stop()
    rig.beside("access.log.7").write_bytes(text)
    rig.beside("access.log.8").write_bytes(text[:1600])
    rig.beside("access.log.9.gz").write_bytes(gzip.compress(text))
    writer.lines(2)
    rig.renew(2)
    rig.start()
    rig.look()
    shutil.copy(rig.beside("access.log.7"), rig.beside("access.log.71"))
    rig.check()


def older_files_appear_while_stopped(make: Make) -> None:
    """What was last written before the log was is not of our time, whatever it is called: so much is said."""
    rig, old = begun(make)
    rig.stop()
    names = "access.log.5", "access.log.6.gz"
    for name, text in zip(names, (b"old\n" * 9, gzip.compress(b"older\n" * 9)), strict=True):
        rig.beside(name).write_bytes(text)
        os.utime(rig.beside(name), (1, 1))
    old.lines(2)
    rig.renew(2)
    rig.start()
    rig.check()
    older = "it is taken for older, and not counted"
    assert [text.partition(" ")[0] for text in rig.losses() if text.endswith(older)] == [
        str(rig.beside(name)) for name in names
    ]


def successors_that_begin_alike(make: Make) -> None:
    """Each generation begins with the same 4 KiB."""
    rig, old = followed(make)

    def fill(writer: Writer) -> None:
        writer.raw(b"the same for all\n" * 300)
        rig.expected[b"the same for all"] += 300
        writer.lines(100)

    for turn in range(4):
        fill(old)
        if turn % 2:
            rig.look()
            rig.stop()
        old = rig.renew(closing=old)
        if turn % 2:
            for _ in range(2):
                fill(old)
                old = rig.renew(closing=old)
            rig.start()
    rig.check()


def copytruncate_while_stopped(make: Make) -> None:
    """Regrown past the old offset; what was unread is in the copy, which may be packed, not in a backup."""
    for suffix in ("", *PACKERS):
        rig, writer = begun(make)
        for number in range(1, 4):
            rig.stop()
            shutil.copy(rig.path, rig.beside(f"access.log.9{number}"))
            writer.lines(30)
            copy = rig.copytruncate(f"access.log.{number}")
            if suffix:
                pack(copy, suffix)
            writer.lines(100)
            rig.start()
            rig.look()
        rig.check(losses=[])


def partial_line_at_the_end(make: Make) -> None:
    """It waits over a stop and over a kill, and in a file that is rotated meanwhile."""
    rig, writer = begun(make)
    writer.raw(b"begun ")
    rig.look()
    rig.stop()
    writer.raw(b"and continued ")
    rig.start()
    rig.look()
    rig.kill()
    writer.raw(b"and ended\n", expect=b"begun and continued and ended")
    writer.raw(b"never ended", expect=b"never ended")
    rig.rotate()
    writer.close()
    rig.start()
    rig.writer().lines(1)
    rig.check()


def hole_after_truncation(make: Make) -> None:
    """A writer without O_APPEND goes on at its old offset, and leaves a hole of zeros before it."""
    rig = make()
    rig.writer().close()
    rig.look()
    writer = rig.writer(appends=False)
    for _ in range(3):
        writer.lines(100)
        rig.look()
        rig.copytruncate()
    os.lseek(writer.descriptor, 10_000_000, os.SEEK_CUR)
    writer.lines(5)
    rig.check()
    assert rig.oversize == []


def shorter_after_power_loss(make: Make) -> None:
    """The log's end was not on the disk yet: what was counted stays counted, and is not counted again."""
    rig, writer = begun(make)
    writer.lines(400)
    rig.look()
    rig.kill()
    text = rig.path.read_bytes()
    os.truncate(rig.path, len(text) * 3 // 4 + 3)
    rig.start(rebooted=True)
    rig.look()
    writer.lines(20)
    rig.look()
    writer.lines(600)
    rig.check()


def written_to_after_power_loss(make: Make) -> None:
    """As before, but the log was written to before we came: nothing twice, and the doubt is said."""
    for before, more in ((400, 10), (400, 1000), (0, 10)):
        rig, writer = begun(make)
        writer.lines(before)
        rig.look()
        rig.kill()
        text = rig.path.read_bytes()
        os.truncate(rig.path, len(text) * 3 // 4)
        writer.lines(more)
        rig.start(rebooted=True)
        rig.look()
        writer.lines(5)
        rig.settle()
        assert not rig.seen - rig.expected
        assert sum((rig.expected - rig.seen).values()) <= more
        assert any("lost its end when the machine stopped" in text for text in rig.losses())


def zero(path: Path, start: int) -> None:
    """The file has its size and times, but zeros from `start` on: its text was not on the disk yet."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\0" * (status.st_size - start))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def check_after_power_loss(rig: Rig) -> None:
    """Without inotify each look goes by the texts, in the next process too, while any file may be the log
    that was rotated: nothing twice, nothing lost."""
    for turn in range(3):
        rig.start(rebooted=turn == 0)
        rig.look()
        rig.writer().lines(3)
        rig.renew(3)
        rig.look(61)
        rig.stop()
    rig.start()
    rig.check(losses=[])


def zeros_where_it_was_open(make: Make) -> None:
    """A rotated file that was still open has zeros for the end that was counted, or for more than that."""
    for unread, lines, more in ((0, 30, 0), (0, 50, -1), (5, 30, 0), (5, 50, 0)):
        rig, old = begun(make, watcher=NoInotify)
        rotated = rig.rotate()
        rig.writer().lines(1)
        rig.look()
        rig.kill()
        old.raw(b"never on the disk\n" * unread)
        zero(rotated, lines * LINE_SIZE + more)
        check_after_power_loss(rig)


def zeros_where_it_was_let_go(make: Make) -> None:
    """A rotated file that had been let go has them."""
    rig, old = begun(make, watcher=NoInotify)
    old.lines(400)
    rotated = rig.rotate()
    old.close()
    rig.writer().lines(1)
    rig.look_often(2, 61)
    assert not rig.holds((rotated.stat().st_dev, rotated.stat().st_ino))
    rig.kill()
    zero(rotated, 428 * LINE_SIZE + 8)
    rig.renew(1)
    check_after_power_loss(rig)


def zeros_at_the_end_of_the_log(make: Make) -> None:
    """The log has them: it goes on after them, or was written to already."""
    for unread, more in ((0, 0), (0, 4), (5, 0), (5, 4)):
        rig, writer = begun(make, watcher=NoInotify)
        rig.kill()
        writer.raw(b"never on the disk\n" * unread)
        zero(rig.path, 30 * LINE_SIZE)
        writer.lines(more)
        check_after_power_loss(rig)


def damaged_archive(make: Make) -> None:
    """It is read up to the damage, and the rest is said to be lost."""
    rig, old = begun(make)
    rig.stop()
    old.raw(b"in the archive\n" * 20_000)
    old.close()
    packed = pack(rig.rotate())
    packed.write_bytes(packed.read_bytes()[:-40])
    rig.writer().lines(2)
    rig.start()
    rig.settle()
    (loss,) = rig.losses()
    assert loss.startswith(f"{packed} cannot be unpacked beyond byte ")
    rig.expected[b"in the archive"] = rig.seen[b"in the archive"]
    assert rig.seen == rig.expected
