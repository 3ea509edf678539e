"""Which preset the first lines of a log fit, in words."""

import gzip
from collections.abc import Callable, Sequence

import pytest

from qps_service.formats import detection
from qps_service.formats.detection import LINES, ORDER, Choice, choose, first_lines, fits
from qps_service.formats.presets import PRESETS, compile_format
from tests.promised import Patches, Promise, promises

COMMON = b'1.2.3.4 - - [24/Nov/2026:14:50:08 +0000] "GET /a HTTP/1.1" 200 512'
COMBINED = COMMON + b' "-" "curl/8"'
DEFAULT = b"1.2.3.4\tGET /a\t200\t512"
JSON = b'{"request":{"method":"GET","uri":"/a"},"status":200,"size":512}'
TLS = COMBINED.replace(b"GET /a HTTP/1.1", rb"\x16\x03\x01")

Choose = Callable[[Sequence[bytes]], Choice]


Case = tuple[list[bytes], str | None, str]  # lines, the format's name, the reason


def check_choice(choose: Choose, case: Case) -> None:
    choice = choose(case[0])
    assert (choice.format.text if choice.format else None, choice.reason) == case[1:]


NONE = "none of {} lines fits json, ltsv, combined, common, default"
CASES: list[Case] = [
    ([COMBINED], "combined", "1 of 1 lines fit combined, 0 json, 0 ltsv, 0 common, 0 default"),
    ([COMMON] * 2, "common", "2 of 2 lines fit common, 0 json, 0 ltsv, 0 combined, 0 default"),
    ([DEFAULT + b"\r"], "default", "1 of 1 lines fit default, 0 json, 0 ltsv, 0 combined, 0 common"),
    ([JSON], "json", "1 of 1 lines fit json, 0 ltsv, 0 combined, 0 common, 0 default"),
    ([b"\xef\xbb\xbf" + JSON], "json", "1 of 1 lines fit json, 0 ltsv, 0 combined, 0 common, 0 default"),
    (
        [COMMON, COMBINED, b"?", COMBINED, DEFAULT],
        "combined",
        "2 of 5 lines fit combined, 0 json, 0 ltsv, 1 common, 1 default",
    ),
    ([COMMON, COMBINED], "combined", "1 of 2 lines fit combined, 0 json, 0 ltsv, 1 common, 0 default"),
    ([DEFAULT, JSON], "json", "1 of 2 lines fit json, 0 ltsv, 0 combined, 0 common, 1 default"),
    # Who speaks no HTTP comes first on many a morning.
    ([TLS], "combined", "1 of 1 lines fit combined, 0 json, 0 ltsv, 0 common, 0 default"),
    ([b"", b" ", COMBINED], "combined", "1 of 1 lines fit combined, 0 json, 0 ltsv, 0 common, 0 default"),
    (
        [b"?"] * (LINES - 1) + [COMMON] + [COMBINED] * 9,
        "common",
        f"1 of {LINES} lines fit common, 0 json, 0 ltsv, 0 combined, 0 default",
    ),
    ([], None, "there is no line yet"),
    ([b"", b"\r"], None, "there is no line yet"),
    ([b"hello", b"world"], None, NONE.format(2)),
    ([b"hello"] * 200, None, NONE.format(LINES)),
    ([b'{"hello": 1}'], None, NONE.format(1)),
    ([COMBINED.replace(b" 200 ", b" OK ")], None, NONE.format(1)),
    (f"{COMMON.decode()}\n".encode("utf-16").split(b"\n"), None, "it is in UTF-16, expected UTF-8"),
    (gzip.compress(COMMON).split(b"\n"), None, "it is compressed with gzip"),
    ([b"\xfd7zXZ\0x"], None, "it is compressed with xz"),
    ([b"BZh91AY"], None, "it is compressed with bzip2"),
    ([b"\x28\xb5\x2f\xfdx"], None, "it is compressed with zstd"),
    ([b"\x7fELF\0\0"], None, "it is binary"),
    # After a power cut zeros may stand before a log that is sound.
    ([b"\0\0\0", COMMON], "common", "1 of 2 lines fit common, 0 json, 0 ltsv, 0 combined, 0 default"),
]


def by_the_first_line(lines: Sequence[bytes]) -> Choice:
    return choose(lines[:1])


def with_blank_lines(lines: Sequence[bytes]) -> Choice:
    return choose([line or b"?" for line in lines])


TWINS: dict[int, object] = {
    5: by_the_first_line,
    6: Patches((detection, "ORDER", ORDER[::-1])),
    9: with_blank_lines,
}
test_promise, test_twin = promises(
    *(
        Promise(check_choice, choose, [TWINS[number]] if number in TWINS else [], case=case)
        for number, case in enumerate(CASES)
    )
)


def test_every_preset_can_be_chosen() -> None:
    assert set(ORDER) == set(PRESETS)


@pytest.mark.parametrize(
    ("line", "names"), [(COMBINED, ["combined"]), (TLS, ["combined"]), (b"?", []), (JSON, ["json"])]
)
def test_what_a_line_fits(line: bytes, names: list[str]) -> None:
    assert [name for name in PRESETS if fits(compile_format(name), line)] == names


@pytest.mark.parametrize(
    ("start", "lines"),
    [
        (b"", [b""]),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\nb", [b"a"]),  # it is cut off
        (b"a\n\nb\n", [b"a", b"", b"b"]),
        (b"a\n" * (LINES + 5), [b"a"] * LINES),
        (b"a\n" * LINES + b"b", [b"a"] * LINES),
    ],
)
def test_the_first_lines(start: bytes, lines: list[bytes]) -> None:
    assert first_lines(start) == lines
