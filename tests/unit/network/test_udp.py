"""The UDP transport: paced, never waiting, silent about nothing. Real sockets on loopback, injected time."""

import errno
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from qps_service.network.resolver import AGAIN, RETRY, Resolver
from qps_service.network.udp import BATCH, LAST_ROUNDS, PAUSE, Datagrams, charge
from tests.promised import Check, Promise, caught, kept
from tests.unit import receiving
from tests.unit.receiving import RESUMED, Names, Said, UdpReceiver, until
from tests.unit.twins import nothing, says_each, twin

SMALL = b"a:1|c"
NOW = 5_000 * 1_000_000_000

Make = Callable[..., Datagrams]

pytestmark = pytest.mark.usefixtures("tidy_sockets")


@pytest.fixture
def receiver() -> Iterator[UdpReceiver]:
    receiver = UdpReceiver()
    yield receiver
    receiver.close()


def closed_port() -> int:
    receiver = UdpReceiver()
    receiver.close()
    return receiver.port


def numbered(count: int, size: int = 8) -> list[bytes]:
    return [b"%08d" % number + b"." * (size - 8) for number in range(count)]


def refusal(port: int) -> str:
    return f"cannot send to 127.0.0.1:{port}: Connection refused"


def hear(output: Datagrams, said: Said, failures: int = 1) -> None:
    """Flush until so many windows are known to be lost."""

    def heard() -> bool:
        output.flush(NOW)
        return said.trouble.failures == failures

    until(heard)


# --- what is sent


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_packets_arrive_whole_and_in_order(family: socket.AddressFamily) -> None:
    receiver, said = UdpReceiver(family), Said()
    output = Datagrams(receiver.socket.getsockname()[0], receiver.port, said.trouble)
    output.send(numbered(20))
    output.flush(NOW)
    assert receiver.receive(20) == numbered(20)
    assert output.due() is None
    output.close()
    receiver.close()
    assert said.texts == []


def test_multicast_has_its_reach() -> None:
    said = Said()
    for host, level, option in (
        ("239.2.11.71", socket.IPPROTO_IP, socket.IP_MULTICAST_TTL),
        ("ff15::71", socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS),
    ):
        made: list[socket.socket] = []

        class Peeking(Datagrams):
            def _send_batch(self, made: list[socket.socket] = made) -> None:
                assert self._socket
                made.append(self._socket.dup())

        output = Peeking(host, 8649, said.trouble, ttl=3)
        output.send([SMALL])
        output.flush(NOW)
        if made:  # a machine without a route has no multicast
            assert made[0].getsockopt(level, option) == 3
            made[0].close()
        else:
            assert "unreachable" in said.texts[0]
        output._disconnect()


def test_multicast_leaves_by_its_interface() -> None:
    """No route leads to a group by loopback, so it is what was asked for that did."""
    receiver, said = UdpReceiver(), Said()
    receiver.socket.close()
    receiver.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.socket.bind(("239.2.11.71", 0))
    membership = socket.inet_aton("239.2.11.71") + socket.inet_aton("127.0.0.1")
    receiver.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    port = receiver.socket.getsockname()[1]
    output = Datagrams("239.2.11.71", port, said.trouble, ttl=0, interface="lo")
    output.send([SMALL])
    output.flush(NOW)
    assert receiver.receive(1) == [SMALL]
    wrong = Datagrams("239.2.11.71", port, said.trouble, interface="nosuch0")
    wrong.send([SMALL])
    wrong.flush(NOW)
    assert said.texts == [f"cannot send to 239.2.11.71:{port}: no interface with this name"]


# --- pacing


