"""Paths with wildcards, as shells have them: `*`, `?` and `[…]`. Pure.

Promises: what a wildcard stands for is known, and makes the name of a log; it goes through no `/`, and a name
that begins with a dot is found only by a pattern that begins with one; matching takes linear time, whatever a
file is called.
"""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

from qps_service.text.regex import regex

# The parts of a name. [*] is a star, and no wildcard.
_PART = regex(r"(?P<star>\*+)|(?P<one>\?|\[!?+(?:\][^\]]*|[^\]]+)\])|(?P<text>.)", re.DOTALL)
_ESCAPED = regex(r"\[([*?\[])\]")
_REFERENCE = regex(r"\{(\d+)\}")
_NAME_LENGTH = 64  # characters, as configuration/parsers.py has it
_NUMBER_ROOM = 5  # characters for -2, -3, …


def unescaped(path: str) -> str:
    """The path that is meant by one without wildcards."""
    return "/".join(_component(each).text for each in path.split("/"))


def is_pattern(path: str) -> bool:
    """Whether a path has wildcards."""
    return any(_component(each).runs for each in path.split("/"))


class Component(NamedTuple):
    """One name on a path. Wildcards side by side stand for one thing: site-??.log has one, *.*.log two."""

    pattern: re.Pattern[str]  # with a group for each wildcard
    runs: tuple[tuple[int, int], ...]  # the groups of those that stand side by side: from, and up to
    text: str  # what is matched, where there are no wildcards

    def match(self, name: str) -> tuple[str, ...] | None:
        """What its wildcards stand for in a name; None if it is another name."""
        found = self.pattern.fullmatch(name)
        return tuple("".join(found.groups()[a:b]) for a, b in self.runs) if found else None


class PathPattern:
    """One path with wildcards."""

    def __init__(self, path: str) -> None:
        """`path` is absolute."""
        self.path = path
        self.components = [_component(each) for each in path.split("/")[1:]]
        self.runs = sum(len(each.runs) for each in self.components)  # of wildcards

    def match(self, path: str) -> tuple[str, ...] | None:
        """What the wildcards stand for in an absolute path; None if it is no match."""
        names = path.split("/")[1:]
        if len(names) != len(self.components):
            return None
        stands: tuple[str, ...] = ()
        for component, name in zip(self.components, names, strict=True):
            found = component.match(name)
            if found is None:
                return None
            stands += found
        return stands


def matches(pattern: str, path: str) -> bool:
    """Whether an absolute path matches one with wildcards."""
    return PathPattern(pattern).match(path) is not None


def name_of(stands: Sequence[str], template: str | None) -> str:
    """The name of a match: what its wildcards stand for, or what a template makes of that; empty if nothing
    is left."""
    if template is None:
        text = "-".join(word for each in stands if (word := each.strip(".-_")))
    else:
        text = _REFERENCE.sub(lambda found: stands[int(found[1]) - 1].strip(".-_"), template)
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text).strip(".-_")[:_NAME_LENGTH]


def free_name(wanted: str, table: str, taken: Collection[str]) -> str:
    """The name wanted, if it is free; else the table's, and else that with a number."""
    for name in (wanted, table):
        if name and name not in taken:
            return name
    number = 2
    while (name := f"{table[: _NAME_LENGTH - _NUMBER_ROOM]}-{number}") in taken:
        number += 1
    return name


def references(template: str) -> list[int]:
    """Which wildcards a template for names refers to, from 1 on."""
    return [int(number) for number in _REFERENCE.findall(template)]


@lru_cache(1024)
def _component(text: str) -> Component:
    """Of names that fit, each star but the last takes the shortest, and gives nothing back: where the rest
    does not fit after that, it fits after no longer one. So many stars take no longer than one."""
    parts = [(found.lastgroup, found[0]) for found in _PART.finditer(text)]
    parts = [("text", part[1]) if _ESCAPED.fullmatch(part) else (kind, part) for kind, part in parts]
    stars = sum(kind == "star" for kind, _ in parts)
    regex = "" if text.startswith(".") or not parts or parts[0][0] == "text" else r"(?!\.)"
    runs: list[tuple[int, int]] = []
    groups, before, is_open = 0, "text", False
    for kind, part in parts:
        if kind == "text":
            regex += re.escape(part)
        else:
            runs[-1:] = (
                [(runs[-1][0], groups + 1)] if before != "text" else [*runs[-1:], (groups, groups + 1)]
            )
            groups += 1
        if kind == "star":
            stars -= 1
            regex += (")" if is_open else "") + ("(?>(.*?)" if stars else "(.*)")
            is_open = stars > 0
        elif kind == "one":
            regex += f"({_class_of(part)})"
        before = kind or "text"
    return Component(re.compile(regex, re.DOTALL), tuple(runs), "".join(part for _, part in parts))


def _class_of(wildcard: str) -> str:
    """Of one character."""
    if wildcard == "?":
        return "."
    negated = wildcard[1] == "!"
    inside = re.sub(r"([\\\[\]^&~|])", r"\\\1", wildcard[2 if negated else 1 : -1])
    return f"[{'^' if negated else ''}{inside}]"
