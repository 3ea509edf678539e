"""Which names carry a file that was the log, as far as hints tell."""

import os
from collections.abc import Container

from qps_service.files.rotated_names import is_compressed, plain_name
from qps_service.following.hints import Appeared, Gone, Hint, Lost, Moved


class Descent:
    """One file that is or was the log, under whatever names; `known` once somebody has looked at it.
    `created`: under the log's name, as writers do, and not put there."""

    def __init__(self, *, known: bool = False, created: bool = True) -> None:
        self.known = known
        self.created = created


class Lineage:
    """Which names carry a file that once was the log, as far as the events tell.

    A new file beside the log may be a generation that came and went between two looks, and must be
    read; or it may be a copy, a backup, something unpacked, and must not. Its content cannot tell
    them apart, its history can: a generation came to its name by renames that began at the log, or
    was compressed from a file that did.
    """

    def __init__(self) -> None:
        self.is_complete = False  # whether every event since the last look is known
        self.moves = 0  # events so far by which a name of the log lost its file or got another
        self._names: dict[str, Descent] = {}
        # The log's name that got another file last, and whether that was created there.
        self._arrival: tuple[str, bool] | None = None
        self._unseen: list[str] = []
        self._made: set[str] = set()  # where something was created that is none of these

    def note(self, hint: Hint, log_paths: Container[str]) -> None:
        """Follow one event; `log_paths` are the names of the log itself."""
        self.moves += any(path in log_paths for path in hint)
        match hint:
            case Moved(_, path) | Appeared(path, False) if path in log_paths:
                self._arrival = path, False
            case Appeared(path) if path in log_paths:
                self._arrival = path, True
        match hint:
            case Moved(source, target):
                descent = self._names.pop(source, None)
                is_made = source in self._made
                self._made.discard(source)
                if descent is None and source in log_paths:
                    descent = Descent()
                self._end(target)
                if descent is None and target in log_paths:
                    descent = Descent(created=False)
                if descent:
                    self._names[target] = descent
                elif is_made:
                    self._made.add(target)
            case Appeared(path, created):
                self._end(path)
                origin = self._names.get(plain_name(path))
                if path in log_paths:
                    self._names[path] = Descent(created=created)
                elif origin:
                    self._names[path] = origin
                elif created and (not is_compressed(path) or plain_name(path) in self._made):
                    self._made.add(path)
            case Gone(path):
                self._end(path)
            case Lost(directory):
                self.distrust()
                if self._arrival and directory in ("", os.path.dirname(self._arrival[0])):
                    self._arrival = None
                self._made = {path for path in self._made if directory not in ("", os.path.dirname(path))}

    def take_completeness(self) -> bool:
        """Whether every event since the last call is known."""
        complete, self.is_complete = self.is_complete, True
        return complete

    def distrust(self) -> None:
        """Not every event is known: the next look must not go by names."""
        self.is_complete = False

    def __contains__(self, path: object) -> bool:
        """Whether `path` carries a generation that nobody has looked at yet."""
        descent = self._names.get(path)  # type: ignore[call-overload]
        return descent is not None and not descent.known

    def was_put(self, path: str) -> bool:
        """Whether `path` carries a file that somebody put in the log's place: it may be a copy of it."""
        return path in self._names and not self._names[path].created

    def carries(self, path: str) -> bool:
        """Whether `path` is one of the names, or may be the compressed file of one."""
        return path in self._names or plain_name(path) in self._names

    def names(self) -> set[str]:
        """The paths that carry generations which nobody has looked at yet."""
        return {path for path, descent in self._names.items() if not descent.known}

    def settle(self, path: str) -> None:
        """The file under `path` is being read, or was, under any name that it has."""
        if path in self._names:
            self._names[path].known = True

    def settle_log(self, path: str) -> None:
        """What is at the log's own path now is being read."""
        self._names[path] = Descent(known=True)

    def take_arrival(self) -> tuple[str, bool] | None:
        """The name of the log that got another file last, since the last call, and whether it was created
        there."""
        arrival, self._arrival = self._arrival, None
        return arrival

    def take_made(self) -> set[str]:
        """Where something was created since the last call that was not the log, as a copy of it is."""
        made, self._made = self._made, set()
        return made

    def tidy(self, log_paths: Container[str]) -> None:
        """Forget the names that tell nothing any more."""
        self._names = {
            path: descent for path, descent in self._names.items() if path in log_paths or not descent.known
        }

    def take_unseen(self) -> list[str]:
        """The last names of generations that went away before anybody looked at them."""
        unseen, self._unseen = self._unseen, []
        return unseen

    def _end(self, path: str) -> None:
        """The name carries its file no longer."""
        self._made.discard(path)
        descent = self._names.pop(path, None)
        if descent and not descent.known and descent not in self._names.values():
            self._unseen.append(path)
