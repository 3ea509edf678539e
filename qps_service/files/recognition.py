"""Whether equal texts are one text, and how much of a file was read before under another identity.

That two files begin alike proves little: a health check writes the same line all day, and the format may have
no time. So two texts are taken for one only if they could not have been written twice: what agrees tells a
time, or has DIFFERENT_LINES different lines. Of a copy that was edited, or cut and written on, that part is
known which comes before it parts from the original, and whatever lines it has in common with the original's
end.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate
from struct import Struct
from typing import NamedTuple
from zlib import adler32, crc32

from qps_service.files.fingerprint import Match, Read, common, compare
from qps_service.text.regex import regex
from qps_service.values.positions import PREFIX_LIMIT, Position

DIFFERENT_LINES = 16
# The end of what was read is kept line by line, so that a copy that parts from it there is told exactly.
TAIL_LIMIT = 64 * 1024  # bytes that are read again for it at most
TAIL_LINES = 1024
# So much of a copy is looked at, line by line, and where the original is still there, so much of its end.
COPY_LIMIT = 64 * 1024 * 1024  # bytes
HELD_LIMIT = 1024 * 1024  # bytes

# Of lines without a time, so many in a row are not the same by chance; one that is not counts like so many
# that are.
BY_CHANCE = 4
ALTERED = 3

_DIGEST = 8  # bytes
_ENTRY = Struct(">III")  # a line's digest, which is two of them, and its length with its end
_BLOCK = 256 * 1024  # bytes
# As servers write it, and not within an URL: what a client asks for may have a date in it, and stays the
# same.
_TIME = regex(
    rb'(?:^|[\s\["(,:>])('
    rb"\d{4}-\d\d-\d\d[T\s]\d\d:\d\d:\d\d"  # ISO 8601, W3C
    rb"|\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d"  # NCSA
    rb"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"  # syslog
    rb'|1\d{9}\.\d{3,}(?=[\s",\]}]|$)|1\d{12}(?=[,}])'  # Unix seconds with decimals, milliseconds in JSON
    rb")",
    re.MULTILINE,
)


class KnownPart(NamedTuple):
    """How much of a file was read before."""

    until: int  # what stands before this byte is not to be read again
    doubtful: int = 0  # so many of these bytes nothing tells from read ones
    # Of the generation whose last line that was read stands there, too, so that nothing is missing between
    # that and what comes next; 0 if there is none.
    number: int = 0


def proves(text: bytes, *, context: bytes = b"", strictly: bool = False, by_time: bool = False) -> bool:
    """Whether another text that has the whole lines of this one is the same text. A line without a time that
    stands in it twice, or in `context`, which begins with it, is written again and again, and tells nothing.
    `strictly`: where the lines alone agree, and not their places, since within a second a server may well
    write a line again. `by_time`: where only a time will do."""
    lines = text[: text.rfind(b"\n") + 1]
    if times := set(_TIME.findall(lines)):
        return len(times) > 1 or not strictly
    if by_time:
        return False
    different = set(lines.split(b"\n")) - {b""}
    times_written = Counter((context or lines).split(b"\n"))
    return sum(times_written[line] < 2 for line in different) >= DIFFERENT_LINES


def has_differences(read: Read) -> bool:
    """Whether not all lines that begin a text are the same: rotations of such logs leave texts that are alike
    all the time."""
    text = read(TAIL_LIMIT, 0)
    return len(set(text[: text.rfind(b"\n") + 1].splitlines())) > 1


def digest_of(text: bytes) -> bytes:
    """Of a line, or of a text's beginning. A checksum will do: nobody gains by two that agree."""
    return crc32(text).to_bytes(4) + adler32(text).to_bytes(4)


def beginning_of(text: bytes) -> bytes:
    """The digest by which a text is known again, of its first KiB; empty where that proves nothing."""
    return digest_of(text[:PREFIX_LIMIT]) if proves(text[:PREFIX_LIMIT]) else b""


def tail_of(read: Read, end: int, *, limit: int = TAIL_LIMIT) -> bytes:
    """The lines that end a text at byte `end`, where a line begins: digest and length of each, of the last
    `limit` bytes."""
    return _noted(_last(read, end, limit), TAIL_LINES if limit == TAIL_LIMIT else limit)


