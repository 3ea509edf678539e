"""`run --once`, as cron and timers start it: each pass tells what came since the last, exactly once."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from qps_service.reporting.text import format_rate
from tests.fault.mounts import MakeMount, Mount, image, needs_root
from tests.fault.program import GUARD, ROOT, Site

pytestmark = pytest.mark.real_time

Make = Callable[..., Site]
Check = Callable[[Make], None]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Builds sites, each in a directory of its own."""
    sites: list[Site] = []

    def build(twin: str = "", state: Path | None = None) -> Site:
        sites.append(Site(tmp_path / str(len(sites)), twin=twin, state=state))
        (sites[-1].root / "stdout").touch()
        return sites[-1]

    yield build
    for site in sites:
        site.close()


def reconfigure(site: Site, old: str, new: str) -> None:
    """Replace a line of the configuration."""
    text = site.config.read_text()
    assert old in text
    site.config.write_text(text.replace(old, new))


def once(site: Site, *, status: int = 0) -> list[list[str]]:
    """One pass: the lines of each report that it printed."""
    before = len(site.stdout)
    process = site.start(once=True)
    process.end()
    assert process.process.returncode == status, site.stderr
    *reports, end = site.stdout[before:].split("\n\n")
    assert end == ""
    return [report.splitlines() for report in reports]


def sequence(site: Site) -> int:
    """Number of the last report in the ledger."""
    rows = site.query("SELECT name, value FROM meta WHERE name = 'sequence'")
    return rows[0][1]


