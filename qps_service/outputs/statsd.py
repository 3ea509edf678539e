"""Metrics for StatsD: in its lines (https://github.com/statsd/statsd/blob/master/docs/metric_types.md), or
with tags (https://docs.datadoghq.com/extend/dogstatsd/datagram_shell).

Promise: the counters' sum is the sum of the reports, each window's requests once; a route that has no
requests any longer has the rate 0; nothing that a log says can add a line or a field. Names and tags are
made by qps_service.outputs.metric_names.

    qps.access.GET._help.200.requests:32|c              requests in the window
    qps.access.GET._help.200.bytes:16384|c              sum of their sizes
    qps.access.GET._help.200.rate:3.2|g                 requests per second
    qps.access.requests:136|c                           the log's: requests, bytes, rate, and
    qps.access.rejected:0|c                             lines that were no requests
    qps.access.p95_seconds:0.25|g                       how long they took, if it tells that; p50, p99, too

With tags, where the receiver sums up itself:

    qps.requests:32|c|#log:access,method:GET,route:/help,status:200        and bytes and rate
    qps.rejected:0|c|#log:access                                           and the quantiles
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from qps_service.configuration.types import StatsdConfig
from qps_service.network.udp import Datagrams
from qps_service.notices.kinds import Notify
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import GoesOn, TakesReports
from qps_service.outputs.metric_names import Alphabet, path_of_key, path_of_log
from qps_service.outputs.vanished import Vanished
from qps_service.reporting.report import TOLD_QUANTILES, quantiles
from qps_service.text.endpoint import endpoint
from qps_service.values.counts import Counted, Key
from qps_service.values.reports import Overview, Report

_WORD = Alphabet("A-Za-z0-9_-", 64, flat=False)
# 200 characters may a tag have, with its key (https://docs.datadoghq.com/getting_started/tagging/).
_ROUTE = Alphabet("A-Za-z0-9_./-", 190, flat=False)


class Renderer:
    """A window's reports -> lines. It remembers what it told, so that gauges end at 0."""

    def __init__(self, prefix: str, *, tags: bool) -> None:
        self._prefix = prefix
        self._tags = tags
        self._fading: Vanished[tuple[str, Key]] | None = None

    def lines(self, reports: Sequence[Report], overview: Overview) -> Iterator[str]:
        """The lines for these, made one by one as they are taken."""
        if self._fading is None:
            self._fading = Vanished()
            self._fading.remember((log.log, key) for log in overview.logs for key in log.counts)
        awaited = {log.log for log in overview.logs} - {report.log for report in reports}
        vanished = self._fading.vanished(
            ((report.log, Key(*row[:3])) for report in reports for row in report.rows),
            is_awaited=lambda key: key[0] in awaited,
        )
        timed = {log.log for log in overview.logs if log.latencies}
        told = chain.from_iterable(self._report(report, is_timed=report.log in timed) for report in reports)
        return chain(told, (self._line(*self._of_key(log, key), "rate", "0|g") for log, key in vanished))

    def _report(self, report: Report, *, is_timed: bool = False) -> Iterator[str]:
        """`is_timed`: the log tells durations, so that a window without any has gauges that are 0."""
        log = self._of_log(report.log)
        size = sum(row.bytes for row in report.rows)
        if not self._tags:
            yield from self._values(log, report.requests, size, report.rate)
        yield self._line(*log, "rejected", f"{report.rejected}|c")
        times = quantiles(report) or dict.fromkeys(TOLD_QUANTILES if is_timed else (), 0)
        for part, seconds in times.items():
            yield self._line(*log, f"p{part // 10}_seconds", f"{seconds!r}|g")
        for row in report.rows:
            yield from self._values(self._of_key(report.log, row), row.requests, row.bytes, row.rate)

    def _values(self, name: tuple[str, str], requests: int, size: int, rate: float) -> Iterator[str]:
        yield self._line(*name, "requests", f"{requests}|c")
        yield self._line(*name, "bytes", f"{size}|c")
        # A sign in front would make it a change of the gauge: a rate has none.
        yield self._line(*name, "rate", f"{rate!r}|g")

    def _line(self, path: str, tags: str, what: str, value: str) -> str:
        return f"{path}.{what}:{value}{tags}"

    def _of_log(self, log: str) -> tuple[str, str]:
        """What a line of the log's begins and ends with."""
        if self._tags:
            return self._prefix, f"|#log:{_WORD.spell(log.encode())}"
        return path_of_log(self._prefix, log), ""

    def _of_key(self, log: str, key: Counted) -> tuple[str, str]:
        path, tags = self._of_log(log)
        if self._tags:
            route, method = _ROUTE.spell(key.route), _WORD.spell(key.method)
            return path, f"{tags},method:{method},route:{route},status:{key.status:03d}"
        return path_of_key(path, key), ""


def pack(lines: Iterable[str], limit: int) -> Iterator[bytes]:
    """Datagrams of whole lines, as many as fit into `limit` bytes; a line that does not, alone."""
    packed: list[str] = []
    size = 0
    for line in lines:
        if packed and size + len(line) > limit:
            yield "\n".join(packed).encode("ascii")
            packed, size = [], 0
        packed.append(line)
        size += len(line) + 1
    if packed:
        yield "\n".join(packed).encode("ascii")


class StatsdOutput(TakesReports, GoesOn):
    """Sends each window's metrics."""

    name = "statsd"

    def __init__(self, config: StatsdConfig, notify: Notify) -> None:
        where = endpoint(config.host, config.port)
        self.trouble = Trouble(notify, f"sending to StatsD at {where} works again")
        self._datagrams = Datagrams(config.host, config.port, self.trouble)
        self._renderer = Renderer(config.prefix, tags=config.tags)
        self._limit = config.datagram

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        """Begin to send them."""
        self._datagrams.send(pack(self._renderer.lines(reports, overview), self._limit))
        self._datagrams.flush(now)

    def flush(self, now: int) -> None:
        """Send what waits, as far as its pace allows."""
        self._datagrams.flush(now)

    def due(self) -> int | None:
        """When more may be sent."""
        return self._datagrams.due()

    def close(self, *, wait: bool = True) -> None:
        """Send the rest, as far as its pace allows."""
        self._datagrams.close(wait=wait)
