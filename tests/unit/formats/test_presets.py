"""The languages of formats: which is which, what they refuse and where, and that what is written is read."""

from collections.abc import Callable, Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.errors import FormatError
from qps_service.formats import presets
from qps_service.formats.line import make_reader, plain_reader
from qps_service.formats.presets import NAMES, Field, LogFormat, compile_format
from tests.promised import Promise, promises
from tests.unit.refusals import refused

X_404 = {"route": b"/x", "status": b"404"}
REQUEST = {"request": b"GET /a HTTP/1.1", "status": b"200"}


def roles(log_format: LogFormat, line: bytes) -> Mapping[str, bytes] | None:
    return make_reader(log_format).roles(line)


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("$uri $status", b"/x 404", X_404),
        ("${uri}x$status", b"/x404", {"route": b"/", "status": b"404"}),
        ("$REQUEST_URI|$Status|", b"/x|404|", X_404),
        (r"$uri\\$status", b"/x\\404", X_404),
        (r"\"$uri\" $status", b'"/x" 404', X_404),
        ("é$uri é$status", "é/x é404".encode(), X_404),
        (".$uri.$status", b"./x.404", X_404),
        (".$uri.$status", b"a/x.404", None),
        # A field ends at the first place where all of the text behind it stands.
        ("$uri, $status", b"/x,y, 404", {"route": b"/x,y", "status": b"404"}),
        # A percent sign in nginx's language, and a dollar sign in Apache's.
        ("$uri 100% %s $status", b"/x 100% %s 404", X_404),
        ("$ %U $ %>s", b"$ /x $ 404", X_404),
        ("json $uri $status", b"json /x 404", X_404),
        ("\n  $uri $status\n\n", b"  /x 404", X_404),
        # A request needs no quotes where more than a blank ends it.
        (r"$request\t$status", b"GET /a HTTP/1.1\t200", REQUEST),
        (r"$request \t $status", b"GET /a HTTP/1.1 \t 200", REQUEST),
        ("$request|$status", b"GET /a HTTP/1.1|200", REQUEST),
        ("$status $request", b"200 GET /a HTTP/1.1", REQUEST),
        ("'$request' $status", b"'GET /a HTTP/1.1' 200", REQUEST),
    ],
)
def test_reads(text: str, line: bytes, expected: dict[str, bytes] | None) -> None:
    assert roles(compile_format(text), line) == expected


QUOTES = (
    "expected quotes around the request, or {} in its place: it has blanks in it, and a blank would end it"
)
EXPECTED_NAMES = "expected a format with $names or %directives, or one of " + ", ".join(NAMES)


test_refuses_and_names_the_place = refused(
    {
        EXPECTED_NAMES: ["▸", "▸apache"],
        f"{EXPECTED_NAMES}; did you mean combined?": ["▸Combined"],
        "expected a name after $": ["$route ▸$", "$route ▸${status", "▸$ uri"],
        "expected some text between two fields": ["$route▸$status"],
        "expected a format of one line": ["$route▸\n$status", "$route▸\r $status", "$route▸\\n$status"],
        "expected UTF-8": ["$route ▸\udcff$status"],
        "the format has no status: expected $status": ["$route $host▸", "$route $host▸\n"],
        "the format has no route: expected $route or $request": ["$status $host▸"],
        QUOTES.format("$request_method $request_uri"): [
            *("$host ▸$request $status", "$status ▸$request ", "$host ▸$request   $status"),
            *("'$host $time_local ' '▸$request ' '$status'", 'x"▸$request $status"'),
        ],
        QUOTES.format("%m %U%q"): ["%h ▸%r %>s", 'LogFormat "%h ▸%r %>s" x'],
    }
)


WORDS = (
    *"$%\\'\"{};#^ \n\t=.>Ut",
    *("log_format ", "LogFormat ", "json ", "uri", "status", "%>s", "escape=json"),
)
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map("".join) | st.text(max_size=8)


