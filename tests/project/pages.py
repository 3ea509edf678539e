"""README and the tutorials as their readers take them: what is typed, what is printed, what is a file.

In a block of the kind `console`, a line `$ COMMAND` is typed by anybody, in a directory of one's own, and a
line `# COMMAND` by root, on a server. What follows a command is what it prints: `...` stands for lines that
the page leaves out, and `^C` for Ctrl-C. A block that does not begin with a command goes on where
`qps-reporter run` is still running. `toml` and `ini` are files, and `text` is neither. There is no other
kind, and none of these hides a command: each is run and compared, or the page is wrong. In a sentence a
command of ours may stand, between backquotes, if it is typed in a block too, at least with more behind it.
"""

import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol

ROOT = Path(__file__).parents[2]
KINDS = ("console", "toml", "ini", "text")
PROMPTS = {"$ ": "anybody", "# ": "root"}
LEFT_OUT, INTERRUPT = "...", "^C"
OWN_COMMANDS = ("qps-reporter ", "scripts/", ".venv/")

# What stands on a page and is run elsewhere, with the file that runs it, or has nothing but it run.
ELSEWHERE = {
    "scripts/test.sh": ".ci/run",
    "scripts/install.sh": "tests/system/test_install.py",
    "scripts/build-deb.sh": "tests/system/package.py",
    "scripts/check.sh fast": "scripts/check.sh",
    "scripts/setup.sh run": "scripts/demo.sh",
    "scripts/setup.sh bench": "scripts/setup.sh",
    ".venv/bin/python -m benchmarks": "tests/project/test_benchmarks.py",
}

# What is another one each time, on the page as in the test: a pattern, and the name that takes its place.
DAY, MONTH = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)", "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
VARIES = [
    (re.compile(r'"time":"[\d:TZ-]+","unix":\d{10},"seconds":\d+\.\d+,'), "TIME"),
    (re.compile(rf"\b{DAY} {MONTH} [ \d]\d \d\d:\d\d:\d\d \d{{4}}"), "DATE"),
    (re.compile(r"^((?:/\S*|other)\t\d{3}|total\t-)\t\d[\d.]*$"), r"\1 RATE"),
    (re.compile(r"\b\d[\d.]* requests/s\b"), "RATE requests/s"),
    (re.compile(rf"\bsince {DAY} \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC; [\w ]+ ago$"), "since DATE"),
    (re.compile(r"^( *exists +yes: .*), \d+ bytes$"), r"\1, SIZE"),
    (re.compile(r"^( *ledger +.*): \d+ bytes$"), r"\1: SIZE"),
    (re.compile(r"\b20\d\d-\d\d-\d\d \d\d:\d\d(?::\d\d)?\b"), "WHEN"),
    (re.compile(r"^time +seconds +req/s .*$"), "COLUMNS"),
    (re.compile(r"^(WHEN|total) +\d[\d.]* +\d[\d.]* +\d.*$"), r"\1 NUMBERS"),
    (re.compile(r"^(\w+)  last \d.* req/s  2xx .*$"), r"\1 NOW"),
    (re.compile(r"^[! ] +\d[\d.]* .* (/\S*)$"), r"ROW \1"),
    (re.compile(r"\(native scanner, \w+\)"), "(native scanner, INSTRUCTIONS)"),
    (re.compile(r"/tmp/tmp\.\w{10}\b"), "DIRECTORY"),
]
# Of these the page has as many as it needs, wherever they stand: when they come is a matter of chance.
ANYWHERE = re.compile(r"^(qps-reporter: \S+ was rotated)(?: \d+ times)?; \d+ of its files are open$")


class PageError(Exception):
    """A page has what can't be run."""


class Block(NamedTuple):
    """What stands between two fences."""

    line: int  # of the page, from 1: the first one within
    kind: str
    lines: tuple[str, ...]


class Step(NamedTuple):
    """One thing that the reader does, and what comes of it."""

    line: int  # of the page, from 1
    who: str  # anybody, root; file; again: where something is still running
    typed: str  # the command; of a file its text
    printed: tuple[str, ...]


class Reader(Protocol):
    """Somebody who has a shell. Each returns what was wrong, in words; nothing if all is as the page says."""

    def run(self, step: Step) -> str:
        """Type a command, and compare what it prints until its end."""

    def file(self, step: Step) -> str:
        """Write a file."""

    def go_on(self, step: Step) -> str:
        """Compare what the command prints that is still running."""


