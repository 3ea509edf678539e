"""The members of a line of JSON (RFC 8259), found by the names on the way to them.

It is read more leniently than the RFC wants: bytes of any kind may stand in strings, as may escapes that JSON
does not know, and any word is a value. Names are taken as they stand, with dots between: `request.uri` is the
member `uri` of `request`, or one that is called so.
"""

import re
from collections.abc import Iterator

DEPTH_LIMIT = 64  # objects and arrays within one another; servers write two or three


def members_of(line: bytes) -> dict[bytes, bytes | None] | None:
    """Every string and word of one object that is a member of objects alone, by its path, None for `null`;
    the first of several with the same path that is not `null`. None for what is not one object."""
    found: dict[bytes, bytes | None] = {}
    try:
        for path, text in _Json(line).members():
            if found.get(path) is None:
                found[path] = text
    except ValueError:
        return None
    return found


class _Json:
    """A walk through one line. Raises ValueError where it is not one object."""

    _BLANK = re.compile(rb"[ \t\r]*+")
    _TEXT = re.compile(rb'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
    _WORD = re.compile(rb"[-+.0-9A-Za-z]++")

    def __init__(self, line: bytes) -> None:
        self._line = line
        self._place = 0
        self._depth = 0

    def members(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Path and value of every string and word that is a member of objects alone, None for `null`."""
        if self._next() != b"{":
            raise ValueError
        yield from self._object(b"")
        if self._next():
            raise ValueError

    def _next(self) -> bytes:
        """The next byte that is no blank; none at the end."""
        match = self._BLANK.match(self._line, self._place)
        self._place = match.end() if match else self._place
        return self._line[self._place : self._place + 1]

    def _take(self, pattern: re.Pattern[bytes]) -> bytes:
        match = pattern.match(self._line, self._place)
        if match is None:
            raise ValueError
        self._place = match.end()
        return match[match.lastindex or 0]

    def _object(self, prefix: bytes | None) -> Iterator[tuple[bytes, bytes | None]]:
        """What is in an object; `prefix` is its path with a dot behind, None within an array."""
        for _ in self._elements(b"}"):
            name = self._take(self._TEXT)
            if self._next() != b":":
                raise ValueError
            self._place += 1
            yield from self._value(None if prefix is None else prefix + name)

    def _value(self, path: bytes | None) -> Iterator[tuple[bytes, bytes | None]]:
        first = self._next()
        if first == b"{":
            yield from self._object(None if path is None else path + b".")
        elif first == b"[":
            for _ in self._elements(b"]"):
                yield from self._value(None)
        elif first == b'"':
            text = self._take(self._TEXT)
            if path is not None:
                yield path, decode(text)
        else:
            word = self._take(self._WORD)
            if path is not None:
                yield path, None if word == b"null" else word

    def _elements(self, closing: bytes) -> Iterator[None]:
        """Stands before each element of an object or array in turn, and behind it in the end."""
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise ValueError
        self._place += 1
        if self._next() != closing:
            yield
            while self._next() == b",":
                self._place += 1
                self._next()
                yield
            if self._next() != closing:
                raise ValueError
        self._place += 1
        self._depth -= 1


_ESCAPE = re.compile(
    rb"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))", re.DOTALL
)
_ESCAPED = dict(zip(b'bfnrt/"\\', b'\b\f\n\r\t/"\\', strict=True))


def decode(text: bytes) -> bytes:
    """What a JSON string stands for. An escape that JSON does not know stays as it is, and half a surrogate
    pair becomes U+FFFD."""
    return _ESCAPE.sub(_decode_escape, text) if b"\\" in text else text


def _decode_escape(match: re.Match[bytes]) -> bytes:
    high, low, unit, other = match.groups()
    if other:
        return bytes([_ESCAPED[other[0]]]) if other[0] in _ESCAPED else match[0]
    if unit:
        return bytes.fromhex(unit.decode()).decode("utf-16-be", "replace").encode()
    return bytes.fromhex((high + low).decode()).decode("utf-16-be").encode()
