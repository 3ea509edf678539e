"""Open logs in systemd's descriptor store, so that a file that is renamed, compressed and deleted while
nobody runs is still there for the next process."""

import os
from collections.abc import Iterable, Mapping

from qps_service.following.resume import InheritedFile
from qps_service.service.systemd import Supervisor, parse_stored_name, stored_name
from qps_service.values.positions import Position


class DescriptorStore:
    """What systemd keeps and has handed back. A name in the store tells the log, the file, and where our part
    of it begins."""

    def __init__(
        self,
        supervisor: Supervisor,
        handed: Iterable[tuple[int, str]],
        logs: Mapping[str, str],
        *,
        others: bool = False,
    ) -> None:
        """`handed`: descriptors and their names; those of no log in `logs` are closed. `logs`: the names of
        logs, those that they had before among them, and by which each goes now. `others`: whether logs of
        further names may come, since only the ledger knows how patterns named them."""
        self._supervisor = supervisor
        self._kept: dict[str, dict[tuple[int, int], str]] = {log: {} for log in logs.values()}
        self._handed: dict[str, list[InheritedFile]] = {log: [] for log in logs.values()}
        for descriptor, name in handed:
            parsed = parse_stored_name(name)
            if parsed and (others or parsed.log in logs):
                log, key = logs.get(parsed.log, parsed.log), (parsed.device, parsed.inode)
                self._handed.setdefault(log, []).append(InheritedFile(descriptor, parsed.begun))
                self._kept.setdefault(log, {})[key] = name
                if log != parsed.log:
                    self._kept[log][key] = stored_name(log, parsed.begun, *key)
                    supervisor.keep(descriptor, self._kept[log][key])
                    supervisor.drop(name)
            else:
                os.close(descriptor)
                supervisor.drop(name)

    def of(self, log: str) -> "KeptFiles":
        """Where this log's files are kept."""
        return KeptFiles(self._supervisor, log, self._kept.setdefault(log, {}))

    def take(self, log: str) -> list[InheritedFile]:
        """What was handed back of this log's files; they are the caller's to close."""
        return self._handed.pop(log, [])

    def drop(self, log: str) -> None:
        """Nobody is to go on with what is kept of this log, or was handed back and not taken."""
        for handed in self.take(log):
            os.close(handed.descriptor)
        kept = self._kept.get(log, {})
        for name in kept.values():
            self._supervisor.drop(name)
        kept.clear()


class KeptFiles:
    """One log's files in the store."""

    def __init__(self, supervisor: Supervisor, log: str, names: dict[tuple[int, int], str]) -> None:
        self._supervisor = supervisor
        self._log = log
        self._names = names  # device and inode -> name in the store

    def keep(self, descriptor: int, position: Position) -> None:
        """Keep it, if it is not kept already."""
        key = position.identity[:2]
        if key not in self._names:
            self._names[key] = stored_name(self._log, position.begun, *key)
            self._supervisor.keep(descriptor, self._names[key])

    def drop(self, position: Position) -> None:
        """Keep it no longer."""
        name = self._names.pop(position.identity[:2], None)
        if name:
            self._supervisor.drop(name)
