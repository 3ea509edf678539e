"""The program, broken on purpose: python -m tests.fault.broken TWIN[,TWIN...] ARGUMENT...

Each twin is a function that breaks one part, or a follower, here or in twins.py, that takes the place of the
real one; the test that has to catch it names it. What is replaced must be there. Some are no faults of the
program but of its world; those stand first.
"""

import ctypes
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from qps_service.auditing import recount
from qps_service.auditing.audit import Audit
from qps_service.auditing.recount import Candidates
from qps_service.commands import audit, reading, run
from qps_service.counting.rules import apply_all
from qps_service.files.compressed import CompressedFile
from qps_service.files.kernel import Files
from qps_service.following import search
from qps_service.following.generation import Generation
from qps_service.following.known_files import Resemblance
from qps_service.following.watcher import Watcher
from qps_service.ledger import ledger, schema
from qps_service.ledger.database import Database
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.writer import LedgerWriter
from qps_service.outputs import graphite, statsd
from qps_service.outputs.ganglia import series
from qps_service.outputs.ganglia.series import Announcements
from qps_service.outputs.journal import NoticeBoard
from qps_service.service import assembly, pipeline, process, state_directory
from qps_service.service.assembly import Host
from qps_service.service.daemon import Daemon
from qps_service.service.pipelines import Pipelines
from qps_service.service.state_directory import StateDirectory
from qps_service.values.positions import Position
from tests.fault import twins
from tests.fault.program import UNFIT


def replace(owner: object, **parts: Any) -> None:
    """Put these in the place of parts that are there."""
    for name, part in parts.items():
        getattr(owner, name)
        setattr(owner, name, part)


def replacing(name: str, owner: object, **parts: Any) -> Callable[[], None]:
    """The twin of this name, which does no more than that."""

    def put() -> None:
        replace(owner, **parts)

    put.__name__ = name
    return put


def site() -> Path:
    """The directory of the test's `Site`."""
    return Path(os.environ["SITE"])


# --- the world


def reads_the_boot_id_from_a_file() -> None:
    """The machine has started again when the test says so."""
    for module in (assembly, reading):
        replace(module, boot_id=(site() / "boot").read_text)


def is_signalled_to_its_end() -> None:
    """From the moment on in which it hears no signal any more, each of its system calls brings one, which the
    file `signal` of the test names; `calls` has what was called."""
    hold = process.hold_signals_back
    strace: list[subprocess.Popen[bytes]] = []

    def hold_then_trace() -> None:
        hold()
        if not strace:
            ctypes.CDLL(None).prctl(
                0x59616D61, ctypes.c_ulong(-1), 0, 0, 0
            )  # PR_SET_PTRACER, PR_SET_PTRACER_ANY
            inject = f"inject=all:signal={(site() / 'signal').read_text()}"
            command = ["strace", "-qq", "-o", str(site() / "calls"), "-e", inject, "-p", str(os.getpid())]
            strace.append(subprocess.Popen(command))
            while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
                assert strace[0].poll() is None

    replace(process, hold_signals_back=hold_then_trace)


# On a machine with many guests, fs.inotify.max_user_instances may be used up.
has_no_inotify = replacing("has_no_inotify", Watcher, _stand=lambda self, path: False)
# Each log has an inotify instance of its own.
watches_each_log_alone = replacing("watches_each_log_alone", pipeline, Watcher=lambda watches: Watcher())


def stops_before_the_report() -> None:
    """With --once, the process is stopped (SIGSTOP) when it has committed."""
    report = Daemon._report

    def stopped(self: Daemon, now: int) -> float:
        os.kill(os.getpid(), signal.SIGSTOP)
        return report(self, now)

    if "--once" in sys.argv:
        replace(Daemon, _report=stopped)


def is_stopped_when_it_decompresses() -> None:
    """SIGTERM comes when a text that was read begins to be decompressed."""
    seek = CompressedFile._seek

    def stop_first(self: CompressedFile, offset: int) -> None:
        replace(CompressedFile, _seek=seek)
        os.kill(os.getpid(), signal.SIGTERM)
        seek(self, offset)

    replace(CompressedFile, _seek=stop_first)


knows_no_supervisor = replacing("knows_no_supervisor", Host, is_supervised=lambda self: False)


# --- following


class ComparesNoArchives(twins.Spoilt):
    """Does not compare archives with the generations that are awaited."""

    def spoil(self) -> None:
        resembles = self._known_files.resembles

        def unless_awaited(*rest: Any, **more: Any) -> tuple[Resemblance, Position | None]:
            resemblance, position = resembles(*rest, **more)
            if position and self._known_files.is_expected(position):
                return Resemblance.NONE, None
            return resemblance, position

        self._known_files.resembles = unless_awaited  # type: ignore[method-assign]
        self._discovery._find_by_text = lambda *_: None  # type: ignore[method-assign]