class TextEnd:
    """The same of a text that grows. Few ask, and of a busy log most lines are soon too far from the end: so
    what came last is noted when somebody asks, or when more comes. Until then it is kept, since the file may
    be cut meanwhile."""

    def __init__(self, tail: bytes = b"", end: int = 0) -> None:
        """`tail`: of the text up to byte `end`."""
        self.end = end
        self._tail = tail
        self._text = b""  # what came after that at once, TAIL_LIMIT bytes at most

    def grow(self, read: Read, end: int) -> None:
        """The text ends at this byte now. Raises OSError, and then nothing has changed."""
        size = end - self.end
        if size > TAIL_LIMIT:
            self._tail, self._text = b"", _last(read, end, TAIL_LIMIT)
        else:
            text = read(size, self.end)
            self.note()
            self._text = text
        self.end = end

    def note(self) -> bytes:
        """Digest and length of each line."""
        if self._text:
            self._tail = (self._tail + _noted(self._text, TAIL_LINES))[-TAIL_LINES * _ENTRY.size :]
            self._text = b""
        return self._tail


def has_row_of(tail: bytes, other: bytes) -> bool:
    """Whether the ends of two texts, as `tail_of` notes them, have DIFFERENT_LINES different lines in common,
    one after the other. That proves nothing where clients ask in turns, but is hardly chance."""
    size = DIFFERENT_LINES * _ENTRY.size
    rows = (tail[at : at + size] for at in range(0, len(tail) - size + 1, size))
    return any(row in other and len(set(_entries(row))) == DIFFERENT_LINES for row in rows)


def _last(read: Read, end: int, limit: int) -> bytes:
    """The whole lines among the last `limit` bytes: the first one may have begun before."""
    first = max(end - limit, 0)
    text = read(end - first, first)
    return text[text.find(b"\n") + 1 :] if first else text


def _noted(text: bytes, most: int) -> bytes:
    """`digest_of` and length of its last lines, so many at most, by the interpreter's own loops."""
    lines = text.rsplit(b"\n", most + 1)[:-1][-most:]
    sizes = map((1).__add__, map(len, lines))
    return b"".join(map(_ENTRY.pack, map(crc32, lines), map(adler32, lines), sizes))


def is_proven(read: Read, position: Position) -> bool:
    """Whether a file that has all that was read up to `position`, or that begins it, must be that text."""
    start = read(len(position.prefix), 0)
    if proves(start, context=read(TAIL_LIMIT, 0)):
        return True
    agreeing = [line for line, digest in _last_lines(read, position) if digest_of(line) == digest]
    return proves(start + b"\n".join((b"", *agreeing, b"")))


def compare_to_the_end(position: Position, read: Read) -> Match:
    """As `compare`; but a text that is shorter than what was read, and has another line among those that are
    known one by one, is another."""
    match = compare(position, read)
    if match is Match.PREFIX and any(
        digest_of(line) != digest for line, digest in _last_lines(read, position)
    ):
        return Match.OTHER
    return match


def _last_lines(read: Read, position: Position) -> Iterator[tuple[bytes, bytes]]:
    """What a file has where the lines stand that are known one by one, each with the digest of that one."""
    tail = _entries(position.tail)
    size = sum(length for _, length in tail)
    lines = read(size, position.offset - size).split(b"\n")[:-1] if size else []
    return zip(lines, (digest for digest, _ in tail), strict=False)


def part_of(
    position: Position,
    read: Read,
    size: int | None,
    *,
    agreed: int | None = None,
    in_place: bool = False,
    has_name: bool = False,
    anew: bool = False,
) -> KnownPart | None:
    """How much of a file of `size` bytes belongs to the text that was read up to `position`; None where
    nothing proves that any of it does. `size`: None where that is not known.

    Up to byte `agreed` the two were compared and are the same; without it the position's samples tell.
    `in_place`: whether the file was written over; `has_name`: whether the text's own file is still there;
    `anew`: whether the file was created under the log's name. That is what rotations do, and clients that ask
    in turns for the same things make logs without times alike: only times prove then.
    """
    compared = len(position.prefix) if agreed is None else agreed
    agreed = common(position, read) if agreed is None else agreed
    if not agreed and (anew or not position.tail):
        return None
    parted = line_start(read, agreed)
    lines = _CommonLines(position, parted)
    size = lines.look_through(read, size)
    by_time = has_name or anew or (in_place and not agreed)
    begins_alike = agreed and proves(
        read(min(agreed, compared, TAIL_LIMIT), 0),
        context=read(TAIL_LIMIT, 0),
        strictly=anew,
        by_time=by_time,
    )
    common_text = b"\n".join((*lines.common, b""))
    if not begins_alike and not proves(common_text, strictly=anew or not agreed, by_time=by_time):
        return None
    if lines.are_all or lines.until > parted:
        return KnownPart(lines.until, lines.doubtful, position.number if lines.has_last else 0)
    # It parted from the text before those lines that are known one by one.
    until = max(parted, line_start(read, min(size, position.offset)))
    return KnownPart(until, until - parted)


