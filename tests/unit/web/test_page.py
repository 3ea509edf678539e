"""The page's answers: what they tell is what was written, they are bounded, and strangers get none."""

import json
import re
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from wsgiref.util import setup_testing_defaults

import pytest

from qps_service.ledger import database, queries
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.schema import VERSION
from qps_service.looking import state as standing_of
from qps_service.text.escape import show
from qps_service.values.counts import Counts, Key
from qps_service.values.entries import STARTED, Event
from qps_service.web import answers, page
from qps_service.web.assets import Asset, assets
from qps_service.web.page import Page, host_of
from qps_service.web.view import RANGES, step_for, view_of
from tests.durations import quantile
from tests.ledgers import SECOND, entry, locked, opened
from tests.limits import Doubled
from tests.promised import Patches, Promise, nothing, promises
from tests.unit.looking.week import HOUR, INCIDENT, ROUTES, STOP, Batch, Week, added


class Got(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)


class Browser:
    """Asks a page; the clocks stand until they are set."""

    def __init__(self, ledger: Path, *, now: int, kind: Callable[..., Page] = Page, **how: Any) -> None:
        self.now, self.passed = now, 0.0
        how.setdefault("assets", {"/": Asset("text/html; charset=utf-8", b"<p>")})
        self.page = kind(
            str(ledger), holder=lambda: 0, unix=lambda: self.now, monotonic=lambda: self.passed, **how
        )

    def get(self, path: str = "/state.json", query: str = "", method: str = "GET", **headers: str) -> Got:
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        environ.update(PATH_INFO=path, QUERY_STRING=query, REQUEST_METHOD=method, **headers)
        answered: list[Any] = []
        body = b"".join(self.page(environ, lambda status, sent: answered.append((status, sent))))  # type: ignore[arg-type]
        ((status, sent),) = answered
        return Got(int(status.split()[0]), dict(sent), body)


def of(week: Week, **how: Any) -> Browser:
    return Browser(week.path, now=week.batches[-1].ended + SECOND, **how)


# --- what is told is what was written


def check_row(row: Mapping[str, Any], batches: list[Batch], takes: Callable[[bytes, int], bool]) -> None:
    classes, _, rate = added(batches, lambda _, route, status: takes(route, status))
    assert row["requests"] == classes
    assert row["rate"] == pytest.approx(rate, rel=1e-12)
    assert sum(row["rates"]) == pytest.approx(rate, rel=1e-12)
    durations = sorted(
        each
        for batch in batches
        for (route, number), own in batch.durations.items()
        if takes(route, number * 100)
        for each in own
    )
    if row.get("name", "/").isdecimal():  # durations are kept by class of status
        assert row["latency"] is None
    else:
        assert row["latency"] == [quantile(durations, part) / SECOND for part in (500, 950, 990)]
    assert row["share"] == pytest.approx(classes[4] / sum(classes) if sum(classes) else 0)


def within(week: Week, log: str | None, row: Mapping[str, Any]) -> list[Batch]:
    """The windows of a row, by its times."""
    return [
        batch
        for batch in week.batches
        if log in (None, batch.log)
        and row["from"] * SECOND < batch.ended <= row["until"] * SECOND + 1
        and (log is None or row["from"] * SECOND <= batch.started + 1)
    ]


VIEWS = {
    "the last hour": "range=1h&log=web",
    "the last week": "range=7d&log=web",
    "all logs": "range=6h",
    "the incident": f"since={INCIDENT[0] // SECOND - 3600}&until={INCIDENT[1] // SECOND + 3600}&log=web",
    "the stop": f"since={STOP[0] // SECOND - 3600}&until={STOP[1] // SECOND + 3600}&log=web",
    "one route": "range=1d&log=web&route=/checkout",
    "a hostile route": "range=1d&log=web&route=" + "/%5Cx1b%5B2Jevil%5Cx0a",
}


