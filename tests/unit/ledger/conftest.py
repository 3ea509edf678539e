"""Where a ledger is in these tests, and one that is open: in memory, where a commit waits for no disk."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qps_service.ledger.ledger import Ledger
from tests.ledgers import Keeper, opened


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = opened(path)
    yield ledger
    ledger.close()


@pytest.fixture
def keeper(path: Path) -> Iterator[Keeper]:
    keeper = Keeper(path)
    yield keeper
    keeper.close()
