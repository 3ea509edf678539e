"""From measurements to a table: medians, ratios with their spread, Markdown."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Run(NamedTuple):
    """What one run of a program took."""

    wall: float  # seconds
    cpu: float  # seconds, user and system, of all its threads
    lines: int


class Ratio(NamedTuple):
    """How many times as long as ours, a line; from 1 on ours is the faster."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


def per_line(run: Run) -> float:
    """Nanoseconds of wall time."""
    return run.wall / run.lines * 1e9


def cpu_per_line(run: Run) -> float:
    """Nanoseconds of CPU time; the figure to trust where others use the core too."""
    return run.cpu / run.lines * 1e9


def ratio(peer: Sequence[Run], ours: Sequence[Run], cost: Callable[[Run], float] = per_line) -> Ratio:
    """The median of the rounds' ratios: the two runs of a round were neighbours, so noise hit both alike.

    A peer with fewer rounds is compared with ours of the same rounds. Raises ValueError if there is no round.
    """
    if not peer or not ours:
        raise ValueError("expected at least one round of both")
    each = [cost(one) / cost(other) for one, other in zip(peer, ours, strict=False)]
    return Ratio(statistics.median(each), min(each), max(each))


def row(name: str, runs: Sequence[Run], ours: Sequence[Run] | None) -> tuple[str, ...]:
    """The program's cells; `ours` is None where there is nothing of ours to compare with."""
    wall = statistics.median(run.wall for run in runs)
    cpu = statistics.median(run.cpu for run in runs)
    costs = (per_line, cpu_per_line)
    nanoseconds = (f"{statistics.median(map(cost, runs)):.1f}" for cost in costs)
    against = ("-" if ours is None else str(ratio(runs, ours, cost)) for cost in costs)
    return (
        name,
        f"{runs[0].lines:,}",
        f"{wall:.2f}",
        f"{cpu:.2f}",
        *nanoseconds,
        *against,
        str(len(runs)),
    )


HEAD = (
    "program",
    "lines",
    "wall s",
    "CPU s",
    "ns/line",
    "CPU ns/line",
    "times ours (spread)",
    "CPU times ours (spread)",
    "runs",
)


def section(results: Mapping[str, Sequence[Run]], own: str) -> list[tuple[str, ...]]:
    """A dataset's rows, in the order of `results`; `own` is the program that the others are compared with."""
    ours = results.get(own)
    return [row(name, runs, ours) for name, runs in results.items()]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; all columns but the first are numbers, and stand to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)
