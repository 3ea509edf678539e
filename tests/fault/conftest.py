import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qps_service.following.follower import Follower
from tests.fault.mounts import MakeMount, Mount
from tests.fault.scenarios import Make
from tests.following import Rig


@pytest.fixture(autouse=True)
def _leases_may_break() -> Iterator[None]:
    """Whoever takes leases ignores SIGIO, as the service does."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGIO, before)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Builds rigs, each in a directory of its own."""
    rigs: list[Rig] = []

    def build(follower: type[Follower] = Follower, **keywords: Any) -> Rig:
        rigs.append(Rig(tmp_path / str(len(rigs)), follower=follower, **keywords))
        return rigs[-1]

    yield build
    for rig in rigs:
        rig.close()


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[MakeMount]:
    """Mounts file systems of its own in the test's directory."""
    mounts: list[Mount] = []

    def make(name: str, *arguments: str) -> Mount:
        mounts.append(Mount(tmp_path / name, *arguments))
        return mounts[-1]

    yield make
    for each in mounts:
        each.close()
