"""What a field says of how long a request took, of each language of formats, and what it does not say."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.formats.durations import UNITS, nanoseconds_of
from qps_service.formats.presets import PRESETS
from qps_service.formats.w3c import rows_of
from qps_service.values.latency import LONGEST

COMBINED = PRESETS["combined"].texts[0]
UPSTREAM = '"$request" $status $body_bytes_sent "$upstream_response_time" $request_time'
MS = 10**6

TEXTS = {
    ("0.123", "s"): 123 * MS,
    ("0.000", "s"): 0,
    ("1e-9", "s"): 1,
    ("1e-10", "s"): 1,
    ("0." + "0" * 40 + "1", "s"): 1,
    ("0.1234567891", "s"): 123_456_790,
    ("1.5E+2", "ms"): 150 * MS,
    ("0" * 40 + "7", "us"): 7000,
    ("1000000", "s"): LONGEST,
    ("1000000.0000000001", "s"): None,
    ("1" + "0" * 30, "s"): None,
    ("1e30", "ns"): None,
    ("1e-" + "9" * 5000, "s"): 1,
    ("1e" + "9" * 5000, "s"): None,
    ("0e" + "9" * 5000, "s"): 0,
    ("12ms", "ns"): 12 * MS,
    ("1m2.5s", "ns"): 62_500 * MS,
    ("350µs", "s"): 350_000,
    ("0.1, 0.2 : 0.3", "s"): 600 * MS,
    ("-, 0.1", "s"): 100 * MS,
    **{(text, "s"): None for text in ("", "-", "-1", "+1", "- : -", "0.1,", "0,1", "1m30", "1e", "5.", ".5")},
    **{(text, "s"): None for text in ("0x5", "1 ", " 1", "1.2.3", "nan", "inf", "true", "2026-11-24")},
}


@pytest.mark.parametrize(("text", "unit"), TEXTS, ids=lambda each: str(each)[:20])
def test_what_a_text_says(text: str, unit: str) -> None:
    assert nanoseconds_of(text.encode(), unit) == TEXTS[text, unit]


@given(
    number=st.from_regex(r"[0-9]{1,25}(\.[0-9]{1,25})?([eE][-+]?[0-9]{1,2})?", fullmatch=True),
    unit=st.sampled_from([*UNITS]),
)
@example(number="999999999999999.1", unit="ns")
def test_a_number_is_rounded_up_to_nanoseconds(number: str, unit: str) -> None:
    exact = Fraction(number) * 10 ** UNITS[unit]
    assert nanoseconds_of(number.encode(), unit) == (None if exact > LONGEST else -(-exact // 1))


# Format, line, nanoseconds.
LINES: list[tuple[str, bytes, int | None]] = [
    (UPSTREAM, b'"GET / HTTP/1.1" 200 5 "0.1, 0.2" 0.250', 250 * MS),  # the whole wins
    ('"$request" $status "$upstream_response_time"', b'"GET / HTTP/1.1" 200 "0.1, 0.2 : -"', 300 * MS),
    ("$remote_addr $upstream_response_time $status $uri", b"::1 0.1, 0.2 200 /", 300 * MS),
    ("$status $upstream_response_time $bytes_sent $uri", b"200 0.1, 0.2 : 0.3 5 /", 600 * MS),
    ("%m %U %>s %D", b"GET / 200 1500", 1500_000),
    ("%m %U %>s %{us}T %{ms}T", b"GET / 200 1500 2", 1500_000),
    ("%m %U %>s %{ms}T", b"GET / 200 2", 2 * MS),
    ("%m %U %>s %T", b"GET / 200 2", None),  # whole seconds
    ("%m %U %>s %{s}T", b"GET / 200 2", None),
    ("%m %U %>s %400D", b"GET / 200 2", None),
    ("%m %U %>s %D %F", b"GET / 200 2 1", None),  # Tomcat's, of any version
    ("%{%F %T}t %U %>s %D", b"2026-11-24 10:00:00 / 200 1500", 1500_000),  # strftime's %F
    ("$method $route $status $duration_ms", b"GET / 200 1.5", 1_500_000),
    ("$method $route $status $duration_ms", b"GET / 101 1500", None),
    ("$method $route $status $duration_ms", b"GET / 200", None),  # cut
    (COMBINED + " $request_time", b'1.1.1.1 - - [x] "GET / HTTP/1.1" 200 5 "-" "a" b" 0.5" 0.250', 250 * MS),
    (COMBINED + " $request_time", b'1.1.1.1 - - [x] "GET / HTTP/1.1" 200 5 "-" "cut 0.5', None),
    ("combined", b'1.1.1.1 - - [x] "GET / HTTP/1.1" 200 5 "-" "a" 0.250', None),
    (
        "json",
        b'{"request":{"uri":"/","proto":"HTTP/2.0"},"user_id":"","duration":0.0015,"status":200}',
        1500_000,
    ),
    (
        "json",
        b'{"request":{"uri":"/","proto":"HTTP/2.0"},"user_id":"","duration":"1.5ms","status":200}',
        1500_000,
    ),
    ("json", b'{"path":"/","response_code":200,"response_flags":"-","duration":"12"}', 12 * MS),
    ("json", b'{"RequestPath":"/","DownstreamStatus":200,"Duration":1500000}', 1500_000),
    ("json", b'{"uri":"/","status":200,"request_time":"0.012","upstream_response_time":"0.1"}', 12 * MS),
    ("json", b'{"uri":"/","status":200,"upstream_response_time":"0.1, 0.2"}', 300 * MS),
    # Without quotes, which nginx leaves to whoever writes its log_format: never the first one alone.
    *(
        ("json", b'{"uri":"/","upstream_response_time":%b,"status":200}' % told, expected)
        for told, expected in (
            *((b"0.1, 0.2", 300 * MS), (b" 0.1, 0.2 : 0.3 ", 600 * MS), (b"0.1 : 0.2, 0.3", 600 * MS)),
            *((b"-, 0.2", 200 * MS), (b"0.1, -", 100 * MS), (b"-, -", None), (b"0.1, 0.2.3", None)),
            *((b"0.1,", 100 * MS), (b"0.1,0.2", 100 * MS), (b"0.1, x", 100 * MS)),
        )
    ),
    ("json", b'{"uri":"/","status":200,"latency_ms":7}', 7 * MS),
    ("json", b'{"uri":"/","status":200,"duration":7}', None),
    ("json duration=ms:took", b'{"uri":"/","status":200,"took":7,"request_time":5}', 7 * MS),
    ("json duration=ms:took", b'{"uri":"/","status":200,"took":7', None),  # perhaps of more digits
    ("json duration=ms:took", b'{"uri":"/","status":200,"took":null}', None),
    ("ltsv", b"uri:/\tstatus:200\treqtime:0.012\treqtime_microsec:12345", 12_345_000),
    ("ltsv duration=us:took", b"uri:/\tstatus:200\ttook:7", 7000),
    ("haproxy", PRESETS["haproxy"].example.encode(), 109 * MS),
    ("haproxy", PRESETS["haproxy"].example.replace("/69/109 ", "/-1/-1 ").encode(), None),
    ("envoy", PRESETS["envoy"].example.encode(), 226 * MS),
    ("istio", PRESETS["istio"].example.encode(), 4 * MS),
    ("alb", PRESETS["alb"].example.encode(), 48 * MS),
    ("elb", PRESETS["elb"].example.encode(), 1_048_000),
    ("s3", PRESETS["s3"].example.encode(), 7 * MS),
    # Squid fills up six digits.
    *(
        ("squid", PRESETS["squid"].example.replace("   124", f"{took:6}").encode(), took * MS)
        for took in (0, 7, 10, 999, 1234, 12345, 999_999, 86_400_000)
    ),
    ("uwsgi", PRESETS["uwsgi"].example.encode(), 2 * MS),
    ("uwsgi", PRESETS["uwsgi"].example.replace("2 msecs", "2 micros").encode(), 2000),
    ("uwsgi", PRESETS["uwsgi"].example.replace("2 msecs", "2 msecs via sendfile()").encode(), 2 * MS),
]


@pytest.mark.parametrize(
    ("directives", "unit"),
    [
        (b"time-taken\n#Software: Microsoft Internet Information Services 10.0", "ms"),
        (b"time-taken\n#Software: SGOS 6.7.5.3", "ms"),
        (b"time-taken\n#Software: Apache Tomcat/10.1.34", "s"),
        (b"time-taken x-edge-location", "s"),
        (b"time-taken", None),
        (b"time-taken\n#Software: Something 1.0", None),
    ],
)
def test_time_taken_is_in_the_unit_of_what_wrote_it(directives: bytes, unit: str | None) -> None:
    rows = rows_of(b"#Fields: cs-uri-stem sc-status " + directives, b" ")
    assert rows
    assert next((piece.unit for piece in rows.log_format.pieces[::2] if piece.unit), None) == unit  # type: ignore[union-attr]
