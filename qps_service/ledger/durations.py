"""Durations as the ledger keeps them: a compact text of bytes for each route and class of status.

What stands in it, of a Latency (values/latency.py): one byte that tells how many the next two numbers have
(the first in its upper half), the sum, the longest, the index of the first bin (two bytes), the length of
a map of bits, that map, and the requests of the bins. In the map a bin from the first on has a 1 if it has
requests; the first 1 is the first bin's. The requests are code points in UTF-8: a number of few bits takes
one byte, and Python reads and writes hundreds of them at once. What has more than CHUNK bits goes on in as
many code points behind all the others.

Some 60 bytes for 50 requests, 250 for 20,000.
"""

import os
import sqlite3
from array import array
from collections.abc import Iterable, Sequence
from itertools import compress
from operator import add
from typing import Any

from qps_service.scanning.built import is_native, load
from qps_service.values.latency import BOUNDS, LONGEST, SUM_LIMIT, Bins, Latency, add_bins, no_sums

CHUNK = 20  # bits of one code point; the largest is 0x10FFFF
_CHUNK_BITS = (1 << CHUNK) - 1
_UTF8 = ("utf-8", "surrogatepass")
_FLAGS = bytes.maketrans(b"01", b"\0\1")
_CHUNKS = 3  # as many as a bin may have: nobody serves 2^60 requests
_HEAD = 3  # bytes between the longest and the map


class DurationsDamaged(sqlite3.DatabaseError):
    """What is in the ledger is not what was written; a damaged page of SQLite's is the same kind of error."""


def encode(latency: Latency) -> bytes:
    """The bytes of durations of which there are any."""
    bins = sorted(latency.bins.items())
    indexes, requests = [index for index, _ in bins], [number for _, number in bins]
    first = indexes[0]
    flags = bytearray(b"0") * (indexes[-1] - first + 1)
    for index in indexes:
        flags[index - first] = 49  # "1"
    text = ""
    while any(requests):
        text += "".join([chr(each & _CHUNK_BITS) for each in requests])
        requests = [each >> CHUNK for each in requests]
    total, longest, bits = map(_bytes_of, (latency.total, latency.longest, int(flags, 2)))
    sizes = bytes((len(total) << 4 | len(longest),))
    head = b"".join((sizes, total, longest, first.to_bytes(2), bytes((len(bits),))))
    return b"".join((head, bits, text.encode(*_UTF8)))


def decode(blob: bytes) -> Latency:
    """What was encoded. Raises DurationsDamaged."""
    try:
        sizes = blob[0]
        longest_at = 1 + (sizes >> 4)
        head = longest_at + (sizes & 15)
        map_at = head + _HEAD
        first, rest_at = int.from_bytes(blob[head : head + 2]), map_at + blob[map_at - 1]
        flags = format(int.from_bytes(blob[map_at:rest_at]), "b").encode().translate(_FLAGS)
        indexes = list(compress(range(first, first + len(flags)), flags))
        codes = list(map(ord, blob[rest_at:].decode(*_UTF8)))
        requests, places = codes[: len(indexes)], len(indexes)
        for begin in range(places, len(codes), places):
            shift = CHUNK * (begin // places)
            higher = (code << shift for code in codes[begin : begin + places])
            requests = list(map(add, requests, higher))
        bins = dict(zip(indexes, requests, strict=True))
        total, longest = int.from_bytes(blob[1:longest_at]), int.from_bytes(blob[longest_at:head])
    except (IndexError, TypeError, ValueError) as error:  # TypeError: SQLite has something else there
        raise DurationsDamaged(f"durations are damaged: {error}") from error
    is_sound = bins and all(requests) and not len(codes) % places
    is_likely = is_sound and indexes[-1] <= len(BOUNDS) and len(codes) <= _CHUNKS * places
    if not is_likely or total > SUM_LIMIT or longest > LONGEST:
        raise DurationsDamaged("durations are damaged")
    return Latency(bins, total, longest)


def summed(blobs: Iterable[bytes]) -> Latency:
    """What was encoded of all of some, of which there are any, together. Raises DurationsDamaged."""
    total, longest = _added(blobs, sums := no_sums())
    return Latency(Bins.of(sums), total, longest)


def undecoded(blobs: Sequence[bytes]) -> Latency:
    """Likewise; that the bins are decoded waits until somebody looks, and who only adds them up does not."""
    return Latency(_Undecoded(blobs), *_added(blobs, None))


class _Undecoded(Bins):
    """Those of some blobs, of which there are any: a tenth of the memory."""

    __slots__ = ("_blobs",)

    def __init__(self, blobs: Sequence[bytes]) -> None:
        self._blobs = blobs

    def __getattr__(self, name: str) -> Any:
        """What Bins has, which is not there before somebody looks."""
        self.add_to(sums := no_sums())
        super().__init__(Bins.of(sums))
        return super().__getattribute__(name)

    def __bool__(self) -> bool:
        return True

    def add_to(self, sums: "array[int]") -> None:
        """All at once."""
        _added(self._blobs, sums)


def _added(blobs: Iterable[bytes], sums: "array[int] | None") -> tuple[int, int]:
    """Add the requests to those of all bins, where there are any to add to; the sum and the longest. Raises
    DurationsDamaged."""
    try:
        totals, longest = zip(*(_add(blob, sums) for blob in blobs), strict=True)
    except (TypeError, ValueError) as error:  # TypeError: SQLite has something else there
        raise DurationsDamaged("durations are damaged") from error
    return min(sum(totals), SUM_LIMIT), max(longest)


def add_purely(blob: bytes, sums: "array[int] | None") -> tuple[int, int]:
    """What the function in C does (scanning/c/kept_durations.h). Raises DurationsDamaged."""
    bins, total, longest = decode(blob)
    if sums is not None:
        add_bins(bins, sums)
    return total, longest


_add = load().add_durations if is_native(os.environ) else add_purely


def add_durations(one: bytes | None, other: bytes | None) -> bytes | None:
    """What was encoded of both together; None is of none."""
    if one is None or other is None:
        return other if one is None else one
    return encode(decode(one).plus(decode(other)))


class Sum:
    """Durations of many periods together, as SQLite's aggregate `sum_durations`."""

    def __init__(self) -> None:
        self._blobs: list[bytes] = []

    def step(self, durations: bytes) -> None:
        """Add what was encoded."""
        self._blobs.append(durations)

    def finalize(self) -> bytes:
        """All that was added, encoded. Raises DurationsDamaged."""
        return encode(summed(self._blobs))


def _bytes_of(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)
