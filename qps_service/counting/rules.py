"""Rules for routes: a pattern that is searched for, and a template for what the route is then. Pure.

The patterns are the administrator's, the routes are the visitors', and `re` backtracks: a visitor may find a
path on which a pattern takes hours. So whoever applies rules to what came from a log does it within limits
(`Limited`), and patterns that take exponential time on such a path are refused (`ambiguity.py`).
"""

import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from qps_service.text.escape import show
from qps_service.values.counts import OTHER


class Rule(NamedTuple):
    """Where `pattern` is found, `template` is the route, with its \\1 and \\g<name> filled in."""

    pattern: re.Pattern[bytes]
    template: bytes

    @property
    def match(self) -> str:
        """The pattern as it is configured, for people."""
        source = self.pattern.pattern.decode()
        return source if source.isprintable() else show(self.pattern.pattern)

    def apply(self, route: bytes) -> bytes:
        """The route that `route` becomes."""
        found = self.pattern.search(route)
        if found is None:
            return route
        # As found.expand(), which reads the template each time; sub() remembers it.
        after = len(route) - found.end()
        expanded = self.pattern.sub(self.template, route, count=1)
        return expanded[found.start() : len(expanded) - after] or b"/"


class Limited(Protocol):
    """Applies rules as `apply_all` does, as far as there is time for it."""

    def __call__(self, rules: Sequence[Rule], route: bytes, max_route: int) -> bytes | None:
        """The route; OTHER where the rules take too long on it, as they always will; None where no time is
        left for any rule, this time."""


def apply_all(rules: Sequence[Rule], route: bytes, max_route: int) -> bytes:
    """What `route` becomes by all of them, in order; OTHER if it becomes longer than `max_route` bytes."""
    for rule in rules:
        route = rule.apply(route)
        if len(route) > max_route:  # before the next rule, which could double it once more
            break
    return OTHER if len(route) > max_route else route


def compile_match(text: str) -> re.Pattern[bytes]:
    """The pattern of a rule, over bytes: `.` is one byte, `\\w` is ASCII. Raises ValueError."""
    source = text.encode()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what a later Python will read otherwise
            return re.compile(source)
    except re.error as error:
        raise ValueError(f"expected a regular expression: {_said(error, source)}") from error
    except (ValueError, OverflowError, RecursionError, Warning) as error:
        raise ValueError(f"expected a regular expression: {error}") from error


def make_rule(pattern: re.Pattern[bytes], name: str) -> Rule:
    """A rule with a template that fits its pattern. Raises ValueError for one that does not."""
    template = name.encode()
    try:
        pattern.sub(template, b"")  # reads the template, whether or not the pattern is found
    except re.error as error:
        raise ValueError(f"expected a template: {_said(error, template)}") from error
    except IndexError as error:
        raise ValueError(f"expected a template: {error}") from error
    return Rule(pattern, template)


def _said(error: re.error, source: bytes) -> str:
    """What is wrong, with the place in characters where `re` tells it."""
    if error.pos is None:
        return error.msg
    return f"{error.msg} (character {len(source[: error.pos].decode(errors='ignore')) + 1})"
