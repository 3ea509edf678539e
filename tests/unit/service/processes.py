"""What tests run in a process of its own: `python -m tests.unit.service.processes NAME ARGUMENT…`."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from qps_service.service import process
from qps_service.service.process import SignalWaker


def start(name: str, *arguments: object, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Run one of these, with pipes to and from it; `prefix` is a command that runs it in its own place."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", __name__, name, *map(str, arguments)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def say(*what: object) -> None:
    sys.stdout.write(" ".join(map(str, what)) + "\n")
    sys.stdout.flush()


def be_signalled(first: str, second: str, between: str) -> None:
    """Nothing here takes time: each wait has its reason before it begins. With `between` "install" the first
    signal is forgotten; "default" has the kernel end the process at the second, if it does that."""

    def kill(*numbers: int) -> None:
        for number in numbers:
            os.kill(os.getpid(), number)

    read_end, write_end = os.pipe()
    waker = SignalWaker()
    waker.install()
    say("idle", waker.wait([read_end], 1), waker.signals())
    kill(signal.SIGIO, signal.SIGHUP, signal.SIGHUP)
    say("signal", waker.wait([read_end], 10**12), waker.signals())
    say("heeded", waker.wait([read_end], 0), waker.signals())
    os.write(write_end, b"x")
    say("readable", waker.wait([read_end], 10**12), waker.signals())
    kill(int(first))
    say("both", waker.wait([read_end], 10**12), waker.signals())
    if between == "install":
        waker.install()
    if between == "default":
        signal.signal(int(second), signal.SIG_DFL)
    kill(int(second))
    say("lives")


def be_signalled_at_once(first: str, second: str, third: str, between: str) -> None:
    """Two signals are there before any handler of Python runs; then comes a third. With `between` "python"
    its own table is told that the next one ends the process."""
    if between == "python":
        vars(process)["_ends_the_process"] = lambda: lambda number: signal.signal(number, signal.SIG_DFL)
    waker = SignalWaker()
    waker.install()
    both = {int(first), int(second)}
    signal.pthread_sigmask(signal.SIG_BLOCK, both)
    for number in both:
        os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
    say("both", sorted(waker.signals()))
    os.kill(os.getpid(), int(third))
    say("lives")


if __name__ == "__main__":
    program = globals()[sys.argv[1]]
    program(*sys.argv[2:])
