"""`qps-reporter summarize`, as it is called: what it prints, and how it ends."""

import gzip
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qps_service.cli import main
from qps_service.errors import EXIT_NOTHING
from qps_service.files.whole import BLOCK, Block, Whole
from qps_service.reporting.selection import Selection
from qps_service.scanning.selecting import Wanted
from tests.promised import Patches, Promise, promises

Captured = pytest.CaptureFixture[str]
Monkey = pytest.MonkeyPatch
ROOT = Path(__file__).parents[3]
LINE = b"1.2.3.4\tGET /help?q=1\t200\t10\n"
COMBINED = b'1.2.3.4 - - [24/Nov/2026:14:%02d:08 +0100] "GET /u/%d HTTP/1.1" 404 7 "-" "x"\n'
TIMED = b"".join(COMBINED % (minute, minute) for minute in (1, 1, 2))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log").write_bytes(LINE * 3 + b"nothing\n")
    return tmp_path / "log"


def answer(capsys: Captured, *arguments: str | Path, status: int = 0) -> str:
    assert main(["summarize", *map(str, arguments)]) == status
    return capsys.readouterr().out


def test_files_are_counted_together(log: Path, capsys: Captured) -> None:
    packed = log.with_suffix(".gz")
    packed.write_bytes(gzip.compress(LINE * 5))
    document = json.loads(answer(capsys, log, packed, "--output", "json"))
    assert document["rows"] == [
        {"method": "GET", "route": "/help", "status": 200, "requests": 8, "bytes": 80}
    ]
    assert (document["lines"], document["rejected"]) == (9, {"fields": 1})


def test_the_format_is_found_out_and_said(log: Path, capsys: Captured) -> None:
    other = log.with_suffix(".2")
    other.write_bytes(TIMED)
    assert main(["summarize", str(log), str(other), "--output", "csv"]) == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        f"qps-reporter: {log}: format default: 3 of 3 lines fit default; 1 fit none",
        f"qps-reporter: {other}: format combined: 3 of 3 lines fit combined",
        "qps-reporter: rejected 1 lines (fields 1)",
    ]
    assert captured.out.splitlines()[1:] == ["GET,/help,200,3,30", "GET,/u/1,404,2,14", "GET,/u/2,404,1,7"]


def test_sizes_that_are_not_known_are_counted(log: Path, capsys: Captured) -> None:
    log.write_bytes(LINE * 3 + LINE.replace(b"10", b"+10") + LINE.replace(b"\t10", b"") * 2)
    document = json.loads(answer(capsys, log, log, "--output", "json"))
    assert (document["requests"], document["bytes"], document["bytes_unknown"]) == (12, 60, 6)
    assert main(["summarize", str(log), "--output", "csv"]) == 0
    assert capsys.readouterr().err.endswith("\nqps-reporter: bytes unknown: 3 of 6 requests\n")


def test_each_file_is_read_by_its_own_fields(tmp_path: Path, capsys: Captured) -> None:
    """Also one that has none, behind one that has some."""
    fields = b"#Version: 1.0\n#Fields: cs-method cs-uri sc-status\n", b"#Fields: sc-status cs-uri cs-method\n"
    texts = (fields[0] + b"GET /a 200\n", fields[1] + b"200 /b GET\n", b"GET /c 200\n")
    files = [tmp_path / f"{number}" for number in range(3)]
    for file, text in zip(files, texts, strict=True):
        file.write_bytes(text)
    document = json.loads(answer(capsys, *files, "--format", "w3c", "--output", "json"))
    assert [(row["route"], row["requests"]) for row in document["rows"]] == [("/a", 1), ("/b", 1)]
    assert (document["lines"], document["directives"], document["rejected"]) == (6, 3, {"fields": 1})


def test_where_no_format_fits_all_is_rejected(log: Path, capsys: Captured) -> None:
    log.write_bytes(b"nothing\n" * 3)
    assert main(["summarize", str(log), "--output", "json"]) == EXIT_NOTHING
    captured = capsys.readouterr()
    assert json.loads(captured.out)["rejected"] == {"fields": 3}
    assert captured.err.splitlines() == [
        f"qps-reporter: {log}: no format was found: none of 3 lines fits a format that has a name",
        "qps-reporter: all 3 lines were rejected: qps-reporter explain shows why, --format sets another",
    ]


TOOK = '$remote_addr - $remote_user [$time_local] "$request" $status $bytes_sent "$agent" $request_time'
LASTED = [(1, 200, 100), (1, 200, 260), (1, 500, 250), (2, 200, 251), (2, 101, 9000), (2, 404, None)]


