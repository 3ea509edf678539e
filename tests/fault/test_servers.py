"""Real web servers, asked plainly and by hostile clients: each request is counted as its client saw it.

One list of requests (web_requests.py) is sent to all servers (web_servers.py). What the clients meant and
received is the truth (web_truth.py), and each log is read in `auto` by both scanners.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from qps_service.cli import main
from qps_service.scanning.built import PURE_VARIABLE
from qps_service.text.escape import show
from tests.fault.web_servers import PROGRAMS, Received, serve
from tests.fault.web_truth import LOGS, UNREAD, Log, Row, expected
from tests.promised import Promise, promises

# The servers are started once, by the one process that runs all of these.
pytestmark = [pytest.mark.real_time, pytest.mark.xdist_group("web servers")]

Shown = tuple[str, str, int]  # method and route as outputs show them, and the status


class Served(NamedTuple):
    """What the servers left, each in its directory, and what their clients received."""

    root: Path
    received: Mapping[str, Received]

    def path(self, log: Log) -> Path:
        """Where it is."""
        return self.root / log.server / f"{log.file}.log"

    def messages(self, log: Log) -> int:
        """How many lines in it are the server's own and no request's."""
        return sum(not re.search(log.requests, line) for line in self.path(log).read_bytes().splitlines())


class Found(NamedTuple):
    """What a log was read as."""

    rows: Counter[Shown]
    rejected: int


Truth = Callable[[Log, Received], Counter[Row]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """All servers, started, asked and ended."""
    root = tmp_path_factory.mktemp("servers")
    with ThreadPoolExecutor(len(PROGRAMS)) as pool:
        received = pool.map(lambda name: serve(name, root / name), PROGRAMS)
        return Served(root, dict(zip(PROGRAMS, received, strict=True)))


def shown(rows: Counter[Row]) -> Counter[Shown]:
    """The same as outputs have it."""
    return Counter({(show(method), show(route), status): n for (method, route, status), n in rows.items()})


class Difference(NamedTuple):
    """Of what a log was read as from what is true."""

    missing: list[Shown]
    surplus: list[Shown]
    rejected: int  # more than the server's own messages


NONE = Difference([], [], 0)


def difference(found: Found, log: Log, truth: Truth, served: Served) -> Difference:
    """By the rows and by the lines that are rejected."""
    wanted = shown(truth(log, served.received[log.server]))
    rejected = found.rejected - served.messages(log)
    return Difference(sorted(wanted - found.rows), sorted(found.rows - wanted), rejected)


def summarized(path: Path, capsys: pytest.CaptureFixture[str]) -> Found:
    """By `summarize`."""
    main(["summarize", str(path), "--output", "json", "--collapse", "numeric"])
    found = json.loads(capsys.readouterr().out)
    rows = {(row["method"], row["route"], row["status"]): row["requests"] for row in found["rows"]}
    return Found(Counter(rows), sum(found["rejected"].values()))


def counts_as_the_client_saw_it(
    truth: Truth,
    log: Log,
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for pure in ("0", "1"):
        monkeypatch.setenv(PURE_VARIABLE, pure)
        found = summarized(served.path(log), capsys)
        assert difference(found, log, truth, served) == NONE


def another_status(log: Log, received: Received) -> Counter[Row]:
    """Twin: what no client received, once."""
    rows = expected(log, received)
    rows[b"GET", b"/page", 200] -= 1
    rows[b"GET", b"/page", 201] += 1
    return rows


def without(kind: Callable[[Row], bool]) -> Truth:
    """Twin: what such rows lack, and the log has."""
    return lambda log, received: Counter(
        {row: n for row, n in expected(log, received).items() if not kind(row)}
    )


TWINS: dict[str, dict[str, Truth]] = {
    "nginx-combined": {
        "what the server could not read": without(lambda row: row[0] == UNREAD),
        "quotes": without(lambda row: rb"\x22" in row[1]),
        "blanks": without(lambda row: b" " in row[1] or b"blanks" in row[1]),
        "clients that have gone": without(lambda row: row[2] == 499),
        "switched protocols": without(lambda row: row[2] == 101),
    }
}
test_promise, test_twin = promises(
    *(
        Promise(
            counts_as_the_client_saw_it,
            expected,
            {"another status": another_status, **TWINS.get(str(log), {})},
            label=str(log),
            log=log,
        )
        for log in LOGS
    ),
)
