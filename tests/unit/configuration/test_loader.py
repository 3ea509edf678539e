"""Flags, environment, file and defaults: who wins, and what is said to what is wrong."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from qps_service.configuration import loader
from qps_service.configuration.loader import Flags, load
from qps_service.configuration.settings import LOG, SERVICE, Setting
from qps_service.configuration.types import Config, GangliaConfig, LogConfig, PrometheusConfig
from qps_service.counting.rules import Rule, compile_match, make_rule
from qps_service.errors import ConfigError, UsageError
from qps_service.formats.presets import as_list, compile_format
from qps_service.text.units import SECOND
from qps_service.values.history import History
from tests.promised import Patches, Promise, promises
from tests.unit.fresh import loaded_by, read_a_configuration

DEFAULT = History(keep=15 * 86400 * SECOND, max_size=256 << 20)

Load = Callable[[Flags, Mapping[str, str]], Config]
Write = Callable[[str], Flags]

ONE_LOG = '[log.access]\npath = "/var/log/access.log"\n'


@pytest.fixture(autouse=True)
def no_default_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing that the machine has in /etc or around us matters here."""
    monkeypatch.setattr(loader, "DEFAULT_FILE", str(tmp_path / "default.toml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "default.toml"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a configuration file; the flags that name it."""

    def write_it(text: str) -> Flags:
        (tmp_path / "file.toml").write_text(text)
        return Flags(config="file.toml")

    return write_it


def rule(match: str, name: str) -> Rule:
    return make_rule(compile_match(match), name)


def problems(flags: Flags, environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises((ConfigError, UsageError)) as caught:
        load(flags, environment or {})
    return tuple(str(caught.value).splitlines())


# --- the whole of it


def test_a_log_alone_will_do(tmp_path: Path) -> None:
    assert load(Flags(log="logs/access.log.txt"), {}) == Config(
        interval=10 * SECOND,
        state=None,
        history=DEFAULT,
        logs=(
            LogConfig(
                name="access",
                path=str(tmp_path / "logs/access.log.txt"),
                format=compile_format("auto"),
                start=False,
                max_routes=1000,
                max_route=1024,
                keep_query=False,
                collapse=(),
                max_line=64 * 1024,
                quiet=60 * SECOND,
                open_generations=512,
                rules=(),
                logs=frozenset({str(tmp_path / "logs/access.log.txt")}),
                retired=32 << 20,
            ),
        ),
        source=None,
    )


def test_a_file_with_everything(write: Write) -> None:
    flags = write("""
        interval = 2.5
        state = "/var/lib/x"
        [history]
        keep = 0
        max_size = "1MiB"
        [log.web]
        path = "/var/log/web.log"
        format = '$uri\\t$status'
        start = "start"
        max_routes = 7
        max_route = 32
        query = "keep"
        collapse = ["numeric", "hex"]
        max_line = "1KiB"
        quiet = 5
        open_generations = 3
        [[log.web.route]]
        match = '^/shop/(?P<what>[^/]+)'
        name = '/shop/\\g<what>'
        [[log.web.route]]
        name = "/old"
        match = "^/old/"
        [log.api]
        path = "/var/log/api.log"
    """)
    web = LogConfig(
        name="web",
        path="/var/log/web.log",
        format=compile_format(r"$uri\t$status"),
        start=True,
        max_routes=7,
        max_route=32,
        keep_query=True,
        collapse=("numeric", "hex"),
        max_line=1024,
        quiet=5 * SECOND,
        open_generations=3,
        rules=(rule("^/shop/(?P<what>[^/]+)", r"/shop/\g<what>"), rule("^/old/", "/old")),
        logs=frozenset({"/var/log/api.log", "/var/log/web.log"}),
        retired=128 << 10,
    )
    (alone,) = load(Flags(log="/var/log/api.log"), {}).logs
    api = alone._replace(logs=web.logs, retired=web.retired)
    assert load(flags, {}) == Config(
        2_500_000_000, "/var/lib/x", History(0, 1 << 20), (web, api), "file.toml"
    )


def test_ganglia_is_told_the_interval(write: Write) -> None:
    """A new one makes another output of it."""
    flags = write(f"{ONE_LOG}[output.ganglia]\nport = 1\n")
    [output] = load(flags, {}).outputs
    assert output == GangliaConfig(None, "127.0.0.1", 1, 3600 * SECOND, 10 * SECOND)
    [other] = load(flags._replace(interval="1s"), {}).outputs
    assert other == GangliaConfig(None, "127.0.0.1", 1, 3600 * SECOND, SECOND)


# --- precedence: flag, environment, file, default


class Case(NamedTuple):
    """One thing that has a flag: two values of it, how a file sets it, and how it shows."""

    values: tuple[str, str]
    toml: Callable[[str], str]  # the file with this value in it
    shown: Callable[[Config], object]
    parse: Callable[[str], object]  # a value, as it should show
    default: str | None


VALUES = {
    "interval": ("1s", "2s"),
    "state": ("/1", "/2"),
    "format": ("combined", "$uri $status"),
    "start": ("start", "end"),
}


def _case(setting: Setting) -> Case:
    service = setting in SERVICE
    line = f"{setting.key} = '%s'\n"
    return Case(
        VALUES[setting.key],
        lambda value: line % value + ONE_LOG if service else ONE_LOG + line % value,
        lambda found: getattr(found if service else found.logs[0], setting.key),
        setting.parse,
        setting.default,
    )


CASES = {setting.key: _case(setting) for setting in (*SERVICE, *LOG) if setting.flag} | {
    "log": Case(
        ("/1.log", "/2.log"),
        "[log.a]\npath = '{}'\n".format,
        lambda found: found.logs[0].path,
        str,
        "/no.log",
    ),
    "name": Case(
        ("one", "two"), "[log.{}]\npath = '/no.log'\n".format, lambda found: found.logs[0].name, str, "no"
    ),
}


def check_precedence(load: Load, tmp_path: Path, key: str) -> None:
    """Each source counts where those before it are silent, and only there."""
    file = tmp_path / "file.toml"
    case, variable = CASES[key], f"QPS_REPORTER_{key.upper()}"
    bare = Flags(log="/no.log")
    assert case.shown(load(bare, {})) == (case.parse(case.default) if case.default else None)
    for value, other in (case.values, case.values[::-1]):
        expected = case.parse(value)
        assert case.shown(load(bare._replace(**{key: value}), {})) == expected
        alone = {"QPS_REPORTER_LOG": "/no.log", variable: value}
        assert case.shown(load(bare._replace(log=None), alone)) == expected
        file.write_text(case.toml(value))
        assert case.shown(load(Flags(config=str(file)), {})) == expected
        file.write_text(case.toml(other))
        assert case.shown(load(Flags(config=str(file)), {variable: value})) == expected
        assert case.shown(load(Flags(config=str(file), **{key: value}), {})) == expected
        assert case.shown(load(Flags(config=str(file), **{key: value}), {variable: other})) == expected


def environment_first(flags: Flags, environment: Mapping[str, str]) -> Config:
    named = {key: environment.get(f"QPS_REPORTER_{key.upper()}") for key in CASES}
    return load(flags._replace(**{key: value for key, value in named.items() if value}), environment)


def file_first(flags: Flags, environment: Mapping[str, str]) -> Config:
    return load(Flags(config=flags.config), {}) if flags.config else load(flags, environment)


def without_variables(flags: Flags, environment: Mapping[str, str]) -> Config:
    return load(flags, {key: environment[key] for key in environment if key == "QPS_REPORTER_LOG"})


def test_every_flag_but_config_has_its_precedence_tested() -> None:
    assert CASES.keys() == set(Flags._fields) - {"config"}


def test_precedence_of_the_files(tmp_path: Path, no_default_file: Path) -> None:
    for number, name in enumerate(("flag.toml", "variable.toml", no_default_file.name), start=1):
        (tmp_path / name).write_text(f"interval = {number}\n{ONE_LOG}")
    environment = {"QPS_REPORTER_CONFIG": "variable.toml"}
    assert load(Flags(config="flag.toml"), environment)[:5:4] == (1 * SECOND, "flag.toml")
    assert load(Flags(), environment)[:5:4] == (2 * SECOND, "variable.toml")
    assert load(Flags(), {})[:5:4] == (3 * SECOND, str(no_default_file))
    # Who names a log wants nothing of the machine's configuration.
    assert load(Flags(log="/x.log"), {})[:5:4] == (10 * SECOND, None)


@pytest.mark.parametrize(
    ("file", "environment", "state"),
    [
        ("", {}, None),
        ("", {"STATE_DIRECTORY": "/var/lib/a"}, "/var/lib/a"),
        ("", {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a"),
        ("", {"STATE_DIRECTORY": ""}, None),
        ("state = '/file'", {"STATE_DIRECTORY": "/var/lib/a"}, "/file"),
        ("state = '/file'", {"STATE_DIRECTORY": "/a", "QPS_REPORTER_STATE": "/variable"}, "/variable"),
    ],
)
def test_systemds_state_directory_is_the_default(
    write: Write, file: str, environment: dict[str, str], state: str | None
) -> None:
    assert load(write(f"{file}\n{ONE_LOG}"), environment).state == state


# --- LOG and --name over a file


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"log": "/x.log"}, "LOG"), ({"name": "x"}, "--name"), ({"log": "/x", "name": "x"}, "LOG")],
)
def test_neither_is_for_several_logs(write: Write, changes: dict[str, str], what: str) -> None:
    flags = write(ONE_LOG + "[log.other]\npath = '/other.log'\n")
    for said, environment in (
        (flags._replace(**changes), {}),
        (flags, {f"QPS_REPORTER_{key.upper()}": value for key, value in changes.items()}),
    ):
        with pytest.raises(UsageError) as caught:
            load(said, environment)
        assert str(caught.value) == f"{what} is for one log, the configuration has 2"


def test_nothing_to_follow(no_default_file: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(Flags(), {})
    assert str(caught.value) == f"nothing to follow: name a LOG, or write {no_default_file}"


def test_a_logs_name_is_that_of_its_file() -> None:
    """As far as a name may have such letters, and be as long."""
    paths = ("/var/log/nginx/access.log", "a b!.log", "/", "_x", "größe.log", "/-_.log", "/" + "a" * 300)
    names = [load(Flags(log=path), {}).logs[0].name for path in paths]
    assert names == ["access", "a_b_", "log", "x", "gr__e", "log", "a" * 64]


# --- problems, to the letter

A_NAME = "expected up to 64 letters, digits, and _ . - after the first"
SERVICE_KEYS = "history, interval, log, max_logs, max_rows, output, report, state"
LOG_KEYS = (
    "collapse, format, host, max_line, max_route, max_routes, name, open_generations, path, query, quiet, "
    "route, start, was"
)


# Beside a log that is well.
SERVICE_PROBLEMS: list[tuple[str, list[str]]] = [
    ("interval = 'soon'", ["interval: expected a duration such as 10s, 500ms or 2h, got 'soon'"]),
    ("interval = '1ms'", ["interval: expected from 100ms to 1d, got '1ms'"]),
    ("interval = nan", ["interval: expected a duration such as 10s, 500ms or 2h, got nan"]),
    ("interval = true", ["interval: expected text or a number, got True"]),
    ("state = {}", ["state: expected text or a number, got {}"]),
    ("colour = 1", [f"colour: unknown; expected one of {SERVICE_KEYS}"]),
    ("keep = 1", [f"keep: unknown; expected one of {SERVICE_KEYS}; keep belongs in the table [history]"]),
    ("history = 1", ["history: expected a table, as [history]"]),
    ("[history]\nsize = 1", ["history.size: unknown; expected one of keep, max_size"]),
    ('[history]\nmax_size = "1KiB"', ["history.max_size: expected from 1MiB to 1TiB, got '1KiB'"]),
    (
        "quiet = 1\nb = 2\na = 3",
        [
            f"quiet: unknown; expected one of {SERVICE_KEYS}; quiet belongs in a [log.NAME] table",
            f"b: unknown; expected one of {SERVICE_KEYS}",
            f"a: unknown; expected one of {SERVICE_KEYS}",
        ],
    ),
    (
        "[[route]]\nmatch = 'a'\nname = '/a'",
        [f"route: unknown; expected one of {SERVICE_KEYS}; route belongs in a [log.NAME] table"],
    ),
]
LOG_PROBLEMS: list[tuple[str, list[str]]] = [
    ("log = 'access.log'", ["log: expected tables, as [log.access]"]),
    ("[log]\npath = '/x'", ["log: expected tables, as [log.access]"]),
    ("[log.a]", ["log.a.path: expected a path, got none"]),
    ("[log.a]\npath = ''", ["log.a.path: expected a path, got ''"]),
    ("[log.a]\npath = ['/x']", ["log.a.path: expected text or a number, got ['/x']"]),
    ("[log.a]\npath = '/x'\ninterval = 1", [f"log.a.interval: unknown; expected one of {LOG_KEYS}"]),
    (
        "[log.a]\npath = '/x'\nstart = 'now'\nmax_routes = 1.5",
        [
            "log.a.start: expected start or end, got 'now'",
            "log.a.max_routes: expected a whole number, got 1.5",
        ],
    ),
    ("[log.'a b']\npath = '/x'", [f"log: {A_NAME}, got 'a b'"]),
    ("[log.'']\npath = '/x'", [f"log: {A_NAME}, got ''"]),
    (
        "[log.a]\npath = '/x'\n[log.b]\npath = '/y'\n[log.c]\npath = '/z/../x'",
        ["log: /x is given more than once"],
    ),
    (
        "interval = 0\n[log.b]\nstart = 'now'\n[log.a]\npath = '/x'\nmax_line = 1",
        [
            "interval: expected from 100ms to 1d, got 0",
            "log.b.start: expected start or end, got 'now'",
            "log.b.path: expected a path, got none",
            "log.a.max_line: expected from 256 to 1MiB, got 1",
        ],
    ),
    (
        "[log.a]\npath = '/x'\nname = '{1}'\n[log.b]\npath = '/*.log'\nname = '{2}'\nwas = 'c'\n"
        "[log.d]\npath = '/[z-a]'\n[log.e]\npath = '/?'\nname = 'e'\n"
        "[log.f]\npath = '/%Y-%Q'\n[log.g]\npath = '/*-%Y'\n[log.h]\npath = '/%Q'\n"
        "[log.i]\npath = '/%m/%d'\n",
        [
            "log.a.name: is for a path with wildcards; a log's own name is its table's",
            "log.b.name: expected no more than {1}, got '{2}'",
            "log.b.was: is for one log, and path may match many",
            "log.d.path: expected a range that goes up, as [0-9], got '/[z-a]'",
            "log.e.name: expected a name with {1}, which is what the first wildcard stands for, got 'e'",
            "log.f.path: expected fields of strftime that tell a date or a time, got %Q; %% stands for %",
            "log.g.path: expected wildcards or fields of strftime, got both; write a table for each log",
            "log.i.path: expected fields of strftime that tell one time, with its year, got some that"
            " come round: what is written anew is not told from what is old",
        ],
    ),
]
RULE_A = "match = 'a'\nname = '/a'\n"
# Of a log called a, in what follows its path.
ROUTE_PROBLEMS: list[tuple[str, list[str]]] = [
    ("query = 'both'", ["query: expected drop or keep, got 'both'"]),
    ("collapse = 'hex'", ["collapse: expected a list, as [], got 'hex'"]),
    (
        "collapse = ['hex', 'ids', 7, []]",
        [
            "collapse: expected some of uuid, date, numeric, hex, got 'ids'",
            "collapse: expected some of uuid, date, numeric, hex, got 7",
            "collapse: expected text or a number, got []",
        ],
    ),
    ("route = 'x'", ["route: expected an array of tables, as [[log.a.route]]"]),
    (f"[log.a.route]\n{RULE_A}", ["route: expected an array of tables, as [[log.a.route]]"]),
    (
        "[[log.a.route]]",
        ["route[1].match: expected a value, got none", "route[1].name: expected a value, got none"],
    ),
    (
        f"[[log.a.route]]\n{RULE_A}\n[[log.a.route]]\n{RULE_A}to = 1",
        ["route[2].to: unknown; expected one of match, name"],
    ),
    (
        f"[[log.a.route]]\n{RULE_A}\n[[log.a.route]]\nmatch = 'x('\nname = []",
        [
            "route[2].match: expected a regular expression: missing ), unterminated subpattern "
            "(character 2), got 'x('",
            "route[2].name: expected text or a number, got []",
        ],
    ),
    (
        "[[log.a.route]]\nmatch = '(a)'\nname = '/\\2'\n[[log.a.route]]\nmatch = 'a'\nname = '\\g<x>'",
        [
            r"route[1].name: expected a template: invalid group reference 2 (character 3), got '/\\2'",
            r"route[2].name: expected a template: unknown group name 'x', got '\\g<x>'",
        ],
    ),
    ("[[log.a.route]]\nmatch = ''\nname = ''", ["route[1].name: expected a route, got ''"]),
    (
        f"[[log.a.route]]\nmatch = '^/(\\w+/?)+$'\nname = '/'\n[[log.a.route]]\n{RULE_A}",
        [
            "route[1].match: on routes that repeat 'a' it can take exponential time; write repetition "
            r"that gives nothing back, such as [^/]++ or (?>...), got '^/(\\w+/?)+$'"
        ],
    ),
]
LISTEN = "expected an address and a port, such as 127.0.0.1:9145 or [::1]:9145"
# A name is none: to look it up may take long, and nothing else is done meanwhile.
NO_ADDRESSES = (
    *("localhost:9145", ":9145", "9145", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:+1", "127.0.0.1:"),
    *("::1:9145", "[127.0.0.1]:9145", "[::1:9145", "127.0.0.1:100000000000000000000"),
)
OUTPUT_PROBLEMS = [
    *(("prometheus", "listen", listen, LISTEN) for listen in NO_ADDRESSES),
    *(
        ("textfile", "path", path, "expected a path that ends in .prom")
        for path in ("/t", "/t.prom.txt", "/prom", "/t.PROM")
    ),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((f"{text}\n{ONE_LOG}", expected) for text, expected in SERVICE_PROBLEMS),
        *LOG_PROBLEMS,
        *(
            (f"[log.a]\npath = '/x'\n{text}", [f"log.a.{line}" for line in expected])
            for text, expected in ROUTE_PROBLEMS
        ),
        *(
            (
                f'{ONE_LOG}[output.{output}]\n{key} = "{value}"',
                [f"output.{output}.{key}: {said}, got {value!r}"],
            )
            for output, key, value, said in OUTPUT_PROBLEMS
        ),
    ],
)
def test_problems(write: Write, text: str, expected: list[str]) -> None:
    assert problems(write(text)) == tuple(f"file.toml: {line}" for line in expected)


LISTED = as_list([compile_format(each) for each in ("[$time_local] $uri $status", "json")])


def check_lists(load: Load, write: Write) -> None:
    """Wherever they are set. One that is given alone is no list, and a text may begin like one."""
    texts = ["[$time_local] $uri $status", "json"]
    file = write(f"{ONE_LOG}format = {texts}")
    assert load(file, {}).logs[0].format == LISTED
    assert [each.text for each in load(file._replace(format=texts[::-1]), {}).logs[0].format.listed] == texts[
        ::-1
    ]
    assert load(file._replace(format=["common"]), {}).logs[0].format == compile_format("common")
    for text, expected in (
        (json.dumps(texts), LISTED),
        ('["common"]', compile_format("common")),
        *((each, compile_format(each)) for each in (texts[0], "[1, 2] $uri $status", '["$uri"] $status')),
    ):
        assert load(file, {"QPS_REPORTER_FORMAT": text}).logs[0].format == expected


test_promise, test_twin = promises(
    Promise(
        check_lists,
        load,
        {
            "a variable is one format": Patches((loader, "_listed", str)),
            "what begins like a list is one": Patches((loader, "_listed", lambda text: json.loads(text))),
            "the first alone": lambda flags, environment: load(
                flags if flags.format is None else flags._replace(format=flags.format[0]), environment
            ),
        },
        caught=(ValueError,),
    ),
    *(
        Promise(check_precedence, load, [environment_first, file_first, without_variables], key=key)
        for key in CASES
        if key != "log"
    ),
    Promise(check_precedence, load, [environment_first, file_first], key="log"),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ([], ["format: expected 1 to 8 formats"]),
        (["json"] * 9, ["format: expected 1 to 8 formats"]),
        (["auto", "json"], ["format: expected auto to stand alone: it finds out by itself what lines are"]),
        (
            ["json", 7, "$uri"],
            ["format[2]: expected a format with $names or", "format[3]: the format has no status"],
        ),
        ([["json"]], ["format: expected text or a number, got ['json']"]),
        ("true", ["format: expected text or a number, got True"]),
    ],
)
def test_problems_of_lists(write: Write, text: object, expected: list[str]) -> None:
    found = [line for line in problems(write(f"{ONE_LOG}format = {text}")) if line.startswith("file")]
    starts = [f"file.toml: log.access.{each}" for each in expected]
    assert [line[: len(start)] for line, start in zip(found, starts, strict=True)] == starts


def test_a_wrong_format_shows_the_place(write: Write) -> None:
    """Beside the other problems, wherever it is set."""
    text = (
        "[log.a]\npath = '/x'\nformat = \"\"\"\nlog_format x '$uri '\n\t'$status$';\n\"\"\"\nmax_routes = 1.5"
    )
    name = "expected a name after $ (line 2, character 10)"
    shown = ("  \t'$status$';", "  \t        ^")
    max_routes = "file.toml: log.a.max_routes: expected a whole number, got 1.5"
    assert problems(write(text)) == (f"file.toml: log.a.format: {name}", *shown, max_routes)
    variable = {"QPS_REPORTER_FORMAT": "%U%"}
    said = "expected a directive after % (character 3)"
    assert problems(write(text), variable) == (f"QPS_REPORTER_FORMAT: {said}", "  %U%", "    ^", max_routes)
    flags = write(text)._replace(format="%U%")
    assert problems(flags, variable) == (f"--format: {said}", "  %U%", "    ^", max_routes)


def test_a_problem_is_named_by_where_it_stands(write: Write) -> None:
    flags = write(ONE_LOG + "quiet = 'x'\nstart = 'x'")._replace(interval="x", name="web")
    assert problems(flags, {"QPS_REPORTER_FORMAT": "$", "QPS_REPORTER_START": "y"}) == (
        "--interval: expected a duration such as 10s, 500ms or 2h, got 'x'",
        "QPS_REPORTER_FORMAT: expected a name after $ (character 1)",
        "  $",
        "  ^",
        "QPS_REPORTER_START: expected start or end, got 'y'",
        "file.toml: log.access.quiet: expected a duration such as 10s, 500ms or 2h, got 'x'",
    )
    assert problems(Flags(log="/x", name="a b")) == (f"--name: {A_NAME}, got 'a b'",)
    variable = {"QPS_REPORTER_NAME": "c d"}
    assert problems(Flags(log="/x"), variable) == (f"QPS_REPORTER_NAME: {A_NAME}, got 'c d'",)


def test_files_that_cannot_be_read(write: Write, tmp_path: Path) -> None:
    assert problems(Flags(config="none.toml")) == ("none.toml: No such file or directory",)
    assert problems(Flags(config=str(tmp_path))) == (f"{tmp_path}: Is a directory",)
    assert problems(write("interval = ")) == ("file.toml: Invalid value (at end of document)",)
    twice = "file.toml: the table [log.a] stands there twice, first in line 1 (at line 3, column 7)"
    assert problems(write("[log.a]\npath = '/x'\n[log.a]\npath = '/y'")) == (twice,)
    twice = "file.toml: the table [history] stands there twice, first in line 1 (at line 2, column 9)"
    assert problems(write("[history]\n[history]")) == (twice,)
    (tmp_path / "latin.toml").write_bytes(b"# gr\xf6\xdfe")
    (problem,) = problems(Flags(config="latin.toml"))
    assert problem.startswith("latin.toml: 'utf-8' codec can't decode byte 0xf6 in position 4")


@pytest.mark.parametrize("flags", [Flags(log="/x", interval="soon"), Flags(log="/x", name="a b")])
def test_a_bad_flag_is_a_wrong_command_line(flags: Flags) -> None:
    with pytest.raises(UsageError):
        load(flags, {})
    with pytest.raises(ConfigError):
        load(Flags(log="/x"), {"QPS_REPORTER_INTERVAL": "soon"})


def test_an_empty_variable_is_not_set() -> None:
    assert load(Flags(log="/x"), {"QPS_REPORTER_INTERVAL": ""}).interval == load(Flags(log="/x"), {}).interval


# --- what outputs need


def test_addresses_to_listen_on(write: Write) -> None:
    for host, port in (("127.0.0.1", 9145), ("[::]", 1), ("192.0.2.1", 1)):
        flags = write(f'{ONE_LOG}[output.prometheus]\nlisten = "{host}:{port}"\n')
        assert load(flags, {}).outputs == (PrometheusConfig((host.strip("[]"), port)),)


OUTPUTS_OF_PROMETHEUS = (
    '[output.prometheus]\n[output.textfile]\npath = "/t.prom"\n[output.json]\npath = "/j"\n'
)


def test_a_library_that_is_missing_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f'[log.a]\npath = "/a"\n{OUTPUTS_OF_PROMETHEUS}'
    assert len(load(write(text), {}).outputs) == 3
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    needs = "needs prometheus_client, which is not installed (Debian: python3-prometheus-client)"
    said = tuple(f"file.toml: output.{name}: {needs}" for name in ("prometheus", "textfile"))
    assert problems(write(text)) == said


def test_a_library_is_looked_for_and_not_loaded(tmp_path: Path) -> None:
    """Before an output is made, it costs nothing."""
    (tmp_path / "a.toml").write_text(f'[log.a]\npath = "/a"\n{OUTPUTS_OF_PROMETHEUS}')
    loaded = loaded_by(read_a_configuration, str(tmp_path / "a.toml"))
    assert not loaded & {"prometheus_client", "http", "socket", "gzip"}
    assert not [name for name in loaded if name.startswith("qps_service.outputs.prometheus")]
    assert "qps_service.configuration.outputs" in loaded
