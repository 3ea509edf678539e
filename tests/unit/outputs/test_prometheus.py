"""Scrapes and probes: what they are told, when, and at what cost; real sockets, in the tests' own time."""

import gzip
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import parser

from qps_service.configuration.loader import Flags, load
from qps_service.configuration.types import PrometheusConfig
from qps_service.network.http_server import ASKED, Client, Listener
from qps_service.notices.kinds import OUTPUT_FAILED, OUTPUT_RESUMED
from qps_service.outputs.prometheus import output
from qps_service.outputs.prometheus.exposition import TooLarge, pieces, within
from qps_service.outputs.prometheus.output import PrometheusOutput, health
from qps_service.text.units import format_size
from qps_service.values.counts import Counts, Key
from qps_service.values.reports import Overview
from tests.limits import Doubled
from tests.promised import Promise, answers, promises
from tests.unit.handed_over import OVERVIEW, STANDING, overview, standing
from tests.unit.scraping import PROBE, SCRAPE, SECOND, Endpoint, Make, parse, render

Patch = pytest.MonkeyPatch


def counted(requests: int) -> Overview:
    return overview(standing({Key(b"GET", b"/", 200): Counts(requests, 0)}))


def requests_in(text: bytes) -> float:
    families = parser.text_string_to_metric_families(text.decode())
    [family] = [family for family in families if family.name == "qps_reporter_http_requests"]
    return family.samples[0].value


@pytest.fixture
def make() -> Iterator[Callable[..., Endpoint]]:
    endpoints: list[Endpoint] = []

    def build(twin: Make = PrometheusOutput) -> Endpoint:
        endpoints.append(Endpoint(twin))
        return endpoints[-1]

    yield build
    for endpoint in endpoints:
        endpoint.close()


@pytest.fixture
def endpoint(make: Callable[..., Endpoint]) -> Endpoint:
    return make()


# --- what is told


def test_a_scrape_is_answered_with_what_is_then(endpoint: Endpoint) -> None:
    client = endpoint.ask()
    assert endpoint.look(counted(7))
    response, body = parse(endpoint.receive(client))
    assert (response.status, response.headers["Content-Type"]) == (200, render(OVERVIEW)[1])
    assert body == render(counted(7))[0]
    assert requests_in(body) == 7
    assert endpoint.connections == 0


ACCEPT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        (ACCEPT, True),
        ("text/plain;version=0.0.4", False),
        ("application/openmetrics-text;version=x", True),
        ("application/openmetrics-text; escaping=allow-utf-8; version=2.0.0", True),
        ("", False),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_the_format_is_the_one_asked_for(
    endpoint: Endpoint, accept: str, openmetrics: bool, packed: bool
) -> None:
    encoding = "gzip" if packed else "identity"
    head = f"GET /metrics HTTP/1.1\r\nAccept: {accept}\r\nAccept-Encoding: {encoding}\r\n\r\n"
    client = endpoint.ask(head.encode())
    endpoint.look(counted(7))
    response, body = parse(endpoint.receive(client))
    text, media_type = render(counted(7), openmetrics=openmetrics)
    assert response.headers["Content-Type"] == media_type
    assert response.headers["Content-Encoding"] == ("gzip" if packed else None)
    assert (gzip.decompress(body) if packed else body) == text


@pytest.mark.parametrize("path", [b"/metrics", b"/healthz"])
def test_head_is_told_the_same_without_a_body(endpoint: Endpoint, path: bytes) -> None:
    asked = [endpoint.ask(method + b" " + path + b" HTTP/1.1\r\n\r\n") for method in (b"GET", b"HEAD")]
    endpoint.look(counted(7))
    (get, body), (head, nothing) = (
        parse(endpoint.receive(client), method) for client, method in zip(asked, ("GET", "HEAD"), strict=True)
    )
    assert nothing == b""
    assert {**head.headers, "Date": ""} == {**get.headers, "Date": ""}
    assert int(head.headers["Content-Length"]) == len(body) > 0


@pytest.mark.parametrize(
    ("head", "status"), [(b"GET / HTTP/1.1\r\n\r\n", 404), (b"PUT /metrics HTTP/1.1\r\n\r\n", 405)]
)
def test_what_cannot_be_is_refused_at_once(endpoint: Endpoint, head: bytes, status: int) -> None:
    client = endpoint.connect(head)
    response, _ = parse(endpoint.receive(client))
    assert response.status == status
    assert not endpoint.look()


# --- whether all is well


