"""What a line means, for every scanner there is. Each input is fed whole, line by line, and split at
every newline."""

import re
from collections.abc import Iterator
from functools import partial
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.formats import line as reference
from qps_service.formats.presets import PRESETS, compile_format
from qps_service.scanning import _scan, pure
from qps_service.scanning.pure import PureScanner
from qps_service.scanning.scanner import Scanner
from qps_service.values.counts import REASONS, SAMPLE_LIMIT, Counts, Key, Sample, Scanned
from tests.limits import Doubled
from tests.promised import Patches, promises, twin
from tests.unit.conftest import MakeScanner, by_each, pure_scanner

LIMIT = 64 * 1024  # bytes, the default of max_line
DEFAULT = compile_format("default")
COMBINED = compile_format("combined")


def scanned(scanner: Scanner, *blocks: bytes) -> Scanned:
    for block in blocks:
        scanner.scan(block)
    return scanner.take()


def told(found: Scanned) -> tuple[object, ...]:
    """What was found, whatever the order of its rows."""
    return found.lines, found.counts, found.rejects, found.sample


def splits(data: bytes) -> Iterator[tuple[bytes, ...]]:
    """The ways in which a follower may hand over `data`: blocks end on newlines."""
    yield (data,)
    yield tuple(re.findall(rb"[^\n]*\n|[^\n]+\Z", data))
    for newline in re.finditer(b"\n", data):
        yield data[: newline.end()], data[newline.end() :]


def check_splits(make: MakeScanner, data: bytes) -> Scanned:
    """The same is found however `data` is split."""
    whole, *others = [scanned(make(DEFAULT, LIMIT), *blocks) for blocks in splits(data)]
    assert all(told(other) == told(whole) for other in others)
    return whole


def line(
    method: bytes = b"GET",
    route: bytes = b"/",
    status: bytes = b"200",
    size: bytes = b"1",
    end: bytes = b"\n",
) -> bytes:
    return b"1.2.3.4\t%b %b\t%b\t%b%b" % (method, route, status, size, end)


def one(route: bytes = b"/", method: bytes = b"GET", status: int = 200, size: int = 1) -> dict[Key, Counts]:
    return {Key(method, route, status): Counts(1, size)}


def long_route(length: int) -> bytes:
    """The route that makes a line of `length` bytes without its newline."""
    return b"/".ljust(length - len(line(route=b"", end=b"")), b"a")


