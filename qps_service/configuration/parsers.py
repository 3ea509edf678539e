"""Text -> the value of a setting. Each raises ValueError with what it expected."""

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Sequence

from qps_service.configuration.path_patterns import PathPattern, references
from qps_service.counting.routes import COLLAPSES
from qps_service.text.regex import regex
from qps_service.text.units import SECOND, format_duration, format_size, parse_duration, parse_size
from qps_service.values.latency import BOUNDS, HISTOGRAMS

_NAME = regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Within:
    """Reads a number; raises ValueError for what is none, and for one that is out of range."""

    def __init__(
        self, read: Callable[[str], int], low: int, high: int, show: Callable[[int], str] = str
    ) -> None:
        self._read, self._low, self._high = read, low, high
        self.range = f"{show(low)} to {show(high)}"  # in words

    def __call__(self, text: str) -> int:
        value = self._read(text)
        if not self._low <= value <= self._high:
            raise ValueError(f"expected from {self.range}")
        return value


def duration(low: int, high: int) -> Within:
    """Reads a duration from `low` to `high`, nanoseconds."""
    return Within(parse_duration, low, high, format_duration)


def size(low: int, high: int) -> Within:
    """Reads a size from `low` to `high`, bytes."""
    return Within(parse_size, low, high, format_size)


def number(low: int, high: int) -> Within:
    """Reads a whole number from `low` to `high`."""
    return Within(_whole, low, high)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("expected a whole number") from None


def parse_start(text: str) -> bool:
    """Where to begin: whether at the start."""
    if text not in ("start", "end"):
        raise ValueError("expected start or end")
    return text == "start"


def parse_keep(text: str) -> bool:
    """What to do with queries, or with hosts: whether to keep them."""
    if text not in ("drop", "keep"):
        raise ValueError("expected drop or keep")
    return text == "keep"


def parse_switch(text: str) -> bool:
    """Whether something is wanted: `true` or `false`, as TOML writes them."""
    if text not in ("true", "false"):
        raise ValueError("expected true or false")
    return text == "true"


def parse_histograms(text: str) -> str:
    """What durations are told by."""
    if text not in HISTOGRAMS:
        raise ValueError(f"expected one of {', '.join(HISTOGRAMS)}")
    return text


def parse_bounds(text: str) -> tuple[int, ...]:
    """Nanoseconds of times with commas between: each a bound of the bins that durations are counted in."""
    return tuple(map(_bound, text.split(",")))


def join_bounds(several: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """All of them, in order."""
    return tuple(sorted({bound for bounds in several for bound in bounds}))


def _bound(text: str) -> int:
    bound = parse_duration(text)
    place = bisect_left(BOUNDS, bound)
    near = [each for each in BOUNDS[max(1, place - 1) : place + 1] if each]
    if bound not in near:
        said = " and ".join(format_duration(each) for each in near)
        raise ValueError(
            f"expected times of two digits from 1 us to 1000 s; nearest to {text.strip()}: {said}"
        )
    return bound


def parse_idle(text: str) -> int | None:
    """How often, nanoseconds; None for not at all."""
    return None if text == "off" else duration(0, 86400 * SECOND)(text)


def parse_collapse(text: str) -> str:
    """The name of a collapse."""
    if text not in COLLAPSES:
        raise ValueError(f"expected some of {', '.join(COLLAPSES)}")
    return text


def parse_template(text: str) -> str:
    """A rule's template."""
    if not text:
        raise ValueError("expected a route")
    return text


def parse_path(text: str) -> str:
    """A path, made absolute."""
    if not text or "\0" in text:
        raise ValueError("expected a path")
    return os.path.abspath(text)


def parse_log(text: str) -> str:
    """The path of a log, or a pattern, made absolute; `-` is standard input."""
    if text == "-":
        return "/dev/stdin"
    path = parse_path(text)
    try:
        PathPattern(path)
    except re.error:
        raise ValueError("expected a range that goes up, as [0-9]") from None
    return path


def parse_naming(text: str) -> str:
    """What makes names of what wildcards stand for."""
    if not references(text) or 0 in references(text):
        raise ValueError("expected a name with {1}, which is what the first wildcard stands for")
    return text


def parse_textfile(text: str) -> str:
    """The path of a file for node_exporter's textfile collector, which reads no other names."""
    path = parse_path(text)
    if not path.endswith(".prom"):
        raise ValueError("expected a path that ends in .prom")
    return path


def parse_host(text: str) -> str:
    """A host's name or address."""
    if not re.fullmatch(r"[A-Za-z0-9_.:%-]{1,253}", text):
        raise ValueError("expected a host name or an address")
    return text


def parse_address(text: str) -> tuple[str, int]:
    """An address, of which an IPv6 one stands in brackets, and a port."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535
    if not colon or not is_port or not _is_address(bare) or (":" in bare) != (bare != host):
        raise ValueError("expected an address and a port, such as 127.0.0.1:9145 or [::1]:9145")
    return bare, int(port)


def _is_address(text: str) -> bool:
    """No name: to look one up may take long."""
    from ipaddress import ip_address

    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def parse_prefix(text: str) -> str:
    """What metrics' names begin with."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64})*", text) or len(text) > 128:
        raise ValueError("expected letters, digits, _ and -, with single dots between")
    return text


def parse_tags(text: str) -> bool:
    """Where labels go: whether into DogStatsD's tags."""
    if text not in ("none", "datadog"):
        raise ValueError("expected none or datadog")
    return text == "datadog"


def parse_name(text: str) -> str:
    """A log's name: it goes into journal fields and reports."""
    if not _NAME.fullmatch(text):
        raise ValueError("expected up to 64 letters, digits, and _ . - after the first")
    return text
