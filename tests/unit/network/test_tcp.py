"""The TCP transport: never waiting, bounded, whole messages. Real sockets on loopback, injected time."""

import socket
from collections.abc import Callable, Iterator

import pytest

from qps_service.network.resolver import Resolver
from qps_service.network.tcp import FIRST_RETRY, LAST_ROUNDS, LIMIT, PATIENCE, Stream
from tests.promised import Check, Promise, caught, kept
from tests.unit import receiving
from tests.unit.receiving import RESUMED, Names, Said, TcpReceiver, until
from tests.unit.twins import nothing, says_each, twin

NOW = 5_000 * 1_000_000_000
TEN = 10 * 1_000_000_000  # between two reports, nanoseconds

Make = Callable[..., Stream]

pytestmark = pytest.mark.usefixtures("tidy_sockets")


@pytest.fixture
def receiver() -> Iterator[TcpReceiver]:
    receiver = TcpReceiver()
    yield receiver
    receiver.close()


def closed_port() -> int:
    receiver = TcpReceiver()
    receiver.close()
    return receiver.port


def messages(window: int, count: int, size: int = 100) -> list[bytes]:
    return [b"%06d.%06d" % (window, number) + b"." * (size - 14) + b"\n" for number in range(count)]


def hear(output: Stream, said: Said) -> None:
    """Flush until something is said."""

    def heard() -> bool:
        output.flush(NOW)
        return bool(said.texts)

    until(heard)


def receive(output: Stream, receiver: TcpReceiver, size: int) -> bytes:
    """Receive so many bytes, with the loop going on."""
    received = b""

    def arrived() -> bool:
        nonlocal received
        output.flush(output.due() or NOW)
        received += receiver.receive()
        return len(received) >= size

    until(arrived)
    return received


# --- what is sent


def test_messages_arrive_at_once_and_in_order(receiver: TcpReceiver) -> None:
    said = Said()
    output = Stream("127.0.0.1", receiver.port, said.trouble)
    output.send(messages(1, 100))
    output.flush(NOW)
    receiver.accept()
    assert receive(output, receiver, 10_000) == b"".join(messages(1, 100))
    output.send(messages(2, 1))
    output.flush(NOW)
    assert receive(output, receiver, 100) == messages(2, 1)[0]
    assert output.due() is None
    assert said.texts == []
    output.close()


def test_what_a_receiver_says_is_thrown_away(receiver: TcpReceiver) -> None:
    said = Said()
    output = Stream("127.0.0.1", receiver.port, said.trouble)
    output.send(messages(1, 1))
    output.flush(NOW)
    receiver.accept()
    assert receiver.connection
    for window in range(2, 5):
        receiver.connection.sendall(b"HTTP/1.1 400 Bad Request\r\n" * 2000)
        output.send(messages(window, 1))
        output.flush(NOW)
    assert receive(output, receiver, 400) == b"".join(messages(window, 1)[0] for window in range(1, 5))
    assert said.texts == []


# --- nobody there


def is_tried_again(make: Make) -> None:
    """It tries after one second, two, four, up to sixty; it says so once; what is not sent is kept."""
    said, port = Said(), closed_port()
    refused = f"cannot send to 127.0.0.1:{port}: Connection refused"
    output = make("127.0.0.1", port, said.trouble)
    output.send(messages(1, 1))
    tried = []
    for second in range(300):
        before = said.trouble.failures
        output.flush(NOW + second * 1_000_000_000)
        if said.trouble.failures > before:
            tried.append(second)
    assert tried == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert said.texts == [refused]

    receiver = TcpReceiver(port)
    output.send(messages(2, 1))
    output.flush(NOW + 303 * 1_000_000_000)
    receiver.accept()
    assert receive(output, receiver, 200) == messages(1, 1)[0] + messages(2, 1)[0]
    assert said.texts == [refused]
    output.send(messages(3, 1))
    assert said.texts == [refused, RESUMED]
    receiver.close()


def test_nothing_is_tried_while_there_is_nothing_to_send() -> None:
    said = Said()
    output = Stream("127.0.0.1", closed_port(), said.trouble)
    output.flush(NOW)
    output.close()
    assert said.trouble.failures == 0


