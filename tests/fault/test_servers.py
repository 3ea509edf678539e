"""Real web servers, asked plainly and by hostile clients: each request is counted as its client saw it.

One list of requests (web_requests.py) is sent to all servers (web_servers.py). What the clients meant and
received is the truth (web_truth.py), and each log is read in `auto` by both scanners.
"""

import json
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from qps_service.cli import main
from qps_service.scanning.built import PURE_VARIABLE
from qps_service.text.escape import show
from tests.fault.program import run_program
from tests.fault.web_requests import ASKS, KINDS
from tests.fault.web_servers import PROGRAMS, Received, serve
from tests.fault.web_truth import LOGS, UNREAD, Log, Row, expected
from tests.promised import Promise, promises

# The servers are started once, by the one process that runs all of these.
pytestmark = [pytest.mark.real_time, pytest.mark.xdist_group("web servers")]

SCANNERS = {"c": "0", "py": "1"}
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


class Reading(NamedTuple):
    """How it is known what a log says, and how it is read."""

    truth: Truth
    read: Callable[[Path, pytest.CaptureFixture[str]], Found]


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
    reading: Reading,
    log: Log,
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for pure in SCANNERS.values():
        monkeypatch.setenv(PURE_VARIABLE, pure)
        found = reading.read(served.path(log), capsys)
        assert difference(found, log, reading.truth, served) == NONE


def another_status(log: Log, received: Received) -> Counter[Row]:
    """Twin: what no client received, once."""
    rows = expected(log, received)
    rows[b"GET", b"/page", 200] -= 1
    rows[b"GET", b"/page", 201] += 1
    return rows


def rejects(kind: Callable[[Shown], bool]) -> Reading:
    """Twin: a reader that rejects a kind."""

    def read(path: Path, capsys: pytest.CaptureFixture[str]) -> Found:
        found = summarized(path, capsys)
        rows = Counter({row: n for row, n in found.rows.items() if not kind(row)})
        return Found(rows, found.rejected + found.rows.total() - rows.total())

    return Reading(expected, read)


REAL = Reading(expected, summarized)
OTHER_TRUTH = Reading(another_status, summarized)
BROKEN_READERS = {
    "rejects what the server could not read": rejects(lambda row: row[0] == UNREAD.decode()),
    "rejects quotes": rejects(lambda row: r"\\x22" in row[1]),
    "rejects blanks": rejects(lambda row: " " in row[1] or "blanks" in row[1]),
    "rejects clients that have gone": rejects(lambda row: row[2] == 499),
    "rejects switched protocols": rejects(lambda row: row[2] == 101),
}


def once(path: Path, served: Served, scanner: str) -> Mapping[str, Found]:
    """All logs by one `run --once`."""
    settings = 'format = "auto"\nstart = "start"\ncollapse = ["numeric"]\n'
    logs = (f'[log.{log}]\npath = "{served.path(log)}"\n{settings}' for log in LOGS)
    (path / "qps-reporter.toml").write_text(f'state = "{path}/state"\n' + "".join(logs))
    arguments = ("run", "--config", path / "qps-reporter.toml", "--once")
    run_program(*arguments, check=True, env={**os.environ, PURE_VARIABLE: SCANNERS[scanner]})
    ledger = sqlite3.connect(path / "state" / "ledger.db")
    rows = {str(log): Counter[Shown]() for log in LOGS}
    for name, *row, requests in ledger.execute("SELECT log, method, route, status, requests FROM totals"):
        rows[name][tuple(row)] += requests
    rejected = dict(ledger.execute("SELECT log, sum(lines) FROM rejects GROUP BY log"))
    ledger.close()
    return {name: Found(rows[name], rejected.get(name, 0)) for name in rows}


def counts_so_once(truth: Truth, scanner: str, served: Served, tmp_path: Path) -> None:
    found = once(tmp_path, served, scanner)
    differ = {str(log): difference(found[str(log)], log, truth, served) for log in LOGS}
    assert {name: each for name, each in differ.items() if each != NONE} == {}


test_promise, test_twin = promises(
    *(
        Promise(
            counts_as_the_client_saw_it,
            REAL,
            {"another status": OTHER_TRUTH, **(BROKEN_READERS if str(log) == "nginx-combined" else {})},
            label=str(log),
            log=log,
        )
        for log in LOGS
    ),
    *(Promise(counts_so_once, expected, [another_status], scanner=scanner) for scanner in SCANNERS),
)


@pytest.mark.parametrize("log", LOGS, ids=str)
def test_every_exception_is_one(log: Log, served: Served) -> None:
    """Each is for a request by its name, has one reason, and is needed: other rows are expected without."""
    received = served.received[log.server]
    names = [name for nature in log.natures for name in nature.requests]
    assert len(names) == len(set(names))
    assert set(names) <= received.keys()
    for nature in log.natures:
        for name in nature.requests:
            without = [each._replace(requests=set(each.requests) - {name}) for each in log.natures]
            assert expected(log._replace(natures=without), received) != expected(log, received), name


def test_every_kind_is_asked() -> None:
    names = [asked.name for asked in ASKS]
    assert len(names) == len(set(names)) >= 80
    assert {asked.kind for asked in ASKS} == set(KINDS)
