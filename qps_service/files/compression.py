"""The compressions that can be read: one table, told by a file's suffix or by its first bytes.

A library is loaded by whoever unpacks (`compressed`, `whole`), not here.
"""

from typing import NamedTuple


class Compression(NamedTuple):
    """One way in which files are compressed."""

    name: str  # as people say it
    suffix: str
    magic: bytes  # what its files begin with
    memory: int  # bytes at most to unpack it; files of xz and zstd that ask for more are refused
    by_hand: str  # the command that unpacks such a file
    grows: bool = False  # whether it takes no more memory than there was text so far


GZIP = Compression("gzip", ".gz", b"\x1f\x8b", 64 * 1024, "gzip -dc")
# What `xz -9` and `zstd --ultra -22` make can be read; more memory is not spent for any file.
XZ = Compression("xz", ".xz", b"\xfd7zXZ\0", 80 * 1024 * 1024, "xz -dc", grows=True)
BZIP2 = Compression("bzip2", ".bz2", b"BZh", 4 * 1024 * 1024, "bzip2 -dc")
ZSTD = Compression("zstd", ".zst", b"\x28\xb5\x2f\xfd", 128 * 1024 * 1024, "zstd -dc --long=31", grows=True)
COMPRESSIONS = (GZIP, XZ, BZIP2, ZSTD)

NO_ZSTD = (
    "zstandard is not installed (Debian: python3-zstandard)"  # alone of the four it is no part of Python
)

# What a decompressor gets at once. Zstandard's takes no limit on what it gives: 64 bytes hold at most 16
# blocks of 128 KiB. And what stands in one slice with a damage is lost with it.
SLICE = 64  # bytes


def too_large(compression: Compression) -> str:
    """Why a file that asks for more memory is not read, and how it can be, for people."""
    most = compression.memory // (1024 * 1024)
    return (
        f"it takes more than {most} MiB of memory to unpack; "
        f"to count it by hand: {compression.by_hand} FILE | qps-reporter summarize -"
    )


# Behind its first byte, a frame of Zstandard's that is to be skipped (RFC 8878, 3.1.2): pzstd's come first.
_SKIPPED = b"\x2a\x4d\x18"


def by_magic(start: bytes) -> Compression | None:
    """The compression whose files start so; None for none that is known."""
    if start[1:4] == _SKIPPED and start[0] >> 4 == 5:
        return ZSTD
    return next((each for each in COMPRESSIONS if start.startswith(each.magic)), None)
