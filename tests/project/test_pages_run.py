"""Every command of README and the tutorials runs, and prints what the page says.

Here those that anybody types; tests/system/test_pages.py has those of a server's root.
"""

import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path
from queue import Empty, Queue

import pytest

from tests.project.pages import (
    ELSEWHERE,
    INTERRUPT,
    ROOT,
    VARIES,
    PageError,
    Step,
    alike,
    anywhere,
    blocks,
    compare,
    mentioned,
    pages,
    plain,
    read,
    steps,
)
from tests.unit.receiving import TcpReceiver, UdpReceiver
from tests.unit.toy_gmond import ToyGmond

HANG = 120.0  # seconds after which whatever is waited for is taken to hang
HOME = "/home/you/try"  # what pages call the reader's own directory
STAYS = re.compile(r"^qps-reporter run (?!.*--once)")
# The demo's traffic is another each time: which rows come, and how many requests there were.
CHANCE = [
    (re.compile(r"^/\S*\t\d{3}\t\S+$"), "ROW"),
    (re.compile(r"\b\d+ requests counted"), "N requests counted"),
    (re.compile(r"\b\d+ of \d+ lines fit"), "N of N lines fit"),
]


def by_chance(lines: list[str]) -> list[str]:
    """With a name in place of what the demo's traffic decides; rows that follow each other are one."""
    found: list[str] = []
    for line in lines:
        for pattern, name in CHANCE:
            line = pattern.sub(name, line)
        if line != "ROW" or found[-1:] != ["ROW"]:
            found.append(line)
    return found


class Anybody:
    """Types into a shell, in an empty directory; what belongs to the checkout is typed there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        path = f"{ROOT}/.venv/bin:{os.environ['PATH']}"
        self._environment = {"PATH": path, "HOME": str(directory), "LANG": "C.UTF-8"}
        self._staying: subprocess.Popen[str] | None = None
        self._listener = threading.Thread()
        self._lines: Queue[str] = Queue()  # those of the one that stays, as they come
        self._apart: tuple[list[str], list[str]] = ([], [])  # of the page and of what came: all, by now

    def _start(self, command: str) -> subprocess.Popen[str]:
        in_checkout = command.startswith(("scripts/", ".venv/"))
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}" if STAYS.match(command) else command],
            cwd=ROOT if in_checkout else self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, step: Step) -> str:
        if STAYS.match(step.typed):
            return self._stay(step)
        if step.typed.startswith("scripts/demo.sh"):
            self.type("scripts/setup.sh run")  # what the demo begins with, and says the first time
        page, came = list(step.printed), self.type(step.typed).splitlines()
        if step.typed.startswith("scripts/demo.sh"):
            page, came = by_chance(page), by_chance(came)
        return compare(page, came)

    def type(self, command: str) -> str:
        """What a command prints until its end."""
        printed, _ = self._start(command).communicate(timeout=HANG)
        return self._as_at_home(printed)

    def file(self, step: Step) -> str:
        return ""  # it is the server's

    def _stay(self, step: Step) -> str:
        if self._staying:
            return "another is still running"
        self._staying = self._start(step.typed)
        self._listener = threading.Thread(target=self._listen, args=(self._staying,), daemon=True)
        self._listener.start()
        return self._await(step.printed)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        with process.stdout as printed:
            for line in printed:
                self._lines.put(self._as_at_home(line).rstrip("\n"))
        self._lines.put(INTERRUPT)  # the end

    def _await(self, page: tuple[str, ...]) -> str:
        """Take lines until they are the page's."""
        came: list[str] = []
        self._apart[0].extend(page)
        while not alike(plain(page), plain(came)):
            try:
                came.append(self._lines.get(timeout=HANG))
            except Empty:
                came.append(INTERRUPT)
            if came[-1] == INTERRUPT:
                self._lines.put(INTERRUPT)
                return "\n".join(["the page has", *page, "and what came is", *came[:-1]])
        self._apart[1].extend(came)
        return ""

    def go_on(self, step: Step) -> str:
        if not self._staying:
            return "nothing is running that could print this"
        if INTERRUPT not in step.printed:
            return self._await(step.printed)
        at = step.printed.index(INTERRUPT)
        said = self._await(step.printed[:at])
        self._end(signal.SIGINT)
        came = list(iter(lambda: self._lines.get(timeout=HANG), INTERRUPT))
        self._apart[0].extend(step.printed)
        self._apart[1].extend(came)
        return said or compare(
            [line for line in step.printed[at + 1 :] if not anywhere([line])],
            [line for line in came if not anywhere([line])],
        )

    def _end(self, by: signal.Signals) -> None:
        assert self._staying
        self._staying.send_signal(by)
        self._staying.wait(HANG)
        self._listener.join(HANG)
        self._staying = None

    def end(self) -> str:
        """What is wrong at the page's end."""
        if self._staying:
            self._end(signal.SIGKILL)
            return "a command is still running at the page's end"
        page, came = map(anywhere, self._apart)
        return "" if page == came else f"the page has {page}, and what came is {came}"

    def _as_at_home(self, text: str) -> str:
        return text.replace(str(self._directory), HOME)


