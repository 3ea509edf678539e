"""What an attacker may try on every scanner: keys that collide, sums beyond 64 bits, other encodings."""

import re
import tracemalloc
from random import Random

import pytest

from qps_service.formats import combined
from qps_service.formats import line as reference
from qps_service.formats.presets import PRESETS, compile_format
from qps_service.scanning import _scan
from qps_service.scanning.native import NativeScanner
from qps_service.scanning.options import ScanOptions
from qps_service.values.counts import Counts, Key
from tests.promised import Patches, promises
from tests.unit.conftest import MakeScanner, by_each, no_spill

LIMIT = 64 * 1024
DEFAULT = compile_format("default")
KEYS = 3000


def colliding_keys(seed: bytes) -> list[bytes]:
    """Routes that have one place in the table of a scanner with this seed, made like an attacker who knows it
    would: where the second word of a key and of the seed add up to 0, the first word does not matter (see
    hash_key in table.h)."""
    second = (-int.from_bytes(seed[8:16], "little") % 2**64).to_bytes(8, "little")
    assert not set(second) & set(b"\t\n?#")
    digits = b"0123456789abcdefghijklmnopqrstuvwxyz"
    firsts = [b"%c%c%c" % (a, b, c) for a in digits for b in digits for c in digits]
    return [b"/" + first + second for first in firsts[:KEYS]]


def test_a_flood_of_keys_that_collide() -> None:
    """It needs the seed, which is drawn for each scanner."""
    known = Random(1).randbytes(_scan.SEED_BYTES)
    block = b"".join(b"1.2.3.4\tGET %b\t200\t5\n" % route for route in colliding_keys(known))
    probes = {}
    for name, seed in (("known", known), ("other", Random(2).randbytes(_scan.SEED_BYTES)), ("drawn", None)):
        scanner = NativeScanner(ScanOptions(DEFAULT, LIMIT), no_spill, seed=seed)
        scanner.scan(block)
        assert len(scanner.take().rows) == KEYS
        probes[name] = scanner.probes
    assert probes["known"] > KEYS * KEYS // 4
    assert max(probes["other"], probes["drawn"]) < 2 * KEYS


def test_sums_beyond_64_bits(make_scanner: MakeScanner) -> None:
    scanner = make_scanner(DEFAULT, LIMIT)
    most = 2**64 - 1
    scanner.scan(b"1.2.3.4\tGET /\t200\t%d\n" % most * 1000)
    scanner.scan(b"1.2.3.4\tGET /\t200\t99999999\n" * 5)
    assert scanner.take().counts == {Key(b"GET", b"/", 200): Counts(1005, 1000 * most + 5 * 99999999)}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["default", "common", "combined", "json"])
def test_every_line_of_another_encoding_is_rejected(
    make_scanner: MakeScanner, encoding: str, name: str
) -> None:
    lines = {
        "default": "1.2.3.4\tGET /\t200\t5",
        "common": '1.2.3.4 - - [24/Nov/2026:14:50:08 +0000] "GET / HTTP/1.1" 200 5',
        "combined": '1.2.3.4 - - [24/Nov/2026:14:50:08 +0000] "GET / HTTP/1.1" 200 5 "-" "-"',
        "json": '{"request": "GET / HTTP/1.1", "status": 200, "size": 5}',
    }
    text = "\n".join([lines[name]] * 10)
    for encoded, rejected in ((text.encode(), 0), (text.encode(encoding), 10)):
        scanner = make_scanner(compile_format(name), LIMIT)
        assert scanner.scan(encoded) == (10, rejected)
        found = scanner.take()
        assert (found.lines, sum(found.rejects.values())) == (10, rejected)


def test_long_targets_do_not_fill_the_memory(make_scanner: MakeScanner) -> None:
    """Of what is allocated by Python; the native scanner's table is as large as it is."""
    scanner = make_scanner(DEFAULT, LIMIT)
    line = b"1.2.3.4\tGET /%d" + b"x" * 30_000 + b"\t200\t5\n"
    tracemalloc.start()
    try:
        for start in range(0, 1200, 4):
            scanner.scan(b"".join(line % number for number in range(start, start + 4)))
            scanner.take()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20  # bytes; 36 MB were read


GARBAGE = 10_000  # requests that no server could read
COMBINED = b'1.2.3.4 - - [24/Nov/2026:14:50:08 +0000] "%b" %d 5 "-" "-"\n'


def garbage(random: Random) -> bytes:
    """What comes to a plain port: no two alike, and no HTTP."""
    return rb"\x16\x%02x" % random.randrange(256) + random.randbytes(20).hex().encode()


def check_one_row_a_status(make: MakeScanner) -> None:
    """Garbage has no row of its own, however much there is and whatever it says."""
    random = Random(17)
    for name, line in (("combined", COMBINED), ("$request_method $uri $status", b"%b / %d\n")):
        scanner = make(compile_format(name), LIMIT)
        scanner.scan(
            b"".join(line % (garbage(random), status) for status in (400, 408) for _ in range(GARBAGE))
        )
        found = scanner.take()
        assert {key: counts.requests for key, counts in found.counts.items()} == {
            Key(b"-", b"-", 400): GARBAGE,
            Key(b"-", b"-", 408): GARBAGE,
        }


def check_memory_of_a_line(make: MakeScanner) -> None:
    """A line is read in memory that does not depend on how many quotes and backslashes it has, or braces."""
    start = COMBINED.partition(b"%b")[0] + b"GET /"
    texts = ("combined", PRESETS["combined"].texts[0])
    odd_texts = [(each, start + odd * (MEMORY_LINE // len(odd))) for each in texts for odd in ODD_TEXTS]
    odd_json = [("json", b'{"status":200,"x":' + odd * (MEMORY_LINE // len(odd))) for odd in ODD_JSON]
    for name, line in (*odd_texts, *odd_json):
        scanner = make(compile_format(name), len(line))
        tracemalloc.start()
        try:
            scanner.scan(line)
            scanner.take()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 6 * MEMORY_LINE, line[:99]


MEMORY_LINE = 60_000  # bytes
ODD_TEXTS = (b'"', b"\\", b'\\"', b'" 20', b'"" ', b"  /", b'[x] "', b"] ")
ODD_JSON = (b'\\"', b"[", b'"a":"b"c,', b'}, "')
PATTERNS_OF = reference.patterns_of
# As a route of its own; and with a regular expression that remembers each step.
TOLD_APART = Patches((reference, "_TOKEN", re.compile(rb".*", re.DOTALL)))
REMEMBERS = Patches(
    (reference, "patterns_of", lambda pieces: [each.replace(b"*+", b"*") for each in PATTERNS_OF(pieces)])
)
IN_THE_FAMILY = Patches(
    (combined, "_STRICT", [re.compile(each.pattern.replace(b"*+", b"*"), re.S) for each in combined._STRICT])
)

test_promise, test_twin = promises(
    *by_each(check_one_row_a_status, {"told apart": TOLD_APART}),
    *by_each(check_memory_of_a_line, {"remembers": REMEMBERS, "remembers in the family": IN_THE_FAMILY}),
)


def test_a_key_as_long_as_a_line(make_scanner: MakeScanner) -> None:
    """And as many as a scanner just keeps."""
    scanner = make_scanner(DEFAULT, LIMIT)
    routes = [(b"/%d" % number).ljust(LIMIT - 30, b"x") for number in range(60)]
    for route in routes:
        scanner.scan(b"1.2.3.4\tGET %b\t200\t5\n" % route)
    assert [row[1] for row in scanner.take().rows] == routes
