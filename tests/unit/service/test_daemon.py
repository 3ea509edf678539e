"""The loop in simulated time, each promise with a broken twin."""

import sqlite3
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from qps_service.configuration.loader import Flags, load
from qps_service.errors import EXIT_OK, EXIT_PROBLEM
from qps_service.ledger import ledger as ledger_module
from qps_service.ledger.database import LedgerUnavailable
from qps_service.ledger.ledger import Ledger
from qps_service.reporting.schedule import Schedule
from qps_service.reporting.text import render_text
from qps_service.service import daemon as daemon_module
from qps_service.service.daemon import Daemon
from qps_service.service.pipelines import Pipelines
from tests.promised import Patches, Promise, nothing, promises, twin
from tests.unit import daemons
from tests.unit.daemons import LINE, SECOND, Service, SlowFiles, World, requests_of, restored, served_by

# --- with twins


def counts_each_window_and_the_last_part(tmp_path: Path) -> None:
    service = Service(tmp_path)
    for second in (1, 9.5, 12, 25):
        service.write_at(second, 5)
    service.run(25.5)
    assert service.requests == [10, 5, 5]
    assert [report.seconds for report in service.reports] == [10, 10, 5.5]
    assert [report.rate for report in service.reports] == [1, 0.5, 5 / 5.5]
    assert [report.sequence for report in service.reports] == [1, 2, 3]
    assert service.recorder.closed


