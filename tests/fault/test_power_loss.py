"""Loss of power: what the ledger and the log had not on the disk is gone, and no line counts twice.

The file system is a real ext4, which is shut down in the middle: of what was not synced nothing is left, no
renames either, and what was appended to a block that was there may be zeros. The program is killed before
each step of a commit in turn, as in test_kills.py; then the power goes. The next process finds a new boot id.
"""

import itertools
import os
import re
import signal
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fault import broken, twins
from tests.fault.mounts import Disk, needs_root
from tests.fault.program import GUARD, WRONG, Site, Twin
from tests.fault.test_kills import count_until_survived, killing

pytestmark = [needs_root, pytest.mark.real_time]

STEPS = ("pwrite64", "fdatasync", "ftruncate", "unlink", "write", "sendmsg")
# What the log loses makes no difference to the ledger's own steps: a campaign tries each without that, too.
LEDGER_ALONE = STEPS if os.environ.get("QPS_REPORTER_EVERY_STEP") else ("fdatasync", "sendmsg")


class Machine:
    """A site whose ledger, and perhaps whose log, are on a disk that can lose its power."""

    def __init__(self, root: Path, *twins: Twin, loses_log: bool = False) -> None:
        root.mkdir()
        self.disk = Disk(root / "disk")
        self._boots = itertools.count()
        self._lost: Counter[str] = Counter()  # what was written and is in no file any more
        self.site = Site(
            root / "site",
            broken.reads_the_boot_id_from_a_file,
            *twins,
            flags=["--json"],
            logs=self.disk.directory / "logs" if loses_log else None,
            state=self.disk.directory / "state",
            interval="100ms",
        )
        self._start()

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
        self.site.check_numbers()

    def close(self) -> None:
        self.site.close()
        self.disk.close()

    def _start(self) -> None:
        (self.site.root / "boot").write_text(f"boot {next(self._boots)}")


def routes_in(path: Path) -> list[str]:
    """Of the lines in a log."""
    return re.findall(r"GET (\S+)\t", path.read_text())


def is_cut_off(root: Path, syscall: str, number: int, *twins: Twin, **keywords: Any) -> bool:
    """A log that was read; lines that were synced and lines that were not; a rotation, a window's end and an
    orderly stop, in which the program is killed before this call, and the power goes with it; whether the
    call came so far. Then all goes on."""
    with closing(Machine(root / str(number), *twins, **keywords)) as machine:
        site = machine.site
        old = site.writer()
        old.lines(5)
        site.run()
        old.lines(5)
        machine.sync()
        process = site.start(prefix=killing(syscall, number))
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
            process = site.ready()
            site.writer().lines(3)
            process.stop()
            if not turn:
                site.rotate()
        machine.check()
        return status != 0


def cut_off_before_each(root: Path, syscall: str, *twins: Twin, **keywords: Any) -> int:
    """Before the first call, before a later one, and so on until it comes no more; how often it was."""
    return count_until_survived(syscall, lambda number: is_cut_off(root, syscall, number, *twins, **keywords))


@pytest.mark.parametrize(
    ("syscall", "loses_log"), [*((each, True) for each in STEPS), *((each, False) for each in LEDGER_ALONE)]
)
def test_power_lost_at_every_step(syscall: str, loses_log: bool, tmp_path: Path) -> None:
    assert cut_off_before_each(tmp_path, syscall, loses_log=loses_log)


def test_power_lost_at_every_step_without_inotify(tmp_path: Path) -> None:
    assert cut_off_before_each(tmp_path, "sendmsg", broken.has_no_inotify, loses_log=True)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("broken_by", "loses_log", "message"),
    [
        ([broken.syncs_seldom], False, "the numbers repeat"),
        ([twins.TakesShorterForTruncated], True, WRONG),
        ([broken.has_no_inotify, twins.TakesShorterForTruncated], True, WRONG),
    ],
    ids=["syncs seldom", "takes shorter for truncated", "likewise without inotify"],
)
def test_the_steps_catch_the_twin(
    broken_by: list[Twin], loses_log: bool, message: str, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=message):
        cut_off_before_each(tmp_path, "sendmsg", *broken_by, loses_log=loses_log)
