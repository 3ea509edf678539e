"""No false alarm: weeks of Debian's stock nginx and apache2, with stops, reboots and containers' restarts.

Every line is counted once, and nothing is said that would make anybody look: no loss, no copy that was
recognised, no duplicate. `scripts/campaign.sh alarms` lets more days pass than CI has the time for.
"""

import gzip
import itertools
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qps_service.following.follower import Follower
from tests.fault import broken, twins
from tests.fault.program import GUARD, MakeSite, Process, Site
from tests.fault.restarts import pack
from tests.fault.scenarios import Make as MakeRig
from tests.fault.scenarios import followed
from tests.fault.week import NGINX, RENAMED, SERVERS, Happened, Machine, Make, Setup, logrotate
from tests.following import BlindFiles, Rig
from tests.promised import MadePromise, promises

pytestmark = pytest.mark.real_time

ALL = [Setup(*each) for each in itertools.product(SERVERS, *[(True, False)] * 5)]
# Each server with each of its two configurations, and whatever else there is in half of them.
SOME = [
    Setup("nginx", delays=True, has_times=True, blind=True, store=True, versions=True),
    Setup("nginx", delays=False, has_times=False, blind=True, store=False, versions=False),
    Setup("apache2", delays=True, has_times=False, blind=False, store=True, versions=False),
    Setup("apache2", delays=False, has_times=True, blind=False, store=False, versions=True),
]
WEEK = 7  # days
DAYS = int(os.environ.get("QPS_REPORTER_DAYS", "0"))  # of each setup, in a campaign
SETUPS = ALL if DAYS else SOME


@pytest.fixture
def make_machine(tmp_path: Path) -> Iterator[Make]:
    """Builds machines, each in a directory of its own."""
    machines: list[Machine] = []

    def build(follower: type[Follower] = Follower, *, setup: Setup) -> Machine:
        root = tmp_path / str(len(machines))
        machines.append(Machine(root, setup, ALL.index(setup), follower=follower))
        return machines[-1]

    yield build
    for machine in machines:
        machine.close()


def days(make_machine: Make, setup: Setup, number: int = WEEK) -> Counter[Happened]:
    machine = make_machine(setup=setup)
    machine.live(number)
    machine.check()
    return machine.happened


@pytest.mark.parametrize("setup", SETUPS, ids=lambda each: f"{each.server}-{ALL.index(each)}")
def test_no_false_alarm(setup: Setup, make_machine: Make) -> None:
    happened = days(make_machine, setup, DAYS or WEEK)
    assert happened
    print("\n".join(f"{times:6} {each}" for each, times in sorted(happened.items())))  # noqa: T201
