"""StatsD's lines: exact, safe, packed, and no gauge that stays."""

import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qps_service.configuration.types import StatsdConfig
from qps_service.notices.kinds import Notice
from qps_service.outputs import vanished
from qps_service.outputs.registry import make_output
from qps_service.outputs.statsd import Renderer, StatsdOutput, pack
from qps_service.outputs.vanished import WINDOWS, Vanished
from qps_service.values.counts import Counts, Key
from qps_service.values.reports import Report
from tests.unit.daemons import SECOND, Service, World
from tests.unit.handed_over import OVERVIEW
from tests.unit.metrics import HOSTILE, overview, report, standing
from tests.unit.receiving import UdpReceiver

HELP = Key(b"GET", b"/help", 200)
ROOT = Key(b"GET", b"/", 200)
COUNTS = {HELP: Counts(32, 16384), Key(b"POST", b"/a.b", 99): Counts(1, 0)}

pytestmark = pytest.mark.usefixtures("tidy_sockets")


def render(*reports: Report, tags: bool = False) -> list[str]:
    return list(Renderer("qps", tags=tags).lines(reports, OVERVIEW))


# --- the lines


def test_lines_by_name() -> None:
    assert render(report(COUNTS, rejected=3)) == [
        "qps.access.requests:33|c",
        "qps.access.bytes:16384|c",
        "qps.access.rate:3.3|g",
        "qps.access.rejected:3|c",
        "qps.access.POST._a_b-38bbc83b.099.requests:1|c",
        "qps.access.POST._a_b-38bbc83b.099.bytes:0|c",
        "qps.access.POST._a_b-38bbc83b.099.rate:0.1|g",
        "qps.access.GET._help.200.requests:32|c",
        "qps.access.GET._help.200.bytes:16384|c",
        "qps.access.GET._help.200.rate:3.2|g",
    ]


def test_lines_with_tags() -> None:
    assert render(report(COUNTS, rejected=3), tags=True) == [
        "qps.rejected:3|c|#log:access",
        "qps.requests:1|c|#log:access,method:POST,route:/a.b,status:099",
        "qps.bytes:0|c|#log:access,method:POST,route:/a.b,status:099",
        "qps.rate:0.1|g|#log:access,method:POST,route:/a.b,status:099",
        "qps.requests:32|c|#log:access,method:GET,route:/help,status:200",
        "qps.bytes:16384|c|#log:access,method:GET,route:/help,status:200",
        "qps.rate:3.2|g|#log:access,method:GET,route:/help,status:200",
    ]


def test_several_logs() -> None:
    lines = render(report({HELP: Counts(1, 1)}, log="shop.example"), report({}, log="my_log"))
    assert {line.split(".")[1] for line in lines} == {"shop_example-0d254abb", "my_log"}


PLAIN = re.compile(r"qps(\.[A-Za-z0-9_-]{1,150})+:[0-9][0-9.e-]*\|[cg]")
TAGGED = re.compile(
    r"qps\.[a-z]+:[0-9][0-9.e-]*\|[cg]\|#[a-z]+:[A-Za-z0-9_-]+(,[a-z]+:[A-Za-z0-9_./-]{1,190})*"
)

Render = Callable[..., list[str]]


def check_hostile(render: Render) -> None:
    """Each line is one metric, whatever a log says, and each key has its own."""
    counts = {Key(text, text, 200): Counts(1, 1) for text in HOSTILE}
    for tags, grammar in ((False, PLAIN), (True, TAGGED)):
        lines = render(report(counts), tags=tags)
        assert len(lines) == len(set(lines)) == 3 * len(HOSTILE) + (1 if tags else 4)
        for line in lines:
            assert grammar.fullmatch(line), line
            assert len(line) < 512


def trusting(*reports: Report, tags: bool) -> list[str]:
    """A broken twin: names as they come."""
    names = [row.route.decode(errors="replace") for row in reports[0].rows]
    return render(*reports, tags=tags)[: -3 * len(names)] + [f"qps.{name}.requests:1|c" for name in names] * 3


def merging(*reports: Report, tags: bool) -> list[str]:
    """A broken twin: bad characters are taken out, and that is all."""
    return [re.sub("-[0-9a-f]{8}", "", line) for line in render(*reports, tags=tags)]


