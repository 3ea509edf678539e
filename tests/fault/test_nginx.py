"""The real nginx with three workers under load, rotated by rename and USR1: every request once."""

import http.client
import itertools
import signal
import threading

import pytest

from tests.fault import twins
from tests.fault.program import GUARD, WRONG, MakeSite, free_port
from tests.fault.servers import serving
from tests.fault.web_servers import NGINX_HEAD, nginx
from tests.promised import MadePromise, promises

pytestmark = pytest.mark.real_time

# Workers need not change to another user, who could not write here. `buffer` makes workers late: they write
# what they have gathered when they reopen the log, to the file that was renamed before.
CONFIGURATION = (
    NGINX_HEAD.replace("worker_processes 1", "worker_processes 3")
    + """
    keepalive_requests 50;
    log_format numbered '$remote_addr\\t$request_method $uri\\t$status\\t$body_bytes_sent';
    access_log {log} numbered{options};
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 "ok\\n"; }}
    }}
}}
"""
)
ROTATIONS = 10
CLIENTS = 4


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
    port = free_port()
    command = nginx(site.root, CONFIGURATION, log=site.log, options=options, port=port)
    with serving(command, site.root, port, signal.SIGQUIT) as server:
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
        MadePromise(rotated_under_load, twins.ClosesFirst, says=WRONG, label=label, options=options)
        for label, options in (("at once", ""), ("buffered", " buffer=4k"))
    )
)
