"""Prometheus' rules for a fleet, by promtool: each says what it should, and its unit test notices if not."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fault.program import ROOT
from tests.project.test_docs import FENCE, HEADING

pytestmark = pytest.mark.real_time

PROMTOOL = ROOT / ".cache" / "servers" / "usr" / "bin" / "promtool"  # scripts/setup.sh unpacks it there
PACKAGED = ROOT / "packaging" / "prometheus"
FLEET = "docs/how-to/fleet.md"
RULES, ALERTS = "qps-reporter.rules.yml", "qps-reporter.alerts.yml"
RULE = re.compile(r"^ {6}- (?:record|alert): (\S+)\n {8}expr: \|\n((?: {10}.*\n)+)", re.MULTILINE)


def promtool(*arguments: str | Path) -> tuple[bool, str]:
    """Whether it is content, and what it says."""
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def expressions() -> dict[str, str]:
    """Those of all rules, by name; indented as they stand there."""
    return {
        name: expression
        for file in (RULES, ALERTS)
        for name, expression in RULE.findall((PACKAGED / file).read_text())
    }


def failure(directory: Path, file: str) -> str:
    """What the unit tests of the rules in `file` say is wrong; nothing if they pass."""
    passed, said = promtool("test", "rules", directory / file.replace(".yml", ".test.yml"))
    return "" if passed else said


def check_caught(directory: Path, file: str) -> None:
    """They fail, and not because there is no rule to test: a value or an alert is another."""
    assert re.search(r" time: \w+, *\n +exp:", failure(directory, file))


def check_rules(directory: Path) -> None:
    rules = [directory / RULES, directory / ALERTS]
    is_clean, said = promtool("check", "rules", *rules)
    assert is_clean, said
    for file in rules:
        number = len(re.findall(r"^ +- (?:record|alert): ", file.read_text(), re.MULTILINE))
        assert f"Checking {file}\n  SUCCESS: {number} rules found" in said


def test_promtool_finds_no_fault() -> None:
    check_rules(PACKAGED)
    is_clean, said = promtool("check", "config", PACKAGED / "scrape.example.yml")
    assert is_clean, said
    assert "2 rule files found" in said
    assert len(expressions()) == len(
        re.findall(r"(?:record|alert): ", (PACKAGED / RULES).read_text() + (PACKAGED / ALERTS).read_text())
    )


@pytest.mark.parametrize("file", [RULES, ALERTS])
def test_the_rules_pass_their_tests(file: str) -> None:
    assert failure(PACKAGED, file) == ""


def test_each_alert_is_tested_both_ways() -> None:
    tests = (PACKAGED / ALERTS.replace(".yml", ".test.yml")).read_text()
    cases = re.findall(r"alertname: (\w+)\n +eval_time: .*\n +exp_alerts:(.*)\n", tests)
    alerts = [name for name in expressions() if ":" not in name]
    assert set(cases) == {(alert, expected) for alert in alerts for expected in ("", " []")}


def twin(directory: Path, name: str, right: str, wrong: str) -> Path:
    """The files, with one rule changed."""
    broken = directory / "twin"
    shutil.copytree(PACKAGED, broken)
    path, expression = broken / (RULES if ":" in name else ALERTS), expressions()[name]
    assert right in expression
    head = f"{name}\n        expr: |\n"
    changed = expression.replace(right, wrong)
    path.write_text(path.read_text().replace(head + expression, head + changed))
    return broken


LOG = "log:qps_reporter_http_"
INSTANCE = "instance_log:qps_reporter_http_"
REQUESTS, ERRORS, RATIO = "requests:rate1m", "errors:rate1m", "errors_per_http_requests:ratio_rate1m"
ALL_REQUESTS = "rate(qps_reporter_http_requests_total[1m])"
ROWS = f"log_route_status:qps_reporter_http_{REQUESTS}"
REJECTED = "instance_log:qps_reporter_rejected_lines_per_lines:ratio_rate1m"
LOSSES = "increase(qps_reporter_possible_losses_total[15m]) > 0\n          or "
LEDGER, OUTPUT = "qps_reporter_ledger_failures_total", "qps_reporter_output_failures_total"
DURATIONS = "qps_reporter_http_request_duration_seconds"
P95, BUCKETS = f"log:{DURATIONS}:p95_rate1m", f"log_class_le:{DURATIONS}_bucket:rate1m"
SLOW = "log:qps_reporter_slow_http_requests:rate1m"
SUMS = f"sum without (instance, method) ({ALL_REQUESTS})"
RATE_OF_SUMS = "rate(sum without (instance, method) (qps_reporter_http_requests_total)[1m:15s])"
RATIO_OF_SUMS = f"{LOG}{ERRORS}\n          / ({LOG}{REQUESTS} > 0)"
MEAN_OF_RATIOS = f"avg without (instance) ({INSTANCE}{RATIO})"

FAULTS = [
    (LOG + RATIO, RATIO_OF_SUMS, MEAN_OF_RATIOS),
    # takes a host that goes for a reset
    (ROWS, SUMS, RATE_OF_SUMS),
    # the last two samples alone, which one scrape that fails takes away
    (ROWS, "[1m]", "[15s]"),
    (ROWS, "sum without", "avg without"),
    (ROWS, "(instance, method)", "(instance)"),
    (f"log_status:qps_reporter_http_{REQUESTS}", "(route)", "(status)"),
    (LOG + REQUESTS, "(status)", "(log)"),
    (LOG + ERRORS, "5..", "500"),
    (LOG + ERRORS, f"          or 0 * {LOG}{REQUESTS}\n", ""),
    (LOG + RATIO, " > 0", ""),
    (f"instance_{ROWS}", "sum without (method) ", ""),
    (INSTANCE + ERRORS, "5..", "[45].."),
    (INSTANCE + ERRORS, f"          or 0 * {INSTANCE}{REQUESTS}\n", ""),
    (INSTANCE + RATIO, " > 0", " >= 0"),
    (REJECTED, "sum", "max"),
    (REJECTED, " > 0", ""),
    ("log_reason:qps_reporter_rejected_lines:rate1m", "(instance)", "(instance, reason)"),
    (f"instance_{P95}", "(class, route)", "(class)"),
    (P95, "sum without", "max without"),
    (BUCKETS, "(instance, route)", "(instance)"),
    (SLOW, '"0.5"', '"0.25"'),
    ("QpsReporterSlowFast", "[1h]", "[5m]"),
    ("QpsReporterSlowLong", "[30m]", "[6h]"),
    ("QpsReporterErrorRatio", "0.05", "0.049"),
    ("QpsReporterErrorRatio", f"          and {LOG}{REQUESTS} > 1\n", ""),
    ("QpsReporterErrorRatio", f"{LOG}{RATIO}", MEAN_OF_RATIOS),
    ("QpsReporterInstanceErrorRatio", "0.25", "0.05"),
    ("QpsReporterInstanceErrorRatio", f"          and {INSTANCE}{REQUESTS} > 1\n", ""),
    ("QpsReporterTrafficVanished", "0.1 *", "0.9 *"),
    ("QpsReporterTrafficVanished", " > 1", " >= 0"),
    ("QpsReporterNoData", "          unless log:qps_reporter_http_requests:rate1m\n", ""),
    ("QpsReporterDown", '{job="qps-reporter"}', ""),
    ("QpsReporterDown", "== 0", ">= 0"),
    ("QpsReporterAbsent", '{job="qps-reporter"}', ""),
    ("QpsReporterPossibleLoss", " > 0 unless", " >= 0 or"),
    ("QpsReporterPossibleLoss", LOSSES, ""),
    ("QpsReporterRejectedLines", "0.05", "0.049"),
    ("QpsReporterRejectedLines", "          and instance_log:qps_reporter_lines:rate1m > 1\n", ""),
    ("QpsReporterLedgerFailing", f"increase({LEDGER}[5m])", LEDGER),
    ("QpsReporterLedgerFailing", "[5m]", "[1h]"),
    ("QpsReporterOutputFailing", f"increase({OUTPUT}[5m])", OUTPUT),
    ("QpsReporterOutputFailing", "[5m]", "[1h]"),
    ("QpsReporterLastLineTooOld", "> 900", ">= 900"),
    ("QpsReporterLastLineTooOld", f"          and avg_over_time({INSTANCE}{REQUESTS}[1d]) > 0.1\n", ""),
]


@pytest.mark.twin
@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        *(
            (name, text, "          vector(0) == 1\n")
            for name, text in sorted(expressions().items())
            if name not in {faulty for faulty, *_ in FAULTS}
        ),
        *FAULTS,
    ],
)
def test_a_rule_that_is_wrong_is_noticed(name: str, right: str, wrong: str, tmp_path: Path) -> None:
    """Each rule by a fault of its own, or where it says nothing."""
    check_caught(twin(tmp_path, name, right, wrong), RULES if ":" in name else ALERTS)


@pytest.mark.twin
@pytest.mark.parametrize("alert", sorted(name for name in expressions() if ":" not in name))
def test_an_alert_that_is_too_hasty_or_too_late_is_noticed(alert: str, tmp_path: Path) -> None:
    """`for` is held by the tests, both ways."""
    text = (PACKAGED / ALERTS).read_text()
    after = text.index(f"alert: {alert}\n")
    found = re.compile(r"        for: (\d+m)\n").search(text, after, text.index("labels:", after))
    for wait in ("0s", "20m") if found else ("5m",):
        shutil.copytree(PACKAGED, tmp_path / wait)
        at = found.start() if found else text.index("        labels:", after)
        end = found.end() if found else at
        (tmp_path / wait / ALERTS).write_text(f"{text[:at]}        for: {wait}\n{text[end:]}")
        check_caught(tmp_path / wait, ALERTS)


def lost_runbooks(alerts: str) -> list[str]:
    """Runbooks that name no section of a page."""
    named = re.findall(r"^ +runbook: ['\"]([\w/-]+\.md): (.+)['\"]$", alerts, re.MULTILINE)
    assert len(named) == alerts.count("- alert:")
    return [section for page, section in named if section not in HEADING.findall((ROOT / page).read_text())]


def test_each_alert_names_a_section() -> None:
    alerts = (PACKAGED / ALERTS).read_text()
    assert lost_runbooks(alerts) == []
    assert lost_runbooks(alerts.replace(": Messages", ": Notices")) == ["Notices"]


def test_the_configurations_in_the_page_are_valid(tmp_path: Path) -> None:
    blocks = [text for language, text in FENCE.findall((ROOT / FLEET).read_text()) if language == "yaml"]
    assert len(blocks) == 3
    for block in blocks:
        (tmp_path / "prometheus.yml").write_text(block)
        is_valid, said = promtool("check", "config", tmp_path / "prometheus.yml")
        assert is_valid, said
    (tmp_path / "prometheus.yml").write_text(blocks[0].replace("hashmod", "hash"))
    assert not promtool("check", "config", tmp_path / "prometheus.yml")[0]
