"""Logs that tell their own format: each row is read by its own #Fields, however the log is handed over."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from qps_service.formats import w3c as format_module
from qps_service.formats.presets import compile_format
from qps_service.formats.w3c import (
    DIRECTIVE_LIMIT,
    LOOK_BACK,
    WRAPPED,
    Read,
    fields_before,
    rows_of,
    taken_in,
    unwrapped,
)
from qps_service.formats.wrapping import Wrapped
from qps_service.scanning import w3c as scanner_module
from qps_service.scanning.native import NativeScanner
from qps_service.scanning.options import ScanOptions
from qps_service.scanning.pure import PureScanner
from qps_service.scanning.w3c import W3cScanner
from qps_service.values.counts import Sample, Scanned
from qps_service.values.positions import Directives
from tests.limits import Doubled
from tests.promised import Patches, Promise, promises
from tests.unit.scanning.test_as_written import CRI, PREFIXES, in_docker
from tests.unit.scanning.test_scanners import splits

LIMIT = 64 * 1024  # bytes, the default of max_line
W3C = compile_format("w3c")
INNER = {"c": NativeScanner, "py": PureScanner}
Row = tuple[bytes, bytes, int]

# Lines of Microsoft's, Amazon's and Blue Coat's documentation, and of public reports.
IIS = b"""\
#Software: Microsoft Internet Information Services 10.0\r
#Version: 1.0\r
#Date: 2022-01-22 00:00:01\r
#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) \
cs(Referer) sc-status sc-substatus sc-win32-status time-taken\r
2022-01-22 00:00:01 10.142.0.2 POST /School/Track.ashx pid=2173020&lid=125452789 443 someone@example.com \
172.69.69.207 Mozilla/5.0+(Windows+NT+10.0;+x64)+Safari/537.36 https://example.com/a?id=1 200 0 0 31\r
2022-01-22 00:00:01 10.142.0.2 GET /xas/ - 80 - 222.222.222.222 curl/8 - 404 0 2 471\r
"""
OLD_IIS = b"""\
#Software: Internet Information Services 6.0
#Version: 1.0
#Date: 2001-05-02 17:42:15
#Fields: date time c-ip cs-username s-ip s-port cs-method cs-uri-stem cs-uri-query sc-status cs(User-Agent)\
 \n\
