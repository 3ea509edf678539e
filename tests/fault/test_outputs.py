"""The running program with every output on and nobody who takes a thing: each line counts, each report comes.

`tests/unit/outputs/test_conformance.py` has the reports' grid, and each output alone.
"""

import json
import queue
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fault.mounts import MakeMount, needs_root
from tests.fault.program import Site
from tests.receivers import DEAD, FULL, HANGING, UNCONNECTED, Ends, Receivers, tables

pytestmark = pytest.mark.real_time

Make = Callable[..., Site]

WINDOWS = 15
LINES = 200  # a window, each with a route of its own


class Place(Site):
    """With receivers."""

    def __init__(self, root: Path, ends: Ends, receivers: Receivers, twin: str) -> None:
        super().__init__(root, interval="100ms", twin=twin)
        self.ends = receivers
        with self.config.open("a") as config:
            config.write(tables(ends, receivers))

    def close(self) -> None:
        super().close()
        self.ends.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Place]]:
    sites: list[Place] = []

    def build(ends: Ends, directory: Path | None = None, twin: str = "") -> Place:
        sites.append(Place(tmp_path / "site", ends, Receivers(directory or tmp_path), twin))
        return sites[-1]

    yield build
    for site in sites:
        site.close()


def check(site: Place) -> None:
    """Each report comes, with what was written; it ends in order, and the ledger has every line once."""
    writer = site.writer()
    process = site.start("--json")
    process.told("READY=1")
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
def test_nobody_takes_anything(ends: Ends, make: Callable[..., Place]) -> None:
    check(make(ends))


@needs_root
def test_a_full_disk(make: Callable[..., Place], mount: MakeMount) -> None:
    disk = mount("disk", "-t", "tmpfs", "-o", "size=64k", "none")
    disk.fill()
    site = make(FULL, disk.directory)
    check(site)
    assert site.stderr.count("No space left on device") == 2


ENDS_IT = """
from qps_service.outputs.base import OutputClosed
from qps_service.outputs.json_lines import JsonOutput
def end(self, reports, overview, now):
    raise OutputClosed
JsonOutput.emit = end
"""
FAILS = """
from qps_service.outputs.json_lines import JsonOutput
def fail(self, error):
    raise error
JsonOutput._fail = fail
JsonOutput.reopen = lambda self: None
"""
WAITS = """
from qps_service.outputs import json_lines
import os
json_lines.FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT
"""
SAYS_EACH = """
from qps_service.notices.trouble import Trouble
failed = Trouble.failed
def each(self, text):
    self._is_failing = False
    failed(self, text)
Trouble.failed = each
"""


@pytest.mark.twin
@pytest.mark.parametrize(
    ("twin", "ends"),
    [(ENDS_IT, DEAD), (FAILS, DEAD), (WAITS, HANGING), (SAYS_EACH, DEAD)],
    ids=["ends", "fails", "waits", "says each"],
)
def test_a_twin_is_caught(
    twin: str, ends: Ends, make: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that waits is waited for less long: it would for good."""
    monkeypatch.setattr("tests.fault.program.GUARD", 4)
    with pytest.raises((AssertionError, queue.Empty)):
        check(make({"json": ends["json"]}, twin=twin))
