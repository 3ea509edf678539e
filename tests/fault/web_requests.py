"""What clients ask for, plain and hostile, by raw sockets; and what they receive, which is the truth.

Each request stands for a kind of what counts (docs/explanation/counting.md): its bytes, and the method and
the target that its sender meant, or nothing where no server could read it. The status is nowhere here: it is
what comes back.
"""

import base64
import socket
from collections.abc import Callable
from contextlib import suppress
from itertools import takewhile
from typing import NamedTuple

HOST = b"shop.example"
LONG = b"/long/" + 100 * b"0123456789"  # its line is longer than syslog's 1,024 bytes
LONGER = b"/longer/" + 700 * b"0123456789"  # all of them take some 8,000 bytes; as a route it is `other`
LONGEST = b"/longest/" + 2_000 * b"0123456789"
HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(64))  # what a TLS client begins with

Meant = tuple[bytes, bytes] | None  # method and target; None if no server can read it


class Ask(NamedTuple):
    """What one client sends on a connection of its own."""

    name: str
    sent: bytes
    meant: tuple[Meant, ...]  # one for each request in it
    ends: bool = False  # whether it says that nothing more will come: what it sent has no end of its own
    leaves: str = ""  # "at once", or "waiting" for the origin's answer: it doesn't read
    waits: bool = False  # for the server to lose patience


def _head(*lines: bytes, host: bytes | None = HOST, ends: bytes = b"\r\n") -> bytes:
    hosts = [] if host is None else [b"Host: " + host]
    return ends.join([lines[0], *hosts, *lines[1:], b"Connection: close", b"", b""])


def _plain(name: str, method: bytes, target: bytes, *headers: bytes, body: bytes = b"") -> Ask:
    if body:
        headers = (*headers, b"Content-Length: %d" % len(body))
    return Ask(name, _head(method + b" " + target + b" HTTP/1.1", *headers) + body, ((method, target),))


def _line(name: str, line: bytes, *meant: bytes, host: bytes | None = HOST) -> Ask:
    return Ask(name, _head(line, host=host), ((meant[0], meant[1]) if meant else None,))


def _bytes(name: str, sent: bytes) -> Ask:
    return Ask(name, sent, (None,), ends=True)


def _user(user: bytes) -> bytes:
    return b"Authorization: Basic " + base64.b64encode(user + b":secret")


FORGED = b'x" 500 0 "y" "z'  # what would be a status, a size and two fields behind it
UPGRADE = (  # what RFC 6455 has as its example
    b"GET /status-101 HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % HOST
)
HALF = b"GET /half-a-head HTTP/1.1\r\nHost: " + HOST
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NOTHING = Ask("nothing", b"", (None,), leaves="at once")

