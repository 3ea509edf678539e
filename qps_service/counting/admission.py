"""Which routes are told apart, when more are asked for than there are places. Pure.

Promises: a route that was admitted stays so, for good, and no more are admitted than there are places; memory
is bounded by the number of places; and a visitor who asks for millions of URLs does not use the places up.

**Admission is by traffic.** The price of a place is a number of requests; the fewer places are free, the
higher it is: 1 while half of them are, so that a small site sees every route at once; then 4, and four times
as much each time the free ones are halved again. A route is admitted as soon as it is known to have had that
many requests, the one that is being counted included. URLs that are asked for once each get no more than
the first half of the places, however many they are; a real route gets one later, after a few requests more.

**Who is near the price** is known from a Space-Saving summary (Metwally, Agrawal, El Abbadi: Efficient
Computation of Frequent and Top-k Elements in Data Streams, ICDT 2005) of the routes that have no place. It
has as many counters as there are places in all. With 1,000 of them, any route that makes more than a
thousandth of the requests of those without a place has a counter for certain.
"""

from collections.abc import Iterable

from qps_service.values.counts import OTHER


class SpaceSaving:
    """Counts the most frequent of any number of routes, in `capacity` counters.

    A route without a counter takes the place of the one that is lowest, and goes on from its count, which is
    noted as its error: what the route may have had before, and may not. So a count is never too low, and
    `count - error`, what was seen since the route has a counter, never too high. Where a counter is free
    because a route was removed, the error is the highest count that was ever given up: both stay true.

    A step takes constant time, amortised: the lowest counter is in the bucket of the lowest count; when that
    becomes empty, its last route went to a bucket close by, mostly that of the next number.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
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
            if len(self._counters) >= self.capacity:
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
            self._leave(self._counters.pop(route)[0], route)
            if self._lowest not in self._buckets:
                self._seek()

    def resize(self, capacity: int) -> None:
        """Have this many counters at most from now on; the lowest go."""
        self.capacity = capacity
        while len(self._counters) > capacity:
            self._evict()
            if self._lowest not in self._buckets:
                self._seek()

    def _evict(self) -> None:
        """Take the counter of a route that has the lowest. Any will do; who came last is the one that
        a dict hands out in constant time."""
        bucket = self._buckets[self._lowest]
        route, _ = bucket.popitem()
        del self._counters[route]
        if not bucket:
            del self._buckets[self._lowest]
        self._given_up = self._lowest

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

    def __init__(self, places: int, admitted: Iterable[bytes] = ()) -> None:
        """`admitted` hold places already, be they more than there are."""
        # Each name to itself: what is kept is one object, however many rows it is in. OTHER takes no place.
        self.names: dict[bytes, bytes] = {OTHER: OTHER}
        self.names.update((route, route) for route in admitted)
        self.folded = 0  # requests that OTHER got so far, because their route had no place
        self._summary = SpaceSaving(places)
        self.places = places

    @property
    def places(self) -> int:
        """How many routes can be admitted in all. When it changes, nobody loses a place."""
        return self._places

    @places.setter
    def places(self, places: int) -> None:
        self._places = places
        self._reprice()

    @property
    def admitted(self) -> int:
        """How many routes are."""
        return len(self.names) - 1

    def offer(self, route: bytes, requests: int) -> bytes:
        """The name for these requests of a route that is not in `names`: its own if that admits it."""
        price = self._price
        if price and (requests >= price or self._summary.add(route, requests) >= price):
            self._summary.remove(route)
            self.names[route] = route
            self._reprice()
            return route
        self.folded += requests
        return OTHER

    def _reprice(self) -> None:
        """The price in requests; 0 where no place is free: then nobody's requests need to be remembered."""
        free = self._places - self.admitted
        self._price = 4 ** ((self._places // free).bit_length() - 1) if free > 0 else 0
        self._summary.resize(self._places if free > 0 else 0)
