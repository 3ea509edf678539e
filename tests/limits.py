"""The bounds of docs/reference/limits.md: where the figure of each stands in the code.

A limit has a row on the page, a line in LIMITS below, and a twin `Doubled(...)` beside the unit test that
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
    "Length of a line": Limit("max_line"),
    "Objects and arrays within one another, in JSON": Limit("formats.json_members:DEPTH_LIMIT"),
    "Length of a `#Fields` or other directive, in W3C logs": Limit("formats.w3c:DIRECTIVE_LIMIT"),
    "Fields of a line that `#Fields` names": Limit("formats.w3c:FIELDS_LIMIT"),
    "Where `#Fields` is looked for, if a log is not read from its start": Limit("formats.w3c:LOOK_BACK"),
    "Members that a JSON format names": Limit("formats.json_lines:MEMBERS_LIMIT"),
    "Formats in a list": Limit("formats.presets:LIST_LIMIT"),
    "Lines by which `auto` chooses": Limit("formats.detection:VOTES"),
    "Text that waits for that": Limit("scanning.auto:WAITING"),
    "Recent lines by which a format is doubted": Limit("scanning.auto:RECENT"),
    "Time between two messages that nothing fits": Limit("service.pipeline:UNFIT_SAID_EVERY"),
    "Part of a rejected line that a message shows": Limit("scanning.pure:SAMPLE_LIMIT"),
    "Memory to unpack a file, xz": Limit("files.compressed:XZ", _memory),
    "Memory to unpack a file, Zstandard": Limit("files.compressed:ZSTD", _memory),
    "Memory to unpack files, of all logs together": Limit("files.unpacking:LIMIT"),
    "Part of a compressed file that holds no text": Limit("files.compressed:BARREN"),
    "What is counted and not yet taken over, of all logs, memory": Limit("service.pipeline:COUNTED_LIMIT"),
    "Time between two looks": Limit("service.daemon:TICK"),
    "Time of a look after which no further log is begun": Limit("service.daemon:TURN"),
    "Wake-ups by other files beside the log": Limit("service.daemon:HINTS_APART"),
    # Routes and rows
    "Routes of a log that are told apart": Limit("max_routes"),
    "Length of a route": Limit("max_route"),
    "Length of a virtual host that is kept": Limit("counting.routes:HOST_LIMIT"),
    "Logs that patterns make, with those in the ledger": Limit("max_logs"),
    "Directories that a pattern looks into": Limit("service.patterns:DIRECTORIES"),
    "Places for rows, of all logs together": Limit("max_rows"),
    "Bins of durations, of all logs together": Limit("counting.budget:MAX_BINS"),
    "Text of a route that a place has room for": Limit("counting.rows:LONG"),
    "Rows with a method that a route has room for": Limit("counting.rows:METHOD_ROWS"),
    "Listed statuses that a route has room for": Limit("counting.rows:STATUS_ROWS"),
    "Methods that are not registered": Limit("counting.methods:INVENTED_LIMIT"),
    "Length of such a method": Limit("counting.methods:INVENTED_LENGTH"),
    "Targets of a log whose routes are remembered": Limit(
        "counting.routes:CACHE_ENTRIES", lambda entries: 2 * entries
    ),
    "Text of these targets and routes, memory": Limit("counting.routes:CACHE_BYTES", lambda size: 2 * size),
    "Logs that have so much of both": Limit("counting.routes:CACHES"),
    "Rules of a log, on one target": Limit("service.rule_time:LIMIT"),
    "Rules of all logs": Limit("service.rule_time:BUDGET"),
    "Routes that `summarize` tells apart": Limit("commands.summarize:MAX_ROUTES"),
    # The ledger
    "Size of the file, with its history": Limit("history.max_size"),
    "Age of a window": Limit("history.keep"),
    "Age of a window as it was reported": Limit("ledger.retention:MINUTES_AFTER"),
    "Age of a minute": Limit("ledger.retention:HOURS_AFTER"),
    "Possible losses of a log that are kept": Limit("ledger.rows:LOSSES_LIMIT"),
    "Events of a log, or of the service, that are kept": Limit("ledger.rows:EVENTS_LIMIT"),
    "Events of all logs that are kept": Limit("ledger.rows:ALL_EVENTS_LIMIT"),
    "Text of an event, characters": Limit("ledger.rows:EVENT_TEXT_LIMIT"),
    "Write-ahead log that stays on the disk": Limit("ledger.database:WAL_LIMIT"),
    "Wait for another program's lock": Limit("ledger.database:BUSY", _in_seconds),
    "Windows of all logs that wait to be written": Limit("ledger.outbox:WAITING_LIMIT"),
    "Tries to open the ledger again": Limit("ledger.writer:REOPEN"),
    "Rows of these windows": Limit("ledger.outbox:ROWS_LIMIT"),
    "Messages on windows dropped for their size": Limit("ledger.writer:DROPPED_SAID_EVERY"),
    "Ledger of an older schema that a reader copies, memory": Limit("ledger.database:COPY_LIMIT"),
    # Which file is which
    "Files of a log that are open, with rotated ones": Limit("open_generations"),
    "Time without a write, where writers cannot be seen": Limit("quiet"),
    "Files of a log that were read and closed": Limit(f"{FOLLOWING}known_files:RETIRED_LIMIT"),
    "Part of `history.max_size` for these files, of all logs": Limit(
        "configuration.loader:RETIRED_PART", lambda part: 1 / part
    ),
    "Text and names of these files, of all logs, memory": Limit("configuration.loader:RETIRED_MOST"),
    "Files for which that part is always enough": Limit(f"{FOLLOWING}known_files:RETIRED_LEAST"),
    "Files beside a log that are not its own": Limit(f"{FOLLOWING}ignored_files:IGNORED_LIMIT"),
    "Such files of all logs together": Limit("service.pipeline:ALL_IGNORED_LIMIT"),
    "Time between two looks at all files beside a log": Limit(f"{FOLLOWING}follower:SWEEP_EVERY"),
    "Files that nothing tells yet, in one look": Limit(f"{FOLLOWING}discovery:RETRIES"),
    "Directories outside its own that a log is rotated to": Limit(f"{FOLLOWING}directories:ASIDE_LIMIT"),
    "Directories of a path with dates, at each level": Limit(f"{FOLLOWING}directories:DATED_LIMIT"),
    "Such directories after a stop, while what came meanwhile is read": Limit(
        f"{FOLLOWING}directories:MISSED_LIMIT"
    ),
    "Files with dates that are open after the first look": Limit(f"{FOLLOWING}directories:LATE_LIMIT"),
    "Directories searched for a file after a stop": Limit(f"{FOLLOWING}search:PLACES"),
    "Files whose text is compared after a stop": Limit(f"{FOLLOWING}search:TEXTS"),
    "Lines at a text's end that are known one by one": Limit("files.recognition:TAIL_LINES"),
    "Text in which these lines are": Limit("files.recognition:TAIL_LIMIT"),
    "Text in which they are, of a file that is open": Limit(f"{FOLLOWING}read_texts:HELD_LIMIT"),
    "Changes of names that wait for a log's look": Limit(f"{FOLLOWING}watcher:HINTS_KEPT"),
    # Messages
    "Messages of a log on its files": Limit(
        f"{FOLLOWING}announcer:BURST",
        lambda messages: messages * 60 * SECOND / constant(f"{FOLLOWING}announcer:BURST_EVERY")[2],
    ),
    "Messages of a log on its rotations": Limit(f"{FOLLOWING}announcer:ROTATIONS_SAID_EVERY"),
    "Messages of a log on rejected lines": Limit("service.pipeline:REJECTS_SAID_EVERY"),
    "Messages of a log on files closed early": Limit(f"{FOLLOWING}announcer:LET_GO_SAID_EVERY"),
    "Possible losses that a report repeats": Limit("service.pipeline:LOSSES_TOLD"),
    "Time for which reports repeat a possible loss": Limit("service.pipeline:LOSS_RECENT"),
    # The listener
    "Connections": Limit(f"{SERVER}CLIENTS"),
    "Connections that have read a part of their answer": Limit(f"{SERVER}UNREAD"),
    "Connections let in at one look": Limit(f"{SERVER}ACCEPTED"),
    "Connections that wait in the kernel, without the socket unit": Limit(f"{SERVER}QUEUE"),
    "Length of a request": Limit(f"{SERVER}HEAD"),
    "Time for a request to come whole": Limit(f"{SERVER}HEAD_PATIENCE"),
    "Time for an answer to be read": Limit(f"{SERVER}BODY_PATIENCE"),
    "Time for a client to go after a refusal": Limit(f"{SERVER}LINGER"),
    "Different answers that are not read yet, memory": Limit(f"{SERVER}IN_FLIGHT"),
    "What the kernel takes of each before it is read": Limit(f"{SERVER}SENT_AHEAD"),
    "What the kernel takes of what each sends unread": Limit(f"{SERVER}RECEIVED_AHEAD"),
    "Size of an answer": Limit("prometheus.max_answer"),
    "Series of durations by route": Limit("outputs.prometheus.exposition:LATENCY_SERIES_LIMIT"),
    "Share of the time that other clients take": Limit("service.daemon:REST", lambda rest: 1 / (1 + rest)),
    "Looks that answer somebody": Limit(f"{SCRAPES}APART"),
    "Share of a core that answers take": Limit(f"{SCRAPES}REST", lambda rest: 1 / (1 + rest)),
    "Time for which an answer waits for a backlog's end": Limit(f"{SCRAPES}BACKLOG_PATIENCE"),
    # Outputs
    "stdout: reports that wait for its reader, memory": Limit("outputs.stdout:BACKLOG"),
    "journal: rows of a report": Limit("journal.rows"),
    "stdout: time for the rest at a stop": Limit(
        "outputs.stdout:LAST_WAIT", lambda milliseconds: milliseconds * SECOND // 1000
    ),
    "Textfile: size": Limit("textfile.max_answer"),
    "JSON: part of a line that is written at once": Limit("outputs.json_lines:BLOCK"),
    "Journal: length of a field": Limit("outputs.journal:LARGE"),
    "Graphite: metrics that wait, memory": Limit("network.tcp:LIMIT"),
    "Graphite: time for a connection": Limit("network.tcp:PATIENCE"),
    "Graphite: time without an acknowledgement": Limit(
        "network.tcp:SILENCE", lambda milliseconds: milliseconds * SECOND // 1000
    ),
    "Graphite: time between two tries": Limit("network.tcp:LAST_RETRY"),
    "Graphite: time for the rest at a stop": Limit("network.tcp:LAST_ROUNDS", _times("network.tcp:PAUSE")),
    "StatsD, Ganglia: datagrams sent at once, memory": Limit("network.udp:BATCH"),
    "StatsD, Ganglia: windows that wait": Limit("network.udp:WINDOWS"),
    "StatsD, Ganglia: time for the rest at a stop": Limit(
        "network.udp:LAST_ROUNDS", _times("network.udp:PAUSE")
    ),
    "StatsD: vanished routes that are told as 0, in a window": Limit("outputs.vanished:LIMIT"),
    "StatsD: length of a route in a tag": Limit("outputs.statsd:_ROUTE", lambda alphabet: alphabet.limit),
    "StatsD, Graphite: length of a route in a name": Limit(
        "outputs.metric_names:_ROUTE", lambda alphabet: alphabet.limit
    ),
    "StatsD, Graphite, Ganglia: lookups of a receiver's name": Limit("network.resolver:AGAIN"),
    "StatsD: length of a datagram": Limit("statsd.datagram"),
    "Ganglia: new series announced": Limit(f"{GMOND}output:NEWS"),
    "Ganglia: length of a name": Limit(f"{GMOND}names:MOST"),
    "Ganglia: size of a gmond.conf": Limit(f"{GMOND}gmond_conf:LARGEST"),
    "Ganglia: files that include each other": Limit(f"{GMOND}gmond_conf:DEEPEST"),
    "Ganglia: length of a host's name": Limit(f"{GMOND}gmond_conf:LONGEST_HOST"),
    # The page
    "Points of the page's charts": Limit("web.view:POINTS"),
    "Routes that the page lists": Limit("web.answers:ROUTES"),
    "Time of one question of the page": Limit("web.page:TIME_LIMIT", lambda seconds: seconds * SECOND),
    "A value in the page's address": Limit("web.view:TEXT_LIMIT"),
}

# What the page hands to its server, and its server holds.
OF_THE_SERVER = {
    "A range of the page": Limit("web.view:LONGEST"),
    "Connections to the page": Limit("web.server:CLIENTS"),
    "Head of a request for the page": Limit("web.server:HEAD_SIZE"),
    "Silence of a connection to the page": Limit("web.server:SILENCE", _in_seconds),
    "Time without a request, as a service": Limit("web.server:IDLE", _in_seconds),
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
