"""The combined family: a line of each server that writes it, and whatever else gets into one; and the times
that they state."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from qps_service.formats import combined, timestamps
from qps_service.formats import line as reference
from qps_service.formats.presets import COMBINED_ALIASES, compile_format
from qps_service.scanning import pure
from qps_service.scanning.options import ScanOptions
from qps_service.values.counts import Counts, Key
from tests.promised import Patches, promises
from tests.unit.conftest import MAKERS, Make, by_each, no_spill

FAMILY = compile_format("combined")
LIMIT = 64 * 1024  # bytes of a line
TEN = int(datetime(2026, 11, 24, 10, tzinfo=UTC).timestamp())

Expected = tuple[bytes, bytes, int, int | None, int | None]  # method, route, status, size, time
A_5 = (b"GET", b"/a", 200, 5, TEN)
CLF = b"24/Nov/2026:10:00:00 +0000"
# With a time and a request for T and R.
SERVERS: dict[str, tuple[bytes, Expected]] = {
    "Apache, common": (b"192.0.2.1 - - T R 200 5", A_5),
    "Apache, combined": (b'192.0.2.1 - frank T R 200 5 "https://example.com/" "curl/8.5"', A_5),
    "Apache, vhost_combined": (b'www.example.com:443 192.0.2.1 - - T R 200 5 "-" "curl/8.5"', A_5),
    "a virtual host without port": (b'shop.example 2001:db8::7 - - T R 200 5 "-" "x"', A_5),
    "Apache, combinedio": (b'192.0.2.1 - - T R 200 5 "-" "x" 311 402', A_5),
    "Apache with IdentityCheck": (b"192.0.2.1 9999 frank T R 200 5", A_5),
    "nginx.org's main": (b'192.0.2.1 - - T R 200 5 "-" "x" "198.51.100.2, 10.0.0.7"', A_5),
    "ingress-nginx": (
        b'192.0.2.1 - - T R 200 5 "-" "x" 82 0.004 [web-shop-80] [] 10.1.0.9:8080 5 0.004 200 0bd1f3',
        A_5,
    ),
    "ingress-nginx, before 0.26": (b'192.0.2.1 - [192.0.2.1] - - T R 200 5 "-" "x" 82 0.004', A_5),
    "lighttpd": (b'192.0.2.1 www.example.com - T R 200 5 "-" "curl/8.5"', A_5),
    "OVH": (b'192.0.2.1 www.example.ovh - T R 200 5 "-" "curl/8.5" "-"', A_5),
    "gunicorn": (b'192.0.2.1 - - T R 200 5 "-" "curl/8.5"', A_5),
    "Traefik": (b'192.0.2.1 - - T R 200 5 "-" "-" 17 "web@docker" "http://172.18.0.5:80" 3ms', A_5),
    "Traefik, client gone": (b'192.0.2.1 - - T R 0 0 "-" "-" 17 "-" "-" 3ms', (b"GET", b"/a", 0, 0, TEN)),
    "HAProxy, httplog clf": (
        b'192.0.2.1 - - T R 200 5 "" "" 4711 001 "web" "app" "a1" 0 0 1 2 3 ---- 1 1',
        A_5,
    ),
    "Squid, combined": (b'192.0.2.1 - - T R 200 5 "-" "x" TCP_MISS:HIER_DIRECT', A_5),
    "varnishncsa": (
        b'192.0.2.1 - - T "GET http://example.com/a HTTP/1.1" 200 5 "-" "x"',
        (b"GET", b"http://example.com/a", 200, 5, TEN),
    ),
    "Envoy": (
        b'[2026-11-24T10:00:00.123Z] R 200 - 0 5 1 1 "-" "x" "0f5e" "h.example" "10.0.0.5:80"',
        (b"GET", b"/a", 200, None, TEN),
    ),
    "Cloud Foundry's gorouter": (
        b'app.example - [2026-11-24T10:00:00.1Z] R 200 5 12 "-" "x" "10.0.0.7:1"',
        A_5,
    ),
    "Jira's Tomcat": (b'192.0.2.1 600x12x1 frank T R 200 5 17 "-" "x" "h9q2v1"', A_5),
    "WEBrick": (b"192.0.2.1 - - [24/Nov/2026:10:00:00 UTC] R 200 5", A_5),
    "Puma": (b"192.0.2.1 - - T R 200 5 0.0012", A_5),
    "aiohttp": (b'192.0.2.1 T R 200 5 "-" "x"', A_5),
    "Twisted": (b'"192.0.2.1" - - T R 200 5 "-" "x"', A_5),
    "Twisted, its own log": (
        b'2026-11-24 10:00:00+0000 [HTTPChannel,0,192.0.2.1] "192.0.2.1" - - T R 200 5 "-" "x"',
        A_5,
    ),
    "Werkzeug": (b"INFO:werkzeug:192.0.2.1 - - [24/Nov/2026 10:00:00] R 200 -", (*A_5[:3], None, TEN)),
    **{
        f"Werkzeug in colours {color!r}": (
            b'192.0.2.1 - - [24/Nov/2026 10:00:00] "%bGET  /a HTTP/1.1\x1b[0m" 404 5' % color,
            (b"GET", b"/a", 404, 5, TEN),
        )
        for color in (b"\x1b[33m", b"\x1b[1m\x1b[31m", b"\x1b[1;31m")
    },
    "Django's runserver": (b"[24/Nov/2026 10:00:00] R 200 5", A_5),
    "Python's http.server": (b"192.0.2.1 - - [24/Nov/2026 10:00:00] R 200 -", (*A_5[:3], None, TEN)),
    "Kong": (b'192.0.2.1 - - T R 200 5 "-" "x" kong_request_id: "7c1e"', A_5),
    "hypercorn": (
        b'[2026-11-24 10:00:00 +0000] [9] [INFO] 192.0.2.1:7 - - T "GET /a" b 1.1" 200 5 "-" "x"',
        (b"GET", b'/a" b', 200, 5, TEN),
    ),
    # What others put before.
    "rsyslog": (b"Nov 24 10:00:01 web nginx: 192.0.2.1 - - T R 200 5", A_5),
    "syslog with a priority and a process": (
        b'<133>Nov 24 10:00:01 web nginx[12]: ::1 - - T R 200 5 "-"',
        A_5,
    ),
    "containerd (CRI)": (b'2026-11-24T10:00:00.49303+01:00 stdout F 192.0.2.1 - - T R 200 5 "-"', A_5),
    "docker compose": (b"web-1  | 192.0.2.1 - - T R 200 5", A_5),
    "stern": (b"web-5d7 nginx 192.0.2.1 - - T R 200 5", A_5),
    "heroku": (b"2026-11-24T10:00:00.1+00:00 app[web.1]: 192.0.2.1 - - T R 200 5", A_5),
}
SHAPES: dict[str, tuple[bytes, Expected | str]] = {
    # Users.
    **{
        f"user {user!r}": (b'192.0.2.1 - %b T R 200 5 "-" "x"' % user, A_5)
        for user in (
            *(b"i.user", b"jane doe", b"a@EXAMPLE.COM", b'""', b"", b"EXAMPLE\\jane", b"CN=Jane [x], O=y"),
            *(b"[x]", b'[x] "y"', b'[x] "y" - 7', b'a] "b', b'"a"', b'a" 200 5', b"\\", b"[", b"]", b'] "'),
            *(b"j\xc3\xb6rg", b"\xff", b'[a] "b] "c"', b"%20", b"[" * 200, b"]" * 200, b"x" * 200),
        )
    },
    "such a user, and no answer": (b'192.0.2.1 - [x] "y" T R - 5', (*A_5[:2], 0, *A_5[3:])),
    # Blanks.
    "runs of blanks": (b'192.0.2.1 -   -  T  R   200    5  "-"   "x"', A_5),
    "tabs": (b"192.0.2.1\t-\t-\tT\tR\t200\t5\t-", A_5),
    "nothing before": (b"T R 200 5", A_5),
    "blanks before": (b"   192.0.2.1 - - T R 200 5", A_5),
    "no blank behind the time": (b"192.0.2.1 - - T" + b'"GET /a" 200 5', "fields"),
    "no blank behind the request": (b'192.0.2.1 - - T "GET /a"200 5', "fields"),
    # The size.
    **{
        f"size {size!r}": (b"192.0.2.1 - - T R 200" + size, (*A_5[:3], known, TEN))
        for size, known in (
            *((b"", None), (b" ", None), (b" -", None), (b" +210", None), (b" 5x", None), (b" 5,1", None)),
            *((b" 5", 5), (b" 5 ", 5), (b"\t5\t6", 5), (b" 5 6 7", 5), (b' "-" "x"', None), (b" 007", 7)),
            *((b" %d" % (2**64 - 1), 2**64 - 1), (b" %d" % 2**64, None), (b" 123456789", 123456789)),
        )
    },
    # The status.
    **{
        f"status {status!r}": (b"192.0.2.1 - - T R %b 5" % status, (*A_5[:2], number, *A_5[3:]))
        for status, number in ((b"-", 0), (b"0", 0), (b"-1", 0), (b"000", 0), (b"999", 999), (b"101", 101))
    },
    **{
        f"no status {status!r}": (b"192.0.2.1 - - T R %b 5" % status, "status")
        for status in (b"OK", b"20", b"2000", b"-2", b"00", b"200,", b'"200"', b"HTTP/1.1")
    },
    **{f"cut {behind!r}": (b"192.0.2.1 - - T R" + behind, "fields") for behind in (b"", b" ", b" 2", b" 20")},
    "cut at an unanswered status": (b"192.0.2.1 - - T R -", (*A_5[:2], 0, None, TEN)),
    # Quotes.
    "a raw quote in the request": (
        b'192.0.2.1 - - T "GET /a"b HTTP/1.1" 404 5 "-" "x"',
        (b"GET", b'/a"b', 404, 5, TEN),
    ),
    "a raw quote and what looks like a size": (
        b'192.0.2.1 - - T "GET /a" b HTTP/1.1" 404 5',
        (b"GET", b'/a" b', 404, 5, TEN),
    ),
    "a status that the client chose": (b'192.0.2.1 - - T "GET /a" 200 5 HTTP/1.1" 404 7', A_5),
    "escaped quotes": (
        rb'192.0.2.1 - - T "GET /\" 200 \" HTTP/1.1" 404 5',
        (b"GET", rb"/\" 200 \"", 404, 5, TEN),
    ),
    "a backslash at the end": (rb'192.0.2.1 - - T "GET /a\\" 404 5', (b"GET", rb"/a\\", 404, 5, TEN)),
    "an agent with quotes": (b'192.0.2.1 - - T R 200 5 "-" "My "quoted" agent"', A_5),
    "an agent like a request": (b'192.0.2.1 - - T R 200 5 "-" "[x] "PUT /b" 500 9"', A_5),
    "no request, and an agent like one": (
        b'192.0.2.1 - - T "-" 408 - "-" "[x] "PUT /b" 500"',
        (b"-", b"-", 408, None, TEN),
    ),
    "TLS to a plain port": (rb'192.0.2.1 - - T "\x16\x03\x01" 400 5', (b"-", b"-", 400, 5, TEN)),
    **{
        f"no colour {text!r}": (b'192.0.2.1 - - T "%b" 400 5' % text, (*each, 400, 5, TEN))
        for text, each in {
            b"\x1b[33": (b"-", b"-"),
            b"\x1b[33m": (b"-", b"-"),
            b"\x1b[33m\x1b[0m": (b"-", b"-"),
            b"\x1b[33GET /a\x1b[0m": (b"-", b"-"),
            b"\x1b33mGET /a": (b"-", b"-"),
            b"\x1b[33mGET /a": (b"GET", b"/a"),
            b"GET /a\x1b[0m": (b"GET", b"/a\x1b[0m"),
        }.items()
    },
    "an empty request": (b'192.0.2.1 - - T "" 400 5', (b"-", b"-", 400, 5, TEN)),
    "two that look so": (b'192.0.2.1 [x]  "PUT /b" 201 [y] "GET /a" 200 5', (b"PUT", b"/b", 201, None, None)),
    # Times that nobody can read.
    **{
        f"time {time!r}": (b"192.0.2.1 - - [%b] R 200 5" % time, (*A_5[:4], None))
        for time in (b"", b"now", b"-", b"24/Foo/2026:10:00:00 +0000", b"x" * 100)
    },
    "two brackets": (b"192.0.2.1 - - [T] R 200 5", A_5),
    # What is none.
    **{
        f"no line of the family: {line[:20]!r}": (line, "fields")
        for line in (
            b"192.0.2.1 - - 24/Nov/2026:10:00:00 R 200 5",
            b"2026/11/24 10:00:00 [error] 12#12: *1 open() failed, request: R, host",
            b'[24/Nov/2026:10:00:00 +0000] - 200 200 - GET https h.example "/a" [Client ::1] "x" "-"',
            b"192.0.2.1 - - ] R 200 5",
            b'{"status":200}',
        )
    },
}


def check_line(make: Make, line: bytes, expected: Expected | str) -> None:
    """Alone, among others, and with the times: then and in blocks the scanners go other ways."""
    line = line.replace(b" R", b' "GET /a HTTP/1.1"').replace(b"\tR", b'\t"GET /a HTTP/1.1"')
    line = (
        line.replace(b" T", b" [%b]" % CLF).replace(b"\tT", b"\t[%b]" % CLF).replace(b"[T]", b"[[%b]]" % CLF)
    )
    line = b"[%b]" % CLF + line[1:] if line.startswith(b"T ") else line
    for times, span in ((1, 0), (5, 0), (1, 1), (5, 1)):
        scanner = make(ScanOptions(FAMILY, LIMIT, span=span), no_spill)
        for end in (b"", b"\n"):
            scanner.scan(b"\n".join([line] * times) + end)
        found = scanner.take()
        if isinstance(expected, str):
            assert (found.counts, found.rejects) == ({}, {expected: 2 * times}), line
            continue
        size, time = expected[3:]
        counts = Counts(2 * times, 2 * times * (size or 0))
        assert (found.counts, found.rejects) == ({Key(*expected[:3]): counts}, {}), line
        assert found.unmeasured == (2 * times if size is None else 0), line
        assert not span or set(found.times) == {time}, line


LINES: dict[str, Mapping[str, tuple[bytes, Expected | str]]] = {"servers": SERVERS, "shapes": SHAPES}


def check_lines(make: Make, kind: str) -> None:
    """What each server writes counts, with its size and its time; and whatever stands around or in them."""
    for line, expected in LINES[kind].values():
        check_line(make, line, expected)


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]


# Each is the same time; each other one is none.
ARE_TEN = (
    *(b"24/Nov/2026:10:00:00 +0000", b"24/nov/2026:10:00:00", b"24/NOV/2026:10:00:00 Z"),
    *(b"24/Nov/2026:10:00:00.123 +0000", b"24/Nov/2026:10:00:00,5", b"24/Nov/2026:10:00:00 UTC"),
    *(b"24/Nov/2026:10:00:00 GMT", b"24/Nov/2026:10:00:00utc", b"24/Nov/2026:12:00:00 +02:00"),
    *(b"24/Nov/2026:12:00:00+0200", b"24/Nov/2026:12:00:00 +02", b"24/Nov/2026:04:30:00 -0530"),
    *(b"24/Nov/2026 10:00:00", b"24-Nov-2026 10:00:00.123", b"24 Nov 2026 10:00:00"),
    *(b"Tue, 24 Nov 2026 10:00:00 GMT", b"Tue 24 nov 2026 10:00:00"),
    *(b"Tue Nov 24 10:00:00 2026", b"tue NOV 24 10:00:00.5 2026", b"Tue Nov 24 10:00:00 UTC 2026"),
    *(b"Tue Nov 24 12:00:00 +0200 2026", b"2026-11-24 10:00:00", b"2026-11-24\t10:00:00"),
    *(b"2026-11-24T10:00:00Z", b"2026-11-24t10:00:00z", b"2026-11-24T10:00:00.123456789+00:00"),
    *(b"2026-11-24T12:00:00 +0200", b"2026-11-24 10:00:00,123 UTC", b"2026/11/24 10:00:00"),
    *(b"%d" % TEN, b"%d.123" % TEN, b"%d123" % TEN, b"%d." % TEN, b"%d123456789" % TEN),
)
ARE_NONE = (
    *(b"24/Nov/2026:10:00", b"24/Nov/2026T10:00:00", b"4/Nov/2026:10:00:00", b"24/November/2026:10:00:00"),
    *(b"24/11/2026:10:00:00", b"24-Nov/2026:10:00:00", b"24/Nov/2026:24:00:00", b"24/Nov/1969:10:00:00"),
    *(b"32/Nov/2026:10:00:00", b"00/Nov/2026:10:00:00", b"24/Nov/2026:10:00:00 CET", b"2026-13-24 10:00:00"),
    *(b"24/Nov/2026:10:00:00 ", b" 24/Nov/2026:10:00:00", b"24/Nov/2026:10:00:00.", b"2026-11-24"),
    *(b"10:00:00", b"24/Nov/2026:10:00:00  Z", b"24/Nov/2026:10:00:00 +1", b"24/Nov/2026:10:00:00 +02:0"),
    *(b"-1", b"1,5", b"24/Nov/2026:10:00:00 +00:00x", b"Nov 24 10:00:00 2026", b"Tue Nov 24 10:00:00", b"1x"),
    *(b"Tue Nov 24 10:00:00 26", b"Tues, 24 Nov 2026 10:00:00", b"0000-11-24T10:00:00 2026"),
    b"2026-11/24 10:00:00",
)
TIMES: dict[bytes, int | None] = {
    **dict.fromkeys(ARE_TEN, TEN),
    b"Tue Nov  3 10:00:00 2026": at(2026, 11, 3, 10),
    b"29/Feb/2028:23:59:60 +0000": at(2028, 3, 1),
    b"01/Jan/1970:00:00:00 +0001": -60,
    **dict.fromkeys(ARE_NONE),
}


def check_times(make: Make) -> None:
    """What states a time, and what does not."""
    for text, time in TIMES.items():
        check_line(make, b"192.0.2.1 - - [%b] R 200 5" % text, (*A_5[:4], time))
        assert timestamps.seconds_of(b"[%b]" % text) == time
        assert timestamps.seconds_of(text) == time


@pytest.mark.parametrize("name", COMBINED_ALIASES)
def test_an_alias_is_the_family(name: str) -> None:
    assert compile_format(name) == FAMILY._replace(text=name)


def strict(opening: bytes = combined._OPEN, closing: bytes = combined._ANY) -> Patches:
    return Patches(
        (combined, "_STRICT", [re.compile(opening + b"(" + combined._BODY + b")" + closing, re.DOTALL)] * 2)
    )


ANSWERED = combined._ANSWERED
SERVER_TWINS = {
    "colours are the client's": Patches((reference, "_uncolored", lambda request: request)),
    "whatever status comes first": strict(),
    "three fields before the time": strict(rb"^[^ ]+ [^ ]+ [^ ]+ " + combined._OPEN, ANSWERED),
}
SHAPE_TWINS = {
    "an answer is needed": strict(closing=ANSWERED),
    "one blank": strict(closing=ANSWERED.replace(rb"[ \t]++", b" ")),
    "from the first bracket on": strict(rb'\[(.*?)\][ \t]++"', ANSWERED),
    "no quote is raw": Patches((combined, "_raw", lambda line: None)),
    "what is odd has no shape": Patches((combined, "_odd", lambda line: None)),
    "brackets anywhere": Patches((pure, "_PLAIN", rb'(?m)^.*?\] "' + pure._PLAIN.partition(b'\\] "')[2])),
    "sizes up to the end": Patches((pure, "_PLAIN", pure._PLAIN.replace(rb"[^\n \t]++", rb"[^\n]++"))),
}
TIME_TWINS = {
    "dates alone": Patches((timestamps, "_TIMES", timestamps._TIMES[:2])),
    "capitals": Patches((timestamps, "_MONTHS", [month.title() for month in timestamps._MONTHS])),
}
test_promise, test_twin = promises(
    *by_each(check_lines, SERVER_TWINS, MAKERS, kind="servers"),
    *by_each(check_lines, SHAPE_TWINS, MAKERS, kind="shapes"),
    *by_each(check_times, TIME_TWINS, MAKERS),
)
