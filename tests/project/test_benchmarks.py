"""The benchmarks' pure parts: what is compared is alike, and the figures say what was measured."""

import json
import socket
import time
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from benchmarks import outputs, peers, traffic
from benchmarks.agreement import DisagreementError, compare, counted
from benchmarks.datasets import DATASETS, Dataset, DiskFullError, log, repeated, rows, truth
from benchmarks.figures import Run, ratio, section
from benchmarks.processes import FailedError, cores
from qps_service.configuration.outputs import OUTPUTS
from qps_service.formats.presets import compile_format
from qps_service.scanning.options import ScanOptions
from qps_service.scanning.pure import PureScanner
from qps_service.values.counts import Counts, Key

KEY = Key(b"GET", b"/a", 200)
ROWS = [
    traffic.Row(KEY, 10, b"x\n"),
    traffic.Row(KEY, 5, b"y\n"),
    traffic.Row(KEY._replace(status=404), 1, b"z\n"),
]
TOTALS = truth(ROWS)


each_dataset = pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)


def by_name(name: str) -> Dataset:
    return next(dataset for dataset in DATASETS if dataset.name == name)


@each_dataset
def test_the_same_seed_gives_the_same_lines(dataset: Dataset) -> None:
    first = list(rows(dataset, 3000))
    assert first == list(rows(dataset, 3000))
    assert first != list(islice(dataset.make(Random("another")), 3000))


@each_dataset
def test_our_own_scanner_counts_a_log_as_its_maker_does(dataset: Dataset) -> None:
    made = list(rows(dataset, 3000))
    scanner = PureScanner(ScanOptions(compile_format(dataset.own_format), 65_536), lambda _: None)
    scanner.scan(b"".join(row.line for row in made))
    scanned = scanner.take()
    found: dict[Key, Counts] = {}
    for method, target, status, requests, size in scanned.rows:
        key = Key(method, target.partition(b"?")[0], status)
        before = found.get(key, Counts(0, 0))
        found[key] = Counts(before.requests + requests, before.bytes + size)
    assert found == truth(made)


def test_a_log_is_its_pool_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "POOL", 100)
    dataset = by_name("zipf")
    made = log(dataset, 250, tmp_path)
    pool = [row.line for row in rows(dataset, 100)]
    assert made.read_bytes().splitlines(keepends=True) == [*pool, *pool, *pool[:50]]
    assert list(tmp_path.iterdir()) == [made]
    assert repeated(dataset, 250) == truth([*islice(rows(dataset, 100), 100)] * 2 + [*rows(dataset, 50)])


def test_a_log_that_does_not_fit_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.datasets.RESERVE", 1 << 62)
    with pytest.raises(DiskFullError, match=r"expected \d+ bytes free, found \d+$"):
        log(by_name("zipf"), 10, tmp_path)
    assert not list(tmp_path.iterdir())


def peer_named(name: str) -> peers.Peer:
    return next(peer for peer in peers.peers("combined", "combined") if peer.name == name)


RIGHT: peers.Tally = {("GET", "/a", "200"): (2, 15), ("GET", "/a", "404"): (1, 1)}


def test_a_run_that_counts_less_is_an_error(tmp_path: Path) -> None:
    peer = peer_named("wc -l")
    made = tmp_path / "access.log"
    made.write_bytes(b"".join(row.line for row in ROWS))
    core = cores()[0]
    assert counted(peer, made, 3, TOTALS, core).lines == 3
    lazy = peer._replace(command=lambda path: ["sh", "-c", f"head -n 2 {path} | wc -l"])
    with pytest.raises(
        DisagreementError, match=r"^wc -l on access.log: lines: expected \(3,\), found \(2,\)$"
    ):
        counted(lazy, made, 3, TOTALS, core)


def mtail_json() -> str:
    def metric(name: str, index: int) -> list[object]:
        values = [{"Labels": key, "Value": {"Value": counts[index]}} for key, counts in RIGHT.items()]
        return [{"Name": name, "LabelValues": values}]

    return json.dumps({"requests": metric("requests", 0), "sent": metric("sent", 1)})


