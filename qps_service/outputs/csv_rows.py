"""Reports as CSV on stdout (RFC 4180): a line for each method, route and status of a window, with its time
and its log. The columns come first, once. Routes are escaped as in the text.
"""

import time
from collections.abc import Iterator

from qps_service.reporting.documents import as_csv
from qps_service.text.escape import show
from qps_service.values.reports import Report

COLUMNS = ("time", "log", "sequence", "seconds", "method", "route", "status", "requests", "bytes", "rate")


class CsvRows:
    """Renders one report after the other."""

    def __init__(self) -> None:
        self._has_begun = False

    def __call__(self, report: Report) -> Iterator[str]:
        """Its lines; none for a window without requests."""
        if not self._has_begun:
            self._has_begun = True
            yield as_csv(COLUMNS, [])
        about = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(report.at)),
            "log": report.log,
            "sequence": report.sequence,
            "seconds": report.seconds,
        }
        for row in report.rows:
            key = {"method": show(row.method), "route": show(row.route), "status": f"{row.status:03d}"}
            yield as_csv(COLUMNS, [row._asdict() | about | key], has_head=False)
