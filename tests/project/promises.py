"""A plugin for pytest: the promises of ARCHITECTURE.md, and what a run says of each.

The table there names the files that hold a promise. Of their tests, those marked `twin` pass where a
deliberately broken part was caught; all others are of the part as it is. `scripts/promises.sh` runs all that
the table names, and fails where a promise has no test, no twin, or one of them failed (`--hold-promises`).
Other runs show the rows of what they ran.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
HEAD = "| promise | kept in | held by |\n|---|---|---|\n"
PLACE = re.compile(r"`((?:unit|model|fault|fuzz|project|system)\b[\w/.]*)`")  # below tests
SHOWN = 80  # characters of a promise


class Promise(NamedTuple):
    """What is promised, and the files and directories whose tests hold it."""

    text: str
    places: tuple[str, ...]

    def is_held_by(self, file: str) -> bool:
        """Whether the file is one of the places, or below one."""
        return any(file == place or file.startswith(f"{place}/") for place in self.places)


class Held(NamedTuple):
    """Of a promise's tests and twins: how many passed, and how many of either did not."""

    tests: int
    twins: int
    failed: int

    @property
    def lacks(self) -> list[str]:
        """What is missing for the promise to be held."""
        checks = (
            (not self.failed, f"{self.failed} failed"),
            (self.tests, "no test"),
            (self.twins, "no twin"),
        )
        return [what for is_well, what in checks if not is_well]


def promises(page: str) -> Iterator[Promise]:
    """The rows of the table."""
    _, found, rest = page.partition(HEAD)
    if not found:
        raise ValueError(f"expected the table of promises: {HEAD}")
    for row in rest.partition("\n\n")[0].splitlines():
        text, _, held_by = (cell.strip() for cell in row.strip("|").split("|"))
        yield Promise(text, tuple(f"tests/{place}" for place in PLACE.findall(held_by)))


def of_this_checkout() -> list[Promise]:
    """The promises as they stand now."""
    return list(promises((ROOT / "ARCHITECTURE.md").read_text()))


def table(rows: list[tuple[Promise, Held]]) -> Iterator[str]:
    """As it is printed."""
    yield f"{'promise':{SHOWN}}  tests  twins caught  lacks"
    for promise, held in rows:
        text = promise.text if len(promise.text) <= SHOWN else f"{promise.text[: SHOWN - 3]}..."
        yield f"{text:{SHOWN}}  {held.tests:5}  {held.twins:12}  {', '.join(held.lacks)}".rstrip()


class Results:
    """What became of each file's tests, and of the promises by that."""

    def __init__(self, made: list[Promise], *, hold: bool) -> None:
        self._promises = made
        self._hold = hold
        self._passed: Counter[tuple[str, bool]] = Counter()  # by file, and whether it is a twin
        self._failed: Counter[str] = Counter()

    def rows(self) -> list[tuple[Promise, Held]]:
        """The promises; where they need not be held, only those of which something ran."""
        rows = [(promise, self._held(promise)) for promise in self._promises]
        return [(promise, held) for promise, held in rows if self._hold or any(held)]

    def _held(self, promise: Promise) -> Held:
        tests, twins = (
            sum(
                count
                for (file, is_twin), count in self._passed.items()
                if is_twin == of and promise.is_held_by(file)
            )
            for of in (False, True)
        )
        failed = sum(count for file, count in self._failed.items() if promise.is_held_by(file))
        return Held(tests, twins, failed)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.partition("::")[0]
        if report.failed:
            self._failed[file] += 1
        elif report.passed and report.when == "call":
            self._passed[file, "twin" in report.keywords] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._failed[report.nodeid] += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        lacking = self._hold and any(held.lacks for _, held in self.rows())
        if lacking and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        rows = self.rows()
        if rows:
            terminalreporter.section("the promises of ARCHITECTURE.md")
            for line in table(rows):
                terminalreporter.write_line(line)
            lacking = sum(bool(held.lacks) for _, held in rows)
            terminalreporter.write_line(f"{len(rows)} promises, {lacking} of them lack something")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--hold-promises", action="store_true", help="fail where a promise lacks a test or a twin"
    )


def pytest_configure(config: pytest.Config) -> None:
    # Where tests run in several processes, the one that reports has all results.
    if not hasattr(config, "workerinput"):
        results = Results(of_this_checkout(), hold=config.getoption("hold_promises"))
        config.pluginmanager.register(results, "promises")


if __name__ == "__main__":
    for place in dict.fromkeys(place for promise in of_this_checkout() for place in promise.places):
        print(place)  # noqa: T201
