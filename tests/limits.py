"""The bounds of docs/reference/limits.md: where the figure of each stands in the code, and who reaches it.

A limit has a row on the page, a line in LIMITS below, and a twin `Doubled(...)` beside the check that
reaches it. tests/project/test_limits.py holds the three together.
"""

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from qps_service.configuration import loader, outputs, settings
from qps_service.configuration.settings import Setting
from qps_service.files.compression import Compression
from qps_service.text.units import SECOND
from tests.promised import Patches


class Doubled(Patches):
    """A bound that lets in twice as much."""

    def __init__(self, at: str, *, to: Any = None, by: Patches | None = None) -> None:
        """`at` as in Limit. `to` is the double of what is no number, or lets in more where it is less. `by`
        is what doubles it where something was made of the constant when its module was loaded."""
        self.at = at
        if by:
            super().__init__(*by.patches)
        elif ":" in at:
            module, name, value = constant(at)
            super().__init__((module, name, 2 * value if to is None else to))
        else:
            super().__init__(*_doubled_default(at))

    def __str__(self) -> str:
        return f"{self.at.rpartition(':')[2].strip('_')} doubled"


class Limit(NamedTuple):
    """One row of the page."""

    at: str  # MODULE:CONSTANT below qps_service, as whoever heeds it has it; or the key of a setting
    reached_by: str  # the module below tests/unit with its doubled twin
    figure: Callable[[Any], float] = lambda value: value  # what the page has: a number, bytes or nanoseconds

    @property
    def setting(self) -> str | None:
        """The key, where it can be set."""
        return None if ":" in self.at else self.at

    @property
    def value(self) -> float:
        """What it is now, where nothing is configured."""
        return self.figure(constant(self.at)[2] if ":" in self.at else default_of(self.at))


def default_of(key: str) -> Any:
    """What a setting is where nobody sets it; numbers, bytes or nanoseconds."""
    setting = settings_by_key()[key]
    return setting.parse(setting.default or "")


def constant(at: str) -> tuple[Any, str, Any]:
    """The module, its name there, and its value."""
    module, _, name = at.partition(":")
    owner = import_module(f"qps_service.{module}")
    return owner, name, getattr(owner, name)


def settings_by_key() -> Mapping[str, Setting]:
    """By the names that docs/reference/settings.md has for them."""
    tables = {
        "": (*settings.SERVICE, *settings.LOG),
        "history.": settings.HISTORY,
        "report.": settings.REPORTS,
    }
    tables |= {f"{name}.": settings for name, settings in outputs.TABLES.items()}
    return {f"{above}{each.key}": each for above, table in tables.items() for each in table}


def _doubled_default(key: str) -> list[tuple[object, str, Any]]:
    """What is to be patched for the loader to find another default."""
    old = settings_by_key()[key]
    new = old._replace(default=re.sub("[0-9]+", lambda found: str(2 * int(found[0])), old.default or ""))

    def renewed(table: tuple[Setting, ...]) -> tuple[Setting, ...]:
        return tuple(new if each is old else each for each in table)

    kinds = {name: kind._replace(settings=renewed(kind.settings)) for name, kind in outputs.OUTPUTS.items()}
    named = ("SERVICE", "LOG", "HISTORY", "REPORTS", "JOURNAL")
    tables = [(loader, name, renewed(getattr(loader, name))) for name in named]
    return [*tables, (loader, "OUTPUTS", kinds)]


SERVER, SCRAPES = "network.http_server:", "outputs.prometheus.output:"
GMOND, FOLLOWING = "outputs.ganglia.", "following."


def _times(other: str) -> Callable[[float], float]:
    """Together with another constant."""
    return lambda value: value * constant(other)[2]


def _in_seconds(seconds: float) -> float:
    return seconds * SECOND


def _memory(compression: Compression) -> float:
    return compression.memory


