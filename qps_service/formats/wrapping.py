"""What others put around the lines of a server: container runtimes, docker compose, syslog, a crash.

    {"log":"LINE\\n","stream":"stdout","time":"…"}           docker's json-file
    {"MESSAGE":"LINE","PRIORITY":"6"}                       journalctl -o json
    MESSAGE=LINE                                            journalctl -o export
    2026-11-24T10:00:00.123456789Z stdout F LINE            containerd, CRI-O and podman
    2026-11-24T10:00:00.123456789Z LINE                     docker logs -t, kubectl logs --timestamps
    [pod/web-5d7/nginx] LINE                                kubectl logs --prefix
    web-1  | LINE                                           docker compose, with colours or without
    web.1.x7k2@node    | LINE                               docker service logs
    <190>Nov 24 10:00:00 host nginx: LINE                   syslog (RFC 3164), journalctl
    <190>1 2026-11-24T10:00:00Z host nginx 7 - - LINE       syslog (RFC 5424)
    NULs, then LINE                                         a crash, or copytruncate

It is taken off where a line can't be read as it stands, and once. It has to be at the line's start, which no
client writes. The object has to begin there, too; within it a client's text is in a string.
"""

import re
from typing import NamedTuple

from qps_service.formats.json_members import object_of
from qps_service.text.regex import regex

MEMBERS = (b"log", b"MESSAGE")  # of docker's object, and of the journal's, which hold the line

_OBJECT = regex(rb'[ \t\r]*+\{[ \t\r]*+"')
_WORDS = 6  # at most, of what syslog writes before a message: the last one ends in a colon
# With nanoseconds, which syslog has not.
_STAMP = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}[^ ]++ "
_PREFIXES = [
    regex(each.replace(b"STAMP", _STAMP), re.DOTALL)
    for each in (
        rb"\x00++",
        rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[^ ]*+ std(?:out|err) [FP][^ ]*+ ",
        rb"(?:\x1b\[[0-9;]*+m)?[0-9A-Za-z][-._@0-9A-Za-z]*+ ++\|(?:\x1b\[0m)? (?:\x1b\[0m)?(?:STAMP)?",
        rb"\[pod/[^] ]++\] (?:STAMP)?",
        rb"STAMP",
        rb"MESSAGE=",
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
        for name in MEMBERS:
            text = found.members.get(name) if found else None
            if text is not None:
                return Wrapped(_trim(text.partition(b"\n")[0]), b'{"%b":' % name)
        return None
    prefix = prefix_of(line)
    return Wrapped(_trim(line[len(prefix) :]), prefix) if prefix else None


def prefix_of(line: bytes) -> bytes:
    """What stands before a line; nothing for most."""
    return next((match[0] for each in _PREFIXES if (match := each.match(line))), b"")


def _trim(line: bytes) -> bytes:
    return line.removesuffix(b"\r").removeprefix(b"\xef\xbb\xbf")
