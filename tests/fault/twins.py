"""Followers that are broken on purpose, each in the way of a known mistake."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any

from qps_service.files import recognition
from qps_service.files.kernel import Seen
from qps_service.files.rotated_names import is_compressed, plain_name
from qps_service.following import discovery, read_texts
from qps_service.following.classification import Surroundings, Undecided
from qps_service.following.follower import Follower
from qps_service.following.generation import Chunk, Generation
from qps_service.following.hints import Arrival
from qps_service.following.known_files import Recalled, Resemblance
from qps_service.following.lineage import Descent
from qps_service.following.read_texts import Found
from qps_service.following.resume import NOTHING_KNOWN
from qps_service.values.positions import Directives, IgnoredFile
from tests.promised import nothing, sets, twin


@contextmanager
def replaced(name: str, value: object, *owners: object) -> Iterator[None]:
    """Meanwhile their part of this name is another one. unittest.mock would double the time that a broken
    program takes to start."""
    parts = [getattr(owner, name) for owner in owners]
    try:
        for owner in owners:
            setattr(owner, name, value)
        yield
    finally:
        for owner, part in zip(owners, parts, strict=True):
            setattr(owner, name, part)


class Spoilt(Follower):
    """Breaks a part of what it is made of."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.spoil()

    def spoil(self) -> None:
        raise NotImplementedError


def _holder(follower: Follower, part: str) -> tuple[Any, str]:
    """What has this part of a follower, which is written as from itself: a.b.c."""
    *owners, attribute = part.split(".")
    owner = reduce(getattr, owners, follower)
    assert hasattr(owner, attribute)
    return owner, attribute


def spoilt(name: str, *parts: Any) -> type[Follower]:
    """One that has something else for each of its parts: a part, and the other."""

    def spoil(follower: Follower) -> None:
        for part, value in zip(parts[::2], parts[1::2], strict=True):
            setattr(*_holder(follower, part), value)

    return type(name, (Spoilt,), {"spoil": spoil})


def around(name: str, part: str, instead: Callable[..., Any]) -> type[Follower]:
    """One whose part is asked through another, which gets the real one first."""

    def spoil(follower: Follower) -> None:
        holder = _holder(follower, part)
        setattr(*holder, partial(instead, getattr(*holder)))

    return type(name, (Spoilt,), {"spoil": spoil})


def while_reading(name: str, part: str, value: object, *owners: object) -> type[Follower]:
    """One for whose reads this part of these modules or classes is another."""

    def read(self: Follower, now: int) -> Iterator[Chunk]:
        with replaced(part, value, *owners):
            yield from Follower.read(self, now)

    return type(name, (Follower,), {"read": read})


def unlike(*_: Any, **__: Any) -> tuple[Resemblance, None]:
    """What a twin finds instead of a resemblance."""
    return Resemblance.NONE, None


