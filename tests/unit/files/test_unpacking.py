"""All packed files of a process together take no more memory than there is for that, and one at a time is
read on."""

import lzma
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from qps_service.files import unpacking
from qps_service.files.compressed import CompressedFile
from qps_service.files.kernel import Files
from qps_service.files.unpacking import Unpacking
from tests.limits import Doubled
from tests.promised import Promise, promises, twin
from tests.unit.files.packed_memory import TEXT

MIB = 1024 * 1024
BESIDE = 16  # MiB; what a process may take beside windows while it reads
NOISE = Random(1).randbytes(20).hex().encode()
LINES = b"".join(b"%d %s\n" % (number * 7919, NOISE) for number in range(20_000))

Open = Callable[[Files], CompressedFile]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """68 MiB of NULs, by `xz -9`."""
    path = tmp_path_factory.mktemp("packed") / "log.xz"
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 64 * MIB}]  # likewise, and quick
    path.write_bytes(lzma.compress(bytes(TEXT), filters=filters))
    return path


@pytest.fixture
def open_one() -> Iterator[Open]:
    """A packed file with these lines."""
    packed = lzma.compress(LINES, preset=0)
    with ExitStack() as stack:

        def opened(files: Files) -> CompressedFile:
            descriptor = os.memfd_create("log")
            os.write(descriptor, packed)
            file = CompressedFile(files, os.dup(descriptor), "log.xz")
            stack.callback(os.close, descriptor)
            return file

        yield opened


def check_memory(large: Path) -> None:
    """Of four files with windows of 64 MiB two have room for theirs."""
    arguments = ["-m", "tests.unit.files.packed_memory", str(large), str(unpacking.LIMIT), "4"]
    done = subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
    assert 64 < int(done.stdout) <= 144 + BESIDE


def check_sum(unpacking_of: type[Unpacking], open_one: Open) -> None:
    """Read in turns, each has its text; and never do all together take more than there is."""
    limit = 4 * MIB
    shared = unpacking_of()
    files = [open_one(Files(unpacking=shared)) for _ in range(5)]
    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(unpacking, "LIMIT", limit)
        for place in range(0, len(LINES), 100_000):
            for file in files:
                assert file.read(1000, place) == LINES[place : place + 1000]
                live = [each for each in files if each._stream._member is not None or each._text]
                assert sum(each._memory for each in live) <= limit + MIB // 2  # with the next piece
        for file in files:
            file.close()
            assert file not in shared._taken


class OneALog(Unpacking):
    """Knows of no other file."""

    def take(self, file: unpacking.Unpacker, size: int) -> None:
        self._taken = type(self._taken)({file: size})


KeepsClosedOnes = twin(Unpacking, "keeps closed ones", "give_back", instead=lambda self, file: None)


def check_turns(unpacking_of: type[Unpacking], open_one: Open) -> None:
    """One at a time; whoever is closed needs none any more."""
    shared = unpacking_of()
    one, other, third = (open_one(Files(unpacking=shared)) for _ in range(3))
    assert one.take_turn()
    assert one.take_turn()
    assert not other.take_turn()
    other.end_turn()
    assert not third.take_turn()
    one.end_turn()
    assert third.take_turn()
    assert not one.take_turn()
    third.close()
    assert other.take_turn()


def anybody(self: Unpacking, file: unpacking.Unpacker) -> None:
    self._turn = None


test_promise, test_twin = promises(
    Promise(check_memory, None, [Doubled("files.unpacking:LIMIT")]),
    Promise(check_sum, Unpacking, [OneALog, KeepsClosedOnes]),
    Promise(
        check_turns,
        Unpacking,
        [
            twin(Unpacking, "all at once", "take_turn", instead=lambda self, file: True),
            twin(Unpacking, "ends anybody's", "end_turn", instead=anybody),
            twin(Unpacking, "never ends", "end_turn", instead=lambda self, file: None),
        ],
    ),
)
