"""Histories that random runs found: every line once, or said; and twins that fail them."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from qps_service.files import recognition
from qps_service.files.fingerprint import begins_alike, compare
from qps_service.files.kernel import Seen
from qps_service.files.recognition import TAIL_LIMIT, KnownPart, best_part, part_of, proves
from qps_service.files.rotated_names import is_compressed
from qps_service.following import classification, discovery, follower, known_files, read_texts, search
from qps_service.following.classification import StillThere, Surroundings
from qps_service.following.directories import LogDirectory
from qps_service.following.discovery import Listing
from qps_service.following.follower import Follower
from qps_service.following.generation import Chunk, Generation
from qps_service.following.ignored_files import IgnoredFiles
from qps_service.following.known_files import Read, Resemblance, goes_further
from qps_service.following.read_texts import Found, are_alike, is_cut
from qps_service.values.positions import IgnoredFile, Position
from tests.fault import found, twins
from tests.promised import MadePromise, nothing, promises

ForgetsWhereFilesWere = twins.spoilt(
    "ForgetsWhereFilesWere", "_discovery._look_where_they_were", lambda *_: {}
)
# Takes a text for that of a file which is gone, though another has more of it.
TakesTheFirstText = twins.spoilt("TakesTheFirstText", "_discovery._texts.is_of_open", lambda *_: False)
# Is content with the first copy of what it read, though another file has more of it.
GoesOnInACopy = twins.spoilt("GoesOnInACopy", "_discovery._go_on_where_more_is", lambda *_: None)
# Takes a copy of what nobody has read yet, and the file itself.
TakesBoth = twins.spoilt("TakesBoth", "_discovery._classifier._original", lambda fresh, _: fresh)
# Does not ask what hints tell of copies.
HearsOfNoCopies = twins.spoilt("HearsOfNoCopies", "_discovery._lineage.take_made", set)
# Tells of a file that can't be opened, whose ever it is; or of none.
FearsForAll = twins.spoilt("FearsForAll", "_discovery._classifier._is_told_as_gone", lambda *_: False)
FearsForNone = twins.spoilt("FearsForNone", "_discovery._classifier._is_told_as_gone", lambda *_: True)
# Says of files with the same lines that one may be a copy, though each was the log by the hints.
DoubtsTheHints = twins.spoilt("DoubtsTheHints", "_discovery._lineage.carries", lambda path: False)
# Takes a file that has all that was read of an open one for its copy.
GoesOnNowhereElse = twins.spoilt("GoesOnNowhereElse", "_discovery._texts.after_held", lambda *_: None)


def no_older(copy_of: Any, position: Position, *rest: Any) -> Found | None:
    found: Found | None = copy_of(position, *rest)
    return found if found and found.source.seen().modified >= position.modified else None


# Takes a copy for an older file by its time, whatever it holds.
TrustsTimes = twins.around("TrustsTimes", "_discovery.copy_of", no_older)


class LeavesNothingOut(twins.Spoilt):
    """Asks of no file whether it is known not to be counted, and is content with the first copy."""

    def spoil(self) -> None:
        class Nothing(IgnoredFiles):
            def __contains__(self, key: tuple[int, int]) -> bool:
                return False

            def recall(self, *_: object) -> bool:
                return False

        self._known_files.ignored = Nothing()
        self._discovery._go_on_where_more_is = lambda *_: None  # type: ignore[method-assign]


# Looks for no file that is older than the log was when it was read last.
IgnoresThatItWentBack = twins.around(
    "IgnoresThatItWentBack",
    "_discovery._search.by_time",
    lambda by_time, *rest, since=None, **more: by_time(*rest, **more),
)
# Compares what was written over a text with that one only.
KnowsItsOwnTextOnly = twins.spoilt(
    "KnowsItsOwnTextOnly",
    "_held._known_part",
    lambda generation, former: part_of(
        former, generation.source.read, generation.source.seen().size, in_place=True
    ),
)
# Leaves out what may well be new.
DoubtsToTheEnd = twins.spoilt(
    "DoubtsToTheEnd",
    "_held._known_part",
    lambda generation, former: part_of(
        former._replace(tail=b""), generation.source.read, generation.source.seen().size, in_place=True
    ),
)

# Takes whatever was at the log's name for what was created there.
TakesAllForCreated = twins.spoilt("TakesAllForCreated", "_discovery._lineage.was_put", lambda path: False)
# Goes on where a file did that begins like it, whatever stood in others.
GoesOnInTheFirst = twins.spoilt("GoesOnInTheFirst", "_start._texts.known_part", lambda *_, **__: None)


class ForgetsTheLogsName(twins.Spoilt):
    """Forgets that it reads the log, when its name led nowhere for a while."""

    def spoil(self) -> None:
        settle, opens = self._discovery.settle_log, self._open_log
        self._discovery.settle_log = nothing  # type: ignore[method-assign]

        def opened(seen: Seen, now: int) -> None:
            opens(seen, now)
            settle(self._looked_at)

        self._open_log = opened  # type: ignore[method-assign]


class ProvesByOneText(twins.Spoilt):
    """Takes two texts for one if what both have stands in a long one."""

    def spoil(self) -> None:
        def resemblance(read: Read, modified: int) -> Resemblance:
            is_alike = any(are_alike(read, each.source.read) for each in self._held)
            return Resemblance.COPY if is_alike and proves(read(TAIL_LIMIT, 0)) else Resemblance.NONE

        self._discovery._texts.resemblance = resemblance  # type: ignore[method-assign]


def no_deeper(places: Any, wanted: Iterable[Position], directories: Any, *, beside: bool) -> Iterator[str]:
    wanted = list(wanted)
    last = {os.path.dirname(each.name) for each in wanted}
    found = places(wanted, directories, beside=beside)
    return (place for place in found if os.path.dirname(place) not in last)


# Looks one level below the log's own directory, and nowhere else below.
LooksBelowTheLogOnly = twins.around("LooksBelowTheLogOnly", "_discovery._search._places", no_deeper)
# Looks for others only where something went that is not open.
FindsNoWayOfWhatWasHeld = twins.around(
    "FindsNoWayOfWhatWasHeld",
    "_discovery._look_elsewhere",
    lambda look, listing, directories, awaited, rotated, log: look(listing, directories, awaited, (), log),
)
# Looks for no text of a file that is open and was deleted.
FindsNoCopiesOfWhatWasHeld = twins.spoilt(
    "FindsNoCopiesOfWhatWasHeld", "_discovery._copies_of_deleted", lambda *_: set()
)
# Learns where files of the log are from what the kernel tells, which is nothing of packed ones.
LearnsByDescriptors = twins.around(
    "LearnsByDescriptors", "_directories.learn", lambda learn, path: not is_compressed(path) and learn(path)
)
# Takes the time of an archive for nothing, where the file that it was made of is open.
KnowsNoTimesOfOpenFiles = twins.around(
    "KnowsNoTimesOfOpenFiles",
    "_discovery._texts.resemblance",
    lambda resemblance, read, modified: resemblance(read, 0),
)
# Does not see that a copy has the last line that was read.
MissesTheEnd = twins.while_reading(
    *("MissesTheEnd", "KnownPart", lambda until, doubtful=0, _=0: KnownPart(until, doubtful), recognition)
)


class TrustsInodeNumbers(twins.Spoilt):
    """Takes a file that has the inode's number of another for that one."""

    def spoil(self) -> None:
        texts, is_at = self._start._texts, self._files.is_at
        known_part = texts.known_part

        def by_number(fresh: Found, is_there: Any, *, anew: bool = False) -> KnownPart | None:
            return known_part(fresh, lambda each: is_at(each.name, each.identity[:2]), anew=anew)

        texts.known_part = by_number  # type: ignore[method-assign]


