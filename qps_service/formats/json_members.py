"""The members of an object of JSON (RFC 8259), found by the names on the way to them, as servers write it.

The object begins at the first brace with a quoted name behind it, be it in the midst of a line. It is read
more leniently than the RFC wants: bytes of any kind may stand in strings, as may escapes that JSON does not
know, and any word is a value. Names are taken as they stand, with dots between: `request.uri` is the member
`uri` of `request`, or one that is called so.

What is no JSON is passed over. The walk goes on behind the next comma that has a quote behind it, or at the
next brace that closes: one behind which stands a comma, a brace, a bracket or nothing, and for the outermost
object nothing. So where a value is no JSON it is the text up to there: an empty one, a path without quotes, a
string with quotes that nobody escaped. What stands behind a comma is none of it, but for nginx's times of
several upstreams without quotes: `0.001, 0.002 : 0.1`.

Nothing is looked at twice. An object may be cut off anywhere: what stands before the cut counts.
"""

import re
from typing import NamedTuple

from qps_service.text.regex import regex

DEPTH_LIMIT = 64  # objects and arrays within one another; servers write two or three


class Object(NamedTuple):
    """What is in one, and where it is."""

    members: dict[bytes, bytes | None]
    """Every string and word that is a member of objects alone, by its path, None for `null`; the first of
    several with the same path that is not `null`."""

    cut: bytes | None  # the path of the member whose value the line's end may have cut, if any
    start: int
    end: int  # where it was closed; the line's end if it was not


def object_of(line: bytes) -> Object | None:
    """The first object of a line; None if it has none."""
    begin = _BEGIN.search(line)
    return _Walk(line, begin.start()).object() if begin else None


_BLANK = rb"[ \t\r]*+"
_STRING = rb'"((?:[^"\\]++|\\.)*+)"'
_BEGIN = regex(rb'\{(?=%b")' % _BLANK)
# A member whose value is a string or a word, and what must follow: most are so.
_PLAIN = regex(
    rb'%(string)b%(blank)b:%(blank)b(?:%(string)b|([-+.0-9A-Za-z]++))%(blank)b(?:,%(blank)b(?=")|(?=\}))'
    % {b"string": _STRING, b"blank": _BLANK},
    re.DOTALL,
)
_BLANKS = regex(_BLANK)
_TEXT = regex(_STRING, re.DOTALL)
_WORD = regex(rb"[-+.0-9A-Za-z]*+")
_UPSTREAMS = regex(rb"[-.0-9]++(?:(?:, | : )[-.0-9]++)++")
_ON = regex(rb',(?=%b")|\}(?=%b(?:[,}\]]|\Z))' % (_BLANK, _BLANK))
_ON_OUTMOST = regex(rb',(?=%b")|\}(?=%b\Z)' % (_BLANK, _BLANK))


class _Walk:
    """One through a line, from left to right; it ends at the line's end."""

    def __init__(self, line: bytes, start: int) -> None:
        self._line = line
        self._place = self._start = start
        self._found: dict[bytes, bytes | None] = {}
        self._cut: bytes | None = None

    def object(self) -> Object:
        """The one that begins here."""
        self._object(b"", 1)
        return Object(self._found, self._cut, self._start, self._place)

    def _next(self) -> bytes:
        """The next byte that is no blank; none at the end."""
        match = _BLANKS.match(self._line, self._place)
        self._place = match.end() if match else self._place
        return self._line[self._place : self._place + 1]

    def _take(self, pattern: re.Pattern[bytes]) -> bytes | None:
        """What stands here; None, and all that is left is taken, if that is something else."""
        match = pattern.match(self._line, self._place)
        self._place = match.end() if match else len(self._line)
        return match[match.lastindex or 0] if match else None

    def _object(self, prefix: bytes | None, depth: int) -> None:
        """An object; `prefix` is its path with a dot behind, None within an array."""
        if depth > DEPTH_LIMIT:
            self._place = len(self._line)
            return
        self._place += 1
        if self._next() == b"}":
            self._place += 1
            return
        while self._place < len(self._line):
            plain = _PLAIN.match(self._line, self._place)
            if plain is None:
                self._member(prefix, depth)
            else:
                self._place = plain.end()
                if prefix is not None:
                    name, text, word = plain.groups()
                    self._note(prefix + name, word if text is None else text, is_word=text is None)
            if self._line.startswith(b"}", self._place):
                self._place += 1
                return

    def _member(self, prefix: bytes | None, depth: int) -> None:
        """Any member, up to what follows it."""
        name = self._take(_TEXT) if self._line.startswith(b'"', self._place) else None
        if self._next() != b":" or name is None:
            self._go_on(depth)
            return
        self._place += 1
        path = None if prefix is None else prefix + name
        first = self._next()
        if first == b"{":
            self._object(None if path is None else path + b".", depth + 1)
            self._go_on(depth)
        elif first == b"[":
            self._array(depth + 1)
            self._go_on(depth)
        elif first:
            self._value(path, depth, is_word=first != b'"')

    def _value(self, path: bytes | None, depth: int, *, is_word: bool) -> None:
        """A value that is a string or a word, or should be."""
        line, start = self._line, self._place
        text = self._take(_WORD if is_word else _TEXT)
        end = self._place
        is_over = text is None or self._next() in (b"", b",", b"}")
        stop = self._go_on(depth)
        if path is None:
            return
        if text is None:
            self._note(path, line[start + 1 :], is_cut=True)
            return
        whole = line[start:stop].rstrip(b" \t\r")
        last = end if is_over and not (is_word and _is_list(whole)) else start + len(whole)
        if is_word:
            self._note(path, line[start:last], is_word=True, is_cut=last == len(line))
        else:
            is_on = last > end and line[last - 1 : last] == b'"'
            self._note(path, line[start + 1 : (last if is_on else end) - 1])

    def _go_on(self, depth: int) -> int:
        """To the next member's quote, the brace that closes, or the end; where that is told."""
        if self._next() != b"}":
            found = (_ON if depth > 1 else _ON_OUTMOST).search(self._line, self._place)
            self._place = found.start() if found else len(self._line)
        stop = self._place
        if self._line.startswith(b",", stop):
            self._place += 1
            self._next()
        return stop

    def _array(self, depth: int) -> bool:
        """An array, of which nothing counts; whether it is one."""
        if depth > DEPTH_LIMIT:
            self._place = len(self._line)
            return False
        self._place += 1
        is_odd = False
        if self._next() == b"]":
            self._place += 1
            return True
        while not is_odd:
            first = self._next()
            if first == b"{":
                self._object(None, depth + 1)
            elif first == b"[":
                is_odd = not self._array(depth + 1)
            else:
                is_odd = not self._take(_TEXT if first == b'"' else _WORD) and first != b'"'
            if is_odd or self._next() != b",":
                break
            self._place += 1
        if is_odd or self._next() != b"]":
            return False
        self._place += 1
        return True

    def _note(self, path: bytes, text: bytes, *, is_word: bool = False, is_cut: bool = False) -> None:
        """Keep a value, unless there is one by its path, or nothing is left of it."""
        if self._found.get(path) is not None or (is_cut and not text):
            return
        if is_word and text == b"null":
            self._found[path] = None
        else:
            self._found[path] = text if is_word else decode(text)
            self._cut = path if is_cut else self._cut


def _is_list(text: bytes) -> bool:
    """Whether it is what nginx writes where it tried several upstreams: with points, unlike other numbers."""
    return b"." in text and _UPSTREAMS.fullmatch(text) is not None


_ESCAPE = regex(
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
