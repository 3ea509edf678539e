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
    QPS_LATENCY    JSON, where the log tells durations: a list of {"route", "class", "measured", "sum_ns",
                   "max_ns", "p50_ns", "p90_ns", "p95_ns", "p99_ns"}

The journal is shared with all services of the machine, so both have `rows` rows at most: those to look at
first (qps_service.reporting.report.foremost), and one more for the rest, so that they add up; QPS_LATENCY has
the slowest. In QPS_ROWS its method, route and status are null, and it has "rows", of how many it is the sum.

A log without requests has an entry of one line from time to time (`idle`), whose QPS_SECONDS is the time
since its last entry. One that can't be read has none: a notice said so.

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

from qps_service.configuration.types import JournalConfig
from qps_service.notices.kinds import REPORT_MESSAGE_ID, Notice, Notify
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import TakesReports
from qps_service.reporting.report import latencies_json, rows_json, slowest
from qps_service.reporting.text import text_lines
from qps_service.text.units import SECOND, format_duration
from qps_service.values.reports import Overview, Report

IDENTIFIER = "qps-reporter"
LARGE = 1 << 22  # characters of a field; rows of 1,000 long routes, or of 20,000 short ones
DEFAULT = JournalConfig()
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


def report_fields(report: Report, rows: int | None = None, message: str | None = None) -> dict[str, str]:
    """The journal fields of a report, with so many rows at most; its text is another `message`."""
    if message is None:
        message = _whole(text_lines(report, rows)) or _whole(text_lines(report._replace(rows=())))
    fields = {
        "MESSAGE": message,
        "MESSAGE_ID": REPORT_MESSAGE_ID,
        "PRIORITY": str(LOG_INFO),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "QPS_LOG": report.log,
        "QPS_SEQUENCE": str(report.sequence),
        "QPS_SECONDS": repr(report.seconds),
        "QPS_REQUESTS": str(report.requests),
        "QPS_TOTAL": repr(report.rate),
        "QPS_REJECTED": str(report.rejected),
        "QPS_ROWS": _whole(rows_json(report, rows)),
    }
    if report.latencies:
        fields["QPS_LATENCY"] = _whole(latencies_json(slowest(report.latencies, rows), bins=False))
    return fields


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

    def __init__(self, send: Send, notify: Notify, config: JournalConfig = DEFAULT) -> None:
        self.trouble = Trouble(notify, "the journal takes reports again")
        self.config = config
        self._send = send
        self._told: dict[str, int] = {}  # up to when each log's entries tell, CLOCK_BOOTTIME nanoseconds

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        """Send one entry for each, but for those that have nothing to tell."""
        for report in reports:
            fields = self._fields(report, now)
            if fields is None:
                continue
            self._told[report.log] = now
            try:
                self._send(*(f"{name}={value}" for name, value in fields.items()))
            except OSError as error:
                self.trouble.failed(f"cannot write to the journal: {error.strerror}")
            else:
                self.trouble.works()
        followed = {standing.log for standing in overview.logs}
        self._told = {log: at for log, at in self._told.items() if log in followed}

    def _fields(self, report: Report, now: int) -> dict[str, str] | None:
        idle, told = self.config.idle, self._told.get(report.log)
        if report.waiting and report.is_empty:
            return None
        if idle == 0 or report.losses or not report.is_empty:
            return report_fields(report, self.config.rows)
        if idle is None or (told is not None and now - told < idle):
            return None
        seconds = report.seconds if told is None else (now - told) / SECOND
        text = f"{report.log}: no requests for {format_duration(round(seconds) * SECOND)}\n"
        return report_fields(report._replace(seconds=seconds), message=text)


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
