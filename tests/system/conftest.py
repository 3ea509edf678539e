"""Fixtures: a booted guest for each module that asks, and in it the program as a package would lay it out."""

import importlib.util
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.guest import Guest
from tests.system.image import TOOLS, Image
from tests.system.service import Service

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = """#!/usr/bin/python3
import sys
from qps_service.cli import main
sys.exit(main())
"""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A module's tests on one Debian stand together, whoever chose it, so that each guest boots once."""
    places = [place for place, item in enumerate(items) if ROOT / "tests" / "system" in item.path.parents]
    by_guest: dict[tuple[Path, object], list[pytest.Item]] = {}
    for place in places:
        by_guest.setdefault((items[place].path, _suite(items[place])), []).append(items[place])
    for place, item in zip(places, itertools.chain(*by_guest.values()), strict=True):
        items[place] = item


def _suite(item: pytest.Item) -> object:
    callspec = getattr(item, "callspec", None)  # tests without parameters have none
    return callspec and callspec.params.get("image")


@pytest.fixture(scope="session", params=["bookworm", "trixie"])
def image(request: pytest.FixtureRequest) -> Image:
    """The Debian that guests are made of; bootstrapped by the first run.

    Every test runs on each, unless its module picks one: `parametrize("image", [...], indirect=True)`.
    """
    if os.geteuid() != 0:
        pytest.skip("boots a systemd guest, which only root may")
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}; scripts/setup.sh test installs them")
    cache = os.environ.get("QPS_REPORTER_TEST_CACHE") or ROOT / ".cache" / "system"
    image = Image(Path(cache).absolute(), request.param)
    image.provide()
    return image


@pytest.fixture(scope="module")
def guest(image: Image) -> Iterator[Guest]:
    """A freshly booted guest, shared by the module's tests."""
    with Guest(image) as guest:
        yield guest


@pytest.fixture(scope="module")
def installed(guest: Guest) -> Guest:
    """The guest with the program, its unit and its user in it."""
    install(guest)
    return guest


@pytest.fixture
def service(installed: Guest) -> Iterator[Service]:
    """The service, not yet configured nor started, without a trace of the tests before."""
    service = Service(installed)
    service.reset()
    yield service
    service.reset()


def install(guest: Guest) -> None:
    """Put this checkout's program into `guest`, and what it needs."""
    guest.install("logrotate", "python3", "python3-systemd")
    modules = guest.path("/usr/lib/python3/dist-packages")
    shutil.copytree(
        ROOT / "qps_service", modules / "qps_service", ignore=shutil.ignore_patterns("__pycache__")
    )
    inotify = importlib.util.find_spec("inotify_simple")
    if inotify is None or inotify.origin is None:
        raise RuntimeError("inotify_simple is not installed")
    guest.write("/usr/lib/python3/dist-packages/inotify_simple.py", Path(inotify.origin).read_text())
    guest.write("/usr/bin/qps-reporter", LAUNCHER, mode=0o755)
    systemd = ROOT / "packaging" / "systemd"
    guest.write(
        "/usr/lib/systemd/system/qps-reporter.service", (systemd / "qps-reporter.service").read_text()
    )
    guest.write("/usr/lib/sysusers.d/qps-reporter.conf", (systemd / "qps-reporter.sysusers.conf").read_text())
    version = int(guest.systemctl("--version").split()[1])
    if version >= 254:
        drop_in = "qps-reporter.service.d/preserve.conf"
        guest.write(f"/usr/lib/systemd/system/{drop_in}", (systemd / drop_in).read_text())
    guest.run("systemd-sysusers")
    guest.systemctl("daemon-reload")
