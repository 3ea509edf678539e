"""The files of a configuration as one table, and which file has which part.

A file named qps-reporter.toml has a directory conf.d beside it. Its files *.toml are read after the file, in
the order of their names' bytes; hidden ones, as editors leave them, are not. Any other file, that of an
instance or one that is tried, stands alone. A key at the top, or a table, is set by one file alone: where the
last one won, nobody would see it in the file that they look at.
"""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from qps_service.configuration.toml_file import TomlFile, read
from qps_service.configuration.types import Fragment
from qps_service.errors import ConfigError

MAIN = "qps-reporter.toml"
DIRECTORY = "conf.d"
_OF_TABLES = ("log", "output")  # keys that hold tables, each of which is a part of its own

Part = tuple[str, ...]  # a key at the top, or a table's


class Sources(NamedTuple):
    """What was read."""

    table: dict[str, Any]
    fragments: tuple[Fragment, ...]


def directory_of(path: str) -> str | None:
    """The directory whose files are read after this one; None if it stands alone."""
    directory, name = os.path.split(path)
    return os.path.join(directory, DIRECTORY) if name == MAIN else None


def fragments_of(path: str) -> list[str]:
    """The files that are read after this one, in their order. Raises ConfigError."""
    directory = directory_of(path)
    if directory is None:
        return []
    try:
        names = sorted(os.listdir(os.fsencode(directory)))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError([f"{directory}: {error.strerror}"]) from error
    taken = [os.fsdecode(name) for name in names if name.endswith(b".toml") and not name.startswith(b".")]
    return [os.path.join(directory, name) for name in taken]


def read_all(path: str) -> Sources:
    """The file, and those beside it. Raises ConfigError with all that is wrong."""
    files: list[TomlFile] = []
    problems: list[str] = []
    for each in (path, *fragments_of(path)):
        try:
            files.append(read(each))
        except ConfigError as error:
            problems += error.problems
    table: dict[str, Any] = {}
    owners: dict[Part, TomlFile] = {}
    fragments = []
    for file in files:
        parts = dict(_parts(file.table))
        for part, value in parts.items():
            if before := _owner(owners, part):
                problems.append(_twice(file, *before, part))
            else:
                _put(table, part, value)
        owners |= {part: file for part in parts if part not in owners}
        if file.path != path:
            fragments.append(Fragment(file.path, tuple(".".join(part) for part in parts)))
    if problems:
        raise ConfigError(problems)
    return Sources(table, tuple(fragments))


def _parts(table: dict[str, Any]) -> Iterator[tuple[Part, Any]]:
    for key, value in table.items():
        if key in _OF_TABLES and isinstance(value, dict):
            yield from (((key, name), each) for name, each in value.items())
        else:
            yield (key,), value


def _owner(owners: dict[Part, TomlFile], part: Part) -> tuple[TomlFile, Part] | None:
    """The file that has set this, or what holds it, or something in it."""
    for other, file in owners.items():
        if other[: len(part)] == part[: len(other)]:
            return file, other
    return None


def _put(table: dict[str, Any], part: Part, value: Any) -> None:
    for key in part[:-1]:
        table = table.setdefault(key, {})
    table[part[-1]] = value


def _twice(file: TomlFile, before: TomlFile, other: Part, part: Part) -> str:
    name, is_table = ".".join(part), len(part) > 1 or isinstance(file.table[part[0]], dict)
    what = f"the table [{name}]" if is_table else name
    place = f"{before.path}, line {before.line_of(other)}"
    return f"{file.path}, line {file.line_of(part)}: {what} is set in {place}, too"
