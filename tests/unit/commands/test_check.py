"""`qps-reporter check`: each thing that it finds, in its words, with its exit status."""

import grp
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest

from qps_service.cli import main
from qps_service.commands import check
from qps_service.configuration import loader
from qps_service.counting.rules import apply_all
from qps_service.files.kernel import Files, Seen, group_name, user_name
from qps_service.service import other_runs, own_user, patterns
from qps_service.service.patterns import Patterns
from tests.promised import Patches, Promise, answers, cases, promises

Captured = pytest.CaptureFixture[str]
Monkey = pytest.MonkeyPatch

GOOD = b"1.2.3.4\tGET /a?q\t200\t512\n"
OTHER_USER = "nobody"

Test = TypeVar("Test", bound=Callable[..., None])

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can look as another user")


class Place:
    """A directory that every user may enter, as pytest's own are not, with a good log."""

    def __init__(self, root: Path, capsys: Captured) -> None:
        self._root, self._capsys = root, capsys
        self.log()

    def __truediv__(self, name: str) -> Path:
        return self._root / name

    def __str__(self) -> str:
        return str(self._root)

    def log(self, text: bytes = GOOD, mode: int = 0o644, name: str = "access.log") -> Path:
        path = self / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text)
        path.chmod(mode)
        return path

    def toml(self, text: str, name: str = "some.toml") -> None:
        (self / name).write_text(text)

    def checked(self, *words: str, status: int = 0) -> list[str]:
        """All lines of an answer."""
        assert main(["check", *words]) == status
        captured = self._capsys.readouterr()
        assert captured.err == ""
        return captured.out.splitlines()

    def looked(self, *words: str, status: int = 0) -> list[str]:
        """Those about the logs."""
        lines = self.checked(*words, status=status)
        return lines[4 if lines[3].startswith("  ledger ") else 3 :]


@pytest.fixture
def place(monkeypatch: Monkey, capsys: Captured) -> Iterator[Place]:
    """Our own user looks."""
    path = Path(tempfile.mkdtemp(prefix="qps-check-"))
    path.chmod(0o755)
    monkeypatch.chdir(path)
    monkeypatch.setattr(loader, "DEFAULT_FILE", str(path / "qps-reporter.toml"))
    monkeypatch.setattr(own_user, "SERVICE_USER", "no-such-user")
    monkeypatch.setattr(own_user, "HIDDEN", {})
    monkeypatch.setattr(check, "STATE", str(path / "var"))
    monkeypatch.setattr(other_runs, "PROC", str(path / "proc"))
    (path / "proc").mkdir()
    for name in [each for each in os.environ if each.startswith(("QPS_REPORTER_", "STATE_DIRECTORY"))]:
        monkeypatch.delenv(name)
    yield Place(path, capsys)
    shutil.rmtree(path)


@pytest.fixture
def nobody(place: Place, monkeypatch: Monkey) -> None:
    monkeypatch.setattr(own_user, "SERVICE_USER", OTHER_USER)


def as_nobody(test: Test) -> Test:
    """The service's user is not ours."""
    marked: Test = needs_root(pytest.mark.usefixtures("nobody")(test))
    return marked


CHOSEN_GOOD = (
    "  chosen       default: 1 of 1 lines fit default",
    "  first line   parses as GET /a 200, 512 bytes",
)


ME, GROUP = user_name(os.geteuid()), group_name(os.getegid())


def test_all_is_well(place: Place) -> None:
    assert place.checked("access.log", "--interval", "90s", "--state", "state") == [
        "configuration  no file",
        "interval       90s",
        f"state          {place}/state",
        f"log            access: {place}/access.log",
        "  format       auto",
        f"  exists       yes: -rw-r--r-- {ME} {GROUP}, 25 bytes",
        f"  readable     yes, by user {ME}",
        *CHOSEN_GOOD,
    ]


def check_the_files_of_the_configuration(place: Place) -> None:
    """All that were read, in their order: by default those of the service."""
    main_file = place / "qps-reporter.toml"
    (place / "conf.d").mkdir()
    for path in (main_file, place / "conf.d" / "20.toml"):
        path.write_text("")
    (place / "conf.d" / "10.toml").write_text(f"[log.web]\npath = '{place}/access.log'\n")
    assert place.checked()[:4] == [
        f"configuration  {main_file}",
        f"               {place}/conf.d/10.toml",
        f"               {place}/conf.d/20.toml",
        "interval       10s",
    ]


