"""One log on its way from bytes to counts: follower, scanner and aggregator together."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from qps_service.configuration.types import LogConfig
from qps_service.counting.aggregator import Aggregator
from qps_service.counting.budget import Budget
from qps_service.counting.rules import Limited, apply_all
from qps_service.files.kernel import MOUNTED_ALONE, Files, Seen
from qps_service.files.pipe import is_pipe
from qps_service.following.announcer import Announcer
from qps_service.following.follower import Follower, FollowState
from qps_service.following.generation import Generation
from qps_service.following.ignored_files import ALL_IGNORED_LIMIT
from qps_service.following.log_places import LogPlaces
from qps_service.following.open_files import NO_CHANGES, Changes, FollowLimits, Keeper
from qps_service.following.resume import NOTHING_KNOWN, InheritedFile, Resume
from qps_service.following.watcher import Watcher, Watches
from qps_service.formats.w3c import fields_before
from qps_service.notices import kinds
from qps_service.notices.kinds import Notice, Notify
from qps_service.notices.throttle import Throttle
from qps_service.scanning.auto import WAITING, LineCounter
from qps_service.scanning.options import ScanOptions
from qps_service.text.escape import show, show_path
from qps_service.text.units import SECOND
from qps_service.values.counts import MAX_ROWS, METHODS, NOTHING_BESIDE, Beside, Counts, Key, Sample, Scanned
from qps_service.values.entries import Entry, Loss
from qps_service.values.latency import Latency, LatencyKey
from qps_service.values.reports import Standing, Window

if TYPE_CHECKING:
    from qps_service.following.stream import Stream

# Whoever sends requests can make lines be rejected, and must not be able to fill the journal.
REJECTS_SAID_EVERY = 60 * SECOND  # nanoseconds
# Whoever has to set another format does not do it at once.
UNFIT_SAID_EVERY = 3600 * SECOND  # nanoseconds
# How long a report goes on telling of a loss: long enough to be seen by whoever looks at reports at all.
LOSS_RECENT = 600 * SECOND  # nanoseconds
LOSSES_TOLD = 10  # in one report, the latest
# What scanners keep from one look to the next, over all logs: hundreds of them share it. A log that is alone
# keeps all that it counts until the next commit.
COUNTED_LIMIT = 16 << 20  # bytes
# What happens where rows are short, in this order.
_FOLDS = {
    METHODS: "further methods are counted as other, by route and status",
    MAX_ROWS: "further routes, and further statuses of a route, are counted as other",
}
_COARSE = "are rounded up to 1, 2 or 5 times a power of ten"
UNREAD = FollowState(is_behind=True)  # of a log to whose first look it has not come yet


class LogPipeline:
    """Counts one log. Times are CLOCK_BOOTTIME nanoseconds, except where they are called Unix ones."""

    def __init__(
        self,
        config: LogConfig,
        now: int,
        notify: Notify,
        files: Files | None = None,
        *,
        watches: Watches | None = None,
        places: LogPlaces | None = None,
        resume: Resume = NOTHING_KNOWN,
        keeper: Keeper | None = None,
        limited: Limited = apply_all,
        rows: Budget | None = None,
    ) -> None:
        """`watches` and `places` are those of the process; `resume` is what an earlier process left; `keeper`
        keeps open files for the next one; `limited` applies route rules within the time of the process, and
        `rows` are those of all logs."""
        restored = resume.restored
        self.config = config
        self._late: set[Generation] = set()  # whose backlog is left out of windows
        # When the last window that was closed began, nanoseconds; None before the first.
        self._before: int | None = None
        self.state = UNREAD  # after the last read
        self._read_at = now  # up to when it was read
        self._notify = notify
        self._limited = limited
        self._files = files or Files()
        self._watcher = Watcher(watches)
        self._places = places or LogPlaces(self._files)
        self._resume, self._keeper = resume, keeper
        is_stream = is_pipe(self._files, config.path)
        self._follower = self._make_stream() if is_stream else self._make_follower()
        # For windows; before that, for the totals only. All that a pipe has was written in our time.
        self.is_counting = restored is not None or is_stream
        # Since its last window. What an earlier process left is the beginning of one.
        self._is_read = restored is not None
        chosen = restored.format if restored and restored.path == config.path else None
        self._scanner = self._make_scanner(config, chosen)
        self._share = (rows or Budget()).join()
        self._share.budget.resize(config.max_rows)
        routes = config.routes(limited)
        self.aggregator = Aggregator(config.name, now, config.max_routes, routes, restored, self._share)
        self._folds_said: set[str] = set()
        # Each with when it was told, nanoseconds.
        self._losses = list(zip(restored.lost_at, restored.losses, strict=True)) if restored else []
        # Numbers of generations that the ledger has as open, since nothing else was told of them.
        self._expected = {position.number for position in restored.held} if restored else set()
        self._line_read_at: int | None = None  # nanoseconds
        self._losses_told = self._loss_bytes = 0
        self._is_found = False  # whether the log was there, and open, after the last read
        self._mount_is_said = False
        self._unsaid: dict[str, int] = {}  # rejected lines by reason, since the last notice
        self._sample: Sample | None = None
        self._rejects_said = Throttle(REJECTS_SAID_EVERY)
        self._reading: Generation | None = None  # whose lines are being counted
        self._unfit_said = Throttle(UNFIT_SAID_EVERY)

    def fileno(self) -> int | None:
        """What to poll for hints, if anything; the same for all files that share watches."""
        return self._watcher.fileno() if isinstance(self._follower, Follower) else self._follower.fileno()

    @property
    def has_hints(self) -> bool:
        """Whether hints wait that came with another log's: no poll tells of them."""
        return self._watcher.has_hints

    def is_findable(self) -> bool:
        """Whether another process can find what the last read left: not in a file that was deleted."""
        return self._follower.is_findable()

    def is_hinted(self) -> bool:
        """Take in the hints; whether one of them is about the log or its rotated files."""
        return self._follower.take_hints()

    def has_file(self, path: str, seen: Seen, *, by_text: bool) -> bool | None:
        """Whether a file that may be another log is one of this one's, or with `by_text` a copy; None where
        nothing tells yet."""
        if not isinstance(self._follower, Follower):
            return False  # a pipe
        return self._follower.has_file(path, seen, by_text=by_text)

    def inodes(self) -> set[int]:
        """Those that its files have, or had when they were read; no other file is one that it has."""
        return self._follower.inodes() if isinstance(self._follower, Follower) else set()

    def ends(self, now: int) -> bool:
        """Whether the log has been away for longer than a rotation leaves it so, and was read to its end."""
        return isinstance(self._follower, Follower) and self._follower.ends(now, self.config.quiet)

    def sweep(self) -> None:
        """Let the next read look at every file beside the log: one that was let go may have grown."""
        self._follower.sweep()

    def reconfigure(self, config: LogConfig) -> None:
        """Go on with other settings for the same path; counts stay."""
        self._scanner.settle()
        self._count(self._scanner.take())
        if _scan_options(config) != _scan_options(self.config):
            self._scanner = self._make_scanner(config, self._scanner.chosen)
        self._follower.reconfigure(_limits(config), self._places.others(config.path, config.logs))
        self._share.budget.resize(config.max_rows)
        if config.max_rows != self.config.max_rows:
            self._folds_said.clear()
        self.aggregator.reconfigure(config.max_routes, config.routes(self._limited))
        before = self.config._replace(logs=config.logs, retired=config.retired)
        if config.logs == self.config.logs or before != config:  # not for each log that a pattern finds
            self._is_found = self._mount_is_said = False
        self.config = config

    def read(self, now: int) -> Iterator[None]:
        """Count everything that is there by now; yields after each block, so that the loop can show
        that it lives.

        What was out of reach for a whole window, since its volume was not mounted or its disk failed, may be
        of any age: no window tells how long it took to be written. Its first read, to the end that it has
        then, enters the totals only, like what is found in a new log, and the window begins after it."""
        for chunk in self._follower.read(now):
            self._leave_out(self._is_late(chunk.origin))
            self._reading = chunk.origin
            if chunk.is_last:
                self._scanner.settle()
            if chunk.data:
                self._line_read_at = now
                self._learn_from(chunk.origin)
                self._scanner.scan(chunk.data, chunk.origin)
            if chunk.oversize is not None:
                self._line_read_at = now
                self._scanner.reject_oversize(chunk.oversize, chunk.origin)
            yield
        if self._scanner.held > COUNTED_LIMIT // max(1, len(self.config.logs)):
            self._count(self._scanner.take())
        if self._late:
            self._leave_out(False)
            self._late = {generation for generation in self._late if generation.is_behind}
            if not self._late:
                self.aggregator.begin_anew(now)
        self._read_at, self._is_read = now, True
        self.state = self._follower.state
        was_found, self._is_found = self._is_found, self.state.waiting is None
        if self._is_found and not was_found and isinstance(self._follower, Follower):
            self._look_at_mount()
        self._say_rejects(now)
        self._say_unfit(now)

    def count(self) -> None:
        """Count all that was read: rules for routes are applied now."""
        self._scanner.settle()  # no position may be moved past lines that wait
        self._count(self._scanner.take())

    def entries(self, sequence: int, now: int, at: int) -> list[Entry]:
        """What is to be committed: everything counted since the last entries, and how far files were read.
        `sequence` is the number of the report that the counts will be in, but for those that are left out;
        `at` is `now` in Unix nanoseconds."""
        self.count()
        changes = self._follower.changes()
        self._expected -= {position.number for position in (*changes.held, *changes.retired)}
        losses = tuple(Loss(at, *loss) for loss in self._follower.take_losses())
        self._losses = [*self._losses, *((now, loss) for loss in losses)][-LOSSES_TOLD:]
        self._losses_told += len(losses)
        self._loss_bytes += sum(loss.bytes or 0 for loss in losses)
        left_out, counted = self.aggregator.take_left_out(), self.aggregator.take()
        self._say_folds()
        self._say_rejects(now)
        self._say_unfit(now)
        sequence = sequence if self.has_window else 0
        entry = self._entry(sequence, now, at, *counted, changes)._replace(losses=losses)
        if left_out == ({}, {}, NOTHING_BESIDE, {}):
            return [entry]
        return [self._entry(0, now, at, *left_out, NO_CHANGES), entry]

    def everything(self, now: int, at: int) -> Entry:
        """All that was ever counted and is known, for a ledger that has to be written anew."""
        totals, rejects = self.aggregator.totals, self.aggregator.total_rejects
        beside, latencies = self.aggregator.total_beside, self.aggregator.total_latencies
        changes = self._follower.everything()
        expected = tuple(each for each in changes.retired if each.number in self._expected)
        retired = tuple(each for each in changes.retired if each.number not in self._expected)
        changes = changes._replace(held=(*expected, *changes.held), retired=retired)
        return self._entry(0, now, at, totals, rejects, beside, latencies, changes)

    def release(self, *, committed: bool) -> None:
        """Let go of finished files, now that the last entry is in the ledger, or can't be put there."""
        self._follower.release(committed=committed)
        self.state = UNREAD if self.state is UNREAD else self._follower.state
        if committed and isinstance(self._follower, Follower) and self._follower.finds_pipe:
            self._follower.close()
            self._follower = self._make_stream()

    @property
    def has_window(self) -> bool:
        """Whether a window can end: one is counted, and the log was read since it began."""
        return self.is_counting and self._is_read

    def begin_window(self, now: int, after: int | None = None) -> None:
        """What was counted so far was written before the first window, which begins, and may have begun. What
        a file has that is younger than `after` is of that window."""
        self._before = min(self.aggregator.started, now if after is None else after) - 1
        self.is_counting, self._read_at = True, now
        self.aggregator.close_window(now)

    def close_window(self) -> Window:
        """The counts of all entries since the last call, up to the last read; the next window begins."""
        started, self._is_read = self.aggregator.started, False
        if started < self._ended:  # not one that began anew in this very look
            self._before = started
        return self.aggregator.close_window(self._ended)

    @property
    def _ended(self) -> int:
        """When a window ends that ends now."""
        return max(self._read_at, self.aggregator.started)

    def standing(self, now: int) -> Standing:
        """How the log stands, up to the last entry."""
        return Standing(
            log=self.config.name,
            counts=self.aggregator.totals,
            rejects=self.aggregator.total_rejects,
            rotations=self.state.rotations,
            losses=self._losses_told,
            loss_bytes=self._loss_bytes,
            folded=self.aggregator.folded,
            routes=self.aggregator.routes,
            pending=self.state.pending,
            last_line_age=None if self._line_read_at is None else (now - self._line_read_at) / SECOND,
            waiting=self.state.waiting,
            beside=self.aggregator.total_beside,
            latencies=self.aggregator.total_latencies,
        )

    def losses(self, now: int) -> tuple[Loss, ...]:
        """The recent ones."""
        return tuple(loss for told_at, loss in self._losses if now - told_at <= LOSS_RECENT)

    def hand_over(self) -> tuple[InheritedFile, ...]:
        """Everything open once more, for a pipeline that goes on with it."""
        return self._follower.hand_over()

    def close(self) -> None:
        """Let go of everything open, and of its places."""
        self._share.budget.leave(self._share)
        self._follower.close()
        self._watcher.close()

    def _make_follower(self) -> "Follower | Stream":
        return Follower(
            self.config.path,
            _limits(self.config),
            from_start=self.config.start,
            watcher=self._watcher,
            files=self._files,
            announcer=Announcer(self.config.path, self.config.name, self._notify),
            resume=self._resume,
            keeper=self._keeper,
            others=self._places.others(self.config.path, self.config.logs),
        )

    def _make_stream(self) -> "Follower | Stream":
        from qps_service.following.stream import Stream  # few logs are pipes

        return Stream(
            self.config.path,
            _limits(self.config),
            files=self._files,
            announcer=Announcer(self.config.path, self.config.name, self._notify),
            resume=self._resume,
            keeper=self._keeper,
        )

    def _make_scanner(self, config: LogConfig, chosen: str | None) -> LineCounter:
        return LineCounter(_scan_options(config), self._count, self._say_choice, chosen=chosen)

    def _learn_from(self, generation: Generation) -> None:
        """Lines that were there before our time may tell the format, too."""
        if self._scanner.wants_former:
            with suppress(OSError):
                self._scanner.learn(generation.former(WAITING), generation)

    def _is_late(self, generation: Generation) -> bool:
        if self._before is not None and generation.reached_at <= self._before:
            self._late.add(generation)
        return generation in self._late

    def _leave_out(self, leaves_out: bool) -> None:
        """Whether the lines that come now are left out of windows."""
        if leaves_out != self.aggregator.leaves_out:
            self._scanner.settle()
            self._count(self._scanner.take())
            self.aggregator.leaves_out = leaves_out

    def _count(self, scanned: Scanned) -> None:
        self.aggregator.add(scanned)
        for reason, lines in scanned.rejects.items():
            self._unsaid[reason] = self._unsaid.get(reason, 0) + lines
        self._sample = self._sample or scanned.sample

    def _entry(
        self,
        sequence: int,
        now: int,
        at: int,
        counts: Mapping[Key, Counts],
        rejects: Mapping[str, int],
        beside: Beside,
        latencies: Mapping[LatencyKey, Latency],
        changes: Changes,
    ) -> Entry:
        return Entry(
            log=self.config.name,
            path=self.config.path,
            sequence=sequence,
            started=self.aggregator.started,
            ended=self._ended,
            at=at - (now - self._ended),
            counts=counts,
            rejects=rejects,
            beside=beside,
            format=self._scanner.chosen,
            was=self.config.was,
            latencies=latencies,
            **changes._asdict(),
        )

    def _look_at_mount(self) -> None:
        """A log that is a mount of its own is left behind by the first rotation outside, and nothing that is
        seen from here changes then: so it is said when the log is found, once for a configuration."""
        if not self._mount_is_said and self._files.is_mounted_alone(self.config.path):
            self._mount_is_said = True
            text = f"{show_path(self.config.path)} is {MOUNTED_ALONE}"
            self._notify(Notice(kinds.MOUNTED_ALONE, text, self.config.name))

    def _say_choice(self, name: str, reason: str, *, anew: bool, left: int = 0) -> None:
        text = f"{show_path(self.config.path)} is read in the format {name}"
        if anew and self._reading:
            place = f"byte {self._reading.offset - left} of {show_path(self._reading.name)}"
            text += f" from {place} on, since most lines before were rejected"
        self._notify(Notice(kinds.FORMAT_CHOSEN, f"{text}: {reason}", self.config.name))

    def _say_unfit(self, now: int) -> None:
        reason = self._scanner.why_unfit
        if reason and self._line_read_at == now and self._unfit_said.allows(now):
            name = " ".join(" or ".join(self.config.format.texts).split())
            text = f"no recent line of {show_path(self.config.path)} counts in the format {name}: {reason}"
            text += "; qps-reporter explain shows how a line is understood, format = sets another format"
            self._notify(Notice(kinds.FORMAT_UNFIT, text, self.config.name))

    def _say_folds(self) -> None:
        """Say what folds from now on, since rows are short: each once."""
        for reason, text in _FOLDS.items():
            if self.aggregator.folded[reason] and reason not in self._folds_said:
                self._folds_said.add(reason)
                path = show_path(self.config.path)
                text = f"{path} has {len(self.aggregator.totals)} rows, and few of max_rows are left: {text}"
                self._notify(Notice(kinds.ROWS_SHORT, text, self.config.name))
        if self.aggregator.has_coarse_bins and _COARSE not in self._folds_said:
            self._folds_said.add(_COARSE)
            text = f"few bins for durations are left: further ones of {show_path(self.config.path)} {_COARSE}"
            self._notify(Notice(kinds.ROWS_SHORT, text, self.config.name))

    def _say_rejects(self, now: int) -> None:
        if not (self._scanner.has_rejected or self._unsaid) or not self._rejects_said.allows(now):
            return
        self._count(self._scanner.take())
        reasons = ", ".join(f"{reason} {lines}" for reason, lines in sorted(self._unsaid.items()))
        text = f"rejected {sum(self._unsaid.values())} lines of {show_path(self.config.path)} ({reasons})"
        if self._sample:
            text += f', for example ({self._sample.reason}): "{show(self._sample.line)}"'
        self._notify(Notice(kinds.REJECTED, text, self.config.name))
        self._unsaid, self._sample = {}, None


def _scan_options(config: LogConfig) -> ScanOptions:
    return ScanOptions(config.format, config.max_line, config.keep_query, keep_host=config.keep_host)


def _limits(config: LogConfig) -> FollowLimits:
    may_have_directives = config.format.is_w3c or config.format.is_auto
    before = fields_before if may_have_directives else None
    ignored = ALL_IGNORED_LIMIT // max(1, len(config.logs))
    return FollowLimits(
        config.max_line, config.open_generations, config.quiet, before, config.retired, ignored
    )
