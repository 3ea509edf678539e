"""Which part of a file was read before, and in which other one: asked of every text that is known.

Known are the texts of files that are open, which are compared byte by byte, and those of files that were let
go, of which samples are kept and perhaps the last lines (known_files.py). What an open file holds is read
there, to its end, by its own descriptor: another file with its text begins after it.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from qps_service.files.compressed import CompressedError
from qps_service.files.fingerprint import Match, Read, begins_alike, common, compare, fingerprint_of
from qps_service.files.kernel import Files
from qps_service.files.recognition import (
    HELD_LIMIT,
    TAIL_LIMIT,
    KnownPart,
    best_part,
    compare_to_the_end,
    has_differences,
    has_row_of,
    is_proven,
    line_start,
    part_of,
    proves,
    tail_of,
)
from qps_service.files.sources import Source, common_start, count_lines, goes_beyond, size_of
from qps_service.following.announcer import Announcer
from qps_service.following.change import Change, Look, decide
from qps_service.following.generation import Generation
from qps_service.following.known_files import KnownFiles, Resemblance, goes_further, is_same_time
from qps_service.values.positions import Identity, Position

# Two texts that agree in so much are taken for the same, where nothing else tells.
ALIKE = 1 << 20  # bytes
_BLOCK = 1 << 16  # bytes, of such a comparison


class Found(NamedTuple):
    """A text to be read from `position`; whoever gets it owns the source."""

    source: Source
    position: Position
    is_alike: bool = False  # whether it begins like what was read, and nothing proves that it is that


class ReadTexts:
    """The texts of one log's files."""

    def __init__(
        self, files: Files, known_files: KnownFiles, held: Iterable[Generation], announcer: Announcer
    ) -> None:
        """`held`: the files that are open, each time it is gone through."""
        self.held = held
        self._files = files
        self._known_files = known_files
        self._announcer = announcer

    def known_part(
        self, fresh: Found, is_there: Callable[[Position], bool], *, anew: bool = False
    ) -> KnownPart | None:
        """How much of a file stands in those that are open, or was read before. `is_there` tells whether one
        that was let go still is; `anew`: whether the file was created where the log is."""
        source = fresh.source
        parts = [self.part_of_held(each, fresh, anew=anew) for each in self.held]
        retired = self._known_files.known_part(source.read, size_of(source), is_there, anew=anew)
        return self._with_others(best_part([*parts, retired]), source.read)

    def _with_others(self, part: KnownPart | None, read: Read, *former: Position) -> KnownPart | None:
        return part and part._replace(until=self.beyond_others(read, part.until, *former))

    def part_of_held(self, generation: Generation, fresh: Found, *, anew: bool = False) -> KnownPart | None:
        """How much of a file stands in one that is open, and is read there."""
        source, position, _ = fresh
        original, size = generation.source, size_of(source)
        was_cut = is_cut(generation.position, original)
        # What was read of it before that, or what is read there next.
        former = part_of(generation.position, source.read, size, anew=anew) if was_cut else None
        agreed = 0 if was_cut else common(generation.position, source.read)
        if agreed or was_cut:
            agreed = common_start(original, source, agreed)
        if not was_cut and is_renumbered(generation, position.identity, source):
            return KnownPart(line_start(source.read, agreed))
        if not agreed and (anew or was_cut):
            return former
        end = line_start(original.read, original.seen().size)
        tail = tail_of(original.read, end, limit=HELD_LIMIT)
        whole = generation.position._replace(number=0, offset=end, tail=tail)
        named = self.has_name(generation)
        part = part_of(whole, source.read, size, agreed=agreed, has_name=named, anew=anew)
        return best_part([former, part])

    def part_written_over(self, generation: Generation, former: Position) -> KnownPart | None:
        """How much of a text that was written over another one, which was read up to `former`, was read
        before: of that one, or of any other. What a rotation created was empty first: only times tell
        of that."""
        read, size = generation.source.read, size_of(generation.source)
        if not former.offset:
            fresh = Found(generation.source, former)
            others = [each for each in self.held if each is not generation]
            retired = self._known_files.known_part(read, size, lambda _: True, anew=True)
            parts = [retired, *(self.part_of_held(each, fresh, anew=True) for each in others)]
            return self._with_others(best_part(parts), read)
        parts = [part_of(former, read, size, in_place=True)]
        for each in self._opened_before(generation):
            part = part_of(each, read, size, has_name=True)
            # Where that was opened after this file, what stands before its beginning was left to this one.
            if part and (part.until > each.begun or each.number < former.number):
                parts.append(part)
        retired = self._known_files.known_part(read, size, lambda _: True, anew=False)
        return self._with_others(best_part([*parts, retired]), read, former)

    def _opened_before(self, generation: Generation) -> list[Position]:
        """What one that was opened later has in common with it was left to it there."""
        number = generation.position.number
        return [each.position for each in self.held if each.offset and each.position.number < number]

    def after(self, fresh: Found, part: KnownPart) -> Found:
        """A file from where it goes beyond what was read before. This is said, as somebody put it there."""
        source, position, _ = fresh
        self._known_files.goes_on(part.number)
        self._announcer.recognised(position.name, count_lines(source, part.until), part.doubtful)
        return fresh._replace(position=begin_at(source, position, part.until))

    def after_known_part(self, fresh: Found, is_there: Callable[[Position], bool]) -> Found:
        """What somebody put in the log's place, and what was rotated before anybody looked."""
        part = None
        with suppress(CompressedError):  # what is damaged is told of by whoever reads it
            part = self.known_part(fresh, is_there)
        return self.after(fresh, part) if part and part.until else fresh

    def after_held(
        self, fresh: Found, is_there: Callable[[Position], bool], found: Iterable[Found]
    ) -> Found | None:
        """A file that goes on where one that is open does not: that very file on a device which has another
        number since it was mounted again, or a mirror's copy of one that was deleted. `found`: in this look
        so far."""
        source, position, _ = fresh
        for each in self.held:
            if is_renumbered(each, position.identity, source):
                part = self.part_of_held(each, fresh)
                return Found(source, begin_at(source, position, part.until if part else 0))
        for each in self.held:
            if self.has_name(each) or self.is_made_of_held(source, each):
                continue
            if source.descriptor is None and not common(each.position, source.read):
                continue  # it would have to be unpacked to its end
            part = self.part_of_held(each, fresh)
            if part is None or part.doubtful or part.until < each.offset or not source.read(1, part.until):
                continue
            if not self.is_read_further(source, each.position._replace(offset=part.until), found):
                until = self.beyond_others(source.read, part.until)
                if source.read(1, until):
                    begun = begin_at(source, position, until)
                    return self.after_parting(fresh, is_there) or Found(source, begun)
        return None

    def after_parting(self, fresh: Found, is_there: Callable[[Position], bool]) -> Found | None:
        """What a backup has of its own that took the log's place, was written to, and rotated before anybody
        looked. It parts from a text that was read before that ends, and after the end of each of which it
        has all."""
        read, whole, may_part = fresh.source.read, 0, False
        for each in self._known_files.beginning_like(read):
            has_all = compare(each, read) is Match.FULL
            whole = max(whole, each.offset * has_all)
            may_part |= not has_all and common(each, read) > 0
        for held in self.held:
            has_all = are_alike(read, held.source.read)
            if compare(held.position, read) is Match.FULL:
                whole = max(whole, held.offset, held.source.seen().size * has_all)
            may_part |= not has_all and common(held.position, read) > 0
        part = None
        with suppress(CompressedError):  # what is damaged is told of by whoever reads it
            part = self.known_part(fresh, is_there) if may_part else None
        if part is None:
            return None
        certain = part.until - part.doubtful
        goes_on = certain > whole and b"\n" in read(_BLOCK, part.until)
        if not (goes_on or certain == whole < part.until):
            return None
        last = max(part.until - TAIL_LIMIT, 0)
        return self.after(fresh, part) if proves(read(part.until - last, last), by_time=True) else None

    def may_be_copy(self, fresh: Found, *, anew: bool) -> bool:
        """Whether a file of which nothing proves that any part was read is like one that was."""
        source = fresh.source
        if anew:  # by a rotation, unless `cp` or an editor did it
            tail = self._tail(source)
            return any(has_row_of(tail, each.position.tail) for each in self.held)
        return (
            self._known_files.resembles(source.read, lambda _: False)[0] is Resemblance.ALIKE
            or any(begins_alike(each.position, source.read) for each in self.held)
            # It would be a copy, if the original were not there still.
            or self.known_part(fresh, lambda _: False) is not None
        )

    def may_be_written_again(self, generation: Generation, former: Position) -> bool:
        """Whether what was written over a text of which it proves nothing is like one that was read."""
        read = generation.source.read
        if not has_differences(read):
            return False
        if any(begins_alike(each, read) for each in (former, *self._opened_before(generation))):
            return True
        if self._known_files.resembles(read, lambda _: False)[0] is not Resemblance.NONE:
            return True
        return has_row_of(self._tail(generation.source), former.tail)

    def _tail(self, source: Source) -> bytes:
        return tail_of(source.read, line_start(source.read, source.seen().size))

    def resemblance(self, read: Read, modified: int) -> Resemblance:
        """What a text is to those that are being read, or were in their files before a truncation. What has
        the time of the last write to one that was deleted was made of that. `modified`: its st_mtime."""
        is_alike = False
        text = read(TAIL_LIMIT, 0)
        for each in self.held:
            match = compare_to_the_end(each.position, read)
            if match is Match.FULL and is_cut(each.position, each.source):
                return Resemblance.COPY  # as copytruncate leaves it: what more it has is looked for there
            if match in (Match.FULL, Match.PREFIX) or are_alike(read, each.source.read):
                # What both have, be it in what was read before a truncation.
                both = text if match is Match.PREFIX else text[: len(each.source.read(TAIL_LIMIT, 0))]
                if is_proven(read, each.position) or proves(both, context=text):
                    return Resemblance.COPY
                if self._has_all_and_time(read, modified, each) and not self.has_name(each):
                    return Resemblance.COPY
                is_alike = True
        return Resemblance.ALIKE if is_alike else Resemblance.NONE

    def is_like_named(self, read: Read) -> bool:
        """Whether a text is like one that is open and has a name. What was deleted was not truncated, but
        compressed: this is its archive."""
        alike = (
            each
            for each in self.held
            if begins_alike(each.position, read) or are_alike(read, each.source.read)
        )
        return any(self.has_name(each) for each in alike)

    def is_made_of_held(self, source: Source, *held: Generation) -> bool:
        """Whether an archive has the text of one of the files that are open, or of these, and the time of its
        last write: then it has no more. Raises OSError."""
        modified = source.seen().modified
        return source.descriptor is None and any(
            self._has_all_and_time(source.read, modified, each) and are_alike(each.source.read, source.read)
            for each in held or self.held
        )

    def _has_all_and_time(self, read: Read, modified: int, generation: Generation) -> bool:
        """Whether a text that is like one that is open is no shorter, and has the time of its last write. By
        chance two files have that, too, which were written to within a tick of the kernel's clock."""
        seen, size = generation.source.seen(), size_of(generation.source)
        return is_same_time(seen.modified, modified) and bool(not size or read(1, size - 1))

    def is_in_copy(self, source: Source, known: Position) -> bool:
        """Whether a copy of a file that was read, and which took the log's place, is read from there on, and
        has all that the file has."""
        return any(
            known.offset and each.position.begun == known.offset and is_beginning_of(source, each.source)
            for each in self.held
        )

    def is_read_further(self, source: Source, known: Position, found: Iterable[Found]) -> bool:
        """Whether a text that was read up to `known` is that of another file, of which more was read."""
        is_read = self.is_of_open(source, known, found)
        return is_read or self._known_files.read_further(source.read, known, ())

    def is_of_open(self, source: Source, known: Position, found: Iterable[Found]) -> bool:
        """Whether a text that was read up to `known` is that of a file which has all of it, and is open or
        was found in this look."""
        read = source.read
        opened: tuple[Generation | Found, ...] = (*self.held, *found)
        return any(
            goes_further(each.position, known, read)
            or (
                each.position.offset == known.offset
                and begins_alike(each.position, read)
                and is_beginning_of(source, each.source)
            )
            for each in opened
        )

    def is_in_open(self, source: Source, found: Iterable[Found]) -> bool:
        """Whether all of a text stands in a file that is open, or was found in this look."""
        opened: tuple[Generation | Found, ...] = (*self.held, *found)
        return any(is_beginning_of(source, each.source) for each in opened)

    def beyond_others(self, read: Read, place: int, *former: Position) -> int:
        """From where on a text has what stands in no other, nor in `former`, if some follow one another in it
        at `place`: somebody makes one file of several. Only times prove that."""
        while size := self._whole_at(read, place, former):
            place += size
        return place

    def _whole_at(self, read: Read, place: int, former: Iterable[Position]) -> int:
        """How many bytes the longest text has that stands there with all that was read of it."""

        def rest(size: int, offset: int) -> bytes:
            return read(size, place + offset)

        def is_whole(position: Position) -> bool:
            start = rest(min(position.offset, TAIL_LIMIT), 0)
            is_there = compare(position, rest) is Match.FULL
            return is_there and proves(start, strictly=True, by_time=True)

        known = (*self._known_files.beginning_like(rest), *former)
        sizes = [each.offset for each in known if is_whole(each)]
        for held in self.held:
            if is_whole(held.progress):
                # What comes next in both is read in that one.
                original = held.source.read if are_alike(rest, held.source.read) else None
                sizes.append(line_start(original, held.source.seen().size) if original else held.offset)
        return max(sizes, default=0)

    def begins_what_was_read(self, source: Source) -> bool:
        """Whether all that can be read of a damaged archive was read before, as the beginning of a file: that
        stayed where it was when its compression was interrupted."""

        def sound(size: int, offset: int) -> bytes:
            with suppress(CompressedError):
                return source.read(size, offset)
            return b""

        positions = (*self._known_files.beginning_like(sound), *(each.position for each in self.held))
        return any(
            compare_to_the_end(each, sound) is Match.PREFIX and is_proven(sound, each) for each in positions
        )

    def has_name(self, generation: Generation) -> bool:
        """Whether an open file can be found, under the name that the kernel tells: not so where it was
        deleted, or its file system was unmounted."""
        path = generation.source.path()
        return path is not None and self._files.is_at(path, generation.key)


