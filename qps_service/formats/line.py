"""What one line means: the reference that every scanner follows.

Method, route and status decide. A line is a request if it has its format's shape up to the status, and that
can be read. What stands behind it takes no request out of the count: what is missing or odd there is not
known, and what no role wants is not looked at.

A line of text is matched from left to right and never looked at twice, so the time for a hostile line
is proportional to its length. A field runs up to the first place where the literal that follows it
stands, and the last one to the end of the line. Between double quotes it ends at the first quote that has
no backslash before it, as Apache and nginx escape what comes from outside.

Some servers escape no quote. So where a quote ends the request, or the route, and the status follows, it is
the first quote behind which the status can be read. A line may be cut, right behind the status or wherever
later: then the status ends with the line, as do method, route and request, but no measure does.

Where a line ends with its duration, behind fields in quotes that nobody wants, as behind the agent, the
duration is what stands behind the last such literal: whatever clients say of themselves, the server has the
last word.

A line of the combined family has rules of its own (combined.py). Where fields have names, in JSON and LTSV,
those count (named_fields.py).

Where there are several formats, a line is a request by the first of them that can read it, and else a reject
for the reason of the one that got furthest: `status` before `fields`.

What others put around a line that can't be read as it stands is taken off (wrapping.py).

A line ends before a carriage return that precedes its newline, and begins after a UTF-8 byte order mark.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, Protocol

from qps_service.formats.combined import CombinedReader
from qps_service.formats.durations import nanoseconds_of
from qps_service.formats.log_format import DECIDING, HOST, ends_in_list, is_quoted
from qps_service.formats.named_fields import JsonReader, LtsvReader
from qps_service.formats.presets import Field, LogFormat
from qps_service.formats.timestamps import seconds_of
from qps_service.formats.wrapping import unwrap
from qps_service.text.regex import regex
from qps_service.values.counts import FIELDS, STATUS, TOO_LONG

Piece = Field | bytes  # of a text format

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NOTHING = b"-"  # as servers write what there is not: the method and the route of what they could not read

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSION = re.compile(rb"HTTP/[0-9.]+|1\.[01]|[23]")  # hypercorn writes it without its name
_QUERY = re.compile(rb"[?#]")
_BLANKS = re.compile(rb"  +")
_COLORS = re.compile(rb"(?:\x1b\[[0-9;]*+m)++")
_STATUS = re.compile(rb"[0-9]{3}")
_UNANSWERED = (b"", b"0", b"-", b"-1")  # for 000
SWITCHED = 101  # the connection went on as another protocol: its time is how long it lived
_BYTES = re.compile(rb"[0-9]{1,20}")  # 2**64 - 1 has 20 digits
_BYTES_LIMIT = 2**64


class Rejected(Exception):  # noqa: N818  it is an outcome, not an error
    """Why a line is no request: one of REASONS."""


class Request(NamedTuple):
    """A line that counts."""

    method: bytes
    target: bytes  # up to the query, unless that is to be kept; the host and a blank before it, if it is
    status: int
    size: int | None  # bytes; None where the line does not tell it
    duration: int | None = None  # nanoseconds, likewise


class Reader(Protocol):
    """Finds a format's fields in a line."""

    def fields(self, line: bytes) -> Sequence[tuple[str, bytes]] | None:
        """All of them, name and value; None for a line that has another shape, be it behind the status."""

    def roles(self, line: bytes) -> Mapping[str, bytes] | None:
        """Those that count, by their role, as far as they were found, and `unit`, that of the duration; None
        for a line that has another shape up to the status."""


def make_reader(log_format: LogFormat) -> Reader:
    """What reads lines of this format."""
    if log_format.others:
        return ListReader([make_reader(each) for each in log_format.listed])
    return Unwrapping(plain_reader(log_format), begins_with_field=begins_with_field(log_format.pieces))


