"""The real Prometheus scrapes the real program: its counters are the truth, over a SIGKILL too.

`scripts/campaign.sh scrapes` scrapes for longer than CI has time for. Two prometheus_clients are tried: the
newest, and that of Debian 12, the oldest that is supported.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import parser

from tests.fault import broken, program
from tests.fault.program import GUARD, MakeSite, Site, Twin, free_port, simulator, truth, until
from tests.fault.prometheus_server import PrometheusServer
from tests.fault.servers import SERVERS, serving

pytestmark = pytest.mark.real_time

DEBIAN = SERVERS / "lib" / "python3" / "dist-packages"
SECONDS = int(os.environ.get("QPS_REPORTER_SCRAPED", "8"))  # of traffic
EVERY = 0.5  # seconds between scrapes; answers are a quarter of a second apart
RATE = 2000  # lines a second
OURS = re.compile(r"^(# (HELP|TYPE) )?qps_reporter_")

Rows = Counter[tuple[str, str, str]]  # by method, route and status


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GUARD)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Scraped(Site):
    """A site whose program answers scrapes."""

    def __init__(self, root: Path, *twins: Twin, interval: str = "1s", more: str = "") -> None:
        super().__init__(root, *twins, interval=interval)
        self.port = free_port()
        self.configure(f'[output.prometheus]\nlisten = "127.0.0.1:{self.port}"\n{more}')

    def use_debians_library(self) -> None:
        """From now on the program has that, and not the one of .venv."""
        for name in ("prometheus_client", "decorator.py"):
            (self.root / name).symlink_to(DEBIAN / name)

    def scrape(self, name: str = "http_requests") -> Rows:
        """One of the counters of rows."""
        status, text = get(self.port, "/metrics")
        assert status == 200
        families = {family.name: family for family in parser.text_string_to_metric_families(text.decode())}
        return Counter(
            {row_of(sample.labels): int(sample.value) for sample in families[f"qps_reporter_{name}"].samples}
        )

    def simulate(self, seconds: int, rate: int = RATE) -> subprocess.Popen[bytes]:
        """Traffic, with a rotation each second."""
        return simulator(self.log, f"-r 1 --batch --seed 1 --rate {rate} --duration {seconds}")

    def truths(self, what: str) -> Rows:
        """`requests` or `bytes` of the last traffic."""
        return Counter(
            {(row["method"], row["route"], f"{row['status']:03}"): row[what] for row in truth(self.log)}
        )


def row_of(labels: dict[str, str]) -> tuple[str, str, str]:
    return labels["method"], labels["route"], labels["status"]


class Scraper(PrometheusServer):
    """It scrapes the site's program, twice a second."""

    def __init__(self, site: Scraped) -> None:
        every = f"{EVERY * 1000:.0f}ms"
        scrape = {
            "job_name": "qps",
            "scrape_interval": every,
            "scrape_timeout": every,
            "static_configs": [{"targets": [f"127.0.0.1:{site.port}"]}],
        }
        super().__init__(site.root, json.dumps({"scrape_configs": [scrape]}), free_port())
        until(self.is_ready)

    def rows(self, query: str, at: float | None = None) -> dict[tuple[str, str, str], float]:
        return {row_of(labels): value for labels, value in self.query(query, at)}

    def await_scrape(self) -> None:
        """Until it has one that began from now on."""
        now = time.time()
        until(lambda: self.value("timestamp(qps_reporter_lines_total)") > now, pause=EVERY / 2)


Make = Callable[..., Scraped]


@pytest.fixture
def make(make_site: MakeSite) -> Make:
    """Builds such sites."""

    def build(*twins: Twin, **keywords: str) -> Scraped:
        site = make_site(*twins, of=Scraped, **keywords)
        assert isinstance(site, Scraped)
        return site

    return build


LIBRARY = pytest.mark.parametrize("debian", [False, True], ids=["newest library", "Debian's library"])


# --- the truth


def check_truth(site: Scraped, seconds: int) -> str:
    """Traffic in which every row occurs, and more of it, with a SIGKILL in between: nobody sees that."""
    process = site.ready()
    with closing(Scraper(site)) as instance:
        assert site.simulate(1, 20_000).wait(GUARD) == 0
        before, bytes_before = site.truths("requests"), site.truths("bytes")
        assert site.scrape() == before
        began = time.time()
        instance.await_scrape()
        traffic = site.simulate(seconds)
        half = before.total() + seconds * RATE / 2
        requests = "sum(qps_reporter_http_requests_total)"
        until(lambda: instance.value(requests) >= half, guard=program.GUARD + seconds, pause=EVERY / 2)
        process.close()
        process = site.start()
        assert traffic.wait(GUARD + seconds) == 0
        process.told("READY=1")
        written = site.truths("requests")
        assert written.total() == seconds * RATE
        # Fresh: the writer has ended, and one scrape has all of it.
        assert site.scrape() == before + written
        assert site.scrape("http_response_bytes") == bytes_before + site.truths("bytes")
        instance.await_scrape()
        ended = time.time()
        assert instance.rows("qps_reporter_http_requests_total", ended) == before + written
        age = f"[{(ended - began) * 1000:.0f}ms]"
        # The SIGKILL was seen, by what is counted from the process's start.
        assert instance.value(f"resets(qps_reporter_ledger_commits_total{age})", ended) == 1
        for name in ("http_requests", "http_response_bytes", "lines", "rejected_lines"):
            resets = instance.query(f"resets(qps_reporter_{name}_total{age})", ended)
            assert {value for _, value in resets} == {0}
        return check_increase(instance, ended, age, before, written)


