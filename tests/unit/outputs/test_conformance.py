"""What every output that can be configured keeps to, whoever is at its other end: one suite over the rows of
qps_service/configuration/outputs.py, with what breaks each promise. tests/unit/outputs/rigs.py has the other
ends, tests/receivers.py those that are dead or hang.

Time is simulated, sockets and files are real. What waits for a receiver stands still in a real call, which an
alarm ends.
"""

import re
import signal
import socket
import sys
import tracemalloc
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from qps_service.configuration.outputs import OUTPUTS, kind_of
from qps_service.configuration.types import GraphiteConfig, OutputConfig
from qps_service.network import tcp
from qps_service.network.tcp import Stream
from qps_service.network.udp import LAST_ROUNDS, PAUSE, Datagrams
from qps_service.notices.kinds import OUTPUT_FAILED, OUTPUT_RESUMED, Notice, Notify
from qps_service.notices.trouble import Trouble
from qps_service.outputs import graphite, metric_names
from qps_service.outputs.base import Answers, GoesOn, Output, TakesReports
from qps_service.outputs.ganglia import series
from qps_service.outputs.group import OutputGroup
from qps_service.outputs.prometheus import exposition
from qps_service.outputs.prometheus.output import PrometheusOutput
from qps_service.outputs.registry import make_output
from qps_service.reporting import report as reporting
from qps_service.values.counts import Counts, Key
from qps_service.values.latency import BOUNDS, NO_LATENCIES, Latency, LatencyKey
from qps_service.values.reports import Overview, Standing
from tests.descriptors import open_files
from tests.durations import DISTRIBUTIONS
from tests.durations import told as told_of
from tests.promised import Patches, Promise, nothing, promises, twin
from tests.receivers import DEAD, HANGING, UNCONNECTED, Ends, Receivers, tables
from tests.unit.daemons import SECOND, START, Service
from tests.unit.handed_over import AT, HOSTILE, overview, report, standing
from tests.unit.outputs.rigs import RIGS, OpenMetrics, Rig, TaggedStatsd, Told, read_config
from tests.unit.receiving import until

Patch = pytest.MonkeyPatch
Check = Callable[..., None]
Twin = Callable[[Patch, type], None]  # breaks the output's class, or what it uses
MINUTE = 60 * SECOND
PLAIN = {Key(b"GET", b"/help", 200): Counts(3, 30)}

pytestmark = pytest.mark.usefixtures("tidy_sockets")


def made(config: OutputConfig, notify: Notify, clock: Callable[[], int]) -> Output:
    """The output, in simulated time: Prometheus's asks its own clock how long an answer took."""
    output = make_output(config, notify)
    if isinstance(output, PrometheusOutput):
        output._clock = output._spent = clock
    return output


