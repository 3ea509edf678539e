"""Whether a file holds a text that was read before: numbered lines, cut, continued and forked anywhere."""

from collections.abc import Callable
from math import isqrt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.files import fingerprint
from qps_service.files.fingerprint import (
    SAMPLE_OFFSETS,
    Match,
    Read,
    common,
    compare,
    fingerprint_of,
    take_marks,
)
from qps_service.values.positions import MARKER_LIMIT, PREFIX_LIMIT, Identity, Position
from tests.promised import Patches, Promise, promises

LINES = b"".join(b"line %08d\n" % number for number in range(5_000))  # 70,000 bytes
OTHERS = b"".join(b"other %07d\n" % number for number in range(5_000))
LENGTH = 14  # bytes of each line

Take = Callable[[bytes, int, bytes, bytes], bytes]
Compare = Callable[[Position, Read], Match]
Common = Callable[[Position, Read], int]

offsets = st.integers(0, len(LINES))
line_starts = st.integers(0, len(LINES) // LENGTH).map(lambda number: number * LENGTH)


class Reader:
    """A file that must be read in ascending order."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.farthest = 0  # where the last read began
        self.end = 0  # how far was read

    def __call__(self, size: int, offset: int) -> bytes:
        assert offset >= self.farthest, f"went back from byte {self.farthest} to {offset}"
        self.farthest = offset
        self.end = max(self.end, offset + size)
        return self.text[offset : offset + size]


def marks_of(text: bytes, blocks: list[int], take: Take = take_marks) -> bytes:
    """As a generation takes them that reads blocks of these sizes, and the rest in one."""
    marks, offset, marker = b"", 0, b""
    for size in (*blocks, len(text)):
        consumed = text[offset : offset + size]
        marks = take(marks, offset, marker, consumed)
        marker = (marker + consumed)[-MARKER_LIMIT:]
        offset += len(consumed)
    return marks


def position_at(offset: int, text: bytes = LINES) -> Position:
    read = text[:offset]
    ends = read[:PREFIX_LIMIT], read[-MARKER_LIMIT:]
    return Position(Identity(1, 2, 3), "/log", offset, *ends, False, marks_of(read, []))


def test_the_places_stay_what_they_were() -> None:
    """Ledgers have marks of them; roots of integers need no floating point."""
    assert tuple(isqrt(isqrt(1 << (40 + number))) for number in range(1, 129)) == SAMPLE_OFFSETS
    assert SAMPLE_OFFSETS[0] == 1217
    assert SAMPLE_OFFSETS[-1] == 2**42


@given(offset=offsets, blocks=st.lists(st.integers(0, 5_000)))
@example(offset=1217, blocks=[])
@example(offset=5000, blocks=[])
@example(offset=1217, blocks=[1200, 17])
@example(offset=1218, blocks=[1217])
@example(offset=2048, blocks=[1] * 2048)
def check_marks(take: Take, offset: int, blocks: list[int]) -> None:
    """They depend on the text alone: not on the blocks in which it was read, nor on when it was begun."""
    text = LINES[:offset]
    expected = b"".join(
        fingerprint._mark(text[place - MARKER_LIMIT : place]) for place in SAMPLE_OFFSETS if place <= offset
    )
    assert marks_of(text, blocks, take) == expected


@given(begun=offsets, rest=st.integers(0, 20_000))
@example(begun=1217, rest=0)
@example(begun=0, rest=5000)
def test_a_log_that_is_begun_later_has_the_same(begun: int, rest: int) -> None:
    prefix, marker, marks = fingerprint_of(Reader(LINES), begun)
    assert (prefix, marker) == (LINES[:begun][:PREFIX_LIMIT], LINES[:begun][-MARKER_LIMIT:])
    assert marks == marks_of(LINES[:begun], [])
    longer = take_marks(marks, begun, marker, LINES[begun : begun + rest])
    assert longer == marks_of(LINES[: begun + rest], [])


OTHER_MARKS: dict[str, Take] = {
    "from the block alone": lambda marks, start, before, consumed: take_marks(marks, start, b"", consumed),
    "one a block": lambda marks, *block: take_marks(marks, *block)[: len(marks) + fingerprint.MARK_SIZE],
    "a byte late": lambda marks, start, before, consumed: take_marks(marks, start, before, consumed[:-1]),
}
# --- what a file is to a text that was read


@given(offset=offsets, cut=offsets)
@example(offset=1024, cut=1023)
@example(offset=1025, cut=1024)
@example(offset=1217, cut=1216)
@example(offset=50_000, cut=49_999)
@example(offset=50_000, cut=49_936)
@example(offset=50_000, cut=50_000)
@example(offset=14, cut=13)
def check_cut(comparing: Compare, offset: int, cut: int) -> None:
    """Every beginning of the text is a part of it, and all of it is the same, with or without more."""
    outcome = comparing(position_at(offset), Reader(LINES[:cut]))
    if offset == 0 or cut == 0:
        assert outcome is Match.EMPTY
    else:
        assert outcome is (Match.FULL if cut >= offset else Match.PREFIX)


@given(offset=offsets, fork=line_starts, length=offsets)
@example(offset=1400, fork=0, length=1400)
@example(offset=1229, fork=1008, length=221)
@example(offset=60_000, fork=49_000, length=9_801)  # shorter than what was read
@example(offset=60_000, fork=49_000, length=20_000)  # read on to the very end
@example(offset=49_014, fork=49_000, length=20_000)
def check_fork(comparing: Compare, offset: int, fork: int, length: int) -> None:
    """A file that goes on otherwise from the line at `fork` on is never taken for all that was read, and
    once both go a fifth beyond that line it is another text."""
    reader = Reader(LINES[:fork] + OTHERS[:length])
    outcome = comparing(position_at(offset), reader)
    size = fork + length
    if offset > fork:
        assert outcome is not Match.FULL
        if min(offset, size) > max(fork, PREFIX_LIMIT) * 6 // 5:
            assert outcome is Match.OTHER
            assert reader.end <= max(fork, PREFIX_LIMIT) * 6 // 5 + 1, "went beyond the first difference"


def of_beginnings(position: Position, read: Read) -> Match:
    """Filebeat's way: a hash of the first KiB."""
    return compare(position._replace(offset=len(position.prefix), marker=b"", marks=b""), read)


def without_marks(position: Position, read: Read) -> Match:
    return compare(position._replace(marks=b""), read)


def without_marker(position: Position, read: Read) -> Match:
    return compare(position._replace(marker=b""), read)


def backwards(position: Position, read: Read) -> Match:
    read(MARKER_LIMIT, position.offset - MARKER_LIMIT)
    return compare(position, read)


def check_damage(comparing: Compare, sound: int) -> None:
    """A compressed file that can be read up to `sound` only is not taken for one that ends there."""

    def read(size: int, offset: int) -> bytes:
        if offset >= sound:
            raise OSError("damaged")
        return LINES[offset : min(offset + size, sound)]

    with pytest.raises(OSError, match="damaged"):
        comparing(position_at(50_000), read)


@given(offset=offsets, cut=line_starts, appended=offsets)
@example(offset=0, cut=0, appended=0)
@example(offset=700, cut=602, appended=0)
@example(offset=700, cut=602, appended=500)
@example(offset=50_000, cut=49_994, appended=0)
@example(offset=50_000, cut=49_994, appended=40_000)
@example(offset=50_000, cut=30_002, appended=0)
@example(offset=50_000, cut=30_002, appended=40_000)
def check_common(measure: Common, offset: int, cut: int, appended: int) -> None:
    """A file that lost what was behind `cut`, and got other lines since: known up to the last place before
    that, and never a byte too far."""
    position = position_at(offset)
    known = measure(position, Reader(LINES[:cut] + OTHERS[:appended]))
    assert known <= min(cut, offset)
    if cut >= offset:
        assert known == offset
    elif cut >= PREFIX_LIMIT:
        assert known >= max([PREFIX_LIMIT, *(place for place in SAMPLE_OFFSETS if place <= cut)])
    else:
        assert known == cut


TRUSTING: dict[str, Common] = {
    "the size": lambda position, read: (
        position.offset if read(1, position.offset) else common(position, read)
    ),
    "the marker": lambda position, read: common(position._replace(marks=b""), read),
    "the marks": lambda position, read: common(position._replace(marker=b""), read),
}
AN_END = [Patches((fingerprint, "_ended", lambda read, end: Match.PREFIX))]

test_promise, test_twin = promises(
    Promise(check_marks, take_marks, OTHER_MARKS),
    Promise(check_cut, compare, [of_beginnings, without_marker, backwards]),
    Promise(check_fork, compare, [of_beginnings, without_marks, without_marker, backwards]),
    Promise(check_damage, compare, AN_END, sound=500),
    Promise(check_damage, compare, [], sound=SAMPLE_OFFSETS[3] - MARKER_LIMIT),
    Promise(check_damage, compare, AN_END, sound=SAMPLE_OFFSETS[3] - 1),
    Promise(check_damage, compare, AN_END, sound=49_999),
    Promise(check_common, common, TRUSTING),
)
