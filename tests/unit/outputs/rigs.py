"""The other end of each output that can be configured: it comes, goes, and reads what it is told as those do
for whom it is meant. A new output needs a rig here, and its ends in tests/receivers.py."""

import json
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import parser
from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser

from qps_service.configuration.loader import Flags, load
from qps_service.configuration.types import OutputConfig
from tests.durations import latency_object
from tests.durations import quantile as quantile_of
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
    """Is not there at first. Of its texts, {} is where it is."""

    output: str  # its name
    place: str  # what says in the configuration where it is
    settings = ""  # besides
    failure: str  # what is said while it is not there
    resumed: str
    total: str  # the series that has the log's requests
    tells_windows = False  # whether that is a window's, and not all since the beginning
    can_go = True

    def __init__(self, root: Path, where: object) -> None:
        self.root, self.where = root, where
        self.failure, self.resumed = self.failure.format(where), self.resumed.format(where)

    def table(self) -> str:
        """What configures the output."""
        return f"[output.{self.output}]\n{self.place.format(self.where)}\n{self.settings}"

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
        return told[self.total]

    quantile: str | None = None  # the series that has how long so many percent took, for who is told that

    def latency(self, durations: Sequence[int]) -> Told:
        """What it is to be told where a window's requests, all of them 2xx of one route, took so long."""
        ordered, quantile = sorted(durations), self.quantile or "{}"
        return {quantile.format(part // 10): quantile_of(ordered, part) / 10**9 for part in (500, 950, 990)}

    def no_latency(self, durations: Sequence[int]) -> Told:
        """And in the window after that one, in which none was measured."""
        return dict.fromkeys(self.latency(durations), 0)


class _Datagrams(Rig):
    place = "port = {}"
    failure = "cannot send to 127.0.0.1:{}: Connection refused"

    def __init__(self, root: Path) -> None:
        self.receiver = UdpReceiver()
        self.receiver.close()
        self.packets: list[bytes] = []
        super().__init__(root, self.receiver.port)

    def come(self) -> None:
        self.receiver = UdpReceiver(port=self.receiver.port)

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
    resumed = "sending to StatsD at 127.0.0.1:{} works again"
    line = r"qps(\.[A-Za-z0-9_-]{1,150})+:[0-9][0-9.e-]*\|[cg]"
    total = "qps.access.requests|c"
    quantile = "qps.access.p{}_seconds|g"
    tells_windows = True

    def read(self) -> Told:
        lines = [exact(self.line, line) for line in b"\n".join(self.taken()).decode("ascii").splitlines()]
        assert all(len(line) < 512 for line in lines)
        split = (re.fullmatch(r"([^:]*):([^|]*)(.*)", line) for line in lines)
        return collect((found[1] + found[3], float(found[2])) for found in split if found)


class TaggedStatsd(Statsd):
    settings = 'tags = "datadog"\n'
    quantile = "qps.p{}_seconds|g|#log:access"
    line = r"qps\.[a-z0-9_]+:[0-9][0-9.e-]*\|[cg]\|#[a-z]+:[A-Za-z0-9_-]+(,[a-z]+:[A-Za-z0-9_./-]{1,190})*"

    def requests(self, told: Told) -> float:
        """Each key's; the receiver sums up."""
        return sum(value for name, value in told.items() if name.startswith("qps.requests|c"))


class Ganglia(_Datagrams):
    output = "ganglia"
    resumed = "gmond at 127.0.0.1:{} takes metrics again"
    total = "qps_access_total_count"
    quantile = "qps_access_p{}"

    def come(self) -> None:
        super().come()
        self.gmond = ToyGmond()

    def read(self) -> Told:
        for packet in self.taken():
            exact(r"qps_[A-Za-z0-9_.-]{1,196}", self.gmond.take(packet, 0))
        for known in self.gmond.metadata.values():
            assert not set("".join((known.units, *known.extra, *known.extra.values()))) & set("\"<>&'\\")
        return {name: float(text) for name, text in self.gmond.shown(0).items()}


class Graphite(Rig):
    output = "graphite"
    place = "port = {}"
    failure = "cannot send to 127.0.0.1:{}: Connection refused"
    resumed = "Graphite at 127.0.0.1:{} takes metrics again"
    total = "qps.access.requests"
    quantile = "qps.access.p{}_seconds"
    line = r"qps(\.[A-Za-z0-9_-]{1,150})+ [0-9][0-9.e-]* [0-9]+"

    def __init__(self, root: Path) -> None:
        self.receiver = TcpReceiver()
        self.receiver.close()
        self.text = b""
        super().__init__(root, self.receiver.port)

    def come(self) -> None:
        self.receiver = TcpReceiver(self.receiver.port)

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
        lines = [exact(self.line, line).split() for line in self.text.decode("ascii").splitlines()]
        self.text = b""
        # What waited while nobody was there comes first: the last window is what counts.
        told = collect((path, float(value)) for path, value, at in lines if at == lines[-1][2])
        assert not [path for path in told if any(other.startswith(f"{path}.") for other in told)]
        return told

    def no_latency(self, durations: Sequence[int]) -> Told:
        return {}


class _File(Rig):
    place = 'path = "{}"'
    file: str

    def __init__(self, root: Path) -> None:
        self.path = root / "place" / self.file
        super().__init__(root, self.path)

    def come(self) -> None:
        self.path.parent.mkdir()

    def go(self) -> None:
        for each in self.path.parent.iterdir():
            each.unlink()
        self.path.parent.rmdir()


class Json(_File):
    output = "json"
    file = "reports.jsonl"
    failure = "cannot append to {}: No such file or directory"
    resumed = "{} takes reports again"
    total = "all"
    tells_windows = True

    def read(self) -> Told:
        report = json.loads(exact("[ -~]+\n", self.path.read_text().splitlines(keepends=True)[-1]))
        rows = ((json.dumps([*row.values()][:3]), row["requests"]) for row in report["rows"])
        times = (
            (f"{each['route']} {each['class']} {what}", each[what])
            for each in report["latency"]
            for what in latency_object([0])
        )
        return collect([(self.total, report["requests"]), *rows, *times])

    def latency(self, durations: Sequence[int]) -> Told:
        return {f"/help 2xx {what}": value or 0 for what, value in latency_object(durations).items()}

    def no_latency(self, durations: Sequence[int]) -> Told:
        return {}


def read_families(families: Iterable[Metric]) -> Told:
    samples = (sample for family in families for sample in family.samples)
    return collect((f"{sample.name}{sorted(sample.labels.items())}", sample.value) for sample in samples)


def buckets(durations: Sequence[int], **labels: str) -> Told:
    """The default ones of a histogram."""
    labels |= {"log": "access", "class": "2xx"}
    name = "qps_reporter_http_request_duration_seconds"
    told: Told = {
        f"{name}_bucket{sorted((labels | {'le': le}).items())}": sum(
            each <= float(le) * 1e9 for each in durations
        )
        for le in (
            *["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0"],
            "+Inf",
        )
    }
    told[f"{name}_sum{sorted(labels.items())}"] = sum(durations) / 10**9
    return told | {f"{name}_count{sorted(labels.items())}": len(durations)}


class Textfile(_File):
    output = "textfile"
    file = "qps.prom"
    failure = "cannot write {}: No such file or directory"
    resumed = "{} is written again"
    total = "qps_reporter_lines_total[('log', 'access')]"

    def requests(self, told: Told) -> float:
        return told[f"qps_reporter_lines_total[('file', '{self.path}'), ('log', 'access')]"]

    def latency(self, durations: Sequence[int]) -> Told:
        return buckets(durations, file=str(self.path))

    def no_latency(self, durations: Sequence[int]) -> Told:
        return self.latency(durations)  # they are told since the beginning

    def read(self) -> Told:
        return read_families(parser.text_string_to_metric_families(self.path.read_text()))


class Prometheus(Rig):
    output = "prometheus"
    place = 'listen = "127.0.0.1:{}"'
    failure = "cannot listen on 127.0.0.1:{}: Address already in use"
    resumed = "scrapes can be answered again"
    total = Textfile.total
    can_go = False  # who listens can't be kept from it
    accept = "text/plain"
    read_text: Callable[[str], Iterable[Metric]] = staticmethod(parser.text_string_to_metric_families)

    def __init__(self, root: Path) -> None:
        self.other = socket.create_server(("127.0.0.1", 0))
        self.address = self.other.getsockname()
        self.client: socket.socket | None = None
        self.answer = b""
        self.is_there = False
        super().__init__(root, self.address[1])

    def come(self) -> None:
        self.other.close()
        self.is_there = True

    def go(self) -> None:
        if self.client:
            self.client.close()

    def ask(self) -> None:
        if self.is_there:
            self.go()
            self.answer = b""
            self.client = socket.create_connection(self.address)
            self.client.setblocking(False)
            self.client.sendall(f"GET /metrics HTTP/1.1\r\nAccept: {self.accept}\r\n\r\n".encode())

    def is_whole(self) -> bool:
        assert self.client
        with suppress(BlockingIOError):
            while data := self.client.recv(1 << 20):
                self.answer += data
            return True
        return False

    def read(self) -> Told:
        return read_families(type(self).read_text(parse(self.answer)[1].decode()))

    def latency(self, durations: Sequence[int]) -> Told:
        return buckets(durations)

    no_latency = latency


class OpenMetrics(Prometheus):
    accept = "application/openmetrics-text"
    read_text = staticmethod(openmetrics_parser.text_string_to_metric_families)


RIGS = (Prometheus, OpenMetrics, Textfile, Ganglia, Statsd, TaggedStatsd, Graphite, Json)
