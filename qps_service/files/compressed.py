"""The text of a compressed generation, read by offset as if it were a plain file.

Promises: memory is bounded by the block that is asked for, whatever the file expands to, and over all files
by what there is for unpacking (unpacking.py); reading onward decompresses each byte once, unless that memory
went to another file; a file that is damaged, cut off or still being written is never taken for one that ends:
what comes before the damage is handed out up to its last whole line, and a read from there raises. A fault of
the disk surfaces as it is, and the read can be tried again. However long a read takes, Files.working is
called all the while; and how long that is depends on the text that is asked for alone: what has BARREN bytes
in a row without any is damaged. So whoever reads block by block comes back to other work.

Formats: gzip (RFC 1952), xz, bzip2, and Zstandard (RFC 8878) where its library is installed; each with
several members after one another, and zeros after the last, as tapes and block devices leave them.
"""

import errno
import os
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from qps_service.files.compression import BZIP2, GZIP, NO_ZSTD, SLICE, XZ, ZSTD, Compression, too_large
from qps_service.files.kernel import Files

_CHUNK = 64 * 1024  # bytes of the compressed file read at once
_PIECE = 64 * 1024  # bytes of text handed on at once
_BEHIND = 64 * 1024  # bytes of text kept before the last read: small steps back cost nothing
# A line is handed out once its end is known to be sound; one that is longer, which may never end, at once.
_AHEAD = 64 * 1024  # bytes
# Nothing that a compressing program writes has so many bytes without text: bzip2 has some before a block of
# 900 kB, xz an index, a tape's end as many as its block has. 300,000 empty members take a second.
BARREN = 16 * 1024 * 1024  # bytes in a row,
_MEMBER = 4096  # as so many counts a member without text,
_MADE_UP = 8  # and so many are made up for by each byte of text
_BUFFERS = 512 * 1024  # bytes that each file takes beside its compression's window


class CompressedError(OSError):
    """EBADMSG: the compressed data is damaged or cut off; EINVAL: its format can't be read here."""


class Format(NamedTuple):
    """How a compression is undone."""

    compression: Compression
    begin: Callable[[], Any]  # a decompressor of one member: decompress(), eof, unused_data
    error: type[Exception]  # what that raises
    limit: int | None = None  # bytes of text at most from one call, where a slice may hold much more
    beyond: str = "\n"  # what its error says where it would take too much memory


def _gzip() -> Format:
    return Format(GZIP, lambda: zlib.decompressobj(zlib.MAX_WBITS | 16), zlib.error)


def _xz() -> Format:
    import lzma  # as all libraries of compressions, for those who have such files

    def begin() -> Any:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ.memory)

    return Format(XZ, begin, lzma.LZMAError, beyond="Memory usage limit exceeded")


def _bzip2() -> Format:
    import bz2

    return Format(BZIP2, bz2.BZ2Decompressor, OSError, _PIECE)


def _zstd() -> Format:
    import zstandard

    def begin() -> Any:  # a library keeps the memory that the last frame took
        return zstandard.ZstdDecompressor(max_window_size=ZSTD.memory).decompressobj()

    return Format(ZSTD, begin, zstandard.ZstdError, beyond="too much memory")


# The last only where its library is installed.
FORMATS = {GZIP.suffix: _gzip, XZ.suffix: _xz, BZIP2.suffix: _bzip2, ZSTD.suffix: _zstd}


def why_not(name: str) -> str | None:
    """Why a file of this name can't be read here, for people; None if it can."""
    suffix = os.path.splitext(name)[1]
    if suffix not in FORMATS:
        return f"no compression is known by the suffix {suffix!r}"
    try:
        FORMATS[suffix]()
    except ImportError:
        return NO_ZSTD
    return None


