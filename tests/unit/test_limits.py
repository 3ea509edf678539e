"""Bounds that no other test reaches: those of settings where none is set, and of what is kept of files.

Each row has a check that goes up to the bound and beyond it. `Doubled` lets in twice as much, and is noticed.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qps_service.cli import make_parser
from qps_service.commands.summarize import MAX_ROUTES, _Counting
from qps_service.configuration.loader import Flags, load
from qps_service.configuration.types import Config, LogConfig, StatsdConfig
from qps_service.counting.aggregator import Aggregator
from qps_service.errors import FormatError
from qps_service.files.kernel import Files, Seen
from qps_service.files.recognition import HELD_LIMIT
from qps_service.following.announcer import (
    BURST,
    BURST_EVERY,
    LET_GO_SAID_EVERY,
    ROTATIONS_SAID_EVERY,
    Announcer,
)
from qps_service.following.directories import ASIDE_LIMIT, LogDirectories
from qps_service.following.discovery import RETRIES
from qps_service.following.follower import SWEEP_EVERY
from qps_service.following.hints import Lost
from qps_service.following.ignored_files import IGNORED_LIMIT
from qps_service.following.known_files import RETIRED_LIMIT, KnownFiles
from qps_service.following.open_files import OpenFiles
from qps_service.following.read_texts import Found, ReadTexts
from qps_service.formats.json_lines import MEMBERS_LIMIT
from qps_service.formats.json_members import DEPTH_LIMIT
from qps_service.formats.presets import LIST_LIMIT, as_list, compile_format
from qps_service.notices.kinds import Notice
from qps_service.outputs.journal import report_fields
from qps_service.outputs.statsd import pack
from qps_service.reporting.report import make_report
from qps_service.scanning.options import ScanOptions
from qps_service.scanning.pure import PureScanner
from qps_service.scanning.scanner import make_scanner
from qps_service.service.pipeline import _limits, _scan_options
from qps_service.values.counts import OTHER, Counts, Key, Scanned
from qps_service.values.positions import Identity, IgnoredFile, Position
from qps_service.values.reports import Window
from tests.following import BlindFiles, Rig
from tests.limits import Doubled, default_of
from tests.promised import promises

SECOND = 10**9

LINE, ROUTE, ROUTES, OPEN, QUIET, DATAGRAM = map(
    default_of, ("max_line", "max_route", "max_routes", "open_generations", "quiet", "statsd.datagram")
)


def configured(extra: str = "", root: Path | None = None) -> Config:
    """The configuration where nothing is set but a log's path, and what is added."""
    if root is None:
        return load(Flags(log="/var/log/access.log"), {})
    (root / "qps.toml").write_text(f'[log.access]\npath = "/var/log/access.log"\n{extra}')
    return load(Flags(config=str(root / "qps.toml")), {})


def log_config() -> LogConfig:
    [log] = configured().logs
    return log


# --- reading


def long_lines_are_rejected() -> None:
    scanner = make_scanner(_scan_options(log_config())._replace(log_format=compile_format("default")), print)
    for size in (LINE, LINE + 1):
        line = b"1.2.3.4\tGET /%s\t200\t5"
        scanner.scan(line % (b"x" * (size - len(line) + 2)) + b"\n")
    found = scanner.take()
    assert (len(found.rows), found.rejects) == (1, {"too_long": 1})


def deep_json_ends_the_line() -> None:
    scanner = PureScanner(ScanOptions(compile_format("json"), LINE), print)
    for depth in (DEPTH_LIMIT - 1, DEPTH_LIMIT):  # within the line's own object
        scanner.scan(b'{"method":"GET","path":"/","x":%s%s,"status":200}\n' % (b"[" * depth, b"]" * depth))
    found = scanner.take()
    assert (len(found.rows), found.rejects) == (1, {"fields": 1})


def formats_with_many_members_are_refused() -> None:
    others = len(compile_format("json time=t").members) - 1
    times = [f"time=t{number}" for number in range(MEMBERS_LIMIT - others + 1)]
    assert len(compile_format(" ".join(["json", *times[1:]])).members) == MEMBERS_LIMIT
    with pytest.raises(FormatError, match="members at most"):
        compile_format(" ".join(["json", *times]))


def long_lists_of_formats_are_refused() -> None:
    assert len(as_list([compile_format("json")] * LIST_LIMIT).listed) == LIST_LIMIT
    with pytest.raises(ValueError, match="expected 1 to 8 formats"):
        as_list([compile_format("json")] * (LIST_LIMIT + 1))


# --- routes


