"""How long `qps-reporter history` takes with a full ledger, and the page (page.py).

    .venv/bin/python -m benchmarks --only history

Fifteen days of a log with ROUTES routes that tell durations, written by the real writer and pruned within the
default bounds (ledger_size.py): the file is as large as it may be. Each command is a process of its own, with
its start; the file is in the page cache. Processor time is measured, whatever else the machine does.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import markdown
from benchmarks.ledger_size import filled
from benchmarks.page import answers, disturbance
from benchmarks.processes import measure
from qps_service.configuration.settings import HISTORY
from qps_service.values.history import History

ROUTES = 250  # each with two statuses
RUNS = 7
HEAD = ("history", "median CPU s", "most CPU s")
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


def table(core: int, say: Callable[[str], None]) -> str:
    """All of it and the page's, as Markdown; the service runs on that core. Raises FailedError."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "ledger.db")
        say("history: filling a ledger")
        filled(path, History(*(setting.parse(setting.default or "") for setting in HISTORY)), ROUTES)
        size = path.stat().st_size
        rows = [_measured(place, core, question) for question in QUESTIONS]
        say("history: the page")
        page = f"{answers(place)}\n{disturbance(place, core)}"
    return f"{markdown(HEAD, rows)}\nThe ledger had {size / (1 << 20):.1f} MiB.\n\n{page}"


def _measured(place: str, core: int, question: str) -> tuple[str, ...]:
    command = [sys.executable, "-m", "qps_service", "history", "--state", place, *question.split()]
    runs = [measure(command, {"TZ": "UTC"}, core, 0, subprocess.DEVNULL) for _ in range(RUNS)]
    times = [run.cpu for run in runs]
    return (
        f"`{question}`" if question else "(the last hour)",
        f"{statistics.median(times):.2f}",
        f"{max(times):.2f}",
    )