def run(site: Site, *arguments: str, stdout: int = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    """The program with other arguments, or another stdout."""
    return subprocess.run(
        [sys.executable, "-m", "qps_service", "run", "--config", str(site.config), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{site.root}:{ROOT}"},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=GUARD,
    )


# --- what a pass tells


class Told(NamedTuple):
    """A window as the ledger has it."""

    sequence: int
    requests: int
    length: int  # nanoseconds


def windows(site: Site) -> list[Told]:
    rows = site.query(
        "SELECT sequence, sum(requests), period.ended - period.started"
        " FROM period JOIN count ON count.period = period.id GROUP BY sequence ORDER BY sequence"
    )
    return [Told._make(row) for row in rows]


def looked(site: Site) -> int:
    """Up to when the log was read, CLOCK_BOOTTIME nanoseconds."""
    return site.query("SELECT name, ended FROM log")[0][1]


def each_pass_tells_what_came_since_the_last(make: Make) -> None:
    """Three passes with rotations between: one report each, whose number goes up by one. Its rate is over
    the time since the report before, and cron has nothing to mail."""
    site = make()
    writer = site.writer()
    writer.lines(20)
    [[_, _, total]] = once(site)
    assert total == "total\t-\t0"
    assert windows(site) == []
    looks = [looked(site)]
    totals = []
    for number in range(2, 5):
        writer.lines(number)
        site.rotate()
        new = site.writer()
        new.lines()
        writer.lines()
        writer.close()
        writer = new
        [[_, rule, *routes, total]] = once(site)
        assert rule == "=" * 29
        assert len(routes) == number + 2
        assert sequence(site) == number
        totals.append(total)
        looks.append(looked(site))
    told = windows(site)
    assert [(each.sequence, each.requests) for each in told] == [(2, 4), (3, 5), (4, 6)]
    assert [each.length for each in told] == [after - before for before, after in pairwise(looks)]
    seen = site.query("SELECT DISTINCT sequence, ended - started FROM windows")
    assert [length for _, length in seen] == pytest.approx([each.length / 1e9 for each in told], abs=1e-6)
    rates = [each.requests / (each.length / 1e9) for each in told]
    assert totals == [f"total\t-\t{format_rate(rate)}" for rate in rates]
    assert site.stderr == ""
    site.check()


def new_logs_are_ours_from_their_end_on(make: Make) -> None:
    """With `start = "end"`, the default: nothing of what was there before the first pass counts."""
    site = make()
    reconfigure(site, 'start = "start"\n', "")
    writer = site.writer()
    writer.lines(20)
    site.expected.clear()
    [[_, _, total]] = once(site)
    assert total == "total\t-\t0"
    assert not site.totals()
    writer.lines(3)
    [[_, _, *routes, total]] = once(site)
    assert len(routes) == 3
    assert [each.requests for each in windows(site)] == [3]
    assert site.stderr == ""
    site.check()


def each_log_has_its_report(make: Make) -> None:
    """Two logs: two reports with their names, and one number for both."""
    site = make()
    other = site.log.with_name("other.log")
    with site.config.open("a") as config:
        config.write(f'[log.other]\npath = "{other}"\nstart = "start"\n')
    writer = site.writer()
    other.touch()
    once(site)
    writer.lines(2)
    other.write_bytes(b"10.0.0.1\tGET /other\t200\t10\n")
    first, second = once(site)
    assert [first[0].split()[-1], second[0].split()[-1]] == ["access", "other"]
    assert [len(first), len(second)] == [3 + 2, 3 + 1]
    assert second[2].startswith("/other\t200\t")
    assert site.query("SELECT DISTINCT log, sequence FROM windows") == [("access", 2), ("other", 2)]
    assert site.stderr == ""


def a_loss_is_warned_of(make: Make) -> None:
    """A file that went away before it was read to its end: on stderr, which cron mails, and in the report."""
    site = make()
    writer = site.writer()
    writer.lines(5)
    once(site)
    writer.lines(5)
    writer.close()
    site.log.unlink()
    site.writer().lines()
    [report] = once(site)
    [warning] = site.stderr.splitlines()
    assert warning.startswith(
        f"qps-reporter: possible loss of an unknown number of bytes: {site.log} went away"
    )
    assert report[-1].startswith(f"possible loss\tunknown\t{site.log} went away")


def a_reader_that_is_gone_costs_no_counts(make: Make) -> None:
    """As with `| head -0`: the pass ends well, its window is over, and the next tells the rest only."""
    site = make()
    writer = site.writer()
    once(site)
    writer.lines(7)
    reader, stdout = os.pipe()
    os.close(reader)
    result = run(site, "--once", stdout=stdout)
    os.close(stdout)
    assert (result.returncode, result.stderr) == (0, "")
    assert sequence(site) == 2
    site.check()
    writer.lines(2)
    [[_, _, *routes, _]] = once(site)
    assert len(routes) == 2
    assert [(each.sequence, each.requests) for each in windows(site)] == [(2, 7), (3, 2)]
    site.check()


WITHOUT_COMMITTING = """
from qps_service.ledger.writer import LedgerWriter
commit = LedgerWriter.commit
def without(self, entries, *, sequence, whole):
    return sequence is not None or commit(self, entries, sequence=sequence, whole=whole)
LedgerWriter.commit = without
"""
REPORTS_FIRST = """
from qps_service.service.daemon import Daemon
from qps_service.service.pipelines import Pipelines
commit, tell = Pipelines.commit, Daemon._report
Pipelines.commit = lambda self, now, *, report=False: True if report else commit(self, now)
def first(self, now):
    tell(self, now)
    commit(self._pipelines, now, report=True)
Daemon._report = first
"""
FROM_ITS_OWN_START = """
from qps_service.ledger.ledger import Ledger
restore = Ledger.restore
def anew(self, log, *, now, at):
    restored = restore(self, log, now=now, at=at)
    return restored and restored._replace(started=now)
Ledger.restore = anew
"""
RATES_THE_FIRST_TIME = """
from qps_service.service.pipelines import Pipelines
def no_windows(self, now):
    for tail in self.followed:
        tail.is_counting = True
Pipelines.begin_windows = no_windows
"""
SAYS_ALL = """
from qps_service.outputs.journal import NoticeBoard
say = NoticeBoard.__init__
NoticeBoard.__init__ = lambda self, send, stderr, least=7: say(self, send, stderr)
"""
SAYS_NOTHING = SAYS_ALL + "NoticeBoard.notify = lambda self, notice: None\n"
ALL_THAT_IS_THERE = """
from qps_service.following.start_position import StartPosition
opening = StartPosition.__init__
StartPosition.__init__ = lambda self, *rest, from_start: opening(self, *rest, from_start=True)
"""
NAMELESS = """
from qps_service.service import daemon
make = daemon.make_report
daemon.make_report = lambda window, **keywords: make(window, **{**keywords, "named": False})
"""

CHECKS: dict[Check, tuple[str, ...]] = {
    each_pass_tells_what_came_since_the_last: (
        *(WITHOUT_COMMITTING, REPORTS_FIRST, FROM_ITS_OWN_START, RATES_THE_FIRST_TIME, SAYS_ALL),
    ),
    new_logs_are_ours_from_their_end_on: (ALL_THAT_IS_THERE,),
    each_log_has_its_report: (NAMELESS,),
    a_loss_is_warned_of: (SAYS_NOTHING,),
    a_reader_that_is_gone_costs_no_counts: (WITHOUT_COMMITTING, REPORTS_FIRST),
}


@pytest.mark.parametrize("check", CHECKS)
def test_a_pass(check: Check, make: Make) -> None:
    check(make)


@pytest.mark.twin
@pytest.mark.parametrize(("check", "twin"), [(check, twin) for check in CHECKS for twin in CHECKS[check]])
def test_the_check_catches_its_twin(check: Check, twin: str, make: Make) -> None:
    with pytest.raises((AssertionError, ValueError)) as caught:
        check(partial(make, twin))
    assert "sitecustomize" not in str(caught.value)


def test_without_a_ledger_there_is_no_place_to_go_on_from(make: Make) -> None:
    site = make()
    reconfigure(site, f'state = "{site.state}"\n', "")
    result = run(site, "--once")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "qps-reporter: --once goes on where the ledger ends: name a directory for it with --state\n"
    )
    assert not site.state.exists()


# --- two at once


STOPS_BEFORE_THE_REPORT = """
import os, signal, sys
from qps_service.service.daemon import Daemon
report = Daemon._report
def stopped(*arguments):
    os.kill(os.getpid(), signal.SIGSTOP)
    return report(*arguments)
if "--once" in sys.orig_argv:
    Daemon._report = stopped
"""
UNLOCKED = """
from qps_service.service.state_directory import StateDirectory
StateDirectory.acquire = lambda self: None
"""
NAMES_ITSELF = """
import os
from qps_service.service import state_directory
state_directory._holder = lambda inode: os.getpid()
"""


def the_second_is_refused(make: Make, holder: str, second: str, twin: str = "") -> None:
    """It is told who has the ledger, and the one who has it ends well."""
    site = make(STOPS_BEFORE_THE_REPORT)
    site.writer().lines(3)
    process = site.start(once=bool(holder))
    if holder:
        os.waitid(os.P_PID, process.process.pid, os.WSTOPPED | os.WNOWAIT)
    else:
        process.told("READY=1")
    (site.root / "sitecustomize.py").write_text(twin)
    result = run(site, *second.split())
    held = f"qps-reporter: the ledger in {site.state} is held by PID {process.process.pid}\n"
    assert (result.returncode, result.stdout, result.stderr) == (3, "", held)
    process.process.send_signal(signal.SIGCONT if holder else signal.SIGTERM)
    process.end()
    assert process.process.returncode == 0
    assert sequence(site) == 1
    site.check()


@pytest.mark.parametrize(("holder", "second"), [("", "--once"), ("--once", "--once"), ("--once", "")])
def test_the_second_is_refused(holder: str, second: str, make: Make) -> None:
    the_second_is_refused(make, holder, second)


@pytest.mark.twin
@pytest.mark.parametrize("twin", [UNLOCKED, NAMES_ITSELF], ids=["unlocked", "names itself"])
def test_a_twin_is_not_refused_or_names_another(twin: str, make: Make) -> None:
    with pytest.raises(AssertionError):
        the_second_is_refused(make, "--once", "--once", twin)


# --- a ledger that takes nothing


SMALL_DISK = ("-t", "tmpfs", "-o", "size=2m", "none")
REPORTS_ALL_THE_SAME = """
from qps_service.ledger.writer import LedgerWriter
from qps_service.service.pipelines import Pipelines
LedgerWriter.is_written = True
commit = Pipelines.commit
Pipelines.commit = lambda *arguments, **keywords: commit(*arguments, **keywords) or True
"""


def what_is_not_written_is_not_reported(make: Make, disk: Mount, *, full: bool, twin: str = "") -> None:
    """Not in a pass without a ledger to write, and by the next that has one, exactly once."""
    site = make(twin, state=disk.directory / "state")
    writer = site.writer()
    writer.lines(3)
    once(site)
    before = {path: path.read_bytes() for path in site.state.iterdir()}
    disk.fill() if full else disk.remount("ro")
    for _ in range(2):
        writer.lines(4)
        assert once(site, status=1) == []
        assert site.stderr.splitlines()[-1].startswith(
            f"qps-reporter: cannot write the ledger {site.state}/ledger.db: "
        )
    assert {path: path.read_bytes() for path in site.state.iterdir() if path in before} == before
    disk.make_room() if full else disk.remount("rw")
    [[_, _, *routes, _]] = once(site)
    assert len(routes) == 8
    [[_, _, total]] = once(site)
    assert total == "total\t-\t0"
    assert [(each.sequence, each.requests) for each in windows(site)] == [(2, 8)]
    assert sequence(site) == 3
    site.check()


@needs_root
def test_a_full_disk(make: Make, mount: MakeMount) -> None:
    what_is_not_written_is_not_reported(make, mount("disk", *SMALL_DISK), full=True)


@pytest.mark.twin
@needs_root
def test_a_full_disk_catches_its_twin(make: Make, mount: MakeMount) -> None:
    with pytest.raises(AssertionError):
        what_is_not_written_is_not_reported(
            make, mount("twin", *SMALL_DISK), full=True, twin=REPORTS_ALL_THE_SAME
        )


@needs_root
def test_a_read_only_disk(tmp_path: Path, make: Make, mount: MakeMount) -> None:
    disk = mount("disk", "-o", "loop", image(tmp_path))
    what_is_not_written_is_not_reported(make, disk, full=False)


@pytest.mark.twin
@needs_root
def test_a_read_only_disk_catches_its_twin(tmp_path: Path, make: Make, mount: MakeMount) -> None:
    disk = mount("disk", "-o", "loop", image(tmp_path))
    with pytest.raises(AssertionError):
        what_is_not_written_is_not_reported(make, disk, full=False, twin=REPORTS_ALL_THE_SAME)


@needs_root
def test_a_disk_that_is_full_at_the_first_pass(make: Make, mount: MakeMount) -> None:
    """There is no ledger yet: what is there counts once there is one."""
    disk = mount("disk", *SMALL_DISK)
    site = make(state=disk.directory)
    site.writer().lines(3)
    disk.fill()
    assert once(site, status=1) == []
    assert "cannot write the ledger" in site.stderr
    disk.make_room()
    [[_, _, total]] = once(site)
    assert total == "total\t-\t0"
    site.check()
