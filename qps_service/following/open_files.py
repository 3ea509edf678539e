"""The open generations of one log: who comes in, and who may go.

Promises: a generation is let go only when it is finished, which is at its end when no writer is left;
where the kernel won't tell, when it has been quiet for a while and its successor has lines; and only
when the ledger has all that was in it. Of compressed ones the oldest is read first, to its end, and then the
next. More files than the limit are never kept: the oldest go early, and are taken up again if they grow.
Whatever is open is left with systemd, too.

Times are CLOCK_BOOTTIME nanoseconds.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from qps_service.files.compressed import CompressedError
from qps_service.files.fingerprint import Read
from qps_service.files.kernel import Files
from qps_service.files.recognition import KnownPart
from qps_service.files.sources import count_lines
from qps_service.following.announcer import Announcer
from qps_service.following.generation import Chunk, Generation
from qps_service.following.known_files import KnownFiles
from qps_service.following.read_texts import Found, ReadTexts
from qps_service.following.resume import InheritedFile
from qps_service.values.entries import PossibleLoss
from qps_service.values.positions import IgnoredFile, Position

# How many files a look takes up where the limit is reached: so that it goes on, and far below the process's
# limit on descriptors.
LEAST_ROOM = 16


class FollowLimits(NamedTuple):
    """What bounds the following of one log."""

    max_line: int  # bytes
    open_generations: int  # descriptors
    quiet: int  # nanoseconds without a byte after which an old generation may go
    # Finds the directive that is in force at an offset of a text; None where lines have no directives.
    directive_before: Callable[[Read, int], bytes] | None = None
    retired: int = 1 << 62  # bytes of the ledger, for those that went
    ignored: int = 1 << 62  # files beside it that are not its own


class Keeper(Protocol):
    """Keeps open files for the next process, should this one die."""

    def keep(self, descriptor: int, position: Position) -> None:
        """Keep it, if it is not kept already."""

    def drop(self, position: Position) -> None:
        """Keep it no longer."""


class Changes(NamedTuple):
    """What became of a log's files."""

    held: tuple[Position, ...]
    retired: tuple[Position, ...]
    forgotten: tuple[int, ...]
    ignored: tuple[IgnoredFile, ...] | None


NO_CHANGES = Changes((), (), (), None)


