"""What each output adds to the service: CPU and resident memory, beside the service without any.

10,000 lines a second over 1,000 routes for 20 seconds, in ten writes a second; a report each second, so there
are twenty of them, each with 1,000 rows. Every output has a receiver on loopback, in this process and on
another core, that takes everything and throws it away; Prometheus scrapes once a second. One run follows the
other, each with a log and a ledger of its own. A receiver that got nothing, or a line that was not counted,
is an error.
"""

import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from benchmarks.agreement import DisagreementError
from benchmarks.figures import markdown
from benchmarks.processes import FailedError, memory, service, use

ROUTES = 1000
STEPS = 10  # writes a second, each with a line a route
SECONDS = 20
LINES = ROUTES * STEPS * SECONDS
SETTLE = 3.0  # seconds; it has started, whatever it does first
GRACE = 1.5  # seconds; longer than the pause between two looks
BLOCK = b"".join(b"10.0.0.1\tGET /shop/item/%d\t200\t512\n" % number for number in range(ROUTES))
HEAD = ("outputs", "CPU s", "added", "ms a report", "RSS MB", "added")


class Ends:
    """The receivers of one run. Each of the first four methods opens one and gives its table's text."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sockets: list[socket.socket] = []
        self._files: list[Path] = []
        self._pages: list[int] = []  # ports to scrape
        self._scraper: Thread | None = None
        self.taken: dict[str, int] = {}  # bytes, by receiver

    def datagrams(self) -> str:
        """A UDP socket."""
        return self._receiver(socket.SOCK_DGRAM)

    def stream(self) -> str:
        """A TCP listener."""
        text = self._receiver(socket.SOCK_STREAM)
        self._sockets[-1].listen()
        return text

    def page(self) -> str:
        """A page to be scraped, at a port that was free a moment ago."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._pages.append(free.getsockname()[1])
        self.taken[f"page {self._pages[-1]}"] = 0
        return f'listen = "127.0.0.1:{self._pages[-1]}"\n'

    def file(self) -> str:
        """A file."""
        self._files.append(self._root / f"{len(self._files)}.prom")
        return f'path = "{self._files[-1]}"\n'

    def let_pages_be(self) -> None:
        """Somebody else scrapes them."""
        self._pages.clear()

    def take(self, until: float) -> None:
        """Throw away what comes until then, `time.monotonic()`; scrape once."""
        if self._pages and not (self._scraper and self._scraper.is_alive()):
            self._scraper = Thread(target=self._scrape, daemon=True)
            self._scraper.start()
        while (left := until - time.monotonic()) > 0:
            for each in select.select(self._sockets, (), (), left)[0]:
                self._take_from(each)

    def close(self) -> None:
        """Let go of all; raise FailedError where nothing came."""
        if self._scraper:
            self._scraper.join()
        for each in self._sockets:
            each.close()
        self.taken |= {path.name: path.stat().st_size if path.exists() else 0 for path in self._files}
        empty = [name for name, size in self.taken.items() if not size]
        if empty:
            raise FailedError(f"outputs: nothing came to {', '.join(empty)}")

    def _receiver(self, kind: socket.SocketKind) -> str:
        made = socket.socket(socket.AF_INET, kind)
        made.bind(("127.0.0.1", 0))
        self._sockets.append(made)
        port = made.getsockname()[1]
        self.taken[f"port {port}"] = 0
        return f'host = "127.0.0.1"\nport = {port}\n'

    def _take_from(self, each: socket.socket) -> None:
        if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            self._sockets.append(each.accept()[0])
            return
        data = each.recv(1 << 20)
        self.taken[f"port {each.getsockname()[1]}"] += len(data)
        if not data:
            self._sockets.remove(each)
            each.close()

    def _scrape(self) -> None:
        for port in self._pages:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
                self.taken[f"page {port}"] += len(page.read())


# By output, as the settings name them.
OUTPUTS: dict[str, Callable[[Ends], str]] = {
    "prometheus": Ends.page,
    "ganglia": Ends.datagrams,
    "statsd": Ends.datagrams,
    "graphite": Ends.stream,
    "json": Ends.file,
    "textfile": Ends.file,
}


class Cost(NamedTuple):
    """Of a run."""

    cpu: float  # seconds
    rss: float  # MB


def measure(names: Iterable[str], core: int) -> Cost:
    """The service with these outputs. Raises DisagreementError where a line was missed, and FailedError."""
    with tempfile.TemporaryDirectory(prefix="qps-outputs-") as directory:
        root = Path(directory)
        ends = Ends(root)
        log, config = root / "access.log", root / "qps-reporter.toml"
        log.touch()
        tables = "".join(f"[output.{name}]\n{OUTPUTS[name](ends)}" for name in names)
        about = f'path = "{log}"\nstart = "start"\nmax_routes = {2 * ROUTES}\n'
        config.write_text(f'interval = "1s"\nstate = "{root}/state"\n[log.access]\n{about}{tables}')
        with _service(config, core) as process:
            ends.take(time.monotonic() + SETTLE)
            before = use([process.pid])
            _write(log, ends)
            if process.poll() is None:
                cpu = (use([process.pid]) - before).cpu
                rss, _ = memory([process.pid])
                process.send_signal(signal.SIGTERM)
            while process.poll() is None:
                ends.take(time.monotonic() + 0.1)
            assert process.stderr is not None
            said = process.stderr.read()
        found = re.search(r"stopped; (\d+) requests", said)
        if not found:
            raise FailedError(f"qps-reporter run: {said.strip()}")
        ends.close()
    if int(found[1]) != LINES:
        raise DisagreementError(f"outputs: expected {LINES} lines, found {found[1]}")
    return Cost(cpu, rss)


@contextmanager
def _service(config: Path, core: int) -> Iterator["subprocess.Popen[str]"]:
    with service("--config", str(config), core=core) as process:
        try:
            yield process
        finally:
            process.kill()


def _write(log: Path, ends: Ends) -> None:
    begun = time.monotonic()
    with log.open("ab", buffering=0) as file:
        for step in range(STEPS * SECONDS):
            file.write(BLOCK)
            ends.take(begun + (step + 1) / STEPS)
    ends.take(time.monotonic() + GRACE)


def table(core: int, other: int, say: Callable[[str], None]) -> str:
    """All of it, as Markdown."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {other})
    try:
        alone = measure((), core)
        rows = [row("none", alone, None)]
        for name, names in {**{name: [name] for name in OUTPUTS}, "all": list(OUTPUTS)}.items():
            rows.append(row(name, measure(names, core), alone))
            say(f"outputs: {name}")
    finally:
        os.sched_setaffinity(0, allowed)
    traffic = f"{ROUTES * STEPS:,} lines a second over {ROUTES:,} routes for {SECONDS} s"
    return f"outputs: {traffic}, a report each second\n\n{markdown(HEAD, rows)}"


def row(name: str, cost: Cost, alone: Cost | None) -> tuple[str, ...]:
    """Of the table; what is added is the difference from the service without outputs."""
    if alone is None:
        return (name, f"{cost.cpu:.2f}", "", "", f"{cost.rss:.1f}", "")
    cpu, rss = cost.cpu - alone.cpu, cost.rss - alone.rss
    milliseconds = f"{cpu / SECONDS * 1000:.1f}"
    return (name, f"{cost.cpu:.2f}", f"{cpu:+.2f}", milliseconds, f"{cost.rss:.1f}", f"{rss:+.1f}")
