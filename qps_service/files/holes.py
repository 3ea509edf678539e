"""Holes: NULs that stand in a log, and that nobody wrote.

What a writer without O_APPEND leaves before its next line when its log is truncated under it: it goes on at
its old offset, and reading the hole gives NULs. No line begins with one. A hole may have many TiB and take no
disk at all, so it is passed over where the file system tells how far it goes (lseek(2), SEEK_DATA).

Promise: what is counted is the same as if each byte had been read. So nothing is passed over but where a line
may begin, or within a line that is too long already; and nobody asks before some NULs were read, since a file
system that errs about what was just written would cost lines.
"""

from qps_service.text.regex import regex
from qps_service.values.positions import MARKER_LIMIT

_BEFORE_LINES = regex(rb"(?m)^\0+")
NULS = bytes(MARKER_LIMIT)  # after so many it is asked whether a hole goes on


def without_holes(lines: bytes) -> bytes:
    """Whole lines without the NULs that stand before them."""
    return _BEFORE_LINES.sub(b"", lines) if b"\0" in lines else lines