def check_truth(view: str, week: Week) -> None:
    """Cell by cell: over time, by route, by status, and small charts."""
    browser = of(week)
    query = VIEWS[view]
    log = "web" if "log=" in query else None
    wanted = next((route for route in ROUTES if view_of(query).route == show(route)), None)
    series = browser.get("/series.json", query).told
    assert 0 < len(series["rows"]) <= 360

    def of_route(route: bytes, _: int) -> bool:
        return wanted in (None, route)

    for row in series["rows"]:
        check_row(row, within(week, log, row), of_route)
    span = {"from": series["rows"][0]["from"], "until": series["rows"][-1]["until"]}
    batches = within(week, log, span)
    of_all = sum(sum(row["requests"]) for row in series["rows"])
    assert of_all == sum(added(batches, lambda _, *line: of_route(*line))[0])
    routes = browser.get("/routes.json", query).told
    assert {row["name"] for row in routes["routes"]} == set(map(show, ROUTES))
    for row in routes["routes"]:
        check_row(row, batches, lambda route, _, row=row: show(route) == row["name"])  # type: ignore[misc]
        assert sum(row["trend"]) == sum(row["requests"])
        assert len(row["trend"]) == 24
    shares = [row["share"] > 0 for row in routes["routes"]]
    assert shares == sorted(shares, reverse=True), "errors first"
    if wanted:
        for row in series["statuses"]:
            status = int(row["name"])
            check_row(row, batches, lambda *each, status=status: each == (wanted, status))
    state = browser.get("/state.json", query).told
    assert state["counting"]
    own = [batch for batch in week.batches if log in (None, batch.log)]
    check_row(state["last"], [batch for batch in own if batch.ended == own[-1].ended], lambda *_: True)
    assert state["requests"] == sum(sum(batch.lines.values()) for batch in own)


# --- bounds


def many(tmp_path: Path, *, routes: int = 120, windows: int = 1) -> Path:
    """A ledger with so many routes, every fourth with an error, and windows of a second."""
    path = tmp_path / "ledger.db"
    ledger = opened(path)
    ledger.database.connection.execute("PRAGMA synchronous = OFF")  # no power fails here
    for sequence in range(1, windows + 1):
        made = entry((), sequence=sequence, started=(sequence - 1) * SECOND, ended=sequence * SECOND)
        counts = {Key(b"GET", b"/%d" % i, 200): Counts(i + 1, 0) for i in range(routes)}
        counts |= {Key(b"GET", b"/%d" % i, 500): Counts(1, 0) for i in range(0, routes, 4)}
        ledger.commit([made._replace(counts=counts)], sequence=sequence)
    ledger.close()
    return path


def end_of(path: Path) -> int:
    """When its last window ended."""
    with sqlite3.connect(path) as reading:
        (ended,) = reading.execute("SELECT max(ended) FROM period").fetchone()
    return int(ended)


def check_bounds(tmp_path: Path) -> None:
    path = many(tmp_path)
    browser = Browser(path, now=end_of(path))
    told = browser.get("/routes.json", "sort=rate").told
    assert [row["name"] for row in told["routes"][:2]] == ["/119", "/118"]
    assert len(told["routes"]) == 50
    assert told["left_out"] == 70
    rest = sum(sum(row["requests"]) for row in told["routes"]) + sum(told["rest"]["requests"])
    assert rest == sum(range(1, 121)) + 30
    errors = browser.get("/routes.json").told["routes"]
    assert [sum(row["requests"][4:5]) for row in errors[:31]] == [1] * 30 + [0]
    assert errors[30]["name"] == "/119", "those without by their rate"
    found = browser.get("/routes.json", "filter=/11&sort=requests").told
    assert {row["name"] for row in found["routes"]} == {"/11", *(f"/{i}" for i in range(110, 120))}
    assert found["rest"] is None


def check_points(tmp_path: Path) -> None:
    """Also where windows are as short as they can be."""
    path = many(tmp_path, routes=1, windows=400)
    browser = Browser(path, now=end_of(path))
    assert len(browser.get("/series.json", "range=15m").told["rows"]) <= 41
    assert all(span <= 360 * step_for(span) for span in RANGES.values())
    view_of("since=1000&until=605800")
    with pytest.raises(ValueError, match="7 days at most"):
        view_of("since=1000&until=605801")
    view_of("log=" + "a" * 4000)
    with pytest.raises(ValueError, match="at most 4000 characters"):
        view_of("log=" + "a" * 4001)


# --- who gets an answer

OURS = ("127.0.0.1:9146", "localhost", "LOCALHOST:9146", "[::1]:9146", "192.0.2.7", "page.example")
STRANGE = (
    *("", "evil.example", "evil.example:9146", "127.0.0.1.evil.example", "localhost.evil.example"),
    *("127.0.0.1@evil.example", "[::1", "a:b:c", "0x7f.1"),
)
HOSTS = {**dict.fromkeys(OURS, 200), **dict.fromkeys(STRANGE, 403)}


