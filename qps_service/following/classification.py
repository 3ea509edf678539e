"""What a file beside the log is: a generation to be read, or one that must not be read (again).

A file's history decides where it is known (lineage.py). Where events were lost, or nobody was
there to see them, its identity and its text decide (known_files.py): what was read goes on where it
was left, what begins like a file that is held or was read is a copy of it, and what is older than the
log when that was last read was written before.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from qps_service.files.compressed import CompressedError, why_not
from qps_service.files.fingerprint import Match, compare
from qps_service.files.kernel import Files, Seen, explain
from qps_service.files.rotated_names import is_compressed, plain_name
from qps_service.files.sources import Source, goes_beyond, open_source
from qps_service.following.generation import Generation
from qps_service.following.known_files import KnownFiles, Read, Resemblance
from qps_service.following.lineage import Lineage
from qps_service.text.units import SECOND
from qps_service.values.entries import PossibleLoss
from qps_service.values.positions import PREFIX_LIMIT, Identity, IgnoredFile, Position

# Two texts that agree in so much are taken for the same, where nothing else tells.
ALIKE = 1 << 20  # bytes
_BLOCK = 1 << 16  # bytes, of such a comparison
_KNOWN = (Match.FULL, Match.PREFIX)


class Found(NamedTuple):
    """A text to be read from `position`; whoever gets it owns the source."""

    source: Source
    position: Position


class Undecided(Enum):
    """Of no consequence now."""

    NEW = "nothing new about this file"
    YET = "it cannot be told yet"


class Unopenable(NamedTuple):
    """A file that can't be opened now."""

    reason: str


Classification = Found | IgnoredFile | Undecided | Unopenable


class StillThere:
    """Which generations' own files are still there, so that another one with the text is a copy."""

    def __init__(
        self, files: Files, held: Iterable[Generation], paths: Mapping[tuple[int, int], str]
    ) -> None:
        """`paths`: of the files beside the log, by device and inode."""
        self._files = files
        self._held = {generation.identity for generation in held}
        self._paths = paths

    def __call__(self, position: Position) -> bool:
        """Whether it is held, or beside the log. An inode number alone may be another file's by now."""
        if position.identity in self._held:
            return True
        path = self._paths.get(position.identity[:2])
        if path is None:
            return False
        try:
            descriptor = self._files.open(path)
        except OSError:
            return True
        try:
            return self._files.identity(descriptor) == position.identity
        except OSError:
            return True
        finally:
            self._files.close(descriptor)


class Surroundings(NamedTuple):
    """What one look goes by."""

    held: Mapping[tuple[int, int], Generation]  # by device and inode
    is_present: StillThere
    since: int  # st_mtime, nanoseconds: what was last written before is not new
    room: int  # how many may be found at most
    found: list[Found]  # in this look so far


