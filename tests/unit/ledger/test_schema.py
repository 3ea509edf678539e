"""Ledgers of older schemas: every row stays, at once or not at all, and who only reads writes nothing."""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qps_service.counting.aggregator import Aggregator
from qps_service.ledger import database, schema
from qps_service.ledger.database import COPY_LIMIT, Database, LedgerDamaged, LedgerUnavailable
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.schema import STEPS, VERSION
from qps_service.ledger.writer import REOPEN
from qps_service.notices import kinds
from qps_service.values.counts import NOTHING_BESIDE, Counts
from qps_service.values.entries import Restored
from qps_service.values.reports import Overview, Standing
from tests.ledgers import (
    BOOT,
    ROOT,
    SECOND,
    Keeper,
    die_in_each_step,
    entry,
    known,
    locked,
    opened,
    requests_seen_by_nobody,
    rows,
)
from tests.limits import Doubled
from tests.promised import Patches, Promise, promises
from tests.samples import SAMPLES, load, sample_of
from tests.unit.scraping import render

OLDER = range(1, VERSION)
VIEWS = ("totals", "windows", "rejects")
Content = dict[str, list[tuple[Any, ...]]]


def test_there_is_a_sample_of_every_older_schema(path: Path) -> None:
    assert sorted(SAMPLES) == list(OLDER)
    for version in OLDER:
        place = path.with_name(str(version))
        load(sample_of(version), place)
        assert version_of(place) == version
        has = content(place)
        assert set(has) == schema.tables(version)
        assert all(has.values()), "every table has rows"


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def content(path: Path, columns: Content | None = None) -> Content:
    """Every row of every table, below the names of the columns; of the same tables and columns, if told."""
    found: Content = {}
    with closing(sqlite3.connect(path)) as connection:
        for table in columns or schema.tables_of(connection):
            names = columns[table][0] if columns else tuple(_columns(connection, table))
            query = f"SELECT {', '.join(names)} FROM {table}"  # noqa: S608 - the ledger's own names
            found[table] = [names, *sorted(connection.execute(query), key=repr)]
    return found


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]


