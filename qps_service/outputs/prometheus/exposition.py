"""What Prometheus is told, whoever carries it: an overview as metric families, and these as text.

Promises: what is counted of lines goes on where the last process ended, since the ledger has it, and never
back; series differ where routes do, whatever bytes these hold; no counter has a second series that tells when
it began.

The formats are prometheus_client's: the text format 0.0.4, and OpenMetrics 1.0
(https://prometheus.io/docs/instrumenting/exposition_formats/). Only who wants them loads this module.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, islice
from types import MappingProxyType
from typing import NamedTuple

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from qps_service.text.escape import show
from qps_service.text.units import SECOND, format_size
from qps_service.values.counts import FOLDS, REASONS, Counts, Key
from qps_service.values.latency import BEYOND, BOUNDS, BUCKETS, BY_LOG, BY_ROUTE, NOT_TOLD, Latency
from qps_service.values.reports import Overview, Standing

# One spelling of what scrapers may accept each: what others write must not choose among many renderings.
OPENMETRICS = "application/openmetrics-text"
_ACCEPT = {True: f"{OPENMETRICS}; version=1.0.0", False: ""}
_END = {True: b"# EOF\n", False: b""}
# Samples that are written at once. The library takes some kilobytes for each, beside its text.
_AT_ONCE = 500
_HEAD = 2  # lines before a family's samples: its HELP and TYPE
DURATIONS = "http_request_duration_seconds"
_BESIDE_BUCKETS = 3  # series of a histogram besides its bounds: +Inf, the sum, the count
# Series of durations by route, of all logs: with the default bounds those of 1,000 routes with three classes
# of status. They are counted before they are made.
LATENCY_SERIES_LIMIT = 50_000

_ROW = ("log", "method", "route", "status")
# Family, what it is, its value (None: not known yet); of each log. Rejected lines are a counter beside these.
LogNumbers = tuple[tuple[str, str, Callable[[Standing], float | None]], ...]
COUNTERS: LogNumbers = (
    ("lines", "Lines read: requests, rejected ones and directives", lambda log: log.lines),
    (
        "directive_lines",
        "Lines that told the format of others, as #Fields does",
        lambda log: log.beside.directives,
    ),
    (
        "requests_without_size",
        "Requests whose response size the log does not tell",
        lambda log: log.beside.unmeasured,
    ),
    ("rotations", "Rotations of the log seen by this process", lambda log: log.rotations),
    ("possible_losses", "Times that lines may have been lost, told by this process", lambda log: log.losses),
    ("possible_loss_bytes", "How many bytes these had at most, where known", lambda log: log.loss_bytes),
)
GAUGES: LogNumbers = (
    ("routes", "Routes told apart", lambda log: log.routes),
    ("rows", "Rows told apart: methods of routes with a status", lambda log: len(log.counts)),
    ("pending_bytes", "Bytes that are there and not yet counted", lambda log: log.pending),
    ("last_line_age_seconds", "Time since a line was last read", lambda log: log.last_line_age),
)


class Histograms(NamedTuple):
    """How durations are told."""

    by: str = BY_LOG  # one of HISTOGRAMS
    bounds: tuple[int, ...] = BUCKETS  # of the buckets, nanoseconds, in order


class _Buckets:
    """Durations in buckets, summed as they come."""

    def __init__(self, bounds: tuple[int, ...], bucket_of: Sequence[int]) -> None:
        """`bucket_of` has for each bin the index of the first bound that is not below it."""
        self._bounds, self._bucket_of = bounds, bucket_of
        self._requests = [0] * (len(bounds) + 1)
        self._total = 0

    def add(self, latency: Latency) -> None:
        """Add what was measured."""
        for index, requests in latency.bins.items():
            self._requests[self._bucket_of[index]] += requests
        self._total += latency.total

    def add_to(self, family: HistogramMetricFamily, *labels: str) -> None:
        """As samples: each bucket has what is in those below it, too."""
        names = (*(repr(bound / SECOND) for bound in self._bounds), "+Inf")
        buckets = list(zip(names, accumulate(self._requests), strict=True))
        family.add_metric(labels, buckets, self._total / SECOND)


class Families:
    """An overview as families."""

    def __init__(self, overview: Overview, histograms: Histograms = Histograms()) -> None:  # noqa: B008 - frozen
        self._overview = overview
        self._histograms = histograms
        by, bounds = histograms
        # Series of durations, as many as `by` asks for, and by what they are told.
        self._series = sum(len(log.latencies) for log in overview.logs) if by == BY_ROUTE else 0
        self._series *= len(bounds) + _BESIDE_BUCKETS
        self._by_route = by == BY_ROUTE and self._series <= LATENCY_SERIES_LIMIT

    def __iter__(self) -> Iterator[Metric]:
        """One after the other; those that follow one of the same name are its further samples."""
        overview = self._overview
        yield from self._rows("http_requests", "Requests", lambda counts: counts.requests)
        yield from self._rows("http_response_bytes", "Sum of the response sizes", lambda counts: counts.bytes)
        if self._histograms.by != NOT_TOLD:
            yield from self._durations()
            if self._histograms.by == BY_ROUTE:
                text = "Series that durations by route take; with too many they are told by log"
                yield _gauge("latency_series", text, value=self._series)
        for name, text, value in COUNTERS:
            yield self._of_logs(_counter(name, text, "log"), value)
        yield self._rejected()
        yield self._folded()
        for name, text, value in GAUGES:
            yield self._of_logs(_gauge(name, text, "log"), value)
        yield _counter("ledger_commits", "Commits to the ledger by this process", value=overview.commits)
        yield _counter(
            "ledger_failures", "Commits that the ledger did not take", value=overview.commit_failures
        )
        failures = _counter("output_failures", "What an output could not deliver", "output")
        for output, number in overview.output_failures.items():
            failures.add_metric((output,), number)
        yield failures
        about = {"version": overview.version, "scanner": overview.scanner}
        yield InfoMetricFamily("qps_reporter_build", "The program's version, and its scanner", value=about)

    def _rows(self, name: str, text: str, value: Callable[[Counts], int]) -> Iterator[Metric]:
        rows = chain.from_iterable(_rows_of(log) for log in self._overview.logs)
        while True:
            family = _counter(name, f"{text}, by route and status, since the ledger began", *_ROW)
            for log, key, counts in islice(rows, _AT_ONCE):
                family.add_metric((log, show(key.method), show(key.route), f"{key.status:03}"), value(counts))
            yield family
            if len(family.samples) < _AT_ONCE:
                return

    def _durations(self) -> Iterator[Metric]:
        bounds = self._histograms.bounds
        bucket_of = [bisect_left(bounds, bound) for bound in (*BOUNDS, BEYOND)]
        told = self._latencies_by_route() if self._by_route else self._latencies_by_log()
        labels = ("log", "route", "class") if self._by_route else ("log", "class")
        text = "How long requests took, by class of status, since the ledger began; those whose log tells it"
        at_once = max(1, _AT_ONCE // (len(bounds) + _BESIDE_BUCKETS))
        while some := list(islice(told, at_once)):
            family = HistogramMetricFamily(f"qps_reporter_{DURATIONS}", text, labels=labels)
            for names, latencies in some:
                buckets = _Buckets(bounds, bucket_of)
                for latency in latencies:
                    buckets.add(latency)
                buckets.add_to(family, *names)
            yield family

    def _latencies_by_route(self) -> Iterator[tuple[tuple[str, ...], Iterable[Latency]]]:
        for log in self._overview.logs:
            for key, latency in log.latencies.items():
                yield (log.log, show(key.route), f"{key.status_class}xx"), (latency,)

    def _latencies_by_log(self) -> Iterator[tuple[tuple[str, ...], Iterable[Latency]]]:
        """Each ordinary class from the beginning, where the log tells durations: what begins at a number
        other than 0 is in no increase()."""
        for log in self._overview.logs:
            classes: dict[int, list[Latency]] = {each: [] for each in range(1, 6)} if log.latencies else {}
            for key, latency in log.latencies.items():
                classes.setdefault(key.status_class, []).append(latency)
            for number, latencies in classes.items():
                yield (log.log, f"{number}xx"), latencies

    def _of_logs(
        self, family: CounterMetricFamily | GaugeMetricFamily, value: Callable[[Standing], float | None]
    ) -> Metric:
        for log in self._overview.logs:
            if (number := value(log)) is not None:
                family.add_metric((log.log,), number)
        return family

    def _rejected(self) -> Metric:
        """Each reason from the beginning: what begins at a number other than 0 is in no increase()."""
        family = _counter("rejected_lines", "Lines that were no requests, by reason", "log", "reason")
        for log in self._overview.logs:
            for reason in dict.fromkeys((*REASONS, *log.rejects)):
                family.add_metric((log.log, reason), log.rejects.get(reason, 0))
        return family

    def _folded(self) -> Metric:
        """Likewise."""
        text = "Requests that this process counted under a wider route, method or status, by reason"
        family = _counter("folded_requests", text, "log", "reason")
        for log in self._overview.logs:
            for reason in FOLDS:
                family.add_metric((log.log, reason), log.folded.get(reason, 0))
        return family


class _One(Collector):
    """One family for the library's encoders."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        """It."""
        yield self._family


