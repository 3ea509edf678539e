"""Logs with times that no ledger can hold: file systems know years beyond SQLite's nanoseconds."""

import os

import pytest

from qps_service.files.kernel import Files
from tests.fault import broken
from tests.fault.program import MakeSite
from tests.promised import MadePromise, promises

pytestmark = pytest.mark.real_time

LIMIT = 1 << 63  # nanoseconds: an integer of SQLite's is below
FAR = 10_413_792_000 * 10**9  # the year 2300


def from_the_far_future(make_site: MakeSite) -> None:
    """Its owner gives the log such a time while it is followed, and when nobody runs; both are read on."""
    site = make_site()
    writer = site.writer()
    writer.lines(3)
    process = site.ready()
    os.utime(site.log, ns=(FAR, FAR))
    if site.log.stat().st_mtime_ns < LIMIT:
        pytest.skip("this file system holds no such time")
    process.stop()
    writer.lines(2)
    os.utime(site.log, ns=(FAR, FAR))
    site.once()
    assert site.query("SELECT 'modified', modified FROM position") == [("modified", LIMIT - 1)]
    site.rotate()
    site.writer().lines(4)
    site.once()
    site.check()


test_a_log, test_a_log_catches_its_twin = promises(MadePromise(from_the_far_future, broken.takes_any_time))


@pytest.mark.parametrize("time", [FAR, -FAR])
def test_every_time_of_a_file_is_bounded(time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """st_ctime cannot be set but by the machine's clock."""

    class Status:
        st_mtime_ns = st_ctime_ns = time
        st_dev = st_ino = st_size = st_mode = st_uid = st_gid = 1

    monkeypatch.setattr(os, "stat", lambda path: Status())
    seen = Files().stat("access.log")
    monkeypatch.undo()
    assert abs(seen.modified) < LIMIT
    assert seen.modified == seen.changed
