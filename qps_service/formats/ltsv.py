"""Formats whose lines are labeled tab-separated values (http://ltsv.org).

    ltsv
    ltsv request=req status=code bytes=sent duration=ms:took

Labels may come in any order. Without names the customary ones are looked for: those that ltsv.org recommends,
and the variables of nginx.
"""

from qps_service.formats.json_lines import Candidates, is_named, members_of, text_of
from qps_service.formats.log_format import LogFormat, Member

NAME = "ltsv"
CANDIDATES: Candidates = {
    "method": ("method", "request_method"),
    "route": ("uri", "request_uri", "path", "url"),
    "request": ("req", "request"),
    "status": ("status", "status_code", "code"),
    "bytes": ("size", "body_bytes_sent", "bytes_sent", "bytes"),
    "time": ("time", "time_local", "time_iso8601", "msec", "timestamp"),
    "host": ("vhost", "http_host", "server_name"),  # `host` is the client's address
}
DURATIONS = (
    Member(b"reqtime_microsec", "duration", "us"),
    Member(b"reqtime", "duration", "s"),
    Member(b"request_time", "duration", "s"),
    Member(b"apptime", "duration", "s"),  # of the upstream, as the next
    Member(b"upstream_response_time", "duration", "s"),
)
TEXT = text_of(NAME, CANDIDATES)


def is_ltsv(text: str) -> bool:
    """Whether it is the word, alone or with labels behind it."""
    return is_named(text, NAME)


def read(text: str) -> LogFormat:
    """The format of such a text. Raises FormatError."""
    expected = "a label without a colon"
    members = members_of(text, CANDIDATES, DURATIONS, lambda label: ":" not in label, expected)
    roles = frozenset(member.role for member in members)
    return LogFormat(text, (), members, is_lenient=False, roles=roles, is_ltsv=True)
