"""Random histories of a log and the files beside it, against the oracle of numbered lines.

Hypothesis draws writes (whole and partial), renames, shifts, copies, copytruncates, deletions and looks in
any order. After each history every completed line was read once. The histories keep to what is possible
at all: something of a file was read before it is truncated, all of it before it is deleted, and nobody
writes to a deleted file after it was quiet for so long that a follower without leases let it go. And
inotify works: where it does not, content decides, which cannot tell everything apart.
"""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from qps_service.files import Files
from qps_service.follower import Follower
from tests.fault import twins
from tests.following import BlindFiles, Rig, Writer

STEPS = 40


class History(RuleBasedStateMachine):
    """One log's life."""

    follower: type[Follower] = Follower

    @initialize(blind=st.booleans(), from_start=st.booleans(), early=st.booleans())
    def begin(self, blind: bool, from_start: bool, early: bool) -> None:
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        self.root = Path(tempfile.mkdtemp(prefix="qps-history-"))
        files = BlindFiles() if blind else Files()
        self.rig = Rig(self.root, follower=self.follower, files=files, from_start=from_start)
        self.writers: list[Writer] = []
        self.truncations = 0
        if early:
            writer = self.rig.writer()
            writer.lines(2)
            if not from_start:
                self.rig.expected.clear()
            self.writers.append(writer)
        self.rig.look()

    def current(self) -> Writer:
        """The writer of the file that is the log now."""
        if not self.rig.path.exists() or not self.writers or not self._is_log(self.writers[-1]):
            self.writers.append(self.rig.writer())
        return self.writers[-1]

    def _is_log(self, writer: Writer) -> bool:
        here, there = os.fstat(writer.descriptor), self.rig.path.stat()
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)

    @rule(count=st.integers(1, 30))
    def write(self, count: int) -> None:
        self.current().lines(count)

    def _reachable(self, writer: Writer) -> bool:
        status = os.fstat(writer.descriptor)
        return status.st_nlink > 0 or self.rig.holds((status.st_dev, status.st_ino))

    @rule(data=st.data(), count=st.integers(1, 5))
    def write_late(self, data: st.DataObject, count: int) -> None:
        writers = [writer for writer in self.writers if self._reachable(writer)]
        if writers:
            writers[data.draw(st.integers(0, len(writers) - 1))].lines(count)

    @rule(looks=st.booleans())
    def write_in_two_pieces(self, looks: bool) -> None:
        writer, line = self.current(), self.rig.next_line()
        writer.raw(line[:7])
        if looks:
            self.rig.look()
        writer.raw(line[7:])
        self.rig.expected[line.rstrip(b"\n")] += 1

    @precondition(lambda self: self.rig.path.exists())
    @rule(successor=st.booleans())
    def rename(self, successor: bool) -> None:
        self.rig.rotate()
        if successor:
            self.current()

    @precondition(lambda self: self.rig.path.exists())
    @rule()
    def shift(self) -> None:
        base = self.rig.path
        # More numbers than a history has steps: none is ever overwritten.
        for number in range(STEPS, 0, -1):
            source = base.with_name(f"{base.name}.0{number}")
            if source.exists():
                source.rename(base.with_name(f"{base.name}.0{number + 1}"))
        base.rename(base.with_name(f"{base.name}.01"))
        self.current()

    @precondition(lambda self: self.rig.path.exists())
    @rule(first_looks=st.booleans())
    def copytruncate(self, first_looks: bool) -> None:
        log = self.rig.path
        if first_looks or not self.rig.has_read(log):
            self.rig.look()
        shutil.copy(log, log.with_name(f"copy-{self.truncations}"))
        shutil.copy(log, log.with_name(f"{log.name}.5{self.truncations}"))
        os.truncate(log, 0)
        self.truncations += 1
        self.rig.look()

    @precondition(lambda self: self.rig.path.exists())
    @rule(name=st.sampled_from(["access.log.bak", "access.log.6", "access.log-20261123"]))
    def copy(self, name: str) -> None:
        target = self.rig.path.with_name(name)
        if not target.exists():
            shutil.copy(self.rig.path, target)

    @rule(data=st.data())
    def delete_rotated(self, data: st.DataObject) -> None:
        self.rig.look(61)  # long enough for a sweep: files that were let go may have grown
        names = sorted(path.name for path in self.rig.path.parent.iterdir() if path != self.rig.path)
        if names:
            self.rig.path.with_name(data.draw(st.sampled_from(names))).unlink()

    @precondition(lambda self: self.rig.path.exists())
    @rule(recreate=st.booleans())
    def delete_log(self, recreate: bool) -> None:
        self.rig.look()
        self.rig.path.unlink()
        if recreate:
            self.current()

    @rule(seconds=st.sampled_from([0.01, 1, 30, 120]))
    def look(self, seconds: float) -> None:
        self.rig.look(seconds)

    @precondition(lambda self: self.writers)
    @rule(data=st.data())
    def close_writer(self, data: st.DataObject) -> None:
        self.writers.pop(data.draw(st.integers(0, len(self.writers) - 1))).close()

    @invariant()
    def nothing_twice(self) -> None:
        if hasattr(self, "rig"):
            assert not self.rig.seen - self.rig.expected

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        try:
            self.rig.check()
        finally:
            self.rig.close()
            shutil.rmtree(self.root)


# The checks always run the same histories; scripts/histories.sh draws as many new ones as one likes.
DRAWN = os.environ.get("QPS_REPORTER_HISTORIES")
BOUNDED = settings(
    max_examples=int(DRAWN or "300"),
    derandomize=DRAWN is None,
    database=None,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)

TestHistories = History.TestCase
TestHistories.settings = BOUNDED


TWINS = (twins.ClosesFirst, twins.LooksAtTheLogOnly, twins.TrustsNames, twins.BySizeOnly)


@pytest.mark.parametrize("twin", TWINS)
def test_random_histories_catch_a_broken_follower(twin: type[Follower]) -> None:
    class Broken(History):
        follower = twin

    # The first failure is enough; making it small is for failures that nobody expects.
    quick = settings(BOUNDED, max_examples=500, phases=[Phase.generate])
    with pytest.raises((AssertionError, OSError)):
        run_state_machine_as_test(Broken, settings=quick)
