"""The subcommands: one module each, with HELP, EPILOG, `add_arguments` and `run`."""

import argparse
import sys

from qps_service.configuration.loader import DEFAULT_FILE, Flags
from qps_service.configuration.settings import BY_KEY, LOG, SERVICE
from qps_service.errors import FormatError, UsageError
from qps_service.formats.presets import AUTO, LogFormat, as_list, compile_format
from qps_service.service.process import discard_stdout

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
