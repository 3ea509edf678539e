"""Some requests alone: as if the log had no others."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from qps_service.formats.presets import compile_format
from qps_service.scanning import selecting
from qps_service.scanning.options import ScanOptions
from qps_service.scanning.scanner import make_scanner
from qps_service.scanning.selecting import SelectingScanner, Wanted
from qps_service.values.counts import Key, Scanned
from tests.promised import Patches, Promise, promises, twin

BEGIN = 1_795_960_800  # 2026-11-29 14:00:00 UTC
COMBINED = '1.2.3.4 - - [29/Nov/2026:14:{:02}:{:02} +0000] "{} {} HTTP/1.1" {} 7 "-" "-"\n'
W3C = "2026-11-29 14:{:02}:{:02} {} {} {}\n"
FIELDS = (
    "#Fields: date time cs-method cs-uri-stem sc-status\n",
    "#Fields: date time cs-method cs-uri sc-status\n",
)


def lines_of(line: str) -> list[bytes]:
    """In the order of time but for a few; some are none, and of the requests some have no time."""
    random = Random(line)
    lines = []
    for number in range(700):
        second = max(0, number * 4 + random.randrange(-5, 5)) // 4
        route, status = random.choice(["/", "/a", "/b/c"]), random.choice([200, 404, 500])
        text = line.format(*divmod(second, 60), random.choice(["GET", "POST"]), route, status)
        if number % 97 == 0:
            text = FIELDS[number % 2] if line == W3C else text.replace("29/Nov", "-")
        lines.append(b"nothing\n" if number % 53 == 5 else text.encode())
    return lines


class Taken:
    """All that a scanner found: also what it handed over on its way."""

    def __init__(self, make: Callable[..., Any], options: ScanOptions, *wanted: Wanted) -> None:
        self._spilled: list[Scanned] = []
        self.scanner = make(options, self._spilled.append, *wanted)
        self.times: set[int | None] = set()

    def take(self) -> tuple[int, Counter[Key], Counter[str], int, int]:
        found = [*self._spilled, self.scanner.take()]
        self._spilled.clear()
        keys, rejects = Counter[Key](), Counter[str]()
        for each in found:
            for row in each.rows:
                keys[Key(*row[:3])] += row[3]
            rejects.update(each.rejects)
        self.times = {second for each in found for second in each.times}
        lines, unmeasured, directives = (
            sum(getattr(each, name) for each in found) for name in ("lines", "unmeasured", "directives")
        )
        return lines, keys, rejects, unmeasured, directives


def check_selected(make: Any, line: str, wanted: Wanted) -> None:
    options = ScanOptions(compile_format("w3c" if line == W3C else "combined"), 4096)
    lines = lines_of(line)
    alone, left = Taken(make_scanner, options._replace(span=1)), Taken(make_scanner, options)
    for each in lines:
        alone.scanner.scan(each)
        _, keys, *_ = alone.take()
        takes_key = wanted.takes is None or all(map(wanted.takes, keys))
        if not keys or (takes_key and (not wanted.is_timed or all(map(wanted.has, alone.times)))):
            left.scanner.scan(each)
    expected = left.take()
    taken = Taken(make, options, wanted)
    text = b"".join(lines)
    third = text.rindex(b"\n", 0, len(text) // 3) + 1
    for part in (text[:third], text[third:]):
        assert taken.scanner.scan(part) == (part.count(b"\n"), part.count(b"nothing\n"))
    assert 0 < expected[0] < len(lines)
    assert taken.take() == expected
    assert taken.scanner.directives == left.scanner.directives


def check_few_are_read_twice(make: Any) -> None:
    """Of a span of time in a log that has an order, only its edges are looked at closely."""
    lines = [COMBINED.format(*divmod(second, 60), "GET", "/", 200).encode() for second in range(3000)]
    scanned: list[int] = []
    scanner = make(
        ScanOptions(compile_format("combined"), 4096), print, Wanted(None, BEGIN + 500, BEGIN + 900)
    )
    scan = scanner._first.scan

    def counting(block: bytes) -> object:
        scanned.append(block.count(b"\n"))
        return scan(block)

    scanner._first.scan = counting
    scanner.scan(b"".join(lines))
    assert scanner.take().lines == 400
    assert sum(scanned) < 6 * len(lines)


def only(**given: Any) -> Callable[[Key], bool]:
    return lambda key: all(getattr(key, name) == value for name, value in given.items())


WANTED = {
    "a status": Wanted(only(status=500)),
    "a route": Wanted(only(route=b"/b/c")),
    "since": Wanted(None, BEGIN + 300),
    "until": Wanted(None, None, BEGIN + 300),
    "a span": Wanted(None, BEGIN + 100, BEGIN + 101),
    "both": Wanted(only(method=b"POST"), BEGIN + 100, BEGIN + 600),
    "nothing": Wanted(only(method=b"PUT")),
}
TWINS: dict[str, list[Any]] = {
    "a status": [Patches((selecting, "half", lambda part: 0))],
    "since": [
        twin(Wanted, "later", "has", instead=lambda self, second: second is None or second > self.since)
    ],
    "until": [
        twin(Wanted, "later", "has", instead=lambda self, second: second is not None and second <= self.until)
    ],
    "nothing": [twin(SelectingScanner, "pure", "_answers", instead=lambda self, part: ({False}, True))],
}


def made_of(wanted: Any) -> Callable[..., SelectingScanner]:
    """With the wishes of a twin."""
    if isinstance(wanted, Patches) or not issubclass(wanted, Wanted):
        return wanted  # type: ignore[no-any-return]
    return lambda options, spill, given: SelectingScanner(options, spill, wanted(*given))


test_promise, test_twin = promises(
    *(
        Promise(
            check_selected,
            SelectingScanner,
            {str(number): made_of(each) for number, each in enumerate(TWINS.get(name, []))},
            label=f"{name}-{'w3c' if line == W3C else 'combined'}",
            line=line,
            wanted=wanted,
        )
        for name, wanted in WANTED.items()
        for line in (COMBINED, W3C)
    ),
    Promise(
        check_few_are_read_twice,
        SelectingScanner,
        {"line by line": Patches((selecting, "half", lambda part: part.find(b"\n", 0, -1) + 1))},
    ),
)
