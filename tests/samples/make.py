"""Makes the sample of a schema with the program that knows it: the last commit before the next schema.

    git worktree add ../older COMMIT
    cd ../older
    PYTHONPATH=. python ../this/tests/samples/make.py > ../this/tests/samples/schema-VERSION.sql

It needs Prometheus' client library, for a commit within a window. The sample has a log that was read through
rotations: an open generation, closed ones, rejected lines, a possible loss, ignored archives from before, and
a window that was counted and not reported, since the service was killed.
"""

import gzip
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

ROOT = Path("/var/tmp/qps-reporter-sample")
LOGS, STATE = ROOT / "logs", ROOT / "state"
LOG = LOGS / "access.log"
PORT = 20_411
CONFIG = f"""
interval = "1h"
state = "{STATE}"
[log.access]
path = "{LOG}"
start = "start"
[output.prometheus]
listen = "127.0.0.1:{PORT}"
"""


def lines(*numbers: int, rejected: int = 0) -> bytes:
    """Numbered lines, and some that are none."""
    return (
        b"".join(b"203.0.113.7\tGET /%d\t200\t7\n" % number for number in numbers) + b"nonsense\n" * rejected
    )


def append(*numbers: int, rejected: int = 0) -> None:
    with LOG.open("ab") as log:
        log.write(lines(*numbers, rejected=rejected))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "qps_service", "run", "--config", str(ROOT / "config.toml"), *arguments]


def once() -> None:
    subprocess.run(command("--once"), check=True, stdout=sys.stderr)


def live() -> None:
    """What the ledger is to know."""
    (LOGS / "access.log-20261001.gz").write_bytes(gzip.compress(lines(*range(900, 905)), mtime=0))
    (LOGS / "access.log-20261002").write_bytes(lines(*range(905, 910)))
    append(*range(20), rejected=2)
    once()
    LOG.rename(LOGS / "access.log-20261003")
    append(*range(20, 30))
    once()
    LOG.rename(LOGS / "access.log-20261004")
    append(*range(30, 33))
    once()
    append(33, 34, 35)  # which nobody reads
    os.truncate(LOG, 0)
    append(36)
    once()


def scrape() -> None:
    """What is in the log is committed before the answer."""
    for _ in range(100):
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics").read()
            return
        time.sleep(0.1)
    raise TimeoutError("the service answers nothing")


def be_killed() -> None:
    """In the middle of a window, of which something is committed."""
    service = subprocess.Popen(command(), stdout=sys.stderr)
    scrape()
    append(37, 38, rejected=1)
    scrape()
    service.send_signal(signal.SIGKILL)
    service.wait()


def dump() -> None:
    connection = sqlite3.connect(STATE / "ledger.db")
    version, identity = (
        connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("user_version", "application_id")
    )
    commit = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    print(f"-- Made by tests/samples/make.py with the program of commit {commit.strip()}.")  # noqa: T201
    print("-- Files beside the log: device, inode, name, text in hexadecimal digits.")  # noqa: T201
    for path in sorted(LOGS.iterdir()):
        status = path.stat()
        text = path.read_bytes().hex()
        print(f"-- file {status.st_dev} {status.st_ino} {path.name} {text}")  # noqa: T201
    print("PRAGMA auto_vacuum = INCREMENTAL;\nPRAGMA journal_mode = WAL;")  # noqa: T201
    print(*connection.iterdump(), sep="\n")  # noqa: T201
    print(f"PRAGMA application_id = {identity};\nPRAGMA user_version = {version};")  # noqa: T201


if __name__ == "__main__":
    LOGS.mkdir(parents=True)
    STATE.mkdir()
    (ROOT / "config.toml").write_text(CONFIG)
    live()
    be_killed()
    dump()
    shutil.rmtree(ROOT)
