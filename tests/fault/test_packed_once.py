"""A compressed file that was read is not decompressed again, in no later start and under no later name."""

import os
from pathlib import Path

from qps_service.following import follower
from qps_service.following.known_files import KnownFiles
from qps_service.values.positions import Identity, Position
from tests.fault.restarts import PACKERS, pack
from tests.fault.scenarios import Make
from tests.fault.test_signs_of_life import Counting
from tests.following import Paper, Rig
from tests.ledgers import position
from tests.promised import Patches, Promise, promises


def read_packed(make: Make, suffix: str) -> tuple[Rig, Counting, Path]:
    """A log that was rotated and compressed while nobody ran, and was read to its end since."""
    files = Counting()
    rig = make(files=files)
    old = rig.writer()
    rig.look()
    old.lines(3000)
    rig.look()
    rig.stop()
    old.lines(3000)
    old.close()
    packed = pack(rig.rotate(), suffix)
    rig.writer().lines(5)
    rig.start()
    rig.look()
    rig.look()
    assert files.signs > 0
    rig.stop()
    files.signs = 0
    return rig, files, packed


def check_later_starts(make: Make, suffix: str) -> None:
    rig, files, packed = read_packed(make, suffix)
    for number in range(2, 4):
        rig.start()
        rig.look()
        assert files.signs == 0
        rig.stop()
        packed = packed.rename(rig.path.with_name(f"access.log.{number}{suffix}"))
    rig.start()
    rig.check()
    assert files.signs == 0
    assert rig.losses() == []


class Forgets(KnownFiles):
    """A broken twin, which looks up each time how far a file was read."""

    def let_go_at(self, identity: Identity, modified: int) -> Position | None:
        return None


test_later_starts_leave_it_alone, test_a_start_that_does_not_is_noticed = promises(
    *(
        Promise(check_later_starts, None, [Patches((follower, "KnownFiles", Forgets))], suffix=suffix)
        for suffix in PACKERS
    )
)


def test_a_file_that_was_written_since_is_looked_at(make: Make) -> None:
    """It is what it was, as it turns out, but only its text can tell."""
    rig, files, packed = read_packed(make, ".gz")
    os.utime(packed)
    rig.start()
    rig.check()
    assert files.signs > 0


def known(*, held: bool, version: int | None) -> KnownFiles:
    """That a file was let go, or is open, when it had been written to at 5."""
    paper = Paper()
    files = paper.held if held else paper.retired
    files[1] = position(1, 10)._replace(identity=Identity(1, 2, version), modified=5)
    return KnownFiles(paper.restored("/log"))


def test_what_may_be_another_file_is_looked_at() -> None:
    """An inode's number alone, or with another version, is no file; and one that was open is awaited."""
    remembered = known(held=False, version=3)
    assert remembered.let_go_at(Identity(1, 2, 3), 5)
    assert not remembered.let_go_at(Identity(1, 2, 3), 6)
    assert not remembered.let_go_at(Identity(1, 2, 4), 5)
    assert not known(held=False, version=None).let_go_at(Identity(1, 2, None), 5)
    assert not known(held=True, version=3).let_go_at(Identity(1, 2, 3), 5)
