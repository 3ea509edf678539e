"""All that `qps-reporter top` knows, and what of it is to be seen: numbers of each log, and what was chosen.

Pure: reports, keys and the time come in, lines go out. One log has a table of its routes; several have one of
the logs, and the routes of each behind it.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from qps_service.looking.order import Order
from qps_service.looking.recent import SPAN, Numbers, Recent, Sample, sample_of, together
from qps_service.looking.rendering import visible
from qps_service.looking.screen import Line, Shown, page_of, plain, screen
from qps_service.looking.view import View, press
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
        self._numbers: dict[str, Numbers] = {}  # what is shown
        self._orders: dict[str, Order] = {}  # by log; "" for that of logs
        self._said, self._said_at = "", -SAID_FOR

    def recall(self, log: str, sample: Sample, now: int) -> None:
        """Take what the ledger tells, the oldest first."""
        recent = self._recents.setdefault(log, Recent(show(log.encode())))
        recent.take(sample)
        self._numbers[log] = recent.numbers(now)

    def take(self, reports: Iterable[Report], standings: Iterable[Standing], now: int) -> None:
        """Take the windows that ended now, and how the logs stand: those that are followed, in order."""
        self._known = {
            each.log: _Known(sum(each.rejects.values()), each.losses, each.waiting) for each in standings
        }
        self._recents = {log: self._recents.get(log) or Recent(show(log.encode())) for log in self._known}
        for report in reports:
            self._recents[report.log].take(sample_of(report, now))
        if not self._view.is_paused:
            self._renew(now)

    def say(self, text: str, now: int) -> None:
        """Something happened."""
        self._said, self._said_at = visible(text), now

    def press(self, key: str, height: int, now: int) -> bool:
        """A key was pressed; whether to go on."""
        shown, was_paused = self._shown(now), self._view.is_paused
        view = press(self._view, key, places=1 + shown.others, rows=len(shown.rows), page=page_of(height))
        if view is None:
            return False
        self._view = view
        if was_paused and not view.is_paused:
            self._renew(now)
        return True

    def lines(self, width: int, height: int, now: int) -> list[Line]:
        """The screen."""
        return screen(self._shown(now), self._view, width, height, ascii_only=self._ascii_only)

    def text(self, width: int | None, now: int) -> str:
        """All tables, for a pipe. `width` is that of the terminal, None for any."""
        places = range(max(1, len(self._places())))
        tables = (self._shown(now, place) for place in places)
        return "".join(plain(shown, self._view, width, ascii_only=self._ascii_only) for shown in tables)

    def _renew(self, now: int) -> None:
        self._numbers = {log: recent.numbers(now) for log, recent in self._recents.items()}

    def _places(self) -> Sequence[str]:
        """The tables there are: by log, "" for that of the logs."""
        logs = [*self._numbers]
        return ["", *logs] if len(logs) != 1 else logs

    def _shown(self, now: int, place: int | None = None) -> Shown:
        places = self._places()
        log = places[(self._view.place if place is None else place) % len(places)]
        known = [each for name, each in self._known.items() if log in ("", name)]
        if log:
            numbers, title = self._numbers[log], show(log.encode())
            waiting = [each.waiting for each in known]
        else:
            title = f"{len(self._numbers)} logs"
            numbers = together(title, [*self._numbers.values()])
            waiting = [
                f"{show(name.encode())}: {each.waiting}" for name, each in self._known.items() if each.waiting
            ]
        rows = self._orders.setdefault(log, Order()).arrange(
            numbers.rows,
            self._view.by,
            errors_first=self._view.errors_first,
            is_full=numbers.seconds * SECOND >= SPAN,
        )
        said = [each for each in waiting if each]
        recent = self._said if now - self._said_at < SAID_FOR else ""
        return Shown(
            title=title,
            of="route" if log else "log",
            numbers=numbers,
            rows=[row for row in rows if self._view.takes(row.name)],
            rejected=sum(each.rejected for each in known),
            losses=sum(each.losses for each in known),
            said="; ".join(said) or recent or None,
            others=len(places) - 1,
        )
