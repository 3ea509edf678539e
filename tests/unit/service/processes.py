"""What tests run in a process of its own: `python -m tests.unit.service.processes NAME ARGUMENT…`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from qps_service.service.process import SignalWaker
from qps_service.service.state_directory import StateDirectory


def start(name: str, *arguments: object) -> subprocess.Popen[str]:
    """Run one of these, with pipes to and from it."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, name, *map(str, arguments)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def say(*what: object) -> None:
    sys.stdout.write(" ".join(map(str, what)) + "\n")
    sys.stdout.flush()


def hold(directory: str) -> None:
    """Take a state directory, and wait for the end of stdin."""
    StateDirectory(directory).acquire()
    say("held")
    sys.stdin.read()


def be_signalled(first: str, second: str, between: str) -> None:
    """Nothing here takes time: each wait has its reason before it begins. With `between` "install" the first
    signal is forgotten."""

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
    kill(int(second))
    say("lives")


if __name__ == "__main__":
    program = globals()[sys.argv[1]]
    program(*sys.argv[2:])
