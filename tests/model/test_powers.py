"""The table of powers counts histories, and says what occurs too seldom."""

from tests.model.powers import ENOUGH_FOR_PAIRS, POWERS, Tally


def test_each_history_counts_once_for_a_power_and_for_each_pair() -> None:
    tally = Tally()
    tally.add({POWERS[2], POWERS[0]})
    tally.add({POWERS[0]})
    tally.add(set())
    tally.add({POWERS[1]})
    assert tally.share(POWERS[0], POWERS[0]) == 2 / 4
    assert tally.share(POWERS[2], POWERS[0]) == tally.share(POWERS[0], POWERS[2]) == 1 / 4
    assert tally.share(POWERS[1], POWERS[2]) == 0
    first = next(line for line in tally.table().splitlines() if line.startswith("A "))
    assert first.split()[-len(POWERS) :][:3] == ["50.0", "0.0", "25.0"]


def test_what_occurs_too_seldom_is_said() -> None:
    tally = Tally()
    for _ in range(19):
        tally.add(POWERS[1:])
    tally.add(POWERS)
    assert tally.too_rare() == []
    tally.add(POWERS[1:])
    assert tally.too_rare() == [f"{POWERS[0]}: 4.76%"]
    while tally.histories < ENOUGH_FOR_PAIRS - 1:
        tally.add([POWERS[tally.histories % 2], *POWERS[2:]])
    assert tally.too_rare() == []
    tally.add(POWERS[1:])
    assert tally.too_rare() == [f"{POWERS[0]}, {POWERS[1]}: 0.05%"]
