"""Durations through the ledger: commits, stops, kills, merging in any order; the sorted list is the truth."""

import sqlite3
import tracemalloc
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from contextlib import closing
from functools import partial, reduce
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tests.durations
from qps_service.ledger import database, durations, queries, rows
from qps_service.ledger import ledger as ledgers
from qps_service.ledger.database import LedgerDamaged
from qps_service.ledger.durations import DurationsDamaged, decode, encode, summed, undecoded
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.queries import past
from qps_service.ledger.retention import HOUR, MINUTE, Pruner
from qps_service.notices import kinds
from qps_service.scanning import _scan
from qps_service.values import latency as values
from qps_service.values.history import History
from qps_service.values.latency import BOUNDS, LatencyKey, sum_of
from qps_service.values.past import Question
from tests.durations import DISTRIBUTIONS, SECOND, check_latency, kept_otherwise, told
from tests.ledgers import EPOCH, Keeper, entry, known, merged_otherwise, opened
from tests.promised import Patches, Promise, promises

Sums: TypeAlias = "array[int] | None"
Add = Callable[[bytes, Any], tuple[int, int]]

ROUTES = {name: b"/" + name.replace(" ", "-").encode() for name in DISTRIBUTIONS}
EVER = History(keep=3650 * 24 * HOUR, max_size=1 << 40)
BINS = st.dictionaries(st.integers(0, len(BOUNDS)), st.integers(1, 1 << 50), min_size=1)


# --- as bytes


@given(bins=BINS, total=st.integers(0, values.SUM_LIMIT), longest=st.integers(0, values.LONGEST))
@example(bins={0: 1}, total=0, longest=0)
@example(bins=dict.fromkeys(range(len(BOUNDS) + 1), 1 << 45), total=values.SUM_LIMIT, longest=values.LONGEST)
@example(bins={7: (1 << 20) - 1, 8: 1 << 20, 9: 0xD800, 500: 1}, total=1, longest=1)
def check_same(bins: dict[int, int], total: int, longest: int) -> None:
    there = values.Latency(bins, total, longest)
    assert decode(encode(there)) == there


def test_what_is_damaged_is_told() -> None:
    """Cut anywhere, or another byte anywhere: it is told, or means something else; nothing else happens."""
    told_so = 0
    for blob in (encode(told([5 * SECOND] * 3)), encode(told(DISTRIBUTIONS["microseconds"]))):
        for place in range(len(blob)):
            for broken in (blob[:place], blob[:place] + bytes((blob[place] ^ 0x80,)) + blob[place + 1 :]):
                try:
                    assert decode(broken) != decode(blob)
                except DurationsDamaged:
                    told_so += 1
    assert told_so > 300
    one = told([SECOND])
    unlikely = [one._replace(bins={7: 1 << 60}), one._replace(total=values.SUM_LIMIT + 1)]
    unlikely.append(one._replace(longest=values.LONGEST + 1))
    for nothing in (b"", b"\0\0\0\0", b"\x11\1\1\0\0\1\1\0", *map(encode, unlikely)):
        with pytest.raises(DurationsDamaged):
            decode(nothing)


def outcome(add: Add, blob: Any, before: int) -> tuple[object, list[int]]:
    """What it tells, or that something is wrong; and the sums."""
    sums = array("Q", [before] * (len(BOUNDS) + 1))
    try:
        return add(blob, sums), sums.tolist()
    except (DurationsDamaged, TypeError, ValueError):
        return "damaged", []


EVERYTHING = values.Latency(dict.fromkeys(range(len(BOUNDS) + 1), (1 << 45) + 1), 1, 1)


@given(bins=BINS, total=st.integers(0, values.SUM_LIMIT), longest=st.integers(0, values.LONGEST))
@example(bins=EVERYTHING.bins, total=values.SUM_LIMIT, longest=values.LONGEST)
def check_added(add: Add, bins: dict[int, int], total: int, longest: int) -> None:
    """The native function and the pure one: the same, or both say that something is wrong."""
    blob = encode(values.Latency(bins, total, longest))
    for before in (0, 1, values.REQUESTS_LIMIT - (1 << 40)):
        assert outcome(add, blob, before) == outcome(durations.add_purely, blob, before)
    assert add(blob, None) == (total, longest)


