"""What is dear to make and never changes: one of the processes that run tests makes it for all of them."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def once(tmp_path_factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """The directory with what `build` put into it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made := root / name).exists():
            (making := root / f"{name}.new").mkdir(exist_ok=True)
            build(making)
            making.rename(made)
    return made
