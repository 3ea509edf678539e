"""A program that knows a later schema meets a ledger of each older one, and the files that it knows.

What the upgrade of a package does is in tests/system/test_lifecycle.py.
"""

import itertools
from collections import Counter
from contextlib import closing
from sqlite3 import connect

import pytest

from qps_service.ledger.schema import VERSION
from qps_service.service.process import boot_id
from tests.fault import broken
from tests.fault.program import MakeSite, Site
from tests.promised import MadePromise, promises
from tests.samples import SAMPLES, move_in, sample_of

pytestmark = pytest.mark.real_time

COUNTED = [*range(33), 36, 37, 38]  # lines that the samples have counted, as tests/samples/make.py wrote them


def moved_in(site: Site, version: int, *, boot: str = "") -> Site:
    """The sample is this site's ledger, and its files stand there."""
    site.state.mkdir(exist_ok=True)
    move_in(sample_of(version), site.state / "ledger.db", site.log.parent, boot=boot)
    site.expected = Counter({f"/{number}": 1 for number in COUNTED})
    site._numbers = itertools.count(1000)
    return site


def rotate(site: Site) -> None:
    """And lines come before it and after it."""
    site.writer().lines(2)
    site.rotate()
    site.writer().lines(3)


def check_upgrade(make_site: MakeSite, version: int, *, rebooted: bool) -> None:
    """The log was rotated meanwhile. Nothing is counted again, not even an archive from before the log was
    followed; nothing is lost."""
    site = moved_in(make_site(), version, boot="" if rebooted else boot_id())
    rotate(site)
    site.once()
    with closing(connect(site.state / "ledger.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    site.check_counts(site.totals())
    rotate(site)
    site.once()
    site.check_counts(site.totals())
    losses = site.query("SELECT 'losses', count(*) FROM loss")
    assert losses == [("losses", 1)], site.stderr  # the sample's own
    assert site.query("SELECT reason, lines FROM rejects") == [("fields", 3)]
    site.audit()


test_an_upgrade, test_a_step_that_forgets_is_noticed = promises(
    *(
        MadePromise(
            check_upgrade,
            broken.forgets_in_a_step,
            broken.forgets_the_ignored_files_in_a_step,
            label=f"schema {version}{', after a reboot' if rebooted else ''}",
            version=version,
            rebooted=rebooted,
        )
        for version in SAMPLES
        for rebooted in (False, True)
    )
)
