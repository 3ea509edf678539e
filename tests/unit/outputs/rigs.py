"""The other end of each output that can be configured: it comes, goes, and reads what it is told as those do
for whom it is meant. A new output needs a rig here, and its ends in tests/receivers.py."""

import json
import re
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import parser
from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser

from qps_service.configuration.loader import Flags, load
from qps_service.configuration.types import OutputConfig
from tests.unit.receiving import TcpReceiver, UdpReceiver
from tests.unit.scraping import parse
from tests.unit.toy_gmond import ToyGmond

Told = dict[str, float]  # series -> value


def read_config(root: Path, tables: str) -> tuple[OutputConfig, ...]:
    """The outputs that these tables configure."""
    file = root / "outputs.toml"
    file.write_text(f'[log.access]\npath = "{root}/access.log"\n{tables}')
    return load(Flags(config=str(file)), {}).outputs


def collect(values: Iterable[tuple[str, float]]) -> Told:
    """Each series once."""
    told: Told = {}
    for name, value in values:
        assert name not in told, f"{name} twice"
        told[name] = value
    return told


def exact(grammar: str, text: str) -> str:
    """The text, which has this form."""
    assert re.fullmatch(grammar, text), text
    return text


class Rig:
    """Is not there at first. `settings` are those of its output beside where it is."""

    output: str  # its name
    settings = ""
    failure: str  # what is said while it is not there
    resumed: str
    can_go = True
    tells_windows = False  # whether its numbers are a window's, and not those since the beginning

    def __init__(self, root: Path) -> None:
        self.root = root

    def table(self) -> str:
        """What configures the output."""
        return f"[output.{self.output}]\n{self.place()}{self.settings}"

    def place(self) -> str:
        """Where it is."""
        raise NotImplementedError

    def come(self) -> None:
        """Be there."""

    def go(self) -> None:
        """Be there no longer, and keep nothing open."""

    def ask(self) -> None:
        """Want to be told."""

    def is_whole(self) -> bool:
        """Take in what came; whether that may be all of it."""
        return True

    def read(self) -> Told:
        """All that it was told in a window; fails for what is not well-formed."""
        raise NotImplementedError

    def requests(self, told: Told) -> float:
        """How many requests of the log it was told of."""
        raise NotImplementedError


class _Datagrams(Rig):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.receiver = UdpReceiver()
        self.receiver.close()
        self.port = self.receiver.port
        self.packets: list[bytes] = []
        self.failure = f"cannot send to 127.0.0.1:{self.port}: Connection refused"

    def place(self) -> str:
        return f"port = {self.port}\n"

    def come(self) -> None:
        self.receiver = UdpReceiver(port=self.port)

    def go(self) -> None:
        self.receiver.close()

    def is_whole(self) -> bool:
        self.packets += self.receiver.receive()
        return True

    def taken(self) -> list[bytes]:
        packets, self.packets = self.packets, []
        return packets


class Statsd(_Datagrams):
    output = "statsd"
    tells_windows = True
    line = r"(?P<name>qps(\.[A-Za-z0-9_-]{1,150})+):(?P<value>[0-9][0-9.e-]*)\|[cg]"
    total = "qps.access.requests"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.resumed = f"sending to StatsD at 127.0.0.1:{self.port} works again"

    def read(self) -> Told:
        lines = b"\n".join(self.taken()).decode("ascii").splitlines()
        assert all(len(exact(self.line, line)) < 512 for line in lines)
        # The same name may be a counter's and, with another value, a gauge's: they have other last words.
        return collect((re.sub(r":[^|]*", "", line, count=1), self.value(line)) for line in lines)

    def value(self, line: str) -> float:
        return float(line.partition("|")[0].rpartition(":")[2])

    def requests(self, told: Told) -> float:
        return sum(value for name, value in told.items() if name.startswith(f"{self.total}|c"))


class TaggedStatsd(Statsd):
    settings = 'tags = "datadog"\n'
    line = r"qps\.[a-z]+:[0-9][0-9.e-]*\|[cg]\|#[a-z]+:[A-Za-z0-9_-]+(,[a-z]+:[A-Za-z0-9_./-]{1,190})*"
    total = "qps.requests"  # of each key, which the receiver sums up


class Ganglia(_Datagrams):
    output = "ganglia"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.resumed = f"gmond at 127.0.0.1:{self.port} takes metrics again"
        self.gmond = ToyGmond()

    def go(self) -> None:
        super().go()
        self.gmond.restart()

    def read(self) -> Told:
        for packet in self.taken():
            exact(r"qps_[A-Za-z0-9_.-]{1,196}", self.gmond.take(packet, 0))
        for known in self.gmond.metadata.values():
            assert not set("".join((known.units, *known.extra, *known.extra.values()))) & set("\"<>&'\\")
        return {name: float(text) for name, text in self.gmond.shown(0).items()}

    def requests(self, told: Told) -> float:
        return told["qps_access_total_count"]


