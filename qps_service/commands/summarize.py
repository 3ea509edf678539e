"""`qps-reporter summarize`: everything in whole logs, at once."""

import argparse
import os
import sys
from bisect import bisect_left
from collections.abc import Callable
from contextlib import closing
from functools import partial

from qps_service.commands import MAX_LINE, add_output, add_selection, answer, format_of, selection_of
from qps_service.commands.hosts import add_host
from qps_service.commands.progress import Progress, progress_on
from qps_service.configuration.settings import BY_KEY
from qps_service.counting.aggregator import Aggregator
from qps_service.counting.budget import Budget
from qps_service.counting.routes import COLLAPSES, Routes
from qps_service.counting.rows import ROUTE_ROWS
from qps_service.errors import EXIT_INTERRUPTED, EXIT_NOTHING, EXIT_OK, EXIT_PROBLEM, UsageError
from qps_service.files.whole import DamagedError, Whole
from qps_service.formats.presets import AUTO, LogFormat, compile_format
from qps_service.reporting.summary import RENDERERS, Summary
from qps_service.scanning.auto import LineCounter
from qps_service.scanning.by_span import Make, SpanScanner
from qps_service.scanning.options import ScanOptions
from qps_service.scanning.scanner import make_scanner
from qps_service.scanning.selecting import SelectingScanner, Wanted
from qps_service.service.process import interrupts_held_back
from qps_service.text.escape import show_path
from qps_service.text.units import SECOND, format_latency, parse_duration, parse_latency
from qps_service.values.counts import Scanned
from qps_service.values.latency import BOUNDS, NO_LATENCY, Latency
from qps_service.values.positions import Directives

EPILOG = """\
examples:
  qps-reporter summarize /var/log/nginx/access.log*            by method, route and status, all files together
  qps-reporter summarize access.log --format combined --by 1m  and requests per second, minute by minute
  zcat old.gz | qps-reporter summarize - --output json
  qps-reporter summarize access.log* --route '/api/*' --status 5xx -S -2h

Where lines tell how long requests took, a second table has p50, p95, p99 and the longest by route and class
of status, whatever the method. --slower counts those that took longer, exactly.

--log, --route, --status and --method choose requests; of several values of one of them one has to fit. A log
is called as its FILE is. --since and --until go by the times that lines tell: a request without a readable
time is left out. Lines that are no requests count as such whatever is chosen.

Files may be compressed by gzip, xz, bzip2 or zstd; `-` is standard input. Ctrl-C prints what was
counted by then. Exits 0 if every file was read to its end, 1 if not, 4 if it was but nothing counts: all
lines were rejected, or no request fits what was chosen; 130 after Ctrl-C.
"""

MAX_ROUTES = 100_000  # some 60 MB of routes; nobody reads on for longer
NUMBER_LIMIT = 10_000_000
SPAN_LIMIT = 366 * 86400 * SECOND


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="a log, or - for standard input")
    add("--format", metavar="FORMAT", action="append", help=f"{BY_KEY['format'].help} (default: {AUTO})")
    add(
        "--by", metavar="TIME", type=_span, default=0,
        help="requests per second over time too, in steps such as 10s, 1m or 1h; the format must have a time",
    )  # fmt: skip
    add_output(parser, "a table, one JSON object, or CSV: of routes, or of times with --by")
    add(
        "--slower", metavar="TIME", type=_threshold,
        help="also how many requests took longer than that, such as 250ms: a time of two digits",
    )  # fmt: skip
    add("--top", metavar="N", type=_whole, help="only the N rows with the most requests (default: all)")
    add(
        "--routes", metavar="N", type=_whole, default=MAX_ROUTES,
        help=f"routes that are told apart; further ones are counted as `other` (default: {MAX_ROUTES})",
    )  # fmt: skip
    add(
        "--collapse", action="append", choices=tuple(COLLAPSES), default=[],
        help="make one route of all that differ in such a part of the path; may be given several times",
    )  # fmt: skip
    add_host(add)
    add_selection(parser)


