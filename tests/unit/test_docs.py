"""The documentation names what there is, and what it names is there.

Each check takes the pages' texts and returns what is wrong with them; beside it stands a page with
just that fault.
"""

import argparse
import json
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from jsonschema import ValidationError

from qps_service import errors
from qps_service.cli import COMMANDS, make_parser
from qps_service.configuration.loader import CONFIG_VARIABLE, LOG_VARIABLE, NAME_VARIABLE, Flags, load
from qps_service.configuration.outputs import OUTPUTS
from qps_service.configuration.settings import HISTORY, LOG, RULE, SERVICE
from qps_service.counting.routes import COLLAPSES
from qps_service.errors import FormatError
from qps_service.formats.presets import NAMES, ROLES, compile_format
from qps_service.notices import kinds
from qps_service.outputs.journal import report_fields
from qps_service.scanning.scanner import PURE_VARIABLE
from qps_service.values.counts import REASONS
from qps_service.values.reports import Report
from tests.reports_schema import validate

ROOT = Path(__file__).parents[2]
README, OPERATIONS, ARCHITECTURE = "README.md", "OPERATIONS.md", "ARCHITECTURE.md"

Pages = Mapping[str, str]  # text by file name
Check = Callable[[Pages], list[str]]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]\n]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FILE = re.compile(r"(?<![\w./-])(?:\.ci|benchmarks|packaging|qps_service|scripts|tests)/[\w./-]*\w")
MODULE = re.compile(r"`((?:\w+/)*\w+\.py)`")
OWN_COMMANDS = ("qps-reporter ", "scripts/")


def pages() -> dict[str, str]:
    return {path.name: path.read_text() for path in ROOT.glob("*.md")}


def table_row(text: str, name: str) -> str:
    """The table row whose first cell is `name` as code; empty if there is none."""
    found = re.search(rf"^\| `{re.escape(name)}` \|.*$", text, re.MULTILINE)
    return found[0] if found else ""


def lacking(row: str, needed: Mapping[str, str]) -> Iterator[str]:
    """The keys of `needed` whose text is not in `row` as code."""
    return (what for what, text in needed.items() if f"`{text}`" not in row)


def settings_undocumented(pages: Pages) -> list[str]:
    problems = []
    for setting in (*SERVICE, *HISTORY, *LOG, *RULE):
        needed = {"key": setting.key}
        if setting.default:
            needed["default"] = setting.default
        if setting.flag:
            needed |= {"flag": f"--{setting.key}", "variable": setting.variable}
        row = table_row(pages[README], setting.key)
        problems += [f"{setting.key}: {what}" for what in lacking(row, needed)]
        if setting.range and f"| {setting.range} |" not in row:
            problems.append(f"{setting.key}: range")
    for output, kind in OUTPUTS.items():
        for setting in kind.settings:
            row = table_row(pages[README], f"{output}.{setting.key}")
            needed = {"key": f"{output}.{setting.key}"} | (
                {"default": setting.default} if setting.default else {}
            )
            problems += [f"{output}.{setting.key}: {what}" for what in lacking(row, needed)]
            if setting.range and f"| {setting.range} |" not in row:
                problems.append(f"{output}.{setting.key}: range")
    named = {variable: variable for variable in (LOG_VARIABLE, NAME_VARIABLE, CONFIG_VARIABLE)}
    named[PURE_VARIABLE] = f"{PURE_VARIABLE}=1"
    return problems + list(lacking(pages[README], named))


def commands_undocumented(pages: Pages) -> list[str]:
    text = "".join(pages.values())
    return [name for name in COMMANDS if not re.search(rf"\bqps-reporter {name}\b", text)]


def kinds_undocumented(pages: Pages) -> list[str]:
    ids = {kind.name: kind.message_id for kind in kinds.KINDS}
    return [name for name, number in ids.items() if f"`{number}`" not in table_row(pages[OPERATIONS], name)]


def kinds_invented(pages: Pages) -> list[str]:
    known = {kind.message_id for kind in kinds.KINDS} | {kinds.REPORT_MESSAGE_ID}
    return sorted(set(re.findall(r"\b[0-9a-f]{32}\b", "".join(pages.values()))) - known)


def fields_undocumented(pages: Pages) -> list[str]:
    fields = report_fields(Report("access", False, 1, 0, 1.0, 0, 0.0, 0, ()))
    return [name for name in fields if not table_row(pages[OPERATIONS], name)]


def words_undocumented(pages: Pages) -> list[str]:
    """Names of formats, collapses and fields, and reasons for rejects."""
    return list(lacking(pages[README], {word: word for word in (*NAMES, *COLLAPSES, *REASONS)})) + [
        name for name in ROLES if f"`${name}`" not in pages[README]
    ]