def check_what_a_pattern_matches(place: Place) -> None:
    """Each log, and what is left out and why; days in names are advised against."""
    os.utime(place.log(name="access-2.log"), (1 << 32, 1 << 32))
    os.utime(place.log(name="access-20261124.log"), (1, 1))
    os.utime(place.log(name="access-20261125.log"), (1, 1))
    place.log(name="access.log.gz")
    lines = place.checked(f"{place}/acc*.log*")
    old = f"it was last written to before the first line of {place}/access.log"
    assert lines[3:7] == [
        f"pattern        acc: {place}/acc*.log*",
        "  logs         2",
        *(
            f"  left out     {place}/access-{day}.log: {old}, and is named like a rotation of it"
            for day in ("20261124", "20261125")
        ),
    ]
    assert [line for line in lines if line.startswith("log ")] == [
        f"log            ess-2: {place}/access-2.log",
        f"log            ess: {place}/access.log",
    ]
    assert place.looked(f"{place}/no*.log", status=1) == [
        f"pattern        no: {place}/no*.log",
        "  logs         no file matches  <-- problem",
    ]
    place.toml(f'[log.a]\npath = "{place}/access.log"\n[log.later]\npath = "{place}/*ess.log"\n')
    assert "  logs         0, beside 1 with tables of their own" in place.checked("--config", "some.toml")
    nowhere = place.checked(f"{place}/nowhere/*.log", status=1)
    assert f"{place}/nowhere: No such file or directory" in "\n".join(nowhere)
    (place / "access.log").unlink()
    assert f'path = "{place}/access-%Y%m%d.log"' in "\n".join(place.checked(f"{place}/access-2026*.log"))


def check_what_dates_stand_for(place: Place) -> None:
    """The latest file by its name is looked at."""
    path = f"{place}/%Y%m%d/access.log"
    assert place.looked(path, status=1) == [
        f"log            access: {path}",
        "  format       auto",
        f"  dates        no file matches{PROBLEM}",
    ]
    for day in ("20261201", "20261130"):
        place.log(name=f"{day}/access.log")
        place.log(name=f"{day}/access.log.gz")
    lines = place.looked(path)[2:]
    assert lines[0] == f"  dates        2 files; the latest is {place}/20261201/access.log"
    assert lines[-1] == "  first line   parses as GET /a 200, 512 bytes"
    why = f"{place}/nowhere: No such file or directory{PROBLEM}"
    assert f"  dates        {why}" in place.looked(f"{place}/nowhere/%Y.log", status=1)


PROBLEM = "  <-- problem"


def test_the_first_lines_route_is_the_logs_own(place: Place) -> None:
    place.log(GOOD.replace(b"/a?q", b"/user/17/b?q"))
    place.toml(
        "[log.web]\npath = 'access.log'\ncollapse = ['numeric']\n"
        "[[log.web.route]]\nmatch = '^/user/:id/(.)'\nname = '/user/\\1'\n"
        "[[log.web.route]]\nmatch = 'x'\nname = 'y'\n"
    )
    lines = place.looked("--config", "some.toml")
    assert (lines[2], lines[4]) == ("  rule 1       ^/user/:id/(.)", "  rule 2       x")
    assert lines[-1] == "  first line   parses as GET /user/b 200, 512 bytes"


RULES = {  # what is said of them
    r"^/user/[^/]++/(\w++)": [r"0\.\d{3} ms on 1024 bytes, the slowest that were tried: .*"],
    r"(.*)/(.*)/(.*)\.php$": [
        r'it would be ended after 50 ms on 1024 bytes, the slowest that were tried: "/{20}\.\.\."',
        r'warning: 3 repetitions can match the same bytes, such as "//": n bytes take up to n\^4 steps',
        r"write repetition that gives nothing back, such as \[\^/\]\+\+",
    ],
}


