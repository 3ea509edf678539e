"""Attacks on logs: every line once, or said; and twins that fail them."""

from qps_service.files.fingerprint import common
from qps_service.files.recognition import KnownPart
from tests.fault import attacked, twins
from tests.promised import MadePromise, promises

# Takes lines that are written again and again for proof that two texts are one.
TakesWhatBeginsAlike = twins.spoilt(
    "TakesWhatBeginsAlike",
    "_held._known_part",
    lambda generation, former: KnownPart(common(former, generation.source.read)),
)


# Says nothing of a copy that may be all that is left of what was read.
TrustsTheLog = twins.spoilt("TrustsTheLog", "_discovery._classifier._lose", lambda _: None)
# Knows of no file that it has another name now.
KnowsNoOtherName = twins.spoilt("KnowsNoOtherName", "_discovery.presence", lambda *_: lambda _: False)
# Takes a file once for each of its names.
TakesEachName = twins.in_other_surroundings("TakesEachName", found=[])
# Leaves a copy out for good, though it was read.
LeavesOutForGood = twins.spoilt("LeavesOutForGood", "_known_files.ignored.remove", lambda *_: None)


TWINS = {
    attacked.probes_in_turn_and_copytruncate: TakesWhatBeginsAlike,
    attacked.one_round_of_probes_rotated_while_stopped: KnowsNoOtherName,
    attacked.probes_rotated_to_another_directory_while_stopped: KnowsNoOtherName,
    attacked.copy_kept_by_its_editor_while_stopped: twins.SaysNoDuplicate,
    attacked.rotated_with_another_link_while_stopped: TakesEachName,
    attacked.probes_and_copytruncate_while_stopped: TrustsTheLog,
    attacked.copytruncate_while_stopped_by_one_who_may_not_ask: LeavesOutForGood,
}

test_every_line_once, test_twin = promises(
    *(MadePromise(check, twin, by="make", caught=(OSError, ValueError)) for check, twin in TWINS.items())
)
