"""Entries that wait to be written to the ledger, in bounded memory.

Each commit has a number, which the ledger keeps: whatever became of a write that failed (the disk may
have it all the same), the number tells what is still to be written. When too many entries wait,
neighbours of the same log become one: its window is as long as both, sums and positions stay exact. Of
generations that came and were forgotten meanwhile, only the sums of their lines are kept.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from qps_service.values.counts import Counts, Key
from qps_service.values.entries import EVENTS_LIMIT, LOSSES_LIMIT, Entry
from qps_service.values.latency import together
from qps_service.values.positions import Position

# A quarter of an hour of one log at the default interval, before windows grow: some megabytes at
# most, where 1,000 routes are seen in each.
WAITING_LIMIT = 100
# Their rows: some 200 bytes each. Durations of a route take ten times that.
ROWS_LIMIT = 100_000
LATENCY_ROWS = 10


class _Waiting(NamedTuple):
    first: int  # number of the commit that it came with
    last: int  # and of the last one that was merged into it
    entry: Entry


class Outbox:
    """What the ledger does not have yet."""

    def __init__(self, written: int = 0, *, limit: int = WAITING_LIMIT) -> None:
        """`written` is the number of the ledger's last commit, `limit` how many entries may wait."""
        self.number = written  # of the last commit, the ledger's or one that waits
        self._written = written
        self._limit = limit
        self._reported = 0  # sequence of the last report
        self._waiting: list[_Waiting] = []
        self._numbers: dict[str, int] = {}  # log -> a number above all generations that the ledger may have

    @property
    def entries(self) -> list[Entry]:
        """All that wait; those of one log in order."""
        return [waiting.entry for waiting in self._waiting]

    def knows(self, log: str, next_number: int) -> None:
        """The ledger has generations of this log with lower numbers."""
        self._numbers[log] = max(next_number, self._numbers.get(log, 0))

    def add(self, entries: Iterable[Entry], reported: int) -> None:
        """One more commit; `reported` is the sequence of the last report, this one's included."""
        self.number += 1
        self._reported = reported
        self._waiting += [_Waiting(self.number, self.number, entry) for entry in entries]
        if len(self._waiting) > self._limit or self._rows > ROWS_LIMIT:
            self._merge()
            self._thin()

    def written(self, number: int) -> bool:
        """The ledger has all up to this commit: that no longer waits. False if it can't be so."""
        later = [waiting for waiting in self._waiting if waiting.last > number]
        if not self._written <= number <= self.number or any(each.first <= number for each in later):
            return False
        for _, last, entry in self._waiting:
            if last <= number:
                self.knows(entry.log, _above(entry))
        self._written, self._waiting = number, later
        return True

    @property
    def _rows(self) -> int:
        entries = [each.entry for each in self._waiting]
        return sum(len(entry.counts) + LATENCY_ROWS * len(entry.latencies) for entry in entries)

    def _merge(self) -> None:
        """Every second entry of a log goes into the one before it, where a report has ended its window."""
        merged: list[_Waiting] = []
        single: dict[str, int] = {}  # log -> index of an entry without a partner
        for each in self._waiting:
            at = single.pop(each.entry.log, None)
            if at is not None and self._may_merge(merged[at].entry, each.entry):
                merged[at] = _Waiting(merged[at].first, each.last, merge(merged[at].entry, each.entry))
            else:
                single[each.entry.log] = len(merged)
                merged.append(each)
        self._waiting = merged

    def _thin(self) -> None:
        """Leave out what the ledger will forget in the same transaction that it would learn it in."""
        forgotten: dict[str, set[int]] = {}
        for each in self._waiting:
            forgotten.setdefault(each.entry.log, set()).update(each.entry.forgotten)
        numbers = dict(self._numbers)
        for index, each in enumerate(self._waiting):
            entry, log = each.entry, each.entry.log
            # A generation of which the ledger, or what may be written without this entry, tells must be
            # forgotten under its own number.
            fresh = numbers.get(log, 0)
            numbers[log] = max(fresh, _above(entry))
            self._waiting[index] = each._replace(entry=thin(entry, fresh, forgotten[log]))

    def _may_merge(self, earlier: Entry, later: Entry) -> bool:
        """Counts must not move into a window that is still to be reported, nor into one from none."""
        both = bool(earlier.sequence and later.sequence) and later.sequence <= self._reported
        return both or earlier.sequence == later.sequence


def merge(earlier: Entry, later: Entry) -> Entry:
    """One entry that has the effect of both, but for the border between their windows."""
    said = {position.number for position in (*later.held, *later.retired)}
    return later._replace(
        started=earlier.started,
        counts=_sum(earlier.counts, later.counts),
        rejects=Counter(earlier.rejects) + Counter(later.rejects),
        held=(*_others(earlier.held, said), *later.held),
        retired=(*_others(earlier.retired, said), *later.retired),
        forgotten=(*earlier.forgotten, *later.forgotten),
        ignored=earlier.ignored if later.ignored is None else later.ignored,
        losses=(*earlier.losses, *later.losses)[-LOSSES_LIMIT:],
        events=(*earlier.events, *later.events)[-EVENTS_LIMIT:],
        beside=earlier.beside.plus(later.beside),
        latencies=together(earlier.latencies, later.latencies),
    )


def thin(entry: Entry, fresh: int, forgotten: Collection[int]) -> Entry:
    """An entry that has the same effect where all these numbers are forgotten. Of the generations that come
    and are forgotten in it, from number `fresh` on, one stands for all."""
    positions = {position.number: position for position in (*entry.held, *entry.retired)}
    spent = [positions[number] for number in entry.forgotten if number >= fresh and number in positions]
    numbers = {position.number for position in spent}
    carriers = [_bare(_sum_of(spent))] if spent else []
    retired = (_bare(each) if each.number in forgotten else each for each in _others(entry.retired, numbers))
    return entry._replace(
        held=tuple(_others(entry.held, numbers)),
        retired=(*carriers, *retired),
        forgotten=(
            *(carrier.number for carrier in carriers),
            *(number for number in entry.forgotten if number not in numbers),
        ),
    )


def _sum_of(positions: Sequence[Position]) -> Position:
    return max(positions, key=lambda position: position.number)._replace(
        lines=sum(position.lines for position in positions),
        rejected=sum(position.rejected for position in positions),
        directives=sum(position.directives for position in positions),
    )


def _bare(position: Position) -> Position:
    """Without what it would be recognised by."""
    return position._replace(name="", prefix=b"", marker=b"", marks=b"", tail=b"", directive=None)


def _above(entry: Entry) -> int:
    return max((position.number for position in (*entry.held, *entry.retired)), default=-1) + 1


def _others(positions: Iterable[Position], numbers: set[int]) -> Iterable[Position]:
    return (position for position in positions if position.number not in numbers)


def _sum(one: Mapping[Key, Counts], other: Mapping[Key, Counts]) -> Mapping[Key, Counts]:
    total: dict[Key, Counts] = {}
    for key, counts in chain(one.items(), other.items()):
        before = total.get(key)
        total[key] = before.plus(counts) if before else counts
    return total