2001-05-02 17:42:15 172.22.255.255 - 172.30.255.255 80 GET /images/picture.jpg - 200 Mozilla/4.0+(compatible)
"""
CLOUDFRONT = b"""\
#Version: 1.0
#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) \
cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol \
cs-bytes time-taken x-forwarded-for
2019-12-04\t21:02:31\tLAX1\t392\t192.0.2.100\tGET\td111111abcdef8.cloudfront.net\t/index.html\t200\t-\t\
Mozilla/5.0%20(Windows%20NT%2010.0)\ta=1&b=2\t-\tHit\tSOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==\
\td111111abcdef8.cloudfront.net\thttps\t23\t0.001\t1.2.3.4, 5.6.7.8
2019-12-04\t21:02:32\tSEA19\t8\t192.0.2.101\tGET\td111111abcdef8.cloudfront.net\t/a\t000\t-\t-\t-\t-\tError\
\tx==\t-\t-\t-\t-\t-
"""
BLUE_COAT = b"""\
#Software: SGOS 5.4.3.7
#Version: 1.0
#Start-Date: 2011-08-04 21:00:00
#Fields: date time time-taken c-ip sc-filter-result cs-categories cs(Referer) sc-status s-action cs-method \
cs-uri-scheme cs-host cs-uri-path cs-uri-query cs(User-Agent) sc-bytes
#Remark: 2610140037 "SG-42" "192.0.2.42" "main"
2011-08-04 21:00:00 11 0.0.0.0 OBSERVED "News/Media; Sports" -  200 TCP_HIT GET http kh.example /cut
2011-08-04 21:00:00 11 0.0.0.0 OBSERVED "News/Media; Sports" -  200 TCP_HIT GET http kh.example /flatfile \
?f1 "GoogleEarth/6.0 (Windows;""X"")" 82
"""
ADVANCED = b"""\
#Software: IIS Advanced Logging Module
#Version: 1.0
#Start-Date: 2014-11-18 00:00:00.128
#Fields:  date-local time-local s-ip cs-method cs-uri-stem cs-uri-query s-port c-ip cs(User-Agent) cs(Host) \
sc-status sc-substatus TimeTakenMS
2014-11-17 17:00:00.363 10.10.28.140 GET /a.gif - 80 "192.0.2.93" "Mozilla/5.0 (Linux; SM-G900V Build)" \
"www.example.com" 200 0 109
2014-11-17 17:00:00.660 10.10.28.140 GET /b - 80 "157.55.39.72" - "example.com" 302 0 0
"""
FIELDS = b"#Fields: date time cs-method cs-uri-stem sc-status sc-bytes\n"
OTHERS = b"#Fields: sc-status cs-uri-stem cs-method time-taken\n"
LONG = b"#Fields: date time cs-method cs-uri-stem sc-status " + b"x" * DIRECTIVE_LIMIT + b"\n"
DAY = b"2026-11-24 10:00:00 "


class Found(NamedTuple):
    """All that was found in a log."""

    requests: Counter[Row]
    bytes: int
    unmeasured: int
    rejects: Counter[str]
    directives: int
    sample: Sample | None
    lines: int
    handed: tuple[int, int]  # lines and rejected ones in all, as was told for each block


def found(
    blocks: Iterable[bytes],
    inner: str = "c",
    *,
    kind: type[W3cScanner] = W3cScanner,
    options: ScanOptions | None = None,
) -> Found:
    parts: list[Scanned] = []
    scanner = kind(options or ScanOptions(W3C, LIMIT), parts.append, INNER[inner])
    told = [0, 0]
    directives = Directives(last=b"")
    for block in blocks:
        scanner.directives = directives  # as each generation has its own
        lines, rejected = scanner.scan(block)
        directives = scanner.directives
        told = [told[0] + lines, told[1] + rejected]
    parts.append(scanner.take())
    rejects = sum((Counter(part.rejects) for part in parts), Counter())
    assert directives.lines == sum(part.directives for part in parts)
    return Found(
        requests_of(parts),
        sum(row[4] for part in parts for row in part.rows),
        sum(part.unmeasured for part in parts),
        rejects,
        directives.lines,
        next((part.sample for part in parts if part.sample), None),
        sum(part.lines for part in parts),
        (told[0], told[1]),
    )


def requests_of(parts: list[Scanned]) -> Counter[Row]:
    requests: Counter[Row] = Counter()
    for part in parts:
        for *row, times, _ in part.rows:
            requests[tuple(row)] += times  # type: ignore[index]
    return requests


def row(number: int = 0, status: int = 200) -> bytes:
    return DAY + b"GET /%d %d 5\n" % (number, status)


def get(route: bytes, status: int = 200, method: bytes = b"GET") -> Row:
    return method, route, status


class Log(NamedTuple):
    """A log, and what is in it."""

    text: bytes
    requests: dict[Row, int]
    bytes: int = 0
    rejects: dict[str, int] = {}  # noqa: RUF012 - read only
    directives: int = 1


ROW, HIT, TWO_HITS = row(), {get(b"/0"): 1}, {get(b"/0"): 2}
LOGS: dict[str, Log] = {
    "IIS": Log(IIS, {get(b"/School/Track.ashx", method=b"POST"): 1, get(b"/xas/", 404): 1}, directives=4),
    "IIS 6, a blank behind the fields": Log(OLD_IIS, {get(b"/images/picture.jpg"): 1}, directives=4),
    "CloudFront": Log(CLOUDFRONT, {get(b"/index.html"): 1, get(b"/a", 0): 1}, 400, directives=2),
    "CloudFront, CRLF": Log(
        CLOUDFRONT.replace(b"\n", b"\r\n"), {get(b"/index.html"): 1, get(b"/a", 0): 1}, 400, directives=2
    ),
    "Blue Coat": Log(BLUE_COAT, {get(b"/cut"): 1, get(b"/flatfile"): 1}, 82, directives=5),
    "Advanced Logging": Log(ADVANCED, {get(b"/a.gif"): 1, get(b"/b", 302): 1}, directives=4),
    "fields that change": Log(
        FIELDS + ROW + OTHERS + b"404 /b POST 7\n" + FIELDS + ROW,
        {get(b"/0"): 2, get(b"/b", 404, b"POST"): 1},
        10,
        directives=3,
    ),
    "the same fields again, as at each start": Log(
        FIELDS + ROW + b"#Date: 2026-11-24 10:00:00\n" + FIELDS + ROW, TWO_HITS, 10, directives=3
    ),
    "names in capitals": Log(FIELDS.upper().replace(b"FIELDS", b"Fields") + ROW, HIT, 5),
    "byte order mark": Log(b"\xef\xbb\xbf" + FIELDS + ROW, HIT, 5),
    "byte order mark within, as of joined files": Log(
        OTHERS + b"\xef\xbb\xbf" + FIELDS + ROW, HIT, 5, directives=2
    ),
    "no fields yet": Log(b"#Version: 1.0\n" + ROW * 2 + FIELDS + ROW, HIT, 5, {"fields": 2}, 2),
    "fields without a status": Log(
        b"#Fields: time cs-method cs-uri\n00:34:23 GET /foo\n", {}, 0, {"fields": 1}
    ),
    "fields without a route": Log(b"#Fields: cs-method sc-status\nGET 200\n", {}, 0, {"fields": 1}),
    "fields without a method": Log(b"#Fields: cs-uri sc-status\n/a?b 200\n", {get(b"/a", method=b"-"): 1}),
    "no row": Log(FIELDS, {}),
    "a row without its newline": Log(FIELDS + ROW[:-1], HIT, 5),
    "a directive without its newline": Log(FIELDS[:-1], {}),
    "what was not read": Log(FIELDS + DAY + b"- - 400 5\n", {(b"-", b"-", 400): 1}, 5),
    "what was not answered": Log(FIELDS + DAY + b"GET /a - -\n", {get(b"/a", 0): 1}),
    "cut behind the status": Log(FIELDS + DAY + b"GET /a 200\n", {get(b"/a"): 1}),
    "cut before it": Log(FIELDS + DAY + b"GET /a\n", {}, 0, {"fields": 1}),
    "more than the fields": Log(FIELDS + ROW[:-1] + b" 1 2 3\n", HIT),
    "no status": Log(FIELDS + DAY + b"GET /a OK 5\n", {}, 0, {"status": 1}),
    "an empty line": Log(FIELDS + b"\n\r\n" + ROW, HIT, 5, {"fields": 2}),
    "runs of blanks": Log(FIELDS + ROW.replace(b" ", b"   ") + ROW[:-1] + b"  \r\n", TWO_HITS, 10),
    "tabs": Log(FIELDS + ROW.replace(b" ", b"\t"), HIT, 5),
    "tabs, values with blanks": Log(
        FIELDS + ROW.replace(b" ", b"\t").replace(b"/0", b"/a b"), {get(b"/a b"): 1}, 5
    ),
    "tabs, and then blanks": Log(FIELDS + ROW.replace(b" ", b"\t") + ROW, TWO_HITS, 10),
    "a tab in a value": Log(
        FIELDS + ROW + ROW.replace(b"/0", b"/a\tb"), {get(b"/0"): 1, get(b"/a\tb"): 1}, 10
    ),
    # Who asks chooses agent and referer: quotes in both take no status out of its place.
    "quotes that hold nothing together": Log(
        b"#Fields: cs-method cs-uri cs(User-Agent) cs(Referer) sc-status sc-substatus\n"
        b'GET /a "x y" 200 0\nGET /b "x+ +y" 404 5\nGET /c "x y" "z 1" 500 0\n',
        {get(b"/a"): 1, get(b"/b", 404): 1, get(b"/c", 500): 1},
    ),
    "a row that begins like a directive": Log(
        b"#Fields: cs(Referer) cs-uri sc-status\n#x /a 200\n#9: /a 200\n", {(b"-", b"/a", 200): 2}
    ),
    "fields that are too long to be kept": Log(
        FIELDS + ROW + LONG + ROW + FIELDS + ROW, TWO_HITS, 10, {"fields": 2}, 2
    ),
    "a remark that is too long": Log(
        FIELDS + b"#Remark: " + b"x" * DIRECTIVE_LIMIT + b"\n" + ROW, HIT, 5, {"fields": 1}
    ),
    "a directive over the limit on lines": Log(
        FIELDS + b"#Remark: " + b"x" * LIMIT + b"\n" + ROW + b"y" * LIMIT + b"y\n", HIT, 5, {"too_long": 2}
    ),
    # What others put around lines is around the #Fields, too; below one that stands alone a client writes it.
    "a directive of a client": Log(
        FIELDS + DAY + b"GET /a: #Fields: cs-uri sc-status\n" + ROW, HIT, 5, {"status": 1}
    ),
    "fields without what was around them": Log(
        CRI + FIELDS + CRI + ROW + FIELDS + DAY + b"GET /a: 200 5\n", HIT | {get(b"/a:"): 1}, 10, directives=2
    ),
    "NULs that a crash left": Log(b"\0\0" + FIELDS + DAY + b"GET /a: 200 5\n", {get(b"/a:"): 1}, 5),
    "a row over the limit behind a prefix": Log(
        CRI + FIELDS + CRI + b"y" * (LIMIT - 5) + b"\n" + CRI + ROW, HIT, 5, {"too_long": 1}
    ),
    "a row over the limit, and no fields": Log(b"y" * LIMIT + b"y\n", {}, 0, {"too_long": 1}, 0),
}


def check_log(kind: type[W3cScanner], log: Log) -> None:
    """What is in it is found however it is handed over, alike by both scanners."""
    whole = found([log.text], kind=kind)
    assert whole.requests == log.requests
    assert (whole.bytes, whole.rejects, whole.directives) == (log.bytes, log.rejects, log.directives)
    lines = log.text.count(b"\n") + (not log.text.endswith(b"\n"))
    assert whole.lines == whole.handed[0] == lines
    assert whole.handed[1] == whole.rejects.total() == lines - whole.directives - whole.requests.total()
    for inner in INNER:
        for blocks in splits(log.text) if len(log.text) < LIMIT else [(log.text,)]:
            assert found(blocks, inner, kind=kind) == whole


AROUND: dict[str, Callable[[bytes], bytes]] = {
    "docker": in_docker,
    **{f"{prefix[:20]!r}": prefix.__add__ for prefix in PREFIXES[::4]},
}


def check_around() -> None:
    """Behind what others put around lines a log has in it what it has without."""
    for log in LOGS.values():
        lines = [line.rstrip(b"\r") for line in log.text.removesuffix(b"\n").split(b"\n")]
        if max(map(len, lines)) > LIMIT - 1000 or CRI in log.text or b"\0" in log.text:
            continue
        bare = found([b"".join(line + b"\n" for line in lines)])._replace(sample=None)
        for number, (name, put) in enumerate(AROUND.items()):
            blocks = [put(line) + b"\n" for line in lines]
            told = found(blocks if number % 2 else [b"".join(blocks)], [*INNER][number // 2 % 2])
            assert told._replace(sample=None) == bare, (name, log.text[:300])


class ReadsOnByTheLast(W3cScanner):
    """A #Fields that can't be kept changes nothing."""

    def _reject_directive(self, reason: str, line: bytes) -> tuple[int, int]:
        return self._reject([(reason, line)])


