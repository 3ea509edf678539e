"""What fails is said once, and once more when it works again."""

from qps_service.notices import kinds
from qps_service.notices.kinds import Notice, Notify


class Trouble:
    """Says that an output fails, and that it works again, once each; counts the failures."""

    def __init__(self, notify: Notify, works: str) -> None:
        """`works` is what is said when it does again."""
        self.failures = 0
        self._notify = notify
        self._works = works
        self.is_failing = False

    def failed(self, text: str) -> None:
        """Something could not be delivered; `text` tells what and why."""
        self.failures += 1
        if not self.is_failing:
            self.is_failing = True
            self._notify(Notice(kinds.OUTPUT_FAILED, text))

    def works(self) -> None:
        """Something was delivered."""
        if self.is_failing:
            self.is_failing = False
            self._notify(Notice(kinds.OUTPUT_RESUMED, self._works))
