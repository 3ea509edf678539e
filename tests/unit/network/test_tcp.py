"""The TCP transport: never waiting, bounded, whole messages. Real sockets on loopback, injected time."""

import socket
from collections.abc import Iterator

import pytest

from qps_service.network.tcp import FIRST_RETRY, LAST_ROUNDS, LIMIT, PATIENCE, SILENCE, Stream
from tests.limits import Doubled
from tests.promised import Promise, nothing, promises, says_each, twin
from tests.unit.receiving import NOW, RESUMED, Names, Sending, TcpReceiver, closed_port, until

SECOND = 1_000_000_000
TEN = 10 * SECOND  # between two reports
REFUSED = "Connection refused"

Make = type[Stream]

pytestmark = pytest.mark.usefixtures("tidy_sockets")


@pytest.fixture
def receiver() -> Iterator[TcpReceiver]:
    receiver = TcpReceiver()
    yield receiver
    receiver.close()


def messages(window: int, count: int = 1, size: int = 100) -> list[bytes]:
    return [b"%06d.%06d" % (window, number) + b"." * (size - 14) + b"\n" for number in range(count)]


def received_until(site: Sending, receiver: TcpReceiver, end: bytes | int) -> bytes:
    """What comes, with the loop going on, up to this end or so many bytes of it."""
    received = b""

    def arrived() -> bool:
        nonlocal received
        site.output.flush(site.output.due() or NOW + FIRST_RETRY)
        received += receiver.receive()
        return received.endswith(end) if isinstance(end, bytes) else len(received) >= end

    until(arrived)
    return received


# --- what is sent


def test_what_a_receiver_says_is_thrown_away(receiver: TcpReceiver) -> None:
    site = Sending(Stream, receiver.port)
    site.window(*messages(1))
    receiver.accept()
    assert receiver.connection
    for window in range(2, 5):
        receiver.connection.sendall(b"HTTP/1.1 400 Bad Request\r\n" * 2000)
        site.window(*messages(window))
    assert received_until(site, receiver, 400) == b"".join(messages(window)[0] for window in range(1, 5))
    assert site.texts == []


# --- nobody there


def is_tried_again(make: Make) -> None:
    """After one second, two, four, up to sixty; it says so once; what is not sent is kept."""
    site, tried = Sending(make, closed_port(TcpReceiver)), []
    site.output.flush(NOW)
    assert site.failures == 0  # while there is nothing to send
    site.output.send(messages(1))
    for second in range(300):
        before = site.failures
        site.output.flush(NOW + second * SECOND)
        if site.failures > before:
            tried.append(second)
    assert tried == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert site.texts == [site.failing(REFUSED)]

    receiver = TcpReceiver(int(site.to.rpartition(":")[2]))
    site.window(*messages(2), now=NOW + 303 * SECOND)
    receiver.accept()
    assert received_until(site, receiver, 200) == messages(1)[0] + messages(2)[0]
    assert site.texts == [site.failing(REFUSED)]
    site.output.send(messages(3))
    assert site.texts == [site.failing(REFUSED), RESUMED]
    receiver.close()


