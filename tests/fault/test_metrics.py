"""StatsD and Graphite themselves are told the truth: of a simulated site's traffic, and of hostile routes."""

import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qps_service.configuration.types import GraphiteConfig, StatsdConfig
from qps_service.notices.kinds import Notice
from qps_service.outputs.graphite import GraphiteOutput
from qps_service.outputs.statsd import StatsdOutput
from qps_service.values.counts import Counts, Key
from tests.fault.program import GUARD, ROOT, Site
from tests.fault.receivers import Carbon, Statsd, free_port, poll
from tests.unit.handed_over import HOSTILE, overview, report, standing

pytestmark = pytest.mark.real_time

RATE, SECONDS = 2000, 3

TELLS_HALF = """
from qps_service.outputs import graphite, statsd
def every_other(function):
    return lambda *arguments: (each for number, each in enumerate(function(*arguments)) if number % 2)
statsd.pack = every_other(statsd.pack)
graphite.render = every_other(graphite.render)
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Builds the one site of a test."""
    sites: list[Site] = []

    def build(outputs: str, *, twin: str = "", interval: str = "2s") -> Site:
        sites.append(Site(tmp_path / "site", interval=interval, twin=twin))
        with sites[-1].config.open("a") as file:
            file.write(outputs)
        return sites[-1]

    yield build
    for site in sites:
        site.close()


class Told:
    """Both receivers, and a run of the program on a simulated log, with what they are to know of it."""

    def __init__(self, statsd: Statsd, carbon: Carbon, site: Site) -> None:
        self._statsd, self._carbon, self._site = statsd, carbon, site
        process = site.start()
        process.told("READY=1")
        truth = site.root / "truth.json"
        options = f"-r 1 --seed 1 --rate {RATE} --duration {SECONDS}".split()
        subprocess.run(
            [sys.executable, "-m", "qps_service", "simulate", "-o", site.log, "--truth", truth, *options],
            cwd=ROOT,
            check=True,
        )
        written = json.loads(truth.read_text())
        assert written["lines"] == RATE * SECONDS
        assert process.has_counted(written["lines"])
        process.stop()
        self._expected: Counter[str] = Counter()
        for row in written["rows"]:
            name = f"{row['method']}.{row['route'].replace('/', '_')}.{row['status']:03d}"
            for what in ("requests", "bytes"):
                self._expected[f"qps.access.{name}.{what}"] += row[what]
                self._expected[f"qps.access.{what}"] += row[what]
        self._expected["qps.access.rejected"] = 0

    def check_statsd(self, guard: float = GUARD) -> None:
        """Its counters have every request once, its gauges end at 0."""

        def counters() -> dict[str, float]:
            return {key: value for key, value in self._statsd.values("counters").items() if key[:4] == "qps."}

        poll(lambda: counters() == self._expected, lambda: (counters(), self._expected), guard)
        assert self._statsd.values("counters")["statsd.bad_lines_seen"] == 0
        gauges = {key: value for key, value in self._statsd.values("gauges").items() if key[:4] == "qps."}
        assert set(gauges) == {
            key.replace(".requests", ".rate") for key in self._expected if key.endswith(".requests")
        }
        assert set(gauges.values()) == {0}

    def check_graphite(self, guard: float = GUARD) -> None:
        """Its counters end at the totals, its rates are those of the windows."""

        def totals() -> dict[str, float]:
            stored = self._carbon.values().items()
            return {key: values[-1] for key, values in stored if values and key[-5:] != ".rate"}

        poll(lambda: totals() == self._expected, lambda: (totals(), self._expected), guard)
        windows = self._site.query(
            "SELECT ended - started, sum(requests) FROM windows GROUP BY sequence ORDER BY sequence"
        )
        rates = [requests / float(seconds) for seconds, requests in windows]
        stored = [rate for rate in self._carbon.values()["qps.access.rate"] if rate]
        # The last report, of no requests or few, may share its second with the one before, which it replaces.
        assert any(stored == pytest.approx(rates[:end]) for end in (len(rates), -1, -2))
        assert len(stored) > 0


