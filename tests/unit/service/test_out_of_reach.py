"""A log that was out of reach: what was written meanwhile enters the totals, and no window as its rate.

Each case is a daemon in simulated time, over real files. A window is 10 s; seconds are since the start of the
first service, which reads FIRST lines and stops at 20. What a file's age is, the simulated clock tells.
"""

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from qps_service.counting.aggregator import Aggregator
from qps_service.files.kernel import Files, Seen
from qps_service.following import generation as generation_module
from qps_service.following.classification import Found
from qps_service.following.follower import Follower
from qps_service.following.generation import Generation
from qps_service.service.pipeline import LogPipeline
from qps_service.values.reports import Window
from tests.promised import Patches, Promise, nothing, promises
from tests.unit import daemons
from tests.unit.daemons import SECOND, START, Service

FIRST, OLD = 30, 500  # lines
SECOND_START = 100  # seconds


class AgedFiles(Files):
    """Files are as old as the simulated clock says; looks and reads fail while that is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.born: dict[int, int] = {}  # inode -> simulated nanoseconds; of others, long ago
        self.now: Callable[[], int] = lambda: 0
        self.stat_fails = self.open_fails = self.read_fails = 0  # errno

    def age(self, descriptor: int) -> int:
        return max(0, self.now() - self.born.get(os.fstat(descriptor).st_ino, 0))

    def stat(self, path: str) -> Seen:
        _fail(self.stat_fails)
        return super().stat(path)

    def open(self, path: str) -> int:
        _fail(self.open_fails)
        return super().open(path)

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        _fail(self.read_fails)
        return super().read(descriptor, size, offset)


def _fail(number: int) -> None:
    if number:
        raise OSError(number, os.strerror(number))


class Machine:
    """A log on a volume, which is a directory that comes and goes, and the second service."""

    def __init__(self, root: Path, *, is_known: bool) -> None:
        self._root = root
        self._volume, self._away = root / "mounts" / "volume", root / "another" / "machine" / "volume"
        for directory in (self._volume, self._away.parent):
            directory.mkdir(parents=True)
        self.log = self._volume / "access.log"
        self.files = AgedFiles()
        self.written = 0
        if is_known:
            self.log.touch()
            first = self._service()
            first.world.at(1, lambda: self.write(FIRST))
            first.run(20)
        self.service = self._service()
        self.world = self.service.world
        self.world.time = START + SECOND_START * SECOND
        self.files.now = self.world.now

    def _service(self) -> Service:
        toml = f'[log.access]\npath = "{self.log}"\n'
        return Service(self._root, toml, files=self.files, ledger=str(self._root / "ledger.db"))

    def at(self, seconds: float, step: Callable[..., object], *arguments: object) -> None:
        self.world.at(seconds, lambda: step(*arguments))

    def write(self, count: int, path: Path | None = None) -> None:
        path = path or self.log
        is_new = not path.exists()
        with path.open("ab") as file:
            for number in range(self.written, self.written + count):
                file.write(b"10.0.0.1\tGET /a?%d\t200\t10\n" % number)
        if is_new:
            self.files.born[path.stat().st_ino] = self.files.now()
        self.written += count

    def write_each_second(self, first: int, end: int) -> None:
        """A line in the middle of each second."""
        for second in range(first, end):
            self.at(second + 0.5, self.write, 1)

    def unmount(self) -> None:
        """A file of it that is open has another number when the volume comes back."""
        shutil.copytree(self._volume, self._away)
        shutil.rmtree(self._volume)

    def mount(self) -> None:
        self._away.rename(self._volume)

    def come_late(self, mounted: float, first: int, end: int, lines: int = OLD) -> None:
        """The volume is away, and gets lines, until it is mounted; then each second has a line."""
        self.unmount()
        self.write_there(lines)
        self.at(mounted, self.mount)
        self.write_each_second(first, end)

    def write_there(self, count: int, name: str = "access.log") -> None:
        """On the volume, which we do not see."""
        self.write(count, self._away / name)

    def run(self, seconds: float) -> None:
        self.service.run(seconds)

    def windows(self) -> list[tuple[float, float, int]]:
        """Of the history, those of the second service with requests: begin, end, requests."""
        with closing(sqlite3.connect(self._root / "ledger.db")) as ledger:
            rows = ledger.execute(
                "SELECT started, ended, sum(requests) FROM windows GROUP BY sequence ORDER BY sequence"
            )
            begin = START / SECOND
            found = [(started - begin, ended - begin, requests) for started, ended, requests in rows]
        return [row for row in found if row[1] > SECOND_START]

    def total(self) -> int:
        with closing(sqlite3.connect(self._root / "ledger.db")) as ledger:
            (total,) = ledger.execute("SELECT sum(requests) FROM totals").fetchone()
        return int(total)


class Told(NamedTuple):
    """The windows with requests in them: when each ended, its requests, its length."""

    ended: int
    requests: int
    seconds: float


def check(case: Callable[[Machine], list[Told]], tmp_path: Path) -> None:
    """Every line is in the totals; the reports have these, and the history has what the reports said."""
    machine = Machine(tmp_path, is_known="unknown" not in case.__name__)
    wanted = case(machine)
    machine.run(160)
    assert machine.total() == machine.written
    told, ended = [], 0.0
    for report in machine.service.reports:
        ended = report.at - START // SECOND
        if report.requests:
            told.append(Told(round(ended), report.requests, round(report.seconds, 1)))
    assert told == wanted
    history = [
        Told(round(end), requests, round(end - begin, 1)) for begin, end, requests in machine.windows()
    ]
    assert history == wanted


# --- out of reach for more than a window


def mounted_late(machine: Machine) -> list[Told]:
    """Absent at the start and through three reports, the first of which is since the last service's."""
    machine.come_late(124.7, 126, 140)
    return [Told(130, 4, 5.0), Told(140, 10, 10.0)]


