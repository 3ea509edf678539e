"""A log that is a pipe, over real ones: whole lines, writers that come and go, stops and kills."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from qps_service.files.kernel import Files
from qps_service.files.pipe import PipeText
from qps_service.following import known_files, stream
from qps_service.following.announcer import Announcer
from qps_service.following.generation import Generation
from qps_service.following.known_files import KnownFiles
from qps_service.following.open_files import FollowLimits
from qps_service.following.resume import Resume
from qps_service.following.stream import Stream
from qps_service.notices import kinds
from qps_service.notices.kinds import Kind, Notice
from qps_service.values.positions import Position
from tests.following import Paper, Store
from tests.promised import Patches, Promise, nothing, promises, twin

SECOND = 10**9


class Piped:
    """A FIFO, or a pipe that the process was given; a stream of it, and what came out."""

    def __init__(self, root: Path, stream: type[Stream], *, given: bool = False, files: Any = None) -> None:
        """`given`: whether it is one without a name; its writing end is `ends[1]`."""
        self.ends: tuple[int, ...] = os.pipe() if given else ()
        self.path = Path("/dev/fd", *map(str, self.ends[:1])) if given else root / "access.pipe"
        if not given:
            os.mkfifo(self.path)
        self.lines: list[bytes] = []
        self.oversize = 0
        self.notices: list[Notice] = []
        self.paper = Paper()
        self.store = Store()
        self._make, self._files = stream, files or Files()
        self._writers: set[int] = set(self.ends[1:])
        self._now = 1000 * SECOND
        self.begin(Resume())

    def begin(self, resume: Resume) -> None:
        self.stream = self._make(
            str(self.path),
            FollowLimits(256, 512, 60 * SECOND),
            files=self._files,
            announcer=Announcer(str(self.path), "access", self.notices.append),
            resume=resume,
            keeper=self.store,
        )

    def writer(self) -> int:
        """Open it for writing; somebody reads it."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        self._writers.add(descriptor)
        return descriptor

    def leave(self, writer: int) -> None:
        self._writers.remove(writer)
        os.close(writer)

    def read(self) -> list[bytes]:
        """A look, without a commit; what it handed out."""
        self._now += SECOND
        found: list[bytes] = []
        for chunk in self.stream.read(self._now):
            lines = chunk.data.splitlines()
            found += lines
            self.oversize += chunk.oversize is not None
            chunk.origin.counted(len(lines) + (chunk.oversize is not None), 0, chunk.origin.directives)
        self.lines += found
        return found

    def look(self) -> list[bytes]:
        """A look, and a commit."""
        found = self.read()
        self.paper.commit(self.stream)  # type: ignore[arg-type]
        self.stream.release(committed=True)
        return found

    def stop(self) -> None:
        """An orderly end."""
        self.stream.sweep()
        self.look()
        self.stream.close()

    def start(self) -> None:
        """The next process, after an end or `stream.close()`, which is a kill."""
        restored = self.paper.restored(str(self.path))
        self.begin(Resume(restored, tuple(self.store.hand_back())))

    def said(self, kind: Kind) -> int:
        return sum(notice.kind is kind for notice in self.notices)

    def close(self) -> None:
        self.stream.close()
        self.store.clear()
        for descriptor in (*self._writers, *self.ends[:1]):
            os.close(descriptor)


Make = Callable[..., Piped]


@pytest.fixture
def piped(tmp_path: Path) -> Iterator[Make]:
    """Makes pipes that were looked at once."""
    made: list[Piped] = []

    def make(stream: type[Stream] = Stream, **keywords: Any) -> Piped:
        made.append(Piped(tmp_path, stream, **keywords))
        made[-1].look()
        return made[-1]

    yield make
    for each in made:
        each.close()


def cut_lines_wait(piped: Make) -> None:
    """However few bytes come at a time."""
    log = piped()
    writer = log.writer()
    for number in range(30):
        assert log.look() == {7: [b"line 1"], 14: [b"line 2"]}.get(number, [])
        if number < 14:
            os.write(writer, b"line 1\nline 2\n"[number : number + 1])
    (row,) = log.paper.held.values()
    assert (row.offset, row.lines, row.unended) == (14, 2, 0)


class EndsOften(PipeText):
    """Takes an empty pipe for its end."""

    def read(self, size: int, offset: int) -> bytes:
        found = super().read(size, offset)
        self.is_ended = True
        return found


