"""What goes in comes out once, in its window and in the totals, and memory stays bounded."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.counting.admission import Admission
from qps_service.counting.aggregator import Aggregator, Taken
from qps_service.counting.methods import INVENTED_LIMIT
from qps_service.counting.routes import CACHE_ENTRIES, Routes
from qps_service.counting.rules import Rule, compile_match
from qps_service.values.counts import NOTHING_BESIDE, OTHER, Beside, Counts, Key, Scanned
from qps_service.values.entries import Restored
from qps_service.values.reports import Window
from tests.promised import Promise, answers, promises

MAX_ROUTES = 3


def closed(counting: Aggregator, now: int) -> Window:
    """The window that ends now, with everything that came."""
    counting.take()
    return counting.close_window(now)


def scanned(counts: dict[Key, Counts], rejects: dict[str, int] | None = None) -> Scanned:
    lines = sum(each.requests for each in counts.values()) + sum((rejects or {}).values())
    return Scanned(lines, [(*key, *each) for key, each in counts.items()], rejects or {}, None)


def get(route: bytes, requests: int = 1, size: int = 0, method: bytes = b"GET", status: int = 200) -> Scanned:
    return scanned({Key(method, route, status): Counts(requests, size)})


def check_left_out(make: type[Aggregator]) -> None:
    """What is left out is in the totals and in no window, and is taken apart; a window that has nothing yet
    begins anew after it, one that has something goes on."""
    counting = make("access", 100, MAX_ROUTES)
    counting.leaves_out = True
    some = scanned({Key(b"GET", b"/a", 200): Counts(7, 70)}, {"fields": 2})
    counting.add(some._replace(unmeasured=4, directives=1))
    counting.leaves_out = False
    counting.begin_anew(130)
    some = scanned({Key(b"GET", b"/a", 200): Counts(1, 10)}, {"fields": 1})
    counting.add(some._replace(unmeasured=1, directives=3))
    counting.begin_anew(140)
    left_out, counted = {Key(b"GET", b"/a", 200): Counts(7, 70)}, {Key(b"GET", b"/a", 200): Counts(1, 10)}
    assert counting.take_left_out() == Taken(left_out, {"fields": 2}, Beside(4, 1), {})
    assert counting.take_left_out() == Taken({}, {}, NOTHING_BESIDE, {})
    assert counting.take() == Taken(counted, {"fields": 1}, Beside(1, 3), {})
    counting.begin_anew(145)
    window = counting.close_window(150)
    assert window == Window("access", 130, 150, counted, {"fields": 1}, Beside(1, 3))
    assert counting.close_window(150).beside == NOTHING_BESIDE
    assert counting.total_beside == Beside(5, 4)
    assert dict(counting.totals) == {Key(b"GET", b"/a", 200): Counts(8, 80)}
    assert dict(counting.total_rejects) == {"fields": 3}


class LeavesNothingOut(Aggregator):
    def add(self, scanned: Scanned) -> None:
        self.leaves_out = False
        super().add(scanned)


class BeginsAnyWindowAnew(Aggregator):
    def begin_anew(self, now: int) -> None:
        self._started = now


def folds(counting: Aggregator) -> int:
    """Requests whose route was counted as other."""
    return counting.folded["max_routes"] + counting.folded["max_rows"]


# --- the limits


class AnewEachWindow(Aggregator):  # each window admits routes anew
    def close_window(self, now: int) -> Window:
        self._admission = Admission(MAX_ROUTES, (), self._rows)
        return super().close_window(now)


class Unbounded(Aggregator):  # there is always one more place
    def add(self, scanned: Scanned) -> None:
        self._admission.places += 1
        super().add(scanned)


# --- a name is for good
def restart(counting: Aggregator, make: type[Aggregator], max_routes: int) -> Aggregator:
    """The next process, with what the ledger knows."""
    counting.take()
    restored = Restored(
        "/access.log", (), (), 1, (), dict(counting.totals), {}, {}, {}, counting.started, 0, False, ()
    )
    return make("access", 0, max_routes, None, restored)


STEPS = st.lists(
    st.tuples(st.sampled_from([b"/%d" % number for number in range(9)]), st.integers(1, 20))
    | st.integers(1, 9)  # a reload with this many places, or a restart
    | st.none(),  # the end of a window
    max_size=50,
)
LIFE: list[tuple[bytes, int] | int | None] = [(b"/%d" % number, 20) for number in range(9)]


@given(steps=STEPS, restarts=st.booleans())
@example(steps=[*LIFE, 2, *LIFE, None, *LIFE], restarts=False)
@example(steps=[*LIFE, 2, *reversed(LIFE), None, *reversed(LIFE)], restarts=True)
def check_names_are_for_good(
    make: type[Aggregator], steps: Sequence[tuple[bytes, int] | int | None], restarts: bool
) -> None:
    """Once anything of a route is counted under its name, all of it is, whatever happens; and no more routes
    have one than there ever were places."""
    places = most = 5
    counting = make("access", 0, places)
    named: set[bytes] = set()
    for now, step in enumerate(steps):
        if isinstance(step, int):
            most = max(most, step)
            if restarts:
                counting = restart(counting, make, step)
            else:
                counting.reconfigure(step, Routes())
        elif step is None:
            closed(counting, now)
        else:
            route, requests = step
            counting.add(get(route, requests))
            counts, *_ = counting.take()
            [(key, found)] = counts.items()
            assert found.requests == requests
            assert key.route in ((route,) if route in named else (route, OTHER))
            named |= {key.route} - {OTHER}
        assert len(named) <= most
        assert counting.routes == len(named)


class ForgetsAtRestart(Aggregator):  # who was admitted by an earlier process has no place
    def __init__(self, log: str, started: int, max_routes: int, *rest: Any) -> None:
        super().__init__(log, started, max_routes, *rest)
        self._admission = Admission(max_routes, (), self._rows)


# --- conservation, over any history

KEYS = st.builds(
    Key,
    st.sampled_from([b"M%d" % number for number in range(INVENTED_LIMIT + 2)]),
    st.sampled_from([b"/a", b"/b?1", b"/b?2", b"/c", b"/d", b"/e", OTHER]),
    st.sampled_from([200, 404]),
)
COUNTS = st.builds(Counts, st.integers(1, 2**64), st.integers(0, 2**64))
REJECTS = st.dictionaries(st.sampled_from(["fields", "status"]), st.integers(1, 9))
FOUND = st.builds(scanned, st.dictionaries(KEYS, COUNTS, max_size=8), REJECTS)
HISTORY = st.lists(FOUND | st.none(), max_size=12)  # None ends a window
FOLDS: list[Scanned | None] = [get(b"/%d" % number, size=7) for number in range(5)]
REPEATS: list[Scanned | None] = [get(b"/a", 2, 3), get(b"/a?q", 4, 5), None, get(b"/a"), None, get(b"/b")]


@given(history=HISTORY)
@example(history=FOLDS)
@example(history=REPEATS + FOLDS)
def check_conservation(make: type[Aggregator], history: Sequence[Scanned | None]) -> None:
    """Requests, bytes and rejects that went in are those of all windows, and those of the totals."""
    counting = make("access", 0, MAX_ROUTES)
    windows = []
    for now, found in enumerate((*history, None)):
        if found is None:
            windows.append(closed(counting, now))
        else:
            counting.add(found)
    entered = [found for found in history if found]

    def sums(parts: Sequence[Scanned | Window]) -> tuple[Counter[int], int, Counter[str]]:
        """Requests by status, bytes, rejects by reason."""
        requests: Counter[int] = Counter()
        rejects: Counter[str] = Counter()
        for part in parts:
            for key, counts in part.counts.items():
                requests[key.status] += counts.requests
            rejects.update(part.rejects)
        return requests, sum(each.bytes for part in parts for each in part.counts.values()), rejects

    total = Window("access", 0, 0, counting.totals, counting.total_rejects)
    assert sums(entered) == sums(windows) == sums([total])
    assert all(one.ended == after.started for one, after in pairwise(windows))
    assert len({key.route for key in counting.totals}) <= MAX_ROUTES + 1
    assert len({key.method for key in counting.totals}) <= INVENTED_LIMIT + 1


class DropsOther(Aggregator):  # what is over the limit is not counted at all
    def close_window(self, now: int) -> Window:
        self._window = {key: counts for key, counts in self._window.items() if key.route != OTHER}
        return super().close_window(now)


def test_a_route_over_the_limit_is_other_and_costs_nothing() -> None:
    made = Aggregator("web", 0, 1000, Routes(max_route=8))
    made.add(get(b"/" + b"x" * 7))
    made.add(get(b"/" + b"x" * 8))
    made.add(get(b"/", method=b"M" * 33))
    rows = [(b"GET", b"/xxxxxxx", 200), (b"GET", OTHER, 200), (OTHER, b"/", 200)]
    assert set(closed(made, 1).counts) == set(rows)
    assert made.total_requests == 3
    assert (made.routes, folds(made), made.folded["invented"]) == (2, 0, 1)


def check_routes_outlast_a_flood_and_a_reload(make: type[Aggregator]) -> None:
    """Rules have time for each target once: who comes again has the route that is remembered."""
    asked: set[bytes] = set()

    def once(rules: Sequence[Rule], route: bytes, max_route: int) -> bytes | None:
        is_known = route in asked
        asked.add(route)
        return None if is_known else route

    rules = [Rule(compile_match("^/y"), b"/z")]
    counting = make("access", 0, MAX_ROUTES, Routes(rules, limited=once))
    counting.add(get(b"/x"))
    closed(counting, 1)
    counting.reconfigure(MAX_ROUTES, Routes(rules, limited=once))
    for number in range(CACHE_ENTRIES):
        counting.add(get(b"/%d" % number))
    counting.add(get(b"/x"))
    closed(counting, 2)
    assert counting.totals[Key(b"GET", b"/x", 200)].requests == 2


test_promise, test_twin = promises(
    Promise(
        check_routes_outlast_a_flood_and_a_reload,
        Aggregator,
        [answers(Routes, "go_on_from"), answers(Routes, "end_window")],
    ),
    Promise(check_names_are_for_good, Aggregator, [AnewEachWindow, ForgetsAtRestart, Unbounded]),
    Promise(check_left_out, Aggregator, [LeavesNothingOut, BeginsAnyWindowAnew]),
    Promise(check_conservation, Aggregator, [DropsOther, Unbounded]),
)
