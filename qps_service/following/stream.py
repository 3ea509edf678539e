"""Follows one log that is a pipe: standard input, or a FIFO by its path. What a follower is for files.

Promises:

- Each whole line that was read counts once. One that is cut across reads waits for its rest; the last one
  counts without its newline once nobody writes any more, as that of a file does.
- Nobody is waited for. A look reads what was there when it began, so that a writer that is faster than we are
  waits, and neither report nor watchdog does.
- Standard input, and what else the process was given, ends with its last writer. A FIFO does not: writers
  come and go, and while there is none, nothing is polled. Where a FIFO's name got another one, both are read
  until the old one has no writer.
- A FIFO stays with systemd, so that over a restart, or a kill, no writer is left without a reader, and what
  waits in it is still there.
- Nothing can be read twice: what was read and not committed goes with the process. So the ledger has whether
  the last commit was the last one (its position is open until then), and if not, the next start says that up
  to one interval is lost.

Times are CLOCK_BOOTTIME nanoseconds and come in as arguments.
"""

import errno
from collections.abc import Callable, Container, Iterator

from qps_service.files.fingerprint import Read
from qps_service.files.kernel import Files, NotRegularError, Seen, explain
from qps_service.files.pipe import PipeText, inherited
from qps_service.following.announcer import Announcer
from qps_service.following.follower import FollowState
from qps_service.following.generation import Chunk, Generation
from qps_service.following.open_files import NO_CHANGES, Changes, FollowLimits, Keeper
from qps_service.following.resume import NOTHING_KNOWN, InheritedFile, Resume
from qps_service.values.entries import PossibleLoss
from qps_service.values.positions import PIPES, Identity, Position

_NOTHING = Position(Identity(0, 0, None), "", 0, b"", b"", False)
A_TERMINAL = ": reading from the terminal, up to Ctrl-D"
LOST = "was read by a process that ended without a last commit: up to one interval of it is lost"


