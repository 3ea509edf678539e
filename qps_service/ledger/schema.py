"""What stands in a ledger: its tables, and the views that users' own queries may rely on.

The views, which later versions keep (text is escaped as in reports, times are Unix seconds):

    totals   log, method, route, status, requests, bytes      all requests ever counted
    windows  sequence, log, started, ended, method, route, status, requests, bytes
             what each report said; `ended` is what the wall clock showed, `ended - started` its true
             length. Older ones are merged: the row has the sequence and the end of the last, and the sum
             of all, lengths too
    rejects  log, reason, lines                                all lines ever rejected

    sqlite3 -readonly ledger.db 'SELECT route, sum(requests) FROM totals GROUP BY route'

The tables are the program's own and may change with the version of the schema. What came from a log,
paths included, is kept as bytes. `bytes` stops at the largest integer that SQLite knows.

PRAGMA user_version says how many of the STEPS a ledger has taken. A new one takes them all, an older one
those that it lacks, in one transaction, before anything is read of it. A step that was released never
changes; CONTRIBUTING tells how to add one.
"""

import sqlite3
from functools import cache

APPLICATION_ID = 0x51505352  # "QPSR", as file(1) may show it

_FIRST = """
CREATE TABLE meta (             -- sequence: of the last report; number: of the last commit
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta VALUES ('sequence', 0), ('number', 0);

CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    path BLOB NOT NULL,
    boot TEXT NOT NULL,         -- the boot that started and ended belong to
    started INTEGER NOT NULL,   -- of the last window, CLOCK_BOOTTIME nanoseconds
    ended INTEGER NOT NULL,     -- up to when the log was read, likewise
    at INTEGER NOT NULL,        -- the same moment, Unix nanoseconds
    sequence INTEGER NOT NULL,  -- of that window; 0 if it has none
    next_number INTEGER NOT NULL,                 -- for a generation
    forgotten_lines INTEGER NOT NULL DEFAULT 0,   -- of generations that have no position any longer
    forgotten_rejected INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE key (
    id INTEGER PRIMARY KEY,
    method BLOB NOT NULL,
    route BLOB NOT NULL,
    status INTEGER NOT NULL,
    shown_method TEXT NOT NULL,
    shown_route TEXT NOT NULL,
    UNIQUE (route, status, method)
);

CREATE TABLE total (
    log INTEGER NOT NULL,
    key INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (log, key)
) WITHOUT ROWID;

CREATE TABLE reject (
    log INTEGER NOT NULL,
    reason TEXT NOT NULL,
    lines INTEGER NOT NULL,
    PRIMARY KEY (log, reason)
) WITHOUT ROWID;

CREATE TABLE period (           -- a window, or several merged into one
    id INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL,
    log INTEGER NOT NULL,
    started INTEGER NOT NULL,   -- Unix nanoseconds
    ended INTEGER NOT NULL,
    grain INTEGER NOT NULL DEFAULT 0,             -- nanoseconds it was merged to; 0 for a window
    UNIQUE (sequence, log)
);

CREATE TABLE count (
    period INTEGER NOT NULL,
    key INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (period, key)
) WITHOUT ROWID;

CREATE TABLE period_reject (
    period INTEGER NOT NULL,
    reason TEXT NOT NULL,
    lines INTEGER NOT NULL,
    PRIMARY KEY (period, reason)
) WITHOUT ROWID;

CREATE TABLE position (
    log INTEGER NOT NULL,
    number INTEGER NOT NULL,
    held INTEGER NOT NULL,      -- 1 if it was open at the last commit, 0 if it was let go
    device TEXT NOT NULL,       -- as text: an inode number may have 64 bits, SQLite's integers have 63
    inode TEXT NOT NULL,
    version INTEGER,
    name BLOB NOT NULL,
    offset INTEGER NOT NULL,
    prefix BLOB NOT NULL,
    marker BLOB NOT NULL,
    oversize INTEGER NOT NULL,
    marks BLOB NOT NULL,
    begun INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    unended INTEGER NOT NULL,
    PRIMARY KEY (log, number)
);

-- In the code: ignored files.
CREATE TABLE stranger (
    log INTEGER NOT NULL,
    device TEXT NOT NULL,
    inode TEXT NOT NULL,
    version INTEGER,
    changed INTEGER NOT NULL
);
CREATE INDEX stranger_log ON stranger (log);

CREATE TABLE loss (
    id INTEGER PRIMARY KEY,
    log INTEGER NOT NULL,
    at INTEGER NOT NULL,
    what BLOB NOT NULL,
    name BLOB NOT NULL,
    bytes INTEGER
);
CREATE INDEX loss_log ON loss (log);

CREATE VIEW totals (log, method, route, status, requests, bytes) AS
    SELECT log.name, shown_method, shown_route, status, requests, bytes
    FROM total JOIN log ON log.id = total.log JOIN key ON key.id = total.key;

CREATE VIEW windows (sequence, log, started, ended, method, route, status, requests, bytes) AS
    SELECT period.sequence, log.name, period.started / 1e9, period.ended / 1e9,
           shown_method, shown_route, status, requests, bytes
    FROM count JOIN period ON period.id = count.period
               JOIN log ON log.id = period.log JOIN key ON key.id = count.key
    WHERE period.sequence <= (SELECT value FROM meta WHERE name = 'sequence');

CREATE VIEW rejects (log, reason, lines) AS
    SELECT log.name, reason, lines FROM reject JOIN log ON log.id = reject.log;
"""

