"""The program from outside: its process, systemd's end of the notification socket, its ledger, an oracle.

Each line has a number for its route, so that the ledger's totals tell how often each was counted. Nothing
here waits but for what must come: a datagram, or the end of a process.
"""

import itertools
import json
import os
import queue
import re
import select
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
WRONG = r"(lost|counted too often) \d+: "  # what `Site.check` says of any other count
GUARD = 60  # seconds after which a test hangs for good
# Each process that shares the tests has its own, below those that the kernel gives to connections (32768).
_PORTS = itertools.count(20_000 + 2_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]))
Twin = Callable[..., object]  # of broken.py, or a follower of twins.py
UNFIT = "the twin does not fit"  # what broken.py says of one that breaks nothing any longer


def command(*arguments: str | Path, twins: Sequence[Twin] = ()) -> list[str]:
    """The program with these arguments, broken in these ways."""
    module = ["tests.fault.broken", ",".join(twin.__name__ for twin in twins)] if twins else ["qps_service"]
    return [sys.executable, "-m", *module, *map(str, arguments)]


def run_program(
    *arguments: str | Path, twins: Sequence[Twin] = (), stdout: int = subprocess.PIPE, **options: Any
) -> "subprocess.CompletedProcess[str]":
    """The program until it ends by itself."""
    done = subprocess.run(
        command(*arguments, twins=twins),
        cwd=ROOT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=GUARD,
        **options,
    )
    assert UNFIT not in done.stderr, done.stderr
    return done


def simulator(log: Path, options: str) -> subprocess.Popen[bytes]:
    """Writes the log, and its truth beside it."""
    truth = log.with_suffix(".truth")
    arguments = command("simulate", "-o", log, "--truth", truth, *shlex.split(options))
    return subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.DEVNULL)


def simulated(log: Path, options: str) -> list[dict[str, Any]]:
    """The same until its end; the truth's rows."""
    assert simulator(log, options).wait(GUARD) == 0
    return truth(log)


def truth(log: Path) -> list[dict[str, Any]]:
    """Of a log that a simulator has written: method, route, status, requests and bytes of each row."""
    rows: list[dict[str, Any]] = json.loads(log.with_suffix(".truth").read_text())["rows"]
    return rows


def free_port() -> int:
    """Free for UDP and TCP on 127.0.0.1; the next one of this process, so that no other test is given it."""
    for port in _PORTS:
        with (
            suppress(OSError),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket() as tcp,
        ):
            udp.bind(("127.0.0.1", port))
            tcp.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is always one more")


def until(
    condition: Callable[[], object], what: object = "", *, guard: float = 0, pause: float = 0.005
) -> None:
    """Ask again and again until it is so; `what`, or what it returns, tells what was waited for."""
    end = time.monotonic() + (guard or GUARD)
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what() if callable(what) else what}"
        time.sleep(pause)


