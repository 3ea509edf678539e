"""The pages name what there is, and what they name is there.

Each check takes the pages' texts and returns what is wrong with them. Its twins are pages with just that
fault: each is a page, a text in it, and what takes its place; without a text it is added to the page.
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
from typing import NamedTuple

import pytest
from jsonschema import ValidationError

from qps_service import errors
from qps_service.cli import COMMANDS, make_parser
from qps_service.configuration.loader import Flags, load
from qps_service.configuration.outputs import TABLES
from qps_service.configuration.settings import BY_KEY
from qps_service.counting.routes import COLLAPSES
from qps_service.errors import FormatError
from qps_service.formats.presets import NAMES, ROLES, as_list, compile_format
from qps_service.notices import kinds
from qps_service.outputs.journal import report_fields
from qps_service.scanning.built import PURE_VARIABLE
from qps_service.values.counts import REASONS
from qps_service.values.latency import Latency, LatencyKey
from qps_service.values.reports import Report
from tests.reports_schema import validate

ROOT = Path(__file__).parents[2]
README, OPERATIONS, ARCHITECTURE = "README.md", "OPERATIONS.md", "ARCHITECTURE.md"
SETTINGS, COMMAND_LINE, MESSAGES = (
    f"docs/reference/{name}.md" for name in ("settings", "commands", "messages")
)
FORMATS, REPORT = "docs/reference/formats.md", "docs/reference/report.md"

# A page that is longer is not read any more at 3 a.m., nor a cell of a table.
LINES_LIMITS = {README: 170, OPERATIONS: 400, ARCHITECTURE: 250}
CELL_LIMIT = 120  # characters

Pages = Mapping[str, str]  # text by path
Check = Callable[[Pages], list[str]]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]\n]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FILE = re.compile(r"(?<![\w./-])(?:\.ci|benchmarks|docs|packaging|qps_service|scripts|tests)/(?:[\w./-]*\w)")
MODULE = re.compile(r"`((?:\w+/)*\w+\.py)`")
FIGURE = re.compile(r"`([a-z_.]+)`\s+\((\d[\d,]*\s\w+)\)")
CELL = re.compile(r"(?<!\\)\|")
INLINE = re.compile(r"`(qps-reporter [a-z]+ [^`\n]+)`")
LATENCIES = {LatencyKey(b"/", 2): Latency({1: 1}, 10, 10)}  # a log that tells durations
OWN_COMMANDS = ("qps-reporter ", "scripts/")


def pages() -> dict[str, str]:
    """All of them, and all that they may lead to."""
    paths = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    return {str(path.relative_to(ROOT)): path.read_text() for path in paths}


def part(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of any degree; empty if there is none."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def has_row(text: str, name: str) -> bool:
    """Whether there is a table row whose first cell is `name` as code."""
    return re.search(rf"^\| `{re.escape(name)}` \|", text, re.MULTILINE) is not None


def lacking(text: str, needed: Mapping[str, str]) -> Iterator[str]:
    """The keys of `needed` whose text is not in `text` as code."""
    return (what for what, each in needed.items() if f"`{each}`" not in text)


def commands_undocumented(pages: Pages) -> list[str]:
    page = pages[COMMAND_LINE]
    return [name for name in COMMANDS if not part(page, name) or f"\n| [`{name}`](#{name}) | " not in page]


def kinds_invented(pages: Pages) -> list[str]:
    known = {kind.message_id for kind in kinds.KINDS} | {kinds.REPORT_MESSAGE_ID}
    return sorted(set(re.findall(r"\b[0-9a-f]{32}\b", "".join(pages.values()))) - known)


def fields_undocumented(pages: Pages) -> list[str]:
    fields = report_fields(Report("access", False, 1, 0, 1.0, 0, 0.0, 0, (), latencies=LATENCIES))
    return [name for name in fields if not has_row(pages[REPORT], name)]


def words_undocumented(pages: Pages) -> list[str]:
    """Names of formats and fields, reasons for rejects, collapses with their placeholders, and a variable."""
    words = {word: word for word in (*NAMES, *REASONS)} | {name: f"${name}" for name in ROLES}
    shown = {name: f"`{name}` | `{placeholder.decode()}`" for name, (placeholder, _) in COLLAPSES.items()}
    return [
        *lacking(pages[FORMATS], words),
        *(name for name, row in shown.items() if row not in pages[SETTINGS]),
        *lacking(pages[SETTINGS], {PURE_VARIABLE: f"{PURE_VARIABLE}=1"}),
    ]


def defaults_wrong(pages: Pages) -> list[str]:
    """Figures behind the name of a setting, as in `quiet` (60 s), that are not its default."""
    settings = BY_KEY | {setting.key: setting for table in TABLES.values() for setting in table}
    problems = []
    for key, figure in FIGURE.findall("".join(pages.values())):
        setting = settings.get(key.rpartition(".")[2])
        text = figure.replace(",", "").replace(" days", "d").removesuffix(" bytes").replace(" ", "")
        if setting and setting.parse(text) != setting.parse(setting.default or ""):
            problems.append(f"{key} ({figure})")
    return problems


def routes_wrong(pages: Pages) -> list[str]:
    """Rules of an example that do not do what is said beside them: `# TARGET -> ROUTE`."""
    problems = []
    for block in blocks(pages, "toml"):
        said = re.findall(r"# (/\S*) -> (\S+)$", block, re.MULTILINE)
        if not said:
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
    for block in blocks(pages, "toml"):
        for log in tomllib.loads(block).get("log", {}).values():
            try:
                texts = log.get("format", "default")
                as_list([compile_format(each) for each in ([texts] if isinstance(texts, str) else texts)])
            except (FormatError, ValueError) as error:
                problems.append(str(error))
    return problems


def examples_of_json_wrong(pages: Pages) -> list[str]:
    """Reports that are none by the schema, or whose rates are not those of their counts."""
    problems = []
    examples = [block for block in blocks(pages, "text") if block.startswith('{"') and '"losses":' in block]
    for block in examples:
        report = json.loads(block.replace("\n", ""))
        try:
            validate(report)
        except ValidationError as error:
            problems.append(error.message)
            continue
        rates = {each["requests"] / report["seconds"] - each["rate"] for each in (report, *report["rows"])}
        problems += [] if rates == {0} else ["rates"]
        problems += [] if report["requests"] == sum(row["requests"] for row in report["rows"]) else ["sum"]
    return problems if examples else ["no example"]


def blocks(pages: Pages, language: str) -> Iterator[str]:
    """The texts between fences of this language."""
    found = (block for text in pages.values() for block in FENCE.findall(text))
    return (block for each, block in found if each == language)


def exit_statuses_undocumented(pages: Pages) -> list[str]:
    statuses = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    table = part(pages[COMMAND_LINE], "Exit statuses").partition("Of each command:")[2]
    rows = {str(status): rf"^\| {status} \|" for status in sorted(statuses)}
    rows |= {f"{name}: {status}": rf"^\| {status} \|[^|]* `{name}`" for name in COMMANDS for status in (0, 1)}
    return [what for what, row in rows.items() if not re.search(row, table, re.MULTILINE)]


def shell_commands(text: str) -> Iterator[list[str]]:
    """The words of each of our own commands: in the page's shell blocks, and with arguments in its prose."""
    typed = [line for block in blocks({"": text}, "sh") for line in block.splitlines()]
    prompted = (line for block in blocks({"": text}, "console") for line in block.splitlines())
    typed += [line[2:] for line in prompted if line.startswith(("$ ", "# "))]
    typed += INLINE.findall(FENCE.sub("", text))
    for line in typed:
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
            except SystemExit as ended:  # --version and --help end it well
                problems += [shlex.join(command)] if ended.code else []
            except (argparse.ArgumentError, OSError, ValueError):
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
    named = {path for text in pages.values() for path in FILE.findall(LINK.sub("", text))}
    modules = {name for text in pages.values() for name in MODULE.findall(text)} - named
    places = (ROOT, ROOT / "qps_service", ROOT / "tests")
    return [path for path in sorted(named) if not (ROOT / path).exists()] + [
        name for name in sorted(modules) if not any((place / name).exists() for place in places)
    ]


