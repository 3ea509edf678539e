"""A siege: a hostile client, a hostile local user, hostile scrapers and bad days, all at once, for as long as
one likes. `python -m tests.fault.siege MINUTES` prints a line a minute.

What is true is what was written: every line that ends, and the lines of honest visitors by route and status.
Asked at any time, the service says just that. Beside it stands what a siege may not bring about: memory
without bound, a report that is missing or late, an honest scrape without an answer.

There are two logs. One this program writes itself, so that there is nothing that its lines can't hold, and it
rotates it in every mode. The other is the real nginx's; what comes through there is what nginx lets through.
"""

import gzip
import http.client
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import string
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.fault.program import GUARD, ROOT, Process, Site, Twin, free_port, until
from tests.fault.servers import Server
from tests.fault.web_servers import NGINX_HEAD, nginx
from tests.receivers import HANGING, Receivers, tables

MEMORY = 256  # MiB, the unit's MemoryMax
NOBODY = 65534
HONEST = [(b"/honest/%d" % number, status) for number in range(40) for status in (200, 404)]
HOSTILE_STATUSES = (400, 403, 405, 408, 413, 414, 431, 499, 501)
# A rule as people write them, whose time grows with the fourth power of a target's length.
RULE = "[[log.own.route]]\nmatch = '(.*)/(.*)/(.*)\\.php$'\nname = \"/php\"\n"
KEPT = 6  # rotated files
PATIENCE = 10  # scrapes until a backlog is gone
MIB = 1 << 20


# --- what a client sends


class Request(NamedTuple):
    """Of a client of the web server: whatever it likes."""

    method: bytes
    target: bytes


Chance = random.Random


def long_routes(chance: Chance) -> Request:
    """Distinct ones, as long as they may be."""
    return Request(b"GET", b"/%016x/" % chance.getrandbits(64) + b"x" * 1000)


def short_routes(chance: Chance) -> Request:
    """Distinct ones, and many."""
    return Request(b"GET", b"/wp-%08x.php" % chance.getrandbits(32))


def invented_methods(chance: Chance) -> Request:
    """For what honest visitors ask for, too: never GET, or nobody could tell them from these."""
    letters = "".join(chance.choices(string.ascii_uppercase, k=chance.randint(1, 12)))
    method = "GETS" if letters == "GET" else letters
    return Request(method.encode(), chance.choice([b"/", chance.choice(HONEST)[0]]))


def slashes(chance: Chance) -> Request:
    """Against a rule whose time grows with their number."""
    return Request(b"GET", b"/" * chance.randint(900, 1020) + b"%d" % chance.getrandbits(20))


def percent_encodings(chance: Chance) -> Request:
    """Of letters, of nothing, of halves of characters."""
    return Request(b"GET", b"/" + b"".join(b"%%%02x" % chance.randrange(256) for _ in range(40)) + b"%")


def look_alikes(chance: Chance) -> Request:
    """Characters without a glyph, behind an honest visitor's route."""
    blanks = "\u3164\u115f\uffa0\u2800\u034f\ufe0f\u200b\u202e"
    return Request(b"GET", chance.choice(HONEST)[0] + chance.choice(blanks).encode() * chance.randint(1, 9))


def quotes(chance: Chance) -> Request:
    """What ends a field in some format, or a cell."""
    parts = [b'"', b"'", b"\\", b"=1+1", b"' 200 10", b'" 200 10 "', b"{", b";", b"\x1b[2J", b"`id`"]
    return Request(b"GET", b"/" + b"".join(chance.choices(parts, k=6)))


REQUESTS: Sequence[Callable[[Chance], Request]] = (
    *(long_routes, short_routes, invented_methods, slashes, percent_encodings, look_alikes, quotes),
)
TLS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32, 127))


def lines(chance: Chance) -> Iterator[bytes]:
    """Of a log that a client has filled, without end."""
    while True:
        method, target = chance.choice(REQUESTS)(chance)
        yield b"203.0.113.9\t%b %b\t%d\t%d\n" % (method, target, chance.choice(HOSTILE_STATUSES), 10**9)
        odd = chance.random()
        if odd < 0.01:
            yield chance.randbytes(200).replace(b"\n", b"") + b"\n"
        elif odd < 0.02:
            yield b"203.0.113.9\t%b\t400\t150\n" % TLS
        elif odd < 0.0205:
            yield b"203.0.113.9\tGET /" + b"y" * 300_000 + b"\t414\t10\n"


