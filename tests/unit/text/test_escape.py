"""Escaping: different bytes look different, on one line, and do nothing to a terminal."""

import os
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.text.escape import show
from tests.promised import Promise, promises

Show = Callable[[bytes], str]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"", ""),
        (b"/search", "/search"),
        (b"/a b", "/a b"),
        ("/größe/日本".encode(), "/größe/日本"),
        (rb"/a\b", r"/a\\b"),
        (rb"/\x00", r"/\\x00"),  # four characters that look like an escaped NUL
        (b"/\0", r"/\x00"),
        (b"/\t\n\r", r"/\x09\x0a\x0d"),
        (b"/\x1b[31mred", r"/\x1b[31mred"),
        (b"\x7f", r"\x7f"),
        (b"/\xff\xc3", r"/\xff\xc3"),  # invalid UTF-8
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),  # a lone surrogate
        (b"\xc0\xaf", r"\xc0\xaf"),  # an overlong slash
        ("\u009b31m".encode(), r"\xc2\x9b31m"),  # a C1 control: terminals take it for ESC [
        ("\u202efdp.exe".encode(), r"\xe2\x80\xaefdp.exe"),  # turns the direction of reading
        ("a\u00a0b\u2028".encode(), r"a\xc2\xa0b\xe2\x80\xa8"),  # blanks that are no space
    ],
)
def test_examples(raw: bytes, shown: str) -> None:
    assert show(raw) == shown


# Random bytes are hardly ever alike; what could be mistaken for another is made of these.
ALIKE = st.lists(
    st.sampled_from([b"\\", b"\\x", b"x", b"0", b"00", b"\0", b"\x1b", b"\xff", b"\xc3", b"\xa9", b"a"]),
    max_size=6,
).map(b"".join)
RAW = st.binary() | ALIKE | st.text().map(str.encode)


@given(raw=RAW)
@example(raw=bytes(range(256)))
@example(raw=b"\x1b[31m")
def check_harmless(show: Show, raw: bytes) -> None:
    """One line, printable throughout, and UTF-8."""
    shown = show(raw)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode()


@given(one=ALIKE, other=ALIKE)
@example(one=b"\0", other=rb"\x00")
@example(one=b"\xff", other=b"\xfe")
def check_injective(show: Show, one: bytes, other: bytes) -> None:
    """Two that look alike are the same."""
    assert (show(one) == show(other)) == (one == other)


@given(raw=RAW)
def test_it_can_be_undone(raw: bytes) -> None:
    """What can be undone is injective; this is how a reader of QPS_ROWS would do it."""
    pieces = show(raw).replace("\\\\", "\\x5c").split("\\x")
    assert (
        os.fsencode(pieces[0])
        + b"".join(bytes.fromhex(piece[:2]) + os.fsencode(piece[2:]) for piece in pieces[1:])
        == raw
    )


test_promise, test_twin = promises(
    Promise(check_injective, show, {"single backslashes": lambda raw: show(raw).replace("\\\\", "\\")}),
    Promise(check_injective, show, {"replacement": lambda raw: raw.decode(errors="replace")}),
    Promise(check_harmless, show, {"backslashreplace": lambda raw: raw.decode(errors="backslashreplace")}),
)
