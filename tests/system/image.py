"""The Debian that guests are made of, and what a guest occupies on the host: a directory, a cgroup."""

import contextlib
import fcntl
import hashlib
import os
import secrets
import select
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

HANG = 120.0  # seconds after which whatever is waited for is taken to hang
PACKAGES = ("dbus", "logrotate", "python3", "python3-systemd", "systemd", "systemd-sysv")
TOOLS = ("mmdebstrap", "nsenter", "setpriv", "systemd-nspawn", "tar", "timeout")


class GuestError(Exception):
    """The guest, or a command in it, did not do what was asked; the text holds the evidence."""


class Image:
    """A bootstrapped Debian, kept as a tarball in `cache` so that the network is needed only once."""

    def __init__(self, cache: Path, suite: str, packages: Sequence[str] = PACKAGES) -> None:
        self.cache = cache
        self.suite = suite
        self.packages = tuple(packages)

    @property
    def tarball(self) -> Path:
        """Its name changes with what it holds."""
        content = hashlib.sha256(" ".join(self.packages).encode()).hexdigest()[:8]
        return self.cache / f"{self.suite}-{content}.tar"

    def provide(self) -> None:
        """Bootstrap the image if it isn't there, and remove guests whose test run is dead."""
        (self.cache / "guests").mkdir(parents=True, exist_ok=True)
        with self._locked():
            for leftover in (self.cache / "guests").iterdir():
                if not _is_held(leftover):
                    remove(leftover)
            if self.tarball.exists():
                return
            unfinished = self.tarball.with_suffix(".unfinished.tar")
            packages = ",".join(self.packages)
            made = subprocess.run(
                ["mmdebstrap", "--variant=minbase", f"--include={packages}", self.suite, unfinished],
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
        with self._locked():
            directory.mkdir()
            held = (directory / "held").open("wb")
            fcntl.flock(held, fcntl.LOCK_EX)
        root = directory / "root"
        root.mkdir()
        subprocess.run(["tar", "-xf", self.tarball, "-C", root], check=True, timeout=HANG)
        return directory, held

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.cache / "lock").open("wb") as lock:
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


def remove(directory: Path) -> None:
    """Kill what still runs of the guest in `directory`, and leave nothing of it."""
    own = cgroup_of(directory)
    if own.exists():
        (own / "cgroup.kill").write_text("1")
        _await_empty(own)
    for place in _cgroup_mounts("cgroup", "cgroup2"):  # nspawn makes a twin below cgroup v1's name=systemd
        for parent, _, _ in os.walk(place / directory.name, topdown=False):
            Path(parent).rmdir()
    shutil.rmtree(directory)


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
