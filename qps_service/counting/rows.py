"""The rows of one log: which of them are told apart, when there are more than there is room for. Pure.

Promises: where room is short, methods fold first: a further one is counted as the method OTHER of its route
and status; then no further route is admitted. A route that was admitted keeps its name, for each status that
the server answers with: there are places for that from the beginning. What was counted under a key is always
counted under it.

**A route takes ROUTE_ROWS rows' places when it is admitted**, used or not (budget.py says how many places a
row takes): METHOD_ROWS for rows that have a method, STATUS_ROWS for statuses, each of which may need a row
with the method OTHER. A further row with a method takes places where no more than half of the log's room is
held. A further status always takes them, also where there are none left: a server that answers one route with
more than STATUS_ROWS is the only way beyond the bound. Which statuses there are, a client decides only where
the server writes its quotes into the log as they are.
"""

from collections.abc import Iterable

from qps_service.counting.budget import LONG, Share
from qps_service.values.counts import OTHER, Key

METHOD_ROWS = 3
STATUS_ROWS = 9
ROUTE_ROWS = METHOD_ROWS + STATUS_ROWS
_PRINTABLE = bytes(range(0x20, 0x7F)).replace(b"\\", b"")


class _Route:
    """An admitted one."""

    __slots__ = ("cost", "methods", "statuses")

    def __init__(self, cost: int) -> None:
        self.cost = cost  # places that each row takes
        self.methods = 0  # rows that have a method
        self.statuses: tuple[int, ...] = ()

    def places(self, methods: int, statuses: int) -> int:
        """What it takes with so many."""
        return self.cost * (max(METHOD_ROWS, methods) + max(STATUS_ROWS, statuses))


class Rows:
    """Those that are told apart so far."""

    def __init__(self, share: Share, known: Iterable[Key] = ()) -> None:
        """`known` were counted before, be they more than there is room for."""
        self.keys: dict[tuple[bytes, bytes, int], Key] = {}  # each to itself, so that one object is kept
        self._share = share
        self._routes: dict[bytes, _Route] = {}
        self._add_route(OTHER)
        for key in known:
            if key.route not in self._routes:
                self._add_route(key.route)
            self._add(key)

    @property
    def held(self) -> int:
        """Places that they take."""
        return self._share.held

    @property
    def room(self) -> int:
        """Places that are left for further routes and methods."""
        return self._share.room

    @property
    def own(self) -> int:
        """Places that no other log can take."""
        return self._share.budget.own

    def admit(self, route: bytes) -> bool:
        """Tell this route apart from now on; False if there is no room for it."""
        if ROUTE_ROWS * _cost(route) > self._share.room:
            return False
        self._add_route(route)
        return True

    def key(self, method: bytes, route: bytes, status: int) -> Key:
        """What a request is counted under whose route is admitted, or OTHER."""
        if found := self.keys.get((method, route, status)):
            return found
        if method != OTHER:
            known, held = self._routes[route], self._share.held
            places = known.cost if known.methods >= METHOD_ROWS else 0
            if places and held + places > self._share.room - places:
                return self.key(OTHER, route, status)
        return self._add(Key(method, route, status))

    def _add_route(self, route: bytes) -> None:
        self._routes[route] = made = _Route(_cost(route))
        self._share.take(made.places(0, 0))

    def _add(self, key: Key) -> Key:
        route = self._routes[key.route]
        before = route.places(route.methods, len(route.statuses))
        route.methods += key.method != OTHER
        if key.status not in route.statuses:
            route.statuses += (key.status,)
        self._share.take(route.places(route.methods, len(route.statuses)) - before)
        self.keys[key] = key
        return key


def _cost(route: bytes) -> int:
    """How many places each of its rows takes. What is not printable is shown as four characters, of which an
    answer doubles one; letters beyond ASCII are counted so, too. A quote is doubled as well."""
    odd = len(route.translate(None, _PRINTABLE))
    return 1 + (len(route) + 4 * odd + route.count(b'"')) // LONG