shows_no_sign_of_life = replacing("shows_no_sign_of_life", Files, working=lambda self: None)
heeds_no_signal_while_alive = replacing(
    "heeds_no_signal_while_alive", Daemon, alive=lambda self: self._supervisor.alive(self._clock.now())
)


# --- the ledger


def hoards() -> None:
    """Keeps what it read, many times over."""
    kept: list[bytes] = []
    counted = Generation.counted

    def counts(self: Generation, *arguments: Any) -> None:
        kept.append(b"x" * (64 << 20))
        counted(self, *arguments)

    replace(Generation, counted=counts)


def commits_in_two_transactions() -> None:
    commit = Ledger.commit

    def in_two(self: Ledger, entries: Any, **keywords: Any) -> None:
        positions = [entry._replace(counts={}, rejects={}) for entry in entries]
        counts = [entry._replace(retired=(), forgotten=(), losses=()) for entry in entries]
        commit(self, positions, **{**keywords, "sequence": None})
        commit(self, counts, **keywords)

    replace(Ledger, commit=in_two)


def commits_no_positions() -> None:
    commit = Ledger.commit

    def without(self: Ledger, entries: Any, **keywords: Any) -> None:
        commit(self, [entry._replace(held=(), retired=()) for entry in entries], **keywords)

    replace(Ledger, commit=without)


def looks_into_ledgers() -> None:
    """For a log's text, as into any file that was written to."""
    replace(search, LEDGER_FILES=())


def forgets_the_number() -> None:
    """Of the last report."""
    meta = ledger._meta
    replace(ledger, _meta=lambda reading, name: 0 if name == "sequence" else meta(reading, name))


def syncs_seldom() -> None:
    """What WAL and synchronous=NORMAL, the usual pair, would do."""
    opened = Database._open_writable

    def unsynced(self: Database) -> None:
        opened(self)
        self.connection.execute("PRAGMA synchronous = NORMAL")

    replace(Database, _open_writable=unsynced)


def also_takes(step: str) -> None:
    *steps, last = schema.STEPS
    replace(schema, STEPS=(*steps, last + step))


def forgets_in_a_step() -> None:
    """Positions and ignored files do not come along to a later schema."""
    also_takes("DELETE FROM stranger; DELETE FROM position;")


def forgets_the_ignored_files_in_a_step() -> None:
    also_takes("DELETE FROM stranger;")


# Counts live in memory, and the log is read from its beginning; what was rotated away is older.
restores_nothing = replacing("restores_nothing", LedgerWriter, restore=lambda self, log, **keywords: None)


def commits_no_windows() -> None:
    commit = LedgerWriter.commit

    def without(self: LedgerWriter, entries: Any, *, sequence: int | None, whole: Any) -> bool:
        return sequence is not None or commit(self, entries, sequence=sequence, whole=whole)

    replace(LedgerWriter, commit=without)


def reports_first() -> None:
    """And commits then."""
    commit, report = Pipelines.commit, Daemon._report

    def first(self: Daemon, now: int) -> float:
        rate = report(self, now)
        commit(self._pipelines, now, report=True)
        return rate

    replace(Pipelines, commit=lambda self, now, *, report=False: True if report else commit(self, now))
    replace(Daemon, _report=first)


def begins_windows_with_itself() -> None:
    """A window is as long as this process has run."""
    restore = Ledger.restore

    def anew(self: Ledger, log: str, *, now: int, at: int) -> Any:
        restored = restore(self, log, now=now, at=at)
        return restored and restored._replace(started=now)

    replace(Ledger, restore=anew)


def gives_rates_the_first_time() -> None:
    def at_once(self: Pipelines, now: int) -> None:
        for each in self.followed:
            each.is_counting = True

    replace(Pipelines, begin_windows=at_once)


locks_nothing = replacing("locks_nothing", StateDirectory, acquire=lambda self: None)
names_itself_as_the_holder = replacing(
    "names_itself_as_the_holder", state_directory, _holder=lambda inode: os.getpid()
)


# --- reports and messages


def says_all() -> None:
    """To cron, too."""
    begin = NoticeBoard.__init__
    replace(NoticeBoard, __init__=lambda self, send, stderr, *, least=7: begin(self, send, stderr))


# --- outputs


