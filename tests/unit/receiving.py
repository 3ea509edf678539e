"""Receivers on loopback, and names that are looked up when a test says so."""

import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from qps_service.network.resolver import Resolver
from qps_service.notices.kinds import Notice
from qps_service.notices.trouble import Trouble

DEADLINE = 10  # seconds that a test which fails may take
RESUMED = "it takes metrics again"
NOW = 5_000 * 1_000_000_000


def until(condition: Callable[[], object]) -> None:
    """Return when `condition` holds: the kernel may take a moment, even on loopback."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it never came"
        os.sched_yield()


class Said:
    """What a Trouble said."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.trouble = Trouble(self.notices.append, RESUMED)

    @property
    def texts(self) -> list[str]:
        return [notice.text for notice in self.notices]


class Sending:
    """A transport to a port of this machine, at injected times, and what it said."""

    def __init__(self, make: Callable[..., Any], port: int, host: str = "127.0.0.1", **keywords: Any) -> None:
        self.said = Said()
        self.to = f"{host}:{port}"
        self.slept: list[float] = []
        self.output = make(host, port, self.said.trouble, **{"sleep": self.slept.append} | keywords)

    def window(self, *messages: bytes, now: int = NOW, **keywords: Any) -> None:
        """Send these, as far as they leave at once."""
        self.output.send(messages, **keywords)
        self.output.flush(now)

    @property
    def texts(self) -> list[str]:
        return self.said.texts

    @property
    def failures(self) -> int:
        return self.said.trouble.failures

    def failing(self, why: str) -> str:
        """What is said then."""
        return f"cannot send to {self.to}: {why}"

    def hear(self, failures: int = 1) -> None:
        """Flush until so many failures are known."""

        def heard() -> bool:
            self.output.flush(NOW)
            return self.failures == failures

        until(heard)


class UdpReceiver:
    """A bound UDP socket."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET, port: int = 0) -> None:
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        self.port: int = self.socket.getsockname()[1]

    def receive(self, count: int = 0) -> list[bytes]:
        """What is there, when there are `count` datagrams or none came for long."""
        received: list[bytes] = []
        while select.select([self.socket], [], [], DEADLINE if len(received) < count else 0)[0]:
            received.append(self.socket.recv(65536))
        return received

    def close(self) -> None:
        self.socket.close()


class TcpReceiver:
    """A listening TCP socket, and the connections it took."""

    def __init__(self, port: int = 0, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.bind(("127.0.0.1", port))
        self.socket.listen()
        self.port: int = self.socket.getsockname()[1]
        self.connection: socket.socket | None = None

    def accept(self, patience: float = DEADLINE) -> None:
        self.socket.settimeout(patience)
        self.connection, _ = self.socket.accept()
        self.connection.setblocking(False)

    def receive(self) -> bytes:
        """What is there now."""
        assert self.connection
        received = b""
        while select.select([self.connection], [], [], 0)[0]:
            data = self.connection.recv(1 << 20)
            if not data:
                break
            received += data
        return received

    def hang_up(self) -> None:
        """Reset the connection."""
        assert self.connection
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, (1).to_bytes(4, "little") + bytes(4))
        self.connection.close()
        self.connection = None

    def close(self) -> None:
        if self.connection:
            self.hang_up()
        self.socket.close()


def closed_port(kind: type[UdpReceiver] | type[TcpReceiver]) -> int:
    """Where nobody listens."""
    receiver = kind()
    receiver.close()
    return receiver.port


class Names:
    """A name service: lookups begin when asked for, and end when the test says so."""

    AGAIN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def __init__(self, *addresses: tuple[str, int], fails: bool = False) -> None:
        self.addresses: list[tuple[str, int]] = list(addresses)
        self.error: OSError | None = self.AGAIN if fails else None
        self.begun = 0
        self._tasks: list[Callable[[], None]] = []

    def resolver(self, host: str, port: int, kind: socket.SocketKind = socket.SOCK_DGRAM) -> Resolver:
        """One that asks here."""
        return Resolver(host, port, kind, look_up=self.look_up, begin=self.begin)

    def begin(self, task: Callable[[], None]) -> None:
        self.begun += 1
        self._tasks.append(task)

    def look_up(self, *asked: Any) -> list[Any]:
        if self.error:
            raise self.error
        return [
            (socket.AF_INET6 if ":" in host else socket.AF_INET, asked[3], 17, "", (host, port))
            for host, port in self.addresses
        ]

    def finish(self) -> None:
        """Let the lookups under way end."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task()