# Reads a file to its end, though the copy that is the log now has that, too.
ReadsBoth = twins.spoilt("ReadsBoth", "_discovery._texts.is_in_copy", lambda *_: False)


class KnowsNoWholeSeconds(twins.Spoilt):
    """Takes what is older by parts of a second for older."""

    def spoil(self) -> None:
        doubt = self._discovery._doubt_what_came_meanwhile

        def exactly(listing: Listing, found: Mapping[str, Seen]) -> None:
            since = self._discovery._gone_since or 0
            doubt(listing, {path: seen for path, seen in found.items() if seen.modified >= since})

        self._discovery._doubt_what_came_meanwhile = exactly  # type: ignore[method-assign]


class ForgetsByNumber(twins.Spoilt):
    """Forgets the text of a file that left its inode's number to one that is read."""

    def spoil(self) -> None:
        ignored = self._known_files.ignored
        ignored.has = lambda identity: identity[:2] in ignored  # type: ignore[method-assign]


# Compares with what stands in a file that was cut, and not with what was read of it.
ComparesWithWhatIsLeft = twins.while_reading("ComparesWithWhatIsLeft", "is_cut", lambda *_: False, read_texts)


def is_longer(position: Position, known: Position, read: Read) -> bool:
    return position.offset > known.offset and begins_alike(position, read)


