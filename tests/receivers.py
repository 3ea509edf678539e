"""Receivers that are dead, and receivers that hang, for each output that can be configured."""

import itertools
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# Small: what a receiver does not read is soon felt. It must be set before a connection comes.
BUFFER = 4096  # bytes


class Receivers:
    """What stands at the other end. Each method gives the table's text of one output."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sockets: list[socket.socket] = []
        self._ports: list[int] = []  # of those that ask us
        self._names = map("{}.prom".format, itertools.count())

    def close(self) -> None:
        """Let all of it go."""
        for each in self._sockets:
            each.close()

    # --- dead: nobody is there

    def refused_stream(self) -> str:
        """The port is taken, and nobody listens there."""
        return _port(self._bound(socket.SOCK_STREAM))

    def refused_datagrams(self) -> str:
        """A socket takes its peer's datagrams alone: for those of others the kernel says ECONNREFUSED."""
        receiver, peer = self._bound(socket.SOCK_DGRAM), self._bound(socket.SOCK_DGRAM)
        receiver.connect(peer.getsockname())
        return _port(receiver)

    def taken_address(self) -> str:
        """Somebody else listens where the output wants to."""
        other = self._bound(socket.SOCK_STREAM)
        other.listen()
        return f'listen = "127.0.0.1:{other.getsockname()[1]}"\n'

    def missing_directory(self) -> str:
        """Where a file is to be, a directory is missing."""
        return f'path = "{self._root}/missing/{next(self._names)}"\n'

    # --- hanging: somebody is there, and does nothing

    def never_reads(self) -> str:
        """The kernel takes the connection, and what fits into its buffers."""
        listener = self._bound(socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        listener.listen()
        return _port(listener)

    def never_accepts(self) -> str:
        """Others wait already, as many as may: a connection is not even refused."""
        listener = self._bound(socket.SOCK_STREAM)
        listener.listen(0)
        for _ in range(3):
            waiting = socket.socket()
            self._sockets.append(waiting)
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        return _port(listener)

    def unread_datagrams(self) -> str:
        """A socket that nobody reads."""
        receiver = self._bound(socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        return _port(receiver)

    def idle_clients(self) -> str:
        """Clients come when `call` is called."""
        free = self._bound(socket.SOCK_STREAM)
        self._ports.append(free.getsockname()[1])
        free.close()
        return f'listen = "127.0.0.1:{self._ports[-1]}"\n'

    def call(self) -> None:
        """Some never end their request, others never read the answer."""
        for port in self._ports:
            for request in (b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: us\r\n\r\n"):
                for _ in range(10):
                    client = socket.socket()
                    self._sockets.append(client)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
                    client.connect(("127.0.0.1", port))
                    client.send(request)

    def fifo(self) -> str:
        """A FIFO that nobody reads."""
        path = self._root / next(self._names)
        os.mkfifo(path)
        return f'path = "{path}"\n'

    def _bound(self, kind: socket.SocketKind) -> socket.socket:
        made = socket.socket(socket.AF_INET, kind)
        self._sockets.append(made)
        made.bind(("127.0.0.1", 0))
        return made


def _port(receiver: socket.socket) -> str:
    return f'host = "127.0.0.1"\nport = {receiver.getsockname()[1]}\n'


Ends = dict[str, Callable[[Receivers], str]]  # by output

DEAD: Ends = {
    "prometheus": Receivers.taken_address,
    "ganglia": Receivers.refused_datagrams,
    "statsd": Receivers.refused_datagrams,
    "graphite": Receivers.refused_stream,
    "json": Receivers.missing_directory,
    "textfile": Receivers.missing_directory,
}
HANGING: Ends = {
    "prometheus": Receivers.idle_clients,
    "ganglia": Receivers.unread_datagrams,
    "statsd": Receivers.unread_datagrams,
    "graphite": Receivers.never_reads,
    "json": Receivers.fifo,
    "textfile": Receivers.fifo,
}
UNCONNECTED: Ends = HANGING | {"graphite": Receivers.never_accepts}


def tables(ends: Ends, receivers: Receivers) -> str:
    """The configuration of these outputs."""
    return "".join(f"[output.{name}]\n{end(receivers)}" for name, end in ends.items())
