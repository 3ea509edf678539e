"""The lines of servers, by the names of their formats: as their documentation shows them, with what is odd in
real logs. Each counts, by every scanner."""

import pytest

from qps_service.counting.routes import Routes
from qps_service.errors import FormatError
from qps_service.formats import line as line_module
from qps_service.formats import nginx
from qps_service.formats.detection import choose
from qps_service.formats.line import make_reader, request_of
from qps_service.formats.presets import PRESETS, compile_format
from qps_service.values.counts import Counts
from tests.promised import Patches, Promise, promises
from tests.unit.conftest import MakeScanner, by_each

HAPROXY = "Nov 24 14:50:08 lb haproxy[9]: "
PROXIED = "192.0.2.7:33317 [24/Nov/2026:14:50:08.655] web~ app/a1 10/0/30/69/109 "
ALB = "2026-11-24T14:50:08.186641Z app/shop/50dc6c49 192.0.2.7:2817 "
ELB = "2026-11-24T14:50:08.945958Z shop 192.0.2.7:2817 "
S3 = "79a59df9 shop [24/Nov/2026:14:50:08 +0000] 192.0.2.7 79a59df9 3E57 "
ENVOY = "[2026-11-24T14:50:08.310Z] "
NPM = "[24/Nov/2026:14:50:08 +0000] "
BEHIND = '[Client 192.0.2.7] [Length 5] [Gzip -] "curl/8 - 200" "-"'
SQUID = "1795531808.373"
UWSGI = "[pid: 9|app: 0|req: 1/1] 192.0.2.7 () {40 vars in 685 bytes} [Tue Nov 24 14:50:08 2026] "
# By name each line, and what it counts as.
LOGS: dict[str, dict[str, str]] = {
    "haproxy": {
        f'{HAPROXY}{PROXIED}200 512 - - ---- 1/1/1/1/0 0/0 "GET /a HTTP/1.1"': "GET /a 200 512",
        # Through RFC 5424, from standard output, with captured headers and cookies, with `httpslog`.
        f"<134>1 2026-11-24T14:50:08+01:00 lb haproxy 9 - - {PROXIED}200 5 - - ---- 1/1/1/1/0 0/0 "
        '"GET /a"': "GET /a 200 5",
        f'{PROXIED}404 5 SRV=a b SRV=c/d --VN 1/1/1/1/0 0/0 {{a|x y}} {{}} "GET /b?c"': "GET /b 404 5",
        f'{PROXIED}200 5 - - ---- 1/1/1/1/0 0/0 "GET /a HTTP/2.0" 0/0/0/0/0 a/TLSv1.3/AES': "GET /a 200 5",
        # `option logasap`, no server, no request, no answer, retries, more than syslog takes.
        f'{PROXIED}200 +243 - - ---- 1/1/1/1/0 0/0 "GET /a HTTP/1.1"': "GET /a 200 -",
        "192.0.2.7:1 [24/Nov/2026:14:50:08.655] w w/<NOSRV> -1/-1/-1/-1/8490 408 0 - - cR-- 1/1/0/0/0 0/0 "
        '"<BADREQ>"': "- - 408 0",
        "192.0.2.7:1 [24/Nov/2026:14:50:08.655] web app/a1 0/0/+1/-1/+9 -1 0 - - CH-- 1/1/1/1/+3 0/0 "
        '"GET /a HTTP/1.1"': "GET /a 000 0",
        f'{HAPROXY}{PROXIED}200 512 - - ---- 1/1/1/1/0 0/0 "GET /{"a" * 900}': f"GET /{'a' * 900} 200 512",
    },
    "alb": {
        f'http {ALB}10.0.0.1:80 0.000 0.001 0.000 200 200 34 366 "GET http://example.org:80/ HTTP/1.1" '
        '"curl/8" - - arn:aws:x "Root=1-58" "-" "-" 0 2026-11-24T14:50:08.364000Z "forward" "-" '
        '"-"': "GET / 200 366",
        f'h2 {ALB}10.0.0.1:9000 0.000 0.002 0.000 200 200 5 257 "GET https://[2001:db8::1]:773/a?b HTTP/2.0" '
        '"curl \\"x\\"" ECDHE TLSv1.2': "GET /a 200 257",
        f'https {ALB}- -1 -1 -1 460 - 34 0 "POST https://example.org:443/a HTTP/1.1" "-"': "POST /a 460 0",
        f'http {ALB}- -1 -1 -1 400 - 0 272 "- http://shop.elb.amazonaws.com:80- -" "-" - - -': "- - 400 272",
        f'http {ALB}- -1 -1 -1 - - 0 0 "- - - " "-" - - -': "- - 000 0",
    },
    "elb": {
        f'{ELB}10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 "GET http://example.org:80/a HTTP/1.1" '
        '"curl/8" - -': "GET /a 200 29",
        f'{ELB}- -1 -1 -1 503 0 0 0 "GET https://example.org:443/?a HTTP/1.1" "curl/8" - -': "GET / 503 0",
        f'{ELB}10.0.0.1:80 0.001069 0.000028 0.000041 - - 82 305 "- - - " "-" - -': "- - 000 305",
    },
    "s3": {
        f'{S3}REST.GET.VERSIONING - "GET /shop?versioning HTTP/1.1" 200 - 113 - 7 - "-" '
        '"S3Console/0.4" -': "GET /shop 200 113",
        f'{S3}REST.GET.OBJECT a%2522 "GET /shop/a" HTTP/1.1" 403 AccessDenied 243 - 8 - "-" "x" '
        "-": 'GET /shop/a" 403 243',
        f'{S3}REST.HEAD.OBJECT a "HEAD /a HTTP/1.1" 304 - - 9 8 - "-" "-" -': "HEAD /a 304 -",
    },
    "envoy": {
        f'{ENVOY}"POST /api/v1/l HTTP/2" 204 - 154 0 226 100 "192.0.2.7" "x" "cc21" "l" '
        '"a:80"': "POST /api/v1/l 204 0",
        f'{ENVOY}"GET /a HTTP/1.1" 0 DC 0 0 3 - "-" "x "y" z" "cc21" "h" "-"': "GET /a 000 0",
        f'{ENVOY}"- - HTTP/1.1" 400 DPE 0 11 0 - "-" "-" "-" "-" "-"': "- - 400 11",
        f'{ENVOY}"- - -" 0 UF,URX 0 0 0 - "-" "-" "-" "-" "-"': "- - 000 0",
    },
    "istio": {
        f'{ENVOY}"GET /status/418 HTTP/1.1" 418 - via_upstream - "-" 0 135 4 4 "-" "x" "84" "h" '
        '"a:80"': "GET /status/418 418 135",
        f'{ENVOY}"GET /a HTTP/1.1" 503 UF upstream_reset - "TLS error: x" 0 91 9 - "-" "x" "84" '
        '"h" "-"': "GET /a 503 91",
    },
    "uvicorn": {
        'INFO:     192.0.2.7:52716 - "GET /a HTTP/1.1" 200 OK': "GET /a 200 -",
        '2026-11-24 14:50:08 INFO:     192.0.2.7:1 - "GET /a?b HTTP/1.1" 404 Not Found': "GET /a 404 -",
        'INFO:     [2001:db8::1]:1 - "GET /a"b HTTP/1.1" 299 ': 'GET /a"b 299 -',
        '      INFO   192.0.2.7:1 - "WebSocket /ws" 403': "WebSocket /ws 403 -",
        '\x1b[32mINFO\x1b[0m: ::1:7 - "\x1b[1mGET /a HTTP/1.1\x1b[0m" \x1b[91m500 No\x1b[0m': "GET /a 500 -",
    },
    "nginx-proxy-manager": {
        f'{NPM}- 200 200 - GET https example.org "/a?b" {BEHIND}': "GET /a 200 5",
        f'{NPM}HIT 304 304 - GET https example.org "/a" {BEHIND}': "GET /a 304 5",
        f'{NPM}- - 401 - GET https example.org "/" {BEHIND}': "GET / 401 5",
        f'{NPM}444 - GET https example.org "/b" {BEHIND}': "GET /b 444 5",
        f'{NPM}400 - - http localhost "-" {BEHIND}': "- - 400 5",
        f'{NPM}- - 400 - - http localhost "-" {BEHIND}': "- - 400 5",
        f'{NPM}- 502, 200 200 - GET https example.org "/c" {BEHIND}': "GET /c 200 5",
        f'{NPM}- 502, 504, 200 200 - GET https example.org "/c" {BEHIND}': "GET /c 200 5",
        f'{NPM}- 200 : 304 304 - GET https example.org "/d" {BEHIND}': "GET /d 304 5",
        f'{NPM}301 - GET http 2001:db8::1 "/\\x22" {BEHIND}': "GET /\\x22 301 5",
    },
    "squid": {
        f"{SQUID}    124 192.0.2.7 TCP_MISS/200 512 GET http://example.org/a?b - DIRECT/192.0.2.8 "
        "text/html": "GET /a 200 512",
        f"{SQUID} 63153 192.0.2.7 TCP_TUNNEL/200 5706 CONNECT example.org:443 - DIRECT/192.0.2.8 -": (
            "CONNECT example.org:443 200 5706"
        ),
        f"{SQUID}      0 192.0.2.7 TCP_MEM_HIT_ABORTED/000 0 GET http://example.org/a - HIER_NONE/- -": (
            "GET /a 000 0"
        ),
        f"{SQUID}      0 192.0.2.7 NONE/400 3490 NONE error:invalid-request - HIER_NONE/- text/html": (
            "NONE error:invalid-request 400 3490"
        ),
    },
    "uwsgi": {
        f"{UWSGI}GET /a?b => generated 512 bytes in 2 msecs (HTTP/1.1 200) 2 headers in 79": "GET /a 200 512",
        f"{UWSGI}POST /a/b => generated 0 bytes in 2314 micros (HTTP/1.0 302) 4 headers": "POST /a/b 302 0",
        f"{{address space usage: 3541 bytes/3MB}} {{rss usage: 288 bytes/2MB}} {UWSGI}GET /a => generated 5 "
        "bytes in 2 msecs via offload() (HTTP/1.1 200) 2 headers": "GET /a 200 5",
    },
    "django": {
        '[24/Nov/2026 14:50:08] "GET /a?b HTTP/1.1" 200 512': "GET /a 200 512",
        '[24/Nov/2026 14:50:08] "POST /a HTTP/1.1" 500 -': "POST /a 500 -",
    },
    "php-fpm": {
        '127.0.0.1 -  24/Nov/2026:14:50:08 +0100 "GET /index.php" 200': "GET /index.php 200 -",
        '- - bob 24/Nov/2026:14:50:08 +0100 "POST /index.php" 404': "POST /index.php 404 -",
    },
}
OTHERS = {"default", "combined", "json", "ltsv"}  # which have tests of their own


