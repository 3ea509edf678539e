"""What `summarize` prints of what was found."""

import csv
import io
import json
import re
from collections.abc import Callable

import pytest

from qps_service.reporting import documents, summary
from qps_service.reporting.summary import Summary, render_csv, render_json, render_table
from qps_service.values.counts import Beside, Counts, Key
from tests.promised import Promise, promises

TOTALS = {
    Key(b"GET", b"/", 200): Counts(600, 6000),
    Key(b"GET", b"/help", 404): Counts(100, 100),
    Key(b"POST", b"/a\x1b[2J,\xff", 99): Counts(300, 2**70),
}
REJECTS = {"status": 2, "fields": 3}
SUMMARY = Summary(TOTALS, REJECTS, {}, 0)
TIMES = {
    1_800_000_060: [0, 0, 60, 0, 6, 0, 0, 0, 0, 1],
    1_800_000_000: [0, 1, 0, 0, 0, 3, 0, 0, 0, 0],
    None: [0, 0, 5, 0, 0, 0, 0, 0, 0, 0],
}
TIMED = Summary({}, {}, TIMES, 60)


def test_a_table() -> None:
    assert render_table(SUMMARY).splitlines() == [
        "method  route           status  requests   share                   bytes",
        "GET     /               200          600   60.0%                    6000",
        r"POST    /a\x1b[2J,\xff  099          300   30.0%  1180591620717411303424",
        "GET     /help           404          100   10.0%                     100",
        "total                               1000  100.0%  1180591620717411309524",
        "",
        "rejected  lines",
        "fields        3",
        "status        2",
        "total         5",
    ]


def test_a_table_of_times() -> None:
    assert render_table(TIMED).split("\n\n")[1] == (
        "from                  requests  per second  1xx  2xx  3xx  4xx  5xx  other\n"
        "2027-01-15T08:00:00Z         4       0.067    1    0    0    0    3      0\n"
        "2027-01-15T08:01:00Z        67        1.12    0   60    0    6    0      1\n"
        "unknown                      5                0    5    0    0    0      0\n"
    )


def test_what_is_beside_the_counts_is_told_where_there_is_some() -> None:
    some = SUMMARY._replace(beside=Beside(unmeasured=7, directives=4))
    assert "\n\nbytes unknown: 7 of 1000 requests\n\ndirectives: 4 lines\n\nrejected" in render_table(some)
    document = json.loads(render_json(some))
    assert [document[name] for name in ("bytes_unknown", "lines", "directives")] == [7, 1009, 4]
    assert not re.search("unknown|directives", render_table(SUMMARY))


def test_json_is_one_object() -> None:
    document = json.loads(render_json(SUMMARY._replace(top=2)))
    assert document == {
        "lines": 1005,
        "requests": 1000,
        "bytes": 2**70 + 6100,
        "bytes_unknown": 0,
        "rejected": {"fields": 3, "status": 2},
        "directives": 0,
        "rows": [
            {"method": "GET", "route": "/", "status": 200, "requests": 600, "bytes": 6000},
            {"method": "POST", "route": r"/a\x1b[2J,\xff", "status": 99, "requests": 300, "bytes": 2**70},
        ],
    }


def test_json_has_times_where_they_were_asked_for() -> None:
    document = json.loads(render_json(TIMED))
    assert document["span"] == 60
    assert document["times"][0] == {
        "from": "2027-01-15T08:00:00Z",
        "requests": 4,
        "rate": 0.067,
        "classes": {"1xx": 1, "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 3, "other": 0},
    }
    assert document["times"][2]["rate"] is None


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_csv_of_routes() -> None:
    assert rows(render_csv(SUMMARY)) == [
        ["method", "route", "status", "requests", "bytes"],
        ["GET", "/", "200", "600", "6000"],
        ["POST", r"/a\x1b[2J,\xff", "099", "300", str(2**70)],
        ["GET", "/help", "404", "100", "100"],
    ]


TARGETS = [
    *("=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\uff1d1", "/a"),
    *("'=1+1", "''=1+1", "'+1", "'/a", r"\x09=1"),
]


def no_cell_is_a_formula(harmless: Callable[[str], str]) -> None:
    """Different methods and routes stay different, and none begins as a formula does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "harmless", harmless)
        keys = {Key(target.encode(), target.encode(), 200): Counts(1, 1) for target in TARGETS}
        cells = [row[:2] for row in rows(render_csv(Summary(keys, {}, {}, 0)))[1:]]
    assert len({route for _, route in cells}) == len({method for method, _ in cells}) == len(TARGETS)
    assert not [cell for row in cells for cell in row if cell[0] in "=+-@\t\r\uff1d"]
    assert ["'=1+1", "'=1+1"] in cells


test_formulas, test_formulas_twin = promises(
    Promise(
        no_cell_is_a_formula,
        documents.harmless,
        {"as they are": str, "one apostrophe": lambda text: f"'{text}" if text[:1] in "=+-@\uff1d" else text},
    )
)


def test_nothing_was_found() -> None:
    assert render_table(Summary({}, {}, {}, 0)).endswith("total                         0   0.0%      0\n")
    assert json.loads(render_json(Summary({}, {}, {}, 0)))["rows"] == []
