"""Every system call on the log fails, at every point where it is made; nothing is lost or repeated."""

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from qps_service.files.kernel import Files
from qps_service.following import announcer
from qps_service.following.follower import Follower
from tests.fault.restarts import Shut
from tests.fault.scenarios import Make, followed, row
from tests.following import BlindFiles, FailingFiles, Rig, Writer
from tests.promised import promises

CALLS = ("open", "read", "stat", "fstat", "identity", "names", "lstat", "resolve")
ERRORS = (errno.EIO, errno.EMFILE, errno.EACCES, errno.ESTALE)


class Hooked(Files):
    """Calls that are made in another way: each hook gets the real one and its arguments."""

    def __init__(self, **hooks: Callable[..., Any]) -> None:
        for name, hook in hooks.items():
            setattr(self, name, partial(hook, getattr(self, name)))


def history(rig: Rig) -> None:
    """Rotations, a burst, late writers and a partial line: every call is made several times."""
    old = rig.writer()
    rig.look()
    rig.look()
    old.lines(3)
    rig.rotate()
    new = rig.writer()
    new.lines(2)
    rig.look()
    old.lines(2)
    for _ in range(2):
        rig.rotate()
        new = rig.writer()
        new.lines(2)
    new.raw(b"the end")
    rig.expected[b"the end"] += 1
    rig.rotate()
    rig.writer().lines(1)
    rig.check()


def history_with_stops(rig: Rig) -> None:
    """Rotations to strange places while nobody reads."""
    old = rig.writer()
    rig.look()
    old.lines(20)
    rig.look()
    for name in ("old/access.log.1", "access__2"):
        rig.stop()
        old.lines(3)
        rig.beside(name).parent.mkdir(exist_ok=True)
        rig.path.rename(rig.beside(name))
        old.close()
        old = rig.writer()
        old.lines(20)
        rig.start()
        rig.look_often(2)
    rig.check()


def history_with_a_copy(rig: Rig) -> None:
    """Only a copy with a strange name has the last lines."""
    writer = rig.writer()
    rig.look()
    writer.lines(20)
    rig.look_often(2)
    writer.lines(3)
    rig.copytruncate("copy of access")
    writer.lines(2)
    rig.check()


def history_with_holes(rig: Rig) -> None:
    """A writer leaves out some MiB, twice."""
    writer = rig.writer(appends=False)
    rig.look()
    for _ in range(2):
        writer.lines(3)
        os.lseek(writer.descriptor, 3 << 20, os.SEEK_CUR)
        writer.lines(2)
        rig.look()
    rig.check()


def calls_made(make: Make, name: str, history: Callable[[Rig], None]) -> int:
    """How often the history makes this call, when nothing fails."""
    files = FailingFiles(name, -1, 0)
    history(make(files=files))
    return files.made


def each_call_fails_once(
    make: Make, name: str, history: Callable[[Rig], None], *, in_turns: bool = True
) -> None:
    """With each error, or with one after the other."""
    count = calls_made(make, name, history)
    assert count > 1
    # The very first look decides what was before our time; a fault there is the next test's.
    first = FailingFiles(name, -1, 0)
    followed(make, files=first)
    for at in range(first.made, count):
        for number in ERRORS[at % 4 :][:1] if in_turns else ERRORS:
            history(make(files=FailingFiles(name, at, number)))


class LosesTheBlock(Follower):
    """Moves on past what it failed to read."""

    def read(self, now: int) -> Any:
        for generation in self._held:
            drain = generation.drain

            def careless(generation: Any = generation, drain: Any = drain) -> Any:
                try:
                    yield from drain()
                except OSError:
                    generation.offset = os.stat(generation.name).st_size
                    generation._marker = b""

            generation.drain = careless  # type: ignore[method-assign]
        return super().read(now)


test_each_call_fails_once, test_a_follower_that_skips_what_it_cannot_read_is_caught = promises(
    row(each_call_fails_once, LosesTheBlock, name="read", history=history, in_turns=False),
    *(
        row(each_call_fails_once, name=name, history=each, in_turns=each is not history)
        for each, names in {
            history: tuple(name for name in CALLS if name != "read"),
            history_with_stops: (*CALLS, "entries"),
            history_with_a_copy: (*CALLS, "entries"),
            history_with_holes: ("data_from",),
        }.items()
        for name in names
    ),
)


def unreadable_at_the_start(make: Make) -> None:
    rig = make(files=(files := Shut("")))
    rig.writer().raw(b"before our time\n")
    for _ in range(3):
        rig.look()
    rig.writer().lines(2)
    rig.look()
    files.refused = None
    rig.check()
    user = "root" if os.geteuid() == 0 else ""
    (text,) = rig.said("unreadable")
    assert text.startswith(f"cannot read {rig.path}: Permission denied for user {user}")
    assert "its mode is -rw-r--r--" in text


def unreadable_after_rotation(make: Make) -> None:
    rig, old = followed(make, files=(files := Shut()))
    files.refused = ""
    for _ in range(3):  # they come and go while nothing can be opened
        rig.rotate()
        rig.writer().lines(3)
        rig.look()
    old.lines(1)
    rig.look()
    files.refused = None
    rig.check()
    assert len(rig.said("unreadable")) == 1


class TriesOnce(Follower):
    """Takes a refused log for a lost one."""

    def _look(self, now: int) -> None:
        if not self._announcer.trouble:
            super()._look(now)


