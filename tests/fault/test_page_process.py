"""`qps-reporter web` as a process: on an address of its own, and on systemd's socket."""

import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from qps_service.web.server import TAKEN, THREADS, address_of
from tests.fault.program import GUARD, ROOT, command, free_port
from tests.ledgers import entry, opened
from tests.promised import Promise, promises

pytestmark = pytest.mark.real_time

# As systemd passes a socket (sd_listen_fds(3)).
HANDED = """
import os, sys
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="qps-reporter-web.socket")
from qps_service.web import server
server.TAKEN, server.BUFFERED = int(sys.argv.pop(1)), 1 << 20
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


def check_deaf(taken: int, state: Path) -> None:
    """On systemd's socket: who asks for much at once and never reads keeps nobody else from his answer."""
    asked = b"GET /dygraph.js HTTP/1.1\r\nHost:[::]\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listening, ExitStack() as stack:
        descriptor = listening.fileno()
        code = f"import os; os.dup2({descriptor}, 3); os.set_inheritable(3, True)\n{HANDED}"
        arguments = [sys.executable, "-c", code, str(taken), "web", "--state", str(state)]
        process = stack.enter_context(subprocess.Popen(arguments, cwd=ROOT, pass_fds=[descriptor]))
        stack.callback(process.kill)
        address = "http://{}:{}/".format(*listening.getsockname())
        assert b"<title>" in get(address)
        for _ in range(THREADS):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(listening.getsockname())
            deaf.sendall(asked * 200)
        try:
            for _ in range(40):  # each waits for its turn, in which each of the others has one
                assert b'"requests":10,' in get(f"{address}state.json", patience=5)
        except TimeoutError:
            pytest.fail("nobody gets an answer")


test_promise, test_twin = promises(Promise(check_deaf, TAKEN, {"all at once": 8192}))


def test_what_is_lacking_is_said(state: Path) -> None:
    without = "import sys; sys.modules['waitress'] = None; sys.modules['waitress.server'] = None\n"
    code = f"{without}from qps_service.cli import main\nsys.exit(main(['web', '--listen', '127.0.0.1:0']))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 2
    assert ended.stderr.endswith("web: Python's waitress is missing: apt install python3-waitress\n")
    for wrong in ("9146", "[::1]:x", "localhost:99999", ":80"):
        with pytest.raises(ValueError, match="expected ADDRESS:PORT"):
            address_of(wrong)
