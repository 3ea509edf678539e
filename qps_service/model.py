"""The values that travel from the log to the report. Frozen, and free of files, clocks and sockets.

What came from the log stays bytes: two routes that differ in one invalid byte are two routes.
`qps_service.text.escape` turns them into text where they are shown.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

OTHER = b"other"  # the name of what is not told apart; no path is called so, it would begin with a slash


class Key(NamedTuple):
    """What a request is counted under."""

    method: bytes
    route: bytes
    status: int  # 0..999, as three digits in the log


class Counts(NamedTuple):
    """What is counted."""

    requests: int
    bytes: int  # sum of the response sizes that the log states

    def plus(self, other: "Counts") -> "Counts":
        """The sum of both."""
        return Counts(self.requests + other.requests, self.bytes + other.bytes)


class Sample(NamedTuple):
    """One rejected line, to show what is being rejected."""

    reason: str
    line: bytes  # its first SAMPLE_LIMIT bytes


class Scanned(NamedTuple):
    """What a scanner found since it was last asked. `lines` = requests counted + lines rejected."""

    lines: int
    # Method, target, status, requests, bytes. A target is what the log has, up to the query unless that is
    # kept; it is empty where the query is all there was.
    rows: Sequence[tuple[bytes, bytes, int, int, int]]
    rejects: Mapping[str, int]  # reason -> lines
    sample: Sample | None  # the first rejected line
    # Where times were asked for: requests by the first digit of their status, by the Unix second in which the
    # span of time began; None for requests whose time can't be read.
    times: Mapping[int | None, Sequence[int]] = MappingProxyType({})

    @property
    def counts(self) -> Mapping[Key, Counts]:
        """The rows by what they are counted under."""
        return {Key(*row[:3]): Counts(*row[3:]) for row in self.rows}


class Window(NamedTuple):
    """One log's counts between two reports."""

    log: str
    started: int  # CLOCK_BOOTTIME nanoseconds
    ended: int  # CLOCK_BOOTTIME nanoseconds
    counts: Mapping[Key, Counts]
    rejects: Mapping[str, int]  # reason -> lines

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


class Standing(NamedTuple):
    """How one log stands: everything counted so far, for what keeps counters of its own."""

    log: str
    counts: Mapping[Key, Counts]  # since the ledger began
    rejects: Mapping[str, int]  # reason -> lines, likewise
    rotations: int  # seen by this process
    losses: int  # possible ones, told by this process
    loss_bytes: int  # how many bytes they had at most, where that is known
    folded: int  # requests that OTHER got in this process because their route had no place
    routes: int  # told apart
    pending: int  # bytes that are there and are not counted: of a backlog, or of a line without its end
    last_line_age: float | None  # seconds since this process last read a line; None before the first
    waiting: str | None = None  # why it is not followed; None if it is

    @property
    def lines(self) -> int:
        """Read in all: counted as requests, or rejected."""
        return sum(counts.requests for counts in self.counts.values()) + sum(self.rejects.values())


class Overview(NamedTuple):
    """How all logs stand at one moment, and the service itself. It is read at once: the counts go on."""

    logs: tuple[Standing, ...]  # in the configuration's order
    commits: int  # to the ledger, by this process
    commit_failures: int  # likewise
    output_failures: Mapping[str, int]  # by output, likewise
    version: str
    scanner: str  # as `--version` names it
    is_written: bool = True  # whether the ledger, if there is one, has all that was committed


class Identity(NamedTuple):
    """What tells one file from another under the same name.

    `version` is the inode's generation number (FS_IOC_GETVERSION), which ext4, xfs and btrfs draw
    anew each time they reuse an inode number; None where the file system tells none.
    """

    device: int
    inode: int
    version: int | None


class Position(NamedTuple):
    """How far a generation has been consumed; enough to go on later, or to notice that one cannot."""

    identity: Identity
    name: str  # where it was last seen
    offset: int  # bytes consumed, always at the start of a line unless `oversize`
    prefix: bytes  # the file's first bytes, at most PREFIX_LIMIT, never beyond `offset`
    marker: bytes  # the bytes right before `offset`, at most MARKER_LIMIT
    oversize: bool  # inside a line over the limit, whose rest is still to be skipped
    marks: bytes = b""  # digests of what stands before fixed places up to `offset` (fingerprint.py)
    number: int = 0  # of the generation within its log, from 1; 0 before it is given one
    begun: int = 0  # what stands before this byte was there before our time, and is not counted
    lines: int = 0  # read of it so far: requests and rejected ones
    rejected: int = 0  # of these lines
    modified: int = 0  # st_mtime when it was last read, nanoseconds
    unended: int = 0  # how many more lines than newlines were read of it (generations.py tells why)


class Stranger(NamedTuple):
    """A file beside the log that is not to be read: a copy, a backup, older than our time."""

    device: int
    inode: int
    version: int | None  # as in Identity
    changed: int  # st_ctime at the last look, nanoseconds


class Loss(NamedTuple):
    """Lines that may have been written and can't be counted."""

    at: int  # Unix nanoseconds
    what: str  # what happened, for people
    name: str  # path of the file
    bytes: int | None  # how many at most; None where nothing tells


class Entry(NamedTuple):
    """What one commit adds to the ledger for one log: all of it, or nothing."""

    log: str  # its name
    path: str  # what it is followed by
    sequence: int  # of the report whose window this belongs to; 0 for what enters no window
    started: int  # when that window began, CLOCK_BOOTTIME nanoseconds
    ended: int  # up to when the log was read, CLOCK_BOOTTIME nanoseconds
    at: int  # the same moment in Unix nanoseconds
    counts: Mapping[Key, Counts]  # since the entry before
    rejects: Mapping[str, int]  # likewise; reason -> lines
    held: tuple[Position, ...]  # every generation that is open now
    retired: tuple[Position, ...]  # generations let go since the entry before
    forgotten: tuple[int, ...] = ()  # numbers of generations that are not to be remembered any longer
    strangers: tuple[Stranger, ...] | None = None  # all of them; None if they are the same as before
    losses: tuple[Loss, ...] = ()


class Restored(NamedTuple):
    """What the ledger knows of one log."""

    path: str
    held: tuple[Position, ...]  # open at the last commit
    retired: tuple[Position, ...]  # oldest first
    next_number: int  # for the next generation
    strangers: tuple[Stranger, ...]
    totals: Mapping[Key, Counts]
    rejects: Mapping[str, int]  # reason -> lines, in total
    window: Mapping[Key, Counts]  # of the window that was never reported; part of `totals`
    window_rejects: Mapping[str, int]
    started: int  # when that window began, on today's CLOCK_BOOTTIME, nanoseconds; may be negative
    at: int  # the last commit, Unix nanoseconds
    rebooted: bool  # whether the machine was started anew since
    losses: tuple[Loss, ...]  # the latest, oldest first
    ended: int = 0  # when it was at `at`, CLOCK_BOOTTIME nanoseconds of that boot


PREFIX_LIMIT = 1024  # bytes; enough lines to differ, small enough to keep for hundreds of generations
MARKER_LIMIT = 64  # bytes re-read before each read; a truncated and regrown log differs in them
SAMPLE_LIMIT = 256  # bytes of a rejected line that are worth showing
