"""Where reading begins in a file that was just opened as the log.

A file that was read before goes on where it was left. A new one is read from its start, but for what
was there at the very first look: that counts only where the configuration says so. A file that no rotation
brought may be a copy of what was read: a mirror, a backup, what an editor made of it. Then that part is left
out which is proven to be known, and that is said.
"""

from collections.abc import Callable

from qps_service.files.kernel import Files, Seen
from qps_service.files.sources import Plain, Source, count_lines
from qps_service.following.announcer import Announcer
from qps_service.following.change import Change, Look, decide
from qps_service.following.classification import StillThere
from qps_service.following.hints import Arrival
from qps_service.following.known_files import KnownFiles, Resemblance
from qps_service.following.read_texts import Found, ReadTexts, begin_at
from qps_service.following.resume import InheritedFile
from qps_service.values.entries import PossibleLoss
from qps_service.values.positions import Position


class StartPosition:
    """Knows what was before our time."""

    def __init__(
        self,
        files: Files,
        known_files: KnownFiles,
        texts: ReadTexts,
        announcer: Announcer,
        max_line: int,
        *,
        from_start: bool,
    ) -> None:
        """`max_line` in bytes; `from_start`: whether what the log holds at the first look counts too."""
        self._announcer = announcer
        self._max_line = max_line
        self._files = files
        self._known_files = known_files
        self._texts = texts
        self._from_start = from_start
        self._unread: tuple[tuple[int, int], int] | None = None  # at the first look: key, size in bytes
        self._losses: list[PossibleLoss] = []

    def limit(self, max_line: int) -> None:
        """Lines may have so many bytes from now on."""
        self._max_line = max_line

    def begin(
        self,
        source: Plain,
        path: str,
        *,
        first_look: bool,
        arrival: Arrival,
        resuming: Callable[[], StillThere] | None = None,
    ) -> Position:
        """Where to begin in a log that was opened by its path. `resuming`: which generations are still there,
        in their own files, where an earlier process followed the log."""
        recalled = self._recall(source, path)
        if recalled:
            return recalled
        identity, seen = source.identity(), source.seen()
        fresh = Found(source, Position(identity, path, 0, b"", b"", False, owner=seen.owner))
        is_present = resuming() if resuming else None

        def has_name(position: Position) -> bool:
            """Whether a file that was read is still there, and has not left its inode's number to this one:
            where it was seen last, or by whatever name it was rotated to."""
            key = position.identity[:2]
            if key == identity[:2]:
                return False
            return self._files.is_at(position.name, key) or bool(is_present and is_present(position))

        if is_present:
            resemblance, known = self._known_files.resembles(source.read, is_present)
            if known and resemblance is Resemblance.CONTINUED:
                part = self._texts.known_part(fresh, has_name)
                if part and part.until > known.offset:
                    # It goes on where that one does not, and what comes then was read in yet another one.
                    return self._after_known_part(fresh, has_name, arrival)
                self._announcer.recognised(path, count_lines(source, known.offset))
                return known._replace(identity=identity, name=path, owner=seen.owner)
        elif first_look:
            return self._at_first(fresh)
        elif self._unread and self._unread[0] == identity[:2]:
            return self._at_first(fresh, min(seen.size, self._unread[1]))
        return self._after_known_part(fresh, has_name, arrival)

    def of_another(self, source: Plain, path: str) -> Position:
        """Where to begin at the very first look in a file that was written to of late, but is not the log: it
        counts from its start only if it is still being written to."""
        if recalled := self._recall(source, path):
            return recalled
        seen = source.seen()
        fresh = Position(source.identity(), path, 0, b"", b"", False, owner=seen.owner)
        if self._from_start and source.has_writer():
            return fresh
        return begin_at(source, fresh, self._line_before(source, seen.size))

    def _at_first(self, fresh: Found, size: int | None = None) -> Position:
        """After what a log holds at the very first look, which are its first `size` bytes."""
        source, position, _ = fresh
        size = source.seen().size if size is None else size
        if self._from_start or size == 0:
            return position
        return begin_at(source, position, self._line_before(source, size))

    def _after_known_part(
        self, fresh: Found, is_there: Callable[[Position], bool], arrival: Arrival
    ) -> Position:
        source, position, _ = fresh
        if not source.seen().size:
            return position
        anew = arrival is Arrival.CREATED
        known = self._texts.known_part(fresh, is_there, anew=anew)
        if known and known.until:
            for generation in self._texts.held:
                generation.continues_in(source, known.until)
            return self._texts.after(fresh, known).position
        is_alike = self._texts.may_be_copy(fresh, anew=anew)
        if arrival is Arrival.MOVED or is_alike:
            self._announcer.possible_duplicate(position.name, count_lines(source), is_alike=is_alike)
        return position

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

    def _line_before(self, source: Source, size: int) -> int:
        """The start of the line that the byte at `size` belongs to: a line still being written is ours."""
        first = max(0, size - self._max_line - 1)
        before = source.read(size - first, first)
        return first + before.rfind(b"\n") + 1


def is_replaced(held: Position, seen: Seen) -> bool:
    """Whether another file than the held one is at the log's path."""
    return decide(held, Look(*seen.key, seen.size, held.marker)) is Change.REPLACED
