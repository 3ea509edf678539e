"""The kernel's inotify(7), as it is: an instance, its watches, and the events that wait. Nothing here waits.

Python has none. All that is loaded for it is ctypes, which the start needs anyway.
"""

import ctypes
import errno
import io
import os
from collections.abc import Callable, Iterator
from fcntl import ioctl
from struct import Struct
from termios import FIONREAD
from typing import NamedTuple

# Of <linux/inotify.h>.
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
Q_OVERFLOW = 0x4000
IGNORED = 0x8000
ONLYDIR = 0x1000000

_HEAD = Struct("iIII")  # watch, mask, cookie, and how many bytes the name takes, which zeros fill up
_INT = Struct("i")
_libc = ctypes.CDLL(None, use_errno=True)


class Event(NamedTuple):
    """Something happened in a watched directory."""

    watch: int  # the kernel's watch descriptor; -1 where events were lost
    mask: int
    cookie: int  # what the two halves of a rename have in common; otherwise 0
    name: str  # empty where it is the directory itself


class Inotify(io.FileIO):
    """An instance, of which a user has few."""

    def __init__(self) -> None:
        """Raises OSError."""
        super().__init__(_call(_libc.inotify_init1, os.O_CLOEXEC | os.O_NONBLOCK))

    def add(self, directory: str, mask: int) -> int:
        """Watch it; gives the watch. Raises OSError."""
        return _call(_libc.inotify_add_watch, self.fileno(), os.fsencode(directory), mask)

    def remove(self, watch: int) -> None:
        """Watch it no longer. Raises OSError."""
        _call(_libc.inotify_rm_watch, self.fileno(), watch)

    def events(self) -> Iterator[Event]:
        """Those that wait. Raises OSError."""
        (size,) = _INT.unpack(ioctl(self, FIONREAD, bytes(_INT.size)))
        data = os.read(self.fileno(), size) if size else b""
        place = 0
        while place < len(data):
            watch, mask, cookie, length = _HEAD.unpack_from(data, place)
            place += _HEAD.size + length
            yield Event(watch, mask, cookie, os.fsdecode(data[place - length : place].rstrip(b"\0")))


def _call(function: Callable[..., int], *arguments: int | bytes) -> int:
    """As PEP 475 has it: a signal does not end it."""
    while (result := function(*arguments)) == -1:
        error = ctypes.get_errno()
        if error != errno.EINTR:
            raise OSError(error, os.strerror(error))
    return result
