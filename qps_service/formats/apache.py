"""Apache's `LogFormat` strings (mod_log_config, mod_logio, mod_ssl), and those of Tomcat's access log, which
are like them.

    %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"
    "%h %l %u %t \\"%r\\" %>s %b"
    LogFormat "%h %l %u %t \\"%r\\" %>s %b" common

They may be given bare, within their quotes, or as the whole directive. Quotes and escapes are those of
Apache's configuration files (util.c, ap_getword_conf) and formats (mod_log_config.c, parse_log_misc_string).
These count; of those of one role the first of this list, then the first in the line:

    request   %r
    method    %m
    route     %U%q (one field), %U
    status    %>s, %s, %<s: what the client got, before what an internal redirect began with
    bytes     %b and %B, %O: what was sent, with headers
    time      %t, %{...}t
    host      %v, %V, %{Host}i: the server's name, before the client's word for it
    duration  %D and %{us}T in microseconds, %{ms}T in milliseconds

`%T` and `%{s}T` have whole seconds, which tell no percentile: they are no measure. Nor is `%D` in a format
that only Tomcat has, by its `&quot;` or its `%F`: it has milliseconds before Tomcat 10, microseconds since.
A field with a condition, as in `%400,501{User-agent}i`, is `-` at times and so counts as nothing. `%t` stands
in brackets. `%{...}t` is a time where `timestamps` can read what it writes; where the text behind it
occurs within it, it is matched in parts and tells no time.
"""

import re
from collections.abc import Iterator

from qps_service.errors import FormatError
from qps_service.formats.log_format import Field, LogFormat
from qps_service.formats.source_text import Character, Pieces, Spelled, closing, spell, trimmed, unescaped
from qps_service.formats.timestamps import seconds_of
from qps_service.text.regex import regex

NEEDED = {"route": "%r or %U", "status": "%>s"}
APART = "%m %U%q"
# What may end a directive: https://httpd.apache.org/docs/2.4/mod/mod_log_config.html#formats, with %I %O %S
# and ^FB of mod_logio, %c and %x of mod_ssl, and %F of Tomcat, the time until a response was committed:
# https://tomcat.apache.org/tomcat-10.1-doc/config/valve.html#Access_Log_Valve
TAGS = (*"aAbBcCDefFhHiIklLmnoOpPqrRsStTuUvVxX", "^FB", "^ti", "^to")
QUOTE = "&quot;"  # as it stands in Tomcat's server.xml

_HOST = "{host}i"  # in lower case: names of headers have no other

# By what of a directive tells it, in the order of preference.
_ROLES = {
    "r": "request",
    "m": "method",
    "U%q": "route",
    "U": "route",
    ">s": "status",
    "s": "status",
    "<s": "status",
    "b": "bytes",
    "O": "bytes",
    "t": "time",
    "v": "host",
    "V": "host",
    _HOST: "host",
    "D": "duration",
    "{us}T": "duration",
    "{ms}T": "duration",
}
_ORDER = tuple(_ROLES)
_DIRECTIVE = regex(r"(?:\s|#[^\n]*+)*+LogFormat(?=\s)", re.IGNORECASE)
_ITEM = regex(r"%(?P<modifiers>(?:[!<>,]|[0-9]+|\{[^}]*\})*)(?P<tag>\^.{0,2}|.)?", re.DOTALL)
# A time may be that of the request's begin or end, in a format of its own or in that of %t.
_ARGUMENT = regex(r"\{(?:(?:begin|end)(?::|(?=\})))?([^}]*)\}")
_SPACE = regex(r"\s*")
_WORD = regex(r"\S+")
_CONTROLS = {"\\": "\\", "r": "\r", "n": "\n", "t": "\t"}
# Conversions of strftime(3) that a time can be read from, with an example of what they write.
_EXAMPLES = {
    "%Y": "2026",
    "%m": "11",
    "%b": "Nov",
    "%h": "Nov",
    "%d": "24",
    "%H": "14",
    "%M": "50",
    "%S": "08",
    "%z": "+0000",
    "%F": "2026-11-24",
    "%T": "14:50:08",
    "%s": "1795531808",
    "%a": "Tue",
    "%c": "Tue Nov 24 14:50:08 2026",
    "%%": "%",
}
_TOMCAT = regex(r"%F(?![^{]*\})")  # unlike the %F of a time
_EXAMPLE = 1795531808  # what these say, unless digits in a row look like another Unix time
_UNIX = ("sec", "msec", "usec")  # since 1970, instead of a strftime(3) format


def is_directive(text: str) -> bool:
    """Whether it is the directive with its name."""
    return _DIRECTIVE.match(text) is not None


