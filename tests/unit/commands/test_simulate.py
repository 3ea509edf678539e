"""`simulate` as a process: its options, its end, and what it says when it cannot go on."""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from qps_service.commands import simulate
from qps_service.errors import UsageError
from qps_service.formats.presets import compile_format
from qps_service.scanning.options import ScanOptions
from qps_service.scanning.scanner import make_scanner
from qps_service.simulation.log_file import LogFile
from tests.promised import Promise, promises
from tests.unit.conftest import no_spill

ROOT = Path(__file__).parents[3]
COMMAND = ("qps_service",)
DEAF = ("tests.unit.commands.programs", "takes_no_signal")
Captured = pytest.CaptureFixture[str]
Outcome = tuple[int, str]  # exit status, standard error


def start(*arguments: object, program: Sequence[str] = COMMAND, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", *program, "simulate", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, **options)


def outcome(process: subprocess.Popen[str]) -> Outcome:
    """Waits for the end of a process whose standard output is read elsewhere."""
    with process:
        assert process.stderr
        return process.wait(), process.stderr.read()


def reading(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout
    return process.stdout


def parse(*arguments: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser("qps-reporter simulate")
    simulate.add_arguments(parser)
    return parser.parse_args(list(map(str, arguments)))


def check_truth(truth: Path, *lines: bytes) -> dict[str, Any]:
    """The truth equals what the scanner finds in `lines`; the truth."""
    scanner = make_scanner(ScanOptions(compile_format("default"), 65_536), no_spill)
    for some in lines:
        scanner.scan(some)
    scanned = scanner.take()
    found: dict[str, Any] = json.loads(truth.read_text())
    rows = sorted(
        (key.method.decode(), key.route.decode(), key.status, *counts)
        for key, counts in scanned.counts.items()
    )
    assert [tuple(row.values()) for row in found["rows"]] == rows
    assert found["lines"] == scanned.lines
    assert not scanned.rejects
    return found


LATE = ("--late-writer", "0.05")


@pytest.mark.parametrize("options", [(), ("--rotation", "copytruncate"), (*LATE, "--batch")], ids=" ".join)
def test_the_truth_is_on_disk(tmp_path: Path, options: Sequence[str]) -> None:
    log = tmp_path / "logs" / "a.log"
    log.parent.mkdir()
    truth = tmp_path / "truth.json"
    rate = ["-r", "0.02", "--rate", "20000", "--duration", "0.25"]
    assert outcome(start("-o", log, "--truth", truth, *rate, *options)) == (0, "")
    files = list(log.parent.iterdir())
    found = check_truth(truth, *(file.read_bytes() for file in files))
    assert found["lines"] == 5000
    assert len(files) == found["rotations"] + 1
    assert sorted(os.listdir(tmp_path)) == ["logs", "truth.json"]


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    contents: list[bytes] = []
    for options in (["--seed", 5], ["--seed", 5, "--batch"], ["--seed", 6], []):
        log = tmp_path / f"{len(contents)}.log"
        assert simulate.run(parse("-o", log, "-r", 0, "--rate", 100_000, "--duration", 0.02, *options)) == 0
        contents.append(log.read_bytes())
    assert contents[0] == contents[1]
    assert len(set(contents)) == 3


def test_the_options_reach_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    class Recorder(LogFile):
        def __init__(self, path: str, **options: Any) -> None:
            given.update(options)
            super().__init__(path, **options)

    def options(*arguments: object) -> list[Any]:
        assert simulate.run(parse("-o", tmp_path / "a.log", "--duration", 0.001, *arguments)) == 0
        return [given[name] for name in ("copytruncate", "batch", "keep", "late")]

    monkeypatch.setattr(simulate, "LogFile", Recorder)
    assert options() == [False, False, None, 0]
    assert options("--rotation", "copytruncate") == [True, False, None, 0]
    assert options("--batch", "--keep", 3, "--late-writer", 2.5) == [False, True, 3, 2_500_000_000]


def check_stop(program: Sequence[str], tmp_path: Path, number: signal.Signals) -> None:
    """A signal in the middle: status 0, and every line that came is in the truth."""
    truth = tmp_path / "truth.json"
    process = start(
        *("-o", "/dev/stdout", "-r", 0, "--rate", 5000, "--truth", truth),
        program=program,
        stdout=subprocess.PIPE,
    )
    lines = [reading(process).readline() for _ in range(100)]
    process.send_signal(number)
    lines += reading(process).readlines()
    assert outcome(process) == (0, "")
    check_truth(truth, *(line.encode() for line in lines))


def test_a_second_signal_does_not_spoil_the_end() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with simulate._stops_held_back():
        # At this thread: the test runner may have others, which would die.
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert simulate._stop_requested(0)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    process = start("-o", "/dev/stdout", "-r", 0, "--rate", 1000, stdout=subprocess.PIPE)
    assert reading(process).readline()
    reading(process).close()
    assert outcome(process) == (0, "")


def test_a_full_disk_is_said_and_the_truth_told(tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    assert outcome(start("-o", "/dev/full", "-r", 0, "--truth", truth)) == (
        1,
        "qps-reporter: cannot write /dev/full: No space left on device\n",
    )
    assert check_truth(truth) == {"lines": 0, "rotations": 0, "rows": []}


def test_a_truth_that_cannot_be_written_is_said(tmp_path: Path, capsys: Captured) -> None:
    truth = tmp_path / ("t" * 250)  # its temporary name is too long
    assert simulate.run(parse("-o", tmp_path / "a.log", "--duration", 0.001, "--truth", truth)) == 1
    assert capsys.readouterr().err == f"qps-reporter: cannot write the truth to {truth}: File name too long\n"
    assert os.listdir(tmp_path) == ["a.log"]


def test_the_truth_is_replaced_as_a_whole_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, directory = tmp_path / "truth.json", tmp_path / "directory"
    directory.mkdir()
    with pytest.raises(IsADirectoryError):
        simulate._replace(str(directory), "after")
    assert os.listdir(tmp_path) == ["directory"]
    truth.write_text("before")
    replaced: list[str] = []

    def replace(source: str, target: str) -> None:
        replaced.append(truth.read_text())
        os.rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    simulate._replace(str(truth), "after")
    assert (replaced, truth.read_text()) == (["before"], "after")


READING = "--format {} is for reading: name a format to write"
REFUSED: list[tuple[Callable[[Path], list[object]], str]] = [
    (lambda d: ["-o", d / "no" / "a.log"], "{d}/no/a.log: there is no directory {d}/no"),
    (lambda d: ["-o", d], "{d}: expected a file, found a directory"),
    (lambda d: ["-o", d / "a", "--truth", d / "no" / "t"], "{d}/no/t: there is no directory {d}/no"),
    (lambda d: ["-o", d / "a", "--truth", d / "a"], "--truth and --output-file name the same file"),
    (lambda _: ["-o", "/dev/null"], "/dev/null: only a regular file can be rotated; add -r 0"),
    (
        lambda d: ["-o", d / "a", "--late-writer", 1, "--rotation", "copytruncate"],
        "--late-writer needs --rotation rename: copytruncate leaves nobody with an old file",
    ),
    (
        lambda d: ["-o", d / "a", "--format", "$route"],
        "--format: the format has no status: expected $status (character 7)\n  $route\n        ^",
    ),
    (lambda d: ["-o", d / "a", "--format", "auto"], READING.format("auto")),
    (lambda d: ["-o", d / "a", "--format", "w3c"], READING.format("w3c")),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_cannot_be_is_refused(
    tmp_path: Path, arguments: Callable[[Path], list[object]], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        simulate.run(parse(*arguments(tmp_path)))
    assert str(caught.value) == message.format(d=tmp_path)
    assert os.listdir(tmp_path) == []


WRONG = {
    "--rate: expected a whole number from 1 to 200000": "--rate=0 --rate=200001 --rate=fast --rate=-1",
    "-r/--log-rotation-interval: expected 0 or seconds, at least 0.001": "-r=-1 -r=0.0001 -r=nan -r=inf",
    "--duration: expected seconds, at least 0.001": "--duration=0",
    "--late-writer: expected seconds, at least 0": "--late-writer=-1",
    "--keep: expected a whole number, at least 0": "--keep=-1",
}


@pytest.mark.parametrize(
    ("argument", "message"), [(each, message) for message in WRONG for each in WRONG[message].split()]
)
def test_wrong_numbers_are_refused(argument: str, message: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("-o", "a.log", argument)
    assert caught.value.code == 2
    said = f"error: argument {message}, got '{argument.partition('=')[2]}'\n"
    assert capsys.readouterr().err.endswith(said)


def test_the_defaults_are_the_originals() -> None:
    arguments = parse("-o", "a.log")
    assert (arguments.log_rotation_interval, arguments.rotation, arguments.rate) == (30, "rename", None)
    assert (arguments.keep, arguments.late_writer, arguments.batch) == (None, 0, False)
    assert parse("--output-file", "a.log", "--log-rotation-interval", "0.5").log_rotation_interval == 0.5


test_promise, test_twin = promises(
    Promise(check_stop, COMMAND, {"dies": DEAF}, number=signal.SIGTERM),
    Promise(check_stop, COMMAND, {}, number=signal.SIGINT),
)
