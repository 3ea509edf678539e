"""From the request target in the log to the route that is counted. Pure: bytes in, bytes out.

The steps, in this order:

1. **Query and fragment go**: the target up to its first `?` or `#`. Whoever sends requests chooses the query.
2. **A target longer than `max_route` bytes** is OTHER, and nothing below happens to it.
3. **absolute-form becomes its path**: `http://host/path`, as a proxy gets it, is `/path` (RFC 9112, 3.2.2).
4. **Percent-encoding is normalised** (RFC 3986, 6.2.2.1 and 6.2.2.2): hex digits in upper case, unreserved
   characters decoded: `/%7euser%2fx` is `/~user%2Fx`. A `%` without two hex digits behind it stays as it is.
5. **An empty path is `/`.** `*` and CONNECT's `host:port` stay as they are.
6. **Collapses** that are switched on: a path's whole segment that is a number, a uuid, a date or hex digits
   becomes `:id`, `:uuid`, `:date` or `:hex`; see COLLAPSES.
7. **The virtual host** comes before the path where it is kept: `shop.example/cart`, by HOST below. `*` and
   CONNECT's `host:port` stay as they are.
8. **Rules**, all of them, in order, each applied to what the one before left: where the pattern is found, the
   route becomes the rule's template, expanded. An empty one is `/`.

What is longer than `max_route` in the end is OTHER, too, and so is what takes the rules too long: see Limited
in rules.py. Case is kept, and bytes are never decoded. Where the
query is kept, steps 3 to 7 are for the path before it, and the rules see it.

A host is what the log's field says or, where that says none, what an absolute-form says: in lower case,
without user, port and a last dot, as nginx makes `$host` (ngx_http_validate_host). It may have any bytes but
controls, blanks, `/`, `?` and `#`: so the first slash of a route ends its host, whatever clients call
themselves. What has others, is longer than HOST_LIMIT or is not there is `-`: `-/cart`.
"""

import re
from collections.abc import Collection, Sequence
from itertools import product

from qps_service.counting.rules import Limited, Rule, apply_all
from qps_service.values.counts import OTHER, UNREAD

_DAY = rb"(?:0[1-9]|[12][0-9]|3[01])"
_MONTH = rb"(?:0[1-9]|1[0-2])"
# In the order in which they are tried: a uuid is no hex, 20261124 is a date before it is a number, and a
# number is no hex. What is not switched on is not tried.
COLLAPSES = {
    # 8-4-4-4-12 hex digits (RFC 9562, 4), of any version and variant
    "uuid": (b":uuid", rb"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"),
    # YYYY-MM-DD or YYYYMMDD from 1900 to 2099; the 31st of February passes
    "date": (b":date", rb"(?:19|20)[0-9]{2}(?:-%b-%b|%b%b)" % (_MONTH, _DAY, _MONTH, _DAY)),
    # any number of digits
    "numeric": (b":id", rb"[0-9]++"),
    # at least 8 hex digits, one of them 0 to 9: `deadbeef` and `effaced` may be words
    "hex": (b":hex", rb"(?=[A-Fa-f]*+[0-9])[0-9A-Fa-f]{8,}+"),
}

# Of the cache: so many targets that were known when the window began, and as many that came anew in it. That
# is enough for the routes of a site and the ids that are in use. An entry is some 200 bytes beside its text:
# both bounds together keep the cache of a log below 3 MB, whatever `max_route` is. More logs than CACHES have
# no more together than so many.
CACHE_ENTRIES = 4096
CACHE_BYTES = 512 * 1024  # of text
CACHES = 16

HOST_LIMIT = 255  # bytes, as of names in DNS (RFC 1035, 2.3.4)

_PLAIN = re.compile(rb"/[^%?#]*+")  # its own route, without rules and collapses
_QUERY = re.compile(rb"[?#]")
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*+://([^/]*+)")
_PORT = re.compile(rb"(\[[^\]]*+\]|[^:]*+):[0-9]*+")
_NO_HOST = re.compile(rb"[\x00- /?#\x7f]")
_OCTET = re.compile(rb"%[0-9A-Fa-f]{2}")
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_NORMALISED = {  # each way to write an octet -> the one that counts
    b"%%%c%c" % digits: bytes((value,)) if value in _UNRESERVED else b"%%%02X" % value
    for digits in product(b"0123456789ABCDEFabcdef", repeat=2)
    for value in (int(bytes(digits), 16),)
}


