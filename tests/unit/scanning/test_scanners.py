"""What a line means, for every scanner there is. Each input is fed whole, line by line, and split at
every newline; beside the promises stand broken twins that the same checks catch."""

import re
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.formats.presets import compile_format
from qps_service.scanning import _scan, pure
from qps_service.scanning.native import NativeScanner
from qps_service.scanning.pure import PureScanner
from qps_service.scanning.scanner import PURE_VARIABLE, Scanner
from qps_service.scanning.scanner import make_scanner as chosen_scanner
from qps_service.values.counts import REASONS, SAMPLE_LIMIT, Counts, Key, Sample, Scanned
from tests.unit.conftest import SCANNERS, MakeScanner, no_spill

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


def one(
    route: bytes = b"/", *, method: bytes = b"GET", status: int = 200, size: int = 1
) -> dict[Key, Counts]:
    return {Key(method, route, status): Counts(1, size)}


def long_route(length: int) -> bytes:
    """The route that makes a line of `length` bytes without its newline."""
    return b"/".ljust(length - len(line(route=b"", end=b"")), b"a")


# --- each line, between two good neighbours


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(line(), one(), id="plain"),
        pytest.param(line(end=b"\r\n"), one(), id="CRLF"),
        pytest.param(line(route=b"/a\r"), one(b"/a\r"), id="CR inside"),
        pytest.param(line(route=b"/\0"), one(b"/\0"), id="NUL"),
        pytest.param(line(route=b"/\xff\xfe"), one(b"/\xff\xfe"), id="invalid UTF-8"),
        pytest.param(line(route=b"/\xc3\xa9"), one(b"/\xc3\xa9"), id="UTF-8"),
        pytest.param(line(route=b"/\x1b[31m"), one(b"/\x1b[31m"), id="ANSI escape"),
        pytest.param(line(route=b"/a b"), one(b"/a b"), id="blank in the route"),
        pytest.param(line(route=b"/a?q=1#x"), one(b"/a"), id="query"),
        pytest.param(line(route=b"/a#x?q=1"), one(b"/a"), id="fragment"),
        pytest.param(line(route=b"?q=1"), one(b""), id="nothing but a query"),
        pytest.param(b"\xef\xbb\xbf" + line(), one(), id="byte order mark"),
        pytest.param(line(method=b"M-SEARCH"), one(method=b"M-SEARCH"), id="rare method"),
        pytest.param(line(method=b"!#$%&'*+.^_`|~"), one(method=b"!#$%&'*+.^_`|~"), id="token"),
        pytest.param(line(status=b"999"), one(status=999), id="status 999"),
        pytest.param(line(status=b"099"), one(status=99), id="status 099"),
        pytest.param(line(status=b"000"), one(status=0), id="status 000"),
        pytest.param(line(size=b"0"), one(size=0), id="no bytes"),
        pytest.param(line(size=b"-"), one(size=0), id="bytes not told"),
        pytest.param(line(size=b"%d" % (2**64 - 1)), one(size=2**64 - 1), id="bytes 2**64-1"),
        pytest.param(line().replace(b"\t", b"  "), one(), id="blanks for tabs"),
        pytest.param(line(status=b"200 "), one(), id="blank after the status"),
        pytest.param(line(route=long_route(LIMIT - 1)), one(long_route(LIMIT - 1)), id="limit - 1"),
        pytest.param(line(route=long_route(LIMIT)), one(long_route(LIMIT)), id="limit"),
        pytest.param(line(route=long_route(LIMIT), end=b"\r\n"), one(long_route(LIMIT)), id="limit and CRLF"),
        pytest.param(line(route=long_route(LIMIT + 1)), "too_long", id="limit + 1"),
        pytest.param(b"x" * (LIMIT + 1) + b"\n", "too_long", id="limit + 1 of anything"),
        pytest.param(b"\n", "fields", id="blank line"),
        pytest.param(b"\r\n", "fields", id="blank line, CRLF"),
        pytest.param(b"\0\0\0\n", "fields", id="NULs, as after a crash"),
        pytest.param(b"\x1b[2J\x1b]0;x\x07\n", "fields", id="escapes alone"),
        pytest.param(b"\xff\n", "fields", id="invalid UTF-8 alone"),
        pytest.param(b"1.2.3.4\tGET /\t200\n", "fields", id="cut short"),
        pytest.param(line(route=b"/\t/"), "status", id="a tab too many"),
        pytest.param(line(status=b"-1"), "status", id="status -1"),
        pytest.param(line(status=b"20"), "status", id="status 20"),
        pytest.param(line(status=b"2000"), "status", id="status 2000"),
        pytest.param(line(status=b""), "status", id="status empty"),
        pytest.param(line(status=b"-"), "status", id="status -"),
        pytest.param(line(status="²²²".encode()), "status", id="status of other digits"),
        pytest.param(line(size=b"%d" % 2**64), "bytes", id="bytes 2**64"),
        pytest.param(line(size=b"9" * 5000), "bytes", id="bytes of 5000 digits"),
        pytest.param(line(size=b"-1"), "bytes", id="bytes -1"),
        pytest.param(line(size=b"1.5"), "bytes", id="bytes 1.5"),
        pytest.param(line(size=b""), "bytes", id="bytes empty"),
        pytest.param(line(size=b"many"), "bytes", id="bytes in words"),
        pytest.param(line(size=b"1\x00"), "bytes", id="bytes and NUL"),
        pytest.param(line(method=b""), "not_http", id="method empty"),
        pytest.param(line(method=b"G\x16T"), "not_http", id="method with a control"),
        pytest.param(line(method=b"\x16\x03\x01"), "not_http", id="TLS to a plain port"),
        pytest.param(line(route=b""), "not_http", id="route empty"),
    ],
)
def test_a_line(make_scanner: MakeScanner, text: bytes, expected: dict[Key, Counts] | str) -> None:
    counts: dict[Key, Counts] = {
        Key(b"PUT", b"/before", 201): Counts(1, 7),
        Key(b"PUT", b"/after", 204): Counts(1, 8),
    }
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
        (b"GET / HTTP/1.1 HTTP/1.1", (b"GET", b"/ HTTP/1.1")),
        (b"OPTIONS * HTTP/1.1", (b"OPTIONS", b"*")),
        (b"CONNECT example.org:443 HTTP/1.1", (b"CONNECT", b"example.org:443")),
        (b"GET /\r HTTP/1.1", (b"GET", b"/\r")),
        (rb"\x16\x03\x01", None),  # as nginx writes what was no HTTP
        (b"-", None),
        (b"", None),
        (b"GET", None),
        (b"GET ", None),
        (b" / HTTP/1.1", None),
        (b"G(T / HTTP/1.1", None),
    ],
)
def test_a_request_field(
    make_scanner: MakeScanner, request_line: bytes, expected: tuple[bytes, bytes] | None
) -> None:
    text = COMBINED.render({"request": request_line, "status": b"404", "body_bytes_sent": b"9"})
    found = scanned(make_scanner(COMBINED, LIMIT), text)
    assert found.counts == ({Key(*expected, 404): Counts(1, 9)} if expected else {})
    assert found.rejects == ({} if expected else {"not_http": 1})