def writers_come_and_go(part: type[Stream], piped: Make) -> None:
    """Without one nothing is polled; what one left without a newline is a line, and is none with the next."""
    log = piped(part)
    assert log.stream.fileno() is None
    for number in range(3):
        writer = log.writer()
        os.write(writer, b"whole %d\nrest %d" % (number, number))
        assert log.look() == [b"whole %d" % number]
        assert log.stream.fileno() is not None
        assert log.stream.state.is_open
        log.leave(writer)
        assert log.stream.take_hints()
        assert log.look() == [b"rest %d" % number]
        assert (log.stream.fileno(), log.stream.take_hints()) == (None, False)
        assert not log.stream.state.is_open
        assert not log.stream.state.is_over
    (row,) = log.paper.held.values()
    assert (row.lines, row.unended) == (6, 3)


def its_end_is_the_end(part: type[Stream], piped: Make) -> None:
    """Of a pipe that the process was given: the last line counts, and nothing more can come."""
    log = piped(part, given=True)
    os.write(log.ends[1], b"one\ntwo")
    assert log.look() == [b"one"]
    assert not log.stream.state.is_over
    log.leave(log.ends[1])
    assert log.look() == [b"two"]
    assert log.stream.state.is_over
    assert log.stream.fileno() is None
    assert log.look() == []
    (row,) = log.paper.retired.values()
    assert (row.lines, row.unended, row.offset) == (2, 1, 7)


def nobody_elses_flags_change(part: type[Stream], piped: Make) -> None:
    """Whoever has the same open pipe would find that its reads fail; and we don't wait all the same."""
    log = piped(part, given=True)
    assert log.look() == []
    assert os.get_blocking(log.ends[0])


class NotBlocking(Stream):
    """Makes a pipe that others have, too, one that does not block."""

    def _open(self) -> None:
        super()._open()
        os.set_blocking(self._pipes[-1].text.number, False)


