"""A week of a service, lived in simulated time through the real writer of the ledger, and the truth about it.

The rate changes with the hour, there is an incident, a stop, a kill, a rotation, two logs, an interval that
is changed under way, and the night in which summer time ends. The truth is every batch of lines with its
window, as the simulation made it: nothing of it was read from a ledger.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from qps_service.ledger.ledger import Ledger
from qps_service.ledger.queries import past
from qps_service.ledger.writer import LedgerWriter
from qps_service.looking.moments import STEPS, step_for
from qps_service.looking.table import Table, table_of
from qps_service.text.units import SECOND
from qps_service.values.counts import Counts, Key
from qps_service.values.entries import STARTED, STOPPED, Entry, Event
from qps_service.values.history import History
from qps_service.values.latency import LatencyKey
from qps_service.values.past import CLASSES, NAMES, Past, Question
from qps_service.values.positions import Identity, Position
from tests.durations import told

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND


def berlin(text: str, *, fold: int = 0) -> int:
    """Unix nanoseconds of when the clocks there show this."""
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()) * SECOND


BEGIN = berlin("2026-10-20 11:58:03")
END = berlin("2026-10-27 12:00:03")
INCIDENT = berlin("2026-10-27 09:12:03"), berlin("2026-10-27 09:31:03")
STOP = berlin("2026-10-26 23:17:03"), berlin("2026-10-26 23:57:41")
KILL = berlin("2026-10-27 10:31:13"), berlin("2026-10-27 10:31:15")
ROTATION = berlin("2026-10-27 00:30:03")
# From when on a window is how long.
INTERVALS = ((BEGIN, 600 * SECOND), (END - 14 * HOUR, 120 * SECOND), (END - 40 * MINUTE, 10 * SECOND))
ROUTES = (b"/", b"/checkout", b"/\x1b[2Jevil\n")


class Batch(NamedTuple):
    """The lines of one log in one window."""

    log: str
    started: int  # Unix nanoseconds
    ended: int
    lines: Counter[tuple[bytes, bytes, int, int]]  # method, route, status, bytes -> how many
    durations: dict[tuple[bytes, int], list[int]]  # route, class of status -> those that were measured


class Week(NamedTuple):
    """The ledger and the truth."""

    path: Path
    batches: tuple[Batch, ...]

    def ask(
        self,
        since: int,
        until: int,
        by: str = "auto",
        *,
        log: str | None = "web",
        takes: Callable[[Key], bool] | None = None,
        takes_latency: Callable[[LatencyKey], bool] | None = lambda _: True,
        place: ZoneInfo | None = BERLIN,
        before: int = 0,
        **how: object,
    ) -> Table:
        """As the command does it."""
        step = STEPS.get(by) or STEPS[step_for(until - since)]
        name = by if by in NAMES else None
        question = Question(since, until, step, lambda each: log in (None, each), takes, name, takes_latency)
        found = self.past(question)
        then = self.past(question._replace(since=since - before, until=until - before)) if before else None
        earlier = {"before": then, "earlier": lambda at: at - before} if before else {}
        return table_of(found, step, place, by=name, **earlier, **how)  # type: ignore[arg-type]

    def past(self, question: Question) -> Past:
        ledger = Ledger(str(self.path), boot="this")
        ledger.open(writable=False, scan=False)
        try:
            return past(ledger, question)
        finally:
            ledger.close()


def added(
    batches: Iterable[Batch], takes: Callable[[bytes, bytes, int], bool] | None
) -> tuple[list[int], int, float]:
    """Line by line: requests by class, bytes, requests per second (of each log by its own time)."""
    classes, size = [0] * len(CLASSES), 0
    requests: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    for batch in batches:
        lengths[batch.log] += batch.ended - batch.started
        for (method, route, status, each), number in batch.lines.items():
            if takes is None or takes(method, route, status):
                classes[status // 100 - 1] += number
                size += each * number
                requests[batch.log] += number
    rate = sum(Fraction(requests[log] * SECOND, length) for log, length in lengths.items())
    return classes, size, float(rate)


def lines_of(log: str, started: int, ended: int) -> Counter[tuple[bytes, bytes, int, int]]:
    """What was written then; more by day than by night."""
    seconds = (ended - started) // SECOND
    hour = ended // HOUR % 24
    fast = 1 + hour % 7 if log == "web" else 1
    lines = Counter(
        {(b"GET", ROUTES[0], 200, 700): fast * seconds, (b"GET", ROUTES[0], 304, 0): seconds // 3}
    )
    lines[b"POST", ROUTES[1], 201, 90] += fast * seconds // 4
    lines[b"GET", ROUTES[2], 404, 33] += (ended // SECOND) % 3
    if log == "web" and INCIDENT[0] < ended <= INCIDENT[1]:
        lines[b"POST", ROUTES[1], 503, 11] += 2 * seconds
    return lines


def durations_of(ended: int, routes: set[tuple[bytes, int]]) -> dict[tuple[bytes, int], list[int]]:
    """How long some of a window's requests took: up to 0.4 s, and 2 s more where the server failed."""
    seed = ended // SECOND * 7919
    return {
        (route, number): [
            (seed + each * 104_729 + len(route)) % 9973 * 40_001 + (number == 5) * 2 * SECOND
            for each in range(5)
        ]
        for route, number in sorted(routes)
    }


