"""What `top` makes of signals and keys, without a terminal: tests/fault/test_terminal.py has one."""

import curses
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import getsignal
from typing import Any

import pytest

from qps_service.commands import terminal, top
from qps_service.commands.terminal import Screen
from qps_service.looking.board import Board
from qps_service.looking.view import View
from qps_service.outputs.base import OutputClosed
from qps_service.service.process import SignalWaker, SystemClock
from qps_service.values.reports import Overview
from tests.promised import Patches, Promise, answers, nothing, promises

pytest.importorskip("curses")
TOUCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGIO, signal.SIGTSTP)


def made() -> Screen:
    return Screen(Board(View()), SystemClock(), colours=False)


@contextmanager
def taken_over() -> Iterator[None]:
    """The signals of this process, for a while, as a daemon has them."""
    before = {number: getsignal(number) for number in TOUCHED}
    SignalWaker().install()
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)


def is_caught(number: int) -> bool:
    """Whether the kernel leaves it to this program (proc(5))."""
    status = Path("/proc/self/status").read_text()
    (mask,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(mask >> (number - 1) & 1)


def check_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second Ctrl-C does not end it before the terminal is as it was."""
    monkeypatch.setattr(Screen, "_open", nothing)
    with taken_over():
        with made().opened():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.raise_signal(number)
                assert is_caught(signal.SIGINT)
                assert is_caught(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert not is_caught(signal.SIGINT)


def check_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was started without Ctrl-Z has none."""
    monkeypatch.setattr(Screen, "_open", nothing)
    with taken_over():
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        with made().opened():
            assert getsignal(signal.SIGTSTP) == signal.SIG_IGN


class Pasted:
    """A window into which so many keys came."""

    def __init__(self, keys: int) -> None:
        self.left = keys

    def get_wch(self) -> str:
        if not self.left:
            raise curses.error
        self.left -= 1
        return "x"

    def getmaxyx(self) -> tuple[int, int]:
        return 24, 80


def check_paste(_: None = None) -> None:
    """Signals are heeded within a paste, and none of its keys is lost."""
    window: Any = Pasted(120)
    screen, left = made(), []
    while screen._heed_keys(window, 0):
        left.append(window.left)
    assert left == [70, 20, 0]


def check_full(
    make: type[top.Printer], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text that nobody can have ends the program, which says why; who has gone wants to hear nothing."""
    monkeypatch.setattr(top, "discard_stdout", nothing)
    printer = make(Board(View()), None, once=True)
    for fault, status, said in (
        (OSError(28, "No space left"), 1, "qps-reporter: [Errno 28] No space left\n"),
        (BrokenPipeError(), 0, ""),
    ):
        monkeypatch.setattr(top, "spell", raising(fault))
        with pytest.raises(OutputClosed) as ended:
            printer.emit((), Overview((), 0, 0, {}, "", ""), 0)
        assert ended.value.status == status
        assert capsys.readouterr().err == said


class TriesAgain(top.Printer):
    """A twin that leaves what went wrong to the group of outputs, which goes on."""

    def emit(self, *given: Any) -> None:
        try:
            super().emit(*given)
        except OutputClosed as closed:
            raise closed.__cause__ or closed from None


def raising(fault: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise fault

    return fail


test_promise, test_twin = promises(
    {
        check_twice: {"the first one alone": Patches((terminal, "_ENDS", ()))},
        check_ignored: {"whoever started it": answers(signal, "getsignal")},
        check_paste: {"all at once": Patches((terminal, "KEYS_AT_ONCE", 1 << 30))},
    },
    Promise(check_full, top.Printer, [TriesAgain], caught=(OSError,)),
)
