"""One log on its way from bytes to counts: follower, scanner and aggregator together."""

from collections.abc import Iterator

from qps_service import notices
from qps_service.aggregator import Aggregator
from qps_service.config import LogConfig
from qps_service.escape import show, show_path
from qps_service.files import Files
from qps_service.follower import Follower, Limits
from qps_service.model import Sample, Window
from qps_service.notices import Notice, Say, Throttle
from qps_service.scan import make_scanner
from qps_service.voice import Voice
from qps_service.watcher import Watcher

# Whoever sends requests can make lines be rejected, and must not be able to fill the journal.
REJECTS_SAID_EVERY = 60_000_000_000  # nanoseconds


class Tail:
    """Counts one log. Times are CLOCK_BOOTTIME nanoseconds."""

    def __init__(self, config: LogConfig, now: int, say: Say, files: Files | None = None) -> None:
        self.config = config
        self._say = say
        self._watcher = Watcher()
        self._follower = Follower(
            config.path,
            _limits(config),
            from_start=config.start,
            watcher=self._watcher,
            files=files or Files(),
            voice=Voice(config.path, config.name, say),
        )
        self._scanner = make_scanner(config.format, config.max_line)
        self.aggregator = Aggregator(config.name, now, config.max_routes, config.max_route)
        self._unsaid: dict[str, int] = {}  # rejected lines by reason, since the last notice
        self._sample: Sample | None = None
        self._rejects_said = Throttle(REJECTS_SAID_EVERY)

    def fileno(self) -> int | None:
        """What to poll for hints, if anything."""
        return self._watcher.fileno()

    @property
    def waiting(self) -> str | None:
        """Why the log is not followed; None if it is."""
        return self._follower.waiting

    @property
    def is_behind(self) -> bool:
        """Whether the last read left a backlog, so that the next is due at once."""
        return self._follower.is_behind

    def is_hinted(self) -> bool:
        """Take in the hints; whether one of them is about the log or its rotated files."""
        return self._follower.take_hints()

    def sweep(self) -> None:
        """Let the next read look at every file beside the log: one that was let go may have grown."""
        self._follower.sweep()

    def reconfigure(self, config: LogConfig) -> None:
        """Go on with other settings for the same path; counts stay."""
        if (config.format, config.max_line) != (self.config.format, self.config.max_line):
            self._scanner = make_scanner(config.format, config.max_line)
        self._follower.limits = _limits(config)
        self.aggregator.max_routes = config.max_routes
        self.aggregator.max_route = config.max_route
        self.config = config

    def read(self, now: int) -> Iterator[None]:
        """Count everything that is there by now; yields after each block, so that the loop can show
        that it lives."""
        for chunk in self._follower.read(now):
            self._scanner.scan(chunk.data)
            if chunk.oversize is not None:
                self._scanner.reject_oversize(chunk.oversize)
            scanned = self._scanner.take()
            self.aggregator.add(scanned)
            for reason, lines in scanned.rejects.items():
                self._unsaid[reason] = self._unsaid.get(reason, 0) + lines
            self._sample = self._sample or scanned.sample
            yield
        if self._sample and self._rejects_said.allows(now):
            self._say_rejects(self._sample)

    def close_window(self, now: int) -> Window:
        """The counts since the last call."""
        return self.aggregator.close_window(now)

    def close(self) -> None:
        """Let go of everything open."""
        self._follower.close()
        self._watcher.close()

    def _say_rejects(self, sample: Sample) -> None:
        reasons = ", ".join(f"{reason} {lines}" for reason, lines in sorted(self._unsaid.items()))
        text = (
            f"rejected {sum(self._unsaid.values())} lines of {show_path(self.config.path)} "
            f'({reasons}), for example ({sample.reason}): "{show(sample.line)}"'
        )
        self._say(Notice(notices.REJECTED, text, self.config.name))
        self._unsaid, self._sample = {}, None


def _limits(config: LogConfig) -> Limits:
    return Limits(config.max_line, config.open_generations, config.quiet)