# What tells a file where its identity does not: the last lines that were read, its owner, an ignored
# file's size, date and beginning. Nothing is known of these for files that were seen before.
_SECOND = """
ALTER TABLE position ADD COLUMN tail BLOB NOT NULL DEFAULT x'';
ALTER TABLE position ADD COLUMN owner INTEGER;
ALTER TABLE stranger ADD COLUMN size INTEGER;
ALTER TABLE stranger ADD COLUMN modified INTEGER;
ALTER TABLE stranger ADD COLUMN digest BLOB NOT NULL DEFAULT x'';
"""

# When things were by the ledger's own clock, which nobody can set (ledger.py). Of what was written before,
# the dates tell, but for those that are ahead of the last window's: the clock was set back since.
_THIRD = """
ALTER TABLE log ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE period ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE loss ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;
UPDATE log SET passed = min(at, coalesce((SELECT ended FROM period ORDER BY sequence DESC LIMIT 1), at));
UPDATE period SET passed = min(ended, (SELECT max(passed) FROM log));
UPDATE loss SET passed = min(at, (SELECT max(passed) FROM log));
"""

# What is counted beside requests and rejects, of a log and of a window; directives (formats/w3c.py) of each
# generation, too, with the last one, NULL where that is not known; and the format that `auto` chose.
_FOURTH = """
ALTER TABLE log ADD COLUMN format TEXT;
ALTER TABLE log ADD COLUMN unmeasured INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log ADD COLUMN directives INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log ADD COLUMN forgotten_directives INTEGER NOT NULL DEFAULT 0;
ALTER TABLE period ADD COLUMN unmeasured INTEGER NOT NULL DEFAULT 0;
ALTER TABLE period ADD COLUMN directives INTEGER NOT NULL DEFAULT 0;
ALTER TABLE position ADD COLUMN directives INTEGER NOT NULL DEFAULT 0;
ALTER TABLE position ADD COLUMN directive BLOB;
"""

# What happened, to be seen beside the numbers; `log` is 0 for the service itself. And sums of each period by
# the first digit of the status, 6 for others, so that who looks at a week need not read all its rows.
_FIFTH = """
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    log INTEGER NOT NULL,
    at INTEGER NOT NULL,        -- Unix nanoseconds
    passed INTEGER NOT NULL,    -- the moment of its commit by the ledger's clock
    kind TEXT NOT NULL,
    text BLOB NOT NULL
);
CREATE INDEX event_log ON event (log);

CREATE TABLE period_class (
    period INTEGER NOT NULL,
    class INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (period, class)
) WITHOUT ROWID;
INSERT INTO period_class
    SELECT period, CASE WHEN status BETWEEN 100 AND 599 THEN status / 100 ELSE 6 END, requests, bytes
    FROM count JOIN key ON key.id = count.key WHERE TRUE
    ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, bytes =
    CASE WHEN bytes > 9223372036854775807 - excluded.bytes THEN 9223372036854775807
         ELSE bytes + excluded.bytes END;
"""

# How slow requests were (durations.py says what the bytes mean): by route and class of status, and of each
# period as a whole, so that who looks at an hour need not read all routes for it. And sums of several periods
# of a log, so that who looks at weeks need not read all periods: a span's rows stand in `count` and `latency`
# under its number with a minus before it. Whatever becomes of a part, its spans go.
_SIXTH = """
CREATE TABLE latency_key (
    id INTEGER PRIMARY KEY,
    route BLOB NOT NULL,
    class INTEGER NOT NULL,     -- first digit of the status
    shown_route TEXT NOT NULL,
    UNIQUE (route, class)
);

CREATE TABLE total_latency (
    log INTEGER NOT NULL,
    key INTEGER NOT NULL,
    durations BLOB NOT NULL,
    PRIMARY KEY (log, key)
) WITHOUT ROWID;

CREATE TABLE latency (
    period INTEGER NOT NULL,
    key INTEGER NOT NULL,
    durations BLOB NOT NULL,
    PRIMARY KEY (period, key)
) WITHOUT ROWID;

CREATE TABLE span (
    id INTEGER PRIMARY KEY,
    log INTEGER NOT NULL,
    ended INTEGER NOT NULL,     -- when its last part did, Unix nanoseconds
    grain INTEGER NOT NULL,     -- nanoseconds of the step that its parts ended in
    parts INTEGER NOT NULL,     -- how many periods and spans are summed in it
    span INTEGER                -- that it is a part of
);

ALTER TABLE period ADD COLUMN durations BLOB;
ALTER TABLE period ADD COLUMN span INTEGER;
CREATE INDEX period_span ON period (span);
CREATE INDEX span_span ON span (span);
"""

STEPS = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH, _SIXTH)
VERSION = len(STEPS)
DURATIONS_SINCE = 6  # the first version that has durations


def advance(writing: sqlite3.Connection, version: int) -> None:
    """Take all the steps that a ledger of this version lacks, at once or not at all; 0 is an empty file.
    Raises sqlite3.Error; then a transaction may be open, which ends with the connection."""
    steps = "".join(STEPS[version:])
    writing.executescript(
        f"BEGIN IMMEDIATE; {steps} PRAGMA application_id = {APPLICATION_ID};"
        f"PRAGMA user_version = {VERSION}; COMMIT"
    )


def tables(version: int) -> frozenset[str]:
    """The tables that a ledger of this version has."""
    return _tables_by(STEPS[:version])


@cache
def _tables_by(steps: tuple[str, ...]) -> frozenset[str]:
    model = sqlite3.connect(":memory:")
    try:
        model.executescript("".join(steps))
        return frozenset(tables_of(model))
    finally:
        model.close()


def tables_of(reading: sqlite3.Connection) -> list[str]:
    """All tables there are."""
    return [name for (name,) in reading.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
