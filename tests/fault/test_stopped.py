"""What happens to the log while the program is stopped, or suspended: every line once."""

import os
import signal
import subprocess

import pytest

from tests.fault import broken, twins
from tests.fault.program import WRONG, MakeSite, Process, Site, Writer
from tests.promised import MadePromise, promises

pytestmark = pytest.mark.real_time

PACKERS = {".gz": ("gzip",), ".xz": ("xz",), ".bz2": ("bzip2",), ".zst": ("zstd", "--rm", "--quiet")}


def followed(make_site: MakeSite) -> tuple[Site, Writer, Process]:
    """A log that is followed."""
    site = make_site()
    writer = site.writer()
    writer.lines(20)
    process = site.ready()
    writer.lines(20)
    return site, writer, process


def begun(make_site: MakeSite) -> tuple[Site, Writer]:
    """A log that was followed until the program was stopped."""
    site, writer, process = followed(make_site)
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


def rotated_twice(make_site: MakeSite) -> None:
    site, writer = begun(make_site)
    for _ in range(2):
        writer = rotate(site, writer)
    site.run()
    site.check()


def rotated_twice_before_once(make_site: MakeSite) -> None:
    """As before, for a pass that cron starts."""
    site, writer = begun(make_site)
    for _ in range(3):
        for _ in range(2):
            writer = rotate(site, writer)
        site.once()
    site.check()


def compressed(make_site: MakeSite, packer: str) -> None:
    """The log that was being read, and ones that were written, rotated and compressed meanwhile."""
    site, writer = begun(make_site)
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


def suspended(make_site: MakeSite) -> None:
    """Three rotations with late lines between SIGSTOP and SIGCONT."""
    site, writer, process = followed(make_site)
    process.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.process.pid, os.WSTOPPED | os.WNOWAIT)
    for _ in range(3):
        writer = rotate(site, writer)
    process.process.send_signal(signal.SIGCONT)
    process.stop()
    site.check()


test_every_line_once, test_the_scenario_catches_its_twin = promises(
    MadePromise(rotated_twice, broken.forgets_everything, says=WRONG),
    MadePromise(rotated_twice_before_once, twins.LooksAtTheLogOnly, says=WRONG),
    *(MadePromise(compressed, twins.IgnoresArchives, says=WRONG, packer=each) for each in PACKERS),
    MadePromise(suspended, twins.LooksAtTheLogOnly, says=WRONG),
)