class Stream:
    """One log. Nothing is opened before the first `read`."""

    def __init__(
        self,
        path: str,
        limits: FollowLimits,
        *,
        files: Files,
        announcer: Announcer,
        resume: Resume = NOTHING_KNOWN,
        keeper: Keeper | None = None,
    ) -> None:
        """`resume` is what an earlier process left; `keeper` keeps open pipes for the next one."""
        self.path = path
        self._limits = limits
        self._files = files
        self._announcer = announcer
        self._keeper = keeper
        self._inherited = inherited(path)
        self._handed = resume.handed
        self._pipes: list[_Pipe] = []  # the one at the path is the last
        self._gone: list[Generation] = []  # whose lines may still wait to be counted
        restored = resume.restored
        rows = (*restored.held, *restored.retired) if restored else ()
        self._sum = next((row for row in rows if row.number == PIPES), None)  # of all that went before
        self._is_open = restored is not None and self._sum in restored.held  # in the ledger
        self._before = self._sum if restored and restored.path == path else None  # if it was this log's
        self._was_cut_off = self._is_open and self._before is not None
        held = restored.held if restored and restored.path == path else ()
        self._files_left = [row for row in held if row.number != PIPES]  # what the log was before
        self._has_looked = self._ends = self._is_over = False

    def reconfigure(self, limits: FollowLimits, _: Container[str] = ()) -> None:
        """Go on with these, for what is open already too."""
        self._limits = limits
        for pipe in self._pipes:
            pipe.generation.limit(limits.max_line, _directive_before(limits))

    @property
    def state(self) -> FollowState:
        """How the following stands after the last read."""
        generations = [pipe.generation for pipe in self._pipes]
        return FollowState(
            waiting=self._announcer.trouble,
            is_behind=any(each.is_behind for each in generations),
            pending=sum(each.pending for each in generations),
            is_open=any(not pipe.text.is_ended for pipe in self._pipes),
            is_over=self._is_over,
        )

    def fileno(self) -> int | None:
        """What to poll for what comes; nothing while nobody writes, since a poll would return at once."""
        current = self._pipes[-1:]
        return next((each.text.number for each in current if not each.text.is_ended), None)

    def take_hints(self) -> bool:
        """Whether what waits is not to wait for the tick."""
        return any(
            self._files.presses(pipe.text.number, pipe.room)
            for pipe in self._pipes[-1:]
            if not pipe.text.is_ended
        )

    def is_findable(self) -> bool:
        """A stop does not wait for what is written meanwhile: the next process, or nobody, reads it."""
        return True

    def sweep(self) -> None:
        """What the next read finds is the last: then the commit is, too."""
        self._ends = True

    def read(self, now: int) -> Iterator[Chunk]:
        """One look, and all whole lines that are there by now."""
        self._look()
        for pipe in tuple(self._pipes):
            pipe.text.is_ended = False
            pipe.generation.reached_at = now  # nothing in a pipe is older than its reader
            try:
                yield from pipe.generation.drain()
                if pipe.text.is_ended:
                    yield from pipe.generation.last_line()
            except OSError as error:
                self._fail(pipe, error)
            if pipe.text.is_ended:
                self._end(pipe)
        self._has_looked = True
        self._announcer.catch_up(now)

    def changes(self) -> Changes:
        """What is to be committed together with the counts of everything handed out so far."""
        if not self._has_looked:
            return NO_CHANGES
        left, self._files_left = tuple(self._files_left), []
        if self._sum is None and not self._generations:
            return NO_CHANGES._replace(retired=left)
        self._is_open = not (self._ends or self._is_over)
        changes = self.everything()
        return changes._replace(retired=(*left, *changes.retired))

    def everything(self) -> Changes:
        """All that is known, for a ledger that has to be written anew."""
        if self._sum is None and not self._generations:
            return NO_CHANGES
        row = (self._position(),)
        return Changes(row if self._is_open else (), () if self._is_open else row, (), None)

    def take_losses(self) -> tuple[PossibleLoss, ...]:
        """Likewise: what may be lost, found out since the last call."""
        return self._announcer.take_losses()

    def release(self, *, committed: bool) -> None:
        """Let go of what ended, and leave what is open with systemd, too, once the ledger knows of it."""
        for each in self._gone:
            self._sum = _with(self._sum or _NOTHING, each.position)
        self._gone.clear()
        if committed and self._keeper and self._inherited is None:
            for pipe in self._pipes:
                self._keeper.keep(pipe.text.number, pipe.generation.position)

    def hand_over(self) -> tuple[InheritedFile, ...]:
        """Every open pipe once more, for one that goes on with it."""
        return tuple(InheritedFile(self._files.duplicate(each.text.number), 0) for each in self._pipes)

    def close(self) -> None:
        """Let every pipe go."""
        for pipe in self._pipes:
            pipe.text.close()
        self._pipes.clear()

    @property
    def _generations(self) -> list[Generation]:
        return [*self._gone, *(pipe.generation for pipe in self._pipes)]

    def _position(self) -> Position:
        """All that was read so far, as one position."""
        positions = [each.position for each in self._generations]
        total = self._sum or _NOTHING
        last = positions[-1] if positions else total
        for each in positions:
            total = _with(total, each)
        rest = self._pipes[-1].rest() if self._pipes else total.tail
        return total._replace(
            identity=last.identity,
            name=self.path,
            tail=rest,
            oversize=last.oversize,
            directive=last.directive,
        )

    def _look(self) -> None:
        if self._was_cut_off:
            self._announcer.possible_loss(PossibleLoss(LOST, self.path))
            self._was_cut_off = False
        if not self._has_looked:
            for left in self._files_left:
                what = f"was read up to byte {left.offset}, and no further: the log is a pipe now"
                self._announcer.possible_loss(PossibleLoss(what, left.name))
        handed, self._handed = self._handed, ()
        for each in handed:
            self._take_back(each.descriptor)
        try:
            if not self._is_over and not self._is_current():
                self._open()
        except (FileNotFoundError, NotADirectoryError):
            self._announcer.absent()
        except OSError as error:
            if self._inherited is None:
                self._announcer.unreadable(error)
            else:  # it stays what it is
                self._announcer.possible_loss(PossibleLoss(f"cannot be read: {explain(error)}", self.path))
                self._is_over = True
        else:
            self._announcer.following(A_TERMINAL if self._is_terminal() else "")

    def _is_terminal(self) -> bool:
        return any(self._files.is_terminal(pipe.text.number) for pipe in self._pipes)

    def _is_current(self) -> bool:
        """Whether what is at the path is open already. Raises OSError."""
        if self._inherited is not None:
            return bool(self._pipes)
        seen = self._files.stat(self.path)
        if not seen.is_pipe:
            what = f"it is a pipe no longer ({seen.mode}); restart qps-reporter to follow it"
            raise OSError(errno.EINVAL, what)
        known = [pipe for pipe in self._pipes if pipe.generation.key == seen.key]
        self._pipes.sort(key=known.__contains__)
        return bool(known)

    def _open(self) -> None:
        """Open what is at the path. Raises OSError."""
        if self._inherited is None:
            number = self._files.open(self.path)
        else:
            number = self._files.duplicate(self._inherited)
        try:
            seen = self._files.fstat(number)
            if seen.mode[0] in "db" or (self._inherited is None and not seen.is_pipe):
                raise NotRegularError(seen.mode)
            self._adopt(number, seen)
        except BaseException:
            self._files.close(number)
            raise

    def _take_back(self, number: int) -> None:
        """Go on with a pipe that systemd kept, or another log had."""
        seen = self._files.fstat(number)
        if seen.is_pipe or self._inherited is not None:
            self._adopt(number, seen, goes_on=True)
            return
        if self._keeper:
            self._keeper.drop(_NOTHING._replace(identity=self._files.identity(number)))
        self._files.close(number)

    def _adopt(self, number: int, seen: Seen, *, goes_on: bool = False) -> None:
        """`goes_on`: whether it is surely one that was read before. The numbers of pipes without a name come
        again."""
        before, identity = None, self._files.identity(number)
        if self._before and self._before.identity[:2] == seen.key and (goes_on or self._inherited is None):
            before, self._before = self._before, None
        # In a process that was cut off more was read than the ledger knows.
        start, oversize = (before.tail, before.oversize) if before and not self._is_open else (b"", False)
        position = self._nothing(identity, (before.directive if before else None) or b"")
        position = position._replace(oversize=oversize)
        text = PipeText(self._files, number, start)
        room = self._files.widen(number)
        self._pipes.append(_Pipe(text, self._generation(text, position), room))

    def _nothing(self, identity: Identity, directive: bytes = b"") -> Position:
        """Of a pipe of which nothing was read."""
        return _NOTHING._replace(identity=identity, name=self.path, directive=directive)

    def _generation(self, text: PipeText, position: Position) -> Generation:
        return Generation(
            text,
            position,
            max_line=self._limits.max_line,
            directive_before=_directive_before(self._limits),
            truncated=lambda _: PIPES,
            recognised=lambda *_: None,
            known_part=lambda *_: None,
        )

    def _fail(self, pipe: "_Pipe", error: OSError) -> None:
        """A terminal that hung up, say, or a socket that was reset: nothing more is to be expected of what
        the process was given."""
        if self._inherited is None:
            self._announcer.read_failed(pipe.generation, error)
            return
        what = f"cannot be read beyond byte {pipe.text.end}: {error.strerror}"
        self._announcer.possible_loss(PossibleLoss(what, self.path))
        pipe.text.is_ended = True

    def _end(self, pipe: "_Pipe") -> None:
        """All is read, and nobody writes."""
        if self._inherited is None and pipe is self._pipes[-1]:
            if pipe.generation.position.oversize:  # the next writer's line is another one
                self._gone.append(pipe.generation)
                pipe.text = PipeText(self._files, pipe.text.number)
                pipe.text.is_ended = True
                pipe.generation = self._generation(pipe.text, self._nothing(pipe.generation.identity))
            return
        if self._keeper and self._inherited is None:
            self._keeper.drop(pipe.generation.position)
        self._is_over = self._inherited is not None
        self._gone.append(pipe.generation)
        self._pipes.remove(pipe)
        pipe.text.close()


class _Pipe:
    """An open one."""

    def __init__(self, text: PipeText, generation: Generation, room: int) -> None:
        """`room` in bytes."""
        self.text = text
        self.generation = generation
        self.room = room

    def rest(self) -> bytes:
        """What was read of it, and is not consumed: the beginning of a line."""
        return self.text.rest(self.generation.offset)


def _with(total: Position, more: Position) -> Position:
    """The sum of what was read. There is no text to tell it by."""
    return total._replace(
        offset=total.offset + more.offset,
        lines=total.lines + more.lines,
        rejected=total.rejected + more.rejected,
        unended=total.unended + more.unended,
        directives=total.directives + more.directives,
    )


def _directive_before(limits: FollowLimits) -> Callable[[Read, int], bytes] | None:
    """Nothing stands before what a pipe hands out."""
    return (lambda *_: b"") if limits.directive_before else None