def goaccess_json(**codes: tuple[int, int]) -> str:
    """By its words for each status: how often, and bytes."""
    items = [
        {"data": code.replace("_", " "), "hits": {"count": hits}, "bytes": {"count": size}}
        for code, (hits, size) in codes.items()
    ]
    return json.dumps({"status_codes": {"data": [{"data": "all", "items": [each]} for each in items]}})


ANSWERS = {
    "qps-reporter": "method,route,status,requests,bytes\r\nGET,/a,200,2,15\r\nGET,/a,404,1,1\r\n",
    "wc -l": "3 access.log\n",
    "mawk": "GET\t/a\t404\t1\t1\nGET\t/a\t200\t2\t15\n",
    "mtail": mtail_json(),
    "GoAccess": goaccess_json(**{"200_-_OK": (2, 15), "404_-_No": (1, 1)}),
    "ngxtop": "| request_path | status | count |\n| /a |   200 |  2 | 7 |\n| /a |   404 |  1 | 1 |\n",
    "cat": "",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_peers_answer_is_read_and_held_against_what_it_can_tell(name: str) -> None:
    peer = peer_named(name)
    compare(name, peer.expected(TOTALS), peer.answer(ANSWERS[name]))


@pytest.mark.twin
@pytest.mark.parametrize("name", [name for name in ANSWERS if name != "cat"])
def test_a_peers_wrong_answer_is_caught(name: str) -> None:
    peer = peer_named(name)
    more = truth([*ROWS, ROWS[0]])
    with pytest.raises(DisagreementError):
        compare(name, peer.expected(more), peer.answer(ANSWERS[name]))


def test_the_ratio_is_the_median_of_the_rounds_ratios_a_line() -> None:
    """Fewer rounds are compared with the same of ours; no round is no ratio."""
    ours = [Run(1.0, 1.0, 1000), Run(2.0, 2.0, 1000), Run(1.0, 1.0, 1000)]
    peer = [Run(0.3, 0.3, 100), Run(0.4, 0.4, 100), Run(0.5, 0.5, 100)]
    assert ratio(peer, ours) == pytest.approx((3.0, 2.0, 5.0))
    assert str(ratio(peer, ours)) == "3.00 (2.00 to 5.00)"

    assert ratio([Run(3, 3, 1)], [Run(1, 1, 1), Run(100, 1, 1)]).median == 3
    with pytest.raises(ValueError, match="expected at least one round of both"):
        ratio([], [Run(1, 1, 1)])


def test_a_section_has_medians_and_ratios() -> None:
    results = {"own": [Run(1, 0.5, 10**9), Run(3, 1.5, 10**9), Run(2, 1, 10**9)], "peer": [Run(4, 3, 10**9)]}
    assert section(results, "own") == [
        ("own", "1,000,000,000", "2.00", "1.00", "2.0", "1.0", *["1.00 (1.00 to 1.00)"] * 2, "3"),
        (
            *("peer", "1,000,000,000", "4.00", "3.00", "4.0", "3.0"),
            *("4.00 (4.00 to 4.00)", "6.00 (6.00 to 6.00)", "1"),
        ),
    ]
    assert section({"peer": results["peer"]}, "own")[0][6:8] == ("-", "-")


def test_each_output_is_measured() -> None:
    assert list(outputs.OUTPUTS) == list(OUTPUTS)


def test_a_receiver_takes_all_and_tells_where_nothing_came(tmp_path: Path) -> None:
    ends = outputs.Ends(tmp_path)
    [port, silent] = [int(ends.datagrams().rpartition("= ")[2]) for _ in range(2)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"metric", ("127.0.0.1", port))
    while not ends.taken[f"port {port}"]:
        ends.take(time.monotonic() + 0.1)
    ends.file()
    with pytest.raises(FailedError, match=rf"^outputs: nothing came to port {silent}, 0.prom$"):
        ends.close()
    assert ends.taken[f"port {port}"] == 6