def check_increase(instance: Scraper, at: float, age: str, before: Rows, written: Rows) -> str:
    """Of the rows that were there at the first scrape: what a series begins with is in no increase().
    Prometheus takes the rise between the first and the last scrape for that of a little more time, of 1.1
    scrapes at most at either end."""
    increases = instance.rows(f"increase(qps_reporter_http_requests_total{age})", at)
    scrapes = instance.value(f"count_over_time(qps_reporter_lines_total{age})", at)
    failed = instance.value(f"count_over_time(up{age}) - sum_over_time(up{age})", at)
    most = 1 + 2.2 / (scrapes - 1)
    known = Counter({row: requests for row, requests in written.items() if row in before})
    assert known.total() > 0.99 * written.total()
    for row, requests in known.items():
        assert requests * (1 - 1e-9) <= increases[row] <= requests * most, row
    total = sum(increases[row] for row in known)
    return (
        f"{scrapes:.0f} scrapes, {failed:.0f} failed; {written.total()} requests, {known.total()} of them in "
        f"series that were there; increase() {total:.1f}, which is {total / known.total():.5f} of these, "
        f"of at most {most:.5f}"
    )


def test_what_is_scraped_is_the_truth_over_a_sigkill(make: Make) -> None:
    site = make()
    site.use_debians_library()  # which the package suggests
    print(check_truth(site, SECONDS))  # noqa: T201  the campaign's result


@pytest.mark.twin
def test_counters_that_begin_anew_are_caught(make: Make) -> None:
    with pytest.raises(AssertionError):
        check_truth(make(broken.restores_nothing), 3)


def test_once_does_not_listen(make: Make) -> None:
    """From cron it comes beside a service, which has the address."""
    site = make()
    with socket.create_server(("127.0.0.1", site.port)):
        site.once()
    assert "cannot listen" not in site.stderr


# --- what is told is well-formed


HOSTILE = [
    b'/"',
    b"/\\n",
    b"/\xff\xfe",
    b"/\x1b[31m",
    b"/{}=,#",
    "/\u202e\u00e9".encode(),
    b'/",status="200"}',
    b"/" + b"x" * 900,
]


def lint(text: bytes) -> tuple[int, bytes]:
    """promtool's opinion."""
    command = [str(SERVERS / "bin" / "promtool"), "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, timeout=GUARD, check=False)
    return done.returncode, done.stdout + done.stderr


def hostile_lines(site: Scraped) -> None:
    writer = site.writer()
    for route in HOSTILE:
        os.write(writer.descriptor, b"10.0.0.1\tGET %s\t200\t10\n" % route)
    os.write(writer.descriptor, b"no request\n")


@LIBRARY
def test_promtool_has_nothing_to_say(make: Make, debian: bool) -> None:
    site = make(interval="1h")
    if debian:
        site.use_debians_library()
    hostile_lines(site)
    process = site.ready()
    _, text = get(site.port, "/metrics")
    assert lint(text) == (0, b"")
    assert len(site.scrape()) == len(HOSTILE)
    for wrong in (text.replace(b"_requests_total", b"_requests"), text.replace(b'route="/', b'route="/"', 1)):
        assert wrong != text
        assert lint(wrong)[0] != 0
    process.stop()


@LIBRARY
def test_node_exporter_tells_what_is_in_the_file(make: Make, debian: bool, tmp_path: Path) -> None:
    place = tmp_path / "textfile"
    place.mkdir()
    site = make(interval="1h", more=f'[output.textfile]\npath = "{place}/qps.prom"\n')
    if debian:
        site.use_debians_library()
    hostile_lines(site)
    site.run()
    text = (place / "qps.prom").read_text()
    # Another service beside it follows a log of the same name.
    (place / "other.prom").write_text(text.replace(f"{place}/qps.prom", f"{place}/other.prom"))
    assert lint(text.encode()) == (0, b"")
    port = free_port()
    command = (
        SERVERS / "bin" / "prometheus-node-exporter",
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={place}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    with serving(command, tmp_path, port, signal.SIGTERM):
        told = get(port, "/metrics")[1].decode()
    assert "node_textfile_scrape_error 0" in told
    own = {
        (name, labels): value
        for (name, labels), value in samples(told).items()
        if ("file", f"{place}/qps.prom") in labels
    }
    assert own == samples(text)
    assert len(samples(told)) == 2 * len(own)
    assert len([series for series in samples(text) if "http_requests_total" in series[0]]) == len(HOSTILE)


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    ours = "".join(f"{line}\n" for line in text.split("\n") if OURS.match(line))
    families = parser.text_string_to_metric_families(ours)
    found = [sample for family in families for sample in family.samples]
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in found}
