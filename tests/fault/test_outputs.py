"""The running program with every output on and nobody who takes a thing: each line counts, each report comes.

`tests/unit/outputs/test_conformance.py` has the reports' grid, and each output alone.
"""

import json
import queue
from collections import Counter
from pathlib import Path

import pytest

from tests.fault import broken
from tests.fault.mounts import MakeMount, needs_root
from tests.fault.program import MakeSite, Site, Twin
from tests.receivers import DEAD, FULL, HANGING, UNCONNECTED, Ends, Receivers, tables

pytestmark = pytest.mark.real_time

WINDOWS = 15
LINES = 200  # a window, each with a route of its own


class Place(Site):
    """With receivers."""

    def __init__(self, root: Path, *twins: Twin, ends: Ends, directory: Path | None = None) -> None:
        super().__init__(root, *twins, interval="100ms", flags=["--json"])
        self.ends = Receivers(directory or root)
        self.configure(tables(ends, self.ends))

    def close(self) -> None:
        super().close()
        self.ends.close()


def check(site: Site) -> None:
    """Each report comes, with what was written; it ends in order, and the ledger has every line once."""
    assert isinstance(site, Place)
    writer = site.writer()
    process = site.ready()
    site.ends.call()
    for number in range(1, WINDOWS + 1):
        writer.lines(LINES)
        if number % 5 == 0:
            site.rotate()
            writer = site.writer()
        assert process.has_counted(number * LINES), site.stderr
    process.stop()
    reports = [json.loads(text) for text in site.stdout.splitlines()]
    assert [report["sequence"] for report in reports] == list(range(1, len(reports) + 1))
    found = Counter(row["route"] for report in reports for row in report["rows"])
    assert found == site.expected
    failed = [text for text in site.stderr.splitlines() if "cannot" in text]
    assert len(failed) == len(set(failed)), failed
    assert "has a fault" not in site.stderr
    site.check()


@pytest.mark.parametrize("ends", [DEAD, HANGING, UNCONNECTED], ids=["dead", "hanging", "unconnected"])
def test_nobody_takes_anything(ends: Ends, make_site: MakeSite) -> None:
    check(make_site(of=Place, ends=ends))


@needs_root
def test_a_full_disk(make_site: MakeSite, mount: MakeMount) -> None:
    disk = mount("disk", "-t", "tmpfs", "-o", "size=64k", "none")
    disk.fill()
    site = make_site(of=Place, ends=FULL, directory=disk.directory)
    check(site)
    assert site.stderr.count("No space left on device") == 2


@pytest.mark.twin
@pytest.mark.parametrize(
    ("twin", "ends"),
    [
        (broken.lets_json_fail, DEAD),
        (broken.says_each_failure, DEAD),
    ],
)
def test_a_twin_is_caught(
    twin: Twin, ends: Ends, make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that waits is waited for less long: it would for good."""
    monkeypatch.setattr("tests.fault.program.GUARD", 4)
    with pytest.raises((AssertionError, queue.Empty)):
        check(make_site(twin, of=Place, ends={"json": ends["json"]}))
