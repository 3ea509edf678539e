"""What `top` shows equals what was written, cell by cell; where rows stand, what keys change, how it fits."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from qps_service.cli import make_parser
from qps_service.commands import top
from qps_service.configuration.loader import Flags, load
from qps_service.configuration.types import Config
from qps_service.looking import board, recent, screen, view
from qps_service.looking.board import Board
from qps_service.looking.order import Order
from qps_service.looking.recent import Figures, Numbers, Recent, Sample
from qps_service.looking.screen import Shown, sparkline
from qps_service.looking.view import View
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import TakesReports
from qps_service.text.escape import show
from qps_service.text.units import format_latency
from qps_service.text.width import clip, columns, fit
from qps_service.values.latency import BEYOND, NO_LATENCY, Latency, LatencyKey, bin_of
from qps_service.values.reports import Overview, Report, Row, Standing
from tests.ledgers import entry, opened
from tests.promised import Patches, Promise, promises
from tests.unit.daemons import SECOND, START, Service

HOSTILE = b"/\x1b[2J\xffevil"
BARS = "▁▂▃▄▅▆▇█"
MILLISECOND = SECOND // 1000


# --- the truth

Lines = Sequence[tuple[int, bytes, int]]  # nanoseconds after the start, route, status


class Shows(TakesReports):
    """The output of `top`, and when it was told."""

    name = "shows"

    def __init__(self) -> None:
        self.board = Board(View())
        self.trouble = Trouble(lambda _: None, "")
        self.moments = [0]  # nanoseconds after the start
        self.text = ""

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        self.board.take(reports, overview.logs, now)
        self.moments.append(now - START)
        self.text = self.board.text(None, now)


def followed(
    root: Path, lines: Lines, *, seconds: float, late: int = 0, took: Sequence[int] | None = None
) -> Shows:
    """What is shown of these lines at the end, with a rotation on the way; each sleep ends `late`. `took`:
    microseconds that each line tells."""
    shows = Shows()
    log_format = "%U %>s %D" if took else "%U %>s"
    toml = f'interval = "1s"\n[log.access]\npath = "{root}/access.log"\nformat = "{log_format}"\n'
    service = Service(root, toml, outputs=[shows])
    service.world.lateness = lambda: late
    service.log.touch()
    for number, (moment, route, status) in enumerate(lines):
        duration = b" %d" % took[number] if took else b""
        service.write_at(moment / SECOND, 1, b"%s %d%s\n" % (route, status, duration))
    service.world.hint(17.3, lambda: service.log.rename(root / "access.log.1"))
    service.world.hint(17.3, service.log.touch)
    service.run(seconds)
    return shows


def cells(text: str) -> dict[str, dict[str, str]]:
    """Those of each route, by column."""
    _, heads, *rows = text.rstrip("\n").split("\n")
    names = [head.rstrip("*") for head in heads.replace("5 minutes", "").split()][:-1]
    return {row.split()[-1]: dict(zip(names, row[1:].split(), strict=False)) for row in rows}


def expected(lines: Lines, windows: Sequence[int]) -> dict[str, dict[str, str]]:
    """By adding lines: those of the newest windows that last 10 s."""
    first = max(index for index, moment in enumerate(windows) if windows[-1] - moment >= 10 * SECOND)
    begin, seconds = windows[first], (windows[-1] - windows[first]) / SECOND
    found: dict[str, Counter[int]] = {show(route): Counter() for _, route, _ in lines}
    for moment, route, status in lines:
        if begin < moment <= windows[-1]:
            found[show(route)][status // 100] += 1
    return {
        name: {
            "req/s": rate(sum(classes.values()), seconds),
            "4xx": rate(classes[4], seconds),
            "5xx": rate(classes[5], seconds),
            "errors": f"{rate(100 * classes[5], sum(classes.values()))}%" if classes[5] else "0",
        }
        for name, classes in found.items()
    }


def rate(requests: int, seconds: float) -> str:
    """As reports have it: two decimals, or two digits."""
    found = requests / seconds if requests else 0
    return f"{found:.2f}".rstrip("0").rstrip(".") if found >= 0.1 or not found else f"{found:.2g}"


def charts(lines: Lines, until: int) -> dict[str, str]:
    """By adding lines, of each 10 s."""
    found = {}
    for name in {show(route) for _, route, _ in lines}:
        own = Counter((moment - 1) // (10 * SECOND) for moment, route, _ in lines if show(route) == name)
        sums = [own[number] for number in range(until // (10 * SECOND))]
        found[name] = "".join(BARS[math.ceil(7 * each / max(sums))] for each in sums)
    return found


def check_lengths(tmp_path: Path) -> None:
    """Cell by cell, of the last 10 s. Looks come late: rates are by the time that passed, which is nobody's
    wish."""
    random = Random(3)
    lines = sorted(
        (
            random.randrange(1, 42 * SECOND),
            random.choice((b"/", b"/a", HOSTILE)),
            random.choice((200, 404, 503)),
        )
        for _ in range(400)
    )
    shows = followed(tmp_path, lines, seconds=42, late=130 * MILLISECOND)
    assert any(moment % SECOND for moment in shows.moments)
    assert cells(shows.text) == expected(
        [line for line in lines if line[0] <= shows.moments[-1]], shows.moments
    )
    assert "p95" not in shows.text
    assert "! errors" in shows.text


def check_charts(tmp_path: Path) -> None:
    random = Random(4)
    lines = sorted((random.randrange(1, 40 * SECOND), random.choice((b"/", b"/a")), 200) for _ in range(300))
    shows = followed(tmp_path, lines, seconds=40)
    _, _, *rows = shows.text.rstrip("\n").split("\n")
    assert {row.split()[-1]: row.split()[-2] for row in rows} == charts(lines, 40 * SECOND)
    assert "last 10 s" in shows.text


# --- windows of the ledger


def check_recalled(tmp_path: Path, length: int) -> None:
    """The minutes before are those of the ledger, once each, whatever length its windows had."""
    ledger = opened(tmp_path / "ledger.db")
    at = 1_790_000_000 * SECOND
    ended = [at - 3 * SECOND - number * length for number in range(280 * SECOND // length)][::-1]
    for number, end in enumerate(ended, 1):
        told = entry(range(20 + number), sequence=number, started=0, ended=length)
        timed = {LatencyKey(b"/3", 2): lasting(7), LatencyKey(b"/3", 5): lasting(900)}
        ledger.commit([told._replace(at=end, path="/access.log", latencies=timed)], sequence=number)
    ledger.close()
    shows = Board(View())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: at)
        top._recall(shows, config(tmp_path), str(tmp_path), type("", (), {"now": lambda _: START})())
    numbers = shows._recents["own"].numbers(START)
    newest = 20 + len(ended)
    assert numbers.whole.requests == newest
    assert numbers.seconds == length / SECOND
    known = [rate for rate in numbers.whole.spark if rate is not None]
    assert len(known) == len(ended) * length // recent.BIN
    assert known[-1] == pytest.approx(newest * SECOND / length)
    total = sum(number + 20 for number in range(1, len(ended) + 1)) * SECOND
    assert sum(known) == pytest.approx(total / recent.BIN, rel=0.05)
    rows = {row.name: row for row in numbers.rows}
    assert rows.keys() == {f"/{number}" for number in range(newest)}
    assert [rows["/3"].quantile(part) for part in (500, 950)] == [7 * MILLISECOND, 900 * MILLISECOND]


def check_in_time(tmp_path: Path) -> None:
    """A ledger that takes too long tells nothing, and not half of it."""
    ledger = opened(tmp_path / "ledger.db")
    at = 1_790_000_000 * SECOND
    ledger.commit([entry([1])._replace(at=at - SECOND, path="/access.log")], sequence=1)
    ledger.close()
    for passes, told in ((SECOND // 100, {"own"}), (SECOND // 4, set())):  # between two looks at the clock
        shows, moments = Board(View()), count(START, passes)
        clock = type("", (), {"now": lambda _, moments=moments: next(moments)})()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time_ns", lambda: at)
            top._recall(shows, config(tmp_path), str(tmp_path), clock)
        assert shows._recents.keys() == told


def config(tmp_path: Path) -> Config:
    file = tmp_path / "qps-reporter.toml"
    file.write_text('[log.own]\npath = "/access.log"\n')
    return load(Flags(config=str(file)), {})


def check_paste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are arranged for what is drawn, and not for each key that is typed."""
    shows = Board(View())
    shows.take([report((Row(b"GET", b"/", 200, 5, 0, 5.0),))], [standing()], START)
    monkeypatch.setattr(Board, "_shown", lambda *_: pytest.fail("they are arranged"))
    for key in "/checkout":
        assert shows.press(key, 24, START)
    assert shows._view.filter == "checkout"


