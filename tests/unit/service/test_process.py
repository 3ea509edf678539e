"""The real signals and the real sleep, in a process of their own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qps_service.service.process import SystemClock, boot_id

SECOND = 10**9

# Nothing here takes time: each wait has its reason before it begins.
SCRIPT = """
import os, signal
from qps_service.service.process import SignalWaker

def kill(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)

def say(*what):
    print(*what, flush=True)

read_end, write_end = os.pipe()
waker = SignalWaker()
waker.install()
say("idle", waker.wait([read_end], 1), waker.signals())
kill(signal.SIGIO, signal.SIGHUP, signal.SIGHUP)
say("signal", waker.wait([read_end], 10**12), waker.signals())
say("heeded", waker.wait([read_end], 0), waker.signals())
os.write(write_end, b"x")
say("readable", waker.wait([read_end], 10**12), waker.signals())
kill({first})
say("both", waker.wait([read_end], 10**12), waker.signals())
{then}
say("lives")
"""


def run(first: signal.Signals, then: str) -> tuple[int, list[str]]:
    script = SCRIPT.format(first=int(first), then=then)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def check_signals(first: signal.Signals, then: str, second: signal.Signals) -> None:
    """The first asks, the second ends the process at once, by that signal."""
    asked = [
        "idle False []",
        f"signal False [{signal.SIGHUP:d}, {signal.SIGHUP:d}]",
        "heeded False []",
        "readable True []",
        f"both True [{first:d}]",
    ]
    assert run(first, then) == (-second, asked)


@pytest.mark.parametrize(
    ("first", "second"), [(signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)]
)
def test_the_first_signal_asks_and_the_second_ends(first: signal.Signals, second: signal.Signals) -> None:
    check_signals(first, f"kill({second:d})", second)


@pytest.mark.twin
def test_a_second_signal_that_is_only_noted_is_caught() -> None:
    noted = f"waker.install()\nkill({signal.SIGTERM:d})"
    with pytest.raises(AssertionError):
        check_signals(signal.SIGTERM, noted, signal.SIGTERM)


def test_the_clocks_have_their_units() -> None:
    """Two looks at the kernel's own, and ours between them."""
    clock = SystemClock()
    before = float(Path("/proc/uptime").read_text().split()[0])
    now, monotonic = clock.now(), clock.monotonic()
    after = float(Path("/proc/uptime").read_text().split()[0])
    assert before - 0.01 <= now / SECOND <= after + 0.02  # it tells hundredths
    assert monotonic <= clock.now() // 1000  # which counts suspensions too
    assert isinstance(clock.unix(), int)
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
