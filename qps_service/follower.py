"""Follows one log through its rotations: looks at the disk, blocks of whole lines out.

A *generation* is one file that is, or was, the log. Promises:

- Every line of every generation is handed out once (generations.py), a partial line when the
  generation that it ends retires.
- Never close, then open: the new generation is opened while the old one is held, and both are read.
- An old generation retires at its end when no writer is left; where the kernel won't tell, when it
  has been quiet for a while and its successor has lines. Never with bytes pending.
- Generations that came and went between two looks are found beside the log (siblings.py).
- Hints are only hints: each look goes by what is on the disk.
- No fault of the disk ends the following. Each is said once, and tried again at every look.

Times are CLOCK_BOOTTIME nanoseconds and come in as arguments.
"""

import errno
import os
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from qps_service.files import Files, NotRegularError, Seen
from qps_service.generations import Chunk, Generation
from qps_service.model import MARKER_LIMIT, PREFIX_LIMIT, Position
from qps_service.notices import Throttle
from qps_service.rotation import Change, Hint, Look, decide
from qps_service.siblings import Found, Place, Siblings
from qps_service.voice import Voice

# A rotation leaves the log's name empty for a moment; a log that stays away longer is missing.
ABSENCE = 2_000_000_000  # nanoseconds
# Writes do not touch the directory: whether a generation that was let go has grown is looked up this often.
SWEEP_EVERY = 60_000_000_000  # nanoseconds
# Each round follows renames that happened during the one before; the tick continues where this ends.
ROUNDS = 5


class Limits(NamedTuple):
    """What bounds the following of one log."""

    max_line: int  # bytes
    open_generations: int  # descriptors
    quiet: int  # nanoseconds without a byte after which an old generation may go


class Hints(Protocol):
    """What the follower wants of a watcher."""

    def watch(self, directories: set[str]) -> list[Hint]:
        """Make the watches stand; hints where some didn't."""

    def read(self) -> list[Hint]:
        """The hints so far."""


