"""What travels between counting and ledger: what one commit adds, what a start gets back."""

from collections.abc import Mapping
from typing import NamedTuple

from qps_service.values.counts import NOTHING_BESIDE, Beside, Counts, Key
from qps_service.values.latency import NO_LATENCIES, Latency, LatencyKey
from qps_service.values.positions import IgnoredFile, Position

# A loss is an event that somebody has to look into; a thousand of them tell no more than the last.
LOSSES_LIMIT = 1000  # of one log


# Some weeks of a log that rotates every hour; what rotates ten times a second fills its own part alone.
EVENTS_LIMIT = 1000  # of one log, or of the service itself
ALL_EVENTS_LIMIT = 10_000  # 2 MB at most, of a ledger that has 256 MiB by default
EVENT_TEXT_LIMIT = 300  # characters of an event's text that are kept; the journal has all of it
STARTED, STOPPED = "started", "stopped"  # events of the service; the others are called like their notices


class Event(NamedTuple):
    """Something that happened, to be seen beside the numbers later."""

    at: int  # Unix nanoseconds
    kind: str
    text: str  # for people
    log: str | None = None  # the name of the log that it happened to; None for the service itself


class PossibleLoss(NamedTuple):
    """Lines that may have been written and can't be counted."""

    what: str  # what happened, for people
    name: str  # path of the file
    bytes: int | None = None  # how many at most; None where nothing tells


class Loss(NamedTuple):
    """A possible loss, with its date: when it was committed."""

    at: int  # Unix nanoseconds
    what: str  # the rest as in PossibleLoss
    name: str
    bytes: int | None


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
    ignored: tuple[IgnoredFile, ...] | None = None  # all of them; None if they are the same as before
    losses: tuple[Loss, ...] = ()
    beside: Beside = NOTHING_BESIDE  # since the entry before
    format: str | None = None  # what `auto` chose for the log; None where it chose nothing
    was: str | None = None  # its name before: a log that the ledger has under that one goes on under this
    events: tuple[Event, ...] = ()  # of any log, and of the service
    latencies: Mapping[LatencyKey, Latency] = NO_LATENCIES  # since the entry before


class KnownLog(NamedTuple):
    """A log that the ledger has."""

    path: str
    at: int  # its last commit, Unix nanoseconds
    is_open: bool  # whether files of it were open then


class Restored(NamedTuple):
    """What the ledger knows of one log."""

    path: str
    held: tuple[Position, ...]  # open at the last commit
    retired: tuple[Position, ...]  # oldest first
    next_number: int  # for the next generation
    ignored: tuple[IgnoredFile, ...]
    totals: Mapping[Key, Counts]
    rejects: Mapping[str, int]  # reason -> lines, in total
    window: Mapping[Key, Counts]  # of the window that was never reported; part of `totals`
    window_rejects: Mapping[str, int]
    started: int  # when that window began, on today's CLOCK_BOOTTIME, nanoseconds; may be negative
    at: int  # the last commit, Unix nanoseconds
    rebooted: bool  # whether the machine was started anew since
    losses: tuple[Loss, ...]  # the latest, oldest first
    ended: int = 0  # when it was at `at`, CLOCK_BOOTTIME nanoseconds of that boot
    beside: Beside = NOTHING_BESIDE  # in total
    window_beside: Beside = NOTHING_BESIDE
    format: str | None = None  # as in Entry
    lost_at: tuple[int, ...] = ()  # when each of `losses` was told, on today's CLOCK_BOOTTIME, nanoseconds
    was: str | None = None  # the name that it has in the ledger, where that is its former one
    latencies: Mapping[LatencyKey, Latency] = NO_LATENCIES  # in total
    window_latencies: Mapping[LatencyKey, Latency] = NO_LATENCIES  # of the window that was never reported
