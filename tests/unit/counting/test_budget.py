"""Places for rows: all together are bounded, and none of a log's own goes to another one."""

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.counting.budget import Budget, Share
from tests.promised import Promise, nothing, promises, twin

PLACES = 1000


def fill(share: Share) -> int:
    """Take all there is room for, one by one; how many the log holds then."""
    while share.room:
        share.take(1)
    return share.held


def test_a_log_that_is_alone_has_all() -> None:
    assert fill(Budget(PLACES).join()) == PLACES


def test_one_greedy_log_leaves_half_of_what_is_for_all() -> None:
    """And the next one a third of the rest, and so on: what they hold is what the rule of the module says."""
    budget = Budget(PLACES)
    shares = [budget.join() for _ in range(5)]
    assert [fill(share) for share in shares] == [100 + 250, 100 + 125, 100 + 62, 100 + 31, 100 + 16]


LIVES = st.lists(st.tuples(st.integers(0, 3), st.integers(-200, 400)), max_size=60)


@given(steps=LIVES)
@example(steps=[(0, 400), (0, -200), (0, -100)])
@example(steps=[(0, 400)] * 3 + [(1, 100), (2, 125), (3, 1)])
@example(steps=[(0, 200), (1, 200), (2, 200), (3, 200)] * 2)
def check_shares(make: type[Budget], steps: Sequence[tuple[int, int]]) -> None:
    """Whoever takes only what there is room for: all hold no more than there is, and each log can still have
    its own part, whatever the others did. What was given back is free as if nobody had had it."""
    budget, anew = make(PLACES), make(PLACES)
    shares, others = [budget.join() for _ in range(4)], [anew.join() for _ in range(4)]
    for number, wanted in steps:
        shares[number].take(max(min(wanted, shares[number].room), -shares[number].held))
        assert sum(share.held for share in shares) <= PLACES
        assert all(share.held + share.room >= PLACES // 8 for share in shares)
    for share, other in zip(shares, others, strict=True):
        other.take(share.held)
    assert [share.room for share in shares] == [other.room for other in others]
    for share in shares:
        fill(share)
    assert sum(share.held for share in shares) <= PLACES
    assert all(share.held >= PLACES // 8 for share in shares)


FirstCome = twin(
    *(Budget, "all is for whoever comes first", "room"),
    instead=lambda self, held: max(0, self._places - sum(share.held for share in self._shares)),
)
EachAlone = twin(
    *(Budget, "no log is told of the others", "room"), instead=lambda self, held: max(0, self._places - held)
)


def check_what_a_ledger_brings(make: type[Budget]) -> None:
    """Beyond the bound nothing more is to be had; with a higher one, or without that log, it is again."""
    budget = make(PLACES)
    full, other = budget.join(), budget.join()
    full.take(3 * PLACES)
    assert (full.room, other.room) == (0, PLACES // 4)
    budget.resize(8 * PLACES)
    assert full.room == (4 * PLACES - (3 * PLACES - 2 * PLACES) - PLACES) // 2
    budget.resize(PLACES)
    assert full.room == 0
    budget.leave(full)
    assert other.room == PLACES


class GivesBack(Budget):  # what is beyond the bound counts for nothing
    def resize(self, places: int) -> None:
        for share in self._shares:
            share.held = min(share.held, places)
        super().resize(places)

    def spend(self, held: int, places: int) -> None:
        self._free = max(self._free, 0)


class KeepsForNobody(Budget):  # what a log gives back that has its own part only then
    def spend(self, held: int, places: int) -> None:
        if held + places > self.own:
            super().spend(held, places)


NeverLets = twin(Budget, "what a log held is gone with it", "leave", instead=nothing)

test_promise, test_twin = promises(
    Promise(check_shares, Budget, [FirstCome, EachAlone, KeepsForNobody]),
    Promise(check_what_a_ledger_brings, Budget, [GivesBack, NeverLets]),
)
