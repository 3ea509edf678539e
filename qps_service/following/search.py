"""Where files of a log may be that are called as no rotation calls them, or stand in another directory.

A generation that was open when the last process ended may have any name by now: a day's directory whose link
was set anew, logrotate's olddir, a name with a month in words. It is looked for in every directory where the
log or a file of it was ever seen, one level below the log's own and below where it was seen last, above the
log's own, and beside it, should that itself have been moved.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from heapq import nlargest
from itertools import islice

from qps_service.files.kernel import LEDGER_FILES, Files, Seen
from qps_service.files.rotated_names import is_compressed, is_sibling, plain_name
from qps_service.following.directories import LogDirectory
from qps_service.text.regex import regex
from qps_service.text.units import SECOND
from qps_service.values.positions import Position

# So many directories are looked into, and so many files are looked at for their text: whoever fills a disk
# with either costs little.
PLACES = 256
TEXTS = 256


# What differs in the names of one log's files: numbers, TAI64N's stamps, and months.
_VARIES = regex(
    r"@[0-9a-f]{16,}|\d+|(?<![A-Za-z])(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)(?![a-z])"
)


class _Shapes:
    """What names of one log's files have in common. What is part of the log's own path varies in none of
    them: site1.log and site2.log, or the directories app-1 and app-2, may be two logs'."""

    def __init__(self, log: str) -> None:
        *self._folders, base = log.split(os.sep)
        stem = os.path.splitext(base)[0]
        self._stem = stem if re.search("[A-Za-z]", stem) else ""

    def folder(self, name: str) -> str:
        """The shape of a directory's name; where it varies it is another than the name."""
        return name if name in self._folders else _VARIES.sub("#", name)

    def base(self, name: str) -> str:
        """The shape of a file's name."""
        name = plain_name(name)
        parts = name.split(self._stem) if self._stem else [name]
        return self._stem.join(_VARIES.sub("#", part) for part in parts)


class Search:
    """Looks for files of one log, wherever they are."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def by_inode(
        self, wanted: Collection[Position], directories: Collection[LogDirectory]
    ) -> dict[str, Seen]:
        """Files with the inode numbers of these generations, whatever they are called."""
        inodes = {position.identity.inode for position in wanted}
        found: dict[str, Seen] = {}
        for place in self._places(wanted, directories, beside=True):
            for name, inode, _ in self._files.at_pace(self._entries(place)):
                if inode in inodes:
                    found |= self._look(os.path.join(place, name))
            if inodes <= {seen.inode for seen in found.values()}:
                break
        return found

    def named_like(self, paths: Iterable[str], log: str) -> dict[str, Seen]:
        """Files whose paths differ from one of these in digits alone, or in a month's name, or that are
        called there like the log at path `log`, or as rotations call it: where a file of it went to, others
        may be that came and went meanwhile."""
        shapes, own = _Shapes(log), os.path.basename(log)
        found: dict[str, Seen] = {}
        for path in paths:
            places = [os.sep]
            *folders, base = plain_name(path).split(os.sep)[1:]
            for folder in folders:
                shape = shapes.folder(folder)
                if shape == folder:
                    places = [os.path.join(place, folder) for place in places]
                else:
                    below = (
                        (place, name)
                        for place in places
                        for name, _, is_file in self._entries(place)
                        if not is_file
                    )
                    alike = (os.path.join(*each) for each in below if shapes.folder(each[1]) == shape)
                    places = list(islice(alike, PLACES))
            for place in places:
                for name, _, is_file in self._files.at_pace(self._entries(place)):
                    is_named = name == own or is_sibling(own, name) or shapes.base(name) == shapes.base(base)
                    if is_file and is_named:
                        found |= self._look(os.path.join(place, name))
        return found

    def by_time(
        self,
        wanted: Collection[Position],
        directories: Collection[LogDirectory],
        *,
        known: Collection[str] = (),
        since: int | None = None,
    ) -> dict[str, Seen]:
        """Files that may have the texts of these generations: written to no earlier, or after `since` where
        the clock went back (st_mtime, nanoseconds), and no smaller, unless they are compressed. The latest
        first."""
        earliest = min(position.modified for position in wanted)
        since = (earliest if since is None else min(earliest, since)) // SECOND * SECOND
        least = min(position.offset for position in wanted)
        # Compressing may keep the time in whole seconds alone, and logrotate gives an archive the time that
        # the log had when logrotate began, be there later lines.
        fit = (
            (path, seen)
            for place in self._places(wanted, directories, beside=False)
            for name, _, is_file in self._files.at_pace(self._entries(place))
            if is_file and os.path.join(place, name) not in known
            for path, seen in self._look(os.path.join(place, name)).items()
            if (is_compressed(path) and seen.changed >= since)
            or (seen.modified >= since and (seen.size >= least or is_compressed(path)))
        )
        return dict(nlargest(TEXTS, fit, key=lambda each: each[1].modified))

    def _places(
        self, wanted: Iterable[Position], directories: Collection[LogDirectory], *, beside: bool
    ) -> Iterator[str]:
        places: dict[str, None] = dict.fromkeys(each.path for each in directories)
        last = dict.fromkeys(os.path.dirname(position.name) for position in wanted)
        places |= last
        own = [each.path for each in directories if not each.aside]
        for parent in dict.fromkeys([*own, *last, *(os.path.dirname(each) for each in own if beside)]):
            places[parent] = None
            below = (os.path.join(parent, name) for name, _, is_file in self._entries(parent) if not is_file)
            places |= dict.fromkeys(islice(below, PLACES))
        return islice(places, PLACES)

    def _entries(self, directory: str) -> Iterator[tuple[str, int, bool]]:
        """Name, inode and whether it is a file, of files and directories. There are none in what can't be
        listed, and no ledgers: these are not opened as logs."""
        with suppress(OSError):
            yield from (each for each in self._files.entries(directory) if each[0] not in LEDGER_FILES)

    def _look(self, path: str) -> dict[str, Seen]:
        """The file at `path`; nothing where there is none."""
        with suppress(OSError):
            seen = self._files.lstat(path)
            if seen.regular:
                return {path: seen}
        return {}
