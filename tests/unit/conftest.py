"""What several unit tests share: a scanner to test, and a local time zone."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from qps_service import _scan
from qps_service._scan_py import PureScanner
from qps_service.logformat import LogFormat
from qps_service.model import Scanned
from qps_service.scan import NativeScanner, Scanner

MakeScanner = Callable[[LogFormat, int], Scanner]


def no_spill(scanned: Scanned) -> None:
    """For what can be kept until it is taken."""
    raise AssertionError(f"spilled {len(scanned.rows)} rows")


# Each scanner there is; all of them must give the same results.
# The native ones must be there: scripts/setup.sh test builds them.
SCANNERS: dict[str, MakeScanner] = {
    "py": partial(PureScanner, spill=no_spill),
    **{f"c-{level}": partial(NativeScanner, spill=no_spill, level=level) for level in _scan.LEVELS},
}


@pytest.fixture(params=SCANNERS)
def make_scanner(request: pytest.FixtureRequest) -> MakeScanner:
    return SCANNERS[request.param]


@pytest.fixture
def local_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the local time zone until the test ends."""

    def set_zone(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_zone
    monkeypatch.undo()
    time.tzset()
