"""The rows of one log: which of them are told apart, when there are more than there is room for. Pure.

Promises: there are no more rows than `max_rows`, but for those of two routes of each log that are always
there (ALWAYS), which have one for each listed status at most. Where room is short, methods fold first: a
further one is counted as the method OTHER of its route and status. So do statuses that no list has
(statuses.py), as their class. Then no further route is admitted. A route that was admitted keeps its name for
as many listed statuses as servers answer with; with no place left, a further one is counted under that status
of the route OTHER. What was counted under a key is always counted under it.

**A route takes ROUTE_ROWS rows' places when it is admitted**, used or not (budget.py says how many places a
row takes): METHOD_ROWS for rows that have a method, STATUS_ROWS for listed statuses, each of which may need a
row with the method OTHER. A further row with a method, and a status that is not listed, take places where no
more than half of the log's room is held; a further listed status wherever there is one left.
"""

from collections.abc import Iterable

from qps_service.counting.budget import LONG, Share
from qps_service.counting.statuses import LISTED, class_of
from qps_service.values.counts import OTHER, UNREAD, Key

METHOD_ROWS = 3
STATUS_ROWS = 9
ROUTE_ROWS = METHOD_ROWS + STATUS_ROWS
ALWAYS = (OTHER, UNREAD)
_PRINTABLE = bytes(range(0x20, 0x7F)).replace(b"\\", b"")


class _Route:
    """An admitted one."""

    __slots__ = ("cost", "listed", "methods", "statuses")

    def __init__(self, cost: int) -> None:
        self.cost = cost  # places that each row takes
        self.methods = 0  # rows that have a method
        self.statuses = 0  # a bit each
        self.listed = 0  # how many of these


class Rows:
    """Those that are told apart so far."""

    def __init__(self, share: Share, known: Iterable[Key] = ()) -> None:
        """`known` were counted before, be they more than there is room for."""
        self.keys: dict[tuple[bytes, bytes, int], Key] = {}  # each to itself, so that one object is kept
        self._share = share
        self._routes: dict[bytes, _Route] = {}
        self._route(OTHER)
        for key in known:
            self._add(key, self._route(key.route))

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
        cost = _cost(route)
        if ROUTE_ROWS * cost > self._share.room:
            return False
        if route not in self._routes:
            self._begin(route, cost)
        return True

    def key(self, method: bytes, route: bytes, status: int) -> Key:
        """What a request is counted under whose route is admitted, or one of ALWAYS."""
        if found := self.keys.get((method, route, status)):
            return found
        known = self._route(route)
        if not known.statuses >> status & 1:
            if status not in LISTED and not self._has_plenty(known.cost):
                return self.key(method, route, class_of(status))
            is_short = known.listed >= STATUS_ROWS and known.cost > self._share.room
            if is_short and route not in ALWAYS:
                return self.key(method, OTHER, status)
        if method != OTHER and known.methods >= METHOD_ROWS and not self._has_plenty(known.cost):
            return self.key(OTHER, route, status)
        return self._add(Key(method, route, status), known)

    def _has_plenty(self, places: int) -> bool:
        """Whether no more than half of the room is held with these."""
        return self._share.held + places <= self._share.room - places

    def _route(self, route: bytes) -> _Route:
        return self._routes.get(route) or self._begin(route, _cost(route))

    def _begin(self, route: bytes, cost: int) -> _Route:
        self._routes[route] = known = _Route(cost)
        self._share.take((METHOD_ROWS + STATUS_ROWS) * cost)
        return known

    def _add(self, key: Key, route: _Route) -> Key:
        more = 0  # rows that it has no place for yet
        if key.method != OTHER:
            route.methods += 1
            more += route.methods > METHOD_ROWS
        if not route.statuses >> key.status & 1:
            route.statuses |= 1 << key.status
            is_listed = key.status in LISTED
            route.listed += is_listed
            more += route.listed > STATUS_ROWS or not is_listed
        if more:
            self._share.take(more * route.cost)
        self.keys[key] = key
        return key


def _cost(route: bytes) -> int:
    """How many places each of its rows takes. What is not printable is shown as four characters, of which an
    answer doubles one; letters beyond ASCII are counted so, too. A quote is doubled as well."""
    odd = len(route.translate(None, _PRINTABLE))
    return 1 + (len(route) + 4 * odd + route.count(b'"')) // LONG
