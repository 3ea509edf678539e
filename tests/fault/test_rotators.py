"""What cronolog, rotatelogs and svlogd make of a log, and what several servers of them do: each line once.

They are the real ones. All are fed side by side, for their names have seconds; each log is followed, left by
an orderly stop or a kill, and followed again.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from qps_service.following.directories import LogDirectory
from qps_service.following.search import Search
from tests.fault.program import GUARD, until
from tests.fault.scenarios import Make
from tests.fault.servers import LIBRARIES, SERVERS
from tests.following import Rig
from tests.promised import Patches, Promise, promises

pytestmark = pytest.mark.real_time

SIZE = 1500  # bytes, where files are rotated by size


class Rotator(NamedTuple):
    """How a program is called, by format with `logs`, and what its log is configured as."""

    path: str
    command: str
    files: str = "*"  # what it makes
    zones: tuple[str, ...] = ("UTC",)  # of as many servers, each with a program of its own


ROTATORS = {
    "cronolog": Rotator("access-%Y-%m-%d-%H%M%S.log", "cronolog {logs}/access-%Y-%m-%d-%H%M%S.log"),
    "cronolog, directories": Rotator("%Y/%j/%T/access.log", "cronolog {logs}/%Y/%j/%T/access.log", "*/*/*/*"),
    "cronolog, months": Rotator("%d%b%Y-%H.%M.%S", "cronolog {logs}/%d%b%Y-%H.%M.%S", zones=("EST5",)),
    # Names in UTC and in local time lie an hour apart, and both grow at once.
    "cronolog, two zones": Rotator("a.%F.%T", "cronolog {logs}/a.%F.%T", zones=("UTC", "CET-1")),
    # Its link stays where it was first.
    "cronolog -S": Rotator("access.%s", "cronolog -S {logs}/link {logs}/access.%s", "access.*"),
    "rotatelogs": Rotator("access.log.%s", "rotatelogs {logs}/access.log 1"),
    "rotatelogs -l": Rotator("a_%F_%T", "rotatelogs -l {logs}/a_%F_%T 1", zones=("CET-1",)),
    "rotatelogs -L": Rotator("now", "rotatelogs -L {logs}/now {logs}/access.log 1", "access*"),
    "rotatelogs -L, dated": Rotator("a.%s.log", "rotatelogs -L {logs}/now {logs}/a.%s.log 1", "a.*"),
    "rotatelogs -n -L": Rotator("now", "rotatelogs -n 40 -L {logs}/now {logs}/log 1", "log*"),
    "svlogd": Rotator("current", "svlogd {logs}/."),
}


class Fed:
    """A program that is given lines, and what follows its files."""

    def __init__(self, make: Make, rotator: Rotator) -> None:
        self.rig: Rig = make(log=rotator.path, knows_times=True)
        self._files, self.logs = rotator.files, self.rig.root / "logs"
        (self.logs / "config").write_text(f"s{SIZE}\nn50\n")  # svlogd's
        self.programs = [
            subprocess.Popen(
                [SERVERS / "bin" / name, *given],
                stdin=subprocess.PIPE,
                env={**os.environ, "LD_LIBRARY_PATH": str(LIBRARIES)},
            )
            for zone in rotator.zones
            for name, *given in [rotator.command.format(logs=self.logs).split()]
        ]
        self.feed(0)
        self.rig.look()

    @property
    def made(self) -> int:
        """How many files there are."""
        return sum(path.is_file() for path in self.logs.glob(self._files))

    def feed(self, count: int) -> None:
        """So many lines to each."""
        for program in self.programs:
            for _ in range(count):
                line = self.rig.next_line()
                assert program.stdin
                program.stdin.write(line)
                program.stdin.flush()
                self.rig.expected[line.rstrip(b"\n")] += 1

    def close(self) -> None:
        """What it has read by then it writes."""
        for program in self.programs:
            assert program.stdin
            program.stdin.close()
            program.wait(GUARD)  # cronolog ends with status 3


@contextmanager
def all_fed(make: Make) -> Iterator[dict[str, Fed]]:
    fed: dict[str, Fed] = {}
    try:
        for name, rotator in ROTATORS.items():
            fed[name] = Fed(make, rotator)
        yield fed
    finally:
        for each in fed.values():
            for program in each.programs:
                program.kill()
                program.wait()


def each_line_once(make: Make) -> None:
    with all_fed(make) as fed:

        def go_on(files: int, *, runs: bool = True) -> None:
            """Until each has made so many files more."""
            targets = {name: each.made + files for name, each in fed.items()}

            def is_there() -> bool:
                for each in fed.values():
                    each.feed(2)
                    if runs:
                        each.rig.look(0.05)
                return all(each.made >= targets[name] for name, each in fed.items())

            until(is_there, "further files", pause=0.05)

        def each_one(act: Callable[[Rig], None]) -> None:
            for each in fed.values():
                act(each.rig)

        # A link that leads to another file before it was ever seen tells of the second alone: so the first
        # files come when a second begins, and are seen in it.
        until(lambda: time.time() % 1 < 0.2, "a second", pause=0.01)
        for each in fed.values():
            each.feed(2)
        until(lambda: all(each.made for each in fed.values()), "first files", pause=0.01)
        for each in fed.values():
            each.rig.look(0.05)
        go_on(2)  # the first file of rotatelogs -n has no number
        each_one(Rig.stop)
        go_on(2, runs=False)
        each_one(Rig.start)
        go_on(1)
        each_one(Rig.kill)
        go_on(1, runs=False)
        each_one(Rig.start)
        go_on(1)
        wrong = {}
        for name, each in fed.items():
            each.close()
            try:
                each.rig.check(losses=[])
                assert not each.rig.said("possible_duplicate")
            except AssertionError as error:
                wrong[name] = str(error).partition("\n")[0]
        assert not wrong


NO_OTHERS = Patches((LogDirectory, "siblings", lambda *_: []), (Search, "named_like", lambda *_: {}))

test_promise, test_twin = promises(Promise(each_line_once, None, {"knows no others": NO_OTHERS}))