class Refilling(Files):
    """After each read somebody has written as much again, as long as there is something left to write."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 40
        self.writer = -1

    def take(self, descriptor: int, size: int) -> bytes | None:
        taken = super().take(descriptor, size)
        if taken and self.left and self.writer >= 0:
            self.left -= 1
            os.write(self.writer, b"another line\n" * 300)
        return taken


def fast_writers_hold_nobody_up(piped: Make) -> None:
    """A look ends, and hands out what was there when it began, and hardly more."""
    files = Refilling()
    log = piped(files=files)
    files.writer = log.writer()
    os.write(files.writer, b"another line\n" * 300)
    assert 300 <= len(log.look()) <= 301
    while log.look():
        pass
    assert len(log.lines) == 300 * 41


def presses_when_half_full(part: type[Stream], piped: Make) -> None:
    """What trickles in waits for the tick; a pipe that fills up does not."""
    log = piped(part)
    writer = log.writer()
    log.look()
    os.write(writer, b"a line\n")
    assert not log.stream.take_hints()
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"a line\n" * 300)
    assert log.stream.take_hints()


def goes_on_within_a_line(part: type[Stream], piped: Make) -> None:
    """After an orderly end nothing is lost, and nothing said, though the process had read half a line."""
    log = piped(part)
    writer = log.writer()
    os.write(writer, b"one\ntw")
    log.stop()
    os.write(writer, b"o\nthree\n")  # and no SIGPIPE: somebody has it open
    log.start()
    assert log.look() == [b"two", b"three"]
    assert log.said(kinds.POSSIBLE_LOSS) == 0
    (row,) = log.paper.held.values()
    assert (row.lines, row.offset) == (3, 14)


def a_kill_is_told(part: type[Stream], piped: Make) -> None:
    """What was read and not committed is lost: of unknown size, once, and in the ledger; the rest is not."""
    log = piped(part)
    writer = log.writer()
    os.write(writer, b"one\n")
    log.look()
    os.write(writer, b"lost\nlo")
    log.read()
    log.stream.close()
    os.write(writer, b"two\n")
    for expected in ([b"two"], []):
        log.start()
        assert log.look() == expected
        log.stop()
    assert [(loss.name, loss.bytes) for loss in log.paper.losses] == [(str(log.path), None)]
    assert "up to one interval" in log.paper.losses[0].what
    assert log.said(kinds.POSSIBLE_LOSS) == 1


def an_old_pipe_is_read_to_its_end(part: type[Stream], piped: Make) -> None:
    """Where the name gets another one, while somebody still writes to the old one."""
    log = piped(part)
    old = log.writer()
    os.write(old, b"one\n")
    log.look()
    first = _key(log.path)
    log.path.rename(log.path.with_name("old"))  # so that its inode does not come again
    os.mkfifo(log.path)
    log.look()
    new = log.writer()
    os.write(new, b"new\n")
    os.write(old, b"two\nhalf")
    assert sorted(log.look()) == [b"new", b"two"]
    log.leave(old)
    assert log.look() == [b"half"]
    assert [log.store.holds(key) for key in (first, _key(log.path))] == [False, True]
    (row,) = log.paper.held.values()
    assert (row.lines, row.unended) == (4, 1)


def no_file_is_taken_for_a_pipe(piped: Make) -> None:
    """One in its place may have got its inode number; a pipe has no text, and nobody looks for it."""
    log = piped()
    os.write(log.writer(), b"one\n")
    log.look()
    (row,) = log.paper.held.values()
    known = KnownFiles(log.paper.restored(str(log.path)))
    assert known.recall(row.identity, 100, lambda size, _: b"x" * size) is None
    assert (known.expected(), known.paths()) == ([], [])


def _key(path: Path) -> tuple[int, int]:
    return os.stat(path).st_dev, os.stat(path).st_ino


def test_a_line_without_end_ends_with_its_writer(piped: Make) -> None:
    log = piped()
    writer = log.writer()
    for _ in range(4):
        os.write(writer, b"x" * 300)
        log.look()
    log.leave(writer)
    log.look()
    writer = log.writer()
    os.write(writer, b"one\n")
    assert log.look() == [b"one"]
    (row,) = log.paper.held.values()
    assert (log.oversize, row.lines, row.offset) == (1, 2, 1204)


def test_a_file_in_its_place_is_said(piped: Make) -> None:
    log = piped()
    log.path.unlink()
    log.path.touch()
    log.look()
    assert log.said(kinds.UNREADABLE) == 1
    assert "restart" in (log.stream.state.waiting or "")


class ForgetsHalfALine(Stream):
    """The ledger has whole lines only."""

    def _position(self) -> Position:
        return super()._position()._replace(tail=b"")


class ClosesFirst(Stream):
    """Lets the old pipe go once there is a new one."""

    def _open(self) -> None:
        super()._open()
        for old in self._pipes[:-1]:
            self._pipes.remove(old)
            old.text.close()


# Even where a poll returns at once, again and again.
PollsAlways = twin(
    *(Stream, "PollsAlways", "fileno"),
    instead=lambda self: next((each.text.number for each in self._pipes), None),
)
HasNoLastLine = Patches((Generation, "last_line", lambda self: iter(())))
NeverEnds = twin(Stream, "NeverEnds", "_end", instead=nothing)
KeepsNothing = twin(Stream, "KeepsNothing", "release", instead=nothing)
MarksNoEnd = twin(Stream, "MarksNoEnd", "sweep", instead=nothing)
AlwaysEnds = twin(Stream, "AlwaysEnds", "changes", first=Stream.sweep)
WaitsForTheTick = twin(Stream, "WaitsForTheTick", "take_hints", instead=lambda self: False)
PressesAlways = twin(Stream, "PressesAlways", "take_hints", instead=lambda self: True)
Endless = Patches((PipeText, "seen", lambda self: self._files.fstat(self.number)._replace(size=1 << 40)))

test_promise, test_twin = promises(
    Promise(cut_lines_wait, None, {"EndsOften": Patches((stream, "PipeText", EndsOften))}),
    Promise(writers_come_and_go, Stream, {"PollsAlways": PollsAlways, "HasNoLastLine": HasNoLastLine}),
    Promise(its_end_is_the_end, Stream, {"NeverEnds": NeverEnds, "HasNoLastLine": HasNoLastLine}),
    Promise(nobody_elses_flags_change, Stream, [NotBlocking]),
    Promise(fast_writers_hold_nobody_up, None, {"Endless": Endless}),
    Promise(presses_when_half_full, Stream, [WaitsForTheTick, PressesAlways]),
    Promise(goes_on_within_a_line, Stream, [ForgetsHalfALine, KeepsNothing, MarksNoEnd], (BrokenPipeError,)),
    Promise(a_kill_is_told, Stream, [AlwaysEnds, KeepsNothing], (BrokenPipeError,)),
    Promise(no_file_is_taken_for_a_pipe, None, {"KnowsPipes": Patches((known_files, "PIPES", -1))}),
    Promise(an_old_pipe_is_read_to_its_end, Stream, [ClosesFirst, NeverEnds], (BrokenPipeError,)),
)