def modules_undocumented(pages: Pages) -> list[str]:
    """What stands side by side in the program's directory: modules, and packages."""
    program = ROOT / "qps_service"
    found = {path.stem for path in program.glob("*.py")} - {"__init__", "__main__"}
    found |= {path.parent.name for path in program.glob("*/__init__.py")}
    return list(lacking(pages[ARCHITECTURE], {name: name for name in sorted(found)}))


def anchors(text: str) -> set[str]:
    """The headings as GitHub makes anchors of them."""
    prose = FENCE.sub("", text)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose))
    return {heading.replace(" ", "-") for heading in plain}


def links(pages: Pages) -> Iterator[tuple[str, str, str]]:
    """Each to a file: the page it stands on, the path that it leads to from the root, and its anchor."""
    for name, text in pages.items():
        for link in LINK.findall(FENCE.sub("", text)):
            path, _, anchor = link.partition("#")
            if not path.startswith(("https://", "http://")):
                yield name, os.path.normpath(Path(name).parent / path) if path else name, anchor


def links_broken(pages: Pages) -> list[str]:
    return [
        f"{name}: {target}#{anchor}"
        for name, target, anchor in links(pages)
        if not (target in pages or (ROOT / target).exists())
        or target.startswith("..")
        or (anchor and anchor not in anchors(pages.get(target, "")))
    ]


