"""inotify on directories, as hints: one instance for the process, however many logs it follows.

Hides watch descriptors, cookies and the queue. `Watches` has the kernel's side: the instance, which a user
has few of, and one watch for each directory. A `Watcher` is one log's end of it. Guarantees that every rename
inside a log's directories is told to it once, in order, or else that `Lost` is told. Nothing here is trusted
for what is on the disk; it only says that a look is due, and where a file's name came from. Writes to files
are not watched: nobody wakes for them.
"""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import zip_longest
from typing import NamedTuple

import inotify_simple
from inotify_simple import Event, INotify, flags

from qps_service.files.kernel import explain
from qps_service.following.hints import Appeared, Gone, Hint, Lost, Moved
from qps_service.notices import kinds
from qps_service.notices.kinds import Notice, Notify
from qps_service.text.escape import show_path

_MASK = (
    flags.CREATE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.DELETE
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
)
# The directory is not what its path means any longer, or is not watched any longer.
_ENDS = flags.IGNORED | flags.UNMOUNT | flags.DELETE_SELF | flags.MOVE_SELF

# How many hints wait for a log that is not looked at. Half of what the kernel keeps for all of them
# (fs.inotify.max_queued_events); in a directory of 500 logs they take 64 KiB for each.
HINTS_KEPT = 8192

# Which setting of the kernel has to be raised, by the error (inotify_init(2), inotify_add_watch(2)).
_LIMITS = {errno.EMFILE: "fs.inotify.max_user_instances", errno.ENOSPC: "fs.inotify.max_user_watches"}

# ctypes' search for the C library runs ldconfig: 20 ms of the start, and an execve that a sandboxed
# service may not be allowed. The name is the same wherever glibc is.
inotify_simple.find_library = lambda _name: "libc.so.6"


class _Place(NamedTuple):
    """A name in a watched directory."""

    watch: int  # the kernel's watch descriptor
    name: str


class Watches:
    """The inotify instance, and which log's watcher wants to know of which directory."""

    def __init__(self, notify: Notify | None = None) -> None:
        """Nothing is opened before the first watch, and nothing stays open after the last watcher."""
        self._notify = notify
        self._inotify: INotify | None = None
        self._watchers: set[Watcher] = set()
        # Watch descriptor -> who is told, and by which paths it knows the directory.
        self._directories: dict[int, dict[Watcher, list[str]]] = {}
        # Cookie -> where a rename began whose end is still to come, and for whom that was read.
        self._moving: dict[int, tuple[_Place, Watcher]] = {}
        self._is_refused = False  # and that was said

    def fileno(self) -> int | None:
        """What to poll for hints; None while the kernel gives no inotify instance."""
        return self._inotify.fileno() if self._inotify else None

    def begin(self, watcher: "Watcher", path: str) -> tuple[int, tuple[int, int]]:
        """Tell `watcher` from now on what happens in this directory. Gives the watch, and the directory's
        device and inode. Raises OSError."""
        self._watchers.add(watcher)
        self._sort(watcher)  # what happened before is for the others
        directory = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            status = os.fstat(directory)
            # Through the descriptor, so that the watch is on the directory whose identity was taken. The
            # kernel has one watch for a directory, under whatever paths it is added.
            watch = self._add(f"/proc/self/fd/{directory}", path)
        finally:
            os.close(directory)
        self._directories.setdefault(watch, {}).setdefault(watcher, []).append(path)
        return watch, (status.st_dev, status.st_ino)

    def end(self, watcher: "Watcher", path: str, watch: int) -> None:
        """The inverse of `begin`."""
        told = self._directories[watch]
        told[watcher].remove(path)
        if not told[watcher]:
            del told[watcher]
        if not told:
            self._remove(watch)

    def leave(self, watcher: "Watcher") -> None:
        """It is told nothing any longer; all that it began was ended."""
        self._watchers.discard(watcher)
        if self._inotify and not self._watchers:
            self._inotify.close()
            self._inotify = None
            self._moving.clear()

    def read(self, reader: "Watcher") -> None:
        """Hand what the kernel has told by now to those whom it concerns."""
        # The two halves of a rename may come apart. The first one waits for who read it to read again, since
        # another log's read may follow at once; one out of the watched directories gets no other half.
        unfinished = [
            cookie
            for cookie, (_, read_for) in self._moving.items()
            if read_for is reader or read_for not in self._watchers
        ]
        self._sort(reader)
        for cookie in unfinished:
            if cookie in self._moving:
                self._tell(self._moving.pop(cookie)[0], None)

    def _sort(self, reader: "Watcher") -> None:
        for event in self._inotify.read(timeout=0) if self._inotify else ():
            if event.mask & flags.Q_OVERFLOW:
                for watcher in self._watchers:
                    watcher.put(Lost())
            elif event.wd in self._directories:
                if event.mask & _ENDS:
                    self._lose(event.wd)
                else:
                    self._happened(event, reader)

    def _happened(self, event: Event, reader: "Watcher") -> None:
        place = _Place(event.wd, event.name)
        # Another file has the name already: that the first one left would be told too late.
        for cookie in [cookie for cookie, (left, _) in self._moving.items() if left == place]:
            if cookie != event.cookie:
                del self._moving[cookie]
        if event.mask & flags.MOVED_FROM:
            self._moving[event.cookie] = place, reader
        elif event.mask & flags.MOVED_TO:
            left, _ = self._moving.pop(event.cookie, (None, None))
            self._tell(left, place)
        elif event.mask & flags.DELETE:
            self._tell(place, None)
        else:
            self._tell(None, place, created=True)

    def _tell(self, left: _Place | None, came: _Place | None, *, created: bool = False) -> None:
        """A name went from there, or came here, or both; or a file was created. Each watcher is told what can
        be seen of that in its own directories, by its own paths of them."""
        left_by = self._directories.get(left.watch, {}) if left else {}
        came_by = self._directories.get(came.watch, {}) if came else {}
        hints: dict[tuple[str, str], Hint] = {}  # for all logs of a directory they are the same
        for watcher in left_by | came_by:
            for paths in zip_longest(left_by.get(watcher, ()), came_by.get(watcher, ()), fillvalue=""):
                if paths not in hints:
                    hints[paths] = _hint(_path(paths[0], left), _path(paths[1], came), created)
                watcher.put(hints[paths])

    def _lose(self, watch: int) -> None:
        """The directory is gone, or is somewhere else."""
        for watcher, paths in self._directories[watch].items():
            watcher.lose(paths)
        self._remove(watch)

    def _add(self, directory: str, path: str) -> int:
        try:
            self._inotify = self._inotify or INotify(nonblocking=True)
            watch: int = self._inotify.add_watch(directory, _MASK)
        except OSError as error:
            if error.errno != errno.ENOENT:  # it was deleted in this moment
                self._refused(path, error)
            raise
        if watch not in self._directories:
            self._is_refused = False
        return watch

    def _refused(self, path: str, error: OSError) -> None:
        """Said once: each log tries again at each look."""
        if self._notify and not self._is_refused:
            text = (
                f"{show_path(path)} is looked through once a second, as it can't be watched: {explain(error)}"
            )
            if error.errno in _LIMITS:
                text += f"; raise {_LIMITS[error.errno]} (sysctl)"
            self._notify(Notice(kinds.UNWATCHED, text))
        self._is_refused = True

    def _remove(self, watch: int) -> None:
        del self._directories[watch]
        if self._inotify:
            with suppress(OSError):  # the kernel removed it with its directory
                self._inotify.rm_watch(watch)


