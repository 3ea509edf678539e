"""The native scanner as a Python type: wrong arguments, spills that misbehave, memory that is not there.

The module under test has small limits. tests/fuzz/test_sanitized.py runs this once more, with sanitizers.
"""

import _testcapi  # type: ignore[import-not-found]  # CPython's own
import ctypes
import gc
import sys
import weakref
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest

from qps_service.ledger.durations import encode
from qps_service.values.latency import Latency, no_sums
from tests.durations import kept_otherwise

pytestmark = pytest.mark.build

LINE = b"1.2.3.4\tGET /%d\t200\t5\n"
TIMED = (
    *((0, False, False, b"\t"), (1, False, False, b" "), (2, False, False, b"\t"), (4, False, False, b"\t")),
    (7, False, False, b""),
)
FIELDS = (
    (0, False, False, b"\t"),
    (1, False, False, b" "),
    (2, False, False, b"\t"),
    (4, False, False, b"\t"),
    (5, False, False, b""),
)
# Programs for lines that the one under test rejects.
OTHERS = (
    (b"!", ((2, False, False, b" "), (4, False, False, b"")), (), 0, False, False, False),
    (b"", (), ((4, b"s", 0, ()), (2, b"r", 0, ()), (7, b"d", 6, (0,))), 0, False, False, False),
)

Taken = tuple[int, Sequence[Any], dict[str, int], Any, dict[Any, Any], int, Sequence[Any]]
Make = Callable[..., Any]


@pytest.fixture
def make(small_module: ModuleType) -> Make:
    """Makes scanners for the default format, or what is asked."""

    def scanner(**asked: object) -> Any:
        program = {"head": b"", "fields": FIELDS, "members": (), "zeros": 9, "is_lenient": True}
        program |= {"is_combined": False, "is_ltsv": False}
        program |= {name: asked.pop(name) for name in program.keys() & asked.keys()}
        programs = (tuple(program.values()), *OTHERS)
        usual = {"programs": programs, "max_line": 300, "spill": lambda taken: None}
        usual |= {"keep_query": False, "span": 0, "keep_host": False}
        usual |= {"seed": bytes(range(256))[: small_module.SEED_BYTES].ljust(small_module.SEED_BYTES, b"s")}
        return small_module.Scanner(**(usual | asked))

    return scanner


@pytest.fixture
def left(small_module: ModuleType) -> Iterator[ctypes.c_long]:
    """How many allocations succeed from now on; all if it is below 0."""
    assert small_module.__file__
    number = ctypes.c_long.in_dll(ctypes.CDLL(small_module.__file__), "allocations_left")
    yield number
    number.value = -1


def lines(count: int, start: int = 0) -> bytes:
    return b"".join(LINE % number for number in range(start, start + count))


def requests(*takes: Taken) -> int:
    """How many there are in all; each take is whole."""
    for number, rows, rejects, *_ in takes:
        assert number == sum(row[3] for row in rows) + sum(rejects.values())
    return sum(row[3] for _, rows, *_ in takes for row in rows)


