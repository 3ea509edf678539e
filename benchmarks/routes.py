"""What a row costs between scanner and commit: its route, its place, its sum.

    .venv/bin/python -m benchmarks.routes

Prints microseconds a row: for targets that were never seen, as a scan for holes sends them, each in one row;
for targets of routes that have their places; and for the same where the cache has to be asked. Rows come in
parts of 3,000, about what one read of a busy log has.
"""

import time
from collections.abc import Callable, Sequence

from qps_service.counting.aggregator import Aggregator
from qps_service.counting.routes import COLLAPSES, Routes
from qps_service.counting.rules import compile_match, make_rule
from qps_service.service.rule_time import CpuLimit, RuleTime
from qps_service.values.counts import Scanned

ROWS = 300_000
PART = 3000
ROUTES = 400  # of the site
LIMIT = CpuLimit()

MAKERS: dict[str, Callable[[], Routes]] = {
    "no rule": Routes,
    "every collapse": lambda: Routes((), COLLAPSES),
    "a rule that matches": lambda: Routes([make_rule(compile_match("^/wp/([0-9]++)/"), r"/wp/\1")]),
    "within its time": lambda: Routes(
        [make_rule(compile_match("^/wp/([0-9]++)/"), r"/wp/\1")],
        limited=RuleTime(LIMIT, time.monotonic_ns, print),
    ),
    "ten rules": lambda: Routes([make_rule(compile_match("^/api/v([0-9]++)/"), r"/api/\1")] * 10),
    "a rule that does not": lambda: Routes([make_rule(compile_match("^/api/v([0-9]++)/"), r"/api/\1")]),
}


def parts(targets: Sequence[bytes]) -> list[Scanned]:
    """One row for each."""
    rows = [(b"GET", target, 404, 1, 512) for target in targets]
    return [Scanned(PART, rows[start : start + PART], {}, None) for start in range(0, len(rows), PART)]


def cost(counting: Aggregator, found: Sequence[Scanned]) -> float:
    """Microseconds a row."""
    begun = time.perf_counter()
    for each in found:
        counting.add(each)
    return (time.perf_counter() - begun) / ROWS * 1e6


def main() -> None:
    """Print the table."""
    LIMIT.install()
    scan = parts([b"/wp/%d/plugin/index.php" % number for number in range(ROWS)])
    encoded = parts([b"/wp/%d/%%2e%%2e%%2fetc" % number for number in range(ROWS)])
    site = parts([b"/page/%d" % (number % ROUTES) for number in range(ROWS)])
    quoted = parts([b"/caf%%c3%%a9/%d" % (number % ROUTES) for number in range(ROWS)])
    for name, make in MAKERS.items():
        counting = Aggregator("access", 0, 1000, make())
        cost(counting, site)  # they take their places
        never, never_encoded, known, known_encoded = (
            f"{cost(counting, found):.2f}" for found in (scan, encoded, site, quoted)
        )
        print(
            f"{name:<20} never seen: {never}, percent-encoded: {never_encoded}; "
            f"known: {known}, percent-encoded: {known_encoded}"
        )


if __name__ == "__main__":
    main()
