"""Metrics as datagrams: the transport that StatsD and Ganglia share.

Promise: sending never waits, and never floods. A window's packets leave in batches that a receiver's socket
has room for, with pauses between. They are made as they are sent, so that the rest of a window costs no
memory. One window may wait behind another; when a third comes, what is left of the first is dropped. A
failure drops all that waits. Each time something is dropped is one failure.

The socket is connected: where nobody listens, the kernel says so (ECONNREFUSED) a moment after the packet. So
a window was delivered, as far as anybody can know, if no error came until the next one.
"""

import errno
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from qps_service.network.resolver import Address, Resolver
from qps_service.notices.trouble import Trouble
from qps_service.text.endpoint import endpoint
from qps_service.text.units import MILLISECOND

# A socket has room for 212,992 bytes by default (net.core.rmem_default), as the kernel charges them. Half of
# that is left to others.
BATCH = 106_496  # bytes
# Long enough for a receiver to read a batch, even one that shares its core with the service; 10,000 routes
# still pass in about a second.
PAUSE = 20 * MILLISECOND  # nanoseconds
# How many may wait: the one that is being sent, and the next, as at a stop right after a report.
WINDOWS = 2
# At the end, how often a batch is tried before what is left is dropped: one second in all.
LAST_ROUNDS = 50


def charge(size: int) -> int:
    """What a datagram of `size` bytes takes of a receiver's buffer, in bytes: the kernel rounds it up, with
    headers and struct skb_shared_info, to a power of two, and adds struct sk_buff (skb->truesize)."""
    return (1 << (size + 400 - 1).bit_length()) + 256


class Datagrams:
    """Sends to one receiver: a host, or a group. Nothing here raises."""

    def __init__(
        self,
        host: str,
        port: int,
        trouble: Trouble,
        *,
        ttl: int | None = None,
        interface: str | None = None,
        resolver: Resolver | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`ttl` is how far multicast reaches; by the kernel's default, 1, no router passes it on. `interface`
        is the one that it leaves by, where that is not for the routes to tell."""
        self._to = endpoint(host, port)
        self._trouble = trouble
        self._ttl = ttl
        self._interface = interface
        self._resolver = resolver or Resolver(host, port, socket.SOCK_DGRAM)
        self._sleep = sleep
        self._socket: socket.socket | None = None
        self._address: Address | None = None
        self._turn = 0  # which of the addresses is tried next
        self._windows: deque[Iterator[bytes]] = deque()  # what is still to be sent of each
        self._packet: bytes | None = None  # the next, of the first of them
        self._batch = BATCH
        self._is_delivered = False  # whether this window has been sent whole, and nothing said otherwise
        self._was_lost = False
        self._due: int | None = None
        self._now = 0  # CLOCK_BOOTTIME nanoseconds at the last flush

    def send(self, packets: Iterable[bytes], batch: int = BATCH) -> None:
        """Take the packets of a window; `flush` sends them. Where there is time, a `batch` may be smaller, in
        bytes as they are charged: a receiver may stand still for longer then."""
        self._hear()
        if self._is_delivered:
            self._trouble.works()
        self._is_delivered = False
        self._batch = BATCH if self._windows else batch
        self._windows.append(iter(packets))
        if len(self._windows) > WINDOWS:
            self._windows.popleft()
            self._packet = None
            self._lost(self._delay)
        if self._packet is None:
            self._advance()

    def flush(self, now: int) -> None:
        """Send as much as may go now, CLOCK_BOOTTIME nanoseconds."""
        self._now = now
        self._hear()
        if self._packet is None or (self._due is not None and now < self._due) or not self._connect(now):
            return
        self._send_batch()
        self._due = None if self._packet is None else now + PAUSE

    def due(self) -> int | None:
        """When `flush` wants to be called, CLOCK_BOOTTIME nanoseconds; None if nothing waits for that."""
        return self._due

    def take_loss(self) -> bool:
        """Whether there was no way to the receiver since the last call: who listens now may know nothing of
        before. Packets that did not leave in time tell nothing of that."""
        was_lost, self._was_lost = self._was_lost, False
        return was_lost

    def close(self, *, wait: bool = True) -> None:
        """Send the rest, within a second; without `wait`, one more batch of it."""
        self._batch = BATCH
        for _ in range(LAST_ROUNDS if wait else 1):
            if self._packet is not None:
                if wait:
                    self._sleep(PAUSE / 1e9)
                self.flush(self._now + PAUSE)
        self._hear()
        if self._packet is not None:
            self._windows.clear()
            self._lost(self._delay)
        self._disconnect()

    def _send_batch(self) -> None:
        room = self._batch
        while self._socket and self._packet is not None and room > 0:
            try:
                self._socket.send(self._packet)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ENOBUFS):
                    self._give_up(error.strerror)
                return
            room -= charge(len(self._packet))
            self._advance()
            self._is_delivered = self._packet is None

    def _advance(self) -> None:
        self._packet = None
        while self._windows and self._packet is None:
            self._packet = next(self._windows[0], None)
            if self._packet is None:
                self._windows.popleft()

    @property
    def _delay(self) -> str:
        """Why packets still wait."""
        return "not all left in time" if self._socket else "its name is still being looked up"

    def _hear(self) -> None:
        """Take in what the kernel learned of the packets sent so far."""
        if self._socket and (code := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
            self._give_up(os.strerror(code))

    def _connect(self, now: int) -> bool:
        """Whether there is a socket, to where the name leads now. After a failure the next address has its
        turn."""
        addresses = self._resolver.addresses(now)
        if self._socket and self._address in addresses:
            return True
        self._disconnect()
        failure = self._resolver.error
        for _ in addresses:
            address = addresses[self._turn % len(addresses)]
            try:
                self._socket = self._connected(address)
            except OSError as error:
                failure = error.strerror or str(error)
                self._turn += 1
            else:
                self._address = address
                return True
        if failure:
            self._give_up(failure)
        return False

    def _connected(self, address: Address) -> socket.socket:
        made = socket.socket(address.family, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            self._prepare(made)
            made.connect(address.sockaddr)
        except OSError:
            made.close()
            raise
        return made

    def _prepare(self, made: socket.socket) -> None:
        """Say how multicast is to leave."""
        if made.family == socket.AF_INET:
            level, reach, way = socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, socket.IP_MULTICAST_IF
        else:
            level, reach, way = socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, socket.IPV6_MULTICAST_IF
        if self._ttl is not None:
            made.setsockopt(level, reach, self._ttl)
        if self._interface is not None:
            number = socket.if_nametoindex(self._interface).to_bytes(4, sys.byteorder)
            # IPv4 takes a struct ip_mreqn, with two addresses before it (ip(7)).
            made.setsockopt(level, way, bytes(8) + number if level == socket.IPPROTO_IP else number)

    def _give_up(self, why: str | None) -> None:
        """There is no way to where this went."""
        self._was_lost = True
        self._turn += 1
        self._disconnect()
        self._windows.clear()
        self._packet, self._due = None, None
        self._lost(why)

    def _lost(self, why: str | None) -> None:
        """Something was dropped."""
        self._is_delivered = False
        self._trouble.failed(f"cannot send to {self._to}: {why}")

    def _disconnect(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket = self._address = None
