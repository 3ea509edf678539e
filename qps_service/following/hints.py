"""What the kernel tells of a log's directory, and what may have been missed."""

from enum import Enum
from typing import NamedTuple


class Moved(NamedTuple):
    """A rename inside the watched directories."""

    source: str
    target: str


class Appeared(NamedTuple):
    """Something was created under this path, or came to it from elsewhere."""

    path: str
    created: bool = True


class Gone(NamedTuple):
    """What was under this path was deleted, or went elsewhere."""

    path: str


class Lost(NamedTuple):
    """Events may be missing: the queue overflowed, or nothing was being watched for a while."""

    directory: str = ""  # where; empty for everywhere


Hint = Moved | Appeared | Gone | Lost


class Arrival(Enum):
    """How the file came that is at the log's path."""

    CREATED = "the name was left, by a rotation, and then a file was created under it"
    MOVED = "it was put into its place by a rename"
    UNSEEN = "nobody watched"
