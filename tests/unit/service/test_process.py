"""The real signals and the real sleep, in a process of their own."""

import signal
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from qps_service.service.process import SystemClock, boot_id
from tests.fault.mounts import needs_root
from tests.promised import Promise, promises
from tests.unit.service import processes

SECOND = 10**9


TERM, INT = signal.SIGTERM, signal.SIGINT
AS_PID_1 = ("unshare", "--pid", "--fork", "--kill-child", "--")


def check_signals(between: str, first: int, second: int, prefix: Sequence[str] = ()) -> None:
    """The first asks, the second ends the process at once, by that signal."""
    with processes.start("be_signalled", first, second, between, prefix=prefix) as process:
        out, err = process.communicate()
    # What unshare(1) passes on is an exit status: no signal ends the first process of a namespace.
    assert process.returncode == (second if prefix else -second)
    assert err == ""
    assert out.splitlines() == [
        "idle False []",
        f"signal False [{signal.SIGHUP:d}, {signal.SIGHUP:d}]",
        "heeded False []",
        "readable True []",
        f"both True [{first:d}]",
    ]


def check_signals_at_once(between: str, third: int) -> None:
    """Two that come together ask for one end, without a word; the next ends the process at once."""
    with processes.start("be_signalled_at_once", int(TERM), int(INT), int(third), between) as process:
        out, err = process.communicate()
    assert process.returncode == -third
    assert err == ""
    assert out == f"both [{INT:d}, {TERM:d}]\n"


def ends(between: str, prefix: Sequence[str] = ()) -> Iterator[Promise]:
    for first, second in ((int(TERM), int(INT)), (int(INT), int(TERM)), (int(TERM), int(TERM))):
        yield Promise(check_signals, "", [between], first=first, second=second, prefix=prefix)


test_promise, test_twin = promises(
    *ends("install"), Promise(check_signals_at_once, "", ["python"], third=int(TERM))
)
test_the_first_process_of_a_container, test_a_default_that_it_does_not_get = map(
    needs_root, promises(*ends("default", AS_PID_1))
)


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


def test_what_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU time, and a quarter of the rest."""
    spent = []
    for passed, worked in ((100, 10), (200, 110), (300, 110), (400, 150)):
        monkeypatch.setattr("time.thread_time_ns", lambda worked=worked: worked)
        monkeypatch.setattr("time.monotonic_ns", lambda passed=passed: passed)
        spent.append(SystemClock().spent())
    assert [after - before for before, after in pairwise(spent)] == [100, 25, 55]
