"""For all tests: their order; where CI=true, a skip is a failure, and examples are drawn the same each time.

On a developer's machine a test may lack what it needs (root, say) and be skipped with the reason.
In CI everything is there, so a skip would be a check that silently stopped checking. New examples are for
developers' machines and for campaigns: a check of the same tree must not pass one day and fail the next.
"""

import gc
import os
import pickle
import shutil
import signal
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.unit.looking.week import Week

# How long one example takes says more of what else the machine does than of the program.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("quick", deadline=None, max_examples=20)  # of scripts/check.sh fast
settings.load_profile("ci" if os.environ.get("CI") == "true" else "developer")


# A background job of a shell ignores Ctrl-C, and so would every program that the tests start and send one to.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What is quick comes first, so that what it finds is known soonest.
ORDER = ("unit", "project", "model", "fuzz", "fault", "system")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _rank(item.path))


def pytest_collection_finish() -> None:
    """What the collection made stays to the end: a tenth of the tests' CPU time
    went into looking for garbage in it."""
    gc.collect()
    gc.freeze()


@cache
def _rank(path: Path) -> int:
    name = path.relative_to(Path(__file__).parent).parts[0]
    return ORDER.index(name) if name in ORDER else len(ORDER)


# Where tests run in several processes, the one that reports has all results, and the others no reporter.
def _forbidden_skips(config: pytest.Config) -> Sequence[pytest.TestReport | pytest.CollectReport]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or os.environ.get("CI") != "true":
        return ()
    skips: Sequence[pytest.TestReport | pytest.CollectReport] = reporter.stats.get("skipped", ())
    return skips


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _forbidden_skips(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    skips = _forbidden_skips(config)
    if skips:
        terminalreporter.section("skipped, which CI=true forbids", red=True)
        for skip in skips:
            terminalreporter.write_line(skip.nodeid)


@pytest.fixture(scope="session")
def week(tmp_path_factory: pytest.TempPathFactory) -> "Week":
    """A ledger of a week, and the truth about it; each process that runs tests has its own copy."""
    from tests.built import once
    from tests.unit.looking.week import Week, live

    def build(place: Path) -> None:
        (place / "truth").write_bytes(pickle.dumps(live(place / "ledger.db").batches))

    made = once(tmp_path_factory, "week", build)
    path = tmp_path_factory.mktemp("copy") / "ledger.db"
    shutil.copy(made / "ledger.db", path)
    return Week(path, pickle.loads((made / "truth").read_bytes()))  # noqa: S301 - our own