# Takes a text for that of the file of which most was read, whatever a later one has of its own.
GoesByLength = twins.while_reading("GoesByLength", "goes_further", is_longer, known_files, read_texts)


def is_later(position: Position, known: Position, read: Read) -> bool:
    is_own = known.begun < known.offset < position.offset
    return not (is_own and position.number < known.number) and goes_further(position, known, read)


# Takes a text for that of the later file, though it has all of the earlier one, too.
GoesByNumbers = twins.while_reading("GoesByNumbers", "goes_further", is_later, known_files, read_texts)


class FoundNoLog(twins.Spoilt):
    """Takes a log that it found without its name for the one that the last commit knew."""

    def spoil(self) -> None:
        adopt = self._held.adopt

        def as_before(found: Found, *rest: Any, **more: Any) -> Generation:
            self._is_replaced = False
            return adopt(found, *rest, **more)

        self._held.adopt = as_before  # type: ignore[method-assign]


class KnowsNoLaterText(twins.Spoilt):
    """Takes what comes after one text for new, though another one went on there."""

    def spoil(self) -> None:
        def of_one(read: Read, size: int | None, has_name: Any, *, anew: bool) -> KnownPart | None:
            positions = self._known_files.everything()[0]
            return best_part(
                part_of(each, read, size, has_name=has_name(each), anew=anew) for each in positions
            )

        self._known_files.known_part = of_one  # type: ignore[method-assign]


# Does not ask what an archive is made of.
KnowsNoNames = twins.around(
    "KnowsNoNames", "_known_files.resembles", lambda resembles, *given, **_: resembles(*given)
)
# Takes an archive of one file for the copy of another.
TakesAnyArchive = twins.spoilt("TakesAnyArchive", "_discovery._texts.is_made_of_held", lambda *_: False)
# Says of lines that they may be a copy's in whatever order they come.
TakesAnyOrder = twins.while_reading(
    "TakesAnyOrder", "has_row_of", lambda tail, other: bool(tail and other), read_texts
)
# Takes each text that begins one, and has its time, for its copy.
TakesBeginningsForCopies = twins.spoilt(
    "TakesBeginningsForCopies",
    "_discovery._texts._has_all_and_time",
    lambda read, modified, generation: generation.source.seen().modified == modified,
)


def by_time(resembles: Any, read: Read, is_present: Any, modified: Any = None, name: Any = None) -> Any:
    found, known = resembles(read, is_present, modified, name)
    is_copy = found is Resemblance.ALIKE and known is not None and known.modified == modified
    return (Resemblance.COPY, None) if is_copy else (found, known)


