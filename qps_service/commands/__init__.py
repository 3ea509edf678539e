"""The subcommands: one module each, with EPILOG, `add_arguments` and `run`."""

import argparse
import re
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qps_service.configuration.loader import DEFAULT_FILE, Flags
from qps_service.configuration.settings import BY_KEY, LOG, SERVICE
from qps_service.errors import FormatError, UsageError
from qps_service.formats.presets import AUTO, LogFormat, as_list, compile_format
from qps_service.service.process import discard_stdout

if TYPE_CHECKING:
    from qps_service.reporting.selection import Selection

OUTPUTS = ("table", "json", "csv")
MAX_LINE: int = BY_KEY["max_line"].parse(BY_KEY["max_line"].default or "")  # bytes, without configuration


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what to follow and how, straight from the table of settings."""
    parser.add_argument(
        "log",
        nargs="?",
        metavar="LOG",
        help="the log to follow, or - for standard input (default: those of the configuration)",
    )
    parser.add_argument(
        "--config", metavar="FILE", help=f"configuration file (default, without LOG: {DEFAULT_FILE})"
    )
    parser.add_argument(
        "--name",
        metavar="NAME",
        help="the log's name in journal fields and reports (default: its table's, or made from the path)",
    )
    for setting in (*SERVICE, *LOG):
        if setting.flag:
            default = f" (default: {setting.default})" if setting.default else ""
            action = "append" if setting.join else "store"
            parser.add_argument(
                f"--{setting.key}", metavar=setting.metavar, help=setting.help + default, action=action
            )


def add_output(parser: argparse.ArgumentParser, what: str) -> None:
    """The argument that says in which form the answer is wanted."""
    parser.add_argument("--output", choices=OUTPUTS, default="table", help=f"{what} (default: table)")


def add_selection(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which requests are wanted: of which log, route, status and method, and when."""
    now = time.time_ns()

    def status(text: str) -> str:
        from qps_service.reporting.selection import parse_status

        return parse_status(text)

    def moment(text: str) -> int:
        from qps_service.text.times import parse_time

        return parse_time(text, now)

    add = parser.add_argument
    add(
        "--log",
        action="append",
        metavar="NAME",
        help="only of this log: its name, or a pattern such as shop*",
    )
    add("--route", action="append", metavar="ROUTE", help="only this route, or a pattern such as '/api/*'")
    add(
        "--status", action="append", metavar="STATUS", type=read_by(status),
        help="only this status, such as 404, or 5xx for all that begin so",
    )  # fmt: skip
    add("--method", action="append", metavar="METHOD", help="only this method")
    times = "-2h, 14:00, '2026-11-29 14:00', @1764424800, today, yesterday, as journalctl takes them"
    add("-S", "--since", metavar="TIME", type=read_by(moment), help=f"only from then on: {times}")
    add("-U", "--until", metavar="TIME", type=read_by(moment), help="only before then; TIME as for --since")
    # argparse takes what begins with a dash for an option, but for negative numbers: -2h is one of hours.
    parser._negative_number_matcher = re.compile(r"-\s*[0-9]")


def selection_of(arguments: argparse.Namespace) -> "Selection":
    """What `add_selection` was given, but for the times. Raises UsageError for times that leave nothing."""
    from qps_service.reporting.selection import Selection

    since, until = arguments.since, arguments.until
    if since is not None and until is not None and since >= until:
        raise UsageError("--since: expected a time before that of --until")
    given = (arguments.log, arguments.route, arguments.method, arguments.status)
    return Selection(*(tuple(each or ()) for each in given))


def read_by(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """For argparse, which says of a ValueError nothing but `invalid value`."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{error}, got {text!r}") from error

    return read


def flags_of(arguments: argparse.Namespace) -> Flags:
    """What the command line says about the configuration."""
    return Flags(**{key: getattr(arguments, key) for key in Flags._fields})


def answer(text: str) -> None:
    """Print it. Where nobody reads any longer, the exit status is told all the same."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_stdout()


def format_of(arguments: argparse.Namespace) -> LogFormat:
    """The format that `--format` gives, or several of it, for a subcommand without configuration; `auto` if
    none. Raises UsageError."""
    try:
        return as_list([compile_format(each) for each in arguments.format or [AUTO]])
    except (FormatError, ValueError) as error:
        raise UsageError(f"--format: {error}") from error


def one_line(text: str) -> str:
    """A format's text, however many lines it was spelled out on."""
    return " ".join(line.strip() for line in text.splitlines()).strip()
