"""Which file it is, and how far it has been read."""

from typing import NamedTuple


class Identity(NamedTuple):
    """What tells one file from another under the same name.

    `version` is the inode's generation number (FS_IOC_GETVERSION), which ext4, xfs and btrfs draw
    anew each time they reuse an inode number; None where the file system tells none.
    """

    device: int
    inode: int
    version: int | None


# The number of what was read of pipes under a log's name: one for all of them, which no file has. Such a
# position counts bytes, and has no text to be known by; its `tail` begins a line whose rest is to come.
PIPES = 0


class Directives(NamedTuple):
    """What a text told of its own format so far (formats/w3c.py); nothing in most formats."""

    lines: int = 0  # that are directives
    last: bytes | None = None  # the one in force; empty where there is none, None where that is not known


class Position(NamedTuple):
    """How far a generation has been consumed; enough to go on later, or to notice that one cannot."""

    identity: Identity
    name: str  # where it was last seen
    offset: int  # bytes consumed, always at the start of a line unless `oversize`
    prefix: bytes  # the file's first bytes, at most PREFIX_LIMIT, never beyond `offset`
    marker: bytes  # the bytes right before `offset`, at most MARKER_LIMIT
    oversize: bool  # inside a line over the limit, whose rest is still to be skipped
    marks: bytes = b""  # digests of what stands before fixed places up to `offset` (files/fingerprint.py)
    number: int = 0  # of the generation within its log, from 1; 0 before it is given one, and for PIPES
    begun: int = 0  # what stands before this byte was there before our time, and is not counted
    lines: int = 0  # read of it so far: requests, rejected ones and directives
    rejected: int = 0  # of these lines
    modified: int = 0  # st_mtime when it was last read, nanoseconds
    unended: int = 0  # how many more lines than newlines were read of it (following/generation.py tells why)
    tail: bytes = (
        b""  # digest and length of each of the last lines (files/recognition.py); empty where not known
    )
    owner: int | None = None  # uid of the file's owner when it was last read; None where not known
    directives: int = 0  # of the lines, as in Directives
    directive: bytes | None = None  # the last of these, likewise


class IgnoredFile(NamedTuple):
    """A file beside the log that is not to be read: a copy, a backup, older than our time."""

    device: int
    inode: int
    version: int | None  # as in Identity
    changed: int  # st_ctime at the last look, nanoseconds
    size: int | None = None  # st_size at the last look; None where not known
    modified: int | None = None  # st_mtime likewise, nanoseconds
    digest: bytes = b""  # of the first KiB of its text, unpacked; empty where that proves nothing


PREFIX_LIMIT = 1024  # bytes; enough lines to differ, small enough to keep for hundreds of generations
MARKER_LIMIT = 64  # bytes re-read before each read; a truncated and regrown log differs in them