def follow(text: str, directory: Path) -> list[str]:
    """What is wrong with a page for anybody who does what it says."""
    reader = Anybody(directory)
    try:
        wrong = read(text, "anybody", reader)
    finally:
        left = reader.end()
    return wrong + ([left] if left else [])


def not_run(text: str) -> list[str]:
    """What a page has and neither of the two tests would run or compare."""
    try:
        found = list(steps(text))
    except PageError as error:
        return [str(error)]
    wrong = [
        f"line {step.line}: nothing is typed" for step in found if not step.typed and step.who != "again"
    ]
    running = False
    for step in found:
        running = running or bool(step.who == "anybody" and STAYS.match(step.typed))
        if step.who == "again" and not running:
            wrong.append(f"line {step.line}: nothing is running that could print this")
        running = running and not (step.who == "again" and INTERRUPT in step.printed)
    return wrong


def run_nowhere(elsewhere: dict[str, str]) -> list[str]:
    """Commands of which it is said that a file runs them, and it doesn't."""
    wrong = []
    for command, name in elsewhere.items():
        path = ROOT / name
        word = command.split()[-1].removeprefix("scripts/")
        if not path.exists() or word not in path.read_text():
            wrong.append(command)
    return wrong


def told_and_not_typed(text: str, typed: set[str]) -> list[str]:
    """Commands in a page's sentences that no page has typed, and nobody runs elsewhere."""
    return [
        command
        for command in mentioned(text)
        if command not in ELSEWHERE and not any(f"{each} ".startswith(f"{command} ") for each in typed)
    ]


def all_typed() -> set[str]:
    """Every command of every page."""
    return {
        step.typed for text in pages().values() for step in steps(text) if step.who in ("anybody", "root")
    }


def test_each_block_is_run_or_no_command() -> None:
    texts = pages()
    assert {"README.md", "docs/tutorial/first-report.md", "docs/tutorial/first-service.md"} <= texts.keys()
    assert {name: not_run(text) for name, text in texts.items() if not_run(text)} == {}
    assert any(step.who == "root" for text in texts.values() for step in steps(text))


def test_what_is_run_elsewhere_is_run_there() -> None:
    told = {command for text in pages().values() for command in mentioned(text)}
    assert all_typed() | told >= ELSEWHERE.keys()
    assert run_nowhere(ELSEWHERE) == []


def test_a_command_in_a_sentence_is_typed_in_a_block() -> None:
    assert [wrong for text in pages().values() for wrong in told_and_not_typed(text, all_typed())] == []


def test_each_pattern_is_wanted() -> None:
    printed = [line for text in pages().values() for block in blocks(text) for line in block.lines]
    assert [name for pattern, name in VARIES if not any(map(pattern.search, printed))] == []


@pytest.mark.real_time
@pytest.mark.parametrize("name", pages())
def test_the_page_is_true(name: str, tmp_path: Path) -> None:
    assert follow(pages()[name], tmp_path) == []


# --- what README's outputs send


def configured(text: str, ports: dict[str, int]) -> str:
    """README's outputs that send, in one configuration, with their receivers' ports."""
    found = [
        "\n".join(block.lines) + "\n"
        for block in blocks(text)
        if block.kind == "toml" and any(line.startswith("[output.") for line in block.lines)
    ]
    together = "".join(table for table in found if "prometheus" not in table)
    for name, port in ports.items():
        table = f"[output.{name}]\n"
        assert table in together
        together = together.replace(table, f"{table}port = {port}\n")
    return together


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What is sent of README's simulated log, in lines without their times."""
    text, directory = pages()["README.md"], tmp_path_factory.mktemp("sent")
    simulate = next(step.typed for step in steps(text) if step.typed.startswith("qps-reporter simulate"))
    reader, toy = Anybody(directory), ToyGmond()
    statsd, gmond, graphite = UdpReceiver(), UdpReceiver(), TcpReceiver()
    # All that one report sends is read only after it.
    statsd.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    ports = {"statsd": statsd.port, "graphite": graphite.port, "ganglia": gmond.port}
    log = '[log.access]\npath = "access.log"\n'
    (directory / "quiet.toml").write_text(log)
    (directory / "all.toml").write_text(configured(text, ports) + log)
    once = "qps-reporter run --state sent --once --config"
    for command in (f"{once} quiet.toml", simulate, f"{once} all.toml"):
        reader.type(command)
    for packet in gmond.receive():
        toy.take(packet, 0)
    graphite.accept(HANG)
    lines = (graphite.receive() + b"\n".join(statsd.receive())).decode()
    for each in (statsd, gmond, graphite):
        each.close()
    return {*TIME.sub("", lines).splitlines(), *(f"{name} {value}" for name, value in toy.values.items())}


