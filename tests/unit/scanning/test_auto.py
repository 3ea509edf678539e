"""Format `auto` in a log that is followed: each line counts once, under the format that the lines tell."""

import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest

from qps_service.configuration.loader import Flags, load
from qps_service.configuration.types import LogConfig
from qps_service.following.generation import Chunk
from qps_service.formats.detection import Votes
from qps_service.formats.presets import compile_format
from qps_service.notices.kinds import FORMAT_CHOSEN, FORMAT_UNFIT, REJECTED, Kind
from qps_service.notices.throttle import Throttle
from qps_service.scanning import auto
from qps_service.scanning.auto import FIRST, RECENT, LineCounter
from qps_service.scanning.options import ScanOptions, Spill
from qps_service.scanning.scanner import Scanner, ScannerAround, make_scanner
from qps_service.service import pipeline as pipeline_module
from qps_service.service.pipeline import UNFIT_SAID_EVERY, LogPipeline
from qps_service.values.entries import Entry
from qps_service.values.positions import Directives
from tests.ledgers import EPOCH, known
from tests.limits import Doubled
from tests.promised import Patches, Promise, nothing, promises, twin
from tests.unit.followed import FollowedLog

SECOND = 10**9
DEFAULT = b"1.2.3.4\tGET /\t200\t5\n"
COMMON = b'1.2.3.4 - - [24/Nov/2026:14:50:08 +0000] "GET / HTTP/1.1" 200 5\n'
JSON = b'{"level":"info","request":{"method":"GET","uri":"/"},"size":5,"status":200}\n'
OWN = b'{"level":"info","ts":1795514400.1,"logger":"tls","msg":"storage cleaned"}\n'
JUNK = b"Nov 24 14:50:08 web kernel: something else\n"


class Log(FollowedLog):
    """What is counted of it, and said."""

    epoch = EPOCH

    def __init__(self, root: Path, log_format: str, start: str, old: bytes) -> None:
        """`old`: what the log has before anybody follows it."""
        (root / "access.log").write_bytes(old)
        self._flags = Flags(log=str(root / "access.log"), format=log_format, start=start)
        super().__init__(root / "access.log")
        self.look()

    def config(self, **changes: str) -> LogConfig:
        return load(self._flags._replace(**changes), {}).logs[0]

    def read(self, text: bytes = b"", *, seconds: int = 1) -> None:
        """Append, and read a second later."""
        self.write(text)
        super().read(seconds=seconds)

    def commit(self) -> None:
        """End a window."""
        sequence = self.ledger.sequence + 1
        self.ledger.commit(self.pipeline.entries(sequence, self.now, EPOCH + self.now), sequence=sequence)
        self.pipeline.release(committed=True)
        self.pipeline.close_window()

    def totals(self) -> tuple[int, int]:
        """Requests and rejected lines in the ledger, which are those that were read of its generations."""
        restored = known(self.ledger)
        requests = sum(counts.requests for counts in restored.totals.values())
        rejected = sum(restored.rejects.values())
        positions = (*restored.held, *restored.retired)
        assert sum(position.lines for position in positions) == requests + rejected
        assert sum(position.rejected for position in positions) == rejected
        return requests, rejected

    def lines(self) -> list[int]:
        """Read of each generation."""
        restored = known(self.ledger)
        positions = sorted((*restored.held, *restored.retired), key=lambda each: each.number)
        return [position.lines for position in positions]

    def said(self, kind: Kind = FORMAT_CHOSEN) -> list[str]:
        """Since the last call, without the path."""
        texts = [notice.text for notice in self.notices if notice.kind is kind]
        self.notices[:] = [notice for notice in self.notices if notice.kind is not kind]
        return [text.replace(str(self.path), "LOG") for text in texts]