def columns_of(path: Path) -> set[tuple[Any, ...]]:
    """Each table's columns, with their types and defaults."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            (table, *row)
            for table in schema.tables_of(connection)
            for row in connection.execute("SELECT * FROM pragma_table_xinfo(?)", (table,))
        }


def shape(path: Path) -> set[tuple[Any, ...]]:
    """Tables, indices and views, the columns, and what the file says of itself."""
    with closing(sqlite3.connect(path)) as connection:
        parts = set(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))
        for setting in ("application_id", "user_version", "auto_vacuum", "journal_mode"):
            parts |= {(setting, value) for (value,) in connection.execute(f"PRAGMA {setting}")}
    return parts | columns_of(path)


# --- the steps


def check_the_steps(version: int, path: Path) -> None:
    """What the older program wrote is there after them, in a ledger that is like one that is begun now."""
    load(sample_of(version), path)
    before = content(path)
    opened(path).close()
    assert version_of(path) == VERSION
    assert content(path, before) == before
    new = path.with_name("new")
    opened(new).close()
    assert shape(path) == shape(new)


def check_reasons_that_are_no_more(path: Path) -> None:
    """A ledger that has lines of them goes on, and so do their series."""
    load(sample_of(3), path)
    with closing(sqlite3.connect(path)) as connection, connection:
        gone = [(reason, lines) for reason, lines in (("not_http", 5), ("bytes", 2))]
        connection.executemany("INSERT INTO reject SELECT id, ?, ? FROM log", gone)
    ledger = opened(path)
    ledger.commit([entry([1], rejected=1)], sequence=None)
    log = Aggregator("access", 0, 100, restored=known(ledger))
    ledger.close()
    counted = Standing("access", log.totals, log.total_rejects, 0, 0, 0, {}, 0, 0, None)
    text = render(Overview((counted,), 0, 0, {}, "", ""))[0].decode()
    series = dict(
        re.findall(r'^qps_reporter_rejected_lines_total{log="access",reason="(\w+)"} (\S+)$', text, re.M)
    )
    assert series == {"fields": "4.0", "not_http": "5.0", "bytes": "2.0", "status": "0.0", "too_long": "0.0"}


def begins_with_less(connection: sqlite3.Connection, version: int) -> None:
    schema.advance(connection, version)
    if not version:
        connection.execute("ALTER TABLE position DROP COLUMN owner")


# What the first sample has, as tests/samples/make.py wrote it.
LINES = [*range(33), 36, 37, 38]


def check_what_it_tells(restored: Restored) -> None:
    routes = {key.route: counts for key, counts in restored.totals.items()}
    assert routes == {b"/%d" % line: Counts(1, 7) for line in LINES}
    assert restored.rejects == {"fields": 3}
    assert {key.route for key in restored.window} == {b"/37", b"/38"}
    assert restored.window_rejects == {"fields": 1}
    assert [(each.number, each.lines, each.rejected) for each in restored.retired] == [
        *((1, 22, 2), (2, 10, 0), (3, 3, 0))
    ]
    assert [(each.number, each.lines, each.rejected) for each in restored.held] == [(4, 4, 1)]
    assert restored.next_number == 5
    assert len(restored.losses) == 1
    assert len(restored.ignored) == 2
    # What the first schema did not know.
    assert {(each.tail, each.owner) for each in (*restored.held, *restored.retired)} == {(b"", None)}
    assert {each[4:] for each in restored.ignored} == {(None, None, b"")}
    # Nor the third.
    assert (restored.format, restored.beside, restored.window_beside) == (
        None,
        NOTHING_BESIDE,
        NOTHING_BESIDE,
    )
    of_files = {(each.directives, each.directive) for each in (*restored.held, *restored.retired)}
    assert of_files == {(0, None)}


@pytest.mark.parametrize("version", OLDER)
def test_the_way_back_that_the_page_prints(version: int, path: Path) -> None:
    """With all that was counted meanwhile."""
    page = (ROOT / "docs" / "how-to" / "upgrade-and-roll-back.md").read_text()
    steps_back = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(steps_back) == len(OLDER), "newest first"
    load(sample_of(version), path)
    before, old_columns = content(path), columns_of(path)
    opened(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("".join(steps_back[: VERSION - version]))
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    assert version_of(path) == version
    assert content(path) == before
    assert columns_of(path) == old_columns


def check_killed_in_a_step(how: str, path: Path) -> None:
    """Before each statement: the old schema is whole, and the next process takes the steps."""
    load(sample_of(1), path)
    before, old_shape = content(path), shape(path)
    *killed, last = die_in_each_step(path.parent, how)
    for place in killed:
        # By a copy: the next process has to find it as the last one left it.
        copy = place.with_name("copy")
        for suffix in ("", "-wal"):
            copy.with_name(f"copy{suffix}").write_bytes(place.with_name(f"{place.name}{suffix}").read_bytes())
        assert shape(copy) == old_shape
        assert content(copy) == before
        ledger = opened(place)
        check_what_it_tells(known(ledger))
        ledger.close()
    assert len(killed) > 5
    assert version_of(last) == VERSION


# --- a step to come


ALL_TABLES = Patches((database, "tables", lambda _: schema.tables(len(schema.STEPS))))
TABLE = "CREATE TABLE alert (name TEXT PRIMARY KEY, since INTEGER NOT NULL);"


def one_more(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """The program has one more step."""
    monkeypatch.setattr(schema, "STEPS", (*STEPS, step))
    for module in (schema, database):
        monkeypatch.setattr(module, "VERSION", VERSION + 1)


def check_a_table_to_come(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older ledger lacks it without being damaged; one of the new schema does not."""
    opened(path).close()
    one_more(monkeypatch, TABLE)
    Ledger(str(path), boot=BOOT).open(writable=False)
    opened(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE alert")
    with pytest.raises(LedgerDamaged, match=r"^it lacks alert$"):
        opened(path)


def check_a_step_that_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's own table has the name of a new one: the ledger is sound, and stays where it is."""
    load(sample_of(1), path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alert (mine)")
    before = content(path)
    one_more(monkeypatch, TABLE)
    why = f"it has schema 1, and can't be brought to {VERSION + 1}: table alert already exists"
    for writable in (True, False):
        with pytest.raises(LedgerUnavailable) as caught:
            Ledger(str(path), boot=BOOT).open(writable=writable)
        assert str(caught.value) == why
        assert content(path) == before
        assert version_of(path) == 1
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE alert")
    ledger = opened(path)
    check_what_it_tells(known(ledger))
    ledger.close()


def advances_as_it_can(self: Database, connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version < schema.VERSION:
        schema.advance(connection, version)


# --- who only reads


def check_a_reader_writes_nothing(path: Path) -> None:
    """It sees what the service will see once it has taken the steps."""
    load(sample_of(1), path)
    before = path.read_bytes()
    reader = Ledger(str(path), boot=BOOT)
    reader.open(writable=False)
    check_what_it_tells(known(reader))
    seen = known(reader), {view: rows(reader.database, view) for view in VIEWS}
    with pytest.raises(LedgerUnavailable, match=r"^attempt to write a readonly database$"):
        reader.commit([], sequence=None)
    reader.close()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    ledger = opened(path)
    assert (known(ledger), {view: rows(ledger.database, view) for view in VIEWS}) == seen
    ledger.close()


def takes_the_steps(self: Database) -> None:
    self._disconnect()
    self._advance(self._connect("mode=rw"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look as another user")
def test_a_reader_needs_no_right_to_write(path: Path) -> None:
    path.parent.chmod(0o750)
    load(sample_of(1), path)
    path.chmod(0o640)
    assert requests_seen_by_nobody(path) == len(LINES)
    assert version_of(path) == 1


def check_what_is_too_large_to_be_copied(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left to the service. The sample is told to be of another size, and copied as it is."""
    load(sample_of(1), path)
    pages, value = COPY_LIMIT // 4096, Database._value

    def told(self: Database, query: str) -> Any:
        return pages if query == "PRAGMA page_count" else value(self, query)

    monkeypatch.setattr(Database, "_value", told)
    Ledger(str(path), boot=BOOT).open(writable=False)
    pages += 1
    with pytest.raises(LedgerUnavailable) as caught:
        Ledger(str(path), boot=BOOT).open(writable=False)
    assert str(caught.value) == f"it has schema 1, and the service brings it to {VERSION} at its next start"
    opened(path).close()
    Ledger(str(path), boot=BOOT).open(writable=False)


# --- the service, where the steps can't be taken now


def test_the_counting_goes_on_until_the_steps_can_be_taken(path: Path) -> None:
    load(sample_of(1), path)
    before = content(path)
    with locked(path, "IMMEDIATE"):
        keeper = Keeper(path)
        assert keeper.kinds() == [kinds.LEDGER_UNAVAILABLE]
        assert keeper.writer.sequence == 4
        restored = keeper.restored()
        assert restored
        check_what_it_tells(restored)
        assert not keeper.window(5)
        assert version_of(path) == 1
    assert keeper.window(1, seconds=REOPEN // SECOND)
    assert keeper.kinds() == [kinds.LEDGER_UNAVAILABLE, kinds.LEDGER_RESUMED]
    keeper.close()
    after = content(path, before)
    assert version_of(path) == VERSION
    assert sum(row[2] for row in after["total"][1:]) == len(LINES) + 6
    assert all(set(before[table]) <= set(after[table]) for table in ("stranger", "loss", "reject"))


def test_only_a_damaged_one_is_set_aside(path: Path) -> None:
    """One of an older schema that lacks what its own schema has is damaged."""
    load(sample_of(1), path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE loss")
    keeper = Keeper(path)
    assert keeper.kinds() == [kinds.LEDGER_SET_ASIDE]
    assert "it lacks loss" in keeper.said[0].text
    keeper.close()


def with_one_more(statement: str) -> Patches:
    """The last step does something else, too."""
    *steps, last = STEPS
    return Patches((schema, "STEPS", (*steps, last + statement)))


test_promise, test_twin = promises(
    *(
        Promise(
            check_the_steps,
            None,
            {
                "forgets a row": with_one_more("DELETE FROM stranger WHERE rowid = 1;"),
                "two truths": Patches((database, "advance", begins_with_less)),
            },
            version=version,
            label=f"schema {version}",
        )
        for version in OLDER
    ),
    Promise(
        check_reasons_that_are_no_more,
        None,
        {
            "forgets them in a step": with_one_more(
                "DELETE FROM reject WHERE reason IN ('not_http', 'bytes');"
            ),
            "shows today's": Patches((Aggregator, "total_rejects", {"fields": 4})),
        },
    ),
    Promise(check_a_table_to_come, None, {"all": ALL_TABLES}, (LedgerDamaged,)),
    Promise(
        check_a_step_that_fails, None, [Patches((Database, "_advance", advances_as_it_can))], (LedgerDamaged,)
    ),
    Promise(
        check_a_reader_writes_nothing,
        None,
        {
            "reads what is there": Patches((Database, "_read_through", lambda _: None)),
            "takes the steps": Patches((Database, "_read_through", takes_the_steps)),
        },
        (LedgerDamaged,),
    ),
    Promise(check_what_is_too_large_to_be_copied, None, [Doubled("ledger.database:COPY_LIMIT")]),
    Promise(check_killed_in_a_step, "at once", ["each by itself"], (LedgerUnavailable,)),
)
