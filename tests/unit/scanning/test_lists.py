"""A list of formats: the first that gives a request counts a line, and what none reads is rejected for the
reason of the one that got furthest. By every scanner, alone and in blocks where they take short cuts."""

from itertools import product
from operator import itemgetter

import pytest

from qps_service.formats import line as reference
from qps_service.formats.line import ListReader
from qps_service.formats.presets import LogFormat, as_list, compile_format
from qps_service.scanning.options import ScanOptions
from qps_service.values.counts import SAMPLE_LIMIT, Key
from tests.promised import Patches, promises
from tests.unit.conftest import MAKERS, Make, MakeScanner, by_each, no_spill

COMBINED = b'192.0.2.1 - - [24/Nov/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 5 "-" "x"'
JSON = b'{"uri":"/b","method":"PUT","status":201,"size":7}'
A_200 = (b"GET", b"/a", 200, 5)
B_201 = (b"PUT", b"/b", 201, 7)
LIMIT = 300
Expected = tuple[bytes, bytes, int, int | None] | str
# Formats, and lines with what each counts as, or why it is rejected.
LISTS: list[tuple[str, dict[bytes, Expected]]] = [
    (
        "combined, json",
        {
            COMBINED: A_200,
            JSON: B_201,
            b"\xef\xbb\xbf" + JSON + b"\r": B_201,
            COMBINED[:-10]: (b"GET", b"/a", 200, None),
            b"starting": "fields",
            b"": "fields",
            COMBINED.replace(b" 200 ", b" OK "): "status",
            b'{"uri":"/b","status":"OK"}': "status",
            b'{"msg":"listening"}': "fields",
            JSON.ljust(LIMIT): B_201,
            JSON.ljust(LIMIT + 1): "too_long",
        },
    ),
    ("json, combined", {COMBINED: A_200, JSON: B_201, b"x": "fields"}),
    ("json, default", {JSON: B_201, b"1.2.3.4\tGET /a\t200\t5": A_200, b"1.2.3.4 GET /a 200 5": A_200}),
    # The same bytes say another thing by another format, and are no less known for it.
    (
        "A $uri $status $rest, B $rest $uri $status",
        {
            b"A /x 200 404": (b"-", b"/x", 200, None),
            b"B 200 /x 404": (b"-", b"/x", 404, None),
            b"B /x 2": "fields",
        },
    ),
    (
        "$method $uri $status, $uri $method $status",
        {b"GET /a 200": (b"GET", b"/a", 200, None), b"/a GET 200": (b"-", b"-", 200, None)},
    ),
    # The first that reads it, though the second would read more of it.
    (
        "$uri $status, $uri $status $bytes_sent",
        {b"/a 200": (b"-", b"/a", 200, None), b"/a 200 5": (b"-", b"/a", 200, 5)},
    ),
    ("$uri $status $rest, $uri $status $bytes_sent", {b"/a 200 5": (b"-", b"/a", 200, None)}),
    # What got furthest, wherever it stands in the list.
    ("$uri $status x, $uri|$status", {b"/a 20x": "fields", b"/a 20 x": "status", b"/a|20": "status"}),
    ("$uri|$status, $uri $status x", {b"/a 20x": "fields", b"/a 20 x": "status", b"/a|20": "status"}),
    # Many of them, the last of which is meant.
    (
        ", ".join(f"{number}$uri $status" for number in range(8)),
        {b"7/a 200": (b"-", b"/a", 200, None), b"0/a 404": (b"-", b"/a", 404, None), b"8/a 200": "fields"},
    ),
]


def listed(texts: str) -> LogFormat:
    return as_list([compile_format(each) for each in texts.split(", ")])


def check_list(make: MakeScanner, texts: str, lines: dict[bytes, Expected]) -> None:
    """Each line alone, with each other one, and many of one kind behind each other."""
    log_format = listed(texts)
    for count, (first, second) in product((1, 9), product(lines, repeat=2)):
        scanner = make(log_format, LIMIT)
        scanner.scan(b"%b\n" % first * count + b"%b\n" % second * count)
        scanner.scan(b"%b\n%b\n" % (first, second))
        found = scanner.take()
        counts: dict[Key, int] = {}
        rejects: dict[str, int] = {}
        for expected in (lines[first], lines[second]):
            if isinstance(expected, str):
                rejects[expected] = rejects.get(expected, 0) + count + 1
            else:
                key = Key(*expected[:3])
                counts[key] = counts.get(key, 0) + count + 1
        assert dict(found.rejects) == rejects
        assert {key: each.requests for key, each in found.counts.items()} == counts
        sizes = [each[3] for each in (lines[first], lines[second]) if not isinstance(each, str)]
        assert sum(each.bytes for each in found.counts.values()) == (count + 1) * sum(filter(None, sizes))
        assert found.unmeasured == (count + 1) * sizes.count(None)
        rejected = next((each for each in (first, second) if isinstance(lines[each], str)), None)
        assert (found.sample.line if found.sample else None) == (rejected and rejected[:SAMPLE_LIMIT])


def check_all(make: MakeScanner) -> None:
    for texts, lines in LISTS:
        check_list(make, texts, lines)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_each_format_tells_its_own_time(make: Make) -> None:
    log_format = listed("[$time_local] $uri $status, $msec $uri $status, $uri $status")
    scanner = make(ScanOptions(log_format, LIMIT, span=60), no_spill)
    scanner.scan(b"[24/Nov/2026:14:50:08 +0000] /a 200\n1795531868 /b 404\n/c 500\n")
    second = scanner.take().times
    assert {begin: list(requests).index(1) for begin, requests in second.items()} == {
        1795531800: 2,
        1795531860: 4,
        None: 5,
    }


def test_lists_within_a_list_are_tried_in_their_place() -> None:
    names = [each.text for each in listed("json, nginx-proxy-manager, combined").listed]
    assert names == ["json", *["nginx-proxy-manager"] * (len(names) - 2), "combined"]
    assert listed("json, nginx-proxy-manager, combined").texts == ("json", "nginx-proxy-manager", "combined")
    assert listed("json") == compile_format("json")


TWINS = {
    "the first alone": Patches((reference, "ListReader", itemgetter(0))),
    "the last counts": Patches((reference, "ListReader", lambda readers: ListReader(readers[::-1]))),
}
test_promise, test_twin = promises(*by_each(check_all, TWINS))
