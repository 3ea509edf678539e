"""The state directory belongs to one process at a time."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qps_service.errors import EXIT_STATE_HELD, ConfigError, StateHeldError
from qps_service.files.kernel import user_name
from qps_service.service import state_directory
from qps_service.service.state_directory import StateDirectory, objection_to
from tests.fault.mounts import needs_root
from tests.promised import Patches, Promise, nothing, promises, twin

Kind = type[StateDirectory]
Make = Callable[[Kind, Path], StateDirectory]


@pytest.fixture
def make() -> Iterator[Make]:
    """What it makes is let go in the end."""
    made: list[StateDirectory] = []

    def build(kind: Kind, path: Path) -> StateDirectory:
        made.append(kind(str(path)))
        return made[-1]

    yield build
    for each in made:
        StateDirectory.release(each)


def has_one_holder(kind: Kind, make: Make, tmp_path: Path, name: str = "new/state") -> None:
    """The second is refused and told the first one's PID, until the first lets go. It is not for all."""
    path = tmp_path / name
    first, second = make(kind, path), make(kind, path)
    first.acquire()
    assert path.stat().st_mode & 0o007 == 0
    with pytest.raises(StateHeldError) as caught:
        second.acquire()
    assert caught.value.pid == os.getpid()
    assert str(caught.value) == f"the ledger in {path} is held by PID {os.getpid()}"
    assert caught.value.exit_code == EXIT_STATE_HELD
    first.release()
    first.release()  # a second time does nothing
    second.acquire()
    second.release()


def has_one_holder_where_nobody_may_write(kind: Kind, make: Make, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    has_one_holder(kind, make, tmp_path, ".")
    assert list(tmp_path.iterdir()) == []


class PidFile(StateDirectory):
    """A file with a PID, as daemons of old wrote it, and no lock."""

    def acquire(self) -> None:
        os.makedirs(self.path, exist_ok=True)
        Path(self.path, "pid").write_text(f"{os.getpid()}\n")


def goes_by_the_directory_that_is_there_now(kind: Kind, make: Make, tmp_path: Path) -> None:
    """What counts is who holds the directory that is at the path now, whatever became of the first one."""
    path, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    first, second = make(kind, path), make(kind, path)
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


class OnlyTheFirst(StateDirectory):
    """An administrator who puts a new directory there gets no ledger in it."""

    def is_held(self) -> bool:
        same = self._lock is not None and os.path.isdir(self.path)
        return same and os.path.samestat(os.fstat(self._lock or 0), os.stat(self.path))


# Never lets go.
KeepsIt = twin(StateDirectory, "KeepsIt", "release", instead=lambda self: None)
test_promise, test_twin = promises(
    Promise(has_one_holder, StateDirectory, [PidFile, KeepsIt], caught=(StateHeldError,)),
    Promise(has_one_holder_where_nobody_may_write, StateDirectory, [PidFile]),
    Promise(
        goes_by_the_directory_that_is_there_now, StateDirectory, [OnlyTheFirst], caught=(StateHeldError,)
    ),
)


def test_a_holder_whom_nobody_names_is_still_a_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = StateDirectory(str(tmp_path))
    first.acquire()
    monkeypatch.setattr(state_directory, "_holder", lambda inode: 0)
    with pytest.raises(StateHeldError, match=r"is held by another process$"):
        StateDirectory(str(tmp_path)).acquire()
    first.release()


def test_what_cannot_be_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    for path, reason in (
        ("file", "File exists"),
        ("file/x", "Not a directory"),
        ("one/state", "Too many levels of symbolic links|File exists"),
    ):
        with pytest.raises(ConfigError) as caught:
            StateDirectory(str(tmp_path / path)).acquire()
        (problem,) = caught.value.problems
        assert re.fullmatch(f"state: {tmp_path}/({path}|one): ({reason})", problem)


# --- whose it is
NOBODY = 65534


def refused(path: Path, reason: str) -> None:
    """By who would take it, and by `check`, which does not."""
    assert objection_to(str(path)) == reason
    with pytest.raises(ConfigError) as caught:
        StateDirectory(str(path)).acquire()
    assert caught.value.problems == (f"state: {path}: {reason}",)


def a_foreign_directory_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, -1)
    refused(tmp_path, f"it belongs to {user_name(NOBODY)}, expected root")


def one_that_became_foreign_is_not_held(tmp_path: Path) -> None:
    state = StateDirectory(str(tmp_path / "state"))
    state.acquire()
    (tmp_path / "state").rename(tmp_path / "old")
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", NOBODY, -1)
    try:
        assert not state.is_held()
        (tmp_path / "state").rmdir()
        (tmp_path / "state").symlink_to(tmp_path)
        os.chown(tmp_path / "state", NOBODY, -1, follow_symlinks=False)
        assert not state.is_held()
    finally:
        state.release()


def a_foreign_link_is_refused(tmp_path: Path) -> None:
    """Wherever it stands on the way, by links of links: nothing is made where it leads."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "his").symlink_to("etc")
    (tmp_path / "ours").symlink_to(f"{tmp_path}/etc/.././his/")
    os.chown(tmp_path / "his", NOBODY, -1, follow_symlinks=False)
    reason = f"the symbolic link {tmp_path}/his belongs to {user_name(NOBODY)}, expected root"
    for way in ("his", "his/state", "ours", "ours/deep/state"):
        refused(tmp_path / way, reason)
    assert os.listdir(tmp_path / "etc") == []


def ours_and_roots_are_taken(tmp_path: Path) -> None:
    """Behind links as well, which systemd lays for DynamicUser=."""
    (tmp_path / "private").mkdir()
    (tmp_path / "link").symlink_to("private")
    (tmp_path / "private" / "state").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for owner, user in ((0, 0), (0, 4711), (4711, 4711)):
            for each in (tmp_path / "link", tmp_path / "private" / "state"):
                os.chown(each, owner, -1, follow_symlinks=False)
            patch.setattr(os, "geteuid", lambda user=user: user)
            assert objection_to(f"{tmp_path}/link/state") is None
            state = StateDirectory(f"{tmp_path}/link/state")
            state.acquire()
            state.release()


OWN, LINKS = "_require_own", "_require_own_links"
ANYBODYS = Patches((state_directory, OWN, nothing))
LAID = Patches((state_directory, LINKS, nothing))


def ours_only(status: os.stat_result, what: str) -> None:
    if status.st_uid != os.geteuid():
        raise PermissionError(1, what)


OURS = Patches((state_directory, OWN, ours_only))
test_owner, test_owner_twin = map(
    needs_root,
    promises(
        {
            a_foreign_directory_is_refused: [ANYBODYS],
            one_that_became_foreign_is_not_held: [ANYBODYS, LAID],
            a_foreign_link_is_refused: [ANYBODYS, LAID],
        },
        Promise(ours_and_roots_are_taken, None, [OURS], caught=(ConfigError,)),
    ),
)
