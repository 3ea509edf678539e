"""What a file beside the log is: a generation to be read, or one that must not be read (again).

A file's history decides where it is known (lineage.py). Where events were lost, or nobody was
there to see them, its identity and its text decide (known_files.py, read_texts.py): what was read goes
on where it was left, what begins like a file that is held or was read is a copy of it, and what is
older than the log when that was last read was written before.
"""

import os
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

from qps_service.files.compressed import CompressedError, why_not
from qps_service.files.fingerprint import Match, compare
from qps_service.files.kernel import Files, Seen, explain
from qps_service.files.recognition import KnownPart, beginning_of, is_proven
from qps_service.files.rotated_names import is_compressed, plain_name
from qps_service.files.sources import Source, goes_beyond, open_seen, open_source
from qps_service.following.announcer import Announcer
from qps_service.following.generation import Generation
from qps_service.following.known_files import KnownFiles, Resemblance, is_same_time
from qps_service.following.lineage import Lineage
from qps_service.following.read_texts import Found, ReadTexts, are_alike, is_beginning_of, is_same
from qps_service.text.units import SECOND
from qps_service.values.entries import PossibleLoss
from qps_service.values.positions import PREFIX_LIMIT, Identity, IgnoredFile, Position

# Files whose beginnings are read where it is clear that they are not to be counted: while a process runs.
BEGINNINGS = 1024
OLDER = (
    "was not there before, and was last written to before the log was: it is taken for older, and not counted"
)
COPIED = "has the log's text: should the log have been truncated since, as much of it is not counted"


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
        """Whether it is held, beside the log, or where it was seen last. An inode number alone may be another
        file's by now."""
        if position.identity in self._held:
            return True
        path = self._paths.get(position.identity[:2])
        if path is None and not self._files.is_at(position.name, position.identity[:2]):
            return False
        try:
            descriptor = self._files.open(path or position.name)
        except OSError:
            return True
        try:
            return self._files.identity(descriptor) == position.identity
        except OSError:
            return True
        finally:
            self._files.close(descriptor)


class Owners:
    """Whose files are taken, where others than a directory's owner may write to it: root's, the owner's, and
    those of whoever had the log. What somebody else put there is not the log's."""

    def __init__(self, files: Files, known_files: KnownFiles, held: Iterable[Generation]) -> None:
        self._files = files
        self._had = {each.position.owner for each in held} | known_files.owners()
        # By directory; None where only its owner may write.
        self._taken: dict[str, set[int | None] | None] = {}

    def __call__(self, path: str, seen: Seen) -> bool:
        """Whether the file at `path` is somebody else's."""
        directory = os.path.dirname(path)
        if directory not in self._taken:
            self._taken[directory] = self._taken_in(directory)
        taken = self._taken[directory]
        return taken is not None and seen.owner not in taken

    def _taken_in(self, directory: str) -> set[int | None] | None:
        try:
            seen = self._files.stat(directory)
        except OSError:
            return None
        group_and_others = seen.mode[4:10]
        return {0, seen.owner, *self._had} if "w" in group_and_others else None


class Surroundings(NamedTuple):
    """What one look goes by."""

    held: Mapping[tuple[int, int], Generation]  # by device and inode
    is_present: StillThere
    since: int  # st_mtime, nanoseconds: what was last written before is not new
    room: int  # how many may be found at most
    found: list[Found]  # in this look so far
    # Whether the log was replaced since the last look that saw everything: only then may an unknown file
    # beside it have been the log.
    log_was_replaced: bool
    is_foreign: Callable[[str, Seen], bool]  # whether somebody else than the log's owners put a file there
    elsewhere: Collection[str]  # paths where a known file may be, and which tell nothing of others
    # Paths that are named like one where a known file was found, in places never looked into.
    alike: Collection[str]
    # Paths with dates, under which writers have their files: there a file is news by its text, whatever else
    # is the log.
    dated: Container[str] = ()
    made: Container[str] = ()  # paths where hints tell that something was created which was not the log

    def leave_out(self, is_copy: Callable[[Found], bool]) -> None:
        """Of those found so far, since what they are copies of is found."""
        for each in self.found.copy():
            if is_copy(each):
                self.found.remove(each)
                each.source.close()


