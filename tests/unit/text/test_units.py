"""Durations and sizes as people write them."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.text.units import SECOND, format_duration, format_size, parse_duration, parse_size

DURATIONS = {
    "10s": 10 * SECOND,
    "10": 10 * SECOND,
    "0.1": SECOND // 10,
    "500ms": SECOND // 2,
    "1.5m": 90 * SECOND,
    "2min": 120 * SECOND,
    "2h": 7200 * SECOND,
    "7d": 604_800 * SECOND,
    " 10 s ": 10 * SECOND,
    "0.000000001s": 1,
}
SIZES = {"65536": 65536, "100B": 100, "64KiB": 65536, "1 MiB": 1 << 20, "0.5GiB": 1 << 29, "1TiB": 1 << 40}
SHOWN_DURATIONS = {
    SECOND // 10: "100ms",
    10 * SECOND: "10s",
    60 * SECOND: "1m",
    90 * SECOND: "90s",
    86_400 * SECOND: "1d",
    1_234_567_890: "1.23456789s",
    1: "0.000000001s",
    0: "0s",
}
SHOWN_SIZES = {0: "0", 16: "16", 1000: "1000", 1 << 16: "64KiB", 1 << 40: "1TiB"}


@pytest.mark.parametrize(
    ("do", "given", "expected"),
    [
        *((parse_duration, *pair) for pair in DURATIONS.items()),
        *((parse_size, *pair) for pair in SIZES.items()),
        *((format_duration, *pair) for pair in SHOWN_DURATIONS.items()),
        *((format_size, *pair) for pair in SHOWN_SIZES.items()),
    ],
)
def test_as_people_write_them(do: Callable[[Any], object], given: object, expected: object) -> None:
    assert do(given) == expected


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1e3", "1,5s", "10 apples", "10S", "10s10s", "nan", "inf", "²s", "1\0"]
)
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a duration such as 10s, 500ms or 2h$"):
        parse_duration(text)
    with pytest.raises(ValueError, match=r"^expected a size such as 65536, 64KiB or 1MiB$"):
        parse_size(text)


@given(nanoseconds=st.integers(0, 86_400 * SECOND), size=st.integers(0, 10**14))
@example(nanoseconds=86_399_123_456_789, size=0)
def test_what_is_shown_is_exact(nanoseconds: int, size: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds
    assert parse_size(format_size(size)) == size
