"""How a line is understood: field by field, and why it is rejected, with the place.

What counts is decided by qps_service.formats.line; here stands only what is said about it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from qps_service.formats.combined import CombinedReader
from qps_service.formats.durations import nanoseconds_of
from qps_service.formats.json_members import object_of
from qps_service.formats.line import (
    SWITCHED,
    ListReader,
    Rejected,
    Request,
    TextReader,
    Unwrapping,
    begins_with_field,
    make_reader,
    patterns_of,
    plain_reader,
    request_of,
    time_of,
    trim,
)
from qps_service.formats.named_fields import MESSAGES, counting, is_message, values_of
from qps_service.formats.presets import COMBINED, PRESETS, Field, LogFormat, compile_format
from qps_service.formats.w3c import NAME as W3C
from qps_service.formats.w3c import rows_of, separator_of, unread, unwrapped
from qps_service.values.counts import FIELDS, STATUS


class Part(NamedTuple):
    """A field as it was found."""

    name: str
    role: str | None
    value: bytes
    start: int | None = None  # byte of the line; None where that is not told
    unit: str | None = None  # of a duration


class Fault(NamedTuple):
    """What is wrong, and where."""

    expected: str
    place: int | None = None  # byte of the line; None where there is none to point at


class Explanation(NamedTuple):
    """All that is to be said of a line."""

    around: bytes  # what was taken off, since the line can't be read with it
    line: bytes  # what is looked at of it
    parts: tuple[Part, ...]  # as far as they were found
    ignored: bytes  # what stands behind these in a line that counts
    request: Request | None  # what it counts as
    second: int | None  # when, Unix time; None where no time can be read
    reason: str | None  # why it is rejected, one of qps_service.values.counts.REASONS
    fault: Fault | None
    number: int = 0  # of the format by which it is understood, from 0, among those that are listed


def explain(log_format: LogFormat, raw: bytes, max_line: int, *, keep_host: bool = False) -> Explanation:
    """How a line without its newline is understood; of a list, by the format that it is understood by."""
    try:
        line = trim(raw, max_line)
    except Rejected as rejected:
        fault = Fault(f"expected {max_line} bytes at most")
        return Explanation(b"", raw[:max_line], (), b"", None, None, rejected.args[0], fault)
    if log_format.others:
        reader = make_reader(log_format)
        number = reader.understand(line)[0] if isinstance(reader, ListReader) else 0
        listed = log_format.listed[number]
        return explain(listed, raw, max_line, keep_host=keep_host)._replace(number=number)
    reader = plain_reader(log_format)
    is_open = begins_with_field(log_format.pieces)
    roles, line, around = Unwrapping(reader, begins_with_field=is_open).read(line)
    try:
        request = request_of(roles, keep_query=False, keep_host=keep_host)
    except Rejected as rejected:
        reason = rejected.args[0]
        parts, found = _broken(log_format, line)
        if reason == STATUS:
            place = next((part.start for part in parts if part.role == "status"), None)
            found = Fault("expected three digits, or 0, -1 or - where nothing was answered", place)
        return Explanation(around, line, parts, b"", None, None, reason, found)
    if isinstance(reader, TextReader | CombinedReader):
        fields, ignored = reader.parts(line)
        parts = _parts(fields)
    else:
        parts, ignored = _named(log_format, line)[0], b""
        if not log_format.is_ltsv and (found_object := object_of(line)):
            around += line[: found_object.start]
            ignored = line[found_object.end :]
    return Explanation(
        around, line, _with_tail(log_format, parts, roles, line), ignored, request, time_of(roles), None, None
    )


def _with_tail(
    log_format: LogFormat, parts: tuple[Part, ...], roles: Mapping[str, bytes] | None, line: bytes
) -> tuple[Part, ...]:
    """The parts with the duration that counts, where the line's end tells it whatever stands before."""
    last, value = log_format.pieces[-1:], (roles or {}).get("duration")
    if value is None or not last or not isinstance(field := last[0], Field) or field.role != "duration":
        return parts
    others = tuple(part for part in parts if part.role != "duration")
    return (*others, Part(field.name, field.role, value, len(line) - len(value), field.unit))


