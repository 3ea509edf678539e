"""A small HTTP server within the service's one thread: takes in what clients send, gives what they asked for.

Promises: nothing here ever waits for a client; what clients can make it hold and do is bounded, whatever they
send, how slowly they send or read it, and how many they are; an address that can't be listened on is said
once, and tried again.

Each connection has one request. Times are CLOCK_BOOTTIME nanoseconds, and come in.
"""

import os
import select
import socket
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from http import HTTPStatus

from qps_service.network.http_exchange import Exchange, refusal
from qps_service.notices.trouble import Trouble
from qps_service.text.endpoint import endpoint
from qps_service.text.units import SECOND

# Scrapers are few. Where more come, the oldest has to go that sends no more and has no answer yet, as who is
# gone; without any, the oldest that has not asked yet, or is slow to read. Who has asked costs little until
# there is an answer, and all get the same. With fewer places, who comes last in the kernel's queue would wait
# for more answers. With more, 256 logs would have no room among 1,024 descriptors, a shell's usual limit.
CLIENTS = 384
# Of those who get one so many may have read but a part: the kernel holds some of it for each.
UNREAD = 64
# How many are let in at one look: it costs some 20 µs each.
ACCEPTED = 256
# Those that are let in later wait here: the kernel's queue.
QUEUE = 1024
# Scrapers' heads have some hundred bytes; http.server's own limit for one line is 64 KiB.
HEAD = 8192  # bytes
# How long a request may take to come whole. Prometheus gives up after 10 s.
HEAD_PATIENCE = 10 * SECOND
# How long an answer may take to be read.
BODY_PATIENCE = 30 * SECOND
# After an error what the client still sends is thrown away for so long: a close would throw away the answer.
LINGER = 2 * SECOND
# How much of answers may wait to be read, each counted once however many are sent it; one may be larger.
IN_FLIGHT = 32 << 20  # bytes
# What the kernel takes of an answer before it is read: by itself up to 4 MiB for each client, of our memory
# (tcp(7)). It doubles this.
SENT_AHEAD = 1 << 18  # bytes
# Likewise of what clients send, whom nobody reads: by itself 128 KiB for each, also of those in the queue.
RECEIVED_AHEAD = HEAD  # bytes
# After an error of the listening socket.
RETRY = SECOND
RECEIVED = 1 << 16  # bytes of a request's rest that are thrown away at once

READING, ASKED, SENDING, LINGERING = range(4)
_EVENTS = {
    READING: select.EPOLLIN,
    ASKED: select.EPOLLRDHUP,
    SENDING: select.EPOLLOUT,
    LINGERING: select.EPOLLIN,
}


class Client:
    """A connection, and how far it is."""

    def __init__(self, connection: socket.socket, now: int) -> None:
        self.socket = connection
        self.state = READING
        self.deadline: int | None = now + HEAD_PATIENCE  # None while it waits for us
        self.asked_at = 0  # when its request was whole
        self.exchange: Exchange | None = None  # from then on
        self.head = bytearray()
        self.unsent: deque[memoryview] = deque()
        self.body: Sequence[bytes] = ()  # what `unsent` is the rest of; shared with others
        self.is_refused = False
        self.has_ended = False  # whether it sends no more while it waits: it may be gone, and may be not
        self.moved_at = now  # when it came, or last took something of its answer


