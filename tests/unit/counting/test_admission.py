"""Who gets a place, and how little it takes to know."""

from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.counting.admission import Admission, SpaceSaving
from qps_service.counting.budget import LONG, Budget
from qps_service.counting.rows import ALWAYS, ROUTE_ROWS, Rows
from qps_service.values.counts import OTHER
from tests.promised import Promise, promises

# --- the summary


STEPS = st.lists(
    st.tuples(st.sampled_from([b"%d" % number for number in range(8)]), st.integers(0, 3) | st.just(2**64)),
    max_size=60,
)
SCAN = [(b"/%d" % number, 1) for number in range(20)]
AFTER_A_SCAN = [*SCAN, (b"/19", 0), *((b"/%d" % number, 1) for number in (7, 8, 7, 9, 7, 0, 0, 0))]


@given(capacity=st.integers(1, 4), steps=STEPS)
@example(capacity=3, steps=SCAN)
@example(capacity=3, steps=[*AFTER_A_SCAN, (b"/a", 50), *SCAN])
def check_summary(make: type[SpaceSaving], capacity: int, steps: Iterable[tuple[bytes, int]]) -> None:
    """Bounded, never sure of too much; whoever is frequent has a counter. A step of no requests removes."""
    summary, true, total = make(capacity), Counter[bytes](), 0
    gone: set[bytes] = set()
    for route, requests in steps:
        if not requests:
            summary.remove(route)
            gone.add(route)  # it has its place: it does not come again
            continue
        if route in gone:
            continue
        true[route] += requests
        total += requests
        assert requests <= summary.add(route, requests) <= true[route]
        assert len(summary._counters) <= capacity
        for each, (count, error) in summary._counters.items():
            assert count - error <= true[each] <= count
            assert each in summary._buckets[count]
        assert sum(map(len, summary._buckets.values())) == len(summary._counters)
        assert summary._lowest == min(summary._buckets)
        frequent = {each for each in true.keys() - gone if true[each] * capacity > total}
        assert frequent <= summary._counters.keys()


class ForgetsWhatWasGivenUp(SpaceSaving):  # a free counter begins at nothing
    def add(self, route: bytes, requests: int) -> int:
        if len(self._counters) < self.capacity:
            self._given_up = 0
        return super().add(route, requests)


class GivesUpTheHighest(SpaceSaving):  # it is not the lowest who goes
    def _evict(self) -> None:
        lowest, self._lowest = self._lowest, max(self._buckets)
        super()._evict()
        self._lowest = lowest


class Unbounded(SpaceSaving):  # everybody has a counter
    def add(self, route: bytes, requests: int) -> int:
        self.capacity += 1
        return super().add(route, requests)


def test_a_smaller_summary_keeps_the_highest() -> None:
    summary = SpaceSaving(8)
    for number in range(8):
        summary.add(b"%d" % number, number + 1)
    summary.resize(2)
    assert summary._counters.keys() == {b"6", b"7"}
    assert summary.add(b"new", 1) == 1
    assert summary._counters.keys() == {b"7", b"new"}
    summary.resize(0)
    assert (summary._counters, summary._buckets) == ({}, {})
    summary.resize(1)
    assert summary.add(b"new", 3) == 3


def folds(admission: Admission) -> int:
    return sum(admission.folded.values())


def first_cost(admission: Admission, route: bytes) -> int:
    """How many requests, one by one, it took until `route` got a place."""
    for requests in range(1, 10_000):
        if admission.offer(route, 1) == route:
            return requests
    return 0


@pytest.mark.parametrize(
    ("places", "prices"),
    [
        (1, [1, 0]),
        (2, [1, 4, 0]),
        (3, [1, 1, 4, 0]),
        (4, [1, 1, 4, 16, 0]),
        (8, [1, 1, 1, 1, 4, 4, 16, 64, 0]),
        (10, [1, 1, 1, 1, 1, 4, 4, 4, 16, 64, 0]),
    ],
)
def test_prices(places: int, prices: list[int]) -> None:
    admission = Admission(places)
    assert [first_cost(admission, b"/%d" % number) for number in range(len(prices))] == prices
    assert admission.offer(b"/more", 2**64) == OTHER
    assert admission.admitted == places


