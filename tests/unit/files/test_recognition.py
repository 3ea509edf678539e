"""Whether equal texts are one text, and how much of a copy was read: times of every server, and copies that
are edited anyhow."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.files import recognition
from qps_service.files.fingerprint import Read
from qps_service.files.recognition import (
    DIFFERENT_LINES,
    TAIL_LIMIT,
    TAIL_LINES,
    KnownPart,
    TextEnd,
    digest_of,
    part_of,
    proves,
    tail_of,
)
from qps_service.values.positions import Identity, Position
from tests.limits import Doubled
from tests.promised import Patches, Promise, promises


def reader(text: bytes) -> Read:
    return lambda size, offset: text[offset : offset + size]


def text_of(offset: int, tail: bytes = b"") -> Position:
    """One that was read up to there; nothing but its last lines is known."""
    return Position(Identity(1, 1, None), "/log", offset, b"", b"", False, tail=tail)


# --- what proves

WITH_TIME = {
    "nginx": b'192.0.2.1 - - [29/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-"',
    "nginx_iso": b'192.0.2.1 "GET /" 200 "2026-11-29T10:00:00+00:00"',
    "nginx_msec": b"192.0.2.1\t1796032800.123\tGET /\t200",
    "apache_vhost": b'www.example:443 192.0.2.1 - - [29/Nov/2026:10:00:00 +0000] "GET / HTTP/2" 200 5',
    "w3c": b"2026-11-29 10:00:00 192.0.2.1 GET / 200",
    "caddy": b'{"level":"info","ts":1796032800.1234567,"request":{"method":"GET","uri":"/"},"status":200}',
    "traefik": b'{"RequestPath":"/","DownstreamStatus":200,"time":"2026-11-29T10:00:00Z"}',
    "envoy": b'[2026-11-29T10:00:00.123Z] "GET / HTTP/1.1" 200 - 0 5',
    "haproxy": b"haproxy[1]: 192.0.2.1:5 [29/Nov/2026:10:00:00.123] http web/a 0/0/1/2/3 200 5",
    "syslog": b"Nov 29 10:00:00 web nginx: GET / 200",
    "syslog_padded": b"Nov  9 10:00:00 web nginx: GET / 200",
    "squid": b"1796032800.123    5 192.0.2.1 TCP_MISS/200 5 GET http://x/ - DIRECT/- -",
    "docker": b'{"log":"GET / 200","stream":"stdout","time":"2026-11-29T10:00:00.123456789Z"}',
    "ms": b'{"uri":"/","at":1796032800123,"status":200}',
}
WITHOUT_TIME = {
    "health": b"192.0.2.1\tGET /health\t200\t2",
    "url_date": b"192.0.2.1\tGET /archive/2026-11-29T10:00:00\t200\t2",
    "url_ncsa": b"192.0.2.1\tGET /29/Nov/2026:10:00:00\t200\t2",
    "query_date": b"192.0.2.1\tGET /?since=2026-11-29T10:00:00&until=2026-11-30T10:00:00\t200\t2",
    "query_number": b"192.0.2.1\tGET /?_=1796032800123\t200\t2",
    "path_number": b"192.0.2.1\tGET /img/1796032800.123.png\t200\t2",
    "day": b"192.0.2.1\tGET /2026-11-29\t200\t2",
}


def proven_by_a_time(part: Any, *, line: bytes) -> None:
    assert part(line + b"\n")
    assert not part(line)  # no whole line
    assert not part(line + b"\n", strictly=True)


def proven_by_two_times(part: Any) -> None:
    """Within a second a server may write a line again."""
    one, other = WITH_TIME["nginx"], WITH_TIME["nginx"].replace(b"10:00:00", b"10:00:01")
    assert not part((one + b"\n") * 20, strictly=True)
    assert part(one + b"\n" + other + b"\n", strictly=True)


def never_proven(part: Any, *, line: bytes) -> None:
    assert not part((line + b"\n") * 1000)


def proven_by_differences(part: Any) -> None:
    lines = [b"192.0.2.1\tGET /%d\t200\t2\n" % number for number in range(DIFFERENT_LINES)]
    assert part(b"".join(lines))
    assert not part(b"".join(lines[1:]) * 9)
    assert not part(b"".join(lines)[:-1])
    assert not part(b"\n" * 99 + b"".join(lines[1:]))
    assert not part(b"".join(lines), by_time=True)


ANYWHERE = re.compile(recognition._TIME.pattern.replace(rb'(?:^|[\s\["(,:>])', rb""), re.MULTILINE)
NEVER = re.compile(rb"(?!)")
ONE_WILL_DO: dict[str, Any] = {"one will do": lambda text, **_: bool(set(text.split(b"\n")))}
TIME_ANYWHERE: dict[str, Any] = {"anywhere": Patches((recognition, "_TIME", ANYWHERE))}

test_proof, test_twin_of_proof = promises(
    *(
        Promise(proven_by_a_time, proves, [Patches((recognition, "_TIME", NEVER))], line=line, label=name)
        for name, line in WITH_TIME.items()
    ),
    Promise(proven_by_two_times, proves, {"lax": lambda text, **_: proves(text)}),
    *(
        Promise(never_proven, proves, ONE_WILL_DO | twins, line=WITHOUT_TIME[name], label=name)
        for name, twins in {
            **{name: {} for name in WITHOUT_TIME},
            **dict.fromkeys(("url_date", "url_ncsa", "query_date"), TIME_ANYWHERE),
        }.items()
    ),
    Promise(proven_by_differences, proves, [Patches((recognition, "DIFFERENT_LINES", DIFFERENT_LINES - 1))]),
)


# --- how much of a copy is known

ORIGINAL = [b"line %03d [29/Nov/2026:10:%02d:%02d]" % (each, each // 60, each % 60) for each in range(90)]
KnowPart = Callable[..., KnownPart | None]

# Which lines a copy has, in which order, and what of its own comes before each.
copies = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, len(ORIGINAL) - 1)),
    unique_by=lambda each: each[1],
    max_size=90,
) | st.integers(0, len(ORIGINAL)).flatmap(
    lambda cut: st.tuples(st.integers(0, cut), st.integers(0, 3)).map(
        lambda each: [(each[1] if at == each[0] else 0, at) for at in range(cut)]
    )
)


@given(copies, st.integers(0, 4))
@example([(0, at) for at in range(90)], 3)  # a mirror
@example([(0, at) for at in range(1, 90)], 3)  # without its first line
@example([(0, at) for at in range(40)] + [(2, 40)] + [(0, at) for at in range(41, 90)], 1)  # altered
@example([(2, 0), *((0, at) for at in range(1, 90))], 0)  # with a header
@example([(0, at) for at in range(40)], 4)  # an older backup, and more
@example([(0, 50), (0, 60), (0, 20), (0, 70)], 4)  # a few, in another order
def nothing_is_read_twice(part: KnowPart, copy: list[tuple[int, int]], more: int) -> None:
    """What comes after the known part is no line of the original; what of it is none is in doubt."""
    lines: list[bytes] = []
    for foreign, at in copy:
        lines += [b"its own %d" % (len(lines) + each) for each in range(foreign)]
        lines.append(ORIGINAL[at])
    lines += [b"line new %d [29/Nov/2026:11:00:%02d]" % (each, each) for each in range(more)]
    text, original = b"".join(line + b"\n" for line in lines), b"".join(line + b"\n" for line in ORIGINAL)
    pairs = enumerate(zip(original, text, strict=False))
    agreed = next((at for at, (mine, its) in pairs if mine != its), min(len(original), len(text)))
    known_text = text_of(len(original), tail_of(reader(original), len(original)))
    known = part(known_text, reader(text), len(text), agreed=agreed)
    there = [line for line in lines if line in ORIGINAL]
    if known is None:
        assert len(there) < 2
        return
    before, after = text[: known.until].split(b"\n")[:-1], text[known.until :].split(b"\n")[:-1]
    assert text[: known.until].endswith(b"\n") or known.until == 0
    assert not set(after) & set(ORIGINAL)
    assert known.doubtful == sum(len(line) + 1 for line in before if line not in ORIGINAL)
    assert not before or before[-1] in ORIGINAL


def with_nothing_in_doubt(*arguments: Any, **keywords: Any) -> KnownPart | None:
    known = part_of(*arguments, **keywords)
    return known and KnownPart(known.until)


def at_the_byte(position: Position, read: Read, size: int, **keywords: Any) -> KnownPart | None:
    """Begins where the texts part, in the middle of a line."""
    known = part_of(position, read, size, **keywords)
    return known and KnownPart(max(known.until, keywords["agreed"]), known.doubtful)


# --- the digests of the last lines


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=60), st.data())
@example([b"a", b"", b"b"], None)
def tails_over_any_blocks(part: Any, lines: list[bytes], data: Any) -> None:
    """Whatever was read at once."""
    text = b"".join(line + b"\n" for line in lines)
    ends = [end + 1 for end, byte in enumerate(text) if byte == 10]
    stops = sorted(data.draw(st.sets(st.sampled_from(ends)))) if data and ends else ends[:1]
    grown = part()
    for end in [*stops, len(text)]:
        grown.grow(reader(text[:end]), end)
        if data and data.draw(st.booleans()):
            grown.note()
    assert grown.note() == b"".join(digest_of(line) + (len(line) + 1).to_bytes(4) for line in lines)


def tails_are_of_the_end(part: Any) -> None:
    """The first line in it is not looked at: it may have begun before."""
    text = b"".join((b"%d" % number).ljust(1023, b"x") + b"\n" for number in range(2 * TAIL_LIMIT // 1024))
    grown = part()
    grown.grow(reader(text), len(text))
    assert len(grown.note()) == len(tail_of(reader(text), len(text))) == (TAIL_LIMIT // 1024 - 1) * 12


def tails_are_bounded(part: Any) -> None:
    text, grown = b"", part()
    for _ in range(5):
        text += b"a line of this length\n" * 700
        grown.grow(reader(text), len(text))
        assert len(grown._text) <= 700 * 22  # hundreds of logs may be written to at each look
    assert len(grown.note()) == TAIL_LINES * 12
    text += b"x" * 200_000 + b"\n"
    grown.grow(reader(text), len(text))
    assert grown.note() == b""  # the last line is longer than what is read again
    text += b"short\n"
    grown.grow(reader(text), len(text))
    assert grown.note() == digest_of(b"short") + b"\0\0\0\6"


class Forgets(TextEnd):
    def note(self) -> bytes:
        self._tail = b""
        return super().note()


class FromTheStart(TextEnd):
    def grow(self, read: Read, end: int) -> None:
        self.end = 0
        super().grow(read, end)


class KeepsAll(TextEnd):
    def grow(self, read: Read, end: int) -> None:
        self._text, self.end = self._text + read(end - self.end, self.end), end


# --- hostile texts


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=20))
@example([b"a", b"x" * 40, b"b"])
def lines_over_any_blocks(part: Any, lines: list[bytes]) -> None:
    """Of a line that is too long to be known only the beginning is kept, and where it ends."""
    text, end = b"".join(line + b"\n" for line in lines), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recognition, "_BLOCK", 5)
        patch.setattr(recognition, "HELD_LIMIT", 8)
        found = list(part(reader(text + b"rest"), 0, len(text) + 4))
    assert len(found) == len(lines)
    for line, (start, ended) in zip(lines, found, strict=True):
        end += len(line) + 1
        assert ended == end
        assert start == line or (len(start) > 8 and start[:9] == line[:9])
        assert len(start) <= 9 + 5


def all_kept(read: Read, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    for line in read(end - start, start).split(b"\n")[:-1]:
        start += len(line) + 1
        yield line, start


def ends_by_what_is_kept(read: Read, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    for line, _ in recognition._lines(read, start, end):
        start += len(line) + 1
        yield line, start


def little_is_read_where_no_line_is_known(part: KnowPart) -> None:
    """Of a file that was closed; there may be a thousand of them."""
    size, sizes = 1 << 30, []

    def read(size: int, offset: int) -> bytes:
        sizes.append(size)
        return (b"%d\n" % offset).ljust(size, b"x")

    part(text_of(size // 2), read, size, agreed=size // 2)
    assert sum(sizes) < 1 << 20


def as_if_one_was_known(position: Position, *rest: Any, **keywords: Any) -> KnownPart | None:
    return part_of(position._replace(tail=digest_of(b"") + bytes(4)), *rest, **keywords)


test_copies, test_twin_of_copies = promises(
    Promise(lines_over_any_blocks, recognition._lines, [all_kept, ends_by_what_is_kept]),
    Promise(little_is_read_where_no_line_is_known, part_of, [as_if_one_was_known]),
    Promise(nothing_is_read_twice, part_of, [with_nothing_in_doubt, at_the_byte]),
    Promise(tails_over_any_blocks, TextEnd, [Forgets, FromTheStart]),
    Promise(tails_are_of_the_end, TextEnd, [Doubled("files.recognition:TAIL_LIMIT")]),
    Promise(tails_are_bounded, TextEnd, [KeepsAll, Doubled("files.recognition:TAIL_LINES")]),
)
