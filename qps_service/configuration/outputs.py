"""Every output that can be configured, once: a row says all that the rest of the program has to know of it.

To add one: its settings' values in types.py, a row here, and a module in qps_service/outputs (its `base`
tells what an output is). The command line, `check`, the man page and the outputs' tests read this table.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from qps_service.configuration.parsers import (
    duration,
    join_bounds,
    number,
    parse_address,
    parse_bounds,
    parse_histograms,
    parse_host,
    parse_idle,
    parse_path,
    parse_prefix,
    parse_tags,
    parse_textfile,
    size,
)
from qps_service.configuration.settings import Setting
from qps_service.configuration.types import (
    MAX_ANSWER,
    GangliaConfig,
    GraphiteConfig,
    JsonConfig,
    OutputConfig,
    PrometheusConfig,
    StatsdConfig,
    TextfileConfig,
)
from qps_service.text.endpoint import endpoint
from qps_service.text.escape import show_path
from qps_service.text.units import SECOND, format_duration, format_size
from qps_service.values.latency import BUCKETS, BY_LOG


class Library(NamedTuple):
    """What an output needs besides."""

    name: str
    package: str  # Debian's, that has it


class OutputKind(NamedTuple):
    """What can stand in the file as `[output.NAME]`: the output is on where its table stands."""

    name: str
    config: type[OutputConfig]  # its fields are the settings, and those of the service that it is told
    settings: tuple[Setting, ...]  # one called `path` is the file that it writes: it must be set
    factory: str  # MODULE:CLASS, which qps_service.outputs.registry loads when it is wanted
    where: Callable[[Any], str]  # where a config leads, as `check` shows it
    library: Library | None = None
    answers: bool = False  # whether it waits for questions, on sockets that systemd may have opened


_HOST = Setting("host", parse_host, "127.0.0.1", "HOST", "who is sent to: a name or an address")


def _port(default: int) -> Setting:
    return Setting("port", number(1, 65535), str(default), "N", "its port")


_LISTEN = Setting(
    "listen",
    parse_address,
    "127.0.0.1:9145",
    "ADDRESS",
    "where to answer scrapes: an address and a port; qps-reporter.socket goes before it",
)
_MAX_ANSWER = Setting(
    "max_answer",
    size(1 << 16, 1 << 30),
    format_size(MAX_ANSWER),
    "SIZE",
    "the largest text of all metrics; where it would be larger, there is none, and that is said",
)
_LATENCY = Setting(
    "latency",
    parse_histograms,
    BY_LOG,
    "WHAT",
    "what the histograms of durations are told apart by, beside the class of the status: log, route, or off "
    "for none",
)
_BOUNDS = Setting(
    "latency_bounds",
    parse_bounds,
    ", ".join(format_duration(each) for each in BUCKETS),
    "TIMES",
    "the upper bounds of their buckets, as a list; each has two digits at most",
    join=join_bounds,
)
_GMOND_CONF = Setting(
    "gmond_conf",
    parse_path,
    None,
    "FILE",
    "a gmond.conf, to whose udp_send_channel sections to send, in place of host and port",
)
_DMAX = Setting(
    "dmax",
    duration(60 * SECOND, 30 * 86400 * SECOND),
    "1h",
    "TIME",
    "after how long gmond forgets a metric of which nothing comes",
)
_TAGS = Setting(
    "tags",
    parse_tags,
    "none",
    "WHAT",
    "where to put log, method, route and status: none (all into the name), or datadog (into tags)",
)
_DATAGRAM = Setting(
    "datagram",
    size(128, 65507),
    "1432",
    "SIZE",
    "the largest datagram: so many metrics go into one as fit",
)
_TEXTFILE = Setting(
    "path",
    parse_textfile,
    None,
    "FILE",
    "a .prom file in the directory of node_exporter's textfile collector; each report replaces it",
)
_FILE = Setting("path", parse_path, None, "FILE", "the file to append a line to for each report")
_PREFIX = Setting("prefix", parse_prefix, "qps", "TEXT", "what every name begins with")
_PROMETHEUS = Library("prometheus_client", "python3-prometheus-client")


def _where_ganglia(config: GangliaConfig) -> str:
    if config.gmond_conf is not None:
        return f"to the udp_send_channels of {show_path(config.gmond_conf)}"
    return f"UDP to {endpoint(config.host, config.port)}"


_ROWS = (
    OutputKind(
        "prometheus",
        PrometheusConfig,
        (_LISTEN, _MAX_ANSWER, _LATENCY, _BOUNDS),
        "qps_service.outputs.prometheus.output:PrometheusOutput",
        lambda config: f"listens on {endpoint(*config.listen)}, or on the socket that systemd passes",
        _PROMETHEUS,
        answers=True,
    ),
    OutputKind(
        "ganglia",
        GangliaConfig,
        (_GMOND_CONF, _HOST, _port(8649), _DMAX),
        "qps_service.outputs.ganglia.output:GangliaOutput",
        _where_ganglia,
    ),
    OutputKind(
        "statsd",
        StatsdConfig,
        (_HOST, _port(8125), _PREFIX, _TAGS, _DATAGRAM),
        "qps_service.outputs.statsd:StatsdOutput",
        lambda config: f"UDP to {endpoint(config.host, config.port)}",
    ),
    OutputKind(
        "graphite",
        GraphiteConfig,
        (_HOST, _port(2003), _PREFIX),
        "qps_service.outputs.graphite:GraphiteOutput",
        lambda config: f"TCP to {endpoint(config.host, config.port)}",
    ),
    OutputKind(
        "json",
        JsonConfig,
        (_FILE,),
        "qps_service.outputs.json_lines:JsonOutput",
        lambda config: show_path(config.path),
    ),
    OutputKind(
        "textfile",
        TextfileConfig,
        (_TEXTFILE, _MAX_ANSWER, _LATENCY, _BOUNDS),
        "qps_service.outputs.textfile:TextfileOutput",
        lambda config: show_path(config.path),
        _PROMETHEUS,
    ),
)

# The journal is an output where there is one: its table says how much goes into it.
JOURNAL = (
    Setting(
        "rows",
        number(0, 1_000_000),
        "20",
        "N",
        "rows of a report at most: those with a 5xx first, then those with the most requests; one more row, "
        "`rest`, has the sum of the others",
    ),
    Setting(
        "idle",
        parse_idle,
        "1h",
        "TIME",
        "how often a log without requests has an entry, of one line: a time, 0 (a report for each window) "
        "or off (never)",
    ),
)

OUTPUTS = {kind.name: kind for kind in _ROWS}


# Every table [output.NAME], and what can stand in it.
TABLES = {"journal": JOURNAL, **{name: kind.settings for name, kind in OUTPUTS.items()}}


def kind_of(config: OutputConfig) -> OutputKind:
    """Its row. Configs are tuples, and those of two kinds may be equal: the type tells."""
    return next(kind for kind in _ROWS if kind.config is type(config))
