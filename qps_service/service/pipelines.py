"""The logs that are followed: they come, stay and go with the configuration, and the ledger is told of them.

Promises: a log that goes is in the ledger, and closed, before one that comes under its name is looked up
there; either all that a new configuration asks for is done, or nothing; totals are those of every log that
was ever followed, and a ledger that has to be written anew gets them all.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from qps_service.configuration.types import LogConfig
from qps_service.files.kernel import Files
from qps_service.following.resume import InheritedFile, Resume
from qps_service.ledger.outbox import merge
from qps_service.ledger.writer import LedgerWriter
from qps_service.notices import kinds
from qps_service.notices.kinds import Notice
from qps_service.service.events import EventBook
from qps_service.service.pipeline import LogPipeline
from qps_service.service.process import Clock, unix_at
from qps_service.text.escape import show_path
from qps_service.text.units import SECOND
from qps_service.values.entries import Entry


class MakePipeline(Protocol):
    """Makes the pipeline of a log."""

    def __call__(self, log: LogConfig, now: int, resume: Resume, working: Callable[[], None]) -> LogPipeline:
        """`resume` is what an earlier process left, but for the files that systemd kept; `working` is to be
        called again and again by whoever works long."""


class Pipelines:
    """One pipeline for each log, in the configuration's order."""

    def __init__(
        self,
        writer: LedgerWriter,
        make_pipeline: MakePipeline,
        drop_kept: Callable[[str], object],
        clock: Clock,
        events: EventBook,
        working: Callable[[], None],
    ) -> None:
        """`drop_kept(name)` lets go of what systemd keeps of a log."""
        self.followed: list[LogPipeline] = []
        self.committed_at = 0  # nanoseconds, when the ledger was last told
        self._writer = writer
        self._make_pipeline = make_pipeline
        self._drop_kept = drop_kept
        self._clock = clock
        self._events = events
        self._notify = events.notify
        self._working = working
        self._gone: dict[str, Entry] = {}  # all that was known of logs that went

    @property
    def requests(self) -> int:
        """Counted in all, those of logs that went included."""
        gone = (counts.requests for entry in self._gone.values() for counts in entry.counts.values())
        return sum(gone) + sum(pipeline.aggregator.total_requests for pipeline in self.followed)

    @property
    def rejected(self) -> int:
        """Lines rejected in all, likewise."""
        gone = (lines for entry in self._gone.values() for lines in entry.rejects.values())
        return sum(gone) + sum(pipeline.aggregator.total_rejected for pipeline in self.followed)

    @property
    def is_behind(self) -> bool:
        """Whether one of them left a backlog at the last look, so that the next is due at once."""
        return any(pipeline.state.is_behind for pipeline in self.followed)

    @property
    def is_open(self) -> bool:
        """Whether one of them is a pipe that somebody may still write to."""
        return any(pipeline.state.is_open for pipeline in self.followed)

    @property
    def is_over(self) -> bool:
        """Whether nothing can come to any of them."""
        return bool(self.followed) and all(pipeline.state.is_over for pipeline in self.followed)

    def count(self) -> None:
        """Count all that was read."""
        for pipeline in self.followed:
            pipeline.count()

    def commit(self, now: int, *, report: bool = False) -> bool:
        """Tell the ledger all that was counted, and let go of what was kept for that; whether it has it.
        With `report`, that ends the windows."""
        sequence, at = self._writer.sequence + 1, unix_at(self._clock, now)
        ends = report and any(pipeline.has_window for pipeline in self.followed)
        entries = [entry for pipeline in self.followed for entry in pipeline.entries(sequence, now, at)]
        if entries:
            entries[0] = entries[0]._replace(events=self._events.take())
        committed = self._writer.commit(
            entries,
            sequence=sequence if ends else None,
            whole=lambda: [
                *self._gone.values(),
                *(pipeline.everything(now, at) for pipeline in self.followed),
            ],
        )
        for pipeline in self.followed:
            pipeline.release(committed=committed)
        self.committed_at = now
        return committed

    def begin_windows(self, now: int) -> None:
        """Count windows of each new log whose first read is over. What that found enters the totals but no
        rate: it was written before our time."""
        new = [
            pipeline
            for pipeline in self.followed
            if not pipeline.is_counting and not pipeline.state.is_behind
        ]
        if new:
            self.commit(now)
        for pipeline in new:
            pipeline.begin_window(self._clock.now())

    def leaving(self, logs: Iterable[LogConfig]) -> list[LogPipeline]:
        """Pipelines of logs that are not among these."""
        wanted = {_key(log) for log in logs}
        return [pipeline for pipeline in self.followed if _key(pipeline.config) not in wanted]

    def arriving(self, logs: Iterable[LogConfig]) -> list[LogConfig]:
        """Those of these logs that have no pipeline."""
        followed = {_key(pipeline.config) for pipeline in self.followed}
        return [log for log in logs if _key(log) not in followed]

    def follow(self, logs: Sequence[LogConfig], now: int) -> None:
        """Follow these, and no others; of those that leave, the ledger must have everything. Raises
        LedgerUnreadableError, and then nothing has changed."""
        at = unix_at(self._clock, now)
        restored = {
            log.name: self._writer.restore(log.name, now=now, at=at, was=log.was)
            for log in self.arriving(logs)
        }
        former = {(each.was, each.path): name for name, each in restored.items() if each}
        handed: dict[str, tuple[InheritedFile, ...]] = {}
        for pipeline in self.leaving(logs):
            if name := former.get(_key(pipeline.config)):
                handed[name] = pipeline.hand_over()
            self._leave(pipeline, now, at)
        staying = {_key(pipeline.config): pipeline for pipeline in self.followed}
        self.followed = []
        for log in logs:
            known = staying.get(_key(log))
            if known:
                known.reconfigure(log)
            if known is None:
                files = (*handed.get(log.name, ()), *_opened(log))
                resume = Resume.at(restored[log.name], now, at)._replace(handed=files)
                known = self._join(log, resume, now)
            self.followed.append(known)

    def drop_others(self) -> None:
        """Of logs that are not followed nobody is to go on with what systemd keeps."""
        for name in self._writer.known_logs().keys() - {pipeline.config.name for pipeline in self.followed}:
            self._drop_kept(name)

    def take_ended(self, now: int) -> list[LogPipeline]:
        """Logs of patterns that vanished and were read to their end, after a report: they are followed no
        longer, and the ledger has all of them. None while it takes nothing."""
        ended = [each for each in self.followed if each.config.of and each.ends(now)]
        if not ended or not self.commit(now):
            return []
        for pipeline in ended:
            self._leave(pipeline, now, unix_at(self._clock, now))
        self.followed = [each for each in self.followed if each not in ended]
        return ended

    def close(self) -> None:
        """Let every file go."""
        for pipeline in self.followed:
            pipeline.close()

    def _join(self, log: LogConfig, resume: Resume, now: int) -> LogPipeline:
        if restored := resume.restored:
            self._gone.pop(restored.was or log.name, None)
            past = max(0, now - restored.started) // SECOND
            path, before = show_path(log.path), show_path(restored.path)
            how = f"going on with {path} where the ledger ends"
            if restored.was:
                how = f"log {log.name} was {restored.was}, whose totals go on; {how}"
            elif log.path != restored.path:
                how = f"log {log.name} is now {path}, and was {before}: its counts go on"
            text = f"{how}, {past} s after the last report"
            self._notify(Notice(kinds.RESTORED, text, log.name))
        return self._make_pipeline(log, now, resume, self._working)

    def _leave(self, pipeline: LogPipeline, now: int, at: int) -> None:
        name, entry = pipeline.config.name, pipeline.everything(now, at)
        # Without a ledger a log that comes back begins at 0, and may go once more.
        self._gone[name] = merge(self._gone[name], entry) if name in self._gone else entry
        pipeline.close()
        self._drop_kept(name)


def _opened(log: LogConfig) -> Iterator[InheritedFile]:
    begun = {log.path: log.begun} if log.begun is not None else {}
    for path, offset in {**dict.fromkeys(log.former, 0), **begun}.items():
        with suppress(OSError):  # then it is found as any other
            yield InheritedFile(Files().open(path), offset)


def _key(log: LogConfig) -> tuple[str, str]:
    """Under another path it is another log."""
    return log.name, log.path