NOT_READ = (b"-", b"-")
AS_THEY_ARE = (
    *(b"/a\r", b"/\0", b"/\xff\xfe", b"/\xc3\xa9", b"/\x1b[31m", b"/a b"),
    *map(long_route, (LIMIT - 1, LIMIT)),
)
Expected = dict[Key, Counts] | str
LINES_OF: dict[str, tuple[bytes, Expected]] = {
    "plain": (line(), one()),
    "CRLF": (line(end=b"\r\n"), one()),
    **{f"route {each[:9]!r} {len(each)}": (line(route=each), one(each)) for each in AS_THEY_ARE},
    "query": (line(route=b"/a?q=1#x"), one(b"/a")),
    "fragment": (line(route=b"/a#x?q=1"), one(b"/a")),
    "nothing but a query": (line(route=b"?q=1"), one(b"")),
    "byte order mark": (b"\xef\xbb\xbf" + line(), one()),
    **{f"method {each!r}": (line(each), one(method=each)) for each in (b"M-SEARCH", b"!#$%&'*+.^_`|~")},
    **{f"status {each!r}": (line(status=each), one(status=int(each))) for each in (b"999", b"099", b"000")},
    **{f"size {each}": (line(size=b"%d" % each), one(size=each)) for each in (0, 2**64 - 1)},
    "bytes not told": (line(size=b"-"), one(size=0)),
    **{f"nothing answered {each!r}": (line(status=each), one(status=0)) for each in (b"0", b"-1", b"", b"-")},
    "cut behind the status": (b"1.2.3.4\tGET /\t200\n", one(size=0)),
    "cut behind the status, blanks": (b"1.2.3.4 GET / 200\n", one(size=0)),
    **{
        f"no size {each[:21]!r}": (line(size=each), one(size=0))
        for each in (b"%d" % 2**64, b"9" * 5000, b"-1", b"+210", b"1.5", b"", b"many", b"1\x00", b"1\t2\t3")
    },
    **{
        f"not read {each!r}": (line(method=each), one(b"-", b"-"))
        for each in (b"", b"G\x16T", b"\x16\x03\x01")  # the last: TLS to a plain port
    },
    **{f"not read: route {each!r}": (line(route=each), one(b"-", b"-")) for each in (b"", b"-", b"  ")},
    "blanks around and in a route": (line(route=b" /a   b "), one(b"/a b")),
    "blanks for tabs": (line().replace(b"\t", b"  "), one()),
    "runs of blanks for tabs": (b"1 GET /a  \t 200\t\t12   \n", one(b"/a", size=12)),
    "blanks for tabs, and more": (b"1 GET /a 200 12 more\n", one(b"/a", size=12)),
    "blanks, nothing answered": (b"1 GET /a - 5\n", one(b"/a", status=0, size=5)),
    "blanks, one in the route": (b"1 GET /a b 200 12\n", "fields"),
    "blanks, five that tell nothing": (b"1 GET /a - 5 -\n", "fields"),
    "blank after the status": (line(status=b"200 "), one()),
    "limit and CRLF": (line(route=long_route(LIMIT), end=b"\r\n"), one(long_route(LIMIT))),
    "limit + 1": (line(route=long_route(LIMIT + 1)), "too_long"),
    "limit + 1 of anything": (b"x" * (LIMIT + 1) + b"\n", "too_long"),
    "blank line": (b"\n", "fields"),
    "blank line, CRLF": (b"\r\n", "fields"),
    "NULs, as after a crash": (b"\0\0\0\n", "fields"),
    "escapes alone": (b"\x1b[2J\x1b]0;x\x07\n", "fields"),
    "invalid UTF-8 alone": (b"\xff\n", "fields"),
    "cut before the status": (b"1.2.3.4\tGET /\n", "fields"),
    "cut within the status": (b"1.2.3.4\tGET /\t20\n", "fields"),
    "nothing where the status would begin": (b"1.2.3.4\tGET /\t\n", "fields"),
    "a tab too many": (line(route=b"/\t/"), "status"),
    **{
        f"no status {each!r}": (line(status=each), "status")
        for each in (b"-2", b"20", b"2000", b"00", b"--", b"0x", "²²²".encode())
    },
}


@pytest.mark.parametrize(("text", "expected"), LINES_OF.values(), ids=LINES_OF)
def test_a_line(make_scanner: MakeScanner, text: bytes, expected: Expected) -> None:
    counts = one(b"/before", b"PUT", 201, 7) | one(b"/after", b"PUT", 204, 8)
    rejects: dict[str, int] = {}
    sample = None
    if isinstance(expected, dict):
        counts |= expected
    else:
        rejects = {expected: 1}
        sample = Sample(expected, text[:-1][:SAMPLE_LIMIT])
    before, after = line(b"PUT", b"/before", b"201", b"7"), line(b"PUT", b"/after", b"204", b"8")
    assert told(check_splits(make_scanner, before + text + after)) == (3, counts, rejects, sample)


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        (b"GET / HTTP/1.1", (b"GET", b"/")),
        (b"GET / HTTP/2.0", (b"GET", b"/")),
        (b"GET /", (b"GET", b"/")),  # HTTP/0.9
        (b"GET /a b HTTP/1.0", (b"GET", b"/a b")),
        (b"  GET   /a  HTTP/1.1  ", (b"GET", b"/a")),
        (b"GET /a   b  c  HTTP/1.1", (b"GET", b"/a b c")),
        (b"GET /" + b"a  " * 40 + b"HTTP/1.1", (b"GET", b"/a" + b" a" * 39)),
        (b"GET / HTTP/1.1 HTTP/1.1", (b"GET", b"/ HTTP/1.1")),
        (b"OPTIONS * HTTP/1.1", (b"OPTIONS", b"*")),
        (b"CONNECT example.org:443 HTTP/1.1", (b"CONNECT", b"example.org:443")),
        (b"GET /\r HTTP/1.1", (b"GET", b"/\r")),
        (rb"\x16\x03\x01", NOT_READ),  # as nginx writes what was no HTTP
        (b"\x16\x03\x01 \0", NOT_READ),
        (b"-", NOT_READ),
        (b"", NOT_READ),
        (b"   ", NOT_READ),
        (b"GET", NOT_READ),
        (b"GET ", NOT_READ),
        *((b"GET /a " + version, (b"GET", b"/a")) for version in (b"1.0", b"1.1", b"2", b"3")),  # hypercorn
        (b"GET /a 2 HTTP/1.1", (b"GET", b"/a 2")),
        (b"GET /a 2?b HTTP/1.1", (b"GET", b"/a 2")),
        (b"GET /a HTTP/1.1 2", (b"GET", b"/a HTTP/1.1")),
        *(
            (b"GET /a " + other, (b"GET", b"/a " + other))
            for other in (b"1", b"4", b"1.2", b"1x1", b"2.0", b"11")
        ),
        *((b"GET " + version, NOT_READ) for version in (b"HTTP/1.1", b"1.1", b"2")),
        (b"GET - HTTP/1.1", NOT_READ),
        (b" / HTTP/1.1", NOT_READ),
        (b"G(T / HTTP/1.1", NOT_READ),
        (b"<BADREQ>", NOT_READ),  # as HAProxy writes it
    ],
)
def test_a_request_field(
    make_scanner: MakeScanner, request_line: bytes, expected: tuple[bytes, bytes]
) -> None:
    text = COMBINED.render({"request": request_line, "status": b"404", "body_bytes_sent": b"9"})
    # More of one kind are counted in another way than one.
    for times, log_format in product((1, 5), (COMBINED, compile_format(SPELLED))):
        found = scanned(make_scanner(log_format, LIMIT), b"\n".join([text] * times))
        assert told(found) == (times, {Key(*expected, 404): Counts(times, 9 * times)}, {}, None)
        assert found.unmeasured == 0


