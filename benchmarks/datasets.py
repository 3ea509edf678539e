"""The logs on disk: made once, in .cache/benchmarks, from a pool of lines that is repeated.

A file appears under its name only when it is complete. Names hold the number of lines; what else decides
the content (seed, pool, generator) is in VERSION, which has to change with it.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks import traffic
from qps_service.values.counts import Counts, Key

CACHE = Path(__file__).parents[1] / ".cache" / "benchmarks"
VERSION = 1  # of the files' content
SEED = 20261124
CHUNK = 1 << 20
RESERVE = 2 << 30  # bytes of the disk that are left free
MILLION = 1_000_000


class DiskFullError(Exception):
    """The disk has too little room for a log."""


class Dataset(NamedTuple):
    """A log to be made."""

    name: str
    make: traffic.Maker
    lines: int
    own_format: str  # for `qps-reporter summarize --format`
    about: str


DATASETS = (
    Dataset("default", traffic.simulator, 30 * MILLION, "default", "the simulator's lines"),
    Dataset("zipf", traffic.zipf, 30 * MILLION, "default", "10,000 routes, Zipf distributed"),
    Dataset("combined", traffic.combined, 5 * MILLION, "combined", "nginx's combined log"),
    Dataset("caddy", traffic.caddy, 2 * MILLION, "json", "Caddy's JSON"),
    Dataset("json", traffic.small_json, 4 * MILLION, "json route=uri bytes=bytes", "a flat JSON log"),
)


def rows(dataset: Dataset, lines: int) -> Iterable[traffic.Row]:
    """The first `lines` of the dataset's pool."""
    return islice(dataset.make(Random(f"{dataset.name} {SEED}")), lines)


def truth(found: Iterable[traffic.Row]) -> dict[Key, Counts]:
    """What a correct counter counts."""
    requests: Counter[Key] = Counter()
    sizes: Counter[Key] = Counter()
    for row in found:
        requests[row.key] += 1
        sizes[row.key] += row.size
    return {key: Counts(number, sizes[key]) for key, number in requests.items()}


def repeated(dataset: Dataset, lines: int) -> dict[Key, Counts]:
    """What a correct counter counts in the dataset's file with so many lines."""
    pool = list(rows(dataset, min(lines, traffic.POOL)))
    times, rest = divmod(lines, len(pool))
    more = truth(pool[:rest])
    counts = {}
    for key, (requests, size) in truth(pool).items():
        others = more.get(key, Counts(0, 0))
        counts[key] = Counts(requests * times + others.requests, size * times + others.bytes)
    return counts


def log(dataset: Dataset, lines: int, cache: Path = CACHE) -> Path:
    """The dataset's file with so many lines; made if it is not there. Raises DiskFullError."""
    path = cache / f"{dataset.name}-{VERSION}-{lines}.log"
    if path.exists():
        return path
    cache.mkdir(parents=True, exist_ok=True)
    pool = [row.line for row in rows(dataset, min(lines, traffic.POOL))]
    block = b"".join(pool)
    times, rest = divmod(lines, len(pool))
    end = b"".join(pool[:rest])
    size = times * len(block) + len(end)
    free = shutil.disk_usage(cache).free
    if size + RESERVE > free:
        raise DiskFullError(f"{path}: expected {size + RESERVE} bytes free, found {free}")
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            for _ in range(times):
                file.write(block)
            file.write(end)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def warm(path: Path) -> None:
    """Have the file in the page cache."""
    with path.open("rb", buffering=0) as file:
        while file.read(CHUNK):
            pass
