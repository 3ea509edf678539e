"""`qps-reporter audit`: whether the books balance."""

import argparse
import time

from qps_service.auditing.audit import Audit, audit
from qps_service.auditing.recount import Checked
from qps_service.commands import add_output, answer
from qps_service.commands.reading import add_state, reading
from qps_service.errors import EXIT_OK, EXIT_PROBLEM
from qps_service.files.kernel import Files
from qps_service.reporting.documents import as_csv, as_json
from qps_service.text.escape import show, show_path
from qps_service.values.positions import PIPES

EPILOG = """\
examples:
  qps-reporter audit                    the ledger of the service
  qps-reporter audit --state DIR

Lists each generation of each log, which is one file from one rotation to the next: the bytes and lines that
were read of it, how many lines were rejected, bytes that are still to be read, and the lines in its file
counted again: `gone` where there is none, `unreadable` where there is one that can't be read. What was read
of pipes is one row, which nothing can be counted again of. Then the sums, and what may have been lost. Reads
only, and may run while the service does. Exits 0 if the books balance, as far as files could be read, 1 if
they don't or can't be read.
"""

COUNTED = ("bytes", "lines", "rejected", "pending", "recount")
COLUMNS = ("log", "generation", "state", *COUNTED, "balance", "file")
HEADING = ("generation", "state", "bytes read", "lines", "rejected", "pending", "recount", "file")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    add_state(parser)
    add_output(parser, "a table of each log, one JSON object, or CSV of the generations")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; the exit status."""
    with reading(arguments.state, scan=True) as ledger:
        audits = [audit(ledger, log, Files()) for log in ledger.logs()]
    balance = all(each.balances for each in audits)
    if arguments.output == "table":
        answer("".join(map(render, audits)) + f"the books {_verdict(audits, balance=balance)}\n")
    elif arguments.output == "json":
        answer(as_json({"balance": balance, "logs": [_document(each) for each in audits]}))
    else:
        answer(as_csv(COLUMNS, [row for each in audits for row in _generations(each)]))
    return EXIT_OK if balance else EXIT_PROBLEM


def _document(audit: Audit) -> dict[str, object]:
    """One log's part of the answer for programs."""
    return {
        "log": audit.log,
        "path": show_path(audit.path),
        "committed": audit.at // 10**9,
        "balance": audit.balances,
        "lines": audit.lines,
        "requests": audit.requests,
        "rejected": audit.rejected,
        "directives": audit.directives,
        "generations": [
            {name: value for name, value in row.items() if name != "log"} for row in _generations(audit)
        ],
        "losses": [
            {"unix": loss.at // 10**9, "file": show_path(loss.name), "what": loss.what, "bytes": loss.bytes}
            for loss in audit.losses
        ],
    }


def _generations(audit: Audit) -> list[dict[str, object]]:
    """Its generations as rows of COLUMNS; `recount` is a number of lines, None where nothing was counted."""
    return [
        {
            "log": audit.log,
            "generation": checked.position.number,
            "state": "open" if checked.held else "closed",
            "bytes": checked.position.offset - checked.position.begun,
            "lines": checked.position.lines,
            "rejected": checked.position.rejected,
            "pending": checked.pending,
            "recount": None if checked.unread else checked.counted,
            "balance": checked.balances,
            "file": _row(checked)[-1],
        }
        for checked in audit.generations
    ]


def render(audit: Audit) -> str:
    """One log's part of the answer."""
    rows = [HEADING, *map(_row, audit.generations)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADING) - 1)]
    lines = [f"log {show(audit.log.encode())}: {show_path(audit.path)}, committed {_date(audit.at)}"]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append(f"  {'  '.join(cells)}  {row[-1]}")
    lines += [f"  cannot read {show_path(path)}: {reason}" for path, reason in audit.unread]
    counted = audit.requests + audit.rejected + audit.directives
    directives = f" + {audit.directives} directives" if audit.directives else ""
    forgotten = f" ({audit.forgotten} of them in generations that are forgotten)" if audit.forgotten else ""
    lines += [
        f"  read {audit.lines} lines{forgotten}, "
        f"counted {audit.requests} requests + {audit.rejected} rejected{directives} = {counted}"
        f"{'' if audit.lines_balance else '  <-- problem'}",
        f"  possible losses: {len(audit.losses) or 'none'}",
    ]
    for loss in audit.losses:
        most = "unknown bytes" if loss.bytes is None else f"{loss.bytes} bytes at most"
        lines.append(f"    {_date(loss.at)}, {most}: {show_path(loss.name)} {loss.what}")
    return "\n".join(lines) + "\n\n"


def _verdict(audits: list[Audit], *, balance: bool) -> str:
    if not balance:
        return "DO NOT BALANCE"
    return "balance, as far as files could be read" if any(each.unread for each in audits) else "balance"


def _row(checked: Checked) -> tuple[str, ...]:
    position = checked.position
    recount = "gone" if checked.counted is None else "same"
    if checked.unread:
        recount = "unreadable"
    if not checked.balances:
        recount = f"{checked.counted}, a problem"
    is_pipe = position.number == PIPES
    return (
        "pipe" if is_pipe else str(position.number),
        "open" if checked.held else "closed",
        str(position.offset - position.begun),
        str(position.lines),
        str(position.rejected),
        "-" if checked.pending is None else str(checked.pending),
        "none" if is_pipe else recount,
        show_path(checked.unread.path if checked.unread else checked.path or position.name),
    )


def _date(at: int) -> str:
    return time.ctime(at // 10**9)
