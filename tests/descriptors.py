"""What this process has open."""

import os
from contextlib import suppress


def open_files() -> set[tuple[str, str]]:
    """Each descriptor, and where it leads.

    The garbage collector may close at any moment what a test before left open. So `open_files() <= before`
    tells that nothing is left, and a number of descriptors would not.
    """
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
    return found
