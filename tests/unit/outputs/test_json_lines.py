"""Reports as JSON: what the schema says, on one line; a file that is appended to, whatever becomes of it."""

import copy
import errno
import json
import os
import resource
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from qps_service.configuration.loader import Flags, load
from qps_service.configuration.types import JsonConfig
from qps_service.errors import ConfigError
from qps_service.notices.kinds import OUTPUT_FAILED, OUTPUT_RESUMED, Notice, Notify
from qps_service.outputs import json_lines
from qps_service.outputs.json_lines import JsonOutput, render_json
from qps_service.outputs.registry import make_output
from qps_service.reporting.report import make_report
from qps_service.values.counts import Counts, Key
from qps_service.values.entries import Loss
from qps_service.values.reports import Report, Window
from tests.reports_schema import SCHEMA, validate
from tests.unit.handed_over import emit

Patch = pytest.MonkeyPatch
Render = Callable[[Report], str]
Make = Callable[[str, Notify], JsonOutput]

SECOND = 10**9
AT = 1_795_545_516  # 2026-11-24 18:38:36 UTC
HOSTILE = (
    *(b'/"quoted"', b"/\\", b"/\\xff", b"/\xff", b"/\xfe", b"/\n{}", b"/\x1b[2J", b"/<>&/../", b"/\xc3\xa4"),
    *(b"/\xe2\x80\xa8", b"/\xf0\x9f\x98\x80", b"/\x00", b"/\x7f", b"/" + b"\xe2\x80\xae" * 1300),
)
COUNTS = {
    Key(b"POST", b"/a", 200): Counts(3, 2**63 + 1),
    Key(b"GET", b"/a", 200): Counts(1, 5),
    Key(b"GET", b"/a", 99): Counts(2, 0),
    **{Key(b"GET", route, 404): Counts(1, 1) for route in HOSTILE},
}
LOSSES = (
    Loss((AT - 60) * SECOND, "went away", "/log/\udcffaccess.log", None),
    Loss((AT - 30) * SECOND + 5, "was truncated", "/log/access.log", 2**60),
)


def window(counts: dict[Key, Counts]) -> Report:
    return make_report(
        Window("access", 0, 3 * SECOND, counts, {"fields": 4}), sequence=7, at=AT, named=True, losses=LOSSES
    )


REPORT = window(COUNTS)


def report(sequence: int, routes: int = 1) -> Report:
    rows = tuple(REPORT.rows[:1] * routes)
    return Report("access", False, sequence, AT, 10.0, 2, 0.2, 0, rows)


# --- the line


def check_rendered(render: Render) -> None:
    """Everything that was counted, in all its digits."""
    document = json.loads(render(REPORT))
    rows = document.pop("rows")
    assert document == {
        "log": "access",
        "sequence": 7,
        "time": "2026-11-24T18:38:36Z",
        "unix": AT,
        "seconds": 3.0,
        "requests": 6 + len(HOSTILE),
        "rate": (6 + len(HOSTILE)) / 3,
        "rejected": 4,
        "losses": [
            {
                "time": "2026-11-24T18:37:36Z",
                "unix": AT - 60,
                "file": r"/log/\xffaccess.log",
                "what": "went away",
                "bytes": None,
            },
            {
                "time": "2026-11-24T18:38:06Z",
                "unix": AT - 30,
                "file": "/log/access.log",
                "what": "was truncated",
                "bytes": 2**60,
            },
        ],
    }
    assert [row for row in rows if row["route"] == "/a"] == [
        {"method": "GET", "route": "/a", "status": 99, "requests": 2, "bytes": 0, "rate": 2 / 3},
        {"method": "GET", "route": "/a", "status": 200, "requests": 1, "bytes": 5, "rate": 1 / 3},
        {"method": "POST", "route": "/a", "status": 200, "requests": 3, "bytes": 2**63 + 1, "rate": 1.0},
    ]
    assert len({row["route"] for row in rows}) == 1 + len(HOSTILE)


def check_one_line(render: Render) -> None:
    """In ASCII, whatever a route holds."""
    line = render(REPORT)
    assert line.isascii()
    assert line.endswith("}\n")
    assert line[:-1].isprintable()