def scanned(routes: int) -> Scanned:
    """So many, each with more requests than any place costs."""
    rows = [(b"GET", b"/%d" % number, 200, 10**12, 0) for number in range(routes)]
    return Scanned(len(rows), rows, Counter(), None)


def further_routes_are_other() -> None:
    config = log_config()
    counting = Aggregator("access", 0, config.max_routes, config.routes())
    counting.add(scanned(ROUTES + 5))
    counting.take()
    assert counting.routes == ROUTES
    assert sum(sums.requests for key, sums in counting.totals.items() if key.route == OTHER) == 5 * 10**12


def long_routes_are_other() -> None:
    routes = log_config().routes()
    fits, longer = (b"/".ljust(size, b"x") for size in (ROUTE, ROUTE + 1))
    assert (routes.of(fits), routes.of(longer)) == (fits, OTHER)


def further_routes_of_a_summary_are_other() -> None:
    counting = _Counting(make_parser().parse_args(["summarize", "--format", "default", "a"]))
    counting._add(scanned(MAX_ROUTES + 5))
    assert counting._aggregator.routes == MAX_ROUTES


# --- files


def place(number: int) -> Position:
    return Position(Identity(1, number, None), f"/log.{number}", 0, b"", b"", False, number=number)


def few_rotated_files_stay_open() -> None:
    said: list[Notice] = []
    held = OpenFiles(
        _limits(log_config()), Files(), KnownFiles(), Announcer("/log", "access", said.append), None
    )
    for number in range(1, OPEN + 6):
        held.adopt(Found(SimpleNamespace(), place(number)), 0)
    held.bound(0)
    assert [each.name for each in held if each.is_finished] == [f"/log.{number}" for number in range(1, 6)]
    assert [notice.kind.name for notice in said] == ["let_go"]


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(files: Files) -> Rig:
        rigs.append(Rig(tmp_path, files=files))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def quiet_files_are_closed(make_rig: Callable[..., Rig]) -> None:
    """Where the kernel does not tell whether there is a writer."""
    rig = make_rig(BlindFiles())
    rig.look()
    rig.follower.reconfigure(_limits(log_config()), ())
    rig.writer().lines(1)
    rig.look()
    rig.renew(1)
    rig.look()
    rig.look(QUIET / SECOND - 1)
    assert rig.files_open == 2
    rig.look(1)
    assert rig.files_open == 1


def few_closed_files_are_remembered() -> None:
    known = KnownFiles()
    for number in range(1, RETIRED_LIMIT + 6):
        known.retire(place(number))
    assert len(known.everything()[0]) == RETIRED_LIMIT
    assert known.take_forgotten() == (1, 2, 3, 4, 5)


def closed_files_have_a_part_of_the_ledger(tmp_path: Path) -> None:
    """A quarter of it, and 32 MiB at most, for all logs; whatever the room, the last ones are remembered."""
    for size, logs, most in (("1MiB", 2, 131072), ("64MiB", 2, 8 << 20), ("1TiB", 8, 4 << 20)):
        others = "".join(f'[log.other{number}]\npath = "/other{number}"\n' for number in range(1, logs))
        [log, *_] = configured(f'{others}[history]\nmax_size = "{size}"\n', tmp_path).logs
        known = KnownFiles()
        OpenFiles(_limits(log), Files(), known, Announcer("/log", "access", lambda _: None), None)
        for number in range(1, 1024):
            large = place(number)._replace(prefix=b"p" * 1024, marks=b"m" * 4096, name="/" + "n" * 3000)
            known.retire(large)
        kept = [each.number for each in known.everything()[0]]
        assert most // 2 < len(kept) * (1024 + 4096 + 3001) < most
        assert kept == [*range(1024 - len(kept), 1024)]
        assert set(known.take_forgotten()) == {*range(1, 1024)} - {*kept}
        known.room = 0
        known.retire(place(1024))
        assert [each.number for each in known.everything()[0]] == [1021, 1022, 1023, 1024]
        for each in known.everything()[0]:
            known.reopened(each)
        assert known._taken == 0


def many_logs_share_what_is_remembered_of_others(tmp_path: Path) -> None:
    """One log more has a part of it, too, and what is too much by then goes, the oldest first."""
    known = KnownFiles()
    held = OpenFiles(_limits(log_config()), Files(), known, Announcer("/log", "access", lambda _: None), None)
    for number in range(IGNORED_LIMIT):
        known.ignored.add(IgnoredFile(1, number, 7, 0))
    assert len(known.ignored.all()) == IGNORED_LIMIT
    assert known.take_ignored()
    others = "".join(f'[log.other{number}]\npath = "/other{number}"\n' for number in range(1, 256))
    held.reconfigure(_limits(configured(others, tmp_path).logs[0]))
    assert [each.inode for each in known.ignored.all()] == [*range(IGNORED_LIMIT - 256, IGNORED_LIMIT)]
    assert known.take_ignored() == known.ignored.all()  # the ledger has no more of them, either
    assert known.ignored.are_many


