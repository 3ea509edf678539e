"""The outputs in force: those that always are, and those that come and go with the configuration.

Promise: whatever goes wrong within one of them, a mistake of ours that something in a log brings to light
included, is said, and touches neither the others nor the counting. Only OutputClosed passes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec

from qps_service.configuration.types import JournalConfig, OutputConfig
from qps_service.outputs.base import Answers, GoesOn, HasFiles, Output, OutputClosed, TakesReports
from qps_service.outputs.journal import JournalOutput
from qps_service.values.reports import Overview, Report

_P = ParamSpec("_P")


class OutputGroup:
    """All of them, as if they were one. Times are CLOCK_BOOTTIME nanoseconds."""

    def __init__(self, fixed: Sequence[Output], make: Callable[[OutputConfig], Output] | None = None) -> None:
        """`make` never fails: an output that can't work says so, and tries again."""
        self._fixed = list(fixed)
        self._make = make
        self._chosen: list[tuple[OutputConfig, Output]] = []

    def __iter__(self) -> Iterator[Output]:
        yield from self._fixed
        for _, output in self._chosen:
            yield output

    def reconfigure(self, configs: Sequence[OutputConfig], journal: JournalConfig | None = None) -> None:
        """Go on with these; those that are as they were stay, and open their files anew."""
        for output in self._fixed:
            if journal and isinstance(output, JournalOutput):
                output.config = journal
        # Two of a kind are compared: as tuples, those of two kinds may be equal.
        before = {(type(config), config): output for config, output in self._chosen}
        after = {(type(config), config): before.get((type(config), config)) for config in configs}
        # Those that go do so first: the new ones may want their addresses.
        for key, output in before.items():
            if key not in after:
                _guard(output, output.close, wait=False)
            elif isinstance(output, HasFiles):
                _guard(output, output.reopen)
        if self._make:
            self._chosen = [(config, output or self._make(config)) for (_, config), output in after.items()]

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        """Hand over the reports of a window. Raises OutputClosed."""
        for output in self:
            if isinstance(output, TakesReports):
                _guard(output, output.emit, reports, overview, now)

    def flush(self, now: int) -> None:
        """Let each go on with what it held back, and take in what it was sent. Raises OutputClosed."""
        for output in self:
            if isinstance(output, GoesOn):
                _guard(output, output.flush, now)

    def due(self) -> list[int]:
        """When `flush` is to be called at the latest."""
        dues = (output.due() for output in self if isinstance(output, GoesOn))
        return [due for due in dues if due is not None]

    def filenos(self) -> list[int]:
        """What to poll while the loop sleeps."""
        numbers = (output.fileno() for output in self if isinstance(output, GoesOn))
        return [number for number in numbers if number is not None]

    def is_ready(self) -> bool:
        """Whether any of these is readable."""
        return any(output.is_ready() for output in self if isinstance(output, Answers))

    def wanted(self) -> int | None:
        """When the logs are to be looked at, since somebody has asked; None if nobody waits."""
        wanted = (output.wanted() for output in self if isinstance(output, Answers))
        return min((each for each in wanted if each is not None), default=None)

    def asked(self, now: int, *, is_behind: bool) -> list[tuple[Answers, Sequence[Any]]]:
        """Who is to be answered now, and by which; `is_behind`, while logs have a backlog."""
        answering = (output for output in self if isinstance(output, Answers))
        asked = ((output, output.asked(now, is_behind=is_behind)) for output in answering)
        return [(output, clients) for output, clients in asked if clients]

    def answer(
        self,
        asked: Sequence[tuple[Answers, Sequence[Any]]],
        overview: Overview,
        now: int,
        *,
        looked: int,
        committed: int,
    ) -> None:
        """Let these be answered."""
        for output, clients in asked:
            _guard(output, output.answer, clients, overview, now, looked=looked, committed=committed)

    def failures(self) -> dict[str, int]:
        """How often each failed so far, by its name."""
        return {output.name: output.trouble.failures for output in self}

    def failing(self) -> list[str]:
        """The names of those that fail now."""
        return [output.name for output in self if output.trouble.is_failing]

    def close(self) -> None:
        """The program ends: let each deliver what it can. Raises OutputClosed."""
        for output in self:
            _guard(output, output.close)


def _guard(output: Output, call: Callable[_P, None], *arguments: _P.args, **named: _P.kwargs) -> None:
    try:
        call(*arguments, **named)
    except OutputClosed:
        raise
    except Exception as error:
        output.trouble.failed(f"the output {output.name} has a fault: {type(error).__name__}: {error}")
