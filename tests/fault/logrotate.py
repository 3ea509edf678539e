"""The real logrotate, which waits wherever its configuration says `@moment@ NAME`, until the test goes on."""

import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

# Without faketime(1), which leaves a name in /dev/shm when it is killed. ld.so puts in what $LIB stands for.
LIBFAKETIME = "/usr/$LIB/faketime/libfaketime.so.1"
AT_WORK = ""  # what it gives while it has come to no moment


class Logrotate:
    """One configuration, and the state file that goes with it."""

    def __init__(self, root: Path, configuration: str) -> None:
        """`root` is a directory for its own files."""
        root.mkdir()
        self._root = root
        self._ask, self._go = root / "ask", root / "go"
        for fifo in (self._ask, self._go):
            os.mkfifo(fifo)
        self._moment = self.script("moment", f'echo "$1" >{self._ask}\nread -r _ <{self._go}\n')
        self._configuration = root / "logrotate.conf"
        self._configuration.write_text(self._with_moments(configuration))

    def _with_moments(self, text: str) -> str:
        return text.replace("@moment@", str(self._root / "moment")).replace("@own@", str(self._root))

    def script(self, name: str, text: str) -> Path:
        """A program for the configuration to call, as `@own@/NAME`."""
        path = self._root / name
        path.write_text(f"#!/bin/sh\nset -e\n{self._with_moments(text)}")
        path.chmod(0o755)
        return path

    def __call__(self, *options: str, at: float | None = None, pause: float | None = None) -> Iterator[str]:
        """Run it, and give each moment that it has come to; it goes on with the next. `at`: Unix time that it
        is told. `pause`: AT_WORK is given when it works for so many seconds."""
        environment = {**os.environ, "NO_FAKE_STAT": "1", "TZ": "UTC"}
        command = ["logrotate", *options, "-s", str(self._root / "state"), str(self._configuration)]
        if at is not None:
            environment |= {
                "FAKETIME": time.strftime("@%Y-%m-%d %H:%M:%S", time.gmtime(at)),
                "LD_PRELOAD": LIBFAKETIME,
            }
        # Opened for both, so that neither end has to wait for the other.
        ask, go = (os.open(fifo, os.O_RDWR | os.O_CLOEXEC) for fifo in (self._ask, self._go))
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
        end = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(ask, select.POLLIN)
            poll.register(end, select.POLLIN)
            while True:
                ready = [descriptor for descriptor, _ in poll.poll(None if pause is None else pause * 1000)]
                if not ready:
                    yield AT_WORK
                elif ask in ready:
                    yield os.read(ask, 64).decode().strip()
                    os.write(go, b"\n")
                else:
                    break
            status = process.wait()
            assert status == 0, f"logrotate ended with {status}"
        finally:
            process.kill()
            process.wait()
            for descriptor in (ask, go, end):
                os.close(descriptor)
