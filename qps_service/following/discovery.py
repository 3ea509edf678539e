"""Looks through the files beside the log for generations that were never read to their end.

Everything that is there at the very first look is ignored for good: it was written before our time. After
that a new file is classified (classification.py) when a hint names it, and every file where hints were lost
or nobody was there. A generation that was let go is taken up again if it grows.
"""

import os
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from heapq import nlargest
from itertools import islice
from typing import NamedTuple

from qps_service.files.dated_names import Key
from qps_service.files.fingerprint import Match, compare
from qps_service.files.kernel import Files, Seen
from qps_service.files.recognition import is_proven
from qps_service.files.rotated_names import is_compressed, plain_name, stem_of
from qps_service.files.sources import count_lines, goes_beyond, has_more, open_seen
from qps_service.following.announcer import Announcer
from qps_service.following.classification import (
    Classification,
    Classifier,
    Owners,
    StillThere,
    Surroundings,
    Undecided,
    Unopenable,
)
from qps_service.following.directories import LogDirectory, LogNames
from qps_service.following.generation import Generation
from qps_service.following.hints import Appeared, Arrival, Gone, Hint, Lost, Moved
from qps_service.following.known_files import KnownFiles, is_same_time
from qps_service.following.lineage import Lineage
from qps_service.following.read_texts import Found, ReadTexts
from qps_service.following.search import Search
from qps_service.text.units import SECOND
from qps_service.values.entries import PossibleLoss
from qps_service.values.positions import IgnoredFile, Position

# Files that can't be classified yet, empty ones for instance, are looked at again in each look: so many of
# them; the others with the sweep once a minute, so that whoever fills a directory with them costs little.
RETRIES = 256
PERHAPS_NO_COPY = (
    "begins like the log that was truncated, as another file does: should it be no copy, that is not counted"
)
PLACES_KEPT = 8  # what was mounted under one path


class LogSeen(NamedTuple):
    """What a look saw at the log's own path."""

    path: str
    key: tuple[int, int] | None  # device and inode; None if there was nothing, or nothing that can be read
    was_replaced: bool  # since the last look that saw all files beside it
    # Where a file stands in the order of those that have dates, by its path; None of others.
    order: Callable[[str], Key | None] = lambda _: None


class Doubt(NamedTuple):
    """What could not be told of a file when it was first seen, and what was known then."""

    since: int  # as in Surroundings
    log_was_replaced: bool  # then, or since


class Listing:
    """The files beside a log, as one look saw them."""

    def __init__(self) -> None:
        self.seen: dict[str, Seen] = {}  # by path
        self.old: set[str] = set()  # paths in directories never seen before: written before our time
        self.retry: set[str] = set()  # paths to look at again
        self.is_missing = False  # whether a directory is not there
        self.is_whole = True  # whether each that is there could be listed