Begin = Callable[..., Log]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Makes logs that were looked at once."""
    logs: list[Log] = []

    def make(log_format: str = "auto", start: str = "start", old: bytes = b"") -> Log:
        root = tmp_path / str(len(logs))
        root.mkdir()
        logs.append(Log(root, log_format, start, old))
        return logs[-1]

    yield make
    for log in logs:
        log.stop()


# --- lines wait, and count


def lines_wait_until_a_window_ends(begin: Begin) -> None:
    """Or until enough of them tell; and then all that waited is counted by what they tell."""
    log = begin()
    log.read(OWN * 3)
    log.read(JSON)
    log.read(COMMON + JSON)
    assert log.said() == []
    assert log.pipeline._follower.changes().held[0].lines == 0
    log.commit()
    both = 'format = ["json", "combined"] counts both'
    assert log.said() == [
        f"LOG is read in the format json: 2 of 3 lines fit json, 1 combined; 3 fit none; {both}"
    ]
    assert log.totals() == (2, 4)
    log.read(COMMON * 2 + JSON)
    log.commit()
    assert (log.said(), log.totals()) == ([], (3, 6))


def enough_lines_are_waited_for_no_longer(begin: Begin) -> None:
    """Nor is more kept in memory than is said."""
    log = begin()
    log.read(OWN * 50 + COMMON * 100 + JSON)
    assert log.said() == ["LOG is read in the format combined: 100 of 100 lines fit combined; 50 fit none"]
    log.commit()
    assert log.totals() == (100, 51)
    log = begin()
    for _ in range(20):
        log.read(OWN * 50 + JSON)
    assert len(log.said()) == 1  # some 75 KB


def what_came_first_is_not_lost(begin: Begin) -> None:
    """However much of it there is, and whatever it is."""
    log = begin()
    log.read(OWN * 3 + JSON)
    log.read(JSON)
    log.commit()
    assert log.totals() == (2, 3)
    for first, rejected in [
        (OWN * 150, 150),
        (JUNK * 3000, 3000),
        (b"\0" * 100_000, 0),
        (b"\0" * 100_000 + b"\n" * 3, 3),
        (b"x" * 100_000 + b"\n", 1),
    ]:
        log = begin()
        log.read(first + JSON * 20_000 + b"\0\0\xef\xbb\xbf" + JSON[:-1] + b"\r\n")
        log.commit()
        assert log.totals() == (20_001, rejected)
        assert len(log.said()) == 1


def where_nothing_fits_it_goes_on_looking(begin: Begin) -> None:
    log = begin()
    log.read(JUNK * 20)
    log.commit()
    log.read(JUNK * 5000)
    assert (log.said(), log.totals()) == ([], (0, 20))
    log.commit()
    log.read(JUNK + DEFAULT * 2)
    log.commit()
    assert log.said() == ["LOG is read in the format default: 2 of 2 lines fit default; 1 fit none"]
    assert log.totals() == (2, 5021)


def a_cut_file_gets_what_waited_of_it(begin: Begin) -> None:
    """Its old text has a number of its own, and as many lines as were read of it."""
    log = begin()
    log.read(COMMON * 3)
    log.path.write_bytes(DEFAULT * 2)
    log.read()
    log.commit()
    assert log.lines() == [3, 2]
    assert log.totals() == (3, 2)


def rotated(log: Log) -> None:
    """It gets a new file."""
    log.path.rename(log.path.with_suffix(f".{len(os.listdir(log.path.parent))}"))
    log.path.touch()


STEPS: list[Callable[[Log], None]] = [
    lambda log: log.read(OWN * 3),
    lambda log: log.read(COMMON * 2 + COMMON[:10]),
    lambda log: log.read(COMMON[10:]),
    lambda log: log.commit(),
    lambda log: log.read(COMMON * 4),
    rotated,
    lambda log: log.read(OWN + COMMON * 5),
    lambda log: log.commit(),
]


def a_kill_while_lines_wait_loses_nothing(begin: Begin) -> None:
    """Wherever it comes; nor does anything count twice."""
    for killed in range(len(STEPS)):
        for steps in (STEPS, STEPS[4:]):
            log = begin()
            for number, step in enumerate(steps):
                step(log)
                if number == killed:
                    log.restart()
            log.read()
            log.commit()
            assert log.totals() == ((12, 4) if steps is STEPS else (9, 1)), killed


# --- what is chosen stays


def a_restart_keeps_the_choice(begin: Begin) -> None:
    log = begin()
    log.read(COMMON)
    log.commit()
    log.said()
    log.restart()
    log.read(JSON * 3 + COMMON)
    log.commit()
    assert (log.said(), log.totals()) == ([], (2, 3))
    log.pipeline._scanner.chosen = "of a later version"  # which is known no more
    log.commit()
    log.restart()
    log.read(JSON)
    log.commit()
    assert log.totals() == (3, 3)


def a_reload_keeps_the_choice(begin: Begin) -> None:
    """Unless it sets another format."""
    log = begin()
    log.read(DEFAULT)
    log.commit()
    for changed in (log.config()._replace(max_routes=5), log.config()._replace(max_line=300)):
        log.pipeline.reconfigure(changed)
        log.read(COMMON + DEFAULT)
        log.commit()
    assert (len(log.said()), log.totals()) == (1, (3, 2))
    log.read(DEFAULT)
    log.pipeline.reconfigure(log.config(format="common"))
    log.read(COMMON)
    log.commit()
    log.pipeline.reconfigure(log.config(format="auto"))
    log.read(DEFAULT)
    log.commit()
    assert (len(log.said()), log.totals()) == (1, (6, 2))


def what_was_there_before_tells_the_format(begin: Begin) -> None:
    """From the first line on; unless that is of another kind."""
    before = b"cut off: " + JUNK * 2000 + JSON * 50 + OWN
    log = begin(start="end", old=before)
    log.read(OWN)
    assert log.said() == []
    log.read(JSON)
    said = log.said()
    assert len(said) == 1
    assert " is read in the format json: 50 of 50 lines fit json; " in said[0]
    log.commit()
    assert log.totals() == (1, 1)
    log = begin(start="end", old=before)
    log.read(OWN)
    log.commit()
    assert len(log.said()) == 1
    log = begin(start="end", old=before)
    log.read(COMMON)
    log.read(COMMON * 2)
    log.read(JSON)
    log.commit()
    assert log.said() == [
        "LOG is read in the format combined: 3 of 4 lines fit combined, 1 json; "
        'format = ["json", "combined"] counts both'
    ]


# --- what most lines fit no longer


def a_log_that_changes_its_format_is_judged_anew(begin: Begin) -> None:
    """It is said from where on, and that is so."""
    log = begin()
    log.read(COMMON * RECENT)
    rotated(log)
    log.said()
    for _ in range(12):
        log.read(JSON * 50)
    log.commit()
    said, read = log.said(), 11 * 50  # more than half of RECENT lines
    place = f"from byte {read * len(JSON)} of LOG on, since most lines before were rejected"
    assert said == [f"LOG is read in the format json {place}: 100 of 100 lines fit json"]
    assert log.totals() == (RECENT + 50, read)
    log = begin()
    log.read(COMMON * 3000 + JSON * 3000)
    log.commit()
    told = int(log.said()[1].partition(" from byte ")[2].split()[0])
    counted = (len(COMMON * 3000 + JSON * 3000) - told) // len(JSON)
    assert log.totals() == (3000 + counted, 3000 - counted)
    assert counted > 1500  # though all came in a few blocks


def it_is_not_judged_anew_while_most_lines_count(begin: Begin) -> None:
    """However many of another kind come now and then; nor for another format that counts no more. Nor do two
    that take turns take each other's place again and again."""
    log = begin()
    for _ in range(50):
        log.read(JSON * 40)
        log.read(COMMON * 60)
    assert len(log.said()) == 1
    log = begin()
    for _ in range(60):
        log.read(JSON * 49)
        log.read(COMMON * 51)
    assert len(log.said()) <= 2
    log = begin()
    log.read(JSON * 100)
    log.read((OWN * 9 + JSON) * 1000)
    log.commit()
    assert (len(log.said()), log.totals()) == (1, (1100, 9000))


