"""What a server's configuration says of its logs."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

# Files that are read for one server: a thousand vhosts, with some files each. More are a mistake, or a file
# that two others include, and these two others.
FILES = 10_000
# Of files that include each other, and of blocks within each other: ten times what anybody writes.
DEPTH = 100


class Reader(Protocol):
    """How files are read."""

    def read(self, path: str) -> str:
        """The text of a file; bytes that are no UTF-8 are surrogates. Raises OSError."""

    def matches(self, pattern: str) -> list[str]:
        """The paths that fit a pattern of the shell's, in the order of their bytes; none for none."""

    def files_below(self, path: str) -> list[str] | None:
        """All files in a directory and in those below it, likewise; None if it is no directory."""


class FoundLog(NamedTuple):
    """A file that requests are written to."""

    path: str  # absolute; with wildcards, as `path` takes it, where there are variables in it
    formats: tuple[str, ...]  # as `format` takes them; several where servers disagree
    served: tuple[str, ...]  # names of servers that write there
    place: str  # where it stands first
    notes: tuple[str, ...] = ()
    is_pattern: bool = False
    is_dated: bool = False  # with fields of strftime, as `path` takes them


class LeftOut(NamedTuple):
    """What can't be followed, or has no requests of its own."""

    what: str  # as it is written
    why: str
    place: str


class Problem(NamedTuple):
    """What can't be read or understood."""

    place: str
    text: str


class Findings:
    """Collects what is found of one server."""

    def __init__(self) -> None:
        self.logs: dict[str, FoundLog] = {}
        self.left_out: list[LeftOut] = []
        self.problems: list[Problem] = []
        self._said: dict[Problem, Problem] = {}
        self.files: list[str] = []  # that were read

    def log(
        self,
        path: str,
        log_format: str | None,
        served: str,
        place: str,
        notes: Iterable[str],
        *,
        is_pattern: bool = False,
        is_dated: bool = False,
    ) -> None:
        """One more server writes to this file, or to files that match."""
        known = self.logs.get(path) or FoundLog(path, (), (), place, (), is_pattern, is_dated)
        self.logs[path] = known._replace(
            formats=_with(known.formats, [log_format] if log_format else []),
            served=_with(known.served, [served]),
            notes=_with(known.notes, notes),
        )

    def leave_out(self, what: str, why: str, place: str) -> None:
        """This is no log to follow."""
        if (left := LeftOut(what, why, place)) not in self.left_out:
            self.left_out.append(left)

    def problem(self, place: str, text: str) -> None:
        """Go on without this, which is said once."""
        if self._said.setdefault(problem := Problem(place, text), problem) is problem:
            self.problems.append(problem)

    def read(self, reader: Reader, path: str, above: tuple[str, ...], place: str) -> str | None:
        """A configuration file, that `above` led to; None where there is nothing to be had of it."""
        if path in above:
            self.problem(place, f"{path} includes itself")
        elif len(above) >= DEPTH:
            self.problem(place, f"{path}: files include each other {DEPTH} deep, the rest is not read")
        elif len(self.files) >= FILES:
            if len(self.files) == FILES:
                self.files.append(path)
                self.problem(place, f"{path}: more than {FILES} files, the rest is not read")
        else:
            try:
                text = reader.read(path)
            except OSError as error:
                self.problem(place, f"{path}: {error.strerror or error}")
            else:
                self.files.append(path)
                return text
        return None


def _with(known: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *more)))


def as_place(path: str, line: int) -> str:
    """How a place is written."""
    return f"{path}, line {line}"


DEVICES: Mapping[str, str] = {
    "/dev/stdout": "the server's standard output, which no file has",
    "/dev/stderr": "the server's standard error, which no file has",
    "/dev/null": "thrown away",
}


def device(path: str) -> str | None:
    """What a path is that no file has; None if it may be a file's."""
    if path in DEVICES:
        return DEVICES[path]
    return "a device" if path.startswith(("/dev/", "/proc/")) else None


def escaped(path: str) -> str:
    """A path without wildcards, as `path` takes it."""
    return re.sub(r"[*?\[]", r"[\g<0>]", path)
