"""Files beside the log that are not to be read: copies, backups, what is older than our time.

They are recognised by device and inode, and where devices were numbered anew by whatever else is known of
them: the inode's version, the beginning of their text, or size and time. Memory is bounded.
"""

from collections import OrderedDict
from collections.abc import Iterable

from qps_service.files.kernel import Seen
from qps_service.values.positions import Identity, IgnoredFile

# Some 600 bytes each. Of one that falls out its times alone tell, where events were lost, that it is old.
IGNORED_LIMIT = 16 * 1024
# Those of all logs take 40 MB at most, of which each has an equal part: 256 logs have 256 files each.
ALL_IGNORED_LIMIT = 64 * 1024


class IgnoredFiles:
    """Those of one log."""

    def __init__(self, ignored: Iterable[IgnoredFile] = ()) -> None:
        self._files: OrderedDict[tuple[int, int], IgnoredFile] = OrderedDict()  # by device and inode
        self._by_inode: dict[int, IgnoredFile] = {}
        self._by_digest: dict[bytes, IgnoredFile] = {}
        self.limit = IGNORED_LIMIT  # files
        for each in ignored:
            self._put(each)
        self._has_changed = False

    @property
    def are_many(self) -> bool:
        """Whether others may have been forgotten; some come off again, when their inodes get other files."""
        return len(self._files) > self.limit // 2

    def __contains__(self, key: tuple[int, int]) -> bool:
        return key in self._files

    def is_unchanged(self, seen: Seen) -> bool:
        """Whether the file is one of them, and nothing was done to it since it was looked at last."""
        known = self._files.get(seen.key)
        return known is not None and known.changed == seen.changed

    def has(self, identity: Identity) -> bool:
        """Whether the file is one of them, whatever it is called."""
        known = self._files.get(identity[:2])
        return known is not None and known.version == identity.version

    def recall(self, identity: Identity, seen: Seen) -> bool:
        """Likewise, on a device that may have been numbered anew."""
        if identity[:2] in self._files:
            return self.has(identity)
        known = self._by_inode.get(identity.inode)
        if known is None:
            return False
        if identity.version is not None:
            return known.version == identity.version
        return (known.size, known.modified) == (seen.size, seen.modified)

    def has_text(self, digest: bytes) -> bool:
        """Whether one of them begins with this text."""
        return digest in self._by_digest

    def add(self, ignored: IgnoredFile) -> None:
        """Not to be read, now or later."""
        if self._files.get(ignored[:2]) == ignored:
            return
        former = self._by_inode.get(ignored.inode)
        if former and former.device != ignored.device and _is_same(former, ignored):
            self._drop(former)  # its device has another number now
        self._put(ignored)
        self._has_changed = True
        self.bound(self.limit)

    def bound(self, limit: int) -> None:
        """Remember no more than so many from now on."""
        self.limit = min(limit, IGNORED_LIMIT)
        while len(self._files) > self.limit:
            self._drop(next(iter(self._files.values())))
            self._has_changed = True

    def remove(self, identity: Identity) -> None:
        """It is read after all. Of one that left its inode's number to it, the text may be in an archive."""
        if self.has(identity):
            self._drop(self._files[identity[:2]])
            self._has_changed = True

    def take(self) -> tuple[IgnoredFile, ...] | None:
        """All of them; None if they are the same as at the last call."""
        changed, self._has_changed = self._has_changed, False
        return self.all() if changed else None

    def all(self) -> tuple[IgnoredFile, ...]:
        """Oldest first."""
        return tuple(self._files.values())

    def _put(self, ignored: IgnoredFile) -> None:
        if known := self._files.get(ignored[:2]):
            self._drop(known)
        self._files[ignored[:2]] = ignored
        self._by_inode[ignored.inode] = ignored
        if ignored.digest:
            self._by_digest[ignored.digest] = ignored

    def _drop(self, ignored: IgnoredFile) -> None:
        self._files.pop(ignored[:2], None)
        if self._by_inode.get(ignored.inode) == ignored:
            del self._by_inode[ignored.inode]
        if self._by_digest.get(ignored.digest) == ignored:
            del self._by_digest[ignored.digest]


def _is_same(one: IgnoredFile, other: IgnoredFile) -> bool:
    """Whether two files with one inode number, on devices with two, are one."""
    if one.version is not None or other.version is not None:
        return one.version == other.version
    return (one.size, one.modified) == (other.size, other.modified)
