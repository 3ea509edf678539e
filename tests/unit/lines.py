"""Formats and lines for tests that compare scanners: drawn at random, close to real ones, and hostile.

Drawn by `random` and not by Hypothesis, which would take twenty times as long: what counts here is how many.
"""

import json
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from qps_service.formats.durations import UNITS
from qps_service.formats.line import Piece
from qps_service.formats.presets import PRESETS, Field, LogFormat, Member, as_list, compile_format

# What a field of each role may hold: the usual first, and what is odd.
_VALUES: dict[str | None, tuple[bytes, ...]] = {
    "method": (b"GET", b"POST", b"M-SEARCH", b"", b"G(T", b"-", b"\xef\xbb\xbfGET"),
    "route": (
        *(b"/", b"/help", b"/a?q=1#x", b"/a#x?q", b"?q", b"", b"/a b", b'/\\"', b"/\\", b"/\r", b"/a-b|c]"),
        *(b"-", b" /a  b ", b'/a"', b'/" 404 "', b"   "),
    ),
    "request": (
        *(b"GET / HTTP/1.1", b"GET /help HTTP/1.1", b"GET /a b HTTP/2", b"GET /a", b"GET", b"-", b""),
        *(b"GET  HTTP/1.0", b"GET /a HTTP/1.", b"GET /a HTTP/", b"GET /a?b HTTP/1x1"),
        *(b" GET  /a   b  HTTP/1.1  ", b"\\x16\\x03\\x01", b"GET - HTTP/1.1", b'GET /a" HTTP/1.1'),
        *(b'GET /a" 200 b" HTTP/1.1', b'G"" - ""T /a"', b'G\\"T /\\\\ HTTP/1.1', b"- http://x:80- -"),
    ),
    "status": (
        *(b"200", b"404", b"099", b"999", b"000", b"-1", b"20", b"2000", b"", b"2 0", b"0", b"-", b"-12"),
    ),
    "bytes": (
        *(b"512", b"-", b"0", b"12345678", b"123456789", b"%d" % (2**64 - 1), b"%d" % 2**64),
        *(b"0" * 20, b"0" * 21, b"", b"1x", b"12345678x", b"--", b"+210"),
    ),
    "time": (
        *(b"24/Nov/2026:14:50:08 +0000", b"[24/Nov/2026:14:50:08 -0130]", b"2026-11-24T14:50:08.123+01:00"),
        *(b"2026-02-31 23:59:60Z", b"1795531808", b"1795531808.5", b"1795531808123", b"9" * 19, b"9" * 20),
        *(b"0", b"-", b"", b"1969-12-31T00:00:00", b"24/nov/2026:14:50:08", b"1970-01-01T00:00:00+99:99"),
        *(b"Tue Nov 24 14:50:08 2026", b"Tue Nov  4 14:50:08,5 UTC 2026", b"24/NOV/2026 14:50:08.123gmt"),
        *(b"Tue, 24 Nov 2026 14:50:08 +02", b"2026-11-24\t14:50:08 Z", b"2026/11/24 14:50:08+0", b"[]"),
        *(b"0000-11-24T14:50:08 2026", b"24-Nov/2026:14:50:08", b"[1795531808]", b"1" * 70),
    ),
    "duration": (
        *(b"0.123", b"12", b"0.000", b"-", b"", b"-1", b"+1", b"1e-9", b"1e-10", b"1E3", b"1.5e+2", b"1e30"),
        *(b"1" + b"0" * 30, b"0." + b"0" * 40 + b"1", b"1" * 40, b"0" * 40 + b"5", b"1e-" + b"9" * 40),
        *(b"0e999", b"12ms", b"1m2.5s", b"2h", b"1.5h", b"350\xc2\xb5s", b"7\xce\xbcs", b"1s2", b"3x"),
        *(b"1.5us", b"9ns", b"0.1, 0.2 : 0.3", b"-, 0.1", b"0.1,", b"0.1, ", b"0.1 : -", b"- : -"),
        *(b"0.1,0.2", b" 1", b"1 ", b"5.", b".5", b"1.2.3", b"0x5", b"1e", b"1e+", b"0.1234567891"),
        *(b"999999.9999999991", b"1000000", b"1000000.0000000001", b"1000000000000000.1", b"277h46m40s"),
        *(b"277h46m41s", b"99999999999999999999h"),
    ),
    "sign": (b"x", b"-", b"", b"null"),
    "logger": (
        *(b"http.log.access", b"http.log.error", b"http.handlers.x", b"http.handlers", b"http.log.erro", b""),
        *(b"-", b"null", b"http.log.error" + b"x" * 70, b"x.http.log.error"),
    ),
    "host": (
        *(b"shop.example", b"SHOP.example:443", b"[::1]:80", b"-", b"", b"a b", b"a/b?c#d"),
        *(b"\xc3\xa9.example", b"203.0.113.9", b"x" * 300, b'a"', b"a:b:c", b" a ", b"null", b"GET"),
    ),
    None: (b"1.2.3.4", b"-", b"", b"curl/8.0 (x)", b'\\"', b"\\"),
}
_UNITS = tuple(UNITS)
_LITERALS = (
    *(b" ", b"\t", b'"', b'" "', b'" ', b' "', b"|", b" - ", b"--", b"---", b"] ", b"\\", b"\xc3\xa9"),
    b"-----------",
)
# What makes a difference somewhere.
_BITS = (
    *(b"\t", b" ", b'"', b"\\", b'\\"', b"\n", b"\r", b"\r\n", b"\0", b"\xef\xbb\xbf", b"\xff", b"\x1b[31m"),
    *(b"0", b"9", b"?", b"#", b"%", b"-", b"|", b"]", b"HTTP/1.1", b"\\u0041", b"\\U0041", b"\\ud83d\\ude00"),
    *(b"\\udc00", b"{", b"}", b"[", b"]", b",", b", ", b":", b" : ", b"null"),
)
# What stands around the fields of the combined family: the usual first.
_BEFORE = (
    *(b"1.2.3.4 - - ", b"::1 - jane doe ", b"", b"www.example.com:443 1.2.3.4 - - ", b"1.2.3.4\t-\t-\t"),
    *(b"2026-11-24T14:50:08.1Z stdout F 1.2.3.4 - - ", b"Nov 24 host nginx[12]: 1.2.3.4 - - ", b"a [b] c "),
    *(b'1.2.3.4 - [x] "y" ', b'1.2.3.4 - [x]  "y" 200 ', b'1.2.3.4 - x] "y ', b"[1] ["),
    *(b'1.2.3.4 - [x] \\"y" ', b'1.2.3.4 - [x] "y" - ', b'[a] "b] "c" x y '),
    *(b'[HTTPChannel,0,::1] "::1" - - ', b'[a] "b" -1 [c] "d" 0 ', b" - " * 30, b'1.2.3.4 - "y\\" ', b"\\ "),
    *(b"[" * 70, b"]" * 70),
)
# Likewise, with a virtual host, or nearly so.
_BEFORE_HOSTS = (
    *(b"1.2.3.4 shop.example - ", b"1.2.3.4 203.0.113.9 bob ", b"203.0.113.9:80 1.2.3.4 - - "),
    *(b"a.b c.d - - ", b"a.b:80 c.d - - ", b"[::1]:80 ::ffff:1.2.3.4 - - ", b"x 1.2.3.4, 5.6.7.8 - "),
    *(b"x, 1.2.3.4 - - ", b"x 1.2.3.4 ", b"web-1 | a.b 1.2.3.4 - - ", b"203.0.113.9 1.2.3.4 - - "),
    *(b"INFO 1.2.3.4 - - ", b"10:00:00 1.2.3.4 - - ", b"9.9 1.2.3.4 - - ", b"1.2.3.4 9999 bob "),
    *(b"1.2.3.4 x y ", b"[::1]:x 1.2.3.4 - - ", b"_a:80 1.2.3.4 - - "),
    *(b"<1>Nov 24 host nginx: a.b 1.2.3.4 - - ", b"1.2.3.4:80:90 1.2..3 x ", b"1.2.3.4: , - "),
)
_BEHIND = (
    *(b"", b' "-" "curl/8.5"', b' "-" "My "quoted" agent"', b' "-" "x" 1 "r@docker" 1ms', b" ", b"\t5"),
    *(b' "-" "[x] "GET / HTTP/1.1" 200 5"', b' "[a] "', b' "-" "Mozilla (cut', b"\\", b' "x" 404 7'),
)
_BLANKS = (b" ", b" ", b"  ", b"\t", b"", b" " * 70)
_PATHS = (b"a", b"b", b"c", b"a.b", b"a.c", b"a.b.c", b"b.", b".a", b"")
_ESCAPES = (
    *(rb"\u0041", rb"\U0041", rb"\u00e9", rb"\uD83D\udE00", rb"\ud83d", rb"\udc00\ud83d", rb"\ud83d\u0041"),
    *(rb"\n", rb"\/", rb"\q", rb"\u004", rb"\u0000", rb"\ufffe", rb"\\u0041", b"\\\0"),
)

