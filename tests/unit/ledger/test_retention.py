"""The pruning: sums are conserved, totals never change, an open window is never touched, size is bounded."""

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qps_service.configuration.loader import Flags, load
from qps_service.configuration.settings import BY_KEY
from qps_service.ledger import retention
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.retention import HOUR, HOURS_AFTER, MINUTE, MINUTES_AFTER, Pruner
from qps_service.values.counts import Beside, Counts, Key
from qps_service.values.history import History
from qps_service.values.latency import NO_LATENCIES, Latency, LatencyKey
from tests.durations import told
from tests.ledgers import (
    EPOCH,
    SECOND,
    check_spans,
    entry,
    key,
    known,
    latencies_of,
    merged_otherwise,
    opened,
    rows,
)
from tests.limits import Doubled, default_of
from tests.promised import Patches, nothing, promises

DAY = 24 * HOUR
WEEK = History(keep=7 * DAY, max_size=64 << 20)
MAX_SIZE = 1 << 20  # the smallest that can be set
MAX_ROWS = int(BY_KEY["max_rows"].default or 0)


def add_window(
    ledger: Ledger,
    ended: int,
    lines: Sequence[int] = (1,),
    *,
    logs: Sequence[str] = ("access",),
    length: int = 10 * SECOND,
    rejected: int = 0,
    is_open: bool = False,
    latencies: Mapping[LatencyKey, Latency] = NO_LATENCIES,
) -> None:
    """One more window, which ends at this Unix time."""
    sequence = ledger.sequence + 1
    end = ended - EPOCH
    window = entry(lines, sequence=sequence, started=end - length, ended=end, rejected=rejected)
    beside = Beside(len(lines), rejected)
    entries = [window._replace(log=log, beside=beside, latencies=latencies) for log in logs]
    ledger.commit(entries, sequence=None if is_open else sequence)


def finish(pruner: Pruner, ledger: Ledger, at: int) -> int:
    """Prune until nothing is left to do at this time; how many rounds it took."""
    rounds = 0
    while pruner._done is None or not rounds:
        pruner.prune(ledger, at)
        rounds += 1
        assert rounds < 1000
    return rounds


def windows(ledger: Ledger) -> list[Any]:
    return rows(ledger.database, "windows")


def periods(ledger: Ledger) -> list[tuple[int, float, float]]:
    """Sequence, start and end (Unix seconds) of each window in the history, those without requests too."""
    query = "SELECT sequence, started / 1e9, ended / 1e9 FROM period ORDER BY sequence, log"
    return ledger.database.connection.execute(query).fetchall()


def sums(ledger: Ledger) -> Counter[tuple[Any, ...]]:
    """Requests and bytes in the history, by log and key; rejected lines and what is beside by log."""
    found: Counter[tuple[Any, ...]] = Counter()
    for _, log, _, _, method, route, status, requests, size in windows(ledger):
        found[log, method, route, status, "requests"] += requests
        found[log, method, route, status, "bytes"] += size
    query = "SELECT log, lines FROM period_reject JOIN period ON id = period"
    for log, lines in ledger.database.connection.execute(query):
        found[log, "rejected"] += lines
    query = """SELECT log, class, requests, bytes FROM period_class JOIN period ON id = period"""
    for log, number, requests, size in ledger.database.connection.execute(query):
        found[log, number, "requests"] += requests
        found[log, number, "bytes"] += size
    query = "SELECT log, unmeasured, directives FROM period"
    for log, unmeasured, directives in ledger.database.connection.execute(query):
        found[log, "unmeasured"] += unmeasured
        found[log, "directives"] += directives
    return found


EXAMPLE = [(10, [1, 1, 2], 1), (10, [2], 1), (3600, [3], 0), (10, [], 0), (10, [1], 2)] * 3
# Spans within spans, whose parts are then merged.
SPANS = [*[(60, [1, 2], 0)] * 14, *[(3600, [2], 1)] * 2, *[(50 * 3600, [1], 0)] * 2]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([1, 10, 59, 60, 61, 3600, 7 * 3600, 50 * 3600]),
        st.lists(st.integers(0, 3), max_size=4),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=min(40, settings().max_examples))