def mounted_late_after_one_report(machine: Machine) -> list[Told]:
    machine.come_late(112.7, 114, 120)
    return [Told(120, 6, 7.0)]


def mounted_at_the_end_of_a_window(machine: Machine) -> list[Told]:
    """The look that finds it is a report's: that window has no length left, and the next is whole."""
    machine.come_late(129.9, 132, 140)
    return [Told(140, 8, 10.0)]


def written_right_after_that(machine: Machine) -> list[Told]:
    """What comes after the window without length was missed by none."""
    machine.come_late(129.9, 130, 140)
    return [Told(140, 10, 10.0)]


def unmounted_while_running(machine: Machine) -> list[Told]:
    machine.write_each_second(100, 105)
    machine.at(105.7, machine.unmount)
    machine.at(107, machine.write_there, OLD)
    machine.at(127.2, machine.mount)
    machine.write_each_second(128, 130)
    return [Told(110, 5, 90.0), Told(130, 2, 2.0)]


def rotated_meanwhile(machine: Machine) -> list[Told]:
    """The rest of the old log, a whole one, and the beginning of the new."""
    machine.unmount()
    away = machine._away
    machine.write_there(OLD)
    (away / "access.log").rename(away / "access.log.2")
    machine.at(105, machine.write_there, OLD, "access.log.1")
    machine.at(108, machine.write_there, OLD)
    machine.at(124.7, machine.mount)
    machine.write_each_second(126, 130)
    return [Told(130, 4, 5.0)]


def many_rotations_meanwhile(machine: Machine) -> list[Told]:
    """More than one look takes up."""
    machine.unmount()
    (machine._away / "access.log").rename(machine._away / "access.log.41")
    for number in range(40, 0, -1):
        machine.write_there(2, f"access.log.{number}")
    machine.write_there(2)
    machine.at(124.7, machine.mount)
    machine.write_each_second(126, 130)
    return [Told(130, 4, 5.0)]


