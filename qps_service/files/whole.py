"""Whole files, plain or compressed, read from start to end in large blocks.

Promises: memory is bounded by a block, the longest line that is read and a compression's own window; what was
read before a file turned out to be damaged has been handed out; NULs that stand before a line are left out,
and holes passed over (holes.py). The compression is told by the first bytes, not by the name, so that it
works for a pipe too: gzip (RFC 1952), xz, bzip2, and Zstandard (RFC 8878) where its library is installed.
"""

import errno
import io
import os
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from qps_service.files import compression
from qps_service.files.compression import NO_ZSTD, XZ, ZSTD, by_magic
from qps_service.files.holes import NULS, without_holes
from qps_service.files.kernel import Files
from qps_service.values.counts import SAMPLE_LIMIT

# It stays in a processor's own cache, beside what counts it.
BLOCK = 256 * 1024  # bytes


class _Text(Protocol):
    def readinto1(self, room: memoryview, /) -> int: ...


class DamagedError(Exception):
    """A file can't be read to its end; the text says why."""


class Block(NamedTuple):
    """A part of a text."""

    lines: memoryview  # whole ones; the last of a file may lack its newline
    oversize: bytes | None  # the beginning of a line over the limit that came after them, and is left out


class Whole:
    """A file, or standard input, read once; to be closed."""

    def __init__(self, path: str) -> None:
        """`path` may be `-`. Raises OSError, and DamagedError for a compression that can't be read here."""
        self._raw = io.FileIO(0 if path == "-" else path, closefd=path != "-")
        self._file = io.BufferedReader(self._raw, BLOCK)
        try:
            self._text = _text_of(self._file)
            self._has_holes = self._text is self._file and self._raw.seekable()
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int | None:
        """Bytes of the file; None where there is no end to see."""
        return os.fstat(self._raw.fileno()).st_size if self._raw.seekable() else None

    @property
    def place(self) -> int:
        """Bytes of the file read so far, where it has a size."""
        return self._raw.tell()

    def blocks(self, max_line: int) -> Iterator[Block]:
        """The whole text. A block's lines hold until the next is asked for. Raises OSError, and DamagedError
        where the text ends before its time."""
        buffer = bytearray(max_line + len(b"\r\n") + BLOCK)
        view = memoryview(buffer)
        kept = 0  # bytes of a line whose end has not been read
        is_skipping = False  # the rest of a line that was too long
        while read := self._text.readinto1(view[kept:]):
            end, begin, oversize = kept + read, 0, None
            if is_skipping:
                begin = buffer.find(b"\n", 0, end) + 1
                is_skipping = not begin
                begin = begin or end
            lines_end = max(buffer.rfind(b"\n", begin, end) + 1, begin)
            rest = bytes(view[lines_end:end])
            if not is_skipping:
                rest = rest.lstrip(b"\0")
            if len(rest) > max_line + len(b"\r"):
                oversize = rest[:SAMPLE_LIMIT]
                is_skipping, rest = True, b""
            lines = view[begin:lines_end]
            if buffer.find(b"\0", begin, lines_end) >= 0:
                lines = memoryview(without_holes(bytes(lines)))
            yield Block(lines, oversize)
            if not rest:
                self._pass_over_hole(view[max(end - len(NULS), 0) : end])
            kept = len(rest)
            buffer[:kept] = rest
        yield Block(view[:kept], None)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def _pass_over_hole(self, read: memoryview) -> None:
        """Go on behind a hole, if what was read last ends in one."""
        if self._has_holes and read[-len(NULS) :] == NULS:
            self._file.seek(Files().data_from(self._raw.fileno(), self._file.tell()))


class _Unpacked:
    """The text of a compressed file; where that is damaged, its library raises `fault`, or an OSError without
    a number."""

    def __init__(self, text: Any, fault: type[Exception] = OSError) -> None:
        self._text = text
        self._faults = (fault, OSError, EOFError)
        self._fault: Exception | None = None  # that the text ends with

    def readinto1(self, room: memoryview) -> int:
        """As io.BufferedIOBase's, but as much as there is room for. Raises OSError and DamagedError when all
        that comes before was handed out."""
        filled = 0
        while filled < len(room) and not self._fault:
            try:
                read = self._text.readinto1(room[filled:])
            except self._faults as error:
                number = error.errno if isinstance(error, OSError) else None
                is_of_disk = number not in (None, errno.EBADMSG)
                self._fault = (
                    error if is_of_disk else DamagedError(getattr(error, "strerror", None) or str(error))
                )
            else:
                if not read:
                    break
                filled += read
        if self._fault and not filled:
            raise self._fault
        return filled


class _Pieces:
    """The text of a stream (compressed.py), which stays within the memory that there is for its format."""

    def __init__(self, file: Any, suffix: str) -> None:
        from qps_service.files.compressed import FORMATS, Stream

        self._stream = Stream(lambda _: bytes(file.read1(BLOCK)), FORMATS[suffix](), lambda: None)
        self._text = b""

    def readinto1(self, room: memoryview) -> int:
        """As io.BufferedIOBase's. Raises CompressedError."""
        self._text = self._text or self._stream.piece()
        part, self._text = self._text[: len(room)], self._text[len(room) :]
        room[: len(part)] = part
        return len(part)


def _text_of(file: Any) -> _Text:
    """What is in the file, by its first bytes. The libraries are loaded where they are needed."""
    match by_magic(file.peek(8)):
        case compression.GZIP:
            import gzip
            import zlib

            return _Unpacked(gzip.GzipFile(fileobj=file), zlib.error)
        case compression.XZ:
            return _Unpacked(_Pieces(file, XZ.suffix))
        case compression.BZIP2:
            import bz2

            return _Unpacked(bz2.BZ2File(file))
        case compression.ZSTD:
            try:
                return _Unpacked(_Pieces(file, ZSTD.suffix))
            except ImportError as error:
                raise DamagedError(NO_ZSTD) from error
    text: _Text = file
    return text
