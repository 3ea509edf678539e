"""Imports go one way, from pure values to the command line; only files.py touches logs."""

import ast
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import qps_service

ROOT = Path(qps_service.__file__).parent

# Each module may import from the layers before its own, and from its own as long as there is no cycle.
# A name stands for the modules below it too; "" is qps_service/__init__.py.
LAYERS = (
    (
        *("", "errors", "caret", "model", "escape", "units", "notices", "times"),
        *("layout", "spelled", "nginx", "apache", "jsonlines", "logformat"),
    ),
    (
        *("members", "line", "_scan_py", "detect", "explaining", "fingerprint", "remembered", "routes"),
        *("admission", "aggregator", "grid", "rotation", "report", "summary"),
    ),
    ("readers", "settings", "configured", "config"),
    (
        *("scan", "choosing"),
        *("files", "watcher", "packed", "sources", "generations", "judging", "siblings", "places"),
        *("opening", "held", "voice", "follower", "descriptors"),
        *("schema", "rows", "database", "ledger", "history", "pending", "books", "audit"),
        *("outputs", "systemd", "state", "process", "simulator", "simulated_log", "whole", "progress"),
    ),
    ("tail",),
    ("logs",),
    ("daemon",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
# Bytes and values in, values out. `time` and `os` are there to write times down and to split paths alone.
PURE = LAYERS[0] + LAYERS[1]
PURE_IMPORTS = {
    *(
        "calendar",
        "collections",
        "csv",
        "enum",
        "io",
        "itertools",
        "json",
        "re",
        "textwrap",
        "types",
        "typing",
    ),
    *("unicodedata", "syslog", "time", "os", "zlib", "warnings"),
    "qps_service",
}
PURE_USES = {"time": {"ctime", "gmtime", "strftime"}, "os": {"path"}}

# Who opens what is not a log that is followed: the configuration, gmond's, the lock, the watched directory,
# the simulator's own log, the ledger, what `summarize` is given, reports as JSON, node_exporter's file.
# process.py reads its own pipe.
OPENERS = {
    *(
        "files",
        "config",
        "state",
        "watcher",
        "simulated_log",
        "commands.simulate",
        "process",
        "database",
        "whole",
        "outputs.gmond_conf",
        "outputs.reports_json",
        "outputs.textfile",
    ),
}
OPENING = {
    "open",
    "pread",
    "read",
    "readv",
    "fdopen",
    "stat",
    "lstat",
    "fstat",
    "listdir",
    "scandir",
    "sendfile",
}

Sources = Mapping[str, str]  # by the module's name below qps_service


def sources() -> dict[str, str]:
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


def layer_of(module: str) -> int:
    family = module.partition(".")[0]
    layers = [number for number, names in enumerate(LAYERS) if family in names]
    assert len(layers) == 1, f"{module} stands in {len(layers)} layers, expected one"
    return layers[0]


def nodes_of(source: str) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(source))


def absolute_imports(source: str) -> Iterator[str]:
    for node in nodes_of(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "expected absolute imports, got a relative one"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(source: str, modules: Sources) -> set[str]:
    """The modules of qps_service, without that prefix, which `source` imports."""
    found = set()
    for name in absolute_imports(source):
        package, _, rest = name.partition(".")
        if package == "qps_service":
            # What is no module is a name in one.
            found.add(rest if rest in modules else rest.rpartition(".")[0])
    return found


def check_one_way(modules: Sources) -> None:
    imports = {module: own_imports(source, modules) for module, source in modules.items()}
    for module, imported in imports.items():
        layer = layer_of(module)
        for each in imported:
            assert layer_of(each) <= layer, f"{module} imports {each}"
    TopologicalSorter(imports).prepare()


def check_pure(modules: Sources) -> None:
    for module in PURE:
        for name in absolute_imports(modules[module]):
            assert name.partition(".")[0] in PURE_IMPORTS, f"{module} imports {name}"
        for node in nodes_of(modules[module]):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id in PURE_USES
            ):
                assert node.attr in PURE_USES[node.value.id], f"{module} uses {node.value.id}.{node.attr}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"open", "print", "input"}, f"{module} calls {node.func.id}"


def calls_of_the_disk(source: str) -> Iterator[str]:
    for node in nodes_of(source):
        match node:
            case ast.Call(func=ast.Name(id="open")):
                yield "open"
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in OPENING:
                yield f"os.{name}"
            case ast.ImportFrom(module="os" | "io" | "pathlib" | "shutil" as module):
                yield module


def check_only_files_touches_logs(modules: Sources) -> None:
    allowed = {
        "commands.check": {"os.fdopen"},  # a pipe of its own
        "outputs.journal": {"os.fstat"},  # of stdout and stderr
        "outputs.exchange": {"io"},  # bytes in memory
    }
    for module in modules.keys() - OPENERS:
        surplus = set(calls_of_the_disk(modules[module])) - allowed.get(module, set())
        assert not surplus, f"{module} uses {sorted(surplus)}"


def test_imports_go_one_way() -> None:
    check_one_way(sources())


def test_the_core_is_pure() -> None:
    check_pure(sources())


def test_only_files_touches_logs() -> None:
    check_only_files_touches_logs(sources())


@pytest.mark.twin
@pytest.mark.parametrize(
    ("check", "module", "forbidden"),
    [
        pytest.param(check_one_way, "model", "from qps_service.config import load", id="a layer above"),
        pytest.param(check_one_way, "model", "import qps_service.cli", id="a plain import"),
        pytest.param(check_one_way, "model", "from qps_service import daemon", id="from the package"),
        pytest.param(
            check_one_way, "rotation", "def f():\n  from qps_service import files", id="inside a function"
        ),
        pytest.param(
            check_one_way, "tail", "from qps_service.commands.run import run", id="a module of a package"
        ),
        pytest.param(
            check_one_way, "commands.run", "from qps_service.cli import main", id="the command line"
        ),
        pytest.param(check_one_way, "model", "from .config import load", id="a relative import"),
        pytest.param(check_one_way, "helper", "", id="a module in no layer"),
        pytest.param(check_pure, "model", "import socket", id="a socket"),
        pytest.param(check_pure, "grid", "from datetime import datetime", id="another clock"),
        pytest.param(check_pure, "report", "now = time.time()", id="the clock"),
        pytest.param(check_pure, "rotation", "os.stat('x')", id="a look at the disk"),
        pytest.param(check_pure, "aggregator", "open('x')", id="a file"),
        pytest.param(check_pure, "line", "import logging", id="a logger"),
        pytest.param(check_only_files_touches_logs, "follower", "open('x')", id="open"),
        pytest.param(check_only_files_touches_logs, "generations", "os.pread(1, 2, 3)", id="read"),
        pytest.param(check_only_files_touches_logs, "siblings", "look = os.listdir", id="list"),
        pytest.param(check_only_files_touches_logs, "voice", "from pathlib import Path", id="pathlib"),
    ],
)
def test_what_is_forbidden_is_caught(check: Callable[[Sources], None], module: str, forbidden: str) -> None:
    twin = sources()
    twin[module] = twin.get(module, "") + "\n" + forbidden + "\n"
    with pytest.raises(AssertionError):
        check(twin)


@pytest.mark.twin
def test_a_cycle_within_a_layer_is_caught() -> None:
    twin = sources()
    twin["generations"] += "\nfrom qps_service.follower import Follower\n"
    with pytest.raises(CycleError):
        check_one_way(twin)
