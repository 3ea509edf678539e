"""Where the simulated log's lines go, and when they count."""

import errno
import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random

from qps_service.scanning.options import ScanOptions
from qps_service.scanning.scanner import make_scanner
from qps_service.simulation.log_file import LogFile
from qps_service.simulation.simulator import SteadyPace
from qps_service.text.units import SECOND
from tests.descriptors import open_files
from tests.promised import Promise, promises, twin
from tests.simulated import DEFAULT, make, numbered, on_disk, simulator
from tests.unit.conftest import no_spill

# --- late writers


def check_late_writers(of: type[LogFile], tmp_path: Path) -> None:
    """For 3 s after a rename, half of the lines go to the files renamed in that time, evenly."""
    path = tmp_path / "a.log"
    log = make(path, of, late=3 * SECOND)

    def shares(now: float) -> list[int]:
        """How many of 2000 lines each file took, oldest first."""
        files = [*log.rotated(), str(path)]
        before = [os.path.getsize(file) for file in files]
        for line in numbered(1000, 3000):
            log.write([line], now=round(now * SECOND))
        sizes = [os.path.getsize(file) for file in files]
        return [(new - old) // len(b"line 1000\n") for new, old in zip(sizes, before, strict=True)]

    assert shares(0) == [2000]
    log.rotate(now=SECOND)
    first, current = shares(1)
    assert (first + current, 900 < first < 1100) == (2000, True)
    log.rotate(now=2 * SECOND)
    first, second, current = shares(3.999)
    assert (first + second + current, 400 < first < 600, 400 < second < 600) == (2000, True, True)
    first, second, current = shares(4)
    assert (first, second + current, 900 < second < 1100) == (0, 2000, True)
    assert shares(5) == [0, 0, 2000]
    assert log.lines == 5 * 2000
    log.close()


class NeverLate(LogFile):  # lets go of the old file at once
    def rotate(self, now: int) -> None:
        super().rotate(now)
        self._retire(10**18)


LateForever = twin(LogFile, "never lets go", "_retire", instead=lambda self, now: None)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = open_files()
    log = make(tmp_path / "a.log", late=10**12)
    for _ in range(5):
        log.rotate(now=0)
    assert len(open_files() - before) == 6
    log.close()
    assert open_files() <= before


def stubborn(room: int, random: Random) -> Callable[[int, bytes], int]:
    """An os.write to a disk with `room` bytes left that often takes only a part."""

    def write(descriptor: int, data: bytes) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = data[: min(room, random.choice([len(data), random.randint(1, len(data))]))]
        room -= len(part)
        return os.write(descriptor, part)

    return write


def check_the_count(of: type[LogFile], tmp_path: Path, batch: bool, room: int) -> None:
    """The truth is the whole lines on disk, through short writes, late writers and a full disk."""
    path = tmp_path / "a.log"
    log = make(path, of, batch=batch, late=2 * SECOND, os_write=stubborn(room, Random(2)))
    simulation = simulator(log, pace=SteadyPace(3000), interval=0.1)
    with suppress(OSError) if room < 10**9 else nullcontext():
        simulation.run()
    log.close()
    scanner = make_scanner(ScanOptions(DEFAULT, 65_536), no_spill)
    for lines in on_disk(path).values():
        scanner.scan(b"".join(line for line in lines if line.endswith(b"\n")))
    scanned = scanner.take()
    assert not scanned.rejects
    assert scanned.counts == simulation.counts
    assert scanned.lines == log.lines
    assert log.lines == 3000 or room < 10**9
    assert len(on_disk(path)) == 1 + log.rotations


class CountsFirst(LogFile):  # a line counts before it is written
    def _append(self, descriptor: int, data: bytes) -> None:
        lines = self.lines + data.count(b"\n")
        self.lines = lines
        try:
            super()._append(descriptor, data)
        finally:
            self.lines = lines


class LeavesShortWrites(LogFile):  # takes a short write for a whole one
    def _append(self, descriptor: int, data: bytes) -> None:
        self._os_write(descriptor, data)
        self.lines += data.count(b"\n")


def test_one_write_a_line_or_one_for_all(tmp_path: Path) -> None:
    for batch in (False, True):
        writes: list[bytes] = []

        def write(descriptor: int, data: bytes, writes: list[bytes] = writes) -> int:
            writes.append(data)
            return len(data)

        log = make(tmp_path / "a.log", batch=batch, os_write=write)
        log.write(numbered(0, 3), now=0)
        log.close()
        assert writes == ([b"".join(numbered(0, 3))] if batch else numbered(0, 3))
        assert log.lines == 3


test_promise, test_twin = promises(
    Promise(check_late_writers, LogFile, [NeverLate, LateForever]),
    *(
        Promise(
            check_the_count,
            LogFile,
            [CountsFirst, LeavesShortWrites] if room == 54_321 else [],
            batch=batch,
            room=room,
        )
        for room in (0, 1, 25, 5000, 54_321, 10**9)
        for batch in (False, True)
    ),
)
