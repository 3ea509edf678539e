"""Every system call on a log, in one place, so that a test can make each of them fail.

No other module opens, reads or looks at a log file.
"""

import errno
import fcntl
import grp
import os
import pwd
import select
import stat
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from sys import intern
from typing import NamedTuple, TypeVar

from qps_service.files.mounts import is_alone, mount_of
from qps_service.files.unpacking import Unpacking
from qps_service.text.units import SECOND
from qps_service.values.positions import Identity

# _IOR('v', 1, long) of linux/fs.h: an inode's generation number.
_FS_IOC_GETVERSION = (2 << 30) | (struct.calcsize("l") << 16) | (ord("v") << 8) | 1
# What the ledger can hold: 64 bits with a sign, which end in the year 2262. File systems go beyond that, and
# whoever owns a log may give it any time.
_LATEST = (1 << 63) - 1  # nanoseconds
_AT_EMPTY_PATH, _STATX_BTIME = 0x1000, 0x800  # linux/fcntl.h, linux/stat.h
# What a pipe may hold without privileges (pipe(7): pipe-max-size). A writer waits for us the less, the more
# there is room for, and a look is worth the more.
_PIPE_ROOM = 1 << 20  # bytes
_OTHER_ROOM = 64 * 1024  # bytes, of what is no pipe: a socket has more, a terminal less
# So many files are looked at between two signs of life: where each waits for a disk, that is about a second.
PACE = 64
NAMES = 4096  # of a directory, that are looked at together
# Who reads so much at once has a whole text before him: to count its lines, or to compare it.
LARGE = 256 * 1024  # bytes
LEDGER = "ledger.db"  # the service's own, in its state directory
# What SQLite has locks on (https://sqlite.org/howtocorrupt.html, 2.2). To close any descriptor of such a file
# would drop them all (fcntl(2), Record locks), and to close one of O_PATH drops none.
LEDGER_FILES = (LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm")
# What is wrong with a log of which `is_mounted_alone` is true, for people.
MOUNTED_ALONE = (
    "mounted as a single file: after the next rotation outside it stays the old file, "
    "and the new one cannot be seen here; mount its directory"
)


_Item = TypeVar("_Item")


class Seen(NamedTuple):
    """What stat(2) tells about a file."""

    device: int
    inode: int
    size: int
    modified: int  # st_mtime, nanoseconds: moves with every write
    changed: int  # st_ctime, nanoseconds: moves with every write, rename, link and chmod
    regular: bool
    mode: str  # as `ls -l` shows it, without the names: "-rw-r-----"
    owner: int
    group: int

    @property
    def key(self) -> tuple[int, int]:
        """The same for two looks at one file, as long as it exists."""
        return (self.device, self.inode)

    @property
    def is_pipe(self) -> bool:
        """Whether it is a FIFO, or a pipe without a name."""
        return self.mode.startswith("p")


class NotRegularError(OSError):
    """What is at the log's place is a directory, a pipe or a device; `mode` as `ls -l` shows it."""

    def __init__(self, mode: str) -> None:
        super().__init__(errno.EINVAL, f"it is not a regular file ({mode})")


class Files:
    """The real kernel."""

    def __init__(self, working: Callable[[], None] | None = None, unpacking: Unpacking | None = None) -> None:
        """`working` is called again and again by whoever works long on a file, some ms apart: decompressing
        takes long, and is no hang. `unpacking`: the packed files of the process; else those of this kernel
        alone."""
        self._working = working
        self.unpacking = unpacking or Unpacking()

    def working(self) -> None:
        """Work on a file goes on."""
        if self._working:
            self._working()

    def at_pace(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """These, one after the other; whoever has thousands to look at so shows that work goes on."""
        for number, item in enumerate(items, 1):
            yield item
            if number % PACE == 0:
                self.working()

    def open(self, path: str) -> int:
        """A descriptor for reading. Never blocks, not even on a FIFO. Raises OSError for a ledger, to which
        whoever owns a log's directory may lay a link at any time."""
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if os.path.basename(self.path_of(place) or "") in LEDGER_FILES:
                raise OSError(errno.EINVAL, "it leads to a ledger")
            return os.open(f"/proc/self/fd/{place}", flags)
        except FileNotFoundError:  # there is no /proc
            return os.open(path, flags)
        finally:
            os.close(place)

    def close(self, descriptor: int) -> None:
        """Give the descriptor back."""
        os.close(descriptor)

    def duplicate(self, descriptor: int) -> int:
        """Another descriptor of the same open file."""
        return os.dup(descriptor)

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer at the end of the file. A large text is read in many such
        calls, and each shows that work goes on."""
        if size >= LARGE:
            self.working()
        return os.pread(descriptor, size, offset)

    def take(self, descriptor: int, size: int) -> bytes | None:
        """Up to `size` bytes of what waits in a pipe; none at its end, None where nothing waits now."""
        if os.get_blocking(descriptor) and not _events(descriptor):
            return None
        try:
            return os.read(descriptor, size)
        except BlockingIOError:
            return None

    def waiting(self, descriptor: int) -> int:
        """How many bytes wait in a pipe; 0 where nobody tells."""
        import termios  # only who reads a pipe needs it

        try:
            (size,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))
        except OSError:
            return 0
        return max(0, int(size))

    def widen(self, descriptor: int) -> int:
        """Give a pipe as much room as it may have; the bytes that there is room for."""
        with suppress(OSError):  # its user has too many pipes, or others have made it larger
            if fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ) < _PIPE_ROOM:
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_ROOM)
        try:
            return fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
        except OSError:
            return _OTHER_ROOM

    def presses(self, descriptor: int, room: int) -> bool:
        """Whether a pipe with so much room is to be read at once: it has no writer, or is half full. Each
        page of it may be half empty (pipe(7)), so that a fourth counts as half."""
        events, there = _events(descriptor), self.waiting(descriptor)
        return bool(events & select.POLLHUP or (events and not there) or there > room // 4)

    def is_terminal(self, descriptor: int) -> bool:
        """Whether somebody types there."""
        return os.isatty(descriptor)

    def data_from(self, descriptor: int, offset: int) -> int:
        """The first byte from `offset` on that stands in no hole, which reads as NULs: the end of the file
        where there is none, and `offset` where nobody tells. The descriptor's own offset moves; nobody goes
        by it."""
        size = os.fstat(descriptor).st_size  # before the question: what is appended meanwhile is no hole
        try:
            return os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError as error:
            return max(size, offset) if error.errno == errno.ENXIO else offset

    def stat(self, path: str) -> Seen:
        """What is at `path`, through symbolic links."""
        return _seen(os.stat(path))

    def fstat(self, descriptor: int) -> Seen:
        """What an open file is now."""
        return _seen(os.fstat(descriptor))

    def identity(self, descriptor: int) -> Identity:
        """Which file this is, whatever it is called."""
        status = os.fstat(descriptor)
        try:
            raw = fcntl.ioctl(descriptor, _FS_IOC_GETVERSION, bytes(struct.calcsize("l")))
        except OSError:
            version = None
        else:
            # The kernel writes an int, whatever the request's number says.
            (version,) = struct.unpack_from("I", raw)
        return Identity(status.st_dev, status.st_ino, version)

    def age(self, descriptor: int) -> int:
        """How long ago the file was created, in nanoseconds; where its file system does not tell, how long
        ago it was written to last. Both are dates: nothing is known of a clock that was set since."""
        born = _born(descriptor)
        return max(0, time.time_ns() - (os.fstat(descriptor).st_mtime_ns if born is None else born))

    def birth(self, descriptor: int) -> int | None:
        """When the file was created, Unix nanoseconds; None where its file system does not tell."""
        return _born(descriptor)

    def names(self, directory: str) -> Iterator[list[str]]:
        """The names in a directory, some at a time: whoever may write to it may have made a million, and each
        takes 70 bytes."""
        with os.scandir(directory) as found:
            while some := [entry.name for entry in islice(found, NAMES)]:
                yield some

    def directories(self, directory: str) -> list[str]:
        """The names of directories in a directory, and of links to some."""
        with os.scandir(directory) as found:
            return [entry.name for entry in found if entry.is_dir()]

    def entries(self, directory: str) -> Iterator[tuple[str, int, bool]]:
        """Of the files and directories in a directory, without links: name, inode, and whether it is a file.
        None is kept, as above."""
        with os.scandir(directory) as found:
            for entry in found:
                if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False):
                    yield entry.name, entry.inode(), entry.is_file(follow_symlinks=False)

    def lstat(self, path: str) -> Seen:
        """What is at `path` itself."""
        return _seen(os.lstat(path))

    def is_at(self, path: str, key: tuple[int, int]) -> bool:
        """Whether the file of this device and inode is at `path`; not so where nobody can tell."""
        try:
            return self.lstat(path).key == key
        except OSError:
            return False

    def resolve(self, path: str) -> str:
        """`path` without symbolic links, as far as it exists."""
        try:
            return os.path.realpath(path)
        except RecursionError as error:  # each link costs realpath a stack frame
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from error

    def path_of(self, descriptor: int) -> str | None:
        """Where an open file is now, after all renames; None if it was deleted."""
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:  # without /proc nobody knows
            return None
        return None if path.endswith(" (deleted)") else path

    def is_mounted_alone(self, path: str) -> bool:
        """Whether the file at `path`, through links, is a mount of its own; False where nothing tells."""
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                mount = mount_of(_contents(f"/proc/self/fdinfo/{descriptor}"))
            finally:
                os.close(descriptor)
            if mount is None:
                return False
            return is_alone(_contents("/proc/self/mountinfo"), mount, os.fsencode(self.resolve(path)))
        except OSError:
            return False

    def has_writer(self, descriptor: int) -> bool | None:
        """Whether somebody has the file open for writing; None where the kernel won't tell us.

        A read lease (fcntl(2), F_SETLEASE) is granted only while nobody has. It wants the file's
        owner or CAP_LEASE, and a local file system. It is given back at once: what matters is that
        all that was ever written can be read from now on. Whoever calls this must ignore SIGIO, which
        the kernel sends if a writer comes in that very moment. The file is opened anew for it: systemd may
        hold the open file that `descriptor` stands for, and with it a lease that we died on.
        """
        try:
            own = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.fcntl(own, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError as error:
            return True if error.errno == errno.EAGAIN else None
        finally:
            os.close(own)
        return False


def _events(descriptor: int) -> int:
    """What poll(2) tells now; something where a read would not wait."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return next((events for _, events in poll.poll(0)), 0)


def _born(descriptor: int) -> int | None:
    """When the file was created, Unix nanoseconds: statx(2), which Python 3.11 does not have."""
    import ctypes  # only who follows a log needs it

    known, at = struct.Struct("I"), struct.Struct("qI")  # stx_mask; stx_btime
    found = ctypes.create_string_buffer(256)
    statx = getattr(ctypes.CDLL(None), "statx", None)
    if statx is None or statx(descriptor, b"", _AT_EMPTY_PATH, _STATX_BTIME, found):
        return None
    if not known.unpack_from(found)[0] & _STATX_BTIME:
        return None
    seconds, nanoseconds = at.unpack_from(found, 80)
    return int(seconds) * SECOND + int(nanoseconds)


def _contents(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _seen(status: os.stat_result) -> Seen:
    return Seen(
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        modified=_within(status.st_mtime_ns),
        changed=_within(status.st_ctime_ns),
        regular=stat.S_ISREG(status.st_mode),
        mode=intern(stat.filemode(status.st_mode)),  # of thousands of files nearly all have the same
        owner=status.st_uid,
        group=status.st_gid,
    )


def _within(time: int) -> int:
    """A time as the ledger can hold it."""
    return max(-_LATEST, min(time, _LATEST))


def explain(error: OSError, seen: Seen | None = None) -> str:
    """The reason for people; for a refused permission also who was refused, and by which mode."""
    reason = error.strerror or str(error)
    if not isinstance(error, PermissionError):
        return reason
    reason += f" for user {user_name(os.geteuid())}"
    if seen:
        reason += f"; its mode is {seen.mode} {user_name(seen.owner)} {group_name(seen.group)}"
    return reason


def user_name(number: int) -> str:
    """The user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def group_name(number: int) -> str:
    """The group's name, or the number where it has none."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
