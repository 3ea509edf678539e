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
    marks = marks_of(read, [])
    return Position(
        Identity(1, 2, 3), "/log", offset, read[:PREFIX_LIMIT], read[-MARKER_LIMIT:], False, marks
    )


# --- taking them


def test_the_places_stay_what_they_were() -> None:
    """Ledgers have marks of them; roots of integers need no floating point."""
    assert tuple(isqrt(isqrt(1 << (40 + number))) for number in range(1, 129)) == SAMPLE_OFFSETS
    assert SAMPLE_OFFSETS[0] == 1217
    assert SAMPLE_OFFSETS[-1] == 2**42


def check_marks(take: Take, offset: int, blocks: list[int]) -> None:
    """They depend on the text alone: not on the blocks in which it was read, nor on when it was begun."""
    text = LINES[:offset]
    expected = b"".join(
        fingerprint._mark(text[place - MARKER_LIMIT : place]) for place in SAMPLE_OFFSETS if place <= offset
    )
    assert marks_of(text, blocks, take) == expected


@given(offset=offsets, blocks=st.lists(st.integers(0, 5_000)))
@example(offset=1217, blocks=[])
@example(offset=1217, blocks=[1200, 17])
@example(offset=1218, blocks=[1217])
@example(offset=2048, blocks=[1] * 2048)
def test_marks_are_the_same_whatever_the_blocks(offset: int, blocks: list[int]) -> None:
    check_marks(take_marks, offset, blocks)


@given(begun=offsets, rest=st.integers(0, 20_000))
@example(begun=1217, rest=0)
@example(begun=0, rest=5000)
def test_a_log_that_is_begun_later_has_the_same(begun: int, rest: int) -> None:
    prefix, marker, marks = fingerprint_of(Reader(LINES), begun)
    assert (prefix, marker) == (LINES[:begun][:PREFIX_LIMIT], LINES[:begun][-MARKER_LIMIT:])
    assert marks == marks_of(LINES[:begun], [])
    longer = take_marks(marks, begun, marker, LINES[begun : begun + rest])
    assert longer == marks_of(LINES[: begun + rest], [])


def takes_from_the_block_alone(marks: bytes, start: int, before: bytes, consumed: bytes) -> bytes:
    return take_marks(marks, start, b"", consumed)


def takes_one_a_block(marks: bytes, start: int, before: bytes, consumed: bytes) -> bytes:
    return take_marks(marks, start, before, consumed)[: len(marks) + fingerprint.MARK_SIZE]


def takes_a_byte_late(marks: bytes, start: int, before: bytes, consumed: bytes) -> bytes:
    return take_marks(marks, start, before, consumed[:-1])


@pytest.mark.twin
@pytest.mark.parametrize(
    ("twin", "offset", "blocks"),
    [
        (takes_from_the_block_alone, 1217, [1200]),
        (takes_one_a_block, 5000, []),
        (takes_a_byte_late, 1217, []),
    ],
)
def test_other_marks_are_caught(twin: Take, offset: int, blocks: list[int]) -> None:
    with pytest.raises(AssertionError):
        check_marks(twin, offset, blocks)


# --- what a file is to a text that was read


def check_cut(comparing: Compare, offset: int, cut: int) -> None:
    """Every beginning of the text is a part of it, and all of it is the same, with or without more."""
    outcome = comparing(position_at(offset), Reader(LINES[:cut]))
    if offset == 0 or cut == 0:
        assert outcome is Match.EMPTY
    else:
        assert outcome is (Match.FULL if cut >= offset else Match.PREFIX)


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


@given(offset=offsets, cut=offsets)
@example(offset=1024, cut=1023)
@example(offset=1025, cut=1024)
@example(offset=1217, cut=1216)
@example(offset=50_000, cut=49_999)
@example(offset=50_000, cut=49_936)
@example(offset=50_000, cut=50_000)
@example(offset=14, cut=13)
def test_any_cut_is_recognised(offset: int, cut: int) -> None:
    check_cut(compare, offset, cut)