# Remembers nothing of what it let go.
Forgets = spoilt("Forgets", "_known_files.retire", lambda position: None)
# Leaves what it lets go in systemd's store, and so on the disk, until that is full.
LeavesInStore = spoilt("LeavesInStore", "_held._keeper.drop", lambda position: None)
# Never looks at the files beside the log.
LooksAtTheLogOnly = spoilt("LooksAtTheLogOnly", "_discovery.find", lambda *_: ([], False))
# Begins at the last byte instead of the last line.
StartsAtTheVeryEnd = spoilt("StartsAtTheVeryEnd", "_start._line_before", lambda source, size: size)
# Says nothing of a file that it can't find again.
NeverGivesUp = spoilt("NeverGivesUp", "_abandon_expected", lambda: None)
# Goes on in a truncated log as if nothing else had been in it.
LooksForNoCopy = spoilt("LooksForNoCopy", "_copies_of_truncated", lambda now: iter(()))
# Counts what it doubts without a word.
SaysNoDuplicate = spoilt("SaysNoDuplicate", "_announcer.possible_duplicate", lambda *_, **__: None)
# Takes every text that it does not know for a new one.
IgnoresTimes = spoilt("IgnoresTimes", "_since", 0)
# Takes every file that it opens for one that was written to just now.
KnowsNoTimes = spoilt("KnowsNoTimes", "_epoch", None)
# Takes every file for one that nobody has written to for years.
BelievesAnyClock = spoilt("BelievesAnyClock", "_epoch", 2 * 10**18)
# Awaits what was read to its end as well.
NeverLetsGo = spoilt("NeverLetsGo", "_held._is_over", lambda generation, now: False)
# At the first look all other days are old.
KeepsTheLastDayOnly = spoilt("KeepsTheLastDayOnly", "_directories.lately", lambda *_: [])
# After a stop, too.
LooksIntoTheLatestOnly = spoilt("LooksIntoTheLatestOnly", "_directories._is_missed", lambda _: False)
# Reads each file with a date that appears, whatever its text.
TrustsDates = spoilt("TrustsDates", "_discovery._classifier._classify_text", lambda fresh, *_, **__: fresh)
# Takes any file with a date for the log, where there is none that is later.
FallsBack = spoilt("FallsBack", "_may_be_log", lambda: lambda *_: True)
# Knows files by their numbers alone.
KnowsNoText = spoilt("KnowsNoText", "_known_files.resembles", unlike, "_known_files.known_part", nothing)
# Takes a file that nobody read for a new one, whatever its text.
ReadsCopiesAnew = spoilt(
    "ReadsCopiesAnew",
    "_start._after_known_part",
    lambda fresh, *_: fresh.position,
    "_known_files.resembles",
    unlike,
)
# Looks for files of a log by what rotations call them alone.
LooksByNames = spoilt(
    "LooksByNames",
    *("_discovery._search.by_inode", lambda *_, **__: {}),
    *("_discovery._search.by_time", lambda *_, **__: {}),
    *("_discovery._look_where_they_were", lambda *_: {}),
)
# Looks for rotated files beside the log only.
StaysInItsDirectory = spoilt(
    "StaysInItsDirectory",
    *("_directories._aside", []),
    *("_directories.learn", lambda path: False),
    *("_discovery._search._places", lambda _, directories, **__: iter([each.path for each in directories])),
)
# Closes what it holds before it opens what is new, as `tail -F` does.
ClosesFirst = twin(Follower, "ClosesFirst", "_open_log", first=lambda self: self._held.close())
# Takes a log that systemd kept for the one that the last commit knew.
BelievesThatTheLogStayed = twin(
    Follower, "BelievesThatTheLogStayed", "_take_back", then=sets(_is_replaced=False)
)
# Says the same trouble at every look.
SaysEachTime = twin(
    Follower, "SaysEachTime", "read", first=lambda self: vars(self._announcer).update(trouble=None)
)
# Reads a log that the machine's end has cut from its start again.
TakesShorterForTruncated = spoilt("TakesShorterForTruncated", "_known_files._rebooted", False)


class WithOtherGenerations(Spoilt):
    """Changes each generation that is opened."""

    def spoil(self) -> None:
        adopt = self._held.adopt

        def changing(*rest: Any, **more: Any) -> Generation:
            generation = adopt(*rest, **more)
            self.change(generation)
            return generation

        self._held.adopt = changing  # type: ignore[method-assign]

    def change(self, generation: Generation) -> None:
        raise NotImplementedError


# Takes whatever differs in its number from a rotated file's path for the log's.
LooksInEveryDirectoryAlike = around(
    "LooksInEveryDirectoryAlike",
    "_discovery._search.named_like",
    lambda named_like, paths, log: named_like(paths, ""),
)


def in_other_surroundings(name: str, **other: Any) -> type[Follower]:
    """One that classifies each file by other surroundings."""

    def considered(consider: Any, path: str, seen: Seen, surroundings: Surroundings, **more: Any) -> Any:
        return consider(path, seen, surroundings._replace(**other), **more)

    return around(name, "_discovery._classifier.consider", considered)


