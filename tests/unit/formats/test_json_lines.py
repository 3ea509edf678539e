"""Lines of JSON: what the servers write by their customary names, and names of one's own."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qps_service.formats import json_lines
from qps_service.formats.line import JsonReader, Rejected, make_reader, request_of, time_of
from qps_service.formats.presets import LogFormat, Member, compile_format
from tests.unit.refusals import refusal

# A line as Caddy 2 writes it: https://caddyserver.com/docs/caddyfile/directives/log
CADDY: dict[str, Any] = {
    "level": "info",
    "ts": 1646861401.5241024,
    "logger": "http.log.access",
    "msg": "handled request",
    "request": {
        "remote_ip": "127.0.0.1",
        "proto": "HTTP/2.0",
        "method": "GET",
        "host": "localhost",
        "uri": "/a?b",
        "headers": {"User-Agent": ["curl/7.82.0"], "Accept": ["*/*"]},
    },
    "bytes_read": 7,
    "duration": 0.000929675,
    "size": 10900,
    "status": 200,
    "resp_headers": {"Server": ["Caddy"], "Content-Encoding": ["gzip"]},
}
# Traefik: the members of pkg/middlewares/accesslog/logdata.go that it writes unless it is told otherwise.
TRAEFIK = {
    "ClientAddr": "192.168.156.1:31073",
    "DownstreamContentSize": 75,
    "DownstreamStatus": 404,
    "Duration": 1964899,
    "OriginContentSize": 76,
    "OriginStatus": 405,
    "RequestContentSize": 8,
    "RequestMethod": "GET",
    "RequestPath": "/500?x=y",
    "RequestProtocol": "HTTP/1.1",
    "StartLocal": "2025-02-28T13:11:34.10912886+01:00",
    "StartUTC": "2025-02-28T12:11:34.10912886Z",
    "entryPointName": "http",
    "time": "2025-02-28T12:11:35Z",
}
# Envoy, as Istio sets it up: https://istio.io/latest/docs/tasks/observability/logs/access-log/
ISTIO = {
    "requested_server_name": None,
    "path": "/reviews/0",
    "start_time": "2021-08-29T10:19:39.660Z",
    "protocol": "HTTP/1.1",
    "duration": 8,
    "response_flags": "-",
    "bytes_received": 9,
    "bytes_sent": 295,
    "method": "GET",
    "route_name": "default",
    "response_code": 200,
}
# Envoy, as Envoy Gateway does: https://gateway.envoyproxy.io/docs/tasks/observability/proxy-accesslog/
GATEWAY = {
    "start_time": "2025-04-09T11:44:45.639Z",
    "method": "GET",
    "x-envoy-origin-path": "/",
    "response_code": "200",
    "bytes_received": "9",
    "bytes_sent": "486",
}
NGINX = {
    "time_iso8601": "2026-11-24T14:50:08+00:00",
    "status": "304",
    "bytes_sent": "600",
    "body_bytes_sent": "512",
    "request_method": "GET",
    "request_uri": "/a?b",
    "uri": "/index.php",
    "request": "GET /a?b HTTP/1.1",
}

Expected = tuple[bytes, bytes, int, int, int]  # method, target, status, bytes, Unix seconds

LINES: list[tuple[str, dict[str, Any], Expected]] = [
    ("json", CADDY, (b"GET", b"/a", 200, 10900, 1646861401)),
    ("json", TRAEFIK, (b"GET", b"/500", 404, 75, 1740744694)),
    ("json", ISTIO, (b"GET", b"/reviews/0", 200, 295, 1630232379)),
    ("json", GATEWAY, (b"GET", b"/", 200, 486, 1744199085)),
    ("json", NGINX, (b"GET", b"/a", 304, 512, 1795531808)),
    ("json route=uri", NGINX, (b"GET", b"/index.php", 304, 512, 1795531808)),
    (
        "json route=RequestPath bytes=OriginContentSize time=time",
        TRAEFIK,
        (b"GET", b"/500", 404, 76, 1740744695),
    ),
    ("  json\n\tstatus=gone status=OriginStatus\n", TRAEFIK, (b"GET", b"/500", 405, 75, 1740744694)),
]


def check_line(log_format: LogFormat, line: dict[str, Any], expected: Expected) -> None:
    roles = make_reader(log_format).roles(json.dumps(line).encode())
    assert (*request_of(roles, keep_query=False), time_of(roles)) == expected


@pytest.mark.parametrize(("text", "line", "expected"), LINES)
def test_a_servers_line(text: str, line: dict[str, Any], expected: Expected) -> None:
    check_line(compile_format(text), line, expected)


def without(*paths: str) -> LogFormat:
    """A broken twin: it does not know these names."""
    good = compile_format("json")
    return good._replace(members=tuple(each for each in good.members if each.path.decode() not in paths))


TWINS: list[tuple[LogFormat, int]] = [
    (without("request.method"), 0),
    (without("DownstreamStatus"), 1),
    (without("bytes_sent"), 2),
    (without("x-envoy-origin-path"), 3),
    (without("time_iso8601"), 4),
    (compile_format("json bytes=bytes_received"), 2),  # the request's size
    (compile_format("json"), 5),
    (compile_format("json")._replace(members=compile_format("json").members[::-1]), 1),  # the last wins
]


@pytest.mark.twin
@pytest.mark.parametrize(("twin", "number"), TWINS)
def test_other_names_are_caught(twin: LogFormat, number: int) -> None:
    _, line, expected = LINES[number]
    with pytest.raises((AssertionError, Rejected)):
        check_line(twin, line, expected)


def test_a_name_of_ones_own_rules_out_another_way_to_the_request() -> None:
    def roles(text: str) -> set[str]:
        return {member.path.decode() for member in compile_format(text).members if member.role == "request"}

    assert roles("json") == {"request"}
    assert roles("json bytes=n") == {"request"}
    assert roles("json route=r") == roles("json method=m") == set()
    assert roles("json route=r request=q") == {"q"}
    assert compile_format("json request=q").roles == {"request", "status", "bytes", "time"}


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (
            "json rote=x",
            "json ",
            "expected one of method=, route=, request=, status=, bytes=, time= and a member's name",
        ),
        (
            "json\nstatus",
            "json\n",
            "expected one of method=, route=, request=, status=, bytes=, time= and a member's name",
        ),
        ("json status=", "json status=", "expected the names on the way to a member, with dots between"),
        ("json status=a..b", "json status=", "expected the names on the way to a member, with dots between"),
        ('json status="a"', "json status=", "expected the names on the way to a member, with dots between"),
        ("json status=\udcff", "json status=", "expected UTF-8"),
        ("json" + " time=t" * 45, "json" + " time=t" * 45, "expected 64 members at most, got 65"),
    ],
)
def test_refuses_and_names_the_place(text: str, place: str, reason: str) -> None:
    assert refusal(text) == (place, reason)


def test_the_preset_is_its_text() -> None:
    assert json_lines.read(json_lines.TEXT)._replace(text="json") == compile_format("json")


# --- it reads what it writes


def check_round_trip(
    log_format: LogFormat, render: Callable[[dict[str, bytes]], bytes], route: bytes
) -> None:
    values = {"request.method": b"PUT", "request.uri": route, "status": b"404", "size": b"7"}
    line = render(values)
    assert make_reader(log_format).roles(line) == {
        "method": b"PUT",
        "route": route,
        "status": b"404",
        "bytes": b"7",
    }
    assert b"\n" not in line


CADDYS = compile_format("json")


@given(route=st.binary(max_size=20))
def test_reads_what_it_writes(route: bytes) -> None:
    check_round_trip(CADDYS, CADDYS.render, route)


@pytest.mark.twin
@pytest.mark.parametrize("route", [b'"', b"\\", b"\\u0041", b"\n"])
def test_forgotten_escapes_are_caught(route: bytes) -> None:
    def render(values: dict[str, bytes]) -> bytes:
        return CADDYS._replace(pieces=CADDYS.written, members=()).render(values)

    check_round_trip(CADDYS, render, b"/")
    with pytest.raises(AssertionError):
        check_round_trip(CADDYS, render, route)


def test_what_is_written_is_json() -> None:
    line = CADDYS.render({"request.uri": b'/"\x01', "status": b"200", "size": b"5"})
    assert json.loads(line) == {"request": {"method": "-", "uri": '/"\x01'}, "status": 200, "size": 5}


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join)


@given(paths=st.lists(PATHS, min_size=3, max_size=3, unique=True))
def test_any_names_are_written_as_they_are_read(paths: list[str]) -> None:
    roles = ("method", "route", "status")
    members = tuple(Member(path.encode(), role) for path, role in zip(paths, roles, strict=True))
    log_format = LogFormat("json", (), members, is_lenient=False, roles=frozenset(roles))
    line = log_format.render(dict(zip(paths, (b"PUT", b"/", b"404"), strict=True)))
    assert JsonReader(members).roles(line) == {"method": b"PUT", "route": b"/", "status": b"404"}
