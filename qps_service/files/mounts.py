"""Whether a file is a mount of its own, by what the kernel tells of an open file's mount and of all mounts.

/proc/self/fdinfo has the number of a file's mount, so that nothing which another mount hides is taken for it
(proc_pid_fdinfo(5)); /proc/self/mountinfo has the rest (proc_pid_mountinfo(5)). Pure: both come in as text.
"""

import os.path
import re
from typing import NamedTuple


class Mount(NamedTuple):
    """A line of mountinfo."""

    parent: int  # the number of the mount that it stands in
    device: bytes  # of its file system
    root: bytes  # what of that is mounted, by its path there
    point: bytes  # where it is


def mount_of(fdinfo: bytes) -> int | None:
    """The number of the mount that an open file is in; None where the kernel tells none."""
    found = re.search(rb"^mnt_id:\s*(\d+)$", fdinfo, re.MULTILINE)
    return int(found[1]) if found else None


def is_alone(mountinfo: bytes, number: int, path: bytes) -> bool:
    """Whether the file at `path`, which has no links in it, is mounted there by itself: it stays there when
    its name is given to another file elsewhere. One that is mounted onto itself, as systemd's ReadWritePaths=
    does, does not: that mount moves with the file's name, and the next file is seen."""
    mounts = _mounts(mountinfo)
    mount = mounts.get(number)
    while mount and mount.point == path:
        parent = mounts.get(mount.parent)
        if not (parent and _is_onto_itself(mount, parent)):
            return True
        mount = parent
    return False


def _is_onto_itself(mount: Mount, parent: Mount) -> bool:
    there = os.path.normpath(os.path.join(parent.root, os.path.relpath(mount.point, parent.point)))
    return (mount.device, mount.root) == (parent.device, there)


def _mounts(mountinfo: bytes) -> dict[int, Mount]:
    lines = (line.split(b" ") for line in mountinfo.split(b"\n") if line)
    return {
        int(number): Mount(int(parent), device, _unescaped(root), _unescaped(point))
        for number, parent, device, root, point, *_ in lines
    }


def _unescaped(field: bytes) -> bytes:
    """Blanks, newlines and backslashes stand there as octal numbers: `\\040` is a blank."""
    return re.sub(rb"\\([0-3][0-7]{2})", lambda escape: bytes([int(escape[1], 8)]), field)
