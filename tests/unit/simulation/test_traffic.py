"""The lines and their pace."""

import ipaddress
import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

from qps_service.formats.line import make_reader, request_of
from qps_service.formats.presets import compile_format
from qps_service.simulation import traffic as module
from qps_service.simulation.simulator import GAPS, IrregularPace, SteadyPace
from qps_service.simulation.traffic import BLOCK, KINDS, METHODS, ROUTES, STATUSES, Traffic
from qps_service.text.units import SECOND
from tests.promised import Patches, Promise, promises
from tests.simulated import DEFAULT


def check_read_back(written: str, text: str) -> None:
    """What the lines of `written` count as in this format is what the simulator says they are."""
    block = Traffic(compile_format(written), Random(1)).block()
    reader = make_reader(compile_format(text))
    durations: Sequence[int | None] = block.durations or [None] * len(block.lines)
    for kind, size, line, duration in zip(block.kinds, block.sizes, block.lines, durations, strict=True):
        request = request_of(reader.roles(line.removesuffix(b"\n")), keep_query=False)
        assert request == (*KINDS[kind], size, duration)


READ_BACK = [
    "default",
    "combined",
    "common",
    "json",
    "ltsv",
    "haproxy",
    "json duration=ns:took",
    "$request_method $uri $status $bytes_sent $duration_us",
    "json method=a.b route=a.c status=s bytes=a.d.e",
    "json request=r",
    'LogFormat "%h %l %u %t \\"%r\\" %>s %b \\"%{Referer}i\\" \\"%{User-Agent}i\\" %I %O" combinedio',
    "%a {%m} %U%q %H %s %B %%{x}",
    "log_format x '$remote_addr {$request_method} '\n  '$uri $status $bytes_sent';",
]


def check_the_weights() -> None:
    """Each name's share within five standard deviations; each size and address in its range."""
    traffic = Traffic(DEFAULT, Random(1))
    blocks = [traffic.block() for _ in range(40)]
    total = 40 * BLOCK
    drawn = Counter(kind for block in blocks for kind in block.kinds)
    everything: list[dict[Any, int]] = [METHODS, ROUTES, STATUSES]
    for position, weights in enumerate(everything):
        found: Counter[Any] = Counter()
        for kind, times in drawn.items():
            found[KINDS[kind][position]] += times
        for name, weight in weights.items():
            share = weight / sum(weights.values())
            assert abs(found[name] - total * share) < 5 * math.sqrt(total * share * (1 - share)), name
    sizes = {size for block in blocks for size in block.sizes}
    assert (min(sizes), max(sizes)) == (64, 1024)
    lines = [line for block in blocks for line in block.lines]
    addresses = [ipaddress.IPv4Address(line.split(b"\t")[0].decode()) for line in lines]
    for octets in zip(*(address.packed for address in addresses), strict=True):
        assert set(octets) == set(range(256))


def test_the_weights_are_those_of_the_original() -> None:
    assert METHODS == {b"GET": 95, b"POST": 5}
    assert STATUSES == {200: 90, 404: 5, 500: 1}
    assert ROUTES == {b"/": 50, b"/library": 20, b"/blog": 20, b"/questions": 5}


def check_no_drift(of: type[SteadyPace]) -> None:
    """Over 30 days of wake-ups at odd moments, the lines are the time's times the rate, 3 a second."""
    pace, random = of(3), Random(1)
    elapsed = 0
    while elapsed < 30 * 86_400 * SECOND:
        elapsed += random.randint(1, 200 * SECOND)
        assert pace.due(elapsed) == elapsed * 3 // SECOND
        assert pace.due(pace.next_due - 1) == pace.due(elapsed)
        assert pace.due(pace.next_due) == elapsed * 3 // SECOND + 1
        elapsed = max(elapsed, pace.next_due)


class PaceByGap(SteadyPace):  # counts from its last call, and loses what was left over
    last = lines = 0

    def due(self, elapsed: int) -> int:
        new = super().due(elapsed - self.last)
        if new:
            self.lines += new
            self.last = elapsed
        self.next_due = elapsed + SECOND // self._rate
        return self.lines


def test_an_irregular_pace_keeps_between_10_and_100_ms() -> None:
    assert GAPS == (10_000_000, 100_000_000)
    pace = IrregularPace(Random(1))
    moments = [0]
    for count in range(5000):
        assert pace.due(pace.next_due - 1) == count
        moments.append(pace.next_due)
        assert pace.due(pace.next_due) == count + 1
    gaps = [after - before for before, after in pairwise(moments)]
    assert 10_000_000 <= min(gaps) < 11_000_000
    assert 99_000_000 < max(gaps) <= 100_000_000


OTHER_TRAFFIC = {
    "even weights": Patches((module, "WEIGHTS", (1,) * len(KINDS))),
    "swapped weights": Patches((module, "WEIGHTS", module.WEIGHTS[::-1])),
    "other sizes": Patches((module, "SIZES", range(64, 1024))),
}

test_promise, test_twin = promises(
    *(Promise(check_read_back, text, [], text=text) for text in READ_BACK),
    Promise(check_read_back, "%m %U %s %b", ["%m %U %s %b0"], text="%m %U %s %b"),
    Promise(check_the_weights, None, OTHER_TRAFFIC),
    Promise(check_no_drift, SteadyPace, [PaceByGap]),
)
