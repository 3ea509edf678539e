"""How long requests took, from the text of their lines to windows and totals, against a sorted list: equal,
not near, for each scanner.

Lines tell picoseconds here, so that what is beyond a nanosecond is there to be rounded.
"""

from bisect import bisect_right
from collections.abc import Sequence

from qps_service.counting.aggregator import Aggregator
from qps_service.formats import durations, json_members, line
from qps_service.formats.presets import compile_format
from qps_service.scanning import pure
from qps_service.values.latency import BOUNDS, Latency, LatencyKey
from tests.durations import DISTRIBUTIONS, check_latency
from tests.promised import Patches, Promise, promises
from tests.unit.conftest import SCANNERS, MakeScanner, by_each
from tests.unit.formats.test_durations import LINES

FORMAT = compile_format('$remote_addr "$request" $status $body_bytes_sent "$http_user_agent" $request_time')


def parts_of(values: Sequence[int]) -> list[Sequence[int]]:
    return [values[start : start + 150] for start in range(0, len(values), 150)]


def log_of(values: Sequence[int]) -> bytes:
    """What rounded up are these nanoseconds."""
    picoseconds = (value and 1000 * value - number % 1000 for number, value in enumerate(values))
    lines = (
        b'203.0.113.7 "GET /%d HTTP/1.1" 200 5 "x" %d.%012d\n' % (number % 5, *divmod(told, 10**12))
        for number, told in enumerate(picoseconds)
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
    check_latency(counting.total_latencies[LatencyKey(b"/3", 2)], values[3::5] * times)


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
BROKEN = {
    "bounds are exclusive": Patches((pure, "bin_of", lambda each: bisect_right(BOUNDS, each))),
    "durations are floats": Patches((line, "nanoseconds_of", in_floats)),
    "durations are rounded down": Patches((durations, *ROUNDS_DOWN)),
}
test_promise, test_twin = promises(
    *by_each(check_all, BROKEN),
    *by_each(check_lines, [Patches((json_members, "_is_list", lambda text: False))]),
    Promise(check_a_million, SCANNERS[min(set(SCANNERS) - {"py"})], []),
)
