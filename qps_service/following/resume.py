"""What an earlier process left of a log: what is known of it, what is still open, what was there."""

from typing import NamedTuple

from qps_service.text.units import SECOND
from qps_service.values.entries import Restored

SKEW = 60 * SECOND  # nanoseconds, by which a file server's clock may be ahead of ours


class InheritedFile(NamedTuple):
    """A log's file that systemd kept for us while nobody ran."""

    descriptor: int
    begun: int  # the byte from which on it is ours


class Resume(NamedTuple):
    """Where a follower goes on."""

    restored: Restored | None = None  # what the ledger knows
    handed: tuple[InheritedFile, ...] = ()  # what systemd kept; they are the follower's to close
    since: int = 0  # st_mtime, nanoseconds: what was written no later was there when that process ended
    # Unix nanoseconds where CLOCK_BOOTTIME is 0; None if no file's time is to be told: nobody knows, or the
    # clock was set since the last commit.
    epoch: int | None = None

    @classmethod
    def at(cls, restored: Restored | None, now: int, at: int) -> "Resume":
        """At this moment, CLOCK_BOOTTIME and Unix nanoseconds; `at` may be 0 where nobody knows."""
        since = _last_written(restored, now, at) if restored else 0
        # No writer outlives its machine: after a start of that it matters little when a file was written.
        is_sound = restored is None or restored.rebooted or abs(_set_since(restored, now, at)) <= SECOND
        return cls(restored, since=since, epoch=at - now if at and is_sound else None)


NOTHING_KNOWN = Resume()


def _last_written(restored: Restored, now: int, at: int) -> int:
    """When the log was written to before the last commit (st_mtime, nanoseconds): a file that was not
    written to since then is no news. Files that came after the clock was set back are no older for that: 0
    where nobody knows how far that was."""
    if restored.rebooted and at < restored.at:
        return 0
    set_back = 0 if restored.rebooted else max(0, -_set_since(restored, now, at))
    held = restored.held or restored.retired
    latest = max((position.modified for position in held), default=0)
    if latest > restored.at + SKEW:
        return 0  # it was set back since the log was read, and a process came and went that saw no log
    return min(latest, restored.at) - set_back


def _set_since(restored: Restored, now: int, at: int) -> int:
    """How far the wall clock was set ahead since the last commit of this boot, nanoseconds; below 0 where it
    was set back."""
    return (at - restored.at) - (now - restored.ended)