def pages() -> dict[str, str]:
    """The pages whose commands are run, by name."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs" / "tutorial").glob("*.md"))]
    return {str(path.relative_to(ROOT)): path.read_text() for path in paths}


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a page, in their order."""
    kind, start, inside = "", 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("```"):
            inside.append(line)
        elif start:
            yield Block(start, kind, tuple(inside))
            start = 0
        else:
            kind, start, inside = line.strip().removeprefix("```"), number + 1, []
    if start:
        raise PageError(f"line {start}: the block has no end")


def steps(text: str) -> Iterator[Step]:
    """All that the reader of a page does, in order."""
    for block in blocks(text):
        if block.kind not in KINDS:
            raise PageError(f"line {block.line}: expected one of {', '.join(KINDS)}, found {block.kind!r}")
        if block.kind == "console":
            yield from _typed(block)
            continue
        for number, line in enumerate(block.lines, block.line):
            if line.startswith(("$ ", *OWN_COMMANDS)):
                raise PageError(f"line {number}: a command that nobody runs: {line}")
        if block.kind != "text":
            yield Step(block.line, "file", "\n".join(block.lines) + "\n", ())


def mentioned(text: str) -> list[str]:
    """Commands of ours that stand in sentences."""
    prose, inside = [], False
    for line in text.splitlines():
        fence = line.lstrip().startswith("```")
        inside = inside != fence
        if not inside and not fence:
            prose.append(line)
    spans = re.findall(r"`([^`]+)`", " ".join(prose))
    return [span for span in spans if re.match(r"qps-reporter \w|scripts/[\w-]+\.sh|\.venv/bin/\S+ ", span)]


def _typed(block: Block) -> Iterator[Step]:
    who, typed, begun, printed = "again", list[str](), block.line, list[str]()
    for number, line in enumerate(block.lines, block.line):
        if line[:2] in PROMPTS:
            if typed or printed:
                yield Step(begun, who, "\n".join(typed), tuple(printed))
            who, typed, begun, printed = PROMPTS[line[:2]], [line[2:]], number, []
        elif line.startswith("> ") and typed and typed[-1].endswith(("\\", "|")) and not printed:
            typed.append(line[2:])
        else:
            printed.append(line)
    yield Step(begun, who, "\n".join(typed), tuple(printed))


def read(text: str, who: str, reader: Reader) -> list[str]:
    """Do all that a page says to `who`, and return what was not as it says."""
    wrong = []
    for step in steps(text):
        said = ""
        if step.who == "file":
            said = reader.file(step)
        elif step.who == "again" and who == "anybody":
            said = reader.go_on(step)
        elif step.who == who and step.typed in ELSEWHERE:
            said = "".join(f"is run elsewhere, and prints {line!r}" for line in step.printed[:1])
        elif step.who == who:
            said = reader.run(step)
        if said:
            wrong.append(f"line {step.line}: {step.typed}: {said}")
    return wrong


def _named(line: str) -> str:
    for pattern, name in VARIES:
        line = pattern.sub(name, line)
    return line.rstrip()


def plain(lines: Sequence[str]) -> list[str]:
    """Lines with names in place of what is another each time, and without those that stand anywhere."""
    found = [_named(line) for line in lines if not ANYWHERE.match(line)]
    while found and not found[-1]:
        found.pop()
    return found


def anywhere(lines: Sequence[str]) -> set[str]:
    """Those that stand anywhere, once each."""
    return {_named(found[1]) for line in lines if (found := ANYWHERE.match(line))}


def alike(page: Sequence[str], came: Sequence[str]) -> bool:
    """Whether plain lines that came are those of the page, which may leave some out."""
    if not page:
        return not came
    if page[0] == LEFT_OUT:
        return any(alike(page[1:], came[at:]) for at in range(len(came) + 1))
    return bool(came) and came[0] == page[0] and alike(page[1:], came[1:])


def compare(page: Sequence[str], came: Sequence[str]) -> str:
    """What is wrong with what came, in words."""
    if alike(plain(page), plain(came)) and anywhere(page) == anywhere(came):
        return ""
    return "\n".join(["the page has", *page, "and what came is", *came])


def script(path: Path) -> ModuleType:
    """A program that makes pages, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
