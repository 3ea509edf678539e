"""A run whose wall clock jumps is a run whose clock does not, but for the dates that it shows.

Two daemons in simulated time do the same: they count, lose something, stop, and are started again. In one of
them the wall clock is set meanwhile, by a second or by a year, for a minute or for less than a look.
"""

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qps_service.following.resume import Resume
from qps_service.ledger.ledger import Ledger
from qps_service.service.pipeline import LOSS_RECENT, LogPipeline
from qps_service.values.entries import Entry, Loss, Restored
from tests.following import Paper
from tests.promised import Patches, Promise, promises
from tests.unit.daemons import SECOND, START, Service, World

YEAR = 365 * 86_400  # seconds
STOP, START_AGAIN, END = 200, 230, 1000  # seconds
# When the wall clock is set, and how far it is ahead from then on; seconds.
JUMPS: Mapping[str, list[tuple[float, float]]] = {
    "ahead for one commit": [(29.5, YEAR), (30.2, 0)],
    "back for one commit": [(29.5, -YEAR), (30.2, 0)],
    "ahead for good": [(33, 3600)],
    "ahead while a loss is found": [(40.5, YEAR), (50.5, 0)],
    "back over the stop": [(199.5, -3600), (231, 0)],
    "ahead over the stop": [(199.5, YEAR), (231, 0)],
    "while nobody runs": [(210, YEAR)],
    "again and again": [(second + 0.3, (-1) ** second * second**2) for second in range(1, 900, 7)],
}


def run(root: Path, jumps: list[tuple[float, float]]) -> list[Any]:
    """All that two services one after the other said and stored, without its dates."""
    root.mkdir()
    told: list[Any] = []
    log = root / "access.log"
    log.touch()
    toml = f'[log.access]\npath = "{log}"\n[history]\nkeep = "10m"\n'
    for start, end in ((0, STOP), (START_AGAIN, END)):
        service = Service(root, toml, ledger=str(root / "ledger.db"))
        service.world.time = START + start * SECOND
        before = [ahead for when, ahead in jumps if when < start]
        service.world.ahead = round(before[-1] * SECOND) if before else 0
        for when, ahead in jumps:
            if start <= when < end:
                service.world.set_clock(when, ahead)
        for second in range(start, end, 3):
            service.write_at(second + 0.5, second % 5)
        if not start:
            service.world.at(40.9, lambda: os.truncate(log, 0))
        service.run(end)
        told += (
            (report.sequence, report.seconds, report.rate, report.rows, [loss.what for loss in report.losses])
            for report in service.reports
        )
    with closing(sqlite3.connect(root / "ledger.db")) as ledger:
        for query in (
            "SELECT sequence, round(ended - started, 6), route, requests FROM windows ORDER BY 1, 3",
            "SELECT * FROM totals",
        ):
            told += ledger.execute(query)
    return told


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return run(tmp_path_factory.mktemp("clocks") / "undisturbed", [])


def check_jumps(name: str, undisturbed: list[Any], tmp_path: Path) -> None:
    found = run(tmp_path / "jumps", JUMPS[name])
    assert found == undisturbed


def test_what_is_compared_has_losses_and_was_pruned(undisturbed: list[Any]) -> None:
    """A loss is told of for as long as it should be; the oldest windows are gone."""
    reports = [row for row in undisturbed if isinstance(row[-1], list)]
    telling = [number for number, *_, losses in reports if losses]
    assert telling == list(range(telling[0], telling[0] + len(telling)))
    assert 0 < len(telling) < len(reports) - telling[0]
    windows = [row for row in undisturbed if len(row) == 4]
    assert 1 < windows[0][0] < windows[-1][0]


# --- what a start goes by


def restored(**changes: Any) -> Restored:
    """The last commit was at 1,000 s of CLOCK_BOOTTIME and 5,000 s of the wall clock."""
    paper = Paper()
    paper.at, paper.ended = 5000 * SECOND, 1000 * SECOND
    return paper.restored("/log")._replace(**changes)


def check_epoch(make: Callable[..., Resume]) -> None:
    """Files' times tell how long one was quiet only if the wall clock was not set while nobody ran."""
    now = 1100 * SECOND
    for at, tells in ((5100, True), (5101, True), (5102, False), (5098, False), (YEAR, False), (1, False)):
        epoch = make(restored(), now, at * SECOND).epoch
        assert epoch == ((at - 1100) * SECOND if tells else None)
    assert make(restored(rebooted=True), now, YEAR * SECOND).epoch is not None
    assert make(None, now, YEAR * SECOND).epoch is not None
    assert make(restored(), now, 0).epoch is None


# --- twins


def losses_by_date(self: LogPipeline, now: int) -> tuple[Loss, ...]:
    at = now + CLOCKS[-1].ahead
    return tuple(loss for _, loss in self._losses if 0 <= at - loss.at <= LOSS_RECENT)


def age_by_date(self: Ledger, _writing: object, told: Entry) -> int:
    self._epoch = told.at - told.ended
    return told.at


CLOCKS: list[World] = []
BEGIN = World.__init__


def known_clock(self: World) -> None:
    BEGIN(self)
    CLOCKS.append(self)


TWINS: dict[str, dict[str, Patches]] = {
    "ahead for one commit": {"ages by the wall clock": Patches((Ledger, "_clock", age_by_date))},
    "ahead while a loss is found": {
        "losses by the wall clock": Patches(
            (World, "__init__", known_clock), (LogPipeline, "losses", losses_by_date)
        )
    },
    "ahead for good": {"windows by the wall clock": Patches((World, "now", World.unix))},
}

test_promise, test_twin = promises(
    *(Promise(check_jumps, None, TWINS.get(name, {}), name=name, label=name) for name in JUMPS),
    Promise(
        check_epoch,
        Resume.at,
        {"at any clock": lambda known, now, at: Resume(known, epoch=at - now if at else None)},
    ),
)
