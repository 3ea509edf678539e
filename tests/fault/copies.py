"""Files that somebody puts in the log's place: mirrors, backups, what editors and anonymisers make of it."""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping

from tests.fault.scenarios import Make, followed
from tests.following import Rig, Writer

Edit = Callable[[list[bytes]], list[bytes]]  # of a text's lines
Put = Callable[[Rig, bytes], None]
OfRig = Mapping[str, object]  # what it is made with
NOTHING: OfRig = {}


# --- how a text comes to the log's path


def by_rename(rig: Rig, text: bytes) -> None:
    """As rsync, `sed -i`, editors and most mirrors do."""
    temporary = rig.path.with_name(".access.log.Zx1y2z")
    temporary.write_bytes(text)
    temporary.rename(rig.path)


def from_elsewhere(rig: Rig, text: bytes) -> None:
    """By mv(1), from a directory that nobody watches."""
    temporary = rig.root / "coming"
    temporary.write_bytes(text)
    temporary.rename(rig.path)


def in_place(rig: Rig, text: bytes) -> None:
    """As cp(1) does, and `cat > log`: the same file is cut and written again."""
    rig.path.write_bytes(text)


def appended(rig: Rig, text: bytes) -> None:
    """As rsync --append does."""
    size = rig.path.stat().st_size
    with rig.path.open("ab") as file:
        file.write(text[size:])


def over_it(rig: Rig, text: bytes) -> None:
    """As rsync --inplace does."""
    descriptor = os.open(rig.path, os.O_WRONLY)
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))
    os.close(descriptor)


# --- who reads meanwhile


def running(rig: Rig, put: Callable[[], None]) -> None:
    put()
    rig.look()


def stopped(rig: Rig, put: Callable[[], None]) -> None:
    rig.stop()
    put()
    rig.start()
    rig.look()


def killed(rig: Rig, put: Callable[[], None]) -> None:
    rig.look()
    rig.kill()
    put()
    rig.start()
    rig.look()


def once(rig: Rig, put: Callable[[], None]) -> None:
    """Between two passes that cron starts."""
    rig.stop()
    put()
    rig.start()
    rig.stop()
    rig.start()


# --- mirrors


def mirrored(make: Make, *, put: Put, reader: Callable[..., None], of_rig: OfRig = NOTHING) -> None:
    """The text with more, time and again; each line is new once. Some mirrors end in the middle of a line,
    which has its end in the next one."""
    rig, _ = followed(make, **of_rig)
    source = rig.root / "source.log"
    writer = rig.writer(source)
    writer.lines(100)
    running(rig, lambda: put(rig, source.read_bytes()))
    for count in (100, 1, 0, 700):
        writer.lines(count)
        reader(rig, lambda: put(rig, source.read_bytes()))
        writer.raw(b"begun %d" % count)
        reader(rig, lambda: put(rig, source.read_bytes()))
        writer.raw(b" and ended\n", expect=b"begun %d and ended" % count)
    reader(rig, lambda: put(rig, source.read_bytes()))
    rig.check(losses=[])


def mirrored_and_rotated(make: Make, *, reader: Callable[..., None]) -> None:
    """The mirrored log is rotated, too: the next one begins anew."""
    rig, _ = followed(make)
    source = rig.root / "source.log"
    for _ in range(3):
        writer = rig.writer(source)
        writer.lines(100)
        running(rig, lambda: by_rename(rig, source.read_bytes()))
        for _ in range(2):
            writer.lines(100)
            reader(rig, lambda: by_rename(rig, source.read_bytes()))
        source.unlink()
        rig.rotate()
        rig.look()
    rig.check(losses=[])


def put_and_rotated(make: Make, *, reader: Callable[..., None]) -> None:
    """A copy with the first lines takes the log's place, is written on and rotated, before anybody looks."""
    rig, writer = followed(make)
    writer.lines(100)
    rig.look()

    def put() -> None:
        by_rename(rig, b"".join(rig.path.read_bytes().splitlines(keepends=True)[:60]))
        rig.writer().lines(30)
        rig.renew(10)

    reader(rig, put)
    check_copy(rig, is_exact=reader is not killed)


