"""The real signals and the real sleep, in a process of their own."""

import signal
from pathlib import Path

import pytest

from qps_service.service.process import SystemClock, boot_id
from tests.unit.service import processes

SECOND = 10**9


def check_signals(first: signal.Signals, second: signal.Signals, between: str = "") -> None:
    """The first asks, the second ends the process at once, by that signal."""
    with processes.start("be_signalled", int(first), int(second), between) as process:
        assert process.stdout is not None
        said = process.stdout.read().splitlines()
    assert process.returncode == -second
    assert said == [
        "idle False []",
        f"signal False [{signal.SIGHUP:d}, {signal.SIGHUP:d}]",
        "heeded False []",
        "readable True []",
        f"both True [{first:d}]",
    ]


@pytest.mark.parametrize(
    ("first", "second"), [(signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)]
)
def test_the_first_signal_asks_and_the_second_ends(first: signal.Signals, second: signal.Signals) -> None:
    check_signals(first, second)


@pytest.mark.twin
def test_a_second_signal_that_is_only_noted_is_caught() -> None:
    with pytest.raises(AssertionError):
        check_signals(signal.SIGTERM, signal.SIGTERM, "install")


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
