"""The page in a real browser: what it shows is what was written, whatever routes are called; nothing of it
offends its own policy; it can be used by keyboard, by ear, on a telephone and in the dark."""

import base64
import re
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from qps_service.text.escape import show
from qps_service.text.units import SECOND
from qps_service.values.counts import Counts, Key
from qps_service.web.assets import Asset, assets
from tests.durations import quantile
from tests.fault import servers
from tests.fault.browser import Browser, browser, serving, violations
from tests.fault.program import ROOT, free_port
from tests.fault.web_servers import NGINX_HEAD, nginx
from tests.ledgers import entry, opened
from tests.promised import Promise, promises
from tests.unit.looking.week import BERLIN, INCIDENT, ROUTES, STOP, Batch, Week

__all__ = ["browser"]
pytestmark = [pytest.mark.real_time, pytest.mark.xdist_group("browser")]


class Files(dict[str, Asset]):
    """The page's, whole or broken."""

    def __repr__(self) -> str:
        return "the page's files"


KEY = {
    "tab": "\ue004",
    "enter": "\ue007",
    "left": "\ue012",
    "right": "\ue014",
    "home": "\ue011",
    "escape": "\ue00c",
}


def changed(path: str, right: str, wrong: str) -> Files:
    """The page's files, with one of them broken."""
    whole = assets()
    text = whole[path].body.decode()
    assert text.count(right) == 1, right
    return Files({**whole, path: whole[path]._replace(body=text.replace(right, wrong).encode())})


# --- numbers as they are to be shown: rounded by decimal arithmetic, which is not the page's


