"""Reports as JSON: what the schema says, on one line; a file that is appended to, whatever becomes of it."""

import copy
import errno
import json
import os
import resource
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from qps_service.configuration.types import JsonConfig
from qps_service.notices.kinds import OUTPUT_FAILED, OUTPUT_RESUMED, Notice
from qps_service.outputs import json_lines
from qps_service.outputs.json_lines import JsonOutput, render_json
from qps_service.outputs.registry import make_output
from qps_service.reporting.report import make_report
from qps_service.text.escape import show
from qps_service.values.counts import Beside, Counts, Key
from qps_service.values.entries import Loss
from qps_service.values.latency import LatencyKey
from qps_service.values.reports import Report, Window
from tests.descriptors import open_files
from tests.durations import DISTRIBUTIONS, THRESHOLDS, latency_object, told, within
from tests.limits import Doubled
from tests.promised import Patches, Promise, nothing, promises, says_each, twin
from tests.reports_schema import SCHEMA, validate
from tests.unit.handed_over import HOSTILE, emit

Patch = pytest.MonkeyPatch
Render = Callable[[Report], str]
Document = dict[str, Any]

SECOND = 10**9
AT = 1_795_545_516  # 2026-11-24 18:38:36 UTC
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


ROUTES = dict(
    zip((*HOSTILE, *(b"/%d" % number for number in range(99))), DISTRIBUTIONS.values(), strict=False)
)
LATENCIES = {LatencyKey(route, 4): told(each) for route, each in sorted(ROUTES.items(), reverse=True)}


def window(counts: dict[Key, Counts]) -> Report:
    return make_report(
        Window("access", 0, 3 * SECOND, counts, {"fields": 4}, Beside(2, 5), LATENCIES if counts else {}),
        sequence=7,
        at=AT,
        named=True,
        losses=LOSSES,
    )


REPORT = window(COUNTS)


def report(sequence: int, routes: int = 1) -> Report:
    rows = tuple(REPORT.rows[:1] * routes)
    return Report("access", False, sequence, AT, 10.0, 2, 0.2, 0, rows)


# --- the line


def has_all_that_was_counted(render: Render) -> None:
    """In all its digits."""
    document = json.loads(render(REPORT))
    rows, losses, latencies = (document.pop(name) for name in ("rows", "losses", "latency"))
    assert [each["route"] for each in latencies] == [show(route) for route in sorted(ROUTES)]
    for each, route in zip(latencies, sorted(ROUTES), strict=True):
        durations, bins = ROUTES[route], each["bins"]
        assert each == {"route": show(route), "class": "4xx", **latency_object(durations), "bins": bins}
        assert sum(requests for _, requests in bins) == len(durations)
        for threshold in THRESHOLDS:
            assert within(bins, threshold) == sum(duration <= threshold for duration in durations)
    requests = 6 + len(HOSTILE)
    assert document == {
        "log": "access",
        "sequence": 7,
        "time": "2026-11-24T18:38:36Z",
        "unix": AT,
        "seconds": 3.0,
        "requests": requests,
        "rate": requests / 3,
        "rejected": 4,
        "bytes_unknown": 2,
        "directives": 5,
    }
    assert [tuple(loss.values()) for loss in losses] == [
        ("2026-11-24T18:37:36Z", AT - 60, r"/log/\xffaccess.log", "went away", None),
        ("2026-11-24T18:38:06Z", AT - 30, "/log/access.log", "was truncated", 2**60),
    ]
    assert [tuple(row.values()) for row in rows if row["route"] == "/a"] == [
        ("GET", "/a", 99, 2, 0, 2 / 3),
        ("GET", "/a", 200, 1, 5, 1 / 3),
        ("POST", "/a", 200, 3, 2**63 + 1, 1.0),
    ]
    assert len({row["route"] for row in rows}) == 1 + len(HOSTILE)


def is_what_the_schema_says(render: Render) -> None:
    """It is what the schema says, and the schema names every member."""
    Draft202012Validator.check_schema(SCHEMA)
    document = json.loads(render(REPORT))
    validate(document)
    validate(json.loads(render(window({}))))
    for description, found in (
        (SCHEMA, document),
        *((SCHEMA["properties"][name]["items"], document[name][0]) for name in ("rows", "latency", "losses")),
    ):
        assert list(found) == description["required"] == list(description["properties"])


def rounded(report: Report) -> str:
    return render_json(report._replace(rows=tuple(row._replace(rate=1.0) for row in report.rows)))


Change = Callable[[Document], object]
CHANGES: dict[str, Change] = {
    "another time": lambda document: document.update(time=document["time"].replace("Z", "+01:00")),
    "one more": lambda document: document.update(qps=1),
    "one less": lambda document: document.pop("rejected"),
    "no name": lambda document: document.update(log="a b"),
    "raw": lambda document: document["rows"][0].update(route="/\x1b"),
    "no status": lambda document: document["rows"][0].update(status=1000),
    "a text": lambda document: document["losses"][0].update(bytes="unknown"),
}


