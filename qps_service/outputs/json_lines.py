"""Reports as JSON lines: an object on a line for each log, appended to a file, or on stdout for the text.

packaging/qps-report.schema.json (JSON Schema 2020-12) describes the object. Numbers are as they were counted,
in all their digits: a sum of bytes may be beyond 2^53, where readers that take numbers for doubles round it
(RFC 8259, 6). Routes are escaped as in the text (qps_service.text.escape), and everything is ASCII.

Promise of the file: each line is one write(2) at the file's end, or several where it is longer than BLOCK; it
is there whole, or taken back. A file that was rotated
or removed is made anew. What is no regular file is never written to, and nobody is waited for.
"""

import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from qps_service.configuration.types import JsonConfig
from qps_service.notices.kinds import Notify
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import HasFiles, TakesReports
from qps_service.reporting.report import latencies_json, rows_json
from qps_service.text.escape import show_path
from qps_service.values.entries import Loss
from qps_service.values.reports import Overview, Report

# Reading is for the last byte alone. Nobody is waited for at the other end of a FIFO. A symbolic link is not
# followed: whoever may write to the directory could lay one to a file of ours.
FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
BLOCK = 1 << 20  # bytes; a report of 5,000 rows is shorter
MODE = 0o640  # as logs have it: the owner writes, the group reads; the umask takes from it


def json_pieces(report: Report) -> Iterator[str]:
    """The report for programs: one line, with its newline, in pieces."""
    head = {
        "log": report.log,
        "sequence": report.sequence,
        "time": _moment(report.at),
        "unix": report.at,
        "seconds": report.seconds,
        "requests": report.requests,
        "rate": report.rate,
        "rejected": report.rejected,
        "bytes_unknown": report.beside.unmeasured,
        "directives": report.beside.directives,
    }
    yield _dumped(head)[:-1] + ',"rows":'
    yield from rows_json(report)
    yield ',"latency":'
    yield from latencies_json(report.latencies, bins=True)
    yield f',"losses":{_dumped([_loss_object(loss) for loss in report.losses])}}}\n'


def render_json(report: Report) -> str:
    """All of it."""
    return "".join(json_pieces(report))


def _dumped(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _blocks(pieces: Iterable[str]) -> Iterator[bytes]:
    """Them, joined to BLOCK bytes and a little more; the last one may have fewer."""
    block = bytearray()
    for piece in pieces:
        block += piece.encode()
        if len(block) >= BLOCK:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _loss_object(loss: Loss) -> dict[str, Any]:
    at = loss.at // 10**9
    path = show_path(loss.name)
    return {"time": _moment(at), "unix": at, "file": path, "what": loss.what, "bytes": loss.bytes}


def _moment(second: int) -> str:
    """RFC 3339, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


class JsonOutput(TakesReports, HasFiles):
    """Appends to a file. What it does not take is dropped, and the next report tried."""

    name = "json"

    def __init__(self, config: JsonConfig, notify: Notify) -> None:
        self.trouble = Trouble(notify, f"{show_path(config.path)} takes reports again")
        self._path = config.path
        self._descriptor = -1
        self._is_torn = False  # whether the file may end within a line

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        """Append a line for each."""
        try:
            if not self._is_current():
                self._open()
            for report in reports:
                blocks = _blocks(json_pieces(report))
                self._append(next(blocks), blocks)
        except OSError as error:
            self._fail(error)
        else:
            self.trouble.works()

    def reopen(self) -> None:
        """Open the path anew, so that what is wrong with it is said now and not with the next report."""
        self.close()
        try:
            self._open()
        except OSError as error:
            self._fail(error)

    def close(self, *, wait: bool = True) -> None:
        """Let the file go."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _is_current(self) -> bool:
        """Whether what is open is what the path names."""
        if self._descriptor < 0:
            return False
        try:
            return os.path.samestat(os.lstat(self._path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _open(self) -> None:
        descriptor = os.open(self._path, FLAGS, MODE)
        self.close()
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise OSError("it is no regular file")
        last = os.pread(descriptor, 1, status.st_size - 1) if status.st_size else b"\n"
        self._is_torn = last != b"\n"

    def _append(self, line: bytes, rest: Iterable[bytes] = ()) -> None:
        """Write it behind what is there, which a crash may have cut off: that stays a line of its own. `rest`
        is more of a long one."""
        if self._is_torn:
            line = b"\n" + line
        written = 0
        try:
            for block in chain((line,), rest):
                left = memoryview(block)
                # A disk that becomes full takes a part first, and tells why with the rest.
                while left:
                    taken = os.write(self._descriptor, left)
                    written += taken
                    left = left[taken:]
        except OSError:
            if written:
                self._is_torn = not self._take_back(written)
            raise
        self._is_torn = False

    def _take_back(self, written: int) -> bool:
        """Cut off the last bytes that were written, if nobody wrote behind them; whether they are gone."""
        end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        with suppress(OSError):  # the file may be one that only grows (chattr(1), +a)
            if os.fstat(self._descriptor).st_size == end:
                os.ftruncate(self._descriptor, end - written)
                return True
        return False

    def _fail(self, error: OSError) -> None:
        self.trouble.failed(f"cannot append to {show_path(self._path)}: {error.strerror or error}")
