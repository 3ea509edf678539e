"""Names with fields of strftime: what they stand for, their order, and the path to write for dates seen."""

import time
from itertools import pairwise
from typing import Any

import pytest

from qps_service.files import dated_names
from qps_service.files.dated_names import comes_round, dated, is_dated, unknown_fields, with_fields
from qps_service.files.rotated_names import siblings, stands_for
from tests.promised import Patches, Promise, promises

HOURS = range(0, 3 * 365 * 24 * 3600, 7 * 3600 + 59 * 60 + 7)  # of three years, seconds
START = 1_769_904_000  # 2026-02-01 00:00:00 UTC
ORDERED = (
    *("access.%Y-%m-%d-%H%M%S.log", "access_log.%Y%m%d%H%M%S", "%d%b%Y_%H.%M.%S", "%B-%d-%Y-%I-%p-%M-%S"),
    *("a-%Y.%j.%T", "log.%s", "%y%m%d%H%M%S.%a", "%C%y-%-m-%-d_%-H:%M:%S", "%F_%R:%S%z"),
)


def names_are_in_order(template: Any) -> None:
    for text in ORDERED:
        times = [time.gmtime(START + hours) for hours in HOURS]
        keys = [template(text).key(time.strftime(text, each)) for each in times]
        assert None not in keys, text
        assert all(one < other for one, other in pairwise(keys)), text


@pytest.mark.parametrize(
    ("template", "yes", "no"),
    [
        (
            "access-%Y-%m-%d.log",
            ["access-2026-11-30.log", "access-2026-99-99.log"],
            [
                "access-2026-11-3.log",
                "access-2026-11-30.log.1",
                "xaccess-2026-11-30.log",
                "access-٢٠٢٦-11-30.log",
            ],
        ),
        ("%Y/%Y.log", ["2026/2026.log"], ["2026/2027.log"]),
        ("a%%b%Y.c", ["a%b2026.c"], ["a%%b2026.c", "a%b2026xc"]),
        ("%d-%b", ["30-Nov"], ["30-nov", "30-Nox"]),
        ("%h%e", ["Nov 3", "Nov30"], ["Nov3"]),
    ],
)
def test_what_a_name_stands_for(template: str, yes: list[str], no: list[str]) -> None:
    assert [name for name in (*yes, *no) if dated(template).is_one(name)] == yes


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        (("%H", "%a", "%j", "%m-%d", "%C%m%d"), ("%y%j", "%G-%V", "%g.%U.%a", "%s", "%Y/%m/%d/%H")),
        (
            ("%Y-%d", "%Y-%m-%H", "%Y-%a", "%Y-%m/%u", "%F-%M", "%F_%H%S", "%F-%I"),
            ("%Y-%m-%e-%k", "%h%d%y", *ORDERED),
        ),
    ],
)
def test_names_that_come_round(yes: tuple[str, ...], no: tuple[str, ...]) -> None:
    assert [each for each in (*yes, *no) if comes_round(each)] == [*yes]


def test_what_has_fields() -> None:
    assert [is_dated(each) for each in ("a%Y", "a%%Y", "100%", "%20a", "a%-d", "a%Q")] == [
        *(True, False, False, False, True, False)
    ]
    assert unknown_fields("a%Y%Q%%%-D") == ["%Q", "%-D"]
    assert unknown_fields("50%Q") == []  # as it always was


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/l/access-2026-11-30.log", "/l/access-%Y-%m-%d.log"),
        ("/l/localhost_access_log.2026-11-30.txt", "/l/localhost_access_log.%Y-%m-%d.txt"),
        ("/l/2026/11/30/access.log", "/l/2026/11/30/access.log"),
        ("/l/20261130/a.log", "/l/%Y%m%d/a.log"),
        ("/l/a-20261130_2359", "/l/a-%Y%m%d_%H%M"),
        ("/l/a.2026.11", "/l/a.%Y.%m"),
        ("/l/access.log.1796025676", "/l/access.log.%s"),
        ("/l/30Nov2026-a", "/l/%d%b%Y-a"),
        ("/l/site-12.log", "/l/site-12.log"),
        ("/l/10.0.0.1.log", "/l/10.0.0.1.log"),
        ("/l/20269999.log", "/l/20269999.log"),
        ("/l/3202611301.log", "/l/3202611301.log"),
    ],
)
def test_the_path_to_write_for_a_date(path: str, fields: str) -> None:
    assert with_fields(path) == fields


def test_files_of_a_log_with_dates() -> None:
    mine = ["a-2026-11-30.log", "a-2026-11-30.log.1", "a-2026-11-30.log.gz", "a-2026-11-30-2.log.xz"]
    assert siblings("a-%Y-%m-%d.log", [*mine, "a-.log", "a-2026-11-30.logs", "b-2026-11-30.log"]) == mine
    assert stands_for("/l/%Y/a.log", "/l/2026/a.log.1")
    assert not stands_for("/l/%Y/a.log", "/l/26/a.log")
    assert not stands_for("/l/%Y/a.log", "/l/2026/x/a.log")


test_promise, test_twin = promises(
    Promise(
        names_are_in_order,
        dated,
        {
            "as texts": lambda text: dated(text)._replace(fields=dated(text).fields[::-1]),
            "12 after 11": Patches(
                (dated_names, "_value", lambda field, text: int(text) if text.isdigit() else 0)
            ),
        },
    )
)
