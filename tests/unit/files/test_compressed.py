"""The text of compressed files, byte for byte, and every way in which such a file can be broken."""

import bz2
import errno
import gzip
import lzma
import os
import sys
import tracemalloc
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qps_service.files import compressed as packed_module
from qps_service.files.compressed import CompressedError, CompressedFile, why_not
from qps_service.files.compression import COMPRESSIONS, XZ, ZSTD
from qps_service.files.kernel import Files
from tests.following import CountingFiles, FailingFiles
from tests.limits import Doubled
from tests.promised import Patches, Promise, promises, twin

MIB = 1024 * 1024
BLOCK = 128 * 1024  # what a follower reads at once
BACK = 64  # bytes before its offset that it reads again


def numbered(count: int) -> bytes:
    """Lines that hardly compress, so that much of the file is read."""
    return b"".join(b"%08d %08x\n" % (number, zlib.crc32(b"%d" % number)) for number in range(count))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lambda text: lzma.compress(text, preset=0),
    ".bz2": lambda text: bz2.compress(text, 1),
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
TEXT = numbered(30_000)  # 540,000 bytes, which are several chunks of each format
SMALL = numbered(20)
PACKED = {suffix: pack(TEXT) for suffix, pack in PACKERS.items()}

formats = pytest.mark.parametrize("suffix", PACKERS)
Make = type[CompressedFile]


@contextmanager
def opened(
    data: bytes, suffix: str, make: Make = CompressedFile, files: Files | None = None
) -> Iterator[CompressedFile]:
    descriptor = os.memfd_create("packed")
    os.write(descriptor, data)
    packed = make(files or Files(), descriptor, "access.log.1" + suffix)
    try:
        yield packed
    finally:
        packed.close()


def check_same(text: bytes, expected: bytes) -> None:
    """As a plain assert, which under CI=true works for minutes on how megabytes differ."""
    same = text == expected
    assert same, f"{len(text)} bytes, not the expected {len(expected)}"


def follow(packed: CompressedFile, block: int = BLOCK) -> tuple[bytes, str | None]:
    """All that a follower gets, and how it ended: None, or what is wrong."""
    text, wrong = b"", None
    try:
        while True:
            back = min(BACK, len(text))
            data = packed.read(back + block, len(text) - back)
            assert data[:back] == text[len(text) - back :]
            if len(data) == back:
                break
            text += data[back:]
        assert packed.read(1, len(text)) == b""
    except CompressedError as error:
        wrong = error
    assert wrong is None or wrong.errno == errno.EBADMSG
    return text, wrong.strerror if wrong else None


# --- as a plain file
@settings(max_examples=20, deadline=None)
@given(
    asks=st.lists(
        st.tuples(st.integers(0, 150_000), st.integers(0, len(TEXT) + 1000)), min_size=1, max_size=8
    )
)
@example(asks=[(1, len(TEXT)), (1, len(TEXT) - 1), (0, 0), (len(TEXT) + 1, 0)])
@example(asks=[(BLOCK, 300_000), (BLOCK, 300_000 - 64 * 1024), (BLOCK, 300_000 - 64 * 1024 - 1)])
@example(asks=[(BLOCK, 300_000), (BLOCK, 0)])
def check_reads(make: Make, suffix: str, asks: list[tuple[int, int]]) -> None:
    """(size, offset) -> what pread(2) would give."""
    with opened(PACKED[suffix], suffix, make) as packed:
        for size, offset in asks:
            check_same(packed.read(size, offset), TEXT[offset : offset + size])


NeverGoesBack = twin(
    CompressedFile,
    "does not begin anew for what it has let go",
    "_seek",
    instead=lambda self, offset: CompressedFile._seek(self, max(offset, self._start)),
)


def check_onward(make: Make, suffix: str) -> None:
    """A follower's reads, with their steps back, take each byte of the file once."""
    files = CountingFiles()
    with opened(PACKED[suffix], suffix, make, files) as packed:
        text, wrong = follow(packed)
    assert wrong is None
    check_same(text, TEXT)
    taken = [(offset, size) for offset, size in files.taken if size]
    assert sum(size for _, size in taken) == len(PACKED[suffix])
    assert taken == sorted(taken)


