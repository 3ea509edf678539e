"""What the loop does for outputs that are asked: it wakes, reads, commits, and only then has them answer.

In simulated time, each promise with a broken twin of the loop.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from qps_service.files.kernel import Files
from qps_service.following import generation
from qps_service.ledger.database import LedgerUnavailable
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import Answers
from qps_service.service.daemon import HINTS_APART, Daemon
from qps_service.service.pipeline import LogPipeline
from qps_service.text.units import MILLISECOND
from qps_service.values.reports import Overview
from tests.limits import Doubled
from tests.promised import nothing, promises, twin
from tests.unit.daemons import SECOND, START, Service, SlowFiles, served_by


class Asked(Answers):
    """An output whose client asks when a test says so."""

    name = "asked"

    def __init__(self) -> None:
        self.trouble = Trouble(lambda notice: None, "")
        self.service: Service
        self.is_sent = self.is_taken = self.is_connected = False
        self.takes = 0  # nanoseconds, to serve who connects
        self.wants: int | None = None  # when to be flushed
        self.flushed: list[float] = []  # seconds since the start
        self.behind: list[bool] = []  # what it was told while somebody asked
        self.answers: list[tuple[float, int, int]] = []  # when, lines that were told, requests in the ledger
        self.overviews: list[Overview] = []
        self.took: list[tuple[int, int]] = []  # nanoseconds: the look before, and what is done for their sake

    def send(self) -> None:
        self.is_sent = True

    def connect(self) -> None:
        self.is_connected = True

    def flush(self, now: int) -> None:
        self.flushed.append((now - START) / SECOND)
        if self.is_connected:
            self.service.world.elapse(self.takes)
        self.is_connected = False
        self.is_taken = self.is_sent
        if self.wants is not None and now >= self.wants:
            self.wants = None

    def due(self) -> int | None:
        return self.wants

    def fileno(self) -> int:
        return 99

    def is_ready(self) -> bool:
        return self.is_connected or (self.is_sent and not self.is_taken)

    def wanted(self) -> int | None:
        return 0 if self.is_taken else None

    def asked(self, now: int, *, is_behind: bool) -> list[str]:
        if self.is_taken:
            self.behind.append(is_behind)
        return ["client"] if self.is_taken and not is_behind else []

    def answer(
        self, asked: Sequence[str], overview: Overview, now: int, *, looked: int, committed: int
    ) -> None:
        lines = sum(log.lines for log in overview.logs)
        self.answers.append((self.service.world.seconds, lines, self.in_the_ledger()))
        self.overviews.append(overview)
        self.took.append((committed - looked, self.service.world.time - committed))
        self.is_sent = self.is_taken = False

    def in_the_ledger(self) -> int:
        with sqlite3.connect(self.service.file.with_name("ledger.db")) as ledger:
            [[requests]] = ledger.execute("SELECT total(requests) FROM totals")
        ledger.close()
        return int(requests)


def asked(root: Path, files: Files | None = None) -> tuple[Service, Asked]:
    output = Asked()
    service = Service(root, files=files, outputs=[output], ledger=str(root / "ledger.db"))
    output.service = service
    service.write(1)
    return service, output


# --- fresh, at once, and in the ledger


def tells_all_that_was_written_before_and_is_in_the_ledger(tmp_path: Path) -> None:
    service, output = asked(tmp_path)
    for second in (1.3, 2.5, 13.7):
        service.write_at(second, 10)
        service.world.hint(second + 0.1, output.send)
    service.run(15)
    assert [lines for _, lines, _ in output.answers] == [10, 20, 30]
    assert all(lines <= committed for _, lines, committed in output.answers)


def answers_at_once(tmp_path: Path) -> None:
    service, output = asked(tmp_path)
    service.world.hint(3.25, output.send)
    service.run(5)
    assert [when for when, _, _ in output.answers] == [3.25 + HINTS_APART / SECOND]


def flushes_when_it_is_due(tmp_path: Path) -> None:
    service, output = asked(tmp_path)
    output.wants = START + 5 * SECOND // 2
    service.run(4)
    assert 2.5 in output.flushed
    assert len(output.flushed) < 10


def tells_of_backlogs(tmp_path: Path) -> None:
    """One who asks in the middle of one hears of that, and its answer comes with its end."""
    service, output = asked(tmp_path, SlowFiles(0.5))
    service.write_at(3, 200_000)
    service.world.hint(3.2, output.send)
    service.run(25)
    assert output.behind[0]
    assert not output.behind[-1]
    assert [lines for _, lines, _ in output.answers] == [200_000]


def who_only_connects_costs_no_look(tmp_path: Path) -> None:
    """A byte every 50 ms, none of which is a question; and an output that is due as often."""
    service, output = asked(tmp_path)
    looks: list[float] = []
    for twentieth in range(1, 200):
        service.world.hint(twentieth / 20, output.connect)
        service.world.at(
            twentieth / 20 + 0.01, lambda: setattr(output, "wants", service.world.time + MILLISECOND)
        )
    read = LogPipeline.read

    def counted(pipeline: LogPipeline, now: int) -> Iterator[None]:
        looks.append(service.world.seconds)
        return read(pipeline, now)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LogPipeline, "read", counted)
        service.run(10)
    assert len(output.flushed) > 150
    assert len(looks) <= 13
    assert output.answers == []


def what_clients_cost_is_bounded(tmp_path: Path) -> None:
    """Whoever is served for 10 ms at a time, again and again, has a fifth of the time."""
    service, output = asked(tmp_path)
    output.takes = 10 * MILLISECOND
    for hundredth in range(1, 1200):
        service.world.hint(hundredth / 100, output.connect)
    service.run(12)
    assert 50 < len(output.flushed) < 300
    assert [round(report.seconds, 1) for report in service.reports] == [10.0, 2.0]


def who_asks_is_charged_for_no_rules(tmp_path: Path) -> None:
    """What was read is counted before, in the look: it would be counted without them."""
    service, output = asked(tmp_path)
    count = LogPipeline._count

    def slow(pipeline: LogPipeline, scanned: Any) -> None:
        service.world.elapse(SECOND // 2 if scanned.rows else 0)
        count(pipeline, scanned)

    service.write_at(3, 10)
    service.world.hint(3.2, output.send)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LogPipeline, "_count", slow)
        service.run(6)
    assert [lines for _, lines, _ in output.answers] == [10]
    assert output.took == [(SECOND // 2, 0)]


class ChargesForAll(Daemon):
    def _answer(self, now: int) -> None:
        if asked := self._outputs.asked(now, is_behind=False):
            began = self._clock.spent()
            self._pipelines.commit(now)
            self._outputs.answer(asked, self._overview(now), now, looked=began, committed=began)


class ChargesForNoLook(Daemon):
    def _answer(self, now: int) -> None:
        self._pipelines.count()
        self._spent_before = self._clock.spent()
        super()._answer(now)


class LooksForEach(Daemon):
    """Whatever outputs have to do is a reason."""

    def _wait(self) -> None:
        until = min([self._looked + SECOND, self._schedule.deadline, *self._outputs.due()])
        while self._waker.wait([99], max(0, until - self._clock.now())):
            self._waker.wait((), HINTS_APART)
            if self._clock.now() >= until or self._outputs.is_ready():
                return


class AnswersBeforeReading(Daemon):
    def _look(self) -> int:
        self._outputs.flush(self._clock.now())
        if hasattr(self, "_schedule"):
            self._answer(self._clock.now())
        return super()._look()


class CommitsAfterwards(Daemon):
    def _answer(self, now: int) -> None:
        pipelines: Any = self._pipelines
        commit, pipelines.commit = pipelines.commit, nothing
        super()._answer(now)
        pipelines.commit = commit
        commit(now)


# Answers come with the tick.
SleepsOn = twin(
    Daemon,
    "SleepsOn",
    "_wait",
    instead=lambda self: self._waker.wait((), self._looked + SECOND - self._clock.now()),
)


class IsNeverBehind(Daemon):
    def _answer(self, now: int) -> None:
        if asked := self._outputs.asked(now, is_behind=False):
            self._pipelines.commit(now)
            self._outputs.answer(asked, self._overview(now), now, looked=now, committed=now)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "PART", 1 << 20)


test_promise, test_twin = promises(
    {
        tells_all_that_was_written_before_and_is_in_the_ledger: served_by(
            AnswersBeforeReading, CommitsAfterwards
        ),
        answers_at_once: {**served_by(SleepsOn), "doubled": Doubled("service.daemon:HINTS_APART")},
        flushes_when_it_is_due: served_by(SleepsOn),
        who_only_connects_costs_no_look: served_by(LooksForEach),
        who_asks_is_charged_for_no_rules: served_by(ChargesForAll, ChargesForNoLook),
        what_clients_cost_is_bounded: [Doubled("service.daemon:REST", to=1.5)],
        tells_of_backlogs: served_by(IsNeverBehind),
    }
)


# --- how it stands


def test_nobody_who_asks_costs_no_commit_and_no_look(tmp_path: Path) -> None:
    service, output = asked(tmp_path)
    service.run(9.5)
    assert output.answers == []
    assert len(output.flushed) <= 12
    assert service.writer.commits <= 3


def test_answers_come_while_the_ledger_takes_nothing(tmp_path: Path) -> None:
    service, output = asked(tmp_path)
    commit = service.writer._write

    def full(*arguments: object) -> None:
        raise LedgerUnavailable("disk full")

    service.world.at(2, lambda: setattr(service.writer, "_write", full))
    service.world.at(6, lambda: setattr(service.writer, "_write", commit))
    service.write_at(3, 10)
    service.world.hint(4.5, output.send)
    service.world.hint(7.5, output.send)
    service.run(9)
    assert [(lines, committed) for _, lines, committed in output.answers] == [(10, 0), (10, 10)]
    assert [overview.is_written for overview in output.overviews] == [False, True]
    assert [overview.commit_failures for overview in output.overviews] == [1, 1]


def test_a_log_that_is_missing_is_told(tmp_path: Path) -> None:
    service, output = asked(tmp_path)
    service.log.unlink()
    service.world.hint(1.5, output.send)
    service.world.at(2.5, lambda: service.write(1))
    service.world.hint(4.5, output.send)
    service.run(6)
    waiting = [log.waiting for overview in output.overviews for log in overview.logs]
    assert waiting == [f"waiting for {service.log}", None]
