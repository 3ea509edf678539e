"""A compressed file that was read is not decompressed again, in no later start and under no later name."""

import os
from pathlib import Path

import pytest

from qps_service.following.known_files import KnownFiles
from qps_service.values.entries import Restored
from qps_service.values.positions import Identity, Position
from tests.fault.restarts import PACKERS, pack
from tests.fault.scenarios import Make
from tests.fault.test_signs_of_life import Counting
from tests.following import Rig
from tests.ledgers import position


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


@pytest.mark.parametrize("suffix", PACKERS)
def test_later_starts_leave_it_alone(suffix: str, make: Make) -> None:
    check_later_starts(make, suffix)


@pytest.mark.twin
@pytest.mark.parametrize("suffix", PACKERS)
def test_later_starts_leave_it_alone_catches_its_twin(
    suffix: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qps_service.following.follower.KnownFiles", Forgets)
    with pytest.raises(AssertionError):
        check_later_starts(make, suffix)


def test_a_file_that_was_written_since_is_looked_at(make: Make) -> None:
    """It is what it was, as it turns out, but only its text can tell."""
    rig, files, packed = read_packed(make, ".gz")
    os.utime(packed)
    rig.start()
    rig.check()
    assert files.signs > 0


def restored(*, held: bool, version: int | None) -> Restored:
    known = position(1, 10)._replace(identity=Identity(1, 2, version), modified=5)
    return Restored(
        path="/log",
        held=(known,) if held else (),
        retired=() if held else (known,),
        next_number=2,
        ignored=(),
        totals={},
        rejects={},
        window={},
        window_rejects={},
        started=0,
        at=0,
        rebooted=False,
        losses=(),
    )


def test_what_may_be_another_file_is_looked_at() -> None:
    """An inode's number alone, or with another version, is no file; and one that was open is awaited."""
    remembered = KnownFiles(restored(held=False, version=3))
    assert remembered.let_go_at(Identity(1, 2, 3), 5)
    assert not remembered.let_go_at(Identity(1, 2, 3), 6)
    assert not remembered.let_go_at(Identity(1, 2, 4), 5)
    assert not KnownFiles(restored(held=False, version=None)).let_go_at(Identity(1, 2, None), 5)
    assert not KnownFiles(restored(held=True, version=3)).let_go_at(Identity(1, 2, 3), 5)
