"""The caret stands under its character, on any terminal; a wrong format shows its place."""

from collections.abc import Callable

import pytest

from qps_service.errors import ConfigError, FormatError
from qps_service.text.caret import point
from tests.promised import Promise, promises

Point = Callable[[str, str], str]


def columns(text: str) -> int:
    """How far a terminal's cursor gets: eight columns apart at a tab, by two at a wide one."""
    column = 0
    for character in text:
        if character == "\t":
            column += 8 - column % 8
        else:
            column += 2 if character in "漢字ば" else 1
    return column


def check_place(point: Point, before: str, shown: str) -> None:
    """The caret is as far from the left as what is before it."""
    line, caret = point(before, "x$y").split("\n")
    assert line == f"{shown}x$y"
    assert caret.strip() == "^"
    assert columns(caret) == columns(shown) + 1


BEFORE = [
    ("", ""),
    ("$uri ", "$uri "),
    ("\udcff", r"\xff"),
    ("\ud800", r"\xed\xa0\x80"),
    ("\u202e", r"\xe2\x80\xae"),
    ("e\u0301", r"e\xcc\x81"),
    ("a" * 100, "..." + "a" * 60),
]
NOT_AS_MANY_COLUMNS = ["\t$uri\t\t ", "漢字ば"]
BY_CHARACTERS = {"characters": lambda before, after: f"{before}{after}\n{' ' * len(before)}^"}
test_promise, test_twin = promises(
    *(Promise(check_place, point, {}, before=before, shown=shown) for before, shown in BEFORE),
    *(Promise(check_place, point, BY_CHARACTERS, before=each, shown=each) for each in NOT_AS_MANY_COLUMNS),
    Promise(check_place, point, BY_CHARACTERS, before="\x1b[2J\0", shown=r"\x1b[2J\x00"),
)


def test_a_long_end_is_cut() -> None:
    assert point("ab", "c" * 50) == f"ab{'c' * 40}...\n  ^"


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("", 0, "no"),
        ("$uri $", 5, "no (character 6)\n  $uri $\n       ^"),
        ("\n$uri $\n", 6, "no (line 2, character 6)\n  $uri $\n       ^".replace("line 2, ", "")),
        ("a\nbc\r\nd", 3, "no (line 2, character 2)\n  bc\n   ^"),
        ("a\nbc", 4, "no (line 2, character 3)\n  bc\n    ^"),
    ],
)
def test_what_a_wrong_format_says(text: str, position: int, said: str) -> None:
    error = FormatError(text, position, "no")
    assert str(error) == said
    assert error.brief == said.partition("\n")[0]


def test_problems_on_one_line_leave_out_the_places() -> None:
    error = ConfigError([f"log.a.format: {FormatError('$', 0, 'no')}", "log: two"])
    assert str(error) == "log.a.format: no (character 1)\n  $\n  ^\nlog: two"
    assert error.brief == "log.a.format: no (character 1); log: two"