class Classifier:
    """Classifies one file at a time."""

    def __init__(
        self, files: Files, known_files: KnownFiles, lineage: Lineage, lose: Callable[[PossibleLoss], object]
    ) -> None:
        """`lose` is told what a file holds that can't be read, or told from what was read."""
        self._lose = lose
        self._files = files
        self._known_files = known_files
        self._lineage = lineage

    def consider(self, path: str, seen: Seen, surroundings: Surroundings, *, trusted: bool) -> Classification:
        """What the file at `path` is; `trusted`: whether the lineage of names tells everything."""
        if not seen.regular:
            return Undecided.NEW
        if seen.key in surroundings.held:
            surroundings.held[seen.key].moved_to(path)
            return Undecided.NEW
        if self._known_files.is_unchanged(seen.key, seen.changed):
            return Undecided.NEW
        try:
            descriptor = self._files.open(path)
        except FileNotFoundError:
            return Undecided.YET  # it was there a moment ago
        except OSError as error:
            if path in self._lineage or not trusted:
                return Unopenable(explain(error, seen))
            return IgnoredFile(*seen.key, None, seen.changed)
        result: Classification = Undecided.YET
        source = None
        identity = Identity(*seen.key, None)
        try:
            # Whoever may write to the directory could have put a link here in between.
            if self._files.fstat(descriptor).key == seen.key:
                identity = self._files.identity(descriptor)
                if is_compressed(path) and (reason := self._unreadable(path, identity, trusted=trusted)):
                    return self._refuse(path, identity, seen, reason)
                source = open_source(self._files, descriptor, path, packed=is_compressed(path))
                result = self._classify(path, source, identity, surroundings, trusted=trusted)
        except CompressedError as error:
            return self._refuse(path, identity, seen, error.strerror or str(error))
        except OSError:
            return Undecided.YET
        finally:
            if not isinstance(result, Found):
                source.close() if source else self._files.close(descriptor)
        return result

    def _unreadable(self, path: str, identity: Identity, *, trusted: bool) -> str | None:
        if path not in self._lineage and trusted:
            return None
        return None if self._known_files.is_ignored(identity) else why_not(path)

    def _refuse(self, path: str, identity: Identity, seen: Seen, reason: str) -> Classification:
        """A compressed file that can't be read to its end."""
        self._lose(PossibleLoss(f"cannot be unpacked: {reason}", path))
        self._lineage.settle(path)
        return IgnoredFile(*identity, seen.changed)

    def _classify(
        self, path: str, source: Source, identity: Identity, surroundings: Surroundings, *, trusted: bool
    ) -> Classification:
        seen = source.seen()
        if is_compressed(path) and (read := self._known_files.let_go_at(identity, seen.modified)):
            # Nobody appends to it, and to look for where it ended would decompress all of it in each start.
            self._known_files.has_nothing_new(read, seen.changed)
            return Undecided.NEW
        recalled = self._known_files.recall(identity, seen.size, source.read)
        if recalled:
            position = recalled.position
            grows = not is_compressed(path)  # nobody appends to what is compressed
            is_wanted = recalled.lost is not None or self._known_files.is_expected(position)
            if is_wanted or (grows and source.read(1, position.offset)):
                if recalled.lost:
                    self._lose(recalled.loss(path))
                return Found(source, position._replace(name=path))
            self._known_files.has_nothing_new(position, seen.changed)
            return Undecided.NEW
        ignored_file = IgnoredFile(*identity, seen.changed)
        descends = path in self._lineage
        if self._known_files.is_ignored(identity) and not (descends and identity.version is None):
            return ignored_file
        if is_compressed(path) and (plain := self._plain_of(path)):
            # It is read, or was; this one is made of it, and perhaps not finished. A plain file that was not
            # looked at yet may be gone by then.
            is_known = plain in surroundings.held or self._known_files.accounts_for(plain)
            return Undecided.NEW if is_known or trusted else Undecided.YET
        fresh = Found(source, Position(identity, path, 0, b"", b"", False))
        if descends:
            return fresh
        if trusted:
            return self._classify_growth(fresh, seen, surroundings) or ignored_file
        return self._classify_text(fresh, ignored_file, surroundings)

    def _classify_growth(self, fresh: Found, seen: Seen, surroundings: Surroundings) -> Found | None:
        """What was let go, written to once more, and compressed before anybody looked again. Compressing
        keeps the time of the last write: with that of a file that was let go, there is nothing more in it."""
        path, source = fresh.position.name, fresh.source
        if not is_compressed(path) or self._known_files.was_let_go_at(seen.modified):
            return None
        _, known = self._known_files.resembles(source.read, surroundings.is_present)
        if known is None or self._is_there(known) or not source.read(1, known.offset):
            return None
        return Found(source, known._replace(identity=fresh.position.identity, name=path))

    def _is_there(self, position: Position) -> bool:
        """Whether a generation's own file is where it was seen last."""
        try:
            return self._files.lstat(position.name).key == position.identity[:2]
        except FileNotFoundError:
            return False

    def _classify_text(
        self, fresh: Found, ignored_file: IgnoredFile, surroundings: Surroundings
    ) -> Classification:
        source = fresh.source
        start = source.read(PREFIX_LIMIT, 0)
        if not start:
            return ignored_file if is_compressed(fresh.position.name) else Undecided.YET

        def read(size: int, offset: int) -> bytes:
            if offset + size <= PREFIX_LIMIT:
                return start[offset : offset + size]
            return source.read(size, offset)

        resemblance, position = self._known_files.resembles(read, surroundings.is_present)
        if position:
            twin = next(
                (each for each in surroundings.found if each.position.number == position.number), None
            )
            if twin is None and not self._known_files.is_expected(position) and not read(1, position.offset):
                return ignored_file
            mine = position._replace(identity=fresh.position.identity, name=fresh.position.name)
            return _longer(fresh._replace(position=mine), twin, surroundings) or ignored_file
        if resemblance is Resemblance.COPY or self._is_held(read, surroundings):
            return ignored_file
        # bzip2 gives its file the time of the plain one in whole seconds.
        if source.seen().modified < surroundings.since // SECOND * SECOND:
            return ignored_file
        twin = next((each for each in surroundings.found if _alike(read, each.source.read)), None)
        return _longer(fresh, twin, surroundings) or ignored_file

    def _is_held(self, read: Read, surroundings: Surroundings) -> bool:
        """Whether the text is that of a file which is being read, or was in it before a truncation."""
        return any(
            compare(each.position, read) in _KNOWN or _alike(read, each.source.read)
            for each in surroundings.held.values()
        )

    def _plain_of(self, path: str) -> tuple[int, int] | None:
        """Device and inode of what is compressed as `path`, if that is still there."""
        try:
            return self._files.lstat(plain_name(path)).key
        except FileNotFoundError:
            return None


def _longer(found: Found, twin: Found | None, surroundings: Surroundings) -> Found | None:
    """`found`, if there is no other file with its text in this look, or if that one has less of it."""
    if twin is None:
        return found
    if not goes_beyond(found.source, twin.source):
        return None
    surroundings.found.remove(twin)
    twin.source.close()
    return found


def _alike(one: Read, other: Read) -> bool:
    """Whether one text is the beginning of the other, as far as it has whole lines."""
    offset = 0
    while offset < ALIKE:
        mine, theirs = one(_BLOCK, offset), other(_BLOCK, offset)
        length = min(len(mine), len(theirs))
        if length < _BLOCK:
            lines = mine[:length].rfind(b"\n") + 1
            return mine[:lines] == theirs[:lines] and offset + lines > 0
        if mine != theirs:
            return False
        offset += length
    return True
