"""Metrics for Graphite, in carbon's plaintext lines (https://graphite.readthedocs.io/en/stable/feeding-carbon.html):
path, value, Unix seconds of the report.

Promise: the counters are the ledger's totals, which never go backwards; what is known has a value in every
report, so that a graph has no gaps, and a route without requests has the rate 0; nothing that a log says
can add a line, a field or a level. Paths are made by qps_service.outputs.metric_names.

    qps.access.GET._help.200.requests 4711 1473414194       requests in total
    qps.access.GET._help.200.bytes 2412032 1473414194       sum of their sizes
    qps.access.GET._help.200.rate 3.2 1473414194            requests per second
    qps.access.requests 20017 1473414194                    the log's: requests, bytes, rate, and
    qps.access.rejected 0 1473414194                        lines that were no requests, in total
    qps.access.p95_seconds 0.25 1473414194                  how long they took; p50 and p99, too; not in
                                                            a window in which none was measured
"""

from collections.abc import Iterator, Sequence

from qps_service.configuration.types import GraphiteConfig
from qps_service.network.tcp import Stream
from qps_service.notices.kinds import Notify
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import GoesOn, TakesReports
from qps_service.outputs.metric_names import path_of_key, path_of_log
from qps_service.reporting.report import quantiles
from qps_service.text.endpoint import endpoint
from qps_service.values.reports import Overview, Report, Standing


def render(reports: Sequence[Report], overview: Overview, prefix: str) -> Iterator[bytes]:
    """The lines of a window; logs without a report have none."""
    by_log = {report.log: report for report in reports}
    for standing in overview.logs:
        if report := by_log.get(standing.log):
            yield from _render(report, standing, prefix)


def _render(report: Report, standing: Standing, prefix: str) -> Iterator[bytes]:
    log = path_of_log(prefix, report.log)
    rates = {row[:3]: row.rate for row in report.rows}
    requests = size = 0
    for key, counts in standing.counts.items():
        requests += counts.requests
        size += counts.bytes
        yield _lines(path_of_key(log, key), counts.requests, counts.bytes, rates.get(key, 0.0), report.at)
    yield _lines(log, requests, size, report.rate, report.at)
    for part, seconds in quantiles(report).items():
        yield f"{log}.p{part // 10}_seconds {seconds!r} {report.at}\n".encode("ascii")
    yield f"{log}.rejected {sum(standing.rejects.values())} {report.at}\n".encode("ascii")


def _lines(path: str, requests: int, size: int, rate: float, at: int) -> bytes:
    text = f"{path}.requests {requests} {at}\n{path}.bytes {size} {at}\n{path}.rate {rate!r} {at}\n"
    return text.encode("ascii")


class GraphiteOutput(TakesReports, GoesOn):
    """Sends each window's metrics."""

    name = "graphite"

    def __init__(self, config: GraphiteConfig, notify: Notify) -> None:
        where = endpoint(config.host, config.port)
        self.trouble = Trouble(notify, f"Graphite at {where} takes metrics again")
        self._prefix = config.prefix
        self._stream = Stream(config.host, config.port, self.trouble)

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        """Send them, or keep them until they are taken."""
        self._stream.send(render(reports, overview, self._prefix))
        self._stream.flush(now)

    def flush(self, now: int) -> None:
        """Send what waits, as far as it is taken."""
        self._stream.flush(now)

    def due(self) -> int | None:
        """When more may be taken."""
        return self._stream.due()

    def close(self, *, wait: bool = True) -> None:
        """Send the rest, as far as it is taken."""
        self._stream.close(wait=wait)