def plain_reader(log_format: LogFormat) -> Reader:
    """Likewise, of lines that nobody wrapped."""
    if log_format.members:
        return LtsvReader(log_format.members) if log_format.is_ltsv else JsonReader(log_format.members)
    if log_format.is_combined:
        return CombinedReader(keeps_host=log_format.has_host)
    return TextReader(log_format.pieces, is_lenient=log_format.is_lenient)


class Reading(NamedTuple):
    """How a line is read."""

    roles: Mapping[str, bytes] | None
    line: bytes  # what is looked at of it
    around: bytes  # what was taken off


class Unwrapping:
    """Reads a line as it stands, or else what is left where what is around it was taken off. The other way
    round if it is an object, and a format of text begins with a field, which would take any start."""

    def __init__(self, reader: Reader, *, begins_with_field: bool) -> None:
        self._reader = reader
        self._begins_with_field = begins_with_field

    def read(self, line: bytes) -> Reading:
        """How a line is read."""
        is_first = self._begins_with_field and line.startswith(b"{")
        inner = self._unwrapped(line) if is_first else None
        if inner:
            return inner
        roles = self._reader.roles(line)
        inner = self._unwrapped(line) if why_rejected(roles) and not is_first else None
        return inner or Reading(roles, line, b"")

    def _unwrapped(self, line: bytes) -> Reading | None:
        """What is left, if that is a request."""
        if wrapped := unwrap(line):
            roles = self._reader.roles(wrapped.line)
            return None if why_rejected(roles) else Reading(roles, *wrapped)
        return None

    def fields(self, line: bytes) -> Sequence[tuple[str, bytes]] | None:
        """As of a reader."""
        return self._reader.fields(self.read(line).line)

    def roles(self, line: bytes) -> Mapping[str, bytes] | None:
        """As of a reader."""
        return self.read(line).roles


def trim(line: bytes, max_line: int) -> bytes:
    """What is looked at of a line without its newline. Raises Rejected for more than `max_line` bytes."""
    line = line.removesuffix(b"\r")
    if len(line) > max_line:
        raise Rejected(TOO_LONG)
    return line.removeprefix(BYTE_ORDER_MARK)


def request_of(roles: Mapping[str, bytes] | None, *, keep_query: bool, keep_host: bool = False) -> Request:
    """What these fields say. Raises Rejected."""
    reason = why_rejected(roles)
    if reason or roles is None:
        raise Rejected(reason)
    status = status_of(roles["status"]) or 0
    if "request" in roles:
        method, _, rest = _with_single_blanks(_uncolored(roles["request"])).partition(b" ")
        target, _, version = rest.rpartition(b" ")
        if not _VERSION.fullmatch(version):
            target = rest
        if method == NOTHING:  # as ALB writes it, with the host behind
            target = NOTHING
    else:
        method, target = roles.get("method", NOTHING), _with_single_blanks(roles["route"])
    if target in (b"", NOTHING) or not _TOKEN.fullmatch(method):
        method = target = NOTHING
    else:
        if not keep_query:
            target = _QUERY.split(target, maxsplit=1)[0]
        if keep_host:
            target = _host(roles.get(HOST, NOTHING)) + b" " + target
    return Request(method, target, status, _size(roles.get("bytes", NOTHING)), duration_of(roles, status))


def why_rejected(roles: Mapping[str, bytes] | None) -> str | None:
    """The reason why fields are no request; None if they are one."""
    if roles is None or "status" not in roles or not ("request" in roles or "route" in roles):
        return FIELDS
    return STATUS if status_of(roles["status"]) is None else None


def status_of(text: bytes) -> int | None:
    """The status that a text stands for; None for one that is none. Patterns of whole lines have the same
    digits: `_status_pattern` here, `combined`, scanning/pure and scanning/c/program.h."""
    if _STATUS.fullmatch(text):
        return int(text)
    return 0 if text in _UNANSWERED else None


def duration_of(roles: Mapping[str, bytes], status: int) -> int | None:
    """How long it took, nanoseconds; None where that can't be read, or is none."""
    if "duration" not in roles or status == SWITCHED:
        return None
    return nanoseconds_of(roles["duration"], roles["unit"].decode())


