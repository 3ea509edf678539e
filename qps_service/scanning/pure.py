"""The pure scanner: counts lines as qps_service.formats.line reads them.

Most lines are of one shape, and what counts in them stands together: `GET /help HTTP/1.1" 200 512`. Such
cores are found for a whole block by one regular expression, counted by the standard library, and read once
for each distinct one; what stands behind them is not looked at. Where a block has any other line, it is
halved until that line stands alone: then it is read by itself. So the result is that of reading line by line,
in a fraction of the time.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from qps_service.formats.line import (
    BYTE_ORDER_MARK,
    Rejected,
    Request,
    begins_with_field,
    duration_of,
    make_reader,
    patterns_of,
    request_of,
    tail_place,
    time_of,
    trim,
    unit_of,
    whole_pattern,
)
from qps_service.formats.presets import Field, LogFormat
from qps_service.scanning.options import ScanOptions, Spill
from qps_service.values.counts import SAMPLE_LIMIT, TOO_LONG, Sample, Scanned
from qps_service.values.latency import SUM_LIMIT, Latency, bin_of
from qps_service.values.positions import Directives

# What is counted before it has to be taken: 10,000 routes with three statuses each, and their names.
KEYS_LIMIT = 32 * 1024
KEY_BYTES_LIMIT = 4 * 1024 * 1024
BINS_LIMIT = 64 * 1024  # of durations, of all keys together
TIMES_LIMIT = 4096  # spans of time; more than there are minutes in two days

# Distinct cores that are remembered, and their bytes: when there are more, they are settled and forgotten.
# The memory for both is mostly less than one MB; it is three times _CORE_BYTES_LIMIT at most, and a block.
_CORES_LIMIT = 16 * 1024
_CORE_BYTES_LIMIT = 4 * 1024 * 1024
_CORES_KEPT = 1024  # when what was counted is taken: of hundreds of logs each may have had more
_ENTRY = 300  # bytes of memory, about, that each takes beside its text
_BIN = 100  # likewise, of a bin
_ALONE = 4  # lines; fewer are read sooner one by one
_DURATION_LIMIT = 64  # bytes of a duration that is remembered with a core; no server writes so many


class PureScanner:
    """Counts the lines of blocks; `take` hands the counts over and starts anew."""

    name = "py"

    def __init__(self, options: ScanOptions, spill: Spill) -> None:
        log_format, self._max_line, self._span = options.counted, options.max_line, options.span
        self._request_of = partial(request_of, keep_query=options.keep_query, keep_host=options.keep_host)
        self.directives = Directives()
        self._spill = spill
        self._reader = make_reader(log_format)
        has_cores = log_format.pieces and not self._span
        if log_format.is_combined and options.keep_host:
            has_cores = ()  # a host stands before them
        self._cores = _Cores(log_format, self._request_of) if has_cores else None
        self._clear()

    def scan(self, block: bytes | memoryview) -> tuple[int, int]:
        """Count each line of `block`; a last line without newline counts as a line. How many lines there
        were, and how many of these were rejected."""
        block = bytes(block)
        lines = block.count(b"\n") + (block[-1:] not in (b"", b"\n"))
        return lines, self._scan(block, lines)

    def reject_oversize(self, start: bytes) -> None:
        """Count a line that was too long to be handed over; `start` is its beginning."""
        self._lines += 1
        self._reject(TOO_LONG, start)

    def take(self) -> Scanned:
        """What was found since the last call."""
        self._settle()
        if self._cores:
            self._cores.forget()
        rows = [(*key, requests, self._bytes[key]) for key, requests in self._requests.items()]
        durations = [self._durations.get(key) for key in self._requests] if self._durations else ()
        latencies = [Latency(each.bins, each.total, each.longest) if each else None for each in durations]
        found = self._lines, rows, self._rejects, self._sample, self._times, self._unmeasured
        self._clear()
        return Scanned(*found, latencies=latencies)

    @property
    def held(self) -> int:
        """Bytes of memory, about, that what was found takes so far, with the cores that are remembered."""
        cores, size = self._cores.held if self._cores else (0, 0)
        return _ENTRY * (len(self._requests) + cores) + _BIN * self._bins + self._key_bytes + size

    def _clear(self) -> None:
        self._lines = 0
        self._requests: dict[tuple[bytes, bytes, int], int] = {}
        self._bytes: dict[tuple[bytes, bytes, int], int] = {}
        self._key_bytes = 0
        self._rejects: Counter[str] = Counter()
        self._sample: Sample | None = None
        self._times: dict[int | None, list[int]] = {}
        self._unmeasured = 0
        self._durations: dict[tuple[bytes, bytes, int], _Durations] = {}
        self._bins = 0  # of all of these

    def _scan(self, block: bytes, lines: int) -> int:
        """Count a block of so many lines; how many were rejected."""
        if lines < _ALONE or self._cores is None or _may_exceed(block, self._max_line):
            return sum(self._scan_line(line) for line in _lines_of(block))
        is_counted = self._cores.count(block, lines)
        if self._cores.is_full:
            self._settle()
        if is_counted:
            return 0
        half = _halving(block)
        first = block.count(b"\n", 0, half)
        return self._scan(block[:half], first) + self._scan(block[half:], lines - first)

    def _settle(self) -> None:
        for request, times in self._cores.settle() if self._cores else ():
            self._count(request, times)

    def _scan_line(self, line: bytes) -> bool:
        """Count one line; whether it was rejected."""
        try:
            roles = self._reader.roles(trim(line, self._max_line))
            request = self._request_of(roles)
        except Rejected as rejected:
            self._lines += 1
            self._reject(rejected.args[0], line)
            return True
        if self._span:
            self._count_time(time_of(roles), request.status)
        self._count(request, 1)
        return False

    def _count(self, request: Request, times: int) -> None:
        if request.duration is not None and self._bins >= BINS_LIMIT:
            self._spill(self.take())
        key = request[:3]
        before = self._requests.get(key)
        if before is None:
            size = len(request.method) + len(request.target)
            if len(self._requests) >= KEYS_LIMIT or self._key_bytes + size > KEY_BYTES_LIMIT:
                self._spill(self.take())
            self._key_bytes += size
            self._bytes[key] = 0
        self._requests[key] = (before or 0) + times
        if request.size is None:
            self._unmeasured += times
        else:
            self._bytes[key] += request.size * times
        if request.duration is not None:
            self._count_duration(key, request.duration, times)
        self._lines += times

    def _count_duration(self, key: tuple[bytes, bytes, int], duration: int, times: int) -> None:
        known = self._durations.get(key)
        if known is None:
            known = self._durations[key] = _Durations()
        index = bin_of(duration)
        self._bins += index not in known.bins
        known.bins[index] = known.bins.get(index, 0) + times
        known.total = min(known.total + duration * times, SUM_LIMIT)
        known.longest = max(known.longest, duration)

    def _count_time(self, second: int | None, status: int) -> None:
        begin = None if second is None else second - second % self._span
        if begin not in self._times:
            if len(self._times) >= TIMES_LIMIT:
                self._spill(self.take())
            self._times[begin] = [0] * 10
        self._times[begin][status // 100] += 1

    def _reject(self, reason: str, line: bytes) -> None:
        self._rejects[reason] += 1
        if self._sample is None:
            self._sample = Sample(reason, line[:SAMPLE_LIMIT])


class _Durations:
    """Those of one key."""

    __slots__ = ("bins", "longest", "total")

    def __init__(self) -> None:
        self.bins: dict[int, int] = {}
        self.total = self.longest = 0  # nanoseconds


# Of the combined family: a plain line, whose request has no backslash, and what counts in it. A few `]` may
# stand before, as in `nginx[12]:`, if no blank behind them could make them a time's end.
_PLAIN = (
    rb'(?m)^[^\n\[]*+\[[^\n\]]*+(?:\][^\n \t\]][^\n\]]*+){0,4}\] "'
    rb'([^\n"\\]*+" [0-9]{3} [^\n \t]++).*+$'
)
_PLAIN_CORE = rb'([^"]*+)" ([0-9]{3}) (.++)'


class _Cores:
    """What counts in lines of a text format, found many at a time."""

    def __init__(self, log_format: LogFormat, request: Callable[[Mapping[str, bytes]], Request]) -> None:
        """`request` makes one of what counts, or raises Rejected."""
        self._read = request
        self._known: dict[bytes, Request] = {}
        # With a duration behind them it is the request, of which there is one for each core.
        self._counts: Counter[bytes] | Counter[tuple[Request, bytes]] = Counter()
        self._unit = unit_of(log_format.pieces)
        self._is_behind = False  # whether durations stand behind the cores, and are counted with them
        self._bytes = 0  # of the cores that are known
        if log_format.is_combined:
            self._pattern, self._whole = re.compile(_PLAIN), re.compile(_PLAIN_CORE, re.DOTALL)
            self._roles = [(1, "request"), (2, "status"), (3, "bytes")]
            return
        pieces = log_format.pieces
        roles = [piece.role if isinstance(piece, Field) else None for piece in pieces]
        # Not the time, which few lines share: it is read where it is asked for, and not here.
        counted = [place for place, role in enumerate(roles) if role not in (None, "time", "duration")]
        duration = roles.index("duration") if "duration" in roles else None
        if duration is not None and duration < counted[-1]:
            counted = sorted([*counted, duration])
        # With the literals around, which tell where a field ends.
        first, last = max(counted[0] - 1, 0), counted[-1] + 2
        before = b"".join(patterns_of(pieces)[:first])
        # At the end of the line all that follows is the core, which is looked at closely once.
        core = b"".join(patterns_of(pieces)[first:last]) if last < len(pieces) else b".++"
        start = rb"^(?!\{)" if begins_with_field(pieces) else b"^"  # an object may be around a line
        behind = b""
        if duration is not None and duration not in counted:
            self._is_behind = True
            tail = tail_place(pieces)
            between = b"".join(patterns_of(pieces)[last : duration if tail is None else tail])
            if tail is not None:
                between += b".*" + patterns_of(pieces)[duration - 1]
            behind = between + b"(" + patterns_of(pieces)[duration] + b")"
            behind += b"".join(patterns_of(pieces)[duration + 1 : duration + 2])
        self._pattern = re.compile(b"(?m)" + start + before + b"(" + core + b")" + behind + b".*+$")
        self._whole = re.compile(whole_pattern(pieces[first:last]), re.DOTALL)
        fields = [piece for piece in pieces[first:last] if isinstance(piece, Field)]
        self._roles = [(group, field.role) for group, field in enumerate(fields, 1) if field.role]

    def count(self, block: bytes, lines: int) -> bool:
        """Count a block of so many lines, to be settled later; False, and nothing is counted, if any of them
        needs a closer look."""
        if b"\r" in block or BYTE_ORDER_MARK in block:
            return False
        found = self._pattern.findall(block)
        if len(found) != lines:
            return False
        cores = found
        if self._is_behind:
            cores, durations = map(list, zip(*found, strict=True))
            if max(map(len, durations)) > _DURATION_LIMIT:
                return False
        if not all(map(self._known.__contains__, cores)):
            for core in set(cores).difference(self._known):
                request = self._request_of(core)
                if request is None:
                    return False
                self._known[core] = request
                self._bytes += len(core)
        if self._is_behind:
            found = list(zip(map(self._known.__getitem__, cores), durations, strict=True))
        self._counts.update(found)
        return True

    def _request_of(self, core: bytes) -> Request | None:
        """What a core says; None if only its whole line could tell."""
        match = self._whole.fullmatch(core)
        roles = {role: match[group] for group, role in self._roles} if match else {}
        roles["unit"] = self._unit
        if not roles.get("status"):
            return None
        try:
            return self._read(roles)
        except Rejected:
            return None

    @property
    def is_full(self) -> bool:
        """Whether it is time to settle."""
        return max(len(self._known), len(self._counts)) > _CORES_LIMIT or self._bytes > _CORE_BYTES_LIMIT

    @property
    def held(self) -> tuple[int, int]:
        """How many are known, and their bytes."""
        return max(len(self._known), len(self._counts)), self._bytes

    def forget(self) -> None:
        """Those that are known, if they are many; all is settled."""
        if len(self._known) > _CORES_KEPT or self._bytes > _ENTRY * _CORES_KEPT:
            self._known, self._counts, self._bytes = {}, Counter(), 0

    def settle(self) -> list[tuple[Request, int]]:
        """What was counted since the last call: requests, and how often they came."""
        is_full = self.is_full
        found = [(self._counted(each), times) for each, times in self._counts.items()]
        self._counts.clear()
        if is_full:
            self._known.clear()
            self._bytes = 0
        return found

    def _counted(self, found: bytes | tuple[Request, bytes]) -> Request:
        if isinstance(found, bytes):
            return self._known[found]
        request, duration = found
        roles = {"duration": duration, "unit": self._unit}
        return request._replace(duration=duration_of(roles, request.status))


def _lines_of(block: bytes) -> list[bytes]:
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def _halving(block: bytes) -> int:
    """Where a line begins that has half of a block of several lines before it, or most of that: beside a very
    long line there is no place nearer to the middle. So the line is alone after two steps."""
    middle = len(block) // 2
    after = block.find(b"\n", middle) + 1
    return after if 0 < after < len(block) else block.rfind(b"\n", 0, middle) + 1


def _may_exceed(block: bytes, limit: int) -> bool:
    """Whether a line may be longer than `limit`: none is if every stretch of half of that has a newline."""
    half = limit // 2
    stretches = range(0, len(block) - half + 1, half) if len(block) > limit else ()
    return any(block.find(b"\n", at, at + half) < 0 for at in stretches)
