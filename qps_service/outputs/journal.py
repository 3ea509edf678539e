"""Reports and notices as structured entries in the systemd journal.

A report is one entry: MESSAGE is the text, and the fields below carry its numbers exactly
(systemd.journal-fields(7), https://systemd.io/JOURNAL_NATIVE_PROTOCOL/).

    QPS_LOG        the log's name
    QPS_SEQUENCE   the report's number, from 1
    QPS_SECONDS    the window's real length
    QPS_REQUESTS   requests counted in it
    QPS_TOTAL      requests per second
    QPS_REJECTED   lines that were no requests
    QPS_ROWS       JSON: a list of {"method", "route", "status", "requests", "bytes", "rate"}

Routes in QPS_ROWS are escaped as in the text (qps_service.text.escape). Where the rows would be longer than
LARGE, QPS_ROWS is empty, and likewise MESSAGE has no rows: an entry is handed over as one piece.

A notice is one entry too: MESSAGE, MESSAGE_ID, PRIORITY, QPS_LOG if it is about a log, and where lines may
be lost:

    QPS_LOSS_BYTES how many bytes at most, or `unknown`
    QPS_LOSS_FILE  path of the file
"""

import io
import os
import select
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from syslog import LOG_DEBUG, LOG_INFO

from qps_service.notices.kinds import REPORT_MESSAGE_ID, Notice, Notify
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import TakesReports
from qps_service.reporting.report import rows_json
from qps_service.reporting.text import text_lines
from qps_service.values.reports import Overview, Report

IDENTIFIER = "qps-reporter"
LARGE = 1 << 22  # characters of a field; rows of 1,000 long routes, or of 20,000 short ones
SOCKET = "/run/systemd/journal/socket"

Send = Callable[..., object]  # systemd.journal.sendv: one string `FIELD=value` an argument


def is_journal(descriptor: int, environment: Mapping[str, str]) -> bool:
    """Whether what is written to `descriptor` ends up in the journal anyway.

    systemd.exec(5): $JOURNAL_STREAM holds device and inode of the journal's stream.
    """
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def report_fields(report: Report) -> dict[str, str]:
    """The journal fields of a report."""
    return {
        "MESSAGE": _whole(text_lines(report)) or _whole(text_lines(report._replace(rows=()))),
        "MESSAGE_ID": REPORT_MESSAGE_ID,
        "PRIORITY": str(LOG_INFO),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "QPS_LOG": report.log,
        "QPS_SEQUENCE": str(report.sequence),
        "QPS_SECONDS": repr(report.seconds),
        "QPS_REQUESTS": str(report.requests),
        "QPS_TOTAL": repr(report.rate),
        "QPS_REJECTED": str(report.rejected),
        "QPS_ROWS": _whole(rows_json(report)),
    }


def _whole(pieces: Iterable[str]) -> str:
    """All of them; nothing of what would be longer than LARGE."""
    text = io.StringIO()
    for piece in pieces:
        if text.tell() + len(piece) > LARGE:
            return ""
        text.write(piece)
    return text.getvalue()


def notice_fields(notice: Notice) -> dict[str, str]:
    """The journal fields of a notice."""
    fields = {
        "MESSAGE": _sayable(notice.text),
        "MESSAGE_ID": notice.kind.message_id,
        "PRIORITY": str(notice.kind.priority),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
    }
    if notice.log is not None:
        fields["QPS_LOG"] = notice.log
    if notice.loss is not None:
        fields["QPS_LOSS_BYTES"] = "unknown" if notice.loss.bytes is None else str(notice.loss.bytes)
        fields["QPS_LOSS_FILE"] = _sayable(notice.loss.name)
    return fields


def _sayable(text: str) -> str:
    """A path may hold what is no UTF-8."""
    return text.encode(errors="backslashreplace").decode()


class JournalOutput(TakesReports):
    """Reports to the journal; its failures are said elsewhere, once a change of state.

    libsystemd waits where journald has stopped reading and its socket is full (some hundred entries
    later): then the counting waits too, until journald or the watchdog ends it.
    """

    name = "journal"

    def __init__(self, send: Send, notify: Notify) -> None:
        self.trouble = Trouble(notify, "the journal takes reports again")
        self._send = send

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        """Send one entry for each."""
        for report in reports:
            try:
                self._send(*(f"{name}={value}" for name, value in report_fields(report).items()))
            except OSError as error:
                self.trouble.failed(f"cannot write to the journal: {error.strerror}")
            else:
                self.trouble.works()


class NoticeBoard:
    """Where notices go: to the journal if there is one, and to stderr unless that is the journal."""

    def __init__(self, send: Send | None, stderr: int | None, *, least: int = LOG_DEBUG) -> None:
        """`send` is None without a journal; `stderr`, a descriptor, is None where it leads there, and is told
        only what is as urgent as `least`, a syslog level."""
        self._least = least
        self._send = send
        self._stderr = stderr
        self._poll = select.poll()
        if stderr is not None:
            self._poll.register(stderr, select.POLLOUT)

    def notify(self, notice: Notice) -> None:
        """Say it. Never raises, and never waits for whoever reads stderr: there is nobody left to tell."""
        if self._send:
            with suppress(OSError):
                self._send(*(f"{name}={value}" for name, value in notice_fields(notice).items()))
        if self._stderr is not None and notice.kind.priority <= self._least and self._poll.poll(0):
            line = f"qps-reporter: {notice.text}".encode(errors="backslashreplace")
            # A pipe that polls writable takes PIPE_BUF bytes without blocking (pipe(7)).
            with suppress(OSError):
                os.write(self._stderr, line[: select.PIPE_BUF - 1] + b"\n")
