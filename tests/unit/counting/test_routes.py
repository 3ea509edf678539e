"""What becomes of a target, step by step."""

import re
from collections.abc import Callable, Sequence
from urllib.parse import unquote_to_bytes

import pytest

from qps_service.counting import routes as module
from qps_service.counting.routes import CACHE_BYTES, CACHE_ENTRIES, COLLAPSES, Routes
from qps_service.counting.rules import Rule, apply_all, compile_match, make_rule
from qps_service.values.counts import OTHER
from tests.limits import Doubled
from tests.promised import Patches, Promise, promises

Of = Callable[[bytes], bytes]


def rule(match: str, name: str) -> Rule:
    return make_rule(compile_match(match), name)


# --- what happens without any setting

AS_THEY_ARE = (
    *(b"/", b"/a", b"/A/b//", b"/a%3Fq", b"*", b"example.org:443", b"[2001:db8::1]:443"),
    *(b"/http://example.org/", b"1http://example.org/", b"/%2541", b"/%", b"/%4", b"/\xff\x00\xc3\xa4"),
)
TARGETS = {each: each for each in AS_THEY_ARE} | {
    **dict.fromkeys((b"/a?q=1", b"/a#x", b"/a#x?q", b"/a?q#x?"), b"/a"),
    **dict.fromkeys((b"?q", b"#", b"", b"http://example.org", b"http://example.org?q"), b"/"),
    b"http://example.org/a/B?q": b"/a/B",
    b"HTTPS://user@example.org:8080/a": b"/a",
    b"http://example.org/http://x/y": b"/http://x/y",
    b"/%7euser%2fx": b"/~user%2Fx",
    b"/%41%5a%61%7A%30%39%2d%2e%5f%7e": b"/AZaz09-._~",
    b"/%40%5b%60%7b%2f%3a%c3%a4": b"/%40%5B%60%7B%2F%3A%C3%A4",
    b"/%g1%4g%%2e": b"/%g1%4g%.",
    b"/caf\xe9%e9": b"/caf\xe9%E9",
}


def check_targets(of: Of) -> None:
    for _ in range(2):  # the second time from the cache
        assert {target: of(target) for target in TARGETS} == TARGETS


NOT_THE_ROUTE: dict[str, Of] = {
    "the query": lambda target: Routes(keep_query=True).of(target),
    "all decoded": lambda target: unquote_to_bytes(Routes().of(target)),
    "lower case": lambda target: Routes().of(target).lower(),
    "decoded first": lambda target: Routes().of(unquote_to_bytes(target)),
    "the host": lambda target: Routes().of(re.sub(rb"^\w+://", b"", target)),
    "before the ?": lambda target: target.split(b"?")[0] or b"/",
}


# --- with the query
@pytest.mark.parametrize(
    ("target", "route"),
    [
        (b"/a?q=%7e#F", b"/a?q=%7e#F"),
        (b"/%7e?q=%7e", b"/~?q=%7e"),
        (b"http://example.org?/q", b"/?/q"),
        (b"/go?http://example.org/1", b"/go?http://example.org/1"),
        (b"?q", b"/?q"),
        (b"#f?", b"/#f?"),
        (b"/1?2/3", b"/:id?2/3"),
        (b"/1/?/2", b"/:id/?/2"),
    ],
)
def test_a_query_that_is_kept_stays_as_it_is(target: bytes, route: bytes) -> None:
    assert Routes((), ["numeric"], keep_query=True).of(target) == route


def test_a_rule_sees_the_query_that_is_kept() -> None:
    rules = [rule(r"^/index\.php\?page=(\w+)", r"/page/\1")]
    assert Routes(rules, keep_query=True).of(b"/index.php?page=shop&x=1") == b"/page/shop"
    assert Routes(rules).of(b"/index.php?page=shop&x=1") == b"/index.php"


# --- collapses

