"""Packed files that nobody read yet are read one after another, the oldest first, over all logs of a process;
one that can't be read keeps nobody waiting."""

import errno
import os
from itertools import groupby

import pytest

from qps_service.files.kernel import Files
from qps_service.files.unpacking import Unpacking
from qps_service.following import generation
from tests.fault.restarts import pack
from tests.fault.scenarios import Make
from tests.following import Rig
from tests.promised import Patches, Promise, promises

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
    rig = make(files=files)
    writer = rig.writer()
    rig.look()
    writer.lines(20)
    rig.look()
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
    Promise(check_order, None, {"all at once": Patches((Unpacking, "take_turn", lambda self, file: True))}),
    Promise(
        check_a_fault,
        None,
        {"to its end only": Patches((Unpacking, "end_turn", lambda self, file: None))},
    ),
)
