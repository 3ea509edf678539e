"""The real logrotate, every minute of simulated hours: every line once, whatever the configuration.

It rotates while the follower reads, and while it is stopped; `scripts/campaign.sh logrotate` does so for a
simulated day.
"""

import os
import subprocess
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest

from qps_service.following.follower import Follower
from tests.fault import twins
from tests.fault.scenarios import Make
from tests.following import Rig, Writer

pytestmark = pytest.mark.real_time

MINUTE = 60
# The hours around a midnight. Each minute is a process of logrotate's, in five modes.
MINUTES = int(os.environ.get("QPS_REPORTER_LOGROTATED", "240"))
BEGINS = 22  # o'clock
TURN = 5  # minutes; the follower is stopped in the last of them


class Mode(NamedTuple):
    """A way to rotate."""

    directives: str  # of logrotate's configuration; `@old@` stands for another directory
    stopped: int  # minutes of each turn, and as many rotations
    twin: type[Follower]
    minute: Callable[[Rig, Writer, Callable[[], None], Callable[[float], None]], Writer]


def renames(rig: Rig, old: Writer, rotate: Callable[[], None], look: Callable[[float], None]) -> Writer:
    """Lines before, late ones after, and new ones; the writer lets the old file go in the end."""
    old.lines(2)
    rotate()
    old.lines(1)
    new = rig.writer()
    new.lines(1)
    look(MINUTE / 2)
    old.lines(1)
    old.close()
    look(MINUTE / 2)
    return new


def truncates(rig: Rig, log: Writer, rotate: Callable[[], None], look: Callable[[float], None]) -> Writer:
    """What only the copy has, and more than that after it."""
    look(MINUTE / 2)
    log.lines(2)
    rotate()
    log.lines(4)
    look(MINUTE / 2)
    return log


MODES = {
    "create": Mode("create 0644", 2, twins.LetsGoAtOnce, renames),
    # What stood there between two truncations that nobody saw is not told from any other file.
    "copytruncate": Mode("copytruncate", 1, twins.LooksForNoCopy, truncates),
    "delaycompress": Mode("create 0644\ncompress\ndelaycompress", 2, twins.IgnoresArchives, renames),
    "dateext": Mode("create 0644\ndateext\ndateformat -%Y%m%d-%H%M", 2, twins.LooksAtTheLogOnly, renames),
    "olddir": Mode("create 0644\nolddir @old@", 2, twins.StaysInItsDirectory, renames),
}


class Logrotate:
    """The program with one configuration, and the date that it is told."""

    def __init__(self, rig: Rig, directives: str) -> None:
        old = rig.root / "old"
        old.mkdir()
        directives = directives.replace("@old@", str(old))
        self._configuration = rig.root / "logrotate.conf"
        self._configuration.write_text(f"{rig.path} {{\nrotate 5\n{directives}\n}}\n")
        self._state = rig.root / "logrotate.state"
        self._now = time.mktime((*time.localtime()[:3], BEGINS, 0, 0, 0, 0, -1))

    def __call__(self) -> None:
        """Rotate; the next time is a minute later."""
        date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self._now))
        self._now += MINUTE
        subprocess.run(
            ["faketime", "-f", f"@{date}", "logrotate", "-f", "-s", self._state, self._configuration],
            env={**os.environ, "NO_FAKE_STAT": "1"},
            stdin=subprocess.DEVNULL,
            check=True,
        )


def rotations(mode: Mode, make: Make, minutes: int = MINUTES) -> None:
    rig = make()
    rotate = Logrotate(rig, mode.directives)
    writer = rig.writer()
    rig.look()
    writer.lines(1)
    rig.look()
    for minute in range(minutes):
        runs = minute % TURN < TURN - mode.stopped
        if minute % TURN == TURN - mode.stopped:
            rig.stop()
        writer = mode.minute(rig, writer, rotate, rig.look if runs else lambda seconds: None)
        if minute % TURN == TURN - 1:
            rig.start()
            rig.look()
    rig.check()
    assert rig.losses() == []


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_every_line_once(mode: Mode, make: Make) -> None:
    rotations(mode, make)


@pytest.mark.twin
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_the_rotations_catch_their_twin(mode: Mode, make: Make) -> None:
    with pytest.raises(AssertionError):
        rotations(mode, partial(make, mode.twin), 2 * TURN)