def check_schema(render: Render) -> None:
    """It is what the schema says, and the schema names every member."""
    Draft202012Validator.check_schema(SCHEMA)
    document = json.loads(render(REPORT))
    validate(document)
    validate(json.loads(render(window({}))))
    for description, found in (
        (SCHEMA, document),
        *((SCHEMA["properties"][name]["items"], document[name][0]) for name in ("rows", "losses")),
    ):
        assert list(found) == description["required"] == list(description["properties"])


def rounded(report: Report) -> str:
    """A broken twin: rates as the text has them."""
    return render_json(
        report._replace(rows=tuple(row._replace(rate=round(row.rate, 2)) for row in report.rows))
    )


def doubles(report: Report) -> str:
    """A broken twin: numbers that a double holds."""
    return json.dumps(json.loads(render_json(report), parse_int=lambda text: int(float(text)))) + "\n"


def replacing(report: Report) -> str:
    """A broken twin: routes that differ in an invalid byte become one."""
    return render_json(
        report._replace(
            rows=tuple(row._replace(route=row.route.decode(errors="replace").encode()) for row in report.rows)
        )
    )


def pretty(report: Report) -> str:
    """A broken twin: for people."""
    return json.dumps(json.loads(render_json(report)), indent=1) + "\n"


def in_utf8(report: Report) -> str:
    """A broken twin: what is beyond ASCII as it is."""
    return json.dumps(json.loads(render_json(report)), ensure_ascii=False) + "\n"


def changed(change: Callable[[dict[str, Any]], object]) -> Render:
    def render(report: Report) -> str:
        document = json.loads(render_json(report))
        change(document)
        return json.dumps(document) + "\n"

    return render


def in_local_time(document: dict[str, Any]) -> None:
    document["time"] = document["time"].replace("Z", "+01:00")


CHANGES: tuple[Callable[[dict[str, Any]], object], ...] = (
    in_local_time,
    lambda document: document.update(qps=1),
    lambda document: document.pop("rejected"),
    lambda document: document.update(sequence=0),
    lambda document: document.update(rate="2"),
    lambda document: document.update(log="a b"),
    lambda document: (
        [row.update(route=row["route"].replace("\\", "")) for row in document["rows"]]
        and document["rows"][0].update(route="/\x1b")
    ),
    lambda document: document["rows"][0].update(status=1000),
    lambda document: document["rows"][0].update(bytes=-1),
    lambda document: document["rows"][0].pop("rate"),
    lambda document: document["losses"][0].update(bytes="unknown"),
    lambda document: document["losses"][0].update(time="2026-11-24 18:38:36Z"),
)


@pytest.mark.parametrize("check", [check_rendered, check_one_line, check_schema])
def test_a_report_as_json(check: Callable[[Render], None]) -> None:
    check(render_json)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("check", "twin"),
    [
        *((check_rendered, twin) for twin in (rounded, doubles, replacing)),
        *((check_one_line, twin) for twin in (pretty, in_utf8)),
        *((check_schema, changed(change)) for change in CHANGES),
    ],
)
def test_another_report_is_caught(check: Callable[[Render], None], twin: Render) -> None:
    with pytest.raises((AssertionError, ValidationError)):
        check(twin)


@pytest.mark.twin
@pytest.mark.parametrize("name", SCHEMA["required"])
def test_the_schema_has_to_name_every_member(name: str, monkeypatch: Patch) -> None:
    twin = copy.deepcopy(SCHEMA)
    del twin["properties"][name]
    monkeypatch.setitem(SCHEMA, "properties", twin["properties"])
    with pytest.raises((AssertionError, KeyError)):
        check_schema(render_json)


# --- the file


def say_nothing(notice: Notice) -> None:
    pytest.fail(notice.text)


class File:
    """Where reports go, and what was said about that."""

    def __init__(self, root: Path, make: Make) -> None:
        self.path = root / "reports.jsonl"
        self.said: list[Notice] = []
        self.output = make(str(self.path), self.said.append)

    def emit(self, *sequences: int, routes: int = 1) -> None:
        """A window with a log for each of these."""
        emit(self.output, *(report(sequence, routes) for sequence in sequences))

    @property
    def failures(self) -> list[str]:
        return [notice.text for notice in self.said if notice.kind is OUTPUT_FAILED]

    @property
    def resumed(self) -> int:
        return sum(notice.kind is OUTPUT_RESUMED for notice in self.said)


