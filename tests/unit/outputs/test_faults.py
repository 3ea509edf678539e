"""With every receiver dead or hanging: reports keep their grid, counts are exact, the loop never waits.

Time is simulated, sockets and files are real. What waits for a receiver stands still in a real call, which an
alarm ends.
"""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import pytest

from qps_service.configuration.settings import OUTPUTS
from qps_service.configuration.types import GraphiteConfig, OutputConfig
from qps_service.notices.kinds import OUTPUT_FAILED, Notice, Notify
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import Output, OutputClosed
from qps_service.outputs.group import OutputGroup
from qps_service.outputs.registry import make_output
from tests.receivers import DEAD, HANGING, UNCONNECTED, Ends, Receivers, tables
from tests.unit.daemons import SECOND, START, Service, World

Make = Callable[[OutputConfig, Notify], Output]

INTERVAL = 10  # seconds
WINDOWS = 40
ROUTES = 300
# Long enough for all of a window's metrics to fill any buffer between two sockets within these windows.
NAME = b"/" + b"x" * 150
HANGS = 120.0  # seconds of real time, in which a run of seconds comes to its end


def line(route: int) -> bytes:
    return b"10.0.0.1\tGET %s%d\t200\t10\n" % (NAME, route)


class Waits(BaseException):
    """The loop stood still. No output's fault: that would be said, and the run would go on."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise Waits in whatever takes longer."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Waits

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Result(NamedTuple):
    """What came of a run."""

    service: Service
    outputs: dict[str, Output]
    said: list[Notice]


def run(root: Path, ends: Ends, make: Make, patience: float) -> Result:
    """A service with these outputs, whose log grows by a line a route in each window, and is rotated."""
    receivers = Receivers(root)
    text = f'interval = "{INTERVAL}s"\n[log.access]\npath = "{root}/access.log"\nstart = "start"\n'
    service = Service(root, text + tables(ends, receivers))
    said: list[Notice] = []
    outputs = OutputGroup([service.recorder], lambda config: make(config, said.append))
    service.daemon._outputs = outputs

    def window(number: int) -> None:
        with service.log.open("ab") as file:
            file.write(b"".join(map(line, range(ROUTES))))
        if number % 7 == 3:
            service.log.rename(root / f"access.log.{number}")

    for number in range(WINDOWS):
        service.world.at(number * INTERVAL + 5.5, partial(window, number))
    service.world.at(1, receivers.call)
    service.world.signal(WINDOWS * INTERVAL + 2, signal.SIGTERM)
    try:
        with alarm(patience):
            service.daemon.run()
    finally:
        outputs.close()
        receivers.close()
        service.writer.close()
    return Result(service, {output.name: output for output in outputs}, said)


def check(root: Path, ends: Ends, make: Make = make_output, *, patience: float = HANGS) -> Result:
    """Every report on the grid's point, over exactly one interval, with every line of it."""
    result = run(root, ends, make, patience)
    *reports, last = result.service.reports
    assert [report.at - START // SECOND for report in reports] == [
        INTERVAL * number for number in range(1, WINDOWS + 1)
    ]
    assert {report.seconds for report in reports} == {INTERVAL}
    assert {report.requests for report in reports} == {ROUTES}
    assert (last.requests, last.rejected) == (0, 0)
    for report in reports:
        assert {row.requests for row in report.rows} == {1}
        assert len(report.rows) == ROUTES
    assert not [notice.text for notice in result.said if "has a fault" in notice.text]
    return result


# --- every output


def check_all_are_covered() -> None:
    for ends in (DEAD, HANGING, UNCONNECTED):
        assert ends.keys() == OUTPUTS.keys(), "an output without a dead or a hanging receiver"


def test_all_outputs_are_covered() -> None:
    check_all_are_covered()


