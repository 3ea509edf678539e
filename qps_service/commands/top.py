"""`qps-reporter top`: what happens now, on a terminal or as text."""

import argparse
import locale
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from syslog import LOG_WARNING
from types import ModuleType

from qps_service.commands.reading import reading
from qps_service.configuration.loader import (
    CONFIG_VARIABLE,
    LOG_VARIABLE,
    NAME_VARIABLE,
    Flags,
    load,
    together,
)
from qps_service.configuration.path_patterns import PathPattern
from qps_service.configuration.settings import BY_KEY
from qps_service.configuration.types import Config, LogConfig
from qps_service.errors import EXIT_PROBLEM, QpsError
from qps_service.ledger.queries import past
from qps_service.looking.board import Board
from qps_service.looking.moments import DAY, spell
from qps_service.looking.order import SORTS
from qps_service.looking.recent import BIN, BINS, SPAN, Sample, samples_of
from qps_service.looking.view import View
from qps_service.notices.kinds import Notice
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import OutputClosed, TakesReports
from qps_service.service.assembly import Host, Told, assembled
from qps_service.service.own_files import STREAMS, apart
from qps_service.service.process import SystemClock, discard_stdout
from qps_service.service.state_directory import STATE
from qps_service.text.units import SECOND
from qps_service.values.past import Question
from qps_service.values.reports import Overview, Report

EPILOG = """\
examples:
  qps-reporter top                              the logs of the service's configuration
  qps-reporter top /var/log/nginx/access.log    any log, without service and ledger
  qps-reporter top shop --sort 5xx              the one that the configuration calls so
  docker logs -f -n 0 web 2>&1 | qps-reporter top -
  qps-reporter top --once | grep /checkout      text, of 10 seconds

Follows the logs itself, in memory, from now on; the service need not run, and is not disturbed. The minutes
before come from the ledger, if it can be read. Numbers are of the last 10 seconds. In the terminal ? shows
the keys, and q ends. Exits 0, or 1 if the configuration is wrong, 2 if the command line is wrong.
"""

# Between two looks, nanoseconds. Numbers are of 10 s in any case: a screen shows sooner what changes.
ON_SCREEN, AS_TEXT = SECOND, 10 * SECOND
# Nanoseconds that the ledger has to tell of the minutes before; without them the screen opens all the same.
PATIENCE = 2 * SECOND


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    add = parser.add_argument
    add(
        "logs", nargs="*", metavar="LOG",
        help="a log to follow, by its path or its name in the configuration; - for standard input "
        "(default: all of the configuration)",
    )  # fmt: skip
    add("--config", metavar="FILE", help="configuration file (default: as for run)")
    add("--format", metavar="FORMAT", action="append", help=f"of a LOG by its path: {BY_KEY['format'].help}")
    add(
        "--state", metavar="DIR",
        help=f"directory of the ledger, for the minutes before (default: the configuration's, or {STATE})",
    )  # fmt: skip
    add("--sort", choices=tuple(SORTS), default="rate", help="which rows come first (default: rate)")
    add("--filter", metavar="TEXT", default="", help="only routes with this text in them")
    add(
        "--interval", metavar="TIME", type=_interval,
        help="time between two looks, such as 1s (default: 1s, as text 10s)",
    )  # fmt: skip
    add("--once", action="store_true", help="print one table as text, and end")
    add("--plain", action="store_true", help="print tables as text, as is done without a terminal")
    add("--no-color", action="store_true", help="no colours; the variable NO_COLOR does the same")


def run(arguments: argparse.Namespace) -> int:
    """Show it until the end; the exit status."""
    host, clock = Host.alone(os.environ), SystemClock()
    config = _configured(arguments, os.environ)
    board = Board(View(by=arguments.sort, filter=arguments.filter), ascii_only=not _is_unicode())
    terminal = None if arguments.once or arguments.plain else _terminal()
    if terminal:
        config = _with_keyboard(config)
    _recall(board, config, arguments.state or config.state or STATE, clock)
    # What is there before counts nowhere; outputs and the ledger are the service's.
    config = config._replace(
        interval=arguments.interval or (ON_SCREEN if terminal else AS_TEXT),
        state=None,
        outputs=(),
        logs=tuple(log._replace(start=False) for log in config.logs),
    )
    colours = not (arguments.no_color or os.environ.get("NO_COLOR"))
    screen = terminal.Screen(board, clock, colours=colours) if terminal else None
    width = os.get_terminal_size(1).columns if sys.stdout.isatty() else None
    output = screen or Printer(board, width, once=arguments.once)
    is_deaf = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # under nohup

    def notify(notice: Notice) -> None:
        if notice.kind.priority <= LOG_WARNING:
            board.say(notice.text, clock.now())

    def hung_up() -> Config:
        """SIGHUP: nobody sees it any longer."""
        if is_deaf:
            return config
        raise OutputClosed

    with (
        assembled(config, host, Told(notify, [output]), reload=hung_up) as daemon,
        screen.opened() if screen else nullcontext(),
    ):
        return daemon.run()


