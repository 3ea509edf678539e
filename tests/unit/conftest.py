"""What several unit tests share: a scanner to test, and a local time zone."""

import time
from collections.abc import Callable, Iterator

import pytest

from qps_service._scan_py import PureScanner
from qps_service.logformat import LogFormat
from qps_service.scan import Scanner

MakeScanner = Callable[[LogFormat, int], Scanner]

# Each scanner there is; all of them must give the same results.
SCANNERS: dict[str, MakeScanner] = {"py": PureScanner}


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