def check_stale(_: None = None) -> None:
    """What ended long ago is in the chart, and no number of now."""
    kept = Recent("access")
    kept.take(sample(START, {"/": (0, 50, 0, 0, 0, 0)}))
    numbers = kept.numbers(START + 60 * SECOND)
    assert (numbers.whole.rate, numbers.seconds) == (0, 0)
    assert [rate for rate in numbers.whole.spark if rate] == [50]
    assert kept.numbers(START + 310 * SECOND).rows == ()


def sample(ended: int, tallies: Any, latencies: Any = None) -> Sample:
    return Sample(ended, SECOND, tallies, latencies or {})


# --- which logs

CHOSEN: dict[str, tuple[Sequence[str], Sequence[tuple[str, str, str]]]] = {  # arguments; name, path, format
    "all": ((), [("shop", "/srv/shop.log", "%U %>s"), ("each", "/srv/vhosts/*.log", "auto")]),
    "by name": (["shop"], [("shop", "/srv/shop.log", "%U %>s")]),
    "by path": (["/srv/shop.log"], [("shop", "/srv/shop.log", "%U %>s")]),
    "once": (["shop", "/srv/shop.log"], [("shop", "/srv/shop.log", "%U %>s")]),
    "another": (["/srv/a.log", "--format", "json"], [("a", "/srv/a.log", "json")]),
    "of one name": (
        ["/a/access.log", "/b/access.log", "shop"],
        [("access", "/a/access.log", "auto"), ("access-2", "/b/access.log", "auto"),
         ("shop", "/srv/shop.log", "%U %>s")],
    ),
    "a pattern": (["/srv/*/x.log"], [("x", "/srv/*/x.log", "auto")]),
    "standard input": (["-"], [("stdin", "/dev/stdin", "auto")]),
}  # fmt: skip