def live(path: Path) -> Week:
    """All of it."""
    batches: list[Batch] = []
    now, sequence = BEGIN, 0
    opened: dict[str, int] = {"web": BEGIN}  # when each log's window began

    def writer_of() -> LedgerWriter:
        history = History(keep=30 * DAY, max_size=1 << 30)
        made = LedgerWriter(str(path), boot="this", notify=lambda _: None, history=history, unix=lambda: now)
        made.open()
        assert made._ledger is not None
        made._ledger.database.connection.execute("PRAGMA synchronous = OFF")  # no power fails here
        return made

    writer = writer_of()
    events = [Event(BEGIN - SECOND, STARTED, "started")]
    while now < END:
        interval = next(length for since, length in reversed(INTERVALS) if now >= since)
        until = now + interval
        for begin, end in (STOP, KILL):
            if now < begin <= until:
                if begin == STOP[0]:
                    events.append(Event(begin, STOPPED, "stopped"))
                    entries = [_entry("web", 0, begin, begin, {}, events)]
                    writer.commit(entries, sequence=None, whole=list)
                    events = []
                writer.close()
                now, writer, until = end, writer_of(), end + interval
                events.append(Event(end, STARTED, "started"))
        if now < ROTATION <= until:
            events.append(Event(ROTATION, "rotated", "web.log was rotated", "web"))
        now = until
        sequence += 1
        logs = ("web", "api") if now > END - DAY else ("web",)
        entries = []
        for log in logs:
            started = opened.get(log, now - interval)
            lines = lines_of(log, started, now)
            batches.append(Batch(log, started, now, lines, durations_of(now, _classes(lines))))
            entries.append(_entry(log, sequence, started, now, lines, ()))
            opened[log] = now
        entries[0] = entries[0]._replace(events=tuple(events))
        events = []
        assert writer.commit(entries, sequence=sequence, whole=list)
    writer.close()
    return Week(path, tuple(batches))


def _classes(lines: object) -> set[tuple[bytes, int]]:
    return {(route, status // 100) for _, route, status, _ in dict(lines)}  # type: ignore[call-overload]


def _entry(log: str, sequence: int, started: int, ended: int, lines: object, events: object) -> Entry:
    counts: dict[Key, Counts] = {}
    for (method, route, status, size), number in dict(lines).items():  # type: ignore[call-overload]
        key = Key(method, route, status)
        counts[key] = counts.get(key, Counts(0, 0)).plus(Counts(number, number * size))
    return Entry(
        log=log,
        path=f"/var/log/{log}.log",
        sequence=sequence,
        started=started - BEGIN,
        ended=ended - BEGIN,
        at=ended,
        counts=counts,
        rejects={},
        held=(Position(Identity(1, 1, None), "/x", 10, b"", b"", False, number=1),),
        retired=(),
        events=tuple(events),  # type: ignore[arg-type]
        latencies={
            LatencyKey(*key): told(each) for key, each in durations_of(ended, _classes(lines)).items()
        },
    )
