"""Per-window counters and running totals of one log.

Promises: what goes in comes out exactly once, in the totals and, unless it is left out, in one window; a
window that an earlier process began is ended by this one; and memory stays bounded whatever the log's
visitors invent. At most `max_routes` routes are admitted (`admission.py` says which), all registered methods
and a few others (`methods.py`), and no more rows than there is room for (`rows.py`), for good. What is
counted while its route, method or status has no place is counted under a wider name, for good too. So once
something is counted under its own name it always is, and the sum over all rows is always exact. Durations go
with their requests, under the same route (`durations.py`).
"""

from collections import Counter
from collections.abc import Mapping
from itertools import repeat
from types import MappingProxyType
from typing import NamedTuple

from qps_service.counting.admission import Admission
from qps_service.counting.budget import Budget, Share
from qps_service.counting.durations import Durations
from qps_service.counting.durations import Tally as DurationsTally
from qps_service.counting.methods import Methods
from qps_service.counting.routes import Routes
from qps_service.counting.rows import Rows
from qps_service.values.counts import (
    INVENTED,
    MAX_ROWS,
    METHODS,
    NOTHING_BESIDE,
    Beside,
    Counts,
    Key,
    Scanned,
)
from qps_service.values.entries import Restored
from qps_service.values.latency import NO_LATENCIES, Latency, LatencyKey
from qps_service.values.reports import Window


class Taken(NamedTuple):
    """What came since the last take."""

    counts: Mapping[Key, Counts]
    rejects: Mapping[str, int]  # reason -> lines
    beside: Beside
    latencies: Mapping[LatencyKey, Latency]


