"""Hints from the real inotify, for a log that is alone and for one among others."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from qps_service.following.hints import Appeared, Gone, Hint, Lost, Moved
from qps_service.following.watcher import Watcher, Watches
from tests.following import overflow_queue


class Crowded(Watcher):
    """Another log in the same directories always reads first."""

    def __init__(self) -> None:
        watches = Watches()
        super().__init__(watches)
        self._other = Watcher(watches)

    def watch(self, directories: Iterable[str]) -> list[Hint]:
        self._other.watch(directories)
        return super().watch(directories)

    def read(self) -> list[Hint]:
        self._other.read()
        return super().read()

    def close(self) -> None:
        self._other.close()
        super().close()


@pytest.fixture(params=[Watcher, Crowded])
def watcher(request: pytest.FixtureRequest) -> Iterator[Watcher]:
    made: Watcher = request.param()
    yield made
    made.close()
    assert made.fileno() is None


def test_the_first_watch_is_a_gap_and_then_stands(watcher: Watcher, tmp_path: Path) -> None:
    assert watcher.fileno() is None
    assert watcher.watch({str(tmp_path)}) == [Lost(str(tmp_path))]
    assert watcher.watch({str(tmp_path)}) == []
    assert watcher.fileno() is not None
    assert watcher.read() == []


def test_renames_come_whole_and_in_order(watcher: Watcher, tmp_path: Path) -> None:
    watcher.watch({str(tmp_path)})
    log, one, two = (str(tmp_path / name) for name in ("log", "log.1", "log.2"))
    Path(log).touch()
    os.rename(log, one)
    os.rename(one, two)
    Path(log).touch()
    os.unlink(two)
    assert watcher.read() == [Appeared(log), Moved(log, one), Moved(one, two), Appeared(log), Gone(two)]


def test_a_rename_between_two_watched_directories(watcher: Watcher, tmp_path: Path) -> None:
    here, there, outside = tmp_path / "here", tmp_path / "there", tmp_path / "outside"
    for directory in (here, there, outside):
        directory.mkdir()
    watcher.watch({str(here), str(there)})
    (here / "log").touch()
    (here / "log").rename(there / "log")
    (there / "log").rename(outside / "log")
    (outside / "log").rename(here / "log")
    assert watcher.read() == [
        Appeared(str(here / "log")),
        Moved(str(here / "log"), str(there / "log")),
        Appeared(str(here / "log"), created=False),
    ]
    # The half that left the watched directories is told once its other half can't come any more.
    assert watcher.read() == [Gone(str(there / "log"))]


def test_writes_are_no_hints(watcher: Watcher, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    watcher.watch({str(tmp_path)})
    for _ in range(100):
        with log.open("ab") as file:
            file.write(b"line\n")
    os.truncate(log, 0)
    assert watcher.read() == []


@pytest.mark.parametrize("held", [False, True])
def test_a_replaced_directory_is_watched_anew(watcher: Watcher, tmp_path: Path, held: bool) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    watcher.watch({str(directory)})
    # A descriptor that somebody holds keeps the kernel from telling that the directory went.
    descriptor = os.open(directory, os.O_RDONLY) if held else None
    directory.rmdir()
    assert watcher.watch({str(directory)}) == [Lost(str(directory))]
    directory.mkdir()
    assert watcher.watch({str(directory)}) == [Lost(str(directory))]
    watcher.read()
    (directory / "log").touch()
    assert watcher.read() == [Appeared(str(directory / "log"))]
    if descriptor is not None:
        os.close(descriptor)


def test_a_renamed_directory_is_no_longer_that_path(watcher: Watcher, tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    watcher.watch({str(directory)})
    directory.rename(tmp_path / "moved")
    directory.mkdir()
    assert Lost() in watcher.read()
    assert watcher.watch({str(directory)}) == [Lost(str(directory))]
    (tmp_path / "moved" / "log").touch()
    assert watcher.read() == []


def test_an_overflow_is_told(watcher: Watcher, tmp_path: Path) -> None:
    watcher.watch({str(tmp_path)})
    overflow_queue(tmp_path)
    assert watcher.read()[-1] == Lost()
    (tmp_path / "log").touch()
    assert watcher.read() == [Appeared(str(tmp_path / "log"))]


def test_a_directory_that_is_not_watched_any_more_is_silent(watcher: Watcher, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    watcher.watch({str(first)})
    assert watcher.watch({str(second)}) == [Lost(str(second))]
    (first / "log").touch()
    assert watcher.read() == []


def test_without_inotify_every_look_is_a_gap(
    watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("qps_service.following.watcher.INotify", refuse)
    assert watcher.watch({str(tmp_path)}) == [Lost(str(tmp_path))]
    assert watcher.fileno() is None
    assert watcher.read() == [Lost()]
    assert watcher.watch({str(tmp_path)}) == [Lost(str(tmp_path))]
