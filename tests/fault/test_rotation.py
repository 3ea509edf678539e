"""Rotations on the real file system: the follower passes each scenario, and a broken twin fails it."""

from functools import partial

import pytest

from qps_service.following.follower import Follower
from tests.fault import scenarios, twins
from tests.fault.scenarios import Make
from tests.promised import Check, Promise, caught, kept

PROMISES = [
    Promise(scenarios.backlog_at_rename, [twins.ClosesFirst]),
    Promise(scenarios.late_writes, [twins.LetsGoAtOnce]),
    Promise(scenarios.late_writes_with_pauses, [twins.LetsGoAtOnce]),
    Promise(scenarios.writer_returns, [twins.Forgets]),
    Promise(scenarios.bursts_of_rotations, [twins.LooksAtTheLogOnly]),
    Promise(scenarios.numbers_shift, [twins.LooksAtTheLogOnly]),
    Promise(scenarios.copy_beside, [twins.TrustsNames]),
    Promise(scenarios.copytruncate, [twins.BySizeOnly]),
    Promise(scenarios.copytruncate_before_it_was_read, [twins.LooksForNoCopy]),
    Promise(scenarios.copytruncate_of_lines_all_alike, [twins.TakesAnyCopy]),
    Promise(scenarios.inode_reused, [twins.ByInodeNumber]),
    Promise(scenarios.partial_lines, [twins.KeepsThePartialLine]),
    Promise(scenarios.partial_line_truncated, [twins.KeepsThePartialLine]),
    Promise(scenarios.started_within_a_line, [twins.StartsAtTheVeryEnd]),
    Promise(scenarios.symlink_swapped, [twins.ClosesFirst]),
    Promise(scenarios.symlink_target_rotated, [twins.IgnoresTheLink]),
    Promise(scenarios.symlink_beside_its_targets, [twins.TrustsNames]),
    Promise(scenarios.directory_replaced, [twins.ClosesFirst]),
    Promise(scenarios.missing_at_the_start, [twins.SaysEachTime]),
    Promise(scenarios.vanished_and_back, [twins.SaysEachTime]),
    Promise(scenarios.moved_back, [twins.NeverLookedBack]),
    Promise(scenarios.queue_overflow, [twins.DistrustsEverything]),
    Promise(scenarios.many_generations, [twins.Forgets]),
]


@kept(PROMISES)
def test_every_line_once(check: Check, make: Make) -> None:
    check(make)


@caught(PROMISES)
def test_twin(check: Check, twin: type[Follower], make: Make) -> None:
    with pytest.raises((AssertionError, OSError)):
        check(partial(make, twin))
