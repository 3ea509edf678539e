"""What a web server's log is to be read as: what its clients meant, and the status that they received.

The log is not asked. Where a server by its nature logs otherwise, that is a Nature with its reason, for
requests by name; one that changes nothing is a mistake.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes

from tests.fault.web_requests import ASKS, NOTHING
from tests.fault.web_servers import Received

Row = tuple[bytes, bytes, int]  # method, route, status
Rows = list[Row]
Change = Callable[[Row], Rows]
UNREAD = b"-"
MAX_ROUTE = 1024  # bytes, by default


# --- how servers write what they were asked for


def _escaped(text: bytes, which: bytes, form: Callable[[int], bytes]) -> bytes:
    return re.sub(which, lambda found: form(found[0][0]), text, flags=re.DOTALL)


def as_it_is(target: bytes) -> bytes:
    """nginx with escape=json: JSON is read back."""
    return target


def as_nginx(target: bytes) -> bytes:
    r"""Quotes, backslashes, controls and what is not ASCII as \xHH (ngx_http_log_escape)."""
    return _escaped(target, rb'["\\\x00-\x1f\x7f-\xff]', lambda byte: b"\\x%02X" % byte)


def as_uri(target: bytes) -> bytes:
    """nginx's $uri: decoded, without the query, with dots and slashes resolved."""
    path = re.sub(rb"^[a-z]+://[^/]*", b"", re.split(rb"[?#]", target)[0])
    kept: list[bytes] = []
    for part in unquote_to_bytes(path).split(b"/"):
        if part == b"..":
            kept.pop()
        elif part not in (b"", b"."):
            kept.append(part)
    return b"/" + b"/".join(kept)


def as_apache(target: bytes) -> bytes:
    r"""Quotes and backslashes behind one, other bytes as \xhh (ap_escape_logitem)."""
    text = _escaped(target, rb'["\\]', lambda byte: b"\\%c" % byte)
    return _escaped(text, rb"[\x00-\x1f\x7f-\xff]", lambda byte: b"\\x%02x" % byte)


def as_lighttpd(target: bytes) -> bytes:
    """Likewise, in capitals."""
    text = _escaped(target, rb'["\\]', lambda byte: b"\\%c" % byte)
    return _escaped(text, rb"[\x00-\x1f\x7f-\xff]", lambda byte: b"\\x%02X" % byte)


def as_haproxy(target: bytes) -> bytes:
    """As #HH (its manual, 8.6). So a route ends where a byte is escaped: behind # is a fragment."""
    return _escaped(target, rb'["#\x00-\x1f\x7f-\xff]', lambda byte: b"#%02X" % byte)


def as_caddy(target: bytes) -> bytes:
    """JSON, so a byte that is no UTF-8 is U+FFFD."""
    return b"".join(
        "\ufffd".encode() if "\udc80" <= c <= "\udcff" else c.encode()
        for c in target.decode("utf-8", "surrogateescape")
    )


def as_gunicorn(target: bytes) -> bytes:
    """Quotes behind a backslash, backslashes as they are."""
    return target.replace(b'"', b'\\"')


def as_uvicorn(target: bytes) -> bytes:
    """The path decoded and encoded anew, the query as it is."""
    path, mark, query = target.partition(b"?")
    return quote(unquote(path.decode("latin-1"))).encode() + mark + query


# --- what they do otherwise


def not_logged(_: Row) -> Rows:
    """There is no line."""
    return []


def unread(row: Row) -> Rows:
    """It keeps nothing of the request."""
    return [(UNREAD, UNREAD, row[2])]


def status(number: int) -> Change:
    """It logs this one."""
    return lambda row: [(*row[:2], number)]


def route(text: bytes) -> Change:
    """It logs this one."""
    return lambda row: [(row[0], text, row[2])]


def reads(method: bytes, route: bytes) -> Change:
    """It logs a request that could be read."""
    return lambda row: [(method, route, row[2])]


def refused(_: Row) -> Rows:
    """Nothing of the request, and 400."""
    return [(UNREAD, UNREAD, 400)]


def if_answered(row: Row) -> Rows:
    """No line if there was no answer."""
    return [row] if row[2] else []


class Nature(NamedTuple):
    """Why a server logs something else for some requests, and what."""

    why: str
    logs: Change
    requests: Collection[str]  # by name