# Names under which others than servers write how long something took.
_DURATION = re.compile(
    r"(?:.*[._-])?(?:duration|latency|elapsed|took|taken|time_?taken|"
    r"(?:response|request|process(?:ing)?|total|elapsed|execution)_?time)",
    re.IGNORECASE,
)
AGENT = 2  # behind so many fields, the referer and the agent, servers write what they like
_WHOLE_SECONDS = "has whole seconds, which tell no percentile: write %D or %{ms}T in its place"


def why_unmeasured(log_format: LogFormat, found: Explanation) -> str | None:
    """Why a request has no duration, though its line has a field that seems to tell one, and what to do; None
    where it has one, or there is nothing to say."""
    if found.request is None or found.request.duration is not None:
        return None
    if any(part.role == "duration" for part in found.parts):
        switched = found.request.status == SWITCHED
        return "the connection lived on as another protocol" if switched else "that is no duration"
    for part in found.parts:
        if re.fullmatch(r"%[<>]*(?:\{s\})?T", part.name):
            return f"{part.name} {_WHOLE_SECONDS}"
        is_number = nanoseconds_of(part.value, "s") is not None
        if log_format.members and part.role is None and is_number and _DURATION.fullmatch(part.name):
            text = " ".join(log_format.text.split())
            pasted = f'format = "{text} duration=ms:{part.name}"'
            return f"nothing tells the unit of {part.name}; if it is ms, write {pasted} (or s, us, ns)"
    if log_format.is_combined and (behind := _behind_agent(found)):
        return behind
    if log_format.text == W3C and any(part.name.lower() == "time-taken" for part in found.parts):
        return "nothing tells the unit of time-taken: no #Software that is known, and no fields of CloudFront"
    return None


# What stands behind the size in a line of the family, and what of that a server writes for a duration: nobody
# writes a fraction or a unit for anything else there.
_BEHIND = re.compile(rb' (?:"((?:[^"\\]++|\\.)*+)"|([^" ]++))(?= |\Z)')
_TOOK = re.compile(rb"([a-z_]++=)?([0-9]++(?:\.[0-9]++|[.0-9a-z]*+(?<=s)))")


def _behind_agent(found: Explanation) -> str | None:
    """What there is to say of the first duration behind the agent, and the format that measures it."""
    pasted, place = PRESETS[COMBINED].texts[0], 0
    for number, token in enumerate(_BEHIND.finditer(b" " + found.ignored)):
        if token.start() != place or (number < AGENT and token[1] is None):
            break
        place, quote = token.end(), '"' if token[2] is None else ""
        took = _TOOK.fullmatch(token[1] or token[2] or b"") if number >= AGENT else None
        if took is None:
            pasted += f" {quote}$skipped_{number}{quote}" if number >= AGENT else ""
            continue
        name = "duration_ms" if took[2].endswith(b"s") else "request_time"
        rest = " $rest" if place <= len(found.ignored) else ""
        pasted += f" {quote}{(took[1] or b'').decode()}${name}{quote}{rest}"
        request = explain(compile_format(pasted), found.line, len(found.line)).request
        if request is None or request.duration is None:
            break
        said = took[2].decode()
        return f"nothing tells what {said} behind the agent is; if it took so long, write format = '{pasted}'"
    return None


def _broken(log_format: LogFormat, line: bytes) -> tuple[tuple[Part, ...], Fault | None]:
    """What there is of a line that is rejected, and what was expected."""
    if log_format.is_combined:
        fields, expected, place = CombinedReader().broken(line)
        return _parts(fields), Fault(expected, place)
    return _named(log_format, line) if log_format.members else walk(log_format, line)


