"""This checkout against another one, say of an older commit: what each takes for the same work.

    .venv/bin/python -m benchmarks.against CHECKOUT [ROUNDS]

Both need their .venv (`scripts/setup.sh run`). In each round both do each piece of work, one after the other;
in the next round the other one begins, so that noise hits both alike. The ratio is the median of the rounds'
ratios, with the least and the most. Below 1 this checkout takes less.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import live
from benchmarks.datasets import DATASETS, log
from benchmarks.figures import Ratio, markdown
from benchmarks.processes import cores, environment, fields, measure, pinned, use

ROUNDS = 7
RATE = 20_000  # lines/s
MILLIONS = {"default": 20, "zipf": 10, "combined": 5, "json": 2}  # lines to summarize: half a second
Work = Callable[[str], dict[str, float]]  # by a program
HEAD = ("", "other", "this", "ratio (spread)")


def commands() -> dict[str, list[str]]:
    """What is run to its end, by name; STATE stands for a new directory."""
    found = {"--version": ["--version"]}
    for about, lines in (("a line", 1), ("100 MB", 2_700_000)):
        path = str(log(DATASETS[0], lines))
        found[f"run --once, {about}"] = ["run", path, "--state", "STATE", "--start", "start", "--once"]
    for dataset in DATASETS:
        if lines := MILLIONS.get(dataset.name, 0) * 10**6:
            path = str(log(dataset, lines))
            found[f"summarize, {dataset.name}"] = ["summarize", "--format", dataset.own_format, path]
    return found


def ran(name: str, arguments: list[str], program: str) -> dict[str, float]:
    """CPU and wall time of one run."""
    with tempfile.TemporaryDirectory(prefix="qps-against-") as state:
        command = [program, *(state if each == "STATE" else each for each in arguments)]
        run = measure(command, {}, cores()[0], 1, subprocess.DEVNULL)
    return {f"{name}: CPU ms": run.cpu * 1e3, f"{name}: wall ms": run.wall * 1e3}


def followed(program: str) -> dict[str, float]:
    """What a start takes, and then RATE lines a second."""
    core, other = cores()
    with tempfile.TemporaryDirectory(prefix="qps-against-") as directory:
        path = Path(directory, "access.log")
        path.touch()
        command = pinned([program, "run", str(path), "--state", directory], core)
        null = subprocess.DEVNULL
        with subprocess.Popen(command, stdout=null, stderr=null, env=environment({})) as process:
            time.sleep(live.SETTLE)
            start, small = use([process.pid]), fields(Path(f"/proc/{process.pid}/status"))
            live.write(path, other, RATE)
            time.sleep(live.GRACE)
            used, large = use([process.pid]) - start, fields(Path(f"/proc/{process.pid}/status"))
            process.terminate()
    found = {"start: CPU ms": start.cpu * 1e3, "live: CPU ms": used.cpu * 1e3, "live: wake-ups": used.wakes}
    memory = {"start: VmRSS": small["VmRSS"], "live: VmRSS": large["VmRSS"], "live: VmHWM": large["VmHWM"]}
    return found | {f"{name} MB": int(text.split()[0]) * 1024 / 1e6 for name, text in memory.items()}


def row(figure: str, other: list[float], this: list[float]) -> tuple[str, ...]:
    """Medians, and the rounds' ratios."""
    each = [mine / its for its, mine in zip(other, this, strict=True)]
    medians = (f"{statistics.median(costs):.1f}" for costs in (other, this))
    return (figure, *medians, str(Ratio(statistics.median(each), min(each), max(each))))


def main() -> None:
    """Print the table."""
    programs = [str(Path(checkout, ".venv/bin/qps-reporter").resolve()) for checkout in (sys.argv[1], "")]
    works: list[Work] = [*(partial(ran, name, given) for name, given in commands().items()), followed]
    costs: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for number in range(int(sys.argv[2]) if sys.argv[2:] else ROUNDS):
        for work in works:
            for index in (0, 1) if number % 2 else (1, 0):
                for figure, cost in work(programs[index]).items():
                    costs[figure][index].append(cost)
    print(markdown(HEAD, [row(figure, *both) for figure, both in costs.items()]))


if __name__ == "__main__":
    main()