START = b'192.0.2.1 - - [24/Nov/2026:10:00:00 +0000] "GET /a HTTP/1.1" '
HAPROXY = '$pre haproxy[$pid]: $client [$t] $fe $be $timers $status $bytes_sent $cc $conn "$request"'
PROXIED = b"Nov 24 10:00:01 lb haproxy[9]: 192.0.2.7:1 [x] web app/a1 0/0/1/2/3 "
UVICORN = '$level $client - "$request" $status $reason'
S3 = '$owner "$request" $status $error $bytes_sent $rest'
SPELLED = PRESETS["combined"].texts[0]
VHOST = '"$request_method $request_uri" $status $bytes_sent'
# Format, line, and what it counts as with its size, None where that is unknown; or why it is rejected.
BESIDE: list[tuple[str, bytes, tuple[bytes, bytes, int, int | None] | str]] = [
    # Quotes that nobody escaped behind the size, a cut, more fields, and fewer.
    *(
        (text, START + behind, (b"GET", b"/a", 200, 5))
        for text in ("combined", SPELLED)
        for behind in (
            *(b'200 5 "-" "My "quoted" agent"', b'200 5 "a "b" c" "x"'),
            *(b'200 5 "-" "Mozilla/5.0 (compatible; Goo', b'200 5 "-'),
            *(b'200 5 "-" "x" 1 "r@docker" "http://10.0.0.5:80" 1ms', b'200 5 "-" "x\\" y" "\\'),
            b'200 5 """"""""""""""',
        )
    ),
    # Spelled out, where a size ends with what follows it.
    *(
        (SPELLED, START + behind, (b"GET", b"/a", 200, None))
        for behind in (
            b"200 5",
            b"200 5 ",
            b"200 ",
            b"200",
            b'200 - "-" "-"',
            b'200 +5 "-" "-"',
            b"200 5 6 7",
        )
    ),
    *((SPELLED, START + behind, "fields") for behind in (b"20", b"2", b"", b"2000")),
    *((SPELLED, START + behind, "status") for behind in (b'20 5 "-" "-"', b'OK 5 "-" "-"')),
    *((SPELLED, START + b'%b 5 "-" "-"' % none, (b"GET", b"/a", 0, 5)) for none in (b"-", b"0", b"", b"-1")),
    ("$uri - $status - $bytes_sent", b"/a - 200 -", (b"-", b"/a", 200, None)),
    ("$uri - $status - $bytes_sent", b"/a - 200 x", "fields"),
    ("$uri $bytes_sent $status", b"/a 5 ", (b"-", b"/a", 0, 5)),
    # The status before the request: what is cut is the request, or all of it.
    (HAPROXY, PROXIED + b'200 210 - 1/1 "GET /a HTTP/1.1"', (b"GET", b"/a", 200, 210)),
    (HAPROXY, PROXIED + b'200 +210 - 1/1 "GET /a HTTP/1.1"', (b"GET", b"/a", 200, None)),
    (HAPROXY, PROXIED + b'200 210 - 1/1 "GET /a?b=', (b"GET", b"/a", 200, 210)),
    (HAPROXY, PROXIED + b'200 210 - 1/1 "GET /abc', (b"GET", b"/abc", 200, 210)),
    (HAPROXY, PROXIED + b'200 210 - 1/1 "GET /abc\\', (b"GET", b"/abc\\", 200, 210)),
    (HAPROXY, PROXIED + b"200 210 - 1/1", (b"-", b"-", 200, 210)),
    (HAPROXY, PROXIED + b"200 21", (b"-", b"-", 200, None)),
    (HAPROXY, PROXIED + b'-1 0 - 1/1 "<BADREQ>"', (b"-", b"-", 0, 0)),
    (HAPROXY, PROXIED + b"20", "fields"),
    ("$status $uri => $bytes_sent", b"200 /a =", (b"-", b"/a", 200, None)),
    ("$status $method $uri", b"200 GET", (b"-", b"-", 200, None)),
    # A quote that nobody escaped within the request.
    (UVICORN, b'INFO 1.2.3.4 - "GET /a"b HTTP/1.1" 404 Not Found', (b"GET", b'/a"b', 404, None)),
    (UVICORN, b'INFO 1.2.3.4 - "GET /" 20 "c" HTTP/1.1" 404', (b"GET", b'/" 20 "c"', 404, None)),
    # There a client chooses its status.
    (UVICORN, b'INFO 1.2.3.4 - "GET /" 200 " HTTP/1.1" 404 Not Found', (b"GET", b"/", 200, None)),
    (UVICORN, rb'INFO 1.2.3.4 - "GET /\" 200 " HTTP/1.1" 404 Not Found', (b"GET", rb'/\" 200 "', 404, None)),
    (UVICORN, b'INFO 1.2.3.4 - "GET /"b HTTP/1.1" nothing', "fields"),
    (UVICORN, b'INFO 1.2.3.4 - "GET /" b HTTP/1.1" OK Not', "status"),
    (S3, b'own "GET /a" HTTP/1.1" 403 AccessDenied 243 - 8', (b"GET", b'/a"', 403, 243)),
    (S3, b'own "GET /a"" HTTP/1.1" - - - - 8', (b"GET", b'/a""', 0, None)),
    (VHOST, b'"GET /a" b" 200 5', (b"GET", b'/a" b', 200, 5)),
    ("json", b'{"uri":"/a","status":0,"size":5}', (b"-", b"/a", 0, 5)),
    ("json", b'{"uri":"/a","status":"","size":"+5"}', (b"-", b"/a", 0, None)),
    ("json", b'{"uri":"/a  b","status":null,"response_code":404}', (b"-", b"/a b", 404, None)),
    ("json", b'{"method":null,"path":null,"response_code":400}', (b"-", b"-", 400, None)),
    ("json", b'{"request":null,"uri":"/a","status":null}', (b"-", b"/a", 0, None)),
    ("json", b'{"msg":"started","status":200}', "fields"),
    ("json", b'{"uri":"/a","size":200}', "fields"),
]


