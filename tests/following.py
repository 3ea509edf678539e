"""A rig that drives a real follower over real files with a clock of its own, and an oracle of
numbered lines: every line that a writer completes is expected once, whatever happens to its file."""

import itertools
import os
import shutil
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qps_service.files.kernel import Files, Seen
from qps_service.following.announcer import Announcer
from qps_service.following.follower import Follower
from qps_service.following.generation import Chunk
from qps_service.following.open_files import FollowLimits
from qps_service.following.resume import InheritedFile, Resume
from qps_service.following.watcher import Watcher
from qps_service.notices.kinds import Notice
from qps_service.values.entries import PossibleLoss, Restored
from qps_service.values.positions import IgnoredFile, Position

SECOND = 1_000_000_000
QUIET = 60 * SECOND
LINE_SIZE = 37  # bytes, of each of the rig's own lines
COARSE = 5  # CLOCK_REALTIME_COARSE of linux/time.h, which files get their times from


class BlindFiles(Files):
    """A kernel that won't tell whether a file has writers, as for a service that doesn't own the log."""

    def has_writer(self, descriptor: int) -> bool | None:
        return None


class RetoldFiles(Files):
    """A kernel that tells of each file what `retell` makes of it."""

    def retell(self, seen: Seen) -> Seen:
        raise NotImplementedError

    def stat(self, path: str) -> Seen:
        return self.retell(super().stat(path))

    def lstat(self, path: str) -> Seen:
        return self.retell(super().lstat(path))

    def fstat(self, descriptor: int) -> Seen:
        return self.retell(super().fstat(descriptor))


class CountingFiles(Files):
    """Notes what is read of files, and signs of life."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[int, int]] = []  # offset, bytes
        self.signs = 0

    @property
    def read_bytes(self) -> int:
        return sum(size for _, size in self.taken)

    def working(self) -> None:
        self.signs += 1

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        data = super().read(descriptor, size, offset)
        self.taken.append((offset, len(data)))
        return data


class FailingFiles(Files):
    """Fails one call once: the `at`-th call of `name`, counted from 0."""

    def __init__(self, name: str, at: int, number: int) -> None:
        super().__init__()
        self.made = 0
        real: Callable[..., Any] = getattr(self, name)

        def call(*arguments: Any) -> Any:
            self.made += 1
            if self.made == at + 1:
                raise OSError(number, os.strerror(number))
            return real(*arguments)

        setattr(self, name, call)


class WallClock:
    """The real clock and the jumps that it made; a file keeps the time at which it was written."""

    def __init__(self, ahead: int = 0) -> None:
        """`ahead` of real time, nanoseconds."""
        self._jumped_at = [0]  # real time, nanoseconds
        self._ahead = [ahead]  # since then

    def now(self) -> int:
        """Unix nanoseconds."""
        return self.shown(time.time_ns())

    def shown(self, real: int) -> int:
        """What the clock showed at this real moment."""
        return real + self._ahead[bisect_right(self._jumped_at, real) - 1]

    def jump(self, by: int) -> None:
        """It is set, by so many nanoseconds."""
        # Files get their times from the kernel's tick: what was written before must be before the jump.
        started = time.time_ns()
        while (ticked := time.clock_gettime_ns(COARSE)) <= started:
            pass
        self._jumped_at.append(ticked)
        self._ahead.append(self._ahead[-1] + by)


class NoInotify(Watcher):
    """fs.inotify.max_user_instances is used up."""

    def _stand(self, path: str) -> bool:
        return False


def overflow_queue(directory: Path) -> None:
    """Make more events in a watched directory than the kernel keeps."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    noise = f"{directory}/noise"
    for _ in range(limit // 2 + 100):
        os.mknod(noise)
        os.unlink(noise)


class Writer:
    """An open log, written to as a web server does: O_APPEND, and through renames."""

    def __init__(self, rig: "Rig", path: Path, *, appends: bool) -> None:
        self._rig = rig
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if appends else 0), 0o644)

    def lines(self, count: int = 1) -> None:
        """Write whole lines; each is expected exactly once."""
        for _ in range(count):
            line = self._rig.next_line()
            os.write(self.descriptor, line)
            self._rig.expected[line.rstrip(b"\n")] += 1

    def raw(self, text: bytes, expect: bytes = b"") -> None:
        """Write bytes that nothing is expected of, or which end in this line, or begin it."""
        os.write(self.descriptor, text)
        if expect:
            self._rig.expected[expect] += 1

    def close(self) -> None:
        """Let the file go; a second time does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Store:
    """systemd's descriptor store, which outlives the follower."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], tuple[int, int]] = {}  # device, inode -> descriptor, begun

    def keep(self, descriptor: int, position: Position) -> None:
        key = position.identity[:2]
        if key not in self._kept:
            self._kept[key] = os.dup(descriptor), position.begun

    def drop(self, position: Position) -> None:
        if kept := self._kept.pop(position.identity[:2], None):
            os.close(kept[0])

    def holds(self, key: tuple[int, int]) -> bool:
        return key in self._kept

    def hand_back(self) -> list[InheritedFile]:
        return [InheritedFile(os.dup(descriptor), begun) for descriptor, begun in self._kept.values()]

    def clear(self) -> None:
        for descriptor, _ in self._kept.values():
            os.close(descriptor)
        self._kept.clear()


