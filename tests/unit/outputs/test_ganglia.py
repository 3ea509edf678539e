"""Ganglia: gmond shows every rate and counter, keeps them, forgets what has gone, and gets back what it
forgot itself. Windows in simulated time, sent to a toy gmond (tests/unit/toy_gmond.py)."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from qps_service.configuration.types import GangliaConfig
from qps_service.network.udp import BATCH, PAUSE, Datagrams, charge
from qps_service.notices.kinds import Notice
from qps_service.notices.trouble import Trouble
from qps_service.outputs.ganglia.gmetric import BOTH, POSITIVE, Origin
from qps_service.outputs.ganglia.gmond_conf import LONGEST_HOST, Channel
from qps_service.outputs.ganglia.output import NEWS, GangliaOutput
from qps_service.outputs.ganglia.series import ZEROS, Announcements, LiveSeries, Series
from qps_service.reporting.report import make_report
from qps_service.values.counts import Counts, Key
from qps_service.values.reports import Report, Standing, Window
from tests.limits import Doubled
from tests.promised import Patches, Promise, nothing, promises
from tests.unit.handed_over import overview, standing
from tests.unit.toy_gmond import ToyGmond

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

Requests = Mapping[tuple[bytes, int], int]  # by route and status

pytestmark = pytest.mark.usefixtures("tidy_sockets")


def config(
    *, interval: int = 10 * SECOND, dmax: int = HOUR, gmond_conf: Path | None = None, port: int = 8649
) -> GangliaConfig:
    return GangliaConfig(str(gmond_conf) if gmond_conf else None, "127.0.0.1", port, dmax, interval)


class Wire(Datagrams):
    """The way to a gmond, which takes as much of a window as there is room for."""

    def __init__(self, channel: Channel, trouble: Trouble) -> None:
        self.channel, self.trouble = channel, trouble
        self.gmond = ToyGmond()
        self.take = self.gmond.take
        self.is_broken = False
        self.room = math.inf  # packets a window
        self.names: list[str] = []  # of this window's packets
        self.closed = False
        self.batch = 0  # bytes
        self._left: Iterator[bytes] = iter(())
        self._is_lost = False

    def send(self, packets: Iterable[bytes], batch: int = BATCH) -> None:
        self.batch = batch
        self._left, self.names = iter(packets), []

    def flush(self, now: int) -> None:
        if self.is_broken:
            self._is_lost = self._is_lost or next(self._left, None) is not None
            self._left = iter(())
        else:
            for packet in self._left:
                self.names.append(self.take(packet, now))
                if len(self.names) >= self.room:
                    break

    def due(self) -> int | None:
        return None

    def take_loss(self) -> bool:
        was_lost, self._is_lost = self._is_lost, False
        return was_lost

    def close(self, *, wait: bool = True) -> None:
        self.closed = True


class Site:
    """A service with one log, or several, and what gmond knows of it."""

    def __init__(
        self, settings: GangliaConfig | None = None, totals: Mapping[str, Mapping[Key, int]] | None = None
    ) -> None:
        self.now = 0
        self.said: list[Notice] = []
        self.wires: list[Wire] = []
        self.totals = {log: Counter(counts) for log, counts in (totals or {}).items()}
        self._settings = settings or config()
        self.output = GangliaOutput(
            self._settings, self.said.append, connect=self._connect, hostname=lambda: "vm"
        )

    def _connect(self, channel: Channel, trouble: Trouble) -> Wire:
        self.wires.append(Wire(channel, trouble))
        return self.wires[-1]

    @property
    def wire(self) -> Wire:
        return self.wires[-1]

    @property
    def gmond(self) -> ToyGmond:
        return self.wire.gmond

    def window(self, requests: Requests, *, log: str = "access", method: bytes = b"GET") -> Report:
        """One window of one log, reported."""
        [window] = self.windows({log: {Key(method, *key): count for key, count in requests.items()}})
        return window

    def windows(self, logs: Mapping[str, Mapping[Key, int]]) -> list[Report]:
        """One window of all logs, reported."""
        interval = self._settings.interval
        reports = []
        for log, requests in logs.items():
            self.totals.setdefault(log, Counter()).update(requests)
            window = Window(log, self.now, self.now + interval, all_of(requests), {})
            reports.append(make_report(window, sequence=1, at=0, named=True))
        self.now += interval
        standings = [standing(all_of(counts), log=log) for log, counts in self.totals.items()]
        self.output.emit(reports, overview(*standings), self.now)
        return reports

    def shown(self) -> dict[str, str]:
        return self.gmond.shown(self.now)

    @property
    def texts(self) -> list[str]:
        return [notice.text for notice in self.said]


def all_of(requests: Mapping[Key, int]) -> dict[Key, Counts]:
    return {key: Counts(count, 0) for key, count in requests.items()}


def many(count: int, requests: int = 1) -> dict[tuple[bytes, int], int]:
    return {(b"/%d" % number, 200): requests for number in range(count)}


# --- values


def rates_and_counters() -> None:
    """Rates are the report's, methods summed out, and counters the totals."""
    before = {Key(b"GET", b"/", 200): 100, Key(b"GET", b"/old", 404): 5}
    site = Site(totals={"access": before})
    site.windows(
        {
            "access": {
                Key(b"GET", b"/", 200): 30,
                Key(b"HEAD", b"/", 200): 1,
                Key(b"GET", b"/", 500): 2,
                Key(b"GET", b"/help", 200): 7,
            },
            "api_v1": {Key(b"GET", b"/", 200): 1},
        }
    )
    assert site.shown() == {
        "qps_access_root_200": "3.1",
        "qps_access_root_200_count": "131",
        "qps_access_root_500": "0.2",
        "qps_access_root_500_count": "2",
        "qps_access_help_200": "0.7",
        "qps_access_help_200_count": "7",
        "qps_access_old_404": "0.0",
        "qps_access_old_404_count": "5",
        "qps_access_total": "4.0",
        "qps_access_total_count": "145",
        "qps_api__v1_root_200": "0.1",
        "qps_api__v1_root_200_count": "1",
        "qps_api__v1_total": "0.1",
        "qps_api__v1_total_count": "1",
    }
    site.windows({"access": {}, "api_v1": {}})
    shown = site.shown()
    assert shown["qps_access_root_200"] == shown["qps_access_total"] == "0.0"
    assert (shown["qps_access_root_200_count"], shown["qps_access_total_count"]) == ("131", "145")
    site = Site(config(interval=7 * SECOND))
    window = site.window({(b"/", 200): 3, (b"/rare", 200): 1})
    assert float(site.shown()["qps_access_root_200"]) == 3 / 7
    assert float(site.shown()["qps_access_total"]) == window.rate


