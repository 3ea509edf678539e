"""The man pages tell of all there is, and are sound.

Each check takes the pages, by file name, and returns what is wrong with them; beside it stands a page with
just that fault.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from qps_service import errors
from qps_service.cli import COMMANDS, make_parser
from qps_service.configuration.loader import CONFIG_VARIABLE, LOG_VARIABLE, NAME_VARIABLE
from qps_service.configuration.outputs import TABLES
from qps_service.configuration.settings import HISTORY, LOG, REPORTS, RULE, SERVICE
from qps_service.counting.routes import COLLAPSES
from qps_service.formats.presets import NAMES as FORMATS
from qps_service.outputs.journal import report_fields
from qps_service.scanning.built import PURE_VARIABLE
from qps_service.values.reports import Report
from tests.project.pages import script
from tests.project.test_docs import LATENCIES

pytestmark = pytest.mark.build

BUILD = Path(__file__).parents[2] / "packaging/man/build.py"
COMMAND, FILE, SERVICE_PAGE = "qps-reporter.1", "qps-reporter.toml.5", "qps-reporter.service.8"
NAMES = (COMMAND, FILE, SERVICE_PAGE)
EPOCH = "1790000000"

Pages = Mapping[str, str]  # by file name: their sources in roff, or as they are read
Check = Callable[[Pages], list[str]]


def build(directory: Path, **variables: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    subprocess.run([sys.executable, BUILD, directory], env=environment | variables, check=True)
    return {path.name: path.read_text() for path in directory.iterdir()}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return build(tmp_path_factory.mktemp("man"))


def man(source: str) -> subprocess.CompletedProcess[str]:
    """The page as it is read, on lines that are never broken, and what groff complains of."""
    return subprocess.run(
        ["man", "--warnings", "--encoding=UTF-8", "--local-file", "-"],
        input=source,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "2000", "MANPAGER": "cat"},
        capture_output=True,
        text=True,
        check=False,
    )


@cache
def read(source: str) -> str:
    return man(source).stdout


def subparsers() -> dict[str, argparse.ArgumentParser]:
    [found] = [each for each in make_parser()._actions if isinstance(each, argparse._SubParsersAction)]
    return dict(found.choices)


def section(page: str, name: str) -> str:
    """What stands below a heading of the first or second degree."""
    found = re.search(rf"^( *){re.escape(name)}\n(.*?)(?=^\1? {{0,3}}\S|\Z)", page, re.MULTILINE | re.DOTALL)
    return found[2] if found else ""


def arguments_missing(pages: Pages) -> list[str]:
    """Subcommands, and arguments that are not in the part about theirs."""
    problems = []
    for name, parser in subparsers().items():
        part = section(pages[COMMAND], name)
        for action in (action for action in parser._actions if action.dest != "help"):
            problems += [
                f"{name}: {option}"
                for option in action.option_strings or [str(action.metavar)]
                if not re.search(rf"^ +(-\w \S+, )?{option}\b.*\n? +\S", part, re.MULTILINE)
            ]
    general = section(pages[COMMAND], "OPTIONS")
    return problems + [
        option for option in ("-h, --help", "--version") if f"       {option}\n" not in general
    ]


def variables_missing(pages: Pages) -> list[str]:
    flagged = [setting.variable for setting in (*SERVICE, *LOG) if setting.flag]
    part = section(pages[COMMAND], "ENVIRONMENT")
    named = (LOG_VARIABLE, NAME_VARIABLE, CONFIG_VARIABLE, PURE_VARIABLE, *flagged)
    return [name for name in named if not re.search(rf"^ +{name}$", part, re.MULTILINE)]


def settings_missing(pages: Pages) -> list[str]:
    problems = []
    outputs = section(pages[FILE], "OUTPUTS")
    parts = [
        (section(pages[FILE], "THE SERVICE"), SERVICE),
        (section(pages[FILE], "HISTORY"), HISTORY),
        (section(pages[FILE], "REPORTS"), REPORTS),
        (section(pages[FILE], "LOGS"), LOG),
        (section(pages[FILE], "ROUTES"), RULE),
    ]
    for name, settings in TABLES.items():
        found = re.search(
            rf"^ +\[output\.{name}\]$.*?(?=^ +\[output\.|\Z)", outputs, re.MULTILINE | re.DOTALL
        )
        parts.append((found[0] if found else "", settings))
    for part, settings in parts:
        for setting in settings:
            found = re.search(rf"^ +{setting.key} = .*?(?=^ +\w+ = |\Z)", part, re.MULTILINE | re.DOTALL)
            text = found[0] if found else ""
            needed = [f"Default: {setting.default}."] if setting.default else []
            needed += [f"Range: {setting.range}."] if setting.range else []
            needed += [f"Flag: --{setting.key}.", f"Variable: {setting.variable}."] if setting.flag else []
            problems += [f"{setting.key}: {what}" for what in needed if what not in text]
            problems += [] if text else [setting.key]
    return problems


def formats_missing(pages: Pages) -> list[str]:
    part = section(pages[FILE], "FORMATS")
    return [name for name in FORMATS if not re.search(rf"^ +{name}\b", part, re.MULTILINE)]


def collapses_missing(pages: Pages) -> list[str]:
    part = section(pages[FILE], "ROUTES")
    known = {name: placeholder.decode() for name, (placeholder, _) in COLLAPSES.items()}
    return [
        name for name, shown in known.items() if not re.search(rf"^ +{name}\s+{shown},", part, re.MULTILINE)
    ]


def fields_missing(pages: Pages) -> list[str]:
    part = section(pages[SERVICE_PAGE], "REPORTS IN THE JOURNAL")
    fields = report_fields(Report("access", False, 1, 0, 1.0, 0, 0.0, 0, (), latencies=LATENCIES))
    own = (name for name in fields if name.startswith("QPS_"))
    return [name for name in own if not re.search(rf"^ +{name}$", part, re.MULTILINE)]


def exit_statuses_missing(pages: Pages) -> list[str]:
    """Statuses without a paragraph, and commands of which that of 0 does not tell."""
    statuses = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    told = {name: section(pages[name], "EXIT STATUS") for name in (COMMAND, SERVICE_PAGE)}
    well = re.split("^ +1 ", told[COMMAND], flags=re.MULTILINE)[0]
    return [name for name in COMMANDS if not re.search(rf"\b{name}\b", well)] + [
        f"{name}: {status}"
        for name, text in told.items()
        for status in sorted(statuses)
        if not re.search(rf"^ +{status} +\S", text, re.MULTILINE)
    ]


def sections_missing(pages: Pages) -> list[str]:
    return [
        f"{name}: {heading}"
        for name in NAMES
        for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO")
        if not section(pages[name], heading).strip()
    ]


def names_unfit(pages: Pages) -> list[str]:
    """Pages that apropos(1) would not find: it wants `name - purpose`."""
    return [
        name
        for name in NAMES
        if not re.fullmatch(
            rf"\s+{re.escape(name.rpartition('.')[0])} - \S.*\s+", section(pages[name], "NAME")
        )
    ]


def references_broken(pages: Pages) -> list[str]:
    """References to pages of ours that we don't have."""
    named = set(re.findall(r"\b(qps-reporter[\w.-]*)\((\d)\)", "".join(pages.values())))
    return [f"{name}({number})" for name, number in named if f"{name}.{number}" not in pages]