AWAY = "waiting for /var/log/a.log"


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"logs": (STANDING,)}, 200, "ok\n"),
        ({"logs": (STANDING, STANDING._replace(waiting=AWAY))}, 503, f"{AWAY}\n"),
        (
            {"logs": (STANDING._replace(waiting=AWAY),), "is_written": False},
            503,
            f"{AWAY}\nthe ledger takes nothing; counts are kept in memory\n",
        ),
    ],
)
def test_health(endpoint: Endpoint, change: dict[str, Any], status: int, text: str) -> None:
    changed = OVERVIEW._replace(**change)
    assert health(changed) == (HTTPStatus(status), text)
    client = endpoint.ask(PROBE)
    endpoint.look(changed)
    response, body = parse(endpoint.receive(client))
    assert (response.status, body.decode()) == (status, text)


# --- backlogs


def a_backlog_is_waited_for_within_bounds(kind: Make, make: Callable[..., Endpoint]) -> None:
    """A scrape waits for a backlog's end, though not for good; a probe does not."""
    endpoint = make(kind)
    scrape, probe = endpoint.ask(), endpoint.ask(PROBE)
    assert endpoint.look(is_behind=True)
    assert parse(endpoint.receive(probe))[0].status == 200
    assert not endpoint.look(is_behind=True, seconds=4)
    assert endpoint.look(counted(3), is_behind=True, seconds=2)
    assert requests_in(parse(endpoint.receive(scrape))[1]) == 3
    scrape = endpoint.ask()
    assert not endpoint.look(is_behind=True, seconds=1)
    assert endpoint.look(counted(4), is_behind=False)
    assert requests_in(parse(endpoint.receive(scrape))[1]) == 4


class NeverWaits(PrometheusOutput):
    def asked(self, now: int, *, is_behind: bool) -> list[Client]:
        return super().asked(now, is_behind=False)


class WaitsForGood(PrometheusOutput):
    def asked(self, now: int, *, is_behind: bool) -> list[Client]:
        return [] if is_behind else super().asked(now, is_behind=False)


# --- what it costs


def what_scrapes_cost_is_bounded(kind: Make, make: Callable[..., Endpoint], monkeypatch: Patch) -> None:
    """Clients who ask all the time share renderings, which take a fifth of the time at most."""
    endpoint, rendered = make(kind), []
    made = making_each(endpoint, 2)

    def slow(overview: Overview, **form: Any) -> Iterator[bytes]:
        rendered.append(endpoint.now)
        return made(overview, **form)

    monkeypatch.setattr(output, "pieces", slow)
    began = endpoint.now
    while endpoint.now < began + 100 * SECOND:
        clients = [endpoint.ask() for _ in range(3)]
        while not endpoint.look(seconds=0.1):
            due = endpoint.output.wanted()
            assert due is not None
            assert due > endpoint.now
        bodies = {parse(endpoint.receive(client))[1] for client in clients}
        assert len(bodies) == 1
    assert 8 <= len(rendered) <= 11
    endpoint.look(seconds=10)
    endpoint.ask()
    assert endpoint.look()


class AtOnce(PrometheusOutput):  # renders whenever somebody asks
    def answer(self, asked: Sequence[Client], overview: Overview, now: int, **spent: int) -> None:
        super().answer(asked, overview, now, **spent)
        self._next_at = 0


class OneByOne(PrometheusOutput):  # renders for each
    def answer(self, asked: Sequence[Client], overview: Overview, now: int, **spent: int) -> None:
        for each in asked:
            super().answer([each], overview, now, **spent)


def a_look_for_their_sake_counts_as_well(kind: Make, make: Callable[..., Endpoint]) -> None:
    """The next one comes four times as long after the last answer as the look for it took. Who asks meanwhile
    is answered at a look that is made anyway; this pays nothing back, and its answers count as well."""
    endpoint = make(kind)
    clients, began = [endpoint.ask()], endpoint.now
    assert endpoint.look_for(1)
    due = began + 5 * SECOND
    assert endpoint.output.wanted() is None
    for took in (0, 0.25):
        clients.append(endpoint.ask())
        assert endpoint.output.wanted() == due
        endpoint.now += SECOND
        assert endpoint.look_for(0.5, answers=took)
    clients.append(endpoint.ask())
    assert endpoint.output.wanted() == due + 5 * SECOND // 4
    assert not endpoint.look(seconds=0.9)
    assert endpoint.look(seconds=0.1)
    assert {parse(endpoint.receive(client))[0].status for client in clients} == {200}


def what_waits_is_no_work(kind: Make, make: Callable[..., Endpoint]) -> None:
    """A commit that waits for the disk, or for a processor on a busy machine, is followed by a pause as long
    as that, not four times as long: who asks has to be answered within 10 s there, too."""
    for waits, rest in ((0, 8), (1, 5), (2, 2)):
        endpoint = make(kind)
        endpoint.ask()
        assert endpoint.look_for(0, answers=2, waits=waits)
        due = endpoint.now + rest * SECOND
        endpoint.ask()
        assert endpoint.output.wanted() == due