@pytest.fixture
def timed(tmp_path: Path) -> Path:
    """Six requests in two minutes; one was switched to another protocol, one has no time."""
    lines = (
        b'1.2.3.4 - - [24/Nov/2026:14:%02d:08 +0100] "GET /a HTTP/1.1" %d 7 "x" %b\n'
        % (minute, status, b"-" if took is None else b"%.3f" % (took / 1000))
        for minute, status, took in LASTED
    )
    (tmp_path / "timed").write_bytes(b"".join(lines))
    return tmp_path / "timed"


def test_how_long_requests_took(timed: Path, capsys: Captured) -> None:
    text = answer(capsys, timed, "--format", TOOK, "--slower", "250ms", "--by", "1m")
    assert text.split("\n\n")[1::2] == [
        "route  class  measured    p50    p95    p99    max  > 250ms   share\n"
        "/a     2xx           3  260ms  260ms  260ms  260ms        2  66.67%\n"
        "/a     5xx           1  250ms  250ms  250ms  250ms        0   0.00%\n"
        "total                4  250ms  260ms  260ms  260ms        2  50.00%",
        "from                  measured    p50    p95    p99    max  > 250ms    share\n"
        "2026-11-24T13:01:00Z         3  250ms  260ms  260ms  260ms        1   33.33%\n"
        "2026-11-24T13:02:00Z         1  260ms  260ms  260ms  260ms        1  100.00%\n",
    ]
    document = json.loads(answer(capsys, timed, "--format", TOOK, "--slower", "250ms", "--output", "json"))
    told = [(each["class"], each["p50_ns"], each["max_ns"], each["slower"]) for each in document["latencies"]]
    assert told == [("2xx", 260_000_000, 260_000_000, 2), ("5xx", 250_000_000, 250_000_000, 0)]
    assert document["latencies"][0]["bins"] == [[100_000_000, 1], [260_000_000, 2]]
    rows = answer(capsys, timed, "--format", TOOK, "--output", "csv").splitlines()
    assert rows[0] == "method,route,status,requests,bytes,measured,p50_ns,p95_ns,p99_ns,max_ns"
    assert rows[1] == "GET,/a,200,3,21,3,260000000,260000000,260000000,260000000"
    assert "GET,/a,404,1,7,,,,," in rows
    spans = answer(capsys, timed, "--format", TOOK, "--by", "1m", "--output", "csv").splitlines()
    assert spans[2] == "2026-11-24T13:02:00Z,3,0.05,1,1,0,1,0,0,1,260000000,260000000,260000000,251000000"


def test_where_nothing_tells_how_long_and_the_default_is_a_table(log: Path, capsys: Captured) -> None:
    assert "no request has a duration" in answer(capsys, log, "--slower", "1s")
    text = answer(capsys, log)
    assert text.splitlines()[1] == "GET     /help  200            3  100.0%     30"
    assert "p50" not in text


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--slower=251ms", "the nearest is 250ms"),
        ("--slower=1.25s", "the nearest is 1.2s"),
        ("--slower=0.5us", "the nearest is 0"),
        ("--slower=2000s", "the nearest is 1000s"),
        ("--slower=7", "expected a time such as 250ms"),
        ("--slower=x", "expected a time such as 250ms"),
        *((each, "") for each in ("--by=1500ms", "--by=0", "--by=x", "--top=0", "--routes=-1")),
        *((each, "") for each in ("--status=4x4", "-S2h")),
    ],
)
def test_what_cannot_be_asked_for(log: Path, capsys: Captured, argument: str, said: str) -> None:
    """A threshold has two digits."""
    with pytest.raises(SystemExit) as error:
        main(["summarize", str(log), argument])
    assert error.value.code == 2
    assert said in capsys.readouterr().err


ALL = ["GET,/u/1,404,2,14", "GET,/u/2,404,1,7"]
CHOSEN: dict[str, list[str]] = {
    "--route /u/*": ALL,
    "--route /u/2 --route /x": ["GET,/u/2,404,1,7"],
    "--status 4xx --method GET": ALL,
    "--status 5XX --status 200": [],
    "--log timed": ALL,
    "--since @1795525320": ["GET,/u/2,404,1,7"],
    "-S @1795525268 -U @1795525269": ["GET,/u/1,404,2,14"],
    "-U 2026-11-24T14:01:08+01:00": [],
    "-U -2h --route /u/1 --by 1h": ["2026-11-24T13:00:00Z,2,0.00056,0,0,0,2,0,0"],
    "-S -2h": [],
    # Routes can be collapsed and limited.
    "--collapse=numeric": ["GET,/u/:id,404,3,21"],
    "--top=1": ["GET,/u/1,404,2,14"],
    "--routes=1": ["GET,/u/1,404,2,14", "GET,other,404,1,7"],
}


def check_chosen(tmp_path: Path, capsys: Captured, chosen: str) -> None:
    (tmp_path / "timed").write_bytes(TIMED)
    (tmp_path / "other").write_bytes(TIMED if chosen == "--log timed" else b"")
    words = [*chosen.split(), "--format", "combined", "--output", "csv"]
    status = 0 if CHOSEN[chosen] else EXIT_NOTHING
    text = answer(capsys, *words, tmp_path / "timed", tmp_path / "other", status=status)
    assert text.splitlines()[1:] == CHOSEN[chosen]


