"""Puts the service together: who is handed what. Nothing is decided here, and nothing runs.

environment, configuration -> state directory -> ledger's writer ┐
systemd's descriptors -> descriptor store -> pipelines ──────────┼-> daemon
standard streams, journal, configured outputs -> output group ───┘
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from syslog import LOG_DEBUG, LOG_WARNING
from typing import NamedTuple

from qps_service.configuration.outputs import kind_of
from qps_service.configuration.types import Config, LogConfig
from qps_service.counting.budget import MAX_BINS, Budget
from qps_service.counting.rules import Limited
from qps_service.files.kernel import Files
from qps_service.files.unpacking import Unpacking
from qps_service.following.log_places import LogPlaces
from qps_service.following.resume import Resume
from qps_service.following.watcher import Watches
from qps_service.ledger.writer import LedgerWriter
from qps_service.notices.kinds import Notify
from qps_service.outputs.base import Output
from qps_service.outputs.group import OutputGroup
from qps_service.outputs.journal import SOCKET, JournalOutput, NoticeBoard, Send, is_journal
from qps_service.outputs.registry import make_output
from qps_service.outputs.stdout import StdoutOutput
from qps_service.scanning.built import describe
from qps_service.service.daemon import Daemon
from qps_service.service.descriptor_store import DescriptorStore
from qps_service.service.events import EventBook
from qps_service.service.patterns import Patterns
from qps_service.service.pipeline import LogPipeline
from qps_service.service.pipelines import MakePipeline
from qps_service.service.process import SignalWaker, SystemClock, boot_id, occupy_standard_streams
from qps_service.service.rule_time import CpuLimit, RuleTime
from qps_service.service.state_directory import StateDirectory
from qps_service.service.systemd import LISTENER, Supervisor, bindings, handed_back, watchdog_of
from qps_service.values.reports import Report


class Host(NamedTuple):
    """What the process was given when it started."""

    handed: Sequence[tuple[int, str]]  # descriptors that systemd passed, and their names
    notify: Callable[..., object]  # sd_notify(3)
    journal: Send | None  # sd_journal_sendv(3); None where there is no journal
    environment: Mapping[str, str]

    @classmethod
    def take_over(cls, environment: Mapping[str, str]) -> "Host":
        """Before anything is opened: a number that systemd uses must not be ours."""
        handed = handed_back(environment, os.getpid())
        notify, sendv = bindings()
        occupy_standard_streams()
        return cls(handed, notify, sendv if os.path.exists(SOCKET) else None, environment)

    @classmethod
    def alone(cls, environment: Mapping[str, str]) -> "Host":
        """Of a process that nobody supervises, and that does not write to the journal."""
        occupy_standard_streams()
        return cls((), lambda *_, **__: None, None, environment)

    def writes_to_journal(self, descriptor: int) -> bool:
        """Whether what is written there is in the journal."""
        return self.journal is not None and is_journal(descriptor, self.environment)

    def is_supervised(self) -> bool:
        """Whether whoever reads stdout is no user who may have seen enough, but journald, or a container's
        runtime: no shell has its container's first process in a pipe."""
        return is_journal(1, self.environment) or os.getpid() == 1


class Told(NamedTuple):
    """Who is told in any case, whatever is configured."""

    notify: Notify  # of what there is to say
    outputs: Sequence[Output]  # of the numbers


def standard_streams(
    host: Host, render: Callable[[Report], Iterable[str]], *, once: bool = False, wants_stdout: bool = False
) -> Told:
    """Journal, stderr and stdout. `render` makes a report's pieces for stdout, which is left out where that
    is the journal, unless it is wanted there. With `once` what is no trouble is not said: cron mails it."""
    board = NoticeBoard(
        host.journal, None if host.writes_to_journal(2) else 2, least=LOG_WARNING if once else LOG_DEBUG
    )
    outputs: list[Output] = []
    if host.journal:
        outputs.append(JournalOutput(host.journal, board.notify))
    if wants_stdout or not host.writes_to_journal(1):
        outputs.append(StdoutOutput(1, board.notify, render, supervised=host.is_supervised()))
    return Told(board.notify, outputs)


