"""The pure scanner: the readable reference for what a line means.

Every line ends in exactly one place: a request under one key, or one reject under one reason.
The reasons:

    fields    the line does not have the format's shape
    not_http  no method, a method that is not an HTTP token (RFC 9110, 5.6.2), an empty route, or a
              `$request` that is not `METHOD target` or `METHOD target HTTP/x`
    status    the status is not three digits
    bytes     the size is neither a number below 2**64 nor `-`
    too_long  the line is longer than the limit
"""

import re
from collections import Counter

from qps_service.logformat import LogFormat
from qps_service.model import SAMPLE_LIMIT, Counts, Key, Sample, Scanned

REASONS = ("fields", "not_http", "status", "bytes", "too_long")

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (.+?)(?: HTTP/[0-9.]+)?", re.DOTALL)
_STATUS = re.compile(rb"[0-9]{3}")
_BYTES = re.compile(rb"[0-9]{1,20}")  # 2**64 - 1 has 20 digits
_BYTES_LIMIT = 2**64


class PureScanner:
    """Counts the lines of blocks; `take` hands the counts over and starts anew."""

    name = "py"

    def __init__(self, log_format: LogFormat, max_line: int) -> None:
        """`max_line`: bytes of the longest line that is looked at, without its newline."""
        self._format = log_format
        self._max_line = max_line
        self._clear()

    def scan(self, block: bytes) -> None:
        """Count each line of `block`; a last line without newline counts as a line."""
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        self._lines += len(lines)
        for line in lines:
            try:
                key, size = self._parse(line)
            except _Rejected as rejected:
                self._reject(rejected.args[0], line)
            else:
                self._requests[key] += 1
                self._bytes[key] += size

    def reject_oversize(self, start: bytes) -> None:
        """Count a line that was too long to be handed over; `start` is its beginning."""
        self._lines += 1
        self._reject("too_long", start)

    def take(self) -> Scanned:
        """What was found since the last call."""
        counts = {key: Counts(requests, self._bytes[key]) for key, requests in self._requests.items()}
        scanned = Scanned(self._lines, counts, self._rejects, self._sample)
        self._clear()
        return scanned

    def _clear(self) -> None:
        self._lines = 0
        self._requests: Counter[Key] = Counter()
        self._bytes: Counter[Key] = Counter()
        self._rejects: Counter[str] = Counter()
        self._sample: Sample | None = None

    def _reject(self, reason: str, line: bytes) -> None:
        self._rejects[reason] += 1
        if self._sample is None:
            self._sample = Sample(reason, line[:SAMPLE_LIMIT])

    def _parse(self, line: bytes) -> tuple[Key, int]:
        if line.endswith(b"\r"):
            line = line[:-1]
        if len(line) > self._max_line:
            raise _Rejected("too_long")
        match = self._format.pattern.fullmatch(line)
        status = match["status"] if match else b""
        if self._format.lenient and not _STATUS.fullmatch(status):
            match = self._format.lenient.fullmatch(line) or match
        if match is None:
            raise _Rejected("fields")
        found = match.groupdict()
        if "request" in found:
            request = _REQUEST.fullmatch(found["request"])
            if request is None:
                raise _Rejected("not_http")
            method, route = request.groups()
        else:
            method, route = found.get("method", b"-"), found["route"]
            if not _TOKEN.fullmatch(method) or not route:
                raise _Rejected("not_http")
        if not _STATUS.fullmatch(found["status"]):
            raise _Rejected("status")
        return Key(method, route, int(found["status"])), _size(found.get("bytes", b"-"))


class _Rejected(Exception):  # noqa: N818  it is an outcome, not an error
    """Why a line is no request."""


def _size(text: bytes) -> int:
    if text == b"-":
        return 0
    if not _BYTES.fullmatch(text) or int(text) >= _BYTES_LIMIT:
        raise _Rejected("bytes")
    return int(text)
