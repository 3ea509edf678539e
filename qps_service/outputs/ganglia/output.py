"""Rates and counters to Ganglia's gmond: `[output.ganglia]`.

Each series (series.py) is two metrics of type double in its log's group:

    NAME        requests per second, slope both
    NAME_count  requests since the ledger began, slope positive. gmetad polls every 15 s: a rate that came
                and went between two polls is in this one all the same.

A quantile of durations is one metric, in seconds, slope both.

Promise: gmond can show all that it is sent, whatever the log holds (names.py); it keeps a metric as
long as it comes, and has all of them back within a minute of its own restart. Where to send is said by host
and port, or by a gmond.conf; what is wrong with that is said once, and tried again with each window.
"""

import socket
from collections.abc import Callable, Iterator, Sequence

from qps_service.configuration.types import GangliaConfig
from qps_service.errors import ConfigError
from qps_service.network.udp import BATCH, PAUSE, Datagrams, charge
from qps_service.notices.kinds import Notify
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import GoesOn, HasFiles, TakesReports
from qps_service.outputs.ganglia.gmetric import BOTH, POSITIVE, Metric, Origin, metadata, value
from qps_service.outputs.ganglia.gmond_conf import Channel, read_sending
from qps_service.outputs.ganglia.names import COUNT, safe_host, title_of
from qps_service.outputs.ganglia.series import Announcements, LiveSeries, Series
from qps_service.text.endpoint import endpoint
from qps_service.text.units import SECOND
from qps_service.values.reports import Overview, Report

# In this time all are announced again: gmond hears of each twice within a minute of its restart, for a third
# more packets.
TURN = 30 * SECOND
# A metric has to outlive some lost announcements.
TURNS_IN_DMAX = 3
# How many new series may be announced for each second of the interval: a fifth of the packets that can leave.
NEWS = 400
# A window's packets are spread over this part of the interval, in batches no smaller than that. gmond reads
# far faster, but not while it waits for its turn on a busy machine, or gives its XML to a gmetad (50 ms with
# 1,000 routes): what comes meanwhile must have room.
SHARE = 0.8
LEAST_BATCH = BATCH // 4  # bytes
CHARGE = charge(600)  # bytes; only metadata of long names is larger

Connect = Callable[[Channel, Trouble], Datagrams]


def connect(channel: Channel, trouble: Trouble) -> Datagrams:
    """The way to a gmond."""
    host, port, ttl, interface = channel
    return Datagrams(host, port, trouble, ttl=ttl, interface=interface)


class _Counted(Trouble):
    """One receiver's, whose failures are the output's, too."""

    def __init__(self, output: Trouble, notify: Notify, works: str) -> None:
        super().__init__(notify, works)
        self._output = output

    def failed(self, text: str) -> None:
        self._output.failures += 1
        super().failed(text)


class GangliaOutput(TakesReports, GoesOn, HasFiles):
    """Sends both metrics of each series to every gmond that is to have them."""

    name = "ganglia"

    def __init__(
        self,
        config: GangliaConfig,
        notify: Notify,
        *,
        connect: Connect = connect,
        hostname: Callable[[], str] = socket.gethostname,
    ) -> None:
        # Its own trouble is with gmond.conf alone: whether gmond is reached, each receiver's says.
        self.trouble = Trouble(notify, "gmond.conf says again where metrics go")
        self._config = config
        self._notify = notify
        self._connect = connect
        self._hostname = hostname
        self._origin: Origin | None = None  # where it is another than this host
        self._is_settled = False  # whether the channels are those of the configuration
        self._channels: dict[Channel, tuple[Datagrams, Announcements]] = {}
        self._live = LiveSeries()
        interval = config.interval
        self._tmax = -(-interval // SECOND)
        self._dmax = max(config.dmax, (TURNS_IN_DMAX + 1) * interval) // SECOND
        self._turn = max(1, min(TURN, config.dmax // TURNS_IN_DMAX) // interval)
        self._news = -(-interval * NEWS // SECOND)

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        """Begin to send them."""
        self._live.update(reports, overview.logs)
        if not self._is_settled:
            self._settle()
        origin = self._origin or Origin(safe_host(self._hostname()), spoof=False)
        for datagrams, announcements in self._channels.values():
            if datagrams.take_loss():
                announcements.forget()
            datagrams.send(self._packets(origin, announcements), self._batch(announcements))
        self.flush(now)
        if self._is_settled:
            self.trouble.works()

    def flush(self, now: int) -> None:
        """Send what may go now."""
        for datagrams, _ in self._channels.values():
            datagrams.flush(now)

    def due(self) -> int | None:
        """When more may go."""
        dues = (datagrams.due() for datagrams, _ in self._channels.values())
        return min((due for due in dues if due is not None), default=None)

    def reopen(self) -> None:
        """Read the gmond.conf again with the next window."""
        self._is_settled = False

    def close(self, *, wait: bool = True) -> None:
        """Send the rest, as far as each one's pace allows."""
        for datagrams, _ in self._channels.values():
            datagrams.close(wait=wait)

    def _settle(self) -> None:
        """Find out where to send. As long as a gmond.conf tells nothing, that is where it told before."""
        channels: Sequence[Channel] = (Channel(self._config.host, self._config.port),)
        if self._config.gmond_conf is not None:
            try:
                channels, self._origin = read_sending(self._config.gmond_conf)
            except ConfigError as error:
                self.trouble.failed(error.brief)
                return
        self._is_settled = True
        for channel in self._channels.keys() - set(channels):
            datagrams, _ = self._channels.pop(channel)
            datagrams.close(wait=False)
        for channel in channels:
            if channel not in self._channels:
                self._channels[channel] = self._open(channel)

    def _open(self, channel: Channel) -> tuple[Datagrams, Announcements]:
        works = f"gmond at {endpoint(channel.host, channel.port)} takes metrics again"
        datagrams = self._connect(channel, _Counted(self.trouble, self._notify, works))
        return datagrams, Announcements(self._turn, self._news)

    def _batch(self, announcements: Announcements) -> int:
        """How much is to leave at once for a window to be out in time."""
        packets = 2 * (len(self._live) + announcements.count(len(self._live)))
        batches = SHARE * self._config.interval / PAUSE
        return min(BATCH, max(LEAST_BATCH, int(packets * CHARGE / batches)))

    def _packets(self, origin: Origin, announcements: Announcements) -> Iterator[bytes]:
        for series, is_announced in announcements.window(self._live):
            if series.quantile:
                if is_announced:
                    what = f"time that {series.quantile / 10:g} % of them took at most"
                    yield metadata(origin, self._metric(series.name, "s", BOTH, what, series))
                yield value(origin, series.name, repr(series.rate))
                continue
            rate, count = series.name, series.name + COUNT
            if is_announced:
                yield metadata(origin, self._metric(rate, "req/s", BOTH, "requests per second", series))
                yield metadata(origin, self._metric(count, "requests", POSITIVE, "requests so far", series))
            yield value(origin, rate, repr(series.rate))
            # A COUNTER takes no value with a decimal point: RRDtool would refuse it, and the file stay empty.
            yield value(origin, count, str(series.total))

    def _metric(self, name: str, units: str, slope: int, what: str, series: Series) -> Metric:
        title = title_of(series.route, series.status)
        extra = (("GROUP", series.log), ("DESC", what), ("TITLE", f"{title}, {what}"))
        return Metric(name, units, slope, self._tmax, self._dmax, extra)