def pages_out_of_reach(pages: Pages) -> list[str]:
    """Pages to which no link leads, from README on."""
    found, new = set[str](), {README}
    while new:
        found |= new
        new = {target for name, target, _ in links(pages) if name in new and target in pages} - found
    return sorted(pages.keys() - found)


def outsiders_named(pages: Pages) -> list[str]:
    """References to what a reader of the project doesn't have."""
    return [
        name
        for name, text in pages.items()
        if re.search(r"\.\./|/work/|/tmp/exp|\bissue \d", LINK.sub("", text))
    ]


def unfinished(pages: Pages) -> list[str]:
    """Places left to be filled in."""
    return [name for name, text in pages.items() if re.search(r"\b(?:PLACE|TODO|FIXME)\b", text)]


def pages_too_long(pages: Pages) -> list[str]:
    return [name for name, limit in LINES_LIMITS.items() if len(pages[name].splitlines()) > limit]


def cells_too_wide(pages: Pages) -> list[str]:
    return [
        f"{name}: {cell.strip()}"
        for name, text in pages.items()
        for row in re.findall(r"^ *\|(.*)\|$", FENCE.sub("", text), re.MULTILINE)
        for cell in CELL.split(row)
        if len(cell.strip()) > CELL_LIMIT
    ]


class Twin(NamedTuple):
    """A page with a fault."""

    page: str
    wrong: str
    right: str = ""  # what `wrong` takes the place of; nothing: it is added to the page

    def of(self, pages: Pages) -> dict[str, str]:
        text = pages.get(self.page, "")
        assert self.right in text
        return {**pages, self.page: text.replace(self.right, self.wrong) if self.right else text + self.wrong}


RULES = (
    "\n```toml\n[log.a]\npath = '/a'\n{}[[log.a.route]]{}\nmatch = '^/static/'\nname = '/static'\n```\n"
).format

