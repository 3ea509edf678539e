"""What tests of durations share: distributions of them, and what a sorted list says of one.

Nothing here is of the product but the two digits that its bins have: a quantile is the value at the nearest
rank, rounded up to two digits by its decimal digits.
"""

import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any

from qps_service.ledger.durations import encode
from qps_service.values.latency import BEYOND, Latency, bin_of

MICRO, MILLI, SECOND = 10**3, 10**6, 10**9
QUANTILES = (500, 900, 950, 990)  # per mille
# The 90 numbers of two digits, in milliseconds, and some others.
THRESHOLDS = [number * MILLI for number in range(10, 100)] + [
    *(0, MICRO, 250 * MILLI, 2_500 * MILLI, 1000 * SECOND),
]


def _drawn(draw: random.Random) -> dict[str, list[int]]:
    return {
        "constant": [120 * MILLI] * 777,
        "one value": [37_000_001],
        "all zero": [0] * 50,
        "two peaks": [draw.choice((3, 900)) * MILLI + draw.randrange(MILLI) for _ in range(1500)],
        "heavy tail": [min(10**15, int(MILLI * draw.paretovariate(0.4))) for _ in range(1500)],
        "milliseconds": [int(draw.expovariate(1 / 40)) * MILLI for _ in range(1500)],
        "microseconds": [int(draw.lognormvariate(9, 2)) * MICRO for _ in range(1500)],
        "on the bounds": [digits * 10**zeros for zeros in range(2, 11) for digits in range(10, 100, 7)],
        "one above": [digits * 10**zeros + 1 for zeros in range(2, 11) for digits in range(10, 100, 7)],
        "whole seconds": [draw.randrange(4) * SECOND for _ in range(300)],
        "beyond": [1000 * SECOND, 1000 * SECOND + 1, 5000 * SECOND],
    }


DISTRIBUTIONS = _drawn(random.Random(20))


def told(durations: Iterable[int]) -> Latency:
    """Them, one by one, as a scanner hands them on."""
    bins: dict[int, int] = {}
    total = longest = 0
    for duration in durations:
        bins[bin_of(duration)] = bins.get(bin_of(duration), 0) + 1
        total, longest = total + duration, max(longest, duration)
    return Latency(bins, total, longest)


def rounded_up(duration: int) -> int:
    """To two digits; no finer than a microsecond."""
    if duration > 1000 * SECOND:
        return BEYOND
    if 0 < duration < MICRO:
        return MICRO
    head, rest = str(duration)[:2], str(duration)[2:]
    return int(f"{int(head) + bool(rest.strip('0'))}{'0' * len(rest)}")


def quantile(durations: Sequence[int], per_mille: int) -> int:
    """By the sorted list: of the nearest rank, which is at least the first."""
    return rounded_up(durations[-(-per_mille * len(durations) // 1000) - 1])


def check_latency(latency: Latency, durations: Sequence[int]) -> None:
    """It tells all that the sorted list tells, equal and not near."""
    durations = sorted(durations)
    assert (latency.measured, latency.total) == (len(durations), sum(durations))
    assert latency.longest == max(durations, default=0)
    for per_mille in QUANTILES:
        assert latency.quantile(per_mille) == (quantile(durations, per_mille) if durations else None)
    for threshold in THRESHOLDS:
        assert latency.within(threshold) == bisect_right(durations, threshold)


def latency_object(durations: Sequence[int]) -> dict[str, int | None]:
    """How a report tells them to programs, but for the bins."""
    ordered = sorted(durations)
    told = {f"p{part // 10}_ns": quantile(ordered, part) for part in QUANTILES}
    return {
        "measured": len(ordered),
        "sum_ns": sum(ordered),
        "max_ns": ordered[-1],
        **{name: None if value == BEYOND else value for name, value in told.items()},
    }


def within(bins: Iterable[tuple[int | None, int]], threshold: int) -> int:
    """How many took at most so long, by pairs of an upper bound, None for none, and a number."""
    return sum(requests for bound, requests in bins if bound is not None and bound <= threshold)


def kept_otherwise() -> Iterator[Any]:
    """As nothing is kept in a ledger, nearly: cut, a bit another, a bin with any code points, no bytes."""
    for latency in (Latency({7: 3, 9: 1 << 45, 80: 1 << 20}, 99, 98), told([MILLI] * 3)):
        blob = encode(latency)
        yield from (blob[:place] for place in range(len(blob)))
        for place, bit in product(range(len(blob)), range(8)):
            yield blob[:place] + bytes((blob[place] ^ 1 << bit,)) + blob[place + 1 :]
    for code in CODES:
        yield b"\x11\1\1\0\0\1\1" + bytes.fromhex(code)
    for at in (b"\3\x2c\1", b"\3\x2d\1", b"\0\0\0", b"\0\0\2\0\1", b"\3\x2c\1\0", b"\3\x2c\2\1\1"):
        yield b"\x11\1\1" + at + b"\1"
    yield from (bytes((16 * size,)) + b"\xff" * size + b"\0\0\1\1\1" for size in range(16))
    yield from ("text", None, 7, b"")


# In UTF-8: with surrogates, too long, too large, cut, more than the chunks that there may be.
CODES = (
    *("01", "7f", "c280", "dfbf", "e0a080", "efbfbf", "f0908080", "f48fbfbf", "eda080", "edbfbf", "000001"),
    *("00", "000000", "00000001", "01010101", "80", "bf", "ff", "c080", "c1bf", "e08080", "e09fbf"),
    *("f0808080", "f08fbfbf", "f4908080", "f5808080", "f8888080", "c2", "e0a0", "f09080", "c241", "e0a041"),
)
