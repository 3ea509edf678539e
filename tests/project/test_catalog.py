"""The journal's catalog explains each kind of message, once, and systemd takes it.

Each check takes the catalog's text and returns what is wrong with it; beside it stands a catalog with
just that fault.
"""

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from qps_service.notices import kinds
from qps_service.outputs.journal import notice_fields, report_fields
from qps_service.values.entries import PossibleLoss
from qps_service.values.reports import Report

CATALOG = Path(__file__).parents[2] / "packaging/systemd/qps-reporter.catalog"

KNOWN = {kind.message_id: kind.name for kind in kinds.KINDS} | {kinds.REPORT_MESSAGE_ID: "report"}
HEADERS = {"Defined-By": "qps-reporter", "Documentation": "man:qps-reporter.service(8)"}

Check = Callable[[str], list[str]]


class Entry(NamedTuple):
    message_id: str
    headers: dict[str, str]
    text: str


def entries(catalog: str) -> list[Entry]:
    """As systemd reads it: what stands between lines `-- ID`, with headers before the first empty line."""
    parts = re.split(r"^-- (\S+)\n", catalog, flags=re.MULTILINE)[1:]
    found = []
    for message_id, body in zip(parts[::2], parts[1::2], strict=True):
        head, _, text = body.partition("\n\n")
        headers = dict(line.split(": ", 1) for line in head.splitlines())
        found.append(Entry(message_id, headers, text.strip()))
    return found


def kinds_unexplained(catalog: str) -> list[str]:
    count = Counter(entry.message_id for entry in entries(catalog))
    return [name for message_id, name in KNOWN.items() if count[message_id] != 1]


def kinds_invented(catalog: str) -> list[str]:
    return [entry.message_id for entry in entries(catalog) if entry.message_id not in KNOWN]


def entries_incomplete(catalog: str) -> list[str]:
    return [
        entry.message_id
        for entry in entries(catalog)
        if not entry.headers.get("Subject") or not entry.text or not HEADERS.items() <= entry.headers.items()
    ]


def entries_without_advice(catalog: str) -> list[str]:
    return [entry.message_id for entry in entries(catalog) if "\nWhat to do" not in entry.text]


def subjects_that_are_alike(catalog: str) -> list[str]:
    count = Counter(entry.headers.get("Subject", "") for entry in entries(catalog))
    return [subject for subject, number in count.items() if number > 1]


def fields_invented(catalog: str) -> list[str]:
    """`@FIELD@` that an entry of that kind doesn't have."""
    problems = []
    for entry in entries(catalog):
        had = _fields(entry.message_id)
        used = re.findall(r"@(\w+)@", f"{entry.headers.get('Subject')}\n{entry.text}")
        problems += [f"{KNOWN[entry.message_id]}: {field}" for field in used if field not in had]
    return problems


# The others are about the service as a whole.
ABOUT_A_LOG = {
    kinds.FOLLOWING,
    kinds.LOG_LEFT,
    kinds.WAITING,
    kinds.UNREADABLE,
    kinds.READ_FAILED,
    kinds.ROTATED,
    kinds.MOUNTED_ALONE,
    kinds.TRUNCATED,
    kinds.POSSIBLE_LOSS,
    kinds.POSSIBLE_DUPLICATE,
    kinds.RECOGNISED,
    kinds.FOREIGN_FILE,
    kinds.RESTORED,
    kinds.LET_GO,
    kinds.FORMAT_CHOSEN,
    kinds.FORMAT_UNFIT,
    kinds.ROWS_SHORT,
    kinds.REJECTED,
}


def _fields(message_id: str) -> set[str]:
    if message_id == kinds.REPORT_MESSAGE_ID:
        return set(report_fields(Report("access", False, 1, 0, 1.0, 0, 0.0, 0, ())))
    kind = next(kind for kind in kinds.KINDS if kind.message_id == message_id)
    log = "access" if kind in ABOUT_A_LOG else None
    loss = PossibleLoss("went", "/log") if kind is kinds.POSSIBLE_LOSS else None
    return set(notice_fields(kinds.Notice(kind, "", log, loss)))


