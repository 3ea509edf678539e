"""The real clock, the real signals, the real sleep, and the standard streams."""

import codecs
import io
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Protocol

from qps_service.outputs.base import spent
from qps_service.text.units import MILLISECOND


class Clock(Protocol):
    """Where times come from."""

    def now(self) -> int:
        """CLOCK_BOOTTIME nanoseconds: never set, and it counts while the machine sleeps."""

    def unix(self) -> int:
        """Unix nanoseconds, for dates only."""

    def monotonic(self) -> int:
        """CLOCK_MONOTONIC microseconds, as systemd wants them."""

    def spent(self) -> int:
        """What work costs, in nanoseconds: see outputs.base.spent."""


def unix_at(clock: Clock, now: int) -> int:
    """What the wall clock, as it stands, showed at `now`, CLOCK_BOOTTIME nanoseconds of a moment ago."""
    return clock.unix() - (clock.now() - now)


class Waker(Protocol):
    """What the loop sleeps in."""

    def wait(self, descriptors: Iterable[int], timeout: int) -> bool:
        """Sleep until a descriptor is readable, a signal came, or `timeout` nanoseconds have passed;
        True if it was a descriptor."""

    def signals(self) -> list[int]:
        """The signals that came since the last call."""

    def hold_back(self) -> None:
        """From now on no signal is heard: the work is done, and the end comes in any case."""


class SystemClock:
    """The kernel's clocks."""

    def now(self) -> int:
        """CLOCK_BOOTTIME nanoseconds."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def unix(self) -> int:
        """Unix nanoseconds."""
        return time.time_ns()

    def monotonic(self) -> int:
        """CLOCK_MONOTONIC microseconds."""
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    def spent(self) -> int:
        """Nanoseconds of CPU time, and a quarter of all others."""
        return spent()


def boot_id() -> str:
    """Names this start of the machine; "" where the kernel tells none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def discard_stdout() -> None:
    """Nobody reads stdout any longer: what the interpreter flushes at its end goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def prepare_streams() -> None:
    """What is said to a stream that is closed, which the interpreter has as None, goes nowhere; what stdout's
    encoding has no character for is escaped as JSON does, in a table, too."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115  likewise
    if isinstance(sys.stdout, io.TextIOWrapper) and "utf" not in sys.stdout.encoding.lower():
        codecs.register_error("as JSON", _as_json)
        sys.stdout.reconfigure(errors="as JSON")


def _as_json(error: UnicodeError) -> tuple[str, int]:
    """Which is no other text's spelling: where routes are shown a backslash of their own is two."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(
        f"\\u{each.hex()}" for each in (units[i : i + 2] for i in range(0, len(units), 2))
    ), error.end


def occupy_standard_streams() -> None:
    """Put /dev/null where stdin, stdout or stderr is closed: a file of ours must not take its number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Ctrl-C takes effect when the context ends. Threads that are started in it never see any: one that did
    would be told of those that the main thread holds back, and Python hands them on at once."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# What the kernel sends for a fault, and systemd's watchdog for a hang, which is to leave a trace.
_FAULTS = {
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS),
    signal.SIGABRT,
}


def hold_signals_back() -> None:
    """Until the end of the process no signal has any effect but SIGKILL and those of faults: what was asked
    for is done, and the exit status says so. The interpreter gives up its handlers before it ends, so that
    without this the last milliseconds would belong to the kernel's defaults."""
    with suppress(KeyboardInterrupt):  # one that came just before
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _FAULTS)


_STOPS = (signal.SIGTERM, signal.SIGINT)


class SignalWaker:
    """Sleeps in poll(2); signals wake it through a pipe, and do nothing else but arm the second one."""

    def __init__(self) -> None:
        self._read_end, self._write_end = -1, -1

    def install(self) -> None:
        """Take over SIGTERM, SIGINT and SIGHUP of the process."""
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        ends_the_process = _ends_the_process()

        def stop(_number: int, _frame: FrameType | None) -> None:
            """The first asks for an orderly end, and arms the next one. Python goes on to call this for one
            that came together with the first; without a handler it would complain of that."""
            for number in _STOPS:
                ends_the_process(number)

        for number in _STOPS:
            signal.signal(number, stop)
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)
        # The kernel sends it when a writer opens a file in the moment we hold a lease on it.
        signal.signal(signal.SIGIO, signal.SIG_IGN)

    def wait(self, descriptors: Iterable[int], timeout: int) -> bool:
        """Sleep; True if one of `descriptors` is readable. `timeout` in nanoseconds."""
        poll = select.poll()
        for descriptor in (self._read_end, *descriptors):
            poll.register(descriptor, select.POLLIN)
        # Rounded up: waking a little early would only mean a second, useless wake-up.
        ready = poll.poll(-(-timeout // MILLISECOND))
        return any(descriptor != self._read_end for descriptor, _ in ready)

    def signals(self) -> list[int]:
        """The signals since the last call, in order."""
        try:
            return list(os.read(self._read_end, 4096))
        except BlockingIOError:
            return []

    def hold_back(self) -> None:
        """From now on no signal is heard."""
        hold_signals_back()


def _ends_the_process() -> Callable[[int], object]:
    """Has the kernel, and it alone, end the process at once when the signal of this number comes next."""
    import ctypes  # other commands start without it

    # sigaction(2) without Python's own table: https://docs.python.org/3/c-api/sys.html#c.PyOS_setsig
    set_handler = ctypes.pythonapi.PyOS_setsig
    set_handler.argtypes, set_handler.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    # A container's first process is sent nothing that it has no handler for (pid_namespaces(7)): there the
    # signal calls _exit(2), with its number for the status.
    end = ctypes.cast(ctypes.CDLL(None)._exit, ctypes.c_void_p) if os.getpid() == 1 else None
    return lambda number: set_handler(number, end)
