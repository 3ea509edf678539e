"""Per-window counters and running totals of one log.

Promises: what goes in comes out exactly once, in one window and in the totals; a window that an earlier
process began is ended by this one; and memory stays bounded however many routes the log's visitors
invent. The first `max_routes` distinct routes and METHODS_LIMIT distinct methods are admitted, for good;
every later one, and every route of more than `max_route` bytes, is counted under OTHER. So a route
never moves from one name to another, and the sum over all rows is always exact.
"""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from qps_service.model import Counts, Key, Restored, Scanned, Window
from qps_service.routes import route_of

OTHER = b"other"  # cannot be mistaken for a path, which begins with a slash
# HTTP knows about forty registered methods, a site uses a handful, and each multiplies the rows.
METHODS_LIMIT = 16
METHOD_LIMIT = 32  # bytes; the longest registered one has 17


class Aggregator:
    """Counts of one log; `started` is CLOCK_BOOTTIME nanoseconds."""

    def __init__(
        self,
        log: str,
        started: int,
        max_routes: int,
        max_route: int = 1024,
        restored: Restored | None = None,
    ) -> None:
        """`max_routes` counts routes, `max_route` the bytes of one; `restored` is what was counted before."""
        self.log = log
        self.max_routes = max_routes
        self.max_route = max_route
        self._started = restored.started if restored else started
        # Each name to itself: what is kept is one object, however many rows it is in.
        self._routes: dict[bytes, bytes] = {}
        self._methods: dict[bytes, bytes] = {}
        # Since the last `take`: requests and bytes by what makes a Key. A list in place of Counts, because
        # a hostile log comes here once for each of its lines.
        self._fresh: dict[tuple[bytes, bytes, int], list[int]] = {}
        self._fresh_rejects: Counter[str] = Counter()
        self._window: dict[Key, Counts] = dict(restored.window) if restored else {}
        self._rejects: Counter[str] = Counter(restored.window_rejects if restored else {})
        self._totals: dict[Key, Counts] = dict(restored.totals) if restored else {}
        self._total_rejects: Counter[str] = Counter(restored.rejects if restored else {})
        for key in self._totals:
            for name, admitted in ((key.route, self._routes), (key.method, self._methods)):
                if name != OTHER:
                    admitted[name] = name

    def add(self, scanned: Scanned) -> None:
        """Take over what a scanner found."""
        fresh, methods, routes = self._fresh, self._methods, self._routes
        for method, target, status, requests, size in scanned.rows:
            route = route_of(target)
            key = (
                methods.get(method) or _admit(method, methods, METHODS_LIMIT, METHOD_LIMIT),
                routes.get(route) or _admit(route, routes, self.max_routes, self.max_route),
                status,
            )
            sums = fresh.get(key)
            if sums is None:
                fresh[key] = [requests, size]
            else:
                sums[0] += requests
                sums[1] += size
        self._fresh_rejects.update(scanned.rejects)

    def take(self) -> tuple[Mapping[Key, Counts], Mapping[str, int]]:
        """What came since the last call, which is part of the window and the totals from now on."""
        fresh = {Key(*key): Counts(*sums) for key, sums in self._fresh.items()}
        rejects = self._fresh_rejects
        for key, counts in fresh.items():
            _add(self._window, key, counts)
            _add(self._totals, key, counts)
        self._rejects.update(rejects)
        self._total_rejects.update(rejects)
        self._fresh, self._fresh_rejects = {}, Counter()
        return fresh, rejects

    def close_window(self, now: int) -> Window:
        """End the window at `now` (CLOCK_BOOTTIME nanoseconds) with what was taken, begin the next."""
        window = Window(self.log, self._started, now, self._window, self._rejects)
        self._started, self._window, self._rejects = now, {}, Counter()
        return window

    @property
    def started(self) -> int:
        """When the window began, CLOCK_BOOTTIME nanoseconds."""
        return self._started

    @property
    def totals(self) -> Mapping[Key, Counts]:
        """Everything taken so far."""
        return MappingProxyType(self._totals)

    @property
    def total_rejects(self) -> Mapping[str, int]:
        """Lines rejected and taken so far, by reason."""
        return MappingProxyType(self._total_rejects)

    @property
    def total_requests(self) -> int:
        """All requests taken so far."""
        return sum(counts.requests for counts in self._totals.values())

    @property
    def total_rejected(self) -> int:
        """All rejected lines taken so far."""
        return sum(self._total_rejects.values())

    @property
    def routes(self) -> int:
        """Distinct routes admitted so far."""
        return len(self._routes)


def _add(table: dict[Key, Counts], key: Key, counts: Counts) -> None:
    before = table.get(key)
    table[key] = before.plus(counts) if before else counts


def _admit(name: bytes, admitted: dict[bytes, bytes], limit: int, length: int) -> bytes:
    if len(admitted) >= limit or len(name) > length:
        return OTHER
    return admitted.setdefault(name, name)