FOLLOWING = kinds.FOLLOWING.message_id
STOPPED = kinds.STOPPED.message_id

CASES: list[tuple[Check, str, str]] = [  # check; text in the catalog and what takes its place in the twin
    (kinds_unexplained, f"-- {FOLLOWING}\n", "# no entry\n"),
    (kinds_unexplained, f"-- {FOLLOWING}\n", f"-- {STOPPED}\n"),
    (kinds_unexplained, f"-- {kinds.REPORT_MESSAGE_ID}\n", "-- " + "0" * 32 + "\n"),
    (kinds_invented, f"-- {FOLLOWING}\n", "-- " + "0" * 32 + "\n"),
    (entries_incomplete, "Subject: The ledger is written again\n", ""),
    (
        entries_incomplete,
        'The new configuration is in force. "qps-reporter check" shows it.\n\nWhat to do: nothing.\n',
        "",
    ),
    (entries_without_advice, "\nWhat to do: see whether it goes on.", "\nSee whether it goes on."),
    (entries_incomplete, "Defined-By: qps-reporter", "Defined-By: somebody"),
    (subjects_that_are_alike, "Subject: The configuration was refused", "Subject: The service has stopped"),
    (fields_invented, "@QPS_LOSS_FILE@", "@QPS_FILE@"),
    (fields_invented, "Subject: The service has stopped", "Subject: The service of @QPS_LOG@ has stopped"),
]
CHECKS = list(dict.fromkeys(check for check, *_ in CASES))


@pytest.mark.parametrize("check", CHECKS)
def test_the_catalog_has_no_fault(check: Check) -> None:
    assert check(CATALOG.read_text()) == []


@pytest.mark.twin
@pytest.mark.parametrize(("check", "right", "wrong"), CASES)
def test_a_fault_is_noticed(check: Check, right: str, wrong: str) -> None:
    catalog = CATALOG.read_text()
    assert right in catalog
    assert check(catalog.replace(right, wrong))


def listed_by_systemd(root: Path, catalog: str) -> tuple[list[str], str]:
    """The ids and subjects that journalctl makes of it, and what it complains of."""
    for directory in ("usr/lib/systemd/catalog", "var/lib/systemd/catalog"):
        (root / directory).mkdir(parents=True)
    (root / "usr/lib/systemd/catalog/qps-reporter.catalog").write_text(catalog)
    command = ["journalctl", f"--root={root}"]
    update = subprocess.run([*command, "--update-catalog"], capture_output=True, text=True, check=False)
    listed = subprocess.run([*command, "--list-catalog"], capture_output=True, text=True, check=False)
    return sorted(listed.stdout.splitlines()), update.stderr + listed.stderr


@pytest.mark.skipif(not shutil.which("journalctl"), reason="needs journalctl, of Debian's systemd")
def test_systemd_takes_it(tmp_path: Path) -> None:
    listed, complaints = listed_by_systemd(tmp_path, CATALOG.read_text())
    expected = [
        f"{entry.message_id} {entry.headers['Defined-By']}: {entry.headers['Subject']}"
        for entry in entries(CATALOG.read_text())
    ]
    assert listed == sorted(expected)
    assert complaints == ""


@pytest.mark.twin
@pytest.mark.skipif(not shutil.which("journalctl"), reason="needs journalctl, of Debian's systemd")
def test_what_systemd_does_not_take_is_noticed(tmp_path: Path) -> None:
    twin = CATALOG.read_text().replace(f"-- {STOPPED}\n", f"-- {STOPPED[:-1]}\n")
    listed, complaints = listed_by_systemd(tmp_path, twin)
    assert complaints or len(listed) < len(KNOWN)
