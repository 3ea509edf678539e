"""Apache's LogFormat, pasted in each of the ways that it stands in a configuration."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.errors import FormatError
from qps_service.formats import apache
from qps_service.formats.line import make_reader
from qps_service.formats.presets import Field, compile_format
from qps_service.formats.timestamps import seconds_of
from tests.promised import Patches, Promise, promises
from tests.unit.refusals import refused

# https://httpd.apache.org/docs/2.4/mod/mod_log_config.html#examples, and Debian's apache2.conf.
VHOST = 'LogFormat "%v:%p %h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" vhost_combined'
COMBINED = 'LogFormat "%h %l %u %t \\"%r\\" %>s %b \\"%{Referer}i\\" \\"%{User-agent}i\\""'
COMBINED_IO = '"%h %l %u %t \\"%r\\" %>s %b \\"%{Referer}i\\" \\"%{User-Agent}i\\" %I %O"'
SSL = '%t %h %{SSL_PROTOCOL}x %{SSL_CIPHER}x "%r" %>s %b'

LINE = (
    b'127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326 '
    b'"http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"'
)
A_200, A_404 = ({"route": b"/a", "status": status} for status in (b"200", b"404"))
COUNTED = {
    "request": b"GET /apache_pb.gif HTTP/1.0",
    "status": b"200",
    "bytes": b"2326",
    "time": b"10/Oct/2000:13:55:36 -0700",
}


def at(time: bytes) -> dict[str, bytes]:
    return A_200 | {"time": time}


LINES = [
    (COMBINED, LINE, COUNTED),
    (COMBINED_IO, LINE + b" 600 2600", COUNTED),
    (VHOST, b"example.com:443 " + LINE, COUNTED | {"host": b"example.com"}),
    ('%V "%{HOST}i" "%{Hosts}i" %U %s', b'a "b" "c" /a 200', A_200 | {"host": b"a"}),
    ('%{x}b "%{HOST}i" %U %s', b'a "b" /a 200', A_200 | {"host": b"b"}),
    ("%400{Host}i %U %s", b"b /a 200", A_200),
    # Tomcat's, as it stands in its server.xml.
    (
        "%h %l %u %t &quot;%r&quot; %s %b %D %F %I %S",
        LINE.partition(b' "http')[0] + b" 3 2 http-1 -",
        COUNTED,
    ),
    ('%h %l %u %t "%r" %>s %b', LINE.partition(b' "http')[0], COUNTED),
    (r"%h %l %u %t \"%r\" %>s %b", LINE.partition(b' "http')[0], COUNTED),
    ("logformat '%U \"%>s\"' x", b'/a "404"', A_404),
    ('# ours\nLogFormat "%U \\\n%>s" x\n', b"/a 404", A_404),
    ("LogFormat %U|%>s bars", b"/a|404", A_404),
    (
        SSL,
        b'[10/Oct/2000:13:55:36 -0700] ::1 TLSv1.3 TLS_AES_128 "GET /apache_pb.gif HTTP/1.0" 200 2326',
        COUNTED,
    ),
    (
        "%m %U%q %H %s %B",
        b"GET /a?b=c HTTP/1.1 200 5",
        {"method": b"GET", "route": b"/a?b=c", "status": b"200", "bytes": b"5"},
    ),
    ("%m %U %q %s", b"GET /a ?b 200", A_200 | {"method": b"GET"}),
    (r"100%%\t%U\t%>s\\x", b"100%\t/a\t404\\x", A_404),
    (
        "%400,501{User-agent}i %!200,304,302{Referer}i %404s %U %>s",
        b"- http://x - /a 500",
        A_200 | {"status": b"500"},
    ),
    (
        "%{%Y-%m-%d %H:%M:%S}t.%{msec_frac}t %U %>s",
        b"2026-11-24 14:50:08.123 /a 200",
        at(b"2026-11-24 14:50:08"),
    ),
    ("%{%d/%b/%Y %T}t %U %>s", b"24/Nov/2026 14:50:08 /a 200", A_200),
    ("[%{%a %b %d %T %Y}t] %U %>s", b"[Tue Nov 24 14:50:08 2026] /a 200", at(b"Tue Nov 24 14:50:08 2026")),
    ("%{sec}t %U %>s", b"1795531808 /a 200", at(b"1795531808")),
    ("%{begin:msec}t %U %>s", b"1795531808123 /a 200", at(b"1795531808123")),
    ("%{end}t %U %>s", b"[24/Nov/2026:14:50:08 +0100] /a 200", at(b"24/Nov/2026:14:50:08 +0100")),
    ("%{ended}t %U %>s", b"ended /a 200", A_200),
    (
        "%{X-Id}^ti %{X}^to %^FB %{c}a %{remote}p %{tid}P %{ms}T %U %>s",
        b"1 2 3 4 5 6 7 /a 200",
        A_200 | {"duration": b"7", "unit": b"ms"},
    ),
]


@pytest.mark.parametrize(("text", "line", "expected"), LINES)
def test_a_line_of_a_pasted_format(text: str, line: bytes, expected: dict[str, bytes]) -> None:
    assert make_reader(compile_format(text)).roles(line) == expected


@pytest.mark.parametrize("tag", apache.TAGS)
def test_every_directive_is_read(tag: str) -> None:
    for directive in (f"%{tag}", f"%{{x y}}{tag}", f"%!400,404>{tag}"):
        found = compile_format(f"<{directive}> %>s %U")
        assert [piece.name for piece in found.pieces if isinstance(piece, Field)] == [directive, "%>s", "%U"]


ONE_OF = (
    "expected % and one of a, A, b, B, c, C, D, e, f, F, h, H, i, I, k, l, L, m, n, o, O, p, P, q, r, R, s, "
    "S, t, T, u, U, v, V, x, X, ^FB, ^ti, ^to; got "
)
test_refuses_and_names_the_place_in_what_was_pasted = refused(
    {
        "expected a directive after %": ["%U ▸%"],
        "expected a closing }": ["%U %▸{x"],
        ONE_OF + "%y": ["%U %▸y", 'LogFormat "\\"%r\\" %▸y" a'],
        ONE_OF + "%^x": ["%U %▸^x"],
        "expected some text between two fields": ["%U▸%>s", "%f▸%q %U %>s"],
        "expected a format of one line": ["%U▸\\n%>s", "%U▸\n%>s"],
        "the format has no route: expected %r or %U": ["%h %>s▸"],
        "the format has no status: expected %>s": ["%h %U▸", "%h %U %404s▸"],
        "expected the format after LogFormat": ["LogFormat ▸"],
        'expected a closing "': ['LogFormat ▸"%U %>s'],
        "expected nothing after the format's name": ['LogFormat "%U %>s" a ▸b'],
    }
)


def check_time(text: str, written: bytes) -> None:
    """`%{...}t` counts as a time just where what it writes is one, and that one."""
    found = make_reader(compile_format(f"[%{{{text}}}t] %U %>s")).roles(b"[%s] /a 200" % written)
    assert found is not None
    assert ("time" in found) == (seconds_of(written) in SAID)


NO_TIMES = [("%H:%M", b"14:50"), ("%Y%m%d%H%M%S", b"20261124145008")]  # the second looks like Unix time
SAID = 1795531808, 1795531808 - 3600  # in UTC, and at +0100
TIMES = [
    ("%d/%b/%Y:%H:%M:%S %z", b"24/Nov/2026:14:50:08 +0100"),
    ("%Y-%m-%dT%H:%M:%S%z", b"2026-11-24T14:50:08+0100"),
    ("end:%FT%TZ", b"2026-11-24T14:50:08Z"),
    ("%s", b"1795531808"),
    ("usec", b"1795531808123456"),
    ("usec_frac", b"123456x"),
    ("%c", b"Tue Nov 24 14:50:08 2026"),
]


def quoted(text: str) -> str:
    return (
        'LogFormat "%U <' + text.replace("\\", "\\\\\\\\").replace('"', '\\"').replace("%", "%%") + '> %s" x'
    )


@given(text=st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=8))
@example(text="\\t")
@example(text="%")
@example(text='"')
def check_quoting(quoted: Callable[[str], str], text: str) -> None:
    expected = (Field("%U", "route"), f" <{text}> ".encode(), Field("%s", "status"))
    assert compile_format(quoted(text)).pieces == expected


ANY_TIME = Patches((apache, "seconds_of", lambda _: SAID[0]))
test_promise, test_twin = promises(
    *(Promise(check_time, None, [], text=text, written=written) for text, written in TIMES),
    *(Promise(check_time, None, [ANY_TIME], text=text, written=written) for text, written in NO_TIMES),
    Promise(
        check_quoting, quoted, {"no escapes": lambda text: f'LogFormat "%U <{text}> %s" x'}, (FormatError,)
    ),
)
