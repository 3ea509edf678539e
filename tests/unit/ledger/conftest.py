"""Where a ledger is in these tests, and one that is open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from qps_service.ledger.ledger import Ledger
from tests.ledgers import opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = opened(path)
    yield ledger
    ledger.close()
