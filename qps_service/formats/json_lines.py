"""Formats whose lines are JSON objects.

    json
    json method=request.method route=request.uri status=status bytes=size time=ts

A member is named by the names on the way to it, with dots between. Without names the customary ones are
looked for. Who names a role's member wants no other for it; several of one role are tried in their order.
The customary names are those of

- Caddy: https://caddyserver.com/docs/caddyfile/directives/log (`request` is an object there);
- Traefik: pkg/middlewares/accesslog/logdata.go, https://doc.traefik.io/traefik/observability/access-logs/
  (`RequestPath` is the whole target, `DownstreamStatus` and `DownstreamContentSize` what the client got);
- nginx with `escape=json`, members named like its variables:
  https://nginx.org/en/docs/http/ngx_http_log_module.html;
- Envoy as Istio and Envoy Gateway set it up: https://istio.io/latest/docs/tasks/observability/logs/access-log/
  and https://gateway.envoyproxy.io/docs/tasks/observability/proxy-accesslog/ (`bytes_received` is the
  request's size, and so not among them).
"""

import re

from qps_service.errors import FormatError
from qps_service.formats.log_format import LogFormat, Member

NAME = "json"
CANDIDATES = {
    "method": ("request.method", "RequestMethod", "request_method", "method"),
    "route": ("request.uri", "RequestPath", "request_uri", "x-envoy-origin-path", "path", "uri"),
    "request": ("request",),
    "status": ("status", "DownstreamStatus", "response_code", "status_code"),
    "bytes": ("size", "DownstreamContentSize", "body_bytes_sent", "bytes_sent", "response_bytes"),
    "time": ("ts", "StartUTC", "start_time", "time_iso8601", "time_local", "msec", "@timestamp", "time"),
}
TEXT = " ".join((NAME, *(f"{role}={path}" for role, paths in CANDIDATES.items() for path in paths)))

MEMBERS_LIMIT = 64  # the native scanner has a bit of one word for each

_SHAPE = re.compile(rf"\s*{NAME}(?:\s[^$%]*)?")
# One way to a request rules the others out: whoever names it would be surprised by another that wins.
_INSTEAD = {"request": {"method", "route"}, "method": {"request"}, "route": {"request"}}


def is_named(text: str) -> bool:
    """Whether it is the word, alone or with names of members behind it."""
    return _SHAPE.fullmatch(text) is not None


def read(text: str) -> LogFormat:
    """The format of such a text. Raises FormatError."""
    given: dict[str, list[str]] = {}
    for word in list(re.finditer(r"\S+", text))[1:]:
        role, equals, path = word[0].partition("=")
        if not equals or role not in CANDIDATES:
            expected = ", ".join(f"{each}=" for each in CANDIDATES)
            raise FormatError(text, word.start(), f"expected one of {expected} and a member's name")
        place = word.start() + len(role) + 1
        if not path or '"' in path or not all(path.split(".")):
            raise FormatError(text, place, "expected the names on the way to a member, with dots between")
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise FormatError(text, place, "expected UTF-8") from error
        given.setdefault(role, []).append(path)
    ruled_out = {other for role in given for other in _INSTEAD.get(role, ())} - given.keys()
    members = tuple(
        Member(path.encode(), role)
        for role, paths in CANDIDATES.items()
        if role not in ruled_out
        for path in given.get(role, paths)
    )
    if len(members) > MEMBERS_LIMIT:
        raise FormatError(text, len(text), f"expected {MEMBERS_LIMIT} members at most, got {len(members)}")
    return LogFormat(text, (), members, is_lenient=False, roles=frozenset(member.role for member in members))
