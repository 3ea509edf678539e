"""What is reported: a log's window, the report made of it, and how everything stands."""

from collections.abc import Mapping
from typing import NamedTuple

from qps_service.values.counts import NOTHING_BESIDE, Beside, Counts, Key
from qps_service.values.entries import Loss
from qps_service.values.latency import NO_LATENCIES, Latency, LatencyKey


class Window(NamedTuple):
    """One log's counts between two reports."""

    log: str
    started: int  # CLOCK_BOOTTIME nanoseconds
    ended: int  # CLOCK_BOOTTIME nanoseconds
    counts: Mapping[Key, Counts]
    rejects: Mapping[str, int]  # reason -> lines
    beside: Beside = NOTHING_BESIDE
    latencies: Mapping[LatencyKey, Latency] = NO_LATENCIES  # of the requests that have a duration

    @property
    def seconds(self) -> float:
        """The time that really passed."""
        return (self.ended - self.started) / 1e9


class Row(NamedTuple):
    """One line of a report before methods are summed out of it."""

    method: bytes
    route: bytes
    status: int
    requests: int
    bytes: int
    rate: float  # requests per second over the window's real length


class Report(NamedTuple):
    """A window made ready for rendering; rows are sorted by route, status, method."""

    log: str
    named: bool  # whether the text names the log: it does where several are followed
    sequence: int  # 1 for the ledger's first report; without a ledger, for the process's first
    at: int  # Unix seconds, for the date only
    seconds: float
    requests: int
    rate: float
    rejected: int
    rows: tuple[Row, ...]
    losses: tuple["Loss", ...] = ()  # the recent ones, oldest first
    beside: Beside = NOTHING_BESIDE
    waiting: str | None = None  # why the log is not followed; None if it is
    latencies: Mapping[LatencyKey, Latency] = NO_LATENCIES  # by route and class, as rows are sorted
    shows_latency: bool = False  # whether the text tells durations, wherever it goes

    @property
    def is_empty(self) -> bool:
        """Whether the log said nothing: no request, and no line that is none."""
        return not (self.requests or self.rejected)


class Standing(NamedTuple):
    """How one log stands: everything counted so far, for what keeps counters of its own."""

    log: str
    counts: Mapping[Key, Counts]  # since the ledger began
    rejects: Mapping[str, int]  # reason -> lines, likewise
    rotations: int  # seen by this process
    losses: int  # possible ones, told by this process
    loss_bytes: int  # how many bytes they had at most, where that is known
    folded: Mapping[str, int]  # requests that a wider name got in this process, by reason (one of FOLDS)
    routes: int  # told apart
    pending: int  # bytes behind the last counted one, to the log's end: a backlog, or a line without its end
    last_line_age: float | None  # seconds since this process last read a line; None before the first
    waiting: str | None = None  # why it is not followed; None if it is
    beside: Beside = NOTHING_BESIDE  # since the ledger began
    latencies: Mapping[LatencyKey, Latency] = NO_LATENCIES  # likewise

    @property
    def lines(self) -> int:
        """Read in all: counted as requests, rejected, or directives."""
        requests = sum(counts.requests for counts in self.counts.values())
        return requests + sum(self.rejects.values()) + self.beside.directives


class Overview(NamedTuple):
    """How all logs stand at one moment, and the service itself. It is read at once: the counts go on."""

    logs: tuple[Standing, ...]  # in the configuration's order
    commits: int  # to the ledger, by this process
    commit_failures: int  # likewise
    output_failures: Mapping[str, int]  # by output, likewise
    version: str
    scanner: str  # as `--version` names it
    is_written: bool = True  # whether the ledger, if there is one, has all that was committed
