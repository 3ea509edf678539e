"""Rows of several logs in one process: shared, said when they are short, given back with a log that goes."""

from pathlib import Path

from qps_service.counting import budget
from qps_service.service.pipeline import LogPipeline
from tests.promised import Promise, promises, twin
from tests.unit.daemons import Service

ROWS = 1000  # the least that can be set: 83 short routes


class Shop(Service):
    """Logs whose clients ask for anything; their pipelines share the rows, as those of the program do."""

    def __init__(self, root: Path, pipeline: type[LogPipeline], *logs: str) -> None:
        self._root, self._rows, self._pipeline = root, budget.Budget(), pipeline
        super().__init__(root, self.toml(*logs), ledger=str(root / "ledger.db"))

    def toml(self, *logs: str, rows: int = ROWS) -> str:
        for log in logs:
            (self._root / f"{log}.log").touch()
        tables = (f'[log.{log}]\npath = "{self._root}/{log}.log"\n' for log in logs)
        return f"max_rows = {rows}\n{''.join(tables)}"

    def _make_pipeline(self, log, now, resume, working):  # type: ignore[no-untyped-def]  # as the base's
        return self._pipeline(
            log, now, self.notices.append, watches=self.watches, resume=resume, rows=self._rows
        )

    def ask(self, seconds: float, log: str, route: str, routes: int, methods: str = "GET") -> None:
        """For so many routes, each often enough to be told apart if there is room."""
        lines = (
            f"10.0.0.1\t{method} /{route}{number}\t404\t1\n" * (300 if method == "GET" else 1)
            for method in methods.split()
            for number in range(routes)
        )
        self.write_at(seconds, 1, "".join(lines).encode(), self._root / f"{log}.log")

    def routes(self, log: str) -> int:
        return next(each.routes for each in self.recorder.overviews[-1].logs if each.log == log)


def what_folds_is_said_once(pipeline: type[LogPipeline], tmp_path: Path) -> None:
    """Methods first, then routes, each once for a log; again after the bound was set anew, and reached."""
    shop = Shop(tmp_path, pipeline, "a")
    shop.ask(2, "a", "x", 50, "GET POST PUT HEAD DELETE PATCH")
    shop.ask(12, "a", "y", 60)
    for seconds in (22, 32):
        shop.ask(seconds, "a", "z", 5, "GET PATCH TRACE")
    shop.reload_at(42, shop.toml("a", rows=2 * ROWS))
    shop.ask(52, "a", "w", 200)
    shop.run(60)
    path = f"{tmp_path}/a.log has "
    few = " rows, and few of max_rows are left: further "
    said = [text.partition(path)[2].partition(few)[2] for text in shop.said("rows_short")]
    methods = "methods are counted as other, by route and status"
    routes = "routes, and further statuses of a route, are counted as other"
    assert said == [methods, routes, methods, routes]
    assert {notice.log for notice in shop.notices if notice.kind.name == "rows_short"} == {"a"}


def places_are_shared(pipeline: type[LogPipeline], tmp_path: Path) -> None:
    """A log of nothing but attacks leaves others their part; when it goes, they have all."""
    shop = Shop(tmp_path, pipeline, "a", "b")
    shop.ask(2, "a", "x", 300)
    shop.ask(12, "b", "y", 300)
    shop.reload_at(32, shop.toml("b"))
    shop.ask(42, "b", "z", 300)
    shop.run(55)
    with_both = [each for each in shop.recorder.overviews if len(each.logs) == 2][-1]
    assert {each.log: each.routes for each in with_both.logs} == {"a": 40, "b": 30}
    assert shop.routes("b") > 75  # of 82, the last ones for more requests than these


class Forgets(LogPipeline):  # each is told of no other one
    def __init__(self, *given, rows=None, **named):  # type: ignore[no-untyped-def]
        super().__init__(*given, **named)


SAYS_EACH = twin(LogPipeline, "says each", "_say_folds", first=lambda self: self._folds_said.clear())
KEEPS = twin(
    LogPipeline,
    "keeps its places",
    "close",
    instead=lambda self: (self._follower.close(), self._watcher.close()),
)

test_promise, test_twin = promises(
    Promise(what_folds_is_said_once, LogPipeline, [SAYS_EACH]),
    Promise(places_are_shared, LogPipeline, [Forgets, KEEPS]),
)