class CompressedFile:
    """A compressed file. Nothing of it is read before it is asked for."""

    def __init__(self, files: Files, descriptor: int, name: str) -> None:
        """`name` tells the format by its suffix. The descriptor belongs to this object from now on, unless
        CompressedError says that the format can't be read here."""
        reason = why_not(name)
        if reason:
            raise CompressedError(errno.EINVAL, reason)
        self._files = files
        self._descriptor = descriptor
        self._format = FORMATS[os.path.splitext(name)[1]]()
        self._damage: str | None = None  # what is wrong, for people
        self._sound = 1 << 63  # where the last whole line before the damage ends, once that is found
        self.begin_anew()

    def read(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes of the text from `offset`; fewer at its end, or before a damage.

        Raises CompressedError where nothing is left before a damage, and OSError for faults of the disk.
        """
        self._seek(offset)
        self._forget(offset)
        while not self._reaches(min(offset + size, self._sound)) and self._extend():
            pass
        if self._damage and offset >= self._sound:
            raise CompressedError(errno.EBADMSG, self._damage)
        first = offset - self._start
        return bytes(self._text[first : min(offset + size, self._sound) - self._start])

    def close(self) -> None:
        """Give the descriptor and the memory back."""
        self.end_turn()
        self._files.unpacking.give_back(self)
        self._files.close(self._descriptor)
        self.begin_anew()

    def take_turn(self) -> bool:
        """Whether it may be read on to its end now, and no other before `end_turn`."""
        return self._files.unpacking.take_turn(self)

    def end_turn(self) -> None:
        """Another may be read on."""
        self._files.unpacking.end_turn(self)

    def begin_anew(self) -> None:
        """Let go of all memory; the next read unpacks from the file's start."""
        self._stream = Stream(self._take, self._format, self._files.working, self._data_from)
        self._text = bytearray()  # a window of the text
        self._start = 0  # where it begins

    @property
    def _end(self) -> int:
        return self._start + len(self._text)

    @property
    def _memory(self) -> int:
        """What it takes at most with the next piece, bytes."""
        compression = self._format.compression
        return _BUFFERS + (min(self._end, compression.memory) if compression.grows else compression.memory)

    def _seek(self, offset: int) -> None:
        """Decompress up to `offset`. A step back beyond the last few KiB begins at the file's start."""
        if offset < self._start:
            self.begin_anew()
        while self._end < min(offset, self._sound) and self._extend():
            self._forget(offset)

    def _take(self, offset: int) -> bytes:
        return self._files.read(self._descriptor, _CHUNK, offset)

    def _data_from(self, offset: int) -> int:
        return self._files.data_from(self._descriptor, offset)

    def _reaches(self, end: int) -> bool:
        """Whether the window has the text up to `end`, and the rest of the line there."""
        ahead = self._end - end
        return ahead >= _AHEAD or (ahead >= 0 and self._text.find(b"\n", max(end - 1 - self._start, 0)) >= 0)

    def _extend(self) -> bool:
        """Make the window longer by a piece; whether there was one."""
        self._files.unpacking.take(self, self._memory)
        try:
            piece = self._stream.piece()
        except CompressedError as error:
            self._damage = error.strerror
            self._sound = self._start + self._text.rfind(b"\n") + 1
            return False
        self._text += piece
        return bool(piece)

    def _forget(self, offset: int) -> None:
        """Let go of what is long before `offset`."""
        surplus = min(offset, self._end) - _BEHIND - self._start
        if surplus > 0:
            del self._text[:surplus]
            self._start += surplus


class Stream:
    """The text from its start to its end."""

    def __init__(
        self,
        take: Callable[[int], bytes],
        form: Format,
        working: Callable[[], None],
        data_from: Callable[[int], int] = lambda offset: offset,
    ) -> None:
        """`take` reads from an offset in the compressed file; nothing comes at its end. `working` is called
        for each piece, and where none comes for long. `data_from` tells where a hole ends, which may have
        many TiB."""
        self._take = take
        self._data_from = data_from
        self._format = form
        self._working = working
        self._offset = 0  # bytes taken so far
        self._taken = b""
        self._fed = 0  # bytes of these
        self._member: Any = None  # None between two
        self._has_begun = False
        self._has_text = False  # whether the member has
        self._has_more = False  # text, without being fed
        self._barren = 0  # bytes that held no text
        self._damage: str | None = None

    def piece(self) -> bytes:
        """The next bytes of the text; none at its end.

        Raises CompressedError, again and again, where it is damaged; after another OSError it goes on.
        """
        text = b""
        while not text and self._damage is None:
            self._working()
            if self._fed == len(self._taken) and not self._has_more:
                if self._has_begun and self._member is None:  # only zeros may come before another member
                    self._offset = self._data_from(self._offset)
                taken = self._take(self._offset)
                if not taken and self._has_begun and self._member is None:
                    return b""
                if not taken:
                    self._damage = "its end is missing"
                self._taken, self._fed = taken, 0
                self._offset += len(taken)
            text = self._feed()
        if text or self._damage is None:
            return text
        raise CompressedError(errno.EBADMSG, self._damage)

    def _feed(self) -> bytes:
        """The text of what was taken, or of a part of that."""
        text, before = bytearray(), self._fed
        try:
            while len(text) < _PIECE and (self._has_more or self._fed < len(self._taken)):
                text += self._feed_slice()
            self._barren = max(0, self._barren + self._fed - before - _MADE_UP * len(text))
            if self._barren > BARREN:
                self._damage = f"more than {BARREN >> 20} MiB of it hold no text"
        except self._format.error as error:
            self._damage = f"the decompressor gave up: {error}"
            if self._format.beyond in str(error):
                self._damage = too_large(self._format.compression)
        return bytes(text)

    def _feed_slice(self) -> bytes:
        data = b"" if self._has_more else self._taken[self._fed : self._fed + SLICE]
        self._fed += len(data)
        if self._member is None:
            data = data.lstrip(b"\0") if self._has_begun else data
            if not data:  # and nothing but zeros may follow, for long
                rest = self._taken[self._fed :]
                self._fed += len(rest) - len(rest.lstrip(b"\0"))
                return b""
            self._member = self._format.begin()
            self._has_begun, self._has_text = True, False
        limit = self._format.limit
        text: bytes = self._member.decompress(data) if limit is None else self._member.decompress(data, limit)
        self._has_more = len(text) == limit
        self._has_text |= bool(text)
        if self._member.eof:
            self._barren += 0 if self._has_text else _MEMBER
            self._fed -= len(self._member.unused_data)
            self._member = None
            self._has_more = False
        return text
