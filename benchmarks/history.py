"""How long `qps-reporter history` takes with a full ledger, and the page (page.py).

    .venv/bin/python -m benchmarks --only history

A week of a log with 800 rows in each window, written by the real writer within the default bounds: windows of
10 s in the last 6 hours, of a minute in the last 48 hours, of an hour before that, as the pruning would leave
them, and the pruning on top: the file is as large as it may be. Each command is a process of its own, with
its start; the file is in the page cache.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figures import markdown
from benchmarks.page import answers, disturbance
from benchmarks.processes import FailedError
from qps_service.configuration.settings import HISTORY
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.retention import Pruner
from qps_service.text.units import SECOND
from qps_service.values.counts import Counts, Key
from qps_service.values.entries import Entry
from qps_service.values.history import History

ROUTES = 400  # each with two statuses
RUNS = 5
HOUR = 3600
# How old, in seconds, windows of which length are at most.
LENGTHS = ((7 * 24 * HOUR, HOUR), (48 * HOUR, 60), (6 * HOUR, 10))
HEAD = ("history", "median s", "most s")
QUESTIONS = (
    "",
    "--route /route/7 -S -1h",
    "--status 5xx -S -1h",
    "--by route -S -1h --top 20",
    "--by 1h -S -2d",
    "--by 1d -S -7d",
    "--route /route/7 --by 1h -S -7d",
    "--by route -S -7d --top 20",
    "--by status -S -2d --compare 1d",
    "-S -1h --events --output json",
)


def windows() -> Iterator[tuple[int, int]]:
    """Start and end of each, seconds before now, the oldest first."""
    ends = [*(younger for younger, _ in LENGTHS[1:]), 0]
    for (older, length), end in zip(LENGTHS, ends, strict=True):
        for at in range(older, end, -length):
            yield at, at - length


def fill(path: Path, now: int) -> None:
    """A ledger that is as full as it may be; `now` is Unix nanoseconds."""
    keep, max_size = (setting.parse(setting.default or "") for setting in HISTORY)
    ledger, pruner = Ledger(str(path), boot=""), Pruner(History(keep, max_size))
    ledger.open()
    ledger.database.connection.execute("PRAGMA synchronous = OFF")
    keys = [Key(b"GET", b"/route/%d" % number, status) for number in range(ROUTES) for status in (200, 503)]
    for sequence, (started, ended) in enumerate(windows(), 1):
        at = now - ended * SECOND
        entry = Entry(
            log="access",
            path="/access.log",
            sequence=sequence,
            started=now - started * SECOND,
            ended=at,
            at=at,
            counts={key: Counts(1 + sequence % 50, 700 * sequence) for key in keys},
            rejects={},
            held=(),
            retired=(),
        )
        ledger.commit([entry], sequence=sequence)
        pruner.prune(ledger, at)
    ledger.close()


def table(core: int, say: Callable[[str], None]) -> str:
    """All of it and the page's, as Markdown; the service runs on that core. Raises FailedError."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "ledger.db")
        say("history: filling a ledger")
        fill(path, time.time_ns())
        size = path.stat().st_size
        rows = [_measured(place, question) for question in QUESTIONS]
        say("history: the page")
        page = f"{answers(place)}\n{disturbance(place, core)}"
    return f"{markdown(HEAD, rows)}\nThe ledger had {size / (1 << 20):.1f} MiB.\n\n{page}"


def _measured(place: str, question: str) -> tuple[str, ...]:
    command = [sys.executable, "-m", "qps_service", "history", "--state", place, *question.split()]
    times = []
    for _ in range(RUNS):
        began = time.monotonic()
        ended = subprocess.run(command, stdout=subprocess.PIPE, env={**os.environ, "TZ": "UTC"})
        times.append(time.monotonic() - began)
        if ended.returncode or not ended.stdout:
            raise FailedError(f"history {question} ended with status {ended.returncode}")
    return (
        f"`{question}`" if question else "(the last hour)",
        f"{statistics.median(times):.2f}",
        f"{max(times):.2f}",
    )
