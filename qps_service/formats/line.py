"""What one line means: the reference that every scanner follows.

A line of text is matched from left to right and never looked at twice, so the time for a hostile line
is proportional to its length. A field runs up to the first place where the literal that follows it
stands, and the last one to the end of the line. Between double quotes it ends at the first quote that has
no backslash before it, as Apache and nginx escape what comes from outside.

A line of JSON is one object, whose members count (json_members.py): of several with the same path the
first.

A line ends before a carriage return that precedes its newline, and begins after a UTF-8 byte order mark.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from qps_service.formats.json_members import members_of
from qps_service.formats.log_format import is_quoted
from qps_service.formats.presets import Field, LogFormat, Member
from qps_service.formats.timestamps import seconds_of
from qps_service.values.counts import BYTES, FIELDS, NOT_HTTP, STATUS, TOO_LONG

Piece = Field | bytes  # of a text format

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSION = re.compile(rb"HTTP/[0-9.]+")
_QUERY = re.compile(rb"[?#]")
_STATUS = re.compile(rb"[0-9]{3}")
_BYTES = re.compile(rb"[0-9]{1,20}")  # 2**64 - 1 has 20 digits
_BYTES_LIMIT = 2**64


class Rejected(Exception):  # noqa: N818  it is an outcome, not an error
    """Why a line is no request: one of REASONS."""


class Request(NamedTuple):
    """A line that counts."""

    method: bytes
    target: bytes  # up to the query, unless that is to be kept
    status: int
    size: int  # bytes


class Reader(Protocol):
    """Finds a format's fields in a line."""

    def fields(self, line: bytes) -> Sequence[tuple[str, bytes]] | None:
        """All of them, name and value; None for a line that has another shape."""

    def roles(self, line: bytes) -> Mapping[str, bytes] | None:
        """Those that count, by their role."""


def make_reader(log_format: LogFormat) -> Reader:
    """What reads lines of this format."""
    if log_format.members:
        return JsonReader(log_format.members)
    return TextReader(log_format.pieces, is_lenient=log_format.is_lenient)


def trim(line: bytes, max_line: int) -> bytes:
    """What is looked at of a line without its newline. Raises Rejected for more than `max_line` bytes."""
    line = line.removesuffix(b"\r")
    if len(line) > max_line:
        raise Rejected(TOO_LONG)
    return line.removeprefix(BYTE_ORDER_MARK)


def request_of(roles: Mapping[str, bytes] | None, *, keep_query: bool) -> Request:
    """What these fields say. Raises Rejected."""
    if roles is None or "status" not in roles or not ("request" in roles or "route" in roles):
        raise Rejected(FIELDS)
    if "request" in roles:
        method, _, rest = roles["request"].partition(b" ")
        target, _, version = rest.rpartition(b" ")
        if not _VERSION.fullmatch(version):
            target = rest
    else:
        method, target = roles.get("method", b"-"), roles["route"]
    if not target or not _TOKEN.fullmatch(method):
        raise Rejected(NOT_HTTP)
    if not keep_query:
        target = _QUERY.split(target, maxsplit=1)[0]
    if not _STATUS.fullmatch(roles["status"]):
        raise Rejected(STATUS)
    return Request(method, target, int(roles["status"]), _size(roles.get("bytes", b"-")))


def time_of(roles: Mapping[str, bytes] | None) -> int | None:
    """When it was, Unix seconds; None if no time can be read."""
    return seconds_of(roles["time"]) if roles and "time" in roles else None


def _size(text: bytes) -> int:
    if text == b"-":
        return 0
    if not _BYTES.fullmatch(text) or int(text) >= _BYTES_LIMIT:
        raise Rejected(BYTES)
    return int(text)


class TextReader:
    """Literal text with fields between."""

    def __init__(self, pieces: Sequence[Piece], *, is_lenient: bool = False) -> None:
        self._fields = [piece for piece in pieces if isinstance(piece, Field)]
        patterns = zip(pieces, patterns_of(pieces), strict=True)
        groups = [b"(" + each + b")" if isinstance(piece, Field) else each for piece, each in patterns]
        self._strict = re.compile(b"".join(groups), re.DOTALL)
        self._blanks = re.compile(_blank_pattern(len(self._fields))) if is_lenient else None

    def fields(self, line: bytes) -> Sequence[tuple[str, bytes]] | None:
        """All of them, name and value; None for a line that has another shape."""
        match = self._match(line)
        if match is None:
            return None
        return [(field.name, text) for field, text in zip(self._fields, match.groups(), strict=True)]

    def roles(self, line: bytes) -> Mapping[str, bytes] | None:
        """Those that count, by their role."""
        match = self._match(line)
        return None if match is None else self._by_role(match)

    def _match(self, line: bytes) -> re.Match[bytes] | None:
        strict = self._strict.fullmatch(line)
        if self._blanks and (strict is None or not _STATUS.fullmatch(self._by_role(strict)["status"])):
            return self._blanks.fullmatch(line) or strict
        return strict

    def _by_role(self, match: re.Match[bytes]) -> dict[str, bytes]:
        named = zip(self._fields, match.groups(), strict=True)
        return {field.role: text for field, text in named if field.role}


def patterns_of(pieces: Sequence[Piece]) -> list[bytes]:
    """A regular expression for each piece of a line; together they never go back."""
    around = zip((b"", *pieces), pieces, (*pieces[1:], b""), strict=False)
    return [
        _field_pattern(before, following) if isinstance(piece, Field) else re.escape(piece)
        for before, piece, following in around
    ]


def _field_pattern(before: Piece, following: Piece) -> bytes:
    """What is in a field between these; no two fields stand together."""
    if isinstance(before, Field) or isinstance(following, Field):
        raise TypeError("expected text between two fields")
    if not following:
        return b".*+"
    end = re.escape(following)
    if is_quoted(before, following):
        return rb'(?:[^"\\\n]|\\.)*+'
    if len(following) == 1:
        return rb"[^\n" + end + b"]*+"
    return b"(?>.*?(?=" + end + b"))"


def _blank_pattern(fields: int) -> bytes:
    """As the log looks when copied from a terminal: runs of blanks in place of every literal."""
    return rb"[ \t]++".join([rb"([^ \t]++)"] * fields) + rb"[ \t]*+"


class JsonReader:
    """One object."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._paths = {member.path for member in members}

    def fields(self, line: bytes) -> Sequence[tuple[str, bytes]] | None:
        """Every string and word in it, with its path; None for what is not one object."""
        found = members_of(line)
        if found is None:
            return None
        return [(path.decode(errors="backslashreplace"), text) for path, text in found.items()]

    def roles(self, line: bytes) -> Mapping[str, bytes] | None:
        """Those that count, by their role."""
        found = members_of(line)
        if found is None:
            return None
        roles: dict[str, bytes] = {}
        for member in self._members:
            if member.path in found:
                roles.setdefault(member.role, found[member.path])
        return roles
