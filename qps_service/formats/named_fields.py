"""Lines whose fields have names: objects of JSON (json_members.py), and labeled tab-separated values.

Of several with the same name the first counts, and of several names for one role that which the format names
first. A request line begins with a method; where it begins with a slash it is a route, as some write who have
the method beside it. A status may have a fraction of zeros.

Lines of LTSV are cut at tabs, and a label ends at its first colon: http://ltsv.org. Nobody can tell an empty
value at the line's end from one that is cut off: it is nothing, as `null` is in JSON.
"""

import re
from collections.abc import Mapping, Sequence

from qps_service.formats.json_members import object_of
from qps_service.formats.log_format import DECIDING, Member

# Who writes messages about requests that have lines of their own, with their status: Caddy's server and, when
# it debugs, its handlers (https://caddyserver.com/docs/caddyfile/directives/log).
MESSAGES = (b"http.log.error", b"http.handlers.")
_WHOLE = re.compile(rb"([0-9]{3})\.0+")


def counting(
    members: Sequence[Member], values: Mapping[bytes, bytes | None], cut: bytes | None = None
) -> dict[str, Member]:
    """Those that count, by their role. Where a status or a route is None there was none. `cut`: the name of
    the one that the line's end may have cut; it is no measure."""
    named = [
        member
        for member in members
        if member.path in values and (member.path != cut or member.role in DECIDING)
    ]
    known = {member.path for member in named if values[member.path] is not None}
    found: dict[str, Member] = {}
    for member in named:
        if member.path in known and known.issuperset(member.beside):
            found.setdefault(member.role, member)
    if "request" in found and (values[found["request"].path] or b"").startswith(b"/"):
        found.setdefault("route", found.pop("request"))
    for member in named:
        if values[member.path] is None and member.role in DECIDING and member.role != "method":
            found.setdefault("status" if member.role == "status" else "route", member)
    return found


def is_message(before: bytes) -> bool:
    """Whether a message's logger stands before the object, between tabs, as Caddy's console has it."""
    return any(b"\t" + logger in before for logger in MESSAGES)


def roles_of(
    members: Sequence[Member], values: Mapping[bytes, bytes | None], cut: bytes | None = None
) -> dict[str, bytes] | None:
    """Likewise, what they say, and `unit`, that of the duration; None for a message."""
    found = counting(members, values, cut)
    roles = {role: values[member.path] or b"" for role, member in found.items()}
    if "duration" in found:
        roles["unit"] = str(found["duration"].unit).encode()
    if whole := _WHOLE.fullmatch(roles.get("status", b"")):
        roles["status"] = whole[1]
    return None if roles.get("logger", b"").startswith(MESSAGES) else roles


class JsonReader:
    """One object, and whatever stands before and behind it."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members

    def fields(self, line: bytes) -> Sequence[tuple[str, bytes]] | None:
        """Every string and word in the object, with its path; None for a line that has none, or has quotes
        before it or anything behind: then it may be a client's, in a line of another format."""
        found = object_of(line)
        if found is None or b'"' in line[: found.start] or line[found.end :].strip(b" \t"):
            return None
        return [
            (path.decode(errors="backslashreplace"), b"null" if text is None else text)
            for path, text in found.members.items()
        ]

    def roles(self, line: bytes) -> Mapping[str, bytes] | None:
        """Those that count, by their role; None for a line that has no object, or is a message."""
        found = object_of(line)
        if found is None or is_message(line[: found.start]):
            return None
        return roles_of(self._members, found.members, found.cut)


class LtsvReader:
    """Labels and values."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members

    def fields(self, line: bytes) -> Sequence[tuple[str, bytes]] | None:
        """All of them; None for a line that has anything else but tabs."""
        if not all(b":" in field for field in line.split(b"\t") if field):
            return None
        found = values_of(line).items()
        return [(label.decode(errors="backslashreplace"), text or b"") for label, text in found]

    def roles(self, line: bytes) -> Mapping[str, bytes] | None:
        """Those that count, by their role."""
        return roles_of(self._members, values_of(line))


def values_of(line: bytes) -> dict[bytes, bytes | None]:
    """The values in a line of LTSV by their labels; None for an empty one at its end."""
    *fields, last = (field.partition(b":") for field in line.split(b"\t"))
    values: dict[bytes, bytes | None] = {}
    for label, colon, text in fields:
        if colon:
            values.setdefault(label, text)
    label, colon, text = last
    if colon:
        values.setdefault(label, text or None)
    return values