def a_connection_that_never_comes_about_is_given_up() -> None:
    """A listener whose queue is full leaves SYNs without an answer."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    for filler in [socket.socket() for _ in range(3)]:
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
    site = Sending(Stream, full.getsockname()[1])
    site.output.send(messages(1))
    for now in (NOW, NOW + PATIENCE - 1):
        site.output.flush(now)
        assert site.texts == []
    site.output.flush(NOW + PATIENCE)
    assert site.texts == [site.failing("no answer")]


def silence_is_not_waited_out_for_long(receiver: TcpReceiver) -> None:
    """The kernel is told; it ends a connection whose other end acknowledges nothing for so long."""
    site = Sending(Stream, receiver.port)
    site.window(*messages(1))
    receiver.accept()
    received_until(site, receiver, 100)
    assert site.output._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == SILENCE
    site.output.close()


# --- a receiver that hangs


def costs_a_bounded_backlog(make: Make) -> None:
    """Nothing waits, memory is bounded, what is dropped is the oldest, whole, and it is said once."""
    receiver = TcpReceiver(receive_buffer=4096)
    site, windows = Sending(make, receiver.port), 15
    for window in range(windows):
        site.window(*messages(window, 10_000), now=NOW + window * TEN)
        if window == 0:
            receiver.accept()
        assert site.output._size <= LIMIT
    assert site.texts == [f"127.0.0.1:{receiver.port} takes no metrics; dropping the oldest"]
    assert 0 < site.failures <= windows

    # It reads again: what it took first, and the latest.
    everything = [line for window in range(windows) for line in messages(window, 10_000)]
    lines = received_until(site, receiver, everything[-1]).splitlines(keepends=True)
    assert lines[-10_000:] == everything[-10_000:]
    assert lines == sorted(set(lines))
    assert set(lines) <= set(everything)
    assert site.texts[1:] == []
    site.output.send([])
    assert site.texts[1:] == [RESUMED]
    receiver.close()


# --- a connection that breaks


def messages_are_whole_after_a_break(make: Make) -> None:
    """After a connection broke in the middle of a message, the next one begins with a whole one, and what
    the first had not taken whole comes again."""
    receiver = TcpReceiver(receive_buffer=4096)
    site, sent = Sending(make, receiver.port), messages(1, 30_000)
    site.window(*sent)
    receiver.accept()
    first = received_until(site, receiver, 50_000)
    receiver.hang_up()
    site.hear()
    waiting = len(site.output._block) + site.output._size
    site.output.flush(NOW + FIRST_RETRY)
    receiver.accept()
    received = received_until(site, receiver, sent[-1])
    lines = received.splitlines(keepends=True)
    assert lines == sent[-len(lines) :], "it does not begin with a whole message"
    assert len(received) == waiting
    assert first == b"".join(sent)[: len(first)]
    receiver.close()


def a_restart_between_windows_costs_nothing(make: Make, receiver: TcpReceiver) -> None:
    """A receiver that is started anew between two windows misses nothing, and nothing is said."""
    site = Sending(make, receiver.port)
    site.window(*messages(1))
    receiver.accept()
    assert received_until(site, receiver, 100) == messages(1)[0]
    assert site.output.due() is None
    assert receiver.connection
    receiver.connection.close()
    receiver.connection = None

    def is_closed() -> bool:
        site.output.flush(NOW + TEN - 1)
        return site.output._socket is None

    until(is_closed)
    site.window(*messages(2), now=NOW + TEN)
    receiver.accept()
    assert received_until(site, receiver, 100) == messages(2)[0]
    assert site.texts == []


def test_a_reset_is_a_failure_even_when_all_was_sent(receiver: TcpReceiver) -> None:
    site = Sending(Stream, receiver.port)
    site.window(*messages(1))
    receiver.accept()
    receiver.hang_up()
    site.hear()
    assert site.texts == [site.failing("Connection reset by peer")]


# --- names, and the end


def named(names: Names, port: int) -> Sending:
    resolver = names.resolver("carbon.example", port, socket.SOCK_STREAM)
    return Sending(Stream, port, "carbon.example", resolver=resolver)


def test_a_name_that_leads_nowhere_is_said() -> None:
    names = Names(fails=True)
    site = named(names, 2003)
    site.window(*messages(1))
    names.finish()
    site.output.flush(NOW)
    assert site.texts == [site.failing("Temporary failure in name resolution")]


def the_end_sends_the_rest(make: Make, receiver: TcpReceiver) -> None:
    """What waits is sent, as the receiver takes it."""
    received = []

    def sleep(_seconds: float) -> None:
        if not receiver.connection:
            receiver.accept()
        received.append(receiver.receive())

    site, sent = Sending(make, receiver.port, sleep=sleep), messages(1, 40_000)
    site.window(*sent)
    site.output.close()
    if not receiver.connection:
        receiver.accept()
    assert receiver.connection
    receiver.connection.setblocking(True)
    while data := receiver.connection.recv(1 << 20):
        received.append(data)
    assert b"".join(received) == b"".join(sent)
    assert site.texts == []


def the_end_does_not_wait_for_long(make: Make) -> None:
    """Nor at all for who is dismissed, as the counting goes on meanwhile; what is dropped is a failure."""
    for wait, rounds in ((False, 0), (True, LAST_ROUNDS)):
        site = Sending(make, closed_port(TcpReceiver))
        site.output.send(messages(1))
        site.output.close(wait=wait)
        assert (len(site.slept), round(sum(site.slept), 6)) == (rounds, int(wait))
        assert (len(site.texts), site.failures) == (1, 2)  # nobody is there, and so it is dropped


# --- the promises


def forget(stream: Stream) -> None:
    """What was not sent is gone."""
    stream._blocks.clear()
    stream._blocks.append(b"")
    stream._size, stream._block = 0, b""


def drop_the_newest(stream: Stream) -> bool:
    stream._blocks.reverse()
    is_dropping = Stream._keep_limit(stream)
    stream._blocks.reverse()
    return is_dropping


def go_on_within_a_message(stream: Stream) -> None:
    sent = stream._sent
    Stream._disconnect(stream)
    stream._sent = sent


WITHIN_A_MESSAGE = twin(Stream, "goes on within", "_disconnect", instead=go_on_within_a_message)
LEAVES = twin(Stream, "just leaves", "close", instead=lambda self, wait=True: self._disconnect())
WAITS = twin(Stream, "waits", "close", instead=lambda self, wait=True: Stream.close(self))
DROPS_THE_NEWEST = twin(Stream, "drops the newest", "_keep_limit", instead=drop_the_newest)
RESTLESS = twin(Stream, "tries at every look", "flush", first=lambda self: vars(self).update(_retry_at=0))
FORGETS = twin(Stream, "forgets", "_fail", then=forget)
SAYS_EACH = says_each(Stream, "_fail", "_trouble")
NEVER_LOOKS = twin(Stream, "never looks", "_look_for_the_end", instead=nothing)
test_promise, _test_twin = promises(
    Promise(a_connection_that_never_comes_about_is_given_up, None, [Doubled("network.tcp:PATIENCE")]),
    Promise(silence_is_not_waited_out_for_long, None, [Doubled("network.tcp:SILENCE")]),
    Promise(messages_are_whole_after_a_break, Stream, [WITHIN_A_MESSAGE]),
    Promise(the_end_sends_the_rest, Stream, [LEAVES]),
    Promise(the_end_does_not_wait_for_long, Stream, [WAITS, Doubled("network.tcp:LAST_ROUNDS")]),
    Promise(costs_a_bounded_backlog, Stream, [DROPS_THE_NEWEST, Doubled("network.tcp:LIMIT")]),
    Promise(is_tried_again, Stream, [RESTLESS, FORGETS, SAYS_EACH, Doubled("network.tcp:LAST_RETRY")]),
    Promise(a_restart_between_windows_costs_nothing, Stream, [NEVER_LOOKS], caught=(TimeoutError,)),
)
test_twin = pytest.mark.usefixtures("impatient")(_test_twin)
