"""Where a log and its rotated files are looked for."""

import os
from typing import NamedTuple

from qps_service.files.kernel import Files
from qps_service.files.rotated_names import is_sibling

# Where rotated files are moved to (logrotate's olddir): one directory, or one more after a change.
ASIDE_LIMIT = 4


class LogDirectory(NamedTuple):
    """One of them; a log that is a symbolic link has two."""

    path: str  # without symbolic links
    base: str
    aside: bool = False  # whether rotated files go there, and the log itself is elsewhere

    @property
    def log_path(self) -> str:
        """The log itself."""
        return os.path.join(self.path, self.base)


class LogDirectories:
    """The directories of one log, as links and renames move them."""

    def __init__(self, path: str, files: Files) -> None:
        self._directory, self._base = os.path.split(os.path.abspath(path))
        self._files = files
        self._aside: list[str] = []  # directories
        self._last: list[LogDirectory] = []

    def look(self) -> list[LogDirectory]:
        """Where it is now, and may be found after a rotation."""
        try:
            here = LogDirectory(self._files.resolve(self._directory), self._base)
            target = LogDirectory(*os.path.split(self._files.resolve(here.log_path)))
        except OSError:  # a link that changes just now, or a maze of them: opening the log will tell
            return self._last or [LogDirectory(self._directory, self._base)]
        directories = [here] if target == here else [here, target]
        mine = {each.path for each in directories}
        self._last = [
            *directories,
            *(LogDirectory(aside, self._base, aside=True) for aside in self._aside if aside not in mine),
        ]
        return self._last

    def learn(self, path: str) -> None:
        """A rotated file is at `path`: others may be moved there, too."""
        directory, name = os.path.split(path)
        if directory in self._aside or any(directory == each.path for each in self._last):
            return
        if len(self._aside) < ASIDE_LIMIT and directory != self._directory and is_sibling(self._base, name):
            self._aside.append(directory)
