"""Finds the file that has a generation's text, and counts again the lines in what was read of it.

The file is looked for by identity, and where that is gone by its text, in compressed files too. A file that
is gone proves nothing, and is said to be gone; so does one that is there but can't be read, and the reason is
said.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import NamedTuple

from qps_service.files.compressed import why_not
from qps_service.files.fingerprint import Match, compare
from qps_service.files.kernel import Files
from qps_service.files.rotated_names import is_compressed, is_sibling, plain_name
from qps_service.files.sources import Source, count_lines, open_source, size_of
from qps_service.values.positions import PIPES, Position


class Unread(NamedTuple):
    """A file that is there, but can't be opened or unpacked."""

    path: str
    reason: str  # for people


class Checked(NamedTuple):
    """One generation: what the ledger says, and what its file says."""

    position: Position
    held: bool
    path: str | None  # where its text is now; None if it is gone
    counted: int | None  # lines in what was read, counted again; None if it is gone
    pending: int | None  # bytes that are not read yet; None if it is gone
    unread: Unread | None = None  # its own file, where that is there and tells nothing

    @property
    def balances(self) -> bool:
        """Whether the file, if there is one, has as many lines as were read of it."""
        return self.counted is None or self.counted == self.position.lines


class Candidates:
    """The files that may hold a generation's text."""

    def __init__(self, files: Files, log: str, generations: Sequence[Position]) -> None:
        """They are looked for in each directory where the log or a generation was seen, and in those that
        links lead to: the generations' own files, whatever they are called now, and what a rotation may have
        made of their names. All are named without links: where the log is one, its target is rotated."""
        self._files = files
        self._log = _resolved(files, log)
        self._known = {position.identity[:2] for position in generations}
        self._by_key: dict[tuple[int, int], str] = {}
        self._keys: dict[str, tuple[int, int] | None] = {}  # of every candidate; None where nothing tells
        seen_at = {log, *(position.name for position in generations)}
        places = {*map(_located, seen_at), *(_resolved(files, path) for path in seen_at)}
        bases = {os.path.basename(log), os.path.basename(self._log)}
        for directory in sorted({os.path.dirname(place) for place in places}):
            with suppress(OSError):
                for name in chain.from_iterable(files.names(directory)):
                    path = os.path.join(directory, name)
                    is_named_so = path in places or plain_name(path) in places
                    self._consider(path, is_named_so or any(is_sibling(base, name) for base in bases))

    def _consider(self, path: str, is_named_so: bool) -> None:
        try:
            seen = self._files.stat(path)
        except OSError:
            key = None
        else:
            if seen.is_pipe:  # to open it, and to close it again, may end its writer
                return
            key = seen.key
        if is_named_so or key in self._known:
            path = _resolved(self._files, path)
            self._keys[path] = key
            if key:
                self._by_key[key] = path

    def check(self, position: Position, *, held: bool) -> Checked:
        """Find its text, and count its lines again."""
        unread = None
        if position.number == PIPES:
            return Checked(position, held, None, None, None)
        for path in self._likely(position):
            try:
                source = self._open(path)
                try:
                    key = source.seen().key
                    # Of a file of which nothing was read yet there is nothing to compare.
                    is_unbegun = not position.offset and self._is_unbegun(position, path, key, held=held)
                    if is_unbegun or compare(position, source.read) is Match.FULL:
                        size = size_of(source)
                        pending = 0 if size is None else size - position.offset
                        return Checked(position, held, path, _count(position, source), pending)
                finally:
                    source.close()
            except FileNotFoundError:
                continue  # it went meanwhile
            except OSError as error:
                if unread is None and self._is_own(position, path):
                    unread = Unread(path, error.strerror or str(error))
        return Checked(position, held, None, None, None, unread)

    def _is_unbegun(self, position: Position, path: str, key: tuple[int, int], *, held: bool) -> bool:
        """Whether the file is the one of which nothing was read yet: that very file, or, where the log was
        copied or its device has another number, what is at the log's path and no other generation's."""
        return key == position.identity[:2] or (held and path == self._log and key not in self._known)

    def _is_own(self, position: Position, path: str) -> bool:
        """Whether a file of which nothing can be read is the generation's: itself, or compressed."""
        is_packed = is_compressed(path) and plain_name(path) == _resolved(self._files, position.name)
        return is_packed or self._keys[path] == position.identity[:2]

    def _likely(self, position: Position) -> Iterator[str]:
        own = self._by_key.get(position.identity[:2])
        if own:
            yield own
        yield from (path for path in self._keys if path != own)

    def _open(self, path: str) -> Source:
        if is_compressed(path) and (reason := why_not(path)):
            raise OSError(reason)
        return open_source(self._files, self._files.open(path), path, packed=is_compressed(path))


def _located(path: str) -> str:
    """In a directory without symbolic links; it may be one itself."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _resolved(files: Files, path: str) -> str:
    """Without symbolic links, as far as that can be told."""
    try:
        return files.resolve(path)
    except OSError:
        return path


def _count(position: Position, source: Source) -> int:
    """The lines in what was read: its newlines, and what the position says of those that have none."""
    return position.unended + count_lines(source, position.offset, start=position.begun)
