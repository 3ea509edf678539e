"""What an output is. Each is a pure renderer and a transport, and does what the classes below ask of it: it
takes reports, or is asked; what sends goes on later; what has files opens them anew.

Promise: no output delays or stops the counting. None waits for whoever is at its other end, what can't be
delivered is dropped within bounds, and a failing output says so once, and once more when it works again.
tests/unit/outputs/test_conformance.py holds every output that can be configured to that.

What each sees: a `Report` has a window's requests by method, route and status, with rates; an `Overview` has
the service's numbers, and a `Standing` for each log: all that was counted so far, and how the log stands.

    stdout, journal, json   the reports alone
    statsd                  reports; the overview once, for what the process before told
    graphite                rates of the reports, counters of the standings
    ganglia                 likewise, without methods: a rate and a counter a series
    prometheus, textfile    the overview alone: every number of it

To tell a new number of a log to all of them, give `Standing` and `Report` a field (values/reports.py).
LogPipeline.standing fills the one; make_report fills the other with what is the window's, and Daemon._report
with what is the log's, such as `waiting`. Then each names it once:

    prometheus, textfile    a row of COUNTERS or GAUGES in prometheus/exposition.py
    statsd, graphite        `_report` of Renderer; `_render`
    ganglia                 a series (ganglia/series.py), its name (ganglia/names.py), and `_packets`
    json, journal           `json_pieces` and packaging/qps-report.schema.json; `report_fields`
    stdout                  reporting/text.py; with --output csv, COLUMNS in csv_rows.py

A new number of each row (method, route, status) is a field of `Row`, and for json and journal one line in
`rows_json`. docs/reference/metrics.md and report.md list all names.
"""

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from qps_service.errors import EXIT_OK
from qps_service.notices.trouble import Trouble
from qps_service.values.reports import Overview, Report


class OutputClosed(Exception):  # noqa: N818  the reader's wish, not an error
    """Whoever read this output has gone; the program has nobody left to report to, and ends with `status`."""

    def __init__(self, status: int = EXIT_OK) -> None:
        self.status = status
        super().__init__(status)


def spent() -> int:
    """A clock for what work costs: nanoseconds of this thread's CPU time, and a quarter of all others but
    those of a suspend. While it waits for the disk, or for a processor that others have, it takes little from
    them."""
    cpu = time.thread_time_ns()
    return cpu + (time.monotonic_ns() - cpu) // 4


class Output:
    """What all have in common. A failing one keeps its trouble to itself, except for OutputClosed. Times are
    CLOCK_BOOTTIME nanoseconds. What is named by a noun or an adjective is a question, and changes nothing."""

    name: str  # as in the configuration's [output.NAME]
    trouble: Trouble

    def close(self, *, wait: bool = True) -> None:
        """Let all go: the program ends, and what can be delivered within a second or so is; without `wait`,
        the configuration has the output no longer, and the counting goes on."""


class TakesReports(Output):
    """Is told of each window."""

    @abstractmethod
    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        """Take the reports of a window, one for each log, in order."""


class GoesOn(Output):
    """Holds something back, for whoever is at the other end."""

    @abstractmethod
    def flush(self, now: int) -> None:
        """Go on with what was held back, and take in what clients sent; called at every look."""

    def fileno(self) -> int | None:
        """What to poll while the loop sleeps; None if nothing wakes it."""
        return None

    def due(self) -> int | None:
        """When `flush` is to be called at the latest; None if the next look is soon enough."""
        return None


class Answers(GoesOn):
    """Is asked how things stand, and wakes the loop for that."""

    @abstractmethod
    def fileno(self) -> int:
        """What to poll while the loop sleeps: readable when a client did something."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether one did."""

    @abstractmethod
    def wanted(self) -> int | None:
        """When the logs are to be looked at, since somebody has asked; None if nobody waits."""

    @abstractmethod
    def asked(self, now: int, *, is_behind: bool) -> Sequence[Any]:
        """Who is to be answered now; `is_behind`, while logs have a backlog."""

    @abstractmethod
    def answer(
        self, asked: Sequence[Any], overview: Overview, now: int, *, looked: int, committed: int
    ) -> None:
        """Answer those, with this: everything was read before, in the look that began at `now`, and counted,
        and committed for their sake; `looked` and `committed` are what was `spent` when both began."""


class HasFiles(Output):
    """Opens files by their names."""

    @abstractmethod
    def reopen(self) -> None:
        """Open them anew: SIGHUP came, or the output was made just now."""
