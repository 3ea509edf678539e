"""Rows and bytes of names are bounded; where they are short, methods fold, then routes and statuses."""

from collections.abc import Callable, Iterable

from qps_service.configuration.loader import Flags, load
from qps_service.counting import admission, budget, rows
from qps_service.counting.aggregator import Aggregator
from qps_service.counting.budget import Budget
from qps_service.counting.rows import ROUTE_ROWS, STATUS_ROWS, Rows
from qps_service.counting.statuses import LISTED
from qps_service.text.escape import show
from qps_service.values.counts import OTHER, Counts, Key, Scanned
from qps_service.values.entries import Restored
from tests.limits import Doubled, default_of
from tests.promised import Patches, Promise, promises

MAX_ROWS = default_of("max_rows")
PLACES = 960  # 80 short routes
METHODS = [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"COPY", b"MOVE"]
STATUSES = range(400, 400 + STATUS_ROWS)
LAST = (500, 502, 503, 504, 505, 506, 507, 508, 510, 511)


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


def flood(log: Aggregator, routes: list[bytes], statuses: Iterable[int] = STATUSES) -> int:
    """Whatever a client can ask of a server, by which all routes are told apart that may be; the requests."""
    lines = [(b"GET", route, 404, 1024, 0) for route in routes]
    lines += [(each, route, status, 1, 0) for status in statuses for each in METHODS for route in routes]
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
    """Where nothing is left, an admitted route keeps its name for as many listed statuses as each has room
    for, whatever statuses a client made up before, and a method that has a row goes on with it. A further
    status is that of the route OTHER, and one that no list has is its class."""
    log = make()
    ask(log, b"GET", b"/help", 200)
    for status in range(600, 999):
        assert ask(log, b"GET", b"/help", status).route == b"/help"
    flood(log, SHORT, STATUSES[:5])
    log._rows._share.take(log._rows.room)  # as what is left to another log
    assert ask(log, b"GET", b"/help", 200) == Key(b"GET", b"/help", 200)
    known = [key for key in log.totals if key.route not in (b"/help", OTHER)][-1].route
    invented, scarce, folded = log.folded["invented"], log.folded["max_rows"], 0
    for route in (b"/help", known):
        room = STATUS_ROWS - len({key.status for key in log.totals if key.route == route} & LISTED)
        named, others = LAST[:room], LAST[room:]
        expected = [Key(OTHER, route if status in named else OTHER, status) for status in LAST]
        assert [ask(log, b"MOVE", route, status) for status in LAST] == expected
        assert ask(log, b"MOVE", route, 488).status == 400
        folded += len(others)
    assert (log.folded["invented"], log.folded["max_rows"]) == (invented + 2, scarce + folded)
    before = set(log.totals)
    flood(log, [b"/other" + route for route in SHORT])
    assert {key.route for key in log.totals} == {key.route for key in before}


def check_any_status(make: Callable[[], Aggregator]) -> None:
    """A client who chooses them has no more rows than there are places, but for the listed ones of OTHER."""
    log = make()
    lines = [(b"GET", route, status, 1, 0) for route in SHORT for status in range(1000)]
    log.add(Scanned(0, lines, {}, None))
    log.take()
    assert sum(counts.requests for counts in log.totals.values()) == len(lines)
    named = [key for key in log.totals if key.route != OTHER]
    assert PLACES // 4 < len(named) <= PLACES
    assert len(log.totals) - len(named) <= len(LISTED) + 3


def check_the_servers_own_routes_take_no_place(make: Callable[..., Aggregator]) -> None:
    """What could not be read is told apart, whatever came before; OTHER is OTHER, whoever calls it so."""
    log = make(routes=1)
    flood(log, SHORT)
    for status in (400, 408, 414):
        assert ask(log, b"-", b"-", status) == Key(b"-", b"-", status)
    assert ask(log, OTHER, OTHER, 400) == Key(OTHER, OTHER, 400)
    assert log.routes == 1


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
    assert ask(log, b"GET", bytes(bytearray(b"/a")), 404).route is key.route


# --- the twins


def names_all(table: Rows, method: bytes, route: bytes, status: int) -> Key:
    """Methods never fold."""
    return table.keys.get((method, route, status)) or table._add(
        Key(method, route, status), table._route(route)
    )


def folds_all(table: Rows, method: bytes, route: bytes, status: int) -> Key:
    """A status without a place goes to another route."""
    if table.room or (OTHER, route, status) in table.keys:
        return KEY(table, method, route, status)
    return KEY(table, method, OTHER, status)


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
        counting,
        {
            "methods never fold": Patches((Rows, "key", names_all)),
            "doubled": DOUBLED,
            "rows are counted, names are not": Patches((rows, "LONG", 1 << 30)),
        },
        routes=LONG,
    ),
    Promise(check_bounds, counting, {}, label="short"),
    Promise(check_bounds, counting, {}, label="raw", routes=RAW),
    Promise(
        check_bounds,
        counting,
        {"quotes cost nothing": Patches((rows, "_cost", lambda route: 1 + len(route) // budget.LONG))},
        label="quotes",
        routes=QUOTES,
    ),
    Promise(
        check_statuses,
        counting,
        {
            "statuses fold": Patches((Rows, "key", folds_all)),
            "all": Patches((Rows, "key", names_all)),
            "any status counts as listed": Patches((rows, "LISTED", range(1000))),
            "none does": Patches((rows, "LISTED", range(0, 1000, 100))),
        },
    ),
    Promise(
        check_any_status,
        counting,
        {
            "doubled": DOUBLED,
            "always": Patches((rows, "STATUS_ROWS", 1000)),
        },
    ),
    Promise(
        check_the_servers_own_routes_take_no_place,
        counting,
        {"as any": Patches((rows, "ALWAYS", (OTHER,)), (admission, "ALWAYS", (OTHER,)))},
    ),
    Promise(
        check_older,
        counting,
        {"begins anew": lambda old: counting(), "goes on without bounds": lambda old: counting(old, 1 << 40)},
    ),
)
