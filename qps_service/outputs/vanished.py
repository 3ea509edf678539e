"""What vanished from the reports is told as 0 for a while. Pure.

Promise: no gauge stays at the last rate that its route had, though receivers keep for good what they were
told; and memory is bounded, whatever an attacker asks for.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

# Datagrams get lost; this many in a row hardly do.
WINDOWS = 6
# Vanished keys that are told at a time. Those beyond are left as they are.
LIMIT = 10_000

K = TypeVar("K", bound=Hashable)


class Vanished(Generic[K]):
    """Knows the keys of the last windows."""

    def __init__(self) -> None:
        self._left: dict[K, int] = {}  # windows for which each is told as 0 once it has vanished

    def remember(self, keys: Iterable[K]) -> None:
        """These were told by an earlier process."""
        self._left.update(dict.fromkeys(keys, WINDOWS))

    def vanished(self, keys: Iterable[K], is_awaited: Callable[[K], bool] = lambda _: False) -> list[K]:
        """Those to be told as 0 in a window that has these. `is_awaited`: of a log that has no report this
        time, so that nothing is to be told of it."""
        present = dict.fromkeys(keys, WINDOWS)
        awaited = {key: left for key, left in self._left.items() if is_awaited(key)}
        gone = [key for key in self._left if key not in present and key not in awaited][:LIMIT]
        fading = {key: left for key in gone if (left := self._left[key] - 1)}
        self._left = awaited | fading | present
        return gone
