"""The benchmarks' logs, as rows and lines: the same seed gives the same lines.

A log is a pool of POOL different lines, repeated to its length: a file of 30 million lines is then made in
seconds, and 500,000 lines are more than a processor's branch predictor can learn by heart. What a line
counts as is known where it is made, so that every peer's counts can be checked.
"""

import json
from collections.abc import Callable, Iterator
from itertools import accumulate
from random import Random
from typing import NamedTuple

from qps_service.formats.presets import compile_format
from qps_service.simulation.traffic import KINDS, Traffic
from qps_service.values.counts import Key

POOL = 500_000  # lines
ROUTES = 10_000
STATUSES = (200, 404, 500)
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1"
AGENTS = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME}",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {SAFARI} Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) {SAFARI} Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.11.0",
)
REFERERS = (
    "-",
    "-",
    "https://www.google.com/",
    "https://example.org/",
    "https://example.org/search?q=shoes&page=2",
)
WORDS = ("account", "api", "blog", "cart", "help", "images", "orders", "products", "search", "static")


class Row(NamedTuple):
    """A line, and what it counts as."""

    key: Key
    size: int  # bytes of the response
    line: bytes  # with its newline


def simulator(random: Random) -> Iterator[Row]:
    """The simulator's lines: 8 combinations of method and route, 3 statuses, 36 bytes a line or less."""
    traffic = Traffic(compile_format("default"), random)
    while True:
        block = traffic.block()
        for kind, size, line in zip(block.kinds, block.sizes, block.lines, strict=True):
            yield Row(KINDS[kind], size, line)


def zipf(random: Random) -> Iterator[Row]:
    """The simulator's format with ROUTES routes, the n-th as frequent as 1/n."""
    for method, route, status, size, address in _requests(random, _paths(ROUTES)):
        line = f"{address}\t{method} {route}\t{status}\t{size}\n"
        yield _row(method, route, status, size, line)


def combined(random: Random) -> Iterator[Row]:
    """nginx's combined log: 500 routes, a query in one of four, agents and referers as sites see them."""
    for number, (method, route, status, size, address) in enumerate(_requests(random, _paths(500))):
        time = f"24/Nov/2026:{_clock(number)} +0000"
        target = route + _query(random)
        line = (
            f'{address} - - [{time}] "{method} {target} HTTP/1.1" {status} {size}'
            f' "{random.choice(REFERERS)}" "{random.choice(AGENTS)}"\n'
        )
        yield _row(method, route, status, size, line)


def caddy(random: Random) -> Iterator[Row]:
    """Caddy's JSON, with the request as an object in the line's."""
    for number, (method, route, status, size, address) in enumerate(_requests(random, _paths(500))):
        request = {
            "remote_ip": address,
            "remote_port": str(random.randrange(1024, 65536)),
            "client_ip": address,
            "proto": "HTTP/2.0",
            "method": method,
            "host": "example.org",
            "uri": route + _query(random),
            "headers": {
                "User-Agent": [random.choice(AGENTS)],
                "Accept": ["*/*"],
                "Accept-Encoding": ["gzip, br"],
            },
            "tls": {"resumed": False, "version": 772, "cipher_suite": 4865, "proto": "h2"},
        }
        document = {
            "level": "info",
            "ts": round(1795536000 + number / 100, 6),
            "logger": "http.log.access.log0",
            "msg": "handled request",
            "request": request,
            "bytes_read": 0,
            "user_id": "",
            "duration": round(random.random() / 10, 9),
            "size": size,
            "status": status,
            "resp_headers": {"Server": ["Caddy"], "Content-Type": ["text/html; charset=utf-8"]},
        }
        yield _row(method, route, status, size, json.dumps(document, separators=(",", ":")) + "\n")


def small_json(random: Random) -> Iterator[Row]:
    """JSON as an application writes it: flat, seven members."""
    for number, (method, route, status, size, address) in enumerate(_requests(random, _paths(500))):
        document = {
            "time": f"2026-11-24T{_clock(number)}Z",
            "ip": address,
            "method": method,
            "uri": route + _query(random),
            "status": status,
            "bytes": size,
            "seconds": round(random.random() / 10, 6),
        }
        yield _row(method, route, status, size, json.dumps(document, separators=(",", ":")) + "\n")


Maker = Callable[[Random], Iterator[Row]]


def _row(method: str, route: str, status: int, size: int, line: str) -> Row:
    return Row(Key(method.encode(), route.encode(), status), size, line.encode())


def _path(number: int) -> str:
    return f"/{WORDS[number % 10]}/{WORDS[number // 10 % 10]}/{number}"


def _paths(count: int) -> list[str]:
    return ["/", *(_path(number) for number in range(1, count))]


def _clock(number: int) -> str:
    """The time of day of a line, at 100 lines a second."""
    hours, minutes = number // 360_000 % 24, number // 6000 % 60
    return f"{hours:02}:{minutes:02}:{number // 100 % 60:02}"


def _query(random: Random) -> str:
    return f"?id={random.randrange(10**6)}&utm_source=mail" if random.random() < 0.25 else ""


def _requests(random: Random, routes: list[str]) -> Iterator[tuple[str, str, int, int, str]]:
    """Method, route, status, bytes and address; the n-th route as frequent as 1/n (Zipf's law)."""
    weights = list(accumulate(1 / number for number in range(1, len(routes) + 1)))
    while True:
        for route in random.choices(routes, cum_weights=weights, k=1024):
            method = "POST" if random.random() < 0.05 else "GET"
            (status,) = random.choices(STATUSES, weights=(90, 8, 2))
            address = ".".join(str(octet) for octet in random.randbytes(4))
            yield method, route, status, random.randrange(64, 20_000), address
