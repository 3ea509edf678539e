"""`qps-reporter run`: follow logs and report, in the foreground or under systemd."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial

from qps_service.commands import add_configuration, add_output, flags_of
from qps_service.configuration.loader import load
from qps_service.configuration.types import Config
from qps_service.errors import UsageError
from qps_service.reporting.text import text_lines
from qps_service.service.assembly import Host, assembled, standard_streams
from qps_service.service.own_files import STREAMS, apart
from qps_service.values.reports import Report

EPILOG = """\
examples:
  qps-reporter run access.log                     report every 10 seconds what is appended from now on
  qps-reporter run access.log --interval 1s --format combined
  qps-reporter run --config /etc/qps-reporter/qps-reporter.toml
  qps-reporter run access.log --state DIR --once  what came since the last time, for cron and timers
  qps-reporter run access.log --json | jq .rate
  docker logs -f -n 0 web | qps-reporter run -    standard input; a FIFO is named by its path

With a state directory, counts and places are kept in DIR/ledger.db, and the next run goes on there:
nothing is lost or counted twice, however this one ends. Without one they live in memory.

Ends with a last report on Ctrl-C or SIGTERM, or where standard input ends; a second signal ends it at
once. SIGHUP re-reads the configuration. Each flag can also be given as an environment variable (--interval
as QPS_REPORTER_INTERVAL, LOG as QPS_REPORTER_LOG); the flag wins over the variable, the variable over the
file. Without LOG and --config, /etc/qps-reporter/qps-reporter.toml is read.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    add_configuration(parser)
    parser.add_argument(
        "--once",
        action="store_true",
        help="read from where the ledger ends to the end of the log, report, exit; needs --state",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="the same as --output json",
    )
    add_output(parser, "reports on stdout as text, as JSON, an object a line, or as CSV, a line for each row")


def _renderer(arguments: argparse.Namespace) -> Callable[[Report], Iterable[str]]:
    if arguments.json or arguments.output == "json":
        from qps_service.outputs.json_lines import json_pieces

        return json_pieces
    if arguments.output == "csv":
        from qps_service.outputs.csv_rows import CsvRows

        return CsvRows()
    return partial(text_lines, shows_latency=True) if sys.stdout.isatty() else text_lines


def run(arguments: argparse.Namespace) -> int:
    """Follow until told to stop; the exit status."""
    host = Host.take_over(os.environ)
    flags = flags_of(arguments)

    def configured() -> Config:
        return apart(load(flags, os.environ), tuple(STREAMS))

    config = configured()
    if arguments.once and not config.state:
        raise UsageError("--once goes on where the ledger ends: name a directory for it with --state")
    told = standard_streams(
        *(host, _renderer(arguments)),
        once=arguments.once,
        wants_stdout=arguments.json or arguments.output != "table",  # JSON in the journal is a wish
    )
    with assembled(config, host, told, reload=configured, once=arguments.once) as daemon:
        return daemon.run(once=arguments.once)
