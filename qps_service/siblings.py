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

from qps_service.files import Files, Seen
from qps_service.generations import Generation
from qps_service.model import PREFIX_LIMIT, Identity, Position
from qps_service.rotation import Hint, Lineage, Lost, Moved, Touched, is_sibling

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
        self._looked: dict[str, tuple[int, int]] = {}  # directory -> its key when it was listed
        self._touched: set[str] = set()  # paths to look at next
        self._doubtful: set[str] = set()  # paths to be judged by their content
        self._found_starts: list[bytes] = []  # of what this look found by content
        self._sweeping = True

    def note(self, hints: Iterable[Hint], places: Collection[Place]) -> bool:
        """Follow where names went; whether one of the hints is about the log or a file that was it."""
        log_paths = {place.path for place in places}
        concerned = False
        for hint in hints:
            self._lineage.note(hint, log_paths)
            match hint:
                case Moved(source, path):
                    mine = {source, path} & (log_paths | self._lineage.names)
                case Touched(path):
                    mine = {path} & log_paths
                case Lost():
                    continue  # nothing is known of the log; the next look by the tick goes by content
            if mine or any(is_sibling(place.base, os.path.basename(path)) for place in places):
                concerned = True
                self._touched.add(path)
        return concerned

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
        """Look at every file at the next look, whether or not anything moved."""
        self._sweeping = True

    def find(
        self, places: Collection[Place], held: Iterable[Generation], moved_meanwhile: Callable[[], bool]
    ) -> tuple[list[Found], bool]:
        """Generations to be read, and whether another look is due at once.

        `moved_meanwhile` takes in the hints that came during the look: a file whose history may be
        still on its way is not judged.
        """
        found: list[Found] = []
        settled: list[_Stranger] = []
        by_name: dict[str, _Stranger] = {}  # settled if nothing moved meanwhile
        retry: set[str] = set()
        doubtful: set[str] = set()
        generations = {generation.key: generation for generation in held}
        trusting, self._lineage.complete = self._lineage.complete, True
        touched, self._touched = self._touched | self._lineage.names, set()
        everything, self._sweeping = self._sweeping or not trusting, False
        looked = dict(self._looked)
        self._found_starts = []
        for place in places:
            here = {path for path in touched if os.path.dirname(path) == place.directory}
            try:
                key = self._files.stat(place.directory).key
                first = self._looked.get(place.directory) != key
                candidates = self._candidates(place, here, everything=everything or first)
            except FileNotFoundError:
                continue  # what it held is remembered, should it come back
            except OSError:
                self._sweeping, self._lineage.complete = True, trusting
                retry |= here
                continue
            looked[place.directory] = key
            for path in candidates - {place.path for place in places}:
                # What fills a directory never seen before was written before our time.
                trusted = (trusting or first) and path not in self._doubtful
                verdict = self._consider(path, generations, trusting=trusted)
                if isinstance(verdict, Found):
                    found.append(verdict)
                elif isinstance(verdict, _Stranger) and trusted and not first:
                    by_name[path] = verdict
                elif isinstance(verdict, _Stranger):
                    settled.append(verdict)
                elif verdict is _Nothing.YET:
                    (retry if trusted else doubtful).add(path)
        self._looked = looked
        moved = moved_meanwhile()
        if moved:
            self._touched |= by_name.keys()
        else:
            settled += by_name.values()
            self._lineage.names &= retry
        for stranger in settled:
            self._remember(stranger)
        self._touched |= retry | doubtful
        self._doubtful = doubtful
        return found, moved

    def copy_of(
        self, position: Position, modified: int, places: Iterable[Place], held: Collection[tuple[int, int]]
    ) -> Found | None:
        """The file that has what a truncated log held beyond `position`, as copytruncate leaves it.

        It begins like the log did, has the same bytes before the offset, goes on after it, and was
        written no earlier than the log was when it was last read, at `modified` (st_mtime): an older
        file with the same lines is not it. Of several, the longest.
        """
        best: Found | None = None
        longest = position.offset - 1  # one that is just as long says that nothing was lost
        for place in places:
            try:
                paths = self._candidates(place, set(), everything=True)
            except OSError:
                continue
            for path in paths:
                try:
                    seen = self._files.lstat(path)
                except OSError:
                    continue
                if seen.size <= longest or seen.modified < modified or not seen.regular:
                    continue
                if seen.key in held:
                    continue
                copy = self._open_copy(path, seen, position)
                if copy:
                    if best:
                        self._files.close(best.descriptor)
                    best, longest = copy, seen.size
        return best

    def _open_copy(self, path: str, seen: Seen, position: Position) -> Found | None:
        try:
            descriptor = self._files.open(path)
        except OSError:
            return None
        try:
            identity = self._files.identity(descriptor)
            consumed = self.recall(descriptor, identity) is not None
            if identity[:2] == seen.key and not consumed and self._goes_on(descriptor, position):
                return Found(descriptor, position._replace(identity=identity, name=path))
        except OSError:
            pass  # what can't be read can't be the copy that is looked for
        self._files.close(descriptor)
        return None

    def _goes_on(self, descriptor: int, position: Position) -> bool:
        back = len(position.marker)
        return (
            self._files.read(descriptor, len(position.prefix), 0) == position.prefix
            and self._files.read(descriptor, back, position.offset - back) == position.marker
        )

    def _candidates(self, place: Place, touched: set[str], *, everything: bool) -> set[str]:
        """Paths in the place's directory to consider."""
        names = self._files.names(place.directory) if everything else ()
        paths = touched.union(os.path.join(place.directory, name) for name in names)
        descend = self._lineage.names
        return {path for path in paths if path in descend or is_sibling(place.base, os.path.basename(path))}

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
            # Whoever may write to the directory could have put a link here in between.
            if self._files.fstat(descriptor).key == seen.key:
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
            known_starts = [text for each in held for text in (each.prefix, each.beginning())]
            known_starts += self._found_starts
            known_starts += [retired.position.prefix for retired in self._retired.values()]
            descends = not any(_begin_alike(start, other) for other in known_starts)
            if descends:
                self._found_starts.append(start)
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
