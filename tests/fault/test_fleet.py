"""Twenty services, each with a log and a rate of its own, scraped by a real Prometheus with our rules.

What the fleet's recorded rates come to over a run is what was written, by the truth files of the writers.
The rules' window is made as short as the scrapes' interval is here, as docs/how-to/fleet.md tells.
"""

import itertools
import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.fault.program import GUARD, ROOT, Process, free_port, simulated, simulator, truth
from tests.fault.prometheus_server import PrometheusServer
from tests.project.test_fleet_arithmetic import OWN

# One process has all of them, since a run takes most of a minute.
pytestmark = [pytest.mark.real_time, pytest.mark.xdist_group("fleet")]

PACKAGED = ROOT / "packaging" / "prometheus"
INSTANCES = 20
RATES = [20 + 4 * number for number in range(INSTANCES)]  # lines per second; 1,160 in all
SECONDS = 12
SCRAPES = 10  # a window's
WINDOW = f"{SCRAPES}s"
# Where a rule is evaluated while a scrape is under way, the window lacks its last sample: of all requests the
# time of a scrape / WINDOW. On two busy cores that was 0.6% with 5s, and 0.3% with 10s.
TOLERANCE = 0.01

CONFIGURATION = """
global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
rule_files: [{rules}/*.yml]
scrape_configs:
  - job_name: qps-reporter
    static_configs:
      - targets: [{targets}]
"""
# A mean over hosts, a route that was forgotten, and one host for all; to see that they are noticed.
BROKEN = """
groups:
  - name: broken
    rules:
      - record: broken:mean
        expr: avg without (instance) (instance_log:qps_reporter_http_requests:rate{window})
      - record: broken:forgets
        expr: sum without (instance, method, route, status)
          (rate(qps_reporter_http_requests_total{{route!="/questions"}}[{window}]))
      - record: broken:one_host_each
        expr: max without (instance, method) (rate(qps_reporter_http_requests_total[{window}]))
"""
# The default format, and how long requests took.
FORMAT = "$remote_addr\t$request_method $uri\t$status\t$body_bytes_sent\t$request_time"
SERVICE = """
interval = "1s"
[output.prometheus]
listen = "127.0.0.1:{port}"
[log.access]
path = "{log}"
start = "start"
format = '''{format}'''
"""
Row = tuple[str, str]  # route and status


def for_window(text: str) -> str:
    """The rules, or whatever goes with them, for another window: as by the sed of the rules' own comment."""
    return re.sub(r"1m\b", WINDOW, text)


def earlier_lines(log: Path) -> bytes:
    """Of every route and status, and many of each: what a series begins with is in no rate, and one that
    grows from next to nothing is taken to have begun within the window."""
    simulated(log, f"-r 0 --rate 200000 --duration 1 --batch --format '{FORMAT}'")
    lines = log.read_bytes().splitlines(keepends=True)
    return b"".join({tuple(line.split(b"\t")[1:3]): line for line in lines}.values()) * 1000


def truths(logs: Sequence[Path]) -> Counter[Row]:
    """What was written to all of them, by route and status."""
    total: Counter[Row] = Counter()
    for row in (row for log in logs for row in truth(log)):
        total[row["route"], f"{row['status']:03}"] += row["requests"]
    return total


class Fleet(NamedTuple):
    """What is left of a run: Prometheus with all its data."""

    prometheus: PrometheusServer
    written: Counter[Row]  # while it was watched
    began: float  # Unix seconds
    ended: float

    def requests(self, recorded: str) -> dict[tuple[str, ...], float]:
        """A recorded rate's sum over the run, by its route and status, as far as it has these."""
        return {
            tuple(labels[name] for name in ("route", "status") if name in labels): sum(
                (after - before) * value for (before, value), (after, _) in itertools.pairwise(values)
            )
            for labels, values in self.prometheus.recorded(f"{recorded}[10m]")
        }


