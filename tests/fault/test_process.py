"""The program as a process: signals, pipes, systemd's socket. Nothing here waits but for what must come."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.program import GUARD, ROOT, Process

pytestmark = pytest.mark.real_time

LINE = b"10.0.0.1\tGET /a\t200\t10\n"
RULE = "=" * 29 + "\n"


class Program(Process):
    """`qps-reporter run LOG`."""

    def __init__(self, root: Path, *arguments: str, extra: dict[str, str] | None = None) -> None:
        self.log = root / "access.log"
        self.log.touch()
        super().__init__(root, str(self.log), *arguments, extra=extra)


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    running: list[Program] = []
    yield running
    for program in running:
        program.close()


def test_ready_stopping_last_report(tmp_path: Path, programs: list[Program]) -> None:
    program = Program(tmp_path, "--interval", "1h")
    programs.append(program)
    assert "requests/s" in program.told("READY=1")
    with program.log.open("ab") as log:
        log.write(LINE * 7)
    program.process.send_signal(signal.SIGTERM)
    program.told("STOPPING=1")
    out, err = program.end()
    assert program.process.returncode == 0
    _, rule, row, total, empty = out.splitlines(keepends=True)
    assert (rule, empty) == (RULE, "\n")
    assert row.startswith("/a\t200\t")
    assert total.startswith("total\t-\t")
    assert row.split("\t")[2] == total.split("\t")[2]
    assert err == (
        f"qps-reporter: following {program.log}\n"
        "qps-reporter: stopped; 7 requests counted and 0 lines rejected in total\n"
    )


def test_reports_come_through_a_pipe_as_they_are_made(tmp_path: Path, programs: list[Program]) -> None:
    program = Program(tmp_path, "--interval", "100ms")
    programs.append(program)
    assert program.process.stdout is not None
    for _ in range(3):
        report = [program.process.stdout.readline() for _ in range(4)]
        assert report[1:] == [RULE, "total\t-\t0\n", "\n"]
    assert program.process.poll() is None


def test_a_closed_pipe_ends_it_quietly(tmp_path: Path, programs: list[Program]) -> None:
    program = Program(tmp_path, "--interval", "100ms")
    programs.append(program)
    assert program.process.stdout is not None
    program.process.stdout.readline()
    program.process.stdout.close()
    assert program.process.stderr is not None
    assert program.process.stderr.read() == f"qps-reporter: following {program.log}\n"
    assert program.process.wait(GUARD) == 0


def test_the_second_signal_ends_it_at_once(tmp_path: Path, programs: list[Program]) -> None:
    """Its read hangs, so an orderly end cannot come."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, socket\n"
        "_pread = os.pread\n"
        "def pread(*arguments):\n"
        "    if os.path.exists(os.environ['HANG']):\n"
        "        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:\n"
        "            ours.bind(os.environ['HANG'] + '.socket')\n"
        "            while True:\n"
        "                ours.sendto(b'HANGS', os.environ['NOTIFY_SOCKET'])\n"
        "                ours.recv(1)\n"
        "    return _pread(*arguments)\n"
        "os.pread = pread\n"
    )
    hang = tmp_path / "hang"
    program = Program(tmp_path, extra={"PYTHONPATH": str(tmp_path), "HANG": str(hang)})
    programs.append(program)
    program.told("READY=1")
    hang.touch()
    program.told("HANGS")
    program.process.send_signal(signal.SIGTERM)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.sendto(b"?", f"{hang}.socket")
    program.told("HANGS")  # the first signal asks for an end, it does not kill
    program.process.send_signal(signal.SIGINT)
    assert program.process.wait(GUARD) == -signal.SIGINT


def test_a_lease_that_is_broken_does_not_kill_it(tmp_path: Path, programs: list[Program]) -> None:
    """The kernel sends SIGIO when a writer opens a file under a lease."""
    program = Program(tmp_path, "--interval", "1h")
    programs.append(program)
    program.told("READY=1")
    program.process.send_signal(signal.SIGIO)
    program.process.send_signal(signal.SIGTERM)
    program.end()
    assert program.process.returncode == 0


def test_the_state_directory_belongs_to_one_process(tmp_path: Path, programs: list[Program]) -> None:
    state = tmp_path / "state"
    program = Program(tmp_path, "--state", str(state))
    programs.append(program)
    program.told("READY=1")
    second = subprocess.run(
        [sys.executable, "-m", "qps_service", "run", str(program.log), "--state", str(state)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=GUARD,
    )
    assert second.returncode == 3
    assert second.stderr == f"qps-reporter: the ledger in {state} is held by PID {program.process.pid}\n"
    program.process.kill()
    program.end()
    third = Program(tmp_path / "state", "--state", str(state))
    programs.append(third)
    third.told("READY=1")


def test_a_deaf_service_manager_does_not_stop_it(tmp_path: Path, programs: list[Program]) -> None:
    program = Program(tmp_path, "--interval", "100ms")
    programs.append(program)
    program.told("READY=1")
    program.go_deaf()
    assert program.process.stdout is not None
    for _ in range(12):  # three reports, each with a status that nobody takes
        assert program.process.stdout.readline()
    program.process.send_signal(signal.SIGTERM)
    program.end()
    assert program.process.returncode == 0
