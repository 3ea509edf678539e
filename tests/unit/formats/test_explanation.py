"""`qps-reporter explain`, to the letter; and that what it says is what the scanner does."""

import io
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.cli import main
from qps_service.formats import explanation
from qps_service.formats.explanation import explain, walk
from qps_service.formats.line import Piece, Rejected, Request, make_reader, patterns_of, request_of, trim
from qps_service.formats.presets import PRESETS, LogFormat, as_list, compile_format
from tests.promised import Patches, Promise, promises

Captured = pytest.CaptureFixture[str]

LIMIT = 64 * 1024
NO_OTHER = "no other format with a name fits it\n"
SPELLED = PRESETS["combined"].texts[0]
COMMON = '1.2.3.4 - bob [24/Nov/2026:14:50:08 +0100] "GET /a?b HTTP/1.1" 200 512'


def said(capsys: Captured, *words: str) -> tuple[int, str]:
    status = main(["explain", *words])
    captured = capsys.readouterr()
    assert captured.err == ""
    return status, captured.out


BESIDE = '::1 - - [now] "GET  /a" b HTTP/1.1" 200 +210 "-" "My "quoted" agent"'
COUNTS = 'counts as GET /a" b 200, bytes unknown, at no time that can be read\n'
STATUS = "(status): expected three digits, or 0, -1 or - where nothing was answered"
# By what is asked, all that is said.
SHOWN: dict[tuple[str, ...], str] = {
    (COMMON,): (
        "format combined: 1 of 1 lines fit combined\n\n"
        "  address   -        1.2.3.4\n"
        "  anything  -        - bob\n"
        "  time      time     24/Nov/2026:14:50:08 +0100\n"
        "  request   request  GET /a?b HTTP/1.1\n"
        "  status    status   200\n"
        "  size      bytes    512\n"
        "counts as GET /a 200, 512 bytes, at 2026-11-24 13:50:08 UTC\n"
    ),
    # Rows below the directives that explain them.
    (
        *(
            "/b 404",
            "#Fields: date time cs-uri sc-status",
            "2026-11-24 10:00:00 /a?b 200",
            "2026-11-24 10:00",
        ),
        *("--format", "w3c"),
    ): (
        "\nrejected (fields): expected a #Fields line before it, with sc-status and cs-uri-stem\n"
        f"{NO_OTHER}"
        "\n  #Fields: date time cs-uri sc-status\n"
        "a directive, which counts as no request\n"
        "\n  date time  time     2026-11-24T10:00:00\n"
        "  cs-uri     route    /a?b\n"
        "  sc-status  status   200\n"
        "counts as - /a 200, bytes unknown, at 2026-11-24 10:00:00 UTC\n"
        "\n  date time  time     2026-11-24T10:00\n"
        "rejected (fields): expected a blank after date time, found the end\n"
        "  2026-11-24T10:00\n"
        "                  ^\n"
        f"{NO_OTHER}"
    ),
    # All of them behind what a container's runtime writes.
    ("web-1  | #Fields: date time cs-uri sc-status", "web-1  | 2026-11-24 10:00:00 /a?b 200"): (
        "format w3c: 2 of 2 lines fit w3c\n"
        "\n  web-1\\x20\\x20| #Fields: date time cs-uri sc-status\n"
        "a directive, which counts as no request\n"
        "\nread without: web-1\\x20\\x20|\\x20\n"
        "  date time  time     2026-11-24T10:00:00\n"
        "  cs-uri     route    /a?b\n"
        "  sc-status  status   200\n"
        "counts as - /a 200, bytes unknown, at 2026-11-24 10:00:00 UTC\n"
    ),
    # What decided, what was measured and what was ignored.
    (BESIDE, "--format", "combined"): (
        "\n  address   -        ::1\n"
        "  anything  -        - -\n"
        "  time      time     now\n"
        '  request   request  GET\\x20\\x20/a" b HTTP/1.1\n'
        "  status    status   200\n"
        "  size      bytes    +210\n"
        'ignored: "-" "My "quoted" agent"\n' + COUNTS
    ),
    (BESIDE, "--format", SPELLED): (
        "\n  $remote_addr      -        ::1\n"
        "  $remote_user      -        -\n"
        "  $time_local       time     now\n"
        '  $request          request  GET\\x20\\x20/a" b HTTP/1.1\n'
        "  $status           status   200\n"
        "  $body_bytes_sent  bytes    +210\n"
        "  $http_referer     -        -\n"
        "  $http_user_agent  -        My\\x20\n"
        'ignored: quoted" agent"\n' + COUNTS
    ),
    # Which format of a list reads a line.
    (
        *("/a|200", "/b 404", "/c 4x4", "/d"),
        *("--format", "$uri|$status", "--format", "log_format x\n'$uri '\n'$status';"),
    ): (
        "\nread by format 1 of 2: $uri|$status\n"
        "  $uri     route    /a\n"
        "  $status  status   200\n"
        "counts as - /a 200, bytes unknown\n"
        "\nread by format 2 of 2: log_format x '$uri ' '$status';\n"
        "  $uri     route    /b\n"
        "  $status  status   404\n"
        "counts as - /b 404, bytes unknown\n"
        "\nrejected by format 2 of 2: log_format x '$uri ' '$status';\n"
        "  $uri     route    /c\n"
        "  $status  status   4x4\n"
        f"rejected {STATUS}\n  /c 4x4\n     ^\n{NO_OTHER}"
        "\nrejected by format 1 of 2: $uri|$status\n"
        "  $uri  route    /d\nrejected (fields): expected `|` after $uri, found the end\n  /d\n    ^\n"
        f"{NO_OTHER}"
    ),
    # What was taken off; and labels.
    (r'{"log":"1.2.3.4\tGET /a\t200\t5\n","stream":"stdout"}', "--format", "default"): (
        '\nread without: {"log":\n'
        "  $ip_address      -        1.2.3.4\n"
        "  $method          method   GET\n"
        "  $route           route    /a\n"
        "  $status_code     status   200\n"
        "  $response_bytes  bytes    5\n"
        "counts as GET /a 200, 5 bytes\n"
    ),
    ('web-1  | {"status":200.0,"t":0.1 : -, "uri":"/a"b","size":512', "--format", "json"): (
        "\nread without: web-1\\x20\\x20|\\x20\n"
        "  status  status   200.0\n"
        "  t       -        0.1 : -\n"
        '  uri     route    /a"b\n'
        "  size    -        512\n"
        'counts as - /a"b 200, bytes unknown\n'
    ),
    ("time:[24/Nov/2026:10:00:00 +0000]\treq:GET /a:b HTTP/1.1\tstatus:200\tua:x:y",): (
        "format ltsv: 1 of 1 lines fit ltsv\n\n"
        "  time    time     [24/Nov/2026:10:00:00 +0000]\n"
        "  req     request  GET /a:b HTTP/1.1\n"
        "  status  status   200\n"
        "  ua      -        x:y\n"
        "counts as GET /a:b 200, bytes unknown, at 2026-11-24 10:00:00 UTC\n"
    ),
}


