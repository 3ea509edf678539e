"""Reads several files by `xz -9` in turns, far beyond their window, and prints the memory that took, in MiB.

    python -m tests.unit.files.packed_memory FILE LIMIT [TIMES]

LIMIT in bytes, in place of the real one.
"""

import os
import re
import sys
from pathlib import Path

from qps_service.files import unpacking
from qps_service.files.compressed import CompressedFile
from qps_service.files.kernel import Files

BLOCK = 128 * 1024  # bytes
TEXT = 68 * 1024 * 1024  # bytes; more than the window


def peak() -> int:
    """MiB so far."""
    found = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) // 1024 if found else 0


def main(path: str, limit: int, times: int) -> int:
    """How many MiB more than before."""
    unpacking.LIMIT = limit
    files = Files()
    packed = [CompressedFile(files, os.open(path, os.O_RDONLY), path) for _ in range(times)]
    before = peak()
    for file in packed:
        assert file.read(BLOCK, TEXT - 2 * 1024 * 1024) == bytes(BLOCK)  # at its end a window is let go
    return peak() - before


if __name__ == "__main__":
    sys.stdout.write(str(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
