"""The outputs in force: they come and go with the configuration, and none of them harms the others."""

from collections.abc import Callable, Sequence

import pytest

from qps_service.configuration.types import (
    GangliaConfig,
    GraphiteConfig,
    JsonConfig,
    OutputConfig,
    StatsdConfig,
    TextfileConfig,
)
from qps_service.network.tcp import Stream
from qps_service.network.udp import Datagrams
from qps_service.notices.kinds import OUTPUT_FAILED, Notice
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import Output, OutputClosed
from qps_service.outputs.group import OutputGroup
from qps_service.outputs.registry import make_output
from qps_service.text.units import SECOND
from qps_service.values.reports import Overview, Report
from tests.unit.handed_over import OVERVIEW

REPORT = Report("access", False, 1, 1, 10.0, 0, 0.0, 0, ())
JSON, TEXT = JsonConfig("/x"), TextfileConfig("/x")
STATSD, GRAPHITE = StatsdConfig("127.0.0.1", 1, "qps", False, 1432), GraphiteConfig("127.0.0.1", 1, "qps")
GANGLIA = GangliaConfig(None, "127.0.0.1", 1, 3600 * SECOND, 10 * SECOND)
HERE, THERE = GraphiteConfig("here", 2003, "qps"), GraphiteConfig("there", 2003, "qps")


class Recorder(Output):
    """Keeps what is done with it; raises what it is given."""

    name = "recorder"

    def __init__(self, notify: Callable[[Notice], None], log: list[str], mark: object) -> None:
        self.trouble = Trouble(notify, "works")
        self.fault: Exception | None = None
        self._log = log
        self._mark = mark

    def _note(self, what: str) -> None:
        self._log.append(f"{what} {self._mark}")
        if self.fault:
            raise self.fault

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        self._note("emit")

    def flush(self, now: int) -> None:
        self._note("flush")

    def answer(self, overview: Overview, now: int) -> None:
        self._note("answer")

    def reopen(self) -> None:
        self._note("reopen")

    def close(self) -> None:
        self._note("close")

    def dismiss(self) -> None:
        self._note("dismiss")


class Scene:
    def __init__(self, kind: type[OutputGroup]) -> None:
        self.log: list[str] = []
        self.said: list[Notice] = []
        self.outputs = kind([], self._make)

    def _make(self, config: OutputConfig) -> Output:
        self.log.append(f"make {config}")
        return Recorder(self.said.append, self.log, config)


def check_coming_and_going(kind: type[OutputGroup]) -> None:
    scene = Scene(kind)
    scene.outputs.reconfigure([HERE, JSON])
    assert scene.log == [f"make {HERE}", f"make {JSON}"]
    scene.log.clear()
    scene.outputs.reconfigure([THERE, JSON])
    assert scene.log == [f"dismiss {HERE}", f"reopen {JSON}", f"make {THERE}"]
    scene.log.clear()
    scene.outputs.reconfigure([])
    assert scene.log == [f"dismiss {THERE}", f"dismiss {JSON}"]
    assert not list(scene.outputs)


def check_two_kinds_with_the_same_values(kind: type[OutputGroup]) -> None:
    scene = Scene(kind)
    scene.outputs.reconfigure([JSON, TEXT])
    assert scene.log == [f"make {JSON}", f"make {TEXT}"]
    scene.outputs.reconfigure([TEXT])
    assert scene.log[2:] == [f"dismiss {JSON}", f"reopen {TEXT}"]


class MakesFirst(OutputGroup):
    """A broken twin: the new one finds its address taken by the old one."""

    def reconfigure(self, configs: Sequence[OutputConfig]) -> None:
        before = dict(self._chosen)
        assert self._make
        self._chosen = [(config, before.get(config) or self._make(config)) for config in configs]
        for config, output in before.items():
            output.reopen() if config in configs else output.close()


class ByValue(OutputGroup):
    """A broken twin: tuples of two kinds with the same values are one."""

    def reconfigure(self, configs: Sequence[OutputConfig]) -> None:
        super().reconfigure(list(dict.fromkeys(configs)))


def test_outputs_come_and_go_with_the_configuration() -> None:
    check_coming_and_going(OutputGroup)


@pytest.mark.twin
def test_outputs_come_and_go_with_the_configuration_catches_its_twin() -> None:
    with pytest.raises(AssertionError):
        check_coming_and_going(MakesFirst)


def test_outputs_of_two_kinds_are_two() -> None:
    check_two_kinds_with_the_same_values(OutputGroup)


@pytest.mark.twin
def test_outputs_of_two_kinds_are_two_catches_its_twin() -> None:
    with pytest.raises(AssertionError):
        check_two_kinds_with_the_same_values(ByValue)


@pytest.mark.parametrize("call", ["emit", "flush", "answer", "reopen", "close"])
def test_a_fault_of_one_is_said_once_and_touches_no_other(call: str) -> None:
    scene = Scene(OutputGroup)
    scene.outputs.reconfigure([HERE, JSON])
    first, second = scene.outputs
    assert isinstance(first, Recorder)
    first.fault = UnicodeEncodeError("ascii", "é", 0, 1, "no such letter")
    scene.log.clear()
    for _ in range(2):
        {
            "emit": lambda: scene.outputs.emit([REPORT], OVERVIEW, 0),
            "flush": lambda: scene.outputs.flush(0),
            "answer": lambda: scene.outputs.answer([first, second], OVERVIEW, 0),
            "reopen": lambda: scene.outputs.reconfigure([HERE, JSON]),
            "close": scene.outputs.close,
        }[call]()
    assert scene.log == [f"{call} {HERE}", f"{call} {JSON}"] * 2
    text = f"the output recorder has a fault: UnicodeEncodeError: {first.fault}"
    assert scene.said == [Notice(OUTPUT_FAILED, text)]
    assert scene.outputs.failures() == {"recorder": 0}  # of the second, which has the same name here


def test_a_reader_who_has_gone_is_told_on() -> None:
    scene = Scene(OutputGroup)
    scene.outputs.reconfigure([HERE])
    (output,) = scene.outputs
    assert isinstance(output, Recorder)
    output.fault = OutputClosed()
    with pytest.raises(OutputClosed):
        scene.outputs.flush(0)


@pytest.mark.parametrize("config", [STATSD, GRAPHITE, GANGLIA], ids=lambda each: type(each).__name__)
def test_what_sends_is_not_waited_for_when_it_is_dismissed(
    config: OutputConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[bool] = []

    def watch(close: Callable[..., None]) -> Callable[..., None]:
        def watched(self: object, *, wait: bool = True) -> None:
            waited.append(wait)
            close(self, wait=False)

        return watched

    for transport in (Datagrams, Stream):
        monkeypatch.setattr(transport, "close", watch(transport.close))
    output = make_output(config, lambda notice: None)
    output.emit([REPORT], OVERVIEW, 0)
    output.dismiss()
    output.close()
    assert waited == [False, True]
