"""Where the logs of a configuration are, so that none is taken for another one's rotated file.

Each of hundreds of logs has to know all others. So they are looked up once for all of them, and kept once.
"""

import os
from collections import Counter
from collections.abc import Collection, Container, Mapping
from contextlib import suppress
from itertools import chain

from qps_service.files.dated_names import is_dated
from qps_service.files.kernel import Files
from qps_service.files.rotated_names import stands_for


class LogPlaces:
    """The places of all logs that a process follows."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._logs: frozenset[str] = frozenset()
        self._places: dict[str, set[str]] = {}
        self._dated: list[str] = []  # paths with dates, each of which stands for many
        self._taken: Counter[str] = Counter()

    def others(self, path: str, logs: frozenset[str]) -> Container[str]:
        """Of the log at `path`, where the other ones of `logs` are. A configuration has one set `logs` for
        all of its logs. With another set, even an equal one, all are looked up again: links may have
        changed."""
        if logs is not self._logs:
            self._logs = logs
            self._places = {each: self._places_of(each) for each in logs}
            self._taken = Counter(chain.from_iterable(self._places.values()))
            self._dated = [place for each in logs if is_dated(each) for place in self._places[each]]
        own = self._places.get(path, set())
        return _Others(self._taken, own, [each for each in self._dated if each not in own])

    def _places_of(self, path: str) -> set[str]:
        """In a directory without links, and at the end of links."""
        directory, name = os.path.split(path)
        return {self._resolved(path), os.path.join(self._resolved(directory), name)}

    def _resolved(self, path: str) -> str:
        with suppress(OSError):
            return self._files.resolve(path)
        return path


class _Others:
    """All places but those that are one log's alone."""

    def __init__(self, taken: Mapping[str, int], own: set[str], dated: Collection[str]) -> None:
        self._taken = taken  # by how many logs
        self._own = own
        self._mine = [each for each in own if is_dated(each)]
        self._dated = dated  # others'

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str):
            return False
        if path in self._own:
            return self._taken[path] > 1
        if path in self._taken:
            return True
        theirs = max((stands_for(each, path) for each in self._dated), default=0)
        return theirs > 0 and theirs >= max((stands_for(each, path) for each in self._mine), default=0)