TIME = re.compile(r"(?m) \d{10}$")


def not_sent(text: str, sent: set[str]) -> list[str]:
    """What README says is sent, and isn't."""
    said = [line for block in blocks(text) if block.kind == "text" for line in block.lines]
    names = re.findall(r"`(qps_access_\w+)`", text)
    assert said
    assert names
    wrong = [line for line in said if TIME.sub("", line) not in sent]
    return wrong + [name for name in names if not any(line.startswith(f"{name} ") for line in sent)]


@pytest.mark.real_time
def test_what_readme_says_is_sent_is_sent(sent: set[str]) -> None:
    assert not_sent(pages()["README.md"], sent) == []


@pytest.mark.real_time
@pytest.mark.twin
def test_a_metric_that_is_not_sent_is_noticed(sent: set[str]) -> None:
    text = pages()["README.md"]
    wrong = "qps.web1.access.GET./.200.requests"
    twin = text.replace("qps.web1.access.GET._.200.requests", wrong).replace(
        "qps_access_root_200_count", "qps_access_200_count"
    )
    assert not_sent(twin, sent) == [
        f"{wrong}:4671|c",
        f"{wrong} 4671 1795974855",
        "qps_access_200_count 4875",
    ]


# --- pages that are wrong

TRUE = "```console\n$ echo one; echo two\none\ntwo\n```\n"
FOLLOWED = """\
```console
$ qps-reporter simulate -o access.log -r 0 --rate 1000 --duration 0.1 --seed 1
$ qps-reporter run access.log --start start
qps-reporter: following /home/you/try/access.log
qps-reporter: /home/you/try/access.log is read in the format default: 100 of 100 lines fit default
```
```console
^C
...
total	-	0

qps-reporter: stopped; 100 requests counted and 0 lines rejected in total
```
"""


@pytest.mark.parametrize(
    "page",
    [
        TRUE,
        "```console\n$ true\n$ seq 9\n1\n...\n9\n```\n",
        "```console\n$ printf '%s\\n' \\\n> one\none\n```\n",
        "```toml\n[x]\n```\n```text\nnothing\n```\n",
        FOLLOWED,
    ],
)
def test_a_page_that_is_true_passes(page: str, tmp_path: Path) -> None:
    assert not_run(page) == []
    assert follow(page, tmp_path) == []


@pytest.mark.twin
@pytest.mark.parametrize(
    ("page", "right", "wrong"),
    [
        (TRUE, "\none\n", "\nuno\n"),
        (TRUE, "two\n```", "```"),
        (TRUE, "two\n```", "two\nthree\n```"),
        (TRUE, "two\n```", "...\nthree\n```"),
        (TRUE, "$ echo", "$ ecko"),
        (FOLLOWED, "100 requests counted", "101 requests counted"),
        (
            FOLLOWED,
            "fit default\n```",
            "fit default\nqps-reporter: /a was rotated; 2 of its files are open\n```",
        ),
        (FOLLOWED, "^C\n", "^C\nqps-reporter: /a was rotated; 2 of its files are open\n"),
        (FOLLOWED, FOLLOWED[FOLLOWED.index("```console\n^C") :], ""),
        (FOLLOWED, "total\t-\t0\n", "total\t-\tnone\n"),
    ],
)
def test_a_page_that_is_wrong_is_noticed(page: str, right: str, wrong: str, tmp_path: Path) -> None:
    assert right in page
    assert follow(page.replace(right, wrong), tmp_path)


@pytest.mark.twin
@pytest.mark.parametrize(
    "page",
    [
        TRUE.replace("console", "sh"),
        TRUE.replace("console", ""),
        TRUE.replace("console", "text"),
        TRUE.removesuffix("```\n"),
        "```text\nscripts/test.sh\n```\n",
        "```console\nnobody printed this\n```\n",
        "```console\n$ \n```\n",
        FOLLOWED.replace(" --start", " --once --start"),
        FOLLOWED + "```console\n^C\n```\n",
    ],
)
def test_a_command_that_nobody_runs_is_noticed(page: str) -> None:
    assert not_run(page)


@pytest.mark.twin
def test_a_command_that_is_run_nowhere_is_noticed() -> None:
    assert run_nowhere({"scripts/demo.sh": ".ci/run"}) == ["scripts/demo.sh"]
    assert run_nowhere({"scripts/test.sh": "tests/nowhere.py"}) == ["scripts/test.sh"]
    assert told_and_not_typed("`qps-reporter run a`, `scripts/demo.sh --for 8`", {"qps-reporter run ab"}) == [
        "qps-reporter run a",
        "scripts/demo.sh --for 8",
    ]
    [wrong] = read("```console\n$ scripts/test.sh\npassed\n```\n", "anybody", Anybody(ROOT))
    assert "is run elsewhere" in wrong
