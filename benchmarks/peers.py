"""The programs that are compared, how each is told to count, and how its answer is read.

All count requests by method, route (without its query) and status, and sum the bytes of each, except where
a peer can't; what it can't is said in its `answer`, the part of the truth that it is held against. `cat` and
`wc -l` count nothing like it: they are the floor, what it takes to read a file and to find its newlines.
"""

import csv
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from qps_service.values.counts import Counts, Key

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(__file__).parent / "programs"
UNPACKED = ROOT / ".cache" / "peers"  # scripts/setup.sh bench
NGXTOP = UNPACKED / "ngxtop" / "bin" / "ngxtop"

Tally = dict[tuple[str, ...], tuple[int, ...]]
Totals = Mapping[Key, Counts]


class Peer(NamedTuple):
    """One program on one log."""

    name: str
    command: Callable[[str], list[str]]  # by the log's path
    answer: Callable[[str], Tally]  # what it printed -> what it counted
    expected: Callable[[Totals], Tally]  # the same from the truth
    environment: Mapping[str, str]
    share: int = 1  # it gets one line of so many of the log
    rounds: int = 5  # at most


def peers(dataset: str, own_format: str) -> Iterator[Peer]:
    """Every program that can read this log, installed or not; ours first."""
    # As it is installed: a virtual environment's finder of editable packages would be a fifth of the start.
    python, installed = os.path.realpath(sys.executable), {"PYTHONPATH": str(ROOT)}
    summarize = [python, "-m", "qps_service", "summarize", "--output", "csv", "--format", own_format]

    def ours(path: str) -> list[str]:
        return [*summarize, path]

    yield Peer("qps-reporter", ours, _read_csv, _full, installed)
    pure = {**installed, "QPS_REPORTER_PURE": "1"}
    yield Peer("qps-reporter, pure Python", ours, _read_csv, _full, pure, share=10, rounds=3)
    yield Peer("cat", lambda path: ["cat", path], lambda _: {}, lambda _: {}, {})
    yield Peer("wc -l", lambda path: ["wc", "-l", path], _read_wc, _lines, {})
    program, separator = {
        "combined": ("combined", '"'),
        "zipf": ("default", "\t"),
        "default": ("default", "\t"),
    }.get(dataset, (dataset, " "))
    yield _awk("mawk", ["mawk"], program, separator)
    faster, separator = ("combined-blanks", " ") if dataset == "combined" else (program, separator)
    yield _awk("gawk", [str(UNPACKED / "usr/bin/gawk")], faster, separator)._replace(share=5, rounds=3)
    yield Peer("mtail", lambda path: _mtail(program, path), _read_mtail, _full, {}, share=30, rounds=3)
    if dataset in ("combined", "caddy"):  # the others have no date that it knows, or none at all
        named = dataset.upper()
        share = {"combined": 20, "caddy": 100}[dataset]
        yield Peer(
            "GoAccess",
            lambda path: _goaccess(named, path),
            _read_goaccess,
            _by_status,
            libraries(),
            share,
            3,
        )
    if dataset not in ("caddy", "json"):
        yield Peer(
            "ngxtop", lambda path: _ngxtop(dataset, path), _read_ngxtop, _requests, {}, share=100, rounds=3
        )


def _awk(name: str, command: list[str], program: str, separator: str) -> Peer:
    file = str(PROGRAMS / f"{program}.awk")
    return Peer(
        name, lambda path: [*command, f"-F{separator}", "-f", file, path], _read_tabs, _full, libraries()
    )


def libraries() -> dict[str, str]:
    """Debian's programs are unpacked, not installed, and so are libraries of theirs."""
    return {"LD_LIBRARY_PATH": ":".join(map(str, sorted(UNPACKED.glob("usr/lib/*-linux-gnu"))))}


def mtail(program: str) -> list[str]:
    """mtail with one of our programs, its page on a free local port and its words on stderr."""
    progs = ["-progs", str(PROGRAMS / f"{program}.mtail"), "-logtostderr"]
    return [str(UNPACKED / "usr/bin/mtail"), *progs, "-address", "127.0.0.1"]


def _mtail(program: str, path: str) -> list[str]:
    return [*mtail(program), "-port", "0", "-one_shot", "-one_shot_format", "json", "-logs", path]