UUID = b"0190163D-8694-739b-aea5-966c26f8ad91"
SHA256 = b"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
KEPT = (
    *(b"-1", b"1.5", b"1.json", b"v2", b"\xd9\xa1", UUID[1:], b"{%b}" % UUID, b"2026-1-24", b"2026-1124"),
    *(b"2026-11-24T10", b"deadbeef", b"123456a", b"deadbeeg1", b"", b":id"),
)  # the fifth is a digit in Arabic
NUMBERS = (
    *(b"0", b"1" * 300, b"12345678", b"18991231", b"21000101", b"20261301", b"20260100", b"20260132"),
    b"2026",
)
DATES = (b"2026-11-24", b"20261124", b"1900-01-01", b"20991231")
HEXES = (UUID.replace(b"-", b""), b"deadbee1", b"DEADBEE1", b"1234567a", SHA256)
SEGMENTS = {  # what each becomes with everything switched on
    **{each: each for each in KEPT},
    **dict.fromkeys(NUMBERS, b":id"),
    **dict.fromkeys(DATES, b":date"),
    **dict.fromkeys(HEXES, b":hex"),
    **dict.fromkeys((UUID, UUID.lower()), b":uuid"),
}
ALONE = {  # what only one of them takes, when it alone is switched on
    "numeric": {b"20261124": b":id", b"deadbee1": b"deadbee1", UUID: UUID},
    "uuid": {UUID: b":uuid", b"1": b"1"},
    "date": {b"20261124": b":date", b"20261324": b"20261324", b"1": b"1"},
    "hex": {b"20261124": b":hex", UUID: UUID, b"1": b"1"},
}


def check_segments(of: Of, segments: dict[bytes, bytes]) -> None:
    """Whole segments, wherever in the path they stand, and each for itself."""
    for segment, placeholder in segments.items():
        for path in (b"/%b", b"/a/%b", b"/%b/b", b"//%b/", b"/x/%b/%b/y/%b", b"/-%b-"):
            expected = path if b"-%b-" in path else path.replace(b"%b", placeholder)
            expected = expected.replace(b"%b", segment)
            assert of(path.replace(b"%b", segment)) == expected


def check_collapses() -> None:
    check_segments(Routes((), list(COLLAPSES)).of, SEGMENTS)
    check_segments(Routes((), list(reversed(COLLAPSES))).of, SEGMENTS)
    for name, segments in ALONE.items():
        check_segments(Routes((), [name]).of, segments)
    assert ALONE.keys() == COLLAPSES.keys()


def other_collapses(*first: str, numeric: bytes = COLLAPSES["numeric"][1]) -> Patches:
    """In another order, or with another number."""
    known = COLLAPSES | {"numeric": (b":id", numeric)}
    return Patches((module, "COLLAPSES", {name: known[name] for name in dict.fromkeys((*first, *COLLAPSES))}))


OTHER_COLLAPSES = {
    **{
        " ".join(first): other_collapses(*first)
        for first in (("numeric", "date"), ("hex", "numeric"), ("hex", "date"))
    },
    **{
        str(each): other_collapses(numeric=each)
        for each in (rb"[0-9.]++", rb"-?[0-9]++", rb"[0-9]{1,8}", rb"\w*[0-9]")
    },
}


def test_what_is_decoded_collapses() -> None:
    assert Routes((), ["numeric"]).of(b"http://h/%31%32?x") == b"/:id"
    assert Routes((), ["numeric"]).of(b"1:443") == b"1:443"


# --- rules
@pytest.mark.parametrize(
    ("rules", "target", "route"),
    [
        ([("^/shop/[^/]+", "/shop/:item")], b"/shop/a/b", b"/shop/:item"),
        ([("^/shop/([^/]+)", r"/shop/\1")], b"/shop/a/b", b"/shop/a"),
        ([("(?P<last>[^/]+)$", r"/\g<last>")], b"/shop/a/b", b"/b"),
        ([("a", r"\g<0>")], b"/xay", b"a"),
        ([("(a)|(b)", r"[\1\2]")], b"/b", b"[b]"),
        ([("^/a", "/b"), ("^/b", "/c"), ("^/a", "/d")], b"/a", b"/c"),  # each to what the one before left
        ([("^/b", "/c"), ("^/a", "/b")], b"/a", b"/b"),
        ([("(?i)^/A", "/x")], b"/a", b"/x"),
        ([("^/:id$", "/number")], b"/17", b"/number"),
        ([("^/~u", "/user")], b"/%7eu", b"/user"),
        ([("", "other")], b"/a", OTHER),
        ([("a(.*)", r"\1")], b"/a", b"/"),
        ([("^/(?:a+)+$", "/as")], b"/aaa", b"/as"),
        ([("^/ä", "/ä")], "/ä/x".encode(), "/ä".encode()),
        ([("x", "/x")], b"/a", b"/a"),
        ([("^", r"\t\\")], b"/a", b"\t\\"),
        ([(r"/(\w)", r"\1\1")], b"/ab/cd", b"aa"),  # the first place where it is found
    ],
)
def test_rules(rules: Sequence[tuple[str, str]], target: bytes, route: bytes) -> None:
    routes = Routes([rule(*each) for each in rules], ["numeric"])
    assert [routes.of(target), routes.of(target)] == [route, route]


