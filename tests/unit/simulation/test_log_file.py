"""The simulated log's rotations."""

import errno
import os
from pathlib import Path

import pytest

from qps_service.simulation.log_file import LogFile
from tests.promised import Promise, promises, twin
from tests.simulated import NOW, make, numbered, on_disk

# --- rotation


def check_rotations(of: type[LogFile], tmp_path: Path, copytruncate: bool) -> None:
    """Rotations within one second leave every line under a name of its own, in order."""
    path = tmp_path / "a.log"
    log = make(path, of, copytruncate=copytruncate)
    for number in range(4):
        log.write(numbered(10 * number, 10 * number + 10), now=number)
        log.rotate(now=number)
    log.write(numbered(40, 50), now=4)
    log.close()
    assert (log.lines, log.rotations) == (50, 4)
    names = (f"a.log.{NOW}", f"a.log.{NOW}.1", f"a.log.{NOW}.2", f"a.log.{NOW}.3", "a.log")
    assert on_disk(path) == {name: numbered(10 * at, 10 * at + 10) for at, name in enumerate(names)}


Overwrites = twin(
    LogFile,
    "does not look whether the name is taken",
    "_free_name",
    instead=lambda self: f"{self.path}.{int(self._unix_time())}",
)


class TruncatesFirst(LogFile):  # the copy is made of what is left
    def _copy(self, aside: str) -> None:
        os.ftruncate(self._descriptor, 0)
        super()._copy(aside)


class GoesOnWithTheOldFile(LogFile):  # renames, and writes on where it wrote
    def open(self) -> None:
        if self._descriptor < 0:
            super().open()
        else:
            self._descriptor = os.dup(self._descriptor)


def test_a_rename_moves_the_file_and_a_copytruncate_keeps_it(tmp_path: Path) -> None:
    for copytruncate in (False, True):
        path = tmp_path / f"{copytruncate}.log"
        log = make(path, copytruncate=copytruncate)
        log.write(numbered(0, 1), now=0)
        before = path.stat().st_ino
        log.rotate(now=0)
        aside = path.with_name(f"{path.name}.{NOW}").stat().st_ino
        assert (path.stat().st_ino == before, aside == before) == (copytruncate, not copytruncate)
        log.close()


def test_a_rotation_of_a_log_that_somebody_moved_begins_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = make(path)
    log.write(numbered(0, 5), now=0)
    path.rename(tmp_path / "a.log.1")
    log.rotate(now=0)
    log.write(numbered(5, 9), now=0)
    log.close()
    assert on_disk(path) == {"a.log.1": numbered(0, 5), "a.log": numbered(5, 9)}


def test_a_copy_that_fails_leaves_the_log_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.log"
    log = make(path, copytruncate=True)
    log.write(numbered(0, 5), now=0)
    monkeypatch.setattr(os, "sendfile", full)
    with pytest.raises(OSError, match="No space left"):
        log.rotate(now=0)
    log.close()
    assert on_disk(path) == {"a.log": numbered(0, 5)}


def test_a_large_log_is_copied_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = make(path, copytruncate=True, batch=True)
    log.write(numbered(0, 400_000), now=0)
    assert path.stat().st_size > 4 << 20  # several steps of the copy
    log.rotate(now=0)
    log.close()
    assert on_disk(path) == {f"a.log.{NOW}": numbered(0, 400_000), "a.log": []}


def check_keep(of: type[LogFile], tmp_path: Path) -> None:
    """The newest three stay, in the order of their making; what looks different is left alone."""
    path = tmp_path / "a.log"
    foreign = {"a.log.1", "a.log.1.gz", f"a.log.{NOW}.gz", f"b.log.{NOW - 9}", f"a.log-{NOW}", f"axlog.{NOW}"}
    for name in foreign | {f"a.log.{NOW - 5}", f"a.log.{NOW - 5}.2"}:  # the last two: an earlier run's
        (path.parent / name).touch()
    log = make(path, of, keep=3)
    for number in range(12):
        log.write(numbered(number, number + 1), now=0)
        log.rotate(now=0)
    log.close()
    made = on_disk(path)
    kept = {f"a.log.{NOW}.{number}": numbered(number, number + 1) for number in (9, 10, 11)}
    assert {name: lines for name, lines in made.items() if name not in foreign} == {**kept, "a.log": []}
    assert foreign < made.keys()


SortsByText = twin(
    LogFile, ".10 comes before .2", "rotated", instead=lambda self: sorted(LogFile.rotated(self))
)


class TakesAllSiblings(LogFile):  # whatever begins like the log is its own
    def rotated(self) -> list[str]:
        directory = os.path.dirname(self.path)
        names = sorted(name for name in os.listdir(directory) if name.startswith("a.log."))
        return [os.path.join(directory, name) for name in names]


@pytest.mark.parametrize("keep", [0, 1, 5, None])
def test_keep_is_a_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int | None) -> None:
    """Also of a log in the working directory."""
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "a.log", Path("b.log")):
        log = make(path, keep=keep)
        for _ in range(4):
            log.rotate(now=0)
        log.close()
        kept = 4 if keep is None else min(keep, 4)
        assert log.rotated() == [f"{path}.{NOW}{number}" for number in ("", ".1", ".2", ".3")[4 - kept :]]


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b"new\n"), (b"old\n", b"old\nnew\n"), (b"old\ncut sho", b"old\ncut sho\nnew\n")],
)
def test_an_existing_log_is_appended_to(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(before)
    log = make(path)
    log.write([b"new\n"], now=0)
    log.close()
    assert (path.read_bytes(), log.lines) == (after, 1)


def test_somebody_elses_truncation_does_not_leave_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = make(path)
    log.write(numbered(0, 5), now=0)
    os.truncate(path, 0)
    log.write(numbered(5, 6), now=0)
    log.close()
    assert path.read_bytes() == b"line 5\n"


test_promise, test_twin = promises(
    Promise(
        check_rotations, LogFile, [Overwrites, GoesOnWithTheOldFile], (FileExistsError,), copytruncate=False
    ),
    Promise(check_rotations, LogFile, [Overwrites, TruncatesFirst], (FileExistsError,), copytruncate=True),
    Promise(check_keep, LogFile, [SortsByText, TakesAllSiblings]),
)
