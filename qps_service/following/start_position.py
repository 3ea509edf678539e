"""Where reading begins in a file that was just opened as the log.

A file that was read before goes on where it was left. A new one is read from its start, but for what
was there at the very first look: that counts only where the configuration says so.
"""

from qps_service.files.fingerprint import fingerprint_of
from qps_service.files.kernel import Files, Seen
from qps_service.files.sources import Plain
from qps_service.following.change import Change, Look, decide
from qps_service.following.classification import StillThere
from qps_service.following.known_files import KnownFiles
from qps_service.following.resume import InheritedFile
from qps_service.values.entries import PossibleLoss
from qps_service.values.positions import Position


class StartPosition:
    """Knows what was before our time."""

    def __init__(self, files: Files, known_files: KnownFiles, max_line: int, *, from_start: bool) -> None:
        """`max_line` in bytes; `from_start`: whether what the log holds at the first look counts too."""
        self._max_line = max_line
        self._files = files
        self._known_files = known_files
        self._from_start = from_start
        self._unread: tuple[tuple[int, int], int] | None = None  # at the first look: key, size in bytes
        self._losses: list[PossibleLoss] = []

    def limit(self, max_line: int) -> None:
        """Lines may have so many bytes from now on."""
        self._max_line = max_line

    def begin(self, source: Plain, path: str, *, first_look: bool) -> Position:
        """Where to begin in a log that was opened by its path."""
        recalled = self._recall(source, path)
        if recalled:
            return recalled
        identity, size = source.identity(), source.seen().size
        fresh = Position(identity, path, 0, b"", b"", False)
        if self._unread and self._unread[0] == identity[:2]:
            size = min(size, self._unread[1])
        elif not first_look:
            return fresh
        if self._from_start or size == 0:
            return fresh
        return begin_at(source, fresh, self._line_before(source, size))

    def resume(self, source: Plain, path: str, is_present: StillThere) -> Position:
        """Where to begin in the log that an earlier process followed. A file with another identity may be
        what that one read, moved to this path with its text: unless the generation's own file is still
        present, which makes this one a new log."""
        recalled = self._recall(source, path)
        if recalled:
            return recalled
        identity = source.identity()
        fresh = Position(identity, path, 0, b"", b"", False)
        _, known = self._known_files.resembles(source.read, is_present)
        if known:
            return known._replace(identity=identity, name=path)
        return fresh

    def take_back(self, handed: InheritedFile, path: str) -> tuple[Plain, Position]:
        """Where to go on in a file that systemd handed back; `path` is the log's."""
        source = Plain(self._files, handed.descriptor)
        # systemd held it all the time: the inode's number can't have gone to another file.
        recalled = self._recall(source, path, is_certain=True)
        if recalled:
            return source, recalled
        fresh = Position(source.identity(), source.path() or path, 0, b"", b"", False)
        return source, begin_at(source, fresh, min(handed.begun, source.seen().size))

    def take_losses(self) -> list[PossibleLoss]:
        """What was skipped since the last call, because nothing tells it from what was read."""
        losses, self._losses = self._losses, []
        return losses

    def _recall(self, source: Plain, path: str, *, is_certain: bool = False) -> Position | None:
        identity, size = source.identity(), source.seen().size
        recalled = self._known_files.recall(identity, size, source.read, is_certain=is_certain)
        if recalled is None:
            return None
        if recalled.lost:
            self._losses.append(recalled.loss(path))
        return recalled.position._replace(name=path)

    def remember_size(self, seen: Seen, *, first_look: bool) -> None:
        """A log that cannot be opened at the first look: what it holds by then was before our time."""
        if first_look:
            self._unread = (seen.key, seen.size)
        elif self._unread and self._unread[0] != seen.key:
            self._unread = None

    def opened(self) -> None:
        """The log is open: no file is waited for any longer."""
        self._unread = None

    def _line_before(self, source: Plain, size: int) -> int:
        """The start of the line that the byte at `size` belongs to: a line still being written is ours."""
        first = max(0, size - self._max_line - 1)
        before = source.read(size - first, first)
        return first + before.rfind(b"\n") + 1


def begin_at(source: Plain, fresh: Position, offset: int) -> Position:
    """`fresh` with everything before `offset` left out."""
    prefix, marker, marks = fingerprint_of(source.read, offset)
    return fresh._replace(offset=offset, begun=offset, prefix=prefix, marker=marker, marks=marks)


def is_replaced(held: Position, seen: Seen) -> bool:
    """Whether another file than the held one is at the log's path."""
    return decide(held, Look(*seen.key, seen.size, held.marker)) is Change.REPLACED