# By the first cell of their rows.
LIMITS = {
    # Reading
    "Length of a line": Limit("max_line", "test_limits"),
    "Objects and arrays within one another, in JSON": Limit(
        "formats.json_members:DEPTH_LIMIT", "test_limits"
    ),
    "Length of a `#Fields` or other directive, in W3C logs": Limit(
        "formats.w3c:DIRECTIVE_LIMIT", "scanning.test_w3c"
    ),
    "Fields of a line that `#Fields` names": Limit("formats.w3c:FIELDS_LIMIT", "scanning.test_w3c"),
    "Where `#Fields` is looked for, if a log is not read from its start": Limit(
        "formats.w3c:LOOK_BACK", "scanning.test_w3c"
    ),
    "Members that a JSON format names": Limit("formats.json_lines:MEMBERS_LIMIT", "test_limits"),
    "Formats in a list": Limit("formats.presets:LIST_LIMIT", "test_limits"),
    "Lines by which `auto` chooses": Limit("formats.detection:VOTES", "scanning.test_auto"),
    "Text that waits for that": Limit("scanning.auto:WAITING", "scanning.test_auto"),
    "Recent lines by which a format is doubted": Limit("scanning.auto:RECENT", "scanning.test_auto"),
    "Time between two messages that nothing fits": Limit(
        "service.pipeline:UNFIT_SAID_EVERY", "scanning.test_auto"
    ),
    "Part of a rejected line that a message shows": Limit("scanning.pure:SAMPLE_LIMIT", "test_limits"),
    "Memory to unpack a file, xz": Limit("files.compressed:XZ", "files.test_compressed", _memory),
    "Memory to unpack a file, Zstandard": Limit("files.compressed:ZSTD", "files.test_compressed", _memory),
    "Memory to unpack files, of all logs together": Limit("files.unpacking:LIMIT", "files.test_unpacking"),
    "Part of a compressed file that holds no text": Limit("files.compressed:BARREN", "files.test_compressed"),
    "What is counted and not yet taken over, of all logs, memory": Limit(
        "service.pipeline:COUNTED_LIMIT", "service.test_pipeline"
    ),
    "Time between two looks": Limit("service.daemon:TICK", "service.test_many_logs"),
    "Time of a look after which no further log is begun": Limit(
        "service.daemon:TURN", "service.test_many_logs"
    ),
    "Wake-ups by other files beside the log": Limit("service.daemon:HINTS_APART", "service.test_answers"),
    # Routes and rows
    "Routes of a log that are told apart": Limit("max_routes", "test_limits"),
    "Length of a route": Limit("max_route", "test_limits"),
    "Length of a virtual host that is kept": Limit("counting.routes:HOST_LIMIT", "scanning.test_hosts"),
    "Logs that patterns make, with those in the ledger": Limit("max_logs", "service.test_patterns"),
    "Directories that a pattern looks into": Limit("service.patterns:DIRECTORIES", "service.test_patterns"),
    "Places for rows, of all logs together": Limit("max_rows", "counting.test_rows"),
    "Bins of durations, of all logs together": Limit("counting.budget:MAX_BINS", "counting.test_durations"),
    "Text of a route that a place has room for": Limit("counting.rows:LONG", "counting.test_rows"),
    "Rows with a method that a route has room for": Limit("counting.rows:METHOD_ROWS", "counting.test_rows"),
    "Listed statuses that a route has room for": Limit("counting.rows:STATUS_ROWS", "counting.test_rows"),
    "Methods that are not registered": Limit("counting.methods:INVENTED_LIMIT", "counting.test_methods"),
    "Length of such a method": Limit("counting.methods:INVENTED_LENGTH", "counting.test_methods"),
    "Targets of a log whose routes are remembered": Limit(
        "counting.routes:CACHE_ENTRIES", "counting.test_routes", lambda entries: 2 * entries
    ),
    "Text of these targets and routes, memory": Limit(
        "counting.routes:CACHE_BYTES", "counting.test_routes", lambda size: 2 * size
    ),
    "Logs that have so much of both": Limit("counting.routes:CACHES", "counting.test_routes"),
    "Rules of a log, on one target": Limit("service.rule_time:LIMIT", "service.test_rule_time"),
    "Rules of all logs": Limit("service.rule_time:BUDGET", "service.test_rule_time"),
    "Routes that `summarize` tells apart": Limit("commands.summarize:MAX_ROUTES", "test_limits"),
    # The ledger
    "Size of the file, with its history": Limit("history.max_size", "ledger.test_retention"),
    "Age of a window": Limit("history.keep", "ledger.test_retention"),
    "Age of a window as it was reported": Limit("ledger.retention:MINUTES_AFTER", "ledger.test_retention"),
    "Age of a minute": Limit("ledger.retention:HOURS_AFTER", "ledger.test_retention"),
    "Possible losses of a log that are kept": Limit("ledger.rows:LOSSES_LIMIT", "ledger.test_ledger"),
    "Events of a log, or of the service, that are kept": Limit(
        "ledger.rows:EVENTS_LIMIT", "service.test_events"
    ),
    "Events of all logs that are kept": Limit("ledger.rows:ALL_EVENTS_LIMIT", "service.test_events"),
    "Text of an event, characters": Limit("ledger.rows:EVENT_TEXT_LIMIT", "service.test_events"),
    "Write-ahead log that stays on the disk": Limit("ledger.database:WAL_LIMIT", "ledger.test_database"),
    "Wait for another program's lock": Limit("ledger.database:BUSY", "ledger.test_database", _in_seconds),
    "Windows of all logs that wait to be written": Limit("ledger.outbox:WAITING_LIMIT", "ledger.test_writer"),
    "Tries to open the ledger again": Limit("ledger.writer:REOPEN", "ledger.test_writer"),
    "Rows of these windows": Limit("ledger.outbox:ROWS_LIMIT", "ledger.test_outbox"),
    "Messages on windows dropped for their size": Limit(
        "ledger.writer:DROPPED_SAID_EVERY", "ledger.test_writer"
    ),
    "Ledger of an older schema that a reader copies, memory": Limit(
        "ledger.database:COPY_LIMIT", "ledger.test_schema"
    ),
    # Which file is which
    "Files of a log that are open, with rotated ones": Limit("open_generations", "test_limits"),
    "Time without a write, where writers cannot be seen": Limit("quiet", "test_limits"),
    "Files of a log that were read and closed": Limit(f"{FOLLOWING}known_files:RETIRED_LIMIT", "test_limits"),
    "Part of `history.max_size` for these files, of all logs": Limit(
        "configuration.loader:RETIRED_PART", "test_limits", lambda part: 1 / part
    ),
    "Text and names of these files, of all logs, memory": Limit(
        "configuration.loader:RETIRED_MOST", "test_limits"
    ),
    "Files for which that part is always enough": Limit(
        f"{FOLLOWING}known_files:RETIRED_LEAST", "test_limits"
    ),
    "Files beside a log that are not its own": Limit(
        f"{FOLLOWING}ignored_files:IGNORED_LIMIT", "following.test_ignored_files"
    ),
    "Such files of all logs together": Limit("service.pipeline:ALL_IGNORED_LIMIT", "test_limits"),
    "Time between two looks at all files beside a log": Limit(
        f"{FOLLOWING}follower:SWEEP_EVERY", "test_limits"
    ),
    "Files that nothing tells yet, in one look": Limit(f"{FOLLOWING}discovery:RETRIES", "test_limits"),
    "Directories outside its own that a log is rotated to": Limit(
        f"{FOLLOWING}directories:ASIDE_LIMIT", "test_limits"
    ),
    "Directories of a path with dates, at each level": Limit(
        f"{FOLLOWING}directories:DATED_LIMIT", "test_limits"
    ),
    "Such directories after a stop, while what came meanwhile is read": Limit(
        f"{FOLLOWING}directories:MISSED_LIMIT", "test_limits"
    ),
    "Files with dates that are open after the first look": Limit(
        f"{FOLLOWING}directories:LATE_LIMIT", "test_limits"
    ),
    "Directories searched for a file after a stop": Limit(
        f"{FOLLOWING}search:PLACES", "following.test_search"
    ),
    "Files whose text is compared after a stop": Limit(f"{FOLLOWING}search:TEXTS", "following.test_search"),
    "Lines at a text's end that are known one by one": Limit(
        "files.recognition:TAIL_LINES", "files.test_recognition"
    ),
    "Text in which these lines are": Limit("files.recognition:TAIL_LIMIT", "files.test_recognition"),
    "Text in which they are, of a file that is open": Limit(
        f"{FOLLOWING}read_texts:HELD_LIMIT", "test_limits"
    ),
    "Changes of names that wait for a log's look": Limit(
        f"{FOLLOWING}watcher:HINTS_KEPT", "following.test_watcher_shared"
    ),
    # Messages
    "Messages of a log on its files": Limit(
        f"{FOLLOWING}announcer:BURST",
        "test_limits",
        lambda messages: messages * 60 * SECOND / constant(f"{FOLLOWING}announcer:BURST_EVERY")[2],
    ),
    "Messages of a log on its rotations": Limit(f"{FOLLOWING}announcer:ROTATIONS_SAID_EVERY", "test_limits"),
    "Messages of a log on rejected lines": Limit(
        "service.pipeline:REJECTS_SAID_EVERY", "service.test_pipeline"
    ),
    "Messages of a log on files closed early": Limit(
        f"{FOLLOWING}announcer:LET_GO_SAID_EVERY", "test_limits"
    ),
    "Possible losses that a report repeats": Limit("service.pipeline:LOSSES_TOLD", "service.test_pipeline"),
    "Time for which reports repeat a possible loss": Limit(
        "service.pipeline:LOSS_RECENT", "service.test_pipeline"
    ),
    # The listener
    "Connections": Limit(f"{SERVER}CLIENTS", "network.test_http_server"),
    "Connections that have read a part of their answer": Limit(f"{SERVER}UNREAD", "network.test_http_server"),
    "Connections let in at one look": Limit(f"{SERVER}ACCEPTED", "network.test_http_server"),
    "Connections that wait in the kernel, without the socket unit": Limit(
        f"{SERVER}QUEUE", "network.test_http_server"
    ),
    "Length of a request": Limit(f"{SERVER}HEAD", "network.test_http_server"),
    "Time for a request to come whole": Limit(f"{SERVER}HEAD_PATIENCE", "network.test_http_server"),
    "Time for an answer to be read": Limit(f"{SERVER}BODY_PATIENCE", "network.test_http_server"),
    "Time for a client to go after a refusal": Limit(f"{SERVER}LINGER", "network.test_http_server"),
    "Different answers that are not read yet, memory": Limit(
        f"{SERVER}IN_FLIGHT", "network.test_http_server"
    ),
    "What the kernel takes of each before it is read": Limit(
        f"{SERVER}SENT_AHEAD", "network.test_http_server"
    ),
    "What the kernel takes of what each sends unread": Limit(
        f"{SERVER}RECEIVED_AHEAD", "network.test_http_server"
    ),
    "Size of an answer": Limit("prometheus.max_answer", "outputs.test_prometheus"),
    "Series of durations by route": Limit(
        "outputs.prometheus.exposition:LATENCY_SERIES_LIMIT", "outputs.test_exposition"
    ),
    "Share of the time that other clients take": Limit(
        "service.daemon:REST", "service.test_answers", lambda rest: 1 / (1 + rest)
    ),
    "Looks that answer somebody": Limit(f"{SCRAPES}APART", "outputs.test_prometheus"),
    "Share of the time that answers take": Limit(
        f"{SCRAPES}REST", "outputs.test_prometheus", lambda rest: 1 / (1 + rest)
    ),
    "Time for which an answer waits for a backlog's end": Limit(
        f"{SCRAPES}BACKLOG_PATIENCE", "outputs.test_prometheus"
    ),
    # Outputs
    "stdout: reports that wait for its reader, memory": Limit(
        "outputs.stdout:BACKLOG", "outputs.test_stdout"
    ),
    "journal: rows of a report": Limit("journal.rows", "test_limits"),
    "stdout: time for the rest at a stop": Limit(
        "outputs.stdout:LAST_WAIT", "outputs.test_stdout", lambda milliseconds: milliseconds * SECOND // 1000
    ),
    "Textfile: size": Limit("textfile.max_answer", "outputs.test_textfile"),
    "JSON: part of a line that is written at once": Limit(
        "outputs.json_lines:BLOCK", "outputs.test_json_lines"
    ),
    "Journal: length of a field": Limit("outputs.journal:LARGE", "outputs.test_journal"),
    "Graphite: metrics that wait, memory": Limit("network.tcp:LIMIT", "network.test_tcp"),
    "Graphite: time for a connection": Limit("network.tcp:PATIENCE", "network.test_tcp"),
    "Graphite: time without an acknowledgement": Limit(
        "network.tcp:SILENCE", "network.test_tcp", lambda milliseconds: milliseconds * SECOND // 1000
    ),
    "Graphite: time between two tries": Limit("network.tcp:LAST_RETRY", "network.test_tcp"),
    "Graphite: time for the rest at a stop": Limit(
        "network.tcp:LAST_ROUNDS", "network.test_tcp", _times("network.tcp:PAUSE")
    ),
    "StatsD, Ganglia: datagrams sent at once, memory": Limit("network.udp:BATCH", "network.test_udp"),
    "StatsD, Ganglia: windows that wait": Limit("network.udp:WINDOWS", "network.test_udp"),
    "StatsD, Ganglia: time for the rest at a stop": Limit(
        "network.udp:LAST_ROUNDS", "network.test_udp", _times("network.udp:PAUSE")
    ),
    "StatsD: vanished routes that are told as 0, in a window": Limit(
        "outputs.vanished:LIMIT", "outputs.test_statsd"
    ),
    "StatsD: length of a route in a tag": Limit(
        "outputs.statsd:_ROUTE", "outputs.test_statsd", lambda alphabet: alphabet.limit
    ),
    "StatsD, Graphite: length of a route in a name": Limit(
        "outputs.metric_names:_ROUTE", "outputs.test_metric_names", lambda alphabet: alphabet.limit
    ),
    "StatsD, Graphite, Ganglia: lookups of a receiver's name": Limit(
        "network.resolver:AGAIN", "network.test_resolver"
    ),
    "StatsD: length of a datagram": Limit("statsd.datagram", "test_limits"),
    "Ganglia: new series announced": Limit(f"{GMOND}output:NEWS", "outputs.test_ganglia"),
    "Ganglia: length of a name": Limit(f"{GMOND}names:MOST", "outputs.test_ganglia_names"),
    "Ganglia: size of a gmond.conf": Limit(f"{GMOND}gmond_conf:LARGEST", "outputs.test_gmond_conf"),
    "Ganglia: files that include each other": Limit(f"{GMOND}gmond_conf:DEEPEST", "outputs.test_gmond_conf"),
    "Ganglia: length of a host's name": Limit(f"{GMOND}gmond_conf:LONGEST_HOST", "outputs.test_gmond_conf"),
    # The page
    "Points of the page's charts": Limit("web.view:POINTS", "web.test_page"),
    "Routes that the page lists": Limit("web.answers:ROUTES", "web.test_page"),
    "Time of one question of the page": Limit(
        "web.page:TIME_LIMIT", "web.test_page", lambda seconds: seconds * SECOND
    ),
    "A value in the page's address": Limit("web.view:TEXT_LIMIT", "web.test_page"),
}