def that_nothing_fits_is_said(begin: Begin) -> None:
    """With what would help, once an hour; in a format that is set, too."""
    for log_format, lines, reason in [
        ("auto", JUNK, f"none of {FIRST} lines fits a format that has a name"),
        ("common", JSON, f"{FIRST} of {FIRST} lines fit json"),
        ("common", JUNK, f"none of {FIRST} lines fits a format that has a name"),
    ]:
        log = begin(log_format=log_format)
        log.read(lines * (FIRST - 1))
        assert log.said(FORMAT_UNFIT) == []
        log.read(lines)
        log.commit()
        assert log.said(FORMAT_UNFIT) == [UNFIT.format(log_format, reason)]
        log.now += UNFIT_SAID_EVERY - 3 * SECOND
        log.read(lines * FIRST)
        log.commit()
        assert log.said(FORMAT_UNFIT) == []
        log.now += 2 * SECOND
        log.read(lines * FIRST)
        log.commit()
        assert len(log.said(FORMAT_UNFIT)) == 1
        assert (log.said(), log.totals()) == ([], (0, 3 * FIRST))


def it_is_not_said_while_any_fits(begin: Begin) -> None:
    """A server's own messages may be many, but not a thousand of them without a request."""
    log = begin(log_format="json")
    log.read(JSON)
    for _ in range(9):
        log.read(OWN * 111)
    assert log.said(FORMAT_UNFIT) == []
    for _ in range(2):
        log.read(OWN * 500)
    assert len(log.said(FORMAT_UNFIT)) == 1


