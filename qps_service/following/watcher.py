"""inotify on directories, as hints.

Hides watch descriptors, cookies and the queue. Guarantees that every rename inside the watched
directories is told once, in order, or else that `Lost` is told. Nothing here is trusted for what is
on the disk; it only says that a look is due, and where a file's name came from. Writes to files are
not watched: nobody wakes for them.
"""

import os
from collections.abc import Iterable
from contextlib import suppress

import inotify_simple
from inotify_simple import INotify, flags

from qps_service.following.hints import Appeared, Gone, Hint, Lost, Moved

_MASK = (
    flags.CREATE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.DELETE
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
)

# ctypes' search for the C library runs ldconfig: 20 ms of the start, and an execve that a sandboxed
# service may not be allowed. The name is the same wherever glibc is.
inotify_simple.find_library = lambda _name: "libc.so.6"


class Watcher:
    """Watches a set of directories that may come, go and be replaced."""

    def __init__(self) -> None:
        self._inotify: INotify | None = None
        self._watches: dict[str, tuple[int, tuple[int, int]]] = {}  # path -> watch, (device, inode)
        self._moving: dict[int, str] = {}  # cookie -> where a rename began whose end is still to come

    def fileno(self) -> int | None:
        """What to poll for hints; None while the kernel gives no inotify instance."""
        return self._inotify.fileno() if self._inotify else None

    def watch(self, directories: Iterable[str]) -> list[Hint]:
        """Make the watches stand on `directories`, as they are now; cheap when they already do.

        `Lost` comes back where a watch is new or cannot be had.
        """
        wanted = set(directories)
        for path in self._watches.keys() - wanted:
            self._drop(path)
        return [Lost() for path in sorted(wanted) if not self._stand(path)]

    def read(self) -> list[Hint]:
        """The hints so far, without waiting."""
        if self._inotify is None:
            return [Lost()]
        hints: list[Hint] = []
        unfinished, self._moving = self._moving, {}
        paths = {watch: path for path, (watch, _) in self._watches.items()}
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                hints.append(Lost())
                continue
            directory = paths.get(event.wd)
            if directory is None:
                continue
            if event.mask & (flags.IGNORED | flags.DELETE_SELF | flags.MOVE_SELF):
                self._drop(directory)
                hints.append(Lost())
                continue
            path = os.path.join(directory, event.name)
            # Another file has the name already: that the first one left would be told too late.
            for moving in (unfinished, self._moving):
                for cookie in [cookie for cookie, source in moving.items() if source == path]:
                    if cookie != event.cookie:
                        del moving[cookie]
            if event.mask & flags.MOVED_FROM:
                self._moving[event.cookie] = path
            elif event.mask & flags.MOVED_TO:
                source = self._moving.pop(event.cookie, None) or unfinished.pop(event.cookie, None)
                hints.append(Moved(source, path) if source else Appeared(path, created=False))
            else:
                hints.append(Gone(path) if event.mask & flags.DELETE else Appeared(path))
        # A rename out of the watched directories never gets its other half.
        hints += [Gone(path) for path in unfinished.values()]
        return hints

    def close(self) -> None:
        """Give the inotify instance back."""
        if self._inotify:
            self._inotify.close()
            self._inotify = None
        self._watches.clear()

    def _stand(self, path: str) -> bool:
        """Whether the watch on `path` already stood, on the directory that is there now."""
        try:
            directory = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            self._drop(path)
            return False
        try:
            status = os.fstat(directory)
            identity = (status.st_dev, status.st_ino)
            held = self._watches.get(path)
            if held and held[1] == identity:
                return True
            self._drop(path)
            self._inotify = self._inotify or INotify(nonblocking=True)
            # Through the descriptor, so that the watch is on the directory whose identity was taken.
            watch = self._inotify.add_watch(f"/proc/self/fd/{directory}", _MASK)
            self._watches[path] = (watch, identity)
        except OSError:
            return False  # no watch to be had (fs.inotify.max_user_*, permissions): looks go by the tick
        finally:
            os.close(directory)
        return False

    def _drop(self, path: str) -> None:
        watch, _ = self._watches.pop(path, (None, None))
        if watch is not None and self._inotify:
            with suppress(OSError):  # the kernel removed it with its directory
                self._inotify.rm_watch(watch)