def changed(change: Change = lambda document: None, **how: Any) -> Render:
    def render(report: Report) -> str:
        document = json.loads(render_json(report))
        change(document)
        return json.dumps(document, **how) + "\n"

    return render


UNNAMED = copy.deepcopy(SCHEMA)  # lacks a member
del UNNAMED["properties"]["rejected"]
test_rendered, test_rendered_twin = promises(
    Promise(has_all_that_was_counted, render_json, {"rounded": rounded}),
    Promise(
        is_what_the_schema_says,
        render_json,
        {name: changed(change) for name, change in CHANGES.items()}
        | {"unnamed": Patches((sys.modules[__name__], "SCHEMA", UNNAMED))},
        caught=(ValidationError,),
    ),
)


# --- the file


class File:
    """Where reports go, and what was said about that."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "reports.jsonl"
        self.said: list[Notice] = []
        self.output = JsonOutput(JsonConfig(str(self.path)), self.said.append)

    def emit(self, *sequences: int, routes: int = 1) -> None:
        """A window with a log for each of these."""
        emit(self.output, *(report(sequence, routes) for sequence in sequences))

    @property
    def failures(self) -> list[str]:
        return [notice.text for notice in self.said if notice.kind is OUTPUT_FAILED]

    @property
    def resumed(self) -> int:
        return sum(notice.kind is OUTPUT_RESUMED for notice in self.said)


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


def numbers(path: Path) -> list[int]:
    """The sequence numbers of the whole lines; what is no line fails."""
    lines = path.read_text().splitlines(keepends=True)
    assert all(line.endswith("\n") for line in lines)
    return [json.loads(line)["sequence"] for line in lines]


@contextmanager
def sizes_of_writes() -> Iterator[list[int]]:
    """How many bytes each write(2) is told."""
    sizes: list[int] = []
    write = os.write

    def counted(descriptor: int, data: bytes) -> int:
        sizes.append(len(data))
        return write(descriptor, data)

    with Patch.context() as context:
        context.setattr(os, "write", counted)
        yield sizes


def appended(file: File) -> None:
    """Behind what is there, one write a line."""
    file.path.write_text('{"sequence":1}\n')
    with sizes_of_writes() as sizes:
        file.emit(2, 3)
        file.emit(4)
    assert sizes == [len(render_json(report(sequence))) for sequence in (2, 3, 4)]
    assert numbers(file.path) == [1, 2, 3, 4]
    with file.path.open("a") as other:
        other.write('{"sequence":5}\n')
    file.emit(6)
    assert numbers(file.path) == [1, 2, 3, 4, 5, 6]
    assert file.said == []


def moved_on(file: File) -> None:
    """A file that was renamed, replaced or removed is made anew, without a signal."""
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


def opened_anew(file: File) -> None:
    """At SIGHUP the old file is let go, and the new one is there at once."""
    file.emit(1)
    held = os.readlink(f"/proc/self/fd/{file.output._descriptor}")
    assert held == str(file.path)
    file.path.rename(file.path.with_suffix(".1"))
    file.output.reopen()
    assert file.path.exists()
    assert str(file.path.with_suffix(".1")) not in dict(open_files()).values()
    file.output.close()
    assert str(file.path) not in dict(open_files()).values()
    assert file.said == []


def for_the_group(file: File) -> None:
    """Readable for the group, unless the umask says otherwise; what is there keeps its mode."""
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


def long_ones_are_written_in_parts(tmp_path: Path) -> None:
    """Of which nothing stays where the last one does not fit, and which make one line."""
    with Patch.context() as context:
        context.setattr(json_lines, "BLOCK", 500)
        whole_or_not_at_all(File(tmp_path))
        (tmp_path / "other").mkdir()
        file = File(tmp_path / "other")
        with sizes_of_writes() as sizes:
            file.emit(1, routes=50)
    assert file.path.read_text() == render_json(report(1, routes=50))
    assert max(sizes) < 700
    assert len(sizes) > 5


def a_megabyte_is_written_at_once(file: File) -> None:
    with sizes_of_writes() as sizes:
        file.emit(1, routes=20_000)
    assert 1 << 20 <= sizes[0] < (1 << 20) + 1000


def whole_or_not_at_all(file: File) -> None:
    """Of a line that does not fit nothing stays; said once, tried again, and said when it works."""
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


def a_fragment_stays_alone(file: File) -> None:
    """What cannot be taken back, or was left by a crash, spoils no other line."""
    file.path.write_text('{"sequence":0}\n{"seq')
    file.emit(1)
    file.emit(2)

    def refused(_descriptor: int, _size: int) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    with Patch.context() as context, room(file.path.stat().st_size + 100):
        context.setattr(os, "ftruncate", refused)
        file.emit(3, routes=50)
    file.emit(4)
    file.emit(5)
    first, torn, *lines = file.path.read_text().splitlines()
    assert torn == '{"seq'
    assert lines[2] == render_json(report(3, routes=50))[:100]
    whole = [json.loads(line)["sequence"] for line in (first, *lines[:2], *lines[3:])]
    assert whole == [0, 1, 2, 4, 5]


def what_others_wrote_is_not_cut_off(file: File) -> None:
    """Where somebody wrote behind our fragment, it stays."""
    file.emit(1)
    write = os.write

    def overtaken(descriptor: int, data: bytes) -> int:
        if len(data) <= 10:
            with file.path.open("a") as other:
                other.write('\n{"sequence":2}\n')
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(descriptor, data[:-10])

    with Patch.context() as context:
        context.setattr(os, "write", overtaken)
        file.emit(3)
    assert '\n{"sequence":2}\n' in file.path.read_text()
    assert file.failures == [f"cannot append to {file.path}: Input/output error"]


def never_waits(file: File) -> None:
    """What is no regular file is not written to, and nobody is waited for."""
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


def follows_no_link(file: File) -> None:
    """Whoever can write to the directory can't have another file of ours written to."""
    ledger = file.path.parent / "ledger.db"
    ledger.write_text("ours")
    file.path.symlink_to(ledger)
    file.emit(1)
    assert ledger.read_text() == "ours"
    assert file.failures == [f"cannot append to {file.path}: Too many levels of symbolic links"]
    file.path.unlink()
    file.emit(2)
    file.path.rename(file.path.parent / "rotated")
    file.path.symlink_to(ledger)
    file.emit(3)
    assert ledger.read_text() == "ours"
    assert numbers(file.path.parent / "rotated") == [2]
    assert len(file.failures) == 2


