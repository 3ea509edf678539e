"""Logs with times that no ledger can hold: file systems know years beyond SQLite's nanoseconds."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from qps_service.files.kernel import Files
from tests.fault.program import Site

pytestmark = pytest.mark.real_time

LIMIT = 1 << 63  # nanoseconds: an integer of SQLite's is below
FAR = 10_413_792_000 * 10**9  # the year 2300
UNBOUNDED = "from qps_service.files import kernel; kernel._within = lambda time: time"


def check_far_future(site: Site) -> None:
    """Its owner gives the log such a time while it is followed, and when nobody runs; both are read on."""
    writer = site.writer()
    writer.lines(3)
    process = site.start()
    process.told("READY=1")
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


def test_a_log_from_the_far_future(tmp_path: Path) -> None:
    with closing(Site(tmp_path / "site")) as site:
        check_far_future(site)


@pytest.mark.twin
def test_a_log_from_the_far_future_catches_its_twin(tmp_path: Path) -> None:
    with closing(Site(tmp_path / "twin", twin=UNBOUNDED)) as twin, pytest.raises(AssertionError):
        check_far_future(twin)


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