class _CommonLines:
    """Goes through a file line by line, and finds the last one that it has in common with the end of a text.

    Of lines with a time each tells. Others may be the same by chance: so many of them must be common that it
    is none, but for those that end the text.
    """

    def __init__(self, position: Position, parted: int) -> None:
        """`parted`: up to where the file is known to agree with the text."""
        tail = _entries(position.tail)
        self._first = position.offset - sum(length for _, length in tail)  # where the end of the text begins
        self.are_all = parted >= self._first  # whether each line after the parting is known by itself
        starts = accumulate((length for _, length in tail), initial=self._first)
        self._places = {place: digest for place, (digest, _) in zip(starts, tail, strict=False)}
        self.until = self._parted = parted
        self.doubtful = 0  # bytes between the parting and the last common line that are not common
        self.common: list[bytes] = []
        self._left = Counter(digest for digest, _ in tail)
        self._last = tail[-1][0] if tail else None
        self.has_last = False  # whether the line that ends the text is among the common ones
        self._agrees = True  # whether it did so far
        self._unmatched = self._score = 0
        self._is_run = True  # whether all since the last that told were common

    def look_through(self, read: Read, size: int | None) -> int:
        """Look at the lines of a file of so many bytes; up to which byte that was."""
        place = min(self._parted, self._first)
        size = place + COPY_LIMIT if size is None else size
        if size - place > COPY_LIMIT:
            # The text's end will be where the copy ends.
            place = line_start(read, size - COPY_LIMIT)
            self._unmatched += max(place - self._parted, 0)
            self._agrees = self._is_run = False
        for line, end in _lines(read, place, size) if self._places else ():
            self._take(line, place, end)
            place = end
        return size

    def _take(self, line: bytes, start: int, end: int) -> None:
        """The next line of the file, between these bytes."""
        digest = digest_of(line)
        is_common = self._left[digest] > 0
        if is_common:
            self._left[digest] -= 1
            self.common.append(line)
        if end <= self._parted:
            return
        self.has_last |= is_common and digest == self._last
        if self._agrees and self._places.get(start) == digest:
            self.until = self._parted = end
            return
        self._agrees = False
        if not is_common:
            self._unmatched += end - start
            self._score = max(self._score - ALTERED, -DIFFERENT_LINES)
            self._is_run = False
            return
        self._score += 1
        ends_text = self._is_run and digest == self._last
        if self._score >= BY_CHANCE or ends_text or _TIME.search(line):
            self.until, self.doubtful = end, self._unmatched
            self._score, self._is_run = 0, True


def best_part(parts: Iterable[KnownPart | None]) -> KnownPart | None:
    """The one that says most for certain; of several, the one that leaves least in doubt."""
    found = (part for part in parts if part)
    return max(found, key=lambda part: (part.until - part.doubtful, -part.doubtful), default=None)


def _entries(tail: bytes) -> list[tuple[bytes, int]]:
    """Digest and length of each line."""
    return [
        (tail[at : at + _DIGEST], int.from_bytes(tail[at + _DIGEST : at + _ENTRY.size]))
        for at in range(0, len(tail), _ENTRY.size)
    ]


def line_start(read: Read, place: int) -> int:
    """Where the line begins that the byte at `place` belongs to, as far as one block goes."""
    first = max(0, place - TAIL_LIMIT)
    return first + read(place - first, first).rfind(b"\n") + 1


def _lines(read: Read, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """The whole lines between two places, without their ends, and where the next one begins. Of one that is
    longer than any that is known by itself only the beginning: a text without lines costs no memory."""
    rest = b""
    while start < end and (block := read(min(_BLOCK, end - start), start)):
        whole, newline, last = block.rpartition(b"\n")
        place = start - len(rest)
        start += len(block)
        if newline:
            for line in (rest + whole).split(b"\n"):
                place += len(line) + 1
                yield line, place
            rest = b""
        rest = (rest + last)[: HELD_LIMIT + 1]
