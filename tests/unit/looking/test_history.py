"""What history shows of a week equals what was written in it, cell by cell; and how it is shown."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import qps_service.text.width
from qps_service.ledger import queries
from qps_service.looking import moments, rendering, table
from qps_service.looking.rendering import render_csv, render_json, render_table
from qps_service.looking.table import Row, Table
from qps_service.reporting import documents
from qps_service.reporting.selection import Selection
from qps_service.text.escape import show
from qps_service.text.units import SECOND
from qps_service.text.width import columns
from qps_service.values.entries import Event
from qps_service.values.past import Past, Period, Tally
from tests.durations import check_latency
from tests.promised import Patches, Promise, promises
from tests.unit.looking.week import (
    BEGIN,
    BERLIN,
    DAY,
    END,
    HOUR,
    INCIDENT,
    KILL,
    MINUTE,
    ROTATION,
    STOP,
    Batch,
    Week,
    added,
    berlin,
)


def check_row(row: Row, batches: list[Batch], takes: Any = None, is_told: Any = lambda *_: True) -> None:
    """Its cells are those of the lines in these windows. Of durations count those of routes and classes."""
    classes, size, rate = added(batches, takes)
    assert row.tally[:2] == (tuple(classes), size)
    check_latency(
        row.tally.latency,
        [
            each
            for batch in batches
            for key in batch.durations
            if is_told(*key)
            for each in batch.durations[key]
        ],
    )
    lengths: Counter[str] = Counter()
    for batch in batches:
        lengths[batch.log] += batch.ended - batch.started
    assert row.seconds == max(lengths.values()) / SECOND
    assert row.rate == pytest.approx(rate, rel=1e-12)
    assert sum(row.class_rates) == pytest.approx(rate, rel=1e-12)
    assert row.covers_stop == any(
        batch.started < end <= batch.ended for batch in batches for _, end in (STOP, KILL)
    )


# --- by time

SPANS = {
    "all of it by day": (BEGIN, END, "1d"),
    "the day of 25 hours by hour": (berlin("2026-10-25"), berlin("2026-10-26"), "1h"),
    "the hour that comes twice": (berlin("2026-10-25 02:00"), berlin("2026-10-25 03:00"), "1m"),
    "the incident by minute": (INCIDENT[0] - HOUR, INCIDENT[1] + HOUR, "1m"),
    "around the stop": (STOP[0] - HOUR, STOP[1] + HOUR, "1m"),
    "within the stop": (STOP[0] + MINUTE, STOP[0] + 2 * MINUTE, "10s"),
    "around the kill": (KILL[0] - HOUR, KILL[1] + HOUR, "1m"),
    "an hour that was merged": (berlin("2026-10-22 14:10"), berlin("2026-10-22 14:20"), "1m"),
    "ten minutes by window": (END - 20 * MINUTE, END - 10 * MINUTE + 5 * SECOND, "10s"),
    "what suits": (END - 3 * DAY, END, "auto"),
}


def check_by_time(span: str, week: Week, *, log: str | None = "web") -> None:
    """Every window that ends in the span is in one row, and rows have whole windows."""
    since, until, by = SPANS[span]
    found = week.ask(since, until, by, log=log)
    batches = [each for each in week.batches if log in (None, each.log)]
    rows = found.rows
    assert rows
    in_rows: list[Batch] = []
    for row in rows:
        if log is None:
            own = [each for each in batches if row.started < each.ended <= row.ended]
        else:
            own = [each for each in batches if row.started <= each.started and each.ended <= row.ended]
            assert (own[0].started, own[-1].ended) == (row.started, row.ended)
        check_row(row, own)
        in_rows += own
    assert len(in_rows) == len(set(map(id, in_rows))), "none twice"
    wanted = {id(each) for each in batches if since < each.ended <= until}
    assert wanted <= {id(each) for each in in_rows}
    beyond = [each for each in in_rows if id(each) not in wanted]
    assert all(each.started < until or found.merged for each in beyond)
    assert all(2 * (each.ended - each.started) > 3 * found.step or found.merged for each in beyond)
    assert not found.gaps
    assert found.total is not None
    check_row(found.total, in_rows)
    step = found.step
    for row in rows:
        assert row.seconds <= 1.5 * max(step, row.grain) / SECOND * 1.02 or row.begin == row.started
        if step < DAY:
            assert row.begin <= row.ended - 1


def check_steps(week: Week) -> None:
    """A day has the hours that the place had, and an hour that comes twice stands twice."""
    days = week.ask(BEGIN, END, "1d").rows
    assert [row.begin for row in days] == [berlin(f"2026-10-{day}") for day in range(20, 28)]
    assert days[5].seconds == 25 * 3600
    since = berlin("2026-10-25")
    hours = week.ask(since, berlin("2026-10-26"), "1h").rows
    assert [row.begin for row in hours] == [since + number * HOUR for number in range(25)]
    text = render_table(week.ask(since, berlin("2026-10-26"), "1h"), BERLIN)
    assert "2026-10-25 02:00+02:00" in text
    assert "2026-10-25 02:00+01:00" in text
    lord_howe, put = ZoneInfo("Australia/Lord_Howe"), 1_806_764_400 * SECOND  # by half an hour
    steps = [moments.begin_of(put + passed * MINUTE, HOUR, lord_howe) for passed in (-1, 0, 29, 30, 89, 90)]
    assert [(begin - put) // MINUTE for begin in steps] == [-60, 0, 0, 30, 30, 90]
    assert moments.spell(steps[1], lord_howe, zone=True) == "2027-04-04 01:30:00+10:30"


# --- by what requests are counted under


def check_by_name(by: str, week: Week, *, log: str | None) -> None:
    since, until = END - DAY, END
    found = week.ask(since, until, by, log=log)
    batches = [each for each in week.batches if log in (None, each.log) and since < each.ended <= until]
    number = {"method": 0, "route": 1, "status": 2}[by]
    names: set[Any] = {key[number] for each in batches for key in each.lines}
    shown = {str(name) if by == "status" else show(name): name for name in names}
    assert {row.name for row in found.rows} == set(shown)
    for row in found.rows:
        assert row.name is not None
        name = shown[row.name]
        is_told = {"route": lambda route, _, name=name: route == name}.get(by, lambda *_: False)
        check_row(row, batches, lambda *key, name=name: key[number] == name, is_told)
    assert [row.rate for row in found.rows] == sorted((row.rate for row in found.rows), reverse=True)
    assert found.total is not None
    check_row(found.total, batches, is_told=lambda *_: by == "route")
    told = rendering.NO_LATENCY_SO in render_table(found, BERLIN)
    assert told == found.lacks_latency == (by != "route")


NOT_TOLD = lambda *_: False  # noqa: E731
FILTERS: dict[str, tuple[Selection, Callable[[bytes, bytes, int], bool], Callable[[bytes, int], bool]]] = {
    "route": (
        Selection(routes=("/check*",)),
        lambda _, route, __: route == b"/checkout",
        lambda route, _: route == b"/checkout",
    ),
    "class": (
        Selection(statuses=("5",)),
        lambda _, __, status: 500 <= status <= 599,
        lambda _, number: number == 5,
    ),
    "route and classes": (
        Selection(routes=("/",), statuses=("2", "4")),
        lambda _, route, status: route == b"/" and status // 100 in (2, 4),
        lambda route, number: route == b"/" and number in (2, 4),
    ),
    "two statuses": (
        Selection(statuses=("304", "404")),
        lambda _, __, status: status in (304, 404),
        NOT_TOLD,
    ),
    "method": (Selection(methods=("POST",)), lambda method, _, __: method == b"POST", NOT_TOLD),
    "all of these": (
        Selection(routes=("/*",), methods=("GET",), statuses=("2",)),
        lambda method, _, status: method == b"GET" and status == 200,
        NOT_TOLD,
    ),
}


def check_filter(name: str, week: Week) -> None:
    """Time passes where nothing of it was asked for, too."""
    selection, takes, is_told = FILTERS[name]
    since, until = INCIDENT[0] - HOUR, INCIDENT[1] + HOUR
    found = week.ask(since, until, "1m", takes=selection.takes, takes_latency=selection.takes_latency)
    assert found.lacks_latency == (is_told is NOT_TOLD)
    for row in found.rows:
        own = [each for each in week.batches if each.log == "web" and row.started < each.ended <= row.ended]
        check_row(row, own, takes, is_told)


def check_many_keys(week: Week, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it is cheaper to read all of a window."""
    monkeypatch.setattr(queries, "FEW_KEYS", 0)
    for name in FILTERS:
        check_filter(name, week)


