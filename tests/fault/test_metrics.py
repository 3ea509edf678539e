"""StatsD and Graphite themselves are told the truth: of a simulated site's traffic."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fault import broken
from tests.fault.program import MakeSite, Site, simulated, until
from tests.fault.receivers import Carbon, Statsd

pytestmark = pytest.mark.real_time

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
    with Statsd(tmp_path / "statsd").running() as statsd, Carbon(tmp_path / "carbon").running() as carbon:
        more = f"[output.statsd]\nport = {statsd.port}\n[output.graphite]\nport = {carbon.port}\n"
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
