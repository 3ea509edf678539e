"""Lines of JSON: what the servers write by their customary names, and names of one's own."""

import json
from collections.abc import Callable

from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.formats import json_lines
from qps_service.formats.line import Rejected, make_reader, request_of, time_of
from qps_service.formats.named_fields import JsonReader
from qps_service.formats.presets import LogFormat, Member, compile_format
from tests.promised import Promise, promises
from tests.unit.refusals import refused

# A line as Caddy 2 writes it: https://caddyserver.com/docs/caddyfile/directives/log
CADDY = (
    b'{"level":"info","ts":1646861401.5241024,"logger":"http.log.access","msg":"handled request",'
    b'"request":{"remote_ip":"127.0.0.1","proto":"HTTP/2.0","method":"GET","host":"localhost",'
    b'"uri":"/a?b","headers":{"User-Agent":["curl/7.82.0"],"Accept":["*/*"]}},"bytes_read":7,'
    b'"duration":0.000929675,"size":10900,"status":200,"resp_headers":{"Server":["Caddy"],'
    b'"Content-Encoding":["gzip"]}}'
)
# Traefik: the members of pkg/middlewares/accesslog/logdata.go that it writes unless it is told otherwise.
TRAEFIK = (
    b'{"ClientAddr":"192.168.156.1:31073","DownstreamContentSize":75,"DownstreamStatus":404,'
    b'"Duration":1964899,"OriginContentSize":76,"OriginStatus":405,"RequestContentSize":8,'
    b'"RequestMethod":"GET","RequestPath":"/500?x=y","RequestProtocol":"HTTP/1.1",'
    b'"StartLocal":"2025-02-28T13:11:34.10912886+01:00","StartUTC":"2025-02-28T12:11:34.10912886Z",'
    b'"entryPointName":"http","time":"2025-02-28T12:11:35Z"}'
)
# Envoy, as Istio sets it up: https://istio.io/latest/docs/tasks/observability/logs/access-log/
ISTIO = (
    b'{"requested_server_name":null,"path":"/reviews/0","start_time":"2021-08-29T10:19:39.660Z",'
    b'"protocol":"HTTP/1.1","duration":8,"response_flags":"-","bytes_received":9,"bytes_sent":295,'
    b'"method":"GET","route_name":"default","response_code":200}'
)
# Envoy, as Envoy Gateway does: https://gateway.envoyproxy.io/docs/tasks/observability/proxy-accesslog/
GATEWAY = (
    b'{"start_time":"2025-04-09T11:44:45.639Z","method":"GET","x-envoy-origin-path":"/",'
    b'"response_code":"200","bytes_received":"9","bytes_sent":"486"}'
)
NGINX = (
    b'{"time_iso8601":"2026-11-24T14:50:08+00:00","status":"304","bytes_sent":"600",'
    b'"body_bytes_sent":"512","request_method":"GET","request_uri":"/a?b","uri":"/index.php",'
    b'"request":"GET /a?b HTTP/1.1"}'
)

Expected = tuple[bytes, bytes, int, int, int]  # method, target, status, bytes, Unix seconds


def check_line(log_format: LogFormat, line: bytes, expected: Expected) -> None:
    roles = make_reader(log_format).roles(line)
    assert (*request_of(roles, keep_query=False)[:4], time_of(roles)) == expected


PRESET = compile_format("json")


def line_of(
    line: bytes, expected: Expected, twins: dict[str, LogFormat], *, lacks: str = "", text: str = "json"
) -> Promise:
    """Also the broken twin that does not know this name."""
    known = tuple(each for each in PRESET.members if each.path.decode() != lacks)
    without = {f"without {lacks}": PRESET._replace(members=known)} if lacks else {}
    return Promise(
        check_line, compile_format(text), without | twins, (Rejected,), line=line, expected=expected
    )


