"""Formats whose lines are JSON objects.

    json
    json method=request.method route=request.uri status=status bytes=size time=ts duration=ms:took

A member is named by the names on the way to it, with dots between. Without names the customary ones are
looked for. Who names a role's member wants no other for it; several of one role are tried in their order.
A duration is named with its unit, one of s, ms, us and ns. Of the customary names some have one unit in the
lines of one server and another elsewhere: these count where the members beside them tell whose line it is,
and a bare `duration` of nobody known is not measured.
The customary names are first those of servers, then those of loggers and of people, the plainest last:

- Caddy: https://caddyserver.com/docs/caddyfile/directives/log (`request` is an object there);
- Traefik: pkg/middlewares/accesslog/logdata.go, https://doc.traefik.io/traefik/observability/access-logs/
  (`RequestPath` is the whole target, `DownstreamStatus` and `DownstreamContentSize` what the client got);
- nginx with `escape=json`, members named like its variables:
  https://nginx.org/en/docs/http/ngx_http_log_module.html;
- Envoy as Istio and Envoy Gateway set it up: https://istio.io/latest/docs/tasks/observability/logs/access-log/
  and https://gateway.envoyproxy.io/docs/tasks/observability/proxy-accesslog/ (`bytes_received` is the
  request's size, and so not among them);
- Kong and APISIX: https://developer.konghq.com/plugins/file-log/ (`response` is an object, and
  `request.headers`);
- the Elastic Common Schema, and OpenTelemetry: https://www.elastic.co/guide/en/ecs/current/ecs-http.html;
  OpenTelemetry before 1.20 and Datadog (`http.target`, `http.url`, `http.status_code`);
- Docker's registry (`http.request.uri`), and Node's pino-http (`req` and `res` are objects);
- Echo for Go (`bytes_out`), Tomcat's JsonAccessLogValve (`statusCode`), Serilog for .NET (`StatusCode`),
  Fastly and json-logging for Python (`response_status`), Dropwizard (`contentLength`),
  logstash-logback-encoder (`content_length`), HAProxy as its users have it (`http_request`, `http_method`,
  `http_status_code`), Fluentd's and Fluent Bit's parsers of apache2 and nginx (`code`), morgan (`url`), and
  who logs by hand (`http_status`, `length`).
"""

import re
from collections.abc import Callable, Mapping, Sequence

from qps_service.errors import FormatError
from qps_service.formats.durations import UNITS
from qps_service.formats.log_format import LogFormat, Member

NAME = "json"
Candidates = Mapping[str, Sequence[str]]  # by role, the names of its members
CANDIDATES: Candidates = {
    "method": (
        *("request.method", "RequestMethod", "request_method", "method"),
        *("http.request.method", "req.method", "http.method", "http_method"),
    ),
    "route": (
        *("request.uri", "RequestPath", "request_uri", "x-envoy-origin-path", "path", "uri"),
        *("url.original", "url.path", "http.request.uri", "req.url", "http.target", "http.url", "url"),
    ),
    "request": ("request", "http_request"),
    "status": (
        *("status", "DownstreamStatus", "response_code", "status_code", "response.status"),
        *("response.status_code", "http.response.status_code", "http.response.status", "res.statusCode"),
        *("http.status_code", "statusCode", "StatusCode"),
        *("response_status", "http_status", "http_status_code", "code"),
    ),
    "bytes": (
        *("size", "DownstreamContentSize", "body_bytes_sent", "bytes_sent", "response_bytes"),
        *("response.size", "http.response.body.bytes", "bytes_out", "response_size"),
        *("content_length", "contentLength", "bytes", "length"),
    ),
    "time": (
        *("ts", "StartUTC", "start_time", "time_iso8601", "time_local", "msec", "@timestamp", "time"),
        *("started_at", "timestamp"),
    ),
    # A plain `host` is the last: loggers call the machine so, and Tomcat the client.
    "host": (
        *("request.host", "RequestHost", "http_host", ":authority", "authority", "request.headers.host"),
        *("url.domain", "req.headers.host", "vhost", "server_name", "localServerName", "host"),
    ),
}
# Of the whole request, before what an upstream took of it.
DURATIONS = (
    Member(b"request_time", "duration", "s"),  # nginx
    Member(b"duration", "duration", "s", (b"request.proto", b"user_id")),  # Caddy
    Member(b"Duration", "duration", "ns", (b"DownstreamStatus",)),  # Traefik
    Member(b"duration", "duration", "ms", (b"response_flags",)),  # Envoy
    Member(b"latencies.request", "duration", "ms"),  # Kong
    Member(b"latency", "duration", "ms", (b"apisix_latency",)),  # APISIX
    Member(b"event.duration", "duration", "ns"),  # the Elastic Common Schema
    Member(b"http.response.duration", "duration", "ns"),  # Docker's registry
    Member(b"responseTime", "duration", "ms", (b"res.statusCode",)),  # pino-http
    Member(b"latency", "duration", "ns", (b"latency_human",)),  # Echo
    Member(b"Elapsed", "duration", "ms", (b"StatusCode",)),  # Serilog
    Member(b"requestTime", "duration", "ms", (b"contentLength",)),  # Dropwizard
    *(
        Member(f"{name}_{unit}".encode(), "duration", unit)  # whose names tell it
        for unit in ("ms", "us", "ns")
        for name in ("duration", "latency", "response_time", "elapsed")
    ),
    Member(b"duration_seconds", "duration", "s"),
    Member(b"upstream_response_time", "duration", "s"),  # nginx
)
MEMBERS_LIMIT = 128  # the native scanner has a bit of two words for each
LOGGER = Member(
    b"logger", "logger"
)  # who wrote the line: some of Caddy's tell of a request that counts elsewhere

