"""Which files are mounts of their own, by texts as the kernel writes them."""

from collections.abc import Callable

import pytest

from qps_service.files import mounts
from qps_service.files.mounts import is_alone, mount_of
from tests.promised import Patches, Promise, promises


def mount(begin: bytes) -> bytes:
    """A line that begins so."""
    return begin + b" rw,relatime - ext4 /dev/vda rw\n"


ROOT = mount(b"27 1 254:0 / /")
LOGS = mount(b"31 27 254:0 /srv/logs /logs")
LOG, LOGS_LOG = b"/log", b"/logs/access.log"
OTHER_DISK = mount(b"40 27 8:1 /a /log")
TWICE = mount(b"40 27 254:0 /log /log") + mount(b"41 40 254:0 /log /log")
# Whether the file in the mount of this number, at this path, is alone.
FILES: dict[str, tuple[bytes, int, bytes, bool]] = {
    "in no mount but the root": (ROOT, 27, LOGS_LOG, False),
    "in a directory that is mounted": (ROOT + LOGS, 31, LOGS_LOG, False),
    "a file of the same disk": (ROOT + mount(b"40 27 254:0 /srv/logs/access.log /log"), 40, LOG, True),
    "a file of another disk": (ROOT + mount(b"40 27 8:1 /log /log"), 40, LOG, True),
    "a file within a directory that is mounted": (
        *(ROOT + LOGS + mount(b"40 31 254:0 /srv/access.log /logs/access.log"), 40, LOGS_LOG, True),
    ),
    "whose file was deleted outside": (
        *(ROOT + mount(b"40 27 254:0 /srv/access.log//deleted /log"), 40, LOG, True),
    ),
    "a container's, whose root's parent is not seen": (
        b"900 800 0:50 / / rw - overlay overlay rw\n"
        b"901 900 254:0 /var/log/access.log /log ro master:1 - ext4 /dev/vda rw\n",
        *(901, LOG, True),
    ),
    "with blanks, newlines and backslashes": (
        ROOT + mount(rb"40 27 8:1 /a /my\040logs/tab\011line\012back\134slash"),
        *(40, b"/my logs/tab\tline\nback\\slash", True),
    ),
    "with what looks like an escape": (ROOT + mount(rb"40 27 8:1 /a /a\134040"), 40, rb"/a\040", True),
    "with bytes of no text": (ROOT + mount(b"40 27 8:1 /a /\xff\r\x1b"), 40, b"/\xff\r\x1b", True),
    "whose path begins like a mount": (ROOT + OTHER_DISK, 27, b"/log.1", False),
    "hidden by a directory that was mounted over it": (
        *(ROOT + mount(b"40 27 8:1 /a /logs/access.log") + LOGS, 31, LOGS_LOG, False),
    ),
    "mounted onto itself": (
        *(ROOT + mount(b"40 27 254:0 /logs/access.log /logs/access.log"), 40, LOGS_LOG, False),
    ),
    "mounted onto itself, in a directory that is mounted": (
        *(ROOT + LOGS + mount(b"40 31 254:0 /srv/logs/access.log /logs/access.log"), 40, LOGS_LOG, False),
    ),
    "mounted onto itself twice": (ROOT + TWICE, 41, LOG, False),
    "alone, and mounted onto itself": (ROOT + OTHER_DISK + mount(b"41 40 8:1 /a /log"), 41, LOG, True),
    "in a mount that is gone by now": (ROOT, 40, LOG, False),
    "of a kernel that tells nothing": (b"", 40, LOG, False),
}


def check_alone(is_alone: Callable[[bytes, int, bytes], bool]) -> None:
    found = {name: is_alone(mountinfo, mount, path) for name, (mountinfo, mount, path, _) in FILES.items()}
    assert found == {name: alone for name, (_, _, _, alone) in FILES.items()}


def by_its_path(mountinfo: bytes, _number: int, path: bytes) -> bool:
    """Whatever mount it is in."""
    return path in [each.point for each in mounts._mounts(mountinfo).values()]


def onto_itself_too(mountinfo: bytes, number: int, path: bytes) -> bool:
    mount = mounts._mounts(mountinfo).get(number)
    return mount is not None and mount.point == path


ESCAPED = Patches((mounts, "_unescaped", bytes))

test_promise, test_twin = promises(
    Promise(check_alone, is_alone, {"path": by_its_path, "itself": onto_itself_too, "escaped": ESCAPED})
)


@pytest.mark.parametrize(
    ("fdinfo", "mount"),
    [
        (b"pos:\t0\nflags:\t012100000\nmnt_id:\t27\nino:\t12\n", 27),
        (b"pos:\t0\nflags:\t012100000\n", None),
        (b"", None),
    ],
)
def test_the_number_of_a_files_mount(fdinfo: bytes, mount: int | None) -> None:
    assert mount_of(fdinfo) == mount
