"""The simulated log on disk: appended to, rotated, never lost.

Promises:
- `lines` is exactly what is on disk: a line counts once its last byte is written, and a short
  write is completed, whichever file it goes to.
- A rotation overwrites nothing and loses nothing; only `keep` deletes, and only names of its own kind.

Times are nanoseconds of one monotonic clock, handed in.
"""

import os
import re
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

LATE_SHARE = 0.5  # of the lines go to renamed files while a late writer still has some open


class LogFile:
    """The log as its writer sees it. `lines` counts those that are written whole."""

    def __init__(
        self,
        path: str,
        *,
        copytruncate: bool,  # else a rotation renames
        batch: bool,  # one write for all lines of a `write`, else one for each
        keep: int | None,  # rotated files; None for all
        late: int,  # nanoseconds that a renamed file is still written to
        unix_time: Callable[[], float],
        random: Random,  # shares the lines out among late writers
        os_write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        self.path = path
        self.lines = 0
        self.rotations = 0
        self._copytruncate = copytruncate
        self._batch = batch
        self._keep = keep
        self._late = late
        self._unix_time = unix_time
        self._random = random
        self._os_write = os_write
        self._descriptor = -1
        self._last = (-1, 0)  # Unix second and number of the last rotated file's name
        self._renamed: list[tuple[int, int]] = []  # (descriptor, when its late writer stops), by age

    def open(self) -> None:
        """Open the file for appending, made anew if it is missing. Raises OSError."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o644)
        status = os.fstat(self._descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_size:
            with open(f"/proc/self/fd/{self._descriptor}", "rb") as existing:
                existing.seek(-1, os.SEEK_END)
                if existing.read(1) != b"\n":  # a writer was cut short; the next line must not join it
                    os.write(self._descriptor, b"\n")

    def close(self) -> None:
        """Close whatever is open."""
        while self._renamed:
            os.close(self._renamed.pop()[0])
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def write(self, lines: Sequence[bytes], now: int) -> None:
        """Append `lines`, in order, to one of the files that are open for writing. Raises OSError."""
        descriptor = self._target(now)
        if self._batch:
            self._append(descriptor, b"".join(lines))
        else:
            for line in lines:
                self._append(descriptor, line)

    def rotate(self, now: int) -> None:
        """Put the file aside under a name that is free and go on with an empty one. Raises OSError.

        `keep` has no regard for late writers: what they write to a deleted file, nobody finds by name.
        """
        self._retire(now)
        aside = self._free_name()
        if self._copytruncate:
            self._copy(aside)
            os.ftruncate(self._descriptor, 0)
        else:
            with suppress(FileNotFoundError):  # somebody moved or deleted it: begin a new one all the same
                os.rename(self.path, aside)
            old = self._descriptor
            self.open()
            self._renamed.append((old, now + self._late))
            self._retire(now)
        self.rotations += 1
        if self._keep is not None:
            for name in self.rotated()[: -self._keep or None]:
                os.unlink(name)

    def rotated(self) -> list[str]:
        """The paths of rotated files, earlier runs' among them, oldest first."""
        directory, base = os.path.split(self.path)
        # At least nine digits, as Unix times have since 1973: an `access.log.1` is somebody else's.
        shape = re.compile(re.escape(base) + r"\.([0-9]{9,})(?:\.([0-9]+))?")
        matches = filter(None, map(shape.fullmatch, os.listdir(directory or ".")))
        ordered = sorted((int(match[1]), int(match[2] or 0), match[0]) for match in matches)
        return [os.path.join(directory, name) for _, _, name in ordered]

    def _target(self, now: int) -> int:
        self._retire(now)
        if self._renamed and self._random.random() < LATE_SHARE:
            return self._random.choice(self._renamed)[0]
        return self._descriptor

    def _append(self, descriptor: int, data: bytes) -> None:
        """Write all of `data`, which is whole lines; count them as they become complete."""
        before, written = self.lines, 0
        while written < len(data):
            written += self._os_write(descriptor, data[written:])
            self.lines = before + data.count(b"\n", 0, written)

    def _retire(self, now: int) -> None:
        """Close the renamed files whose time is over."""
        while self._renamed and self._renamed[0][1] <= now:
            os.close(self._renamed.pop(0)[0])

    def _free_name(self) -> str:
        """FILE.<unix time>; within one second then .1, .2 and so on, also where `keep` freed a lower one."""
        second = int(self._unix_time())
        number = self._last[1] + 1 if second == self._last[0] else 0
        while os.path.lexists(name := f"{self.path}.{second}" + (f".{number}" if number else "")):
            number += 1
        self._last = (second, number)
        return name

    def _copy(self, aside: str) -> None:
        with open(f"/proc/self/fd/{self._descriptor}", "rb") as source, open(aside, "xb") as target:
            try:
                while os.sendfile(target.fileno(), source.fileno(), None, 1 << 20):
                    pass  # until the end of the file
            except OSError:
                os.unlink(aside)  # half a copy would hold lines twice
                raise
