"""Durations and sizes as people write them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.text.units import SECOND, format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("10s", 10 * SECOND),
        ("10", 10 * SECOND),
        ("0.1", SECOND // 10),
        ("500ms", SECOND // 2),
        ("1.5m", 90 * SECOND),
        ("2min", 120 * SECOND),
        ("2h", 7200 * SECOND),
        ("7d", 604_800 * SECOND),
        (" 10 s ", 10 * SECOND),
        ("0.000000001s", 1),
    ],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("65536", 65536),
        ("100B", 100),
        ("64KiB", 65536),
        ("1 MiB", 1 << 20),
        ("0.5GiB", 1 << 29),
        ("1TiB", 1 << 40),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1e3", "1,5s", "10 apples", "10S", "10s10s", "nan", "inf", "²s", "1\0"]
)
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a duration such as 10s, 500ms or 2h$"):
        parse_duration(text)
    with pytest.raises(ValueError, match=r"^expected a size such as 65536, 64KiB or 1MiB$"):
        parse_size(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (SECOND // 10, "100ms"),
        (10 * SECOND, "10s"),
        (60 * SECOND, "1m"),
        (90 * SECOND, "90s"),
        (86_400 * SECOND, "1d"),
        (1_234_567_890, "1.23456789s"),
        (1, "0.000000001s"),
        (0, "0s"),
    ],
)
def test_durations_as_they_are_shown(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text


@given(nanoseconds=st.integers(0, 86_400 * SECOND))
@example(nanoseconds=86_399_123_456_789)
def test_what_is_shown_is_exact(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0"), (16, "16"), (1000, "1000"), (1 << 16, "64KiB"), (1 << 40, "1TiB")]
)
def test_sizes_as_they_are_shown(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(0, 10**14))
def test_a_size_that_is_shown_reads_back(size: int) -> None:
    assert parse_size(format_size(size)) == size