def read(text: str) -> LogFormat:
    """The format of a text in any of the ways above. Raises FormatError."""
    spelled = _spelled(text)
    pieces = Pieces(spelled)
    is_tomcat = QUOTE in text or _TOMCAT.search(text) is not None
    place = 0
    while place < len(spelled.text):
        character, following = spelled.text[place], spelled.text[place + 1 : place + 2]
        if character == "%" and following != "%":
            place = _item(spelled, place, pieces, is_tomcat=is_tomcat)
        elif character == "%" or (character == "\\" and following in _CONTROLS and following):
            pieces.literal(_CONTROLS.get(following, following), place)
            place += 2
        elif spelled.text.startswith(QUOTE, place):
            pieces.literal('"', place)
            place += len(QUOTE)
        else:
            pieces.literal(character, place)
            place += 1
    return pieces.finish(_rank, NEEDED, APART, lenient=False)


def _item(spelled: Spelled, place: int, pieces: Pieces, *, is_tomcat: bool) -> int:
    """Take in the directive at `place`; where it ends. Raises FormatError."""
    match = _ITEM.match(spelled.text, place)
    tag = match["tag"] if match else None
    if match is None or not tag:
        raise spelled.fault(place, "expected a directive after %")
    if tag == "{":
        raise spelled.fault(match.start("tag"), "expected a closing }")
    if tag not in TAGS:
        shown = tag if tag.isprintable() else ascii(tag)[1:-1]
        raise spelled.fault(match.start("tag"), f"expected % and one of {', '.join(TAGS)}; got %{shown}")
    end, modifiers = match.end(), match["modifiers"]
    if tag == "U" and spelled.text.startswith("%q", end):
        end += 2
    name = spelled.text[place:end]
    found = _ARGUMENT.search(modifiers)
    argument = found[1] if found else ""
    if tag == "t" and argument:
        _time(pieces, name, argument, place, spelled.text[end:])
        return end
    has_condition = re.search(r"[0-9]", re.sub(r"\{.*\}", "", modifiers)) is not None
    is_plain = not has_condition and (not argument or _key(name) == _HOST) and len(tag) == 1
    is_plain = is_plain and not (is_tomcat and tag == "D")
    role = _ROLES.get(_key(name)) if is_plain or (tag == "T" and not has_condition) else None
    unit = ("ms" if argument == "ms" else "us") if role == "duration" else None
    field = Field(name, role, unit)
    if tag == "t":
        pieces.literal("[", place)
    pieces.field(field, place)
    if tag == "t":
        pieces.literal("]", place)
    return end


def _time(pieces: Pieces, name: str, text: str, place: int, rest: str) -> None:
    """Take in a time that is written by a strftime(3) format."""
    behind = re.match(r"(?:[^%]|%%)*", rest)
    ending = behind[0].replace("%%", "%") if behind else ""
    if ending and ending in text:
        parts = text.split(ending)
        for number, part in enumerate(parts):
            if number:
                pieces.literal(ending, place)
            pieces.field(Field(f"%{{{part}}}t", None), place)
        return
    example = re.sub("%.", lambda found: _EXAMPLES.get(found[0], "?"), text, flags=re.DOTALL)
    is_time = text in _UNIX or seconds_of(example.encode(errors="replace")) == _EXAMPLE
    pieces.field(Field(name, "time" if is_time else None), place)


def _key(name: str) -> str:
    """What of a directive tells its role."""
    if name.endswith("U%q"):
        return "U%q"
    if name.lower().endswith(_HOST):
        return _HOST
    tag = name[-1]
    if tag == "T" and (argument := re.search(r"\{.*\}", name)):
        return f"{argument[0]}T"
    if tag == "s":
        return f"{'>' if '>' in name else '<' if '<' in name else ''}s"
    return "b" if tag == "B" else tag


def _rank(name: str) -> int:
    return _ORDER.index(_key(name))


def _spelled(text: str) -> Spelled:
    directive = _DIRECTIVE.match(text)
    if directive:
        return _argument_of_directive(text, directive.end())
    first, end = trimmed(text)
    inside = text[first:end].strip()
    if len(inside) > 1 and inside[0] == inside[-1] == '"' and '\\"' in inside:
        start = text.index('"', first)
        if start + len(inside) - 1 == closing(text, start):
            return _quoted(text, start, start + len(inside) - 1)
    return spell(text, unescaped(text, first, end, {'"': '"', "\\": "\\"}), end)


def _argument_of_directive(text: str, place: int) -> Spelled:
    start = _after_space(text, place)
    if start == len(text):
        raise FormatError(text, start, "expected the format after LogFormat")
    if text[start] in "'\"":
        end = closing(text, start)
        spelled = _quoted(text, start, end)
        end += 1
    else:
        match = _WORD.match(text, start)
        end = match.end() if match else len(text)
        spelled = spell(text, _characters(text, start, end, {"\\": "\\"}), end)
    name = _WORD.match(text, _after_space(text, end))
    rest = _after_space(text, name.end() if name else end)
    if rest < len(text):
        raise FormatError(text, rest, "expected nothing after the format's name")
    return spelled


def _quoted(text: str, start: int, end: int) -> Spelled:
    return spell(text, _characters(text, start + 1, end, {text[start]: text[start], "\\": "\\"}), end)


def _characters(text: str, start: int, end: int, escapes: dict[str, str]) -> Iterator[Character]:
    """With what a line of the configuration file goes on at the next one."""
    return unescaped(text, start, end, {**escapes, "\n": ""})


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place
