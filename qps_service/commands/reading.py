"""What subcommands share that read a ledger: where it is, and that nothing is written."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

from qps_service.errors import ConfigError
from qps_service.files.kernel import LEDGER, Files, group_name
from qps_service.ledger.database import LedgerError
from qps_service.ledger.ledger import Ledger
from qps_service.service.process import boot_id
from qps_service.service.state_directory import STATE
from qps_service.text.escape import show_path


def add_state(parser: argparse.ArgumentParser) -> None:
    """The argument that says where the ledger is."""
    default = os.environ.get("QPS_REPORTER_STATE") or STATE
    parser.add_argument(
        "--state", metavar="DIR", default=default, help=f"directory that holds the ledger (default: {STATE})"
    )


@contextmanager
def reading(state: str, *, scan: bool = False) -> Iterator[Ledger]:
    """The ledger of a state directory, to be read only; with `scan`, looked through for damage. Raises
    ConfigError."""
    path = os.path.join(os.path.abspath(state), LEDGER)
    ledger = Ledger(path, boot=boot_id())
    try:
        ledger.open(writable=False, scan=scan)
        yield ledger
    except LedgerError as error:
        raise ConfigError(
            [f"cannot read the ledger {show_path(path)}: {error}{who_may(error, state)}"]
        ) from error
    finally:
        ledger.close()


def who_may(error: LedgerError, state: str) -> str:
    """Who would not have been refused; nothing where something else is wrong."""
    if not isinstance(error.__cause__, PermissionError):
        return ""
    try:
        return f"; root may, and members of the group {group_name(Files().stat(state).group)}"
    except OSError:
        return ""
