"""`/metrics` for Prometheus, fresh at each scrape, and `/healthz`.

Promises: an answer has everything that was written to the logs before its request came, unless they have a
backlog, for which it waits some seconds; what it tells is in the ledger, if that takes anything; however
often clients ask, what they cost is bounded: requests that come close together share one rendering, the next
answers wait four times as long as the last ones took of CPU time, with their commit, and as long as these
waited for the disk or a processor; and the next look for their sake also for that look. What the service
does anyway is for free, such as the look of each second: so nobody waits long because a look did, or rules
for routes. Nobody is answered before the service is ready, which it is when it has read what the last
process left: until then counters would stand too low.

An answer is made in pieces, and kept until it is read: once, however many read it, and no longer than
`max_answer`. A longer one is none: who asks is told so, by the status 503.
"""

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from http import HTTPStatus

from qps_service.configuration.types import PrometheusConfig
from qps_service.network.http_exchange import TEXT, Exchange
from qps_service.network.http_server import Client, Listener
from qps_service.notices.kinds import Notify
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import Answers, spent
from qps_service.outputs.prometheus.exposition import (
    OPENMETRICS,
    Histograms,
    TooLarge,
    media_type,
    pieces,
    within,
)
from qps_service.text.units import SECOND
from qps_service.values.reports import Overview

METRICS, HEALTH = "/metrics", "/healthz"
# At most a fifth of a core goes into answers, and at most half of the time passes with them: see `spent`.
REST = 4
# A commit, too, is made for each answer. No further text is begun after so long.
APART = SECOND // 4
# Prometheus gives up after 10 s, unless it is told otherwise.
BACKLOG_PATIENCE = 5 * SECOND
# The fastest: it takes 4 ms for 2 MB, and leaves a sixteenth of them. The best would take 20.
GZIP_LEVEL = 1
_GZIP = 16 + zlib.MAX_WBITS  # zlib's word for that format


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
        spent: Callable[[], int] = spent,
    ) -> None:
        """`inherited` are descriptors of sockets that systemd listens on for us; they stay the caller's.
        `clock` tells CLOCK_BOOTTIME nanoseconds, `spent` what an answer costs."""
        self.trouble = Trouble(notify, "scrapes can be answered again")
        self._listener = Listener(config.listen, inherited, (METRICS, HEALTH), self.trouble)
        self._clock, self._spent = clock, spent
        self._max_answer = config.max_answer
        self._histograms = Histograms(config.latency, config.latency_bounds)
        self._next_at = 0  # when the next answers may be given
        self._next_look_at = 0  # when a look may be made for their sake

    def flush(self, now: int) -> None:
        """Take in requests, and go on sending answers."""
        self._listener.work(now)

    def due(self) -> int | None:
        """When somebody has had enough time."""
        return self._listener.due()

    def wanted(self) -> int | None:
        """When those who have asked may be answered."""
        return self._next_look_at if self._listener.asked else None

    def fileno(self) -> int:
        """Readable when a client did something."""
        return self._listener.fileno()

    def is_ready(self) -> bool:
        """Whether one did."""
        return self._listener.is_ready()

    def asked(self, now: int, *, is_behind: bool) -> list[Client]:
        """Who can be answered. Whether all is well can be told in a backlog, too."""
        if now < self._next_at:
            return []
        return [
            client
            for client in self._listener.asked
            if not is_behind or _wish(client) is None or now - client.asked_at >= BACKLOG_PATIENCE
        ]

    def answer(
        self, asked: Sequence[Client], overview: Overview, now: int, *, looked: int, committed: int
    ) -> None:
        """Answer those: one format after the other, for all who want it, packed or not. What takes long is
        left to the next time."""
        was_made_anyway, until = now < self._next_look_at, self._clock() + APART
        wishes: dict[bool | None, list[Client]] = {None: []}
        for client in asked:
            wishes.setdefault(_wish(client), []).append(client)
        try:
            self._answer(wishes.pop(None), overview)
            for number, clients in enumerate(wishes.values()):
                if number and self._clock() >= until:
                    break
                self._answer(clients, overview)
            self.trouble.works()
        finally:
            ended, spent = self._clock(), self._spent()
            self._next_at = ended + max(APART, REST * (spent - committed))
            if was_made_anyway:
                self._next_look_at = max(self._next_at, self._next_look_at + (1 + REST) * (spent - committed))
            else:
                self._next_look_at = max(self._next_at, ended + REST * (spent - looked))

    def _answer(self, asked: Sequence[Client], overview: Overview) -> None:
        """Answer those, who all want the same, but for packing."""
        bodies = _Bodies(overview, self._max_answer, self._histograms)
        try:
            for client in sorted(asked, key=_packs):
                if client.exchange is not None:
                    body = bodies.answer(client.exchange)
                    self._listener.send(client, client.exchange.written, body, self._clock())
        finally:
            # Whoever got none because of a fault would be due at once, and again, for good.
            self._listener.dismiss(asked)

    def close(self, *, wait: bool = True) -> None:
        """Let all connections go."""
        self._listener.close()