class Bench:
    """The outputs in force, and the windows that they are told of."""

    def __init__(self, configs: tuple[OutputConfig, ...], rig: Rig | None = None) -> None:
        self.said: list[Notice] = []
        self.now = START
        self.rig = rig
        self.configs = configs
        self.counts: Mapping[Key, Counts] = {}
        self.latencies = self.total_latencies = NO_LATENCIES
        self.group = OutputGroup([], lambda config: made(config, self.said.append, lambda: self.now))
        self.group.reconfigure(configs)

    @property
    def output(self) -> Output:
        [output] = self.group
        return output

    @property
    def failures(self) -> int:
        return sum(self.group.failures().values())

    def look(self) -> None:
        """A turn of the loop; those who ask are answered."""
        self.now += PAUSE
        self.group.flush(self.now)
        asked = self.group.asked(self.now, is_behind=False)
        self.group.answer(asked, overview(self.standing), self.now, looked=self.now, committed=self.now)

    @property
    def standing(self) -> Standing:
        return standing(self.counts, self.total_latencies)

    def emit(self, counts: Mapping[Key, Counts] = PLAIN) -> None:
        """A window, which comes two minutes after the last."""
        self.now += 2 * MINUTE
        self.counts = counts
        self.group.flush(self.now)
        if self.rig:
            self.rig.ask()
        window = report(counts, self.latencies)._replace(at=AT + self.now // SECOND)
        self.group.emit([window], overview(self.standing), self.now)

    def fail(self) -> None:
        """A window that cannot be delivered, which is known."""
        before = self.failures
        self.emit()

        def has_failed() -> bool:
            self.look()
            return self.failures > before

        until(has_failed)

    def window(self, counts: Mapping[Key, Counts] = PLAIN) -> Told:
        """A window, and what arrives of it."""
        assert self.rig
        rig = self.rig

        def arrived() -> bool:
            self.look()
            return not [due for due in self.group.due() if due < self.now + SECOND] and rig.is_whole()

        self.emit(counts)
        until(arrived)
        return rig.read()


# --- what is told


def hostile_routes_stay_apart_and_alone(rig: Rig) -> None:
    """Each is as many series of its own as a plain one, well-formed, and all else is as it would be."""

    def told(keys: Mapping[Key, Counts]) -> Told:
        rig.come()
        bench = Bench(read_config(rig.root, rig.table()), rig)
        found = bench.window(keys)
        bench.group.close()
        rig.go()
        assert bench.said == []
        return found

    nothing, plain = told({}), told(PLAIN)
    hostile = told({Key(text, text, 200): Counts(number, 0) for number, text in enumerate(HOSTILE, start=1)})
    assert len(plain.keys() - nothing.keys()) > 0
    assert hostile.keys() >= nothing.keys()
    assert len(hostile) - len(nothing) == len(HOSTILE) * (len(plain) - len(nothing))
    assert (rig.requests(nothing) if nothing else 0, rig.requests(plain)) == (0, 3)
    assert rig.requests(hostile) == sum(range(len(HOSTILE) + 1))


def durations_are_told(rig: Rig) -> None:
    """As the sorted list has them, with what is told of all; and nothing stale in the next window."""
    rig.come()
    bench = Bench(read_config(rig.root, rig.table()), rig)
    durations = DISTRIBUTIONS["whole seconds"]
    bench.total_latencies = {LatencyKey(b"/help", 2): told_of(durations)}
    plain, expected = bench.window(), rig.no_latency(durations)  # as the next process finds them
    assert {name: plain[name] for name in expected} == expected
    bench.latencies = bench.total_latencies
    timed, expected = bench.window(), rig.latency(durations)
    assert {name: timed[name] for name in expected} == expected
    bench.latencies = NO_LATENCIES
    after, expected = bench.window(), rig.no_latency(durations)
    assert {name: after[name] for name in expected} == expected
    assert expected or not after.keys() & (timed.keys() - plain.keys())
    bench.group.close()
    rig.go()
    assert bench.said == []


def told_one_bin_off(patch: Patch, _: type) -> None:
    """As with bounds that are exclusive."""
    right: Any = Latency.quantiles
    lower = dict(zip(BOUNDS[1:], BOUNDS, strict=False))
    patch.setattr(Latency, "quantiles", lambda *asked: [lower.get(each, each) for each in right(*asked)])
    patch.setattr(exposition, "bisect_left", bisect_right)


# --- trouble


def trouble_is_said_once(rig: Rig) -> None:
    """Once while it lasts, however often it is counted, and once more when it works again."""
    bench = Bench(read_config(rig.root, rig.table()), rig)
    expected = []
    for _ in range(2 if rig.can_go else 1):
        for _ in range(3):
            bench.fail()
        expected.append(OUTPUT_FAILED)
        assert [notice.kind for notice in bench.said] == expected
        rig.come()
        for _ in range(3):
            bench.window()
        expected.append(OUTPUT_RESUMED)
        assert [notice.kind for notice in bench.said] == expected
        rig.go()
    assert [notice.text for notice in bench.said[:2]] == [rig.failure, rig.resumed]
    bench.group.close()


# --- a reload


def what_goes_leaves_nothing(rig: Rig) -> None:
    """What stays is the same, and goes on; what goes has nothing open, and its place can be taken at once."""
    rig.come()
    rig.go()
    before = open_files()
    rig.come()
    bench = Bench(read_config(rig.root, rig.table()), rig)
    first, output = bench.window(), bench.output
    bench.group.reconfigure(bench.configs)
    assert bench.output is output
    assert bench.window().keys() == first.keys()
    bench.group.reconfigure([])
    assert not list(bench.group)
    rig.go()
    assert open_files() <= before
    rig.come()
    bench.group.reconfigure(bench.configs)
    assert bench.window().keys() == first.keys()
    bench.group.close()
    rig.go()
    assert open_files() <= before
    assert bench.said == []


# --- the end


def an_end_is_bounded(rig: Rig, slept: list[float]) -> None:
    """With somebody who takes nothing any longer: a second at the end, nothing when it is dismissed."""
    for dismissed in (True, False):
        (place := rig.root / f"{dismissed}").mkdir()
        receivers = Receivers(place)
        before = open_files()
        bench = Bench(read_config(rig.root, tables({rig.output: UNCONNECTED[rig.output]}, receivers)))
        for _ in range(3):
            bench.emit(WIDEST)
            receivers.call()
            bench.look()
        bench.group.reconfigure([]) if dismissed else bench.group.close()
        assert round(sum(slept), 3) <= (0 if dismissed else LAST_ROUNDS * PAUSE / 1e9)
        slept.clear()
        receivers.close()
        assert open_files() <= before


LIMIT = 1 << 18  # bytes
WIDE = {Key(b"GET", b"/%d" % number + b"x" * 100, 200): Counts(1, 1) for number in range(200)}
WIDEST = {Key(b"GET", b"/%d" % number + b"x" * 100, 200): Counts(1, 1) for number in range(1000)}


# --- memory


def memory_is_bounded(rig: Rig) -> None:
    """With somebody who takes nothing, what waits does not grow with the windows."""
    receivers = Receivers(rig.root)
    bench = Bench(read_config(rig.root, tables({rig.output: HANGING[rig.output]}, receivers)))
    sizes = []
    tracemalloc.start()
    for number in range(32):
        bench.emit(WIDE)
        if number < 8:
            receivers.call()
        bench.look()
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    bench.group.close()
    receivers.close()
    assert sizes[-1] - sizes[-17] < LIMIT  # 16 windows have many times as much


# --- questions


def questions_change_nothing(rig: Rig) -> None:
    """Asked twice, they tell the same, and leave the output as it was."""
    rig.come()
    bench = Bench(read_config(rig.root, rig.table()), rig)
    bench.emit()
    rig.ask()
    output = bench.output
    assert output.name == kind_of(bench.configs[0]).name == rig.output
    before = state(output)
    for _ in range(2):
        if isinstance(output, GoesOn):
            output.due()
        if isinstance(output, Answers):
            output.fileno()
            output.is_ready()
            output.asked(bench.now, is_behind=False)
        assert state(output) == before
    bench.group.close()
    rig.go()


def state(part: Any) -> Any:
    """Of an output, and of ours that it is made of."""
    if type(part).__module__.startswith("qps_service.") and hasattr(part, "__dict__"):
        return {name: state(value) for name, value in vars(part).items()}
    return repr(part)


# --- with the service

INTERVAL = 10  # seconds
HANGS = 120.0  # seconds of real time, in which a run of seconds comes to its end


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


class Run:
    """A service with these outputs, whose log grows by a line a route in each window, and is rotated."""

    def __init__(self, root: Path, outputs: str, windows: int, routes: int = 300) -> None:
        self.root, self.windows = root, windows
        self.routes = [routes + number for number in range(windows)]  # one more in each
        text = f'interval = "{INTERVAL}s"\n[log.access]\npath = "{root}/access.log"\nstart = "start"\n'
        self.service = Service(root, text + outputs)
        self.said: list[Notice] = []
        self.outputs = OutputGroup(
            [self.service.recorder], lambda config: made(config, self.said.append, self.service.world.now)
        )
        self.service.daemon._outputs = self.outputs
        for number in range(windows):
            self.service.world.at(number * INTERVAL + 5.5, partial(self._grow, number))
        self.service.world.signal(windows * INTERVAL + 9.8, signal.SIGTERM)

    def _grow(self, number: int) -> None:
        with self.service.log.open("ab") as file:
            # So long that the metrics of 40 windows fill any buffer between two sockets.
            for route in range(self.routes[number]):
                file.write(b"10.0.0.1\tGET /%s%d\t200\t10\n" % (b"x" * 150, route))
        if number % 7 == 3:
            self.service.log.rename(self.root / f"access.log.{number}")

    def to_its_end(self, patience: float = HANGS) -> None:
        """Every report on the grid's point, over exactly one interval, with every line of it."""
        try:
            with alarm(patience):
                self.service.daemon.run()
        finally:
            self.outputs.close()
            self.service.writer.close()
        *reports, last = self.service.reports
        grid = [INTERVAL * number for number in range(1, self.windows + 1)]
        assert [report.at - START // SECOND for report in reports] == grid
        assert {report.seconds for report in reports} == {INTERVAL}
        assert [report.requests for report in reports] == self.routes
        assert {row.requests for report in reports for row in report.rows} == {1}
        assert (last.requests, last.rejected) == (0, 0)
        assert not [notice.text for notice in self.said if "has a fault" in notice.text]

    @property
    def failed(self) -> list[str]:
        return [notice.text for notice in self.said if notice.kind is OUTPUT_FAILED]


ENDS = {"dead": DEAD, "hanging": HANGING, "unconnected": UNCONNECTED}


def no_end_disturbs(root: Path, ends: Ends, patience: float = HANGS) -> None:
    """The failure of each is said once at most, where nobody is there exactly once, and counted."""
    receivers = Receivers(root)
    run = Run(root, tables(ends, receivers), windows=40)
    run.service.world.at(1, receivers.call)
    try:
        run.to_its_end(patience)
    finally:
        receivers.close()
    assert len(set(run.failed)) == len(run.failed) <= len(ends), run.failed
    if ends.items() <= DEAD.items():
        assert len(run.failed) == len(ends)
        assert all(run.service.recorder.overviews[-1].output_failures[name] >= 1 for name in ends)


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
def test_no_end_disturbs(ends: Ends, tmp_path: Path, slept: list[float]) -> None:
    """All outputs together."""
    no_end_disturbs(tmp_path, ends)


class Blocks(TakesReports):  # of the output to Graphite: waits for a connection, and to be read
    name = "graphite"

    def __init__(self, config: GraphiteConfig, notify: Notify) -> None:
        self.trouble = Trouble(notify, "works")
        self._address = config.host, config.port
        self._socket = socket.socket()
        self._is_connected = False

    def emit(self, reports: object, overview: object, now: int) -> None:
        if not self._is_connected:
            self._socket.connect(self._address)
            self._is_connected = True
        self._socket.sendall(bytes(100_000))

    def close(self, *, wait: bool = True) -> None:
        self._socket.close()


@pytest.mark.twin
def test_an_end_that_is_waited_for_is_caught(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(graphite, "GraphiteOutput", Blocks)
    with pytest.raises(Waits):
        no_end_disturbs(tmp_path, {"graphite": UNCONNECTED["graphite"]}, 1.5)


def what_is_counted_is_told(rig: Rig) -> None:
    """By way of the service: each window's requests, or those since the beginning."""
    told: list[float] = []
    run = Run(rig.root, rig.table(), windows=5, routes=20)  # a window's packets fit into a buffer

    def read() -> None:
        until(rig.is_whole)
        told.append(rig.requests(rig.read()))

    rig.come()
    for number in range(1, run.windows + 1):
        run.service.world.at(number * INTERVAL + 0.5, rig.ask)
        run.service.world.at(number * INTERVAL + 9.5, read)
    run.to_its_end()
    assert told == (run.routes if rig.tells_windows else list(accumulate(run.routes)))
    assert run.said == []
    rig.go()


# --- what breaks them


def naming(change: Callable[[bytes], str]) -> Twin:
    """Routes are named so."""

    def name_of(log: str, route: bytes | None = None, status: int = 0) -> str:
        return f"qps_{log}_{change(route or b'total')}_{status}"

    def rename(patch: Patch, output: type) -> None:
        patch.setattr(metric_names.Alphabet, "spell", lambda self, text: change(text))
        patch.setattr(series, "name_of", name_of)
        patch.setattr(reporting, "show", change)
        patch.setattr(exposition, "show", change)

    return rename


def cleaned(text: bytes) -> str:
    return re.sub("[^A-Za-z0-9]", "_", text.decode(errors="replace"))[:60]


def spoil(patch: Patch, base: type, method: str, **how: Callable[[Any], object]) -> None:
    """Make `base` itself a twin."""
    patch.setattr(base, method, getattr(twin(base, base.__name__, method, **how), method))


def say_each(patch: Patch, output: type) -> None:
    spoil(patch, Trouble, "failed", first=lambda self: vars(self).update(is_failing=False))


def be_silent(patch: Patch, output: type) -> None:
    patch.setattr(Trouble, "works", nothing)


def leak(patch: Patch, output: type) -> None:
    patch.setattr(output, "close", nothing)


def make_anew(patch: Patch, output: type) -> None:
    """Whatever the configuration has, at each reload."""
    spoil(patch, OutputGroup, "reconfigure", first=lambda group: group._chosen.clear())


def wait_when_dismissed(patch: Patch, output: type[Output]) -> None:
    close = output.close
    patch.setattr(output, "close", lambda self, *, wait=True: close(self))


def hoard(patch: Patch, output: type) -> None:
    """What was told stays."""
    kept: list[bytes] = []
    told = "flush" if issubclass(output, Answers) else "emit"
    spoil(patch, output, told, first=lambda self: kept.append(bytes(LIMIT // 8)))


def remember_the_question(patch: Patch, output: type) -> None:
    spoil(patch, output, "due", then=lambda self: vars(self).setdefault("asked_before", []).append(1))


def tell_old_numbers(patch: Patch, output: type) -> None:
    """As they were in the first window."""
    told = "answer" if issubclass(output, Answers) else "emit"
    tell, first = getattr(output, told), []

    def tell_again(self: Any, what: Any, overview: Overview, now: int, **spent: int) -> None:
        # Its counts go on.
        logs = tuple(log._replace(counts=dict(log.counts)) for log in overview.logs)
        first.append((what, overview._replace(logs=logs)))
        tell(self, what if told == "answer" else first[0][0], first[0][1], now, **spent)

    patch.setattr(output, told, tell_again)


OF_ALL = frozenset(OUTPUTS)
THAT_SEND = frozenset({"ganglia", "statsd", "graphite"})
# Check, and what it catches: how the output is broken, and which can be.
CHECKS: list[tuple[Check, dict[str, tuple[Twin, frozenset[str]]]]] = [
    (hostile_routes_stay_apart_and_alone, {"merges names": (naming(cleaned), OF_ALL)}),
    (durations_are_told, {"one bin off": (told_one_bin_off, OF_ALL)}),
    (trouble_is_said_once, {"says each": (say_each, OF_ALL), "is never glad": (be_silent, OF_ALL)}),
    (what_goes_leaves_nothing, {"leaks": (leak, OF_ALL - {"textfile"}), "is made anew": (make_anew, OF_ALL)}),
    (an_end_is_bounded, {"waits when dismissed": (wait_when_dismissed, THAT_SEND)}),
    (memory_is_bounded, {"hoards": (hoard, OF_ALL)}),
    (what_is_counted_is_told, {"tells old numbers": (tell_old_numbers, OF_ALL)}),
    (questions_change_nothing, {"remembers": (remember_the_question, THAT_SEND | {"prometheus"})}),
]


@pytest.fixture(autouse=True)
def slept(monkeypatch: Patch) -> list[float]:
    """How long transports would have slept at their ends, in seconds."""
    times: list[float] = []
    for transport in (Datagrams, Stream):
        monkeypatch.setitem(transport.__init__.__kwdefaults__, "sleep", times.append)  # type: ignore[arg-type]
    return times


class OfOutput(Promise):
    """What holds for each output, at whose other end is such a rig."""

    def _bind(self, part: Callable[[Path], Rig], request: pytest.FixtureRequest) -> Callable[[], object]:
        request.getfixturevalue("monkeypatch").setattr(tcp, "LIMIT", LIMIT // 2)
        return super()._bind(part(request.getfixturevalue("tmp_path")), request)

    def catch(self, twin: Twin, request: pytest.FixtureRequest) -> None:
        module, _, name = OUTPUTS[self._real.output].factory.partition(":")
        twin(request.getfixturevalue("monkeypatch"), getattr(import_module(module), name))
        super().catch(self._real, request)


def every_output_is_held() -> None:
    for ends in (DEAD, HANGING, UNCONNECTED):
        assert ends.keys() == OUTPUTS.keys(), "an output without a dead or a hanging receiver"
    assert {rig.output for rig in RIGS} == OUTPUTS.keys(), "an output without a rig"


test_promise, test_twin = promises(
    *(
        OfOutput(
            check,
            rig,
            {
                name: twin
                for name, (twin, outputs) in twins.items()
                if rig.output in outputs and rig not in (OpenMetrics, TaggedStatsd)  # in another dress
            },
            caught=(ValueError, KeyError),
            label=rig.__name__,
        )
        for check, twins in CHECKS
        for rig in RIGS
    ),
    Promise(
        every_output_is_held, None, [Patches((sys.modules[__name__], "OUTPUTS", {**OUTPUTS, "new": None}))]
    ),
)
