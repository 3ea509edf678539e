"""The UDP transport: paced, never waiting, silent about nothing. Real sockets on loopback, injected time."""

import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from qps_service.network.resolver import AGAIN, RETRY, Resolver
from qps_service.network.udp import BATCH, LAST_ROUNDS, PAUSE, Datagrams, charge
from tests.limits import Doubled
from tests.promised import Promise, nothing, promises, says_each, twin
from tests.unit.receiving import NOW, RESUMED, Names, Sending, UdpReceiver, closed_port

SMALL = b"a:1|c"
REFUSED = "Connection refused"
LATE = "not all left in time"

Make = type[Datagrams]

pytestmark = pytest.mark.usefixtures("tidy_sockets")


@pytest.fixture
def receiver() -> Iterator[UdpReceiver]:
    receiver = UdpReceiver()
    yield receiver
    receiver.close()


def numbered(count: int, size: int = 8) -> list[bytes]:
    return [b"%08d" % number + b"." * (size - 8) for number in range(count)]


# --- what is sent


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_packets_arrive_whole_and_in_order(family: socket.AddressFamily) -> None:
    receiver = UdpReceiver(family)
    site = Sending(Datagrams, receiver.port, receiver.socket.getsockname()[0])
    site.window(*numbered(20))
    assert receiver.receive(20) == numbered(20)
    assert site.output.due() is None
    site.output.close()
    receiver.close()
    assert site.texts == []


@pytest.mark.parametrize(
    ("host", "level", "option"),
    [
        ("239.2.11.71", socket.IPPROTO_IP, socket.IP_MULTICAST_TTL),
        ("ff15::71", socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS),
    ],
)
def test_multicast_has_its_reach(host: str, level: int, option: int) -> None:
    made: list[socket.socket] = []
    peeking = twin(Datagrams, "peeking", "_send_batch", instead=lambda self: made.append(self._socket.dup()))
    site = Sending(peeking, 8649, host, ttl=3)
    site.window(SMALL)
    if made:  # a machine without a route has no multicast
        assert made[0].getsockopt(level, option) == 3
    else:
        assert "unreachable" in site.texts[0]
    site.output._disconnect()


def test_multicast_leaves_by_its_interface() -> None:
    """No route leads to a group by loopback, so it is what was asked for that did."""
    receiver = UdpReceiver()
    receiver.socket.close()
    receiver.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.socket.bind(("239.2.11.71", 0))
    membership = socket.inet_aton("239.2.11.71") + socket.inet_aton("127.0.0.1")
    receiver.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    port = receiver.socket.getsockname()[1]
    site = Sending(Datagrams, port, "239.2.11.71", ttl=0, interface="lo")
    site.window(SMALL)
    assert receiver.receive(1) == [SMALL]
    wrong = Sending(Datagrams, port, "239.2.11.71", interface="nosuch0")
    wrong.window(SMALL)
    assert (site.texts, wrong.texts) == ([], [wrong.failing("no interface with this name")])


# --- pacing


def a_window_is_paced(make: Make, receiver: UdpReceiver) -> None:
    """A receiver who reads after each batch only, with a default buffer, gets every packet; none is sent
    before its time."""
    site = Sending(make, receiver.port)
    sent, now = numbered(1000, 100), NOW
    received: list[bytes] = []
    full = -(-BATCH // charge(100))
    site.output.send(sent[:100])
    site.output.send(sent[100:])
    for _ in range(1000):
        site.output.flush(now)
        expected = min(full, len(sent) - len(received))
        batch = receiver.receive(expected)
        assert len(batch) == expected
        received += batch
        due = site.output.due()
        if due is None:
            break
        site.output.flush(now + 1)
        assert receiver.receive() == [], "it did not wait"
        now = due
    assert received == sent
    assert now > NOW
    assert site.texts == []


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


# --- nobody listens


def a_dead_receiver_is_said_once(make: Make) -> None:
    """It is said once while it lasts, one failure a window, and once that it is over."""
    port = closed_port(UdpReceiver)
    site, now = Sending(make, port), NOW
    for window in range(1, 4):
        site.window(SMALL, now=now)
        site.hear(failures=window)
        assert site.texts == [site.failing(REFUSED)]
        assert [site.output.take_loss(), site.output.take_loss()] == [True, False]
        now += 10_000_000_000
    receiver = UdpReceiver(port=port)
    for _ in range(2):
        site.window(SMALL, now=now)
        assert receiver.receive(1) == [SMALL], "an old error took a new packet"
    assert site.texts == [site.failing(REFUSED), RESUMED]
    assert site.failures == 3
    assert not site.output.take_loss()


def test_a_window_that_nobody_hears_is_not_sent_to_its_end() -> None:
    site, taken = Sending(Datagrams, closed_port(UdpReceiver)), []

    def packets() -> Iterator[bytes]:
        for number in range(100_000):
            taken.append(number)
            yield SMALL

    site.output.send(packets())
    site.hear()
    assert len(taken) < 1000
    assert site.output.due() is None
    site.output.close()


# --- full buffers, and slow ones


class Stuffed:
    """A socket whose send fails so often, with this."""

    def __init__(self, real: socket.socket, code: int, times: int) -> None:
        self._real, self._code, self.times = real, code, times
        self.getsockopt, self.close = real.getsockopt, real.close

    def send(self, packet: bytes) -> int:
        if self.times:
            self.times -= 1
            raise OSError(self._code, os.strerror(self._code))
        return self._real.send(packet)


def stuffed(code: int, times: int, base: Make = Datagrams) -> Make:
    def connected(self: Datagrams, address: Any) -> Stuffed:
        return Stuffed(Datagrams._connected(self, address), code, times)

    return twin(base, "stuffed", "_connected", instead=connected)


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOBUFS])
def test_a_full_buffer_keeps_the_packets(code: int, receiver: UdpReceiver) -> None:
    site = Sending(stuffed(code, 2), receiver.port)
    site.output.send(numbered(3))
    for turn in range(2):
        site.output.flush(NOW + turn * PAUSE)
        assert site.output.due() == NOW + (turn + 1) * PAUSE
    site.output.flush(NOW + 2 * PAUSE)
    assert receiver.receive(3) == numbered(3)
    assert site.texts == []