# --- backups and edited copies


def as_it_was(lines: list[bytes]) -> list[bytes]:
    """An older backup."""
    return lines[:600]


def without_some(lines: list[bytes]) -> list[bytes]:
    return lines[:300] + lines[310:400] + lines[401:]


def with_one_altered(lines: list[bytes]) -> list[bytes]:
    return [*lines[:700], b"203.0.113.99 " + lines[700], *lines[701:]]


def with_a_header(lines: list[bytes]) -> list[bytes]:
    return [b"# written by nobody", b"# second line", *lines]


def in_another_order(lines: list[bytes]) -> list[bytes]:
    return sorted(lines, key=lambda line: line[-4:])


def put_back(
    make: Make, *, put: Put, reader: Callable[..., None], edit: Edit = as_it_was, of_rig: OfRig = NOTHING
) -> None:
    """A backup of the log's 1000 lines, or what an editor makes of them; the log goes on after them."""
    rig, writer = followed(make, **of_rig)
    writer.lines(1000)
    rig.look()
    lines = rig.path.read_bytes().split(b"\n")[:-1]

    def change() -> None:
        put(rig, b"\n".join((*edit(lines), b"")))
        rig.writer().lines(50)

    reader(rig, change)
    rig.writer().lines(50)
    rig.look()
    rig.writer().lines(5)
    check_copy(rig, is_exact=reader is running)
    assert rig.said("recognised") or edit is as_it_was


def check_copy(rig: Rig, *, is_exact: bool) -> None:
    """No line twice; none too few, while the old bytes are held, and else only if so much is said."""
    rig.settle()
    surplus, missing = rig.seen - rig.expected, rig.expected - rig.seen
    assert not surplus, f"read too often or wrongly {len(surplus)}: {sorted(surplus)[:3]}"
    if missing:
        assert not is_exact, f"lost {len(missing)}"
        assert any("is a copy of what was read, but for a part" in text for text in rig.losses())


def anonymised(make: Make, *, reader: Callable[..., None]) -> None:
    """Nothing tells what its lines were: they count, and it is said how many."""
    rig, writer = followed(make)
    writer.lines(100)
    rig.look()
    lines = [re.sub(rb"line \d+", b"somebody", line) for line in rig.path.read_bytes().split(b"\n")[:-1]]
    lines = [re.sub(rb" \[.*\]", b" %d times" % number, line) for number, line in enumerate(lines)]
    rig.expected += Counter(lines)
    reader(rig, lambda: by_rename(rig, b"\n".join((*lines, b""))))
    rig.check()
    if reader is running:
        assert any("duplicate of 100 lines at most" in text for text in rig.said("possible_duplicate"))
    else:  # the former file, which nobody finds, may have had more
        assert any("went away while nobody was reading it" in text for text in rig.losses())


# --- equal lines, which prove nothing

LINE = b"192.0.2.1\tGET /health\t200\t2"


def health_checked(make: Make) -> tuple[Rig, Writer]:
    """A log of one line, over and over, without a time."""
    rig, writer = followed(make)
    check_health(rig, writer, 500)
    rig.look()
    return rig, writer


def check_health(rig: Rig, writer: Writer, times: int) -> None:
    writer.raw((LINE + b"\n") * times)
    rig.expected[LINE] += times


def equal_lines_renamed(make: Make, *, reader: Callable[..., None]) -> None:
    """The next log has the same lines."""
    rig, _ = health_checked(make)
    for count in (300, 500, 700):

        def change(count: int = count) -> None:
            rig.rotate()
            check_health(rig, rig.writer(), count)

        reader(rig, change)
    rig.check(losses=[])


def equal_lines_put_in_place(make: Make, *, reader: Callable[..., None]) -> None:
    """A file with such lines takes the log's name, and no rotation brought it: counted, and said."""
    rig, _ = health_checked(make)
    rig.expected[LINE] += 400
    reader(rig, lambda: by_rename(rig, (LINE + b"\n") * 400))
    rig.check()
    assert any("of 400 lines at most" in text for text in rig.said("possible_duplicate"))
