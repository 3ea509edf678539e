"""What several unit tests share: a scanner to test, one with small limits, a local time zone, and sockets
that are closed in the end."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType
from typing import Any

import pytest

from qps_service.formats.presets import LogFormat
from qps_service.scanning import _scan
from qps_service.scanning.native import NativeScanner
from qps_service.scanning.options import ScanOptions
from qps_service.scanning.pure import PureScanner
from qps_service.scanning.scanner import Scanner
from qps_service.values.counts import Scanned
from tests.built import once
from tests.fuzz.building import MODULE_VARIABLE, build_extension
from tests.promised import Promise
from tests.unit import receiving

Make = Callable[[ScanOptions, Callable[[Scanned], None]], Scanner]
MakeScanner = Callable[[LogFormat, int], Scanner]


def no_spill(scanned: Scanned) -> None:
    """For what can be kept until it is taken."""
    raise AssertionError(f"spilled {len(scanned.rows)} rows")


# Each scanner there is; all of them must give the same results.
# The native ones must be there: scripts/setup.sh test builds them.
MAKERS: dict[str, Make] = {
    "py": PureScanner,
    **{f"c-{level}": partial(NativeScanner, level=level) for level in _scan.LEVELS},
}


def pure_scanner(log_format: LogFormat, max_line: int, *, kind: Make = PureScanner) -> Scanner:
    """A pure scanner, or another one, that keeps all it counts."""
    return kind(ScanOptions(log_format, max_line), no_spill)


SCANNERS: dict[str, MakeScanner] = {name: partial(pure_scanner, kind=make) for name, make in MAKERS.items()}


def by_each(
    check: Callable[..., object], twins: Any, makers: Mapping[str, Any] = SCANNERS, **given: Any
) -> list[Promise]:
    """What all scanners keep. The twins are of the pure one, or of what it uses."""
    return [
        Promise(check, make, twins if name == "py" else {}, label=name, **given)
        for name, make in makers.items()
    ]


@pytest.fixture(params=SCANNERS)
def make_scanner(request: pytest.FixtureRequest) -> MakeScanner:
    return SCANNERS[request.param]


@pytest.fixture(scope="session")
def small_module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The native scanner with limits that a few lines reach, and allocations that can be made to fail."""
    built = os.environ.get(MODULE_VARIABLE)
    if not built:
        place = once(tmp_path_factory, "small", lambda place: build_extension(place, "-O1"))
        built = str(place / "_scan.abi3.so")
    loader = ExtensionFileLoader("_scan", built)
    spec = spec_from_loader("_scan", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def local_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the local time zone until the test ends."""

    def set_zone(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_zone
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What some twins send never comes."""
    monkeypatch.setattr(receiving, "DEADLINE", 0.2)


@pytest.fixture
def tidy_sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes what a test leaves open, as it may that ends with a failing assertion."""
    made: list[socket.socket] = []

    class Remembered(socket.socket):
        def __init__(self, *args: Any, **keywords: Any) -> None:
            super().__init__(*args, **keywords)
            made.append(self)

    monkeypatch.setattr(socket, "socket", Remembered)
    yield
    for each in made:
        each.close()