class Paper:
    """A ledger of paper: what was committed of one log's files, as the real one gives it back."""

    def __init__(self) -> None:
        self.held: dict[int, Position] = {}
        self.retired: dict[int, Position] = {}
        self.ignored: tuple[IgnoredFile, ...] = ()
        self.losses: list[PossibleLoss] = []
        self.next_number = 1
        self.at = self.ended = 0  # Unix, and the rig's time; nanoseconds

    def commit(self, follower: Follower) -> None:
        changes = follower.changes()
        told = {position.number: position for position in changes.held}
        self.retired |= {position.number: position for position in changes.retired}
        for number in (*changes.forgotten, *told):
            self.retired.pop(number, None)
        # What was open when an earlier process ended, and is still looked for, stays as it was.
        gone = {*changes.forgotten, *self.retired}
        self.held = {number: each for number, each in (self.held | told).items() if number not in gone}
        if changes.ignored is not None:
            self.ignored = changes.ignored
        self.losses += follower.take_losses()
        self.next_number = max([self.next_number - 1, *self.held, *self.retired]) + 1

    def restored(self, path: str, *, rebooted: bool = False) -> Restored:
        return Restored(
            path=path,
            held=tuple(self.held.values()),
            retired=tuple(self.retired.values()),
            next_number=self.next_number,
            ignored=self.ignored,
            totals={},
            rejects={},
            window={},
            window_rejects={},
            started=0,
            at=self.at,
            rebooted=rebooted,
            losses=(),
            ended=self.ended,
        )


