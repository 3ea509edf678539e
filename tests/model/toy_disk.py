"""A file system and a clock as machines really have them, played over the real ones.

Hides how: what `Files` tells of real files is changed on its way to the follower. Devices can be numbered
anew, inodes can be without versions, the wall clock can jump, files can belong to somebody else, a directory
can be a mount point whose volume comes and goes, and hints can be missing.
"""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from qps_service.files.kernel import Seen
from qps_service.following.hints import Hint, Lost
from qps_service.following.watcher import Watcher
from tests.fault.devices import Renumbered
from tests.following import WallClock

STRANGER = 4242  # a uid that never has the log


class ToyFiles(Renumbered):
    """A kernel that may not tell of writers, nor of inodes' versions, and may refuse to open anything."""

    def __init__(
        self,
        clock: WallClock,
        *,
        blind: bool = False,
        has_versions: bool = True,
        unmounted: Path = Path("/nowhere"),
    ) -> None:
        """`unmounted`: where a volume is while it is not mounted."""
        super().__init__(has_versions=has_versions)
        self.denied = False
        self._clock = clock
        self._blind = blind
        self._unmounted = str(unmounted)
        self._strange: dict[tuple[int, int], int] = {}  # device, inode -> descriptor
        self._kept: dict[tuple[int, int], int] = {}  # likewise

    def give_away(self, path: Path) -> None:
        """The file belongs to a stranger."""
        status = path.stat()
        # Held, so that no other file gets its inode number.
        self._strange[status.st_dev, status.st_ino] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def end(self) -> None:
        for descriptor in (*self._strange.values(), *self._kept.values()):
            os.close(descriptor)

    def has_writer(self, descriptor: int) -> bool | None:
        return None if self._blind else super().has_writer(descriptor)

    def open(self, path: str) -> int:
        if self.denied:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        descriptor = super().open(path)
        if not self._has_versions:
            self._keep(descriptor)
        return descriptor

    def _keep(self, descriptor: int) -> None:
        """Whether a number is used again is the real file system's whim: a history must go the same way each
        time."""
        status = os.fstat(descriptor)
        key = status.st_dev, status.st_ino
        if key not in self._kept:
            self._kept[key] = os.dup(descriptor)

    def path_of(self, descriptor: int) -> str | None:
        path = super().path_of(descriptor)
        if path and path.startswith(self._unmounted):
            return "/" + os.path.basename(path)  # as of a volume that was unmounted lazily
        return path

    def retell(self, seen: Seen) -> Seen:
        return (
            super()
            .retell(seen)
            ._replace(
                modified=self._clock.shown(seen.modified),
                changed=self._clock.shown(seen.changed),
                owner=STRANGER if seen.key in self._strange else seen.owner,
            )
        )


class Hearing:
    """Whether inotify is to be had now."""

    def __init__(self, *, is_deaf: bool) -> None:
        self.is_deaf = is_deaf


class ToyWatcher(Watcher):
    """inotify that is not always to be had."""

    def __init__(self, hearing: Hearing) -> None:
        super().__init__()
        self._hearing = hearing

    def watch(self, directories: Iterable[str]) -> list[Hint]:
        if self._hearing.is_deaf:
            return [*super().watch(()), Lost()]
        return super().watch(directories)

    def read(self) -> list[Hint]:
        hints = super().read()
        return [Lost()] if self._hearing.is_deaf else hints
