"""The most memory that clients can bring about, with every output on.

    .venv/bin/python -m benchmarks.worst             all of the table; five minutes
    .venv/bin/python -m benchmarks.worst short 10    short names in ten logs

Each log has as many routes as it tells apart; each route is asked for by several methods, and answered with
every one of STATUSES. All rows come in each window, so that nothing is idle. Prometheus scrapes all the time,
in both formats, packed and not, and clients who never read hold what they are sent.

Prints rows, the size of the largest answer as it was sent, the ledger's, and VmHWM: the most that the process
ever had resident. A request that was not counted, or a process that did not last, is an error.
"""

import re
import signal
import socket
import sqlite3
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha512
from http.client import HTTPException
from pathlib import Path
from threading import Thread

from benchmarks.agreement import DisagreementError
from benchmarks.figures import markdown
from benchmarks.outputs import OUTPUTS, Ends
from benchmarks.processes import FailedError, cores, service

# What a client can have a web server answer with, and some more.
STATUSES = (200, 206, 301, 304, 400, 403, 404, 405, 408, 411, 412, 413, 414, 416, 499, 501)
ANY = "any status"  # which clients choose, where a server does not escape their quotes
METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"PROPFIND", b"COPY")
ROUTES = 1000  # of a log: max_routes
INTERVAL = 5  # seconds
WINDOWS = 4
PATIENCE = 300  # seconds, until all is counted
SILENT = 40  # clients who never read
HEAD = ("names", "logs", "requests", "rows", "answer MB", "ledger MB", "VmHWM MB")
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Accept": "application/openmetrics-text"},
    {"Accept-Encoding": "gzip"},
)


def long(number: int) -> bytes:
    """As long as `max_route` lets it be, and hard to pack."""
    return (
        b"/%06d" % number
        + b"".join(sha512(b"%d %d" % (number, part)).digest().hex().encode() for part in range(8))[:1017]
    )


def raw(number: int) -> bytes:
    """Likewise, of bytes of which each is shown as four characters."""
    return b"/%06d" % number + b"\xff\xfe" * 508


def short(number: int) -> bytes:
    """As long as one place has room for."""
    return b"/%06d" % number + b"/shop/item/of/some/name" * 5


NAMES: dict[str, Callable[[int], bytes]] = {"long": long, "raw": raw, "short": short, ANY: short}
TABLE = (("long", 1), ("raw", 1), ("short", 1), ("short", 10), ("long", 10), (ANY, 1))


def traffic(name: str, routes: Sequence[bytes], *, is_first: bool) -> Iterator[tuple[bytes, int]]:
    """Text and its lines: at first each route until it is told apart, then all that can be asked of it."""
    methods, statuses = (METHODS[:1], range(1000)) if name == ANY else (METHODS, STATUSES)
    if is_first:
        for repeats in (1, 4, 16, 64, 256):
            for route in routes:
                yield b"192.0.2.1\tGET %b\t404\t10\n" % route * repeats, repeats
        return
    for method in methods:
        for status in statuses:
            for route in routes:
                yield b"192.0.2.1\t%b %b\t%03d\t10\n" % (method, route, status), 1


class Clients:
    """They ask all the time."""

    def __init__(self, port: int) -> None:
        self.largest = 0  # bytes of an answer
        self.refused = 0
        self._port, self._is_over = port, False
        self._silent: list[socket.socket] = []
        Thread(target=self._ask, daemon=True).start()

    def close(self) -> None:
        """Ask no longer."""
        self._is_over = True

    def _ask(self) -> None:
        while not self._is_over:
            for headers in HEADERS:
                with suppress(OSError, HTTPException):  # who is slow, since many ask, may be let go
                    self._ask_and_leave(headers)
                    self._ask_and_read(headers)
            time.sleep(0.1)

    def _ask_and_leave(self, headers: dict[str, str]) -> None:
        silent = socket.create_connection(("127.0.0.1", self._port))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        silent.sendall(f"GET /metrics HTTP/1.1\r\n{lines}\r\n".encode())
        self._silent = [*self._silent[1 - SILENT :], silent]

    def _ask_and_read(self, headers: dict[str, str]) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/metrics", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as page:  # noqa: S310  we made the address
                self.largest = max(self.largest, len(page.read()))
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            self.refused += 1


def measure(name: str, logs: int, core: int) -> tuple[str, ...]:
    """A row of the table. Raises DisagreementError and FailedError."""
    with tempfile.TemporaryDirectory(prefix="qps-worst-") as directory:
        root = Path(directory)
        ends = Ends(root)
        tables = "".join(f"[output.{each}]\n{OUTPUTS[each](ends)}" for each in OUTPUTS)
        ends.let_pages_be()
        port = int(re.findall(r"listen = .*:(\d+)", tables)[0])
        paths = [root / f"{number}.log" for number in range(logs)]
        for path in paths:
            path.touch()
            tables += f'[log.l{path.stem}]\npath = "{path}"\n'
        config = root / "qps-reporter.toml"
        config.write_text(f'interval = "{INTERVAL}s"\nstate = "{root}/state"\n{tables}')
        with (
            (root / "said").open("w+") as said,
            service("--config", str(config), core=core, said=said) as process,
        ):
            ends.take(time.monotonic() + 3)
            clients, written = Clients(port), 0
            for window in range(WINDOWS + 1):
                for number, path in enumerate(paths):
                    routes = [NAMES[name](each) for each in range(ROUTES * number, ROUTES * (number + 1))]
                    with path.open("ab") as file:
                        for text, lines in traffic(name, routes, is_first=not window):
                            file.write(text)
                            written += lines
                    ends.take(time.monotonic() + 0.01)
                ends.take(time.monotonic() + INTERVAL)
            counted, rows = 0, 0
            until = time.monotonic() + PATIENCE
            while counted < written and time.monotonic() < until and process.poll() is None:
                ends.take(time.monotonic() + INTERVAL)
                counted, rows = _counted(root / "state" / "ledger.db")
            clients.close()
            if process.poll() is not None:
                raise FailedError(f"worst: the service ended by itself with {process.returncode}")
            peak = re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[0]
            process.send_signal(signal.SIGTERM)
            while process.poll() is None:
                ends.take(time.monotonic() + 0.1)
        if counted != written:
            raise DisagreementError(f"worst: expected {written} requests, found {counted}")
        size = sum(each.stat().st_size for each in (root / "state").glob("ledger.db*"))
        answer = f"{clients.largest / 1e6:.1f}" + (
            f", {clients.refused} times 503" if clients.refused else ""
        )
    sizes = (answer, f"{size / 1e6:.1f}", f"{int(peak) / 1000:.0f}")
    return (name, str(logs), f"{written:,}", f"{rows:,}", *sizes)


def _counted(path: Path) -> tuple[int, int]:
    """Requests and rows in the ledger."""
    ledger = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        [[requests, rows]] = ledger.execute("SELECT total(requests), count(*) FROM totals")
        return int(requests), int(rows)
    finally:
        ledger.close()


if __name__ == "__main__":
    wanted = [(sys.argv[1], int(sys.argv[2]))] if len(sys.argv) > 2 else TABLE
    print(markdown(HEAD, [measure(*each, cores()[0]) for each in wanted]))
