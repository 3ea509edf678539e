"""The real logrotate, every minute of simulated hours: every line once, whatever the configuration.

It rotates while the follower reads, and while it is stopped; `scripts/campaign.sh logrotate` does so for a
simulated day.
"""

import itertools
import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest

from qps_service.following.follower import Follower
from tests.fault import twins
from tests.fault.logrotate import Logrotate
from tests.fault.scenarios import Make
from tests.following import Rig, Writer

pytestmark = pytest.mark.real_time

MINUTE = 60
# The hours around a midnight. Each minute is a process of logrotate's, in five modes.
MINUTES = int(os.environ.get("QPS_REPORTER_LOGROTATED", "240"))
BEGINS = 1_795_989_600  # 2026-11-29 22:00 UTC
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


def rotations(mode: Mode, make: Make, minutes: int = MINUTES) -> None:
    rig = make()
    (rig.root / "old").mkdir()
    directives = mode.directives.replace("@old@", str(rig.root / "old"))
    logrotate = Logrotate(rig.root / "logrotate", f"{rig.path} {{\nrotate 5\n{directives}\n}}\n")
    times = itertools.count(BEGINS, MINUTE)

    def rotate() -> None:
        assert not list(logrotate("-f", at=next(times)))

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
