"""The ledgers of these tests, whose commits wait for no disk: no power fails here. They are on one all the
same, as logs are: in memory no inode has a version, and after a stop its text alone would tell a file."""

import sqlite3

import pytest

from qps_service.ledger.database import Database


@pytest.fixture(autouse=True)
def _no_power_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    advance = Database._advance

    def unsynced(database: Database, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = OFF")
        advance(database, connection)

    monkeypatch.setattr(Database, "_advance", unsynced)
