"""A Debian guest with a booted systemd of its own, for tests that need a real one.

The guest runs in namespaces (systemd-nspawn): no hypervisor, about a second to boot, root needed.
Guests share nothing: each has its own file tree, network, process numbers and cgroup. Waiting is
always for an event: the guest's own word that it has booted, a command's end, a line of its journal.
The timeouts are there only so that a hang ends as a failure.

Nothing of a guest outlives `Guest.stop`; what a killed test run left is removed by the next one.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.system.image import HANG, GuestError, Image, cgroup_of
from tests.system.journal import Entry, JournalStream, parse_entry

FUSE = "/dev/fuse"
LONG = 4 * HANG  # for what takes half a minute when the machine has nothing else to do
CGROUP_V1 = Path("/sys/fs/cgroup")
HELD_BY_V1 = (("memory", "memory.limit_in_bytes", "MemoryMax"), ("pids", "pids.max", "TasksMax"))
INSTALL = (
    *("env", "DEBIAN_FRONTEND=noninteractive"),
    *("apt-get", "install", "--yes", "--no-install-recommends"),
)


class Guest:
    """One booted guest: `with Guest(image) as guest`, or `boot` and `stop`."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._directory: Path | None = None
        self._held: IO[bytes] | None = None
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0  # PID, outside, of the guest's PID 1
        self._started: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        self.boot()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def directory(self) -> Path:
        """What the guest occupies on the host's disk."""
        if self._directory is None:
            raise GuestError("the guest has not been booted")
        return self._directory

    @property
    def cgroup(self) -> Path:
        """The guest's own cgroup on the host: all of its processes live below."""
        return cgroup_of(self.directory)

    def boot(self) -> None:
        """Unpack the image and start it; returns when systemd inside says that it is up."""
        self._directory, self._held = self._image.unpack()
        try:
            self.cgroup.mkdir()
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
                notifications.bind("")
                self._nspawn = self._spawn(notifications)
                self._await_boot(notifications, self._nspawn)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut down and remove everything; harmless when there is nothing left to do."""
        if self._nspawn is not None:
            self._power_off(self._nspawn)
            self._nspawn = None
        for process in self._started:
            process.communicate(timeout=HANG)
        self._started.clear()
        if self._directory is not None:
            self._image.discard(self._directory)
            self._directory = None
        if self._held is not None:
            self._held.close()
            self._held = None

    def run(self, *command: str, check: bool = True, hang: float = HANG) -> subprocess.CompletedProcess[str]:
        """Run a command inside as root and wait for its end, `hang` seconds at most.

        `check` makes a failure a GuestError.
        """
        done = subprocess.run(
            # `timeout` ends the command too, and not only nsenter.
            ["timeout", "--kill-after=5", str(hang), *self._enter(command)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
        )
        if check and done.returncode:
            printed = f"{done.stdout}{done.stderr}\n--- journal ---\n{self._last_words()}"
            raise GuestError(f"{' '.join(command)}: exit status {done.returncode}\n{printed}")
        return done

    def install(self, *packages: str) -> None:
        """Install Debian packages, of `DOWNLOADS` or given as paths, as an administrator would."""
        self.run(*INSTALL, *packages, hang=LONG)

    def bring(self, file: Path) -> str:
        """Copy a file of the host's into the guest; its absolute path there."""
        inside = f"/srv/{file.name}"
        shutil.copy(file, self.path(inside))
        return inside

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command inside as root; it ends with the guest, if not before."""
        process = subprocess.Popen(
            self._enter(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def path(self, inside: str) -> Path:
        """Where the host finds the guest's absolute path `inside`, its /run and /tmp included."""
        return Path(f"/proc/{self._leader}/root{inside}")

    def write(self, inside: str, text: str, mode: int = 0o644) -> None:
        """Create or replace a file at once, as a careful administrator would; directories are made."""
        target = self.path(inside)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.new")
        fresh.write_text(text)
        fresh.chmod(mode)
        fresh.rename(target)

    def systemctl(self, *arguments: str) -> str:
        """What `systemctl` prints; a failure is a GuestError."""
        return self.run("systemctl", *arguments).stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.systemctl("show", "--property", name, "--value", unit)

    def hold(self, unit: str) -> None:
        """Have the kernel hold a running unit to the MemoryMax= and TasksMax= that systemd shows of it.

        Where the host's cgroup2 has these controllers, the guest's systemd has done so. Where cgroup v1 has
        them, no guest gets them, and the host does it in its place.
        """
        (processes,) = self.cgroup.rglob(f"{unit}/cgroup.procs")
        for controller, limit, name in HELD_BY_V1:
            if not processes.with_name(f"{controller}.max").exists():
                own = CGROUP_V1 / controller / self.directory.name / unit
                own.mkdir(parents=True, exist_ok=True)
                (own / limit).write_text(self.show(unit, name))
                for process in processes.read_text().split():
                    (own / "cgroup.procs").write_text(process)

    def journal(self, *matches: str, after: str | None = None) -> list[Entry]:
        """The journal's entries, oldest first, all written before the call included."""
        self.run("journalctl", "--sync")
        return [parse_entry(line) for line in self.run(*_journalctl(matches, after)).stdout.splitlines()]

    def journal_cursor(self) -> str:
        """The place in the journal up to which there are entries now, for `after`."""
        self.run("journalctl", "--sync")
        printed = self.run("journalctl", "--show-cursor", "--lines=0", "--quiet").stdout
        return printed.partition("-- cursor: ")[2].strip()

    @contextlib.contextmanager
    def follow(self, *matches: str, after: str | None = None) -> Iterator[JournalStream]:
        """The journal as a stream that can be waited on, from `after` (or its beginning) on."""
        process = self.start(*_journalctl(matches, after), "--follow", "--no-tail")
        try:
            yield JournalStream(process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=HANG)
            self._started.remove(process)

    def _spawn(self, notifications: socket.socket) -> subprocess.Popen[bytes]:
        command = [
            # Without a cgroup of its own, a signal to one guest's unit reaches its namesake in another.
            *("sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(self.cgroup)),
            # Should this process be killed, the guest goes too.
            *("setpriv", "--pdeathsig", "KILL"),
            *("systemd-nspawn", "--quiet", "--directory", str(self.directory / "root")),
            *("--machine", self.directory.name, "--register=no", "--keep-unit", "--private-network"),
            *("--link-journal=no", "--resolv-conf=off", "--timezone=off", "--settings=no"),
            # What a guest writes is thrown away: fsync need not wait for the host's disk.
            "--suppress-sync=yes",
            *(f"--bind={device}" for device in (FUSE,) if Path(device).exists()),
            *("--notify-ready=yes", "--boot"),
        ]
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "NOTIFY_SOCKET": "@" + notifications.getsockname()[1:].decode(),
            # systemd 256 and later refuse the cgroup v1 that the host may have.
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
        }
        with (self.directory / "console.log").open("wb") as console:
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )

    def _power_off(self, nspawn: subprocess.Popen[bytes]) -> None:
        # The guest is thrown away, so an orderly shutdown would be time spent for nothing. With its
        # PID 1 all its processes end, and nspawn is left to clean up after itself.
        if self._leader and nspawn.poll() is None:
            os.kill(self._leader, signal.SIGKILL)
        else:
            nspawn.terminate()
        try:
            nspawn.wait(HANG / 4)
        except subprocess.TimeoutExpired:
            nspawn.kill()
            nspawn.wait(HANG)

    def _await_boot(self, notifications: socket.socket, nspawn: subprocess.Popen[bytes]) -> None:
        ended = os.pidfd_open(nspawn.pid)
        try:
            poll = select.poll()
            poll.register(ended, select.POLLIN)
            poll.register(notifications, select.POLLIN)
            ready = False
            while not (ready and self._leader):
                events = dict(poll.poll(HANG * 1000))
                if notifications.fileno() not in events:
                    what = "ended" if events else "hung"
                    raise GuestError(f"the guest {what} while booting\n{self._console()}")
                for assignment in notifications.recv(4096).decode().splitlines():
                    name, _, value = assignment.partition("=")
                    ready = ready or name == "READY"
                    if name == "X_NSPAWN_LEADER_PID":
                        self._leader = int(value)
        finally:
            os.close(ended)
        # "degraded" is up as well: some units of a plain Debian cannot start in a container.
        self.run("systemctl", "is-system-running", "--wait", check=False)

    def _enter(self, command: Sequence[str]) -> list[str]:
        return [
            *("nsenter", "--target", str(self._leader), "--mount", "--uts", "--ipc", "--net", "--pid"),
            *("--cgroup", "--wdns=/", "--", "env", "-i", "LANG=C.UTF-8"),
            *("PATH=/usr/sbin:/usr/bin:/sbin:/bin", *command),
        ]

    def _console(self) -> str:
        return (self.directory / "console.log").read_text(errors="replace")[-4000:]

    def _last_words(self) -> str:
        self.run("journalctl", "--sync", check=False)
        return self.run("journalctl", "--no-pager", "--lines=30", check=False).stdout


def _journalctl(matches: Sequence[str], after: str | None) -> list[str]:
    # --all: without it, fields over 4096 bytes come as null.
    command = ["journalctl", "--output=json", "--all", "--no-pager", "--quiet"]
    return [*command, *([f"--after-cursor={after}"] if after else []), *matches]
