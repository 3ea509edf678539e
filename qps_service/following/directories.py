"""Where a log and its rotated files are looked for.

A path with a date stands for many files, perhaps in as many directories. The latest by its name is the log;
the others were, or are written to late.
"""

import os
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from qps_service.files.dated_names import Key, dated, is_dated
from qps_service.files.kernel import Files, Seen
from qps_service.files.rotated_names import is_compressed, is_sibling, plain_name, siblings

# Where rotated files are moved to (logrotate's olddir): one directory, or one more after a change.
ASIDE_LIMIT = 4
# Of directories with dates so many are looked into at each level, the latest: a day's hours, a month's days.
DATED_LIMIT = 32
# But after a stop those, too, that came meanwhile: six weeks of hours. Each costs a watch for a while.
MISSED_LIMIT = 1024
# Of files with dates that were written to within so long before the last write, so many may have writers at
# the first look: no two time zones differ by more than 26 hours.
LATELY = 48 * 3600 * 1_000_000_000  # nanoseconds
LATE_LIMIT = 16
# So many of those that are earlier than the log are looked at, where that is gone.
_EARLIER = 64


class LogDirectory(NamedTuple):
    """One of them; a log that is a symbolic link has two."""

    path: str  # without symbolic links
    base: str  # what the log is called, perhaps with a date
    aside: bool = False  # whether rotated files go there, and the log itself is elsewhere
    name: str | None = None  # of the log itself, where that has a date
    # Whether the log's files are here, and have dates in their names or in those of their directories.
    is_dated: bool = False
    is_news: bool = False  # whether it came in our time

    @property
    def log_path(self) -> str:
        """The log itself."""
        return os.path.join(self.path, self.name or self.base)

    def is_log(self, name: str) -> bool:
        """Whether a writer may give its log this name."""
        if self.is_dated:
            return not is_compressed(name) and dated(self.base).is_one(name)
        return not self.aside and name == self.base

    def siblings(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that may be files of the log."""
        if self.is_dated and not is_dated(self.base):
            names = list(names)
            return [*siblings(self.base, names), *(name for name in names if plain_name(name) == self.base)]
        return siblings(self.base, names)

    def is_sibling(self, name: str) -> bool:
        """Whether that may be a file of the log."""
        return bool(self.siblings([name]))


class LogNames(Container[str]):
    """The paths under which a log's writers have it: one, or with dates, all that its path stands for."""

    def __init__(self, directories: Iterable[LogDirectory]) -> None:
        self._directories: dict[str, list[LogDirectory]] = {}
        for each in directories:
            self._directories.setdefault(each.path, []).append(each)

    def __contains__(self, path: object) -> bool:
        directory, name = os.path.split(path if isinstance(path, str) else "")
        return any(each.is_log(name) for each in self._directories.get(directory, ()))


def dated_files(path: str, files: Files) -> list[str]:
    """The files that a path with dates stands for, the latest first."""
    directories = LogDirectories(path, files)
    directories.look()
    return directories.paths()


class _Named(NamedTuple):
    """A directory or a file with a date."""

    key: Key
    path: str


MayBe = Callable[[str, Seen, bool], bool]


def _any(_path: str, _seen: Seen, _is_latest: bool) -> bool:
    return True


class LogDirectories:
    """The directories of one log, as links and renames move them."""

    def __init__(self, path: str, files: Files) -> None:
        path = os.path.abspath(path)
        self._path = path
        self._directory, self._base = os.path.split(path)
        self._components = path.split(os.sep)[1:]
        self.is_dated = is_dated(path)
        first = next((n for n, each in enumerate(self._components) if is_dated(each)), 0)
        self._dates = self._components[first:]  # from the first that has one
        self._files = files
        self._aside: list[str] = []  # directories
        self._last: list[LogDirectory] = []
        # Of a path with a date: where its files were at the last look, and at the first.
        self._leaves: list[_Named] = []
        self._before: frozenset[str] | None = None
        self._left_out: dict[int, Key] = {}  # the latest at the first look that were too many, by level
        self._known: Key | None = None  # the latest that an earlier process read, until all is found
        self._newest: Key | None = None  # of all files that were the log so far
        # The file that is the log, once there was one; and whether that is later than all before it.
        self._current: str | None = None
        self.is_later = False

    @property
    def log_path(self) -> str:
        """The log itself, at the last look."""
        return self._current or self._path

    def look(self, may_be: MayBe = _any) -> list[LogDirectory]:
        """Where it is now, and may be found after a rotation. `may_be`: whether a file with a date may be the
        log, and is no other user's; it is told whether the file is later than all before."""
        try:
            directories = self._look_at_dates(may_be) if self.is_dated else self._look_at_one()
        except OSError:  # a link that changes just now, or a maze of them: opening the log will tell
            return self._last or [LogDirectory(self._directory, self._base)]
        mine = {each.path for each in directories}
        self._last = [
            *directories,
            *(LogDirectory(aside, self._base, aside=True) for aside in self._aside if aside not in mine),
        ]
        return self._last

    def _look_at_one(self) -> list[LogDirectory]:
        here = LogDirectory(self._files.resolve(self._directory), self._base)
        target = LogDirectory(*os.path.split(self._files.resolve(here.log_path)))
        return [here] if target == here else [here, target]

    def _look_at_dates(self, may_be: MayBe) -> list[LogDirectory]:
        self._leaves, parents = self._places()
        self._choose(may_be)
        directory, name = os.path.split(self.log_path)
        if self._before is None:
            self._before = frozenset(each.path for each in self._leaves)
        directories = [
            LogDirectory(
                each.path,
                self._base,
                aside=each.path != directory,
                name=name,
                is_dated=True,
                is_news=len(self._dates) > 1 and self._is_news(each),
            )
            for each in self._leaves
        ]
        directories.sort(key=lambda each: each.aside)
        if all(each.aside for each in directories):
            directories.insert(0, LogDirectory(directory, self._base, name=name, is_dated=True))
        return [*directories, *parents]

    def _is_news(self, leaf: _Named) -> bool:
        """Whether it came in our time, and was not there before, be it with too many others."""
        was_left_out = any(leaf.key[: len(key)] <= key for key in self._left_out.values())
        return leaf.path not in (self._before or ()) and not was_left_out

    def _places(self) -> tuple[list[_Named], list[LogDirectory]]:
        """Where its files are, the latest last, and the directories in which others may come."""
        places, parents = [_Named((), os.sep)], []
        for component in self._components[:-1]:
            if not is_dated(component):
                places = [_Named(key, os.path.join(path, component)) for key, path in places]
                continue
            places = [_Named(key, self._files.resolve(path)) for key, path in places]
            parents += [LogDirectory(path, component, aside=True) for _, path in places]
            found = [
                _Named(key + (dated(component).key(name) or ()), os.path.join(path, name))
                for key, path in places
                for name in self._directories_in(path)
                if dated(component).is_one(name)
            ]
            found.sort()
            number = min(max(DATED_LIMIT, sum(self._is_missed(each.key) for each in found)), MISSED_LIMIT)
            places = found[-number:]
            if self._before is None and found[:-number]:
                self._left_out[len(found[0].key)] = found[-number - 1].key
        return [_Named(key, self._files.resolve(path)) for key, path in places], parents

    def _is_missed(self, key: Key) -> bool:
        """Whether it came while nobody ran, or is what was read last."""
        return self._known is not None and key >= self._known[: len(key)]

    def _directories_in(self, directory: str) -> list[str]:
        with suppress(OSError):
            return self._files.directories(directory)
        return []

    def _entries(self, directory: str) -> Iterator[tuple[str, int, bool]]:
        with suppress(OSError):
            yield from self._files.entries(directory)

    def _choose(self, may_be: MayBe) -> None:
        """The log is the latest by its name; of several with one time, what was written to last."""
        best: tuple[Key, int, str] | None = None
        earlier = 0
        for key, path, seen in self._named():
            is_latest = self._newest is None or key >= self._newest
            earlier += not is_latest
            if (best and key < best[0]) or earlier > _EARLIER:
                break
            candidate = (key, seen.modified, path)
            if may_be(path, seen, is_latest) and (best is None or candidate > best):
                best = candidate
        if best:
            self.is_later |= self._newest is not None and best[0] > self._newest
            self._newest = max(self._newest or best[0], best[0])
            self._current = best[2]

    def _named(self) -> Iterator[tuple[Key, str, Seen]]:
        """The files that the path stands for, the latest first."""
        base = dated(self._base)
        found = [
            _Named(leaf.key + (base.key(name) or ()), os.path.join(leaf.path, name))
            for leaf in self._leaves
            for name, _, is_file in self._entries(leaf.path)
            if is_file and base.is_one(name) and not is_compressed(name)
        ]
        for key, path in sorted(found, reverse=True):
            with suppress(OSError):
                seen = self._files.stat(path)
                if seen.regular:
                    yield key, path, seen

    def paths(self) -> list[str]:
        """Of a path with a date: the files that it stood for at the last look, the latest first."""
        return [path for _, path, _ in self._named()]

    def settle(self, *, resuming: bool) -> None:
        """The log is being read; `resuming`: and not all is found that came while nobody ran."""
        self.is_later = False
        if not resuming:
            self._known = None

    def lately(self, may_be: MayBe = _any) -> list[str]:
        """Files with dates beside the log that may be written to, too, since they were of late; the earliest
        first."""
        found = ((path, seen) for _, path, seen in self._named() if may_be(path, seen, True))
        times = {path: seen.modified for path, seen in islice(found, LATE_LIMIT)}
        since = max(times.values(), default=0) - LATELY
        return [path for path, at in reversed(times.items()) if at >= since and path != self._current]

    def learn(self, path: str) -> bool:
        """A file of the log is, or was, at `path`: others may be moved there, too. Whether that is news."""
        if self.is_dated and (key := self.key(path)) is not None:
            self._newest = max(self._newest or key, key)
            if self._before is None:
                self._known = self._newest
        directory, name = os.path.split(path)
        if directory in self._aside or any(directory == each.path for each in self._last):
            return False
        is_new = len(self._aside) < ASIDE_LIMIT and directory != self._directory
        if is_new := is_new and is_sibling(self._base, name):
            self._aside.append(directory)
        return is_new

    def key(self, path: str) -> Key | None:
        """Where a file stands in the order of the log's files, by its path; None of any other's."""
        names = path.split(os.sep)[-len(self._dates) :]
        if len(names) != len(self._dates):
            return None
        keys = [dated(one).key(name) for one, name in zip(self._dates, names, strict=True)]
        return None if None in keys else tuple(part for key in keys for part in key or ())