@pytest.mark.twin
def test_all_outputs_are_covered_catches_its_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OUTPUTS, "new", ())
    with pytest.raises(AssertionError, match="an output without"):
        check_all_are_covered()


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("ends", [DEAD, HANGING, UNCONNECTED], ids=["dead", "hanging", "unconnected"])
def test_one_output(name: str, ends: Ends, tmp_path: Path) -> None:
    """Its failure is said once, and counted at each window that it takes."""
    result = check(tmp_path, {name: ends[name]})
    failed = [notice for notice in result.said if notice.kind is OUTPUT_FAILED]
    assert len(failed) <= 1, failed
    if ends is DEAD:
        assert len(failed) == 1
        assert result.outputs[name].trouble.failures >= 1
        assert result.service.recorder.overviews[-1].output_failures[name] >= 1


@pytest.mark.parametrize("ends", [DEAD, HANGING, UNCONNECTED], ids=["dead", "hanging", "unconnected"])
def test_all_outputs(ends: Ends, tmp_path: Path) -> None:
    result = check(tmp_path, ends)
    failed = [notice.text for notice in result.said if notice.kind is OUTPUT_FAILED]
    assert len(failed) <= len(ends), failed
    if ends is DEAD:
        assert len(failed) == len(ends), failed


# --- what is caught


class Twin(Output):
    """A broken twin of the output to Graphite."""

    name = "graphite"

    def __init__(self, config: OutputConfig, notify: Notify) -> None:
        assert isinstance(config, GraphiteConfig)
        self.trouble = Trouble(notify, "works")
        self._address = config.host, config.port
        self._socket = socket.socket()
        self._is_connected = False

    def emit(self, reports: object, overview: object, now: int) -> None:
        if not self._is_connected:
            self._socket.connect(self._address)
            self._is_connected = True
        self._socket.sendall(bytes(100_000))

    def close(self) -> None:
        self._socket.close()


class Quits(Twin):
    """A broken twin: takes a receiver that is not there for the end."""

    def emit(self, reports: object, overview: object, now: int) -> None:
        try:
            self._socket.connect(self._address)
        except ConnectionRefusedError as error:
            raise OutputClosed from error


class Spins(Twin):
    """A broken twin: has the loop look again at once, and again."""

    def emit(self, reports: object, overview: object, now: int) -> None:
        self._now = now

    def due(self) -> int | None:
        return 0


class SaysEach(Twin):
    """A broken twin: says each failure."""

    def emit(self, reports: object, overview: object, now: int) -> None:
        self.trouble._is_failing = False
        self.trouble.failed("refused")


@pytest.mark.twin
@pytest.mark.parametrize("twin", [Quits, Twin], ids=["ends", "fails"])
def test_what_a_dead_receiver_must_not_do_is_caught(twin: Make, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check(tmp_path, {"graphite": DEAD["graphite"]}, twin)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("twin", "ends"),
    [(Twin, HANGING), (Twin, UNCONNECTED), (Spins, HANGING)],
    ids=["writes", "connects", "spins"],
)
def test_who_waits_is_caught(twin: Make, ends: Ends, tmp_path: Path) -> None:
    with pytest.raises(Waits):
        check(tmp_path, {"graphite": ends["graphite"]}, twin, patience=1.5)


@pytest.mark.twin
def test_time_that_an_output_takes_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a receiver that is waited for with a timeout would take it."""
    clock = World()
    monkeypatch.setattr("tests.unit.daemons.World", lambda: clock)

    class Slow(Twin):
        def emit(self, reports: object, overview: object, now: int) -> None:
            clock.elapse(15 * SECOND)

    with pytest.raises(AssertionError):
        check(tmp_path, {"graphite": HANGING["graphite"]}, Slow)


@pytest.mark.twin
def test_who_says_each_failure_is_caught(tmp_path: Path) -> None:
    result = check(tmp_path, {"graphite": DEAD["graphite"]}, SaysEach)
    assert len([notice for notice in result.said if notice.kind is OUTPUT_FAILED]) > 1