NO_FIELDS: tuple[object, ...] = (
    "text",
    [],
    ((0, False),),
    ((0, False, "text"),),
    (("role", False, False, b""),),
    ((4, False, False, b"a\r"),),
    (),
)
NO_ROLES = (((role, False, False, b""),) for role in (-1, 11, 2**40))
NO_ORDER = (
    ((4, False, False, b" "), (4, False, False, b"")),
    ((2, False, False, b""), (4, False, False, b"")),
)
NO_MEMBERS: tuple[object, ...] = (
    [],
    ((4,),),
    ((4, "text", 0, ()),),
    ((0, b"skipped", 0, ()),),
    ((11, b"role", 0, ()),),
    ((4, b"status", 0, ()),) * 129,
    ((7, b"duration", 10, ()),),
    *(((7, b"duration", 0, beside),) for beside in ((1,), (-1,), ("0",), [0])),
)
WRONG: dict[str, tuple[object, ...]] = {
    "programs": (
        "text",
        (),
        ("text",),
        ((b"", FIELDS, ()),),
        ((b"", FIELDS, (), 0, True, False, False), (b"", (), (), 0, True, False, False)),
        ((b"", FIELDS, (), 10, True, False, False),),
    ),
    "head": ("text", b"\n"),
    "fields": (*NO_FIELDS, *NO_ROLES, *NO_ORDER),
    "members": (((4, b"status", 0, ()),),),
    "max_line": (-1, 2048 // 4 + 1, 2**63, "much"),
    "span": (-1, 2**63),
    "seed": (b"", b"s" * 1000, "text"),
    "level": ("none", 1),
    "unknown": (1,),
}


@pytest.mark.parametrize(
    "asked",
    [
        *({name: value} for name, values in WRONG.items() for value in values),
        *({"fields": (), "members": members} for members in NO_MEMBERS),
    ],
    ids=str,
)
def test_wrong_arguments(make: Make, asked: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        make(**asked)


@pytest.mark.parametrize(
    "block", ["text", None, 1, memoryview(b"abcd")[::2]], ids=["text", "None", "a number", "steps"]
)
def test_what_is_no_block(make: Make, block: object) -> None:
    scanner = make()
    with pytest.raises((TypeError, BufferError)):
        scanner.scan(block)
    with pytest.raises(TypeError):
        scanner.reject_oversize(block)
    assert scanner.scan(b"") == (0, 0)
    taken = scanner.take()
    assert (taken[0], list(taken[1]), *taken[2:]) == (0, [], {}, None, {}, 0, ())


def test_blocks_of_any_kind(make: Make) -> None:
    scanner = make()
    for block in (lines(3), bytearray(lines(3)), memoryview(lines(3)), memoryview(b"-" + lines(3))[1:]):
        assert scanner.scan(block) == (3, 0)
    assert requests(scanner.take()) == 12


def test_kept_durations_of_any_kind(small_module: ModuleType) -> None:
    """None of them is read beyond its end, and no sums but those of all bins are written."""
    sums, told = no_sums(), 0
    for kept in kept_otherwise():
        with suppress(TypeError, ValueError):
            told += bool(small_module.add_durations(kept, sums))
    assert told > 100
    sound = encode(Latency({812: 1}, 1, 1))
    skewed = memoryview(bytearray(8 * len(sums) + 8))[1:-7].cast("Q")
    for wrong in (sums[1:], skewed, bytes(8 * len(sums)), bytearray(8 * len(sums)), array("d", sums), 7):
        with pytest.raises((BufferError, TypeError, ValueError)):
            small_module.add_durations(sound, wrong)


def test_many_bytes_end_fields(make: Make) -> None:
    separators = [bytes([byte]) for byte in range(32, 128) if byte not in b"0123456789ab"]
    roles = [(0, False, False, each) for each in separators]
    scanner = make(
        fields=(*roles[:-1], (2, False, False, separators[-1]), (4, False, False, b"")), is_lenient=False
    )
    line = b"".join(b"a" + each for each in separators[:-1]) + b"b" + separators[-1] + b"200\n"
    assert scanner.scan(line * 3) == (3, 0)
    assert list(scanner.take()[1]) == [(b"-", b"b", 200, 3, 0)]


def test_scanners_that_share_a_cache(make: Make) -> None:
    """Each counts its own lines, however often others begin anew meanwhile: the small module's cache is empty
    every fourth time."""
    scanners = [make() for _ in range(3)]
    found = [0] * len(scanners)
    for number in range(200):
        for at, scanner in enumerate(scanners):
            assert scanner.scan(lines(3 + at)) == (3 + at, 0)
        taken = number * 7 % 11 % len(scanners)
        found[taken] += requests(scanners[taken].take())
    for at, scanner in enumerate(scanners):
        assert found[at] + requests(scanner.take()) == 200 * (3 + at)


def test_a_spill_that_comes_back(make: Make) -> None:
    """It is refused, whatever it wants; the scanner goes on."""
    refused: list[object] = []

    def spill(taken: Taken) -> None:
        takes.append(taken)
        for again in (lambda: scanner.scan(lines(1)), scanner.take, lambda: scanner.reject_oversize(b"x")):
            with pytest.raises(RuntimeError, match="busy"):
                again()
            refused.append(again)

    takes: list[Taken] = []
    scanner = make(spill=spill)
    assert scanner.scan(lines(100)) == (100, 0)
    assert len(refused) == 3 * len(takes) > 0
    assert requests(*takes, scanner.take()) == 100


def test_a_spill_that_fails(make: Make) -> None:
    def spill(taken: Taken) -> None:
        raise KeyError("full")

    scanner = make(spill=spill)
    with pytest.raises(KeyError, match="full"):
        scanner.scan(lines(100))
    assert requests(scanner.take()) == 0
    assert scanner.scan(lines(5)) == (5, 0)
    assert requests(scanner.take()) == 5
    with pytest.raises(TypeError):
        make(spill=None).scan(lines(100))
    block = bytearray(lines(100))  # which is held while it is scanned
    with pytest.raises(BufferError):
        make(spill=lambda taken: block.extend(b"more")).scan(block)
    block.clear()


def test_rows_end_where_they_end(make: Make, small_module: ModuleType) -> None:
    scanner = make()
    scanner.scan(lines(3))
    rows = scanner.take()[1]
    assert (len(rows), rows[2], rows[-3]) == (3, rows[-1], rows[0])
    for beyond in (3, -4, 2**31, 2**32, 2**63 - 1, -(2**63)):
        with pytest.raises(IndexError):
            rows[beyond]
    with pytest.raises(TypeError):
        small_module.Rows()
    scanner.scan(lines(5, start=10))
    del scanner  # which they outlive
    assert [row[1] for row in rows] == [b"/0", b"/1", b"/2"]


def test_a_scanner_that_refers_to_itself_is_collected(make: Make) -> None:
    class Holder:
        scanner: Any = None

        def spill(self, taken: Taken) -> None: ...

    holder = Holder()
    holder.scanner = make(spill=holder.spill)
    gone = weakref.ref(holder)
    del holder
    gc.collect()
    assert gone() is None


def test_a_finalizer_that_takes_in_the_middle_of_a_take(make: Make) -> None:
    """Whatever is allocated there may run one."""
    outcomes: list[str] = []

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            try:
                scanner.take()
            except RuntimeError:
                outcomes.append("refused")
            else:
                outcomes.append("taken")

    scanner = make()
    threshold = gc.get_threshold()
    try:
        for _ in range(50):
            scanner.scan(lines(10))
            Garbage()
            gc.set_threshold(1)
            found = scanner.take()
            gc.set_threshold(*threshold)
            assert all(len(row) == 5 for row in found[1])
            requests(found)
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert outcomes


def test_nothing_leaks(make: Make) -> None:
    def fails(**asked: object) -> None:
        with pytest.raises((TypeError, ValueError)):
            make(**asked)

    def everything() -> None:
        scanner = make(span=60)
        scanner.scan(lines(40) + b'?\n!/a 200\n{"r":"/b","s":404}\n')
        scanner.reject_oversize(b"x")
        scanner.take()
        timed = make(fields=TIMED)
        timed.scan(lines(40))
        assert any(timed.take()[6])
        make(fields=(), members=((4, b"a", 0, ()), (2, b"b", 0, ()))).scan(b'{"a":200,"b":"/\\u0041"}\n')
        fails(fields=((2, False, False, b" "), (4, False, False, b""), (5, False, False, b"")))
        fails(fields=(), members=((4, b"a", 0, ()), (7, b"b", 0, (2,))))
        wrong = (b"", (), ((4, b"a", 0, ()), (11, b"b", 0, ())), 0, False, False, False)
        fails(programs=((b"", FIELDS, (), 0, True, False, False), *OTHERS, wrong))
        fails(level="none")

    blocks = []
    for _ in range(5):
        for _ in range(100):
            everything()
        gc.collect()
        blocks.append(sys.getallocatedblocks())
    assert blocks[-1] - blocks[1] < 150, blocks  # of 300 rounds


@pytest.mark.parametrize("fields", [FIELDS, TIMED], ids=["sizes", "durations"])
def test_memory_that_is_not_there(make: Make, left: ctypes.c_long, fields: object) -> None:
    """Each allocation fails once, and all after it; then the scanner goes on where it was."""
    made = scanned = 0
    for number in range(1, 50):
        left.value = number
        try:
            scanner = make(span=1, fields=fields)
        except MemoryError:
            continue
        finally:
            left.value = -1
        made += 1
        for block in (lines(1), lines(16), b"%b" % (b"x" * 400)):
            left.value = number - made
            try:
                scanner.scan(block)
            except MemoryError:
                left.value = -1
                requests(scanner.take())
                assert scanner.scan(block)[0] == block.count(b"\n") + (not block.endswith(b"\n"))
            left.value = -1
            scanned += 1
        requests(scanner.take())
    assert 0 < made < 49
    assert scanned


def test_a_take_without_memory_loses_nothing(make: Make) -> None:
    """Each allocation of Python's fails once. Where `take` fails, all is still there."""
    failures = 0
    for number in range(60):
        scanner = make(span=1)
        scanner.scan(lines(10) + b"?\n")
        _testcapi.set_nomemory(number, number + 1)
        try:
            taken = scanner.take()
        except MemoryError:
            failures += 1
            taken = None
        finally:
            _testcapi.remove_mem_hooks()
        assert requests(taken or scanner.take()) == 10
    assert 0 < failures < 60