# Asks for nobody's name.
TakesEveryOwnersFiles = in_other_surroundings("TakesEveryOwnersFiles", is_foreign=lambda path, seen: False)
# Takes the log for rotated, whatever became of it.
SuspectsARotation = in_other_surroundings("SuspectsARotation", log_was_replaced=True)
# Takes files of the directory's owner alone.
KnowsNoFormerOwner = in_other_surroundings(
    "KnowsNoFormerOwner", is_foreign=lambda path, seen: seen.owner != 0
)


def of_all_owners(copy_of: Any, *given: Any) -> Any:
    with replaced("Owners", lambda *_: lambda path, seen: False, discovery):
        return copy_of(*given)


# Takes every owner's file for what a truncation took away.
TakesEveryOwnersCopies = around("TakesEveryOwnersCopies", "_discovery.copy_of", of_all_owners)


class GoesByTimes(Spoilt):
    """Takes what has an earlier time for older, whenever the file came."""

    def spoil(self) -> None:
        classifier = self._discovery._classifier
        consider = classifier.consider

        def considered(path: str, seen: Seen, surroundings: Surroundings, **more: Any) -> Any:
            is_old = seen.modified < surroundings.since and not self._known_files.knows(seen)
            return Undecided.NEW if is_old else consider(path, seen, surroundings, **more)

        classifier.consider = considered  # type: ignore[method-assign]


class TrustsDevices(Spoilt):
    """Takes a file on a device with another number for another file."""

    def spoil(self) -> None:
        known, ignored = self._known_files, self._known_files.ignored
        find = known._find

        def on_its_device(identity: Any) -> Any:
            position = find(identity)
            return position if position and position.identity == identity else None

        known._find = on_its_device  # type: ignore[method-assign]
        known.resembles = lambda *_, **__: (Resemblance.NONE, None)  # type: ignore[method-assign]
        known.known_part = lambda *_, **__: None  # type: ignore[method-assign]
        ignored.recall = lambda identity, seen: ignored.has(identity)  # type: ignore[method-assign]
        ignored.has_text = lambda digest: False  # type: ignore[method-assign]


class ForgetsWhatIsOld(Spoilt):
    """Knows what was before our time by device and inode alone."""

    def spoil(self) -> None:
        ignored = self._known_files.ignored
        ignored.recall = lambda identity, seen: ignored.has(identity)  # type: ignore[method-assign]
        ignored.has_text = lambda digest: False  # type: ignore[method-assign]


# Takes a file beside the log for a new one unless it goes on where one that was read ends.
ReadsRotatedCopiesAnew = spoilt(
    "ReadsRotatedCopiesAnew",
    "_discovery._texts.after_known_part",
    lambda fresh, surroundings: fresh,
)


class ReadsAnewInPlace(WithOtherGenerations):
    """Reads a file from its start once it was cut, whatever was written into it."""

    def change(self, generation: Generation) -> None:
        generation._leave_out_copy = lambda size: None  # type: ignore[method-assign]


class BelievesInEqualTexts(Follower):
    """Takes equal lines for a proof, as an identity by text alone does, however the file came."""

    def read(self, now: int) -> Iterator[Chunk]:
        self._discovery.take_arrival = lambda path: Arrival.UNSEEN  # type: ignore[method-assign]
        with replaced("proves", lambda *_, **__: True, recognition, read_texts):
            yield from super().read(now)


class LetsGoAtOnce(Follower):
    """Lets an old generation go when it is at its end for the first time."""

    def read(self, now: int) -> Iterator[Chunk]:
        yield from super().read(now)
        for generation in self._held:
            if generation is not self._held.current:
                self._held._generations.remove(generation)
                generation.source.close()


