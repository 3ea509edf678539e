"""The TCP transport: never waiting, bounded, whole messages. Real sockets on loopback, injected time."""

import errno
import os
import socket
from collections.abc import Callable, Iterator

import pytest

from qps_service.network.resolver import Resolver
from qps_service.network.tcp import FIRST_RETRY, LAST_ROUNDS, LIMIT, PATIENCE, Stream
from tests.unit.receiving import RESUMED, Names, Said, TcpReceiver, until

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


def refusal(port: int) -> str:
    return f"cannot send to 127.0.0.1:{port}: Connection refused"


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


def check_backoff(make: Make) -> None:
    """It tries after one second, two, four, up to sixty; it says so once; what is not sent is kept."""
    said, port = Said(), closed_port()
    output = make("127.0.0.1", port, said.trouble)
    output.send(messages(1, 1))
    tried = []
    for second in range(300):
        before = said.trouble.failures
        output.flush(NOW + second * 1_000_000_000)
        if said.trouble.failures > before:
            tried.append(second)
    assert tried == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert said.texts == [refusal(port)]

    receiver = TcpReceiver(port)
    output.send(messages(2, 1))
    output.flush(NOW + 303 * 1_000_000_000)
    receiver.accept()
    assert receive(output, receiver, 200) == messages(1, 1)[0] + messages(2, 1)[0]
    assert said.texts == [refusal(port)]
    output.send(messages(3, 1))
    assert said.texts == [refusal(port), RESUMED]
    receiver.close()


class Hasty(Stream):
    """A broken twin: tries at every look."""

    def flush(self, now: int) -> None:
        self._retry_at = 0
        super().flush(now)


class Forgets(Stream):
    """A broken twin: what was not sent is gone."""

    def _fail(self, why: str | None) -> None:
        super()._fail(why)
        self._blocks.clear()
        self._size, self._block = 0, b""
        self._blocks.append(b"")


class SaysEach(Stream):
    """A broken twin: says each failure."""

    def _fail(self, why: str | None) -> None:
        self._trouble._is_failing = False
        super()._fail(why)


class TooGlad(Stream):
    """A broken twin: glad of a connection, whatever comes of it."""

    def _finish_connecting(self, coming: socket.socket) -> None:
        super()._finish_connecting(coming)
        self._trouble.works()


def test_a_receiver_that_is_away_is_tried_again() -> None:
    check_backoff(Stream)


@pytest.mark.twin
@pytest.mark.parametrize("twin", [Hasty, Forgets, SaysEach, TooGlad])
def test_other_ways_to_try_again_are_caught(twin: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.receiving.DEADLINE", 0.2)
    with pytest.raises(AssertionError):
        check_backoff(twin)


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


def check_hanging(make: Make) -> None:
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


class Unbounded(Stream):
    """A broken twin: keeps everything."""

    def _keep_limit(self) -> None:
        pass


class DropsTheNewest(Stream):
    """A broken twin: what is old stays."""

    def _keep_limit(self) -> None:
        self._blocks.reverse()
        super()._keep_limit()
        self._blocks.reverse()


class DropsParts(Stream):
    """A broken twin: drops what it was just sending."""

    def _keep_limit(self) -> None:
        if self._size > LIMIT:
            self._block, self._sent = b"", 0
        super()._keep_limit()


def test_a_receiver_that_hangs_costs_a_bounded_backlog() -> None:
    check_hanging(Stream)


@pytest.mark.twin
@pytest.mark.parametrize("twin", [Unbounded, DropsTheNewest, DropsParts])
def test_other_backlogs_are_caught(twin: Make) -> None:
    with pytest.raises(AssertionError):
        check_hanging(twin)


# --- a connection that breaks


def check_broken(make: Make) -> None:
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


class GoesOn(Stream):
    """A broken twin: goes on in the middle of a message."""

    def _disconnect(self) -> None:
        sent = self._sent
        super()._disconnect()
        self._sent = sent


class Skips(Stream):
    """A broken twin: what was sent in part is never sent whole."""

    def _disconnect(self) -> None:
        if self._sent:
            self._block = self._blocks.popleft()[50:]
        super()._disconnect()


def test_messages_are_whole_after_a_connection_broke() -> None:
    check_broken(Stream)


@pytest.mark.twin
@pytest.mark.parametrize("twin", [GoesOn, Skips])
def test_cut_messages_are_caught(twin: Make) -> None:
    with pytest.raises(AssertionError):
        check_broken(twin)


def check_restart(make: Make) -> None:
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


class NeverLooks(Stream):
    """A broken twin: writes into a connection whose other end is closed."""

    def _look_for_the_end(self, connection: socket.socket) -> None:
        pass


def test_a_restart_between_two_windows_costs_nothing() -> None:
    check_restart(Stream)


@pytest.mark.twin
def test_a_restart_between_two_windows_costs_nothing_catches_its_twin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.unit.receiving.DEADLINE", 0.2)
    with pytest.raises((AssertionError, TimeoutError)):
        check_restart(NeverLooks)


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


def test_a_sandbox_without_sockets_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Said()

    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    output = Stream("127.0.0.1", 2003, said.trouble)
    monkeypatch.setattr(socket, "socket", refuse)
    output.send(messages(1, 1))
    output.flush(NOW)
    assert said.texts == ["cannot send to 127.0.0.1:2003: Address family not supported by protocol"]


def check_end(make: Make, receiver: TcpReceiver) -> None:
    """What waits is sent, as the receiver takes it."""
    said = Said()
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


class JustLeaves(Stream):
    """A broken twin: the end is the end."""

    def close(self, *, wait: bool = True) -> None:
        self._disconnect()


def test_the_end_sends_the_rest(receiver: TcpReceiver) -> None:
    check_end(Stream, receiver)


@pytest.mark.twin
def test_another_end_is_caught(receiver: TcpReceiver) -> None:
    with pytest.raises(AssertionError):
        check_end(JustLeaves, receiver)


def check_dismissed(make: Make) -> None:
    """The counting goes on meanwhile: there is no wait, and what is dropped is said."""
    said = Said()
    slept: list[float] = []
    port = closed_port()
    output = make("127.0.0.1", port, said.trouble, sleep=slept.append)
    output.send(messages(1, 1))
    output.close(wait=False)
    assert slept == []
    assert said.trouble.failures == 2  # nobody is there, and so it is dropped


class Waits(Stream):
    """A broken twin: whoever is dismissed is waited for as at the end."""

    def close(self, *, wait: bool = True) -> None:
        super().close()


def test_who_is_dismissed_is_not_waited_for() -> None:
    check_dismissed(Stream)


@pytest.mark.twin
def test_who_is_dismissed_is_not_waited_for_catches_its_twin() -> None:
    with pytest.raises(AssertionError):
        check_dismissed(Waits)


def test_the_end_does_not_wait_for_long(receiver: TcpReceiver) -> None:
    said = Said()
    slept: list[float] = []
    output = Stream("127.0.0.1", closed_port(), said.trouble, sleep=slept.append)
    output.send(messages(1, 1))
    output.close()
    assert sum(slept) == pytest.approx(1)
    assert len(slept) == LAST_ROUNDS
    assert len(said.texts) == 1
