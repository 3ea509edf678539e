"""Moments as people type them; on the clocks of Berlin, which are put back and forward twice a year."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from qps_service.text import times
from qps_service.text.times import parse_time
from qps_service.text.units import SECOND
from tests.promised import Patches, Promise, promises

NOW = int(datetime(2026, 11, 29, 15, 20, 10, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()) * SECOND + 5
HOUR = 3600 * SECOND
AROUND_NOW = {
    "now": 0,
    "-2h": -2 * HOUR,
    "- 2 h": -2 * HOUR,
    "2 hours ago": -2 * HOUR,
    "+10min": HOUR // 6,
    "-1h30min": -HOUR * 3 // 2,
    "1h 30min ago": -HOUR * 3 // 2,
    "-1.5h": -HOUR * 3 // 2,
    "-1d 1": -24 * HOUR - SECOND,
    "-30": -30 * SECOND,
    "-250ms": -SECOND // 4,
    "-1M": -2629800 * SECOND,
    "-1week": -168 * HOUR,
}
ON_THE_CLOCK = {
    "today": "2026-11-29T00:00:00+01:00",
    "yesterday": "2026-11-28T00:00:00+01:00",
    "tomorrow": "2026-11-30T00:00:00+01:00",
    "14:00": "2026-11-29T14:00:00+01:00",
    " 9:05:07.25 ": "2026-11-29T09:05:07.25+01:00",
    "14:00 UTC": "2026-11-29T14:00:00+00:00",
    "2026-07-01": "2026-07-01T00:00:00+02:00",
    "2026-07-01 14:00": "2026-07-01T14:00:00+02:00",
    "2026-07-01T14:00:30Z": "2026-07-01T14:00:30+00:00",
    "2026-07-01 14:00:30 UTC": "2026-07-01T14:00:30+00:00",
    "2026-07-01 14:00-03:30": "2026-07-01T14:00:00-03:30",
    "2026-07-01T14:00+0200": "2026-07-01T14:00:00+02:00",
    "Sun 2026-11-29 14:00": "2026-11-29T14:00:00+01:00",
    "2026-10-25 01:59": "2026-10-25T01:59:00+02:00",
    "2026-10-25 03:00": "2026-10-25T03:00:00+01:00",
    "2026-10-25 02:30": "2026-10-25T02:30:00+02:00",
    "2026-10-25 02:30 CEST": "2026-10-25T02:30:00+02:00",
    "Sun 2026-10-25 02:30:00 CET": "2026-10-25T02:30:00+01:00",
    "2026-03-29 02:30": "2026-03-29T03:30:00+02:00",
    "14:00 CET": "2026-11-29T14:00:00+01:00",
    "2026-07-01 14:00 America/New_York": "2026-07-01T14:00:00-04:00",
    "00:10 Pacific/Auckland": "2026-11-30T00:10:00+13:00",
    "2027-04-04 01:45 Australia/Lord_Howe": "2027-04-04T01:45:00+11:00",
    "@1795961400": "2026-11-29T14:10:00+00:00",
    "@0.5": "1970-01-01T00:00:00.5+00:00",
    "-99y": "1970-01-01T00:00:00+00:00",
}
REFUSED = (
    *("", "x", "30", "2h", "-", "+", "ago", " ago", "-2q", "+2h ago", "-1h -1h", "2026-02-30", "2026-13-01"),
    *("25:00", "14:60", "14", "14:00:00:00", "Mon 2026-11-29", "Sun", "UTC", "2026-11-2", "@", "@-1", "@x"),
    *("2026-11-29 14:00 Europe/Berln", "14:00 noon", "14:00 Europe", "14:00Europe/Berlin"),
    *("9999-01-01", "0001-01-01T00:00+23:59", "2026-11-29 14:00+99:00", "٢٠٢٦-11-29", "-" + "9" * 5000),
)


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def check_around_now(parse: Callable[[str, int], int]) -> None:
    assert {text: parse(text, NOW) - NOW for text in AROUND_NOW} == AROUND_NOW


def check_on_the_clock(parse: Callable[[str, int], int]) -> None:
    parse("2026-07-01", NOW)  # that no answer goes by what was asked before
    expected = {
        text: round(datetime.fromisoformat(at).timestamp() * 100) for text, at in ON_THE_CLOCK.items()
    }
    assert {text: parse(text, NOW) // (SECOND // 100) for text in ON_THE_CLOCK} == expected


def check_refused(parse: Callable[[str, int], int]) -> None:
    for text in REFUSED:
        with pytest.raises(ValueError, match=r"^expected a time such as -2h, 14:00, 2026-11-29 14:00, "):
            parse(text, NOW)


OTHER_CLOCKS = [
    Patches((times, "_zone", lambda text: None)),
    Patches((times, "_abbreviation", lambda shown: "CET" if shown.fold == 0 else "CEST")),
    Patches((times, "_DAYS", dict.fromkeys(times._DAYS, 0))),
    Patches((times, "_midnight", lambda now, place: datetime(1970, 1, 1))),
]
ANYTHING = [Patches((times, "LATEST", 1 << 70)), Patches((times, "_SPAN", re.compile(".*")))]
test_promise, test_twin = promises(
    Promise(check_around_now, parse_time, [Patches((times, "_fraction", lambda digits, of: 0))]),
    Promise(check_on_the_clock, parse_time, OTHER_CLOCKS),
    Promise(check_refused, parse_time, ANYTHING),
)
