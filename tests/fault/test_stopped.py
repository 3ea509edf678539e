"""What happens to the log while the program is suspended: every line once."""

import os
import signal

import pytest

from tests.fault import twins
from tests.fault.program import WRONG, MakeSite, Site, Writer
from tests.promised import MadePromise, promises

pytestmark = pytest.mark.real_time


def rotate(site: Site, old: Writer) -> Writer:
    """A backlog, late lines, new ones."""
    old.lines(5)
    site.rotate()
    new = site.writer()
    new.lines(3)
    old.lines(2)
    old.close()
    return new


def suspended(make_site: MakeSite) -> None:
    """Three rotations with late lines between SIGSTOP and SIGCONT."""
    site = make_site()
    writer = site.writer()
    writer.lines(20)
    process = site.ready()
    process.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.process.pid, os.WSTOPPED | os.WNOWAIT)
    for _ in range(3):
        writer = rotate(site, writer)
    process.process.send_signal(signal.SIGCONT)
    process.stop()
    site.check()


test_every_line_once, test_the_scenario_catches_its_twin = promises(
    MadePromise(suspended, twins.LooksAtTheLogOnly, says=WRONG)
)
