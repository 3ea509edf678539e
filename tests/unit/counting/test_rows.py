"""Rows and bytes of names are bounded; where they are short, methods fold, then routes; no status does."""

from collections.abc import Callable

import pytest

from qps_service.configuration.loader import Flags, load
from qps_service.counting import budget, rows
from qps_service.counting.aggregator import Aggregator
from qps_service.counting.budget import Budget
from qps_service.counting.rows import ROUTE_ROWS, STATUS_ROWS, Rows
from qps_service.text.escape import show
from qps_service.values.counts import OTHER, Counts, Key, Scanned
from qps_service.values.entries import Restored
from tests.limits import Doubled, default_of
from tests.promised import Patches, Promise, promises

MAX_ROWS = default_of("max_rows")
PLACES = 960  # 80 short routes
METHODS = [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"COPY", b"MOVE"]
STATUSES = range(400, 400 + STATUS_ROWS)


def counting(restored: Aggregator | None = None, places: int = PLACES, routes: int = 1000) -> Aggregator:
    """A log that is alone; `restored` is what the process before it knew."""
    known = None
    if restored is not None:
        restored.take()
        totals = dict(restored.totals)
        known = Restored("/a.log", (), (), 1, (), totals, {}, {}, {}, 0, 0, False, ())
    return Aggregator("access", 0, routes, None, known, Budget(places).join())


def ask(log: Aggregator, method: bytes, route: bytes, status: int, requests: int = 1) -> Key:
    """What they are counted under."""
    log.add(Scanned(requests, [(method, route, status, requests, 0)], {}, None))
    [key] = log.take()[0]
    return key


def flood(log: Aggregator, routes: list[bytes]) -> int:
    """Whatever a client can ask of a server, by which all routes are told apart that may be; the requests."""
    lines = [(b"GET", route, 404, 1024, 0) for route in routes]
    lines += [(each, route, status, 1, 0) for status in STATUSES for each in METHODS for route in routes]
    log.add(Scanned(0, lines, {}, None))
    log.take()
    return sum(row[3] for row in lines)


def weight(log: Aggregator) -> int:
    """Bytes of an answer's rows, but for what each has beside its names."""
    shown = (show(key.route).replace("\\", "\\\\").replace('"', '\\"') for key in log.totals)
    return sum(map(len, shown))


SHORT = [b"/%05d" % number for number in range(120)]
LONG = [b"/%05d" % number + b"x" * 1000 for number in range(120)]
RAW = [b"/%05d" % number + b"\xff" * 1000 for number in range(120)]

QUOTES = [b"/%05d" % number + b'"' * 1000 for number in range(120)]


@pytest.mark.parametrize("routes", [SHORT, LONG, RAW, QUOTES], ids=["short", "long", "raw", "quotes"])
def test_rows_are_bounded(routes: list[bytes]) -> None:
    check_bounds(lambda: counting(), routes)


def check_bounds(make: Callable[[], Aggregator], routes: list[bytes] = SHORT) -> None:
    """As many rows as there are places, and their names no longer than these; all of it is reached, and stays
    so in each later process; every request is counted."""
    log = make()
    requests = flood(log, routes)
    size = len(log.totals)
    assert sum(counts.requests for counts in log.totals.values()) == requests
    assert PLACES // 4 < max(size, weight(log) // budget.LONG) <= PLACES
    again = counting(log)
    flood(again, [*routes, *(b"/more" + route for route in routes)])
    assert again.totals.keys() >= log.totals.keys()
    assert len(again.totals) <= PLACES
    assert weight(again) <= PLACES * budget.LONG


def test_methods_fold_first() -> None:
    """Then routes: while no method has a new place, routes still have."""
    log = counting()
    route, folded = 0, 0
    while log._rows.room >= ROUTE_ROWS:
        name = b"/%d" % route
        assert ask(log, b"GET", name, 200, 10_000).route == name
        folded += sum(ask(log, method, name, 200).method == OTHER for method in METHODS[1:])
        if route < 20:
            assert folded == 0
        route += 1
    assert log.folded["methods"] == folded > 0
    assert log.folded["max_rows"] == 0
    assert ask(log, b"GET", b"/new", 200, 10_000) == Key(b"GET", OTHER, 200)
    assert log.folded["max_rows"] == 10_000


def check_statuses(make: Callable[[], Aggregator]) -> None:
    """Where nothing is left, an admitted route keeps its name for each status, and a method that has a row
    goes on with it; a further one is OTHER of that route and status."""
    log = make()
    ask(log, b"GET", b"/help", 200)
    flood(log, SHORT)
    assert ask(log, b"GET", b"/help", 200) == Key(b"GET", b"/help", 200)
    known = [key for key in log.totals if key.route not in (b"/help", OTHER)][-1].route
    for status in range(500, 540):
        for method in METHODS:
            key = ask(log, method, known, status)
            assert (key.route, key.status) == (known, status)
    assert len([key for key in log.totals if key.route == known and key.status >= 500]) == 40
    before = set(log.totals)
    flood(log, [b"/other" + route for route in SHORT])
    assert {key.route for key in log.totals} == {key.route for key in before}


