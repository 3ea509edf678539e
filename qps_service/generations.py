"""One generation of the log: an open file and how far it has been consumed.

Promises: blocks end on a newline; no byte is handed out twice; the offset moves only past what was
handed out; memory is bounded by one block. Before each read the bytes in front of the offset are
compared with those consumed there: where they differ the file was truncated, and reading begins
again at its start, without whatever partial line was waiting.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from qps_service.files import Files
from qps_service.model import MARKER_LIMIT, PREFIX_LIMIT, SAMPLE_LIMIT, Position
from qps_service.rotation import Change, Look, decide

# Larger blocks are no faster, measured with 64 to 256 KiB, and 256 cost 2 MB more (benchmarks.footprint).
BLOCK = 128 * 1024  # bytes
# What one look reads of a file at most: about two seconds' work. In between, other files have their turn,
# reports are made and signals heeded, however large a backlog is.
PART = 64 * 1024 * 1024  # bytes


class Chunk(NamedTuple):
    """What a read hands out."""

    data: bytes  # whole lines; only the last line of a retired generation may lack its newline
    oversize: bytes | None = None  # the beginning of a line over the limit, which is not handed out


class Generation:
    """An open file that is, or was, the log."""

    def __init__(
        self,
        files: Files,
        descriptor: int,
        position: Position,
        *,
        max_line: int,
        truncated: Callable[[Position, int], None],
    ) -> None:
        """`max_line` in bytes. `truncated` is called when the file turns out to have been cut, with the
        position up to which its old text was consumed, and the file's st_mtime when that was read.
        The generation owns the descriptor."""
        self.name = position.name
        self.identity = position.identity
        self.active_at = 0  # nanoseconds; when bytes were last seen, or its successor came
        self.offset = position.offset
        self.prefix = position.prefix
        self._files = files
        self._descriptor = descriptor
        self._marker = position.marker
        self._oversize = position.oversize
        self.max_line = max_line
        self.is_behind = False  # whether the last drain left more than it read
        self._truncated = truncated
        self._modified = 0  # st_mtime at the last read

    @property
    def key(self) -> tuple[int, int]:
        """Device and inode: the same for every look at this file while it is held."""
        return self.identity[:2]

    @property
    def position(self) -> Position:
        """How far it has been consumed."""
        return Position(self.identity, self.name, self.offset, self.prefix, self._marker, self._oversize)

    @property
    def _block(self) -> int:
        return max(BLOCK, 2 * self.max_line)  # bytes; a line of the greatest length fits in

    def drain(self) -> Iterator[Chunk]:
        """Whole lines up to the end that the file has now, or PART bytes of them; a faster writer is left
        for the next look, which is due at once if `is_behind`.

        Raises OSError; what was handed out before stays consumed.
        """
        seen, read_at = self._files.fstat(self._descriptor), self._modified
        self._modified = seen.modified
        end = min(seen.size, self.offset + PART)
        self.is_behind = False
        while True:
            back = len(self._marker)
            data = self._files.read(self._descriptor, back + self._block, self.offset - back)
            change = decide(self.position, Look(*self.key, self.offset - back + len(data), data[:back]))
            if change is Change.SAME:
                return
            if change is Change.TRUNCATED:
                self._truncated(self.position, read_at)
                self._restart()
                end = min(self._files.fstat(self._descriptor).size, PART)
                continue
            chunk = self._consume(data[back:])
            if chunk is None:
                return
            yield chunk
            if self.offset >= end:
                self.is_behind = end < seen.size
                return

    def last_line(self) -> Iterator[Chunk]:
        """The line without newline that ends a drained generation which nobody writes to any more."""
        rest = self._files.read(self._descriptor, self._block, self.offset)
        if rest and b"\n" not in rest:
            self._advance(rest)
            if not self._oversize:
                yield Chunk(rest)

    def beginning(self) -> bytes:
        """The whole lines at the file's start, consumed or not, at most PREFIX_LIMIT bytes of them."""
        start = self._files.read(self._descriptor, PREFIX_LIMIT, 0)
        return start[: start.rfind(b"\n") + 1] if len(start) < PREFIX_LIMIT else start

    def is_at_end(self) -> bool:
        """Whether every byte of the file has been handed out."""
        return self._files.fstat(self._descriptor).size <= self.offset

    def has_writer(self) -> bool | None:
        """Whether somebody may still append; None where the kernel won't tell us."""
        return self._files.has_writer(self._descriptor)

    def close(self) -> None:
        """Let the file go."""
        self._files.close(self._descriptor)

    def _consume(self, body: bytes) -> Chunk | None:
        """The part of `body` that can be handed out; None while it is a line yet to be completed."""
        if self._oversize:
            end = body.find(b"\n") + 1
            self._oversize = not end
            self._advance(body[:end] if end else body)
            return Chunk(b"")
        end = body.rfind(b"\n") + 1
        if end:
            whole = body[:end]
            self._advance(whole)
            return Chunk(whole)
        if len(body) <= self.max_line + len(b"\r"):
            return None
        self._oversize = True
        self._advance(body)
        return Chunk(b"", oversize=body[:SAMPLE_LIMIT])

    def _advance(self, consumed: bytes) -> None:
        missing = PREFIX_LIMIT - len(self.prefix)
        if missing > 0:
            self.prefix += consumed[:missing]
        self._marker = (self._marker + consumed[-MARKER_LIMIT:])[-MARKER_LIMIT:]
        self.offset += len(consumed)

    def _restart(self) -> None:
        self.offset = 0
        self.prefix = self._marker = b""
        self._oversize = False
