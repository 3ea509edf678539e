"""The Prometheus output with real sockets, at a time that moves when a test says so."""

import select
import socket
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPResponse
from io import BytesIO

from qps_service.configuration.types import PrometheusConfig
from qps_service.notices.kinds import Notice
from qps_service.outputs.prometheus.exposition import Histograms, media_type, pieces
from qps_service.outputs.prometheus.output import PrometheusOutput
from qps_service.values.reports import Overview
from tests.descriptors import open_files
from tests.unit.handed_over import OVERVIEW

SECOND = 1_000_000_000
GUARD = 20  # seconds after which a test hangs for good
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
PROBE = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"

NONE = Histograms("off")
Make = Callable[..., PrometheusOutput]


def render(
    overview: Overview, *, openmetrics: bool = False, histograms: Histograms = NONE, **labels: str
) -> tuple[bytes, str]:
    """All of the text, and its media type."""
    text = b"".join(pieces(overview, openmetrics=openmetrics, labels=labels, histograms=histograms))
    return text, media_type(openmetrics=openmetrics)


class Endpoint:
    """The output, as the loop uses it, and its clients."""

    def __init__(self, make: Make = PrometheusOutput) -> None:
        self.now = 1000 * SECOND
        self.waited = 0  # nanoseconds, of those that passed
        self.said: list[Notice] = []
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.clients: list[socket.socket] = []
        self.output = make(
            PrometheusConfig(("127.0.0.1", 9145)),
            self.said.append,
            [self.listening.fileno()],
            self.clock,
            self.spent,
        )
        self.output.flush(self.now)
        self.open_before = open_files()

    def clock(self) -> int:
        return self.now

    def spent(self) -> int:
        return self.now - self.waited * 3 // 4

    def connect(self, data: bytes = b"") -> socket.socket:
        """A client who has sent this."""
        client = socket.create_connection(self.listening.getsockname())
        self.clients.append(client)
        client.setblocking(False)
        if data:
            client.sendall(data)
        return client

    def look(self, overview: Overview = OVERVIEW, *, is_behind: bool = False, seconds: float = 0) -> bool:
        """One turn of the loop, so much later; whether it answered somebody."""
        self.now += round(seconds * SECOND)
        self.output.flush(self.now)
        if asked := self.output.asked(self.now, is_behind=is_behind):
            spent = self.spent()
            self.output.answer(asked, overview, self.now, looked=spent, committed=spent)
        return bool(asked)

    def look_for(self, seconds: float, *, answers: float = 0, waits: float = 0) -> bool:
        """Likewise; the look takes so long, and then a commit as long as `answers`, which waits so long."""
        now, looked = self.now, self.spent()
        self.output.flush(now)
        self.now += round(seconds * SECOND)
        if asked := self.output.asked(now, is_behind=False):
            committed = self.spent()
            self.now += round(answers * SECOND)
            self.waited += round(waits * SECOND)
            self.output.answer(asked, OVERVIEW, now, looked=looked, committed=committed)
        return bool(asked)

    def take_in(self, until: Callable[[], bool]) -> None:
        """Flush as often as there is something to do, until that is so."""
        while not until():
            assert self._poll(), "nothing came"
            self.turn()

    def turn(self) -> None:
        """What clients did is taken in, a moment later."""
        self.now += 1
        self.output.flush(self.now)

    def ask(self, data: bytes = SCRAPE) -> socket.socket:
        """A client whose request was taken in."""
        before = len(self.asked)
        client = self.connect(data)
        self.take_in(lambda: len(self.asked) > before)
        return client

    def receive(self, client: socket.socket) -> bytes:
        """All that comes, until the end of it."""
        received = bytearray()
        while True:
            try:
                data = client.recv(1 << 20)
            except BlockingIOError:
                assert self._poll(client), "no end came"
                self.output.flush(self.now)
                continue
            except ConnectionResetError:
                return bytes(received)
            if not data:
                return bytes(received)
            received += data

    @property
    def asked(self) -> list[object]:
        return list(self.output._listener.asked)

    @property
    def connections(self) -> int:
        """How many it holds."""
        return len(self.output._listener._clients)

    def close(self) -> None:
        with suppress(ValueError):  # a test has closed it
            self.output.close()
        for each in (*self.clients, self.listening):
            each.close()

    def _poll(self, *others: socket.socket) -> bool:
        poll = select.poll()
        for descriptor in (self.output.fileno(), *(other.fileno() for other in others)):
            poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(GUARD * 1000))


class _Received:
    """Bytes as http.client wants to read them."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> BytesIO:
        return BytesIO(self._data)


def parse(data: bytes, method: str = "GET") -> tuple[HTTPResponse, bytes]:
    """An answer, by the standard library, and its body."""
    response = HTTPResponse(_Received(data), method=method)  # type: ignore[arg-type]  # all that it uses
    response.begin()
    return response, response.read()