class Log(NamedTuple):
    """A log of a server, and what is particular about it."""

    server: str
    file: str
    written: Callable[[bytes], bytes]
    natures: Sequence[Nature]
    requests: bytes = (
        b""  # what its lines of requests have, in a regular expression; others are its own messages
    )

    def __str__(self) -> str:
        return f"{self.server}-{self.file}"


# Requests by name, where several servers do the same.
HALVES = ("half a line", "half a head")
BLANKS = ("two blanks", "blanks behind", "blanks around", "blanks within", "blank first", "tab")
GARBAGE = (
    "empty lines", "tls", "nuls", "high bytes", "ssh", "rdp", "socks", "word", "quotes alone", "long garbage",
    "no token", "brackets", "no target", "method alone", "dash",
)  # fmt: skip
FORGED = ("forged", "forged query")
NO_PATHS = ("star", "tunnel", "authority", "no slash")
NO_VERSIONS = ("http/2", "http/9", "lower version")
RAW = ("raw utf-8", "raw bytes")
CONTROLS = ("raw control", "raw nul", "raw delete")

LEAVES_UNANSWERED = Nature("does not look whether its client is there", status(200), ("client closes",))
TAB = Nature("logs a blank for it", reads(b"GET", b"/tab"), ("tab",))

NO_BYTE = Nature("a connection without a byte is no request", not_logged, ("nothing",))
NGINX_OWN = (
    Nature("closes without an answer after client_header_timeout, and logs 408", status(408), ("patience",)),
    Nature("has a status of its own for a client that has gone", status(499), ("client closes",)),
)
NGINX = (
    NO_BYTE,
    Nature("closes without an answer, and logs 400", status(400), ("empty lines", *HALVES)),
    *NGINX_OWN,
)
NGINX_URI = (
    NO_BYTE,
    Nature("closes without an answer, and logs 400", status(400), ("empty lines", "half a head")),
    Nature("does so before there is a $uri", refused, ("half a line",)),
    Nature(
        "has no $uri of a request line that it refuses",
        unread,
        (
            "blanks within", "blank first", *FORGED, "server", *NO_PATHS, "percent nul",
            "percent wrong", *CONTROLS, "longest", *NO_VERSIONS, "http/2 preface", "lower", "token",
        ),
    ),
    *NGINX_OWN,
)  # fmt: skip
APACHE = (
    Nature(
        "closes without an answer, and logs nothing, where a request line has no end",
        not_logged,
        ("nothing", "empty lines", "nuls", "socks", "long garbage", "half a line"),
    ),
    Nature("nobody is there any more for its 400", status(400), ("half a head",)),
    LEAVES_UNANSWERED,
    Nature("logs three words of a request line", route(b"/blanks within"), ("blanks within",)),
    Nature("logs three words of a request line", route(rb"/forged\" 500"), ("forged",)),
    Nature(r"has the newline behind the protocol, as \n", route(rb"/bare HTTP/1.1\n"), ("bare newlines",)),
    TAB,
    Nature("a NUL ends its strings", route(b"/nul"), ("raw nul",)),
)
LIGHTTPD = (
    Nature(
        "closes without an answer, and logs nothing, what ends too early",
        not_logged,
        ("nothing", "ssh", "http/0.9", "patience", *HALVES),
    ),
    Nature(
        "logs blanks in place of what was wrong in a request line",
        unread,
        (
            "two blanks", "blanks around", "blank first", "empty line first", "bare newlines",
            *NO_PATHS, "longest", "long header", "http/1.2", *NO_VERSIONS, "brew", "lower", "search",
            "token", "long method",
        ),
    ),
    Nature("takes HTTP/2, and logs its preface with 100", status(100), ("http/2 preface",)),
    LEAVES_UNANSWERED,
)  # fmt: skip
HAPROXY = (
    Nature("logs <BADREQ> and 400 of what ends before it is a request", refused, ("nothing", *HALVES)),
    Nature(
        "logs <BADREQ> of a request that it refuses",
        unread,
        (
            "fragment", "blanks around", "blanks within", "blank first", *FORGED, "elsewhere",
            "tunnel", "authority", "no slash", *RAW, "raw control", "raw nul", "longest",
            "long header", "http/0.9", "lower version", "agent return", "two hosts", "patience",
        ),
    ),
    TAB,
    Nature("escapes a # of the method, too", reads(b"!#23$%&'*+.^_`|~0", b"/token"), ("token",)),
    Nature("takes HTTP/2, and there is no request in it", not_logged, ("http/2 preface",)),
    Nature("cuts its lines at 1,024 bytes", route(b"/longer/:id"), ("longer",)),
    LEAVES_UNANSWERED,
)  # fmt: skip
CADDY = (
    Nature(
        "what Go refuses, and `OPTIONS *`, it answers by itself: no handler sees it",
        not_logged,
        (
            "nothing", *BLANKS, "empty line first", *GARBAGE, *FORGED, "server", "no slash",
            "percent wrong", *CONTROLS, "http/0.9", *NO_VERSIONS, "agent return", "no host",
            "two hosts", "odd host", "patience", *HALVES,
        ),
    ),
    Nature(
        "answers 200 for a host that no site has, and logs 0",
        status(0),
        ("elsewhere", "tunnel", "http/1.0", "http/2 preface", "other host"),
    ),
    Nature("logs 0 where a connection changes its protocol", status(0), ("101",)),
)  # fmt: skip
GUNICORN = (
    Nature(
        "what it refuses is in its error log alone",
        not_logged,
        (
            "nothing", *BLANKS, "bare newlines", *GARBAGE, *FORGED, "star", "authority", "no slash",
            *RAW, *CONTROLS, "longer", "longest", "long header", "http/0.9", *NO_VERSIONS,
            "http/2 preface", "lower", "token", "long method", "agent newline", "agent return",
            "patience", *HALVES,
        ),
    ),
    Nature("a sync worker answers only the first", if_answered, ("pipelined",)),
    LEAVES_UNANSWERED,
)  # fmt: skip
UVICORN = (
    Nature(
        "what it refuses is a message of its own, without the request",
        not_logged,
        (
            "nothing", *BLANKS, "empty line first", *GARBAGE, *FORGED, *RAW, *CONTROLS, "http/0.9",
            "lower version", "agent return", "no host", "two hosts", "patience", *HALVES,
        ),
    ),
    Nature("logs what the application said, before it fails to say it", status(101), ("101",)),
    LEAVES_UNANSWERED,
)  # fmt: skip