UNFIT = (
    "no recent line of LOG counts in the format {}: {}; qps-reporter explain shows how a line is understood, "
    "format = sets another format"
)


def rejects_are_said_after_the_last_commit_too(begin: Begin) -> None:
    """With `--once` there is no look after it."""
    log = begin()
    log.read(JUNK)
    log.commit()
    assert len(log.said(REJECTED)) == 1


def older_lines_are_not_judged() -> None:
    """However short lines are: a text of nothing but newlines has 64 K of them."""
    recent = auto._Recent()
    recent.add(b"\n" * 50_000 + JUNK * 2, 50_002, 50_002, RECENT)
    assert recent.text == b"\n" * 998 + JUNK * 2
    recent = auto._Recent()
    recent.add(JUNK * 3, 3, 3, RECENT)
    assert recent.text == JUNK * 3


def a_choice_looks_at_few_lines() -> None:
    """Sixteen scanners would take long for the rest of a block; the seventeenth would look for directives."""
    asked: dict[str, int] = {}  # bytes that were scanned, by format

    class Weighing(ScannerAround):
        format: str

        def scan(self, block: bytes | memoryview) -> tuple[int, int]:
            asked[self.format] = asked.get(self.format, 0) + len(block)
            return self._scanner.scan(block)

    def make(options: ScanOptions, spill: Spill) -> Scanner:
        scanner = Weighing(make_scanner(options, spill))
        scanner.format = options.log_format.text
        return scanner

    options = ScanOptions(compile_format("auto"), max_line=1000)
    counter = LineCounter(options, nothing, nothing, make=make)
    lines = [DEFAULT.replace(b"/", b"/%d" % number, 1) for number in range(2000)]
    counter.scan(b"".join(lines), Mock(directives=Directives()))
    assert counter.chosen == "default"
    assert asked.pop("default") < len(lines[-1]) * 2200
    assert len(asked) > 10
    assert max(asked.values()) < len(lines[-1]) * 200


def lines_that_come_again_are_judged_once() -> None:
    """Short ones, of which 64 KiB may be thousands: each format would look at each of them."""
    scanned: list[int] = []

    def make(options: ScanOptions, spill: Spill) -> Scanner:
        scanner = make_scanner(options, spill)
        scan = scanner.scan

        def counting(block: bytes | memoryview) -> tuple[int, int]:
            scanned.append(bytes(block).count(b"\n"))
            return scan(block)

        return Mock(wraps=scanner, scan=counting)

    counter = LineCounter(ScanOptions(compile_format("auto"), 8192), nothing, nothing, make=make)
    counter.scan(b"x\n" * 1000, Mock(directives=Directives()))
    counter.settle()
    assert sum(scanned) < 1200
    assert counter.take().lines == 1000


def each_row_votes_by_the_fields_above_it() -> None:
    """Those before the text hold up to its first `#Fields`, however far behind that the next row is."""
    before, since = b"#Fields: cs-uri-stem sc-status\r\n", b"#Fields: sc-status cs-uri-stem\r\n"
    said: list[str] = []

    def say(name: str, reason: str, *, anew: bool, left: int = 0) -> None:
        said.append(reason)

    counter = LineCounter(ScanOptions(compile_format("auto"), 8192), nothing, say)
    junk = b"".join(b"a b c %d\n" % number for number in range(200))
    counter.scan(since + junk + b"200 /\r\n" * 50, Mock(directives=Directives(1, before)))
    counter.settle()
    assert said == ["51 of 51 lines fit w3c; 200 fit none"]


# --- twins


class SettlesLate(LogPipeline):
    """Positions are taken while lines wait, which are counted right after."""

    def entries(self, sequence: int, now: int, at: int) -> list[Entry]:
        settle = self._scanner.settle
        with patch.object(self._scanner, "settle"):
            entries = super().entries(sequence, now, at)
        settle()
        return entries


def forgets_the_choice(self: LogPipeline, *arguments: Any) -> Entry:
    """Each process looks for itself."""
    return LogPipeline._entry(self, *arguments)._replace(format=None)


