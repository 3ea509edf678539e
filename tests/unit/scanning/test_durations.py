"""How long requests took, from the text of their lines to windows and totals, against a sorted list: equal,
not near, for each scanner.

Values are picoseconds here, so that what lines tell beyond a nanosecond is there to be rounded.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from random import Random

from qps_service.counting.aggregator import Aggregator
from qps_service.formats import durations, json_members, line
from qps_service.formats.presets import compile_format
from qps_service.scanning import pure
from qps_service.values.latency import BEYOND, BOUNDS, Latency, LatencyKey
from tests.promised import Patches, Promise, promises
from tests.unit.conftest import SCANNERS, MakeScanner
from tests.unit.formats.test_durations import LINES

FORMAT = compile_format('$remote_addr "$request" $status $body_bytes_sent "$http_user_agent" $request_time')
PER_MILLE = (500, 900, 950, 990, 1000)
THRESHOLDS = BOUNDS[1::9]  # some ninety, over all decades
MICROSECOND, MILLISECOND, SECOND = 10**6, 10**9, 10**12


def drawn(number: int, draw: Callable[[Random], float]) -> list[int]:
    random = Random(7)
    return [int(draw(random)) for _ in range(number)]


DISTRIBUTIONS = {
    "constant": [123 * MILLISECOND] * 100,
    "two peaks": drawn(500, lambda random: random.gauss(random.choice([2e10, 9e11]), 1e9)),
    "heavy tail": drawn(500, lambda random: random.paretovariate(0.5) * MILLISECOND),
    "all 0": [0] * 100,
    "one value": [999_999_999],
    "milliseconds": drawn(500, lambda random: random.randrange(2000) * MILLISECOND),
    "microseconds": drawn(500, lambda random: random.randrange(10**6) * MICROSECOND),
    "every decade": drawn(500, lambda random: 10 ** random.uniform(0, 16)),
    "bounds, and a picosecond beyond": [1000 * each + rest for each in BOUNDS for rest in (0, 1)],
    "beyond 1000 s": drawn(100, lambda random: random.uniform(900, 1100) * SECOND),
}


def parts_of(values: Sequence[int]) -> list[Sequence[int]]:
    return [values[start : start + 150] for start in range(0, len(values), 150)]


def two_digits(picoseconds: int) -> int:
    """The value rounded up to them, nanoseconds, by its digits alone."""
    if picoseconds <= 1000 * 1000:
        return 1000 if picoseconds else 0
    text = str(picoseconds)
    rounded = (int(text[:2]) + bool(text[2:].strip("0"))) * 10 ** (len(text) - 2) // 1000
    return rounded if rounded <= BOUNDS[-1] else BEYOND


def check_latency(latency: Latency, values: Sequence[int]) -> None:
    """It tells what a sorted list tells."""
    ranked = sorted(values)
    for part in PER_MILLE:
        assert latency.quantile(part) == two_digits(ranked[-(-part * len(ranked) // 1000) - 1])
    for threshold in THRESHOLDS:
        assert latency.within(threshold) == sum(value <= 1000 * threshold for value in values)
    whole = [-(-value // 1000) for value in values]
    assert (latency.measured, latency.total, latency.longest) == (len(whole), sum(whole), max(whole))


def log_of(values: Sequence[int]) -> bytes:
    lines = (
        b'203.0.113.7 "GET /%d HTTP/1.1" 200 5 "x" %d.%012d\n' % (number % 5, *divmod(value, SECOND))
        for number, value in enumerate(values)
    )
    return b"".join(lines)


def check_durations(make: MakeScanner, values: Sequence[int]) -> None:
    """Through blocks, several takes of both, and windows; a fifth of the requests is one route's, and two of
    five routes have a place."""
    scanner, counting, windows = make(FORMAT, 256), Aggregator("access", 0, 2), []
    for number, part in enumerate(parts_of(values)):
        scanner.scan(log_of(part))
        counting.add(scanner.take())
        counting.take()
        if number % 2:
            windows.append(counting.close_window(number))
    windows.append(counting.close_window(1000))
    first = [value for part in parts_of(values) for value in part[::5]]
    check_latency(counting.total_latencies[LatencyKey(b"/0", 2)], first)
    together: dict[LatencyKey, Latency] = {}
    for window in reversed(windows):  # in any order
        for key, latency in window.latencies.items():
            together[key] = latency.plus(together[key]) if key in together else latency
    assert together == dict(counting.total_latencies)
    every, *others = together.values()
    for other in others:
        every = every.plus(other)
    check_latency(every, values)
    requests = {key: each.requests for key, each in counting.totals.items()}
    assert {key.route: each.measured for key, each in together.items()} == {
        key.route: number for key, number in requests.items()
    }


def in_floats(text: bytes, unit: str) -> int:
    return int(float(text) * 10 ** durations.UNITS[unit])


def check_all(make: MakeScanner) -> None:
    for values in DISTRIBUTIONS.values():
        check_durations(make, values)


def check_a_million(make: MakeScanner) -> None:
    """Each of these 2,000 times."""
    values, times = DISTRIBUTIONS["microseconds"][:500], 2000
    scanner, counting = make(FORMAT, 256), Aggregator("access", 0, 5)
    scanner.scan(log_of(values) * times)
    counting.add(scanner.take())
    counting.take()
    latency, ranked = counting.total_latencies[LatencyKey(b"/3", 2)], sorted(values[3::5])
    number = times * len(ranked)
    assert (latency.measured, latency.total) == (number, times * sum(ranked) // 1000)
    for part in PER_MILLE:
        assert latency.quantile(part) == two_digits(ranked[(-(-part * number // 1000) - 1) // times])
    for threshold in THRESHOLDS:
        assert latency.within(threshold) == times * bisect_right(ranked, 1000 * threshold)


def check_lines(make: MakeScanner) -> None:
    """Each of a server's lines, in each language of formats."""
    for text, written, expected in LINES:
        scanner = make(compile_format(text), 1 << 16)
        scanner.scan(written + b"\n")
        told = [latency[2] for latency in scanner.take().latencies if latency]
        assert told == ([] if expected is None else [expected]), written


ROUNDS_DOWN = (
    "_rounded_up",
    lambda *number: int(float(number[0] + b"." + (number[1] or b"0")) * 10 ** number[3]),
)
test_promise, test_twin = promises(
    *(Promise(check_all, make, [], label=name) for name, make in SCANNERS.items() if name != "py"),
    Promise(
        check_all,
        SCANNERS["py"],
        {
            "bounds are exclusive": Patches((pure, "bin_of", lambda each: bisect_right(BOUNDS, each))),
            "durations are floats": Patches((line, "nanoseconds_of", in_floats)),
            "durations are rounded down": Patches((durations, *ROUNDS_DOWN)),
        },
        label="py",
    ),
    *(
        Promise(
            check_lines,
            make,
            {"a comma ends a list": Patches((json_members, "_is_list", lambda text: False))}
            if name == "py"
            else {},
            label=name,
        )
        for name, make in SCANNERS.items()
    ),
    Promise(check_a_million, SCANNERS[min(set(SCANNERS) - {"py"})], []),
)
