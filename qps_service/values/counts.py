"""What is counted, and under what; what a scanner hands over; why a line is no request."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

# Why a line is rejected; the first that applies, in this order. Ledgers have lines of `not_http` and `bytes`
# from when those were reasons.
TOO_LONG = "too_long"  # it is longer than the limit
FIELDS = "fields"  # it does not have the format's shape up to the status
STATUS = "status"  # it is neither three digits nor what stands for none
REASONS = (FIELDS, STATUS, TOO_LONG)

# The name of what is not told apart. No path is called so, it would begin with a slash; what a client does
# call so is not told apart, either.
OTHER = b"other"
UNREAD = b"-"  # the method and the route of what the server could not read

# Why a request is counted under a wider name: its route, since max_routes are told apart, or since there is
# no room for its rows; its method, since there is no room; its method or status, since it is invented.
MAX_ROUTES, MAX_ROWS, METHODS, INVENTED = FOLDS = ("max_routes", "max_rows", "methods", "invented")


class Key(NamedTuple):
    """What a request is counted under."""

    method: bytes
    route: bytes
    status: int  # 0..999; 0 where nothing was answered


class Counted(Protocol):
    """What a Key and a report's Row have in common."""

    @property
    def method(self) -> bytes: ...
    @property
    def route(self) -> bytes: ...
    @property
    def status(self) -> int: ...


class Counts(NamedTuple):
    """What is counted."""

    requests: int
    bytes: int  # sum of the response sizes that the log states

    def plus(self, other: "Counts") -> "Counts":
        """The sum of both."""
        return Counts(self.requests + other.requests, self.bytes + other.bytes)


class Beside(NamedTuple):
    """What is counted beside requests by their key and rejected lines by their reason."""

    unmeasured: int = 0  # requests whose size the log does not tell; it is 0 in the sums
    directives: int = 0  # lines that tell the format of those that follow: neither requests nor rejected

    def plus(self, other: "Beside") -> "Beside":
        """The sum of both."""
        return Beside(self.unmeasured + other.unmeasured, self.directives + other.directives)


NOTHING_BESIDE = Beside()


class Sample(NamedTuple):
    """One rejected line, to show what is being rejected."""

    reason: str
    line: bytes  # its first SAMPLE_LIMIT bytes


class Scanned(NamedTuple):
    """What a scanner found since it was last asked. `lines` = requests + rejects + directives."""

    lines: int
    # Method, target, status, requests, bytes. A target is what the log has, up to the query unless that is
    # kept; it is empty where the query is all there was. Where hosts are kept, one and a blank are before it.
    rows: Sequence[tuple[bytes, bytes, int, int, int]]
    rejects: Mapping[str, int]  # reason -> lines
    sample: Sample | None  # the first rejected line
    # Where times were asked for: requests by the first digit of their status, by the Unix second in which the
    # span of time began; None for requests whose time can't be read.
    times: Mapping[int | None, Sequence[int]] = MappingProxyType({})
    unmeasured: int = 0  # as in Beside
    directives: int = 0  # likewise
    # Of each row the bins, the sum and the longest of its durations, as a Latency has them, or None where it
    # has none; no items at all where no row has any.
    latencies: Sequence[tuple[Mapping[int, int], int, int] | None] = ()

    @property
    def beside(self) -> Beside:
        """What is counted beside the rows and the rejects."""
        return Beside(self.unmeasured, self.directives)

    @property
    def counts(self) -> Mapping[Key, Counts]:
        """The rows by what they are counted under."""
        return {Key(*row[:3]): Counts(*row[3:]) for row in self.rows}


SAMPLE_LIMIT = 256  # bytes of a rejected line that are worth showing