def check_added_where_damaged(add: Add) -> None:
    """Likewise, and neither takes what the other does not."""
    damaged = 0
    for blob in kept_otherwise():
        found = outcome(add, blob, 5)
        assert (found == outcome(durations.add_purely, blob, 5)) is True, blob
        damaged += found[0] == "damaged"
    assert damaged > 200


def check_undecoded() -> None:
    """What is decoded when somebody looks is what adds up, of one text and of several."""
    blobs = [encode(told(each)) for each in DISTRIBUTIONS.values()]
    for some in (blobs[:1], blobs):
        late = undecoded(some)
        assert late.bins
        whole = reduce(values.Latency.plus, map(decode, some))
        assert sum_of([late, late]) == whole.plus(whole)
        assert late == whole
        assert (len(late.bins), late.quantiles(500, 990)) == (len(whole.bins), whole.quantiles(500, 990))
        assert not hasattr(late.bins, "nothing")


def check_as_many_as_can_be_kept() -> None:
    """More are as many, however they come together: what was read of each text fails no sum later."""
    most = encode(values.Latency({7: values.REQUESTS_LIMIT}, 1, 1))
    late = undecoded([most] * 20)
    for some in ([late] * 20, [decode(most)] * 20, [late._replace(bins=values.Bins(late.bins))] * 20):
        assert decode(encode(sum_of(some))).bins == {7: values.REQUESTS_LIMIT}


# --- through commits


def windows_of(parts: int) -> list[dict[LatencyKey, values.Latency]]:
    """Each distribution, dealt out to so many windows; even ones are of another class."""
    return [
        {
            LatencyKey(ROUTES[name], 2 + 3 * (part % 2)): told(dealt)
            for name, each in DISTRIBUTIONS.items()
            if (dealt := each[part::parts])
        }
        for part in range(parts)
    ]


def dealt(name: str, parts: int, status_class: int) -> list[int]:
    return [
        duration
        for part in range(parts)
        if 2 + 3 * (part % 2) == status_class
        for duration in DISTRIBUTIONS[name][part::parts]
    ]


def check_totals(ledger: Ledger, parts: int) -> None:
    latencies = known(ledger).latencies
    for name, route in ROUTES.items():
        for status_class in (2, 5):
            durations_of = dealt(name, parts, status_class)
            check_latency(latencies.get(LatencyKey(route, status_class), values.NO_LATENCY), durations_of)


def add_windows(ledger: Ledger, windows: list[dict[LatencyKey, values.Latency]], length: int) -> int:
    """One after the other; when the last one ended, Unix nanoseconds."""
    for number, latencies in enumerate(windows, 1):
        ended = number * length
        window = entry([1], sequence=number, started=ended - length, ended=ended)
        ledger.commit([window._replace(latencies=latencies)], sequence=number)
    return EPOCH + len(windows) * length


def check_through_commits(path: Path) -> None:
    """Totals and windows after several commits, and in the next process."""
    parts = 5
    ledger = opened(path)
    add_windows(ledger, windows_of(parts), 10 * SECOND)
    check_totals(ledger, parts)
    ledger.close()
    ledger = opened(path)
    check_totals(ledger, parts)
    assert not known(ledger).window_latencies
    check_asked(ledger, 0, parts * 10 * SECOND, parts)
    ledger.close()


def _is_of(classes: tuple[int, ...], key: LatencyKey) -> bool:
    return key.status_class in classes


def check_asked(ledger: Ledger, since: int, until: int, parts: int) -> None:
    """By route, of all classes and of one; and all routes together."""
    question = Question(EPOCH + since, EPOCH + until, HOUR, by="route")
    everything = [duration for each in DISTRIBUTIONS.values() for duration in each]
    for classes in ((2, 5), (5,)):
        asked = question._replace(takes_latency=partial(_is_of, classes))
        found = past(ledger, asked).names["access"]
        for name, route in ROUTES.items():
            of_route = [duration for each in classes for duration in dealt(name, parts, each)]
            if of_route:
                check_latency(found[route.decode()].latency, of_route)
    periods = past(ledger, question._replace(by=None)).periods
    check_latency(sum_of(period.tally.latency for period in periods), everything)