class _Bodies:
    """What can be asked for, each made once."""

    def __init__(self, overview: Overview, most: int, histograms: Histograms) -> None:
        """`most` is how many bytes a text may have."""
        self._overview, self._histograms = overview, histograms
        self._most = most
        self._health = cache(lambda: health(overview))
        self._metrics = cache(self._make)
        self._plain: dict[bool, list[bytes] | TooLarge] = {}  # the texts that were made and not packed

    def answer(self, exchange: Exchange) -> Sequence[bytes]:
        """Write the head of the answer; its body."""
        encoding = None
        if exchange.path == HEALTH:
            status, text = self._health()
            body, kind = [text.encode()], TEXT
        else:
            openmetrics, packs = wish_of(exchange)
            made = self._metrics(openmetrics, packs)
            if isinstance(made, TooLarge):
                status, body, kind = HTTPStatus.SERVICE_UNAVAILABLE, [f"{made}\n".encode()], TEXT
            else:
                status, body, kind = HTTPStatus.OK, made, media_type(openmetrics=openmetrics)
                encoding = "gzip" if packs else None
        exchange.answer(status, kind, sum(map(len, body)), encoding)
        return body if exchange.command == "GET" else ()

    def _make(self, openmetrics: bool, packs: bool) -> list[bytes] | TooLarge:
        """Packed from the text that others got, if there is one: to make that takes far longer."""
        made = self._plain.get(openmetrics)
        if made is None:
            text = within(
                self._most, pieces(self._overview, openmetrics=openmetrics, histograms=self._histograms)
            )
            try:
                made = list(_packed(text) if packs else text)
            except TooLarge as error:
                made = error
            if not packs:
                self._plain[openmetrics] = made
        elif packs and not isinstance(made, TooLarge):
            made = list(_packed(made))
        return made


def _packed(text: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(GZIP_LEVEL, wbits=_GZIP)
    for piece in text:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def health(overview: Overview) -> tuple[HTTPStatus, str]:
    """Whether every log is followed and the ledger takes commits; if not, a line for each reason."""
    reasons = [log.waiting for log in overview.logs if log.waiting]
    if not overview.is_written:
        reasons.append("the ledger takes nothing; counts are kept in memory")
    if reasons:
        return HTTPStatus.SERVICE_UNAVAILABLE, "".join(f"{reason}\n" for reason in reasons)
    return HTTPStatus.OK, "ok\n"


def wish_of(exchange: Exchange) -> tuple[bool, bool]:
    """How metrics are wanted: in OpenMetrics, and packed."""
    return exchange.accepts("Accept", OPENMETRICS), exchange.accepts("Accept-Encoding", "gzip")


def _wish(client: Client) -> bool | None:
    """Whether OpenMetrics are wanted; None for who wants no metrics."""
    wants = client.exchange is not None and client.exchange.path == METRICS
    return wish_of(client.exchange)[0] if wants and client.exchange else None


def _packs(client: Client) -> bool:
    return client.exchange is not None and wish_of(client.exchange)[1]
