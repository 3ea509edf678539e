"""One TOML file, and what is wrong with it in words: with its line, and with a hint where quotes are missing.

tomllib knows no lines but that of an error. So a line is found by reading what stands up to it: of all the
beginnings of a file that are TOML, the first one that has a key ends with the statement that sets it.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from qps_service.errors import ConfigError
from qps_service.text.regex import regex

_PLACE = regex(r" \(at line (\d+), column \d+\)$")
_REPEATED = ("Cannot declare", "Cannot overwrite")
_STATEMENT = regex(r"\s*(?P<key>[\w.\"'-]+)\s*=\s*(?P<value>[^\s#].*?)\s*(?:\s#[^\"']*)?$")


class TomlFile(NamedTuple):
    """A file that was read."""

    path: str
    text: str
    table: dict[str, Any]

    def line_of(self, keys: Sequence[str]) -> int:
        """Where the first statement begins that sets this, from 1 on."""
        return _line_of(self.text.split("\n"), keys)


def read(path: str) -> TomlFile:
    """The file. Raises ConfigError."""
    import tomllib  # 0.8 MB that a service without a file does not need

    try:
        with open(path, "rb") as file:
            text = file.read().decode().replace("\r\n", "\n")
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from error
    except ValueError as error:
        raise ConfigError([f"{path}: {error}"]) from error
    try:
        return TomlFile(path, text, tomllib.loads(text))
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, endless numbers or nesting
        raise ConfigError([f"{path}: {_explained(str(error), text.split(chr(10)))}"]) from error


def quoted(value: str) -> str:
    """A value of TOML that is this text, in the quotes that leave it most as it is."""
    if not re.search(r'["\\\x00-\x1f\x7f]', value):
        return f'"{value}"'
    if not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
        if "'" not in value:
            return f"'{value}'"
        if "'''" not in value and not value.endswith("'"):
            return f"'''{value}'''"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'


def _explained(error: str, lines: list[str]) -> str:
    """What tomllib says, and what it does not."""
    found = _PLACE.search(error)
    if found is None:
        number = _whole(lines, len(lines))  # what stands behind these lines has no end
        hint = _hint(lines[number]) if number < len(lines) else None
        return f"{error}; line {number + 1}: {hint}" if hint else error
    number = int(found[1])
    if error.startswith(_REPEATED) and (what := _repeated(lines, number)):
        return f"{what}{found[0]}"
    hint = _hint(lines[number - 1])
    return f"{error}; {hint}" if hint else error


def _repeated(lines: list[str], number: int) -> str | None:
    """Which table or key stands a second time in the statement that ends in this line, and where it stood."""
    start = _whole(lines, number - 1)
    keys = _first_keys("\n".join(lines[start:number]))
    if keys is None:
        return None
    if lines[start].lstrip().startswith("["):
        return (
            f"the table [{'.'.join(keys)}] stands there twice, first in line {_line_of(lines[:start], keys)}"
        )
    above = start
    while above and not (
        lines[above - 1].lstrip().startswith("[") and _table("\n".join(lines[: above - 1])) is not None
    ):
        above -= 1
    first = above + _line_of(lines[above:start], keys)
    return f"{'.'.join(keys)} stands there twice, first in line {first}"


def _first_keys(statement: str) -> list[str] | None:
    table: Any = _table(statement)
    if not table:
        return None
    keys = []
    is_header = statement.lstrip().startswith("[")
    while isinstance(table, dict) and table:
        key, table = next(iter(table.items()))
        keys.append(key)
        if is_header and isinstance(table, list):
            table = table[0]
    return keys


def _line_of(lines: list[str], keys: Sequence[str]) -> int:
    low, high = 0, len(lines)  # the first `low` lines lack it, the first `high` have it
    while high - low > 1:
        middle = (low + high) // 2
        end = _whole(lines, middle)
        if _has(_table("\n".join(lines[:end])), keys):
            high = end
        else:
            low = middle
    return _whole(lines, high - 1) + 1


def _whole(lines: list[str], most: int) -> int:
    """How many lines, at most so many, end with a statement."""
    while most and _table("\n".join(lines[:most])) is None:
        most -= 1
    return most


def _table(text: str) -> dict[str, Any] | None:
    import tomllib

    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def _has(table: Any, keys: Sequence[str]) -> bool:
    for key in keys:
        if isinstance(table, list) and table:
            table = table[-1]
        if not isinstance(table, dict) or key not in table:
            return False
        table = table[key]
    return True


def _hint(line: str) -> str | None:
    """How the value of a line that is no TOML is written, if it lacks quotes or has the wrong ones."""
    found = _STATEMENT.match(line)
    if not found or _table(line) is not None:
        return None
    key, value = found["key"], found["value"]
    if value[0] in "\"'":
        if len(value) == 1 or value[-1] != value[0]:
            return f"close the quote: {key} = {quoted(value[1:])}" if value.count(value[0]) == 1 else None
        return f"put it in other quotes: {key} = {quoted(value[1:-1])}"
    if value[0] == "[":
        words = re.findall(r"[^\s,\[\]\"']+", value)
        return f"put each word in quotes: {key} = [{', '.join(map(quoted, words))}]"
    return None if value[0] == "{" else f"put it in quotes: {key} = {quoted(value)}"
