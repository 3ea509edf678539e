"""A machine as Debian sets it up: a web server, its logs, and the stock logrotate at midnight, day after day.

Time is simulated, and files have their times in it. logrotate is the real one; it waits at each of its
moments, so that anything may happen there. What happens is drawn, and comes again with the same seed.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from qps_service.files.kernel import Seen
from qps_service.following.follower import Follower
from qps_service.notices import kinds
from tests.fault.devices import Renumbered
from tests.fault.logrotate import Logrotate
from tests.following import SECOND, Rig, WallClock, Writer, overflow_queue

MONDAY = 1_795_996_800  # 2026-11-30 00:00:00 UTC
HOUR, DAY, WEEK = 3600, 86_400, 7  # seconds, days
BUSY = (4, 6, 12)  # hours from one time with requests to the next
RENAMED = "renamed"  # logrotate's moments: the server is told to open its logs anew
COMPRESSING = ("compressing", "half", "compressed")
EXPECTED_NOTICES = {kinds.FOLLOWING.name, kinds.ROTATED.name}

# /etc/logrotate.d/nginx and /etc/logrotate.d/apache2 of Debian 12, but for what their scripts call: run-parts
# and invoke-rc.d.
NGINX = """@logs@/*.log {
	daily
	missingok
	rotate 14
	compress
	delaycompress
	notifempty
	create 0640 www-data adm
	sharedscripts
	prerotate
		@moment@ before
	endscript
	postrotate
		@moment@ renamed
	endscript
}
"""
APACHE = NGINX.replace("create 0640 www-data adm", "create 640 root adm")


class Server(NamedTuple):
    """What is installed."""

    stock: str  # logrotate's configuration
    logs: tuple[str, ...]  # that are followed; beside them there is error.log


SERVERS = {
    "nginx": Server(NGINX, ("access.log", "shop.access.log")),
    "apache2": Server(APACHE, ("access.log", "other_vhosts_access.log")),
}


class Clock(WallClock):
    """Begins on a Monday."""

    def __init__(self) -> None:
        super().__init__(MONDAY * SECOND - time.time_ns())
        self.booted = 0  # Unix nanoseconds

    def advance(self, seconds: float) -> None:
        """So much later."""
        self.jump(int(seconds * SECOND))


class MachineFiles(Renumbered):
    """The kernel of a machine that has its own time, and whose disks are numbered anew at each start."""

    def __init__(self, clock: Clock, *, blind: bool, versions: bool) -> None:
        super().__init__(has_versions=versions)
        self._clock, self._blind = clock, blind

    def retell(self, seen: Seen) -> Seen:
        modified, changed = map(self._clock.shown, (seen.modified, seen.changed))
        return super().retell(seen)._replace(modified=modified, changed=changed)

    def has_writer(self, descriptor: int) -> bool | None:
        return None if self._blind else super().has_writer(descriptor)


class ServedLog(Rig):
    """A log, and its follower."""

    def __init__(self, root: Path, path: Path, clock: Clock, has_times: bool, **keywords: Any) -> None:
        self._clock, self._has_times = clock, has_times
        self._chance = random.Random(path.name)
        self.is_running = True
        super().__init__(root, path=path, max_line=1024, **keywords)

    def _begin(self, *arguments: Any) -> None:
        super()._begin(*arguments)
        self.now = self._clock.now() - self._clock.booted
        self.follower._epoch = self._clock.booted

    def next_line(self) -> bytes:
        number = next(self._numbers)
        # Every other request is a health check's, which has nothing of its own.
        target = "/health" if self._chance.random() < 0.5 else f"/item/{number}"
        if not self._has_times:
            return b"203.0.113.7\tGET %s\t200\t512\n" % target.encode()
        at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(self._clock.now() // SECOND))
        return f'203.0.113.7 - - [{at}] "GET {target} HTTP/1.1" 200 512 "-" "curl/7.88.1"\n'.encode()

    def look(self, seconds: float = 0, *, commit: bool = True) -> None:
        """Let time pass, then let the follower read, should it run."""
        if seconds:
            self._clock.advance(seconds)
        self.now = self._clock.now() - self._clock.booted
        if self.is_running:
            super().look(0, commit=commit)

    def alarms(self) -> list[str]:
        """All that was said and tells of anything but what is usual."""
        said = [notice.text for notice in self.notices if notice.kind.name not in EXPECTED_NOTICES]
        return said + self.losses()


def logrotate(root: Path, logs: Path, stock: str) -> Logrotate:
    """The program with Debian's configuration, which waits at each of its moments."""
    if os.geteuid():  # nobody else may give a file away
        stock = stock.replace(" www-data adm", "").replace(" root adm", "")
    made = Logrotate(root, f"compresscmd @own@/gzip\n{stock}".replace("@logs@", str(logs)))
    # As gzip, whose output grows while others look.
    made.script(
        "gzip",
        f"@moment@ {COMPRESSING[0]}\ngzip >@own@/packed\nhead -c 40 @own@/packed\n"
        f"@moment@ {COMPRESSING[1]}\ntail -c +41 @own@/packed\n@moment@ {COMPRESSING[2]}\n",
    )
    return made


class Setup(NamedTuple):
    """A machine, and who follows its logs there."""

    server: str
    delays: bool  # whether logrotate's configuration has `delaycompress`, as Debian's
    has_times: bool  # whether the format is Combined; otherwise it is the default, which has none
    blind: bool  # whether the service may not take leases
    store: bool  # whether systemd keeps its files
    versions: bool  # whether the file system tells of inodes' versions


class Happened(NamedTuple):
    """Where a stop was, and where it ended."""

    end: str  # stop, kill
    at: str  # logrotate's moment
    start: str  # restart, container, reboot
    until: str


class Machine:
    """A server with its logs, followed by one service."""

    def __init__(self, root: Path, setup: Setup, seed: int, *, follower: type[Follower] = Follower) -> None:
        self._chance = random.Random(seed)
        self.clock = Clock()
        self.clock.booted = self.clock.now() - 1000 * SECOND
        self._files = MachineFiles(self.clock, blind=setup.blind, versions=setup.versions)
        self._directory = root / "logs"
        self._directory.mkdir(parents=True)
        self._is_blind = setup.blind
        server = SERVERS[setup.server]
        stock = server.stock if setup.delays else server.stock.replace("\tdelaycompress\n", "")
        self._logrotate = logrotate(root / "logrotate", self._directory, stock)
        self._error_log = self._directory / "error.log"
        self.logs = [
            ServedLog(
                root,
                self._directory / name,
                self.clock,
                setup.has_times,
                follower=follower,
                files=self._files,
                store=setup.store,
            )
            for name in server.logs
        ]
        self.happened: Counter[Happened] = Counter()
        self._ended: tuple[str, str] | None = None  # how, and at which moment, the service ended
        self._writers: list[Writer] = []
        self._open_logs()
        self._look()

    def live(self, days: int) -> None:
        """Let so many days pass, with all that may happen."""
        for day in range(days):
            for hours in BUSY:
                self._serve(day)
                self._look()
                self.clock.advance(1)
                self._may_happen("day", is_rotating=False)
                self._look()
                for _ in range(2):
                    self.clock.advance(61)
                    self._look()
                self.clock.advance(hours * HOUR / 2)
            self.clock.advance(DAY - (self.clock.now() // SECOND) % DAY)
            self._midnight()

    def check(self) -> None:
        """Every line once, and nothing was said but what is usual."""
        if self._ended:
            self._start("restart", "end")
        for log in self.logs:
            log.look(61)
            log.check()
        alarms = [alarm for log in self.logs for alarm in log.alarms()]
        assert not alarms, f"{len(alarms)} false alarms: {alarms[:3]}"

    def close(self) -> None:
        for log in self.logs:
            log.close()

    def _midnight(self) -> None:
        self._may_happen("midnight", is_rotating=False)
        waits = -1  # moments until the server has opened its logs anew
        for moment in self._logrotate(at=self.clock.now() // SECOND):
            if moment == RENAMED:
                waits = self._chance.randrange(4)
                self._serve_late()
            self._may_happen(moment)
            if waits > 0 and moment in COMPRESSING:
                self._serve_what_no_archive_has()
                waits = 0
            if waits == 0:
                self._open_logs()
            waits -= 1
            self._may_happen(moment)
        self._may_happen("done", is_rotating=False)
        if waits >= 0:
            self._serve_late()
            self._open_logs()
        self.clock.advance(1)
        self._look()

    def _serve(self, day: int) -> None:
        """Requests, but for logs that are quiet for days."""
        for number, writer in enumerate(self._writers):
            if (day // 2 + number) % 3:
                writer.lines(self._chance.choice((1, 5, 40)))
        with self._error_log.open("a") as error_log:
            error_log.write(f"{self.clock.now()} [error] nothing to worry about\n")

    def _serve_late(self) -> None:
        """Requests that were under way."""
        for writer in self._writers:
            if os.fstat(writer.descriptor).st_size:
                writer.lines(self._chance.randrange(3))

    def _serve_what_no_archive_has(self) -> None:
        """Likewise, while it is compressed: only who has the file open can read it then."""
        if not self._is_blind and not self._ended:
            self._look()
            for log, writer in zip(self.logs, self._writers, strict=True):
                status = os.fstat(writer.descriptor)
                if status.st_size and log.holds((status.st_dev + self._files.shift, status.st_ino)):
                    writer.lines(1)
            self._look()
            self._open_logs()
            self._look()

    def _open_logs(self) -> None:
        """At the start, and when the server is told to."""
        former, self._writers = self._writers, [log.writer() for log in self.logs]
        for writer in former:
            writer.close()

    def _look(self) -> None:
        for log in self.logs:
            log.look()

    def _may_happen(self, moment: str, *, is_rotating: bool = True) -> None:
        """The service looks, ends or starts; or more moves in the directory than inotify tells."""
        if self._ended:
            if self._chance.random() < 0.3:
                starts = ["restart", "container"] if is_rotating else ["restart", "container", "reboot"]
                self._start(self._chance.choice(starts), moment)
            return
        draw = self._chance.random()
        if draw < 0.25:
            self._end(self._chance.choice(("stop", "kill")), moment)
        elif draw < 0.6:
            self._look()
        elif draw < 0.61:
            overflow_queue(self._directory)

    def _end(self, how: str, moment: str) -> None:
        for log in self.logs:
            log.stop() if how == "stop" else log.kill()
            log.is_running = False
        self._ended = how, moment

    def _start(self, how: str, moment: str) -> None:
        assert self._ended
        self.happened[Happened(*self._ended, how, moment)] += 1
        self._ended = None
        if how == "reboot":
            self._files.shift += 1
            self.clock.booted = self.clock.now()
            self._open_logs()
        for log in self.logs:
            log.is_running = True
            log.start(rebooted=how != "restart")
            log.look()


Make = Callable[..., Machine]