def test_a_connection_that_never_comes_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener whose queue is full leaves SYNs without an answer."""
    said = Said()
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = full.getsockname()[1]
    fillers = [socket.socket() for _ in range(3)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
    output = Stream("127.0.0.1", port, said.trouble)
    output.send(messages(1, 1))
    for now in (NOW, NOW + PATIENCE - 1):
        output.flush(now)
        assert said.texts == []
    output.flush(NOW + PATIENCE)
    assert said.texts == [f"cannot send to 127.0.0.1:{port}: no answer"]


# --- a receiver that hangs


def costs_a_bounded_backlog(make: Make) -> None:
    """Nothing waits, memory is bounded, what is dropped is the oldest, whole, and it is said once."""
    said, receiver = Said(), TcpReceiver(receive_buffer=4096)
    output = make("127.0.0.1", receiver.port, said.trouble)
    windows = 15
    for window in range(windows):
        output.send(messages(window, 10_000))
        output.flush(NOW + window * TEN)
        if window == 0:
            receiver.accept()
        assert output._size <= LIMIT
    assert said.texts == [f"127.0.0.1:{receiver.port} takes no metrics; dropping the oldest"]
    assert 0 < said.trouble.failures <= windows

    # It reads again: what it took first, and the latest.
    received = receive(output, receiver, LIMIT - 100_000)

    def is_empty() -> bool:
        nonlocal received
        output.flush(output.due() or NOW)
        received += receiver.receive()
        return not output._is_waiting and received.endswith(everything[-1])

    everything = [line for window in range(windows) for line in messages(window, 10_000)]
    until(is_empty)  # what the kernel has taken arrives later
    lines = received.splitlines(keepends=True)
    assert lines[-10_000:] == everything[-10_000:]
    assert lines == sorted(set(lines))
    assert set(lines) <= set(everything)
    assert said.texts[1:] == []
    output.send([])
    assert said.texts[1:] == [RESUMED]
    receiver.close()


# --- a connection that breaks


def messages_are_whole_after_a_break(make: Make) -> None:
    """After a connection broke in the middle of a message, the next one begins with a whole one, and what
    the first had not taken whole comes again."""
    said, receiver = Said(), TcpReceiver(receive_buffer=4096)
    output = make("127.0.0.1", receiver.port, said.trouble)
    sent = messages(1, 30_000)
    output.send(sent)
    output.flush(NOW)
    receiver.accept()
    first = receive(output, receiver, 50_000)
    receiver.hang_up()
    hear(output, said)
    assert said.trouble.failures == 1
    waiting = len(output._block) + output._size
    output.flush(NOW + FIRST_RETRY)
    receiver.accept()

    received = b""

    def is_empty() -> bool:
        nonlocal received
        output.flush(output.due() or NOW + FIRST_RETRY)
        received += receiver.receive()
        return received.endswith(sent[-1])

    until(is_empty)
    lines = received.splitlines(keepends=True)
    assert lines == sent[-len(lines) :], "it does not begin with a whole message"
    assert len(received) == waiting
    assert first == b"".join(sent)[: len(first)]
    receiver.close()


def a_restart_between_windows_costs_nothing(make: Make) -> None:
    """A receiver that is started anew between two windows misses nothing, and nothing is said."""
    said, receiver = Said(), TcpReceiver()
    output = make("127.0.0.1", receiver.port, said.trouble)
    output.send(messages(1, 1))
    output.flush(NOW)
    receiver.accept()
    assert receive(output, receiver, 100) == messages(1, 1)[0]
    assert receiver.connection
    receiver.connection.close()
    receiver.connection = None

    def is_closed() -> bool:
        output.flush(NOW + TEN - 1)
        return output._socket is None

    until(is_closed)
    output.send(messages(2, 1))
    output.flush(NOW + TEN)
    receiver.accept()
    assert receive(output, receiver, 100) == messages(2, 1)[0]
    assert said.texts == []
    receiver.close()


def test_a_reset_is_a_failure_even_when_all_was_sent(receiver: TcpReceiver) -> None:
    said = Said()
    output = Stream("127.0.0.1", receiver.port, said.trouble)
    output.send(messages(1, 1))
    output.flush(NOW)
    receiver.accept()
    receiver.hang_up()
    hear(output, said)
    assert said.texts == [f"cannot send to 127.0.0.1:{receiver.port}: Connection reset by peer"]


# --- names, sandboxes, the end


def test_a_name_is_looked_up_beside_the_loop(receiver: TcpReceiver) -> None:
    names, said = Names(("127.0.0.1", closed_port()), ("127.0.0.1", receiver.port)), Said()
    resolver = Resolver(
        "carbon.example", receiver.port, socket.SOCK_STREAM, look_up=names.look_up, begin=names.begin
    )
    output = Stream("carbon.example", receiver.port, said.trouble, resolver=resolver)
    output.send(messages(1, 1))
    for _ in range(3):
        output.flush(NOW)
    assert (names.begun, said.texts) == (1, [])
    names.finish()
    output.flush(NOW)  # the first address refuses
    assert said.texts == [f"cannot send to carbon.example:{receiver.port}: Connection refused"]
    output.flush(NOW + FIRST_RETRY)
    receiver.accept()
    assert receive(output, receiver, 100) == messages(1, 1)[0]


def test_a_name_that_leads_nowhere_is_said() -> None:
    names, said = Names(), Said()
    names.error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    resolver = Resolver("nowhere", 2003, socket.SOCK_STREAM, look_up=names.look_up, begin=names.begin)
    output = Stream("nowhere", 2003, said.trouble, resolver=resolver)
    output.send(messages(1, 1))
    output.flush(NOW)
    names.finish()
    output.flush(NOW)
    assert said.texts == ["cannot send to nowhere:2003: Name or service not known"]


def the_end_sends_the_rest(make: Make) -> None:
    """What waits is sent, as the receiver takes it."""
    said, receiver = Said(), TcpReceiver()
    received = []

    def sleep(_seconds: float) -> None:
        if not receiver.connection:
            receiver.accept()
        received.append(receiver.receive())

    output = make("127.0.0.1", receiver.port, said.trouble, sleep=sleep)
    sent = messages(1, 40_000)
    output.send(sent)
    output.flush(NOW)
    output.close()
    if not receiver.connection:
        receiver.accept()
    assert receiver.connection
    receiver.connection.setblocking(True)
    while data := receiver.connection.recv(1 << 20):
        received.append(data)
    assert b"".join(received) == b"".join(sent)
    assert said.texts == []
    receiver.close()


def who_is_dismissed_is_not_waited_for(make: Make) -> None:
    """The counting goes on meanwhile: there is no wait, and what is dropped is said."""
    said = Said()
    slept: list[float] = []
    port = closed_port()
    output = make("127.0.0.1", port, said.trouble, sleep=slept.append)
    output.send(messages(1, 1))
    output.close(wait=False)
    assert slept == []
    assert said.trouble.failures == 2  # nobody is there, and so it is dropped


def test_the_end_does_not_wait_for_long(receiver: TcpReceiver) -> None:
    said = Said()
    slept: list[float] = []
    output = Stream("127.0.0.1", closed_port(), said.trouble, sleep=slept.append)
    output.send(messages(1, 1))
    output.close()
    assert sum(slept) == pytest.approx(1)
    assert len(slept) == LAST_ROUNDS
    assert len(said.texts) == 1


# --- the promises


def forget(stream: Stream) -> None:
    """What was not sent is gone."""
    stream._blocks.clear()
    stream._blocks.append(b"")
    stream._size, stream._block = 0, b""


def drop_the_newest(stream: Stream) -> None:
    stream._blocks.reverse()
    Stream._keep_limit(stream)
    stream._blocks.reverse()


def drop_what_is_being_sent(stream: Stream) -> None:
    if stream._size > LIMIT:
        stream._block, stream._sent = b"", 0


def go_on_within_a_message(stream: Stream) -> None:
    sent = stream._sent
    Stream._disconnect(stream)
    stream._sent = sent


def skip_what_was_sent_in_part(stream: Stream) -> None:
    if stream._sent:
        stream._block = stream._blocks.popleft()[50:]


PROMISES = [
    Promise(
        costs_a_bounded_backlog,
        [
            twin(Stream, "keeps all", "_keep_limit", instead=nothing),
            twin(Stream, "drops the newest", "_keep_limit", instead=drop_the_newest),
            twin(Stream, "drops parts", "_keep_limit", first=drop_what_is_being_sent),
        ],
    ),
    Promise(
        messages_are_whole_after_a_break,
        [
            twin(Stream, "goes on within a message", "_disconnect", instead=go_on_within_a_message),
            twin(Stream, "skips", "_disconnect", first=skip_what_was_sent_in_part),
        ],
    ),
    Promise(
        the_end_sends_the_rest,
        [twin(Stream, "just leaves", "close", instead=lambda self, wait=True: self._disconnect())],
    ),
    Promise(
        who_is_dismissed_is_not_waited_for,
        [twin(Stream, "waits", "close", instead=lambda self, wait=True: Stream.close(self))],
    ),
]
# What a twin of these sends never comes.
AWAITED = [
    Promise(
        is_tried_again,
        [
            twin(Stream, "tries at every look", "flush", first=lambda self: vars(self).update(_retry_at=0)),
            twin(Stream, "forgets", "_fail", then=forget),
            says_each(Stream, "_fail", "_trouble"),
            twin(Stream, "too glad", "_finish_connecting", then=lambda self: self._trouble.works()),
        ],
    ),
    Promise(
        a_restart_between_windows_costs_nothing,
        [twin(Stream, "never looks", "_look_for_the_end", instead=nothing)],
    ),
]


@kept([*PROMISES, *AWAITED])
def test_promise(check: Check) -> None:
    check(Stream)


@caught(PROMISES)
def test_twin_is_caught(check: Check, twin: Make) -> None:
    with pytest.raises(AssertionError):
        check(twin)


@caught(AWAITED)
def test_twin_that_keeps_waiting_is_caught(check: Check, twin: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "DEADLINE", 0.2)
    with pytest.raises((AssertionError, TimeoutError)):
        check(twin)