def test_a_batch_may_be_smaller(receiver: UdpReceiver) -> None:
    """As long as nothing waits behind it."""
    site = Sending(Datagrams, receiver.port)
    site.window(*numbered(50), batch=2 * charge(8) + 1)
    assert receiver.receive(3) == numbered(50)[:3]
    site.output.flush(NOW + PAUSE)
    assert receiver.receive(3) == numbered(50)[3:6]
    site.window(*numbered(10), now=NOW + 2 * PAUSE, batch=1)
    assert receiver.receive(54) == numbered(50)[6:] + numbered(10)
    site.output.send(numbered(50), batch=1)
    site.output.close()
    assert receiver.receive(50) == numbered(50)
    assert site.texts == []


def a_window_may_wait_behind_another(make: Make, receiver: UdpReceiver) -> None:
    """A window waits for the one before it; the third drops what is left of the first, which is said."""
    site = Sending(stuffed(errno.EAGAIN, 2, make), receiver.port)
    for window in (b"0", b"1"):
        site.window(b"first of " + window, b"second of " + window)
        assert receiver.receive() == []
    assert (site.texts, site.output.take_loss()) == ([], False)
    site.output._due = None
    site.output.flush(NOW)  # the second time that it is refused
    site.output.send([b"only of 2"])
    assert (site.texts, site.failures) == ([site.failing(LATE)], 1)
    assert not site.output.take_loss(), "who was sent too much is still who it was"
    site.output.flush(NOW + 2 * PAUSE)
    assert receiver.receive(3) == [b"first of 1", b"second of 1", b"only of 2"]
    site.output.send([])
    assert site.texts == [site.failing(LATE), RESUMED]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENETUNREACH, errno.EMSGSIZE])
def test_other_errors_end_the_window(code: int, receiver: UdpReceiver) -> None:
    site = Sending(stuffed(code, 1), receiver.port)
    site.window(*[SMALL] * 3)
    assert (site.texts, site.failures) == ([site.failing(os.strerror(code))], 1)
    assert site.output.due() is None
    assert receiver.receive() == []


# --- the end


def the_end_sends_the_rest(make: Make, receiver: UdpReceiver) -> None:
    """What waits is sent, at its pace."""
    received: list[bytes] = []
    site = Sending(make, receiver.port, sleep=lambda _: received.extend(receiver.receive(1)))
    site.window(*numbered(1000, 100))
    site.output.close()
    received += receiver.receive(1000 - len(received))
    assert received == numbered(1000, 100)
    assert site.texts == []


def the_end_does_not_wait_for_long(make: Make, receiver: UdpReceiver) -> None:
    """Nor at all for who is dismissed, as the counting goes on meanwhile; what is dropped is said."""
    for wait, rounds in ((False, 0), (True, LAST_ROUNDS)):
        site = Sending(stuffed(errno.EAGAIN, 1000, make), receiver.port)
        site.output.send([SMALL])
        site.output.close(wait=wait)
        assert (len(site.slept), round(sum(site.slept), 6)) == (rounds, int(wait))
        assert site.texts == [site.failing(LATE)]


