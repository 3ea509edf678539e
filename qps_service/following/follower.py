"""Follows one log through its rotations: looks at the disk, blocks of whole lines out.

A *generation* is one file that is, or was, the log. Promises:

- Every line of every generation is handed out once (generation.py), a partial line when the
  generation that it ends retires.
- Never close, then open: the new generation is opened while the old one is held, and both are read
  (open_files.py).
- Generations that came and went between two looks, or while nobody ran, are found beside the log
  (discovery.py). What can't be found or read is told as a loss.
- Hints are only hints: each look goes by what is on the disk.
- No fault of the disk ends the following. Each is said once, and tried again at every look.

Times are CLOCK_BOOTTIME nanoseconds and come in as arguments.
"""

import errno
from collections.abc import Container, Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple, Protocol

from qps_service.files.kernel import Files, NotRegularError, Seen
from qps_service.files.sources import Plain, count_lines
from qps_service.following.announcer import Announcer
from qps_service.following.classification import Owners
from qps_service.following.directories import LogDirectories, LogDirectory, MayBe
from qps_service.following.discovery import Discovery, LogSeen
from qps_service.following.generation import Chunk, Generation
from qps_service.following.hints import Arrival, Hint
from qps_service.following.kinship import is_kin
from qps_service.following.known_files import KnownFiles
from qps_service.following.open_files import Changes, FollowLimits, Keeper, OpenFiles
from qps_service.following.read_texts import Found, may_be_cut
from qps_service.following.resume import NOTHING_KNOWN, InheritedFile, Resume
from qps_service.following.start_position import StartPosition, is_replaced
from qps_service.notices.throttle import Throttle
from qps_service.text.units import SECOND
from qps_service.values.entries import PossibleLoss
from qps_service.values.positions import Position

# A rotation leaves the log's name empty for a moment; a log that stays away longer is missing.
ABSENCE = 2 * SECOND  # nanoseconds
# Writes do not touch the directory: whether a generation that was let go has grown is looked up this often.
SWEEP_EVERY = 60 * SECOND  # nanoseconds
# Each round follows renames that happened during the one before; the tick continues where this ends.
ROUNDS = 5
_NEVER = -(1 << 63)  # nanoseconds


class Hints(Protocol):
    """What the follower wants of a watcher."""

    def watch(self, directories: set[str]) -> list[Hint]:
        """Make the watches stand; hints where some didn't."""

    def read(self) -> list[Hint]:
        """The hints so far."""


class FollowState(NamedTuple):
    """How the following of a log stands."""

    waiting: str | None = None  # why no log is being followed; None if one is
    is_behind: bool = False  # whether the last read left a backlog, so that the next is due at once
    is_crowded: bool = False  # whether more files are open than the limit allows, or wait for room
    finished: int = 0  # files that can go once the ledger has all that was in them
    rotations: int = 0  # how often a new generation took the log's place, or one was found
    pending: int = 0  # bytes that the last read saw and did not consume
    is_open: bool = False  # of a pipe: whether somebody may write to it
    is_over: bool = False  # whether nothing can come any more: standard input has ended


