"""What many logs in one configuration cost: at rest, where another file comes, and when all are rotated.

    .venv/bin/python -m benchmarks --only many_logs

500 logs in one directory, each with 14 rotated files, as Debian's logrotate leaves them. At rest means that
nobody writes: what is left is a look at each log every second, and once a minute a look through the directory
for each. Then files of somebody else come into the directory, one after the other, and go. Then all logs get
lines, and are rotated while they get more. A line that was not counted once is an error.

The same, but for the files of somebody else, with 300 virtual hosts that one path with wildcards stands for,
and that the real logrotate rotates, with `sharedscripts`.
"""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from benchmarks.agreement import DisagreementError
from benchmarks.figures import markdown
from benchmarks.processes import FailedError, memory, service, use

LOGS = 500
VHOSTS = 300
ROTATED = 14  # of each
SETTLE = 5.0  # seconds; the first window is over
REST = 60.0  # seconds, in which each log looks through its directory once
FILES = 200  # that come and go, of somebody else
APART = 0.05  # seconds between them; longer than hints are taken in apart
LINES = 20  # of each log, before its rotation and after it
LINE = b"10.0.0.1\tGET /shop\t200\t512\n"
LOGROTATE = (
    f"{{}}/*.log {{{{\n rotate {ROTATED}\n create\n sharedscripts\n postrotate\n  true\n endscript\n}}}}\n"
)
HEAD = ("many logs", "CPU s", "of a core", "wake-ups")


class Open(NamedTuple):
    """What the process has open."""

    descriptors: int
    instances: int  # of inotify
    watches: int


def opened(pid: int) -> Open:
    """By /proc."""
    descriptors = instances = watches = 0
    for entry in os.scandir(f"/proc/{pid}/fd"):
        descriptors += 1
        if "inotify" in os.readlink(entry.path):
            instances += 1
            watches += Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text().count("inotify wd:")
    return Open(descriptors, instances, watches)


def table(core: int, other: int, say: Callable[[str], None]) -> str:
    """All of it, as Markdown. Raises DisagreementError where a line was missed, and FailedError."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {other})
    try:
        return "\n\n".join(_measure(core, say, by_pattern=by_pattern) for by_pattern in (False, True))
    finally:
        os.sched_setaffinity(0, allowed)


def _measure(core: int, say: Callable[[str], None], *, by_pattern: bool) -> str:
    with tempfile.TemporaryDirectory(prefix="qps-many-logs-") as directory:
        root = Path(directory)
        logs = _lay_out(root, by_pattern=by_pattern)
        begun = time.monotonic()
        with _service(root, core) as process:
            _wait_until(process, lambda: _followed(root) == len(logs))
            started = time.monotonic() - begun
            time.sleep(SETTLE)
            say("many_logs: at rest")
            rows = [_row("at rest", process.pid, lambda: time.sleep(REST))]
            held, (rss, _) = opened(process.pid), memory([process.pid])
            if not by_pattern:
                say("many_logs: other files")
                other = f"{2 * FILES} times something else"
                rows.append(_row(other, process.pid, lambda: _others(logs[0].parent)))
            say("many_logs: rotated")
            rotate = _rotate_by_logrotate if by_pattern else _rotate
            rows.append(_row("all rotated", process.pid, lambda: rotate(logs, process, root)))
            process.send_signal(signal.SIGTERM)
            process.wait()
        found = re.search(r"stopped; (\d+) requests", _said(root))
        if not found:
            raise FailedError(f"qps-reporter run: {_said(root)[-500:].strip()}")
        if int(found[1]) != len(logs) * 2 * LINES:
            raise DisagreementError(f"many_logs: expected {len(logs) * 2 * LINES} lines, found {found[1]}")
    what = "virtual hosts by one pattern" if by_pattern else "logs"
    about = f"{len(logs)} {what} in one directory, {ROTATED} rotated files each; "
    about += f"{started:.1f} s until all are followed"
    has = f"{rss:.1f} MB RSS, {held.descriptors} descriptors, {held.instances} inotify instances"
    return f"many_logs: {about}; at rest {has}, {held.watches} watches\n\n{markdown(HEAD, rows)}"


def _lay_out(root: Path, *, by_pattern: bool) -> list[Path]:
    logs = [root / "log" / f"site{number}.log" for number in range(VHOSTS if by_pattern else LOGS)]
    logs[0].parent.mkdir(mode=0o755)
    for log in logs:
        log.touch()
        for number in range(1, ROTATED + 1):
            log.with_name(f"{log.name}.{number}").write_bytes(LINE.replace(b"shop", b"old/%d" % number))
    tables = "".join(f'[log.{log.stem}]\npath = "{log}"\n' for log in logs)
    if by_pattern:
        tables = f'max_logs = 1000\n[log.web]\npath = "{root}/log/*.log"\n'
    (root / "qps-reporter.toml").write_text(f'interval = "10s"\nstate = "{root}/state"\n{tables}')
    return logs


@contextmanager
def _service(root: Path, core: int) -> Iterator["subprocess.Popen[str]"]:
    """What it says goes to a file: a pipe would have to be read meanwhile."""
    with (
        (root / "stderr").open("w") as said,
        service("--config", str(root / "qps-reporter.toml"), core=core, said=said) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _said(root: Path) -> str:
    return (root / "stderr").read_text()


def _followed(root: Path) -> int:
    return _said(root).count("following ")


def _wait_until(process: "subprocess.Popen[str]", happened: Callable[[], bool]) -> None:
    while not happened():
        if process.poll() is not None:
            raise FailedError("qps-reporter run ended")
        time.sleep(0.05)


def _row(name: str, pid: int, happen: Callable[[], object]) -> tuple[str, ...]:
    """What it uses while something happens, and the next two looks."""
    before, begun = use([pid]), time.monotonic()
    happen()
    time.sleep(2.0)
    used = use([pid]) - before
    wall = time.monotonic() - begun
    return (name, f"{used.cpu:.2f}", f"{used.cpu / wall:.1%}", f"{used.wakes / wall:.1f}/s")


def _others(directory: Path) -> None:
    other = directory / "somebody.else"
    for _ in range(FILES):
        other.touch()
        time.sleep(APART)
        other.unlink()
        time.sleep(APART)


def _rotate(logs: list[Path], process: "subprocess.Popen[str]", root: Path) -> None:
    """As logrotate does, from the oldest file to the log itself; until all of it was seen."""
    for log in logs:
        log.write_bytes(LINE * LINES)
    for log in logs:
        names = [log, *(log.with_name(f"{log.name}.{number}") for number in range(1, ROTATED + 2))]
        for younger, older in reversed([*pairwise(names)]):
            younger.rename(older)
        names[-1].unlink()
        log.write_bytes(LINE * LINES)
    _wait_until(process, lambda: _said(root).count("rotated") >= LOGS)


def _rotate_by_logrotate(logs: list[Path], process: "subprocess.Popen[str]", root: Path) -> None:
    """Once, all of them; until all of it was seen."""
    for log in logs:
        log.write_bytes(LINE * LINES)
    configuration = root / "logrotate.conf"
    configuration.write_text(LOGROTATE.format(root / "log"))
    command: list[str | Path] = ["logrotate", "--force", "--state", root / "rotated", configuration]
    subprocess.run(command, check=True, capture_output=True)
    for log in logs:
        log.write_bytes(LINE * LINES)
    _wait_until(process, lambda: _said(root).count("rotated") >= len(logs))
