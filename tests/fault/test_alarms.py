"""No false alarm: weeks of Debian's stock nginx and apache2, with stops, reboots and containers' restarts.

Every line is counted once, and nothing is said that would make anybody look: no loss, no copy that was
recognised, no duplicate. `scripts/campaign.sh alarms` lets more days pass than CI has the time for.
"""

import gzip
import itertools
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from qps_service.files.kernel import Seen
from qps_service.files.recognition import TextEnd
from qps_service.following.follower import Follower
from qps_service.following.generation import Generation
from qps_service.following.hints import Arrival
from qps_service.values.positions import Position
from tests.fault import broken, twins
from tests.fault.devices import ReusedNumbers
from tests.fault.restarts import pack
from tests.fault.scenarios import Make as MakeRig
from tests.fault.scenarios import followed, row
from tests.fault.week import (
    SERVERS,
    Happened,
    Machine,
    Make,
    Setup,
)
from tests.following import SECOND, BlindFiles, Rig, Writer
from tests.promised import nothing, promises

pytestmark = pytest.mark.real_time

ALL = [Setup(server, *rest) for server in SERVERS for rest in itertools.product((True, False), repeat=5)]
# Each server with each of its two configurations, and whatever else there is in half of them.
SOME = [
    Setup("nginx", delays=True, has_times=True, blind=True, store=True, versions=True),
    Setup("nginx", delays=False, has_times=False, blind=True, store=False, versions=False),
    Setup("apache2", delays=True, has_times=False, blind=False, store=True, versions=False),
    Setup("apache2", delays=False, has_times=True, blind=False, store=False, versions=True),
]
WEEK = 7  # days
DAYS = int(os.environ.get("QPS_REPORTER_DAYS", "0"))  # of each setup, in a campaign
SETUPS = ALL if DAYS else SOME


@pytest.fixture
def make_machine(tmp_path: Path) -> Iterator[Make]:
    """Builds machines, each in a directory of its own."""
    machines: list[Machine] = []

    def build(follower: type[Follower] = Follower, *, setup: Setup) -> Machine:
        root = tmp_path / str(len(machines))
        machines.append(Machine(root, setup, ALL.index(setup), follower=follower))
        return machines[-1]

    yield build
    for machine in machines:
        machine.close()


def days(make_machine: Make, setup: Setup, number: int = WEEK) -> Counter[Happened]:
    machine = make_machine(setup=setup)
    machine.live(number)
    machine.check()
    return machine.happened


@pytest.mark.parametrize("setup", SETUPS, ids=lambda each: f"{each.server}-{ALL.index(each)}")
def test_no_false_alarm(setup: Setup, make_machine: Make) -> None:
    happened = days(make_machine, setup, DAYS or WEEK)
    assert happened
    print("\n".join(f"{times:6} {each}" for each, times in sorted(happened.items())))  # noqa: T201


# Takes each file that was created at the log's name for one that somebody put there.
TakesCreatedForMoved = twins.spoilt(
    "TakesCreatedForMoved", "_discovery.take_arrival", lambda path: Arrival.MOVED
)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("twin", "setup"),
    [
        (broken.ComparesNoArchives, SOME[1]),
        (twins.StartsAnew, SOME[2]),
        (TakesCreatedForMoved, SOME[0]),
    ],
)
def test_alarms_are_noticed(twin: type[Follower], setup: Setup, make_machine: Make) -> None:
    with pytest.raises(AssertionError):
        days(partial(make_machine, twin), setup)


# --- what raised alarms, or hid behind them


def write(rig: Rig, writer: Writer, *texts: str) -> None:
    """Lines without a time."""
    for text in texts:
        writer.raw(f"{text}\n".encode(), text.encode())


def pack_as_of(path: Path, modified: int) -> Path:
    """Compress as logrotate does, with the time that the log had when logrotate began."""
    packed = pack(path)
    os.utime(packed, ns=(modified, modified))
    return packed


def packed_with_an_older_time(make: MakeRig) -> None:
    """A late line was read, and logrotate gave the archive the time that the log had before that."""
    rig, old = followed(make, files=BlindFiles())
    old.lines(20)
    modified = rig.path.stat().st_mtime_ns - SECOND
    rotated = rig.rotate()
    old.lines(1)
    rig.writer()
    rig.look()
    pack_as_of(rotated, modified)
    old.close()
    rig.look()
    rig.stop()
    rig.start()
    rig.check(losses=[])


def few_lines_and_then_more(make: MakeRig) -> None:
    """Too few lines to prove anything were read. More came and were compressed, twice, while nobody ran."""
    rig, old = followed(make)
    write(rig, old, *["GET /health"] * 3)
    rig.look()
    rig.kill()
    for _ in range(2):
        write(rig, old, *["GET /health"] * 5)
        pack(rig.rotate())
        old = rig.writer()
    rig.start()
    rig.check(losses=[])
    assert len(rig.said("possible_duplicate")) == 1  # nothing tells the second from a copy of the first


def few_lines_with_an_older_time(make: MakeRig) -> None:
    """Too few lines to prove anything, of a file that was rotated while it was read, and once more since."""
    rig, old = followed(make, files=BlindFiles())
    write(rig, old, "GET /a", "GET /b")
    modified = rig.path.stat().st_mtime_ns - SECOND
    rotated = rig.rotate()
    write(rig, old, "GET /c")
    new = rig.writer()
    write(rig, new, "GET /d")
    rig.look()
    rig.kill()
    pack_as_of(rotated, modified).rename(rotated.with_name("access.log.2.gz"))
    write(rig, new, "GET /e")
    rig.start()
    rig.check(losses=[])
    assert not rig.said("possible_duplicate")


