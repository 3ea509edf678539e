"""What is remembered of files that are not held: generations that were read, and ignored files.

Promises: what was read is recognised again under any name, copied or compressed, by its identity or
by its text, so that it is never counted twice; a generation that was open when the last process ended
is expected until it is found or known to be gone; memory is bounded.
"""

import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from qps_service.files.fingerprint import Match, begins_alike, common, compare, fingerprint_of
from qps_service.files.kernel import Seen
from qps_service.files.recognition import (
    KnownPart,
    beginning_of,
    best_part,
    compare_to_the_end,
    is_proven,
    part_of,
)
from qps_service.files.rotated_names import plain_name
from qps_service.following.ignored_files import IgnoredFiles
from qps_service.text.units import SECOND
from qps_service.values.entries import PossibleLoss, Restored
from qps_service.values.positions import PIPES, Identity, IgnoredFile, Position

# A retired generation keeps its prefix, marks and name: 2 KiB, up to 10. One that falls out becomes an
# ignored file: that matters only if it then grows.
RETIRED_LIMIT = 1024
# So many are kept, however little room there is: what was rotated and compressed just now is among them.
RETIRED_LEAST = 4
_RETIRED_BYTES = 256  # in the ledger, beside texts and name
_START = 64  # bytes

Read = Callable[[int, int], bytes]  # size, offset -> bytes, as pread(2)


class Recalled(NamedTuple):
    """A file that is recognised, and where to go on in it."""

    position: Position
    # Bytes at most that are skipped because nothing tells them from read ones. None where the file has all
    # that was read of it; else `position` is a generation of its own, which is yet to be taken up.
    lost: int | None = None

    def loss(self, path: str) -> PossibleLoss:
        """What is lost with these bytes of the file at `path`."""
        what = "lost its end when the machine stopped, and may have been written to since"
        return PossibleLoss(what, path, self.lost)


class Resemblance(Enum):
    """What a file's text is to the texts that were read."""

    NONE = "a text of its own"
    COPY = "nothing that was not read, or that is not read elsewhere"
    CONTINUED = "what was read, perhaps with more behind it"
    ALIKE = "what was read, or the same once more: nothing proves which"


