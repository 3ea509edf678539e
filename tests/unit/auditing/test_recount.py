"""Whatever a log's file went through, audit counts its lines again to what was counted: no false alarm."""

import gzip
import os
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qps_service.auditing import recount
from qps_service.auditing.audit import Audit, audit
from qps_service.configuration.loader import Flags, load
from qps_service.configuration.types import LogConfig
from qps_service.files.kernel import Files
from qps_service.files.sources import Source
from qps_service.following import open_files
from qps_service.following.generation import Chunk, Generation
from qps_service.following.resume import InheritedFile
from qps_service.values.positions import Position
from tests.following import BlindFiles
from tests.promised import Patches, Promise, promises
from tests.unit.followed import FollowedLog

SECOND = 10**9
MAX_LINE = 256  # bytes
LINE = b"1.2.3.4\tGET /%d\t200\t5\n"


class Log(FollowedLog):
    """What happens to it, and to its rotated files."""

    def __init__(self, root: Path, *, before: bytes = b"", links: int = 0) -> None:
        """`before` is what the log holds at the first look, and is not counted. The log is a link, by so many
        others, to a file of another name in another directory."""
        root.mkdir(exist_ok=True)
        self.path = self.target = root / "access.log"
        for number in range(links):
            self.point(root / f"{number}" / f"target-{number}.log", self.target)
        self.target.write_bytes(before)
        self._written = self._boots = self._rotations = 0
        self._old = self.path  # the file that was rotated last
        super().__init__(self.path, BlindFiles())  # files are let go while they have writers

    def config(self) -> LogConfig:
        config = load(Flags(log=str(self.path)), {}).logs[0]
        return config._replace(max_line=MAX_LINE, quiet=SECOND)

    def start(self, *handed: InheritedFile) -> None:
        self.boot = f"boot {self._boots}"
        super().start(*handed)
        self.look()

    def lines(self, count: int = 1) -> None:
        for _ in range(count):
            self.write(LINE % self._written)
            self._written += 1

    def hole(self, size: int) -> None:
        """What a writer without O_APPEND leaves when its log is truncated under it."""
        os.truncate(self.path, self.path.stat().st_size + size)

    def rotate(self) -> None:
        self._rotations += 1
        self._old = self.path.with_name(f"access.log.{self._rotations}")
        self.path.rename(self._old)
        self.path.touch()

    def point(self, target: Path, link: Path | None = None) -> None:
        """Set the log, which is a link, to another target; it has nothing in it yet."""
        link = link or self.path
        target.parent.mkdir(exist_ok=True)
        new = link.with_name("new")
        new.symlink_to(target)
        new.rename(link)
        self.target = target

    def write_late(self, text: bytes) -> None:
        """Of a worker that was not told of the rotation."""
        self.write(text, self._old)

    def look(self, lines: int | None = None) -> None:
        """The balance is checked where so many lines are expected."""
        super().look()
        if lines is not None:
            check(self, lines)

    def lose_power(self, bytes_lost: int, meanwhile: bytes) -> None:
        """The end of the log was not on the disk yet; what is written next comes before anybody reads."""
        self.stop()
        self._boots += 1
        os.truncate(self.path, max(0, self.path.stat().st_size - bytes_lost))
        self.write(meanwhile)
        self.start()

    def audit(self) -> Audit:
        """After a commit of what was let go since the last."""
        self.ledger.commit(self.pipeline.entries(0, self.now, self.now), sequence=None)
        with closing(sqlite3.connect(self.path.with_name("ledger.db"))) as ledger, ledger:
            # As an earlier version called it, which knew no more than the log's path.
            sql = "UPDATE position SET name = ? WHERE number = (SELECT max(number) FROM position)"
            ledger.execute(sql, (os.fsencode(self.path),))
        return audit(self.ledger, "access", Files())


