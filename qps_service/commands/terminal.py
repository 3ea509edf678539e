"""The edge of `qps-reporter top`: a terminal, by curses. What it shows comes from Board.

Promise: the terminal is left as it was, whatever ends the program and whatever stops it for a while, but for
SIGKILL; who has lost his terminal is not waited for. Signal handlers only note.
"""

import curses
import os
import select
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from qps_service.errors import EXIT_PROBLEM
from qps_service.looking import screen, view
from qps_service.looking.board import Board
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import GoesOn, OutputClosed, TakesReports
from qps_service.service.process import SystemClock
from qps_service.values.reports import Overview, Report

ESCAPE_DELAY = 25  # milliseconds within which the rest of a key's sequence follows its escape
_NOTED = (signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)
_ENDS = (signal.SIGINT, signal.SIGTERM)
KEYS_AT_ONCE = 50  # between them signals are heeded: a paste is long
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL
_KEYS: Mapping[int | str, str] = {
    curses.KEY_UP: view.UP,
    curses.KEY_DOWN: view.DOWN,
    curses.KEY_LEFT: view.LEFT,
    curses.KEY_RIGHT: view.RIGHT,
    curses.KEY_PPAGE: view.PAGE_UP,
    curses.KEY_NPAGE: view.PAGE_DOWN,
    curses.KEY_HOME: view.HOME,
    curses.KEY_END: view.END,
    curses.KEY_BTAB: view.BACK_TAB,
    curses.KEY_ENTER: view.ENTER,
    curses.KEY_BACKSPACE: view.BACKSPACE,
    "\t": view.TAB,
    "\n": view.ENTER,
    "\r": view.ENTER,
    "\x1b": view.ESCAPE,
    "\x7f": view.BACKSPACE,
    "\b": view.BACKSPACE,
}


class Screen(TakesReports, GoesOn):
    """The terminal at the descriptors 0 and 1."""

    name = "screen"

    def __init__(self, board: Board, clock: SystemClock, *, colours: bool) -> None:
        self.trouble = Trouble(lambda notice: board.say(notice.text, clock.now()), "")
        self.fault: Exception | None = None  # a mistake of ours, for whoever started this
        self._board, self._clock, self._wants_colours = board, clock, colours
        self._window: curses.window | None = None
        self._styles: dict[str, int] = {}
        self._noted: set[int] = set()
        self._poll = select.poll()
        self._poll.register(0, select.POLLIN)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """It is the screen's as long as this lasts. Raises what was wrong meanwhile."""
        # Before curses looks: it leaves alone what others handle.
        before = {
            number: signal.signal(number, self._note)
            for number in _NOTED
            if signal.getsignal(number) != signal.SIG_IGN  # whoever started us wants none
        }
        # The daemon hears of each by its pipe. Its own handler would have the second one end the process at
        # once, and leave the terminal as it is.
        before |= {number: signal.signal(number, lambda *_: None) for number in _ENDS}
        try:
            self._open()
            self._draw(self._clock.now())
            yield
        finally:
            self.give_back()
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.fault:
            raise self.fault

    def give_back(self) -> None:
        """The terminal is as it was."""
        if self._window:
            self._window = None
            with suppress(curses.error):
                curses.endwin()

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        """Show them. Raises OutputClosed."""
        with self._ending_by_fault():
            self._board.take(reports, overview.logs, now)
            self._draw(now)

    def fileno(self) -> int:
        """Readable when a key was pressed."""
        return 0

    def flush(self, now: int) -> None:
        """Heed keys and signals. Raises OutputClosed."""
        with self._ending_by_fault():
            if any(events & _GONE for _, events in self._poll.poll(0)):
                raise OutputClosed  # nobody sees it any longer
            if self._window and (self._heed_signals(self._window) | self._heed_keys(self._window, now)):
                self._draw(now)

    @contextmanager
    def _ending_by_fault(self) -> Iterator[None]:
        """The group of outputs would live through a fault, and nobody would see anything any more."""
        try:
            yield
        except OutputClosed:
            raise
        except Exception as error:
            self.fault = error
            raise OutputClosed(EXIT_PROBLEM) from error

    def _open(self) -> None:
        curses.set_escdelay(ESCAPE_DELAY)
        self._window = curses.initscr()
        curses.noecho()
        curses.cbreak()
        self._window.keypad(True)
        self._window.nodelay(True)
        with suppress(curses.error):  # a terminal that can't hide it
            curses.curs_set(0)
        self._styles = {
            screen.STRONG: curses.A_BOLD,
            screen.HEAD: curses.A_REVERSE,
            screen.ERROR: curses.A_BOLD,
            screen.WARNING: curses.A_NORMAL,
        }
        if self._wants_colours and curses.has_colors():
            curses.start_color()
            try:
                curses.use_default_colors()
                behind = -1
            except curses.error:  # a terminal that has none
                behind = curses.COLOR_BLACK
            for pair, (style, colour) in enumerate(
                ((screen.ERROR, curses.COLOR_RED), (screen.WARNING, curses.COLOR_YELLOW)), 1
            ):
                curses.init_pair(pair, colour, behind)
                self._styles[style] |= curses.color_pair(pair)

    def _draw(self, now: int) -> None:
        if not (window := self._window):
            return
        height, width = window.getmaxyx()
        window.erase()
        for y, line in enumerate(self._board.lines(width, height, now)):
            with suppress(curses.error):  # behind the last column of the last line there is no place
                window.move(y, 0)
                for text, style in line:
                    window.addstr(text, self._style(style))
        window.refresh()

    def _style(self, name: str) -> int:
        return self._styles.get(name, curses.A_NORMAL)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._noted.add(number)

    def _heed_signals(self, window: curses.window) -> bool:
        """Whether one of them changes what is seen."""
        noted, self._noted = self._noted, set()
        if signal.SIGTSTP in noted:
            curses.endwin()
            handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)  # it goes on here
            signal.signal(signal.SIGTSTP, handler)
            self._noted.discard(signal.SIGCONT)
        if noted:
            with suppress(OSError, curses.error):  # one that has no size
                width, height = os.get_terminal_size(1)
                curses.resizeterm(height, width)
            curses.reset_prog_mode()  # a shell may have set its own
            window.clear()
        return bool(noted)

    def _heed_keys(self, window: curses.window, now: int) -> bool:
        """Whether there was one. More than KEYS_AT_ONCE are left for the next time."""
        for number in range(KEYS_AT_ONCE):
            try:
                key = window.get_wch()
            except curses.error:
                return number > 0
            name = _KEYS.get(key, key if isinstance(key, str) else "")
            if not self._board.press(name, window.getmaxyx()[0], now):
                raise OutputClosed
        return True


def is_able(environment: Mapping[str, str]) -> bool:
    """Whether curses can draw on the terminal at the descriptor 1."""
    try:
        curses.setupterm(environment.get("TERM", "dumb"), 1)
        return curses.tigetstr("cup") is not None
    except curses.error:
        return False