LAST_WINS = {"the last wins": PRESET._replace(members=PRESET.members[::-1])}
SIZE_OF_REQUEST = {"the request's size": compile_format("json bytes=bytes_received")}
TRAEFIKS = "json route=RequestPath bytes=OriginContentSize time=time"
STATUS = "  json\n\tstatus=gone status=OriginStatus\n"
LINES = [
    line_of(CADDY, (b"GET", b"/a", 200, 10900, 1646861401), {}, lacks="request.method"),
    line_of(TRAEFIK, (b"GET", b"/500", 404, 75, 1740744694), LAST_WINS, lacks="DownstreamStatus"),
    line_of(ISTIO, (b"GET", b"/reviews/0", 200, 295, 1630232379), SIZE_OF_REQUEST, lacks="bytes_sent"),
    line_of(GATEWAY, (b"GET", b"/", 200, 486, 1744199085), {}, lacks="x-envoy-origin-path"),
    line_of(NGINX, (b"GET", b"/a", 304, 512, 1795531808), {}, lacks="time_iso8601"),
    line_of(NGINX, (b"GET", b"/index.php", 304, 512, 1795531808), {"json": PRESET}, text="json route=uri"),
    line_of(TRAEFIK, (b"GET", b"/500", 404, 76, 1740744695), {}, text=TRAEFIKS),
    line_of(TRAEFIK, (b"GET", b"/500", 405, 75, 1740744694), {}, text=STATUS),
]


test_refuses_and_names_the_place = refused(
    {
        (
            "expected one of method=, route=, request=, status=, bytes=, time=, host=, duration= "
            "and a member's name"
        ): [
            "json ▸rote=x",
            "json\n▸status",
        ],
        "expected one of s:, ms:, us:, ns: before the name: its unit": [
            "json duration=▸took",
            "json duration=▸ms",
            "json duration=▸min:took",
        ],
        "expected the names on the way to a member, with dots between": [
            "json status=▸",
            "json status=▸a..b",
            'json status=▸"a"',
        ],
        "expected UTF-8": ["json status=▸\udcff"],
        "expected 127 members at most, got 129": ["json duration=ms:d host=h" + " time=t" * 75 + "▸"],
        "expected 122 members at most, got 124": ["json host=h" + " time=t" * 45 + "▸"],
    }
)


def test_the_preset_is_its_text() -> None:
    assert json_lines.read(json_lines.TEXT)._replace(text="json") == compile_format("json")


@given(route=st.binary(max_size=20))
@example(route=b'"')
@example(route=b"\\")
@example(route=b"\\u0041")
@example(route=b"\n")
def check_round_trip(render: Callable[[dict[str, bytes]], bytes], route: bytes) -> None:
    line = render({"request.method": b"PUT", "request.uri": route, "status": b"404", "size": b"7"})
    found = make_reader(PRESET).roles(line)
    measures = {"bytes": b"7", "duration": b"-", "unit": b"s", "host": b"-"}
    assert found == {"method": b"PUT", "route": route, "status": b"404"} | measures
    assert b"\n" not in line


test_promise, test_twin = promises(
    *LINES,
    Promise(
        check_round_trip,
        PRESET.render,
        {"no escapes": PRESET._replace(pieces=PRESET.written, members=()).render},
    ),
)


def test_what_is_written_is_json() -> None:
    line = PRESET.render({"request.uri": b'/"\x01', "status": b"200", "size": b"5"})
    request = {"method": "-", "uri": '/"\x01', "host": "-"}
    assert json.loads(line) == {"request": request, "status": 200, "size": 5, "request_time": "-"}


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join)


@given(paths=st.lists(PATHS, min_size=3, max_size=3, unique=True))
def test_any_names_are_written_as_they_are_read(paths: list[str]) -> None:
    roles = ("method", "route", "status")
    members = tuple(Member(path.encode(), role) for path, role in zip(paths, roles, strict=True))
    log_format = LogFormat("json", (), members, is_lenient=False, roles=frozenset(roles))
    line = log_format.render(dict(zip(paths, (b"PUT", b"/", b"404"), strict=True)))
    assert JsonReader(members).roles(line) == {"method": b"PUT", "route": b"/", "status": b"404"}
