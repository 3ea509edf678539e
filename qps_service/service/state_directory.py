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
            self._lock = self._take()
        except OSError as error:
            raise ConfigError([f"state: {self.path}: {error.strerror}"]) from error

    def is_held(self) -> bool:
        """Whether the directory that is at the path now is held. One that was put there meanwhile is taken,
        unless somebody else was faster."""
        if self._lock is None:
            return False
        try:
            if os.path.samestat(os.fstat(self._lock), os.stat(self.path)):
                return True
            lock = self._take()
        except (OSError, StateHeldError):
            return False
        os.close(self._lock)
        self._lock = lock
        return True

    def release(self) -> None:
        """Let another process have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take(self) -> int:
        lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = _holder(os.fstat(lock).st_ino)
            os.close(lock)
            if isinstance(error, BlockingIOError):
                raise StateHeldError(self.path, pid) from None
            raise
        return lock


def _holder(inode: int) -> int:
    """The process with a lock on this inode; 0 where /proc does not tell, as from within a container."""
    try:
        with open("/proc/locks", encoding="ascii") as locks:
            for line in locks:
                _, kind, _, _, pid, file, *_ = line.split()
                if kind == "FLOCK" and file.rpartition(":")[2] == str(inode):
                    return max(0, int(pid))
    except (OSError, ValueError):
        pass
    return 0
