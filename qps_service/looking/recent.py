"""What one log had in the last minutes: the numbers of now, and how they came about.

Promise: a number is of whole windows, the newest that last SPAN together, and a rate is requests by the time
that these really took; requests of several logs are rates of their own, added. Memory is bounded by the
routes that the counting tells apart (counting/admission.py).

Times are nanoseconds of one clock that is never set.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from qps_service.text.escape import show
from qps_service.text.units import SECOND
from qps_service.values.latency import NO_LATENCY, SUM_LIMIT, Latency
from qps_service.values.past import CLASSES, NO_REQUESTS, Past
from qps_service.values.reports import Report

# What numbers are of: as long as a report's window is by default. Shorter jumps, longer hides what begins.
SPAN = 10 * SECOND
BIN = 10 * SECOND  # of a sparkline
BINS = 30  # of these: five minutes


class Sample(NamedTuple):
    """A window of one log, or several that follow each other."""

    ended: int
    length: int  # that really passed
    tallies: Mapping[str | None, Sequence[int]]  # name, as it is shown -> requests by class (CLASSES)
    latencies: Mapping[str | None, Latency]  # likewise


class Figures(NamedTuple):
    """The numbers of one route, or of a log, or of all logs."""

    name: str
    requests: int  # in the span
    classes: tuple[float, ...]  # requests per second by class (CLASSES)
    rate: float  # requests per second
    errors: int  # requests of `requests` that the server failed: 5xx
    latency: Latency
    spark: tuple[float | None, ...]  # requests per second in each bin, oldest first; None where nothing tells
    failed: bool  # whether there was a 5xx in any bin

    @property
    def error_share(self) -> float:
        """The part of the requests that the server failed."""
        return self.errors / self.requests if self.requests else 0.0

    def quantile(self, per_mille: int) -> int | None:
        """What so many of a thousand requests took at most, nanoseconds; None where nothing was measured."""
        return self.latency.quantile(per_mille)


_NOTHING = Figures("", 0, (0.0,) * len(CLASSES), 0.0, 0, NO_LATENCY, (None,) * BINS, failed=False)


class Numbers(NamedTuple):
    """Those of now."""

    seconds: float  # the span's real length
    whole: Figures
    rows: tuple[Figures, ...]  # by name

    @property
    def is_measured(self) -> bool:
        """Whether the log tells durations."""
        return bool(self.whole.latency.bins)


class Recent:
    """The windows of one log, as they come. What is kept by name is kept of all names together: of None."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._span: deque[Sample] = deque()  # those that SPAN needs, oldest first
        self._lengths: dict[int, float] = {}  # number of a bin -> nanoseconds that are known of it
        self._bins: dict[str | None, dict[int, float]] = {None: {}}  # number of a bin -> requests
        self._failed: dict[str | None, int] = {}  # the last bin with a 5xx
        self._forgotten = 0  # the last bin of which nothing is kept

    def take(self, sample: Sample) -> None:
        """The next one. One that is longer than a bin stands for all the bins that it covers."""
        whole = [sum(each) for each in zip(*sample.tallies.values(), strict=True)] or NO_REQUESTS
        sums = {**sample.tallies, None: whole}
        latencies = {**sample.latencies, None: merged(sample.latencies.values())}
        self._span.append(sample._replace(tallies=sums, latencies=latencies))
        while sum(each.length for each in self._span) - self._span[0].length >= SPAN:
            self._span.popleft()
        last, parts = _bin_of(sample.ended), max(1, round(sample.length / BIN))
        self._forget(last - BINS)
        for number in range(max(last - parts, last - BINS) + 1, last + 1):
            self._lengths[number] = self._lengths.get(number, 0) + sample.length / parts
            for name, classes in sums.items():
                bins = self._bins.setdefault(name, {})
                bins[number] = bins.get(number, 0) + sum(classes) / parts
        for name, classes in sums.items():
            if classes[4]:
                self._failed[name] = last

    def whole(self, now: int) -> Numbers:
        """Those of now, without rows; nothing in them while no window is recent."""
        last = _bin_of(now)
        self._forget(last - BINS)
        while self._span and now - self._span[0].ended > SPAN + self._span[0].length:
            self._span.popleft()
        length = sum(sample.length for sample in self._span)
        return Numbers(length / SECOND, self._figures(None, length, last), ())

    def numbers(self, now: int) -> Numbers:
        """The same, with rows."""
        numbers, last = self.whole(now), _bin_of(now)
        length = sum(sample.length for sample in self._span)
        names = sorted(name for name in self._bins if name is not None)
        return numbers._replace(rows=tuple(self._figures(name, length, last) for name in names))

    def _figures(self, name: str | None, length: int, last: int) -> Figures:
        found = [sample.tallies[name] for sample in self._span if name in sample.tallies]
        classes = [sum(each) for each in zip(*found, strict=True)] or NO_REQUESTS
        bins = self._bins[name]
        return Figures(
            name=self.name if name is None else name,
            requests=sum(classes),
            classes=tuple(_rate(each, length) for each in classes),
            rate=_rate(sum(classes), length),
            errors=classes[4],
            latency=merged(sample.latencies[name] for sample in self._span if name in sample.latencies),
            spark=tuple(
                _rate(bins.get(number, 0), self._lengths[number]) if number in self._lengths else None
                for number in range(last - BINS + 1, last + 1)
            ),
            failed=name in self._failed,
        )

    def _forget(self, last: int) -> None:
        """All bins up to this one, and names that have no other."""
        if last <= self._forgotten:
            return
        self._forgotten = last
        self._lengths = {number: length for number, length in self._lengths.items() if number > last}
        self._failed = {name: number for name, number in self._failed.items() if number > last}
        for name, bins in [*self._bins.items()]:
            kept = {number: requests for number, requests in bins.items() if number > last}
            if kept or name is None:
                self._bins[name] = kept
            else:
                del self._bins[name]