ASKS = (
    # Plain ones.
    _plain("root", b"GET", b"/"),
    _plain("page", b"GET", b"/page"),
    _plain("query", b"GET", b"/query?a=1&b=/2?3"),
    _plain("post", b"POST", b"/post", body=b"a=1"),
    _plain("head", b"HEAD", b"/head"),
    _plain("fragment", b"GET", b"/fragment#part"),
    _plain("parameters", b"GET", b"/parameters;a=1,b=2/x+y"),
    _plain("dots", b"GET", b"/dots//a/./../b"),
    _plain("expected", b"POST", b"/expected", b"Expect: 100-continue", body=b"a=1"),
    # Blanks in the request line.
    _line("two blanks", b"GET  /two-blanks HTTP/1.1", b"GET", b"/two-blanks"),
    _line("blanks behind", b"GET /blanks-behind   HTTP/1.1", b"GET", b"/blanks-behind"),
    _line("blanks around", b"GET  /blanks-around  HTTP/1.1 ", b"GET", b"/blanks-around"),
    _line("blanks within", b"GET /blanks  within it HTTP/1.1", b"GET", b"/blanks within it"),
    _line("blank first", b" GET /blank-first HTTP/1.1", b"GET", b"/blank-first"),
    _line("tab", b"GET\t/tab HTTP/1.1"),
    _line("empty line first", b"\r\nGET /empty-line-first HTTP/1.1", b"GET", b"/empty-line-first"),
    Ask("bare newlines", _head(b"GET /bare HTTP/1.1", ends=b"\n"), ((b"GET", b"/bare"),)),
    # What no server could read.
    _bytes("empty lines", b"\r\n\r\n"),
    _bytes("tls", HELLO),
    _bytes("nuls", bytes(64)),
    _bytes("high bytes", b"\xff\xfe\xfd\xfc\r\n\r\n"),
    _bytes("ssh", b"SSH-2.0-OpenSSH_9.2\r\n"),
    _bytes("rdp", b"\x03\0\0/*\xe0\0\0\0\0\0Cookie: mstshash=Administr\r\n"),
    _bytes("socks", b"\x05\x01\x00"),
    _bytes("word", b"hello\r\n\r\n"),
    _bytes("quotes alone", b'" 200 0 "\r\n\r\n'),
    _bytes("long garbage", 20_000 * b"A"),
    _line("no token", b"G@T /no-token HTTP/1.1"),
    _line("brackets", b"<GET> /brackets HTTP/1.1"),
    _line("no target", b"GET HTTP/1.1"),
    _line("method alone", b"GET"),
    _line("dash", b"-"),
    # Quotes in what is asked for.
    _line("raw quote", b'GET /raw"quote HTTP/1.1', b"GET", b'/raw"quote'),
    _line("forged", b'GET /forged" 500 0 HTTP/1.1', b"GET", b'/forged" 500 0'),
    _line("forged query", b'GET /forged-query?" 500 0 "x HTTP/1.1', b"GET", b"/forged-query"),
    _plain("query quote", b"GET", b'/query-quote?a="'),
    _plain("escaped quote", b"GET", b"/escaped%22quote"),
    _plain("backslash quote", b"GET", b'/backslash\\"quote'),
    _plain("backslash last", b"GET", b"/backslash\\"),
    _plain("single quotes", b"GET", b"/single'quotes'"),
    # What else a target may be.
    _plain("absolute", b"GET", b"http://shop.example/absolute?a"),
    _plain("elsewhere", b"GET", b"http://other.example/elsewhere"),
    _plain("server", b"OPTIONS", b"*"),
    _plain("star", b"GET", b"*"),
    _plain("tunnel", b"CONNECT", b"other.example:443"),
    _plain("authority", b"GET", b"other.example:80"),
    _plain("no slash", b"GET", b"no-slash"),
    # Encodings.
    _plain("percent utf-8", b"GET", b"/percent/%C3%A9"),
    _plain("percent lower", b"GET", b"/percent-lower/%c3%a9%7e"),
    _plain("percent blank", b"GET", b"/percent%20blank"),
    _plain("percent slash", b"GET", b"/percent/a%2Fb"),
    _plain("percent nul", b"GET", b"/percent-nul%00x"),
    _plain("percent newline", b"GET", b"/newline%0d%0aGET%20/x%20200"),
    _plain("percent dots", b"GET", b"/percent/%2e%2e%2fetc"),
    _plain("percent wrong", b"GET", b"/percent-wrong/%zz%4"),
    _plain("percent question", b"GET", b"/percent-question%3Fa"),
    _plain("raw utf-8", b"GET", "/raw/é€😀".encode()),
    _plain("raw bytes", b"GET", b"/raw/\xe9\xff\xc0\x80"),
    _plain("raw control", b"GET", b"/control\x01\x1b[31m"),
    _plain("raw nul", b"GET", b"/nul\0x"),
    _plain("raw delete", b"GET", b"/delete\x7f"),
    _plain("braces", b"GET", b'/braces{"status":500}'),
    # Long ones.
    _plain("long", b"GET", LONG),
    _plain("longer", b"GET", LONGER),
    _plain("longest", b"GET", LONGEST),
    _plain("long header", b"GET", b"/long-header", b"X: " + 30_000 * b"x"),
    _plain("long agent", b"GET", b"/long-agent", b"User-Agent: " + 2_000 * b"u"),
    _plain("long body", b"POST", b"/long-body", body=70_000 * b"x"),
    # Versions.
    Ask("http/0.9", b"GET /version-0.9\r\n", ((b"GET", b"/version-0.9"),), ends=True),
    _line("http/1.0", b"GET /version-1.0 HTTP/1.0", b"GET", b"/version-1.0", host=None),
    _line("http/1.2", b"GET /version-1.2 HTTP/1.2", b"GET", b"/version-1.2"),
    _line("http/2", b"GET /version-2 HTTP/2.0", b"GET", b"/version-2"),
    Ask("http/2 preface", PREFACE, ((b"PRI", b"*"),), ends=True),
    _line("http/9", b"GET /version-9 HTTP/9.9", b"GET", b"/version-9"),
    _line("lower version", b"GET /lower-version http/1.1", b"GET", b"/lower-version http/1.1"),
    # Methods.
    _plain("put", b"PUT", b"/put", body=b"a"),
    _plain("delete", b"DELETE", b"/delete"),
    _plain("trace", b"TRACE", b"/trace"),
    _plain("brew", b"BREW", b"/pot"),
    _plain("lower", b"get", b"/lower"),
    _plain("search", b"M-SEARCH", b"/search"),
    _plain("token", b"!#$%&'*+.^_`|~0", b"/token"),
    _plain("long method", 30 * b"M", b"/long-method"),
    # Statuses, as the origin or the application gives them.
    *(_plain(str(status), b"GET", b"/status-%d" % status)
      for status in (201, 204, 301, 304, 400, 401, 403, 404, 405, 410, 418, 429, 500, 502, 503, 599)),
    Ask("101", UPGRADE, ((b"GET", b"/status-101"),)),
    _plain("broken", b"GET", b"/broken"),
    # What stands beside.
    _plain("agent", b"GET", b"/agent", b"User-Agent: " + FORGED, b"Referer: " + FORGED),
    _plain("agent quote", b"GET", b"/agent-quote", b'User-Agent: "', b'Referer: "'),
    _plain("agent backslash", b"GET", b"/agent-backslash", b"User-Agent: \\", b"Referer: \\"),
    _plain("agent bytes", b"GET", b"/agent-bytes", b"User-Agent: \xff", b"Referer: \xc3\xa9"),
    _plain("agent json", b"GET", b"/agent-json", b'User-Agent: {"status":500,"uri":"/x"}'),
    _plain("agent newline", b"GET", b"/agent-newline", b'User-Agent: x\r\n "GET /x" 500'),
    _plain("agent return", b"GET", b"/agent-return", b"User-Agent: x\ry"),
    _plain("user", b"GET", b"/user", _user(b"bob the builder")),
    _plain("user forged", b"GET", b"/user-forged", _user(b'b] "GET /x HTTP/1.1" 500 0 [')),
    # Hosts.
    _line("no host", b"GET /no-host HTTP/1.1", b"GET", b"/no-host", host=None),
    _line("other host", b"GET /other-host HTTP/1.1", b"GET", b"/other-host", host=b"other.example"),
    _plain("two hosts", b"GET", b"/two-hosts", b"Host: other.example"),
    _line("odd host", b"GET /odd-host HTTP/1.1", b"GET", b"/odd-host", host=b'a"b c'),
    # Several on one connection.
    Ask(
        "pipelined",
        b"".join(b"GET /pipelined-%d HTTP/1.1\r\nHost: %b\r\n\r\n" % (n, HOST) for n in (1, 2))
        + _head(b"GET /pipelined-3 HTTP/1.1"),
        tuple((b"GET", b"/pipelined-%d" % n) for n in (1, 2, 3)),
    ),
    # Clients that go.
    _plain("client closes", b"GET", b"/hold")._replace(leaves="waiting"),
    Ask("half a line", b"GET /half-a-li", ((b"GET", b"/half-a-li"),), leaves="at once"),
    Ask("half a head", HALF, ((b"GET", b"/half-a-head"),), leaves="at once"),
    Ask("patience", b"GET /patience HTTP/1.1\r\n", ((b"GET", b"/patience"),), waits=True),
)  # fmt: skip


