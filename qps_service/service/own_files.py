"""No output leads into a file that the service itself reads or keeps, by whatever name.

What an output wrote into a log would be counted, and reported again; a report in the ledger would end it. So
paths are compared by what is there: the file, through symbolic and hard links, /proc and bind mounts, and the
directory and the name, where there is no file yet.

A link of somebody else's is no reason to refuse anything, or whoever owns the directory of one log could keep
all from being counted: no output follows one in its place, and no log is read that leads to a ledger
(files/kernel.py).
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from qps_service.configuration.outputs import kind_of
from qps_service.configuration.path_patterns import PathPattern
from qps_service.configuration.sources import directory_of
from qps_service.configuration.types import Config, LogConfig
from qps_service.errors import ConfigError
from qps_service.files.kernel import LEDGER, Files
from qps_service.files.rotated_names import siblings
from qps_service.service.state_directory import is_led_by_others
from qps_service.text.escape import show_path

if TYPE_CHECKING:
    from qps_service.service.patterns import Finding

Key = tuple[int, int]  # device and inode
FILES = Files()
STREAMS = {"stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}


class Place(NamedTuple):
    """Where a path leads."""

    file: Key | None  # that is there
    names: frozenset[tuple[Key | str, str]]  # its directory, by path where there is none, and its name

    def is_same(self, other: "Place") -> bool:
        """Whether both lead to one file, or would once there is one."""
        return bool(self.names & other.names) or (self.file is not None and self.file == other.file)


def apart(config: Config, streams: Sequence[str] = ()) -> Config:
    """The same, if its outputs are apart from all else, and so are those of STREAMS that are given. Raises
    ConfigError."""
    given, config = config, config._replace(logs=tuple(_each(config.logs)))
    logs = {log.path: _place_of_log(log.path) for log in config.logs}
    paths = {kind_of(each).name: getattr(each, "path", None) for each in config.outputs}
    written = {f"output.{name}.path": path for name, path in paths.items() if path is not None}
    places = {where: _place_of_output(path) for where, path in written.items()}
    problems: list[str] = []

    def refuse(where: str, path: str, *found: Iterable[str]) -> None:
        problems.extend(
            f"{where}: expected another file, got {what}: {show_path(path)}" for what in chain(*found)
        )

    for where, place in places.items():
        others = (f"that of {each}" for each in places if each != where and place.is_same(places[each]))
        refuse(
            _in_file(config, where), written[where], _own(place, config), _logs(place, config, logs), others
        )
    for log in config.logs:
        own = logs[log.path]
        ledger = _place(os.path.join(config.state, LEDGER)) if config.state else None
        if ledger and log.is_pattern and _would_match(ledger, log.path):
            own = ledger
        refuse(_in_file(config, f"log.{log.name}.path"), log.path, _own(own, config))
    for name in streams:
        place = _place(STREAMS[name])
        if place.file:
            refuse(name, _real(STREAMS[name]), _own(place, config), _logs(place, config, logs))
    if problems:
        raise ConfigError(problems)
    return given


def _in_file(config: Config, where: str) -> str:
    file = config.file_of(where)
    return f"{file}: {where}" if file else where


def _own(place: Place, config: Config) -> Iterator[str]:
    """What the service keeps that this leads into: the configuration and its directory; the ledger, what
    SQLite lays beside it, or one that was set aside."""
    if config.state is not None:
        directory = _directory(config.state)
        names = [name for at, name in place.names if at == directory]
        if any(name.startswith(LEDGER) for name in chain(names, _aliases(place, config.state))):
            yield "the ledger's"
    if config.source is None:
        return
    source = os.path.abspath(config.source)
    files = (source, *(os.path.abspath(each.path) for each in config.fragments))
    fragments = directory_of(source)
    at = _directory(fragments) if fragments else None
    if any(place.is_same(_place(each)) for each in files) or any(
        directory == at for directory, _ in place.names
    ):
        yield "the configuration"


def _logs(place: Place, config: Config, logs: Mapping[str, Place]) -> Iterator[str]:
    """The log that this leads into, or of which it may be taken for a rotated file: those are looked for
    elsewhere, too."""
    aliases: dict[str, list[str]] = {}  # a directory may have thousands of names, and hundreds of logs
    for log in config.logs:
        if place.is_same(logs[log.path]) or (log.is_pattern and _would_match(place, log.path)):
            yield "a log"
            continue
        for directory, base in {os.path.split(log.path), os.path.split(_real(log.path))}:
            if directory not in aliases:
                aliases[directory] = _aliases(place, directory)
            if siblings(base, chain((name for _, name in place.names), aliases[directory])):
                yield f"a file of the log {log.name}"
                break


def _each(logs: Iterable[LogConfig]) -> Iterator[LogConfig]:
    """Those with a pattern stand for what matches now, too."""
    for log in logs:
        yield log
        if log.is_pattern:
            found = _found(log.path).files
            yield from (log._replace(path=path, is_pattern=False) for path in found)


def _would_match(place: Place, pattern: str) -> bool:
    """Whether a file that is there, or would be, is a match, in a directory by whatever path."""
    last = PathPattern(f"/{os.path.basename(pattern)}")
    if all(last.match(f"/{name}") is None for _, name in place.names):
        return False
    looked = {_directory(each) for each in _found(pattern).directories if not is_led_by_others(each)}
    return any(directory in looked for directory, _ in place.names)


def _found(pattern: str) -> "Finding":
    from qps_service.service.patterns import find  # which brings all that follows logs

    return find(PathPattern(pattern), FILES)


def _aliases(place: Place, directory: str) -> list[str]:
    """The names in a directory of the file that is there."""
    if place.file is None:
        return []
    with suppress(OSError):
        found = [name for name, inode, _ in FILES.entries(directory) if inode == place.file[1]]
        return [name for name in found if _file(os.path.join(directory, name)) == place.file]
    return []


def _place_of_log(path: str) -> Place:
    return Place(None, frozenset({os.path.split(path)})) if is_led_by_others(path) else _place(path)


def _place_of_output(path: str) -> Place:
    directory, name = os.path.split(path)
    if os.path.islink(path) and is_led_by_others(os.path.join(_real(directory), name)):
        return Place(None, frozenset({(_directory(directory), name)}))
    return _place(path)


def _place(path: str) -> Place:
    names = (os.path.split(each) for each in (path, _real(path)))
    return Place(_file(path), frozenset((_directory(directory), name) for directory, name in names))


def _real(path: str) -> str:
    with suppress(OSError):  # a maze of links leads nowhere
        return FILES.resolve(path)
    return path


def _directory(path: str) -> Key | str:
    with suppress(OSError):
        return FILES.stat(path).key
    return _real(path)


def _file(path: str) -> Key | None:
    with suppress(OSError):
        seen = FILES.stat(path)
        return seen.key if seen.regular or seen.is_pipe else None
    return None