@given(text=TEXTS)
@example(text="log_format x '\\")
@example(text='LogFormat "\\')
@example(text="%{}t%{%")
@example(text="%U %\n")
@example(text="%U %\udcff")
@example(text="auto")
@example(text="log_format x ''")
@example(text="#" * 100 + "\n$uri $status")
@example(text="#" * 100 + "\n%U %>s")
def test_whatever_is_given_is_a_format_or_refused_at_a_place(text: str) -> None:
    """And a format that is read can be written and scanned."""
    read: LogFormat | FormatError
    try:
        read = compile_format(text)
    except FormatError as error:
        read = error
    if isinstance(read, FormatError):
        assert 0 <= read.position <= len(text)
        assert str(read).splitlines()[0] == read.brief
        assert read.brief.isprintable()
    else:
        assert not read.written or make_reader(read).fields(read.render({})) is not None


def check_order(order: Callable[[str], LogFormat], text: str, expected: str) -> None:
    """The names of the fields that count, in the order of the line."""
    found = order(text)
    counted = [piece for piece in found.pieces if isinstance(piece, Field) and piece.role]
    assert " ".join(field.name for field in counted) == expected
    assert len({field.role for field in counted}) == len(counted)
    assert found.roles == {field.role for field in counted}


ORDERS = [
    ("$uri $request_uri $status", "request_uri status"),
    ('$uri $request_method "$request" $status', "request status"),
    ("$bytes_sent $uri $status $body_bytes_sent", "uri status body_bytes_sent"),
    ("$msec $uri $status [$time_local] $time_iso8601", "uri status time_local"),
    ("$status $uri $status", "status uri"),
    ("%O %b %U %s %<s %>s %B", "%b %U %>s"),
    ('%U %m "%r" %s', "%r %s"),
    ("%U %m %U%q %s", "%m %U%q %s"),
]


def first_in_the_line(text: str) -> LogFormat:
    """Whichever of a role comes first has it."""
    names, pieces = set(), []
    for piece in compile_format(text).pieces:
        role = presets.ROLES.get(piece.name) if isinstance(piece, Field) else None
        new = None if role in names else role
        pieces.append(Field(piece.name, new) if isinstance(piece, Field) else piece)
        names.add(role)
    return LogFormat(text, tuple(pieces), (), is_lenient=False, roles=frozenset())


def check_round_trip(log_format: LogFormat, values: dict[str, bytes]) -> None:
    """What is rendered from `values`, none of which holds what ends its field, is read back from it. They may
    look like what is put around lines, which is not taken off here."""
    found = plain_reader(log_format).fields(log_format.render(values))
    assert found is not None
    assert all(values.get(name, b"-") == value for name, value in found)


TRICKY = {"route": b"/*?.", "status": b"^$", "bytes": b"1"}


@pytest.mark.parametrize("separator", ["\t", " ", " - ", "|", '"', "\\t", "x"])
@pytest.mark.parametrize("names", [("${route}", "${status}", "${bytes_sent}"), ("%U", "%>s", "%b")])
@given(values=st.fixed_dictionaries({}, optional=dict.fromkeys(TRICKY, st.binary(max_size=20))))
@example(values=TRICKY)
@example(values={"status": b" | "})
@example(values={"status": b" : "})
def test_reads_what_it_writes(names: tuple[str, ...], separator: str, values: dict[str, bytes]) -> None:
    log_format = compile_format(separator.join(names))
    ends = separator.replace("\\t", "\t").encode()[:1]
    fields = [piece.name for piece in log_format.pieces if isinstance(piece, Field)]
    cleaned = {
        name: values.get(role, b"0").replace(ends, b"").replace(b"\n", b"")
        for name, role in zip(fields, TRICKY, strict=True)
    }
    if ends == b'"':  # between quotes a backslash takes the next byte with it
        cleaned = {name: value.replace(b"\\", b"") for name, value in cleaned.items()}
    check_round_trip(log_format, cleaned)


PIPED = compile_format("$route|$status")
AS_A_PATTERN = {"a pattern": PIPED._replace(pieces=(*PIPED.pieces[:1], b"", *PIPED.pieces[2:]))}

test_promise, test_twin = promises(
    *(
        Promise(check_order, compile_format, [first_in_the_line], text=text, expected=each)
        for text, each in ORDERS
    ),
    Promise(check_round_trip, PIPED, AS_A_PATTERN, values=TRICKY),
)
