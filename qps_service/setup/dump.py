"""What `nginx -T` prints: its configuration, file by file, under headings.

    # configuration file /etc/nginx/nginx.conf:

An administrator makes it, for a server that can't be read from here, such as one in a container: nginx
opens and creates its logs for that, so that this program does not. The first file is the one that the
others belong to.
"""

import errno
import re
from fnmatch import fnmatchcase

_HEADING = re.compile(r"^# configuration file (.+):\r?\n", re.MULTILINE)  # a terminal's, too: docker exec -t


class Dump:
    """A way to read what was dumped, and nothing else."""

    def __init__(self, text: str) -> None:
        _, *rest = _HEADING.split(text)
        self._texts = dict(zip(rest[::2], rest[1::2], strict=True))

    @property
    def first(self) -> str | None:
        """The path of the first file; None if there is none."""
        return next(iter(self._texts), None)

    def read(self, path: str) -> str:
        """The text of a file. Raises OSError."""
        if path not in self._texts:
            raise FileNotFoundError(errno.ENOENT, "it is not in the dump", path)
        return self._texts[path]

    def matches(self, pattern: str) -> list[str]:
        """The files that fit a pattern."""
        parts = pattern.split("/")
        return sorted(path for path in self._texts if _fits(path.split("/"), parts))

    def files_below(self, path: str) -> list[str] | None:  # noqa: ARG002  it is a Reader
        """A dump has no directories."""
        return None


def _fits(path: list[str], pattern: list[str]) -> bool:
    return len(path) == len(pattern) and all(map(fnmatchcase, path, pattern))
