"""The combined family: lines with `[time] "request" status size` in them, whatever stands around that.

    203.0.113.7 - bob [24/Nov/2026:14:50:08 +0000] "GET /a HTTP/1.1" 200 512 "-" "curl/8.5"

This is what Apache, nginx, lighttpd, Traefik, ingress-nginx, gunicorn and many more write, each with other
fields before and behind. So nothing is asked of these: an address, an ident or a virtual host, a user with
blanks, what syslog, docker or containerd put before the line, agents with quotes in them, more fields, or a
cut. Between two fields there may be several blanks or tabs.

A status is three digits, or `-`, `0` or `-1`, up to a blank or the end of the line; the size is what follows.
The time ends at a `]` behind which a quote opens the request, and begins at the last `[` before that. The
request ends at the first quote that has no backslash before it, and the status follows. Brackets and quotes
may stand elsewhere too: in a user's name, or before a line, as in Twisted's `[HTTPChannel,0,::1] "::1" - -`.
So what counts is, of all that look so,

1. the first with a status of three digits;
2. where none has that, the first with another status;
3. where none has a status, since some servers escape no quote, the first up to the first quote behind which
   there is a status.

A virtual host stands where servers write it, and is known by the client's address beside it:

    shop.example:443 203.0.113.7 - bob [   Apache's vhost_combined: the first word, before an address
    203.0.113.7 shop.example - [           lighttpd, OVH: the second one, behind an address
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from qps_service.formats.log_format import HOST, Field
from qps_service.formats.wrapping import prefix_of
from qps_service.text.regex import regex

# As a line has them, for people.
ADDRESS, ANYTHING = Field("address", None), Field("anything", None)
COUNTED = (
    Field("time", "time"),
    Field("request", "request"),
    Field("status", "status"),
    Field("size", "bytes"),
)
TIME, REQUEST, STATUS, SIZE = COUNTED
VHOST = Field("host", HOST)

_OPEN = rb'\[([^\[]*?)\][ \t]++"'
_BODY = rb'(?:[^"\\]++|\\.)*+'
_CLOSE = rb'"[ \t]++(STATUS)(?![^ \t])(?:[ \t]++([^ \t]++))?'
_ANSWERED = _CLOSE.replace(b"STATUS", b"[0-9]{3}")
_ANY = _CLOSE.replace(b"STATUS", b"[0-9]{3}|-1|[-0]")

# In the order in which they are looked for.
_STRICT = [regex(_OPEN + b"(" + _BODY + b")" + each, re.DOTALL) for each in (_ANSWERED, _ANY)]
_OPENING = regex(_OPEN)
_QUOTE = regex(rb'\\.|"', re.DOTALL)
_CLOSING = regex(_ANY)
# The first request there might be, with a status that is none.
_ODD = regex(b"(?>" + _OPEN + b")(" + _BODY + rb')"[ \t]++([^ \t]++)[ \t]', re.DOTALL)
_WORD = regex(rb"[^ \t]++")
# As far as it takes to tell it from a name.
_ADDRESS = regex(
    rb"\[[0-9A-Fa-f.:]*+\](?::[0-9]*+)?|[0-9]*+(?:\.[0-9]*+){3}(?::[0-9]*+)?"
    rb"|[0-9A-Fa-f.]*+(?::[0-9A-Fa-f.]*+){2,}+"
)
# With a dot or a port, and a letter or four parts: neither a level, a time, a number nor an identity.
_NAME = regex(
    rb"\[[0-9A-Fa-f.:]*+\](?::[0-9]*+)?"
    rb"|(?=[^:]*[.]|.*:)(?=[^:]*[A-Za-z_]|(?:[^.:]*[.]){3}[^.:]*(?::|\Z))"
    rb"[0-9A-Za-z_][-0-9A-Za-z_.]*+(?::[0-9]++)?",
    re.DOTALL,
)
_WITH_PORT = regex(rb"(?:\[[^\]]*+\]|[^:]*+):[0-9]++")

Found = tuple[Field, int, bytes]  # a field with its place and value
Span = tuple[int, int]


class CombinedReader:
    """Finds what counts in a line of the family."""

    def __init__(self, *, keeps_host: bool = True) -> None:
        self._keeps_host = keeps_host

    def fields(self, line: bytes) -> Sequence[tuple[str, bytes]] | None:
        """Those that are there, name and value; None for a line that has another shape up to the status."""
        found, _ = self.parts(line)
        return [(field.name, text) for field, _, text in found] or None

    def roles(self, line: bytes) -> Mapping[str, bytes] | None:
        """Those that count, by their role, as far as they were found; None for a line that has another shape
        up to the status."""
        if strict := _strict(line):
            time, request, status, size = strict.groups()
            start = strict.start(1)
        elif spans := _raw(line):
            time, request, status = (line[start:end] for start, end in spans[:3])
            size = line[slice(*spans[3])] if spans[3][0] >= 0 else None
            start = spans[0][0]
        else:
            odd = _odd(line)
            return {"status": odd[3], "route": b""} if odd else None
        roles = {"time": time, "request": request, "status": status}
        if size is not None:
            roles["bytes"] = size
        if self._keeps_host and (host := _host_before(line[: start - 1])):
            roles[HOST] = line[slice(*host)]
        return roles

    def parts(self, line: bytes) -> tuple[Sequence[Found], bytes]:
        """Every field of a line that counts, as far as they are there; and what is left of the line."""
        strict = _strict(line)
        spans = [strict.span(group) for group in range(1, 5)] if strict else _raw(line)
        if spans is None:
            return (), line
        there = [(field, *span) for field, span in zip(COUNTED, spans, strict=True) if span[0] >= 0]
        counted = [(field, start, line[start:end]) for field, start, end in there]
        return [*_before(line, spans[0]), *counted], line[there[-1][2] :].lstrip(b" \t")

    def broken(self, line: bytes) -> tuple[Sequence[Found], str, int]:
        """Of a line that does not count: what is there, what was expected next, and where."""
        opening = _OPENING.search(line)
        if opening is None:
            return (), "expected `[`, a time, `]` and a request between quotes", len(line)
        found = [*_before(line, opening.span(1)), (TIME, opening.start(1), opening[1])]
        if odd := _odd(line):
            found += [(REQUEST, odd.start(2), odd[2]), (STATUS, odd.start(3), odd[3])]
        return found, "expected a quote that ends the request, a blank and a status", len(line)


def _strict(line: bytes) -> re.Match[bytes] | None:
    """What counts in a line, by its groups, whose request ends at the first quote that it may."""
    return _STRICT[0].search(line) or _STRICT[1].search(line)


def _raw(line: bytes) -> Sequence[Span] | None:
    """Where the fields that count are in a line that has a quote in its request; None for any other line."""
    opening = _OPENING.search(line)
    for quote in _QUOTE.finditer(line, opening.end()) if opening else ():
        if opening and (closing := _CLOSING.match(line, quote.start())):
            return opening.span(1), (opening.end(), quote.start()), closing.span(1), closing.span(2)
    return None


def _odd(line: bytes) -> re.Match[bytes] | None:
    """The first request, if a status follows that is none."""
    opening = _OPENING.search(line)
    return _ODD.match(line, opening.start()) if opening else None


def _before(line: bytes, time: Span) -> Iterator[Found]:
    """What stands before the time, whose place this is."""
    before = line[: time[0] - 1]
    host = _host_before(before)
    place = 0
    for field in (ADDRESS, ANYTHING):
        word = _WORD.search(before, place)
        if word and word.span() == host:
            yield VHOST, word.start(), word[0]
            word = _WORD.search(before, word.end())
        if word:
            text = word[0] if field is ADDRESS else before[word.start() :].rstrip(b" \t")
            yield field, word.start(), text
            place = word.end()


def _host_before(before: bytes) -> Span | None:
    """Where the virtual host is in what stands before the time, if it is there."""
    start = len(prefix_of(before))
    words = [word for _, word in zip(range(4), _WORD.finditer(before, start), strict=False)]
    if len(words) < 3:
        return None
    first, second = words[:2]
    is_address = bool(_ADDRESS.fullmatch(first[0]))
    is_behind = bool(_ADDRESS.fullmatch(second[0].removesuffix(b",")))  # one of a list, perhaps
    if is_address and (not is_behind or len(words) < 4):
        host = second
    elif (is_behind and not is_address) or _WITH_PORT.fullmatch(first[0]):
        host = first
    else:
        return None
    return host.span() if _NAME.fullmatch(host[0]) else None