def refused(machine: Machine, name: str, number: int) -> None:
    machine.at(105.7, setattr, machine.files, name, number)
    machine.at(107.3, machine.write, OLD)
    machine.at(127.2, setattr, machine.files, name, 0)
    machine.write_each_second(128, 130)


def unreadable_disk(machine: Machine) -> list[Told]:
    """The file is open all the time, and reading it fails."""
    refused(machine, "read_fails", errno.EIO)
    return [Told(130, 2, 2.0)]


def stale_handle(machine: Machine) -> list[Told]:
    machine.write_each_second(100, 105)
    refused(machine, "read_fails", errno.ESTALE)
    return [Told(110, 5, 90.0), Told(130, 2, 2.0)]


def unreadable_new_log(machine: Machine) -> list[Told]:
    """logrotate's `create` gave the new log the wrong mode."""

    def rotate() -> None:
        machine.log.rename(machine.log.with_name("access.log.1"))
        machine.files.open_fails = errno.EACCES
        machine.write(1)

    machine.at(105.7, rotate)
    machine.at(115, machine.write, OLD)
    machine.at(127.2, setattr, machine.files, "open_fails", 0)
    machine.write_each_second(128, 130)
    return [Told(130, 2, 2.0)]


def an_unknown_log_on_a_late_volume(machine: Machine) -> list[Told]:
    """Nothing is known of the log, but that it is older than the first window."""
    machine.write(OLD)
    machine.unmount()
    machine.at(104.7, machine.mount)
    machine.write_each_second(106, 110)
    return [Told(110, 4, 5.0)]


def another_unknown_log_on_a_late_volume(machine: Machine) -> list[Told]:
    machine.write(OLD)
    machine.unmount()
    machine.at(134.7, machine.mount)
    machine.write_each_second(136, 140)
    return [Told(140, 4, 5.0)]


def a_large_backlog(machine: Machine) -> list[Told]:
    """Read in many parts; what comes meanwhile belongs to it."""
    machine.come_late(124.7, 126, 130, lines=20 * OLD)
    return [Told(130, 4, 5.0)]


def a_rotated_file_is_written_meanwhile(machine: Machine) -> list[Told]:
    """Its writer did not open the log anew; the file that takes the log's name at last is old. What was
    counted in the window before that stays in it."""

    def rotate() -> None:
        machine.log.rename(rotated)

    def put_back() -> None:
        backup.rename(machine.log)

    rotated, backup = machine.log.with_name("access.log.1"), machine.log.with_name("backup")
    machine.at(105.7, rotate)
    for second in range(107, 130):
        machine.at(second + 0.5, machine.write, 1, rotated)
    machine.at(101, machine.write, OLD, backup)
    machine.at(125.2, put_back)
    machine.write_each_second(127, 130)
    return [Told(110, 3, 90.0), Told(120, 10, 10.0), Told(130, 13, 10.0)]


# --- within reach


def mounted_in_the_first_window(machine: Machine) -> list[Told]:
    """That window is as long as the stop, and so has what was written in it."""
    machine.come_late(104.7, 106, 110)
    return [Told(110, OLD + 4, 90.0)]


def away_for_less_than_a_window(machine: Machine) -> list[Told]:
    """Over the end of one, too."""
    machine.at(108.2, machine.unmount)
    machine.at(109, machine.write_there, 7)
    machine.at(113.2, machine.mount)
    machine.write_each_second(115, 120)
    return [Told(120, 12, 10.0)]


def created_late(machine: Machine) -> list[Told]:
    """The server was stopped for an hour of windows, and began a new log when it came back."""
    machine.at(103.2, machine.log.rename, machine.log.with_name("access.log.1"))
    machine.at(134.7, machine.write, 40)
    machine.write_each_second(136, 140)
    return [Told(140, 44, 10.0)]


def an_unknown_log_that_is_created_late(machine: Machine) -> list[Told]:
    machine.at(134.7, machine.write, 40)
    machine.write_each_second(136, 140)
    return [Told(140, 44, 10.0)]


