"""A web server of its own: python -m tests.fault.traffic LOG.

300 lines a second, ten rotations a second, and each time a line for the old file. It ends when its stdin
does, and prints how many lines it has written.
"""

import itertools
import os
import select
import sys

from tests.fault.program import line


def open_log(log: str) -> int:
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def serve(log: str) -> int:
    """Until stdin ends; the lines that were written."""
    numbers = itertools.count()
    current = open_log(log)
    for turn in itertools.count(1):
        if select.select([0], [], [], 1 / 300)[0]:
            break
        os.write(current, line(next(numbers)))
        if turn % 30 == 0:
            os.rename(log, f"{log}.{turn}")
            old, current = current, open_log(log)
            os.write(current, line(next(numbers)))
            os.write(old, line(next(numbers)))
            os.close(old)
    return next(numbers)


if __name__ == "__main__":
    sys.stdout.write(f"{serve(sys.argv[1])}\n")
