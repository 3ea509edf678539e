"""Programs as the kernel accounts for them: run to their end, pinned to a core, or looked at from outside."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from benchmarks.figures import Run


class FailedError(Exception):
    """A program that was to be measured failed."""


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """What a program sees: the C locale, in which every peer is at its fastest, and nothing that changes how
    Python runs. Without bytecode, say, a third of our start would be compiling: an installation does it once.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "LC_ALL": "C", **extra}


def pinned(command: Sequence[str], core: int) -> list[str]:
    """The command, kept on one core with all its threads. taskset's own start is about a millisecond."""
    return ["taskset", "--cpu-list", str(core), *command]


def service(*arguments: str, core: int, said: int | IO[str] = subprocess.PIPE) -> "subprocess.Popen[str]":
    """The program on one core; what it says on stderr can be read, or goes to `said`, and its reports are
    thrown away."""
    return subprocess.Popen(
        pinned([sys.executable, "-m", "qps_service", "run", *arguments], core),
        stdout=subprocess.DEVNULL,
        stderr=said,
        text=True,
        env=environment({}),
    )


def cores() -> tuple[int, int]:
    """Where programs are measured, and where their writers run: another core, if there is one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[-1], allowed[0]


def measure(
    command: Sequence[str], extra: Mapping[str, str], core: int, lines: int, output: int | IO[bytes]
) -> Run:
    """Run it with its start and end. Raises FailedError if it fails."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        pinned(command, core),
        env=environment(extra),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    complaint = process.stderr.read()  # until its end
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - begun
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        text = complaint.decode(errors="replace").strip()[-500:]
        raise FailedError(f"{' '.join(command)}: exit status {process.returncode}: {text}")
    return Run(took, usage.ru_utime + usage.ru_stime, lines)


class Use(NamedTuple):
    """What living processes have used so far."""

    cpu: float  # seconds
    wakes: int  # voluntary context switches, each followed by a wake-up

    def __sub__(self, before: "Use") -> "Use":
        return Use(self.cpu - before.cpu, self.wakes - before.wakes)


def use(pids: Sequence[int]) -> Use:
    """The sum over all threads of these processes that still live."""
    cpu, wakes = 0, 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                cpu += int((task / "schedstat").read_text().split()[0])  # nanoseconds
                wakes += int(fields(task / "status")["voluntary_ctxt_switches"])
    return Use(cpu / 1e9, wakes)


def memory(pids: Sequence[int]) -> tuple[float, float]:
    """RSS and PSS in MB; what processes share counts once for each in RSS, once in all in PSS."""
    sums = [0, 0]
    for pid in pids:
        rollup = fields(Path(f"/proc/{pid}/smaps_rollup"))
        for index, name in enumerate(("Rss", "Pss")):
            sums[index] += int(rollup[name].split()[0])
    return sums[0] * 1024 / 1e6, sums[1] * 1024 / 1e6


def fields(path: Path) -> dict[str, str]:
    """A file of lines `name: value` under /proc."""
    return dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