class Classifier:
    """Classifies one file at a time."""

    def __init__(
        self,
        files: Files,
        known_files: KnownFiles,
        texts: ReadTexts,
        lineage: Lineage,
        announcer: Announcer,
        lose: Callable[[PossibleLoss], object],
    ) -> None:
        """`lose` is told what a file holds that can't be read, or told from what was read."""
        self._announcer = announcer
        self._beginnings = 0
        self._lose = lose
        self._files = files
        self._known_files = known_files
        self._texts = texts
        self._lineage = lineage

    def consider(self, path: str, seen: Seen, surroundings: Surroundings, *, trusted: bool) -> Classification:
        """What the file at `path` is; `trusted`: whether the lineage of names tells everything."""
        if not seen.regular or self._is_accounted_for(path, seen, surroundings):
            return Undecided.NEW
        try:
            descriptor = self._files.open(path)
        except FileNotFoundError:
            return Undecided.YET  # it was there a moment ago
        except OSError as error:
            is_wanted = path in self._lineage or not trusted
            is_known = self._known_files.knows(seen)
            if self._is_told_as_gone(path, seen, surroundings):
                return Undecided.YET
            if is_wanted and not self._is_of_others(path, seen, surroundings, is_known=is_known):
                return Unopenable(explain(error, seen))
            # What was read may have more, once it can be opened.
            return Undecided.NEW if is_known else _ignored(Identity(*seen.key, None), seen)
        result: Classification = Undecided.YET
        source = None
        identity = Identity(*seen.key, None)
        try:
            # Whoever may write to the directory could have put a link here in between.
            if self._files.fstat(descriptor).key == seen.key:
                identity = self._files.identity(descriptor)
                if refused := self._refused(path, identity, seen, surroundings, trusted=trusted):
                    return refused
                source = open_source(self._files, descriptor, path, packed=is_compressed(path))
                fresh = Found(source, Position(identity, path, 0, b"", b"", False, owner=seen.owner))
                result = self._classify(fresh, seen, surroundings, trusted=trusted)
        except CompressedError as error:
            if path in surroundings.elsewhere or self._plain_of(path):
                return Undecided.YET  # it is not the log's, or is being made of what is read there
            if source and self._texts.begins_what_was_read(source):
                return _ignored(identity, seen)
            return self._refuse(path, identity, seen, error.strerror or str(error))
        except OSError:
            return Undecided.YET
        finally:
            if not isinstance(result, Found):
                source.close() if source else self._files.close(descriptor)
        return result

    def _is_accounted_for(self, path: str, seen: Seen, surroundings: Surroundings) -> bool:
        """Whether the file is open, was found in this look by another name, or is as it was when there was
        nothing new in it."""
        if seen.key in surroundings.held:
            surroundings.held[seen.key].moved_to(path)
            return True
        is_found = any(each.position.identity[:2] == seen.key for each in surroundings.found)
        return is_found or self._known_files.is_unchanged(seen)

    def _refused(
        self, path: str, identity: Identity, seen: Seen, surroundings: Surroundings, *, trusted: bool
    ) -> Classification | None:
        """A file that is not to be looked into."""
        is_known = self._known_files.has(identity)
        if self._is_of_others(path, seen, surroundings, is_known=is_known):
            if not trusted:
                self._announcer.foreign(path, seen)
            return _ignored(identity, seen)
        if is_compressed(path) and (reason := self._unreadable(path, identity, trusted=trusted)):
            return self._refuse(path, identity, seen, reason)
        return None

    def _is_of_others(self, path: str, seen: Seen, surroundings: Surroundings, *, is_known: bool) -> bool:
        """Whether somebody else put the file there: then its text is nobody's business, be it damaged, or
        large, or like the log's."""
        return not (is_known or self._descends(path, surroundings)) and surroundings.is_foreign(path, seen)

    def _is_told_as_gone(self, path: str, seen: Seen, surroundings: Surroundings) -> bool:
        """Whether nothing but an inode's number tells that a file which can't be opened is what is awaited,
        and it is somebody's who never had the log. What is awaited and not found is told in any case."""
        owners = self._known_files.owners()
        awaited = [each for each in self._known_files.expected() if each.identity.inode == seen.inode]
        is_strange = bool(owners) and seen.owner not in {0, *owners}
        has_name = path not in surroundings.elsewhere or any(each.name == path for each in awaited)
        return bool(awaited) and is_strange and not has_name

    def _descends(self, path: str, surroundings: Surroundings) -> bool:
        """Whether the history of its names tells that the file was the log."""
        return path in self._lineage and path not in surroundings.dated

    def _unreadable(self, path: str, identity: Identity, *, trusted: bool) -> str | None:
        if path not in self._lineage and trusted:
            return None
        return None if self._known_files.ignored.has(identity) else why_not(path)

    def _refuse(self, path: str, identity: Identity, seen: Seen, reason: str) -> Classification:
        """A compressed file that can't be read to its end."""
        self._lose(PossibleLoss(f"cannot be unpacked: {reason}", path))
        self._lineage.settle(path)
        return _ignored(identity, seen)

    def is_one_of(self, path: str, seen: Seen, awaited: Iterable[Position]) -> bool:
        """Whether the file at `path` is one of these generations: by its inode's version, or where there is
        none, by its text."""
        if (opened := open_seen(self._files, path, seen)) is None:
            return False
        source, identity = opened
        try:
            mine = [each for each in awaited if each.identity[1:] == identity[1:]]
            if identity.version is not None:
                return bool(mine)
            return any(compare(position, source.read) is Match.FULL for position in mine)
        except OSError:
            return False
        finally:
            source.close()

    def as_awaited(
        self,
        path: str,
        seen: Seen,
        awaited: Collection[Position],
        surroundings: Surroundings,
        *,
        certain: bool,
    ) -> Found | None:
        """The file at `path`, if it has all that was read of one of these generations; then that goes on
        there. `certain`: whether that has to prove that it is the one."""
        if surroundings.is_foreign(path, seen) or (opened := open_seen(self._files, path, seen)) is None:
            return None
        source, identity = opened
        with suppress(OSError):  # what can't be read is not what is awaited
            # What was compressed while it was still read was left out for that.
            may_be = is_compressed(path) or not self._known_files.ignored.recall(identity, seen)
            is_others = is_compressed(path) and self._known_files.was_let_go_at(
                seen.modified, plain_name(path)
            )
            # A mirror has all that was read of the file that it replaced.
            for position in sorted(awaited if may_be else (), key=lambda each: each.offset, reverse=True):
                if compare(position, source.read) is not Match.FULL:
                    continue
                has_time = is_same_time(position.modified, seen.modified)
                if certain and not (has_time or is_proven(source.read, position)):
                    continue
                if not has_time and (
                    is_others or self._texts.is_read_further(source, position, surroundings.found)
                ):
                    break
                fresh = Found(source, Position(identity, path, 0, b"", b"", False, owner=seen.owner))
                if parted := self._texts.after_parting(fresh, surroundings.is_present):
                    return parted
                return Found(source, position._replace(identity=identity, name=path))
        source.close()
        return None

    def _classify(
        self, fresh: Found, seen: Seen, surroundings: Surroundings, *, trusted: bool
    ) -> Classification:
        (source, position, _), ignored = fresh, self._known_files.ignored
        path, identity = position.name, position.identity
        if known := self._classify_known(fresh, seen, surroundings):
            return known
        if path in surroundings.elsewhere:
            return Undecided.NEW
        if not is_compressed(path) and (again := self._after_held(fresh, surroundings)):
            return again
        descends = self._descends(path, surroundings)
        if ignored.recall(identity, seen) and not (descends and identity.version is None):
            return self._to_ignore(source, identity, seen)
        if is_compressed(path) and (plain := self._plain_of(path)):
            # It is read, or was; this one is made of it, and perhaps not finished. A plain file that was not
            # looked at yet may be gone by then.
            is_known = plain in surroundings.held or self._known_files.accounts_for(plain)
            return Undecided.NEW if is_known or trusted else Undecided.YET
        if descends:
            return self._original(fresh, surroundings)
        if trusted:
            found = self._classify_growth(fresh, seen, surroundings)
            return found or self._to_ignore(source, identity, seen)
        if path in surroundings.made and self._texts.is_in_open(source, surroundings.found):
            return self._to_ignore(source, identity, seen)
        return self._classify_text(fresh, seen, surroundings)

    def _classify_known(
        self, fresh: Found, seen: Seen, surroundings: Surroundings
    ) -> Found | Undecided | None:
        """A file that was read; None if its identity does not tell that it was."""
        source, (identity, path, *_), _ = fresh
        known_files = self._known_files
        if is_compressed(path) and (read := known_files.let_go_at(identity, seen.modified)):
            # Nobody appends to it, and to look for where it ended would decompress all of it in each start.
            known_files.has_nothing_new(read, seen.changed)
            return Undecided.NEW
        recalled = known_files.recall(identity, source.seen().size, source.read)
        if recalled is None or self._is_by_chance(path, recalled.position, source, surroundings):
            return None
        position = recalled.position
        grows = not is_compressed(path)  # nobody appends to what is compressed
        is_wanted = recalled.lost is not None or known_files.is_expected(position)
        if grows and self._texts.is_in_copy(source, position):
            is_wanted = grows = False
        if is_wanted or (grows and source.read(1, position.offset)):
            if recalled.lost:
                self._lose(recalled.loss(path))
            number = position.number
            surroundings.leave_out(lambda copy: 0 < number == copy.position.number)
            if grows and (beyond := self._beyond_others(fresh, position)):
                known_files.goes_on(position.number)
                known_files.has_nothing_new(position, seen.changed)
                return beyond
            return Found(source, position._replace(name=path))
        known_files.has_nothing_new(position, seen.changed)
        return Undecided.NEW

    def _beyond_others(self, fresh: Found, known: Position) -> Found | Undecided | None:
        """What a file has that was read up to `known`, and is followed there by texts of others."""
        until = self._texts.beyond_others(fresh.source.read, known.offset)
        if until == known.offset:
            return None
        return self._texts.after(fresh, KnownPart(until)) if fresh.source.read(1, until) else Undecided.NEW

    def _after_held(self, fresh: Found, surroundings: Surroundings) -> Found | None:
        return self._texts.after_held(fresh, surroundings.is_present, surroundings.found)

    def _is_by_chance(self, path: str, known: Position, source: Source, surroundings: Surroundings) -> bool:
        """Whether the file has but the inode's number of one that was read: without a version, and with no
        text to compare, that may be any other file's by now."""
        if known.identity.version is not None or known.offset:
            return False
        moved = path in surroundings.elsewhere and path != known.name
        return moved or self._texts.is_read_further(source, known, surroundings.found)

    def _original(self, fresh: Found, surroundings: Surroundings) -> Found:
        """What was the log, by the history of its names. A file with its text that was found in this look is
        a copy, or may be one, where neither lines nor hints prove it."""
        source, path, found = fresh.source, fresh.position.name, surroundings.found
        if self._lineage.was_put(path):
            fresh = self._texts.after_known_part(fresh, surroundings.is_present)
        else:
            surroundings.leave_out(
                lambda copy: (
                    copy.position.name not in self._lineage and is_same(source.read, copy.source.read)
                )
            )
        surroundings.leave_out(
            lambda copy: copy.position.name in surroundings.made and is_beginning_of(copy.source, source)
        )
        for place, (other, position, _) in enumerate(found):
            is_new = not (position.number or position.offset or self._lineage.carries(position.name))
            if is_new and are_alike(other.read, source.read):
                found[place] = found[place]._replace(is_alike=True)
        return fresh

    def _to_ignore(self, source: Source, identity: Identity, seen: Seen) -> IgnoredFile:
        """It, with the beginning of its text; of so many files beside a log only, since looking takes
        time."""
        self._beginnings += 1
        return _ignored(
            identity, seen, source.read(PREFIX_LIMIT, 0) if self._beginnings <= BEGINNINGS else b""
        )

    def _classify_growth(self, fresh: Found, seen: Seen, surroundings: Surroundings) -> Found | None:
        """What has more of a generation than was read of it, whose own file is gone: written to once more and
        compressed, before anybody looked again; or what a mirror has of it, which never renames but writes
        anew. Compressing keeps the time of the last write: with that of a file that was let go, there is no
        more in it."""
        path, plain = fresh.position.name, None
        if is_compressed(path):
            plain = plain_name(path)
            if self._known_files.was_let_go_at(seen.modified, plain):
                return None
            if again := self._after_held(fresh, surroundings):
                return again
        resemblance, known = self._known_files.resembles(
            fresh.source.read, surroundings.is_present, name=plain
        )
        if not known or resemblance is not Resemblance.CONTINUED:
            return None
        if not known.offset and seen.modified < _whole_seconds(known.modified):
            return None  # nothing of it was read, so only the name tells: it may be out of an older backup
        return self._continued(fresh, known, surroundings)

    def _continued(self, fresh: Found, known: Position, surroundings: Surroundings) -> Found | None:
        """A file with all that was read of another one, which is gone: it goes on there, unless it has no
        more, or that is read elsewhere."""
        source, position, _ = fresh
        if self._texts.is_of_open(source, known, surroundings.found):
            return None
        twin = next((each for each in surroundings.found if each.position.number == known.number), None)
        is_wanted = twin or self._known_files.is_expected(known)
        if not is_wanted and not source.read(1, known.offset):
            return None
        if beyond := self._beyond_others(fresh, known):
            self._known_files.goes_on(known.number)
            return _longer(beyond, twin, surroundings) if isinstance(beyond, Found) else None
        continued = known._replace(identity=position.identity, name=position.name)
        return _longer(Found(source, continued), twin, surroundings)

    def _classify_text(self, fresh: Found, seen: Seen, surroundings: Surroundings) -> Classification:
        source, (identity, path, *_), _ = fresh
        start = source.read(PREFIX_LIMIT, 0)
        mine = _ignored(identity, seen, start)
        if not start and path in surroundings.dated and seen.modified < _last_read(surroundings):
            return fresh  # nobody is about to write a copy to it
        if not start:
            return mine if is_compressed(path) else Undecided.YET
        if mine.digest and self._known_files.ignored.has_text(mine.digest):
            return mine

        def read(size: int, offset: int) -> bytes:
            is_there = offset + size <= PREFIX_LIMIT
            return start[offset : offset + size] if is_there else source.read(size, offset)

        resemblance, known = self._known_files.resembles(read, surroundings.is_present, seen.modified)
        held = self._texts.resemblance(read, seen.modified)
        is_continued, is_copy = resemblance is Resemblance.CONTINUED, Resemblance.COPY in (resemblance, held)
        may_be_news = surroundings.log_was_replaced and seen.modified >= _whole_seconds(surroundings.since)
        may_have_parted = is_continued or (is_copy and may_be_news)
        may_have_parted = may_have_parted and not self._texts.is_in_open(source, surroundings.found)
        if may_have_parted and (parted := self._texts.after_parting(fresh, surroundings.is_present)):
            return parted
        if known and is_continued:
            return self._continued(fresh, known, surroundings) or mine
        if is_copy:
            # A mirror that was rotated and compressed before anybody looked may have more.
            return (self._after_held(fresh, surroundings) if is_compressed(path) else None) or mine
        if not surroundings.log_was_replaced:
            if known and plain_name(path) == known.name != path and not surroundings.is_present(known):
                return self._continued(fresh, known, surroundings) or mine
            if (
                held is Resemblance.ALIKE
                and seen.changed >= surroundings.since
                and self._texts.is_like_named(read)
            ):
                # A log that was cut and has the same lines again, as many or more, is as if nothing had been.
                self._lose(PossibleLoss(COPIED, path, None if is_compressed(path) else seen.size))
            return mine
        if known and is_compressed(path) and seen.modified <= known.modified:
            return mine  # it begins like what was read, and nothing was written to it since
        is_alike = Resemblance.ALIKE in (resemblance, held)
        return self._classify_new(fresh, seen, surroundings, mine, is_alike=is_alike)

    def _classify_new(
        self, fresh: Found, seen: Seen, surroundings: Surroundings, mine: IgnoredFile, *, is_alike: bool
    ) -> Classification:
        """A file with a text of its own, as far as anything proves: it was the log, unless it is older."""
        path, since = fresh.position.name, _whole_seconds(surroundings.since)
        if seen.modified < since and path in surroundings.alike:
            return mine
        if seen.modified < since <= seen.changed:
            # Unpacked from an archive, or given another time. (Where the clock went back, both times are
            # older.)
            if self._known_files.ignored.are_many:
                return Undecided.NEW  # one that is not remembered, under another name
            if plain_name(path) not in surroundings.dated:  # an earlier day
                self._lose(PossibleLoss(OLDER, path, None if is_compressed(path) else seen.size))
            return mine
        read = fresh.source.read
        twin = next((each for each in surroundings.found if is_same(read, each.source.read)), None)
        if (found := _longer(fresh, twin, surroundings)) is None:
            return mine
        # Somebody may have put it in the log's place before it was rotated.
        found = self._texts.after_known_part(found, surroundings.is_present)
        is_alike = is_alike or any(are_alike(read, each.source.read) for each in surroundings.found)
        return found._replace(is_alike=is_alike and not found.position.offset)

    def _plain_of(self, path: str) -> tuple[int, int] | None:
        """Device and inode of what is compressed as `path`, if that is still there."""
        try:
            return self._files.lstat(plain_name(path)).key
        except FileNotFoundError:
            return None


def _whole_seconds(nanoseconds: int) -> int:
    """As bzip2 gives its file the time of the plain one."""
    return nanoseconds // SECOND * SECOND


def _last_read(surroundings: Surroundings) -> int:
    """When the log was written to before the last read; st_mtime, nanoseconds."""
    return max((each.position.modified for each in surroundings.held.values()), default=0)


def _longer(found: Found, twin: Found | None, surroundings: Surroundings) -> Found | None:
    """`found`, if there is no other file with its text in this look, or if that one has less of it."""
    if twin is None:
        return found
    if not goes_beyond(found.source, twin.source):
        return None
    surroundings.leave_out(lambda copy: copy is twin)
    return found


def _ignored(identity: Identity, seen: Seen, start: bytes = b"") -> IgnoredFile:
    """A file that begins with `start`, to be remembered."""
    return IgnoredFile(*identity, seen.changed, seen.size, seen.modified, beginning_of(start))