def counted(make: MakeScanner, name: str, line: str) -> str:
    """What a line counts as, among others; `-` for a size that is not known."""
    scanner = make(compile_format(name), 1 << 16)
    scanner.scan(b"%b\n" % line.encode() * 5)
    found = scanner.take()
    assert not found.rejects, found.sample
    [(key, counts)] = found.counts.items()
    assert counts == Counts(5, counts.bytes)
    size = "-" if found.unmeasured else str(counts.bytes // 5)
    return f"{key.method.decode()} {Routes().of(key.route).decode()} {key.status:03d} {size}"


def check_logs(make: MakeScanner, name: str) -> None:
    for line, expected in LOGS[name].items():
        assert counted(make, name, line) == expected


def test_every_name_has_lines() -> None:
    assert LOGS.keys() | OTHERS == PRESETS.keys()


@pytest.mark.parametrize("name", PRESETS)
def test_its_example_counts_and_is_known_by_itself(name: str) -> None:
    line = PRESETS[name].example.encode()
    roles = make_reader(compile_format(name)).roles(line)
    request = request_of(roles, keep_query=False)
    assert Routes().of(request.target) in (b"/help", b"/shop/help", b"/help.php")
    assert (request.method, request.status) == (b"GET", 200)
    assert request.size == (None if name in ("uvicorn", "php-fpm") else 512)
    chosen = choose([line]).format
    assert chosen
    assert chosen.text == name


def check_pasted(make: MakeScanner, pasted: str, lines: dict[str, str]) -> None:
    """A format with fields of upstreams."""
    for line, expected in lines.items():
        assert counted(make, pasted, line) == expected


PASTED = (
    "[$time_local] $upstream_cache_status $upstream_status $status - $request_method $scheme $host "
    '"$request_uri" [Client $remote_addr]'
)
UPSTREAMS: dict[str, dict[str, str]] = {
    PASTED: {
        line: f"{expected.rpartition(' ')[0]} -" for line, expected in LOGS["nginx-proxy-manager"].items()
    },
    '[$t] $cache $upstream_status $status - $request_method $scheme $host "$request_uri" $rest': {
        f'{NPM}444 - GET https example.org "/b" {BEHIND}': "GET /b 444 -",
    },
    '$remote_addr $upstream_addr $upstream_status $status "$request" $bytes_sent': {
        '192.0.2.7 10.0.0.1:80 200 200 "GET /a HTTP/1.1" 5': "GET /a 200 5",
        '192.0.2.7 404 "GET /a HTTP/1.1" 5': "GET /a 404 5",
        '192.0.2.7 10.0.0.1:80, 10.0.0.2:80 502, 200 200 "GET /a HTTP/1.1" 5': "GET /a 200 5",
    },
    '"$http_user_agent" $upstream_status $status $request_method $uri': {
        '"a b" 200 200 GET /a': "GET /a 200 -",
        '"a b" 404 GET /a': "GET /a 404 -",
    },
}
LISTS: dict[str, dict[str, str]] = {
    '"$request" $upstream_status $status $body_bytes_sent $upstream_response_time': {
        '"GET /a HTTP/1.1" 502, 504 : 504 499 5 0.1, 0.2 : 0.3': "GET /a 499 5",
        '"GET /a HTTP/1.1" 502, 502, 502, 502 200 5 0.1, 0.2, 0.3, 0.4': "GET /a 200 5",
    },
    "$upstream_addr $request_method $uri $status $upstream_response_time $bytes_sent": {
        "10.0.0.1:80, unix:/b : 10.0.0.3:80 GET /a 200 0.1, - : 0.3 5": "GET /a 200 5",
    },
    # A header is no list.
    "$upstream_status - $upstream_addr $status $upstream_http_x $bytes_sent $uri": {
        "502, 200 - a, b 200 x, 5 /a": "- /a 200 5"
    },
}
NO_UPSTREAMS = (
    '$status $upstream_status "$request"',
    '$upstream_status $bytes_sent $status "$request"',
    '$upstream_status|$status|"$request"',
    '$remote_addr $status "$request"',
)


@pytest.mark.parametrize("text", NO_UPSTREAMS)
def test_other_formats_stand_alone(text: str) -> None:
    assert compile_format(text).others == ()


def check_nearest(text: str, expected: str) -> None:
    with pytest.raises(FormatError) as caught:
        compile_format(text)
    assert caught.value.reason.partition("auto")[2] == expected


NEAREST = {
    "Combined": "; did you mean combined?",
    " combined": "; did you mean combined?",
    "haprxy": "; did you mean haproxy?",
    "nginx_proxy_manager": "; did you mean nginx-proxy-manager?",
    "apache": "",
    "": "",
}

AS_WORDS = Patches((line_module, "ends_in_list", lambda piece, following: False))
PROXY_MANAGERS = {
    "fields of an upstream must be there": Patches((nginx, "_without_upstreams", lambda log_format: ())),
    "a list ends at its first comma": AS_WORDS,
}
TWINS = {"nginx-proxy-manager": PROXY_MANAGERS}
AS_SPELLED = Patches((nginx, "_tells_upstream", lambda piece: False))
PASTES = [(UPSTREAMS, AS_SPELLED), (LISTS, AS_WORDS)]
test_promise, test_twin = promises(
    *(promise for name in LOGS for promise in by_each(check_logs, TWINS.get(name, {}), name=name)),
    *(
        promise
        for pastes, twin in PASTES
        for pasted, lines in pastes.items()
        for promise in by_each(check_pasted, [twin], pasted=pasted, lines=lines)
    ),
    *(Promise(check_nearest, None, {}, text=text, expected=expected) for text, expected in NEAREST.items()),
)
