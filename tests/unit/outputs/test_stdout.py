"""Standard output: seen at once, never waited for, bounded, and quiet about a reader who has gone.

Real pipes, read or not; a check hands itself a writer that refuses to block, so that a twin that would
block for good fails instead.
"""

import errno
import os
from collections.abc import Callable, Iterator, Sequence

import pytest

from qps_service.notices.kinds import OUTPUT_FAILED, OUTPUT_RESUMED, Notice
from qps_service.outputs import stdout
from qps_service.outputs.base import Output, OutputClosed
from qps_service.outputs.stdout import BACKLOG, StdoutOutput
from qps_service.reporting.text import render_text
from qps_service.values.reports import Overview, Report
from tests.unit.handed_over import emit

MakeOutput = Callable[[int, Callable[[Notice], None]], Output]

DROPPING = Notice(OUTPUT_FAILED, "nobody reads stdout; dropping reports there")
RESUMED = Notice(OUTPUT_RESUMED, "stdout takes reports again")


def report(sequence: int, padding: int = 0) -> Report:
    return Report("a" * padding, bool(padding), sequence, sequence, 10.0, 0, 0.0, 0, ())


def say_nothing(notice: Notice) -> None:
    pytest.fail(notice.text)


class Pipe:
    """A pipe with a reader who reads when told to."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        self.received = b""

    def read(self, size: int = 1 << 20) -> bytes:
        """What is there now."""
        try:
            data = os.read(self.read_end, size)
        except BlockingIOError:
            data = b""
        self.received += data
        return data

    def leave(self) -> None:
        os.close(self.read_end)
        self.read_end = -1

    def close(self) -> None:
        for descriptor in (self.read_end, self.write_end):
            if descriptor >= 0:
                os.close(descriptor)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """A pipe on which a write that would block is an error of the one who wrote."""
    write = os.write

    def impatient_write(descriptor: int, data: bytes) -> int:
        os.set_blocking(descriptor, False)
        try:
            written = write(descriptor, data)
        except BlockingIOError:
            pytest.fail("the write would have blocked")
        finally:
            os.set_blocking(descriptor, True)
        assert written == len(data), "the write would have blocked"
        return written

    pipe = Pipe()
    monkeypatch.setattr(os, "write", impatient_write)
    monkeypatch.setattr(stdout, "LAST_WAIT", 0)  # nobody comes to read while a test stands still
    yield pipe
    pipe.close()


# --- at once


def check_visible(make: MakeOutput, pipe: Pipe) -> None:
    """A report is in the pipe when `emit` returns."""
    output = make(pipe.write_end, say_nothing)
    emit(output, report(1))
    assert pipe.read() == render_text(report(1)).encode()


class Buffered(StdoutOutput):
    """A broken twin: reports sit in a buffer, as a pipe's writers do by default."""

    def flush(self, now: int) -> None:
        pass


def test_a_report_is_visible_at_once(pipe: Pipe) -> None:
    check_visible(StdoutOutput, pipe)


@pytest.mark.twin
def test_buffering_is_caught(pipe: Pipe) -> None:
    with pytest.raises(AssertionError):
        check_visible(Buffered, pipe)


# --- a slow reader


def check_slow_reader(make: MakeOutput, pipe: Pipe) -> None:
    """With nobody reading nothing blocks; what fits is kept in order and whole, dropping is said once."""
    said: list[Notice] = []
    output = make(pipe.write_end, said.append)
    number = 1000
    texts = [render_text(report(sequence, 4000)).encode() for sequence in range(number)]
    for sequence in range(number):
        emit(output, report(sequence, 4000))
        output.flush(0)
    output.close()
    assert said == [DROPPING]

    while pipe.read(10_000):
        output.flush(0)
    kept = len(pipe.received) // len(texts[0])
    assert pipe.received == b"".join(texts[:kept])
    assert BACKLOG <= len(pipe.received) + len(texts[0]) <= BACKLOG + 200_000  # with what the pipe holds

    emit(output, report(5))  # the reader is back
    assert pipe.read() == render_text(report(5)).encode()
    assert said == [DROPPING, RESUMED]
    for sequence in range(number):
        emit(output, report(sequence, 4000))
    assert said == [DROPPING, RESUMED, DROPPING]


class Blocks(StdoutOutput):
    """A broken twin: a plain write."""

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        for report in reports:
            os.write(self._descriptor, render_text(report).encode())


class Unbounded(StdoutOutput):
    """A broken twin: keeps everything."""

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        for report in reports:
            self._waiting += render_text(report).encode()
        self.flush(now)


class SaysEach(StdoutOutput):
    """A broken twin: says each report that it drops."""

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        self.trouble._is_failing = False
        super().emit(reports, overview, now)


class KeepsTheStart(StdoutOutput):
    """A broken twin: drops the part that does not fit."""

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        super().emit(reports, overview, now)
        if self.trouble.failures and len(self._waiting) < BACKLOG:
            self._waiting += render_text(reports[0]).encode()[: BACKLOG - len(self._waiting)]


def test_a_slow_reader_never_blocks_the_counting(pipe: Pipe) -> None:
    check_slow_reader(StdoutOutput, pipe)


@pytest.mark.twin
@pytest.mark.parametrize("twin", [Blocks, Unbounded, SaysEach, KeepsTheStart])
def test_other_ways_with_a_slow_reader_are_caught(twin: MakeOutput, pipe: Pipe) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_slow_reader(twin, pipe)


def test_others_who_share_the_descriptor_still_block_on_it(pipe: Pipe) -> None:
    emit(StdoutOutput(pipe.write_end, say_nothing), report(1))
    assert os.get_blocking(pipe.write_end)


# --- a reader who has gone


@pytest.mark.parametrize("call", ["emit", "flush", "close"])
def test_a_reader_who_has_gone_ends_the_program(pipe: Pipe, call: str) -> None:
    output = StdoutOutput(pipe.write_end, say_nothing)
    for sequence in range(30):
        emit(output, report(sequence, 4000))  # more than the pipe holds
    pipe.leave()
    with pytest.raises(OutputClosed):
        {
            "emit": lambda: emit(output, report(1)),
            "flush": lambda: output.flush(0),
            "close": output.close,
        }[call]()
    output.close()  # what waited is gone with the reader


# --- other faults


def check_faults_are_said_once(make: MakeOutput, monkeypatch: pytest.MonkeyPatch, pipe: Pipe) -> None:
    """A full disk is said once, until a report got through."""
    said: list[Notice] = []
    output = make(pipe.write_end, said.append)
    full = Notice(OUTPUT_FAILED, "cannot write to stdout: No space left on device")

    def fail(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fail)
            for sequence in range(3):
                emit(output, report(sequence))
                output.flush(0)
        emit(output, report(9))
        assert pipe.read() == render_text(report(9)).encode()
    assert said == [full, RESUMED] * 2


def test_a_full_disk_is_said_once(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    check_faults_are_said_once(StdoutOutput, monkeypatch, pipe)


@pytest.mark.twin
def test_a_full_disk_is_said_once_catches_its_twin(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        check_faults_are_said_once(SaysEach, monkeypatch, pipe)


def test_a_pipe_that_another_made_nonblocking_and_filled(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _data: bytes) -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    output = StdoutOutput(pipe.write_end, say_nothing)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        emit(output, report(1))
    output.flush(0)
    assert pipe.read() == render_text(report(1)).encode()
