"""The most memory that clients can bring about, with every output on: `python -m benchmarks.worst`.

Each log has as many routes as it tells apart, of names that are as long as may be, or short and many; each
route is asked for by several methods, and answered with every one of STATUSES. All rows come in each window,
so that nothing is idle. Prometheus scrapes all the time, in both formats, packed and not, and clients who
never read hold what they are sent.

Prints rows, the size of an answer, and VmHWM: the most that the process ever had resident.
"""

import os
import re
import signal
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

from benchmarks.figures import markdown
from benchmarks.outputs import OUTPUTS, Ends
from benchmarks.processes import service

STATUSES = (200, 206, 301, 304, 400, 403, 404, 405, 408, 411, 412, 413, 414, 416, 499, 501)
METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"PROPFIND", b"COPY")
ROUTES = 1000  # of a log: max_routes
INTERVAL = 5  # seconds
WINDOWS = 4
HEAD = ("names", "logs", "requests", "rows", "answer MB", "ledger MB", "VmHWM MB")


def long(number: int) -> bytes:
    """As long as `max_route` lets it be."""
    return b"/%05d" % number + os.urandom(500).hex().encode()[:1000]


def raw(number: int) -> bytes:
    """Likewise, of bytes of which each is shown as four characters."""
    return b"/%05d" % number + b"\xff\xfe" * 500


def short(number: int) -> bytes:
    """As long as one place has room for."""
    return b"/%05d" % number + b"/shop/item/of/some/name" * 5


SHAPES = (("long", long, 1), ("raw", raw, 1), ("short", short, 1), ("short", short, 10), ("long", long, 10))


def requests(routes: list[bytes]) -> Iterator[bytes]:
    """Each route until it is told apart, then all that can be asked of it."""
    for repeats in (1, 4, 16, 64):
        for route in routes:
            yield b"192.0.2.1\tGET %b\t404\t10\n" % route * repeats


def everything(routes: list[bytes]) -> Iterator[bytes]:
    for method in METHODS:
        for status in STATUSES:
            for route in routes:
                yield b"192.0.2.1\t%b %b\t%d\t10\n" % (method, route, status)


class Clients:
    """They ask all the time."""

    def __init__(self, port: int) -> None:
        self.answer = 0  # bytes of the largest
        self.statuses: set[int] = set()
        self._port, self._is_over = port, False
        self._silent: list[socket.socket] = []
        Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        headers = ({}, {"Accept": "application/openmetrics-text"}, {"Accept-Encoding": "gzip"})
        while not self._is_over:
            for each in headers:
                try:
                    silent = socket.create_connection(("127.0.0.1", self._port))
                    lines = "".join(f"{name}: {value}\r\n" for name, value in each.items())
                    silent.sendall(f"GET /metrics HTTP/1.1\r\n{lines}\r\n".encode())
                    self._silent = [*self._silent[-40:], silent]
                    request = urllib.request.Request(f"http://127.0.0.1:{self._port}/metrics", headers=each)
                    with urllib.request.urlopen(request, timeout=60) as page:
                        self.answer = max(self.answer, len(page.read()))
                        self.statuses.add(page.status)
                except urllib.error.HTTPError as error:
                    self.statuses.add(error.code)
                except OSError:
                    time.sleep(0.1)

    def close(self) -> None:
        self._is_over = True


def measure(name: str, make: object, logs: int, more: str = "") -> tuple[str, ...]:
    with tempfile.TemporaryDirectory(prefix="qps-worst-") as directory:
        root = Path(directory)
        ends = Ends(root)
        tables = "".join(f"[output.{each}]\n{OUTPUTS[each](ends)}" for each in OUTPUTS)
        port = int(re.search(r"listen = .*:(\d+)", tables)[1])
        ends._pages.clear()
        paths = [root / f"{number}.log" for number in range(logs)]
        for path in paths:
            path.touch()
        tables += "".join(f'[log.l{number}]\npath = "{path}"\n' for number, path in enumerate(paths))
        config = root / "qps-reporter.toml"
        config.write_text(f'interval = "{INTERVAL}s"\nstate = "{root}/state"\n{more}\n{tables}')
        with service("--config", str(config), core=0) as process:
            ends.take(time.monotonic() + 3)
            clients, written = Clients(port), 0
            begun = time.monotonic()
            for turn in range(WINDOWS + 1):
                for number, path in enumerate(paths):
                    routes = [make(each + ROUTES * number) for each in range(ROUTES)]
                    if name == "long":
                        routes = ROUTES_OF.setdefault(number, routes)
                    with path.open("ab") as file:
                        for line in (everything if turn else requests)(routes):
                            file.write(line)
                            written += line.count(b"\n")
                    ends.take(time.monotonic() + 0.01)
                ends.take(time.monotonic() + INTERVAL)
            ends.take(time.monotonic() + INTERVAL)
            clients.close()
            text = Path(f"/proc/{process.pid}/status").read_text() if process.poll() is None else ""
            peak = re.search(r"VmHWM:\s+(\d+)", text)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            while process.poll() is None:
                ends.take(time.monotonic() + 0.1)
            said = process.stderr.read()
        size = sum(each.stat().st_size for each in (root / "state").glob("ledger.db*"))
        found = re.search(r"stopped; (\d+) requests", said)
        import sqlite3

        with sqlite3.connect(root / "state" / "ledger.db") as ledger:
            [[rows]] = ledger.execute("SELECT count(*) FROM totals")
        if not found or int(found[1]) != written:
            print(said[-2000:], written, file=sys.stderr)
        return (
            name,
            str(logs),
            f"{written:,}",
            f"{rows:,}",
            f"{clients.answer / 1e6:.1f} {clients.statuses}",
            f"{size / 1e6:.1f}",
            f"{int(peak[1]) / 1000:.0f}" if peak else "gone",
        )


ROUTES_OF: dict[int, list[bytes]] = {}

if __name__ == "__main__":
    more = " ".join(sys.argv[2:])
    chosen = [SHAPES[int(each)] for each in sys.argv[1].split(",")] if len(sys.argv) > 1 else SHAPES
    print(markdown(HEAD, [measure(*shape, more) for shape in chosen]))