def chooses_anew(self: LogPipeline, config: LogConfig) -> None:
    """Whatever is set, the format is looked for again."""
    LogPipeline.reconfigure(self, config)
    self._scanner = self._make_scanner(config, None)


def says_each(pipeline: LogPipeline) -> None:
    """Nothing holds it back."""
    pipeline._unfit_said = Throttle(0)


def says_at_a_look(pipeline: LogPipeline, now: int) -> None:
    """What a commit rejects is said at the next look."""
    if "entries" not in {frame.function for frame in inspect.stack()}:
        LogPipeline._say_rejects(pipeline, now)


def rejects_what_was_looked_at(counter: LineCounter) -> None:
    """As a scanner does that takes each block for itself."""
    while counter._waiting and counter._waiting.blocks:
        counter._count(*counter._waiting.blocks.pop(0))


def following(name: str, method: str, **changes: Any) -> Patches:
    return Patches((Log, "make", twin(LogPipeline, name, method, **changes)))


def counting(name: str, method: str, **changes: Any) -> Patches:
    return Patches((pipeline_module, "LineCounter", twin(LineCounter, name, method, **changes)))


rejects_each = counting("rejects", "scan", then=rejects_what_was_looked_at)
never_doubts = counting("never doubts", "_doubt", instead=nothing)

settles_each = counting("settles each", "scan", then=LineCounter.settle)
settles_once = counting("once", "settle", then=lambda self: setattr(self, "_waiting", None))
never_settles = counting("never", "settle", instead=nothing)
forgets_what_was = counting("forgets", "learn", instead=nothing)
whatever_comes = Patches((auto._Waiting, "_is_as_before", lambda self, votes: bool(self.former)))
ENOUGH = [Doubled("formats.detection:VOTES"), Doubled("scanning.auto:WAITING")]
KILLED = {"settles late": Patches((Log, "make", SettlesLate)), "commits what waits": never_settles}
RESTARTED = [following("forgets", "_entry", instead=forgets_the_choice)]
RELOADED = [following("chooses anew", "reconfigure", instead=chooses_anew)]
UNSAID = {
    "says each": following("says each", "read", first=says_each),
    "never": never_doubts,
    "late": Doubled("service.pipeline:UNFIT_SAID_EVERY"),
}
AFTER_A_LOOK = [following("at a look", "_say_rejects", instead=says_at_a_look)]


def as_at_the_start(votes: Votes, lines: Any, names: Any, fields: Any) -> None:
    """Each part is judged by the fields before the first."""
    vars(votes).setdefault("_before", fields)
    VOTE(votes, lines, names, vars(votes)["_before"])


VOTE = Votes.add


test_promise, test_twin = promises(
    Promise(lines_wait_until_a_window_ends, None, {"settles": settles_each, "rejects": rejects_each}),
    Promise(enough_lines_are_waited_for_no_longer, None, ENOUGH),
    Promise(what_came_first_is_not_lost, None, [rejects_each]),
    Promise(where_nothing_fits_it_goes_on_looking, None, [settles_once]),
    Promise(a_cut_file_gets_what_waited_of_it, None, [Patches((Chunk, "is_last", False))]),
    Promise(a_kill_while_lines_wait_loses_nothing, None, KILLED),
    Promise(a_restart_keeps_the_choice, None, RESTARTED),
    Promise(a_reload_keeps_the_choice, None, RELOADED),
    Promise(what_was_there_before_tells_the_format, None, [forgets_what_was, whatever_comes]),
    Promise(a_log_that_changes_its_format_is_judged_anew, None, [never_doubts]),
    Promise(it_is_not_judged_anew_while_most_lines_count, None, [Patches((auto, "RECENT", 10))]),
    Promise(that_nothing_fits_is_said, None, UNSAID),
    Promise(it_is_not_said_while_any_fits, None, [Doubled("scanning.auto:RECENT")]),
    Promise(rejects_are_said_after_the_last_commit_too, None, AFTER_A_LOOK),
    Promise(a_choice_looks_at_few_lines, None, {"all": Patches((auto, "_AT_ONCE", 10_000))}),
    Promise(older_lines_are_not_judged, None, [Doubled("scanning.auto:RECENT")]),
    Promise(each_row_votes_by_the_fields_above_it, None, [Patches((Votes, "add", as_at_the_start))]),
    Promise(lines_that_come_again_are_judged_once, None, [Patches((auto, "_once", b"\n".join))]),
)