def _parts(fields: Sequence[tuple[Field, int, bytes]]) -> tuple[Part, ...]:
    return tuple(Part(field.name, field.role, value, start, field.unit) for field, start, value in fields)


def explain_row(
    fields: bytes, raw: bytes, max_line: int, *, keep_host: bool = False
) -> tuple[LogFormat, Explanation]:
    """How a row is understood below this `#Fields`, which is empty where there is none; and its format."""
    text, around = unwrapped(raw, fields) if len(raw) <= max_line else (raw, b"")
    rows = rows_of(fields, separator_of(text), wants_time=True)
    if rows:
        found = explain(rows.log_format, rows.plain(text), max_line, keep_host=keep_host)
        return rows.log_format, found._replace(around=around + found.around)
    fault = Fault("expected a #Fields line before it, with sc-status and cs-uri-stem")
    return unread(), Explanation(b"", raw[:max_line], (), b"", None, None, FIELDS, fault)


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
                behind = title(log_format, piece.name)
                return tuple(parts), Fault(f"expected {_quote(following)} behind {behind}", place)
            parts.append(Part(piece.name, piece.role, match[0], place, piece.unit))
        elif match is None:
            after = f" after {title(log_format, parts[-1].name)}" if parts else ""
            end = ", found the end" if place == len(line) else ""
            return tuple(parts), Fault(
                f"expected {_quote(piece)}{after}{end}", place + _common(line, place, piece)
            )
        place = match.end()
    return tuple(parts), None if place == len(line) else Fault("expected the end of the line", place)


def title(log_format: LogFormat, name: str) -> str:
    """A field's name as it stands in its format."""
    is_bare = log_format.members or log_format.is_combined or log_format.text == W3C or name.startswith("%")
    return name if is_bare else f"${name}"


def _named(log_format: LogFormat, line: bytes) -> tuple[tuple[Part, ...], Fault | None]:
    """Members or labels, and what lacks, if anything."""
    found: Mapping[bytes, bytes | None]
    cut = None
    if log_format.is_ltsv:
        found, what, whole, null = values_of(line), "labels", None, b""
    else:
        whole, what, null = object_of(line), "members", b"null"
        if whole is None:
            return (), Fault("expected a JSON object", 0)
        found, cut = whole.members, whole.cut
    counted = counting(log_format.members, found, cut)
    roles = {role: member.path for role, member in counted.items()}
    units = {member.path: member.unit for member in counted.values()}
    if "request" in roles:
        roles.pop("method", None)
        roles.pop("route", None)
    by_path = {path: role for role, path in roles.items()}
    parts = tuple(
        Part(
            path.decode(errors="backslashreplace"),
            by_path.get(path),
            null if text is None else text,
            unit=units.get(path),
        )
        for path, text in found.items()
    )
    for role, others in (("status", ()), ("route", ("request",))):
        if not {role, *others} & roles.keys():
            paths = [each.path.decode() for each in log_format.members if each.role in (role, *others)]
            return parts, Fault(f"expected a {role}: one of the {what} {', '.join(paths)}")
    is_said = "logger" in roles and (found[roles["logger"]] or b"").startswith(MESSAGES)
    if is_said or (whole and is_message(line[: whole.start])):
        return parts, Fault("expected a request: this is a message about one, which has a line of its own")
    return parts, None


def _common(line: bytes, place: int, literal: bytes) -> int:
    """How many bytes of a literal do stand in the line."""
    pairs = zip(line[place:], literal, strict=False)
    return next((number for number, (one, other) in enumerate(pairs) if one != other), len(line) - place)


def _quote(literal: Field | bytes) -> str:
    """A literal in words: a blank or a tab could not be seen."""
    text = literal if isinstance(literal, bytes) else b""
    shown = {b" ": "a blank", b"\t": "a tab"}.get(text)
    return shown or "`" + text.decode().replace("\t", r"\t") + "`"
