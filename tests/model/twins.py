"""Followers that lack what one power of the toy file system asks for."""

from qps_service.files.kernel import Seen
from qps_service.following.classification import Classification, Surroundings, Undecided
from qps_service.following.known_files import Resemblance
from qps_service.values.positions import Identity, Position
from tests.fault.twins import Spoilt, spoilt


class ComparesDevices(Spoilt):
    """Takes a file under another device number for another file, whatever it holds."""

    def spoil(self) -> None:
        known_files = self._known_files

        def find(identity: Identity) -> Position | None:
            number = known_files._numbers.get(identity[:2], 0)
            return known_files._retired.get(number)

        known_files._find = find  # type: ignore[method-assign]
        known_files.resembles = lambda *_, **__: (Resemblance.NONE, None)  # type: ignore[method-assign]


class WithOtherClassification(Spoilt):
    """Classifies files otherwise."""

    def spoil(self) -> None:
        classifier = self._discovery._classifier
        consider = classifier.consider

        def otherwise(path: str, seen: Seen, surroundings: Surroundings, *, trusted: bool) -> Classification:
            if self.leaves_out(seen, surroundings, trusted=trusted):
                return Undecided.NEW
            return consider(path, seen, self.changed(surroundings), trusted=trusted)

        classifier.consider = otherwise  # type: ignore[method-assign]

    def leaves_out(self, seen: Seen, surroundings: Surroundings, *, trusted: bool) -> bool:
        return False

    def changed(self, surroundings: Surroundings) -> Surroundings:
        return surroundings


class CountsForeignFiles(WithOtherClassification):
    """Does not ask whose a file is."""

    def changed(self, surroundings: Surroundings) -> Surroundings:
        return surroundings._replace(is_foreign=lambda *_: False)


class TrustsClocks(WithOtherClassification):
    """Takes what has an older time for older."""

    def leaves_out(self, seen: Seen, surroundings: Surroundings, *, trusted: bool) -> bool:
        return not trusted and seen.modified < surroundings.since and seen.key not in surroundings.held


# Looks for rotated files under names that rotations give alone.
LooksForSiblings = spoilt("LooksForSiblings", "_discovery._search._look", lambda *_: {})
# Takes whatever is put at the log's name for new.
TakesEachFileForNew = spoilt(
    "TakesEachFileForNew", "_start._after_known_part", lambda fresh, *_: fresh.position
)
# Takes whatever is written over a log for new.
TakesEachTextForNew = spoilt("TakesEachTextForNew", "_held._known_part", lambda *_: None)
