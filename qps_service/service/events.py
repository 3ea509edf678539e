"""The events that go into the ledger beside the counts: what somebody who looks at the numbers later wants to
know of the service and its logs. They are taken from what is said, as it is said, so that the journal and
the ledger tell the same.

Promise: an event is in the ledger with the first commit after it, in its transaction. Memory for those that
wait is bounded, as their number in the ledger is (ledger/rows.py).
"""

from collections import deque
from collections.abc import Callable

from qps_service.notices import kinds
from qps_service.notices.kinds import Notice, Notify
from qps_service.values.entries import EVENTS_LIMIT, Event

KEPT = {
    kinds.WAITING,
    kinds.UNREADABLE,
    kinds.ROTATED,
    kinds.TRUNCATED,
    kinds.RECOGNISED,
    kinds.POSSIBLE_LOSS,
    kinds.POSSIBLE_DUPLICATE,
    kinds.FORMAT_CHOSEN,
    kinds.RELOADED,
    kinds.LEDGER_SET_ASIDE,
    kinds.LEDGER_VANISHED,
}


class EventBook:
    """What is said goes through it, and what waits for the next commit is in it."""

    def __init__(self, notify: Notify, unix: Callable[[], int]) -> None:
        """`unix` tells Unix nanoseconds."""
        self._notify = notify
        self._unix = unix
        self._waiting: deque[Event] = deque(maxlen=EVENTS_LIMIT)

    def notify(self, notice: Notice) -> None:
        """Say it, and keep it if it is an event."""
        self._notify(notice)
        if notice.kind in KEPT:
            self.add(notice.kind.name, notice.text, notice.log)

    def add(self, kind: str, text: str, log: str | None = None) -> None:
        """An event of this moment, of a log or of the service."""
        self._waiting.append(Event(self._unix(), kind, text, log))

    def take(self) -> tuple[Event, ...]:
        """Those since the last call, for a commit."""
        events = tuple(self._waiting)
        self._waiting.clear()
        return events
