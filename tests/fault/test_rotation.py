"""Rotations on the real file system: the follower passes each scenario, and a broken twin fails it."""

from tests.fault import scenarios, twins
from tests.promised import MadePromise, promises

TWINS = {
    scenarios.backlog_at_rename: twins.ClosesFirst,
    scenarios.late_writes: twins.LetsGoAtOnce,
    scenarios.late_writes_with_pauses: twins.LetsGoAtOnce,
    scenarios.writer_returns: twins.Forgets,
    scenarios.bursts_of_rotations: twins.LooksAtTheLogOnly,
    scenarios.numbers_shift: twins.LooksAtTheLogOnly,
    scenarios.copy_beside: twins.TrustsNames,
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
    scenarios.missing_at_the_start: twins.SaysEachTime,
    scenarios.vanished_and_back: twins.SaysEachTime,
    scenarios.moved_back: twins.NeverLookedBack,
    scenarios.queue_overflow: twins.DistrustsEverything,
    scenarios.many_generations: twins.Forgets,
}

test_every_line_once, test_twin = promises(
    *(MadePromise(check, twin, by="make", caught=(OSError,)) for check, twin in TWINS.items())
)
