"""The outputs in force: they come and go with the configuration, and none of them harms the others."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from qps_service.configuration.types import (
    GraphiteConfig,
    JournalConfig,
    JsonConfig,
    OutputConfig,
    PrometheusConfig,
    TextfileConfig,
)
from qps_service.notices.kinds import OUTPUT_FAILED, Notice, Notify
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import Answers, HasFiles, Output, OutputClosed, TakesReports
from qps_service.outputs.group import OutputGroup
from tests.promised import Promise, promises
from tests.unit.handed_over import OVERVIEW, report

JSON, TEXT = JsonConfig("/x"), TextfileConfig("/x")
HERE, THERE = GraphiteConfig("here", 2003, "qps"), GraphiteConfig("there", 2003, "qps")
Kind = type[OutputGroup]


def noted(what: str) -> Any:
    """A method that keeps what is done, and raises what it is given."""

    def note(self: "Recorder", *_: object, wait: bool = True, **__: object) -> None:
        self.log.append(f"{what if wait else 'dismiss'} {self.mark}")
        if self.fault:
            raise self.fault

    return note


class Recorder(TakesReports, Answers, HasFiles):
    name = "recorder"
    emit, flush, answer, reopen, close = map(noted, ("emit", "flush", "answer", "reopen", "close"))

    def __init__(self, notify: Notify, log: list[str], mark: object) -> None:
        self.trouble = Trouble(notify, "works")
        self.fault: Exception | None = None
        self.log, self.mark = log, mark

    def fileno(self) -> int:
        return 7

    def is_ready(self) -> bool:
        return self.mark == THERE

    def asked(self, now: int, *, is_behind: bool) -> list[object]:
        return [] if is_behind else [self.mark]

    def wanted(self) -> int | None:
        return 4 if self.mark == THERE else None

    def due(self) -> int | None:
        return 5 if self.mark == THERE else None


class Scene:
    def __init__(self, kind: Kind, *configs: OutputConfig) -> None:
        self.log: list[str] = []
        self.said: list[Notice] = []
        self.outputs = kind([], self._make)
        self.turns_to(*configs)

    def _make(self, config: OutputConfig) -> Output:
        self.log.append(f"make {config}")
        return Recorder(self.said.append, self.log, config)

    def turns_to(self, *configs: OutputConfig) -> list[str]:
        """What is done for this configuration."""
        self.log.clear()
        self.outputs.reconfigure(configs)
        return list(self.log)

    def fails(self, fault: Exception) -> None:
        """The first of them will."""
        first = next(iter(self.outputs))
        assert isinstance(first, Recorder)
        first.fault = fault


def outputs_come_and_go(kind: Kind) -> None:
    scene = Scene(kind)
    assert scene.turns_to(HERE, JSON) == [f"make {HERE}", f"make {JSON}"]
    assert scene.turns_to(THERE, JSON) == [f"dismiss {HERE}", f"reopen {JSON}", f"make {THERE}"]
    assert scene.turns_to() == [f"dismiss {THERE}", f"dismiss {JSON}"]
    assert not list(scene.outputs)
    # Two kinds with the same values are two.
    alike = PrometheusConfig(*TEXT)  # type: ignore[arg-type]  # no address has the form of a path
    assert scene.turns_to(alike, TEXT) == [f"make {alike}", f"make {TEXT}"]
    assert scene.turns_to(TEXT) == [f"dismiss {alike}", f"reopen {TEXT}"]


class MakesFirst(OutputGroup):  # the new one finds its address taken by the old one
    def reconfigure(self, configs: Sequence[OutputConfig], journal: JournalConfig | None = None) -> None:
        before = dict(self._chosen)
        assert self._make
        self._chosen = [(config, before.get(config) or self._make(config)) for config in configs]
        for config, output in before.items():
            assert isinstance(output, Recorder)
            output.reopen() if config in configs else output.close(wait=False)


class ByValue(OutputGroup):  # tuples of two kinds with the same values are one
    def reconfigure(self, configs: Sequence[OutputConfig], journal: JournalConfig | None = None) -> None:
        super().reconfigure(list(dict.fromkeys(configs)))


test_promise, test_twin = promises(Promise(outputs_come_and_go, OutputGroup, [MakesFirst, ByValue]))


CALLS: dict[str, Callable[[OutputGroup], object]] = {
    "emit": lambda outputs: outputs.emit([report({})], OVERVIEW, 0),
    "flush": lambda outputs: outputs.flush(0),
    "answer": lambda outputs: outputs.answer(
        outputs.asked(0, is_behind=False), OVERVIEW, 0, looked=0, committed=0
    ),
    "reopen": lambda outputs: outputs.reconfigure([HERE, JSON]),
    "close": lambda outputs: outputs.close(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_fault_of_one_is_said_once_and_touches_no_other(call: str) -> None:
    scene = Scene(OutputGroup, HERE, JSON)
    fault = UnicodeEncodeError("ascii", "é", 0, 1, "no such letter")
    scene.fails(fault)
    scene.log.clear()
    for _ in range(2):
        CALLS[call](scene.outputs)
    assert scene.log == [f"{call} {HERE}", f"{call} {JSON}"] * 2
    text = f"the output recorder has a fault: UnicodeEncodeError: {fault}"
    assert scene.said == [Notice(OUTPUT_FAILED, text)]
    assert scene.outputs.failures() == {"recorder": 0}  # of the second, which has the same name here
    scene.fails(OutputClosed())  # a reader who has gone is told on
    with pytest.raises(OutputClosed):
        CALLS[call](scene.outputs)


def test_questions_are_those_of_all() -> None:
    scene = Scene(OutputGroup, HERE, THERE)
    assert scene.outputs.due() == [5]
    assert scene.outputs.filenos() == [7, 7]
    assert scene.outputs.is_ready()
    assert [clients for _, clients in scene.outputs.asked(0, is_behind=False)] == [[HERE], [THERE]]
    assert scene.outputs.asked(0, is_behind=True) == []
    assert not Scene(OutputGroup, HERE).outputs.is_ready()
