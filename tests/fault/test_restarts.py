"""The end of a process, and what happens to logs until the next one: every line once."""

from tests.fault import devices, places, restarts, twins
from tests.fault.mounts import needs_root
from tests.fault.scenarios import row
from tests.promised import promises

TWINS = {
    restarts.compressed_while_stopped: twins.IgnoresArchives,
    restarts.compressed_between_two_looks: twins.IgnoresArchives,
    restarts.killed_before_it_committed_a_rotation: twins.BelievesThatTheLogStayed,
    restarts.alike_where_the_log_was_deleted: twins.SaysNoDuplicate,
    restarts.kept_by_systemd: twins.TakesNothingBack,
    restarts.unreadable_at_the_first_look: twins.SettlesAtOnce,
    restarts.more_than_there_is_room_for: twins.SettlesAtOnce,
    restarts.compressing_ends_within_a_look: twins.ClassifiesArchivesOnce,
    restarts.empty_until_it_is_compressed: twins.SettlesAtOnce,
    restarts.written_to_after_it_was_let_go: twins.IgnoresArchives,
    restarts.quiet_while_stopped: twins.KnowsNoTimes,
    restarts.set_ahead_while_stopped: twins.BelievesAnyClock,
    restarts.deleted_while_stopped: twins.NeverGivesUp,
    restarts.backups_restored: twins.KnowsNoText,
    restarts.older_files_appear_while_stopped: twins.IgnoresTimes,
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
}


test_every_line_once, test_twin = promises(
    *(row(check, twin) for check, twin in TWINS.items()),
    row(restarts.kept_by_systemd, twins.LeavesInStore, label="store"),
)

test_devices_are_renumbered, test_twin_of_devices = promises(
    *(
        row(check, *broken, label=label, has_versions=has_versions, **given)
        for has_versions, label in ((True, "versions"), (False, "no_versions"))
        for check, given, broken in (
            (devices.mounted_after_the_start, {"meanwhile": 0}, [twins.TrustsDevices]),
            (devices.mounted_after_the_start, {"meanwhile": 300}, [twins.TrustsDevices]),
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
        )
    )
)

test_a_volume_is_mounted_late, test_twin_of_the_volume = map(
    needs_root, promises(row(devices.really_mounted_late, twins.TrustsDevices))
)

# Log, what it becomes, how.
PLACES = (
    ("access.log", "old/access.log.1", places.renamed),
    ("access.log", "28/access.log", places.renamed),
    ("access.log", "20261128/web.txt", places.renamed),
    ("current", "@400000006937a1b2c3d4e5f6.s", places.renamed),
    ("current", "@400000006937a1b2c3d4e5f6.u", places.renamed),
    ("access.log", "access__2026-11-28.log", places.renamed),
    ("access.log", "access.log-28Nov2026", places.renamed),
    ("access.log", "20261128-access.log", places.renamed),
    ("access.log", "access.log.saturday", places.renamed),
    ("access.log", "web.log", places.linked),
    ("0.log", "1.log", places.renamed),
    ("0.log", "0.log.20261128-230000", places.renamed),
)
# Only by the inode.
UNPACKED = (
    ("../archive/access.log", places.renamed),
    ("../access.log.1", places.renamed),
    ("logs.before", places.moved_with_its_directory),
)
LINKS = (
    ("2026/11/28/access.log", "2026/11/29/access.log", "access.log"),
    ("app-20261128.log", "app-20261129.log", "current.log"),
    ("releases/1/log/web.log", "releases/2/log/web.log", "web.log"),
)
# Names that a pattern knows: what was that file is found by it.
DATED = ("access-2026-11-28T00-00-00.000.log", "access.log.1", "access-20261128.log")
EITHER = (False, True)
WAYS = [
    {
        "packs": packs,
        "killed": killed,
        "label": f"{'packed' if packs else 'plain'}-{'killed' if killed else 'stopped'}",
    }
    for packs in EITHER
    for killed in EITHER
]

test_rotated_elsewhere, test_twin_elsewhere = promises(
    *(
        row(
            places.rotated_elsewhere,
            twins.LooksByNames if name != "0.log.20261128-230000" else twins.LooksAtTheLogOnly,
            **(way | {"log": log, "name": name, "rotate": rotate}),
        )
        for log, name, rotate in PLACES
        for way in WAYS
    ),
    *(
        row(places.rotated_elsewhere, twins.LooksByNames, name=name, rotate=rotate, killed=killed)
        for name, rotate in UNPACKED
        for killed in EITHER
    ),
    *(
        row(places.rotated_elsewhere, twins.LooksAtTheLogOnly, name=name, packs=packs)
        for name in DATED
        for packs in EITHER
    ),
    *(
        row(
            places.link_set_anew,
            twins.LooksByNames,
            **(way | {"former": former, "latter": latter, "link": link}),
        )
        for former, latter, link in LINKS
        for way in WAYS
    ),
)

test_the_other_log_is_left_alone, test_twin_that_takes_it = promises(
    *(
        row(
            places.beside_another_log, twins.LooksInEveryDirectoryAlike, one=one, other=other, rotated=rotated
        )
        for one, other, rotated in (
            ("app1/access.log", "app2/access.log", "old/{}.1"),
            ("site1.log", "site2.log", "old/{}.1"),
            ("site-1.example.log", "site-2.example.log", "{}__20261128"),
            ("1/shop.log", "2/shop.log", "old/20261128_{}"),
        )
    )
)

test_compressed_while_running, test_twin_of_compressing = promises(
    *(
        row(places.compressed_while_running, twins.LooksByNames, looks=looks, more=more)
        for looks in (0, 1, 3)
        for more in (0, 40)
    ),
    row(places.compressed_while_running, twins.LooksByNames, looks=2, suffix=".xz"),
    row(places.compressed_while_running, twins.KeepsNothing, label="store", looks=2, store=True),
    row(places.deleted_once_it_was_read, twins.NeverLetsGo, label="blind", blind=True),
    row(places.deleted_once_it_was_read, twins.NeverLetsGo, label="with_leases", blind=False),
)

test_the_clock_went_back, test_twin_of_the_clock = promises(
    *(row(places.clock_set_back, twins.GoesByTimes, packs=packs) for packs in EITHER)
)

test_files_of_others, test_twin_of_others = map(
    needs_root,
    promises(
        *(
            row(
                places.forged_by_another_user,
                twins.TakesEveryOwnersFiles,
                label=f"{mode:o}-{'packed' if packs else 'plain'}",
                mode=mode,
                packs=packs,
            )
            for mode in (0o1777, 0o775, 0o1770)
            for packs in EITHER
        ),
        row(places.damaged_by_another_user, twins.TakesEveryOwnersFiles),
        row(places.copied_by_another_user, twins.TakesEveryOwnersCopies),
        *(
            row(places.opened_by_two_owners, twins.KnowsNoFormerOwner, label=f"{mode:o}", mode=mode)
            for mode in (0o1777, 0o775)
        ),
    ),
)