# What is no JSON, or is more than servers write.
_ODD = (
    *(b"", b" ", b"-", b"0.1, 0.2", b"0.1 : -, 0.2", b'""a"b""', b'"a"b"', b'"a" "', b'a"b', b"/a?b#c"),
    *(b"null", b"[1,2]", b"[x y]", b'["a"b", {"a":1}, "b"]', b"[" * 70, b'{"a":' * 70, b"{}", b'{"a":x}'),
    *(b'{"a"}', b"}", b'}, "', b"nul", b"null x", b"GET /a HTTP/1.1", b"[[1 x],2]", b"{x},", b'"\\"'),
    *(b"\\u0041", b"200.0", b"200.x"),
)
# What stands before a line, or an object.
_BEFORE_OBJECTS = (
    *(b"", b"", b"", b" ", b"x {} ", b'{ "', b"x\thttp.log.error\t", b"\thttp.handlers.x", b"\thttp.lo"),
)
_AROUND = (
    *(b"2026-11-24T11:00:00.493035218+01:00 stdout F ", b"2026-11-24T11:00:00Z stderr P:x ", b"\0\0\0"),
    *(b"\0", b"web-1  | ", b"\x1b[36mweb_1.x  |\x1b[0m ", b"\x1b[1;36mweb-1 | \x1b[0m", b"\x1b[36web-1 | "),
    *(b"web|", b"<190>Nov 24 10:00:00 host nginx: ", b"Nov  4 10:00:00 host nginx[7]:   ", b"a b c d e f: "),
    *(b"a b: ", b"<190>1 2026-11-24T10:00:00Z host nginx 7 - - ", b'<1>1 - - - - - [a b="] c"][d] '),
    *(b"<1>1 - - - - - - ", b"2026-11-24T11:00:00Z stdout F", b"2026-11-24T11:00:00Z stdin F "),
    b"2026-11-24T stdout \xef\xbb\xbf",
)


