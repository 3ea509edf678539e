"""Hostile logs through the whole reader: endless lines, holes, and routes without end.

Memory stays bounded, and what is counted is exact. scripts/campaign.sh fuzz hostile has the
same ten times as large.
"""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.fuzz.building import ROOT
from tests.fuzz.hostile import KNOWN

IS_LONG = os.environ.get("FUZZ_HOSTILE") == "long"
LINE = (10 if IS_LONG else 1) << 30  # bytes
ROUTES = 10_000_000 if IS_LONG else 1_000_000
PEAK = 64 * 1024  # KiB


def run(*arguments: str) -> dict[str, Any]:
    """What hostile.py found."""
    program = [sys.executable, "-m", "tests.fuzz.hostile", *arguments]
    done = subprocess.run(program, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    print(*arguments, {name: found[name] for name in ("peak", "seconds", "rejects")})  # noqa: T201 - for -rP
    return found


@pytest.mark.parametrize(
    ("first", "rejects"), [pytest.param("x", {"too_long": 1}, id="line"), pytest.param("", {}, id="hole")]
)
def test_a_line_without_end(first: str, rejects: dict[str, int]) -> None:
    found = run("line", str(LINE if first or IS_LONG else LINE >> 2), first)
    assert (found["requests"], found["rejects"]) == ({"/": 1}, rejects)
    assert found["peak"] < PEAK


def test_routes_without_end() -> None:
    found = run("routes", str(ROUTES))
    requests = found["requests"]
    assert {requests[f"/known/{number}"] for number in range(KNOWN)} == {ROUTES // 10 // KNOWN}
    assert (sum(requests.values()), found["rejects"]) == (ROUTES, {})
    assert found["peak"] < PEAK


@pytest.mark.twin
def test_a_place_for_every_route_is_more_than_there_may_be() -> None:
    """What the limit on routes is for."""
    assert run("admit", str(ROUTES // 4))["peak"] > PEAK
