"""A rig that drives a real follower over real files with a clock of its own, and an oracle of
numbered lines: every line that a writer completes is expected once, whatever happens to its file."""

import itertools
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from qps_service.files import Files
from qps_service.follower import Follower, Limits
from qps_service.generations import Chunk
from qps_service.notices import Notice
from qps_service.voice import Voice
from qps_service.watcher import Watcher

SECOND = 1_000_000_000
QUIET = 60 * SECOND


class BlindFiles(Files):
    """A kernel that won't tell whether a file has writers, as for a service that doesn't own the log."""

    def has_writer(self, descriptor: int) -> bool | None:
        return None


class NoInotify(Watcher):
    """fs.inotify.max_user_instances is used up."""

    def _stand(self, path: str) -> bool:
        return False


class Writer:
    """An open log, written to as a web server does: O_APPEND, and through renames."""

    def __init__(self, rig: "Rig", path: Path) -> None:
        self._rig = rig
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def lines(self, count: int = 1) -> None:
        """Write whole lines; each is expected exactly once."""
        for _ in range(count):
            line = self._rig.next_line()
            os.write(self.descriptor, line)
            self._rig.expected[line.rstrip(b"\n")] += 1

    def raw(self, text: bytes) -> None:
        """Write bytes that nothing is expected of."""
        os.write(self.descriptor, text)

    def close(self) -> None:
        """Let the file go; a second time does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


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
        max_line: int = 256,
        open_generations: int = 512,
    ) -> None:
        self.root = root
        self.path = path or root / "logs" / "access.log"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.now = 1000 * SECOND
        self.expected: Counter[bytes] = Counter()
        self.seen: Counter[bytes] = Counter()
        self.oversize: list[bytes] = []
        self.notices: list[Notice] = []
        self._numbers = itertools.count()
        self._writers: list[Writer] = []
        self._rotations = itertools.count(1)
        self.watcher = watcher()
        self.follower = follower(
            str(self.path),
            Limits(max_line, open_generations, QUIET),
            from_start=from_start,
            watcher=self.watcher,
            files=files or Files(),
            voice=Voice(str(self.path), "access", self.notices.append),
        )

    def next_line(self) -> bytes:
        return b"line %08d\n" % next(self._numbers)

    def writer(self, path: Path | None = None) -> Writer:
        """Open the log, or another file, for writing."""
        writer = Writer(self, path or self.path)
        self._writers.append(writer)
        return writer

    def rotate(self) -> Path:
        """Rename the log to a new name beside it."""
        rotated = self.path.with_name(f"{self.path.name}.{next(self._rotations)}")
        self.path.rename(rotated)
        return rotated

    def look(self, seconds: float = 1.0) -> None:
        """Let time pass, then let the follower read."""
        self.now += int(seconds * SECOND)
        while True:
            for chunk in self.follower.read(self.now):
                self.take(chunk)
            if not self.follower.is_behind:
                break

    def holds(self, key: tuple[int, int]) -> bool:
        """Whether the follower has this file open; device and inode."""
        return any(generation.key == key for generation in self.follower._generations)

    def has_read(self, path: Path) -> bool:
        """Whether the follower has read something of the file that is at `path` now."""
        status = path.stat()
        key = (status.st_dev, status.st_ino)
        return any(each.key == key and each.offset for each in self.follower._generations)

    def take(self, chunk: Chunk) -> None:
        lines = chunk.data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        self.seen.update(lines)
        if chunk.oversize is not None:
            self.oversize.append(chunk.oversize)

    def settle(self) -> None:
        """Every writer ends, every wait is over: what is not seen by now is lost."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()
        for _ in range(4):
            self.look(QUIET / SECOND)

    def check(self) -> None:
        """Every expected line exactly once, and nothing else."""
        self.settle()
        missing, surplus = self.expected - self.seen, self.seen - self.expected
        assert not missing, f"lost {len(missing)}: {sorted(missing)[:3]}"
        assert not surplus, f"read too often or wrongly {len(surplus)}: {sorted(surplus)[:3]}"

    def said(self, kind: str) -> list[str]:
        """The texts of the notices of this kind."""
        return [notice.text for notice in self.notices if notice.kind.name == kind]

    def close(self) -> None:
        self.follower.close()
        self.watcher.close()
        for writer in self._writers:
            writer.close()
