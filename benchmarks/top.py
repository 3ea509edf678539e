"""What `qps-reporter top` takes on a terminal while its log grows.

    .venv/bin/python -m benchmarks --only top

5,000 lines a second for 20 seconds, first of the simulator's four routes with a rotation every 2 s, then of
as many routes as are told apart by default; a terminal of 120x40, whose other end reads all that is drawn.
"""

import fcntl
import os
import select
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import markdown
from benchmarks.processes import environment, memory, use

RATE = 5_000  # lines/s
SECONDS = 20
ROUTES = 1_000
HEAD = ("routes", "RSS MB", "CPU s", "of a core", "kB drawn")
WORLD = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
_WRITER = f"""
import sys, time
with open(sys.argv[1], "a") as log:
    for number in range({RATE * SECONDS}):
        log.write(f"10.0.0.1\\tGET /route/{{number * 7919 % {ROUTES}}}\\t200\\t512\\n")
        if number % 100 == 99:
            log.flush()
            time.sleep({100 / RATE})
"""


def table(say: Callable[[str], None]) -> str:
    """All of it, as Markdown."""
    rows = []
    simulate = ["-m", "qps_service", "simulate", "-r", "2", "--rate", str(RATE)]
    simulate += ["--duration", str(SECONDS), "-o"]
    for name, write in (("4", simulate), (f"{ROUTES:,}", ["-c", _WRITER])):
        with tempfile.TemporaryDirectory(prefix="qps-top-") as directory:
            log = Path(directory, "access.log")
            log.touch()
            rows.append((name, *_measured(log, [sys.executable, *write, str(log)])))
        say(f"top: {name} routes")
    return f"top: {RATE:,} lines a second for {SECONDS} s\n\n{markdown(HEAD, rows)}"


def _measured(log: Path, write: list[str]) -> tuple[str, ...]:
    terminal, its_end = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    command = ["setsid", "--ctty", sys.executable, "-m", "qps_service", "top", str(log)]
    top = subprocess.Popen(command, stdin=its_end, stdout=its_end, env={**environment({}), **WORLD})
    os.close(its_end)
    drawn = len(os.read(terminal, 65536))  # it has begun
    before = use([top.pid])
    with subprocess.Popen(write, stdout=subprocess.DEVNULL) as writer:
        while writer.poll() is None:
            if select.select([terminal], [], [], 0.2)[0]:
                drawn += len(os.read(terminal, 65536))
    cpu, (resident, _) = (use([top.pid]) - before).cpu, memory([top.pid])
    top.terminate()
    top.wait()
    os.close(terminal)
    return f"{resident:.1f}", f"{cpu:.2f}", f"{100 * cpu / SECONDS:.1f} %", f"{drawn / 1000:.0f}"
