"""The configuration's files as one: their order, what is set twice and where, hints for missing quotes."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from qps_service.configuration import loader, sources, toml_file
from qps_service.configuration.loader import Flags, load
from qps_service.configuration.toml_file import TomlFile, quoted
from qps_service.errors import ConfigError
from tests.promised import Patches, Promise, answers, cases, promises

LOG = '[log.{0}]\npath = "/var/log/{0}.log"\n'
A, B = LOG.format("a"), LOG.format("b")


def lay(root: Path, files: Mapping[str, str], main: str = "qps-reporter.toml") -> Flags:
    """Write them; those that have no directory into conf.d."""
    (root / "conf.d").mkdir(exist_ok=True)
    for name, text in files.items():
        (root / (name if name == main else f"conf.d/{name}")).write_text(text)
    return Flags(config=str(root / main))


def problems(root: Path, files: Mapping[str, str]) -> list[str]:
    """Without the directory."""
    with pytest.raises(ConfigError) as caught:
        load(lay(root, files), {})
    return [problem.replace(f"{root}/", "") for problem in caught.value.problems]


# --- which files, and in which order


def check_order(tmp_path: Path) -> None:
    files = {
        "qps-reporter.toml": f'interval = "1s"\n{A}',
        "9.toml": "[log.nine]\npath = '/9'\n",
        "10.toml": "[log.ten]\npath = '/10'\n[output.json]\npath = '/out/x'\n[history]\nkeep = 0\n",
        "Z.toml": "max_rows = 5000\n",
        **dict.fromkeys((".hidden.toml", "x.toml.dpkg-dist", "x.toml~", "toml", "x.conf"), "?"),
    }
    config = load(lay(tmp_path, files), {})
    assert [log.name for log in config.logs] == ["a", "ten", "nine"]
    assert (config.interval, config.max_rows, config.history.keep) == (10**9, 5000, 0)
    names = [os.path.basename(each.path) for each in config.fragments]
    assert names == ["10.toml", "9.toml", "Z.toml"]
    places = ("interval", "log.ten.path", "log.tent", "output.json.path", "history.keep", "max_rows")
    found = [os.path.basename(config.file_of(each) or "") for each in places]
    assert found == ["qps-reporter.toml", "10.toml", "qps-reporter.toml", "10.toml", "10.toml", "Z.toml"]


def check_a_file_of_another_name_stands_alone(tmp_path: Path) -> None:
    """As that of an instance does, which stands in the same directory."""
    config = load(lay(tmp_path, {"shop.toml": A, "10.toml": B}, main="shop.toml"), {})
    assert [log.name for log in config.logs] == ["a"]
    assert config.fragments == ()


def test_without_the_directory_there_is_no_more(tmp_path: Path) -> None:
    flags = lay(tmp_path, {"qps-reporter.toml": A})
    (tmp_path / "conf.d").rmdir()
    assert load(flags, {}).fragments == ()
    (tmp_path / "conf.d").touch()
    with pytest.raises(ConfigError, match=r"conf\.d: Not a directory$"):
        load(flags, {})


def check_the_built_in_log(tmp_path: Path) -> None:
    """It is there where no file names one, and gone where one does."""
    (log,) = load(lay(tmp_path, {"qps-reporter.toml": "", "1.toml": "interval = 1\n"}), {}).logs
    assert (log.name, log.path) == ("access", "/var/log/access.log")
    (log,) = load(lay(tmp_path, {"1.toml": A}), {}).logs
    assert log.name == "a"
    (log,) = load(Flags(config=str(tmp_path / "qps-reporter.toml"), log="/x/y.log"), {}).logs
    assert (log.name, log.path) == ("a", "/x/y.log")


# --- what is set twice

ACCESS = "# a comment\n\n[log.access]\npath = '/a'\nformat = '''\n$uri\n[log.x]\n$status'''\n"
TWICE: tuple[tuple[dict[str, str], list[str]], ...] = (
    (
        {"qps-reporter.toml": ACCESS, "1.toml": "\n\n[log.b]\npath='/b'\n[log.access]\npath = '/c'\n"},
        ["conf.d/1.toml, line 5: the table [log.access] is set in qps-reporter.toml, line 3, too"],
    ),
    (
        {
            "qps-reporter.toml": "#\ninterval = '''\n1s'''\n",
            "1.toml": A,
            "2.toml": 'max_rows = 2000\n"interval" = 2\n',
        },
        ["conf.d/2.toml, line 2: interval is set in qps-reporter.toml, line 2, too"],
    ),
    (
        {"1.toml": "[history]\nkeep = 0\n", "2.toml": A + "[history]\nmax_size = '2MiB'\n"},
        ["conf.d/2.toml, line 3: the table [history] is set in conf.d/1.toml, line 1, too"],
    ),
    (
        {"1.toml": A, "2.toml": "#\n[[log.a.route]]\nmatch = 'x'\nname = 'y'\n"},
        ["conf.d/2.toml, line 2: the table [log.a] is set in conf.d/1.toml, line 1, too"],
    ),
    (
        {"1.toml": "log = 1\n", "2.toml": A},
        ["conf.d/2.toml, line 1: the table [log.a] is set in conf.d/1.toml, line 1, too"],
    ),
    (
        {"1.toml": "[log.a", "2.toml": "interval = 'x", "3.toml": "[[output.json]]\n"},
        [
            "conf.d/1.toml: Expected ']' at the end of a table declaration (at end of document)",
            'conf.d/2.toml: Expected "\'" (at end of document); line 1: close the quote: interval = "x"',
        ],
    ),
    (
        {"1.toml": "[log.a]\npath = '/x'\n\npath = [\n '/y'\n]\n"},
        ["conf.d/1.toml: path stands there twice, first in line 2 (at line 6, column 2)"],
    ),
    (
        {"1.toml": "interval = 1\nlog.a.path = '/x'\n# more\nlog.a.path = '/y'\n"},
        ["conf.d/1.toml: log.a.path stands there twice, first in line 2 (at line 4, column 18)"],
    ),
)


def check_twice(tmp_path: Path, case: tuple[Mapping[str, str], list[str]]) -> None:
    """Both places are named, and all that is wrong at once."""
    files, expected = case
    assert [each.partition(" (at")[0] for each in problems(tmp_path, {"qps-reporter.toml": "", **files})] == [
        each.partition(" (at")[0] for each in expected
    ]


def check_a_problem_names_its_file(tmp_path: Path) -> None:
    files = {
        "qps-reporter.toml": "interval = 0\n",
        "1.toml": A + "start = 'now'\n",
        "2.toml": "bad = 1\n[log.b]\n",
    }
    assert [each.partition(":")[0] for each in problems(tmp_path, files)] == [
        *("conf.d/2.toml", "qps-reporter.toml", "conf.d/1.toml", "conf.d/2.toml")
    ]


def test_many_lines_are_no_trouble() -> None:
    text = "".join(f"[log.a{number}]\npath = '/{number}'\n" for number in range(1000))
    file = TomlFile("x", text, {})
    assert (file.line_of(("log", "a0")), file.line_of(("log", "a999"))) == (1, 1999)


# --- quotes

HINTS = (
    ("path = /var/log/x", 'put it in quotes: path = "/var/log/x"'),
    ("path = /var/log/x  # the log", 'put it in quotes: path = "/var/log/x"'),
    ("interval = 10s", 'put it in quotes: interval = "10s"'),
    ("format = combined", 'put it in quotes: format = "combined"'),
    (
        'format = $remote_addr "$request" $status',
        "put it in quotes: format = '$remote_addr \"$request\" $status'",
    ),
    ("format = %h '%r' \"x\" %s", "put it in quotes: format = '''%h '%r' \"x\" %s'''"),
    ("collapse = [numeric, uuid]", 'put each word in quotes: collapse = ["numeric", "uuid"]'),
    ('match = "^/\\d+"', "put it in other quotes: match = '^/\\d+'"),
    ('format = "$a "$request" $status"', "put it in other quotes: format = '$a \"$request\" $status'"),
    ('path = "/var/log/x', 'close the quote: path = "/var/log/x"'),
    ("path = '/var/log/x", 'line 2: close the quote: path = "/var/log/x"'),
    ("path =", None),
    ("[log.a", None),
)


def check_hint(tmp_path: Path, case: tuple[str, str | None]) -> None:
    """What is wrong has its line, and the hint is TOML that says what was meant."""
    line, hint = case
    (problem,) = problems(tmp_path, {"qps-reporter.toml": f"# first\n{line}\n"})
    _, _, said = problem.partition("; ")
    assert said == (hint or ""), problem
    assert hint is None or "line 2" in problem
    if hint:
        assert toml_file._table(hint.rpartition(": ")[2]) is not None


@pytest.mark.parametrize(
    "text", ["/x", 'a"b', "a'b\"c", "'''\"", "\\", "tab\t", "new\nline", "\x00\x7f", "'end'\"'"]
)
def test_quotes_leave_a_text_as_it_is(text: str) -> None:
    assert toml_file._table(f"x = {quoted(text)}") == {"x": text}


# --- a name that was another

WAS = '[log.{}]\npath = "/{}"\nwas = "{}"\n'


def test_a_former_name(tmp_path: Path) -> None:
    (log,) = load(lay(tmp_path, {"qps-reporter.toml": WAS.format("new", "x", "old")}), {}).logs
    assert log.was == "old"
    wrong = "".join(WAS.format(*each.split()) for each in ("a x b", "b y b", "c z d", "e u d"))
    now = "expected a name that no log has now, got 'b'"
    more = "expected a name that one log had, got 'd' more than once"
    assert problems(tmp_path, {"qps-reporter.toml": wrong}) == [
        f"qps-reporter.toml: log.{name}.was: {text}"
        for name, text in (("a", now), ("b", now), ("c", more), ("e", more))
    ]


read_all = sources.fragments_of
FIRST = Patches((loader, "file_of", lambda _, source, __: source))
OUT_OF_ORDER = Patches((sources, "fragments_of", lambda path: read_all(path)[::-1]))
EVERY_FILE = Patches((sources, "directory_of", lambda path: f"{os.path.dirname(path)}/conf.d"))
LAST_WINS = {"the last one wins": answers(sources, "_owner")}
BESIDE = Patches((loader._Loader, "_log_tables", lambda *_: [*loader.BUILT_IN.items()]))
AT_THE_END = {"its end": Patches((toml_file, "_whole", lambda _, most: most))}
NO_HINT = {"none": answers(toml_file, "_hint")}

test_promise, test_twin = promises(
    {
        check_order: {"another one": OUT_OF_ORDER},
        check_a_file_of_another_name_stands_alone: {"every file": EVERY_FILE},
        check_the_built_in_log: {"beside others": BESIDE},
        check_a_problem_names_its_file: {"the first": FIRST},
    },
    *cases(check_twice, TWICE, lambda case: LAST_WINS if " is set in " in case[1][0] else {}, (TypeError,)),
    Promise(check_twice, None, AT_THE_END, case=TWICE[1]),
    *cases(check_hint, HINTS, lambda case: NO_HINT if case[1] else {}),
)
