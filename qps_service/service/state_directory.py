"""The state directory: it belongs to one process at a time.

The lock is on the directory itself, so that neither a full nor a read-only disk is in its way. The
kernel gives it back however the process ends, and tells who holds it (proc_locks(5)).

It is root's or its own user's, and so is each symbolic link on the way to it (systemd lays one for
DynamicUser=): in anybody else's hands it could lead elsewhere at any time, and root would write there. The
ledger's files in it are looked at where they are opened (ledger/database.py).
"""

import errno
import fcntl
import os
import stat

from qps_service.errors import ConfigError, StateHeldError
from qps_service.files.kernel import LEDGER, user_name
from qps_service.text.escape import show_path

STATE = "/var/lib/qps-reporter"  # the unit's StateDirectory=; instances have theirs in it
_LINKS = 40  # the kernel follows no more of them (path_resolution(7))


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
            _require_own_links(self.path)
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
            _require_own(os.fstat(lock), "it")
            _require_own_links(self.path)  # once more: it may have been laid since
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = _holder(os.fstat(lock).st_ino)
            os.close(lock)
            if isinstance(error, BlockingIOError):
                raise StateHeldError(self.path, pid) from None
            raise
        return lock


def holder_of(path: str) -> int:
    """PID of the process that has the directory; 0 where none can be seen. Nothing is locked for it."""
    try:
        return _holder(os.stat(path).st_ino)
    except OSError:
        return 0


def objection_to(path: str) -> str | None:
    """Why this user would not keep a ledger there; None if nothing speaks against it."""
    try:
        _require_own_links(path)
        _require_own(os.stat(path), "it")
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror
    return None


def is_led_by_others(path: str) -> bool:
    """Whether a symbolic link on the way is neither root's nor ours."""
    try:
        _require_own_links(path)
    except OSError as error:
        return error.errno == errno.EPERM
    return False


def _require_own(status: os.stat_result, what: str) -> None:
    """Raises PermissionError where it is neither root's nor ours."""
    if status.st_uid not in (0, os.geteuid()):
        own = " or ".join(dict.fromkeys(map(user_name, (os.geteuid(), 0))))
        raise PermissionError(errno.EPERM, f"{what} belongs to {user_name(status.st_uid)}, expected {own}")


def _require_own_links(path: str) -> None:
    """The same for each symbolic link on the way, as far as there is one."""
    at, names, left = "/", path.split("/")[::-1], _LINKS
    while names and left:
        name = os.path.join(at, names.pop())
        try:
            status = os.lstat(name)
        except FileNotFoundError:
            return
        if not stat.S_ISLNK(status.st_mode):
            at = os.path.normpath(name)
            continue
        _require_own(status, f"the symbolic link {show_path(name)}")
        left -= 1
        target = os.readlink(name)
        at = "/" if target.startswith("/") else at
        names += target.strip("/").split("/")[::-1]


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