# --- who writes logs


class Truth:
    """What was written to one log."""

    def __init__(self) -> None:
        self.lines = 0
        self.honest: Counter[tuple[str, int]] = Counter()


class Web:
    """A log that is written. Who holds `gate` sees nothing come in between."""

    name: str
    format = "default"

    def __init__(self, directory: Path) -> None:
        self.log = directory / f"{self.name}.log"
        self.gate = threading.RLock()
        self.truth = Truth()
        # Waits, with the gate held, until the service has counted all that is written.
        self.until_counted: Callable[[], object] = lambda: None
        self._rotations = itertools.count(1)
        self._rotated: list[Path] = []

    def work(self, chance: Chance) -> None:
        """A little of what is to be written."""
        raise NotImplementedError

    def greet(self) -> None:
        """One of each honest request: what is known before the siege keeps its name in it."""
        raise NotImplementedError

    def settle(self) -> None:
        """With the gate held: until all is written that was asked for."""

    def rotate(self) -> None:
        """In the next mode."""
        raise NotImplementedError

    def close(self) -> None:
        """No more comes."""

    def _next(self) -> Path:
        return self.log.with_name(f"{self.log.name}.{10**9 + next(self._rotations)}")

    def _keep(self, path: Path) -> None:
        """As many as logrotate would."""
        self._rotated.append(path)
        if len(self._rotated) > KEPT:
            self._rotated.pop(0).unlink()


