"""The command line: a table of subcommands."""

import argparse
import gc
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from qps_service import __version__
from qps_service.errors import EXIT_INTERRUPTED, EXIT_PROBLEM, QpsError
from qps_service.service.process import discard_stdout, hold_signals_back, prepare_streams

COMMANDS = {  # with the help of each, which so needs none of their modules
    "run": "follow a log and report its requests per second",
    "setup": "find the access logs of this machine's web servers, and name them in the configuration",
    "check": "say what is configured, and whether each log can be read and understood",
    "explain": "show how lines are understood, field by field, and what they count as",
    "top": "show on a terminal what each route answers now",
    "history": "show what was counted when, from the ledger",
    "status": "show on one screen whether the service counts, how many, and what went wrong",
    "web": "show a page with charts and tables to browsers, from the ledger",
    "audit": "check the ledger against itself and against the logs that still exist",
    "summarize": "count everything in whole logs, plain or compressed, at once",
    "simulate": "write a web server's log, with rotations, to try the service on",
}

EPILOG = """\
examples:
  qps-reporter simulate -o /tmp/access.log &
  qps-reporter run /tmp/access.log
  qps-reporter setup --write
  qps-reporter check --config /etc/qps-reporter/qps-reporter.toml
  qps-reporter explain '/help 200' --format '%U %>s'
  qps-reporter top
  qps-reporter history --route /checkout -S 14:05 -U 14:06
  qps-reporter status
  qps-reporter web
  qps-reporter audit --state /var/lib/qps-reporter
  qps-reporter summarize /var/log/nginx/access.log

What to do when something is wrong: OPERATIONS.md, which the package has in /usr/share/doc/qps-reporter.
"""

_COLUMNS = 80  # where nothing tells


# argparse's own, which shtab knows and so the completions.
class _Version(argparse._VersionAction):
    """Says the version and the scanner that is used, which is loaded only when somebody asks."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        """Print it, and exit."""
        from qps_service.scanning.built import describe

        self.version = f"{parser.prog} {__version__} ({describe(os.environ)})"
        super().__call__(parser, namespace, values, option)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal, which argparse asks shutil for, and that loads all compressions."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=columns() - 2)


def columns() -> int:
    """What `shutil.get_terminal_size` says."""
    with suppress(KeyError, ValueError):
        if (told := int(os.environ["COLUMNS"])) > 0:
            return told
    with suppress(OSError):  # it is no terminal
        return os.get_terminal_size().columns or _COLUMNS
    return _COLUMNS


def make_parser(commands: Iterable[str] = COMMANDS, *, has_arguments: bool = True) -> argparse.ArgumentParser:
    """The parser for these subcommands, of which each is imported for its arguments."""
    parser = argparse.ArgumentParser(
        prog="qps-reporter",
        description="Requests per second of a web service by route and status, read from its access log.",
        epilog=EPILOG,
        formatter_class=_Formatter,
    )
    parser.add_argument("--version", action=_Version)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in commands:
        told = COMMANDS[name]
        subparser = subparsers.add_parser(
            name,
            help=told,
            description=told[0].upper() + told[1:] + ".",
            formatter_class=_Formatter,
        )
        if has_arguments:
            command = import_module(f"qps_service.commands.{name}")
            subparser.epilog = command.EPILOG
            command.add_arguments(subparser)
            subparser.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; the exit status. Without `argv` this is the process that was started for it: once
    all is answered no signal changes its status, and streams are as `prepare_streams` has them."""
    if argv is None:
        prepare_streams()
        gc.disable()
    try:
        arguments = _parsed(sys.argv[1:] if argv is None else argv)
        if argv is None:
            # What was imported stays: looking for garbage in it would take 5 ms, each time.
            gc.freeze()
            gc.enable()
        status: int = arguments.run(arguments)
        if argv is None:
            _finish()
    except QpsError as error:
        for line in str(error).splitlines():
            print(f"qps-reporter: {line}", file=sys.stderr)  # noqa: T201  the user's answer
        return error.exit_code
    except OSError as error:
        print(f"qps-reporter: {error}", file=sys.stderr)  # noqa: T201  the user's answer
        return EXIT_PROBLEM
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return status


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    if argv and argv[0] in COMMANDS:
        parser = make_parser(argv[:1])
    else:  # the help, the version, or a mistake
        parser = make_parser(has_arguments=not COMMANDS.keys().isdisjoint(argv))
    return parser.parse_args(argv)


def _finish() -> None:
    """Print what the interpreter would at its end."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        discard_stdout()
    hold_signals_back()