def test_many_logs_with_few_rows_count_all_the_same() -> None:
    """None of them has a place for itself; the first ones get some of those for all."""
    rows = Budget(1000)
    logs = [Admission(1000, (), Rows(rows.join())) for _ in range(600)]
    for admission in logs:
        admission.reprice()
        for number in range(5):
            admission.offer(b"/%d" % number, 1)
            admission.offer(b"/%d" % number, 1000)
    assert rows.own == 0
    assert sum(admission.admitted for admission in logs) == 0


def test_the_room_for_rows_has_its_price() -> None:
    """Half of it for the first request, as with places; memory for who has none is bounded by the share."""
    share = Budget(ROUTE_ROWS * 101).join()
    admission = Admission(1_000_000, (), Rows(share))
    assert sum(admission.offer(b"/%d" % number, 1) != OTHER for number in range(1000)) == 50
    assert first_cost(admission, b"/late") == 4
    assert folds(admission) == admission.folded["max_rows"]
    for number in range(3000):
        admission.offer(b"/%05d" % number + b"x" * 1000, 1)
    assert sum(map(len, admission._summary._counters)) <= share.budget.own * LONG


def test_a_price_can_be_paid_at_once() -> None:
    admission = Admission(2)
    assert [admission.offer(b"/a", 1), admission.offer(b"/b", 3)] == [b"/a", OTHER]
    assert (admission.offer(b"/c", 4), folds(admission)) == (b"/c", 3)


def check_a_real_route_gets_in(make: type[Admission]) -> None:
    """After a scan of distinct URLs, and in the middle of it: each thousandth request is for a real route."""
    admission = make(64)
    for number in range(20_000):
        admission.offer(b"/scan/%d" % number, 1)
    assert admission.admitted == 32
    assert first_cost(admission, b"/late") == 4
    for number in range(20_000):
        admission.offer(b"/more/%d" % number, 1)
        if number % 50 == 0 and b"/during" not in admission.names:
            admission.offer(b"/during", 1)
    assert admission.names.keys() >= {b"/late", b"/during"}
    assert admission.admitted == 34


class FirstCome(Admission):  # who comes first gets a place
    def reprice(self) -> None:
        super().reprice()
        self._price = min(self._price, 1)


class TooDear(Admission):  # scans are kept out, and everybody else, too
    def reprice(self) -> None:
        super().reprice()
        self._price = self._price and 4 ** (self._price - 1)


OFFERS = st.lists(
    st.tuples(st.sampled_from([b"%d" % number for number in range(12)]), st.integers(1, 20))
    | st.integers(1, 9),
    max_size=60,
)
MANY: list[tuple[bytes, int] | int] = [(b"%d" % number, 20) for number in range(12)]


@given(offers=OFFERS)
@example(offers=[*((b"%d" % number, 1) for number in range(40)), *MANY, 2, *MANY])
def check_who_is_in_stays_in(make: type[Admission], offers: Sequence[tuple[bytes, int] | int]) -> None:
    """No more are admitted than there are places, nobody goes, and nobody is in for less than the price; a
    number alone changes the places."""
    admission = make(4)
    true, named, folded = Counter[bytes](), set[bytes](), 0
    for offer in offers:
        if isinstance(offer, int):
            admission.places = offer
            continue
        route, requests = offer
        true[route] += requests
        free = admission.places - len(named)
        name = admission.names.get(route) or admission.offer(route, requests)
        assert name == (route if route in named else name)
        if name == OTHER:
            folded += requests
        elif route not in named:
            assert free > 0
            assert true[route] >= 4 ** ((admission.places // free).bit_length() - 1)
            named.add(route)
    assert named == admission.names.keys() - {*ALWAYS}
    assert (admission.admitted, folds(admission)) == (len(named), folded)
    assert len(admission._summary._counters) <= admission.places


class Evicts(Admission):  # who comes last takes the place of who came first
    def offer(self, route: bytes, requests: int) -> bytes:
        if self.admitted == self.places:
            del self.names[next(name for name in self.names if name not in ALWAYS)]
            self.reprice()
        return super().offer(route, requests)


test_promise, test_twin = promises(
    Promise(check_summary, SpaceSaving, [ForgetsWhatWasGivenUp, GivesUpTheHighest, Unbounded]),
    Promise(check_a_real_route_gets_in, Admission, [FirstCome, TooDear]),
    Promise(check_who_is_in_stays_in, Admission, [FirstCome, Evicts]),
)
