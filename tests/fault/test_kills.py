"""SIGKILL, at every step of a commit and at random moments under ten rotations a second: every line once.

The steps are the system calls that change what is on disk or tell something to others; strace kills the
program right before one of them, and each has its turn. `scripts/campaign.sh kills` kills at more random
moments than CI has the time for.
"""

import itertools
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.fault.program import GUARD, ROOT, WRONG, Site

pytestmark = pytest.mark.real_time

Make = Callable[..., Site]

STEPS = (
    *("mkdir", "fchown", "pwrite64", "fdatasync", "ftruncate", "unlink"),  # the ledger's
    *("write", "sendmsg"),  # reports and messages, and what systemd is told
)
STRACE = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e"]
WORKERS = os.cpu_count() or 1

KILLS = int(os.environ.get("QPS_REPORTER_KILLS", "40"))
KILLS_PER_CAMPAIGN = 40  # as many as keep the restored totals small
LONGEST_WAIT = 0.4  # seconds, from the start or from READY; a start takes about as long

IN_TWO_TRANSACTIONS = """
from qps_service.ledger.ledger import Ledger
commit = Ledger.commit
def in_two(self, entries, **keywords):
    positions = [entry._replace(counts={}, rejects={}) for entry in entries]
    counts = [entry._replace(retired=(), forgotten=(), losses=()) for entry in entries]
    commit(self, positions, **{**keywords, "sequence": None})
    commit(self, counts, **keywords)
Ledger.commit = in_two
"""
WITHOUT_POSITIONS = """
from qps_service.ledger.ledger import Ledger
commit = Ledger.commit
def without(self, entries, **keywords):
    commit(self, [entry._replace(held=(), retired=()) for entry in entries], **keywords)
Ledger.commit = without
"""
NUMBERS_THE_REPORTS = """
from qps_service.reporting import text as report
render = report.render_text
report.render_text = lambda each: f"number {each.sequence}\\n{render(each)}"
"""
FORGETS_THE_NUMBER = """
from qps_service.ledger import ledger
meta = ledger._meta
ledger._meta = lambda reading, name: 0 if name == "sequence" else meta(reading, name)
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Builds sites, each in a directory of its own."""
    sites: list[Site] = []
    numbers = itertools.count()

    def build(twin: str = "") -> Site:
        site = Site(tmp_path / str(next(numbers)), interval="100ms", twin=twin)
        sites.append(site)
        return site

    yield build
    for site in sites:
        site.close()


def is_killed(make: Make, syscall: str, is_known: bool, number: int) -> bool:
    """A short life with a rotation, a late writer, a window's end and an orderly stop, in which the program
    is killed before this call; whether it came so far. The next process finishes the work.

    `is_known`: whether there was an earlier life. Of a log that no commit knows, the next process can only
    count what is in it by then.
    """
    site = make()
    old = site.writer()
    old.lines(5)
    if is_known:
        site.run()
        old.lines(5)
    inject = f"inject={syscall}:signal=SIGKILL:when={number}"
    process = site.start(prefix=[*STRACE, f"trace={syscall}", "-e", inject])
    is_ready = process.next_told("READY=1") is not None
    old.lines(5)
    new = old
    if is_ready or is_known:
        site.rotate()
        new = site.writer()
        new.lines(3)
        old.lines()
        old.close()
    process.has_counted(site.expected.total())
    new.lines()
    process.process.send_signal(signal.SIGTERM)
    status = process.process.wait(GUARD)
    assert status in (0, -signal.SIGKILL)
    before = site.totals()
    new.lines()
    site.once() if number % 2 else site.run()
    assert not before - site.totals()
    site.check()
    site.close()
    return status != 0


def kill_before_each(make: Make, syscall: str, is_known: bool) -> int:
    """Kill it before the first call, before the second, and so on until it survives; how often it was."""

    def some(first: int) -> int:
        killed = map(partial(is_killed, make, syscall, is_known), itertools.count(first, WORKERS))
        return sum(itertools.takewhile(bool, killed))

    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(some, range(1, WORKERS + 1)))


@pytest.mark.parametrize("is_known", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("syscall", STEPS)
def test_killed_at_every_step(syscall: str, is_known: bool, make: Make) -> None:
    assert kill_before_each(make, syscall, is_known)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("twin", "syscall"), [(IN_TWO_TRANSACTIONS, "fdatasync"), (WITHOUT_POSITIONS, "sendmsg")]
)
def test_the_steps_catch_the_twin(twin: str, syscall: str, make: Make) -> None:
    with pytest.raises(AssertionError, match=WRONG):
        kill_before_each(partial(make, twin), syscall, True)


# A web server of its own: 300 lines a second, ten rotations a second, and each time a line for the old file.
# It ends when its stdin does, and tells how many lines it has written.
TRAFFIC = """
import itertools, os, select, sys
from tests.fault.program import line

def open_log():
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

log, numbers = sys.argv[1], itertools.count()
current = open_log()
for rotation in itertools.count(1):
    for _ in range(30):
        if select.select([0], [], [], 1 / 300)[0]:
            sys.exit(print(next(numbers)))
        os.write(current, line(next(numbers)))
    os.rename(log, f"{log}.{rotation}")
    old, current = current, open_log()
    os.write(current, line(next(numbers)))
    os.write(old, line(next(numbers)))
    os.close(old)
"""


def campaign(make: Make, seed: int, kills: int) -> None:
    """Start it, kill it at a random moment, again and again; then let it finish."""
    chance = random.Random(seed)
    site = make()
    site.writer().close()
    site.run()  # of a log that no commit knows, rotated files are older than our time
    counted: Counter[str] = Counter()
    with subprocess.Popen(
        [sys.executable, "-c", TRAFFIC, site.log], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as traffic:
        for _ in range(kills):
            process = site.start()
            if chance.random() < 0.5:
                process.told("READY=1")
            time.sleep(chance.uniform(0, LONGEST_WAIT))
            process.close()
            before, counted = counted, site.totals()
            assert not before - counted
        lines, _ = traffic.communicate()
    site.expected.update(f"/{number}" for number in range(int(lines)))
    site.once() if seed % 2 else site.run()
    site.check()
    site.audit()
    numbers = [int(number) for number in re.findall(r"^number (\d+)$", site.stdout, re.MULTILINE)]
    assert numbers
    assert numbers == sorted(set(numbers)), f"the numbers repeat: {numbers}"


@pytest.mark.parametrize("seed", range(-(-KILLS // KILLS_PER_CAMPAIGN)))
def test_killed_at_random_moments(seed: int, make: Make) -> None:
    campaign(partial(make, NUMBERS_THE_REPORTS), seed, min(KILLS, KILLS_PER_CAMPAIGN))


@pytest.mark.twin
@pytest.mark.parametrize(
    ("twin", "message"), [(WITHOUT_POSITIONS, WRONG), (FORGETS_THE_NUMBER, "the numbers repeat")]
)
def test_the_campaign_catches_the_twin(twin: str, message: str, make: Make) -> None:
    with pytest.raises(AssertionError, match=message):
        campaign(partial(make, NUMBERS_THE_REPORTS + twin), 0, 8)
