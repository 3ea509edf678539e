"""`qps-reporter status`: whether it counts, on one screen."""

import argparse
import os
import time
from collections.abc import Mapping
from datetime import UTC

from qps_service.commands import answer
from qps_service.commands.reading import add_state, reading
from qps_service.errors import EXIT_OK, EXIT_PROBLEM
from qps_service.ledger.queries import standing
from qps_service.looking.moments import HOUR
from qps_service.looking.state import is_counting, lines
from qps_service.service.state_directory import STATE, holder_of

EPILOG = """\
examples:
  qps-reporter status                   of the service
  qps-reporter status --state DIR

Shows when the ledger was last written and by whom, what systemd tells of the unit, each log's last window,
its last hour and all of it, possible losses, and the last events. Reads only. Exits 0 if it counts, 1 if it
does not, or the ledger can't be read, 2 if the command line is wrong.
"""

EVENTS = 8
SYSTEMCTL = 2  # seconds that systemd has to answer; without its answer there is none of it
PROPERTIES = "Id,ActiveState,SubState,StateChangeTimestamp,Result,NRestarts,StatusText"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    add_state(parser)
    parser.add_argument("--utc", action="store_true", help="show times in UTC (default: local time)")


def run(arguments: argparse.Namespace) -> int:
    """Print it; the exit status."""
    now = time.time_ns()
    state = os.path.abspath(arguments.state)
    with reading(state) as ledger:
        found = standing(ledger, now - HOUR, now, EVENTS)
    pid, unit = holder_of(state), properties(unit_of(state))
    screen = lines(found, now, UTC if arguments.utc else None, pid=pid, unit=unit)
    answer("".join(f"{line}\n" for line in screen))
    return EXIT_OK if is_counting(found, now, pid, unit) else EXIT_PROBLEM


def unit_of(state: str) -> str | None:
    """The packaged unit that has this state directory."""
    if state == STATE:
        return "qps-reporter.service"
    parent, name = os.path.split(state)
    return f"qps-reporter@{name}.service" if parent == STATE else None


def properties(unit: str | None) -> Mapping[str, str]:
    """What systemd tells of the unit; nothing where it tells nothing."""
    if unit is None:
        return {}
    import subprocess

    try:
        told = subprocess.run(
            ["systemctl", "show", f"--property={PROPERTIES}", "--", unit],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SYSTEMCTL,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return {name: value for name, _, value in (line.partition("=") for line in told.stdout.splitlines())}