def a_window_is_paced(make: Make, receiver: UdpReceiver) -> None:
    """A receiver who reads after each batch only, with a default buffer, gets every packet; none is sent
    before its time."""
    said = Said()
    output = make("127.0.0.1", receiver.port, said.trouble)
    sent, now = numbered(1000, 100), NOW
    received: list[bytes] = []
    full = -(-BATCH // charge(100))
    output.send(sent)
    for _ in range(1000):
        output.flush(now)
        expected = min(full, len(sent) - len(received))
        batch = receiver.receive(expected)
        assert len(batch) == expected
        received += batch
        due = output.due()
        if due is None:
            break
        output.flush(now + 1)
        assert receiver.receive() == [], "it did not wait"
        now = due
    assert received == sent
    assert now > NOW
    assert said.texts == []


@pytest.mark.parametrize("size", [8, 100, 1432, 8000])
def test_a_batch_fits_into_half_of_a_default_buffer(size: int) -> None:
    """A socket that nobody reads keeps twice what we send at once: the kernel's arithmetic is no guess."""
    receiver = UdpReceiver()
    receiver.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BATCH)  # the kernel doubles it
    count = 2 * BATCH // charge(size) + 1
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for packet in numbered(2 * count, size):
        sender.sendto(packet, receiver.socket.getsockname())
    kept = len(receiver.receive(BATCH // charge(size)))
    assert BATCH // charge(size) <= kept, "it is charged more than we think"
    assert kept <= 2 * count
    receiver.close()
    sender.close()


# --- nobody listens


def a_dead_receiver_is_said_once(make: Make, _receiver: UdpReceiver) -> None:
    """It is said once while it lasts, one failure a window, and once that it is over."""
    said, port = Said(), closed_port()
    output = make("127.0.0.1", port, said.trouble)
    now = NOW
    for window in range(1, 4):
        output.send([SMALL])
        output.flush(now)
        hear(output, said, failures=window)
        assert said.texts == [refusal(port)]
        assert output.take_loss()
        assert not output.take_loss()
        now += 10_000_000_000
    receiver = UdpReceiver(port=port)
    for _ in range(2):
        output.send([SMALL])
        output.flush(now)
        assert receiver.receive(1) == [SMALL], "an old error took a new packet"
    assert said.texts == [refusal(port), RESUMED]
    assert said.trouble.failures == 3
    assert not output.take_loss()
    receiver.close()


def test_a_window_that_nobody_hears_is_not_sent_to_its_end() -> None:
    said = Said()
    output = Datagrams("127.0.0.1", closed_port(), said.trouble)
    taken = []

    def packets() -> Iterator[bytes]:
        for number in range(100_000):
            taken.append(number)
            yield SMALL

    output.send(packets())
    hear(output, said)
    assert len(taken) < 1000
    assert output.due() is None
    output.close()


# --- full buffers, and slow ones


class Stuffed:
    """A socket whose send fails so often, with this."""

    def __init__(self, real: socket.socket, code: int, times: int) -> None:
        self._real, self._code, self.times = real, code, times

    def send(self, packet: bytes) -> int:
        if self.times:
            self.times -= 1
            raise OSError(self._code, os.strerror(self._code))
        return self._real.send(packet)

    def getsockopt(self, level: int, option: int) -> int:
        return self._real.getsockopt(level, option)

    def close(self) -> None:
        self._real.close()


def stuffed(code: int, times: int, base: type[Datagrams] = Datagrams) -> Make:
    class Twin(base):  # type: ignore[valid-type, misc]
        def _connected(self, address: object) -> Stuffed:
            return Stuffed(super()._connected(address), code, times)

    return Twin


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOBUFS])
def test_a_full_buffer_keeps_the_packets(code: int, receiver: UdpReceiver) -> None:
    said = Said()
    output = stuffed(code, 2)("127.0.0.1", receiver.port, said.trouble)
    output.send(numbered(3))
    for turn in range(2):
        output.flush(NOW + turn * PAUSE)
        assert output.due() == NOW + (turn + 1) * PAUSE
    output.flush(NOW + 2 * PAUSE)
    assert receiver.receive(3) == numbered(3)
    assert said.texts == []


def test_a_batch_may_be_smaller(receiver: UdpReceiver) -> None:
    """As long as nothing waits behind it."""
    said = Said()
    output = Datagrams("127.0.0.1", receiver.port, said.trouble, sleep=lambda _: None)
    output.send(numbered(50), batch=2 * charge(8) + 1)
    output.flush(NOW)
    assert receiver.receive(3) == numbered(50)[:3]
    output.flush(NOW + PAUSE)
    assert receiver.receive(3) == numbered(50)[3:6]
    output.send(numbered(10), batch=1)
    output.flush(NOW + 2 * PAUSE)
    assert receiver.receive(54) == numbered(50)[6:] + numbered(10)
    output.send(numbered(50), batch=1)
    output.close()
    assert receiver.receive(50) == numbered(50)
    assert said.texts == []


def a_window_may_wait_behind_another(kind: type[Datagrams], receiver: UdpReceiver) -> None:
    """A window waits for the one before it; the third drops what is left of the first, which is said."""
    said = Said()
    output = stuffed(errno.EAGAIN, 2, kind)("127.0.0.1", receiver.port, said.trouble)
    failing = f"cannot send to 127.0.0.1:{receiver.port}: not all left in time"
    for window in (b"0", b"1"):
        output.send([b"first of " + window, b"second of " + window])
        output.flush(NOW)
        assert receiver.receive() == []
    assert (said.texts, output.take_loss()) == ([], False)
    output._due = None
    output.flush(NOW)  # the second time that it is refused
    output.send([b"only of 2"])
    assert (said.texts, said.trouble.failures) == ([failing], 1)
    assert not output.take_loss(), "who was sent too much is still who it was"
    output.flush(NOW + 2 * PAUSE)
    assert receiver.receive(3) == [b"first of 1", b"second of 1", b"only of 2"]
    output.send([])
    assert said.texts == [failing, RESUMED]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENETUNREACH, errno.EMSGSIZE])