def time_of(roles: Mapping[str, bytes] | None) -> int | None:
    """When it was, Unix seconds; None if no time can be read."""
    return seconds_of(roles["time"]) if roles and "time" in roles else None


def _host(text: bytes) -> bytes:
    """As it stands: what a host is, the route's maker says (qps_service.counting.routes)."""
    return NOTHING if b" " in text else text or NOTHING


def _uncolored(request: bytes) -> bytes:
    """Without what makes it appear in colours: Werkzeug writes them for whatever is not 200, to files too."""
    colors = _COLORS.match(request)
    return request[colors.end() :].removesuffix(b"\x1b[0m") if colors else request


def _with_single_blanks(text: bytes) -> bytes:
    """None at the ends, and one in place of several."""
    text = text.strip(b" ")
    return _BLANKS.sub(b" ", text) if b"  " in text else text


def _size(text: bytes) -> int | None:
    if not _BYTES.fullmatch(text) or int(text) >= _BYTES_LIMIT:
        return None
    return int(text)


class TextReader:
    """Literal text with fields between."""

    def __init__(self, pieces: Sequence[Piece], *, is_lenient: bool = False) -> None:
        self._pieces = pieces
        self._fields = [piece for piece in pieces if isinstance(piece, Field)]
        self._unit = unit_of(pieces)
        self._count = _Shape(pieces, wants_all=False)
        self._odd = regex(_odd_status_pattern(pieces), re.DOTALL)
        self._blanks = _Blanks(self._fields) if is_lenient else None

    def fields(self, line: bytes) -> Sequence[tuple[str, bytes]] | None:
        """All of them, name and value; None for a line that has another shape, be it behind the status."""
        if self._blanks and self._of_blanks(line, self._count.roles(line)):
            match = self._blanks.whole(line)
        else:
            match = self._whole.fullmatch(line)
        if match is None:
            return None
        return [(field.name, text) for field, text in zip(self._fields, match.groups(), strict=True)]

    @cached_property
    def _whole(self) -> re.Pattern[bytes]:
        return re.compile(whole_pattern(self._pieces), re.DOTALL)

    def roles(self, line: bytes) -> Mapping[str, bytes] | None:
        """Those that count, by their role, as far as they were found; None for a line that has another shape
        up to the status."""
        roles = self._count.roles(line)
        if blanks := self._of_blanks(line, roles):
            return blanks
        if roles is None:
            odd = self._odd.match(line)
            return {"status": odd[1], "route": b""} if odd else None
        if "request" not in roles:  # cut off
            roles.setdefault("route", b"")
        return self._with_unit(roles)

    def parts(self, line: bytes) -> "_Parts":
        """Every field of a line that counts, with its place and value, as far as they are there; and what is
        left of the line."""
        if self._blanks and self._of_blanks(line, self._count.roles(line)):
            return self._blanks.parts(line)
        return _Shape(self._pieces, wants_all=True).parts(line)

    def _of_blanks(self, line: bytes, strict: Mapping[str, bytes] | None) -> Mapping[str, bytes] | None:
        """The roles of a line where blanks stand for the literals; None for any other. `strict`: what the
        literals tell."""
        if not self._blanks or (strict and strict["status"]):
            return None
        roles = self._with_unit(self._blanks.roles(line, is_cut=strict is None) or {})
        return roles if roles and (strict is None or status_of(roles["status"]) is not None) else None

    def _with_unit(self, roles: dict[str, bytes]) -> dict[str, bytes]:
        return {**roles, "unit": self._unit} if "duration" in roles else roles


_Parts = tuple[Sequence[tuple[Field, int, bytes]], bytes]  # fields with place and value; the rest of the line


