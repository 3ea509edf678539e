"""A pattern over many vhosts under the real logrotate, whose rotated files match it, too: each line once, for
its own vhost, while the service runs and over its stops.

logrotate rotates all at once, with `sharedscripts`; the web server writes on until it is told to open its
logs anew, as nginx does.
"""

import os
import sqlite3
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from qps_service.following.follower import Follower
from qps_service.following.hints import Moved
from qps_service.service.patterns import Patterns
from tests.promised import Patches, Promise, promises
from tests.unit.daemons import SECOND, Service

pytestmark = pytest.mark.real_time

FEW = 4
MANY = int(os.environ.get("QPS_REPORTER_VHOSTS", "30"))
ROTATIONS = 2  # of each process

CONFIGURATION = """{logs}/*-access.log {{
    rotate 3
    dateext
    dateformat -%Y%m%d-{number}
    extension .log
    {mode}
    sharedscripts
    create 0644
    postrotate
        touch {logs}/reopen
    endscript
}}
"""


class WebServer:
    """Writes to a log of each vhost, each line once."""

    def __init__(self, root: Path, vhosts: int) -> None:
        self.logs, self._root = root / "logs", root
        self.logs.mkdir()
        self.logs.chmod(0o755)
        self.written: Counter[str] = Counter()
        self._files: dict[str, Any] = {}
        self._number = 0
        for number in range(vhosts):
            self.open(f"site-{number}")

    def open(self, vhost: str) -> None:
        if vhost in self._files:
            self._files[vhost].close()
        self._files[vhost] = open(  # noqa: SIM115 - it stays open
            self.logs / f"{vhost}-access.log", "ab", buffering=0
        )

    def write(self, count: int) -> None:
        for vhost, file in self._files.items():
            for _ in range(count):
                self._number += 1
                file.write(b"10.0.0.1\tGET /%d\t200\t%d\n" % (self._number % 5, self._number))
            self.written[f"{vhost}-access"] += count

    def rotate(self, number: int, mode: str) -> None:
        """One vhost more comes with each."""
        self.write(2)
        configuration = self._root / "logrotate.conf"
        configuration.write_text(CONFIGURATION.format(logs=self.logs, number=number, mode=mode))
        subprocess.run(
            ["logrotate", "-f", "-s", self._root / "state", configuration], check=True, capture_output=True
        )
        self.write(1)  # to what was renamed
        self.open(f"new-{number}")
        if (self.logs / "reopen").exists():
            for vhost in list(self._files):
                self.open(vhost)
        self.write(1)

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def each_vhost_has_its_lines(tmp_path: Path, mode: str, vhosts: int) -> None:
    server = WebServer(tmp_path, vhosts)
    text = f'max_logs = {2 * vhosts + 100}\n[log.web]\npath = "{server.logs}/*.log"\n'
    number = 0
    try:
        for process in range(2):
            service = Service(tmp_path, text, ledger=str(tmp_path / "ledger.db"))
            service.world.time += process * 3600 * SECOND
            for _ in range(ROTATIONS):
                number += 1
                moment = 3600 * process + 3 * number + 0.5
                service.world.hint(moment, lambda number=number: server.rotate(number, mode))  # type: ignore[misc]
            service.run(3600 * process + 3 * number + 4)
            number += 1
            server.rotate(number, mode)  # while nobody runs
        service = Service(tmp_path, text, ledger=str(tmp_path / "ledger.db"))
        service.world.time += 86400 * SECOND
        service.run(86403)
    finally:
        server.close()
    with sqlite3.connect(tmp_path / "ledger.db") as ledger:
        rows = "SELECT name, sum(requests) FROM log JOIN total ON log = log.id GROUP BY name"
        assert dict(ledger.execute(rows)) == server.written
    ledger.close()
    told = f"{len(server.written)} vhosts, {number} rotations of all, {server.written.total()} lines"
    print(told)  # noqa: T201  the campaign's result


NO_HISTORY = Patches(
    (Follower, "has_file", lambda *_, **__: False),
    (
        Patterns,
        "_note",
        lambda self, hints, followed, note=Patterns._note: note(
            self, [hint for hint in hints if not isinstance(hint, Moved)], followed
        ),
    ),
)
PLAIN, COMPRESSED = "nocompress", "compress\n    delaycompress"
test_promise, test_twin = promises(
    *(
        Promise(each_vhost_has_its_lines, None, twins, label=label, mode=mode, vhosts=vhosts)
        for label, mode, vhosts, twins in (
            ("plain", PLAIN, FEW, {"no history": NO_HISTORY}),
            ("compressed", COMPRESSED, FEW, {"no history": NO_HISTORY}),
            ("many", COMPRESSED, MANY, {}),
        )
    )
)