class OwnWeb(Web):
    """This program: honest lines, and whatever a client can bring about."""

    name = "own"

    def __init__(self, directory: Path, batch: int) -> None:
        """`batch`: lines at once."""
        super().__init__(directory)
        self._batch = batch
        self._open = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._late: int | None = None  # a rotated file that is written to still
        self._modes = itertools.cycle((self._renames, self._compresses, self._copies, self._moves_away))
        self._numbers = itertools.count()
        self._hostile = lines(random.Random(1))

    def work(self, chance: Chance) -> None:
        with self.gate:
            batch = [*itertools.islice(self._hostile, self._batch), *self.honest(chance, self._batch // 4)]
            self._write(self._open, batch)
            if self._late is not None:
                self._write(self._late, [*self.honest(chance, 3)])

    def greet(self) -> None:
        self._write(self._open, [self._line(*each) for each in HONEST])

    def honest(self, chance: Chance, count: int) -> Iterator[bytes]:
        """Lines of honest visitors."""
        for _ in range(count):
            yield self._line(*chance.choice(HONEST))

    def _line(self, route: bytes, status: int) -> bytes:
        """Told from all others, by its query."""
        self.truth.honest[route.decode(), status] += 1
        return b"10.0.0.1\tGET %b?n=%d\t%d\t10\n" % (route, next(self._numbers), status)

    def _write(self, descriptor: int, batch: list[bytes]) -> None:
        left = memoryview(b"".join(batch))
        self.truth.lines += len(batch)
        while left:
            left = left[os.write(descriptor, left) :]

    def rotate(self) -> None:
        with self.gate:
            if self._late is not None:
                os.close(self._late)
                self._late = None
            self._keep(next(self._modes)())

    def _renames(self) -> Path:
        path = self._next()
        os.rename(self.log, path)
        self._late = self._open
        self._open = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        return path

    def _compresses(self) -> Path:
        """As gzip does, with the plain file's times."""
        path = self._renames()
        assert self._late is not None
        os.close(self._late)
        self._late = None
        packed = path.with_name(f"{path.name}.gz")
        status = path.stat()
        with path.open("rb") as plain, gzip.open(packed, "wb", 1) as archive:
            shutil.copyfileobj(plain, archive)
        os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
        path.unlink()
        return packed

    def _copies(self) -> Path:
        """A text that was there for less than a look is nobody's: the log is read before. Some lines are in
        the copy alone."""
        self.until_counted()
        self._write(self._open, [*self.honest(random.Random(3), 20)])
        path = self._next()
        shutil.copyfile(self.log, path)
        os.truncate(self.log, 0)
        return path

    def _moves_away(self) -> Path:
        path = self.log.parent / "old" / self._next().name
        path.parent.mkdir(exist_ok=True)
        os.rename(self.log, path)
        os.close(self._open)
        self._open = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        return path

    def close(self) -> None:
        with self.gate:
            for descriptor in (self._open, self._late):
                if descriptor is not None:
                    os.close(descriptor)


CONFIGURATION = (
    NGINX_HEAD.replace("worker_processes 1", "worker_processes 2")
    + """
    client_header_timeout 2s;
    log_format siege '{format}';
    access_log {log} siege;
    server {{
        listen 127.0.0.1:{port};
        location /honest/ {{ return 200 "ok\\n"; }}
        location / {{ return 404 "no\\n"; }}
    }}
}}
"""
)


class Nginx(Web):
    """The real one, asked by honest visitors and by hostile ones."""

    name = "nginx"
    format = r"$remote_addr\t$request\t$status\t$body_bytes_sent"

    def __init__(self, directory: Path, batch: int) -> None:
        """`batch`: requests at once."""
        super().__init__(directory)
        self._batch = batch
        self._written = 0  # lines in files that are rotated, and no longer written to
        self._port = free_port()
        prefix = directory.parent / "nginx"
        prefix.mkdir()
        command = nginx(prefix, CONFIGURATION, log=self.log, format=self.format, port=self._port)
        self._server = Server(command, prefix, self._port)
        until(self.log.exists, "nginx's log")
        self._visitor = http.client.HTTPConnection("127.0.0.1", self._port, timeout=GUARD)

    def work(self, chance: Chance) -> None:
        with self.gate:
            for _ in range(self._batch):
                self._hostile(chance)
            for _ in range(self._batch):
                self._visit(chance.choice(HONEST)[0].decode())

    def greet(self) -> None:
        for route in sorted({route for route, _ in HONEST}):
            self._visit(route.decode())

    def _visit(self, route: str) -> None:
        self._visitor.request("GET", route)
        answer = self._visitor.getresponse()
        assert (answer.status, answer.read()) == (200, b"ok\n")
        self.truth.honest[route, 200] += 1

    def _hostile(self, chance: Chance) -> None:
        """One connection: most end their request and read the answer, some do neither."""
        method, target = chance.choice(REQUESTS)(chance)
        text = b"%b %b HTTP/1.1\r\nHost: us\r\nConnection: close\r\n\r\n" % (method, target)
        odd = chance.random()
        if odd < 0.05:
            text = chance.choice([TLS, chance.randbytes(100), text[: len(text) // 2], b"\n" * 9])
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), GUARD) as connection:
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            if odd > 0.1:
                while connection.recv(4096):
                    pass

    def settle(self) -> None:
        """Nothing comes any more: no connection is open but the visitor's, and the workers wrote all."""
        sizes = [-1, *(self.log.stat().st_size for _ in range(1))]
        while sizes[-1] != sizes[-2]:
            time.sleep(0.3)
            sizes.append(self.log.stat().st_size)
        self.truth.lines = self._written + _newlines(self.log)

    def rotate(self) -> None:
        with self.gate:
            path = self._next()
            os.rename(self.log, path)
            self._server.process.send_signal(signal.SIGUSR1)
            until(self.log.exists, "nginx's new log")
            for _ in range(20):  # each worker reopens it when it comes to that
                self._visit("/honest/0")
            until(lambda: not _is_open(path, self._server.process.pid), "nginx's workers")
            self._written += _newlines(path)
            self._keep(path)

    def close(self) -> None:
        with self.gate:
            self._visitor.close()
            self._server.close()


def _newlines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(MIB), b""))


def _is_open(path: Path, master: int) -> bool:
    """Whether a process of nginx's has it open."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    for process in [str(master), *children]:
        for link in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                if os.readlink(link) == str(path):
                    return True
    return False


# --- who else is there


def vandal(directory: str, files: int) -> None:
    """A local user who may write beside the logs: files that are named like rotations, with lines like
    theirs, damaged archives, links, pipes and directories; renamed, appended to and removed, without end."""
    chance, mine = random.Random(2), list[str]()
    text = b"10.0.0.1\tGET /honest/1\t200\t10\n" * 20
    for number in itertools.count():
        log = chance.choice(("own.log", "nginx.log"))
        suffix = chance.choice((".%d", "-2026%04d", ".%d.gz", ".%d.xz", ".%d.zst")) % (number % 9999)
        path = f"{directory}/{log}{suffix}"
        with suppress(OSError):
            what = chance.randrange(20)
            if what < 4 and mine:
                os.rename(mine[-1], path)
                mine[-1] = path
            elif what == 5:
                os.symlink("/etc/passwd", path)
            elif what == 6:
                os.mkfifo(path)
            elif what == 7:
                os.mkdir(path)
            else:
                with open(path, "ab") as file:
                    file.write(gzip.compress(text)[: chance.choice((40, 1000))] if "z" in suffix else text)
            mine.append(path)
        while len(mine) > files:
            gone = mine.pop(0)
            with suppress(OSError):
                os.rmdir(gone) if os.path.isdir(gone) else os.unlink(gone)
        time.sleep(0.005)


SCRAPE_TIMEOUT = 10.0  # seconds, Prometheus' default


class Scrapers:
    """Clients of the metrics: one that is honest, and as many others as one likes."""

    def __init__(self, port: int, patience: float) -> None:
        self._port = port
        self._patience = patience  # seconds, of the honest one
        self.answered = 0  # of the honest one
        self.failures: list[str] = []  # why it was not
        self.seconds: list[float] = []  # until each of its answers was there

    def ask(self) -> str:
        """As Prometheus does; the text, empty where none came."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._patience)
        began = time.monotonic()
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status == 200:
                self.answered += 1
                self.seconds.append(time.monotonic() - began)
                return text
            self.failures.append(f"{answer.status} {text[:80]}")
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(repr(error))
        finally:
            connection.close()
        return ""

    def assail(self, chance: Chance) -> None:
        """One way to keep the listener busy."""
        whole = b"GET /metrics HTTP/1.1\r\nHost: us\r\n\r\n"
        with suppress(OSError), ExitStack() as stack:

            def connected() -> socket.socket:
                return stack.enter_context(socket.create_connection(("127.0.0.1", self._port), 1))

            match chance.randrange(7):
                case 0:  # a byte at a time
                    connection = connected()
                    for byte in whole:
                        connection.send(bytes([byte]))
                        time.sleep(0.01)
                case 1:  # half of a request
                    connected().send(whole[: chance.randrange(len(whole))])
                    time.sleep(0.3)
                case 2:  # never reads
                    connection = connected()
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    connection.send(whole)
                    time.sleep(1)
                case 3:  # many
                    for _ in range(100):
                        connected()
                case 4:  # a flood of scrapes, packed and not
                    for number in range(10):
                        connected().send(
                            whole if number % 2 else whole[:-2] + b"Accept-Encoding: gzip\r\n\r\n"
                        )
                case 5:  # an endless head
                    connection = connected()
                    for _ in range(100):
                        connection.send(b"X: " + b"y" * 1000 + b"\r\n")
                case _:
                    other = whole.replace(b"GET", b"EAT")
                    connected().send(chance.choice([TLS, chance.randbytes(100), other]))


# --- the siege


class Reports:
    """What the service prints: taken in as it comes, and let go."""

    def __init__(self, end: int) -> None:
        self._end = end
        self.numbers: dict[str, list[int]] = {}  # by log: of each report
        self.seconds: list[float] = []  # their windows' lengths
        self.lines: Counter[str] = Counter()  # requests and rejected ones, by log
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with open(self._end, "rb") as text:
            for line in text:
                report = json.loads(line)
                self.numbers.setdefault(report["log"], []).append(report["sequence"])
                self.lines[report["log"]] += report["requests"] + report["rejected"]
                self.seconds.append(report["seconds"])

    def join(self) -> None:
        """After the end of the process."""
        self._reader.join(GUARD)


class Fortress(Site):
    """The service with all outputs on, beside the logs that are besieged."""

    def __init__(self, root: Path, *twins: Twin, webs: Sequence[Web], interval: int, port: int) -> None:
        super().__init__(root, *twins, interval=f"{interval}s", logs=webs[0].log.parent, flags=["--json"])
        self.receivers = Receivers(root)
        ends = {name: end for name, end in HANGING.items() if name != "prometheus"}
        logs = "".join(
            f'[log.{web.name}]\npath = "{web.log}"\nstart = "start"\nformat = "{web.format}"\n'
            for web in webs
        )
        self.config.write_text(
            f'interval = "{interval}s"\nstate = "{self.state}"\n{logs}{RULE}'
            f'[output.prometheus]\nlisten = "127.0.0.1:{port}"\n{tables(ends, self.receivers)}'
        )

    def close(self) -> None:
        super().close()
        self.receivers.close()


class Minute(NamedTuple):
    """What the siege came to so far."""

    number: int
    resident: int  # MiB, now
    peak: int  # MiB
    cpu: float  # of the service, a share of one processor's time in this minute
    longest: float  # window of this minute, in intervals
    scrapes: str  # answered, of those that were sent
    median: float  # seconds until an honest scrape of this minute was answered
    slowest: float  # seconds, likewise
    lines: str  # counted, of those that were written, by log

    def __str__(self) -> str:
        return (
            f"{self.number:6} {self.resident:8} {self.peak:5} {self.cpu:6.1%} {self.longest:9.2f} "
            f"{self.scrapes:>9} {self.median:7.2f} {self.slowest:8.2f}  {self.lines}"
        )


HEAD = (
    "minute resident  peak    CPU  longest   scrapes  median  slowest  lines counted of those written\n"
    + ("            MiB   MiB          window  answered       s        s")
)


class Siege:
    """All of it, around one process."""

    def __init__(
        self, site: Fortress, webs: Sequence[Web], port: int, interval: int, patience: float
    ) -> None:
        self._site, self._webs, self._interval = site, webs, interval
        self._scrapers = Scrapers(port, patience)
        self._stopping = threading.Event()
        self._faults: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self.minutes: list[Minute] = []
        read_end, write_end = os.pipe()
        self._process: Process = site.start(stdout=write_end)
        os.close(write_end)
        self._reports = Reports(read_end)
        self._process.told("READY=1")
        for web in webs:
            web.until_counted = partial(self._until_counted, web)
        self._cpu, self._at = self._cpu_time(), time.monotonic()
        self._seen = self._asked = 0  # windows and scrapes of the minutes before

    def begin(self, *, rotated_every: float, scrapers: int) -> None:
        """Let everybody loose. `rotated_every`: seconds."""
        for web in self._webs:
            web.greet()
            web.settle()
            self._until_counted(web)
        for web in self._webs:
            self._often(web.work, 0.02)
            self._often(lambda chance, web=web: web.rotate(), rotated_every)  # type: ignore[misc]
        for _ in range(scrapers):
            self._often(self._scrapers.assail, 0.01)
        self._often(lambda chance: self._scrapers.ask(), 1)
        self._often(self._reload, rotated_every / 2)

    def _often(self, what: Callable[[Chance], object], pause: float) -> None:
        chance = random.Random(len(self._threads))

        def go_on() -> None:
            try:
                while not self._stopping.wait(pause):
                    what(chance)
            except BaseException as error:  # it is the siege's, and ends it
                self._faults.append(error)

        self._threads.append(threading.Thread(target=go_on, daemon=True))
        self._threads[-1].start()

    def _reload(self, chance: Chance) -> None:
        """A storm of them."""
        for _ in range(chance.randint(1, 20)):
            self._process.process.send_signal(signal.SIGHUP)
            time.sleep(0.002)

    def wait(self, seconds: float) -> None:
        """Look at it when so much has passed."""
        time.sleep(seconds)
        if self._faults:
            raise self._faults[0]
        assert self._process.process.poll() is None, f"it ended: {self._site.stderr[-2000:]}"
        with ExitStack() as stack:
            for web in self._webs:
                stack.enter_context(web.gate)
            for web in self._webs:
                web.settle()
            for web in self._webs:
                self._until_counted(web)
            counted = self._counted()
            written = {web.name: web.truth.lines for web in self._webs}
        cpu, at = self._cpu_time(), time.monotonic()
        seen, asked = len(self._reports.seconds), len(self._scrapers.seconds)
        waited = self._scrapers.seconds[self._asked : asked] or [0.0]
        self.minutes.append(
            Minute(
                len(self.minutes) + 1,
                self._memory("VmRSS"),
                self._memory("VmHWM"),
                (cpu - self._cpu) / (at - self._at),
                max(self._reports.seconds[self._seen : seen], default=0) / self._interval,
                f"{self._scrapers.answered}/{self._scrapers.answered + len(self._scrapers.failures)}",
                statistics.median(waited),
                max(waited),
                ", ".join(f"{name} {counted[name]}/{number}" for name, number in written.items()),
            )
        )
        self._cpu, self._at, self._seen, self._asked = cpu, at, seen, asked
        assert counted == written
        self.check()

    def _counted(self) -> dict[str, int]:
        """Lines of each log, as a scrape tells now; none where it is not answered."""
        text = self._scrapers.ask()
        found = re.findall(r'^qps_reporter_lines_total{log="(\w+)"} ([0-9.e+]+)$', text, re.MULTILINE)
        return {name: int(float(number)) for name, number in found}

    def _until_counted(self, web: Web) -> None:
        """A scrape has all that was written before it, but for a backlog."""
        for _ in range(PATIENCE):
            if self._counted().get(web.name) == web.truth.lines:
                return
        assert self._counted() == {web.name: web.truth.lines}, f"{web.name} is not counted"

    def check(self) -> None:
        """So far."""
        peak = self._memory("VmHWM")
        assert peak <= MEMORY, f"{peak} MiB were resident"
        assert not self._scrapers.failures, f"scrapes were not answered: {self._scrapers.failures[:3]}"
        longest = max(self._reports.seconds, default=0)
        assert longest <= 2 * self._interval, f"a window of {longest} s"

    def stop(self) -> None:
        """Nobody writes any more, whatever happened; a second time does nothing."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(GUARD)
            assert not thread.is_alive(), "it would write to files of others"

    def end(self) -> None:
        """Lift it, and look at all that came of it."""
        self.stop()
        assert not self._faults, self._faults
        for web in self._webs:
            web.settle()
        self.check()
        self._process.stop()
        self._reports.join()
        for web in self._webs:
            numbers = self._reports.numbers[web.name]
            assert numbers == list(range(1, len(numbers) + 1)), f"reports of {web.name}: {numbers}"
            assert self._reports.lines[web.name] == web.truth.lines
            counted = self._site.query(
                "SELECT log, sum(requests) FROM totals GROUP BY log UNION ALL "
                "SELECT log, sum(lines) FROM rejects GROUP BY log"
            )
            assert sum(number for name, number in counted if name == web.name) == web.truth.lines
            rows = self._site.query(
                "SELECT log || ' ' || route || ' ' || status, requests FROM totals WHERE method = 'GET'"
            )
            honest = web.truth.honest.items()
            wanted = {f"{web.name} {route} {status}": count for (route, status), count in honest}
            found = dict(rows)
            wrong = {key: (found.get(key), count) for key, count in wanted.items() if found.get(key) != count}
            assert not wrong, f"found and written: {dict(list(wrong.items())[:5])}"
        assert "has a fault" not in self._site.stderr
        assert "possible loss" not in self._site.stderr, self._site.stderr[-2000:]

    def _memory(self, what: str) -> int:
        status = Path(f"/proc/{self._process.process.pid}/status").read_text()
        found = re.search(rf"^{what}:\s+(\d+) kB$", status, re.MULTILINE)
        assert found
        return int(found[1]) // 1024

    def _cpu_time(self) -> float:
        fields = Path(f"/proc/{self._process.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def besieged(
    root: Path, *twins: Twin, interval: int, batch: int, with_nginx: bool, patience: float
) -> Iterator[Siege]:
    """A service, and what stands around it. `interval` in seconds; `batch`: what is written at once;
    `patience`: seconds after which a scrape is given up."""
    directory = root / "logs"
    directory.mkdir()
    with ExitStack() as stack:
        webs: list[Web] = [OwnWeb(directory, batch)]
        stack.callback(webs[0].close)
        if with_nginx:
            webs.append(Nginx(directory, max(1, batch // 20)))
            stack.callback(webs[1].close)
        if os.geteuid() == 0:
            directory.chmod(0o1777)
            local_user = subprocess.Popen(
                [sys.executable, "-m", "tests.fault.siege", "vandal", str(directory), "300"],
                cwd=ROOT,
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
            )
            stack.callback(local_user.wait)
            stack.callback(local_user.kill)
        port = free_port()
        site = Fortress(root / "site", *twins, webs=webs, interval=interval, port=port)
        stack.callback(site.close)
        one = Siege(site, webs, port, interval, patience)
        stack.callback(one.stop)
        yield one


def campaign(minutes: int) -> None:
    """A minute is a line."""
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp", prefix="siege-") as root,
        besieged(Path(root), interval=10, batch=60, with_nginx=True, patience=SCRAPE_TIMEOUT) as siege,
    ):
        Path(root).chmod(0o755)
        print(HEAD, flush=True)  # noqa: T201 - that is what it is for
        siege.begin(rotated_every=15, scrapers=4)
        for number in range(minutes):
            try:
                siege.wait(60)
            finally:
                print(*siege.minutes[number:], sep="\n", flush=True)  # noqa: T201 - likewise
        siege.end()
    print(f"{minutes} minutes: every line counted once, every report, every scrape")  # noqa: T201 - likewise


if __name__ == "__main__":
    if sys.argv[1] == "vandal":
        vandal(sys.argv[2], int(sys.argv[3]))
    campaign(int(sys.argv[1]))
