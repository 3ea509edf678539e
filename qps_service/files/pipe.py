"""A pipe as a text that is read by offset: what waits in it now, and the little that a reader goes back.

Never blocks, whoever opened the pipe: one that others have open, too, such as standard input, is asked before
each read whether there is anything, since its flags are theirs as well.
"""

from qps_service.files.kernel import Files, Seen
from qps_service.text.regex import regex
from qps_service.values.positions import MARKER_LIMIT

_INHERITED = regex("/dev/stdin()|(?:/dev|/proc/self)/fd/([0-9]{1,9})")


def inherited(path: str) -> int | None:
    """The descriptor that a path names, which the process was given open; None where it names a file."""
    found = _INHERITED.fullmatch(path)
    return int(found[2] or 0) if found else None


def is_pipe(files: Files, path: str) -> bool:
    """Whether what is read by this path is read once, as it comes: what the process was given, or a FIFO."""
    if inherited(path) is not None:
        return True
    try:
        return files.stat(path).is_pipe
    except OSError:
        return False


class PipeText:
    """An open pipe; it is no `Source` that systemd may keep as a file, so that `descriptor` is None."""

    descriptor: int | None = None

    def __init__(self, files: Files, number: int, start: bytes = b"", offset: int = 0) -> None:
        """`start`: what was read of it before and not consumed, which begins at `offset`."""
        self.number = number
        self.is_ended = False  # nobody writes to it, and all is read; whoever knows better sets it back
        self._files = files
        self._kept = start
        self._offset = offset  # of the first byte kept

    @property
    def end(self) -> int:
        """The offset behind all that was read of it."""
        return self._offset + len(self._kept)

    def seen(self) -> Seen:
        """Its `size` is up to what waits now. It has no time of its own."""
        size = self.end + self._files.waiting(self.number)
        return self._files.fstat(self.number)._replace(size=size, modified=0)

    def read(self, size: int, offset: int) -> bytes:
        """As pread(2), but never further back than MARKER_LIMIT bytes before the last read."""
        self._drop(offset - MARKER_LIMIT)
        pieces, short = [self._kept], offset + size - self.end
        while short > 0 and not self.is_ended:
            piece = self._files.take(self.number, short)
            if not piece:
                self.is_ended = piece is not None
                break
            pieces.append(piece)
            short -= len(piece)
        if len(pieces) > 1:
            self._kept = b"".join(pieces)
        begin = max(0, offset - self._offset)
        return self._kept[begin : begin + size]

    def rest(self, offset: int) -> bytes:
        """What was read from there on."""
        return self._kept[max(0, offset - self._offset) :]

    def data_from(self, offset: int) -> int:
        """There are no holes."""
        return offset

    def has_writer(self) -> bool | None:
        """Whether somebody may still write."""
        return not self.is_ended

    def path(self) -> str | None:
        """Nobody asks for it."""
        return None

    def take_turn(self) -> bool:
        """Always."""
        return True

    def end_turn(self) -> None:
        """Nobody waits for that."""

    def close(self) -> None:
        """Let it go."""
        self._files.close(self.number)

    def _drop(self, offset: int) -> None:
        """Nobody goes back to what stands before."""
        if offset > self._offset:
            self._kept = self._kept[offset - self._offset :]
            self._offset = offset
