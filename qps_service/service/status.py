"""The line that `systemctl status` shows. Pure.

Whoever looks does so because something is wrong, and lines are cut at the terminal's edge: so trouble comes
first, then the rates. Logs are named only where they are the trouble, and a few of them.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from qps_service.reporting.text import format_rate
from qps_service.text.escape import show_path

NAMED = 3  # logs that are waited for, or can't be read


class Status(NamedTuple):
    """What the line tells of."""

    rate: float  # requests per second of the last report, all logs
    routes: int  # told apart
    logs: int
    requests: int  # in total
    is_written: bool  # whether the ledger, if there is one, has all that was committed
    failing: Sequence[str]  # names of outputs
    losses: int  # possible ones, as long as reports tell of them
    waiting: Sequence[str]  # why logs are not followed, one text a log
    unmatched: str | None  # which patterns no file matches, for people
    source: str | None  # the file that the configuration was read from


def status_line(status: Status) -> str:
    """All of it."""
    parts = list(_trouble(status))
    left = status.logs - len(status.waiting)
    if left or not (status.logs or status.unmatched):
        logs = f"{left} of {status.logs} logs" if status.waiting else _counted(status.logs, "log")
        parts += [f"{format_rate(status.rate)} requests/s, {_counted(status.routes, 'route')}, {logs}"]
        parts += [f"{status.requests} requests in total"]
    elif status.logs and status.source:
        parts.append(f"set path in {show_path(status.source)}")
    return "; ".join(parts)


def _trouble(status: Status) -> Iterator[str]:
    """What matters most comes first."""
    if not status.is_written:
        yield "the ledger is not written"
    if status.failing:
        one = len(status.failing) == 1
        yield f"output{'' if one else 's'} {', '.join(status.failing)} fail{'s' if one else ''}"
    if status.losses:
        yield _counted(status.losses, "possible loss", "possible losses")
    waiting = sorted(status.waiting, key=lambda text: text.startswith("waiting for"))
    yield from waiting[:NAMED]
    if more := waiting[NAMED:]:
        yield f"likewise {_counted(len(more), 'more log')}"
    if status.unmatched:
        yield status.unmatched


def _counted(number: int, one: str, several: str | None = None) -> str:
    return f"{number} {one if number == 1 else several or f'{one}s'}"
