"""Clients who are slow, silent, many or gone, over real sockets: none is waited for, and none costs much."""

import errno
import os
import resource
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from qps_service.configuration.types import PrometheusConfig
from qps_service.network import http_server
from qps_service.network.http_server import (
    ACCEPTED,
    ASKED,
    CLIENTS,
    HEAD,
    IN_FLIGHT,
    QUEUE,
    UNREAD,
    Client,
    Listener,
)
from qps_service.notices.kinds import OUTPUT_FAILED, OUTPUT_RESUMED, Notice
from qps_service.outputs.prometheus import output as prometheus
from qps_service.outputs.prometheus.output import PrometheusOutput
from tests.descriptors import open_files
from tests.limits import Doubled
from tests.promised import Promise, promises, twin
from tests.unit.scraping import PROBE, SCRAPE, SECOND, Endpoint, parse

Build = Callable[..., Endpoint]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """An endpoint with this listener."""
    endpoints: list[Endpoint] = []

    def make(twin: type[Listener] = Listener) -> Endpoint:
        monkeypatch.setattr(prometheus, "Listener", twin)
        endpoints.append(Endpoint())
        return endpoints[-1]

    yield make
    for endpoint in endpoints:
        endpoint.close()


@pytest.fixture
def endpoint(build: Build) -> Endpoint:
    return build()


def is_served(endpoint: Endpoint) -> bool:
    """Whether a proper client is, who comes now."""
    client = endpoint.ask(PROBE)
    endpoint.look(seconds=1)
    return parse(endpoint.receive(client))[0].status == 200


# --- many


def of_many_silent_ones_few_are_kept(listener: type[Listener], build: Build) -> None:
    """Of those who say nothing few are kept, the latest, and a proper client is served."""
    endpoint = build(listener)
    silent = [endpoint.connect() for _ in range(CLIENTS + 150)]
    endpoint.take_in(lambda: not endpoint.output.is_ready())
    assert endpoint.connections == CLIENTS
    assert len(open_files() - endpoint.open_before) <= len(silent) + CLIENTS
    for client in silent[-CLIENTS:]:
        with pytest.raises(BlockingIOError):
            assert client.recv(1)
    assert all(endpoint.receive(client) == b"" for client in silent[:-CLIENTS])
    assert is_served(endpoint)


def few_are_let_in_at_one_look(build: Build) -> None:
    """Each costs time."""
    endpoint = build()
    for _ in range(ACCEPTED + 10):
        endpoint.connect()
    endpoint.output.flush(endpoint.now)
    assert endpoint.connections == ACCEPTED


def few_wait_in_the_kernel() -> None:
    """On a socket of our own: the kernel lets in one more than it is told, and others have no answer."""
    with ExitStack() as opened:
        output, _ = listening(free_address())
        opened.callback(output.close)
        output.flush(0)
        [ours] = output._listener._sockets.values()
        poll = select.poll()
        for _ in range(2 * QUEUE):
            client = opened.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(ours.getsockname())
            poll.register(client, select.POLLOUT)
        assert len(poll.poll(0)) == QUEUE + 1


def test_who_has_asked_is_not_dropped_for_those_who_come(endpoint: Endpoint) -> None:
    clients = [endpoint.connect(SCRAPE) for _ in range(2 * CLIENTS + 10)]
    endpoint.take_in(lambda: len(endpoint.asked) == CLIENTS)
    answers = 0
    while answers < len(clients):
        assert endpoint.look(seconds=1)
        answers += CLIENTS
        endpoint.take_in(lambda: len(endpoint.asked) == CLIENTS or not endpoint.output.is_ready())
    assert {parse(endpoint.receive(client))[0].status for client in clients} == {200}


def who_is_gone_makes_room(listener: type[Listener], build: Build) -> None:
    """Those who asked and closed their end, and are not to be answered yet, keep nobody out."""
    endpoint = build(listener)
    for _ in range(CLIENTS):
        endpoint.ask().close()
    endpoint.take_in(lambda: not endpoint.output.is_ready())
    client = endpoint.connect(SCRAPE)
    endpoint.output.flush(endpoint.now)
    assert endpoint.look(seconds=1)
    assert client.recv(1)


