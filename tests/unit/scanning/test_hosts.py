"""The virtual host before the path: from every format that has one, by every scanner; and whose route it is
where clients choose it."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from qps_service.counting import routes as routes_module
from qps_service.counting.aggregator import Aggregator
from qps_service.counting.routes import HOST_LIMIT, Routes, host_of
from qps_service.counting.rules import compile_match, make_rule
from qps_service.formats import apache, combined, json_lines, ltsv, named_fields, nginx, presets, w3c
from qps_service.formats.log_format import DECIDING, HOST
from qps_service.formats.presets import Preset, compile_format
from qps_service.scanning.options import ScanOptions, Spill
from qps_service.scanning.pure import PureScanner
from qps_service.scanning.w3c import W3cScanner
from qps_service.values.counts import OTHER, Counts, Key, Scanned
from tests.limits import Doubled
from tests.promised import Patches, Promise, promises
from tests.unit.conftest import MAKERS, Make, by_each, no_spill

T = b'[24/Nov/2026:14:50:08 +0000] "GET /cart?a HTTP/1.1" 200 512'
FIELDS = b"#Fields: date time cs-method cs-uri-stem sc-status sc-bytes "

# Format, line, route. T is what the combined family has in common.
LINES: list[tuple[str, bytes, bytes]] = [
    # nginx: of several the first of these.
    ('$host "$request" $status', b'Shop.example "GET /cart HTTP/1.1" 200', b"shop.example/cart"),
    ('$server_name "$request" $status', b'shop.example "GET /cart HTTP/1.1" 200', b"shop.example/cart"),
    ('"$http_host" "$request" $status', b'"shop.example:8080" "GET /cart HTTP/2" 200', b"shop.example/cart"),
    ("$http_host|$server_name|$host|$uri|$status", b"a.example|b.example|c.example|/|200", b"c.example/"),
    ("$http_host|$server_name|$uri|$status", b"a.example|b.example|/|200", b"b.example/"),
    (r"$uri\t$status\t$body_bytes_sent\t$host", b"/cart\t200\t5\tshop.example", b"shop.example/cart"),
    (r"$uri\t$status\t$body_bytes_sent\t$host", b"/cart\t200\t5", b"-/cart"),  # cut before it
    ('$uri $status "$http_host" $pid', b'/cart 200 "shop.exa', b"-/cart"),  # cut within it
    ("$remote_addr $host $request_method $uri $status", b"192.0.2.1 a.example GET /x 200", b"a.example/x"),
    # Apache
    ('%v:%p %h "%r" %>s %b', b'shop.example:443 192.0.2.1 "GET /cart HTTP/1.1" 200 5', b"shop.example/cart"),
    ('%V "%r" %>s', b'shop.example "GET /cart HTTP/1.1" 200', b"shop.example/cart"),
    ('"%{Host}i" "%r" %>s', b'"shop.example" "GET /cart HTTP/1.1" 200', b"shop.example/cart"),
    ('"%{Host}i" %V %v %U %>s', b'"a.example" b.example c.example /x 200', b"c.example/x"),
    # HAProxy, where the host is captured
    (
        '$client [$t] $fe $be/$rest {$host|$agent} "$request" $status',
        b'192.0.2.1:33317 [x] web~ app/a1 0/0/1 ---- {shop.example|curl} "GET /cart HTTP/1.1" 200',
        b"shop.example/cart",
    ),
    # The family
    ("combined", b"shop.example:443 192.0.2.1 - - " + T, b"shop.example/cart"),
    ("vhost_combined", b"shop.example:80 2001:db8::7 - jane doe " + T, b"shop.example/cart"),
    ("combined", b"shop.example:80 client.example - - " + T, b"shop.example/cart"),  # HostnameLookups
    ("combined", b"www.shop.example ::1 - - " + T, b"www.shop.example/cart"),
    ("combined", b"localhost:80 192.0.2.1 - - " + T, b"localhost/cart"),
    ("combined", b"203.0.113.9:80 192.0.2.1 - - " + T, b"203.0.113.9/cart"),
    ("combined", b"[2001:DB8::1]:80 192.0.2.1 - - " + T, b"[2001:db8::1]/cart"),
    ("lighttpd", b"192.0.2.1 shop.example - " + T, b"shop.example/cart"),
    ("ovh", b"192.0.2.1 203.0.113.9 - " + T, b"203.0.113.9/cart"),
    ("combined", b"192.0.2.1:4711 [::1]:8080 - " + T, b"[::1]/cart"),
    ("combined", b"2026-11-24T14:50:08Z stdout F shop.example:443 192.0.2.1 - - " + T, b"shop.example/cart"),
    ("combined", b"<190>Nov 24 14:50:08 lb web: shop.example:443 192.0.2.1 - - " + T, b"shop.example/cart"),
    ("combined", b'{"log":"a.example:80 192.0.2.1 - - [x] \\"GET /x\\" 200 5\\n"}', b"a.example/x"),
    *(
        ("combined", each + b" " + T, b"-/cart")
        for each in (
            *(b"192.0.2.1 - -", b"client.example - -", b"192.0.2.1", b"", b"192.0.2.1 - jane.doe"),
            *(b"192.0.2.1 9999 frank", b"192.0.2.1 600x12x1 frank", b"198.51.100.2, 10.0.0.7 - -"),
            *(b"INFO 192.0.2.1 - -", b"14:50:08 192.0.2.1 - -", b"2026-11-24T14:50:08Z 192.0.2.1 - -"),
            *(b"0.004 192.0.2.1 - -", b"198.51.100.2 192.0.2.1 - -", b"Nov 24 14:50:08 lb nginx: ::1 - -"),
            b"2026-11-24T14:50:08Z stdout F 192.0.2.1 - -",
        )
    ),
    # JSON: of several the first of these names that a line has.
    *(
        ("json", b'{%b,"method":"GET","path":"/cart?a","status":200}' % host, b"shop.example/cart")
        for host in (
            b'"request":{"host":"shop.example"}',  # Caddy
            b'"RequestHost":"shop.example","RequestAddr":"shop.example:80"',  # Traefik
            b'"authority":"shop.example"',  # Envoy, as Istio has it
            b'":authority":"shop.example:443"',  # Envoy Gateway
            b'"http_host":"shop.example","host":"web-1","server_name":"_"',
            b'"host":"shop.example"',
            b'"host":"web-1","request":{"headers":{"host":"SHOP.example."}}',  # APISIX
            b'"vhost":"shop.example"',
            b'"server_name":"shop.example"',
            b'"url":{"domain":"shop.example"},"host":{"name":"web-1"}',
            b'"req":{"headers":{"host":"shop.example"}}',  # pino-http
            b'"host":"192.0.2.1","localServerName":"shop.example"',  # Tomcat
        )
    ),
    ("json host=tenant", b'{"tenant":"a","host":"b","uri":"/","status":200}', b"a/"),
    ("json", b'{"host":null,"uri":"/","status":200}', b"-/"),
    ("json", b'{"host":"a\\u002fb","uri":"/","status":200}', b"-/"),
    ("json", b'{"host":"a b","uri":"/","status":200}', b"-/"),
    ("json", b'{"host":"a\\nb","uri":"/","status":200}', b"-/"),
    ("json", b'{"uri":"/","status":200,"host":"shop.exa', b"-/"),  # cut within it
    # Labels: `host` is the client's address there.
    ("ltsv", b"host:192.0.2.1\tvhost:shop.example\turi:/cart\tstatus:200", b"shop.example/cart"),
    ("ltsv", b"host:192.0.2.1\turi:/cart\tstatus:200", b"-/cart"),
    # W3C: CloudFront's cs(Host) is its own name.
    ("w3c", FIELDS + b"cs-host\n2026-11-24 14:50:08 GET /cart 200 5 shop.example", b"shop.example/cart"),
    ("w3c", FIELDS + b"cs(Host) x-host-header\n- - GET /cart 200 5 d1.example a.example", b"a.example/cart"),
    ("w3c", FIELDS + b"cs(Host)\n- - GET /cart 200 5 -", b"-/cart"),
    # Where the target alone has it.
    (
        "alb",
        presets.PRESETS["alb"].example.replace("GET https://", "GET https://jane@").encode(),
        b"example.org/help",
    ),
    ("elb", presets.PRESETS["elb"].example.encode(), b"example.org/help"),
    ("squid", presets.PRESETS["squid"].example.encode(), b"example.org/help"),
    ("nginx-proxy-manager", presets.PRESETS["nginx-proxy-manager"].example.encode(), b"example.org/help"),
    ("$host $uri $status", b"a.example http://b.example/x 200", b"a.example/x"),
    ("$host $uri $status", b"- http://B.example:80?x 200", b"b.example/"),
    # What is no path has none before it, but where it could be taken for another's.
    ("$host $uri $status", b"a.example * 200", b"*"),
    ("$host $uri $status", b"a.example b.example:443 200", b"b.example:443"),
    ("$host $uri $status", b"a.example b.example/x 200", b"a.example/b.example/x"),
    # What no server could read has one route, whoever is called.
    ('$host "$request" $status', rb'a.example "\x16\x03\x01" 400', b"-"),
    ('$host "$request" $status', b'a.example "-" 408', b"-"),
    # No format tells one.
    ("default", b"192.0.2.1\tGET /cart\t200\t5", b"-/cart"),
]
HOSTS: dict[bytes, bytes] = {
    **{each: each for each in (b"shop.example", b"_", b"localhost", b"*.shop.example", b"[::1]", b"::1")},
    **{
        each: each
        for each in (b"\xc3\xa4.example", b"\x80\xff", b"\\x1b[2j", b'a"', b"a%2fb", b"<b>", b"a,b")
    },
    **dict.fromkeys(
        (b"SHOP.Example", b"shop.example:443", b"shop.example:", b"shop.example."), b"shop.example"
    ),
    **dict.fromkeys((b"SHOP.example.:80", b"jane@shop.example", b"a@b@shop.example:1"), b"shop.example"),
    **dict.fromkeys((b"[::1]:80", b"[::1]:"), b"[::1]"),
    b"a:b": b"a:b",
    b"x" * 255: b"x" * 255,
    **dict.fromkeys(
        (b"", b"-", b".", b":80", b"a/b", b"a?b", b"a#b", b"a b", b"a\0", b"a\x7f", b"\x1b[2J"), b"-"
    ),
    b"x" * 256: b"-",
}


def check_lines(make: Make) -> None:
    routes = Routes(keep_host=True)
    for text, written, route in LINES:
        head, newline, row = written.rpartition(b"\n")
        for times in (1, 5):  # more of one kind are counted in another way
            asked = ScanOptions(compile_format(text), 64 * 1024, keep_host=True)
            found = scanned(make, asked, head + newline + b"\n".join([row] * times))
            assert [routes.of(key.route) for key in found.counts] == [route], (text, written)
            assert [each.requests for each in found.counts.values()] == [times]


def scanned(make: Make, asked: ScanOptions, block: bytes) -> Scanned:
    """By a scanner that `make` makes, of W3C by one over it."""
    scanner = W3cScanner(asked, none_counted, make) if asked.log_format.is_w3c else make(asked, no_spill)
    scanner.scan(block)
    return scanner.take()


def none_counted(found: Scanned) -> None:
    """It is told so at each `#Fields`."""
    assert not found.rows


def check_a_dropped_host_is_nowhere(make: Make) -> None:
    """What is counted is what a format counts whose fields tell none."""
    for text, written, _ in LINES:
        log = compile_format(text)
        found, expected = (
            scanned(make, ScanOptions(each, 64 * 1024), written) for each in (log, log.without("host"))
        )
        assert found.counts == expected.counts
        assert not any(b" " in key.route for key in found.counts), (text, written)


def check_hosts(of: Callable[[bytes], bytes]) -> None:
    assert {text: of(text) for text in HOSTS} == HOSTS
    assert len(max(HOSTS.values(), key=len)) == HOST_LIMIT


def check_routes(make: type[Routes]) -> None:
    """Rules see the host, collapses do not; each is counted by its own cache entry; the whole is bounded."""
    rules = [make_rule(compile_match("^(?:www[.])?shop[.]example/(cart|buy)"), r"shop-\1")]
    routes = make(rules, ["numeric"], max_route=30, keep_host=True)
    for _ in range(2):
        assert routes.of(b"WWW.shop.example:443 /cart/1?x") == b"shop-cart"
        assert routes.of(b"shop.example /help/%41/12") == b"shop.example/help/A/:id"
        assert routes.of(b"12.example /12") == b"12.example/:id"
        assert routes.of(b"34.example /12") == b"34.example/:id"
        assert routes.of(b"shop.example /" + b"x" * 17) == b"shop.example/" + b"x" * 17
        assert routes.of(b"shop.example /" + b"x" * 18) == OTHER
        assert routes.of(b"x" * 300 + b" /a") == b"-/a"
    kept = make(keep_query=True, keep_host=True)
    assert kept.of(b"a.example /x?/y#z") == b"a.example/x?/y#z"


def check_admission(limit: int) -> None:
    """Invented hosts keep no real one out, and have no more places than invented paths."""
    counting = Aggregator("web", 0, limit, Routes(keep_host=True))
    for number in range(20):
        rows = [(b"GET", b"%d-%d.example /" % (number, each), 200, 1, 0) for each in range(100)]
        counting.add(Scanned(150, [*rows, (b"GET", b"shop.example /", 200, 50, 0)], {}, None))
    counts, *_ = counting.take()
    assert counting.routes <= 10
    assert counts[Key(b"GET", b"shop.example/", 200)] == Counts(1000, 0)
    assert sum(each.requests for each in counts.values()) == 20 * 150


def reversed_order(names: Mapping[str, int]) -> dict[str, int]:
    return {name: -rank for name, rank in names.items()}


def preset(name: str, text: str) -> Patches:
    """It has this text."""
    return Patches((presets, "PRESETS", presets.PRESETS | {name: Preset((text,), "", "")}))


PLAINEST_FIRST = {role: paths[::-1] for role, paths in json_lines.CANDIDATES.items()}
LINE_TWINS = {
    "any word is an address": Patches((combined, "_ADDRESS", re.compile(rb".+"))),
    "any word is a host": Patches((combined, "_NAME", re.compile(rb".+"))),
    "a host stands behind no prefix": Patches((combined, "prefix_of", lambda before: b"")),
    "a host is as it stands": Patches((routes_module, "host_of", lambda text: text)),
    "the last of nginx's names": Patches((nginx, "_ORDER", reversed_order(nginx._ORDER))),
    "the last of Apache's": Patches((apache, "_ORDER", apache._ORDER[::-1])),
    "the last of W3C's": Patches((w3c, "_RANKS", reversed_order(w3c._RANKS))),
    "a logger's machine": preset("json", json_lines.text_of("json", PLAINEST_FIRST)),
    "a client's label": preset("ltsv", f"{ltsv.TEXT} host=host"),
    "a cut host": Patches((named_fields, "DECIDING", (*DECIDING, HOST))),
}


class DropsNothing(PureScanner):  # whatever is asked
    def __init__(self, options: ScanOptions, spill: Spill) -> None:
        super().__init__(options._replace(keep_host=True), spill)


class OneCacheForAllHosts(Routes):  # the path tells the route
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._by_path: dict[bytes, bytes] = {}

    def of(self, target: bytes) -> bytes:
        return self._by_path.setdefault(target.partition(b" ")[2], super().of(target))


test_promise, test_twin = promises(
    *by_each(check_lines, LINE_TWINS, MAKERS),
    *by_each(check_a_dropped_host_is_nowhere, [DropsNothing], MAKERS),
    Promise(
        check_hosts,
        host_of,
        {
            "its case": lambda text: host_of(text) if text.islower() else text,
            "its port": lambda text: text.lower(),
            "slashes": Patches((routes_module, "_NO_HOST", re.compile(rb"[\x00- ?#\x7f]"))),
            "controls": Patches((routes_module, "_NO_HOST", re.compile(rb"[ /?#]"))),
            "colons": Patches((routes_module, "_PORT", re.compile(rb"(.*):[0-9]*"))),
            "any length": Doubled("counting.routes:HOST_LIMIT"),
        },
    ),
    Promise(check_routes, Routes, [OneCacheForAllHosts]),
    Promise(check_admission, 10, {"places for all": 3000}),
)
