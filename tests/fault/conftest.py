import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from qps_service.following.follower import Follower
from tests.fault.mounts import MakeMount, Mount
from tests.fault.program import MakeSite, Site, Twin
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
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """Builds sites, each in a directory of its own."""
    numbers = itertools.count()
    with ExitStack() as stack:

        def build(*twins: Twin, of: Callable[..., Site] = Site, **keywords: Any) -> Site:
            site = of(tmp_path / f"site{next(numbers)}", *twins, **keywords)
            stack.callback(site.close)
            return site

        yield build


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[MakeMount]:
    """Mounts file systems of its own in the test's directory."""
    with ExitStack() as stack:

        def make(name: str, *arguments: str) -> Mount:
            made = Mount(tmp_path / name, *arguments)
            stack.callback(made.close)
            return made

        yield make