class KeepsNothingBehind(CompressedFile):  # begins anew for the smallest step back
    def read(self, size: int, offset: int) -> bytes:
        data = super().read(size, offset)
        del self._text[: offset + len(data) - self._start]
        self._start = offset + len(data)
        return data


# --- members, padding, and what is no member

Pack = Callable[[bytes], bytes]
LAYOUTS: dict[str, Callable[[Pack], tuple[bytes, bytes]]] = {  # the file, its text
    "one": lambda pack: (pack(SMALL), SMALL),
    "several": lambda pack: (pack(SMALL) * 3, SMALL * 3),
    "zeros after the last": lambda pack: (pack(SMALL) + bytes(1000), SMALL),
    "zeros between them": lambda pack: (pack(SMALL) + bytes(512) + pack(SMALL), SMALL * 2),
    "zeros over more than a chunk": lambda pack: (pack(SMALL) + bytes(200_000) + pack(SMALL), SMALL * 2),
    "empty ones are no end": lambda pack: (pack(b"") + pack(SMALL) + pack(b""), SMALL),
    "an empty one": lambda pack: (pack(b""), b""),
    "a last line without a newline": lambda pack: (pack(SMALL[:-1]), SMALL[:-1]),
    "a line of a block": lambda pack: (pack(long := SMALL + b"x" * BLOCK + b"\n" + SMALL), long),
    "a line of many": lambda pack: (pack(long := SMALL + b"x" * (3 * BLOCK + 5) + b"\n" + SMALL), long),
}


def check_members(suffix: str, layout: str) -> None:
    data, text = LAYOUTS[layout](PACKERS[suffix])
    for block in (1, 100, BLOCK) if len(text) < 1000 else (BLOCK,):
        with opened(data, suffix) as packed:
            found, wrong = follow(packed, block)
        assert wrong is None
        check_same(found, text)


def check_hole(suffix: str) -> None:
    """Zeros that take no disk are passed over, behind the last member and between two."""
    hole = 16 * MIB
    for number in (1, 2):
        files = CountingFiles()
        with opened(PACKERS[suffix](SMALL), suffix, files=files) as packed:
            with open(f"/proc/self/fd/{packed._descriptor}", "r+b") as file:
                for place in range(1, number):
                    file.seek(place * hole)
                    file.write(PACKERS[suffix](SMALL))
                file.truncate(number * hole)
            assert follow(packed) == (SMALL * number, None)
        assert len(files.taken) < 10 * number


def check_barren(trap: str) -> None:
    """What has hardly any text for its size is damaged: the way to the next text is bounded. What a tape or
    thousands of rotations leave is not."""
    pack, large = PACKERS[".gz"], TEXT * 3
    match trap:
        case "zeros":
            few, many = bytes(15 * MIB), bytes(17 * MIB)
        case "empty members":
            few, many = pack(b"") * 3500, pack(b"") * 8000
        case _:
            few, many = bytes(12 * MIB) + pack(large) + bytes(12 * MIB), (bytes(12 * MIB) + pack(SMALL)) * 2
    files = CountingFiles()
    for between, expected, wrong in (
        (few, SMALL + (large if trap == "some text" else b"") + SMALL, None),
        (many, SMALL + (SMALL if trap == "some text" else b""), "more than 16 MiB of it hold no text"),
    ):
        with opened(pack(SMALL) + between + pack(SMALL), ".gz", files=files) as packed:
            found, damage = follow(packed)
        check_same(found, expected)
        assert damage == wrong


class OneMember(packed_module.Stream):  # takes the end of a member for the end of the text
    def _feed_slice(self) -> bytes:
        if self._has_begun and self._member is None:
            self._fed = len(self._taken)
            return b""
        return super()._feed_slice()


SKIPPED = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"none"


def test_zstd_frames_to_be_skipped_are_skipped() -> None:
    """As pzstd and seekable zstd write them."""
    frame = PACKERS[".zst"](SMALL)
    with opened(SKIPPED + frame + SKIPPED + frame + SKIPPED, ".zst") as packed:
        assert follow(packed) == (SMALL * 2, None)


