"""Names with fields of strftime(3), as cronolog, rotatelogs and Tomcat make them. Pure.

Promises: a field stands for so many digits, or for the English name of a month or a day, and nothing is
ever computed from a clock: writers may be in any time zone, late or early; a field that stands twice stands
for the same; names are in the order of the times that they tell.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from qps_service.text.regex import regex

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
_DAY = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_TWO = r"\d\d"

# What each field stands for. Those of the glibc that tell a date or a time.
_FIELDS = {
    "Y": r"\d{4}",
    "C": _TWO,
    "y": _TWO,
    "G": r"\d{4}",
    "g": _TWO,
    "m": _TWO,
    "b": "|".join(month[:3] for month in _MONTH.split("|")),
    "B": _MONTH,
    "U": _TWO,
    "V": _TWO,
    "W": _TWO,
    "j": r"\d{3}",
    "d": _TWO,
    "e": r"[ \d]\d",
    "u": r"\d",
    "w": r"\d",
    "a": "|".join(day[:3] for day in _DAY.split("|")),
    "A": _DAY,
    "p": "AM|PM",
    "P": "am|pm",
    "H": _TWO,
    "k": r"[ \d]\d",
    "I": _TWO,
    "l": r"[ \d]\d",
    "M": _TWO,
    "S": _TWO,
    "s": r"\d{1,19}",
    "z": r"[+-]\d{4}",
    "Z": r"[A-Za-z]{1,6}|[+-]\d\d",
}
_LONG = {"h": "%b", "F": "%Y-%m-%d", "R": "%H:%M", "T": "%H:%M:%S", "r": "%I:%M:%S %p"}
_KNOWN = {*_FIELDS, *_LONG}
# What orders names, the coarsest first. The day of a week tells its order beside the week's number alone.
_ORDER = "sCYGygmbBUVWjdeuwpPHkIlMS"
_PART = regex(r"%(?P<bare>-?)(?P<field>[A-Za-z%])|(?P<text>[^%]+|%)", re.DOTALL)

# Dates as they stand in names, for whoever wrote wildcards in their place.
_YEAR, _MONTH_NUMBER, _DAY_NUMBER = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_MONTH_NAME = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_HOUR = r"(?:[01]\d|2[0-3])"
_DATES = regex(
    rf"(?<!\d)(?:(?P<Y>{_YEAR})(?P<a>[-_.]?)(?P<m>{_MONTH_NUMBER})(?:(?P=a)(?P<d>{_DAY_NUMBER})"
    rf"(?:(?P<b>[-_.T]?)(?P<H>{_HOUR})(?:(?P<c>[-_.:]?)(?P<M>[0-5]\d)(?:(?P=c)(?P<S>[0-5]\d))?)?)?)?"
    rf"|(?P<e>{_DAY_NUMBER})(?P<f>[-_.]?)(?P<g>{_MONTH_NAME})(?P=f)(?P<h>{_YEAR})"
    r"|(?P<s>1\d{9}))(?!\d)"
)

Key = tuple[int, ...]


def is_dated(path: str) -> bool:
    """Whether a path has such fields."""
    return any(found["field"] in _KNOWN for found in _PART.finditer(path))


def unknown_fields(path: str) -> list[str]:
    """What looks like a field of a dated path, and is none that tells a date or a time."""
    if not is_dated(path):
        return []
    found = _PART.finditer(path)
    return [each[0] for each in found if each["field"] and each["field"] not in {*_KNOWN, "%"}]


def comes_round(path: str) -> bool:
    """Whether its fields tell the same in another year, month, day or hour, so that files have their names
    again."""
    told = {part for kind, _, part in _parts(path) if kind == "field"}
    has_day = (
        "j" in told or bool(told & {*"mbB"} and told & {*"de"}) or bool(told & {*"UVW"} and told & {*"uwaA"})
    )
    has_hour = bool(told & {*"Hk"} or (told & {*"Il"} and told & {*"pP"}))
    return "s" not in told and not (
        told & {*"YyGg"}
        and (has_day or not told & {*"deuwaApPHkIlMS"})
        and (has_hour or not told & {*"IlMS"})
        and ("M" in told or "S" not in told)
    )


class Dated(NamedTuple):
    """A name, of a file or a directory, that may have fields."""

    begins: str  # what stands before the first field
    pattern: str  # a regular expression of the names that it stands for
    fields: tuple[str, ...]  # the groups in it, in the order in which they tell

    def key(self, name: str) -> Key | None:
        """Where a name stands in the order of all that begin like one of its; None of others."""
        found = _compiled(self.pattern).match(name)
        return tuple(_value(field, found[field]) for field in self.fields) if found else None

    def is_one(self, name: str) -> bool:
        """Whether the name is one of its."""
        return _compiled(self.pattern).fullmatch(name) is not None


@lru_cache(1024)
def dated(name: str) -> Dated:
    """A name without a `/`, or its beginning, with its fields."""
    pattern, begins, fields = "", "", set[str]()
    for kind, bare, part in _parts(name):
        if kind == "text":
            pattern += re.escape(part)
            begins += "" if fields else part
        elif part in fields:
            pattern += f"(?P={part})"
        else:
            fields.add(part)
            pattern += f"(?P<{part}>{_bare(_FIELDS[part]) if bare else _FIELDS[part]})"
    return Dated(begins, pattern, tuple(field for field in _ORDER if field in fields))


def with_fields(path: str) -> str:
    """The path with fields in the place of dates that stand in it."""

    def fields(found: re.Match[str]) -> str:
        if found["s"]:
            return "%s"
        if found["g"]:
            return "%d{0}%b{0}%Y".format(found["f"])
        text = "%Y"
        for field, before in (("m", "a"), ("d", "a"), ("H", "b"), ("M", "c"), ("S", "c")):
            text += f"{found[before]}%{field}" if found[field] else ""
        return text

    return _DATES.sub(fields, path)


def _parts(name: str) -> list[tuple[str, bool, str]]:
    """Kind, whether its numbers have no zeros before them, and text or field."""
    parts: list[tuple[str, bool, str]] = []
    for found in _PART.finditer(name):
        field = found["field"]
        if field == "%":
            parts.append(("text", False, "%"))
        elif field in _LONG:
            parts += _parts(_LONG[field])
        elif field in _FIELDS:
            parts.append(("field", bool(found["bare"]), field))
        else:
            parts.append(("text", False, found[0]))
    return parts


def _bare(pattern: str) -> str:
    return {_TWO: r"\d{1,2}", r"[ \d]\d": r"\d{1,2}", r"\d{3}": r"\d{1,3}"}.get(pattern, pattern)


def _value(field: str, text: str) -> int:
    if field in "bB":
        return _MONTHS.index(text[:3].lower())
    if field in "pP":
        return text.lower() == "pm"
    return int(text) % 12 if field in "Il" else int(text)  # 12 comes before 1


@lru_cache(1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)
