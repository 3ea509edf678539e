"""Whole files: every line of any file comes out once, in blocks of whole lines, whatever the compression."""

import errno
import gzip
import os
import random
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qps_service.files.whole import BLOCK, DamagedError, Whole
from qps_service.values.counts import SAMPLE_LIMIT
from tests.unit.files.test_compressed import PACKERS, SKIPPED, TOO_LARGE, WINDOWED

MAX_LINE = 300
COMPRESSIONS = {"plain": bytes, "pzstd": lambda text: SKIPPED + PACKERS[".zst"](text), **PACKERS}
# No compression makes so little of it that one read takes it all.
NOISE = random.Random(1).randbytes(200).hex().encode()
LINES = b"".join((b"%d %s" % (number, NOISE))[: number % (MAX_LINE + 1)] + b"\n" for number in range(4000))


@pytest.fixture(params=COMPRESSIONS)
def compress(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    return COMPRESSIONS[request.param]


def read(path: Path | str, max_line: int = MAX_LINE) -> tuple[list[bytes], list[bytes]]:
    """All blocks of lines, and the beginnings of lines that were too long. Each block ends where a line does,
    but for the last."""
    whole = Whole(os.fspath(path))
    blocks, oversize = [], []
    try:
        for block in whole.blocks(max_line):
            blocks.append(bytes(block.lines))
            oversize += [block.oversize] if block.oversize is not None else []
    finally:
        whole.close()
    assert all(block.endswith(b"\n") for block in blocks[:-1] if block)
    assert max(map(len, blocks)) <= BLOCK + max_line + 2
    return blocks, oversize


def check(path: Path | str, text: bytes) -> None:
    blocks, oversize = read(path)
    assert b"".join(blocks) == text
    assert not oversize


HALF = len(LINES) // 2  # in the middle of a line


@pytest.mark.parametrize("members", [[LINES], [LINES + b"no newline"], [LINES[:HALF], LINES[HALF:]], [b""]])
def test_a_file_is_read_whole(
    tmp_path: Path, compress: Callable[[bytes], bytes], members: list[bytes]
) -> None:
    (tmp_path / "log").write_bytes(b"".join(map(compress, members)))
    check(tmp_path / "log", b"".join(members))


@contextmanager
def piped(data: bytes) -> Iterator[str]:
    """A path from which `data` can be read as from a pipe, a few bytes at a time."""
    read_end, write_end = os.pipe()

    def write() -> None:
        with open(write_end, "wb", buffering=0) as pipe:
            for at in range(0, len(data), 999):
                pipe.write(data[at : at + 999])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield f"/proc/self/fd/{read_end}"
    finally:
        thread.join()
        os.close(read_end)


def test_a_pipe(compress: Callable[[bytes], bytes]) -> None:
    with piped(compress(LINES)) as path:
        check(path, LINES)


def test_a_pipe_has_no_size() -> None:
    with piped(b"x\n") as path:
        whole = Whole(path)
        assert whole.size is None
        list(whole.blocks(MAX_LINE))
        whole.close()


def test_how_far_it_is(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(LINES)
    whole = Whole(str(tmp_path / "log"))
    assert whole.size == len(LINES)
    places = [whole.place for _ in whole.blocks(MAX_LINE)]
    assert places == sorted(places)
    assert places[-1] == len(LINES)
    whole.close()


def check_too_long(path: Path, lines: list[bytes]) -> int:
    """Each line over the limit is handed out whole, for the scanner to reject, or told by its beginning,
    once; all around it is there. How many were told."""
    path.write_bytes(b"".join(lines))
    blocks, oversize = read(path)
    found = b"".join(blocks).splitlines(keepends=True)
    assert [line for line in found if len(line) <= MAX_LINE] == [
        line for line in lines if len(line) <= MAX_LINE
    ]
    long = [line for line in lines if len(line) > MAX_LINE]
    assert len(oversize) + sum(len(line) > MAX_LINE for line in found) == len(long)
    assert set(oversize) <= {line[:SAMPLE_LIMIT] for line in long}
    return len(oversize)


@pytest.mark.parametrize("length", [MAX_LINE + 2, BLOCK, 3 * BLOCK])
def test_lines_over_the_limit(tmp_path: Path, length: int) -> None:
    """Wherever they stand in a block: so many lie across its end."""
    told = 0
    for shift in range(0, length + 1, length // 4):
        short = [b"%d\n" % number for number in range((BLOCK - length % BLOCK + shift) // 7)]
        told += check_too_long(tmp_path / "log", [*short, b"x" * length + b"\n", *short, b"y" * length])
    assert told


def test_the_longest_line_is_handed_out(tmp_path: Path) -> None:
    text = b"a\n" * (BLOCK // 2 - 10) + b"x" * MAX_LINE + b"\r\nb\n"
    (tmp_path / "log").write_bytes(text)
    check(tmp_path / "log", text)


def check_damaged(path: Path, text: bytes, lost: int) -> None:
    """What comes before the damage is read, but for `lost` bytes of it, and then it is said."""
    whole = Whole(str(path))
    found = b""

    def read_all() -> None:
        nonlocal found
        for block in whole.blocks(MAX_LINE):
            found += bytes(block.lines)

    with pytest.raises(DamagedError):
        read_all()
    whole.close()
    assert text.startswith(found)
    assert len(found) >= len(text) - lost


@pytest.mark.parametrize(
    ("name", "lost"), [(".gz", MAX_LINE), (".xz", MAX_LINE), (".bz2", 100_000), (".zst", 128 * 1024)]
)
def test_a_text_that_is_cut_off(tmp_path: Path, name: str, lost: int) -> None:
    """What is lost is the line that is cut, or the compression's last block."""
    (tmp_path / "log").write_bytes(COMPRESSIONS[name](LINES)[:-9])
    check_damaged(tmp_path / "log", LINES, lost)


@pytest.mark.parametrize("suffix", [".xz", ".zst"])
def test_a_file_that_takes_too_much_memory(tmp_path: Path, suffix: str) -> None:
    """It is refused as the follower refuses it: no library has a bound of its own."""
    (tmp_path / "log").write_bytes(WINDOWED[suffix](28))
    whole = Whole(str(tmp_path / "log"))
    with pytest.raises(DamagedError, match=f"^{re.escape(TOO_LARGE[suffix])}$"):
        list(whole.blocks(MAX_LINE))
    whole.close()


def test_a_fault_of_the_disk_comes_after_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_later(file: gzip.GzipFile, size: int) -> bytes:
        if file.tell():
            raise OSError(errno.EIO, "Input/output error")
        return read1(file, 1000)

    read1 = gzip.GzipFile.read1
    monkeypatch.setattr(gzip.GzipFile, "read1", fail_later)
    (tmp_path / "log").write_bytes(gzip.compress(LINES))
    whole = Whole(str(tmp_path / "log"))
    blocks = whole.blocks(MAX_LINE)
    assert bytes(next(blocks).lines) == LINES[: LINES.rindex(b"\n", 0, 1000) + 1]
    with pytest.raises(OSError, match="Input/output error"):
        next(blocks)
    whole.close()


def test_a_compression_whose_library_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_bytes(COMPRESSIONS[".zst"](LINES))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(DamagedError, match="zstandard is not installed"):
        Whole(str(tmp_path / "log"))


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Whole(str(tmp_path / "log"))
    with pytest.raises(IsADirectoryError):
        Whole(str(tmp_path))
