"""The durations of one log: by route and class of status, in a window and in total. Pure.

Promises: they are counted under the route that their requests are counted under; each bin has exactly those
that belong to it, as long as there is room for bins; and no duration ever looks shorter than it was.

A bin of two digits takes a place of those that all logs share (budget.py says who may take one). Where there
is none left, what belongs to a bin that is not there yet is counted in the next one of 1, 2, 2.5 or 5 times a
power of ten, as the default buckets of monitoring systems are. Of these each route and class may have all: so
memory is bounded by the places, and by 39 bins for each row.
"""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType

from qps_service.counting.budget import MAX_BINS, Budget, Share
from qps_service.values.latency import BOUNDS, SUM_LIMIT, Bins, Latency, LatencyKey


def _coarse() -> tuple[int, ...]:
    """For each bin the next one, itself included, that is there in any case."""
    coarse, following = [], len(BOUNDS)
    for index in reversed(range(len(BOUNDS) + 1)):
        bound = str(BOUNDS[index]) if index < len(BOUNDS) else "1"
        if bound.rstrip("0") in ("", "1", "2", "25", "5"):
            following = index
        coarse.append(following)
    return tuple(reversed(coarse))


COARSE = _coarse()


class Sums:
    """What was added of one route and class."""

    __slots__ = ("bins", "longest", "taken", "total")

    def __init__(self) -> None:
        self.bins: dict[int, int] = {}
        self.taken = 0  # places for bins that the totals have not
        self.total = self.longest = 0  # nanoseconds


Tally = dict[LatencyKey, Sums]


class Durations:
    """What was added, in a window and in total."""

    def __init__(
        self,
        share: Share | None = None,
        totals: Mapping[LatencyKey, Latency] = MappingProxyType({}),
        window: Mapping[LatencyKey, Latency] = MappingProxyType({}),
    ) -> None:
        """`share`: the log's part of the places for bins, by default all there are; the others: what was
        counted before."""
        self.are_coarse = False  # whether anything was counted in a wider bin than its own
        self._share = share or Budget(MAX_BINS).join()
        self._totals = {key: _compact(latency) for key, latency in totals.items()}
        self._window = {key: _compact(latency) for key, latency in window.items()}
        self._share.take(sum(len(latency.bins) for latency in totals.values()))

    def add(self, tally: "Tally", key: LatencyKey, bins: Mapping[int, int], total: int, longest: int) -> None:
        """Count these in `tally`, in the bins that there are for them."""
        sums = tally.get(key)
        if sums is None:
            sums = tally[key] = Sums()
        known = self._known(key)
        if len(bins) > self._share.room:
            bins = self._placed(bins, {index for index in bins if index in sums.bins or index in known})
        fresh = bins.keys() - sums.bins.keys()
        added = sum(index not in known for index in fresh) if known else len(fresh)
        in_both = {index: sums.bins[index] + bins[index] for index in sums.bins.keys() & bins.keys()}
        sums.bins.update(bins)
        sums.bins.update(in_both)
        self._share.take(added)
        sums.taken += added
        sums.total = min(sums.total + total, SUM_LIMIT)
        sums.longest = max(sums.longest, longest)

    def add_to_totals(self, tally: "Tally") -> Mapping[LatencyKey, Latency]:
        """What is in it, which is part of them from now on."""
        latencies = {key: Latency(Bins(sums.bins), sums.total, sums.longest) for key, sums in tally.items()}
        before = sum(len(self._known(key)) for key in latencies)
        _add(self._totals, latencies)
        added = sum(len(self._known(key)) for key in latencies) - before
        # Two tallies may have taken a place each for the same bin.
        self._share.take(added - sum(sums.taken for sums in tally.values()))
        return latencies

    def _known(self, key: LatencyKey) -> Collection[int]:
        """Its bins in the totals."""
        return self._totals[key].bins if key in self._totals else ()

    def add_to_window(self, latencies: Mapping[LatencyKey, Latency]) -> None:
        """These are part of it from now on."""
        _add(self._window, latencies)

    def close_window(self) -> Mapping[LatencyKey, Latency]:
        """What was in it; the next begins."""
        window, self._window = self._window, {}
        return window

    @property
    def totals(self) -> Mapping[LatencyKey, Latency]:
        """Everything that was added to them so far."""
        return MappingProxyType(self._totals)

    def _placed(self, bins: Mapping[int, int], known: AbstractSet[int]) -> Mapping[int, int]:
        """The same in the bins that there is room for, beside those that are there."""
        placed: dict[int, int] = {}
        room = self._share.room
        for index, requests in bins.items():
            place = index if index in known or room > 0 else COARSE[index]
            room -= place not in known
            self.are_coarse |= place != index
            placed[place] = placed.get(place, 0) + requests
        return placed


def _compact(latency: Latency) -> Latency:
    return latency if isinstance(latency.bins, Bins) else latency._replace(bins=Bins(latency.bins))


def _add(table: dict[LatencyKey, Latency], latencies: Mapping[LatencyKey, Latency]) -> None:
    for key, latency in latencies.items():
        before = table.get(key)
        table[key] = before.plus(latency) if before else latency
