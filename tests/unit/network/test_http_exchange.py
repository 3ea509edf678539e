"""Heads of requests, proper and hostile: each ends in something to be answered, or in an answer."""

import re
from http import HTTPStatus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.network.http_exchange import Exchange, refusal

PATHS = ("/metrics", "/healthz")
ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [ -~]*\r\n((?:[A-Za-z-]+: [ -~]*\r\n)+)\r\n", re.DOTALL)
FIELD = "[!-9;-~]{1,9}"


def status_of(answer: bytes) -> int:
    """An answer has one well-formed head, with the length of what follows."""
    found = ANSWER.match(answer)
    assert found, answer
    fields = dict(line.split(": ", 1) for line in found[2].decode().splitlines())
    assert fields["Connection"] == "close"
    assert len(answer) - found.end() in (int(fields["Content-Length"]), 0)  # 0 where HEAD was asked for
    return int(found[1])


def refused(head: bytes) -> int:
    exchange = Exchange(head, PATHS)
    assert not exchange.is_granted
    return status_of(exchange.written)


@pytest.mark.parametrize(
    "target", ["/metrics", "/metrics?name[]=a", "http://somewhere:9145/metrics", "/metrics#x", "//x/metrics"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_a_path_that_is_there_is_granted(method: str, target: str, version: str) -> None:
    exchange = Exchange(f"{method} {target} {version}\r\nHost: a\r\n\r\n".encode(), (*PATHS, "/x/metrics"))
    assert exchange.is_granted
    assert exchange.written == b""
    assert exchange.path in ("/metrics", "/x/metrics")
    assert exchange.command == method


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics/ HTTP/1.1\r\n\r\n", 404),
        (b"GET /../metrics HTTP/1.1\r\n\r\n", 404),
        (b"GET * HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 405),
        (b"get /metrics HTTP/1.1\r\n\r\n", 405),
        (b"GET\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1 more\r\n\r\n", 400),
        (b"GET /metrics HTTP/x\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        # Python's mail parser would sort these parts, a number and None: TypeError.
        (b"GET /metrics HTTP/1.1\r\nContent-Type: multipart/a; x*=a; x*0=b\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nContent-Type: multipart/a; x*" + b"9" * 5000 + b"=b\r\n\r\n", 400),
        (b"GET /metrics HTTP/2.0\r\n\r\n", 505),
        (b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
def test_what_is_wrong_is_said(head: bytes, status: int) -> None:
    assert refused(head) == status


@pytest.mark.parametrize(
    ("value", "accepts"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip; q=0", False),
        ("gzip;q=0.000, br", False),
        ("GZIP", True),
        ("x-gzip, deflate", False),
        ("", False),
        ("identity", False),
    ],
)
def test_lists_in_headers_are_read(value: str, accepts: bool) -> None:
    head = f"GET /metrics HTTP/1.1\r\nAccept-Encoding: {value}\r\n\r\n".encode()
    assert Exchange(head, PATHS).accepts("Accept-Encoding", "gzip") is accepts
    assert not Exchange(b"GET /metrics HTTP/1.1\r\n\r\n", PATHS).accepts("Accept-Encoding", "gzip")


def test_the_answers_head() -> None:
    assert status_of(refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)) == 431  # to a head that is not read
    exchange = Exchange(b"DELETE /metrics HTTP/1.1\r\n\r\n", PATHS)
    assert b"\r\nAllow: GET, HEAD\r\n" in exchange.written
    exchange = Exchange(b"GET /metrics HTTP/1.1\r\n\r\n", PATHS)
    exchange.answer(HTTPStatus.OK, "text/plain", 2, "gzip")
    assert status_of(exchange.written + b"ok") == 200
    assert b"\r\nContent-Encoding: gzip\r\n" in exchange.written


LINE = st.one_of(
    st.binary(max_size=40),
    st.from_regex(rf"(GET|HEAD|PUT) {FIELD} HTTP/1\.[019]", fullmatch=True).map(str.encode),
    st.from_regex(rf"{FIELD}: {FIELD}", fullmatch=True).map(str.encode),
    st.sampled_from(
        [b"Expect: 100-continue", b"Transfer-Encoding: chunked", b" folded", b"Content-Length: -1"]
    ),
)


@given(st.lists(LINE, max_size=8), st.sampled_from([b"\r\n", b"\n"]))
@example([b"GET /metrics HTTP/1.1", b"Expect: 100-continue"], b"\r\n")
@example([b"GET /metrics"], b"\r\n")
@example([b""], b"\n")
def test_any_head_ends_in_one_of_both(lines: list[bytes], ends: bytes) -> None:
    exchange = Exchange(ends.join(lines) + ends * 2, PATHS)
    if exchange.is_granted:
        assert exchange.written == b""
        exchange.answer(HTTPStatus.OK, "text/plain", 0)
        assert status_of(exchange.written) == 200
    else:
        assert status_of(exchange.written) >= 400
