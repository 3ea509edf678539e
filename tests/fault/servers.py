"""The real servers that scripts/setup.sh unpacks: one of them on loopback, from its start to its end."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.fault.program import GUARD, ROOT, until

SERVERS = ROOT / ".cache" / "servers" / "usr"
LIBRARIES = SERVERS / "lib" / f"{os.uname().machine}-linux-gnu"
IS_ROOT = os.geteuid() == 0


@contextmanager
def serving(
    command: Sequence[str | Path], directory: Path, port: int, stop: signal.Signals, **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """A server with its workers, once it listens at this port. `stop` ends it when it has answered and logged
    all. What it prints is in `directory`/out.log."""
    said = directory / "out.log"
    with said.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, "LD_LIBRARY_PATH": str(LIBRARIES), **environment},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )

    def listens() -> bool:
        assert process.poll() is None, said.read_text()
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), GUARD):
            return True
        return False

    try:
        until(listens, f"{command[0]} to listen")
        yield process
        assert process.poll() is None, said.read_text()
        process.send_signal(stop)
        assert process.wait(GUARD) in (0, -stop), said.read_text()
    finally:
        with suppress(ProcessLookupError):  # it has ended, and so have its workers
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
