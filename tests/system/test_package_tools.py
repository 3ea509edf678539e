"""The Debian package, installed by Debian's own tools: sound under autopkgtest and piuparts; offline.

Each check has a package beside it that is spoilt in the way that the check is for.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.system import package
from tests.system.debians import on_one
from tests.system.guest import LONG, Guest
from tests.system.image import HANG, ROOT, GuestError, Image
from tests.system.package import Packages

pytestmark = [pytest.mark.system, pytest.mark.build]

CHECK = "/checkout/scripts/check-package.sh"
GOOD = "/good"
SPOILT = "/spoilt"
# A tree that piuparts can use offline: the image's own, with an archive of what the package depends on.
CHROOT = """
set -e
cd /chroot
mkdir /archive
chroot . apt-get install --print-uris --yes --no-install-recommends procps python3 python3-systemd |
    sed -n "s/^'[^']*' \\([^ ]*\\) .*/\\1/p" |
    while read -r deb; do ln "/var/cache/apt/archives/$deb" /archive/; done
(cd /archive && dpkg-scanpackages . >Packages 2>/dev/null)
rm -rf etc/apt/sources.list etc/apt/sources.list.d/* var/lib/apt/lists/*
echo 'deb [trusted=yes] file:/archive ./' >etc/apt/sources.list
"""
# The guest's own file system has no devices that can be opened.
WITH_DEVICES = "mkdir /piuparts && mount -t tmpfs -o dev,suid,exec,mode=755 tmpfs /piuparts"


@pytest.fixture(scope="module")
def checker(image: Image, packages: Packages) -> Iterator[Guest]:
    """A guest with the tools, and the package in /good."""
    with Guest(image) as guest:
        guest.install("autopkgtest", "dpkg-dev", "dpkg-repack", "piuparts")
        for part in ("scripts", "packaging"):
            shutil.copytree(ROOT / part, guest.path("/checkout") / part)
        shutil.copytree(packages.current.directory, guest.path(GOOD))
        yield guest


def piuparts(guest: Guest, directory: str) -> None:
    """Install, upgrade, remove and purge it in a chroot of the image's Debian."""
    chroot = ("--existing-chroot=/chroot", "--keep-sources-list", "--bindmount=/archive")
    options = (*chroot, "--no-eatmydata", "--tmpdir=/piuparts")
    guest.run("bash", CHECK, "piuparts", directory, *options, hang=LONG)


@pytest.fixture(scope="module")
def chroot(checker: Guest, image: Image) -> Guest:
    """The checker with a tree for piuparts in /chroot."""
    tree = checker.path("/chroot")
    tree.mkdir()
    subprocess.run(["tar", "-xf", image.tarball, "-C", tree], check=True, timeout=HANG)
    checker.run("bash", "-c", CHROOT)
    checker.run("sh", "-c", WITH_DEVICES)
    return checker


@on_one
def test_piuparts_passes_the_upgrade_included(chroot: Guest) -> None:
    piuparts(chroot, GOOD)


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
def test_state_that_a_purge_leaves_behind_is_noticed(chroot: Guest) -> None:
    how = "sed -i 's|-delete|-false|; s|rmdir|:|' DEBIAN/postrm"
    package.repack(chroot, GOOD, SPOILT, how + "; sed -i '2i mkdir -p /var/lib/qps-reporter' DEBIAN/postinst")
    with pytest.raises(GuestError, match=r"/var/lib/qps-reporter/\s+not owned"):
        piuparts(chroot, SPOILT)


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
@pytest.mark.parametrize(
    "how",
    [
        "rm usr/lib/qps-reporter/inotify_simple.py",
        "rm usr/lib/qps-reporter/qps_service/values/counts.py",
    ],
    ids=["without a library", "without a module"],
)
def test_autopkgtest_fails_where_the_program_is_broken(checker: Guest, how: str) -> None:
    package.repack(checker, GOOD, SPOILT, how)
    with pytest.raises(GuestError, match=r"smoke +FAIL"):
        checker.run("bash", CHECK, "autopkgtest", SPOILT, "--test-name=smoke", hang=LONG)
    checker.run("apt-get", "purge", "--yes", "qps-reporter")


@on_one
def test_autopkgtest_passes(checker: Guest) -> None:
    printed = checker.run("bash", CHECK, "autopkgtest", GOOD, hang=LONG).stdout
    for test in ("smoke", "service", "rotation", "upgrade"):
        assert re.search(f"^{test} +PASS$", printed, re.MULTILINE)
