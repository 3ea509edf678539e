"""The combined family: lines with `[time] "request" status size` in them, whatever stands around that.

    203.0.113.7 - bob [24/Nov/2026:14:50:08 +0000] "GET /a HTTP/1.1" 200 512 "-" "curl/8.5"

This is what Apache, nginx, lighttpd, Traefik, ingress-nginx, gunicorn and many more write, each with other fields
before and behind. So nothing is asked of these: an address, an ident or a virtual host, a user with blanks, what
syslog, docker or containerd put before the line, agents with quotes in them, more fields, or a cut. Between
two fields there may be several blanks or tabs.

The time ends at the first `]` behind which a quote opens the request, and begins at the last `[` before that. The
request ends at the first quote that has no backslash before it, if a status follows. If none does, another
time may follow, as a user may have brackets and quotes in its name. If no status follows there either, the
first quote behind which there is one ends the request, since some servers escape none.

A status is three digits, or `-`, `0` or `-1`, up to a blank or the end of the line; the size is what follows it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from qps_service.formats.log_format import Field

# As a line has them, for people.
ADDRESS, ANYTHING, TIME, REQUEST, STATUS, SIZE = (
    Field("address", None),
    Field("anything", None),
    Field("time", "time"),
    Field("request", "request"),
    Field("status", "status"),
    Field("size", "bytes"),
)

_OPENING = re.compile(rb'\[([^\[]*?)\][ \t]++"')
_BODY = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_CLOSING = re.compile(rb'"[ \t]++([0-9]{3}|-1|[-0])(?![^ \t])(?:[ \t]++([^ \t]++))?')
_QUOTE = re.compile(rb'\\.|"', re.DOTALL)
_ODD = re.compile(rb'"[ \t]++([^ \t]++)[ \t]')
_WORD = re.compile(rb"[^ \t]+")

Found = tuple[Field, int, bytes]  # a field with its place and value


class CombinedReader:
    """Finds what counts in a line of the family."""

    def fields(self, line: bytes) -> Sequence[tuple[str, bytes]] | None:
        """Those that are there, name and value; None for a line that has another shape up to the status."""
        if self._ends(line) is None:
            return None
        return [(field.name, text) for field, _, text in self.parts(line)[0]]

    def roles(self, line: bytes) -> Mapping[str, bytes] | None:
        """Those that count, by their role, as far as they were found; None for a line that has another shape
        up to the status."""
        ends = self._ends(line)
        if ends is None:
            odd = self._odd(line)
            return {"status": odd[1], "route": b""} if odd else None
        opening, closing = ends
        time, request, (status, size) = opening[1], line[opening.end() : closing.start()], closing.groups()
        roles = {"time": time, "request": request, "status": status}
        return roles if size is None else {**roles, "bytes": size}

    def parts(self, line: bytes) -> tuple[Sequence[Found], bytes]:
        """Every field of a line that counts, as far as they are there; and what is left of the line."""
        ends = self._ends(line)
        if ends is None:
            return (), line
        opening, closing = ends
        request, status, size = line[opening.end() : closing.start()], closing[1], closing[2]
        found = [*_before(line, opening), (REQUEST, opening.end(), request)]
        found += [(STATUS, closing.start(1), status)]
        found += [] if size is None else [(SIZE, closing.start(2), size)]
        return found, line[closing.end() :]

    def broken(self, line: bytes) -> tuple[Sequence[Found], str, int]:
        """Of a line that does not count: what is there, what was expected next, and where."""
        opening = _OPENING.search(line)
        if opening is None:
            return (), 'expected `[`, a time and `] "`', len(line)
        found, start = list(_before(line, opening)), opening.end()
        end = _end_of_request(line, start)
        if end == len(line):
            return found, "expected a quote that ends the request", end
        found.append((REQUEST, start, line[start:end]))
        if odd := _ODD.match(line, end):
            found.append((STATUS, odd.start(1), odd[1]))
        return found, "expected a blank and a status behind the request", end + 1

    def _ends(self, line: bytes) -> tuple[re.Match[bytes], re.Match[bytes]] | None:
        """What opens the request, and what closes it; None for a line that has another shape."""
        first = None
        for opening in _OPENING.finditer(line):
            if closing := _CLOSING.match(line, _end_of_request(line, opening.end())):
                return opening, closing
            first = first or opening
        for quote in _QUOTE.finditer(line, first.end()) if first else ():
            if first and (closing := _CLOSING.match(line, quote.start())):
                return first, closing
        return None

    def _odd(self, line: bytes) -> re.Match[bytes] | None:
        """A status that is none, where it would stand."""
        opening = _OPENING.search(line)
        return _ODD.match(line, _end_of_request(line, opening.end())) if opening else None


def _end_of_request(line: bytes, start: int) -> int:
    """Where the first quote is that has no backslash before it, or where the line ends."""
    match = _BODY.match(line, start)
    end = match.end() if match else start
    return end if line[end : end + 1] == b'"' else len(line)


def _before(line: bytes, opening: re.Match[bytes]) -> Iterator[Found]:
    """The fields up to the request."""
    before = line[: opening.start()]
    if word := _WORD.search(before):
        yield ADDRESS, word.start(), word[0]
        if rest := _WORD.search(before, word.end()):
            yield ANYTHING, rest.start(), before[rest.start() :].rstrip(b" \t")
    yield TIME, opening.start(1), opening[1]
