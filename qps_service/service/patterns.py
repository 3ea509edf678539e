"""The logs that a `path` with wildcards stands for: one for each file that matches.

Promises: what is created under a matching name is a log, whatever it is called, and is counted from its
beginning; what a followed log was renamed to is none, and neither is a copy of its text, a compressed file, a
link to a log, or what another table names. A log that vanished leaves once it was read to its end, and its
totals stay in the ledger; under its path it comes back with its name and its totals.

A name alone never decides: app-2.log may be a rotation of app.log, or another application's. Where nobody saw
it come, it is taken for a rotation only if it is of no later date than the first line of the log whose
rotation it would be, and as long as nobody writes to it.

`find` sees the disk as it is; `Patterns` remembers from one look to the next what came from where.
"""

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import NamedTuple, TypeVar

from qps_service.configuration.loader import together
from qps_service.configuration.path_patterns import PathPattern, free_name, name_of
from qps_service.configuration.toml_file import quoted
from qps_service.configuration.types import Config, LogConfig
from qps_service.files.dated_names import is_dated, with_fields
from qps_service.files.kernel import Files, Seen, explain
from qps_service.files.rotated_names import MARKS, is_compressed, siblings, stands_for, stem_of
from qps_service.following.hints import Appeared, Gone, Hint, Lost, Moved
from qps_service.following.watcher import Watcher, Watches
from qps_service.notices import kinds
from qps_service.notices.kinds import Notice, Notify
from qps_service.notices.throttle import Throttle
from qps_service.scanning.options import ScanOptions
from qps_service.scanning.scanner import make_scanner
from qps_service.service.pipeline import LogPipeline
from qps_service.text.escape import show_path
from qps_service.text.units import SECOND
from qps_service.values.counts import Scanned
from qps_service.values.entries import KnownLog

# Where no event tells of what came; and how long a file may lack a line that tells it from a copy.
LOOK_EVERY = 60 * SECOND  # nanoseconds
# How long a file may be empty that may be about to become a copy of a log.
EMPTY = 2 * SECOND  # nanoseconds
START = 1 << 16  # bytes of a log in which its first time is looked for
DIRECTORIES = 1024  # that one pattern looks into

RENAMED = "a log was renamed to it"
READ = "it is a file of the log {}"
SAME = "it is the same file as {}"
OLDER = "it was last written to before the first line of {}, and is named like a rotation of it"
UNTOLD = "it is named like a rotation of {}, and no line tells it from that yet"
TOO_MANY = "there are max_logs of them"
FIELDS = "its name has a field of strftime, and only a path of its own can stand for a file like that"


_Item = TypeVar("_Item")


class Match(NamedTuple):
    """A file whose path matches."""

    path: str
    seen: Seen
    table: LogConfig  # the one with the pattern


class _LeftOut(NamedTuple):
    """A match that is no log, as it was when that was found out."""

    key: tuple[int, int]  # device and inode
    modified: int  # st_mtime, nanoseconds
    size: int  # bytes
    reason: str
    # From which byte on it is ours, should somebody write to it: None where more than its name and its age
    # tells that it is a rotation.
    begun: int | None


class Chosen(NamedTuple):
    """What one look makes of the patterns."""

    logs: tuple[LogConfig, ...]
    left_out: Mapping[str, str]  # path -> why


def why_none(pattern: PathPattern, files: Files) -> str:
    """Why nothing matches: the first directory that can't be listed, if one can't."""
    for directory in sorted(find(pattern, files).directories):
        try:
            next(files.names(directory), None)
        except OSError as error:
            return f"{show_path(directory)}: {explain(error)}"
    return "no file matches"


class Finding(NamedTuple):
    """What a pattern finds."""

    files: dict[str, Seen]  # regular files that match, by path
    directories: set[str]  # that were looked into
    left_out: str | None  # the first directory that was one too many


