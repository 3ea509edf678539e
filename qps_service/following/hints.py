"""What the kernel tells of a log's directory, and what may have been missed."""

from typing import NamedTuple


class Moved(NamedTuple):
    """A rename inside the watched directories."""

    source: str
    target: str


class Appeared(NamedTuple):
    """Something was created under this path, or came to it from elsewhere."""

    path: str


class Gone(NamedTuple):
    """What was under this path was deleted, or went elsewhere."""

    path: str


class Lost(NamedTuple):
    """Events may be missing: the queue overflowed, or nothing was being watched for a while."""


Hint = Moved | Appeared | Gone | Lost
