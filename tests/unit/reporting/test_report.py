"""The report, byte for byte, and how its numbers are rounded."""

import re
import time
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.reporting.report import make_report
from qps_service.reporting.text import format_rate, render_text, text_lines
from qps_service.values.counts import Counts, Key
from qps_service.values.latency import LatencyKey
from qps_service.values.reports import Report, Window
from tests.durations import MILLI, told
from tests.promised import Promise, promises

SECOND = 10**9
AT = 1473414194  # Fri Sep  9 09:43:14 UTC 2016

SAMPLE = (
    "Fri Sep  9 11:43:14 2016\n"
    "=============================\n"
    "/\t200\t10.3\n"
    "/\t500\t0.1\n"
    "/help\t200\t3.2\n"
    "total\t-\t13.6\n"
    "\n"
)
GET_HELP = Key(b"GET", b"/help", 200)
COUNTS = {
    GET_HELP: Counts(32, 5),
    Key(b"GET", b"/", 500): Counts(1, 6),
    Key(b"POST", b"/", 200): Counts(3, 7),
    Key(b"GET", b"/", 200): Counts(100, 8),
}


def report_of(
    counts: dict[Key, Counts], *, nanoseconds: int = 10 * SECOND, named: bool = False, rejects: int = 0
) -> Report:
    window = Window(
        "access", 5 * SECOND, 5 * SECOND + nanoseconds, counts, {"fields": rejects} if rejects else {}
    )
    return make_report(window, sequence=7, at=AT, named=named)


@pytest.fixture
def berlin(local_time: Callable[[str], None]) -> None:
    local_time("CET-1CEST,M3.5.0,M10.5.0/3")  # spelled out, as a machine may have no time zones installed


def check_sample(render: Callable[[Report], str], berlin: None) -> None:
    assert render(report_of(COUNTS)) == SAMPLE


def test_no_route_reads_as_a_line_of_ours() -> None:
    """Whatever a client asks for: the total is the last row, and a possible loss is none."""
    routes = (b"total", b"possible loss", b"-", b"/total")
    report = report_of({Key(b"GET", route, 400): Counts(10, 0) for route in routes})
    rows = [line.split("\t") for line in render_text(report).splitlines()[2:-1]]
    assert [row[0] for row in rows] == ["-", "/total", r"\x70ossible loss", r"\x74otal", "total"]


TIMES = {
    LatencyKey(b"/", 2): told([12 * MILLI] * 90 + [45 * MILLI] * 9),
    LatencyKey(b"/", 5): told([1_300_000_001]),
    LatencyKey(b"latency", 2): told([0, 1, 5000 * SECOND]),
}
TIMED = (
    "total\t-\t13.7\nlatency\t/\t12ms\t45ms\t45ms\t1.4s\nlatency\t\\x6catency\t1us\t>1000s\t>1000s\t>1000s\n"
)


def check_latency_block(render: Callable[..., str]) -> None:
    """Behind the total, where it is asked for; all else stays as it is, to the byte."""
    report = report_of(COUNTS | {Key(b"GET", b"latency", 200): Counts(1, 0)})
    plain, timed = render_text(report), report._replace(latencies=TIMES)
    before, _, after = plain.partition("total\t-\t13.7\n")
    assert "\nlatency\t200\t" in before
    assert render(timed) == plain
    escaped = before.replace("\nlatency\t", "\n\\x6catency\t")
    assert render(timed._replace(shows_latency=True)) == escaped + TIMED + after
    assert render(timed, shows_latency=True) == escaped + TIMED + after
    assert render(report, shows_latency=True) == plain, "nothing was measured"
    assert "".join(text_lines(timed, 1, shows_latency=True)).splitlines()[5:] == [TIMED.splitlines()[2], ""]


def rendered(report: Report, most: int | None = None, **how: bool) -> str:
    return "".join(text_lines(report, most, **how))


def always(report: Report, **_: bool) -> str:
    return rendered(report, shows_latency=True)


RENDERERS: dict[str, Callable[[Report], str]] = {
    "a padded day": lambda report: render_text(report).replace("Sep  9", "Sep 09"),
    "in UTC": lambda report: time.asctime(time.gmtime(report.at)) + render_text(report)[24:],
    "no empty line": lambda report: render_text(report)[:-1],
}


@pytest.mark.usefixtures("berlin")
def test_the_date_is_local_and_has_no_zeros_before_the_day(local_time: Callable[[str], None]) -> None:
    assert render_text(report_of({}))[:25] == "Fri Sep  9 11:43:14 2016\n"
    local_time("UTC0")
    assert render_text(report_of({}))[:25] == "Fri Sep  9 09:43:14 2016\n"


@pytest.mark.usefixtures("berlin")
def test_a_window_without_requests() -> None:
    text = SAMPLE[:55] + "total\t-\t0\n\n"
    assert render_text(report_of({}, rejects=4)) == render_text(report_of({})) == text
    missing = report_of({})._replace(waiting="waiting for access.log")
    assert render_text(missing) == ""
    assert render_text(missing._replace(rejected=1)) == text