class Listener:
    """Listens where it is told, or on sockets that systemd opened."""

    def __init__(
        self, address: tuple[str, int], inherited: Sequence[int], paths: Collection[str], trouble: Trouble
    ) -> None:
        """`inherited` are descriptors of listening sockets, and stay the caller's; without any, `address` is
        listened on, which has no name to look up. `paths` are those that can be asked for."""
        self._address = address
        self._inherited = inherited
        self._paths = paths
        self._trouble = trouble
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}  # that listen
        self._clients: dict[int, Client] = {}  # oldest first
        self._retry_at = 0
        self._lets_in = True  # whether the last one who came could be let in

    def fileno(self) -> int:
        """Readable when there is something to do."""
        return self._epoll.fileno()

    def is_ready(self) -> bool:
        """Whether there is."""
        return bool(self._epoll.poll(0))

    @property
    def asked(self) -> list[Client]:
        """Those who wait for an answer, oldest first; behind them those who are likely to be gone."""
        asked = (client for client in self._clients.values() if client.state == ASKED)
        return sorted(asked, key=lambda client: client.has_ended)

    def due(self) -> int | None:
        """When the next client's time is over."""
        return min((client.deadline for client in self._clients.values() if client.deadline), default=None)

    def work(self, now: int) -> None:
        """Let clients in, take what they sent, send what they did not take before; drop who is too slow."""
        if not self._sockets and now >= self._retry_at:
            self._listen(now)
        # Clients first: whoever is let in may get the number of one who is dropped, but not its event.
        for descriptor, events in sorted(self._epoll.poll(0), key=lambda event: event[0] in self._sockets):
            if descriptor in self._sockets:
                self._accept(self._sockets[descriptor], now)
            elif client := self._clients.get(descriptor):  # it may have gone meanwhile
                self._go_on(client, events, now)
        for client in list(self._clients.values()):
            if client.deadline is not None and now >= client.deadline:
                self._drop(client)

    def send(self, client: Client, head: bytes, body: Sequence[bytes], now: int) -> None:
        """Begin to send an answer, whose body comes in pieces."""
        client.unsent = deque(memoryview(part) for part in (head, *body) if part)
        client.body, client.deadline = body, now + BODY_PATIENCE
        self._enter(client, SENDING)
        self._send(client, now)
        slow = sorted(
            (each for each in self._clients.values() if each.state == SENDING), key=lambda each: each.moved_at
        )
        while len(slow) > UNREAD or (
            len({id(each.body) for each in slow}) > 1 and _bytes_of(slow) > IN_FLIGHT
        ):
            self._drop(slow.pop(0))

    def dismiss(self, clients: Iterable[Client]) -> None:
        """Let those of them go who still wait for an answer."""
        for client in clients:
            if client.state == ASKED:
                self._drop(client)

    def close(self) -> None:
        """Let everything go."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._close_sockets()
        self._epoll.close()

    def _listen(self, now: int) -> None:
        try:
            if not self._inherited:
                self._watch(_bound(self._address))
            for descriptor in self._inherited:
                self._watch(_duplicate(descriptor))
        except OSError as error:
            self._rest(error, now)
        else:
            # That it listens is no news where nobody could be let in before: an answer will tell.
            if self._lets_in:
                self._trouble.works()

    def _watch(self, listening: socket.socket) -> None:
        listening.setblocking(False)
        # Those that it lets in have it from the beginning.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_AHEAD)
        self._sockets[listening.fileno()] = listening
        self._epoll.register(listening, select.EPOLLIN)

    def _rest(self, error: OSError, now: int) -> None:
        where = "the socket that systemd passed" if self._inherited else endpoint(*self._address)
        self._trouble.failed(f"cannot listen on {where}: {error.strerror}")
        self._retry_at = now + RETRY
        self._close_sockets()

    def _close_sockets(self) -> None:
        for listening in self._sockets.values():
            # A duplicate of an inherited one would go on to be reported.
            self._epoll.unregister(listening)
            listening.close()
        self._sockets.clear()

    def _accept(self, listening: socket.socket, now: int) -> None:
        for _ in range(ACCEPTED):
            is_full = len(self._clients) >= CLIENTS
            leaving = self._dispensable(now) if is_full else None
            if is_full and leaving is None:
                return
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._lets_in = False
                self._rest(error, now)
                return
            self._lets_in = True
            if leaving is not None:
                self._drop(leaving)
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_AHEAD)
            client = self._clients[connection.fileno()] = Client(connection, now)
            self._epoll.register(connection, _EVENTS[READING])
            self._receive(client, now)

    def _dispensable(self, now: int) -> Client | None:
        """The oldest of those who are likely to be gone, or of those who do not wait for us. Whoever came
        just now had no time yet to ask."""
        clients = self._clients.values()
        idle = (client for client in clients if client.state != ASKED and client.moved_at < now)
        return next((client for client in clients if client.has_ended), next(idle, None))

    def _go_on(self, client: Client, events: int, now: int) -> None:
        if client.state == READING:
            self._receive(client, now)
        elif client.state == SENDING:
            self._send(client, now)
        elif client.state == LINGERING:
            self._discard(client)
        elif events & (select.EPOLLHUP | select.EPOLLERR):
            self._drop(client)
        elif not client.has_ended:
            client.has_ended = True
            self._epoll.modify(client.socket, 0)

    def _receive(self, client: Client, now: int) -> None:
        try:
            data = client.socket.recv(HEAD + 1 - len(client.head))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        client.head += data
        if b"\n\r\n" in client.head or b"\n\n" in client.head:
            client.exchange = Exchange(bytes(client.head), self._paths)
            client.head.clear()
            if client.exchange.is_granted:
                client.asked_at, client.deadline = now, None
                self._enter(client, ASKED)
            else:
                self._refuse(client, client.exchange.written, now)
        elif len(client.head) > HEAD:
            self._refuse(client, refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), now)

    def _refuse(self, client: Client, answer: bytes, now: int) -> None:
        client.is_refused = True
        self.send(client, answer, (), now)

    def _send(self, client: Client, now: int) -> None:
        try:
            while client.unsent:
                sent = client.socket.send(client.unsent[0])
                client.moved_at = now
                client.unsent[0] = client.unsent[0][sent:]
                if not client.unsent[0]:
                    client.unsent.popleft()
            if client.is_refused:
                client.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:
            client.is_refused = False
        if client.is_refused:
            client.deadline = now + LINGER
            self._enter(client, LINGERING)
        else:
            self._drop(client)

    def _discard(self, client: Client) -> None:
        with suppress(OSError):
            if client.socket.recv(RECEIVED):
                return
        self._drop(client)

    def _enter(self, client: Client, state: int) -> None:
        client.state = state
        self._epoll.modify(client.socket, _EVENTS[state])

    def _drop(self, client: Client) -> None:
        del self._clients[client.socket.fileno()]
        client.socket.close()


def _duplicate(descriptor: int) -> socket.socket:
    number = os.dup(descriptor)
    try:
        return socket.socket(fileno=number)
    except OSError:  # it is no socket
        os.close(number)
        raise


def _bound(address: tuple[str, int]) -> socket.socket:
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=numeric)
    family, kind, protocol, _, place = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        # Connections of a process before may still be closing.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(QUEUE)
    except OSError:
        listening.close()
        raise
    return listening


def _bytes_of(clients: Collection[Client]) -> int:
    return sum({id(client.body): sum(map(len, client.body)) for client in clients}.values())
