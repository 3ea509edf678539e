"""How slow requests were: durations in bins of two significant digits, which add up in any order.

A bin holds what is above the bound before it and at most its own bound, so a quantile is the nearest-rank
value rounded up to two digits: exact in that sense, and never too good. Everything is an integer number of
nanoseconds; the sum and the maximum are those of the durations themselves.
"""

from array import array
from bisect import bisect_left
from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from itertools import accumulate, compress
from types import MappingProxyType
from typing import Any, NamedTuple

# Upper bounds of the bins: 0; 1.0, 1.1, … 9.9 times each power of ten from 1 us on; 1000 s. One more bin,
# whose index is their number, holds what took longer.
BOUNDS: tuple[int, ...] = (
    0,
    *(digits * 10**zeros for zeros in range(2, 11) for digits in range(10, 100)),
    10**12,
)
BEYOND = BOUNDS[-1] + 1  # stands for what took longer than the last bound, where a bound is asked for
LONGEST = 10**15  # what is longer, a fortnight nearly, is no duration of a request: it is not measured
SUM_LIMIT = 2**63 - 1  # sums stop there, as those of bytes do
REQUESTS_LIMIT = 2**60 - 1  # and those of a bin there: the ledger keeps no more, which nobody serves


# What monitoring systems are told of durations: by what they are told apart, and, where nothing else is
# configured, in which buckets.
BY_LOG, BY_ROUTE, NOT_TOLD = HISTOGRAMS = ("log", "route", "off")
BUCKETS = tuple(10**6 * each for each in (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000))


def bin_of(duration: int) -> int:
    """The index of the bin that a duration of so many nanoseconds belongs to."""
    return bisect_left(BOUNDS, duration)


class Bins(Mapping[int, int]):
    """Requests by the index of their bin, in its order: ten bytes for each, where a dict has a hundred."""

    __slots__ = ("_indices", "_requests")

    def __init__(self, bins: Mapping[int, int]) -> None:
        self._indices = array("H", sorted(bins))
        self._requests = array("Q", map(bins.__getitem__, self._indices))

    @classmethod
    def of(cls, sums: "array[int]") -> "Bins":
        """Those of `no_sums` that have requests."""
        bins = cls({})
        bins._indices = array("H", compress(range(len(sums)), sums))
        bins._requests = array("Q", filter(None, sums))
        return bins

    def add_to(self, sums: "array[int]") -> None:
        """Add to the requests of all bins."""
        add_bins(self, sums)

    def __getitem__(self, index: int) -> int:
        place = bisect_left(self._indices, index)
        if self._indices[place : place + 1] != array("H", (index,)):
            raise KeyError(index)
        return self._requests[place]

    def __contains__(self, index: Any) -> bool:
        place = bisect_left(self._indices, index)
        return place < len(self._indices) and bool(self._indices[place] == index)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)

    def items(self) -> ItemsView[int, int]:
        """All at once: what Mapping has would look up each."""
        return self.as_dict().items()

    def values(self) -> ValuesView[int]:
        """Likewise."""
        return self.as_dict().values()

    def __repr__(self) -> str:
        return f"Bins({self.as_dict()})"

    def as_dict(self) -> dict[int, int]:
        """The same, to be changed."""
        return dict(zip(self._indices, self._requests, strict=True))


class LatencyKey(NamedTuple):
    """What durations are told apart by: methods are summed, so that there are few of them."""

    route: bytes
    status_class: int  # the first digit of the status


class Latency(NamedTuple):
    """The durations of requests whose log tells them."""

    bins: Mapping[int, int]  # index of a bin -> requests, those with any
    total: int  # nanoseconds, at most SUM_LIMIT
    longest: int  # nanoseconds

    @property
    def measured(self) -> int:
        """How many requests have a duration."""
        return sum(self.bins.values())

    def plus(self, other: "Latency") -> "Latency":
        """The durations of both."""
        bins = dict(self.bins)
        for index, requests in other.bins.items():
            bins[index] = bins.get(index, 0) + requests
        total = min(self.total + other.total, SUM_LIMIT)
        return Latency(Bins(bins), total, max(self.longest, other.longest))

    def quantile(self, per_mille: int) -> int | None:
        """What so many of a thousand requests took at most: nanoseconds, one of BOUNDS, or BEYOND.

        None where nothing was measured.
        """
        return self.quantiles(per_mille)[0]

    def quantiles(self, *per_mille: int) -> list[int | None]:
        """Likewise for several of them."""
        if not self.bins:
            return [None] * len(per_mille)
        indices, requests = zip(*sorted(self.bins.items()), strict=True)
        ranks = list(accumulate(requests))  # of the last one in each bin
        found = (indices[bisect_left(ranks, -(-part * ranks[-1] // 1000))] for part in per_mille)
        return [BOUNDS[index] if index < len(BOUNDS) else BEYOND for index in found]

    def within(self, threshold: int) -> int:
        """How many requests took at most so many nanoseconds, which has to be one of BOUNDS."""
        last = BOUNDS.index(threshold)
        return sum(requests for index, requests in self.bins.items() if index <= last)


NO_LATENCY = Latency(MappingProxyType({}), 0, 0)
NO_LATENCIES: Mapping[LatencyKey, Latency] = MappingProxyType({})


def no_sums() -> "array[int]":
    """Requests of all bins by their index: none."""
    return array("Q", bytes(8 * (len(BOUNDS) + 1)))


def add_bins(bins: Mapping[int, int], sums: "array[int]") -> None:
    """Add to the requests of all bins, up to REQUESTS_LIMIT."""
    for index, requests in bins.items():
        added = sums[index] + requests
        sums[index] = added if added < REQUESTS_LIMIT else REQUESTS_LIMIT


def sum_of(latencies: Iterable[Latency]) -> Latency:
    """All of them, as of many."""
    sums, total, longest = no_sums(), 0, 0
    for latency in latencies:
        bins = latency.bins if isinstance(latency.bins, Bins) else Bins(latency.bins)
        bins.add_to(sums)
        total, longest = total + latency.total, max(longest, latency.longest)
    return Latency(Bins.of(sums), min(total, SUM_LIMIT), longest)


def together(
    one: Mapping[LatencyKey, Latency], other: Mapping[LatencyKey, Latency]
) -> Mapping[LatencyKey, Latency]:
    """The durations of both, by what they are told apart by."""
    found = dict(one)
    for key, latency in other.items():
        before = found.get(key)
        found[key] = before.plus(latency) if before else latency
    return found
