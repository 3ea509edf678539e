"""A format as values: the pieces of its lines, and what counts in them.

Real formats often tell one thing twice: nginx's `$request` and `$uri`, Apache's `%b` and `%O`. One field of a
role counts then, the others are skipped over: that whose name stands first in its grammar's order, and of
those alike the first in the line. A request line counts before a method and a route beside it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from qps_service.text.regex import regex

ROUTES = ("request", "route")  # roles that give a route
DECIDING = ("method", *ROUTES, "status")  # roles without which a request is not known; others are measures
HOST = "host"  # the role of the virtual host: a part of the route where that is asked for


class Field(NamedTuple):
    """A place in a line with a name."""

    name: str
    # method, route, request, status, bytes, time, duration or host; None for a field that is skipped over
    role: str | None
    unit: str | None = None  # of a duration, one of durations.UNITS
    is_list: bool = False  # of several values perhaps, with `, ` or ` : ` between them, as nginx writes them


def ends_in_list(piece: "Field | bytes", following: "Field | bytes") -> bool:
    """Whether such a field goes up to the first blank that is not within a list."""
    is_blank = isinstance(following, bytes) and following.startswith(b" ") and not following.startswith(b" :")
    return isinstance(piece, Field) and piece.is_list and is_blank


def is_quoted(before: Field | bytes, following: Field | bytes) -> bool:
    """Whether a field between these is in double quotes, so that it may hold some behind a backslash."""
    return (
        isinstance(before, bytes)
        and isinstance(following, bytes)
        and before.endswith(b'"')
        and following.startswith(b'"')
    )


class Member(NamedTuple):
    """A member of a JSON line that counts, or a label of LTSV."""

    path: bytes  # names from the outermost object inwards, with dots between
    role: str  # as a field's; or logger, or sign: what has it is told apart by that
    unit: str | None = None  # as a field's
    beside: tuple[bytes, ...] = ()  # paths of the members that a line has to have as well


class LogFormat(NamedTuple):
    """A format, taken apart; the scanners make of it what they match lines with."""

    text: str
    pieces: tuple[Field | bytes, ...]  # of a line of text; none where lines are JSON
    members: tuple[Member, ...]  # of a line of JSON; of those with one role the first that a line has counts
    is_lenient: bool  # whether runs of blanks may stand where the literals are blanks or tabs
    roles: frozenset[str]
    is_ltsv: bool = False  # whether members are labels of LTSV
    is_combined: bool = False  # the combined family: combined.py reads lines, `pieces` are how one is written
    is_w3c: bool = False  # whether directives between the lines tell what is in them (w3c.py)
    others: tuple["LogFormat", ...] = ()  # of a list: those tried in order where this one gives no request

    @property
    def listed(self) -> tuple["LogFormat", ...]:
        """All of a list, in order, each by itself; of a format alone that one."""
        return (self._replace(others=()), *self.others)

    @property
    def texts(self) -> tuple[str, ...]:
        """Those of a list, in order; several formats have one text where they belong together."""
        return tuple(dict.fromkeys(each.text for each in self.listed))

    @property
    def is_auto(self) -> bool:
        """Whether lines are yet to tell which format they have."""
        return not self.pieces and not self.members and not self.is_w3c

    @property
    def has_host(self) -> bool:
        """Whether lines may tell the virtual host, be it by one format of a list."""
        return any(HOST in each.roles for each in self.listed)

    def without(self, role: str) -> "LogFormat":
        """The same where nobody wants what has this role: the field is skipped over."""
        return self._replace(
            pieces=tuple(
                each._replace(role=None) if isinstance(each, Field) and each.role == role else each
                for each in self.pieces
            ),
            members=tuple(
                each._replace(role="sign") if each.role == role else each
                for each in self.members
                if each.role != role or any(each.path in other.beside for other in self.members)
            ),
            roles=self.roles - {role},
            others=tuple(each.without(role) for each in self.others),
        )

    @property
    def written(self) -> tuple[Field | bytes, ...]:
        """The pieces of a line that is written: where fields have names the first of each role, but no
        time."""
        if self.is_ltsv:
            return tuple(_labels(_names(self.members)))
        return tuple(_object(_names(self.members))) if self.members else self.pieces

    def render(self, values: Mapping[str, bytes]) -> bytes:
        """A line without its newline; `values` by field name, a member's path for JSON, `-` for those not
        given."""
        escape = _escape if self.members and not self.is_ltsv else bytes
        return b"".join(
            escape(values.get(piece.name, b"-")) if isinstance(piece, Field) else piece
            for piece in self.written
        )


def settle(
    pieces: Sequence[Field | bytes], rank: Callable[[str], int]
) -> tuple[tuple[Field | bytes, ...], frozenset[str]]:
    """The pieces with one field a role, and the roles. `rank` tells how good a name is: 0 is the best."""
    fields = [(place, piece) for place, piece in enumerate(pieces) if isinstance(piece, Field) and piece.role]
    kept: dict[str, int] = {}  # role -> place
    for place, field in sorted(fields, key=lambda each: rank(each[1].name)):
        kept.setdefault(str(field.role), place)
    if "request" in kept:
        kept.pop("method", None)
        kept.pop("route", None)
    places = set(kept.values())
    settled = tuple(
        piece._replace(role=None, unit=None) if isinstance(piece, Field) and place not in places else piece
        for place, piece in enumerate(pieces)
    )
    return settled, frozenset(kept)


_Named = tuple[list[str], Member]  # the names on the way to it that are left


def _names(members: Sequence[Member]) -> list[_Named]:
    """The first member of each role that is written."""
    first: dict[str, Member] = {}
    for member in members:
        first.setdefault(member.role, member)
    for role in ("time", "logger", "sign"):
        first.pop(role, None)
    if "route" in first:
        first.pop("request", None)
    return [(member.path.decode().split("."), member) for member in first.values()]


def _object(members: list[_Named]) -> Iterator[Field | bytes]:
    before = b"{"
    while members:
        (name, *rest), member = members[0]
        yield before + b'"' + name.encode() + b'":'
        if rest:
            inside = [(names[1:], each) for names, each in members if names[0] == name and names[1:]]
            members = [(names, each) for names, each in members if names[0] != name or not names[1:]]
            yield from _object(inside)
        else:
            quote = b"" if member.role in ("status", "bytes") else b'"'
            yield from (quote, Field(member.path.decode(), member.role), quote)
            members = members[1:]
        before = b","
    yield b"}"


def _labels(members: list[_Named]) -> Iterator[Field | bytes]:
    before = b""
    for _, member in members:
        yield from (before + member.path + b":", Field(member.path.decode(), member.role))
        before = b"\t"


_ESCAPED = regex(rb'[\x00-\x1f"\\]')


def _escape(value: bytes) -> bytes:
    """As it stands within a JSON string (RFC 8259)."""
    return _ESCAPED.sub(lambda found: b"\\u%04x" % found[0][0], value)