UPDATE = LiveSeries.update


def sum_no_methods(live: LiveSeries, reports: Sequence[Report], standings: Iterable[Standing]) -> None:
    UPDATE(live, reports, standings)
    for window in reports:
        for row in window.rows:
            live._series_of(window.log, row.route, row.status).rate = row.rate


def test_what_is_told_of_a_metric() -> None:
    site = Site(config(dmax=2 * HOUR))
    site.window({(b"/help", 200): 7})
    assert [wire.channel for wire in site.wires] == [Channel("127.0.0.1", 8649)]
    rate, count = site.gmond.metadata["qps_access_help_200"], site.gmond.metadata["qps_access_help_200_count"]
    assert rate[:4] == ("req/s", BOTH, 10, 7200)
    assert count[:4] == ("requests", POSITIVE, 10, 7200)
    assert rate.extra == {
        "GROUP": "access",
        "DESC": "requests per second",
        "TITLE": "/help 200, requests per second",
    }
    assert count.extra["TITLE"] == "/help 200, requests so far"
    assert site.gmond.hosts == {("vm", False)}


@pytest.mark.parametrize(
    ("interval", "dmax", "tmax", "told_dmax"),
    [
        (SECOND // 10, HOUR, 1, 3600),
        (10 * SECOND, MINUTE, 10, 60),
        (MINUTE, MINUTE, 60, 240),
        (MINUTE + 1, HOUR, 61, 3600),
        (24 * HOUR, HOUR, 86400, 4 * 86400),
    ],
)
def test_ganglia_knows_how_often_to_expect_a_value(
    interval: int, dmax: int, tmax: int, told_dmax: int
) -> None:
    site = Site(config(interval=interval, dmax=dmax))
    site.window({})
    known = site.gmond.metadata["qps_access_total"]
    assert (known.tmax, known.dmax) == (tmax, told_dmax)


# --- announcements


def a_metric_outlives_dmax(settings: GangliaConfig) -> None:
    """What comes in each window is shown in each window, though dmax is counted from the last metadata."""
    site = Site(settings)
    for _ in range(100):
        site.window(many(10))
        assert len(site.shown()) == 22


def a_restarted_gmond_has_all_within_a_minute(settings: GangliaConfig) -> None:
    """A gmond that was restarted between two packets, unseen, has all again within a minute."""
    site = Site(settings)
    for _ in range(1 + 3 * MINUTE // settings.interval):
        site.window(many(40))
    site.gmond.restart()
    restarted = site.now
    while site.now + settings.interval <= restarted + MINUTE:
        site.window(many(40))
    assert len(site.shown()) == 82


def announce_once(told: Announcements, live: Iterable[Series]) -> Iterator[tuple[Series, bool]]:
    """When it is new."""
    for series in live:
        yield series, series not in told._told
        told._told[series] = None


ONCE = Patches((Announcements, "window", announce_once))
SETTINGS = [
    config(interval=SECOND // 2),
    config(interval=SECOND, dmax=MINUTE),
    config(),
    config(dmax=MINUTE),
    config(interval=15 * SECOND, dmax=MINUTE),
    config(interval=MINUTE, dmax=MINUTE),
]


def a_restart_that_was_noticed_costs_one_window() -> None:
    """A gmond that refused a packet, as one does that is being restarted, has all with the next window."""
    site = Site()
    for _ in range(4):
        site.window(many(100))
    site.wire.is_broken = True
    site.window(many(100))
    site.gmond.restart()
    site.wire.is_broken = False
    site.window(many(100))
    assert len(site.shown()) == 202


def announcements_are_spread() -> None:
    """Announcements are the same number in each window, after the first."""
    site = Site()
    announced = []
    for _ in range(20):
        site.window(many(98))  # 99 series
        announced.append(site.gmond.announced)
        site.gmond.announced = 0
    assert announced == [198, *([66] * 19)]


def no_window_announces_more_new_ones() -> None:
    """In a window of a second; what comes at once is all there within a minute."""
    site = Site(config(interval=SECOND))
    site.window(many(NEWS + 50))
    assert site.gmond.announced == 2 * NEWS
    site.window(many(NEWS + 50))
    assert len(site.shown()) == 2 * (NEWS + 51)


def test_what_does_not_fit_into_a_window_is_shared() -> None:
    """Where a window's packets do not all leave, none is left out for good, and all are announced."""
    site = Site()
    site.window({})
    site.wire.room = 60
    seen: set[str] = set()
    for _ in range(60):
        site.window(many(100))
        seen |= set(site.wire.names)
    assert len(seen) == len(site.gmond.metadata) == 202


# --- what goes


def a_vanished_route_is_zero_and_then_forgotten() -> None:
    """A route without requests is 0 for some windows and its counter stays; then nothing more comes of it,
    and gmond forgets it. With its next request it is back."""
    site = Site(config(dmax=MINUTE))
    site.window({(b"/a", 200): 5})
    for _ in range(ZEROS):
        site.window({})
        shown = site.shown()
        assert (shown["qps_access_a_200"], shown["qps_access_a_200_count"]) == ("0.0", "5")
        assert "qps_access_a_200" in site.wire.names
    site.window({})
    assert site.wire.names == ["qps_access_total", "qps_access_total_count"] * (len(site.wire.names) // 2)
    for _ in range(6):
        site.window({})
    assert site.shown().keys() == {"qps_access_total", "qps_access_total_count"}
    site.window({(b"/a", 200): 1})
    assert (site.shown()["qps_access_a_200"], site.shown()["qps_access_a_200_count"]) == ("0.1", "6")


def without_a_report_nothing_vanishes() -> None:
    """A log that is followed, and has no report this time, keeps its rates."""
    site = Site()
    site.window({(b"/a", 200): 5})
    for _ in range(ZEROS + 2):
        site.windows({})
    assert site.shown()["qps_access_a_200"] == "0.5"
    site.window({})
    assert site.shown()["qps_access_a_200"] == "0.0"


def never_wait(live: LiveSeries, reports: Sequence[Report], standings: Iterable[Standing]) -> None:
    """Those that have a report are told of."""
    reported = {report.log for report in reports}
    UPDATE(live, reports, [each for each in standings if each.log in reported])


def stop_at_once(live: LiveSeries, reports: Sequence[Report], standings: Iterable[Standing]) -> None:
    """What had requests alone is told of."""
    UPDATE(live, reports, standings)
    live._series = {key: series for key, series in live._series.items() if series.idle == 0}


def test_what_went_is_not_kept_in_memory() -> None:
    site = Site()
    for number in range(100):
        site.window({(b"/%d" % number, 200): 1})
    [(_, announcements)] = site.output._channels.values()
    assert len(list(site.output._live)) == ZEROS + 2  # with the total, and this window's
    assert len(announcements._told) == ZEROS + 2


def the_next_process_takes_over() -> None:
    """What the process before this one told last is 0, unless it goes on."""
    before = Site()
    before.window(many(2, requests=50))
    after = Site(totals=before.totals)
    after.window({(b"/1", 200): 10})
    after.gmond.values = before.gmond.values | after.gmond.values
    assert after.shown()["qps_access_0_200"] == "0.0"
    assert after.shown()["qps_access_1_200"] == "1.0"
    assert after.shown()["qps_access_0_200_count"] == "50"


def know_what_was_seen(live: LiveSeries, reports: Sequence[Report], standings: Iterable[Standing]) -> None:
    live._logs = {report.log for report in reports}
    UPDATE(live, reports, standings)


# --- where to


def send_to(*ports: int, more: str = "") -> str:
    return more + "".join(f"udp_send_channel {{ host = 127.0.0.1 port = {port} }}\n" for port in ports)


def test_a_gmond_conf_tells_where_to(tmp_path: Path) -> None:
    """It may not be there: that is said once, and looked for with each window. Later changes are taken over
    when files are opened anew; where it is gone, what it said stays in force."""
    path = tmp_path / "gmond.conf"
    site = Site(config(gmond_conf=path))
    for _ in range(3):
        site.window({})
    assert site.wires == []
    missing = f"cannot read {path}: No such file or directory"
    assert site.texts == [missing]
    assert site.output.trouble.failures == 3

    path.write_text(send_to(1, 2))
    site.window({})
    assert [wire.channel.port for wire in site.wires] == [1, 2]
    assert all(len(wire.gmond.shown(site.now)) == 2 for wire in site.wires)
    again = "gmond.conf says again where metrics go"
    assert site.texts == [missing, again]

    path.write_text(send_to(2, 3, more="globals { override_hostname = web override_ip = 10.1.2.3 }\n"))
    site.window({})
    assert len(site.wires) == 2
    site.output.reopen()
    site.window({})
    assert [(wire.channel.port, wire.closed) for wire in site.wires] == [(1, True), (2, False), (3, False)]
    assert site.gmond.hosts == {("10.1.2.3:web", True)}

    path.unlink()
    site.output.reopen()
    for _ in range(2):
        site.window({})
        assert "qps_access_total" in site.wire.names
    assert site.texts == [missing, again, missing]
    site.output.close()
    assert all(wire.closed for wire in site.wires)


def test_each_gmond_has_its_own_trouble_and_its_own_turn(tmp_path: Path) -> None:
    path = tmp_path / "gmond.conf"
    path.write_text(send_to(1, 2))
    site = Site(config(gmond_conf=path))
    site.window(many(10))
    one, other = site.wires
    one.trouble.failed("one is down")
    other.trouble.works()
    one.trouble.failed("one is down")
    one.trouble.works()
    assert site.texts == ["one is down", "gmond at 127.0.0.1:1 takes metrics again"]
    assert site.output.trouble.failures == 2
    one.is_broken = True
    site.window(many(10))
    one.is_broken = False
    for wire in site.wires:
        wire.gmond.announced = 0
    site.window(many(10))
    assert (one.gmond.announced, other.gmond.announced) == (22, 8)


# --- packets


@pytest.mark.parametrize("route", [b"/" + b"x" * 4096, b"\xff" * 65536])
def test_packets_are_small_and_of_safe_text(route: bytes) -> None:
    """The toy gmond refuses packets of 1,450 bytes and what is no ASCII."""
    site = Site()
    site.output._origin = Origin("h" * LONGEST_HOST + ":" + "h" * LONGEST_HOST, spoof=True)
    site.window({(route, 999): 1}, log="x" * 64)
    texts = [text for known in site.gmond.metadata.values() for text in (known.units, *known.extra.values())]
    assert not set("".join(texts)) & set("\"<>&'\\")
    assert max(map(len, texts)) < 900  # of the 1,023 bytes of an element


@pytest.mark.parametrize(
    ("interval", "routes", "seconds"),
    [(10, 1000, 4), (10, 9000, 9), (1, 300, 1), (60, 3000, 13), (86400, 3000, 13)],
)
def test_a_window_takes_a_part_of_the_interval(interval: int, routes: int, seconds: float) -> None:
    """And no more is sent at once than that takes."""
    site = Site(config(interval=interval * SECOND))
    site.window({})
    site.wire.take = lambda packet, now: ""
    for _ in range(2):
        site.window(many(routes))
    sent = len(site.wire.names) * charge(150)
    assert BATCH / 4 <= site.wire.batch <= BATCH
    assert sent / site.wire.batch * PAUSE < seconds * SECOND


# --- the promises


def updating(update: Callable[..., None]) -> list[Patches]:
    return [Patches((LiveSeries, "update", update))]


test_promise, test_twin = promises(
    Promise(rates_and_counters, None, updating(sum_no_methods)),
    Promise(a_restart_that_was_noticed_costs_one_window, None, [Patches((Announcements, "forget", nothing))]),
    Promise(announcements_are_spread, None, [ONCE]),
    Promise(no_window_announces_more_new_ones, None, [Doubled("outputs.ganglia.output:NEWS")]),
    Promise(a_vanished_route_is_zero_and_then_forgotten, None, updating(stop_at_once)),
    Promise(the_next_process_takes_over, None, updating(know_what_was_seen), caught=(KeyError,)),
    Promise(without_a_report_nothing_vanishes, None, updating(never_wait), caught=(KeyError,)),
    *(
        Promise(
            check,
            None,
            [ONCE] if settings == config(dmax=MINUTE) else [],
            label=f"{settings.interval / SECOND:g}s-{settings.dmax // SECOND}s",
            settings=settings,
        )
        for check in (a_metric_outlives_dmax, a_restarted_gmond_has_all_within_a_minute)
        for settings in SETTINGS
    ),
)