def by_the_first(rows: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All rows are as the first one of the block."""
    if rows:
        yield format_module.separator_of(rows), rows


def unwrapped_by_any(line: bytes, last: bytes | None) -> Wrapped:
    """Whatever is in force."""
    return unwrapped(line, None)


def as_if_all_were_around(line: bytes, last: bytes | None) -> bytes | None:
    """As if nothing could stand alone any more."""
    return WRAPPED + (taken_in(line, last) or b"").lstrip()


OTHERWISE: dict[str, tuple[str, object]] = {
    "reads on by the last": ("fields that are too long to be kept", ReadsOnByTheLast),
    "takes what is around for a client's": (
        "a directive of a client",
        Patches(
            (scanner_module, "may_be_wrapped", lambda *_: True),
            *((module, "unwrapped", unwrapped_by_any) for module in (format_module, scanner_module)),
        ),
    ),
    "once around, always around": (
        "fields without what was around them",
        Patches((scanner_module, "taken_in", as_if_all_were_around)),
    ),
    "NULs are around all lines": (
        "NULs that a crash left",
        Patches((scanner_module, "taken_in", as_if_all_were_around)),
    ),
    "by the first row": ("tabs, and then blanks", Patches((scanner_module, "by_separator", by_the_first))),
    "one blank each": ("runs of blanks", Patches((format_module, "_RUN", re.compile(b"$.")))),
    "any line with a number sign": (
        "a row that begins like a directive",
        Patches((format_module, "_DIRECTIVES", re.compile(rb"(?m)^#[^\n]*+\n?"))),
    ),
}
# --- what else is asked for


QUERIES: dict[bytes, dict[Row, int]] = {
    IIS: {get(b"/School/Track.ashx?pid=2173020&lid=125452789", method=b"POST"): 1, get(b"/xas/", 404): 1},
    CLOUDFRONT: {get(b"/index.html?a=1&b=2"): 1, get(b"/a", 0): 1},
    BLUE_COAT: {get(b"/cut"): 1, get(b"/flatfile?f1"): 1},
    b"#Fields: cs-uri-query sc-status cs-uri-stem cs-method\na=1 200 /a GET\n- 200 /b GET\n": {
        get(b"/a?a=1"): 1,
        get(b"/b"): 1,
    },
    b"#Fields: cs-method cs-uri-stem sc-status cs-uri-query\nGET /a 200 a=1\r\n- - 400 -\r\n": {
        get(b"/a?a=1"): 1,
        get(b"-", 400, b"-"): 1,
    },
    b"#Fields: cs-method cs-uri sc-status\nGET /a?a=1 200\n": {get(b"/a?a=1"): 1},
    # All of it is there, or else the path is: no row falls out for its query.
    b"#Fields: cs-method cs-uri-stem sc-status cs-uri-query\nGET /a 200\n": {get(b"/a"): 1},
}


def check_queries() -> None:
    for text, requests in QUERIES.items():
        for inner in INNER:
            for blocks in splits(text):
                told = found(blocks, inner, options=ScanOptions(W3C, LIMIT, keep_query=True))
                assert (told.requests, told.rejects) == (requests, {})


TIMES = {
    IIS: {1642809601: 2},
    CLOUDFRONT: {1575493351: 1, 1575493352: 1},
    b"#Fields: time cs-method cs-uri sc-status date\n10:00:00 GET /a 200 2026-11-24\r\n": {1795514400: 1},
    b"#Fields: timestamp(ms) cs-method cs-uri sc-status\n1795514400123 GET /a 200\n": {1795514400: 1},
    b"#Fields: time cs-method cs-uri sc-status\n10:00:00 GET /a 200\n": {None: 1},  # of some day
}


def check_times() -> None:
    for text, seconds in TIMES.items():
        for inner in INNER:
            parts: list[Scanned] = []
            scanner = W3cScanner(ScanOptions(W3C, LIMIT, span=1), parts.append, INNER[inner])
            scanner.scan(text)
            parts.append(scanner.take())
            told = {second: sum(times) for part in parts for second, times in part.times.items()}
            assert told == seconds


LINES = st.sampled_from(
    (
        *(FIELDS, OTHERS, LONG, b"\xef\xbb\xbf" + FIELDS, b"#Date: x\n", b"#Fields:\n", b"#\n", b"\n"),
        *(row(), row(1), row().replace(b" ", b"\t"), b'GET "a b" 200 "\n', b"\0\n"),
        *(b"404 /b POST 7\n", b"404\t/b\tPOST\t7\r\n"),
    )
)


@settings(max_examples=min(40, settings().max_examples))
@given(lines=st.lists(LINES, max_size=12), end=st.sampled_from([b"", b"#Fields: a", b"x"]))
@example(lines=[FIELDS, row(), OTHERS, b"404 /b POST 7\n"], end=b"")
@example(lines=[row(), FIELDS, b"\n", row()], end=b"x")
def check_conservation(kind: type[W3cScanner], lines: list[bytes], end: bytes) -> None:
    """Every line is a request, rejected or a directive, however the log is handed over."""
    text = b"".join(lines) + end
    whole = found([text], kind=kind)
    assert whole.lines == len(lines) + bool(end)
    assert whole.lines == whole.requests.total() + whole.rejects.total() + whole.directives
    assert all(found(blocks, inner, kind=kind) == whole for inner in INNER for blocks in splits(text))


class ForgetsBetweenBlocks(W3cScanner):
    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        self.directives = self.directives._replace(last=b"")
        return super().scan(block)


# --- what stands before a place


def reading(text: bytes, read: list[int]) -> Callable[[int, int], bytes]:
    def pread(size: int, offset: int) -> bytes:
        read.append(size)
        return text[offset : offset + size]

    return pread


ROWS = row() * (LOOK_BACK // len(row()) + 1)  # more than is looked at
BEFORE: dict[str, tuple[bytes, bytes]] = {  # text, the fields that are in force at its end
    "nothing": (b"", b""),
    "no fields": (row(), b""),
    "fields": (FIELDS + row(), FIELDS),
    "the last ones": (FIELDS + OTHERS + row(), OTHERS),
    "right before": (row() + FIELDS, FIELDS),
    "CRLF": (FIELDS[:-1] + b"\r\n" + row(), FIELDS),
    "byte order mark": (b"\xef\xbb\xbf" + FIELDS + row(), FIELDS),
    "not at the beginning of a line": (FIELDS + b"x" + OTHERS, FIELDS),
    "other directives": (FIELDS + b"#Date: x\n", FIELDS),
    "too long": (FIELDS + LONG, b""),
    "far behind the beginning": (FIELDS + ROWS + OTHERS + row(), OTHERS),
    "at the beginning": (FIELDS + ROWS * 3, FIELDS),
    "with something around them": (CRI + FIELDS + CRI + row(), WRAPPED + FIELDS),
    "at the beginning, and a client's": (FIELDS + ROWS + CRI + OTHERS, FIELDS),
    "the last ones at the beginning": (OTHERS + FIELDS + ROWS * 3, FIELDS),
    "in the middle, which is not looked at": (FIELDS + ROWS + OTHERS + ROWS, FIELDS),
}


def check_fields_before(find: Callable[[Read, int], bytes]) -> None:
    """They are found, and no more is read than that, however large the log is."""
    for name, (text, fields) in BEFORE.items():
        read: list[int] = []
        told = find(reading(text + OTHERS, read), len(text))
        assert told.removeprefix(b"\xef\xbb\xbf") == fields[:-1], name
        assert sum(read) <= 2 * 1024 * 1024


def check_long_directives() -> None:
    """One that can be kept, and one that is a byte longer."""
    for length, directives in ((4096, 1), (4097, 0)):
        text = FIELDS[:-1].ljust(length, b" ") + b"\n"
        assert found([text + row()]).directives == directives
        assert len(fields_before(reading(text, []), len(text))) == directives * length


def check_many_fields() -> None:
    """Those behind the 128th are not looked at."""
    names = [b"cs-method", b"cs-uri", *(b"x" for _ in range(125)), b"sc-status"]
    assert rows_of(b"#Fields: " + b" ".join(names), b" ")
    names.insert(2, b"x")
    assert rows_of(b"#Fields: " + b" ".join(names), b" ") is None


def by_the_start(read: Read, place: int) -> bytes:
    return fields_before(read, min(place, LOOK_BACK))


test_promise, test_twin = promises(
    Promise(
        check_around, None, {"rows stand alone": Patches((scanner_module, "unwrapped", unwrapped_by_any))}
    ),
    Promise(check_queries, None, [Patches((format_module, "_target", b"?".join))]),
    Promise(check_times, None, {"the day alone": Patches((format_module, "_TIME", ("date", "no such")))}),
    Promise(check_conservation, W3cScanner, [ForgetsBetweenBlocks]),
    Promise(check_fields_before, fields_before, [by_the_start, Doubled("formats.w3c:LOOK_BACK")]),
    Promise(check_long_directives, None, [Doubled("formats.w3c:DIRECTIVE_LIMIT")]),
    Promise(check_many_fields, None, [Doubled("formats.w3c:FIELDS_LIMIT")]),
)
test_log, test_log_twin = promises(
    *(
        Promise(
            check_log,
            W3cScanner,
            {name: each for name, (of, each) in OTHERWISE.items() if of == label},
            label=label,
            log=log,
        )
        for label, log in LOGS.items()
    )
)