# Likewise, of texts whose files are gone.
TakesThoseOfLostFilesForCopies = twins.around(
    "TakesThoseOfLostFilesForCopies", "_known_files.resembles", by_time
)
# Goes on with a log, and with a copy of it that it looked at first.
GoesOnTwice = twins.while_reading("GoesOnTwice", "leave_out", lambda *_: None, Surroundings)
# Takes a file that has name and inode's number of one that was read for that one.
TrustsTheNameAndNumber = twins.while_reading(
    "TrustsTheNameAndNumber",
    "__call__",
    lambda self, position: self._files.is_at(position.name, position.identity[:2]),
    StillThere,
)
# Takes nothing where a directory was moved to but what it had open.
KnowsItByItsNumberAlone = twins.spoilt(
    "KnowsItByItsNumberAlone", "_discovery._search.named_like", lambda *_: {}
)
# Says nothing of what it can't tell from a copy.
LosesInSilence = twins.spoilt("LosesInSilence", "_discovery.take_losses", list)

# Goes on where one text ends, or leaves out what begins one, whatever another tells of the lines that follow.
GoesByOneText = twins.spoilt("GoesByOneText", "_discovery._texts.after_parting", lambda *_: None)
# Looks for what it knows of an archive line by line where a plain file would end.
ComparesNoPackedLines = twins.while_reading("ComparesNoPackedLines", "COPY_LIMIT", 0, recognition)


class GoesByOneTextsSamples(GoesByOneText):  # type: ignore[misc, valid-type]
    """Nor by the lines that end the text."""

    def read(self, now: int) -> Iterator[Chunk]:
        with twins.replaced("compare_to_the_end", compare, known_files):
            yield from super().read(now)


class ComparesWhatWasReadOnly(Follower):
    """Does not compare with what an open file holds, but with what was read of it."""

    def read(self, now: int) -> Iterator[Chunk]:
        with twins.replaced("common_start", lambda one, other, start: start, read_texts):
            yield from super().read(now)


# Takes an archive for that of a file that has its time, whatever stands in the two.
GoesByTimeAlone = twins.spoilt(
    "GoesByTimeAlone",
    "_discovery._texts.is_made_of_held",
    lambda source, *held: (
        source.descriptor is None
        and any(each.source.seen().modified == source.seen().modified for each in held)
    ),
)


# Takes what has the name of a file that was empty for that file, however old it is.
KnowsNoAges = twins.while_reading("KnowsNoAges", "_whole_seconds", lambda _: 0, classification)


class LooksWhereTheLinkLeads(twins.Spoilt):
    """Looks at no file again where the log's link leads no longer."""

    def spoil(self) -> None:
        listed = self._discovery._list

        def inside(
            directories: Collection[LogDirectory], held: Any, touched: Iterable[str], *rest: Any, **more: Any
        ) -> Listing:
            places = {directory.path for directory in directories}
            touched = {path for path in touched if os.path.dirname(path) in places}
            return listed(directories, held, touched, *rest, **more)

        self._discovery._list = inside  # type: ignore[method-assign]


class IgnoresWhatIsRefused(twins.Spoilt):
    """Looks at no file again that it could not open once, be it one that was read."""

    def spoil(self) -> None:
        consider = self._discovery._classifier.consider

        def instead(path: str, seen: Seen, *rest: Any, **more: Any) -> classification.Classification:
            try:
                self._files.close(self._files.open(path))
            except OSError:
                return IgnoredFile(*seen.key, None, seen.changed)
            return consider(path, seen, *rest, **more)

        self._discovery._classifier.consider = instead  # type: ignore[method-assign]


class LooksWhereverItLooked(twins.Spoilt):
    """Looks at each file again that could not be told, be it nowhere near the log."""

    def spoil(self) -> None:
        listed = self._discovery._list

        def everywhere(
            directories: Any, held: Any, touched: Collection[str], *rest: Any, **more: Any
        ) -> Listing:
            listing = listed(directories, held, touched, *rest, **more)
            there = (path for path in touched if not self._discovery._is_log(path, directories))
            listing.seen |= {path: self._files.lstat(path) for path in there if os.path.exists(path)}
            return listing

        self._discovery._list = everywhere  # type: ignore[method-assign]


