"""What happened to a log: decisions from values alone, without a look at the disk."""

import os
import re
from enum import Enum
from typing import NamedTuple

from qps_service.model import Position

_ROTATED = r"[.\-_]\d[\dTZ.:_\-]*"
_WORDS = r"\.(?:old|prev|bak|rotated)"
COMPRESSED = (".gz", ".xz", ".zst", ".bz2", ".lz4", ".Z")


class Change(Enum):
    """What became of a file since it was last read."""

    SAME = "same"
    GREW = "grew"
    TRUNCATED = "truncated"
    REPLACED = "replaced"
    GONE = "gone"


class Look(NamedTuple):
    """A look at the file that is now in the place of a held one."""

    device: int
    inode: int
    size: int
    before: bytes  # what stands right before the held offset, as many bytes as the marker has


def decide(held: Position, look: Look | None) -> Change:
    """Compare what is held with what is there.

    Size alone does not tell: a log that was truncated and has regrown past the offset is larger than
    before. The bytes before the offset do, because what is consumed never changes otherwise.
    """
    if look is None:
        return Change.GONE
    if (look.device, look.inode) != held.identity[:2]:
        return Change.REPLACED
    if look.size < held.offset or look.before != held.marker:
        return Change.TRUNCATED
    return Change.GREW if look.size > held.offset else Change.SAME


def is_sibling(base: str, name: str) -> bool:
    """Whether `name` is what a rotation may make of the log named `base`, uncompressed.

    `access.log` becomes access.log.1, access.log-20261123, access.log.1726000000.2, access.log.old,
    or, with the extension kept, access-20261123.log and access.1.log. A name without a digit, such as
    access.log.lock or access.log-errors, is another log; so is access2.log.
    """
    if re.fullmatch(re.escape(base) + rf"(?:{_ROTATED}|{_WORDS})", name):
        return True
    stem, extension = os.path.splitext(base)
    return bool(extension and re.fullmatch(re.escape(stem) + _ROTATED + re.escape(extension), name))


class Moved(NamedTuple):
    """A rename inside the watched directories."""

    source: str
    target: str


class Touched(NamedTuple):
    """Something was created under this path, or went away from it."""

    path: str


class Lost(NamedTuple):
    """Events may be missing: the queue overflowed, or nothing was being watched for a while."""


Hint = Moved | Touched | Lost


class Lineage:
    """Which names carry a file that once was the log, as far as the events tell.

    A new file beside the log may be a generation that came and went between two looks, and must be
    read; or it may be a copy, a backup, something unpacked, and must not. Its content cannot tell
    them apart, its history can: a generation came to its name by renames that began at the log.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.complete = False  # whether every event since the last look is known

    def note(self, hint: Hint, log_paths: set[str]) -> None:
        """Follow one event; `log_paths` are the names of the log itself."""
        match hint:
            case Moved(source, target):
                descends = source in log_paths or source in self.names
                self.names.discard(source)
                (self.names.add if descends else self.names.discard)(target)
            case Touched(path):
                self.names.discard(path)
            case Lost():
                self.complete = False