def few_lines_of_a_finished_log(make: MakeRig) -> None:
    """Likewise, of a file that had been read to its end, with no writer left."""
    rig, old = followed(make)
    write(rig, old, "GET /a", "GET /b")
    modified = rig.path.stat().st_mtime_ns - SECOND
    rotated = rig.rotate()
    write(rig, old, "GET /c")
    old.close()
    new = rig.writer()
    rig.look()
    rig.look()
    assert rig.files_open == 1
    rig.stop()
    pack_as_of(rotated, modified)
    write(rig, new, "GET /d")
    pack(rig.rotate())
    rig.writer()
    rig.start()
    rig.check(losses=[])


def first_in_a_new_directory(make: MakeRig) -> None:
    """logrotate is told to use `olddir`, and the first file that it moves there came and went while nobody
    ran; the next one is moved while it is read."""
    rig, writer = followed(make)
    writer.lines(20)
    rig.look()
    rig.kill()
    writer = rig.renew(20, closing=writer)
    aside = rig.path.parent / "old"
    aside.mkdir()
    rig.path.rename(aside / "access.log.2")
    writer.close()
    writer = rig.writer()
    writer.lines(3)
    rig.start()
    rig.look()
    rig.path.rename(aside / "access.log.1")
    writer.lines(1)
    writer.close()
    rig.writer().lines(1)
    rig.look()
    rig.check(losses=[])


class ListedNumbers(ReusedNumbers):
    """Directories list it, too."""

    def entries(self, directory: str) -> Iterator[tuple[str, int, bool]]:
        for name, inode, is_file in super().entries(directory):
            yield name, self.reused.get(inode, inode), is_file


def number_reused(make: MakeRig, *, versions: bool, lay: Callable[[Rig], Path]) -> None:
    """The log is compressed, and another program's file has its number: neither that file nor those that are
    called alike are the log's."""
    files = ListedNumbers(has_versions=versions)
    rig, old = followed(make, files=files)
    old.lines(20)
    rig.look()
    rig.stop()
    gone = rig.path.stat().st_ino
    pack(rig.rotate())
    rig.writer().lines(1)
    files.reused[lay(rig).stat().st_ino] = gone
    rig.start()
    rig.check(losses=[])


def two_states(rig: Rig) -> Path:
    for number in (2, 1):
        (state := rig.beside(f"state.{number}")).write_text("logrotate state -- version 2\n")
    return state


def what_is_being_packed(rig: Rig) -> Path:
    """An archive that is not finished, where inodes have no versions."""
    half = rig.beside("error.log.1.gz")
    half.write_bytes(gzip.compress(b"what is in other logs\n" * 99)[:40])
    return half


def number_of_an_empty_log_reused(make: MakeRig) -> None:
    """Likewise, where nothing had been in the log: there is no text to tell."""
    files = ListedNumbers(has_versions=False)
    rig, _ = followed(make, files=files)
    rig.stop()
    gone = rig.path.stat().st_ino
    rig.path.unlink()
    rig.writer().lines(1)
    rig.beside("error.log").write_text("nothing to worry about\n")
    files.reused[rig.beside("error.log").stat().st_ino] = gone
    rig.start()
    rig.check(losses=[])


def lines_known_again_after_a_kill(make: MakeRig) -> None:
    """What was read before a kill is kept line by line at the next orderly stop, too."""
    rig, writer = followed(make)
    write(rig, writer, *(f"GET /{number}" for number in range(40)))
    rig.look()
    rig.kill()
    rig.start()
    rig.look()
    rig.stop()
    (position,) = rig.paper.held.values()
    assert position.tail
    rig.start()
    rig.check(losses=[])


def since_the_last(by_time: Any, wanted: Collection[Position], *rest: Any, **more: Any) -> dict[str, Seen]:
    since = min(position.modified for position in wanted) // SECOND * SECOND
    found = by_time(wanted, *rest, **more)
    return {path: seen for path, seen in found.items() if seen.modified >= since}


GoesByTimesOfWriting = twins.around("GoesByTimesOfWriting", "_discovery._search.by_time", since_the_last)


class WantsProof(twins.Spoilt):
    def spoil(self) -> None:
        as_awaited = self._discovery._classifier.as_awaited
        self._discovery._take_for = nothing  # type: ignore[method-assign]
        self._discovery._classifier.as_awaited = (  # type: ignore[method-assign]
            lambda *rest, certain: as_awaited(*rest, certain=True)
        )


TrustsNumbers = twins.spoilt("TrustsNumbers", "_discovery._classifier.is_one_of", lambda *_: True)
TakesAllForTheLogs = twins.in_other_surroundings("TakesAllForTheLogs", elsewhere=())


class KeepsLinesOfItsOwn(twins.WithOtherGenerations):
    """Only of what it has read itself."""

    def change(self, generation: Generation) -> None:
        generation._end = TextEnd(b"", generation.offset)


test_no_alarm, test_the_alarm_of_a_twin = promises(
    row(packed_with_an_older_time, GoesByTimesOfWriting, broken.ComparesNoArchives),
    row(few_lines_and_then_more, WantsProof),
    row(few_lines_with_an_older_time, WantsProof),
    row(few_lines_of_a_finished_log, twins.KnowsNoText),
    row(first_in_a_new_directory, twins.StaysInItsDirectory),
    row(number_reused, TrustsNumbers, versions=True, lay=two_states),
    row(number_reused, TakesAllForTheLogs, versions=False, lay=what_is_being_packed),
    row(number_of_an_empty_log_reused, TakesAllForTheLogs),
    row(lines_known_again_after_a_kill, KeepsLinesOfItsOwn),
)
