"""How long requests took: under the route of their requests, and in bounded memory, whatever was invented."""

import re
import tracemalloc
from random import Random

from qps_service.counting import aggregator, budget, durations
from qps_service.counting.aggregator import Aggregator
from qps_service.counting.budget import Budget
from qps_service.counting.durations import COARSE, Durations, Sums
from qps_service.counting.routes import Routes
from qps_service.counting.rules import Rule
from qps_service.values.counts import Scanned
from qps_service.values.latency import BOUNDS, BUCKETS, Latency, LatencyKey
from tests.limits import Doubled
from tests.promised import Patches, Promise, promises

ALL_BINS = dict.fromkeys(range(len(BOUNDS) + 1), 1)
KEYS = 10
QUARTERS = {index for index, bound in enumerate(BOUNDS) if str(bound).strip("0") == "25"}
NO_QUARTERS = tuple(COARSE[each + 1] if each in QUARTERS else each for each in COARSE)
COARSE_BINS = len(set(COARSE))


def check_they_go_with_their_requests() -> None:
    """Where each request has a duration, a route and class has as many of both: be it a route that came too
    late for a place, one that a rule made, or a status that no list has."""
    random = Random(3)
    routes = Routes([Rule(re.compile(b"/user/.*"), b"/user")], ["numeric"])
    counting = Aggregator("access", 0, 20, routes, share=Budget(300).join())
    for _ in range(5):
        rows = [
            (
                method,
                b"/%s/%d" % (random.choice([b"user", b"a", b"b%d" % random.randrange(60)]), number),
                status,
            )
            for number in range(200)
            for method in (b"GET", b"POST")
            for status in random.sample([200, 204, 404, 499, 500, 799], 2)
        ]
        found = [(*row, 3, 0) for row in rows]
        counting.add(
            Scanned(
                3 * len(rows), found, {}, None, latencies=[({random.randrange(813): 3}, 9, 5)] * len(rows)
            )
        )
        counting.take()
    requests: dict[LatencyKey, int] = {}
    for key, counts in counting.totals.items():
        by = LatencyKey(key.route, key.status // 100)
        requests[by] = requests.get(by, 0) + counts.requests
    assert counting.folded["max_rows"] or counting.folded["max_routes"]
    assert {key: each.measured for key, each in counting.total_latencies.items()} == requests
    assert counting.close_window(1).latencies == dict(counting.total_latencies)


def check_the_bound(places: int, logs: int, keys: int) -> None:
    """However many bins of however many routes and classes there are, over all logs no more are told apart
    than have a place, and those that each has in any case. Nothing looks shorter, and nothing is lost."""
    shared = Budget(1000, Budget(places))
    counting = [Durations(shared.join().bins) for _ in range(logs)]
    for number in range(keys):
        for each in counting:
            tally: dict[LatencyKey, Sums] = {}
            each.add(tally, LatencyKey(b"/%d" % number, 2), ALL_BINS, 813, 7)
            each.add_to_totals(tally)
    found = [latency for each in counting for latency in each.totals.values()]
    assert places // 2 < sum(len(latency.bins) for latency in found) <= places + COARSE_BINS * len(found)
    assert any(each.are_coarse for each in counting)
    exact = Latency(ALL_BINS, 813, 7)
    for latency in found[::20]:
        assert (latency.measured, latency.total, latency.longest) == (len(ALL_BINS), 813, 7)
        assert all(latency.within(bound) <= exact.within(bound) for bound in BOUNDS[1::30])


def check_places_are_for_new_bins() -> None:
    """Where places are free, nothing is rounded up: what the totals have takes none again."""
    share = Budget(100).join()
    counting = Durations(share, {LatencyKey(b"/", 2): Latency(dict.fromkeys(range(60), 1), 9, 9)})
    tally: dict[LatencyKey, Sums] = {}
    late: dict[LatencyKey, Sums] = {}
    counting.add(tally, LatencyKey(b"/", 2), dict.fromkeys(range(20, 60), 1), 9, 9)
    for each in (tally, late):
        counting.add(each, LatencyKey(b"/new", 2), {11: 1, 12: 1, 13: 1}, 9, 9)
    for each in (tally, late):
        assert counting.add_to_totals(each)[LatencyKey(b"/new", 2)].bins == {11: 1, 12: 1, 13: 1}
    assert not counting.are_coarse
    assert share.held == 63


def check_default_buckets() -> None:
    """They are exact, be there no place at all."""
    counting, tally = Durations(Budget(0).join()), dict[LatencyKey, Sums]()
    counting.add(tally, LatencyKey(b"/", 2), ALL_BINS, 813, 7)
    counted, exact = counting.add_to_totals(tally)[LatencyKey(b"/", 2)], Latency(ALL_BINS, 813, 7)
    assert counting.are_coarse
    assert [*map(counted.within, BUCKETS)] == [*map(exact.within, BUCKETS)]


def check_all_bins() -> None:
    """The bound of the service is reached by 256 logs with three routes each."""
    assert budget.MAX_BINS == 2 * 256 * 1024
    check_the_bound(budget.MAX_BINS, logs=256, keys=3)


def check_memory() -> None:
    """A bin takes ten bytes, in totals and in a window: all there are, 10 MB."""
    counting = Durations()
    tracemalloc.start()
    for number in range(2 * KEYS):
        tally: dict[LatencyKey, Sums] = {}
        counting.add(tally, LatencyKey(b"/%d" % (number % KEYS), 2), ALL_BINS, 813, 7)
        counting.add_to_totals(tally)
        if number == KEYS - 1:
            counting.add_to_window(counting.totals)
        tally.clear()
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert memory < 2 * KEYS * (10 * len(ALL_BINS) + 1000)


test_promise, test_twin = promises(
    {
        check_they_go_with_their_requests: {
            "a route of their own": Patches(
                (aggregator, "LatencyKey", lambda route, of: LatencyKey(route if of == 2 else b"other", of))
            )
        },
        check_places_are_for_new_bins: {
            "as if all were": Patches((durations.Durations, "_known", lambda self, key: ()))
        },
        check_default_buckets: {"without 2.5": Patches((durations, "COARSE", NO_QUARTERS))},
        check_all_bins: [Doubled("counting.budget:MAX_BINS")],
        check_memory: [Patches((durations, "Bins", dict))],
    },
    Promise(
        check_the_bound,
        5000,
        {
            "no bin is refused": Patches((durations.Durations, "_placed", lambda self, bins, known: bins)),
            "the one below is near": Patches(
                (durations, "COARSE", tuple(max(each - 90, 0) for each in durations.COARSE))
            ),
        },
        logs=8,
        keys=4,
    ),
)