def _goaccess(named: str, path: str) -> list[str]:
    """All panels but the ones with routes, statuses and methods off, as nobody asked for them."""
    ignored = "VISITORS REQUESTS_STATIC NOT_FOUND HOSTS OS BROWSERS VISIT_TIMES VIRTUAL_HOSTS REFERRERS"
    ignored += " REFERRING_SITES KEYPHRASES REMOTE_USER CACHE_STATUS GEO_LOCATION MIME_TYPE TLS_TYPE"
    off = [f"--ignore-panel={name}" for name in ignored.split()]
    fixed = [
        "--no-global-config",
        "--no-progress",
        "--no-query-string",
        "--output=/dev/stdout",
        "--output-format=json",
    ]
    return [str(UNPACKED / "usr/bin/goaccess"), path, f"--log-format={named}", *fixed, *off]


def _ngxtop(dataset: str, path: str) -> list[str]:
    if dataset == "combined":
        log_format, group = "combined", "request_path,status"
    else:
        log_format, group = (
            "$remote_addr\t$request_method $request_uri\t$status\t$body_bytes_sent",
            "request_path,status",
        )
    return [str(NGXTOP), "--no-follow", "-l", path, "-f", log_format, "-g", group, "-n", "1000000"]


def is_installed(peer: Peer) -> bool:
    """Whether its program is there. Ours is: where it can't run, that is an error, not a missing peer."""
    program = Path(peer.command("")[0])
    return program.exists() if program.is_absolute() else shutil.which(str(program)) is not None


def _full(totals: Totals) -> Tally:
    return {
        (key.method.decode(), key.route.decode(), str(key.status)): tuple(counts)
        for key, counts in totals.items()
    }


def _lines(totals: Totals) -> Tally:
    return {("lines",): (sum(counts.requests for counts in totals.values()),)}


def _sums(totals: Totals, name: Callable[[Key], tuple[str, ...]]) -> Tally:
    sums: Tally = {}
    for key, counts in totals.items():
        requests, size = sums.get(name(key), (0, 0))
        sums[name(key)] = (requests + counts.requests, size + counts.bytes)
    return sums


def _by_status(totals: Totals) -> Tally:
    """GoAccess has panels of statuses and of routes, not of both together; of routes it prints 366."""
    return _sums(totals, lambda key: (str(key.status),))


def _requests(totals: Totals) -> Tally:
    """ngxtop prints averages, not sums, of bytes; and its `combined` has no method apart from the request."""
    sums = _sums(totals, lambda key: (key.route.decode(), str(key.status)))
    return {name: (requests,) for name, (requests, _) in sums.items()}


def _read_tabs(text: str) -> Tally:
    rows = (line.split("\t") for line in text.splitlines())
    return {
        (method, route, status): (int(requests), int(size)) for method, route, status, requests, size in rows
    }


def _read_csv(text: str) -> Tally:
    rows = list(csv.reader(text.splitlines()))[1:]
    return {
        (method, route, status): (int(requests), int(size)) for method, route, status, requests, size in rows
    }


def _read_wc(text: str) -> Tally:
    return {("lines",): (int(text.split()[0]),)}


def _read_mtail(text: str) -> Tally:
    counted: dict[str, dict[tuple[str, ...], int]] = {"requests": {}, "sent": {}}
    for name, metrics in json.loads(text[text.index("{") :]).items():
        for value in metrics[0]["LabelValues"]:
            counted[name][tuple(value["Labels"])] = value["Value"]["Value"]
    return {labels: (number, counted["sent"][labels]) for labels, number in counted["requests"].items()}


def _read_goaccess(text: str) -> Tally:
    classes = json.loads(text)["status_codes"]["data"]
    rows = (row for each in classes for row in each.get("items", [each]))
    return {(row["data"][:3],): (row["hits"]["count"], row["bytes"]["count"]) for row in rows}


_NGXTOP_ROW = re.compile(r"^\| (/\S*) +\| +(\d+) \| +(\d+) \|", re.MULTILINE)


def _read_ngxtop(text: str) -> Tally:
    return {(route, status): (int(requests),) for route, status, requests in _NGXTOP_ROW.findall(text)}
