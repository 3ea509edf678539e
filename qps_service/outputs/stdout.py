"""Reports on standard output.

Promise: a reader that is slow, or stopped, never blocks the counting. Reports wait in memory up to a
limit; what does not fit is dropped whole and said once. A reader that has gone ends the program, unless that
reader is a supervisor (journald, a container's runtime): then stdout is one output among several.
"""

import os
import select
import stat
from collections.abc import Callable, Iterable, Sequence

from qps_service.errors import EXIT_PROBLEM
from qps_service.notices.kinds import Notify
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import GoesOn, OutputClosed, TakesReports
from qps_service.reporting.text import text_lines
from qps_service.values.reports import Overview, Report

# Days of ordinary reports; a stopped reader costs no more memory than this, or than one larger report.
BACKLOG = 1 << 20  # bytes
# At the end, how long a slow reader may take before what is left is dropped.
LAST_WAIT = 1000  # milliseconds


class StdoutOutput(TakesReports, GoesOn):
    """Writes to a descriptor without making it non-blocking: others may share it."""

    name = "stdout"

    def __init__(
        self,
        descriptor: int,
        notify: Notify,
        render: Callable[[Report], Iterable[str]] = text_lines,
        *,
        supervised: bool = False,
    ) -> None:
        """`supervised`: whoever reads it may go and come, and it is not for him that the program runs."""
        self.trouble = Trouble(notify, "stdout takes reports again")
        self._descriptor = descriptor
        self._render = render
        self._supervised = supervised
        self._waiting = bytearray()
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        """Write the reports, or keep them until the reader is ready. Raises OutputClosed."""
        for report in reports:
            before = len(self._waiting)
            for piece in self._render(report):
                self._waiting += piece.encode()
                if before and len(self._waiting) > BACKLOG:
                    del self._waiting[before:]
                    self.trouble.failed("nobody reads stdout; dropping reports there")
                    break
            else:
                self.flush(now)

    def flush(self, now: int) -> None:
        """Write as much as is taken without waiting. Raises OutputClosed."""
        self._write(0)

    def close(self, *, wait: bool = True) -> None:
        """Write the rest, for a reader who is there."""
        self._write(LAST_WAIT if wait else 0)

    def _write(self, wait: int) -> None:
        # A pipe that polls writable takes PIPE_BUF bytes without blocking (pipe(7)).
        while self._waiting and self._poll.poll(wait):
            try:
                written = os.write(self._descriptor, self._waiting[: select.PIPE_BUF])
            except BlockingIOError:
                return
            except OSError as error:
                self._waiting.clear()
                is_over = isinstance(error, ConnectionError) and not self._supervised
                if is_over and not self._is_socket():
                    raise OutputClosed from error
                self.trouble.failed(f"cannot write to stdout: {error.strerror}")
                if is_over:
                    raise OutputClosed(EXIT_PROBLEM) from error
                return
            del self._waiting[:written]
            if not self._waiting:
                self.trouble.works()

    def _is_socket(self) -> bool:
        """A pipe that lost its reader is a shell's, whose user has seen enough (`| head`). At the other end
        of a socket may be a supervisor, who must not take the end for a success."""
        return stat.S_ISSOCK(os.fstat(self._descriptor).st_mode)