def check_rules(place: Place) -> None:
    """Each with the time that it takes on a bad route, and with what makes it slow; which is no problem."""
    rules = "".join(f"[[log.web.route]]\nmatch = '{match}'\nname = '/x'\n" for match in RULES)
    place.toml(f"[log.web]\npath = 'access.log'\n{rules}")
    lines = place.looked("--config", "some.toml")
    said = [
        line
        for number, (match, texts) in enumerate(RULES.items(), start=1)
        for line in (f"  rule {number}       {re.escape(match)}", *(f" {{15}}{text}" for text in texts))
    ]
    for line, expected in zip(lines[2 : 2 + len(said)], said, strict=True):
        assert re.fullmatch(expected, line), line


def check_a_slow_first_line(place: Place) -> None:
    place.log(GOOD.replace(b"/a?q", b"/" * 200))
    rule = "[[log.web.route]]\nmatch = '(.*)/(.*)/(.*)\\.php$'\nname = '/x'\n"
    place.toml(f"[log.web]\npath = 'access.log'\n{rule}")
    lines = place.looked("--config", "some.toml")
    assert lines[-1] == "  first line   parses as GET other 200, 512 bytes"


MOUNT = (
    "  mount        it is mounted as a single file: after the next rotation outside it stays the old file, "
    f"and the new one cannot be seen here; mount its directory{PROBLEM}"
)


def unmount(path: Path) -> None:
    subprocess.run(["umount", "-l", path], check=True)


def check_mount(place: Place) -> None:
    """A log that is a mount of its own, and one that is a link to such a file, are a problem; one in a
    directory that is mounted, or that was mounted onto itself, is none."""
    outside, inside = place / "out\tside", place / "in side"
    for directory in (outside, inside):
        place.log(name=f"{directory.name}/access.log")
    alone = place.log(name="in side/a \\040 log")
    (place / "link").symlink_to(inside / "second")
    (inside / "second").symlink_to(alone)
    itself = place.log(name="in side/itself")
    with ExitStack() as mounts:
        for source, target in [(outside / "access.log", alone), (itself, itself), (outside, outside)]:
            subprocess.run(["mount", "--bind", source, target], check=True)
            mounts.callback(unmount, target)
        for log, is_alone in [
            (alone, True),
            (place / "link", True),
            (inside / "access.log", False),
            (outside / "access.log", False),
            (itself, False),
        ]:
            assert (MOUNT in place.looked(str(log), status=int(is_alone))) == is_alone, log


def without_links(self: Files, path: str) -> str:
    return path


