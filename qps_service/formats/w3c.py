"""The W3C extended log file format, as IIS, CloudFront, Tomcat and proxies write it: the log itself tells how
its lines are to be read.

    #Software: Microsoft Internet Information Services 10.0
    #Fields: date time cs-method cs-uri-stem cs-uri-query sc-status sc-bytes
    2026-11-24 10:00:00 GET /help from=mail 200 512

Lines with `#Name:` are directives, and no rows. `#Fields` names what stands in the rows that follow, until
the next one: a server writes one when it starts, and whenever its settings change
(https://www.w3.org/TR/WD-logfile.html). Rows are read by a format of text that is made of it. What stands
between the values is a tab where a row's first value ends with one, as in CloudFront's, and otherwise runs of
blanks. A value in quotes may hold blanks then (IIS Advanced Logging, Blue Coat, Tomcat), if the row has
another number of values without that. Values are left as they are: %-encoded, and with `+` for a blank.

`time-taken` is in seconds, says the draft of 1996, and so do Tomcat and CloudFront; IIS and Blue Coat's
proxies write milliseconds. So its unit goes by what `#Software` says, or by the fields of CloudFront, which
says nothing: where neither tells, it is not measured. What `#Software` says is kept with `#Fields`.

Where `#Fields` stands behind what others put around lines (wrapping.py), rows do, too. That is looked for
while none is in force, and not below one that stands alone: there a client could write another one.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from qps_service.formats.log_format import HOST, Field, LogFormat, settle
from qps_service.formats.wrapping import Wrapped, unwrap
from qps_service.text.regex import regex

NAME = "w3c"

# A directive is kept with each position: IIS's have 400 bytes at most, CloudFront's 600.
DIRECTIVE_LIMIT = 4096  # bytes
FIELDS_LIMIT = 128  # of a row that are looked at; CloudFront has 33
# Where a log is not read from its start, the #Fields that is in force is looked for in so much before that,
# and in as much of its beginning: most logs have one there, and no other.
LOOK_BACK = 1024 * 1024  # bytes

# What wrote a log, by how that begins, and the unit of its time-taken:
# https://learn.microsoft.com/en-us/windows/win32/http/w3c-logging
# https://tomcat.apache.org/tomcat-10.1-doc/config/valve.html#Extended_Access_Log_Valve
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging.html
_UNITS = {"Microsoft": "ms", "SGOS": "ms", "Apache Tomcat": "s"}
_EDGE = "x-edge-"  # what CloudFront's own fields begin with
TIME_TAKEN = "time-taken"
_SOFTWARE_LIMIT = 64  # bytes of it that are kept
WRAPPED = b" "  # what is kept begins so where lines have something around them

# Fields that are joined. Blue Coat's proxies have a path in place of a stem.
_TIME = "date", "time"
_ROUTES = ("cs-uri-stem", "cs-uri-query"), ("cs-uri-path", "cs-uri-query")
# Of several with one role the first counts. `cs-uri` is the whole URI, perhaps with its query.
ROLES = {
    "cs-method": "method",
    **{name: "route" for pair in _ROUTES for name in (" ".join(pair), pair[0])},
    "cs-uri": "route",
    "sc-status": "status",
    "sc-bytes": "bytes",
    " ".join(_TIME): "time",
    "timestamp": "time",  # CloudFront's, as Unix time
    "timestamp(ms)": "time",
    "x-host-header": "host",  # CloudFront's; cs(Host) is its own name there
    "cs-host": "host",
    "cs(host)": "host",
    TIME_TAKEN: "duration",
}
_RANKS = {name: rank for rank, name in enumerate(ROLES)}
_NEEDED = {"route", "status"}
_UNQUOTED = {"date", "time", "time-taken", "c-ip", "c-port", "s-ip", "s-port"}  # they have no blanks

_BYTE_ORDER_MARK = rb"(?:\xef\xbb\xbf)?"
_DIRECTIVE = regex(_BYTE_ORDER_MARK + rb"#[A-Z][A-Za-z-]*+:")
_SOFTWARE = regex(_BYTE_ORDER_MARK + rb"#Software:[ \t]*+([^\r\n]*+)")
_FIELDS = regex(_BYTE_ORDER_MARK + rb"#Fields:")
_DIRECTIVES = regex(rb"(?m)^" + _DIRECTIVE.pattern + rb"[^\n]*+\n?")
_ALL = regex(rb"(?m)^(?:%b|%b)[^\n]*+\n" % (_FIELDS.pattern, _SOFTWARE.pattern))
_INSIDE = regex(rb"[^\n]#[A-Z][A-Za-z-]*+:")

_LINES = regex(rb"[^\n]*+\n|[^\n]++")
# To the ends of lines, so that a search goes on there.
_TABBED = regex(rb"(?m)^[^ \t\n]*+\t[^\n]*+")  # a row whose first value ends with a tab
_RUN = regex(rb" ++(?=[\r\n]|\Z)|(?<= ) ++")  # blanks that separate nothing
_QUOTING = regex(rb'(?m)^[^"\n]*+"[^\n]*+')  # a row with a quote
_QUOTED = regex(rb'"(?<![^ ]")(?:[^"\n]|"")*+"(?![^ \r])')

Read = Callable[[int, int], bytes]  # size, offset -> bytes, as pread(2)


def unread() -> LogFormat:
    """The format of a log that is still to tell its fields."""
    return LogFormat(NAME, (), (), is_lenient=False, roles=frozenset(ROLES.values()), is_w3c=True)


def is_directive(line: bytes) -> bool:
    """Whether a line is a directive, however long: no other format that is known here begins so."""
    return _DIRECTIVE.match(line) is not None


def has_directives(block: bytes) -> bool:
    """Whether a block of lines may have some, which most have not: told in next to no time."""
    is_first = block.startswith((b"#", b"\xef\xbb\xbf#"))
    return is_first or b"\n#" in block or b"\n\xef\xbb\xbf#" in block


def directives_in(block: bytes) -> list[tuple[int, int]]:
    """Where they begin and end, in a block of lines."""
    return [match.span() for match in _DIRECTIVES.finditer(block)]


def may_be_wrapped(block: bytes, last: bytes | None) -> bool:
    """Whether something may be around lines of a block, where `last` is in force before them."""
    return last.startswith(WRAPPED) if last else _INSIDE.search(block) is not None


def unwrapped(line: bytes, last: bytes | None) -> Wrapped:
    """A line, be it a directive, without what is around all lines; as it stands, if that is nothing."""
    may_be = last.startswith(WRAPPED) if last else b"#" in line  # hardly any line of another format has it
    found = unwrap(line) if may_be else None
    return found if found and (last or is_directive(found.line)) else Wrapped(line, b"")


def is_fields(line: bytes) -> bool:
    """Whether that directive is a `#Fields`."""
    return _FIELDS.match(line) is not None


def taken_in(directive: bytes, last: bytes | None) -> bytes | None:
    """What is in force behind a directive, where that was `last` before it: the last `#Fields`, and on a line
    behind that the last `#Software`, if any."""
    directive, around = unwrapped(directive, last)
    mark = WRAPPED if around.strip(b"\0") else b""  # NULs stand before a line, and not before the next
    fields, newline, software = (last or b"").partition(b"\n")
    if is_fields(directive):
        return mark + directive + newline + software
    found = _SOFTWARE.match(directive)
    return (fields or mark) + b"\n#Software: " + found[1][:_SOFTWARE_LIMIT] if found else last


def in_force(directives: bytes) -> bytes:
    """What is in force behind these."""
    last: bytes | None = b""
    for directive in lines_of(directives):
        last = taken_in(directive.rstrip(b"\r\n"), last)
    return last or b""


def fields_before(read: Read, place: int) -> bytes:
    """The `#Fields` that is in force at this byte of a text, by what stands before it; empty if none was
    found."""
    begin, texts = max(0, place - LOOK_BACK), []
    for start, end in ((begin, place), (0, min(begin, LOOK_BACK))):
        text = read(end - start, start) if end else b""
        texts.append(text[text.find(b"\n") + 1 :] if start else text)
        if (found := _last_of([match[0] for match in _ALL.finditer(texts[-1])])) is not None:
            return found
    for text in texts:
        if (found := _last_of([line for line in lines_of(text) if _INSIDE.search(line)])) is not None:
            return found
    return b""


def _last_of(lines: Sequence[bytes]) -> bytes | None:
    """What is in force behind these, if there is a `#Fields` among them."""
    fields = [found for line in lines if is_fields(found := unwrapped(line, None).line)]
    if fields and len(fields[-1].rstrip(b"\r\n")) > DIRECTIVE_LIMIT:
        return b""
    return in_force(b"".join(lines)) if fields else None


def separator_of(row: bytes) -> bytes:
    """What stands between its values."""
    return b"\t" if _TABBED.match(row) else b" "


def by_separator(rows: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Rows with what stands between their values. In a log all have the same, but for what is odd in it."""
    if not rows:
        return
    tabbed = len(_TABBED.findall(rows)) if b"\t" in rows else 0
    if not tabbed:
        yield b" ", rows
    elif tabbed == rows.count(b"\n") + (not rows.endswith(b"\n")):
        yield b"\t", rows
    else:
        for row in lines_of(rows):
            yield separator_of(row), row


