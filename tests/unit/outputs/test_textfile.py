"""The file for node_exporter: whole, readable by others, and no trouble where it can't be written."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from qps_service.configuration.types import TextfileConfig
from qps_service.notices.kinds import OUTPUT_FAILED, OUTPUT_RESUMED, Notice, Notify
from qps_service.outputs.textfile import TextfileOutput
from qps_service.text.units import format_size
from qps_service.values.reports import Overview
from tests.promised import Promise, nothing, promises, twin
from tests.unit.handed_over import OVERVIEW, emit
from tests.unit.scraping import render

Make = Callable[[TextfileConfig, Notify], TextfileOutput]
CHANGED = OVERVIEW._replace(commits=7)
LARGE = OVERVIEW._replace(commits=70)
TEXT, CHANGED_TEXT = render(OVERVIEW)[0], render(CHANGED)[0]


def made(make: Make, path: Path) -> TextfileOutput:
    return make(TextfileConfig(str(path)), lambda notice: pytest.fail(notice.text))


def a_reader_finds_a_whole_file(make: Make, tmp_path: Path) -> None:
    """The old text or the new one at each step, under a name that node_exporter reads, whatever the umask."""
    path = tmp_path / "qps.prom"
    output = made(make, path)
    emit(output)
    seen: set[bytes] = set()

    def watched(step: Callable[..., object]) -> Callable[..., object]:
        def look(*arguments: object, **keywords: object) -> object:
            seen.update(each.read_bytes() for each in tmp_path.glob("*.prom"))
            done = step(*arguments, **keywords)
            seen.update(each.read_bytes() for each in tmp_path.glob("*.prom"))
            return done

        return look

    before = os.umask(0o077)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("rename", "fchmod", "unlink"):
            patch.setattr(os, name, watched(getattr(os, name)))
        emit(output, overview=CHANGED)
    os.umask(before)
    assert path.read_bytes() == CHANGED_TEXT
    assert seen == {TEXT, CHANGED_TEXT}
    assert os.listdir(tmp_path) == ["qps.prom"]
    assert path.stat().st_mode & 0o777 == 0o644


def is_never_large(make: Make, tmp_path: Path) -> None:
    """Beyond max_answer the file stays as it was, which is said once, and nothing else is left there."""
    path = tmp_path / "qps.prom"
    said: list[Notice] = []
    output = make(TextfileConfig(str(path), len(CHANGED_TEXT)), said.append)
    emit(output, overview=CHANGED)
    for _ in range(2):
        emit(output, overview=LARGE)
    assert path.read_bytes() == CHANGED_TEXT
    assert os.listdir(tmp_path) == ["qps.prom"]
    most = format_size(len(CHANGED_TEXT))
    text = f"{path} stays as it is: the metrics are more than max_answer = {most}"
    assert said == [Notice(OUTPUT_FAILED, text)]
    emit(output, overview=CHANGED)
    assert [notice.kind for notice in said] == [OUTPUT_FAILED, OUTPUT_RESUMED]


def leftover(make: Make, tmp_path: Path, leave: Callable[[Path], object]) -> None:
    """What a process left that was killed, or others put there, is in nobody's way, and not opened."""
    (tmp_path / "precious").write_text("")
    leave(tmp_path / "a.prom.new")
    emit(made(make, tmp_path / "a.prom"))
    assert not (tmp_path / "a.prom").is_symlink()
    assert (tmp_path / "a.prom").read_bytes() == TEXT
    assert {each.name for each in tmp_path.iterdir()} == {"a.prom", "precious"}
    assert (tmp_path / "precious").read_text() == ""


def a_text_that_was_left_is_taken_away(make: Make, tmp_path: Path) -> None:
    leftover(make, tmp_path, lambda path: path.write_text("half of a te"))


def a_link_is_not_followed(make: Make, tmp_path: Path) -> None:
    leftover(make, tmp_path, lambda path: path.symlink_to(tmp_path / "precious"))


def a_pipe_is_not_waited_for(make: Make, tmp_path: Path) -> None:
    leftover(make, tmp_path, os.mkfifo)


def write_in_place(output: TextfileOutput, reports: object, overview: Overview, now: int) -> None:
    with open(output._path, "wb") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(render(overview)[0])


def open_whatever_is_there(output: TextfileOutput, text: Iterable[bytes]) -> None:
    with open(output._new, "wb") as file:
        file.writelines(text)


def called(end: str) -> type[TextfileOutput]:
    """The new file has another name."""
    return twin(TextfileOutput, end, "__init__", then=lambda self: vars(self).update(_new=self._path + end))


LEAVES = twin(TextfileOutput, "leaves", "_remove_new", instead=nothing)
OPENS = twin(LEAVES, "opens", "_write", instead=open_whatever_is_there)
test_promise, test_twin = promises(
    Promise(
        is_never_large,
        TextfileOutput,
        [twin(TextfileOutput, "doubles", "emit", first=lambda self: vars(self).update(_most=1 << 20))],
    ),
    Promise(
        a_reader_finds_a_whole_file,
        TextfileOutput,
        [
            twin(TextfileOutput, "in place", "emit", instead=write_in_place),
            called(".new.prom"),  # node_exporter reads it, before it is whole
            twin(TextfileOutput, "by umask", "_write", then=lambda self: os.chmod(self._new, 0o600)),
        ],
    ),
    Promise(a_text_that_was_left_is_taken_away, TextfileOutput, [called(".4711")]),
    Promise(a_link_is_not_followed, TextfileOutput, [OPENS]),
    Promise(a_pipe_is_not_waited_for, TextfileOutput, []),
)


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
        emit(output, overview=CHANGED)
    assert [notice.text for notice in said] == [f"cannot write {path}: No space left on device"]
    assert (os.listdir(tmp_path), path.read_bytes()) == (["a.prom"], TEXT)