class OpenFiles:
    """The generations, oldest first; `current` is the log itself."""

    def __init__(
        self,
        limits: FollowLimits,
        files: Files,
        known_files: KnownFiles,
        announcer: Announcer,
        keeper: Keeper | None,
    ) -> None:
        self.current: Generation | None = None
        self._limits = limits
        self.texts = ReadTexts(files, known_files, self, announcer)
        self._known_files = known_files
        known_files.bound(limits.retired, limits.ignored)
        self._announcer = announcer
        self._keeper = keeper
        self._generations: list[Generation] = []
        self.has_ended = False  # whether there is no log any longer, and the last one is as the others
        self._cut: list[Position] = []  # what was consumed of files that turned out to be truncated
        # Read on from where another file, or an earlier process, ended: who finds such a file in systemd's
        # store must be able to look up in the ledger how far.
        self._moved: set[Generation] = set()

    def __iter__(self) -> Iterator[Generation]:
        return iter(tuple(self._generations))

    def __len__(self) -> int:
        return len(self._generations)

    @property
    def surplus(self) -> int:
        """How many more are open than the limit allows; below 0 where it allows more."""
        return len(self._generations) - self._limits.open_generations

    def reconfigure(self, limits: FollowLimits) -> None:
        """Go on with these, for files that are open already too."""
        self._limits = limits
        self._known_files.bound(limits.retired, limits.ignored)
        for generation in self._generations:
            generation.limit(limits.max_line, limits.directive_before)

    @property
    def room(self) -> int:
        """How many more may come in one look: up to the limit, and a few beyond it, for which the oldest
        go as soon as they are read."""
        return max(-self.surplus, 0 if any(each.is_behind for each in self) else LEAST_ROOM)

    def by_key(self, key: tuple[int, int]) -> Generation | None:
        """The one with this device and inode."""
        return next((each for each in self._generations if each.key == key), None)

    def adopt(
        self,
        found: Found,
        now: int,
        *,
        first: bool = False,
        active_at: int | None = None,
        reached_at: int | None = None,
    ) -> Generation:
        """Take over an open file: as the oldest, or right before the log itself. `active_at`: when it was
        written to last, where that is known. `reached_at`: nothing that is to be read of it was written
        before that."""
        position = found.position
        # A copy of what was truncated was left out as a copy, should a look have come first.
        self._known_files.ignored.remove(position.identity)
        is_new = position.number == 0
        if is_new:
            position = position._replace(number=self._known_files.new_number())
        else:
            self._known_files.reopened(position)
        generation = Generation(
            found.source,
            position,
            max_line=self._limits.max_line,
            directive_before=self._limits.directive_before,
            truncated=self._note_truncation,
            recognised=self._announcer.recognised,
            known_part=self._known_part,
        )
        if not is_new:
            self._moved.add(generation)
        generation.active(now if active_at is None else min(now, active_at))
        generation.reached_at = now if reached_at is None else reached_at
        log = self._generations[-1:] if self.current else []
        self._generations.insert(0 if first else len(self._generations) - len(log), generation)
        return generation

    def make_current(self, generation: Generation, now: int) -> None:
        """It is the log now; it is the youngest, whatever it was before."""
        if self.current:
            self.current.active(now)
        generation.active(now)
        generation.resume()
        self._generations.remove(generation)
        self._generations.append(generation)
        self.current, self.has_ended = generation, False

    def end(self) -> None:
        """There is no log any longer: the last one goes as rotated ones do."""
        self.current, self.has_ended = None, True

    def read(self, generation: Generation, now: int) -> Iterator[Chunk]:
        """All whole lines that are there by now; the rest, too, where nothing comes after it."""
        if not generation.source.take_turn():
            generation.is_behind = True
            return
        try:
            before = generation.offset
            try:
                yield from generation.drain()
            finally:
                if generation.offset != before:
                    generation.active(now)
            waited_for = generation is self.current or generation.is_behind or generation.is_finished
            if not waited_for and self._is_over(generation, now):
                yield from generation.drain()  # what came between that read and the last writer's end
                yield from generation.last_line()
                generation.check_end()
            self._announcer.reads_again(generation)
            generation.reached_at = now
        except CompressedError as error:
            what = f"cannot be unpacked beyond byte {generation.offset}: {error.strerror}"
            self._announcer.possible_loss(PossibleLoss(what, generation.name))
            generation.finish()
        except OSError as error:
            self._announcer.read_failed(generation, error)
        finally:
            if not generation.is_behind:
                generation.source.end_turn()

    def bound(self, now: int) -> None:
        """Keep to the limit on open files."""
        surplus = self.surplus
        for generation in self:
            # What was not read to its end yet could be deleted before it is opened again.
            if surplus > 0 and generation is not self.current and not generation.is_behind:
                surplus -= 1
                if not generation.is_finished:
                    generation.finish()
                    self._announcer.let_go(generation, self._limits.open_generations, now)

    def release(self, *, committed: bool) -> None:
        """Let go of what is finished, now that its end is in the ledger. While the ledger takes nothing,
        files are kept, but for those beyond the limit."""
        if committed:
            self._moved.clear()
            self.keep()
        surplus = self.surplus
        for generation in [each for each in self._generations if each.is_finished]:
            if not committed and surplus <= 0:
                break
            try:
                if generation.source.descriptor is not None:  # nobody appends to what is compressed
                    generation.check_end()
            except OSError:
                continue  # it is read again at the next look, and the trouble said
            if generation.is_finished or surplus > 0:
                self._let_go(generation)
                surplus -= 1

    def keep(self) -> None:
        """Leave every open file with systemd, too."""
        for generation in self._generations:
            descriptor = generation.source.descriptor
            if self._keeper and descriptor is not None and generation not in self._moved:
                self._keeper.keep(descriptor, generation.progress)

    def changes(self, *, last: bool) -> Changes:
        """What the ledger has to be told. What is finished is let go after that, and not waited for. `last`:
        whether this process ends with it: the lines' digests are for a next one, and many to note and
        write each time."""
        positions = [each.position if last else each.progress for each in self._generations]
        return Changes(
            tuple(p for p, each in zip(positions, self._generations, strict=True) if not each.is_finished),
            self._known_files.take_retired()
            + tuple(p for p, each in zip(positions, self._generations, strict=True) if each.is_finished),
            self._known_files.take_forgotten(),
            self._known_files.take_ignored(),
        )

    def everything(self) -> Changes:
        """All that is known, for a ledger that has to be written anew."""
        held = tuple(generation.position for generation in self._generations)
        retired, ignored = self._known_files.everything()
        return Changes(held, retired, (), ignored)

    def hand_over(self, files: Files) -> Iterator[InheritedFile]:
        """Every open file once more."""
        for generation in self._generations:
            if generation.source.descriptor is not None:
                yield InheritedFile(files.duplicate(generation.source.descriptor), generation.position.begun)

    def close(self) -> None:
        """Let every file go."""
        for generation in self._generations:
            generation.source.close()
        self._generations.clear()
        self._moved.clear()
        self.current = None

    def take_cut(self) -> list[Position]:
        """What was consumed of files that turned out to be truncated since the last call."""
        cut, self._cut = self._cut, []
        return cut

    def _note_truncation(self, position: Position) -> int:
        """What stands in the file now is another text, and gets a number of its own."""
        self._cut.append(position)
        return self._known_files.new_number()

    def _known_part(self, generation: Generation, former: Position) -> KnownPart | None:
        """How much of a text that was written over another one was read before. Where that is not proven, but
        may well be, it is said."""
        known = self.texts.part_written_over(generation, former)
        if known is None and former.offset and self.texts.may_be_written_again(generation, former):
            self._announcer.possible_duplicate(generation.name, count_lines(generation.source))
        if known and known.number == former.number:
            # Nothing is missing: it was cut at its beginning, say, and goes on.
            self._cut = [each for each in self._cut if each.number != former.number]
            self._known_files.retire(former)
        return known

    def _is_over(self, generation: Generation, now: int) -> bool:
        """Whether nobody writes to an old generation any more."""
        writer = generation.source.has_writer()
        if writer is None:
            succeeded = self.current.offset > 0 if self.current else self.has_ended
            return succeeded and now - generation.active_at >= self._limits.quiet
        return not writer

    def _let_go(self, generation: Generation) -> None:
        self._known_files.retire(generation.position)
        self._announcer.reads_again(generation)
        self._generations.remove(generation)
        self._moved.discard(generation)
        if self._keeper:
            self._keeper.drop(generation.position)
        generation.source.close()