# --- beside what was


def check_compared(week: Week) -> None:
    """With the same time by the clocks on the wall a day earlier: 25 hours, where that night is between."""
    since, until = berlin("2026-10-25 12:00"), berlin("2026-10-25 18:00")
    days = moments.days_before(since, 1, BERLIN)
    assert days == berlin("2026-10-24 12:00") == since - 25 * HOUR
    again = berlin("2026-10-25 02:10"), berlin("2026-10-25 02:10", fold=1)
    assert moments.span_before(*again, 1, BERLIN) == (again[0] - DAY, again[1] - DAY)
    assert moments.span_before(since, until, 1, BERLIN) == (days, until - 25 * HOUR)
    found = week.ask(since, until, "1h", before=since - days)
    then = {row.begin: row.rate for row in week.ask(days, until - 25 * HOUR, "1h").rows}
    assert [row.before for row in found.rows] == [then[row.begin - 25 * HOUR] for row in found.rows]
    assert [row.rate for row in found.rows] == [
        row.before for row in week.ask(since + 25 * HOUR, until + 25 * HOUR, "1h", before=25 * HOUR).rows
    ]
    names = week.ask(*INCIDENT, "status", before=DAY).rows
    by_status = {row.name: (row.tally.requests > 0, row.before) for row in names}
    assert by_status["503"] == (True, 0.0)
    assert by_status["200"][1]


