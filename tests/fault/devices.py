"""Device numbers that change: volumes that are mounted late, or anew, and machines that start again."""

import gzip
from pathlib import Path

from qps_service.files.kernel import Seen
from qps_service.values.positions import Identity
from tests.fault.mounts import Mount, attached, image
from tests.fault.scenarios import Make
from tests.following import RetoldFiles, Rig, Writer


class Renumbered(RetoldFiles):
    """Devices get other numbers when `shift` changes, as with LVM, loop devices, overlay, NFS and btrfs."""

    def __init__(self, *, has_versions: bool) -> None:
        """`has_versions`: whether the file system tells an inode's version."""
        super().__init__()
        self.shift = 0
        self._has_versions = has_versions

    def identity(self, descriptor: int) -> Identity:
        device, inode, version = super().identity(descriptor)
        return Identity(device + self.shift, inode, version if self._has_versions else None)

    def retell(self, seen: Seen) -> Seen:
        return seen._replace(device=seen.device + self.shift)


class ReusedNumbers(Renumbered):
    """A file has got the number of an inode that is gone by now."""

    def __init__(self, *, has_versions: bool = True) -> None:
        super().__init__(has_versions=has_versions)
        self.reused: dict[int, int] = {}  # a file's number -> the one that it shows

    def retell(self, seen: Seen) -> Seen:
        return super().retell(seen)._replace(inode=self.reused.get(seen.inode, seen.inode))

    def identity(self, descriptor: int) -> Identity:
        identity = super().identity(descriptor)
        return identity._replace(inode=self.reused.get(identity.inode, identity.inode))


class Volume:
    """A log's directory, as the file system of a volume that comes and goes; each time it has another device
    number."""

    def __init__(self, rig: Rig, files: Renumbered) -> None:
        self._directory, self._files = rig.path.parent, files
        self._disk = rig.root / "disk" / "volume"
        self._disk.parent.mkdir()

    def unmount(self) -> None:
        self._directory.rename(self._disk)
        self._directory.mkdir()

    def mount(self) -> None:
        self._directory.rmdir()
        self._disk.rename(self._directory)
        self._files.shift += 1


def put_old_archives(rig: Rig) -> None:
    """What stood beside the log before our time, plain and packed, with times in its lines and without."""
    number = 0
    for name, line in (
        ("access.log.2", b"before our time %d [28/Nov/2026:23:00:%02d]\n"),
        ("access.log.3", b"before our time %d, at an unknown time, %d\n"),
        ("access.log.4.gz", b"packed before our time %d [27/Nov/2026:23:00:%02d]\n"),
    ):
        number += 1000
        text = b"".join(line % (number + each, each) for each in range(60))
        rig.beside(name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)


def begun(make: Make, *, has_versions: bool) -> tuple[Rig, Volume, Writer]:
    """A log on a volume, followed for a while."""
    files = Renumbered(has_versions=has_versions)
    rig = make(files=files)
    put_old_archives(rig)
    writer = rig.writer()
    rig.look()
    writer.lines(50)
    rig.look()
    return rig, Volume(rig, files), writer


def mounted_after_the_start(make: Make, *, has_versions: bool, meanwhile: int) -> None:
    """The start finds an empty directory; what was written before that is read on from where it was."""
    rig, volume, writer = begun(make, has_versions=has_versions)
    for _ in range(2):
        rig.stop()
        writer.lines(meanwhile)
        writer.close()
        volume.unmount()
        rig.start()
        rig.look_often(3)
        volume.mount()
        rig.look()
        writer = rig.writer()
        writer.lines(4)
        rig.look(61)
    rig.check(losses=[])
    assert rig.said("possible_duplicate") == rig.said("recognised") == []


def mounted_after_a_rotation(make: Make, *, has_versions: bool, name: str) -> None:
    """Another machine rotated the log while nobody read it: the rotated file has unread lines."""
    rig, volume, old = begun(make, has_versions=has_versions)
    rig.stop()
    old.lines(7)
    old.close()
    rotated = rig.beside(name.removesuffix(".gz"))
    rig.path.rename(rotated)
    if name.endswith(".gz"):
        rotated.with_name(name).write_bytes(gzip.compress(rotated.read_bytes()))
        rotated.unlink()
    rig.writer().lines(5)
    volume.unmount()
    rig.start()
    rig.look_often(3)
    volume.mount()
    rig.look_often(2)
    rig.writer().lines(3)
    rig.check(losses=[])


def renumbered_by_a_reboot(make: Make, *, has_versions: bool, rotates: bool) -> None:
    """The volume is there when the service starts, under another number, time and again."""
    rig, volume, writer = begun(make, has_versions=has_versions)
    for _ in range(3):
        rig.stop()
        writer.lines(3)
        writer.close()
        if rotates:
            rig.rotate()
            rig.writer().lines(2)
        volume.unmount()
        volume.mount()
        rig.start(rebooted=True)
        rig.look()
        writer = rig.writer()
        writer.lines(2)
        rig.look(61)
    rig.check(losses=[])


def really_mounted_late(make: Make, tmp_path: Path) -> None:
    """One ext4 by two loop devices, one after the other."""
    directory, disk = tmp_path / "volume", image(tmp_path)
    with attached(disk) as first, attached(disk) as second:
        mounted = Mount(directory, first)
        rig = make(path=directory / "access.log")
        put_old_archives(rig)
        writer = rig.writer()
        rig.look()
        writer.lines(50)
        rig.look()
        rig.stop()
        writer.lines(30)
        writer.close()
        mounted.close()
        rig.start()
        rig.look_often(2)
        mounted = Mount(directory, second)
        try:
            rig.look()
            rig.writer().lines(4)
            rig.check(losses=[])
        finally:
            rig.close()
            mounted.close()
