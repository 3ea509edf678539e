"""Names of receivers -> their addresses.

Promise: nobody waits. getaddrinfo(3) may take as long as it likes, so a name is looked up in a thread of its
own, one at a time, which ends with the lookup; an address that is written out needs none.
"""

import signal
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

from qps_service.text.units import SECOND

# Nothing tells that a name has moved: datagrams to where it was vanish in silence.
AGAIN = 60 * SECOND  # nanoseconds from one lookup to the next
RETRY = 10 * SECOND  # likewise, after one that failed


class Address(NamedTuple):
    """Where a socket can be connected to."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]  # as socket.connect() takes it


class _Found(NamedTuple):
    addresses: tuple[Address, ...]
    error: str | None


LookUp = Callable[..., Any]  # socket.getaddrinfo
Begin = Callable[[Callable[[], None]], None]


def begin_thread(task: Callable[[], None]) -> None:
    """Run `task` beside the loop; a process that ends does not wait for it, and no signal goes to its thread.
    Raises RuntimeError."""
    from threading import Thread

    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        Thread(target=task, name="resolver", daemon=True).start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Resolver:
    """Knows the addresses of one receiver."""

    def __init__(
        self,
        host: str,
        port: int,
        kind: socket.SocketKind,
        *,
        look_up: LookUp = socket.getaddrinfo,
        begin: Begin = begin_thread,
    ) -> None:
        """`begin` runs a lookup without waiting for it."""
        self.error: str | None = None  # why the last lookup brought nothing
        self._asked = (host, port, socket.AF_UNSPEC, kind, 0)
        self._look_up = look_up
        self._begin = begin
        self._known: tuple[Address, ...] = ()
        self._is_literal = False
        self._is_asking = False
        self._found: _Found | None = None  # what the thread hands over
        self._next_at: int | None = None  # CLOCK_BOOTTIME nanoseconds, when to look again

    def addresses(self, now: int) -> tuple[Address, ...]:
        """Those known by now, IPv4 first: none while the first lookup lasts, or while `error` says why.
        What was known stays in force when a later lookup fails."""
        if self._next_at is None and not self._read_literal():
            self._next_at = now
        if self._is_literal:
            return self._known
        if self._found:
            self._take(self._found, now)
        if not self._is_asking and self._next_at is not None and now >= self._next_at:
            self._ask(now)
            if self._found:
                self._take(self._found, now)
        return self._known

    def _read_literal(self) -> bool:
        """An address needs no lookup."""
        try:
            self._known = _addresses(socket.getaddrinfo(*self._asked, socket.AI_NUMERICHOST))
        except (OSError, UnicodeError):
            return False
        self._is_literal = True
        return True

    def _ask(self, now: int) -> None:
        self._is_asking = True
        try:
            self._begin(self._run)
        except RuntimeError as error:  # no thread can be had: the unit's TasksMax, for one
            self._take(_Found((), str(error)), now)

    def _run(self) -> None:
        try:
            self._found = _Found(_addresses(self._look_up(*self._asked)), None)
        except (OSError, UnicodeError) as error:  # a label that is too long, or empty, is a UnicodeError
            self._found = _Found((), getattr(error, "strerror", None) or str(error))

    def _take(self, found: _Found, now: int) -> None:
        self._found, self._is_asking = None, False
        self.error = found.error
        self._known = found.addresses or self._known
        self._next_at = now + (RETRY if found.error else AGAIN)


def _addresses(found: list[Any]) -> tuple[Address, ...]:
    """IPv4 first: that is where the receivers listen by default, and a datagram finds out too late."""
    addresses = dict.fromkeys(Address(family, sockaddr) for family, _, _, _, sockaddr in found)
    return tuple(sorted(addresses, key=lambda address: address.family != socket.AF_INET))
