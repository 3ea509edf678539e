"""The page's server at its bounds: waitress in this process; a test turns its loop, and tells the time."""

import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from waitress import server as waitress

from qps_service.web import server
from qps_service.web.server import CLIENTS, HEAD_SIZE, IDLE, SILENCE
from tests.limits import Doubled
from tests.promised import Promise, promises


class Page:
    """Says `ok`."""

    asked_at = 0.0

    def __call__(self, _environ: object, start_response: Callable[..., object]) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]


class Served:
    """A page, behind what `serve` makes, on systemd's socket; it is not run."""

    def __init__(self, opened: ExitStack, patch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self._opened = opened
        self.listening = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2 * CLIENTS))
        real = waitress.create_server

        def create(*arguments: Any, **keywords: Any) -> Any:
            self.server = real(*arguments, **keywords)
            patch.setattr(self.server, "run", lambda: None)
            return self.server

        patch.setattr(waitress, "create_server", create)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            opened.callback(signal.signal, number, signal.getsignal(number))
        opened.callback(signal.setitimer, signal.ITIMER_REAL, 0)
        server.serve(Page(), self.listening, ends=True, monotonic=lambda: self.now)  # type: ignore[arg-type]

    def connect(self, data: bytes = b"") -> socket.socket:
        """A client who has sent this."""
        client = self._opened.enter_context(socket.create_connection(self.listening.getsockname()))
        client.sendall(data)
        return client

    def turn(self) -> None:
        """Its loop, once."""
        self.server.asyncore.poll(0, self.server._map)

    def answer(self, client: socket.socket) -> bytes:
        """The first line."""
        poll = select.poll()
        poll.register(client, select.POLLIN)
        while not poll.poll(1):
            self.turn()
        return client.recv(4096).partition(b"\r\n")[0]

    def close(self) -> None:
        """Let all of it go."""
        self.server.task_dispatcher.shutdown()
        for channel in [*self.server.active_channels.values()]:
            channel.close()
        self.server.close()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Served]]:
    with ExitStack() as opened:

        def start() -> Served:
            served = Served(opened, monkeypatch)
            opened.callback(served.close)
            return served

        yield start


def few_connections_are_let_in(serve: Callable[[], Served]) -> None:
    """The others wait in the kernel, until one of those goes."""
    served = serve()
    clients = [served.connect() for _ in range(CLIENTS + 5)]
    for _ in range(2 * CLIENTS):
        served.turn()
    assert len(served.server.active_channels) == CLIENTS
    for client in clients[:5]:
        client.close()
    asked = served.connect(b"GET / HTTP/1.0\r\n\r\n")
    for client in clients[5:10]:
        client.close()
    assert served.answer(asked) == b"HTTP/1.0 200 OK"


def a_long_head_is_refused(serve: Callable[[], Served]) -> None:
    served = serve()
    start, end = b"GET / HTTP/1.0\r\na: ", b"\r\n\r\n"
    for size, said in ((HEAD_SIZE - 1, b"200 OK"), (HEAD_SIZE, b"431 Request Header Fields Too Large")):
        client = served.connect(start + b"x" * (size - len(start) - len(end)) + end)
        assert served.answer(client) == b"HTTP/1.0 " + said


def a_silent_connection_is_closed(serve: Callable[[], Served]) -> None:
    served = serve()
    served.connect()
    while not served.server.active_channels:
        served.turn()
    [channel] = served.server.active_channels.values()
    closed = []
    for seconds in (SILENCE - 1, SILENCE + 1):
        served.server.maintenance(channel.last_activity + seconds)
        closed.append(channel.will_close)
    assert closed == [False, True]


def it_ends_when_nobody_asks(serve: Callable[[], Served]) -> None:
    """By an alarm that comes five times in that time."""
    served = serve()
    assert signal.getitimer(signal.ITIMER_REAL)[1] == IDLE / 5
    look: Any = signal.getsignal(signal.SIGALRM)
    served.now = IDLE
    look(signal.SIGALRM, None)
    served.now = IDLE + 1
    with pytest.raises(SystemExit) as ended:
        look(signal.SIGALRM, None)
    assert not ended.value.code


test_promise, test_twin = promises(
    Promise(few_connections_are_let_in, None, [Doubled("web.server:CLIENTS")]),
    Promise(a_long_head_is_refused, None, [Doubled("web.server:HEAD_SIZE")]),
    Promise(a_silent_connection_is_closed, None, [Doubled("web.server:SILENCE")]),
    Promise(it_ends_when_nobody_asks, None, [Doubled("web.server:IDLE")]),
)
