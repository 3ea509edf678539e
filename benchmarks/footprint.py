"""What the service costs: start to READY, resident memory and CPU while following.

    .venv/bin/python -m benchmarks.footprint
    .venv/bin/python -m benchmarks.footprint 3600     at rest for an hour, and not for a minute

also the last part of `python -m benchmarks`, which has the comparison with others.

Prints one table. Machines are noisy: the start and the commits are medians of several, the start given
with that of an empty Python in the same run; CPU is seconds of the process for a stated number of lines.
"""

import os
import resource
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import environment, memory, use
from qps_service.ledger.ledger import Ledger
from qps_service.text.units import SECOND
from qps_service.values.counts import Counts, Key
from qps_service.values.entries import Entry

STARTS = 21
RATE = 10_000  # lines/s
SECONDS = 20
LINES = RATE * SECONDS
ROUTES = 10_000
COMMITS = 101
BESIDE = 20_000  # files beside the log
REST = 60  # seconds


class Service:
    """`qps-reporter run LOG`, and systemd's end of its notification socket."""

    def __init__(self, root: Path, state: str | None = None) -> None:
        path = root / "notify"
        path.unlink(missing_ok=True)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(path))
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "qps_service", "run", str(root / "access.log")),
                *("--interval", "1s", "--state", state or str(root / "state")),
            ],
            env=environment({"NOTIFY_SOCKET": str(path)}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.wait_until("READY=1")
        self.start = time.monotonic() - begun  # seconds

    def wait_until(self, told: str) -> None:
        """Return when it has told systemd this."""
        while told not in self._notify.recv(4096).decode():
            pass

    def hear(self, seconds: float) -> None:
        """Take for so long what it tells systemd: after ten messages that nobody takes it would wait."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._notify], [], [], left)[0]:
                self._notify.recv(4096)

    def status(self) -> dict[str, str]:
        """/proc/PID/status."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return dict(line.split(":", 1) for line in text.splitlines())

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self._notify.close()


def starts(root: Path) -> tuple[float, float]:
    """Medians in seconds: start to READY, and an empty Python from start to end."""
    ready, empty = [], []
    for _ in range(STARTS):
        service = Service(root)
        service.stop()
        ready.append(service.start)
        begun = time.monotonic()
        subprocess.run([sys.executable, "-c", ""], check=True, env=environment({}))
        empty.append(time.monotonic() - begun)
    return statistics.median(ready), statistics.median(empty)


def follow(root: Path, write: list[str]) -> str:
    """What it took to follow LINES lines that `write` appends, all counted, with a new ledger."""
    state = tempfile.mkdtemp(dir=root)
    service = Service(root, state)
    with subprocess.Popen(write, stdout=subprocess.DEVNULL) as writer:
        while writer.poll() is None:
            service.hear(0.2)
    service.wait_until(f"; {LINES} requests in total")
    status = service.status()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    service.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    now, highest = (int(status[name].split()[0]) / 1000 for name in ("VmRSS", "VmHWM"))
    wakes = int(status["voluntary_ctxt_switches"])
    disk = sum(path.stat().st_size for path in Path(state).iterdir()) / 1e6
    costs = f"{now:.1f} MB, {highest:.1f} MB at most, {cpu:.2f} CPU s, {wakes} wake-ups"
    return f"{costs}, ledger {disk:.2f} MB"


def at_rest(root: Path, seconds: int) -> str:
    """What it costs to follow a log that nobody writes to."""
    service = Service(root, tempfile.mkdtemp(dir=root))
    pid = service.process.pid
    before = use([pid])
    service.hear(seconds)
    after = use([pid])
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    resident, _ = memory([pid])
    service.stop()
    cpu, wakes = after.cpu - before.cpu, after.wakes - before.wakes
    return f"{cpu:.2f} CPU s, {wakes} wake-ups, {resident:.1f} MB, {descriptors} descriptors"


def beside_many_files(root: Path) -> str:
    """Starts of a log that has many files beside it: the first, which learns of them, and later ones."""
    for number in range(BESIDE):
        (root / f"access.log.{number}").write_text(f"10.0.0.1\tGET /old/{number}\t200\t512\n" * 20)
    state = tempfile.mkdtemp(dir=root)
    took, work = [], []
    for _ in range(1 + STARTS // 4):
        service = Service(root, state)
        took.append(service.start)
        work.append(use([service.process.pid]).cpu)
        service.stop()
    later = f"later ones {statistics.median(took[1:]):.2f} s, {statistics.median(work[1:]):.2f} CPU s"
    return f"{took[0]:.2f} s, {work[0]:.2f} CPU s; {later}, medians of {STARTS // 4}"


def commit(root: Path, routes: int) -> float:
    """Median in seconds for one window's transaction with so many rows."""
    ledger = Ledger(os.path.join(tempfile.mkdtemp(dir=root), "ledger.db"), boot="")
    ledger.open()
    counts = {Key(b"GET", b"/route/%d" % number, 200): Counts(10, 5120) for number in range(routes)}
    took = []
    for number in range(1, COMMITS + 1):
        at = number * 10 * SECOND
        entry = Entry("access", "/access.log", number, at, at + 10 * SECOND, at, counts, {}, (), ())
        begun = time.monotonic()
        ledger.commit([entry], sequence=number)
        took.append(time.monotonic() - begun)
    ledger.close()
    return statistics.median(took)


def many_routes(path: Path) -> list[str]:
    """A command that appends lines of many routes."""
    program = (
        "import sys\n"
        f"with open({str(path)!r}, 'a') as log:\n"
        f"    for number in range({LINES}):\n"
        f"        log.write(f'10.0.0.1\\tGET /route/{{number * 7919 % {ROUTES}}}\\t200\\t512\\n')\n"
        "        number % 1000 or log.flush()\n"
    )
    return [sys.executable, "-c", program]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="qps-footprint-") as directory:
        root = Path(directory)
        log = root / "access.log"
        log.touch()
        ready, empty = starts(root)
        print(f"start to READY, median of {STARTS}: {ready * 1e3:.0f} ms; empty Python: {empty * 1e3:.0f} ms")
        simulate = [sys.executable, "-m", "qps_service", "simulate", "-o", str(log), "-r", "2"]
        simulate += ["--rate", str(RATE), "--duration", str(SECONDS)]
        print(f"{RATE} lines/s for {SECONDS} s, a rotation every 2 s: {follow(root, simulate)}")
        print(f"{LINES} lines at once, {ROUTES} routes: {follow(root, many_routes(log))}")
        rest = int(sys.argv[1]) if sys.argv[1:2] and sys.argv[1].isdigit() else REST
        print(f"at rest for {rest} s: {at_rest(root, rest)}")
        for routes in (10, 1000):
            print(f"a commit with {routes} rows, median of {COMMITS}: {commit(root, routes) * 1e3:.1f} ms")
    with tempfile.TemporaryDirectory(prefix="qps-footprint-") as directory:
        (Path(directory) / "access.log").touch()
        print(f"the first start beside {BESIDE} files: {beside_many_files(Path(directory))}")


if __name__ == "__main__":
    main()
