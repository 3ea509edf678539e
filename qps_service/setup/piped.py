"""Which files a program writes that a log is piped into, by its command line.

Sources: support/rotatelogs.c of httpd, and the manuals of cronolog, svlogd and multilog.
"""

import os.path
from collections.abc import Sequence
from getopt import GetoptError, getopt
from typing import NamedTuple


class Piped(NamedTuple):
    """The files, as `path` takes them, or why none can be named."""

    path: str = ""
    why: str = ""
    is_dated: bool = False  # with fields of strftime


def files_of(command: Sequence[str]) -> Piped:
    """Of a program with its arguments."""
    program, *given = command[command[:1] == ["exec"] :] or ["a program"]
    program = os.path.basename(program)
    paths = [each for each in given if each.startswith("/")]
    if program in ("rotatelogs", "rotatelogs2"):
        return _rotatelogs(given)
    if program == "cronolog" and paths:
        return Piped(paths[-1], is_dated=True)
    if program in ("svlogd", "multilog") and paths:
        return Piped(os.path.join(paths[0], "current"))
    return Piped(why=f"it is piped into {program}: name a file that this writes as a [log.NAME]")


def _rotatelogs(given: Sequence[str]) -> Piped:
    try:
        found, (path, *_) = getopt([*given], "lL:p:fDtvecn:")
    except (GetoptError, ValueError):  # there is no file
        path, found = "", []
    options = dict(found)
    if not path.startswith("/"):
        return Piped(why="it is piped into rotatelogs, and the path of the files does not begin with a /")
    if "%" in path:
        return Piped(path, is_dated=True)
    if "-t" in options:
        return Piped(path)
    if "-n" not in options:
        return Piped(f"{path}.%s", is_dated=True)
    if options.get("-L", "").startswith("/"):
        return Piped(options["-L"])
    return Piped(
        why=f"it is piped into rotatelogs, which begins {path} and others anew in turns: add -L LINK"
    )