# One way to a request rules the others out: whoever names it would be surprised by another that wins.
_INSTEAD = {"request": {"method", "route"}, "method": {"request"}, "route": {"request"}}


def text_of(name: str, candidates: Candidates) -> str:
    """A format that spells out its customary names."""
    return " ".join((name, *(f"{role}={path}" for role, paths in candidates.items() for path in paths)))


TEXT = text_of(NAME, CANDIDATES)


def is_named(text: str, name: str = NAME) -> bool:
    """Whether it is the word, alone or with names of members behind it."""
    return re.fullmatch(rf"\s*{name}(?:\s[^$%]*)?", text) is not None


def read(text: str) -> LogFormat:
    """The format of such a text. Raises FormatError."""

    def is_path(path: str) -> bool:
        return '"' not in path and all(path.split("."))

    expected = "the names on the way to a member, with dots between"
    members = members_of(text, CANDIDATES, DURATIONS, is_path, expected)
    roles = frozenset(member.role for member in members if member.role != "sign")
    return LogFormat(text, (), (*members, LOGGER), is_lenient=False, roles=roles)


def members_of(
    text: str,
    candidates: Candidates,
    durations: Sequence[Member],
    is_path: Callable[[str], bool],
    expected: str,
) -> tuple[Member, ...]:
    """The members that such a text names, or else the customary ones, and the signs of these. `expected` says
    what `is_path` wants. Raises FormatError."""
    given: dict[str, list[str]] = {}
    given_durations: list[Member] = []
    for word in list(re.finditer(r"\S+", text))[1:]:
        role, equals, path = word[0].partition("=")
        if not equals or role not in (*candidates, "duration"):
            roles = ", ".join(f"{each}=" for each in (*candidates, "duration"))
            raise FormatError(text, word.start(), f"expected one of {roles} and a member's name")
        place = word.start() + len(role) + 1
        unit = None
        if role == "duration":
            unit, colon, path = path.partition(":")
            if unit not in UNITS or not colon:
                units = ", ".join(f"{each}:" for each in UNITS)
                raise FormatError(text, place, f"expected one of {units} before the name: its unit")
            place += len(unit) + 1
        if not path or not is_path(path):
            raise FormatError(text, place, f"expected {expected}")
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise FormatError(text, place, "expected UTF-8") from error
        if unit:
            given_durations.append(Member(path.encode(), role, unit))
        else:
            given.setdefault(role, []).append(path)
    ruled_out = {other for role in given for other in _INSTEAD.get(role, ())} - given.keys()
    members = tuple(
        Member(path.encode(), role)
        for role, paths in candidates.items()
        if role not in ruled_out
        for path in given.get(role, paths)
    )
    members += tuple(given_durations or durations)
    known = {member.path for member in members}
    signs = dict.fromkeys(path for member in members for path in member.beside if path not in known)
    most = MEMBERS_LIMIT - 1 - len(signs)  # one is the logger's
    if len(members) > most:
        raise FormatError(text, len(text), f"expected {most} members at most, got {len(members)}")
    return (*members, *(Member(path, "sign") for path in signs))