def media_type(*, openmetrics: bool = False) -> str:
    """What the text is called."""
    return choose_encoder(_ACCEPT[openmetrics])[1]


def pieces(
    overview: Overview,
    *,
    openmetrics: bool = False,
    labels: Mapping[str, str] = MappingProxyType({}),
    histograms: Histograms = Histograms(),  # noqa: B008 - frozen
) -> Iterator[bytes]:
    """The text, in OpenMetrics or the text format, in pieces of some hundred lines. Each series has these
    `labels`, too."""
    encode, _ = choose_encoder(_ACCEPT[openmetrics])
    before = None
    for family in Families(overview, histograms):
        for sample in family.samples:
            sample.labels.update(labels)
        text = encode(_One(family)).removesuffix(_END[openmetrics])
        if family.name == before:
            text = text.split(b"\n", _HEAD)[_HEAD]
        before = family.name
        yield text
    yield _END[openmetrics]


class TooLarge(Exception):  # noqa: N818  it may fit tomorrow
    """The text would be larger than it may be; says so, for people."""


def within(most: int, text: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces, as long as all together have no more bytes than that. Raises TooLarge."""
    size = 0
    for piece in text:
        size += len(piece)
        if size > most:
            raise TooLarge(f"the metrics are more than max_answer = {format_size(most)}")
        yield piece


def _rows_of(log: Standing) -> Iterator[tuple[str, Key, Counts]]:
    for key, counts in log.counts.items():
        yield log.log, key, counts


def _counter(name: str, text: str, *labels: str, value: int | None = None) -> CounterMetricFamily:
    return CounterMetricFamily(f"qps_reporter_{name}", text, value=value, labels=labels or None)


def _gauge(name: str, text: str, *labels: str, value: int | None = None) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"qps_reporter_{name}", text, value=value, labels=labels or None)