def begin_at(source: Source, fresh: Position, offset: int) -> Position:
    """`fresh` with everything before `offset` left out."""
    prefix, marker, marks = fingerprint_of(source.read, offset)
    tail = tail_of(source.read, offset)
    return fresh._replace(offset=offset, begun=offset, prefix=prefix, marker=marker, marks=marks, tail=tail)


def is_renumbered(generation: Generation, identity: Identity, source: Source) -> bool:
    """Whether a file is the one that is open, on a device that got another number with a mount."""
    held = generation.identity
    if held.device == identity.device or held[1:] != identity[1:]:
        return False
    # Where nothing but the inode's number is the same, all of the text must be, too.
    return identity.version is not None or compare(generation.position, source.read) is Match.FULL


def is_cut(held: Position, source: Source) -> bool:
    """Whether what was read of the file does not stand in it any longer."""
    seen, back = source.seen(), len(held.marker)
    look = Look(*seen.key, seen.size, source.read(back, held.offset - back))
    return decide(held, look) is Change.TRUNCATED


def may_be_cut(known: Position, source: Source) -> bool:
    """Whether a file may have been cut since it was read: nothing tells that of one that was empty then, but
    for the time of its last write."""
    return is_cut(known, source) or (not known.offset and source.seen().modified != known.modified)


def is_same(one: Read, other: Read) -> bool:
    """Whether one text is the beginning of the other, and that is no chance."""
    return are_alike(one, other) and proves(one(TAIL_LIMIT, 0)) and proves(other(TAIL_LIMIT, 0))


def is_beginning_of(source: Source, other: Source) -> bool:
    """Whether a text is the beginning of another one, or all of it: what a copy has of its original."""
    return not goes_beyond(source, other) and are_alike(source.read, other.read)


def are_alike(one: Read, other: Read) -> bool:
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
