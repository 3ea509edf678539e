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

import pytest

from qps_service.counting.aggregator import Aggregator
from qps_service.files.kernel import Files, Seen
from qps_service.following import generation as generation_module
from qps_service.following.follower import Follower
from qps_service.following.generation import Generation
from qps_service.following.read_texts import Found
from qps_service.service.pipeline import LogPipeline
from qps_service.values.reports import Window
from tests.promised import Patches, Promise, answers, promises
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


# A window with requests in it: when it ended, its requests, its length.
Told = tuple[int, int, float]


def _told(ended: float, requests: int, seconds: float) -> Told:
    return round(ended), requests, round(seconds, 1)


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

    def come_late(self, mounted: float, first: int, end: int) -> None:
        """The volume is away until it is mounted; then each second has a line."""
        self.unmount()
        self.at(mounted, self.mount)
        self.write_each_second(first, end)

    def refuse(self, name: str, number: int) -> None:
        """Calls of the kernel fail for two windows, in which the log is written to."""
        self.at(105.7, setattr, self.files, name, number)
        self.at(107.3, self.write, OLD)
        self.at(127.2, setattr, self.files, name, 0)
        self.write_each_second(128, 130)

    def write_there(self, count: int, name: str = "access.log") -> None:
        """On the volume, which we do not see."""
        self.write(count, self._away / name)

    def ledger(self) -> tuple[int, list[Told]]:
        """Requests in all, and of the history those windows of the second service that have some."""
        with closing(sqlite3.connect(self._root / "ledger.db")) as ledger:
            ((total,),) = ledger.execute("SELECT sum(requests) FROM totals")
            rows = ledger.execute(
                "SELECT ended, sum(requests), ended - started FROM windows GROUP BY sequence ORDER BY 1"
            )
            found = [_told(ended - START / SECOND, *more) for ended, *more in rows]
        return int(total), [each for each in found if each[0] > SECOND_START]


