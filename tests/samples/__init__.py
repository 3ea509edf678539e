"""One small ledger of every schema that was released, and the files that it knows: what an upgrade meets.

Each is SQL, as its own program left it; `python -m tests.samples.make` says how it was made.
"""

import os
import re
import sqlite3
from pathlib import Path
from typing import NamedTuple

from qps_service.files.kernel import Files

HERE = Path(__file__).parent
SAMPLES = {int(path.stem.partition("-")[2]): path for path in HERE.glob("schema-*.sql")}
ROOT = "/var/tmp/qps-reporter-sample"  # what its logs' paths begin with
_FILE = re.compile(r"^-- file (\d+) (\d+) (\S+) (\S+)$", re.MULTILINE)


class Known(NamedTuple):
    """A file that stood in the log's directory when the sample was made."""

    device: str
    inode: str
    name: str
    text: bytes


def sample_of(version: int) -> str:
    """The SQL of this schema's ledger."""
    return SAMPLES[version].read_text()


def files_of(sql: str) -> list[Known]:
    """The files that stood beside the log, it included."""
    return [
        Known(device, inode, name, bytes.fromhex(text)) for device, inode, name, text in _FILE.findall(sql)
    ]


def load(sql: str, path: Path) -> None:
    """Make the ledger as it was, at this path; nobody has it open."""
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()


def move_in(sql: str, path: Path, logs: Path, *, boot: str = "") -> None:
    """Make the ledger at the path and its files in `logs`, as if they had never been anywhere else: the rows
    name these files. With `boot`, the machine runs since then."""
    logs.mkdir(parents=True, exist_ok=True)
    load(sql.replace(f"{ROOT}/logs".encode().hex().upper(), bytes(logs).hex().upper()), path)
    places = {(known.device, known.inode): logs / known.name for known in files_of(sql)}
    for known in files_of(sql):
        (logs / known.name).write_bytes(known.text)
    connection = sqlite3.connect(path)
    query = "SELECT rowid, device, inode, modified FROM position ORDER BY number"
    for row, device, inode, modified in connection.execute(query).fetchall():
        place = places[device, inode]
        os.utime(place, ns=(modified, modified))
        connection.execute(
            "UPDATE position SET device = ?, inode = ?, version = ? WHERE rowid = ?", (*_identity(place), row)
        )
    for row, device, inode in connection.execute("SELECT rowid, device, inode FROM stranger").fetchall():
        place = places[device, inode]
        connection.execute(
            "UPDATE stranger SET device = ?, inode = ?, version = ?, changed = ? WHERE rowid = ?",
            (*_identity(place), place.stat().st_ctime_ns, row),
        )
    if boot:
        connection.execute("UPDATE log SET boot = ?", (boot,))
    connection.commit()
    connection.close()


def _identity(place: Path) -> tuple[str, str, int | None]:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        identity = Files().identity(descriptor)
    finally:
        os.close(descriptor)
    return str(identity.device), str(identity.inode), identity.version
