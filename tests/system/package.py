"""The Debian package, built from this checkout in a guest of its own, without network: the real .deb."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.system.guest import Guest
from tests.system.image import Image

ROOT = Path(__file__).resolve().parents[2]
# What packaging/debian/control wants, and what scripts/build-deb.sh uses.
TOOLS = ("build-essential", "debhelper", "dh-python", "pybuild-plugin-pyproject", "python3-all")
BUILD = (*TOOLS, "python3-docutils", "python3-setuptools", "git")
# What the binary package is made of: other changes need no new one.
PACKAGED = (
    "qps_service",
    "packaging",
    "scripts/build-deb.sh",
    "pyproject.toml",
    "README.md",
    "OPERATIONS.md",
    "CHANGELOG.md",
    "LICENSE",
)
SOURCE = "/usr/src/qps-reporter"  # where a guest has the checkout
VERSION, NEXT = "0.1.0", "0.1.1"


class Built(NamedTuple):
    """What a build left: each a directory with binary and source package."""

    current: Path  # of this checkout
    next: Path  # the same with the next version number, to upgrade to

    @property
    def deb(self) -> Path:
        """This checkout's binary package."""
        (found,) = self.current.glob("*.deb")
        return found

    @property
    def next_deb(self) -> Path:
        """The binary package to upgrade to."""
        (found,) = self.next.glob("*.deb")
        return found


def built(image: Image) -> Built:
    """The packages as built under `image`, made by the first who asks: processes of a test run share them."""
    commit = _commit()
    blobs = _git("ls-tree", "-r", commit, "--", *PACKAGED)
    content = hashlib.sha256(f"{image.name} {blobs}".encode()).hexdigest()[:16]
    place = image.cache / "packages" / f"{image.suite}-{content}"
    place.parent.mkdir(exist_ok=True)
    with (place.parent / f"{image.suite}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            unfinished = place.with_name(f"unfinished-{place.name}")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            with Guest(image) as guest:
                prepare(guest)
                _build(guest, unfinished / "current")
                renumber(guest, NEXT)
                _build(guest, unfinished / "next")
            for other in place.parent.glob(f"{image.suite}-*"):
                shutil.rmtree(other)
            unfinished.rename(place)
    return Built(place / "current", place / "next")


def prepare(guest: Guest) -> None:
    """Give `guest` the tools, and a checkout that is committed as a whole: what is committed here, and the
    changes to tracked files that are not."""
    guest.install(*BUILD)
    place = guest.path(SOURCE)
    place.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", _commit()], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", place], input=archive.stdout, check=True)
    # Beforehand, as a machine with network would.
    subprocess.run([ROOT / "scripts" / "build-deb.sh", "--fetch"], check=True)
    shutil.copytree(ROOT / ".cache" / "sources", place / ".cache" / "sources")
    guest.run("git", "init", "--quiet", SOURCE)
    commit(guest)


def commit(guest: Guest) -> None:
    """Commit all that was changed in the guest's checkout."""
    guest.run("git", "-C", SOURCE, "add", "--all")
    date = "2026-11-24T00:00:00Z"
    who = ("-c", "user.name=A Packager", "-c", "user.email=packager@localhost")
    dates = ("env", f"GIT_AUTHOR_DATE={date}", f"GIT_COMMITTER_DATE={date}")
    guest.run(*dates, "git", "-C", SOURCE, *who, "commit", "--quiet", "--message=test")


def renumber(guest: Guest, version: str) -> None:
    """Make a next version of the guest's checkout."""
    for name, text in (
        ("qps_service/__init__.py", f'__version__ = "{VERSION}"'),
        ("packaging/debian/changelog", f"({VERSION}-1)"),
    ):
        path = guest.path(SOURCE) / name
        old = path.read_text()
        assert text in old
        path.write_text(old.replace(text, text.replace(VERSION, version)))
    commit(guest)


def _build(guest: Guest, destination: Path) -> None:
    guest.run(f"{SOURCE}/scripts/build-deb.sh", "/built")
    shutil.copytree(guest.path("/built"), destination)
    shutil.rmtree(guest.path("/built"))


def _commit() -> str:
    """A commit of the tracked files as they are, changes that are not committed included."""
    return _git("stash", "create") or _git("rev-parse", "HEAD")


def _git(*arguments: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_COUNT": "0"}
    command = ["git", "-c", f"safe.directory={ROOT}", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()