def receive(connection: socket.socket, asked: Ask) -> list[int]:
    """The statuses that come back, as long as one is awaited and the server does not close. Those that
    announce another one (100, 103) are none."""
    answers = _Answers(connection)
    got = (answers.next(asked) for _ in asked.meant)
    return [status for status in takewhile(lambda status: status is not None, got) if status is not None]


class _Answers:
    """What a server says, answer by answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._left = b""

    def next(self, asked: Ask) -> int | None:
        """The next one's status; None if the server closes before it, or speaks another protocol."""
        status = 100
        while status < 200 and status != 101:
            self._read(lambda: b"\r\n\r\n" in self._left)
            if asked.name == "http/0.9" and self._left and not self._left.startswith(b"HTTP/"):
                return 200  # it has nothing but a body, whose presence is the success (RFC 1945, 6)
            head, _, self._left = self._left.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1."):
                return None
            status = int(head.split()[1])
        if status not in (101, 204, 304) and not asked.sent.startswith(b"HEAD "):
            self._skip_body(head.lower())
        return status

    def _skip_body(self, head: bytes) -> None:
        headers = dict(line.partition(b":")[::2] for line in head.split(b"\r\n")[1:])
        if b"chunked" in headers.get(b"transfer-encoding", b""):
            self._read(lambda: b"0\r\n\r\n" in self._left)
            self._left = self._left.partition(b"0\r\n\r\n")[2]
        else:
            length = int(headers.get(b"content-length", 1 << 30))
            self._read(lambda: len(self._left) >= length)
            self._left = self._left[length:]

    def _read(self, is_enough: Callable[[], bool]) -> None:
        """Until there is enough, or the server has closed."""
        with suppress(ConnectionError):
            while not is_enough() and (got := self._connection.recv(1 << 16)):
                self._left += got