def run(arguments: argparse.Namespace) -> int:
    """Count, print; the exit status."""
    counting = _Counting(arguments)
    status = EXIT_OK
    with progress_on(sys.stderr) as progress:
        for path in counting.files:
            try:
                counting.count(path, progress)
            except (OSError, DamagedError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                sys.stderr.write(f"qps-reporter: {show_path(path)}: {reason}\n")
                status = EXIT_PROBLEM
            except KeyboardInterrupt:
                sys.stderr.write("qps-reporter: interrupted; this is what was counted by then\n")
                status = EXIT_INTERRUPTED
                break
    summary = counting.summary()
    answer(RENDERERS[arguments.output](summary))
    if arguments.output == "csv" and summary.rejects:  # there is no place for them in it
        reasons = ", ".join(f"{reason} {lines}" for reason, lines in sorted(summary.rejects.items()))
        sys.stderr.write(f"qps-reporter: rejected {summary.rejected} lines ({reasons})\n")
    if arguments.output == "csv" and (unmeasured := summary.beside.unmeasured):
        sys.stderr.write(f"qps-reporter: bytes unknown: {unmeasured} of {summary.requests} requests\n")
    if status == EXIT_OK and summary.rejected and not summary.requests and not counting.is_choosing:
        hint = "qps-reporter explain shows why, --format sets another"
        sys.stderr.write(f"qps-reporter: all {summary.rejected} lines were rejected: {hint}\n")
        return EXIT_NOTHING
    if status == EXIT_OK and counting.is_choosing and not summary.requests:
        sys.stderr.write("qps-reporter: no request fits what was chosen\n")
        return EXIT_NOTHING
    return status


class _Counting:
    """What was counted in all files so far."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._span: int = arguments.by
        self._top: int | None = arguments.top
        self._slower: int | None = arguments.slower
        keep = arguments.host == "keep"
        self._options = ScanOptions(format_of(arguments), MAX_LINE, span=self._span, keep_host=keep)
        routes = Routes(collapses=arguments.collapse, keep_host=keep)
        selection = selection_of(arguments)
        self.files = [path for path in arguments.files if selection.takes_log(os.path.basename(path))]
        if not self.files:
            raise UsageError("--log: expected a name or a pattern that a FILE has")
        takes = (
            None
            if selection.is_all
            else lambda key: selection.takes(key._replace(route=routes.of(key.route)))
        )
        self._wanted = Wanted(takes, *map(_second, (arguments.since, arguments.until)))
        if not self._options.log_format.is_auto:
            self._require_time(self._options.log_format)
        # All routes have room, and twice as many as are told apart by default.
        rows = Budget(2 * ROUTE_ROWS * max(arguments.routes, MAX_ROUTES))
        self._aggregator = Aggregator("", 0, arguments.routes, routes, share=rows.join())
        self._times: dict[int | None, list[int]] = {}
        self._latencies: dict[int | None, Latency] = {}

    def count(self, path: str, progress: Progress) -> None:
        """Count a file. Raises OSError, DamagedError and KeyboardInterrupt; what was read is counted then."""
        file = _File(path, self._require_time)
        lines = LineCounter(self._options, self._add, file.say_choice, make=self._make)
        with closing(Whole(path)) as whole:
            try:
                progress.begin(show_path(path), whole.size)
                for block in whole.blocks(MAX_LINE):
                    with interrupts_held_back():  # no block is counted by half
                        lines.scan(block.lines, file)
                        if block.oversize is not None:
                            lines.reject_oversize(block.oversize, file)
                    progress.reach(whole)
            finally:
                with interrupts_held_back():
                    lines.settle()
                    self._add(lines.take())
                    file.end(lines)

    @property
    def is_choosing(self) -> bool:
        """Whether not all requests are wanted."""
        return self._wanted.takes is not None or self._wanted.is_timed

    @property
    def _make(self) -> Make:
        make: Make = partial(SelectingScanner, wanted=self._wanted) if self.is_choosing else make_scanner
        return partial(SpanScanner, make=make, tell=self._add_span) if self._span else make

    def summary(self) -> Summary:
        """All of it."""
        self._aggregator.take()
        totals, rejects = self._aggregator.totals, self._aggregator.total_rejects
        beside = self._aggregator.total_beside
        latencies = self._aggregator.total_latencies
        return Summary(
            *(totals, rejects, self._times, self._span, self._top, beside),
            *(latencies, self._slower, self._latencies),
        )

    def _require_time(self, log_format: LogFormat) -> None:
        option = "--by" if self._span else "--since, --until"
        is_timed = self._span or self._wanted.is_timed
        if is_timed and not any("time" in each.roles for each in log_format.listed):
            raise UsageError(f"{option}: the format {' or '.join(log_format.texts)} has no time")

    def _add_span(self, begin: int | None, latency: Latency) -> None:
        """What was found of a span of time."""
        self._latencies[begin] = self._latencies.get(begin, NO_LATENCY).plus(latency)

    def _add(self, scanned: Scanned) -> None:
        self._aggregator.add(scanned)
        for begin, requests in scanned.times.items():
            before = self._times.get(begin, (0,) * len(requests))
            self._times[begin] = [a + b for a, b in zip(before, requests, strict=True)]


class _File:
    """One of the files: says in which format it is read, by its first lines or from a line on."""

    def __init__(self, path: str, require: Callable[[LogFormat], None]) -> None:
        """`require` refuses formats that do not do."""
        self._path = path
        self._require = require
        self.directives = Directives()
        self._lines = 0

    def counted(self, lines: int, _: int, directives: Directives) -> None:
        """So many of its next lines were counted."""
        self.directives = directives
        self._lines += lines

    def say_choice(self, name: str, reason: str, *, anew: bool, left: int = 0) -> None:  # noqa: ARG002
        """Its lines have this format."""
        self._require(compile_format(name))
        self._say(f"{f'from line {self._lines + 1} on: ' if anew else ''}format {name}: {reason}")

    def end(self, counter: LineCounter) -> None:
        """All of it was read."""
        if counter.why_none:
            self._say(f"no format was found: {counter.why_none}")
        elif counter.why_unfit:
            self._say(f"the last lines up to line {self._lines} do not count: {counter.why_unfit}")

    def _say(self, text: str) -> None:
        sys.stderr.write(f"qps-reporter: {show_path(self._path)}: {text}\n")


def _second(nanoseconds: int | None) -> int | None:
    """The first whole one, as lines tell them, that is not before."""
    return None if nanoseconds is None else -(-nanoseconds // SECOND)


def _span(text: str) -> int:
    try:
        nanoseconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, got {text!r}") from error
    if nanoseconds % SECOND or not SECOND <= nanoseconds <= SPAN_LIMIT:
        raise argparse.ArgumentTypeError(f"expected whole seconds, at most 366d, got {text!r}")
    return nanoseconds // SECOND


def _threshold(text: str) -> int:
    try:
        nanoseconds = parse_latency(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, got {text!r}") from error
    if nanoseconds not in BOUNDS:
        place = bisect_left(BOUNDS, nanoseconds)
        nearest = min(BOUNDS[max(place - 1, 0) : place + 1], key=lambda bound: abs(bound - nanoseconds))
        near = format_latency(nearest)
        raise argparse.ArgumentTypeError(
            f"expected a time of two digits from 1us to 1000s, the nearest is {near}, got {text!r}"
        )
    return nanoseconds


def _whole(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or not 1 <= int(text) <= NUMBER_LIMIT:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {NUMBER_LIMIT}, got {text!r}")
    return int(text)