def check_window_goes_on(path: Path) -> None:
    """What was committed of a window that was not reported is part of it in the next process, and once."""
    some, more = DISTRIBUTIONS["two peaks"][:700], DISTRIBUTIONS["two peaks"][700:]
    key = LatencyKey(b"/", 2)
    for part in (some, more):
        ledger = opened(path)
        ledger.commit([entry([1])._replace(latencies={key: told(part)})], sequence=None)
        ledger.close()
    ledger = opened(path)
    check_latency(known(ledger).window_latencies[key], some + more)
    check_latency(known(ledger).latencies[key], some + more)
    ledger.commit([entry([])], sequence=1)
    (period,) = past(ledger, Question(0, EPOCH + HOUR, MINUTE)).periods
    check_latency(period.tally.latency, some + more)
    ledger.close()


def check_merged(length: int, path: Path) -> None:
    """By pruning, into minutes and hours, however windows lie in them."""
    parts, ledger = 40, opened(path)
    at = add_windows(ledger, windows_of(parts), length)
    pruner = Pruner(EVER)
    for age in (7 * HOUR, 99 * HOUR):
        for _ in range(50):
            pruner.prune(ledger, at + age)
        check_asked(ledger, -HOUR, parts * length, parts)
        check_totals(ledger, parts)
    grains = {grain for (grain,) in ledger.database.connection.execute("SELECT grain FROM period")}
    assert grains == {HOUR}
    (left,) = ledger.database.connection.execute(
        "SELECT count(*) FROM latency WHERE period NOT IN (SELECT id FROM period)"
    ).fetchone()
    assert not left
    ledger.close()