@formats
def test_what_is_no_member_is_damage(suffix: str) -> None:
    """After the last one, and in its place."""
    for garbage in (b"garbage " * 20, b"\0" * 100 + b"garbage " * 20):
        with opened(PACKERS[suffix](SMALL) + garbage, suffix) as packed:
            text, wrong = follow(packed)
            assert text == SMALL
            assert wrong
            assert wrong.startswith("the decompressor gave up: ")
    for data in (SMALL, bytes(1000) + PACKERS[suffix](SMALL)):
        with opened(data, suffix) as packed:
            text, wrong = follow(packed)
            assert text == b""
            assert wrong


# --- cut off, damaged
def check_every_cut(make: Make, suffix: str) -> None:
    for cut in range(len(PACKERS[suffix](SMALL))):
        check_cut(make, suffix, cut)


def check_cut(make: Make, suffix: str, cut: int) -> None:
    """A file of which only the first `cut` bytes are there: whole lines of its text, then an error, whatever
    is asked for; a line that is only begun is never shown."""
    data = PACKERS[suffix](SMALL)[:cut]
    for block in (1, BLOCK):
        with opened(data, suffix, make) as packed:
            text, wrong = follow(packed, block)
            assert wrong == "its end is missing"
            assert SMALL.startswith(text)
            assert text[-1:] in (b"", b"\n")
            with pytest.raises(CompressedError):
                packed.read(1, len(text))
            if text:
                assert packed.read(BLOCK, 0) == text
        for offset in (len(text), len(text) + 1, len(SMALL), len(SMALL) + 1):
            with opened(data, suffix, make) as packed, pytest.raises(CompressedError):
                packed.read(1, offset)


def check_cut_at_the_trailer(make: Make, suffix: str) -> None:
    """All that is before the damage is handed out."""
    with opened(PACKERS[suffix](SMALL)[:-1], suffix, make) as packed:
        assert follow(packed) == (SMALL, "its end is missing")


# Ends as GzipFile does for a file of no bytes, and zstandard's reader for any.
class TakesACutForTheEnd(CompressedFile):
    def _extend(self) -> bool:
        more = super()._extend()
        self._damage, self._sound = None, 1 << 63
        return more


ShowsBegunLines = twin(
    CompressedFile,
    "hands out all that it could decompress",
    "_reaches",
    instead=lambda self, end: self._end >= end,
)


class RaisesAtOnce(CompressedFile):  # keeps what is before the damage to itself
    def read(self, size: int, offset: int) -> bytes:
        data = super().read(size, offset)
        if self._damage:
            raise CompressedError(errno.EBADMSG, self._damage)
        return data


def check_every_flip(make: Make, suffix: str) -> None:
    """One bit of the file is another: that is noticed, or it made no difference."""
    for place in range(len(PACKERS[suffix](SMALL))):
        data = bytearray(PACKERS[suffix](SMALL))
        data[place] ^= 1 << place % 8
        with opened(bytes(data), suffix, make) as packed:
            text, wrong = follow(packed)
        assert wrong or text == SMALL


# --- bounded memory
@cache
def bomb(suffix: str) -> bytes:
    """Of 1 GiB of zeros, in members that take more than the memory that there is for them."""
    return PACKERS[suffix](bytes(20 * MIB)) * 51


def read_far_behind(packed: CompressedFile) -> None:
    check_same(packed.read(BLOCK, 24 * MIB), bytes(BLOCK))


def read_onward(packed: CompressedFile) -> None:
    for offset in range(0, 20 * MIB, BLOCK):
        check_same(packed.read(BLOCK, offset), bytes(BLOCK))


def check_bomb(make: Make, suffix: str, walk: Callable[[CompressedFile], None]) -> None:
    """Little memory is taken for it, and at first little of the file."""
    files = CountingFiles()
    with opened(bomb(suffix), suffix, make, files) as packed:
        tracemalloc.start()
        try:
            check_same(packed.read(BLOCK, 0), bytes(BLOCK))
            assert files.read_bytes <= 64 * 1024
            walk(packed)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 16 * MIB


