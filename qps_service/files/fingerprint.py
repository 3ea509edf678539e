"""Tells by its content whether a file holds a text that was read before, under whatever name.

What is kept of a text that was read up to an offset are its first bytes, the bytes right before the
offset, and *marks*: digests of what stands right before fixed places between the two. Promises: any
beginning of the text is recognised, and all of it with more behind it; a text that has become another
one is told from it once both go some 20 % beyond the line where they part. Files are read in ascending
order, so that a decompressor can serve it, and no further than to the first difference.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from enum import Enum
from zlib import crc32

from qps_service.values.positions import MARKER_LIMIT, PREFIX_LIMIT, Position

# Four a doubling, up to 4 TiB: two texts that part are compared again within a fifth, and the marks of
# the longest log take 512 bytes. Marks are kept in ledgers: other places would make those of no use.
SAMPLE_OFFSETS = tuple(int(PREFIX_LIMIT * 2 ** (number / 4)) for number in range(1, 129))  # bytes
# A checksum will do: nobody gains by two texts that agree in it. (hashlib would cost 4 MB for OpenSSL.)
MARK_SIZE = 4  # bytes; among thousands of texts no two agree by chance

Read = Callable[[int, int], bytes]  # size, offset -> bytes, as pread(2); fewer at the end only


class Match(Enum):
    """What a file's text is to one that was read."""

    OTHER = "another text"
    PREFIX = "an early part of what was read, and no more"
    FULL = "all that was read, and perhaps more"
    EMPTY = "there is nothing to compare"


def take_marks(marks: bytes, start: int, before: bytes, consumed: bytes) -> bytes:
    """The marks up to `start` continued by those in `consumed`, which begins there. `before` is what stands
    right before it, at least MARKER_LIMIT bytes where there are as many."""
    number = len(marks) // MARK_SIZE
    end = start + len(consumed)
    while number < len(SAMPLE_OFFSETS) and SAMPLE_OFFSETS[number] <= end:
        until = SAMPLE_OFFSETS[number] - start
        text = consumed[max(until - MARKER_LIMIT, 0) : until]
        marks += _mark((before + text)[-MARKER_LIMIT:])
        number += 1
    return marks


def marks_over_nuls(marks: bytes, end: int) -> bytes:
    """Likewise up to byte `end`, where nothing but NULs stands from MARKER_LIMIT bytes before `start` on."""
    missing = bisect_right(SAMPLE_OFFSETS, end) - len(marks) // MARK_SIZE
    return marks + _mark(bytes(MARKER_LIMIT)) * missing


def fingerprint_of(read: Read, offset: int) -> tuple[bytes, bytes, bytes]:
    """Prefix, marker and marks of a file up to `offset`, for a position that begins there."""
    prefix = read(min(offset, PREFIX_LIMIT), 0)
    marks = b"".join(_mark(_before(read, place)) for place in SAMPLE_OFFSETS if place <= offset)
    return prefix, _before(read, offset), marks


def compare(position: Position, read: Read) -> Match:
    """What the file that `read` reads is to the text that was read up to `position`."""
    if not position.offset or not read(1, 0):
        return Match.EMPTY
    outcomes = (outcome for outcome, _ in _comparisons(position, read))
    return next((outcome for outcome in outcomes if outcome is not Match.FULL), Match.FULL)


def begins_alike(position: Position, read: Read) -> bool:
    """Whether a file has all that was read up to `position`, or begins it; alone, that proves nothing."""
    return compare(position, read) in (Match.FULL, Match.PREFIX)


def common(position: Position, read: Read) -> int:
    """Up to which byte the file is known to hold what was read, at most the position's offset. 0 where its
    first line is another: then it is another text."""
    known = 0
    for outcome, until in _comparisons(position, read):
        known = max(known, until)
        if outcome is not Match.FULL:
            break
    return known


def _comparisons(position: Position, read: Read) -> Iterator[tuple[Match, int]]:
    """What each comparison shows, from the file's start on, and up to which byte the texts agree in it."""
    yield _compare_bytes(position.prefix, 0, read)
    for number, place in enumerate(SAMPLE_OFFSETS[: len(position.marks) // MARK_SIZE]):
        text = _before(read, place)
        if len(text) < MARKER_LIMIT:
            yield _ended(read, place - MARKER_LIMIT + len(text)), 0
        elif _mark(text) != position.marks[number * MARK_SIZE : (number + 1) * MARK_SIZE]:
            yield Match.OTHER, 0
        else:
            yield Match.FULL, place
    yield _compare_bytes(position.marker, position.offset - len(position.marker), read)


def _compare_bytes(expected: bytes, offset: int, read: Read) -> tuple[Match, int]:
    text = read(len(expected), offset)
    until = offset + len(text)
    if not expected.startswith(text):
        alike = next(at for at, pair in enumerate(zip(expected, text, strict=False)) if pair[0] != pair[1])
        return Match.OTHER, 0 if offset else text[:alike].rfind(b"\n") + 1
    if len(text) < len(expected):
        return _ended(read, until), until if text else 0
    return Match.FULL, until


def _ended(read: Read, end: int) -> Match:
    """A file that is shorter than what was read. Where a compressed text is damaged it only seems to end:
    reading on raises."""
    read(1, end)
    return Match.PREFIX


def _before(read: Read, offset: int) -> bytes:
    size = min(offset, MARKER_LIMIT)
    return read(size, offset - size)


def _mark(text: bytes) -> bytes:
    return crc32(text).to_bytes(MARK_SIZE)