def run_fleet(directory: Path, stack: ExitStack) -> Fleet:
    """Start everything, write, and wait until the rates are back at 0."""
    *ports, own_port = (free_port() for _ in range(INSTANCES + 1))
    logs = [directory / str(number) / "access.log" for number in range(INSTANCES)]
    past = earlier_lines(directory / "earlier.log")
    for port, log in zip(ports, logs, strict=True):
        log.parent.mkdir()
        (log.parent / "config.toml").write_text(SERVICE.format(port=port, log=log, format=FORMAT))
        log.write_bytes(past)
    before = past.count(b"\n") * INSTANCES
    with logs[0].open("ab") as log_file:
        log_file.write(b"no request\n")
    services = []
    for log in logs:
        service = Process(log.parent, "--config", str(log.parent / "config.toml"), stdout=subprocess.DEVNULL)
        stack.callback(service.close)
        services.append(service)
    for service in services:
        service.told("READY=1")

    rules = directory / "rules"
    rules.mkdir()
    for name in ("qps-reporter.rules.yml", "qps-reporter.alerts.yml"):
        (rules / name).write_text(for_window((PACKAGED / name).read_text()))
    (rules / "broken.yml").write_text(BROKEN.format(window=WINDOW))
    targets = ", ".join(f"127.0.0.1:{port}" for port in ports)
    prometheus = PrometheusServer(directory, CONFIGURATION.format(rules=rules, targets=targets), own_port)
    stack.callback(prometheus.close)
    counted = "sum(qps_reporter_http_requests_total)"
    prometheus.wait_for(counted, before)
    # As many scrapes as a window has: before, a rate is made of less.
    prometheus.wait_for(f"count(count_over_time(qps_reporter_lines_total[{WINDOW}]) >= {SCRAPES})", INSTANCES)
    began = time.time()
    writers = [
        simulator(log, f"-r 4 --rate {rate} --duration {SECONDS} --format '{FORMAT}'")
        for log, rate in zip(logs, RATES, strict=True)
    ]
    for writer in writers:
        stack.callback(writer.kill)
    assert [writer.wait(GUARD) for writer in writers] == [0] * INSTANCES
    ended = time.time()
    written = truths(logs)
    prometheus.wait_for(counted, before + written.total())
    prometheus.wait_for(f"sum(log:qps_reporter_http_requests:rate{WINDOW})", 0)
    return Fleet(prometheus, written, began, ended)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield run_fleet(tmp_path_factory.mktemp("fleet"), stack)


def check_sum(fleet: Fleet, recorded: str) -> None:
    """The fleet's requests per second, over the run: as many as were written."""
    [requests] = fleet.requests(recorded).values()
    assert requests == pytest.approx(fleet.written.total(), rel=TOLERANCE)


def check_rows(fleet: Fleet, recorded: str) -> None:
    """The same for each route and status."""
    requests = fleet.requests(recorded)
    often = {row: number for row, number in fleet.written.items() if number > 100}
    assert len(often) > 5
    # A row so rare that no earlier line has it would lack its first request at each host.
    assert {row: requests[row] for row in often} == pytest.approx(often, rel=TOLERANCE, abs=3)


def test_the_fleets_rate_is_the_sum_of_the_truths(fleet: Fleet) -> None:
    assert fleet.written.total() == sum(RATES) * SECONDS
    check_sum(fleet, f"log:qps_reporter_http_requests:rate{WINDOW}")


def test_so_is_that_of_each_route_and_status(fleet: Fleet) -> None:
    check_rows(fleet, f"log_route_status:qps_reporter_http_requests:rate{WINDOW}")


@pytest.mark.twin
@pytest.mark.parametrize(
    ("check", "broken"), [(check_sum, "mean"), (check_sum, "forgets"), (check_rows, "one_host_each")]
)
def test_a_rule_that_is_wrong_is_noticed(
    fleet: Fleet, check: Callable[[Fleet, str], None], broken: str
) -> None:
    with pytest.raises(AssertionError, match="=="):
        check(fleet, f"broken:{broken}")


def test_the_error_ratio_is_that_of_the_sums(fleet: Fleet) -> None:
    failed = sum(number for (_, status), number in fleet.written.items() if status.startswith("5"))
    [errors] = fleet.requests(f"log:qps_reporter_http_errors:rate{WINDOW}").values()
    assert errors == pytest.approx(failed, rel=TOLERANCE, abs=3)


