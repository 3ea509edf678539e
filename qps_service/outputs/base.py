"""Where reports go: one module an output, each a pure renderer and a transport.

Promise: no output delays or stops the counting. None waits for whoever is at its other end, what can't be
delivered is dropped within bounds, and a failing output says so once, and once more when it works again.
"""

from collections.abc import Sequence

from qps_service.notices.trouble import Trouble
from qps_service.values.reports import Overview, Report


class OutputClosed(Exception):  # noqa: N818  the reader's wish, not an error
    """Whoever read this output has gone; the program has nobody left to report to."""


class Output:
    """Takes reports. A failing one keeps its trouble to itself, except for OutputClosed. Times are
    CLOCK_BOOTTIME nanoseconds. What an output does not need it inherits from here: nothing."""

    name: str  # as in the configuration's [output.NAME]
    trouble: Trouble

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        """Take the reports of a window, one for each log, in order."""

    def flush(self, now: int) -> None:
        """Go on with what was held back, and take in what clients sent; called at every look."""

    def due(self) -> int | None:
        """When `flush` is to be called at the latest; None if the next look is soon enough."""
        return None

    def fileno(self) -> int | None:
        """What to poll while the loop sleeps, if anything: readable when somebody sent something."""
        return None

    def is_ready(self) -> bool:
        """Whether what `fileno` names is readable."""
        return False

    def is_asked(self, now: int, *, is_behind: bool) -> bool:
        """Whether `answer` is to be called now; `is_behind`, while logs have a backlog."""
        return False

    def answer(self, overview: Overview, now: int) -> None:
        """Answer those who asked, with this: everything was read before."""

    def reopen(self) -> None:
        """Open files anew: SIGHUP came."""

    def close(self) -> None:
        """The program ends: deliver what can be delivered within a second or so."""

    def dismiss(self) -> None:
        """The configuration has it no longer, and the counting goes on: close, and wait for nobody."""
        self.close()
