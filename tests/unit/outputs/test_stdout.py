"""Standard output: seen at once, never waited for, bounded, and quiet about a reader who has gone.

Real pipes, read or not; a check hands itself a writer that refuses to block, so that a twin that would
block for good fails instead.
"""

import errno
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from qps_service.notices.kinds import OUTPUT_FAILED, OUTPUT_RESUMED, Notice
from qps_service.outputs import stdout
from qps_service.outputs.base import OutputClosed
from qps_service.outputs.stdout import BACKLOG, LAST_WAIT, StdoutOutput
from qps_service.reporting.text import render_text
from qps_service.values.reports import Report
from tests.limits import Doubled
from tests.promised import Promise, nothing, promises, says_each, twin
from tests.unit.handed_over import emit

Make = Callable[..., StdoutOutput]

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


def a_report_is_visible_at_once(make: Make, pipe: Pipe) -> None:
    """A report is in the pipe when `emit` returns. Others who share the descriptor still block on it."""
    output = make(pipe.write_end, say_nothing)
    emit(output, report(1))
    assert pipe.read() == render_text(report(1)).encode()
    assert os.get_blocking(pipe.write_end)


# --- a slow reader


def a_slow_reader_never_blocks_the_counting(make: Make, pipe: Pipe) -> None:
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


def a_slow_reader_is_not_waited_for_long(make: Make) -> None:
    """At the end: once, for a second."""
    reader, writer = os.pipe()
    output, waited = make(writer, say_nothing), list[int]()

    class NeverReady:
        def poll(self, milliseconds: int) -> list[object]:
            waited.append(milliseconds)
            return []

    output._poll = NeverReady()  # type: ignore[assignment]
    emit(output, report(1))
    output.close()
    assert waited == [0, LAST_WAIT]
    for descriptor in (reader, writer):
        os.close(descriptor)


# --- a reader who has gone


@pytest.mark.parametrize("call", ["emit", "flush", "close"])
def test_a_reader_who_has_gone_ends_the_program(pipe: Pipe, call: str) -> None:
    output = StdoutOutput(pipe.write_end, say_nothing)
    for sequence in range(30):
        emit(output, report(sequence, 4000))  # more than the pipe holds
    pipe.leave()
    calls: dict[str, Callable[[], object]] = {
        "emit": lambda: emit(output, report(1)),
        "flush": lambda: output.flush(0),
        "close": output.close,
    }
    with pytest.raises(OutputClosed):
        calls[call]()
    output.close()  # what waited is gone with the reader


BROKEN = Notice(OUTPUT_FAILED, "cannot write to stdout: Broken pipe")


@contextmanager
def left(how: str) -> Iterator[int]:
    """A pipe or a socket whose reader has gone."""
    if how == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        near, far = socket.socketpair()
        writer = near.detach()
        far.close()
    yield writer
    os.close(writer)


def another_who_goes_ends_it(make: Make, how: str, status: int) -> None:
    """Quietly at a shell's pipe; at a socket, where a supervisor may be, it is said, and no success. Where a
    supervisor is known, what it would read is dropped; that is said once, and nothing ends."""
    said: list[Notice] = []
    with left(how) as descriptor:
        with pytest.raises(OutputClosed) as caught:
            emit(make(descriptor, said.append), report(1))
        assert (caught.value.status, said) == (status, [BROKEN] if status else [])
        output = make(descriptor, said.append, supervised=True)
        said.clear()
        for sequence in range(3):
            emit(output, report(sequence))
            output.flush(0)
        output.close()
    assert (said, output.trouble.failures) == ([BROKEN], 3)


def supervised(always: bool) -> Make:
    """Whatever is so."""
    return lambda descriptor, notify, **_: StdoutOutput(descriptor, notify, supervised=always)


# --- other faults


# --- the promises


def write_at_once(output: StdoutOutput, reports: Sequence[Report], *_: object) -> None:
    for report in reports:
        os.write(output._descriptor, render_text(report).encode())


def keep_the_start(output: StdoutOutput, reports: Sequence[Report], *arguments: Any) -> None:
    """Of what does not fit, a part is kept."""
    StdoutOutput.emit(output, reports, *arguments)
    if output.trouble.failures and len(output._waiting) < BACKLOG:
        output._waiting += render_text(reports[0]).encode()[: BACKLOG - len(output._waiting)]


SAYS_EACH = says_each(StdoutOutput, "emit")
BUFFERED = twin(StdoutOutput, "buffered", "flush", instead=nothing)  # as a pipe's writers do by default
BLOCKS = twin(StdoutOutput, "blocks", "emit", instead=write_at_once)
KEEPS_THE_START = twin(StdoutOutput, "keeps the start", "emit", instead=keep_the_start)
SLOW = [BLOCKS, KEEPS_THE_START, SAYS_EACH, Doubled("outputs.stdout:BACKLOG")]
AT_A_SOCKET = {
    "ends": supervised(False),
    "takes sockets for pipes": twin(StdoutOutput, "", "_is_socket", instead=nothing),
}
test_promise, test_twin = promises(
    Promise(a_report_is_visible_at_once, StdoutOutput, [BUFFERED]),
    Promise(a_slow_reader_never_blocks_the_counting, StdoutOutput, SLOW),
    Promise(a_slow_reader_is_not_waited_for_long, StdoutOutput, [Doubled("outputs.stdout:LAST_WAIT")]),
    Promise(another_who_goes_ends_it, StdoutOutput, {"goes on": supervised(True)}, how="pipe", status=0),
    Promise(another_who_goes_ends_it, StdoutOutput, AT_A_SOCKET, (OutputClosed,), how="socket", status=1),
)


def test_a_pipe_that_another_made_nonblocking_and_filled(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _data: bytes) -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    output = StdoutOutput(pipe.write_end, say_nothing)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        emit(output, report(1))
    output.flush(0)
    assert pipe.read() == render_text(report(1)).encode()
