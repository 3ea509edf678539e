"""nginx's `log_format` (ngx_http_log_module), and formats of our own in its language: text with `$names`.

A format may be given bare, as quoted pieces, or as the whole directive, over several lines and with comments:

    $remote_addr "$request" $status
    '$remote_addr "$request" '
    '$status'
    log_format main escape=json '$remote_addr "$request" ' # and more
                                '$status';

Quotes, escapes and comments are those of nginx's configuration files (ngx_conf_file.c). A text that merely
begins with a double quote is bare.

nginx passes some requests on and answers others by itself, and may log these in a format that lacks what
there is to say of an upstream: so Nginx Proxy Manager does. And where it tries several upstreams, the values
of each stand in one field, as `0.1, 0.2 : 0.3` (ngx_http_upstream_module, $upstream_addr): a blank between
them ends no field. Where a format has such fields right before the status, lines without an upstream shift
it: they are read by formats that lack these fields, which stand behind as in a list.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from qps_service.errors import FormatError
from qps_service.formats.log_format import Field, LogFormat
from qps_service.formats.source_text import Pieces, Spelled, closing, spell, trimmed, unescaped
from qps_service.text.regex import regex

# Of the names of one role the first in a format counts that stands first here.
ROLES = {
    "method": "method",
    "request_method": "method",
    "route": "route",
    # What the client asked for, before what the server made of it.
    "request_uri": "route",
    "uri": "route",
    "request": "request",
    "status_code": "status",
    "status": "status",
    "response_bytes": "bytes",
    "body_bytes_sent": "bytes",
    "bytes_sent": "bytes",
    "time_local": "time",
    "time_iso8601": "time",
    "msec": "time",
    # What the client asked for, in lower case and without a port; the server's own name for it; what the
    # client wrote.
    "host": "host",
    "server_name": "host",
    "http_host": "host",
    # Of the whole request, before what an upstream took of it. The last four are our own.
    "request_time": "duration",
    "duration_s": "duration",
    "duration_ms": "duration",
    "duration_us": "duration",
    "duration_ns": "duration",
    "upstream_response_time": "duration",
}
NEEDED = {"route": "$route or $request", "status": "$status"}
APART = "$request_method $request_uri"

# With a value for each upstream, unlike headers.
_LIST = regex("upstream_(?!http_|cookie_|trailer_)")
_ORDER = {name: rank for rank, name in enumerate(ROLES)}
# A digit may come first: nginx has its regular expressions' $1.
_NAME = regex(r"\$(?:\{([a-z0-9_]+)\}|([a-z0-9_]+))", re.IGNORECASE)
_ALONE = regex(r" (?=\$)")  # a blank that is all between two fields
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", '"': '"', "'": "'", "\\": "\\"}
_SPACE = regex(r"(?:\s|#[^\n]*+)*+")
_WORD = regex(r"(?:\\.|[^\s;\\])+", re.DOTALL)
_DIRECTIVE = regex(_SPACE.pattern + r"log_format(?=\s)")
_ESCAPE = regex(r"escape=(?:default|json|none)")


def is_directive(text: str) -> bool:
    """Whether it is the directive with its name."""
    return _DIRECTIVE.match(text) is not None


def has_names(text: str) -> bool:
    """Whether there are `$names` in it."""
    return _NAME.search(text) is not None


def read(text: str, *, lenient: bool = False) -> LogFormat:
    """The format of a text in any of the ways above. Raises FormatError."""
    spelled = _spelled(text)
    pieces = Pieces(spelled)
    place = 0
    while place < len(spelled.text):
        if spelled.text[place] != "$":
            pieces.literal(spelled.text[place], place)
            place += 1
            continue
        match = _NAME.match(spelled.text, place)
        if match is None:
            raise spelled.fault(place, "expected a name after $")
        name, end = (match[1] or match[2]).lower(), match.end()
        if name == "time_local" and _ALONE.match(spelled.text, end):
            # A blank is in it, too: it is matched in two parts, and tells no time.
            pieces.field(Field(name, None), place)
            pieces.literal(" ", place)
            pieces.field(Field(name, None), place)
        else:
            role = ROLES.get(name)
            unit = name.removeprefix("duration_") if name.startswith("duration_") else "s"
            unit = unit if role == "duration" else None
            pieces.field(Field(name, role, unit, is_list=_LIST.match(name) is not None), place)
        place = end
    read = pieces.finish(lambda name: _ORDER[name], NEEDED, APART, lenient=lenient)
    return read._replace(others=tuple(_without_upstreams(read)))


def _without_upstreams(log_format: LogFormat) -> Iterator[LogFormat]:
    """The same for lines with no upstream; none for a format that tells nothing of them in the fields right
    before its status."""
    pieces = log_format.pieces
    status = start = next(
        place for place, each in enumerate(pieces) if isinstance(each, Field) and each.role == "status"
    )
    while start > 1 and pieces[start - 1] == b" " and _is_skipped(pieces[start - 2]):
        start -= 2
    upstreams = [place for place in range(start, status, 2) if _tells_upstream(pieces[place])]
    if not upstreams:
        return
    # What stands before them is often of the upstream, too.
    for first in dict.fromkeys((start, upstreams[0])):
        yield log_format._replace(pieces=(*pieces[:first], *pieces[status:]))


def _is_skipped(piece: Field | bytes) -> bool:
    return isinstance(piece, Field) and piece.role in (None, "duration")


def _tells_upstream(piece: Field | bytes) -> bool:
    return isinstance(piece, Field) and piece.name.startswith("upstream_")


class _Token(NamedTuple):
    start: int  # within its quotes
    end: int
    quoted: bool


def _spelled(text: str) -> Spelled:
    directive = _DIRECTIVE.match(text)
    if directive:
        return _joined(text, _arguments(text, directive.end()))
    first, end = trimmed(text)
    is_broken = "\n" in text[first:end].strip()
    quotes = "'\"" if is_broken else "'"
    if text[first:end].lstrip()[:1] in tuple(quotes):
        try:
            return _joined(text, _pieces(text))
        except FormatError:
            if is_broken:
                raise
    return spell(text, unescaped(text, first, end, _ESCAPES), end)


def _arguments(text: str, start: int) -> list[_Token]:
    """What stands behind a directive's name and parameters. Raises FormatError."""
    tokens = list(_tokens(text, start))
    escape = tokens[1] if tokens[1:] and text.startswith("escape=", tokens[1].start) else None
    if escape and not _ESCAPE.fullmatch(text, escape.start, escape.end):
        raise FormatError(text, escape.start, "expected escape=default, escape=json or escape=none")
    format_tokens = tokens[2 if escape else 1 :]
    if not format_tokens:
        what = "the format" if tokens else "a name"
        raise FormatError(text, len(text.rstrip()), f"expected {what} after log_format")
    return format_tokens


