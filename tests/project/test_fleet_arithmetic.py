"""The arithmetic of docs/how-to/fleet.md for ten thousand hosts, computed again; its closed list of routes.

That a host has so many series of its own is for tests/fault/test_fleet.py, which counts them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from qps_service.configuration.loader import Flags, load
from qps_service.configuration.settings import BY_KEY
from qps_service.counting.methods import INVENTED_LIMIT, REGISTERED
from qps_service.outputs.prometheus.exposition import _BESIDE_BUCKETS, COUNTERS, GAUGES
from qps_service.values.counts import FOLDS, OTHER, REASONS
from qps_service.values.latency import BUCKETS
from tests.project.test_docs import FENCE

ROOT = Path(__file__).parents[2]
HOSTS = 10_000
ROUTES = 50
ROWS = 2 * ROUTES
OF_A_LOG = len(COUNTERS) + len(REASONS) + len(FOLDS) + len(GAUGES)
OF_THE_SERVICE, OF_THE_SCRAPE = 2 + 1 + 2, 1 + 4
OWN = OF_A_LOG + OF_THE_SERVICE + OF_THE_SCRAPE
INSTANCE_RULES = 5  # beside the first, which makes a series for each route and status
BYTES_OF_MEMORY, BYTES_OF_DISK = 8000, 2  # a series; a sample
METHODS = len(REGISTERED) + INVENTED_LIMIT + 1
STATUSES = 5
OF_A_CLASS = len(BUCKETS) + _BESIDE_BUCKETS  # of a status, whose durations are a histogram


def page() -> str:
    return (ROOT / "docs/how-to/fleet.md").read_text()


def series_table() -> Iterator[tuple[int, ...]]:
    """Of a host, and of all."""
    rows = (ROWS, ROWS, OF_A_LOG, OF_THE_SERVICE, OF_THE_SCRAPE, 2 * ROWS + OWN)
    for of_a_host in (*rows, OF_A_CLASS * STATUSES, ROWS + INSTANCE_RULES, INSTANCE_RULES):
        yield of_a_host, of_a_host * HOSTS


def costs_table() -> Iterator[tuple[float, ...]]:
    """All series, with those of the first rule, and without bytes."""
    a_host = 2 * ROWS + OWN + INSTANCE_RULES
    columns = [each * HOSTS for each in (a_host, a_host + ROWS, a_host - ROWS)]
    yield tuple(columns)
    for interval in (15, 60):
        yield tuple(round(series / interval) for series in columns)
    yield tuple(round(series * BYTES_OF_MEMORY / 1e9, 1) for series in columns)
    yield tuple(round(series / 15 * 86400 * BYTES_OF_DISK / 1e9, 1) for series in columns)


def numbers(row: str) -> tuple[float, ...]:
    """Those of a table's row, but for its first cell."""
    return tuple(float(cell.replace(",", "")) for cell in row.strip("|").split("|")[1:])


def problems(text: str) -> list[str]:
    """Which numbers are not what they should be."""
    wrong = []
    for heading, expected in (
        ("| series | of a host", series_table()),
        ("| 10,000 hosts | all", costs_table()),
    ):
        rows = text.partition(f"\n{heading}")[2].partition("\n\n")[0].splitlines()[2:]
        wrong += [row for row, values in zip(rows, expected, strict=True) if numbers(row) != values]
    default = int(BY_KEY["max_routes"].default or 0)
    # Beside those that have a name each there is `other`.
    worst = 3 * (default + 1) + OWN
    listed = (ROUTES + 1) * METHODS * STATUSES
    limit = int(re.findall(r"sample_limit: (\d+)", example())[0])
    for sentence in (
        f"With the default of {default}, and `other`, three rows a route",
        f"a host has {worst:,} series, and 10,000 hosts\n  {worst * HOSTS:,}: "
        f"{worst * HOSTS * BYTES_OF_MEMORY / 1e9:.0f} GB of memory",
        f"a host that gives more than {limit:,}.",
        f"{OF_A_CLASS} for each route and class: some {OF_A_CLASS * default * 3:,} for {default:,} routes",
        f"up to {default // 2} names from each host",
        f"{ROWS} + 2 + 3 + {len(REASONS)} = {ROWS + 2 + 3 + len(REASONS)} series for a log",
        f"With {ROUTES} names, `/unlisted` among them, and `other` for targets longer than `max_route`, "
        f"at most {METHODS} methods ({len(REGISTERED)} registered, {INVENTED_LIMIT} invented, `other`) and "
        f"{STATUSES} statuses each a host has {listed:,} rows at the very worst, and "
        f"{listed + OWN:,} series without bytes; about {ROWS} and {ROWS + OWN} in",
    ):
        if " ".join(sentence.split()) not in " ".join(text.split()):
            wrong.append(sentence)
    # It lets the worst of a closed list through, and that of the default.
    assert limit > max(worst, listed + OWN)
    return wrong


def example() -> str:
    return (ROOT / "packaging" / "prometheus" / "scrape.example.yml").read_text()


def test_the_numbers_are_what_they_come_to() -> None:
    assert problems(page()) == []


@pytest.mark.twin
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("| 227 | 2,270,000 |", "| 227 | 2,260,000 |"),
        ("| 70 | 700,000 |", "| 14 | 140,000 |"),
        ("some 42,000 for", "some 14,000 for"),
        ("| 17 | 170,000 |", "| 16 | 160,000 |"),
        ("| 154,667 |", "| 152,001 |"),
        ("| 10.6 |\n", "| 10.5 |\n"),
        ("242 GB", "240 GB"),
        ("= 108", "= 111"),
        ("12,750 rows", "4,250 rows"),
    ],
)
def test_a_number_that_is_wrong_is_noticed(right: str, wrong: str) -> None:
    assert right in page()
    assert problems(page().replace(right, wrong))


def test_a_closed_list_takes_every_target() -> None:
    """The example's rules leave the names of its list, and one for all others."""
    [block] = [text for language, text in FENCE.findall(page()) if language == "toml"]
    with NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(block)
        file.flush()
        [log] = load(Flags(config=file.name), {}).logs
    routes = log.routes()
    listed = {b"/": b"/", b"/login": b"/login", b"/user/7": b"/user/:id", b"/static/a.js": b"/static"}
    assert {target: routes.of(target) for target in listed} == listed
    for target in (
        b"/wp-login.php",
        b"/login/",
        b"/loginx",
        b"//",
        b"/user/x",
        b"*",
        b"example.org:443",
        b"/\xff\n/",
    ):
        assert routes.of(target) == b"/unlisted", target
    assert routes.of(b"/static/" + b"x" * log.max_route) == OTHER