class KnownFiles:
    """The memory of one log's files."""

    def __init__(self, restored: Restored | None = None, *, expecting: bool = True) -> None:
        """`expecting`: whether the generations that were open are still to be found."""
        self.next_number = restored.next_number if restored else 1
        self._first_number = 1 if expecting else self.next_number  # of the log at the present path
        self.room = 1 << 62  # bytes of the ledger that retired generations may take
        self._taken = 0  # of these
        self._retired: OrderedDict[int, Position] = OrderedDict()  # by number, oldest first
        self._numbers: dict[tuple[int, int], int] = {}  # device and inode -> number
        self._inodes: Counter[int] = Counter()  # inode -> of how many of these
        self._expected: set[int] = set()  # numbers
        self._unchanged: dict[int, int] = {}  # number -> st_ctime when there was nothing more in it
        self.ignored = IgnoredFiles(restored.ignored if restored else ())
        self._rebooted = restored.rebooted if restored else False
        self._unseen: set[int] = set()  # numbers that an earlier process gave; not found whole so far
        self._newly_retired: dict[int, Position] = {}
        self._forgotten: list[int] = []
        if restored:
            held = [position for position in restored.held if position.number != PIPES]
            for position in (*restored.retired, *held):
                if position.number != PIPES:
                    self._put(position)
                    self._unseen.add(position.number)
            if expecting:
                self._expected = {position.number for position in held}
            else:
                self._newly_retired = {position.number: position for position in held}

    def bound(self, room: int, ignored: int) -> None:
        """`room`: bytes of the ledger that retired generations may take from now on; `ignored`: how many
        files are ignored at most."""
        self.room = room
        self.ignored.bound(ignored)

    def new_number(self) -> int:
        """The number of the next generation."""
        self.next_number += 1
        return self.next_number - 1

    # Generations

    def retire(self, position: Position) -> None:
        """Remember a generation that is let go."""
        position = position._replace(tail=b"")  # a thousand of them would take as many times 12 KB
        self._put(position)
        self._newly_retired[position.number] = position
        while len(self._retired) > (RETIRED_LEAST if self._taken > self.room else RETIRED_LIMIT):
            number, oldest = self._retired.popitem(last=False)
            self._taken -= _size_of(oldest)
            self._drop(oldest)
            self._newly_retired.pop(number, None)
            self._expected.discard(number)
            self._forgotten.append(number)
            # Its file may stay beside the log: a look that goes by content must not take it for new.
            self.ignored.add(IgnoredFile(*oldest.identity, 0, digest=beginning_of(oldest.prefix)))

    def reopened(self, position: Position) -> None:
        """It is being read again."""
        known = self._retired.pop(position.number, None)
        if known:
            self._taken -= _size_of(known)
            self._drop(known)
        self._expected.discard(position.number)
        self._newly_retired.pop(position.number, None)

    def expected(self) -> list[Position]:
        """Generations that were open when the last process ended and were not found so far."""
        return [self._retired[number] for number in sorted(self._expected)]

    def paths(self) -> list[str]:
        """Where they were last seen, the latest first; none of another log that had this name."""
        latest = reversed(self._retired.values())
        return [position.name for position in latest if position.number >= self._first_number]

    def abandoned(self, position: Position) -> None:
        """Nothing is left of an expected generation but the memory of its text."""
        self._expected.discard(position.number)
        self._newly_retired[position.number] = position

    def goes_on(self, number: int) -> None:
        """An expected generation need not be found: an edited copy has its end, and what came after that."""
        if number in self._expected:
            self.abandoned(self._retired[number])

    def recall(
        self, identity: Identity, size: int, read: Read, *, is_certain: bool = False
    ) -> Recalled | None:
        """How far an open file was consumed when it was let go; None if it is not known. `is_certain`: no
        other file can have got its inode number, whether or not the kernel tells the inode's version."""
        position = self._find(identity)
        if position is None:
            return None
        if position.identity.device != identity.device:
            # Where nothing but the inode's number is the same, all of the text must be, too.
            if identity.version is None and compare(position, read) is not Match.FULL:
                return None
            position = self._renumbered(position, identity)
        back = len(position.marker)
        if size >= position.offset and read(back, position.offset - back) == position.marker:
            self._unseen.discard(position.number)
            return Recalled(position)
        if not (is_certain or identity.version is not None):
            return None
        may_be_cut = self._rebooted and position.number in self._unseen
        if may_be_cut and (until := common(position, read)):
            # What was read of it and is gone was counted under the old number, and stays so.
            self.abandoned(position)
            return _after_power_loss(position, until, size, read)
        # It was truncated meanwhile; whoever reads on in it will notice.
        return Recalled(position) if position.number in self._expected else None

    def resembles(
        self,
        read: Read,
        is_present: Callable[[Position], bool],
        modified: int | None = None,
        name: str | None = None,
    ) -> tuple[Resemblance, Position | None]:
        """What a file of unknown identity is; `is_present` tells whether a generation's own file is
        still there, so that this one can only be a copy. CONTINUED and ALIKE come with where to go on, or
        with what it is like. `modified`: its st_mtime, where a copy would have that of its original; `name`:
        where what it was made of was, if it was made just now."""
        best: Position | None = None
        alike: Position | None = None
        for position in self.beginning_like(read):
            match = compare_to_the_end(position, read)
            if match is Match.EMPTY and position.name == name and not is_present(position):
                best = best or position  # it was empty when it was let go
            if match not in (Match.PREFIX, Match.FULL):
                continue
            # A copy that keeps the time is no shorter.
            has_time = match is Match.FULL and is_same_time(position.modified, modified)
            is_sure = position.name == name or has_time
            if not (is_sure or is_proven(read, position)):
                alike = position
            elif match is Match.PREFIX or is_present(position):
                return Resemblance.COPY, None
            elif best is None or position.offset >= best.offset:
                best = position
        if best:
            return Resemblance.CONTINUED, best
        return (Resemblance.ALIKE, alike) if alike else (Resemblance.NONE, None)

    def known_part(
        self, read: Read, size: int | None, has_name: Callable[[Position], bool], *, anew: bool
    ) -> KnownPart | None:
        """How much of a file of `size` bytes was read before, at least; None where nothing proves any of it.
        `has_name` tells whether a generation's own file is still there."""
        parts = [
            (position, part)
            for position in self._retired.values()
            if position.offset and (position.tail or read(1, 0) == position.prefix[:1])
            if (part := part_of(position, read, size, has_name=has_name(position), anew=anew))
        ]
        best = best_part(part for _, part in parts)
        if best is None:
            return None
        certain = best.until - best.doubtful

        def start(size: int, offset: int) -> bytes:
            return read(min(size, max(certain - offset, 0)), offset)

        # What was read after that, where another one went on, is not known line by line after a kill.
        until = max(
            part.until
            for position, part in parts
            if part is best or (position.begun >= certain and begins_alike(position, start))
        )
        return best if until <= best.until else KnownPart(until, until - certain)

    def read_further(self, read: Read, known: Position, others: Iterable[Position]) -> bool:
        """Whether a text that was read up to `known` is that of a generation of which more was read.
        `others`: of those that are open."""
        return any(
            goes_further(position, known, read) and is_proven(read, position)
            for position in (*self.beginning_like(read), *others)
        )

    def beginning_like(self, read: Read) -> Iterator[Position]:
        """Those that begin with the same bytes, as far as both have so many. Comparing them all, in a
        directory with thousands of files, takes many seconds."""
        start = read(_START, 0)
        for position in self._retired.values():
            prefix = position.prefix[:_START]
            if start == prefix or start.startswith(prefix) or prefix.startswith(start):
                yield position

    def is_expected(self, position: Position) -> bool:
        """Whether it was open when the last process ended."""
        return position.number in self._expected

    def inodes(self) -> Collection[int]:
        """Inode numbers of the files that were read."""
        return self._inodes.keys()

    def knows(self, seen: Seen) -> bool:
        """Whether a file with this inode number was read, on this device or on one that had another
        number."""
        return seen.key in self._numbers or seen.inode in self._inodes

    def has(self, identity: Identity) -> bool:
        """Whether this very file was read, as far as the kernel tells its inode's version."""
        return self._find(identity) is not None

    def accounts_for(self, key: tuple[int, int]) -> bool:
        """Whether a file with this device and inode was read, or is not to be."""
        return key in self._numbers or key in self.ignored

    def is_unchanged(self, seen: Seen) -> bool:
        """Whether the file was found to have nothing new when it was as it is now."""
        number = self._numbers.get(seen.key)
        return self.ignored.is_unchanged(seen) or (
            number is not None and self._unchanged.get(number) == seen.changed
        )

    def has_nothing_new(self, position: Position, changed: int) -> None:
        """A retired generation has not grown; `changed` is its st_ctime."""
        self._unchanged[position.number] = changed
        self._expected.discard(position.number)

    def let_go_at(self, identity: Identity, modified: int) -> Position | None:
        """The generation that was let go when its file's st_mtime was this. With the inode's version, so much
        tells a compressed file without a look at its text."""
        position = self._find(identity)
        if position is None or position.number in self._expected or identity.version is None:
            return None
        return position if position.modified == modified else None

    def was_let_go_at(self, modified: int, name: str) -> bool:
        """Whether one of the generations had this st_mtime when it was read last; a whole second, in which
        several may have been written to, only one that is called so, be it compressed."""
        return any(
            position.modified == modified and (modified % SECOND or plain_name(position.name) == name)
            for position in self._retired.values()
            if position.number not in self._expected
        )

    def owners(self) -> set[int]:
        """Whose the log ever was, as far as that is remembered."""
        return {position.owner for position in self._retired.values() if position.owner is not None}

    # What the ledger has not been told yet

    def take_retired(self) -> tuple[Position, ...]:
        """Generations let go since the last call."""
        retired, self._newly_retired = tuple(self._newly_retired.values()), {}
        return retired

    def take_forgotten(self) -> tuple[int, ...]:
        """Numbers of the generations that fell out of memory since the last call."""
        forgotten, self._forgotten = tuple(self._forgotten), []
        return forgotten

    def take_ignored(self) -> tuple[IgnoredFile, ...] | None:
        """All ignored files; None if they are the same as at the last call."""
        return self.ignored.take()

    def everything(self) -> tuple[tuple[Position, ...], tuple[IgnoredFile, ...]]:
        """All that is remembered, for a ledger that has to be written anew."""
        return tuple(self._retired.values()), self.ignored.all()

    def _put(self, position: Position) -> None:
        if known := self._retired.get(position.number):
            self._taken -= _size_of(known)
        self._taken += _size_of(position)
        self._retired[position.number] = position
        self._inodes[position.identity.inode] += position.identity[:2] not in self._numbers
        self._numbers[position.identity[:2]] = position.number
        self._unchanged.pop(position.number, None)

    def _drop(self, position: Position) -> None:
        if self._numbers.get(position.identity[:2]) == position.number:
            del self._numbers[position.identity[:2]]
            self._inodes[position.identity.inode] -= 1
            if not self._inodes[position.identity.inode]:
                del self._inodes[position.identity.inode]
        self._unchanged.pop(position.number, None)

    def _renumbered(self, position: Position, identity: Identity) -> Position:
        """It is the same file, and its device has another number now."""
        self._drop(position)
        position = position._replace(identity=identity)
        self._put(position)
        if position.number not in self._expected:
            self._newly_retired[position.number] = position
        return position

    def _find(self, identity: Identity) -> Position | None:
        number = self._numbers.get(identity[:2])
        if number is not None:
            position = self._retired[number]
            return position if position.identity.version == identity.version else None
        if identity.inode not in self._inodes:
            return None
        # A start of the machine, or a mount, may number disks anew.
        latest = reversed(self._retired.values())
        return next((each for each in latest if each.identity[1:] == identity[1:]), None)


