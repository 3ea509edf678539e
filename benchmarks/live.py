"""Followers of a growing log: what each uses of a core, how often it wakes, and how large it is.

`qps-reporter simulate -r 0 --rate 10000` appends 10,000 lines a second for 20 seconds, one write(2) a
line, the lines that are due each millisecond; it runs on another core. The followers run one after the
other, each with a log of its own: a site has one, and two on a core would share wake-ups and caches. What is
reported is the difference between just before the first line and GRACE after the last. Then each is stopped,
and has to have counted every line.
"""

import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.agreement import DisagreementError
from benchmarks.figures import markdown
from benchmarks.peers import PROGRAMS, UNPACKED, mtail
from benchmarks.processes import FailedError, Use, environment, memory, pinned, service, use

RATE = 10_000  # lines/s
SECONDS = 20
LINES = RATE * SECONDS
SETTLE = 3.0  # seconds; a follower has then started, whatever it does first
GRACE = 1.5  # seconds; longer than any follower's pause between two looks
HEAD = ("follower", "CPU s", "CPU µs/line", "wake-ups", "RSS MB", "PSS MB")


class Following(NamedTuple):
    """A follower at work."""

    pids: list[int]
    stop: Callable[[], int]  # ends it; how many lines it has counted


Follower = Callable[[Path, int], AbstractContextManager[Following]]  # of a log, on a core


@contextmanager
def ours(log: Path, core: int) -> Iterator[Following]:
    """The service as it is by default, with a ledger."""
    with service(str(log), "--state", str(log.parent / "state"), core=core) as process:

        def stop() -> int:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate()
            found = re.search(r"stopped; (\d+) requests", said)
            if not found:
                raise FailedError(f"qps-reporter run: {said.strip()}")
            return int(found[1])

        with _ended(process):
            yield Following([process.pid], stop)


@contextmanager
def by_mtail(log: Path, core: int) -> Iterator[Following]:
    """mtail as it is by default: it polls every 250 ms."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [*mtail("default"), "-port", str(port), "-logs", str(log)]
    with subprocess.Popen(
        pinned(command, core), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment({})
    ) as process:

        def stop() -> int:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
                found = re.findall(r"^requests\{.*\} (\d+)", page.read().decode(), re.MULTILINE)
            return sum(map(int, found))

        with _ended(process):
            yield Following([process.pid], stop)


def by_awk(option: list[str]) -> Follower:
    """`tail -F LOG | mawk`, with mawk's option that makes it read what is there, or without."""

    @contextmanager
    def follow(log: Path, core: int) -> Iterator[Following]:
        program = ["mawk", *option, "-F\t", "-f", str(PROGRAMS / "default.awk")]
        tail_command = pinned(["tail", "-n", "0", "-F", str(log)], core)
        with (
            subprocess.Popen(tail_command, stdout=subprocess.PIPE, env=environment({})) as tail,
            subprocess.Popen(
                pinned(program, core),
                stdin=tail.stdout,
                stdout=subprocess.PIPE,
                text=True,
                env=environment({}),
            ) as awk,
        ):

            def stop() -> int:
                tail.send_signal(signal.SIGTERM)
                printed, _ = awk.communicate()
                return sum(int(line.split("\t")[3]) for line in printed.splitlines())

            with _ended(awk), _ended(tail):
                yield Following([tail.pid, awk.pid], stop)

    return follow


@contextmanager
def _ended(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            process.kill()


def write(log: Path, core: int, rate: int = RATE) -> None:
    """So many lines a second, for SECONDS."""
    command = [sys.executable, "-m", "qps_service", "simulate", "-o", str(log), "-r", "0", "--seed", "1"]
    command += ["--rate", str(rate), "--duration", str(SECONDS)]
    subprocess.run(pinned(command, core), check=True, stdout=subprocess.DEVNULL)


def follow(name: str, follower: Follower, core: int, other: int) -> tuple[str, ...]:
    """A row of the table. Raises DisagreementError where a line was missed, and FailedError."""
    with tempfile.TemporaryDirectory(prefix="qps-live-") as directory:
        log = Path(directory, "access.log")
        log.touch()
        with follower(log, core) as at_work:
            time.sleep(SETTLE)
            before = use(at_work.pids)
            write(log, other)
            time.sleep(GRACE)
            used: Use = use(at_work.pids) - before
            rss, pss = memory(at_work.pids)
            counted = at_work.stop()
    if counted != LINES:
        raise DisagreementError(f"{name} following: expected {LINES} lines, found {counted}")
    micro = used.cpu / LINES * 1e6
    return (name, f"{used.cpu:.2f}", f"{micro:.2f}", f"{used.wakes:,}", f"{rss:.1f}", f"{pss:.1f}")


def table(core: int, other: int, say: Callable[[str], None]) -> str:
    """All of it, as Markdown."""
    followers: dict[str, Follower] = {"qps-reporter": ours}
    if (UNPACKED / "usr/bin/mtail").exists():
        followers["mtail"] = by_mtail
    else:
        say("live: mtail is skipped: not there")
    followers["tail -F | mawk -W interactive"] = by_awk(["-W", "interactive"])
    followers["tail -F | mawk"] = by_awk([])
    rows = []
    for name, follower in followers.items():
        rows.append(follow(name, follower, core, other))
        say(f"live: {name}")
    return f"live: {RATE:,} lines a second for {SECONDS} s\n\n{markdown(HEAD, rows)}"
