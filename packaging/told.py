"""What the program tells of itself, for whoever makes pages of it.

These are packaging/man/build.py and docs/make_reference.py. It gives facts, without the markup of either.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from syslog import LOG_CRIT, LOG_ERR, LOG_INFO, LOG_NOTICE, LOG_WARNING
from typing import NamedTuple

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

# They stand beside this directory.
from qps_service.cli import make_parser  # noqa: E402
from qps_service.configuration.loader import CONFIG_VARIABLE, LOG_VARIABLE, NAME_VARIABLE  # noqa: E402
from qps_service.configuration.settings import LOG, SERVICE, Setting  # noqa: E402
from qps_service.formats.presets import ROLES  # noqa: E402
from qps_service.notices.kinds import KINDS, REPORT_MESSAGE_ID  # noqa: E402

CATALOG = HERE / "systemd" / "qps-reporter.catalog"

_PRIORITIES = {
    LOG_CRIT: "crit",
    LOG_ERR: "err",
    LOG_WARNING: "warning",
    LOG_NOTICE: "notice",
    LOG_INFO: "info",
}


def subparsers() -> dict[str, argparse.ArgumentParser]:
    """Each subcommand's, by its name."""
    for action in make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise LookupError("expected subcommands")


def arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Its arguments, but for its help."""
    return [action for action in parser._actions if action.dest != "help"]


def epilog(parser: argparse.ArgumentParser) -> tuple[str, str]:
    """The examples of its help, and what stands below them."""
    examples, _, rest = (parser.epilog or "").partition("\n\n")
    return examples.partition("\n")[2], rest.strip()


def variables() -> dict[str, str]:
    """What each environment variable is the same as: a flag, or the argument LOG."""
    flagged = {each.variable: f"--{each.key}" for each in (*SERVICE, *LOG) if each.flag}
    return {LOG_VARIABLE: "LOG", CONFIG_VARIABLE: "--config", NAME_VARIABLE: "--name"} | flagged


def facts(setting: Setting) -> Iterator[tuple[str, str]]:
    """What there is to know of a setting beside its meaning: what it is, and the value."""
    if setting.default:
        yield "Default", setting.default
    if setting.range:
        yield "Range", setting.range
    if setting.flag:
        yield "Flag", f"--{setting.key}"
        yield "Variable", setting.variable


def roles() -> dict[str, list[str]]:
    """The names of nginx's language that count, by what they count as."""
    found: dict[str, list[str]] = {}
    for name, role in ROLES.items():
        found.setdefault(role, []).append(name)
    return found


class Message(NamedTuple):
    """A kind of entry in the journal."""

    name: str
    message_id: str
    priority: str  # syslog's word for it


def messages() -> list[Message]:
    """All kinds, the report first."""
    kinds = [Message(kind.name, kind.message_id, _PRIORITIES[kind.priority]) for kind in KINDS]
    return [Message("report", REPORT_MESSAGE_ID, "info"), *kinds]


def catalog() -> dict[str, tuple[str, str]]:
    """What the journal's catalog says of each, by MESSAGE_ID: its subject and its text."""
    parts = re.split(r"^-- (\S+)\n", CATALOG.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    entries = {}
    for message_id, entry in zip(parts[::2], parts[1::2], strict=True):
        head, _, text = entry.partition("\n\n")
        entries[message_id] = (re.findall(r"^Subject: (.+)$", head, re.MULTILINE)[0], text.strip())
    return entries