# --- names


def named(names: Names, port: int, make: Make = Datagrams) -> Sending:
    return Sending(make, port, "metrics.example", resolver=names.resolver("metrics.example", port))


def a_name_is_looked_up_beside_the_loop(make: Make, receiver: UdpReceiver) -> None:
    """It is begun once, and not waited for."""
    names = Names(("127.0.0.1", receiver.port))
    site = named(names, receiver.port, make)
    site.window(SMALL)
    for _ in range(2):
        site.output.flush(NOW)
    assert names.begun == 1
    assert receiver.receive() == []
    names.finish()
    site.output.flush(NOW)
    assert receiver.receive(1) == [SMALL]
    assert site.texts == []


def test_a_lookup_that_never_ends_costs_windows_and_nothing_else() -> None:
    names = Names()
    site = named(names, 8125)
    for window in range(3):
        site.window(SMALL, now=NOW + window * AGAIN)
    assert names.begun == 1
    assert site.texts == [site.failing("its name is still being looked up")]
    assert site.failures == 1  # of three windows two may wait


def test_a_name_that_leads_nowhere_is_asked_for_again(receiver: UdpReceiver) -> None:
    names = Names(("127.0.0.1", receiver.port), fails=True)
    site = named(names, receiver.port)
    site.window(SMALL)
    names.finish()
    site.output.flush(NOW)
    site.output.flush(NOW + RETRY - 1)
    failing = site.failing("Temporary failure in name resolution")
    assert (names.begun, site.texts, site.failures) == (1, [failing], 1)
    names.error = None
    site.window(SMALL, now=NOW + RETRY)
    assert names.begun == 2
    names.finish()
    for _ in range(2):
        site.window(SMALL, now=NOW + RETRY)
    assert receiver.receive(2) == [SMALL, SMALL]
    assert site.texts == [failing, RESUMED]


def test_a_name_that_moves_is_followed(receiver: UdpReceiver) -> None:
    """A lookup that fails meanwhile keeps the address that works."""
    other, names = UdpReceiver(), Names()
    site = named(names, receiver.port)
    steps = ((0, None, receiver, b"1"), (1, Names.AGAIN, receiver, b"2"), (3, None, other, b"moved"))
    for at, names.error, where, text in steps:
        names.addresses = [("127.0.0.1", where.port)]
        site.window(SMALL, now=NOW + at * AGAIN)  # a lookup begins
        names.finish()
        site.window(text, now=NOW + at * AGAIN)
    assert receiver.receive(5) == [SMALL, b"1", SMALL, b"2", SMALL]
    assert (other.receive(1), site.texts) == ([b"moved"], [])


def test_the_next_address_has_its_turn(receiver: UdpReceiver) -> None:
    """A name with one dead address costs one window."""
    names = Names(("127.0.0.1", closed_port(UdpReceiver)), ("127.0.0.1", receiver.port))
    site = named(names, receiver.port)
    site.window(SMALL)
    names.finish()
    site.hear()
    for _ in range(2):
        site.window(SMALL)
    assert receiver.receive(2) == [SMALL, SMALL]
    assert site.texts == [site.failing(REFUSED), RESUMED]


# --- the promises


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


RESTLESS = twin(Datagrams, "restless", "flush", first=lambda self: vars(self).update(_due=None))
NEVER_HEARS = twin(Datagrams, "never hears", "_hear", instead=nothing)
NEWEST_ONLY = twin(Datagrams, "only the newest", "send", first=forget_what_waits)
POURS = twin(Datagrams, "pours", "close", instead=pour)
WAITS = twin(Datagrams, "waits", "close", instead=lambda self, wait=True: Datagrams.close(self))
SAYS_EACH = says_each(Datagrams, "send", "_trouble")
test_promise, _test_twin = promises(
    Promise(a_window_is_paced, Datagrams, [RESTLESS, Doubled("network.udp:BATCH")]),
    Promise(a_dead_receiver_is_said_once, Datagrams, [SAYS_EACH, NEVER_HEARS]),
    Promise(a_window_may_wait_behind_another, Datagrams, [NEWEST_ONLY, Doubled("network.udp:WINDOWS")]),
    Promise(the_end_sends_the_rest, Datagrams, [POURS]),
    Promise(the_end_does_not_wait_for_long, Datagrams, [WAITS, Doubled("network.udp:LAST_ROUNDS")]),
    Promise(a_name_is_looked_up_beside_the_loop, Datagrams, [LooksUpWithinTheLoop]),
)
test_twin = pytest.mark.usefixtures("impatient")(_test_twin)