class Aggregator:
    """Counts of one log; `started` is CLOCK_BOOTTIME nanoseconds."""

    def __init__(
        self,
        log: str,
        started: int,
        max_routes: int,
        routes: Routes | None = None,
        restored: Restored | None = None,
        share: Share | None = None,
    ) -> None:
        """`routes` makes routes of targets; `restored` is what was counted before; `share` is the log's part
        of the places for rows, by default all there are."""
        self.log = log
        self._routes = routes or Routes()
        self._started = restored.started if restored else started
        self.leaves_out = False  # whether what is added enters the totals and no window
        self._fresh, self._left_out = _Tally(), _Tally()  # since the last `take`
        self._totals: dict[Key, Counts] = dict(restored.totals) if restored else {}
        share = share or Budget().join()
        self._rows = Rows(share, self._totals)
        self._durations = Durations(
            share.bins,
            restored.latencies if restored else NO_LATENCIES,
            restored.window_latencies if restored else NO_LATENCIES,
        )
        self._methods = Methods(key.method for key in self._totals)
        self._admission = Admission(max_routes, (key.route for key in self._totals), self._rows)
        self._folded = self._admission.folded  # requests
        self._window: dict[Key, Counts] = dict(restored.window) if restored else {}
        self._rejects: Counter[str] = Counter(restored.window_rejects if restored else {})
        self._total_rejects: Counter[str] = Counter(restored.rejects if restored else {})
        self._beside = restored.window_beside if restored else NOTHING_BESIDE
        self._total_beside = restored.beside if restored else NOTHING_BESIDE

    def reconfigure(self, max_routes: int, routes: Routes) -> None:
        """Go on with these for what is added from now on; what was counted stays where it is."""
        self._admission.places = max_routes
        routes.go_on_from(self._routes)
        self._routes = routes

    def add(self, scanned: Scanned) -> None:
        """Take over what a scanner found."""
        tally = self._left_out if self.leaves_out else self._fresh
        fresh, keys, of = tally.sums, self._rows.keys, self._routes.of
        names, offer = self._admission.names, self._admission.offer
        latencies = scanned.latencies or repeat(None)
        for (method, target, status, requests, size), latency in zip(scanned.rows, latencies, strict=False):
            route = of(target)
            name = names.get(route) or offer(route, requests)
            key = keys.get((method, name, status)) or self._key(method, name, status, requests)
            sums = fresh.get(key)
            if sums is None:
                fresh[key] = [requests, size]
            else:
                sums[0] += requests
                sums[1] += size
            if latency:
                self._durations.add(tally.latencies, LatencyKey(key.route, status // 100), *latency)
        tally.rejects.update(scanned.rejects)
        tally.beside = tally.beside.plus(scanned.beside)

    def take(self) -> Taken:
        """What came since the last call, which is part of the window and the totals from now on."""
        counts, rejects, beside, latencies = self._total(self._fresh)
        for key, each in counts.items():
            _add(self._window, key, each)
        self._rejects.update(rejects)
        self._beside = self._beside.plus(beside)
        self._durations.add_to_window(latencies)
        self._fresh = _Tally()
        self._admission.reprice()  # rows came, here and in other logs
        return Taken(counts, rejects, beside, latencies)

    def take_left_out(self) -> Taken:
        """Likewise what was left out of the window."""
        left_out = self._total(self._left_out)
        self._left_out = _Tally()
        return left_out

    def begin_anew(self, now: int) -> None:
        """Begin the window at `now`, unless something was counted in it already."""
        if not (self._window or self._rejects or self._beside.directives or self._fresh):
            self._started = now

    def close_window(self, now: int) -> Window:
        """End the window at `now` (CLOCK_BOOTTIME nanoseconds) with what was taken, begin the next."""
        latencies = self._durations.close_window()
        self._routes.end_window()
        window = Window(self.log, self._started, now, self._window, self._rejects, self._beside, latencies)
        self._started, self._window, self._rejects, self._beside = now, {}, Counter(), NOTHING_BESIDE
        return window

    @property
    def started(self) -> int:
        """When the window began, CLOCK_BOOTTIME nanoseconds."""
        return self._started

    @property
    def totals(self) -> Mapping[Key, Counts]:
        """Everything taken so far."""
        return MappingProxyType(self._totals)

    @property
    def total_rejects(self) -> Mapping[str, int]:
        """Lines rejected and taken so far, by reason."""
        return MappingProxyType(self._total_rejects)

    @property
    def total_beside(self) -> Beside:
        """What was counted beside these, likewise."""
        return self._total_beside

    @property
    def total_latencies(self) -> Mapping[LatencyKey, Latency]:
        """How long all these took, as far as the log tells."""
        return self._durations.totals

    @property
    def has_coarse_bins(self) -> bool:
        """Whether there was no room for bins of two digits, so that durations are in wider ones."""
        return self._durations.are_coarse

    @property
    def total_requests(self) -> int:
        """All requests taken so far."""
        return sum(counts.requests for counts in self._totals.values())

    @property
    def total_rejected(self) -> int:
        """All rejected lines taken so far."""
        return sum(self._total_rejects.values())

    @property
    def routes(self) -> int:
        """Distinct routes admitted so far."""
        return self._admission.admitted

    @property
    def folded(self) -> Mapping[str, int]:
        """Requests added so far, by this process, that were counted under a wider name, by reason (one of
        FOLDS)."""
        return dict(self._folded)

    def _total(self, tally: "_Tally") -> Taken:
        counts = {key: Counts(*sums) for key, sums in tally.sums.items()}
        for key, each in counts.items():
            _add(self._totals, key, each)
        self._total_rejects.update(tally.rejects)
        self._total_beside = self._total_beside.plus(tally.beside)
        return Taken(counts, tally.rejects, tally.beside, self._durations.add_to_totals(tally.latencies))

    def _key(self, method: bytes, route: bytes, status: int, requests: int) -> Key:
        """What these are counted under, where they may need a new row, or have none."""
        name = self._methods.of(method)
        key = self._rows.key(name, route, status)
        if name != method or key.status != status:
            self._folded[INVENTED] += requests
        elif key.route != route:
            self._folded[MAX_ROWS] += requests
        elif key.method != method:
            self._folded[METHODS] += requests
        return key


class _Tally:
    """What was added: requests and bytes by what makes a Key, rejected lines by reason, and what is beside.
    Lists in place of Counts, because a hostile log comes here once for each of its lines."""

    def __init__(self) -> None:
        self.sums: dict[Key, list[int]] = {}
        self.rejects: Counter[str] = Counter()
        self.beside = NOTHING_BESIDE
        self.latencies: DurationsTally = {}

    def __bool__(self) -> bool:
        return bool(self.sums or self.rejects or self.beside.directives)


def _add(table: dict[Key, Counts], key: Key, counts: Counts) -> None:
    before = table.get(key)
    table[key] = before.plus(counts) if before else counts
