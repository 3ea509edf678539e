"""`qps-reporter web` as a process: on an address of its own, and on systemd's socket, until nobody asks."""

import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from qps_service.web.server import TAKEN, THREADS, address_of
from tests.fault.program import GUARD, ROOT, command, free_port
from tests.ledgers import entry, opened
from tests.promised import Promise, promises

pytestmark = pytest.mark.real_time

# As systemd passes a socket (sd_listen_fds(3)), with a patience that suits a test.
HANDED = """
import os, sys
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="qps-reporter-web.socket")
from qps_service.web import server
server.IDLE, server.TAKEN, server.BUFFERED = float(sys.argv.pop(1)), int(sys.argv.pop(1)), 1 << 20
from qps_service.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    ledger = opened(tmp_path / "ledger.db")
    ledger.commit([entry(range(10))], sequence=1)
    ledger.close()
    return tmp_path


def get(address: str, patience: float = GUARD) -> bytes:
    with urllib.request.urlopen(address, timeout=patience) as answer:  # noqa: S310 - loopback
        assert answer.status == 200
        return bytes(answer.read())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_the_foreground(state: Path, number: int) -> None:
    listen = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        command("web", "--state", state, "--listen", listen), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert said == f"qps-reporter: http://{listen}/ shows {state}, until Ctrl-C\n"
            assert b'"requests":10,' in get(f"http://{listen}/state.json")
            process.send_signal(number)
            assert process.wait(GUARD) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


@contextmanager
def handed(
    state: Path, patience: float, taken: int = TAKEN
) -> Iterator[tuple[Callable[[], "subprocess.Popen[bytes]"], str]]:
    """Starts the page as systemd does, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        started: list[subprocess.Popen[bytes]] = []

        def start() -> "subprocess.Popen[bytes]":
            descriptor = listening.fileno()
            code = f"import os; os.dup2({descriptor}, 3); os.set_inheritable(3, True)\n{HANDED}"
            arguments = [sys.executable, "-c", code, str(patience), str(taken), "web", "--state", str(state)]
            started.append(subprocess.Popen(arguments, cwd=ROOT, pass_fds=[descriptor]))
            return started[-1]

        try:
            yield start, "http://{}:{}/".format(*listening.getsockname())
        finally:
            for process in started:
                process.kill()
                process.wait()


def check_ends(patience: float, state: Path) -> None:
    """When nobody has asked for so long, with status 0; whoever asks then gets the next one's answer."""
    with handed(state, patience) as (start, address):
        process = start()
        assert b"<title>" in get(address)
        try:
            assert process.wait(5) == 0
        except subprocess.TimeoutExpired:
            pytest.fail("it goes on")
        start()
        assert b"<title>" in get(address)


def check_deaf(taken: int, state: Path) -> None:
    """Who asks for much at once and never reads keeps nobody else from his answer."""
    asked = b"GET /dygraph.js HTTP/1.1\r\nHost:[::]\r\n\r\n"
    with handed(state, 3600.0, taken) as (start, address), ExitStack() as stack:
        start()
        assert b"<title>" in get(address)
        host, _, port = address.removeprefix("http://").rstrip("/").partition(":")
        for _ in range(THREADS):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect((host, int(port)))
            deaf.sendall(asked * 200)
        try:
            for _ in range(40):  # each waits for its turn, in which each of the others has one
                assert b'"requests":10,' in get(f"{address}state.json", patience=5)
        except TimeoutError:
            pytest.fail("nobody gets an answer")


test_promise, test_twin = promises(
    Promise(check_ends, 0.2, {"endless": 3600.0}),
    Promise(check_deaf, TAKEN, {"all at once": 8192}),
)


def test_what_is_lacking_is_said(state: Path) -> None:
    without = "import sys; sys.modules['waitress'] = None; sys.modules['waitress.server'] = None\n"
    code = f"{without}from qps_service.cli import main\nsys.exit(main(['web', '--listen', '127.0.0.1:0']))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 2
    assert ended.stderr.endswith("web: Python's waitress is missing: apt install python3-waitress\n")
    for wrong in ("9146", "[::1]:x", "localhost:99999", ":80"):
        with pytest.raises(ValueError, match="expected ADDRESS:PORT"):
            address_of(wrong)
