"""Which routes are told apart, when more are asked for than there are places. Pure.

Promises: a route that was admitted stays so, for good, and no more are admitted than there are places, and
room for their rows (rows.py); memory is bounded by the number of places, and by the log's share of rows;
and a visitor who asks for millions of URLs does not use the places up, or the room.

**Admission is by traffic.** The price of a place is a number of requests; the fewer places are free, the
higher it is: 1 while half of them are, so that a small site sees every route at once; then 4, and four times
as much each time the free ones are halved again. With the room for rows it is likewise, and the higher
price counts. A route is admitted as soon as it is known to have had that many requests, the one that is being
counted included. URLs that are asked for once each get no more than the first half, however many they are; a
real route gets a place later, after a few requests more.

**Who is near the price** is known from a Space-Saving summary (Metwally, Agrawal, El Abbadi: Efficient
Computation of Frequent and Top-k Elements in Data Streams, ICDT 2005) of the routes that have no place. It
has as many counters as there are places in all, or fewer where the log's share of rows is smaller. With
1,000 of them, any route that makes more than a thousandth of the requests of those without a place has a
counter for certain, as long as their text together is no longer than what the share has room for.
"""

from collections.abc import Iterable

from qps_service.counting.budget import LONG
from qps_service.counting.rows import ALWAYS, ROUTE_ROWS, Rows
from qps_service.values.counts import FOLDS, MAX_ROUTES, MAX_ROWS, OTHER


class SpaceSaving:
    """Counts the most frequent of any number of routes, in `capacity` counters, with so many bytes of text.

    A route without a counter takes the place of the one that is lowest, and goes on from its count, which is
    noted as its error: what the route may have had before, and may not. So a count is never too low, and
    `count - error`, what was seen since the route has a counter, never too high. Where a counter is free
    because a route was removed, the error is the highest count that was ever given up: both stay true.

    A step takes constant time, amortised: the lowest counter is in the bucket of the lowest count; when that
    becomes empty, its last route went to a bucket close by, mostly that of the next number.
    """

    def __init__(self, capacity: int, text: int = 1 << 30) -> None:
        self.capacity = capacity
        self.text = text  # bytes of all routes that have a counter; one longer route may be there alone
        self._used = 0  # bytes of it
        self._counters: dict[bytes, tuple[int, int]] = {}  # route -> count, error
        self._buckets: dict[int, dict[bytes, None]] = {}  # count -> its routes; none is empty
        self._lowest = 0  # the lowest count; 0 where there is none
        self._given_up = 0  # the highest count of a route that lost its counter

    def add(self, route: bytes, requests: int) -> int:
        """Count them; how many `route` had for certain, these included."""
        found = self._counters.get(route)
        if found is not None:
            count, error = found
            self._leave(count, route)
        else:
            self._used += len(route)
            while len(self._counters) >= self.capacity or (self._used > self.text and self._counters):
                self._evict()
            count = error = self._given_up
        count += requests
        self._counters[route] = count, error
        bucket = self._buckets.get(count)
        if bucket is None:
            self._buckets[count] = {route: None}
            if count < self._lowest:
                self._lowest = count
        else:
            bucket[route] = None
        if self._lowest not in self._buckets:
            self._seek()
        return count - error

    def remove(self, route: bytes) -> None:
        """Forget it, if it has a counter."""
        if route in self._counters:
            self._used -= len(route)
            self._leave(self._counters.pop(route)[0], route)
            if self._lowest not in self._buckets:
                self._seek()

    def resize(self, capacity: int, text: int = 1 << 30) -> None:
        """Have this many counters and bytes at most from now on; the lowest go."""
        self.capacity, self.text = capacity, text
        while len(self._counters) > capacity or (self._used > text and self._counters):
            self._evict()

    def _evict(self) -> None:
        """Take the counter of a route that has the lowest. Any will do; who came last is the one that
        a dict hands out in constant time."""
        bucket = self._buckets[self._lowest]
        route, _ = bucket.popitem()
        del self._counters[route]
        self._used -= len(route)
        self._given_up = self._lowest
        if not bucket:
            del self._buckets[self._lowest]
            self._seek()

    def _leave(self, count: int, route: bytes) -> None:
        bucket = self._buckets[count]
        del bucket[route]
        if not bucket:
            del self._buckets[count]

    def _seek(self) -> None:
        following = self._lowest + 1
        self._lowest = following if following in self._buckets else min(self._buckets, default=0)


class Admission:
    """The names that routes are counted under; OTHER for those without a place."""

    def __init__(self, places: int, admitted: Iterable[bytes] = (), rows: Rows | None = None) -> None:
        """`admitted` hold places already, be they more than there are. Without `rows` all have room."""
        # Each name to itself: what is kept is one object, however many rows it is in. ALWAYS take no places.
        self.names: dict[bytes, bytes] = dict(zip(ALWAYS, ALWAYS, strict=True))
        self.names.update((route, route) for route in admitted)
        self.folded = dict.fromkeys(FOLDS, 0)  # requests that a wider name got so far, by reason
        self._rows = rows
        self._summary = SpaceSaving(places)
        self.places = places

    @property
    def places(self) -> int:
        """How many routes can be admitted in all. When it changes, nobody loses a place."""
        return self._places

    @places.setter
    def places(self, places: int) -> None:
        self._places = places
        self.reprice()

    @property
    def admitted(self) -> int:
        """How many routes are."""
        return len(self.names) - len(ALWAYS)

    def offer(self, route: bytes, requests: int) -> bytes:
        """The name for these requests of a route that is not in `names`: its own if that admits it."""
        price = self._price
        if price and (requests >= price or self._summary.add(route, requests) >= price):
            if self._rows is None or self._rows.admit(route):
                self._summary.remove(route)
                self.names[route] = route
                self.reprice()
                return route
            self.folded[MAX_ROWS] += requests
        else:
            self.folded[self._scarce] += requests
        return OTHER

    def reprice(self) -> None:
        """Ask for as many requests as is right now; for 0 where no place is free: then nobody's requests need
        to be remembered. To be called when the room for rows has changed."""
        free = self._places - self.admitted
        halvings, self._scarce = _halvings(self._places, free), MAX_ROUTES
        capacity, text = self._places, 1 << 30
        if self._rows is not None:
            room = self._rows.room
            room = room if room >= ROUTE_ROWS else 0
            if (by_rows := _halvings(self._rows.held + room, room)) > halvings:
                halvings, self._scarce = by_rows, MAX_ROWS
            capacity, text = max(1, min(capacity, self._rows.own)), self._rows.own * LONG
        self._price = 4**halvings if halvings < _NONE else 0
        self._summary.resize(*(capacity, text) if self._price else (0, 0))


# More than any number of places can be halved.
_NONE = 64


def _halvings(places: int, free: int) -> int:
    """How often the free places were halved after the first half was taken."""
    return (places // free).bit_length() - 1 if free > 0 else _NONE
