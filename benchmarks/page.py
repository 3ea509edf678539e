"""How long the page's answers take with a full ledger, what its process needs, and that it disturbs nobody.

    .venv/bin/python -m benchmarks --only history

A new process is asked for one answer each time, over a connection of its own; the file is in the page cache.
Then a service counts into the same ledger while twenty clients load the page, one answer after the other: the
service's reports keep their grid if they are not later than without.
"""

import http.client
import re
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.figures import markdown
from benchmarks.processes import FailedError, environment, fields, service, use
from qps_service.text.units import SECOND

HEAD = ("page", "first CPU s", "again CPU s")
QUESTIONS = (
    *("/", "/state.json", "/series.json?range=1h", "/series.json?range=7d"),
    *("/series.json?range=7d&route=/route/7", "/routes.json?range=1h", "/routes.json?range=6h"),
    "/routes.json?range=7d",
)
RUNS = 3
CLIENTS = 20
PHASE = 20  # seconds, each without clients and with them


@contextmanager
def page(state: str) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """The process, and where it listens. Raises FailedError."""
    command = [sys.executable, "-m", "qps_service", "web", "--state", state, "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment({}))
    try:
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", said := process.stderr.readline())
        if not found:
            raise FailedError(f"web: {said}")
        yield int(found[1]), process
    finally:
        process.kill()
        process.communicate()


def ask(port: int, path: str) -> None:
    """Until the whole answer is there. Raises FailedError."""
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise FailedError(f"web {path}: {answer.status}")


def _cost(pid: int, port: int, path: str) -> float:
    """Seconds of processor time."""
    before = use([pid])
    ask(port, path)
    return (use([pid]) - before).cpu


def answers(state: str) -> str:
    """As Markdown: the first answer of a process, and the same once more."""
    rows, largest = [], 0
    for question in QUESTIONS:
        times = []
        for _ in range(RUNS):
            with page(state) as (port, process):
                times.append([_cost(process.pid, port, question) for _ in range(2)])
                peak = fields(Path(f"/proc/{process.pid}/status"))["VmHWM"]
                largest = max(largest, int(peak.split()[0]))
        rows.append(
            (f"`{question}`", *(f"{statistics.median(each):.3f}" for each in zip(*times, strict=True)))
        )
    return f"{markdown(HEAD, rows)}\nAt most {largest * 1024 / 1e6:.0f} MB were resident.\n"


def disturbance(state: str, core: int) -> str:
    """As Markdown: how late the service's reports were, without clients and with them."""
    log = Path(state, "page.log")
    log.write_text("")
    counting = service(str(log), "--name", "page", "--state", state, "--interval", "1s", core=core)
    try:
        time.sleep(5)  # its start
        phases = [_phase(log, PHASE)]
        with page(state) as (port, _):
            stopping = threading.Event()
            loads = [0] * CLIENTS

            def load(client: int) -> None:
                while not stopping.is_set():
                    question = QUESTIONS[(client + loads[client]) % len(QUESTIONS)]
                    ask(port, question.replace("?", f"?filter={client}{loads[client] % 50}&"))
                    loads[client] += 1

            threads = [threading.Thread(target=load, args=(client,)) for client in range(CLIENTS)]
            for thread in threads:
                thread.start()
            phases.append(_phase(log, PHASE))
            stopping.set()
            for thread in threads:
                thread.join()
    finally:
        counting.terminate()
        counting.communicate()
    rows = []
    with closing(sqlite3.connect(f"file:{state}/ledger.db?mode=ro", uri=True)) as reading:
        ended = [
            at for (at,) in reading.execute(
                "SELECT period.ended FROM period JOIN log ON log.id = period.log "
                "WHERE log.name = 'page' AND grain = 0 ORDER BY period.ended"
            )
        ]  # fmt: skip
    (begin, _), (_, end) = phases
    grid = next(at for at in ended if at > begin)
    early = min((at - grid + SECOND // 2) % SECOND for at in ended if begin < at < end)
    for name, (begin, end) in zip(("nobody looks", f"{CLIENTS} clients"), phases, strict=True):
        late = [((at - grid + SECOND // 2) % SECOND - early) / 1e6 for at in ended if begin < at < end]
        rows.append((name, str(len(late)), f"{statistics.median(late):.1f}", f"{max(late):.1f}"))
    table = markdown(("reports each second", "reports", "median ms late", "most ms late"), rows)
    return f"{table}\n{sum(loads)} answers in {PHASE} s.\n"


def _phase(log: Path, seconds: int) -> tuple[int, int]:
    """Write a thousand lines a second; from when to when, Unix nanoseconds."""
    begin = time.time_ns()
    with log.open("a") as writing:
        for _ in range(10 * seconds):
            writing.write("203.0.113.7\tGET /help\t200\t512\n" * 100)
            writing.flush()
            time.sleep(0.1)
    return begin, time.time_ns()
