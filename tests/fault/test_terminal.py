"""`qps-reporter top` on a terminal that a program reads (pyte), and without one. Nothing waits but for what
must come: output of the terminal, or the end of a process."""

import fcntl
import os
import select
import shlex
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pyte
import pytest

from tests.fault import broken
from tests.fault.program import GUARD, ROOT, Twin, command, run_program
from tests.promised import MadePromise, promises

pytestmark = pytest.mark.real_time

GIVEN_BACK = (b"\x1b[?1049l", b"\x1b[?25h")  # the other screen is left, the cursor is seen
RED = b"\x1b[31m"
OFTEN = ("--interval", "100ms")


# One whose sequences pyte knows all of: it has no REP, which xterm has.
WORLD = {"TERM": "screen-256color", "LC_ALL": "C.UTF-8", "NO_COLOR": ""}


class Terminal:
    """A terminal, and a program that it belongs to; by default `top` of a log."""

    def __init__(
        self,
        root: Path,
        *twins: Twin,
        arguments: tuple[str, ...] = OFTEN,
        session: str | None = None,
        deaf: bool = False,
        **environment: str,
    ) -> None:
        """`session`: what a shell with job control does, where {} is the program. `deaf`: no SIGHUP comes."""
        self.log = root / "access.log"
        self.log.touch()
        self._complaints = root / "complaints"
        self.master, slave = os.openpty()
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.resize(80, 24)
        self._before = termios.tcgetattr(slave)
        program = command("top", *([] if "-" in arguments else [self.log]), *arguments, twins=twins)
        if session:
            program = ["bash", "-mc", session.format(shlex.join(map(str, program)))]
        program = ["env", "--ignore-signal=SIGHUP", *program] if deaf else program
        with self._complaints.open("wb") as complaints:
            self.process = subprocess.Popen(
                ["setsid", "--ctty", *program],
                cwd=ROOT,
                stdin=slave,
                stdout=slave,
                stderr=slave if session else complaints,  # bash's job control is of its stderr
                env={**os.environ, **WORLD, **environment},
                start_new_session=False,
            )
        os.close(slave)

    def resize(self, width: int, height: int) -> None:
        """The kernel tells the program."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.screen.resize(height, width)

    def write(self, count: int, route: bytes, status: int) -> None:
        """Requests that the log tells."""
        with self.log.open("ab") as log:
            log.write(b"10.0.0.1\tGET %s\t%d\t10\n" % (route, status) * count)

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    @property
    def lines(self) -> list[str]:
        """What is seen."""
        return [line.rstrip() for line in self.screen.display]

    def shows(self, predicate: Callable[[list[str]], bool]) -> list[str]:
        """What is seen once it is so; fails where it never is."""
        deadline = time.monotonic() + GUARD
        while not predicate(self.lines):
            assert time.monotonic() < deadline, self.lines
            assert self._read(), [*self.lines, self.complaints]
        return self.lines

    def ends(self) -> int:
        """Its exit status."""
        while self._read():
            pass
        return self.process.wait(GUARD)

    @property
    def complaints(self) -> str:
        return self._complaints.read_text()

    def is_as_it_was(self) -> bool:
        """Whether the terminal is."""
        return termios.tcgetattr(self.master)[:4] == self._before[:4] and all(
            self.raw.rfind(each) > self.raw.rfind(b"\x1b[?1049h") for each in GIVEN_BACK
        )

    def _read(self) -> bool:
        """Take in what came; False at its end."""
        if not select.select([self.master], [], [], GUARD)[0]:
            return False
        with suppress(OSError):  # EIO: nobody has it open any longer
            if came := os.read(self.master, 65536):
                self.raw += came
                self._stream.feed(came)
                return True
        return False

    def close(self) -> None:
        with suppress(OSError):
            os.close(self.master)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(GUARD)


MakeTerminal = Callable[..., Terminal]


@pytest.fixture
def make_terminal(tmp_path: Path) -> Iterator[MakeTerminal]:
    with ExitStack() as stack:

        def make(*twins: Twin, **how: Any) -> Terminal:
            terminal = Terminal(tmp_path, *twins, **how)
            stack.callback(terminal.close)
            return terminal

        yield make


def is_seen(*texts: str) -> Callable[[list[str]], bool]:
    """All of them."""
    return lambda lines: all(any(text in line for line in lines) for text in texts)


BEGUN = is_seen("access  last", "route", "0-0 of 0")


def check_screen(make_terminal: MakeTerminal) -> None:
    """Numbers come, keys and sizes are heeded, and at the end all is as it was."""
    terminal = make_terminal()
    assert terminal.shows(BEGUN)[-1].startswith("? help  q end")
    terminal.write(3, b"/checkout", 200)
    terminal.write(1, b"/checkout", 503)
    terminal.write(9, b"/\x1b[2J\xff\x07", 404)
    lines = terminal.shows(
        is_seen("25% ", "! errors 7.69%", " /checkout", " /\\x1b[2J\\xff\\x07", "1-2 of 2")
    )
    assert [line[0] for line in lines[2:4]] == [" ", "!"]
    assert RED in terminal.raw
    terminal.press(b"/CHECK")
    terminal.shows(is_seen("/CHECK_", "1-1 of 1"))
    terminal.press(b"\r?")
    terminal.shows(is_seen("errors: requests that the server failed"))
    terminal.press(b"x\x1b")
    terminal.shows(is_seen("1-2 of 2"))
    terminal.resize(100, 30)
    terminal.press(b"?")
    terminal.shows(is_seen("page up"))
    terminal.press(b"\x1b[6~")
    terminal.shows(is_seen("req/s*"))
    terminal.press(b"\x1b[B eq")
    assert terminal.ends() == 0
    assert terminal.lines[29].endswith("1-2 of 2")
    assert terminal.complaints == ""
    assert terminal.is_as_it_was()


def check_few_colours(make_terminal: MakeTerminal) -> None:
    """A terminal that can't go back to its own colours has some all the same."""
    terminal = make_terminal(broken.has_no_default_colours)
    terminal.shows(BEGUN)
    terminal.write(1, b"/", 503)
    terminal.shows(is_seen("100%"))
    assert RED in terminal.raw
    terminal.press(b"q")
    assert terminal.ends() == 0


