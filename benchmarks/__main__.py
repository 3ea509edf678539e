"""qps-reporter and its peers, measured in the same run on the same logs.

    .venv/bin/python -m benchmarks                 everything; 7 GB of disk, some twenty minutes
    .venv/bin/python -m benchmarks --lines 300000  a quick look: every log has at most so many lines
    .venv/bin/python -m benchmarks --only live     one part: a log's name, live, outputs, many_logs, ...

Whole programs with their start, pinned to one core, the log in the page cache; medians of up to five
rounds. Peers that are missing are named: `scripts/setup.sh bench` brings them. A program that fails, or
counts anything wrong, ends it with status 1.
"""

import argparse
import shlex
import sys

from benchmarks import durations, footprint, history, ledger_size, live, many_logs, outputs, top
from benchmarks.agreement import DisagreementError
from benchmarks.contest import compete, say
from benchmarks.datasets import DATASETS, DiskFullError
from benchmarks.figures import HEAD, markdown, section
from benchmarks.machine import description
from benchmarks.processes import FailedError, cores

OWN = "qps-reporter"
ROUNDS = 5
PARTS = (
    *(dataset.name for dataset in DATASETS),
    "durations",
    "live",
    "outputs",
    "many_logs",
    "history",
    "ledger",
    "top",
    "footprint",
)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--lines", type=int, metavar="N", help="lines of each log at most")
    parser.add_argument("--only", choices=PARTS, help="this part alone")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help=f"at most (default: {ROUNDS})"
    )
    given = parser.parse_args()
    if (given.lines is not None and given.lines < 1) or given.rounds < 1:
        parser.error("--lines and --rounds: expected at least 1")
    return given


def main() -> int:
    """Print the tables; the exit status."""
    given = arguments()
    core, other = cores()
    wanted = [given.only] if given.only else list(PARTS)
    try:
        for dataset in DATASETS:
            if dataset.name in wanted:
                lines = min(dataset.lines, given.lines or dataset.lines)
                results = compete(dataset, lines, given.rounds, core, say)
                print(
                    f"{dataset.name}: {dataset.about}\n\n{markdown(HEAD, section(results, OWN))}", flush=True
                )
        if "durations" in wanted:
            print(durations.table(core, given.rounds, say), flush=True)
        if "live" in wanted:
            print(live.table(core, other, say), flush=True)
        if "outputs" in wanted:
            print(outputs.table(core, other, say), flush=True)
        if "many_logs" in wanted:
            print(many_logs.table(core, other, say), flush=True)
        if "history" in wanted:
            print(history.table(core, say), flush=True)
        if "ledger" in wanted:
            print(ledger_size.table(say), flush=True)
        if "top" in wanted:
            print(top.table(say), flush=True)
    except (DisagreementError, DiskFullError, FailedError) as error:
        say(f"benchmarks: {error}")
        return 1
    if "footprint" in wanted:
        footprint.main()
    options = sys.argv[1:]
    print(f"`{shlex.join(['python', '-m', 'benchmarks', *options])}` on {description()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