NO_MOUNT = answers(Files, "is_mounted_alone", False)
NO_LINKS = Patches((Files, "resolve", without_links))
COMMON = b'1.2.3.4 - - [now] "GET /a HTTP/1.1" 200 7\n'
W3C = b"#Version: 1.0\r\n#Fields: cs-method cs-uri sc-status sc-bytes\r\n"
TAKEN = b"#Fields: cs-method cs-uri sc-status time-taken\nGET /a 200 12\n"
CHOSEN, FIRST, DURATION = "  chosen       ", "  first line   ", "  duration     "
PARSES, UNKNOWN = f"{FIRST}parses as GET /a 200, 7 bytes", f"{FIRST}parses as GET /a 200, bytes unknown"
UNTOLD = f"{DURATION}not measured: nothing tells the unit of "
# The format, the log, and what is said of its format and lines.
FOUND_OUT: list[tuple[str, bytes, list[str]]] = [
    ("default", b"", [f"{FIRST}none yet"]),
    ("default", b"10.0.0.1\tGET /a\t2", [f"{FIRST}not finished yet"]),
    ("default", GOOD + b"garbage\n", [f"{FIRST}parses as GET /a 200, 512 bytes"]),
    ("default", GOOD[:-1] + b"\r\n", [f"{FIRST}parses as GET /a 200, 512 bytes"]),
    ("default", b"1\tGET /\x1b[2J\t099\t-\n", [rf"{FIRST}parses as GET /\x1b[2J 099, bytes unknown"]),
    ("default", b"\n" + GOOD, [f'{FIRST}is rejected (fields): ""{PROBLEM}']),
    ("default", b"\x1b]0;x\x07 GET\n", [rf'{FIRST}is rejected (fields): "\x1b]0;x\x07 GET"{PROBLEM}']),
    (
        "default",
        b"1\tGET /\t2000\t5\n",
        [rf'{FIRST}is rejected (status): "1\x09GET /\x092000\x095"{PROBLEM}'],
    ),
    ("default", b"a" * 100_000, [f'{FIRST}is rejected (too_long): "{"a" * 256}"{PROBLEM}']),
    ("auto", COMMON, [f"{CHOSEN}combined: 1 of 1 lines fit combined", PARSES]),
    (
        "auto",
        GOOD + COMMON * 2 + b"cut",
        [
            f"{CHOSEN}combined: 2 of 3 lines fit combined, 1 default; "
            'format = ["combined", "default"] counts both',
            PARSES,
        ],
    ),
    # What it has now counts, and not what it began with.
    ("auto", GOOD * 3000 + COMMON * 1600, [f"{CHOSEN}combined: 100 of 100 lines fit combined", PARSES]),
    ("auto", b"?\n", [f"{CHOSEN}none: none of 1 lines fits a format that has a name{PROBLEM}"]),
    ("auto", b"\x1f\x8b\n", [f"{CHOSEN}none: it is compressed with gzip{PROBLEM}"]),
    ("auto", b"", [f"{FIRST}none yet"]),
    ("auto", W3C + b"GET /a?q 200 7\r\n", [f"{CHOSEN}w3c: 3 of 3 lines fit w3c", PARSES]),
    (
        "auto",
        b"#Software: Microsoft IIS 10.0\n" + TAKEN,
        [f"{CHOSEN}w3c: 3 of 3 lines fit w3c", UNKNOWN, f"{DURATION}12ms, by time-taken in ms"],
    ),
    (
        "auto",
        re.sub(b"(?m)^(?=.)", b"web-1  | ", b"#Software: Microsoft IIS 10.0\n" + TAKEN),
        [f"{CHOSEN}w3c: 3 of 3 lines fit w3c", UNKNOWN, f"{DURATION}12ms, by time-taken in ms"],
    ),
    (
        "auto",
        TAKEN,
        [
            f"{CHOSEN}w3c: 2 of 2 lines fit w3c",
            UNKNOWN,
            f"{UNTOLD}time-taken: no #Software that is known, and no fields of CloudFront",
        ],
    ),
    (
        "auto",
        b'{"path":"/a","status":200,"bytes":7,"took":12}\n',
        [
            f"{CHOSEN}json: 1 of 1 lines fit json",
            f"{FIRST}parses as - /a 200, 7 bytes",
            f'{UNTOLD}took; if it is ms, write format = "json duration=ms:took" (or s, us, ns)',
        ],
    ),
    (
        "auto",
        W3C + b"GET /a OK 7\n",
        [
            f"{CHOSEN}w3c: 2 of 2 lines fit w3c; 1 fit none",
            f'{FIRST}is rejected (status): "GET /a OK 7"{PROBLEM}',
        ],
    ),
    ("auto", W3C + b"GET /a 20", [f"{CHOSEN}w3c: 2 of 2 lines fit w3c", f"{FIRST}none yet, but directives"]),
]


@pytest.mark.parametrize(("name", "text", "said"), FOUND_OUT)
def test_what_is_found_out_of_lines(place: Place, name: str, text: bytes, said: list[str]) -> None:
    place.log(text)
    assert place.looked("access.log", "--format", name, status=int(PROBLEM in "".join(said)))[4:] == said


def test_a_pasted_format_is_shown_on_one_line(place: Place) -> None:
    place.log(b"/a 200\n")
    lines = place.looked("access.log", "--format", "log_format x\n  '$uri '\n  '$status';\n")
    assert lines[1] == "  format       log_format x '$uri ' '$status';"


def test_a_list_of_formats(place: Place) -> None:
    place.log(COMMON * 3 + b'{"uri":"/b","status":404}\n?\n')
    lines = place.looked("access.log", "--format", "common", "--format", "json")
    assert lines[1:3] == ["  format       common", "  or           json"]
    assert lines[5:] == [
        "  lines        3 of 5 are read by common",
        "               1 of 5 are read by json",
        "  first line   parses as GET /a 200, 7 bytes",
    ]


def _bind(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)


