"""The state directory: it belongs to one process at a time."""

import fcntl
import os

from qps_service.errors import ConfigError, StateHeldError

LOCK = "lock"


class StateDirectory:
    """Held while this object is open. The kernel gives the lock back however the process ends."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock: int | None = None  # descriptor

    def acquire(self) -> None:
        """Create the directory if need be and take it. Raises StateHeldError, ConfigError."""
        try:
            os.makedirs(self.path, mode=0o750, exist_ok=True)
            lock = os.open(os.path.join(self.path, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise ConfigError([f"state: {self.path}: {error.strerror}"]) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0)
            os.close(lock)
            raise StateHeldError(self.path, int(holder) if holder.strip().isdigit() else 0) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def release(self) -> None:
        """Let another process have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
