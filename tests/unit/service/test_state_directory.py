"""The state directory belongs to one process at a time."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qps_service.errors import EXIT_STATE_HELD, ConfigError, StateHeldError
from qps_service.service import state_directory
from qps_service.service.state_directory import StateDirectory

HOLDS_AND_WAITS = """
import sys
from qps_service.service.state_directory import StateDirectory
StateDirectory(sys.argv[1]).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def check_one_holder(make: Callable[[str], StateDirectory], path: str) -> None:
    """The second is refused and told the first one's PID, until the first lets go."""
    first, second = make(path), make(path)
    first.acquire()
    with pytest.raises(StateHeldError) as caught:
        second.acquire()
    assert caught.value.pid == os.getpid()
    assert str(caught.value) == f"the ledger in {path} is held by PID {os.getpid()}"
    assert caught.value.exit_code == EXIT_STATE_HELD
    first.release()
    first.release()  # a second time does nothing
    second.acquire()
    second.release()


class PidFile(StateDirectory):
    """A broken twin: a file with a PID, as daemons of old wrote it, and no lock."""

    def acquire(self) -> None:
        os.makedirs(self.path, exist_ok=True)
        Path(self.path, "pid").write_text(f"{os.getpid()}\n")


class KeepsIt(StateDirectory):
    """A broken twin: never lets go."""

    def release(self) -> None:
        pass


def test_one_holder(tmp_path: Path) -> None:
    check_one_holder(StateDirectory, str(tmp_path / "new" / "state"))


@pytest.mark.twin
def test_other_locks_are_caught(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception):
        check_one_holder(PidFile, str(tmp_path / "state"))
    kept: list[KeepsIt] = []

    def make(path: str) -> KeepsIt:
        kept.append(KeepsIt(path))
        return kept[-1]

    with pytest.raises(StateHeldError):
        check_one_holder(make, str(tmp_path / "state"))
    for each in kept:
        StateDirectory.release(each)


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_AND_WAITS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StateHeldError) as caught:
            StateDirectory(str(tmp_path)).acquire()
        assert caught.value.pid == holder.pid
        holder.kill()
    after = StateDirectory(str(tmp_path))
    after.acquire()
    after.release()


def test_a_holder_whom_nobody_names_is_still_a_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = StateDirectory(str(tmp_path))
    first.acquire()
    monkeypatch.setattr(state_directory, "_holder", lambda inode: 0)
    with pytest.raises(StateHeldError, match=r"is held by another process$"):
        StateDirectory(str(tmp_path)).acquire()
    first.release()


def test_a_directory_that_cannot_be_written_to_is_held_too(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    check_one_holder(StateDirectory, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, reason in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "x", "Not a directory")):
        with pytest.raises(ConfigError) as caught:
            StateDirectory(str(path)).acquire()
        assert caught.value.problems == (f"state: {path}: {reason}",)


def test_the_directory_is_not_for_everybody(tmp_path: Path) -> None:
    directory = StateDirectory(str(tmp_path / "state"))
    directory.acquire()
    directory.release()
    assert (tmp_path / "state").stat().st_mode & 0o007 == 0


def check_place(make: Callable[[str], StateDirectory], root: Path) -> None:
    """What counts is who holds the directory that is at the path now, whatever became of the first one."""
    path, elsewhere = root / "state", root / "elsewhere"
    first, second = make(str(path)), StateDirectory(str(path))
    assert not first.is_held()
    first.acquire()
    assert first.is_held()
    path.rename(elsewhere)
    assert not first.is_held()
    elsewhere.rename(path)
    assert first.is_held()
    path.rename(elsewhere)
    second.acquire()
    assert not first.is_held()
    second.release()
    assert first.is_held()
    with pytest.raises(StateHeldError):
        second.acquire()
    first.release()
    assert not first.is_held()
    second.acquire()
    second.release()


class OnceTaken(StateDirectory):
    """A broken twin: what was taken at the start stays ours."""

    def is_held(self) -> bool:
        return self._lock is not None


class AnyDirectory(StateDirectory):
    """A broken twin: as long as there is one."""

    def is_held(self) -> bool:
        return self._lock is not None and os.path.isdir(self.path)


class OnlyTheFirst(StateDirectory):
    """A broken twin: an administrator who puts a new directory there gets no ledger in it."""

    def is_held(self) -> bool:
        same = self._lock is not None and os.path.isdir(self.path)
        return same and os.path.samestat(os.fstat(self._lock or 0), os.stat(self.path))


def test_a_directory_that_is_replaced(tmp_path: Path) -> None:
    check_place(StateDirectory, tmp_path)


@pytest.mark.twin
@pytest.mark.parametrize("twin", [OnceTaken, AnyDirectory, OnlyTheFirst])
def test_other_places_are_caught(twin: type[StateDirectory], tmp_path: Path) -> None:
    kept: list[StateDirectory] = []

    def make(path: str) -> StateDirectory:
        kept.append(twin(path))
        return kept[-1]

    with pytest.raises(AssertionError):
        check_place(make, tmp_path)
    for each in kept:
        each.release()
