"""The file for node_exporter: whole, readable by others, and no trouble where it can't be written."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from prometheus_client import parser

from qps_service.configuration.types import TextfileConfig
from qps_service.notices.kinds import OUTPUT_FAILED, OUTPUT_RESUMED, Notice, Notify
from qps_service.outputs import textfile
from qps_service.outputs.textfile import TextfileOutput
from qps_service.text.escape import show_path
from qps_service.text.units import format_size
from qps_service.values.counts import Counts, Key
from qps_service.values.reports import Overview, Report
from tests.promised import Patches, Promise, nothing, promises, twin
from tests.unit.handed_over import OVERVIEW, emit, overview, standing
from tests.unit.scraping import render

Make = Callable[[TextfileConfig, Notify], TextfileOutput]
CHANGED = OVERVIEW._replace(commits=7)
LARGE = OVERVIEW._replace(commits=70)


def text_of(overview: Overview, path: Path) -> bytes:
    return render(overview, file=str(path))[0]


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
    assert path.read_bytes() == text_of(CHANGED, path)
    assert seen == {text_of(OVERVIEW, path), text_of(CHANGED, path)}
    assert os.listdir(tmp_path) == ["qps.prom"]
    assert path.stat().st_mode & 0o777 == 0o644


def is_never_large(make: Make, tmp_path: Path) -> None:
    """Beyond max_answer the file stays as it was, which is said once, and nothing else is left there."""
    path = tmp_path / "qps.prom"
    said: list[Notice] = []
    size = len(text_of(CHANGED, path))
    output = make(TextfileConfig(str(path), size), said.append)
    emit(output, overview=CHANGED)
    for _ in range(2):
        emit(output, overview=LARGE)
    assert path.read_bytes() == text_of(CHANGED, path)
    assert os.listdir(tmp_path) == ["qps.prom"]
    most = format_size(size)
    text = f"{path} stays as it is: the metrics are more than max_answer = {most}"
    assert said == [Notice(OUTPUT_FAILED, text)]
    emit(output, overview=CHANGED)
    assert [notice.kind for notice in said] == [OUTPUT_FAILED, OUTPUT_RESUMED]


NAME = "qps.prom.0123456789abcdef.new"


def what_a_killed_process_left_is_removed(make: Make, tmp_path: Path) -> None:
    """At the next one's first report, if it was of the same user; nothing else is."""
    for name in (NAME, "qps.prom.0123456789abcdee.new"):
        (tmp_path / name).write_text("half of a te")
    others = {
        "qps.prom.new",
        "a.prom.0123456789abcdef.new",
        "qps.prom.0123456789abcdef.prom",
        "qps.prom.0.new",
    }
    for name in others:
        (tmp_path / name).touch()
    output = made(make, tmp_path / "qps.prom")
    emit(output)
    assert set(os.listdir(tmp_path)) == {"qps.prom", *others}


def nobody_was_there_first(make: Make, tmp_path: Path, lay: Callable[[Path], object]) -> None:
    """What others put there, under names that the program had before, is in nobody's way, and not opened."""
    (tmp_path / "precious").write_text("")
    names: list[str] = []
    rename = os.rename

    def look(old: str, new: str) -> None:
        names.append(old)
        rename(old, new)

    output = made(make, tmp_path / "qps.prom")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", look)
        for _ in range(2):
            emit(output)
            lay(Path(names[-1]))
        emit(output, overview=CHANGED)
    assert len(set(names)) == 3
    assert (tmp_path / "qps.prom").read_bytes() == text_of(CHANGED, tmp_path / "qps.prom")
    assert not (tmp_path / "qps.prom").is_symlink()
    assert (tmp_path / "precious").read_text() == ""


def even_a_known_name_is_not_opened(make: Make, tmp_path: Path) -> None:
    """Whoever guessed it gets nothing written through it, and the report says so."""
    said: list[Notice] = []
    (tmp_path / "precious").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "urandom", lambda size: bytes.fromhex(NAME.split(".")[2]))
        output = make(TextfileConfig(str(tmp_path / "qps.prom")), said.append)
        output._clear()
        (tmp_path / NAME).symlink_to(tmp_path / "precious")
        emit(output)
    assert (tmp_path / "precious").read_text() == ""
    assert [notice.text for notice in said] == [f"cannot write {tmp_path}/qps.prom: File exists"]


def write_in_place(output: TextfileOutput, reports: object, overview: Overview, now: int) -> None:
    with open(output._path, "wb") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(render(overview)[0])


def open_whatever_is_there(output: TextfileOutput, new: str, text: Iterable[bytes]) -> None:
    with open(new, "wb") as file:
        file.writelines(text)


class OneName(TextfileOutput):
    """As a process id would, or no random number at all."""

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "urandom", bytes)
            super().emit(reports, overview, now)


OPENS = twin(TextfileOutput, "opens", "_write", instead=open_whatever_is_there)
LEAVES = twin(TextfileOutput, "leaves", "_clear", instead=nothing)


def two_services_share_no_series(make: Make, tmp_path: Path) -> None:
    """Though they follow logs of one name: node_exporter would refuse both files."""
    log = standing({Key(b"GET", b"/", 200): Counts(1, 1)})
    series: list[str] = []
    for name in ("one.prom", 'two "\\ \n.prom'):
        emit(made(make, tmp_path / name), overview=overview(log)._replace(output_failures={"json": 0}))
        text = (tmp_path / name).read_text()
        assert 'file="' in text
        series += [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
        found = parser.text_string_to_metric_families(text)
        files = {sample.labels["file"] for family in found for sample in family.samples}
        assert files == {show_path(str(tmp_path / name))}
    assert len(series) > 20
    assert len(set(series)) == len(series)


BY_LOG = twin(TextfileOutput, "by log", "emit", first=lambda self: self._labels.clear())
BY_NAME = twin(TextfileOutput, "by name", "emit", first=lambda self: self._labels.update(file="qps"))
LARGER = twin(TextfileOutput, "doubles", "emit", first=lambda self: vars(self).update(_most=1 << 20))
IN_PLACE = twin(TextfileOutput, "in place", "emit", instead=write_in_place)
READ_TOO_SOON = Patches((textfile, "_END", ".prom"))  # node_exporter does, before it is whole
LAID: dict[str, Callable[[Path], object]] = {
    "a link": lambda path: path.symlink_to(path.with_name("precious")),
    "a directory": Path.mkdir,
}
test_promise, test_twin = promises(
    Promise(two_services_share_no_series, TextfileOutput, [BY_LOG, BY_NAME], caught=(KeyError,)),
    Promise(is_never_large, TextfileOutput, [LARGER]),
    Promise(a_reader_finds_a_whole_file, TextfileOutput, [IN_PLACE, READ_TOO_SOON]),
    Promise(what_a_killed_process_left_is_removed, TextfileOutput, [LEAVES]),
    *(
        Promise(nobody_was_there_first, TextfileOutput, [OneName], label=name, lay=lay)
        for name, lay in LAID.items()
    ),
    Promise(even_a_known_name_is_not_opened, TextfileOutput, [OPENS]),
)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give away a file")
def test_what_another_user_left_stays(tmp_path: Path) -> None:
    (tmp_path / NAME).touch()
    os.chown(tmp_path / NAME, 65534, -1)
    emit(made(TextfileOutput, tmp_path / "qps.prom"))
    assert sorted(os.listdir(tmp_path)) == ["qps.prom", NAME]


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
    assert (os.listdir(tmp_path), path.read_bytes()) == (["a.prom"], text_of(OVERVIEW, path))