def find(pattern: PathPattern, files: Files) -> Finding:
    """What matches; links lead on."""
    places, directories, left_out = [""], set(), None
    for component in pattern.components[:-1]:
        if not component.runs:
            places = [f"{place}/{component.text}" for place in places]
            continue
        directories.update(places)
        places = [
            f"{place}/{name}"
            for place in files.at_pace(places)
            for name in sorted(_listed(files.directories, place or "/"))
            if component.match(name) is not None
        ]
        left_out = left_out or next(iter(places[DIRECTORIES:]), None)
        places = places[:DIRECTORIES]
    found = {}
    last = pattern.components[-1]
    for place in places:
        directories.add(place)
        listed = _listed(files.names, place or "/") if last.runs else [[last.text]]
        names = (name for some in listed for name in some)
        for name in files.at_pace(sorted(name for name in names if last.match(name) is not None)):
            if not is_compressed(name):
                with suppress(OSError):
                    seen = files.stat(f"{place}/{name}")
                    if seen.regular:
                        found[f"{place}/{name}"] = seen
    return Finding(found, {place or "/" for place in directories}, left_out)


class Patterns:
    """The patterns of a configuration, from look to look."""

    def __init__(
        self,
        files: Files,
        watches: Watches | None,
        notify: Notify,
        known_logs: Callable[[], Mapping[str, KnownLog]] = dict,
    ) -> None:
        """`watches` are those of the process; `known_logs` tells what the ledger has."""
        self.files = files
        self.notify = notify
        self.known_logs = known_logs
        self._watcher = Watcher(watches)
        self.patterns: dict[str, PathPattern] = {}
        self.looked: set[str] = set()  # patterns that were looked for before
        self._directories: set[str] = set()
        self.renamed: set[str] = set()  # names that carry a file that was a log
        # Names of files that came since the last look -> the name that each came under.
        self.fresh: dict[str, str] = {}
        self._left_out: dict[str, _LeftOut] = {}  # by path
        self._by_key: dict[tuple[int, int], _LeftOut] = {}
        self.first_seen: dict[str, int] = {}  # nanoseconds; of what cannot be told yet
        self.told: dict[str, int] = {}  # likewise, of what could not be told before the last look
        self._listed = self._listed_before = 0  # nanoseconds; the last look, and the one before
        self._is_complete = False  # whether all is known that happened since the last look
        self._is_due = False
        self._is_chosen = False  # by a look, and not settled yet
        self._empty: set[str] = set()  # patterns that match nothing
        # Of patterns that match too many directories: the first that is not looked into, and why.
        self._beyond: dict[str, tuple[str, str]] = {}
        # Matches that were there before our time and were one log too many, by path: device and inode.
        self.passed_over: dict[str, tuple[int, int]] = {}
        self._advised: set[str] = set()  # patterns whose matches differ in a date
        self.is_starting = True  # whether what an earlier process followed is still to be looked up
        self._deferred: set[str] = set()  # patterns that the last look did not come to the end of
        self.too_many_said = False
        self._every = Throttle(LOOK_EVERY)

    def fileno(self) -> int | None:
        """What to poll for hints, if anything; the same as that of all logs."""
        return self._watcher.fileno() if self.patterns else None

    @property
    def has_hints(self) -> bool:
        """Whether hints wait that came with a log's: no poll tells of them."""
        return self._watcher.has_hints

    def waiting(self) -> str:
        """What is waited for, since nothing matches."""
        return "; ".join(f"waiting for a file that matches {show_path(each)}" for each in sorted(self._empty))

    def take_hints(self, followed: Collection[str]) -> bool:
        """Take in what the watcher has; whether any of it may make another log. `followed`: their paths."""
        if self.patterns:
            self._note(self._watcher.read(), followed)
        return self._is_due

    def is_due(self, now: int, followed: Collection[str]) -> bool:
        """Whether a look may find what the last one did not. What that found is followed first: in a reload,
        a look would find by the configuration before."""
        if not self.patterns or self._is_chosen:
            return False
        is_due = self.take_hints(followed) | self._every.allows(now)
        return is_due or bool(self.first_seen) or not self._is_complete or self._watcher.is_blind

    def came_after(self, path: str, looked: int, now: int) -> int:
        """Since when a match of the last look may be there, where the loop looked at `looked` before: what no
        hint told of came after the look before that one, and what could not be told was seen earlier."""
        looked = min(looked, self.told.get(path, looked))
        if not any(f"{path}/".startswith(f"{each}/") for each in self.fresh):
            with suppress(OSError):
                return min(looked, max(self._listed_before, now - _age(path, self.files)))
        return looked

    def look(self, config: Config, followed: Sequence[LogPipeline], now: int, at: int) -> Chosen:
        """The logs of a configuration whose patterns became what they match now, in its order. Those that are
        followed stay. `at` is `now` in Unix nanoseconds. Raises LedgerUnreadableError."""
        tables = [log for log in config.logs if log.is_pattern]
        self.patterns = {log.path: PathPattern(log.path) for log in tables}
        self._beyond = {path: each for path, each in self._beyond.items() if path in self.patterns}
        if not tables:
            self._is_due = False
            self._watcher.watch(())
            return Chosen(config.logs, {})
        self._listed_before, self._listed = self._listed, now
        paths = {pipeline.config.path for pipeline in followed}
        self._note(self._watcher.watch(self._directories), paths)
        self._note(self._watcher.read(), paths)
        self._is_due = False
        found, directories = self._find(config, tables)
        while not directories <= self._directories:  # what came there before the watch stood
            self._directories = directories
            self._note(self._watcher.watch(directories), paths)
            found, directories = self._find(config, tables)
        is_complete, self._is_complete = self._is_complete, True
        self._note(self._watcher.read(), paths)
        self.told.clear()
        look = _Look(self, config, followed, found, now, at, is_complete=is_complete)
        logs, left_out = look.choose()
        chosen = Chosen(logs, {**left_out, **dict(self._beyond.values())})
        self._deferred = look.deferred
        beside = {table.path for table in tables if self.named(table.path, config)}
        self._say_empty(tables, {log.of for log in chosen.logs} | self._deferred | beside)
        self._advise(tables, chosen.logs)
        self._is_chosen = True
        return chosen

    def named(self, pattern: str, config: Config) -> list[str]:
        """The paths that match and have tables of their own, whether these logs are there or not."""
        logs = (log.path for log in config.logs if not log.is_pattern)
        return [path for path in logs if self.patterns[pattern].match(path) is not None]

    def settle(self, *, done: bool) -> bool:
        """What the last look chose is followed, or could not be: then it is chosen again. Whether another
        look is due at once."""
        self._is_chosen = False
        if done:
            waiting = {path: origin for path, origin in self.fresh.items() if origin in self.first_seen}
            self.fresh = waiting
        self._is_due = self._is_due or not done or bool(self._deferred)
        if done:
            self.looked = self.patterns.keys() - self._deferred
            self.is_starting &= bool(self._deferred)
        return bool(self._deferred)

    def left_out(self, path: str, seen: Seen) -> "_LeftOut | None":
        """What was found out of a file that was left out, be it under another name."""
        here, known = self._left_out.get(path), self._by_key.get(seen.key)
        if here and here.key == seen.key:
            return here
        return known if known and (known.modified, known.size) == (seen.modified, seen.size) else None

    def keep(self, left_out: Mapping[str, "_LeftOut"]) -> None:
        """Remember what is left out."""
        self._left_out = dict(left_out)
        self._by_key = {each.key: each for each in left_out.values()}

    def _say_empty(self, tables: Iterable[LogConfig], found: Collection[str | None]) -> None:
        """Say once which patterns match nothing."""
        empty = {table.path: table.name for table in tables if table.path not in found}
        for path in empty.keys() - self._empty:
            why = why_none(self.patterns[path], self.files)
            text = f"waiting for a file that matches {show_path(path)}: {why}"
            self.notify(Notice(kinds.WAITING, text, empty[path]))
        self._empty = set(empty)

    def _advise(self, tables: Iterable[LogConfig], logs: Iterable[LogConfig]) -> None:
        """Say once of which patterns the matches differ in a date alone."""
        for table in tables:
            mine = (log.path for log in logs if log.of == table.path)
            if table.path not in self._advised and (advice := advice_for(table.path, mine)):
                self._advised.add(table.path)
                self.notify(Notice(kinds.DATES_APART, advice, table.name))

    def close(self) -> None:
        """Watch nothing any longer."""
        self._watcher.close()

    def _find(self, config: Config, tables: Iterable[LogConfig]) -> tuple[list[Match], set[str]]:
        """All matches but those that another table names; of several patterns the first one has them."""
        named = {log.path for log in config.logs if not log.is_pattern}
        dates = [path for path in named if is_dated(path)]
        matches: dict[str, Match] = {}
        directories: set[str] = set()
        for table in tables:
            found = find(self.patterns[table.path], self.files)
            directories |= found.directories
            self._say_what_is_beyond(table, found.left_out)
            for path, seen in found.files.items():
                if path not in named and not any(stands_for(each, path) for each in dates):
                    matches.setdefault(path, Match(path, seen, table))
        return list(matches.values()), directories

    def _say_what_is_beyond(self, table: LogConfig, directory: str | None) -> None:
        """Say once that there are too many directories."""
        if directory is None:
            self._beyond.pop(table.path, None)
            return
        why = f"{show_path(table.path)} matches more than {DIRECTORIES:,} directories"
        if table.path not in self._beyond:
            text = f"{show_path(directory)} is not looked into: {why}"
            self.notify(Notice(kinds.TOO_MANY_LOGS, text, table.name))
        self._beyond[table.path] = (directory, why)

    def _note(self, hints: Iterable[Hint], followed: Collection[str]) -> None:
        """Follow where names went."""
        for hint in hints:
            if isinstance(hint, Lost):
                self._is_complete, self._is_due = False, True
                self.renamed.clear()  # its log knows such a file
                self.fresh.clear()
                continue
            if isinstance(hint, Moved):
                was_log = (
                    hint.source in self.renamed or hint.source in followed or hint.source in self._left_out
                )
                self.renamed.discard(hint.source)
                left, came = hint.source, hint.target
            else:
                was_log, left, came = False, "", hint.path
                if isinstance(hint, Gone):
                    left, came = hint.path, ""
            if came and was_log and came not in followed:
                self.renamed.add(came)
            else:
                self.renamed.discard(came or left)
            if left in self.fresh:
                origin = self.fresh.pop(left)
                if came:  # it was rotated before anybody looked at it
                    self.fresh[came], was_log = origin, True
                    self.renamed.add(came)
            elif came and not was_log and came not in followed and self._may_match(came):
                self.fresh[came] = came
            for path in (left, came):
                self.first_seen.pop(path, None)
                self._left_out.pop(path, None)
            is_news = isinstance(hint, Appeared | Moved) and not was_log and came not in followed
            self._is_due |= is_news and self._may_match(came)

    def _may_match(self, path: str) -> bool:
        """Whether a file there, or one below a directory there, could be a match."""
        names = path.split("/")[1:]
        return not is_compressed(path) and any(
            len(names) <= len(pattern.components)
            and all(
                part.match(name) is not None for part, name in zip(pattern.components, names, strict=False)
            )
            for pattern in self.patterns.values()
        )