@pytest.fixture(autouse=True)
def _leases_may_break() -> Iterator[None]:
    """Whoever takes leases ignores SIGIO, as the service does."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGIO, before)


def check(log: Log, lines: int | None = None) -> None:
    """The books balance, over so many lines in all generations."""
    audited = log.audit()
    assert audited.requests + audited.rejected == audited.lines
    assert all(each.balances for each in audited.generations), audited.generations
    assert lines in (None, audited.lines)


def nuls_at_the_end(log: Log) -> None:
    """They are no line, neither where they end what was read nor before a line."""
    log.lines(3)
    log.hole(4096)
    log.look(3)
    log.lines(2)
    log.hole(300_000)  # several blocks
    log.look(5)
    log.rotate()
    log.lines(1)
    log.look()
    log.look(6)


def regrown_after_power_loss(log: Log) -> None:
    """Over the old offset, which is inside a line now: what is left of that counts nowhere."""
    log.lines(20)
    log.look()
    log.lose_power(10 * len(LINE), b"".join(LINE % number for number in range(100_000, 100_040)))
    check(log)
    log.lines(2)
    log.restart()
    check(log)


def regrown_into_a_line(log: Log) -> None:
    """The line that the old offset is inside has no newline yet."""
    log.lines(3)
    log.look()
    log.lose_power(len(LINE), b"x" * 100)
    check(log, 3)
    log.write(b"x\n")
    log.look(3)
    log.lines(1)
    log.look(4)


def cut_inside_a_line(log: Log) -> None:
    """Power was lost, and the log ends inside a line, which is ended later and counts then."""
    log.lines(3)
    log.look()
    log.lose_power(5, b"")
    log.write(b"the end\n")
    log.look(4)


def completed_late(log: Log) -> None:
    """The line that ended a file was counted, the file let go; then a late writer went on with the line."""
    log.lines(3)
    log.write(b"1.2.3.4\tGET /late")
    log.rotate()
    log.lines(1)
    log.look()
    log.look(5)
    log.write_late(b"\t200\t5\n")
    log.look(6)
    log.write_late(b"again")
    log.look()
    log.look(7)
    log.restart()
    log.write_late(b"\0\0\0and again\n")
    log.look(8)


def over_the_limit(log: Log) -> None:
    """Lines that are too long count where they begin, and their rest is skipped, across a restart, too."""
    log.write(b"x" * 10 * MAX_LINE + b"\n")
    log.look(1)
    log.write(b"x" * 10 * MAX_LINE)
    log.look(2)
    log.restart()
    log.write(b"x" * 10 * MAX_LINE)
    log.look(2)
    log.restart()
    log.write(b"x\n")
    log.lines(1)
    log.look(3)
    log.write(b"x" * 10 * MAX_LINE)
    log.look()
    log.rotate()
    log.lines(1)
    log.look()
    log.look(5)
    log.write_late(b"x\n")
    log.look(5)


def begun_inside_a_line(log: Log) -> None:
    """What stood in the log before our time left no start of a line to begin at: the rest counts as one."""
    log.write(b"x\n")
    log.lines(1)
    log.look(2)


def check_history(history: Callable[[Log], None], tmp_path: Path) -> None:
    """The recount is right at each look."""
    log = Log(tmp_path, before=b"x" * 10 * MAX_LINE if history is begun_inside_a_line else b"")
    try:
        history(log)
    finally:
        log.stop()


# --- broken twins
def by_the_last_byte(position: Position, source: Source) -> int:
    """A recount that knows nothing but the text: what is behind the last newline is a line."""
    text = source.read(position.offset - position.begun, position.begun)
    return text.count(b"\n") + (text[-1:] not in (b"", b"\n"))


def by_the_byte_before(position: Position, source: Source) -> int:
    """One that takes a beginning inside a line for the rest of a line that was counted before."""
    lines = by_the_last_byte(position, source)
    return lines - bool(position.begun and source.read(1, position.begun - 1) != b"\n")


def to_the_targets_directory(path: str) -> str:
    """Looks beside a link's target only, and there for the link's name."""
    return os.path.join(os.path.dirname(os.path.realpath(path)), os.path.basename(path))


class ForgetsTheEnds(Generation):  # keeps no account of the lines that have no newline
    def last_line(self) -> Iterator[Chunk]:
        before = self._unended
        yield from super().last_line()
        self._unended = before


class ForgetsTheRest(Generation):  # nor of newlines that end no line
    def _consume(self, body: bytes) -> Chunk | None:
        before = self._unended
        chunk = super()._consume(body)
        self._unended = max(before, self._unended)
        return chunk


LAST_BYTE, BYTE_BEFORE = (
    Patches((recount, "_count", twin)) for twin in (by_the_last_byte, by_the_byte_before)
)
NO_ENDS, NO_REST = (Patches((open_files, "Generation", twin)) for twin in (ForgetsTheEnds, ForgetsTheRest))

HISTORIES: dict[Callable[[Log], None], dict[str, Patches]] = {
    nuls_at_the_end: {"last byte": LAST_BYTE, "byte before": BYTE_BEFORE},
    regrown_after_power_loss: {"last byte": LAST_BYTE, "forgets the rest": NO_REST},
    regrown_into_a_line: {"last byte": LAST_BYTE, "forgets the rest": NO_REST},
    cut_inside_a_line: {"byte before": BYTE_BEFORE},
    completed_late: {"last byte": LAST_BYTE, "byte before": BYTE_BEFORE, "forgets the ends": NO_ENDS},
    over_the_limit: {"forgets the rest": NO_REST},
    begun_inside_a_line: {"byte before": BYTE_BEFORE},
}


# --- a log that is a link, or whose files are somewhere else


def check_found(find: Callable[[Log], None], tmp_path: Path, links: int) -> None:
    """None of its files is `gone` for audit, or shown by a link."""
    log = Log(tmp_path, links=links)
    try:
        log.lines(20)
        log.look(20)
        find(log)
        audited = log.audit()
        assert [each.counted for each in audited.generations] == [
            each.position.lines for each in audited.generations
        ]
        assert all(each.path == os.path.realpath(each.path or "") for each in audited.generations)
    finally:
        log.stop()


def moved_on(log: Log, move: Callable[[int], Path]) -> None:
    """Twice; where the file is then that was the log is compressed once it was let go."""
    for number in range(2):
        before = move(number)
        log.target.touch()
        log.lines(3)
        log.look()
        log.look()
    before.with_name(f"{before.name}.gz").write_bytes(gzip.compress(before.read_bytes()))
    before.unlink()


def target_rotated(log: Log) -> None:
    """By the name of the target."""
    moved_on(log, lambda number: log.target.rename(log.target.with_name(f"{log.target.name}.{number}")))


def set_anew(log: Log) -> None:
    """Each time to a file of another name, in another directory."""

    def move(number: int) -> Path:
        before = log.target
        log.point(log.path.parent / f"day-{number}" / f"of-{number}.log")
        return before

    moved_on(log, move)


def renamed(log: Log) -> None:
    """Not as a rotation does, when nobody holds it any longer."""
    log.rotate()
    log.lines(3)
    log.look()
    log.look()
    log._old.rename(log.path.with_name("kept"))


def by_name_only(self: recount.Candidates, path: str, is_named_so: bool) -> None:
    if is_named_so:
        CONSIDER(self, path, is_named_so)


CONSIDER = recount.Candidates._consider
BY_NAME = recount.Candidates, "_consider", by_name_only
NO_LINKS = recount, "_resolved", lambda _files, path: path
BESIDE_TARGET = Patches((recount, "_located", to_the_targets_directory), NO_LINKS, BY_NAME)
LINKED: dict[Callable[[Log], None], dict[str, Patches]] = {
    target_rotated: {"beside the target": BESIDE_TARGET},
    set_anew: {"beside the target": BESIDE_TARGET, "beside the link": Patches(NO_LINKS)},
}

test_promise, test_twin = promises(
    *(Promise(check_history, None, twins, history=history) for history, twins in HISTORIES.items()),
    *(
        Promise(check_found, None, twins, find=find, links=links, label=f"{links} links")
        for find, twins in LINKED.items()
        for links in (1, 2)
    ),
    Promise(check_found, None, {"by name": Patches(BY_NAME)}, find=renamed, links=0),
)


def test_lines_that_are_not_there_are_still_an_alarm(tmp_path: Path) -> None:
    """A newline that became another byte makes a line less; the text around is the same."""
    log = Log(tmp_path)
    log.lines(500)
    log.look()
    check(log, 500)
    text = bytearray(log.path.read_bytes())
    text[text.index(b"\n", 5000)] = ord(" ")
    log.path.write_bytes(text)
    with pytest.raises(AssertionError):
        check(log)
    log.stop()


# --- any history

PIECES = [b"a", b"\n", b"x" * 300, b"x" * 600 + b"\ny", b"\0", b"a\0\n"]
LATE = [b"a", b"\n", b"x" * 300, b"\0\0a\n", LINE % 1]
MEANWHILE = st.integers(0, 3).map(lambda count: b"x\n" * count)
steps = st.one_of(
    st.tuples(st.just(Log.lines), st.integers(1, 4)),
    st.tuples(st.just(Log.write), st.sampled_from(PIECES)),
    st.tuples(st.just(Log.write_late), st.sampled_from(LATE)),
    st.tuples(st.just(Log.hole), st.integers(1, 600)),
    st.tuples(st.just(Log.lose_power), st.integers(0, 400), MEANWHILE),
    *(st.tuples(st.just(step)) for step in (Log.rotate, Log.look, Log.look, Log.restart, check)),
)


@settings(max_examples=min(60, settings().max_examples))
@given(before=st.sampled_from([b"", b"a\n", b"a", b"x" * 600]), history=st.lists(steps, max_size=14))
def test_any_history_balances(before: bytes, history: list[tuple[Callable[..., None], object]]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        log = Log(Path(directory, "logs"), before=before)
        try:
            for step, *arguments in history:
                step(log, *arguments)
            log.look()
            check(log)
        finally:
            log.stop()
