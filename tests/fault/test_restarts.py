"""The end of a process, and what happens to logs until the next one: every line once."""

from typing import Any

from tests.fault import devices, restarts, twins
from tests.fault.mounts import needs_root
from tests.promised import MadePromise, Promise, promises

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


def row(check: Any, *broken: Any, **given: Any) -> Promise:
    """One promise, by what its rig makes."""
    return MadePromise(check, *broken, by="make", caught=(OSError, ValueError), **given)


test_every_line_once, test_twin = promises(*(row(check, twin) for check, twin in TWINS.items()))

test_devices_are_renumbered, test_twin_of_devices = promises(
    *(
        row(check, *broken, label=label, has_versions=has_versions, **given)
        for has_versions, label in ((True, "versions"), (False, "no_versions"))
        for check, given, broken in (
            (devices.mounted_after_the_start, {"meanwhile": 0}, [twins.TrustsDevices]),
            (devices.mounted_after_the_start, {"meanwhile": 300}, [twins.TrustsDevices]),
            (devices.mounted_where_nothing_was, {}, [twins.TrustsDevices]),
            (
                devices.mounted_after_a_rotation,
                {"name": "access.log.1"},
                [twins.TrustsDevices, twins.ForgetsWhatIsOld],
            ),
            (devices.mounted_after_a_rotation, {"name": "access.log.1.gz"}, [twins.IgnoresArchives]),
            (devices.renumbered_by_a_reboot, {"rotates": False}, [twins.TrustsDevices]),
            (
                devices.renumbered_by_a_reboot,
                {"rotates": True},
                [twins.TrustsDevices, twins.ForgetsWhatIsOld],
            ),
            (devices.mounted_over_a_log, {}, [twins.TrustsDevices]),
        )
    )
)

test_a_volume_is_mounted_late, test_twin_of_the_volume = map(
    needs_root, promises(row(devices.really_mounted_late, twins.TrustsDevices))
)
