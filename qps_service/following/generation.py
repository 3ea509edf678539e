"""One generation of the log: an open file and how far it has been consumed.

Promises: blocks end on a newline; no byte is handed out twice; the offset moves only past what was
handed out; memory is bounded by one block. Before each read the bytes in front of the offset are
compared with those consumed there: where they differ the file was truncated, and reading begins
again at its start, without whatever partial line was waiting.

What is read of a file is as many lines as newlines, but for three cases that `unended` in its position keeps
account of: a line over the limit counts where it begins, the line that ends a retired generation without
a newline, and the rest of a line that was counted before the position began does not.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from qps_service.files.fingerprint import Read, fingerprint_of, marks_over_nuls, take_marks
from qps_service.files.holes import NULS, without_holes
from qps_service.files.recognition import KnownPart, TextEnd, line_start, tail_of
from qps_service.files.sources import ENDLESS, Source, count_lines
from qps_service.following.change import Change, Look, decide
from qps_service.values.counts import SAMPLE_LIMIT
from qps_service.values.positions import MARKER_LIMIT, PIPES, PREFIX_LIMIT, Directives, Position

# What is read at once where so much is there; of less, all of it. Reading a backlog of 10 million lines took
# as long with 64 KiB to 1 MiB, and 1 MiB cost 4 MB more.
BLOCK = 128 * 1024  # bytes
# What one look reads of a file at most: about two seconds' work. In between, other files have their turn,
# reports are made and signals heeded, however large a backlog is.
PART = 64 * 1024 * 1024  # bytes


class Chunk(NamedTuple):
    """What a read hands out."""

    origin: "Generation"  # whoever counts the lines tells it how many they were
    data: bytes  # whole lines; only the last line of a retired generation may lack its newline
    oversize: bytes | None = None  # the beginning of a line over the limit, which is not handed out
    is_last: bool = False  # whether the file was cut: what comes next is of another text


class Generation:
    """An open file that is, or was, the log."""

    def __init__(
        self,
        source: Source,
        position: Position,
        *,
        max_line: int,
        directive_before: Callable[[Read, int], bytes] | None = None,
        truncated: Callable[[Position], int],
        recognised: Callable[[str, int, int], None],
        known_part: Callable[["Generation", Position], KnownPart | None],
    ) -> None:
        """`max_line` in bytes. `directive_before` finds the directive that is in force at an offset of the
        text, where no position tells it; None where lines have no directives. `truncated` is called when the
        file turns out to have been cut, with the position up to which its old text was consumed; it gives the
        number of the text that is there now. `recognised`: when that is a copy of the old one, with the
        file's name, how many of its lines are left out, and of how many bytes nothing tells whether they are
        new. `known_part`: how much of the text that is there now was read before, of the old one or
        elsewhere. The generation owns the source."""
        self.source = source
        self._number = position.number
        self.name = position.name
        self.identity = position.identity
        self.active_at = 0  # nanoseconds; when bytes were last seen, or its successor came
        self.reached_at = 0  # nanoseconds; what is read next was written after that
        self.offset = position.offset
        self._prefix = position.prefix
        self._begun = position.begun
        self._max_line = max_line
        self.is_behind = False  # whether the last drain left more than it read
        self._size = 0  # of the file at the last drain, bytes
        self.is_finished = False  # read to its end for good; it is let go once the ledger knows
        self._marker = position.marker
        self._marks = position.marks
        self._oversize = position.oversize
        self._lines = position.lines
        self._rejected = position.rejected
        self.directives = Directives(position.directives, position.directive)
        self._directive_before = directive_before
        self._modified = position.modified
        self._unended = position.unended
        self._end = TextEnd(position.tail, position.offset) if position.tail else TextEnd()
        self._owner = position.owner
        self._truncated, self._recognised = truncated, recognised
        self._known_part = known_part
        self._in_copy = b""  # a line without newline that ends it, and is read in another file
        # What was consumed before the file was cut, while all that stands in it now is known from there:
        # whoever puts a copy back may need more than one write.
        self._former: Position | None = None
        self._doubtful = 0  # bytes of the copy that were told so far

    @property
    def key(self) -> tuple[int, int]:
        """Device and inode: the same for every look at this file while it is held."""
        return self.identity[:2]

    @property
    def position(self) -> Position:
        """How far it has been consumed."""
        return self.progress._replace(tail=self._end.note())

    @property
    def progress(self) -> Position:
        """Likewise, without the digests of the last lines: to note these takes longer than all else."""
        return Position(
            self.identity,
            self.name,
            self.offset,
            self._prefix,
            self._marker,
            self._oversize,
            self._marks,
            self._number,
            self._begun,
            self._lines,
            self._rejected,
            self._modified,
            self._unended,
            b"",
            self._owner,
            *self.directives,
        )

    @property
    def pending(self) -> int:
        """Bytes that the last drain saw and did not consume; 0 where the size of a text is not known."""
        return max(self._size - self.offset, 0) if self._size != ENDLESS else 0

    @property
    def _block(self) -> int:
        return max(BLOCK, 2 * self._max_line)  # bytes; a line of the greatest length fits in

    def drain(self) -> Iterator[Chunk]:
        """Whole lines up to the end that the file has now, or PART bytes of them; a faster writer is left
        for the next look, which is due at once if `is_behind`.

        Raises OSError; what was handed out before stays consumed.
        """
        seen = self.source.seen()
        self._leave_out_copy(seen.size)
        end = min(seen.size, self.offset + PART)
        self.is_behind = False
        while True:
            back = len(self._marker)
            there = max(seen.size - self.offset, 0) + 1  # and one more, to see a file that has grown
            data = self.source.read(back + min(there, self._block), self.offset - back)
            self._look_for_directive()
            change = decide(self.progress, Look(*self.key, self.offset - back + len(data), data[:back]))
            if change is Change.TRUNCATED:
                yield Chunk(self, b"", is_last=True)
                self._restart()
                seen = self.source.seen()
                self._leave_out_copy(seen.size)
                end = min(seen.size, self.offset + PART)
                continue
            chunk = self._consume(data[back:]) if change is Change.GREW else None
            if chunk is None:
                break
            self.is_finished = False
            yield chunk
            self._pass_over_hole()
            if self.offset >= end:
                self.is_behind = self.offset < seen.size
                break
        self._modified, self._size, self._owner = seen.modified, seen.size, seen.owner
        if self.offset == self._end.end:
            self._end.note()  # of hundreds of logs that were written to each would keep the text
        elif self.source.descriptor is not None:
            self._end.grow(self.source.read, self.offset)

    def last_line(self) -> Iterator[Chunk]:
        """The line without newline that ends a drained generation which nobody writes to any more."""
        rest = self.source.read(self._block, self.offset)
        if rest and b"\n" not in rest:
            self._advance(rest)
            if not self._oversize and rest != self._in_copy:
                self._unended += 1
                yield Chunk(self, rest)

    def former(self, size: int) -> bytes:
        """The lines that stand right before those that are handed out, `size` bytes of them at most, where
        they were there before our time. Raises OSError."""
        size = min(size, self._begun)
        if not size or self.source.descriptor is None:  # of compressed text all would have to be unpacked
            return b""
        text = self.source.read(size, self._begun - size)
        return text if size == self._begun else text[text.find(b"\n") + 1 :]

    def continues_in(self, copy: Source, place: int) -> None:
        """Byte `place` of `copy` comes after its last whole line. A line without newline that stands there,
        too, is read there, to its end."""
        size = self.source.seen().size
        start = line_start(self.source.read, size)
        rest = self.source.read(size - start, start)
        self._in_copy = rest if copy.read(len(rest), place) == rest else b""

    def counted(self, lines: int, rejected: int, directives: Directives) -> None:
        """So many lines were in a chunk of it, and so many of these were rejected; its directives up to
        there."""
        self._lines += lines
        self._rejected += rejected
        self.directives = directives

    def moved_to(self, path: str) -> None:
        """It is there now."""
        self.name = path

    def active(self, now: int) -> None:
        """Bytes came, or its successor; `now` in nanoseconds."""
        self.active_at = now

    def limit(self, max_line: int, directive_before: Callable[[Read, int], bytes] | None) -> None:
        """Lines may have so many bytes from now on, and such directives."""
        self._max_line, self._directive_before = max_line, directive_before

    def finish(self) -> None:
        """Nothing more is to be read of it, and it can go."""
        self.is_finished = True

    def resume(self) -> None:
        """It is the log again."""
        self.is_finished = False

    def check_end(self) -> None:
        """It is finished if every byte was handed out, and otherwise not. Raises OSError."""
        self.is_finished = self.is_at_end()

    def is_at_end(self) -> bool:
        """Whether every byte of the file has been handed out."""
        return not self.source.read(1, self.offset)

    def _consume(self, body: bytes) -> Chunk | None:
        """The part of `body` that can be handed out; None while it is a line yet to be completed."""
        if self._oversize:
            end = body.find(b"\n") + 1
            self._oversize = not end
            self._unended -= bool(end)
            self._advance(body[:end] if end else body)
            return Chunk(self, b"")
        if body.startswith(b"\0"):
            # Where the file system does not tell how far a hole goes, most of it is nothing but zeros, which
            # a comparison tells in a fiftieth of the time.
            text = b"" if body == bytes(len(body)) else body.lstrip(b"\0")
            self._advance(body[: len(body) - len(text)])
            return Chunk(self, b"")
        end = body.rfind(b"\n") + 1
        if end:
            whole = body[:end]
            self._advance(whole)
            return Chunk(self, without_holes(whole))
        if len(body) <= self._max_line + len(b"\r"):
            return None
        self._oversize = True
        self._unended += 1
        self._advance(body)
        return Chunk(self, b"", oversize=body[:SAMPLE_LIMIT])

    def _advance(self, consumed: bytes) -> None:
        missing = PREFIX_LIMIT - len(self._prefix)
        if missing > 0 and len(self._prefix) == self.offset:
            self._prefix += consumed[:missing]
        self._marks = take_marks(self._marks, self.offset, self._marker, consumed)
        self._marker = (self._marker + consumed[-MARKER_LIMIT:])[-MARKER_LIMIT:]
        self.offset += len(consumed)

    def _pass_over_hole(self) -> None:
        """Go on behind a hole, if what was consumed ends in one. What begins a text is read in any case."""
        if self._marker != NULS or self.offset < PREFIX_LIMIT:
            return
        end = self.source.data_from(self.offset)
        self._marks = marks_over_nuls(self._marks, end)
        self.offset = end

    def _restart(self) -> None:
        self._former, self._doubtful = self.position, 0
        self._number = self._truncated(self._former)
        self._lines = self._rejected = self._unended = 0
        self.directives = Directives()
        self._oversize = self.is_finished = False
        self._begin_at(0)

    def _begin_at(self, offset: int) -> None:
        """What stands before this byte is not handed out."""
        read = self.source.read
        # All or nothing of it, where reading fails; and there is nothing to read at the start.
        fingerprint = fingerprint_of(read, offset) if offset else (b"", b"", b"")
        tail = tail_of(read, offset) if offset else b""
        self._prefix, self._marker, self._marks = fingerprint
        self._end = TextEnd(tail, offset)
        self.offset = self._begun = offset
        self.directives = self.directives._replace(last=None)

    def _look_for_directive(self) -> None:
        """Find the one by which the next line is read. Raises OSError, before that line is handed out."""
        last = self.directives.last
        if self._directive_before is None:
            last = None  # nobody looks for the next one
        elif last is None:
            last = self._directive_before(self.source.read, self.offset)
        self.directives = self.directives._replace(last=last)

    def _leave_out_copy(self, size: int) -> None:
        """Of a text that was written over, or to an empty file, what was consumed before."""
        was_empty = self._number != PIPES and self._modified and not self.offset
        if self._former is None and was_empty and size:
            self._former = self.progress
        if self._former is None or not (whole := line_start(self.source.read, size)):
            return
        part = self._known_part(self, self._former)
        if part and part.until > self.offset:
            lines = count_lines(self.source, part.until, start=self.offset)
            self._recognised(self.name, lines, max(part.doubtful - self._doubtful, 0))
            self._doubtful = max(part.doubtful, self._doubtful)
            self._begin_at(part.until)
        if part is None or part.until < whole:
            self._former = None
