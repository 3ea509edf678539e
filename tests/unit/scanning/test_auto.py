"""Format `auto` in a log that is followed: each line counts once, under the format that the lines tell."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from qps_service.configuration.loader import Flags, load
from qps_service.configuration.types import LogConfig
from qps_service.notices.kinds import FORMAT_CHOSEN, Notice
from qps_service.scanning.auto import ChoosingScanner
from qps_service.service import pipeline as tail_module
from qps_service.service.pipeline import LogPipeline
from qps_service.values.counts import Counts, Key
from tests.promised import Patches, Promise, promises

SECOND = 10**9
DEFAULT = b"1.2.3.4\tGET /\t200\t5\n"
COMMON = b'1.2.3.4 - - [24/Nov/2026:14:50:08 +0000] "GET / HTTP/1.1" 200 5\n'
ROW = Key(b"GET", b"/", 200)


class Log:
    """A log that is followed."""

    tail_of: type[LogPipeline] = LogPipeline

    def __init__(self, root: Path) -> None:
        self.path = root / "access.log"
        self.path.touch()
        self.now = 1000 * SECOND
        self.notices: list[Notice] = []
        self.tail = self.tail_of(self.config(), self.now, self.notices.append)
        self.read()

    def config(self, log_format: str = "auto") -> LogConfig:
        return load(Flags(log=str(self.path), format=log_format), {}).logs[0]

    def read(self, text: bytes = b"") -> None:
        """Append, and let the tail read."""
        with self.path.open("ab") as file:
            file.write(text)
        self.now += SECOND
        for _ in self.tail.read(self.now):
            pass

    def counts(self) -> tuple[dict[Key, Counts], dict[str, int]]:
        """Requests and rejects of the window that ends now."""
        self.tail.entries(1, self.now, 0)
        window = self.tail.close_window(self.now)
        return dict(window.counts), dict(window.rejects)

    def chosen(self) -> list[str]:
        return [notice.text for notice in self.notices if notice.kind is FORMAT_CHOSEN]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path)
    yield log
    log.tail.close()


def check_choosing(log: Log) -> None:
    """Lines that nothing fits are rejected; the first that tell the format count, and it stays."""
    log.read(b"hello\n")
    log.read(b"hello\n" * 2)
    assert log.chosen() == []
    log.read(DEFAULT * 2 + b"hello\n")
    said = "2 of 3 lines fit default, 0 json, 0 ltsv, 0 combined, 0 common"
    assert log.chosen() == [f"{log.path} is read in the format default: {said}"]
    log.read(COMMON + DEFAULT)
    assert log.chosen() == [f"{log.path} is read in the format default: {said}"]
    assert {notice.log for notice in log.notices} == {"access"}
    assert log.counts() == ({ROW: Counts(3, 15)}, {"fields": 5})


class ChoosesOnce(ChoosingScanner):  # what does not tell at once never does
    def _choose(self, block: bytes) -> None:
        super()._choose(block)
        self._is_chosen = True


class ChoosesAlways(ChoosingScanner):  # each block has its own format
    def _choose(self, block: bytes) -> None:
        super()._choose(block)
        self._is_chosen = False


class ForgetsRejects(ChoosingScanner):  # what came before the choice is lost
    def _choose(self, block: bytes) -> None:
        self._scanner.take()
        super()._choose(block)


class SkipsTheBlock(ChoosingScanner):  # the lines that tell the format don't count under it
    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        scanned = self._scanner.scan(block)
        self._choose(bytes(block))
        return scanned


def test_what_is_too_long_tells_nothing(log: Log) -> None:
    log.read(b"x" * 100_000 + b"\n")
    log.read(COMMON)
    assert len(log.chosen()) == 1
    assert log.counts() == ({ROW: Counts(1, 5)}, {"too_long": 1})


def test_a_format_that_is_set_ends_the_choice(log: Log) -> None:
    log.read(DEFAULT)
    log.tail.reconfigure(log.config("common"))
    log.read(COMMON)
    log.tail.reconfigure(log.config("auto"))
    log.read(DEFAULT)
    assert len(log.chosen()) == 2
    assert log.counts() == ({ROW: Counts(3, 15)}, {})


def check_other_settings(log: Log) -> None:
    """A reload that leaves the format as it is leaves the choice."""
    log.read(DEFAULT)
    log.tail.reconfigure(log.config()._replace(max_routes=5))
    log.read(COMMON + DEFAULT)
    assert len(log.chosen()) == 1
    assert log.counts() == ({ROW: Counts(2, 10)}, {"fields": 1})


class ChoosesAnew(LogPipeline):  # whatever is set, the format is looked for again
    def reconfigure(self, config: LogConfig) -> None:
        super().reconfigure(config)
        self._scanner = self._make_scanner(config)


def test_other_formats_say_nothing(log: Log) -> None:
    log.tail.reconfigure(log.config("default"))
    log.read(DEFAULT)
    assert log.chosen() == []


CHOOSING = (ChoosesOnce, ChoosesAlways, ForgetsRejects, SkipsTheBlock)

test_promise, test_twin = promises(
    Promise(
        check_choosing,
        None,
        {each.__name__: Patches((tail_module, "ChoosingScanner", each)) for each in CHOOSING},
    ),
    Promise(check_other_settings, None, {"chooses anew": Patches((Log, "tail_of", ChoosesAnew))}),
)
