"""What systemd is told: readiness, status, reloading, stopping, and that the loop still turns.

The watchdog is fed only from `alive`, which the loop calls when it has made progress: a loop that
hangs in a read feeds nothing, and systemd kills and restarts the service. See sd_notify(3).

And what systemd keeps: a duplicate of each descriptor given to `keep`, which outlives the process
and comes back from `handed_back` in the next one, even if the file has been deleted meanwhile.
"""

import fcntl
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from qps_service.text.regex import regex
from qps_service.text.units import SECOND

# While starting, reloading and stopping there is a time-out. A long first or last read asks for this much
# more time, and asks again while it makes progress.
EXTENSION = 30 * SECOND  # nanoseconds
# FileDescriptorName= of qps-reporter.socket; logs in the store have an @ in their names.
LISTENER = "prometheus"
FIRST_HANDED = 3  # the lowest descriptor that systemd hands over (sd_listen_fds(3))
# The kernel closes a dying process's files in the order of their numbers, and waits for a FUSE server that
# hangs. What is handed back moves up here, so that the state directory's lock, opened next, goes first: the
# successor of a process that can't die may have it.
MOVED_UP = 64

_NUMBER = "(0|[1-9][0-9]{0,19})"  # any of 64 bits, in its only spelling
_STORED_NAME = regex(f"([A-Za-z0-9_.-]{{1,64}})@{_NUMBER}@{_NUMBER}-{_NUMBER}")


class StoredName(NamedTuple):
    """What the name of a stored descriptor tells."""

    log: str  # its name
    begun: int  # as in Position
    device: int
    inode: int


class Supervisor:
    """The service manager, or nobody: then every message goes nowhere."""

    def __init__(self, notify: Callable[[str, Sequence[int]], object], watchdog: int | None) -> None:
        """`notify` sends one datagram: a text, and descriptors to duplicate.

        `watchdog` is the time-out in nanoseconds, None without one.
        """
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
        """`monotonic` is CLOCK_MONOTONIC in microseconds; both belong in one datagram. `ready` follows."""
        self._in_transition, self._extended_at = True, None
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={monotonic}")

    def stopping(self) -> None:
        """The last read and the last report follow."""
        self._in_transition, self._extended_at = True, None
        self._notify("STOPPING=1\nSTATUS=stopping")

    def keep(self, descriptor: int, name: str) -> None:
        """Have an open file kept until `drop`, through a crash and a restart; once kept, again does nothing.

        `name` is a `stored_name`, of one file only. A store that is full or off keeps nothing. A pipe is kept
        while nobody writes to it, too, which without FDPOLL=0 would be the end of it (sd_notify(3)).
        """
        self._notify(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", descriptor)

    def drop(self, name: str) -> None:
        """Let go of what is kept as `name`; nothing if there is none."""
        self._notify(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def _notify(self, text: str, *descriptors: int) -> None:
        # A service manager that does not listen (it restarts, say) is no reason to stop counting.
        with suppress(OSError):
            self._send(text, descriptors)


def watchdog_of(environment: Mapping[str, str], pid: int) -> int | None:
    """The watchdog's time-out in nanoseconds, if it is meant for this process (sd_watchdog_enabled(3))."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    if not microseconds.isascii() or not microseconds.isdigit() or int(microseconds) == 0:
        return None
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(microseconds) * 1000


def stored_name(log: str, begun: int, device: int, inode: int) -> str:
    """What to keep a log's open file as. sd_notify(3) wants up to 255 printable characters, none a colon."""
    return f"{log}@{begun}@{device}-{inode}"


def parse_stored_name(name: str) -> StoredName | None:
    """The inverse of `stored_name`; None for a name that it did not make."""
    found = _STORED_NAME.fullmatch(name)
    return StoredName(found[1], *map(int, found.groups()[1:])) if found else None


def bindings() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """sd_notify(3) and sd_journal_sendv(3). Only who runs as a service needs libsystemd, and nobody what else
    its Python packages load: logging, threading, uuid and the like, some 3 MB."""
    try:
        from systemd._daemon import notify
        from systemd._journal import sendv
    except ImportError:  # they are where systemd-python has had them since 2012, but not documented
        from systemd.daemon import notify
        from systemd.journal import sendv
    return notify, sendv


def handed_back(environment: Mapping[str, str], pid: int) -> list[tuple[int, str]]:
    """The descriptors that systemd hands to this process, each with its name (sd_listen_fds(3)).

    They come under other numbers, are the caller's to close, and no child inherits them. An environment that
    is meant for another process, or that is ill-formed, hands over nothing. Call it once, before anything is
    opened and before `occupy_standard_streams`: what a stale environment names must not be a file of ours.
    """
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(pid) or not re.fullmatch("[1-9][0-9]{0,5}", count):
        return []
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    if len(names) != int(count):
        return []
    descriptors = range(FIRST_HANDED, FIRST_HANDED + len(names))
    try:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        moved = [_move_up(descriptor) for descriptor in descriptors]
    except OSError:
        return []
    return list(zip(moved, names, strict=True))


def _move_up(descriptor: int) -> int:
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, MOVED_UP)
    os.close(descriptor)
    return moved
