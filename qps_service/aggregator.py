"""Per-window counters and running totals of one log.

Promises: what goes in comes out exactly once, in one window and in the totals; and memory stays
bounded however many routes the log's visitors invent. The first `max_routes` distinct routes and
METHODS_LIMIT distinct methods are admitted, for good; every later one, and every route of more than
`max_route` bytes, is counted under OTHER. So
a route never moves from one name to another, and the sum over all rows is always exact.
"""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from qps_service.model import Counts, Key, Scanned, Window
from qps_service.routes import route_of

OTHER = b"other"  # cannot be mistaken for a path, which begins with a slash
# HTTP knows about forty registered methods, a site uses a handful, and each multiplies the rows.
METHODS_LIMIT = 16
METHOD_LIMIT = 32  # bytes; the longest registered one has 17


class Aggregator:
    """Counts of one log; `started` is CLOCK_BOOTTIME nanoseconds."""

    def __init__(self, log: str, started: int, max_routes: int, max_route: int = 1024) -> None:
        """`max_routes` counts routes, `max_route` the bytes of one."""
        self.log = log
        self.max_routes = max_routes
        self.max_route = max_route
        self._started = started
        # Each name to itself: what is kept is one object, however many rows it is in.
        self._routes: dict[bytes, bytes] = {}
        self._methods: dict[bytes, bytes] = {}
        self._window: dict[Key, Counts] = {}
        self._rejects: Counter[str] = Counter()
        self._totals: dict[Key, Counts] = {}
        self._total_rejects: Counter[str] = Counter()

    def add(self, scanned: Scanned) -> None:
        """Take over what a scanner found."""
        for raw, counts in scanned.counts.items():
            key = Key(
                _admit(raw.method, self._methods, METHODS_LIMIT, METHOD_LIMIT),
                _admit(route_of(raw.route), self._routes, self.max_routes, self.max_route),
                raw.status,
            )
            before = self._window.get(key)
            self._window[key] = before.plus(counts) if before else counts
        self._rejects.update(scanned.rejects)

    def close_window(self, now: int) -> Window:
        """End the window at `now` (CLOCK_BOOTTIME nanoseconds), add it to the totals, begin the next."""
        window = Window(self.log, self._started, now, self._window, self._rejects)
        for key, counts in self._window.items():
            before = self._totals.get(key)
            self._totals[key] = before.plus(counts) if before else counts
        self._total_rejects.update(self._rejects)
        self._started, self._window, self._rejects = now, {}, Counter()
        return window

    @property
    def totals(self) -> Mapping[Key, Counts]:
        """Everything counted in closed windows."""
        return MappingProxyType(self._totals)

    @property
    def total_rejects(self) -> Mapping[str, int]:
        """Lines rejected in closed windows, by reason."""
        return MappingProxyType(self._total_rejects)

    @property
    def total_requests(self) -> int:
        """All requests in closed windows."""
        return sum(counts.requests for counts in self._totals.values())

    @property
    def total_rejected(self) -> int:
        """All lines rejected in closed windows."""
        return sum(self._total_rejects.values())

    @property
    def routes(self) -> int:
        """Distinct routes admitted so far."""
        return len(self._routes)


def _admit(name: bytes, admitted: dict[bytes, bytes], limit: int, length: int) -> bytes:
    if name in admitted:
        return admitted[name]
    if len(admitted) >= limit or len(name) > length:
        return OTHER
    return admitted.setdefault(name, name)