class CountsLooks(Files):
    """At what is beside the log."""

    def __init__(self) -> None:
        super().__init__()
        self.looked: set[str] = set()

    def lstat(self, path: str) -> Seen:
        self.looked.add(path)
        return super().lstat(path)


def few_files_that_nothing_tells_are_looked_at(make_rig: Callable[..., Rig]) -> None:
    """Empty ones that came while hints were lost, from the second look on."""
    files = CountsLooks()
    rig = make_rig(files)
    rig.writer().lines(1)
    rig.look()
    empty = {str(rig.beside(f"access.log.{number}")) for number in range(1, 2 * RETRIES)}
    for path in empty:
        Path(path).touch()
    rig.watcher.put(Lost())
    looks = []
    for _ in range(2):
        files.looked.clear()
        rig.look()
        looks.append(len(files.looked & empty))
    assert looks == [len(empty), RETRIES]


def all_files_are_looked_at_now_and_then(make_rig: Callable[..., Rig]) -> None:
    """Also those that nothing tells of."""
    files = CountsLooks()
    rig = make_rig(files)
    rig.beside("access.log.1").touch()
    rig.writer().lines(1)
    rig.look()
    looks = []
    for seconds in (SWEEP_EVERY / SECOND - 1, 1):
        files.looked.clear()
        rig.look(seconds)
        looks.append(str(rig.beside("access.log.1")) in files.looked)
    assert looks == [False, True]


