"""File systems of a test's own: small ones to be filled, and ext4 that can be taken away."""

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount, or give files away")

# ext4's own ioctl (fs/ext4/ext4.h in the kernel's source): what is not on the disk yet will never be, not
# even the journal's last entries.
_SHUTDOWN, _WITHOUT_FLUSHING_THE_LOG = 0x8004587D, 2


class Mount:
    """A file system of its own, until the test ends."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        subprocess.run(["mount", *arguments, str(directory)], check=True)

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.directory)], check=True)

    def fill(self) -> None:
        """Until not a byte is left."""
        with (self.directory / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(b"\0" * 4096)

    def make_room(self) -> None:
        (self.directory / "filler").unlink()

    def close(self) -> None:
        # As often as it is mounted: what shares mounts with others, a guest say, may have them twice.
        while self.directory.is_mount():
            subprocess.run(["umount", "-l", str(self.directory)], check=True)


@contextmanager
def attached(path: str) -> Iterator[str]:
    """A loop device for an image; two for one image have different device numbers."""
    command = ["losetup", "--find", "--show", path]
    device = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


MakeMount = Callable[..., Mount]


def image(tmp_path: Path) -> str:
    """A new ext4."""
    path = tmp_path / "image"
    path.touch()
    os.truncate(path, 8 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(path)], check=True)
    return str(path)


class Disk(Mount):
    """An ext4 whose machine may lose its power."""

    def __init__(self, directory: Path) -> None:
        self._image = image(directory.parent)
        super().__init__(directory, "-o", "loop", self._image)

    def lose_power(self) -> None:
        """What was synced is there when it is mounted again, and nothing else is."""
        descriptor = os.open(self.directory, os.O_RDONLY)
        fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSHING_THE_LOG))
        os.close(descriptor)
        subprocess.run(["umount", str(self.directory)], check=True)
        # A copy: another mount namespace, a guest's say, may hold the file system that was shut down, and
        # to mount the same image would give that one again.
        lost, self._image = self._image, f"{self._image}+"
        shutil.copy(lost, self._image)
        os.unlink(lost)
        subprocess.run(["mount", "-o", "loop", self._image, str(self.directory)], check=True)