class _Shape:
    """Finds the fields of a line whose status can be read."""

    def __init__(self, pieces: Sequence[Piece], *, wants_all: bool) -> None:
        """`wants_all`: those too that have no role."""
        self._pieces = pieces
        self._patterns = patterns_of(pieces)
        self._wants_all = wants_all
        self._fields: list[Field] = []  # of the groups, some with two
        status = status_place(pieces)
        raw = is_raw(pieces)
        self._split = status - 2 if raw else status  # the piece with which the status is looked for
        head = b"".join(self._strict(place) for place in range(self._split))
        self._head_fields = len(self._fields)
        text = self._strict(self._split) if raw else b""
        rest = (self._patterns[status - 1] if raw else b"") + self._from_status(status)
        self._pattern = re.compile(head + text + rest, re.DOTALL)
        self._raw = None
        if raw:
            read = _read_pattern(literal_at(pieces, status + 1))
            quote = b'"(?=' + re.escape(literal_at(pieces, status - 1)[1:]) + read + b")"
            escape = rb"\\.|" if _is_escaped(pieces, self._split) else b""
            self._raw = [regex(each, re.DOTALL) for each in (head, escape + quote, rest)]

    def roles(self, line: bytes) -> dict[str, bytes] | None:
        """Those that count; None for any other line."""
        match = self._pattern.match(line)
        if match:
            named = zip(self._fields, match.groups(), strict=True)
            return {field.role: text for field, text in named if text is not None and field.role}
        parts = self._raw_parts(line)
        return {field.role: text for field, _, text in parts[0] if field.role} if parts else None

    def parts(self, line: bytes) -> _Parts:
        """All of them, and what is left of the line."""
        match = self._pattern.match(line)
        if match:
            return _groups(self._fields, match), line[match.end() :]
        return self._raw_parts(line) or ((), line)

    def _raw_parts(self, line: bytes) -> _Parts | None:
        """Likewise, up to the first quote behind which a status can be read. Not by one regular expression: a
        group that is repeated takes memory each time, or is not undone rightly (python/cpython#106052)."""
        field = self._pieces[self._split]
        if not self._raw or not isinstance(field, Field):
            return None
        head, quote, rest = self._raw
        begin = head.match(line)
        for found in quote.finditer(line, begin.end()) if begin else ():
            end = rest.match(line, found.start()) if found[0] == b'"' else None
            if begin and end:
                text = line[begin.end() : found.start()]
                before = _groups(self._fields[: self._head_fields], begin)
                behind = _groups(self._fields[self._head_fields + 1 :], end)
                return [*before, (field, begin.end(), text), *behind], line[end.end() :]
        return None

    def _strict(self, place: int) -> bytes:
        return self._group(self._pieces[place], self._patterns[place])

    def _from_status(self, status: int) -> bytes:
        literal = literal_at(self._pieces, status + 1)
        read = self._group(self._pieces[status], _status_pattern(literal))
        if not literal:
            return read
        begun = _begun(literal)
        behind = self._behind(status + 2)
        return rb"(?!%b\Z)%b(?:%b%b|%b\Z)" % (begun, read, re.escape(literal), behind, begun)

    def _behind(self, place: int) -> bytes:
        """From a field behind the status on, as far as it goes."""
        if place == tail_place(self._pieces) and not self._wants_all:
            literal = re.escape(literal_at(self._pieces, len(self._pieces) - 2))
            return b"(?:.*%b%b)?" % (literal, self._group(self._pieces[-1], b".*+"))
        left = [piece for piece in self._pieces[place:] if isinstance(piece, Field)]
        if not any(self._wants_all or field.role for field in left):
            return b""
        strict = self._strict(place) + re.escape(literal_at(self._pieces, place + 1))
        rest = self._behind(place + 2)
        if left[0].role in DECIDING:
            return b"(?:%b%b|%b)" % (strict, rest, self._group(left[0], _cut_pattern(self._pieces, place)))
        return b"(?:%b%b)?" % (strict, rest)

    def _group(self, piece: Piece, pattern: bytes) -> bytes:
        if isinstance(piece, Field) and (self._wants_all or piece.role):
            self._fields.append(piece)
            return b"(" + pattern + b")"
        return pattern


