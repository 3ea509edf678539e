"""Logs of servers that no test can start are read in `auto` as their documentation means them.

The lines are those of the pages beside them. The first of Traefik is of its own tests (logger_test.go), and
the malformed request to a load balancer of AWS is of a log that somebody published.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from qps_service.cli import main
from qps_service.scanning.built import PURE_VARIABLE
from tests.promised import Promise, promises

LOGS = Path(__file__).parents[2] / "samples" / "logs"

Row = tuple[str, str, int]

# By the name of the log: what is in it.
DOCUMENTED: Mapping[str, Mapping[Row, int]] = {
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
    "alb": {("GET", "/", 200): 3, ("GET", "/", 502): 1, ("-", "-", 400): 1},
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging-legacy-s3.html
    "cloudfront": {("GET", "/index.html", 200): 2, ("GET", "/favicon.ico", 502): 1, ("GET", "/", 502): 1},
    # https://learn.microsoft.com/en-us/windows/win32/http/w3c-logging
    "iis": {
        ("GET", "/images/picture.jpg", 200): 1,
        ("GET", "/index.html", 301): 1,
        ("GET", "/index.html/", 403): 1,
    },
    # https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
    "envoy": {("POST", "/api/v1/locations", 204): 1},
    # https://istio.io/latest/docs/tasks/observability/logs/access-log/
    "istio": {("GET", "/status/418", 418): 2},
    # https://doc.traefik.io/traefik/observability/access-logs/
    "traefik": {("POST", "testpath", 123): 1, ("GET", "/api", 200): 1},
    "traefik-json": {("GET", "/api/data", 200): 1, ("GET", "/", 200): 1},
}


def says_what_is_documented(
    documented: Mapping[str, Mapping[Row, int]],
    name: str,
    pure: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(PURE_VARIABLE, pure)
    main(["summarize", str(LOGS / f"{name}.log"), "--output", "json"])
    found = json.loads(capsys.readouterr().out)
    rows = Counter({(row["method"], row["route"], row["status"]): row["requests"] for row in found["rows"]})
    assert rows == documented[name]
    assert found["rejected"] == {}


def another_status() -> Mapping[str, Mapping[Row, int]]:
    """Twin: what no page says."""
    return {
        name: {(method, route, status + 1): n for (method, route, status), n in rows.items()}
        for name, rows in DOCUMENTED.items()
    }


test_promise, test_twin = promises(
    *(
        Promise(
            says_what_is_documented, DOCUMENTED, {"another status": another_status()}, name=name, pure=pure
        )
        for name in DOCUMENTED
        for pure in ("0", "1")
    )
)