class Settings(NamedTuple):
    """What a scanner is made with."""

    log_format: LogFormat
    max_line: int
    keep_query: bool
    span: int
    keep_host: bool = False


class Case(NamedTuple):
    """What is asked of a scanner, and what it scans: blocks of whole lines, several between two takes."""

    asked: Settings
    log: list[list[bytes]]


def case_of(seed: int, most: int) -> Case:
    """With `most` bytes of a line at most."""
    random = Random(seed)
    asked = Settings(
        _format(random),
        random.choice([most, most, most, most, 300, 80, 64, 20]),
        random.random() < 0.3,
        random.choice([0, 0, 1, 60, 86400]),
        random.random() < 0.5,
    )
    return Case(asked, _log(random, asked))


def _text_format(pieces: Sequence[Piece]) -> LogFormat:
    roles = frozenset(piece.role for piece in pieces if isinstance(piece, Field) and piece.role)
    return LogFormat("drawn", tuple(pieces), (), is_lenient=False, roles=roles)


# The third is one of a family's shapes, spelled out.
_PRESETS = [
    compile_format(text)
    for text in (
        *("default", "combined", PRESETS["combined"].texts[0], "json", "ltsv", "$uri $status"),
        PRESETS["combined"].texts[0] + " $request_time",
        PRESETS["combined"].texts[0] + " $request_length $duration_us $upstream_status",
    )
]
_LISTS = [
    compile_format("nginx-proxy-manager"),
    as_list([compile_format(text) for text in ("uvicorn", "combined")]),
]


def _format(random: Random) -> LogFormat:
    """One format, or a list of them."""
    if random.random() < 0.7:
        return _single_format(random)
    if random.random() < 0.2:
        return random.choice(_LISTS)
    formats = [_single_format(random) for _ in range(random.randint(2, 4))]
    first = formats[0]
    if first.pieces and random.random() < 0.5:  # one that is nearly the same reads some of its lines
        formats.insert(
            1, _format_of_text(random, [piece.role for piece in first.pieces if isinstance(piece, Field)])
        )
    return as_list(formats)