def numbers(path: Path) -> list[int]:
    """The sequence numbers of the whole lines; what is no line fails."""
    lines = path.read_text().splitlines(keepends=True)
    assert all(line.endswith("\n") for line in lines)
    return [json.loads(line)["sequence"] for line in lines]


def test_what_is_configured_is_made(tmp_path: Path) -> None:
    path = tmp_path / "reports.jsonl"
    output = make_output(JsonConfig(str(path)), say_nothing)
    assert path.read_text() == ""  # what is wrong with it would have been said
    emit(output, report(1), report(1))
    assert path.read_text() == render_json(report(1)) * 2
    output.close()
    output.close()


def appended(make: Make, root: Path, patch: Patch) -> None:
    """Behind what is there, one write a line."""
    file = File(root, make)
    file.path.write_text('{"sequence":1}\n')
    sizes: list[int] = []
    write = os.write

    def counted(descriptor: int, data: bytes) -> int:
        sizes.append(len(data))
        return write(descriptor, data)

    with patch.context() as context:
        context.setattr(os, "write", counted)
        file.emit(2, 3)
        file.emit(4)
    assert sizes == [len(render_json(report(sequence))) for sequence in (2, 3, 4)]
    assert numbers(file.path) == [1, 2, 3, 4]
    with file.path.open("a") as other:
        other.write('{"sequence":5}\n')
    file.emit(6)
    assert numbers(file.path) == [1, 2, 3, 4, 5, 6]
    assert file.said == []


def moved_on(make: Make, root: Path, patch: Patch) -> None:
    """A file that was renamed, replaced or removed is made anew, without a signal."""
    file = File(root, make)
    file.emit(1)
    rotated = file.path.with_suffix(".1")
    file.path.rename(rotated)
    file.emit(2)
    assert (numbers(rotated), numbers(file.path)) == ([1], [2])
    file.path.unlink()
    file.emit(3)
    assert numbers(file.path) == [3]
    file.path.unlink()
    file.path.touch()
    file.emit(4)
    assert numbers(file.path) == [4]
    os.truncate(file.path, 0)  # copytruncate
    file.emit(5)
    assert numbers(file.path) == [5]
    assert file.said == []


def opened_anew(make: Make, root: Path, patch: Patch) -> None:
    """At SIGHUP the old file is let go, and the new one is there at once."""
    file = File(root, make)
    file.emit(1)
    held = os.readlink(f"/proc/self/fd/{file.output._descriptor}")
    assert held == str(file.path)
    file.path.rename(file.path.with_suffix(".1"))
    file.output.reopen()
    assert file.path.exists()
    assert str(file.path.with_suffix(".1")) not in open_files()
    file.output.close()
    assert str(file.path) not in open_files()
    assert file.said == []


def open_files() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return found


def for_the_group(make: Make, root: Path, patch: Patch) -> None:
    """Readable for the group, unless the umask says otherwise; what is there keeps its mode."""
    file = File(root, make)
    for umask, mode in ((0o022, 0o640), (0o077, 0o600)):
        before = os.umask(umask)
        file.emit(1)
        os.umask(before)
        assert stat.S_IMODE(file.path.stat().st_mode) == mode
        file.path.unlink()
    file.path.touch()
    file.path.chmod(0o664)
    file.emit(1)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o664
    assert file.said == []


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file of ours may become larger; the kernel takes what fits, and then says EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def whole_or_not_at_all(make: Make, root: Path, patch: Patch) -> None:
    """Of a line that does not fit nothing stays; said once, tried again, and said when it works."""
    file = File(root, make)
    for first in (1, 11):
        file.emit(first)
        with room(file.path.stat().st_size + 100):
            for sequence in (2, 3, 4):
                file.emit(first + sequence, routes=50)
        assert file.path.read_bytes().endswith(b"\n")
    file.emit(21)
    assert numbers(file.path) == [1, 11, 21]
    failed = Notice(OUTPUT_FAILED, f"cannot append to {file.path}: File too large")
    assert file.said == [failed, Notice(OUTPUT_RESUMED, f"{file.path} takes reports again")] * 2
    assert file.output.trouble.failures == 6


