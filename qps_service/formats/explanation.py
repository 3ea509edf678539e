"""How a line is understood: field by field, and why it is rejected, with the place.

What counts is decided by qps_service.formats.line; here stands only what is said about it.
"""

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from qps_service.formats.line import Rejected, Request, make_reader, patterns_of, request_of, time_of, trim
from qps_service.formats.presets import Field, LogFormat
from qps_service.values.counts import BYTES, FIELDS, NOT_HTTP, STATUS

_EXPECTED = {
    NOT_HTTP: "expected METHOD target, as in GET /path HTTP/1.1",
    STATUS: "expected three digits",
    BYTES: "expected a number below 2^64, or -",
}


class Part(NamedTuple):
    """A field as it was found."""

    name: str
    role: str | None
    value: bytes
    start: int | None = None  # byte of the line; None where that is not told


class Fault(NamedTuple):
    """What is wrong, and where."""

    expected: str
    place: int | None = None  # byte of the line; None where there is none to point at


class Explanation(NamedTuple):
    """All that is to be said of a line."""

    line: bytes  # what is looked at of it
    parts: tuple[Part, ...]  # as far as they were found
    request: Request | None  # what it counts as
    second: int | None  # when, Unix time; None where no time can be read
    reason: str | None  # why it is rejected, one of qps_service.values.counts.REASONS
    fault: Fault | None


def explain(log_format: LogFormat, raw: bytes, max_line: int) -> Explanation:
    """How a line without its newline is understood."""
    try:
        line = trim(raw, max_line)
    except Rejected as rejected:
        return Explanation(
            raw[:max_line], (), None, None, rejected.args[0], Fault(f"expected {max_line} bytes at most")
        )
    roles = make_reader(log_format).roles(line)
    parts, fault = _json(log_format, line) if log_format.members else _text(log_format, line)
    try:
        request = request_of(roles, keep_query=False)
    except Rejected as rejected:
        reason = rejected.args[0]
        if reason != FIELDS:
            fault = _of_role(reason, parts, roles or {})
        return Explanation(line, parts, None, None, reason, fault)
    return Explanation(line, parts, request, time_of(roles), None, None)


def walk(log_format: LogFormat, line: bytes) -> tuple[tuple[Part, ...], Fault | None]:
    """How far a format of text matches: the fields found, and what was expected next, if anything. It is the
    scanner's own way through the line, a piece at a time, since that never goes back."""
    parts: list[Part] = []
    place = 0
    pieces = log_format.pieces
    for piece, following, pattern in zip(pieces, (*pieces[1:], b""), patterns_of(pieces), strict=True):
        match = re.compile(pattern, re.DOTALL).match(line, place)
        if isinstance(piece, Field):
            if match is None:  # the literal behind it stands nowhere
                return tuple(parts), Fault(f"expected {_quote(following)} behind {title(piece.name)}", place)
            parts.append(Part(piece.name, piece.role, match[0], place))
        elif match is None:
            after = f" after {title(parts[-1].name)}" if parts else ""
            end = ", found the end" if place == len(line) else ""
            return tuple(parts), Fault(
                f"expected {_quote(piece)}{after}{end}", place + _common(line, place, piece)
            )
        place = match.end()
    return tuple(parts), None if place == len(line) else Fault("expected the end of the line", place)


def title(name: str) -> str:
    """A field's name as it stands in its format."""
    return name if name.startswith("%") else f"${name}"


def _text(log_format: LogFormat, line: bytes) -> tuple[tuple[Part, ...], Fault | None]:
    parts, fault = walk(log_format, line)
    found = make_reader(log_format).fields(line)
    if found is None or [(part.name, part.value) for part in parts] == list(found):
        return parts, fault
    # With runs of blanks for its literals.
    fields = [piece for piece in log_format.pieces if isinstance(piece, Field)]
    return tuple(
        Part(field.name, field.role, value) for field, (_, value) in zip(fields, found, strict=True)
    ), None


def _json(log_format: LogFormat, line: bytes) -> tuple[tuple[Part, ...], Fault | None]:
    found = make_reader(log_format).fields(line)
    if found is None:
        return (), _json_fault(line)
    names = {name for name, _ in found}
    roles: dict[str, str] = {}  # by role, the name that gives it
    for member in log_format.members:
        name = member.path.decode(errors="backslashreplace")
        if name in names:
            roles.setdefault(member.role, name)
    if "request" in roles:
        roles.pop("method", None)
        roles.pop("route", None)
    by_name = {name: role for role, name in roles.items()}
    parts = tuple(Part(name, by_name.get(name), value) for name, value in found)
    for role, others in (("status", ()), ("route", ("request",))):
        if not {role, *others} & roles.keys():
            paths = [each.path.decode() for each in log_format.members if each.role in (role, *others)]
            return parts, Fault(f"expected a {role}: one of the members {', '.join(paths)}")
    return parts, None


def _json_fault(line: bytes) -> Fault:
    try:
        json.loads(line.decode("latin-1"), strict=False)  # a character is a byte then
    except json.JSONDecodeError as error:
        return Fault(f"expected a JSON object: {error.msg[0].lower()}{error.msg[1:]}", error.pos)
    except (RecursionError, ValueError):  # nested too deep; a number of too many digits
        pass
    return Fault("expected a JSON object", 0)


def _of_role(reason: str, parts: tuple[Part, ...], roles: Mapping[str, bytes]) -> Fault:
    """What is wrong with the value of a role."""
    wanted = {STATUS: ("status",), BYTES: ("bytes",)}.get(reason, ("request", "method", "route"))
    if reason == NOT_HTTP and "request" not in roles and roles.get("route") == b"":
        wanted = ("route",)
    part = next((part for role in wanted for part in parts if part.role == role), None)
    return Fault(_EXPECTED.get(reason, reason), part.start if part else None)


def _common(line: bytes, place: int, literal: bytes) -> int:
    """How many bytes of a literal do stand in the line."""
    pairs = zip(line[place:], literal, strict=False)
    return next((number for number, (one, other) in enumerate(pairs) if one != other), len(line) - place)


def _quote(literal: Field | bytes) -> str:
    """A literal in words: a blank or a tab could not be seen."""
    text = literal if isinstance(literal, bytes) else b""
    shown = {b" ": "a blank", b"\t": "a tab"}.get(text)
    return shown or "`" + text.decode().replace("\t", r"\t") + "`"