def _single_format(random: Random) -> LogFormat:
    kind = random.random()
    if kind < 0.4:
        return random.choice(_PRESETS)
    return _format_of_text(random) if kind < 0.7 else _format_of_names(random)


def _format_of_text(random: Random, roles: list[str | None] | None = None) -> LogFormat:
    """Fields in any order, or of these roles in this order, between any literals."""
    roles = roles or _roles(random)
    # Often one literal for all: then fields hold what ends others.
    one = random.choice(_LITERALS) if random.random() < 0.5 else None
    pieces: list[Piece] = []
    for role in roles:
        if pieces or random.random() < 0.3:
            pieces.append(one or _literal(random))
        unit = random.choice(_UNITS) if role == "duration" else None
        pieces.append(Field(role or "other", role, unit, is_list=random.random() < 0.1))
    if random.random() < 0.3:
        pieces.append(one or _literal(random))
    return _text_format(pieces)


def _roles(random: Random) -> list[str | None]:
    roles: list[str | None] = ["status", *[None] * random.randrange(3)]
    roles += random.choice(["route", "request", "method route", "request method"]).split()
    roles += random.choice(["bytes", "bytes", "", "bytes time", "time", "host", "bytes host"]).split()
    roles += random.choice([[], ["duration"]])
    random.shuffle(roles)
    return roles


def _literal(random: Random) -> bytes:
    if random.random() < 0.8:
        return random.choice(_LITERALS)
    return random.randbytes(random.randint(1, 10)).translate(None, b"\n\r") or b"~"


def _format_of_names(random: Random) -> LogFormat:
    """JSON, or LTSV."""
    names = (
        *("method", "route", "request", "status", "bytes", "time", "logger", "host"),
        *("duration", "duration", "sign"),
    )
    roles = ["status", random.choice(["request", "route"]), *random.choices(names, k=random.randrange(6))]
    draw = random.sample if random.random() < 0.7 else random.choices
    paths = draw(_PATHS, k=len(roles))
    members = tuple(
        Member(path, role, random.choice(_UNITS), tuple(random.choices(paths, k=random.choice([0, 1, 2]))))
        if role == "duration"
        else Member(path, role)
        for path, role in zip(paths, roles, strict=True)
    )
    is_ltsv = random.random() < 0.3
    return LogFormat("drawn", (), members, is_lenient=False, roles=frozenset(roles), is_ltsv=is_ltsv)


def _log(random: Random, asked: Settings) -> list[list[bytes]]:
    """Lines come again and again, as in a real log: only then there is something to remember."""
    lines = [_line(random, asked) for _ in range(random.randint(1, 6))]
    routes = random.choice([0, 0, 0, 3, 40])  # as many of each line; 0 for that alone
    return [
        [_block(random, lines, routes) for _ in range(random.randint(1, 2))]
        for _ in range(random.randint(1, 2))
    ]


def _block(random: Random, lines: Sequence[bytes], routes: int) -> bytes:
    some = random.sample(lines, random.randint(1, len(lines)))  # so that some blocks have good lines only
    chosen = random.choices(some, k=random.choice([0, 1, 3, 6, 20, 60]))
    if routes:
        chosen = [_varied(line, place % routes) for place, line in enumerate(chosen)]
    return b"\n".join(chosen) + random.choice([b"\n", b"\n", b"\n", b"", b"\r\n"])


def _varied(line: bytes, number: int) -> bytes:
    """The same for another route, at another time."""
    line = line.replace(b"/", b"/%d" % number, 1)
    return line.replace(b"14:50", b"%02d:50" % (number % 24)).replace(
        b"795531808", b"7%08d" % (number * 7919)
    )


