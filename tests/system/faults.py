"""Faults that the service's Python is made to have, from outside: texts of a sitecustomize module.

Some hurt the product, which must live with it. Others make of it a product that breaks a promise, to
show that the test of that promise notices.
"""

# The next read of a log never returns.
READ_HANGS = """
import os

pread = os.pread
never, _ = os.pipe()

def hanging_pread(*arguments):
    try:
        os.unlink("/run/faults/trigger")
    except FileNotFoundError:
        return pread(*arguments)
    os.read(never, 1)

os.pread = hanging_pread
"""

# Broken: says READY before anything is ready.
READY_AT_ONCE = """
import os, socket

with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
never, _ = os.pipe()
os.read(never, 1)
"""

# Broken: says that it lives whatever its loop does.
WATCHDOG_FROM_A_THREAD = """
import os, socket, threading

def ping(stop=threading.Event()):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        while not stop.wait(0.25):
            notify.sendto(b"WATCHDOG=1", os.environ["NOTIFY_SOCKET"])

threading.Thread(target=ping, daemon=True).start()
"""

# The service never gets beyond telling that it stops.
STOP_HANGS = """
import os
import systemd._daemon

notify = systemd._daemon.notify
never, _ = os.pipe()

def hanging_notify(text, **rest):
    if "STOPPING=1" not in text:
        return notify(text, **rest)
    notify(text, **rest)
    os.read(never, 1)

systemd._daemon.notify = hanging_notify
"""

# Broken: keeps it to itself that it stops.
STOP_HANGS_UNTOLD = STOP_HANGS.replace("    notify(text, **rest)\n    os.read", "    os.read")

# Broken: keeps its reloads to itself.
RELOADING_UNTOLD = """
import systemd._daemon

notify = systemd._daemon.notify
systemd._daemon.notify = lambda text, **rest: "RELOADING=1" in text or notify(text, **rest)
"""

# Broken: what was given to systemd to keep stays there for good.
NOTHING_DROPPED = """
import systemd._daemon

notify = systemd._daemon.notify
systemd._daemon.notify = lambda text, **rest: "FDSTOREREMOVE=1" in text or notify(text, **rest)
"""

# The next start fills the store with files of a log that nobody follows any longer.
STORE_FILLED = """
import os
from systemd.daemon import notify

try:
    os.unlink("/run/faults/trigger")
except FileNotFoundError:
    pass
else:
    for number in range(1024):
        descriptor = os.open("/usr/bin/qps-reporter", os.O_RDONLY)
        notify(f"FDSTORE=1\\nFDNAME=gone@0@1-{number}", fds=[descriptor])
        os.close(descriptor)
"""

# Tries what the sandbox denies, before the program begins and in its own process, and writes down in the
# state directory what became of each: "allowed", or the error.
PROBES = """
import ctypes, glob, json, mmap, os, signal, socket

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def connect():
    with socket.create_connection(("127.0.0.1", 8099), timeout=5):
        pass


def write(directory):
    with open(directory + "/probe", "w"):
        pass


def spawn(*command):
    child = os.posix_spawn(command[0], command, {})
    if os.waitpid(child, 0)[1]:
        raise PermissionError("it ended with an error")


def spawn_copy():
    copy = os.environ["STATE_DIRECTORY"] + "/sh"
    with open("/bin/sh", "rb") as shell, open(copy, "wb") as file:
        file.write(shell.read())
    os.chmod(copy, 0o755)
    spawn(copy, "-c", ":")


def trace():
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        call("ptrace", 16, child, None, None)  # PTRACE_ATTACH
        os.waitpid(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def set_user_id():
    write(os.environ["STATE_DIRECTORY"])
    os.chmod(os.environ["STATE_DIRECTORY"] + "/probe", 0o4755)


PROBES = {
    "a socket of the network": lambda: socket.socket(socket.AF_INET).close(),
    "a connection": connect,
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
    "a set-user-ID file": set_user_id,
}
results = {}
for name, probe in PROBES.items():
    try:
        probe()
    except OSError as error:
        results[name] = str(error)
    else:
        results[name] = "allowed"
with open(os.environ["STATE_DIRECTORY"] + "/probes.json", "w") as file:
    json.dump(results, file)
"""