def sample_of(report: Report, ended: int) -> Sample:
    """A report's window."""
    tallies: dict[str | None, list[int]] = {}
    for row in report.rows:
        number = row.status // 100 - 1 if 100 <= row.status <= 599 else len(CLASSES) - 1
        tallies.setdefault(show(row.route), [*NO_REQUESTS])[number] += row.requests
    timed: dict[str | None, list[Latency]] = {}
    for key, latency in report.latencies.items():
        timed.setdefault(show(key.route), []).append(latency)
    latencies = {name: merged(each) for name, each in timed.items()}
    return Sample(ended, round(report.seconds * SECOND), tallies, latencies)


def samples_of(past: Past, until: int, ahead: int) -> Iterable[tuple[str, Sample]]:
    """What the ledger tells by route of the windows that end up to `until`, by log. `ahead` is how far its
    clock, Unix time, is ahead of ours."""
    for log, tallies in past.names.items():
        own = [period for period in past.periods if period.log == log and period.ended <= until]
        if own:
            classes: dict[str | None, Sequence[int]] = {
                name: tally.classes for name, tally in tallies.items()
            }
            length = sum(period.length for period in own)
            timed: dict[str | None, Latency] = {
                name: tally.latency for name, tally in tallies.items() if tally.latency.bins
            }
            yield log, Sample(max(period.ended for period in own) - ahead, length, classes, timed)


def together(name: str, all_numbers: Sequence[Numbers]) -> Numbers:
    """Several logs: one in each row, and their sum."""
    rows = [numbers.whole for numbers in all_numbers]
    logs = [_NOTHING, *rows]
    sparks = zip(*(log.spark for log in logs), strict=True)
    whole = Figures(
        name=name,
        requests=sum(log.requests for log in logs),
        classes=tuple(sum(rates) for rates in zip(*(log.classes for log in logs), strict=True)),
        rate=sum(log.rate for log in logs),
        errors=sum(log.errors for log in logs),
        latency=merged(log.latency for log in logs),
        spark=tuple(
            sum(known) if (known := [rate for rate in rates if rate is not None]) else None
            for rates in sparks
        ),
        failed=any(log.failed for log in logs),
    )
    return Numbers(max((numbers.seconds for numbers in all_numbers), default=0.0), whole, tuple(rows))


def merged(latencies: Iterable[Latency]) -> Latency:
    """All of them. `sum_of` goes through all bins there are: of a route's few windows, as the screen asks for
    each second, it takes more than twice as long."""
    bins: dict[int, int] = {}
    total = longest = 0
    for latency in latencies:
        for index, requests in latency.bins.items():
            bins[index] = bins.get(index, 0) + requests
        total, longest = total + latency.total, max(longest, latency.longest)
    return Latency(bins, min(total, SUM_LIMIT), longest) if bins else NO_LATENCY


def _bin_of(ended: int) -> int:
    return (ended - 1) // BIN


def _rate(requests: float, length: float) -> float:
    return requests * SECOND / length if length else 0.0