# --- what is said beside the numbers


def check_said(week: Week) -> None:
    merged = week.ask(berlin("2026-10-22 14:10"), berlin("2026-10-22 14:20"), "1m")
    (row,) = merged.rows
    assert row.grain == HOUR
    assert (row.started, row.ended) == (berlin("2026-10-22 13:58:03"), berlin("2026-10-22 14:58:03"))
    text = render_table(merged, BERLIN)
    assert "log web: 2026-10-22 13:58:03 to 2026-10-22 14:58:03, by 1m\n" in text
    assert "kept by the hour: it is shown so, and the span is widened to whole ones\n" in text
    beside = "what it is compared with is kept by the hour: that span is widened to whole ones\n"
    late, early = week.ask(END - HOUR, END, "route"), week.ask(END - HOUR, END, "route", before=5 * DAY)
    assert [beside in render_table(each, BERLIN) for each in (late, early, merged)] == [False, True, False]
    by_hour = [week.ask(END - HOUR, END, by, before=5 * DAY) for by in ("1m", "1h")]
    assert [beside in render_table(each, BERLIN) for each in by_hour] == [True, False]
    around = week.ask(STOP[0] - HOUR, STOP[1] + HOUR, "1m")
    stopped = [row for row in around.rows if row.covers_stop]
    assert [row.started < STOP[0] and STOP[1] < row.ended for row in stopped] == [True]
    assert "* covers a stop" in render_table(around, BERLIN)
    assert [event.kind for event in around.events] == ["stopped", "started", "rotated"]
    early = week.ask(BEGIN - DAY, BEGIN + DAY, "1h")
    assert rendering.begins(early, BEGIN - DAY, BERLIN) == "history begins at 2026-10-20 11:58:03"
    assert rendering.begins(early, BEGIN, BERLIN) is None
    late = week.ask(END - HOUR, END, "1m")
    last = late.rows[-1].ended
    assert rendering.ends(late, last + 2 * MINUTE, BERLIN) is None
    said = rendering.ends(late, last + 45 * MINUTE, BERLIN)
    assert said == "no data for 45m since 2026-10-27 11:59:55: qps-reporter status tells why"
    for how in ({"sort": "errors", "top": 1}, {"by": "route"}, {"by": "1h"}):
        part = week.ask(END - HOUR, END, **{"by": "1m", **how})  # type: ignore[arg-type]
        assert rendering.ends(part, END, BERLIN) is None
        assert rendering.ends(part, last + 45 * MINUTE, BERLIN) == said
    assert not week.ask(BEGIN - 2 * DAY, BEGIN - DAY).rows


def check_events(week: Week) -> None:
    found = [(event.at, event.kind, event.log) for event in week.ask(BEGIN, END).events]
    assert found == [
        (STOP[0], "stopped", None),
        (STOP[1], "started", None),
        (ROTATION, "rotated", "web"),
        (KILL[1], "started", None),
    ]
    assert [event.kind for event in week.ask(ROTATION - MINUTE, ROTATION + MINUTE, log="api").events] == []


def check_hostile(week: Week) -> None:
    """What a route is called has no effect on a terminal, a spreadsheet or a program."""
    found = week.ask(END - HOUR, END, "route")
    evil = "/\\x1b[2Jevil\\x0a"
    for width in (None, 80, 20):
        text = render_table(found, BERLIN, width=width)
        assert evil[:17] in text
        assert text.replace("\n", "").isprintable()
    assert all(len(line) <= 100 for line in render_table(found, BERLIN, width=100).splitlines())
    found = found._replace(events=(Event(END, "rotated", "/\x9b2J\udcff is =1", "web"),))
    answer = json.loads(render_json(found, UTC, events=True))
    assert [answer["rows"][-1]["route"], answer["events"][0]["text"]] == [evil, "/\\xc2\\x9b2J\\xff is =1"]
    wide = found._replace(rows=(found.rows[0]._replace(name="/\u65e5\u672c" * 20), *found.rows[1:]))
    for width in (None, 100):  # two columns a character
        lines = render_table(wide, BERLIN, width=width).splitlines()[1:6]
        assert len({columns(line.rstrip("█▏▎▍▌▋▊▉ ")) for line in lines}) == 1
        assert max(map(columns, lines)) <= (width or 999)
        assert any(str(wide.rows[0].name) in line for line in lines) == (width is None)
    formula = found.rows[0]._replace(name="=1+1")
    rows = list(csv.DictReader(io.StringIO(render_csv(found._replace(rows=(formula, *found.rows)), UTC))))
    assert [row["route"] for row in rows] == ["'=1+1", *(row.name for row in found.rows)]