def test_hostile_routes() -> None:
    check_hostile(render)


@pytest.mark.twin
@pytest.mark.parametrize("twin", [trusting, merging])
def test_twins_that_let_hostile_routes_through_are_caught(twin: Render) -> None:
    with pytest.raises(AssertionError):
        check_hostile(twin)


def test_a_rate_is_written_exactly_and_never_as_a_change() -> None:
    for requests in (1, 3, 10**17):
        line = next(line for line in render(report({HELP: Counts(requests, 0)})) if "200.rate" in line)
        value = line.partition(":")[2].removesuffix("|g")
        assert float(value) == requests / 10
        assert value[0].isdigit()


# --- gauges of what vanished


def rates(
    renderer: Renderer, counts: dict[Key, Counts], totals: dict[Key, Counts] | None = None
) -> list[str]:
    lines = renderer.lines([report(counts)], overview(standing(totals or counts)))
    return [line for line in lines if line.endswith("|g") and ".200." in line]


def check_vanished(make: Callable[[], Renderer]) -> None:
    """The gauge of a route without requests is 0 for some windows, and then it is not told any longer."""
    renderer = make()
    both = {HELP: Counts(10, 0), ROOT: Counts(20, 0)}
    assert rates(renderer, both) == ["qps.access.GET._.200.rate:2.0|g", "qps.access.GET._help.200.rate:1.0|g"]
    for _ in range(WINDOWS):
        assert rates(renderer, {ROOT: Counts(20, 0)}) == [
            "qps.access.GET._.200.rate:2.0|g",
            "qps.access.GET._help.200.rate:0|g",
        ]
    for _ in range(2):
        assert rates(renderer, {ROOT: Counts(20, 0)}) == ["qps.access.GET._.200.rate:2.0|g"]
    assert rates(renderer, both)[1] == "qps.access.GET._help.200.rate:1.0|g"
    assert rates(renderer, {})[1] == "qps.access.GET._help.200.rate:0|g"


class NeverZero(Renderer):
    """A broken twin: nothing is said of what vanished."""

    def lines(self, *arguments: Any) -> Iterator[str]:
        return (line for line in super().lines(*arguments) if ":0|g" not in line)


class ForEver(Renderer):
    """A broken twin: what vanished is told for good."""

    def lines(self, *arguments: Any) -> Iterator[str]:
        if self._fading:
            self._fading.remember(list(self._fading._left))
        return super().lines(*arguments)


def test_a_vanished_route_has_the_rate_0_for_a_while() -> None:
    check_vanished(lambda: Renderer("qps", tags=False))


@pytest.mark.twin
@pytest.mark.parametrize("twin", [NeverZero, ForEver])
def test_gauges_that_stay_are_caught(twin: type[Renderer]) -> None:
    with pytest.raises((AssertionError, IndexError)):
        check_vanished(lambda: twin("qps", tags=False))


def check_restart(renderer: Renderer) -> None:
    """What vanished while nobody ran has the rate 0 as well."""
    known = {HELP: Counts(500, 0), ROOT: Counts(20, 0)}
    for _ in range(WINDOWS):
        assert rates(renderer, {ROOT: Counts(20, 0)}, known)[1:] == ["qps.access.GET._help.200.rate:0|g"]
    assert rates(renderer, {ROOT: Counts(20, 0)}, known)[1:] == []


class Newborn(Renderer):
    """A broken twin: knows nothing of what was told before."""

    def lines(self, reports: Any, overview: Any) -> Iterator[str]:
        return super().lines(reports, OVERVIEW)


def test_after_a_restart_what_vanished_meanwhile_has_the_rate_0() -> None:
    check_restart(Renderer("qps", tags=False))


@pytest.mark.twin
def test_after_a_restart_what_vanished_meanwhile_has_the_rate_0_catches_its_twin() -> None:
    with pytest.raises(AssertionError):
        check_restart(Newborn("qps", tags=False))


def test_vanished_routes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vanished, "LIMIT", 10)
    fade: Vanished[int] = Vanished()
    for window in range(100):
        gone = fade.vanished(range(window * 1000, window * 1000 + 1000))
        assert len(gone) <= 10
        assert len(fade._left) <= 1010


# --- datagrams


Pack = Callable[[list[str], int], Iterator[bytes]]


