"""The line that `systemctl status` shows."""

from typing import Any

from qps_service.service import status
from qps_service.service.status import NAMED, Status, status_line
from tests.limits import Doubled
from tests.promised import Patches, Promise, cases, promises

WELL = Status(2.5, 2, 1, 25, True, (), 0, (), None, "/etc/qps.toml")
RATES = "2.5 requests/s, 2 routes, 1 log; 25 requests in total"
GONE, SHUT = "waiting for /a.log", "cannot read /b.log: Permission denied; trying again"
MANY = tuple(f"waiting for /{number}.log" for number in range(40))
LINES: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, RATES),
    ({"routes": 1}, "2.5 requests/s, 1 route, 1 log; 25 requests in total"),
    ({"logs": 256}, "2.5 requests/s, 2 routes, 256 logs; 25 requests in total"),
    ({"is_written": False}, f"the ledger is not written; {RATES}"),
    ({"failing": ("statsd",)}, f"output statsd fails; {RATES}"),
    ({"failing": ("stdout", "json")}, f"outputs stdout, json fail; {RATES}"),
    ({"losses": 1}, f"1 possible loss; {RATES}"),
    ({"losses": 2}, f"2 possible losses; {RATES}"),
    ({"unmatched": "no file matches /x*"}, f"no file matches /x*; {RATES}"),
    ({"unmatched": "no file matches /x*", "logs": 0}, "no file matches /x*"),
    ({"waiting": (GONE,)}, f"{GONE}; set path in /etc/qps.toml"),
    ({"waiting": (GONE,), "source": None}, GONE),
    ({"waiting": (SHUT,), "losses": 1}, f"1 possible loss; {SHUT}; set path in /etc/qps.toml"),
    (
        {"waiting": (GONE, SHUT), "logs": 3},
        f"{SHUT}; {GONE}; 2.5 requests/s, 2 routes, 1 of 3 logs; 25 requests in total",
    ),
    (
        {"is_written": False, "failing": ("json",), "losses": 3, "waiting": (GONE,), "logs": 2},
        f"the ledger is not written; output json fails; 3 possible losses; {GONE}; "
        "2.5 requests/s, 2 routes, 1 of 2 logs; 25 requests in total",
    ),
    (
        {"waiting": (*MANY, SHUT), "logs": 41},
        f"{SHUT}; {MANY[0]}; {MANY[1]}; likewise 38 more logs; set path in /etc/qps.toml",
    ),
)


def check_line(case: tuple[dict[str, Any], str]) -> None:
    given, line = case
    assert status_line(WELL._replace(**given)) == line


def check_few_are_named() -> None:
    line = status_line(WELL._replace(waiting=MANY, logs=50))
    assert line.count("waiting for") == NAMED


silent = Patches((status, "_trouble", lambda _: iter(())))
test_promise, test_twin = promises(
    *cases(check_line, LINES, lambda case: [silent] if case[0].keys() - {"logs", "routes"} else []),
    Promise(check_few_are_named, None, [Doubled("service.status:NAMED")]),
)