LOGS = (
    *(Log("nginx", file, as_nginx, NGINX) for file in ("combined", "main", "ingress")),
    Log("nginx", "ingress-json", as_uri, NGINX_URI),
    Log("nginx", "upstream-json", as_it_is, NGINX),
    *(Log("apache", file, as_apache, APACHE) for file in ("common", "combined", "vhost")),
    Log("lighttpd", "access", as_lighttpd, LIGHTTPD),
    Log("haproxy", "out", as_haproxy, HAPROXY, rb"^127\.0\.0\.1:"),
    Log("haproxy", "syslog", as_haproxy, HAPROXY, rb" haproxy\[[0-9]+\]: 127\.0\.0\.1:"),
    *(Log("caddy", file, as_caddy, CADDY) for file in ("json", "console")),
    Log("gunicorn", "access", as_gunicorn, GUNICORN),
    Log("uvicorn", "out", as_uvicorn, UVICORN, rb"^INFO:     127\.0\.0\.1:"),
)


def expected(log: Log, received: Received) -> Counter[Row]:
    """What the log is to be read as."""
    changes = {name: nature.logs for nature in log.natures for name in nature.requests}
    rows: Counter[Row] = Counter()
    for asked in (NOTHING, *ASKS):
        got = received[asked.name]
        for place, meant in enumerate(asked.meant):
            number = got[place] if place < len(got) else 0
            row = (UNREAD, UNREAD, number) if meant is None else (meant[0], _route(log, meant[1]), number)
            change = changes.get(asked.name)
            rows.update(change(row) if change else [row])
    return rows


def _route(log: Log, target: bytes) -> bytes:
    """As README says: without query and host, and with percent-encodings in their normal form."""
    path = re.split(rb"[?#]", log.written(target))[0]
    if len(path) > MAX_ROUTE:
        return b"other"
    path = re.sub(rb"^http://[^/]*", b"", path)
    path = re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: _octet(int(found[1], 16)), path)
    return re.sub(rb"(?<=/)[0-9]+$", b":id", path)  # numbers are collapsed: lines are cut within one


def _octet(byte: int) -> bytes:
    unreserved = b"-._~" + string.ascii_letters.encode() + string.digits.encode()
    return bytes([byte]) if byte in unreserved else b"%%%02X" % byte
