"""Where a generation's bytes come from: a plain file that may grow, or a compressed one that does not."""

from contextlib import suppress
from typing import Protocol

from qps_service.files.compressed import CompressedFile, why_not
from qps_service.files.holes import NULS
from qps_service.files.kernel import Files, Seen
from qps_service.files.rotated_names import is_compressed
from qps_service.values.positions import Identity

# A compressed text's length is known at its end only.
ENDLESS = 1 << 62  # bytes
_BLOCK = 256 * 1024  # bytes


class Source(Protocol):
    """A text that is read by offset; whoever has it closes it."""

    descriptor: int | None  # of a plain file, which systemd may keep for us

    def seen(self) -> Seen:
        """The file as it is now; `size` is that of the text."""

    def read(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer at the end of the text."""

    def data_from(self, offset: int) -> int:
        """The first byte from `offset` on that is no hole's, as far as that can be told."""

    def has_writer(self) -> bool | None:
        """Whether somebody may still append; None where the kernel won't tell us."""

    def path(self) -> str | None:
        """Where the file is now; None once it has no name."""

    def take_turn(self) -> bool:
        """Whether it may be read on now, up to `end_turn`: of packed files one at a time."""

    def end_turn(self) -> None:
        """It is not read on for now."""

    def close(self) -> None:
        """Let the file go."""


class Plain:
    """A log as its writer leaves it."""

    def __init__(self, files: Files, descriptor: int) -> None:
        self.descriptor: int | None = descriptor
        self._files = files
        self._number = descriptor

    def seen(self) -> Seen:
        """The file as it is now."""
        return self._files.fstat(self._number)

    def identity(self) -> Identity:
        """Which file this is."""
        return self._files.identity(self._number)

    def read(self, size: int, offset: int) -> bytes:
        """As pread(2)."""
        return self._files.read(self._number, size, offset)

    def data_from(self, offset: int) -> int:
        """As the file system tells."""
        return self._files.data_from(self._number, offset)

    def has_writer(self) -> bool | None:
        """Whether somebody may still append; None where the kernel won't tell us."""
        return self._files.has_writer(self._number)

    def path(self) -> str | None:
        """Where the file is now; None once it has no name."""
        return self._files.path_of(self._number)

    def take_turn(self) -> bool:
        """Always."""
        return True

    def end_turn(self) -> None:
        """Nobody waits for that."""

    def close(self) -> None:
        """Let the file go."""
        self._files.close(self._number)


class Unpacked:
    """The text of a compressed file. Compressing programs write it once, and nobody appends."""

    def __init__(self, files: Files, descriptor: int, name: str) -> None:
        """`name` tells the compression by its suffix."""
        self.descriptor: int | None = None
        self._files = files
        self._number = descriptor
        self._text = CompressedFile(files, descriptor, name)

    def seen(self) -> Seen:
        """The file as it is now, with an endless text."""
        return self._files.fstat(self._number)._replace(size=ENDLESS)

    def read(self, size: int, offset: int) -> bytes:
        """As pread(2), on the text."""
        return self._text.read(size, offset)

    def data_from(self, offset: int) -> int:
        """Nobody can tell."""
        return offset

    def has_writer(self) -> bool | None:
        """Nobody has."""
        return False

    def path(self) -> str | None:
        """Where the file is now; None once it has no name."""
        return self._files.path_of(self._number)

    def take_turn(self) -> bool:
        """Whether no other packed file is being read on."""
        return self._text.take_turn()

    def end_turn(self) -> None:
        """Another may be."""
        self._text.end_turn()

    def close(self) -> None:
        """Let the file go."""
        self._text.close()


def open_source(files: Files, descriptor: int, name: str, *, packed: bool) -> Source:
    """The text of an open file. The descriptor belongs to the source from now on."""
    return Unpacked(files, descriptor, name) if packed else Plain(files, descriptor)


def open_seen(files: Files, path: str, seen: Seen) -> tuple[Source, Identity] | None:
    """The text of the file at `path`, and which file it is; None if it can't be read, or is another than was
    seen. Whoever gets it closes the source."""
    if is_compressed(path) and why_not(path):
        return None
    try:
        descriptor = files.open(path)
    except OSError:
        return None
    source = None
    try:
        identity = files.identity(descriptor)
        if identity[:2] == seen.key:
            source = open_source(files, descriptor, path, packed=is_compressed(path))
            return source, identity
    except OSError:
        pass
    if source is None:
        files.close(descriptor)
    return None


def size_of(source: Source) -> int | None:
    """Bytes of a text; None where that is known at its end only."""
    size = source.seen().size
    return None if size == ENDLESS else size


def goes_beyond(one: Source, other: Source) -> bool:
    """Whether a text has more than another that begins like it. Raises OSError. Of two compressed ones it
    can't be told without reading both to their ends, and is not."""
    size, others = size_of(one), size_of(other)
    if others is not None:
        return bool(one.read(1, others))
    return size is not None and not other.read(1, size - 1)


def common_start(one: Source, other: Source, start: int) -> int:
    """Up to which byte two texts agree, which agree up to `start`."""
    while (block := one.read(_BLOCK, start)) and (there := other.read(_BLOCK, start)):
        if block != there:
            pairs = enumerate(zip(block, there, strict=False))
            return start + next((at for at, (mine, its) in pairs if mine != its), min(len(block), len(there)))
        start += len(block)
        if block.endswith(NULS):
            start = min(one.data_from(start), other.data_from(start))
    return start


def has_more(one: Source, other: Source, start: int) -> bool:
    """Whether a text has all that another has, and more, where both agree up to `start`. What can't be read
    has not."""
    with suppress(OSError):
        end = common_start(one, other, start)
        return bool(one.read(1, end)) and not other.read(1, end)
    return False


def count_lines(source: Source, end: int = ENDLESS, *, start: int = 0) -> int:
    """The lines of a text, or those that end between two bytes of it."""
    count, place = 0, start
    while place < end and (block := source.read(min(_BLOCK, end - place), place)):
        count += block.count(b"\n")
        place += len(block)
        if block.endswith(NULS):
            place = source.data_from(place)
    return count