BAD_PATTERNS = {
    "/a(": "missing ), unterminated subpattern (character 3)",
    "ää[": "unterminated character set (character 3)",
    "*": "nothing to repeat (character 1)",
    "a{99999999999}": "the repetition number is too large",
    "(?u)a": "bad inline flags: cannot use 'u' flag with a bytes pattern (character 4)",
    "[[a]": "Possible nested set at position 1",
    "(" * 10_000 + ")" * 10_000: None,  # nested too deeply
}
BAD_TEMPLATES = {
    r"/\2": "invalid group reference 2 (character 3)",
    r"ä\g<y>": "unknown group name 'y'",
    r"\g<x": "missing >, unterminated name (character 4)",
    r"\q": r"bad escape \q (character 1)",
}


def test_a_bad_rule() -> None:
    rules = {
        **{(match, "/", "a regular expression"): said for match, said in BAD_PATTERNS.items()},
        **{("(?P<x>a)", name, "a template"): said for name, said in BAD_TEMPLATES.items()},
    }
    for (match, name, wanted), said in rules.items():
        with pytest.raises(ValueError, match=f"^expected {wanted}: ") as caught:
            rule(match, name)
        assert said in (None, str(caught.value).partition(": ")[2])


# --- what is too long
def test_what_is_too_long_is_other() -> None:
    routes = Routes(max_route=8)
    assert routes.of(b"/" + b"x" * 7) == b"/" + b"x" * 7
    assert routes.of(b"/" + b"x" * 8) == OTHER
    assert routes.of(b"/x?" + b"y" * 100) == b"/x"
    assert routes.of(b"/%7e%7e%7e") == OTHER  # though it would have been /~~~
    assert Routes(max_route=8, keep_query=True).of(b"/x?yyyyyy") == OTHER
    assert Routes([rule("x", "/" + "y" * 8)], max_route=8).of(b"/x") == OTHER
    assert Routes((), ["uuid"], max_route=8).of(b"/" + UUID) == OTHER


class Watched(Rule):
    """A rule that notes what it is asked."""

    asked: list[bytes] = []  # noqa: RUF012  of all of them together

    def apply(self, route: bytes) -> bytes:
        self.asked.append(route)
        return super().apply(route)


def watched(match: str, name: str) -> Watched:
    Watched.asked.clear()
    return Watched(*rule(match, name))


def test_no_rule_sees_what_is_too_long() -> None:
    """So `max_route` bounds what one target can cost."""
    routes = Routes([*[watched("(?s)(.+)", r"\1\1")] * 20], max_route=16)
    assert routes.of(b"/" + b"x" * 16) == OTHER
    assert Watched.asked == []
    assert routes.of(b"/xxx") == OTHER
    assert [len(each) for each in Watched.asked] == [4, 8, 16]


# --- the cache
class Forgetful(Routes):  # what came anew has one generation, which is thrown away when it is full
    def _work_out(self, target: bytes) -> bytes:
        self._cache._old = {}
        return super()._work_out(target)


class Overrun(Routes):  # what was known when a window began has no place of its own
    def end_window(self) -> None:
        pass


class Reloaded(Routes):  # a reload forgets
    def go_on_from(self, before: Routes) -> None:
        pass


class AnyRules(Routes):  # a reload with other rules remembers what the former ones made
    def go_on_from(self, before: Routes) -> None:
        self._cache.take_over(before._cache)


class Hoarding(Routes):  # what does not come any more is kept all the same
    def end_window(self) -> None:
        kept = dict(self._cache._kept)
        super().end_window()
        self._cache._kept |= kept