def goes_further(position: Position, known: Position, read: Read) -> bool:
    """Whether a text that was read up to `known` is, by its bytes, that of another generation, of which more
    was read. Of a text that ends before that: what the later one has of its own, the earlier one has not."""
    if position.offset <= known.offset:
        return False
    match = compare_to_the_end(position, read)
    is_earlier = 0 < position.number < known.number and known.offset > known.begun
    return match is Match.FULL or (match is Match.PREFIX and not is_earlier)


def _size_of(position: Position) -> int:
    """Bytes that a retired one takes in the ledger, about."""
    texts = len(position.prefix) + len(position.marker) + len(position.marks)
    return _RETIRED_BYTES + texts + len(os.fsencode(position.name))


def is_same_time(read: int, modified: int | None) -> bool:
    """Whether a file has the st_mtime of one that was read, both in nanoseconds: whatever compresses or
    copies a log with its times keeps it, some in whole seconds. Written to once more, it would have
    another."""
    return modified is not None and modified in (read, read // SECOND * SECOND)


def _after_power_loss(position: Position, until: int, size: int, read: Read) -> Recalled:
    """Where to go on in a log that lost what was not yet on the disk: up to byte `until` it is the text
    that was read. What comes after that, up to the old offset, was read before it was lost, or was
    written since the machine started: it is not counted, since nothing tells the one from the other.

    But for zeros: that a file has grown can be on the disk before the text is. Where they go up to the
    offset, whatever was written since comes after it, on a line of its own."""
    offset = min(position.offset, size)
    prefix, marker, marks = fingerprint_of(read, offset)
    has_zeros = marker.endswith(b"\0")
    shortened = position._replace(
        number=0,
        begun=offset,
        lines=0,
        rejected=0,
        unended=0,
        directives=0,
        directive=None,
        offset=offset,
        prefix=prefix,
        marker=marker,
        marks=marks,
        oversize=offset == position.offset and not marker.endswith(b"\n") and not has_zeros,
    )
    return Recalled(shortened, 0 if has_zeros else offset - until)
