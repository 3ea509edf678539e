"""The real gmond and gmetad: every rate and counter is there, whatever the log holds, and comes back.

What the two do with packets that are not like ours is held here, too: it is why ours are as they are.
"""

import os
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from qps_service.outputs.ganglia.gmetric import BOTH, POSITIVE, Metric, Origin, metadata, value
from qps_service.outputs.ganglia.gmond_conf import Channel, read_sending
from qps_service.outputs.ganglia.names import COUNT, name_of
from qps_service.reporting.text import format_rate
from tests.fault import broken
from tests.fault.program import GUARD, MakeSite, Site, free_port, simulated, until
from tests.fault.servers import SERVERS, Server
from tests.promised import MadePromise, promises

pytestmark = pytest.mark.real_time

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


class Daemon(Server):
    """One of the two."""

    def __init__(self, program: str, configuration: Path, port: int) -> None:
        command = (SERVERS / "sbin" / program, "-c", configuration, "-d", "1")
        super().__init__(command, configuration.parent, port, said=f"{program}.out")

    def xml(self) -> ElementTree.Element:
        """What it says. Raises ParseError where a name has broken it."""
        return ElementTree.fromstring(read_all(self.port))  # noqa: S314  our own server's


class Gmond(Daemon):
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


class Gmetad(Daemon):
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


@pytest.fixture
def gmond(tmp_path: Path) -> Iterator[Gmond]:
    with Gmond(tmp_path) as server:
        yield server


MakeGmetad = Callable[[], Gmetad]


@pytest.fixture
def make_gmetad(tmp_path: Path, gmond: Gmond) -> Iterator[MakeGmetad]:
    """Starts it when there is something to poll."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Gmetad(tmp_path, gmond))


@pytest.fixture
def make(make_site: MakeSite, gmond: Gmond) -> MakeSite:
    """Builds services that report to that gmond every second."""
    more = f'max_route = "64KiB"\n[output.ganglia]\ngmond_conf = "{gmond.configuration}"\n'
    return partial(make_site, interval="1s", more=more)


# --- packets


@pytest.mark.parametrize(
    ("settings", "metric", "text", "arguments"),
    [
        (
            "",
            Metric("qps_a_b_200", "req/s", BOTH, 10, 3600, (("GROUP", "a"), ("DESC", "b c"), ("TITLE", "d"))),
            "10.3",
            "-u req/s -s both -x 10 -d 3600 -g a -T d -D",
        ),
        ("globals { override_hostname = web.example override_ip = 10.1.2.3 }", None, "7", "-s positive"),
        ("globals { override_hostname = web }", None, "7", "-s positive"),
        ("globals { override_ip = 10.1.2.3 }", None, "7", "-s positive"),
    ],
    ids=["full", "spoofed", "spoofed by name", "no name"],
)
def test_packets_are_gmetrics(
    tmp_path: Path, settings: str, metric: Metric | None, text: str, arguments: str
) -> None:
    """Ours go where the real gmetric sends its own, and are the same, byte for byte."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(10)
        receiver.bind(("127.0.0.1", 0))
        port = receiver.getsockname()[1]
        configuration = tmp_path / "gmond.conf"
        configuration.write_text(f"{settings}\nudp_send_channel {{ host = 127.0.0.1 port = {port} }}\n")
        metric = metric or Metric("a", "", POSITIVE, 60, 0, ())
        more = arguments.split() + (["b c"] if metric.extra else [])
        run_gmetric(configuration, "-n", metric.name, "-v", text, "-t", "double", *more)
        sent = [receiver.recv(2048), receiver.recv(2048)]
    channels, origin = read_sending(str(configuration))
    origin = origin or Origin(socket.gethostname(), spoof=False)
    assert sent == [metadata(origin, metric), value(origin, metric.name, text)]
    assert channels == (Channel("127.0.0.1", port),)


# --- a run


def simulate(site: Site, seconds: float, seed: int) -> Counter[tuple[str, int]]:
    """Traffic as of a web server, rotated meanwhile; the truth of it, by route and status."""
    requests: Counter[tuple[str, int]] = Counter()
    for row in simulated(site.log, f"--rate 1000 --batch -r 0.5 --duration {seconds} --seed {seed}"):
        requests[row["route"], row["status"]] += row["requests"]
    return requests


def last_report(site: Site) -> dict[tuple[str, str], str]:
    """Rates as printed, by route and status."""
    rows = [line.split("\t") for line in site.stdout.strip().split("\n\n")[-1].splitlines()[2:]]
    return {(route, status): rate for route, status, rate in rows}


def check_shown(site: Site, gmond: Gmond, truth: Counter[tuple[str, int]]) -> dict[str, str]:
    """gmond has the rates of the last report and the truth's counters, and nothing else; its values."""
    report = last_report(site)
    expected = {
        name_of("access") + COUNT: str(truth.total()),
        name_of("access"): report["total", "-"],
    }
    for (route, status), requests in truth.items():
        name = name_of("access", route.encode(), status)
        expected[name + COUNT] = str(requests)
        expected[name] = report.get((route, f"{status:03d}"), "0")
    values = gmond.values()
    assert expected == {
        name: text if name.endswith(COUNT) else format_rate(float(text)) for name, text in values.items()
    }
    return values