NO_FILE = "yes, but it is not a regular file "


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: None, "no: No such file or directory"),
        (os.mkdir, f"{NO_FILE}(drwxr-xr-x)"),
        (_bind, f"{NO_FILE}(srwxr-xr-x)"),
    ],
)
def test_a_log_that_is_missing_or_no_file(place: Place, make: Callable[[str], object], said: str) -> None:
    (place / "access.log").unlink()
    before = os.umask(0o022)
    make("access.log")
    os.umask(before)
    lines = place.looked("access.log", status=1)
    assert lines[:2] == [f"log            access: {place}/access.log", "  format       auto"]
    assert re.fullmatch(f"  exists       {re.escape(said)}.*{PROBLEM}", lines[2])
    assert len(lines) == 3


def check_a_pipe(place: Place) -> None:
    """It is named, and neither read nor opened: its writer would end with us, or what it wrote with it."""
    (place / "access.log").unlink()
    os.mkfifo("access.log", 0o640)
    assert place.looked("access.log")[2:] == [
        f"  exists       yes, a pipe: prw-r----- {ME} {GROUP}",
        f"  readable     yes, by user {ME}",
    ]


def check_what_was_given(place: Place) -> None:
    """Of a pipe without a name nothing is read; a terminal is named, since somebody has to type."""
    reading, writing = os.pipe()
    os.write(writing, GOOD)
    leader, terminal = os.openpty()
    given = {reading: "a pipe: the run ends with it", os.open("access.log", os.O_RDONLY): "a file, which is "}
    given[terminal] = "a terminal: reads what is typed there, up to Ctrl-D"
    for number, said in given.items():
        assert place.looked(f"/dev/fd/{number}")[2].startswith(f"  exists       yes, {said}")
    assert os.read(reading, 1024) == GOOD
    for number in (*given, writing, leader):
        os.close(number)


NO_PIPES = {"no pipes": Patches((Seen, "is_pipe", False))}
NOTHING_GIVEN = {"nothing given": answers(check, "inherited")}


def test_one_bad_log_of_several_is_a_problem(place: Place) -> None:
    place.toml("[log.bad]\npath = 'bad.log'\n[log.good]\npath = 'access.log'\n")
    lines = place.looked("--config", "some.toml", status=1)
    assert "rows           48000 of all logs, of which each has 12000 for itself, and up to 24000" in lines
    assert [line.endswith(PROBLEM) for line in lines] == [False, False, False, True] + [False] * 6


def test_a_path_that_is_no_text(place: Place) -> None:
    path = place.log(name=os.fsdecode(b"\xff\x1b.log"))
    assert place.looked(str(path))[0].endswith(r"/\xff\x1b.log")


# --- as the service's user


def check_rights(place: Place, nobody: None, case: tuple[int, int, list[str]]) -> None:
    """What root can read, or enter, and the service's user can't is a problem: modes of directory and log."""
    directory, log, said = case
    place.log(name="logs/access.log", mode=log)
    (place / "logs").chmod(directory)
    lines = place.looked("logs/access.log", status=int(PROBLEM in said[-1]))
    assert lines[-len(said) :] == said
    assert os.geteuid() == 0


REFUSED = f"no: Permission denied for user {OTHER_USER}"
ROOTS_OWN = {"root's own rights": Patches((check, "as_user", lambda _, look: look()))}
OUTPUTS = {
    "prometheus": ('listen = "[::1]:9310"', "listens on [::1]:9310, or on the socket that systemd passes"),
    "ganglia": ('host = "metrics.example"', "UDP to metrics.example:8649"),
    "statsd": ("", "UDP to 127.0.0.1:8125"),
    "graphite": ("port = 2013", "TCP to 127.0.0.1:2013"),
    "json": ('path = "reports.jsonl"', "{place}/reports.jsonl"),
    "textfile": ('path = "collector/qps.prom"', "{place}/collector/qps.prom"),
}
CHANNELS = {"ganglia": ('gmond_conf = "gmond.conf"', "to the udp_send_channels of {place}/gmond.conf")}