class Graphite(Rig):
    output = "graphite"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.receiver = TcpReceiver()
        self.receiver.close()
        self.port = self.receiver.port
        self.text = b""
        self.failure = f"cannot send to 127.0.0.1:{self.port}: Connection refused"
        self.resumed = f"Graphite at 127.0.0.1:{self.port} takes metrics again"

    def place(self) -> str:
        return f"port = {self.port}\n"

    def come(self) -> None:
        self.receiver = TcpReceiver(self.port)

    def go(self) -> None:
        self.receiver.close()

    def is_whole(self) -> bool:
        if not self.receiver.connection:
            with suppress(BlockingIOError):
                self.receiver.accept(0)
        if self.receiver.connection:
            self.text += self.receiver.receive()
        return bool(re.search(rb"\.rejected \d+ \d+\n\Z", self.text))

    def read(self) -> Told:
        text, self.text = self.text.decode("ascii"), b""
        lines = [
            exact(r"qps(\.[A-Za-z0-9_-]{1,150})+ [0-9][0-9.e-]* [0-9]+", each) for each in text.splitlines()
        ]
        # What waited while nobody was there comes first: the last window is what counts.
        last = lines[-1].split()[2]
        told = collect((line.split()[0], float(line.split()[1])) for line in lines if line.split()[2] == last)
        assert not [name for name in told if any(other.startswith(f"{name}.") for other in told)]
        return told

    def requests(self, told: Told) -> float:
        return told["qps.access.requests"]


class _File(Rig):
    file: str

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.path = root / "place" / self.file

    def place(self) -> str:
        return f'path = "{self.path}"\n'

    def come(self) -> None:
        self.path.parent.mkdir()

    def go(self) -> None:
        for each in self.path.parent.iterdir():
            each.unlink()
        self.path.parent.rmdir()


class Json(_File):
    output = "json"
    tells_windows = True
    file = "reports.jsonl"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.failure = f"cannot append to {self.path}: No such file or directory"
        self.resumed = f"{self.path} takes reports again"

    def read(self) -> Told:
        line = self.path.read_text().splitlines(keepends=True)[-1]
        assert exact("[ -~]+\n", line)
        report = json.loads(line)
        rows = (
            ({"total": report["requests"]}, report["requests"]),
            *((row, row["requests"]) for row in report["rows"]),
        )
        return collect(
            (json.dumps([row.get(key) for key in ("method", "route", "status")]), value)
            for row, value in rows
        )

    def requests(self, told: Told) -> float:
        return told["[null, null, null]"]


def read_families(families: Iterable[Metric]) -> Told:
    samples = (sample for family in families for sample in family.samples)
    return collect((f"{sample.name}{sorted(sample.labels.items())}", sample.value) for sample in samples)


class Textfile(_File):
    output = "textfile"
    file = "qps.prom"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.failure = f"cannot write {self.path}: No such file or directory"
        self.resumed = f"{self.path} is written again"

    def read(self) -> Told:
        return read_families(parser.text_string_to_metric_families(self.path.read_text()))

    def requests(self, told: Told) -> float:
        return told["qps_reporter_lines_total[('log', 'access')]"]


class Prometheus(Rig):
    output = "prometheus"
    accept = "text/plain"
    can_go = False  # who listens can't be kept from it
    read_text: Callable[[str], Iterable[Metric]] = staticmethod(parser.text_string_to_metric_families)
    resumed = "scrapes can be answered again"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.other = socket.create_server(("127.0.0.1", 0))
        self.port = self.other.getsockname()[1]
        self.failure = f"cannot listen on 127.0.0.1:{self.port}: Address already in use"
        self.client: socket.socket | None = None
        self.answer = b""
        self.is_there = self.has_ended = False

    def place(self) -> str:
        return f'listen = "127.0.0.1:{self.port}"\n'

    def come(self) -> None:
        self.other.close()
        self.is_there = True

    def go(self) -> None:
        if self.client:
            self.client.close()

    def ask(self) -> None:
        if not self.is_there:
            return
        self.go()
        self.answer, self.has_ended = b"", False
        self.client = socket.create_connection(("127.0.0.1", self.port))
        self.client.setblocking(False)
        self.client.sendall(f"GET /metrics HTTP/1.1\r\nAccept: {self.accept}\r\n\r\n".encode())

    def is_whole(self) -> bool:
        assert self.client
        with suppress(BlockingIOError):
            while data := self.client.recv(1 << 20):
                self.answer += data
            self.has_ended = True
        return self.has_ended

    def read(self) -> Told:
        return read_families(type(self).read_text(parse(self.answer)[1].decode()))

    def requests(self, told: Told) -> float:
        return told["qps_reporter_lines_total[('log', 'access')]"]


class OpenMetrics(Prometheus):
    accept = "application/openmetrics-text"
    read_text = staticmethod(openmetrics_parser.text_string_to_metric_families)


RIGS = (Prometheus, OpenMetrics, Ganglia, Statsd, TaggedStatsd, Graphite, Json, Textfile)