class _Blanks:
    """Lines as the log looks when copied from a terminal: runs of blanks in place of every literal."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = fields
        self.status = next(number for number, field in enumerate(fields) if field.role == "status")
        pattern = b""
        for number in reversed(range(len(fields))):
            rest = rb"[ \t]++" + pattern if pattern else b""
            pattern = rb"([^ \t]++)" + (rb"(?:%b)?" % rest if number >= self.status else rest)
        self._pattern = re.compile(pattern)

    def whole(self, line: bytes) -> re.Match[bytes] | None:
        """All of them; None for a line that has more or less."""
        match = self._pattern.match(line)
        if match is None or match[len(self._fields)] is None or line[match.end() :].strip(b" \t"):
            return None
        return match

    def parts(self, line: bytes) -> _Parts:
        """All of them, and what is left of the line."""
        match = self._pattern.match(line)
        return (_groups(self._fields, match), line[match.end() :]) if match else ((), line)

    def roles(self, line: bytes, *, is_cut: bool) -> dict[str, bytes] | None:
        """Those that count, of a line that has all fields and no more, and with `is_cut` also of one that has
        a status of three digits; None for any other."""
        match = self._pattern.match(line)
        if match is None:
            return None
        if not (self.whole(line) or (is_cut and _STATUS.fullmatch(match[self.status + 1]))):
            return None
        named = zip(self._fields, match.groups(), strict=True)
        return {field.role: text for field, text in named if text is not None and field.role}


def _groups(fields: Sequence[Field], match: re.Match[bytes]) -> list[tuple[Field, int, bytes]]:
    found = [(group, field) for group, field in enumerate(fields, 1) if match[group] is not None]
    return [(field, match.start(group), match[group]) for group, field in found]


def begins_with_field(pieces: Sequence[Piece]) -> bool:
    """Whether nothing tells where a line of text begins."""
    return bool(pieces) and isinstance(pieces[0], Field)


def status_place(pieces: Sequence[Piece]) -> int:
    """Where the status stands among the pieces."""
    return next(
        place for place, piece in enumerate(pieces) if isinstance(piece, Field) and piece.role == "status"
    )


def unit_of(pieces: Sequence[Piece]) -> bytes:
    """That of their duration; nothing where there is none."""
    units = [piece.unit for piece in pieces if isinstance(piece, Field) and piece.unit]
    return units[0].encode() if units else b""


def tail_place(pieces: Sequence[Piece]) -> int | None:
    """Where the fields in quotes begin behind which a line ends with its duration; None if it does not."""
    place = last = len(pieces) - 1
    piece, status = pieces[last], status_place(pieces)
    if not isinstance(piece, Field) or piece.role != "duration":
        return None
    while place - 2 > status:
        before = pieces[place - 2]
        is_skipped = isinstance(before, Field) and before.role is None
        if not (is_skipped and is_quoted(pieces[place - 3], pieces[place - 1])):
            break
        place -= 2
    return place if place < last else None


def literal_at(pieces: Sequence[Piece], place: int) -> bytes:
    """The literal that is the piece there; none at the end."""
    piece = pieces[place] if 0 <= place < len(pieces) else b""
    if isinstance(piece, Field):
        raise TypeError("expected text between two fields")
    return piece


def is_raw(pieces: Sequence[Piece]) -> bool:
    """Whether a quote ends the request, or the route, and the status is what follows."""
    status = status_place(pieces)
    before = pieces[status - 2] if status > 1 else None
    is_route = isinstance(before, Field) and before.role in ("request", "route")
    return is_route and literal_at(pieces, status - 1).startswith(b'"')


def whole_pattern(pieces: Sequence[Piece]) -> bytes:
    """A whole line that has all the pieces, with a group for each field."""
    patterns = zip(pieces, patterns_of(pieces), strict=True)
    return b"".join(b"(" + each + b")" if isinstance(piece, Field) else each for piece, each in patterns)


def patterns_of(pieces: Sequence[Piece]) -> list[bytes]:
    """A regular expression for each piece of a line; together they never go back."""
    around = zip((b"", *pieces), pieces, (*pieces[1:], b""), strict=False)
    return [
        _field_pattern(before, piece, following) if isinstance(piece, Field) else re.escape(piece)
        for before, piece, following in around
    ]


def _field_pattern(before: Piece, piece: Field, following: Piece) -> bytes:
    """What is in a field between these; no two fields stand together."""
    if isinstance(before, Field) or isinstance(following, Field):
        raise TypeError("expected text between two fields")
    if not following:
        return b".*+"
    end = re.escape(following)
    if is_quoted(before, following):
        return rb'(?:[^"\\\n]++|\\.)*+'
    if ends_in_list(piece, following):
        return rb"(?:[^\n ,]++|, ?| : )*+"
    if len(following) == 1:
        return rb"[^\n" + end + b"]*+"
    return b"(?>.*?(?=" + end + b"))"


def _status_pattern(literal: bytes) -> bytes:
    """A status that can be read, up to the first place where the literal stands, or the line's end."""
    if not literal:
        return rb"(?:[0-9]{3}|-1|[-0]|)\Z"
    ahead = b"(?!" + re.escape(literal) + b")"
    return rb"(?>N[0-9]N[0-9]N[0-9]|N-N1|N[-0]|)".replace(b"N", ahead)