def _line(random: Random, asked: Settings) -> bytes:
    """One line, or more where a newline gets into it."""
    log_format = random.choice(asked.log_format.listed)
    members = log_format.members
    if log_format.is_combined:
        line = _combined(random)
    elif log_format.is_ltsv:
        line = b"\t".join(
            each.path + b":" + _value(random, each.role)
            for each in random.choices(members, k=random.randint(1, 2 * len(members)))
        )
    elif members:
        line = random.choice(_BEFORE_OBJECTS) + _json(random, members)
    else:
        line = b"".join(
            _value(random, piece.role) if isinstance(piece, Field) else piece for piece in log_format.pieces
        )
    for _ in range(random.choice([0, 0, 0, 0, 1, 1, 2, 4])):
        line = _mutated(random, line, asked.max_line)
    if random.random() < 0.15:
        line = random.choice(_AROUND) + line
    if random.random() < 0.1:
        line = _object_around(random, line)
    if random.random() < 0.02:
        line = b"\xef\xbb\xbf" + line
    for _ in range(random.choice([0, 0, 0, 0, 1, 2])):
        line = _mutated(random, line, asked.max_line)
    return line


def _combined(random: Random) -> bytes:
    all_before = _BEFORE if random.random() < 0.7 else _BEFORE_HOSTS
    before, *blanks, behind = (
        _some(random, each) for each in (all_before, _BLANKS, _BLANKS, _BLANKS, _BEHIND)
    )
    time, request, status, size = (_value(random, role) for role in ("time", "request", "status", "bytes"))
    return b'%b[%b]%b"%b"%b%b%b%b%b' % (
        *(before, time, blanks[0], request, blanks[1], status, blanks[2], size, behind),
    )


def _object_around(random: Random, line: bytes) -> bytes:
    """As docker keeps a line, or nearly so."""
    text = json.dumps(line.decode("utf-8", "replace"), ensure_ascii=random.random() < 0.5).encode()
    text = text[:-1] + random.choice([b"\\n", b"\\n", b"\\r\\n", b"", b"\\n2"]) + b'"'
    before = b'"stream":"stdout",' if random.random() < 0.3 else b""
    return b"{" + before + b'"log":' + text + random.choice([b',"time":"2026"}', b"}", b"", b',"log":"x"}'])


def _value(random: Random, role: str | None) -> bytes:
    return _some(random, _VALUES[role])


def _some(random: Random, values: Sequence[bytes]) -> bytes:
    """Mostly one of the usual ones."""
    return random.choice(values[:2] if random.random() < 0.8 else values)


def _json(random: Random, members: Sequence[Member]) -> bytes:
    """An object with these members, in one of several ways to write the same, or as no JSON writes them."""
    parts = []
    some = len(members) if random.random() < 0.7 else random.randint(1, len(members))
    for member in random.sample(members, some):
        value = _value(random, member.role).replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        value += random.choice(_ESCAPES) if random.random() < 0.1 else b""
        text = value if value.isdigit() and random.random() < 0.5 else b'"' + value + b'"'
        if random.random() < 0.2:
            text = random.choice([value, _value(random, member.role), *_ODD])
        if random.random() < 0.1:
            text = text[:1] + random.choice(_ODD) + text[1:]
        *outer, name = member.path.split(b".") if random.random() < 0.8 else [member.path]
        opening = b"".join(b'"' + each + b'": {' for each in outer)
        parts.append(opening + b'"' + name + b'":' + text + b"}" * len(outer))
        if random.random() < 0.1:
            parts.append(random.choice([b'"x":' + random.choice(_ODD), random.choice(_ODD)]))
    return b"{" + random.choice([b", ", b",", b" , "]).join(parts) + b"}"


def _mutated(random: Random, line: bytes, max_line: int) -> bytes:
    place = random.choice([0, len(line), *[random.randint(0, len(line))] * 4])
    count = random.choice([1, 2, 7, 8, 16])
    match random.randrange(8):
        case 0:
            return line[:place] + random.choice(_BITS) + line[place:]
        case 1:
            return line[:place] + random.choice(_BITS) + line[place + 1 :]
        case 2:
            return line[:place] + line[place + count :]
        case 3:
            return line[: place + count] + line[place:]
        case 4:
            return line[:place] + random.randbytes(random.randint(1, 2)) + line[place + 1 :]
        case 5:
            other = random.randint(0, len(line))
            return line[:place] + line[other : other + count] + line[place:]
        case 6:
            return line[:place]
        case _:
            # Up to where the native scanner begins another word or window, or the line is too long.
            length = random.choice([8, 16, 24, 32, 40, 48, 56, 64, 72, 128, 256, 320, max_line])
            length += random.randint(-2, 2)
            return line[:place] + b"x" * (length - len(line)) + line[place:]
