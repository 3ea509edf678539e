"""Rotations on the real file system: the follower passes each scenario, and a broken twin fails it."""

from tests.fault import copies, dated, places, scenarios, twins
from tests.fault.scenarios import row
from tests.following import NoInotify
from tests.promised import promises

TWINS = {
    scenarios.backlog_at_rename: twins.ClosesFirst,
    scenarios.late_writes_with_pauses: twins.LetsGoAtOnce,
    scenarios.bursts_of_rotations: twins.LooksAtTheLogOnly,
    scenarios.copytruncate: twins.BySizeOnly,
    scenarios.copytruncate_before_it_was_read: twins.LooksForNoCopy,
    scenarios.copytruncate_of_lines_all_alike: twins.TakesAnyCopy,
    scenarios.inode_reused: twins.ByInodeNumber,
    scenarios.partial_lines: twins.KeepsThePartialLine,
    scenarios.partial_line_truncated: twins.KeepsThePartialLine,
    scenarios.started_within_a_line: twins.StartsAtTheVeryEnd,
    scenarios.symlink_swapped: twins.ClosesFirst,
    scenarios.symlink_target_rotated: twins.IgnoresTheLink,
    scenarios.symlink_beside_its_targets: twins.TrustsNames,
    scenarios.directory_replaced: twins.ClosesFirst,
    scenarios.queue_overflow: twins.DistrustsEverything,
    scenarios.many_generations: twins.Forgets,
}


test_every_line_once, test_twin = promises(*(row(check, twin) for check, twin in TWINS.items()))

READERS = (copies.running, copies.stopped, copies.killed, copies.once)
RENAMES = (copies.by_rename, copies.from_elsewhere)
IN_PLACE = (copies.in_place, copies.over_it)
EDITS = (copies.without_some, copies.with_one_altered, copies.with_a_header, copies.in_another_order)

test_what_is_put_in_the_logs_place, test_twin_of_it = promises(
    *(
        row(check, twins.ReadsCopiesAnew, put=put, reader=reader)
        for check in (copies.mirrored, copies.put_back)
        for put in RENAMES
        for reader in READERS
    ),
    *(row(copies.mirrored, twins.StartsAnew, put=copies.in_place, reader=reader) for reader in READERS[1:]),
    row(copies.mirrored, twins.StartsAnew, put=copies.appended, reader=copies.stopped),
    *(row(copies.put_back, twins.ReadsAnewInPlace, put=put, reader=copies.running) for put in IN_PLACE),
    *(row(copies.put_back, twins.StartsAnew, put=put, reader=copies.stopped) for put in IN_PLACE),
    *(row(copies.mirrored_and_rotated, twins.ReadsCopiesAnew, reader=reader) for reader in READERS),
    *(row(copies.put_and_rotated, twins.ReadsRotatedCopiesAnew, reader=reader) for reader in READERS[1:]),
    *(
        row(copies.put_back, twins.ReadsCopiesAnew, edit=edit, put=copies.by_rename, reader=reader)
        for edit in EDITS
        for reader in READERS[:2]
    ),
    row(copies.anonymised, twins.SaysNoDuplicate, reader=copies.running),
    row(copies.anonymised, twins.NeverGivesUp, reader=copies.stopped),
    row(
        copies.put_back,
        twins.ReadsCopiesAnew,
        label="store",
        put=copies.by_rename,
        reader=copies.stopped,
        of_rig={"store": True},
    ),
    row(
        copies.mirrored,
        twins.ReadsCopiesAnew,
        label="no_inotify",
        put=copies.by_rename,
        reader=copies.running,
        of_rig={"watcher": NoInotify},
    ),
)

test_equal_lines_prove_nothing, test_twin_of_equal_lines = promises(
    *(row(copies.equal_lines_renamed, twins.BelievesInEqualTexts, reader=reader) for reader in READERS),
    *(row(copies.equal_lines_put_in_place, twins.SaysNoDuplicate, reader=reader) for reader in READERS[:2]),
)

test_the_copy_is_found, test_twin_of_the_search = promises(
    *(
        row(
            places.copied_and_truncated,
            *broken,
            label=f"{name}-{'packed' if packs else 'plain'}",
            name=name,
            packs=packs,
        )
        for name, broken in (
            ("access.log.", [twins.LooksForNoCopy]),
            ("access.log-copy", [twins.LooksForNoCopy, twins.LooksByNames]),
            ("backup of access", [twins.LooksForNoCopy, twins.LooksByNames]),
            ("old/access.log.", [twins.LooksForNoCopy, twins.LooksByNames]),
            ("old/28Nov2026-", [twins.LooksForNoCopy, twins.LooksByNames]),
        )
        for packs in (False, True)
    )
)

test_a_foreign_file, test_twin_of_a_foreign_file = promises(
    row(places.foreign_file_beside_a_log, twins.TrustsNames, label="hints", hints=True),
    row(places.foreign_file_beside_a_log, twins.SuspectsARotation, label="no_hints", hints=False),
)

test_files_with_dates, test_twin_of_files_with_dates = promises(
    *(row(dated.days_end, twins.KnowsNoLateDay, path=path) for path in (dated.NAMES, dated.DIRECTORIES)),
    row(dated.days_end, twins.LooksAtTheLogOnly, path=dated.DIRECTORIES, watcher=NoInotify),
    row(dated.one_writer_is_a_day_late, twins.KnowsNoLateDay, twins.KeepsTheLastDayOnly),
    *(
        row(dated.several_days_without_us, twins.LooksAtTheLogOnly, path=path)
        for path in (dated.NAMES, dated.DIRECTORIES)
    ),
    row(dated.years_are_links, twins.FollowsNoLinks),
    row(dated.many_hours_without_us, twins.LooksIntoTheLatestOnly),
    row(dated.directories_go_and_older_ones_are_left, twins.TakesWhatMovesUp),
    row(dated.old_days_are_packed_and_unpacked, twins.TrustsDates, twins.SaysEachTime),
    row(dated.foreign_days, twins.FallsBack),
    row(dated.link_that_moves_on, twins.ThinksNothingWent),
    row(dated.start_from_the_start, twins.KeepsTheLastDayOnly),
)
