"""What a text in a configuration file stands for, with the place where each character of it came from.

So a format can be taken out of quotes, escapes and line breaks, and a fault in it still be shown where it
stands in what was pasted.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from qps_service.errors import FormatError
from qps_service.formats.log_format import ROUTES, Field, LogFormat, settle

Character = tuple[str, int]  # and its place in the original


class Spelled(NamedTuple):
    """A format as its server sees it."""

    original: str  # as it was given
    text: str
    places: tuple[int, ...]  # in `original`, of each character and of the end

    def fault(self, place: int, reason: str) -> FormatError:
        """What is wrong at this place of `text`."""
        return FormatError(self.original, self.places[place], reason)


def spell(original: str, characters: Iterable[Character], end: int) -> Spelled:
    """The characters, up to the place `end` of the original, put together."""
    found = list(characters)
    return Spelled(
        original, "".join(character for character, _ in found), (*(place for _, place in found), end)
    )


def unescaped(text: str, start: int, end: int, escapes: Mapping[str, str]) -> Iterator[Character]:
    """The characters from `start` to `end`; a backslash and a key of `escapes` stand for its value."""
    place = start
    while place < end:
        if text[place] == "\\" and (following := text[place + 1 : min(place + 2, end)]) in escapes:
            if escapes[following]:
                yield escapes[following], place
            place += 2
        else:
            yield text[place], place
            place += 1


def closing(text: str, start: int) -> int:
    """Where the quote at `start` is closed; a backslash takes the next character with it. Raises
    FormatError."""
    place = start + 1
    while place < len(text):
        if text[place] == text[start]:
            return place
        place += 2 if text[place] == "\\" else 1
    raise FormatError(text, start, f"expected a closing {text[start]}")


def trimmed(text: str) -> tuple[int, int]:
    """Where a text begins and ends, without the empty lines around it that pasting leaves."""
    inside = text.strip()
    if not inside:
        return 0, 0
    start = text.index(inside)
    end = start + len(inside)
    # A blank on the format's own line is part of it.
    first, rest = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    return first, len(text) if rest < 0 else rest - (text[rest - 1] == "\r")


class Pieces:
    """Collects what a format consists of."""

    def __init__(self, spelled: Spelled) -> None:
        self._spelled = spelled
        self._pieces: list[Field | bytes] = []
        self._places: list[int] = []  # of each

    def literal(self, text: str, place: int) -> None:
        """Text that stands as it is in every line. Raises FormatError."""
        if "\n" in text or "\r" in text:
            raise self._spelled.fault(place, "expected a format of one line")
        try:
            raw = text.encode()
        except UnicodeEncodeError as error:
            raise self._spelled.fault(place, "expected UTF-8") from error
        before = self._pieces[-1] if self._pieces else None
        if isinstance(before, bytes):
            self._pieces[-1] = before + raw
        else:
            self._add(raw, place)

    def field(self, field: Field, place: int) -> None:
        """A field. Raises FormatError for one that stands right behind another: nothing tells where that
        ends."""
        if self._pieces and isinstance(self._pieces[-1], Field):
            raise self._spelled.fault(place, "expected some text between two fields")
        self._add(field, place)

    def finish(
        self, rank: Callable[[str], int], needed: Mapping[str, str], apart: str, *, lenient: bool
    ) -> LogFormat:
        """The format; `needed` has words for the status and the route, which it has to have, and `apart` for
        a method and a route in place of a request. Raises FormatError."""
        pieces, roles = settle(self._pieces, rank)
        for place, piece, following in zip(self._places, pieces, (*pieces[1:], b""), strict=False):
            # A tab, a quote or any other text is where the request ends.
            is_blank = isinstance(following, bytes) and bool(following) and not following.strip(b" ")
            if isinstance(piece, Field) and piece.role == "request" and is_blank:
                reason = "it has blanks in it, and a blank would end it"
                expected = f"expected quotes around the request, or {apart} in its place"
                raise self._spelled.fault(place, f"{expected}: {reason}")
        for role, names in needed.items():
            if role not in roles and not (role == "route" and roles.intersection(ROUTES)):
                end = len(self._spelled.text)
                raise self._spelled.fault(end, f"the format has no {role}: expected {names}")
        return LogFormat(self._spelled.original, pieces, (), lenient, roles)

    def _add(self, piece: Field | bytes, place: int) -> None:
        self._pieces.append(piece)
        self._places.append(place)
