"""The grid of report times: no drift over 30 days, no catch-up after a stop, no lost nanosecond."""

from collections.abc import Callable
from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.counting.aggregator import Aggregator
from qps_service.reporting.schedule import Schedule
from qps_service.values.reports import Window
from tests.promised import Promise, promises

SECOND = 10**9
DAY = 86_400 * SECOND
STEP = 10 * SECOND
START = 987_654_321_987_654_321  # CLOCK_BOOTTIME of a machine that has run for 31 years: 60 bits


def windows(grid: type[Schedule], late: Callable[[], int], until: int, step: int = STEP) -> list[Window]:
    """The service's loop in simulated time: each wake-up is `late()` nanoseconds after the deadline."""
    now = START
    counting, times = Aggregator("access", now, 1), grid(now, step)
    closed = []
    while times.deadline <= START + until:
        now = times.deadline + late()
        closed.append(counting.close_window(now))
        times.advance(now)
    return closed


class GridByGap(Schedule):  # the next report a step after the last one really was
    def advance(self, now: int) -> None:
        self.deadline = now + self._step


class GridInFloats(Schedule):  # seconds in floating point, which at this size know 128 ns
    def advance(self, now: int) -> None:
        self.deadline = int((now / SECOND + self._step / SECOND) * SECOND)


class GridWithCatchUp(Schedule):  # every point that was missed is reported on
    def advance(self, now: int) -> None:
        self.deadline += self._step


def check_no_drift(grid: type[Schedule], days: int, step: int) -> None:
    """Woken up to half a second late each time, every report of many days is that close to its own point."""
    random = Random(1)
    closed = windows(grid, lambda: random.randint(0, SECOND // 2), days * DAY, step)
    assert len(closed) == days * DAY // step
    for number, window in enumerate(closed, start=1):
        assert 0 <= window.ended - (START + number * step) <= SECOND // 2
    assert sum(window.ended - window.started for window in closed) == closed[-1].ended - START


def check_suspension(grid: type[Schedule]) -> None:
    """Stopped for an hour in its third window: one report with the true time, then all as before."""
    lateness = iter([0, 0, 3601 * SECOND, 0, 0])
    closed = windows(grid, lambda: next(lateness, 0), 3600 * SECOND + 60 * SECOND)
    assert [window.seconds for window in closed] == [10.0, 10.0, 3611.0, 9.0, 10.0, 10.0]
    assert all((window.ended - START) % STEP == 0 for window in closed[3:])


@given(start=st.integers(0, 2**63), step=st.integers(1, DAY), elapsed=st.integers(0, 2**63))
@example(start=START, step=STEP, elapsed=STEP)
@example(start=START, step=STEP, elapsed=STEP - 1)
@example(start=START, step=STEP, elapsed=3 * STEP + 1)
def check_next_point(grid: type[Schedule], start: int, step: int, elapsed: int) -> None:
    """The deadline is a point of the grid, after now, and the first such."""
    times = grid(start, step)
    assert times.deadline == start + step
    times.advance(start + elapsed)
    assert (times.deadline - start) % step == 0
    assert 0 < times.deadline - (start + elapsed) <= step


test_promise, test_twin = promises(
    Promise(check_no_drift, Schedule, [], days=30, step=60 * SECOND),
    Promise(check_no_drift, Schedule, [GridByGap, GridInFloats], days=2, step=7 * SECOND + 1),
    Promise(check_suspension, Schedule, [GridByGap, GridWithCatchUp]),
    Promise(check_next_point, Schedule, [GridByGap, GridInFloats, GridWithCatchUp]),
)
