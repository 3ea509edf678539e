"""A web server and its rotations: python -m tests.fault.traffic LOG.

300 lines a second, up to ten rotations a second, and each time a line for the old file. It is told the name
of a mode in a line of stdin, and says in a line of stdout which number the log's next line has. It ends when
its stdin does, and prints how many lines it has written.

In most modes the real logrotate rotates, again and again. With `copytruncate` it does so only when told to
TRUNCATE, and says then which line comes next: what stood in the log between two truncations that nobody
saw is not told from any other file.
"""

import itertools
import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.fault.logrotate import AT_WORK, Logrotate
from tests.fault.program import line

OLD = "old"  # a directory below the log's
RENAMES, COPYTRUNCATE, TRUNCATE = "renames", "copytruncate", "truncate"
# Directives of logrotate's; `@old@` stands for that directory.
MODES = {
    RENAMES: "",  # without logrotate, ten times a second
    "create": "create 0644",
    "compress": "create 0644\ncompress",
    "delaycompress": "create 0644\ncompress\ndelaycompress",
    COPYTRUNCATE: "copytruncate",
    "olddir": "create 0644\nolddir @old@",
    "dateext": "create 0644\ndateext\ndateformat -%Y%m%d-%H%M",
    "xz": "create 0644\ncompress\ncompresscmd /usr/bin/xz\ncompressext .xz",
}
TICK = 1 / 300  # seconds
LINES = 30  # between two rotations
MINUTE = 60


class Server:
    """Writes lines, and rotates in one mode at a time."""

    def __init__(self, log: str) -> None:
        self._log = log
        self.written = 0
        self._current = self._open()
        self._old: int | None = None
        self._turns = itertools.count(1)
        self._mode = RENAMES
        self._minutes = itertools.count(1_700_000_000, MINUTE)
        self._rotate: dict[str, Logrotate] = {}

    def serve(self) -> None:
        """Until stdin ends."""
        for turn in itertools.count(1):
            if select.select([0], [], [], TICK)[0]:
                told = os.read(0, 64).decode().strip()
                if not told:
                    break
                if told == TRUNCATE:
                    for _ in self._logrotate():
                        pass
                else:
                    self._mode = told
                sys.stdout.write(f"{self.written}\n")
                sys.stdout.flush()
            self._write(self._current)
            if turn % LINES == 0:
                self._turn()

    def _open(self) -> int:
        return os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def _write(self, descriptor: int) -> None:
        os.write(descriptor, line(self.written))
        self.written += 1

    def _turn(self) -> None:
        if self._mode == RENAMES:
            os.rename(self._log, f"{self._log}.{next(self._turns)}")
            self._reopen()
        elif self._mode != COPYTRUNCATE:
            for moment in self._logrotate():
                if moment == AT_WORK:
                    self._write(self._current)
                else:
                    self._reopen()

    def _reopen(self) -> None:
        old, self._current = self._current, self._open()
        self._write(self._current)
        self._write(old)
        os.close(old)

    def _logrotate(self) -> Iterator[str]:
        mode = self._mode
        if mode not in self._rotate:
            log = Path(self._log)
            old = log.parent / OLD
            old.mkdir(exist_ok=True)
            # None is deleted, and no mode's files are in the way of another's.
            start = 1000 * (1 + list(MODES).index(mode))
            directives = MODES[mode].replace("@old@", str(old))
            script = "postrotate\n@moment@ renamed\nendscript"
            text = f"{log} {{\nrotate 500\nstart {start}\n{directives}\n{script}\n}}\n"
            self._rotate[mode] = Logrotate(log.parent.parent / f"logrotate-{mode}", text)
        at = next(self._minutes) if mode == "dateext" else None
        return self._rotate[mode]("-f", at=at, pause=TICK)


def main() -> None:
    server = Server(sys.argv[1])
    server.serve()
    sys.stdout.write(f"{server.written}\n")


if __name__ == "__main__":
    main()
