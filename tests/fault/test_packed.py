"""Packed files. One that was read is not decompressed again, in no later start and under no later name. Those
that nobody read yet are read one after another, the oldest first, over all logs of a process; one that can't
be read keeps nobody waiting."""

import errno
import os
from itertools import groupby
from pathlib import Path

import pytest

from qps_service.files.kernel import Files
from qps_service.files.unpacking import Unpacking
from qps_service.following import generation
from qps_service.following.known_files import KnownFiles
from qps_service.values.positions import Identity
from tests.fault.restarts import PACKERS, begun, pack
from tests.fault.scenarios import Make
from tests.following import CountingFiles, Paper, Rig
from tests.ledgers import position
from tests.promised import Promise, answers, promises

# --- once


def read_packed(make: Make, suffix: str) -> tuple[Rig, CountingFiles, Path]:
    """A log that was rotated and compressed while nobody ran, and was read to its end since."""
    files = CountingFiles()
    rig, old = begun(make, files=files)
    rig.stop()
    old.lines(3000)
    old.close()
    packed = pack(rig.rotate(), suffix)
    rig.writer().lines(5)
    rig.start()
    rig.look()
    rig.look()
    assert files.signs > 0
    rig.stop()
    files.signs = 0
    return rig, files, packed


def check_later_starts(make: Make, suffix: str) -> None:
    rig, files, packed = read_packed(make, suffix)
    for number in range(2, 4):
        rig.start()
        rig.look()
        assert files.signs == 0
        rig.stop()
        packed = packed.rename(rig.path.with_name(f"access.log.{number}{suffix}"))
    rig.start()
    rig.check()
    assert files.signs == 0
    assert rig.losses() == []


def test_a_file_that_was_written_since_is_looked_at(make: Make) -> None:
    """It is what it was, as it turns out, but only its text can tell."""
    rig, files, packed = read_packed(make, ".gz")
    os.utime(packed)
    rig.start()
    rig.check()
    assert files.signs > 0


def known(*, held: bool, version: int | None) -> KnownFiles:
    """That a file was let go, or is open, when it had been written to at 5."""
    paper = Paper()
    files = paper.held if held else paper.retired
    files[1] = position(1, 10)._replace(identity=Identity(1, 2, version), modified=5)
    return KnownFiles(paper.restored("/log"))


def test_what_may_be_another_file_is_looked_at() -> None:
    """An inode's number alone, or with another version, is no file; and one that was open is awaited."""
    remembered = known(held=False, version=3)
    assert remembered.let_go_at(Identity(1, 2, 3), 5)
    assert not remembered.let_go_at(Identity(1, 2, 3), 6)
    assert not remembered.let_go_at(Identity(1, 2, 4), 5)
    assert not known(held=False, version=None).let_go_at(Identity(1, 2, None), 5)
    assert not known(held=True, version=3).let_go_at(Identity(1, 2, 3), 5)


# --- in turns

ARCHIVES = 4
LINES = 12_000  # of some 440 KiB: several blocks
LOOKS = 40
NAMES = [f"access.log.{number}.gz" for number in range(1, ARCHIVES + 1)]  # oldest first


class Failing(Files):
    """The disk fails for one file, while `is_failing`."""

    is_failing = False

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        path = self.path_of(descriptor)
        if self.is_failing and path and path.endswith(".1.gz"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(descriptor, size, offset)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "PART", 1)


def stopped(make: Make, files: Files) -> Rig:
    """A log that was rotated and compressed some times since anybody read it."""
    rig, writer = begun(make, files=files)
    rig.stop()
    for _ in range(ARCHIVES):
        writer.lines(LINES)
        writer.close()
        pack(rig.rotate())
        writer = rig.writer()
    writer.lines(5)
    rig.start()
    return rig


def read_once(rig: Rig) -> list[str]:
    """The names of the packed files of which lines came in one look."""
    rig.now += 10**9
    names = []
    for chunk in rig.follower.read(rig.now):
        rig.take(chunk)
        names += [os.path.basename(chunk.origin.name)] if chunk.origin.name.endswith(".gz") else []
    rig.commit()
    return names


def check_order(small_parts: None, make: Make) -> None:
    rigs = [stopped(make, Files(unpacking=SHARED)) for _ in range(2)]
    names = []
    for _ in range(LOOKS):
        for number, rig in enumerate(rigs):
            names += [(number, name) for name in read_once(rig)]
    runs = [run for run, _ in groupby(names)]
    assert len(runs) == 2 * ARCHIVES, "each at one go"
    for number, rig in enumerate(rigs):
        assert [name for owner, name in runs if owner == number] == NAMES
        rig.check(losses=[])


SHARED = Unpacking()


def check_a_fault(small_parts: None, make: Make) -> None:
    files = Failing()
    rig = stopped(make, files)
    names = read_once(rig)
    files.is_failing = True
    for _ in range(LOOKS):
        names += read_once(rig)
    assert set(names) == set(NAMES)
    files.is_failing = False
    rig.check(losses=[])


test_promise, test_twin = promises(
    *(
        Promise(check_later_starts, None, [answers(KnownFiles, "let_go_at")], suffix=suffix)
        for suffix in PACKERS
    ),
    {check_order: [answers(Unpacking, "take_turn", True)], check_a_fault: [answers(Unpacking, "end_turn")]},
)
