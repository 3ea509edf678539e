"""What unpacking takes of memory, over all packed files of a process.

A decompressor keeps as much of the text as its compression may refer to: 64 MiB for `xz -9`, 128 MiB for
`zstd --ultra -22`. Promise: all together take LIMIT at most, however many files are open. Where one needs
more than is left, those that were read longest ago let go of theirs, and begin anew should they be read
again. So that this is rare, one packed file at a time is read on, to its end; the others wait for their turn.
"""

from collections import OrderedDict
from typing import Protocol

# Room for the largest window that is read, and for the beginnings of other files: with what else the process
# takes it stays below the unit's MemoryMax=256M.
LIMIT = 144 * 1024 * 1024  # bytes


class Unpacker(Protocol):
    """A packed file that is read."""

    def begin_anew(self) -> None:
        """Let go of all memory; the next read unpacks from the file's start."""


class Unpacking:
    """The packed files of a process."""

    def __init__(self) -> None:
        self._taken: OrderedDict[Unpacker, int] = OrderedDict()  # bytes; what was read last comes last
        self._turn: Unpacker | None = None  # whose it is

    def take(self, file: Unpacker, size: int) -> None:
        """It is read, and takes so many bytes at most."""
        self._taken[file] = size
        self._taken.move_to_end(file)
        while len(self._taken) > 1 and sum(self._taken.values()) > LIMIT:
            longest_ago, _ = self._taken.popitem(last=False)
            longest_ago.begin_anew()

    def give_back(self, file: Unpacker) -> None:
        """It takes nothing any more."""
        self._taken.pop(file, None)

    def take_turn(self, file: Unpacker) -> bool:
        """Whether it may be read on now; if so, no other may before `end_turn`."""
        self._turn = self._turn or file
        return self._turn is file

    def end_turn(self, file: Unpacker) -> None:
        """It is read to its end, or can't be; if it was its turn, another may be read on."""
        if self._turn is file:
            self._turn = None
