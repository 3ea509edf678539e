"""Scrapes and probes: what they are told, when, and at what cost; real sockets, in the tests' own time."""

import gzip
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

import pytest
from prometheus_client import parser

from qps_service.network.http_server import Client
from qps_service.notices.kinds import OUTPUT_FAILED, OUTPUT_RESUMED
from qps_service.outputs.prometheus import output
from qps_service.outputs.prometheus.exposition import render
from qps_service.outputs.prometheus.output import PrometheusOutput, health
from qps_service.values.counts import Counts, Key
from qps_service.values.reports import Overview
from tests.limits import Doubled
from tests.promised import Promise, promises
from tests.unit.handed_over import OVERVIEW, STANDING, overview, standing
from tests.unit.scraping import PROBE, SCRAPE, SECOND, Endpoint, Make, parse

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

    def slow(overview: Overview, *, openmetrics: bool) -> tuple[bytes, str]:
        rendered.append(endpoint.now)
        endpoint.now += 2 * SECOND
        return render(overview, openmetrics=openmetrics)

    monkeypatch.setattr(output, "render", slow)
    began = endpoint.now
    while endpoint.now < began + 100 * SECOND:
        clients = [endpoint.ask() for _ in range(3)]
        while not endpoint.look(seconds=0.1):
            due = endpoint.output.due()
            assert due is not None
            assert due > endpoint.now
        bodies = {parse(endpoint.receive(client))[1] for client in clients}
        assert len(bodies) == 1
    assert 8 <= len(rendered) <= 11
    endpoint.look(seconds=10)
    endpoint.ask()
    assert endpoint.look()


class AtOnce(PrometheusOutput):  # renders whenever somebody asks
    def answer(self, asked: Sequence[Client], overview: Overview, now: int) -> None:
        super().answer(asked, overview, now)
        self._next_at = 0


class OneByOne(PrometheusOutput):  # renders for each
    def answer(self, asked: Sequence[Client], overview: Overview, now: int) -> None:
        for each in asked:
            super().answer([each], overview, now)


def cheap_answers_are_a_quarter_of_a_second_apart(make: Callable[..., Endpoint]) -> None:
    endpoint = make()
    endpoint.ask(PROBE)
    assert endpoint.look()
    endpoint.ask(SCRAPE)
    assert not endpoint.look(seconds=0.2)
    assert endpoint.output.due() == endpoint.now + SECOND // 20
    assert endpoint.look(seconds=0.05)
    assert endpoint.output.due() is None


test_promise, test_twin = promises(
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
        faulty.setattr(output, "render", broken)
        with pytest.raises(OverflowError):
            endpoint.look()
    assert endpoint.output.due() is None
    assert not endpoint.look(seconds=1)
    assert endpoint.receive(client) == b""
    assert endpoint.connections == 0


def test_an_answer_ends_the_trouble(endpoint: Endpoint) -> None:
    endpoint.output.trouble.failed("a fault")
    endpoint.ask()
    endpoint.look()
    assert [notice.kind for notice in endpoint.said] == [OUTPUT_FAILED, OUTPUT_RESUMED]
