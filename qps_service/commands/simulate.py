"""`qps-reporter simulate`: writes a web server's log, and the truth about it."""

import argparse
import math
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random

from qps_service.commands import format_of
from qps_service.errors import EXIT_OK, EXIT_PROBLEM, UsageError
from qps_service.formats.log_format import LogFormat
from qps_service.simulation.log_file import LogFile
from qps_service.simulation.simulator import FOREVER, IrregularPace, Simulator, SteadyPace
from qps_service.simulation.traffic import Traffic
from qps_service.text.units import SECOND

EPILOG = """\
examples:
  qps-reporter simulate -o access.log
      10 to 100 ms between lines, a rotation to access.log.<unix time> every 30 s, until Ctrl-C
  qps-reporter simulate -o access.log -r 2 --rate 2000 --duration 60 --truth truth.json
      exactly 120000 lines, and their number by method, route and status in truth.json
  qps-reporter simulate -o access.log -r 0.1 --rate 10000 --late-writer 3 --keep 100
      ten rotations a second, with workers that write to renamed files for 3 s more
  qps-reporter simulate -o /dev/stdout -r 0 --seed 1 | head
      a look at the lines

It stops on SIGTERM and Ctrl-C too, with the truth written and status 0. Where the disk is too slow
for the rate it falls behind, and makes up for it: no line is skipped.
"""

RATE_LIMIT = 200_000  # lines a second; one core of a small server still keeps up, one write a line
INTERVAL_LIMIT = 0.001  # seconds; faster rotations would not find a line to rotate
STOPS = (signal.SIGTERM, signal.SIGINT)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-o", "--output-file", required=True, metavar="FILE", help="the log; appended to if it exists")
    add(
        "-r",
        "--log-rotation-interval",
        type=_seconds(INTERVAL_LIMIT, or_zero=True),
        default=30.0,
        metavar="SECONDS",
        help="time between rotations, 0 for none (default: 30)",
    )
    add(
        "--rotation",
        choices=("rename", "copytruncate"),
        default="rename",
        help="rename FILE to FILE.<unix time> and open a new one, or copy it there and truncate it; "
        "a name that is taken gets .1, .2, ... appended (default: rename)",
    )
    add("--keep", type=_whole(0), metavar="N", help="rotated files to keep, the newest (default: all)")
    add(
        "--late-writer",
        type=_seconds(0),
        default=0.0,
        metavar="SECONDS",
        help="write half of the lines to files renamed in the last SECONDS, as slow workers do (default: 0)",
    )
    add(
        "--format",
        action="append",
        metavar="FORMAT",
        help="the lines' format, as run's --format, of which the first is written (default: default)",
    )
    add("--rate", type=_whole(1, RATE_LIMIT), metavar="N", help="lines a second (default: random gaps)")
    add("--batch", action="store_true", help="one write for all lines that are due (default: one each)")
    add("--duration", type=_seconds(INTERVAL_LIMIT), metavar="SECONDS", help="stop by itself after SECONDS")
    add("--seed", type=int, metavar="N", help="the same lines for the same N (default: new ones each time)")
    add("--truth", metavar="FILE", help="write what was written, counted, as JSON to FILE at the end")


def run(arguments: argparse.Namespace) -> int:
    """Simulate until the end; the exit status."""
    _check(arguments)
    arguments.format = arguments.format or ["default"]
    log_format = format_of(arguments)
    if log_format.is_auto or log_format.is_w3c:
        raise UsageError(f"--format {log_format.text} is for reading: name a format to write")
    log, simulation = _made(arguments, log_format)
    with _stops_held_back():
        status = EXIT_OK
        try:
            log.open()
            simulation.run()
        except BrokenPipeError:
            pass  # whoever read along has seen enough
        except OSError as error:
            status = _complain("write", arguments.output_file, error)
        finally:
            log.close()
        if arguments.truth:
            try:
                _replace(arguments.truth, simulation.truth())
            except OSError as error:
                status = _complain("write the truth to", arguments.truth, error)
    return status


def _made(arguments: argparse.Namespace, log_format: LogFormat) -> tuple[LogFile, Simulator]:
    """The log, and what will write to it."""

    def random(purpose: str) -> Random:
        """One stream for each purpose: the pace then has no influence on the lines."""
        seed = None if arguments.seed is None else f"{purpose} {arguments.seed}"
        return Random(seed)  # noqa: S311  it imitates traffic and guards nothing

    def nanoseconds(seconds: float | None) -> int:
        return round(seconds * SECOND) if seconds else FOREVER

    log = LogFile(
        arguments.output_file,
        copytruncate=arguments.rotation == "copytruncate",
        batch=arguments.batch,
        keep=arguments.keep,
        late=round(arguments.late_writer * SECOND),
        unix_time=time.time,
        random=random("late writers"),
    )
    rate = arguments.rate
    return log, Simulator(
        Traffic(log_format, random("lines")),
        SteadyPace(rate) if rate else IrregularPace(random("pace")),
        log,
        interval=nanoseconds(arguments.log_rotation_interval),
        duration=nanoseconds(arguments.duration),
        clock=time.monotonic_ns,
        pause=_stop_requested,
    )


def _check(arguments: argparse.Namespace) -> None:
    """Raises UsageError for what would fail later, or spoil something."""
    log, truth = arguments.output_file, arguments.truth
    if arguments.late_writer and arguments.rotation == "copytruncate":
        raise UsageError("--late-writer needs --rotation rename: copytruncate leaves nobody with an old file")
    for path in filter(None, (log, truth)):
        directory = os.path.dirname(path) or "."
        if not os.path.isdir(directory):
            raise UsageError(f"{path}: there is no directory {directory}")
        if os.path.isdir(path):
            raise UsageError(f"{path}: expected a file, found a directory")
    if truth and os.path.realpath(log) == os.path.realpath(truth):
        raise UsageError("--truth and --output-file name the same file")
    with suppress(OSError):  # opening it will tell
        if arguments.log_rotation_interval and not stat.S_ISREG(os.stat(log).st_mode):
            raise UsageError(f"{log}: only a regular file can be rotated; add -r 0")


def _stop_requested(seconds: float) -> bool:
    """Wait for `seconds`, or until one of STOPS arrives: then True."""
    return signal.sigtimedwait(STOPS, seconds) is not None


@contextmanager
def _stops_held_back() -> Iterator[None]:
    """STOPS arrive only where they are waited for, so that no line is cut short by one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        while _stop_requested(0):  # a second one, sent while the first was being obeyed
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _replace(path: str, text: str) -> None:
    """Write `path` so that whoever reads it finds the whole text or what was there before."""
    temporary = f"{path}.{os.urandom(8).hex()}.tmp"  # nobody was there first
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _complain(action: str, path: str, error: OSError) -> int:
    sys.stderr.write(f"qps-reporter: cannot {action} {path}: {error.strerror or error}\n")
    return EXIT_PROBLEM


def _seconds(least: float, *, or_zero: bool = False) -> Callable[[str], float]:
    expected = f"{'0 or ' if or_zero else ''}seconds, at least {least:g}"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isfinite(value) and (value >= least or (or_zero and value == 0)):
            return value
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")

    return parse


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    expected = f"a whole number from {least} to {most}" if most else f"a whole number, at least {least}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value >= least and (most is None or value <= most):
            return value
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")

    return parse
