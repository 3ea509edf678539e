"""How large the ledger becomes with durations, and what goes first where it may not be so large.

    .venv/bin/python -m benchmarks --only ledger

Fifteen days of a log, written by the real writer and pruned by the real pruner, with windows as the pruning
leaves them: of 10 s, a minute, an hour. Each route answers with two classes of status, popularity falls as
1/rank, durations are log-normal. So that it takes a minute, and since sizes grow with the routes, 20 routes
are written, within so small a part of the size.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figures import markdown
from qps_service.configuration.settings import HISTORY
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.retention import MINUTE, Pruner
from qps_service.text.units import SECOND
from qps_service.values.counts import Counts, Key
from qps_service.values.entries import Entry
from qps_service.values.history import History
from qps_service.values.latency import Latency, LatencyKey, bin_of

HOUR = 3600  # seconds
WRITTEN = 20  # routes, for any number of them
RATE = 3  # requests per second of a route, on average
DRAWN = 5000  # durations that are drawn of a window at most; more of them have the same shape
VARIANTS = 4  # of each route's windows of one length
# How old windows of which length are at most, seconds.
LENGTHS = ((15 * 24 * HOUR, HOUR), (48 * HOUR, 60), (6 * HOUR, 10))
HEAD = (
    "routes",
    "size without a bound",
    "10 s",
    "minutes",
    "hours",
    "with the default bound: 10 s for",
    "minutes",
    "hours",
)


def table(say: Callable[[str], None]) -> str:
    """All of it, as Markdown."""
    keep, max_size = (setting.parse(setting.default or "") for setting in HISTORY)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        say("ledger: without a bound")
        whole = filled(Path(place, "whole.db"), History(keep, 1 << 40))
        for routes in (100, 1000):
            say(f"ledger: {routes} routes")
            part = routes // WRITTEN
            bound = filled(Path(place, f"{routes}.db"), History(keep, max_size // part))
            sizes = [f"{part * size / (1 << 20):.0f} MiB" for size, _ in whole.values()]
            kept = [f"{length / 3600:.0f} h" for _, length in [*bound.values()][1:]]
            rows.append((str(routes), *sizes, *kept))
    return f"{markdown(HEAD, rows)}\nThe default bound is {max_size >> 20} MiB.\n"


def filled(path: Path, bounds: History, routes: int = WRITTEN) -> dict[str, tuple[int, float]]:
    """Bytes, and the seconds from now on back, of all and of the windows of each grain."""
    now = time.time_ns()
    ledger, pruner = Ledger(str(path), boot=""), Pruner(bounds)
    ledger.open()
    ledger.database.connection.execute("PRAGMA synchronous = OFF")
    for sequence, (counts, latencies, started, ended) in enumerate(windows(routes), 1):
        at = now - ended * SECOND
        entry = Entry("access", "/access.log", sequence, now - started * SECOND, at, at, counts, {}, (), ())
        ledger.commit([entry._replace(latencies=latencies)], sequence=sequence)
        pruner.prune(ledger, at)
    for _ in range(100):
        pruner.prune(ledger, now)
    found: dict[str, tuple[int, float]] = {"all": (path.stat().st_size, 0.0)}
    reading = ledger.database.connection
    for name, grain in (("10 s", 0), ("minutes", MINUTE), ("hours", 60 * MINUTE)):
        (size, began) = reading.execute(
            """SELECT coalesce(sum((SELECT count(*) * 14 FROM count WHERE period = id)
                      + (SELECT sum(length(durations) + 10) FROM latency WHERE period = id)), 0), min(started)
               FROM period WHERE grain = ?""",
            (grain,),
        ).fetchone()
        found[name] = (size, (now - (began or now)) / SECOND)
    ledger.close()
    return found


def windows(routes: int) -> Iterator[tuple[dict[Key, Counts], dict[LatencyKey, Latency], int, int]]:
    """What was counted in each, and its start and end, seconds before now; the oldest first."""
    draw = random.Random(7)
    ends = [*(younger for younger, _ in LENGTHS[1:]), 0]
    for (older, length), end in zip(LENGTHS, ends, strict=True):
        made = [window(draw, routes, length) for _ in range(VARIANTS)]
        for at in range(older, end, -length):
            yield (*made[at // length % VARIANTS], at, at - length)


def window(
    draw: random.Random, routes: int, length: int
) -> tuple[dict[Key, Counts], dict[LatencyKey, Latency]]:
    counts: dict[Key, Counts] = {}
    latencies: dict[LatencyKey, Latency] = {}
    whole = sum(1 / rank for rank in range(1, routes + 1))
    for rank in range(1, routes + 1):
        expected = RATE * routes * length / rank / whole
        for status, share in ((200, 0.99), (503, 0.01)):
            requests = int(expected * share + draw.random())
            if requests:
                route = b"/route/%d" % rank
                counts[Key(b"GET", route, status)] = Counts(requests, 700 * requests)
                latencies[LatencyKey(route, status // 100)] = durations(draw, requests, rank)
    return counts, latencies


def durations(draw: random.Random, requests: int, rank: int) -> Latency:
    """Whole milliseconds around 20 to 120, as nginx writes them."""
    drawn = min(requests, DRAWN)
    bins: dict[int, int] = {}
    for _ in range(drawn):
        took = int(draw.lognormvariate(0, 0.9) * (20 + rank % 100)) * 1_000_000
        bins[bin_of(took)] = bins.get(bin_of(took), 0) + requests // drawn
    return Latency(bins, requests * 80_000_000, 7_000_000_000)
