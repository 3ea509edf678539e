"""All that `qps-reporter top` knows, and what of it is to be seen: numbers of each log, and what was chosen.

Pure: reports, keys and the time come in, lines go out. One log has a table of its routes; several have one of
the logs, and the routes of each behind it.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from qps_service.looking.order import Order
from qps_service.looking.recent import BIN, BINS, SPAN, Recent, Sample, sample_of, together
from qps_service.looking.rendering import visible
from qps_service.looking.screen import Line, Shown, page_of, plain, screen
from qps_service.looking.view import MOVES, View, press
from qps_service.text.escape import show
from qps_service.text.units import SECOND
from qps_service.values.reports import Report, Standing

SAID_FOR = 60 * SECOND  # nanoseconds that a notice stands


class _Known(NamedTuple):
    """What is known of a log beside its numbers."""

    rejected: int
    losses: int
    waiting: str | None


class Board:
    """Times are CLOCK_BOOTTIME nanoseconds."""

    def __init__(self, view: View, *, ascii_only: bool = False) -> None:
        self._view = view
        self._ascii_only = ascii_only
        self._recents: dict[str, Recent] = {}
        self._known: dict[str, _Known] = {}
        self._now = 0  # of what is shown: it stands still in a pause
        self._waiting: deque[tuple[Report, int]] = deque()  # what came in the pause
        self._orders: dict[str, Order] = {}  # by log; "" for that of logs
        self._said, self._said_at = "", -SAID_FOR

    def recall(self, log: str, sample: Sample, now: int) -> None:
        """Take what the ledger tells, the oldest first."""
        self._recent(log).take(sample)
        self._now = now

    def take(self, reports: Iterable[Report], standings: Iterable[Standing], now: int) -> None:
        """Take the windows that ended now, and how the logs stand: those that are followed, in order."""
        self._waiting.extend((report, now) for report in reports)
        while self._waiting and now - self._waiting[0][1] > BINS * BIN:
            self._waiting.popleft()  # nothing is shown that is older
        if self._view.is_paused:
            return
        self._known = {
            each.log: _Known(sum(each.rejects.values()), each.losses, each.waiting) for each in standings
        }
        self._recents = {log: self._recent(log) for log in self._known}
        self._go_on(now)

    def say(self, text: str, now: int) -> None:
        """Something happened."""
        self._said, self._said_at = visible(text), now

    def press(self, key: str, height: int, now: int) -> bool:
        """A key was pressed; whether to go on."""
        # Rows take long: a paste must not have them arranged for each of its keys.
        rows = len(self._shown(now).rows) if key in MOVES else 0
        view = press(self._view, key, places=len(self._places()), rows=rows, page=page_of(height))
        if view is None:
            return False
        self._view = view
        if not view.is_paused and self._waiting:
            self._go_on(self._waiting[-1][1])
        return True

    def lines(self, width: int, height: int, now: int) -> list[Line]:
        """The screen."""
        return screen(self._shown(now), self._view, width, height, ascii_only=self._ascii_only)

    def text(self, width: int | None, now: int) -> str:
        """All tables, for a pipe. `width` is that of the terminal, None for any."""
        tables = (self._shown(now, place) for place in range(len(self._places())))
        return "".join(plain(shown, self._view, width, ascii_only=self._ascii_only) for shown in tables)

    def _go_on(self, now: int) -> None:
        while self._waiting:
            report, ended = self._waiting.popleft()
            self._recent(report.log).take(sample_of(report, ended))
        self._now = now

    def _recent(self, log: str) -> Recent:
        return self._recents.setdefault(log, Recent(show(log.encode())))

    def _places(self) -> Sequence[str]:
        """The tables there are: by log, "" for that of the logs."""
        logs = [*self._recents]
        return ["", *logs] if len(logs) != 1 else logs

    def _shown(self, now: int, place: int | None = None) -> Shown:
        places = self._places()
        log = places[(self._view.place if place is None else place) % len(places)]
        known = {name: each for name, each in self._known.items() if log in ("", name)}
        if log:
            title, numbers = self._recents[log].name, self._recents[log].numbers(self._now)
        else:
            title = f"{len(self._recents)} logs"
            numbers = together(title, [each.whole(self._now) for each in self._recents.values()])
        rows = self._orders.setdefault(log, Order()).arrange(
            numbers.rows,
            self._view.by,
            errors_first=self._view.errors_first,
            is_full=numbers.seconds * SECOND >= SPAN,
        )
        waiting = [
            each.waiting if log else f"{show(name.encode())}: {each.waiting}"
            for name, each in known.items()
            if each.waiting
        ]
        recent = self._said if now - self._said_at < SAID_FOR else ""
        return Shown(
            title=title,
            of="route" if log else "log",
            numbers=numbers,
            rows=[row for row in rows if self._view.takes(row.name)],
            rejected=sum(each.rejected for each in known.values()),
            losses=sum(each.losses for each in known.values()),
            said="; ".join(waiting) or recent or None,
            others=len(places) - 1,
        )
