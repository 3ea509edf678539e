"""Which requests `--route`, `--status`, `--method` and `--log` leave."""

import os
import re
from typing import Any

import pytest

from qps_service.reporting import selection
from qps_service.reporting.selection import Selection, parse_status
from qps_service.values.counts import Key
from tests.promised import Patches, Promise, promises, twin

KEYS = (
    Key(b"GET", b"/", 200),
    Key(b"GET", b"/api/v1/users", 200),
    Key(b"POST", b"/api/v1/users", 503),
    Key(b"get", b"/API", 404),
    Key(b"GET", b"/\xff[1]", 40),
    Key(b"-", b"-", 0),
)


def check_taken(select: Any, given: dict[str, Any], expected: tuple[int, ...]) -> None:
    assert tuple(number for number, key in enumerate(KEYS) if select(**given).takes(key)) == expected


def check_logs(select: Any) -> None:
    names = ("shop", "shop-2", "admin", "Shop", os.fsdecode(b"\xff"))  # a file's, for summarize
    for logs, expected in (
        ((), names),
        (("shop",), names[:1]),
        (("shop*", "ad?in"), names[:3]),
        ([r"*ff"], names[4:]),
    ):
        assert tuple(name for name in names if select(logs=logs).takes_log(name)) == expected


def check_statuses(parse: Any) -> None:
    assert [*map(parse, ("404", "5xx", "5XX", "000", "0xx"))] == ["404", "5", "5", "000", "0"]
    for text in ("", "5", "40", "4x4", "40x", "xxx", "4044", "-1", "\u0665xx", "404 "):
        with pytest.raises(ValueError, match=r"^expected a status such as 404, or 5xx for all"):
            parse(text)


whole = Patches((selection, "_pattern", re.compile))
ROWS: tuple[tuple[dict[str, Any], tuple[int, ...], list[Any]], ...] = (
    ({}, (0, 1, 2, 3, 4, 5), []),
    ({"routes": ["/api/*"]}, (1, 2), []),
    ({"routes": ["/"]}, (0,), [whole]),
    ({"routes": ["*"]}, (0, 1, 2, 3, 4, 5), []),
    ({"routes": [r"/\xff[[]1]"]}, (4,), [Patches((selection, "show", bytes.hex))]),
    ({"routes": ["-", "/"]}, (0, 5), []),
    ({"statuses": ["5"]}, (2,), []),
    ({"statuses": ["40"]}, (3,), []),
    ({"statuses": ["0"]}, (4, 5), []),
    ({"statuses": ["2", "503"]}, (0, 1, 2), []),
    ({"methods": ["GET"]}, (0, 1, 4), []),
    (
        {"methods": ["GET"], "statuses": ["2"], "routes": ["/api*"]},
        (1,),
        [twin(Selection, "any", "takes", instead=lambda self, key: True)],
    ),
)

test_promise, test_twin = promises(
    *(
        Promise(check_taken, Selection, twins, label=str(number), given=given, expected=expected)
        for number, (given, expected, twins) in enumerate(ROWS)
    ),
    Promise(check_logs, Selection, [twin(Selection, "all", "takes_log", instead=lambda self, name: True)]),
    Promise(check_statuses, parse_status, {"any": lambda text: text.rstrip("xX")}),
)
