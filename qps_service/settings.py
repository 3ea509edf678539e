"""Every setting, once: its key in the file, its flag, its environment variable, its default, its words.

The command line, the environment and the configuration file are read by this one table, so that
they can't differ in what they accept.
"""

import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from qps_service.logformat import NAMES, compile_format
from qps_service.routes import COLLAPSES, compile_match
from qps_service.units import SECOND, format_duration, format_size, parse_duration, parse_size

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


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


class Setting(NamedTuple):
    """One thing that can be set. `parse` turns text into the value; it raises ValueError with what
    was expected, or FormatError with the place, too."""

    key: str
    parse: Callable[[str], Any]
    default: str | None
    metavar: str
    help: str
    flag: bool = False  # whether `--KEY` and `QPS_REPORTER_KEY` exist
    several: bool = False  # whether the file has a list, each of whose texts `parse` takes; none by default
    field: str | None = None  # its field in the configuration, where that has another name

    @property
    def attribute(self) -> str:
        """Its field in the configuration."""
        return self.field or self.key

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"QPS_REPORTER_{self.key.upper()}"

    @property
    def range(self) -> str | None:
        """From where to where it goes, for a number."""
        return self.parse.range if isinstance(self.parse, Within) else None


def _duration(low: int, high: int) -> Within:
    return Within(parse_duration, low, high, format_duration)


def _size(low: int, high: int) -> Within:
    return Within(parse_size, low, high, format_size)


def _number(low: int, high: int) -> Within:
    return Within(_whole, low, high)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("expected a whole number") from None


def _from_start(text: str) -> bool:
    if text not in ("start", "end"):
        raise ValueError("expected start or end")
    return text == "start"


def _keep_query(text: str) -> bool:
    if text not in ("drop", "keep"):
        raise ValueError("expected drop or keep")
    return text == "keep"


def _collapse(text: str) -> str:
    if text not in COLLAPSES:
        raise ValueError(f"expected some of {', '.join(COLLAPSES)}")
    return text


def _template(text: str) -> str:
    if not text:
        raise ValueError("expected a route")
    return text


def _path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("expected a path")
    return os.path.abspath(text)


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:%-]{1,253}", text):
        raise ValueError("expected a host name or an address")
    return text


def _address(text: str) -> tuple[str, int]:
    """A host, of which an IPv6 one stands in brackets, and a port."""
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


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64})*", text) or len(text) > 128:
        raise ValueError("expected letters, digits, _ and -, with single dots between")
    return text


def _tags(text: str) -> bool:
    if text not in ("none", "datadog"):
        raise ValueError("expected none or datadog")
    return text == "datadog"