def check_decides(
    make: MakeScanner, text: str, written: bytes, expected: tuple[bytes, bytes, int, int | None] | str
) -> None:
    """Alone, and in a block of many where the scanners take short cuts."""
    for times in (1, 5):
        scanner = make(compile_format(text), LIMIT)
        scanner.scan(b"\n".join([written] * times))  # the second time what is known is met again
        found = scanned(scanner, b"\n".join([written] * times) + b"\n")
        if isinstance(expected, str):
            assert told(found)[:3] == (2 * times, {}, {expected: 2 * times}), written
        else:
            counts = Counts(2 * times, 2 * times * (expected[3] or 0))
            assert told(found) == (2 * times, {Key(*expected[:3]): counts}, {}, None), written
        assert found.unmeasured == (2 * times if expected[3:] == (None,) else 0)


def method_route_and_status_decide(make: MakeScanner) -> None:
    """Whatever stands beside them."""
    for each in BESIDE:
        check_decides(make, *each)
    for request in (b" GET  /a ", b"GET /a HTTP/1.1"):
        check_decides(
            make,
            SPELLED.partition(' "$http')[0],
            START.replace(b"GET /a HTTP/1.1", request) + b"200 5",
            BESIDE[0][2],
        )


def test_what_a_format_does_not_tell(make_scanner: MakeScanner) -> None:
    found = scanned(make_scanner(compile_format("$uri $status"), LIMIT), b"/a 200\n/a 200")
    assert told(found) == (2, {Key(b"-", b"/a", 200): Counts(2, 0)}, {}, None)


