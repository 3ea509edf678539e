"""What goes in comes out once, in its window and in the totals, and memory stays bounded."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service import aggregator
from qps_service.aggregator import METHODS_LIMIT, OTHER, Aggregator
from qps_service.model import Counts, Key, Scanned, Window
from qps_service.routes import route_of

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


@pytest.mark.parametrize(
    ("target", "route"),
    [
        (b"/", b"/"),
        (b"/a?q=1", b"/a"),
        (b"/a#x", b"/a"),
        (b"/a#x?q", b"/a"),
        (b"/a?q#x?", b"/a"),
        (b"/a%3Fq", b"/a%3Fq"),
        (b"?q", b"?q"),
        (b"#", b"#"),
    ],
)
def test_the_query_and_the_fragment_are_no_part_of_a_route(target: bytes, route: bytes) -> None:
    assert route_of(target) == route


def test_windows_and_totals() -> None:
    counting = Aggregator("access", 100, MAX_ROUTES)
    counting.add(
        scanned({Key(b"GET", b"/a?1", 200): Counts(2, 10), Key(b"GET", b"/a?2", 200): Counts(3, 20)})
    )
    counting.add(scanned({Key(b"GET", b"/a", 404): Counts(1, 5)}, {"fields": 2}))
    assert (dict(counting.totals), dict(counting.total_rejects)) == ({}, {})
    first = {Key(b"GET", b"/a", 200): Counts(5, 30), Key(b"GET", b"/a", 404): Counts(1, 5)}
    assert closed(counting, 150) == Window("access", 100, 150, first, {"fields": 2})
    assert (dict(counting.totals), dict(counting.total_rejects)) == (first, {"fields": 2})

    counting.add(scanned({Key(b"GET", b"/a", 200): Counts(1, 1)}, {"fields": 1, "status": 1}))
    second = {Key(b"GET", b"/a", 200): Counts(1, 1)}
    assert closed(counting, 170) == Window("access", 150, 170, second, {"fields": 1, "status": 1})
    assert dict(counting.totals) == first | {Key(b"GET", b"/a", 200): Counts(6, 31)}
    assert dict(counting.total_rejects) == {"fields": 3, "status": 1}

    assert closed(counting, 180) == Window("access", 170, 180, {}, {})
    assert counting.routes == 1


def test_a_closed_window_does_not_change_any_more() -> None:
    counting = Aggregator("access", 0, MAX_ROUTES)
    counting.add(scanned({Key(b"GET", b"/", 200): Counts(1, 1)}, {"fields": 1}))
    window = closed(counting, 1)
    counting.add(scanned({Key(b"GET", b"/", 200): Counts(1, 1)}, {"fields": 1}))
    assert (window.counts, window.rejects) == ({Key(b"GET", b"/", 200): Counts(1, 1)}, {"fields": 1})


# --- the limits


def routes_of(window: Window) -> dict[bytes, int]:
    routes: Counter[bytes] = Counter()
    for key, counts in window.counts.items():
        routes[key.route] += counts.requests
    return routes


def check_routes_never_move(make: type[Aggregator]) -> None:
    """The first routes keep their names for good, later ones never get one, not in a new window either."""
    counting = make("access", 0, MAX_ROUTES)
    for route in (b"/a", b"/b", b"/c", b"/d", b"/e", b"/a"):
        counting.add(get(route))
    assert routes_of(closed(counting, 1)) == {b"/a": 2, b"/b": 1, b"/c": 1, OTHER: 2}
    for route in (b"/d", b"/e", b"/e?q", b"/c"):
        counting.add(get(route))
    assert routes_of(closed(counting, 2)) == {b"/c": 1, OTHER: 3}
    assert counting.routes == MAX_ROUTES


class AnewEachWindow(Aggregator):
    """A broken twin: each window admits routes anew."""

    def close_window(self, now: int) -> Window:
        self._routes.clear()
        return super().close_window(now)


class Unbounded(Aggregator):
    """A broken twin: the limit is not looked at."""

    def add(self, scanned: Scanned) -> None:
        self.max_routes += 1
        super().add(scanned)


def test_routes_over_the_limit_are_other_and_never_move() -> None:
    check_routes_never_move(Aggregator)
    for twin in (AnewEachWindow, Unbounded):
        with pytest.raises(AssertionError):
            check_routes_never_move(twin)


def check_methods_are_bounded() -> None:
    counting = Aggregator("access", 0, MAX_ROUTES)
    names = [b"M%d" % number for number in range(METHODS_LIMIT + 5)]
    for name in (*names, *reversed(names)):
        counting.add(get(b"/", method=name))
    window = closed(counting, 1)
    methods = {key.method: counts.requests for key, counts in window.counts.items()}
    assert methods == dict.fromkeys(names[:16], 2) | {OTHER: 10}


def test_methods_over_the_limit_are_other(monkeypatch: pytest.MonkeyPatch) -> None:
    check_methods_are_bounded()
    monkeypatch.setattr(aggregator, "_admit", lambda name, *_: name)
    with pytest.raises(AssertionError):
        check_methods_are_bounded()


def test_a_raised_limit_admits_and_a_lowered_one_takes_no_name_away() -> None:
    counting = Aggregator("access", 0, 1)
    counting.add(get(b"/a"))
    counting.add(get(b"/b"))
    counting.max_routes = 2
    counting.add(get(b"/b"))
    counting.max_routes = 1
    for route in (b"/a", b"/b", b"/c"):
        counting.add(get(route))
    assert routes_of(closed(counting, 1)) == {b"/a": 2, b"/b": 2, OTHER: 2}


# --- conservation, over any history

KEYS = st.builds(
    Key,
    st.sampled_from([b"M%d" % number for number in range(METHODS_LIMIT + 2)]),
    st.sampled_from([b"/a", b"/b?1", b"/b?2", b"/c", b"/d", b"/e", OTHER]),
    st.sampled_from([200, 404]),
)
COUNTS = st.builds(Counts, st.integers(1, 2**64), st.integers(0, 2**64))
REJECTS = st.dictionaries(st.sampled_from(["fields", "status"]), st.integers(1, 9))
FOUND = st.builds(scanned, st.dictionaries(KEYS, COUNTS, max_size=8), REJECTS)
HISTORY = st.lists(FOUND | st.none(), max_size=12)  # None ends a window


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
    assert len({key.method for key in counting.totals}) <= METHODS_LIMIT + 1


class DropsOther(Aggregator):
    """A broken twin: what is over the limit is not counted at all."""

    def close_window(self, now: int) -> Window:
        self._window = {key: counts for key, counts in self._window.items() if key.route != OTHER}
        return super().close_window(now)


class Overwrites(Aggregator):
    """A broken twin: routes that fold into one name replace each other."""

    def add(self, scanned: Scanned) -> None:
        for key in scanned.counts:
            self._fresh.pop(key._replace(route=route_of(key.route)), None)
        super().add(scanned)


class TotalsOfTheLastWindow(Aggregator):
    """A broken twin: the totals start anew with each window."""

    def close_window(self, now: int) -> Window:
        self._totals.clear()
        return super().close_window(now)


FOLDS: list[Scanned | None] = [get(b"/%d" % number, size=7) for number in range(5)]
REPEATS: list[Scanned | None] = [get(b"/a", 2, 3), get(b"/a?q", 4, 5), None, get(b"/a"), None, get(b"/b")]


@given(history=HISTORY)
@example(history=FOLDS)
@example(history=REPEATS)
def test_conservation(history: list[Scanned | None]) -> None:
    check_conservation(Aggregator, history)


@pytest.mark.parametrize("twin", [DropsOther, Overwrites, TotalsOfTheLastWindow, Unbounded])
def test_conservation_catches(twin: type[Aggregator]) -> None:
    with pytest.raises(AssertionError):
        check_conservation(twin, REPEATS + FOLDS)


def test_a_route_over_the_limit_is_other_and_costs_nothing() -> None:
    made = Aggregator("web", 0, 1000, max_route=8)
    made.add(get(b"/" + b"x" * 7))
    made.add(get(b"/" + b"x" * 8))
    made.add(get(b"/", method=b"M" * 33))
    assert set(closed(made, 1).counts) == {
        Key(b"GET", b"/xxxxxxx", 200),
        Key(b"GET", OTHER, 200),
        Key(OTHER, b"/", 200),
    }
    assert made.total_requests == 3


def test_a_route_is_kept_as_one_object() -> None:
    made = Aggregator("web", 0, 10)
    for status in (200, 404):
        made.add(get(bytes(bytearray(b"/a")), status=status))
    first, second = closed(made, 1).counts
    assert first.route is second.route
