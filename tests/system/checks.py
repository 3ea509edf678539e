"""What must hold of journal entries, as functions that raise AssertionError.

They take parsed entries and nothing else, so that a test can also feed them entries that were
tampered with, and see them fail.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest

from tests.system.journal import Entry
from tests.system.service import is_report, requests, rows

RowKey = tuple[object, ...]  # method, route, status
FIELDS = {"QPS_LOG", "QPS_TOTAL", "QPS_REQUESTS", "QPS_SECONDS", "QPS_SEQUENCE", "QPS_ROWS"}
RULE = "=" * 29
# Exact but for the decimals that a field is printed with.
PRINTED = 1e-6


def check_report(entry: Entry) -> None:
    """The entry has every field of a report, and they agree with each other and with the text."""
    assert entry.keys() >= FIELDS
    assert entry["SYSLOG_IDENTIFIER"] == "qps-reporter"
    assert re.fullmatch("[0-9a-f]{32}", entry["MESSAGE_ID"])
    seconds = float(entry["QPS_SECONDS"])
    assert seconds > 0
    for row in rows(entry):
        assert row.keys() == {"method", "route", "status", "requests", "bytes", "rate"}
        assert row["rate"] == pytest.approx(_number(row["requests"]) / seconds, rel=PRINTED)
    assert int(entry["QPS_REQUESTS"]) == sum(_number(row["requests"]) for row in rows(entry))
    assert float(entry["QPS_TOTAL"]) == pytest.approx(int(entry["QPS_REQUESTS"]) / seconds, rel=PRINTED)
    _check_text(entry)


def check_nothing_twice(entries: Sequence[Entry]) -> None:
    """Each report is in the journal once: no number twice, none missing, no copy by way of stdout."""
    numbers = [int(entry["QPS_SEQUENCE"]) for entry in entries if is_report(entry)]
    assert numbers == list(range(1, len(numbers) + 1))
    own = [entry for entry in entries if entry.get("SYSLOG_IDENTIFIER") == "qps-reporter"]
    sent = {line for entry in own if entry["_TRANSPORT"] == "journal" for line in _lines(entry)}
    printed = {line for entry in own if entry["_TRANSPORT"] == "stdout" for line in _lines(entry)}
    assert not sent & printed


def check_conservation(entries: Sequence[Entry], truth: Mapping[str, object]) -> None:
    """The reports add up to what was written, row by row."""
    counted: Counter[RowKey] = Counter()
    sizes: Counter[RowKey] = Counter()
    for entry in filter(is_report, entries):
        check_report(entry)
        for row in rows(entry):
            key = row["method"], row["route"], row["status"]
            counted[key] += _number(row["requests"])
            sizes[key] += _number(row["bytes"])
    written = truth["rows"]
    assert isinstance(written, list)
    assert counted == {_key(row): row["requests"] for row in written if row["requests"]}
    assert sizes == {_key(row): row["bytes"] for row in written if row["requests"]}
    assert sum(map(requests, entries)) == truth["lines"]


def check_elapsed(entries: Sequence[Entry]) -> None:
    """Each report's seconds are those that passed since the one before, by the journal's own clock."""
    reports = [entry for entry in entries if is_report(entry)]
    for before, report in pairwise(reports):
        passed = int(report["__MONOTONIC_TIMESTAMP"]) - int(before["__MONOTONIC_TIMESTAMP"])
        # The slack is for a busy machine's delay between the report and its receipt.
        assert float(report["QPS_SECONDS"]) == pytest.approx(passed / 1e6, abs=1.5)


def _check_text(entry: Entry) -> None:
    date, rule, *lines = entry["MESSAGE"].rstrip("\n").split("\n")
    assert re.match(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d \d{4}", date)
    assert rule == RULE
    shown = [tuple(line.split("\t")) for line in lines]
    summed: Counter[tuple[str, str]] = Counter()
    for row in rows(entry):
        summed[str(row["route"]), f"{row['status']:03}"] += _number(row["requests"])
    # What a server failed at comes first, and then what there is most of.
    order = sorted(summed, key=lambda key: (key[1][0] != "5", -summed[key], key))
    assert [line[:2] for line in shown] == [*order, ("total", "-")]
    seconds = float(entry["QPS_SECONDS"])
    counts = [*(summed[key] for key in order), int(entry["QPS_REQUESTS"])]
    for (_, _, rate), count in zip(shown, counts, strict=True):
        # Two decimals, or two significant digits where that is finer.
        assert float(rate) == pytest.approx(count / seconds, abs=0.005000001)


def _lines(entry: Entry) -> list[str]:
    return [line for line in entry["MESSAGE"].split("\n") if line]


def _key(row: Mapping[str, object]) -> RowKey:
    return row["method"], row["route"], row["status"]


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value
