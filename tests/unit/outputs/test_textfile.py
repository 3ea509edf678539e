"""The file for node_exporter: whole, readable by others, and no trouble where it can't be written."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from qps_service.configuration.types import TextfileConfig
from qps_service.notices.kinds import OUTPUT_FAILED, OUTPUT_RESUMED, Notice, Notify
from qps_service.outputs.prometheus.exposition import render
from qps_service.outputs.textfile import TextfileOutput
from qps_service.values.reports import Overview, Report
from tests.unit.handed_over import OVERVIEW, emit

Make = Callable[[TextfileConfig, Notify], TextfileOutput]
TEXT = render(OVERVIEW)[0]


def say_nothing(notice: Notice) -> None:
    pytest.fail(notice.text)


def next_text() -> tuple[Overview, bytes]:
    overview = OVERVIEW._replace(commits=7)
    return overview, render(overview)[0]


# --- whole


def check_whole(make: Make, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader finds the old text or the new one at each step, under a name that node_exporter reads."""
    path = root / "qps.prom"
    output = make(TextfileConfig(str(path)), say_nothing)
    emit(output)
    overview, text = next_text()
    seen: set[bytes] = set()

    def watched(step: Callable[..., object]) -> Callable[..., object]:
        def look(*arguments: object, **keywords: object) -> object:
            seen.update(each.read_bytes() for each in root.glob("*.prom"))
            done = step(*arguments, **keywords)
            seen.update(each.read_bytes() for each in root.glob("*.prom"))
            return done

        return look

    with monkeypatch.context() as patch:
        for name in ("rename", "fchmod", "unlink"):
            patch.setattr(os, name, watched(getattr(os, name)))
        emit(output, overview=overview)
    assert path.read_bytes() == text
    assert seen == {TEXT, text}
    assert os.listdir(root) == ["qps.prom"]
    assert path.stat().st_mode & 0o777 == 0o644


class InPlace(TextfileOutput):
    """A broken twin: writes over what is read."""

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        with open(self._path, "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(render(overview)[0])


class UnderAReadName(TextfileOutput):
    """A broken twin: node_exporter reads the new file, too, before it is whole."""

    def __init__(self, config: TextfileConfig, notify: Notify) -> None:
        super().__init__(config, notify)
        self._new = f"{config.path}.new.prom"


class ByUmask(TextfileOutput):
    """A broken twin: the service's umask lets nobody in."""

    def _write(self, text: bytes) -> None:
        super()._write(text)
        os.chmod(self._new, 0o600)


def test_a_reader_finds_a_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_whole(TextfileOutput, tmp_path, monkeypatch)


@pytest.mark.twin
@pytest.mark.parametrize("twin", [InPlace, UnderAReadName, ByUmask])
def test_other_ways_to_write_are_caught(twin: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        check_whole(twin, tmp_path, monkeypatch)


def test_the_umask_does_not_matter(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        emit(TextfileOutput(TextfileConfig(str(tmp_path / "a.prom")), say_nothing))
    finally:
        os.umask(before)
    assert (tmp_path / "a.prom").stat().st_mode & 0o777 == 0o644


# --- what others left


def leave_text(path: Path) -> None:
    path.write_text("half of a te")


def leave_link(path: Path) -> None:
    (path.parent / "precious").write_text("")
    path.symlink_to(path.parent / "precious")


def check_leftover(make: Make, root: Path, leave: Callable[[Path], None]) -> None:
    """What a process left that was killed, or others put there, is in nobody's way, and not opened."""
    leave(root / "a.prom.new")
    emit(make(TextfileConfig(str(root / "a.prom")), say_nothing))
    assert not (root / "a.prom").is_symlink()
    assert (root / "a.prom").read_bytes() == TEXT
    assert {each.name for each in root.iterdir()} <= {"a.prom", "precious"}
    assert not (root / "precious").exists() or (root / "precious").read_text() == ""


class Opens(TextfileOutput):
    """A broken twin: whatever stands there."""

    def _remove_new(self) -> None:
        pass

    def _write(self, text: bytes) -> None:
        with open(self._new, "wb") as file:
            file.write(text)


class EachAnother(TextfileOutput):
    """A broken twin: a name of each process's own."""

    def __init__(self, config: TextfileConfig, notify: Notify) -> None:
        super().__init__(config, notify)
        self._new = f"{config.path}.{os.getpid()}"


LEFTOVERS = pytest.mark.parametrize(
    "leave", [leave_text, leave_link, os.mkfifo], ids=["text", "link", "pipe"]
)


@LEFTOVERS
def test_leftovers_are_taken_away(leave: Callable[[Path], None], tmp_path: Path) -> None:
    check_leftover(TextfileOutput, tmp_path, leave)


@pytest.mark.twin
@pytest.mark.parametrize(("twin", "leave"), [(Opens, leave_link), (EachAnother, leave_text)])
def test_leftovers_that_stay_or_are_opened_are_caught(
    twin: Make, leave: Callable[[Path], None], tmp_path: Path
) -> None:
    with pytest.raises(AssertionError):
        check_leftover(twin, tmp_path, leave)


# --- trouble


def check_trouble(make: Make, root: Path) -> None:
    """A directory that is missing is said once, until it is there."""
    said: list[Notice] = []
    path = root / "none" / "a.prom"
    output = make(TextfileConfig(str(path)), said.append)
    failed = Notice(OUTPUT_FAILED, f"cannot write {path}: No such file or directory")
    resumed = Notice(OUTPUT_RESUMED, f"{path} is written again")
    for _ in range(2):
        for _ in range(3):
            emit(output)
        path.parent.mkdir()
        emit(output)
        assert path.read_bytes() == TEXT
        path.unlink()
        path.parent.rmdir()
    assert said == [failed, resumed] * 2
    assert output.trouble.failures == 6


class SaysEach(TextfileOutput):
    """A broken twin."""

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        self.trouble._is_failing = False
        super().emit(reports, overview, now)


def test_trouble_is_said_once(tmp_path: Path) -> None:
    check_trouble(TextfileOutput, tmp_path)


@pytest.mark.twin
def test_trouble_that_is_said_each_time_is_caught(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check_trouble(SaysEach, tmp_path)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Notice] = []
    path = tmp_path / "a.prom"
    output = TextfileOutput(TextfileConfig(str(path)), said.append)
    emit(output)

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fchmod", full)
        emit(output, overview=next_text()[0])
    assert [notice.text for notice in said] == [f"cannot write {path}: No space left on device"]
    assert (os.listdir(tmp_path), path.read_bytes()) == (["a.prom"], TEXT)