@given(steps=STEPS)
@example(steps=EXAMPLE)
@example(steps=SPANS)
def check_conserved(steps: list[tuple[int, list[int], int]]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        check_conserved_in(opened(Path(directory, "ledger.db")), steps)


def check_conserved_in(ledger: Ledger, steps: list[tuple[int, list[int], int]]) -> None:
    """(seconds since the last window, its lines, its rejects): whatever is merged, the sums stay, windows of
    a log follow one another, and totals and the open window stay as they are."""
    pruner = Pruner(History(keep=3650 * DAY, max_size=1 << 40))
    at = EPOCH
    for seconds, lines, rejected in steps:
        at += seconds * SECOND
        how: dict[str, Any] = {"length": seconds * SECOND, "rejected": rejected}
        how["latencies"] = latencies_of(lines)
        add_window(ledger, at, lines, logs=("access", "other"), **how)
        before, totals = sums(ledger), rows(ledger.database, "totals")
        finish(pruner, ledger, at)
        pruner._done = None
        assert sums(ledger) == before
        assert rows(ledger.database, "totals") == totals
        check_spans(ledger)
    add_window(ledger, at + 10 * SECOND, [1, 2, 2], is_open=True)
    before = sums(ledger)
    open_window = ledger.restore("access", now=at, at=at)
    last = ledger.sequence
    finish(pruner, ledger, at + 365 * DAY)
    assert sums(ledger) == before
    assert ledger.restore("access", now=at, at=at) == open_window
    ends: dict[int, float] = {}
    for log, sequence, started, ended, grain in ledger.database.connection.execute(
        "SELECT log, sequence, started, ended, grain FROM period ORDER BY sequence"
    ):
        assert started == ends.get(log, started)
        assert grain == (0 if sequence > last else HOUR)
        ends[log] = ended
    assert last in {sequence for sequence, *_ in periods(ledger)}
    ledger.close()


def check_what_is_merged_into_what(ledger: Ledger) -> None:
    """Windows of ten seconds: younger than six hours as they are, then minutes, then hours."""
    start = EPOCH // HOUR * HOUR
    for number in range(1, 3 * 360 + 1):
        add_window(ledger, start + number * 10 * SECOND)
    pruner = Pruner(WEEK)
    first = start / 1e9
    finish(pruner, ledger, start + 3 * HOUR)
    assert len(periods(ledger)) == 3 * 360
    finish(pruner, ledger, start + MINUTES_AFTER + HOUR + MINUTE - 1)
    assert len(periods(ledger)) == 60 + 2 * 360
    assert periods(ledger)[:2] == [(6, first, first + 60), (12, first + 60, first + 120)]
    finish(pruner, ledger, start + HOURS_AFTER + 2 * HOUR)
    hours = [(360, first, first + 3600), (720, first + 3600, first + 7200)]
    assert periods(ledger)[:2] == hours
    assert len(periods(ledger)) == 2 + 60
    finish(pruner, ledger, start + HOURS_AFTER + 3 * HOUR)
    assert periods(ledger) == [*hours, (1080, first + 7200, first + 10800)]
    finish(pruner, ledger, start + 7 * DAY + 2 * HOUR)
    assert [sequence for sequence, *_ in periods(ledger)] == [1080]
    finish(pruner, ledger, start + 7 * DAY + 3 * HOUR)
    assert periods(ledger) == []
    assert rows(ledger.database, "totals") == [("access", "GET", "/1", 200, 1080, 7 * 1080)]


def test_one_round_a_minute_is_enough(ledger: Ledger) -> None:
    pruner = Pruner(History(keep=HOUR, max_size=64 << 20))
    at = EPOCH + HOUR
    pruner.prune(ledger, at)
    for now, left in ((at + MINUTE - 1, 1), (at + MINUTE, 0)):
        if left:
            add_window(ledger, EPOCH - SECOND)
        pruner.prune(ledger, now)
        assert len(windows(ledger)) == left
    add_window(ledger, EPOCH - SECOND)
    pruner.prune(ledger, at - DAY)  # a clock that was set back does not stop it
    pruner.prune(ledger, at)
    assert windows(ledger) == []


def test_nothing_is_kept_where_nothing_is_wanted(ledger: Ledger) -> None:
    pruner = Pruner(History(keep=0, max_size=64 << 20))
    for number in range(1, 20):
        add_window(ledger, at := EPOCH + number * SECOND)
        pruner.prune(ledger, at)
        assert windows(ledger) == []
    assert rows(ledger.database, "totals") == [("access", "GET", "/1", 200, 19, 7 * 19)]


def check_bounded_work(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is to do, no call does all of it, and further calls finish it soon."""
    monkeypatch.setattr(retention, "ROWS_AT_MOST", 2000)
    pruner = Pruner(WEEK)
    for number in range(1, 25):
        add_window(ledger, EPOCH + number * SECOND, range(200))
    rounds = 0
    while windows(ledger):
        before = len(windows(ledger))
        pruner.prune(ledger, EPOCH + 30 * DAY)
        assert before - len(windows(ledger)) <= 2000 + 200
        rounds += 1
        assert rounds < 10
    assert rounds >= 3


def by_route(routes: int) -> dict[LatencyKey, Latency]:
    return {LatencyKey(b"/%d" % number, 2): told([number * SECOND]) for number in range(routes)}


def check_merging_keeps_up(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were 3,000 rows with durations in each window of three logs, and all a hundredth of it."""
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", retention.ROWS_AT_ONCE // 100)
    monkeypatch.setattr(retention, "GRAINS", ((MINUTE, 2 * MINUTE), (HOUR, HOURS_AFTER)))
    pruner, start = Pruner(WEEK), EPOCH // HOUR * HOUR
    query = "SELECT count(*) FROM period WHERE grain = 0 AND passed <= ?"
    for number in range(1, 60):
        at = start + number * 10 * SECOND
        add_window(ledger, at, range(10), logs="abc", latencies=by_route(10))
        pruner.prune(ledger, at)
        (overdue,) = ledger.database.connection.execute(query, (at - 4 * MINUTE,)).fetchone()
        assert not overdue


def check_spans_grow(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many windows end in five minutes, no call sums up all of them, and each time a span is the
    sum of what it has."""
    monkeypatch.setattr(retention, "ROWS_AT_MOST", 300)
    pruner, start = Pruner(WEEK), EPOCH // DAY * DAY
    for number in range(1, 31):
        add_window(ledger, start + number * 10 * SECOND, range(10), latencies=by_route(10))
    add_window(ledger, start + HOUR)
    query, before = "SELECT count(*) FROM period WHERE span NOT NULL", 0
    while before < 30:
        pruner.prune(ledger, start + HOUR)
        (summed,) = ledger.database.connection.execute(query).fetchone()
        assert before < summed <= before + 5
        check_spans(ledger)
        before = summed
    spans = ledger.database.connection.execute("SELECT grain, parts FROM span").fetchall()
    assert spans == [(5 * MINUTE, 30)]


def check_size(path: Path, interval: int, routes: int, count: int) -> Ledger:
    """The file never outgrows the limit, and what is dropped first is the oldest."""
    ledger = opened(path)
    pruner = Pruner(History(keep=7 * DAY, max_size=MAX_SIZE))
    for number in range(1, count + 1):
        at = EPOCH + number * interval
        add_window(ledger, at, range(routes), length=interval)
        pruner.prune(ledger, at)
        assert os.stat(path).st_size <= MAX_SIZE
        assert os.stat(f"{path}-wal").st_size <= 2 * MAX_SIZE
    ends = [ended for _, _, ended in periods(ledger)]
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx((EPOCH + count * interval) / 1e9, abs=1e-6)
    restored = known(ledger)
    assert restored.totals == {key(each): Counts(count, 7 * count) for each in range(routes)}
    return ledger


def check_rows_at_their_bound(path: Path) -> None:
    """The worst that clients can bring about, a hundred times smaller: in each window all rows that there may
    be by default, or as many as may be with long routes. The file stays within its bound, as much history as
    fits is in it, and it is known what was dropped."""
    places, most = MAX_ROWS // 100, WEEK.max_size // 100
    long = [Key(b"GET", b"/%04d" % number + b"x" * 1019, 200) for number in range(places // 9)]
    short = [Key(b"GET", b"/%04d" % number, 200) for number in range(places)]
    for hours, keys in ((95, short), (20, long)):
        file = path.with_name(f"{hours}.db")
        ledger, pruner = opened(file), Pruner(History(keep=7 * DAY, max_size=most))
        for hour in range(1, hours + 1):
            counts = dict.fromkeys(keys, Counts(1, 1))
            told = entry((), sequence=hour, started=(hour - 1) * HOUR, ended=hour * HOUR)
            ledger.commit([told._replace(counts=counts)], sequence=hour)
            pruner.prune(ledger, EPOCH + hour * HOUR)
            assert os.stat(file).st_size <= most * 1.2
        assert sum(row[5] for row in rows(ledger.database, "totals")) == hours * len(keys)
        if keys is short:
            assert retention._used(ledger.database.connection) > most // 2
            first = windows(ledger)[0]
            assert pruner.dropped_until is not None
            assert first[2] == pruner.dropped_until / 1e9
            assert len(windows(ledger)) == (hours - (pruner.dropped_until - EPOCH) // HOUR) * len(keys)
        ledger.close()


def check_default_size(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each page had 1024 times its size, so that 256 KiB of them are what a ledger has by default."""
    monkeypatch.setattr(retention, "_pages", lambda reading: (*PAGES(reading)[:2], 1024 * 4096))
    ledger = opened(path)
    pruner = Pruner(load(Flags(log="/log"), {}).history)
    for number in range(1, 31):
        at = EPOCH + number * HOUR
        add_window(ledger, at, range(500), length=HOUR)
        pruner.prune(ledger, at)
        assert PAGES(ledger.database.connection)[0] * 4096 <= DEFAULT_SIZE // 1024
    ledger.close()


def check_default_age(ledger: Ledger) -> None:
    """To the second."""
    add_window(ledger, EPOCH // HOUR * HOUR)
    for age, kept in ((DEFAULT_AGE - SECOND, 1), (DEFAULT_AGE, 0)):
        finish(Pruner(load(Flags(log="/log"), {}).history), ledger, EPOCH // HOUR * HOUR + age)
        assert len(windows(ledger)) == kept


def check_merging_comes_before_dropping(path: Path) -> None:
    """Far more windows than fit, but few when merged: none is lost."""
    ledger = check_size(path, 10 * SECOND, 60, 1100)
    assert sum(row[7] for row in windows(ledger)) == 1100 * 60
    ledger.close()


def check_giving_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Space that is not needed any longer goes back to the file system."""
    ledger = opened(path)
    monkeypatch.setattr(retention, "PAGES_AT_ONCE", 16)
    for number in range(1, 25):
        add_window(ledger, EPOCH + number * SECOND, range(1000))
    ledger.close()
    large = os.stat(path).st_size
    ledger.open()
    pruner = Pruner(WEEK)
    finish(pruner, ledger, EPOCH + 30 * DAY)
    ledger.close()
    assert os.stat(path).st_size < large // 2


PAGES = retention._pages
DEFAULT_SIZE, DEFAULT_AGE = default_of("history.max_size"), default_of("history.keep")
WORK = retention._Work
USED = retention._used
OTHER_SUMS = {
    "keeps the first": Patches(merged_otherwise("count", "ON CONFLICT DO NOTHING")),
    "keeps the last": Patches(
        merged_otherwise("period_reject", "ON CONFLICT DO UPDATE SET lines = excluded.lines")
    ),
    "spans stay": Patches((retention._Work, "_drop_spans", nothing)),
    "open windows": Patches((retention, "_Work", lambda writing, last, rows: WORK(writing, last + 1, rows))),
}

test_promise, test_twin = promises(
    {
        check_conserved: OTHER_SUMS,
        check_what_is_merged_into_what: [
            Doubled(
                "ledger.retention:MINUTES_AFTER",
                by=Patches((retention, "GRAINS", ((MINUTE, 2 * MINUTES_AFTER), (HOUR, HOURS_AFTER)))),
            ),
            Doubled(
                "ledger.retention:HOURS_AFTER",
                by=Patches((retention, "GRAINS", ((MINUTE, MINUTES_AFTER), (HOUR, 2 * HOURS_AFTER)))),
            ),
        ],
        check_default_size: [Doubled("history.max_size")],
        check_default_age: [Doubled("history.keep")],
        check_bounded_work: [Patches((WORK, "is_over", False))],
        check_merging_keeps_up: [Patches((retention, "ROWS_FOR_EACH", 0))],
        check_spans_grow: [Patches((WORK, "is_over", False))],
        check_rows_at_their_bound: {
            "no bound": Patches((Pruner, "_shrink", lambda *_: None)),
            "doubled": Patches((retention, "_used", lambda reading: USED(reading) // 2)),
        },
        check_merging_comes_before_dropping: [Patches((WORK, "merge", lambda *_: None))],
        check_giving_back: [Patches((WORK, "give_back", lambda _: None))],
    },
)