# Compares no copy with what was found before it.
KnowsNothingFound = twins.spoilt("KnowsNothingFound", "_discovery._texts.is_in_open", lambda *_: False)
# Looks for no file that a rotation left where the log's link leads, while that is away.
LooksForTheLogAlone = twins.while_reading("LooksForTheLogAlone", "is_sibling", lambda *_: False, search)


class TrustsWholeSeconds(twins.Spoilt):
    """Takes an archive with the time of a file that was let go for that file's."""

    def spoil(self) -> None:
        retired = self._known_files._retired
        self._known_files.was_let_go_at = lambda modified, name: any(  # type: ignore[method-assign]
            each.modified == modified for each in retired.values()
        )


# Goes by the names of no archives.
GoesByPlainNames = twins.while_reading("GoesByPlainNames", "plain_name", lambda path: path, classification)
# Takes the first archive that has the lines of one that is awaited.
GoesByLinesAlone = twins.while_reading("GoesByLinesAlone", "is_same_time", lambda *_: False, discovery)
# Takes an archive of what was deleted for a copy of what was truncated.
FearsForWhatWasDeleted = twins.spoilt(
    "FearsForWhatWasDeleted", "_discovery._texts.is_like_named", lambda read: True
)
# Knows no archive by the time and the name of the file that it was made of; or by the time alone.
KnowsNoArchives = twins.spoilt("KnowsNoArchives", "_known_files.was_let_go_at", lambda *_: False)
KnowsNoTimes = twins.while_reading("KnowsNoTimes", "is_same_time", lambda *_: False, classification)
# Takes a text for the beginning of one that has other lines in its place.
GoesBySamplesAlone = twins.while_reading("GoesBySamplesAlone", "compare_to_the_end", compare, known_files)
# Takes what was rotated beside another log for its own.
KnowsNoOthers = twins.spoilt("KnowsNoOthers", "_discovery.leave", lambda others: None)
# Believes that a log which was empty stayed so.
TrustsEmptyLogs = twins.while_reading("TrustsEmptyLogs", "may_be_cut", is_cut, follower)
# Reads whatever comes to an empty log.
ReadsWhatComesToAnEmptyLog = twins.around(
    "ReadsWhatComesToAnEmptyLog",
    "_held._known_part",
    lambda known_part, generation, former: known_part(generation, former) if former.offset else None,
)
# Takes a file of several for the first of them, and lines that came late.
KnowsTheFirstOnly = twins.spoilt(
    "KnowsTheFirstOnly", "_discovery._texts.beyond_others", lambda read, place, *_: place
)


def by_one_time(text: bytes, *, strictly: bool = False, **more: Any) -> bool:
    return proves(text, **more)


# Takes texts for one that have one time in common.
ProvesByOneTime = twins.while_reading("ProvesByOneTime", "proves", by_one_time, recognition, read_texts)
# Tells a loss of each archive that is damaged; or of none.
FearsForEachArchive = twins.spoilt(
    "FearsForEachArchive", "_discovery._texts.begins_what_was_read", lambda source: False
)
FearsForNoArchive = twins.spoilt(
    "FearsForNoArchive", "_discovery._texts.begins_what_was_read", lambda source: True
)
# Takes what an edited copy goes on with for lost.
MissesWhatGoesOn = twins.spoilt("MissesWhatGoesOn", "_known_files.goes_on", lambda number: None)