def a_fragment_stays_alone(make: Make, root: Path, patch: Patch) -> None:
    """What cannot be taken back, or was left by a crash, spoils no other line."""
    file = File(root, make)
    file.path.write_text('{"sequence":0}\n{"seq')
    file.emit(1)
    file.emit(2)

    def refused(_descriptor: int, _size: int) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    with patch.context() as context, room(file.path.stat().st_size + 100):
        context.setattr(os, "ftruncate", refused)
        file.emit(3, routes=50)
    file.emit(4)
    file.emit(5)
    first, torn, *lines = file.path.read_text().splitlines()
    assert torn == '{"seq'
    assert lines[2] == render_json(report(3, routes=50))[:100]
    whole = [json.loads(line)["sequence"] for line in (first, *lines[:2], *lines[3:])]
    assert whole == [0, 1, 2, 4, 5]


def what_others_wrote_is_not_cut_off(make: Make, root: Path, patch: Patch) -> None:
    """Where somebody wrote behind our fragment, it stays."""
    file = File(root, make)
    file.emit(1)
    write = os.write

    def overtaken(descriptor: int, data: bytes) -> int:
        if len(data) <= 10:
            with file.path.open("a") as other:
                other.write('\n{"sequence":2}\n')
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(descriptor, data[:-10])

    with patch.context() as context:
        context.setattr(os, "write", overtaken)
        file.emit(3)
    assert '\n{"sequence":2}\n' in file.path.read_text()
    assert file.failures == [f"cannot append to {file.path}: Input/output error"]


def never_waits(make: Make, root: Path, patch: Patch) -> None:
    """What is no regular file is not written to, and nobody is waited for."""
    file = File(root, make)
    os.mkfifo(file.path)
    reader = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK)
    for sequence in range(40):
        file.emit(sequence, routes=50)  # more than a FIFO takes
    held = os.read(reader, 10)
    os.close(reader)
    assert held == b""
    assert file.failures == [f"cannot append to {file.path}: it is no regular file"]
    file.path.unlink()
    file.path.mkdir()
    file.emit(1)
    assert len(file.failures) == 1
    file.path.rmdir()
    file.emit(2)
    assert numbers(file.path) == [2]
    assert file.resumed == 1


def follows_no_link(make: Make, root: Path, patch: Patch) -> None:
    """Whoever can write to the directory can't have another file of ours written to."""
    file = File(root, make)
    ledger = root / "ledger.db"
    ledger.write_text("ours")
    file.path.symlink_to(ledger)
    file.emit(1)
    assert ledger.read_text() == "ours"
    assert file.failures == [f"cannot append to {file.path}: Too many levels of symbolic links"]
    file.path.unlink()
    file.emit(2)
    file.path.rename(root / "rotated")
    file.path.symlink_to(ledger)
    file.emit(3)
    assert ledger.read_text() == "ours"
    assert numbers(root / "rotated") == [2]
    assert len(file.failures) == 2


def a_directory_that_comes_later(make: Make, root: Path, patch: Patch) -> None:
    """It is said once that it is missing, at once, and the next report is tried."""
    file = File(root / "missing", make)
    file.output.reopen()
    assert file.failures == [f"cannot append to {file.path}: No such file or directory"]
    file.emit(1)
    file.emit(2)
    assert len(file.said) == 1
    file.path.parent.mkdir()
    file.emit(3)
    assert numbers(file.path) == [3]
    assert file.resumed == 1


class HoldsOn(JsonOutput):
    """A broken twin: goes on with the file that it has."""

    def _is_current(self) -> bool:
        return self._descriptor >= 0


class NeverLetsGo(JsonOutput):
    """A broken twin: deaf to SIGHUP."""

    def reopen(self) -> None:
        pass


class ByParts(JsonOutput):
    """A broken twin: the newline comes behind."""

    def _append(self, line: bytes) -> None:
        super()._append(line[:-1])
        super()._append(line[-1:])


class LeavesHalf(JsonOutput):
    """A broken twin: what was written stays."""

    def _append(self, line: bytes) -> None:
        os.write(self._descriptor, line)


