"""Who else follows a log: other processes of `qps-reporter run` that have it open, as /proc tells.

Each counts for itself, which is no fault; but their reports stand side by side in one journal, and whoever
adds them up has everything twice. Other users' processes show what they have open to root alone (proc(5)).
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

PROC = "/proc"
_NAMES = ("qps-reporter", "qps_service")


class Run(NamedTuple):
    """A process."""

    pid: int
    command: str
    unit: str | None  # of systemd, that it belongs to; None for one that somebody started by hand


def runs_on(path: str) -> list[Run]:
    """Those that have the file open that is there now."""
    try:
        log = os.stat(path)
    except OSError:
        return []
    return [run for run in _runs() if _has_open(run.pid, log)]


def _runs() -> Iterator[Run]:
    for pid in sorted(int(name) for name in os.listdir(PROC) if name.isdecimal()):
        words = _read(pid, "cmdline").decode(errors="replace").split("\0")
        names = [os.path.basename(word) for word in words]
        at = next((number for number, name in enumerate(names) if name in _NAMES), None)
        if at is not None and words[at + 1 : at + 2] == ["run"]:
            yield Run(pid, " ".join(words[at:]).strip(), _unit(pid))


def _unit(pid: int) -> str | None:
    """The last part of its control group, which systemd calls as the unit (cgroups(7))."""
    group = _read(pid, "cgroup").decode(errors="replace").strip().rpartition("/")[2]
    return group if group.endswith(".service") and group.startswith("qps-reporter") else None


def _has_open(pid: int, log: os.stat_result) -> bool:
    directory = f"{PROC}/{pid}/fd"
    with suppress(OSError):  # it has ended, or is another user's
        for name in os.listdir(directory):
            with suppress(OSError):
                if os.path.samestat(os.stat(f"{directory}/{name}"), log):
                    return True
    return False


def _read(pid: int, name: str) -> bytes:
    with suppress(OSError), open(f"{PROC}/{pid}/{name}", "rb") as file:
        return file.read()
    return b""