TWINS = {
    found.mirrored_without_a_hint: twins.SaysNoDuplicate,
    found.backup_of_another_generation_written_over_the_log: KnowsItsOwnTextOnly,
    found.backup_without_times_written_over_the_log: twins.SaysNoDuplicate,
    found.backup_written_over_the_log_and_written_to: DoubtsToTheEnd,
    found.copy_of_a_mirror: TakesTheFirstText,
    found.copy_of_a_mirror_that_was_not_committed: TakesTheFirstText,
    found.rotated_mirror_of_a_mirror: twins.StartsAnew,
    found.mirror_beside_what_it_replaced: GoesOnNowhereElse,
    found.late_line_under_another_name: ForgetsWhereFilesWere,
    found.volume_away_for_a_whole_process: twins.StartsAnew,
    found.copytruncate_after_the_clock_went_back: TrustsTimes,
    found.copy_of_what_is_rotated_at_once: TakesBoth,
    found.mirror_that_is_rotated_and_compressed: GoesOnNowhereElse,
    found.backup_made_meanwhile_beside_what_is_awaited: GoesOnInACopy,
    found.backups_made_one_after_the_other: GoesOnInACopy,
    found.backup_beside_what_is_awaited: LeavesNothingOut,
    found.empty_under_another_name: twins.LooksAtTheLogOnly,
    found.compressed_after_the_clock_went_back: IgnoresThatItWentBack,
    found.backup_that_was_put_back_before: GoesOnInTheFirst,
    found.mirror_that_is_rotated_at_once: TakesAllForCreated,
    found.moved_below_while_the_link_is_away: LooksBelowTheLogOnly,
    found.rotated_and_compressed_after_the_link_was_away: ForgetsTheLogsName,
    found.rotated_file_whose_first_line_is_the_logs: ProvesByOneText,
    found.truncated_twice_while_systemd_held_the_log: twins.BelievesThatTheLogStayed,
    found.compressed_while_systemd_held_the_log: KnowsNoTimesOfOpenFiles,
    found.cut_at_its_beginning: MissesTheEnd,
    found.cut_at_its_end: TrustsInodeNumbers,
    found.moved_to_another_disk_and_kept: ReadsBoth,
    found.in_a_directory_that_is_new_within_a_second: KnowsNoWholeSeconds,
    found.mirror_of_an_archive: GoesOnNowhereElse,
    found.inode_number_of_a_file_that_is_old: ForgetsByNumber,
    found.backup_written_over_the_log_and_truncated: ComparesWithWhatIsLeft,
    found.copy_of_a_backup_that_goes_on: GoesByLength,
    found.lines_that_an_earlier_text_has_too: GoesByNumbers,
    found.rotated_where_a_link_leads_that_is_away: FoundNoLog,
    found.empty_where_the_link_led_before: LooksWhereTheLinkLeads,
    found.compressed_with_one_more_line_without_a_time: GoesByPlainNames,
    found.late_line_in_the_second_of_another_archive: TrustsWholeSeconds,
    found.compressed_beside_an_archive_with_its_line: GoesByLinesAlone,
    found.backup_put_back_again_and_rotated: GoesBySamplesAlone,
    found.refused_after_it_was_let_go: IgnoresWhatIsRefused,
    found.compressed_while_systemd_held_it_beside_a_log: FearsForWhatWasDeleted,
    found.copied_after_a_backup_was_put_back_twice: KnowsNothingFound,
    found.lines_in_an_archive_of_what_was_let_go: KnowsNoNames,
    found.copy_that_has_an_inode_number_of_the_logs: GoesOnTwice,
    found.archive_of_a_file_that_left_its_inode_number: TrustsTheNameAndNumber,
    found.lines_beside_an_archive: TakesAnyArchive,
    found.backup_with_many_lines_written_over_the_log: twins.SaysNoDuplicate,
    found.two_that_begin_like_a_truncated_log: LosesInSilence,
    found.moved_with_the_directory_after_a_rotation: KnowsItByItsNumberAlone,
    found.backup_of_what_is_older_than_our_time: KnowsItsOwnTextOnly,
    found.backup_written_over_the_log_and_mirrored: ComparesWhatWasReadOnly,
    found.mirror_written_in_the_same_moment: GoesByTimeAlone,
    found.copied_before_it_was_seen: HearsOfNoCopies,
    found.mirrored_before_it_was_seen: twins.SaysNoDuplicate,
    found.copied_and_rotated_while_nobody_ran: twins.SaysNoDuplicate,
    found.given_to_somebody_else: FearsForNone,
    found.rotated_twice_before_it_was_seen: DoubtsTheHints,
    found.backup_of_a_mirror_that_is_rotated: GoesByOneText,
    found.backup_that_is_rotated: GoesByOneTextsSamples,
    found.backup_that_is_rotated_and_compressed: ComparesNoPackedLines,
    found.truncated_before_anything_was_read_of_it: TrustsEmptyLogs,
    found.copy_to_which_the_next_log_is_added: KnowsTheFirstOnly,
    found.rotated_files_made_one: KnowsTheFirstOnly,
    found.rotated_files_in_the_logs_place: KnowsTheFirstOnly,
    found.log_added_to_what_was_open: KnowsTheFirstOnly,
    found.late_line_that_begins_the_next_log: ProvesByOneTime,
}

