"""Counts a log's lines: in the format that is set or, where that is `auto`, in the one that they have.

Until enough lines tell that, they wait, and nobody is told that they were counted: whoever keeps positions
must not move them past what waits, so has the question settled first. Then all that waited is counted in one
format: no line that was looked at is lost, and none is counted twice. Where no line fits any format, what
waited is rejected as the fallback's scanner does, and the lines that come next are a new chance.

Where most of the last lines are rejected, these are judged anew; what comes next is counted in another
format, if that counts more of them.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from qps_service.errors import FormatError
from qps_service.formats.presets import AUTO_ORDER, LogFormat, compile_format
from qps_service.scanning.options import ScanOptions, Spill
from qps_service.scanning.scanner import Scanner, make_scanner
from qps_service.values.counts import Scanned
from qps_service.values.positions import Directives

if TYPE_CHECKING:
    from qps_service.formats.detection import Choice, Votes

FALLBACK = "combined"  # what most web servers write; lines that don't fit it are rejected as `fields`

# Text that waits: some 500 lines, or one that is longer. As much is kept of the recent lines while most of
# these are rejected.
WAITING = 64 * 1024  # bytes
RECENT = 1000  # lines; when most of these are rejected, the format is doubted
# After a doubt in vain so many lines are let pass, more each time: what a server says of itself may be most
# of a log for good, and judging it takes 30 times as long as counting it.
_REST = 15 * RECENT  # lines, at most
# Lines that are rejected before any counted, until that is said: more than servers say when they start.
FIRST = 100
_BLOCK_COST = 64  # bytes of memory for a block that waits, beside its text
_NO_DIRECTIVES = Directives()


class Origin(Protocol):
    """Where lines are from."""

    directives: Directives  # up to the next line that is to be counted

    def counted(self, lines: int, rejected: int, directives: Directives) -> None:
        """So many of its next lines were counted, and so many of these rejected; its directives by then."""


class Say(Protocol):
    """Is told of a choice."""

    def __call__(self, name: str, reason: str, *, anew: bool, left: int = 0) -> None:
        """This format is used: for all that waited, or, `anew`, in place of another one from here on, which
        are the last `left` bytes of the block."""


class _Judge(Protocol):
    def __call__(
        self, text: bytes, directives: Directives = ..., votes: "Votes | None" = None, /
    ) -> "Votes": ...


class LineCounter:
    """Counts the lines of one log."""

    def __init__(
        self,
        options: ScanOptions,
        spill: Spill,
        say: Say,
        *,
        chosen: str | None = None,
        make: Callable[[ScanOptions, Spill], Scanner] = make_scanner,
    ) -> None:
        """`chosen`: what `auto` chose for this log before; `make` makes the scanner for a format."""
        self._options = options
        self._spill = spill
        self._say = say
        self._make = make
        is_auto = options.log_format.is_auto
        known = _known(chosen) if chosen and is_auto else None
        self.chosen = known and known.text  # the format that `auto` chose, if any
        self._waiting = _Waiting(self._judged) if is_auto and known is None else None
        first = known or (compile_format(FALLBACK) if is_auto else options.log_format)
        self._scanner = make(options._replace(log_format=first), spill)
        self.why_none: str | None = None  # no format was found among the last lines that waited, if none was
        self.has_rejected = False  # lines, since the last `take`
        self.why_unfit: str | None = None  # none of the recent lines counts, if none does
        self._recent = _Recent()
        self._rest = self._rests = 0  # lines that are let pass before the next doubt; the last time
        self._has_counted = known is not None  # a request
        self._left: set[str] = set()  # formats that others took the place of

    @property
    def wants_former(self) -> bool:
        """Whether the lines before those that are to be counted may tell the format."""
        return self._waiting is not None and self._waiting.former is None

    def learn(self, former: bytes, origin: Origin) -> None:
        """These lines stand before those that come, and are not counted."""
        if self._waiting:
            self._waiting.former = self._judged(former, origin.directives, newest_first=True)

    def scan(self, block: bytes | memoryview, origin: Origin) -> None:
        """Count each line of `block`, at once or later; `origin` is told then."""
        left = memoryview(block)
        while left:
            # Of a large block no more is counted in a format that does not fit than it takes to notice.
            is_cut = self._waiting or (self.chosen and len(left) > WAITING)
            piece = left[: _lines_end(left)] if is_cut else left
            left = left[len(piece) :]
            if self._waiting:
                self._waiting.add(bytes(piece), origin)
                if self._waiting.is_over:
                    self.settle()
            elif self._count(piece, origin):
                self._doubt(origin.directives, len(left))

    def settle(self) -> None:
        """Count what waits, in the format that it seems to have so far."""
        waiting = self._waiting
        if waiting is None or not waiting.blocks:
            return
        choice = waiting.choice()
        self.why_none = None if choice.format else choice.reason
        if choice.format:
            self._waiting = None
            self._use(choice.format, choice.reason, anew=False)
        else:
            self._waiting = _Waiting(self._judged, waiting.former)
        for text, origin in waiting.blocks:
            if self._count(text, origin) and choice.format is None:
                self._note_unfit(choice.reason)

    def reject_oversize(self, start: bytes, origin: Origin) -> None:
        """Count one line that was too long to be handed over."""
        self._scanner.reject_oversize(start)
        origin.counted(1, 1, origin.directives)
        self.has_rejected = True

    def take(self) -> Scanned:
        """What was counted since the last call."""
        self.has_rejected = False
        return self._scanner.take()

    @property
    def held(self) -> int:
        """Bytes of memory, about, that what was counted takes so far."""
        return self._scanner.held

    def _count(self, block: bytes | memoryview, origin: Origin) -> bool:
        """Count each line; whether the format is to be doubted."""
        self._scanner.directives = origin.directives
        lines, rejected = self._scanner.scan(block)
        origin.counted(lines, rejected, self._scanner.directives)
        self.has_rejected |= rejected > 0
        if rejected < lines:
            self._has_counted, self.why_unfit = True, None
        self._rest -= lines
        return self._rest < 0 and self._recent.add(
            block, lines, rejected, RECENT if self._has_counted else FIRST
        )

    def _doubt(self, directives: Directives, left: int) -> None:
        """Most of the recent lines were rejected."""
        recent = self._recent
        choice = self._judged(recent.text, directives, newest_first=True).choice()
        other = choice.format if self.chosen else None
        if other and other.text != self.chosen:
            counted = recent.lines - recent.rejected
            # Of two formats that take turns in one log, none is given up for the other again and again.
            least = 2 * counted if other.text in self._left else counted
            if min(_counted(self._idle(other, directives), recent.text), recent.rejected) > least:
                self._use(other, choice.reason, anew=True, left=left)
                return
        self._note_unfit(choice.reason)
        self._rest, self._rests = self._rests, min(2 * self._rests + RECENT, _REST)

    def _note_unfit(self, reason: str) -> None:
        if self._recent.rejected == self._recent.lines:
            self.why_unfit = reason
        self._recent = _Recent()

    def _use(self, log_format: LogFormat, reason: str, *, anew: bool, left: int = 0) -> None:
        self._spill(self._scanner.take())
        if self.chosen:
            self._left.add(self.chosen)
        self.chosen = log_format.text
        self._scanner = self._make(self._options._replace(log_format=log_format), self._spill)
        self._recent = _Recent()
        self._rest = self._rests = 0
        self._say(log_format.text, reason, anew=anew, left=left)

    def _judged(
        self,
        text: bytes,
        directives: Directives = _NO_DIRECTIVES,
        votes: "Votes | None" = None,
        *,
        newest_first: bool = False,
    ) -> "Votes":
        """The votes of these lines, and of those before; the last of them first where what comes next is to
        be like them. `directives` are those in force there."""
        from qps_service.formats.detection import Votes  # what a log has whose format is known does without

        votes = votes or Votes()
        lines = text.split(b"\n")
        if newest_first:
            lines.reverse()
        # Scanners tell in a few ms which formats count none of these lines. So few are left for the reference
        # which takes 1 ms to get ready for a format, and 30 us for a line.
        formats = map(compile_format, AUTO_ORDER if text else ())
        names = [each.text for each in formats if _counted(self._idle(each, directives), text)]
        votes.add(lines, names, directives.last)
        return votes

    def _idle(self, log_format: LogFormat, directives: Directives) -> Scanner:
        """A scanner whose counts nobody takes."""
        scanner = self._make(self._options._replace(log_format=log_format), _ignore)
        scanner.directives = directives
        return scanner


class _Waiting:
    """Lines that are to be counted when it is known how."""

    def __init__(self, judged: "_Judge", former: "Votes | None" = None) -> None:
        """`judged` has lines vote; `former`: the votes of lines that stand before those that are to be
        counted, where these were asked."""
        self.blocks: list[tuple[bytes, Origin]] = []
        self.former = former
        self._judged = judged
        self._votes: Votes | None = None
        self._size = 0  # bytes

    @property
    def is_over(self) -> bool:
        """Whether nothing is to wait any longer."""
        votes = self._votes
        return self._size >= WAITING or (
            votes is not None and (votes.are_enough or self._is_as_before(votes))
        )

    def add(self, text: bytes, origin: Origin) -> None:
        """These wait, too."""
        self.blocks.append((text, origin))
        self._size += len(text) + _BLOCK_COST
        self._votes = self._judged(text, origin.directives, self._votes)
        if self._votes.number and not self._is_as_before(self._votes):
            self.former = self._judged(b"")  # those before have no say

    def choice(self) -> "Choice":
        """The format of what waits, by what is known so far."""
        votes = self._votes or self._judged(b"")
        if self.former and (self._is_as_before(votes) or not votes.number):
            before = self.former.choice()
            if before.format:
                return before._replace(reason=f"{before.reason}, of those that stood there before")
        return votes.choice()

    def _is_as_before(self, votes: "Votes") -> bool:
        """Whether the lines that wait have the format of those that stand before: a log may have been given
        another one."""
        before = self.former.winner() if self.former else None
        return before is not None and votes.of(before) > 0


class _Recent:
    """How many of the last lines were rejected."""

    def __init__(self) -> None:
        self.lines = self.rejected = 0
        self._blocks: deque[tuple[int, int]] = deque()  # lines, and how many of these were rejected
        self._text = b""  # the end of blocks in which most were

    @property
    def text(self) -> bytes:
        """Some of the lines, among them most of those that were rejected."""
        text = self._text if len(self._text) < WAITING else self._text[self._text.find(b"\n") + 1 :]
        return b"\n".join(text.rsplit(b"\n", RECENT + 1)[-RECENT - 1 :])

    def add(self, block: bytes | memoryview, lines: int, rejected: int, least: int) -> bool:
        """Take in a block; whether of the last RECENT lines, or of fewer that are at least so many, most were
        rejected."""
        if self._blocks and self._blocks[-1][0] < RECENT // 10:
            before, rejected_before = self._blocks.pop()
            self._blocks.append((before + lines, rejected_before + rejected))
        else:
            self._blocks.append((lines, rejected))
        self.lines += lines
        self.rejected += rejected
        while (surplus := self.lines - RECENT) > 0:
            first, first_rejected = self._blocks.popleft()
            left = max(first - surplus, 0)
            rejected_left = first_rejected * left // first  # as if they were spread evenly
            if left:
                self._blocks.appendleft((left, rejected_left))
            self.lines -= first - left
            self.rejected -= first_rejected - rejected_left
        if 2 * rejected > lines:
            self._text = (self._text + bytes(block[-WAITING:]))[-WAITING:]
        elif not self.rejected:
            self._text = b""
        return self.lines >= least and 2 * self.rejected > self.lines


def _lines_end(block: memoryview) -> int:
    """Where its first whole lines end, WAITING bytes of them at most, or one that is longer."""
    if len(block) <= WAITING:
        return len(block)
    for begin in (WAITING - 4096, 0):  # copying all of it would take half as long as counting it
        if end := bytes(block[begin:WAITING]).rfind(b"\n") + 1:
            return begin + end
    return bytes(block).find(b"\n") + 1 or len(block)


def _known(text: str) -> LogFormat | None:
    """A format that was chosen by an earlier version, or a later one."""
    try:
        return compile_format(text)
    except FormatError:
        return None


def _counted(scanner: Scanner, text: bytes) -> int:
    """How many of these lines it counts."""
    lines, rejected = scanner.scan(text)
    return lines - rejected


def _ignore(scanned: Scanned) -> None:
    """Nobody wants to know."""