def is_said_when_it_is_opened(tmp_path: Path) -> None:
    """What is wrong with it, as soon as it is made; the next report is tried all the same."""
    file = File(tmp_path / "missing")
    output = make_output(JsonConfig(str(file.path)), file.said.append)
    assert isinstance(output, JsonOutput)
    file.output = output
    assert file.failures == [f"cannot append to {file.path}: No such file or directory"]
    file.emit(1)
    assert len(file.said) == 1
    file.path.parent.mkdir()
    file.emit(2)
    assert (numbers(file.path), file.resumed) == ([2], 1)


def cut_blindly(output: JsonOutput, written: int) -> bool:
    """The file's end is taken for our own."""
    os.ftruncate(output._descriptor, os.fstat(output._descriptor).st_size - written)
    return True


def open_anything(output: JsonOutput) -> None:
    output.close()
    output._descriptor = os.open(output._path, json_lines.FLAGS, json_lines.MODE)


def opens(flag: int) -> Patches:
    """Otherwise."""
    return Patches((json_lines, "FLAGS", json_lines.FLAGS ^ flag))


ANYTHING = Patches((JsonOutput, "_open", open_anything))
SAYS_EACH = Patches((JsonOutput, "_fail", says_each(JsonOutput, "_fail")._fail))
DEAF = Patches((JsonOutput, "reopen", nothing))
HALF = Patches((JsonOutput, "_append", lambda self, line, rest: os.write(self._descriptor, line)))
TRUSTING = twin(JsonOutput, "", "_append", first=lambda self: vars(self).update(_is_torn=False))
OfFile = partial(Promise, real=None, caught=(ValueError, FileNotFoundError))
test_file, test_file_twin = promises(
    OfFile(appended, twins={"truncates": opens(os.O_TRUNC), "overwrites": opens(os.O_APPEND)}),
    OfFile(moved_on, twins=[Patches((JsonOutput, "_is_current", lambda self: self._descriptor >= 0))]),
    OfFile(opened_anew, twins=[DEAF]),
    OfFile(for_the_group, twins=[Patches((json_lines, "MODE", 0o644))]),
    OfFile(whole_or_not_at_all, twins=[HALF, SAYS_EACH]),
    OfFile(a_megabyte_is_written_at_once, twins=[Doubled("outputs.json_lines:BLOCK")]),
    OfFile(long_ones_are_written_in_parts, twins=[HALF]),
    OfFile(a_fragment_stays_alone, twins=[Patches((JsonOutput, "_append", TRUSTING._append)), ANYTHING]),
    OfFile(what_others_wrote_is_not_cut_off, twins=[Patches((JsonOutput, "_take_back", cut_blindly))]),
    OfFile(never_waits, twins=[ANYTHING, SAYS_EACH]),
    OfFile(follows_no_link, twins=[opens(os.O_NOFOLLOW)]),
    OfFile(is_said_when_it_is_opened, twins=[DEAF]),
)


def test_a_fifo_without_a_reader_is_not_waited_for(tmp_path: Path, monkeypatch: Patch) -> None:
    """Not even by `open`. A twin hangs in a thread of its own until somebody reads."""

    def is_opened(patience: float) -> bool:
        thread = threading.Thread(target=partial(File(tmp_path).emit, 1), daemon=True)
        thread.start()
        thread.join(patience)
        return not thread.is_alive()

    os.mkfifo(tmp_path / "reports.jsonl")
    assert is_opened(60)
    monkeypatch.setattr(json_lines, "FLAGS", json_lines.FLAGS ^ (os.O_RDWR ^ os.O_WRONLY | os.O_NONBLOCK))
    assert not is_opened(0.5)
    os.close(os.open(tmp_path / "reports.jsonl", os.O_RDONLY | os.O_NONBLOCK))
