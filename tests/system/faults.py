"""Faults that the service's Python is made to have, from outside: each function makes one.

This file is put into a guest as its Python's sitecustomize module, with calls of what a test chose: there it
has nothing beside it but the standard library and systemd's module. Some faults hurt the product, which must
live with them. Others, which say so, make it break a promise, to show that the test of that notices.
"""

import contextlib
import ctypes
import glob
import json
import mmap
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

Notify = Callable[..., object]
TRIGGER = "/run/faults/trigger"  # what comes once, comes when this is there


def tell(*, every: float | None, text: bytes) -> None:
    """systemd, once or for ever."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(text, os.environ["NOTIFY_SOCKET"])
        while not threading.Event().wait(every):
            notify.sendto(text, os.environ["NOTIFY_SOCKET"])


def hang() -> None:
    """For good."""
    never, _ = os.pipe()
    os.read(never, 1)


def is_triggered() -> bool:
    """Once."""
    try:
        os.unlink(TRIGGER)
    except FileNotFoundError:
        return False
    return True


def read_hangs() -> None:
    """The next read of a log never returns."""
    pread = os.pread

    def hanging_pread(*arguments: Any) -> bytes:
        if is_triggered():
            hang()
        return pread(*arguments)

    os.pread = hanging_pread


def say_ready_at_once() -> None:
    """Broken: says READY before anything is ready."""
    tell(every=None, text=b"READY=1")


def feed_the_watchdog_from_a_thread() -> None:
    """Broken: says that it lives whatever its loop does."""
    threading.Thread(target=tell, kwargs={"every": 0.25, "text": b"WATCHDOG=1"}, daemon=True).start()


def notify_with(change: Callable[[Notify, str, dict[str, Any]], object]) -> None:
    """What the program tells systemd goes through `change`, with the real way to tell it."""
    import systemd._daemon

    notify = systemd._daemon.notify
    systemd._daemon.notify = lambda text, **rest: change(notify, text, rest)


def keep_quiet(word: str) -> None:
    notify_with(lambda notify, text, rest: word in text or notify(text, **rest))


def reload_untold() -> None:
    """Broken: keeps its reloads to itself."""
    keep_quiet("RELOADING=1")


def let_systemd_poll() -> None:
    """Broken: systemd drops a FIFO from its store as soon as nobody writes to it."""
    notify_with(lambda notify, text, rest: notify(text.replace("\nFDPOLL=0", ""), **rest))


def fill_the_store() -> None:
    """The next start fills it with files of a log that nobody follows any longer."""
    from systemd.daemon import notify

    for number in range(1024) if is_triggered() else ():
        descriptor = os.open("/usr/bin/qps-reporter", os.O_RDONLY)
        notify(f"FDSTORE=1\nFDNAME=gone@0@1-{number}", fds=[descriptor])
        os.close(descriptor)


# --- what the unit has too little of

GATE, REACHED = "/run/faults/gate", "/run/faults/reached"


def take_all() -> None:
    """On a word through the gate it takes files, then tasks, then memory, as much of each as it gets, but no
    more than is given here; and tells as it goes how much it has, in the end in MiB. Then it is killed."""
    threading.Thread(target=take, args=(10_000, 200, 400), daemon=True).start()


def take(files: int, tasks: int, memory: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # the loop gets them
    with open(GATE) as gate:
        gate.read()
    with open(REACHED, "w", buffering=1) as reached:
        held: list[int] = []
        with contextlib.suppress(OSError):
            while len(held) < files:
                held.append(os.open("/dev/null", os.O_RDONLY))
        print("files", max(held) + 1, file=reached)
        for descriptor in held:
            os.close(descriptor)
        with contextlib.suppress(RuntimeError):
            for _ in range(tasks):
                threading.Thread(target=threading.Event().wait, daemon=True).start()
        print("tasks", len(os.listdir("/proc/self/task")), file=reached)
        pages = []
        for size in range(1, memory):
            pages.append(b"x" * (1 << 20))
            print("memory", size, file=reached)
    os.kill(os.getpid(), signal.SIGKILL)


# --- what the sandbox denies


def call(name: str, *arguments: Any) -> None:
    """A function of libc."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def write(directory: str) -> str:
    path = f"{directory}/probe"
    with open(path, "w"):
        return path


def spawn(*command: str) -> None:
    child = os.posix_spawn(command[0], command, {})
    if os.waitpid(child, 0)[1]:
        raise PermissionError("it ended with an error")


def spawn_copy() -> None:
    copy = os.environ["STATE_DIRECTORY"] + "/sh"
    with open("/bin/sh", "rb") as shell, open(copy, "wb") as file:
        file.write(shell.read())
    os.chmod(copy, 0o755)  # noqa: S103
    spawn(copy, "-c", ":")


def trace() -> None:
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        call("ptrace", 16, child, None, None)  # PTRACE_ATTACH
        os.waitpid(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


PROBES: dict[str, Callable[[], object]] = {
    "a socket of the network": lambda: socket.socket(socket.AF_INET).close(),
    "a connection": lambda: socket.create_connection(("127.0.0.1", 8099), timeout=5).close(),
    "writing beside the log": lambda: write("/var/log/open"),
    "writing to /etc": lambda: write("/etc/open"),
    "writing to /run": lambda: write("/run/open"),
    "writing to /tmp": lambda: write("/tmp"),
    "writing to /var/tmp": lambda: write("/var/tmp"),
    "writing to /dev/shm": lambda: write("/dev/shm"),
    "reading /home": lambda: open("/home/somebody/secret").close(),
    "a shell": lambda: spawn("/bin/sh", "-c", ":"),
    "a shell by way of the loader": lambda: spawn(*glob.glob("/lib*/ld-linux*"), "/bin/sh", "-c", ":"),
    "a shell below /usr/lib": lambda: spawn("/usr/lib/klibc/bin/sh", "-c", ":"),
    "a shell of its own": spawn_copy,
    "ptrace": trace,
    "other processes": lambda: os.listdir("/proc/1"),
    "a namespace": lambda: call("unshare", 0x10000000),  # CLONE_NEWUSER
    "memory to write to and to run": lambda: mmap.mmap(-1, 4096, prot=7).close(),
    "a set-user-ID file": lambda: os.chmod(write(os.environ["STATE_DIRECTORY"]), 0o4755),  # noqa: S103
}


def probe() -> None:
    """Try each in the service's own process, before the program begins, and write down in the state directory
    what became of it: "allowed", or the error."""
    results = {}
    for name, attempt in PROBES.items():
        try:
            attempt()
        except OSError as error:
            results[name] = str(error)
        else:
            results[name] = "allowed"
    with open(os.environ["STATE_DIRECTORY"] + "/probes.json", "w") as file:
        json.dump(results, file)
