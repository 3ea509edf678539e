"""Some seconds of a siege (siege.py); `scripts/campaign.sh siege` is an hour of it, with the real nginx."""

from pathlib import Path

import pytest

from tests.fault import broken, siege, twins
from tests.fault.program import GUARD, Twin

pytestmark = pytest.mark.real_time

SECONDS = 2
TURNS = 3


def check(root: Path, *twins: Twin) -> None:
    # How long a scrape takes is the campaign's business: here others have the processor, too.
    with siege.besieged(root, *twins, interval=5, batch=20, with_nginx=False, patience=GUARD) as one:
        one.begin(rotated_every=1, scrapers=2)
        for _ in range(TURNS):
            one.wait(SECONDS)
        one.end()


def test_truth_memory_reports_and_answers(tmp_path: Path) -> None:
    check(tmp_path)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("twin", "says"),
    [(broken.hoards, "MiB were resident"), (twins.ClosesFirst, "own is not counted")],
)
def test_a_twin_is_caught(twin: Twin, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is lost does not come, however often one asks."""
    monkeypatch.setattr(siege, "PATIENCE", 1)
    with pytest.raises(AssertionError, match=says):
        check(tmp_path, twin)
