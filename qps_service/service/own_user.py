"""The service's own user, and what it may do, as root finds out before the service does."""

import grp
import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import suppress

from qps_service.errors import EXIT_OK, EXIT_PROBLEM

SERVICE_USER = "_qps-reporter"
LOG_GROUP = "adm"  # the unit's SupplementaryGroups=
# What the unit's sandbox hides from the service, and by which setting.
HIDDEN = {
    "/home": "ProtectHome=",
    "/root": "ProtectHome=",
    "/run/user": "ProtectHome=",
    "/tmp": "PrivateTmp=",  # noqa: S108  nothing is written there
    "/var/tmp": "PrivateTmp=",  # noqa: S108  likewise
}

Answer = tuple[str, str, bool]  # what, how it is, whether that is well


def service_user() -> pwd.struct_passwd | None:
    """The user to look as, if it is another and we may become it."""
    if os.geteuid() == 0:
        with suppress(KeyError):
            return pwd.getpwnam(SERVICE_USER)
    return None


def hidden(path: str) -> Iterator[Answer]:
    """What the unit's sandbox hides of a path."""
    real = os.path.realpath(path)
    for directory, setting in HIDDEN.items():
        if os.path.commonpath([directory, real]) == directory:
            how = f"{directory} is hidden from the service by {setting} of its unit"
            yield "  sandbox", f"{how}, unless a drop-in says otherwise", True


def protected(path: str, state: str) -> Iterator[Answer]:
    """What the unit's sandbox keeps from being written, which is all but its state directory."""
    real = os.path.realpath(path)
    if os.path.commonpath([state, real]) != state:
        how = "the service can write below its state directory alone, by ProtectSystem= of its unit"
        yield "  sandbox", f"{how}, unless a drop-in has ReadWritePaths= or LogsDirectory=", True


def as_user(user: pwd.struct_passwd | None, look: Callable[[], list[Answer]]) -> list[Answer]:
    """What `look` answers with the rights of `user` (None: our own). It runs in a child that gives
    ours up: no calculation from modes could respect every access list."""
    if user is None:
        return look()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = EXIT_PROBLEM
        try:
            os.close(read_end)
            os.setgroups(_groups_of(user))
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            with os.fdopen(write_end, "w") as pipe:
                pipe.writelines(f"{what}\0{how}\0{well:d}\n" for what, how, well in look())
            status = EXIT_OK
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        answers = [line.rstrip("\n").split("\0") for line in pipe]
    _, status = os.waitpid(child, 0)
    if status:
        return [("  look", f"could not be taken as user {user.pw_name}", False)]
    return [(what, how, well == "1") for what, how, well in answers]


def _groups_of(user: pwd.struct_passwd) -> list[int]:
    groups = set(os.getgrouplist(user.pw_name, user.pw_gid))
    with suppress(KeyError):
        groups.add(grp.getgrnam(LOG_GROUP).gr_gid)
    return sorted(groups)
