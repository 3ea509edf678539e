"""The state directory: it belongs to one process at a time.

The lock is on the directory itself, so that neither a full nor a read-only disk is in its way. The
kernel gives it back however the process ends, and tells who holds it (proc_locks(5)).
"""

import fcntl
import os

from qps_service.errors import ConfigError, StateHeldError

LEDGER = "ledger.db"


class StateDirectory:
    """Held while this object is open."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock: int | None = None  # descriptor

    @property
    def ledger(self) -> str:
        """Path of the ledger in it."""
        return os.path.join(self.path, LEDGER)

    def acquire(self) -> None:
        """Create the directory if need be and take it. Raises StateHeldError, ConfigError."""
        try:
            os.makedirs(self.path, mode=0o750, exist_ok=True)
            lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigError([f"state: {self.path}: {error.strerror}"]) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _holder(os.fstat(lock).st_ino)
            os.close(lock)
            raise StateHeldError(self.path, pid) from None
        self._lock = lock

    def release(self) -> None:
        """Let another process have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _holder(inode: int) -> int:
    """The process with a lock on this inode; 0 where /proc does not tell, as from within a container."""
    try:
        with open("/proc/locks", encoding="ascii") as file:
            for line in file:
                _, kind, _, _, pid, place, *_ = line.split()
                if kind == "FLOCK" and place.rpartition(":")[2] == str(inode):
                    return max(0, int(pid))
    except (OSError, ValueError):
        pass
    return 0