@pytest.fixture
def told(tmp_path: Path, make: Callable[..., Site]) -> Iterator[Callable[..., Told]]:
    """Runs it, with or without a twin."""
    with Statsd(tmp_path / "statsd").running() as statsd, Carbon(tmp_path / "carbon").running() as carbon:
        outputs = f"[output.statsd]\nport = {statsd.port}\n[output.graphite]\nport = {carbon.port}\n"
        yield lambda twin="": Told(statsd, carbon, make(outputs, twin=twin))


def test_both_get_the_truth(told: Callable[..., Told]) -> None:
    run = told()
    run.check_statsd()
    run.check_graphite()


@pytest.mark.twin
def test_a_twin_that_tells_half_is_caught(told: Callable[..., Told]) -> None:
    run = told(TELLS_HALF)
    with pytest.raises(AssertionError):
        run.check_statsd(1)
    with pytest.raises(AssertionError):
        run.check_graphite(1)


# --- hostile routes


def test_hostile_routes_stay_apart_in_the_real_ones(tmp_path: Path) -> None:
    """Each is a metric of its own with its own numbers, and nothing else comes of it."""
    counts = {Key(b"GET", text, 200): Counts(number, 0) for number, text in enumerate(HOSTILE, start=1)}
    expected = sorted(range(1, len(HOSTILE) + 1))
    said: list[Notice] = []
    for tags in (False, True):
        with Statsd(tmp_path / f"statsd-{tags}").running() as statsd:
            output = StatsdOutput(StatsdConfig("127.0.0.1", statsd.port, "qps", tags, 1432), said.append)
            output.emit([report(counts)], overview(standing(counts)), 0)
            output.close()
            marks = (";route=", "requests;") if tags else (".GET.", ".requests")

            def told(statsd: Statsd = statsd, marks: tuple[str, str] = marks) -> list[float]:
                counters = statsd.values("counters").items()
                return sorted(value for key, value in counters if all(mark in key for mark in marks))

            poll(lambda: told() == expected, told)
            assert statsd.values("counters")["statsd.bad_lines_seen"] == 0
            assert not [key for key in statsd.values("counters") if key[:4] not in ("qps.", "stat")]
    with Carbon(tmp_path / "carbon").running() as carbon:
        graphite = GraphiteOutput(GraphiteConfig("127.0.0.1", carbon.port, "qps"), said.append)
        graphite.emit([report(counts)._replace(at=now())], overview(standing(counts)), 0)
        graphite.close()

        def stored() -> list[float]:
            found = carbon.values().items()
            return sorted(
                value for key, values in found if key[-3:] == "sts" and ".GET." in key for value in values
            )

        poll(lambda: stored() == expected, stored)
        assert {path.name for path in (tmp_path / "carbon" / "whisper").iterdir()} <= {"qps", "carbon"}
    assert said == []


def now() -> int:
    """Unix seconds: carbon stores an hour."""
    return int(subprocess.check_output(["date", "+%s"]))


# --- receivers that are dead, or hang


def test_dead_and_hanging_receivers_change_no_count(make: Callable[..., Site]) -> None:
    """StatsD is not there, and carbon's listener never reads. Each is said once; each line counts once."""
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        dead, deaf = free_port(socket.SOCK_DGRAM), hanging.getsockname()[1]
        site = make(f"[output.statsd]\nport = {dead}\n[output.graphite]\nport = {deaf}\n", interval="500ms")
        process = site.start()
        process.told("READY=1")
        writer = site.writer()
        writer.lines(20_000)  # routes: more than a megabyte each report
        assert process.has_counted(20_000)
        poll(lambda: "takes no metrics" in site.stderr, lambda: site.stderr)
        writer.lines(1000)
        assert process.has_counted(21_000)
        process.stop()
    site.check()
    assert site.stderr.count(f"cannot send to 127.0.0.1:{dead}: Connection refused") == 1
    assert site.stderr.count(f"127.0.0.1:{deaf} takes no metrics; dropping the oldest") == 1
    assert site.stderr.count("127.0.0.1") == 2
