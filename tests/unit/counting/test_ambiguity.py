"""What is said of patterns, and that the engine agrees."""

import re
import time

import pytest

from qps_service.counting import ambiguity as module
from qps_service.counting.ambiguity import POSITIONS, exponential, polynomial, slow_routes
from tests.promised import Patches, Promise, promises


def compiled(match: str) -> re.Pattern[bytes]:
    return re.compile(match.encode())


EXPONENTIAL = {  # and what is repeated to show it
    r"^/(\w+/?)+$": b"a",
    r"^/(?:a+)+$": b"a",
    r"(a*)*b": b"a",
    r"(a|a)*b": b"a",
    r"^(?:a|ab|b)+$": b"ab",
    r"^(?:(?:x?|y?)z)+$": b"z",
    r"(x+x+)+y": b"xx",
    r"(?:(?:a?)*x)*b": b"x",  # whose last round may be empty, or not be
    r"(?i)^(?:ab|A[bc])+$": b"aB",
    r"^(?:[^/]|\w)*$": b"a",
    r"(?:[a-z]{1,64}-?)+$": b"a",
    r"(?s)^(?:.|\n)*!": b"\n/",
    r"(?>(?:a+)+b)": b"a",
    r"(?:(?:a+)+b)++": b"a",
    r"(?=(?:a+)+b)": b"a",
    r"(?!(?:a+)+b)c": b"a",
    r"^(b)?(?:(?(1)a|a)|a)+$": b"a",
    r"^(?:a+?)+?$": b"a",
    r"^((?:a|aa)\b)?(?:a|aa)+$": b"aa",
}
NOT_EXPONENTIAL = (
    *(r"^/(?:\w++/?)++$", r"^(/[^/]+)+$", r"(?:[a-z]+-?)+", r"^(?:\d{4}-?)+$", r"(a|b)*c"),
    *(r"(?i)(?:[a-z]+Q?)*", r"^(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/?)+$", r"^(?:(?!x).)*$"),
    *(r"(?:/\w*)*$", r"(.*)/(.*)/(.*)\.php$", r"^/user/[^/]++/(?P<what>\w++)", r"(?>a+)+b", r"(?:a+b)+c"),
    *(r"^(?:\w+-?)+\w", r"(?<=/)\w+$", r"^(?:a{3}|b)+$", r"()*$", r"", r"^(?:/(?:[a-z]+|\d+))+$"),
    r"(\w)\1+!",
)


def check_exponential() -> None:
    for match, pumped in EXPONENTIAL.items():
        found = exponential(compiled(match), time.thread_time_ns)
        assert found, match
        assert set(found.pumped) == set(pumped), match
    for match in NOT_EXPONENTIAL:
        assert exponential(compiled(match), time.thread_time_ns) is None, match


POLYNOMIAL = {  # the power, and how many repetitions there are in it
    r"(.*)/(.*)/(.*)\.php$": (4, 3),
    r"^(.*)/(.*)/(.*)\.php$": (3, 3),
    r"^/(.*)/(.*)x$": (2, 2),
    r"^/a+b?a+$": (2, 2),
    r"^/\d+\w+[0-9a-f]+!": (3, 3),
    r"[^/]+$": (2, 1),
    r"a+(?:b|c)+a+x": (2, 1),
    r"^(?:ab)+(?:abab)*$": (2, 2),
    r"^(?:/\w+)+/(?:\w+/?)++\.$": None,
    r"^/[a-z]+/[0-9]+$": None,
    r"^/[^/]++/.*$": None,
    r"^/(.*)/(.*)": None,  # nothing that follows can fail
    r"/static/": None,
}


def check_polynomial() -> None:
    for match, expected in POLYNOMIAL.items():
        found = polynomial(compiled(match))
        assert (found[0][:2] if found else None) == expected, match


def check_slow_routes() -> None:
    """One of them is as slow as what it takes to know: much slower than the same number of other bytes."""
    for match in (
        r"^/api/(.*)=(.*)=(.*)!$",
        r"^/(?:ab)+(?:ab)+(?:ab)+$",
        r"(?i)/X[^/]*Y[^/]*Z$",
        r"^/q(\d*)(\d*)(\d*)x",
    ):
        pattern = compiled(match)
        routes = slow_routes(pattern, 200)
        assert all(len(route) <= 200 for route in routes)
        assert max(took(pattern, route) for route in routes) > 20 * took(pattern, b"/" + b"%" * 199)


def took(pattern: re.Pattern[bytes], route: bytes) -> int:
    """The least of three times, nanoseconds of CPU time."""
    times = []
    for _ in range(3):
        begun = time.thread_time_ns()
        pattern.search(route)
        times.append(time.thread_time_ns() - begun)
    return min(times)


@pytest.mark.parametrize(
    "match", [f"(?:[a-z]{{{POSITIONS}}}-?)+$", f"^(?:a|{'b?' * 250})+$"], ids=["positions", "ways"]
)
def test_what_is_too_large_is_let_pass(match: str) -> None:
    """It must not take long itself, and the limit ends it all the same."""
    begun = time.thread_time_ns()
    exponential(compiled(match), time.thread_time_ns)
    assert polynomial(compiled(match)) == []
    assert slow_routes(compiled(match), 100)
    assert time.thread_time_ns() - begun < 5_000_000_000


def test_a_later_python_may_have_no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "parser", None)
    pattern = compiled("(a+)+b")
    assert exponential(pattern, time.thread_time_ns) is None
    assert polynomial(pattern) == []
    assert b"/" * 30 in slow_routes(pattern, 30)


def linked_once(self: module._Automaton, one: module._Part, two: module._Part) -> None:
    for position in one.last:
        for follower in two.first:
            self._next[position][follower] = 1


def can_always_fail(self: module._Automaton, items: object, flags: int, *, can_fail: bool) -> module._Part:
    return REAL_SEQUENCE(self, items, flags, can_fail=True)


REAL_SEQUENCE = module._Automaton._sequence
SUSPECTS_ONLY = Patches((module, "VERY_LONG", -1))
NOTHING_IS_LONG = Patches((module, "VERY_LONG", 10**12), (module, "PUMPED", 12))
LINKED_ONCE = Patches((module._Automaton, "_link", linked_once))
CAN_ALWAYS_FAIL = Patches((module._Automaton, "_sequence", can_always_fail))
NOTHING_TAKES_OVER = Patches((module._Automaton, "_takes_over", lambda *_: None))
IN_ANY_CASE = Patches((re, "IGNORECASE", 0))
NOT_SEARCHED = Patches((module, "_is_anchored", lambda _: True))

test_promise, test_twin = promises(
    Promise(
        check_exponential,
        None,
        {"suspects": SUSPECTS_ONLY, "none": NOTHING_IS_LONG, "linked once": LINKED_ONCE, "case": IN_ANY_CASE},
    ),
    Promise(
        check_polynomial,
        None,
        {"nothing": NOTHING_TAKES_OVER, "can always fail": CAN_ALWAYS_FAIL, "not searched": NOT_SEARCHED},
    ),
    Promise(check_slow_routes, None, {"kinds of bytes alone": NOTHING_TAKES_OVER}),
)