def commands_wrong(pages: Pages) -> list[str]:
    """Examples of ours that would be refused."""
    problems = []
    for text in pages.values():
        for line in re.findall(r"^ {10}qps-reporter (.*)$", text, re.MULTILINE):
            command = re.split(r"  +|[&|]", line)[0]
            try:
                make_parser().parse_args(shlex.split(command))
            except (SystemExit, argparse.ArgumentError):
                problems.append(command)
    return problems


CASES: list[tuple[Check, str, str, str]] = [  # check; page, text in it and what takes its place in the twin
    (arguments_missing, COMMAND, "   audit\n", "   revise\n"),
    (arguments_missing, COMMAND, "       --once ", "       --twice "),
    (arguments_missing, COMMAND, "--late-writer SECONDS\n", "--late SECONDS\n"),
    (arguments_missing, COMMAND, "--output-file FILE\n", "--output FILE\n"),
    (arguments_missing, COMMAND, "       LOG    The", "       THE"),
    (arguments_missing, COMMAND, "       --version\n", ""),
    (settings_missing, FILE, "       quiet = TIME\n", "       calm = TIME\n"),
    (settings_missing, FILE, "Default: 64KiB. Range", "Default: 65KiB. Range"),
    (settings_missing, FILE, "       match = REGEX\n", "       search = REGEX\n"),
    (collapses_missing, FILE, "       hex    :hex", "       hex    :dec"),
    (settings_missing, FILE, "Range: 256 to 1MiB.", "Range: 256 to 2MiB."),
    (settings_missing, FILE, "       [output.json]\n", "       [output.jsonl]\n"),
    (settings_missing, FILE, "Default: 8125.", "Default: 8126."),
    (settings_missing, FILE, "Variable: QPS_REPORTER_STATE.", ""),
    (variables_missing, COMMAND, "       QPS_REPORTER_START\n", ""),
    (variables_missing, COMMAND, "       QPS_REPORTER_PURE\n", ""),
    (formats_missing, FILE, "       auto   ", "       self   "),
    (fields_missing, SERVICE_PAGE, "       QPS_LATENCY\n", "       QPS_TIME\n"),
    (fields_missing, SERVICE_PAGE, "       QPS_SECONDS\n", "       QPS_TIME\n"),
    (exit_statuses_missing, COMMAND, "so were top and web", "so was top"),
    (exit_statuses_missing, SERVICE_PAGE, "       3      Another", "       4      Another"),
    (sections_missing, FILE, "\nSEE ALSO\n", "\nMORE\n"),
    (names_unfit, COMMAND, "qps-reporter - ", "qps-reporter: "),
    (references_broken, FILE, "qps-reporter.service(8)", "qps-reporter.service(5)"),
    (commands_wrong, SERVICE_PAGE, "qps-reporter audit --state", "qps-reporter audit --ledger"),
]
CHECKS = list(dict.fromkeys(check for check, *_ in CASES))