class Process:
    """`qps-reporter run`, and systemd's end of its notification socket."""

    def __init__(
        self,
        root: Path,
        *arguments: str,
        prefix: Sequence[str] = (),
        twins: Sequence[Twin] = (),
        extra: Mapping[str, str] | None = None,
        stdin: IO[bytes] | int | None = None,
        stdout: IO[str] | int = subprocess.PIPE,
        stderr: IO[str] | int = subprocess.PIPE,
    ) -> None:
        """`prefix` is a command that runs the program in its own place; `extra` goes into the environment."""
        address = str(root / "notify")
        Path(address).unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self.process = subprocess.Popen(
            [*prefix, *command("run", *arguments, twins=twins)],
            cwd=ROOT,
            env={**os.environ, "NOTIFY_SOCKET": address, **(extra or {})},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )
        self._told: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        """Take every datagram at once, as systemd does: the kernel queues ten, and the sender waits."""
        end = os.pidfd_open(self.process.pid)
        poll = select.poll()
        poll.register(end, select.POLLIN)
        poll.register(self._socket, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self._socket.fileno() in ready:
                text, descriptors, *_ = socket.recv_fds(self._socket, 4096, 1)
                for descriptor in descriptors:  # for the store, which is not kept
                    os.close(descriptor)
                self._told.put(text.decode())
            elif end in ready:
                break
        self._told.put(None)
        os.close(end)
        self._socket.close()

    def next_told(self, beginning: str) -> str | None:
        """The next datagram to systemd that begins so; None if the process ends before."""
        while (text := self._told.get(timeout=GUARD)) is not None:
            if text.startswith(beginning):
                return text
        self._told.put(None)  # the next one who asks is told, too
        return None

    def told(self, beginning: str) -> str:
        """As `next_told`, of a process that has to live until then."""
        text = self.next_told(beginning)
        assert text is not None, f"it ended before {beginning}, with status {self.process.wait(GUARD)}"
        return text

    def has_counted(self, requests: int) -> bool:
        """Wait for a report after so many requests in all; whether it came before the process ended."""
        while text := self.next_told("STATUS="):
            if text.endswith(f"; {requests} requests in total"):
                return True
        return False

    def end(self) -> tuple[str, str]:
        """What it still prints to stdout and stderr until its end."""
        return self.process.communicate(timeout=GUARD)

    def stop(self) -> None:
        """An orderly end."""
        self.process.send_signal(signal.SIGTERM)
        self.end()
        assert self.process.returncode == 0, self.process.returncode

    def close(self) -> None:
        """No process is left, whatever happened; a second time does nothing."""
        self.process.kill()
        self.process.communicate()
        self._listener.join(GUARD)


class Writer:
    """An open log, written to as a web server does: O_APPEND, and through renames."""

    def __init__(self, site: "Site", path: Path) -> None:
        self._site = site
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def lines(self, count: int = 1) -> None:
        """Write whole lines; each is expected exactly once."""
        for _ in range(count):
            os.write(self.descriptor, line(number := self._site.next_number()))
            self._site.expected[f"/{number}"] += 1

    def close(self) -> None:
        """Let the file go; a second time does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def line(number: int) -> bytes:
    """The line whose route is this number."""
    return b"10.0.0.1\tGET /%d\t200\t10\n" % number


class Site:
    """What outlives a process: the log and its rotated files, the ledger, and what is expected of it."""

    def __init__(
        self,
        root: Path,
        *twins: Twin,
        interval: str = "1h",
        logs: Path | None = None,
        state: Path | None = None,
        more: str = "",
        flags: Sequence[str] = (),
    ) -> None:
        """`twins` break each process in a known way. `logs` and `state`: directories that are not to be in
        `root`. `more` of the configuration, and of the command line."""
        self.root = root
        self.twins = [*twins]
        self.log = (logs or root / "logs") / "access.log"
        self.state = state or root / "state"
        self.config = root / "qps-reporter.toml"
        self.expected: Counter[str] = Counter()
        self._flags = flags
        self._numbers = itertools.count()
        self._rotations = itertools.count(1)
        self._processes: list[Process] = []
        self._writers: list[Writer] = []
        root.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(exist_ok=True)
        self.config.write_text(
            f'interval = "{interval}"\nstate = "{self.state}"\nmax_rows = 10000000\n'
            f'[log.access]\npath = "{self.log}"\nstart = "start"\nmax_routes = 1000000\n'
        )
        self.configure(more)
        for name in ("stdout", "stderr"):
            (root / name).touch()

    def configure(self, more: str) -> None:
        """Add to the configuration."""
        with self.config.open("a") as config:
            config.write(more)

    def reconfigure(self, old: str, new: str) -> None:
        """Replace a part of it."""
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def next_number(self) -> int:
        """Of the next line."""
        return next(self._numbers)

    def writer(self) -> Writer:
        """Open the log for writing."""
        self._writers.append(Writer(self, self.log))
        return self._writers[-1]

    def rotate(self) -> Path:
        """Rename the log to a new name beside it."""
        rotated = self.log.with_name(f"{self.log.name}.{next(self._rotations)}")
        self.log.rename(rotated)
        return rotated

    def start(
        self,
        *more: str,
        prefix: Sequence[str] = (),
        once: bool = False,
        stdin: IO[bytes] | None = None,
        stdout: int | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> Process:
        """Run the program. What it prints comes after what others printed, in `stdout` and `stderr`, unless
        it has a `stdout` of its own; `extra` goes into its environment."""
        arguments = ["--config", str(self.config), *self._flags, *(["--once"] if once else []), *more]
        environment = {
            "PYTHONPATH": str(self.root),
            "SITE": str(self.root),
            "PYTHONPYCACHEPREFIX": str(ROOT / ".cache" / "python"),
            # Whoever traces what the program writes wants to see nothing else.
            "PYTHONDONTWRITEBYTECODE": "1" if prefix else "",
            **(extra or {}),
        }
        with (self.root / "stdout").open("a") as shared, (self.root / "stderr").open("a") as stderr:
            process = Process(
                self.root,
                *arguments,
                prefix=prefix,
                twins=self.twins,
                extra=environment,
                stdin=stdin,
                stdout=shared if stdout is None else stdout,
                stderr=stderr,
            )
        self._processes.append(process)
        return process

    def once(self, status: int = 0) -> str:
        """One pass to the end of the log; what it printed."""
        before = len(self.stdout)
        process = self.start(once=True)
        process.end()
        assert process.process.returncode == status, self.stderr
        return self.stdout[before:]

    def ready(self, *more: str) -> Process:
        """Run it; it has read everything when this returns."""
        process = self.start(*more)
        process.told("READY=1")
        return process

    def run(self) -> None:
        """Run it until it has read everything, and end it."""
        self.ready().stop()

    @property
    def stdout(self) -> str:
        """What all processes printed."""
        return (self.root / "stdout").read_text()

    @property
    def stderr(self) -> str:
        """What all processes said."""
        return (self.root / "stderr").read_text()

    @property
    def numbers(self) -> list[int]:
        """Of the reports that were printed as JSON, be they torn."""
        return [int(number) for number in re.findall(r'"sequence": ?(\d+)', self.stdout)]

    def check_numbers(self) -> None:
        """No report's number came twice."""
        numbers = self.numbers
        assert numbers
        assert numbers == sorted(set(numbers)), f"the numbers repeat: {numbers}"

    def query(self, sql: str) -> list[tuple[str, int]]:
        """Ask a copy of the ledger: the next process has to find it as the last one left it."""
        with tempfile.TemporaryDirectory() as copy:
            for name in ("ledger.db", "ledger.db-wal"):
                if (self.state / name).exists():
                    shutil.copy(self.state / name, copy)
            connection = sqlite3.connect(f"{copy}/ledger.db")
            try:
                # A process that was killed early enough has left no tables.
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'rejects'").fetchall():
                    return []
                return connection.execute(sql).fetchall()
            finally:
                connection.close()

    def totals(self) -> Counter[str]:
        """Requests by route."""
        return Counter(dict(self.query("SELECT route, sum(requests) FROM totals GROUP BY route")))

    def windows(self) -> Counter[str]:
        """Requests by route that are in the history."""
        return Counter(dict(self.query("SELECT route, sum(requests) FROM windows GROUP BY route")))

    def check_counts(self, found: Counter[str]) -> None:
        """Every line exactly once."""
        missing, surplus = self.expected - found, found - self.expected
        assert not missing, f"lost {missing.total()}: {sorted(missing)[:3]}"
        assert not surplus, f"counted too often {surplus.total()}: {sorted(surplus)[:3]}"

    def check(self) -> None:
        """The ledger has every line exactly once, and nothing else."""
        totals = self.totals()
        self.check_counts(totals)
        assert not self.windows() - totals
        assert self.query("SELECT reason, lines FROM rejects") == []

    def audit(self) -> None:
        """The books balance."""
        run_program("audit", "--state", self.state, check=True)

    def close(self) -> None:
        """End what runs, let go of what is open."""
        for process in self._processes:
            process.close()
        for writer in self._writers:
            writer.close()
        assert UNFIT not in self.stderr, self.stderr


MakeSite = Callable[..., Site]
