"""The Debian that guests are made of, and what a guest occupies on the host: a directory, a cgroup.

The Debian is a stock one: a minimal system with systemd and apt, and without Python. Guests have no network,
so what tests may install lies in apt's own cache, from where a plain `apt-get install` takes it as if it had
just come from the archive. Apt's lists have these packages alone: of all 60,000, each call of apt would take
seconds to read them.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import select
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("QPS_REPORTER_TEST_CACHE") or ROOT / ".cache" / "system").absolute()
HANG = 120.0  # seconds after which whatever is waited for is taken to hang
PACKAGES = ("dbus", "systemd", "systemd-sysv")
# What can be installed without network, each with all that it depends on, but not what it recommends.
DOWNLOADS = (
    # The program's dependencies, as a package of it would have them, and who rotates its logs.
    *("logrotate", "procps", "python3", "python3-systemd"),
    # To build that package, and to check it.
    *("autopkgtest", "build-essential", "ca-certificates", "debhelper", "devscripts", "dh-python", "git"),
    *("lintian", "pybuild-plugin-pyproject", "python3-dev", "python3-docutils"),
    *("dpkg-repack", "piuparts", "python3-pip", "python3-setuptools", "python3-venv"),
    # What an administrator has at hand, and file systems that hang.
    *("apache2", "bindfs", "curl", "fuse3", "gdb", "jq", "libjs-dygraphs", "man-db", "nginx"),
    *("python3-prometheus-client", "python3-waitress", "sqlite3", "strace"),
)
# mmdebstrap's hook, given the tree, the directory for the packages, and their names. One at a time: together
# they might need less than one alone, where one's dependency can be met by another.
DOWNLOAD = """
set -e
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
apt-get clean
for package in {downloads}; do
    apt-get install --download-only --yes --no-install-recommends "$package"
done
find "$1/var/cache/apt/archives" -name "*.deb" -exec mv --target-directory={packages} {{}} +
for list in "$1"/var/lib/apt/lists/*_Packages; do
    ls {packages} | awk '{known}' - RS= FS="\\n" ORS="\\n\\n" "$list" >"$list.known"
    mv "$list.known" "$list"
done
"""
# Those paragraphs of a list whose package is among the files, the names of which are read first.
KNOWN = """
RS == "\\n" { gsub("%3a", ":"); files[$0]; next }
{ for (i = 1; i <= NF; i++) { split($i, part, ": "); value[part[1]] = part[2] } }
(value["Package"] "_" value["Version"] "_" value["Architecture"] ".deb") in files
"""
TOOLS = ("mmdebstrap", "nsenter", "setpriv", "systemd-nspawn", "tar", "timeout")


class GuestError(Exception):
    """The guest, or a command in it, did not do what was asked; the text holds the evidence."""


class Image:
    """A bootstrapped Debian, kept in `cache` so that the network is needed only once.

    Its tree is a tarball; what can be installed is a directory of packages beside it, of which guests get
    hard links: they take no time and no space.
    """

    def __init__(
        self,
        cache: Path,
        suite: str,
        packages: Sequence[str] = PACKAGES,
        downloads: Sequence[str] = DOWNLOADS,
    ) -> None:
        self.cache = cache
        self.suite = suite
        self.packages = tuple(packages)
        self.downloads = tuple(downloads)

    @property
    def name(self) -> str:
        """It changes with what the image holds."""
        content = repr((self.packages, self.downloads, DOWNLOAD, KNOWN))
        return f"{self.suite}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    @property
    def tarball(self) -> Path:
        """The tree; it is complete, and so is `archives`, when it is there."""
        return self.cache / f"{self.name}.tar"

    @property
    def archives(self) -> Path:
        """The packages that can be installed."""
        return self.cache / f"{self.name}.archives"

    def provide(self) -> None:
        """Bootstrap the image if it isn't there, and remove guests whose test run is dead."""
        (self.cache / "guests").mkdir(parents=True, exist_ok=True)
        with self._locked("lock"):
            for leftover in (self.cache / "guests").iterdir():
                if not _is_held(leftover):
                    _end(leftover)
                    shutil.rmtree(leftover)
        with self._locked(f"{self.suite}.lock"):
            if not self.tarball.exists():
                self._bootstrap()

    def _bootstrap(self) -> None:
        shutil.rmtree(self.archives, ignore_errors=True)  # of a run that was killed here
        self.archives.mkdir()
        unfinished = self.tarball.with_suffix(".unfinished.tar")
        hook = DOWNLOAD.format(
            packages=shlex.quote(str(self.archives)), downloads=" ".join(self.downloads), known=KNOWN
        )
        made = subprocess.run(
            [
                *("mmdebstrap", "--variant=minbase", f"--include={','.join(self.packages)}"),
                *("--skip=cleanup/apt/lists", f"--customize-hook={hook}", self.suite, unfinished),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise GuestError(f"mmdebstrap failed:\n{made.stderr}")
        unfinished.rename(self.tarball)

    def unpack(self) -> tuple[Path, IO[bytes]]:
        """A fresh directory with the image's tree in `root`; it is the caller's while the file stays open."""
        directory = self.cache / "guests" / f"qps-{secrets.token_hex(4)}"
        with self._locked("lock"):
            directory.mkdir()
            held = (directory / "held").open("wb")
            fcntl.flock(held, fcntl.LOCK_EX)
        root = directory / "root"
        root.mkdir()
        subprocess.run(["tar", "-xf", self.tarball, "-C", root], check=True, timeout=HANG)
        for package in self.archives.glob("*.deb"):
            (root / "var/cache/apt/archives" / package.name).hardlink_to(package)
        return directory, held

    def discard(self, directory: Path) -> None:
        """Kill what still runs of the guest in `directory`, and leave nothing of it; the caller holds it."""
        _end(directory)
        if (directory / "root").exists():
            shutil.rmtree(directory / "root")
        # What tells that it is held goes at once: to others, who clean up, it is the caller's or not there.
        with self._locked("lock"):
            shutil.rmtree(directory)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with (self.cache / name).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _is_held(directory: Path) -> bool:
    """Whether a living test run owns the guest in `directory`."""
    try:
        with (directory / "held").open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _end(directory: Path) -> None:
    """Kill what still runs of the guest in `directory`."""
    own = cgroup_of(directory)
    if own.exists():
        (own / "cgroup.kill").write_text("1")
        _await_empty(own)
    for place in _cgroup_mounts("cgroup", "cgroup2"):  # nspawn makes a twin below cgroup v1's name=systemd
        for parent, _, _ in os.walk(place / directory.name, topdown=False):
            Path(parent).rmdir()


def _await_empty(cgroup: Path) -> None:
    with (cgroup / "cgroup.events").open() as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while "populated 1" in events.read():
            if not poll.poll(HANG * 1000):
                raise GuestError(f"processes of {cgroup} do not end")
            events.seek(0)


def cgroup_of(directory: Path) -> Path:
    """The cgroup of the guest in `directory`, below wherever the host has mounted cgroup2."""
    for place in _cgroup_mounts("cgroup2"):
        return place / directory.name
    raise GuestError("no cgroup2 is mounted on this machine")


def _cgroup_mounts(*kinds: str) -> list[Path]:
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return [Path(place) for _, place, kind, *_ in mounts if kind in kinds]
