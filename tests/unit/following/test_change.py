"""What became of a file, decided from values alone."""

import pytest

from qps_service.following.change import Change, Look, decide
from qps_service.values.positions import Identity, Position

HELD = Position(Identity(1, 2, 3), "/log", 100, b"prefix", b"marker", False)


@pytest.mark.parametrize(
    ("look", "change"),
    [
        (Look(1, 2, 100, b"marker"), Change.SAME),
        (Look(1, 2, 101, b"marker"), Change.GREW),
        (Look(1, 2, 99, b"marker"), Change.TRUNCATED),
        (Look(1, 2, 0, b""), Change.TRUNCATED),
        (Look(1, 2, 500, b"others"), Change.TRUNCATED),
        (Look(1, 2, 500, b"\0\0\0\0\0\0"), Change.TRUNCATED),
        (Look(1, 9, 100, b"marker"), Change.REPLACED),
        (Look(9, 2, 100, b"marker"), Change.REPLACED),
    ],
)
def test_decide(look: Look, change: Change) -> None:
    assert decide(HELD, look) is change