class Text:
    """A file of lines, of which is told how much was read at once."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self.read_at_once = 0

    def read(self, size: int, offset: int) -> bytes:
        self.read_at_once = max(self.read_at_once, size)
        return self._text[offset : offset + size]

    def path(self) -> None:
        """It was deleted."""

    def seen(self) -> Seen:
        return Seen(1, 1, len(self._text), 0, 0, True, "", 0, 0)


def the_end_of_an_open_file_is_known_by_lines() -> None:
    """Where a copy of it was edited."""
    original, copy = Text((b"x" * 1023 + b"\n") * (3 * HELD_LIMIT // 1024)), Text(b"another line\n")
    generation: Any = SimpleNamespace(
        source=original, position=place(1), identity=place(1).identity, key=(1, 1), name="/log.1"
    )
    texts = ReadTexts(Files(), KnownFiles(), (), Announcer("/log", "access", lambda _: None))
    texts.part_of_held(generation, Found(copy, place(1)._replace(identity=Identity(1, 2, None))))  # type: ignore[arg-type]
    assert original.read_at_once == HELD_LIMIT


def few_directories_are_learned(tmp_path: Path) -> None:
    directories = LogDirectories(str(tmp_path / "access.log"), Files())
    directories.look()
    for number in range(ASIDE_LIMIT + 3):
        directories.learn(str(tmp_path / f"old{number}" / "access.log.1"))
    found = [Path(each.path).name for each in directories.look() if each.aside]
    assert found == [f"old{number}" for number in range(ASIDE_LIMIT)]


def few_directories_with_dates_are_looked_into(tmp_path: Path) -> None:
    """The latest, and as many at each level."""
    for number in range(100):
        (tmp_path / f"20{number:02}" / "01").mkdir(parents=True)
    found = [each.path for each in LogDirectories(f"{tmp_path}/%Y/%m/a.log", Files()).look() if each.is_dated]
    assert sorted(found)[-32:] == [f"{tmp_path}/20{number}/01" for number in range(68, 100)]
    assert len(found) - 1 == 32  # and that of the log


def many_directories_that_were_missed_are_looked_into(tmp_path: Path) -> None:
    """Those that came since the last file that was read, until all is found."""
    for number in range(1100):
        (tmp_path / f"{2000 + number}").mkdir()
    directories = LogDirectories(f"{tmp_path}/%Y/a.log", Files())
    directories.learn(f"{tmp_path}/2003/a.log")
    found = []
    for resuming in (True, False, False):
        found.append(sum(each.is_dated for each in directories.look()))
        directories.settle(resuming=resuming)
    assert found == [1025, 1025, 33]  # and that of the log


def few_files_with_dates_are_open_at_first(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.log").touch()
    directories = LogDirectories(f"{tmp_path}/%d.log", Files())
    directories.look()
    assert len(directories.lately()) + 1 == 16


# --- messages


def a_log_says_little_in_a_minute() -> None:
    said: list[Notice] = []
    announcer = Announcer("/log", "access", said.append)
    for minute in (1, 2):
        announcer.catch_up(minute * BURST_EVERY)
        for _ in range(BURST + 5):
            announcer.recognised("/log", 1)
        assert len(said) == minute * BURST
    assert "(5 messages before this were withheld)" in said[BURST].text


def rotations_are_summed_up() -> None:
    said: list[Notice] = []
    announcer = Announcer("/log", "access", said.append)
    for now in range(0, ROTATIONS_SAID_EVERY + 1, ROTATIONS_SAID_EVERY // 5):
        announcer.rotated(now, 2)
    assert [notice.text.partition(";")[0] for notice in said] == [
        "/log was rotated",
        "/log was rotated 5 times",
    ]


def files_closed_early_are_summed_up() -> None:
    said: list[Notice] = []
    announcer = Announcer("/log", "access", said.append)
    closed: Any = SimpleNamespace(name="/log.1", offset=9)
    for now in range(0, LET_GO_SAID_EVERY + 1, LET_GO_SAID_EVERY // 5):
        announcer.let_go(closed, 4, now)
    assert [notice.text.partition(" files")[0] for notice in said] == ["1", "5"]


# --- outputs


def the_journal_has_few_rows() -> None:
    counts = {Key(b"GET", b"/%d" % number, 200): Counts(1, 1) for number in range(30)}
    window = make_report(Window("a", 0, SECOND, counts, {}), sequence=1, at=0, named=False)
    fields = report_fields(window, configured().journal.rows)
    assert (len(json.loads(fields["QPS_ROWS"])), fields["MESSAGE"].count("\t200\t")) == (21, 20)


def datagrams_are_small(tmp_path: Path) -> None:
    [statsd] = configured("[output.statsd]", tmp_path).outputs
    assert isinstance(statsd, StatsdConfig)
    line = "x" * (DATAGRAM // 2 - 1)
    packed = [len(each) for each in pack([line, line, line], statsd.datagram)]
    assert packed == [2 * len(line) + 1, len(line)]


test_promise, test_twin = promises(
    {
        long_lines_are_rejected: [Doubled("max_line")],
        deep_json_ends_the_line: [Doubled("formats.json_members:DEPTH_LIMIT")],
        formats_with_many_members_are_refused: [Doubled("formats.json_lines:MEMBERS_LIMIT")],
        long_lists_of_formats_are_refused: [Doubled("formats.presets:LIST_LIMIT")],
        further_routes_are_other: [Doubled("max_routes")],
        long_routes_are_other: [Doubled("max_route")],
        further_routes_of_a_summary_are_other: [Doubled("commands.summarize:MAX_ROUTES")],
        few_rotated_files_stay_open: [Doubled("open_generations")],
        quiet_files_are_closed: [Doubled("quiet")],
        few_closed_files_are_remembered: [Doubled("following.known_files:RETIRED_LIMIT")],
        closed_files_have_a_part_of_the_ledger: [
            Doubled("configuration.loader:RETIRED_PART", to=2),
            Doubled("configuration.loader:RETIRED_MOST"),
            Doubled("following.known_files:RETIRED_LEAST"),
        ],
        many_logs_share_what_is_remembered_of_others: [Doubled("service.pipeline:ALL_IGNORED_LIMIT")],
        few_files_that_nothing_tells_are_looked_at: [Doubled("following.discovery:RETRIES")],
        all_files_are_looked_at_now_and_then: [Doubled("following.follower:SWEEP_EVERY")],
        the_end_of_an_open_file_is_known_by_lines: [Doubled("following.read_texts:HELD_LIMIT")],
        few_directories_with_dates_are_looked_into: [Doubled("following.directories:DATED_LIMIT")],
        many_directories_that_were_missed_are_looked_into: [Doubled("following.directories:MISSED_LIMIT")],
        few_files_with_dates_are_open_at_first: [Doubled("following.directories:LATE_LIMIT")],
        few_directories_are_learned: [Doubled("following.directories:ASIDE_LIMIT")],
        a_log_says_little_in_a_minute: [Doubled("following.announcer:BURST")],
        rotations_are_summed_up: [Doubled("following.announcer:ROTATIONS_SAID_EVERY")],
        files_closed_early_are_summed_up: [Doubled("following.announcer:LET_GO_SAID_EVERY")],
        the_journal_has_few_rows: [Doubled("journal.rows")],
        datagrams_are_small: [Doubled("statsd.datagram")],
    },
)