def check_signal(make_terminal: MakeTerminal, number: signal.Signals) -> None:
    terminal = make_terminal()
    terminal.shows(BEGUN)
    terminal.process.send_signal(number)
    assert terminal.ends() == 0
    assert terminal.is_as_it_was()


def check_crash(make_terminal: MakeTerminal) -> None:
    """A mistake of ours is to be read, on a terminal as it was."""
    terminal = make_terminal(broken.draws_no_errors)
    terminal.shows(BEGUN)
    terminal.write(1, b"/", 503)
    assert terminal.ends() == 1
    assert terminal.complaints.endswith("\nZeroDivisionError: it was drawn\n")
    assert terminal.is_as_it_was()


def check_stop(make_terminal: MakeTerminal) -> None:
    """Ctrl-Z gives the terminal to the shell, fg takes it back; without colours, and in ASCII, if wished."""
    session = "{}; echo stopped $?; stty -a; read; fg >/dev/null; echo ended $?"
    terminal = make_terminal(session=session, LC_ALL="C", NO_COLOR="1")
    terminal.shows(BEGUN)
    terminal.write(1, "/é".encode(), 503)
    terminal.shows(is_seen("100%"))
    terminal.press(b"\x1a")
    lines = terminal.shows(is_seen("stopped 148", "-extproc"))
    assert is_seen(" icanon ", " echo ")(lines)
    assert terminal.raw.rfind(GIVEN_BACK[0]) > terminal.raw.rfind(b"req/s")
    terminal.write(3, b"/after", 200)
    terminal.press(b"\n")
    terminal.shows(is_seen("/after"))
    assert is_seen("/\\xc3\\xa9")(terminal.lines)
    terminal.press(b"q")
    terminal.shows(is_seen("ended 0"))
    assert terminal.ends() == 0
    assert terminal.raw.isascii()
    assert RED not in terminal.raw


def check_hang_up(make_terminal: MakeTerminal, *, deaf: bool) -> None:
    """Nobody sees it any longer: it ends, without a word."""
    terminal = make_terminal(deaf=deaf)
    terminal.shows(BEGUN)
    os.close(terminal.master)
    assert terminal.process.wait(GUARD) == 0
    assert terminal.complaints == ""


def check_pipe(make_terminal: MakeTerminal, tmp_path: Path) -> None:
    """Lines come from a pipe, and keys from the terminal."""
    os.mkfifo(tmp_path / "fifo")
    session = f"cat {tmp_path}/fifo | {{}}; echo ended $?"
    terminal = make_terminal(arguments=("-", *OFTEN, "--format", "%U %>s"), session=session)
    with (tmp_path / "fifo").open("wb", buffering=0) as fifo:
        terminal.shows(is_seen("stdin  last"))
        fifo.write(b"/x 500\n")
        terminal.shows(is_seen("stdin", " /x"))
        terminal.press(b"q")
        terminal.shows(lambda _: GIVEN_BACK[0] in terminal.raw)
    terminal.shows(is_seen("ended 0"))


def check_text(make_terminal: MakeTerminal) -> None:
    """Without a terminal, and on one that can't be drawn on, it is text, without a control character."""
    terminal = make_terminal(TERM="dumb")
    terminal.shows(is_seen("req/s*"))
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.ends() == 0
    assert b"\x1b" not in terminal.raw
    told = run_program("top", terminal.log, "--once", *OFTEN, env={**os.environ, "LC_ALL": "C"})
    assert told.returncode == 0
    assert told.stderr == ""
    _, state, heads = told.stdout.rstrip("\n").split("\n")
    assert state.split()[:2] == ["access", "last"]
    assert heads.split() == ["req/s*", "4xx", "5xx", "errors", "5", "minutes", "route"]


test_promise, test_twin = promises(
    *(
        MadePromise(check, *twins, by="make_terminal", **given)
        for check, twins, given in (
            (check_screen, [broken.keeps_the_terminal, broken.knows_one_size], {}),
            (check_few_colours, [], {}),
            (check_signal, [], {"number": signal.SIGTERM}),
            (check_crash, [broken.keeps_the_terminal], {}),
            (check_stop, [broken.keeps_the_terminal, broken.is_always_red], {}),
            (check_hang_up, [broken.sees_no_hang_up], {"deaf": True}),
            (check_hang_up, [], {"deaf": False}),
            (check_pipe, [], {}),
            (check_text, [], {}),
        )
    )
)
