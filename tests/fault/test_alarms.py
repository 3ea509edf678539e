"""No false alarm: weeks of Debian's stock nginx and apache2, with stops, reboots and containers' restarts.

Every line is counted once, and nothing is said that would make anybody look: no loss, no copy that was
recognised, no duplicate. `scripts/campaign.sh alarms` lets more days pass than CI has the time for.
"""

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from qps_service.following.follower import Follower
from tests.fault import twins
from tests.fault.week import SERVERS, Happened, Machine, Make, Traffic

pytestmark = pytest.mark.real_time

# Of each setup. CI's are a week of each server; a campaign has all setups.
DAYS = int(os.environ.get("QPS_REPORTER_DAYS", "0"))
TRAFFIC = {
    "combined": Traffic(has_times=True, equal=0.5),
    "without times": Traffic(has_times=False, equal=0.5),
}
SETUPS = [
    dict(server=server, delays=delays, traffic=traffic, blind=blind, store=store, versions=versions)
    for server, delays, traffic, blind, store, versions in itertools.product(
        SERVERS, (True, False), TRAFFIC, (True, False), (True, False), (True, False)
    )
]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    machines: list[Machine] = []

    def build(follower: type[Follower] = Follower, *, setup: int) -> Machine:
        chosen = dict(SETUPS[setup])
        server, traffic = SERVERS[str(chosen.pop("server"))], TRAFFIC[str(chosen.pop("traffic"))]
        root = tmp_path / str(len(machines))
        machines.append(Machine(root, server, setup, follower=follower, traffic=traffic, **chosen))
        return machines[-1]

    yield build
    for machine in machines:
        machine.close()


@pytest.mark.parametrize("setup", range(len(SETUPS)))
def test_no_false_alarm(setup: int, make: Make) -> None:
    machine = make(setup=setup)
    machine.weeks(DAYS or 7)
    machine.check()
    print(machine.happened)