def routes_wrong(pages: Pages) -> list[str]:
    """Rules of an example that do not do what is said beside them: `# TARGET -> ROUTE`."""
    problems = []
    for language, block in FENCE.findall(pages[README]):
        said = re.findall(r"# (/\S*) -> (\S+)$", block, re.MULTILINE)
        if language != "toml" or not said:
            continue
        with NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(block)
            file.flush()
            [log] = load(Flags(config=file.name), {}).logs
        routes = log.routes()
        problems += [target for target, route in said if routes.of(target.encode()) != route.encode()]
        problems += ["no example for a rule"] if len(said) < len(log.rules) else []
    return problems


def formats_wrong(pages: Pages) -> list[str]:
    """Formats in examples of the configuration that would be refused."""
    problems = []
    for text in pages.values():
        for language, block in FENCE.findall(text):
            logs = tomllib.loads(block).get("log", {}) if language == "toml" else {}
            for log in (log for log in logs.values() if "format" in log):
                try:
                    compile_format(log["format"])
                except FormatError as error:
                    problems.append(str(error))
    return problems


def examples_of_json_wrong(pages: Pages) -> list[str]:
    """Reports that are none by the schema, or whose rates are not those of their counts."""
    problems = []
    blocks = [block for _, block in FENCE.findall(pages[README]) if block.startswith('{"log"')]
    for block in blocks:
        report = json.loads(block.replace("\n", ""))
        try:
            validate(report)
        except ValidationError as error:
            problems.append(error.message)
            continue
        rates = {each["requests"] / report["seconds"] - each["rate"] for each in (report, *report["rows"])}
        problems += [] if rates == {0} else ["rates"]
        problems += [] if report["requests"] == sum(row["requests"] for row in report["rows"]) else ["sum"]
    return problems if blocks else ["no example"]


def exit_statuses_undocumented(pages: Pages) -> list[str]:
    statuses = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    table = pages[OPERATIONS].partition("## Exit statuses")[2]
    return [
        str(status) for status in sorted(statuses) if not re.search(rf"^\| {status} \|", table, re.MULTILINE)
    ]


def shell_commands(text: str) -> Iterator[list[str]]:
    """The words of each of our own commands in the page's shell blocks."""
    for language, block in FENCE.findall(text):
        for line in block.splitlines() if language == "sh" else ():
            if f"{line} ".startswith(OWN_COMMANDS):
                words = shlex.shlex(line, posix=True, punctuation_chars=True)
                words.whitespace_split = True
                command = list(words)
                ends = [at for at, word in enumerate(command) if set(word) <= set("|&;<>")]
                yield command[: ends[0]] if ends else command


def commands_wrong(pages: Pages) -> list[str]:
    """Commands that would be refused."""
    parser = make_parser()
    problems = []
    for text in pages.values():
        for command in shell_commands(text):
            try:
                if command[0] == "qps-reporter":
                    parser.parse_args(command[1:])
                else:
                    _parse_script(command)
            except (SystemExit, argparse.ArgumentError, OSError, ValueError):
                problems.append(shlex.join(command))
    return problems


def _parse_script(command: list[str]) -> None:
    script = ROOT / command[0]
    text = script.read_text()
    if not os.access(script, os.X_OK):
        raise ValueError(f"{script} is not executable")
    for option in (word for word in command[1:] if word.startswith("-")):
        if option not in text:
            raise ValueError(f"{script} does not know {option}")


def files_missing(pages: Pages) -> list[str]:
    named = {path for text in pages.values() for path in FILE.findall(text)}
    modules = {name for text in pages.values() for name in MODULE.findall(text)} - named
    places = (ROOT, ROOT / "qps_service")
    return [path for path in sorted(named) if not (ROOT / path).exists()] + [
        name for name in sorted(modules) if not any((place / name).exists() for place in places)
    ]


def modules_undocumented(pages: Pages) -> list[str]:
    found = {path.stem for path in (ROOT / "qps_service").glob("[a-z]*.py")} | {"_scan_py"}
    return list(lacking(pages[ARCHITECTURE], {name: name for name in sorted(found)}))


def anchors(text: str) -> set[str]:
    """The headings as GitHub makes anchors of them."""
    prose = FENCE.sub("", text)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose))
    return {heading.replace(" ", "-") for heading in plain}


def links_broken(pages: Pages) -> list[str]:
    problems = []
    for name, text in pages.items():
        for link in LINK.findall(FENCE.sub("", text)):
            path, _, anchor = link.partition("#")
            if path.startswith(("https://", "http://")):
                continue
            target = path or name
            if not (ROOT / target).exists() or (anchor and anchor not in anchors(pages[target])):
                problems.append(f"{name}: {link}")
    return problems


def outsiders_named(pages: Pages) -> list[str]:
    """References to what a reader of the project doesn't have."""
    return [name for name, text in pages.items() if re.search(r"\.\./|/work/|/tmp/exp", text)]


def unfinished(pages: Pages) -> list[str]:
    """Places left to be filled in."""
    return [name for name, text in pages.items() if "PLACE" in text]