@pytest.mark.parametrize("outputs", [OUTPUTS, CHANNELS], ids=["all", "gmond's channels"])
def test_it_says_where_each_output_leads(place: Place, outputs: dict[str, tuple[str, str]]) -> None:
    place.toml("".join(f"[output.{name}]\n{each[0]}\n" for name, each in outputs.items()))
    (place / "collector").mkdir()
    lines = place.looked("access.log", "--config", "some.toml")
    leading = [f"output         {name}: {where.format(place=place)}" for name, (_, where) in outputs.items()]
    assert lines[: len(outputs)] == leading
    assert lines[len(outputs)].startswith("log ")


def a_place_that_holds_no_file_is_a_problem(place: Place, case: tuple[Callable[[Path], object], str]) -> None:
    """Though the service would count all the same."""
    lay, mode = case
    place.toml('[output.json]\npath = "reports"\n')
    lay(place / "reports")
    said = f"output         json: {place}/reports: it is not a regular file ({mode}){PROBLEM}"
    assert said in place.looked("access.log", "--config", "some.toml", status=1)


def a_state_directory_of_another_user_is_a_problem(place: Place) -> None:
    """The service's user would not keep a ledger there."""
    (place / "state").mkdir()
    os.chown(place / "state", 4711, -1)
    said = f"state          {place}/state: it belongs to 4711, expected root{PROBLEM}"
    assert said in place.checked("access.log", "--state", "state", status=1)


@as_nobody
def test_what_the_units_sandbox_hides_is_told(place: Place, monkeypatch: Monkey) -> None:
    """Of each output and each log."""
    place.log(name="hidden/access.log")
    for name in ("hidden", "other", "var"):
        (place / name).mkdir(exist_ok=True)
        (place / name).chmod(0o777)
    outputs = '[output.json]\npath = "hidden/a"\n[output.textfile]\npath = "other/b.prom"\n'
    place.toml(f'{outputs}[log.a]\npath = "hidden/access.log"\n[log.b]\npath = "access.log"\n')
    monkeypatch.setattr(own_user, "HIDDEN", {f"{place}/hidden": "ProtectHome="})
    hidden = "hidden is hidden from the service by ProtectHome= of its unit, unless a drop-in says otherwise"
    protected = "the service can write below its state directory alone, by ProtectSystem= of its unit, unless"
    lines = [
        each for each in place.checked("--config", "some.toml") if each[:6] in ("output", "  sand", "log   ")
    ]
    assert lines == [
        f"output         json: {place}/hidden/a",
        f"  sandbox      {place}/{hidden}",
        f"output         textfile: {place}/other/b.prom",
        f"  sandbox      {protected} a drop-in has ReadWritePaths= or LogsDirectory=",
        f"log            a: {place}/hidden/access.log",
        f"  sandbox      {place}/{hidden}",
        f"log            b: {place}/access.log",
    ]


def the_ledger_is_named(place: Place, monkeypatch: Monkey, source: str, state: str) -> None:
    """That of the unit, or of the instance whose configuration it is; what is given wins."""
    monkeypatch.setattr(check, "DEFAULT_FILE", str(place / "etc" / "qps-reporter.toml"))
    (place / "etc").mkdir()
    place.toml(f"[log.a]\npath = '{place}/access.log'\n", source)
    for made in (False, True):
        if made:
            (place / state).mkdir(parents=True)
            (place / state / "ledger.db").write_bytes(b"x" * 17)
        given = ["--state", str(place / state)] if state == "given" else []
        lines = place.checked("--config", str(place / source), *given)[2:4]
        whence = "" if given else ", which systemd gives the service"
        how = "17 bytes" if made else "none yet; the first start makes it"
        assert lines == [
            f"state          {place}/{state}{whence}", f"  ledger       {place}/{state}/ledger.db: {how}",
        ]  # fmt: skip


def outputs_files_are_tried(place: Place, case: tuple[str, Callable[[Path], object], str | None]) -> None:
    """As the service's user, whose rights root has not."""
    text, lay, problem = case
    (place / "out").mkdir()
    lay(place / "out")
    name, _, path = text.partition(":")
    place.toml(f'[output.{name}]\npath = "{path}"\n')
    lines = place.checked("access.log", "--config", "some.toml", status=int(problem is not None))
    [line] = [line for line in lines if line.startswith("output ")]
    said = f": {problem.format(place=place)}{PROBLEM}" if problem else ""
    assert line == f"output         {name}: {place}/{path}{said}"


