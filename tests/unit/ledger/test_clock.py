"""A wall clock that jumps: the history loses nothing of it, and no window is longer or shorter for it.

The oracle is a clock that nobody sets. Each window has one request, for a route of its own: so the history
tells which windows are in it.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from qps_service.ledger import ledger as ledger_module
from qps_service.ledger import retention
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.retention import HOUR, MINUTE, Pruner
from qps_service.values.counts import Counts
from qps_service.values.entries import Entry, Loss
from qps_service.values.history import History
from tests.ledgers import BOOT, EPOCH, SECOND, entry, key, known, opened
from tests.promised import Patches, Promise, promises

DAY = 24 * HOUR
YEAR = 365 * DAY
KEEP = 2 * DAY
# A window: its nanoseconds, how far the wall clock is set ahead in the middle of it, and what else happens.
GOES_ON, RESTARTS, REBOOTS = "goes on", "restarts", "reboots"
JUMPS = (0, 0, 1, -1, SECOND, -7 * SECOND, MINUTE, -HOUR, DAY, -3 * DAY, YEAR, -YEAR)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([SECOND, 10 * SECOND, MINUTE, HOUR, 7 * HOUR, DAY]),
        st.sampled_from(JUMPS),
        st.sampled_from([GOES_ON, GOES_ON, GOES_ON, RESTARTS, REBOOTS]),
    ),
    min_size=1,
    max_size=12,
)
# A year ahead for one commit, in the middle of two days.
FOR_ONE_COMMIT = [(HOUR, 0, GOES_ON)] * 20 + [(HOUR, YEAR, GOES_ON), (HOUR, -YEAR, GOES_ON)]
SET_IN_A_MINUTE = [(10 * SECOND, jump, GOES_ON) for jump in (0, 0, -7 * SECOND, 0, SECOND, 0)]
OVER_A_REBOOT = [(HOUR, 0, GOES_ON)] * 5 + [(HOUR, YEAR, REBOOTS), (HOUR, -YEAR, GOES_ON)]
OVER_A_RESTART = [(HOUR, 0, GOES_ON)] * 5 + [(HOUR, YEAR, RESTARTS), (HOUR, -YEAR, RESTARTS)]


class Machine:
    """A ledger on it, and its clocks; what it counted so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.true = 0  # nanoseconds
        self._booted = -1000 * SECOND
        self._ahead = EPOCH  # of the wall clock before `true`
        self.ends: list[tuple[int, int]] = []  # of each window: true end, true length
        self._boots = 0
        self.ledger = opened(path, boot=f"{BOOT}0")
        self.pruner = Pruner(History(keep=KEEP, max_size=1 << 40))

    @property
    def now(self) -> int:
        return self.true - self._booted

    @property
    def at(self) -> int:
        return self.true + self._ahead

    def step(self, length: int, jump: int, event: str) -> None:
        """One more window, in whose middle the wall clock is set."""
        began = self.true
        self.true += length // 2
        self._ahead += jump
        if event != GOES_ON:
            self.ledger.close()
            if event == REBOOTS:
                self._booted = self.true - 20 * SECOND
                self._boots += 1
            self.ledger = Ledger(str(self._path), boot=f"{BOOT}{self._boots}")
            self.ledger.open()
            self.pruner = Pruner(History(keep=KEEP, max_size=1 << 40))
            if event == RESTARTS and self.ends:
                restored = known(self.ledger, now=self.now, at=self.at)
                assert restored.started == self.now - (self.true - began)
        self.true += length - length // 2
        self.ledger.commit([self._entry(length)], sequence=self.ledger.sequence + 1)
        self.ends.append((self.true, length))
        self.prune()

    def _entry(self, length: int) -> Entry:
        told = entry([len(self.ends)], sequence=self.ledger.sequence + 1)
        return told._replace(started=self.now - length, ended=self.now, at=self.at)

    def prune(self) -> None:
        """Until nothing is left to do."""
        self.pruner._done = None
        while self.pruner._done is None:
            self.pruner.prune(self.ledger, self.ledger.clock(self.now))

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        yield from self.ledger.database.connection.execute(query)

    def kept(self) -> list[int]:
        """Numbers of the windows that the history has."""
        routes = self.rows(
            "SELECT shown_route, requests FROM count JOIN key ON key.id = key WHERE period > 0"
        )
        return sorted(int(route[1:]) for route, requests in routes for _ in range(requests))