class Watcher:
    """One log's watches, on a set of directories that may come, go and be replaced."""

    def __init__(self, watches: Watches | None = None) -> None:
        """`watches` are those of the process; without them this one has an inotify instance of its own."""
        self._watches = watches or Watches()
        self._stands: dict[str, tuple[int, tuple[int, int]]] = {}  # path -> watch, (device, inode)
        self._wanted: set[str] = set()
        self._hints: list[Hint] = []

    def fileno(self) -> int | None:
        """What to poll for hints; None while the kernel gives no inotify instance."""
        return self._watches.fileno()

    @property
    def has_hints(self) -> bool:
        """Whether hints wait here that another log's watcher has read: no poll tells of them."""
        return bool(self._hints)

    @property
    def is_blind(self) -> bool:
        """Whether nothing tells what happens in one of the directories that may be listed: no watch is to be
        had, or it was not there, or refused us, before."""
        may = os.R_OK | os.X_OK
        return any(os.access(each, may, effective_ids=True) for each in self._wanted - self._stands.keys())

    def watch(self, directories: Iterable[str]) -> list[Hint]:
        """Make the watches stand on `directories`, as they are now; cheap when they already do.

        `Lost` comes back where a watch is new or cannot be had.
        """
        self._wanted = set(directories)
        for path in self._stands.keys() - self._wanted:
            self._drop(path)
        return [Lost(path) for path in sorted(self._wanted) if not self._stand(path)]

    def read(self) -> list[Hint]:
        """The hints so far, without waiting."""
        self._watches.read(self)
        hints, self._hints = self._hints, []
        return hints if self._stands else [*hints, Lost()]

    def close(self) -> None:
        """Watch nothing any longer. The last watcher of a process gives the inotify instance back."""
        self.watch(())
        self._watches.leave(self)
        self._hints.clear()

    def put(self, hint: Hint) -> None:
        """Take it for the next `read`."""
        if len(self._hints) >= HINTS_KEPT:
            self._hints = [Lost()]
        self._hints.append(hint)

    def lose(self, paths: Iterable[str]) -> None:
        """The directory at these paths is watched no longer."""
        for path in paths:
            del self._stands[path]
        self.put(Lost())

    def _stand(self, path: str) -> bool:
        """Whether the watch on `path` already stood, on the directory that is there now."""
        try:
            if path in self._stands:
                status = os.stat(path)
                if self._stands[path][1] == (status.st_dev, status.st_ino):
                    return True
                self._drop(path)
            self._stands[path] = self._watches.begin(self, path)
        except OSError:
            self._drop(path)  # no watch to be had, or no directory: looks go by the tick
        return False

    def _drop(self, path: str) -> None:
        if path in self._stands:
            watch, _ = self._stands.pop(path)
            self._watches.end(self, path, watch)


def _path(directory: str, place: _Place | None) -> str:
    return os.path.join(directory, place.name) if directory and place else ""


def _hint(left: str, came: str, created: bool) -> Hint:
    """By what the watched directories show of it."""
    if left and came:
        return Moved(left, came)
    return Appeared(came, created) if came else Gone(left)