class Trusting(JsonOutput):
    """A broken twin: the file's last line is whole."""

    def _append(self, line: bytes) -> None:
        self._is_torn = False
        super()._append(line)


class CutsBlindly(JsonOutput):
    """A broken twin: takes the file's end for its own."""

    def _take_back(self, written: int) -> bool:
        os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
        return True


class Anything(JsonOutput):
    """A broken twin: never looks at what it opened."""

    def _open(self) -> None:
        self.close()
        self._descriptor = os.open(self._path, json_lines.FLAGS, json_lines.MODE)


class SaysEach(JsonOutput):
    """A broken twin: says each report that it drops."""

    def _fail(self, error: OSError) -> None:
        self.trouble._is_failing = False
        super()._fail(error)


class GivesUp(JsonOutput):
    """A broken twin: does not try again."""

    def _open(self) -> None:
        if self.trouble.failures:
            raise OSError(errno.EBADF, "gave up")
        super()._open()


def flags(change: int, mode: int = 0o640) -> Make:
    """Broken twins: opened in another way."""

    class Opens(JsonOutput):
        def _open(self) -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(json_lines, "FLAGS", json_lines.FLAGS ^ change)
                patch.setattr(json_lines, "MODE", mode)
                super()._open()

    return Opens


Check = Callable[[Make, Path, Patch], None]
CHECKS: dict[Check, tuple[Make, ...]] = {
    appended: (ByParts, flags(os.O_TRUNC), flags(os.O_APPEND)),
    moved_on: (HoldsOn, flags(os.O_APPEND)),
    opened_anew: (NeverLetsGo,),
    for_the_group: (flags(0, 0o644), flags(0, 0o600)),
    whole_or_not_at_all: (LeavesHalf, SaysEach),
    a_fragment_stays_alone: (Trusting, Anything, LeavesHalf),
    what_others_wrote_is_not_cut_off: (CutsBlindly,),
    never_waits: (Anything, SaysEach, GivesUp),
    follows_no_link: (flags(os.O_NOFOLLOW), HoldsOn),
    a_directory_that_comes_later: (GivesUp, SaysEach, NeverLetsGo),
}


@pytest.mark.parametrize("check", CHECKS)
def test_the_file(check: Check, tmp_path: Path, monkeypatch: Patch) -> None:
    check(JsonOutput, tmp_path, monkeypatch)


@pytest.mark.twin
@pytest.mark.parametrize(("check", "twin"), [(check, twin) for check in CHECKS for twin in CHECKS[check]])
def test_another_way_with_the_file_is_caught(
    check: Check, twin: Make, tmp_path: Path, monkeypatch: Patch
) -> None:
    with pytest.raises((AssertionError, ValueError, FileNotFoundError)):
        check(twin, tmp_path, monkeypatch)


def test_a_fifo_without_a_reader_is_not_waited_for(tmp_path: Path) -> None:
    """Not even by `open`. A twin hangs in a thread of its own until somebody reads."""

    def opens(make: Make) -> bool:
        file = File(tmp_path, make)
        thread = threading.Thread(target=partial(file.emit, 1), daemon=True)
        thread.start()
        thread.join(0.5 if make is twin else 60)
        return not thread.is_alive()

    twin = flags(os.O_RDWR ^ os.O_WRONLY | os.O_NONBLOCK)
    os.mkfifo(tmp_path / "reports.jsonl")
    assert opens(JsonOutput)
    assert not opens(twin)
    os.close(os.open(tmp_path / "reports.jsonl", os.O_RDONLY | os.O_NONBLOCK))


# --- the configuration


@pytest.mark.parametrize("output", ["json", "textfile"])
def test_a_log_is_no_place_for_reports(output: str, tmp_path: Path) -> None:
    config = tmp_path / "qps-reporter.toml"
    text = f'[log.a]\npath = "/log/a.prom"\n[output.{output}]\npath = "/log/%s.prom"\n'
    config.write_text(text % "b")
    assert load(Flags(config=str(config)), {}).outputs
    config.write_text(text % "../log/a")
    with pytest.raises(ConfigError) as raised:
        load(Flags(config=str(config)), {})
    problem = "expected another file, got a log: /log/a.prom"
    assert str(raised.value) == f"{config}: output.{output}.path: {problem}"