class Printer(TakesReports):
    """All tables as text, each time; once, if nobody wants them again."""

    name = "stdout"

    def __init__(self, board: Board, width: int | None, *, once: bool) -> None:
        """`width` is that of the terminal, None for any."""
        self.trouble = Trouble(lambda _: None, "")
        self._board, self._width, self._once = board, width, once

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        """Print them. Raises OutputClosed."""
        self._board.take(reports, overview.logs, now)
        try:
            sys.stdout.write(f"{spell(time.time_ns(), None)}\n{self._board.text(self._width, now)}")
            sys.stdout.flush()
        except BrokenPipeError:
            discard_stdout()
            raise OutputClosed from None
        except OSError as error:  # nobody would see it: a full disk, say
            discard_stdout()
            sys.stderr.write(f"qps-reporter: {error}\n")
            raise OutputClosed(EXIT_PROBLEM) from error
        if self._once:
            raise OutputClosed


def _configured(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Config:
    """The configuration with the logs that are wanted. Raises ConfigError, UsageError."""
    flags = Flags(config=arguments.config)
    if not arguments.logs:
        return apart(load(flags, environment), tuple(STREAMS))
    others = {name: each for name, each in environment.items() if name not in (LOG_VARIABLE, NAME_VARIABLE)}
    config = None
    try:
        config = load(flags, others)
    except QpsError:
        if arguments.config:
            raise
    known = {key: log for log in (config.logs if config else ()) for key in (log.path, log.name)}
    others.pop(CONFIG_VARIABLE, None)
    found: dict[str, LogConfig] = {}
    for given in arguments.logs:
        log = known.get(given) or known.get(os.path.abspath(given))
        if log is None:
            own = load(Flags(log=given, format=arguments.format), others)
            config, log = config or own, own.logs[0]
        if log.path not in found:
            name = _free(log.name, [each.name for each in found.values()])
            found[log.path] = log._replace(name=name)
    config = config or load(flags, others)
    logs = together(found.values(), config.max_rows, config.history.max_size)
    return apart(config._replace(logs=logs), tuple(STREAMS))


def _free(name: str, taken: list[str]) -> str:
    """The name, or with a number if another log has it."""
    names = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 2)))
    return next(each for each in names if each not in taken)


def _recall(board: Board, config: Config, state: str, clock: SystemClock) -> None:
    """Tell what the ledger knows of the last minutes, if it can be read, and in time."""
    now, at = clock.now(), time.time_ns()
    found: list[tuple[str, Sample]] = []
    with suppress(QpsError, OSError), reading(state) as ledger, ledger.snapshot():
        names = {
            name: log.name if log.path == known.path else name
            for name, known in ledger.known_logs().items()
            for log in config.logs
            if log.path == known.path
            or (log.is_pattern and PathPattern(log.path).match(known.path) is not None)
        }
        ledger.database.give_up_when(lambda: clock.now() - now > PATIENCE)
        known = dict.fromkeys(names.values(), 0)  # nanoseconds
        for number in range(BINS) if names else ():
            if clock.now() - now > PATIENCE:
                return
            until = at - number * BIN
            # With a step this long no window is in more than one answer.
            question = Question(until - BIN, until, DAY, names.__contains__, by="route")
            if min(known.values()) >= SPAN:  # durations are shown of the last SPAN alone, and take longest
                question = question._replace(takes_latency=None)
            for log, sample in samples_of(past(ledger, question), until, at - now):
                known[names[log]] += sample.length
                found.append((names[log], sample))
        for log, sample in reversed(found):
            board.recall(log, sample, now)


def _is_unicode() -> bool:
    """Whether the terminal, and whoever else reads it, takes more than ASCII."""
    return all("utf" in each.lower() for each in (locale.nl_langinfo(locale.CODESET), sys.stdout.encoding))


def _terminal() -> ModuleType | None:
    """What draws on the terminal; None where there is none, or one that can't be drawn on."""
    if not sys.stdout.isatty():
        return None
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))  # for keys
        from qps_service.commands import terminal  # curses: 1 MB, and some Pythons have none
    except (OSError, ImportError):
        return None
    return terminal if terminal.is_able(os.environ) else None


def _with_keyboard(config: Config) -> Config:
    """Keys come from the descriptor 0, which may be a log."""
    if os.isatty(0):
        return config
    path = f"/dev/fd/{os.dup(0)}"
    keyboard = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(keyboard, 0)
    os.close(keyboard)
    logs = [log._replace(path=path) if log.path == "/dev/stdin" else log for log in config.logs]
    return config._replace(logs=together(logs, config.max_rows, config.history.max_size))


def _interval(text: str) -> int:
    try:
        interval: int = BY_KEY["interval"].parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, got {text!r}") from error
    return interval