class TrustsNames(Spoilt):
    """Takes every new file with a fitting name for a generation."""

    def spoil(self) -> None:
        discovery = self._discovery
        consider = discovery._classifier.consider

        def trusting(path: str, *rest: Any, **keywords: Any) -> Any:
            discovery._lineage._names[path] = Descent()
            return consider(path, *rest, **keywords)

        discovery._classifier.consider = trusting  # type: ignore[method-assign]


class DistrustsEverything(Spoilt):
    """Believes renames only; after an overflow it finds nothing."""

    def spoil(self) -> None:
        find = self._discovery.find

        def sure(*arguments: Any) -> tuple[list[Found], bool]:
            self._discovery._lineage.is_complete = True
            return find(*arguments)

        self._discovery.find = sure  # type: ignore[assignment]


class BySizeOnly(WithOtherGenerations):
    """Sees a truncation by the size alone, as most peers do."""

    def change(self, generation: Generation) -> None:
        advance = generation._advance

        def without_marker(consumed: bytes) -> None:
            advance(consumed)
            generation._marker = b""

        generation._advance = without_marker  # type: ignore[method-assign]


class TakesAnyCopy(Follower):
    """Takes an older file with the same lines for the copy."""

    def _copies_of_truncated(self, now: int) -> Iterator[Generation]:
        self._held._cut = [position._replace(modified=0) for position in self._held._cut]
        return super()._copies_of_truncated(now)


class KeepsThePartialLine(WithOtherGenerations):
    """Buffers a partial line, and joins it to whatever comes next."""

    def change(self, generation: Generation) -> None:
        consume = generation._consume

        def eager(body: bytes) -> Chunk | None:
            end = body.rfind(b"\n") + 1
            if end:
                return consume(body)
            generation._advance(body)
            return Chunk(generation, body)

        generation._consume = eager  # type: ignore[method-assign]


class _Nobody:
    directives = Directives()

    def counted(self, lines: int, rejected: int, directives: Directives) -> None:
        pass


