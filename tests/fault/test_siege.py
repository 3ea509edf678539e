"""Some seconds of a siege (siege.py); `scripts/campaign.sh siege` is an hour of it, with the real nginx."""

from pathlib import Path

import pytest

from tests.fault import broken
from tests.fault.program import Twin
from tests.fault.siege import besieged

pytestmark = pytest.mark.real_time

SECONDS = 3
TURNS = 3


def check(root: Path, *twins: Twin) -> None:
    with besieged(root, *twins, interval=3, batch=40, with_nginx=False) as siege:
        siege.begin(rotated_every=1.5, scrapers=2)
        for _ in range(TURNS):
            siege.wait(SECONDS)
        siege.end()


def test_truth_memory_reports_and_answers(tmp_path: Path) -> None:
    check(tmp_path)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("twin", "says"),
    [(broken.hoards, "MiB were resident"), (broken.FollowsTheName, "own")],
)
def test_a_twin_is_caught(twin: Twin, says: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=says):
        check(tmp_path, twin)
