"""How often each power of the toy file system occurred in random histories, and each pair of them."""

from collections import Counter
from collections.abc import Iterable
from itertools import combinations_with_replacement

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
# Below these shares of a run's histories nobody would find what a power does, or two of them together.
LEAST = 1 / 20
LEAST_OF_PAIRS = 1 / 200
# Of fewer histories chance alone leaves pairs below that: only a campaign tells.
ENOUGH_FOR_PAIRS = 2000


class Tally:
    """Of one run."""

    def __init__(self) -> None:
        self.histories = 0
        self._pairs: Counter[tuple[str, str]] = Counter()  # of one power with itself: where it occurred

    def add(self, powers: Iterable[str]) -> None:
        """One history had these."""
        self.histories += 1
        here = sorted(powers, key=POWERS.index)
        self._pairs.update(combinations_with_replacement(here, 2))

    def share(self, one: str, other: str) -> float:
        """Of the histories that had both; of one power where they are the same."""
        first, second = sorted((one, other), key=POWERS.index)
        return self._pairs[first, second] / max(self.histories, 1)

    def too_rare(self) -> list[str]:
        """Powers below their share, and pairs where there are enough histories to tell."""
        rare = []
        for one, other in combinations_with_replacement(POWERS, 2):
            share = self.share(one, other)
            if one == other and share < LEAST:
                rare.append(f"{one}: {share:.2%}")
            elif share < LEAST_OF_PAIRS and self.histories >= ENOUGH_FOR_PAIRS:
                rare.append(f"{one}, {other}: {share:.2%}")
        return rare

    def table(self) -> str:
        """The shares in per cent; a pair where row and column meet, one power in the diagonal."""
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(POWERS)]
        width = max(map(len, POWERS))
        lines = [
            f"of {self.histories} histories, in per cent:",
            " " * (width + 2) + "".join(f"{each:>6}" for each in letters),
        ]
        for letter, one in zip(letters, POWERS, strict=True):
            shares = "".join(f"{100 * self.share(one, other):6.1f}" for other in POWERS)
            lines.append(f"{letter} {one:<{width}}{shares}")
        return "\n".join(lines)