def check(case: Callable[[Machine], object], wanted: list[Told], tmp_path: Path, *, is_known: bool) -> None:
    """Every line is in the totals; the reports have these, and the history has what the reports said."""
    machine = Machine(tmp_path, is_known=is_known)
    case(machine)
    machine.service.run(160)
    reports = [each for each in machine.service.reports if each.requests]
    assert [_told(each.at - START // SECOND, each.requests, each.seconds) for each in reports] == wanted
    assert machine.ledger() == (machine.written, wanted)


# --- what happens meanwhile


def mounted(at: float, first: int, end: int, lines: int = OLD) -> Callable[[Machine], object]:
    """The log gets lines on the volume, which is mounted then; each second between these has a line."""

    def case(machine: Machine) -> None:
        machine.come_late(at, first, end)
        machine.write_there(lines)

    return case


def unmounted_while_running(machine: Machine) -> None:
    machine.write_each_second(100, 105)
    machine.at(105.7, machine.unmount)
    machine.at(107, machine.write_there, OLD)
    machine.at(127.2, machine.mount)
    machine.write_each_second(128, 130)


def rotated_meanwhile(machine: Machine) -> None:
    """The rest of the old log, a whole one, and the beginning of the new."""
    machine.come_late(124.7, 126, 130)
    away = machine._away
    machine.write_there(OLD)
    (away / "access.log").rename(away / "access.log.2")
    machine.at(105, machine.write_there, OLD, "access.log.1")
    machine.at(108, machine.write_there, OLD)


def many_rotations_meanwhile(machine: Machine) -> None:
    """More than one look takes up."""
    machine.come_late(124.7, 126, 130)
    (machine._away / "access.log").rename(machine._away / "access.log.41")
    for number in range(40, 0, -1):
        machine.write_there(2, f"access.log.{number}")
    machine.write_there(2)


def stale_handle(machine: Machine) -> None:
    machine.write_each_second(100, 105)
    machine.refuse("read_fails", errno.ESTALE)


def unreadable_new_log(machine: Machine) -> None:
    """logrotate's `create` gave the new log the wrong mode."""

    def rotate() -> None:
        machine.log.rename(machine.log.with_name("access.log.1"))
        machine.files.open_fails = errno.EACCES
        machine.write(1)

    machine.at(105.7, rotate)
    machine.at(115, machine.write, OLD)
    machine.at(127.2, setattr, machine.files, "open_fails", 0)
    machine.write_each_second(128, 130)


def unknown(mounted: float) -> Callable[[Machine], object]:
    """Nothing is known of the log on a late volume, but that it is older than the first window."""

    def case(machine: Machine) -> None:
        machine.write(OLD)
        machine.come_late(mounted, round(mounted + 1.3), round(mounted + 5.3))

    return case


def a_rotated_file_is_written_meanwhile(machine: Machine) -> None:
    """Its writer did not open the log anew; the file that takes the log's name at last is old. What was
    counted in the window before that stays in it."""
    rotated, backup = machine.log.with_name("access.log.1"), machine.log.with_name("backup")
    machine.at(105.7, machine.log.rename, rotated)
    for second in range(107, 130):
        machine.at(second + 0.5, machine.write, 1, rotated)
    machine.at(101, machine.write, OLD, backup)
    machine.at(125.2, backup.rename, machine.log)
    machine.write_each_second(127, 130)


# --- within reach


def away_for_less_than_a_window(machine: Machine) -> None:
    """Over the end of one, too."""
    machine.at(108.2, machine.unmount)
    machine.at(109, machine.write_there, 7)
    machine.at(113.2, machine.mount)
    machine.write_each_second(115, 120)


def created_late(machine: Machine) -> None:
    """The server was stopped for an hour of windows, and began a new log when it came back."""
    machine.at(103.2, machine.log.rename, machine.log.with_name("access.log.1"))
    an_unknown_log_comes(machine)


def an_unknown_log_comes(machine: Machine) -> None:
    machine.at(134.7, machine.write, 40)
    machine.write_each_second(136, 140)


def an_unknown_log_comes_soon(machine: Machine) -> None:
    machine.at(104.7, machine.write, 40)


def its_directory_is_refused(machine: Machine) -> None:
    """The file is open, and read all the time."""
    machine.at(102, setattr, machine.files, "stat_fails", errno.EACCES)
    machine.write_each_second(100, 130)
    machine.at(127.2, setattr, machine.files, "stat_fails", 0)


def suspended(machine: Machine) -> None:
    """The window is as long as that took."""
    machine.at(105.7, machine.write, OLD)
    machine.world.at(105.8, lambda: setattr(machine.world, "time", START + 140 * SECOND))
    machine.write_each_second(142, 150)


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


NEVER = answers(LogPipeline, "_is_late", False)
PARTS = Patches((daemons, "LogPipeline", ForgetsTheBacklog))
EMPTY = Patches((daemons, "LogPipeline", CountsTheEmptyWindow))
SAME_WINDOW = answers(Aggregator, "begin_anew")
NEW_ONES, OLD_ONES = (Patches((Follower, "_reached", twin)) for twin in (any_file_is_new, any_file_is_old))

AWAY = {"never": NEVER, "window": SAME_WINDOW}
# What happens, the windows that are told, and twins.
CASES: dict[str, tuple[Callable[[Machine], object], list[Told], dict[str, Patches]]] = {
    # Absent at the start and through three reports, the first of which is since the last service's.
    "mounted late": (mounted(124.7, 126, 140), [(130, 4, 5.0), (140, 10, 10.0)], {**AWAY, "new": NEW_ONES}),
    "mounted late after one report": (mounted(112.7, 114, 120), [(120, 6, 7.0)], {}),
    # The look that finds it is a report's: that window has no length left, and the next is whole.
    "mounted at the end of a window": (mounted(129.9, 132, 140), [(140, 8, 10.0)], {}),
    # What comes after the window without length was missed by none.
    "written right after that": (mounted(129.9, 130, 140), [(140, 10, 10.0)], {"empty": EMPTY}),
    "unmounted while running": (unmounted_while_running, [(110, 5, 90.0), (130, 2, 2.0)], AWAY),
    "rotated meanwhile": (rotated_meanwhile, [(130, 4, 5.0)], {"new": NEW_ONES}),
    "many rotations meanwhile": (many_rotations_meanwhile, [(130, 4, 5.0)], {}),
    # The file is open all the time, and reading it fails.
    "unreadable disk": (lambda machine: machine.refuse("read_fails", errno.EIO), [(130, 2, 2.0)], AWAY),
    "stale handle": (stale_handle, [(110, 5, 90.0), (130, 2, 2.0)], {}),
    "unreadable new log": (unreadable_new_log, [(130, 2, 2.0)], {"new": NEW_ONES}),
    "unknown on a late volume": (unknown(104.7), [(110, 4, 5.0)], {"new": NEW_ONES}),
    "unknown on a later volume": (unknown(134.7), [(140, 4, 5.0)], {"new": NEW_ONES}),
    # Read in many parts; what comes meanwhile belongs to it.
    "large backlog": (mounted(124.7, 126, 130, lines=20 * OLD), [(130, 4, 5.0)], {"parts": PARTS}),
    "rotated file is written meanwhile": (
        a_rotated_file_is_written_meanwhile,
        [(110, 3, 90.0), (120, 10, 10.0), (130, 13, 10.0)],
        {"never": NEVER},
    ),
    # That window is as long as the stop, and so has what was written in it.
    "mounted in the first window": (mounted(104.7, 106, 110), [(110, OLD + 4, 90.0)], {}),
    "away for less than a window": (away_for_less_than_a_window, [(120, 12, 10.0)], {}),
    "created late": (created_late, [(140, 44, 10.0)], {"old": OLD_ONES}),
    "unknown, created late": (an_unknown_log_comes, [(140, 44, 10.0)], {"old": OLD_ONES}),
    "unknown, created soon": (an_unknown_log_comes_soon, [(110, 40, 10.0)], {"old": OLD_ONES}),
    "its directory is refused": (
        its_directory_is_refused,
        [(110, 10, 90.0), (120, 10, 10.0), (130, 10, 10.0)],
        {},
    ),
    "suspended": (suspended, [(140, OLD, 120.0), (150, 8, 10.0)], {}),
}


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog takes several looks."""
    monkeypatch.setattr(generation_module, "BLOCK", 32 * 1024)
    monkeypatch.setattr(generation_module, "PART", 64 * 1024)


test_promise, test_twin = promises(
    *(
        Promise(check, case, twins, wanted=wanted, label=name, is_known="unknown" not in name)
        for name, (case, wanted, twins) in CASES.items()
    )
)
