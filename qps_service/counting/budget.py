"""How many rows may be told apart: in the whole process, and of each log. Pure.

A row (a method, a route and a status) costs memory wherever it goes: in the totals, in a window, in each
output, in each answer. So it takes places: one, and one more for each LONG bytes of its route as it is shown.
There are `max_rows` places for all logs together, which bounds rows and bytes of names at once.

**Each log has a share** that no other can take: an equal part of half of the places. The other half is for
whoever needs it: beyond its share a log may hold as many of these as are still free. So one log whose clients
invent routes takes half of that half at most, the next one a third of it, and something is always left
(Choudhury and Hahne: Dynamic Queue Length Thresholds for Shared-Memory Packet Switches, 1998). A log that is
alone has all.

Places are never given back while a log is followed: a row, once counted, is for good. What a ledger brings
holds its places, be they more than there are; then nobody gets a further one.
"""

# Bins of durations, a place each: for 1,000 routes with three classes of statuses and 170 bins each.
MAX_BINS = 512 * 1024
# For 4,000 routes. With all outputs a row costs some 2 kB; docs/reference/limits.md has what was measured.
MAX_ROWS = 48_000
# Bytes of a route, as it is shown, that a place has room for. Nearly all routes need no second one.
LONG = 128


class Budget:
    """The places of the process."""

    def __init__(self, places: int = MAX_ROWS, bins: "Budget | None" = None) -> None:
        """`bins`: those for bins, which each log has a share of, too."""
        self._places = places
        self._bins = bins
        self._shares: list[Share] = []
        self.own = places  # places that each log has for itself
        self._free = 0  # of those for whoever needs them; below 0 where a ledger brought more

    def join(self) -> "Share":
        """A share for one more log."""
        share = Share(self, self._bins.join() if self._bins else None)
        self._shares.append(share)
        self._divide()
        return share

    def leave(self, share: "Share") -> None:
        """The log is not followed any longer."""
        self._shares = [each for each in self._shares if each is not share]
        if self._bins and share.bins:
            self._bins.leave(share.bins)
        self._divide()

    def resize(self, places: int) -> None:
        """Have this many from now on; what is held stays so."""
        self._places = places
        self._divide()

    def room(self, held: int) -> int:
        """How many more a log may take that holds so many."""
        own = self.own - held
        if own < 0:
            return max(0, self._free + own) // 2
        return own + max(0, self._free) // 2

    def spend(self, held: int, places: int) -> None:
        """A log that held so many takes these; below 0, it gives as many back."""
        before, after = held - self.own, held + places - self.own
        if before > 0 or after > 0:
            self._free -= max(after, 0) - max(before, 0)

    def _divide(self) -> None:
        logs = len(self._shares)
        self.own = self._places // (2 * logs) if logs > 1 else self._places
        self._free = self._places - self.own * max(logs, 1)
        for share in self._shares:
            self.spend(0, share.held)


class Share:
    """One log's part."""

    def __init__(self, budget: Budget, bins: "Share | None" = None) -> None:
        self.budget = budget
        self.bins = bins  # the log's part of those for bins
        self.held = 0  # places

    @property
    def room(self) -> int:
        """How many more it may take."""
        return self.budget.room(self.held)

    def take(self, places: int) -> None:
        """Hold these as well, be there room or not."""
        self.budget.spend(self.held, places)
        self.held += places
