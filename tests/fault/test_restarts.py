"""The end of a process, and what happens to logs until the next one: every line once."""

from functools import partial

import pytest

from qps_service.following.follower import Follower
from tests.fault import restarts, twins
from tests.fault.scenarios import Make
from tests.promised import Check, Promise, caught, kept

PROMISES = [
    Promise(restarts.killed_before_the_commit, [twins.StartsAnew]),
    Promise(restarts.rotations_while_stopped, [twins.LooksAtTheLogOnly]),
    Promise(restarts.compressed_while_stopped, [twins.IgnoresArchives]),
    Promise(restarts.compressed_and_shifted_while_stopped, [twins.IgnoresArchives]),
    Promise(restarts.compressed_between_two_looks, [twins.IgnoresArchives]),
    Promise(restarts.kept_by_systemd, [twins.TakesNothingBack]),
    Promise(restarts.unreadable_at_the_first_look, [twins.SettlesAtOnce]),
    Promise(restarts.more_than_there_is_room_for, [twins.SettlesAtOnce]),
    Promise(restarts.compressing_ends_within_a_look, [twins.ClassifiesArchivesOnce]),
    Promise(restarts.empty_until_it_is_compressed, [twins.SettlesAtOnce]),
    Promise(restarts.written_to_after_it_was_let_go, [twins.IgnoresArchives]),
    Promise(restarts.quiet_while_stopped, [twins.KnowsNoTimes]),
    Promise(restarts.deleted_while_stopped, [twins.NeverGivesUp]),
    Promise(restarts.backups_restored, [twins.KnowsNoText]),
    Promise(restarts.older_files_appear_while_stopped, [twins.IgnoresTimes]),
    Promise(restarts.moved_to_another_disk, [twins.KnowsNoText]),
    Promise(restarts.successors_that_begin_alike, [twins.ByPrefixOnly]),
    Promise(restarts.copytruncate_while_stopped, [twins.LooksForNoCopy]),
    Promise(restarts.partial_line_at_the_end, [twins.KeepsThePartialLine]),
    Promise(restarts.hole_after_truncation, [twins.ReadsHoles]),
    Promise(restarts.shorter_after_power_loss, [twins.TakesShorterForTruncated]),
    Promise(restarts.written_to_after_power_loss, [twins.TakesShorterForTruncated]),
    Promise(restarts.zeros_where_it_was_open, [twins.LeavesWhatWasCut]),
    Promise(restarts.zeros_where_it_was_let_go, [twins.DoubtsOnlyWhatWasOpen]),
    Promise(restarts.zeros_at_the_end_of_the_log, [twins.SkipsTheLineAfterZeros]),
    Promise(restarts.damaged_archive, [twins.IgnoresArchives]),
    Promise(restarts.rotated_to_another_directory, [twins.StaysInItsDirectory]),
]


@kept(PROMISES)
def test_every_line_once(check: Check, make: Make) -> None:
    check(make)


@caught(PROMISES)
def test_twin(check: Check, twin: type[Follower], make: Make) -> None:
    with pytest.raises((AssertionError, OSError, ValueError)):
        check(partial(make, twin))