class PaysForWaiting(PrometheusOutput):
    def answer(self, asked: Sequence[Client], overview: Overview, now: int, **spent: int) -> None:
        self._spent = self._clock
        super().answer(asked, overview, now, **spent)


class CountsRenderings(PrometheusOutput):  # a look is for free
    def answer(self, asked: Sequence[Client], overview: Overview, now: int, **spent: int) -> None:
        super().answer(asked, overview, now, looked=spent["committed"], committed=spent["committed"])


class PaysBack(PrometheusOutput):  # the answers at a look that is made anyway
    def answer(self, asked: Sequence[Client], overview: Overview, now: int, **spent: int) -> None:
        was_made_anyway = now < self._next_look_at
        super().answer(asked, overview, now, **spent)
        if was_made_anyway:
            self._next_look_at = self._next_at


def nobody_waits_longer_than_for_a_look(kind: Make, make: Callable[..., Endpoint]) -> None:
    """However many ask, in whatever form, and though a look takes most of a second: no longer than until
    the next one that the service makes anyway, a second after the last, is done."""
    endpoint = make(kind)
    waits, looked = [], endpoint.now
    for number in range(40):
        asked_at, clients = (
            endpoint.now,
            [endpoint.ask(FORMS[each % 3]) for each in range(number, number + 3)],
        )
        while endpoint.asked:
            due = endpoint.output.wanted()
            assert due is not None
            endpoint.now = max(endpoint.now, min(due, looked + SECOND))
            endpoint.look_for(0.9, answers=0.01)
            looked = endpoint.now
        waits.append(endpoint.now - asked_at)
        assert {parse(endpoint.receive(client))[0].status for client in clients} == {200}
        endpoint.now += SECOND // 10
    assert max(waits) < 2 * SECOND


class WaitsForTheLook(PrometheusOutput):  # as long as for one that is made for who asks
    def asked(self, now: int, *, is_behind: bool) -> list[Client]:
        return super().asked(now, is_behind=is_behind) if now >= self._next_look_at else []


FORMS = [
    b"GET /metrics HTTP/1.1\r\n%b\r\n" % head
    for head in (b"", b"Accept-Encoding: gzip\r\n", b"Accept: application/openmetrics-text\r\n")
]


def making_each(endpoint: Endpoint, seconds: float) -> Callable[..., Iterator[bytes]]:
    """A text that takes so long."""

    def slow(overview: Overview, *, openmetrics: bool, **_: object) -> Iterator[bytes]:
        endpoint.now += round(seconds * SECOND)
        return pieces(overview, openmetrics=openmetrics)

    return slow


def texts_are_made_for_a_while(kind: Make, make: Callable[..., Endpoint], monkeypatch: Patch) -> None:
    """Clients who want it in both formats have it one after the other, both at once if that is quick; each is
    made once, and packed from that; a probe is answered with any."""
    for seconds, lefts in ((0.24, [0]), (0.25, [1, 0])):
        endpoint = make(kind)
        monkeypatch.setattr(output, "pieces", making_each(endpoint, seconds))
        clients = [endpoint.ask(form) for form in (*FORMS[1::-1], *FORMS, PROBE)]
        for left in lefts:
            assert endpoint.look(counted(1), seconds=60)
            assert len(endpoint.asked) == left
        assert {parse(endpoint.receive(client))[0].status for client in clients} == {200}


class MakesOne(PrometheusOutput):
    def asked(self, now: int, *, is_behind: bool) -> list[Client]:
        asked = super().asked(now, is_behind=is_behind)
        return [each for each in asked if output._wish(each) in (None, output._wish(asked[0]))]


def who_is_gone_comes_last(kind: Make, make: Callable[..., Endpoint], monkeypatch: Patch) -> None:
    """A text for those who hung up is not made while somebody waits for another."""
    endpoint = make(kind)
    monkeypatch.setattr(output, "pieces", making_each(endpoint, 1))
    gone = endpoint.ask(FORMS[2])
    gone.close()
    endpoint.take_in(lambda: not endpoint.output.is_ready())
    client = endpoint.ask()
    assert endpoint.look(seconds=60)
    assert client.recv(1)


class OldestFirst(Listener):
    @property
    def asked(self) -> list[Client]:
        return [client for client in self._clients.values() if client.state == ASKED]


class InTurn(PrometheusOutput):
    def asked(self, now: int, *, is_behind: bool) -> list[Client]:
        self._listener.__class__ = OldestFirst
        return super().asked(now, is_behind=is_behind)