def keep_who_is_gone(listener: Listener, now: int) -> Client | None:
    return next((client for client in listener._clients.values() if client.state != ASKED), None)


def who_came_just_now_has_time_to_ask(listener: type[Listener], build: Build) -> None:
    """A request comes an instant after its connection. However few places those leave who have asked, and
    however many others came since: it is kept until the next turn, in which requests are read first."""
    endpoint = build(listener)
    for _ in range(CLIENTS - 5):
        endpoint.connect(SCRAPE)
    endpoint.take_in(lambda: len(endpoint.asked) == CLIENTS - 5)
    [first, *_] = [endpoint.connect() for _ in range(20)]
    endpoint.turn()
    first.sendall(SCRAPE)
    endpoint.turn()
    assert len(endpoint.asked) == CLIENTS - 4
    assert endpoint.connections == CLIENTS


def drop_who_came_just_now(listener: Listener, now: int) -> Client | None:
    return next((client for client in listener._clients.values() if client.state != ASKED), None)


def test_who_only_ends_its_request_is_answered(endpoint: Endpoint) -> None:
    client = endpoint.ask()
    client.shutdown(socket.SHUT_WR)
    endpoint.take_in(lambda: not endpoint.output.is_ready())
    assert endpoint.look()
    assert parse(endpoint.receive(client))[0].status == 200


# --- slow


def a_request_has_to_come_in_time(listener: type[Listener], build: Build) -> None:
    """A byte every second: gone after ten, and the loop was asked to see to that."""
    endpoint = build(listener)
    client = endpoint.connect(b"G")
    endpoint.take_in(lambda: endpoint.connections == 1)
    due = endpoint.output.due()
    assert due == endpoint.now + 10 * SECOND
    for second in range(10):
        assert endpoint.connections == 1, second
        client.send(b"E")
        endpoint.look(seconds=1)
    assert endpoint.connections == 0
    assert endpoint.output.due() is None


