"""docs/reference/limits.md has every bound with its figure, and a test reaches each, and notices its double.

tests/limits.py says where the figure of each row stands. The twins are pages, and lists of limits, with a
fault.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import pytest

from qps_service.configuration.parsers import Within
from qps_service.formats.json_lines import MEMBERS_LIMIT
from qps_service.formats.json_members import DEPTH_LIMIT
from qps_service.text.units import parse_duration, parse_size
from qps_service.values.counts import SAMPLE_LIMIT
from tests.limits import LIMITS, NO_LIMITS, OF_THE_SERVER, UNSEEN, Doubled, Limit, settings_by_key
from tests.project.test_docs import ROOT

PAGE = (ROOT / "docs" / "reference" / "limits.md").read_text()
HEADER = (ROOT / "qps_service" / "scanning" / "c" / "limits.h").read_text()
UNITS = {
    head: (ROOT / "packaging" / "systemd" / name).read_text()
    for head, name in (
        ("| Key of the unit | Value | Beyond it |", "qps-reporter.service"),
        ("| Key of the page's unit | Value | Beyond it |", "qps-reporter-web.service"),
    )
}

HEAD, SERVER_HEAD = "| What | Limit | Setting | Beyond it |", "| Of the page's server | Limit | Beyond it |"
FIGURE = re.compile(r"\b(\d[\d,]*(?:\.\d+)?)(?: (bytes|KiB|MiB|GiB|ms|s|min|h|d|%)(?!\w))?")
CONSTANT = re.compile(r"^(_?[A-Z_]*LIMIT)(?:: \w+)? = ", re.MULTILINE)


class Row(NamedTuple):
    """One limit on the page."""

    what: str
    limit: str
    setting: str
    beyond: str


def tables(page: str, head: str) -> Iterator[list[str]]:
    """The cells of each row below this head."""
    for table in page.split(f"{head}\n")[1:]:
        for line in table.partition("\n\n")[0].splitlines()[1:]:
            yield [cell.strip() for cell in line.strip("|").split("|")]


def figure_of(cell: str) -> float | None:
    """The first in it, as a number, bytes, nanoseconds or a share; None where there is none."""
    found = FIGURE.search(cell)
    if not found:
        return None
    number, unit = found[1].replace(",", ""), found[2]
    if unit is None:
        return float(number)
    if unit == "%":
        return float(number) / 100
    if unit == "bytes" or unit.endswith("B"):
        return parse_size(f"{number}{unit.replace('bytes', 'B')}")
    return parse_duration(f"{number}{unit}")


def rows_wrong(page: str, limits: Mapping[str, Limit]) -> list[str]:
    """Rows that tell another figure or setting than the code; rows without a limit, or none for one."""
    rows = [Row(*cells) for cells in tables(page, HEAD)]
    problems = [f"no row: {what}" for what in limits.keys() - {row.what for row in rows}]
    for row in rows:
        limit = limits.get(row.what)
        if limit is None:
            problems.append(f"no limit: {row.what}")
            continue
        if figure_of(row.limit) != pytest.approx(limit.value):
            problems.append(f"{row.what}: {row.limit}, and the code has {limit.value:.12g}")
        if bool(limit.setting) != ("settings.md" in row.setting):
            problems.append(f"{row.what}: whether it can be set")
        if limit.setting and not row.setting.startswith(f"[`{limit.setting}`]"):
            problems.append(f"{row.what}: {row.setting}, and the code has {limit.setting}")
        if not (row.setting and row.beyond):
            problems.append(f"{row.what}: an empty cell")
    return problems + [
        f"twice: {row.what}" for row in rows if [each.what for each in rows].count(row.what) > 1
    ]


def limits_not_reached(limits: Mapping[str, Limit]) -> list[str]:
    """Those of which no unit test has a twin that is twice as high."""
    return [what for what, limit in limits.items() if limit.at not in doubled()]


@cache
def doubled() -> set[str]:
    """What the twins of all unit tests double."""
    found = set()
    for path in (ROOT / "tests" / "unit").rglob("test_*.py"):
        if "Doubled(" in path.read_text():
            found |= doubled_in(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return found


def doubled_in(module: str) -> set[str]:
    """What the twins of a test module double."""
    tests = vars(import_module(module)).values()
    marks = [mark for test in tests for mark in getattr(test, "pytestmark", []) if hasattr(test, "__code__")]
    parameters = (each for mark in marks if mark.name == "parametrize" for each in mark.args[1])
    values = (value for each in parameters for value in getattr(each, "values", ()))
    return {value.at for value in values if isinstance(value, Doubled)}


def limits_untold(limits: Mapping[str, Limit]) -> list[str]:
    """Settings with a range, and constants that are called a limit, that have neither a row nor a reason."""
    told = {limit.at for limit in limits.values()}
    ranged = {key for key, each in settings_by_key().items() if isinstance(each.parse, Within)}
    program = ROOT / "qps_service"
    named = {
        f"{'.'.join(path.relative_to(program).with_suffix('').parts)}:{name}"
        for path in program.rglob("*.py")
        for name in CONSTANT.findall(path.read_text())
    }
    return sorted((ranged - NO_LIMITS - told) | (named - UNSEEN.keys() - told))


def units_wrong(page: str) -> list[str]:
    """Values that a unit does not have."""
    found = []
    for head, unit in UNITS.items():
        rows = [*tables(page, head)]
        found += [key for key, value, _ in rows if f"{key.strip('`')}{value}\n" not in unit]
        found += [] if rows else ["no table"]
    return found


def server_wrong(page: str) -> list[str]:
    """What the page's server has otherwise."""
    told = {what: figure_of(limit) for what, limit, _ in tables(page, SERVER_HEAD)}
    held = {what: limit.value for what, limit in OF_THE_SERVER.items()}
    return sorted(what for what in told.keys() | held if told.get(what) != held.get(what))


