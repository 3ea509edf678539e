"""Which format a log has, by its first lines.

The preset that most lines fit is chosen, of several the more specific one. A line fits that counts, has all
of the format, also behind the status, and a size that can be read or is `-`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from qps_service.files.compression import by_magic
from qps_service.formats.line import NOTHING, Reader, Rejected, make_reader, request_of, trim
from qps_service.formats.presets import LogFormat, compile_format

LINES = 100  # looked at: enough to see past a few odd ones
ORDER = ("json", "ltsv", "combined", "common", "default")  # the more specific first

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Choice(NamedTuple):
    """What was found out."""

    format: LogFormat | None  # None if no preset fits any line
    reason: str  # in words


def first_lines(start: bytes) -> list[bytes]:
    """The lines that the start of a log has, LINES at most; one that is cut off only if it is the first."""
    lines = start.split(b"\n", LINES)
    return lines[:LINES] if len(lines) > LINES else lines[:-1] or lines


def choose(lines: Sequence[bytes]) -> Choice:
    """The format that most of these lines fit, and why."""
    lines = [line for line in lines[:LINES] if line.strip()]
    if not lines:
        return Choice(None, "there is no line yet")
    formats = {name: compile_format(name) for name in ORDER}
    readers = {name: make_reader(each) for name, each in formats.items()}
    numbers = {name: sum(_fits(reader, line) for line in lines) for name, reader in readers.items()}
    best = max(ORDER, key=numbers.__getitem__)
    if not numbers[best]:
        return Choice(None, _oddity(lines) or f"none of {len(lines)} lines fits {', '.join(ORDER)}")
    others = "".join(f", {number} {name}" for name, number in numbers.items() if name != best)
    return Choice(formats[best], f"{numbers[best]} of {len(lines)} lines fit {best}{others}")


def fits(log_format: LogFormat, line: bytes) -> bool:
    """Whether a line counts by this format, and has all that it has."""
    return _fits(make_reader(log_format), line)


def _fits(reader: Reader, line: bytes) -> bool:
    line = trim(line, len(line))
    roles = reader.roles(line)
    if roles is None or reader.fields(line) is None:
        return False
    try:
        request = request_of(roles, keep_query=False)
    except Rejected:
        return False
    return request.size is not None or roles.get("bytes", NOTHING) == NOTHING


def _oddity(lines: Sequence[bytes]) -> str | None:
    """What a log is that has no lines of text."""
    if compression := by_magic(lines[0]):
        return f"it is compressed with {compression.name}"
    if lines[0].startswith(_UTF16):
        return "it is in UTF-16, expected UTF-8"
    if any(b"\0" in line for line in lines):
        return "it is binary"
    return None