@given(offset=offsets, fork=line_starts, length=offsets)
@example(offset=1400, fork=0, length=1400)
@example(offset=1229, fork=1008, length=221)
@example(offset=60_000, fork=49_000, length=9_801)
@example(offset=49_014, fork=49_000, length=20_000)
def test_another_text_is_told_from_it(offset: int, fork: int, length: int) -> None:
    check_fork(compare, offset, fork, length)


def compares_beginnings(position: Position, read: Read) -> Match:
    """Filebeat's way: a hash of the first KiB."""
    return compare(position._replace(offset=len(position.prefix), marker=b"", marks=b""), read)


def compares_without_marks(position: Position, read: Read) -> Match:
    return compare(position._replace(marks=b""), read)


def compares_without_marker(position: Position, read: Read) -> Match:
    return compare(position._replace(marker=b""), read)


def compares_backwards(position: Position, read: Read) -> Match:
    read(MARKER_LIMIT, position.offset - MARKER_LIMIT)
    return compare(position, read)


@pytest.mark.twin
@pytest.mark.parametrize("twin", [compares_beginnings, compares_without_marker, compares_backwards])
def test_wrong_kinship_of_a_cut_is_caught(twin: Compare) -> None:
    with pytest.raises(AssertionError):
        check_cut(twin, 50_000, 49_990)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("twin", "length"),
    [
        (compares_beginnings, 9_801),
        (compares_without_marks, 9_801),  # shorter than what was read
        (compares_without_marks, 20_000),  # read on to the very end
        (compares_backwards, 9_801),
    ],
)
def test_missing_a_fork_is_caught(twin: Compare, length: int) -> None:
    with pytest.raises(AssertionError):
        check_fork(twin, 60_000, 49_000, length)


@pytest.mark.twin
def test_missing_a_late_fork_is_caught() -> None:
    with pytest.raises(AssertionError):
        check_fork(compares_without_marker, 49_014, 49_000, 20_000)


# --- what a damaged file is


def check_damage(comparing: Compare, sound: int) -> None:
    """A compressed file that can be read up to `sound` only is not taken for one that ends there."""

    def read(size: int, offset: int) -> bytes:
        if offset >= sound:
            raise OSError("damaged")
        return LINES[offset : min(offset + size, sound)]

    with pytest.raises(OSError, match="damaged"):
        comparing(position_at(50_000), read)


DAMAGES = (500, SAMPLE_OFFSETS[3] - MARKER_LIMIT, SAMPLE_OFFSETS[3] - 1, 49_999)


@pytest.mark.parametrize("sound", DAMAGES)
def test_damage_is_not_an_end(sound: int) -> None:
    check_damage(compare, sound)


@pytest.mark.twin
@pytest.mark.parametrize("sound", [500, SAMPLE_OFFSETS[3] - 1, 49_999])
def test_taking_damage_for_an_end_is_caught(sound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "_ended", lambda read, end: Match.PREFIX)
    with pytest.raises(pytest.fail.Exception):
        check_damage(compare, sound)


# --- what is left of a text after power loss


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


@given(offset=offsets, cut=line_starts, appended=offsets)
@example(offset=0, cut=0, appended=0)
@example(offset=700, cut=602, appended=0)
@example(offset=700, cut=602, appended=500)
@example(offset=50_000, cut=49_994, appended=0)
@example(offset=50_000, cut=49_994, appended=500)
@example(offset=50_000, cut=30_002, appended=0)
@example(offset=50_000, cut=30_002, appended=40_000)
def test_what_power_loss_left(offset: int, cut: int, appended: int) -> None:
    check_common(common, offset, cut, appended)


def trusts_the_size(position: Position, read: Read) -> int:
    return position.offset if len(read(1, position.offset)) else common(position, read)


def trusts_the_marker(position: Position, read: Read) -> int:
    return common(position._replace(marks=b""), read)


def trusts_the_marks(position: Position, read: Read) -> int:
    return common(position._replace(marker=b""), read)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("twin", "cut"), [(trusts_the_size, 30_002), (trusts_the_marker, 30_002), (trusts_the_marks, 49_994)]
)
def test_knowing_too_much_or_too_little_is_caught(twin: Common, cut: int) -> None:
    with pytest.raises(AssertionError):
        check_common(twin, 50_000, cut, 40_000)