def check_packed(pack: Pack, sizes: list[int], limit: int) -> None:
    """Datagrams have whole lines, within the limit, and as many as fit."""
    lines = [f"{number % 10}" * size for number, size in enumerate(sizes)]
    packets = [packet.decode() for packet in pack(lines, limit)]
    assert "\n".join(packets).split("\n") == (lines or [""])
    assert all(len(packet) <= limit or "\n" not in packet for packet in packets)
    for packet, after in pairwise(packets):
        assert len(packet) + 1 + len(after.split("\n")[0]) > limit, "another line would have had room"


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(10, 60))
def test_datagrams_have_whole_lines_and_are_full(sizes: list[int], limit: int) -> None:
    check_packed(pack, sizes, limit)


def cutting(lines: list[str], limit: int) -> Iterator[bytes]:
    """A broken twin: datagrams end wherever they are full."""
    text = "\n".join(lines).encode()
    return (text[at : at + limit] for at in range(0, len(text), limit))


def one_by_one(lines: list[str], limit: int) -> Iterator[bytes]:
    """A broken twin: a datagram a line."""
    return (line.encode() for line in lines)


def one_too_many(lines: list[str], limit: int) -> Iterator[bytes]:
    """A broken twin: the line breaks are not counted."""
    return pack(lines, limit + 1)


@pytest.mark.twin
@pytest.mark.parametrize("twin", [cutting, one_by_one, one_too_many])
def test_other_datagrams_are_caught(twin: Pack) -> None:
    with pytest.raises(AssertionError):
        check_packed(twin, [5] * 20, 22)


# --- with the service


def config(port: int, *, tags: bool = False) -> StatsdConfig:
    return StatsdConfig(host="127.0.0.1", port=port, prefix="qps", tags=tags, datagram=1432)


def make(port: int, said: list[Notice]) -> StatsdOutput:
    output = make_output(config(port), said.append)
    assert isinstance(output, StatsdOutput)
    return output


def counted(packets: list[bytes]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for line in b"\n".join(packets).decode().splitlines():
        if line.endswith("|c"):
            name, value = line.removesuffix("|c").split(":")
            sums[name] += int(value)
    return sums


def test_counters_sum_up_to_what_was_counted(tmp_path: Path) -> None:
    receiver, said = UdpReceiver(), list[Notice]()
    output = make(receiver.port, said)
    service = Service(tmp_path, outputs=[output])
    received: list[bytes] = []
    for second in range(1, 36):
        service.write_at(second - 0.5, second)
        service.world.at(second, lambda: received.extend(receiver.receive()))
    service.world.signal(36, signal.SIGTERM)
    service.daemon.run()
    received += receiver.receive(1)
    assert sum(report.requests for report in service.reports) == sum(range(36))
    sums = counted(received)
    assert sums["qps.access.GET._a.200.requests"] == sums["qps.access.requests"] == sum(range(36))
    assert sums["qps.access.GET._a.200.bytes"] == 10 * sum(range(36))
    assert len(service.reports) == 4
    assert said == []


def check_grid(service: Service) -> None:
    """Reports keep their grid and their counts, whoever listens."""
    for second in range(1, 61):
        service.write_at(second - 0.5, 7)
    service.world.signal(61, signal.SIGTERM)
    service.daemon.run()
    assert [(report.requests, report.seconds) for report in service.reports] == [(70, 10.0)] * 6 + [(0, 1.0)]


class Waits(StatsdOutput):
    """A broken twin: waits for a receiver who does not come, longer than a window."""

    world: World

    def emit(self, *arguments: Any) -> None:
        super().emit(*arguments)
        self.world.elapse(12 * SECOND)


def test_a_dead_receiver_changes_nothing(tmp_path: Path) -> None:
    receiver = UdpReceiver()
    receiver.close()
    said: list[Notice] = []
    check_grid(Service(tmp_path, outputs=[make(receiver.port, said)]))
    assert [notice.text for notice in said] == [
        f"cannot send to 127.0.0.1:{receiver.port}: Connection refused"
    ]


@pytest.mark.twin
def test_an_output_that_waits_is_caught(tmp_path: Path) -> None:
    output = Waits(config(1), lambda notice: None)
    service = Service(tmp_path, outputs=[output])
    output.world = service.world
    with pytest.raises(AssertionError):
        check_grid(service)