def check_files(gmetad: Gmetad, values: dict[str, str]) -> None:
    """Every metric has its file with its value, and there is no other file; gmetad complains of nothing."""
    directories = ((CLUSTER, HOST), (CLUSTER, "__SummaryInfo__"), ("__SummaryInfo__",))
    files = {Path("rrds", *directory, f"{name}.rrd") for directory in directories for name in values}
    until(lambda: gmetad.complaints or files <= gmetad.files(), "gmetad to make all files")
    until(lambda: gmetad.complaints or gmetad.last(values) == values, "gmetad to write all")
    assert gmetad.complaints == []
    assert gmetad.files() == files


def test_every_rate_and_counter_of_a_run(make: MakeSite, gmond: Gmond, make_gmetad: MakeGmetad) -> None:
    site = make()
    process = site.ready()
    truth = simulate(site, 2, seed=1)
    assert process.has_counted(truth.total())
    truth += simulate(site, 0.5, seed=2)
    process.stop()
    site.audit()
    values = check_shown(site, gmond, truth)
    assert sum(1 for name, text in values.items() if not name.endswith(COUNT) and float(text)) > 5
    metric = gmond.metrics()["qps_access_root_200_count"]
    assert (metric.attributes["SLOPE"], metric.attributes["TYPE"]) == ("positive", "double")
    assert (metric.attributes["TMAX"], metric.attributes["DMAX"]) == ("1", "3600")
    assert metric.extra["GROUP"] == "access"
    check_files(make_gmetad(), values)


# --- hostile routes

HOSTILE = (
    *(b'/"', b"/<b>", b"/a&b", b"/&lt;", b"/'", b"/%s%n", b'/"/><METRIC NAME="x"'),
    *(b"/../../escaped", b"/..", b"/.", b".hidden", b"..", b"/a/../../../b", b"//", b"/a//b", b"/a/b"),
    *(b"/" + b"x" * 4095, b"/\xc3\xa9\xe2\x82\xac", b"/\xff\xfe", b"/\0", b"/a\0b", b"/\x1b[31m", b"/\r"),
    *(b"/a_b", b"/root", b"/", b"/other", b"/a b", b"/total", b"heartbeat", b"location", b"/~x;rm|`ls`$(id)"),
)


def check_hostile(make: MakeSite, gmond: Gmond, make_gmetad: MakeGmetad) -> None:
    """Whatever routes there are, gmond's XML and gmetad's are well-formed, and each metric has its value and
    its file."""
    site = make()
    process = site.ready()
    site.log.write_bytes(b"".join(b"10.0.0.1\tGET %b\t200\t10\n" % route * 3 for route in HOSTILE))
    assert process.has_counted(3 * len(HOSTILE))
    process.stop()
    assert site.query("SELECT reason, lines FROM rejects") == []
    values = gmond.values()
    names = {name_of("access", route, 200) for route in HOSTILE}
    assert len(names) == len(HOSTILE)
    assert values.keys() == {each + end for each in (*names, "qps_access_total") for end in ("", COUNT)}
    assert {values[name + COUNT] for name in names} == {"3"}
    gmetad = make_gmetad()
    check_files(gmetad, values)
    assert values.keys() == {metric.attrib["NAME"] for metric in gmetad.xml().iter("METRIC")}


test_hostile_routes_harm_nothing, test_names_as_they_come_are_caught = promises(
    MadePromise(check_hostile, broken.names_metrics_as_they_come, by="make", caught=(ElementTree.ParseError,))
)


# --- gmond forgets


def test_dmax_is_counted_from_the_last_metadata(gmond: Gmond) -> None:
    """Values alone keep no metric: why each is announced again."""
    origin = Origin("here", spoof=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", gmond.port))

        def send(announced: str) -> dict[str, str]:
            sender.send(metadata(origin, Metric(announced, "req/s", BOTH, 10, 2, ())))
            for name in ("kept", "forgotten"):
                sender.send(value(origin, name, "1"))
            return gmond.values()

        until(lambda: "forgotten" in send("forgotten"), "the metric")
        until(lambda: send("kept").keys() == {"kept"}, "gmond to forget the other")


def check_restart(make: MakeSite, gmond: Gmond) -> None:
    """gmond is killed under way: that is said. Three reports after it came back it has everything."""
    site = make()
    writer = site.writer()
    writer.lines(30)
    process = site.ready()
    names = {f"qps_access_{number}_200{end}" for number in range(30) for end in ("", COUNT)}
    until(lambda: names < gmond.values().keys(), "gmond to know all")
    gmond.close()
    until(lambda: "Connection refused" in site.stderr, "the service to notice")
    gmond.start()
    started = site.stdout.count("total\t-")
    while site.stdout.count("total\t-") < started + 3:
        assert process.next_told("STATUS=")
        writer.lines(1)
    assert names < gmond.values().keys()
    assert f"gmond at 127.0.0.1:{gmond.port} takes metrics again" in site.stderr
    process.stop()


test_a_restarted_gmond_has_all_again, test_not_to_announce_again_is_caught = promises(
    MadePromise(check_restart, broken.announces_once, by="make", says="qps_access_")
)


def test_a_multicast_group_hears_it(tmp_path: Path, make_site: MakeSite) -> None:
    """By the interface that gmond.conf names: no route leads to a group by loopback."""
    group = "mcast_join = 239.2.11.71 mcast_if = lo"
    with Gmond(tmp_path, send=f"{group} ttl = 0", receive=f"{group} bind = 239.2.11.71") as gmond:
        output = f'[output.ganglia]\ngmond_conf = "{gmond.configuration}"\n'
        site = make_site(interval="1s", more=output)
        site.writer().lines(2)
        site.ready()
        until(lambda: len(gmond.values()) == 6, "all metrics")
        assert "cannot" not in site.stderr
