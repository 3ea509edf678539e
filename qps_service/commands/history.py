"""`qps-reporter history`: what was counted when, from the ledger."""

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, tzinfo
from functools import partial

from qps_service.commands import add_selection, answer, selection_of
from qps_service.commands.reading import add_state, reading
from qps_service.errors import EXIT_OK, EXIT_PROBLEM, UsageError
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.queries import past
from qps_service.looking.moments import HOUR, STEPS, days_before, span_before, spell, step_for
from qps_service.looking.rendering import (
    NO_LATENCY_SO,
    begins,
    ends,
    render_csv,
    render_json,
    render_table,
    visible,
)
from qps_service.looking.table import SORTS, Table, table_of
from qps_service.reporting.selection import Selection
from qps_service.values.counts import Key
from qps_service.values.past import NAMES, QUANTILES, Question

EPILOG = """\
examples:
  qps-reporter history                                  the last hour by minute
  qps-reporter history --route /checkout -S 14:05 -U 14:06
  qps-reporter history --status 5xx -S today --by 1h
  qps-reporter history -S -30min --by route --sort errors --top 10
  qps-reporter history -S today --by route --compare 7d --sort change
  qps-reporter history -S yesterday -U today --events --output json

Reads only, and may run while the service runs, after it was stopped and after it was killed. Errors are 5xx;
seconds are those that really passed, and rates are by them. A window is in the minute, hour or day in which
it ends. What is kept by the minute or hour is shown so. Exits 0 if there is an answer, 1 if there is nothing
in the span, or nothing that fits, or the ledger can't be read, 2 if the command line is wrong.
"""

NO_DURATIONS = "in this span the log tells no durations: rows are sorted by rate"
COMPARED = {"1d": 1, "7d": 7}  # days


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    add = parser.add_argument
    add_state(parser)
    add_selection(parser)
    add(
        "--by", choices=("auto", *STEPS, *NAMES), default="auto",
        help="a row for each step of time, route, status or method (default: a step that suits the span)",
    )  # fmt: skip
    add("--sort", choices=tuple(SORTS), help="which rows come first (default: by time, or by rate)")
    add("--top", metavar="N", type=_positive, help="only the first N rows (default: all)")
    add("--compare", choices=tuple(COMPARED), help="the rates beside those of a day or a week earlier")
    add(
        "--events", action="store_true",
        help="starts, stops, rotations and the like of the span, too; as CSV, in place of the rows",
    )  # fmt: skip
    add(
        "--output", choices=("table", "json", "csv"), default="table", help="how to print it (default: table)"
    )
    add("--utc", action="store_true", help="show times in UTC (default: local time)")


def run(arguments: argparse.Namespace) -> int:
    """Print the answer; the exit status."""
    now = time.time_ns()
    selection = selection_of(arguments)
    place = UTC if arguments.utc else None
    until = min(now, arguments.until or now)
    since = until - HOUR if arguments.since is None else arguments.since
    if since >= until:
        raise UsageError(f"--since: expected a time before now, got {spell(since, place)}")
    by = arguments.by if arguments.by in NAMES else None
    step = STEPS.get(arguments.by) or STEPS[step_for(until - since)]
    question = Question(
        since, until, step, selection.takes_log, None if selection.is_all else selection.takes, by
    )
    question = question._replace(takes_latency=selection.takes_latency)
    if arguments.sort in QUANTILES and not question.has_latency:
        raise UsageError(f"--sort {arguments.sort}: {NO_LATENCY_SO}")
    if arguments.sort == "change" and not arguments.compare:
        raise UsageError("--sort change: expected --compare beside it")
    days = COMPARED.get(arguments.compare, 0)
    earlier = partial(days_before, days=days, place=place)
    with reading(arguments.state) as ledger, ledger.snapshot():
        found = past(ledger, question)
        begin, end = span_before(since, until, days, place)
        before = past(ledger, question._replace(since=begin, until=end)) if days else None
    table = table_of(
        *(found, step, place),
        by=by,
        sort=arguments.sort,
        top=arguments.top,
        before=before,
        earlier=earlier,
    )
    total = table.total
    is_answer = table.rows and total and (selection.is_all or total.tally.requests or total.before)
    if not (is_answer or (arguments.events and table.events)):
        with reading(arguments.state) as ledger, ledger.snapshot():
            why = _nothing(table, question, selection, ledger, place)
        sys.stderr.write(f"qps-reporter: {why}\n")
        return EXIT_PROBLEM
    answer(_rendered(table, arguments, place))
    if arguments.output == "table":
        said = (
            arguments.sort in QUANTILES and total and not total.tally.latency.bins and NO_DURATIONS,
            (days or arguments.since is not None) and begins(table, begin if days else since, place),
            ends(table, until, place),
        )
        answer("".join(f"{text}\n" for text in said if text))
    return EXIT_OK


def _rendered(table: Table, arguments: argparse.Namespace, place: tzinfo | None) -> str:
    if arguments.output == "json":
        return render_json(table, place, events=arguments.events)
    if arguments.output == "csv":
        return render_csv(table, place, events=arguments.events)
    return render_table(
        table,
        place,
        width=shutil.get_terminal_size().columns if sys.stdout.isatty() else None,
        ascii_only="utf" not in (sys.stdout.encoding or "").lower(),
        compared=arguments.compare,
        events=arguments.events,
    )


def _nothing(
    table: Table, question: Question, selection: Selection, ledger: Ledger, place: tzinfo | None
) -> str:
    """Why there is no answer: no history of the span, or nothing in it that fits."""
    span = f"between {spell(question.since, place)} and {spell(question.until, place)}"
    if table.total is None or selection.is_all:
        if table.begins is None or table.ends is None:
            return f"nothing {span}: there is no history"
        kept = f"history is from {spell(table.begins, place)} to {spell(table.ends, place)}"
        return f"nothing {span}: {kept}"

    def counted(takes: Callable[[Key], bool] | None) -> int:
        found = past(ledger, question._replace(takes=takes, by=None))
        return sum(period.tally.requests for period in found.periods)

    of_kinds = (
        ("--route", selection.routes, Selection(routes=selection.routes)),
        ("--status", [f"{each:x<3}" for each in selection.statuses], Selection(statuses=selection.statuses)),
        ("--method", selection.methods, Selection(methods=selection.methods)),
    )
    given = {
        " ".join(f"{option} {visible(each)}" for each in values): own
        for option, values, own in of_kinds
        if values
    }
    alone = [text for text, own in given.items() if not counted(own.takes)]
    return f"none of the {counted(None)} requests {span} fits {' '.join(alone or given)}"


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not int(text[:9]):
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, got {text!r}")
    return int(text)
