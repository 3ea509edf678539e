"""Guests have no network, and yet each package that tests need can be installed, on either Debian."""

import json

import pytest

from tests.system.debians import on_one
from tests.system.guest import INSTALL, Guest
from tests.system.image import DOWNLOADS, GuestError

pytestmark = pytest.mark.system


def test_the_guest_is_a_stock_one(guest: Guest) -> None:
    assert guest.run("python3", "--version", check=False).returncode
    assert guest.run("ip", "route", check=False).stdout == ""


def test_all_that_the_packages_need_is_there(guest: Guest) -> None:
    guest.run(*INSTALL, "--download-only", *DOWNLOADS)


@on_one
def test_a_package_that_was_not_downloaded_is_refused(guest: Guest) -> None:
    fetch = (*INSTALL, "--option=Acquire::Retries=0", "--download-only")
    with pytest.raises(GuestError, match="Unable to locate package hello"):
        guest.run(*fetch, "hello")
    (archive,) = guest.path("/var/cache/apt/archives").glob("strace_*.deb")
    away = archive.rename(guest.path("/srv") / archive.name)
    with pytest.raises(GuestError, match="Failed to fetch"):
        guest.run(*fetch, "strace")
    away.rename(archive)


@on_one
def test_a_package_is_installed_and_works(guest: Guest) -> None:
    guest.install("jq")
    assert json.loads(guest.run("jq", "--null-input", "[1 + 1]").stdout) == [2]