class Routes:
    """The routes of one log's targets.

    With rules or collapses, each distinct target goes through the steps once, as long as the cache holds it.
    Without any, keeping the results would cost more than it saves.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        collapses: Collection[str] = (),
        keep_query: bool = False,
        max_route: int = 1024,
        limited: Limited = apply_all,
        logs: int = 1,
        keep_host: bool = False,
    ) -> None:
        """`collapses` are some of COLLAPSES; `max_route` is bytes; `limited` applies rules within its
        time; `logs` is how many logs there are. `keep_host`: targets have their host before them, and a blank
        between, but for what no server could read."""
        part = max(logs / CACHES, 1)
        self._cache = _Cache(int(CACHE_ENTRIES // part), int(CACHE_BYTES // part))
        self._steps = (tuple(rules), frozenset(collapses), keep_query, max_route, keep_host)
        self._rules = tuple(rules)
        self._collapse = _segments(collapses) if collapses else None
        self._keep_query = keep_query
        self._max_route = max_route
        self._limited = limited
        self._keep_host = keep_host
        self._is_plain = not (rules or collapses or keep_host)

    def go_on_from(self, before: "Routes") -> None:
        """Remember what `before` does, if its steps are the same: a reload in a flood takes no route from
        who has one."""
        if self._steps == before._steps:
            self._cache.take_over(before._cache)

    def end_window(self) -> None:
        """What is known now is remembered through the next window, within bounds, whatever comes then."""
        self._cache.end_window()

    def of(self, target: bytes) -> bytes:
        """The route of a target, whole or without its query; OTHER for one that is too long."""
        if self._is_plain and _PLAIN.fullmatch(target):
            return target if len(target) <= self._max_route else OTHER
        host = b""
        if self._keep_host:
            name, blank, target = target.partition(b" ")
            if not blank:
                return UNREAD
            host = host_of(name) + b" "
        if not self._keep_query and (b"?" in target or b"#" in target):
            target = _QUERY.split(target, maxsplit=1)[0]
        if len(target) > self._max_route:
            return OTHER
        if self._is_plain:
            return self._derive(target) or OTHER
        target = host + target
        return self._cache.again.get(target) or self._cache.find(target) or self._work_out(target)

    def _work_out(self, target: bytes) -> bytes:
        """The route of a target that is not in the cache; it is from now on, but for one that there was no
        time for."""
        route = self._derive(target)
        if route is None:
            return OTHER  # this time
        self._cache.add(target, route)
        return route

    def _derive(self, target: bytes) -> bytes | None:
        """The steps; None where rules had no time for it."""
        host, rest = b"", b""
        if self._keep_host:
            host, _, target = target.partition(b" ")
        path = target
        if self._keep_query and (query := _QUERY.search(target)):
            path, rest = target[: query.start()], target[query.start() :]
        if path[:1] != b"/":
            absolute = _ABSOLUTE.match(path)
            if absolute and host == UNREAD:
                host = host_of(absolute[1])
            path = path[absolute.end() :] if absolute else path
            path = path or b"/"
        if b"%" in path:
            path = _OCTET.sub(_normalised, path)
        if self._collapse:
            path = self._collapse.sub(_placeholder, path)
        if host and b"/" in path:
            path = host + (path if path[:1] == b"/" else b"/" + path)
        route = path + rest
        if self._rules:
            return self._limited(self._rules, route, self._max_route)
        return OTHER if len(route) > self._max_route else route


class _Cache:
    """Routes of targets. Two parts, so that a flood takes no target's place that comes again and again:

    - What was known when the window began: `again`, what came since, and `_kept`, what did not so far.
    - What came anew, in two generations: what is asked for again moves to the young one; when that is full,
      it becomes the old one, and what was old is forgotten.
    """

    def __init__(self, entries: int, size: int) -> None:
        """At most so many targets, and about so many bytes of text, in each part."""
        self._entries, self._bytes = entries, size
        self.again: dict[bytes, bytes] = {}
        self._kept: dict[bytes, bytes] = {}
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._size = 0  # bytes of text in the young generation

    def take_over(self, other: "_Cache") -> None:
        """What the other one holds; what is too much of it goes when the window ends."""
        self.again, self._kept = other.again, other._kept
        self._young, self._old, self._size = other._young, other._old, other._size

    def find(self, target: bytes) -> bytes | None:
        """Its route; None where it is not known."""
        route = self._young.get(target)
        if route is None and (route := self._kept.pop(target, None)):
            self.again[target] = route
        elif route is None and (route := self._old.get(target)):
            self.add(target, route)
        return route

    def add(self, target: bytes, route: bytes) -> None:
        """It came anew."""
        if len(self._young) >= self._entries // 2 or self._size >= self._bytes // 2:
            self._old, self._young, self._size = self._young, {}, 0
        self._young[target] = route
        self._size += len(target) + len(route)

    def end_window(self) -> None:
        """Keep what there is room for: what came again, then what came anew, the last first."""
        kept: dict[bytes, bytes] = {}
        size = 0
        for part in (self.again, self._young, self._old, self._kept):
            for target, route in part.items():
                if len(kept) >= self._entries or size >= self._bytes:
                    break
                kept[target] = route
                size += len(target) + len(route)
        self.again, self._kept, self._young, self._old, self._size = {}, kept, {}, {}, 0


def host_of(text: bytes) -> bytes:
    """The virtual host that a log calls so; UNREAD for what is none."""
    host = text.rpartition(b"@")[2].lower()
    if port := _PORT.fullmatch(host):
        host = port[1]
    host = host.removesuffix(b".")
    return host if 0 < len(host) <= HOST_LIMIT and not _NO_HOST.search(host) else UNREAD


def _segments(collapses: Collection[str]) -> re.Pattern[bytes]:
    """A pattern for whole segments. Each is looked at once: no part of it gives back what it took."""
    tried = (
        b"(?P<%b>%b)" % (name.encode(), pattern)
        for name, (_, pattern) in COLLAPSES.items()
        if name in collapses
    )
    return re.compile(rb"/(?:" + b"|".join(tried) + rb")(?=/|\Z)")


def _placeholder(found: re.Match[bytes]) -> bytes:
    return b"/" + COLLAPSES[found.lastgroup or ""][0]


def _normalised(octet: re.Match[bytes]) -> bytes:
    return _NORMALISED[octet[0]]