def check_older(make: Callable[[Aggregator], Aggregator]) -> None:
    """What an older process counted without bounds is loaded, goes on, and nothing is added to it."""
    old = counting(None, 1 << 40)
    flood(old, SHORT)
    old.take()
    log = make(old)
    assert log.totals == old.totals
    assert len(log.totals) > PLACES
    assert log._rows.room == 0
    for key in list(log.totals)[::100]:
        assert ask(log, *key) == key
    folded = [ask(log, b"MERGE", SHORT[0], 404), ask(log, b"MERGE", b"/new", 404)]
    assert folded == [Key(OTHER, SHORT[0], 404), Key(b"MERGE", OTHER, 404)]
    assert log.totals.keys() - old.totals.keys() == set(folded)


def check_the_default() -> None:
    """Of a log that is alone, and of short routes."""
    [log] = load(Flags(log="/log"), {}).logs
    table = Rows(Budget(log.max_rows).join())
    routes = 0
    while table.admit(b"/%d" % routes):
        routes += 1
    assert routes == MAX_ROWS // 12 - 1


def check_what_a_route_takes() -> None:
    """Places of three methods and nine statuses, whether or not it has them; one for each that is more."""
    share = Budget(PLACES).join()
    table, held = Rows(share), [share.held]
    table.admit(b"/a")
    for number in range(4):
        table.key(METHODS[number], b"/a", 200)
        held.append(share.held)
    for status in range(201, 210):
        table.key(OTHER, b"/a", status)
        held.append(share.held)
    assert held == [12, 24, 24, 24, 25, *[25] * 8, 26]


def check_a_long_route_takes_more() -> None:
    share = Budget(PLACES).join()
    table = Rows(share)
    before = share.held
    for route in (b"/" + b"x" * 126, b"/" + b"x" * 127, b"/" + b"\xff" * 127, b"/\\" * 64):
        assert table.admit(route)
    assert share.held - before == ROUTE_ROWS * (1 + 2 + 5 + 4)


def test_keys_of_one_name_are_one_object() -> None:
    log = counting()
    ask(log, b"GET", b"/a", 200)
    [key] = log.totals
    ask(log, bytes(bytearray(b"GET")), bytes(bytearray(b"/a")), 200)
    assert next(iter(log.totals)) is key
    assert dict(log.totals) == {key: Counts(2, 0)}


# --- the twins


def without_room(patched: str, instead: object) -> Patches:
    return Patches((Rows, patched, instead))


def names_all(table: Rows, method: bytes, route: bytes, status: int) -> Key:
    """Methods never fold."""
    return table.keys.get((method, route, status)) or table._add(Key(method, route, status))


def folds_all(table: Rows, method: bytes, route: bytes, status: int) -> Key:
    """A status without a place goes to another route."""
    if table.room or (OTHER, route, status) in table.keys:
        return KEY(table, method, route, status)
    return KEY(table, method, OTHER, status)


def admits_all(table: Rows, route: bytes) -> bool:
    table._add_route(route)
    return True


KEY = Rows.key
DOUBLED = Patches((Budget, "room", lambda self, held: max(0, 2 * self._places - held)))

test_promise, test_twin = promises(
    Promise(check_the_default, None, [Doubled("max_rows")]),
    Promise(
        check_what_a_route_takes,
        None,
        [Doubled("counting.rows:METHOD_ROWS"), Doubled("counting.rows:STATUS_ROWS")],
    ),
    Promise(check_a_long_route_takes_more, None, [Doubled("counting.rows:LONG")]),
    Promise(
        check_bounds,
        lambda: counting(),
        {
            "methods never fold": without_room("key", names_all),
            "all routes are admitted": Patches(
                (Rows, "admit", admits_all), (Rows, "room", property(lambda table: 1 << 40))
            ),
            "doubled": DOUBLED,
            "rows are counted, names are not": Patches((rows, "LONG", 1 << 30)),
        },
        routes=LONG,
    ),
    Promise(check_bounds, lambda: counting(), {"doubled": DOUBLED}, label="short"),
    Promise(
        check_bounds,
        lambda: counting(),
        {"quotes cost nothing": Patches((rows, "_cost", lambda route: 1 + len(route) // budget.LONG))},
        label="quotes",
        routes=QUOTES,
    ),
    Promise(
        check_statuses,
        lambda: counting(),
        {"statuses fold": without_room("key", folds_all), "all": without_room("key", names_all)},
    ),
    Promise(
        check_older,
        lambda old: counting(old),
        {
            "begins anew": lambda old: counting(),
            "goes on without bounds": lambda old: counting(old, 1 << 40),
        },
    ),
)
