"""What a follower says about its log: each change of state once, and each possible loss."""

from qps_service.files.kernel import Seen, explain, user_name
from qps_service.following.generation import Generation
from qps_service.notices import kinds
from qps_service.notices.kinds import Kind, Notice, Notify
from qps_service.notices.throttle import Throttle
from qps_service.text.escape import show_path
from qps_service.text.units import SECOND
from qps_service.values.entries import LOSSES_LIMIT, PossibleLoss
from qps_service.values.positions import Position

# A log that rotates ten times a second should not fill the journal.
ROTATIONS_SAID_EVERY = 10 * SECOND  # nanoseconds
LET_GO_SAID_EVERY = 60 * SECOND  # nanoseconds
# Whoever may write to the log's directory can make states change all the time.
BURST = 20  # messages
BURST_EVERY = 60 * SECOND  # nanoseconds


class Announcer:
    """Speaks for one log; `trouble` is why it is not being followed, None while it is."""

    def __init__(self, path: str, name: str, notify: Notify) -> None:
        """`name` is the log's name in the configuration."""
        self.trouble: str | None = None
        self.rotations = 0  # so far
        self._path = show_path(path)
        self._name = name
        self._notify = notify
        self._following = False
        self._failing: set[tuple[int, int]] = set()  # keys of generations whose reading fails
        self._rotations_said = 0
        self._files_open = 0  # at the last rotation
        self._rotation_said = Throttle(ROTATIONS_SAID_EVERY)
        self._let_go = 0  # files, not yet said
        self._last_let_go = ""
        self._let_go_said = Throttle(LET_GO_SAID_EVERY)
        self._losses: list[PossibleLoss] = []
        self._said = self._withheld = 0  # since the burst began
        self._burst = Throttle(BURST_EVERY)

    def following(self, what: str = "") -> None:
        """The log is there and open; `what` is to be said of it."""
        if not self._following:
            self._following, self.trouble = True, None
            self._say(kinds.FOLLOWING, f"following {self._path}{what}")

    def absent(self) -> None:
        """There is no log."""
        self._troubled(kinds.WAITING, f"waiting for {self._path}")

    def unreadable(self, error: OSError, seen: Seen | None = None) -> None:
        """There is a log, but it can't be opened."""
        self._troubled(kinds.UNREADABLE, f"cannot read {self._path}: {explain(error, seen)}; trying again")

    def rotated(self, now: int, files_open: int) -> None:
        """A new generation is there. `now` in nanoseconds."""
        self.rotations += 1
        self._files_open = files_open
        self.catch_up(now)

    def truncated(self, position: Position, copy: str | None) -> None:
        """A file became shorter, or holds another text than was read; `copy` has what it held."""
        text = f"{show_path(position.name)} was truncated; it was read up to byte {position.offset}, "
        if copy:
            text += f"the rest, if any, is read from its copy {show_path(copy)}"
        else:
            text += "what was written between that and the truncation is not counted: no copy has it"
        self._say(kinds.TRUNCATED, text)

    def recognised(self, path: str, lines: int, doubtful: int = 0) -> None:
        """What was read before stands at the log's path, put there by somebody; so many lines are not counted
        again. Of so many bytes nothing tells whether they were read."""
        text = (
            f"{show_path(path)} is not new: {lines} lines of it were read before, and are not counted again"
        )
        self._say(kinds.RECOGNISED, text)
        if doubtful:
            what = "is a copy of what was read, but for a part that may be new, and is not counted"
            self.possible_loss(PossibleLoss(what, path, doubtful))

    def possible_duplicate(self, path: str, lines: int | None, *, is_alike: bool = True) -> None:
        """What a file holds is counted, though it may have been before: so many lines at most."""
        most = "an unknown number of" if lines is None else str(lines)
        why = (
            "its text is the same as one that was read, and nothing proves that it is that one"
            if is_alike
            else "no rotation brought it to the log's name, and it holds lines already"
        )
        self._say(
            kinds.POSSIBLE_DUPLICATE, f"possible duplicate of {most} lines at most: {show_path(path)}; {why}"
        )

    def foreign(self, path: str, seen: Seen) -> None:
        """A file that is not taken for the log's, since somebody else put it there."""
        whose = f"it belongs to {user_name(seen.owner)}, who never had the log"
        why = "others than its owner may write to the directory"
        self._say(kinds.FOREIGN_FILE, f"{show_path(path)} is not counted: {whose}, and {why}")

    def possible_loss(self, loss: PossibleLoss) -> None:
        """Lines may have been in a file that can't be counted."""
        # As many as the ledger keeps: whoever makes files come and go must not fill the memory.
        self._losses = [*self._losses[1 - LOSSES_LIMIT :], loss]
        most = "an unknown number of bytes" if loss.bytes is None else f"{loss.bytes} bytes at most"
        text = f"possible loss of {most}: {show_path(loss.name)} {loss.what}"
        self._say(kinds.POSSIBLE_LOSS, text, loss)

    def take_losses(self) -> tuple[PossibleLoss, ...]:
        """Those since the last call."""
        losses, self._losses = tuple(self._losses), []
        return losses

    def let_go(self, generation: Generation, limit: int, now: int) -> None:
        """A file is closed early. `now` in nanoseconds."""
        self._let_go += 1
        self._last_let_go = f"{_shown(generation)} at byte {generation.offset}, for the limit of {limit}"
        self.catch_up(now)

    def catch_up(self, now: int) -> None:
        """Say what repeats, and was held back, once its time has come."""
        if self._burst.allows(now):
            self._said = 0
        unsaid = self.rotations - self._rotations_said
        if unsaid and self._rotation_said.allows(now):
            times = "" if unsaid == 1 else f" {unsaid} times"
            open_now = f"{self._files_open} of its files are open"
            self._say(kinds.ROTATED, f"{self._path} was rotated{times}; {open_now}")
            self._rotations_said = self.rotations
        if self._let_go and self._let_go_said.allows(now):
            files = f"{self._let_go} files of {self._path} that may still be written to were let go"
            self._say(kinds.LET_GO, f"{files}, the last {self._last_let_go}")
            self._let_go = 0

    def read_failed(self, generation: Generation, error: OSError) -> None:
        """A file that is open can't be read."""
        if generation.key not in self._failing:
            self._failing.add(generation.key)
            self._say(
                kinds.READ_FAILED,
                f"cannot read {_shown(generation)} beyond byte {generation.offset}: {explain(error)}; "
                "trying again",
            )

    def reads_again(self, generation: Generation) -> None:
        """It can."""
        self._failing.discard(generation.key)

    def _troubled(self, kind: Kind, text: str) -> None:
        self._following = False
        if self.trouble != text:
            self.trouble = text
            self._say(kind, text)

    def _say(self, kind: Kind, text: str, loss: PossibleLoss | None = None) -> None:
        if self._said >= BURST:
            self._withheld += 1
            return
        if self._withheld:
            text += f" ({self._withheld} messages before this were withheld)"
        self._said, self._withheld = self._said + 1, 0
        self._notify(Notice(kind, text, self._name, loss))


def _shown(generation: Generation) -> str:
    return show_path(generation.name)