def an_unknown_log_that_is_created_soon(machine: Machine) -> list[Told]:
    machine.at(104.7, machine.write, 40)
    return [Told(110, 40, 10.0)]


def its_directory_is_refused(machine: Machine) -> list[Told]:
    """The file is open, and read all the time."""
    machine.at(102, setattr, machine.files, "stat_fails", errno.EACCES)
    machine.write_each_second(100, 130)
    machine.at(127.2, setattr, machine.files, "stat_fails", 0)
    return [Told(110, 10, 90.0), Told(120, 10, 10.0), Told(130, 10, 10.0)]


def suspended(machine: Machine) -> list[Told]:
    """The window is as long as that took."""
    machine.at(105.7, machine.write, OLD)
    machine.world.at(105.8, lambda: setattr(machine.world, "time", START + 140 * SECOND))
    machine.write_each_second(142, 150)
    return [Told(140, OLD, 120.0), Told(150, 8, 10.0)]


class NeverLate(LogPipeline):
    def _is_late(self, generation: Generation) -> bool:
        return False


class ForgetsTheBacklog(LogPipeline):  # after its first part
    def _is_late(self, generation: Generation) -> bool:
        self._late.discard(generation)
        return super()._is_late(generation)


class CountsTheEmptyWindow(LogPipeline):  # as one that was missed
    def close_window(self) -> Window:
        started = self.aggregator.started
        window = super().close_window()
        self._before = started
        return window


def any_file_is_old(self: Follower, found: Found, now: int) -> int:
    return self._reached_at


def any_file_is_new(self: Follower, found: Found, now: int) -> int:
    return max(self._reached_at, now - 1)


NEVER = Patches((daemons, "LogPipeline", NeverLate))
PARTS = Patches((daemons, "LogPipeline", ForgetsTheBacklog))
EMPTY = Patches((daemons, "LogPipeline", CountsTheEmptyWindow))
SAME_WINDOW = Patches((Aggregator, "begin_anew", nothing))
NEW_ONES, OLD_ONES = (Patches((Follower, "_reached", twin)) for twin in (any_file_is_new, any_file_is_old))

LATE: dict[Callable[[Machine], list[Told]], dict[str, Patches]] = {
    mounted_late: {"never": NEVER, "window": SAME_WINDOW, "new": NEW_ONES},
    mounted_late_after_one_report: {"never": NEVER},
    mounted_at_the_end_of_a_window: {"never": NEVER},
    written_right_after_that: {"empty": EMPTY},
    unmounted_while_running: {"never": NEVER, "window": SAME_WINDOW},
    rotated_meanwhile: {"never": NEVER, "new": NEW_ONES},
    many_rotations_meanwhile: {"never": NEVER},
    unreadable_disk: {"never": NEVER, "window": SAME_WINDOW},
    stale_handle: {"never": NEVER},
    unreadable_new_log: {"never": NEVER, "new": NEW_ONES},
    an_unknown_log_on_a_late_volume: {"never": NEVER, "new": NEW_ONES},
    another_unknown_log_on_a_late_volume: {"never": NEVER, "new": NEW_ONES},
    a_large_backlog: {"never": NEVER, "parts": PARTS},
    a_rotated_file_is_written_meanwhile: {"never": NEVER},
}
WITHIN_REACH: dict[Callable[[Machine], list[Told]], dict[str, Patches]] = {
    mounted_in_the_first_window: {},
    away_for_less_than_a_window: {},
    created_late: {"old": OLD_ONES},
    an_unknown_log_that_is_created_late: {"old": OLD_ONES},
    an_unknown_log_that_is_created_soon: {"old": OLD_ONES},
    its_directory_is_refused: {},
    suspended: {},
}


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog takes several looks."""
    monkeypatch.setattr(generation_module, "BLOCK", 32 * 1024)
    monkeypatch.setattr(generation_module, "PART", 64 * 1024)


test_promise, test_twin = promises(
    *(Promise(check, None, twins, case=case) for case, twins in {**LATE, **WITHIN_REACH}.items())
)
