"""What is asked of the ledger's history, and what it answers. Times are Unix nanoseconds."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from qps_service.values.counts import Key
from qps_service.values.entries import Event
from qps_service.values.latency import NO_LATENCY, Latency, LatencyKey, sum_of

CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx", "other")
NAMES = ("route", "status", "method")  # what requests can be told apart by, but for time

NO_REQUESTS = (0,) * len(CLASSES)


QUANTILES = {"p50": 500, "p95": 950, "p99": 990}  # per mille


class Question(NamedTuple):
    """Which part of the history, and what of it."""

    since: int
    until: int
    step: int  # nanoseconds that are to be told apart
    takes_log: Callable[[str], bool] = lambda _: True
    takes: Callable[[Key], bool] | None = None  # which requests count; None for all
    by: str | None = None  # one of NAMES; None for time
    # Which requests' durations count; None where they are not told apart so: by method, or by a whole status.
    takes_latency: Callable[[LatencyKey], bool] | None = lambda _: True
    parts: int = 0  # of the span, equal ones, that are to be told apart for each name, too

    @property
    def has_latency(self) -> bool:
        """Whether the answer has durations: they are kept by route and class of status."""
        return self.takes_latency is not None and self.by in (None, "route")


class Tally(NamedTuple):
    """Requests by the class of their status, and their bytes."""

    classes: tuple[int, ...] = NO_REQUESTS  # as in CLASSES
    bytes: int = 0
    latency: Latency = NO_LATENCY  # of those whose log tells it

    @property
    def requests(self) -> int:
        """In all."""
        return sum(self.classes)

    @property
    def errors(self) -> int:
        """Those that the server failed: 5xx."""
        return self.classes[4]

    def plus(self, *others: "Tally") -> "Tally":
        """The sum of all."""
        tallies = (self, *others)
        timed = [each.latency for each in tallies if each.latency.bins]
        return Tally(
            tuple(map(sum, zip(*(each.classes for each in tallies), strict=True))),
            sum(each.bytes for each in tallies),
            sum_of(timed) if len(timed) > 1 else (*timed, NO_LATENCY)[0],
        )


class Period(NamedTuple):
    """A window of one log, or several that were merged into one."""

    log: str
    sequence: int  # of the report; of a merged one, that of the last
    started: int  # as far before the end as it was long
    ended: int  # what the wall clock showed
    grain: int  # nanoseconds that it was merged to; 0 for a window
    rejected: int  # lines
    unmeasured: int  # requests whose size the log does not tell
    tally: Tally  # of the requests that count

    @property
    def length(self) -> int:
        """Nanoseconds that really passed."""
        return self.ended - self.started


class Past(NamedTuple):
    """The answer, of one commit."""

    logs: tuple[str, ...]  # that were asked for
    periods: tuple[Period, ...]  # by their end
    names: dict[str, dict[str, Tally]]  # log -> name -> its requests in these periods, where that was asked
    events: tuple[Event, ...]  # of these logs and of the service, from the first period's start on
    begins: int | None  # when the oldest window of these logs began; None without one
    ends: int | None  # when the newest one ended
    lacks_latency: bool = False  # whether durations are known, and not told apart as it was asked
    # Log -> name -> requests in each part, where that was asked; a period is in the part in which it ends.
    trends: Mapping[str, Mapping[str, tuple[int, ...]]] = MappingProxyType({})


class LogStanding(NamedTuple):
    """How one log stands at the last commit."""

    name: str
    path: str
    format: str | None  # that `auto` chose
    at: int  # of its last commit
    requests: int  # in all
    rejected: int  # lines, in all
    losses: int  # possible ones, of those that are kept
    lost_at: int | None  # the last of them
    slowest: tuple[tuple[str, Latency], ...] = ()  # routes lately, the slowest by p95 first


class Standing(NamedTuple):
    """How everything stands at the last commit."""

    logs: tuple[LogStanding, ...]
    started: int | None  # when the service was started last
    stopped: int | None  # likewise
    past: Past  # the recent
    events: tuple[Event, ...]  # the last ones, oldest first
