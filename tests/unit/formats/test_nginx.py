"""nginx's log_format, pasted in each of the ways that it stands in a configuration."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.errors import FormatError
from qps_service.formats.line import make_reader
from qps_service.formats.presets import Field, compile_format
from tests.promised import Promise, promises
from tests.unit.refusals import refused

# The example of https://nginx.org/en/docs/http/ngx_http_log_module.html, and Debian's and nginx.org's `main`.
GZIP = """\
log_format compression '$remote_addr - $remote_user [$time_local] '
                       '"$request" $status $bytes_sent '
                       '"$http_referer" "$http_user_agent" "$gzip_ratio"';
"""
MAIN = """
    log_format  main  '$remote_addr - $remote_user [$time_local] "$request" '
                      '$status $body_bytes_sent "$http_referer" '
                      '"$http_user_agent" "$http_x_forwarded_for"';
"""
JSON = """log_format main escape=json
  '{'
    '"time_iso8601":"$time_iso8601",' # when
    '"request_method":"$request_method",'
    '"status": "$status",'
    '"request_uri":"$request_uri",'
    '"request_time":"$request_time"'
  '}';"""


OTHER_KINDS = "$1 $upstream_response_time ${http_x}y$cookie_a $uri $status $arg_b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            MAIN,
            '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
            '"$http_referer" "$http_user_agent" "$http_x_forwarded_for"',
        ),
        ("log_format x $uri'x'$status;", "$uri'x'$status"),  # a quote within a word is text
        ('log_format x $uri " $status"', "$uri $status"),
        ('# ours\nlog_format x escape=none "$uri \\"$status\\"";', '$uri "$status"'),
        ("log_format x '$uri \"$status\"';", '$uri "$status"'),
        ("log_format x '$uri \\'$status\\\\';", "$uri '$status\\"),
        ("log_format x '$uri\\t$status\\x';", "$uri\t$status\\x"),
        ("'$uri '\n'$status'", "$uri $status"),
        ("'$uri '  # a comment; with 'quotes'\n\n  \"$status\";\n", "$uri $status"),
        # What merely begins with a quote is a format.
        ('"$request" $status', '"$request" $status'),
        ("'$request' $status", "'$request' $status"),
        ("'$uri' - '$status'", "'$uri' - '$status'"),
        # Variables of every kind are skipped over.
        (OTHER_KINDS, OTHER_KINDS),
    ],
)
def test_a_pasted_format(text: str, expected: str) -> None:
    """It is the same as this bare text, but for the text's escapes."""
    found = compile_format(text)
    assert found == compile_format(expected.replace("\\", "\\\\"))._replace(text=text)


NOW = b"24/Nov/2026:14:50:08 +0000"
LINES = [
    (
        GZIP,
        b'203.0.113.7 - - [24/Nov/2026:14:50:08 +0000] "GET /a HTTP/1.1" 200 512 "-" "curl/8" "2.10"',
        {"request": b"GET /a HTTP/1.1", "status": b"200", "bytes": b"512", "time": NOW},
    ),
    # Without brackets the blank in the time is like the one behind it.
    ("$time_local $uri $status", NOW + b" /a 200", {"route": b"/a", "status": b"200"}),
    ("$uri $status $time_local", b"/a 200 " + NOW, {"route": b"/a", "status": b"200", "time": NOW}),
    (
        JSON,
        b'{"time_iso8601":"2026-11-24T14:50:08+00:00","request_method":"GET","status": "304",'
        b'"request_uri":"/a\\"b","request_time":"0.001"}',
        {"method": b"GET", "route": rb"/a\"b", "status": b"304", "time": b"2026-11-24T14:50:08+00:00"}
        | {"duration": b"0.001", "unit": b"s"},
    ),
]


@pytest.mark.parametrize(("text", "line", "expected"), LINES)
def test_a_line_of_a_pasted_format(text: str, line: bytes, expected: dict[str, bytes]) -> None:
    assert make_reader(compile_format(text)).roles(line) == expected


test_refuses_and_names_the_place_in_what_was_pasted = refused(
    {
        "expected a name after log_format": ["log_format▸ "],
        "expected the format after log_format": ["log_format main;▸", "log_format main escape=json;▸\n"],
        "expected escape=default, escape=json or escape=none": ["log_format main ▸escape=html '$uri';"],
        "expected a closing '": ["log_format main ▸'$uri $status;", "'$uri '\n▸'$status"],
        "expected nothing after the semicolon": ["log_format main '$uri \"$status\" ';\n▸server {"],
        "expected some text between two fields": ["log_format main '$uri'\n  '▸$status';"],
        "expected a blank after the closing quote": ["log_format main '$uri '▸x;"],
        "expected a format of one line": [
            "log_format main '$uri ▸\\n$status';",
            "log_format main '$uri▸\n$status';",
        ],
        "the format has no status: expected $status": ["log_format main '$host '\n  '$uri▸';"],
        "expected a piece between quotes": ["'$uri '\n▸$status"],
        "expected a name after $": ["'$uri '\n'▸$'", "log_format x '$uri \\'▸$ $status';"],
    }
)


def quote(text: str, mark: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(mark, "\\" + mark)
    return mark + escaped.replace("\t", "\\t") + mark


LITERALS = st.text(st.characters(exclude_characters="$\r\n", exclude_categories=["Cs"]), max_size=8)


@given(parts=st.lists(st.tuples(LITERALS, st.sampled_from("'\"")), min_size=1, max_size=4))
@example(parts=[("\\t", '"')])
@example(parts=[('"', '"')])
@example(parts=[("\\", '"')])
def check_quoting(quote: Callable[[str, str], str], parts: list[tuple[str, str]]) -> None:
    """Pieces in quotes of either kind mean what stands in them."""
    text = "".join(part for part, _ in parts)
    pasted = "log_format x '$uri <' " + "\n".join(quote(part, mark) for part, mark in parts) + " '> $status';"
    expected = (Field("uri", "route"), f" <{text}> ".encode(), Field("status", "status"))
    assert compile_format(pasted).pieces == expected


test_promise, test_twin = promises(
    Promise(check_quoting, quote, {"no escapes": lambda text, mark: mark + text + mark}, (FormatError,))
)