def check_gap(tmp_path: Path) -> None:
    """Where nothing was counted no number stands."""
    made = Past(
        ("web",),
        tuple(period(begin, begin + 10 * SECOND) for begin in (0, 10 * SECOND, 50 * SECOND)),
        {},
        (),
        0,
        60 * SECOND,
    )
    found = table.table_of(made, 10 * SECOND, UTC)
    assert found.gaps == ((20 * SECOND, 50 * SECOND),)
    assert [row.begin // SECOND for row in found.rows] == [0, 10, 50]
    lines = render_table(found, UTC).splitlines()
    assert lines[4] == "1970-01-01 00:00:20  no data for 30s"
    assert found.total is not None
    assert found.total.seconds == 30
    for how in (
        {"step": MINUTE},
        {"step": 10 * SECOND, "sort": "requests"},
    ):  # in a row, or in no order of time
        text = render_table(table.table_of(made, place=UTC, **how), UTC)
        assert text.count("1970-01-01 00:00:20  no data for 30s\n") == 1


def period(started: int, ended: int) -> Period:
    return Period("web", 1, started, ended, 0, 0, 0, Tally((0, 10, 0, 0, 0, 0), 100))


# --- twins


def by_the_step(real: Callable[..., Row]) -> Callable[..., Row]:
    def filled(row: Row, lengths: dict[str, int], tallies: Any) -> Row:
        return real(row, {log: MINUTE * round(each / MINUTE + 0.5) for log, each in lengths.items()}, tallies)

    return filled


def by_utc(at: int, step: int, _: object) -> int:
    return at // step * step


def ends_later(real: Callable[..., Any]) -> Callable[..., Any]:
    """Windows that the end of the span cuts are in it, too."""

    def periods(reading: Any, ids: str, question: Any) -> Any:
        return real(reading, ids, question._replace(until=question.until + 20 * MINUTE))

    return periods


def ends_of_rows(table: Table, until: int, place: Any) -> str | None:
    last = max(table.rows, key=lambda row: row.ended)
    return ENDS(table._replace(total=last), until, place)


EVERY = property(lambda _: lambda _: True)
TRUE = table._filled
PERIODS = queries._periods
ENDS = rendering.ends

test_promise, test_twin = promises(
    *(
        Promise(check_by_time, None, twins, span=span, label=span)
        for span, twins in {
            **{span: {} for span in SPANS},
            "around the stop": {
                "rates by the step": Patches((table, "_filled", by_the_step(TRUE))),
                "a start is no event": Patches((table, "STARTED", "begun")),
            },
            "ten minutes by window": {
                "what the end cuts": Patches((queries, "_periods", ends_later(PERIODS)))
            },
            "all of it by day": {"forgets bytes' upper half": Patches((queries, "_tallies", lambda _: {}))},
        }.items()
    ),
    Promise(check_by_time, None, {}, span="the incident by minute", label="all logs", log=None),
    {
        check_steps: {
            "days of UTC": Patches((table, "begin_of", by_utc)),
            "whole hours": Patches((moments, "begin_of", by_utc)),
        },
        check_many_keys: {},
        check_compared: {"24 hours": Patches((moments, "days_before", lambda at, days, _: at - days * DAY))},
        check_said: {
            "a start is no event": Patches((table, "STARTED", "begun")),
            "silent of before": Patches((table.Table, "merged_before", 0)),
            "silent at the end": Patches((rendering, "ends", lambda *_: None)),
            "goes by what is shown": Patches((rendering, "ends", ends_of_rows)),
        },
        check_events: {"all logs' events": Patches((queries, "_events", lambda *_: ()))},
        check_hostile: {
            "no spreadsheet": Patches((documents, "harmless", str)),
            "events as they are": Patches((rendering, "visible", str)),
            "characters for columns": Patches((qps_service.text.width, "columns", len)),
        },
        check_gap: {"no gaps": Patches((table, "_gaps", lambda _: ()))},
    },
    *(
        Promise(check_by_name, None, {}, by=by, log=log, label=str(log))
        for by in ("route", "status", "method")
        for log in ("web", None)
    ),
    *(
        Promise(check_filter, None, twins, name=name, label=name)
        for name, twins in {
            **{name: {} for name in FILTERS},
            "class": {"looks up all": Patches((queries, "_keys", lambda *_: None))},
            "route and classes": {"durations of all": Patches((Selection, "takes_latency", EVERY))},
        }.items()
    ),
)
