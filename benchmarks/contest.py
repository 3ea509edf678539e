"""Whole logs, one program after the other, in rounds: A B C A B C, so that noise hits all of them."""

import sys
from collections.abc import Callable

from benchmarks.agreement import counted
from benchmarks.datasets import Dataset, log, repeated, warm
from benchmarks.figures import Run
from benchmarks.peers import Peer, is_installed, peers
from benchmarks.processes import FailedError
from qps_service.formats.presets import compile_format
from qps_service.scanning.options import ScanOptions
from qps_service.scanning.scanner import make_scanner

LEAST = 10_000  # lines that even the slowest peer gets
TRIAL = 20_000  # lines that each has to count before any is timed: a mistake shows at once
Notify = Callable[[str], None]


def entrants(dataset: Dataset, core: int, say: Notify) -> list[Peer]:
    """The programs that are there, each with its counts checked on a small log.

    Raises FailedError without the native scanner: nobody would be compared with what is installed then.
    """
    scanner = make_scanner(ScanOptions(compile_format("default"), 65_536), lambda _: None).name
    if scanner != "c":
        raise FailedError(f"expected the native scanner, found the one called {scanner}")
    trial, totals, found = log(dataset, TRIAL), repeated(dataset, TRIAL), []
    for peer in peers(dataset.name, dataset.own_format):
        if is_installed(peer):
            counted(peer, trial, TRIAL, totals, core)
            found.append(peer)
        else:
            say(f"{dataset.name}: {peer.name} is skipped: not there")
    return found


def compete(dataset: Dataset, lines: int, rounds: int, core: int, say: Notify) -> dict[str, list[Run]]:
    """Each program's runs. Raises FailedError, DisagreementError, DiskFullError."""
    runs: dict[str, list[Run]] = {}
    field = entrants(dataset, core, say)
    sizes = {peer.name: min(lines, max(LEAST, lines // peer.share)) for peer in field}
    paths = {size: log(dataset, size) for size in sorted(set(sizes.values()))}
    totals = {size: repeated(dataset, size) for size in paths}
    for path in paths.values():
        warm(path)
    for number in range(rounds):
        for peer in field:
            if number < peer.rounds:
                size = sizes[peer.name]
                run = counted(peer, paths[size], size, totals[size], core)
                runs.setdefault(peer.name, []).append(run)
        say(f"{dataset.name}: round {number + 1} of {rounds}")
    return runs


def say(text: str) -> None:
    """Progress goes to stderr; stdout is the table."""
    print(text, file=sys.stderr, flush=True)