@contextmanager
def assembled(
    config: Config, host: Host, told: Told, *, reload: Callable[[], Config], once: bool = False
) -> Iterator[Daemon]:
    """The daemon; the state directory is held until the end. With `once` nobody can ask. Raises ConfigError,
    StateHeldError."""
    if once:
        config = _without_listeners(config)
    clock, limit, waker = SystemClock(), CpuLimit(), SignalWaker()
    waker.install()
    limit.install()
    events = EventBook(told.notify, clock.unix)
    rule_time = RuleTime(limit, clock.now, told.notify)
    watchdog = watchdog_of(host.environment, os.getpid())
    supervisor = Supervisor(lambda text, fds: host.notify(text, fds=list(fds)), watchdog)
    # They stay open for all of its life: a reload may bring the output that serves them.
    inherited = [descriptor for descriptor, name in host.handed if name == LISTENER]
    store = _store(config, host, supervisor)
    with _ledger(config, events.notify) as writer:
        watches = Watches(None if once else told.notify)
        patterns = Patterns(Files(), watches, events.notify, writer.known_logs)
        # Without a ledger nobody could go on with what is kept.
        keeps = bool(config.state) and not once
        daemon = Daemon(
            config,
            writer=writer,
            reload=reload,
            make_pipeline=_pipelines_with(store, events.notify, watches, keeps=keeps, limited=rule_time),
            patterns=patterns,
            drop_kept=store.drop,
            outputs=OutputGroup(told.outputs, lambda each: make_output(each, told.notify, inherited)),
            clock=clock,
            waker=waker,
            supervisor=supervisor,
            events=events,
            scanner=describe(host.environment),
        )
        rule_time.working = daemon.alive
        patterns.files = Files(daemon.alive)
        rule_time.is_reporting = lambda: daemon.is_reporting
        yield daemon


def _store(config: Config, host: Host, supervisor: Supervisor) -> DescriptorStore:
    """What systemd keeps of these logs."""
    kept = [(descriptor, name) for descriptor, name in host.handed if name != LISTENER]
    names = {log.was: log.name for log in config.logs if log.was}
    names |= {log.name: log.name for log in config.logs}
    return DescriptorStore(supervisor, kept, names, others=any(log.is_pattern for log in config.logs))


@contextmanager
def _ledger(config: Config, notify: Notify) -> Iterator[LedgerWriter]:
    """What writes to the ledger, if there is to be one. Raises ConfigError, StateHeldError."""
    state = StateDirectory(config.state) if config.state else None
    if state:
        state.acquire()
    writer = LedgerWriter(
        state.ledger if state else None,
        boot=boot_id(),
        notify=notify,
        history=config.history,
        is_ours=state.is_held if state else lambda: True,
    )
    try:
        yield writer
    finally:
        writer.close()
        if state:
            state.release()


def _pipelines_with(
    store: DescriptorStore, notify: Notify, watches: Watches, *, keeps: bool, limited: Limited
) -> MakePipeline:
    """Pipelines that share watches, places, rows, the time for rules and the memory for unpacking, and go on
    with the files in the store; with `keeps`, what they open goes there as well."""
    places, rows, unpacking = LogPlaces(Files()), Budget(bins=Budget(MAX_BINS)), Unpacking()

    def make(log: LogConfig, now: int, resume: Resume, working: Callable[[], None]) -> LogPipeline:
        if resume.restored is None or resume.restored.path != log.path:
            store.drop(log.name)
        keeper = store.of(log.name) if keeps else None
        resume = resume._replace(handed=(*resume.handed, *store.take(log.name)))
        return LogPipeline(
            *(log, now, notify, Files(working, unpacking)),
            watches=watches,
            places=places,
            resume=resume,
            keeper=keeper,
            limited=limited,
            rows=rows,
        )

    return make


def _without_listeners(config: Config) -> Config:
    outputs = tuple(each for each in config.outputs if not kind_of(each).answers)
    return config._replace(outputs=outputs)
