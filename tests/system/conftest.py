"""Fixtures: a booted guest for each module that asks, and in it the program, as its package installs it."""

import os
import shutil
from collections.abc import Generator, Iterator

import pytest

from tests.system import package
from tests.system.debians import SUITES
from tests.system.guest import Guest
from tests.system.image import CACHE, ROOT, TOOLS, Image
from tests.system.package import Packages
from tests.system.service import UNIT, Service

# Those that take longest come first, so that processes that share the guests end together.
LONG = (
    *("test_install", "test_install_venv", "test_package_tools", "test_lifecycle", "test_package_checks"),
    *("test_acceptance", "test_pages", "test_service", "test_sandbox"),
)
FAULT = ROOT / "tests" / "fault"


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """A module's tests on one Debian stand together, whoever else orders tests: each guest boots
    once, and of several processes that share the tests one has them all."""
    if not package.has_older():  # a clone without history can't build it; tests/fault has the ledger itself
        items[:] = [item for item in items if "older" not in getattr(item, "fixturenames", ())]
    for item in _ours(items):
        item.add_marker(pytest.mark.xdist_group("-".join(_guest(item))))
    yield
    ordered = iter(sorted(_ours(items), key=lambda item: (_rank(item.path.stem), _guest(item))))
    items[:] = [next(ordered) if _is_ours(item) else item for item in items]
    # The longest begin while there is other work beside them, so that at the end nobody waits for one.
    longest = [item for item in items if _rank(item.path.stem) < 2]
    others = [item for item in items if _rank(item.path.stem) >= 2]
    begin = next((at for at, item in enumerate(others) if FAULT in item.path.parents), len(others))
    items[:] = [*others[:begin], *longest, *others[begin:]]


def _is_ours(item: pytest.Item) -> bool:
    return ROOT / "tests" / "system" in item.path.parents


def _ours(items: list[pytest.Item]) -> list[pytest.Item]:
    return [item for item in items if _is_ours(item)]


def _guest(item: pytest.Item) -> tuple[str, str]:
    """Its module and Debian."""
    callspec = getattr(item, "callspec", None)  # tests without parameters have none
    return item.path.stem, str(callspec and callspec.params.get("image"))


def _rank(name: str) -> int:
    return LONG.index(name) if name in LONG else len(LONG)


@pytest.fixture(scope="session", params=SUITES)
def image(request: pytest.FixtureRequest) -> Image:
    """The Debian that guests are made of; bootstrapped by the first run.

    Every test runs on each, unless its module picks one: `parametrize("image", [...], indirect=True)`.
    """
    if os.geteuid() != 0:
        pytest.skip("boots a systemd guest, which only root may")
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}; scripts/setup.sh test installs them")
    image = Image(CACHE, request.param)
    image.provide()
    return image


@pytest.fixture(scope="module")
def guest(image: Image) -> Iterator[Guest]:
    """A freshly booted guest, shared by the module's tests."""
    with Guest(image) as guest:
        yield guest


@pytest.fixture(scope="session")
def packages(image: Image) -> Packages:
    """This checkout's package, and its successor's, both for every Debian."""
    return package.provide(Image(image.cache, package.BUILT_UNDER))


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Guest]]:
    """The guests that have the package installed, by Debian: modules share them, as they share no state."""
    guests: dict[str, Guest] = {}
    yield guests
    for guest in guests.values():
        guest.stop()


@pytest.fixture
def installed(image: Image, packages: Packages, servers: dict[str, Guest]) -> Guest:
    """A guest with the package installed, and not running."""
    if image.suite not in servers:
        servers[image.suite] = guest = Guest(image)
        try:
            guest.boot()
            guest.install("logrotate", guest.bring(packages.current.deb))
            guest.systemctl("disable", "--now", UNIT)
        except BaseException:
            servers.pop(image.suite).stop()
            raise
    return servers[image.suite]


@pytest.fixture
def service(installed: Guest) -> Iterator[Service]:
    """The service, not yet configured nor started, without a trace of the tests before."""
    service = Service(installed)
    service.reset()
    yield service
    service.reset()
