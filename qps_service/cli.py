"""The command line: a table of subcommands."""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

from qps_service import __version__
from qps_service.errors import EXIT_INTERRUPTED, EXIT_PROBLEM, QpsError
from qps_service.service.process import discard_stdout, hold_signals_back, prepare_streams

COMMANDS = (
    "run",
    "setup",
    "check",
    "explain",
    "top",
    "history",
    "status",
    "web",
    "audit",
    "summarize",
    "simulate",
)

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
        from qps_service.scanning.scanner import describe

        self.version = f"{parser.prog} {__version__} ({describe(os.environ)})"
        super().__call__(parser, namespace, values, option)


def make_parser(commands: Iterable[str] = COMMANDS) -> argparse.ArgumentParser:
    """The parser for these subcommands; the service imports no other than its own."""
    parser = argparse.ArgumentParser(
        prog="qps-reporter",
        description="Requests per second of a web service by route and status, read from its access log.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in commands:
        command = import_module(f"qps_service.commands.{name}")
        subparser = subparsers.add_parser(
            name,
            help=command.HELP,
            description=command.HELP[0].upper() + command.HELP[1:] + ".",
            epilog=command.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; the exit status. Without `argv` this is the process that was started for it: once
    all is answered no signal changes its status, and streams are as `prepare_streams` has them."""
    if argv is None:
        prepare_streams()
    try:
        status = _exit_status_of(sys.argv[1:] if argv is None else argv)
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


def _exit_status_of(argv: Sequence[str]) -> int:
    arguments = make_parser(argv[:1] if argv[:1] and argv[0] in COMMANDS else COMMANDS).parse_args(argv)
    status: int = arguments.run(arguments)
    return status


def _finish() -> None:
    """Print what the interpreter would at its end."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        discard_stdout()
    hold_signals_back()
