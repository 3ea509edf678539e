"""What others put around the lines of a server: container runtimes, docker compose, syslog, a crash.

    {"log":"LINE\\n","stream":"stdout","time":"…"}           docker's json-file
    2026-11-24T10:00:00.123456789Z stdout F LINE            containerd, CRI-O and podman
    web-1  | LINE                                           docker compose, with colours or without
    <190>Nov 24 10:00:00 host nginx: LINE                   syslog (RFC 3164), journalctl
    <190>1 2026-11-24T10:00:00Z host nginx 7 - - LINE       syslog (RFC 5424)
    NULs, then LINE                                         a crash, or copytruncate

It is taken off where a line can't be read as it stands, and once. It has to be at the line's start, which no
client writes. The object has to begin there, too; within it a client's text is in a string.
"""

import re
from typing import NamedTuple

from qps_service.formats.json_members import object_of

MEMBER = b"log"  # of docker's object, which holds the line

_OBJECT = re.compile(rb'[ \t\r]*+\{[ \t\r]*+"')
_WORDS = 6  # at most, of what syslog writes before a message: the last one ends in a colon
_PREFIXES = [
    re.compile(each, re.DOTALL)
    for each in (
        rb"\x00++",
        rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[^ ]*+ std(?:out|err) [FP][^ ]*+ ",
        rb"(?:\x1b\[[0-9;]*+m)?[0-9A-Za-z][-._0-9A-Za-z]*+ ++\|(?:\x1b\[0m)? (?:\x1b\[0m)?",
        rb"<[0-9]++>1 (?:[^ ]++ ){5}(?:- |\[.*?(?<!\\)\] )",
        rb"(?:[^ ]++ ++){2}(?:[^ ]++(?<!:) ++){0,%d}[^ ]++(?<=:) ++" % (_WORDS - 3),
    )
]


class Wrapped(NamedTuple):
    """A line, and what is around it."""

    line: bytes
    around: bytes  # as it stands; of an object no more than what tells it


def unwrap(line: bytes) -> Wrapped | None:
    """What is in such a line, up to its first newline; None for any other."""
    if _OBJECT.match(line):
        found = object_of(line)
        text = found.members.get(MEMBER) if found else None
        return None if text is None else Wrapped(_trim(text.partition(b"\n")[0]), b'{"log":')
    prefix = prefix_of(line)
    return Wrapped(_trim(line[len(prefix) :]), prefix) if prefix else None


def prefix_of(line: bytes) -> bytes:
    """What stands before a line; nothing for most."""
    return next((match[0] for each in _PREFIXES if (match := each.match(line))), b"")


def _trim(line: bytes) -> bytes:
    return line.removesuffix(b"\r").removeprefix(b"\xef\xbb\xbf")
