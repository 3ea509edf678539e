"""No output leads into a file that the service itself reads or keeps, by whatever name.

What an output wrote into a log would be counted, and reported again; a report in the ledger would end it. So
paths are compared by what is there: the file, through symbolic and hard links, /proc and bind mounts, and the
directory and the name, where there is no file yet.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import NamedTuple

from qps_service.configuration.outputs import kind_of
from qps_service.configuration.types import Config, LogConfig
from qps_service.errors import ConfigError
from qps_service.files.kernel import Files
from qps_service.files.rotated_names import is_sibling, siblings
from qps_service.service.state_directory import LEDGER
from qps_service.text.escape import show_path

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

    def is_any_of(self, directory: str, names: Iterable[str]) -> bool:
        """Whether it leads to one of these files that are there."""
        return self.file is not None and any(
            self.file == _file(os.path.join(directory, name)) for name in names
        )


def apart(config: Config, streams: Sequence[str] = ()) -> Config:
    """The same, if its outputs are apart from all else, and so are those of STREAMS that are given. Raises
    ConfigError."""
    outputs = {f"output.{kind_of(each).name}.path": getattr(each, "path", None) for each in config.outputs}
    written = {where: path for where, path in outputs.items() if path is not None}
    written |= {name: STREAMS[name] for name in streams if _file(STREAMS[name])}
    in_file = f"{config.source}: " if config.source else ""
    problems = []
    places = {where: _place(path) for where, path in written.items()}
    for where, path in written.items():
        prefix = "" if where in STREAMS else in_file
        others = {each: place for each, place in places.items() if each != where and each not in STREAMS}
        led_into = _led_into(places[where], config, others)
        problems += [_problem(f"{prefix}{where}", what, path) for what in led_into]
    for log in config.logs:
        place = _place(log.path)
        found = chain(_ledger(place, config), _source(place, config))
        problems += [_problem(f"{in_file}log.{log.name}.path", what, log.path) for what in found]
    if problems:
        raise ConfigError(problems)
    return config


def _problem(where: str, what: str, path: str) -> str:
    return f"{where}: expected another file, got {what}: {show_path(path)}"


def _led_into(place: Place, config: Config, others: dict[str, Place]) -> Iterator[str]:
    yield from _ledger(place, config)
    yield from _source(place, config)
    for log in config.logs:
        yield from _log(place, log)
    for where, other in others.items():
        if place.is_same(other):
            yield f"that of {where}"


def _ledger(place: Place, config: Config) -> Iterator[str]:
    """The ledger, what SQLite lays beside it, or one that was set aside."""
    if config.state is None:
        return
    directory = _directory(config.state)
    is_named_so = any(at == directory and name.startswith(LEDGER) for at, name in place.names)
    if is_named_so or place.is_any_of(
        config.state, (name for name in _names(config.state) if name.startswith(LEDGER))
    ):
        yield "the ledger's"


def _source(place: Place, config: Config) -> Iterator[str]:
    if config.source is not None and place.is_same(_place(os.path.abspath(config.source))):
        yield "the configuration"


def _log(place: Place, log: LogConfig) -> Iterator[str]:
    """The log, or what may be taken for a rotated file of it: those are looked for elsewhere, too."""
    if place.is_same(_place(log.path)):
        yield "a log"
        return
    for directory, base in {os.path.split(log.path), os.path.split(_real(log.path))}:
        is_named_so = any(is_sibling(base, name) for _, name in place.names)
        if is_named_so or place.is_any_of(directory, siblings(base, _names(directory))):
            yield f"a file of the log {log.name}"
            return


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
        return seen.key if seen.regular else None
    return None


def _names(directory: str) -> list[str]:
    with suppress(OSError):
        return FILES.names(directory)
    return []