def a_large_answer_is_none(kind: Make, make: Callable[..., Endpoint]) -> None:
    """Beyond max_answer a scrape gets 503 and a reason, packed or not; a probe is told that all is well."""
    keys = [Key(b"GET", b"/%03d" % number, 200) for number in range(400)]
    large = overview(standing(dict.fromkeys(keys, Counts(1, 2))))
    size = len(render(large)[0])
    for most, status in ((size, 200), (size - 1, 503), (1000, 503)):
        endpoint = make(kind)
        endpoint.output._max_answer = most
        for packs in (False, True):
            head = b"Accept-Encoding: gzip\r\n" if packs else b""
            scrape, again = (endpoint.ask(b"GET /metrics HTTP/1.1\r\n%b\r\n" % head) for _ in range(2))
            probe, made = endpoint.ask(PROBE), list[Overview]()

            def counted(
                overview: Overview, *, openmetrics: bool, made: list[Overview] = made, **_: object
            ) -> Iterator[bytes]:
                made.append(overview)
                return pieces(overview, openmetrics=openmetrics)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(output, "pieces", counted)
                assert endpoint.look(large, seconds=60)
            assert made == [large]
            assert parse(endpoint.receive(again))[0].status == status
            response, body = parse(endpoint.receive(scrape))
            assert response.status == status
            if status == 503:
                said = f"the metrics are more than max_answer = {format_size(most)}\n"
                assert (body.decode(), response.headers["Content-Encoding"]) == (said, None)
            assert parse(endpoint.receive(probe))[0].status == 200


def a_default_answer_has_a_size(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[log.a]\npath = '/a'\n[output.prometheus]\n")
    [config] = load(Flags(config=str(tmp_path / "a.toml")), {}).outputs
    assert isinstance(config, PrometheusConfig)
    assert list(within(config.max_answer, [bytes(1 << 20)] * 32))
    with pytest.raises(TooLarge):
        list(within(config.max_answer, [b"x", *[bytes(1 << 20)] * 32]))


class Doubles(PrometheusOutput):
    def answer(self, asked: Sequence[Client], overview: Overview, now: int, **spent: int) -> None:
        self._max_answer *= 2
        super().answer(asked, overview, now, **spent)
        self._max_answer //= 2


def cheap_answers_are_a_quarter_of_a_second_apart(make: Callable[..., Endpoint]) -> None:
    endpoint = make()
    endpoint.ask(PROBE)
    assert endpoint.look()
    due = endpoint.now + SECOND // 4
    endpoint.ask(SCRAPE)
    assert not endpoint.look(seconds=0.2)
    assert endpoint.output.wanted() == due
    assert endpoint.look(seconds=0.05)
    assert endpoint.output.wanted() is None


test_promise, test_twin = promises(
    Promise(a_look_for_their_sake_counts_as_well, PrometheusOutput, [CountsRenderings, PaysBack]),
    Promise(what_waits_is_no_work, PrometheusOutput, [PaysForWaiting]),
    Promise(nobody_waits_longer_than_for_a_look, PrometheusOutput, [WaitsForTheLook]),
    Promise(
        texts_are_made_for_a_while,
        PrometheusOutput,
        {
            "makes one": MakesOne,
            "packs apart": answers(output, "_packs", False),
            "twice as long": Doubled("outputs.prometheus.output:APART"),
        },
    ),
    Promise(who_is_gone_comes_last, PrometheusOutput, [InTurn], caught=(BlockingIOError,)),
    Promise(a_large_answer_is_none, PrometheusOutput, [Doubles]),
    Promise(a_default_answer_has_a_size, None, [Doubled("prometheus.max_answer")]),
    Promise(
        a_backlog_is_waited_for_within_bounds,
        PrometheusOutput,
        [NeverWaits, WaitsForGood, Doubled("outputs.prometheus.output:BACKLOG_PATIENCE")],
    ),
    Promise(
        what_scrapes_cost_is_bounded,
        PrometheusOutput,
        # Two fifths of the time are left for answers where the rest is one and a half times as long as they.
        [AtOnce, OneByOne, Doubled("outputs.prometheus.output:REST", to=1.5)],
    ),
    Promise(
        cheap_answers_are_a_quarter_of_a_second_apart, None, [Doubled("outputs.prometheus.output:APART")]
    ),
)


def test_who_cannot_be_answered_is_not_due_for_good(endpoint: Endpoint, monkeypatch: Patch) -> None:
    """The loop would look again at once, and commit each time."""

    def broken(*_: object, **__: object) -> None:
        raise OverflowError

    client = endpoint.ask()
    with monkeypatch.context() as faulty:
        faulty.setattr(output, "pieces", broken)
        with pytest.raises(OverflowError):
            endpoint.look()
    assert endpoint.output.wanted() is None
    assert not endpoint.look(seconds=1)
    assert endpoint.receive(client) == b""
    assert endpoint.connections == 0


def test_an_answer_ends_the_trouble(endpoint: Endpoint) -> None:
    endpoint.output.trouble.failed("a fault")
    endpoint.ask()
    endpoint.look()
    assert [notice.kind for notice in endpoint.said] == [OUTPUT_FAILED, OUTPUT_RESUMED]
