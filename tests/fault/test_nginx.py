"""The real nginx with three workers under load, rotated by rename and USR1: every request once."""

import http.client
import itertools
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.fault import broken
from tests.fault.program import GUARD, ROOT, WRONG, MakeSite, Site
from tests.promised import MadePromise, promises

pytestmark = pytest.mark.real_time

NGINX = ROOT / ".cache" / "servers" / "usr" / "sbin" / "nginx"  # scripts/setup.sh unpacks it there

# Workers need not change to another user, who could not write here. `buffer` makes workers late: they write
# what they have gathered when they reopen the log, to the file that was renamed before.
CONFIGURATION = """
worker_processes 3;
pid nginx.pid;
{user}
events {{}}
http {{
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    keepalive_requests 50;
    log_format numbered '$remote_addr\\t$request_method $uri\\t$status\\t$body_bytes_sent';
    access_log {log} numbered{options};
    server {{
        listen {address}:{port};
        location / {{ return 200 "ok\\n"; }}
    }}
}}
"""
ROTATIONS = 10
CLIENTS = 4


@contextmanager
def web_server(site: Site, options: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """nginx, and its port. It inherits a socket that listens already, so that nobody waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)  # as nginx takes a socket that it inherits to be
        address, port = listening.getsockname()
        configuration = site.root / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        configuration.write_text(
            CONFIGURATION.format(user=user, log=site.log, options=options, address=address, port=port)
        )
        server = subprocess.Popen(
            [NGINX, "-p", site.root, "-c", configuration, "-e", "error.log", "-g", "daemon off;"],
            env={**os.environ, "NGINX": f"{listening.fileno()};"},
            pass_fds=[listening.fileno()],
            start_new_session=True,
        )
    try:
        yield server, port
        server.send_signal(signal.SIGQUIT)
        assert server.wait(GUARD) == 0
    finally:
        with suppress(ProcessLookupError):  # it has ended, and so have its workers
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


class Load:
    """Clients that each keep a connection and ask for one numbered path after the other."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        self._answers = threading.Semaphore(0)
        self._answered: list[str] = []
        self._clients = [threading.Thread(target=self._ask, daemon=True) for _ in range(CLIENTS)]
        for client in self._clients:
            client.start()

    def wait(self, answers: int) -> None:
        """Until there are so many more."""
        for _ in range(answers):
            assert self._answers.acquire(timeout=GUARD)

    def stop(self) -> list[str]:
        """The paths that were answered."""
        self._stopping.set()
        for client in self._clients:
            client.join(GUARD)
        return self._answered

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=GUARD)
        while not self._stopping.is_set():
            path = f"/{next(self._numbers)}"
            connection.request("GET", path)
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, b"ok\n")
            self._answered.append(path)
            self._answers.release()
        connection.close()


def rotated_under_load(make_site: MakeSite, options: str) -> None:
    """Renamed, written to for a while under its new name, then reopened; ten times."""
    site = make_site(interval="1s")
    process = site.ready()
    with web_server(site, options) as (server, port):
        load = Load(port)
        for _ in range(ROTATIONS):
            load.wait(300)
            site.rotate()
            load.wait(100)
            server.send_signal(signal.SIGUSR1)
            # Its master may come to that later than its workers come to many a request.
            while not site.log.exists():
                load.wait(1)
        load.wait(300)
        site.expected.update(load.stop())
    process.stop()
    assert len(list(site.log.parent.iterdir())) == ROTATIONS + 1
    site.check()


test_every_request_once, test_the_load_catches_the_twin = promises(
    *(
        MadePromise(rotated_under_load, broken.FollowsTheName, says=WRONG, label=label, options=options)
        for label, options in (("at once", ""), ("buffered", " buffer=4k"))
    )
)
