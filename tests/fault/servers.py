"""The real servers that scripts/setup.sh unpacks: one of them on loopback, from its start to its end."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from tests.fault.program import GUARD, ROOT, until

SERVERS = ROOT / ".cache" / "servers" / "usr"
LIBRARIES = SERVERS / "lib" / f"{os.uname().machine}-linux-gnu"
IS_ROOT = os.geteuid() == 0


Command = Sequence[str | Path]


class Server:
    """A program with its workers, which listens at `port` until it is closed."""

    def __init__(
        self, command: Command, directory: Path, port: int, *, said: str = "out.log", **environment: str
    ) -> None:
        """What it prints is in `said`, a file in `directory`, where it runs."""
        self.port, self.said = port, directory / said
        self._command, self._environment = command, environment
        self.start()

    def start(self) -> None:
        """Return when it listens."""
        with self.said.open("ab") as out:
            self.process = subprocess.Popen(
                self._command,
                cwd=self.said.parent,
                env={**os.environ, "LD_LIBRARY_PATH": str(LIBRARIES), **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            until(self._listens, f"{self._command[0]} to listen")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """It is gone when this returns, and so are its workers; a second time does nothing."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def check(self) -> None:
        """It lives."""
        assert self.process.poll() is None, self.said.read_text(errors="replace")

    def _listens(self) -> bool:
        self.check()
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port), GUARD):
            return True
        return False


@contextmanager
def serving(
    command: Command, directory: Path, port: int, stop: signal.Signals, **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """A server once it listens. `stop` ends it when it has answered and logged all."""
    with Server(command, directory, port, **environment) as server:
        yield server.process
        server.check()
        server.process.send_signal(stop)
        assert server.process.wait(GUARD) in (0, -stop), server.said.read_text()
