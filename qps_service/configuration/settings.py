"""Every setting, once: its key in the file, its flag, its environment variable, its default, its words.
Those of an output stand in its row of outputs.py.

The command line, the environment and the configuration file are read by this one table, so that
they can't differ in what they accept.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from qps_service.configuration.parsers import (
    Within,
    duration,
    number,
    parse_collapse,
    parse_keep,
    parse_log,
    parse_name,
    parse_naming,
    parse_path,
    parse_start,
    parse_switch,
    parse_template,
    size,
)
from qps_service.counting.budget import MAX_ROWS
from qps_service.counting.rules import compile_match
from qps_service.formats.presets import as_list, compile_format
from qps_service.text.units import SECOND


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
    # What makes one value of several: of a list, or a flag that is given several times; raises ValueError.
    join: Callable[[Sequence[Any]], Any] | None = None
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


SERVICE = (
    Setting(
        "interval",
        duration(SECOND // 10, 86400 * SECOND),
        "10s",
        "TIME",
        "time between two reports, such as 10s, 500ms or 1m",
        flag=True,
    ),
    Setting(
        "state",
        parse_path,
        None,
        "DIR",
        "directory for the ledger, which one process at a time may use; counts live in memory without one "
        "(default: none, under systemd $STATE_DIRECTORY)",
        flag=True,
    ),
    Setting(
        "max_rows",
        number(1000, 10_000_000),
        str(MAX_ROWS),
        "N",
        "rows (a method, a route, a status) that are told apart in all logs together; where they are short, "
        "methods and then routes are counted as `other`",
    ),
    Setting(
        "max_logs",
        number(1, 4096),
        "256",
        "N",
        "logs that the patterns of `path` may make, with those that the ledger has of earlier ones; further "
        "matches are not followed",
    ),
)

HISTORY = (
    Setting(
        "keep",
        duration(0, 3650 * 86400 * SECOND),
        "15d",
        "TIME",
        "how long the ledger keeps windows; totals are kept for good",
    ),
    Setting(
        "max_size",
        size(1 << 20, 1 << 40),
        "256MiB",
        "SIZE",
        "how large the ledger may become; the oldest windows are merged or dropped for it",
    ),
)

REPORTS = (
    Setting(
        "latency",
        parse_switch,
        "false",
        "BOOL",
        "whether the text tells how long requests took, a line for each route, in the journal and in files, "
        "too; on a terminal it does in any case",
    ),
)

LOG = (
    Setting(
        "path",
        parse_log,
        None,
        "LOG",
        "the log to follow: a file, a FIFO, or - for standard input; with the wildcards `*`, `?` and `[abc]` "
        "a log for each match",
    ),
    Setting(
        "name",
        parse_naming,
        None,
        "NAME",
        "how the logs are named that a `path` with wildcards finds: `{1}` is what the first of them stands "
        "for (default: what all of them stand for)",
        field="naming",
    ),
    Setting(
        "format",
        compile_format,
        "auto",
        "FORMAT",
        "the log's line format: auto, a name such as combined, json or haproxy, or as it stands in the "
        "configuration of nginx (log_format) or Apache (LogFormat); of several the first that gives a status "
        "counts a line",
        flag=True,
        join=as_list,
    ),
    Setting(
        "start",
        parse_start,
        "end",
        "WHERE",
        "where to begin in a log that is there already: end, or start (counted in the totals, not in a rate)",
        flag=True,
    ),
    Setting(
        "max_routes",
        number(1, 1_000_000),
        "1000",
        "N",
        "routes that are told apart, by their traffic; what others get is counted as `other`",
    ),
    Setting(
        "max_route",
        size(16, 1 << 16),
        "1KiB",
        "SIZE",
        "longest route that is told apart; longer ones are counted as `other`",
    ),
    Setting(
        "query",
        parse_keep,
        "drop",
        "WHAT",
        "what to do with a target's query and fragment: drop, or keep (a part of the route)",
        field="keep_query",
    ),
    Setting(
        "host",
        parse_keep,
        "drop",
        "WHAT",
        "what to do with the virtual host that lines tell: drop, or keep (a part of the route, before its "
        "path: shop.example/cart)",
        field="keep_host",
    ),
    Setting(
        "collapse",
        parse_collapse,
        None,
        "LIST",
        "segments of a path that become placeholders: numeric, uuid, hex, date (default: none)",
        several=True,
    ),
    Setting(
        "max_line",
        size(256, 1 << 20),
        "64KiB",
        "SIZE",
        "longest line that is read; longer ones are rejected as `too_long`",
    ),
    Setting(
        "quiet",
        duration(SECOND, 86400 * SECOND),
        "60s",
        "TIME",
        "how long a rotated file must be quiet before it is let go, where its writers cannot be seen",
    ),
    Setting(
        "open_generations",
        number(2, 100_000),
        "512",
        "N",
        "how many rotated files are kept open at most, while they may still be written to",
    ),
    Setting(
        "was",
        parse_name,
        None,
        "NAME",
        "the name that the log had before: where the ledger has no log of the new name, the totals of the "
        "old one go on under it",
    ),
)

RULE = (
    Setting("match", compile_match, None, "REGEX", "a regular expression that is searched for in the route"),
    Setting(
        "name",
        parse_template,
        None,
        "TEMPLATE",
        r"what the route becomes where it is found; `\1` and `\g<name>` stand for what the groups found",
    ),
)

# The name is that of a rule; that of a log has no other place than its table.
BY_KEY = {setting.key: setting for setting in (*SERVICE, *HISTORY, *REPORTS, *LOG, *RULE)}
