"""The real StatsD and Graphite (of scripts/setup.sh) are told the truth of a simulated site's traffic."""

import json
import os
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fault import broken
from tests.fault.program import GUARD, ROOT, MakeSite, Site, free_port, simulated, until
from tests.fault.servers import SERVERS, Server

pytestmark = pytest.mark.real_time

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


class Statsd(Server):
    """StatsD, which never flushes: its counters are sums since its start."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.datagrams, management = free_port(), free_port()
        configuration = {
            "address": "127.0.0.1",
            "port": self.datagrams,
            "mgmt_address": "127.0.0.1",
            "mgmt_port": management,
            "flushInterval": 86_400_000,
            "backends": [],
        }
        (root / "config.js").write_text(json.dumps(configuration))
        super().__init__(("node", STATSD, "config.js"), root, management)

    def values(self, what: str) -> dict[str, float]:
        """Its `counters` or `gauges`, as Node prints an object."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=GUARD) as connection:
            connection.sendall(f"{what}\n".encode())
            while not answer.endswith(b"END\n\n"):
                answer += connection.recv(1 << 20)
        return {
            name: float(value) for name, value in re.findall(r"([\w.;=-]+)'?: ([-\d.e+]+)", answer.decode())
        }


class Carbon(Server):
    """carbon-cache, which writes at once, with a value for each second."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        port = free_port()
        (root / "carbon.conf").write_text(CARBON.format(root=root, port=port))
        (root / "storage-schemas.conf").write_text(SCHEMAS)
        options = (f"--config={root}/carbon.conf", "--nodaemon", "start")
        command = (PYTHON, SERVERS / "bin" / "carbon-cache", *options)
        super().__init__(command, root, port, PYTHONPATH=str(PACKAGES))

    def values(self) -> dict[str, list[float]]:
        """Everything that it has stored."""
        found = subprocess.run(
            [PYTHON, "-c", READ, self.said.parent / "whisper"],
            env={**os.environ, "PYTHONPATH": str(PACKAGES)},
            capture_output=True,
            text=True,
        )
        with suppress(ValueError):  # a file that is just being made
            return dict(json.loads(found.stdout))
        return {}


RATE, SECONDS = 2000, 3


class Told:
    """Both receivers, and a run of the program on a simulated log, with what they are to know of it."""

    def __init__(self, statsd: Statsd, carbon: Carbon, site: Site) -> None:
        self._statsd, self._carbon, self._site = statsd, carbon, site
        process = site.ready()
        rows = simulated(site.log, f"-r 1 --seed 1 --rate {RATE} --duration {SECONDS}")
        assert process.has_counted(RATE * SECONDS)
        process.stop()
        self._expected: Counter[str] = Counter()
        for row in rows:
            name = f"{row['method']}.{row['route'].replace('/', '_')}.{row['status']:03d}"
            for what in ("requests", "bytes"):
                self._expected[f"qps.access.{name}.{what}"] += row[what]
                self._expected[f"qps.access.{what}"] += row[what]
        self._expected["qps.access.rejected"] = 0

    def check_statsd(self, guard: float = 0) -> None:
        """Its counters have every request once, its gauges end at 0."""

        def counters() -> dict[str, float]:
            return {key: value for key, value in self._statsd.values("counters").items() if key[:4] == "qps."}

        until(lambda: counters() == self._expected, lambda: (counters(), self._expected), guard=guard)
        assert self._statsd.values("counters")["statsd.bad_lines_seen"] == 0
        gauges = {key: value for key, value in self._statsd.values("gauges").items() if key[:4] == "qps."}
        assert set(gauges) == {
            key.replace(".requests", ".rate") for key in self._expected if key.endswith(".requests")
        }
        assert set(gauges.values()) == {0}

    def check_graphite(self, guard: float = 0) -> None:
        """Its counters end at the totals, its rates are those of the windows."""

        def totals() -> dict[str, float]:
            stored = self._carbon.values().items()
            return {key: values[-1] for key, values in stored if values and key[-5:] != ".rate"}

        until(lambda: totals() == self._expected, lambda: (totals(), self._expected), guard=guard)
        windows = self._site.query(
            "SELECT ended - started, sum(requests) FROM windows GROUP BY sequence ORDER BY sequence"
        )
        rates = [requests / float(seconds) for seconds, requests in windows]
        stored = [rate for rate in self._carbon.values()["qps.access.rate"] if rate]
        # The last report, of no requests or few, may share its second with the one before, which it replaces.
        assert any(stored == pytest.approx(rates[:end]) for end in (len(rates), -1, -2))
        assert len(stored) > 0


Run = Callable[..., Told]


@pytest.fixture
def run(tmp_path: Path, make_site: MakeSite) -> Iterator[Run]:
    """Runs it, with or without a twin."""
    with Statsd(tmp_path / "statsd") as statsd, Carbon(tmp_path / "carbon") as carbon:
        more = f"[output.statsd]\nport = {statsd.datagrams}\n[output.graphite]\nport = {carbon.port}\n"
        yield lambda *twins: Told(statsd, carbon, make_site(*twins, interval="2s", more=more))


def test_both_get_the_truth(run: Run) -> None:
    told = run()
    told.check_statsd()
    told.check_graphite()


@pytest.mark.twin
def test_a_twin_that_tells_half_is_caught(run: Run) -> None:
    told = run(broken.tells_half)
    with pytest.raises(AssertionError):
        told.check_statsd(1)
    with pytest.raises(AssertionError):
        told.check_graphite(1)
