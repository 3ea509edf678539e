"""The file of conf.d that `qps-reporter setup` owns: names for logs, its text, its changes, its writing."""

import os
import re
import tempfile
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from difflib import unified_diff
from typing import NamedTuple

from qps_service.configuration.path_patterns import is_pattern, unescaped
from qps_service.configuration.toml_file import quoted
from qps_service.text.regex import regex

NAME = "50-setup.toml"
HEAD = """\
# Written by "qps-reporter setup --write", which writes it anew as a whole: changes here are lost.
# Names of logs stay. To set more for a log, move its table into another file of this directory.
"""
# Words of a path that tell logs of one server from others, but no servers apart.
_WORDS = "(?:access|logs?|other_vhosts|ssl)"
_WILDCARD = regex(r"\*|\[|\]")  # of what `setup` writes
_COMMON = regex(rf"^{_WORDS}(?:[._-]|$)|[._-]{_WORDS}$")


class Table(NamedTuple):
    """A [log.NAME] to be written."""

    path: str  # as `path` takes it
    remark: str  # what it is, for people
    formats: tuple[str, ...]  # none where it need not be said


def named(tables: Iterable[Table], known: Mapping[str, str], taken: Collection[str]) -> dict[str, Table]:
    """A name for each: that of `known`, by path, and otherwise a new one, that is not among `taken`."""
    tables = list(tables)
    kept = {each.path: known[each.path] for each in tables if known.get(each.path, "") not in ("", *taken)}
    used = {*taken, *kept.values()}
    names: dict[str, Table] = {}
    for table in tables:
        name = kept.get(table.path)
        if name is None:
            base = name = name_of(table.path)
            number = 1
            while name in used:
                number += 1
                name = f"{base[:60]}-{number}"
            used.add(name)
        names[name] = table
    return names


def name_of(path: str) -> str:
    """What tells a log from others: shop for /var/log/nginx/shop.access.log and /srv/shop/logs/access.log,
    nginx for /var/log/nginx/access.log and access-%F.log, and nginx-later for /var/log/nginx/*access.log."""
    if is_pattern(path):
        return f"{name_of(_WILDCARD.sub('', path))[:58]}-later"
    *directories, base = re.sub("%-?[A-Za-z]", "", unescaped(path)).strip("/").split("/")  # without dates
    words = [
        os.path.splitext(base)[0],
        *reversed([each for each in directories if each not in ("var", "srv")]),
    ]
    for word in words:
        while (shorter := _COMMON.sub("", word)) != word:
            word = shorter
        word = re.sub(r"[^A-Za-z0-9_.-]", "_", word).strip("._-")[:64]
        if word:
            return word
    return "access"


def text_of(tables: Mapping[str, Table]) -> str:
    """The whole file."""
    parts = [HEAD]
    for name, table in tables.items():
        key = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)
        lines = [f"# {table.remark}", f"[log.{key}]", f"path = {quoted(table.path)}"]
        if len(table.formats) == 1:
            lines.append(f"format = {quoted(table.formats[0])}")
        elif table.formats:
            lines += ["format = [", *(f"    {quoted(each)}," for each in table.formats), "]"]
        parts.append("\n".join((*lines, "")))
    return "\n".join(parts)


def difference(path: str, before: str | None, after: str) -> str:
    """What would be, or was, changed; empty if nothing."""
    old = before.splitlines(keepends=True) if before is not None else []
    return "".join(
        unified_diff(old, after.splitlines(keepends=True), path if old else "/dev/null", path, n=1)
    )


def write(path: str, text: str) -> None:
    """Replace the file as a whole; its directory is made if need be. Raises OSError; then it is as it was."""
    directory = os.path.dirname(path)
    with suppress(FileExistsError):
        os.mkdir(directory)
        os.chmod(directory, 0o755)  # noqa: S103  whatever the umask: the service reads it
    descriptor, temporary = tempfile.mkstemp(prefix=f".{NAME}.", dir=directory)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
