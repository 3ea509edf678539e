"""Whether the lines of a log tell its format, or the configuration has to say it.

Lines are made of the format as its server would write them, and `auto` is asked about them: where it reads
out of each what the format says, nobody needs to keep a format in two places.
"""

from collections.abc import Iterator, Mapping, Sequence

from qps_service.formats import json_lines
from qps_service.formats.detection import choose
from qps_service.formats.line import Rejected, Request, make_reader, request_of
from qps_service.formats.log_format import Field, LogFormat
from qps_service.formats.presets import COMBINED, compile_format

_ROLES: Mapping[str, tuple[bytes, bytes]] = {
    "request": (b"GET /a/b?c=d HTTP/1.1", b"POST /e HTTP/2.0"),
    "method": (b"GET", b"POST"),
    "route": (b"/a/b?c=d", b"/e"),
    "status": (b"404", b"200"),
    "bytes": (b"1234", b"0"),
}
# What other fields have, where it is no text or has a role with another format.
_NAMES: Mapping[str, bytes] = {
    **dict.fromkeys(("time_local", "%t"), b"29/Nov/2026:17:52:49 +0000"),
    "time_iso8601": b"2026-11-29T17:52:49+00:00",
    "msec": b"1795974769.123",
    "request_time": b"0.004",
    **dict.fromkeys(("%B", "%b", "%O", "%I", "body_bytes_sent", "bytes_sent", "request_length"), b"1300"),
    **dict.fromkeys(("%D", "%T", "%p", "%P", "connection", "connection_requests", "server_port"), b"443"),
    **dict.fromkeys(("%v", "%V", "%h", "%a", "host", "server_name", "http_host"), b"shop.example"),
    "remote_addr": b"203.0.113.7",
}
# What a field has that may be absent, or of which nothing is known.
_OTHERS = (b"-", b"a b (c; 1.0)")


def is_told_by_lines(text: str) -> bool:
    """Whether `auto` counts the lines of this format as the format does. Raises FormatError."""
    log_format = compile_format(text)
    if log_format.is_auto or not log_format.pieces:
        return log_format.is_auto or text == "json"
    for line in _lines(log_format):
        chosen = choose([line]).format
        if chosen is None or _request(chosen, line) != _request(log_format, line):
            return False
    return True


def in_order(formats: Sequence[str]) -> tuple[str, ...]:
    """These formats, with JSON and the combined family, for logs that may be in any of them: one that would
    make other requests of combined lines than there are in them comes behind `combined`."""
    before = [text for text in formats if not _misreads(text, COMBINED)]
    after = [text for text in formats if text not in before]
    return (*before, json_lines.NAME, COMBINED, *after)


def _misreads(text: str, other: str) -> bool:
    ours, theirs = compile_format(text), compile_format(other)
    for line in _lines(theirs):
        found, expected = _request(ours, line), _request(theirs, line)
        if found and expected and found[:3] != expected[:3]:  # method, target and status
            return True
    return False


def _lines(log_format: LogFormat) -> Iterator[bytes]:
    """As its server may write them."""
    for number in (0, 1):
        values = {
            piece.name: _value(piece, number) for piece in log_format.pieces if isinstance(piece, Field)
        }
        yield log_format.render(values)


def _value(field: Field, number: int) -> bytes:
    if field.name in _NAMES:
        return _NAMES[field.name]
    if field.role is not None and field.role in _ROLES:
        return _ROLES[field.role][number]
    agent_like = field.name.endswith(("i", "user_agent", "referer", "user"))
    return _OTHERS[number] if agent_like else _OTHERS[0]


def _request(log_format: LogFormat, line: bytes) -> Request | None:
    try:
        return request_of(make_reader(log_format).roles(line), keep_query=True)
    except Rejected:
        return None
