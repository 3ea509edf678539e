"""What systemd is told: readiness, status, reloading, stopping, and that the loop still turns.

The watchdog is fed only from `alive`, which the loop calls when it has made progress: a loop that
hangs in a read feeds nothing, and systemd kills and restarts the service. See sd_notify(3).
"""

from collections.abc import Callable, Mapping
from contextlib import suppress

# While starting and stopping there is no watchdog but a time-out. A long first or last read asks for
# this much more time, and asks again while it makes progress.
EXTENSION = 30_000_000_000  # nanoseconds


class Supervisor:
    """The service manager, or nobody: then every message goes nowhere."""

    def __init__(self, notify: Callable[[str], object], watchdog: int | None) -> None:
        """`notify` sends one datagram; `watchdog` is the time-out in nanoseconds, None without one."""
        self._send = notify
        self._every = watchdog // 2 if watchdog else None
        self._fed_at: int | None = None  # CLOCK_BOOTTIME nanoseconds, as all times here
        self._extended_at: int | None = None
        self._in_transition = True

    def alive(self, now: int) -> None:
        """Call it after each piece of work."""
        if self._every and (self._fed_at is None or now - self._fed_at >= self._every):
            self._notify("WATCHDOG=1")
            self._fed_at = now
        if self._in_transition and (self._extended_at is None or now - self._extended_at >= EXTENSION // 3):
            self._notify(f"EXTEND_TIMEOUT_USEC={EXTENSION // 1000}")
            self._extended_at = now

    def feed_due(self, now: int) -> int | None:
        """When `alive` must be called next, so that the loop may sleep until then; None if never."""
        if not self._every:
            return None
        return now if self._fed_at is None else self._fed_at + self._every

    def ready(self, status: str) -> None:
        """Up, or up again after a reload, whether that was accepted or refused."""
        self._in_transition = False
        self._notify(f"READY=1\nSTATUS={status}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._notify(f"STATUS={text}")

    def reloading(self, monotonic: int) -> None:
        """`monotonic` is CLOCK_MONOTONIC in microseconds; both belong in one datagram."""
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={monotonic}")

    def stopping(self) -> None:
        """The last read and the last report follow."""
        self._in_transition, self._extended_at = True, None
        self._notify("STOPPING=1\nSTATUS=stopping")

    def _notify(self, text: str) -> None:
        # A service manager that does not listen (it restarts, say) is no reason to stop counting.
        with suppress(OSError):
            self._send(text)


def watchdog_of(environment: Mapping[str, str], pid: int) -> int | None:
    """The watchdog's time-out in nanoseconds, if it is meant for this process (sd_watchdog_enabled(3))."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    if not microseconds.isascii() or not microseconds.isdigit() or int(microseconds) == 0:
        return None
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(microseconds) * 1000
