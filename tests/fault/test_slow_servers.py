"""How slow real servers say that a backend was, which waits as it is told: each route has its own durations.

The truth has two sides: what the backend waited at least, and what the client measured at most, from before
it connected until the server closed. Each server's own time lies between them, but for what its clock's grain
takes, and so do the quantiles of all requests to a route.
"""

import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from qps_service.cli import main
from tests.durations import MICRO, MILLI, QUANTILES, quantile
from tests.fault.program import GUARD, free_port
from tests.fault.servers import Command, serving
from tests.fault.web_servers import APACHE_HEAD, NGINX_HEAD, apache, nginx
from tests.promised import Promise, promises

pytestmark = [pytest.mark.real_time, pytest.mark.xdist_group("slow servers")]

WAITS = {"/fast": [0], "/mixed": [0, 2, 30], "/slow": [20, 40, 80]}  # milliseconds, in turns
REQUESTS = 60  # to each route
CLIENTS = 8

NGINX = (
    NGINX_HEAD
    + """
    log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                     '"$http_referer" "$http_user_agent" $request_time';
    access_log access.log timed;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{backend}; }}
    }}
}}
"""
)
APACHE = (
    APACHE_HEAD
    + """
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\" %D" timed
CustomLog access.log timed
ProxyPass / http://127.0.0.1:{backend}/
"""
)


class Server(NamedTuple):
    """A server before the backend."""

    configuration: str
    command: Callable[..., Command]
    format: str  # as `summarize` is told it
    stop: signal.Signals
    grain: int  # nanoseconds that its clock may be wrong


SLOW_SERVERS = {
    "nginx": Server(
        NGINX,
        nginx,
        '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
        '"$http_user_agent" $request_time',
        signal.SIGQUIT,
        MILLI,
    ),
    "apache": Server(
        APACHE,
        apache,
        '%h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i" %D',
        signal.SIGTERM,
        MICRO,
    ),
}


class Truth(NamedTuple):
    """What is known of the requests to one route: nanoseconds, from the shortest to the longest."""

    least: list[int]  # what the backend waited
    most: list[int]  # what the client measured


class Backend(BaseHTTPRequestHandler):
    """Waits as the request says, and answers."""

    def do_GET(self) -> None:
        """Answer after as many milliseconds as X-Wait tells."""
        time.sleep(int(self.headers["X-Wait"]) / 1000)
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def backend() -> Iterator[int]:
    """It, at a port of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join(GUARD)
        server.server_close()


def asked(port: int, route: str, wait: int) -> int:
    """Ask once; how many nanoseconds it took until the server had closed."""
    started = time.monotonic_ns()
    with closing(socket.create_connection(("127.0.0.1", port), timeout=GUARD)) as connection:
        request = f"GET {route} HTTP/1.1\r\nHost: shop.example\r\nX-Wait: {wait}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        answer = b""
        while got := connection.recv(1 << 16):
            answer += got
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    return time.monotonic_ns() - started


def served(server: Server, root: Path) -> Mapping[str, Truth]:
    """Start the server, ask all, in turns and several at once, and end it."""
    with backend() as behind:
        port = free_port()
        command = server.command(root, server.configuration, port=port, backend=behind)
        with serving(command, root, port, server.stop):
            sent = [
                (route, waits[number % len(waits)])
                for number in range(REQUESTS)
                for route, waits in WAITS.items()
            ]
            with ThreadPoolExecutor(CLIENTS) as pool:
                took = list(pool.map(lambda each: asked(port, *each), sent))
    return {
        route: Truth(
            sorted(wait * MILLI for each, wait in sent if each == route),
            sorted(time for (each, _), time in zip(sent, took, strict=True) if each == route),
        )
        for route in WAITS
    }


class Told(NamedTuple):
    """What `summarize` tells of a route."""

    measured: int
    quantiles: list[int]  # nanoseconds, those of QUANTILES


class Served(NamedTuple):
    """A server's log, and the truth by route."""

    log: Path
    truth: Mapping[str, Truth]


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Served]:
    """By the server's name."""
    roots = {name: tmp_path_factory.mktemp(name) for name in SLOW_SERVERS}
    return {
        name: Served(root / "access.log", served(SLOW_SERVERS[name], root)) for name, root in roots.items()
    }


def summarized(log: Path, format_text: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Told]:
    """By route."""
    main(["summarize", str(log), "--format", format_text, "--output", "json"])
    found = json.loads(capsys.readouterr().out)["latencies"]
    return {
        each["route"]: Told(each["measured"], [each[f"p{part // 10}_ns"] for part in QUANTILES])
        for each in found
    }


Tell = Callable[[Told], Told]


def each_route_is_as_slow_as_it_was(
    tell: Tell, name: str, slow: Mapping[str, Served], capsys: pytest.CaptureFixture[str]
) -> None:
    server, (log, truth) = SLOW_SERVERS[name], slow[name]
    found = summarized(log, server.format, capsys)
    for route, (least, most) in truth.items():
        measured, quantiles = tell(found[route])
        assert measured == REQUESTS
        for part, told in zip(QUANTILES, quantiles, strict=True):
            lower = quantile([max(each - server.grain, 0) for each in least], part)
            upper = quantile([each + server.grain for each in most], part)
            assert lower <= told <= upper, (route, part)


def as_it_is(told: Told) -> Told:
    return told


TWINS: dict[str, Tell] = {
    "a finer unit": lambda told: told._replace(quantiles=[each // 1000 for each in told.quantiles]),
    "a coarser unit": lambda told: told._replace(quantiles=[each * 1000 for each in told.quantiles]),
    "one less": lambda told: told._replace(measured=told.measured - 1),
}

test_promise, test_twin = promises(
    *(Promise(each_route_is_as_slow_as_it_was, as_it_is, TWINS, name=name) for name in SLOW_SERVERS)
)
