"""What somebody did to a log who wanted lines to be lost, counted twice, or called lost, and nothing said.

Probes that ask for the same things in turns, in a format without a time, make texts that are alike to the
byte, with as many different lines as there are probes.
"""

import os
import shutil
from collections.abc import Callable

from qps_service.files.fingerprint import common
from qps_service.files.recognition import KnownPart
from tests.fault import twins
from tests.fault.restarts import begun
from tests.fault.scenarios import Make, row
from tests.following import BlindFiles, Rig
from tests.promised import promises

ROUNDS = 5


def probe(rig: Rig, probes: int = 20, rounds: int = ROUNDS) -> None:
    """Each asks once a round."""
    writer = rig.writer()
    for _ in range(rounds):
        for number in range(probes):
            line = b"192.0.2.1\tGET /probe/%d\t200\t12" % number
            writer.raw(line + b"\n", expect=line)
    writer.close()


def probed(make: Make, probes: int = 20, rounds: int = ROUNDS) -> Rig:
    rig, writer = begun(make)
    writer.close()
    rig.renew().close()
    rig.look_often(3)
    probe(rig, probes, rounds)
    rig.look()
    return rig


def probes_in_turn_and_copytruncate(make: Make) -> None:
    """What is written after each rotation is what was written before it, line by line."""
    rig = probed(make)
    for number in range(2):
        rig.copytruncate(f"access.log.{number + 5}")
        rig.look()
        probe(rig)
        rig.look()
    rig.check(losses=[])


def rotated_while_stopped(make: Make, rotate: Callable[[Rig], object]) -> None:
    rig = probed(make, probes=100, rounds=1)
    rig.stop()
    rotate(rig)
    probe(rig, probes=100, rounds=1)
    rig.start()
    rig.look()
    assert not rig.said("recognised")
    rig.check(losses=[])


def one_round_of_probes_rotated_while_stopped(make: Make) -> None:
    """The file that was read is there under another name: then the new one is no copy that took its place."""
    rotated_while_stopped(make, lambda rig: rig.rotate())


def probes_rotated_to_another_directory_while_stopped(make: Make) -> None:
    def rotate(rig: Rig) -> None:
        rig.beside("old").mkdir()
        rig.path.rename(rig.beside("old/monday"))

    rotated_while_stopped(make, rotate)


def copy_kept_by_its_editor_while_stopped(make: Make) -> None:
    """The original is kept, as a rotation keeps it, and no line has a time: they count twice, and that is
    said."""
    rig = probed(make)
    rig.stop()
    rig.path.rename(rig.beside("access.log~"))
    shutil.copy(rig.beside("access.log~"), rig.path)
    rig.start()
    rig.look()
    for line in [line for line in rig.expected if b"probe" in line]:
        rig.expected[line] *= 2
    said = rig.said("possible_duplicate")
    assert [text.partition(":")[0] for text in said] == ["possible duplicate of 100 lines at most"]
    rig.check(losses=[])


def copytruncate_while_stopped_by_one_who_may_not_ask(make: Make) -> None:
    """Who doesn't own a log isn't told whether a file has writers, and has the copy open for a minute. The
    next process finds it where it is."""
    rig, writer = begun(make, files=BlindFiles())
    rig.stop()
    writer.lines(6)
    rig.copytruncate()
    writer.lines(130)
    rig.start()
    rig.look()
    rig.stop()
    rig.start()
    rig.look()
    rig.check(losses=[])
    assert os.path.exists(rig.beside("access.log.1"))


def rotated_with_another_link_while_stopped(make: Make) -> None:
    """A file with two names is one file."""
    rig, writer = begun(make)
    os.link(rig.path, rig.beside("snapshot"))
    rig.stop()
    writer.lines(6)
    rig.renew(30)
    rig.start()
    rig.look()
    rig.check(losses=[])


def probes_and_copytruncate_while_stopped(make: Make) -> None:
    """The log has all that was read, and more, as if nothing had been cut. Only the copy tells."""
    rig = probed(make)
    rig.stop()
    size = rig.copytruncate("access.log.5").stat().st_size
    probe(rig)
    rig.start()
    rig.settle()
    missing = rig.expected - rig.seen
    (loss,) = rig.paper.losses
    assert 0 < sum(len(line) + 1 for line in missing.elements()) <= size == loss.bytes
    rig.stop()
    rig.start()
    rig.settle()
    assert rig.paper.losses == [loss], "said once"


# --- twins

# Takes lines that are written again and again for proof that two texts are one.
TakesWhatBeginsAlike = twins.spoilt(
    "TakesWhatBeginsAlike",
    "_held._known_part",
    lambda generation, former: KnownPart(common(former, generation.source.read)),
)


# Says nothing of a copy that may be all that is left of what was read.
TrustsTheLog = twins.spoilt("TrustsTheLog", "_discovery._classifier._lose", lambda _: None)
# Knows of no file that it has another name now.
KnowsNoOtherName = twins.spoilt("KnowsNoOtherName", "_discovery.presence", lambda *_: lambda _: False)
# Takes a file once for each of its names.
TakesEachName = twins.in_other_surroundings("TakesEachName", found=[])
# Leaves a copy out for good, though it was read.
LeavesOutForGood = twins.spoilt("LeavesOutForGood", "_known_files.ignored.remove", lambda *_: None)


TWINS = {
    probes_in_turn_and_copytruncate: TakesWhatBeginsAlike,
    one_round_of_probes_rotated_while_stopped: KnowsNoOtherName,
    probes_rotated_to_another_directory_while_stopped: KnowsNoOtherName,
    copy_kept_by_its_editor_while_stopped: twins.SaysNoDuplicate,
    rotated_with_another_link_while_stopped: TakesEachName,
    probes_and_copytruncate_while_stopped: TrustsTheLog,
    copytruncate_while_stopped_by_one_who_may_not_ask: LeavesOutForGood,
}

test_every_line_once, test_twin = promises(*(row(check, twin) for check, twin in TWINS.items()))