class Follower:
    """One log. Nothing is opened before the first `read`."""

    def __init__(
        self,
        path: str,
        limits: FollowLimits,
        *,
        from_start: bool,
        watcher: Hints,
        files: Files,
        announcer: Announcer,
        resume: Resume = NOTHING_KNOWN,
        keeper: Keeper | None = None,
        others: Container[str] = (),
    ) -> None:
        """`from_start`: whether what the log holds at the very first look counts too. `resume` is what an
        earlier process left; `keeper` keeps open files for the next one. `others`: where other logs are,
        which are not this one's rotated files, whatever they are called."""
        self.path = path
        self._watcher = watcher
        self._files = files
        self._announcer = announcer
        # Under the same name another path may have been followed.
        resuming = resume.restored is not None and resume.restored.path == path
        known_files = KnownFiles(resume.restored, expecting=resuming)
        self._known_files = known_files
        self._held = OpenFiles(limits, files, known_files, announcer, keeper)
        texts = self._held.texts
        self._discovery = Discovery(files, known_files, texts, announcer, resuming=resuming)
        self._start = StartPosition(
            files, known_files, texts, announcer, limits.max_line, from_start=from_start
        )
        self._first_look = not resuming
        self._handed = resume.handed
        self._since = resume.since
        self._epoch = resume.epoch
        self._directories = LogDirectories(path, files)
        self._looked_at: list[LogDirectory] = []  # where the log was looked for last
        self._absent_since: int | None = None  # nanoseconds
        # Nanoseconds; when all there was of the log was last seen, and when it was looked for first. What an
        # earlier process did not read was written after the last window that it reported.
        self._reached_at = resume.restored.started if resuming and resume.restored else _NEVER
        self._began_at: int | None = None
        self._swept = Throttle(SWEEP_EVERY)
        self._sought: list[
            Position
        ] = []  # what was consumed of files that were cut, whose copy is to be found
        self._is_last = self._ends = (
            True  # whether the last read, or the next, may be the last of this process
        )
        self._is_replaced = False  # whether the log was, since the last look that saw all files beside it
        self.finds_pipe = False  # whether the log is none of a follower's: a pipe, and no file is open
        self._others = others
        self._discovery.leave(others)
        for seen_at in known_files.paths():
            self._directories.learn(seen_at)

    def reconfigure(self, limits: FollowLimits, others: Container[str]) -> None:
        """Go on with these, for files that are open already too."""
        self._others = others
        self._discovery.leave(others)
        self._held.reconfigure(limits)
        self._start.limit(limits.max_line)

    @property
    def state(self) -> FollowState:
        """How the following stands after the last read."""
        held = tuple(self._held)
        is_full = self._discovery.is_full
        return FollowState(
            waiting=self._announcer.trouble,
            is_behind=is_full or any(generation.is_behind for generation in held),
            is_crowded=is_full or self._held.surplus > 0,
            finished=sum(generation.is_finished for generation in held),
            rotations=self._announcer.rotations,
            pending=sum(generation.pending for generation in held),
        )

    def is_findable(self) -> bool:
        """Whether another process can find what the last read left: not in a file that was deleted."""
        return all(generation.source.path() for generation in self._held if generation.is_behind)

    def take_hints(self) -> bool:
        """Take in what the watcher has; whether any of it is about the log or its rotated files."""
        return self._discovery.note(self._watcher.read(), self._looked_at)

    def has_file(self, path: str, seen: Seen, *, by_text: bool) -> bool | None:
        """Whether a file that may be another log is one of this one's, or with `by_text` a copy; None where
        nothing tells yet."""
        return is_kin(self._files, self._known_files, self._held, path, seen, by_text=by_text)

    def inodes(self) -> set[int]:
        """Those of all files that are held or were read, by which `has_file` goes without the text."""
        return {*(each.key[1] for each in self._held), *self._known_files.inodes()}

    def ends(self, now: int, after: int) -> bool:
        """Whether the log has been away for so long, in nanoseconds, and nothing is left to be read of it.
        Until then what is open is read on, as long as somebody may write to it."""
        if self._absent_since is None or now - self._absent_since < after:
            return False
        if not self._held.has_ended:
            self._held.end()
            self._abandon_expected()
        return len(self._held) == 0

    def sweep(self) -> None:
        """Let the next read look at every file beside the log, as it does once a minute. It may be the
        last."""
        self._discovery.sweep()
        self._ends = True

    def read(self, now: int) -> Iterator[Chunk]:
        """One look, and all whole lines that are there by now. Idempotent: reading twice changes nothing."""
        self._is_last, self._ends = self._ends, False
        self._look(now)
        for generation in self._held:
            yield from self._held.read(generation, now)
        for copy in self._copies_of_truncated(now):
            yield from self._held.read(copy, now)
        if not self._discovery.is_resuming:
            self._since = max((each.progress.modified for each in self._held), default=self._since)
        self._held.bound(now)
        self._held.keep()
        self._announcer.catch_up(now)

    def changes(self) -> Changes:
        """What is to be committed together with the counts of everything handed out so far."""
        return self._held.changes(last=self._is_last)

    def take_losses(self) -> tuple[PossibleLoss, ...]:
        """Likewise: what may be lost, found out since the last call."""
        return self._announcer.take_losses()

    def everything(self) -> Changes:
        """All that is known, for a ledger that has to be written anew."""
        return self._held.everything()

    def release(self, *, committed: bool) -> None:
        """Let finished files go, now that what was in them is in the ledger, or can't be put there."""
        self._held.release(committed=committed)

    def hand_over(self) -> tuple[InheritedFile, ...]:
        """Every open file once more, for a follower that goes on with it."""
        return tuple(self._held.hand_over(self._files))

    def close(self) -> None:
        """Let every file go."""
        self._held.close()

    def _copies_of_truncated(self, now: int) -> Iterator[Generation]:
        """What truncated files held beyond the last read, where a copy of it was left beside the log. A look
        may fail, so that it is looked for twice."""
        sought, self._sought = self._sought, []
        for position in (*sought, *self._held.take_cut()):
            found = self._discovery.copy_of(position, self._looked_at, tuple(self._held))
            if found is None and position not in sought and not self._is_last:
                self._known_files.retire(position)
                self._sought.append(position)
                continue
            self._announcer.truncated(position, found.position.name if found else None)
            if found:
                yield self._held.adopt(found, now, first=True)
            else:
                self._known_files.retire(position)
                what = f"was truncated after it had been read up to byte {position.offset}"
                self._announcer.possible_loss(PossibleLoss(what, position.name))

    def _look(self, now: int) -> None:
        self._began_at = now if self._began_at is None else self._began_at
        if self._swept.allows(now):
            self._discovery.sweep()
        self._take_back(now)
        if self._is_at_rest():
            self._reached_at = now
            return
        for _ in range(ROUNDS):
            self._looked_at = directories = self._directories.look(self._may_be_log())
            self._discovery.note(self._watcher.watch({each.path for each in directories}), directories)
            self.take_hints()
            reads_log = self._look_at_log(now)
            if self._first_look and self._directories.is_dated:
                self._open_others(now)
            self._see_where_they_went()
            resuming = self._discovery.is_resuming
            found, again = self._discovery.find(
                directories,
                tuple(self._held),
                self._since,
                self._held.room,
                self._log_seen(reads_log=reads_log),
                self.take_hints,
            )
            for each in found:
                active_at = self._written_at(each) if resuming else None
                # Before the log can be seen, others of its files may be.
                self._is_replaced |= resuming and not each.position.number
                self._held.adopt(each, now, active_at=active_at, reached_at=self._reached(each, now))
                self._announcer.rotated(now, len(self._held))
                again |= self._directories.learn(each.position.name)
            if not self._discovery.is_resuming:
                self._is_replaced = False
                if resuming:
                    self._abandon_expected()
            if not again:
                break
        if reads_log and not self._discovery.is_full:
            self._reached_at = now
        if reads_log:
            self._directories.settle(resuming=self._discovery.is_resuming)
        self._tell_losses()
        self._first_look = False

    def _is_at_rest(self) -> bool:
        """Whether the log is the file that it was, and nothing moved beside it: then there is nothing to be
        found. With hundreds of logs that nobody writes to, this is what a look costs."""
        self.take_hints()
        current = self._held.current
        if current is None or not self._discovery.is_quiet:
            return False
        with suppress(OSError):
            return not is_replaced(current.progress, self._files.stat(self._directories.log_path))
        return False

    def _may_be_log(self) -> MayBe:
        """Which files with dates may be the log: none of others', and of earlier days none but those that are
        being read, or were: what is older than our time is not read for want of a later one."""
        is_foreign = Owners(self._files, self._known_files, self._held)
        has_owners = bool(len(self._held) or self._known_files.owners())

        def may_be(path: str, seen: Seen, is_latest: bool) -> bool:
            if path in self._others or (has_owners and is_foreign(path, seen)):
                return False
            is_ours = self._held.by_key(seen.key) is not None or self._known_files.knows(seen)
            return is_latest or (is_ours and seen.key not in self._known_files.ignored)

        return may_be

    def _open_others(self, now: int) -> None:
        """At the first look several files with dates may be written to."""
        for path in self._directories.lately(self._may_be_log()):
            with suppress(OSError):
                source = Plain(self._files, self._files.open(path))
                try:
                    position = self._start.of_another(source, path)
                    is_new = self._held.by_key(position.identity[:2]) is None
                except BaseException:
                    source.close()
                    raise
                if is_new:
                    self._held.adopt(Found(source, position), now)
                else:
                    source.close()

    def _log_seen(self, *, reads_log: bool) -> LogSeen:
        current, path, order = self._held.current, self._directories.log_path, self._directories.key
        if current is None or not reads_log:
            return LogSeen(path, None, was_replaced=True, order=order)
        return LogSeen(path, current.key, self._is_replaced, order)

    def _see_where_they_went(self) -> None:
        """Rotated files may be moved to another directory; they are looked for there after a restart, too."""
        for generation in self._held:
            path = generation.source.path()
            if path and path != generation.name and not self._files.is_at(path, generation.key):
                continue  # of a file system that was unmounted the kernel tells half of the path
            if path and generation is not self._held.current:
                self._directories.learn(path)
            # The log itself may be at the end of a link, which may lead to another file tomorrow.
            if path and path not in {each.log_path for each in self._looked_at[:1]}:
                generation.moved_to(path)

    def _look_at_log(self, now: int) -> bool:
        """Whether what is at the log's path is being read."""
        try:
            seen = self._files.stat(self._directories.log_path)
        except (FileNotFoundError, NotADirectoryError):
            self._absent_since = now if self._absent_since is None else self._absent_since
            if self._first_look or now - self._absent_since >= ABSENCE:
                self._announcer.absent()
            return False
        except OSError as error:
            self._announcer.unreadable(error)
            return False
        current = self._held.current
        if current is None or is_replaced(current.progress, seen):
            try:
                self._open_log(seen, now)
            except InterruptedError:
                return False  # the next look sees what is there then
            except OSError as error:
                self._start.remember_size(seen, first_look=self._first_look)
                self._announcer.unreadable(error, seen)
                return False
        # Its name was forgotten, too, if it could not be reached for a while.
        self._discovery.settle_log(self._looked_at)
        self._absent_since = None
        self._announcer.following()
        return True

    def _open_log(self, seen: Seen, now: int) -> None:
        """Take what is at the path now as the current generation."""
        generation = self._held.by_key(seen.key)
        if generation and self._moves_now():
            raise InterruptedError(errno.EINTR, "it was replaced in this moment")
        if generation is None:
            if not seen.regular:
                self.finds_pipe = seen.is_pipe and not len(self._held)
                raise NotRegularError(seen.mode)
            source = Plain(self._files, self._files.open(self._directories.log_path))
            try:
                opened = source.seen()
                if opened.key != seen.key or not opened.regular or self._moves_now():
                    raise InterruptedError(errno.EINTR, "it was replaced in this moment")
                position = self._begin(source)
                is_known = position.number or position.begun
                self._is_replaced |= not is_known or may_be_cut(position, source)
            except BaseException:
                source.close()
                raise
            found = Found(source, position)
            generation = self._held.adopt(found, now, reached_at=self._reached(found, now))
        self._start.opened()
        rotated = self._held.current is not None
        self._held.make_current(generation, now)
        if rotated:
            self._announcer.rotated(now, len(self._held))

    def _moves_now(self) -> bool:
        """Whether the log's name lost its file or got another since the last hint that was taken: then nobody
        knows to which of them the hints apply that come next."""
        before = self._discovery.log_moves
        self.take_hints()
        return self._discovery.log_moves != before

    def _begin(self, source: Plain) -> Position:
        resuming = self._discovery.is_resuming
        arrival = self._discovery.take_arrival(source.path())
        if self._directories.is_later:  # nobody could have put it in the place of another
            arrival = Arrival.CREATED
        return self._start.begin(
            source,
            self._directories.log_path,
            first_look=self._first_look,
            arrival=arrival,
            resuming=partial(self._discovery.presence, self._looked_at, self._held) if resuming else None,
        )

    def _take_back(self, now: int) -> None:
        """Go on with the files that systemd kept."""
        handed, self._handed = self._handed, ()
        for each in handed:
            source, position = self._start.take_back(each, self.path)
            if self._held.by_key(position.identity[:2]):
                source.close()
            else:
                taken = Found(source, position)
                # Opened by a process that did not commit it, or cut while nobody ran.
                self._is_replaced |= not position.number or may_be_cut(position, source)
                self._held.adopt(taken, now, active_at=self._written_at(taken))

    def _reached(self, found: Found, now: int) -> int:
        """After what time all was written that is to be read of a file that is opened now: since the log was
        last seen, and if nothing is known of the file, since it was created. A log that was out of reach, on
        a volume that was not mounted or in a directory that refused us, comes back with lines of all that
        time; one that its server creates late has none that are older than itself."""
        source, position, _ = found
        if position.number or source.descriptor is None:
            return self._reached_at
        if position.begun and self._began_at is not None:
            return max(self._reached_at, self._began_at)  # what it had at the first look is not read
        return max(self._reached_at, now - self._files.age(source.descriptor))

    def _written_at(self, found: Found) -> int | None:
        """When a file that nobody watched was written to last: it has been quiet since then."""
        return None if self._epoch is None else found.source.seen().modified - self._epoch

    def _abandon_expected(self) -> None:
        """Everything that an earlier process left was looked for; what is not found is gone."""
        gone = self._known_files.expected()
        for position in gone:
            self._known_files.abandoned(position)
            if position.offset:
                what = f"went away while nobody was reading it; it had been read up to byte {position.offset}"
                self._announcer.possible_loss(PossibleLoss(what, position.name))
        log = self._held.current
        is_new = log and not log.offset and any(position.offset for position in gone)
        is_new = is_new and not self._directories.is_later
        if log and is_new and (lines := count_lines(log.source)):
            # It may be a copy in which every line was changed.
            self._announcer.possible_duplicate(self.path, lines, is_alike=False)

    def _tell_losses(self) -> None:
        for path in self._discovery.take_unseen():
            self._announcer.possible_loss(PossibleLoss("came and went between two looks", path))
        for loss in (*self._discovery.take_losses(), *self._start.take_losses()):
            self._announcer.possible_loss(loss)