PROMISES: dict[Check, list[Twin]] = {
    commands_undocumented: [
        Twin(COMMAND_LINE, "## imitate\n", "## simulate\n"),
        Twin(COMMAND_LINE, "| [`page`](#web) |", "| [`web`](#web) |"),
    ],
    kinds_invented: [Twin(MESSAGES, "0" * 32, kinds.ROTATED.message_id)],
    fields_undocumented: [
        Twin(REPORT, "| `QPS_TIME` |", "| `QPS_SECONDS` |"),
        Twin(REPORT, "| `QPS_TIME` |", "| `QPS_LATENCY` |"),
    ],
    words_undocumented: [
        Twin(SETTINGS, "`number`", "`numeric`"),
        Twin(SETTINGS, "a variable", "`QPS_REPORTER_PURE=1`"),
        Twin(SETTINGS, "`:number`", "`:id`"),
        Twin(FORMATS, "`too_wide`", "`too_long`"),
        Twin(FORMATS, "`$target`", "`$request_uri`"),
        Twin(FORMATS, "`joined`", "`combined`"),
    ],
    routes_wrong: [
        Twin(OPERATIONS, RULES("", "  # /static/a.js -> /js")),
        Twin(OPERATIONS, RULES("", "  # /statics -> /static")),
        Twin(
            OPERATIONS,
            RULES("collapse = ['numeric']  # /7 -> /:id\n[[log.a.route]]\nmatch='x'\nname='y'\n", ""),
        ),
    ],
    formats_wrong: [
        Twin(OPERATIONS, "\n```toml\n[log.a]\nformat = '$request $status$body_bytes_sent'\n```\n"),
        Twin(OPERATIONS, "\n```toml\n[log.a]\nformat = '\"%r\" %>s%O'\n```\n"),
        Twin(OPERATIONS, "\n```toml\n[log.a]\nformat = ['json', 'auto']\n```\n"),
    ],
    examples_of_json_wrong: [
        Twin(REPORT, '"number":1,', '"sequence":1,'),
        Twin(REPORT, '"requests":7,', '"requests":6,'),
        Twin(REPORT, '{"name":"access",', '{"log":"access",'),
        Twin(REPORT, '"rate":2.98', '"rate":2.99'),
    ],
    exit_statuses_undocumented: [
        Twin(COMMAND_LINE, "\n| 4 | `run`", "\n| 3 | `run`"),
        Twin(COMMAND_LINE, "\n| 0 | `run`", "\n| 0 | `web`"),
    ],
    commands_wrong: [
        Twin(OPERATIONS, "\n```sh\nqps-reporter run access.log --rate 3\n```\n"),
        Twin(OPERATIONS, "\n```sh\nqps-reporter follow access.log\n```\n"),
        Twin(OPERATIONS, "\n```sh\nscripts/demo.sh --during 18\n```\n"),
        Twin(OPERATIONS, "\n```sh\nscripts/checks.sh\n```\n"),
        Twin(OPERATIONS, "\n```console\n# qps-reporter checks | less\nno problem\n```\n"),
        Twin(OPERATIONS, "`qps-reporter check --all &&", "`qps-reporter check &&"),
        Twin("docs/explanation/ledger.md", "qps-reporter audits\n", "qps-reporter audit\n"),
    ],
    files_missing: [
        Twin("docs/explanation/scenarios.md", "tests/system/test_all.py", "tests/system/test_service.py"),
        Twin(ARCHITECTURE, "\n`demon.py`\n"),
    ],
    defaults_wrong: [
        Twin(OPERATIONS, "`quiet` (61 s)", "`quiet` (60 s)"),
        Twin("docs/explanation/ledger.md", "(16 days)", "(15 days)"),
        Twin("docs/how-to/statsd-and-graphite.md", "(1,431 bytes)", "(1,432 bytes)"),
    ],
    modules_undocumented: [Twin(ARCHITECTURE, "`exits`", "`outputs`")],
    links_broken: [
        Twin(OPERATIONS, "(docs/explanation/ledger.md#book)", "(docs/explanation/ledger.md)"),
        Twin(OPERATIONS, "(docs/explanation/leger.md)", "(docs/explanation/ledger.md)"),
        Twin(OPERATIONS, "(#notices)", "(#permissions)"),
        Twin(REPORT, "\n[here](../../README.md) and [there](README.md)\n"),
        Twin(README, "\n[out](../README.md)\n"),
    ],
    pages_out_of_reach: [Twin("docs/explanation/island.md", "# Nowhere\n")],
    outsiders_named: [Twin(ARCHITECTURE, "\nsee ../elsewhere for how\n"), Twin(README, "\nsee issue 7\n")],
    unfinished: [Twin(README, "\n<!-- PLACE: quick start -->\n")],
    pages_too_long: [Twin(name, "\n" * limit) for name, limit in LINES_LIMITS.items()],
    cells_too_wide: [Twin(REPORT, f"\n| {'x' * CELL_LIMIT} | {'x' * CELL_LIMIT}x |\n")],
}


@pytest.mark.parametrize("check", PROMISES)
def test_the_pages_have_no_fault(check: Check) -> None:
    assert check(pages()) == []


@pytest.mark.twin
@pytest.mark.parametrize(
    ("check", "twin"), [(check, twin) for check, twins in PROMISES.items() for twin in twins]
)
def test_a_fault_is_noticed(check: Check, twin: Twin, capsys: pytest.CaptureFixture[str]) -> None:
    """It adds to what the check says of the pages as they are."""
    assert set(check(twin.of(pages()))) - set(check(pages()))


def test_every_page_is_there() -> None:
    assert {README, OPERATIONS, ARCHITECTURE, "CHANGELOG.md"} <= pages().keys()
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_commands_are_found_in_the_blocks() -> None:
    text = (
        "```sh\nqps-reporter run a | head\n# scripts/x\nscripts/test.sh >out\n```\n```text\nscripts/no\n```\n"
        "```console\n# qps-reporter check\nqps-reporter is well\n```\n"
        "see `qps-reporter run`, `qps-reporter run a && b`\n"
    )
    assert list(shell_commands(text)) == [
        ["qps-reporter", "run", "a"],
        ["scripts/test.sh"],
        ["qps-reporter", "check"],
        ["qps-reporter", "run", "a"],
    ]
