"""The rooms of ARCHITECTURE.md: what each may import, which are pure, and who touches the disk.

The table there is read, not repeated: `| room | what it is | may import | pure |`.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import qps_service

ROOT = Path(qps_service.__file__).parent
PAGE = (ROOT.parent / "ARCHITECTURE.md").read_text()
HEAD = "| room | what it is | may import | pure |\n|---|---|---|---|\n"

# What pure rooms may import of Python; `time` and `os` to write times down and to split paths alone.
PURE_IMPORTS = {
    *("array", "bisect", "calendar", "collections", "csv", "datetime", "difflib", "enum", "errno", "fnmatch"),
    *("functools", "getopt", "io", "itertools", "json", "math", "re", "shlex", "textwrap", "types"),
    *("typing", "unicodedata", "syslog", "time", "os", "warnings", "zoneinfo", "qps_service"),
}
PURE_USES = {
    "time": {"ctime", "gmtime", "strftime"},
    "datetime": {"fromisoformat", "fromtimestamp"},
    "os": {"path"},
}

# Who opens what is not a log that is followed: the configuration, gmond's, the lock, the watched directory,
# the simulator's own log, the ledger, what `summarize` is given, reports as JSON, node_exporter's file, other
# servers' configuration and the file that is made of it.
# process.py and own_user.py read their own pipes, and process.py opens what stands for closed streams.
OPENERS = {
    *("files.kernel", "files.whole", "configuration.sources", "configuration.toml_file"),
    *("configuration.setup_file", "following.watcher", "ledger.database", "service.state_directory"),
    *("service.process", "service.other_runs", "service.own_user", "simulation.log_file"),
    *("commands.simulate", "commands.setup", "web.assets"),
    *("outputs.ganglia.gmond_conf", "outputs.json_lines", "outputs.textfile"),
}
OPENING = {
    *("open", "pread", "read", "readv", "fdopen", "stat", "lstat", "fstat", "listdir", "scandir", "sendfile"),
}

Sources = Mapping[str, str]  # by the module's name below qps_service
Check = Callable[[Sources, str], None]


class Room(NamedTuple):
    """A row of the table."""

    imports: tuple[str, ...]  # rooms, or modules of rooms of which the rest is not meant
    is_pure: bool


def rooms(page: str) -> dict[str, Room]:
    """The table, in its order."""
    _, found, rest = page.partition(HEAD)
    assert found, "expected the table of rooms"
    table = {}
    for row in rest.partition("\n\n")[0].splitlines():
        name, _, imports, pure = (cell.strip() for cell in row.strip("|").split("|"))
        table[name.strip("`")] = Room(tuple(re.findall(r"`([\w.]+)`", imports)), pure == "pure")
    return table


def reach(table: Mapping[str, Room]) -> dict[str, set[str]]:
    """What each room may import in all: what its row names, and what those may. Rows name earlier rows."""
    reached: dict[str, set[str]] = {}
    for name, room in table.items():
        for each in room.imports:
            assert each.partition(".")[0] in reached, f"{name} names {each}, which does not stand above it"
        reached[name] = {*room.imports}.union(*(reached[each] for each in room.imports if each in reached))
    return reached


def sources() -> dict[str, str]:
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


@cache
def nodes_of(source: str) -> list[ast.AST]:
    return [*ast.walk(ast.parse(source))]


def absolute_imports(source: str) -> Iterator[str]:
    for node in nodes_of(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "expected absolute imports, got a relative one"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(source: str, modules: Sources) -> set[str]:
    """The modules of qps_service, without that prefix, which `source` imports; "" is qps_service itself."""
    found = set()
    for name in absolute_imports(source):
        package, _, rest = name.partition(".")
        if package == "qps_service":
            # What is no module is a name in one.
            found.add(rest if rest in modules else rest.rpartition(".")[0])
    return found


def check_rooms(modules: Sources, page: str) -> None:
    """Everybody imports what the table allows, and nobody in a circle."""
    table = rooms(page)
    reached = reach(table)
    imports = {module: own_imports(source, modules) for module, source in modules.items()}
    for module, imported in imports.items():
        room = module.partition(".")[0]
        assert room in table or not module, f"{module} stands in no room"
        permitted = {room} | reached.get(room, set())
        for each in imported - {""}:
            assert permitted & {each, each.partition(".")[0]}, f"{module} imports {each}"
    assert set(table) == {module.partition(".")[0] for module in modules} - {""}, "rooms that are not there"
    TopologicalSorter({module: imported - {module} for module, imported in imports.items()}).prepare()


def check_pure(modules: Sources, page: str) -> None:
    """Bytes and values in, values out."""
    pure = {name for name, room in rooms(page).items() if room.is_pure}
    for module, source in modules.items():
        if module.partition(".")[0] not in pure:
            continue
        for name in absolute_imports(source):
            assert name.partition(".")[0] in PURE_IMPORTS, f"{module} imports {name}"
        for node in nodes_of(source):
            match node:
                case ast.Attribute(value=ast.Name(id=used), attr=name) if used in PURE_USES:
                    assert name in PURE_USES[used], f"{module} uses {used}.{name}"
                case ast.Call(func=ast.Name(id="open" | "print" | "input" as called)):
                    raise AssertionError(f"{module} calls {called}")


def calls_of_the_disk(source: str) -> Iterator[str]:
    for node in nodes_of(source):
        match node:
            case ast.Call(func=ast.Name(id="open")):
                yield "open"
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in OPENING:
                yield f"os.{name}"
            case ast.ImportFrom(module="os" | "io" | "pathlib" | "shutil" as module):
                yield module


def check_disk(modules: Sources, page: str) -> None:
    """Logs are touched in one place."""
    allowed = {
        "commands.check": {"os.fdopen"},  # a pipe of its own
        "commands.top": {"os.open"},  # the terminal, for keys
        "outputs.journal": {"os.fstat"},  # of stdout and stderr
        "outputs.stdout": {"os.fstat"},  # of stdout
        "network.http_exchange": {"io"},  # bytes in memory
    }
    assert OPENERS | allowed.keys() <= modules.keys(), "modules that are not there"
    for module in modules.keys() - OPENERS:
        surplus = set(calls_of_the_disk(modules[module])) - allowed.get(module, set())
        assert not surplus, f"{module} uses {sorted(surplus)}"


@pytest.mark.parametrize("check", [check_rooms, check_pure, check_disk])
def test_the_house(check: Check) -> None:
    check(sources(), PAGE)


def test_there_is_nothing_but_rooms() -> None:
    beside = {path.name for path in ROOT.iterdir() if not path.is_dir()}
    assert beside == {"__init__.py", "__main__.py", "cli.py", "errors.py"}


TWINS: dict[str, tuple[Check, str, str]] = {  # check, module, what is added to it
    "upwards": (check_rooms, "values.counts", "from qps_service.configuration.loader import load"),
    "a plain import": (check_rooms, "values.counts", "import qps_service.cli"),
    "of a room": (check_rooms, "values.counts", "from qps_service import outputs"),
    "of a module": (check_rooms, "values.counts", "from qps_service.service import daemon"),
    "in a function": (check_rooms, "formats.line", "def f():\n  from qps_service.files import kernel"),
    "of a command": (check_rooms, "service.daemon", "from qps_service.commands.run import run"),
    "of the command line": (check_rooms, "commands.run", "from qps_service.cli import main"),
    "relative": (check_rooms, "values.counts", "from .positions import Position"),
    "no room": (check_rooms, "helper", ""),
    "of a neighbour": (check_rooms, "following.follower", "from qps_service.ledger.ledger import Ledger"),
    "of more than the types": (
        check_rooms,
        "outputs.stdout",
        "from qps_service.configuration import settings",
    ),
    "of what others may": (check_rooms, "outputs.stdout", "from qps_service.formats import line"),
    "in a circle": (check_rooms, "following.generation", "import qps_service.following.follower"),
    "a socket": (check_pure, "values.counts", "import socket"),
    "another clock": (check_pure, "reporting.schedule", "now = datetime.now()"),
    "the clock": (check_pure, "reporting.report", "now = time.time()"),
    "a look at the disk": (check_pure, "formats.line", "os.stat('x')"),
    "a file": (check_pure, "counting.aggregator", "open('x')"),
    "a logger": (check_pure, "formats.line", "import logging"),
    "open": (check_disk, "following.follower", "open('x')"),
    "read": (check_disk, "following.generation", "os.pread(1, 2, 3)"),
    "list": (check_disk, "following.discovery", "look = os.listdir"),
    "pathlib": (check_disk, "following.announcer", "from pathlib import Path"),
}


@pytest.mark.twin
@pytest.mark.parametrize("twin", TWINS)
def test_what_is_forbidden_is_caught(twin: str) -> None:
    check, module, forbidden = TWINS[twin]
    modules = sources()
    modules[module] = f"{modules.get(module, '')}\n{forbidden}\n"
    with pytest.raises((AssertionError, CycleError)):
        check(modules, PAGE)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("| `files` | log files", "| `file` | log files"),
        ("`files` `notices` | |", "`notices` | |"),
        ("stops and kills | `files`", "stops and kills | `service`"),
        ("| `errors` `values` `files.compression` | pure |", "| `errors` `values` | pure |"),
    ],
)
def test_another_table_is_noticed(right: str, wrong: str) -> None:
    assert PAGE.count(right) == 1
    with pytest.raises((AssertionError, KeyError)):
        check_rooms(sources(), PAGE.replace(right, wrong))