def tells_half() -> None:
    """To StatsD and Graphite."""

    def every_other(function: Callable[..., Iterable[bytes]]) -> Callable[..., Iterator[bytes]]:
        return lambda *arguments: (each for number, each in enumerate(function(*arguments)) if number % 2)

    replace(statsd, pack=every_other(statsd.pack))
    replace(graphite, render=every_other(graphite.render))


def names_metrics_as_they_come() -> None:
    """To gmond."""

    def name_of(log: str, route: bytes | None = None, status: int = 0) -> str:
        text = "total" if route is None else f"{route.decode('ascii', 'ignore')[:100]}_{status:03d}"
        return f"qps_{log}_{text}"

    replace(series, name_of=name_of)


# To gmond.
announces_once = replacing("announces_once", Announcements, forget=lambda self: None)
writes_where_it_is_told = replacing("writes_where_it_is_told", run, apart=lambda config, streams: config)
hears_signals_to_its_end = replacing("hears_signals_to_its_end", process, hold_signals_back=lambda: None)


# --- the audit


def audits_the_log_only() -> None:
    likely = Candidates._likely

    def only(self: Candidates, position: Any) -> list[str]:
        return [path for path in likely(self, position) if path.endswith(".log")]

    replace(Candidates, _likely=only)


trusts_the_ledger = replacing("trusts_the_ledger", recount, _count=lambda position, source: position.lines)
expects_no_rejected_lines = replacing(
    "expects_no_rejected_lines", Audit, balances=property(lambda self: self.lines == self.requests)
)
ignores_rejected_lines = replacing(
    "ignores_rejected_lines",
    Audit,
    lines_balance=property(lambda self: self.lines == self.requests + self.rejected),
)
ignores_totals = replacing(
    "ignores_totals", Audit, requests=property(lambda self: self.lines - self.rejected)
)
ignores_files = replacing(
    "ignores_files", Audit, balances=property(lambda self: self.lines == self.requests + self.rejected)
)


def shows_no_losses() -> None:
    render = audit.render
    replace(audit, render=lambda each: render(each._replace(losses=[])))


goes_by_the_text_only = replacing("goes_by_the_text_only", Candidates, _is_unbegun=lambda *_, **__: False)


def goes_by_the_identity_only() -> None:
    def same(self: Any, position: Any, path: str, key: tuple[int, int], *, held: bool) -> bool:
        return bool(key == position.identity[:2])

    replace(Candidates, _is_unbegun=same)


takes_all_for_gone = replacing("takes_all_for_gone", Candidates, _is_own=lambda *_: False)
takes_any_file_for_its_own = replacing("takes_any_file_for_its_own", Candidates, _is_own=lambda *_: True)


def audits_with_the_right_to_write() -> None:
    opened = Ledger.open
    replace(Ledger, open=lambda self, **keywords: opened(self))


def gives_rules_all_the_time_that_they_take() -> None:
    class Applies:
        working = None
        __call__ = staticmethod(apply_all)

    replace(assembly, RuleTime=lambda *_: Applies())


# --- the terminal


def keeps_the_terminal() -> None:
    import curses

    replace(curses, endwin=lambda: None)


def knows_one_size() -> None:
    import curses

    replace(curses, resizeterm=lambda *_: None)


def has_no_default_colours() -> None:
    """Of the world: a terminal without op and oc (terminfo(5))."""
    import curses

    def lacks() -> None:
        raise curses.error("use_default_colors() returned ERR")

    replace(curses, use_default_colors=lacks)


def is_always_red() -> None:
    from qps_service.commands.terminal import Screen

    made = Screen.__init__
    replace(Screen, __init__=lambda self, *given, **_: made(self, *given, colours=True))


def sees_no_hang_up() -> None:
    from qps_service.commands import terminal

    replace(terminal, _GONE=0)


def draws_no_errors() -> None:
    """The program has a mistake, which a 5xx brings to light."""
    from qps_service.commands.terminal import Screen
    from qps_service.looking.screen import ERROR

    def style(_: object, name: str) -> int:
        if name == ERROR:
            raise ZeroDivisionError("it was drawn")
        return 0

    replace(Screen, _style=style)


def put_in_place(name: str) -> None:
    """The twin of this name."""
    twin = globals()[name] if name in globals() else getattr(twins, name)
    if isinstance(twin, type):
        replace(pipeline, Follower=twin)
    else:
        twin()


if __name__ == "__main__":
    for name in sys.argv.pop(1).split(","):
        try:
            put_in_place(name)
        except Exception as error:
            raise SystemExit(f"{UNFIT}: {name}: {error!r}") from error
    runpy.run_module("qps_service", run_name="__main__", alter_sys=True)
