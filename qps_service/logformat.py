"""The log's line format: literal text with `$names` between. One grammar for scanner and simulator.

The language is that of nginx's `log_format` (ngx_http_log_module), whose strings can be pasted. A
field runs up to the first byte of the literal that follows it, the last one to the end of the line. A
field between double quotes may hold quotes behind a backslash, as Apache writes them (mod_log_config).
So a line can be matched from left to right without ever looking back, which also keeps the time for
a hostile line proportional to its length.

Fields that count (several names for the same thing, as servers differ):

    method            $method, $request_method
    route             $route, $request_uri, $uri
    method and route  $request            `GET /path HTTP/1.1`
    status            $status_code, $status
    bytes             $response_bytes, $body_bytes_sent, $bytes_sent

Every other field is skipped over.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from qps_service.errors import FormatError

ROLES = {
    "method": "method",
    "request_method": "method",
    "route": "route",
    "request_uri": "route",
    "uri": "route",
    "request": "request",
    "status_code": "status",
    "status": "status",
    "response_bytes": "bytes",
    "body_bytes_sent": "bytes",
    "bytes_sent": "bytes",
}

DEFAULT = r"$ip_address\t$method $route\t$status_code\t$response_bytes"
PRESETS = {
    "default": DEFAULT,
    # The Common Log Format and NCSA's extension of it, as Apache and nginx write them.
    "common": '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent',
    "combined": '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent"',
}

_NAME = re.compile(r"\$(?:\{([a-z_][a-z0-9_]*)\}|([a-z_][a-z0-9_]*))", re.IGNORECASE)
_ESCAPES = {"\\t": "\t", "\\\\": "\\", '\\"': '"'}
_ESCAPE = re.compile(r'\\[t\\"]')


class Field(NamedTuple):
    """A `$name` in a format."""

    name: str
    role: str | None  # what it counts as, see ROLES; None for a field that is skipped over


class Member(NamedTuple):
    """A member of a JSON line that counts."""

    path: bytes  # names from the outermost object inwards, with dots between
    role: str  # what it counts as, see ROLES


class LogFormat(NamedTuple):
    """A format, taken apart; the scanners make of it what they match lines with."""

    text: str
    pieces: tuple[Field | bytes, ...]  # of a line of text; none where lines are JSON
    members: tuple[Member, ...]  # of a line of JSON; of those with one role the first that a line has counts
    is_lenient: bool  # whether runs of blanks may stand where the literals are blanks or tabs
    roles: frozenset[str]

    def render(self, values: Mapping[str, bytes]) -> bytes:
        """A line without its newline; `values` by field name, `-` for those not given."""
        return b"".join(
            values.get(piece.name, b"-") if isinstance(piece, Field) else piece for piece in self.pieces
        )


def compile_format(text: str) -> LogFormat:
    """The format that `text` names (a preset) or spells out. Raises FormatError."""
    if "$" not in text and text not in PRESETS:
        raise FormatError(text, 0, f"expected a format with $names or one of {', '.join(PRESETS)}")
    pieces = _parse(PRESETS.get(text, text))
    roles = frozenset(piece.role for piece in pieces if isinstance(piece, Field) and piece.role)
    for needed, names in (("route", "$route or $request"), ("status", "$status")):
        if needed not in roles and not (needed == "route" and "request" in roles):
            raise FormatError(text, len(text), f"the format has no {needed}: expected {names}")
    # A log copied from a terminal has blanks where the tabs were.
    return LogFormat(text, pieces, (), PRESETS.get(text, text) == DEFAULT, roles)


def _parse(text: str) -> tuple[Field | bytes, ...]:
    pieces: list[Field | bytes] = []
    seen: set[str] = set()
    position = 0
    while position < len(text):
        if text[position] == "$":
            match = _NAME.match(text, position)
            if match is None:
                raise FormatError(text, position, "expected a name after $")
            if pieces and isinstance(pieces[-1], Field):
                raise FormatError(text, position, "expected some text between two fields")
            name = (match[1] or match[2]).lower()
            role = ROLES.get(name)
            if role in seen:
                raise FormatError(text, position, f"${name} gives the {role} a second time")
            if role:
                seen.add(role)
            pieces.append(Field(name, role))
            position = match.end()
        else:
            end = text.find("$", position)
            end = len(text) if end < 0 else end
            literal = _ESCAPE.sub(lambda found: _ESCAPES[found[0]], text[position:end])
            if "\n" in literal or "\r" in literal:
                raise FormatError(text, position, "expected a format of one line")
            try:
                pieces.append(literal.encode())
            except UnicodeEncodeError as error:
                raise FormatError(text, position, "expected UTF-8") from error
            position = end
    return tuple(pieces)