class ByInodeNumber(Follower):
    """Goes on at its offset in a file with the number of the one before, and keeps none from reuse."""

    _offset = 0

    def read(self, now: int) -> Iterator[Chunk]:
        with open(self.path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        yield Chunk(_Nobody(), data)  # type: ignore[arg-type]


# Looks only where the link is, not where it leads.
IgnoresTheLink = around("IgnoresTheLink", "_directories.look", lambda look, *given: look(*given)[:1])


class StartsAnew(Follower):
    """Knows nothing of an earlier process."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **{**keywords, "resume": NOTHING_KNOWN})


class IgnoresArchives(Spoilt):
    """Reads no compressed files."""

    def spoil(self) -> None:
        def but_archives(find: Any) -> Any:
            return lambda *rest, **more: {
                path: each for path, each in find(*rest, **more).items() if not is_compressed(path)
            }

        discovery, search = self._discovery, self._discovery._search
        candidates = discovery._candidates
        discovery._candidates = lambda *rest, **more: (  # type: ignore[method-assign]
            path for path in candidates(*rest, **more) if not is_compressed(path)
        )
        search.by_time = but_archives(search.by_time)  # type: ignore[method-assign]
        search.by_inode = but_archives(search.by_inode)  # type: ignore[method-assign]


class TakesNothingBack(Follower):
    """Closes what systemd hands it."""

    def _take_back(self, now: int) -> None:
        for handed in self._handed:
            os.close(handed.descriptor)
        self._handed = ()


class ByPrefixOnly(Spoilt):
    """Takes what begins alike for the same, as most peers do."""

    def spoil(self) -> None:
        def resembles(read: Any, is_present: Any, modified: Any = None, name: Any = None) -> Any:
            for position in self._known_files._retired.values():
                if position.prefix and read(len(position.prefix), 0) == position.prefix:
                    return Resemblance.COPY, None
            return Resemblance.NONE, None

        self._known_files.resembles = resembles  # type: ignore[method-assign]


class ReadsHoles(WithOtherGenerations):
    """Takes the zeros of a hole for the beginning of a line."""

    def change(self, generation: Generation) -> None:
        def whole(body: bytes) -> Chunk | None:
            lines = body[: body.rfind(b"\n") + 1]
            if not lines:
                generation._advance(body)
                return Chunk(generation, b"", oversize=body)
            generation._advance(lines)
            return Chunk(generation, lines)

        generation._consume = whole  # type: ignore[method-assign]


class LeavesWhatWasCut(Spoilt):
    """Sees that the machine's end has cut a rotated file, and does not remember how it is now."""

    def spoil(self) -> None:
        recall = self._known_files.recall

        def forgetful(*rest: Any, **more: Any) -> Recalled | None:
            recalled = recall(*rest, **more)
            if recalled and recalled.lost is not None:
                self._known_files._unseen.clear()
                return recalled._replace(lost=None)
            return recalled

        self._known_files.recall = forgetful  # type: ignore[method-assign]


class DoubtsOnlyWhatWasOpen(Spoilt):
    """Takes what had been let go for whole, or for another file."""

    def spoil(self) -> None:
        self._known_files._unseen &= self._known_files._expected


class SkipsTheLineAfterZeros(WithOtherGenerations):
    """Takes zeros for a line that goes on after them."""

    def change(self, generation: Generation) -> None:
        generation._oversize = generation._marker.endswith(b"\0")


# Neither takes back what systemd kept, nor looks for it.
KeepsNothing = type("KeepsNothing", (TakesNothingBack, LooksByNames), {})


class SettlesAtOnce(Follower):
    """Has no doubts after its first look."""

    def _look(self, now: int) -> None:
        super()._look(now)
        discovery = self._discovery
        discovery._resuming = discovery._is_full = False
        discovery._doubtful, discovery._doubtful_paths, discovery._since = {}, {}, None


class ClassifiesArchivesOnce(Spoilt):
    """Leaves an archive alone for good where there is a plain file beside it."""

    def spoil(self) -> None:
        classifier, files = self._discovery._classifier, self._files
        consider = classifier.consider

        def hasty(path: str, seen: Seen, *rest: Any, **keywords: Any) -> Any:
            has_plain = is_compressed(path) and os.path.exists(plain_name(path))
            classification = consider(path, seen, *rest, **keywords)
            if not has_plain or isinstance(classification, Found):
                return classification
            descriptor = files.open(path)
            identity = files.identity(descriptor)
            files.close(descriptor)
            return IgnoredFile(*identity, seen.changed)

        classifier.consider = hasty  # type: ignore[method-assign]


class ThinksNothingWent(Spoilt):
    """Looks for no others where a file is still where it was seen last."""

    def spoil(self) -> None:
        named_like = self._discovery._search.named_like

        def elsewhere(paths: Any, log: str) -> Any:
            return named_like(set(paths) - {*self._known_files.paths()}, log)

        self._discovery._search.named_like = elsewhere  # type: ignore[method-assign]


# Takes the latest file for the log, and files with other dates for what they are beside any log.
KnowsNoLateDay = around(
    "KnowsNoLateDay",
    "_directories.look",
    lambda look, *given: [
        each._replace(is_dated=False, base=each.name or each.base) for each in look(*given)
    ],
)


class FollowsNoLinks(Spoilt):
    """Finds no directory with a date that is a link."""

    def spoil(self) -> None:
        files = self._files
        self._directories._directories_in = lambda path: [  # type: ignore[method-assign,assignment]
            name for name, _, is_file in files.entries(path) if not is_file
        ]


class TakesWhatMovesUp(Spoilt):
    """Takes a directory that was one too many for one that came."""

    def spoil(self) -> None:
        before = self._directories
        before._is_news = lambda leaf: leaf.path not in (before._before or ())  # type: ignore[method-assign]