def test_every_rule_works(fleet: Fleet) -> None:
    groups = fleet.prometheus.api("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    packaged = "".join((PACKAGED / f"qps-reporter.{name}.yml").read_text() for name in ("rules", "alerts"))
    assert len(rules) == len(re.findall(r"- (?:record|alert): ", packaged + BROKEN))
    assert {(rule["health"], rule.get("lastError", "")) for rule in rules} == {("ok", "")}


def test_a_host_has_as_many_series_as_the_arithmetic_says(fleet: Fleet) -> None:
    own = {
        labels["instance"]: number
        for labels, number in fleet.prometheus.query(
            "count by (instance) ({instance!='', __name__!~'.*:.*|ALERTS.*|qps_reporter_http_.*'})"
        )
    }
    assert len(own) == INSTANCES
    assert set(own.values()) == {OWN}
    requests, sizes = (
        fleet.prometheus.query(f"count(qps_reporter_http_{what}_total)")
        for what in ("requests", "response_bytes")
    )
    assert requests == sizes


# --- the dashboard


def dashboard() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(for_window((PACKAGED / "dashboard.json").read_text()))
    return content


def dashboard_problems(fleet: Fleet, dashboard: Mapping[str, Any]) -> list[str]:
    """What Grafana could not show: variables and queries without data, while the fleet was busy."""
    prometheus, problems = fleet.prometheus, []
    middle = (fleet.began + fleet.ended) / 2
    source, *variables = dashboard["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    values = {"log": ".*"}  # which is All
    for variable in variables:
        [(query, label)] = re.findall(r"^label_values\((.+), (\w+)\)$", variable["query"]["query"])
        known = {labels.get(label) for labels, _ in prometheus.query(filled_in(query, values), middle)}
        if len(known) != 1 or None in known:
            problems.append(f"variable {variable['name']}: {known}")
        values.setdefault(variable["name"], str(known.pop() if known else ""))
    for panel in dashboard["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            expression = filled_in(target["expr"], values)
            samples = prometheus.query(expression, middle)
            labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            if not samples or not all(labels <= set(found) for found, _ in samples):
                problems.append(f"{panel['title']}: {expression}")
    return problems


def filled_in(expression: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)


def test_the_dashboard_shows_something_everywhere(fleet: Fleet) -> None:
    assert dashboard_problems(fleet, dashboard()) == []


@pytest.mark.twin
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("qps_reporter_pending_bytes", "qps_reporter_pending"),
        ("{{reason}}", "{{cause}}"),
        ("qps_reporter_build_info", "qps_reporter_info"),
        (
            f"log_status:qps_reporter_http_requests:rate{WINDOW}",
            "log_status:qps_reporter_http_requests:rate1m",
        ),
        ("sum by (status)", "sum by (log)"),
    ],
)
def test_a_dashboard_that_is_wrong_is_noticed(fleet: Fleet, right: str, wrong: str) -> None:
    text = json.dumps(dashboard())
    assert right in text
    assert dashboard_problems(fleet, json.loads(text.replace(right, wrong)))


# --- federation


def check_federated(fleet: Fleet, match: str) -> None:
    """All aggregates, and no series of a single host."""
    text = fleet.prometheus.get("/federate", **{"match[]": match}).decode()
    series = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert any(line.startswith(f"log:qps_reporter_http_requests:rate{WINDOW}{{") for line in series)
    assert not [line for line in series if 'instance="1' in line]
    assert len(series) == fleet.prometheus.query("count({__name__=~'log.*:.*'})")[0][1]


def documented() -> str:
    """The match that docs/how-to/fleet.md names."""
    [match] = set(re.findall(r"'match\[\]': \['(.+)'\]", (ROOT / "docs/how-to/fleet.md").read_text()))
    return str(match)


def test_what_is_federated_is_the_aggregates(fleet: Fleet) -> None:
    check_federated(fleet, documented())


@pytest.mark.twin
@pytest.mark.parametrize(("right", "wrong"), [("log[", ".*["), ("[a-z_]*", "")])
def test_what_is_federated_and_should_not_be_is_noticed(fleet: Fleet, right: str, wrong: str) -> None:
    assert right in documented()
    with pytest.raises(AssertionError):
        check_federated(fleet, documented().replace(right, wrong))
