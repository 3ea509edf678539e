"""What waits for the ledger: bounded, in order, and exact however it is merged."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from qps_service.ledger import outbox
from qps_service.ledger.outbox import Outbox, merge, thin
from qps_service.values.counts import NOTHING_BESIDE, Beside, Key
from qps_service.values.entries import Entry, Loss
from qps_service.values.positions import IgnoredFile, Position
from tests.ledgers import SECOND, entry, key, position
from tests.limits import Doubled
from tests.promised import Patches, Promise, promises, twin

LIMIT = 6
Commit = tuple[list[Entry], bool]  # entries, and whether they end a window


class Effect:
    """What a ledger would be after some entries: a toy that knows nothing of SQLite."""

    def __init__(self) -> None:
        self.totals: Counter[tuple[str, Key, str]] = Counter()
        self.rejects: Counter[str] = Counter()
        self.beside: dict[str, Beside] = {}
        self.in_windows: Counter[str] = Counter()
        self.open: Counter[str] = Counter()
        self.positions: dict[tuple[str, int], tuple[Position, bool]] = {}
        self.forgotten: Counter[str] = Counter()
        self.ignored: dict[str, Sequence[IgnoredFile]] = {}
        self.losses: dict[str, list[Loss]] = {}

    def add(self, entries: Sequence[Entry], reported: int) -> None:
        for each in entries:
            requests = sum(counts.requests for counts in each.counts.values())
            for row, counts in each.counts.items():
                self.totals[each.log, row, "requests"] += counts.requests
                self.totals[each.log, row, "bytes"] += counts.bytes
            self.rejects[each.log] += sum(each.rejects.values())
            self.beside[each.log] = self.beside.get(each.log, NOTHING_BESIDE).plus(each.beside)
            if each.sequence:
                self.in_windows[each.log] += requests
            if each.sequence > reported:
                self.open[each.log] += requests
            for held, positions in ((True, each.held), (False, each.retired)):
                self.positions |= {(each.log, each_.number): (each_, held) for each_ in positions}
            for number in each.forgotten:
                gone, _ = self.positions.pop((each.log, number))
                self.forgotten[each.log] += gone.lines
                self.forgotten[f"{each.log}, directives"] += gone.directives
            if each.ignored is not None:
                self.ignored[each.log] = each.ignored
            self.losses.setdefault(each.log, []).extend(each.losses)


def check_rows_that_wait() -> None:
    """Far fewer entries than may wait, with all rows that there may be in each: they become few."""
    waiting, sizes = Outbox(), []
    told = entry(range(5000))
    for number in range(1, 46):
        waiting.add([told._replace(sequence=number)], number)
        sizes.append(sum(len(each.counts) for each in waiting.entries))
    assert 95_000 <= max(sizes) <= 100_000
    assert len(waiting.entries) < 25
    assert sum(counts.requests for each in waiting.entries for counts in each.counts.values()) == 45 * 5000


@st.composite
def histories(draw: st.DrawFn) -> list[Commit]:
    """Many commits of two logs whose files come, are read, go and are forgotten."""
    commits = []
    first = draw(st.integers(0, 5))  # commit that belongs to a window
    lines: dict[str, dict[int, int]] = {"access": {1: 0}, "other": {1: 0}}
    for now in range(draw(st.integers(1, 25))):
        entries = []
        for log in draw(st.sampled_from([["access"], ["access", "other"], ["other"]])):
            read = lines[log]
            what = draw(st.integers(0, 7))
            newest = max(read)
            read[newest] += 1
            retired: tuple[Position, ...] = ()
            forgotten: tuple[int, ...] = ()
            if what == 0:
                read[newest + 1] = 0
                retired = (position(newest, read[newest]),)
            if what == 1 and len(read) > 2:
                forgotten = (min(read),)
                del read[min(read)]
            entries.append(
                entry(
                    [now % 5],
                    log=log,
                    sequence=0 if now < first else 1,
                    started=now * SECOND,
                    ended=(now + 1) * SECOND,
                    rejected=what % 2,
                    held=(position(max(read), read[max(read)]),),
                    retired=retired,
                    forgotten=forgotten,
                    beside=Beside(what, 2 * what),
                )._replace(
                    ignored=(IgnoredFile(1, now, None, 0),) if what == 3 else None,
                    losses=(Loss(now, "w", "/n", None),) if what == 4 else (),
                )
            )
        commits.append((entries, draw(st.booleans())))
    return commits


def long_outage() -> list[Commit]:
    """With a rotation in it, and a window that is still open at the end."""
    commits = []
    for now in range(30):
        held = (position(2 if now > LIMIT // 2 else 1, now + 1),)
        each = entry(
            [now % 5],
            sequence=0 if now < 2 else 1,
            started=now * SECOND,
            ended=(now + 1) * SECOND,
            rejected=1,
            beside=Beside(2, 3),
            held=held,
            retired=(position(1, 50),) if now == LIMIT // 2 + 1 else (),
            forgotten=(1,) if now == LIMIT else (),
        )
        ignored = (IgnoredFile(1, 1, None, 0),) if now == 0 else None
        commits.append(([each._replace(ignored=ignored, losses=(Loss(now, "", "", 1),))], now % 2 == 1))
    return commits


@settings(max_examples=min(100, settings().max_examples))
@given(commits=histories(), landed=st.integers(0, 5))
@example(commits=long_outage(), landed=0)
def check_merging(commits: list[Commit], landed: int) -> None:
    compare_merged(commits, landed)


def compare_merged(commits: list[Commit], landed: int) -> None:
    """The effect of what waits is that of all that was added, however much was merged. So many commits are
    in the ledger before it takes nothing more."""
    waiting, added, effect = Outbox(limit=LIMIT), Effect(), Effect()
    everything: list[Entry] = []
    reported = 0
    for number, (entries, is_end) in enumerate(commits):
        told = [each._replace(sequence=each.sequence and reported + 1) for each in entries]
        reported += is_end
        everything += told
        waiting.add(told, reported)
        assert waiting.number == number + 1
        if number < landed:
            effect.add(waiting.entries, 0)
            assert waiting.written(waiting.number)
    # Four of each log may not become fewer: they lie on both sides of borders that are kept.
    assert len(waiting.entries) <= max(LIMIT, 4 * len({each.log for each in everything}))
    added.add(everything, reported)
    effect.add(waiting.entries, reported)
    effect.open = added.open if landed else effect.open  # which window is open was not known before
    assert vars(effect) == vars(added)
    for log in ("access", "other"):
        mine = [each for each in waiting.entries if each.log == log]
        assert [each.ended for each in mine] == sorted(each.ended for each in mine)


def keeps(field: str) -> Callable[[Entry, Entry], Entry]:
    """One field of what is merged is that of the later entry alone."""
    return lambda earlier, later: merge(earlier, later)._replace(**{field: getattr(later, field)})


MEMORY = 60  # generations that are remembered


def rotations(commits: int, each: int = 3) -> list[Commit]:
    """So many commits with so many rotations in each; a generation is forgotten later."""
    told = []
    for now in range(commits):
        first = now * each
        retired = tuple(position(number, 10, 1, 2) for number in range(first, first + each))
        gone = tuple(number - MEMORY for number in range(first, first + each) if number >= MEMORY)
        held = (position(first + each, 5),)
        told.append(([entry([1], held=held, retired=retired, forgotten=gone)], True))
    return told


def check_rotations(landed: int) -> None:
    """Memory is bounded however many files came and were forgotten, and every line is accounted for."""
    compare_merged(rotations(200), landed)
    waiting = Outbox(limit=LIMIT)
    for number, (entries, _) in enumerate(rotations(400)):
        waiting.add(entries, number + 1)
        if number < landed:
            waiting.written(waiting.number)
        positions = [each for waits in waiting.entries for each in (*waits.held, *waits.retired)]
        assert len(positions) <= LIMIT * 2 * MEMORY
        assert sum(len(waits.forgotten) for waits in waiting.entries) <= LIMIT * 2 * MEMORY
        # What is remembered, and what was forgotten since the last time that entries were merged.
        assert len([each for each in positions if each.prefix or each.tail]) <= MEMORY + 3 * LIMIT


def directives_of_one(each: Entry, *arguments: Any) -> Entry:
    thinned = thin(each, *arguments)
    return thinned._replace(retired=tuple(some._replace(directives=2) for some in thinned.retired))


def test_a_ledger_that_was_there_before_is_told_of_its_generations() -> None:
    """They are known from restoring only."""
    for next_number, expected in ((4, (3,)), (0, (5,))):
        waiting = Outbox(limit=1)
        waiting.knows("access", next_number)
        retired = tuple(position(number, 10) for number in (3, 4, 5))
        waiting.add([entry([1], retired=retired)], 1)
        waiting.add([entry([1], forgotten=(3, 4, 5))], 2)
        (both,) = waiting.entries
        assert sorted(both.forgotten) == sorted({*expected, 5})
        assert sum(each.lines for each in both.retired) == 30


def test_a_merged_window_is_as_long_as_both() -> None:
    one = entry([1], sequence=3, started=5 * SECOND, ended=10 * SECOND)
    other = entry([1, 2], sequence=4, started=10 * SECOND, ended=30 * SECOND)._replace(path="/new")
    both = merge(one, other)
    assert (both.sequence, both.started, both.ended, both.at) == (4, 5 * SECOND, 30 * SECOND, other.at)
    assert both.path == "/new"


def check_numbers(make: type[Outbox]) -> None:
    """What the ledger has no longer waits, what it does not have does."""
    waiting = make(7)
    for number in range(8, 12):
        waiting.add([entry([number])], 0)
    assert not waiting.written(6)  # it had 7
    assert not waiting.written(12)  # from nobody
    assert len(waiting.entries) == 4
    assert waiting.written(7)
    assert len(waiting.entries) == 4
    assert waiting.written(9)  # an earlier try got there after all
    assert [list(each.counts) for each in waiting.entries] == [[key(10)], [key(11)]]
    assert waiting.written(11)
    assert waiting.entries == []


TrustsEachNumber = twin(
    *(Outbox, "takes another ledger for its own", "written"),
    instead=lambda self, number: Outbox.written(self, number) or True,
)
TakesAll = twin(
    Outbox,
    "what any commit wrote is all that there is",
    "written",
    instead=lambda self, number: Outbox.written(self, number) and Outbox.written(self, self.number),
)


def test_half_of_a_merged_entry_cannot_have_been_written() -> None:
    waiting = Outbox(limit=LIMIT)
    for _ in range(LIMIT + 1):
        waiting.add([entry([1])], 0)
    assert len(waiting.entries) <= LIMIT
    assert not waiting.written(1)
    assert waiting.written(2)


PARTS = ("counts", "rejects", "beside", "retired", "forgotten", "ignored", "losses")
LOST = {part: Patches((outbox, "merge", keeps(part))) for part in PARTS}
BORDERS = {
    "moves counts into another window": Patches((Outbox, "_may_merge", lambda *_: True)),
    "unbounded": Patches((Outbox, "_may_merge", lambda *_: False)),
}
THIN: dict[str, Callable[..., Entry]] = {
    "nothing": lambda each, *_: each,
    "forgets numbers of the ledger": lambda each, _, forgotten: thin(each, 0, forgotten),
    "directives of one": directives_of_one,
    "keeps texts": lambda each, fresh, _: thin(each, fresh, ()),
}
THINNED = {name: Patches((outbox, "thin", twin)) for name, twin in THIN.items()}

test_promise, test_twin = promises(
    Promise(check_merging, None, LOST | BORDERS, (KeyError,)),
    Promise(check_rotations, None, {each: THINNED[each] for each in ("keeps texts", "nothing")}, landed=0),
    Promise(check_rotations, None, THINNED, landed=12),
    Promise(check_rows_that_wait, None, [Patches((Outbox, "_rows", 0)), Doubled("ledger.outbox:ROWS_LIMIT")]),
    Promise(check_numbers, Outbox, [TrustsEachNumber, TakesAll]),
)