@contextmanager
def large_answers() -> Iterator[None]:
    """Such as no socket holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prometheus, "pieces", lambda *_, **__: [bytes(1_000_000)] * 20)
        patch.setattr(http_server, "IN_FLIGHT", 30_000_000)
        yield


def who_does_not_read_is_dropped_in_time(build: Build) -> None:
    endpoint = build()
    with large_answers():
        endpoint.ask()
        assert endpoint.look()
        sent_at = endpoint.now
        assert is_served(endpoint)
    assert endpoint.output.due() == sent_at + 30 * SECOND
    endpoint.look(seconds=28)
    assert endpoint.connections == 1
    endpoint.look(seconds=1)
    assert endpoint.connections == 0


def two_answers_are_held_if_they_fit(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads neither: of the first the connection is closed where both are too large together."""
    for size, held in ((IN_FLIGHT // 2, 2), (IN_FLIGHT // 2 + 1, 1)):
        endpoint = build()
        monkeypatch.setattr(prometheus, "pieces", lambda *_, size=size, **__: [bytes(size)])
        for _ in range(2):
            endpoint.ask()
            assert endpoint.look(seconds=1)
        assert endpoint.connections == held


def what_is_held_for_slow_readers_is_bounded(listener: type[Listener], build: Build) -> None:
    """Many may read one answer, but not many answers be read."""
    endpoint = build(listener)
    with large_answers():
        first = [endpoint.ask() for _ in range(5)]
        assert endpoint.look()
        assert endpoint.connections == 5
        second = [endpoint.ask() for _ in range(5)]
        assert endpoint.look(seconds=1)
        assert endpoint.connections == 5
        assert all(len(parse(endpoint.receive(client))[1]) == 20_000_000 for client in second)
        assert all(len(endpoint.receive(client)) < 20_000_000 for client in first)


def few_hold_an_answer_that_they_do_not_read(build: Build) -> None:
    """The kernel holds a part of it for each."""
    endpoint = build()
    with large_answers():
        for _ in range(UNREAD + 20):
            endpoint.ask()
        assert endpoint.look()
    assert endpoint.connections == UNREAD


def little_is_sent_ahead(listener: type[Listener], build: Build) -> None:
    """What nobody reads stays with us, where it is bounded, and not with the kernel, once for each client."""
    endpoint = build(listener)
    with large_answers():
        endpoint.ask()
        assert endpoint.look()
    [client] = endpoint.output._listener._clients.values()
    assert 20_000_000 - sum(map(len, client.unsent)) < 4_000_000
    assert client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 1 << 19


def little_is_received_ahead(build: Build) -> None:
    """Of what is sent behind a request, or before somebody is let in."""
    endpoint = build()
    asked, waiting = endpoint.ask(), endpoint.connect()
    for client in (asked, waiting):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, HEAD)
        with suppress(BlockingIOError):
            sent = 0
            while sent < 1 << 20:
                sent += client.send(bytes(1024))
        assert sent < 6 * HEAD
    [ours] = endpoint.output._listener._clients.values()
    assert ours.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * HEAD


def who_reads_goes_on(listener: type[Listener], build: Build) -> None:
    """Where too much waits, those go who took nothing for longest, and not who asked first."""
    endpoint = build(listener)
    with large_answers(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_server, "IN_FLIGHT", 45_000_000)
        reader = endpoint.ask()
        assert endpoint.look()
        silent = endpoint.ask()
        assert endpoint.look(seconds=1)
        endpoint.now += SECOND
        received = 0
        while received < 10_000_000:
            with suppress(BlockingIOError):
                received += len(reader.recv(1 << 20))
            endpoint.output.flush(endpoint.now)
        latest = endpoint.ask()
        assert endpoint.look(seconds=1)
        assert len(endpoint.receive(silent)) < 20_000_000
        assert len(parse(endpoint.receive(latest))[1]) == 20_000_000
        assert received + len(endpoint.receive(reader)) > 20_000_000


def drop_the_first(listener: Listener, client: Client, now: int) -> None:
    """Who asked first goes first."""
    moved_at = client.moved_at
    Listener._send(listener, client, now)
    client.moved_at = moved_at


# --- large


def a_large_head_is_refused(listener: type[Listener], build: Build) -> None:
    """A head of 1 MB is refused when 8 KiB have come, and the answer gets through to who goes on sending."""
    endpoint = build(listener)
    client = endpoint.connect(b"GET /metrics HTTP/1.1\r\n")
    rest = memoryview(b"a: b\r\n" * 180_000)
    longest = 0
    while rest:
        with suppress(BlockingIOError):
            rest = rest[client.send(rest) :]
        endpoint.look()
        heads = [len(each.head) for each in endpoint.output._listener._clients.values()]
        longest = max(longest, *heads, 0)
    assert longest <= HEAD + 1
    client.shutdown(socket.SHUT_WR)
    response, body = parse(endpoint.receive(client))
    assert (response.status, body) == (431, b"431 Request Header Fields Too Large\n")
    endpoint.take_in(lambda: endpoint.connections == 0)


def who_goes_on_sending_after_a_refusal_is_dropped_in_time(build: Build) -> None:
    endpoint = build()
    client = endpoint.connect(b"PUT / HTTP/1.1\r\n\r\n")
    endpoint.take_in(lambda: endpoint.connections == 1)
    for _ in range(4):
        client.send(b"x")
        endpoint.look(seconds=0.5)
    assert endpoint.connections == 0


# --- the promises


def find_the_last(listener: Listener, now: int) -> Client:
    return list(listener._clients.values())[-1]


def make_room_for_nobody(listener: Listener) -> None:
    """Drop before somebody came."""
    leaving = listener._dispensable(1 << 60)
    if leaving and len(listener._clients) == CLIENTS:
        listener._drop(leaving)


def wait_for_each(listener: Listener, client: Client, now: int) -> None:
    """Until it says something; not for good, or the test would stand still, too."""
    client.socket.settimeout(0.001)
    Listener._receive(listener, client, now)


def receive_patiently(listener: Listener, client: Client, now: int) -> None:
    """Each byte buys time."""
    client.deadline = now + http_server.HEAD_PATIENCE
    Listener._receive(listener, client, now)


def send_and_hold_all(listener: Listener, *arguments: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_server, "IN_FLIGHT", 1 << 60)
        Listener.send(listener, *arguments)


def close_at_once(listener: Listener, client: Client, answer: bytes, now: int) -> None:
    """What was not read yet makes the kernel reset the connection, and the answer is lost."""
    listener.send(client, answer, (), now)


test_promise, test_twin = promises(
    Promise(
        of_many_silent_ones_few_are_kept,
        Listener,
        [
            twin(Listener, "waits for each", "_receive", instead=wait_for_each),
            twin(Listener, "keeps the first", "_dispensable", instead=find_the_last),
            twin(Listener, "makes room for nobody", "_accept", then=make_room_for_nobody),
            Doubled("network.http_server:CLIENTS"),
        ],
    ),
    Promise(
        who_is_gone_makes_room,
        Listener,
        [twin(Listener, "keeps who is gone", "_dispensable", instead=keep_who_is_gone)],
        caught=(BlockingIOError,),
    ),
    Promise(
        a_request_has_to_come_in_time,
        Listener,
        [
            twin(Listener, "patient", "_receive", instead=receive_patiently),
            Doubled("network.http_server:HEAD_PATIENCE"),
        ],
    ),
    Promise(
        what_is_held_for_slow_readers_is_bounded,
        Listener,
        [twin(Listener, "holds all", "send", instead=send_and_hold_all)],
    ),
    Promise(
        who_came_just_now_has_time_to_ask,
        Listener,
        [twin(Listener, "drops who came just now", "_dispensable", instead=drop_who_came_just_now)],
    ),
    Promise(little_is_received_ahead, None, [Doubled("network.http_server:RECEIVED_AHEAD")]),
    Promise(little_is_sent_ahead, Listener, [Doubled("network.http_server:SENT_AHEAD")]),
    Promise(
        who_reads_goes_on, Listener, [twin(Listener, "drops the first", "_send", instead=drop_the_first)]
    ),
    Promise(
        a_large_head_is_refused,
        Listener,
        [
            twin(Listener, "closes at once", "_refuse", instead=close_at_once),
            Doubled("network.http_server:HEAD"),
        ],
        caught=(OSError,),
    ),
    Promise(few_hold_an_answer_that_they_do_not_read, None, [Doubled("network.http_server:UNREAD")]),
    Promise(few_are_let_in_at_one_look, None, [Doubled("network.http_server:ACCEPTED")]),
    Promise(few_wait_in_the_kernel, None, [Doubled("network.http_server:QUEUE")]),
    Promise(who_does_not_read_is_dropped_in_time, None, [Doubled("network.http_server:BODY_PATIENCE")]),
    Promise(two_answers_are_held_if_they_fit, None, [Doubled("network.http_server:IN_FLIGHT")]),
    Promise(
        who_goes_on_sending_after_a_refusal_is_dropped_in_time, None, [Doubled("network.http_server:LINGER")]
    ),
)


# --- gone


@pytest.mark.parametrize("data", [b"", b"GET", SCRAPE, b"PUT / HTTP/1.1\r\n\r\n"])
def test_who_goes_leaves_nothing(endpoint: Endpoint, data: bytes) -> None:
    client = endpoint.connect(data)
    endpoint.take_in(lambda: endpoint.connections == 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
    client.close()
    endpoint.take_in(lambda: endpoint.connections == 0)
    assert not endpoint.look()
    assert is_served(endpoint)


def test_a_request_may_come_in_pieces(endpoint: Endpoint) -> None:
    client = endpoint.connect()
    for at in range(len(SCRAPE)):
        client.send(SCRAPE[at : at + 1])
        assert not endpoint.asked
        if at < len(SCRAPE) - 1:
            endpoint.take_in(lambda at=at: _received(endpoint) == at + 1)  # type: ignore[misc]
    endpoint.take_in(lambda: len(endpoint.asked) == 1)
    assert endpoint.look()
    assert parse(endpoint.receive(client))[0].status == 200


def _received(endpoint: Endpoint) -> int:
    return sum(len(client.head) for client in endpoint.output._listener._clients.values())


def test_an_event_is_not_taken_for_one_of_who_came_later(endpoint: Endpoint) -> None:
    """A number that was let go may be another's by the time its event is looked at."""
    for _ in range(CLIENTS):
        endpoint.connect()
    endpoint.take_in(lambda: endpoint.connections == CLIENTS)
    for client in endpoint.clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    clients = [endpoint.connect(PROBE) for _ in range(CLIENTS)]
    endpoint.take_in(lambda: len(endpoint.asked) == CLIENTS)
    assert endpoint.look()
    assert {parse(endpoint.receive(client))[0].status for client in clients} == {200}


# --- listening


def free_address(host: str = "127.0.0.1") -> tuple[str, int]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return host, probe.getsockname()[1]


NOWHERE = ("127.0.0.1", 1)


def listening(address: tuple[str, int], *inherited: int) -> tuple[PrometheusOutput, list[Notice]]:
    said: list[Notice] = []
    return PrometheusOutput(PrometheusConfig(address), said.append, inherited, clock=lambda: 0), said


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_that_is_taken_is_said_once_and_tried_again(host: str) -> None:
    host, port = free_address(host)
    shown = f"[{host}]" if ":" in host else host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.listen()
        output, said = listening((host, port))
        for tenths in range(100):
            output.flush(tenths * SECOND // 10)
    assert said == [Notice(OUTPUT_FAILED, f"cannot listen on {shown}:{port}: Address already in use")]
    assert output.trouble.failures == 10
    output.flush(10 * SECOND)
    assert said[1:] == [Notice(OUTPUT_RESUMED, "scrapes can be answered again")]
    with socket.create_connection((host, port)):
        pass
    output.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port))


def test_a_machine_without_that_address_is_no_trouble_for_others() -> None:
    output, said = listening(("192.0.2.1", 9145))
    output.flush(0)
    assert [notice.text for notice in said] == [
        "cannot listen on 192.0.2.1:9145: Cannot assign requested address"
    ]
    assert output.due() is None
    output.close()


def test_no_descriptors_are_left_for_clients(endpoint: Endpoint) -> None:
    """Nothing spins meanwhile, and those who came are served then."""
    client = endpoint.connect(PROBE)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    endpoint.take_in(lambda: endpoint.output.is_ready())
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        for _ in range(5):
            endpoint.output.flush(endpoint.now)
        assert not endpoint.output.is_ready()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert [notice.text for notice in endpoint.said] == [
        f"cannot listen on the socket that systemd passed: {os.strerror(errno.EMFILE)}"
    ]
    assert endpoint.look(seconds=1)
    assert parse(endpoint.receive(client))[0].status == 200
    assert [notice.kind for notice in endpoint.said] == [OUTPUT_FAILED, OUTPUT_RESUMED]


def test_nobody_let_in_for_long_is_said_once() -> None:
    """A socket that is not connected polls ready, and takes nobody in."""
    with socket.socket() as idle:
        output, said = listening(NOWHERE, idle.fileno())
        for second in range(5):
            output.flush(second * SECOND)
        output.close()
    assert output.trouble.failures > 1
    assert [notice.kind for notice in said] == [OUTPUT_FAILED]


def test_what_was_passed_and_does_not_listen_is_said() -> None:
    read_end, write_end = os.pipe()
    output, said = listening(NOWHERE, read_end)
    before = open_files()
    for second in range(5):
        output.flush(second * SECOND)
    assert open_files() <= before
    assert [notice.kind for notice in said] == [OUTPUT_FAILED]
    output.close()
    for descriptor in (read_end, write_end):
        os.close(descriptor)


def test_a_socket_that_was_passed_stays_the_callers(endpoint: Endpoint) -> None:
    client = endpoint.connect(SCRAPE)
    endpoint.output.close()
    assert endpoint.listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    endpoint.output, _ = listening(NOWHERE, endpoint.listening.fileno())
    endpoint.output.flush(endpoint.now)
    endpoint.take_in(lambda: len(endpoint.asked) == 1)
    endpoint.look()
    assert parse(endpoint.receive(client))[0].status == 200
