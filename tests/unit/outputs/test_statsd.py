"""StatsD's lines: exact, packed, and no gauge that stays. What all outputs promise: test_conformance.py."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.outputs.metric_names import Alphabet
from qps_service.outputs.statsd import Renderer, pack
from qps_service.outputs.vanished import LIMIT, WINDOWS, Vanished
from qps_service.values.counts import Counts, Key
from qps_service.values.reports import Report
from tests.limits import Doubled
from tests.promised import Patches, Promise, promises
from tests.unit.handed_over import OVERVIEW, overview, report, standing

HELP = Key(b"GET", b"/help", 200)
ROOT = Key(b"GET", b"/", 200)
COUNTS = {HELP: Counts(32, 16384), Key(b"POST", b"/a.b", 99): Counts(1, 0)}


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


def is_zero_for_a_while() -> None:
    """The gauge of a route without requests is 0 for some windows, and then it is not told any longer."""
    renderer = Renderer("qps", tags=False)
    both = {HELP: Counts(10, 0), ROOT: Counts(20, 0)}
    root, help_ = "qps.access.GET._.200.rate:2.0|g", "qps.access.GET._help.200.rate:1.0|g"
    gone = "qps.access.GET._help.200.rate:0|g"
    assert rates(renderer, both) == [root, help_]
    for _ in range(WINDOWS):
        assert rates(renderer, {ROOT: Counts(20, 0)}) == [root, gone]
    for _ in range(2):
        assert rates(renderer, {ROOT: Counts(20, 0)}) == [root]
    assert rates(renderer, both) == [root, help_]
    assert rates(renderer, {})[1] == gone


def is_zero_after_a_restart() -> None:
    """What vanished while nobody ran has the rate 0 as well."""
    renderer, known = Renderer("qps", tags=False), {HELP: Counts(500, 0), ROOT: Counts(20, 0)}
    for _ in range(WINDOWS):
        assert rates(renderer, {ROOT: Counts(20, 0)}, known)[1:] == ["qps.access.GET._help.200.rate:0|g"]
    assert rates(renderer, {ROOT: Counts(20, 0)}, known)[1:] == []


def is_kept_without_a_report() -> None:
    """Of a log that has no report this time nothing is told; what it had is 0 when it has one again."""
    renderer, waits = Renderer("qps", tags=False), overview(standing({}))
    assert len(rates(renderer, {HELP: Counts(10, 0)})) == 1
    for _ in range(2 * WINDOWS):
        assert list(renderer.lines([], waits)) == []
    assert rates(renderer, {}, {HELP: Counts(10, 0)}) == ["qps.access.GET._help.200.rate:0|g"]


LINES = Renderer.lines


def never_wait(renderer: Renderer, reports: Any, overview: Any) -> Iterator[str]:
    logs = {report.log for report in reports}
    told = overview._replace(logs=tuple(log for log in overview.logs if log.log in logs))
    return LINES(renderer, reports, told)


def never_zero(renderer: Renderer, *arguments: Any) -> Iterator[str]:
    return (line for line in LINES(renderer, *arguments) if ":0|g" not in line)


def instead(lines: Callable[..., Iterator[str]]) -> list[Patches]:
    return [Patches((Renderer, "lines", lines))]


test_promise, test_twin = promises(
    Promise(is_zero_for_a_while, None, instead(never_zero), caught=(IndexError,)),
    Promise(is_zero_after_a_restart, None, instead(lambda self, reports, _: LINES(self, reports, OVERVIEW))),
    Promise(is_kept_without_a_report, None, instead(never_wait)),
)


def check_vanished_routes_are_few() -> None:
    """However many come and go in each window."""
    fade: Vanished[int] = Vanished()
    most = LIMIT + 10
    for window in range(5):
        fade.vanished(range(window * most, window * most + most))
        assert len(fade._left) <= LIMIT + most
    assert len(fade.vanished(())) == LIMIT


def check_long_routes_are_cut() -> None:
    """Where they are a tag."""
    *_, line = render(report({Key(b"GET", b"/" + b"x" * 4000, 200): Counts(1, 0)}), tags=True)
    assert len(line.partition("route:")[2].partition(",")[0]) == 190


test_limits, test_limits_that_are_doubled = promises(
    Promise(check_vanished_routes_are_few, None, [Doubled("outputs.vanished:LIMIT")]),
    Promise(
        check_long_routes_are_cut,
        None,
        [Doubled("outputs.statsd:_ROUTE", to=Alphabet("A-Za-z0-9_./-", 380, flat=False))],
    ),
)


# --- datagrams


Pack = Callable[[list[str], int], Iterator[bytes]]


@given(sizes=st.lists(st.integers(1, 50), max_size=60), limit=st.integers(10, 60))
@example(sizes=[5] * 20, limit=22)
def check_packed(pack: Pack, sizes: list[int], limit: int) -> None:
    """Datagrams have whole lines, within the limit, and as many as fit."""
    lines = [f"{number % 10}" * size for number, size in enumerate(sizes)]
    packets = [packet.decode() for packet in pack(lines, limit)]
    assert "\n".join(packets).split("\n") == (lines or [""])
    assert all(len(packet) <= limit or "\n" not in packet for packet in packets)
    for packet, after in pairwise(packets):
        assert len(packet) + 1 + len(after.split("\n")[0]) > limit, "another line would have had room"


def cutting(lines: list[str], limit: int) -> Iterator[bytes]:
    text = "\n".join(lines).encode()
    return (text[at : at + limit] for at in range(0, len(text), limit))


NO_BREAKS = {"breaks are not counted": lambda lines, limit: pack(lines, limit + 1), "cutting": cutting}
test_packed, test_packed_twin = promises(Promise(check_packed, pack, NO_BREAKS))
