"""What became of a file since it was last read: decided from values alone, without a look at the disk."""

from enum import Enum
from typing import NamedTuple

from qps_service.values.positions import Position


class Change(Enum):
    """What became of a file since it was last read."""

    SAME = "same"
    GREW = "grew"
    TRUNCATED = "truncated"
    REPLACED = "replaced"


class Look(NamedTuple):
    """A look at the file that is now at the path of a held one."""

    device: int
    inode: int
    size: int
    before: bytes  # what stands right before the held offset, as many bytes as the marker has


def decide(held: Position, look: Look) -> Change:
    """Compare what is held with what is there.

    Size alone does not tell: a log that was truncated and has regrown past the offset is larger than
    before. The bytes before the offset do, because what is consumed never changes otherwise.
    """
    if (look.device, look.inode) != held.identity[:2]:
        return Change.REPLACED
    if look.size < held.offset or look.before != held.marker:
        return Change.TRUNCATED
    return Change.GREW if look.size > held.offset else Change.SAME