class Discovery:
    """What is known of the files beside the log."""

    def __init__(
        self,
        files: Files,
        known_files: KnownFiles,
        texts: ReadTexts,
        announcer: Announcer,
        *,
        resuming: bool,
    ) -> None:
        """`resuming`: whether an earlier process followed the log, so that no file is taken to be old."""
        self._files = files
        self._announcer = announcer
        self._known_files = known_files
        self._texts = texts
        self._lineage = Lineage()
        self._losses: list[PossibleLoss] = []
        self._classifier = Classifier(
            files, known_files, texts, self._lineage, announcer, self._losses.append
        )
        self._search = Search(files)
        self._resuming = resuming
        self._others: Container[str] = ()
        # Directory -> device and inode of what was listed there: of an empty mount point, too.
        self._looked: dict[str, deque[tuple[int, int]]] = defaultdict(partial(deque, maxlen=PLACES_KEPT))
        self._touched: set[str] = set()  # paths to look at next
        # Device and inode of what its content will tell -> of the look that first saw it.
        self._doubtful: dict[tuple[int, int], Doubt] = {}
        self._doubtful_paths: dict[str, Doubt] = {}  # the same by path, as they were at the last look
        self._since: int | None = None  # of the first of several looks that were not complete
        # When an earlier process read for the last time; st_mtime, nanoseconds.
        self._gone_since: int | None = None
        self._sweeping = True
        self._is_full = False

    @property
    def is_resuming(self) -> bool:
        """Whether files that an earlier process left are still to be found."""
        return self._resuming

    @property
    def is_quiet(self) -> bool:
        """Whether every event since the last look is known, and none of them asks for another."""
        is_settled = self._since is None and not self._sweeping and not self._touched
        return is_settled and not self._resuming and self._lineage.is_complete and not self._lineage.names()

    @property
    def log_moves(self) -> int:
        """How many hints so far told that a name of the log lost its file or got another."""
        return self._lineage.moves

    @property
    def is_full(self) -> bool:
        """Whether the last look left files for the next one, for want of room."""
        return self._is_full

    def note(self, hints: Iterable[Hint], directories: Collection[LogDirectory]) -> bool:
        """Follow where names went; whether one of the hints is about the log or a file that was it."""
        hints = tuple(hints)
        if not hints:
            return False
        log_paths = LogNames(directories)
        # In a directory of hundreds of logs nearly all are about others.
        stems = {stem_of(each.base) for each in directories}
        begins = tuple(os.path.join(each.path, stem) for each in directories for stem in stems)
        concerned = False
        for hint in hints:
            if not isinstance(hint, Lost) and not any(
                path.startswith(begins) or self._lineage.carries(path)
                for path in (hint if isinstance(hint, Moved) else hint[:1])
            ):
                continue
            before = self._lineage.names()
            self._lineage.note(hint, log_paths)
            match hint:
                case Moved(source, path):
                    mine = any(each in log_paths or each in before for each in (source, path))
                case Appeared(path) | Gone(path):
                    mine = path in log_paths
                case Lost():
                    continue  # nothing is known of the log; the next look by the tick goes by content
            if mine or any(each.is_sibling(os.path.basename(path)) for each in directories):
                concerned = True
                self._touched.add(path)
        return concerned

    def take_arrival(self, path: str | None) -> Arrival:
        """How the file came that is the log now, and really is at `path`."""
        arrival = self._lineage.take_arrival()
        if arrival is None:
            return Arrival.UNSEEN
        name, created = arrival
        if name != path:  # a link came there
            return Arrival.UNSEEN
        return Arrival.CREATED if created else Arrival.MOVED

    def leave(self, others: Container[str]) -> None:
        """What is at these paths is another log's, and none of ours."""
        self._others = others

    def sweep(self) -> None:
        """Look at every file at the next look, whether or not anything moved."""
        self._sweeping = True

    def settle_log(self, directories: Iterable[LogDirectory]) -> None:
        """What is at the log's path is being read."""
        for path in _log_paths(directories):
            self._lineage.settle_log(path)

    def take_unseen(self) -> list[str]:
        """Names of generations that went away before anybody looked at them."""
        return self._lineage.take_unseen()

    def take_losses(self) -> list[PossibleLoss]:
        """What the files looked at since the last call hold that can't be read."""
        losses = self._losses.copy()
        self._losses.clear()
        return losses

    def find(
        self,
        directories: Collection[LogDirectory],
        held: Collection[Generation],
        since: int,
        room: int,
        log: LogSeen,
        moved_meanwhile: Callable[[], bool],
    ) -> tuple[list[Found], bool]:
        """Generations to be read, oldest first, `room` of them at most, and whether another look is due at
        once. What was last written before `since` (st_mtime, nanoseconds) is no news. `moved_meanwhile` takes
        in the hints that came during the look: a file whose history may be on its way is left for later."""
        if self._since is not None:
            since = min(since, self._since)
        if self._resuming and self._gone_since is None:
            self._gone_since = since
        complete = self._lineage.take_completeness()
        trusting = complete and not self._resuming
        # While there is no log, nothing is called gone, and only what moves is looked at.
        everything = self._sweeping or not complete or (self._resuming and log.key is not None)
        touched, self._touched = self._touched | self._lineage.names(), set()
        listing = self._list(directories, held, touched, since, everything=everything)
        self._sweeping = not listing.is_whole
        if not (listing.is_whole or trusting):
            self._lineage.distrust()
        surroundings = self._surround(listing, directories, held, since, room, log, everything=everything)
        ignored = self._consider(listing, surroundings, log.order, trusting=trusting)
        if self._resuming and everything:
            self._find_by_text(directories, surroundings)
        self._say_what_is_alike(surroundings.found)
        moved = moved_meanwhile()
        self._leave_out(ignored, moved=moved)
        self._touched.update(islice(listing.retry, RETRIES))
        self._sweeping |= self._is_full
        failed = listing.is_missing or not listing.is_whole
        self._resuming = self._resuming and (failed or moved or self._is_full or log.key is None)
        self._since = since if failed or self._resuming else None
        self._lineage.tidy(LogNames(directories))
        return surroundings.found[::-1], moved

    def _surround(
        self,
        listing: Listing,
        directories: Collection[LogDirectory],
        held: Collection[Generation],
        since: int,
        room: int,
        log: LogSeen,
        *,
        everything: bool,
    ) -> Surroundings:
        """What the look goes by. Where everything is looked at, the listing gets files that are elsewhere."""
        awaited = self._known_files.expected() if self._resuming and everything else []
        # What systemd held need not be found, but where it went to, others may be.
        rotated = [each for each in held if each.key != log.key] if self._resuming else []
        elsewhere, alike = (
            self._look_elsewhere(listing, directories, awaited, rotated, log.path) if everything else ((), ())
        )
        return Surroundings(
            held={generation.key: generation for generation in held},
            is_present=StillThere(self._files, held, self._known_paths(listing.seen)),
            since=since,
            room=room,
            found=[],
            # Or since that look began: what is seen beside it may have been it a moment ago.
            log_was_replaced=log.was_replaced or log.key != self._log_key(log.path),
            is_foreign=Owners(self._files, self._known_files, held),
            elsewhere=elsewhere,
            alike=alike,
            dated=LogNames(each for each in directories if each.is_dated),
            made=self._lineage.take_made(),
        )

    def _leave_out(self, ignored: list[tuple[str, IgnoredFile, bool]], *, moved: bool) -> None:
        """Remember what is not to be counted. What only its names told is looked at again where something
        `moved` meanwhile."""
        for path, ignored_file, by_name in reversed(ignored):  # so that the latest are kept
            if moved and by_name:
                self._touched.add(path)
            else:
                self._known_files.ignored.add(ignored_file)
                self._lineage.settle(path)

    def _look_elsewhere(
        self,
        listing: Listing,
        directories: Collection[LogDirectory],
        awaited: Collection[Position],
        rotated: Collection[Generation],
        log: str,
    ) -> tuple[set[str], set[str]]:
        """Where files may be that are called like no rotation's: those that were let go, where they were seen
        last, as they may have grown; and those awaited, anywhere. They are added to the listing. Their paths,
        and those of files that are named like what was awaited, or like what was `rotated` while systemd held
        it."""
        inside = set(listing.seen)
        found = self._look_where_they_were(inside, directories)
        if awaited := [*awaited, *(each.position for each in rotated)]:
            strange = self._search.by_inode(awaited, directories)
            # An inode's number may be that of any other file by now, whose like have nothing to do with the
            # log.
            certain = {
                path for path, each in strange.items() if self._classifier.is_one_of(path, each, awaited)
            }
            certain |= self._copies_of_deleted(rotated, directories)
            own = os.path.basename(log)
            alike = {
                path: each
                for path, each in self._search.named_like(certain - inside, log).items()
                if os.path.join(os.path.dirname(path), own) not in self._others  # it would be that log's
            }
            found |= strange
        else:
            alike = {}
        for path, each in (found | alike).items():
            if not self._is_log(path, directories):
                listing.seen.setdefault(path, each)
        return found.keys() - alike.keys() - inside, alike.keys() - inside

    def _copies_of_deleted(
        self, rotated: Iterable[Generation], directories: Collection[LogDirectory]
    ) -> set[str]:
        """Where the texts went of open files that were deleted: compressed, or to another file system."""
        paths = set()
        for generation in rotated:
            if self._texts.has_name(generation):
                continue
            position = generation.position
            for path, seen in self._search.by_time([position], directories).items():
                if copy := self._open_copy(path, seen, position, ()):
                    with suppress(OSError):
                        is_same = is_same_time(generation.source.seen().modified, seen.modified)
                        if is_same or is_proven(copy.source.read, position):
                            paths.add(path)
                    copy.source.close()
        return paths

    def _look_where_they_were(
        self, inside: Collection[str], directories: Collection[LogDirectory]
    ) -> dict[str, Seen]:
        """Files that were let go, but for those that were listed already."""
        seen = {}
        for path in islice(self._known_files.paths(), RETRIES):
            if path not in inside and not self._is_log(path, directories):
                with suppress(OSError):
                    seen[path] = self._files.lstat(path)
        return seen

    def _list(
        self,
        directories: Collection[LogDirectory],
        held: Collection[Generation],
        touched: Collection[str],
        since: int,
        *,
        everything: bool,
    ) -> Listing:
        """The files to look at: those touched, or all of them. `since` as in Surroundings."""
        listing = Listing()
        open_now = {generation.key for generation in held}
        log_paths = _log_paths(directories)
        for directory in directories:
            here = {path for path in touched if os.path.dirname(path) == directory.path}
            try:
                key = self._files.stat(directory.path).key
                is_first = key not in self._looked[directory.path]
                is_new = not self._resuming and is_first and not directory.is_news
                candidates = self._candidates(directory, here, everything=everything or is_first)
            except FileNotFoundError:
                listing.is_missing |= not directory.aside
                continue  # what it held is remembered, should it come back
            except OSError:
                listing.is_whole = False
                listing.retry |= here
                continue
            paths = (path for path in candidates if path not in log_paths)
            most = self._known_files.ignored.limit if is_new else None
            found = self._worth_a_look(paths, listing.retry, open_now, since, most)
            listing.seen |= found
            if is_new and not self._is_renumbered(directory, key, held, listing.seen.values()):
                listing.old |= found.keys()
                if directory.aside:
                    self._doubt_what_came_meanwhile(listing, found)
            if is_first:
                self._looked[directory.path].append(key)
        # Where the log's link led before; what hints told of there, and what can't be told yet.
        former = self._looked.keys() - {directory.path for directory in directories}
        there = (path for path in touched if os.path.dirname(path) in former)
        paths = (path for path in there if not self._is_log(path, directories))
        listing.seen |= self._worth_a_look(paths, listing.retry, open_now, since, None)
        if len(self._looked) > 2 * len(directories) + PLACES_KEPT:
            self._forget_days(directories)
        return listing

    def _forget_days(self, directories: Iterable[LogDirectory]) -> None:
        """Of directories that are the log's no longer."""
        for path in self._looked.keys() - {each.path for each in directories}:
            del self._looked[path]

    def _worth_a_look(
        self,
        paths: Iterable[str],
        retry: set[str],
        open_now: Container[tuple[int, int]],
        since: int,
        most: int | None,
    ) -> dict[str, Seen]:
        """Files that are known, and others that may be news; of these `most`, where there is such a bound,
        since more of them would be forgotten at once. Of thousands that are old by their times alone nothing
        is kept in memory but their names. What can't be seen now goes to `retry`."""
        known, new = dict[str, Seen](), dict[str, Seen]()
        for path in self._files.at_pace(paths):
            try:
                seen = self._files.lstat(path)
            except FileNotFoundError:
                continue  # it moved on, and a hint says where to
            except OSError:
                retry.add(path)
                continue
            if seen.key in open_now or self._known_files.knows(seen) or path in self._lineage:
                known[path] = seen
            elif not self._is_past_telling(path, seen, since):
                new[path] = seen
            if most is not None and len(new) >= 2 * most:
                new = _latest(new, most)
        return known | (new if most is None else _latest(new, most))

    def _is_past_telling(self, path: str, seen: Seen, since: int) -> bool:
        """Whether a file is old by its times alone: beside a log that has about as many as are remembered, it
        need not even be opened."""
        if not self._known_files.ignored.are_many or seen.key in self._doubtful:
            return False
        # What was compressed since then keeps its time.
        written = seen.changed if is_compressed(path) else seen.modified
        return written < since // SECOND * SECOND

    def _consider(
        self,
        listing: Listing,
        surroundings: Surroundings,
        place: Callable[[str], Key | None],
        *,
        trusting: bool,
    ) -> list[tuple[str, IgnoredFile, bool]]:
        """Classify each file. Those found go to the surroundings. Of those to be ignored: path, who, whether
        only the names told so. What cannot be told yet goes to `retry`."""
        seen, old, retry = listing.seen, listing.old, listing.retry
        ignored: list[tuple[str, IgnoredFile, bool]] = []
        doubtful: dict[tuple[int, int], Doubt] = {}
        paths: dict[str, Doubt] = {}
        self._is_full = False
        for path in self._files.at_pace(self._in_order(seen, place)):
            doubt, now = self._doubt_about(path, seen[path], surroundings)
            # What a name with a date is given to may be written to, whatever else is.
            trusted = ((trusting and path not in surroundings.dated) or path in old) and doubt is None
            result = self._classify(path, seen[path], surroundings, now, trusted=trusted)
            if isinstance(result, IgnoredFile):
                ignored.append((path, result, trusted and path not in old))
            elif isinstance(result, Unopenable) or result is Undecided.YET:
                retry.add(path)
                if not trusted:
                    doubtful[seen[path].key] = paths[path] = now
                if isinstance(result, Unopenable) and not trusted and doubt is None:
                    self._lose_for_now(path, seen[path], now, result.reason)
            else:
                if isinstance(result, Found):
                    surroundings.found.append(result)
                self._lineage.settle(path)
        looked_at = {each.key for each in seen.values() if each.key in self._doubtful}
        self._doubtful = {key: at for key, at in self._doubtful.items() if key not in looked_at} | doubtful
        self._doubtful_paths = paths
        return ignored

    def _in_order(self, seen: Mapping[str, Seen], place: Callable[[str], Key | None]) -> list[str]:
        """Known files first, since the others may be copies of them, then the latest, since of several copies
        it has most."""

        def order(path: str) -> tuple[bool, Key, int, int]:
            each = seen[path]
            return self._known_files.knows(each), place(path) or (), each.modified, each.size

        return sorted(seen, key=order, reverse=True)

    def _classify(
        self, path: str, seen: Seen, surroundings: Surroundings, doubt: Doubt, *, trusted: bool
    ) -> Classification:
        """What the file is, by what was known when it could not be told; not yet, where there is no room."""
        if len(surroundings.found) < surroundings.room:
            view = surroundings._replace(**doubt._asdict())
            return self._classifier.consider(path, seen, view, trusted=trusted)
        self._is_full = True
        return Undecided.YET

    def _doubt_about(self, path: str, seen: Seen, surroundings: Surroundings) -> tuple[Doubt | None, Doubt]:
        """What could not be told of a file before, and with what is known now."""
        doubt = self._doubtful.get(seen.key)
        if doubt is None and is_compressed(path):
            doubt = self._doubtful_paths.get(plain_name(path))
        is_dated = plain_name(path) in surroundings.dated
        now = Doubt(surroundings.since, surroundings.log_was_replaced or is_dated)
        if doubt:
            now = Doubt(min(now.since, doubt.since), now.log_was_replaced or doubt.log_was_replaced)
        return doubt, now

    def _lose_for_now(self, path: str, seen: Seen, doubt: Doubt, reason: str) -> None:
        """Tell of a file that may be news and can't be opened."""
        if doubt.log_was_replaced and seen.modified >= doubt.since:
            what = f"cannot be opened: {reason}; it is counted once it can"
            self._losses.append(PossibleLoss(what, path, seen.size))

    def _find_by_text(self, directories: Collection[LogDirectory], surroundings: Surroundings) -> None:
        """What is still awaited may be compressed by now, or on another file system: its text tells."""
        wanted = [*self._missing(surroundings), *self._found_by_text(surroundings).values()]
        if not wanted:
            return
        candidates = {
            path: seen
            for path, seen in self._search.by_time(wanted, directories, since=surroundings.since).items()
            if seen.key not in surroundings.held and not self._is_log(path, directories)
        }
        for path, seen in candidates.items():
            # An archive of this very time tells more than a new one with the same lines.
            same = [
                each for each in self._missing(surroundings) if is_same_time(each.modified, seen.modified)
            ]
            if is_compressed(path):
                self._take_up(path, seen, same, surroundings, certain=True)
        for position in self._missing(surroundings):
            self._take_for(position, surroundings.found)
        for place, position in self._found_by_text(surroundings).items():
            self._go_on_where_more_is(place, position, candidates, surroundings)
        for path, seen in sorted(
            candidates.items(), key=lambda each: each[1].key in self._known_files.ignored
        ):
            self._take_up(path, seen, self._missing(surroundings), surroundings, certain=True)
        for position in self._missing(surroundings):
            # Nothing but the lines, and few of them, tells that it was compressed; but then, what else became
            # of it? Of several, the first that was written to since it was read, or the last before.
            def distance(path: str, position: Position = position) -> tuple[bool, int]:
                later = candidates[path].modified - position.modified
                return later < 0, abs(later)

            for path in sorted(candidates, key=distance):
                name = os.path.basename(path)
                if is_compressed(name) and any(each.is_sibling(name) for each in directories):
                    self._take_up(path, candidates[path], [position], surroundings, certain=False)

    def _missing(self, surroundings: Surroundings) -> list[Position]:
        """What is still awaited, and was not found in this look."""
        found = {each.position.number for each in surroundings.found}
        return [each for each in self._known_files.expected() if each.number not in found]

    def _found_by_text(self, surroundings: Surroundings) -> dict[int, Position]:
        """What was awaited and found by its text alone, in what may be a copy of it: by the place among those
        found."""
        expected = {each.number: each for each in self._known_files.expected()}
        found = enumerate(each.position for each in surroundings.found)
        return {
            place: expected[position.number]
            for place, position in found
            if position.number in expected and position.identity != expected[position.number].identity
        }

    def _go_on_where_more_is(
        self, place: int, position: Position, candidates: Mapping[str, Seen], surroundings: Surroundings
    ) -> None:
        """Take what was found there in a file that has all of that and more, if there is one."""
        identities = {each.position.identity[:2] for each in surroundings.found}
        for path, seen in candidates.items():
            if seen.key in identities:
                continue
            here = surroundings.found[place]
            with suppress(OSError):
                # What follows there, and in the other as well, proves enough.
                certain = not here.source.read(1, position.offset)
                one = self._classifier.as_awaited(path, seen, [position], surroundings, certain=certain)
                if one and has_more(one.source, here.source, position.offset):
                    one, surroundings.found[place] = here, one
                if one:
                    one.source.close()

    def _take_up(
        self, path: str, seen: Seen, missing: list[Position], surroundings: Surroundings, *, certain: bool
    ) -> None:
        """Go on in the file at `path`, if it is one of these."""
        numbers = {each.position.number for each in surroundings.found}
        identities = {each.position.identity[:2] for each in surroundings.found}
        missing = [each for each in missing if each.number not in numbers]
        if not missing or seen.key in identities:
            return
        if len(surroundings.found) >= surroundings.room:
            self._is_full = True
        elif one := self._classifier.as_awaited(path, seen, missing, surroundings, certain=certain):
            surroundings.found.append(one)

    def _take_for(self, awaited: Position, found: list[Found]) -> None:
        """Of new archives that begin with all that was read of what is awaited, the oldest is that, though
        nothing else proves it."""
        with suppress(OSError):
            fitting = [
                each
                for each in found
                if each.is_alike
                and is_compressed(each.position.name)
                and compare(awaited, each.source.read) is Match.FULL
            ]
            if fitting:
                oldest = min(fitting, key=lambda each: each.source.seen().modified)
                position = awaited._replace(identity=oldest.position.identity, name=oldest.position.name)
                if not oldest.source.read(1, position.offset):  # it would have the time of the last write
                    lines = count_lines(oldest.source, position.offset)
                    self._announcer.recognised(position.name, lines, doubtful=position.offset)
                found[found.index(oldest)] = Found(oldest.source, position)

    def _say_what_is_alike(self, found: Iterable[Found]) -> None:
        for each in found:
            if each.is_alike:
                path = each.position.name
                lines = None
                if not is_compressed(path):
                    with suppress(OSError):
                        lines = count_lines(each.source)
                self._announcer.possible_duplicate(path, lines)

    def _doubt_what_came_meanwhile(self, listing: Listing, found: Mapping[str, Seen]) -> None:
        """What was written while nobody ran may have been the log, be it in a directory that is new to us."""
        for path, seen in found.items():
            if self._gone_since is not None and seen.modified >= self._gone_since // SECOND * SECOND:
                listing.old.discard(path)
                self._doubtful.setdefault(seen.key, Doubt(self._gone_since, log_was_replaced=True))

    def _is_renumbered(
        self, directory: LogDirectory, key: tuple[int, int], held: Iterable[Generation], seen: Iterable[Seen]
    ) -> bool:
        """Whether it is the directory that was looked into before, on a device that has another number now: a
        file in it is known."""
        if key[1] not in {inode for _, inode in self._looked[directory.path]}:
            return False
        open_inodes = {generation.identity.inode for generation in held}
        return any(self._known_files.knows(each) or each.inode in open_inodes for each in seen)

    def _log_key(self, path: str) -> tuple[int, int] | None:
        with suppress(OSError):
            return self._files.stat(path).key
        return None

    def presence(self, directories: Collection[LogDirectory], held: Iterable[Generation]) -> StillThere:
        """Which generations are still there, in their own files."""
        paths: dict[tuple[int, int], str] = {}
        for directory in directories:
            with suppress(OSError):
                beside = self._candidates(directory, set(), everything=True)
                log_paths = _log_paths(directories)
                for path in self._files.at_pace(path for path in beside if path not in log_paths):
                    with suppress(OSError):
                        paths |= self._known_paths({path: self._files.lstat(path)})
        log_paths = _log_paths(directories)
        for path, seen in self._search.by_inode(self._known_files.expected(), directories).items():
            if path not in log_paths:
                paths.setdefault(seen.key, path)
        return StillThere(self._files, held, paths)

    def _known_paths(self, seen: Mapping[str, Seen]) -> dict[tuple[int, int], str]:
        """By device and inode; of thousands of files few have an inode that was read."""
        return {each.key: path for path, each in seen.items() if self._known_files.knows(each)}

    def copy_of(
        self, position: Position, directories: Collection[LogDirectory], held: Collection[Generation]
    ) -> Found | None:
        """The file that has what a truncated log held beyond `position`, as copytruncate leaves it.

        It has all that was read of the log, goes on after it, and was written no earlier than the log was
        when it was last read, where no text proves it: an older file with the same lines is not it. Of
        several, the longest; of equal ones, the latest.
        """
        best: Found | None = None
        has_rival = False
        keys = {each.key for each in held}
        is_foreign = Owners(self._files, self._known_files, held)
        latest = sorted(
            self._copies_beside(position, directories).items(),
            key=lambda each: each[1].modified,
            reverse=True,
        )
        for path, seen in self._files.at_pace(latest):
            if not seen.regular or seen.key in keys or is_foreign(path, seen):
                continue
            if (copy := self._open_copy(path, seen, position, held)) is None:
                continue
            with suppress(OSError):  # what is damaged has no more
                is_longer = best is None or goes_beyond(copy.source, best.source)
                has_rival |= best is not None and (is_longer or goes_beyond(best.source, copy.source))
                if is_longer:
                    best, copy = copy, best
            if copy:
                copy.source.close()
        if best and has_rival and not is_proven(best.source.read, position):
            self._losses.append(PossibleLoss(PERHAPS_NO_COPY, best.position.name, position.offset))
        return best

    def _copies_beside(self, position: Position, directories: Collection[LogDirectory]) -> dict[str, Seen]:
        """Files that may be copies of what was read up to `position`."""
        candidates: dict[str, Seen] = {}
        for directory in directories:
            with suppress(OSError):
                for path in self._files.at_pace(self._candidates(directory, set(), everything=True)):
                    with suppress(OSError):
                        candidates[path] = self._files.lstat(path)
        return candidates | self._search.by_time([position], directories, known=candidates)

    def _open_copy(
        self, path: str, seen: Seen, position: Position, held: Collection[Generation]
    ) -> Found | None:
        """The file at `path`, if it has all that was read up to `position`, and may have got that from there:
        it is written no earlier, where no text proves it, and is not made of another of the log's files."""
        if (opened := open_seen(self._files, path, seen)) is None:
            return None
        source, identity = opened
        # bzip2 gives its file the time of the plain one in whole seconds.
        grain = SECOND if is_compressed(path) else 1
        with suppress(OSError):  # what can't be read can't be the copy that is looked for
            is_known = self._known_files.recall(identity, source.seen().size, source.read) is not None
            if is_compressed(path):
                is_known |= self._known_files.was_let_go_at(seen.modified, plain_name(path))
            is_older = seen.modified < position.modified // grain * grain
            # It may be that of another generation, in which the same backup stood before.
            others = [each.position for each in held]
            if (
                not is_known
                and compare(position, source.read) is Match.FULL
                and not self._known_files.read_further(source.read, position, others)
                and (
                    is_proven(source.read, position) or not (is_older or self._texts.is_made_of_held(source))
                )
            ):
                return Found(source, position._replace(identity=identity, name=path))
        source.close()
        return None

    def _candidates(self, directory: LogDirectory, touched: set[str], *, everything: bool) -> Iterator[str]:
        """Paths in it to consider, some perhaps twice. All are found before the first is looked at, and of
        others nothing is kept: not even of a million names. Raises OSError, at once."""
        here, descending = directory.path, self._lineage.names()
        names = [
            os.path.basename(path)
            for path in touched
            if path in descending or directory.is_sibling(os.path.basename(path))
        ]
        if everything:
            carrying = {os.path.basename(path) for path in descending if os.path.dirname(path) == here}
            for some in self._files.names(here):
                names += directory.siblings(some)
                names += carrying.intersection(some) if carrying else ()
        paths = (os.path.join(here, name) for name in names)
        return (path for path in paths if path not in self._others)

    def _is_log(self, path: str, directories: Iterable[LogDirectory]) -> bool:
        """Whether a log is there, which is not to be looked at as a rotated file: this one or another."""
        return path in self._others or path in _log_paths(directories)


def _latest(seen: dict[str, Seen], limit: int) -> dict[str, Seen]:
    """So many files, those that were written to last."""
    return dict(nlargest(limit, seen.items(), key=lambda each: each[1].modified))


def _log_paths(directories: Iterable[LogDirectory]) -> set[str]:
    return {each.log_path for each in directories if not each.aside}