test_every_line_once, test_twin = promises(
    *(MadePromise(check, twin, by="make", caught=(OSError,)) for check, twin in TWINS.items()),
    MadePromise(
        found.backup_put_into_an_empty_log,
        *(ReadsWhatComesToAnEmptyLog, ProvesByOneTime),
        by="make",
    ),
    MadePromise(
        found.compression_that_was_interrupted,
        *(FearsForEachArchive, FearsForNoArchive),
        by="make",
    ),
    MadePromise(
        found.edited_and_compressed,
        *(ComparesNoPackedLines, MissesWhatGoesOn),
        by="make",
    ),
    MadePromise(found.empty_when_it_was_let_go, KnowsNoNames, KnowsNoAges, by="make"),
    MadePromise(
        found.rotated_before_a_process_that_saw_no_log,
        *(LooksForTheLogAlone, KnowsNoOthers),
        by="make",
    ),
    MadePromise(
        found.first_line_of_a_deleted_log_in_the_same_moment,
        *(TakesBeginningsForCopies, TakesThoseOfLostFilesForCopies),
        by="make",
    ),
    *(
        MadePromise(
            found.edited_copy_without_times,
            twin,
            by="make",
            label=f"{'created' if created else 'in_place'}-{'copy' if step == 1 else 'other_order'}",
            created=created,
            step=step,
        )
        for created in (False, True)
        for step, twin in ((1, twins.SaysNoDuplicate), (-1, TakesAnyOrder))
    ),
    *(
        MadePromise(
            found.inode_number_of_a_file_that_is_gone,
            *broken,
            by="make",
            label="mine" if mine else "others",
            mine=mine,
        )
        for mine, broken in ((False, [FearsForAll, LooksWhereverItLooked]), (True, [FearsForNone]))
    ),
    *(
        MadePromise(
            found.backup_of_a_mirror_after_a_kill,
            KnowsNoLaterText,
            by="make",
            label="rotated" if rotates else "log",
            rotates=rotates,
        )
        for rotates in (False, True)
    ),
    *(
        MadePromise(found.archive_of_what_was_let_go, twin, by="make", label=becomes, becomes=becomes)
        for becomes, twin in (
            ("truncated", KnowsNoArchives),
            ("compressed", KnowsNoTimes),
            ("deleted", KnowsNoArchives),
        )
    ),
    *(
        MadePromise(
            found.came_and_went_elsewhere,
            *broken,
            by="make",
            label=f"{'packed' if packs else 'plain'}-{'held' if store else 'awaited'}",
            name=name,
            packs=packs,
            store=store,
        )
        for name, packs, store, broken in (
            ("old/access_%dNov", False, True, [FindsNoWayOfWhatWasHeld]),
            ("day/%d/access.log", False, True, [FindsNoWayOfWhatWasHeld]),
            ("old/access.log.%d", True, True, [FindsNoWayOfWhatWasHeld, FindsNoCopiesOfWhatWasHeld]),
            ("old/access.log.%d", True, False, [LearnsByDescriptors]),
        )
    ),
)