@pytest.mark.usefixtures("berlin")
def test_one_of_several_logs_has_its_name_after_the_date() -> None:
    lines = render_text(report_of(COUNTS, named=True)).split("\n")
    assert lines[0] == "Fri Sep  9 11:43:14 2016 access"
    assert "\n".join(lines[1:]) == SAMPLE.partition("\n")[2]


def test_rows_are_sorted_by_the_bytes_of_the_route_then_by_status() -> None:
    keys = [(b"/", 1), (b"/", 99), (b"/", 200), (b"/B", 200), (b"/a", 200), (b"/a/", 200), (b"other", 200)]
    keys += [(b"\xff", 5)]
    counts = {Key(b"GET", route, status): Counts(10, 0) for route, status in reversed(keys)}
    rows = render_text(report_of(counts)).split("\n")[2:-3]
    assert rows == [
        "/\t001\t1", "/\t099\t1", "/\t200\t1", "/B\t200\t1",
        "/a\t200\t1", "/a/\t200\t1", "other\t200\t1", "\\xff\t005\t1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("nanoseconds", "rate"),
    [(10 * SECOND, "3.2"), (12_500_000_000, "2.56"), (86_400 * SECOND, "0.00037"), (0, "0")],
)
def test_rates_go_by_the_windows_real_length(nanoseconds: int, rate: str) -> None:
    text = render_text(report_of({GET_HELP: Counts(32, 0)}, nanoseconds=nanoseconds))
    assert text.split("\n")[2:4] == [f"/help\t200\t{rate}", f"total\t-\t{rate}"]


ROUNDINGS = {
    0: "0", 10.3: "10.3", 10.0: "10", 100.0: "100", 0.1: "0.1", 0.5: "0.5", 0.09: "0.09", 0.0912: "0.091",
    0.0033: "0.0033", 0.00334: "0.0033", 0.996: "1", 0.0996: "0.1", 0.00996: "0.01", 0.000010149: "0.00001",
    1.005: "1", 1.015: "1.01", 2.675: "2.67",  # the floats below these
    99.995: "100", 99.994: "99.99", 123.456: "123.46",  # the float above 99.995
    200000.0: "200000", 1e15: "1000000000000000", 1e22: "10000000000000000000000",
    1 / 3: "0.33", 2 / 3: "0.67", 1 / 30: "0.033", 0.000011574: "0.000012",  # the last: once a day
}  # fmt: skip


def test_rounding() -> None:
    assert {rate: format_rate(rate) for rate in ROUNDINGS} == ROUNDINGS


COUNT, LENGTH = st.integers(0, 10**12), st.integers(1, 400 * 86_400 * SECOND)


@given(requests=COUNT, nanoseconds=LENGTH)
@example(requests=0, nanoseconds=1)
@example(requests=10**12, nanoseconds=1)
@example(requests=1, nanoseconds=400 * 86_400 * SECOND)
@example(requests=996, nanoseconds=10_000 * SECOND)
@example(requests=100, nanoseconds=10 * SECOND)
@example(requests=10, nanoseconds=SECOND)
@example(requests=10_300, nanoseconds=10 * SECOND)
@example(requests=199, nanoseconds=1000 * SECOND)
def check_rounding(form: Callable[[float], str], requests: int, nanoseconds: int) -> None:
    """Two decimals, or two significant digits where that is finer; never an exponent or needless zeros."""
    true = Fraction(requests * SECOND, nanoseconds)
    shown = form(report_of({GET_HELP: Counts(requests, 0)}, nanoseconds=nanoseconds).rate)
    assert re.fullmatch(r"0|[1-9][0-9]*|(0|[1-9][0-9]*)\.[0-9]*[1-9]", shown)
    magnitude = Fraction(1)  # the first significant digit's place
    while magnitude > true > 0:
        magnitude /= 10
    half = min(Fraction(1, 200), magnitude / 20)
    float_error = true / 2**51  # two roundings to 53 bits on the way
    assert abs(Fraction(shown) - true) <= half + float_error


ROUNDED: dict[str, Callable[[float], str]] = {
    "two decimals only": lambda rate: f"{rate:.2f}",
    "two digits only": lambda rate: f"{rate:.2g}",
    "exponent": repr,
    "trailing zeros": lambda rate: f"{rate:.9f}",
    "zeros of a whole number": lambda rate: f"{rate:.9f}".strip("0."),
    "cut, not rounded": lambda rate: format_rate(int(rate * 100) / 100),
}

test_promise, test_twin = promises(
    Promise(check_latency_block, rendered, [always]),
    Promise(check_sample, render_text, RENDERERS),
    Promise(check_rounding, format_rate, ROUNDED),
)
