"""What bounds the ledger's history: people configure it, the ledger heeds it."""

from typing import NamedTuple


class History(NamedTuple):
    """What is kept of it at most."""

    keep: int  # nanoseconds
    max_size: int  # bytes