@pytest.fixture(scope="module")
def pages(sources: Pages) -> dict[str, str]:
    return {name: read(source) for name, source in sources.items()}


@pytest.mark.parametrize("check", CHECKS)
def test_the_pages_have_no_fault(check: Check, pages: Pages) -> None:
    assert check(pages) == []


@pytest.mark.twin
@pytest.mark.parametrize(("check", "page", "right", "wrong"), CASES)
def test_a_fault_is_noticed(
    check: Check, page: str, right: str, wrong: str, pages: Pages, capsys: pytest.CaptureFixture[str]
) -> None:
    assert right in pages[page]
    assert check({**pages, page: pages[page].replace(right, wrong)})


@pytest.mark.parametrize("name", NAMES)
def test_groff_has_nothing_to_complain_of(name: str, sources: Pages) -> None:
    assert man(sources[name]).stderr == ""


@pytest.mark.twin
def test_what_groff_complains_of_is_noticed(sources: Pages) -> None:
    assert man(sources[FILE].replace(".SH FORMATS", ".SH FORMATS\n.frobnicate")).stderr


def parts_left_out(sources: str) -> list[str]:
    """What the program tells and no page takes."""
    return [name for name in script(BUILD).PARTS if f"@{name}@" not in sources]


def test_each_part_stands_on_a_page() -> None:
    text = "".join(path.read_text() for path in BUILD.parent.glob("*.rst"))
    assert parts_left_out(text) == []
    assert parts_left_out(text.replace("@environment@", "")) == ["environment"]


def test_the_same_sources_give_the_same_pages(sources: Pages, tmp_path: Path) -> None:
    assert build(tmp_path / "again", TZ="Asia/Tokyo", QPS_REPORTER_STATE="/elsewhere") == sources
    dated = build(tmp_path / "dated", SOURCE_DATE_EPOCH=EPOCH)
    assert all('"2026-09-21"' in dated[name] for name in NAMES)
    assert not any('"2026-09-21"' in sources[name] for name in NAMES)


@pytest.mark.parametrize("fault", ["*unfinished", "@unknown@", "`nowhere`_"])
def test_a_faulty_source_makes_no_page(fault: str) -> None:
    module = script(BUILD)
    source = "====\npage\n====\n\n-------\npurpose\n-------\n\n:Manual section: 1\n\nTEXT\n====\n\n"
    assert module.page(f"{source}text\n")
    with pytest.raises(Exception, match=r"Inline emphasis|unknown|Unknown target"):
        module.page(f"{source}{fault}\n")
