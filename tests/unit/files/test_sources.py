"""Texts by offset: where two part, how many lines they have, and holes, of which nothing is read."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from qps_service.files.kernel import Files
from qps_service.files.sources import Plain, common_start, count_lines
from tests.following import CountingFiles
from tests.promised import Patches, Promise, promises

TIB = 1 << 40
TEXT = b"0123456789\n" * 30_000

Make = Callable[..., Plain]


@pytest.fixture
def make() -> Iterator[Make]:
    """A text: bytes, and holes of so many bytes."""
    with ExitStack() as stack:

        def plain(*parts: bytes | int, files: Files | None = None) -> Plain:
            descriptor = os.memfd_create("log")
            stack.callback(os.close, descriptor)
            for part in parts:
                if isinstance(part, bytes):
                    os.write(descriptor, part)
                else:
                    os.ftruncate(descriptor, os.lseek(descriptor, part, os.SEEK_CUR))
            return Plain(files or Files(), descriptor)

        yield plain


@pytest.mark.parametrize("at", [0, 1, 5, 70_000, 262_143, 262_144, 262_145, 300_000])
def test_where_two_texts_part(make: Make, at: int) -> None:
    text = make(TEXT)
    assert common_start(text, make(TEXT[:at] + b"#" + TEXT[at + 1 :]), 0) == at
    assert common_start(text, make(TEXT[:at]), 0) == at


def check_data(make: Make) -> None:
    """Where the next data is; pages of the file system are the grain of it."""
    page = 1 << 16
    text = make(b"x" * page, 3 * page, b"y" * page, page)
    places = [0, page - 1, page, 2 * page, 4 * page, 5 * page - 1, 5 * page, 6 * page, 7 * page]
    data = [0, page - 1, 4 * page, 4 * page, 4 * page, 5 * page - 1, 6 * page, 6 * page, 7 * page]
    assert list(map(text.data_from, places)) == data


def check_what_is_appended_meanwhile(make: Make) -> None:
    """The file's end is asked for before the hole's: what comes in between is no part of the hole."""
    text = make(b"x", 1 << 20)
    descriptor = text.descriptor
    assert descriptor is not None
    real = os.lseek

    def appends(number: int, offset: int, whence: int) -> int:
        try:
            return real(number, offset, whence)
        finally:
            os.pwrite(number, b"line\n", 1 << 20 | 1)

    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(os, "lseek", appends)
        assert text.data_from(1 << 16) == 1 << 20 | 1


def asks_for_the_size_later(self: Files, descriptor: int, offset: int) -> int:
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA)
    except OSError:
        return os.fstat(descriptor).st_size


def check_lines(make: Make) -> None:
    """Of a text with holes: as many as without them, and next to nothing of the holes is read."""
    files = CountingFiles()
    text = make(TEXT, TIB, TEXT, TIB, files=files)
    assert count_lines(text) == 60_000
    assert count_lines(text, TIB) == 30_000
    assert count_lines(text, len(TEXT) + TIB + 22, start=11) == 30_001
    assert common_start(text, make(TEXT, TIB, TEXT, 5), 0) == 2 * len(TEXT) + TIB + 5
    assert common_start(text, make(TEXT, TIB - 11, TEXT), 0) == len(TEXT) + TIB - 11
    assert files.read_bytes < 8 * 1024 * 1024


class EndlessError(Exception):
    """More is read than there is time for."""


def tells_nothing(self: Files, descriptor: int, offset: int) -> int:
    if offset > len(TEXT) + (1 << 24):
        raise EndlessError
    return offset


test_promise, test_twin = promises(
    Promise(check_data, None, [Patches((Files, "data_from", lambda self, descriptor, offset: offset))]),
    Promise(check_what_is_appended_meanwhile, None, [Patches((Files, "data_from", asks_for_the_size_later))]),
    Promise(
        check_lines, None, {"reads all": Patches((Files, "data_from", tells_nothing))}, caught=(EndlessError,)
    ),
)
