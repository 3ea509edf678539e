"""Which format a log has, by its lines.

Lines vote: each for all formats that it fits, so that a server's own messages, blank lines and whatever else
fits none of them have no vote. The format with the most votes is chosen, of several the more specific one. A
line fits that counts, has all of the format, also behind the status, a status that is there, and a size that
can be read or is `-`; one of the combined family fits by its shape alone, one with names by these.
A line that fits another format is no directive of W3C: no client tells how lines are read.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from qps_service.files.compression import by_magic
from qps_service.formats.line import NOTHING, Rejected, make_reader, request_of, trim
from qps_service.formats.presets import AUTO_ORDER, LogFormat, compile_format
from qps_service.formats.w3c import NAME as W3C
from qps_service.formats.w3c import is_directive, rows_of, separator_of, taken_in, unwrapped
from qps_service.formats.wrapping import unwrap
from qps_service.text.regex import regex

VOTES = 100  # enough to see past a few odd lines

# What nginx says of itself has paths as clients chose them, decoded and not escaped (ngx_log_error_core).
_MESSAGE = regex(rb"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9:]{8} \[[a-z]+\] [0-9]+#[0-9]+: ")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Choice(NamedTuple):
    """What was found out."""

    format: LogFormat | None  # None if no preset fits any line
    reason: str  # in words


class Votes:
    """What lines tell so far."""

    def __init__(self) -> None:
        self.number = 0  # of the lines that have a vote
        self.firsts: dict[str, bytes] = {}  # by format, the first that fits it
        self._looked = 0  # lines, without blank ones
        self._ballots: Counter[tuple[str, ...]] = Counter()  # names of the formats that a line fits
        self._fields = b""  # the last `#Fields`
        self._oddity: str | None = None

    @property
    def are_enough(self) -> bool:
        """Whether further lines would hardly tell more."""
        return self.number >= VOTES

    def add(
        self, lines: Iterable[bytes], names: Sequence[str] = AUTO_ORDER, fields: bytes | None = None
    ) -> None:
        """Have lines vote, until there are enough; they are known to fit no format but these. `fields`: the
        `#Fields` that is in force before them, if any."""
        if fields and not _is_of_others(fields):
            self._fields = fields
        for line in lines:
            if self.are_enough:
                break
            text = line.lstrip(b"\0")
            if not text.strip():
                continue
            ballot = () if _is_message(text) else self._ballot(text, names)
            if ballot:
                self.firsts = dict.fromkeys(ballot, text) | self.firsts
                self.number += 1
                self._ballots[ballot] += 1
            else:
                self._oddity = self._oddity or _oddity(text, is_first=not self._looked)
            self._looked += 1

    def _ballot(self, line: bytes, names: Sequence[str]) -> tuple[str, ...]:
        """The formats that a line fits."""
        text = unwrapped(line, self._fields).line
        if is_directive(text) and not _is_of_others(line):
            self._fields = taken_in(line.rstrip(b"\r\n"), self._fields) or b""
            return (W3C,) if W3C in names else ()
        return tuple(
            name for name in names if (self._is_row(text) if name == W3C else _fits(format_of(name), line))
        )

    def _is_row(self, line: bytes) -> bool:
        rows = _rows(self._fields, separator_of(line)) if self._fields else None
        return rows is not None and _fits(rows.log_format, rows.plain(line))

    def of(self, name: str, but: str | None = None) -> int:
        """How many lines fit this format, and not that one."""
        return sum(votes for ballot, votes in self._ballots.items() if name in ballot and but not in ballot)

    def winner(self) -> str | None:
        """The format that most of them fit; None if there is none."""
        return max(AUTO_ORDER, key=self.of) if self.number else None

    def choice(self) -> Choice:
        """The winner, and why."""
        if not self._looked:
            return Choice(None, "there is no line yet")
        best = self.winner()
        if best is None:
            return Choice(None, self._oddity or f"none of {self._looked} lines fits a format that has a name")
        others = [f", {self.of(name)} {name}" for name in AUTO_ORDER if name != best and self.of(name)]
        without = self._looked - self.number
        looked_past = f"; {without} fit none" if without else ""
        reason = f"{self.of(best)} of {self.number} lines fit {best}{''.join(others)}{looked_past}"
        return Choice(compile_format(best), reason + self._advice(best))

    def _advice(self, best: str) -> str:
        """To count two formats, where another one has a tenth of the lines, and can stand in a list."""
        other = max(AUTO_ORDER, key=lambda name: self.of(name, but=best))
        if 10 * self.of(other, but=best) < self.number or W3C in (best, other):
            return ""
        first, second = sorted((best, other), key=AUTO_ORDER.index)
        return f'; format = ["{first}", "{second}"] counts both'


def choose(lines: Iterable[bytes]) -> Choice:
    """The format that most of these lines fit, and why."""
    votes = Votes()
    votes.add(lines)
    return votes.choice()


def fits(log_format: LogFormat, line: bytes) -> bool:
    """Whether a line counts by this format, and has all that it has."""
    return _fits(log_format, line)


def _is_message(line: bytes) -> bool:
    if b"#" not in line:  # hardly any has it
        return False
    wrapped = unwrap(line)
    return bool(_MESSAGE.match(line) or (wrapped and _MESSAGE.match(wrapped.line)))


_rows = lru_cache(8)(rows_of)
format_of = cache(compile_format)  # by its name
_reader = lru_cache(64)(make_reader)


@lru_cache(8)
def _is_of_others(line: bytes) -> bool:
    """Whether what looks like a directive is a line of another format. Where that begins with what a client
    says, as `X-Forwarded-For` or a host, the client would tell how the lines of all are read."""
    return any(_fits(format_of(name), line.lstrip(b"\0")) for name in AUTO_ORDER if name != W3C)


def _fits(log_format: LogFormat, line: bytes) -> bool:
    reader = _reader(log_format)
    line = trim(line, len(line))
    roles = reader.roles(line)
    if roles is None or reader.fields(line) is None:
        return False
    try:
        request = request_of(roles, keep_query=False)
    except Rejected:
        return False
    if log_format.is_combined:  # nothing else has its shape, whatever stands where the size should
        return True
    if log_format.members:  # names tell what is what
        return True
    # Fields with nothing in them are found anywhere.
    return bool(roles["status"]) and (request.size is not None or roles.get("bytes", NOTHING) == NOTHING)


def _oddity(line: bytes, *, is_first: bool) -> str | None:
    """What a log is that has no lines of text."""
    if is_first and (compression := by_magic(line)):
        return f"it is compressed with {compression.name}"
    if is_first and line.startswith(_UTF16):
        return "it is in UTF-16, expected UTF-8"
    return "it is binary" if b"\0" in line else None