def size_of(routes: Routes) -> tuple[int, int]:
    """Targets that it remembers, and bytes of their text and their routes'."""
    cache = routes._cache
    kept = {**cache.again, **cache._kept, **cache._young, **cache._old}
    return len(kept), sum(len(target) + len(route) for target, route in kept.items())


def check_once_each(make: type[Routes]) -> None:
    """A rule is asked once for each distinct target; for one that keeps coming, through any scan."""
    routes = make([watched("^/hot", "/warm")])
    for number in range(3 * CACHE_ENTRIES):
        assert routes.of(b"/%d" % number) == b"/%d" % number
        if number % 100 == 0:
            assert routes.of(b"/hot") == b"/warm"
    assert len(Watched.asked) == len(set(Watched.asked)) == 3 * CACHE_ENTRIES + 1


def check_no_flood_takes_a_place(make: type[Routes]) -> None:
    """What is known when a window ends is known through the next, whatever comes before it, and over a
    reload; so it has its route though rules have no time left."""
    rules, regular = [watched("^/x", "/y")], [b"/x%d" % number for number in range(100)]

    def has_no_time(rules: Sequence[Rule], route: bytes, max_route: int) -> bytes | None:
        return apply_all(rules, route, max_route) if has_time or route not in regular else None

    has_time = True
    routes = make(rules, limited=has_no_time)
    for window in range(4):
        for number in range(3 * CACHE_ENTRIES):
            routes.of(b"/%d/%d" % (window, number))
        assert {routes.of(target) for target in regular} == {b"/y"}, f"in window {window}"
        before, routes = routes, make(rules, limited=has_no_time)
        routes.go_on_from(before)
        routes.end_window()
        has_time = False
    other = make([watched("^/x", "/z")], limited=apply_all)
    other.go_on_from(routes)
    assert other.of(regular[0]) == b"/z"


def check_cache_is_bounded(make: type[Routes]) -> None:
    """Through windows, too; and what does not come any more is forgotten."""
    routes = make([rule("^/x", "/x")], max_route=65536)
    for length in (1, 10_000):
        for number in range(4 * CACHE_ENTRIES + 100):
            routes.of(b"/%d/%b" % (number, b"y" * length))
            if number % CACHE_ENTRIES == 0:
                routes.end_window()
        targets, size = size_of(routes)
        assert targets <= 2 * CACHE_ENTRIES
        assert size <= 2 * (CACHE_BYTES + 2 * 65536)


def check_many_logs_share_the_caches(make: type[Routes]) -> None:
    """Of a hundred logs each has a part of what sixteen may have."""
    caches = [make([rule("^/x", "/x")], logs=logs) for logs in (1, 16, 100)]
    for cache in caches:
        for number in range(CACHE_ENTRIES):
            cache.of(b"/%d" % number)
        cache.end_window()
        for number in range(CACHE_ENTRIES):
            cache.of(b"/anew/%d" % number)
    assert [size_of(cache)[0] for cache in caches[:2]] == [2 * CACHE_ENTRIES] * 2
    assert size_of(caches[2])[0] <= 2 * CACHE_ENTRIES * 16 // 100


def test_what_needs_no_thought_needs_no_cache() -> None:
    routes = Routes()
    for number in range(100):
        routes.of(b"/%%7e%d" % number)
    assert size_of(routes) == (0, 0)


test_promise, test_twin = promises(
    Promise(check_targets, Routes().of, NOT_THE_ROUTE),
    Promise(check_targets, Routes([rule("no such thing", "x")]).of, [], label="where no rule fits"),
    Promise(check_collapses, None, OTHER_COLLAPSES),
    Promise(check_once_each, Routes, [Forgetful]),
    Promise(check_no_flood_takes_a_place, Routes, [Overrun, Reloaded, AnyRules]),
    Promise(
        check_cache_is_bounded,
        Routes,
        [
            Doubled("counting.routes:CACHE_ENTRIES"),
            Doubled("counting.routes:CACHE_BYTES"),
            Hoarding,
        ],
    ),
    Promise(check_many_logs_share_the_caches, Routes, [Doubled("counting.routes:CACHES")]),
)
