"""What happens to the log while the program is stopped, or suspended: every line once."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.fault.program import WRONG, Site, Writer

pytestmark = pytest.mark.real_time

Make = Callable[..., Site]
Scenario = Callable[[Make], None]

PACKERS = {
    "gzip": ("gzip",),
    "xz": ("xz",),
    "bzip2": ("bzip2",),
    "zstd": ("zstd", "--rm", "--quiet"),
}

FORGETS_EVERYTHING = """
import glob, os, sys
for path in glob.glob(os.path.dirname(__file__) + "/state/ledger.db*"):
    os.unlink(path)
"""


def broken(twin: str) -> str:
    """Puts a follower of `twins.py` in the place of the real one."""
    return (
        "from qps_service.service import pipeline\n"
        f"from tests.fault.twins import {twin}\npipeline.Follower = {twin}\n"
    )


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Builds sites, each in a directory of its own."""
    sites: list[Site] = []

    def build(twin: str = "") -> Site:
        sites.append(Site(tmp_path / str(len(sites)), twin=twin))
        return sites[-1]

    yield build
    for site in sites:
        site.close()


def begun(make: Make) -> tuple[Site, Writer]:
    """A log that was followed until the program was stopped."""
    site = make()
    writer = site.writer()
    writer.lines(20)
    process = site.start()
    process.told("READY=1")
    writer.lines(20)
    process.stop()
    return site, writer


def rotate(site: Site, old: Writer) -> Writer:
    """A backlog, late lines, new ones."""
    old.lines(5)
    site.rotate()
    new = site.writer()
    new.lines(3)
    old.lines(2)
    old.close()
    return new


def rotated_twice(make: Make) -> None:
    site, writer = begun(make)
    for _ in range(2):
        writer = rotate(site, writer)
    site.run()
    site.check()


def rotated_twice_before_once(make: Make) -> None:
    """As before, for a pass that cron starts."""
    site, writer = begun(make)
    for _ in range(3):
        for _ in range(2):
            writer = rotate(site, writer)
        site.once()
    site.check()


def compressed(make: Make, packer: str) -> None:
    """The log that was being read, and ones that were written, rotated and compressed meanwhile."""
    site, writer = begun(make)
    for _ in range(3):
        writer.lines(3000)
        rotated = site.rotate()
        writer.close()
        subprocess.run([*PACKERS[packer], rotated], check=True)
        assert not rotated.exists()
        writer = site.writer()
    writer.lines(3)
    site.run()
    site.check()


def suspended(make: Make) -> None:
    """Three rotations with late lines between SIGSTOP and SIGCONT."""
    site = make()
    writer = site.writer()
    writer.lines(20)
    process = site.start()
    process.told("READY=1")
    writer.lines(20)
    process.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.process.pid, os.WSTOPPED | os.WNOWAIT)
    for _ in range(3):
        writer = rotate(site, writer)
    process.process.send_signal(signal.SIGCONT)
    process.stop()
    site.check()


CASES: dict[str, tuple[Scenario, str]] = {
    "rotated_twice": (rotated_twice, FORGETS_EVERYTHING),
    "rotated_twice_before_once": (rotated_twice_before_once, broken("LooksAtTheLogOnly")),
    **{packer: (partial(compressed, packer=packer), broken("IgnoresArchives")) for packer in PACKERS},
    "suspended": (suspended, broken("LooksAtTheLogOnly")),
}


@pytest.mark.parametrize("name", CASES)
def test_every_line_once(name: str, make: Make) -> None:
    CASES[name][0](make)


@pytest.mark.twin
@pytest.mark.parametrize("name", CASES)
def test_the_scenario_catches_its_twin(name: str, make: Make) -> None:
    scenario, twin = CASES[name]
    with pytest.raises(AssertionError, match=WRONG):
        scenario(partial(make, twin))