@pytest.mark.parametrize(("words", "text"), SHOWN.items(), ids=range(len(SHOWN)))
def test_all_that_is_said(capsys: Captured, words: tuple[str, ...], text: str) -> None:
    assert said(capsys, *words) == (int("rejected" in text), text)


def at(place: int, line: str, text: str) -> str:
    """A rejection, whose place in the line is shown."""
    return f"rejected {text}\n  {line}\n  {' ' * place}^\n"


COUNTED = "counts as GET /a 200, 512 bytes, at 2026-11-24 13:50:08 UTC\n"
BEHIND = {  # the agent of a combined line: what may be a duration, and the names of the fields
    "0.012": ("0.012", "$request_time"),
    "0.012 0.011 .": ("0.012", "$request_time $rest"),
    '"192.0.2.1, 192.0.2.2" "0.012"': ("0.012", '"$skipped_2" "$request_time"'),
    'rt=0.012 urt="0.011"': ("0.012", "rt=$request_time $rest"),
    "82 0.004 [web] 200": ("0.004", "$skipped_2 $request_time $rest"),
    '17 "web" "http://h" 3ms': ("3ms", '$skipped_2 "$skipped_3" "$skipped_4" $duration_ms'),
}
ENDINGS = {
    # How long it took, or why nobody knows.
    (f'{COMMON} "-" "x" y" 0.250', f"{SPELLED} $request_time"): "  $request_time     duration  0.250 (s)\n"
    "counts as GET /a 200, 512 bytes, took 250ms, at 2026-11-24 13:50:08 UTC\n",
    ("/a 200 3", "%U %>s %T"): "counts as - /a 200, bytes unknown\n"
    "not measured: %T has whole seconds, which tell no percentile: write %D or %{ms}T in its place\n",
    ('{"path":"/a","status":101,"request_time":3600}', "json"): "counts as - /a 101, bytes unknown\n"
    "not measured: the connection lived on as another protocol\n",
    ("/a 200 -", "$uri $status $duration_ms"): "counts as - /a 200, bytes unknown\n"
    "not measured: that is no duration\n",
    **{
        (
            f'{COMMON} "-" "x \\"" {behind}',
            "combined",
        ): f"{COUNTED}not measured: nothing tells what {value} "
        f"behind the agent is; if it took so long, write format = '{SPELLED} {names}'\n"
        for behind, (value, names) in BEHIND.items()
    },
    **{
        (f"{COMMON}{behind}", "combined"): COUNTED
        for behind in ("", ' "-" "x" 311 402', " 0.5", ' 7 "-" "x" 0.5', ' "0.5" "0.5"', ' "-" "x 0.5')
    },
    ("/help 200", "%U %>s"): "counts as - /help 200, bytes unknown\n",
    ("http://x/%7ea?b 200", "%U%q %>s"): "counts as - /~a 200, bytes unknown\n",
    ("?b 200", "%U%q %>s"): "counts as - / 200, bytes unknown\n",
    ("/help\x1b 099", "%U %>s"): "counts as - /help\\x1b 099, bytes unknown\n",
    ("x /help 200", "%{sec}t %U %>s"): "counts as - /help 200, bytes unknown, at no time that can be read\n",
    ("1 GET / 200 5", "default"): "counts as GET / 200, 5 bytes\n",
    ('{"status":200}', "json route=r"): "rejected (fields): expected a route: one of the members r\n",
    ("x" * (LIMIT + 1), "common"): "rejected (too_long): expected 65536 bytes at most\n",
    ("[]", "json"): at(0, "[]", "(fields): expected a JSON object"),
    (COMMON, SPELLED): "ignored: 512\ncounts as GET /a 200, bytes unknown, at 2026-11-24 13:50:08 UTC\n",
    ('[1795531808] "GET /a" - 5', "main"): "counts as GET /a 000, 5 bytes, at 2026-11-24 14:50:08 UTC\n",
    ("hello", "combined"): at(5, "hello", "(fields): expected `[`, a time, `]` and a request between quotes"),
    ('[] "GET /a', "ovh"): at(
        10, '[] "GET /a', "(fields): expected a quote that ends the request, a blank and a status"
    ),
    ('[x] "GET /a" OK 5', "common"): at(13, '[x] "GET /a" OK 5', STATUS),
    (COMMON, "$uri|$status"): at(63, f"...{COMMON[-60:]}", "(fields): expected `|` after $uri, found the end")
    + "it fits the format combined\n",
    ("/a - 2000", "$uri - $status"): at(5, "/a - 2000", STATUS),
    ("/a\tx\t5", r"$uri\t$status\t$bytes_sent"): f"rejected {STATUS}\n  /a\tx\t5\n    \t^\n",
    ("/a\t200\tx", r"$uri\t$status\t$bytes_sent"): "counts as - /a 200, bytes unknown\n",
    ('x"(/a) 200', 'x"$request) $status'): "counts as - - 200, bytes unknown\n",
    ("GET  200", "$method $route $status"): "counts as - - 200, bytes unknown\n",
    ("/a 200 x", "$uri $status y"): at(3, "/a 200 x", "(fields): expected ` y` behind $status"),
    ("[/a] 200;x", "[$uri] $status;"): "ignored: x\ncounts as - /a 200, bytes unknown\n",
    ('{"status":null,"path":"/a"}', "json"): "counts as - /a 000, bytes unknown\n",
    ('{"status":200,"request":null,"size":null}', "json"): "counts as - - 200, bytes unknown\n",
    ('{"code":200,"url":"/"}, then', "json"): "ignored: , then\ncounts as - / 200, bytes unknown\n",
    (
        "status:200",
        "ltsv",
    ): "rejected (fields): expected a route: one of the labels uri, request_uri, path, url, req, request\n",
}


