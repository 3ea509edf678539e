"""`qps-reporter run`: follow logs and report, in the foreground or under systemd."""

import argparse
import os
from collections.abc import Callable
from syslog import LOG_DEBUG, LOG_WARNING

from qps_service.commands import add_configuration, flags_of
from qps_service.configuration.loader import load
from qps_service.configuration.outputs import kind_of
from qps_service.configuration.types import LogConfig
from qps_service.errors import EXIT_OK, UsageError
from qps_service.files.kernel import Files
from qps_service.ledger.writer import LedgerWriter
from qps_service.notices.kinds import Notify
from qps_service.outputs.base import Output
from qps_service.outputs.group import OutputGroup
from qps_service.outputs.journal import SOCKET, JournalOutput, NoticeBoard, is_journal
from qps_service.outputs.registry import make_output
from qps_service.outputs.stdout import StdoutOutput
from qps_service.reporting.text import render_text
from qps_service.scanning.scanner import describe
from qps_service.service.daemon import Daemon
from qps_service.service.descriptor_store import DescriptorStore
from qps_service.service.pipeline import LogPipeline
from qps_service.service.process import SignalWaker, SystemClock, boot_id, occupy_standard_streams
from qps_service.service.state_directory import StateDirectory
from qps_service.service.systemd import LISTENER, Supervisor, bindings, handed_back, watchdog_of
from qps_service.values.entries import Restored
from qps_service.values.reports import Report

HELP = "follow a log and report its requests per second"
EPILOG = """\
examples:
  qps-reporter run access.log                     report every 10 seconds what is appended from now on
  qps-reporter run access.log --interval 1s --format combined
  qps-reporter run --config /etc/qps-reporter/qps-reporter.toml
  qps-reporter run access.log --state DIR --once  what came since the last time, for cron and timers
  qps-reporter run access.log --json | jq .rate

With a state directory, counts and places are kept in DIR/ledger.db, and the next run goes on there:
nothing is lost or counted twice, however this one ends. Without one they live in memory.

Ends with a last report on Ctrl-C or SIGTERM; a second signal ends it at once. SIGHUP re-reads the
configuration. Each flag can also be given as an environment variable (--interval as
QPS_REPORTER_INTERVAL, LOG as QPS_REPORTER_LOG); the flag wins over the variable, the variable over
the file. Without LOG and --config, /etc/qps-reporter/qps-reporter.toml is read.
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
        help="reports on stdout as JSON, one object a line, in place of the text",
    )


def _renderer(arguments: argparse.Namespace) -> Callable[[Report], str]:
    if arguments.json:
        from qps_service.outputs.json_lines import render_json

        return render_json
    return render_text


def run(arguments: argparse.Namespace) -> int:
    """Follow until told to stop; the exit status."""
    handed = handed_back(os.environ, os.getpid())
    notify, sendv = bindings()
    occupy_standard_streams()
    flags = flags_of(arguments)
    config = load(flags, os.environ)
    if arguments.once and not config.state:
        raise UsageError("--once goes on where the ledger ends: name a directory for it with --state")
    if arguments.once:  # nobody could ask in that time
        outputs = [each for each in config.outputs if not kind_of(each).answers]
        config = config._replace(outputs=tuple(outputs))
    send = sendv if os.path.exists(SOCKET) else None
    # Cron mails whatever is said.
    least = LOG_WARNING if arguments.once else LOG_DEBUG
    board = NoticeBoard(send, None if send and is_journal(2, os.environ) else 2, least=least)
    fixed: list[Output] = []
    if send:
        fixed.append(JournalOutput(send, board.notify))
    # The text is in the journal already; JSON there is somebody's wish.
    if arguments.json or not (send and is_journal(1, os.environ)):
        fixed.append(StdoutOutput(1, board.notify, _renderer(arguments)))
    waker = SignalWaker()
    waker.install()
    clock = SystemClock()
    watchdog = watchdog_of(os.environ, os.getpid())
    supervisor = Supervisor(lambda text, fds: notify(text, fds=list(fds)), watchdog)
    # They stay open for all of its life: a reload may bring the output that serves them.
    inherited = [descriptor for descriptor, name in handed if name == LISTENER]
    kept = [(descriptor, name) for descriptor, name in handed if name != LISTENER]
    store = DescriptorStore(supervisor, kept, {log.name for log in config.logs})
    state = StateDirectory(config.state) if config.state else None
    if state:
        state.acquire()
    writer = LedgerWriter(
        state.ledger if state else None,
        boot=boot_id(),
        notify=board.notify,
        history=config.history,
        is_ours=state.is_held if state else lambda: True,
    )

    class WatchedFiles(Files):
        """A hung disk stops everything; decompressing takes long, and is no hang."""

        def working(self) -> None:
            daemon.alive()

    def make_tail(
        log: LogConfig, now: int, notify: Notify, *, restored: Restored | None, at: int
    ) -> LogPipeline:
        if restored is None or restored.path != log.path:
            store.drop(log.name)
        # Without a ledger nobody could go on with what is kept.
        keeper = store.of(log.name) if state and not arguments.once else None
        taken = store.take(log.name)
        return LogPipeline(
            log, now, notify, WatchedFiles(), restored=restored, at=at, handed=taken, keeper=keeper
        )

    try:
        daemon = Daemon(
            config,
            writer=writer,
            reload=lambda: load(flags, os.environ),
            make_tail=make_tail,
            drop_kept=store.drop,
            outputs=OutputGroup(fixed, lambda each: make_output(each, board.notify, inherited)),
            clock=clock,
            waker=waker,
            supervisor=supervisor,
            notify=board.notify,
            scanner=describe(os.environ),
        )
        if arguments.once:
            return daemon.run_once()
        daemon.run()
    finally:
        writer.close()
        if state:
            state.release()
    return EXIT_OK