KeepsAll = twin(CompressedFile, "lets nothing go", "_forget", instead=lambda self, offset: None)


def check_pace(make: Make, suffix: str) -> None:
    """The way to a place shows each third MiB at least, and so does what comes after the text."""
    files = CountingFiles()
    with opened(bomb(suffix), suffix, make, files) as packed:
        check_same(packed.read(BLOCK, 24 * MIB), bytes(BLOCK))
    assert files.signs >= 8
    files = CountingFiles()
    with opened(PACKERS[suffix](SMALL) + bytes(16 * MIB), suffix, make, files) as packed:
        assert packed.read(1, len(SMALL)) == b""
    assert files.signs >= 16


class ShowsTextOnly(CompressedFile):  # nothing while there is no text: the watchdog would take it for hung
    def begin_anew(self) -> None:
        super().begin_anew()
        self._stream._working = lambda: None

    def _extend(self) -> bool:
        self._files.working()
        return super()._extend()


def xz_of(window: int) -> bytes:
    """A file that says it needs a window of this many bits (xz-file-format.txt, 3.1 and 5.3.1)."""
    data = bytearray(lzma.compress(SMALL, preset=0))
    size = (data[12] + 1) * 4
    assert data[14:16] == b"\x21\x01", "expected the LZMA2 filter with one property"
    data[16] = 2 * (window - 12)
    data[12 + size - 4 : 12 + size] = zlib.crc32(data[12 : 12 + size - 4]).to_bytes(4, "little")
    return bytes(data)


def zstd_of(window: int) -> bytes:
    """One raw block in a frame that says it needs a window of this many bits (RFC 8878, 3.1.1)."""
    block = (len(SMALL) << 3 | 1).to_bytes(3, "little") + SMALL
    return b"\x28\xb5\x2f\xfd\0" + bytes([(window - 10) << 3]) + block


TOO_LARGE = {
    ".xz": "it takes more than 80 MiB of memory to unpack; "
    "to count it by hand: xz -dc FILE | qps-reporter summarize -",
    ".zst": "it takes more than 128 MiB of memory to unpack; "
    "to count it by hand: zstd -dc --long=31 FILE | qps-reporter summarize -",
}
WINDOWED = {".xz": xz_of, ".zst": zstd_of}


def check_window(suffix: str, window: int, allowed: bool) -> None:
    """It may have so much memory, and no more."""
    with opened(WINDOWED[suffix](window), suffix) as packed:
        text, wrong = follow(packed)
    assert (text, wrong) == ((SMALL, None) if allowed else (b"", TOO_LARGE[suffix]))


# --- faults of the disk
def read_through(make: Make, suffix: str, files: Files) -> tuple[bytes, list[OSError]]:
    """The text, and the faults on the way to it."""
    text = b""
    faults: list[OSError] = []
    with opened(PACKED[suffix], suffix, make, files) as packed:
        while len(faults) < 2:
            try:
                data = packed.read(BLOCK, len(text))
            except OSError as error:
                faults.append(error)
                continue
            if not data:
                break
            text += data
    return text, faults


def check_faults(make: Make, suffix: str) -> None:
    """Whichever read fails, it surfaces as what it is, and reading goes on behind it."""
    files = CountingFiles()
    assert read_through(make, suffix, files)[1] == []
    assert len(files.taken) > 3
    for number in range(len(files.taken)):
        text, faults = read_through(make, suffix, FailingFiles("read", number, errno.EIO))
        assert [(type(fault), fault.errno) for fault in faults] == [(OSError, errno.EIO)]
        check_same(text, TEXT)


class HidesFaults(CompressedFile):  # a fault of the disk is the end
    def _take(self, offset: int) -> bytes:
        try:
            return super()._take(offset)
        except OSError:
            return b""


class GoesOnBehindFaults(CompressedFile):  # what could not be read is skipped
    def _take(self, offset: int) -> bytes:
        try:
            return super()._take(offset)
        except OSError:
            self._stream._offset += 64 * 1024
            raise