def _joined(text: str, tokens: list[_Token]) -> Spelled:
    characters = (
        character for token in tokens for character in unescaped(text, token.start, token.end, _ESCAPES)
    )
    return spell(text, characters, tokens[-1].end)


def _pieces(text: str) -> list[_Token]:
    """All tokens, each within quotes. Raises FormatError."""
    tokens = []
    for token in _tokens(text, 0):
        if not token.quoted:
            raise FormatError(text, token.start, "expected a piece between quotes")
        tokens.append(token)
    return tokens


def _tokens(text: str, start: int) -> Iterator[_Token]:
    """The words of a directive, up to its semicolon or the end. Raises FormatError."""
    place = _after_space(text, start)
    while place < len(text) and text[place] != ";":
        if text[place] in "'\"":
            end = closing(text, place)
            yield _Token(place + 1, end, quoted=True)
            place = end + 1
            if place < len(text) and not (text[place].isspace() or text[place] == ";"):
                raise FormatError(text, place, "expected a blank after the closing quote")
        else:
            match = _WORD.match(text, place)
            end = match.end() if match else len(text)
            yield _Token(place, end, quoted=False)
            place = end
        place = _after_space(text, place)
    if place < len(text) and (place := _after_space(text, place + 1)) < len(text):
        raise FormatError(text, place, "expected nothing after the semicolon")


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place