def test_other_errors_end_the_window(code: int, receiver: UdpReceiver) -> None:
    said = Said()
    output = stuffed(code, 1)("127.0.0.1", receiver.port, said.trouble)
    output.send([SMALL] * 3)
    output.flush(NOW)
    assert said.texts == [f"cannot send to 127.0.0.1:{receiver.port}: {os.strerror(code)}"]
    assert said.trouble.failures == 1
    assert output.due() is None
    assert receiver.receive() == []


# --- the end


def the_end_sends_the_rest(make: Make, receiver: UdpReceiver) -> None:
    """What waits is sent, at its pace."""
    said = Said()
    received: list[bytes] = []
    output = make(
        "127.0.0.1", receiver.port, said.trouble, sleep=lambda _: received.extend(receiver.receive(1))
    )
    output.send(numbered(1000, 100))
    output.flush(NOW)
    output.close()
    received += receiver.receive(1000 - len(received))
    assert received == numbered(1000, 100)
    assert said.texts == []


def who_is_dismissed_is_not_waited_for(kind: type[Datagrams], receiver: UdpReceiver) -> None:
    """The counting goes on meanwhile: there is no wait, and what is dropped is said."""
    said = Said()
    slept: list[float] = []
    make = stuffed(errno.EAGAIN, 1000, kind)
    output = make("127.0.0.1", receiver.port, said.trouble, sleep=slept.append)
    output.send([SMALL])
    output.close(wait=False)
    assert slept == []
    assert said.texts == [f"cannot send to 127.0.0.1:{receiver.port}: not all left in time"]


def test_the_end_does_not_wait_for_long(receiver: UdpReceiver) -> None:
    said = Said()
    slept: list[float] = []
    output = stuffed(errno.EAGAIN, 1000)("127.0.0.1", receiver.port, said.trouble, sleep=slept.append)
    output.send([SMALL])
    output.close()
    assert sum(slept) == pytest.approx(1)
    assert len(slept) == LAST_ROUNDS
    assert said.texts == [f"cannot send to 127.0.0.1:{receiver.port}: not all left in time"]


# --- names


def named(names: Names, port: int, said: Said, kind: type[Datagrams] = Datagrams) -> Datagrams:
    resolver = Resolver("metrics.example", port, socket.SOCK_DGRAM, look_up=names.look_up, begin=names.begin)
    return kind("metrics.example", port, said.trouble, resolver=resolver)


def a_name_is_looked_up_beside_the_loop(kind: type[Datagrams], receiver: UdpReceiver) -> None:
    """It is begun once, and not waited for."""
    names, said = Names(("127.0.0.1", receiver.port)), Said()
    output = named(names, receiver.port, said, kind)
    output.send([SMALL])
    for _ in range(3):
        output.flush(NOW)
    assert names.begun == 1
    assert receiver.receive() == []
    names.finish()
    output.flush(NOW)
    assert receiver.receive(1) == [SMALL]
    assert said.texts == []


def test_a_lookup_that_never_ends_costs_windows_and_nothing_else() -> None:
    names, said = Names(), Said()
    output = named(names, 8125, said)
    for window in range(3):
        output.send([SMALL])
        output.flush(NOW + window * AGAIN)
    assert names.begun == 1
    assert said.texts == ["cannot send to metrics.example:8125: its name is still being looked up"]
    assert said.trouble.failures == 1  # of three windows two may wait


def test_a_name_that_leads_nowhere_is_asked_for_again(receiver: UdpReceiver) -> None:
    names, said = Names(("127.0.0.1", receiver.port)), Said()
    names.error = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    output = named(names, receiver.port, said)
    failing = f"cannot send to metrics.example:{receiver.port}: Temporary failure in name resolution"
    output.send([SMALL])
    output.flush(NOW)
    names.finish()
    output.flush(NOW)
    output.flush(NOW + RETRY - 1)
    assert (names.begun, said.texts, said.trouble.failures) == (1, [failing], 1)
    names.error = None
    output.send([SMALL])
    output.flush(NOW + RETRY)
    assert names.begun == 2
    names.finish()
    for _ in range(2):
        output.send([SMALL])
        output.flush(NOW + RETRY)
    assert receiver.receive(2) == [SMALL, SMALL]
    assert said.texts == [failing, RESUMED]


