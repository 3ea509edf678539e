"""`qps-reporter run`: follow logs and report, in the foreground or under systemd."""

import argparse
import os

from qps_service.commands import add_configuration, flags_of
from qps_service.config import load
from qps_service.daemon import Daemon
from qps_service.outputs import Output
from qps_service.outputs.journal import SOCKET, JournalOutput, NoticeBoard, is_journal
from qps_service.outputs.stdout import StdoutOutput
from qps_service.process import SignalWaker, SystemClock, occupy_standard_streams
from qps_service.state import StateDirectory
from qps_service.systemd import Supervisor, watchdog_of
from qps_service.tail import Tail

HELP = "follow a log and report its requests per second"
EPILOG = """\
examples:
  qps-reporter run access.log                     report every 10 seconds what is appended from now on
  qps-reporter run access.log --interval 1s --format combined
  qps-reporter run --config /etc/qps-reporter/qps-reporter.toml

Ends with a last report on Ctrl-C or SIGTERM; a second signal ends it at once. SIGHUP re-reads the
configuration. Each flag can also be given as an environment variable (--interval as
QPS_REPORTER_INTERVAL, LOG as QPS_REPORTER_LOG); the flag wins over the variable, the variable over
the file. Without LOG and --config, /etc/qps-reporter/qps-reporter.toml is read.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    add_configuration(parser)


def run(arguments: argparse.Namespace) -> int:
    """Follow until told to stop; the exit status."""
    # libsystemd's bindings cost 4 MB; `simulate` and --help do without.
    from systemd.daemon import notify
    from systemd.journal import sendv

    occupy_standard_streams()
    flags = flags_of(arguments)
    config = load(flags, os.environ)
    send = sendv if os.path.exists(SOCKET) else None
    board = NoticeBoard(send, None if send and is_journal(2, os.environ) else 2)
    outputs: list[Output] = []
    if send:
        outputs.append(JournalOutput(send, board.say))
    if not (send and is_journal(1, os.environ)):
        outputs.append(StdoutOutput(1, board.say))
    waker = SignalWaker()
    waker.install()
    state = StateDirectory(config.state) if config.state else None
    if state:
        state.acquire()
    try:
        Daemon(
            config,
            reload=lambda: load(flags, os.environ),
            make_tail=Tail,
            outputs=outputs,
            clock=SystemClock(),
            waker=waker,
            supervisor=Supervisor(notify, watchdog_of(os.environ, os.getpid())),
            say=board.say,
        ).run()
    finally:
        if state:
            state.release()
    return 0