def trimmed(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def rounded(number: Fraction, places: int) -> Decimal:
    exact = Decimal(number.numerator) / Decimal(number.denominator)
    return exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def digits(number: Fraction, significant: int) -> int:
    """How many decimal places have so many digits that count."""
    exponent = (Decimal(number.numerator) / Decimal(number.denominator)).adjusted()
    if rounded(number, significant - 1 - exponent).adjusted() > exponent:
        exponent += 1
    return significant - 1 - exponent


def rate(number: Fraction) -> str:
    return trimmed(rounded(number, max(2, digits(number, 2)))) if number else "0"


def size(number: Fraction) -> str:
    for unit in ("", "k", "M"):
        if number < Fraction(1999, 2):
            return f"{trimmed(rounded(number, max(0, digits(number, 3))))}{unit}" if number else "0"
        number /= 1000
    raise AssertionError(number)


def when(seconds: float) -> str:
    return f"{datetime.fromtimestamp(int(seconds), BERLIN):%Y-%m-%d %H:%M:%S}"


def latency(durations: list[int], per_mille: int) -> str:
    """What so many took at most, by their order."""
    if not durations:
        return "-"
    at_most = Fraction(quantile(sorted(durations), per_mille))
    for unit, length in (("s", SECOND), ("ms", 10**6), ("us", 1000)):
        if at_most >= length:
            return f"{trimmed(rounded(at_most / length, 1))}{unit}"
    return "0"


def cells(batches: list[Batch], takes: Callable[[bytes, int], bool], *, timed: bool = True) -> list[str]:
    """Requests/s, errors, p50, p95, p99, requests, 2xx to 5xx per second, bytes/s: by adding lines up."""
    lengths: Counter[str] = Counter()
    sums: Counter[tuple[str, int]] = Counter()
    sizes: Counter[str] = Counter()
    for batch in batches:
        lengths[batch.log] += batch.ended - batch.started
        for (_, route, status, each), number in batch.lines.items():
            if takes(route, status):
                sums[batch.log, status // 100] += number
                sizes[batch.log] += number * each

    def of_class(first: int) -> Fraction:
        return sum(
            (Fraction(sums[log, first] * SECOND, length) for log, length in lengths.items()), Fraction()
        )

    requests = sum(sums.values())
    errors = sum(number for (_, first), number in sums.items() if first == 5)
    share = rate(Fraction(100 * errors, requests)) if errors else "0"
    classes = [of_class(first) for first in range(1, 6)]
    weight = sum((Fraction(sizes[log] * SECOND, length) for log, length in lengths.items()), Fraction())
    durations = [
        each
        for batch in batches
        for (route, first), own in batch.durations.items()
        if takes(route, 100 * first)
        for each in own
    ]
    quantiles = [latency(durations, part) for part in (500, 950, 990)] if timed else []
    whole = [rate(sum(classes, Fraction())), f"{share} %", *quantiles, str(requests)]
    return [*whole, *map(rate, classes[1:]), size(weight)]


VIEWS = {
    "all logs": "range=6h",
    "the incident": f"since={INCIDENT[0] // SECOND - 3600}&until={INCIDENT[1] // SECOND + 3600}&log=web",
    "the stop": f"since={STOP[0] // SECOND - 3600}&until={STOP[1] // SECOND + 3600}&log=web&route=/checkout",
}


def check_truth(files: Files, view: str, browser: Browser, week: Week) -> None:
    """Cell by cell: over time, by route, and the statuses of one."""
    with serving(week, assets=files) as address:
        browser.visit(f"{address}?{VIEWS[view]}")
        browser.run("document.getElementById('numbers').open = true; showNumbers()")
        rows = browser.run("return told.series.rows.map(row => [row.from, row.until])")
        head, *times, total = browser.table("times")
        routes = browser.table("by-route")[1:]
        statuses = browser.table("statuses")[1:]
    own = [batch for batch in week.batches if "log=web" not in VIEWS[view] or batch.log == "web"]
    route = b"/checkout" if "route=" in VIEWS[view] else None

    def within(begin: float, end: float) -> list[Batch]:
        several = "log=web" not in VIEWS[view]
        return [
            each for each in own
            if begin * SECOND < each.ended <= end * SECOND + 1
            and (several or begin * SECOND <= each.started + 1)
        ]  # fmt: skip

    assert head[3:5] == ["Requests/s", "Errors"]
    assert len(times) == len(rows) > 30
    for (begin, end), row in zip(rows, times, strict=True):
        assert row[0].removesuffix(" *") == when(begin)
        assert row[1] == when(end)
        assert row[3:] == cells(within(begin, end), lambda each, _: route in (None, each))
    batches = within(rows[0][0], rows[-1][1])
    assert total[3:] == cells(batches, lambda each, _: route in (None, each))
    assert {row[0] for row in routes} == set(map(show, ROUTES))
    for row in routes:
        assert row[1:-1] == cells(batches, lambda each, _, name=row[0]: show(each) == name)  # type: ignore[misc]
    assert bool(statuses) == bool(route)
    for row in statuses:
        assert row[1:] == cells(
            batches, lambda *each, status=int(row[0]): each == (route, status), timed=False
        )


# --- what one does with it


WATCHED = "return window.refused"


def use(browser: Browser, address: str) -> None:
    """Hover, zoom, go back, open a route, filter, sort."""
    browser.visit(f"{address}?range=1d&log=web")
    browser.drag("#rates", 0.3, 0.3)
    before = browser.run("return told.series.until - told.series.since")
    shown = browser.shown()
    browser.drag("#rates", 0.4, 0.6)
    browser.settle(shown)
    assert 0.15 < browser.run("return told.series.until - told.series.since") / before < 0.25
    assert "since=" in browser.driver.current_url
    browser.drag("#errors", 0.5, 0.5)
    assert browser.run("return cursor") >= 0
    assert re.match(r"2026-10-2\d .* requests, ", browser.text("cursor"))
    rows = browser.run("return [...drawn.values()].map(each => each.graph.lastRow_)")
    assert len(set(rows)) == 1, "cursors in step"
    browser.does("document.getElementById('back').click()")
    assert "since=" not in browser.driver.current_url
    browser.does("document.querySelector('#by-route a').click()")
    assert browser.text("one-name") == "Route /checkout"
    assert "route=%2Fcheckout" in browser.driver.current_url
    browser.visit(browser.driver.current_url)
    assert browser.text("one-name") == "Route /checkout", "kept"
    browser.does("document.getElementById('all').click()")
    browser.does("document.querySelector('#by-route button[value=rate]').click()")
    assert [row[0] for row in browser.table("by-route")[1:3]] == ["/", "/checkout"]
    browser.does(
        "const f = document.getElementById('filter'); f.value = 'check'; f.dispatchEvent(new Event('input'))"
    )
    assert [row[0] for row in browser.table("by-route")[1:]] == ["/checkout"]


def check_policy(files: Files, browser: Browser, week: Week) -> None:
    """Nothing is refused in use, and the console is empty; something is where it should be."""
    violations(browser)
    browser.said()
    with serving(week, assets=files) as address:
        use(browser, address)
        assert browser.run(WATCHED) == []
        assert browser.said() == []
        browser.run(
            "document.body.append(Object.assign(document.createElement('style'), {textContent: 'b {}'}))"
        )
        browser.run("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">')")
        assert {*browser.run(WATCHED)} == {"style-src-elem", "style-src-attr"}
        assert browser.said()


# --- hostile names


HOSTILE = (
    *(b"/<img src=x onerror='window.owned=1'>", b"/</script><script>window.owned=1</script>"),
    *(b"javascript:window.owned=1", b'/"onmouseover="window.owned=1', b"/&lt;b&gt;", b"__proto__"),
    *(b"constructor", b"/\xe2\x80\xae/gnp", b"/%3Cb%3E", b"/a?b#c&route=/", b"/" + b"x" * 1500),
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Week:
    path = tmp_path_factory.mktemp("hostile") / "ledger.db"
    ledger = opened(path)
    made = entry((), sequence=1, log="<b>log</b>")
    counts = {Key(b"GET", route, 500): Counts(number, 0) for number, route in enumerate(HOSTILE, 1)}
    ledger.commit([made._replace(counts=counts)], sequence=1)
    ledger.close()
    return Week(path, (Batch("", 0, made.at, Counter(), {}),))


def check_hostile(files: Files, browser: Browser, hostile: Week) -> None:
    """Each is shown as it is, can be opened, and does nothing."""
    names = [show(route) for route in HOSTILE][::-1]
    with serving(hostile, assets=files) as address:
        browser.said()
        browser.visit(address)
        assert [row[0] for row in browser.table("by-route")[1:]] == names
        assert browser.run("return [...document.getElementById('log').options].map(each => each.text)") == [
            "all", "<b>log</b>",
        ]  # fmt: skip
        tags = browser.run(
            "return [...new Set([...document.querySelectorAll('body *')].map(each => each.localName))]"
        )
        assert not {"img", "script", "b", "iframe"} & set(tags)
        for number, name in enumerate(names):
            browser.does(f"document.querySelectorAll('#by-route a')[{number}].click()")
            assert browser.text("one-name") == f"Route {name}"
            assert [row[0] for row in browser.table("statuses")[1:]] == ["500"]
        assert browser.run("return window.owned === undefined")
        assert browser.said() == []


# --- for everybody

CONTRAST = """
const shade = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (all) => all.slice(0, 3)
  .map((c) => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
const behind = (e) => { for (; e; e = e.parentElement) { const c = shade(getComputedStyle(e).backgroundColor);
  if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
const low = new Set();
for (const e of document.querySelectorAll('body *')) {
  const written = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!written || !e.getClientRects().length) continue;
  const [a, b] = [light(shade(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
  if ((a + .05) / (b + .05) < 4.5) low.add(`${e.localName}.${e.className} ${e.textContent.slice(0, 20)}`);
}
return [...low]
"""


def check_contrast(files: Files, browser: Browser, week: Week) -> None:
    """All that is written, by day and by night."""
    with serving(week, assets=files) as address:
        try:
            for dark in (False, True):
                browser.look(1280, dark=dark)
                browser.visit(f"{address}?range=1d")
                assert browser.run(CONTRAST) == []
        finally:
            browser.look(1280)


def check_narrow(files: Files, browser: Browser, week: Week) -> None:
    """The page itself is never wider than the window."""
    with serving(week, assets=files) as address:
        try:
            for width in (320, 390, 800):
                browser.look(width)
                browser.visit(f"{address}?range=7d&route=/checkout")
                widest = browser.run("return document.documentElement.scrollWidth")
                assert widest <= width
        finally:
            browser.look(1280)


def check_heard(files: Files, browser: Browser, week: Week) -> None:
    """What a screen reader is told: names for all that can be used, headings, tables, what changes."""
    with serving(week, assets=files) as address:
        browser.visit(f"{address}?range=1d&route=/checkout")
        browser.run("document.getElementById('numbers').open = true")
        nodes = browser.command("Accessibility.getFullAXTree")["nodes"]
    told: dict[str, list[str]] = {}
    for node in nodes:
        if not node.get("ignored"):
            name = node.get("name", {}).get("value", "")
            told.setdefault(node["role"]["value"], []).append(name)
    for role in ("button", "link", "combobox", "searchbox", "image", "table", "region", "group"):
        assert told[role], role
        assert all(told[role]), f"a {role} without a name"
    assert {
        "Over time, oldest first",
        "By status: durations are kept by its class alone",
        "In the same span",
    } <= set(told["table"])
    assert any("Arrow keys move the cursor" in name for name in told["image"])
    assert told["heading"][0] == "qps-reporter"
    assert {"Requests/s", "Errors"} <= set(told["columnheader"])
    assert {"/", "/checkout", "201", "503"} <= set(told["rowheader"])
    live = browser.run(
        "return [...document.querySelectorAll('[aria-live], [role=alert]')].map(each => each.id)"
    )
    assert live == ["health", "trouble", "cursor", "found"]


def check_keys(files: Files, browser: Browser, week: Week) -> None:
    """All of it without a mouse; the focus stays where it was when the table is made anew."""
    focus = "const e = document.activeElement; return e.value || e.id || e.textContent"
    with serving(week, assets=files) as address:
        browser.visit(f"{address}?range=1d&log=web")
        browser.press(KEY["tab"])
        assert browser.run(focus) == "To the routes"
        seen = []
        for _ in range(40):
            browser.press(KEY["tab"])
            seen.append(browser.run(focus))
            if seen[-1] == "/":
                break
        wanted = [
            "web",
            "15m",
            "7d",
            "errors",
            "rates",
            "behind",
            "filter",
            "rate",
            "errors",
            "/checkout",
            "/",
        ]
        assert [each for each in seen if each in wanted] == wanted
        browser.run("document.querySelector('#by-route button[value=rate]').focus()")
        before = browser.shown()
        browser.press(KEY["enter"])
        browser.settle(before)
        assert browser.run(focus) == "rate"
        assert browser.run("return document.activeElement.parentElement.ariaSort") == "descending"
        browser.run("document.getElementById('rates').focus()")
        browser.press(KEY["home"], KEY["right"])
        assert browser.run("return cursor") == 1
        said = browser.text("cursor")
        assert said.startswith(when(browser.run("return told.series.rows[1].from")))
        before = browser.shown()
        browser.press("+")
        browser.settle(before)
        assert "since=" in browser.driver.current_url
        before = browser.shown()
        browser.press(KEY["escape"])
        browser.settle(before)
        assert "since=" not in browser.driver.current_url


# --- how often it asks

AWAY = """
Object.defineProperty(document, 'hidden', {get: () => window.away});
window.away = true;
document.dispatchEvent(new Event('visibilitychange'));
"""
# Timers of two seconds and more are kept, to be run when the test wants it.
HELD_TIMERS = """
window.held = [];
const real = window.setTimeout;
window.setTimeout = (act, delay, ...more) => delay < 2000 ? real(act, delay, ...more)
  : window.held.push({ act, delay }) + 1e6;
const clear = window.clearTimeout;
window.clearTimeout = (id) => id > 1e6 ? delete window.held[id - 1e6 - 1] : clear(id);
"""


def check_asks(files: Files, browser: Browser, week: Week) -> None:
    """Once a report, with what it has; nothing while nobody looks."""
    held = "return window.held.filter(Boolean).map(each => each.delay)"
    script = browser.command("Page.addScriptToEvaluateOnNewDocument", source=HELD_TIMERS)["identifier"]
    try:
        with serving(week, assets=files) as address:
            browser.visit(f"{address}?range=1h")
            assert browser.run(held) == [10_000], "the length of a window"
            browser.run("drawnAt = -1e6; performance.clearResourceTimings()")
            browser.does("window.held.filter(Boolean)[0].act()")
            asked = browser.run(
                "return performance.getEntriesByType('resource').map(each => ["
                "each.name.split('/').pop().split('?')[0], each.encodedBodySize > 0, "
                "each.transferSize < 1000])"
            )
            # The state is small; of the others it is only told that they are still right.
            assert asked == [[f"{part}.json", True, True] for part in ("state", "series", "routes")]
            browser.run(AWAY)
            assert browser.run(held) == []
            browser.does("load(true)")
            assert browser.run(held) == [], "it was away when the answer came"
            browser.does(
                "window.held = []; window.away = false; document.dispatchEvent(new Event('visibilitychange'))"
            )
            assert browser.run(held) == [10_000]
    finally:
        browser.command("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


# --- without the charts; and behind nginx


def test_without_dygraphs_the_tables_stand(browser: Browser, week: Week) -> None:
    browser.said()
    with serving(week, assets=assets("/nowhere")) as address:
        browser.visit(f"{address}?range=1h")
        assert "install libjs-dygraphs" in browser.run(
            "return document.getElementById('no-charts').innerText"
        )
        assert len(browser.table("by-route")) == 4
        # A gap is a place without a value between two rows, and none within a row.
        assert browser.run(
            "const [first, second] = told.series.rows; const middle = (first.from + first.until) / 2;"
            "told.series.gaps = [[middle - 1, middle + 1], [first.until, second.from]]; showSeries();"
            "return points.slice(0, 3).map(({ row }) => row && row.from)"
            "  .concat(points.every(({ at }, i) => !i || points[i - 1].at < at))"
        ) == [*browser.run("return [told.series.rows[0].from, null, told.series.rows[1].from]"), True]
        assert browser.said() == []


PROXY = re.compile(r"```nginx\n(.*?)```", re.DOTALL)


@pytest.fixture
def proxied(tmp_path: Path, week: Week) -> Iterator[str]:
    """nginx in front, with what the how-to says; the address of the page there."""
    page = (ROOT / "docs" / "how-to" / "show-the-page.md").read_text()
    location = PROXY.search(page)
    assert location
    port = free_port()
    with serving(week) as address:
        text = location[1].replace("http://127.0.0.1:9146/", address)
        passwords = tmp_path / "passwords"
        passwords.write_text("anna:{PLAIN}shown\n")
        text = text.replace("/etc/nginx/qps-reporter.passwords", str(passwords))
        server = f"server {{ listen 127.0.0.1:{port};\n{text}\n}}"
        command = nginx(tmp_path, NGINX_HEAD + "access_log off; {server} }}\n", server=server)
        with servers.serving(command, tmp_path, port, signal.SIGQUIT):
            yield f"127.0.0.1:{port}/qps/"


def test_behind_nginx_with_a_password(browser: Browser, proxied: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://{proxied}state.json")
    assert refused.value.code == 401
    right = {"Authorization": f"Basic {base64.b64encode(b'anna:shown').decode()}"}
    asked = urllib.request.Request(f"http://{proxied}state.json", headers=right)
    assert urllib.request.urlopen(asked).status == 200  # noqa: S310 - likewise
    browser.said()
    browser.visit(f"http://anna:shown@{proxied}?range=1h")
    assert len(browser.table("by-route")) == 4
    browser.does("document.querySelector('#by-route a').click()")
    assert browser.run("return location.pathname") == "/qps/"
    browser.does("window.fetch = async () => new Response('<html>', { status: 502 }); load()")
    said = browser.run("return document.getElementById('trouble').innerText")
    assert said == "The page's server, or a proxy before it, answers with status 502."
    assert browser.said() == []


RIGHT = Files(assets())
# What catches it, what is wrong, in which file, what is right there.
BROKEN: tuple[tuple[Callable[..., None], str, str, str, str], ...] = (
    (check_policy, "its legend", "/page.js", "each !== Dygraph.Plugins.Legend", "true"),
    (
        *(check_hostile, "markup", "/page.js"),
        "  made.append(...children);\n  return made;\n}\n\nfunction drawing",
        "  for (const each of children) typeof each === 'string' ?"
        " made.insertAdjacentHTML('beforeend', each) : made.append(each);\n"
        "  return made;\n}\n\nfunction drawing",
    ),
    (check_contrast, "pale", "/page.css", "--quiet: #57606a", "--quiet: #8b949e"),
    (
        check_narrow,
        "wide",
        "/page.css",
        "#ranges { display: flex; flex-wrap: wrap",
        "#ranges { display: flex",
    ),
    (check_heard, "no label", "/", "<label>Log <select", "<select"),
    (check_keys, "not reached", "/page.js", 'class: "chart", tabindex: 0', 'class: "chart"'),
    (check_asks, "always", "/page.js", "if (!document.hidden) timer =", "timer ="),
)
ROUNDED = changed("/page.js", "`${rate(100 * share)} %`", "`${Math.round(100 * share)} %`")
test_promise, test_twin = promises(
    *(
        Promise(
            check_truth,
            RIGHT,
            {"rounds shares": ROUNDED} if view == "the incident" else {},
            view=view,
            label=view,
        )
        for view in VIEWS
    ),
    *(Promise(check, RIGHT, {name: changed(*how)}) for check, name, *how in BROKEN),
)
