"""Random histories of a log and the files beside it, against the oracle of numbered lines.

Hypothesis draws writes (whole and partial), renames, shifts, copies, copytruncates, compressions, deletions,
refused permissions, stops, kills, starts and looks in any order. After each history every completed line was
counted once. The histories keep to what is possible at all: something of a file was read before it is
truncated, all of it before it is deleted, and nobody writes to a deleted file after it was quiet for so long
that a follower without leases let it go. And inotify works: where it does not, content decides, which cannot
tell everything apart.
"""

import errno
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

from qps_service.files.kernel import Files
from qps_service.following.follower import Follower
from tests.fault import twins
from tests.fault.restarts import PACKERS, pack
from tests.following import Rig, Writer

STEPS = 40


class OtherFiles(Files):
    """A kernel that may not tell of writers, and may refuse to open anything."""

    def __init__(self, *, blind: bool) -> None:
        super().__init__()
        self._blind = blind
        self.denied = False

    def has_writer(self, descriptor: int) -> bool | None:
        return None if self._blind else super().has_writer(descriptor)

    def open(self, path: str) -> int:
        if self.denied:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return super().open(path)


def running(machine: "History") -> bool:
    return machine.is_running and machine.rig.path.exists()


class History(RuleBasedStateMachine):
    """One log's life."""

    follower: type[Follower] = Follower

    @initialize(blind=st.booleans(), from_start=st.booleans(), early=st.booleans(), store=st.booleans())
    def begin(self, blind: bool, from_start: bool, early: bool, store: bool) -> None:
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        self.root = Path(tempfile.mkdtemp(prefix="qps-history-"))
        self.files = OtherFiles(blind=blind)
        self.rig = Rig(
            self.root, follower=self.follower, files=self.files, from_start=from_start, store=store
        )
        self.writers: list[Writer] = []
        self.truncations = self.rotations = 0
        self.is_running = True
        self.may_truncate = True
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
        if looks and self.is_running:
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
            for suffix in ("", *PACKERS):
                source = base.with_name(f"{base.name}.0{number}{suffix}")
                if source.exists():
                    source.rename(base.with_name(f"{base.name}.0{number + 1}{suffix}"))
        base.rename(base.with_name(f"{base.name}.01"))
        self.current()

    @rule(data=st.data(), suffix=st.sampled_from(sorted(PACKERS)))
    def compress(self, data: st.DataObject, suffix: str) -> None:
        rotated = self.rig.path.parent.glob("access.log.*")
        paths = sorted(path for path in rotated if path.suffix not in PACKERS)
        if paths:
            pack(data.draw(st.sampled_from(paths)), suffix)

    @precondition(running)
    @rule(first_looks=st.booleans())
    def copytruncate(self, first_looks: bool) -> None:
        if first_looks or not self.rig.has_read(self.rig.path):
            self.rig.look()
        self._copytruncate()
        self.rig.look()

    @precondition(lambda self: not self.is_running and self.may_truncate and self.rig.path.exists())
    @rule(packs=st.booleans())
    def copytruncate_while_stopped(self, packs: bool) -> None:
        if self.rig.has_read(self.rig.path):
            copy = self._copytruncate()
            self.may_truncate = False
            if packs:
                pack(copy)

    def _copytruncate(self) -> Path:
        log = self.rig.path
        copy = log.with_name(f"{log.name}.5{self.truncations}")
        shutil.copy(log, log.with_name(f"copy-{self.truncations}"))
        shutil.copy(log, copy)
        os.truncate(log, 0)
        self.truncations += 1
        return copy

    @precondition(lambda self: self.rig.path.exists())
    @rule(name=st.sampled_from(["access.log.bak", "access.log.6", "access.log-20261123"]))
    def copy(self, name: str) -> None:
        target = self.rig.path.with_name(name)
        # Of two equal texts that nobody has seen before nothing tells which is the log.
        known = self.is_running or self.rig.has_read(self.rig.path)
        if known and not target.exists():
            shutil.copy(self.rig.path, target)

    @precondition(lambda self: self.is_running)
    @rule(data=st.data())
    def delete_rotated(self, data: st.DataObject) -> None:
        self.rig.look(61)  # long enough for a sweep: files that were let go may have grown
        names = sorted(path.name for path in self.rig.path.parent.iterdir() if path != self.rig.path)
        if names:
            self.rig.path.with_name(data.draw(st.sampled_from(names))).unlink()

    @precondition(running)
    @rule(recreate=st.booleans())
    def delete_log(self, recreate: bool) -> None:
        self.rig.look()
        self.rig.path.unlink()
        if recreate:
            self.current()

    @precondition(running)
    @rule(rotates=st.booleans())
    def deny_for_a_while(self, rotates: bool) -> None:
        self.files.denied = True
        self.current().lines(3)
        self.rig.look()
        if rotates:
            self.rig.rotate()
            self.current().lines(3)
            self.rig.look()
        self.files.denied = False
        self.rig.look()

    @precondition(lambda self: self.is_running)
    @rule(kills=st.booleans(), count=st.integers(0, 20))
    def end(self, kills: bool, count: int) -> None:
        if kills:
            if self.rig.store is None:
                self.rig.look()  # of what was deleted nothing is left after the kill
            if count:
                self.current().lines(count)
            self.rig.look(commit=False)
            self.rig.kill()
        else:
            self.rig.stop()
        self.is_running = False

    @precondition(lambda self: not self.is_running)
    @rule(reboots=st.booleans(), looks=st.booleans())
    def start(self, reboots: bool, looks: bool) -> None:
        # A reboot empties systemd's store, which may hold what nothing else does.
        self.rig.start(rebooted=reboots and self.rig.store is None)
        self.is_running = self.may_truncate = True
        self.rig.look(0.01, commit=looks)
        if not looks:
            self.rig.kill()
            self.rig.start()
            self.rig.look()

    @precondition(lambda self: self.is_running)
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
            if not self.is_running:
                self.rig.start()
            self.rig.check()
        finally:
            self.rig.close()
            shutil.rmtree(self.root)


# The checks always run the same histories; scripts/campaign.sh histories draws as many new ones as one likes.
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


TWINS = (
    twins.ClosesFirst,
    twins.LooksAtTheLogOnly,
    twins.TrustsNames,
    twins.BySizeOnly,
    twins.StartsAnew,
    twins.IgnoresArchives,
    twins.KnowsNoText,
)


@pytest.mark.twin
@pytest.mark.parametrize("twin", TWINS)
def test_random_histories_catch_a_broken_follower(twin: type[Follower]) -> None:
    class Broken(History):
        follower = twin

    # The first failure is enough; making it small is for failures that nobody expects.
    quick = settings(BOUNDED, max_examples=500, phases=[Phase.generate])
    with pytest.raises((AssertionError, OSError)):
        run_state_machine_as_test(Broken, settings=quick)


def test_a_file_that_got_the_inode_number_of_one_that_was_read_is_not_taken_for_read(tmp_path: Path) -> None:
    """Whether a number is used again is the file system's whim: a history must go the same way each time."""
    rig = Rig(tmp_path, from_start=True)
    rig.writer().lines(3)
    rig.look()
    assert rig.has_read(rig.path)
    for number, position in rig.paper.held.items():
        former = position.identity._replace(version=(position.identity.version or 0) ^ 1)
        rig.paper.held[number] = position._replace(identity=former)
    assert not rig.has_read(rig.path)
    rig.close()