class Follower:
    """One log. Nothing is opened before the first `read`."""

    def __init__(
        self, path: str, limits: Limits, *, from_start: bool, watcher: Hints, files: Files, voice: Voice
    ) -> None:
        """`from_start`: whether what the log holds at the first look counts too."""
        self.path = path
        self._limits = limits
        self._from_start = from_start
        self._watcher = watcher
        self._files = files
        self._voice = voice
        self._siblings = Siblings(files)
        self._generations: list[Generation] = []  # oldest first
        self._current: Generation | None = None
        self._cut: list[tuple[Position, int]] = []  # truncated: what was consumed, st_mtime when it was
        self._first_look = True
        self._seen_places: list[Place] = []  # where the log was looked for last
        self._unread: tuple[tuple[int, int], int] | None = None  # at the first look: key, size in bytes
        self._absent_since: int | None = None  # nanoseconds
        self._swept = Throttle(SWEEP_EVERY)

    @property
    def limits(self) -> Limits:
        """What is in force, for files that are open already too."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        for generation in self._generations:
            generation.max_line = limits.max_line

    @property
    def waiting(self) -> str | None:
        """Why no log is being followed; None if one is."""
        return self._voice.trouble

    @property
    def is_behind(self) -> bool:
        """Whether the last read left a backlog, so that the next is due at once."""
        return any(generation.is_behind for generation in self._generations)

    @property
    def open_generations(self) -> int:
        """How many files are held."""
        return len(self._generations)

    def take_hints(self) -> bool:
        """Take in what the watcher has; whether any of it is about the log or its rotated files."""
        return self._siblings.note(self._watcher.read(), self._seen_places)

    def sweep(self) -> None:
        """Let the next read look at every file beside the log, as it does once a minute."""
        self._siblings.sweep()

    def read(self, now: int) -> Iterator[Chunk]:
        """One look, and all whole lines that are there by now. Idempotent: reading twice changes nothing."""
        self._look(now)
        for generation in tuple(self._generations):
            yield from self._read(generation, now)
        for copy in self._copies_of_truncated():
            yield from self._read(copy, now)
        self._bound(now)
        self._voice.catch_up(now)

    def _read(self, generation: Generation, now: int) -> Iterator[Chunk]:
        try:
            before = generation.offset
            try:
                yield from generation.drain()
            finally:
                if generation.offset != before:
                    generation.active_at = now
            waited_for = generation is self._current or generation.is_behind
            if not waited_for and self._may_retire(generation, now):
                yield from self._retire(generation)
            self._voice.reads_again(generation)
        except OSError as error:
            self._voice.read_failed(generation, error)

    def _copies_of_truncated(self) -> Iterator[Generation]:
        """What truncated files held beyond the last read, where a copy of it was left beside the log."""
        cut, self._cut = self._cut, []
        for position, modified in cut:
            held = {generation.key for generation in self._generations}
            found = self._siblings.copy_of(position, modified, self._seen_places, held)
            self._voice.truncated(position, found.position.name if found else None)
            if found:
                copy = self._adopt(found)
                self._generations.insert(0, copy)
                yield copy

    def close(self) -> None:
        """Let every file go."""
        for generation in self._generations:
            generation.close()
        self._generations.clear()
        self._current = None

    def _look(self, now: int) -> None:
        if self._swept.allows(now):
            self._siblings.sweep()
        for _ in range(ROUNDS):
            self._seen_places = places = self._places()
            self._siblings.note(self._watcher.watch({place.directory for place in places}), places)
            self.take_hints()
            self._look_at_log(now)
            found, again = self._siblings.find(places, self._generations, self.take_hints)
            for generation in map(self._adopt, found):
                generation.active_at = now
                self._generations.insert(max(0, len(self._generations) - 1), generation)
                self._voice.rotated(now, len(self._generations))
            if not again:
                break
        self._first_look = False

    def _places(self) -> list[Place]:
        directory, base = os.path.split(os.path.abspath(self.path))
        try:
            here = Place(self._files.resolve(directory), base)
            target = Place(*os.path.split(self._files.resolve(here.path)))
        except OSError:  # a link that changes just now, or a maze of them: opening the log will tell
            return self._seen_places or [Place(directory, base)]
        return [here] if target == here else [here, target]

    def _look_at_log(self, now: int) -> None:
        try:
            seen = self._files.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            self._absent_since = now if self._absent_since is None else self._absent_since
            if self._first_look or now - self._absent_since >= ABSENCE:
                self._voice.absent()
            return
        except OSError as error:
            self._voice.unreadable(error)
            return
        held = self._current.position if self._current else None
        if held is None or decide(held, Look(*seen.key, seen.size, held.marker)) is Change.REPLACED:
            try:
                self._open_log(seen, now)
            except OSError as error:
                if isinstance(error, InterruptedError):
                    return  # the next look sees what is there then
                self._remember_size(seen)
                self._voice.unreadable(error, seen)
                return
        self._absent_since = None
        self._voice.following()

    def _open_log(self, seen: Seen, now: int) -> None:
        """Take what is at the path now as the current generation."""
        generation = next((each for each in self._generations if each.key == seen.key), None)
        if generation is None:
            if not seen.regular:
                raise NotRegularError(seen.mode)
            descriptor = self._files.open(self.path)
            try:
                opened = self._files.fstat(descriptor)
                if opened.key != seen.key or not opened.regular:
                    raise InterruptedError(errno.EINTR, "it was replaced in this moment")
                found = self._start(descriptor)
            except BaseException:
                self._files.close(descriptor)
                raise
            generation = self._adopt(found)
            self._generations.append(generation)
        generation.active_at = now
        self._unread = None
        if self._current:
            self._current.active_at = now
            self._voice.rotated(now, len(self._generations))
        self._current = generation

    def _start(self, descriptor: int) -> Found:
        """Where to begin in a log that was just opened."""
        identity = self._files.identity(descriptor)
        known = self._siblings.recall(descriptor, identity)
        if known:
            return Found(descriptor, known._replace(name=self.path))
        fresh = Position(identity, self.path, 0, b"", b"", False)
        size = self._files.fstat(descriptor).size
        if self._unread and self._unread[0] == identity[:2]:
            size = min(size, self._unread[1])
        elif not self._first_look:
            return Found(descriptor, fresh)
        if self._from_start or size == 0:
            return Found(descriptor, fresh)
        return Found(descriptor, self._at_line_before(descriptor, size, fresh))

    def _at_line_before(self, descriptor: int, size: int, fresh: Position) -> Position:
        """The start of the line that the byte at `size` belongs to: a line still being written is ours."""
        first = max(0, size - self.limits.max_line - 1)
        tail = self._files.read(descriptor, size - first, first)
        whole = tail[: tail.rfind(b"\n") + 1]
        offset = first + len(whole)
        prefix = self._files.read(descriptor, min(offset, PREFIX_LIMIT), 0)
        return fresh._replace(offset=offset, prefix=prefix, marker=whole[-MARKER_LIMIT:])

    def _adopt(self, found: Found) -> Generation:
        self._siblings.forget(found.position.identity[:2])
        return Generation(
            self._files,
            found.descriptor,
            found.position,
            max_line=self.limits.max_line,
            truncated=lambda position, modified: self._cut.append((position, modified)),
        )

    def _may_retire(self, generation: Generation, now: int) -> bool:
        writer = generation.has_writer()
        if writer is None:
            succeeded = self._current is not None and self._current.offset > 0
            return succeeded and now - generation.active_at >= self.limits.quiet
        return not writer

    def _retire(self, generation: Generation) -> Iterator[Chunk]:
        yield from generation.drain()  # what came between the last read and the last writer's end
        yield from generation.last_line()
        if generation.is_at_end():
            self._let_go(generation)

    def _bound(self, now: int) -> None:
        """Keep to the limit on open files; what is let go early is taken up again when it grows."""
        while len(self._generations) > self.limits.open_generations:
            oldest = next(each for each in self._generations if each is not self._current)
            self._voice.let_go(oldest, self.limits.open_generations, now)
            self._let_go(oldest)

    def _let_go(self, generation: Generation) -> None:
        self._siblings.retire(generation.position)
        self._voice.reads_again(generation)
        self._generations.remove(generation)
        generation.close()

    def _remember_size(self, seen: Seen) -> None:
        """A log that cannot be opened at the first look: what it holds by then was before our time."""
        if self._first_look:
            self._unread = (seen.key, seen.size)
        elif self._unread and self._unread[0] != seen.key:
            self._unread = None