@pytest.mark.parametrize(("asked", "ending"), ENDINGS.items())
def test_each_end(capsys: Captured, asked: tuple[str, str], ending: str) -> None:
    counts, fits = "counts as" in ending, "it fits" in ending
    status, text = said(capsys, asked[0], "--format", asked[1])
    assert text.endswith(f"\n{ending}{'' if counts or fits else NO_OTHER}")
    assert status == (0 if counts else 1)


def test_lines_come_from_standard_input(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"/a 200\n/b \xff\n/c 404"))
    monkeypatch.setattr("sys.stdin", stdin)
    status, text = said(capsys, "-", "/d 500", "--format", "%U %>s")
    assert status == 1
    counted = [line.split(" ")[3] for line in text.splitlines() if line.startswith("counts")]
    assert counted == ["/a", "/c", "/d"]
    assert r"%>s  status   \xff" in text
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    assert said(capsys, "-") == (1, "no format found: there is no line yet; shown as combined\n")
    status, text = said(capsys, '{"a": "b"}')
    first = "no format found: none of 1 lines fits a format that has a name; shown as json\n"
    assert (status, text.startswith(first)) == (1, True)


def test_a_wrong_format_shows_the_place(capsys: Captured) -> None:
    assert main(["explain", "x", "--format", "log_format x\n '$uri'\n '$status';"]) == 2
    assert capsys.readouterr() == (
        "",
        "qps-reporter: --format: expected some text between two fields (line 3, character 3)\n"
        "qps-reporter:    '$status';\n"
        "qps-reporter:     ^\n",
    )