test_an_unreadable_log_is_said_once_and_picked_up_later, test_a_follower_that_tries_once_is_caught = promises(
    *(row(check, TriesOnce) for check in (unreadable_at_the_start, unreadable_after_rotation))
)


@pytest.mark.parametrize("make_other", [lambda path: path.mkdir(), os.mkfifo])
def test_what_is_no_regular_file_is_never_opened(make_other: Callable[[Path], object], make: Make) -> None:
    opened: list[str] = []

    def recorded(real: Callable[[str], int], path: str) -> int:
        opened.append(path)
        return real(path)

    rig = make(files=Hooked(open=recorded))
    make_other(rig.path)
    rig.look()
    assert "it is not a regular file" in rig.said("unreadable")[0]
    assert opened == []
    rig.path.rename(rig.path.with_name("other"))
    rig.look()
    rig.writer().lines(2)
    rig.check()


def test_a_link_put_in_a_siblings_place_is_not_read(make: Make) -> None:
    """Between the look at a file and its opening, whoever owns the directory swaps it for a link."""
    secret = b"root:x:0:0\n"

    def swapped(real: Callable[[str], int], path: str) -> int:
        if path.endswith(".1") and not os.path.islink(path):
            os.unlink(path)
            os.symlink(rig.root / "secret", path)
        return real(path)

    rig = make(files=Hooked(open=swapped))
    (rig.root / "secret").write_bytes(secret)
    rig.writer()
    rig.look()
    rig.path.with_name("new").write_bytes(b"")
    rig.path.rename(rig.path.with_name("away"))
    rig.path.with_name("new").rename(rig.path)
    rig.path.rename(rig.path.with_name("access.log.1"))  # came and went: it will be opened by this name
    rig.writer().lines(2)
    rig.check()
    assert secret.rstrip() not in rig.seen


def test_what_a_last_writer_adds_before_the_file_is_let_go_is_read(make: Make) -> None:
    """It writes between the read and the question whether anybody still writes."""

    def meanwhile(real: Callable[[int], bool | None], descriptor: int) -> bool | None:
        if late:
            late.pop().lines(3)
        return real(descriptor)

    late: list[Writer] = []
    rig, old = followed(make, files=Hooked(has_writer=meanwhile))
    old.lines(1)
    rotated = rig.rotate()
    old.close()
    rig.writer().lines(1)
    late.append(rig.writer(rotated))
    rig.check()


@pytest.mark.parametrize("waits", [True, False], ids=["an empty successor", "a successor with lines"])
def test_an_old_file_is_held_until_it_was_quiet_and_has_a_successor_with_lines(
    waits: bool, make: Make
) -> None:
    """Quiet since its successor came at the earliest."""
    rig, _ = followed(make, files=BlindFiles())
    rig.look(1000)
    rig.rotate()
    new = rig.writer()
    if waits:
        rig.look()
        for _ in range(5):
            rig.look(100)
            assert rig.files_open == 2
    new.lines(1)
    rig.look()
    if not waits:
        rig.look(59)
        assert rig.files_open == 2
    rig.look(2)
    assert rig.files_open == 1
    rig.check()


@pytest.mark.parametrize("to", ["held", "fifo"])
def test_a_log_that_is_swapped_between_look_and_open(to: str, make: Make) -> None:
    swaps = 0

    def swapping(real: Callable[[str], int], path: str) -> int:
        nonlocal swaps
        if path == str(rig.path) and swaps:
            swaps -= 1
            rig.path.rename(rig.path.with_name(f"away{swaps}"))
            os.mkfifo(rig.path) if to == "fifo" else old_path.rename(rig.path)
        return real(path)

    rig = make(files=Hooked(open=swapping))
    old = rig.writer()
    rig.look()
    old.lines(5)
    rig.look()
    old_path = rig.rotate()
    rig.writer()
    swaps = 1
    rig.look()
    rig.look()
    assert rig.files_open == 2
    rig.path.unlink()
    rig.writer().lines(2)
    rig.check()


def test_a_maze_of_links_is_trouble_with_the_log_and_no_more(make: Make) -> None:
    rig = make()
    target = rig.path.with_name("target")
    rig.writer(target)
    for number in range(1200):
        rig.path.with_name(f"link{number}").symlink_to(target if number == 0 else f"link{number - 1}")
    rig.path.symlink_to("link1199")
    rig.look()
    assert "Too many levels of symbolic links" in rig.said("unreadable")[0]
    rig.path.unlink()
    rig.writer().lines(2)
    rig.check()


def test_states_that_change_all_the_time_do_not_fill_the_journal(make: Make) -> None:
    rig = make()
    for _ in range(200):
        rig.path.mkdir()
        rig.look(0.01)
        rig.path.rmdir()
        rig.writer().close()
        rig.look(0.01)
        rig.path.unlink()
    assert len(rig.notices) <= 2 * announcer.BURST
    rig.look(60)
    rig.path.mkdir()
    rig.look(1)
    assert any("messages before this were withheld)" in notice.text for notice in rig.notices[-3:])


def test_rotations_held_back_are_said_once_their_time_has_come(make: Make) -> None:
    rig, _ = followed(make)
    for _ in range(4):
        rig.rotate()
        rig.writer()
        rig.look()
    rig.look(10)
    assert [text.partition(" was ")[2].partition(";")[0] for text in rig.said("rotated")] == [
        "rotated",
        "rotated 3 times",
    ]
