"""Looks through the files beside the log for generations that were never read to their end.

A new file there is a generation if its name goes back to the log by renames that were seen
(rotation.Lineage). Where events were lost, its content decides: what begins like a file already
known is a copy of it. Everything that was there at the first look is a stranger, and stays one:
it was written before our time. A generation that was let go is taken up again if it grows.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from enum import Enum
from typing import NamedTuple

from qps_service.files import Files
from qps_service.generations import Generation
from qps_service.model import PREFIX_LIMIT, Identity, Position
from qps_service.rotation import Hint, Lineage, is_sibling

# Each bounds memory: a retired generation keeps its prefix (1 KiB), a stranger some 300 bytes. What
# falls out is forgotten, and matters only if it then grows or if events are lost in that moment.
RETIRED_LIMIT = 1024
STRANGERS_LIMIT = 16 * 1024


class Place(NamedTuple):
    """Where the log is looked for; a log that is a symbolic link has two."""

    directory: str  # without symbolic links
    base: str

    @property
    def path(self) -> str:
        """The log itself."""
        return os.path.join(self.directory, self.base)


class Found(NamedTuple):
    """An open file to be read from `position`; whoever gets it owns the descriptor."""

    descriptor: int
    position: Position


class _Stranger(NamedTuple):
    key: tuple[int, int]  # device and inode
    version: int | None  # the inode's generation number
    changed: int  # st_ctime at the last look, nanoseconds


class _Retired(NamedTuple):
    position: Position
    changed: int  # st_ctime at the last look, nanoseconds


class _Nothing(Enum):
    """Verdicts without a consequence now."""

    NEW = "nothing new about this file"
    YET = "it cannot be told yet"


Verdict = Found | _Stranger | _Nothing


class Siblings:
    """What is known of the files beside the log."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._lineage = Lineage()
        self._strangers: OrderedDict[tuple[int, int], _Stranger] = OrderedDict()
        self._retired: OrderedDict[tuple[int, int], _Retired] = OrderedDict()
        self._looked: dict[str, tuple[tuple[int, int], int, bool]] = {}  # directory -> key, ctime, settled
        self._due = True

    def note(self, hints: Iterable[Hint], log_paths: set[str]) -> None:
        """Follow where names went."""
        for hint in hints:
            self._lineage.note(hint, log_paths)
            self._due = True

    def retire(self, position: Position) -> None:
        """Remember a generation that is let go."""
        self._retired[position.identity[:2]] = _Retired(position, 0)
        while len(self._retired) > RETIRED_LIMIT:
            key, retired = self._retired.popitem(last=False)
            self._remember(_Stranger(key, retired.position.identity.version, retired.changed))

    def recall(self, descriptor: int, identity: Identity) -> Position | None:
        """How far an open file was consumed when it was let go; None if it is new."""
        retired = self._retired.get(identity[:2])
        if retired is None or retired.position.identity != identity:
            return None
        position = retired.position
        back = len(position.marker)
        if self._files.read(descriptor, back, position.offset - back) != position.marker:
            return None
        return position

    def forget(self, key: tuple[int, int]) -> None:
        """It is being followed again."""
        self._retired.pop(key, None)

    def sweep(self) -> None:
        """Look at every file at the next look, whether or not the directory changed."""
        self._due = True

    def find(
        self, places: Collection[Place], held: Iterable[Generation], moved_meanwhile: Callable[[], bool]
    ) -> tuple[list[Found], bool]:
        """Generations to be read, and whether another look is due at once.

        `moved_meanwhile` takes in the hints that came during the look: a file whose history may be
        still on its way is not judged.
        """
        found: list[Found] = []
        strangers: list[_Stranger] = []  # by the history of their names
        judged: list[_Stranger] = []  # by their content, or by being there first
        generations = {generation.key: generation for generation in held}
        log_paths = {place.path for place in places}
        trusting, unsure = self._lineage.complete, set[str]()
        forced, self._due = self._due, False
        self._lineage.complete = True
        for place in places:
            try:
                directory = self._files.stat(place.directory)
                before = self._looked.get(place.directory)
                settled = before is not None and before[:2] == (directory.key, directory.changed)
                if before and settled and before[2] and not forced:
                    continue
                names = self._files.names(place.directory)
            except FileNotFoundError:
                continue  # what it held is remembered, should it come back
            except OSError:
                unsure.add(place.directory)
                continue
            # What fills a directory never seen before was written before our time.
            first = before is None or before[0] != directory.key
            for name in names:
                path = os.path.join(place.directory, name)
                if path in log_paths or not (is_sibling(place.base, name) or path in self._lineage.names):
                    continue
                verdict = self._consider(path, generations, trusting=trusting or first)
                if isinstance(verdict, Found):
                    found.append(verdict)
                elif isinstance(verdict, _Stranger):
                    (strangers if trusting and not first else judged).append(verdict)
                elif verdict is _Nothing.YET:
                    unsure.add(path)
            self._looked[place.directory] = (directory.key, directory.changed, settled)
        if moved_meanwhile():
            self._due = True
        else:
            judged += strangers
            pending = {path for path in self._lineage.names if unsure & {path, os.path.dirname(path)}}
            self._lineage.names = pending
        for stranger in judged:
            self._remember(stranger)
        if unsure:
            self._due = True
            self._lineage.complete &= trusting
        return found, self._due and not unsure

    def _consider(self, path: str, held: dict[tuple[int, int], Generation], *, trusting: bool) -> Verdict:
        """What the file at `path` is; `trusting`: whether the lineage of names tells everything."""
        try:
            seen = self._files.lstat(path)
        except FileNotFoundError:
            return _Nothing.NEW  # it moved on, and a hint says where to
        except OSError:
            return _Nothing.YET
        if not seen.regular:
            return _Nothing.NEW
        if seen.key in held:
            held[seen.key].name = path
            return _Nothing.NEW
        known = self._retired.get(seen.key) or self._strangers.get(seen.key)
        if known and known.changed == seen.changed:
            return _Nothing.NEW
        try:
            descriptor = self._files.open(path)
        except OSError:
            if path in self._lineage.names or not trusting:
                return _Nothing.YET
            return _Stranger(seen.key, None, seen.changed)
        verdict: Verdict = _Nothing.YET
        try:
            verdict = self._judge(path, descriptor, known, held.values(), trusting=trusting)
        except OSError:
            return _Nothing.YET
        finally:
            if not isinstance(verdict, Found):
                self._files.close(descriptor)
        return verdict

    def _judge(
        self,
        path: str,
        descriptor: int,
        known: _Retired | _Stranger | None,
        held: Iterable[Generation],
        *,
        trusting: bool,
    ) -> Verdict:
        identity = self._files.identity(descriptor)
        seen = self._files.fstat(descriptor)
        descends = path in self._lineage.names
        if isinstance(known, _Retired):
            position = self.recall(descriptor, identity)
            if position:
                if seen.size > position.offset:
                    return Found(descriptor, position._replace(name=path))
                self._retired[seen.key] = known._replace(changed=seen.changed)
                return _Nothing.NEW
        same = isinstance(known, _Stranger) and known.version == identity.version
        if same and not (descends and identity.version is None):
            return _Stranger(seen.key, identity.version, seen.changed)
        if not descends and not trusting:
            start = self._files.read(descriptor, PREFIX_LIMIT, 0)
            if not start:
                return _Nothing.YET
            prefixes = [generation.prefix for generation in held]
            prefixes += [retired.position.prefix for retired in self._retired.values()]
            descends = not any(_begin_alike(start, prefix) for prefix in prefixes)
        if descends:
            return Found(descriptor, Position(identity, path, 0, b"", b"", False))
        return _Stranger(seen.key, identity.version, seen.changed)

    def _remember(self, stranger: _Stranger) -> None:
        self._strangers[stranger.key] = stranger
        self._strangers.move_to_end(stranger.key)
        while len(self._strangers) > STRANGERS_LIMIT:
            self._strangers.popitem(last=False)


def _begin_alike(start: bytes, prefix: bytes) -> bool:
    length = min(len(start), len(prefix))
    return length > 0 and start[:length] == prefix[:length]