def check_memory(path: Path) -> None:
    """Of many routes each takes what its own durations take, and not a number for each bin that there is."""
    latencies = {LatencyKey(b"/%d" % number, 2): told([number]) for number in range(500)}
    ledger = opened(path)
    ledger.commit([entry([1])._replace(latencies=latencies)], sequence=1)
    tracemalloc.start()
    answer = past(ledger, Question(EPOCH, EPOCH + HOUR, HOUR, by="route"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(answer.names["access"]) == len(latencies)
    assert peak < len(latencies) * 3000
    ledger.close()


# --- damage


def damage(path: Path, table: str, found: bytes | str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {table} SET durations = ?", (found,))  # noqa: S608 - one of two


def check_damage(found: bytes | str, path: Path) -> None:
    """Found at the start in totals, later in windows where they are read: as a damaged page would be."""
    keeper = Keeper(path)
    keeper.commit(1)
    ledger = keeper.ledger
    key = LatencyKey(b"/", 2)
    ledger.commit([entry([1])._replace(latencies={key: told([SECOND])})], sequence=1)
    keeper.close()
    damage(path, "latency", found)
    reader = Ledger(str(path), boot="")
    reader.open(writable=False)
    with pytest.raises(LedgerDamaged, match="durations are damaged"):
        past(reader, Question(0, 1 << 62, MINUTE, by="route"))
    reader.close()
    damage(path, "total_latency", found)
    again = Keeper(path)
    assert again.kinds() == [kinds.LEDGER_SET_ASIDE]
    assert "durations are damaged" in again.said[0].text
    assert again.restored() is None
    again.close()


# --- twins


def of_20_bits(blob: bytes, sums: Sums) -> tuple[int, int]:
    return ADD_ONE(encode(_cut(decode(blob))), sums)


def _cut(latency: values.Latency) -> values.Latency:
    return latency._replace(bins={index: number % (1 << 20) or 1 for index, number in latency.bins.items()})


def without_the_last_bin(blob: bytes, sums: Sums) -> tuple[int, int]:
    found = ADD_ONE(blob, sums)
    if sums is not None:
        sums[-1] = 0
    return found


def taking_anything(blob: bytes, sums: Sums) -> tuple[int, int]:
    try:
        return ADD_ONE(blob, sums)
    except (TypeError, ValueError):
        return 0, 0


ADD_ONE = _scan.add_durations


def only_the_first(self: Any, sums: "array[int]") -> None:
    durations._added(self._blobs[:1], sums)


def kept_with_its_sums(blobs: list[bytes]) -> values.Latency:
    found = Latencies(*summed(blobs))
    found.sums = values.no_sums()
    return found


class Latencies(values.Latency):
    sums: "array[int]"


def takes_the_last(one: bytes | None, other: bytes | None) -> bytes | None:
    return other or one


def longest_of_the_first(blobs: list[bytes]) -> values.Latency:
    return summed(blobs)._replace(longest=decode(blobs[0]).longest)


def rounds_the_rank_down(latency: values.Latency, *per_mille: int) -> list[int | None]:
    return [_rounded_down(latency, part * latency.measured // 1000) for part in per_mille]


def _rounded_down(latency: values.Latency, rank: int) -> int | None:
    for index in sorted(latency.bins):
        rank -= latency.bins[index]
        if rank <= 0:
            return BOUNDS[index] if index < len(BOUNDS) else values.BEYOND
    return None


def excludes_bounds(duration: int) -> int:
    return bisect_right(BOUNDS, duration)


def rounds_floats(duration: int) -> int:
    return bisect_left(BOUNDS, round(float(f"{duration:.1e}")))


def no_window(writing: sqlite3.Connection, table: str, *rest: Any) -> None:
    if table != "latency":
        ADD(writing, table, *rest)


ADD = rows.add_latencies
DAMAGED: dict[str, bytes | str] = {
    "cut": b"3",
    "text": "text",
    "large": encode(values.Latency({7: 1 << 64}, SECOND, SECOND)),
}

BINS_TWINS = {
    "bounds excluded": Patches((tests.durations, "bin_of", excludes_bounds)),
    "floats": Patches((tests.durations, "bin_of", rounds_floats)),
    "rank rounded down": Patches((values.Latency, "quantiles", rounds_the_rank_down)),
}
test_promise, test_twin = promises(
    Promise(
        *(check_same, None, {"20 bits": Patches((durations, "_CHUNK_BITS", 1 << 20))}),
        caught=(DurationsDamaged, ValueError),
    ),
    Promise(check_added, _scan.add_durations, [of_20_bits, without_the_last_bin]),
    Promise(check_added_where_damaged, _scan.add_durations, [taking_anything]),
    Promise(
        *(check_undecoded, None),
        {"the first alone": Patches((durations._Undecoded, "add_to", only_the_first))},
    ),
    Promise(*(check_memory, None, {"sums": Patches((queries, "summed", kept_with_its_sums))})),
    Promise(
        *(check_as_many_as_can_be_kept, None, {"no limit": Patches((values, "REQUESTS_LIMIT", 1 << 70))}),
        caught=(DurationsDamaged, OverflowError),
    ),
    Promise(
        *(check_through_commits, None),
        {
            **BINS_TWINS,
            "the last alone": Patches((database, "add_durations", takes_the_last)),
            "no window": Patches((ledgers, "add_latencies", no_window)),
            "longest of the first": Patches((queries, "summed", longest_of_the_first)),
        },
        caught=(KeyError,),
    ),
    Promise(
        *(check_window_goes_on, None),
        {"the last alone": Patches((database, "add_durations", takes_the_last))},
    ),
    *(
        Promise(
            *(check_merged, None),
            {"not merged": Patches(merged_otherwise("latency", "ON CONFLICT DO NOTHING"))},
            label=label,
            length=length,
        )
        for label, length in (("windows", 10 * SECOND), ("minutes", 47 * SECOND))
    ),
    *(
        Promise(
            *(check_damage, None),
            {"not looked at": Patches((database, "DURATIONS_SINCE", 1 << 20))},
            caught=(AttributeError, LedgerDamaged, OverflowError, TypeError),
            label=label,
            found=found,
        )
        for label, found in DAMAGED.items()
    ),
)
