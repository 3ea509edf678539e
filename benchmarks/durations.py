"""What it costs to count how long requests took: nginx's combined log with the time behind the agent, and the
same without it, read by the same format but for that field, in the same run.

    .venv/bin/python -m benchmarks --only durations
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from random import Random

from benchmarks import traffic
from benchmarks.figures import markdown
from benchmarks.processes import measure
from qps_service.formats.presets import PRESETS

SEED = 20261130
POOL, TIMES = 200_000, 15  # lines, and how often they come
SPELLED = PRESETS["combined"].texts[0]


def table(core: int, rounds: int, say: Callable[[str], None]) -> str:
    """Seconds of CPU of `summarize`, medians; the factor is that of the medians."""
    with tempfile.TemporaryDirectory() as directory:
        logs = {}
        for name, text in (("without", SPELLED), ("with", f"{SPELLED} $request_time")):
            random, path = Random(SEED), Path(directory) / name
            pool = [row.line for row in islice(traffic.combined(random), POOL)]
            if name == "with":
                pool = [b"%b %.3f\n" % (line[:-1], random.lognormvariate(-3, 1)) for line in pool]
            path.write_bytes(b"".join(pool) * TIMES)
            logs[name] = path, text
        runs: dict[str, list[float]] = {name: [] for name in logs}
        for number in range(rounds):
            for name, (path, text) in logs.items():
                command = [sys.executable, "-m", "qps_service", "summarize", "--format", text, str(path)]
                runs[name].append(measure(command, {}, core, POOL * TIMES, subprocess.DEVNULL).cpu)
            say(f"durations: round {number + 1} of {rounds}")
    medians = {name: statistics.median(each) for name, each in runs.items()}
    rows = [
        (f"{name} the time", f"{seconds:.2f}", f"{seconds / medians['without']:.2f}")
        for name, seconds in medians.items()
    ]
    head = (f"{POOL * TIMES:,} lines of nginx's combined log", "CPU, s", "factor")
    return f"durations:\n\n{markdown(head, rows)}"