class _Look:
    """What one look makes of the matches that it found."""

    def __init__(
        self,
        patterns: Patterns,
        config: Config,
        followed: Sequence[LogPipeline],
        found: Sequence[Match],
        now: int,
        at: int,
        *,
        is_complete: bool,
    ) -> None:
        self._patterns = patterns
        self._files = patterns.files
        self._config = config
        self._found = found
        self._now, self._at = now, at
        self._is_complete = is_complete
        self._pipelines = {pipeline.config.path: pipeline for pipeline in followed}
        self._known = patterns.known_logs()
        self._names = {known.path: name for name, known in self._known.items()}
        self._left_out: dict[str, str] = {}
        self._begun: dict[str, int] = {}
        self._passed_over: dict[str, tuple[int, int]] = {}
        self.deferred: set[str] = set()  # patterns of which there are more matches
        self._older: dict[str, int | None] = {}  # path -> from where on it would be ours
        self._by_key: dict[tuple[int, int], str] = {}  # device and inode -> the log there
        self._by_inode: dict[int, list[LogPipeline]] = {}  # who has, or read, a file of that number
        self._origins: Mapping[str, Sequence[LogConfig]] = {}
        self._first_times: dict[str, int | None] = {}

    def choose(self) -> Chosen:
        """The logs."""
        fixed = [log for log in self._config.logs if not log.is_pattern]
        tables = {log.path: log for log in self._config.logs if log.is_pattern}
        taken = self._followed(fixed, tables)
        news = [match for match in self._found if match.path not in taken]
        kept = [match for match in news if self._is_kept(match)]
        here = {*taken, *(match.path for match in self._found), *(log.path for log in fixed)}
        kept += self._vanished(list(tables.values()), here)
        paths = {match.path for match in kept}
        others = [match for match in news if match.path not in paths]
        order = {match.path: self._order(match) for match in self._files.at_pace(others)}
        others.sort(key=lambda match: order[match.path])
        logs = [*fixed, *taken.values(), *(match.table._replace(path=match.path) for match in kept)]
        for log in logs:
            with suppress(OSError):
                self._by_key[self._files.stat(log.path).key] = log.path
        # Whether a file is one of theirs is known only when they are followed.
        self.deferred = {match.table.path for match in kept} - self._patterns.looked
        others = [match for match in others if match.table.path not in self.deferred]
        for pipeline in self._pipelines.values() if others else ():
            for inode in pipeline.inodes():
                self._by_inode.setdefault(inode, []).append(pipeline)
        self._origins = self._named_after(logs, others)
        others = [match for match in self._files.at_pace(others) if not self._leave_out(match)]
        self._take_in([*kept, *others], taken, {log.name for log in fixed})
        self._remember()
        logs = []
        for log in self._config.logs:
            mine = (each for _, each in sorted(taken.items()) if each.of == log.path)
            logs += mine if log.is_pattern else [log]
        shared = together(logs, self._config.max_rows, self._config.history.max_size)
        return Chosen(shared, self._left_out)

    def _followed(
        self, fixed: Collection[LogConfig], tables: Mapping[str, LogConfig]
    ) -> dict[str, LogConfig]:
        """By path, the logs of these patterns that are followed, and that no table of its own names."""
        taken = {}
        for path, pipeline in self._pipelines.items():
            table = tables.get(pipeline.config.of or "")
            if table and all(pipeline.config.name != log.name and path != log.path for log in fixed):
                taken[path] = self._made(table, pipeline.config.name, path, start=pipeline.config.start)
        return taken

    def _take_in(self, matches: Iterable[Match], taken: dict[str, LogConfig], fixed: set[str]) -> None:
        """Name them, and add them to those that are taken, as many as there may be. `fixed`: the names that
        tables have which are no patterns'."""
        names = fixed | {log.name for log in taken.values()}
        # Others have names that are to go on with what the ledger has of them.
        reserved = names | {name for name, known in self._known.items() if self._is_ours(known.path)}
        made = reserved - fixed
        for match in self._files.at_pace(matches):
            name = self._names.get(match.path)
            is_known = name is not None and name not in names
            if (not is_known or name not in made) and len(made) >= self._config.max_logs:
                self._left_out[match.path] = TOO_MANY
                if not self._starts(match):
                    self._passed_over[match.path] = match.seen.key
                continue
            if name is None or not is_known:
                stands = self._patterns.patterns[match.table.path].match(match.path) or ()
                wanted = name_of(stands, match.table.naming)
                name = free_name(wanted, match.table.name, names | reserved)
            made.add(name)
            names.add(name)
            log = self._made(match.table, name, match.path, start=self._starts(match))
            former = (path for path, origin in self._patterns.fresh.items() if origin == match.path != path)
            taken[match.path] = log._replace(begun=self._begun.get(match.path), former=tuple(former))

    def _made(self, table: LogConfig, name: str, path: str, *, start: bool) -> LogConfig:
        return table._replace(name=name, path=path, start=start, is_pattern=False, of=table.path)

    def _is_ours(self, path: str) -> bool:
        return any(pattern.match(path) is not None for pattern in self._patterns.patterns.values())

    def _is_of(self, table: LogConfig, path: str) -> bool:
        return self._patterns.patterns[table.path].match(path) is not None

    def _is_kept(self, match: Match) -> bool:
        """Whether the ledger has it as a log."""
        return match.path in self._names and match.path not in self._patterns.renamed

    def _vanished(self, tables: Sequence[LogConfig], present: Collection[str]) -> Iterator[Match]:
        """Logs that an earlier process left open, and that are not there: the rest of them is to be read.
        Each is of the first pattern, as one that is there."""
        for known in self._known.values():
            if known.is_open and known.path not in present:
                table = next((each for each in tables if self._is_of(each, known.path)), None)
                if table and table.path not in self._patterns.looked:
                    yield Match(known.path, _NOTHING, table)

    def _order(self, match: Match) -> tuple[bool, int, str]:
        """Of two names of one file the first one is the log."""
        is_link = True
        with suppress(OSError):
            is_link = self._files.lstat(match.path).key != match.seen.key
        return is_link, len(match.path), match.path

    def _leave_out(self, match: Match) -> bool:
        """Whether a file is no log; why, is noted."""
        reason = self._reason(match)
        if reason is not None:
            self._left_out[match.path] = reason
        return reason is not None

    def _reason(self, match: Match) -> str | None:
        path, seen, table = match
        if is_dated(path):
            return FIELDS
        other = self._by_key.setdefault(seen.key, path)
        if other != path:
            return SAME.format(show_path(other))
        former = self._patterns.left_out(path, seen)
        if former and self._is_settled(match):
            self._older[path] = former.begun
            return former.reason
        if former and former.begun is not None:
            self._begun[path] = former.begun  # somebody writes to it: it was never a rotation
            return None
        if path in self._patterns.renamed:
            return RENAMED
        for pipeline in self._may_have(seen):
            if pipeline.has_file(path, seen, by_text=False):
                return READ.format(pipeline.config.name)
        is_news = self._is_complete and table.path in self._patterns.looked
        for origin in self._origins.get(path, ()):
            if not is_news and self._is_before(seen, origin):
                self._older[path] = 0 if table.path in self._patterns.looked or table.start else seen.size
                return OLDER.format(show_path(origin.path))
            log = self._pipelines.get(origin.path)
            may_be_copy = is_news or path in self._patterns.first_seen
            if log and may_be_copy and (reason := self._by_text(match, log)):
                return reason
        if since := self._patterns.first_seen.pop(path, None):
            self._patterns.told[path] = since
        return None

    def _may_have(self, seen: Seen) -> Iterable[LogPipeline]:
        """Of hundreds, those that have to be asked whether a file is theirs."""
        return self._by_inode.get(seen.inode, ())

    def _by_text(self, match: Match, pipeline: LogPipeline) -> str | None:
        """Why a file that was created is no log, or none yet: it may be a copy that is being made."""
        since = self._patterns.first_seen.setdefault(match.path, self._now)
        is_kin = pipeline.has_file(match.path, match.seen, by_text=True)
        if is_kin:
            self._patterns.first_seen.pop(match.path)
            return READ.format(pipeline.config.name)
        waits = EMPTY if match.seen.size == 0 else LOOK_EVERY
        if is_kin is None and self._now - since < waits:
            return UNTOLD.format(pipeline.config.name)
        return None

    def _named_after(self, logs: Iterable[LogConfig], others: Iterable[Match]) -> dict[str, list[LogConfig]]:
        """Of each match that is named like a rotation, and was not looked at before, which log it would be
        one of. There may be thousands, and hundreds of logs: names that begin alike stand side by side."""
        news = [match for match in others if not self._is_settled(match)]
        names: dict[str, list[str]] = {}
        for match in news:
            directory, name = os.path.split(match.path)
            names.setdefault(directory, []).append(name)
        names = {directory: sorted(each) for directory, each in names.items()}
        found: dict[str, list[LogConfig]] = {}
        for log in (*logs, *(match.table._replace(path=match.path) for match in news)):
            directory, base = os.path.split(log.path)
            here, stem = names.get(directory, []), stem_of(base)
            alike = [name for mark in MARKS for name in _beginning(f"{stem}{mark}", here)]
            if alike not in ([], [base]):
                for name in siblings(base, alike):
                    found.setdefault(os.path.join(directory, name), []).append(log)
        return found

    def _is_settled(self, match: Match) -> bool:
        """Whether it was left out, and nobody wrote to it since."""
        former = self._patterns.left_out(match.path, match.seen)
        return former is not None and (former.modified, former.size) == (match.seen.modified, match.seen.size)

    def _is_before(self, seen: Seen, log: LogConfig) -> bool:
        """Whether a file was written to last before a log began. Lines have whole seconds."""
        if log.path not in self._first_times:
            self._first_times[log.path] = first_time(self._files, log.path, log)
        first = self._first_times[log.path]
        return first is not None and seen.modified // SECOND <= first

    def _starts(self, match: Match) -> bool:
        """Whether it counts from its beginning: whatever came in our time."""
        if match.table.path in self._patterns.looked:
            return self._patterns.passed_over.get(match.path) != match.seen.key
        mine = self._patterns.patterns[match.table.path]
        commits = [known.at for known in self._known.values() if mine.match(known.path) is not None]
        if match.table.start or not commits or not self._patterns.is_starting:
            return match.table.start
        with suppress(OSError):
            return _age(match.path, self._files) <= self._at - max(commits)
        return False

    def _remember(self) -> None:
        """What was left out is a log as soon as somebody writes to it; say that there are too many."""
        patterns = self._patterns
        seen = {match.path: match.seen for match in self._found}
        patterns.keep(
            {
                path: _LeftOut(
                    seen[path].key, seen[path].modified, seen[path].size, reason, self._older.get(path)
                )
                for path, reason in self._left_out.items()
                if reason != TOO_MANY and path not in patterns.first_seen
            }
        )
        patterns.passed_over = self._passed_over
        patterns.first_seen = {path: at for path, at in patterns.first_seen.items() if path in seen}
        too_many = [path for path, reason in self._left_out.items() if reason == TOO_MANY]
        if too_many and not patterns.too_many_said:
            text = f"{show_path(too_many[0])} is not followed: {self._config.max_logs} logs (max_logs) were"
            text += " made by patterns, with those that the ledger has"
            patterns.notify(Notice(kinds.TOO_MANY_LOGS, text))
        patterns.too_many_said = bool(too_many)