def parse_name(text: str) -> str:
    """A log's name: it goes into journal fields and reports. Raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError("expected up to 64 letters, digits, and _ . - after the first")
    return text


SERVICE = (
    Setting(
        "interval",
        _duration(SECOND // 10, 86400 * SECOND),
        "10s",
        "TIME",
        "time between two reports, such as 10s, 500ms or 1m",
        flag=True,
    ),
    Setting(
        "state",
        _path,
        None,
        "DIR",
        "directory for the ledger, which one process at a time may use; counts live in memory without one "
        "(default: none, under systemd $STATE_DIRECTORY)",
        flag=True,
    ),
)

HISTORY = (
    Setting(
        "keep",
        _duration(0, 3650 * 86400 * SECOND),
        "7d",
        "TIME",
        "how long the ledger keeps windows; totals are kept for good",
    ),
    Setting(
        "max_size",
        _size(1 << 20, 1 << 40),
        "64MiB",
        "SIZE",
        "how large the ledger may become; the oldest windows are merged or dropped for it",
    ),
)

LOG = (
    Setting("path", _path, None, "LOG", "the log to follow"),
    Setting(
        "format",
        compile_format,
        "default",
        "FORMAT",
        f"the log's line format: {', '.join(NAMES)}, or as it stands in the configuration of nginx "
        "(log_format) or Apache (LogFormat)",
        flag=True,
    ),
    Setting(
        "start",
        _from_start,
        "end",
        "WHERE",
        "where to begin in a log that is there already: end, or start (counted in the totals, not in a rate)",
        flag=True,
    ),
    Setting(
        "max_routes",
        _number(1, 1_000_000),
        "1000",
        "N",
        "routes that are told apart, by their traffic; what others get is counted as `other`",
    ),
    Setting(
        "max_route",
        _size(16, 1 << 16),
        "1KiB",
        "SIZE",
        "longest route that is told apart; longer ones are counted as `other`",
    ),
    Setting(
        "query",
        _keep_query,
        "drop",
        "WHAT",
        "what to do with a target's query and fragment: drop, or keep (a part of the route)",
        field="keep_query",
    ),
    Setting(
        "collapse",
        _collapse,
        None,
        "LIST",
        "segments of a path that become placeholders: numeric, uuid, hex, date (default: none)",
        several=True,
    ),
    Setting(
        "max_line",
        _size(256, 1 << 20),
        "64KiB",
        "SIZE",
        "longest line that is read; longer ones are rejected as `too_long`",
    ),
    Setting(
        "quiet",
        _duration(SECOND, 86400 * SECOND),
        "60s",
        "TIME",
        "how long a rotated file must be quiet before it is let go, where its writers cannot be seen",
    ),
    Setting(
        "open_generations",
        _number(2, 100_000),
        "512",
        "N",
        "how many rotated files are kept open at most, while they may still be written to",
    ),
)

RULE = (
    Setting("match", compile_match, None, "REGEX", "a regular expression that is searched for in the route"),
    Setting(
        "name",
        _template,
        None,
        "TEMPLATE",
        r"what the route becomes where it is found; `\1` and `\g<name>` stand for what the groups found",
    ),
)

_HOST = Setting("host", _host, "127.0.0.1", "HOST", "who is sent to: a name or an address")


def _port(default: int) -> Setting:
    return Setting("port", _number(1, 65535), str(default), "N", "its port")


_PREFIX = Setting("prefix", _prefix, "qps", "TEXT", "what every name begins with")

# A table [output.NAME] each: an output is on where its table stands.
OUTPUTS = {
    "prometheus": (
        Setting(
            "listen",
            _address,
            "127.0.0.1:9145",
            "ADDRESS",
            "where to answer scrapes: an address and a port; qps-reporter.socket goes before it",
        ),
    ),
    "ganglia": (
        Setting(
            "gmond_conf",
            _path,
            None,
            "FILE",
            "a gmond.conf, to whose udp_send_channel sections to send, in place of host and port",
        ),
        _HOST,
        _port(8649),
        Setting(
            "dmax",
            _duration(60 * SECOND, 30 * 86400 * SECOND),
            "1h",
            "TIME",
            "after how long gmond forgets a metric of which nothing comes",
        ),
    ),
    "statsd": (
        _HOST,
        _port(8125),
        _PREFIX,
        Setting(
            "tags",
            _tags,
            "none",
            "WHAT",
            "where to put log, method, route and status: none (all into the name), or datadog (into tags)",
        ),
        Setting(
            "datagram",
            _size(128, 65507),
            "1432",
            "SIZE",
            "the largest datagram: so many metrics go into one as fit",
        ),
    ),
    "graphite": (_HOST, _port(2003), _PREFIX),
    "json": (Setting("path", _path, None, "FILE", "the file to append a line to for each report"),),
    "textfile": (
        Setting(
            "path",
            _path,
            None,
            "FILE",
            "a .prom file in the directory of node_exporter's textfile collector; each report replaces it",
        ),
    ),
}

BY_KEY = {setting.key: setting for setting in (*SERVICE, *HISTORY, *LOG, *RULE)}
