"""Escaping: different bytes look different, on one line, and do nothing to a terminal."""

import os
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.text import escape
from qps_service.text.escape import show
from tests.promised import Patches, Promise, promises

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
        (
            "/\u1112\u1161\u11ab/\ud55c".encode(),
            r"/ᄒ\xe1\x85\xa1\xe1\x86\xab/한",
        ),  # one syllable, in two spellings
        ("/é/e\u0301".encode(), r"/é/e\xcc\x81"),
        (
            "\u212a\uf900\u2126".encode(),
            r"\xe2\x84\xaa\xef\xa4\x80\xe2\x84\xa6",
        ),  # K, a Chinese letter, Omega
        ("/👍\ufe0f\u200d".encode(), r"/👍\xef\xb8\x8f\xe2\x80\x8d"),
        (b" /a  b c ", r"\x20/a\x20\x20b c\x20"),
        (b"  ", r"\x20\x20"),
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


# Default_Ignorable_Code_Point of Unicode 16 (https://unicode.org/Public/16.0.0/ucd/DerivedCoreProperties.txt).
IGNORABLE = (
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F)),
    *((0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A)),
    (0xE0000, 0xE0FFF),
)
UNSEEN = {
    "ignorable": IGNORABLE,
    "Hangul that joins": ((0x1160, 0x11FF), (0xD7B0, 0xD7FF)),
    "Braille without dots": ((0x2800, 0x2800),),
    "object replacement": ((0xFFFC, 0xFFFC),),
    "blank hieroglyphs": ((0x13441, 0x13442),),
    "vowel signs that are letters": ((0x16D63, 0x16D6A),),
    "null notehead": ((0x1D159, 0x1D159),),
    "blanks": ((0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
    "spaces": ((0x2028, 0x2029), (0x202F, 0x202F), (0x3000, 0x3000)),
    "private": ((0xE000, 0xF8FF), (0x10FFF0, 0x10FFFF)),
    "accents": ((0x300, 0x36F), (0x20D0, 0x20F0), (0xFE20, 0xFE2F)),
    "marks of scripts": ((0x93C, 0x93C), (0x94D, 0x94D), (0xE31, 0xE31), (0xE34, 0xE3A), (0x3099, 0x309A)),
    "unassigned": ((0x378, 0x379), (0x323B0, 0x323FF), (0xDFFF0, 0xDFFFF)),
}

# What Python's own idea of printable lets through.
PRINTED = ("ignorable", "Hangul that joins", "Braille without dots", "object replacement", "accents")
LETTERS = (*range(0x80, 0x3400), *range(0xA000, 0xB000), *range(0xD7A0, 0xD800), *range(0xF900, 0x12000))


def nothing_unseen_is_shown(show: Show, unseen: tuple[tuple[int, int], ...]) -> None:
    """None of these is shown but by its bytes, whatever this Python's tables know of it."""
    for first, last in unseen:
        text = "".join(map(chr, range(first, last + 1)))
        assert show(text.encode()) == "".join(f"\\x{byte:02x}" for byte in text.encode())


def letters_are_shown() -> None:
    """What people write in is read as they write it."""
    for text in ("ÀÉÿ", "ΆΩ", "Жя", "אב", "سلام", "漢字", "かが", "한국어", "กขค", "नम", "👍→€", "a b"):
        assert show(text.encode()) == text


def no_two_spellings_are_shown(show: Show) -> None:
    """What is shown stays as it is where somebody normalizes it, whatever stands side by side."""
    shown = "".join(letter for letter in map(chr, LETTERS) if show(letter.encode()) == letter)
    assert len(shown) > 15_000
    assert unicodedata.is_normalized("NFC", shown)
    # Nothing that is shown can join what stands before it.
    joined = (letter for letter in shown if len(unicodedata.normalize("NFD", letter)) > 1)
    assert not set("".join(unicodedata.normalize("NFD", letter)[1:] for letter in joined)).intersection(shown)


def as_unicode_prints(raw: bytes) -> str:
    text = raw.decode("utf-8", "surrogateescape")
    return "".join(each if each.isprintable() and each != "\\" else show(os.fsencode(each)) for each in text)


test_unseen, test_unseen_twin = promises(
    *(
        Promise(
            nothing_unseen_is_shown,
            show,
            [as_unicode_prints if name in PRINTED else bytes.decode],
            unseen=unseen,
            label=name,
        )
        for name, unseen in UNSEEN.items()
    ),
    Promise(letters_are_shown, None, [Patches((escape, "is_visible", str.isascii))]),
    Promise(no_two_spellings_are_shown, show, [as_unicode_prints]),
)


@given(raw=RAW)
@example(raw=rb"\x00")
def check_undone(show: Show, raw: bytes) -> None:
    """What can be undone looks like nothing else; this is how a reader of QPS_ROWS would do it."""
    first, *pieces = show(raw).replace("\\\\", "\\x5c").split("\\x")
    rest = (bytes.fromhex(piece[:2]) + os.fsencode(piece[2:]) for piece in pieces)
    assert os.fsencode(first) + b"".join(rest) == raw


SINGLE = {"single backslashes": lambda raw: show(raw).replace("\\\\", "\\")}
test_promise, test_twin = promises(
    Promise(check_undone, show, SINGLE, caught=(ValueError,)),
    Promise(check_harmless, show, {"backslashreplace": lambda raw: raw.decode(errors="backslashreplace")}),
)