def advice_for(pattern: str, matches: Iterable[str]) -> str | None:
    """What to say where matches differ in a date alone, as the files of one log do."""
    number = Counter(with_fields(path) for path in matches)
    for path, count in sorted(number.items()):
        if count > 1 and is_dated(path):
            text = f"{count} matches of {show_path(pattern)} differ in a date alone, and are a log each"
            return f"{text}: for one log of them all, write path = {quoted(path)}"
    return None


def _age(path: str, files: Files) -> int:
    """How long ago a file was created, in nanoseconds. Raises OSError."""
    descriptor = files.open(path)
    try:
        return files.age(descriptor)
    finally:
        files.close(descriptor)


def first_time(files: Files, path: str, log: LogConfig) -> int | None:
    """When a log begins: the time of its first line that has one, and else when its file was created; of an
    empty one, when that was made so. Unix seconds; None if it can't be read."""
    try:
        descriptor = files.open(path)
    except OSError:
        return None
    try:
        start, seen = files.read(descriptor, START, 0), files.fstat(descriptor)
        born = files.birth(descriptor)
    except OSError:
        return None
    finally:
        files.close(descriptor)
    if not start:
        return seen.modified // SECOND
    lines = start[: start.rfind(b"\n") + 1]
    log_format = log.format
    if log_format.is_auto:
        from qps_service.formats.detection import choose  # most have a format, or no pattern

        log_format = choose(lines.split(b"\n")[:-1]).format or log_format
    if not log_format.is_auto and any("time" in each.roles for each in log_format.listed):
        scanner = make_scanner(ScanOptions(log_format, log.max_line, span=1), _none_to_spill)
        scanner.scan(lines)
        if times := [time for time in scanner.take().times if time is not None]:
            return min(times)
    return None if born is None else born // SECOND


def _none_to_spill(scanned: Scanned) -> None:
    """The beginning of a log is not too much to keep."""


def _beginning(stem: str, names: Sequence[str]) -> Iterator[str]:
    """Those of sorted names that begin so."""
    behind = range(bisect_left(names, stem), len(names))
    return takewhile(partial(_begins, stem), map(names.__getitem__, behind))


def _begins(stem: str, name: str) -> bool:
    return name.startswith(stem)


def _listed(names: Callable[[str], Iterable[_Item]], directory: str) -> Iterator[_Item]:
    with suppress(OSError):
        yield from names(directory)


_NOTHING = Seen(0, 0, 0, 0, 0, True, "", 0, 0)