def test_what_a_format_does_not_tell(make_scanner: MakeScanner) -> None:
    found = scanned(make_scanner(compile_format("$uri $status"), LIMIT), b"/a 200\n/a 200")
    assert told(found) == (2, {Key(b"-", b"/a", 200): Counts(2, 0)}, {}, None)


def test_a_take_starts_anew_and_leaves_what_was_taken_alone(make_scanner: MakeScanner) -> None:
    scanner = make_scanner(DEFAULT, LIMIT)
    first = scanned(scanner, line(), b"?\n")
    assert told(first) == (2, one(), {"fields": 1}, Sample("fields", b"?"))
    assert told(scanned(scanner, line(status=b"404"))) == (1, one(status=404), {}, None)
    assert told(first) == (2, one(), {"fields": 1}, Sample("fields", b"?"))
    assert told(scanned(scanner, b"")) == (0, {}, {}, None)


def test_the_first_reject_is_the_sample_and_is_cut(make_scanner: MakeScanner) -> None:
    found = scanned(make_scanner(DEFAULT, LIMIT), b"x" * 1000 + b"\n", line(status=b"x"))
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


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("1", PureScanner), ("yes", PureScanner), ("0", NativeScanner), ("", NativeScanner)],
)
def test_the_native_scanner_is_chosen_unless_the_pure_one_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, asked: str, expected: type
) -> None:
    monkeypatch.setenv(PURE_VARIABLE, asked)
    assert isinstance(chosen_scanner(DEFAULT, LIMIT, no_spill), expected)


def test_both_scanners_know_the_same_reasons_and_limits() -> None:
    assert _scan.REASONS == REASONS
    assert (_scan.KEYS_LIMIT, _scan.KEY_BYTES_LIMIT, _scan.TIMES_LIMIT) == (
        pure.KEYS_LIMIT,
        pure.KEY_BYTES_LIMIT,
        pure.TIMES_LIMIT,
    )


# --- nothing is lost beside anything: lines = requests + rejects


def check_conservation(make: MakeScanner, data: bytes) -> None:
    """Every line ends in exactly one place, under a known reason if rejected, however `data` is split."""
    found = check_splits(make, data)
    assert found.lines == data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    assert found.lines == sum(each.requests for each in found.counts.values()) + sum(found.rejects.values())
    assert set(found.rejects) <= set(REASONS)
    assert (found.sample is None) == (not found.rejects)


PIECES = (
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"1.2.3.4",
    b"GET",
    b"/",
    b"200",
    b"-",
    b"\0",
    b"\x1b[0m",
    b"\xff",
    line(),
)
LINES = st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=40).map(b"".join)


@given(data=LINES | st.binary())
@example(data=b"")
@example(data=b"\n")
@example(data=line() + line(end=b""))
def test_conservation(data: bytes) -> None:
    for make in SCANNERS.values():
        check_conservation(make, data)


class SkipsBlankLines(PureScanner):  # blank lines are nothing
    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        return super().scan(re.sub(rb"(?m)^\r?\n", b"", block))


class DropsBadSizes(PureScanner):  # a request with a bad size is counted as a line and nowhere else
    def _reject(self, reason: str, text: bytes) -> None:
        if reason != "bytes":
            super()._reject(reason, text)


class WantsNewline(PureScanner):  # the last line of a retired generation, which lacks a newline, is left out
    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        return super().scan(block[: bytes(block).rfind(b"\n") + 1])


class SplitsAtReturns(PureScanner):  # bytes.splitlines() sees lines where no newline is
    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        return super().scan(b"\n".join(bytes(block).splitlines()) + b"\n" if block else b"")


class ForgetsBetweenBlocks(PureScanner):  # only the last block counts
    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        self._clear()
        return super().scan(block)


@pytest.mark.twin
@pytest.mark.parametrize(
    "twin", [SkipsBlankLines, DropsBadSizes, WantsNewline, SplitsAtReturns, ForgetsBetweenBlocks]
)
def test_conservation_catches(twin: type[PureScanner]) -> None:
    data = line() + b"\n" + line(size=b"x") + b"a\rb\n" + line(end=b"")
    check_conservation(partial(PureScanner, spill=no_spill), data)
    with pytest.raises(AssertionError):
        check_conservation(partial(twin, spill=no_spill), data)
