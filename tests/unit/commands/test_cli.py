"""The command line: exit statuses, help that is true, and imports that stay small."""

import argparse
import gc
import json
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from types import SimpleNamespace

import pytest

from qps_service import __version__, cli, commands, errors
from qps_service.cli import COMMANDS, EPILOG, columns, main, make_parser
from qps_service.errors import EXITS, ConfigError, FormatError, QpsError, StateHeldError, UsageError
from qps_service.scanning.built import describe
from qps_service.text.escape import show
from tests.promised import Patches, Promise, nothing, promises

ROOT = Path(__file__).parents[3]
Captured = pytest.CaptureFixture[str]


def ending(monkeypatch: pytest.MonkeyPatch, outcome: BaseException | int) -> int:
    """The exit status of a command that returns this, or raises it."""

    def run(_arguments: argparse.Namespace) -> int:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    made = argparse.ArgumentParser()
    made.set_defaults(run=run)
    monkeypatch.setattr(cli, "make_parser", lambda *_, **__: made)
    return main([])


@pytest.mark.parametrize(
    ("outcome", "status", "said"),
    [
        (0, 0, ""),
        (1, 1, ""),
        (QpsError("it is so"), 1, "qps-reporter: it is so\n"),
        (ConfigError(["one", "two"]), 1, "qps-reporter: one\nqps-reporter: two\n"),
        (
            FormatError("$", 0, "expected x"),
            1,
            "qps-reporter: expected x (character 1)\nqps-reporter:   $\nqps-reporter:   ^\n",
        ),
        (OSError(28, "No space left"), 1, "qps-reporter: [Errno 28] No space left\n"),
        (UsageError("what?"), 2, "qps-reporter: what?\n"),
        (StateHeldError("/state", 42), 3, "qps-reporter: the ledger in /state is held by PID 42\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_each_end_has_its_status(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, outcome: BaseException | int, status: int, said: str
) -> None:
    assert ending(monkeypatch, outcome) == status
    assert capsys.readouterr() == ("", said)


def check_one_table(statuses: Mapping[int, str], epilogs: Mapping[str, str]) -> None:
    """Each status means one thing, whatever command ends with it, and no command names another."""
    named = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert named == statuses.keys()
    assert all(isinstance(text, str) and len(text) > 5 for text in statuses.values())
    for command, epilog in epilogs.items():
        _, found, told = " ".join(epilog.split()).partition("Exits ")
        numbers = {int(number) for number in re.findall(r"(?<![\w-])\d+(?= (?:if|after)\b|,)", told)}
        assert numbers <= named, command
        assert not found or 0 in numbers, command


EPILOGS = {name: import_module(f"qps_service.commands.{name}").EPILOG for name in COMMANDS}


def test_a_fault_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        ending(monkeypatch, ZeroDivisionError())


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["run", "--fly"], ["run", "a", "b"], ["check", "--config"], ["simulate"]]
)
def test_a_wrong_command_line_is_2(words: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: qps-reporter")


def check_closed(main: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    """As the interpreter has streams that are closed: `>&-`."""
    monkeypatch.setattr(cli, "_finish", lambda: None)
    monkeypatch.setattr(sys, "argv", ["qps-reporter", "explain", "--format", "%U %>s", "/help 200"])
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        patch.setattr(sys, "stderr", None)
        assert main() == 0
        sys.stdout.close()
        sys.stderr.close()


def check_encoding(main: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A route that the locale has no characters for is told all the same, for programs as it is."""
    monkeypatch.setattr(cli, "_finish", lambda: None)
    route = "/\u65e5\U0001f600\\u65e5"
    for output in ("table", "json"):
        monkeypatch.setattr(
            sys, "argv", ["", "explain", "--format", "%U %>s", f"{route} 200", "--output", output]
        )
        with monkeypatch.context() as patch:
            printed = BytesIO()
            patch.setattr(sys, "stdout", TextIOWrapper(printed, encoding="iso8859-1"))
            assert main() == 0
            told = printed.getvalue().decode("ascii")
        if output == "json":
            (line,) = json.loads(told)
            assert line["route"] == show(route.encode())
        else:
            assert "/\\u65e5\\ud83d\\ude00\\\\u65e5" in told


def test_the_status_is_told_though_nobody_reads_the_answer() -> None:
    """As with `| head -0`: the real program, to its end."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "qps_service", "summarize", "--format", "default", "/dev/null"]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


AS_THEY_ARE = {"as they are": lambda: main(sys.argv[1:])}


def test_the_version(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"qps-reporter {__version__} ({describe(os.environ)})\n"


def test_the_table_of_subcommands_is_complete() -> None:
    modules = {module.name for module in pkgutil.iter_modules(commands.__path__)}
    # The others are parts of these.
    assert sorted(COMMANDS) == sorted(modules - {"hosts", "progress", "reading", "terminal"})


def help_of(*words: str) -> str:
    with redirect_stdout(StringIO()) as told, pytest.raises(SystemExit) as caught:
        main([*words, "--help"])
    assert caught.value.code == 0
    return told.getvalue()


def try_examples(text: str, name: str) -> None:
    """There are examples of `name`, and each is a command line that the parser takes."""
    _, heading, examples = text.partition("examples:\n")
    lines = re.findall(r"^  (qps-reporter (?:[^|&\s]|\s(?!\s))+)", examples, re.MULTILINE)
    assert heading
    assert any(line.startswith(f"qps-reporter {name}") for line in lines)
    parser = make_parser()
    for line in lines:
        try:
            parser.parse_args(shlex.split(line)[1:])
        except SystemExit:
            pytest.fail(f"{line!r} is no command line")


def check_examples(change: Callable[[str], str], name: str) -> None:
    """In the help of each subcommand, as it is."""
    try_examples(change(help_of(name)), name)


CHANGES: dict[str, Callable[[str], str]] = {
    "no such options": lambda text: text.replace(" --", " --no-such-"),
    "no heading": lambda text: text.replace("examples:", ""),
    "no examples": lambda text: text.partition("examples:")[0],
}


def test_the_main_help_names_each_subcommand_and_has_examples_that_work() -> None:
    text = help_of()
    assert EPILOG in text
    for name in COMMANDS:
        try_examples(text, name)


def check_imports(program: str, name: str) -> None:
    """A subcommand imports no other one, and `simulate` and --help nothing of the service."""
    command = [sys.executable, "-m", "tests.unit.commands.programs", program, name, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    modules = set(done.stderr.split())
    others = {f"qps_service.commands.{other}" for other in COMMANDS if other != name}
    assert f"qps_service.commands.{name}" in modules
    assert not modules & others
    assert not any(module.partition(".")[0] == "systemd" for module in modules)
    if name == "simulate":
        assert not modules & {"qps_service.service.daemon", "inotify_simple", "ctypes"}


BASE = {"cli", "errors", "service", "text"}
COUNT = BASE | {
    "commands",
    "configuration",
    "counting",
    "files",
    "formats",
    "reporting",
    "scanning",
    "values",
}
# For each command line the rooms that it needs; none of these may load any of NEEDLESS.
LIGHT = {
    "--help": BASE,
    "--version": BASE | {"scanning"},
    "summarize LOG": COUNT,
    "run LOG --once --state DIR": COUNT | {"following", "ledger", "notices", "outputs"},
}
NEEDLESS = {
    *("asyncio", "calendar", "csv", "dataclasses", "decimal", "difflib", "email", "http", "inspect", "json"),
    *("logging", "prometheus_client", "socket", "ssl", "statistics", "tomllib", "unicodedata"),
    *("urllib.request", "zoneinfo", "qps_service.counting.ambiguity", "qps_service.following.stream"),
    *("qps_service.formats.apache", "qps_service.formats.line", "qps_service.scanning.pure"),
}


def check_light(program: str, given: str, tmp_path: Path) -> None:
    """What nothing is to be done with is not loaded: most of a start is spent on modules."""
    log = tmp_path / "log"
    log.touch()
    line = given.replace("LOG", str(log)).replace("DIR", str(tmp_path)).split()
    command = [sys.executable, "-m", "tests.unit.commands.programs", program, *line]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    modules = set(done.stderr.splitlines()[-1].split())
    rooms = {module.split(".")[1] for module in modules if module.startswith("qps_service.")}
    assert rooms == LIGHT[given]
    assert not modules & NEEDLESS


def check_columns(columns: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Help is as wide as argparse would have it."""
    for told in ("", "x", "0", "-7", "132"):
        monkeypatch.setenv("COLUMNS", told)
        assert columns() == shutil.get_terminal_size().columns
    monkeypatch.delenv("COLUMNS")
    assert columns() == shutil.get_terminal_size().columns


def check_garbage_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a command runs, which may be for months; not while it is imported."""
    collects = []

    def asked(_: object) -> int:
        collects.append(gc.isenabled())
        return 0

    def parsed(argv: object) -> argparse.Namespace:
        asked(argv)
        return argparse.Namespace(run=asked)

    for name, instead in {"prepare_streams": nothing, "_finish": nothing, "_parsed": parsed}.items():
        monkeypatch.setattr(cli, name, instead)
    try:
        assert main() == 0
    finally:
        gc.unfreeze()
        gc.enable()
    assert collects == [False, True]


NEVER = SimpleNamespace(disable=gc.disable, freeze=gc.freeze, enable=nothing)
OTHER_TABLES = {"lacks one": {**EXITS, 5: "more"}, "one more": {key: EXITS[key] for key in EXITS if key != 3}}
test_promise, test_twin = promises(
    {check_garbage_is_collected: {"never": Patches((cli, "gc", NEVER))}},
    Promise(check_one_table, EXITS, OTHER_TABLES, epilogs=EPILOGS),
    Promise(check_closed, main, AS_THEY_ARE, caught=(AttributeError,)),
    Promise(check_encoding, main, AS_THEY_ARE, caught=(UnicodeEncodeError,)),
    Promise(
        check_columns,
        columns,
        {"of 80": lambda: 80, "as told": lambda: int(os.environ["COLUMNS"])},
        (ValueError, KeyError),
    ),
    *(
        Promise(check_light, "says_imports", [] if given == "--help" else ["imports_all"], given=given)
        for given in LIGHT
    ),
    # What is wrong with one of them is wrong with each.
    *(Promise(check_examples, str, CHANGES if name == "run" else {}, name=name) for name in COMMANDS),
    *(
        Promise(check_imports, "says_imports", ["imports_all"] if name == "simulate" else [], name=name)
        for name in COMMANDS
    ),
)