@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
@example(steps=FOR_ONE_COMMIT)
@example(steps=OVER_A_REBOOT)
@example(steps=OVER_A_RESTART)
@example(steps=[*SET_IN_A_MINUTE, (7 * HOUR, 0, GOES_ON)])
def check_jumps(steps: list[tuple[int, int, str]]) -> None:
    """The history has each window that is younger than what is kept; with them, those before that are in it
    follow one another to the last. Its lengths add up to theirs, and totals are all there ever was."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        machine = Machine(Path(directory, "ledger.db"))
        for step in steps:
            machine.step(*step)
            check_history(machine)
        has_run_through = all(event != REBOOTS for *_, event in steps)
        if has_run_through:  # only then it is known to the nanosecond how much time passed
            oldest = machine.kept()[:1]
            assert all(machine.true - machine.ends[number][0] < KEEP for number in oldest)
        machine.step(KEEP, 0, GOES_ON)
        check_merged(machine)
        machine.ledger.close()


def check_history(machine: Machine) -> None:
    count = len(machine.ends)
    kept = machine.kept()
    assert kept == list(range(count - len(kept), count))
    young = [number for number, (end, _) in enumerate(machine.ends) if machine.true - end < KEEP]
    assert set(young) <= set(kept)
    (length,) = next(machine.rows("SELECT coalesce(sum(ended - started), 0) FROM period"))
    assert length == sum(machine.ends[number][1] for number in kept)
    restored = known(machine.ledger, now=machine.now, at=machine.at)
    assert restored.totals == {key(number): Counts(1, 7) for number in range(count)}


def check_merged(machine: Machine) -> None:
    """Each window is in one period, and the last ends at what the wall clock showed."""
    periods = list(machine.rows("SELECT sequence, started, ended FROM period ORDER BY sequence"))
    sequences = [sequence for sequence, *_ in periods]
    assert len(set(sequences)) == len(sequences)
    assert periods[-1][2] == machine.at


def check_what_is_told_of_a_loss(path: Path) -> None:
    """How long ago it was, whatever the wall clock showed then or shows now."""
    machine = Machine(path)
    machine.step(HOUR, YEAR, GOES_ON)
    loss = Loss(machine.at, "what", "/name", None)
    told = machine._entry(0)._replace(losses=(loss,))
    machine.ledger.commit([told], sequence=None)
    told_at = machine.now
    machine.step(MINUTE, -YEAR, GOES_ON)
    machine.step(MINUTE, 3 * DAY, RESTARTS)
    restored = known(machine.ledger, now=machine.now, at=machine.at)
    assert restored.losses == (loss,)
    assert restored.lost_at == (told_at,)
    machine.ledger.close()


# --- twins


def by_date(self: Ledger, _writing: object, told: Entry) -> int:
    """What the wall clock shows."""
    self._epoch = told.at - told.ended
    return told.at


def by_date_over_a_reboot(by_boottime: int, by_date: int, _now: int, *, rebooted: bool) -> int:
    return max(0, by_date if rebooted else by_boottime)


def from_the_first_to_the_last(
    self: Any, grain: int, period: int, log: int, sequence: int, started: int, ended: int, *rest: int
) -> None:
    """A merged period is as long as its dates are apart."""
    query = "SELECT started, ended FROM period WHERE log = ? AND sequence < ? ORDER BY sequence DESC LIMIT 1"
    for first, last in self._writing.execute(query, (log, sequence)).fetchall():
        started = min(first, started) + last - first
    MERGE(self, grain, period, log, sequence, started, ended, *rest)


WORK = retention._Work
MERGE = WORK._merge

test_promise, test_twin = promises(
    Promise(
        check_jumps,
        None,
        {
            "prunes by the wall clock": Patches((Ledger, "_clock", by_date)),
            "trusts it over a reboot": Patches((ledger_module, "_surely_passed", by_date_over_a_reboot)),
            "stretches what it merges": Patches((WORK, "_merge", from_the_first_to_the_last)),
        },
    ),
    Promise(check_what_is_told_of_a_loss, None, [Patches((Ledger, "_clock", by_date))]),
)
