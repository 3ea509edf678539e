"""Loss of power: what the ledger and the log had not on the disk is gone, and no line counts twice.

The file system is a real ext4, which is shut down in the middle: of what was not synced nothing is left, no
renames either, and what was appended to a block that was there may be zeros. The program is killed before
each step of a commit in turn, as in test_kills.py; then the power goes. The next process finds a new boot id.
"""

import itertools
import os
import re
import signal
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fault.mounts import Disk, needs_root
from tests.fault.program import GUARD, WRONG, Site
from tests.fault.test_kills import NUMBERS_THE_REPORTS, STRACE, WORKERS

pytestmark = [needs_root, pytest.mark.real_time]

STEPS = ("pwrite64", "fdatasync", "ftruncate", "unlink", "write", "sendmsg")

BOOTS = """
from qps_service.service import process
process.boot_id = lambda: open({path!r}).read()
"""
# What WAL and synchronous=NORMAL, the usual pair, would do.
SYNCS_SELDOM = """
from qps_service.ledger.database import Database
opened = Database._open_writable
def unsynced(self):
    opened(self)
    self.connection.execute("PRAGMA synchronous = NORMAL")
Database._open_writable = unsynced
"""
TAKES_SHORTER_FOR_TRUNCATED = """
import qps_service.service.pipeline as tail
from tests.fault.twins import TakesShorterForTruncated
tail.Follower = TakesShorterForTruncated
"""
# What many guests on one machine do: fs.inotify.max_user_instances is used up. Each look goes by the texts.
WITHOUT_INOTIFY = """
from qps_service.following.watcher import Watcher
Watcher._stand = lambda self, path: False
"""
LEAVES_WHAT_WAS_CUT = """
import qps_service.service.pipeline as tail
from tests.fault.twins import LeavesWhatWasCut
tail.Follower = LeavesWhatWasCut
"""


class Machine:
    """A site whose ledger, and perhaps whose log, are on a disk that can lose its power."""

    def __init__(self, root: Path, *, twin: str = "", loses_log: bool = False) -> None:
        root.mkdir()
        self.disk = Disk(root / "disk")
        self._boot = root / "boot"
        self._boots = itertools.count()
        self._lost: Counter[str] = Counter()  # what was written and is in no file any more
        self._start()
        self.site = Site(
            root / "site",
            twin=BOOTS.format(path=str(self._boot)) + NUMBERS_THE_REPORTS + twin,
            logs=self.disk.directory / "logs" if loses_log else None,
            state=self.disk.directory / "state",
            interval="100ms",
        )

    def sync(self) -> None:
        """The log as it is now is on the disk."""
        for path in (self.site.log, self.site.log.parent):
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def lose_power(self) -> None:
        """Everything ends; then the machine starts again."""
        self.site.close()
        self.disk.lose_power()
        self._start()
        left = Counter(route for path in self.site.log.parent.iterdir() for route in routes_in(path))
        self._lost += self.site.expected - left
        self.site.expected = left

    def check(self) -> None:
        """Each line that is left was counted once, the others at most once; no report's number came again."""
        counted = self.site.totals()
        self.site.expected += Counter(route for route in self._lost if route in counted)
        self.site.check()
        self.site.audit()
        numbers = [int(number) for number in re.findall(r"^number (\d+)$", self.site.stdout, re.MULTILINE)]
        assert numbers
        assert numbers == sorted(set(numbers)), f"the numbers repeat: {numbers}"

    def close(self) -> None:
        self.site.close()
        self.disk.close()

    def _start(self) -> None:
        self._boot.write_text(f"boot {next(self._boots)}")


def routes_in(path: Path) -> list[str]:
    """Of the lines in a log."""
    return re.findall(r"GET (\S+)\t", path.read_text())


def is_cut_off(root: Path, syscall: str, number: int, **keywords: Any) -> bool:
    """A log that was read; lines that were synced and lines that were not; a rotation, a window's end and an
    orderly stop, in which the program is killed before this call, and the power goes with it; whether the
    call came so far. Then all goes on."""
    with closing(Machine(root / str(number), **keywords)) as machine:
        site = machine.site
        old = site.writer()
        old.lines(5)
        site.run()
        old.lines(5)
        machine.sync()
        inject = f"inject={syscall}:signal=SIGKILL:when={number}"
        process = site.start(prefix=[*STRACE, f"trace={syscall}", "-e", inject])
        process.next_told("READY=1")
        old.lines(5)
        site.rotate()
        site.writer().lines(3)
        old.lines()
        process.has_counted(site.expected.total())
        process.process.send_signal(signal.SIGTERM)
        status = process.process.wait(GUARD)
        assert status in (0, -signal.SIGKILL)
        machine.lose_power()
        for turn in range(2):
            process = site.start()
            process.told("READY=1")
            site.writer().lines(3)
            process.stop()
            if not turn:
                site.rotate()
        machine.check()
        return status != 0


def cut_off_before_each(root: Path, syscall: str, **keywords: Any) -> int:
    """Before the first call, before the second, and so on until it comes no more; how often it was."""

    def some(first: int) -> int:
        cut = (is_cut_off(root, syscall, number, **keywords) for number in itertools.count(first, WORKERS))
        return sum(itertools.takewhile(bool, cut))

    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(some, range(1, WORKERS + 1)))


def test_a_lost_disk_comes_back_though_another_namespace_has_it_mounted(tmp_path: Path) -> None:
    with closing(Disk(tmp_path / "disk")) as disk:
        file = disk.directory / "file"
        file.write_text("synced")
        os.sync()
        command = ["unshare", "--mount", "sh", "-c", "echo; read line"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline()
            file.write_text("not synced")
            disk.lose_power()
            assert file.read_text() == "synced"
            file.write_text("goes on")


@pytest.mark.parametrize("loses_log", [False, True], ids=["ledger", "ledger and log"])
@pytest.mark.parametrize("syscall", STEPS)
def test_power_lost_at_every_step(syscall: str, loses_log: bool, tmp_path: Path) -> None:
    assert cut_off_before_each(tmp_path, syscall, loses_log=loses_log)


def test_power_lost_at_every_step_without_inotify(tmp_path: Path) -> None:
    assert cut_off_before_each(tmp_path, "sendmsg", loses_log=True, twin=WITHOUT_INOTIFY)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("twin", "loses_log", "message"),
    [
        (SYNCS_SELDOM, False, "the numbers repeat"),
        (TAKES_SHORTER_FOR_TRUNCATED, True, WRONG),
        (WITHOUT_INOTIFY + LEAVES_WHAT_WAS_CUT, True, WRONG),
    ],
    ids=["syncs seldom", "takes shorter for truncated", "leaves what was cut"],
)
def test_the_steps_catch_the_twin(twin: str, loses_log: bool, message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        cut_off_before_each(tmp_path, "sendmsg", twin=twin, loses_log=loses_log)
