"""Every scanner there is finds the same in any log, of any format: what reading each line by itself finds.

scripts/campaign.sh fuzz twins runs this for longer. With the environment's FUZZ_EXAMPLES so many examples are
drawn.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from qps_service.formats import combined, json_members, line, named_fields, timestamps, wrapping
from qps_service.formats.json_lines import MEMBERS_LIMIT
from qps_service.formats.line import ListReader, Rejected, make_reader, request_of, time_of, trim
from qps_service.formats.presets import compile_format
from qps_service.scanning import native, pure
from qps_service.scanning.native import NativeScanner
from qps_service.scanning.options import ScanOptions, Spill
from qps_service.scanning.pure import PureScanner, _Cores
from qps_service.scanning.scanner import Scanner
from qps_service.values.counts import SAMPLE_LIMIT, Sample, Scanned
from qps_service.values.latency import BOUNDS, LONGEST, NO_LATENCY, SUM_LIMIT, Latency
from tests.unit.conftest import MAKERS, Make, no_spill
from tests.unit.lines import Case, Settings, case_of

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "1000"))

Log = Sequence[Sequence[bytes]]  # blocks, several between two takes
Found = tuple[list[list[tuple[int, int]]], list[Scanned]]


def latency_of(durations: Sequence[int]) -> Latency | None:
    """By the definition of a bin; None for no duration."""
    if not durations:
        return None
    bins = Counter(
        next(i for i, bound in enumerate((*BOUNDS, LONGEST)) if each <= bound) for each in durations
    )
    return Latency(dict(bins), min(sum(durations), SUM_LIMIT), max(durations))


class ByLine:
    """The definition: what line.py says of each line, added up."""

    def __init__(self, asked: Settings) -> None:
        self._asked = asked
        self._reader = make_reader(asked.log_format)
        self._clear()

    def scan(self, block: bytes) -> tuple[int, int]:
        """As of a scanner."""
        lines = block.split(b"\n")
        rejected = [self._is_rejected(each) for each in (lines if lines[-1] else lines[:-1])]
        return len(rejected), sum(rejected)

    def take(self) -> Scanned:
        """As of a scanner."""
        rows = [(*key, len(sizes), sum(map(int, filter(None, sizes)))) for key, sizes in self._sizes.items()]
        lines = sum(row[3] for row in rows) + self._rejects.total()
        unmeasured = sum(sizes.count(None) for sizes in self._sizes.values())
        latencies = [latency_of(self._durations.get(key, [])) for key in self._sizes]
        found = Scanned(
            lines, rows, self._rejects, self._sample, self._times, unmeasured, latencies=latencies
        )
        self._clear()
        return found

    def _clear(self) -> None:
        self._sizes: dict[tuple[bytes, bytes, int], list[int | None]] = {}
        self._rejects: Counter[str] = Counter()
        self._sample: Sample | None = None
        self._times: dict[int | None, list[int]] = {}
        self._durations: dict[tuple[bytes, bytes, int], list[int]] = {}

    def _is_rejected(self, text: bytes) -> bool:
        roles: Mapping[str, bytes] | None
        try:
            roles = self._reader.roles(trim(text, self._asked.max_line))
            request = request_of(roles, keep_query=self._asked.keep_query, keep_host=self._asked.keep_host)
        except Rejected as rejected:
            self._rejects[rejected.args[0]] += 1
            self._sample = self._sample or Sample(rejected.args[0], text[:SAMPLE_LIMIT])
            return True
        self._sizes.setdefault(request[:3], []).append(request.size)
        if request.duration is not None:
            self._durations.setdefault(request[:3], []).append(request.duration)
        if span := self._asked.span:
            second = time_of(roles)
            begin = None if second is None else second // span * span
            self._times.setdefault(begin, [0] * 10)[request.status // 100] += 1
        return False


def made(make: Make, asked: Settings, spill: Spill = no_spill) -> Scanner:
    return make(ScanOptions(*asked), spill)


def plain(taken: Scanned) -> Scanned:
    """With lists and dictionaries that can be compared, whatever their order, and show when a test fails."""
    latencies = [each and Latency(*each) for each in taken.latencies] or [None] * len(taken.rows)
    pairs = sorted(zip(taken.rows, latencies, strict=True), key=itemgetter(0))
    rows, latencies = [row for row, _ in pairs], [latency for _, latency in pairs]
    rejects, times = dict(taken.rejects), dict(taken.times)
    return taken._replace(rows=rows, rejects=rejects, times=times, latencies=latencies)


def found_by(scanner: Scanner | ByLine, log: Log) -> Found:
    """What it returned for each block, and what was taken."""
    told, takes = [], []
    for blocks in log:
        told.append([scanner.scan(block) for block in blocks])
        takes.append(plain(scanner.take()))
    return told, takes


def check_alike(make: Make, asked: Settings, log: Log) -> None:
    """It finds what reading each line finds."""
    assert found_by(made(make, asked), log) == found_by(ByLine(asked), log)


def cases(most: int = 1 << 16) -> st.SearchStrategy[Case]:
    """With lines of `most` bytes at most."""
    return st.integers(0, (1 << 64) - 1).map(lambda seed: case_of(seed, most))


DRAWN = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))


@DRAWN
@given(case=cases())
def test_all_find_what_each_line_says(case: Case) -> None:
    expected = found_by(ByLine(case[0]), case[1])
    for name, make in MAKERS.items():
        assert found_by(made(make, case[0]), case[1]) == expected, name


def test_many_sizes_of_many_digits() -> None:
    """The native scanner adds up their digits for thousands of lines before it makes numbers of them."""
    asked = Settings(compile_format("default"), 256, False, 0)
    block = b"1.2.3.4\tGET /help\t200\t99999999\n" * 5000
    log = [[block] * 4, [block + block[:-1]]]
    expected = found_by(ByLine(asked), log)
    for make in MAKERS.values():
        assert found_by(made(make, asked), log) == expected


def test_the_last_of_as_many_members_as_there_may_be() -> None:
    text = "json method=m route=a status=b bytes=c duration=s:d host=h"
    text += "".join(f" time=t{number}" for number in range(MEMBERS_LIMIT - 7))
    asked = Settings(compile_format(text), 256, False, 60, True)
    assert len(asked.log_format.members) == MEMBERS_LIMIT
    line = b'{"a": "/", "b": 200, "c": 5, "d": 7, "h": "x", "t120": 1795531808}\n'
    for make in MAKERS.values():
        check_alike(make, asked, [[line]])


# --- when there is more than can be kept
def summed(parts: Sequence[Scanned]) -> Scanned:
    """What was spilled and taken, as if it had never been too much."""
    sizes: dict[tuple[bytes, bytes, int], tuple[int, int]] = {}
    rejects: Counter[str] = Counter()
    times: dict[int | None, list[int]] = {}
    for part in parts:
        for method, target, status, requests, size in part.rows:
            before = sizes.get((method, target, status), (0, 0))
            sizes[method, target, status] = before[0] + requests, before[1] + size
        rejects.update(part.rejects)
        for begin, numbers in part.times.items():
            known = times.get(begin, [0] * 10)
            times[begin] = [one + other for one, other in zip(known, numbers, strict=True)]
    latencies: dict[tuple[bytes, bytes, int], Latency] = {}
    for part in parts:
        for row, latency in zip(part.rows, part.latencies, strict=False):
            if latency:
                added = latencies.get(row[:3], NO_LATENCY).plus(Latency(*latency))
                latencies[row[:3]] = added
    rows = [(*key, *each) for key, each in sizes.items()]
    sample = next((part.sample for part in parts if part.sample), None)
    lines, unmeasured = sum(part.lines for part in parts), sum(part.unmeasured for part in parts)
    found = lines, rows, dict(rejects), sample, times, unmeasured
    return Scanned(*found, latencies=[latencies.get(key) for key in sizes])


@pytest.fixture
def small(small_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """All scanners have small limits."""
    monkeypatch.setattr(native, "load", lambda: small_module)
    for limit in ("KEYS_LIMIT", "KEY_BYTES_LIMIT", "TIMES_LIMIT"):
        monkeypatch.setattr(pure, limit, getattr(small_module, limit))
    monkeypatch.setattr(pure, "BINS_LIMIT", 12)
    monkeypatch.setattr(pure, "_CORES_LIMIT", 3)
    monkeypatch.setattr(pure, "_CORE_BYTES_LIMIT", 100)
    return small_module


def check_spills(make: Make, asked: Settings, log: Log) -> int:
    """Nothing is lost when it spills; how often it did."""
    parts: list[Scanned] = []
    scanner = made(make, asked, parts.append)
    told, taken = found_by(scanner, [[block for blocks in log for block in blocks]])
    reference = ByLine(asked)
    expected = found_by(reference, [[block for blocks in log for block in blocks]])
    for part in (*parts, *taken):
        assert len(part.rows) <= pure.KEYS_LIMIT
        assert len(part.times) <= pure.TIMES_LIMIT + 1  # with those that tell no time
        assert part.lines == sum(row[3] for row in part.rows) + sum(part.rejects.values())
    assert (told, [plain(summed((*parts, *taken)))]) == expected
    return len(parts)


@pytest.mark.build
def test_nothing_is_lost_in_spills(small: ModuleType) -> None:
    spills: Counter[str] = Counter()

    @DRAWN
    @given(case=cases(most=small.KEY_BYTES_LIMIT // 4))
    def check(case: Case) -> None:
        for name, make in MAKERS.items():
            spills[name] += check_spills(make, *case)

    check()
    assert all(spills[name] > EXAMPLES // 100 for name in MAKERS), spills


# --- broken twins
class KnowsCoresWhateverTheHost(PureScanner):  # of the family, where it stands before them
    def __init__(self, options: ScanOptions, spill: Spill) -> None:
        super().__init__(options, spill)
        if options.log_format.is_combined:
            self._cores = _Cores(options.counted, self._request_of)


class ForgetsWhatWasSpilled(PureScanner):  # what there was no room for
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._spill = lambda scanned: None


def caught(check: Callable[[Settings, Log], object], most: int = 1 << 16) -> bool:
    """Whether a drawn case shows what is wrong."""

    @settings(DRAWN, phases=[Phase.generate], derandomize=True, database=None, max_examples=3000)
    @given(case=cases(most))
    def drawn(case: Case) -> None:
        check(*case)

    try:
        drawn()
    except AssertionError:
        return True
    return False


@pytest.mark.twin
def test_a_broken_scanner_is_caught() -> None:
    assert caught(partial(check_alike, KnowsCoresWhateverTheHost))


@pytest.mark.twin
@pytest.mark.parametrize(
    ("name", "broken"),
    [
        pytest.param("BYTE_ORDER_MARK", b"\xef\xbb\xbf\xef", id="no byte order mark"),
        pytest.param("DEPTH_LIMIT", 1, id="no objects within objects"),
        pytest.param("_TOKEN", re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z()-]+"), id="more than tokens"),
        pytest.param(
            "_ESCAPE", re.compile(json_members._ESCAPE.pattern, re.DOTALL | re.IGNORECASE), id="\\U as \\u"
        ),
        pytest.param("_BYTES", re.compile(rb"[0-9]{1,21}"), id="sizes of 21 digits"),
        pytest.param("is_raw", lambda pieces: False, id="the first quote ends a request"),
        pytest.param("_begun", lambda literal: b"(?:)", id="no literal is cut"),
        pytest.param("ListReader", lambda readers: ListReader(readers[::-1]), id="the last format counts"),
        pytest.param("_STRICT", combined._STRICT[1:] * 2, id="whatever status comes first"),
        pytest.param("_ADDRESS", re.compile(b"[0-9.]+"), id="no address of IPv6, or with a port"),
        pytest.param("prefix_of", lambda before: b"", id="a host stands behind no prefix"),
        pytest.param("_host", lambda text: text, id="no host, or one with blanks"),
        pytest.param("_TIMES", timestamps._TIMES[:2], id="no month comes first"),
        pytest.param("values_of", lambda line: {}, id="no labels"),
        pytest.param("MEMBERS", (b"stream",), id="another member has the line"),
        pytest.param("_PREFIXES", [re.compile(b"[^ ]* ")], id="a word is a prefix"),
    ],
)
def test_a_native_scanner_that_reads_otherwise_is_caught(
    name: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = (line, json_members, named_fields, wrapping, combined, timestamps)
    owner = next(each for each in modules if hasattr(each, name))
    monkeypatch.setattr(owner, name, broken)
    assert caught(partial(check_alike, NativeScanner))


@pytest.mark.build
@pytest.mark.twin
def test_a_scanner_that_loses_spills_is_caught(small: ModuleType) -> None:
    check = partial(check_spills, ForgetsWhatWasSpilled)
    assert caught(check, most=small.KEY_BYTES_LIMIT // 4)
