"""The real receivers of metrics, on loopback: StatsD itself, and Graphite's carbon; from scripts/setup.sh."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.fault.program import GUARD, ROOT, free_port
from tests.fault.servers import SERVERS, serving

STATSD = ROOT / ".cache" / "statsd" / "node_modules" / "statsd" / "stats.js"
PACKAGES = SERVERS / "lib" / "python3" / "dist-packages"
PYTHON = "/usr/bin/python3"  # Debian's, for which the packages are

CARBON = """
[cache]
STORAGE_DIR = {root}
LOCAL_DATA_DIR = {root}/whisper
CONF_DIR = {root}
LOG_DIR = {root}
PID_DIR = {root}
USER =
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = {port}
PICKLE_RECEIVER_PORT = 0
CACHE_QUERY_PORT = 0
MAX_UPDATES_PER_SECOND = inf
MAX_CREATES_PER_MINUTE = inf
ENABLE_LOGROTATION = False
ENABLE_TAGS = False
"""
SCHEMAS = "[all]\npattern = .*\nretentions = 1s:1h\n"
# Prints what carbon has stored: path -> [value, ...], oldest first.
READ = """
import json, os, sys, whisper
found = {}
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(folder, name)
        key = os.path.relpath(path, sys.argv[1]).removesuffix(".wsp").replace("/", ".")
        found[key] = [value for value in whisper.fetch(path, 0)[1] if value is not None]
print(json.dumps(found))
"""


class Statsd:
    """StatsD, which never flushes: its counters are sums since its start."""

    def __init__(self, root: Path) -> None:
        self.port = free_port()
        self._root = root
        self._management = free_port()

    @contextmanager
    def running(self) -> Iterator["Statsd"]:
        """Until the block ends."""
        self._root.mkdir()
        configuration = {
            "address": "127.0.0.1",
            "port": self.port,
            "mgmt_address": "127.0.0.1",
            "mgmt_port": self._management,
            "flushInterval": 86_400_000,
            "backends": [],
        }
        (self._root / "config.js").write_text(json.dumps(configuration))
        with serving(["node", STATSD, "config.js"], self._root, self._management, signal.SIGKILL):
            yield self

    def values(self, what: str) -> dict[str, float]:
        """Its `counters` or `gauges`, as Node prints an object."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self._management), timeout=GUARD) as connection:
            connection.sendall(f"{what}\n".encode())
            while not answer.endswith(b"END\n\n"):
                answer += connection.recv(1 << 20)
        return {
            name: float(value) for name, value in re.findall(r"([\w.;=-]+)'?: ([-\d.e+]+)", answer.decode())
        }


class Carbon:
    """carbon-cache, which writes at once, with a value for each second."""

    def __init__(self, root: Path) -> None:
        self.port = free_port()
        self._root = root
        self._environment = {"PYTHONPATH": str(PACKAGES)}

    @contextmanager
    def running(self) -> Iterator["Carbon"]:
        """Until the block ends."""
        self._root.mkdir()
        (self._root / "carbon.conf").write_text(CARBON.format(root=self._root, port=self.port))
        (self._root / "storage-schemas.conf").write_text(SCHEMAS)
        carbon = SERVERS / "bin" / "carbon-cache"
        options = (f"--config={self._root}/carbon.conf", "--nodaemon")
        command = (PYTHON, carbon, *options, "start")
        with serving(command, self._root, self.port, signal.SIGKILL, **self._environment):
            yield self

    def values(self) -> dict[str, list[float]]:
        """Everything that it has stored."""
        found = subprocess.run(
            [PYTHON, "-c", READ, self._root / "whisper"],
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
        )
        with suppress(ValueError):  # a file that is just being made
            return dict(json.loads(found.stdout))
        return {}