everything = Patches((Wanted, "has", lambda self, second: True), (Selection, "takes", lambda self, key: True))
all_logs = Patches((Selection, "takes_log", lambda self, name: True))
twins = {"--log timed": [all_logs]} | {
    chosen: [everything] for chosen, rows in CHOSEN.items() if rows != ALL and "=" not in chosen
}
test_promise, test_twin = promises(
    *(Promise(check_chosen, None, twins.get(chosen, []), chosen=chosen) for chosen in CHOSEN)
)


def test_a_file_that_cannot_be_read_does_not_stop_the_others(log: Path, capsys: Captured) -> None:
    cut = log.with_suffix(".gz")
    cut.write_bytes(gzip.compress(LINE * 1000)[:-4])
    assert main(["summarize", str(log.parent / "none"), str(cut), str(log), "--output", "csv"]) == 1
    captured = capsys.readouterr()
    assert [text for text in captured.err.splitlines() if ": format " not in text] == [
        f"qps-reporter: {log.parent}/none: No such file or directory",
        f"qps-reporter: {cut}: Compressed file ended before the end-of-stream marker was reached",
        "qps-reporter: rejected 1 lines (fields 1)",
    ]
    assert captured.out.splitlines()[1:] == ["GET,/help,200,1003,10030"]  # the damage is behind the last line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--by=1m", "--by: the format default has no time"),
        ("--by=1m --format=default", "--by: the format default has no time"),
        ("--by=1m --format=default --format=$uri", "--format: the format has no status"),
        ("--by=1m --format=default --format=$uri|$status", "--by: the format default or $uri|$status has no"),
        ("-S -2h --format=default", "--since, --until: the format default has no time"),
        ("-S @5 -U @5", "--since: expected a time before that of --until"),
        ("--log=x", "--log: expected a name or a pattern that a FILE has"),
        ("--format=json --format=auto", "--format: expected auto to stand alone"),
        ("--format=$x", "--format: "),
    ],
)
def test_what_does_not_fit_the_format(log: Path, capsys: Captured, arguments: str, said: str) -> None:
    assert main(["summarize", str(log), *arguments.split()]) == 2
    assert said in capsys.readouterr().err


def test_an_interruption_prints_what_is_known(log: Path, capsys: Captured, monkeypatch: Monkey) -> None:
    def blocks(self: Whole, max_line: int) -> Iterator[Block]:
        yield Block(memoryview(LINE * 2), None)
        raise KeyboardInterrupt

    monkeypatch.setattr(Whole, "blocks", blocks)
    assert answer(capsys, log, log, "--output", "csv", status=130).splitlines()[1:] == ["GET,/help,200,2,20"]


def test_no_block_is_counted_by_half() -> None:
    """In a process of its own, which is interrupted while it waits for the rest of a pipe."""
    command = [sys.executable, "-m", "qps_service", "summarize", "-", "--output", "json"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(LINE * (4 * BLOCK // len(LINE)))
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        document = json.loads(process.stdout.read())
        assert process.wait() == 130
    assert document["requests"] * len(LINE) > BLOCK
    assert document["bytes"] == document["requests"] * 10


def on_terminal(*arguments: str | Path) -> tuple[str, str, int]:
    """What Python wrote to stdout, a pipe; what it showed on a terminal, which is stderr; its exit status."""
    controller, terminal = pty.openpty()
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=terminal, env=environment
    ) as process:
        os.close(terminal)
        shown = b""
        try:
            while part := os.read(controller, 4096):
                shown += part
        except OSError:  # EIO: the other side has closed it
            pass
        os.close(controller)
        assert process.stdout
        out = process.stdout.read().decode()
    return out, shown.decode(), process.returncode


def test_a_terminal_is_shown_how_far_it_is(log: Path) -> None:
    log.write_bytes(LINE * 50_000)
    out, shown, status = on_terminal("-m", "qps_service", "summarize", log, "--output", "csv")
    assert status == 0
    assert out.splitlines()[1:] == ["GET,/help,200,50000,500000"]
    assert str(log) in shown.replace("\r\n", "")
    assert "MiB" in shown


def test_the_bar_lets_no_interruption_through() -> None:
    """The kernel gives a signal that one thread holds back to another."""
    out, _, status = on_terminal("-m", "tests.unit.commands.programs", "holds_back")
    assert (out, status) == ("went on\n", -signal.SIGINT)


def test_a_pipe_is_shown_nothing(log: Path) -> None:
    command = [sys.executable, "-m", "qps_service", "summarize", str(log), "--format", "default"]
    result = subprocess.run(command, capture_output=True, check=True)
    assert result.stderr == b""