def the_first_reject_is_the_sample_and_is_cut(make: MakeScanner) -> None:
    found = scanned(make(DEFAULT, LIMIT), b"x" * 1000 + b"\n", line(status=b"x"))
    assert found.sample == Sample("fields", b"x" * SAMPLE_LIMIT)
    assert found.rejects == {"fields": 1, "status": 1}


def test_a_long_line_behind_many_short_ones(make_scanner: MakeScanner) -> None:
    """It stands where the block would be halved, so that the pure scanner finds no place near its middle."""
    for end in (b"", b"\n"):
        found = scanned(make_scanner(DEFAULT, LIMIT), b"?\n" * 2000 + b"x" * 20_000 + end)
        assert told(found)[:3] == (2001, {}, {"fields": 2001})


def test_a_line_that_was_too_long_to_be_handed_over(make_scanner: MakeScanner) -> None:
    scanner = make_scanner(DEFAULT, LIMIT)
    scanner.reject_oversize(b"start")
    assert told(scanner.take()) == (1, {}, {"too_long": 1}, Sample("too_long", b"start"))


def test_both_scanners_know_the_same_reasons_and_limits() -> None:
    assert _scan.REASONS == REASONS
    for limit in ("KEYS_LIMIT", "KEY_BYTES_LIMIT", "TIMES_LIMIT"):
        assert getattr(_scan, limit) == getattr(pure, limit)


PIECES = (
    *(b"\n", b"\t", b" ", b"/", b"-", b"\0", b"\xff", b"\r\n"),
    *(b"1.2.3.4", b"GET", b"200", b"\x1b[0m", line()),
)
LINES = st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=40).map(b"".join)
ODD = line() + b"\n" + line(status=b"x") + b"a\rb\n" + line(end=b"")


@given(data=LINES | st.binary())
@example(data=b"")
@example(data=b"\n")
@example(data=line() + line(end=b""))
@example(data=ODD)
def check_conservation(make: MakeScanner, data: bytes) -> None:
    """Every line ends in exactly one place, under a known reason if rejected, however `data` is split."""
    found = check_splits(make, data)
    assert found.lines == data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    assert found.lines == sum(each.requests for each in found.counts.values()) + sum(found.rejects.values())
    assert set(found.rejects) <= set(REASONS)
    assert (found.sample is None) == (not found.rejects)


class DropsBadStatuses(PureScanner):  # a line with a bad status is counted as a line and nowhere else
    def _reject(self, reason: str, text: bytes) -> None:
        if reason != "status":
            super()._reject(reason, text)


SplitsAtReturns = twin(
    PureScanner,
    "bytes.splitlines() sees lines where no newline is",
    "scan",
    instead=lambda self, block: PureScanner.scan(
        self, b"\n".join(bytes(block).splitlines()) + b"\n" if block else b""
    ),
)


SIZE_OF = reference._size
# What becomes of a line where the reference reads otherwise.
OTHERWISE = {
    "the first quote ends the request": Patches((reference, "is_raw", lambda pieces: False)),
    "a status is three digits": Patches((reference, "_UNANSWERED", ())),
    "all blanks count": Patches((reference, "_BLANKS", re.compile(b"$."))),
    "what was not read has its own route": Patches((reference, "NOTHING", b"/")),
    "what is cut is not known": Patches((reference, "_cut_pattern", lambda pieces, place: b"$.")),
    "an odd size is none": Patches((reference, "_size", lambda text: SIZE_OF(text) or 0)),
}
TWINS = {twin.__name__: partial(pure_scanner, kind=twin) for twin in (DropsBadStatuses, SplitsAtReturns)}

test_promise, test_twin = promises(
    *by_each(method_route_and_status_decide, OTHERWISE),
    *by_each(check_conservation, TWINS),
    *by_each(the_first_reject_is_the_sample_and_is_cut, [Doubled("scanning.pure:SAMPLE_LIMIT")]),
)