FORMATS = [
    *(compile_format(text) for text in ("default", "combined", PRESETS["combined"].texts[0], "json")),
    compile_format('%h %t "%r" %>s%%'),
    compile_format("'$uri' | $status | $bytes_sent"),
    as_list([compile_format("[$uri] $status"), compile_format("common"), compile_format("json")]),
    compile_format("ltsv"),
]
PIECES = (*"'| \"\\[]%\t-{},é", " | ", "GET /", "200", '"status":200', "status:200", "\treq:", '{"log":"')
LINES = st.lists(st.sampled_from(PIECES), max_size=14).map(
    lambda pieces: "".join(pieces).encode()
) | st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))


def outcome(roles: Mapping[str, bytes] | None) -> tuple[Request | None, str | None]:
    """What the roles count as, or why they don't."""
    try:
        return request_of(roles, keep_query=False), None
    except Rejected as rejected:
        return None, rejected.args[0]


@given(log_format=st.sampled_from(FORMATS), line=LINES)
@example(log_format=FORMATS[0], line=b"1 GET / 200 5")
@example(log_format=FORMATS[1], line=COMMON.encode() + rb' "\"" "x"')
@example(log_format=FORMATS[1], line=b'a b [] "x" y " 200\t ')
@example(log_format=FORMATS[2], line=COMMON.encode() + rb' "\"" "x"')
@example(log_format=FORMATS[3], line=b'{"request":"GET /","status":200,"method":"x"}')
@example(log_format=FORMATS[3], line=b"[" * 5000)
@example(log_format=FORMATS[3], line=b"[" + b"1" * 5000)
@example(log_format=FORMATS[5], line=b"'/a' | 200 | 5")
@example(log_format=FORMATS[5], line=b"web-1  | '/a' | 200 | 5")
@example(log_format=FORMATS[0], line=rb'{"log":"1\tGET /\t200\t5\n"}')
@example(log_format=FORMATS[6], line=b"web-1  | status:200\treq:GET /")
def check_agreement(log_format: LogFormat, line: bytes) -> None:
    """The fields, the reason and the request are those of the reader; a place is one of the line."""
    found = explain(log_format, line, LIMIT)
    reader = make_reader(log_format)
    trimmed = trim(line, LIMIT)
    fields = reader.fields(trimmed)
    if fields is not None and not (found.reason and log_format.is_lenient):
        assert [(part.name, part.value) for part in found.parts] == list(fields)
    assert (found.request, found.reason) == outcome(reader.roles(trimmed))
    assert (found.fault is None) == (found.reason is None)
    assert found.line.endswith(found.ignored)
    assert trimmed.startswith(found.around)
    if found.fault and found.fault.place is not None:
        assert 0 <= found.fault.place <= len(trimmed)
    for part in found.parts:
        assert part.start is None or found.line[part.start : part.start + len(part.value)] == part.value
    if log_format.pieces and not (log_format.is_lenient or log_format.is_combined):
        assert (walk(log_format, found.line)[1] is None) == (fields is not None)


def greedy(pieces: Sequence[Piece]) -> list[bytes]:
    """As far as a field can go."""
    return [b".*" if pattern.startswith((b"[^", b"(?", b".")) else pattern for pattern in patterns_of(pieces)]


test_promise, test_twin = promises(
    Promise(check_agreement, None, {"greedy": Patches((explanation, "patterns_of", greedy))})
)