def check_hosts(make: Callable[..., Browser], week: Week) -> None:
    browser = make(week, names=["Page.Example."])
    got = {host: browser.get(HTTP_HOST=host).status for host in HOSTS}
    assert got == HOSTS
    assert browser.get("/", HTTP_HOST="evil.example").status == 403
    for name in ("page.example:80", ":80", "a b:c", "", ".", "*", "a b", "é.example", "a\n"):
        with pytest.raises(ValueError, match="without a port"):
            host_of(name)


def check_methods(week: Week) -> None:
    browser = of(week)
    for path in ("/", "/state.json", "/series.json"):
        whole, head = browser.get(path), browser.get(path, method="HEAD")
        assert (head.status, head.headers, head.body) == (whole.status, whole.headers, b"")
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", ""):
            refused = browser.get(path, method=method)
            assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")


def check_headers(week: Week) -> None:
    browser = of(week)
    for got in (
        browser.get("/"), browser.get(), browser.get("/none"), browser.get(method="POST"),
        browser.get(HTTP_HOST="evil.example"), browser.get(query="range=9h"),
    ):  # fmt: skip
        policy = dict(each.split(" ", 1) for each in got.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert all(value in ("'self'", "'none'") for value in policy.values())
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert got.headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in got.headers


def test_only_listed_files_are_served() -> None:
    browser = Browser(Path("/nowhere/ledger.db"), now=0, assets=assets("/nowhere"))
    for path in ("/", "/page.js", "/page.css", "/icon.svg"):
        assert browser.get(path).status == 200
    for path in (
        *("/dygraph.js", "/page.html", "/../page.py", "/assets/page.js", "//", "/page.js/"),
        "/%2e%2e/page.py",
    ):
        assert browser.get(path).status == 404


@pytest.mark.parametrize(
    "query",
    [
        *("range=9h", "since=1", "since=2&until=1", "since=1&until=999999", "since=x&until=y", "sort=name"),
        *("sort=time", "since=-1&until=1", "since=1&until=\u0662", "x=1", "log=" + "a" * 4001),
        *("&".join(["range=1h"] * 8), "since=9999990000&until=9999999999"),
    ],
)
def test_what_is_no_view_is_refused(query: str, week: Week) -> None:
    got = of(week).get("/series.json", query)
    assert got.status == 400
    assert got.told["sentence"]
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own text
        view_of(query)


# --- once a report


def check_etag(tmp_path: Path) -> None:
    """The same until the next report, whatever is committed or passes meanwhile."""
    path = tmp_path / "ledger.db"
    ledger = opened(path)
    ledger.commit([entry(range(10))], sequence=1)
    browser = Browser(path, now=end_of(path) + SECOND)
    for part in ("/series.json", "/routes.json"):
        first = browser.get(part)
        known = {"HTTP_IF_NONE_MATCH": first.headers["ETag"]}
        browser.now += SECOND
        again = browser.get(part, **known)
        assert (again.status, again.body) == (304, b"")
        for several in (f"W/{first.headers['ETag']}", f'"x", W/{first.headers["ETag"]}'):
            assert browser.get(part, HTTP_IF_NONE_MATCH=several).status == 304, "through a proxy"
        assert browser.get(part, HTTP_IF_NONE_MATCH='"x", ""').status == 200
        assert browser.get(part, "range=3h", **known).status == 200
        assert browser.get(part, "filter=1", **known).status == 200
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(page, "__version__", "9.9")
            assert browser.get(part, **known).status == 200
    ledger.commit([entry(range(10), sequence=2, started=10 * SECOND, ended=20 * SECOND)], sequence=2)
    ledger.close()
    for part in ("/series.json", "/routes.json"):
        assert browser.get(part, HTTP_IF_NONE_MATCH=first.headers["ETag"]).status == 200
    assert "ETag" not in browser.get().headers, "ages are of the moment"


class Forgetful(OrderedDict[str, Any]):
    """It never has anything."""

    def get(self, key: str, default: Any = None) -> Any:
        return default


def check_shared(week: Week, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of twenty who ask at once, one has it computed."""
    asked: list[str | None] = []
    real = queries.past
    browser = of(week)

    def count(ledger: Any, question: Any) -> Any:
        asked.append(question.by)
        return real(ledger, question)

    monkeypatch.setattr(page, "past", count)
    ready = threading.Barrier(20)
    bodies = []

    def ask() -> None:
        ready.wait()
        bodies.append(browser.get("/routes.json", "range=7d").body)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bodies) == 20
    assert len(set(bodies)) == 1
    browser.get("/routes.json", "range=7d&filter=check&sort=rate")
    assert asked == ["route"]


def check_kept(week: Week) -> None:
    """No more than is promised."""
    browser = of(week)
    for number in range(page.KEPT + 3):
        browser.get("/routes.json", f"filter={number}&range=15m")
    assert len(browser.page._answers["/routes.json"]._kept) == page.KEPT
    assert len(browser.page._pasts._kept) == 1
    for length in ("15m", "1h", "3h"):
        browser.get("/routes.json", f"range={length}")
    assert len(browser.page._pasts._kept) == 2


def check_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many logs there are, what all of them share is read once; the page, which is asked often and
    shows no slowest routes, has none looked for."""
    ledger = opened(tmp_path / "ledger.db")
    ledger.commit([entry(range(10), log=f"log-{number}") for number in range(4)], sequence=1)
    looks: list[str] = []

    def look(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def looked(*asked: Any) -> Any:
            looks.append(name)
            return real(*asked)

        return looked

    for name in ("_periods", "_spans"):
        monkeypatch.setattr(queries, name, look(name, getattr(queries, name)))
    now = end_of(tmp_path / "ledger.db")
    queries.standing(ledger, now - HOUR, now, 0)
    ledger.close()
    assert sorted(looks) == ["_periods", "_periods", "_spans"]
    looks.clear()
    assert len(Browser(tmp_path / "ledger.db", now=now).get().told["logs"]) == 4
    assert looks == ["_periods"]


def each_by_itself(reading: sqlite3.Connection, logs: list[int], question: Any) -> Mapping[int, Any]:
    """A twin of `_slowest`."""
    return {log: REAL_SLOWEST(reading, [log], question)[log] for log in logs}


REAL_SLOWEST = queries._slowest


def with_the_slowest(*asked: Any, slowest: bool) -> Any:
    """A twin of `standing`."""
    return queries.standing(*asked)


def as_the_window(began: int, ended: int, _: int | None) -> int:
    """A twin of `due`."""
    return ended - began


# --- what can't be told is a sentence


def check_sentences(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    browser = Browser(path, now=HOUR)

    def sentence() -> str:
        got = browser.get("/series.json")
        assert got.status == 503
        return str(got.told["sentence"])

    assert sentence() == f"There is no ledger at {path} yet: the service has not counted anything."
    path.touch()
    assert "not counted anything" in sentence()
    ledger = opened(path)
    ledger.close()
    assert browser.get().told["sentence"].startswith("NOT COUNTING: the ledger knows no log yet.")
    assert browser.get("/series.json").told["rows"] == []
    ledger = opened(path)
    ledger.commit([entry([1])], sequence=1)
    ledger.close()
    for part in ("/series.json", "/routes.json"):
        got = browser.get(part, "log=nobody")
        assert (got.status, got.told) == (404, {"sentence": "The ledger knows no log nobody."})
    with locked(path, "EXCLUSIVE"):
        assert (
            sentence() == f"Another program has locked the ledger {path}. The page goes on when it is done."
        )
    with sqlite3.connect(path) as writing:
        writing.execute(f"PRAGMA user_version = {VERSION - 1}")
    assert sentence() == (
        f"The ledger {path} can't be read: it has schema {VERSION - 1}, and the service brings it to "
        f"{VERSION} at its next start."
    )
    with sqlite3.connect(path) as writing:
        writing.execute(f"PRAGMA user_version = {VERSION + 1}")
    assert sentence() == (
        f"The ledger is newer than this page: it has schema {VERSION + 1}, this program knows schemas up to "
        f"{VERSION}. Restart qps-reporter-web.service."
    )
    path.write_bytes(b"no ledger" * 1000)
    assert sentence().startswith(f"The ledger {path} can't be read: ")


def check_down(tmp_path: Path, stop: int) -> None:
    """A service that does not count any longer is said to, and the span goes on; also after a stop of so many
    seconds, which made its last window as long."""
    path = tmp_path / "ledger.db"
    ledger = opened(path)
    ledger.commit([entry(range(10))], sequence=1)
    if stop:
        told = entry(range(10), sequence=2, started=10 * SECOND, ended=(20 + stop) * SECOND)
        start = Event(told.at - 10 * SECOND, STARTED, "started")
        ledger.commit([told._replace(events=(start,))], sequence=2)
    ledger.close()
    browser = Browser(path, now=end_of(path) + 25 * SECOND)
    assert browser.get().told["counting"]
    assert browser.get().told["every"] == (60 if stop else 10)
    first = browser.get("/series.json")
    browser.now += 3000 * SECOND
    assert (
        browser.get().told["sentence"]
        == "NOT COUNTING: last commit 50m 25s ago. Ask: systemctl status qps-reporter"
    )
    later = browser.get("/series.json", HTTP_IF_NONE_MATCH=first.headers["ETag"])
    assert later.status == 200
    assert later.told["until"] == (browser.now // (60 * SECOND)) * 60


def check_slow(week: Week, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that takes too long is given up by SQLite itself."""
    monkeypatch.setattr(database, "INSTRUCTIONS", 100)
    browser = of(week)
    real = browser.page._monotonic
    ticks = iter(range(100_000))
    browser.page._monotonic = lambda: real() + next(ticks) / 10
    got = browser.get("/routes.json", "range=7d")
    assert got.status == 503
    assert got.told["sentence"] == "The ledger took longer than 10 s to answer. Choose a shorter range."


def check_waits(week: Week, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that one waits for another's answer does not count."""
    monkeypatch.setattr(database, "INSTRUCTIONS", 100)
    browser = of(week)

    class Queue:
        """Others are first, for long."""

        def __enter__(self) -> None:
            browser.passed += 100

        def __exit__(self, *_: object) -> None:
            pass

    for part in ("/series.json", "/routes.json"):
        monkeypatch.setattr(browser.page._answers[part], "computing", Queue())
        assert browser.get(part, "range=7d").status == 200


@contextmanager
def since_it_was_asked(self: Page) -> Iterator[Ledger]:
    """A twin of `_open` whose patience begins with the request."""
    ledger = Ledger(self._path, boot="")
    try:
        ledger.open(writable=False, scan=False)
        ledger.database.give_up_when(lambda: self._monotonic() > self.asked_at + page.TIME_LIMIT)
        yield ledger
    finally:
        ledger.close()


test_promise, test_twin = promises(
    *(
        Promise(check_truth, None, twins, view=view, label=view)
        for view, twins in {
            **{view: {} for view in VIEWS},
            "the last week": {"forgets parts": Patches((answers, "_trend", lambda *_: [0]))},
            "one route": {
                "all routes": Patches((page, "_takes", nothing)),
                "all durations": Patches((page, "_takes_latency", lambda _: lambda _: True)),
            },
            "the last hour": {"all logs": Patches((page, "_takes_log", lambda _: lambda _: True))},
        }.items()
    ),
    Promise(
        check_bounds,
        None,
        [Patches((answers, "_rest", nothing)), Doubled("web.answers:ROUTES")],
        caught=(TypeError,),
    ),
    {
        check_points: [
            Doubled("web.view:POINTS"),
            Doubled("web.view:LONGEST"),
            Doubled("web.view:TEXT_LIMIT"),
        ],
        check_methods: {},
        check_etag: {
            "by path alone": Patches((page, "_etag", lambda text: text.split()[0])),
            "whatever the program": Patches((page, "_etag", str)),
            "as one text": Patches((page, "_ETAG", re.compile(".+"))),
        },
        check_shared: {"forgets": Patches((page, "OrderedDict", Forgetful))},
        check_sentences: {"one for all": Patches((Page, "_trouble", lambda _, error: str(error)))},
        check_kept: {"as many as answers": Patches((page, "PASTS", 16))},
        check_one_look: {
            "for the page, too": Patches((page, "standing", with_the_slowest)),
            "each log by itself": Patches((queries, "_slowest", each_by_itself)),
        },
        check_waits: [Patches((Page, "_open", since_it_was_asked))],
        check_slow: {
            "patient": Patches((database.Database, "give_up_when", nothing)),
            "slower": Doubled("web.page:TIME_LIMIT"),
        },
    },
    Promise(check_hosts, of, {"all hosts": Patches((Page, "_is_host", lambda *_: True))}),
    Promise(check_headers, None, {"inline": Patches((page, "_HEADERS", []))}, caught=(KeyError,)),
    Promise(check_down, None, {"never late": Patches((page, "is_late", lambda *_: False))}, stop=0),
    Promise(
        check_down,
        None,
        {
            "waits for as long": Patches((standing_of, "due", as_the_window)),
            "shows for as long": Patches((answers, "due", as_the_window)),
            "asks as seldom": Patches((answers, "EVERY", 1e9)),
        },
        stop=8 * 3600,
    ),
)