def native_limits_wrong(header: str) -> list[str]:
    """What the native scanner has otherwise: it has its own constants."""
    return [
        name
        for name, value in (
            ("DEPTH_LIMIT", DEPTH_LIMIT),
            ("MEMBERS_LIMIT", MEMBERS_LIMIT),
            ("SAMPLE_LIMIT", SAMPLE_LIMIT),
        )
        if f" {name} = {value}," not in header
    ]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (rows_wrong, (PAGE, LIMITS)),
        (limits_not_reached, ({**LIMITS, **OF_THE_SERVER},)),
        (limits_untold, (LIMITS,)),
        (units_wrong, (PAGE,)),
        (server_wrong, (PAGE,)),
        (native_limits_wrong, (HEADER,)),
    ],
)
def test_nothing_is_wrong(wrong: Callable[..., list[str]], told: tuple[Any, ...]) -> None:
    assert wrong(*told) == []


ROW = "| Connections | 384 | fixed |"


@pytest.mark.twin
@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (ROW, "| Connections | 33 | fixed |", "Connections: 33, and the code has 384"),
        (
            "memory | 32 MiB |",
            "memory | 32 KiB |",
            "Different answers that are not read yet, memory: 32 KiB, and the code has 33554432",
        ),
        ("| 250 ms |", "| 250 s |", "Wait for another program's lock: 250 s, and the code has 250000000"),
        ("| 20 % |", "| 2 % |", "Share of a core that answers take: 2 %, and the code has 0.2"),
        (ROW, "| Connections | a few | fixed |", "Connections: a few, and the code has 384"),
        (ROW, "| Clients | 32 | fixed |", "no limit: Clients"),
        (ROW, "| Clients | 32 | fixed |", "no row: Connections"),
        (ROW, f"{ROW} |\n{ROW}", "twice: Connections"),
        (ROW, "| Connections | 32 | |", "Connections: an empty cell"),
        (ROW, "| Connections | 32 | [`quiet`](settings.md#quiet) |", "Connections: whether it can be set"),
        (
            "[`max_line`](settings.md#max_line)",
            "[`max_route`](settings.md#max_route)",
            "Length of a line: [`max_route`](settings.md#max_route), and the code has max_line",
        ),
    ],
)
def test_a_wrong_page_is_noticed(right: str, wrong: str, said: str) -> None:
    assert right in PAGE
    assert said in rows_wrong(PAGE.replace(right, wrong), LIMITS)


@pytest.mark.twin
@pytest.mark.parametrize("at", ["network.http_server:RETRY", "interval"], ids=["a constant", "a setting"])
def test_a_limit_that_nothing_reaches_is_noticed(at: str) -> None:
    assert limits_not_reached({"one": Limit(at)}) == ["one"]


@pytest.mark.twin
@pytest.mark.parametrize("what", ["Length of a line", "Windows of all logs that wait to be written"])
def test_a_limit_that_is_not_told_is_noticed(what: str) -> None:
    others: dict[str, Any] = {each: limit for each, limit in LIMITS.items() if each != what}
    assert limits_untold(others) == [LIMITS[what].at]


@pytest.mark.twin
def test_another_limit_of_the_native_scanner_is_noticed() -> None:
    assert native_limits_wrong(HEADER.replace("DEPTH_LIMIT = 64", "DEPTH_LIMIT = 128")) == ["DEPTH_LIMIT"]


@pytest.mark.twin
def test_another_value_of_the_unit_is_noticed() -> None:
    assert units_wrong(PAGE.replace("| 256M |", "| 512M |")) == ["`MemoryMax=`"] * 2


@pytest.mark.twin
@pytest.mark.parametrize(
    ("right", "wrong"),
    [("| 16 KiB | it", "| 8 KiB | it"), ("| 7 d |", "| 7 h |"), ("to the page | 100", "| 100")],
)
def test_another_limit_of_the_pages_server_is_noticed(right: str, wrong: str) -> None:
    assert right in PAGE
    assert server_wrong(PAGE.replace(right, wrong))