def test_a_name_that_moves_is_followed(receiver: UdpReceiver) -> None:
    other = UdpReceiver()
    names, said = Names(("127.0.0.1", receiver.port)), Said()
    output = named(names, receiver.port, said)
    for now in (NOW, NOW, NOW + AGAIN, NOW + AGAIN):
        names.finish()
        output.flush(now)
        output.send([SMALL])
        output.flush(now)
        names.addresses = [("127.0.0.1", other.port)]
    names.finish()
    output.send([b"moved"])
    output.flush(NOW + AGAIN)
    assert other.receive(1)[-1] == b"moved"
    assert b"moved" not in receiver.receive()
    other.close()


def test_a_failed_lookup_keeps_the_address_that_works(receiver: UdpReceiver) -> None:
    names, said = Names(("127.0.0.1", receiver.port)), Said()
    output = named(names, receiver.port, said)
    output.flush(NOW)
    output.send([SMALL])
    output.flush(NOW)
    names.finish()
    names.error = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    output.flush(NOW)
    output.flush(NOW + AGAIN)
    names.finish()
    output.send([SMALL])
    output.flush(NOW + AGAIN)
    assert receiver.receive(2) == [SMALL, SMALL]
    assert said.texts == []


def test_the_next_address_has_its_turn(receiver: UdpReceiver) -> None:
    """A name with one dead address costs one window."""
    names, said = Names(("127.0.0.1", closed_port()), ("127.0.0.1", receiver.port)), Said()
    output = named(names, receiver.port, said)
    output.send([SMALL])
    output.flush(NOW)
    names.finish()
    hear(output, said)
    for _ in range(2):
        output.send([SMALL])
        output.flush(NOW)
    assert receiver.receive(2) == [SMALL, SMALL]
    assert said.texts == [f"cannot send to metrics.example:{receiver.port}: Connection refused", RESUMED]


# --- the promises


def flood(output: Datagrams, now: int) -> None:
    """Everything at once."""
    for turn in range(1000):
        Datagrams.flush(output, now + turn * PAUSE)


def hoard(output: Datagrams, packets: Iterable[bytes], batch: int = BATCH) -> None:
    """Any number of windows wait."""
    before = list(output._windows)
    output._windows.clear()
    Datagrams.send(output, packets, batch)
    output._windows.extendleft(reversed(before))


def forget_what_waits(output: Datagrams) -> None:
    if output._windows:
        output._windows.clear()
        output._packet = None


def pour(output: Datagrams, *, wait: bool = True) -> None:
    """At the end all goes at once."""
    for turn in range(LAST_ROUNDS):
        output.flush(output._now + turn * PAUSE)


class LooksUpWithinTheLoop(Datagrams):
    def __init__(self, *arguments: Any, resolver: Resolver, **keywords: Any) -> None:
        resolver._begin = lambda task: task()
        super().__init__(*arguments, resolver=resolver, **keywords)


PROMISES = [
    Promise(
        a_window_is_paced,
        [
            twin(Datagrams, "floods", "flush", instead=flood),
            twin(Datagrams, "restless", "flush", first=lambda self: vars(self).update(_due=None)),
        ],
    ),
    Promise(
        a_dead_receiver_is_said_once,
        [
            says_each(Datagrams, "send", "_trouble"),
            twin(Datagrams, "never hears", "_hear", instead=nothing),
            twin(Datagrams, "too glad", "flush", then=lambda self: self._trouble.works()),
        ],
    ),
    Promise(
        a_window_may_wait_behind_another,
        [
            twin(Datagrams, "hoards", "send", instead=hoard),
            twin(Datagrams, "only the newest", "send", first=forget_what_waits),
        ],
    ),
    Promise(
        the_end_sends_the_rest,
        [
            twin(Datagrams, "just leaves", "close", instead=lambda self, wait=True: self._disconnect()),
            twin(Datagrams, "pours", "close", instead=pour),
        ],
    ),
    Promise(
        who_is_dismissed_is_not_waited_for,
        [twin(Datagrams, "waits", "close", instead=lambda self, wait=True: Datagrams.close(self))],
    ),
    Promise(a_name_is_looked_up_beside_the_loop, [LooksUpWithinTheLoop]),
]


@kept(PROMISES)
def test_promise(check: Check, receiver: UdpReceiver) -> None:
    check(Datagrams, receiver)


@caught(PROMISES)
def test_twin_is_caught(
    check: Check, twin: Make, receiver: UdpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "DEADLINE", 0.2)  # what some twins send never comes
    with pytest.raises(AssertionError):
        check(twin, receiver)