def a_kill_before_the_report_leaves_a_gap(tmp_path: Path) -> None:
    """In the reports' numbers: the window is in the ledger, under a number that no other report gets."""
    service = Service(tmp_path, ledger=str(tmp_path / "ledger.db"))
    service.write_at(3, 5)
    with (
        patch.object(service.recorder, "emit", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        service.run(15)
    service.writer.close()
    again = Service(tmp_path, ledger=str(tmp_path / "ledger.db"))
    again.write_at(3, 2)
    again.run(15)
    assert [report.sequence for report in again.reports] == [2, 3]
    with sqlite3.connect(tmp_path / "ledger.db") as ledger:
        windows = ledger.execute("SELECT sequence, sum(requests) FROM windows GROUP BY sequence").fetchall()
    assert windows == [(1, 5), (2, 2)]


def is_ready_after_the_first_read(tmp_path: Path) -> None:
    """A long one asks for more time, and feeds the watchdog."""
    toml = f'[log.access]\npath = "{tmp_path}/access.log"\nstart = "start"\n'
    service = Service(tmp_path, toml, watchdog=10 * SECOND, files=SlowFiles(6))
    service.write(100_000)
    service.run(300)
    ready = next(number for number, text in enumerate(service.told) if text.startswith("READY=1"))
    assert service.told[:ready].count("EXTEND_TIMEOUT_USEC=30000000") >= 3
    assert service.told[:ready].count("WATCHDOG=1") >= 5
    assert f"{100_000} requests in total" in service.told[ready]


def reports_once_after_a_suspension(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.write_at(3, 10)

    def suspend() -> None:
        service.write(30)
        service.world.time += 3600 * SECOND

    service.world.at(12, suspend)
    service.run(3640)
    assert service.requests[:2] == [10, 30]
    assert service.reports[1].seconds == pytest.approx(3602, abs=1.1)
    assert service.reports[1].rate == 30 / service.reports[1].seconds
    assert [round(report.seconds) for report in service.reports[3:]] == [10, 10]


def feeds_the_watchdog_only_while_it_moves(tmp_path: Path) -> None:
    """There is a read that takes a minute."""
    service = Service(tmp_path, watchdog=10 * SECOND, files=SlowFiles(60, start=20, end=80))
    service.write(1)
    service.run(100)
    fed = service.moments("WATCHDOG=1")
    assert [when for when in fed if when < 20] == [0, 5, 10, 15]
    assert not [when for when in fed if 21 < when < 80]
    assert [when for when in fed if 80 <= when < 100]


class EatsTheLastWindow(Daemon):
    def _heed_signals(self) -> None:
        super()._heed_signals()
        if self._stopping:
            for pipeline in self._pipelines.followed:
                pipeline.entries(0, 0, 0)
                pipeline.close_window()


def all_but_the_sequence(reading: Any, name: str) -> int:
    return 0 if name == "sequence" else META(reading, name)


META = ledger_module._meta


class ReportsFirst(Pipelines):
    """And commits then: a report whose window nobody has."""

    def commit(self, now: int, *, report: bool = False) -> bool:
        return report or super().commit(now)


ReadyFirst = twin(Daemon, "ReadyFirst", "_start", first=lambda self: self._supervisor.ready("almost"))


# A report for each grid point that was missed.
CatchesUp = twin(
    Schedule,
    "CatchesUp",
    "advance",
    instead=lambda self, _: self.__dict__.update(deadline=self.deadline + self._step),
)


def hears_signals_until_its_last_commit(tmp_path: Path, close_after: int | None) -> None:
    """And none from then on: while it reports, and to its end, also where its reader went away."""
    service = Service(tmp_path)
    heard: list[tuple[str, bool]] = []
    commit, emit = service.writer.commit, service.recorder.emit
    service.recorder.close_after = close_after

    def committed(*arguments: Any, **named: Any) -> bool:
        heard.append(("commit", service.world.hears))
        return commit(*arguments, **named)

    def emitted(*arguments: Any, **named: Any) -> None:
        heard.append(("report", service.world.hears))
        emit(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.writer, "commit", committed)
        patch.setattr(service.recorder, "emit", emitted)
        service.run(15)
    last = [] if close_after == 0 else [("report", False)]
    assert heard[len(heard) - len(last) :] == last
    assert all(hears for _, hears in heard[: len(heard) - len(last)])
    assert not service.world.hears


def a_pass_tells_what_is_in_the_ledger(tmp_path: Path) -> None:
    """Whatever that takes, or not: within a pass, at its end, and by the next, which tells the rest."""
    commit, refused = Ledger.commit, [0]  # numbers of commits

    def committed(*arguments: Any, **named: Any) -> None:
        refused[0] += 1
        if refused[0] in refused[1:]:
            raise LedgerUnavailable("disk I/O error")
        commit(*arguments, **named)

    told = []
    for refused[:] in ([0], [0, 1], [0, 1, 2, 3], [0, 2, 3], [0]):
        service = Service(tmp_path, ledger=str(tmp_path / "ledger.db"))
        service.write(3)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Ledger, "commit", committed)
            told.append((service.daemon.run(once=True), service.requests))
        service.writer.close()
    assert told == [(EXIT_OK, [0]), (EXIT_OK, [3]), (EXIT_PROBLEM, []), (EXIT_PROBLEM, []), (EXIT_OK, [9])]
    with daemons.read(tmp_path) as ledger:
        assert requests_of(restored(ledger, "access")) == 12


def gives_up(self: Pipelines, now: int, *, report: bool = False) -> bool:
    """Once something was not written."""
    return (self._writer.is_written or not report) and Pipelines.commit(self, now, report=report)


def tells_all(self: Pipelines, now: int, *, report: bool = False) -> bool:
    return Pipelines.commit(self, now, report=report) or True


A_PASS = served_by(
    twin(Pipelines, "GivesUp", "commit", instead=gives_up),
    twin(Pipelines, "TellsAll", "commit", instead=tells_all),
)


# A second signal is to end a read that hangs.
DeafFromTheStop = twin(
    Daemon, "DeafFromTheStop", "_catch_up", first=lambda self: self._stopping and self._waker.hold_back()
)


HearsToItsEnd = twin(World, "HearsToItsEnd", "hold_back", instead=nothing)


class FedByATimer(Daemon):
    """A watchdog fed by the clock, whatever the reading does."""

    def _start(self) -> None:
        for second in range(0, 100, 5):
            self._clock.at(second, lambda: self._supervisor.alive(self._clock.now()))  # type: ignore[attr-defined]
        super()._start()


HEARS = {"to its end": Patches((daemons, "World", HearsToItsEnd))}
test_promise, test_twin = promises(
    {
        counts_each_window_and_the_last_part: served_by(EatsTheLastWindow),
        a_kill_before_the_report_leaves_a_gap: {
            "forgets the number": Patches((ledger_module, "_meta", all_but_the_sequence)),
            **served_by(ReportsFirst),
        },
        is_ready_after_the_first_read: served_by(ReadyFirst),
        a_pass_tells_what_is_in_the_ledger: A_PASS,
        reports_once_after_a_suspension: [Patches((daemon_module, "Schedule", CatchesUp))],
        feeds_the_watchdog_only_while_it_moves: served_by(FedByATimer),
    },
    Promise(
        hears_signals_until_its_last_commit, None, {**served_by(DeafFromTheStop), **HEARS}, close_after=None
    ),
    Promise(hears_signals_until_its_last_commit, None, HEARS, close_after=0),
)


# --- without


def test_trouble_comes_first_in_the_status_and_goes_when_it_is_over(tmp_path: Path) -> None:
    """An output that fails, and a file that is truncated, perhaps behind what was read."""
    service = Service(tmp_path)
    trouble = service.recorder.trouble
    service.world.at(1, lambda: trouble.failed("nobody is there"))
    service.write_at(2, 20)
    service.world.at(5.5, lambda: service.log.write_bytes(b""))
    service.world.at(15, trouble.works)
    service.run(25)
    trouble_in = [status.removeprefix("STATUS=").split("; ")[:-2] for status in service.told_of("STATUS=")]
    assert trouble_in[:2] == [["output recorder fails", "1 possible loss"], ["1 possible loss"]]


def test_waiting_is_the_status_until_the_log_is_there(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.write_at(15, 20)
    service.write_at(16, 5, LINE.replace(b"/a", b"/b"))
    service.run(25)
    wait = f"waiting for {service.log}; set path in {service.file}"
    assert service.told_of("READY=1") == [f"READY=1\nSTATUS={wait}"]
    told = "2.5 requests/s, 2 routes, 1 log; 25 requests in total"
    assert service.told_of("STATUS=") == [f"STATUS={wait}", f"STATUS={told}"]
    # Nobody knows whether there were requests while it was missing.
    assert [report.waiting for report in service.reports] == [f"waiting for {service.log}", None, None]
    assert [bool(render_text(report)) for report in service.reports] == [False, True, True]


def test_a_stop_in_a_long_read_is_told_at_once_and_loses_nothing(tmp_path: Path) -> None:
    service = Service(tmp_path, files=SlowFiles(1, start=1.1))
    service.write(1)
    service.write_at(2, 100_000)
    service.run(5)
    assert service.moments("STOPPING=1")[0] < 10
    assert sum(service.requests) == 100_000
    assert service.told_at[-1][0] > 15


def test_a_good_reload_keeps_counts_and_changes_the_rest(tmp_path: Path) -> None:
    service = Service(tmp_path)
    log, told = service.log, list[Any]()
    service.daemon._outputs.reconfigure = lambda *given: told.append(given)  # type: ignore[method-assign]
    service.write_at(2, 4)
    service.reload_at(5, f'interval = "2s"\n[log.access]\npath = "{log}"\nformat = "combined"\n')
    service.write_at(6, 3, b'1.2.3.4 - - [x] "GET /b HTTP/1.1" 404 5 "-" "-"\n')
    service.run(10)
    assert service.requests[0] == 7
    assert [report.seconds for report in service.reports] == [7, 2, 1]
    reloading = service.told.index(f"RELOADING=1\nMONOTONIC_USEC={5005 * 1_000_000}")
    assert service.told[reloading + 1].startswith("EXTEND_TIMEOUT_USEC=")
    assert service.told[reloading + 2].startswith("READY=1")
    assert service.said("reloaded") == ["configuration reloaded"]
    assert len(told) == 2, "outputs are told at the start and at the reload"


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("interval = ", "Invalid value"),
        ('interval = "soon"\n[log.access]\npath = "/x"\n', "interval: expected a duration"),
        (
            '[log.access]\npath = "/x"\nformat = "$uri $"\nstart = "now"\n',
            "format: expected a name after $ (character 6); ",  # on one line, without what shows the place
        ),
        ('state = "/elsewhere"\n[log.access]\npath = "/x"\n', "state: cannot change"),
        ('[log.a]\npath = "/a"\n[log.b]\npath = "/b"\n', "--name is for one log"),
    ],
)
def test_a_bad_reload_is_refused_and_said(tmp_path: Path, toml: str, problem: str) -> None:
    service = Service(tmp_path)
    service.daemon._reload_config = lambda: load(Flags(config=str(service.file), name="access"), {})
    service.write_at(2, 4)
    service.reload_at(5, toml)
    service.write_at(6, 3)
    service.run(10)
    assert service.requests == [7]
    (text,) = service.said("reload_refused")
    assert problem in text
    reloading = next(number for number, each in enumerate(service.told) if each.startswith("RELOADING"))
    assert service.told[reloading + 1].startswith("READY=1")


def test_hints_about_other_files_are_no_reason_to_look(tmp_path: Path) -> None:
    """The loop sleeps on until something happens to the log's own files."""
    service = Service(tmp_path)
    service.write(1)
    looks = service.looks()
    for millisecond in range(1100, 1900, 10):
        service.world.hint(millisecond / 1000, (tmp_path / f"other{millisecond}").touch)
    service.world.hint(1.95, lambda: service.log.rename(tmp_path / "access.log.1"))
    service.run(2.5)
    assert [begun for begun, _ in looks if 1 < begun < 2] == [1.95]


def test_files_that_come_and_go_all_the_time_do_not_keep_it_from_its_work(tmp_path: Path) -> None:
    """Hints about other files, faster than they are taken in (HINTS_APART), for as long as it runs."""
    service = Service(tmp_path, watchdog=10 * SECOND)
    for number in range(1, 30_000, 15):
        service.world.hint(number / 1000, (tmp_path / "other").touch)
        service.world.hint(number / 1000, (tmp_path / "other").unlink)
    service.run(31)
    assert [report.seconds for report in service.reports][:3] == pytest.approx([10, 10, 10], abs=0.05)
    assert len(service.told_of("WATCHDOG=1")) >= 6
