"""The Debian package, built from this checkout in guests, without network: the real .deb.

What is built is the checkout as it is, changes that are not committed included: a commit of it, with a date
that is always the same, in a repository of the guest's own.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.system.guest import LONG, Guest
from tests.system.image import HANG, ROOT, Image

BUILT_UNDER = "bookworm"  # the oldest Debian, for every Debian
# What packaging/debian/control wants, and what scripts/build-deb.sh uses.
BUILD_DEPENDS = (
    *("build-essential", "debhelper", "dh-python", "git", "pybuild-plugin-pyproject", "python3-dev"),
    *("python3-docutils", "python3-setuptools"),
)
# What the binary package is made of: other changes need no new one.
PACKAGED = (
    *("qps_service", "packaging", "scripts/build-deb.sh", "pyproject.toml", "setup.py"),
    *("README.md", "OPERATIONS.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs", "CHANGELOG.md", "LICENSE"),
)
COMMIT = (
    *("env", "GIT_AUTHOR_DATE=@1700000000 +0000", "GIT_COMMITTER_DATE=@1700000000 +0000"),
    *("git", "-c", "user.name=tests", "-c", "user.email=tests@example.invalid"),
    *("commit", "--quiet", "--allow-empty", "--message=the checkout under test"),
)
PRODUCTS = ("*.deb", "*.dsc", "*.changes", "*.buildinfo", "*.tar.*")
VERSION, NEXT = "0.1.0", "0.1.1"
# The last commit whose ledger has the first schema, as packages of it that people may have.
OLDER_COMMIT, OLDER = "944d097aced015c072006e950a1e9dda78e9fb1d", "0.0.9"

# The .changes and .dsc stay: only what reads the .deb itself is asked about it.
REPACK = """
set -e
rm -rf {target} /tree
cp -r {source} {target}
dpkg-deb --raw-extract {target}/*.deb /tree
rm {target}/*.deb
cd /tree
{how}
dpkg-deb --root-owner-group --build . {target}
"""
RENUMBER = f"""
sed -i 's/^Version: {VERSION}-/Version: {NEXT}-/' DEBIAN/control
sed -i 's/^__version__ = "{VERSION}"/__version__ = "{NEXT}"/' usr/lib/qps-reporter/qps_service/__init__.py
"""


class Package(NamedTuple):
    """What one build left in a directory, as the host sees it."""

    directory: Path

    @property
    def deb(self) -> Path:
        """The binary package."""
        (deb,) = self.directory.glob("*.deb")
        return deb

    def files(self) -> list[Path]:
        """All that was built, by name."""
        return sorted(path for pattern in PRODUCTS for path in self.directory.glob(pattern))


class Packages(NamedTuple):
    """This checkout's package; the same with the next version number, to upgrade to; and, where the clone has
    it, that of `OLDER_COMMIT`, to upgrade from."""

    current: Package
    next: Package
    older: Package


def provide(image: Image) -> Packages:
    """The packages as built under `image`, by the first who asks: a test run's processes share them."""
    content = hashlib.sha256(image.name.encode() + _sources(_snapshot())).hexdigest()[:16]
    place = image.cache / f"packages-{content}"
    packages = Packages(*(Package(place / name) for name in Packages._fields))
    with _locked(image.cache / "packages.lock"):
        if not place.exists():
            for older in image.cache.glob("packages-*"):
                shutil.rmtree(older)
            unfinished = Path(tempfile.mkdtemp(dir=image.cache, prefix="packages-new-"))
            with Guest(image) as guest:
                guest.install(*BUILD_DEPENDS)
                checkout(guest, "/checkout")
                shutil.copytree(build(guest, "/checkout", "/current").directory, unfinished / "current")
                repack(guest, "/current", "/next", RENUMBER)
                shutil.copytree(guest.path("/next"), unfinished / "next")
                if has_older():
                    checkout(guest, "/history", OLDER_COMMIT)
                    _renumber(guest, "/history", OLDER)
                    shutil.copytree(build(guest, "/history", "/older").directory, unfinished / "older")
            unfinished.rename(place)
    return packages


def is_of_the_commit() -> bool:
    """Whether what is packaged is committed, so that who builds from the commit builds the same."""
    return _sources(_snapshot()) == _sources("HEAD")


def has_older() -> bool:
    """Whether this clone has `OLDER_COMMIT`: one without history has not."""
    try:
        _git("cat-file", "-e", f"{OLDER_COMMIT}^{{commit}}")
    except subprocess.CalledProcessError:
        return False
    return True


def checkout(guest: Guest, inside: str, tree: str = "") -> None:
    """Copy this checkout, or another tree of its repository, into the guest as a repository with one commit,
    and what a build would download."""
    fetch = [str(ROOT / "scripts" / "build-deb.sh"), "--fetch"]
    fetched = subprocess.run(fetch, capture_output=True, text=True, check=False)
    assert not fetched.returncode, fetched.stderr
    target = guest.path(inside)
    target.mkdir(parents=True)
    archive = _git("archive", "--format=tar", tree or _snapshot())
    subprocess.run(["tar", "-x", "-C", target], input=archive, check=True, timeout=HANG)
    shutil.copytree(ROOT / ".cache" / "sources", target / ".cache" / "sources")
    guest.run("git", "init", "--quiet", inside)
    commit(guest, inside)


def commit(guest: Guest, inside: str) -> None:
    """Commit what is in the guest's copy of the checkout."""
    guest.run("git", "-C", inside, "add", "--all")
    guest.run("env", "--chdir", inside, *COMMIT)


def repack(guest: Guest, source: str, target: str, how: str) -> None:
    """Copy the packages of one build from the guest's directory `source`, and change the binary one."""
    guest.run("bash", "-c", REPACK.format(source=source, target=target, how=how))


def _renumber(guest: Guest, inside: str, version: str) -> None:
    """Make another version of the guest's copy of the checkout."""
    for name, text in (
        ("qps_service/__init__.py", f'__version__ = "{VERSION}"'),
        ("packaging/debian/changelog", f"({VERSION}-1)"),
    ):
        path = guest.path(inside) / name
        old = path.read_text()
        assert text in old
        path.write_text(old.replace(text, text.replace(VERSION, version)))
    commit(guest, inside)


def build(
    guest: Guest, inside: str, output: str, environment: Mapping[str, str] | None = None, umask: str = "022"
) -> Package:
    """Build the package from the guest's copy of the checkout into the guest's directory `output`."""
    settings = [f"{name}={value}" for name, value in (environment or {}).items()]
    script = f"umask {umask} && exec bash {inside}/scripts/build-deb.sh {output}"
    guest.run("env", *settings, "sh", "-c", script, hang=LONG)
    return Package(guest.path(output))


@functools.cache
def _snapshot() -> str:
    """The tree of this checkout as it is at the first call: committed, changed and new files."""
    with tempfile.TemporaryDirectory() as directory:
        index = {"GIT_INDEX_FILE": f"{directory}/index"}
        _git("read-tree", "HEAD", environment=index)
        _git("add", "--all", environment=index)
        return _git("write-tree", environment=index).decode().strip()


def _sources(tree: str) -> bytes:
    return _git("ls-tree", "-r", tree, "--", *PACKAGED)


def _git(*arguments: str, environment: Mapping[str, str] | None = None) -> bytes:
    return subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, *arguments],
        env=os.environ | (environment or {}),
        capture_output=True,
        check=True,
        timeout=HANG,
    ).stdout


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
