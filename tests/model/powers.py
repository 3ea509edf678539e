"""How often each power of the toy file system occurred in a run of random histories, and each pair of them."""

from collections import Counter
from collections.abc import Iterable
from itertools import combinations

POWERS = (
    "devices renumbered",
    "inodes without versions",
    "mount came and went",
    "log is a link",
    "link set anew",
    "other name",
    "other directory",
    "clock jumped",
    "hints missing",
    "replaced by rename",
    "backup put in place",
    "other owner",
    "equal lines",
)
LEAST = 1 / 20  # of the histories have each power
LEAST_OF_PAIRS = 1 / 200  # and each two of them


class Tally:
    """Of one run."""

    def __init__(self) -> None:
        self.histories = 0
        self._pairs: Counter[tuple[str, str]] = Counter()  # of equal ones: the power itself
        self._said: Counter[str] = Counter()

    def add(self, powers: Iterable[str], said: Iterable[str] = ()) -> None:
        """One history had these; `said` are kinds of what was told in it though nothing was wrong."""
        here = [power for power in POWERS if power in set(powers)]
        self.histories += 1
        self._pairs.update((power, power) for power in here)
        self._pairs.update(combinations(here, 2))
        self._said.update(set(said))

    def too_rare(self) -> list[str]:
        """Powers and pairs that occurred in too few histories to find what they do."""
        rare = []
        for one in POWERS:
            for other in POWERS[POWERS.index(one) :]:
                least = LEAST if one == other else LEAST_OF_PAIRS
                if self._pairs[one, other] < least * self.histories:
                    rare.append(one if one == other else f"{one}, {other}")
        return rare

    def table(self) -> str:
        """In how many of the histories each power occurred, in per cent, and in how many each pair."""
        width = max(map(len, POWERS))
        letters = [chr(ord("A") + number) for number in range(len(POWERS))]
        lines = [f"{self.histories} histories; in per cent of them:", " " * (width + 3) + "  ".join(
            f"{letter:>4}" for letter in letters
        )]
        for letter, one in zip(letters, POWERS, strict=True):
            shares = "  ".join(
                f"{100 * self._pairs[min(one, other, key=POWERS.index), max(one, other, key=POWERS.index)] / max(self.histories, 1):4.1f}"
                for other in POWERS
            )
            lines.append(f"{letter} {one:<{width}} {shares}")
        lines += [f"{name}: in {number} histories where nothing was wrong" for name, number in sorted(self._said.items())]
        return "\n".join(lines)