CASES: list[tuple[Check, str, str, str]] = [  # check; page, text in it and what takes its place in the twin
    (settings_undocumented, README, "| `quiet` |", "| `calm` |"),
    (settings_undocumented, README, "`64KiB`", "`65KiB`"),
    (settings_undocumented, README, "| `max_size` |", "| `size` |"),
    (settings_undocumented, README, "| `json.path` |", "| `path` |"),
    (settings_undocumented, README, "| `8125` |", "| `8126` |"),
    (settings_undocumented, README, "| 1m to 30d |", "| 1m to 3d |"),
    (settings_undocumented, README, "| 16 to 64KiB |", "| 16 to 64MiB |"),
    (settings_undocumented, README, "`QPS_REPORTER_INTERVAL`", "`QPS_INTERVAL`"),
    (settings_undocumented, README, "`QPS_REPORTER_CONFIG`", "a variable"),
    (settings_undocumented, README, "`QPS_REPORTER_PURE=1`", "a variable"),
    (commands_undocumented, README, "qps-reporter simulate", "qps-reporter imitate"),
    (kinds_undocumented, OPERATIONS, "| `let_go` |", "| `gone` |"),
    (kinds_undocumented, OPERATIONS, kinds.ROTATED.message_id, kinds.WAITING.message_id),
    (kinds_invented, OPERATIONS, kinds.ROTATED.message_id, "0" * 32),
    (fields_undocumented, OPERATIONS, "| `QPS_SECONDS` |", "| `QPS_TIME` |"),
    (settings_undocumented, README, "| `match` |", "| `search` |"),
    (words_undocumented, README, "`numeric`", "`number`"),
    (words_undocumented, README, "`not_http`", "`no_http`"),
    (words_undocumented, README, "`$request_uri`", "`$target`"),
    (words_undocumented, README, "`combined`", "`joined`"),
    (routes_wrong, README, "/static/js/app.3f2a.js -> /static\n", "/static/js/app.3f2a.js -> /js\n"),
    (routes_wrong, README, "match = '^/static/'\n", "match = '^/static$'\n"),
    (routes_wrong, README, "# /static/js/app.3f2a.js -> /static\n", "\n"),
    (formats_wrong, README, '$status $body_bytes_sent "$http', '$status$body_bytes_sent "$http'),
    (formats_wrong, README, " %>s %O", " %>s%O"),
    (examples_of_json_wrong, README, '"sequence":1,', '"number":1,'),
    (examples_of_json_wrong, README, '"requests":6,', '"requests":7,'),
    (examples_of_json_wrong, README, '{"log":"access",', '{"name":"access",'),
    (examples_of_json_wrong, README, '"rate":2.99', '"rate":2.98'),
    (exit_statuses_undocumented, OPERATIONS, "\n| 3 | another", "\n| 4 | another"),
    (commands_wrong, README, "qps-reporter run access.log\n", "qps-reporter run access.log --rate 3\n"),
    (commands_wrong, README, "qps-reporter run access.log\n", "qps-reporter follow access.log\n"),
    (commands_wrong, README, "scripts/demo.sh --for 13\n", "scripts/demo.sh --during 18\n"),
    (commands_wrong, README, "scripts/test.sh\n", "scripts/checks.sh\n"),
    (files_missing, README, "tests/system/test_acceptance.py", "tests/system/test_all.py"),
    (files_missing, ARCHITECTURE, "`daemon.py`", "`demon.py`"),
    (modules_undocumented, ARCHITECTURE, "`siblings`", "`brothers`"),
    (links_broken, README, "(OPERATIONS.md#rotation)", "(OPERATIONS.md#turning)"),
    (links_broken, README, "(LICENSE)", "(COPYING)"),
    (links_broken, OPERATIONS, "(#messages)", "(#notices)"),
    (unfinished, README, "## Quick start", "<!-- PLACE: quick start -->"),
    (outsiders_named, ARCHITECTURE, "`commands/audit.py` shows how", "see ../elsewhere for how"),
]
CHECKS = list(dict.fromkeys(check for check, *_ in CASES))


@pytest.mark.parametrize("check", CHECKS)
def test_the_pages_have_no_fault(check: Check) -> None:
    assert check(pages()) == []


@pytest.mark.twin
@pytest.mark.parametrize(("check", "page", "right", "wrong"), CASES)
def test_a_fault_is_noticed(
    check: Check, page: str, right: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = pages()
    assert right in twin[page]
    twin[page] = twin[page].replace(right, wrong)
    if check is commands_undocumented:
        twin = {name: text.replace(right, wrong) for name, text in twin.items()}
    assert check(twin)


def test_every_page_is_there() -> None:
    assert {README, OPERATIONS, ARCHITECTURE, "CHANGELOG.md"} <= pages().keys()
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_commands_are_found_in_the_blocks() -> None:
    text = (
        "```sh\nqps-reporter run a | head\n# scripts/x\nscripts/test.sh >out\n```\n```text\nscripts/no\n```\n"
    )
    assert list(shell_commands(text)) == [["qps-reporter", "run", "a"], ["scripts/test.sh"]]
