"""SIGKILL, at every step of a commit and at random moments under ten rotations a second, by renames and by
the real logrotate: every line once.

The steps are the system calls that change what is on disk or tell something to others; strace kills the
program right before one of them, and each has its turn. `scripts/campaign.sh kills` kills at more random
moments than CI has the time for.
"""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.fault import broken
from tests.fault.program import GUARD, ROOT, WRONG, MakeSite, Site, Twin
from tests.fault.traffic import COPYTRUNCATE, MODES, OLD, RENAMES, TRUNCATE

pytestmark = pytest.mark.real_time

STEPS = (
    *("mkdir", "fchown", "pwrite64", "fdatasync", "ftruncate", "unlink"),  # the ledger's
    *("write", "sendmsg"),  # reports and messages, and what systemd is told
)
STRACE = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e"]
WORKERS = os.cpu_count() or 1
# A commit writes pages by the dozen, one like the other: CI kills before every ninth, a campaign before each.
STRIDES = {} if os.environ.get("QPS_REPORTER_EVERY_STEP") else {"pwrite64": 9}

KILLS = int(os.environ.get("QPS_REPORTER_KILLS", "40"))
KILLS_PER_CAMPAIGN = 40  # as many as keep the restored totals small
LONGEST_WAIT = 0.4  # seconds, from the start or from READY; a start takes about as long


def killing(syscall: str, number: int, *options: str) -> list[str]:
    """A command that runs another until right before its call of this number."""
    return [*STRACE, f"trace={syscall}", *options, "-e", f"inject={syscall}:signal=SIGKILL:when={number}"]


def is_killed(make_site: MakeSite, syscall: str, is_known: bool, number: int) -> bool:
    """A short life with a rotation, a late writer, a window's end and an orderly stop, in which the program
    is killed before this call; whether it came so far. The next process finishes the work.

    `is_known`: whether there was an earlier life. Of a log that no commit knows, the next process can only
    count what is in it by then.
    """
    site = make_site(interval="100ms")
    old = site.writer()
    old.lines(5)
    if is_known:
        site.run()
        old.lines(5)
    process = site.start(prefix=killing(syscall, number))
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


def kill_before_each(make_site: MakeSite, syscall: str, is_known: bool) -> int:
    """Kill it before the first call, before a later one, and so on until it survives; how often it was."""
    return count_until_survived(syscall, partial(is_killed, make_site, syscall, is_known))


def count_until_survived(syscall: str, is_killed_before: Callable[[int], bool]) -> int:
    """How often a program was killed before a call, given by its number, until there was no such call."""
    stride = STRIDES.get(syscall, 1)

    def some(first: int) -> int:
        killed = map(is_killed_before, itertools.count(1 + first * stride, WORKERS * stride))
        return sum(itertools.takewhile(bool, killed))

    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(some, range(WORKERS)))


@pytest.mark.parametrize("is_known", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("syscall", STEPS)
def test_killed_at_every_step(syscall: str, is_known: bool, make_site: MakeSite) -> None:
    assert kill_before_each(make_site, syscall, is_known)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("twin", "syscall"),
    [(broken.commits_in_two_transactions, "fdatasync"), (broken.commits_no_positions, "sendmsg")],
)
def test_the_steps_catch_the_twin(twin: Twin, syscall: str, make_site: MakeSite) -> None:
    with pytest.raises(AssertionError, match=WRONG):
        kill_before_each(partial(make_site, twin), syscall, True)


# --- at random moments


class Modes:
    """What rotates while the program is killed: each way in turn, in an order of chance."""

    def __init__(self, traffic: "subprocess.Popen[str]", chance: random.Random, kills: int) -> None:
        self._traffic = traffic
        self._modes = [*MODES]
        chance.shuffle(self._modes)
        self._mode = RENAMES
        self._kills = max(1, kills // len(MODES))  # in each mode
        self._awaited = ""  # the first line since it was truncated

    def next(self, number: int, counted: Counter[str]) -> None:
        """Before this kill. What is truncated was read since it was truncated before, at least in part."""
        if self._awaited not in ("", *counted):
            return
        self._awaited = ""
        if number % self._kills == 0 and self._modes:
            self._mode = self._modes.pop()
            self._tell(self._mode)
        elif self._mode == COPYTRUNCATE:
            self._tell(TRUNCATE)

    def _tell(self, what: str) -> None:
        assert self._traffic.stdin
        assert self._traffic.stdout
        self._traffic.stdin.write(f"{what}\n")
        self._traffic.stdin.flush()
        line = int(self._traffic.stdout.readline())
        if self._mode == COPYTRUNCATE:
            self._awaited = f"/{line}"


def get_known(site: Site) -> None:
    """Of a log that no commit knows, rotated files are older than our time. So are those in a directory where
    none was seen, if they came there while nobody ran."""
    site.log.write_text("".join(f"10.0.0.1\tGET /before/{number}\t200\t10\n" for number in range(20)))
    site.expected.update(f"/before/{number}" for number in range(20))
    site.run()
    aside = site.log.parent / OLD
    aside.mkdir()
    site.log.rename(aside / f"{site.log.name}.1")
    site.log.touch()
    site.run()


def campaign(make_site: MakeSite, seed: int, kills: int) -> None:
    """Start it, kill it at a random moment, again and again; then let it finish."""
    chance = random.Random(seed)
    site = make_site(interval="100ms", flags=["--json"])
    get_known(site)
    counted: Counter[str] = Counter()
    command = [sys.executable, "-m", "tests.fault.traffic", str(site.log)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as traffic:
        modes = Modes(traffic, chance, kills)
        for number in range(kills):
            rotates_first = chance.random() < 0.5
            if rotates_first:
                modes.next(number, counted)
            process = site.start()
            if chance.random() < 0.5:
                process.told("READY=1")
            if not rotates_first:
                modes.next(number, counted)
            time.sleep(chance.uniform(0, LONGEST_WAIT))
            process.close()
            before, counted = counted, site.totals()
            assert not before - counted
        lines, _ = traffic.communicate()
    assert traffic.returncode == 0
    site.expected.update(f"/{number}" for number in range(int(lines)))
    site.once() if seed % 2 else site.run()
    site.check()
    assert site.query("SELECT name, what FROM loss") == []
    site.audit()
    site.check_numbers()


@pytest.mark.parametrize("seed", range(-(-KILLS // KILLS_PER_CAMPAIGN)))
def test_killed_at_random_moments(seed: int, make_site: MakeSite) -> None:
    campaign(make_site, seed, min(KILLS, KILLS_PER_CAMPAIGN))


@pytest.mark.twin
@pytest.mark.parametrize(
    ("twin", "message"),
    [(broken.commits_no_positions, WRONG), (broken.forgets_the_number, "the numbers repeat")],
)
def test_the_campaign_catches_the_twin(twin: Twin, message: str, make_site: MakeSite) -> None:
    with pytest.raises(AssertionError, match=message):
        campaign(partial(make_site, twin), 0, 8)
