"""What happened to a log: decisions from values alone, without a look at the disk."""

import os
import re
from enum import Enum
from typing import NamedTuple

from qps_service.values.positions import Position

_ROTATED = r"[.\-_]\d[\dTZ.:_\-]*"
_WORDS = r"\.(?:old|prev|bak|rotated)"
COMPRESSED = (".gz", ".xz", ".zst", ".bz2")


class Change(Enum):
    """What became of a file since it was last read."""

    SAME = "same"
    GREW = "grew"
    TRUNCATED = "truncated"
    REPLACED = "replaced"


class Look(NamedTuple):
    """A look at the file that is now in the place of a held one."""

    device: int
    inode: int
    size: int
    before: bytes  # what stands right before the held offset, as many bytes as the marker has


def decide(held: Position, look: Look) -> Change:
    """Compare what is held with what is there.

    Size alone does not tell: a log that was truncated and has regrown past the offset is larger than
    before. The bytes before the offset do, because what is consumed never changes otherwise.
    """
    if (look.device, look.inode) != held.identity[:2]:
        return Change.REPLACED
    if look.size < held.offset or look.before != held.marker:
        return Change.TRUNCATED
    return Change.GREW if look.size > held.offset else Change.SAME


def is_sibling(base: str, name: str) -> bool:
    """Whether `name` is what a rotation may make of the log named `base`, compressed or not.

    `access.log` becomes access.log.1, access.log-20261123, access.log.1726000000.2, access.log.old,
    or, with the extension kept, access-20261123.log and access.1.log; each may get .gz and the like.
    A name without a digit, such as access.log.lock or access.log-errors, is another log; so is
    access2.log. The compressed log itself, access.log.gz, is none: nobody compresses what is written to.
    """
    name = plain_name(name)
    if re.fullmatch(re.escape(base) + rf"(?:{_ROTATED}|{_WORDS})", name):
        return True
    stem, extension = os.path.splitext(base)
    return bool(extension and re.fullmatch(re.escape(stem) + _ROTATED + re.escape(extension), name))


def is_compressed(name: str) -> bool:
    """Whether the name is that of a compressed file."""
    return name.endswith(COMPRESSED)


def plain_name(name: str) -> str:
    """What a compressed file was called before it was compressed; other names as they are."""
    return os.path.splitext(name)[0] if is_compressed(name) else name


class Moved(NamedTuple):
    """A rename inside the watched directories."""

    source: str
    target: str


class Appeared(NamedTuple):
    """Something was created under this path, or came to it from elsewhere."""

    path: str


class Gone(NamedTuple):
    """What was under this path was deleted, or went elsewhere."""

    path: str


class Lost(NamedTuple):
    """Events may be missing: the queue overflowed, or nothing was being watched for a while."""


Hint = Moved | Appeared | Gone | Lost


class Descent:
    """One file that is or was the log, under whatever names; `known` once somebody has looked at it."""

    def __init__(self, *, known: bool = False) -> None:
        self.known = known


class Lineage:
    """Which names carry a file that once was the log, as far as the events tell.

    A new file beside the log may be a generation that came and went between two looks, and must be
    read; or it may be a copy, a backup, something unpacked, and must not. Its content cannot tell
    them apart, its history can: a generation came to its name by renames that began at the log, or
    was compressed from a file that did.
    """

    def __init__(self) -> None:
        self.complete = False  # whether every event since the last look is known
        self._names: dict[str, Descent] = {}
        self._unseen: list[str] = []

    def note(self, hint: Hint, log_paths: set[str]) -> None:
        """Follow one event; `log_paths` are the names of the log itself."""
        match hint:
            case Moved(source, target):
                descent = self._names.pop(source, None)
                if descent is None and source in log_paths:
                    descent = Descent()
                self._end(target)
                if descent:
                    self._names[target] = descent
            case Appeared(path):
                self._end(path)
                origin = self._names.get(plain_name(path))
                if path in log_paths:
                    self._names[path] = Descent()
                elif origin:
                    self._names[path] = origin
            case Gone(path):
                self._end(path)
            case Lost():
                self.complete = False

    def __contains__(self, path: object) -> bool:
        """Whether `path` carries a generation that nobody has looked at yet."""
        descent = self._names.get(path)  # type: ignore[call-overload]
        return descent is not None and not descent.known

    def names(self) -> set[str]:
        """The paths that carry generations which nobody has looked at yet."""
        return {path for path, descent in self._names.items() if not descent.known}

    def settle(self, path: str) -> None:
        """The file under `path` is being read, or was, under any name that it has."""
        if path in self._names:
            self._names[path].known = True

    def settle_log(self, path: str) -> None:
        """What is at the log's own path now is being read."""
        self._names[path] = Descent(known=True)

    def tidy(self, log_paths: set[str]) -> None:
        """Forget the names that tell nothing any more."""
        self._names = {
            path: descent for path, descent in self._names.items() if path in log_paths or not descent.known
        }

    def take_unseen(self) -> list[str]:
        """The last names of generations that went away before anybody looked at them."""
        unseen, self._unseen = self._unseen, []
        return unseen

    def _end(self, path: str) -> None:
        """The name carries its file no longer."""
        descent = self._names.pop(path, None)
        if descent and not descent.known and descent not in self._names.values():
            self._unseen.append(path)
