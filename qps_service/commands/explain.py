"""`qps-reporter explain`: how lines are understood, field by field."""

import argparse
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from textwrap import indent

from qps_service.commands import MAX_LINE, add_output, answer, format_of, one_line
from qps_service.commands.hosts import add_host, said_of_hosts
from qps_service.counting.routes import Routes
from qps_service.errors import EXIT_OK, EXIT_PROBLEM
from qps_service.formats.detection import Choice, choose, fits
from qps_service.formats.explanation import Explanation, explain, explain_row, title, why_unmeasured
from qps_service.formats.presets import AUTO, PRESETS, LogFormat, compile_format
from qps_service.formats.w3c import is_directive, taken_in, unwrapped
from qps_service.reporting.documents import as_csv, as_json
from qps_service.text.caret import point
from qps_service.text.escape import show
from qps_service.text.units import format_duration
from qps_service.values.counts import TOO_LONG

EPILOG = """\
examples:
  qps-reporter explain '1.2.3.4 - - [24/Nov/2026:14:50:08 +0000] "GET /a?b HTTP/1.1" 200 512'
  qps-reporter explain '/help 200' --format '%U %>s'
  tail -n 3 access.log | qps-reporter explain - --format combined --format json
  head -n 20 u_ex261124.log | qps-reporter explain -

Routes are those of a log without rules of its own.
Exits 0 if all lines count, 1 if one is rejected or there is none, 2 if the command line is wrong.
"""


COLUMNS = (
    "line",
    "format",
    "method",
    "route",
    "status",
    "bytes",
    "unix",
    "rejected",
    "expected",
    "duration_ns",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    parser.add_argument(
        "lines", nargs="+", metavar="LINE", help="a line of a log; - for those of standard input"
    )
    parser.add_argument(
        "--format",
        action="append",
        metavar="FORMAT",
        help=f"their format, as run's --format (default: {AUTO}, the one that most of them fit)",
    )
    add_host(parser.add_argument)
    add_output(parser, "text, a JSON array with all fields, or CSV of what each line counts as")


def run(arguments: argparse.Namespace) -> int:
    """Print what each line means; the exit status."""
    log_format = format_of(arguments)
    keep = arguments.host == "keep"
    routes = Routes(keep_host=keep)
    lines = list(_lines(arguments.lines))
    if log_format.is_auto:
        choice = choose(lines)
        log_format = choice.format or _likely(lines)
        if arguments.output == "table":
            answer(_chosen(choice, log_format) + "\n")
    found_all: list[dict[str, object]] = []
    well = bool(lines)
    fields = b""  # the last #Fields
    for line in lines:
        if log_format.is_w3c and is_directive(unwrapped(line, fields).line):
            fields = taken_in(line.rstrip(b"\r\n"), fields) or b""
            if arguments.output == "table":
                answer(f"\n  {show(line.rstrip())}\na directive, which counts as no request\n")
            continue
        if log_format.is_w3c:
            of_line, found = explain_row(fields, line, MAX_LINE, keep_host=keep)
        else:
            of_line, found = log_format, explain(log_format, line, MAX_LINE, keep_host=keep)
        if arguments.output == "table":
            answer("\n".join(["", *_explained(of_line, found, routes), ""]))
        found_all.append(_document(of_line, line, found, routes))
        well &= found.reason is None
    said = said_of_hosts(log_format, b"\n".join(lines), MAX_LINE, keep=keep)
    if arguments.output == "table" and said:
        answer(f"\nhosts {said}\n")
    if arguments.output == "json":
        answer(as_json(found_all))
    elif arguments.output == "csv":
        answer(as_csv(COLUMNS, found_all))
    return EXIT_OK if well else EXIT_PROBLEM


def _document(log_format: LogFormat, line: bytes, found: Explanation, routes: Routes) -> dict[str, object]:
    """What is said of a line, for programs: with COLUMNS, and its fields."""
    request, log_format = found.request, log_format.listed[found.number]
    return {
        "line": show(line),
        "format": one_line(log_format.text),
        "method": show(request.method) if request else None,
        "route": show(routes.of(request.target)) if request else None,
        "status": request.status if request else None,
        "bytes": request.size if request else None,
        "unix": found.second,
        "rejected": found.reason,
        "expected": found.fault.expected if found.fault else None,
        "duration_ns": request.duration if request else None,
        "fields": [
            {"name": show(name.encode()), "role": part.role, "value": show(part.value)}
            for part in found.parts
            for name in [title(log_format, part.name)]
        ],
    }


def _lines(arguments: list[str]) -> Iterator[bytes]:
    for argument in arguments:
        if argument == "-":
            yield from (line.removesuffix(b"\n") for line in sys.stdin.buffer)
        else:
            yield os.fsencode(argument).removesuffix(b"\n")


def _likely(lines: list[bytes]) -> LogFormat:
    """What to explain lines by that no preset fits."""
    is_object = bool(lines) and lines[0].lstrip().startswith(b"{")
    return compile_format("json" if is_object else "combined")


def _chosen(choice: Choice, log_format: LogFormat) -> str:
    if choice.format:
        return f"format {log_format.text}: {choice.reason}"
    return f"no format found: {choice.reason}; shown as {log_format.text}"


def _explained(log_format: LogFormat, found: Explanation, routes: Routes) -> Iterator[str]:
    """The lines of text about one line of the log."""
    texts, log_format = log_format.texts, log_format.listed[found.number]
    if len(texts) > 1 and found.reason != TOO_LONG:
        how = "read" if found.request else "rejected"
        number = texts.index(log_format.text) + 1
        yield f"{how} by format {number} of {len(texts)}: {one_line(log_format.text)}"
    names = [title(log_format, part.name) for part in found.parts]
    shown = [show(name.encode()) for name in names]
    width = max(map(len, shown), default=0)
    if found.around:
        yield f"read without: {show(found.around)}"
    for name, part in zip(shown, found.parts, strict=True):
        unit = f" ({part.unit})" if part.role == "duration" else ""
        yield f"  {name:<{width}}  {part.role or '-':<7}  {show(part.value)}{unit}"
    if found.request:
        request = found.request
        route = show(routes.of(request.target))
        if found.ignored:
            yield f"ignored: {show(found.ignored)}"
        size = "bytes unknown" if request.size is None else f"{request.size} bytes"
        took = "" if request.duration is None else f", took {format_duration(request.duration)}"
        yield f"counts as {show(request.method)} {route} {request.status:03d}, {size}{took}{_at(found)}"
        if why := why_unmeasured(log_format, found):
            yield f"not measured: {show(why.encode())}"
        return
    yield f"rejected ({found.reason})" + (f": {found.fault.expected}" if found.fault else "")
    if found.fault and found.fault.place is not None:
        place = found.fault.place
        before, after = (
            part.decode(errors="surrogateescape") for part in (found.line[:place], found.line[place:])
        )
        yield indent(point(before, after), "  ", lambda _: True)
    others = [name for name in PRESETS if name not in texts and fits(compile_format(name), found.line)]
    yield f"it fits the format {' or '.join(others)}" if others else "no other format with a name fits it"


def _at(found: Explanation) -> str:
    if found.second is None:
        return ", at no time that can be read" if any(part.role == "time" for part in found.parts) else ""
    try:
        return f", at {datetime.fromtimestamp(found.second, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f", {found.second} seconds after 1970"
