"""What Prometheus is told, read back by the readers of its own library, in both formats."""

from bisect import bisect_right
from collections.abc import Callable, Iterable

import pytest
from prometheus_client import parser
from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser

from qps_service.outputs.prometheus import exposition
from qps_service.outputs.prometheus.exposition import Histograms
from qps_service.values.counts import Beside, Counts, Key
from qps_service.values.latency import BOUNDS, BUCKETS, LatencyKey
from qps_service.values.reports import Overview, Standing
from tests.durations import DISTRIBUTIONS, MILLI, told
from tests.limits import Doubled
from tests.promised import Patches, Promise, promises
from tests.unit.scraping import render

Render = Callable[..., tuple[bytes, str]]
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

COUNTS = {
    Key(b"GET", b"/", 200): Counts(5, 500),
    Key(b"GET", b"/", 7): Counts(1, 0),
    Key(b"POST", b"/a", 404): Counts(2, 30),
}
STANDING = Standing(
    log="access",
    counts=COUNTS,
    rejects={"fields": 3, "not_http": 1},
    rotations=4,
    losses=2,
    loss_bytes=99,
    folded={"max_routes": 6, "methods": 2},
    routes=8,
    pending=77,
    last_line_age=1.5,
    beside=Beside(unmeasured=5, directives=40),
)
OVERVIEW = Overview(
    logs=(
        STANDING,
        STANDING._replace(log="shop", counts={}, rejects={}, last_line_age=None, beside=Beside(5)),
    ),
    commits=10,
    commit_failures=1,
    output_failures={"stdout": 0, "textfile": 3},
    version="1.2",
    scanner="native scanner, avx2",
)


def read(text: bytes, *, openmetrics: bool = False) -> list[Metric]:
    lines = openmetrics_parser if openmetrics else parser
    return list(lines.text_string_to_metric_families(text.decode()))


def samples(families: Iterable[Metric]) -> Samples:
    found = {}
    for family in families:
        for sample in family.samples:
            series = sample.name, tuple(sorted(sample.labels.items()))
            assert series not in found, f"{series} twice"
            found[series] = sample.value
    return found


def series(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return f"qps_reporter_{name}", tuple(sorted(labels.items()))


# --- everything is told, under its name


def check_told(render: Render, *, openmetrics: bool) -> None:
    text, media_type = render(OVERVIEW, openmetrics=openmetrics)
    kind = "application/openmetrics-text; version=1.0.0" if openmetrics else "text/plain; version=0.0.4"
    assert media_type.startswith(f"{kind}; charset=utf-8")
    assert text.endswith(b"# EOF\n") == openmetrics
    each_log = {  # of access, and of shop
        "lines_total": (52, 0),
        "directive_lines_total": (40, 0),
        "rows": (3, 0),
        "requests_without_size_total": (5, 5),
        "rotations_total": (4, 4),
        "possible_losses_total": (2, 2),
        "possible_loss_bytes_total": (99, 99),
        "routes": (8, 8),
        "pending_bytes": (77, 77),
    }
    reasons = {"fields": (3, 0), "status": (0, 0), "too_long": (0, 0)}
    folds = {"max_routes": (6, 6), "max_rows": (0, 0), "methods": (2, 2), "invented": (0, 0)}
    rows = {("GET", "/", "200"): (5, 500), ("GET", "/", "007"): (1, 0), ("POST", "/a", "404"): (2, 30)}
    service = {
        series("ledger_commits_total"): 10,
        series("ledger_failures_total"): 1,
        series("build_info", version="1.2", scanner="native scanner, avx2"): 1,
    }
    assert samples(read(text, openmetrics=openmetrics)) == {
        **{
            series(f"http_{name}_total", log="access", method=method, route=route, status=status): count
            for (method, route, status), counts in rows.items()
            for name, count in zip(("requests", "response_bytes"), counts, strict=True)
        },
        **{
            series(name, log=log, **reason): values[place]
            for name, reason, values in (
                *((name, {}, values) for name, values in each_log.items()),
                *(("rejected_lines_total", {"reason": name}, values) for name, values in reasons.items()),
                *(("folded_requests_total", {"reason": name}, values) for name, values in folds.items()),
            )
            for place, log in enumerate(("access", "shop"))
        },
        series("rejected_lines_total", log="access", reason="not_http"): 1,
        series("last_line_age_seconds", log="access"): 1.5,
        series("output_failures_total", output="stdout"): 0,
        series("output_failures_total", output="textfile"): 3,
        **service,
    }
    # A service without a log yet can be told, too.
    text, _ = render(OVERVIEW._replace(logs=(), output_failures={}), openmetrics=openmetrics)
    assert samples(read(text, openmetrics=openmetrics)).keys() == service.keys()


def told_wrong(right: bytes, wrong: bytes) -> Render:
    def twin(overview: Overview, *, openmetrics: bool) -> tuple[bytes, str]:
        text, media_type = render(overview, openmetrics=openmetrics)
        return text.replace(right, wrong), media_type

    return twin


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "OpenMetrics"])
def test_each_family_has_its_type_and_says_what_it_is(openmetrics: bool) -> None:
    families = {
        family.name: family
        for family in read(render(OVERVIEW, openmetrics=openmetrics)[0], openmetrics=openmetrics)
    }
    gauges = {
        "qps_reporter_routes",
        "qps_reporter_rows",
        "qps_reporter_pending_bytes",
        "qps_reporter_last_line_age_seconds",
    }
    build = {"qps_reporter_build"} if openmetrics else {"qps_reporter_build_info"}
    for name, family in families.items():
        assert family.documentation
        if name in build:
            assert family.type == ("info" if openmetrics else "gauge")
        else:
            assert family.type == ("gauge" if name in gauges else "counter")
    assert families.keys() > gauges | build


