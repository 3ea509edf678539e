"""What scanners keep of the memory that much traffic took: hundreds of them are in one process."""

import re
import tracemalloc
from pathlib import Path

from qps_service.formats.presets import compile_format
from qps_service.scanning import pure
from qps_service.scanning.native import NativeScanner
from qps_service.scanning.options import ScanOptions
from qps_service.scanning.pure import PureScanner, _Cores
from qps_service.scanning.scanner import Scanner
from qps_service.values.counts import Scanned
from tests.promised import Patches, Promise, nothing, promises
from tests.unit.conftest import no_spill

OPTIONS = ScanOptions(compile_format("default"), 64 * 1024)
TARGETS = 30_000  # just what a scanner takes before it spills
MUCH = b"".join(b"192.0.2.1\tGET /%d\t200\t5\n" % number for number in range(TARGETS))
LONG = b"192.0.2.1\t  GET    /%b\t200\t5\n" % (b"y" * 60_000)


def resident() -> int:
    """Bytes of the process."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.findall(r"RssAnon:\s+(\d+)", status)[0])


def flood(scanner: Scanner) -> Scanned:
    scanner.scan(MUCH)
    scanner.scan(LONG)
    return scanner.take()


def check_memory_is_given_back(make: type[NativeScanner]) -> None:
    """Of each some KiB are left, when all was taken, and the cache of cores is for all of them."""
    flood(make(OPTIONS, no_spill))
    scanners, before = [make(OPTIONS, no_spill) for _ in range(20)], resident()
    for scanner in scanners:
        flood(scanner)
    assert resident() - before < len(scanners) * 256 * 1024


def check_cores_are_forgotten(make: type[PureScanner]) -> None:
    """What the pure one remembers of lines, beyond a thousand of them."""
    scanner = make(OPTIONS, no_spill)
    scanner.scan(MUCH[: len(MUCH) // 4])
    assert scanner.held > TARGETS // 4 * 100
    assert scanner.take().lines > TARGETS // 4
    assert scanner.held == 0
    scanner.scan(MUCH[: len(MUCH) // 60])
    scanner.take()
    assert 0 < scanner.held < 512 * 1024


def check_durations_are_bounded(make: type[PureScanner]) -> None:
    """However long they are, and the cores that they stand behind."""
    layout = '"$request" $status $body_bytes_sent $request_time "$http_referer"'
    options = ScanOptions(compile_format(layout), 64 * 1024)
    line = b'"GET /%b HTTP/1.1" 200 5 %b%d "-"\n'
    for route, digits in ((b"", b"0." + b"1" * 8000), (b"y" * 8000, b"0.1")):
        scanner = make(options, no_spill)
        block = b"".join(line % (route, digits, each) for each in range(1000, 1500))
        tracemalloc.start()
        scanner.scan(block)
        memory, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert memory < 1 << 20
        assert memory < 4 * scanner.held or memory < 1 << 16
        assert scanner.take().lines == 500


def test_what_is_held_is_told() -> None:
    for make in (NativeScanner, PureScanner):
        scanner = make(OPTIONS, no_spill)
        assert scanner.held == 0
        scanner.scan(MUCH)
        assert TARGETS * 50 < scanner.held < TARGETS * 1000


LATE = Patches((NativeScanner, "take", lambda self: Scanned(0, (), {}, None)))  # when it is too much
test_promise, test_twin = promises(
    Promise(check_memory_is_given_back, NativeScanner, [LATE]),
    Promise(check_cores_are_forgotten, PureScanner, [Patches((_Cores, "forget", nothing))]),
    Promise(check_durations_are_bounded, PureScanner, [Patches((pure, "_DURATION_LIMIT", 1 << 20))]),
)