class Rig:
    """A directory, a log in it, a follower of it, and what came out."""

    def __init__(
        self,
        root: Path,
        *,
        follower: type[Follower] = Follower,
        files: Files | None = None,
        watcher: Callable[[], Watcher] = Watcher,
        from_start: bool = False,
        path: Path | None = None,
        log: str = "access.log",
        max_line: int = 256,
        open_generations: int = 512,
        store: bool = False,
        knows_times: bool = False,
        wall: Callable[[], int] | None = None,
    ) -> None:
        """`log`: its name, where no `path` is given. `store`: whether open files outlive the follower, as
        with systemd. `knows_times`: whether st_mtime can be told on its clock, which goes by its own time
        otherwise. `wall`: a wall clock that may be set, Unix nanoseconds."""
        self.root = root
        self.path = path or root / "logs" / log
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.now = 1000 * SECOND
        self.expected: Counter[bytes] = Counter()
        self.seen: Counter[bytes] = Counter()
        self.oversize: list[bytes] = []
        self.notices: list[Notice] = []
        self.paper = Paper()
        self.store = Store() if store else None
        self._knows_times = knows_times
        self._wall = wall
        self._began = self.now
        self._committed: Counter[bytes] = Counter()
        self._numbers = itertools.count()
        self._writers: list[Writer] = []
        self._rotations = itertools.count(1)
        self._make_watcher, self._make_follower = watcher, follower
        self._files, self._from_start = files or Files(), from_start
        self._limits = FollowLimits(max_line, open_generations, QUIET)
        self._begin(None, [])

    def _begin(self, restored: Restored | None, handed: list[InheritedFile]) -> None:
        self.watcher = self._make_watcher()
        held = (restored.held or restored.retired) if restored else ()
        self.follower = self._make_follower(
            str(self.path),
            self._limits,
            from_start=self._from_start,
            watcher=self.watcher,
            files=self._files,
            announcer=Announcer(str(self.path), "access", self.notices.append),
            resume=Resume(
                restored,
                tuple(handed),
                since=max((position.modified for position in held), default=0),
                epoch=time.time_ns() - self.now if self._knows_times else None,
            )
            if self._wall is None
            else Resume.at(restored, self.now, self._at())._replace(handed=tuple(handed)),
            keeper=self.store,
        )

    def _at(self) -> int:
        """What the wall clock shows now: it goes on with our time, too."""
        return self._wall() + self.now - self._began if self._wall else 0

    def take_passed(self) -> int:
        """How much of our time the wall clock is to be set ahead by now, nanoseconds: files have the
        machine's times, and what is written from now on has to be later than what was committed."""
        passed, self._began = self.now - self._began, self.now
        return passed

    def commit(self) -> None:
        """What was seen so far is in the ledger for good."""
        self.paper.commit(self.follower)
        self.paper.at, self.paper.ended = self._at(), self.now
        self._committed = self.seen.copy()
        self.follower.release(committed=True)

    def stop(self) -> None:
        """An orderly end."""
        self.follower.sweep()
        self.look(0.1)
        self.follower.close()
        self.watcher.close()

    def kill(self) -> None:
        """The end, wherever it was: what was not committed is forgotten."""
        self.follower.close()
        self.watcher.close()
        self.seen = self._committed.copy()

    def start(self, *, rebooted: bool = False) -> None:
        """The next process, after `stop` or `kill`."""
        if rebooted and self.store:
            self.store.clear()
        handed = self.store.hand_back() if self.store else []
        self._begin(self.paper.restored(str(self.path), rebooted=rebooted), handed)

    def next_line(self) -> bytes:
        number = next(self._numbers)
        return b"line %08d [29/Nov/2026:10:%02d:%02d]\n" % (number, number // 60 % 60, number % 60)

    def writer(self, path: Path | None = None, *, appends: bool = True) -> Writer:
        """Open the log, or another file, for writing."""
        writer = Writer(self, path or self.path, appends=appends)
        self._writers.append(writer)
        return writer

    def rotate(self) -> Path:
        """Rename the log to a new name beside it."""
        rotated = self.path.with_name(f"{self.path.name}.{next(self._rotations)}")
        self.path.rename(rotated)
        return rotated

    def renew(self, count: int = 0, *, closing: Writer | None = None) -> Writer:
        """Rotate the log, perhaps close the old one's writer, and begin a new log with so many lines."""
        self.rotate()
        if closing:
            closing.close()
        writer = self.writer()
        writer.lines(count)
        return writer

    def copytruncate(self, name: str = "access.log.1") -> Path:
        """Rotate as logrotate does where the writer keeps its file."""
        copy = self.beside(name)
        shutil.copy(self.path, copy)
        os.truncate(self.path, 0)
        return copy

    def beside(self, name: str) -> Path:
        """In the log's directory, or below it."""
        return self.path.parent / name

    def look_often(self, times: int, seconds: float = 1.0) -> None:
        for _ in range(times):
            self.look(seconds)

    def look(self, seconds: float = 1.0, *, commit: bool = True) -> None:
        """Let time pass, then let the follower read."""
        self.now += int(seconds * SECOND)
        while True:
            for chunk in self.follower.read(self.now):
                self.take(chunk)
            if not self.follower.state.is_behind:
                break
        if commit:
            self.commit()

    def holds(self, key: tuple[int, int]) -> bool:
        """Whether the follower, or systemd for it, has this file open; device and inode."""
        if self.store is not None and self.store.holds(key):
            return True
        return self.follower._held.by_key(key) is not None

    @property
    def files_open(self) -> int:
        """How many files the follower holds."""
        return len(self.follower._held)

    def has_read(self, path: Path) -> bool:
        """Whether something of the file that is at `path` now was read and committed."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # With its version: the inode's number may have been that of a file that was deleted, or not,
            # as the file system likes, and what a test does next must not depend on that.
            identity = self._files.identity(descriptor)
        finally:
            os.close(descriptor)
        return any(each.identity == identity and each.offset for each in self.paper.held.values())

    def take(self, chunk: Chunk) -> None:
        lines = chunk.data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        self.seen.update(lines)
        chunk.origin.counted(len(lines), 0, chunk.origin.directives)
        if chunk.oversize is not None:
            self.oversize.append(chunk.oversize)

    def settle(self) -> None:
        """Every writer ends, every wait is over: what is not seen by now is lost."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()
        self.look_often(4, QUIET / SECOND)

    def check(self, *, losses: Sequence[str] | None = None) -> None:
        """Every expected line exactly once, and nothing else; said to be lost, perhaps, is just this."""
        self.settle()
        missing, surplus = self.expected - self.seen, self.seen - self.expected
        assert not missing, f"lost {len(missing)}: {sorted(missing)[:3]}"
        assert not surplus, f"read too often or wrongly {len(surplus)}: {sorted(surplus)[:3]}"
        assert losses is None or self.losses() == losses
        assert not self.store or len(self.store._kept) <= self.files_open, "what was let go is still stored"

    def said(self, kind: str) -> list[str]:
        """The texts of the notices of this kind."""
        return [notice.text for notice in self.notices if notice.kind.name == kind]

    def losses(self) -> list[str]:
        """What is said to be lost, perhaps."""
        return [f"{loss.name} {loss.what}" for loss in self.paper.losses]

    def close(self) -> None:
        if self.store:
            self.store.clear()
        self.follower.close()
        self.watcher.close()
        for writer in self._writers:
            writer.close()