def lines_of(block: bytes) -> list[bytes]:
    """Its lines, with their newlines."""
    return _LINES.findall(block)


class Join(NamedTuple):
    """Two values of a row that are read as one, which stands where the first of them does."""

    pattern: re.Pattern[bytes]
    joined: Callable[[re.Match[bytes]], bytes]


class Rows(NamedTuple):
    """How rows are read whose values are separated alike."""

    log_format: LogFormat
    joins: tuple[Join, ...]
    separator: bytes
    number: int  # of values in a row
    may_be_quoted: bool  # whether a value that may be stands before those that count

    def plain(self, rows: bytes) -> bytes:
        """The rows as the format has them: a line for each line."""
        if self.separator == b" ":
            if b"  " in rows or b" \n" in rows or b" \r" in rows or rows.endswith(b" "):
                rows = _RUN.sub(b"", rows)
            if self.may_be_quoted and b'"' in rows:
                rows = _QUOTING.sub(self._without_quoted_blanks, rows)
        for pattern, joined in self.joins:
            rows = pattern.sub(joined, rows)
        return rows

    def _without_quoted_blanks(self, row: re.Match[bytes]) -> bytes:
        """A client chooses what is in quotes: where the row has its number of values, they say nothing."""
        if row[0].count(b" ") + 1 == self.number:
            return row[0]
        return _QUOTED.sub(lambda value: value[0].replace(b" ", b"+"), row[0])


