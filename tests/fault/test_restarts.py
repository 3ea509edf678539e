"""The end of a process, and what happens to logs until the next one: every line once."""

from tests.fault import restarts, twins
from tests.promised import MadePromise, promises

TWINS = {
    restarts.killed_before_the_commit: twins.StartsAnew,
    restarts.rotations_while_stopped: twins.LooksAtTheLogOnly,
    restarts.compressed_while_stopped: twins.IgnoresArchives,
    restarts.compressed_and_shifted_while_stopped: twins.IgnoresArchives,
    restarts.compressed_between_two_looks: twins.IgnoresArchives,
    restarts.kept_by_systemd: twins.TakesNothingBack,
    restarts.unreadable_at_the_first_look: twins.SettlesAtOnce,
    restarts.more_than_there_is_room_for: twins.SettlesAtOnce,
    restarts.compressing_ends_within_a_look: twins.ClassifiesArchivesOnce,
    restarts.empty_until_it_is_compressed: twins.SettlesAtOnce,
    restarts.written_to_after_it_was_let_go: twins.IgnoresArchives,
    restarts.quiet_while_stopped: twins.KnowsNoTimes,
    restarts.deleted_while_stopped: twins.NeverGivesUp,
    restarts.backups_restored: twins.KnowsNoText,
    restarts.older_files_appear_while_stopped: twins.IgnoresTimes,
    restarts.moved_to_another_disk: twins.KnowsNoText,
    restarts.successors_that_begin_alike: twins.ByPrefixOnly,
    restarts.copytruncate_while_stopped: twins.LooksForNoCopy,
    restarts.partial_line_at_the_end: twins.KeepsThePartialLine,
    restarts.hole_after_truncation: twins.ReadsHoles,
    restarts.shorter_after_power_loss: twins.TakesShorterForTruncated,
    restarts.written_to_after_power_loss: twins.TakesShorterForTruncated,
    restarts.zeros_where_it_was_open: twins.LeavesWhatWasCut,
    restarts.zeros_where_it_was_let_go: twins.DoubtsOnlyWhatWasOpen,
    restarts.zeros_at_the_end_of_the_log: twins.SkipsTheLineAfterZeros,
    restarts.damaged_archive: twins.IgnoresArchives,
    restarts.rotated_to_another_directory: twins.StaysInItsDirectory,
}

test_every_line_once, test_twin = promises(
    *(MadePromise(check, twin, by="make", caught=(OSError, ValueError)) for check, twin in TWINS.items())
)