# --- what can be read at all
def test_what_is_supported() -> None:
    assert {each.suffix for each in COMPRESSIONS} == set(PACKERS)
    assert [why_not("/var/log/access.log.1" + suffix) for suffix in PACKERS] == [None] * len(PACKERS)
    assert why_not("access.log.1.lz4") == "no compression is known by the suffix '.lz4'"


def test_zstandard_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    reason = "zstandard is not installed (Debian: python3-zstandard)"
    assert why_not("access.log.1.zst") == reason
    assert why_not("access.log.1.gz") is None
    descriptor = os.memfd_create("packed")
    with pytest.raises(CompressedError) as caught:
        CompressedFile(Files(), descriptor, "access.log.1.zst")
    assert (caught.value.errno, caught.value.strerror) == (errno.EINVAL, reason)
    os.close(descriptor)  # it is still the caller's


def test_close_gives_the_descriptor_back() -> None:
    descriptor = os.memfd_create("packed")
    CompressedFile(Files(), descriptor, "access.log.1.gz").close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


LIMITLESS = packed_module.FORMATS | {".bz2": lambda: packed_module._bzip2()._replace(limit=None)}
FREE_XZ = Doubled("files.compressed:XZ", to=XZ._replace(memory=2 * XZ.memory))
FREE_ZSTD = Doubled("files.compressed:ZSTD", to=ZSTD._replace(memory=2 * ZSTD.memory))
# Twins of one format only.
TWINS: dict[str, dict[Callable[..., None], list[Any]]] = {
    ".gz": {check_every_cut: [ShowsBegunLines]},
    ".xz": {check_every_cut: [ShowsBegunLines]},
    ".bz2": {read_onward: [Patches((packed_module, "FORMATS", LIMITLESS))]},
    ".zst": {read_onward: [Patches((packed_module, "SLICE", 64 * 1024))]},
}


def rows(suffix: str) -> Iterator[Promise]:
    """Of one format."""
    file, twins = CompressedFile, defaultdict(list, TWINS[suffix])
    yield Promise(check_reads, file, [NeverGoesBack], suffix=suffix)
    yield Promise(check_onward, file, [KeepsNothingBehind], suffix=suffix)
    for layout in LAYOUTS:
        first = [Patches((packed_module, "Stream", OneMember))] if layout == "several" else []
        yield Promise(check_members, None, first, suffix=suffix, layout=layout)
    yield Promise(check_hole, None, [Patches((Files, "data_from", lambda *given: given[-1]))], suffix=suffix)
    yield Promise(check_every_cut, file, twins[check_every_cut], suffix=suffix)
    for cut in (0, 3, -1):
        yield Promise(check_cut, file, [TakesACutForTheEnd], suffix=suffix, cut=cut)
    yield Promise(check_cut_at_the_trailer, file, [RaisesAtOnce], suffix=suffix)
    yield Promise(check_every_flip, file, [TakesACutForTheEnd], suffix=suffix)
    for walk in (read_far_behind, read_onward):
        yield Promise(check_bomb, file, [KeepsAll, *twins[walk]], suffix=suffix, walk=walk)
    yield Promise(check_pace, file, [ShowsTextOnly], suffix=suffix)
    yield Promise(check_faults, file, [HidesFaults, GoesOnBehindFaults], suffix=suffix)


test_promise, test_twin = promises(
    *(row for suffix in PACKERS for row in rows(suffix)),
    *(
        Promise(
            check_barren,
            None,
            {
                "doubled": Doubled("files.compressed:BARREN"),
                **{f"{what[1:]} {value}": Patches((packed_module, what, value)) for what, value in patches},
            },
            trap=trap,
        )
        for trap, patches in {
            "zeros": [],
            "empty members": [("_MEMBER", 0)],
            "some text": [("_MADE_UP", 0), ("_MADE_UP", 1 << 20)],
        }.items()
    ),
    Promise(check_window, None, [], suffix=".xz", window=26, allowed=True),
    Promise(check_window, None, [FREE_XZ], suffix=".xz", window=27, allowed=False),
    Promise(check_window, None, [], suffix=".zst", window=27, allowed=True),
    Promise(check_window, None, [FREE_ZSTD], suffix=".zst", window=28, allowed=False),
)
