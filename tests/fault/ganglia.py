"""The real gmond and gmetad on loopback, each with a directory and ports of its own."""

import os
import re
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self
from xml.etree import ElementTree

from tests.fault.program import GUARD, free_port, until
from tests.fault.servers import SERVERS

CLUSTER = "qps"
HOST = "localhost"  # what gmond calls whoever sends from 127.0.0.1

GMOND = """
globals { daemonize = no setuid = no cleanup_threshold = 1 }
cluster { name = "%(cluster)s" }
udp_send_channel { %(send)s port = %(port)d }
udp_recv_channel { %(receive)s port = %(port)d family = inet4 }
tcp_accept_channel { bind = 127.0.0.1 port = %(port)d family = inet4 }
"""
# gmetad waits for half to one and a half steps between two polls. By default a file has 630 KB.
GMETAD = """
data_source "%(cluster)s" 1 127.0.0.1:%(gmond)d
RRAs "RRA:AVERAGE:0.5:1:60"
rrd_rootdir "%(rrds)s"
setuid off
xml_port %(port)d
interactive_port %(interactive)d
"""


def read_all(port: int) -> bytes:
    """What a server says to who connects."""
    with socket.create_connection(("127.0.0.1", port), timeout=GUARD) as connection:
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


class Shown(NamedTuple):
    """A metric in gmond's XML."""

    value: str
    attributes: dict[str, str]
    extra: dict[str, str]


class Server:
    """A process that listens on `port`."""

    def __init__(self, program: str, configuration: Path, port: int) -> None:
        self.port = port
        self.said = configuration.with_suffix(".out")
        self._command: list[str | Path] = [SERVERS / "sbin" / program, "-c", configuration, "-d", "1"]
        self.start()

    def start(self) -> None:
        """Return when it listens."""
        with self.said.open("ab") as said:
            self._process = subprocess.Popen(self._command, stdout=said, stderr=subprocess.STDOUT)
        until(self._listens, f"{self._command[0]} to listen")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """It is gone when this returns; a second time does nothing."""
        self._process.kill()
        self._process.wait(GUARD)

    def xml(self) -> ElementTree.Element:
        """What it says. Raises ParseError where a name has broken it."""
        return ElementTree.fromstring(read_all(self.port))  # noqa: S314  our own server's

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.said.read_text(errors="replace")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=GUARD).close()
        except ConnectionRefusedError:
            return False
        return True


class Gmond(Server):
    """Takes packets and gives XML at one port."""

    def __init__(
        self, root: Path, *, send: str = "host = 127.0.0.1", receive: str = "bind = 127.0.0.1"
    ) -> None:
        """`send` and `receive` are its channels, without the port."""
        port = free_port()
        self.configuration = root / "gmond.conf"
        self.configuration.write_text(
            GMOND % {"cluster": CLUSTER, "port": port, "send": send, "receive": receive}
        )
        super().__init__("gmond", self.configuration, port)

    def metrics(self) -> dict[str, Shown]:
        """Of all hosts, by name."""
        return {
            metric.attrib["NAME"]: Shown(
                metric.attrib["VAL"],
                metric.attrib,
                {each.attrib["NAME"]: each.attrib["VAL"] for each in metric.iter("EXTRA_ELEMENT")},
            )
            for metric in self.xml().iter("METRIC")
        }

    def values(self) -> dict[str, str]:
        return {name: metric.value for name, metric in self.metrics().items()}


class Gmetad(Server):
    """Polls a gmond every second and writes RRD files."""

    def __init__(self, root: Path, gmond: Gmond) -> None:
        self.rrds = root / "rrds"
        self.rrds.mkdir()
        port, interactive = free_port(), free_port()
        configuration = root / "gmetad.conf"
        ports = {"gmond": gmond.port, "port": port, "interactive": interactive}
        configuration.write_text(GMETAD % {"cluster": CLUSTER, "rrds": self.rrds, **ports})
        super().__init__("gmetad", configuration, port)

    @property
    def complaints(self) -> list[str]:
        """What it could not do."""
        said = re.findall(
            r".*(?:Unable to write|RRD_create:|RRD_update|error on line).*",
            self.said.read_text(errors="replace"),
        )
        # A file takes one value a second; that gmetad polled twice in one is no fault of what it was sent.
        return [line for line in said if "minimum one second step" not in line]

    def files(self) -> set[Path]:
        """All below the directory around its own."""
        return {path.relative_to(self.rrds.parent) for path in self.rrds.parent.rglob("*.rrd")}

    def last(self, names: Iterable[str]) -> dict[str, str]:
        """What was last written for each metric that has a file."""
        paths = {name: self.rrds / CLUSTER / HOST / f"{name}.rrd" for name in names}
        there = {name: path for name, path in paths.items() if path.exists()}
        commands = "".join(f"lastupdate {path}\n" for path in there.values())
        done = subprocess.run(["rrdtool", "-"], input=commands, capture_output=True, text=True, check=True)
        answers = re.findall(r"^(?:\d+: (\S+)|(ERROR: .*))$", done.stdout, re.M)
        assert len(answers) == len(there), done.stdout
        return dict(zip(there, (value or error for value, error in answers), strict=True))


def run_gmetric(configuration: Path, *arguments: str) -> None:
    """Send a metric as the real one does."""
    subprocess.run(
        [SERVERS / "bin" / "gmetric", "-c", configuration, *arguments],
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    )