# What the page hands to its server, and its server holds.
OF_THE_SERVER = {
    "A range of the page": Limit("web.view:LONGEST", "web.test_page"),
    "Connections to the page": Limit("web.server:CLIENTS", "web.test_server"),
    "Head of a request for the page": Limit("web.server:HEAD_SIZE", "web.test_server"),
    "Silence of a connection to the page": Limit("web.server:SILENCE", "web.test_server", _in_seconds),
    "Time without a request, as a service": Limit("web.server:IDLE", "web.test_server", _in_seconds),
}

# Settings with a range that bound nothing of this.
NO_LIMITS = {"interval", "ganglia.port", "ganglia.dmax", "statsd.port", "graphite.port"}

# Constants that are called a limit and have no row, and why.
UNSEEN = {
    "following.ignored_files:ALL_IGNORED_LIMIT": "service.pipeline heeds it",
    "values.entries:LOSSES_LIMIT": "ledger.rows heeds it",
    "values.entries:EVENTS_LIMIT": "likewise",
    "values.entries:ALL_EVENTS_LIMIT": "likewise",
    "values.entries:EVENT_TEXT_LIMIT": "likewise",
    "values.counts:SAMPLE_LIMIT": "scanning.pure heeds it",
    "values.positions:PREFIX_LIMIT": "what a text is known by",
    "values.positions:MARKER_LIMIT": "likewise",
    "files.recognition:HELD_LIMIT": "following.read_texts heeds it",
    "files.recognition:COPY_LIMIT": "likewise, of a copy",
    "formats.line:_BYTES_LIMIT": "what a number can be",
    "values.latency:SUM_LIMIT": "likewise: 292 years",
    "values.latency:REQUESTS_LIMIT": "likewise: 10^18 requests",
    "scanning.pure:KEYS_LIMIT": "what is counted is handed on then",
    "scanning.pure:KEY_BYTES_LIMIT": "likewise",
    "scanning.pure:TIMES_LIMIT": "likewise",
    "scanning.pure:BINS_LIMIT": "likewise",
    "formats.durations:_EXPONENT_LIMIT": "what a number can be",
    "formats.durations:_DIGITS_LIMIT": "likewise",
    "formats.w3c:_SOFTWARE_LIMIT": "what wrote a log is known by fewer",
    "scanning.pure:_CORES_LIMIT": "a cache, beside which lines are read one by one",
    "scanning.pure:_CORE_BYTES_LIMIT": "likewise",
    "scanning.pure:_DURATION_LIMIT": "likewise",
    "commands.check:CPU_LIMIT": "service.rule_time heeds it",
    "commands.summarize:NUMBER_LIMIT": "what an option takes",
    "commands.summarize:SPAN_LIMIT": "likewise",
    "commands.simulate:RATE_LIMIT": "likewise",
    "commands.simulate:INTERVAL_LIMIT": "likewise",
}