def rows_of(
    directive: bytes,
    separator: bytes,
    *,
    keep_query: bool = False,
    wants_time: bool = False,
    keep_host: bool = True,
) -> Rows | None:
    """How the rows below this `#Fields` are read where `separator` stands between their values; None if they
    have no status or no route. A query and a time stand in fields of their own, and take time to be joined;
    what stands before a host has to be looked at: `keep_query`, `wants_time` and `keep_host` tell whether
    they are needed."""
    directive, _, software = directive.partition(b"\n")
    names = [name.decode("latin-1") for name in directive.partition(b":")[2].split()]
    number = len(names)
    del names[FIELDS_LIMIT:]
    field = partial(_field, unit=_unit(names, software), keep_host=keep_host)
    counted = [place for place, name in enumerate(names) if field(name).role]
    before = {name.lower() for name in names[: max(counted, default=0)]}
    joins = [_join(names, pair, separator, _target) for pair in _ROUTES if keep_query and _has(names, pair)]
    if wants_time and _has(names, _TIME):
        joins.append(_join(names, _TIME, separator, b"T".join))
    fields = list(map(field, names))
    pieces = [piece for field in fields for piece in (field, separator)][:-1]
    settled, roles = settle(pieces, lambda name: _RANKS[name.lower()])
    if not roles >= _NEEDED:
        return None
    log_format = LogFormat(NAME, settled, (), is_lenient=False, roles=roles)
    return Rows(log_format, tuple(joins), separator, number, bool(before - ROLES.keys() - _UNQUOTED))


def _unit(names: Sequence[str], software: bytes) -> str | None:
    """That of time-taken; None where nothing tells it."""
    said = _SOFTWARE.match(software)
    writer = said[1].decode("latin-1") if said else ""
    of_edge = "s" if any(name.lower().startswith(_EDGE) for name in names) else None
    return next((unit for begin, unit in _UNITS.items() if writer.startswith(begin)), of_edge)


def _field(name: str, unit: str | None, *, keep_host: bool) -> Field:
    role = ROLES.get(name.lower())
    if role != "duration":
        return Field(name, role if keep_host or role != HOST else None)
    return Field(name, role if unit else None, unit)


def _has(names: Sequence[str], pair: tuple[str, str]) -> bool:
    return set(pair) <= set(map(str.lower, names))


def _join(
    names: list[str], pair: tuple[str, str], separator: bytes, make: Callable[[Sequence[bytes]], bytes]
) -> Join:
    """The join of two of the names, which become one."""
    lower = [name.lower() for name in names]
    places = [lower.index(name) for name in pair]
    first, second = sorted(places)
    value = b"[^" + separator + rb"\r\n]*+"
    skipped = b"(?:[^" + separator + rb"\n]*+" + separator + b"){%d}"
    between = b"((?:" + separator + b"[^" + separator + rb"\n]*+){%d})"
    pattern = rb"(?m)^(%b)(%b)%b%b(%b)([^\n]*+)" % (
        *(skipped % first, value),
        *(between % (second - first - 1), separator, value),
    )
    order = (2, 4) if places == [first, second] else (4, 2)
    names[first] = " ".join(pair)
    del names[second]
    return Join(re.compile(pattern), lambda row: row[1] + make(row.group(*order)) + row[3] + row[5])


def _target(values: Sequence[bytes]) -> bytes:
    stem, query = values
    if query in (b"", b"-") or stem == b"-":
        return stem
    return stem + b"?" + query.removeprefix(b"?")