def check_chosen(tmp_path: Path) -> None:
    """Logs of the configuration are as that says, by name or path; others are as `run` would have them."""
    file = tmp_path / "qps-reporter.toml"
    file.write_text(
        '[log.shop]\npath = "/srv/shop.log"\nformat = "%U %>s"\n[log.each]\npath = "/srv/vhosts/*.log"\n'
    )
    for name, (given, expected_logs) in CHOSEN.items():
        arguments = make_parser(["top"]).parse_args(["top", "--config", str(file), *given])
        environment = {"QPS_REPORTER_LOG": "/none", "QPS_REPORTER_NAME": "none"} if given else {}
        logs = top._configured(arguments, environment).logs
        found = [(log.name, log.path, " ".join(log.format.texts)) for log in logs]
        assert found == [*expected_logs], name
        assert all(log.logs == {path for _, path, _ in expected_logs} for log in logs)


# --- durations


def lasting(*milliseconds: int) -> Latency:
    bins = Counter(bin_of(each * MILLISECOND) for each in milliseconds)
    return Latency(dict(bins), sum(milliseconds) * MILLISECOND, max(milliseconds) * MILLISECOND)


def check_durations(tmp_path: Path) -> None:
    """Quantiles are of all durations in the span: nearest rank, two digits up."""
    random = Random(5)
    lines = sorted(
        (random.randrange(1, 20 * SECOND), random.choice((b"/", b"/a")), random.choice((200, 404, 500)))
        for _ in range(900)
    )
    took = [random.randrange(1, 10 ** random.randrange(1, 8)) for _ in lines]
    shows = followed(tmp_path, lines, seconds=20, took=took)
    found, begin = cells(shows.text), shows.moments[-1] - 10 * SECOND
    for route, (name, per_cent) in product((b"/", b"/a"), (("p50", 50), ("p95", 95), ("p99", 99))):
        own = (each for line, each in zip(lines, took, strict=True) if line[0] > begin and line[1] == route)
        last = sorted(own)
        exact = last[-(-per_cent * len(last) // 100) - 1]
        unit = 10 ** max(0, len(str(exact)) - 2)
        assert found[show(route)][name] == format_latency(-(-exact // unit) * unit * 1000)


def report(rows: tuple[Row, ...], log: str = "access") -> Report:
    requests = sum(row.requests for row in rows)
    return Report(log, False, 1, 0, 1.0, requests, float(requests), 0, rows)


def standing(
    log: str = "access", *, waiting: str | None = None, rejected: int = 0, losses: int = 0
) -> Standing:
    return Standing(log, {}, {"fields": rejected}, 0, losses, 0, {}, 0, 0, None, waiting)


# --- where rows stand


def figures(name: str, requests: float, *, failed: bool = False) -> Figures:
    classes = (0.0, requests, 0.0, 0.0, 0.0, 0.0)
    return Figures(name, round(10 * requests), classes, requests, 0, NO_LATENCY, (), failed)


def check_order(kind: type[Order]) -> None:
    """Chance moves no row; what surges or falls moves at once."""
    kept, random = kind(), Random(6)

    def names(rates: Mapping[str, float], **how: Any) -> str:
        rows = [
            figures(name, each, **({"failed": True} if name == "z" else {})) for name, each in rates.items()
        ]
        given: dict[str, Any] = {"by": "rate", "errors_first": False, "is_full": True, **how}
        return "".join(row.name for row in kept.arrange(rows, **given))

    steady = {"a": 40.0, "b": 38.0, "c": 36.0, "d": 2.0, "e": 1.9, "z": 0.1}
    assert names(steady) == "abcdez"
    for _ in range(300):
        counts = {name: random.gauss(10 * each, math.sqrt(10 * each)) for name, each in steady.items()}
        assert names({name: max(0, round(each)) / 10 for name, each in counts.items()}) == "abcdez"
    assert names({**steady, "d": 90.0}) == "dabcez"
    assert names({**steady, "d": 90.0, "new": 60.0}) == "dnewabcez"
    assert names({**steady, "d": 90.0}, errors_first=True) == "zdabce"
    assert names(steady) == "abcdez"
    assert names({"a": 1, "b": 2}, by="name") == "ab"
    starts = kind()
    rows = [figures("a", 1.0), figures("b", 3.0)]
    begun: dict[str, Any] = {"by": "rate", "errors_first": False}
    assert [row.name for row in starts.arrange(rows, **begun, is_full=False)] == ["b", "a"]
    later = [figures("a", 0.9), figures("b", 0.3)]
    assert [row.name for row in starts.arrange(later, **begun, is_full=False)] == ["a", "b"]
    by_quantile = kind()
    for first, second, expected_first in ((20, 19, "a"), (20, 25, "a"), (20, 31, "b"), (20, 25, "b")):
        timed = [figures(n, 1.0)._replace(latency=lasting(ms)) for n, ms in (("a", first), ("b", second))]
        found = by_quantile.arrange(timed, "p95", errors_first=False, is_full=True)
        assert found[0].name == expected_first


class JumpsAbout(Order):
    def arrange(self, *arguments: Any, is_full: bool, **how: Any) -> list[Figures]:
        return super().arrange(*arguments, is_full=False, **how)


class StandsStill(Order):
    def arrange(self, rows: Iterable[Figures], by: str, **how: Any) -> list[Figures]:
        held = {**self._held}
        found = super().arrange(rows, by, **how)
        self._held.update(held)
        return sorted(found, key=lambda row: -self._held[row.name])


# --- keys

KEYS: dict[str, tuple[View, Sequence[str], View | None]] = {  # of 30 rows 10 are shown, of 3 tables
    "down": (View(), [view.DOWN, view.DOWN, view.UP], View(top=1)),
    "not above": (View(), [view.UP], View()),
    "a page": (View(), [view.PAGE_DOWN], View(top=10)),
    "not below": (View(top=15), [view.PAGE_DOWN], View(top=20)),
    "a page back": (View(top=15), [view.PAGE_UP], View(top=5)),
    "ends": (View(top=15), [view.END], View(top=20)),
    "begins": (View(top=15), [view.HOME], View()),
    "along names": (View(), [view.RIGHT, view.RIGHT, view.LEFT], View(left=view.SHIFT)),
    "not before names": (View(), [view.LEFT], View()),
    "tab": (View(top=3, left=8), [view.TAB], View(place=1)),
    "around": (View(place=2), [view.TAB], View()),
    "back": (View(), [view.BACK_TAB], View(place=2)),
    "sort": (View(top=3), ["s"], View(by="5xx")),
    "sort by all": (View(), ["s"] * 5, View()),
    "errors first": (View(top=3), ["e"], View(errors_first=True)),
    "and as before": (View(errors_first=True), ["e"], View()),
    "a filter": (View(top=3), [*"/q s?", view.ENTER], View(filter="q s?")),
    "it is mended": (View(), ["/", "a", "b", view.BACKSPACE, view.ENTER], View(filter="a")),
    "it is typed": (View(), ["/", "a", view.DOWN], View(filter="a", is_typing=True)),
    "it is dropped": (View(filter="a"), ["/", "b", view.ESCAPE], View()),
    "or later": (View(filter="a"), [view.ESCAPE], View()),
    "no control": (View(), ["/", "\x01", "\x1b[A"], View(is_typing=True)),
    "it ends": (View(), ["/", *"a" * 999], View(filter="a" * 200, is_typing=True)),
    "pause": (View(), [" "], View(is_paused=True)),
    "go on": (View(is_paused=True), [" "], View()),
    "help": (View(), ["?"], View(is_helping=True)),
    "any key ends help": (View(is_helping=True), ["q"], View()),
    "end": (View(), ["q"], None),
    "nothing": (View(), ["x", "", "\x03"], View()),
}


def check_keys(_: None = None) -> None:
    for name, (before, keys, after) in KEYS.items():
        found: View | None = before
        for key in keys:
            assert found is not None
            found = view.press(found, key, places=3, rows=30, page=10)
        assert found == after, name


def check_pause(_: None = None) -> None:
    """While paused numbers stay, and none is missing afterwards."""
    shows = Board(View())
    rows = (Row(b"GET", b"/", 200, 5, 0, 5.0),)

    def second(number: int) -> str:
        shows.take([report(rows)], [standing()], START + number * SECOND)
        return cells(shows.text(None, START + number * SECOND))["/"]["req/s"]

    assert second(1) == "5"
    assert shows.press(" ", 24, START)
    rows = (Row(b"GET", b"/", 200, 11, 0, 11.0),)
    assert second(2) == "5"
    assert shows.press(" ", 24, START + 2 * SECOND)
    assert cells(shows.text(None, START + 2 * SECOND))["/"]["req/s"] == "8"
    assert not shows.press("q", 24, START)


# --- how it fits

ROUTES = ("/", "/checkout", "/" + "x" * 300, "/日本語のページ", "/\\x1b[2J\\xffevil", "/a\\x20\\x20b")


def table(*, measured: bool = True, routes: Sequence[str] = ROUTES) -> Numbers:
    kept = Recent("shop")
    for second in range(1, 95):
        tallies = {name: (0, 100 - 9 * n + second, 1, n, n // 2, 0) for n, name in enumerate(routes)}
        latencies = {name: lasting(1, 20, 1500) for name in routes} if measured else {}
        kept.take(sample(second * SECOND, tallies, latencies))
    return kept.numbers(94 * SECOND)


def shown(numbers: Numbers, **how: Any) -> Shown:
    given: dict[str, Any] = {"rejected": 0, "losses": 0, **how}
    return Shown("shop", "route", numbers, numbers.rows, **given)


def lines_of(lines: Iterable[screen.Line]) -> list[str]:
    return ["".join(span.text for span in line) for line in lines]


VIEWS = (
    View(), View(by="name", top=9), View(left=8, is_paused=True, filter="x"),
    View(is_typing=True, filter="日" * 90, errors_first=True), View(is_helping=True),
)  # fmt: skip
SAYS = (None, "waiting for /var/log/\u202eevil\x1b[2J/日本" + "語" * 300)


def check_fits(_: None = None) -> None:
    """On any screen no line is wider, there are no more lines, and nothing has an effect on the terminal."""
    numbers = [table(), table(measured=False), Recent("shop").numbers(START)]
    for width, height, how, chosen, said, ascii_only in product(
        (1, 2, 3, 12, 33, 80, 132), (1, 3, 4, 24), numbers, VIEWS, SAYS, (True, False)
    ):
        given = shown(how, said=said, losses=3, rejected=10**9)
        found = lines_of(screen.screen(given, chosen, width, height, ascii_only=ascii_only))
        assert len(found) <= height
        for line in found:
            assert columns(line) <= width, (width, line)
            assert line.isprintable()
            assert line.isascii() or not ascii_only


WIDTHS = {  # what stands in the heads
    200: ["req/s*", "4xx", "5xx", "errors", "p50", "p95", "p99", "5", "minutes", "route"],
    80: ["req/s*", "4xx", "5xx", "errors", "p50", "p95", "p99", "5", "minutes", "route"],
    75: ["req/s*", "4xx", "5xx", "errors", "p95", "p99", "5", "minutes", "route"],
    60: ["req/s*", "5xx", "errors", "p95", "5", "minutes", "route"],
    50: ["req/s*", "5xx", "errors", "p95", "route"],
    40: ["req/s*", "5xx", "p95", "route"],
    30: ["req/s*", "5xx", "route"],
    20: ["req/s*", "route"],
    12: ["route"],
}


def check_columns(_: None = None) -> None:
    for width, heads in WIDTHS.items():
        found = lines_of(screen.screen(shown(table()), View(), width, 24))
        assert found[1].split() == heads, width
        assert found[2].startswith("  ")
        assert "/" in found[2]


SCREEN = """\
shop  191.5 req/s  2xx 189  4xx 1  5xx 0.5  ! errors 0.26%  ▂▃▄▄▅▆▇▇██|
    req/s*    4xx    5xx errors                      5 minutes route            |
      94.5      0      0      0                     ▂▃▄▄▅▆▇▇██ /|
!       97      1    0.5  0.52%                     ▂▃▄▅▅▆▇▇██ /checkout|
|
! waiting for the log                                                   1-2 of 2|
"""


def check_exact(_: None = None) -> None:
    """Line by line; colour is never alone."""
    kept = Recent("shop")
    for second in range(1, 95):
        classes = (0, second + 5, 1, 1, second % 2, 0)
        kept.take(sample(second * SECOND, {"/": (0, second + 5, 0, 0, 0, 0), "/checkout": classes}))
    numbers = kept.numbers(94 * SECOND)
    lines = screen.screen(shown(numbers, said="waiting for the log"), View(), 80, 6)
    assert "".join(f"{line}|\n" for line in lines_of(lines)) == SCREEN
    for line in lines:
        for text, style in line:
            if style in (screen.ERROR, screen.WARNING):
                assert any(mark in "".join(span.text for span in line) for mark in ("!", " 4xx ", "1")), text
    ascii_lines = lines_of(screen.screen(shown(numbers), View(), 80, 6, ascii_only=True))
    assert ascii_lines[2].endswith(" .:--=+**## /")


def check_logs(_: None = None) -> None:
    """Several logs have a table of their own, whose rates add up; one has none."""
    shows = Board(View())
    rows = {"b": (Row(b"GET", b"/", 200, 30, 0, 30.0),), "a": (Row(b"GET", b"/", 503, 12, 0, 12.0),)}
    standings = [standing("b", rejected=4), standing("a", waiting="waiting for /a", losses=2)]
    shows.take([report(each, log) for log, each in rows.items()], standings, START)
    first = lines_of(shows.lines(120, 24, START))
    assert first[0].startswith("2 logs  last 1 s  42 req/s  2xx 30  3xx 0  4xx 0  5xx 12  ! errors 28.57%  ")
    assert "! rejected 4  ! losses 2" in first[0]
    assert [line.split()[-1] for line in first[1:4]] == ["log", "b", "a"]
    assert first[-1].startswith("! a: waiting for /a")
    assert shows.press(view.TAB, 24, START)
    assert lines_of(shows.lines(120, 24, START))[0].startswith("b  last 1 s  30 req/s")
    assert shows.press(view.TAB, 24, START)
    assert "! losses 2" in lines_of(shows.lines(120, 24, START))[0]
    shows.take([report(rows["b"], "b")], standings[:1], START)
    assert lines_of(shows.lines(80, 24, START))[0].startswith("b  ")
    shows.take([], [], START)
    assert lines_of(shows.lines(80, 24, START))[0].startswith("0 logs  no window yet  0 req/s")


def check_said(_: None = None) -> None:
    """What happened stands for a minute, without effect on the terminal."""
    shows = Board(View())
    shows.take([report(())], [standing()], START)
    shows.say("evil \x1b[2J", START)
    assert lines_of(shows.lines(80, 24, START))[-1].startswith("! evil \\x1b[2J")
    assert lines_of(shows.lines(80, 24, START + 61 * SECOND))[-1].startswith("? help  q end")


def check_spelled(_: None = None) -> None:
    spelled = {
        None: "-",
        0: "0",
        1000: "1us",
        950_000: "950us",
        1_200_000: "1.2ms",
        120 * MILLISECOND: "120ms",
    }
    spelled |= {SECOND: "1s", 9_900 * MILLISECOND: "9.9s", 1000 * SECOND: "1000s", BEYOND: ">1000s"}
    assert {duration: format_latency(duration) for duration in spelled} == spelled
    drawn = {(): "", (None, 0.0): " ▁", (0.001, 7.0): "▂█", (1.0, 2.0, 7.0): "▂▃█", (0.1, 0.1): "██"}
    assert {rates: sparkline(rates, BARS) for rates in drawn} == drawn
    cuts = {
        ("abc", 3): "abc",
        ("abcd", 3): "abc",
        ("abcdef", 5): "ab...",
        ("日本語", 5): "日...",
        ("日本", 3): "日",
    }
    assert {(text, width): clip(text, width) for text, width in cuts} == cuts
    assert [fit("日本語", width) for width in (7, 6, 1)] == ["日本語 ", "日本語", " "]


test_promise, test_twin = promises(
    {
        check_lengths: {
            "half the span": Patches((recent, "SPAN", 5 * SECOND)),
            "4xx": Patches((Figures, "error_share", property(lambda row: row.classes[3] / (row.rate or 1)))),
            "as it should be": Patches(
                (
                    board,
                    "sample_of",
                    lambda told, ended: recent.sample_of(told, ended)._replace(length=SECOND),
                )
            ),
        },
        check_charts: {"the next bin's": Patches((recent, "_bin_of", lambda ended: ended // recent.BIN))},
        check_in_time: {"patient": Patches((top, "PATIENCE", 1 << 62))},
        check_paste: {"each key": Patches((board, "MOVES", "/checkout"))},
        check_chosen: {"of one name": Patches((top, "_free", lambda name, _: name))},
        check_stale: {"for ever": Patches((recent, "SPAN", 10_000 * SECOND))},
        check_durations: {"the last alone": Patches((recent, "SPAN", SECOND))},
        check_keys: {"beyond the last": Patches((view, "_move", lambda *_: 10))},
        check_pause: {"goes on": Patches((View, "is_paused", False))},
        check_fits: {
            "letters alone": Patches(
                (screen, "columns", len), (screen, "clip", lambda text, width: text[:width])
            ),
            "as it is": Patches((screen, "visible", str)),
        },
        check_columns: {"all of them": Patches((screen, "_LEAVES", ()))},
        check_exact: {"colour alone": Patches((screen, "share", lambda _: "0"))},
        check_logs: {"the first alone": Patches((board, "together", lambda name, all_: all_[0]))},
        check_said: {"for ever": Patches((board, "SAID_FOR", 1 << 62))},
        check_spelled: {},
    },
    Promise(check_recalled, None, {"each bin anew": Patches((top, "DAY", recent.BIN))}, length=60 * SECOND),
    Promise(check_recalled, None, {}, length=10 * SECOND),
    Promise(check_order, Order, [JumpsAbout, StandsStill]),
)
