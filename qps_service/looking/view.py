"""What a reader of `qps-reporter top` chose to see, and what each key changes of it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from qps_service.looking.order import SORTS

# Keys that are no characters.
UP, DOWN, LEFT, RIGHT, PAGE_UP, PAGE_DOWN, HOME, END = (
    *("up", "down", "left", "right"),
    *("page up", "page down", "home", "end"),
)
TAB, BACK_TAB, ENTER, ESCAPE, BACKSPACE = "tab", "back tab", "enter", "escape", "backspace"

SHIFT = 8  # columns of a name that one press moves it by
LONGEST_FILTER = 200  # characters

HELP = (
    ("up, down, page up, page down", "other rows; home and end, the first and the last"),
    ("left, right", "the rest of long routes"),
    ("/", "only routes with a text in them; enter keeps it, escape drops it"),
    ("s", "sort by the next of: req/s, 5xx, 4xx, p95, name"),
    ("e", "routes first that had a 5xx in the last 5 minutes; again, as before"),
    ("tab", "the next log"),
    ("space", "stop the clock: the numbers stay, the counting goes on"),
    ("q", "end"),
)


class View(NamedTuple):
    """What is chosen."""

    place: int = 0  # of the table among those there are
    by: str = "rate"  # one of SORTS
    errors_first: bool = False
    filter: str = ""
    is_typing: bool = False  # the filter
    top: int = 0  # rows above the first that is shown
    left: int = 0  # columns of names before the first that is shown
    is_paused: bool = False
    is_helping: bool = False

    def takes(self, name: str) -> bool:
        """Whether a row passes the filter, which does not tell capitals from others."""
        return self.filter.casefold() in name.casefold()


def press(view: View, key: str, *, places: int, rows: int, page: int) -> View | None:
    """What is chosen after a key; None at the end. `places` is the number of tables, `rows` that of rows
    that pass, of which `page` are shown; only MOVES ask for it."""
    if view.is_typing:
        return _type(view, key)
    if view.is_helping:
        return view._replace(is_helping=False)
    if key in MOVES:
        return view._replace(top=max(0, min(view.top + _move(key, rows, page), rows - page)))
    if key in (LEFT, RIGHT):
        return view._replace(left=max(0, view.left + (SHIFT if key == RIGHT else -SHIFT)))
    if key in (TAB, BACK_TAB):
        return view._replace(place=(view.place + (1 if key == TAB else -1)) % max(1, places), top=0, left=0)
    if key == "s":
        names: Sequence[str] = [*SORTS]
        return view._replace(by=names[(names.index(view.by) + 1) % len(names)], top=0)
    if key == "e":
        return view._replace(errors_first=not view.errors_first, top=0)
    if key == "/":
        return view._replace(is_typing=True, top=0)
    if key == ESCAPE:
        return view._replace(filter="", top=0)
    if key == " ":
        return view._replace(is_paused=not view.is_paused)
    if key in ("?", "h"):
        return view._replace(is_helping=True)
    return None if key in ("q", "Q") else view


MOVES: Mapping[str, tuple[int, int]] = {  # rows, pages
    UP: (-1, 0), DOWN: (1, 0), PAGE_UP: (0, -1), PAGE_DOWN: (0, 1), HOME: (0, 0), END: (0, 0),
}  # fmt: skip


def _move(key: str, rows: int, page: int) -> int:
    if key in (HOME, END):
        return rows if key == END else -rows
    by_row, by_page = MOVES[key]
    return by_row + by_page * page


def _type(view: View, key: str) -> View:
    if key == ENTER:
        return view._replace(is_typing=False)
    if key == ESCAPE:
        return view._replace(is_typing=False, filter="")
    if key == BACKSPACE:
        return view._replace(filter=view.filter[:-1])
    if len(key) == 1 and key.isprintable():
        return view._replace(filter=(view.filter + key)[:LONGEST_FILTER])
    return view
