"""The grid of report times: fixed steps from a fixed start, so that lateness never adds up.

A report that comes late (a busy or suspended machine) covers the time that really passed and is
followed by the next point of the same grid; the points in between are skipped, never caught up.
All times are CLOCK_BOOTTIME nanoseconds, as integers: 30 days of additions lose nothing.
"""


class Schedule:
    """`deadline` is when the current window should end."""

    def __init__(self, start: int, step: int) -> None:
        """`step` in nanoseconds, above 0."""
        self._start = start
        self._step = step
        self.deadline = start + step

    def advance(self, now: int) -> None:
        """Move the deadline to the first grid point after `now`."""
        self.deadline = self._start + ((now - self._start) // self._step + 1) * self._step
