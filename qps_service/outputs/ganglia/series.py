"""What Ganglia is told: the series that are alive, and which of them are to be announced. Pure.

A series is a route with one status, methods summed out, or all requests of a log; and how long these took,
one of three quantiles, where it tells: 0 in a window in which none was measured. Promise: it lives from its
first request to some windows after its last, in which it is 0, so that gmond keeps no stale rate; then
nothing more is sent of it, and gmond forgets it. A log that is new here brings to life all that the ledger
knows of it: what the process before this one told may be stale too, and the counters are there at once.

gmond forgets a metric `dmax` seconds after it was last announced, however many values came since, and shows
no value of one that was not announced since its own start. So all are announced again and again: in each
window those whose turn it is, equally many, and new ones in bounded numbers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from qps_service.outputs.ganglia.names import name_of
from qps_service.reporting.report import TOLD_QUANTILES, quantiles, summed
from qps_service.values.reports import Report, Standing

# How many windows a series without requests is sent: more than one, because datagrams get lost.
ZEROS = 6


class Series:
    """One of them, as it stood at the last report."""

    __slots__ = ("idle", "log", "name", "quantile", "rate", "route", "status", "total")

    def __init__(self, log: str, route: bytes | None = None, status: int = 0, quantile: int = 0) -> None:
        self.log, self.route, self.status = log, route, status
        self.quantile = quantile  # per mille; 0 where it is a rate
        self.name = name_of(log, route, status, quantile)
        self.rate = 0.0  # requests per second; of a quantile, seconds
        self.total = 0  # requests since the ledger began
        self.idle = 0  # windows since its last request


class LiveSeries:
    """Iterates over all that are alive."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, bytes | None, int, int], Series] = {}
        self._logs: set[str] = set()  # those of the last reports

    def __len__(self) -> int:
        return len(self._series)

    def __iter__(self) -> Iterator[Series]:
        return iter(self._series.values())

    def update(self, reports: Sequence[Report], standings: Iterable[Standing]) -> None:
        """Take in a window's reports, and the totals with them."""
        reported, standings = {report.log for report in reports}, tuple(standings)
        totals = {standing.log: standing for standing in standings if standing.log in reported}
        awaited = {standing.log for standing in standings} - reported  # they have a report another time
        for series in self:
            if series.log not in awaited:
                series.rate = 0.0
                series.idle += 1
        for report in reports:
            self._series_of(report.log).rate = report.rate
            for part, seconds in quantiles(report).items():
                self._series_of(report.log, quantile=part).rate = seconds
            for row in summed(report):
                self._series_of(report.log, row.route, row.status).rate = row.rate
            if report.log in totals and report.log not in self._logs:
                for key in totals[report.log].counts:
                    self._series_of(report.log, key.route, key.status)
                for part in TOLD_QUANTILES if totals[report.log].latencies else ():
                    self._series_of(report.log, quantile=part)
        self._logs = reported | (self._logs & awaited)
        self._series = {key: series for key, series in self._series.items() if series.idle <= ZEROS}
        self._sum(totals)

    def _series_of(self, log: str, route: bytes | None = None, status: int = 0, quantile: int = 0) -> Series:
        """It lives from now on."""
        key = (log, route, status, quantile)
        if not (series := self._series.get(key)):
            series = self._series[key] = Series(*key)
        series.idle = 0
        return series

    def _sum(self, totals: Mapping[str, Standing]) -> None:
        """Take over what was counted, by log. That of a log that has gone stays as it was."""
        for series in self:
            if series.log in totals:
                series.total = 0
        for log, standing in totals.items():
            for key, counts in standing.counts.items():
                if found := self._series.get((log, key.route, key.status, 0)):
                    found.total += counts.requests
                self._series[log, None, 0, 0].total += counts.requests


class Announcements:
    """Which series one gmond is told of in a window, and in which order."""

    def __init__(self, turn: int, news: int) -> None:
        """In `turn` windows each has its turn; at most `news` new ones are announced in one."""
        self._turn = turn
        self._news = news
        self._told: dict[Series, None] = {}  # the one whose turn is next first

    def forget(self) -> None:
        """Whoever listens may know none of them."""
        self._told = {}

    def count(self, live: int) -> int:
        """How many of so many are announced in the next window, at most."""
        return min(live, self._due + self._news)

    @property
    def _due(self) -> int:
        return -(-len(self._told) // self._turn)

    def window(self, live: Iterable[Series]) -> Iterator[tuple[Series, bool]]:
        """All of them, each with whether it is to be announced; these come first. What is not taken from here
        was not announced, and its turn is still to come."""
        alive = dict.fromkeys(live)
        self._told = {series: None for series in self._told if series in alive}
        told, new = list(self._told), [series for series in alive if series not in self._told]
        due = self._due
        for series in (*new[: self._news], *told[:due]):
            self._told.pop(series, None)
            self._told[series] = None
            yield series, True
        for series in (*told[due:], *new[self._news :]):
            yield series, False
