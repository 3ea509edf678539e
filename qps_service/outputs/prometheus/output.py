"""`/metrics` for Prometheus, fresh at each scrape, and `/healthz`.

Promises: an answer has everything that was written to the logs before its request came, unless they have a
backlog, for which it waits some seconds; what it tells is in the ledger, if that takes anything; however
often clients ask, what they cost is bounded: requests that come close together share one rendering, and the
next one waits four times as long as the last one took. Nobody is answered before the service is ready, which
it is when it has read what the last process left: until then counters would stand too low.
"""

import gzip
import time
from collections.abc import Callable, Sequence
from functools import cache
from http import HTTPStatus

from qps_service.configuration.types import PrometheusConfig
from qps_service.network.http_exchange import TEXT, Exchange
from qps_service.network.http_server import Client, Listener
from qps_service.notices.kinds import Notify
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import Answers
from qps_service.outputs.prometheus.exposition import OPENMETRICS, render
from qps_service.text.units import SECOND
from qps_service.values.reports import Overview

METRICS, HEALTH = "/metrics", "/healthz"
# At most a fifth of the time goes into answers.
REST = 4
# A commit, too, is made for each answer.
APART = SECOND // 4
# Prometheus gives up after 10 s, unless it is told otherwise.
BACKLOG_PATIENCE = 5 * SECOND
# The fastest: it takes 4 ms for 2 MB, and leaves a sixteenth of them. The best would take 20.
GZIP_LEVEL = 1


def _boottime() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class PrometheusOutput(Answers):
    """Answers scrapes; reports it does not need."""

    name = "prometheus"

    def __init__(
        self,
        config: PrometheusConfig,
        notify: Notify,
        inherited: Sequence[int] = (),
        clock: Callable[[], int] = _boottime,
    ) -> None:
        """`inherited` are descriptors of sockets that systemd listens on for us; they stay the caller's.
        `clock` tells CLOCK_BOOTTIME nanoseconds: how long an answer takes."""
        self.trouble = Trouble(notify, "scrapes can be answered again")
        self._listener = Listener(config.listen, inherited, (METRICS, HEALTH), self.trouble)
        self._clock = clock
        self._next_at = 0  # when the next answers may be given

    def flush(self, now: int) -> None:
        """Take in requests, and go on sending answers."""
        self._listener.work(now)

    def due(self) -> int | None:
        """When somebody is to be answered, or has had enough time."""
        dues = (self._next_at if self._listener.asked else None, self._listener.due())
        return min((due for due in dues if due is not None), default=None)

    def fileno(self) -> int:
        """Readable when a client did something."""
        return self._listener.fileno()

    def is_ready(self) -> bool:
        """Whether one did."""
        return self._listener.is_ready()

    def asked(self, now: int, *, is_behind: bool) -> list[Client]:
        """Who can be answered. Whether all is well can be told in a backlog, too."""
        return [
            client
            for client in self._listener.asked
            if now >= self._next_at
            and (not is_behind or _path(client) == HEALTH or now - client.asked_at >= BACKLOG_PATIENCE)
        ]

    def answer(self, asked: Sequence[Client], overview: Overview, now: int) -> None:
        """Answer those, all from one rendering."""
        begun = self._clock()
        bodies = _Bodies(overview)
        try:
            for client in asked:
                if client.exchange is not None:
                    body = bodies.answer(client.exchange)
                    self._listener.send(client, client.exchange.written, body, now)
            self.trouble.works()
        finally:
            # Whoever got none because of a fault would be due at once, and again, for good.
            self._listener.dismiss(asked)
            ended = self._clock()
            self._next_at = ended + max(APART, REST * (ended - begun))

    def close(self, *, wait: bool = True) -> None:
        """Let all connections go."""
        self._listener.close()


class _Bodies:
    """What can be asked for, each made once."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self._health = cache(lambda: health(overview))
        self._metrics = cache(lambda openmetrics: render(overview, openmetrics=openmetrics))
        self._packed = cache(lambda openmetrics: gzip.compress(self._metrics(openmetrics)[0], GZIP_LEVEL))

    def answer(self, exchange: Exchange) -> bytes:
        """Write the head of the answer; its body."""
        if exchange.path == HEALTH:
            status, text = self._health()
            body = text.encode()
            exchange.answer(status, TEXT, len(body))
        else:
            openmetrics = exchange.accepts("Accept", OPENMETRICS)
            packs = exchange.accepts("Accept-Encoding", "gzip")
            body, media_type = self._metrics(openmetrics)
            body = self._packed(openmetrics) if packs else body
            exchange.answer(HTTPStatus.OK, media_type, len(body), "gzip" if packs else None)
        return body if exchange.command == "GET" else b""


def health(overview: Overview) -> tuple[HTTPStatus, str]:
    """Whether every log is followed and the ledger takes commits; if not, a line for each reason."""
    reasons = [log.waiting for log in overview.logs if log.waiting]
    if not overview.is_written:
        reasons.append("the ledger takes nothing; counts are kept in memory")
    if reasons:
        return HTTPStatus.SERVICE_UNAVAILABLE, "".join(f"{reason}\n" for reason in reasons)
    return HTTPStatus.OK, "ok\n"


def _path(client: Client) -> str:
    return client.exchange.path if client.exchange else ""
