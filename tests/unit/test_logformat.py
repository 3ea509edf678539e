"""The $name grammar: what it reads, what it refuses and where, and that it reads what it writes."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.errors import FormatError
from qps_service.logformat import PRESETS, Field, LogFormat, compile_format

COMBINED = (
    b'203.0.113.7 - bob [09/Sep/2016:11:43:14 +0200] "GET /a?b HTTP/1.1" 200 512 "http://x/" "curl/7 (x y)"'
)


def groups(log_format: LogFormat, line: bytes) -> dict[str, bytes] | None:
    match = log_format.pattern.fullmatch(line)
    return match.groupdict() if match else None


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (
            "default",
            b"1.2.3.4\tGET /a b\t200\t12",
            {"method": b"GET", "route": b"/a b", "status": b"200", "bytes": b"12"},
        ),
        ("combined", COMBINED, {"request": b"GET /a?b HTTP/1.1", "status": b"200", "bytes": b"512"}),
        (
            "common",
            COMBINED.partition(b' "http')[0],
            {"request": b"GET /a?b HTTP/1.1", "status": b"200", "bytes": b"512"},
        ),
        # A preset is nothing but its text: pasting that from nginx's configuration is the same.
        (PRESETS["combined"], COMBINED, {"request": b"GET /a?b HTTP/1.1", "status": b"200", "bytes": b"512"}),
        ("$uri $status", b"/x 404", {"route": b"/x", "status": b"404"}),
        ("${uri}x$status", b"/x404", {"route": b"/", "status": b"404"}),
        ("$REQUEST_URI|$Status|", b"/x|404|", {"route": b"/x", "status": b"404"}),
        (r"$uri\\$status", b"/x\\404", {"route": b"/x", "status": b"404"}),
        (r"\"$uri\" $status", b'"/x" 404', {"route": b"/x", "status": b"404"}),
        ("é$uri é$status", "é/x é404".encode(), {"route": b"/x", "status": b"404"}),
        (".$uri.$status", b"./x.404", {"route": b"/x", "status": b"404"}),
        (".$uri.$status", b"a/x.404", None),
        ("default", b"1.2.3.4 GET /a 200 12", None),
    ],
)
def test_reads(text: str, line: bytes, expected: dict[str, bytes] | None) -> None:
    assert groups(compile_format(text), line) == expected


@pytest.mark.parametrize(
    ("line", "matches"),
    [
        (b"1.2.3.4 GET /a 200 12", True),
        (b"1.2.3.4    GET /a  \t 200\t\t12   ", True),
        (b"1.2.3.4 GET /a b 200 12", False),
        (b"1.2.3.4 GET /a 200", False),
    ],
)
def test_the_default_alone_also_takes_blanks_for_its_tabs(line: bytes, matches: bool) -> None:
    lenient = compile_format("default").lenient
    assert lenient is not None
    assert bool(lenient.fullmatch(line)) is matches
    assert compile_format("combined").lenient is None


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 0, "expected a format with $names or one of default, common, combined"),
        ("apache", 0, "expected a format with $names or one of default, common, combined"),
        ("$route $", 7, "expected a name after $"),
        ("$route ${status", 7, "expected a name after $"),
        ("$route $1", 7, "expected a name after $"),
        ("$route$status", 6, "expected some text between two fields"),
        ("$route $uri $status", 7, "$uri gives the route a second time"),
        ("$route\n$status", 6, "expected a format of one line"),
        ("$route\r $status", 6, "expected a format of one line"),
        ("$route \udcff$status", 6, "expected UTF-8"),  # of a command line that is none
        ("$route $host", 12, "the format has no status: expected $status"),
        ("$status $host", 13, "the format has no route: expected $route or $request"),
    ],
)
def test_refuses_and_names_the_place(text: str, position: int, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        compile_format(text)
    assert (caught.value.position, caught.value.reason) == (position, reason)
    assert str(caught.value) == f"{reason}, at character {position + 1} of {text!r}"


# --- it reads what it writes


def check_round_trip(log_format: LogFormat, values: dict[str, bytes]) -> None:
    """What is rendered from `values`, none of which holds what ends its field, is read back from it."""
    by_role = {
        piece.role: piece.name for piece in log_format.pieces if isinstance(piece, Field) and piece.role
    }
    expected = {role: values.get(name, b"-") for role, name in by_role.items()}
    assert groups(log_format, log_format.render(values)) == expected


TRICKY = {"route": b"/*?.", "status": b"^$", "bytes": b"1"}


@pytest.mark.parametrize("separator", ["\t", " ", " - ", "|", '"', "\\t", "x"])
@given(values=st.fixed_dictionaries({}, optional=dict.fromkeys(TRICKY, st.binary(max_size=20))))
@example(values=TRICKY)
def test_reads_what_it_writes(separator: str, values: dict[str, bytes]) -> None:
    text = separator.join(("${route}", "${status}", "${bytes_sent}"))
    ends = separator.replace("\\t", "\t").encode()[:1]
    cleaned = {name: value.replace(ends, b"") for name, value in values.items()}
    if ends == b'"':  # between quotes a backslash takes the next byte with it
        cleaned = {name: value.replace(b"\\", b"") for name, value in cleaned.items()}
    cleaned["bytes_sent"] = cleaned.pop("bytes", b"0")
    check_round_trip(compile_format(text), cleaned)


def test_text_read_as_a_pattern_would_be_caught() -> None:
    good = compile_format("$route|$status")
    twin = good._replace(pattern=re.compile(rb"(?P<route>[^|]*)|(?P<status>.*)"))
    check_round_trip(good, TRICKY)
    with pytest.raises(AssertionError):
        check_round_trip(twin, TRICKY)


# --- a hostile line costs no more than its length: nothing is ever tried a second way


def check_fields_end(pattern: re.Pattern[bytes]) -> None:
    """In `$uri, $status` a field with a comma is no field, whatever follows."""
    assert pattern.fullmatch(b"/x, 404")
    assert not pattern.fullmatch(b"/x,y, 404")


def test_a_field_ends_at_the_first_byte_of_what_follows() -> None:
    check_fields_end(compile_format("$uri, $status").pattern)
    with pytest.raises(AssertionError):
        check_fields_end(re.compile(b"(?P<route>.*), (?P<status>.*)"))


@pytest.mark.parametrize("quoted", [rb"a \"b\" c", rb"\\", rb"\x22", b"", rb"\\\""])
def test_quotes_behind_a_backslash_do_not_end_a_quoted_field(quoted: bytes) -> None:
    """Apache writes them so (mod_log_config), nginx as \\x22."""
    line = b'1.2.3.4 - - [x] "GET /%s HTTP/1.1" 200 5 "%s" "%s"' % (quoted, quoted, quoted)
    match = compile_format("combined").pattern.fullmatch(line)
    assert match is not None
    assert (match["request"], match["status"]) == (b"GET /" + quoted + b" HTTP/1.1", b"200")
    assert not compile_format("combined").pattern.fullmatch(line.replace(b'200 5 "', b'200 5 "x" "'))
