"""What is configured, as frozen values: one for each log and each output, and all of it.

settings.py says what each can be and is by default, loader.py makes them.
"""

from collections.abc import Iterable
from typing import NamedTuple

from qps_service.counting.budget import MAX_ROWS
from qps_service.counting.routes import Routes
from qps_service.counting.rules import Limited, Rule, apply_all
from qps_service.formats.presets import LogFormat
from qps_service.text.units import SECOND
from qps_service.values.history import History
from qps_service.values.latency import BUCKETS, BY_LOG


class LogConfig(NamedTuple):
    """One log to follow."""

    name: str
    path: str  # absolute
    format: LogFormat
    start: bool  # whether what is there at the first look counts
    max_routes: int
    max_route: int  # bytes
    keep_query: bool
    collapse: tuple[str, ...]  # names of routes.COLLAPSES
    max_line: int  # bytes
    quiet: int  # nanoseconds
    open_generations: int
    max_rows: int = MAX_ROWS  # of all logs together
    retired: int = 1 << 62  # bytes of the ledger for files of it that were read and closed
    rules: tuple[Rule, ...] = ()  # in the order in which they are applied
    # Absolute paths of all logs; the others may be named like rotated files of this one.
    logs: frozenset[str] = frozenset()
    was: str | None = None  # its name before, under which the ledger may have its totals
    # Whether `path` has wildcards, so that this stands for a log for each match (service/patterns.py).
    is_pattern: bool = False
    naming: str | None = None  # what makes the names of such logs; None where the wildcards do
    of: str | None = None  # the pattern that it is a match of
    begun: int | None = None  # from which byte on it is ours, where that is neither its start nor its end
    keep_host: bool = False  # whether the virtual host is a part of the route
    former: tuple[str, ...] = ()  # paths of what was rotated away from it before it was first looked at

    def routes(self, limited: Limited = apply_all) -> Routes:
        """What makes routes of its targets, new; `limited` applies rules within their time."""
        given = (self.rules, self.collapse, self.keep_query, self.max_route)
        return Routes(*given, limited, len(self.logs), self.keep_host)


MAX_ANSWER = 32 << 20  # bytes


class PrometheusConfig(NamedTuple):
    """`[output.prometheus]`."""

    listen: tuple[str, int]  # host and port
    max_answer: int = MAX_ANSWER
    latency: str = BY_LOG  # what durations are told by
    latency_bounds: tuple[int, ...] = BUCKETS  # of their buckets, nanoseconds, in order


class GangliaConfig(NamedTuple):
    """`[output.ganglia]`."""

    gmond_conf: str | None  # absolute path; in place of host and port
    host: str
    port: int
    dmax: int  # nanoseconds
    interval: int  # of reports, nanoseconds


class StatsdConfig(NamedTuple):
    """`[output.statsd]`."""

    host: str
    port: int
    prefix: str
    tags: bool  # whether log, method, route and status become DogStatsD tags
    datagram: int  # bytes, at most


class GraphiteConfig(NamedTuple):
    """`[output.graphite]`."""

    host: str
    port: int
    prefix: str


class JsonConfig(NamedTuple):
    """`[output.json]`."""

    path: str  # absolute


class TextfileConfig(NamedTuple):
    """`[output.textfile]`."""

    path: str  # absolute
    max_answer: int = MAX_ANSWER
    latency: str = BY_LOG  # as in PrometheusConfig
    latency_bounds: tuple[int, ...] = BUCKETS


class JournalConfig(NamedTuple):
    """`[output.journal]`: the journal is an output where there is one, whether that stands there or not."""

    rows: int = 20  # of a report, at most
    idle: int | None = (
        3600 * SECOND
    )  # nanoseconds between two entries of a log without requests; None for none


OutputConfig = PrometheusConfig | GangliaConfig | StatsdConfig | GraphiteConfig | JsonConfig | TextfileConfig


class Fragment(NamedTuple):
    """A file of conf.d."""

    path: str
    sets: tuple[str, ...]  # keys at its top and tables, such as log.access


class Config(NamedTuple):
    """Everything that can be set."""

    interval: int  # nanoseconds
    state: str | None  # absolute path of a directory
    history: History
    logs: tuple[LogConfig, ...]
    source: str | None  # the file it was read from
    outputs: tuple[OutputConfig, ...] = ()  # those beside stdout and journal
    max_rows: int = MAX_ROWS  # of all logs together
    max_logs: int = 256  # that patterns make, those among them that the ledger has
    fragments: tuple[Fragment, ...] = ()  # read after `source`, in this order
    journal: JournalConfig = JournalConfig()
    shows_latency: bool = False  # whether the text of reports tells durations, wherever it goes

    def file_of(self, where: str) -> str | None:
        """The file in which this key path stands, or would."""
        return file_of(where, self.source, self.fragments)


def file_of(where: str, source: str | None, fragments: Iterable[Fragment]) -> str | None:
    """The fragment that sets this key path, or what holds it; `source` if none does."""
    for fragment in fragments:
        if any(f"{where}.".startswith(f"{part}.") for part in fragment.sets):
            return fragment.path
    return source
