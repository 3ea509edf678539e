"""A gmond.conf -> where its gmond sends, and for which host.

The file is read as libconfuse reads it: comments, quoted and bare values, sections in sections, `include`
with patterns; names are the same in upper and lower case. What counts of all that is each
`udp_send_channel`, and `override_hostname` and `override_ip` of `globals`, as they do for the real gmetric,
against which tests hold this. What is unknown here is no mistake. A relative include is looked for beside
the file that has it.
"""

import glob
import os
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, NoReturn

from qps_service.errors import ConfigError
from qps_service.outputs.ganglia.gmetric import Origin
from qps_service.outputs.ganglia.names import safe_host

LARGEST = 1 << 20  # bytes of one file; Debian's has 10 KB
# It stands twice in a packet, with another beside it.
LONGEST_HOST = 128  # characters
DEEPEST = 10  # files that include each other, as in libconfuse

_TOKEN = re.compile(
    r"""
    (?P<nothing> \s+ | \#[^\n]* | //[^\n]* | /\*.*?\*/ )
    | (?P<quoted> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' )
    | (?P<mark> [{}(),] | \+?= )
    | (?P<bare> (?!/\*) (?: [^\s{}(),="'\#+] | \+(?!=) )+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


TEXT, END = "text", "end"


class Channel(NamedTuple):
    """Where to send packets."""

    host: str  # a name, an address, or a multicast group
    port: int
    ttl: int | None = None  # of multicast
    interface: str | None = None  # likewise: by which to send, by its name


class Sending(NamedTuple):
    """What a gmond.conf says of sending."""

    channels: tuple[Channel, ...]  # at least one
    origin: Origin | None  # where the metrics are to be another host's


class _Token(NamedTuple):
    kind: str  # TEXT, END, or the mark that it is
    text: str
    where: str  # FILE:LINE


class _Section(NamedTuple):
    name: str
    options: dict[str, _Token]
    where: str


def read_sending(path: str) -> Sending:
    """What the gmond.conf at `path` says. Raises ConfigError, with the place."""
    sections = list(_sections(path, DEEPEST))
    channels = dict.fromkeys(_channel(each) for each in sections if each.name == "udp_send_channel")
    if not channels:
        raise ConfigError([f"{path}: no udp_send_channel"])
    options = {
        key: option for each in sections if each.name == "globals" for key, option in each.options.items()
    }
    return Sending(tuple(channels), _origin(options))


def _channel(section: _Section) -> Channel:
    options = section.options
    host = options.get("mcast_join", options.get("host"))
    if not host or "port" not in options:
        raise ConfigError([f"{section.where}: udp_send_channel: expected host or mcast_join, and port"])
    port = _number(options["port"], 1, 65535)
    if "mcast_join" not in options:
        return Channel(_name(host), port)
    interface = _name(options["mcast_if"]) if "mcast_if" in options else None
    ttl = _number(options["ttl"], 0, 255) if "ttl" in options else None
    return Channel(_name(host), port, ttl, interface)


def _origin(options: Mapping[str, _Token]) -> Origin | None:
    if not (name := options.get("override_hostname")):
        return None
    address = options.get("override_ip", name)
    return Origin(f"{safe_host(_name(address))}:{safe_host(_name(name))}", spoof=True)


def _name(option: _Token) -> str:
    """Of a host or an interface. libconfuse would replace variables by what is in gmond's environment."""
    if not option.text or "${" in option.text or "\0" in option.text:
        _refuse(option, "a name")
    if len(option.text) > LONGEST_HOST:
        _refuse(option, f"at most {LONGEST_HOST} characters")
    return option.text


def _number(option: _Token, low: int, high: int) -> int:
    try:
        number = int(option.text, 0)
    except ValueError:
        number = -1
    if not low <= number <= high:
        raise ConfigError([f"{option.where}: expected a number from {low} to {high}, got {option.text!r}"])
    return number


def _sections(path: str, deepest: int) -> Iterator[_Section]:
    """The file's sections, outermost ones alone, and those of what it includes."""
    tokens = _tokens(path)
    opened: list[_Section] = []
    while (token := next(tokens)).kind != END:
        if token.kind == "}" and opened:
            section = opened.pop()
            if not opened:
                yield section
            continue
        name, following = _expect(token, TEXT, "a name").text.lower(), next(tokens)
        if following.kind == TEXT:  # a section's title
            following = _expect(next(tokens), "{")
        match following.kind:
            case "{":
                opened.append(_Section(name, {}, token.where))
            case "=" | "+=":
                value = _value(tokens)
                if opened:
                    opened[-1].options[name] = value
            case "(":
                argument = _expect(next(tokens), TEXT, "a file")
                _expect(next(tokens), ")")
                if name == "include":
                    yield from _included(path, argument, deepest - 1)
            case _:
                _refuse(following, "= or {")
    if opened:
        _refuse(token, "}")


def _value(tokens: Iterator[_Token]) -> _Token:
    token = next(tokens)
    if token.kind == "{":  # a list: nothing that counts here is one
        while (item := next(tokens)).kind != "}":
            if item.kind == END:
                _refuse(item, "}")
        return token
    return _expect(token, TEXT, "a value")


def _included(path: str, argument: _Token, deepest: int) -> Iterator[_Section]:
    if deepest <= 0:
        raise ConfigError([f"{argument.where}: more than {DEEPEST} files include each other"])
    pattern = os.path.join(os.path.dirname(path), argument.text)
    # A pattern may match nothing: a conf.d that is empty.
    for each in sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]:
        yield from _sections(each, deepest)


def _tokens(path: str) -> Iterator[_Token]:
    text, position, line = _text(path), 0, 1
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found or not found.lastgroup:
            raise ConfigError([f"{path}:{line}: expected a name or a value, got {text[position]!r}"])
        kind, token, where = found.lastgroup, found[0], f"{path}:{line}"
        if kind == "mark":
            yield _Token(token, token, where)
        elif kind != "nothing":
            yield _Token(TEXT, token if kind == "bare" else _ESCAPED.sub(r"\1", token[1:-1]), where)
        line += found[0].count("\n")
        position = found.end()
    while True:
        yield _Token(END, "the end", f"{path}:{line}")


def _text(path: str) -> str:
    try:
        # Nobody waits for the writer of a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            raw = file.read(LARGEST + 1) or b""
    except OSError as error:
        raise ConfigError([f"cannot read {path}: {error.strerror}"]) from error
    if len(raw) > LARGEST:
        raise ConfigError([f"{path}: larger than {LARGEST} bytes"])
    return raw.decode("utf-8", "replace")


def _expect(token: _Token, kind: str, words: str | None = None) -> _Token:
    if token.kind != kind:
        _refuse(token, words or kind)
    return token


def _refuse(token: _Token, expected: str) -> NoReturn:
    raise ConfigError([f"{token.where}: expected {expected}, got {token.text!r}"])