# --- how slow

ROUTES = {b"/%d" % number: each for number, each in enumerate(DISTRIBUTIONS.values())}
LATENCIES = {
    LatencyKey(route, number): told(each[part::2])
    for route, each in ROUTES.items()
    for part, number in enumerate((2, 5))
    if each[part::2]
}
TIMED = OVERVIEW._replace(logs=(STANDING._replace(latencies=LATENCIES), OVERVIEW.logs[1]))


def check_buckets(by: str, bounds: tuple[int, ...], *, openmetrics: bool = False) -> None:
    """Each has what took at most so long, by the sorted list; and all else is told as without them."""
    plain = samples(read(render(TIMED, openmetrics=openmetrics)[0], openmetrics=openmetrics))
    text, _ = render(TIMED, openmetrics=openmetrics, histograms=Histograms(by, bounds))
    found = samples(read(text, openmetrics=openmetrics))
    expected: Samples = {}
    groups = [
        (
            {"route": key.route.decode(), "class": f"{key.status_class}xx"},
            [ROUTES[key.route][key.status_class > 2 :: 2]],
        )
        for key in LATENCIES
    ]
    if by == "log":
        parts = {2: 0, 5: 1}
        groups = [
            (
                {"class": f"{number}xx"},
                [each[parts[number] :: 2] for each in ROUTES.values() if number in parts],
            )
            for number in range(1, 6)
        ]
    for labels, lists in groups:
        durations = sorted(duration for each in lists for duration in each)
        labels = {"log": "access", **labels}
        for bound in bounds:
            le = repr(bound / 10**9)
            within = sum(duration <= bound for duration in durations)
            expected[series("http_request_duration_seconds_bucket", le=le, **labels)] = within
        expected[series("http_request_duration_seconds_bucket", le="+Inf", **labels)] = len(durations)
        expected[series("http_request_duration_seconds_count", **labels)] = len(durations)
        expected[series("http_request_duration_seconds_sum", **labels)] = sum(durations) / 10**9
    if by == "route":
        expected[series("latency_series")] = len(groups) * (len(bounds) + 3)
    expected = plain | expected
    # Some of what differs: to show thousands of series beside each other takes minutes.
    assert not [each for each in found.keys() | expected if found.get(each) != expected.get(each)][:3]


def check_too_many_series() -> None:
    """By route they are told as long as they are not too many, then by log; their number is told."""
    for keys, by_route in ((3571, True), (3572, False)):
        latencies = {LatencyKey(b"/%d" % number, 2): told([MILLI]) for number in range(keys)}
        many = OVERVIEW._replace(logs=(STANDING._replace(latencies=latencies),))
        text = render(many, histograms=Histograms("route"))[0].decode()
        assert ('route="/7"' in text.partition("duration")[2]) == by_route
        assert f"qps_reporter_latency_series {keys * 14}" in text
        total = text.count("http_request_duration_seconds_count{")
        assert total == (keys if by_route else 5)


WRONG = {
    "a status of one digit": told_wrong(b'status="007"', b'status="7"'),
    "another name": told_wrong(b"qps_reporter_routes", b"qps_reporter_paths"),
    "another number": told_wrong(b"} 77", b"} 78"),
}
EXCLUDED = [Patches((exposition, "bisect_left", bisect_right))]
test_promise, test_twin = promises(
    *(Promise(check_told, render, WRONG, label=f"{each}", openmetrics=each) for each in (False, True)),
    *(
        Promise(check_buckets, None, EXCLUDED, by=by, bounds=bounds, openmetrics=openmetrics)
        for by in ("log", "route")
        for bounds, openmetrics in ((BUCKETS, False), (BOUNDS[1:800:9], True))
    ),
    Promise(check_too_many_series, None, [Doubled("outputs.prometheus.exposition:LATENCY_SERIES_LIMIT")]),
)