def put(path: Path, mode: int) -> None:
    path.touch()
    path.chmod(mode)


DENIED = "Permission denied for user nobody; its mode is "
SHUT = f"directory {{place}}/out: {DENIED}drwxr-xr-x root root"
TRIED: tuple[tuple[str, Callable[[Path], object], str | None], ...] = (
    ("json:out/a", lambda out: out.chmod(0o777), None),
    ("json:out/a", lambda out: out.chmod(0o755), SHUT),
    ("json:out/a", lambda out: put(out / "a", 0o666), None),
    ("json:out/a", lambda out: put(out / "a", 0o644), f"{DENIED}-rw-r--r-- root root"),
    ("json:none/a", lambda out: None, "directory {place}/none: No such file or directory"),
    ("textfile:out/a.prom", lambda out: out.chmod(0o777), None),
    ("textfile:out/a.prom", lambda out: put(out / "a.prom", 0o666), SHUT),
)


def others_are_told(place: Place, case: tuple[tuple[tuple[str, str], ...], list[str]]) -> None:
    """Processes of `run` that have the log open, but for the service itself."""
    runs, told = case
    for number, (command, group) in enumerate(runs, start=7):
        process = place / "proc" / str(number)
        (process / "fd").mkdir(parents=True)
        (process / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
        (process / "cgroup").write_text(f"0::/{group}\n")
        (process / "fd" / "3").symlink_to(place / ("other.log" if "other" in command else "access.log"))
    (place / "proc" / "self").mkdir()
    said = "  followed     warning: by {}, too: the journal has the reports of both"
    assert place.looked("access.log")[6:] == [said.format(each) for each in told]


UNIT, HAND = "system.slice/qps-reporter.service", "user.slice/session-1.scope"
RUN = "/usr/bin/python3 /usr/bin/qps-reporter run"
RUNS: tuple[tuple[tuple[tuple[str, str], ...], list[str]], ...] = (
    ((), []),
    (((RUN, UNIT),), []),
    (((f"{RUN} x", HAND), (RUN, UNIT)), ["PID 7 (/usr/bin/qps-reporter run x)"]),
    (((RUN, UNIT), (RUN, "a.slice/qps-reporter@shop.service")), ["qps-reporter@shop.service"]),
    ((("python3 -m qps_service run x", HAND),), ["PID 7 (qps_service run x)"]),
    (((RUN, UNIT), ("tail -F access.log", HAND), ("qps-reporter check", HAND)), []),
)
OTHERS: tuple[Any, list[str]] = (((RUN, UNIT), (f"{RUN} other.log", HAND)), [])


THE_UNITS = {"the unit's": answers(check, "_state_of_the_unit")}
NOT_TRIED = {"not tried": Patches((check, "_objection_to_write", lambda path, anew: None))}
ALONE = {"alone": answers(check, "runs_on", [])}
ANYBODY = Patches(
    (other_runs, "_has_open", lambda pid, log: True), (other_runs, "_NAMES", ("tail", "qps-reporter"))
)
AS_IT_IS = {"as what it is": Patches((check, "_output", lambda output, user: [("output", "json", True)]))}
test_promise, test_twin = promises(
    {
        check_rules: {"no warning": answers(check, "polynomial", [])},
        check_the_files_of_the_configuration: {
            "the first": Patches((check, "_source", lambda config: [("configuration", config.source, True)]))
        },
        check_what_a_pattern_matches: [
            answers(patterns, "why_none", ""),
            answers(patterns, "advice_for"),
            answers(Patterns, "named", []),
        ],
        check_what_dates_stand_for: [
            answers(check, "dated_files", []),
            answers(check, "_why_none_is_dated", ""),
        ],
        check_a_slow_first_line: {"no limit": Patches((check, "_limited", apply_all))},
        check_a_pipe: NO_PIPES,
        check_what_was_given: NOTHING_GIVEN,
    },
    *cases(
        a_place_that_holds_no_file_is_a_problem,
        (
            (os.mkfifo, "prw-r--r--"),
            (Path.mkdir, "drwxr-xr-x"),
            (lambda path: path.symlink_to("x"), "lrwxrwxrwx"),
        ),
        lambda _: AS_IT_IS,
    ),
)
test_as_root, test_as_root_twin = map(
    needs_root,
    promises(
        {
            check_mount: {"never": NO_MOUNT, "links": NO_LINKS},
            a_state_directory_of_another_user_is_a_problem: {"any": answers(check, "objection_to")},
        },
        *cases(
            check_rights,
            (
                (0o755, 0o600, [f"  readable     {REFUSED}; its mode is -rw------- root root{PROBLEM}"]),
                (0o700, 0o644, [f"  exists       {REFUSED}{PROBLEM}"]),
                (0o755, 0o644, [f"  readable     yes, by user {OTHER_USER}", *CHOSEN_GOOD]),
            ),
            lambda _: ROOTS_OWN,
        ),
    ),
)
test_tried, test_tried_twin = map(
    as_nobody,
    promises(
        *(
            Promise(
                the_ledger_is_named, None, {} if state == "given" else THE_UNITS, source=source, state=state
            )
            for source, state in (
                ("etc/qps-reporter.toml", "var"),
                ("etc/shop.toml", "var/shop"),
                ("new.toml", "var"),
                ("etc/shop.toml", "given"),
            )
        ),
        *cases(outputs_files_are_tried, TRIED, lambda case: NOT_TRIED if case[2] else {}),
        *cases(others_are_told, RUNS, lambda case: ALONE if case[1] else {}),
        Promise(others_are_told, None, {"all": ANYBODY}, case=OTHERS),
    ),
)


@as_nobody
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_configuration_that_the_services_user_cannot_read(place: Place, mode: int) -> None:
    place.log(b"[log.a]\npath = 'access.log'\n", mode, "some.toml")
    first, *_ = place.checked("--config", "some.toml", status=int(mode == 0o600))
    problem = f": Permission denied for user {OTHER_USER}{PROBLEM}" if mode == 0o600 else ""
    assert first == f"configuration  some.toml{problem}"


@pytest.mark.parametrize("directory", ["/home", "/root", "/run/user", "/tmp", "/var/tmp"])
def test_the_unit_hides_what_check_says(directory: str) -> None:
    unit = (Path(__file__).parents[3] / "packaging" / "systemd" / "qps-reporter.service").read_text()
    assert f"\n{own_user.HIDDEN[directory]}yes\n" in unit


@pytest.mark.parametrize(
    ("text", "status"),
    [("[log.a]\npath = 'missing.log'\n", 0), ("[log.a]\npath = 'missing.log'\nformat = '$'\n", 1), ("", 0)],
)
def test_config_only_does_not_look_at_logs(place: Place, capsys: Captured, text: str, status: int) -> None:
    place.toml(text)
    assert main(["check", "--config", "some.toml", "--config-only"]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert bool(captured.err) == bool(status)
    assert main(["check", "--config", "some.toml"]) == 1


@as_nobody
def test_the_units_group_counts_and_roots_groups_do_not(place: Place, monkeypatch: Monkey) -> None:
    group = grp.getgrgid(1)  # any that `nobody` is not in
    place.log(mode=0o640)
    os.chown(place / "access.log", 0, group.gr_gid)
    monkeypatch.setattr(own_user, "LOG_GROUP", group.gr_name)
    place.looked("access.log")
    monkeypatch.setattr(own_user, "LOG_GROUP", "no-such-group")
    ours = os.getgroups()
    os.setgroups([*ours, group.gr_gid])
    try:
        place.looked("access.log", status=1)
    finally:
        os.setgroups(ours)


@as_nobody
@pytest.mark.parametrize("what", ["setgroups", "setgid", "setuid"])
def test_rights_that_cannot_be_given_up_are_not_used(place: Place, monkeypatch: Monkey, what: str) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, what, refuse)
    said = f"  look         could not be taken as user {OTHER_USER}{PROBLEM}"
    assert place.looked("access.log", status=1)[1:] == [said]


def test_who_is_not_root_looks_as_himself(monkeypatch: Monkey) -> None:
    monkeypatch.setattr(own_user, "SERVICE_USER", pwd.getpwuid(0).pw_name)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert own_user.service_user() is None