def _begun(literal: bytes) -> bytes:
    """What a cut leaves of a literal, be it nothing."""
    return b"(?:%b)" % b"|".join(re.escape(literal[:length]) for length in reversed(range(len(literal))))


def _read_pattern(literal: bytes) -> bytes:
    """A status that can be read, and what follows it."""
    read = _status_pattern(literal)
    begun = _begun(literal)
    return rb"(?!%b\Z)%b(?:%b|%b\Z)" % (begun, read, re.escape(literal), begun) if literal else read


def _is_escaped(pieces: Sequence[Piece], place: int) -> bool:
    return is_quoted(literal_at(pieces, place - 1), literal_at(pieces, place + 1))


def _cut_pattern(pieces: Sequence[Piece], place: int) -> bytes:
    """A field of a line that is cut before what follows it, or within that."""
    following = literal_at(pieces, place + 1)
    if following.startswith(b'"'):
        return rb'(?:[^"\\]++|\\.)*+\\?' if _is_escaped(pieces, place) else rb'[^"]*+'
    return rb"(?>.*?(?=%b\Z))" % _begun(following)


def _odd_status_pattern(pieces: Sequence[Piece]) -> bytes:
    """A line up to a status that can't be read."""
    status = status_place(pieces)
    end = re.escape(literal_at(pieces, status + 1))
    return b"".join(patterns_of(pieces)[:status]) + (b"((?>.*?(?=" + end + b")))" if end else b"(.*+)")


class ListReader:
    """The first of several formats that gives a request."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        self._readers = readers

    def understand(self, line: bytes) -> tuple[int, Mapping[str, bytes] | None]:
        """By which format a line is understood, counted from 0, and its roles: the first that gives a
        request; if none does, the first that gets furthest."""
        rejected_by: dict[str, tuple[int, Mapping[str, bytes] | None]] = {}
        for number, reader in enumerate(self._readers):
            roles = reader.roles(line)
            try:
                request_of(roles, keep_query=False)
            except Rejected as rejected:
                rejected_by.setdefault(rejected.args[0], (number, roles))
            else:
                return number, roles
        return rejected_by.get(STATUS) or rejected_by[FIELDS]

    def fields(self, line: bytes) -> Sequence[tuple[str, bytes]] | None:
        """As the format has them by which the line is understood."""
        return self._readers[self.understand(line)[0]].fields(line)

    def roles(self, line: bytes) -> Mapping[str, bytes] | None:
        """Likewise."""
        return self.understand(line)[1]
