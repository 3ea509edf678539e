"""Metrics over TCP: the transport of Graphite.

Promise: nothing here waits for the receiver. What it does not take waits in memory up to a limit; beyond it
the oldest is dropped, in whole messages, and said once. A message is never cut: what a lost connection took
only a part of is sent again, whole, on the next one. So a receiver may see a message twice, which must not
matter to it: a metric with its time is the same metric. What the kernel had taken of a connection that
breaks may be lost.

A receiver that is away is tried again after a second, then after twice as long each time, up to a minute. One
that hangs up with what it was sent unread says so by a reset; so messages have arrived, as far as anybody can
know, if the connection still stands when the next ones come.
"""

import errno
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable

from qps_service.network.resolver import Resolver
from qps_service.notices.trouble import Trouble
from qps_service.text.endpoint import endpoint
from qps_service.text.units import MILLISECOND, SECOND

# Messages are kept and dropped by blocks of so many bytes.
BLOCK = 1 << 14
# An hour of the metrics of a site with a hundred routes, half a minute of 10,000.
LIMIT = 1 << 22  # bytes
# While a receiver takes what it is sent, how long until it is offered more.
PAUSE = 20 * MILLISECOND  # nanoseconds
FIRST_RETRY = 1 * SECOND  # nanoseconds
LAST_RETRY = 60 * SECOND  # nanoseconds
# How long a connection may take to come about.
PATIENCE = 15 * SECOND  # nanoseconds
# How long what was sent may stay without an answer: the kernel's own patience is a quarter of an hour, and
# carbon stops reading for a while when its cache is full.
SILENCE = 120_000  # milliseconds
# What a receiver sends us is thrown away, at most so many times a flush.
READS = 16
# At the end, how often the rest is offered before it is dropped: one second in all.
LAST_ROUNDS = 50


class Stream:
    """Sends to one receiver. Nothing here raises."""

    def __init__(
        self,
        host: str,
        port: int,
        trouble: Trouble,
        *,
        resolver: Resolver | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._to = endpoint(host, port)
        self._trouble = trouble
        self._resolver = resolver or Resolver(host, port, socket.SOCK_STREAM)
        self._sleep = sleep
        self._block = b""  # being sent; on a new connection, from its start
        self._sent = 0  # bytes of it
        self._blocks: deque[bytes] = deque()  # after it
        self._size = 0  # bytes in these
        self._coming: socket.socket | None = None  # a connection that comes about
        self._socket: socket.socket | None = None  # one that stands
        self._is_delivered = False  # whether all was sent, and nothing said otherwise
        self._turn = 0  # which of the addresses is tried next
        self._until = 0  # CLOCK_BOOTTIME nanoseconds: until when the connection may take to come about
        self._retry_at = 0  # CLOCK_BOOTTIME nanoseconds
        self._retry = FIRST_RETRY  # nanoseconds, the next wait
        self._due: int | None = None
        self._now = 0  # CLOCK_BOOTTIME nanoseconds at the last flush

    def send(self, messages: Iterable[bytes]) -> None:
        """Take messages; `flush` sends them."""
        if self._is_delivered:
            self._retry = FIRST_RETRY
            self._trouble.works()
        self._is_delivered = False
        is_dropping = False
        block: list[bytes] = []
        size = 0
        for message in messages:
            block.append(message)
            size += len(message)
            if size >= BLOCK:
                is_dropping |= self._append(b"".join(block))
                block, size = [], 0
        if block:
            is_dropping |= self._append(b"".join(block))
        if is_dropping:
            self._trouble.failed(f"{self._to} takes no metrics; dropping the oldest")

    def flush(self, now: int) -> None:
        """Send as much as is taken now, CLOCK_BOOTTIME nanoseconds."""
        self._now, self._due = now, None
        if self._socket:
            self._look_for_the_end(self._socket)
        if not self._is_waiting:
            return
        if not self._socket and not self._coming and now >= self._retry_at:
            self._connect()
        if self._coming:
            self._finish_connecting(self._coming)
        if self._socket:
            self._write(self._socket)

    def due(self) -> int | None:
        """When `flush` wants to be called, CLOCK_BOOTTIME nanoseconds; None if the next look will do."""
        return self._due

    def close(self, *, wait: bool = True) -> None:
        """Send the rest, within a second; without `wait`, what is taken now."""
        for _ in range(LAST_ROUNDS if wait else 1):
            self.flush(self._now + PAUSE)
            if not self._is_waiting:
                break
            if wait:
                self._sleep(PAUSE / 1e9)
        else:
            self._trouble.failed(f"{self._to} does not take the last metrics; dropping them")
        self._disconnect()

    @property
    def _is_waiting(self) -> bool:
        return bool(self._block or self._blocks)

    def _append(self, block: bytes) -> bool:
        """Keep it; whether the oldest had to go for it, since they are not taken."""
        self._blocks.append(block)
        self._size += len(block)
        if self._size > LIMIT and self._socket:
            self._write(self._socket)
            self._is_delivered = False
        return self._keep_limit()

    def _keep_limit(self) -> bool:
        """Drop the oldest of what waits; whether something had to go."""
        is_dropping = self._size > LIMIT
        while self._size > LIMIT:
            self._size -= len(self._blocks.popleft())
        return is_dropping

    def _connect(self) -> None:
        addresses = self._resolver.addresses(self._now)
        if not addresses:
            if self._resolver.error:
                self._fail(self._resolver.error)
            return
        address = addresses[self._turn % len(addresses)]
        self._turn += 1
        try:
            self._coming = socket.socket(address.family, socket.SOCK_STREAM)
            self._coming.setblocking(False)
            self._coming.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE)
            code = self._coming.connect_ex(address.sockaddr)
        except OSError as error:
            self._fail(error.strerror)
            return
        self._until = self._now + PATIENCE
        if code not in (0, errno.EINPROGRESS):
            self._fail(os.strerror(code))

    def _finish_connecting(self, coming: socket.socket) -> None:
        poll = select.poll()
        poll.register(coming, select.POLLOUT)
        if not poll.poll(0):
            if self._now >= self._until:
                self._fail("no answer")
        elif code := coming.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._fail(os.strerror(code))
        else:
            self._socket, self._coming = coming, None
            self._turn -= 1  # the same one next time

    def _look_for_the_end(self, connection: socket.socket) -> None:
        """What is written to a receiver that has closed its end is lost: it has to be seen before."""
        try:
            for _ in range(READS):
                if not connection.recv(4096):
                    self._disconnect()
                    break
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail(error.strerror)

    def _write(self, connection: socket.socket) -> None:
        before = (self._sent, len(self._blocks))
        try:
            while self._is_waiting:
                if not self._block:
                    self._block = self._blocks.popleft()
                    self._size -= len(self._block)
                self._sent += connection.send(memoryview(self._block)[self._sent :])
                if self._sent == len(self._block):
                    self._block, self._sent = b"", 0
        except BlockingIOError:
            if before != (self._sent, len(self._blocks)):
                self._due = self._now + PAUSE
        except OSError as error:
            self._fail(error.strerror)
        else:
            self._is_delivered = True

    def _fail(self, why: str | None) -> None:
        """There is no connection, for now."""
        self._disconnect()
        self._is_delivered = False
        self._retry_at = self._now + self._retry
        self._retry = min(2 * self._retry, LAST_RETRY)
        self._trouble.failed(f"cannot send to {self._to}: {why}")

    def _disconnect(self) -> None:
        for connection in (self._socket, self._coming):
            if connection:
                connection.close()
        self._socket = self._coming = None
        self._sent = 0
