"""Like is compared with like: what a program counted in a run that is timed has to be right."""

import subprocess
import tempfile
from pathlib import Path

from benchmarks.figures import Run
from benchmarks.peers import Peer, Tally, Totals
from benchmarks.processes import measure


class DisagreementError(Exception):
    """A program's counts are not those of the log."""


def compare(name: str, expected: Tally, found: Tally) -> None:
    """Raises DisagreementError, which shows the first difference."""
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            what = " ".join(key)
            raise DisagreementError(f"{name}: {what}: expected {expected.get(key)}, found {found.get(key)}")


def counted(peer: Peer, log: Path, lines: int, totals: Totals, core: int) -> Run:
    """A run on `log`, whose counts have to be `totals`: what was fast by counting less is no result.

    The answer goes to a file, which costs a few system calls; what only copies (cat) has none to be kept.
    Raises DisagreementError if the counts are wrong, and FailedError if it fails.
    """
    command, expected = peer.command(str(log)), peer.expected(totals)
    if not expected:
        return measure(command, peer.environment, core, lines, subprocess.DEVNULL)
    with tempfile.TemporaryFile() as printed:
        run = measure(command, peer.environment, core, lines, printed)
        printed.seek(0)
        text = printed.read().decode()
    compare(f"{peer.name} on {log.name}", expected, peer.answer(text))
    return run
